//! What scripts import: found, read and checked once, however many scripts import it.

use super::{Checked, read_as};
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::script::engine::Scripts;
use rhai::{Engine, Position};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// What an importing script needs to know of a module.
pub struct Imported {
    /// Functions with the names of their parameters.
    pub functions: Vec<(String, Vec<String>)>,
    pub exports: HashSet<String>,
    /// What its maps may hold.
    pub keys: HashSet<String>,
    /// What is wrong with it, and with what it imports itself.
    pub wrong: Vec<Diagnostic>,
}

/// The modules that a script names by an alias, and what is wrong with the importing.
pub fn all(
    scripts: &Arc<Scripts>,
    engine: &Engine,
    (name, text): (&str, &str),
    imports: &[(String, Option<String>, Position)],
    stack: &[String],
) -> (HashMap<String, Arc<Imported>>, Vec<Diagnostic>) {
    let mut found: HashMap<String, Arc<Imported>> = HashMap::new();
    let mut wrong = Vec::new();
    let mut ambiguous = Vec::new();
    for (alias, path, at) in imports {
        // A path that is computed is known when the script runs.
        let Some(path) = path else { continue };
        let Some((file, module)) = scripts.find_import(name, path) else {
            let help = near_script(scripts, name, path);
            wrong.push(Diagnostic::error("unknown-module", name, text, *at, format!("no script `{path}` to import")).help(help));
            continue;
        };
        if stack.contains(&file) || file == name {
            let circle: Vec<&str> = stack.iter().map(String::as_str).chain([name, file.as_str()]).collect();
            let what = format!("imports go in a circle: {}", circle.join(" → "));
            wrong.push(Diagnostic::error("circular-import", name, text, *at, what));
            continue;
        }
        let mut deeper = stack.to_vec();
        deeper.push(name.to_string());
        let imported = one(scripts, engine, &file, &module, &deeper);
        wrong.extend(imported.wrong.iter().cloned());
        if found.insert(alias.clone(), imported.clone()).is_some_and(|other| !Arc::ptr_eq(&other, &imported)) {
            ambiguous.push(alias);
        }
    }
    // Which of two it means at a place, only the run knows.
    found.retain(|alias, _| !ambiguous.contains(&alias));
    (found, wrong)
}

fn one(scripts: &Arc<Scripts>, engine: &Engine, file: &str, text: &str, stack: &[String]) -> Arc<Imported> {
    let modules = &scripts.checker.modules;
    if let Some(known) = modules.lock().unwrap_or_else(PoisonError::into_inner).get(file) {
        return known.clone();
    }
    let Checked { diagnostics, facts, heads, lost, .. } = read_as(scripts, engine, file, text, stack);
    let params = |f: &rhai::ScriptFuncDef| f.params.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut functions: Vec<(String, Vec<String>)> = facts.public().map(|f| (f.name.to_string(), params(f))).collect();
    functions.extend(heads.into_iter().filter(|h| lost.contains(&h.name)).map(|h| (h.name, h.params)));
    functions.sort();
    let imported = Imported { functions, exports: facts.exports, keys: facts.keys, wrong: diagnostics };
    let imported = Arc::new(imported);
    modules.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_string(), imported.clone());
    imported
}

/// A script of nearly that name where it was looked for.
fn near_script(scripts: &Scripts, importer: &str, path: &str) -> Option<String> {
    let wanted = Path::new(path);
    let folder = wanted.parent().unwrap_or(Path::new(""));
    let beside = Path::new(importer).parent().map(|dir| dir.join(folder));
    let mut names = Vec::new();
    for dir in beside.into_iter().chain(scripts.roots.iter().map(|root| root.join(folder))) {
        let Ok(entries) = std::fs::read_dir(dir) else { continue };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "rhai"));
        names.extend(files.filter_map(|p| Some(folder.join(p.file_stem()?).display().to_string())));
    }
    names.sort();
    let near = name::nearest(path.trim_end_matches(".rhai"), names.iter().map(String::as_str));
    Some(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "it is looked for beside the importing script and in the directories of --scripts".into(),
    })
}
