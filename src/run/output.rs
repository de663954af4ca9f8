//! A program's output while it runs: line by line into the stream, bounded, and what it says to the harness understood.

use super::protocol::{self, Word};
use crate::event::{Fact, Level, Outcome};
use crate::script::{Case, severity};
use crate::wire::local::Stream;

/// Of a longer line only this much is in the stream, in bytes.
const LONGEST_LINE: usize = 4096;

/// How much of the output is in the stream. All of it is in the files.
const LINES: usize = 10_000;
const BYTES: usize = 4 << 20;

/// How many measured values and remarks a program may have.
const SAID: usize = 100_000;

/// Takes a program's output as it comes.
pub struct Listener<'a> {
    case: &'a Case,
    /// The lines that have no end yet, of both streams.
    pending: [Vec<u8>; 2],
    lines: usize,
    bytes: usize,
    is_full: bool,
    /// Known with the first line that is not blank.
    is_xml: Option<bool>,
    heard: Heard,
}

/// What the program said of its own result.
#[derive(Default)]
pub struct Heard {
    /// The worst, when it said several.
    pub outcome: Option<Outcome>,
    pub reason: Option<String>,
    said: usize,
}

impl Listener<'_> {
    pub fn new(case: &Case) -> Listener<'_> {
        Listener { case, pending: Default::default(), lines: 0, bytes: 0, is_full: false, is_xml: None, heard: Heard::default() }
    }

    pub fn hear(&mut self, stream: Stream, bytes: &[u8]) {
        let mut parts = bytes.split(|b| *b == b'\n').peekable();
        while let Some(part) = parts.next() {
            let pending = &mut self.pending[stream as usize];
            // One byte more than is shown, so that a cut can be seen.
            let room = (LONGEST_LINE + 1).saturating_sub(pending.len());
            pending.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                let line = std::mem::take(pending);
                self.line(stream, &line);
            }
        }
    }

    /// Takes what is left of lines without an end.
    pub fn finish(mut self) -> Heard {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = std::mem::take(&mut self.pending[stream as usize]);
            if !line.is_empty() {
                self.line(stream, &line);
            }
        }
        self.heard
    }

    fn line(&mut self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_LINE)]);
        let text = text.trim_end();
        let cut = if bytes.len() > LONGEST_LINE { "…" } else { "" };
        if matches!(stream, Stream::Stdout) {
            // What stands in a document is no word to the harness.
            if self.is_xml.is_none() && !text.trim().is_empty() {
                self.is_xml = Some(text.trim_start_matches('\u{feff}').trim_start().starts_with('<'));
            }
            if self.is_xml == Some(false) && self.understands(text) {
                return;
            }
        }
        self.lines += 1;
        self.bytes += bytes.len();
        if self.lines > LINES || self.bytes > BYTES {
            if !std::mem::replace(&mut self.is_full, true) {
                self.verbose("[… all further output is only in stdout.txt and stderr.txt …]".into());
            }
            return;
        }
        let origin = if matches!(stream, Stream::Stderr) { "stderr: " } else { "" };
        self.verbose(format!("{origin}{text}{cut}"));
    }

    fn verbose(&self, text: String) {
        self.case.context.log(Level::Verbose, text);
    }

    /// Whether a line was a word to the harness, which is then obeyed.
    fn understands(&mut self, text: &str) -> bool {
        let Some(word) = protocol::read(text) else { return false };
        self.heard.said += 1;
        match word {
            Word::Ended(outcome) => {
                let worst = self.heard.outcome.filter(|before| severity(*before) >= severity(outcome));
                self.heard.outcome = Some(worst.unwrap_or(outcome));
                return false;
            }
            Word::Said(..) | Word::Measured(_) if self.heard.said > SAID => return false,
            Word::Said(level, text) => {
                if level == Level::Reason {
                    self.heard.reason.get_or_insert_with(|| text.clone());
                }
                self.case.context.publish(Fact::Logged { level, text });
            }
            Word::Measured(measurement) => self.case.measured(measurement),
        }
        true
    }
}
