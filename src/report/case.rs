//! What is known of one planned case: its place in the plan, its result, its attempts.

use super::notes::Notes;
use crate::event::{Block, Failure, Level, Outcome, Phase, Place, Planned, Role};
use crate::name::CaseId;
use crate::time::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Of how many attempts everything is kept; of further ones the result alone.
const ATTEMPTS_WHOLE: usize = 100;

/// A testcase of the run, or what else the plan has: a clean-up, an action.
#[derive(Debug)]
pub struct Case {
    pub id: CaseId,
    pub testcase: Arc<str>,
    pub title: Arc<str>,
    /// As shown to people, or empty.
    pub file: Arc<str>,
    /// What its result counts for.
    pub role: Role,
    /// The step that it is a child of, by its number in the plan.
    pub parent: Option<u32>,
    pub priority: Option<u32>,
    /// Id of its definition in a ticket system, and its variant.
    pub tc: Option<Arc<str>>,
    pub sku: Option<Arc<str>>,
    pub blocker: bool,
    /// Whether the plan has it.
    pub planned: bool,
    /// Nothing as long as it has not finished.
    pub outcome: Option<Outcome>,
    pub reason: Option<Box<str>>,
    pub failure: Option<Box<Failure>>,
    /// Why it was not run, when it is blocked.
    pub block: Option<Box<Block>>,
    /// Who set its result to what it is, whatever it said itself.
    pub overridden: Option<Box<Overridden>>,
    /// Seconds.
    pub took: f64,
    /// When its last attempt began.
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub phase: Option<Phase>,
    pub phase_since: Option<Timestamp>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// A list, as ten thousand maps of a few are large.
    pub args: Vec<(String, serde_json::Value)>,
    /// The directory of its last attempt, relative to the results.
    pub dir: PathBuf,
    /// Which of the things that run side by side it is, from 0.
    pub lane: u32,
    /// Number of its last attempt, from 1.
    pub attempt: u32,
    /// The attempts before the last one, in order.
    pub attempts: Vec<Attempt>,
    notes: Option<Box<Notes>>,
}

/// An attempt that another one was made after.
#[derive(Debug)]
pub struct Attempt {
    pub number: u32,
    /// Nothing when the run died or was stopped in it, and it was made again when the run was resumed.
    pub outcome: Option<Outcome>,
    pub reason: Option<Box<str>>,
    pub failure: Option<Box<Failure>>,
    /// Seconds.
    pub took: f64,
    pub started: Option<Timestamp>,
    pub ended: Timestamp,
    /// Relative to the results.
    pub dir: PathBuf,
    pub lane: u32,
    notes: Option<Box<Notes>>,
}

/// A result that somebody set.
#[derive(Clone, Debug, PartialEq)]
pub struct Overridden {
    pub at: Timestamp,
    pub by: Box<str>,
    pub outcome: Outcome,
    /// What it came to itself, and why; nothing as long as it has not ended.
    pub own: Option<(Outcome, Option<Box<str>>)>,
}

/// How something ended, as a fact tells it.
pub(super) struct End<'a> {
    pub at: Timestamp,
    pub outcome: Outcome,
    pub reason: Option<&'a str>,
    pub took: f64,
    pub failure: Option<&'a Failure>,
    pub block: Option<&'a Block>,
}

impl Case {
    pub(super) fn planned(planned: &Planned) -> Case {
        let mut case = Case::unplanned(planned.id.clone());
        case.plan(planned);
        case
    }

    /// The plan catches up with a testcase that was heard of before.
    pub(super) fn plan(&mut self, planned: &Planned) {
        self.testcase.clone_from(&planned.testcase);
        self.title.clone_from(&planned.title);
        self.file.clone_from(&planned.file);
        self.role = planned.role;
        self.parent = planned.parent;
        self.priority = planned.priority;
        self.tc.clone_from(&planned.tc);
        self.sku.clone_from(&planned.sku);
        self.blocker = planned.blocker;
        self.planned = true;
    }

    pub(super) fn unplanned(id: CaseId) -> Case {
        Case {
            id,
            testcase: Arc::default(),
            title: Arc::default(),
            file: Arc::default(),
            role: Role::Testcase,
            parent: None,
            priority: None,
            tc: None,
            sku: None,
            blocker: false,
            planned: false,
            outcome: None,
            reason: None,
            failure: None,
            block: None,
            overridden: None,
            took: 0.0,
            started: None,
            ended: None,
            phase: None,
            phase_since: None,
            timeout: None,
            args: Vec::new(),
            dir: PathBuf::new(),
            lane: 0,
            attempt: 1,
            attempts: Vec::new(),
            notes: None,
        }
    }

