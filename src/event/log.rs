//! The event log: one JSON object a line, a version in the first, readable after the controller was killed.

use super::{Event, Fact, Sink};
use crate::error::{Error, Kind, Result, Whereabouts};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Of the wire format. Changes only when a reader of the old one would misunderstand.
pub const VERSION: u32 = 1;

/// The longest line that a reader accepts: a plan of a million testcases fits, an endless file does not.
const LONGEST_LINE: u64 = 512 << 20;

#[derive(Serialize, Deserialize)]
struct Head {
    xenrt_event_log: u32,
}

/// Writes events in the form of the log to any stream, a line and a call each.
pub struct LogWriter<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> LogWriter<W> {
    /// # Errors
    /// The first line, with the version, cannot be written.
    pub fn new(mut out: W) -> std::io::Result<LogWriter<W>> {
        let mut line = serde_json::to_vec(&Head { xenrt_event_log: VERSION })?;
        line.push(b'\n');
        out.write_all(&line)?;
        Ok(LogWriter { out, line })
    }

    /// # Errors
    /// Those of the stream.
    pub fn write(&mut self, event: &Event) -> std::io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        self.out.flush()
    }
}

/// Writes the log. Each event is handed to the operating system before the next one is taken.
pub struct LogSink {
    log: LogWriter<File>,
    path: PathBuf,
}

impl LogSink {
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<LogSink> {
        let doing = format!("write the event log `{}`", path.display());
        let log = LogWriter::new(File::create_new(path).at(&doing)?).at(&doing)?;
        Ok(LogSink { log, path: path.to_path_buf() })
    }
}

impl Sink for LogSink {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        self.log.write(event).at(format_args!("write the event log `{}`", self.path.display()))
    }

    fn finish(&mut self) -> Result<()> {
        self.log.out.sync_data().at(format_args!("write the event log `{}`", self.path.display()))
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
}

impl LogReader {
    /// # Errors
    /// `NotFound`, or `Malformed` when the file is no event log or one of a later version.
    pub fn open(path: &Path) -> Result<LogReader> {
        let file = File::open(path).at(format_args!("read the event log `{}`", path.display()))?;
        let mut reader = LogReader { lines: BufReader::new(file), path: path.to_path_buf(), number: 0 };
        let first = reader.line()?.unwrap_or_default();
        let head: Head = serde_json::from_slice(&first).map_err(|_| {
            Error::new(Kind::Malformed, format!("`{}` is not an event log", path.display()))
                .help("give the `events.jsonl` of a results directory, or the directory")
        })?;
        if head.xenrt_event_log > VERSION {
            let what = format!("`{}` has event log version {}, this program reads {VERSION}", path.display(), head.xenrt_event_log);
            return Err(Error::new(Kind::Unsupported, what).help("use a newer xrt"));
        }
        Ok(reader)
    }

    /// The next line, without its end; nothing at the end of the file, also when the last line was torn.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        use std::io::Read;
        let mut line = Vec::new();
        self.number += 1;
        let place = format!("read `{}` line {}", self.path.display(), self.number);
        let read = self.lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).at(place)?;
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
            serde_json::from_slice(&line).map_err(|e| {
                let place = format!("{}:{}:{}", self.path.display(), self.number, e.column());
                Error::new(Kind::Malformed, format!("{place}: not an event: {e}"))
            })
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
        sink.log.out.write_all(b"{\"seq\":3,\"at\":\"20").unwrap();
        let read: Vec<Event> = LogReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, events);
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
