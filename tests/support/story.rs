//! Events of a run that never was, told one after the other.

use std::collections::BTreeMap;
use std::time::Duration;
use xenrt::error::{Blame, Kind};
use xenrt::event::{
    ActionEnd, Beginning, Block, Call, Event, Fact, Failure, Frame, Local, Order, Outcome, Place, Planned, PlannedStep, Role,
    SourceLine, Verdict,
};
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
        let command = ["xrt", "--guest", "h1", "--testcase", "scripts", "loops=3"];
        let plan = ids.iter().map(|id| planned(id)).collect();
        Story::of(Beginning { command: command.map(String::from).to_vec(), workers: 2, plan, ..Beginning::default() })
    }

    /// A run of the sequence `smoke.seq` with this plan, a line each, what is in a step indented by two blanks below it:
    /// `serial LABEL`, `parallel LABEL 4`, `action ID`, `finally ID`, or the id of a testcase, then `P2`, `tc=…`, `sku=…`, `blocker`.
    pub fn sequence(plan: &str) -> Story {
        Story::of(Story::beginning(plan))
    }

    /// The beginning of such a run.
    pub fn beginning(plan: &str) -> Beginning {
        let mut beginning = Beginning {
            command: ["xrt", "--guest", "h1", "-s", "smoke.seq"].map(String::from).to_vec(),
            workers: 1,
            sequence: Some("smoke.seq".into()),
            ..Beginning::default()
        };
        let mut steps =
            vec![PlannedStep { step: 0, parent: None, order: Order::Serial, label: String::new(), workers: None, blocker: false }];
        // The step that a line stands in, by its depth.
        let mut above = vec![0];
        for line in plan.lines().filter(|line| !line.trim().is_empty()) {
            let depth = (line.len() - line.trim_start().len()) / 2;
            let words: Vec<&str> = line.split_whitespace().collect();
            above.truncate(depth + 1);
            let parent = Some(above[depth]);
            let blocker = words.contains(&"blocker");
            let order = match words[0] {
                "serial" => Some(Order::Serial),
                "parallel" => Some(Order::Parallel),
                _ => None,
            };
            if let Some(order) = order {
                let step = steps.len() as u32;
                let label = words.get(1).filter(|w| **w != "blocker").map(|w| (*w).to_string()).unwrap_or_default();
                let workers = words.get(2).and_then(|w| w.parse().ok());
                steps.push(PlannedStep { step, parent, order, label, workers, blocker });
                above.push(step);
                continue;
            }
            let role = match words[0] {
                "action" => Role::Action,
                "finally" => Role::Cleanup,
                _ => Role::Testcase,
            };
            let words = if role == Role::Testcase { &words[..] } else { &words[1..] };
            let named = |key: &str| words.iter().find_map(|w| w.strip_prefix(key)).map(Into::into);
            let priority = words[1..].iter().find_map(|w| w.strip_prefix('P')?.parse().ok());
            let (tc, sku) = (named("tc="), named("sku="));
            beginning.plan.push(Planned { role, parent, priority, tc, sku, blocker, ..planned(words[0]) });
        }
        beginning.steps = steps;
        beginning
    }

    /// A run that begins so; what is the same in all stories is filled in.
    pub fn of(beginning: Beginning) -> Story {
        let mut story = Story { events: Vec::new(), now: at(0.0), began: BTreeMap::new() };
        let beginning = Beginning {
            run: "20261122-090000-7f3a".into(),
            version: "0.1.0".into(),
            targets: vec!["h1".into()],
            results: "results/20261122-090000-7f3a".into(),
            ..beginning
        };
        story.tell("", Fact::RunStarted(Box::new(beginning)));
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
        self.start_on(case, 0)
    }

    /// Starts a testcase in a row of its own.
    pub fn start_on(&mut self, case: &str, lane: u32) -> &mut Story {
        self.attempt(case, 1, lane)
    }

    /// Starts an attempt, from 1.
    pub fn attempt(&mut self, case: &str, attempt: u32, lane: u32) -> &mut Story {
        self.began.insert(case.into(), self.now);
        let args = BTreeMap::from([("loops".to_string(), 3.into()), ("note".to_string(), "a <b> & \"c\"".into())]);
        let mut dir = std::path::PathBuf::from(CaseId::new(case).directory());
        if attempt > 1 {
            dir.push(format!("attempt-{attempt}"));
        }
        self.tell(case, Fact::CaseStarted { args, timeout: Some(600.0), dir, attempt, lane })
    }

    /// An attempt ends, and another one will be made.
    pub fn retry(&mut self, case: &str, attempt: u32, failure: Failure) -> &mut Story {
        let took = self.took(case);
        let (outcome, reason) = (failure.outcome(), Some(failure.message.clone()));
        self.tell(case, Fact::AttemptFinished { attempt, outcome, reason, took, failure: Some(Box::new(failure)) })
    }

    /// A testcase is not run because of another one.
    pub fn block(&mut self, case: &str, by: &str, outcome: Outcome) -> &mut Story {
        let block = Block::Case { id: CaseId::new(by), outcome };
        let (reason, block) = (Some(block.to_string()), Some(block));
        self.tell(case, Fact::CaseFinished { outcome: Outcome::Blocked, reason, took: 0.0, failure: None, block })
    }

    /// The run died; another process goes on with it after a while, and runs these again although they have an end.
    pub fn resume(&mut self, after: f64, again: &[&str]) -> &mut Story {
        let again = again.iter().map(|id| CaseId::new(*id)).collect();
        self.after(after).tell("", Fact::RunResumed { version: "0.1.0".into(), command: vec![], again })
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

fn planned(id: &str) -> Planned {
    let title = format!("The title of {id}").into();
    Planned { title, file: format!("scripts/{id}.rhai").into(), ..Planned::new(CaseId::new(id), id) }
}

/// A failure with a message and nothing else.
pub fn plain_failure(message: &str) -> Failure {
    Failure { message: message.into(), frames: vec![], calls: vec![], causes: vec![], help: None, data: None, ..failure() }
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
