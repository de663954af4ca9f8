//! A plan while it runs: what runs side by side, limits, attempts, stops, rounds, and what the harness itself does wrong.

use crate::support::plan::{Bench, Ran, plan, says};
use crate::support::xrt::{Running, Xrt};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use xenrt::error::{Error, Kind};
use xenrt::event::{Fact, Level, Outcome, Verdict};
use xenrt::lab::{Lab, Place};
use xenrt::run::{Done, Group, Plan, Preparation, Rounds, Settings, Step, Unusable, Work};
use xenrt::sequence::Topology;
use xenrt::wire::local::Local;

/// Longer than anything here takes that does not wait, shorter than what does.
const MOMENT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

/// The most that were between two facts of their lives at a time, among the cases whose name begins so.
fn side_by_side(ran: &Ran, name: &str, from: &str, to: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for event in &ran.events {
        let Some(id) = event.case.as_ref().filter(|id| id.as_str().starts_with(name)) else { continue };
        now += usize::from(says(event, id.as_str(), from));
        now -= usize::from(says(event, id.as_str(), to));
        most = most.max(now);
    }
    most
}

/// Of the class x.
fn one_at_a_time(plan: &mut Plan) {
    plan.semaphores = BTreeMap::from([("x".into(), 1)]);
}

#[track_caller]
fn has_said(ran: &Ran, wanted: &str) {
    assert!(ran.said().iter().any(|line| line.contains(wanted)), "`{wanted}` was not said\n{}", ran.said().join("\n"));
}

#[test]
fn so_many_of_a_parallel_run_at_a_time_in_the_order_of_the_file() {
    for (shape, workers, most) in [
        ("p1(a:y b:y c:y d:y e:y)", None, 1),
        ("p2(a:y b:y c:y d:y e:y)", None, 2),
        ("p(a:y b:y c:y d:y e:y)", Some(1), 1),
        ("p4(a:y b:y c:y d:y e:y)", Some(2), 2),
        ("s(a:y b:y c:y d:y e:y)", Some(4), 1),
    ] {
        let ran = Bench::new(shape).with(|settings| settings.workers = workers).run();
        assert!(side_by_side(&ran, "", "began", "cleaned up") <= most, "{shape}");
        if most == 1 {
            assert_eq!(ran.begun(), ["a", "b", "c", "d", "e"], "{shape}");
        }
    }
}

#[test]
fn a_parallel_without_workers_runs_all_at_once_each_in_a_lane_of_its_own() {
    let cases: String = (0..60).map(|n| format!("a{n}:w ")).collect();
    let mut begun = 0;
    let ran = Bench::new(&format!("p({cases})")).stopped_at(move |event| {
        begun += usize::from(matches!(event.fact, Fact::CaseStarted { .. }));
        begun == 60
    });
    let ran = ran.run();
    let lane = |fact: &Fact| if let Fact::CaseStarted { lane, .. } = fact { Some(*lane) } else { None };
    let mut lanes: Vec<u32> = ran.events.iter().filter_map(|e| lane(&e.fact)).collect();
    lanes.sort_unstable();
    assert_eq!(lanes, (0..60).collect::<Vec<_>>());
    let ran = Bench::new("s(a b p1(c d))").run();
    assert!(ran.events.iter().filter_map(|e| lane(&e.fact)).all(|lane| lane == 0), "one after another is one row");
}

