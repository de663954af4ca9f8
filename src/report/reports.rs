//! All reports of a run behind one reader of the stream: one summary, folded once, shown by many.

use super::lines::Options;
use super::{SINKS, Summary};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::event::log::LogReader;
use crate::event::{Event, Sink};
use crate::name::did_you_mean;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::NamedTempFile;

/// A way to show a run. It gets every event after the summary has taken it in.
pub trait Report: Send {
    /// # Errors
    /// A report that cannot go on; it is dropped, the others go on.
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()>;

    /// Takes in an event of a run that is taken up again, told before this process began. What is made of the whole run takes it as any
    /// other; who talks to people does not repeat it.
    ///
    /// # Errors
    /// As for `on_event`.
    fn recall(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        self.on_event(event, summary)
    }

    /// Called about ten times a second while a run goes on; never in a replay.
    ///
    /// # Errors
    /// As for `on_event`.
    fn on_tick(&mut self, _summary: &Summary) -> Result<()> {
        Ok(())
    }

    /// Called once at the end. `files` are those that other reports have written.
    ///
    /// # Errors
    /// What was to be written could not be.
    fn finish(&mut self, summary: &Summary, files: &[PathBuf]) -> Result<()>;

    /// What to call it in a message ("junit report out.xml").
    fn name(&self) -> String;

    /// The file it writes when it finishes.
    fn file(&self) -> Option<&Path> {
        None
    }
}

/// A row of [`SINKS`].
pub struct SinkKind {
    pub word: &'static str,
    /// What it gives, for `--help`.
    pub about: &'static str,
    /// The file in the results that it writes when no other is named; nothing when it writes to a stream.
    pub file: Option<&'static str>,
    pub open: fn(&Path, &Opening) -> Result<Box<dyn Report>>,
}

/// What reports need of their surroundings.
pub struct Opening {
    /// The directory with the results of the run.
    pub results: PathBuf,
    pub options: Options,
    /// Gives the stream for a report that has no file.
    pub stream: fn() -> Box<dyn Write + Send>,
    /// Columns and rows of the terminal that the stream is, now; nothing when it is none.
    pub screen: fn() -> Option<(usize, usize)>,
}

/// What a word such as `junit:out.xml` asks for: the kind and the file. Nothing is opened.
///
/// # Errors
/// `Malformed`, blamed on the user, when there is no such report.
pub fn asked(spec: &str) -> Result<(&'static SinkKind, Option<&str>)> {
    let (word, file) = spec.split_once(':').map_or((spec, None), |(word, file)| (word, Some(file)));
    let wrong = |what: String| Error::new(Kind::Malformed, what).blame(Blame::User);
    let Some(kind) = SINKS.iter().find(|k| k.word == word) else {
        let mut error = wrong(format!("no report `{word}`"));
        error.help = did_you_mean(word, SINKS.iter().map(|k| k.word));
        return Err(error);
    };
    match (file, kind.file) {
        (Some(""), _) => Err(wrong(format!("report `{spec}`: no file after the colon"))),
        (Some(_), None) => Err(wrong(format!("report `{word}` takes no file")).help(format!("write `{word}` alone"))),
        // The usual place of a report of many files is the results themselves.
        (Some("-"), Some("")) => Err(wrong(format!("report `{word}` is a directory")).help(format!("write `{word}:DIRECTORY`"))),
        _ => Ok((kind, file)),
    }
}

/// Tells whether a report of these writes to the standard output: `junit:-`.
pub fn takes_the_output(specs: &[String]) -> bool {
    specs.iter().any(|spec| spec.ends_with(":-"))
}

/// Opens the report that a word such as `junit:out.xml`, `html` or `console` asks for.
///
/// # Errors
/// As [`asked`]; what opening the file gives.
pub fn open(spec: &str, opening: &Opening) -> Result<Box<dyn Report>> {
    let (kind, file) = asked(spec)?;
    let usual = kind.file.map(|usual| opening.results.join(usual));
    let path = file.map(PathBuf::from).or(usual).unwrap_or_default();
    if let Some(parent) = path.parent().filter(|_| path.as_os_str() != "-") {
        std::fs::create_dir_all(parent).at(format_args!("make the directory of `{}`", path.display()))?;
    }
    (kind.open)(&path, opening)
}

/// Opens what a report writes to while the run goes on: its file, or the stream for `-`.
pub(super) fn target(path: &Path, opening: &Opening) -> Result<Box<dyn Write + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(Stream::new((opening.stream)())));
    }
    // A file that is there may be the log of a run, even the one that is being read.
    let file = File::create_new(path).at(format_args!("write `{}`", path.display()));
    Ok(Box::new(file.map_err(|e| e.help("name a file that does not exist yet"))?))
}

