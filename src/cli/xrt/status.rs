//! `xrt status`: how a run stands: what has ended, what was running, what never started.

use super::Common;
use super::resume::log_of;
use crate::cli::{Io, table};
use crate::error::{Exit, Kind, Result};
use crate::event::log::{self, LogReader};
use crate::event::{Outcome, Role, Verdict};
use crate::report::{Case, Summary, Verbosity, count, printable};
use crate::time::Timestamp;
use crate::unit::{seconds_to_duration, show_duration};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  xrt status                      the latest run
  xrt status results/latest       also after it was killed: what had ended, what was running, what never started
  xrt status --json | jq .cases   everything, for programs

The exit status is that of the run; one that goes on or died is incomplete (3).
See also: xrt replay, xrt --resume, xrt --rerun-failed";

/// Tell how a run stands: what has ended, what was running, what never started
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// The results directory of the run, or its event log
    #[arg(default_value = "results/latest")]
    pub run: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &StatusArgs) -> Result<Exit> {
    let (path, _) = log_of(&args.run)?;
    // Asked first: a run that ends meanwhile is then one that goes on, never one that died.
    let is_live = log::is_written(&path)?;
    let mut summary = Summary::default();
    for event in LogReader::open(&path)? {
        match event {
            Ok(event) => summary.apply(&event),
            Err(error) if error.kind == Kind::Malformed => summary.damage(error.what),
            Err(error) => return Err(error),
        }
    }
    let status = Status { summary: &summary, is_live };
    let text = if args.json { status.json() } else { status.text(io, &args.run) };
    io.print(&text)?;
    Ok(summary.exit())
}

struct Status<'a> {
    summary: &'a Summary,
    /// Whether a process is writing the log.
    is_live: bool,
}

impl Status<'_> {
    /// How the run as a whole stands.
    fn word(&self) -> &'static str {
        match self.summary.verdict() {
            _ if self.is_live => "goes on",
            Verdict::Incomplete if !self.summary.is_over() => "died",
            verdict => verdict.word(),
        }
    }

    fn word_of(&self, case: &Case) -> &'static str {
        match (case.outcome, case.has_begun()) {
            (Some(outcome), _) => outcome.word(),
            (None, true) if self.is_live && case.is_running() => "running",
            (None, true) => "was running",
            (None, false) if self.is_live => "waiting",
            (None, false) => "not started",
        }
    }

    fn text(&self, io: &Io, dir: &Path) -> String {
        let (run, cases) = (self.summary.run(), self.summary.cases());
        let what = run.sequence.as_ref().map(|sequence| format!(" of {sequence}")).unwrap_or_default();
        let begun = run.started.map(|at| format!(", begun {}", at.date())).unwrap_or_default();
        let heard = self.summary.last_at().map(|at| format!(", last heard of {}", at.date())).unwrap_or_default();
        let mut text = printable(&format!("run {}{what}{begun}{heard}: {}", run.id, self.word()));
        text.push_str(&format!("\n{}\n\n", self.tally()));
        let rows = cases.iter().map(|case| self.row(case));
        text.push_str(&table::plain(&["", "CASE", "TOOK", ""], rows, io.look(Verbosity::Normal).width));
        if !self.is_live && cases.iter().any(Case::is_bad) {
            let dir = printable(&crate::report::shell_line(&[dir.display().to_string()]));
            let failed = format!("xrt --rerun-failed {dir} runs again what did not pass");
            let unfinished = matches!(self.summary.verdict(), Verdict::Incomplete | Verdict::Stopped);
            let resume = if unfinished { format!("xrt --resume {dir} goes on with it; ") } else { String::new() };
            text.push_str(&format!("\n{resume}{failed}\n"));
        }
        text
    }

    /// "40 testcases: 12 have a result (10 passed, 2 failed), 3 were running, 25 had not started".
    fn tally(&self) -> String {
        let all: Vec<&Case> = self.summary.cases().iter().filter(|case| case.role == Role::Testcase).collect();
        let with = |outcome: Outcome| all.iter().filter(|case| case.outcome == Some(outcome)).count();
        let results = Outcome::ALL.map(|outcome| (with(outcome), outcome.word()));
        let named: Vec<String> = results.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let how = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        let finished: usize = results.iter().map(|(n, _)| n).sum();
        let begun = all.iter().filter(|case| case.outcome.is_none() && case.has_begun()).count();
        let waiting = all.len() - finished - begun;
        let have = if finished == 1 { "has" } else { "have" };
        let (running, not_begun) = match (self.is_live, begun) {
            (true, _) => ("running", "waiting"),
            (false, 1) => ("was running", "had not started"),
            (false, _) => ("were running", "had not started"),
        };
        let tests = count(all.len(), "testcase");
        format!("{tests}: {finished} {have} a result{how}, {begun} {running}, {waiting} {not_begun}")
    }

    fn row(&self, case: &Case) -> Vec<String> {
        let took = if case.has_begun() { self.took(case) } else { None };
        let took = took.and_then(|took| seconds_to_duration(took).ok()).map(show_duration).unwrap_or_default();
        let role = if case.role == Role::Testcase { String::new() } else { format!("({}) ", case.role.word()) };
        let id = printable(case.id.as_str());
        vec![self.word_of(case).into(), id, took, printable(&format!("{role}{}", self.why(case)))]
    }

    /// Seconds: what it took, or has been running.
    fn took(&self, case: &Case) -> Option<f64> {
        let now = if self.is_live { Some(Timestamp::now()) } else { self.summary.last_at() };
        case.started.or(case.ended).map(|_| case.took_until(now))
    }

    /// Why it is no pass; of what runs, what it was doing.
    fn why(&self, case: &Case) -> String {
        if case.outcome.is_some() {
            return case.why().filter(|_| case.outcome != Some(Outcome::Passed)).unwrap_or_default().to_string();
        }
        let phase = case.phase.map(|phase| format!("in {}", phase.word())).unwrap_or_default();
        match case.notes().actions.last() {
            Some(action) if action.machine.is_some() => {
                format!("{phase}: {} on {}", action.what, action.machine.as_deref().unwrap_or_default())
            }
            Some(action) => format!("{phase}: {}", action.what),
            None => phase,
        }
    }

    fn json(&self) -> String {
        let run = self.summary.run();
        let case = |case: &Case| {
            serde_json::json!({
                "id": case.id,
                "role": case.role,
                "state": self.word_of(case),
                "outcome": case.outcome,
                "why": self.why(case),
                "took": self.took(case),
                "started": case.first_started(),
                "ended": case.ended,
            })
        };
        let status = serde_json::json!({
            "run": run.id,
            "sequence": run.sequence,
            "state": self.word(),
            "verdict": self.summary.verdict(),
            "started": run.started,
            "last_heard_of": self.summary.last_at(),
            "cases": self.summary.cases().iter().map(case).collect::<Vec<_>>(),
        });
        format!("{}\n", serde_json::to_string_pretty(&status).unwrap_or_default())
    }
}
