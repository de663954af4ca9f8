//! The plain reader for pipes and CI logs: one line an event that matters, a heartbeat each minute, and the end of the run.

use super::lines::{Lines, Options};
use super::{Opening, Report, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Fact};
use crate::time::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nothing may be heard of a run.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// Writes lines to a stream. A stream that is closed ends it, not the run.
pub struct Console {
    lines: Lines,
    out: Box<dyn Write + Send>,
    text: String,
    last: Option<Timestamp>,
}

pub(super) fn open(_: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Console::new(opening.options, (opening.stream)())))
}

impl Console {
    pub fn new(options: Options, out: Box<dyn Write + Send>) -> Console {
        Console { lines: Lines::new(options), out, text: String::new(), last: None }
    }

    /// Says what runs when nothing was heard for a minute.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn beat(&mut self, now: Timestamp, summary: &Summary) -> Result<()> {
        if self.last.is_some_and(|last| now.since(last) >= HEARTBEAT) && !summary.is_over() {
            self.lines.heartbeat(now, summary, &mut self.text);
            self.hand_over(now)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Timestamp) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.last = Some(now);
        let written = self.out.write_all(self.text.as_bytes()).and_then(|()| self.out.flush());
        self.text.clear();
        written.at("write to the console")
    }
}

impl Report for Console {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        if matches!(event.fact, Fact::RunStarted { .. }) {
            self.last = Some(event.at);
        }
        self.lines.event(event, summary, &mut self.text);
        self.hand_over(event.at)
    }

    fn on_tick(&mut self, summary: &Summary) -> Result<()> {
        self.beat(Timestamp::now(), summary)
    }

    fn finish(&mut self, summary: &Summary, files: &[PathBuf]) -> Result<()> {
        self.lines.end(summary, files, &mut self.text);
        self.hand_over(Timestamp::now())
    }

    fn name(&self) -> String {
        "console".into()
    }
}
