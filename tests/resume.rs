//! Runs that die: what their log tells, going on with them, and running again what did not pass.

use crate::support::xrt::{Ran, Xrt};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use xenrt::event::{Event, Fact, Verdict};
use xenrt::name::CaseId;

/// A program that writes down each of its runs, and then does this.
fn noted(xrt: Xrt, name: &str, body: &str) -> Xrt {
    xrt.program(name, format!("#!/bin/sh\necho run >> noted-{name}\n{body}\n"))
}

/// How often a program was run.
fn runs(dir: &Path, name: &str) -> usize {
    fs::read_to_string(dir.join(format!("noted-{name}"))).unwrap_or_default().lines().count()
}

/// How often each testcase began and ended, as the log has it.
fn told(events: &[Event]) -> BTreeMap<String, (usize, usize)> {
    let mut told = BTreeMap::<String, (usize, usize)>::new();
    for event in events {
        let Some(id) = &event.case else { continue };
        let (began, ended) = told.entry(id.to_string()).or_default();
        *began += usize::from(matches!(event.fact, Fact::CaseStarted { .. }));
        *ended += usize::from(matches!(event.fact, Fact::CaseFinished { .. }));
    }
    told
}

/// The ids of the testcases that had ended when this much of the log was written.
fn ended(events: &[Event]) -> Vec<CaseId> {
    events.iter().filter(|e| matches!(e.fact, Fact::CaseFinished { .. })).filter_map(|e| e.case.clone()).collect()
}

/// What must be true of a run that came to its end, however often it died on its way.
#[track_caller]
fn whole(ran: &Ran, cases: usize, verdict: Verdict) {
    let events = ran.events();
    let why = ran.transcript();
    assert!(events.iter().map(|e| e.seq).eq(1..=events.len() as u64), "numbered without a gap\n{why}");
    let summary = ran.summary();
    assert_eq!((summary.cases().len(), summary.unfinished()), (cases, 0), "{why}");
    assert_eq!(summary.verdict(), verdict, "{why}");
    assert_eq!(summary.oddities(), Vec::<String>::new(), "{why}");
    for (id, (_, ended)) in told(&events) {
        assert_eq!(ended, 1, "`{id}` has one result\n{why}");
    }
    let junit = ran.read("junit.xml");
    assert_eq!(junit.matches("<testcase ").count(), cases, "{junit}");
}

#[test]
fn a_run_that_died_after_any_event_comes_to_its_end() {
    let xrt = ["a", "b", "c"].into_iter().fold(Xrt::new(), |xrt, name| noted(xrt, name, "echo 1..1; echo 'ok 1 - sub'"));
    let ran = noted(xrt, "d", "exit 1").args("--workers 2 --quiet").run().ends(1);
    let log = ran.results.join("events.jsonl");
    let lines: Vec<String> = fs::read_to_string(&log).unwrap().lines().map(|line| format!("{line}\n")).collect();
    let events = ran.events();
    // The first line is the version, the second the plan; without them there is nothing to go on with.
    for kept in 2..lines.len() {
        for torn in ["", &lines[kept][..lines[kept].len() / 2]] {
            fs::write(&log, format!("{}{torn}", lines[..kept].concat())).unwrap();
            ["a", "b", "c", "d"].iter().for_each(|name| drop(fs::remove_file(ran.dir().join(format!("noted-{name}")))));
            ran.then("replay --quiet").ends(3);
            let resumed = ran.then("--resume results/latest").ends(1);
            whole(&resumed, 4, Verdict::Failed);
            let before = ended(&events[..kept - 1]);
            for name in ["a", "b", "c", "d"] {
                let was_done = before.contains(&CaseId::new(name));
                assert_eq!(runs(ran.dir(), name), usize::from(!was_done), "`{name}` after {kept} lines\n{}", resumed.transcript());
            }
            assert_eq!(resumed.results, ran.results);
        }
    }
    for kept in 0..2 {
        fs::write(&log, format!("{}{{", lines[..kept].concat())).unwrap();
        ran.then("--resume results/latest").ends(2);
    }
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

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_its_end() {
    let mut random = Random::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for _ in 0..3 {
        let mut xrt = Xrt::new();
        for (place, name) in names.iter().enumerate() {
            let body = if place == 5 { "exit 1".into() } else { format!("for i in $(seq {}); do echo $i; done", random.below(40)) };
            xrt = noted(xrt, name, &body);
        }
        let mut ran = xrt.args("--workers 3 --quiet").start().killed_after(1 + random.below(30));
        for _ in 0..6 {
            let (before, events) = (names.map(|name| runs(ran.dir(), name)), ran.events());
            let results = ended(&events);
            if ran.exit >= 0 {
                break;
            }
            let is_over = events.iter().any(|e| matches!(e.fact, Fact::RunFinished { .. }));
            ran.then("replay --quiet").ends(if is_over { 1 } else { 3 });
            let resumed = ran.next("--resume results/latest --quiet").start().killed_after(events.len() + 1 + random.below(20));
            for (name, before) in names.iter().zip(before) {
                let was_done = results.contains(&CaseId::new(*name));
                assert!(!was_done || runs(ran.dir(), name) == before, "`{name}` was run again\n{}", resumed.transcript());
            }
            ran = resumed;
        }
        let ran = if ran.exit < 0 { ran.then("--resume results/latest --quiet") } else { ran }.ends(1);
        whole(&ran, names.len(), Verdict::Failed);
        for name in names {
            assert!(runs(ran.dir(), name) > 0, "`{name}` was never run\n{}", ran.transcript());
        }
    }
}
