//! Running a plan: testcases on worker threads, each from its first phase to its outcome.
//!
//! Never true here: that anything planned has no place in the stream, that an error in one testcase reaches another, that a clean-up
//! is forgotten because a testcase was stopped.
//!
//! A plan is walked by `step.rs`, which has the rules of blocks and clean-ups. `case.rs` runs a case attempt by attempt, `life.rs` an
//! attempt from its first phase to its last clean-up.
//!
//! To add a sort of work: a variant of [`Work`] and an arm in `life.rs`. To add a sort of testcase: a file beside `program.rs`.

mod alarm;
mod baseline;
mod board;
mod case;
mod check;
mod control;
mod expect;
mod fan;
mod habits;
mod history;
mod junit;
mod lack;
mod lanes;
mod leftover;
mod life;
mod needs;
mod outline;
mod output;
mod part;
mod past;
mod pause;
mod plan;
mod program;
mod protocol;
mod provision;
mod report;
mod rounds;
mod select;
mod semaphore;
mod settle;
mod step;
pub mod tap;

pub use baseline::Reader as BaselineReader;
pub use check::check_sequences;
pub use control::{Control, Standing, Status, ThreadStanding};
pub use history::History;
pub use outline::{Branch, Counts, Leaf, Outline, Part, Remark, Times};
pub use past::Past;
pub use pause::{Ask, Seat};
pub use plan::{Done, Group, Note, Plan, PlannedCase, Preparation, Step, Unusable, Work};
pub use provision::survey;
pub use rounds::Rounds;
pub use select::select;
pub use settle::{Selection, settle};

use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::event::{Beginning, Bus, Fact, Judgement, Level, Tested, Verdict};
use crate::lab::Lab;
use crate::metric::Baselines;
use crate::name::CaseId;
use crate::script::{Args, Case, Catalog, STACK, Scripts};
use crate::time::{Cancel, Stop};
use crate::vars::Live;
use alarm::Alarm;
use habits::Habits;
use lanes::Lanes;
use pause::Pausing;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use step::{Shared, Walk};

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
    /// How many children of one parallel run at a time, at most, whatever the plan says.
    pub workers: Option<usize>,
    /// Limit of a testcase, stronger than the one in its `meta()` or in the sequence.
    pub timeout: Option<Duration>,
    /// Limit of the whole run, what it has been running before included, without its clean-ups.
    pub run_timeout: Option<Duration>,
    /// How often a testcase that does not pass is tried again, stronger than what the sequence says.
    pub retries: Option<u32>,
    /// Whether nothing more begins after the first failure.
    pub fail_fast: bool,
    /// Whether what was prepared is removed in the end.
    pub clean_up: bool,
    /// Whether `post_run` is left out.
    pub no_post_run: bool,
    /// Limit of everything that happens to a testcase after it was judged: logs, `post_run`, clean-ups.
    pub cleanup: Duration,
    /// Whether logs are fetched from the machines after a testcase that did not pass.
    pub collect_logs: bool,
    pub results: PathBuf,
    /// Seen by every testcase, and set by whoever steers the run.
    pub variables: Live,
    /// What measured values are compared with.
    pub baselines: Baselines,
    /// What a person is to be told when it begins.
    pub notices: Vec<String>,
    /// Where whoever wants to steer it is listened to.
    pub listening: Option<String>,
    /// Set when the run has been going on before.
    pub resumed: Option<Resumed>,
}

/// A run that is taken up again. What it has done already stands in the plan ([`PlannedCase::done`]).
pub struct Resumed {
    /// What had ended and is run again.
    pub again: Vec<CaseId>,
    /// How many rounds have been planned before, the first with them.
    pub rounds: usize,
    /// For how long it has been running.
    pub ran: Duration,
}

/// Runs plans.
pub struct Runner {
    pub settings: Settings,
    pub lab: Arc<Lab>,
    pub scripts: Arc<Scripts>,
    pub bus: Bus,
    /// Raised when the run is to end: what runs is stopped and cleaned up, what has not begun is not begun.
    pub cancel: Cancel,
    /// What people ask of the run meanwhile.
    pub control: Control,
}

impl Runner {
    /// Runs everything and says how it went. Every fact is in the stream.
    ///
    /// # Errors
    /// A variable that makes no sense, or no thread could be made; nothing ran then.
    pub fn run(&self, plan: &Plan) -> Result<Verdict> {
        self.run_until_failure(plan, &mut std::iter::empty())
    }

