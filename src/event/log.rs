//! The event log: one JSON object a line, a version in the first, readable after the controller was killed.

use super::{Event, Fact, Sink};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of the wire format. Changes only when a reader of the old one would misunderstand.
pub const VERSION: u32 = 1;

/// The longest line that a reader accepts: a plan of a million testcases fits, an endless file does not.
const LONGEST_LINE: u64 = 512 << 20;

/// How often a lock is tried for, and how long in between: what a killed controller had begun to start may hold it for a moment.
const TRIES: usize = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

#[derive(Serialize, Deserialize)]
struct Head {
    xenrt_event_log: u32,
}

/// A line up to this length, in bytes, is handed over in one call; of longer ones, such as the plan, so much at a time.
const LINE_AT_ONCE: usize = 64 << 10;

/// Writes events in the form of the log to any stream. A line is handed over before the next one is begun.
pub struct LogWriter<W: Write> {
    out: BufWriter<W>,
}

impl<W: Write> LogWriter<W> {
    /// # Errors
    /// The first line, with the version, cannot be written.
    pub fn new(out: W) -> std::io::Result<LogWriter<W>> {
        let mut log = LogWriter::after(out);
        log.line(&Head { xenrt_event_log: VERSION })?;
        Ok(log)
    }

    /// Goes on in a log that has its first line.
    fn after(out: W) -> LogWriter<W> {
        LogWriter { out: BufWriter::with_capacity(LINE_AT_ONCE, out) }
    }

    /// # Errors
    /// Those of the stream.
    pub fn write(&mut self, event: &Event) -> std::io::Result<()> {
        self.line(event)
    }

    fn line(&mut self, value: &impl Serialize) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

/// Writes the log. Each event is handed to the operating system before the next one is taken.
pub struct LogSink {
    log: LogWriter<File>,
    path: PathBuf,
}

impl LogSink {
    /// A new log, which no other process can go on with as long as this one lives.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<LogSink> {
        let doing = format!("write the event log `{}`", path.display());
        let file = File::create_new(path).at(&doing)?;
        lock(&file, path, 1)?;
        Ok(LogSink { log: LogWriter::new(file).at(&doing)?, path: path.to_path_buf() })
    }
}

/// The log of a run whose controller has died, which nobody else writes from now on.
///
/// Nothing is changed before [`ClaimedLog::go_on`].
pub struct ClaimedLog {
    file: File,
    path: PathBuf,
}

impl ClaimedLog {
    /// # Errors
    /// `NotFound`; `Refused` when the run is still going on, or the log may not be written.
    pub fn claim(path: &Path) -> Result<ClaimedLog> {
        ClaimedLog::claim_in(TRIES, path)
    }

