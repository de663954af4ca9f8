//! Engines and compiled scripts.
//!
//! An engine a testcase, over modules that all share: making one costs about a microsecond, and each has its own log, its own way to
//! stop and its own imports, without anything thread-local.

use super::case::{Case, CaseRef};
use super::check::Checker;
use super::failure::Raised;
use super::manual::Manual;
use super::meta::Meta;
use super::{api, guard, import, mended, show, source};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::event::Level;
use include_dir::{Dir, include_dir};
use rhai::packages::{Package, StandardPackage};
use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, Map, Module, OptimizationLevel, Position, Scope, Shared, Token};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The testcases that come with the program.
pub static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scripts");

/// What is composed of the library's functions in the scripts' own language.
static STDLIB: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// Name of a source that is inside the program, before its path.
pub const BUILT_IN_PREFIX: &str = "builtin:";
const STDLIB_PREFIX: &str = "stdlib:";

/// Stack of a thread that runs a script. Virtual: only what is touched costs memory.
pub const STACK: usize = 32 << 20;

/// How often a running script looks at the clock: every so many operations.
const LOOK_EVERY: u64 = 64;

/// What all engines share: the library, the places that scripts are imported from, and what has been compiled already.
pub struct Scripts {
    /// The language's own functions.
    pub language: Shared<Module>,
    /// What stands before those, and what is written in scripts itself.
    pub more: Vec<Shared<Module>>,
    stdlib_dir: Option<PathBuf>,
    /// Folders that an import is looked for in, after the folder of the importing file.
    pub roots: Vec<PathBuf>,
    compiled: Mutex<HashMap<String, AST>>,
    /// What checks of scripts share.
    pub checker: Checker,
    /// What there is to look up, read when somebody first does.
    manual: OnceLock<Arc<Manual>>,
}

/// A part of a testcase's life that the script may have a function for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Prepare,
    Run,
    PreLogs,
    PostRun,
}

impl Hook {
    pub const ALL: [Hook; 4] = [Hook::Prepare, Hook::Run, Hook::PreLogs, Hook::PostRun];

    pub fn name(self) -> &'static str {
        match self {
            Hook::Prepare => "prepare",
            Hook::Run => "run",
            Hook::PreLogs => "pre_logs",
            Hook::PostRun => "post_run",
        }
    }
}

/// A compiled testcase.
pub struct Script {
    ast: AST,
    hooks: Vec<(String, usize)>,
}

impl Scripts {
    /// # Errors
    /// A file of the standard library (or of `stdlib_dir`, which replaces it) does not compile.
    pub fn new(roots: Vec<PathBuf>, stdlib_dir: Option<PathBuf>) -> Result<Arc<Scripts>> {
        let language = StandardPackage::new().as_shared_module();
        let more = vec![mended::module().into()];
        let mut scripts = Scripts {
            language,
            more,
            stdlib_dir,
            roots,
            compiled: Mutex::default(),
            checker: Checker::default(),
            manual: OnceLock::new(),
        };
        for (name, text) in scripts.stdlib_files()? {
            let engine = scripts.bare_engine();
            let ast = scripts.parse(&engine, &name, &text).map_err(|d| Error::new(Kind::Malformed, d.headline()))?;
            let module = Module::eval_ast_as_new(Scope::new(), &ast, &engine)
                .map_err(|e| Error::new(Kind::Malformed, format!("{name}: {}", super::failure::message(&e))))?;
            scripts.more.push(module.into());
        }
        Ok(Arc::new(scripts))
    }

    /// The files of the standard library: `(name, text)`, sorted by name.
    ///
    /// # Errors
    /// The folder given instead cannot be read.
    pub fn stdlib_files(&self) -> Result<Vec<(String, String)>> {
        let mut files: Vec<(String, String)> = match &self.stdlib_dir {
            None => STDLIB
                .files()
                .filter_map(|f| Some((format!("{STDLIB_PREFIX}{}", f.path().display()), f.contents_utf8()?.to_string())))
                .collect(),
            Some(dir) => {
                let mut found = Vec::new();
                for entry in std::fs::read_dir(dir).at(format_args!("read the standard library `{}`", dir.display()))? {
                    let path = entry.at("read the standard library")?.path();
                    if path.extension().is_some_and(|e| e == "rhai") {
                        found.push((path.display().to_string(), source::read(&path)?));
                    }
                }
                found
            }
        };
        files.sort();
        Ok(files)
    }

    /// An engine with the library and the guards, for no testcase: compiling, `meta()`, listing names.
    pub fn bare_engine(&self) -> Engine {
        let mut engine = Engine::new_raw();
        for module in [&self.language, &api::module()].into_iter().chain(&self.more) {
            engine.register_global_module(module.clone());
        }
        guard::install(&mut engine);
        // A constant of the library is a number from the start: as a variable, no closure and no strict engine would know it.
        #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
        engine.on_parse_token(|token, _, _| match &token {
            Token::Identifier(name) => api::constant(name).map_or(token, Token::IntegerConstant),
            _ => token,
        });
        limits(&mut engine);
        engine
    }

