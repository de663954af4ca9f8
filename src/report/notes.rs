//! What a testcase (or the run itself) has said, measured and left behind, within bounds.

use super::entry::{Entry, subcase_name};
use crate::event::{Better, Change, Comparison, Counts, Fact, Failure, Level, Outcome, Pause, Spread, Steering};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::path::PathBuf;

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

/// What a testcase has said, measured and left behind.
#[derive(Debug, Default)]
pub struct Notes {
    pub subcases: Vec<Subcase>,
    /// How many subcases ended so, also of those that were too many to keep.
    pub subcase_counts: Counts,
    pub metrics: Vec<Metric>,
    /// Measured values beside earlier ones.
    pub comparisons: Vec<Comparison>,
    /// Comments, warnings, reasons, steps and raw results, in order.
    pub said: Vec<Said>,
    pub files: Vec<Attachment>,
    /// What people changed, in order.
    pub steered: Vec<Steered>,
    /// What it waits for a person for, and since when.
    pub paused: Option<(Timestamp, Box<Pause>)>,
    /// How often it has waited for a person.
    pub pauses: usize,
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
    /// Which way is better, where it is known.
    pub better: Option<Better>,
    /// What lies behind it, where it is a mean.
    pub spread: Option<Spread>,
}

#[derive(Debug)]
pub struct Said {
    pub at: Timestamp,
    pub level: Level,
    pub text: Box<str>,
}

/// Something that a person changed.
#[derive(Debug)]
pub struct Steered {
    pub at: Timestamp,
    pub by: Box<str>,
    pub what: Steering,
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

impl Notes {
    /// Of who has left none.
    pub(super) fn none() -> &'static Notes {
        static NONE: Notes = Notes {
            subcases: Vec::new(),
            subcase_counts: [0; Outcome::ALL.len()],
            metrics: Vec::new(),
            comparisons: Vec::new(),
            said: Vec::new(),
            files: Vec::new(),
            steered: Vec::new(),
            paused: None,
            pauses: 0,
            actions: Vec::new(),
            progress: None,
            tail: VecDeque::new(),
            cut: 0,
            dropped: 0,
        };
        &NONE
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Said> {
        self.said_as(Level::Warning)
    }

    /// The values that are worse than before, or out of their limits.
    pub fn worse(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|c| c.change == Change::Worse)
    }

    pub fn said_as(&self, level: Level) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(move |s| s.level == level)
    }

    /// Takes in what was said, measured, compared, judged or saved; nothing of any other fact.
    pub(super) fn take(&mut self, at: Timestamp, fact: &Fact) {
        let fits = match fact {
            Fact::Logged { level: Level::Verbose | Level::Delimiter, .. } => true,
            Fact::Logged { level, text } => push(&mut self.said, SAID_KEPT, || Said { at, level: *level, text: shortened(text) }),
            Fact::Measured { name, value, unit, better, spread } => push(&mut self.metrics, RESULTS_KEPT, || {
                let (name, unit) = (name.as_str().into(), unit.as_str().into());
                Metric { at, name, value: *value, unit, better: *better, spread: *spread }
            }),
            Fact::Compared(comparison) => push(&mut self.comparisons, RESULTS_KEPT, || Comparison::clone(comparison)),
            Fact::Attached { name, path, bytes } => {
                push(&mut self.files, SAID_KEPT, || Attachment { name: name.clone(), path: path.clone(), bytes: *bytes })
            }
            Fact::Subcase { group, name, outcome, reason, took, failure } => {
                self.subcase_counts[*outcome as usize] += 1;
                push(&mut self.subcases, RESULTS_KEPT, || {
                    let (group, name, reason, failure) = (group.clone(), name.clone(), reason.clone(), failure.clone());
                    Subcase { group, name, outcome: *outcome, reason, took: *took, failure }
                })
            }
            Fact::Steered { by, what } => {
                if let (Steering::Held, Some((_, pause))) = (&**what, &mut self.paused) {
                    pause.until = None;
                }
                push(&mut self.steered, SAID_KEPT, || Steered { at, by: by.as_str().into(), what: (**what).clone() })
            }
            Fact::Paused(pause) => {
                self.pauses += 1;
                self.paused = Some((at, pause.clone()));
                true
            }
            Fact::Resumed { .. } => {
                self.paused = None;
                true
            }
            _ => true,
        };
        self.dropped += usize::from(!fits);
    }

    /// False when one of that number was running already.
    pub(super) fn action_started(&mut self, number: u64, at: Timestamp, machine: Option<&str>, what: &str) -> bool {
        let before = self.actions.len();
        self.actions.retain(|a| a.number != number);
        let is_new = self.actions.len() == before;
        let action = RunningAction { number, since: at, machine: machine.map(Into::into), what: what.into(), progress: None };
        self.dropped += usize::from(!push(&mut self.actions, RESULTS_KEPT, || action));
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

    /// The run died: nothing runs any more.
    pub(super) fn interrupt(&mut self) {
        self.actions = Vec::new();
        self.progress = None;
        self.paused = None;
    }

    /// After the result: nothing runs any more, and a pass keeps little of its log.
    pub(super) fn settle(&mut self, is_fine: bool) {
        self.interrupt();
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
    /// As people name it.
    pub fn full_name(&self) -> String {
        subcase_name(&self.group, &self.name)
    }

    pub fn why(&self) -> Option<&str> {
        self.reason.as_deref().or_else(|| self.failure.as_ref().map(|f| f.message.as_str()))
    }
}

/// False when there is no room for it.
fn push<T>(list: &mut Vec<T>, most: usize, item: impl FnOnce() -> T) -> bool {
    let fits = list.len() < most;
    if fits {
        list.push(item());
    }
    fits
}

fn shortened(text: &str) -> Box<str> {
    if text.len() <= LONGEST_ENTRY {
        return text.into();
    }
    format!("{} … ({} more bytes)", &text[..text.floor_char_boundary(LONGEST_ENTRY)], text.len() - LONGEST_ENTRY).into()
}
