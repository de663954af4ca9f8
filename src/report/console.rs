//! The plain reader for pipes and CI logs: one line an event that matters, a heartbeat each minute, and the end of the run.

use super::lines::{Lines, Options};
use super::{Opening, Report, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Fact};
use crate::time::Timestamp;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nothing may be heard of a run.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// Writes lines to a stream. Nobody listening any more (`xrt … | head`) is no error: the run goes on, and is in its log.
pub struct Console {
    lines: Lines,
    out: Box<dyn Write + Send>,
    text: String,
    last: Option<Timestamp>,
    is_closed: bool,
}

pub(super) fn open(_: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Console::new(opening.options, (opening.stream)())))
}

impl Console {
    pub fn new(options: Options, out: Box<dyn Write + Send>) -> Console {
        Console { lines: Lines::new(options), out, text: String::new(), last: None, is_closed: false }
    }

    /// Says what runs when nothing was heard for a minute.
    ///
    /// # Errors
    /// The stream cannot be written to (a full disk).
    pub fn beat(&mut self, now: Timestamp, summary: &Summary) -> Result<()> {
        if self.last.is_some_and(|last| now.since(last) >= HEARTBEAT) && !summary.is_over() {
            self.lines.heartbeat(now, summary, &mut self.text);
            self.hand_over(now)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Timestamp) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() || self.is_closed {
            return Ok(());
        }
        self.last = Some(now);
        match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written.at("write to the console"),
        }
    }
}

impl Report for Console {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        if matches!(event.fact, Fact::RunStarted { .. } | Fact::RunResumed { .. }) {
            self.last = Some(event.at);
        }
        self.lines.event(event, summary, &mut self.text);
        self.hand_over(event.at)
    }

    fn recall(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        self.lines.recall(event, summary);
        Ok(())
    }

    fn on_tick(&mut self, summary: &Summary) -> Result<()> {
        let now = Timestamp::now();
        self.lines.settle(summary, &mut self.text);
        self.hand_over(now)?;
        self.beat(now, summary)
    }

    fn finish(&mut self, summary: &Summary, files: &[PathBuf]) -> Result<()> {
        self.lines.end(summary, files, &mut self.text);
        self.hand_over(Timestamp::now())
    }

    fn name(&self) -> String {
        "console".into()
    }
}