    /// An engine that may also import: for `meta()` and for checking.
    pub fn reader(self: &Arc<Scripts>) -> Engine {
        let mut engine = self.bare_engine();
        engine.set_module_resolver(import::Resolver::new(self.clone()));
        // meta() is a value: a script that computes for long is stuck.
        engine.set_max_operations(1_000_000);
        engine
    }

    /// The engine of a testcase.
    pub fn engine(self: &Arc<Scripts>, case: &Arc<Case>) -> Engine {
        let mut engine = self.bare_engine();
        engine.set_default_tag(Dynamic::from(CaseRef(case.clone())));
        engine.set_module_resolver(import::Resolver::new(self.clone()));
        let log = case.context.clone();
        engine.on_print(move |text| log.log(Level::Verbose, text));
        let log = case.context.clone();
        engine.on_debug(move |text, source, position| {
            let place = super::failure::place(source.unwrap_or_default(), position);
            log.log(Level::Verbose, format!("{place}: {text}"));
        });
        let context = case.context.clone();
        engine.on_progress(move |operations| {
            let look = operations % LOOK_EVERY == 0;
            (look && context.cancel().is_raised()).then(|| Dynamic::from("stopped"))
        });
        engine
    }

    /// Compiles a testcase or module and guards its statements.
    ///
    /// # Errors
    /// The first syntax error.
    pub fn parse(&self, engine: &Engine, name: &str, text: &str) -> Result<AST, Box<Diagnostic>> {
        let mut ast = engine.compile(text).map_err(|e| Box::new(crate::script::syntax::syntax(name, text, &e)))?;
        ast.set_source(name);
        guard::guarded(engine, &ast)
            .map_err(|e| Box::new(Diagnostic::error("syntax", name, text, Position::NONE, super::failure::message(&e))))
    }

    /// As [`Scripts::parse`], once for each name.
    ///
    /// # Errors
    /// As [`Scripts::parse`].
    pub fn parse_once(&self, engine: &Engine, name: &str, text: &str) -> Result<AST, Box<Diagnostic>> {
        if let Some(known) = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.clone());
        }
        let ast = self.parse(engine, name, text)?;
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), ast.clone());
        Ok(ast)
    }

    /// The manual of the library, which all share.
    ///
    /// # Errors
    /// The standard library cannot be read.
    pub fn manual(&self) -> Result<Arc<Manual>> {
        if let Some(manual) = self.manual.get() {
            return Ok(manual.clone());
        }
        let manual = Arc::new(Manual::of(self)?);
        Ok(self.manual.get_or_init(|| manual).clone())
    }

    /// Forgets what was compiled, and checks these sources as they are now.
    ///
    /// # Errors
    /// What is wrong with them, as `xrt check` says it. Then everything is as it was.
    pub fn check_again(self: &Arc<Scripts>, sources: &[String]) -> Result<(), String> {
        let engine = self.reader();
        let mut wrong = Vec::new();
        for source in sources.iter().filter(|source| Path::new(source).is_file()) {
            let Ok(text) = source::read(Path::new(source)) else { continue };
            let found = super::check::check(self, &engine, source, &text).diagnostics;
            wrong.extend(found.iter().filter(|d| d.severity == Severity::Error).map(|d| format!("{}: {}", d.place, d.message)));
        }
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// The text of a source by its name, for excerpts; nothing when it is gone.
    pub fn text(&self, name: &str) -> Option<String> {
        let inside = |dir: &Dir<'_>, path: &str| dir.get_file(path).and_then(|f| f.contents_utf8()).map(str::to_string);
        if let Some(path) = name.strip_prefix(BUILT_IN_PREFIX) {
            return inside(&BUILT_IN, path);
        }
        if let Some(path) = name.strip_prefix(STDLIB_PREFIX) {
            return inside(&STDLIB, path);
        }
        source::read(Path::new(name)).ok()
    }

    /// Finds what an import means: beside the importing source, in the roots, among the built-in scripts.
    pub fn find_import(&self, importer: &str, path: &str) -> Option<(String, String)> {
        let file = if path.ends_with(".rhai") { path.to_string() } else { format!("{path}.rhai") };
        if let Some(inside) = importer.strip_prefix(BUILT_IN_PREFIX) {
            let beside = Path::new(inside).parent().unwrap_or(Path::new("")).join(&file);
            return self.built_in(&beside).or_else(|| self.built_in(Path::new(&file)));
        }
        let beside = Path::new(importer).parent().map(|dir| dir.join(&file));
        let folders = self.roots.iter().map(|root| root.join(&file));
        for candidate in beside.into_iter().chain(folders) {
            if let Ok(text) = source::read(&candidate) {
                return Some((source::one_name(candidate).display().to_string(), text));
            }
        }
        self.built_in(Path::new(&file))
    }

    fn built_in(&self, path: &Path) -> Option<(String, String)> {
        let name = format!("{BUILT_IN_PREFIX}{}", path.display());
        self.text(&name).map(|text| (name, text))
    }
}

