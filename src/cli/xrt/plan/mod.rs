//! `xrt plan`: what a sequence comes to, without running it.

mod dot;
mod svg;
mod tree;

use super::selection::SelectionArgs;
use super::{Common, ScriptArgs};
use crate::cli::Io;
use crate::cli::variables::VariableArgs;
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use crate::report::Verbosity;
use crate::run::{History, Outline};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  xrt plan -s smoke.seq                              the tree of what would be run, and why it is so
  xrt plan -s smoke.seq -D SECONDS=5                 with other values
  xrt plan -s smoke.seq --history results            with the time that it is to be expected to take
  xrt plan -s smoke.seq --history results -j 4       the same, if at most four run at a time
  xrt plan -s smoke.seq --graph plan.svg             a picture of it; plan.dot is for Graphviz
  xrt plan -s smoke.seq --json | jq .counts          for programs

The JSON is one object: sequence, file, preprepare and prepare (what is asked for), tree, counts, criteria, semaphores,
seed and expected. The tree is of groups (kind \"group\" with order, label, workers, blocker, timeout, steps, finally), cases (kind
\"case\" with id, role, testcase, words, args, skip, depends, retries, …) and notes (kind \"note\": what a loop, condition, include or
option did, and the steps it made). Times are in seconds. Later versions only add to it.

Exit status: 0, 2 when something is wrong with the sequence, 4 when nothing in it is selected.";

/// Show what a sequence would run, and why, without running it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Say how long it is to be expected to take, by earlier runs: a results directory, a directory of such, or a file of --report sqlite [default: results]
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "results", value_hint = clap::ValueHint::AnyPath)]
    pub history: Option<PathBuf>,

    /// How many branches of one parallel run at a time at most, for the time that is to be expected
    #[arg(short = 'j', long, value_name = "N", requires = "history", value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Draw it, as SVG or, for Graphviz, as DOT: by the ending .svg or .dot. `-` is DOT on the standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json", value_hint = clap::ValueHint::FilePath)]
    pub graph: Option<PathBuf>,

    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &PlanArgs) -> Result<Exit> {
    let draw = args.graph.as_deref().map(drawing).transpose()?;
    let history = args.history.as_deref().map(History::read).transpose()?;
    let Some(file) = &args.selection.sequence.sequence else {
        let error = Error::new(Kind::Malformed, "nothing to plan: there is no --sequence").blame(Blame::User);
        return Err(error.help("xrt plan -s FILE"));
    };
    let (_, catalog) = args.scripts.catalog()?;
    let mut variables = args.variables.load(io)?;
    args.selection.set(&mut variables)?;
    let Some(mut chosen) = args.selection.settle(io, &catalog, file, variables, None)? else { return Ok(Exit::Usage) };
    let (sequence, plan) = (chosen.sequence, chosen.rounds.rest());
    for error in history.iter().flat_map(|history| &history.unread) {
        io.say(&format!("warning: {}", error.report()));
    }
    let workers = args.workers.map(usize::from);
    let outline = Outline::of(&plan, sequence.as_ref(), &catalog, history.as_ref(), workers);
    show(io, &outline, args, draw)?;
    let is_empty = outline.criteria.expects_tests && outline.counts.testcases == outline.counts.skipped;
    Ok(if is_empty { Exit::NothingRan } else { Exit::Passed })
}

/// Makes a picture of a plan.
type Draw = fn(&Outline) -> String;

/// How a file is drawn, by its ending.
fn drawing(path: &Path) -> Result<Draw> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => Ok(svg::svg),
        Some("dot" | "gv") => Ok(dot::dot),
        _ if path.as_os_str() == "-" => Ok(dot::dot),
        _ => {
            let what = format!("--graph {}: what is drawn is known by the ending", path.display());
            Err(Error::new(Kind::Malformed, what).blame(Blame::User).help("name a file that ends in .svg or .dot"))
        }
    }
}

fn show(io: &Io, outline: &Outline, args: &PlanArgs, draw: Option<Draw>) -> Result<()> {
    if args.json {
        return io.print(&format!("{}\n", serde_json::to_string_pretty(outline).unwrap_or_default()));
    }
    match (&args.graph, draw) {
        (Some(path), Some(draw)) if path.as_os_str() == "-" => io.print(&draw(outline)),
        (Some(path), Some(draw)) => {
            std::fs::write(path, draw(outline)).at(format_args!("write `{}`", path.display()))?;
            io.say(&format!("wrote {}", path.display()));
            Ok(())
        }
        _ => io.print(&tree::text(outline, &io.look(Verbosity::Normal))),
    }
}