    fn claim_in(tries: usize, path: &Path) -> Result<ClaimedLog> {
        let file = OpenOptions::new().read(true).append(true).open(path);
        let file = file.at(format_args!("go on with the event log `{}`", path.display()))?;
        lock(&file, path, tries)?;
        Ok(ClaimedLog { file, path: path.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its events, from the first.
    ///
    /// # Errors
    /// As [`LogReader::open`].
    pub fn read(&self) -> Result<LogReader> {
        LogReader::open(&self.path)
    }

    /// Goes on with it. What follows the first `whole` bytes ([`LogReader::whole`]) is cut off: a line that was being written when the
    /// controller died.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn go_on(self, whole: u64) -> Result<LogSink> {
        let doing = format!("go on with the event log `{}`", self.path.display());
        if self.file.metadata().at(&doing)?.len() > whole {
            self.file.set_len(whole).at(&doing)?;
        }
        Ok(LogSink { log: LogWriter::after(self.file), path: self.path })
    }
}

/// Tells whether a process is writing the log now.
///
/// # Errors
/// The file cannot be opened.
pub fn is_written(path: &Path) -> Result<bool> {
    let file = File::open(path).at(format_args!("read the event log `{}`", path.display()))?;
    Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Locks a log for this process. The lock ends with the process, however it ends.
fn lock(file: &File, path: &Path, tries: usize) -> Result<()> {
    for again in 0..tries {
        if again > 0 {
            Cancel::new().sleep(BETWEEN_TRIES)?;
        }
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => {
                // Some network file systems have no locks; runs on them are no worse than before there were any.
                tracing::warn!("`{}` cannot be locked, so a second xrt on the same results is not noticed: {e}", path.display());
                return Ok(());
            }
        }
    }
    let what = format!("the run is still going on: another xrt writes `{}`", path.display());
    Err(Error::new(Kind::Refused, what).blame(Blame::User).help("let it end, or stop it, and try again"))
}

impl Sink for LogSink {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        self.log.write(event).at(format_args!("write the event log `{}`", self.path.display()))
    }

    fn finish(&mut self) -> Result<()> {
        self.log.out.get_ref().sync_data().at(format_args!("write the event log `{}`", self.path.display()))
    }

    fn name(&self) -> String {
        format!("event log {}", self.path.display())
    }
}

/// Reads a log, event by event.
pub struct LogReader {
    lines: BufReader<File>,
    path: PathBuf,
    number: usize,
    /// Bytes read, and how many of them were whole when the last event was read.
    read: u64,
    whole: u64,
}

impl LogReader {
    /// # Errors
    /// `NotFound`, or `Malformed` when the file is no event log or one of a later version.
    pub fn open(path: &Path) -> Result<LogReader> {
        let file = File::open(path).at(format_args!("read the event log `{}`", path.display()))?;
        let mut reader = LogReader { lines: BufReader::new(file), path: path.to_path_buf(), number: 0, read: 0, whole: 0 };
        let first = reader.line()?.unwrap_or_default();
        let head: Head = serde_json::from_slice(&first).map_err(|_| {
            Error::new(Kind::Malformed, format!("`{}` is not an event log", path.display()))
                .help("give the `events.jsonl` of a results directory, or the directory")
        })?;
        if head.xenrt_event_log > VERSION {
            let what = format!("`{}` has event log version {}, this program reads {VERSION}", path.display(), head.xenrt_event_log);
            return Err(Error::new(Kind::Unsupported, what).help("use a newer xrt"));
        }
        reader.whole = reader.read;
        Ok(reader)
    }

    /// How many bytes there are up to the end of the last event that was read.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// The next line, without its end; nothing at the end of the file, also when the last line was torn.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.number += 1;
        let place = format!("read `{}` line {}", self.path.display(), self.number);
        let read = self.lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).at(place)?;
        self.read += read as u64;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Some(line));
        }
        if read as u64 == LONGEST_LINE {
            return Err(Error::new(Kind::Malformed, format!("`{}` line {} has no end", self.path.display(), self.number)));
        }
        Ok(None)
    }
}

impl Iterator for LogReader {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        let line = self.line().transpose()?;
        Some(line.and_then(|line| {
            let event = serde_json::from_slice(&line).map_err(|e| {
                let place = format!("{}:{}:{}", self.path.display(), self.number, e.column());
                Error::new(Kind::Malformed, format!("{place}: not an event: {e}"))
            })?;
            self.whole = self.read;
            Ok(event)
        }))
    }
}

