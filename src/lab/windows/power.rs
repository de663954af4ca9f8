//! Taking a Windows guest down from inside.

use super::facts::boot_mark;
use crate::context::Action;
use crate::error::{Kind, Result};
use crate::lab::guest::Guest;
use crate::lab::option::PowerOptions;
use crate::lab::wait::Patience;
use crate::time::Cancel;
use crate::wire::windows::{Down, Windows};
use std::time::{Duration, Instant};

impl Guest {
    /// Asks it to start anew, and waits until it answers with a new mark. It is forced either way: a program that asks whether to save
    /// something would hold it up for ever.
    pub(in crate::lab) fn windows_reboot(&self, windows: &dyn Windows, action: &Action<'_>, options: &PowerOptions) -> Result<()> {
        let started = Instant::now();
        let before = self.windows_go_down(windows, action, Down::Reboot)?;
        let patience = self.patience(Patience::READY).or(options.timeout);
        self.wait_started(action, &patience, &before)?;
        action.says(format!("back after {}", crate::unit::show_duration(started.elapsed())));
        Ok(())
    }

    pub(in crate::lab) fn windows_shutdown(
        &self,
        windows: &dyn Windows,
        action: &Action<'_>,
        options: &PowerOptions,
    ) -> Result<()> {
        let before = self.windows_go_down(windows, action, Down::Shutdown)?;
        self.wait_silent(action, &self.patience(Patience::SHUTDOWN).or(options.timeout), Some(&before))
    }

    /// Returns the mark of the start that ends.
    pub(in crate::lab) fn windows_go_down(&self, windows: &dyn Windows, action: &Action<'_>, down: Down) -> Result<String> {
        let cancel = self.question("answer");
        let before = self.heard(boot_mark(windows, &cancel))?;
        action.progress("asking it to go down", None);
        match self.heard(windows.go_down(down, &cancel)) {
            // It may go before its answer arrives.
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) => self.context().cancel().check()?,
            asked => asked?,
        }
        self.gone();
        Ok(before)
    }
}

/// The mark of this start, for one look of no longer than `limit`; empty when it answers without one, as while it goes down.
pub(in crate::lab) fn look(windows: &dyn Windows, limit: Duration, cancel: &Cancel) -> Result<String> {
    let own = cancel.child_with_limit(&format!("look at {}", windows.machine()), limit);
    match boot_mark(windows, &own) {
        Err(error) if matches!(error.kind, Kind::Refused | Kind::NotFound | Kind::Malformed) => Ok(String::new()),
        mark => mark,
    }
}
