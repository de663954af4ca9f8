//! What a testcase can say: the free functions and the failure card, on the real `xrt`.

use crate::support::xrt::{Ran, Xrt};
use xenrt::error::{Blame, Kind};
use xenrt::event::{Fact, Level, Outcome};

use Outcome::{Errored, Failed};

fn testcase(body: &str) -> Xrt {
    Xrt::new().script("a.rhai", &format!("fn run(args) {{\n{body}\n}}"))
}

#[track_caller]
fn passes(body: &str) -> Ran {
    testcase(body).run().ends(0)
}

#[track_caller]
fn ends_with(body: &str, outcome: Outcome, reason: &str) -> Ran {
    // What `xrt check` would find is told well when it runs, too.
    let ran = testcase(body).arg("--no-check").run();
    assert_eq!(ran.outcome("a"), outcome, "{body}\n{}", ran.transcript());
    assert!(ran.reason("a").contains(reason), "{body}\n{}", ran.transcript());
    ran
}

fn measured(ran: &Ran) -> Vec<(String, f64, String)> {
    let value = |fact| if let Fact::Measured { name, value, unit, .. } = fact { Some((name, value, unit)) } else { None };
    ran.facts("a").into_iter().filter_map(value).collect()
}

#[test]
fn lines_of_the_log_have_their_level() {
    let ran = passes(
        r#"log("l"); comment("c"); warn("w"); reason("r"); result_line("x"); delimit("d"); step("s", || ()); log(#{ a: [1, ()] });"#,
    );
    let level = |fact| if let Fact::Logged { level, text } = fact { Some((level, text)) } else { None };
    let said: Vec<_> = ran.facts("a").into_iter().filter_map(level).collect();
    let levels = [Level::Verbose, Level::Comment, Level::Warning, Level::Reason, Level::Result, Level::Delimiter, Level::Step];
    let expected: Vec<_> = levels.into_iter().zip(["l", "c", "w", "r", "x", "d", "s"].map(String::from)).collect();
    assert_eq!(said[..7], expected);
    assert!(said[7].1.contains('1'), "{:?}", said[7]);
}

#[test]
fn values_have_units_and_must_be_numbers() {
    let ran = passes(
        r#"
        value("a", 3); value("b", 2.5, "MB/s"); values("T", [1, 2, 3, 4], "s");
        let s = stats([4, 1.0, 3, 2]);
        check(s.count == 4 && s.min == 1.0 && s.max == 4.0 && s.avg == 2.5 && s.median == 2.5, `${s}`);
        "#,
    );
    let all = measured(&ran);
    assert_eq!(all[..2], [("a".into(), 3.0, String::new()), ("b".into(), 2.5, "MB/s".into())]);
    let names: Vec<&str> = all[2..].iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["T_MIN", "T_MAX", "T_AVG", "T_DEV"]);
    assert!((all[5].1 - 1.25_f64.sqrt()).abs() < 1e-9 && all[5].2 == "s", "{all:?}");
    ends_with("value(\"x\", 0.0 / 0.0)", Errored, "expected a finite number");
    ends_with("value(\"x\", \"fast\")", Errored, "expected a finite number");
    ends_with("values(\"x\", [], \"s\")", Errored, "no numbers");
}

