//! How long testcases took, from a file of many runs.

use super::{DATABASE, number};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Outcome;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The first bytes of any SQLite database.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How long one testcase took in one run.
pub struct Took {
    /// Its id in the plan.
    pub id: String,
    pub testcase: String,
    /// A JSON object.
    pub args: String,
    pub outcome: Outcome,
    pub seconds: f64,
}

/// Whether a file is an SQLite database, by its first bytes.
pub fn is_database(path: &Path) -> bool {
    let mut first = [0; MAGIC.len()];
    std::fs::File::open(path).is_ok_and(|mut file| std::io::Read::read_exact(&mut file, &mut first).is_ok()) && first == MAGIC
}

/// Hands over everything that was run in the newest runs of a file, the last first. Gives how many runs that were.
///
/// # Errors
/// It is no database of ours, or cannot be read.
pub fn times(path: &Path, runs: usize, mut take: impl FnMut(Took)) -> Result<usize> {
    let failed = |e| {
        let what = format!("cannot read the database `{}`: {e}", path.display());
        Error::new(Kind::Malformed, what).blame(Blame::User)
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).map_err(failed)?;
    if number(&database, "application_id").map_err(failed)? != i64::from(DATABASE) {
        let what = format!("`{}` is a database of something else", path.display());
        return Err(Error::new(Kind::Unsupported, what).blame(Blame::User).help("name one that --report sqlite:FILE has made"));
    }
    let newest = "(SELECT run_id FROM runs ORDER BY run_id DESC LIMIT ?1)";
    let mut read = || -> rusqlite::Result<usize> {
        let count = database.query_row(&format!("SELECT count(*) FROM {newest}"), [runs as i64], |row| row.get::<_, i64>(0))?;
        let mut statement = database.prepare(&format!(
            "SELECT name, testcase, args, outcome, took FROM cases
             WHERE run_id IN {newest} AND started IS NOT NULL AND outcome IS NOT NULL AND took IS NOT NULL
             ORDER BY run_id DESC, position"
        ))?;
        let mut rows = statement.query([runs as i64])?;
        while let Some(row) = rows.next()? {
            let outcome: String = row.get(3)?;
            let Some(outcome) = Outcome::from_word(&outcome) else { continue };
            take(Took { id: row.get(0)?, testcase: row.get(1)?, args: row.get(2)?, outcome, seconds: row.get(4)? });
        }
        Ok(usize::try_from(count).unwrap_or_default())
    };
    read().map_err(failed)
}
