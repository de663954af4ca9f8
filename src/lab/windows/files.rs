//! Files of a Windows guest, where it takes more than the transport's own verbs.

use crate::error::{Error, Kind, Result};
use crate::lab::guest::Guest;
use crate::lab::wait::Patience;
use crate::wire::Command;
use crate::wire::windows::{Windows, quote_path};

/// What temporary directories begin with.
const TEMP: &str = "xenrt.";

/// Whether a path is written as Windows has it: `c:\temp`, `c:/temp`, `\\server\share`.
pub(in crate::lab) fn is_windows_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic()) || path.starts_with(r"\\")
}

impl Guest {
    pub(in crate::lab) fn windows_temp_dir(&self, windows: &dyn Windows) -> Result<String> {
        let path = self.heard(windows.temp_dir(TEMP, &self.question("temporary directory")))?;
        if !path.contains(TEMP) || !is_windows_path(&path) {
            let what = format!("a temporary directory on {} is said to be `{path}`", self.name());
            return Err(Error::new(Kind::Internal, what).blame(crate::error::Blame::Lab));
        }
        Ok(path)
    }

    pub(in crate::lab) fn windows_sha256(&self, path: &str) -> Result<String> {
        let command = format!("certutil -hashfile {} SHA256", quote_path(path)?);
        if self.stat(path)?.is_none() {
            return Err(Error::new(Kind::NotFound, format!("no `{path}` on {}", self.name())));
        }
        let output = self.run_any(&Command::new(&command, self.patience(Patience::COPY).limit))?;
        let said = output.stdout.text();
        // Older ones put a blank between two digits and the next.
        let sum = said
            .lines()
            .map(|line| line.replace([' ', '\r'], "").to_lowercase())
            .find(|line| line.len() == 64 && line.chars().all(|c| c.is_ascii_hexdigit()));
        sum.filter(|_| output.is_success()).ok_or_else(|| self.refused(&command, &output))
    }

    /// Adds to a file as it is added to everywhere: by a part that is written beside it.
    pub(in crate::lab) fn windows_append(&self, path: &str, data: &[u8]) -> Result<()> {
        let limit = self.limit(&format!("writing of `{path}`"), Patience::COPY);
        let transport = self.place().transport();
        if self.stat(path)?.is_none() {
            return self.heard(transport.write_file(path, data, 0o644, &limit));
        }
        let part = format!("{path}.xrt-part");
        let (whole, quoted) = (quote_path(path)?, quote_path(&part)?);
        self.heard(transport.write_file(&part, data, 0o644, &limit))?;
        let command = format!("copy /b /y {whole}+{quoted} {whole}");
        let output = self.run_any(&Command::new(&command, self.patience(Patience::COPY).limit));
        if let Some(windows) = self.windows()? {
            self.heard(windows.remove_file(&part, &limit))?;
        }
        let output = output?;
        if output.is_success() { Ok(()) } else { Err(self.refused(&command, &output)) }
    }
}

/// Why a tree is not removed, if it must not be.
pub(in crate::lab) fn why_not_removed(path: &str) -> Option<&'static str> {
    if !is_windows_path(path) {
        return Some(r"it is no whole path: it begins with a drive, as in c:\temp\x");
    }
    let slashed = path.to_lowercase().replace('\\', "/");
    let below: Vec<&str> = slashed.split('/').skip(1).filter(|p| !p.is_empty() && *p != ".").collect();
    match below.as_slice() {
        [] => Some("it is a whole drive"),
        _ if below.contains(&"..") => Some("`..` in it may lead anywhere"),
        ["windows" | "program files" | "program files (x86)" | "programdata" | "users"] => Some("it is a directory of the system"),
        ["windows", "system32" | "syswow64" | "winsxs"] | ["users", _] => Some("it is a directory of the system"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_windows_needs_is_not_removed() {
        for path in
            ["", "x", r"c:", r"c:\", r"C:\Windows", r"c:/windows/", r"c:\windows\System32", r"c:\users\x", r"c:\temp\..\windows"]
        {
            assert!(why_not_removed(path).is_some(), "{path}");
        }
        for path in [r"c:\temp\x", r"c:\x", "d:/scratch", r"c:\windows\temp\x", r"c:\users\x\desktop\y"] {
            assert_eq!(why_not_removed(path), None, "{path}");
        }
    }
}