#[test]
fn arguments_have_the_type_of_their_default() {
    let script = r#"
        fn meta() { #{ args: #{ n: 3, f: 1.5, flag: false, text: "t", list: [1], any: () } } }
        fn run(args) {
            check(args == #{ n: 5, f: 2.0, flag: true, text: "a=b c", list: [1, 2], any: "x" }, `${args}`);
            check(arg("n") == 5 && arg("text") == args.text, "by name");
            arg("flug")
        }
    "#;
    let ran =
        Xrt::new().script("a.rhai", script).args("n=5 f=2 flag list=1,2 any=x").arg("text=a=b c").arg("--no-check").run().ends(3);
    assert!(ran.reason("a").contains("no argument `flug`"), "{}", ran.transcript());
    assert_eq!(ran.failure("a").help.as_deref(), Some("did you mean `flag`?"));
}

#[test]
fn variables_come_from_the_environment_and_the_command_line() {
    let script = r#"
        fn run(args) {
            check(config("SITE") == "flag", config("SITE"));
            check(config("RACK") == "environment", config("RACK"));
            check(config("LOOPS", 3) == 7, "typed as its default");
            check(config("NONE", 3) == 3 && config("NONE", "x") == "x", "the default");
            config("NONE")
        }
    "#;
    let xrt = Xrt::new().script("a.rhai", script).env("XRT_SITE", "environment").env("XRT_RACK", "environment");
    let ran = xrt.args("-D SITE=flag -D LOOPS=7").run().ends(3);
    assert!(ran.reason("a").contains("the variable `NONE` is not set"), "{}", ran.transcript());
    assert!(ran.failure("a").help.unwrap().contains("-D NONE=value"));
}

#[test]
fn eventually_waits_and_says_what_it_saw_last() {
    passes(
        r#"
        let n = 0;
        let took = eventually(#{ timeout: "20s", every: 0.01 }, || { n += 1; if n < 3 { fail("early") } n == 5 });
        check(n == 5 && took > 0.0, `${n}`);
        "#,
    );
    let body = r#"eventually(#{ timeout: 0.1, every: 0.01, desc: "the disk is there" }, || { fail("only sda") })"#;
    let ran = ends_with(body, Failed, "for `the disk is there`; last seen: only sda");
    assert_eq!((ran.failure("a").kind, ran.failure("a").blame), (Kind::Timeout, Blame::Product));
    ends_with("eventually(|| 1)", Errored, "expected true or false");
    let ran = ends_with("eventually(#{ timout: 1 }, || true)", Errored, "no option `timout`");
    assert_eq!(ran.failure("a").help.as_deref(), Some("did you mean `timeout`?"));
}

#[test]
fn parallel_runs_side_by_side_and_waits_for_all() {
    passes(
        r#"
        let both = parallel([|| { sleep(0.4); 1 }, || { sleep(0.4); 2 }, || 3]);
        check(both == [1, 2, 3], `${both}`);
        check(timed(|| parallel([|| sleep(0.5), || sleep(0.5), || sleep(0.5), || sleep(0.5)])) < 1.9, "not one after the other");
        check(parallel([]) == [], "nothing");
        "#,
    );
    let body = r#"parallel([|| fail("the first"), || { sleep(0.2); log("the second ended"); }, || error("the third")])"#;
    let ran = ends_with(body, Failed, "the first");
    let said = ran.said("a");
    assert!(said.contains(&"the second ended".into()) && said.contains(&"branch 3 failed too: the third".into()), "{said:?}");
    ends_with("parallel([1])", Errored, "a list of closures");
    let deep = "parallel([|| parallel([|| { let inner = 5; fail(`inner ${inner}`) }])])";
    assert_eq!(ends_with(deep, Failed, "inner 5").failure("a").frames[0].locals[0].name, "inner");
}

#[test]
fn repeat_timed_and_step_give_what_they_should() {
    let ran = passes(
        r#"
        let seen = [];
        repeat(3, |i| seen.push(i));
        check(seen == [0, 1, 2], `${seen}`);
        repeat(2, || seen.push("no argument"));
        repeat(0, || fail("never"));
        check(step("sum", || 1 + 1) == 2, "the value of a step");
        let took = timed(|| sleep(0.05));
        check(took >= 0.05 && took < 5.0, `${took}`);
        check(now() > 1.7e9, "seconds since 1970");
        "#,
    );
    assert!(ran.said("a").contains(&"3/3 iterations successful".into()), "{:?}", ran.said("a"));
    let ran = ends_with(r#"repeat(5, |i| { if i == 2 { fail("third") } })"#, Failed, "third");
    assert!(ran.said("a").contains(&"2/5 iterations successful".into()), "{:?}", ran.said("a"));
    ends_with("sleep(-1)", Errored, "-1");
}

#[test]
fn clean_ups_keep_what_they_were_made_with() {
    let ran = passes(
        r#"
        for i in 0..3 { defer(|| log(`clean ${i}`)); }
        let name = "x";
        defer(|| { log(`deferred by ${name}`); defer(|| log("deferred by a clean-up")); });
        "#,
    );
    assert_eq!(ran.said("a"), ["deferred by x", "deferred by a clean-up", "clean 2", "clean 1", "clean 0"]);
}

/// The text with what differs from run to run made the same.
fn steady(text: &str) -> String {
    let changing = [
        (r"\d\d:\d\d:\d\d(\.\d+)?", "HH:MM:SS"),
        (r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN"),
        (r" +\d+(\.\d+)?(ms|s)\b", " TIME"),
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
        (r"again: \S+", "again: xrt"),
        ("─{3,}", "───"),
    ];
    changing
        .iter()
        .fold(text.to_string(), |text, (pattern, with)| regex::Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned())
}

/// Calls a closure for each entry of a list; the second entry is what fails.
const SPEED: &str = r#"fn each(list, f) {
    let count = 0;
    for item in list {
        count += 1;
        f.call(item);
    }
}

fn compare(got, wanted) {
    let gap = wanted - got;
    fail("too slow", #{ gap: gap });
}
"#;

const RATE: &str = r#"import "lib/speed" as speed;

fn judge(rates) {
    let limit = 100;
    speed::each(rates, |rate| {
        let half = rate / 2;
        if rate < limit { speed::compare(rate, limit); }
    });
}

fn run(args) {
    target().exec("echo hello");
    let rates = [120, 80];
    judge(rates);
}
"#;

/// A failure in a module, called by a closure that the module calls for a function of the script.
fn deep_failure() -> Ran {
    let xrt = Xrt::new().file("scripts/lib/speed.rhai", SPEED).file("scripts/disk/rate.rhai", RATE);
    xrt.testcase("disk/rate").args("--guest local --no-logs").run().ends(1)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a card is long")]
fn a_card_shows_lines_calls_and_the_values_of_each_frame() {
    let ran = deep_failure();
    insta::assert_snapshot!(steady(&ran.stdout), @r##"
    xrt 0.1.0  run RUN  1 testcase  on local
    HH:MM:SS  LISTEN  xrt can be steered at ADDRESS; see xrt help interact
    HH:MM:SS    FAIL  disk/rate TIME  too slow  speed.rhai:11

    FAIL disk/rate  assertion, blamed on the product
      too slow

       ╭▸ scripts/lib/speed.rhai:11:5
       │
     8 │
     9 │ fn compare(got, wanted) {
    10 │     let gap = wanted - got;
    11 │     fail("too slow", #{ gap: gap });
       │     ━━━━ here in compare
    12 │ }
       ╰╴
        got = 80    wanted = 100    gap = 20

       ╭▸ scripts/disk/rate.rhai:7:34
       │
     4 │     let limit = 100;
     5 │     speed::each(rates, |rate| {
     6 │         let half = rate / 2;
     7 │         if rate < limit { speed::compare(rate, limit); }
       │                                  ━━━━━━━ called from here in closure
     8 │     });
     9 │ }
    10 │
       ╰╴
        limit = 100    rate = 80    half = 40

      ╭▸ scripts/lib/speed.rhai:5:11
      │
    2 │     let count = 0;
    3 │     for item in list {
    4 │         count += 1;
    5 │         f.call(item);
      │           ━━━━ called from here in each
    6 │     }
    7 │ }
    8 │
      ╰╴
        list = [120, 80]    count = 2    item = 80

      ╭▸ scripts/disk/rate.rhai:5:12
      │
    2 │
    3 │ fn judge(rates) {
    4 │     let limit = 100;
    5 │     speed::each(rates, |rate| {
      │            ━━━━ called from here in judge
    6 │         let half = rate / 2;
    7 │         if rate < limit { speed::compare(rate, limit); }
    8 │     });
      ╰╴
        rates = [120, 80]    limit = 100

       ╭▸ scripts/disk/rate.rhai:14:5
       │
    11 │ fn run(args) {
    12 │     target().exec("echo hello");
    13 │     let rates = [120, 80];
    14 │     judge(rates);
       │     ━━━━━ called from here in run
    15 │ }
       ╰╴
        args = #{}    rates = [120, 80]

        │ #{ gap: 20 }

      last calls to machines
      HH:MM:SS  local  echo hello TIME  exit 0, 1 line

      log:     results/RUN/disk.rate/xenrt.log

    ── 1 testcase in TIME ── 1 failed ───
    FAILED (exit 1)   results: results/RUN
       page:  results/RUN/report.html
       again: xrt --testcase scripts/disk/rate.rhai --guest local --no-logs
    "##);
}

#[test]
fn the_facts_of_a_failure_are_wherever_somebody_may_look() {
    let ran = deep_failure();
    let failure = ran.failure("disk/rate");
    let places: Vec<String> = failure.frames.iter().map(|f| format!("{} {}", f.place, f.function)).collect();
    assert_eq!(
        places,
        [
            "scripts/lib/speed.rhai:11:5 compare",
            "scripts/disk/rate.rhai:7:34 closure",
            "scripts/lib/speed.rhai:5:11 each",
            "scripts/disk/rate.rhai:5:12 judge",
            "scripts/disk/rate.rhai:14:5 run"
        ]
    );
    for file in ["disk.rate/xenrt.log", "junit.xml", "report.html", "events.jsonl"] {
        let text = ran.read(file);
        for wanted in ["too slow", "speed.rhai", "half", "echo hello"] {
            assert!(text.contains(wanted), "no `{wanted}` in {file}");
        }
    }
}
