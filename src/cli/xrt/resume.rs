//! `xrt --resume` and `xrt --rerun-failed`: going on with a run that died or was stopped, and running again what did not pass.

use super::words::{Told, deaf, merged, unwritten};
use super::{Xrt, run};
use crate::cli::Io;
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use crate::event::log::{ClaimedLog, LogReader, LogSink};
use crate::report::{Reports, Verbosity};
use crate::run::{Past, Plan, Resumed};
use crate::script::Catalog;
use crate::secret::MASK;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options that take a past run up.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Running again")]
pub struct ResumeArgs {
    /// Go on with a run that died or was stopped: what has a result keeps it. DIR is its results directory. Options given beside it
    /// win over those that it was begun with
    #[arg(long, value_name = "DIR", conflicts_with = "rerun_failed")]
    pub resume: Option<PathBuf>,

    /// Run what did not pass there, as a new run with the same options. DIR is a results directory
    #[arg(long, value_name = "DIR")]
    pub rerun_failed: Option<PathBuf>,
}

/// A run that goes on.
pub struct Resuming {
    log: ClaimedLog,
    past: Past,
    /// The results directory.
    pub dir: PathBuf,
}

/// Takes up what the options name, or runs what the command line says.
///
/// # Errors
/// Usage; what running gives.
pub fn run(io: &Io, args: &run::RunArgs) -> Result<Exit> {
    match (&args.again.resume, &args.again.rerun_failed) {
        (Some(dir), _) => resume(io, dir),
        (None, _) => run::go(io, args, None),
    }
}

fn resume(io: &Io, dir: &Path) -> Result<Exit> {
    let command = Xrt::command();
    let given = command.clone().try_get_matches_from(io.args()).map_err(|e| misread(&e))?;
    if given.value_source("results") == Some(ValueSource::CommandLine) {
        let error = Error::new(Kind::Malformed, "--results: a run that goes on keeps its results where they are");
        return Err(error.blame(Blame::User).help("leave it out; --rerun-failed makes a new run"));
    }
    let (path, dir) = log_of(dir)?;
    let log = ClaimedLog::claim(&path)?;
    let past = Past::read(log.read()?)?;
    if past.is_whole() {
        return remake(io, &log, &past, &dir);
    }
    let (io, args) = as_it_was(io, &command, &past, &given, &["resume", "results"])?;
    // Short names where they can be: reports show them.
    let base = args.changedir.as_ref().map_or_else(|| io.cwd(), |below| io.cwd().join(below));
    let dir = dir.strip_prefix(base).map(Path::to_path_buf).unwrap_or(dir);
    run::go(&io, &args, Some(Resuming { log, past, dir }))
}

/// There is nothing to go on with. It may have died over its reports, so those are made anew.
fn remake(io: &Io, log: &ClaimedLog, past: &Past, dir: &Path) -> Result<Exit> {
    let verdict = past.summary.verdict();
    io.say(&format!("nothing to resume: the run {} has ended, {}", past.beginning.run, verdict.word()));
    let args = parsed(&Xrt::command(), &past.command)?;
    if io.cwd() != past.beginning.cwd {
        io.go_to(&past.beginning.cwd)?;
    }
    let mut reports = Reports::new(io.reports(false, &run::reports(&args), dir.to_path_buf(), Verbosity::Quiet)?);
    reports.recall(log.read()?)?;
    match reports.close().into_iter().next() {
        Some(first) => Err(first.blame(Blame::User)),
        None => Ok(verdict.exit()),
    }
}

/// The options that these words are.
fn parsed(command: &Command, words: &[String]) -> Result<run::RunArgs> {
    let matches = deaf(command).try_get_matches_from(words).map_err(|e| misread(&e))?;
    Ok(Xrt::from_arg_matches(&matches).map_err(|e| misread(&e))?.run)
}

/// The results directory that a person names, and the event log in it.
///
/// # Errors
/// There is none.
pub fn log_of(named: &Path) -> Result<(PathBuf, PathBuf)> {
    let path = if named.is_dir() { named.join("events.jsonl") } else { named.to_path_buf() };
    // `latest` may point elsewhere before the run ends.
    let path = std::fs::canonicalize(&path).at(format_args!("read the event log `{}`", path.display()));
    let path = path.map_err(|e| e.help("name the results directory of a run, or its `events.jsonl`"))?;
    let dir = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok((path, dir))
}

/// The surroundings and the options of a past run, with those given now put over them. Goes into its directory.
fn as_it_was(io: &Io, command: &Command, past: &Past, given: &ArgMatches, not: &[&str]) -> Result<(Io, run::RunArgs)> {
    let environment = environment(io, &past.beginning.environment)?;
    let told = Told { words: &past.command, environment: &environment };
    let words = merged(command, &told, given, not)?;
    let args = parsed(command, &words)?;
    let cwd = &past.beginning.cwd;
    if io.cwd() != *cwd {
        io.go_to(cwd).map_err(|e| e.help("the run was begun there, and relative paths of its options begin there"))?;
        io.say(&format!("in {}, where the run was begun", cwd.display()));
    }
    Ok((io.as_recorded(args.common.color, words, environment), args))
}

/// What the environment set then. Secrets come from the environment of today.
fn environment(io: &Io, recorded: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut environment = recorded.clone();
    let mut missing = Vec::new();
    for (name, value) in environment.iter_mut().filter(|(_, value)| value.contains(MASK)) {
        match io.env(name) {
            Some(now) => *value = now,
            None => missing.push(format!("{name}={value}")),
        }
    }
    if missing.is_empty() {
        return Ok(environment);
    }
    let error = unwritten(&missing);
    Err(error.help("set it in the environment, as it was then"))
}

fn misread(error: &clap::Error) -> Error {
    let text = error.to_string();
    let what = text.trim_start_matches("error: ").lines().next().unwrap_or_default().to_string();
    Error::new(Kind::Malformed, what).blame(Blame::User).help("xrt --help explains the options")
}

impl Resuming {
    pub fn run(&self) -> &str {
        &self.past.beginning.run
    }

    /// What the order was shuffled with.
    pub fn seed(&self) -> Option<u64> {
        self.past.beginning.seed
    }

    /// Puts what has a result into the plan.
    ///
    /// # Errors
    /// The plan is not the one that was begun.
    pub fn settle(&self, plan: &mut Plan, catalog: &Catalog) -> Result<Resumed> {
        self.past.take_over(0, plan, catalog)?;
        Ok(Resumed { again: self.past.again(), rounds: self.past.rounds() })
    }

    /// The log, which goes on after this event, and the reports, which know what happened before.
    ///
    /// # Errors
    /// The log can be neither read nor written.
    pub fn open(self, mut reports: Reports) -> Result<(LogSink, Reports, u64)> {
        let (last, whole) = (self.past.last, self.past.whole);
        let path = self.log.path().to_path_buf();
        let log = self.log.go_on(whole)?;
        reports.recall(LogReader::open(&path)?)?;
        Ok((log, reports, last))
    }
}