/// As [`target`], but one that was written by the same report before is begun again: it is known by its first words. A pipe or a
/// device is written to.
pub(super) fn growing(path: &Path, first: &str, opening: &Opening) -> Result<Box<dyn Write + Send>> {
    let there = std::fs::metadata(path).ok().filter(|_| path.as_os_str() != "-");
    let writing = || format!("write `{}`", path.display());
    match there {
        Some(there) if !there.is_file() => Ok(Box::new(std::fs::OpenOptions::new().write(true).open(path).at(writing())?)),
        Some(there) if there.len() == 0 || begins_with(path, first) => Ok(Box::new(File::create(path).at(writing())?)),
        _ => target(path, opening),
    }
}

fn begins_with(path: &Path, first: &str) -> bool {
    let mut begin = vec![0; first.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == first.as_bytes()
}

/// A stream that a report is written to. A reader that has gone away (`| head`) is no error: the run is in its log.
pub(super) struct Stream(Option<Box<dyn Write + Send>>);

impl Stream {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Stream {
        Stream(Some(out))
    }

    fn tell<T>(&mut self, gone: T, call: impl FnOnce(&mut dyn Write) -> std::io::Result<T>) -> std::io::Result<T> {
        let Some(out) = &mut self.0 else { return Ok(gone) };
        match call(out) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(gone)
            }
            told => told,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.tell(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.tell((), |out| out.flush())
    }
}

/// A report that is one text, made from the summary at the end.
pub(super) struct Written {
    word: &'static str,
    path: PathBuf,
    stream: fn() -> Box<dyn Write + Send>,
    make: Make,
}

/// Writes the text; the path is where it will stand.
type Make = fn(&Summary, &Path, &mut dyn Write) -> Result<()>;

impl Written {
    pub(super) fn new(word: &'static str, path: &Path, opening: &Opening, make: Make) -> Written {
        Written { word, path: path.to_path_buf(), stream: opening.stream, make }
    }

    fn write(&self, summary: &Summary, out: &mut dyn Write, doing: &str) -> Result<()> {
        let mut out = BufWriter::new(Faulty { out, fault: None });
        let made = (self.make)(summary, &self.path, &mut out);
        let flushed = out.flush();
        // Whoever makes the text may have other words for it.
        match (out.get_mut().fault.take(), flushed) {
            (Some(fault), _) | (None, Err(fault)) => Err(fault).at(doing),
            (None, Ok(())) => made,
        }
    }
}

impl Report for Written {
    fn on_event(&mut self, _: &Event, _: &Summary) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary, _: &[PathBuf]) -> Result<()> {
        if self.path.as_os_str() == "-" {
            let mut out = Stream::new((self.stream)());
            return self.write(summary, &mut out, "write it to the standard output");
        }
        let doing = format!("write `{}`", self.path.display());
        let mut file = Replacing::begin(&self.path).at(&doing)?;
        self.write(summary, &mut file, &doing)?;
        file.end().at(&doing)
    }

    fn name(&self) -> String {
        format!("{} report {}", self.word, self.path.display())
    }

    fn file(&self) -> Option<&Path> {
        (self.path.as_os_str() != "-").then_some(&self.path)
    }
}

/// Keeps what went wrong with what is written to.
struct Faulty<'a> {
    out: &'a mut dyn Write,
    fault: Option<std::io::Error>,
}

impl Write for Faulty<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes).map_err(|error| self.kept(error))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().map_err(|error| self.kept(error))
    }
}

impl Faulty<'_> {
    fn kept(&mut self, error: std::io::Error) -> std::io::Error {
        let told = error.kind().into();
        // What was only interrupted is tried again.
        if error.kind() != std::io::ErrorKind::Interrupted {
            self.fault.get_or_insert(error);
        }
        told
    }
}

/// A file in the making, of which a reader sees the old one or the whole new one. A device or a pipe is written to, never replaced.
enum Replacing {
    New { file: NamedTempFile, path: PathBuf },
    There(File),
}

impl Replacing {
    fn begin(path: &Path) -> std::io::Result<Replacing> {
        // A link stays, and what it points at is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            return std::fs::OpenOptions::new().write(true).open(path).map(Replacing::There);
        }
        let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Readable as any other file of this user: a report is for others to read.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let file = tempfile::Builder::new().prefix(".report-").permissions(mode).tempfile_in(dir)?;
        Ok(Replacing::New { file, path })
    }

    fn end(self) -> std::io::Result<()> {
        if let Replacing::New { file, path } = self {
            file.persist(path)?;
        }
        Ok(())
    }
}

