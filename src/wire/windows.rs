//! What Windows does beyond a [`Transport`]: the same by the execution daemon and by PowerShell.
//!
//! A command is batch text for `cmd.exe` on both ways, so that one script runs over either.

use super::{Command, Output, Transport};
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use std::fmt;
use std::str::FromStr;

/// The port of the execution daemon.
pub const DAEMON_PORT: u16 = 8936;

/// The inside of a machine that runs Windows.
pub trait Windows: Transport {
    /// Runs text in PowerShell.
    ///
    /// # Errors
    /// As [`Transport::exec`].
    fn powershell(&self, script: &Command, cancel: &Cancel) -> Result<Output>;

    /// A value of the registry.
    ///
    /// # Errors
    /// `NotFound`; `Unsupported` for a type that is none of [`RegData`]; `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    fn reg_get(&self, place: &RegPlace, cancel: &Cancel) -> Result<RegData>;

    /// Writes a value of the registry; keys that are not there are made.
    ///
    /// # Errors
    /// As [`Windows::reg_get`].
    fn reg_set(&self, place: &RegPlace, data: &RegData, cancel: &Cancel) -> Result<()>;

    /// Removes a value of the registry.
    ///
    /// # Errors
    /// As [`Windows::reg_get`].
    fn reg_delete(&self, place: &RegPlace, cancel: &Cancel) -> Result<()>;

    /// A variable of the environment that commands get.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    fn env(&self, name: &str, cancel: &Cancel) -> Result<Option<String>>;

    /// A property of the one (or first) object of a WMI class, as text.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn wmi(&self, class: &str, property: &str, cancel: &Cancel) -> Result<String>;

    /// The clock there, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn clock(&self, cancel: &Cancel) -> Result<f64>;

    /// Ends all processes whose image has this name, with those that they started. None is no error.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn kill_all(&self, image: &str, cancel: &Cancel) -> Result<()>;

    /// Sends keys to the window in front: each is one character, `{ENTER}`, `%{F4}`, `^c`, `+{TAB}`, or `s3` to wait three seconds.
    ///
    /// # Errors
    /// As [`Windows::env`]; `Unsupported` where there is no desktop.
    fn send_keys(&self, keys: &[String], cancel: &Cancel) -> Result<()>;

    /// The paths that match a pattern with `*` and `?`.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn glob(&self, pattern: &str, cancel: &Cancel) -> Result<Vec<String>>;

    /// Makes a new directory for temporary files.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn temp_dir(&self, prefix: &str, cancel: &Cancel) -> Result<String>;

    /// Removes a file; none is no error.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn remove_file(&self, path: &str, cancel: &Cancel) -> Result<()>;

    /// Removes a directory with all that is in it; none is no error.
    ///
    /// # Errors
    /// As [`Windows::env`]; `Refused` when something of it is still there.
    fn remove_tree(&self, path: &str, cancel: &Cancel) -> Result<()>;

    /// Fetches a tarball from a web server and unpacks it into a directory, which is made.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn unpack(&self, url: &str, dir: &str, cancel: &Cancel) -> Result<()>;

    /// The SHA-1 of a file, in hexadecimal digits.
    ///
    /// # Errors
    /// As [`Transport::read_file`].
    fn sha1(&self, path: &str, cancel: &Cancel) -> Result<String>;

    /// Starts a batch file, whose end is not waited for and which is not ended with the connection.
    ///
    /// # Errors
    /// As [`Transport::exec`].
    fn start(&self, batch: &str, cancel: &Cancel) -> Result<Background>;

    /// Whether it still runs.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn runs(&self, background: &Background, cancel: &Cancel) -> Result<bool>;

    /// Ends it if it runs, with all that it started, and forgets it.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn end(&self, background: &Background, cancel: &Cancel) -> Result<()>;

    /// The hardware addresses of its network interfaces, with colons.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn macs(&self, cancel: &Cancel) -> Result<Vec<String>>;

    /// The numbers of its disks.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn disks(&self, cancel: &Cancel) -> Result<Vec<u32>>;

    /// Asks it to go down, or to start anew. It answers at once and goes a few seconds later.
    ///
    /// # Errors
    /// As [`Windows::env`].
    fn go_down(&self, down: Down, cancel: &Cancel) -> Result<()>;
}

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    Reboot,
    Shutdown,
}

/// A batch file under way in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Background {
    /// Of its shell.
    pub pid: u32,
    /// What the daemon knows it by; empty where there is none.
    pub reference: String,
}

/// Which half of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hive {
    Machine,
    User,
}

impl Hive {
    pub fn word(self) -> &'static str {
        match self {
            Hive::Machine => "HKLM",
            Hive::User => "HKCU",
        }
    }
}

/// Where a value of the registry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegPlace {
    pub hive: Hive,
    pub key: String,
    pub name: String,
}

