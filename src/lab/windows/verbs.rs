//! What only Windows has: its registry, its environment, its desktop, its firewall, PowerShell.

use super::super::guest::{Ended, Guest};
use super::super::option::ExecOptions;
use crate::error::Result;
use crate::lab::wait::Patience;
use crate::wire::Command;
use crate::wire::windows::{RegData, RegPlace, quote_path};

impl Guest {
    /// A value of the registry.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for a guest that runs something else, and for types that are no numbers and no texts; `Malformed` for a
    /// place that cannot be; `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn reg_get(&self, place: &RegPlace) -> Result<RegData> {
        let windows = self.needs_windows()?;
        self.told(&format!("registry: get {place}"), |action| {
            let data = self.heard(windows.reg_get(place, &self.question("registry")))?;
            action.says(crate::context::clip(&data.text(), 100));
            Ok(data)
        })
    }

    /// Writes a value of the registry, and reads it back.
    ///
    /// # Errors
    /// As [`Guest::reg_get`].
    pub fn reg_set(&self, place: &RegPlace, data: &RegData) -> Result<()> {
        let windows = self.needs_windows()?;
        self.told(&format!("registry: set {place} to {}", crate::context::clip(&data.text(), 100)), |_| {
            self.heard(windows.reg_set(place, data, &self.question("registry")))
        })
    }

    /// Removes a value of the registry.
    ///
    /// # Errors
    /// As [`Guest::reg_get`].
    pub fn reg_delete(&self, place: &RegPlace) -> Result<()> {
        let windows = self.needs_windows()?;
        self.told(&format!("registry: delete {place}"), |_| self.heard(windows.reg_delete(place, &self.question("registry"))))
    }

    /// A variable of the environment that commands get there.
    ///
    /// # Errors
    /// As [`Guest::reg_get`].
    pub fn env(&self, name: &str) -> Result<Option<String>> {
        let windows = self.needs_windows()?;
        self.told(&format!("variable {name}"), |action| {
            let value = self.heard(windows.env(name, &self.question("environment")))?;
            action.says(value.clone().unwrap_or_else(|| "not set".into()));
            Ok(value)
        })
    }

    /// Runs text in PowerShell, with the options of a command; `user` cannot be had, `cwd` and `env` are the script's own matter.
    ///
    /// # Errors
    /// As [`Guest::exec`]; `Unsupported` for a guest that runs something else.
    pub fn powershell(&self, script: &str, options: &ExecOptions) -> Result<Ended> {
        let windows = self.needs_windows()?;
        self.carry_out(
            script,
            options,
            || Ok(script.to_string()),
            |whole| self.heard(windows.powershell(whole, &self.context().cancel())),
        )
    }

    /// Lets a program through the firewall, in both directions.
    ///
    /// # Errors
    /// As [`Guest::exec`]; `Unsupported` for a guest that runs something else.
    pub fn allow_program(&self, path: &str) -> Result<()> {
        self.needs_windows()?;
        let program = quote_path(path)?;
        let name = path.rsplit(['\\', '/']).next().unwrap_or(path).replace('%', "%%");
        // The older word goes from XP to where the newer one came, and both are there for a while.
        let rule = |direction: &str| {
            format!("netsh advfirewall firewall add rule name=\"{name}\" dir={direction} action=allow program={program}")
        };
        let batch = format!(
            "{} >nul 2>&1 && {} >nul 2>&1 && exit /b 0\nnetsh firewall add allowedprogram program={program} name=\"{name}\" mode=ENABLE",
            rule("in"),
            rule("out")
        );
        self.told(&format!("allow {path} through the firewall"), |_| {
            let output = self.run_any(&Command::new(&batch, self.patience(Patience::QUESTION).limit))?;
            if output.is_success() { Ok(()) } else { Err(self.refused("netsh", &output)) }
        })
    }

    /// Sends keys to the window in front: one character each, `{ENTER}`, `%{F4}`, `^c`, `+{TAB}`, or `s3` to wait three seconds.
    ///
    /// # Errors
    /// As [`Guest::reg_get`]; `Unsupported` also where there is no desktop.
    pub fn send_keys(&self, keys: &[String]) -> Result<()> {
        let windows = self.needs_windows()?;
        self.told(&format!("send {} keys", keys.len()), |_| {
            self.heard(windows.send_keys(keys, &self.limit("keys", Patience::EXEC)))
        })
    }

    /// The hardware addresses of its network interfaces, as Windows sees them.
    ///
    /// # Errors
    /// As [`Guest::reg_get`].
    pub fn windows_macs(&self) -> Result<Vec<String>> {
        let windows = self.needs_windows()?;
        self.told("list network interfaces", |action| {
            let macs = self.heard(windows.macs(&self.question("network interfaces")))?;
            action.says(macs.join(", "));
            Ok(macs)
        })
    }

    /// The numbers of its disks, as Windows sees them.
    ///
    /// # Errors
    /// As [`Guest::reg_get`].
    pub fn windows_disks(&self) -> Result<Vec<u32>> {
        let windows = self.needs_windows()?;
        self.told("list disks", |action| {
            let disks = self.heard(windows.disks(&self.question("disks")))?;
            action.says(format!("{} disks", disks.len()));
            Ok(disks)
        })
    }
}
