//! Running a plan: testcases on worker threads, each from its first phase to its outcome.
//!
//! Never true here: that anything planned has no place in the stream, that an error in one testcase reaches another, that a clean-up
//! is forgotten because a testcase was stopped.
//!
//! To add a sort of work: a variant of [`Work`] and an arm in `case.rs`. To add a sort of testcase: a file beside `program.rs`.

mod case;
mod check;
mod expect;
mod history;
mod junit;
mod outline;
mod output;
mod part;
mod past;
mod plan;
mod program;
mod protocol;
mod report;
mod rounds;
mod select;
mod settle;
pub mod tap;

pub use check::check_sequences;
pub use history::History;
pub use outline::{Branch, Counts, Leaf, Outline, Part, Remark, Times};
pub use past::Past;
pub use plan::{Done, Group, Note, Plan, PlannedCase, Preparation, Step, Work};
pub use rounds::Rounds;
pub use select::select;
pub use settle::{Selection, settle};

use crate::error::{Error, Kind, Result};
use crate::event::{Beginning, Bus, Fact, Judgement, Outcome, Tested, Verdict};
use crate::lab::Lab;
use crate::name::CaseId;
use crate::script::{Catalog, STACK, Scripts};
use crate::time::{Cancel, Stop};
use crate::vars::Live;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a run is told from outside.
pub struct Settings {
    /// Short name of the run, unique enough for people.
    pub run: String,
    /// The command line, secrets masked.
    pub command: Vec<String>,
    /// Where it was given.
    pub cwd: PathBuf,
    /// What the environment set, secrets masked.
    pub environment: BTreeMap<String, String>,
    /// How many testcases of one parallel run at a time, at most.
    pub workers: usize,
    /// Limit of a testcase, stronger than the one in its `meta()`.
    pub timeout: Option<Duration>,
    /// Limit of everything that happens to a testcase after it was judged: logs, `post_run`, clean-ups.
    pub cleanup: Duration,
    /// Whether logs are fetched from the machines after a testcase that did not pass.
    pub collect_logs: bool,
    pub results: PathBuf,
    /// Seen by every testcase, and set by whoever steers the run.
    pub variables: Live,
    /// Set when the run has been going on before.
    pub resumed: Option<Resumed>,
}

/// A run that is taken up again. What it has done already stands in the plan ([`PlannedCase::done`]).
pub struct Resumed {
    /// What had ended and is run again.
    pub again: Vec<CaseId>,
    /// How many rounds have been planned before, the first with them.
    pub rounds: usize,
}

/// Runs plans.
pub struct Runner {
    pub settings: Settings,
    pub lab: Arc<Lab>,
    pub scripts: Arc<Scripts>,
    pub bus: Bus,
    /// Raised when the run is to end: what runs is stopped and cleaned up, what has not begun is not begun.
    pub cancel: Cancel,
}

impl Runner {
    /// Runs everything and says how it went. Every fact is in the stream.
    ///
    /// # Errors
    /// No worker thread could be made; nothing ran then.
    pub fn run(&self, plan: &Plan) -> Result<Verdict> {
        let clock = Instant::now();
        self.bus.publish(None, self.begins(plan));
        let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; plan.cases.len()]);
        let next = Mutex::new(plan.cases.iter().enumerate());
        let work = || {
            while !self.cancel.is_raised() {
                let Some((index, planned)) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
                let outcome = case::run(self, planned);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(outcome);
            }
        };
        let workers = self.settings.workers.clamp(1, plan.cases.len().max(1));
        std::thread::scope(|scope| -> Result<()> {
            for number in 0..workers {
                let thread = std::thread::Builder::new().name(format!("worker {number}")).stack_size(STACK);
                match thread.spawn_scoped(scope, work) {
                    Ok(_) => {}
                    Err(e) if number == 0 => return Err(Error::new(Kind::Internal, "no thread for the testcases").because(e)),
                    Err(e) => {
                        // Fewer workers only take longer.
                        tracing::warn!("{number} workers instead of {workers}: {e}");
                        break;
                    }
                }
            }
            Ok(())
        })?;
        let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tested = |(planned, outcome): (&PlannedCase, Option<Outcome>)| Tested {
            role: planned.role,
            priority: planned.priority,
            outcome,
            ..Tested::default()
        };
        let results = plan.cases.iter().zip(outcomes).map(tested);
        let verdict = Judgement::over(&plan.criteria, results, self.cancel.reason() == Some(Stop::User)).verdict;
        self.bus.publish(None, Fact::RunFinished { verdict, took: clock.elapsed().as_secs_f64() });
        Ok(verdict)
    }

    /// The first fact that this process tells.
    fn begins(&self, plan: &Plan) -> Fact {
        match &self.settings.resumed {
            None => self.started(plan),
            Some(resumed) => Fact::RunResumed {
                version: env!("CARGO_PKG_VERSION").to_string(),
                command: self.settings.command.clone(),
                again: resumed.again.clone(),
            },
        }
    }

    fn started(&self, plan: &Plan) -> Fact {
        let catalog = Catalog::new(self.scripts.clone());
        Fact::RunStarted(Box::new(Beginning {
            run: self.settings.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            command: self.settings.command.clone(),
            cwd: self.settings.cwd.clone(),
            environment: self.settings.environment.clone(),
            targets: self.lab.shown(),
            workers: self.settings.workers,
            results: self.settings.results.clone(),
            sequence: plan.sequence.clone(),
            seed: plan.seed,
            criteria: plan.criteria.clone(),
            steps: plan.root.planned(),
            plan: plan.cases.iter().map(|case| case.planned(&catalog)).collect(),
        }))
    }
}
