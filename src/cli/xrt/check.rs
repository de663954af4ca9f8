//! `xrt check`: what is wrong with scripts, without running them.

use super::{Common, ScriptArgs};
use crate::cli::Io;
use crate::error::{Exit, Result};
use crate::script::Diagnostic;

/// Check scripts without running them
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(_: &Io, _: &CheckArgs) -> Result<Exit> {
    Ok(Exit::Us)
}

/// Shows diagnostics on the standard error, with their lines.
pub fn show(io: &Io, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        io.say(&diagnostic.headline());
        for line in &diagnostic.lines {
            let mark = if line.number == diagnostic.place.line { ">" } else { " " };
            io.say(&format!("  {mark} {:>4} | {}", line.number, line.text));
        }
        if let Some(help) = &diagnostic.help {
            io.say(&format!("    help: {help}"));
        }
    }
}
