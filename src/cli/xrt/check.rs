//! `xrt check`: what is wrong with scripts, without running them.

use super::{Common, ScriptArgs};
use crate::cli::Io;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::report::{self, Verbosity};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xrt check                          everything below ./scripts
  xrt check scripts/disk mine.rhai   a directory and a file
  xrt check --json mine.rhai         for editors and other programs

Exit status: 0 when there are no errors (there may be warnings), 2 when there are.";

/// Lines shown before the one that is wrong.
const LINES_BEFORE: usize = 1;

/// Check scripts without running them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Files and directories with scripts [default: the directories of --scripts]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Print JSON: a list of everything found
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &CheckArgs) -> Result<Exit> {
    let scripts = args.scripts.load()?;
    let paths = if args.paths.is_empty() { scripts.roots.clone() } else { args.paths.clone() };
    if paths.is_empty() {
        let error = Error::new(Kind::NotFound, "nothing to check: there is no directory `scripts` here").blame(Blame::User);
        return Err(error.help("xrt check PATH…"));
    }
    let files = files(&paths)?;
    let found = crate::script::check_files(&scripts, &files)?;
    if args.json {
        io.print(&format!("{}\n", serde_json::to_string_pretty(&found).unwrap_or_default()))?;
    } else {
        show(io, &found);
        io.say(&summary(&found, files.len()));
    }
    let is_wrong = found.iter().any(|d| d.severity == Severity::Error);
    Ok(if is_wrong { Exit::Usage } else { Exit::Passed })
}

/// The scripts that the paths name, each once, sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(crate::script::files_below(path)?);
        } else if path.is_file() {
            found.push(path.clone());
        } else {
            let error = Error::new(Kind::NotFound, format!("no file or directory `{}`", path.display())).blame(Blame::User);
            return Err(error.help("name .rhai files, or directories that hold them"));
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        let shown: Vec<String> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
        return Err(Error::new(Kind::NotFound, format!("no .rhai file in {}", shown.join(", "))).blame(Blame::User));
    }
    Ok(found)
}

fn summary(found: &[Diagnostic], count: usize) -> String {
    let of = |severity: Severity| found.iter().filter(|d| d.severity == severity).count();
    let some = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut files: Vec<&str> = found.iter().map(|d| d.place.file.as_str()).collect();
    files.dedup();
    let all = some(count, "file");
    match (of(Severity::Error), of(Severity::Warning)) {
        (0, 0) => format!("{all} checked, nothing found"),
        (errors, 0) => format!("{} in {} of {all}", some(errors, "error"), files.len()),
        (0, warnings) => format!("{} in {} of {all}", some(warnings, "warning"), files.len()),
        (errors, warnings) => format!("{}, {} in {} of {all}", some(errors, "error"), some(warnings, "warning"), files.len()),
    }
}

/// Shows diagnostics on the standard error, with their lines.
pub fn show(io: &Io, diagnostics: &[Diagnostic]) {
    let options = report::Options { colour: io.colours_talk(), ..io.look(Verbosity::Normal) };
    for diagnostic in diagnostics {
        let word = report::Complaint {
            is_warning: diagnostic.severity == Severity::Warning,
            rule: diagnostic.rule,
            message: &diagnostic.message,
            help: diagnostic.help.as_deref(),
        };
        let shown = LINES_BEFORE + 1;
        let lines: Vec<_> = diagnostic.lines.iter().filter(|l| l.number <= diagnostic.place.line).cloned().collect();
        io.say(&report::complaint(&word, &diagnostic.place, &lines[lines.len().saturating_sub(shown)..], &options));
    }
}
