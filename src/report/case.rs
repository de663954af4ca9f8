//! What is known of one testcase, and the notes that it (or the run itself) has left.

use super::entry::{Entry, subcase_name};
use crate::event::{Fact, Failure, Level, Outcome, Phase, Planned};
use crate::name::CaseId;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// How many of a log's last entries are kept.
const TAIL_KEPT: usize = 100;
/// How much of it stays when the testcase passed, in bytes: who looks closer reads the file.
const TAIL_OF_PASSED: usize = 2048;
/// The longest entry kept of a log, in bytes.
const LONGEST_ENTRY: usize = 4096;
/// How many remarks are kept; a script that warns in a loop must not fill the memory.
const SAID_KEPT: usize = 1000;
/// How many measurements and subcases are kept.
const RESULTS_KEPT: usize = 100_000;

/// A testcase of the run.
#[derive(Debug)]
pub struct Case {
    pub id: CaseId,
    pub testcase: String,
    pub title: String,
    pub file: PathBuf,
    /// Whether the plan has it.
    pub planned: bool,
    /// Nothing as long as it has not finished.
    pub outcome: Option<Outcome>,
    pub reason: Option<Box<str>>,
    pub failure: Option<Box<Failure>>,
    /// Seconds.
    pub took: f64,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub phase: Option<Phase>,
    pub phase_since: Option<Timestamp>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// A list, as ten thousand maps of a few are large.
    pub args: Vec<(String, serde_json::Value)>,
    /// Its directory, relative to the results.
    pub dir: PathBuf,
    notes: Option<Box<Notes>>,
}

/// What a testcase has said, measured and left behind.
#[derive(Debug, Default)]
pub struct Notes {
    pub subcases: Vec<Subcase>,
    pub metrics: Vec<Metric>,
    /// Comments, warnings, reasons, steps and raw results, in order.
    pub said: Vec<Said>,
    pub files: Vec<Attachment>,
    /// What is being done now, oldest first.
    pub actions: Vec<RunningAction>,
    /// What the testcase itself says of how far it is.
    pub progress: Option<Progress>,
    /// The end of its log.
    pub tail: VecDeque<Entry>,
    /// How many entries of the log are not in the tail.
    pub cut: usize,
    /// How many remarks, measurements and subcases were too many to keep.
    pub dropped: usize,
}

#[derive(Debug)]
pub struct Subcase {
    pub group: String,
    pub name: String,
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// Seconds.
    pub took: f64,
    pub failure: Option<Box<Failure>>,
}

#[derive(Debug)]
pub struct Metric {
    pub at: Timestamp,
    pub name: Box<str>,
    pub value: f64,
    pub unit: Box<str>,
}

#[derive(Debug)]
pub struct Said {
    pub at: Timestamp,
    pub level: Level,
    pub text: Box<str>,
}

#[derive(Debug)]
pub struct Attachment {
    pub name: String,
    /// Relative to the results.
    pub path: PathBuf,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct RunningAction {
    pub number: u64,
    pub since: Timestamp,
    pub machine: Option<String>,
    pub what: String,
    pub progress: Option<Progress>,
}

#[derive(Debug)]
pub struct Progress {
    pub at: Timestamp,
    pub text: Box<str>,
    /// From 0 to 1.
    pub part: Option<f64>,
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
        self.planned = true;
    }

    pub(super) fn unplanned(id: CaseId) -> Case {
        Case {
            id,
            testcase: String::new(),
            title: String::new(),
            file: PathBuf::new(),
            planned: false,
            outcome: None,
            reason: None,
            failure: None,
            took: 0.0,
            started: None,
            ended: None,
            phase: None,
            phase_since: None,
            timeout: None,
            args: Vec::new(),
            dir: PathBuf::new(),
            notes: None,
        }
    }

    /// Whether it has begun and has no result.
    /// What a command line calls it: its file, or its name when it is inside the program.
    pub fn reference(&self) -> &str {
        match self.file.to_str() {
            Some(file) if !file.is_empty() && !file.starts_with("builtin:") => file,
            _ => &self.testcase,
        }
    }

    pub fn is_running(&self) -> bool {
        self.started.is_some() && self.outcome.is_none()
    }

    /// Seconds: how long it took, or ran until the last that was heard.
    pub fn took_until(&self, last: Option<Timestamp>) -> f64 {
        match (self.outcome, self.started, last) {
            (None, Some(started), Some(last)) => last.since(started).as_secs_f64(),
            _ => self.took,
        }
    }

    /// Why it is not a pass, in one line as far as the author kept to one.
    pub fn why(&self) -> Option<&str> {
        let said = || self.notes().said.iter().rev().find(|s| s.level == Level::Reason).map(|s| &*s.text);
        self.reason.as_deref().or_else(|| self.failure.as_ref().map(|f| f.message.as_str())).or_else(said)
    }

    /// What it said, measured and left.
    pub fn notes(&self) -> &Notes {
        static NOTHING: Notes = Notes {
            subcases: Vec::new(),
            metrics: Vec::new(),
            said: Vec::new(),
            files: Vec::new(),
            actions: Vec::new(),
            progress: None,
            tail: VecDeque::new(),
            cut: 0,
            dropped: 0,
        };
        self.notes.as_deref().unwrap_or(&NOTHING)
    }

