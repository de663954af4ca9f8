//! `xrt manual`: everything that a script can name.

use super::{Common, ScriptArgs};
use crate::cli::{Io, table};
use crate::error::{Blame, Error, Exit, Kind, Result, Whereabouts};
use crate::report::{Options, Verbosity};
use crate::script::{Entry, Manual, Sort};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xrt manual                        the chapters, and what is in each
  xrt manual flow                   a chapter: steps, loops, waits
  xrt manual guest                  all that a guest can do
  xrt manual eventually             a function
  xrt manual list.push              a function of a type
  xrt manual --json guest           for other programs
  xrt manual --definitions .vscode  files that tell editors what there is";

/// Show what scripts can use: objects, functions, hooks
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ManualArgs {
    /// A chapter, a type (guest), a function, or both (guest.exec)
    pub name: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Write definition files (.d.rhai) for editors into this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "json"])]
    pub definitions: Option<PathBuf>,

    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &ManualArgs) -> Result<Exit> {
    let manual = Manual::of(&*args.scripts.load()?)?;
    let look = io.look(Verbosity::Normal);
    if let Some(dir) = &args.definitions {
        std::fs::create_dir_all(dir).at(format_args!("make the directory `{}`", dir.display()))?;
        for (name, text) in manual.definitions() {
            let path = dir.join(name);
            std::fs::write(&path, text).at(format_args!("write `{}`", path.display()))?;
            io.say(&format!("wrote {}", path.display()));
        }
        return Ok(Exit::Passed);
    }
    let Some(name) = &args.name else {
        io.print(&if args.json { json(&manual.entries().iter().collect::<Vec<_>>()) } else { contents(&manual, &look) })?;
        return Ok(Exit::Passed);
    };
    let chapter: Vec<&Entry> = manual.about(name).collect();
    let found = manual.find(name);
    if chapter.is_empty() && found.is_empty() {
        let mut error = Error::new(Kind::NotFound, format!("nothing in the manual is called `{name}`")).blame(Blame::User);
        error.help = manual.did_you_mean(name).or_else(|| Some("xrt manual lists everything".into()));
        return Err(error);
    }
    if args.json {
        let mut all = chapter;
        let more: Vec<&Entry> = found.into_iter().filter(|e| !all.contains(e)).collect();
        all.extend(more);
        io.print(&json(&all))?;
        return Ok(Exit::Passed);
    }
    let mut text = String::new();
    if let Some(about) = manual.chapters().iter().find(|c| c.name.eq_ignore_ascii_case(name)) {
        text.push_str(&format!("{}: {}\n\n", bold(&about.name, &look), about.about));
    }
    if !chapter.is_empty() {
        text.push_str(&lines(&chapter, &look));
    }
    for entry in found {
        text.push_str(if text.is_empty() { "" } else { "\n" });
        text.push_str(&page(entry, &look));
    }
    io.print(&text)?;
    Ok(Exit::Passed)
}

fn json(entries: &[&Entry]) -> String {
    serde_json::to_string_pretty(entries).unwrap_or_default() + "\n"
}

/// All chapters with their entries, a line each. Of the language only the names of its types: it would drown the rest.
fn contents(manual: &Manual, look: &Options) -> String {
    let mut text = String::new();
    for chapter in manual.chapters() {
        text.push_str(&format!("{}: {}\n", bold(&chapter.name, look), chapter.about));
        let entries: Vec<&Entry> = manual.chapter(&chapter.name).collect();
        if chapter.name == crate::script::LANGUAGE {
            text.push_str(&format!("  xrt manual {} shows its {} functions\n\n", chapter.name, entries.len()));
        } else {
            text.push_str(&lines(&entries, look));
            text.push('\n');
        }
    }
    text.push_str("xrt manual NAME shows a chapter or a function with its forms and examples.\n");
    text
}

/// A line for each name: how it is written at its longest, and what it does.
fn lines(entries: &[&Entry], look: &Options) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let is_last = entries.get(index + 1).is_none_or(|next| next.title() != entry.title() || next.sort != entry.sort);
        if is_last {
            let first = entries.iter().find(|e| e.title() == entry.title()).unwrap_or(entry);
            let summary = if first.summary().is_empty() { entry.summary() } else { first.summary() };
            let written = match entry.sort {
                Sort::Function | Sort::Method => format!("{}{}", entry.title(), &entry.call()[entry.name.len()..]),
                Sort::Key => entry.name.clone(),
                Sort::Constant | Sort::Property => entry.title(),
                Sort::Hook => entry.signature(),
            };
            let summary = match entry.sort {
                Sort::Key => entry.returns.clone(),
                Sort::Constant => entry.returns.clone(),
                _ => summary,
            };
            rows.push(vec![format!("  {written}"), summary]);
        }
    }
    table::rows(rows, look.width)
}

fn page(entry: &Entry, look: &Options) -> String {
    let mut text = format!("{}\n", bold(&entry.signature(), look));
    let indented =
        |text: &str, by: &str| text.lines().map(|l| format!("{by}{l}").trim_end().to_string() + "\n").collect::<String>();
    if !entry.docs.is_empty() {
        text.push('\n');
        text.push_str(&indented(&entry.docs, "  "));
    }
    for example in &entry.examples {
        text.push('\n');
        text.push_str(&indented(example, "      "));
    }
    let from = entry.source.as_ref().map_or_else(|| format!("chapter {}", entry.chapter), |source| format!("from {source}"));
    text.push_str(&format!("\n  {from}\n"));
    text
}

fn bold(text: &str, look: &Options) -> String {
    if look.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
}