fn limits(engine: &mut Engine) {
    engine
        .set_max_call_levels(100)
        .set_max_expr_depths(128, 128)
        .set_max_string_size(256 << 20)
        .set_max_array_size(10_000_000)
        .set_max_map_size(1_000_000)
        .set_optimization_level(OptimizationLevel::None)
        .set_fail_on_invalid_map_property(true)
        .set_strict_variables(true)
        .disable_symbol("eval");
}

impl Script {
    /// Compiles a testcase.
    ///
    /// # Errors
    /// The first syntax error.
    pub fn compile(scripts: &Scripts, engine: &Engine, name: &str, text: &str) -> Result<Script, Box<Diagnostic>> {
        let ast = scripts.parse(engine, name, text)?;
        Ok(Script::of(ast))
    }

    /// A testcase that is compiled already.
    pub fn of(ast: AST) -> Script {
        let hooks = ast.iter_functions().map(|f| (f.name.to_string(), f.params.len())).collect();
        Script { ast, hooks }
    }

    pub fn has(&self, function: &str, parameters: usize) -> bool {
        self.hooks.iter().any(|(name, count)| name == function && *count == parameters)
    }

    /// What `meta()` says; the usual values when there is none. `engine` is a reader.
    ///
    /// # Errors
    /// All faults found, with the place of `meta`.
    pub fn meta(&self, engine: &Engine, name: &str, text: &str) -> Result<Meta, Vec<Diagnostic>> {
        if !self.has("meta", 0) {
            return Ok(Meta::default());
        }
        let options = CallFnOptions::new();
        let returned = engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &self.ast, "meta", ());
        let line = position_of(text, "meta", None);
        match returned {
            Err(error) => {
                let inner = super::failure::innermost(&error);
                let position = if inner.position().is_none() { line } else { inner.position() };
                let part = |key: &str| match inner {
                    EvalAltResult::ErrorRuntime(value, _) => {
                        value.read_lock::<Map>().and_then(|m| m.get(key).filter(|v| !v.is_unit()).map(show::plain))
                    }
                    _ => None,
                };
                let message = part("message").unwrap_or_else(|| match inner {
                    EvalAltResult::ErrorRuntime(value, _) => show::value(value, 200),
                    other => super::failure::message(other),
                });
                let fault = Diagnostic::error("meta", name, text, position, format!("meta() fails: {message}"));
                Err(vec![fault.help(part("help"))])
            }
            Ok(value) => match value.read_lock::<Map>() {
                None => {
                    let what = format!("meta() returns {}, expected a map", show::value(&value, 60));
                    Err(vec![Diagnostic::error("meta", name, text, line, what)])
                }
                Some(map) => Meta::read(&map).map_err(|faults| {
                    let at = |key: &str| position_of(text, key, Some(line));
                    let fault = |(key, what, help): (String, String, Option<String>)| {
                        Diagnostic::error("meta", name, text, at(&key), what).help(help)
                    };
                    faults.into_iter().map(fault).collect()
                }),
            },
        }
    }

    /// Calls a hook, with `this` bound to the testcase's map.
    ///
    /// # Errors
    /// What the script threw.
    pub fn call(&self, engine: &Engine, hook: Hook, this: &mut Dynamic, args: Map) -> Raised<()> {
        let options = CallFnOptions::new().bind_this_ptr(this);
        engine.call_fn_with_options::<Dynamic>(options, &mut Scope::new(), &self.ast, hook.name(), (args,)).map(|_| ())
    }

    pub fn ast(&self) -> &AST {
        &self.ast
    }
}

/// Where a word stands in a text, at or after a line: good enough to point a person there.
fn position_of(text: &str, word: &str, from: Option<Position>) -> Position {
    let skip = from.and_then(|p| p.line()).map_or(0, |line| line - 1);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (index, line) in text.lines().enumerate().skip(skip) {
        for (at, _) in line.match_indices(word) {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            if !before.is_some_and(is_word) && !after.is_some_and(is_word) && !line.trim_start().starts_with("//") {
                let column = line[..at].chars().count() + 1;
                return Position::new(u16::try_from(index + 1).unwrap_or(u16::MAX), u16::try_from(column).unwrap_or(u16::MAX));
            }
        }
    }
    from.unwrap_or(Position::NONE)
}
