//! Finding a sequence file and reading it.

use super::reader;
use super::scope::Mode;
use super::source::Source;
use super::tree::Sequence;
use super::xml::MOST_BYTES;
use crate::diagnostic::{At, Diagnostic, Severity};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::name::did_you_mean;
use crate::vars::Variables;
use include_dir::{Dir, include_dir};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The sequences inside the program.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sequences");
const BUILT_IN_PREFIX: &str = "builtin:";
/// Where people keep sequences beside their other files.
const USUAL: &str = "sequences";
const ENDING: &str = "seq";

/// Where sequences are looked for: the current directory, `sequences` in it, these paths in order, then inside the program.
#[derive(Clone, Debug, Default)]
pub struct Library {
    pub paths: Vec<PathBuf>,
}

/// A file with a sequence, or with a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    Path(PathBuf),
    /// Inside the program, by its name there.
    BuiltIn(String),
}

/// What a file comes to.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// As much of it as could be read; nothing may run when `diagnostics` has errors.
    pub sequence: Sequence,
    /// Those given, with what the sequence sets.
    pub variables: Variables,
    /// Everything that is wrong with it, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads a sequence by its file name, with the variables that the command line, the environment and configuration files give.
///
/// # Errors
/// `NotFound` with the nearest name; `Refused`: it cannot be read.
pub fn load(library: &Library, file: &str, variables: Variables, mode: Mode) -> Result<Loaded> {
    library.load(library.find(file)?, variables, mode)
}

impl Library {
    /// Reads a sequence that was found.
    ///
    /// # Errors
    /// `Refused`: the file cannot be read. What is wrong with its content is in the diagnostics.
    pub fn load(&self, file: File, mut variables: Variables, mode: Mode) -> Result<Loaded> {
        let mut diagnostics = Vec::new();
        let sequence = match file.bytes(MOST_BYTES)? {
            Some(bytes) => match text_of(&bytes) {
                Ok(text) => reader::read(self, file, &text, mode, &mut variables, &mut diagnostics),
                Err(offset) => {
                    diagnostics.push(not_text(&file, &bytes, offset));
                    empty(&file)
                }
            },
            None => {
                diagnostics.push(too_large(&file));
                empty(&file)
            }
        };
        sort(&sequence, &mut diagnostics);
        Ok(Loaded { sequence, variables, diagnostics })
    }

    /// Reads a text as if it stood in a file of this name in the current directory.
    pub fn load_text(&self, file: &str, text: &str, mut variables: Variables, mode: Mode) -> Loaded {
        let mut diagnostics = Vec::new();
        let sequence = reader::read(self, File::Path(file.into()), text, mode, &mut variables, &mut diagnostics);
        sort(&sequence, &mut diagnostics);
        Loaded { sequence, variables, diagnostics }
    }

    /// The file that a name means, with or without its ending.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn find(&self, name: &str) -> Result<File> {
        let places = std::iter::once(PathBuf::new()).chain(self.places());
        match self.look_for(places, name) {
            Some(file) => Ok(file),
            None if Path::new(name).is_dir() => {
                let what = format!("`{name}` is a directory, not a sequence");
                Err(Error::new(Kind::NotFound, what)
                    .blame(Blame::User)
                    .help(format!("`xrt check {name}` checks all sequences in it")))
            }
            None => Err(self.missing(name)),
        }
    }

    /// The file that another one names: in the directory of that one, then where sequences are.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn find_beside(&self, from: &File, name: &str) -> Result<File> {
        let beside = match from {
            File::Path(path) => path.parent().map(Path::to_path_buf),
            File::BuiltIn(_) => None,
        };
        // What the program brings is the same wherever it is started.
        let is_built_in = matches!(from, File::BuiltIn(_)) && BUILT_IN.get_file(name).is_some();
        let found = match is_built_in {
            true => Some(File::BuiltIn(name.to_string())),
            false => self.look_for(beside.into_iter().chain(self.places()), name),
        };
        found.ok_or_else(|| {
            let what = format!("there is no file `{name}`");
            Error::new(Kind::NotFound, what).help("it is looked for beside the sequence, and where sequences are")
        })
    }

    /// Everything that can be named: the sequences of the library by their names, each once, sorted.
    ///
    /// # Errors
    /// `Refused`: a directory cannot be read.
    pub fn all(&self) -> Result<Vec<(String, File)>> {
        let mut all = std::collections::BTreeMap::new();
        for place in std::iter::once(PathBuf::from(".")).chain(self.places()).filter(|place| place.is_dir()) {
            // The current directory may hold anything, however much of it; below the others everything is a sequence.
            let depth = if place == Path::new(".") { 1 } else { usize::MAX };
            for path in files_below(&place, depth)? {
                let name = path.strip_prefix(&place).unwrap_or(&path).display().to_string();
                let path = path.strip_prefix(".").map_or(path.clone(), Path::to_path_buf);
                all.entry(name).or_insert(File::Path(path));
            }
        }
        for file in BUILT_IN.files() {
            let name = file.path().display().to_string();
            if file.path().extension().is_some_and(|ending| ending == ENDING) {
                all.entry(name.clone()).or_insert(File::BuiltIn(name));
            }
        }
        Ok(all.into_iter().collect())
    }

    fn places(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(PathBuf::from(USUAL)).chain(self.paths.iter().cloned())
    }

    fn look_for(&self, places: impl Iterator<Item = PathBuf>, name: &str) -> Option<File> {
        if let Some(name) = name.strip_prefix(BUILT_IN_PREFIX) {
            return BUILT_IN.get_file(name).map(|_| File::BuiltIn(name.to_string()));
        }
        let names = [name.to_string(), format!("{name}.{ENDING}")];
        for place in places {
            // Whatever it is, if it is not a directory: a person may give a pipe.
            let found = names.iter().map(|name| place.join(name)).find(|path| path.exists() && !path.is_dir());
            if found.is_some() {
                return found.map(File::Path);
            }
        }
        names.into_iter().find(|name| BUILT_IN.get_file(name).is_some()).map(File::BuiltIn)
    }

    fn missing(&self, name: &str) -> Error {
        let all = self.all().unwrap_or_default();
        let wanted = if name.ends_with(".seq") { name.to_string() } else { format!("{name}.{ENDING}") };
        let help = did_you_mean(&wanted, all.iter().map(|(name, _)| name.as_str()));
        let error = Error::new(Kind::NotFound, format!("there is no sequence `{name}`")).blame(Blame::User);
        error.help(help.unwrap_or_else(|| {
            "it is looked for in the current directory, in `sequences`, in each --sequence-path, and inside the program".into()
        }))
    }
}

