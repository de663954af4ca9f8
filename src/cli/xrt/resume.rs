//! `xrt --resume` and `xrt --rerun-failed`: going on with a run that died or was stopped, and running again what did not pass.

use super::words::{Told, deaf, merged, unwritten};
use super::{Xrt, run};
use crate::cli::Io;
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use crate::event::log::{self, ClaimedLog, LogReader, LogSink};
use crate::report::{self, Reports, Verbosity};
use crate::run::{Past, Plan, Resumed, Rounds};
use crate::script::Catalog;
use crate::secret::MASK;
use crate::time::Cancel;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The run that is taken up.
pub enum Earlier {
    /// None: a new run.
    None,
    /// It goes on.
    Resumed(Resuming),
    /// What did not pass in it is run again, as a new run.
    Failed(Rest),
}

/// What did not pass in a run.
pub struct Rest {
    past: Past,
    /// How often that run had everything, where the rounds of today are others: what did not pass in one of them is then run in all.
    rounds: Option<usize>,
}

/// A run that goes on.
pub struct Resuming {
    log: ClaimedLog,
    past: Arc<Past>,
    /// The results directory.
    pub dir: PathBuf,
    /// Set when it is the rest of another run itself.
    rest: Option<Rest>,
}

/// What is to be run of a plan.
pub struct Settled {
    pub plan: Plan,
    pub further: Box<dyn Iterator<Item = Plan> + Send>,
    pub resumed: Option<Resumed>,
}

/// Takes up what the options name, or runs what the command line says.
///
/// # Errors
/// Usage; what running gives.
pub fn run(io: &Io, args: &run::RunArgs) -> Result<Exit> {
    let named = args.again.resume.as_ref().or(args.again.rerun_failed.as_ref());
    let Some(named) = named else { return run::go(io, args, Earlier::None) };
    // Where the names of today begin. What is then run begins where the earlier run did.
    args.changedir.as_ref().map(|dir| io.go_to(dir)).transpose()?;
    let (path, dir) = log_of(named)?;
    if args.again.resume.is_some() { resume(io, &path, dir) } else { rerun(io, &path, &dir) }
}

fn resume(io: &Io, path: &Path, dir: PathBuf) -> Result<Exit> {
    let command = Xrt::command();
    let given = given(io, &command)?;
    if given.value_source("results") == Some(ValueSource::CommandLine) {
        let error = Error::new(Kind::Malformed, "--results: a run that goes on keeps its results where they are");
        return Err(error.blame(Blame::User).help("leave it out; --rerun-failed makes a new run"));
    }
    let log = ClaimedLog::claim(path)?;
    let past = Past::read(log.read()?)?;
    if past.is_whole() {
        return remake(io, &log, &past, &dir);
    }
    let (words, environment) = as_it_was(io, &command, &past, &given, &["resume", "results"], &[])?;
    let (io, args) = recorded(io, &command, &past, words, environment)?;
    let rest = args.again.rerun_failed.as_ref().map(|of| Rest::of(failed(&log_of(of)?.0)?, &args)).transpose()?;
    run::go(&io, &args, Earlier::Resumed(Resuming { log, past: Arc::new(past), dir, rest }))
}

fn rerun(io: &Io, path: &Path, dir: &Path) -> Result<Exit> {
    let command = Xrt::command();
    let past = failed(path)?;
    let run = &past.beginning.run;
    if past.bad().is_empty() {
        io.say(&format!("nothing to rerun: everything that was run in {run} has passed"));
        return Ok(Exit::NothingRan);
    }
    // The log tells which run it is the rest of, so that it can be resumed itself.
    let before = parsed(&command, &past.command).ok();
    // Run until something failed, it is not to fail again for each round that passed.
    let forgotten: &[&str] = if before.is_some_and(|before| before.pace.until_fail) { &["until_fail", "repeat"] } else { &[] };
    let given = given(io, &command)?;
    // The log tells which run it is the rest of, so that it can be resumed itself.
    let (mut words, environment) = as_it_was(io, &command, &past, &given, &["rerun_failed"], forgotten)?;
    words.insert(1, format!("--rerun-failed={}", dir.display()));
    let (io, args) = recorded(io, &command, &past, words, environment)?;
    let rest = Rest::of(past, &args)?;
    run::go(&io, &args, Earlier::Failed(rest))
}

