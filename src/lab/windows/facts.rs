//! What a Windows guest is: its registry says most, WMI the rest.

use crate::error::{Blame, Error, Kind, Result};
use crate::lab::facts::{Facts, Skew};
use crate::lab::guest::Guest;
use crate::time::{Cancel, Timestamp};
use crate::wire::windows::{RegPlace, Windows, wmi_date};
use std::collections::BTreeMap;

const VERSION: &str = r"Software\Microsoft\Windows NT\CurrentVersion";
const NAME: &str = r"System\CurrentControlSet\Control\ComputerName\ActiveComputerName";
const ENVIRONMENT: &str = r"System\CurrentControlSet\Control\Session Manager\Environment";

/// What the machine's own environment calls its processors, whatever a program of 32 bits is told.
const ARCHITECTURE: &str = "PROCESSOR_ARCHITECTURE";

/// The objects of WMI among which the first process of a start is the first.
const FIRST_PROCESS: &str = "Win32_Process where name='smss.exe'";

/// Before the second of a start, in the mark of it.
const BOOT: &str = "windows-boot-";

/// How far two looks at the time of one start may be apart, in seconds: Windows corrects it with its clock.
const JITTER: f64 = 8.0;

/// Whether both are marks of the same start of a Windows machine; nothing for marks of another kind.
pub(in crate::lab) fn is_same_boot(one: &str, other: &str) -> Option<bool> {
    let second = |mark: &str| mark.strip_prefix(BOOT)?.parse::<f64>().ok();
    Some((second(one)? - second(other)?).abs() < JITTER)
}

/// The mark of this start: when the first process began. The time of the start, which Windows moves with its clock and with each
/// suspension, only where that is not to be had.
pub(super) fn boot_mark(windows: &dyn Windows, cancel: &Cancel) -> Result<String> {
    let at = match windows.wmi(FIRST_PROCESS, "CreationDate", cancel) {
        Ok(said) => wmi_date(&said),
        Err(error) if matches!(error.kind, Kind::Refused | Kind::NotFound | Kind::Malformed) => None,
        Err(error) => return Err(error),
    };
    let at = at.map_or_else(|| started(windows, cancel), Ok)?;
    Ok(format!("{BOOT}{at:.0}"))
}

/// The second of 1970 at which Windows says that it was started.
fn started(windows: &dyn Windows, cancel: &Cancel) -> Result<f64> {
    let said = windows.wmi("Win32_OperatingSystem", "LastBootUpTime", cancel)?;
    wmi_date(&said).ok_or_else(|| odd(windows, "LastBootUpTime", &said))
}

impl Guest {
    pub(in crate::lab) fn windows_facts(&self, windows: &dyn Windows) -> Result<Facts> {
        let cancel = self.question("facts");
        let value = |key: &str, name: &str| -> Result<Option<String>> {
            match windows.reg_get(&RegPlace::new("HKLM", key, name)?, &cancel) {
                Ok(data) => Ok(Some(data.text())),
                Err(error) if error.kind == Kind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        };
        let build = value(VERSION, "CurrentBuildNumber")?.unwrap_or_default();
        let product = value(VERSION, "ProductName")?.unwrap_or_else(|| "Windows".into());
        let version = version(windows, &cancel)?;
        let memory = windows.wmi("Win32_OperatingSystem", "TotalVisibleMemorySize", &cancel)?;
        let kilobytes: u64 = memory.trim().parse().map_err(|_| odd(windows, "TotalVisibleMemorySize", &memory))?;
        let os_release = [("ID", "windows"), ("NAME", &product), ("VERSION_ID", &version), ("BUILD_ID", &build)];
        Ok(Facts {
            distro: short_name(&product, &build),
            os_release: os_release.map(|(name, value)| (name.to_string(), value.to_string())).into(),
            arch: arch(&value(ENVIRONMENT, ARCHITECTURE)?.unwrap_or_default()),
            kernel: if build.is_empty() { version } else { format!("{version}.{build}") },
            hostname: value(NAME, "ComputerName")?.unwrap_or_default(),
            cpus: value(ENVIRONMENT, "NUMBER_OF_PROCESSORS")?.and_then(|n| n.parse().ok()).unwrap_or(0),
            memory: kilobytes * 1024,
            boot_id: boot_mark(windows, &cancel)?,
            uid: 0,
            inner_ip: None,
        })
    }

    /// The mark that is known of this start stays, as long as it is the same start.
    pub(in crate::lab) fn windows_boot_id(&self, windows: &dyn Windows, cancel: &Cancel) -> Result<String> {
        let mark = boot_mark(windows, cancel)?;
        let known = self.place().known_facts().map(|facts| facts.boot_id.clone());
        Ok(known.filter(|known| is_same_boot(known, &mark) == Some(true)).unwrap_or(mark))
    }

    pub(in crate::lab) fn windows_uptime(&self, windows: &dyn Windows) -> Result<f64> {
        let cancel = self.question("uptime");
        let at = started(windows, &cancel)?;
        Ok((windows.clock(&cancel)? - at).max(0.0))
    }

    /// One look at the clock there.
    pub(in crate::lab) fn windows_skew(&self, windows: &dyn Windows) -> Result<Skew> {
        let cancel = self.question("clock");
        let asked = Timestamp::now();
        let there = windows.clock(&cancel)?;
        let half = Timestamp::now().since(asked).as_secs_f64() / 2.0;
        Ok(Skew { seconds: there - (asked.unix() + half), uncertainty: half })
    }

    /// Major and minor version of Windows: "6.1", "10.0".
    ///
    /// # Errors
    /// `Unsupported` for a guest that runs something else; `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn windows_version(&self) -> Result<String> {
        let windows = self.needs_windows()?;
        self.told("version of Windows", |action| {
            let version = self.heard(version(&*windows, &self.question("version")))?;
            action.says(version.clone());
            Ok(version)
        })
    }
}

