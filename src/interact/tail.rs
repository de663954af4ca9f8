//! The end of a run's event log, read as it is written: for those who look from elsewhere.

use crate::error::{Result, Whereabouts};
use crate::event::Event;
use crate::report::Entry;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at a time, from the end.
const PART: u64 = 256 << 10;

/// How much of a log is looked through for what is asked, at most.
const MOST: u64 = 16 << 20;

/// The events after one, the oldest first, `limit` at most.
///
/// # Errors
/// The log cannot be read.
pub fn after(log: &Path, seq: u64, limit: usize) -> Result<Vec<Event>> {
    let mut events = back_to(log, |events| events.first().is_some_and(|first| first.seq <= seq + 1))?;
    events.retain(|event| event.seq > seq);
    events.truncate(limit);
    Ok(events)
}

/// The number of the last event.
///
/// # Errors
/// As [`after`].
pub fn last(log: &Path) -> Result<u64> {
    Ok(back_to(log, |events| !events.is_empty())?.last().map_or(0, |event| event.seq))
}

/// The last lines of the log of the whole run, as `xenrt.log` has them.
///
/// # Errors
/// As [`after`].
pub fn lines(log: &Path, count: usize) -> Result<Vec<String>> {
    let entries = |events: &[Event]| events.iter().filter(|event| Entry::of(event).is_some()).count();
    let events = back_to(log, |events| entries(events) >= count)?;
    let mut lines: Vec<String> = Vec::new();
    for event in &events {
        let Some(entry) = Entry::of(event) else { continue };
        let mut text = String::new();
        entry.write(&mut text);
        lines.extend(text.lines().map(|line| match &event.case {
            Some(id) => format!("{id}: {line}"),
            None => line.to_string(),
        }));
    }
    let from = lines.len().saturating_sub(count);
    Ok(lines.split_off(from))
}

/// Events from the end of the log backwards, until there are enough of them.
fn back_to(log: &Path, is_enough: impl Fn(&[Event]) -> bool) -> Result<Vec<Event>> {
    let doing = || format!("read `{}`", log.display());
    let mut file = File::open(log).at(doing())?;
    let end = file.metadata().at(doing())?.len();
    let mut part = PART;
    loop {
        let from = end.saturating_sub(part);
        file.seek(SeekFrom::Start(from)).at(doing())?;
        let mut bytes = Vec::new();
        (&mut file).take(end - from).read_to_end(&mut bytes).at(doing())?;
        let text = String::from_utf8_lossy(&bytes);
        // Where it begins in the middle, the first line is a part of one; the last may be torn; the first of all is the version.
        let lines = text.split_inclusive('\n').skip(1).filter(|line| line.ends_with('\n'));
        let events: Vec<Event> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        if from == 0 || part >= MOST || is_enough(&events) {
            return Ok(events);
        }
        part *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::log::LogSink;
    use crate::event::{Fact, Level, Sink};
    use crate::time::Timestamp;

    #[test]
    fn the_end_of_a_log_is_read_while_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = LogSink::create(&path).unwrap();
        let text = "more ".repeat(400);
        for seq in 1..=1000 {
            let fact = Fact::Logged { level: Level::Verbose, text: format!("{seq} {text}") };
            log.on_event(&Event { seq, at: Timestamp::now(), case: None, fact }).unwrap();
        }
        let seqs = |seq, limit| after(&path, seq, limit).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>();
        assert_eq!(seqs(998, 10), [999, 1000]);
        assert_eq!(seqs(1000, 10), [0; 0]);
        assert_eq!(seqs(0, 2), [1, 2], "all of it where that is asked");
        let last = lines(&path, 3).unwrap();
        assert_eq!(last.len(), 3);
        assert!(last[2].contains("] 1000 more"), "{}", last[2]);
    }
}
