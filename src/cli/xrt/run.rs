//! `xrt`: runs testcases.

use super::resume::{ResumeArgs, Resuming};
use super::{Common, ScriptArgs};
use crate::cli::access::{AccessArgs, masked};
use crate::cli::variables::VariableArgs;
use crate::cli::{Io, signals};
use crate::diagnostic::Diagnostic;
use crate::error::{Blame, Exit, Result, Whereabouts};
use crate::event::log::LogSink;
use crate::event::{Bus, Fact, Level, Sink};
use crate::report::{self, Reports, Verbosity};
use crate::run::{Plan, Runner, Settings};
use crate::script::{Catalog, Testcase};
use crate::secret::Mask;
use crate::time::{Cancel, Stop, Timestamp};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub const EXAMPLES: &str = "\
Examples:
  xrt --guest local --testcase scripts/iometer.rhai seconds=2 size=32MiB
  xrt --guest 10.0.0.5 --testcase benchmarks.micro.TCiometer
  xrt --guest root:secret@127.0.0.1:2222 --testcase dummy/sleep seconds=1
  xrt --guest 10.0.0.5 --testcase scripts/guestops --timeout 1h --report junit:out.xml
  xrt --testcase ./check.sh

Words after the options are the testcase's arguments: key=value, and a bare word is a true flag.
See also: xrt list, xrt manual, xrt help exit-codes";

/// The limit of what follows a testcase's judgement, when nobody says otherwise.
pub const CLEANUP: &str = "10m";

#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// The testcase: a file, a directory, a name, a dotted name or an alias; any executable will do. May be repeated
    #[arg(short = 'T', long, value_name = "TESTCASE", required_unless_present_any = ["resume", "rerun_failed"])]
    pub testcase: Vec<String>,

    /// Arguments of the testcase: key=value, or a word for a true flag
    #[arg(value_name = "ARGUMENT")]
    pub words: Vec<String>,

    #[command(flatten)]
    pub access: AccessArgs,

    /// How many testcases run at a time
    #[arg(short = 'j', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Running")]
    pub workers: u16,

    /// Limit of each testcase, instead of the one in its meta()
    #[arg(long, value_name = "DURATION", value_parser = super::duration, help_heading = "Running")]
    pub timeout: Option<Duration>,

    /// Limit of the logs, post_run and clean-ups of each testcase
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = CLEANUP, help_heading = "Running")]
    pub cleanup_timeout: Duration,

    #[command(flatten)]
    pub variables: VariableArgs,

    /// Do not fetch logs from the machines after a failure
    #[arg(long, help_heading = "Running")]
    pub no_logs: bool,

    /// Run scripts that xrt check complains about
    #[arg(long, help_heading = "Running")]
    pub no_check: bool,

    #[command(flatten)]
    pub again: ResumeArgs,

    #[command(flatten)]
    pub scripts: ScriptArgs,

    /// Put the results into a new directory below this one
    #[arg(long, value_name = "DIR", default_value = "results", env = "XRT_RESULTS", help_heading = "Output")]
    pub results: PathBuf,

    /// Make this report too: KIND or KIND:FILE. May be repeated; junit and html are always made
    #[arg(long, value_name = "KIND[:FILE]", help_heading = "Output")]
    pub report: Vec<String>,

    /// Say more: steps; twice: every call to a machine
    #[arg(short = 'v', visible_short_alias = 'V', long, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Say only what is not a pass, and the last line
    #[arg(short = 'q', long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// One line an event, also on a terminal
    #[arg(long, help_heading = "Output")]
    pub plain: bool,

    #[command(flatten)]
    pub common: Common,
}

/// Runs what was asked for, or goes on with it.
///
/// # Errors
/// Usage; a report or the event log that could not be written.
pub fn go(io: &Io, args: &RunArgs, resuming: Option<Resuming>) -> Result<Exit> {
    let variables = args.variables.load(io)?;
    let scripts = args.scripts.load()?;
    let catalog = Catalog::new(scripts.clone());
    let catalog = if args.no_check { catalog.unchecked() } else { catalog };
    let testcases = match find(&catalog, &args.testcase)? {
        Ok(testcases) => testcases,
        Err(diagnostics) => {
            super::check::show(io, &diagnostics);
            return Ok(Exit::Usage);
        }
    };
    let mut plan = Plan::of(testcases, &args.words, usize::from(args.workers))?;
    let resumed = resuming.as_ref().map(|resuming| resuming.settle(&mut plan, &catalog)).transpose()?;
    for spec in &args.report {
        report::asked(spec)?;
    }
    let mask = Mask::default();
    let lab = Arc::new(args.access.attach(io, &variables, &mask)?);
    let results = match &resuming {
        None => Results::make(&args.results)?,
        Some(resuming) => Results::again(resuming.run(), &resuming.dir)?,
    };
    let cancel = Cancel::new();
    let is_live = io.is_terminal() && !args.plain && !report::takes_the_output(&args.report);
    let (bus, stream) = open_stream(io, args, is_live, &results, &mask, &cancel, resuming)?;
    let left = format!("results so far: {}", results.dir.display());
    signals::listen(cancel.clone(), telling(is_live, &bus), move || left.clone());
    let settings = Settings {
        run: results.run.clone(),
        command: masked(io.args(), &mask),
        cwd: io.cwd(),
        environment: environment(io, &mask),
        workers: Some(usize::from(args.workers)),
        timeout: args.timeout,
        run_timeout: None,
        retries: None,
        fail_fast: false,
        no_post_run: false,
        cleanup: args.cleanup_timeout,
        collect_logs: !args.no_logs,
        results: results.dir.clone(),
        variables: variables.into(),
        resumed,
    };
    let runner = Runner { settings, lab, scripts, bus, cancel };
    let verdict = runner.run(&plan);
    let errors = stream.close();
    let exit = verdict?.exit();
    // What could not be written may have been the only sign of a failure: never passed.
    match errors.into_iter().next() {
        None => Ok(exit),
        Some(first) if exit == Exit::Passed => Err(first.blame(Blame::Lab)),
        Some(first) => {
            io.say(&format!("error: {}", first.report()));
            Ok(exit)
        }
    }
}