impl Guest {
    /// What Windows calls the processors that it runs on: "amd64", "x86", "arm64".
    ///
    /// # Errors
    /// As [`Guest::windows_version`].
    pub fn arch_native(&self) -> Result<String> {
        let windows = self.needs_windows()?;
        self.told("native architecture", |action| {
            let place = RegPlace::new("HKLM", ENVIRONMENT, ARCHITECTURE)?;
            let said = self.heard(windows.reg_get(&place, &self.question("architecture")))?.text().to_lowercase();
            action.says(said.clone());
            Ok(said)
        })
    }

    /// How many processor sockets Windows sees, whatever cores are in each.
    ///
    /// # Errors
    /// As [`Guest::windows_version`].
    pub fn sockets(&self) -> Result<u32> {
        let windows = self.needs_windows()?;
        self.told("count sockets", |action| {
            let said = self.heard(windows.wmi("Win32_ComputerSystem", "NumberOfProcessors", &self.question("sockets")))?;
            let count = said.trim().parse().map_err(|_| odd(&*windows, "NumberOfProcessors", &said))?;
            action.says(format!("{count} sockets"));
            Ok(count)
        })
    }
}

/// What stood in one place up to Windows 8.1 stands in two from Windows 10 on.
fn version(windows: &dyn Windows, cancel: &Cancel) -> Result<String> {
    let value = |name: &str| windows.reg_get(&RegPlace::new("HKLM", VERSION, name)?, cancel).map(|data| data.text());
    match value("CurrentMajorVersionNumber") {
        Ok(major) => Ok(format!("{major}.{}", value("CurrentMinorVersionNumber")?)),
        Err(error) if error.kind == Kind::NotFound => value("CurrentVersion"),
        Err(error) => Err(error),
    }
}

/// As the original names distributions: "ws19", "ws12r2", "win10", "win7".
fn short_name(product: &str, build: &str) -> String {
    let product = product.to_lowercase().replace("(r)", "").replace('\u{ae}', "");
    let words: Vec<&str> = product.split_whitespace().skip_while(|word| *word != "windows").skip(1).collect();
    match words.as_slice() {
        ["server", year, rest @ ..] if year.len() == 4 => {
            let second = if rest.first() == Some(&"r2") { "r2" } else { "" };
            format!("ws{}{second}", &year[2..])
        }
        // Windows 11 calls itself Windows 10 there.
        ["10", ..] if build.parse::<u32>().is_ok_and(|build| build >= 22_000) => "win11".into(),
        [version, ..] if version.starts_with(|c: char| c.is_ascii_digit()) => format!("win{}", version.replace('.', "")),
        _ => "windows".into(),
    }
}

/// As `uname -m` would have it.
fn arch(word: &str) -> String {
    let known: BTreeMap<&str, &str> = [("AMD64", "x86_64"), ("x86", "i686"), ("ARM64", "aarch64")].into();
    known.get(word).map_or_else(|| word.to_lowercase(), ToString::to_string)
}

fn odd(windows: &dyn Windows, what: &str, said: &str) -> Error {
    let said = crate::context::clip(said.trim(), 100);
    Error::new(Kind::Malformed, format!("WMI on {} says `{said}` of {what}", windows.machine())).blame(Blame::Lab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_short_names() {
        for (product, build, name) in [
            ("Windows Server 2019 Standard", "17763", "ws19"),
            ("Windows Server 2012 R2 Datacenter", "9600", "ws12r2"),
            ("Windows Server (R) 2008 Enterprise", "6002", "ws08"),
            ("Windows 7 Professional", "7601", "win7"),
            ("Windows 8.1 Pro", "9600", "win81"),
            ("Windows 10 Pro", "19045", "win10"),
            ("Windows 10 Pro", "22631", "win11"),
            ("Microsoft Windows XP", "2600", "windows"),
            ("", "", "windows"),
        ] {
            assert_eq!(short_name(product, build), name, "{product}");
        }
    }

    #[test]
    fn a_start_keeps_its_mark_when_the_clock_is_set() {
        assert_eq!(is_same_boot("windows-boot-100", "windows-boot-103"), Some(true));
        assert_eq!(is_same_boot("windows-boot-100", "windows-boot-160"), Some(false));
        assert_eq!(is_same_boot("windows-boot-100", "3a1b"), None);
    }
}
