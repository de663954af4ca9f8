//! Jobs of a Windows guest: a batch file around the job's own writes down its status, and each stream into a file.

use super::facts::{boot_mark, is_same_boot};
use crate::error::{Kind, Result};
use crate::lab::files::join;
use crate::lab::guest::Guest;
use crate::lab::job::State;
use crate::lab::wait::Patience;
use crate::wire::windows::{Background, Windows, batch_file, quote_path};
use crate::wire::{Captured, Command, Output, Status};
use std::time::Duration;

/// What the directories of jobs begin with.
const PREFIX: &str = "xenrt-job.";

/// The largest stream that is read.
const LARGEST: u64 = 64 << 20;

impl Guest {
    /// Starts batch text in the background; gives its process, the directory of its files, and the mark of this start of the guest.
    pub(in crate::lab) fn windows_start(
        &self,
        windows: &dyn Windows,
        text: &str,
        input: &str,
    ) -> Result<(Background, String, String)> {
        let cancel = self.question("start of the job");
        let boot = self.heard(boot_mark(windows, &cancel))?;
        let dir = self.heard(windows.temp_dir(PREFIX, &cancel))?;
        let file = |name: &str| join(&[&dir, name]);
        let quoted = |name: &str| quote_path(&file(name));
        // A shell of its own: `exit` would end the one that writes down the status.
        let around = format!(
            "cmd /d /c {} <{} >{} 2>{}\necho %errorlevel% >{}\nmove /y {} {} >nul",
            quoted("run.cmd")?,
            quoted("in")?,
            quoted("out")?,
            quoted("err")?,
            quoted("rc.new")?,
            quoted("rc.new")?,
            quoted("rc")?
        );
        for (name, bytes) in [("run.cmd", batch_file(text)), ("in", input.as_bytes().to_vec()), ("around.cmd", batch_file(&around))]
        {
            self.heard(windows.write_file(&file(name), &bytes, 0o644, &cancel))?;
        }
        let background = self.heard(windows.start(&file("around.cmd"), &cancel))?;
        Ok((background, dir, boot))
    }

    pub(in crate::lab) fn windows_look(
        &self,
        windows: &dyn Windows,
        background: &Background,
        dir: &str,
        boot: &str,
    ) -> Result<State> {
        let cancel = self.question("look at the job");
        if let Some(code) = self.status(windows, dir)? {
            return Ok(State::Ended(code));
        }
        if self.heard(windows.runs(background, &cancel))? {
            return Ok(State::Running);
        }
        // It may have ended in between.
        if let Some(code) = self.status(windows, dir)? {
            return Ok(State::Ended(code));
        }
        let now = self.heard(boot_mark(windows, &cancel))?;
        Ok(if is_same_boot(&now, boot) == Some(true) { State::Vanished } else { State::Rebooted })
    }

    /// What stands in the file of its status, if there is one.
    fn status(&self, windows: &dyn Windows, dir: &str) -> Result<Option<i64>> {
        match self.heard(windows.read_file(&join(&[dir, "rc"]), 64, &self.question("status of the job"))) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().parse().ok()),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            // It is being written.
            Err(error) if error.kind == Kind::Refused => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::lab) fn windows_streams(&self, windows: &dyn Windows, dir: &str) -> Result<Output> {
        let limit = self.limit("output of the job", Patience::COPY);
        let read = |name: &str| -> Result<Captured> {
            let mut captured = Captured::new(Command::KEEP);
            captured.push(&self.heard(windows.read_file(&join(&[dir, name]), LARGEST, &limit))?);
            Ok(captured)
        };
        Ok(Output { stdout: read("out")?, stderr: read("err")?, status: Status::Exited(0), took: Duration::ZERO })
    }

    pub(in crate::lab) fn windows_end(&self, windows: &dyn Windows, background: &Background) -> Result<()> {
        self.heard(windows.end(background, &self.limit("end of the job", Patience::PROCESS_END)))
    }
}
