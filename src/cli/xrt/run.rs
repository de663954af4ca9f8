//! `xrt`: runs testcases.

use super::keys::{Keys, Sitting};
use super::notify::{self, Notifier};
use super::perf::PerfArgs;
use super::plan::PlanArgs;
use super::results::Results;
use super::resume::{Earlier, ResumeArgs, Settled};
use super::selection::{Chosen, SelectionArgs};
use super::{Common, ScriptArgs};
use crate::cli::access::{AccessArgs, masked};
use crate::cli::hosts::Attached;
use crate::cli::variables::VariableArgs;
use crate::cli::{Io, signals};
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::event::log::LogSink;
use crate::event::{Bus, Fact, Level, Sink, Verdict};
use crate::interact::{self, Desk, Remembered, Right, Server};
use crate::lab::Lab;
use crate::lab::prepare::record;
use crate::metric::Baselines;
use crate::repl::Keyboard;
use crate::report::{self, Reports, Stage, Verbosity};
use crate::run::{Control, Plan, Runner, Settings};
use crate::script::{Catalog, Testcase};
use crate::secret::Mask;
use crate::sequence::load;
use crate::time::{Cancel, Clock, Stop};
use crate::vars::{Layer, Live, Variables};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
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
  xrt --guest local -s smoke.seq
  xrt --guest 10.0.0.5 -s benchmarks.seq --noprepare -D SECONDS=60 --only 'group:Disk & !tag:slow'

Words after the options are the testcase's arguments: key=value, and a bare word is a true flag.
See also: xrt list, xrt plan, xrt manual, xrt help filters, xrt help exit-codes";

/// The limit of what follows a testcase's judgement, when nobody says otherwise.
pub const CLEANUP: &str = "10m";

#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// The testcase: a file, a directory, a name, a dotted name or an alias; any executable will do. May be repeated
    #[arg(short = 'T', long, value_name = "TESTCASE", conflicts_with = "sequence",
        required_unless_present_any = ["sequence", "resume", "rerun_failed", "lookup"])]
    pub testcase: Vec<String>,

    /// Arguments of the testcase: key=value, or a word for a true flag
    #[arg(value_name = "ARGUMENT")]
    pub words: Vec<String>,

    #[command(flatten)]
    pub access: AccessArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub pace: PaceArgs,
    #[command(flatten)]
    pub perf: PerfArgs,
    #[command(flatten)]
    pub variables: VariableArgs,

    #[command(flatten)]
    pub pausing: PausingArgs,

    /// Do not fetch logs from the machines after a failure
    #[arg(long, help_heading = "Running")]
    pub no_logs: bool,

    /// Run scripts that xrt check complains about
    #[arg(long, help_heading = "Running")]
    pub no_check: bool,

    /// Go into this directory first: relative paths of all options begin there
    #[arg(short = 'C', long, value_name = "DIR", help_heading = "Running")]
    pub changedir: Option<PathBuf>,

    /// Show what a sequence would run, and run nothing; see xrt plan
    #[arg(long, requires = "sequence", help_heading = "Running")]
    pub dump_sequence: bool,

    /// Print the value of this variable, and run nothing; see xrt vars
    #[arg(long, value_name = "NAME", help_heading = "Running")]
    pub lookup: Option<String>,

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

    /// Take no keys from the terminal
    #[arg(long, help_heading = "Output")]
    pub no_input: bool,

    #[command(flatten)]
    pub common: Common,
}

/// When a testcase waits for a person, and where that person is listened to.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Pausing")]
pub struct PausingArgs {
    /// Have this testcase wait for a person when it fails, at the very statement; ALL for every one. May be repeated
    #[arg(long, value_name = "TESTCASE")]
    pub pause_on_fail: Vec<String>,

    /// Have this testcase wait for a person when it passes; ALL for every one. May be repeated
    #[arg(long, value_name = "TESTCASE")]
    pub pause_on_pass: Vec<String>,

    /// Where to listen for xenrt interact; at an address that others reach, who has the token may steer the run [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS:PORT", env = "XRT_INTERACT_LISTEN")]
    pub interact_listen: Option<String>,
}

impl PausingArgs {
    /// Sets the variables that the options mean.
    ///
    /// # Errors
    /// As [`Variables::set`].
    fn set(&self, variables: &mut Variables) -> Result<()> {
        for (tree, names) in [("PAUSE_ON_FAIL", &self.pause_on_fail), ("PAUSE_ON_PASS", &self.pause_on_pass)] {
            for name in names {
                variables.set(Layer::Flag, &format!("CLIOPTIONS/{tree}/{name}"), "yes")?;
            }
        }
        Ok(())
    }
}