#[test]
fn a_semaphore_holds_in_all_branches_and_says_who_waits() {
    let shape = "p(a1:y@x a2:y@x s(a3:y@x b1:y) p(a4:y@x a5:y@x) b2:y b3:y@none)";
    for (count, most) in [(1, 1), (2, 2)] {
        let ran = Bench::new(shape).planned(|plan| plan.semaphores = BTreeMap::from([("x".into(), count)])).run();
        assert!(side_by_side(&ran, "a", "began", "ended") <= most, "{count}");
        assert_eq!(ran.verdict, Verdict::Passed);
    }
    let ran = Bench::new("p(a:h@x b:p@x)").planned(one_at_a_time);
    let ran = ran.planned(|plan| plan.cases[1].timeout = Some(MOMENT)).run();
    // Whichever was first: that it waited counts for nothing.
    assert_eq!(ran.outcomes(), "a passed, b passed");
    // The first goes on only when it has been told that the second waits.
    let bench = Bench::new("p(a:v@x b:v@x)").planned(one_at_a_time);
    let variables = bench.settings.variables.clone();
    let bench = bench.watched(move |event| {
        if matches!(&event.fact, Fact::Progressed { text, .. } if text == "waits for the semaphore `x`") {
            variables.set("GO", "yes", "the test").unwrap();
        }
    });
    assert_eq!(bench.run().outcomes(), "a passed, b passed");
}

#[test]
fn a_semaphore_is_given_back_before_the_clean_ups() {
    // The first stays in its post_run until the second has run; only so both can end.
    let bench = Bench::new("p(a:g@x b:g@x)").planned(one_at_a_time);
    let (variables, mut ended) = (bench.settings.variables.clone(), 0);
    let bench = bench.watched(move |event| {
        ended += usize::from(says(event, "a", "ended") || says(event, "b", "ended"));
        if ended == 2 {
            variables.set("GO", "yes", "the test").unwrap();
        }
    });
    let ran = bench.run();
    assert_eq!(side_by_side(&ran, "", "began", "ended"), 1);
    let warnings = ran.events.iter().filter(|e| matches!(e.fact, Fact::Logged { level: Level::Warning, .. })).count();
    assert_eq!((ran.verdict, warnings), (Verdict::Passed, 0), "{:?}", ran.said());
}

#[test]
fn the_limit_of_a_group_ends_what_runs_in_it_and_blocks_the_rest_of_it() {
    let limited = |shape: &str| Bench::new(shape).planned(|plan| group(&mut plan.root, 1).timeout = Some(MOMENT)).run();
    let ran = limited("s(s/disk(a:w b | c) d)");
    assert_eq!(ran.outcomes(), "a failed, b blocked by the group `disk`, c passed, d passed");
    assert_eq!(ran.reason("b"), "blocked by the limit of the group `disk`, 0.3 s");
    assert!(
        ran.reason("a").starts_with("the group `disk` did not end within 300ms; it was waiting for `sleep"),
        "{}",
        ran.reason("a")
    );
    has_said(&ran, "half of the time limit of the group `disk` (0.3s) is over");
    assert_eq!(ran.verdict, Verdict::Failed);
    assert_eq!(limited("s(s!/disk(a:w b) d)").outcomes(), "a failed, b blocked by the group `disk`, d blocked by the group `disk`");
    assert_eq!(limited("s(s!(a:w) d)").outcomes(), "a failed, d blocked by the serial");
    assert_eq!(
        limited("s(p1(a:w s(b | c)) d)").outcomes(),
        "a failed, b blocked by the parallel, c blocked by the parallel, d passed"
    );
    // Waiting is not running: of the two that share a semaphore one never begins.
    let bench = Bench::new("s(p(a:w@x b:w@x) c)").planned(one_at_a_time);
    let ran = bench.planned(|plan| group(&mut plan.root, 1).timeout = Some(MOMENT)).run();
    let told = ran.outcomes();
    let one = ["a failed, b blocked by the parallel, c passed", "a blocked by the parallel, b failed, c passed"];
    assert!(one.contains(&told.as_str()), "{told}");
}

