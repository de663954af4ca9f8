//! `xrt`, the controller: its subcommands, each in a file of its own.

mod check;
mod completions;
mod help;
mod keys;
mod list;
mod manual;
mod new;
mod notify;
mod perf;
mod plan;
mod prepare;
mod repl;
mod replay;
mod results;
mod resume;
mod run;
mod selection;
mod shortcuts;
mod sim;
mod status;
mod vars;
mod words;

pub use check::show;

use super::{ColorChoice, Io, ended, start_tracing};
use crate::error::{Error, Exit, Kind, Result};
use crate::script::{Catalog, Scripts};
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Runs testcases against real machines, and says truthfully how it went.
///
/// Without a subcommand, xrt runs what --testcase or --sequence names.
#[derive(Parser)]
#[command(
    name = "xrt",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 110,
    after_help = run::EXAMPLES
)]
struct Xrt {
    #[command(subcommand)]
    command: Option<Command>,

    /// Print the version
    #[arg(long, action = clap::ArgAction::Version)]
    version: (),

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Completions(completions::CompletionsArgs),
    Help(help::HelpArgs),
    List(list::ListArgs),
    Manual(manual::ManualArgs),
    New(new::NewArgs),
    Plan(plan::PlanArgs),
    Prepare(prepare::PrepareArgs),
    Repl(repl::ReplArgs),
    Replay(replay::ReplayArgs),
    Sim(sim::SimArgs),
    Status(status::StatusArgs),
    Vars(vars::VarsArgs),
}

/// Options of every subcommand.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// When to use colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    pub color: ColorChoice,
}

/// Options that say where scripts come from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Scripts")]
pub struct ScriptArgs {
    /// Look for testcases here too. May be repeated [default: ./scripts, if there is one]
    #[arg(long, value_name = "DIR", env = "XRT_SCRIPTS", value_delimiter = ':')]
    pub scripts: Vec<PathBuf>,

    /// Use this standard library instead of the one in the program
    #[arg(long, value_name = "DIR")]
    pub stdlib: Option<PathBuf>,
}

impl ScriptArgs {
    fn load(&self) -> Result<Arc<Scripts>> {
        let mut roots = self.scripts.clone();
        let usual = PathBuf::from("scripts");
        if roots.is_empty() && usual.is_dir() {
            roots.push(usual);
        }
        if let Some(missing) = roots.iter().find(|r| !r.is_dir()) {
            let error = Error::new(Kind::NotFound, format!("no directory `{}` with scripts", missing.display()));
            return Err(error.blame(crate::error::Blame::User));
        }
        Scripts::new(roots, self.stdlib.clone())
    }

    fn catalog(&self) -> Result<(Arc<Scripts>, Catalog)> {
        let scripts = self.load()?;
        Ok((scripts.clone(), Catalog::new(scripts)))
    }
}

/// A duration on the command line.
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    crate::unit::parse_duration(text).map_err(|e| e.help.unwrap_or(e.what))
}

/// The whole of `xrt`.
pub fn main() -> ExitCode {
    let parsed = match Xrt::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let io = Io::new(ColorChoice::default());
            if let Some(error) = nothing_to_run(&io, &error) {
                return ExitCode::from(ended(&io, &error).code());
            }
            let _ = error.print();
            let asked = matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { Exit::Passed.code() } else { Exit::Usage.code() });
        }
    };
    let color = match &parsed.command {
        None => parsed.run.common.color,
        Some(Command::Check(args)) => args.common.color,
        Some(Command::Manual(args)) => args.common.color,
        Some(Command::Plan(args)) => args.common.color,
        Some(Command::Prepare(args)) => args.common.color,
        Some(Command::Replay(args)) => args.common.color,
        Some(Command::Sim(args)) => args.common.color,
        Some(Command::Status(args)) => args.common.color,
        Some(Command::Repl(args)) => args.common.color,
        Some(Command::Vars(args)) => args.common.color,
        Some(_) => ColorChoice::default(),
    };
    let io = Io::new(color);
    start_tracing(&io);
    let result = match parsed.command {
        None => resume::run(&io, &parsed.run),
        Some(Command::Check(args)) => check::run(&io, &args),
        Some(Command::Completions(args)) => completions::run(&io, &args),
        Some(Command::Help(args)) => help::run(&io, &args),
        Some(Command::List(args)) => list::run(&io, &args),
        Some(Command::Manual(args)) => manual::run(&io, &args),
        Some(Command::New(args)) => new::run(&io, &args),
        Some(Command::Plan(args)) => plan::run(&io, &args),
        Some(Command::Prepare(args)) => prepare::run(&io, &args),
        Some(Command::Repl(args)) => repl::run(&io, &args),
        Some(Command::Replay(args)) => replay::run(&io, &args),
        Some(Command::Sim(args)) => sim::run(&io, &args),
        Some(Command::Status(args)) => status::run(&io, &args),
        Some(Command::Vars(args)) => vars::run(&io, &args),
    };
    ExitCode::from(result.unwrap_or_else(|error| ended(&io, &error)).code())
}

/// What to say of a command line with neither a subcommand nor a testcase: mostly a mistyped subcommand, or a file alone.
fn nothing_to_run(io: &Io, error: &clap::Error) -> Option<Error> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) if error.kind() == ErrorKind::MissingRequiredArgument => missing,
        _ => return None,
    };
    if !missing.iter().any(|argument| argument.starts_with("--testcase")) {
        return None;
    }
    let wrong = |what: String| Error::new(Kind::Malformed, what).blame(crate::error::Blame::User);
    let said = wrong("nothing to run: there is neither a --testcase nor a --sequence".into());
    let Some(word) = io.args().into_iter().nth(1).filter(|word| !word.starts_with('-')) else {
        return Some(
            said.help("xrt --testcase NAME runs one, xrt -s FILE a sequence; xrt list shows testcases, xrt --help explains"),
        );
    };
    let line = command_line();
    match crate::name::nearest(&word, line.get_subcommands().map(clap::Command::get_name)) {
        Some(near) if !std::path::Path::new(&word).exists() => {
            Some(wrong(format!("no subcommand `{word}`")).help(format!("did you mean `{near}`?")))
        }
        _ if word.ends_with(".seq") => Some(said.help(format!("to run `{word}`: xrt -s {word}"))),
        _ => Some(said.help(format!("to run `{word}`: xrt --testcase {word}"))),
    }
}

/// The command line as a value, for completions and help.
fn command_line() -> clap::Command {
    Xrt::command()
}
