//! The event stream itself as a report: the form of the event log, to a file or a stream, for other programs.

use super::Summary;
use super::reports::{Opening, Report, target};
use crate::error::{Result, Whereabouts};
use crate::event::Event;
use crate::event::log::LogWriter;
use std::io::Write;
use std::path::{Path, PathBuf};

struct Jsonl {
    log: LogWriter<Box<dyn Write + Send>>,
    path: PathBuf,
}

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    let writing = format!("write the events to `{}`", path.display());
    let log = LogWriter::new(target(path, opening)?).at(writing)?;
    Ok(Box::new(Jsonl { log, path: path.to_path_buf() }))
}

impl Report for Jsonl {
    fn on_event(&mut self, event: &Event, _: &Summary) -> Result<()> {
        self.log.write(event).at(format_args!("write the events to `{}`", self.path.display()))
    }

    fn finish(&mut self, _: &Summary, _: &[PathBuf]) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        format!("jsonl report {}", self.path.display())
    }

    fn file(&self) -> Option<&Path> {
        (self.path.as_os_str() != "-").then_some(&self.path)
    }
}
