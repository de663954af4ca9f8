//! A Windows guest's logs after a failure: what its own commands say, the daemon's log, and the files that a testcase named.
//!
//! To fetch more: a row in `COMMANDS` or `FILES`.

use crate::error::{Kind, Result};
use crate::event::Level;
use crate::lab::guest::Guest;
use crate::lab::wait::Patience;
use crate::time::Cancel;
use crate::wire::Command;
use crate::wire::windows::Windows;
use std::path::Path;
use std::time::Duration;

/// Outputs to keep: name of the file, command.
const COMMANDS: &[(&str, &str)] = &[
    ("system-events.txt", "wevtutil qe System /c:500 /rd:true /f:text"),
    ("application-events.txt", "wevtutil qe Application /c:200 /rd:true /f:text"),
    ("systeminfo.txt", "systeminfo"),
    ("processes.txt", "tasklist /v"),
    ("network.txt", "ipconfig /all & netstat -ano"),
    ("drivers.txt", "driverquery /v"),
];

/// Files to keep: patterns.
const FILES: &[&str] = &[r"c:\execdaemon.log", r"c:\windows\minidump\*.dmp", r"c:\windows\inf\setupapi.dev.log"];

/// The most that one command may take.
const LONGEST: Duration = Duration::from_secs(60);

impl Guest {
    /// Fetches them below the testcase's directory; returns how many files there are. What cannot be had is a warning.
    pub(in crate::lab) fn windows_logs(&self, windows: &dyn Windows, directory: &str) -> Result<usize> {
        let limit = self.limit("logs", Patience::LOGS);
        let mut count = 0;
        for (name, command) in COMMANDS {
            let path = self.context().file(&format!("{directory}/{name}"))?;
            let mut command = Command::new(*command, LONGEST);
            command.stdout_file = Some(path.clone());
            command.keep = 4096;
            let result = self.heard(windows.exec(&command, &limit));
            count += usize::from(self.keep(&path, result.map(drop), &limit)?);
        }
        let named = self.held().log_files.clone();
        for pattern in FILES.iter().map(ToString::to_string).chain(named) {
            let found = match self.heard(windows.glob(&pattern, &limit)) {
                Ok(found) => found,
                Err(error) => {
                    self.missed(&error.what, &limit)?;
                    continue;
                }
            };
            for remote in found {
                let plain = remote.replace([':', '\\', '/'], "_");
                let path = self.context().file(&format!("{directory}/{plain}"))?;
                let fetched = self.heard(windows.fetch(&remote, &path, &limit));
                count += usize::from(self.keep(&path, fetched.map(drop), &limit)?);
            }
        }
        Ok(count)
    }

    /// Whether there is a file with something in it.
    fn keep(&self, path: &Path, result: Result<()>, limit: &Cancel) -> Result<bool> {
        if let Some(error) = result.err().filter(|error| error.kind != Kind::NotFound) {
            self.missed(&error.what, limit)?;
        }
        let is_there = std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
        if is_there {
            self.context().attach(path);
        } else {
            // An empty file says nothing.
            let _ = std::fs::remove_file(path);
        }
        Ok(is_there)
    }

    fn missed(&self, why: &str, limit: &Cancel) -> Result<()> {
        self.context().log(Level::Warning, format!("not all logs of {}: {why}", self.name()));
        limit.check()
    }
}
