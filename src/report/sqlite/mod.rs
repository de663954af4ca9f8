//! The SQLite report: many runs in one file, for questions over time. The schema is told in `schema.sql`.
//!
//! What changed is remembered and written from the summary, many testcases a transaction, each of a few milliseconds: so two runs can
//! write to one file at once, and a run that is killed leaves what had finished. A run that is told again (resumed, replayed) takes
//! the place of what the file had of it.

mod rows;
mod times;

pub use times::{Took, is_database, times};

use super::reports::{Opening, Report};
use super::{Case, Summary};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Event, Fact};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// From each version of the schema to the next; the first makes it.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

/// By which a file is known to be ours (its `application_id`): "XRT1".
pub const DATABASE: i32 = 0x5852_5431;

/// The version of the schema (its `user_version`).
pub const DATABASE_VERSION: i64 = MIGRATIONS.len() as i64;

/// How long a result may be known and not written.
const LATEST: Duration = Duration::from_millis(100);

/// How many testcases are written at a time, at most.
const BATCH: usize = 1000;

/// How long another run may keep the file locked: while facts come, and when this run ends.
const PATIENCE: Duration = Duration::from_millis(100);
const LAST_PATIENCE: Duration = Duration::from_mins(1);

/// Until when the file is left alone after it was found locked.
const PAUSE: Duration = Duration::from_secs(1);

struct Sqlite {
    database: Connection,
    path: PathBuf,
    /// Row of the run, once it is written.
    run: Option<i64>,
    /// Places of the testcases that changed since they were written, and how many of them have a row.
    changed: BTreeSet<usize>,
    planned: usize,
    /// Those whose rows have others that hang on them.
    full: BTreeSet<usize>,
    /// Whether what the file has of this run is of another telling.
    is_fresh: bool,
    /// When it was written last, and until when the file is left alone.
    written: Instant,
    paused: Instant,
}

pub(super) fn open(path: &Path, _: &Opening) -> Result<Box<dyn Report>> {
    let database = database(path)?;
    let (changed, full) = (BTreeSet::new(), BTreeSet::new());
    let (path, now) = (path.to_path_buf(), Instant::now());
    Ok(Box::new(Sqlite { database, path, run: None, changed, planned: 0, full, is_fresh: true, written: now, paused: now }))
}

/// Opens the file, makes it or brings it to the schema of this version.
fn database(path: &Path) -> Result<Connection> {
    let shown = path.display();
    let refused = |what: String| Error::new(Kind::Unsupported, what).blame(Blame::User);
    if path.as_os_str() == "-" {
        return Err(refused("a database cannot be written to the standard output".into()).help("write `sqlite:results.db`"));
    }
    let failed = |e| failure(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(path, flags).map_err(failed)?;
    database.busy_timeout(LAST_PATIENCE).map_err(failed)?;
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(failed)?;
    if tables > 0 && number(&database, "application_id").map_err(failed)? != i64::from(DATABASE) {
        return Err(refused(format!("`{shown}` is a database of something else")).help("name another file"));
    }
    // Where it is refused (a file system without shared memory), the other way does, a little slower.
    let _ = database.pragma_update(None, "journal_mode", "WAL");
    database.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    database.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version = number(&transaction, "user_version").map_err(failed)?;
    let newest = MIGRATIONS.len();
    if usize::try_from(version).is_ok_and(|version| version > newest) {
        return Err(
            refused(format!("`{shown}` has schema version {version}, this program writes {newest}")).help("use a newer xrt")
        );
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", DATABASE).map_err(failed)?;
    transaction.pragma_update(None, "user_version", DATABASE_VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(database)
}

fn number(database: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, pragma, |row| row.get(0))
}

fn failure(path: &Path, error: rusqlite::Error) -> Error {
    let shown = path.display();
    let (kind, help) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (Kind::Malformed, Some("it is no SQLite database; name another file")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Kind::Timeout, Some("another program keeps it locked")),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => (Kind::Refused, None),
        _ => (Kind::Internal, None),
    };
    let mut failure = Error::new(kind, format!("cannot write the database `{shown}`: {error}")).blame(Blame::User);
    failure.help = help.map(str::to_string);
    failure
}

impl Sqlite {
    /// Writes what changed; later, when another keeps the file locked.
    fn write(&mut self, summary: &Summary) -> Result<()> {
        // A log may tell of a run without its beginning; then nobody knows which one it is.
        if Instant::now() < self.paused || summary.run().id.is_empty() {
            return Ok(());
        }
        self.written = Instant::now();
        match self.try_write(summary, PATIENCE, false) {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                self.paused = Instant::now() + PAUSE;
                Ok(())
            }
            written => written.map_err(|e| failure(&self.path, e)),
        }
    }

    fn try_write(&mut self, summary: &Summary, patience: Duration, is_end: bool) -> rusqlite::Result<()> {
        let cases = summary.cases();
        let is_run_new = self.run.is_none() || self.is_fresh;
        if !is_run_new && !is_end && self.changed.is_empty() && self.planned == cases.len() {
            return Ok(());
        }
        self.database.busy_timeout(patience)?;
        let transaction = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let run = if is_run_new || is_end { rows::run(&transaction, summary, is_end)? } else { self.run.unwrap_or_default() };
        if self.is_fresh {
            transaction.execute("DELETE FROM cases WHERE run_id = ?1", [run])?;
        }
        if is_end {
            rows::run_messages(&transaction, run, summary)?;
        }
        let planned = if self.is_fresh { 0 } else { self.planned };
        let new = planned..cases.len();
        let changed = self.changed.range(..planned).copied();
        let mut full = Vec::new();
        for place in changed.chain(new) {
            write_case(&transaction, run, place, &cases[place], place >= planned, self.full.contains(&place))?;
            if has_more(&cases[place]) {
                full.push(place);
            }
        }
        transaction.commit()?;
        // Only now is it known to be there.
        (self.run, self.is_fresh, self.planned) = (Some(run), false, cases.len());
        self.changed.clear();
        self.full.extend(full);
        Ok(())
    }

    fn change(&mut self, event: &Event, summary: &Summary) {
        if let Some(place) = event.case.as_ref().and_then(|id| summary.place(id)) {
            self.changed.insert(place);
        }
    }
}