/// A run that has ended, or died.
fn failed(path: &Path) -> Result<Past> {
    if log::is_written(path)? {
        let what = format!("the run is still going on: another xrt writes `{}`", path.display());
        return Err(Error::new(Kind::Refused, what).blame(Blame::User).help("let it end, or stop it, and try again"));
    }
    Past::read(LogReader::open(path)?)
}

/// The options of today.
fn given(io: &Io, command: &Command) -> Result<ArgMatches> {
    command.clone().try_get_matches_from(io.args()).map_err(|e| misread(&e))
}

/// There is nothing to go on with. It may have died over its reports, so those are made anew.
fn remake(io: &Io, log: &ClaimedLog, past: &Past, dir: &Path) -> Result<Exit> {
    let verdict = past.summary.verdict();
    io.say(&format!("nothing to resume: the run {} has ended, {}", past.beginning.run, verdict.word()));
    let args = parsed(&Xrt::command(), &past.command)?;
    go_back(io, past)?;
    args.changedir.as_ref().map(|dir| io.go_to(dir)).transpose()?;
    make_room(&run::reports(&args), dir, past)?;
    let mut reports = Reports::new(io.reports(None, &run::reports(&args), dir.to_path_buf(), Verbosity::Quiet)?);
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

/// What a past run was told, with the options given now put over it. Goes into the directory where it was begun.
fn as_it_was(
    io: &Io,
    command: &Command,
    past: &Past,
    given: &ArgMatches,
    not: &[&str],
    forgotten: &[&str],
) -> Result<(Vec<String>, BTreeMap<String, String>)> {
    let environment = environment(io, &past.beginning.environment)?;
    let told = Told { words: &past.command, environment: &environment, forgotten };
    Ok((merged(command, &told, given, not)?, environment))
}

/// The surroundings and the options of a run that was told this.
fn recorded(
    io: &Io,
    command: &Command,
    past: &Past,
    words: Vec<String>,
    environment: BTreeMap<String, String>,
) -> Result<(Io, run::RunArgs)> {
    let args = parsed(command, &words)?;
    go_back(io, past)?;
    Ok((io.as_recorded(args.common.color, words, environment), args))
}

/// Goes to where a run was begun.
fn go_back(io: &Io, past: &Past) -> Result<()> {
    let cwd = &past.beginning.cwd;
    if io.cwd() != *cwd {
        io.go_to(cwd).map_err(|e| e.help("the run was begun there, and relative paths of its options begin there"))?;
        io.say(&format!("in {}, where the run was begun", cwd.display()));
    }
    Ok(())
}

/// Removes copies of the events of a run, which are about to be written anew. Anything else stays, and is told by who wants to write it.
fn make_room(reports: &[String], dir: &Path, past: &Past) -> Result<()> {
    for (kind, file) in reports.iter().filter_map(|spec| report::asked(spec).ok()).filter(|(kind, _)| kind.word == "jsonl") {
        let usual = || kind.file.map(|file| dir.join(file));
        let Some(path) = file.map(PathBuf::from).or_else(usual).and_then(|path| std::fs::canonicalize(path).ok()) else { continue };
        if path != dir.join("events.jsonl") && past.is_told_in(&path) {
            std::fs::remove_file(&path).at(format_args!("replace `{}`", path.display()))?;
        }
    }
    Ok(())
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

impl Earlier {
    /// The seed of its order, which is kept; the outer nothing is for a new run.
    pub fn seed(&self) -> Option<Option<u64>> {
        match self {
            Earlier::None => None,
            Earlier::Resumed(resuming) => Some(resuming.past.beginning.seed),
            Earlier::Failed(rest) => Some(rest.past.beginning.seed),
        }
    }

    /// What is to be run: all rounds as one plan, or one after another.
    ///
    /// # Errors
    /// The plan is not the one that was begun; what did not pass is no longer in it.
    pub fn settle(&self, mut rounds: Rounds, one_by_one: bool, catalog: &Catalog) -> Result<Settled> {
        let rest = match self {
            Earlier::None => None,
            Earlier::Failed(rest) => Some(rest),
            Earlier::Resumed(resuming) => resuming.rest.as_ref(),
        };
        let plan = match rest {
            Some(rest) => rest.first(&mut rounds, one_by_one)?,
            None => first(&mut rounds, one_by_one),
        };
        let Earlier::Resumed(Resuming { past, .. }) = self else {
            return Ok(Settled { plan, further: Box::new(rounds), resumed: None });
        };
        let mut plan = plan;
        past.take_over(0, &mut plan, catalog)?;
        let mut known: Vec<Plan> = rounds.by_ref().take(past.rounds() - 1).collect();
        for (round, plan) in (1..).zip(&mut known) {
            past.take_over(round, plan, catalog)?;
        }
        let resumed = Some(Resumed { again: past.again(), rounds: past.rounds(), ran: past.ran() });
        Ok(Settled { plan, further: Box::new(known.into_iter().chain(rounds)), resumed })
    }
}

/// All rounds as one plan, or the first of them.
fn first(rounds: &mut Rounds, one_by_one: bool) -> Plan {
    if one_by_one { rounds.next().unwrap_or_default() } else { rounds.rest() }
}

impl Rest {
    /// Of this run, now that it is run by these options.
    fn of(past: Past, args: &run::RunArgs) -> Result<Rest> {
        let before = parsed(&Xrt::command(), &past.command)?;
        let repeat = before.selection.order.repeat;
        let is_same = repeat == args.selection.order.repeat && before.pace.until_fail == args.pace.until_fail;
        let rounds = match repeat {
            _ if before.pace.until_fail => Some(past.rounds()),
            _ if is_same => None,
            repeat => Some(repeat.unwrap_or(1) as usize),
        };
        Ok(Rest { past, rounds })
    }

    fn first(&self, rounds: &mut Rounds, one_by_one: bool) -> Result<Plan> {
        if let Some(earlier) = self.rounds {
            self.past.leave_rest(rounds.plan(), earlier)?;
            return Ok(first(rounds, one_by_one));
        }
        let mut plan = first(rounds, one_by_one);
        self.past.leave_rest(&mut plan, 1)?;
        Ok(plan)
    }
}

impl Earlier {
    /// Ends what the earlier run has left running, so that nothing runs beside its own next attempt. What is to be told of it.
    ///
    /// # Errors
    /// As [`Past::end_leftovers`].
    pub fn end_leftovers(&self, cancel: &Cancel) -> Result<Vec<String>> {
        match self {
            Earlier::None => Ok(Vec::new()),
            Earlier::Resumed(resuming) => resuming.past.end_leftovers(cancel),
            Earlier::Failed(rest) => rest.past.end_leftovers(cancel),
        }
    }

    /// The name and the results of the run that goes on, if one does.
    pub fn itself(&self) -> Option<(&str, &Path)> {
        let Earlier::Resumed(resuming) = self else { return None };
        Some((resuming.run(), &resuming.dir))
    }
}

impl Resuming {
    pub fn run(&self) -> &str {
        &self.past.beginning.run
    }

    /// Makes room for the reports, which are written anew.
    ///
    /// # Errors
    /// One of them cannot be removed.
    pub fn make_room(&self, reports: &[String]) -> Result<()> {
        make_room(reports, &self.dir, &self.past)
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
