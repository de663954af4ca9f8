//! The rows of the database, each written from the summary.

use crate::event::{Better, Level, Outcome, Role};
use crate::report::{Case, Notes, Summary};
use crate::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, named_params, params};
use serde_json::{Map, Value};

/// Writes the row of the run and gives its number.
pub fn run(transaction: &Transaction<'_>, summary: &Summary, is_end: bool) -> rusqlite::Result<i64> {
    let run = summary.run();
    let judged = is_end.then(|| summary.judgement());
    let mut statement = transaction.prepare_cached(
        "INSERT INTO runs (name, verdict, sequence, sequence_passed, regression_passed, started, ended, took, version, command, cwd,
            targets, workers, seed, results)
        VALUES (:name, :verdict, :sequence, :sequence_passed, :regression_passed, :started, :ended, :took, :version, :command, :cwd,
            :targets, :workers, :seed, :results)
        ON CONFLICT (name) DO UPDATE SET verdict = :verdict, sequence = :sequence, sequence_passed = :sequence_passed,
            regression_passed = :regression_passed, started = :started, ended = :ended, took = :took, version = :version,
            command = :command, cwd = :cwd, targets = :targets, workers = :workers, seed = :seed, results = :results
        RETURNING run_id",
    )?;
    let ended = if is_end && run.took.is_some() { summary.last_at() } else { None };
    statement.query_row(
        named_params! {
            ":name": run.id,
            ":verdict": judged.as_ref().map_or("unfinished", |j| j.verdict.word()),
            ":sequence": run.sequence,
            ":sequence_passed": judged.as_ref().map(|j| j.sequence),
            ":regression_passed": judged.as_ref().map(|j| j.regression),
            ":started": run.started.map(time),
            ":ended": ended.map(time),
            ":took": run.took,
            ":version": run.version,
            ":command": Value::from(run.command.clone()).to_string(),
            ":cwd": run.cwd.display().to_string(),
            ":targets": Value::from(run.targets.clone()).to_string(),
            ":workers": run.workers as i64,
            ":seed": run.seed.map(|seed| seed.to_string()),
            ":results": run.results.display().to_string(),
        },
        |row| row.get(0),
    )
}

/// Writes what the run said outside of its testcases.
pub fn run_messages(transaction: &Transaction<'_>, run: i64, summary: &Summary) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM messages WHERE run_id = ?1 AND case_id IS NULL", [run])?;
    messages(transaction, run, None, summary.notes())
}

/// Writes the row of a case of which there is none, and gives its number.
pub fn case(transaction: &Transaction<'_>, run: i64, place: usize, case: &Case) -> rusqlite::Result<i64> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO cases (run_id, position, name, group_name, testcase, title, file, role, priority, tc, sku, args, attempt, dir)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '{}', 1, '')
        ON CONFLICT (run_id, position) DO UPDATE SET name = ?3, group_name = ?4, testcase = ?5, title = ?6, file = ?7, role = ?8,
            priority = ?9, tc = ?10, sku = ?11
        RETURNING case_id",
    )?;
    let (id, file) = (&case.id, &*case.file);
    let all = params![
        run,
        place as i64,
        id.as_str(),
        id.group(),
        case.testcase,
        case.title,
        file,
        role(case.role),
        case.priority,
        case.tc,
        case.sku
    ];
    statement.query_row(all, |row| row.get(0))
}

/// Writes what became of a case into its row and gives the row's number; nothing when it has none.
pub fn result(transaction: &Transaction<'_>, run: i64, place: usize, case: &Case) -> rusqlite::Result<Option<i64>> {
    let mut statement = transaction.prepare_cached(
        "UPDATE cases SET args = ?3, outcome = ?4, reason = ?5, kind = ?6, blame = ?7, place = ?8, started = ?9, ended = ?10, took = ?11,
            attempt = ?12, dir = ?13
        WHERE run_id = ?1 AND position = ?2
        RETURNING case_id",
    )?;
    let args: Map<String, Value> = case.args.iter().cloned().collect();
    let failure = case.failure.as_deref();
    let ended = case.outcome.is_some();
    let all = params![
        run,
        place as i64,
        Value::Object(args).to_string(),
        case.outcome.map(Outcome::word),
        if ended { case.why() } else { None },
        failure.map(|f| f.kind.word()),
        failure.map(|f| f.blame.word()),
        case.places().next().map(ToString::to_string),
        case.first_started().map(time),
        case.ended.map(time),
        ended.then_some(case.took),
        case.attempt,
        case.dir.to_string_lossy(),
    ];
    statement.query_row(all, |row| row.get(0)).optional()
}

/// Removes what hangs on a case.
pub fn forget(transaction: &Transaction<'_>, case: i64) -> rusqlite::Result<()> {
    for table in ["attempts", "subcases", "metrics", "comparisons", "messages"] {
        transaction.prepare_cached(&format!("DELETE FROM {table} WHERE case_id = ?1"))?.execute([case])?;
    }
    Ok(())
}

/// Writes what hangs on a case: its attempts, and what it said and measured in each.
pub fn notes(transaction: &Transaction<'_>, run: i64, row: i64, case: &Case) -> rusqlite::Result<()> {
    for attempt in &case.attempts {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO attempts (case_id, attempt, outcome, reason, started, took) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let outcome = attempt.outcome.map(|o| o.word());
        statement.execute((row, attempt.number, outcome, attempt.why(), attempt.started.map(time), attempt.took))?;
        noted(transaction, run, row, attempt.number, attempt.notes())?;
    }
    noted(transaction, run, row, case.attempt, case.notes())
}

fn noted(transaction: &Transaction<'_>, run: i64, case: i64, attempt: u32, notes: &Notes) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO subcases (case_id, attempt, group_name, name, outcome, reason, took) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for s in &notes.subcases {
        statement.execute((case, attempt, &s.group, &s.name, s.outcome.word(), s.why(), s.took))?;
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO metrics (case_id, attempt, name, value, unit, better, samples, deviation, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for m in &notes.metrics {
        let (samples, deviation) = m.spread.map_or((None, None), |s| (Some(s.samples as i64), Some(s.deviation)));
        statement.execute((case, attempt, &m.name, m.value, &m.unit, m.better.map(better), samples, deviation, time(m.at)))?;
    }
    let mut statement = transaction.prepare_cached(
        "INSERT INTO comparisons (case_id, name, unit, better, change, now, samples, before, samples_before, against, text)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for c in &notes.comparisons {
        let change = c.change.word();
        let (samples, before) = (c.samples as i64, c.samples_before as i64);
        statement.execute((
            case,
            &c.name,
            &c.unit,
            better(c.better),
            change,
            c.now,
            samples,
            c.before,
            before,
            &c.against,
            &c.text,
        ))?;
    }
    messages(transaction, run, Some(case), notes)
}

fn messages(transaction: &Transaction<'_>, run: i64, case: Option<i64>, notes: &Notes) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO messages (run_id, case_id, at, level, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for said in &notes.said {
        statement.execute((run, case, time(said.at), level(said.level), &said.text))?;
    }
    Ok(())
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Testcase => "testcase",
        Role::Cleanup => "cleanup",
        Role::Action => "action",
    }
}

fn better(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Verbose => "verbose",
        Level::Comment => "comment",
        Level::Warning => "warning",
        Level::Reason => "reason",
        Level::Step => "step",
        Level::Delimiter => "delimiter",
        Level::Result => "result",
    }
}