impl Fact {
    /// Whether this version knows the fact.
    pub fn is_known(&self) -> bool {
        !matches!(self, Fact::Unknown(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Level, Outcome};
    use crate::name::CaseId;
    use crate::time::Timestamp;

    fn event(seq: u64, fact: Fact) -> Event {
        Event { seq, at: Timestamp::now(), case: Some(CaseId::new("g/a")), fact }
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_last_line_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let events = [
            event(1, Fact::Logged { level: Level::Warning, text: "a\nb".into() }),
            event(2, Fact::CaseFinished { outcome: Outcome::Failed, reason: None, took: 1.5, failure: None, block: None }),
        ];
        let mut sink = LogSink::create(&path).unwrap();
        for e in &events {
            sink.on_event(e).unwrap();
        }
        sink.log.out.get_mut().write_all(b"{\"seq\":3,\"at\":\"20").unwrap();
        let read: Vec<Event> = LogReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, events);
    }

    /// What a claimed log comes to, and its bytes up to there.
    fn reread(log: &ClaimedLog) -> (Vec<u64>, u64) {
        let mut reader = log.read().unwrap();
        let seqs = reader.by_ref().filter_map(Result::ok).map(|e| e.seq).collect();
        (seqs, reader.whole())
    }

    #[test]
    fn a_log_torn_at_any_byte_goes_on_after_its_last_whole_event() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let line = |seq| event(seq, Fact::Logged { level: Level::Comment, text: "grüße\n".into() });
        let mut sink = LogSink::create(&path).unwrap();
        let mut ends = Vec::new();
        for seq in 1..=4 {
            sink.on_event(&line(seq)).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        drop(sink);
        let whole = std::fs::read(&path).unwrap();
        for cut in ends[1]..=ends[3] {
            std::fs::write(&path, &whole[..usize::try_from(cut).unwrap()]).unwrap();
            let claimed = ClaimedLog::claim(&path).unwrap();
            let kept = ends.iter().filter(|end| **end <= cut).count();
            let (seqs, end) = reread(&claimed);
            assert_eq!((seqs.len(), end), (kept, ends[kept - 1]), "cut at {cut}");
            let mut sink = claimed.go_on(end).unwrap();
            sink.on_event(&line(kept as u64 + 1)).unwrap();
            sink.finish().unwrap();
            drop(sink);
            let read: Result<Vec<Event>> = LogReader::open(&path).unwrap().collect();
            assert_eq!(read.unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=kept as u64 + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_last_line_that_is_no_event_is_cut_off_like_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut sink = LogSink::create(&path).unwrap();
        sink.on_event(&event(1, Fact::RunFinished { verdict: crate::event::Verdict::Passed, took: 1.0 })).unwrap();
        drop(sink);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&good[..], b"\0\0\0\0\n\0\0"].concat()).unwrap();
        let claimed = ClaimedLog::claim(&path).unwrap();
        let (seqs, end) = reread(&claimed);
        drop(claimed.go_on(end).unwrap());
        assert_eq!((seqs, std::fs::read(&path).unwrap()), (vec![1], good));
    }

    #[test]
    fn a_log_has_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        assert_eq!(ClaimedLog::claim(&path).err().unwrap().kind, Kind::NotFound);
        let sink = LogSink::create(&path).unwrap();
        assert!(is_written(&path).unwrap());
        let refused = ClaimedLog::claim_in(1, &path).err().unwrap();
        assert!(refused.what.contains("still going on"), "{}", refused.what);
        drop(sink);
        assert!(!is_written(&path).unwrap());
        let claimed = ClaimedLog::claim(&path).unwrap();
        assert!(is_written(&path).unwrap() && ClaimedLog::claim_in(1, &path).is_err());
        drop(claimed);
        assert!(!is_written(&path).unwrap());
    }

    #[test]
    fn facts_of_a_later_version_are_kept_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let future = r#"{"seq":1,"at":"2026-11-22T09:00:00.000000Z","case":"a","fact":"teleported","to":{"host":"h2"}}"#;
        std::fs::write(&path, format!("{{\"xenrt_event_log\":1}}\n{future}\n")).unwrap();
        let read: Vec<Event> = LogReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert!(!read[0].fact.is_known());
        assert_eq!(serde_json::to_string(&read[0]).unwrap(), future);
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (text, expected) in [
            ("", "is not an event log"),
            ("<xml/>\n", "is not an event log"),
            ("{\"xenrt_event_log\":99}\n", "has event log version 99"),
            ("{\"xenrt_event_log\":1}\nrubbish\n", ":2:1: not an event"),
        ] {
            std::fs::write(&path, text).unwrap();
            let found = LogReader::open(&path).and_then(Iterator::collect::<Result<Vec<_>>>).unwrap_err();
            assert!(found.what.contains(expected), "{text:?}: {}", found.what);
        }
    }
}