fn group(root: &mut Group, number: u32) -> &mut Group {
    let found = root.steps.iter_mut().find_map(|step| match step {
        Step::Group(group) if group.number == number => Some(group),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn the_limit_of_the_run_ends_all_but_the_clean_ups() {
    let ran = Bench::new("s(s(a:w b | c) d | e)").with(|settings| settings.run_timeout = Some(MOMENT)).run();
    assert_eq!(ran.outcomes(), "a failed, b blocked by the run, c passed, d blocked by the run, e passed");
    assert_eq!(ran.verdict, Verdict::Failed);
    has_said(&ran, "half of the time limit of the run (0.3s) is over");
    let ran = Bench::new("s(a | b)").with(|settings| settings.run_timeout = Some(LONG)).run();
    assert_eq!((ran.verdict, ran.said().iter().filter(|line| line.contains("half")).count()), (Verdict::Passed, 0));
}

#[test]
fn half_of_a_testcase_s_limit_is_told_with_what_it_waits_for() {
    let ran = Bench::new("s(a:w)").with(|settings| settings.timeout = Some(3 * MOMENT)).run();
    has_said(&ran, "a: half of the time limit of the testcase (0.9s) is over; it is waiting for `sleep 10m00`");
    assert_eq!(ran.reason("a"), "the testcase did not end within 900ms; it was waiting for `sleep 10m00`");
    // The command line is stronger than the plan.
    let ran = Bench::new("s(a:w)").planned(|plan| plan.cases[0].timeout = Some(LONG));
    assert_eq!(ran.with(|settings| settings.timeout = Some(MOMENT)).run().outcomes(), "a failed");
}

#[test]
fn what_does_not_pass_is_tried_again_and_every_attempt_is_told() {
    let ran = Bench::new("s(a:fep b)").run();
    assert_eq!(ran.outcomes(), "a flaky, b passed");
    assert_eq!(ran.reason("a"), "passed in attempt 3; attempt 1 failed: exit status 1; attempt 2 errored: it says `Test: error`");
    let attempts: Vec<String> = ran
        .facts("a")
        .filter_map(|fact| match fact {
            Fact::CaseStarted { attempt, dir, .. } => Some(format!("{attempt} in {}", dir.display())),
            Fact::AttemptFinished { attempt, outcome, failure, .. } => {
                Some(format!("{attempt} {} {}", outcome.word(), failure.is_some()))
            }
            Fact::CaseFinished { outcome, .. } => Some(outcome.word().into()),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, ["1 in a", "1 failed true", "2 in a@2", "2 errored true", "3 in a@3", "flaky"]);
    let attached = |fact: &Fact| if let Fact::Attached { path, .. } = fact { Some(path.clone()) } else { None };
    for path in ran.facts("a").filter_map(attached) {
        assert!(ran.dir.path().join(&path).is_file(), "{}", path.display());
    }
    let summary = ran.summary();
    assert_eq!((ran.verdict, summary.verdict(), summary.oddities().len()), (Verdict::Passed, Verdict::Passed, 0));
}

#[test]
fn the_command_line_says_how_often_it_is_tried_and_only_testcases_are() {
    let outcomes = |shape: &str, retries| {
        let ran = Bench::new(shape).with(|settings| settings.retries = retries).run();
        (ran.outcomes(), ran.begun().len())
    };
    assert_eq!(outcomes("s(a:fp)", None), ("a flaky".into(), 2));
    assert_eq!(outcomes("s(a:fp)", Some(0)), ("a failed".into(), 1));
    assert_eq!(outcomes("s(a:f)", Some(2)), ("a failed".into(), 3));
    assert_eq!(outcomes("s(a:k b)", Some(2)), ("a skipped, b passed".into(), 2));
    assert_eq!(outcomes("s(*a:f | b:f)", Some(2)), ("a failed, b failed".into(), 2));
    assert_eq!(outcomes("s(a:fk)", None), ("a failed".into(), 2), "a skip hides no failure");
    assert_eq!(outcomes("s(a:fe)", None), ("a failed".into(), 2), "an error hides no failure");
}

#[test]
fn nothing_is_tried_again_after_a_stop() {
    let ran = Bench::new("s(a:w b)").with(|settings| settings.retries = Some(5)).stopped_when_begun("a").run();
    assert_eq!((ran.outcomes().as_str(), ran.begun().len()), ("a errored, b -", 1));
    let limited = |settings: &mut Settings| (settings.retries, settings.run_timeout) = (Some(5), Some(MOMENT));
    let ran = Bench::new("s(a:w b)").with(limited).run();
    assert_eq!((ran.outcomes().as_str(), ran.begun().len()), ("a failed, b blocked by the run", 1));
}

#[test]
fn after_the_first_failure_nothing_more_begins_where_that_was_asked_for() {
    let fast = |shape: &str| Bench::new(shape).with(|settings| settings.fail_fast = true).run();
    let ran = fast("s(s(a b:f c | d) e s(f | g) h? | i)");
    assert_eq!(
        ran.outcomes(),
        "a passed, b failed, c not run after b, d passed, e not run after b, f not run after b, g not run after b, h skipped, i passed"
    );
    assert_eq!((ran.reason("e"), ran.verdict), ("not run after b failed (--fail-fast)", Verdict::Failed));
    assert_eq!(fast("p1(a:e b c)").outcomes(), "a errored, b not run after a, c not run after a");
    assert_eq!(fast("s(a:fp b)").outcomes(), "a flaky, b passed");
    assert_eq!(fast("s(a:k s(b | c:f) d)").outcomes(), "a skipped, b passed, c failed, d passed");
}

#[test]
fn a_stop_ends_what_runs_and_cleans_up_what_had_begun() {
    let ran = Bench::new("s(s(a:w b | c d) s(e | f) g | h)").stopped_when_begun("a").run();
    assert_eq!(ran.outcomes(), "a errored, b -, c passed, d passed, e -, f -, g -, h passed");
    assert_eq!((ran.reason("a"), ran.verdict), ("stopped by the user", Verdict::Stopped));
    assert_eq!(ran.summary().verdict(), Verdict::Stopped);
    let ran = Bench::new("p(a:w b:w | c)").stopped_when_begun("b").run();
    assert!(ran.outcomes().ends_with("b errored, c passed"), "{}", ran.outcomes());
    let waiting = Bench::new("p(a:w@x b:w@x)").planned(one_at_a_time);
    let ran = waiting.stopped_at(|event| matches!(event.fact, Fact::Progressed { .. })).run();
    assert_eq!(ran.outcomes(), "a errored, b errored", "one of them had only waited");
}

#[test]
fn a_clean_up_has_time_of_its_own_which_a_stop_shortens() {
    let short = |settings: &mut Settings| settings.cleanup = MOMENT;
    let ran = Bench::new("s(a | b:w c)").with(short).run();
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a passed, b failed, c passed", Verdict::Passed));
    assert!(ran.reason("b").starts_with("the clean-up did not end within 300ms"), "{}", ran.reason("b"));
    // One that has a limit of its own keeps it, until somebody wants the run to end.
    let own = || Bench::new("s(a:h | b:w c)").planned(|plan| plan.cases[1].timeout = Some(LONG)).with(short);
    for ran in [own().stopped_when_begun("a").run(), own().stopped_when_begun("b").run()] {
        assert!(ran.outcomes().ends_with("b failed, c passed"), "{}", ran.outcomes());
        assert!(ran.reason("b").starts_with("the clean-up did not end within 300ms"), "{}", ran.reason("b"));
        assert_eq!(ran.verdict, Verdict::Stopped);
    }
    // The limits of the tests are not those of the clean-ups.
    let ran = Bench::new("s(a | b:h)").with(|settings| settings.timeout = Some(MOMENT)).run();
    assert_eq!(ran.outcomes(), "a passed, b passed");
}

#[test]
fn round_follows_on_round_until_one_does_not_pass() {
    let rounds = |shape: &str, most: u32| {
        let mut rounds = Rounds::new(plan(shape), None, Some(most));
        let mut bench = Bench::of(rounds.next().unwrap());
        bench.further = rounds.collect();
        bench
    };
    let extended = |ran: &Ran| ran.events.iter().filter(|e| matches!(e.fact, Fact::PlanExtended { .. })).count();
    let ran = rounds("s(a b | c)", 3).run();
    assert_eq!(
        ran.ids.iter().map(xenrt::name::CaseId::as_str).collect::<Vec<_>>(),
        ["a", "b", "c", "a#2", "b#2", "c#2", "a#3", "b#3", "c#3"]
    );
    assert!(!ran.outcomes().contains('-') && ran.verdict == Verdict::Passed && extended(&ran) == 2, "{}", ran.outcomes());
    assert_eq!((ran.summary().oddities().len(), ran.summary().verdict()), (0, Verdict::Passed));
    let mut bench = rounds("s(a b)", 5);
    bench.further[0].cases[1] = plan("s(z:f)").cases.remove(0);
    let ran = bench.run();
    assert_eq!((ran.verdict, extended(&ran)), (Verdict::Failed, 1));
    assert_eq!(
        rounds("s(a?)", 5).run().events.iter().filter(|e| matches!(e.fact, Fact::PlanExtended { .. })).count(),
        0,
        "nothing ran"
    );
    let ran = rounds("s(a:w)", 5).stopped_when_begun("a").run();
    assert_eq!((ran.verdict, extended(&ran)), (Verdict::Stopped, 0));
}

#[test]
fn what_the_harness_does_wrong_loses_no_case_and_passes_nothing() {
    // A step that names no case makes the walk itself panic.
    let broken = |shape: &str, at: usize| Bench::new(shape).planned(|plan| plan.root.steps.insert(at, Step::Case(99))).run();
    let ran = broken("s(a b | c)", 1);
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a passed, b passed, c passed", Verdict::Errored));
    let ran = broken("p(a b s(d) | c)", 1);
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a passed, b passed, d passed, c passed", Verdict::Errored));
    // A case that is in no step.
    let ran = Bench::new("s(a b c)").planned(|plan| drop(plan.root.steps.remove(1))).run();
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a passed, b errored, c passed", Verdict::Errored));
    assert_eq!(ran.reason("b"), "it never had its turn");
    // Only a clean-up is lost: it counts for nothing, but who knows what else.
    let ran = Bench::new("s(a | b)").planned(|plan| plan.root.finally.clear()).run();
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a passed, b errored", Verdict::Errored));
    // A case that is in two steps runs once.
    let ran = Bench::new("s(a b)").planned(|plan| plan.root.steps.push(Step::Case(0))).run();
    assert_eq!((ran.begun().join(" ").as_str(), ran.verdict), ("a b", Verdict::Passed));
}

#[test]
fn what_a_lost_blocker_would_have_blocked_is_blocked() {
    // What it depends on is not in the plan, which makes its turn panic.
    let ran = Bench::new("s(a! b | c)").planned(|plan| plan.cases[0].depends = vec![99]).run();
    assert_eq!((ran.outcomes().as_str(), ran.verdict), ("a errored, b blocked by a, c passed", Verdict::Errored));
    assert!(ran.reason("a").starts_with("the harness panicked: index out of bounds"), "{}", ran.reason("a"));
}

#[test]
fn actions_wait_and_what_cannot_be_run_says_why() {
    let with = |work: Work| Bench::new("s(*a b)").planned(|plan| plan.cases[0].work = work);
    assert_eq!(with(Work::Sleep(Duration::ZERO)).run().outcomes(), "a passed, b passed");
    let topology = Topology { vlans: vec!["private".into()], ..Topology::default() };
    let ran = with(Work::Prepare(Arc::new(Preparation { topology, hosts: true, ..Preparation::default() }))).run();
    assert_eq!(ran.outcomes(), "a errored, b blocked by a: network private");
    assert_eq!(ran.reason("a"), "network private: the private network private cannot be prepared");
    let sleeping = with(Work::Sleep(LONG)).stopped_at(|event| matches!(event.fact, Fact::ActionStarted { .. }));
    assert_eq!(sleeping.run().outcomes(), "a errored, b -");
    let error = Error::new(Kind::NotFound, "no testcase `x.y`").help("did you mean `x.z`?");
    let ran = with(Work::Unusable(Box::new(Unusable { testcase: "x.y".into(), error }))).run();
    assert_eq!((ran.outcomes().as_str(), ran.reason("a")), ("a errored, b blocked by a", "no testcase `x.y`"));
}

#[test]
fn a_testcase_runs_on_the_machine_that_its_sequence_names() {
    let on = |place: Option<&str>| {
        let machine = |name: &str| Place::new(name, "local".parse().unwrap(), Arc::new(Local::new()), 1.0);
        let mut bench = Bench::new("s(a:t)").planned(|plan| plan.cases[0].place = place.map(Arc::from));
        bench.lab = Lab::new(vec![machine("one"), machine("two")]);
        let ran = bench.run();
        let said = ran.said().into_iter().find(|line| ["a: one", "a: two"].contains(&line.as_str()));
        said.unwrap_or_else(|| format!("{} {}", ran.outcome("a").unwrap().word(), ran.reason("a")))
    };
    assert_eq!(on(None), "a: one");
    assert_eq!(on(Some("two")), "a: two");
    assert_eq!(on(Some("RESOURCE_GUEST_0")), "a: one");
    assert_eq!(on(Some("RESOURCE_GUEST_1")), "a: two");
    assert_eq!(on(Some("RESOURCE_GUEST_2")), "errored no guest `RESOURCE_GUEST_2` in this lab");
    assert_eq!(on(Some("tow")), "errored no guest `tow` in this lab");
    // A program is told the address.
    let shown = |place: &str| {
        let machine = |name: &str, address: &str| Place::new(name, address.parse().unwrap(), Arc::new(Local::new()), 1.0);
        let mut bench = Bench::new("s(a:gp)").planned(|plan| plan.cases[0].place = Some(place.into()));
        bench.lab = Lab::new(vec![machine("one", "10.0.0.1"), machine("two", "10.0.0.2")]);
        let ran = bench.run();
        std::fs::read_to_string(ran.dir.path().join("a/stdout.txt")).unwrap_or_else(|_| ran.reason("a").into())
    };
    assert_eq!(shown("two"), "10.0.0.2\n");
    assert_eq!(shown("three"), "no guest `three` in this lab");
}

#[test]
fn hooks_are_left_out_by_option_and_by_variable() {
    let said = |bench: Bench| {
        let ran = bench.run();
        let hooks = ran.said().into_iter().filter(|line| line.ends_with("pre_logs") || line.ends_with("post_run"));
        hooks.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(Bench::new("s(a)")), "a: pre_logs a: post_run");
    assert_eq!(said(Bench::new("s(a)").with(|settings| settings.no_post_run = true)), "a: pre_logs");
    assert_eq!(said(Bench::new("s(a)").variable("CLIOPTIONS/NOPOSTRUN", "yes")), "a: pre_logs");
    assert_eq!(said(Bench::new("s(a)").variable("CLIOPTIONS/NOPRELOGS", "1")), "a: post_run");
    let (ran, verdict) = Bench::new("s(a)").variable("OPTION_BLOCK_ON_SKIP", "maybe").tried();
    assert!(verdict.unwrap_err().what.contains("OPTION_BLOCK_ON_SKIP"));
    assert!(ran.events.is_empty(), "nothing ran");
}

#[test]
fn what_had_ended_before_the_run_was_taken_up_again_is_not_told_again() {
    let done = |outcome| Box::new(Done { outcome, subcases: Default::default(), block: None });
    let resumed = |shape: &str, ended: &[(usize, Outcome)]| {
        let set = |plan: &mut Plan| ended.iter().for_each(|(case, outcome)| plan.cases[*case].done = Some(done(*outcome)));
        let ran = Bench::new(shape).planned(set).run();
        (ran.outcomes(), ran.verdict)
    };
    assert_eq!(resumed("s(a b c)", &[(0, Outcome::Passed)]), ("a -, b passed, c passed".into(), Verdict::Passed));
    assert_eq!(resumed("s(a b)", &[(0, Outcome::Failed)]), ("a -, b passed".into(), Verdict::Failed));
    assert_eq!(resumed("s(a! b | c)", &[(0, Outcome::Failed)]), ("a -, b blocked by a, c passed".into(), Verdict::Failed));
    assert_eq!(resumed("s(a b<a)", &[(0, Outcome::Skipped)]), ("a -, b skipped".into(), Verdict::NothingRan));
    let group_done = |plan: &mut Plan| {
        plan.cases[0].done = Some(done(Outcome::Failed));
        plan.cases[1].done = Some(done(Outcome::Passed));
        let block = xenrt::event::Block::Case { id: plan.cases[0].id.clone(), outcome: Outcome::Failed };
        group(&mut plan.root, 1).done = Some(Some(block));
    };
    let ran = Bench::new("s(s!(a! | b) c)").planned(group_done).run();
    assert_eq!(ran.outcomes(), "a -, b -, c blocked by a");
    assert!(!ran.events.iter().any(|e| e.fact == Fact::StepStarted { step: 1 }));
}

/// A sequence of which one testcase waits, with clean-ups inside and outside of where that is.
const STOPPED: &str = r#"<xenrt><testsequence>
    <serial group="inner">
        <testcase id="wait"/>
        <testcase id="quick"/>
        <finally><testcase id="tidy" name="inside"/></finally>
    </serial>
    <testcase id="quick"/>
    <finally><testcase id="tidy" name="outside"/></finally>
</testsequence></xenrt>"#;

fn stopped(tidy: &str) -> Running {
    let xrt = Xrt::new().file("x.seq", STOPPED).args("-s x.seq");
    let xrt = xrt.file("scripts/wait.rhai", r#"fn run(args) { log("up"); sleep(600); }"#);
    let mut running = xrt.file("scripts/quick.rhai", "fn run(args) {}").file("scripts/tidy.rhai", tidy).start();
    running.until_said("up");
    running.signal(Signal::INT);
    running
}

#[test]
fn ctrl_c_runs_the_finally_steps_of_what_had_begun() {
    let ran = stopped(r#"fn run(args) { sleep(0.01); log("tidied"); }"#).wait().ends(5);
    let summary = ran.summary();
    let outcomes: Vec<_> = summary.cases().iter().map(|case| (case.id.as_str(), case.outcome)).collect();
    let passed = Some(Outcome::Passed);
    assert_eq!(
        outcomes,
        [
            ("inner/wait", Some(Outcome::Errored)),
            ("inner/quick", None),
            ("inner/inside", passed),
            ("quick", None),
            ("outside", passed)
        ]
    );
    assert_eq!((ran.said("inner/inside"), ran.said("outside")), (vec!["tidied".to_string()], vec!["tidied".to_string()]));
    assert_eq!((summary.verdict(), summary.oddities().len()), (Verdict::Stopped, 0));
}

#[test]
fn a_second_ctrl_c_leaves_a_clean_up_that_takes_too_long() {
    let mut running = stopped(r#"fn run(args) { log("tidying"); sleep(600); }"#);
    running.until_said("tidying");
    running.signal(Signal::INT);
    let ran = running.wait().ends(5);
    assert!(ran.stderr.contains("left at once"), "{}", ran.transcript());
}