/// How much at a time, how long, and how often.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Running")]
pub struct PaceArgs {
    /// How many testcases run at a time; with a sequence, how many branches of one parallel at most [default: 1, or what the sequence says]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,

    /// Limit of each testcase, instead of the one in the sequence or in its meta()
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub timeout: Option<Duration>,

    /// Limit of everything together, of a resumed run with what it took before; clean-ups are run all the same
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub run_timeout: Option<Duration>,

    /// Limit of the logs, post_run and clean-ups of each testcase
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = CLEANUP)]
    pub cleanup_timeout: Duration,

    /// Try a testcase that does not pass so many times more, instead of what the sequence says; one that passes then is flaky
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    pub retries: Option<u32>,

    /// Begin nothing more after the first failure
    #[arg(long)]
    pub fail_fast: bool,

    /// Run everything again and again until something does not pass; with --repeat, so many times at most
    #[arg(long)]
    pub until_fail: bool,
}

/// Runs what was asked for, or goes on with it.
///
/// # Errors
/// Usage; a report or the event log that could not be written.
pub fn go(io: &Io, args: &RunArgs, earlier: Earlier) -> Result<Exit> {
    // A run that is taken up again begins where this one did, and goes on into the same directory.
    let cwd = io.cwd();
    args.changedir.as_ref().map(|dir| io.go_to(dir)).transpose()?;
    if let Some(name) = &args.lookup {
        return args.look_up(io, name);
    }
    if args.dump_sequence {
        return super::plan::run(io, &args.as_plan());
    }
    let scripts = args.scripts.load()?;
    let catalog = Catalog::new(scripts.clone());
    let catalog = if args.no_check { catalog.unchecked() } else { catalog };
    let chosen = args.choose(io, &catalog, earlier.seed(), None)?;
    let Some(mut chosen) = chosen else { return Ok(Exit::Usage) };
    let mask = Mask::default();
    let attached = args.access.attach_all(io, &mut chosen.variables, &mask, &args.selection.shortcuts.hosts)?;
    if attached.has_more() && chosen.sequence.is_some() {
        match args.choose(io, &catalog, earlier.seed(), Some(&attached))? {
            Some(again) => chosen = again,
            None => return Ok(Exit::Usage),
        }
    }
    let Chosen { sequence, variables, rounds } = chosen;
    let windows = sequence.map(|sequence| sequence.windows).unwrap_or_default();
    let Settled { plan, mut further, resumed } = earlier.settle(rounds, args.pace.until_fail, &catalog)?;
    // Before `results/latest` is another.
    let (baselines, mut notices) = args.perf.load(&plan, &windows, &catalog, earlier.itself())?;
    args.report.iter().try_for_each(|spec| report::asked(spec).map(drop))?;
    let lab = attached.lab.clone();
    let results = results(io, args, &earlier)?;
    let cancel = Cancel::new();
    let is_live = io.is_terminal() && !args.plain && !report::takes_the_output(&args.report);
    notices.extend(earlier.end_leftovers(&cancel)?);
    let variables = Live::from(variables);
    notices.extend(notify::wrong(&variables));
    let notifier = Notifier::new(&variables, &mask, args.access.trust(io));
    let stage = is_live.then(Stage::default);
    let (bus, stream) = open_stream(io, args, stage.as_ref(), &results, (&mask, &cancel), (earlier, &notifier))?;
    let keyboard = keyboard(is_live && !args.no_input);
    let (sitting, restore) = (Sitting::default(), keyboard.as_ref().map(Keyboard::restorer));
    let (prompt, left) = (sitting.clone(), format!("results so far: {}", results.dir.display()));
    let leaving = move || {
        restore.iter().for_each(|restore| restore());
        left.clone()
    };
    signals::listen(cancel.clone(), move || prompt.ring(), telling(is_live, &bus), leaving);
    let settings = Settings { cwd, variables, baselines, notices, resumed, ..args.settings(io, &mask, results) };
    let control = Control::new(bus.clone(), settings.variables.clone(), Clock::default());
    let listening = listen(io, &args.pausing, (&control, &lab), &settings.results)?;
    let settings = Settings { listening: Some(listening.0.address().to_string()), ..settings };
    let runner = Runner { settings, lab, scripts, bus, cancel, control };
    let keys = keyboard.zip(stage).map(|(keyboard, stage)| {
        let by = io.env("USER").unwrap_or_else(|| "terminal".into());
        let (io, address) = (Io::new(args.common.color), listening.0.url(Right::Steer));
        Keys::hear(keyboard, io, stage, (runner.control.clone(), &address), by, &sitting)
    });
    let keys = keys.transpose()?;
    let verdict = runner.run_until_failure(&plan, &mut *further);
    drop((keys, listening));
    notifier.close();
    left_behind(args, &runner.settings.results).into_iter().for_each(|text| io.say(&text));
    // The reports that are made now need the room.
    drop((plan, further));
    ended(io, verdict, stream.close())
}