    /// What a command line calls it: its file, or its name when it is inside the program.
    pub fn reference(&self) -> &str {
        if self.file.is_empty() || self.file.starts_with("builtin:") { &self.testcase } else { &self.file }
    }

    /// Whether an attempt has begun and has no result.
    pub fn is_running(&self) -> bool {
        self.started.is_some() && self.outcome.is_none()
    }

    /// Whether it was ever begun.
    pub fn has_begun(&self) -> bool {
        self.started.is_some() || !self.attempts.is_empty()
    }

    /// When it was begun for the first time.
    pub fn first_started(&self) -> Option<Timestamp> {
        self.attempts.iter().find_map(|a| a.started).or(self.started)
    }

    /// Whether a person should look at it: failed, errored, blocked, or without a result.
    pub fn is_bad(&self) -> bool {
        self.outcome.is_none_or(Outcome::is_bad)
    }

    /// Seconds: how long it took, or ran until the last that was heard.
    pub fn took_until(&self, last: Option<Timestamp>) -> f64 {
        match (self.outcome, self.started, last) {
            (None, Some(started), Some(last)) => last.since(started).as_secs_f64(),
            _ => self.took,
        }
    }

    /// Whether it passed and is to be looked at all the same: not wholly, not at once, or because a person has said so.
    pub fn is_notable(&self) -> bool {
        self.outcome.is_some_and(Outcome::is_pass) && !self.is_plain_pass()
    }

    /// Whether it passed, and there is nothing to be said of that.
    pub fn is_plain_pass(&self) -> bool {
        self.outcome == Some(Outcome::Passed) && self.overridden.is_none()
    }

    /// Why it is not a pass, in one line as far as the author kept to one.
    pub fn why(&self) -> Option<&str> {
        let said = || self.notes().said.iter().rev().find(|s| s.level == Level::Reason).map(|s| &*s.text);
        self.reason.as_deref().or_else(|| self.failure.as_ref().map(|f| f.message.as_str())).or_else(said)
    }

