//! The walk through the tree of a plan: whose turn it is, what is blocked, and what is run at the end whatever happened.
//!
//! # The rules
//! - A testcase raises a block when it is a blocker and ended neither passed, partial nor flaky, and was not itself blocked; a skipped
//!   one does only with `OPTION_BLOCK_ON_SKIP`. An action raises one whenever it did not pass.
//! - A serial that sees a block blocks its later children. In a parallel the others go on, also those that have not begun.
//! - A serial or parallel passes a block on to what it is in only if it is a blocker itself.
//! - The finally of a serial or parallel that has begun is run whatever happened: after a failure, a block, a time limit, Ctrl-C. One of
//!   which nothing was selected skips it. One that is blocked before it begins has nothing to clean up: its finally is blocked too, and
//!   so is everything when the preparation fails.
//! - Where a preparation made only a part of what it was to make, a case is blocked when a machine, pool or VM that it names is not
//!   there, or stands on what is not; one that names none needs everything.
//! - After `--fail-fast` and after a time limit what has not begun is blocked; after Ctrl-C it has no result at all.

use super::alarm::{Alarm, Ring};
use super::board::Board;
use super::habits::Habits;
use super::lack::Lacks;
use super::lanes::Lanes;
use super::plan::{Group, Plan, PlannedCase, Step, Work};
use super::semaphore::Semaphores;
use super::{Runner, case, fan};
use crate::error::{Error, Kind};
use crate::event::{Block, Counts, Fact, Failure, Level, Order, Outcome, Role};
use crate::time::{Cancel, Stop};
use crate::unit;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What all plans of a run have in common.
pub struct Shared<'a> {
    pub runner: &'a Runner,
    pub habits: Habits,
    pub alarm: Arc<Alarm>,
    pub lanes: Lanes,
    /// Whether the harness itself failed, so that nothing can be called passed.
    pub is_broken: AtomicBool,
}

/// A plan on its way.
pub struct Walk<'a> {
    pub shared: &'a Shared<'a>,
    pub plan: &'a Plan,
    pub semaphores: Semaphores,
    pub board: Board,
    pub lacks: Lacks,
    halt: OnceLock<Halt>,
}

/// Why nothing more of the whole plan is begun.
struct Halt {
    block: Block,
    /// Whether there is nothing to clean up either.
    and_clean_ups: bool,
}

/// Where a step stands.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// Raised when what runs is to stop: by a person, by the limit of the run or of what it is in.
    pub cancel: &'a Cancel,
    /// Whether it is a part of a finally block.
    pub is_cleanup: bool,
}

impl Standing<'_> {
    /// Whether a person (or a lost log) has ended the run: nothing more begins, and what has not begun has no result.
    pub fn is_stopped(&self) -> bool {
        matches!(self.cancel.reason(), Some(Stop::User | Stop::Unrecorded))
    }

    /// The time limit that is over, if one is.
    pub fn limit(&self) -> Option<Block> {
        match self.cancel.reason() {
            Some(Stop::Deadline { whose, limit }) => {
                Some(Block::Limit { whose: format!("the {whose}"), seconds: limit.as_secs_f64() })
            }
            _ => None,
        }
    }
}

