//! `xrt list`: the testcases there are.

use super::ScriptArgs;
use crate::cli::{Io, table};
use crate::error::{Exit, Result};
use crate::report::Verbosity;
use crate::script::{Testcase, shown_args};

const EXAMPLES: &str = "\
Examples:
  xrt list                   all testcases with their titles
  xrt list disk              those with `disk` in a name, an alias, a title or a tag
  xrt list --json            everything that is known of each, for programs";

/// List the testcases with title, target and arguments
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only testcases with this text in a name, an alias, the title or a tag
    pub filter: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub scripts: ScriptArgs,
}

pub fn run(io: &Io, args: &ListArgs) -> Result<Exit> {
    let (_, catalog) = args.scripts.catalog()?;
    let (all, wrong) = catalog.unchecked().all()?;
    let wanted: Vec<&Testcase> = all.iter().filter(|t| args.filter.as_deref().is_none_or(|text| mentions(t, text))).collect();
    if args.json {
        let rows: Vec<serde_json::Value> = wanted.iter().map(|t| json(t)).collect();
        io.print(&format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()))?;
    } else {
        let rows = wanted.iter().map(|t| {
            let arguments: Vec<String> =
                t.meta.args.iter().map(|(key, value)| format!("{key}={}", crate::script::plain_text(value))).collect();
            vec![t.name.clone(), t.meta.target.word().to_string(), t.meta.title.clone(), arguments.join(" ")]
        });
        io.print(&table::plain(&["TESTCASE", "TARGET", "TITLE", "ARGUMENTS"], rows, io.look(Verbosity::Normal).width))?;
    }
    super::check::show(io, &wrong);
    Ok(match (wrong.is_empty(), wanted.is_empty()) {
        (false, _) => Exit::Usage,
        (true, true) => Exit::NothingRan,
        (true, false) => Exit::Passed,
    })
}

fn mentions(testcase: &Testcase, text: &str) -> bool {
    let text = text.to_lowercase();
    let meta = &testcase.meta;
    let mut words = [&testcase.name, &meta.title].into_iter().chain(&meta.aliases).chain(&meta.tags);
    words.any(|word| word.to_lowercase().contains(&text))
}

fn json(testcase: &Testcase) -> serde_json::Value {
    let meta = &testcase.meta;
    serde_json::json!({
        "name": testcase.name,
        "file": testcase.origin.source(),
        "title": meta.title,
        "description": meta.description,
        "aliases": meta.aliases,
        "target": meta.target.word(),
        "guests": meta.guests,
        "needs": meta.needs,
        "args": shown_args(&meta.args),
        "help": shown_args(&meta.help),
        "timeout": meta.timeout.map(|t| t.as_secs_f64()),
        "tags": meta.tags,
        "os": meta.os,
    })
}