    /// Runs a plan, and as long as everything passes the next one too, as a further round of the same run. A testcase that failed or errored
    /// ends it also where the criteria would let the round pass.
    ///
    /// The cases and groups of all rounds have ids and numbers of their own: see [`Rounds`].
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_until_failure(&self, first: &Plan, further: &mut (dyn Iterator<Item = Plan> + Send)) -> Result<Verdict> {
        let habits = Habits::of(&self.settings.variables)?;
        let (alarm, lanes, is_broken) = (Arc::new(Alarm::default()), Lanes::default(), AtomicBool::new(false));
        let shared = Shared { runner: self, habits, alarm, lanes, is_broken };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("run".into()).stack_size(STACK);
            let run = thread.spawn_scoped(scope, || self.rounds(&shared, first, further));
            let run = run.map_err(|e| Error::new(Kind::Internal, "no thread for the testcases").because(e))?;
            run.join().map_err(|panic| step::panicked(&*panic))
        })
    }

    fn rounds(&self, shared: &Shared<'_>, first: &Plan, further: &mut dyn Iterator<Item = Plan>) -> Verdict {
        let clock = Instant::now();
        self.bus.publish(None, self.begins(first));
        if let Some(address) = self.settings.listening.clone() {
            self.bus.publish(None, Fact::Listening { address });
        }
        for text in self.settings.notices.clone() {
            self.bus.publish(None, Fact::Logged { level: Level::Warning, text });
        }
        first.known.iter().for_each(|known| provision::recall(self, known));
        let used = self.settings.resumed.as_ref().map_or(Duration::ZERO, |resumed| resumed.ran);
        let limited = self.settings.run_timeout.map(|limit| self.cancel.child_with_rest("run", limit, used));
        let half = self.settings.run_timeout.and_then(|limit| shared.at_half("run", limit, used));
        let cancel = limited.as_ref().unwrap_or(&self.cancel);
        let mut results = self.round(shared, first, cancel);
        // Where the results of the last round begin.
        let mut last = 0;
        // A run that is taken up again has told of some rounds already.
        let told = self.settings.resumed.as_ref().map_or(1, |resumed| resumed.rounds);
        for round in 2.. {
            let judged = self.judged(shared, first, &results[last..]);
            if judged.verdict != Verdict::Passed || !judged.regression || cancel.is_raised() {
                break;
            }
            let Some(next) = further.next() else { break };
            if round > told {
                self.bus.publish(None, self.extended(&next));
            }
            last = results.len();
            results.append(&mut self.round(shared, &next, cancel));
        }
        drop(half);
        self.before_exit();
        if self.settings.clean_up {
            provision::clean_up(self);
        }
        let verdict = self.judged(shared, first, &results).verdict;
        self.bus.publish(None, Fact::RunFinished { verdict, took: clock.elapsed().as_secs_f64() });
        verdict
    }

    /// With `PAUSE_BEFORE_EXIT` a person may look before anything is cleaned up.
    fn before_exit(&self) {
        let id = CaseId::new("exit");
        let context = Context::new(self.bus.clone(), None, self.settings.results.clone(), self.cancel.child());
        let (variables, scripts) = (self.settings.variables.clone(), self.scripts.clone());
        let case = Arc::new(Case::new(context, self.lab.clone(), Args::new(), variables, scripts));
        let _place = self.control.begin(&id, &self.cancel, &case.trails, &case.context);
        Pausing::new(&self.control, &id, Box::new(Vec::new), &self.cancel).at_point(
            &case,
            "PAUSE_BEFORE_EXIT",
            "everything has run",
        );
    }

    fn round(&self, shared: &Shared<'_>, plan: &Plan, cancel: &Cancel) -> Vec<Tested> {
        self.control.plan(plan.cases.iter().map(|case| case.id.clone()));
        let walk = Walk::new(shared, plan);
        walk.all(cancel);
        let mut results = walk.board.results(plan);
        // What somebody has set counts, also after the testcase had ended.
        for (tested, planned) in results.iter_mut().zip(&plan.cases) {
            if let Some(set) = self.control.result(&planned.id).filter(|_| tested.outcome.is_some()) {
                *tested = Tested { outcome: Some(set), subcases: crate::event::Counts::default(), ..*tested };
            }
        }
        results
    }

    fn judged(&self, shared: &Shared<'_>, plan: &Plan, results: &[Tested]) -> Judgement {
        let is_stopped = self.cancel.reason() == Some(Stop::User) || self.control.ended_by().is_some();
        let judged = Judgement::over(&plan.criteria, results.iter().copied(), is_stopped);
        match judged.verdict {
            // What the harness lost may have been a clean-up, which does not count.
            Verdict::Passed | Verdict::NothingRan if shared.is_broken.load(Ordering::Relaxed) => {
                Judgement { verdict: Verdict::Errored, ..judged }
            }
            _ => judged,
        }
    }

    fn extended(&self, plan: &Plan) -> Fact {
        Fact::PlanExtended { steps: plan.root.planned(), plan: plan.planned(&Catalog::new(self.scripts.clone())) }
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
            workers: self.settings.workers.or(plan.root.workers).unwrap_or(1),
            results: self.settings.results.clone(),
            sequence: plan.sequence.clone(),
            seed: plan.seed,
            criteria: plan.criteria.clone(),
            steps: plan.root.planned(),
            plan: plan.planned(&catalog),
        }))
    }
}