/// Writes the row of a testcase and, where it has ended, those that hang on it.
fn write_case(to: &Transaction<'_>, run: i64, place: usize, case: &Case, is_new: bool, is_full: bool) -> rusqlite::Result<()> {
    let known = if is_new { None } else { rows::result(to, run, place, case)? };
    let row = match known {
        Some(row) => row,
        None => {
            let row = rows::case(to, run, place, case)?;
            if case.has_begun() || case.outcome.is_some() {
                rows::result(to, run, place, case)?;
            }
            row
        }
    };
    if is_full {
        rows::forget(to, row)?;
    }
    // A testcase may have said and measured much: it is written once.
    if case.outcome.is_some() && has_more(case) {
        rows::notes(to, run, row, case)?;
    }
    Ok(())
}

/// Whether other rows hang on that of the testcase.
fn has_more(case: &Case) -> bool {
    case.has_notes() || !case.attempts.is_empty()
}

impl Report for Sqlite {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        match &event.fact {
            // The file may have the run already.
            Fact::RunStarted(_) => self.is_fresh = true,
            // What was heard of before it was planned is written anew.
            Fact::PlanExtended { plan, .. } => {
                let first = plan.iter().filter_map(|p| summary.place(&p.id)).min();
                self.planned = self.planned.min(first.unwrap_or(self.planned));
            }
            Fact::RunResumed { again, .. } => {
                self.changed.extend(again.iter().filter_map(|id| summary.place(id)));
            }
            Fact::CaseStarted { .. } | Fact::AttemptFinished { .. } | Fact::CaseFinished { .. } => self.change(event, summary),
            // What comes after the end of its testcase belongs to it all the same.
            _ if event.case.as_ref().and_then(|id| summary.case(id)).is_some_and(|c| c.outcome.is_some()) => {
                self.change(event, summary);
            }
            _ => return Ok(()),
        }
        if self.changed.len() >= BATCH || self.written.elapsed() >= LATEST {
            self.write(summary)?;
        }
        Ok(())
    }

    fn on_tick(&mut self, summary: &Summary) -> Result<()> {
        self.write(summary)
    }

    fn finish(&mut self, summary: &Summary, _: &[PathBuf]) -> Result<()> {
        if summary.run().id.is_empty() {
            return Ok(());
        }
        self.try_write(summary, LAST_PATIENCE, true).map_err(|e| failure(&self.path, e))
    }

    fn name(&self) -> String {
        format!("sqlite report {}", self.path.display())
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }
}
