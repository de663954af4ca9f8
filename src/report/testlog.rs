//! The log of each testcase, `xenrt.log` in its directory, in the line forms of the original; and one for the run itself. A further
//! attempt has a directory and a log of its own.
//!
//! What is written is with the operating system before the next event is taken, so a run that is killed leaves its logs.

use super::card::{Card, failure_card};
use super::entry::{Entry, seconds};
use super::lines::{Options, step_text};
use super::reports::{Opening, Report};
use super::{Case, Summary};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::event::{Event, Fact, Failure, Outcome};
use crate::name::CaseId;
use crate::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

/// How many logs are open at once: a process has few files, and a thousand testcases may run together.
const OPEN_AT_ONCE: usize = 100;

/// Writes the logs.
pub struct TestLogs {
    results: PathBuf,
    logs: HashMap<Option<CaseId>, Log>,
    /// The logs that were begun. What is told of one again goes on in it: of a testcase that a resumed run starts once more.
    begun: HashSet<PathBuf>,
    open: usize,
    turn: u64,
    text: String,
    /// The written form of the second that was written last: many events share one.
    second: (i64, String),
}

struct Log {
    path: PathBuf,
    file: Option<File>,
    used: u64,
}

pub(super) fn open(path: &Path, _: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(TestLogs::new(path.to_path_buf())))
}

impl TestLogs {
    /// Logs below this directory of results.
    pub fn new(results: PathBuf) -> TestLogs {
        TestLogs {
            results,
            logs: HashMap::new(),
            begun: HashSet::new(),
            open: 0,
            turn: 0,
            text: String::new(),
            second: (i64::MIN, String::new()),
        }
    }

    fn begin(&mut self, case: &Case, event: &Event, summary: &Summary) -> Result<()> {
        if !case.dir.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(Error::new(Kind::Malformed, format!("`{}` is no directory for a testcase", case.dir.display())));
        }
        let path = self.results.join(&case.dir).join("xenrt.log");
        // One that is open is of an attempt in which the run died.
        if self.logs.get(&event.case).is_none_or(|log| log.path != path)
            && let Some(log) = self.logs.insert(event.case.clone(), Log { path, file: None, used: 0 })
        {
            self.open -= usize::from(log.file.is_some());
        }
        let run = summary.run();
        let title = if case.title.is_empty() { String::new() } else { format!(": {}", case.title) };
        self.line(event.at, "VERBOSE", &format!("{}{title}", case.id));
        self.line(event.at, "VERBOSE", &format!("{} {} from {}", case.role.word(), case.testcase, case.file));
        if !case.attempts.is_empty() {
            self.line(event.at, "VERBOSE", &format!("this is attempt {}", case.attempt));
        }
        for attempt in &case.attempts {
            let ended = attempt.outcome.map_or("was cut off", Outcome::word);
            let why = attempt.why().map(|why| format!(": {why}")).unwrap_or_default();
            self.line(event.at, "VERBOSE", &format!("attempt {} in {} {ended}{why}", attempt.number, attempt.dir.display()));
        }
        self.line(event.at, "VERBOSE", &format!("run {} by xrt {} on {}", run.id, run.version, run.targets.join(", ")));
        for (name, value) in &case.args {
            self.line(event.at, "VERBOSE", &format!("argument {name} = {value}"));
        }
        if let Some(limit) = case.timeout {
            self.line(event.at, "VERBOSE", &format!("time limit {}", seconds(limit)));
        }
        Ok(())
    }

    fn end(&mut self, whose: &CaseId, event: &Event) {
        let (Fact::CaseFinished { outcome, reason, took, failure, .. }
        | Fact::AttemptFinished { outcome, reason, took, failure, .. }) = &event.fact
        else {
            return;
        };
        if let Some(reason) = reason {
            self.line(event.at, "REASON", reason);
        }
        if let Some(failure) = failure {
            self.failure(event.at, whose.as_str(), *outcome, failure);
        }
        self.line(event.at, "RESULT", &format!("{} after {}", outcome.word(), seconds(*took)));
    }

    fn failure(&mut self, at: Timestamp, title: &str, outcome: Outcome, failure: &Failure) {
        let card = failure_card(&Card { title, outcome, failure, hints: &[] }, &Options::default());
        self.line(at, "ERROR", card.trim_end());
    }

    fn line(&mut self, at: Timestamp, prefix: &'static str, text: &str) {
        self.entry(&Entry { at, prefix, text: text.into() });
    }

    fn entry(&mut self, entry: &Entry) {
        let second = entry.at.unix().floor() as i64;
        if self.second.0 != second {
            self.second = (second, entry.at.log_form());
        }
        entry.write_at(&self.second.1, &mut self.text);
    }

    /// Hands what was collected for a log to the operating system.
    fn hand_over(&mut self, whose: &Option<CaseId>) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        if self.open >= OPEN_AT_ONCE && self.logs.get(whose).is_some_and(|l| l.file.is_none()) {
            self.close_one();
        }
        self.turn += 1;
        if let Some(log) = self.logs.get_mut(whose) {
            let is_first = log.used == 0 && self.begun.insert(log.path.clone());
            log.used = self.turn;
            let doing = format_args!("write the log `{}`", log.path.display()).to_string();
            if log.file.is_none() {
                log.file = Some(open_log(&log.path, is_first).at(&doing)?);
                self.open += 1;
            }
            if let Some(file) = &mut log.file {
                file.write_all(self.text.as_bytes()).at(&doing)?;
            }
        }
        self.text.clear();
        Ok(())
    }

    /// Closes the log that was not written to for the longest time. It is opened again when needed.
    fn close_one(&mut self) {
        if let Some(log) = self.logs.values_mut().filter(|l| l.file.is_some()).min_by_key(|l| l.used) {
            log.file = None;
            self.open -= 1;
        }
    }
}

