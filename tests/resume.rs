//! Runs that die: what their log tells, going on with them, and running again what did not pass.

use crate::support::poll;
use crate::support::xrt::{Ran, Xrt};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use xenrt::event::{Event, Fact, Outcome, Verdict};

use Outcome::{Passed, Skipped};

/// A program that writes down each of its runs, and then does this.
fn there(xrt: Xrt, name: &str, body: &str) -> Xrt {
    xrt.executable(name, format!("#!/bin/sh\necho run >> noted-{name}\n{body}\n"))
}

/// The same, to be run.
fn noted(xrt: Xrt, name: &str, body: &str) -> Xrt {
    there(xrt, name, body).testcase(&format!("./{name}"))
}

/// How often a program was run.
fn runs(dir: &Path, name: &str) -> usize {
    fs::read_to_string(dir.join(format!("noted-{name}"))).unwrap_or_default().lines().count()
}

/// Waits for a file, as a testcase that is not through.
const WAITS: &str = "while [ ! -e go ]; do sleep 0.02; done";

fn sequence(xrt: Xrt, tests: &str) -> Xrt {
    xrt.file("s.seq", format!("<xenrt><testsequence>{tests}</testsequence></xenrt>")).args("-s s.seq")
}

const OF_ALL: [&str; 10] = ["prep", "a", "b", "c", "d", "e", "f", "g", "tidy", "sweep"];

/// A sequence of every sort of step, in which `e` fails (unless there is `fix`) and blocks `f`.
fn of_all() -> Xrt {
    let body = |name| if name == "e" { "[ -e fix ]" } else { "" };
    let xrt = OF_ALL.iter().fold(Xrt::new(), |xrt, name| there(xrt, name, body(*name)));
    sequence(
        xrt,
        r#"<testcase id="./prep" name="prep" blocker="yes"/>
           <serial group="one">
             <testcase id="./a" name="a"/>
             <action action="sleep"><arg>0</arg></action>
             <parallel group="two" workers="2">
               <testcase id="./b" name="b"/>
               <testcase id="./c" name="c"/>
               <serial group="three">
                 <testcase id="./d" name="d"/>
                 <testcase id="./e" name="e" blocker="yes"/>
                 <testcase id="./f" name="f"/>
                 <finally><testcase id="./sweep" name="sweep"/></finally>
               </serial>
             </parallel>
             <testcase id="./g" name="g"/>
             <finally><testcase id="./tidy" name="tidy"/></finally>
           </serial>"#,
    )
}

/// The events of a log as its lines, the first without an event.
fn lines(ran: &Ran) -> Vec<String> {
    ran.read("events.jsonl").lines().map(|line| format!("{line}\n")).collect()
}

/// Makes a run one that died when so many lines of its log had been written, and of the next one a part.
fn die(ran: &Ran, lines: &[String], kept: usize, is_torn: bool) {
    let torn = lines.get(kept).filter(|_| is_torn).map_or("", |line| &line[..line.floor_char_boundary(line.len() / 2)]);
    fs::write(ran.results.join("events.jsonl"), format!("{}{torn}", lines[..kept].concat())).unwrap();
}

/// A run that died as soon as it had a plan.
fn dead(xrt: Xrt) -> Ran {
    let ran = xrt.run();
    die(&ran, &lines(&ran), 2, false);
    ran
}

/// The ids that had a result when this much of the log was written.
fn ended(events: &[Event]) -> BTreeSet<String> {
    let results = events.iter().filter(|e| matches!(e.fact, Fact::CaseFinished { .. }));
    results.filter_map(|e| e.case.as_ref().map(ToString::to_string)).collect()
}

fn outcomes(ran: &Ran) -> BTreeMap<String, Option<Outcome>> {
    ran.summary().cases().iter().map(|case| (case.id.to_string(), case.outcome)).collect()
}

