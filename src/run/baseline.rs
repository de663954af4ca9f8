//! Reading what earlier runs measured: from event logs, a database of results, or a file made by hand.

use super::history;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::event::log::LogReader;
use crate::event::{Better, Event, Fact, Spread};
use crate::metric::{Baselines, Earlier, Measurement, Samples, gather};
use crate::name::CaseId;
use crate::report::{DATABASE, DATABASE_VERSION};
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A larger file that was made by hand is none.
const LARGEST: u64 = 64 << 20;

const HELP: &str =
    "give a results directory, a directory of such, an events.jsonl, a results.db, or a JSON file; see xrt help metrics";

/// Reads baselines for the cases of a plan.
pub struct Reader<'a> {
    baselines: &'a mut Baselines,
    /// The ids of the cases, and their first names.
    wanted: HashSet<&'a str>,
    /// Name and results of the run that is to be compared, where it goes on: not with itself.
    itself: Option<(&'a str, PathBuf)>,
    /// Runs of a directory that could not be read.
    pub unread: Vec<Error>,
}

impl<'a> Reader<'a> {
    pub fn new(
        baselines: &'a mut Baselines,
        cases: impl Iterator<Item = &'a CaseId>,
        itself: Option<(&'a str, &Path)>,
    ) -> Reader<'a> {
        let wanted = cases.flat_map(|id| [id.as_str(), id.first_of_its_name()]).collect();
        let itself = itself.and_then(|(run, dir)| Some((run, dir.canonicalize().ok()?)));
        Reader { baselines, wanted, itself, unread: Vec::new() }
    }

    /// Adds what a path has: a results directory or a directory of many, an event log, a database, a JSON file.
    ///
    /// # Errors
    /// There is nothing that could be read, or it is none of them.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        self.baselines.add_source(path.display().to_string());
        if path.is_dir() {
            return self.logs(&history::logs(path)?);
        }
        let reading = format!("read the baseline `{}`", path.display());
        let mut file = File::open(path).at(&reading).map_err(|e| e.blame(Blame::User).help(HELP))?;
        let mut begin = Vec::new();
        file.by_ref().take(64).read_to_end(&mut begin).at(&reading)?;
        if begin.starts_with(b"SQLite format 3\0") {
            return self.database(path).map_err(|e| unreadable(path, e));
        }
        if begin.starts_with(b"{\"xenrt_event_log\"") {
            return self.log(path);
        }
        self.made_by_hand(path)
    }

    fn logs(&mut self, logs: &[PathBuf]) -> Result<()> {
        let before = self.unread.len();
        for log in logs.iter().rev() {
            if let Err(error) = self.log(log) {
                self.unread.push(error);
            }
        }
        match self.unread.len() - before {
            unread if unread == logs.len() => Err(self.unread.remove(before)),
            _ => Ok(()),
        }
    }

    fn log(&mut self, path: &Path) -> Result<()> {
        let dir = path.canonicalize().ok().and_then(|log| Some(log.parent()?.to_path_buf()));
        if self.itself.as_ref().is_some_and(|(_, own)| dir.as_ref() == Some(own)) {
            return Ok(());
        }
        let mut run = Run::default();
        for event in LogReader::open(path)? {
            run.take(event.map_err(|e| e.blame(Blame::User).help("what a damaged log says is compared with nothing"))?);
        }
        for (case, it) in run.passed {
            self.add(case.as_str(), Some(it.args), &it.measured);
        }
        Ok(())
    }

    fn add(&mut self, case: &str, args: Option<String>, measured: &[Measurement]) {
        if !self.wanted.contains(case) {
            return;
        }
        for metric in gather(measured) {
            let (unit, better, samples) = (metric.unit, metric.better, metric.samples);
            self.baselines.add(case, &metric.name, Earlier { args: args.clone(), unit, better, samples });
        }
    }

    fn database(&mut self, path: &Path) -> rusqlite::Result<()> {
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        database.busy_timeout(std::time::Duration::from_secs(30))?;
        let number = |pragma: &str| database.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        if number("application_id")? != i64::from(DATABASE) || number("user_version")? != DATABASE_VERSION {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let mut statement = database.prepare(
            "SELECT c.case_id, c.name, c.args, m.name, m.value, m.unit, m.better, m.samples, m.deviation
            FROM cases c JOIN runs r USING (run_id) JOIN metrics m USING (case_id)
            WHERE c.outcome IN ('passed', 'partial', 'flaky') AND m.attempt = c.attempt AND m.value IS NOT NULL
                AND c.name IN (SELECT value FROM json_each(?1)) AND r.name IS NOT ?2
            ORDER BY r.started DESC, r.run_id DESC, c.case_id, m.rowid",
        )?;
        let wanted = serde_json::to_string(&self.wanted).unwrap_or_default();
        let mut rows = statement.query((wanted, self.itself.as_ref().map(|(run, _)| *run)))?;
        let mut last: Option<(i64, String, String)> = None;
        let mut measured = Vec::new();
        while let Some(row) = rows.next()? {
            let case: i64 = row.get(0)?;
            if let Some((_, name, args)) = last.take_if(|(last, ..)| *last != case) {
                self.add(&name, Some(args), &std::mem::take(&mut measured));
            }
            if last.is_none() {
                last = Some((case, row.get(1)?, row.get(2)?));
            }
            measured.push(measurement(row)?);
        }
        if let Some((_, name, args)) = last {
            self.add(&name, Some(args), &measured);
        }
        Ok(())
    }

    fn made_by_hand(&mut self, path: &Path) -> Result<()> {
        let shown = path.display();
        let wrong = |what: String| Error::new(Kind::Malformed, what).blame(Blame::User).help(HELP);
        let mut text = Vec::new();
        let reading = format!("read the baseline `{shown}`");
        let length = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text)).at(reading)?;
        if length as u64 > LARGEST {
            return Err(wrong(format!("`{shown}` is larger than {} MiB", LARGEST >> 20)));
        }
        let all: BTreeMap<String, BTreeMap<String, Written>> = serde_json::from_slice(&text)
            .map_err(|e| wrong(format!("`{shown}:{}:{}` is no baseline: {e}", e.line(), e.column())))?;
        for (case, metrics) in all {
            for (name, Written { unit, values, better }) in metrics {
                if values.is_empty() {
                    return Err(wrong(format!("`{shown}`: `{name}` of `{case}` has no values")));
                }
                if !self.wanted.contains(case.as_str()) {
                    continue;
                }
                for value in values {
                    let (unit, samples) = (unit.clone(), Samples::one(value));
                    self.baselines.add(&case, &name, Earlier { args: None, unit, better, samples });
                }
            }
        }
        Ok(())
    }
}