/// A log begins empty; one that had to be closed goes on where it was.
fn open_log(path: &Path, is_first: bool) -> std::io::Result<File> {
    let open = || OpenOptions::new().create(true).write(true).truncate(is_first).append(!is_first).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(parent)?;
            open()
        }
        (result, _) => result,
    }
}

impl Report for TestLogs {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        let case = event.case.as_ref().and_then(|id| summary.case(id));
        match (&event.fact, case) {
            (Fact::CaseStarted { .. }, Some(case)) => self.begin(case, event, summary)?,
            (Fact::CaseFinished { .. } | Fact::AttemptFinished { .. }, Some(case)) => self.end(&case.id, event),
            (Fact::Subcase { group, name, outcome, failure: Some(failure), .. }, _) => {
                let title = super::entry::subcase_name(group, name);
                self.failure(event.at, &title, *outcome, failure);
            }
            (Fact::StepStarted { .. } | Fact::StepFinished { .. }, _) => {
                let text = step_text(&event.fact, summary);
                if !text.is_empty() {
                    self.line(event.at, "VERBOSE", &text);
                }
            }
            _ => {}
        }
        if let Some(entry) = Entry::of(event) {
            self.entry(&entry);
        }
        if event.case.is_none() && !self.text.is_empty() {
            let path = || self.results.join("xenrt.log");
            self.logs.entry(None).or_insert_with(|| Log { path: path(), file: None, used: 0 });
        }
        // What is told of a testcase that never began has no log to stand in.
        if !self.logs.contains_key(&event.case) {
            self.text.clear();
        }
        self.hand_over(&event.case)?;
        if matches!(event.fact, Fact::CaseFinished { .. } | Fact::AttemptFinished { .. })
            && let Some(log) = self.logs.remove(&event.case)
        {
            self.open -= usize::from(log.file.is_some());
        }
        Ok(())
    }

    fn finish(&mut self, _: &Summary, _: &[PathBuf]) -> Result<()> {
        self.logs.clear();
        Ok(())
    }

    fn name(&self) -> String {
        format!("testcase logs in {}", self.results.display())
    }
}