impl RegPlace {
    /// # Errors
    /// `Malformed` for a hive that is neither HKLM nor HKCU, or an empty key.
    pub fn new(hive: &str, key: &str, name: &str) -> Result<RegPlace> {
        let hive = hive.parse()?;
        let key = key.trim_matches('\\');
        if key.is_empty() || key.contains('\0') || name.contains('\0') {
            return Err(
                Error::new(Kind::Malformed, format!("`{key}` is no key of the registry")).help(r"write it as Software\XenRT")
            );
        }
        Ok(RegPlace { hive, key: key.to_string(), name: name.to_string() })
    }
}

impl FromStr for Hive {
    type Err = Error;
    fn from_str(text: &str) -> Result<Hive> {
        match text.to_ascii_uppercase().as_str() {
            "HKLM" | "HKEY_LOCAL_MACHINE" => Ok(Hive::Machine),
            "HKCU" | "HKEY_CURRENT_USER" => Ok(Hive::User),
            _ => Err(Error::new(Kind::Malformed, format!("`{text}` is no hive of the registry")).help("it is HKLM or HKCU")),
        }
    }
}

impl fmt::Display for RegPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r"{}\{}\{}", self.hive.word(), self.key, self.name)
    }
}

/// A value of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegData {
    Dword(u32),
    Text(String),
    /// With variables such as `%TEMP%`.
    Expand(String),
    Texts(Vec<String>),
}

impl RegData {
    /// The type, as the daemon names it.
    pub fn word(&self) -> &'static str {
        match self {
            RegData::Dword(_) => "DWORD",
            RegData::Text(_) => "SZ",
            RegData::Expand(_) => "EXPAND_SZ",
            RegData::Texts(_) => "MULTI_SZ",
        }
    }

    /// As one text.
    pub fn text(&self) -> String {
        match self {
            RegData::Dword(number) => number.to_string(),
            RegData::Text(text) | RegData::Expand(text) => text.clone(),
            RegData::Texts(all) => all.join("\n"),
        }
    }
}

/// A path as one word of a batch file.
///
/// # Errors
/// `Malformed` for what no path of Windows can be.
pub fn quote_path(path: &str) -> Result<String> {
    if path.is_empty() || path.contains(|c: char| c == '"' || c.is_control()) {
        let what = format!("`{}` is no path on Windows", path.escape_debug());
        return Err(Error::new(Kind::Malformed, what).help(r"write it as c:\temp\x"));
    }
    Ok(format!("\"{}\"", path.replace('%', "%%")))
}

/// The bytes of a batch file with this text: lines as Windows ends them, letters in UTF-8, which the shell is told.
pub(crate) fn batch_file(text: &str) -> Vec<u8> {
    let page = if text.is_ascii() { "" } else { "chcp 65001 >nul\n" };
    format!("@echo off\n{page}{text}\n").replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

/// The second of 1970 that a date of WMI means: `20261123001114.500000+060`.
pub fn wmi_date(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, rest) = text.split_once('.')?;
    let sign = rest.find(['+', '-'])?;
    let (part, zone) = rest.split_at(sign);
    let minutes: i64 = zone.parse().ok()?;
    if digits.len() != 14 || !digits.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| digits[from..to].parse::<u32>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let utc = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part}Z");
    let at: crate::time::Timestamp = utc.parse().ok()?;
    Some(at.unix() - minutes as f64 * 60.0)
}

/// The error for what stands in the registry and cannot be handed on.
pub(super) fn odd_type(machine: &str, place: &RegPlace, kind: &str) -> Error {
    Error::new(Kind::Unsupported, format!("`{place}` on {machine} has the type {kind}"))
        .blame(Blame::Author)
        .help("numbers of 32 bits, texts and lists of texts can be read; for others use `exec` with `reg query`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_wmi_are_moments() {
        assert_eq!(wmi_date("19700101000000.000000+000"), Some(0.0));
        assert_eq!(wmi_date("19700101010000.500000+060\r\n"), Some(0.5));
        assert_eq!(wmi_date("19691231230000.000000-060"), Some(0.0));
        for odd in ["", "yesterday", "2026.5+0", "20261399000000.000000+000", "20261123001114.500000"] {
            assert_eq!(wmi_date(odd), None, "{odd}");
        }
    }

    #[test]
    fn paths_become_words_of_batch_files() {
        assert_eq!(quote_path(r"c:\a b\100%.txt").unwrap(), r#""c:\a b\100%%.txt""#);
        for odd in ["", "a\"b", "a\nb", "a\0"] {
            assert_eq!(quote_path(odd).unwrap_err().kind, Kind::Malformed, "{odd:?}");
        }
    }

    #[test]
    fn places_of_the_registry_are_read() {
        let place = RegPlace::new("hklm", r"\Software\XenRT\", "Version").unwrap();
        assert_eq!(place.to_string(), r"HKLM\Software\XenRT\Version");
        for (hive, key) in [("HKCR", "Software"), ("HKLM", ""), ("HKLM", r"\")] {
            assert_eq!(RegPlace::new(hive, key, "x").unwrap_err().kind, Kind::Malformed, "{hive} {key}");
        }
    }
}