/// The variables of the environment as the log has them.
fn environment(io: &Io, mask: &Mask) -> BTreeMap<String, String> {
    io.variables().map(|(name, value)| (format!("XRT_{name}"), mask.apply(&value).unwrap_or(value))).collect()
}

/// All testcases that the references name, or everything that is wrong with them.
fn find(catalog: &Catalog, references: &[String]) -> Result<std::result::Result<Vec<Testcase>, Vec<Diagnostic>>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for reference in references {
        match catalog.find(reference)? {
            Ok(testcases) => found.extend(testcases),
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    Ok(if wrong.is_empty() { Ok(found) } else { Err(wrong) })
}

/// Where the results of this run are.
struct Results {
    run: String,
    dir: PathBuf,
}

impl Results {
    /// Makes `<below>/<start time>-<short id>/` and points `<below>/latest` at it.
    fn make(below: &Path) -> Result<Results> {
        let unique = format!("{}-{}", std::process::id(), Timestamp::now());
        let run = format!("{}-{:06x}", Timestamp::now().file_form(), crate::name::fingerprint(&unique) & 0x00ff_ffff);
        let dir = below.join(&run);
        std::fs::create_dir_all(below).at(format_args!("make the directory `{}`", below.display()))?;
        std::fs::create_dir(&dir).at(format_args!("make the directory `{}`", dir.display()))?;
        point_at(below, &run)?;
        Ok(Results { run, dir })
    }

    /// The results of a run that goes on. `latest` beside them points at them, if there is one.
    fn again(run: &str, dir: &Path) -> Result<Results> {
        if let (Some(below), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str()))
            && below.join("latest").is_symlink()
        {
            point_at(below, name)?;
        }
        Ok(Results { run: run.to_string(), dir: dir.to_path_buf() })
    }
}

/// Points `<below>/latest` at the results of a run.
fn point_at(below: &Path, name: &str) -> Result<()> {
    // Made beside and renamed, so that it always points somewhere, also when two runs begin at once.
    let fresh = below.join(format!(".latest-{name}"));
    std::os::unix::fs::symlink(name, &fresh)
        .and_then(|()| std::fs::rename(&fresh, below.join("latest")))
        .at(format_args!("point `{}` at the results", below.join("latest").display()))
}

/// How a person is told something while a run goes on. Where what runs now is drawn, only a fact gets onto the screen: the next drawing
/// would wipe away what another writes.
fn telling(is_live: bool, bus: &Bus) -> impl Fn(&str) + Send + 'static {
    let bus = is_live.then(|| bus.clone());
    move |text| match &bus {
        Some(bus) => bus.publish(None, Fact::Logged { level: Level::Warning, text: text.into() }),
        // Nobody is left to tell when this fails. The terminal has shown `^C` where the cursor was.
        None => drop(writeln!(std::io::stderr(), "\n{text}")),
    }
}

fn open_stream(
    io: &Io,
    args: &RunArgs,
    is_live: bool,
    results: &Results,
    mask: &Mask,
    cancel: &Cancel,
    resuming: Option<Resuming>,
) -> Result<(Bus, crate::event::Stream)> {
    let verbosity = Verbosity::from_flags(args.quiet, args.verbose);
    let always = ["testlog", "junit", "html"].map(String::from);
    let specs: Vec<String> = always.into_iter().chain(args.report.iter().cloned()).collect();
    let reports = io.reports(is_live, &specs, results.dir.clone(), verbosity)?;
    let reports = Reports::new(reports);
    let (log, reports, last) = match resuming {
        None => (LogSink::create(&results.dir.join("events.jsonl"))?, reports, 0),
        Some(resuming) => resuming.open(reports)?,
    };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(reports)];
    let cancel = cancel.clone();
    Bus::start_after(last, Box::new(log), sinks, mask.clone(), move |_| cancel.raise(Stop::Unrecorded))
}