impl<'a> Walk<'a> {
    pub fn new(shared: &'a Shared<'a>, plan: &'a Plan) -> Walk<'a> {
        let (semaphores, board) = (Semaphores::new(&plan.semaphores), Board::new(plan));
        Walk { shared, plan, semaphores, board, lacks: Lacks::default(), halt: OnceLock::new() }
    }

    /// Walks through the whole plan. Afterwards everything has an outcome, unless the run was stopped.
    pub fn all(&self, cancel: &Cancel) {
        let standing = Standing { cancel, is_cleanup: false };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.group(&self.plan.root, standing))) {
            self.broke(&*panic);
        }
        if !standing.is_stopped() {
            let error = Error::new(Kind::Internal, "it never had its turn").help(FAULT);
            (0..self.plan.cases.len()).for_each(|case| self.lose(case, &error));
        }
    }

    /// Walks through a step, and says what it blocks.
    fn step(&self, step: &Step, standing: Standing<'_>) -> Option<Block> {
        let walk = || match step {
            Step::Group(group) => self.group(group, standing),
            Step::Case(case) => self.case(*case, standing),
        };
        catch_unwind(AssertUnwindSafe(walk)).unwrap_or_else(|panic| {
            let error = self.broke(&*panic);
            step.each_case(&mut |case| self.lose(case, &error));
            self.blocked_by_loss(step)
        })
    }

    fn group(&self, group: &Group, standing: Standing<'_>) -> Option<Block> {
        if standing.is_stopped() {
            return None;
        }
        if let Some(block) = &group.done {
            return block.clone();
        }
        if let Some(block) = self.in_the_way(standing) {
            self.give_up_group(group, &block);
            return Some(block);
        }
        let clock = Instant::now();
        let bus = &self.shared.runner.bus;
        bus.publish(None, Fact::StepStarted { step: group.number });
        let limited = group.timeout.map(|limit| standing.cancel.child_with_limit(&group.shown(), limit));
        let half = group.timeout.and_then(|limit| self.shared.at_half(&group.shown(), limit, Duration::ZERO));
        let inside = Standing { cancel: limited.as_ref().unwrap_or(standing.cancel), ..standing };
        let raised = match group.order {
            Order::Serial => self.serial(&group.steps, inside),
            Order::Parallel => self.parallel(group, inside),
        };
        drop(half);
        self.finally(group);
        let block = raised.filter(|_| group.blocker);
        let took = clock.elapsed().as_secs_f64();
        bus.publish(None, Fact::StepFinished { step: group.number, took, block: block.clone() });
        block
    }

    fn serial(&self, steps: &[Step], standing: Standing<'_>) -> Option<Block> {
        let mut raised = None;
        for step in steps {
            match &raised {
                None => raised = self.step(step, standing),
                Some(_) if standing.is_stopped() => {}
                Some(block) => self.give_up(step, block),
            }
        }
        raised
    }

    /// All children are begun in order; of several blocks the one of the first child counts.
    fn parallel(&self, group: &Group, standing: Standing<'_>) -> Option<Block> {
        let raised: Mutex<Option<(usize, Block)>> = Mutex::default();
        fan::side_by_side(group.steps.len(), group.width(self.shared.runner.settings.workers), &|child| {
            let Some(block) = self.step(&group.steps[child], standing) else { return };
            let mut raised = raised.lock().unwrap_or_else(PoisonError::into_inner);
            if raised.as_ref().is_none_or(|(first, _)| child < *first) {
                *raised = Some((child, block));
            }
        });
        raised.into_inner().unwrap_or_else(PoisonError::into_inner).map(|(_, block)| block)
    }

    /// One after another, each with a limit of its own: what has stopped the steps before does not stop these.
    fn finally(&self, group: &Group) {
        if group.finally.is_empty() {
            return;
        }
        if group.is_unselected(self.plan) {
            let why = unselected(group);
            group.finally.iter().for_each(|step| step.each_case(&mut |case| self.skip(case, &why)));
            return;
        }
        let cancel = Cancel::new();
        self.serial(&group.finally, Standing { cancel: &cancel, is_cleanup: true });
    }

    fn case(&self, index: usize, standing: Standing<'_>) -> Option<Block> {
        let planned = &self.plan.cases[index];
        if let Work::Prepare(preparation) = &planned.work
            && (planned.done.is_some() || planned.has_passed)
        {
            super::provision::recall(self.shared.runner, preparation);
        }
        if let Some(done) = &planned.done {
            return done.block.clone().or_else(|| self.raised(planned, done.outcome, standing));
        }
        if standing.is_stopped() || !self.board.take(index) {
            return None;
        }
        if let Some(reason) = &planned.skip {
            self.finish(index, Outcome::Skipped, Some(reason), None);
            return self.raised(planned, Outcome::Skipped, standing);
        }
        if let Some(block) = self.in_the_way(standing) {
            self.finish(index, Outcome::Blocked, Some(&block.to_string()), Some(&block));
            return Some(block);
        }
        if let Some(block) = self.lacks.block(planned) {
            self.finish(index, Outcome::Blocked, Some(&block.to_string()), Some(&block));
            return planned.blocker.then_some(block);
        }
        let has_passed = |at: usize| self.plan.cases[at].has_passed || self.board.outcome(at).is_some_and(Outcome::is_pass);
        let unmet = |at: &&usize| !has_passed(**at);
        let outcome = if let Some(needed) = planned.depends.iter().find(unmet) {
            self.finish(index, Outcome::Skipped, Some(&self.unmet(*needed)), None);
            Outcome::Skipped
        } else {
            let (outcome, subcases) = case::run(self, planned, standing);
            self.board.tell(index, outcome, subcases);
            outcome
        };
        self.raised(planned, outcome, standing)
    }

    /// What a case that had its turn blocks; and whether anything more is begun at all.
    fn raised(&self, planned: &PlannedCase, outcome: Outcome, standing: Standing<'_>) -> Option<Block> {
        let id = planned.id.clone();
        let is_bad = matches!(outcome, Outcome::Failed | Outcome::Errored);
        // Where something was prepared, only what stands on the rest is blocked.
        if is_bad && self.lacks.is_told(&id) && !standing.is_stopped() && !self.shared.runner.settings.fail_fast {
            let block = self.lacks.block_all(self.plan)?;
            if self.is_first_preparation(planned) {
                let _ = self.halt.set(Halt { block: block.clone(), and_clean_ups: true });
            }
            return Some(block);
        }
        let is_action = planned.role == Role::Action;
        let said = self.shared.runner.control.blocker(&planned.id);
        let is_blocker = said.unwrap_or(planned.blocker);
        let raises = match outcome {
            Outcome::Skipped => is_blocker && !is_action && !planned.has_passed && self.shared.habits.block_on_skip,
            // An action blocks whatever the plan says of it, unless somebody says otherwise.
            _ => is_bad && (is_blocker || is_action && said.is_none()),
        };
        if is_bad && self.is_first_preparation(planned) {
            let _ = self.halt.set(Halt { block: Block::Case { id: id.clone(), outcome }, and_clean_ups: true });
        } else if is_bad && !standing.is_cleanup && self.shared.runner.settings.fail_fast && !standing.is_stopped() {
            let _ = self.halt.set(Halt { block: Block::FailFast { id: id.clone(), outcome }, and_clean_ups: false });
        }
        if raises {
            return Some(Block::Case { id, outcome });
        }
        // What a limit stopped did not do what the rest of a blocker may need.
        if outcome.is_bad() { standing.limit() } else { None }
    }

    /// Whether it prepares what everything in the plan needs: nothing but preparation comes before it.
    fn is_first_preparation(&self, planned: &PlannedCase) -> bool {
        let before = self.plan.cases.iter().take_while(|case| matches!(case.work, Work::Prepare(_)));
        before.into_iter().any(|case| case.id == planned.id)
    }

    fn unmet(&self, needed: usize) -> String {
        let id = &self.plan.cases[needed].id;
        match self.board.outcome(needed) {
            Some(outcome) => format!("depends on {id}, {}", outcome.word()),
            None => format!("depends on {id}, which has no result yet"),
        }
    }

    /// Why what stands here is not begun.
    fn in_the_way(&self, standing: Standing<'_>) -> Option<Block> {
        let ended = || self.shared.runner.control.ended_by().map(|who| Block::Ended { who }).filter(|_| !standing.is_cleanup);
        let halt = self.halt.get().filter(|halt| halt.and_clean_ups || !standing.is_cleanup);
        halt.map(|halt| halt.block.clone()).or_else(|| standing.limit()).or_else(ended)
    }

    /// Everything in a step is blocked.
    fn give_up(&self, step: &Step, block: &Block) {
        match step {
            Step::Group(group) => self.give_up_group(group, block),
            Step::Case(case) => self.block(*case, block),
        }
    }

    fn give_up_group(&self, group: &Group, block: &Block) {
        group.steps.iter().for_each(|step| self.give_up(step, block));
        let why = group.is_unselected(self.plan).then(|| unselected(group));
        for step in &group.finally {
            match &why {
                Some(why) => step.each_case(&mut |case| self.skip(case, why)),
                None => self.give_up(step, block),
            }
        }
    }

    /// A case is blocked, unless it was not to be run anyway.
    fn block(&self, index: usize, block: &Block) {
        match &self.plan.cases[index].skip {
            Some(reason) => self.skip(index, reason),
            None if self.board.take(index) => self.finish(index, Outcome::Blocked, Some(&block.to_string()), Some(block)),
            None => {}
        }
    }

    fn skip(&self, index: usize, reason: &str) {
        if self.board.take(index) {
            self.finish(index, Outcome::Skipped, Some(reason), None);
        }
    }

    /// The end of a case that was never started.
    fn finish(&self, index: usize, outcome: Outcome, reason: Option<&str>, block: Option<&Block>) {
        let (reason, block) = (reason.map(str::to_string), block.cloned());
        let fact = Fact::CaseFinished { outcome, reason, took: 0.0, failure: None, block };
        self.shared.runner.bus.publish(Some(&self.plan.cases[index].id), fact);
        self.board.tell(index, outcome, Counts::default());
    }

    /// A case that the harness lost by its own fault gets an outcome all the same.
    fn lose(&self, index: usize, error: &Error) {
        let Some(planned) = self.plan.cases.get(index).filter(|_| self.board.outcome(index).is_none()) else { return };
        self.shared.is_broken.store(true, Ordering::Relaxed);
        let (reason, failure) = (Some(error.what.clone()), Some(Box::new(Failure::of(error))));
        let fact = Fact::CaseFinished { outcome: Outcome::Errored, reason, took: 0.0, failure, block: None };
        self.shared.runner.bus.publish(Some(&planned.id), fact);
        self.board.tell(index, Outcome::Errored, Counts::default());
    }

    /// What follows a blocker that was lost is blocked as if it had failed.
    fn blocked_by_loss(&self, step: &Step) -> Option<Block> {
        let mut cases = Vec::new();
        step.each_case(&mut |case| cases.extend(self.plan.cases.get(case)));
        let is_blocker = match step {
            Step::Group(group) => group.blocker,
            Step::Case(_) => cases.iter().any(|case| case.blocker || case.role == Role::Action),
        };
        let id = cases.first().filter(|_| is_blocker)?.id.clone();
        Some(Block::Case { id, outcome: Outcome::Errored })
    }

    /// Remembers that the harness itself panicked.
    fn broke(&self, panic: &(dyn Any + Send)) -> Error {
        self.shared.is_broken.store(true, Ordering::Relaxed);
        panicked(panic)
    }
}

impl Shared<'_> {
    /// Tells when half of a time limit of the run, or of a part of it, is over; nothing when it was over before.
    pub fn at_half(&self, whose: &str, limit: Duration, used: Duration) -> Option<Ring> {
        let left = (limit / 2).checked_sub(used)?;
        let (bus, text) = (self.runner.bus.clone(), half_over(whose, limit));
        Some(self.alarm.after(left, move || bus.publish(None, Fact::Logged { level: Level::Warning, text })))
    }
}

/// What is said at half time.
pub fn half_over(whose: &str, limit: Duration) -> String {
    format!("half of the time limit of the {whose} ({}) is over", unit::show_duration(limit))
}

const FAULT: &str = "this is a fault of xrt; please report it with the event log";

/// The error that a panic of the harness is.
pub fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::new(Kind::Internal, format!("the harness panicked: {}", text.unwrap_or_default())).help(FAULT)
}

/// Why the clean-ups of a group are not run of which nothing else is.
pub fn unselected(group: &Group) -> String {
    format!("nothing of the {} was selected", group.shown())
}