impl Write for Replacing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Replacing::New { file, .. } => file.write(bytes),
            Replacing::There(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Replacing::New { file, .. } => file.flush(),
            Replacing::There(file) => file.flush(),
        }
    }
}

/// The reader that folds the events and hands them to every report.
pub struct Reports {
    summary: Arc<Mutex<Summary>>,
    reports: Vec<Box<dyn Report>>,
    errors: Vec<Error>,
}

impl Reports {
    pub fn new(mut reports: Vec<Box<dyn Report>>) -> Reports {
        // Files first: who talks to people names them at the end.
        reports.sort_by_key(|r| r.file().is_none());
        Reports { summary: Arc::default(), reports, errors: Vec::new() }
    }

    /// The summary, for whoever wants to know how the run stands, also after it has ended.
    pub fn summary(&self) -> Arc<Mutex<Summary>> {
        self.summary.clone()
    }

    /// Takes in what was told before this process began.
    ///
    /// # Errors
    /// The log cannot be read any further.
    pub fn recall(&mut self, log: LogReader) -> Result<()> {
        self.fold(log, |report, event, summary| report.recall(event, summary))
    }

    /// A line in the middle that is no event is passed over; the run is then incomplete, as nobody knows what it said.
    fn fold(&mut self, log: LogReader, mut call: impl FnMut(&mut dyn Report, &Event, &Summary) -> Result<()>) -> Result<()> {
        let summary = self.summary.clone();
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        for event in log {
            match event {
                Ok(event) => {
                    summary.apply(&event);
                    self.each(|report| call(report, &event, &summary));
                }
                Err(error) if error.kind == Kind::Malformed => summary.damage(error.what),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets the reports finish and returns what they could not do.
    pub fn close(&mut self) -> Vec<Error> {
        let summary = self.summary.clone();
        let summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = Vec::new();
        self.each(|report| {
            report.finish(&summary, &files)?;
            files.extend(report.file().map(Path::to_path_buf));
            Ok(())
        });
        std::mem::take(&mut self.errors)
    }

    fn each(&mut self, mut call: impl FnMut(&mut dyn Report) -> Result<()>) {
        let errors = &mut self.errors;
        self.reports.retain_mut(|report| match call(&mut **report) {
            Ok(()) => true,
            Err(error) => {
                let what = format!("{}: {}", report.name(), error.what);
                errors.push(Error { what, ..error });
                false
            }
        });
    }
}

impl Sink for Reports {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        let summary = self.summary.clone();
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.apply(event);
        self.each(|report| report.on_event(event, &summary));
        Ok(())
    }

    fn on_tick(&mut self) -> Result<()> {
        let summary = self.summary.clone();
        let summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        self.each(|report| report.on_tick(&summary));
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut errors = self.close().into_iter();
        let Some(first) = errors.next() else { return Ok(()) };
        let what = errors.fold(first.what.clone(), |all, next| format!("{all}; {}", next.what));
        Err(Error { what, ..first })
    }

    fn name(&self) -> String {
        "reports".into()
    }
}

/// Makes reports of a past run. Returns its summary, and what reports could not do.
///
/// A line in the middle that is no event is passed over; the run is then incomplete, as nobody knows what it said.
///
/// # Errors
/// The log cannot be read any further.
pub fn replay(log: LogReader, reports: Vec<Box<dyn Report>>) -> Result<(Summary, Vec<Error>)> {
    let mut reports = Reports::new(reports);
    reports.fold(log, |report, event, summary| report.on_event(event, summary))?;
    let errors = reports.close();
    let summary = std::mem::take(&mut *reports.summary.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((summary, errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, symlink};

    fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = Replacing::begin(path)?;
        file.write_all(bytes)?;
        file.end()
    }

    #[test]
    fn a_file_is_replaced_and_a_pipe_or_a_link_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "old, and longer").unwrap();
        symlink("file", at("link")).unwrap();
        replace(&at("link"), b"new").unwrap();
        assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "new");
        assert!(at("link").is_symlink());

        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let pipe = at("pipe");
        let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
        replace(&at("pipe"), b"through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(at("pipe").metadata().unwrap().file_type().is_fifo());

        assert!(replace(dir.path(), b"x").is_err() && replace(&at("no/such"), b"x").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing is left beside them");
    }
}