/// Where the results go: into a new directory, or that of the run that is taken up again.
fn results(io: &Io, args: &RunArgs, earlier: &Earlier) -> Result<Results> {
    match earlier {
        Earlier::Resumed(resuming) => Results::again(resuming.run(), &resuming.dir, &io.cwd()),
        _ => Results::make(&args.results),
    }
}

/// The keys of the terminal, if there is somebody who can press them.
fn keyboard(is_wanted: bool) -> Option<Keyboard> {
    let terminal = std::io::stdin().as_fd().try_clone_to_owned().ok().filter(|_| is_wanted)?;
    Keyboard::new(terminal)
}

/// Listens for whoever wants to steer the run, and says where.
fn listen(io: &Io, args: &PausingArgs, (control, lab): (&Control, &Arc<Lab>), results: &Path) -> Result<(Server, Vec<Remembered>)> {
    let listen = args.interact_listen.as_deref().unwrap_or("127.0.0.1:0");
    let wrong = || Error::new(Kind::Malformed, format!("`{listen}` is no address to listen on")).blame(Blame::User);
    let at = listen.to_socket_addrs().ok().and_then(|mut all| all.next());
    let at = at.ok_or_else(|| wrong().help("as in 127.0.0.1:0, where 0 is any port that is free"))?;
    let context = Context::new(control.bus().clone(), None, results.to_path_buf(), Cancel::new());
    let desk = Desk::new(control.clone(), lab.clone(), context, results.join("events.jsonl"));
    let server = Server::start(at, desk)?;
    [Right::Steer, Right::Look].iter().for_each(|right| control.bus().mask().learn(&server.url(*right).token));
    let url = server.url(Right::Steer);
    let mut remembered = vec![
        interact::remember(&results.join(interact::URL), &url)?,
        interact::remember(&results.join(interact::READ_ONLY), &server.url(Right::Look))?,
    ];
    // Without it the run is found by its results.
    let by_port = interact::remember(&io.runs_dir().join(format!("{}.url", server.address().port())), &url);
    remembered.extend(by_port.inspect_err(|error| tracing::warn!("{}", error.report())));
    Ok((server, remembered))
}

/// How the process ends: by the verdict, unless something could not be written. That may have been the only sign of a failure, so it is
/// never passed.
fn ended(io: &Io, verdict: Result<Verdict>, unwritten: Vec<Error>) -> Result<Exit> {
    let exit = verdict?.exit();
    match unwritten.into_iter().next() {
        None => Ok(exit),
        Some(first) if exit == Exit::Passed => Err(first.blame(Blame::Lab)),
        Some(first) => {
            io.say(&format!("error: {}", first.report()));
            Ok(exit)
        }
    }
}

/// What a preparation has left, and how it is removed.
fn left_behind(args: &RunArgs, results: &Path) -> Option<String> {
    let made = record::read(results).ok()?;
    let things: Vec<String> = made.iter().filter(|made| made.is_thing()).map(|made| made.what.clone()).collect();
    let hosts = &args.selection.shortcuts.hosts;
    let given = [("--pool", &hosts.pool), ("--existing", &hosts.existing), ("--host", &hosts.host)];
    let words = given.into_iter().flat_map(|(option, hosts)| hosts.iter().map(move |host| (option, without_password(host))));
    // A simulated pool is gone with the run.
    let real: Vec<String> = words
        .filter(|(_, host)| *host != "sim" && !host.starts_with("sim:"))
        .map(|(option, host)| format!(" {option} {host}"))
        .collect();
    if things.is_empty() || real.is_empty() {
        return None;
    }
    let command = format!("xrt prepare --clean {}{}", results.display(), real.concat());
    Some(format!("prepared, and left there: {}; to remove it: {command}", things.join(", ")))
}

fn without_password(host: &str) -> &str {
    host.rsplit('@').next().unwrap_or(host)
}