    /// Whether it has left any.
    pub fn has_notes(&self) -> bool {
        self.notes.is_some()
    }

    pub(super) fn notes_mut(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    /// The result; a second one counts only when it is worse.
    pub(super) fn finish(&mut self, at: Timestamp, outcome: Outcome, reason: Option<&str>, took: f64, failure: Option<&Failure>) {
        if self.outcome.is_some_and(|before| badness(before) >= badness(outcome)) {
            return;
        }
        self.outcome = Some(outcome);
        self.reason = reason.map(Box::from);
        self.failure = failure.cloned().map(Box::new);
        self.took = if took.is_finite() { took.max(0.0) } else { 0.0 };
        self.ended = Some(at);
        if let Some(notes) = &mut self.notes {
            notes.settle(!outcome.is_bad());
        }
    }
}

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

impl Notes {
    pub fn warnings(&self) -> impl Iterator<Item = &Said> {
        self.said_as(Level::Warning)
    }

    pub fn said_as(&self, level: Level) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |s| s.level == level)
    }

    pub(super) fn say(&mut self, at: Timestamp, level: Level, text: &str) {
        if matches!(level, Level::Verbose | Level::Delimiter) {
            return;
        }
        let said = Said { at, level, text: shortened(text) };
        self.dropped += usize::from(!push(&mut self.said, SAID_KEPT, said));
    }

    pub(super) fn measure(&mut self, at: Timestamp, name: &str, value: f64, unit: &str) {
        let metric = Metric { at, name: name.into(), value, unit: unit.into() };
        self.dropped += usize::from(!push(&mut self.metrics, RESULTS_KEPT, metric));
    }

    pub(super) fn subcase(&mut self, fact: &Fact) {
        if let Some(subcase) = Subcase::of(fact) {
            self.dropped += usize::from(!push(&mut self.subcases, RESULTS_KEPT, subcase));
        }
    }

    pub(super) fn attach(&mut self, name: &str, path: &Path, bytes: u64) {
        let file = Attachment { name: name.into(), path: path.to_path_buf(), bytes };
        self.dropped += usize::from(!push(&mut self.files, SAID_KEPT, file));
    }

    /// False when one of that number was running already.
    pub(super) fn action_started(&mut self, number: u64, at: Timestamp, machine: Option<&str>, what: &str) -> bool {
        let before = self.actions.len();
        self.actions.retain(|a| a.number != number);
        let is_new = self.actions.len() == before;
        let action = RunningAction { number, since: at, machine: machine.map(Into::into), what: what.into(), progress: None };
        self.dropped += usize::from(!push(&mut self.actions, RESULTS_KEPT, action));
        is_new
    }

    /// False when none of that number was running.
    pub(super) fn action_ended(&mut self, number: u64) -> bool {
        let before = self.actions.len();
        self.actions.retain(|a| a.number != number);
        self.actions.len() < before
    }

    /// False when there is no such action.
    pub(super) fn progressed(&mut self, action: Option<u64>, progress: Progress) -> bool {
        let Some(number) = action else {
            self.progress = Some(progress);
            return true;
        };
        let Some(action) = self.actions.iter_mut().find(|a| a.number == number) else { return false };
        action.progress = Some(progress);
        true
    }

    pub(super) fn keep(&mut self, mut entry: Entry) {
        if self.tail.len() == TAIL_KEPT {
            self.tail.pop_front();
            self.cut += 1;
        }
        entry.text = shortened(&entry.text);
        self.tail.push_back(entry);
    }

    /// After the result: nothing runs any more, and a pass keeps little of its log.
    fn settle(&mut self, is_fine: bool) {
        self.actions = Vec::new();
        self.progress = None;
        if is_fine {
            let mut bytes: usize = self.tail.iter().map(|e| e.text.len()).sum();
            while bytes > TAIL_OF_PASSED
                && let Some(entry) = self.tail.pop_front()
            {
                bytes -= entry.text.len();
                self.cut += 1;
            }
        }
        self.tail.shrink_to_fit();
        self.said.shrink_to_fit();
        self.subcases.shrink_to_fit();
        self.metrics.shrink_to_fit();
    }
}

impl Subcase {
    /// As a fact tells of it; nothing when the fact is another.
    pub(super) fn of(fact: &Fact) -> Option<Subcase> {
        let Fact::Subcase { group, name, outcome, reason, took, failure } = fact else { return None };
        let (group, name, reason, failure) = (group.clone(), name.clone(), reason.clone(), failure.clone());
        Some(Subcase { group, name, outcome: *outcome, reason, took: *took, failure })
    }

    /// As people name it.
    pub fn full_name(&self) -> String {
        subcase_name(&self.group, &self.name)
    }

    pub fn why(&self) -> Option<&str> {
        self.reason.as_deref().or_else(|| self.failure.as_ref().map(|f| f.message.as_str()))
    }
}

/// False when there is no room for it.
fn push<T>(list: &mut Vec<T>, most: usize, item: T) -> bool {
    let fits = list.len() < most;
    if fits {
        list.push(item);
    }
    fits
}

fn shortened(text: &str) -> Box<str> {
    if text.len() <= LONGEST_ENTRY {
        return text.into();
    }
    format!("{} … ({} more bytes)", &text[..text.floor_char_boundary(LONGEST_ENTRY)], text.len() - LONGEST_ENTRY).into()
}