    /// Where it went wrong, innermost first; or else where its first subcase did that went wrong.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let of_subcase = self.notes().subcases.iter().find_map(|s| s.failure.as_deref().filter(|_| s.outcome.is_bad()));
        let failure = self.failure.as_deref().filter(|failure| !failure.frames.is_empty()).or(of_subcase);
        failure.into_iter().flat_map(|failure| &failure.frames).map(|frame| &frame.place)
    }

    /// What its last attempt said, measured and left.
    pub fn notes(&self) -> &Notes {
        self.notes.as_deref().unwrap_or(Notes::none())
    }

    /// What it said, measured and left in all its attempts, first to last.
    pub fn all_notes(&self) -> impl Iterator<Item = &Notes> {
        self.attempts.iter().map(Attempt::notes).chain([self.notes()])
    }

    /// Whether it has left any.
    pub fn has_notes(&self) -> bool {
        self.notes.is_some()
    }

    pub(super) fn notes_mut(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    /// Begins an attempt. False when there is a result, or one is going on.
    pub(super) fn begin(&mut self, at: Timestamp, attempt: u32, lane: u32, dir: &Path) -> bool {
        let is_sane = self.started.is_none() && self.outcome.is_none();
        self.started.get_or_insert(at);
        self.attempt = attempt.max(1);
        self.lane = lane;
        self.dir = dir.to_path_buf();
        is_sane
    }

    /// An attempt has ended and another is to be made. False when none was going on.
    pub(super) fn retry(&mut self, end: &End) -> bool {
        let was_running = self.is_running();
        self.lay_aside(end.at, Some(end));
        was_running
    }

    /// What has ended is to be run again: an attempt that was cut off. Its result was none.
    pub(super) fn reopen(&mut self) -> Option<Outcome> {
        let outcome = self.outcome.take()?;
        let (reason, failure) = (self.reason.take(), self.failure.take());
        (self.block, self.overridden, self.took) = (None, None, 0.0);
        let ended = self.ended.take();
        if let (Some(_), Some(ended)) = (self.started, ended) {
            self.lay_aside(ended, None);
            if let Some(attempt) = self.attempts.last_mut() {
                (attempt.reason, attempt.failure) = (reason, failure);
            }
        }
        Some(outcome)
    }

    /// The run died in an attempt, if one was going on, and goes on without it.
    pub(super) fn interrupt(&mut self, last: Timestamp) {
        if self.is_running() {
            self.overridden = None;
            self.lay_aside(last, None);
        }
    }

    fn lay_aside(&mut self, at: Timestamp, end: Option<&End>) {
        let mut notes = self.notes.take();
        if let Some(notes) = &mut notes {
            notes.settle(false);
        }
        let is_whole = self.attempts.len() < ATTEMPTS_WHOLE;
        let took = end.map_or_else(|| self.started.map_or(0.0, |s| at.since(s).as_secs_f64()), |e| sound(e.took));
        self.attempts.push(Attempt {
            number: self.attempt,
            outcome: end.map(|e| e.outcome),
            reason: end.and_then(|e| e.reason).map(Box::from),
            failure: end.and_then(|e| e.failure).filter(|_| is_whole).cloned().map(Box::new),
            took,
            started: self.started.take(),
            ended: at,
            dir: std::mem::take(&mut self.dir),
            lane: self.lane,
            notes: notes.filter(|_| is_whole),
        });
        (self.phase, self.phase_since) = (None, None);
    }

    /// The result; a second one counts only when it is worse.
    pub(super) fn finish(&mut self, end: &End) {
        let outcome = self.own(end.outcome);
        let before = self.overridden.as_ref().map_or(self.outcome, |overridden| overridden.own.as_ref().map(|own| own.0));
        if before.is_some_and(|before| badness(before) >= badness(outcome)) {
            return;
        }
        self.outcome = Some(outcome);
        self.reason = end.reason.map(Box::from);
        if let Some(mut overridden) = self.overridden.take() {
            overridden.own = Some((outcome, self.reason.take()));
            self.override_with(overridden);
        }
        self.failure = end.failure.cloned().map(Box::new);
        self.block = end.block.cloned().map(Box::new);
        self.took = sound(end.took);
        self.ended = Some(end.at);
        if let Some(notes) = &mut self.notes {
            notes.settle(!outcome.is_bad());
        }
    }

    /// Somebody sets the result, before or after its end.
    pub(super) fn set(&mut self, at: Timestamp, by: &str, outcome: Outcome) {
        let own = match self.overridden.take() {
            Some(before) => before.own,
            None => self.outcome.map(|own| (own, self.reason.take())),
        };
        self.override_with(Box::new(Overridden { at, by: by.into(), outcome, own }));
    }

    fn override_with(&mut self, overridden: Box<Overridden>) {
        if let Some((own, why)) = &overridden.own {
            let Overridden { at, by, outcome, .. } = &*overridden;
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            self.reason = Some(format!("set to {} by {by} at {}; it had {}{why}", outcome.word(), at.clock(), own.word()).into());
            self.outcome = Some(*outcome);
        }
        self.overridden = Some(overridden);
    }

    /// A pass after an attempt that did not pass is flaky, whatever it is called.
    fn own(&self, outcome: Outcome) -> Outcome {
        let did_not_pass = |a: &Attempt| a.outcome.is_some_and(Outcome::is_bad);
        if outcome.is_pass() && self.attempts.iter().any(did_not_pass) { Outcome::Flaky } else { outcome }
    }
}

impl Attempt {
    /// What it said, measured and left.
    pub fn notes(&self) -> &Notes {
        self.notes.as_deref().unwrap_or(Notes::none())
    }

    /// Why it did not pass.
    pub fn why(&self) -> Option<&str> {
        self.reason.as_deref().or_else(|| self.failure.as_ref().map(|f| f.message.as_str()))
    }
}

/// Seconds that can be shown and summed, of any number that a log may hold.
fn sound(took: f64) -> f64 {
    if took.is_finite() { took.max(0.0) } else { 0.0 }
}

/// What stands for a result when there are two: the worse.
fn badness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Partial => 1,
        Outcome::Flaky => 2,
        Outcome::Skipped => 3,
        Outcome::Blocked => 4,
        Outcome::Errored => 5,
        Outcome::Failed => 6,
    }
}
