//! `xrt list`: the testcases there are, their other names, and the sequences.

use super::ScriptArgs;
use crate::cli::{Io, table};
use crate::error::{Exit, Result};
use crate::report::Verbosity;
use crate::script::{Testcase, shown_args};
use crate::sequence::Library;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  xrt list                   all testcases with their titles
  xrt list disk              those with `disk` in a name, an alias, a title or a tag
  xrt list --aliases         other names, such as the ids that old sequences use, and what they stand for
  xrt list --sequences       the sequences that -s finds by their names
  xrt list --json            everything that is known of each, for programs";

/// List the testcases with title, target and arguments; or their aliases, or the sequences
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only those with this text in a name, an alias, the title or a tag
    pub filter: Option<String>,

    /// List the aliases instead, each with its testcase
    #[arg(long)]
    pub aliases: bool,

    /// List the sequences instead
    #[arg(long, conflicts_with = "aliases")]
    pub sequences: bool,

    /// Look for sequences here too. May be repeated
    #[arg(long, value_name = "DIR", env = "XRT_SEQUENCES", value_delimiter = ':', value_hint = clap::ValueHint::DirPath)]
    pub sequence_path: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub scripts: ScriptArgs,
}

pub fn run(io: &Io, args: &ListArgs) -> Result<Exit> {
    let has = |text: &str| args.filter.as_deref().is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()));
    if args.sequences {
        let listing = sequences(&Library { paths: args.sequence_path.clone() }, has)?;
        return listing.print(io, args.json);
    }
    let (_, catalog) = args.scripts.catalog()?;
    let (all, wrong) = catalog.unchecked().all()?;
    let listing = if args.aliases { aliases(&all, has) } else { testcases(&all, has) };
    let exit = listing.print(io, args.json)?;
    super::check::show(io, &wrong);
    Ok(if wrong.is_empty() { exit } else { Exit::Usage })
}

/// A list in both its forms.
struct Listing {
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
    json: Vec<serde_json::Value>,
}

impl Listing {
    fn print(self, io: &Io, as_json: bool) -> Result<Exit> {
        let exit = if self.rows.is_empty() { Exit::NothingRan } else { Exit::Passed };
        io.print(&match as_json {
            true => format!("{}\n", serde_json::to_string_pretty(&self.json).unwrap_or_default()),
            false => table::plain(self.header, self.rows, io.look(Verbosity::Normal).width),
        })?;
        Ok(exit)
    }
}

fn testcases(all: &[Arc<Testcase>], has: impl Fn(&str) -> bool) -> Listing {
    let mentions = |t: &&Arc<Testcase>| {
        let mut words = [&t.name, &t.meta.title].into_iter().chain(&t.meta.aliases).chain(&t.meta.tags);
        words.any(|word| has(word))
    };
    let row = |t: &Testcase| {
        let arguments: Vec<String> =
            t.meta.args.iter().map(|(key, value)| format!("{key}={}", crate::script::plain_text(value))).collect();
        vec![t.name.clone(), t.meta.target.word().to_string(), t.meta.title.clone(), arguments.join(" ")]
    };
    let (rows, json) = all.iter().filter(mentions).map(|t| (row(t), json(t))).unzip();
    Listing { header: &["TESTCASE", "TARGET", "TITLE", "ARGUMENTS"], rows, json }
}

/// Every alias by its name. One that two testcases have stands there twice: it names neither.
fn aliases(all: &[Arc<Testcase>], has: impl Fn(&str) -> bool) -> Listing {
    let mut pairs: Vec<(&str, &Arc<Testcase>)> =
        all.iter().flat_map(|t| t.meta.aliases.iter().map(move |a| (a.as_str(), t))).collect();
    pairs.retain(|(alias, t)| has(alias) || has(&t.name) || has(&t.meta.title));
    pairs.sort_by_key(|(alias, testcase)| (*alias, testcase.name.as_str()));
    let row = |(alias, t): (&str, &Arc<Testcase>)| vec![alias.to_string(), t.name.clone(), t.meta.title.clone()];
    let json = |(alias, t): (&str, &Arc<Testcase>)| serde_json::json!({ "alias": alias, "testcase": t.name, "file": t.origin.source(), "title": t.meta.title });
    let (rows, json) = pairs.into_iter().map(|pair| (row(pair), json(pair))).unzip();
    Listing { header: &["ALIAS", "TESTCASE", "TITLE"], rows, json }
}

/// The sequences by the names that `-s` takes. One that cannot be read has that for its title.
fn sequences(library: &Library, has: impl Fn(&str) -> bool) -> Result<Listing> {
    let mut listing = Listing { header: &["SEQUENCE", "TITLE", "FILE"], rows: Vec::new(), json: Vec::new() };
    for (name, file) in library.all()? {
        let title = file.title().unwrap_or_else(|error| error.to_string());
        if has(&name) || has(&title) {
            let file = file.to_string();
            listing.json.push(serde_json::json!({ "name": name, "title": title, "file": file }));
            listing.rows.push(vec![name, title, file]);
        }
    }
    Ok(listing)
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
