//! `xrt check`: what is wrong with scripts and sequences, without running them.

use super::{Common, ScriptArgs};
use crate::cli::Io;
use crate::cli::variables::VariableArgs;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::report::{self, Verbosity};
use crate::run::{Selection, check_sequences};
use crate::script::{Catalog, Scripts, check_files, files_below};
use crate::sequence::{Library, Mode};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  xrt check                          everything below ./scripts and ./sequences
  xrt check scripts/disk mine.rhai   a directory and a file
  xrt check sequences/               the sequences: their elements, variables, testcases and arguments
  xrt check --lenient old/           what can be passed over is a warning
  xrt check --json mine.rhai         for editors and other programs

Exit status: 0 when there are no errors (there may be warnings), 2 when there are.";

/// Lines shown before the one that is wrong.
const LINES_BEFORE: usize = 1;

/// Check scripts and sequences without running them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Files and directories with scripts (.rhai) and sequences (.seq) [default: the directories of --scripts, and ./sequences]
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,

    /// Take what is wrong with sequences as warnings, where it can be passed over
    #[arg(long)]
    pub lenient: bool,

    /// Print JSON: a list of everything found
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub scripts: ScriptArgs,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &CheckArgs) -> Result<Exit> {
    let scripts = args.scripts.load()?;
    let files = Files::below(&usual(args, &scripts)?)?;
    let mut found = check_files(&scripts, &files.scripts)?;
    if !files.sequences.is_empty() {
        let mode = if args.lenient { Mode::Lenient } else { Mode::Strict };
        let selection = Selection { mode, ..Selection::default() };
        let (variables, catalog) = (args.variables.load(io)?, Catalog::new(scripts));
        found.extend(check_sequences(&Library::default(), &files.sequences, &variables, &catalog, &selection));
        // A script that is named here and used there is told once.
        let mut told = HashSet::new();
        found.retain(|d| told.insert((d.place.clone(), d.message.clone())));
    }
    if args.json {
        io.print(&format!("{}\n", serde_json::to_string_pretty(&found).unwrap_or_default()))?;
    } else {
        show(io, &found);
        io.say(&summary(&found, files.scripts.len() + files.sequences.len()));
    }
    let is_wrong = found.iter().any(|d| d.severity == Severity::Error);
    Ok(if is_wrong { Exit::Usage } else { Exit::Passed })
}

/// The paths that were given, or those that are looked at without any.
fn usual(args: &CheckArgs, scripts: &Arc<Scripts>) -> Result<Vec<PathBuf>> {
    if !args.paths.is_empty() {
        return Ok(args.paths.clone());
    }
    let sequences = PathBuf::from("sequences");
    let usual: Vec<PathBuf> = scripts.roots.iter().cloned().chain(sequences.is_dir().then_some(sequences)).collect();
    if usual.is_empty() {
        let error = Error::new(Kind::NotFound, "nothing to check: there is no directory `scripts` or `sequences` here");
        return Err(error.blame(Blame::User).help("xrt check PATH…"));
    }
    Ok(usual)
}

/// The files to check, each once, sorted.
#[derive(Default)]
struct Files {
    scripts: Vec<PathBuf>,
    sequences: Vec<PathBuf>,
}

impl Files {
    /// Those that the paths name.
    fn below(paths: &[PathBuf]) -> Result<Files> {
        let mut files = Files::default();
        for path in paths {
            if path.is_dir() {
                files.scripts.extend(files_below(path, "rhai")?);
                files.sequences.extend(files_below(path, "seq")?);
            } else if !path.is_file() {
                let error = Error::new(Kind::NotFound, format!("no file or directory `{}`", path.display())).blame(Blame::User);
                return Err(error.help("name .rhai and .seq files, or directories that hold them"));
            } else if path.extension().is_some_and(|e| ["seq", "xml"].iter().any(|ending| e == *ending)) {
                files.sequences.push(path.clone());
            } else {
                files.scripts.push(path.clone());
            }
        }
        for list in [&mut files.scripts, &mut files.sequences] {
            list.sort();
            list.dedup();
        }
        if files.scripts.is_empty() && files.sequences.is_empty() {
            let shown: Vec<String> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
            let what = format!("no .rhai or .seq file in {}", shown.join(", "));
            return Err(Error::new(Kind::NotFound, what).blame(Blame::User));
        }
        Ok(files)
    }
}

fn summary(found: &[Diagnostic], count: usize) -> String {
    let of = |severity: Severity| found.iter().filter(|d| d.severity == severity).count();
    let some = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let files: HashSet<&str> = found.iter().map(|d| d.place.file.as_str()).collect();
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