/// A metric of a file that was made by hand; each value is that of a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    unit: String,
    values: Vec<f64>,
    #[serde(default)]
    better: Option<Better>,
}

/// A run while its log is read.
#[derive(Default)]
struct Run {
    running: HashMap<CaseId, Measured>,
    passed: HashMap<CaseId, Measured>,
}

#[derive(Default)]
struct Measured {
    /// As JSON.
    args: String,
    measured: Vec<Measurement>,
}

impl Run {
    /// What a testcase measured counts when it passed, and only what its last attempt did.
    fn take(&mut self, event: Event) {
        let Some(case) = event.case else {
            if let Fact::RunResumed { again, .. } = event.fact {
                self.running.clear();
                again.iter().for_each(|id| drop(self.passed.remove(id)));
            }
            return;
        };
        match event.fact {
            Fact::CaseStarted { args, .. } => {
                let args = serde_json::to_string(&args).unwrap_or_default();
                self.running.insert(case, Measured { args, measured: Vec::new() });
            }
            Fact::Measured { name, value, unit, better, spread } => {
                let measured = &mut self.running.entry(case).or_default().measured;
                measured.push(Measurement { name, value, unit, better, spread });
            }
            Fact::CaseFinished { outcome, .. } => {
                if let Some(measured) = self.running.remove(&case).filter(|_| outcome.is_pass()) {
                    self.passed.insert(case, measured);
                }
            }
            _ => {}
        }
    }
}

fn measurement(row: &rusqlite::Row<'_>) -> rusqlite::Result<Measurement> {
    let better = match row.get::<_, Option<String>>(6)?.as_deref() {
        Some("higher") => Some(Better::Higher),
        Some("lower") => Some(Better::Lower),
        _ => None,
    };
    let samples: Option<i64> = row.get(7)?;
    let deviation: Option<f64> = row.get(8)?;
    let samples = samples.and_then(|n| usize::try_from(n).ok());
    let spread = samples.zip(deviation).map(|(samples, deviation)| Spread { samples, deviation });
    Ok(Measurement { name: row.get(3)?, value: row.get(4)?, unit: row.get(5)?, better, spread })
}

fn unreadable(path: &Path, error: rusqlite::Error) -> Error {
    let shown = path.display();
    match error {
        rusqlite::Error::InvalidQuery => {
            let what = format!("`{shown}` is no database of results, or of another version of this program");
            Error::new(Kind::Unsupported, what).blame(Blame::User).help(HELP)
        }
        error => Error::new(Kind::Malformed, format!("cannot read the baseline `{shown}`: {error}")).blame(Blame::User),
    }
}
