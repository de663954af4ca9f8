//! Events of a run that never was, told one after the other.

use std::collections::BTreeMap;
use std::time::Duration;
use xenrt::error::{Blame, Kind};
use xenrt::event::{ActionEnd, Beginning, Call, Event, Fact, Failure, Frame, Local, Outcome, Place, Planned, SourceLine, Verdict};
use xenrt::name::CaseId;
use xenrt::time::Timestamp;

/// Builds events with their numbers and times: the run begins at 09:00 UTC.
#[derive(Debug)]
pub struct Story {
    pub events: Vec<Event>,
    now: Timestamp,
    began: BTreeMap<String, Timestamp>,
}

pub fn at(seconds: f64) -> Timestamp {
    let begin: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    begin.plus(Duration::from_secs_f64(seconds))
}

impl Story {
    /// A run with these testcases in its plan.
    pub fn plan(ids: &[&str]) -> Story {
        let planned = |id: &&str| Planned {
            title: format!("The title of {id}"),
            file: format!("scripts/{id}.rhai").into(),
            ..Planned::new(CaseId::new(*id), *id)
        };
        let mut story = Story { events: Vec::new(), now: at(0.0), began: BTreeMap::new() };
        let command = ["xrt", "--guest", "h1", "--testcase", "scripts", "loops=3"];
        story.tell(
            "",
            Fact::RunStarted(Box::new(Beginning {
                run: "20261122-090000-7f3a".into(),
                version: "0.1.0".into(),
                command: command.map(String::from).to_vec(),
                targets: vec!["h1".into()],
                workers: 2,
                results: "results/20261122-090000-7f3a".into(),
                plan: ids.iter().map(planned).collect(),
                ..Beginning::default()
            })),
        );
        story
    }

    /// Lets time pass.
    pub fn after(&mut self, seconds: f64) -> &mut Story {
        self.now = self.now.plus(Duration::from_secs_f64(seconds));
        self
    }

    /// Any fact, of a testcase or (empty) of the run.
    pub fn tell(&mut self, case: &str, fact: Fact) -> &mut Story {
        let case = (!case.is_empty()).then(|| CaseId::new(case));
        self.events.push(Event { seq: self.events.len() as u64 + 1, at: self.now, case, fact });
        self
    }

    pub fn start(&mut self, case: &str) -> &mut Story {
        self.began.insert(case.into(), self.now);
        let args = BTreeMap::from([("loops".to_string(), 3.into()), ("note".to_string(), "a <b> & \"c\"".into())]);
        self.tell(
            case,
            Fact::CaseStarted { args, timeout: Some(600.0), dir: CaseId::new(case).directory().into(), attempt: 1, lane: 0 },
        )
    }

    /// A whole action that took so long.
    pub fn call(&mut self, case: &str, machine: &str, what: &str, took: f64, end: ActionEnd) -> &mut Story {
        let action = self.events.len() as u64;
        self.tell(case, Fact::ActionStarted { action, machine: Some(machine.into()), what: what.into() });
        self.after(took).tell(case, Fact::ActionFinished { action, took, end })
    }

    pub fn subcase(&mut self, case: &str, group: &str, name: &str, outcome: Outcome, reason: Option<&str>) -> &mut Story {
        let reason = reason.map(String::from);
        self.tell(case, Fact::Subcase { group: group.into(), name: name.into(), outcome, reason, took: 1.5, failure: None })
    }

    pub fn end(&mut self, case: &str, outcome: Outcome, reason: Option<&str>) -> &mut Story {
        let took = self.took(case);
        self.tell(case, Fact::CaseFinished { outcome, reason: reason.map(String::from), took, failure: None, block: None })
    }

    pub fn fail(&mut self, case: &str, failure: Failure) -> &mut Story {
        let took = self.took(case);
        let outcome = if failure.blame == Blame::Product { Outcome::Failed } else { Outcome::Errored };
        let reason = Some(failure.message.clone());
        self.tell(case, Fact::CaseFinished { outcome, reason, took, failure: Some(Box::new(failure)), block: None })
    }

    pub fn over(mut self, verdict: Verdict) -> Story {
        let took = self.now.since(at(0.0)).as_secs_f64();
        self.tell("", Fact::RunFinished { verdict, took });
        self
    }

    fn took(&self, case: &str) -> f64 {
        self.began.get(case).map_or(0.0, |began| self.now.since(*began).as_secs_f64())
    }
}

/// A failure with everything in it.
pub fn failure() -> Failure {
    let lines = |first: usize, texts: &[&str]| {
        texts.iter().zip(first..).map(|(text, number)| SourceLine { number, text: (*text).into() }).collect()
    };
    let local = |name: &str, value: &str| Local { name: name.into(), value: value.into() };
    Failure {
        kind: Kind::Assertion,
        blame: Blame::Product,
        message: "the guest did not really reboot".into(),
        data: Some("before: 4f1c9a\nafter:  4f1c9a".into()),
        causes: vec!["boot id is the same".into()],
        help: Some("look at the guest's console".into()),
        frames: vec![
            Frame {
                function: "check_boot".into(),
                place: Place { file: "scripts/lib/boot.rhai".into(), line: 13, column: 9 },
                lines: lines(12, &["fn check_boot(vm, before) {", "        fail(\"the guest did not really reboot\");", "}"]),
                locals: vec![local("vm", "guest(\"web1\", 10.0.0.5)"), local("before", "\"4f1c9a\"")],
            },
            Frame {
                function: "run".into(),
                place: Place { file: "scripts/guestops/reboot.rhai".into(), line: 21, column: 5 },
                lines: lines(20, &["    vm.reboot();", "    boot::check_boot(vm, before);", "}"]),
                locals: vec![local("times", "[12.1, 11.8]")],
            },
        ],
        calls: vec![
            Call {
                at: at(70.1),
                machine: "h1".into(),
                what: "systemctl reboot".into(),
                took: 0.21,
                end: ActionEnd::Ok("exit 0".into()),
            },
            Call {
                at: at(72.5),
                machine: "h1".into(),
                what: "cat /proc/sys/kernel/random/boot_id".into(),
                took: 0.002,
                end: ActionEnd::Failed("connection lost".into()),
            },
        ],
    }
}
