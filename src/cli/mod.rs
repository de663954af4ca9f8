//! The command line: the only room that reads the environment, prints, and decides how the process ends.
//!
//! Never true here: that something is decided which a room below could decide; a subcommand parses, calls, and shows.
//!
//! To add a subcommand: a file in `xrt/` and its two lines in `xrt/mod.rs`.

mod access;
mod hosts;
mod signals;
mod table;
mod variables;
pub mod xenrt;
pub mod xrt;

use crate::error::{Error, Exit, Kind, Result, Whereabouts};
use crate::report::{self, Live, Opening, Report};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Of the environment's `XRT_` names, secrets that only the login reads.
const NOT_VARIABLES: [&str; 3] = ["HOST_PASSWORD", "KEY_PASSPHRASE", "PASSWORD"];

/// What a subcommand knows of the process it runs in.
pub struct Io {
    color: ColorChoice,
    /// What a past run was told, when it is taken up again.
    recorded: Option<Recorded>,
}

/// The command line of a past run, and what its environment set (`XRT_…`).
struct Recorded {
    words: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl Io {
    pub fn new(color: ColorChoice) -> Io {
        Io { color, recorded: None }
    }

    /// The same process, as if it had been given a past command line and its settings. Secrets that only the login reads stay those
    /// of today.
    pub fn as_recorded(&self, color: ColorChoice, words: Vec<String>, environment: BTreeMap<String, String>) -> Io {
        Io { color, recorded: Some(Recorded { words, environment }) }
    }

    /// An environment variable that is set to some text.
    pub fn env(&self, name: &str) -> Option<String> {
        match &self.recorded {
            Some(recorded) if is_setting(name) => recorded.environment.get(name).cloned(),
            _ => std::env::var(name).ok(),
        }
        .filter(|value| !value.is_empty())
    }

    /// All of the environment that is text.
    pub fn environment(&self) -> impl Iterator<Item = (String, String)> {
        let recorded = self.recorded.as_ref().map(|recorded| recorded.environment.clone());
        let is_ours = recorded.is_none();
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(move |(name, _)| is_ours || !is_setting(name))
            .chain(recorded.into_iter().flatten())
    }

    /// What the environment sets, by the names of the variables: `XRT_SITE` sets `SITE`.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let named = |(name, value): (String, String)| Some((name.strip_prefix("XRT_")?.to_string(), value));
        self.environment().filter(|(name, _)| is_setting(name)).filter_map(named)
    }

    pub fn home(&self) -> PathBuf {
        self.env("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }

    /// Where files of this program's own stand, by the XDG base directory specification: history, host keys.
    pub fn state_dir(&self) -> PathBuf {
        let base = self.env("XDG_STATE_HOME").map_or_else(|| self.home().join(".local/state"), PathBuf::from);
        base.join("xenrt")
    }

    /// Where the runs that go on on this machine can be found by the ports they listen at.
    pub fn runs_dir(&self) -> PathBuf {
        self.state_dir().join("runs")
    }

    /// Where a person's settings stand, by the same specification.
    pub fn config_dir(&self) -> PathBuf {
        let base = self.env("XDG_CONFIG_HOME").map_or_else(|| self.home().join(".config"), PathBuf::from);
        base.join("xenrt")
    }

    /// The directory that relative paths are below.
    pub fn cwd(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_default()
    }

    /// Makes relative paths begin in this directory.
    ///
    /// # Errors
    /// It is not there.
    pub fn go_to(&self, dir: &Path) -> Result<()> {
        std::env::set_current_dir(dir).at(format_args!("go into the directory `{}`", dir.display()))
    }

    /// The words of the command line.
    pub fn args(&self) -> Vec<String> {
        if let Some(recorded) = &self.recorded {
            return recorded.words.clone();
        }
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// Writes data for other programs or people to the standard output. A reader that has gone away is no error.
    ///
    /// # Errors
    /// The output cannot be written (a full disk).
    pub fn print(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::new(Kind::Refused, "cannot write to the standard output").blame(crate::error::Blame::User).because(e))
            }
            _ => Ok(()),
        }
    }

    /// Tells people something, on the standard error.
    pub fn say(&self, text: &str) {
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal() && self.env("TERM").is_none_or(|t| t != "dumb")
    }

    /// How things are shown on the standard output.
    pub fn look(&self, verbosity: report::Verbosity) -> report::Options {
        let width = self.is_terminal().then(screen).flatten().map(|(columns, _)| columns);
        report::Options { verbosity, colour: self.has_colour(self.is_terminal()), width, ascii: self.is_ascii() }
    }

    /// The report for people, live where there is a stage for it, and those that `specs` ask for. Where one of those takes the standard output, people are told on the
    /// standard error, so that another program can read it: `--report jsonl:- | jq`.
    ///
    /// # Errors
    /// As [`report::open`].
    pub fn reports(
        &self,
        live: Option<&report::Stage>,
        specs: &[String],
        results: PathBuf,
        verbosity: report::Verbosity,
    ) -> Result<Vec<Box<dyn Report>>> {
        let options = self.look(verbosity);
        let mut opening = Opening { results, options, stream: || Box::new(std::io::stdout()), screen };
        let mut reports = specs.iter().map(|spec| report::open(spec, &opening)).collect::<Result<Vec<_>>>()?;
        if report::takes_the_output(specs) {
            opening.stream = || Box::new(std::io::stderr());
            opening.options = report::Options { colour: self.colours_talk(), width: None, ..options };
        }
        reports.push(match live {
            Some(stage) => Box::new(Live::shared(&opening, stage)),
            None => report::open("console", &opening)?,
        });
        Ok(reports)
    }

    /// Whether what is said on the standard error is coloured.
    pub fn colours_talk(&self) -> bool {
        self.has_colour(std::io::stderr().is_terminal())
    }

    /// As <https://no-color.org> and <https://bixense.com/clicolors> have it.
    fn has_colour(&self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.env("NO_COLOR").is_some() => false,
            ColorChoice::Auto if self.env("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
            ColorChoice::Auto => is_terminal && self.env("TERM").is_none_or(|t| t != "dumb"),
        }
    }

    fn is_ascii(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| self.env(name)).unwrap_or_default().to_lowercase();
        // In a container no locale is set at all, and every terminal of today shows UTF-8.
        !(locale.is_empty() || locale.contains("utf-8") || locale.contains("utf8"))
    }
}

/// Whether a name of the environment sets a variable or an option.
fn is_setting(name: &str) -> bool {
    name.strip_prefix("XRT_").is_some_and(|name| !NOT_VARIABLES.contains(&name))
}

/// Columns and rows of the terminal that the standard output is.
pub fn screen() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row))).filter(|(columns, _)| *columns > 0)
}

/// Shows an error once, at the edge, and says how the process ends.
fn ended(io: &Io, error: &Error) -> Exit {
    let word = if io.colours_talk() { "\x1b[1;31merror\x1b[0m" } else { "error" };
    io.say(&format!("{word}: {}", report::printable(&error.report())));
    Exit::of(error)
}

/// The harness's own diagnosis, for us: `XRT_LOG=debug`.
fn start_tracing(io: &Io) {
    let filter = tracing_subscriber::EnvFilter::try_new(io.env("XRT_LOG").unwrap_or_else(|| "warn".into()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .with_ansi(io.colours_talk())
        .without_time()
        // Told on the standard error, which is what could not be written: it would panic.
        .log_internal_errors(false)
        .finish();
    // A second call in one process keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