/// The name of the program that a testcase of this id is.
fn program(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// What must be true of a run that came to its end, however often it died on its way.
#[track_caller]
fn whole(ran: &Ran, verdict: Verdict) {
    let (events, summary, why) = (ran.events(), ran.summary(), ran.transcript());
    assert!(events.iter().map(|e| e.seq).eq(1..=events.len() as u64), "numbered without a gap\n{why}");
    assert_eq!((summary.unfinished(), summary.verdict()), (0, verdict), "{why}");
    assert_eq!(summary.oddities(), Vec::<String>::new(), "{why}");
    let mut results = BTreeMap::<String, usize>::new();
    for event in events.iter().filter(|e| matches!(e.fact, Fact::CaseFinished { .. })) {
        *results.entry(event.case.as_ref().unwrap().to_string()).or_default() += 1;
    }
    assert!(results.values().all(|times| *times == 1), "{results:?}\n{why}");
    assert!(ran.read("junit.xml").contains("<testsuites"), "{why}");
}

/// Lets a run die after each of its events in turn; each time it comes to the same end, and what had a result is not run again.
fn dies_anywhere(xrt: Xrt, programs: &[&str], verdict: Verdict) {
    let exit = i32::from(verdict.exit().code());
    let ran = xrt.run().ends(exit);
    let (lines, events, expected) = (lines(&ran), ran.events(), outcomes(&ran));
    for kept in 2..lines.len() {
        die(&ran, &lines, kept, kept % 2 == 0);
        programs.iter().for_each(|name| drop(fs::remove_file(ran.dir().join(format!("noted-{name}")))));
        let resumed = ran.then("--resume results/latest").ends(exit);
        whole(&resumed, verdict);
        assert_eq!((outcomes(&resumed), &resumed.results), (expected.clone(), &ran.results), "{}", resumed.transcript());
        let done = ended(&events[..kept - 1]);
        for id in expected.keys().filter(|id| programs.contains(&program(id))) {
            let was_run = events.iter().any(|e| e.case.as_ref().is_some_and(|c| c.as_str() == id) && is_start(&e.fact));
            let times = usize::from(was_run && !done.contains(id));
            assert_eq!(runs(ran.dir(), program(id)), times, "`{id}` after {kept} lines\n{}", resumed.transcript());
        }
    }
}

fn is_start(fact: &Fact) -> bool {
    matches!(fact, Fact::CaseStarted { .. })
}

#[test]
fn a_run_of_testcases_that_died_after_any_event_comes_to_its_end() {
    let xrt = ["a", "b"].into_iter().fold(Xrt::new(), |xrt, name| noted(xrt, name, "echo 1..1; echo 'ok 1 - sub'"));
    dies_anywhere(noted(xrt, "d", "exit 1").args("--workers 2 --quiet"), &["a", "b", "d"], Verdict::Failed);
}

#[test]
fn a_sequence_that_died_after_any_event_comes_to_its_end() {
    dies_anywhere(of_all().args("--quiet"), &OF_ALL, Verdict::Failed);
}

#[test]
fn rounds_go_on_until_one_fails() {
    let ran = there(Xrt::new(), "u", "[ $(wc -l < noted-u) -lt 3 ]").testcase("./u").args("--until-fail --quiet").run().ends(1);
    let (lines, events) = (lines(&ran), ran.events());
    assert_eq!(runs(ran.dir(), "u"), 3);
    for kept in 2..lines.len() {
        die(&ran, &lines, kept, false);
        let done = ended(&events[..kept - 1]).len();
        fs::write(ran.dir().join("noted-u"), "run\n".repeat(done)).unwrap();
        let resumed = ran.then("--resume results/latest").ends(1);
        whole(&resumed, Verdict::Failed);
        assert_eq!((runs(ran.dir(), "u"), resumed.summary().cases().len()), (3, 3), "{kept} lines\n{}", resumed.transcript());
    }
    die(&ran, &lines, lines.len(), false);
    let again = ran.then("--rerun-failed results/latest").ends(1);
    assert_eq!((runs(ran.dir(), "u"), again.summary().cases().len()), (4, 1), "one round shows it");
}

#[test]
fn what_there_is_nothing_to_go_on_with_is_told() {
    let ran = noted(Xrt::new(), "a", "").run().ends(0);
    let lines = lines(&ran);
    let check = |text: &str, says: &str| {
        fs::write(ran.results.join("events.jsonl"), text).unwrap();
        let refused = ran.then("--resume results/latest").ends(2);
        assert!(refused.stderr.contains(says), "no `{says}`\n{}", refused.transcript());
        assert_eq!(ran.read("events.jsonl"), text, "the log stays as it is");
    };
    check("", "is not an event log");
    check(&lines[0], "died before it had a plan");
    check(&format!("{}{}", lines[0], &lines[1][..100]), "died before it had a plan");
    check(&format!("{}{}rubbish\n{}", lines[0], lines[1], lines[2]), "nobody knows what it said");
    for (words, says) in [
        ("--resume nowhere", "nowhere"),
        ("--resume results/latest --results elsewhere", "keeps its results"),
        ("--resume results/latest --rerun-failed results/latest", "cannot be used with"),
    ] {
        let refused = ran.then(words).ends(2);
        assert!(refused.stderr.contains(says), "no `{says}`\n{}", refused.transcript());
    }
}

#[test]
fn a_run_that_has_ended_is_not_run_and_gets_its_reports() {
    let ran = noted(Xrt::new(), "a", "exit 1").run().ends(1);
    let log = ran.read("events.jsonl");
    fs::remove_file(ran.results.join("junit.xml")).unwrap();
    let again = ran.then("--resume results/latest").ends(1);
    assert!(again.stderr.contains("nothing to resume") && again.stderr.contains("failed"), "{}", again.transcript());
    assert_eq!((runs(ran.dir(), "a"), again.read("events.jsonl")), (1, log));
    assert!(again.read("junit.xml").contains("exit status 1"));
}

/// Numbers that differ from run to run, and are the same for a seed.
struct Random(u64);

impl Random {
    /// From `XRT_TEST_SEED`, or from the clock; said, so that a failure can be seen again.
    fn new() -> Random {
        let given = std::env::var("XRT_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()));
        println!("XRT_TEST_SEED={seed}");
        Random(seed.wrapping_mul(2).wrapping_add(1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// Kills a run at random moments, and again while it goes on, and then lets it come to its end.
fn killed_again_and_again(xrt: Xrt, random: &mut Random, verdict: Verdict) {
    let exit = i32::from(verdict.exit().code());
    let mut ran = xrt.args("--quiet").start().killed_after(1 + random.below(40));
    for _ in 0..6 {
        let events = ran.events();
        if ran.exit >= 0 || events.is_empty() {
            break;
        }
        let is_over = events.iter().any(|e| matches!(e.fact, Fact::RunFinished { .. }));
        ran.then("replay --quiet").ends(if is_over { exit } else { 3 });
        let done = ended(&events);
        let before: BTreeMap<&String, usize> = done.iter().map(|id| (id, runs(ran.dir(), program(id)))).collect();
        let resumed = ran.next("--resume results/latest --quiet").start().killed_after(events.len() + 1 + random.below(25));
        for (id, times) in before {
            assert_eq!(runs(ran.dir(), program(id)), times, "`{id}` was run again\n{}", resumed.transcript());
        }
        ran = resumed;
    }
    if ran.exit < 0 && !ran.events().is_empty() {
        ran = ran.then("--resume results/latest --quiet");
    }
    if !ran.events().is_empty() {
        whole(&ran.ends(exit), verdict);
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let mut random = Random::new();
    for _ in 0..2 {
        let mut xrt = Xrt::new();
        for (place, name) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
            let body = if place == 5 { "exit 1".into() } else { format!("seq {}", random.below(40)) };
            xrt = noted(xrt, name, &body);
        }
        killed_again_and_again(xrt.args("--workers 3"), &mut random, Verdict::Failed);
        killed_again_and_again(of_all(), &mut random, Verdict::Failed);
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_and_cleans_up_once_more() {
    let xrt = [("a", ""), ("slow", WAITS), ("b", ""), ("tidy", ""), ("done", ""), ("other", "")];
    let xrt = xrt.iter().fold(Xrt::new(), |xrt, (name, body)| there(xrt, name, body));
    let tests = r#"
        <serial group="early"><testcase id="./a" name="a"/><finally><testcase id="./done" name="done"/></finally></serial>
        <serial group="late">
          <testcase id="./slow" name="slow" blocker="yes"/>
          <testcase id="./b" name="b"/>
          <finally><testcase id="./tidy" name="tidy"/></finally>
        </serial>
        <testcase id="./other" name="other"/>"#;
    let mut running = sequence(xrt, tests).start();
    running.until("slow", |fact| matches!(fact, Fact::ActionStarted { what, .. } if what.contains("slow")));
    poll::until(poll::patience(), || (runs(running.dir(), "slow") == 1).then_some(())).unwrap();
    running.signal(Signal::INT);
    let stopped = running.wait().ends(5);
    assert_eq!((runs(stopped.dir(), "tidy"), runs(stopped.dir(), "b")), (1, 0), "{}", stopped.transcript());
    let status = stopped.then("status").ends(5);
    assert!(status.stdout.contains(": stopped") && status.stdout.contains("not started"), "{}", status.transcript());

    fs::write(stopped.dir().join("go"), "").unwrap();
    let resumed = stopped.then("--resume results/latest").ends(0);
    let summary = resumed.summary();
    assert_eq!((summary.unfinished(), summary.verdict()), (0, Verdict::Passed), "{}", resumed.transcript());
    assert_eq!(summary.oddities(), Vec::<String>::new());
    let times = ["a", "done", "slow", "b", "tidy", "other"].map(|name| runs(resumed.dir(), name));
    assert_eq!(times, [1, 1, 2, 1, 2, 1], "{}", resumed.transcript());
    let again =
        resumed.events().into_iter().find_map(|e| if let Fact::RunResumed { again, .. } = e.fact { Some(again) } else { None });
    assert_eq!(again.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>(), ["late/slow", "late/tidy"]);
    assert!(resumed.stdout.contains("resumed: 1 of 4 has a result, 1 was running, 2 had not started"), "{}", resumed.transcript());
}

#[test]
fn a_run_that_goes_on_is_not_taken_up() {
    let xrt = noted(noted(Xrt::new(), "a", ""), "b", WAITS);
    let mut running = xrt.start();
    running.until("b", |fact| matches!(fact, Fact::ActionStarted { what, .. } if what.contains('b')));
    let aside = || running.beside();
    let status = aside().args("status").run().ends(3);
    for words in ["1 has a result (1 passed), 1 running, 0 waiting", ": goes on", "running  b"] {
        assert!(status.stdout.contains(words), "no `{words}`\n{}", status.transcript());
    }
    for words in ["--resume results/latest", "--rerun-failed results/latest"] {
        let refused = aside().args(words).run().ends(2);
        assert!(refused.stderr.contains("still going on"), "{}", refused.transcript());
    }
    fs::write(running.dir().join("go"), "").unwrap();
    let ran = running.wait().ends(0);
    whole(&ran, Verdict::Passed);
}

#[test]
fn a_run_goes_on_by_its_own_plan_only() {
    let xrt = ["a", "b"].iter().fold(Xrt::new(), |xrt, name| there(xrt, name, ""));
    let case = |name: &str| format!(r#"<testcase id="./{name}" name="{name}"/>"#);
    let (a, b) = (case("a"), case("b"));
    let serial = |inner: &str| format!(r#"<serial group="g">{inner}</serial>"#);
    let ran = dead(sequence(xrt, &serial(&format!("{a}{b}"))));
    let log = ran.read("events.jsonl");
    for (tests, says) in [
        (serial(&format!("{b}{a}")), "the case was `g/a`, now it is `g/b` (the 1st of the plan)"),
        (serial(&a), "`g/b` is not in it any more"),
        (serial(&format!(r#"{a}{b}<testcase id="./a" name="c"/>"#)), "`g/c` is new in it"),
        (serial(&format!(r#"{a}<finally>{b}</finally>"#)), "`g/b` was testcase, now it is clean-up (the 2nd of the plan)"),
        (serial(&format!(r#"{a}<testcase id="./a" name="b"/>"#)), "`g/b` was ./b, now it is ./a"),
        (serial(&format!("{a}<serial>{b}</serial>")), "`g/b` is in another serial or parallel"),
        (format!(r#"<parallel group="g">{a}{b}</parallel>"#), "a serial or parallel is another"),
    ] {
        fs::write(ran.dir().join("s.seq"), format!("<xenrt><testsequence>{tests}</testsequence></xenrt>")).unwrap();
        let refused = ran.then("--resume results/latest").ends(2);
        assert!(refused.stderr.contains(says), "no `{says}`\n{}", refused.transcript());
        assert_eq!(ran.read("events.jsonl"), log, "nothing was written");
    }
    // Edited, and the same plan.
    let tests = format!("<!-- a word --> {}", serial(&format!(r#"{a}<testcase id="./b" name="b"><arg>quick</arg></testcase>"#)));
    fs::write(ran.dir().join("s.seq"), format!("<xenrt><testsequence>{tests}</testsequence></xenrt>")).unwrap();
    whole(&ran.then("--resume results/latest").ends(0), Verdict::Passed);
}

#[test]
fn options_given_beside_the_directory_win_and_the_others_stay() {
    let script = r#"
        fn meta() { #{ args: #{ word: "none" } } }
        fn run(args) { log(`${config("X")} ${config("Y")} ${config("Z")} ${args.word}`); }
    "#;
    let ran = dead(Xrt::new().script("a.rhai", script).args("-D X=1 -D Y=1 word=first").env("XRT_Z", "1").env("XRT_W", "secret"));
    let check = |words: &str, said: &str| {
        die(&ran, &lines(&ran), 2, false);
        let resumed = ran.next(words).env("XRT_Z", "2").run().ends(0);
        assert_eq!(resumed.said("a"), [said], "{}", resumed.transcript());
    };
    check("--resume results/latest", "1 1 1 first");
    check("--resume results/latest -D X=2", "2 1 1 first");
    check("--resume results/latest -D Z=3 word=second", "1 1 3 second");
    // From elsewhere, and by the log itself.
    check("-C home --resume ../results/latest/events.jsonl", "1 1 1 first");
    die(&ran, &lines(&ran), 2, false);
    let twice = ran.then("--resume results/latest -D X=2").ends(0);
    die(&ran, &lines(&twice), 3, false);
    assert_eq!(ran.then("--resume results/latest").ends(0).said("a"), ["2 1 1 first"], "the options of the last time");
}

#[test]
fn the_limit_of_a_run_counts_what_it_took_before_it_died() {
    let xrt = ["a", "b"].iter().fold(Xrt::new(), |xrt, name| noted(xrt, name, "")).args("--run-timeout 1h");
    let ran = xrt.run().ends(0);
    let lines = lines(&ran);
    let kept = ran.events().iter().position(|event| matches!(event.fact, Fact::CaseFinished { .. })).unwrap() + 2;
    let older = |hours: i64| {
        // As if it had begun so many hours before it told the rest.
        let mut first: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        let began: jiff::Timestamp = first["at"].as_str().unwrap().parse().unwrap();
        first["at"] = (began - jiff::SignedDuration::from_hours(hours)).to_string().into();
        let lines: Vec<String> = [lines[0].clone(), format!("{first}\n")].into_iter().chain(lines[2..].iter().cloned()).collect();
        die(&ran, &lines, kept, false);
    };
    let resume = format!("--resume {}", ran.results.display());
    older(2);
    let again = ran.then(&resume).ends(3);
    assert_eq!(again.outcome("b"), Outcome::Blocked, "{}", again.transcript());
    assert!(again.stdout.contains("by the limit of the run, 3600 s"), "{}", again.transcript());
    older(2);
    ran.then(&format!("{resume} --run-timeout 3h")).ends(0);
    older(0);
    assert_eq!(outcomes(&ran.then(&resume).ends(0)).values().flatten().count(), 2);
    assert_eq!((runs(ran.dir(), "a"), runs(ran.dir(), "b")), (1, 3));
}

#[test]
fn secrets_are_asked_for_again() {
    let script = r#"fn run(args) { check(config("DB_PASSWORD") == "hunter-3333", "the password"); }"#;
    let xrt = Xrt::new().script("a.rhai", script).args("--guest root:hunter-1111@127.0.0.1:1 -D A_TOKEN=hunter-2222");
    let ran = dead(xrt.env("XRT_DB_PASSWORD", "hunter-3333").env("XRT_PASSWORD", "hunter-4444"));
    assert!(!ran.read("events.jsonl").contains("hunter"));
    let bare = ran.next("--resume results/latest").without("XRT_DB_PASSWORD");
    let refused = bare.clone().run().ends(2);
    assert!(refused.stderr.contains("XRT_DB_PASSWORD=••••••"), "{}", refused.transcript());
    let refused = ran.then("--resume results/latest").ends(2);
    for option in ["`--guest root:••••••@127.0.0.1:1`", "`-D A_TOKEN=••••••`"] {
        assert!(refused.stderr.contains(option), "no {option}\n{}", refused.transcript());
    }
    let given = "--resume results/latest --guest root:hunter-1111@127.0.0.1:1 -D A_TOKEN=hunter-2222";
    let resumed = ran.then(given).ends(0);
    whole(&resumed, Verdict::Passed);
    assert!(!resumed.read("events.jsonl").contains("hunter"));
}

#[test]
fn what_did_not_pass_is_run_again_as_a_new_run() {
    let ran = of_all().run().ends(1);
    fs::write(ran.dir().join("fix"), "").unwrap();
    let again = ran.then("--rerun-failed results/latest").ends(0);
    assert_ne!(again.results, ran.results);
    let first = ran.results.file_name().unwrap().to_str().unwrap();
    let results: Vec<(String, Outcome)> =
        outcomes(&again).into_iter().filter_map(|(id, outcome)| Some((id, outcome?))).filter(|(_, o)| *o != Skipped).collect();
    let passed = ["one/tidy", "sleep", "three/e", "three/f", "three/sweep"];
    assert_eq!(results, passed.map(|id| (id.to_string(), Passed)), "{}", again.transcript());
    assert_eq!(again.reason("one/a"), format!("passed in {first}"));
    assert_eq!(["a", "e", "f", "sweep", "tidy"].map(|name| runs(ran.dir(), name)), [1, 2, 1, 2, 2]);
    let nothing = again.then("--rerun-failed results/latest").ends(4);
    assert!(nothing.stderr.contains("nothing to rerun"), "{}", nothing.transcript());
    assert_eq!(nothing.results, again.results, "no new run");

    // One that died is no other, and the rest of a run can die as well.
    let events = lines(&again);
    for kept in 2..events.len() {
        die(&again, &events, kept, false);
        let resumed = again.then("--resume results/latest").ends(0);
        whole(&resumed, Verdict::Passed);
        assert_eq!(outcomes(&resumed), outcomes(&again), "{}", resumed.transcript());
    }
    die(&ran, &lines(&ran), 2, false);
    let all = ran.then(&format!("--rerun-failed results/{first}")).ends(0);
    assert_eq!(all.summary().count(Skipped), 0, "{}", all.transcript());
    fs::write(ran.dir().join("s.seq"), "<xenrt><testsequence><testcase id=\"./a\" name=\"z\"/></testsequence></xenrt>").unwrap();
    ran.then(&format!("--rerun-failed results/{first}")).ends(0);
}

#[test]
fn a_further_report_is_made_anew_and_nothing_else_is_written_over() {
    let ran = dead(noted(Xrt::new(), "a", "").args("--report jsonl:copy.jsonl --report tap:out.tap"));
    let copy = ran.dir().join("copy.jsonl");
    let resumed = ran.then("--resume results/latest").ends(0);
    assert_eq!(fs::read_to_string(&copy).unwrap(), resumed.read("events.jsonl"));
    assert!(fs::read_to_string(ran.dir().join("out.tap")).unwrap().contains("ok 1"));
    die(&ran, &lines(&resumed), 2, false);
    fs::write(&copy, "my own notes\n").unwrap();
    let refused = ran.then("--resume results/latest").ends(2);
    assert!(refused.stderr.contains("copy.jsonl"), "{}", refused.transcript());
    assert_eq!(fs::read_to_string(&copy).unwrap(), "my own notes\n");
    ran.then("--resume results/latest --report jsonl:other.jsonl").ends(0);
}

#[test]
fn the_logs_of_testcases_survive() {
    let ran = noted(noted(Xrt::new(), "a", "echo said by a"), "b", "echo said by b").run().ends(0);
    let all = lines(&ran);
    let middle = all.iter().position(|line| line.contains("\"case\":\"b\"")).unwrap() + 2;
    let before = ran.read("a/xenrt.log");
    die(&ran, &all, middle, false);
    let resumed = ran.then("--resume results/latest").ends(0);
    assert_eq!(resumed.read("a/xenrt.log"), before);
    assert_eq!(resumed.read("b/xenrt.log").matches("testcase ./b").count(), 2, "{}", resumed.read("b/xenrt.log"));
}

#[test]
fn status_tells_programs_too() {
    let ran = noted(noted(Xrt::new(), "a", ""), "b", "").run().ends(0);
    let all = lines(&ran);
    let middle = all.iter().position(|line| line.contains("\"case\":\"b\"")).unwrap() + 1;
    die(&ran, &all, middle, true);
    let status: serde_json::Value = serde_json::from_str(&ran.then("status --json").ends(3).stdout).unwrap();
    let states: Vec<&str> = status["cases"].as_array().unwrap().iter().filter_map(|case| case["state"].as_str()).collect();
    assert_eq!((status["state"].as_str(), states), (Some("died"), vec!["passed", "was running"]));
    die(&ran, &all, all.len(), false);
    let text = ran.then("status results/latest/events.jsonl").ends(0).stdout;
    assert!(text.contains(": passed\n2 testcases: 2 have a result (2 passed), 0 were running, 0 had not started"), "{text}");
}

/// Writes down each process that it is, and which of the earlier ones still run beside it.
const ALONE: &str = r#"for pid in $(cat pids 2>/dev/null); do
  case "$(cut -d' ' -f3 /proc/$pid/stat 2>/dev/null)" in ""|Z|X) ;; *) echo $pid >> beside ;; esac
done
setsid sleep 60 >/dev/null 2>&1 &
echo "$$ $!" >> pids
while [ ! -e go ]; do sleep 0.02; done"#;

/// Whether a process runs.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_program_that_outlived_its_run_has_ended_before_it_is_run_again() {
    // The service of a testcase that has a result is there for those that come after it.
    let service = "setsid sleep 60 >/dev/null 2>&1 & echo $! > service";
    for words in ["--resume results/latest", "--rerun-failed results/latest"] {
        let mut running = noted(noted(Xrt::new(), "service", service), "slow", ALONE).start();
        running.until("slow", |fact| matches!(fact, Fact::ActionStarted { what, .. } if what.contains("slow")));
        let pids = running.dir().join("pids");
        let written = || fs::read_to_string(&pids).unwrap_or_default();
        poll::until(poll::patience(), || written().ends_with('\n').then_some(())).unwrap();
        running.signal(Signal::KILL);
        let died = running.wait();
        let first = written();
        let first: Vec<&str> = first.split_whitespace().collect();
        assert!(first.len() == 2 && first.iter().all(|pid| is_alive(pid)), "{first:?} outlive their run");

        let mut again = died.next(words).start();
        poll::until(poll::patience(), || (written().lines().count() == 2).then_some(())).unwrap();
        assert!(!first.iter().any(|pid| is_alive(pid)), "{first:?} have ended");
        fs::write(again.dir().join("go"), "").unwrap();
        again.until("its end", |fact| matches!(fact, Fact::CaseFinished { .. }));
        let again = again.wait().ends(0);
        assert!(!again.dir().join("beside").exists(), "{words}: {}\n{}", written(), again.transcript());
        let told = again
            .events()
            .iter()
            .any(|e| matches!(&e.fact, Fact::Logged { text, .. } if text.contains("`slow` was still running")));
        assert!(told, "{}", again.transcript());
        let service = fs::read_to_string(again.dir().join("service")).unwrap();
        assert!(is_alive(service.trim()), "the service goes on");
        for pid in written().split_whitespace().chain([service.trim()]) {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    }
}
