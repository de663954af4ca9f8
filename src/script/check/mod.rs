//! Finding mistakes in scripts without running them: names, counts, hooks, arguments, imports.
//!
//! Never true here: that a correct script is complained about. Where a type is not known, everything that some type has is allowed.
//!
//! To add a rule: a `report` with a stable name where the walk (`walk.rs`, `calls.rs`) sees the construct, and a row in the table of
//! `tests/check.rs`.

mod calls;
mod facts;
mod import;
mod known;
mod shape;
mod source;
mod walk;

use super::engine::{Script, Scripts};
use super::many;
use super::meta::Meta;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use facts::Facts;
use known::Known;
use rhai::{Engine, Map, Position};
use source::{Head, Source};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// What checks share: the names of the library, and the modules that were read.
#[derive(Default)]
pub struct Checker {
    known: OnceLock<Known>,
    modules: Mutex<HashMap<String, Arc<import::Imported>>>,
}

/// One script under check.
struct Subject<'k> {
    name: &'k str,
    text: &'k str,
    source: &'k Source,
    facts: &'k Facts,
    known: &'k Known,
    imports: &'k HashMap<String, Arc<import::Imported>>,
    /// The arguments that its meta() declares; nothing when they are not known.
    args: Option<&'k Map>,
    /// What `target()` gives; nothing when it is not known, as in a module.
    target: Option<&'static str>,
    is_testcase: bool,
}

/// What a check found out.
pub struct Checked {
    /// All that is wrong, by position.
    pub diagnostics: Vec<Diagnostic>,
    /// What the testcase says of itself; nothing when it cannot be known, or for a module.
    pub meta: Option<Meta>,
    /// Whether it is meant to be run, and not to be imported.
    pub is_testcase: bool,
    facts: Facts,
    heads: Vec<Head>,
    lost: Vec<String>,
}

impl Checked {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

impl Subject<'_> {
    fn error(&self, rule: &'static str, at: Position, what: impl Into<String>) -> Diagnostic {
        Diagnostic::error(rule, self.name, self.text, at, what)
    }

    /// Whether a map may have a closure of that name, so that it can be called like a method.
    fn may_hold(&self, name: &str) -> bool {
        self.facts.keys.contains(name) || self.imports.values().any(|import| import.keys.contains(name))
    }
}

/// Checks a script. `engine` is a reader.
pub fn check(scripts: &Arc<Scripts>, engine: &Engine, name: &str, text: &str) -> Checked {
    read_as(scripts, engine, name, text, &[])
}

/// Checks the scripts of files; what is found is sorted by file and place, and told once however many scripts import it.
///
/// # Errors
/// A file cannot be read, or is not text.
pub fn check_files(scripts: &Arc<Scripts>, files: &[PathBuf]) -> Result<Vec<Diagnostic>> {
    let checked = many::each(scripts, files.iter().collect(), |engine, file: &PathBuf| {
        let bytes = std::fs::read(file).at(format_args!("read `{}`", file.display()))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            Error::new(Kind::Malformed, format!("`{}` is not UTF-8 text (byte {at})", file.display())).blame(Blame::User)
        })?;
        Ok(check(scripts, engine, &file.display().to_string(), &text).diagnostics)
    });
    let mut found = checked.into_iter().collect::<Result<Vec<_>>>()?.concat();
    found.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.place.line, d.place.column);
        a.place.file.cmp(&b.place.file).then_with(|| key(a).cmp(&key(b))).then_with(|| a.message.cmp(&b.message))
    });
    found.dedup_by(|a, b| a.place == b.place && a.message == b.message);
    Ok(found)
}

/// Checks a script that is imported by others, the outermost first.
fn read_as(scripts: &Arc<Scripts>, engine: &Engine, name: &str, text: &str, importers: &[String]) -> Checked {
    let known = scripts.checker.known.get_or_init(|| Known::of(scripts));
    let source = source::read(scripts, engine, name, text);
    let facts = Facts::of(&source.ast);
    let (imports, wrong) = import::all(scripts, engine, (name, text), &facts.imports, importers);
    let is_testcase = importers.is_empty() && shape::is_testcase(&source.heads);
    let script = Script::of(source.ast.clone());
    let meta = if is_testcase && !source.lost.iter().any(|lost| lost == "meta") {
        script.meta(engine, name, text).map(Some)
    } else {
        Ok(None)
    };
    let args = meta.as_ref().ok().and_then(|meta| meta.as_ref().map(|m| m.args.clone()));
    let target = meta.as_ref().ok().and_then(|meta| Some(meta.as_ref()?.target.kind()));
    let args = args.as_ref();
    let subject = Subject { name, text, source: &source, facts: &facts, known, imports: &imports, args, target, is_testcase };
    let mut diagnostics = source.errors.clone();
    diagnostics.extend(wrong);
    diagnostics.extend(shape::check(&subject));
    diagnostics.extend(walk::Walk::whole(&subject));
    let meta = match meta {
        Ok(meta) => meta,
        Err(faults) => {
            // What makes meta() fail is told by its own rule already.
            let is_told = |fault: &Diagnostic| diagnostics.iter().any(|d| d.place == fault.place);
            let news: Vec<Diagnostic> = faults.into_iter().filter(|fault| !is_told(fault)).collect();
            diagnostics.extend(news);
            None
        }
    };
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.place.file != name, d.place.file.clone(), d.place.line, d.place.column);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    diagnostics.dedup_by(|a, b| a.place == b.place && a.message == b.message);
    let Source { heads, lost, .. } = source;
    Checked { diagnostics, meta, is_testcase, facts, heads, lost }
}
