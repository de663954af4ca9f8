//! Finding testcases: by path, by name, by dotted name, by alias; and reading what they say of themselves.

use super::engine::{BUILT_IN, BUILT_IN_PREFIX, Script, Scripts};
use super::meta::Meta;
use super::{many, source};
use crate::diagnostic::Diagnostic;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::name;
use rhai::{Engine, Position};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What may stand before a dotted name, as in the original's sequences.
const PACKAGE: &str = "testcases.";

/// Where a testcase comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A Rhai script in a file.
    File(PathBuf),
    /// A Rhai script inside the program, by its path there.
    BuiltIn(String),
    /// Any other executable.
    Program(PathBuf),
}

impl Origin {
    /// The name of the source, as positions and people have it.
    pub fn source(&self) -> String {
        match self {
            Origin::File(path) | Origin::Program(path) => path.display().to_string(),
            Origin::BuiltIn(path) => format!("{BUILT_IN_PREFIX}{path}"),
        }
    }
}

/// A testcase that was found and can be read.
#[derive(Clone, Debug)]
pub struct Testcase {
    /// "benchmarks/iometer".
    pub name: String,
    pub origin: Origin,
    pub meta: Meta,
}

/// A file that may be a testcase: name and origin.
type Candidate = (String, Origin);

/// A testcase, or what is wrong with it.
type Read = std::result::Result<Arc<Testcase>, Vec<Diagnostic>>;

/// Finds testcases.
pub struct Catalog {
    scripts: Arc<Scripts>,
    checks: bool,
    /// Those that sequences name: thousands of them name the same few.
    known: Mutex<HashMap<Candidate, Read>>,
    /// Made when the first alias is looked for.
    index: OnceLock<Index>,
}

/// What all testcases are called.
struct Index {
    testcases: Vec<Arc<Testcase>>,
    /// The places in `testcases` by alias.
    aliases: HashMap<String, Vec<usize>>,
}

impl Index {
    /// Every name and alias.
    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.testcases.iter().flat_map(|t| std::iter::once(&t.name).chain(&t.meta.aliases)).map(String::as_str)
    }
}

impl Catalog {
    pub fn new(scripts: Arc<Scripts>) -> Catalog {
        Catalog { scripts, checks: true, known: Mutex::default(), index: OnceLock::new() }
    }

    /// Takes scripts as they are: what is wrong with them shows when they run.
    #[must_use]
    pub fn unchecked(mut self) -> Catalog {
        self.checks = false;
        self
    }

    /// What `--testcase` names: a file, a directory (all testcases in it), a name, a dotted name or an alias.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; `Malformed` when the file is neither a script nor executable; the diagnostics of scripts that
    /// cannot be read, all at once.
    pub fn find(&self, reference: &str) -> Result<std::result::Result<Vec<Arc<Testcase>>, Vec<Diagnostic>>> {
        let path = Path::new(reference);
        if path.is_dir() {
            let found = self.read_all(scripts_below(path, &directory_prefix(path, &self.scripts.roots))?, true);
            if let Ok(found) = &found
                && found.is_empty()
            {
                let what = format!("no testcase in `{reference}`");
                return Err(usage(what, "a testcase is a .rhai file with `fn run(args)`; a program is named by its own path"));
            }
            return Ok(found);
        }
        Ok(self.read_all(vec![self.locate(reference)?], false))
    }

    /// The one testcase that a sequence names: as [`Catalog::find`], but no directory. It is read once, however often it is named.
    ///
    /// # Errors
    /// As there.
    pub fn one(&self, reference: &str) -> Result<Read> {
        if Path::new(reference).is_dir() && self.by_name(reference).is_none() {
            let what = format!("`{reference}` is a directory, and a sequence names one testcase at a time");
            return Err(usage(what, "name each of its testcases in an element of its own"));
        }
        let candidate = self.locate(reference)?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = known().get(&candidate) {
            return Ok(read.clone());
        }
        let read = self.read_all(vec![candidate.clone()], false).and_then(|found| found.into_iter().next().ok_or_else(Vec::new));
        known().insert(candidate, read.clone());
        Ok(read)
    }

