//! `xrt completions`: for the shell.

use super::command_line;
use crate::cli::Io;
use crate::error::{Exit, Result};

const EXAMPLES: &str = "\
Examples:
  xrt completions bash > /etc/bash_completion.d/xrt
  xrt completions zsh > ~/.zfunc/_xrt
  xrt completions fish > ~/.config/fish/completions/xrt.fish";

/// Print completions for a shell
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    pub shell: clap_complete::Shell,
}

pub fn run(io: &Io, args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line(), "xrt", &mut script);
    io.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Passed)
}