/// The sequence files below a directory, so deep, sorted.
fn files_below(dir: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir).max_depth(depth).sort_by_file_name() {
        let entry = entry.map_err(std::io::Error::from).at(format!("list `{}`", dir.display()))?;
        if !entry.file_type().is_dir() && entry.path().extension().is_some_and(|ending| ending == ENDING) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

impl fmt::Display for File {
    /// As people know it and as it can be given again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            File::Path(path) => path.display().fmt(f),
            File::BuiltIn(name) => write!(f, "{BUILT_IN_PREFIX}{name}"),
        }
    }
}

impl File {
    /// The name without directories and ending.
    pub fn stem(&self) -> String {
        let path = match self {
            File::Path(path) => path.as_path(),
            File::BuiltIn(name) => Path::new(name),
        };
        path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The text of a part of a sequence.
    ///
    /// # Errors
    /// `Refused`: it is no file, cannot be read, or has more than so many bytes; `Malformed`: it is not text.
    pub fn read(&self, most: usize) -> Result<String> {
        if let File::Path(path) = self
            && !path.is_file()
        {
            // A pipe or a device might never end.
            return Err(Error::new(Kind::Refused, format!("`{self}` is not a plain file")));
        }
        let Some(bytes) = self.bytes(most)? else {
            let what = format!("`{self}` is too large: a sequence has at most {} MB, with all that it includes", MOST_BYTES >> 19);
            return Err(Error::new(Kind::Refused, what));
        };
        text_of(&bytes).map_err(|_| Error::new(Kind::Malformed, format!("`{self}` is not text in UTF-8")))
    }

    /// All of it, or nothing when that is more than `most` bytes.
    fn bytes(&self, most: usize) -> Result<Option<Vec<u8>>> {
        let File::Path(path) = self else { return Ok(self.built_in().map(<[u8]>::to_vec)) };
        let file = std::fs::File::open(path).at(format!("open `{self}`"))?;
        let size = file.metadata().at(format!("read `{self}`"))?.len();
        if size > most as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(most as u64 + 1).read_to_end(&mut bytes).at(format!("read `{self}`"))?;
        Ok((bytes.len() <= most).then_some(bytes))
    }

    fn built_in(&self) -> Option<&'static [u8]> {
        match self {
            File::Path(_) => None,
            File::BuiltIn(name) => BUILT_IN.get_file(name).map(include_dir::File::contents),
        }
    }
}

/// The text of a file, or where it stops being one.
///
/// # Source
/// XML 1.0, 4.3.3: what is not in UTF-8 says so. Of the others ISO 8859-1 is what old editors wrote.
fn text_of(bytes: &[u8]) -> std::result::Result<String, usize> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => {
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_lowercase();
            let declaration = head.split("?>").next().unwrap_or_default();
            let is_latin = declaration.starts_with("<?xml") && declaration.contains("iso-8859-1");
            if is_latin { Ok(bytes.iter().map(|byte| char::from(*byte)).collect()) } else { Err(error.valid_up_to()) }
        }
    }
}

fn empty(file: &File) -> Sequence {
    Sequence { name: file.stem(), file: file.to_string(), ..Sequence::default() }
}

fn not_text(file: &File, bytes: &[u8], offset: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let source = Source::new(file.to_string(), String::from_utf8_lossy(bytes).as_ref());
    source.error("malformed", At { line, column }, "this is not text in UTF-8".into()).help(Some("save the file as UTF-8".into()))
}

fn too_large(file: &File) -> Diagnostic {
    let help = format!("a sequence has at most {} MB; the largest real one has a hundredth of that", MOST_BYTES >> 20);
    Source::new(file.to_string(), "").error("too-large", At::default(), "the file is too large".into()).help(Some(help))
}

/// By file, the sequence's own first, then by place. What has no place comes last.
fn sort(sequence: &Sequence, diagnostics: &mut [Diagnostic]) {
    let mut files = vec![sequence.file.clone()];
    for diagnostic in diagnostics.iter() {
        if !files.contains(&diagnostic.place.file) {
            files.push(diagnostic.place.file.clone());
        }
    }
    let last = |number: usize| if number == 0 { usize::MAX } else { number };
    diagnostics.sort_by_key(|d| {
        let file = files.iter().position(|file| *file == d.place.file);
        (file, last(d.place.line), last(d.place.column))
    });
}
