//! `xrt repl`: the engine and the objects of a testcase at a prompt.

use super::{Common, ScriptArgs, run};
use crate::cli::access::AccessArgs;
use crate::cli::hosts::{Attached, HostArgs};
use crate::cli::variables::VariableArgs;
use crate::cli::{Io, signals, table};
use crate::context::Context;
use crate::error::{Error, Exit, Kind, Result, Whereabouts};
use crate::event::{Bus, Event, Sink};
use crate::repl::{Happenings, Interrupts, Limits, Screen, Session, Talker, Tone, feed, once, talk};
use crate::report::Verbosity;
use crate::secret::Mask;
use crate::time::{Cancel, Timestamp};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  xrt repl --host sim                          a simulated pool, as `host`, `pool` and `guests`
  xrt repl --host root@10.0.0.2                a real one
  xrt repl --guest local                       this machine, as `vm`
  xrt repl --guest 10.0.0.5 --guest 10.0.0.6   two, as `vm` and `guests`
  xrt repl --guest local -e 'vm.exec(\"uname\")'
  echo 'vm.exec(\"uname\")' | xrt repl --guest local

Without a terminal, inputs are read from the standard input, each evaluated as soon as it is complete, up to the first that fails.

The exit status is 0 when none failed, 1 when the product is at fault (fail, a command that fails), 2 when an input cannot be read, \
3 for any other error, 5 after Ctrl-C. At the prompt it is 0.";

/// Lines of a value shown at a prompt.
const LINES_SHOWN: usize = 200;
/// Columns where the screen has none of its own.
const USUAL_WIDTH: usize = 100;

/// Try things at a prompt: the engine and the objects of a testcase
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplArgs {
    /// Evaluate this and leave
    #[arg(short = 'e', long, value_name = "CODE")]
    pub eval: Option<String>,

    #[command(flatten)]
    pub hosts: HostArgs,

    #[command(flatten)]
    pub access: AccessArgs,

    #[command(flatten)]
    pub variables: VariableArgs,

    /// Limit of the clean-ups at the end
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = run::CLEANUP, help_heading = "Running")]
    pub cleanup_timeout: Duration,

    /// Put files that are saved into a new directory below this one
    #[arg(long, value_name = "DIR", default_value = "results", env = "XRT_RESULTS", help_heading = "Output")]
    pub results: PathBuf,

    #[command(flatten)]
    pub scripts: ScriptArgs,

    #[command(flatten)]
    pub common: Common,
}

/// # Errors
/// Usage; the terminal or the standard input cannot be read.
pub fn run(io: &Io, args: &ReplArgs) -> Result<Exit> {
    let mut variables = args.variables.load(io)?;
    args.hosts.set(&mut variables)?;
    let scripts = args.scripts.load()?;
    let mask = Mask::default();
    let attached = args.access.attach_all(io, &mut variables, &mask, &args.hosts)?;
    let lab = attached.lab.clone();
    let is_prompt = args.eval.is_none() && io.is_terminal() && std::io::stdin().is_terminal();
    let look = io.look(Verbosity::Calls);
    let limits = match is_prompt {
        true => Limits { width: look.width.unwrap_or(USUAL_WIDTH), lines: Some(LINES_SHOWN) },
        false => Limits::NONE,
    };
    let aside: Box<dyn std::io::Write + Send> = if is_prompt { Box::new(std::io::stdout()) } else { Box::new(std::io::stderr()) };
    let screen = Arc::new(Screen::new(look, table::plain, Box::new(std::io::stdout()), aside));
    let (bus, stream) = Bus::start(Box::new(Unkept), vec![Box::new(Happenings::new(screen.clone(), is_prompt))], mask, |_| ())?;
    let dir = args.results.join(format!("repl-{}", Timestamp::now().file_form()));
    let context = Context::new(bus, None, dir.clone(), Cancel::new());
    let session = Arc::new(Session::new(context, lab.clone(), variables.into(), scripts, limits)?);
    let interrupts = Interrupts::default();
    listen(&interrupts, is_prompt.then(|| screen.clone()));
    let work = || match &args.eval {
        Some(code) => Ok(once(&*session, &screen, &interrupts, code).unwrap_or(Exit::Passed)),
        None if is_prompt => {
            greet(&screen, &attached);
            let terminal = std::io::stdin().as_fd().try_clone_to_owned().at("use the terminal")?;
            let talker: Arc<dyn Talker> = session.clone();
            talk(&talker, &screen, &interrupts, terminal, &io.state_dir().join("history")).map(|()| Exit::Passed)
        }
        None => feed(&*session, &screen, &interrupts, std::io::BufReader::new(std::io::stdin())),
    };
    // Even a fault of ours does not forget the clean-ups.
    let ended = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the prompt panicked").help("please report what you typed")));
    let cleaning = Cancel::new().child_with_limit("clean-up", args.cleanup_timeout);
    interrupts.running(&cleaning, || session.leave(&cleaning));
    stream.close();
    if dir.is_dir() {
        screen.aside(Tone::Dim, &format!("saved files: {}", dir.display()));
    }
    ended
}

/// Hands signals to what runs. On a terminal, what follows begins on a line of its own.
fn listen(interrupts: &Interrupts, terminal: Option<Arc<Screen>>) {
    let interrupts = interrupts.clone();
    signals::hear(move || {
        // The terminal has shown `^C` where the cursor was.
        if let Some(screen) = &terminal {
            screen.aside(Tone::Plain, "");
        }
        interrupts.ring();
    });
}

/// What is tried at a prompt is no run: its events are shown, not kept.
struct Unkept;

impl Sink for Unkept {
    fn on_event(&mut self, _: &Event) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        "no event log".into()
    }
}

/// What there is, and how to find out more.
fn greet(screen: &Screen, attached: &Attached) {
    let lab = &attached.lab;
    let machines = match lab.names().as_slice() {
        [] => None,
        [only] => Some(format!("vm is {only}")),
        [first, ..] => Some(format!("vm is {first}; guests are all {}: {}", lab.len(), lab.names().join(", "))),
    };
    let there: Vec<String> = attached.shown().into_iter().chain(machines).collect();
    let there = if there.is_empty() { "no machine: give one with --guest, or a pool with --host".into() } else { there.join("; ") };
    screen.line(Tone::Strong, &format!("xrt {}: {there}", env!("CARGO_PKG_VERSION")));
    screen.line(Tone::Dim, "help() lists what there is, help(\"guest.exec\") explains; Tab completes; Ctrl-D leaves.");
}
