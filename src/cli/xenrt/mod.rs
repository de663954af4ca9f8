//! `xenrt`, the front end: its subcommands, each in a file of its own.

pub(super) mod attach;
pub(super) mod interact;
mod target;

use super::{Io, ended, start_tracing};
use crate::error::Exit;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Steers runs of xrt that go on, from this terminal or from another machine.
#[derive(Parser)]
#[command(name = "xenrt", version, max_term_width = 110, after_help = interact::EXAMPLES)]
struct Xenrt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Interact(interact::InteractArgs),
}

/// The whole of `xenrt`.
pub fn main() -> ExitCode {
    let matches = match Xenrt::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            let asked = matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { Exit::Passed.code() } else { Exit::Usage.code() });
        }
    };
    let parsed = match Xenrt::from_arg_matches(&matches) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(Exit::Usage.code());
        }
    };
    let Command::Interact(args) = &parsed.command;
    let io = Io::new(args.common.color);
    start_tracing(&io);
    let order = matches.subcommand_matches("interact").map(interact::in_order).unwrap_or_default();
    let result = interact::run(&io, args, &order);
    ExitCode::from(result.unwrap_or_else(|error| ended(&io, &error)).code())
}
