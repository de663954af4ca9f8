//! `xrt replay`: shows a past run again, and makes any report of it.

use super::Common;
use crate::cli::Io;
use crate::error::{Blame, Exit, Result};
use crate::event::log::LogReader;
use crate::report::{self, Verbosity};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  xrt replay                                   the latest run, as it was shown
  xrt replay results/latest --report junit:out.xml
  xrt replay results/latest/events.jsonl -vv   with every call to a machine
  xrt replay results/latest --report html:page.html --quiet

The exit status is that of the run. A run that died is incomplete (3), never passed.";

/// Show a past run from its event log, and make reports of it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The results directory of the run, or its event log
    #[arg(default_value = "results/latest")]
    pub run: PathBuf,

    /// Make this report: KIND or KIND:FILE. May be repeated
    #[arg(long, value_name = "KIND[:FILE]")]
    pub report: Vec<String>,

    /// Say more: steps; twice: every call to a machine
    #[arg(short = 'v', visible_short_alias = 'V', long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say only what is not a pass, and the last line
    #[arg(short = 'q', long, conflicts_with = "verbose")]
    pub quiet: bool,

    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &ReplayArgs) -> Result<Exit> {
    let path = if args.run.is_dir() { args.run.join("events.jsonl") } else { args.run.clone() };
    let log = LogReader::open(&path).map_err(|mut error| {
        error.help.get_or_insert_with(|| "name the results directory of a run, or its `events.jsonl`".into());
        error
    })?;
    let verbosity = Verbosity::from_flags(args.quiet, args.verbose);
    let results = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let reports = io.reports(None, &args.report, results, verbosity).map_err(|e| e.blame(Blame::User))?;
    let (summary, errors) = report::replay(log, reports)?;
    if let Some(first) = errors.into_iter().next() {
        return Err(first.blame(Blame::User));
    }
    Ok(summary.verdict().exit())
}
