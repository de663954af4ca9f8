//! `xrt repl`.

use super::Common;
use crate::cli::Io;
use crate::error::{Exit, Result};

/// Not yet
#[derive(Clone, Debug, clap::Args)]
pub struct ReplArgs {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(_: &Io, _: &ReplArgs) -> Result<Exit> {
    Ok(Exit::Us)
}