impl RunArgs {
    /// What a run is told by the command line alone.
    fn settings(&self, io: &Io, mask: &Mask, results: Results) -> Settings {
        let PaceArgs { workers, timeout, run_timeout, retries, fail_fast, cleanup_timeout, .. } = self.pace;
        Settings {
            run: results.run,
            command: masked(io.args(), mask),
            cwd: PathBuf::new(),
            environment: environment(io, mask),
            workers: workers.map(usize::from),
            timeout,
            run_timeout,
            retries,
            fail_fast,
            clean_up: self.selection.sequence.clean_up,
            no_post_run: self.selection.sequence.no_postrun,
            cleanup: cleanup_timeout,
            collect_logs: !self.no_logs,
            results: results.dir,
            variables: Live::default(),
            baselines: Baselines::default(),
            notices: Vec::new(),
            listening: None,
            resumed: None,
        }
    }

    /// What is to be run: the sequence, or the testcases. Nothing when something is wrong with it, which was shown.
    /// Once hypervisors were asked, with the machines that they are.
    fn choose(
        &self,
        io: &Io,
        catalog: &Catalog,
        recorded: Option<Option<u64>>,
        attached: Option<&Attached>,
    ) -> Result<Option<Chosen>> {
        let mut variables = self.variables.load(io)?;
        self.selection.set(&mut variables)?;
        attached.map(|attached| attached.set(&mut variables)).transpose()?;
        self.pausing.set(&mut variables)?;
        if let Some(file) = &self.selection.sequence.sequence {
            if let Some(word) = self.words.first() {
                let error = Error::new(Kind::Malformed, format!("`{word}`: a sequence takes no arguments")).blame(Blame::User);
                return Err(error.help("arguments of testcases stand in its file; -D NAME=VALUE sets its variables"));
            }
            return self.selection.settle(io, catalog, file, variables, recorded);
        }
        let testcases = match find(catalog, &self.testcase)? {
            Ok(testcases) => testcases,
            Err(diagnostics) => {
                super::check::show(io, &diagnostics);
                return Ok(None);
            }
        };
        let plan = Plan::of(testcases, &self.words, usize::from(self.pace.workers.unwrap_or(1)))?;
        self.selection.choose(io, plan, variables, recorded)
    }

    /// `--lookup`, with the variables of the sequence if there is one.
    fn look_up(&self, io: &Io, name: &str) -> Result<Exit> {
        let mut variables = self.variables.load(io)?;
        self.selection.set(&mut variables)?;
        if let Some(file) = &self.selection.sequence.sequence {
            let loaded = load(&self.selection.sequence.library(), file, variables, self.selection.sequence.mode())?;
            if loaded.has_errors() {
                super::check::show(io, &loaded.diagnostics);
                return Ok(Exit::Usage);
            }
            variables = loaded.variables;
        }
        super::vars::lookup(io, &variables, name)
    }

    fn as_plan(&self) -> PlanArgs {
        PlanArgs {
            selection: self.selection.clone(),
            history: None,
            workers: None,
            json: false,
            graph: None,
            variables: self.variables.clone(),
            scripts: self.scripts.clone(),
            common: self.common.clone(),
        }
    }
}

/// The variables of the environment as the log has them.
fn environment(io: &Io, mask: &Mask) -> BTreeMap<String, String> {
    io.variables().map(|(name, value)| (format!("XRT_{name}"), mask.apply(&value).unwrap_or(value))).collect()
}

/// All testcases that the references name, or everything that is wrong with them.
fn find(catalog: &Catalog, references: &[String]) -> Result<std::result::Result<Vec<Arc<Testcase>>, Vec<Diagnostic>>> {
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

/// The reports that are made: always, and those asked for.
pub fn reports(args: &RunArgs) -> Vec<String> {
    ["testlog", "junit", "html"].map(String::from).into_iter().chain(args.report.iter().cloned()).collect()
}

fn open_stream(
    io: &Io,
    args: &RunArgs,
    stage: Option<&Stage>,
    results: &Results,
    (mask, cancel): (&Mask, &Cancel),
    (earlier, notifier): (Earlier, &Notifier),
) -> Result<(Bus, crate::event::Stream)> {
    let verbosity = Verbosity::from_flags(args.quiet, args.verbose);
    let specs = reports(args);
    if let Earlier::Resumed(resuming) = &earlier {
        resuming.make_room(&specs)?;
    }
    let mut all = io.reports(stage, &specs, results.dir.clone(), verbosity)?;
    all.push(Box::new(notifier.reader()));
    let reports = Reports::new(all);
    let (log, reports, last) = match earlier {
        Earlier::Resumed(resuming) => resuming.open(reports)?,
        _ => (LogSink::create(&results.dir.join("events.jsonl"))?, reports, 0),
    };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(reports)];
    let cancel = cancel.clone();
    let (bus, stream) = Bus::start_after(last, Box::new(log), sinks, mask.clone(), move |_| cancel.raise(Stop::Unrecorded))?;
    notifier.complain_to(&bus);
    Ok((bus, stream))
}
