//! Measured values beside earlier runs and limits, on the real `xrt`.

use crate::support::xrt::{Ran, Xrt};
use std::fs;
use xenrt::event::{Better, Change, Comparison, Fact, Level, Outcome};

/// A testcase that measures what its arguments say.
const RATE: &str = r#"
    fn meta() { #{ title: "Measures", args: #{ now: 450.0, unit: "MB/s", size: 1 } } }
    fn run(args) { value("rate", args.now, args.unit); }
"#;

fn measures() -> Xrt {
    Xrt::new().script("disk.rhai", RATE)
}

fn comparisons(ran: &Ran) -> Vec<Comparison> {
    ran.facts("disk").into_iter().filter_map(|f| if let Fact::Compared(c) = f { Some(*c) } else { None }).collect()
}

fn warnings(ran: &Ran) -> Vec<String> {
    let warning = |fact| if let Fact::Logged { level: Level::Warning, text } = fact { Some(text) } else { None };
    ran.events().into_iter().filter_map(|e| warning(e.fact)).collect()
}

fn texts(ran: &Ran) -> Vec<String> {
    comparisons(ran).into_iter().map(|c| c.text).collect()
}

/// Runs the same script again in the same place.
fn again(ran: &Ran, words: &str) -> Ran {
    ran.then(&format!("--testcase disk.rhai {words}"))
}

#[test]
fn a_run_is_compared_with_another_one() {
    let first = measures().run().ends(0);
    assert_eq!(comparisons(&first), []);
    let same = again(&first, "--perf-data results/latest").ends(0);
    assert_eq!((texts(&same), warnings(&same)), (vec!["450 MB/s, was 450: the same".into()], vec![]));

    // The value itself is an argument: other arguments are another measurement, unless they are the same.
    let other = again(&first, "now=412 --perf-data results/latest").ends(0);
    assert_eq!(texts(&other), [""; 0]);
    assert!(warnings(&other)[0].contains("of other arguments of this testcase"), "{:?}", warnings(&other));
}

/// A JSON baseline of three values around 450.
const BASELINE: &str =
    r#"{ "disk": { "rate": { "unit": "MB/s", "values": [449, 450, 451] } }, "other": { "x": { "values": [1] } } }"#;

fn against(baseline: &str, words: &str) -> Ran {
    measures().file("old.json", baseline).args("--perf-data old.json").args(words).run()
}

#[test]
fn worse_is_a_warning_and_with_perf_strict_a_failure() {
    let worse = against(BASELINE, "now=400").ends(0);
    let text = "400 MB/s, was 450 ± 1 (3 runs): worse by 11 %";
    let [found] = &comparisons(&worse)[..] else { panic!("{}", worse.transcript()) };
    let expected = (Change::Worse, Better::Higher, 400.0, 1, 450.0, 3, "old.json", text);
    let found =
        (found.change, found.better, found.now, found.samples, found.before, found.samples_before, &*found.against, &*found.text);
    assert_eq!(found, expected);
    assert_eq!(
        (worse.stdout.matches(text).count(), worse.summary().warnings()),
        (2, 1),
        "when it is found and at the end: {}",
        worse.transcript()
    );

    let strict = against(BASELINE, "now=400 -D PERF_STRICT=yes").ends(1);
    assert_eq!((strict.outcome("disk"), strict.reason("disk")), (Outcome::Failed, format!("rate: {text}")));
    assert!(strict.failure("disk").help.unwrap().contains("PERF_STRICT"));
    against(BASELINE, "now=412 -D PERF_STRICT=yes").ends(0);
    against(BASELINE, "now=500 -D PERF_STRICT=yes").ends(0);
    let converted = against(BASELINE, "now=0.44 unit=GB/s -D PERF_STRICT=yes").ends(0);
    assert_eq!(texts(&converted), ["0.4400 GB/s, was 0.4395 ± 0.0010 (3 runs): the same"]);
    let other = against(BASELINE, "now=0.44 unit=s -D PERF_STRICT=yes").ends(0);
    assert_eq!(warnings(&other), ["rate: s cannot be compared with MB/s of old.json"]);
}

#[test]
fn values_have_windows() {
    let ran = measures().args("now=5 --perf-check disk,rate,3.5,4.5 --perf-check disk,none,1,").run().ends(0);
    assert_eq!(texts(&ran), ["5 MB/s is not within the limits 3.50 to 4.50"]);
    assert_eq!(warnings(&ran), ["none: nothing was measured that could be within the limit of at least 1"]);
    measures().args("now=5 --perf-check disk,rate,3.5,4.5 -D PERF_STRICT=1").run().ends(1);
    measures().args("now=4 --perf-check disk,rate,3.5,4.5 -D PERF_STRICT=1").run().ends(0);
    let unknown = measures().args("--perf-check dsik,rate,3.5,4.5").run().ends(2);
    assert!(unknown.stderr.contains("no testcase `dsik`") && unknown.stderr.contains("`disk`?"), "{}", unknown.stderr);
    let malformed = measures().args("--perf-check disk,rate,fast,").run().ends(2);
    assert!(malformed.stderr.contains("`fast` is no number"), "{}", malformed.stderr);
}

#[test]
fn a_sequence_has_windows() {
    let sequence = r#"<xenrt>
        <perfcheck><limits>
            <testcase name="disk"><metric name="rate" min="500"/></testcase>
            <testcase name="nobody"><metric name="rate" min="500"/></testcase>
        </limits></perfcheck>
        <testsequence><testcase id="disk.rhai" name="disk"/></testsequence>
    </xenrt>"#;
    let xrt = Xrt::new().file("disk.rhai", RATE).file("perf.seq", sequence).args("-s perf.seq --noprepare");
    let ran = xrt.clone().run().ends(0);
    assert_eq!(texts(&ran), ["450 MB/s is not within the limit of at least 500"]);
    assert_eq!(warnings(&ran)[0], "there is no testcase `nobody` whose `rate` could be in its window");
    xrt.args("-D PERF_STRICT=yes").run().ends(1);
}

#[test]
fn many_runs_in_a_database_or_a_directory_are_the_samples() {
    // What it measures is not among its arguments, so the runs are of the same.
    let script = |value: f64| format!("fn run(args) {{ value(\"rate\", {value}, \"MB/s\"); }}");
    let mut ran = Xrt::new().script("disk.rhai", &script(450.0)).args("--report sqlite:all.db").run().ends(0);
    for value in [444.0, 456.0, 449.0] {
        fs::write(ran.dir().join("disk.rhai"), script(value)).unwrap();
        ran = again(&ran, "--report sqlite:all.db").ends(0);
    }
    fs::write(ran.dir().join("disk.rhai"), "fn run(args) { value(\"rate\", 1, \"MB/s\"); fail(\"no\"); }").unwrap();
    ran = again(&ran, "--report sqlite:all.db").ends(1);
    fs::write(ran.dir().join("disk.rhai"), script(400.0)).unwrap();
    let expected = ["400 MB/s, was 449.8 ± 4.92 (4 runs): worse by 11 %"];
    for baseline in ["all.db", "results", "results --report sqlite:all.db"] {
        let worse = again(&ran, &format!("-D PERF_STRICT=yes --perf-data {baseline}")).ends(1);
        assert_eq!(texts(&worse), expected, "what failed before is no sample: {}", worse.transcript());
    }
    // A damaged run among many is told and passed over; alone it is refused.
    let latest = fs::canonicalize(ran.dir().join("results/latest")).unwrap();
    let log = latest.join("events.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    fs::write(&log, format!("{head}\nrubbish\n{rest}")).unwrap();
    let told = again(&ran, "--perf-data results").ends(0);
    assert!(warnings(&told)[0].contains("not an event") && texts(&told) == expected, "{}", told.transcript());
    let refused = again(&ran, &format!("--perf-data {}", latest.display())).ends(2);
    assert!(refused.stderr.contains("not an event"), "{}", refused.stderr);
}

#[test]
fn what_is_no_baseline_is_refused_and_what_has_nothing_is_told() {
    for (file, text, expected) in [
        ("old.json", "", "`old.json:1:0` is no baseline"),
        ("old.json", "{ \"disk\": { \"rate\": { \"values\": [1], \"bettr\": \"lower\" } } }", "unknown field `bettr`"),
        ("old.json", "{ \"disk\": { \"rate\": { \"values\": [] } } }", "`rate` of `disk` has no values"),
        ("old.json", "SQLite format 3\0 and then something else", "cannot read the baseline `old.json`"),
        ("other", "", "cannot read the baseline `old.json`: No such file"),
        ("old.json/x", "", "no earlier run in `old.json`"),
    ] {
        let refused = measures().file(file, text).args("--perf-data old.json").run().ends(2);
        assert!(refused.stderr.contains(expected), "{expected}\n{}", refused.stderr);
        assert!(!refused.dir().join("results").exists(), "nothing ran");
    }
    let nothing =
        measures().file("old.json", r#"{ "x": { "rate": { "values": [1] } } }"#).args("--perf-data old.json").run().ends(0);
    assert_eq!(warnings(&nothing), ["no values of these testcases in old.json: nothing is compared"]);
}

#[test]
fn a_program_measures_too_and_a_retry_counts_for_itself() {
    let program = "#!/bin/sh\necho 'Value: rate 100 MB/s'\n[ -e seen ] || { touch seen; echo 'Value: rate 1 MB/s'; exit 1; }\n";
    let baseline = r#"{ "tool.sh": { "rate": { "unit": "MB/s", "values": [100] } } }"#;
    let ran =
        Xrt::new().program("tool.sh", program).file("old.json", baseline).args("--perf-data old.json --retries 1").run().ends(0);
    let found: Vec<String> =
        ran.events().into_iter().filter_map(|e| if let Fact::Compared(c) = e.fact { Some(c.text) } else { None }).collect();
    assert_eq!(found, ["100 MB/s, was 100: the same"], "{}", ran.transcript());
}

#[test]
fn a_script_says_which_way_is_better() {
    let script = r#"fn run(args) {
        value("errors", 20, "", #{ better: "lower" });
        values("QUEUE", [4, 5, 6], "", #{ better: "lower" });
    }"#;
    let ran = Xrt::new().script("disk.rhai", script).run().ends(0);
    let told = |fact| match fact {
        Fact::Measured { name, better, spread, .. } => Some((name, better, spread.map(|s| (s.samples, s.deviation)))),
        _ => None,
    };
    let lower = Some(Better::Lower);
    assert_eq!(
        ran.facts("disk").into_iter().filter_map(told).collect::<Vec<_>>(),
        [
            ("errors".to_string(), lower, None),
            ("QUEUE_MIN".into(), lower, None),
            ("QUEUE_MAX".into(), lower, None),
            ("QUEUE_AVG".into(), lower, Some((3, 1.0))),
            ("QUEUE_DEV".into(), lower, None),
        ]
    );
    let wrong = Xrt::new().script("disk.rhai", r#"fn run(args) { value("x", 1, "", #{ better: "less" }); }"#).run();
    assert!(wrong.stdout.contains("unknown variant `less`"), "{}", wrong.transcript());
}