    /// Whether there is anything that a reference may name. What is wrong with it, and what may be meant, says [`Catalog::one`].
    ///
    /// # Errors
    /// A root cannot be read.
    pub fn knows(&self, reference: &str) -> Result<bool> {
        let bare = reference.strip_prefix(PACKAGE).unwrap_or(reference);
        if Path::new(reference).exists() || self.by_name(reference).is_some() || self.by_name(bare).is_some() {
            return Ok(true);
        }
        let aliases = &self.index()?.aliases;
        Ok(aliases.contains_key(reference) || aliases.contains_key(bare))
    }

    /// What a reference names: a file, a name, an alias. The original's package of all testcases may stand before it.
    fn locate(&self, reference: &str) -> Result<Candidate> {
        let path = Path::new(reference);
        if path.is_file() {
            return self.candidate(path);
        }
        let bare = reference.strip_prefix(PACKAGE).unwrap_or(reference);
        let as_written = (bare != reference).then(|| self.by_name(reference)).flatten();
        as_written.or_else(|| self.by_name(bare)).map_or_else(|| self.by_alias(reference, bare), Ok)
    }

    /// All testcases of the roots and those inside the program, sorted by name, and what is wrong with the rest.
    ///
    /// # Errors
    /// A root cannot be read.
    pub fn all(&self) -> Result<(Vec<Arc<Testcase>>, Vec<Diagnostic>)> {
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for read in self.read_each(self.candidates()?, true) {
            match read {
                Ok(testcase) => found.extend(testcase),
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((found, wrong))
    }

    /// What names this testcase on a command line: its name where that finds it, or else its path.
    pub fn reference(&self, testcase: &Testcase) -> String {
        match self.by_name(&testcase.name) {
            Some((_, found)) if found.source() == testcase.origin.source() => testcase.name.clone(),
            _ => testcase.origin.source(),
        }
    }

    /// The text of a script.
    ///
    /// # Errors
    /// It cannot be read any more, or is not text.
    pub fn text(&self, origin: &Origin) -> Result<String> {
        match origin {
            Origin::BuiltIn(_) => {
                self.scripts.text(&origin.source()).ok_or_else(|| Error::new(Kind::Internal, "a built-in script is gone"))
            }
            Origin::File(path) | Origin::Program(path) => source::read(path),
        }
    }

    fn candidate(&self, path: &Path) -> Result<Candidate> {
        if path.extension().is_some_and(|e| e == "rhai") {
            return Ok((name_of(path, &self.scripts.roots), Origin::File(path.to_path_buf())));
        }
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata().at(format_args!("look at `{}`", path.display()))?.permissions().mode();
        if mode & 0o111 == 0 {
            let what = format!("`{}` is no testcase: it is neither a .rhai file nor executable", path.display());
            return Err(usage(what, &format!("chmod +x {}", path.display())));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok((name, Origin::Program(path.to_path_buf())))
    }

    /// A name below a root or inside the program: `dummy/sleep`, `dummy.sleep`, `scripts/dummy/sleep.rhai`.
    fn by_name(&self, reference: &str) -> Option<Candidate> {
        let bare = reference.strip_prefix("scripts/").unwrap_or(reference);
        let bare = bare.strip_suffix(".rhai").unwrap_or(bare);
        for name in [bare.to_string(), bare.replace('.', "/")] {
            let file = format!("{name}.rhai");
            for root in &self.scripts.roots {
                let path = root.join(&file);
                if path.is_file() {
                    return Some((name, Origin::File(path)));
                }
            }
            if BUILT_IN.get_file(&file).is_some() {
                return Some((name, Origin::BuiltIn(file)));
            }
        }
        None
    }

    fn by_alias(&self, reference: &str, bare: &str) -> Result<Candidate> {
        let index = self.index()?;
        let found = index.aliases.get(reference).or_else(|| index.aliases.get(bare));
        let mut with_alias: Vec<_> = found.into_iter().flatten().map(|place| &index.testcases[*place]).collect();
        // Those of a person's own stand before those that come with the program, as it is with names.
        if with_alias.iter().any(|testcase| !matches!(testcase.origin, Origin::BuiltIn(_))) {
            with_alias.retain(|testcase| !matches!(testcase.origin, Origin::BuiltIn(_)));
        }
        match with_alias[..] {
            [] => {}
            [only] => return Ok((only.name.clone(), only.origin.clone())),
            [..] => {
                let names: Vec<String> = with_alias.iter().map(|t| format!("`{}`", self.reference(t))).collect();
                let what = format!("`{reference}` is an alias of {} testcases: {}", names.len(), names.join(", "));
                return Err(usage(what, "name one of them; an alias belongs to one testcase"));
            }
        }
        // A mistyped path or name is near to a name without its folder or its dots.
        let wanted = last_part(bare.trim_end_matches(".rhai"));
        let by_last = || {
            let near = name::nearest(wanted, index.names().map(last_part))?;
            index.names().find(|name| last_part(name) == near)
        };
        let near = name::nearest(bare, index.names()).or_else(by_last);
        let help = near.map_or_else(|| "`xrt list` shows all testcases".to_string(), |near| format!("did you mean `{near}`?"));
        Err(usage(format!("no testcase `{reference}`"), &help).with_kind(Kind::NotFound))
    }

    /// What all testcases are called. They are read for it once, and not checked.
    fn index(&self) -> Result<&Index> {
        if let Some(made) = self.index.get() {
            return Ok(made);
        }
        let candidates = self.candidates()?;
        let read = many::each(&self.scripts, candidates, |engine, (name, origin)| self.read(engine, name, origin, true, false));
        let testcases: Vec<Arc<Testcase>> = read.into_iter().filter_map(|read| read.ok().flatten()).collect();
        let mut aliases: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, testcase) in testcases.iter().enumerate() {
            for alias in &testcase.meta.aliases {
                let places = aliases.entry(alias.clone()).or_default();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        Ok(self.index.get_or_init(|| Index { testcases, aliases }))
    }

    /// Every script of the roots and of the program; a file in a root hides the built-in one of the same name.
    fn candidates(&self) -> Result<Vec<Candidate>> {
        let mut all = Vec::new();
        for root in &self.scripts.roots {
            all.extend(scripts_below(root, "")?);
        }
        for file in built_in_files(&BUILT_IN) {
            all.push((file.trim_end_matches(".rhai").to_string(), Origin::BuiltIn(file)));
        }
        let mut seen = std::collections::HashSet::new();
        all.retain(|(name, _)| seen.insert(name.clone()));
        Ok(all)
    }

    fn read_all(&self, candidates: Vec<Candidate>, modules_too: bool) -> std::result::Result<Vec<Arc<Testcase>>, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut wrong = Vec::new();
        for read in self.read_each(candidates, modules_too) {
            match read {
                Ok(testcase) => found.extend(testcase),
                Err(diagnostics) => wrong.extend(diagnostics),
            }
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    /// Reads candidates side by side, the results in order. With `modules_too`, a script without `run` is a module and no testcase.
    fn read_each(
        &self,
        candidates: Vec<Candidate>,
        modules_too: bool,
    ) -> Vec<std::result::Result<Option<Arc<Testcase>>, Vec<Diagnostic>>> {
        many::each(&self.scripts, candidates, |engine, (name, origin)| self.read(engine, name, origin, modules_too, self.checks))
    }

    fn read(
        &self,
        engine: &Engine,
        name: String,
        origin: Origin,
        modules_too: bool,
        checks: bool,
    ) -> std::result::Result<Option<Arc<Testcase>>, Vec<Diagnostic>> {
        if matches!(origin, Origin::Program(_)) {
            let meta = Meta { title: format!("The program {name}"), ..Meta::default() };
            return Ok(Some(Arc::new(Testcase { name, origin, meta })));
        }
        let source = origin.source();
        let problem = |text: &str, what: String| vec![Diagnostic::error("unreadable", &source, text, Position::NONE, what)];
        let text = self.text(&origin).map_err(|e| problem("", e.what))?;
        let meta = if checks { self.checked(engine, &source, &text)? } else { self.read_only(engine, &source, &text)? };
        match meta {
            Some(meta) => Ok(Some(Arc::new(Testcase { name, origin, meta }))),
            None if modules_too => Ok(None),
            None => Err(problem(&text, "no function `run(args)`, so this is no testcase".to_string())),
        }
    }

    /// What a testcase says of itself, when nothing is wrong with it; nothing for a module.
    fn checked(&self, engine: &Engine, source: &str, text: &str) -> std::result::Result<Option<Meta>, Vec<Diagnostic>> {
        let checked = super::check::check(&self.scripts, engine, source, text);
        if checked.has_errors() { Err(checked.diagnostics) } else { Ok(checked.meta) }
    }

    fn read_only(&self, engine: &Engine, source: &str, text: &str) -> std::result::Result<Option<Meta>, Vec<Diagnostic>> {
        let mut ast = engine.compile(text).map_err(|e| vec![crate::script::syntax::syntax(source, text, &e)])?;
        ast.set_source(source);
        let script = Script::of(ast);
        if !script.has("run", 1) {
            return Ok(None);
        }
        script.meta(engine, source, text).map(Some)
    }
}

/// "TCSleep" of "dummy.TCSleep", "sleep" of "dummy/sleep".
fn last_part(name: &str) -> &str {
    name.rsplit(['/', '.']).next().unwrap_or(name)
}

fn usage(what: String, help: &str) -> Error {
    Error::new(Kind::Malformed, what).blame(Blame::User).help(help)
}

fn built_in_files(dir: &include_dir::Dir<'_>) -> Vec<String> {
    let mut found: Vec<String> = dir.files().map(|f| f.path().display().to_string()).filter(|f| f.ends_with(".rhai")).collect();
    found.extend(dir.dirs().flat_map(built_in_files));
    found.sort();
    found
}

/// The name that the testcases of a directory begin with: its place below a root, or its own name.
fn directory_prefix(dir: &Path, roots: &[PathBuf]) -> String {
    for root in roots {
        if let (Ok(root), Ok(dir)) = (root.canonicalize(), dir.canonicalize())
            && let Ok(below) = dir.strip_prefix(&root)
        {
            return below.display().to_string();
        }
    }
    let own = dir.canonicalize().ok().and_then(|d| d.file_name().map(|n| n.to_string_lossy().into_owned()));
    own.unwrap_or_default()
}

fn name_of(path: &Path, roots: &[PathBuf]) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    for root in roots {
        if let (Ok(root), Ok(path)) = (root.canonicalize(), path.canonicalize())
            && let Ok(below) = path.strip_prefix(&root)
        {
            return below.with_extension("").display().to_string();
        }
    }
    stem
}

/// Every file with this ending below a directory, sorted.
///
/// # Errors
/// The directory cannot be read.
pub fn files_below(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|e| {
            Error::new(Kind::NotFound, format!("cannot read the directory `{}`: {e}", dir.display())).blame(Blame::User)
        })?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == ending) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

fn scripts_below(dir: &Path, prefix: &str) -> Result<Vec<Candidate>> {
    let candidate = |path: PathBuf| {
        let below = path.strip_prefix(dir).unwrap_or(&path).with_extension("");
        (Path::new(prefix).join(below).display().to_string(), Origin::File(path))
    };
    Ok(files_below(dir, "rhai")?.into_iter().map(candidate).collect())
}
