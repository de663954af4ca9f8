//! Files of a guest: reading, writing, copying one by one, finding, removing.

use super::command::{quote_path, quote_pattern};
use super::guest::Guest;
use super::wait::Patience;
use super::windows::is_windows_path;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::unit::show_size;
use crate::wire::{Command, Entry, EntryKind};
use std::path::{Component, Path, PathBuf};

/// The largest file that is read into memory.
const LARGEST_READ: u64 = 64 << 20;

/// Permission bits of a written file when nobody says otherwise.
pub const USUAL_MODE: u32 = 0o644;

impl Guest {
    /// Reads a text file. Bytes that are not UTF-8 become the replacement character.
    ///
    /// # Errors
    /// `NotFound`, `Refused`, `Malformed` (larger than 64 MiB), `Unreachable`, `Timeout`, `Cancelled`.
    pub fn read_file(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read_bytes(path)?).into_owned())
    }

    /// Reads a file as it is.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn read_bytes(&self, path: &str) -> Result<Vec<u8>> {
        self.told(&format!("read {path}"), |action| {
            let limit = self.limit(&format!("reading of `{path}`"), Patience::COPY);
            let data = self.heard(self.place().transport().read_file(path, LARGEST_READ, &limit))?;
            action.says(show_size(data.len() as u64));
            Ok(data)
        })
    }

    /// Writes a file, whatever was there before.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn write_file(&self, path: &str, data: &[u8], mode: u32) -> Result<()> {
        self.told(&format!("write {path}"), |action| {
            let limit = self.limit(&format!("writing of `{path}`"), Patience::COPY);
            self.heard(self.place().transport().write_file(path, data, mode, &limit))?;
            action.says(show_size(data.len() as u64));
            Ok(())
        })
    }

    /// Adds to the end of a file, which is made when it is not there.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn append_file(&self, path: &str, data: &[u8]) -> Result<()> {
        let script = format!("cat >> {}", quote_path(path)?);
        self.told(&format!("append to {path}"), |action| {
            if self.is_windows()? {
                self.windows_append(path, data)?;
            } else {
                let mut command = Command::new(&script, self.patience(Patience::COPY).limit);
                command.stdin = data.to_vec();
                let output = self.run(&command)?;
                if !output.is_success() {
                    return Err(self.refused(&script, &output));
                }
            }
            action.says(show_size(data.len() as u64));
            Ok(())
        })
    }

    /// Copies a file of this machine there. Into a directory (or a path that ends in `/`) it goes under its own name. A relative
    /// `local` is looked for in the testcase's directory first, then where the program was started.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn send_file(&self, local: &Path, remote: &str) -> Result<()> {
        let local = self.local_source(local)?;
        if local.is_dir() {
            return Err(Error::new(Kind::Malformed, format!("`{}` is a directory", local.display())).help("use `send_tree`"));
        }
        let name = local.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        self.told(&format!("send {} to {remote}", local.display()), |action| {
            let limit = self.limit(&format!("copying to `{remote}`"), Patience::COPY);
            let transport = self.place().transport();
            let is_dir = remote.ends_with(['/', '\\']) || self.heard(transport.stat(remote, &limit))?.is_some_and(|e| is_dir(&e));
            let target = if is_dir { join(&[remote, &name]) } else { remote.to_string() };
            let bytes = self.heard(transport.send(&local, &target, &limit))?;
            action.says(show_size(bytes));
            Ok(())
        })
    }

    /// Copies a file from there into the testcase's directory (or to an absolute path); returns where it is.
    ///
    /// # Errors
    /// As [`Guest::read_file`]; `Malformed` for a name that leads out of the testcase's directory.
    pub fn fetch_file(&self, remote: &str, local: &str) -> Result<PathBuf> {
        let target = self.local_file(local)?;
        self.told(&format!("fetch {remote}"), |action| {
            let limit = self.limit(&format!("copying of `{remote}`"), Patience::COPY);
            let bytes = self.heard(self.place().transport().fetch(remote, &target, &limit))?;
            action.says(show_size(bytes));
            Ok(())
        })?;
        self.context().attach(&target);
        Ok(target)
    }

    /// Whether there is a file (or a link to one, a device, a socket) at the path.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn file_exists(&self, path: &str) -> Result<bool> {
        self.stands(path, "a file", |entry| !is_dir(entry))
    }

    /// Whether there is a directory at the path.
    ///
    /// # Errors
    /// As [`Guest::file_exists`].
    pub fn dir_exists(&self, path: &str) -> Result<bool> {
        self.stands(path, "a directory", is_dir)
    }

    fn stands(&self, path: &str, what: &str, holds: impl Fn(&Entry) -> bool) -> Result<bool> {
        self.told(&format!("is {path} {what}?"), |action| {
            let found = self.stat(path)?.as_ref().is_some_and(holds);
            action.says(if found { "yes" } else { "no" });
            Ok(found)
        })
    }

    pub(super) fn stat(&self, path: &str) -> Result<Option<Entry>> {
        let limit = self.limit(&format!("look at `{path}`"), Patience::QUESTION);
        self.heard(self.place().transport().stat(path, &limit))
    }

    /// When a file was last changed, in seconds since 1970 by the guest's clock.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn file_mtime(&self, path: &str) -> Result<u64> {
        self.told(&format!("time of {path}"), |_| {
            let entry = self.stat(path)?;
            entry.map(|e| e.modified).ok_or_else(|| self.nothing_at(path))
        })
    }

    /// The SHA-1 of a file, in hexadecimal digits.
    ///
    /// # Errors
    /// As [`Guest::read_file`]; `Unsupported` where the guest has no tool for it.
    pub fn file_sha1(&self, path: &str) -> Result<String> {
        if let Some(windows) = self.windows()? {
            let limit = self.limit(&format!("sha1 of `{path}`"), Patience::COPY);
            return self.told(&format!("sha1 of {path}"), |_| self.heard(windows.sha1(path, &limit)));
        }
        self.checksum(path, "sha1", 40)
    }

    /// The SHA-256 of a file, in hexadecimal digits.
    ///
    /// # Errors
    /// As [`Guest::file_sha1`].
    pub fn file_sha256(&self, path: &str) -> Result<String> {
        if self.is_windows()? {
            return self.told(&format!("sha256 of {path}"), |_| self.windows_sha256(path));
        }
        self.checksum(path, "sha256", 64)
    }

    fn checksum(&self, path: &str, kind: &str, digits: usize) -> Result<String> {
        let script = format!(
            "f={}; [ -e \"$f\" ] || exit 44; {kind}sum <\"$f\" 2>/dev/null || openssl {kind} -r <\"$f\" 2>/dev/null || exit 45",
            quote_path(path)?
        );
        self.told(&format!("{kind} of {path}"), |_| {
            let output = self.run(&Command::new(&script, self.patience(Patience::COPY).limit))?;
            let sum = output.stdout.text().split_whitespace().next().unwrap_or_default().to_lowercase();
            if output.is_success() && sum.len() == digits && sum.chars().all(|c| c.is_ascii_hexdigit()) {
                return Ok(sum);
            }
            match output.status {
                crate::wire::Status::Exited(44) => Err(self.nothing_at(path)),
                crate::wire::Status::Exited(45) => Err(Error::new(
                    Kind::Unsupported,
                    format!("{} cannot give the {kind} of `{path}`: `{kind}sum` and `openssl` failed", self.name()),
                )
                .blame(Blame::Lab)),
                _ => Err(self.refused(&script, &output)),
            }
        })
    }

    /// Removes a file; it is no error when there is none.
    ///
    /// # Errors
    /// `Refused` (a directory, a permission), `Unreachable`, `Timeout`, `Cancelled`.
    pub fn remove_file(&self, path: &str) -> Result<()> {
        let script = format!("rm -f {}", quote_path(path)?);
        self.told(&format!("remove {path}"), |_| match self.windows()? {
            Some(windows) => self.heard(windows.remove_file(path, &self.limit("removal", Patience::QUESTION))),
            None => self.answer(&script).map(drop),
        })
    }

    /// Makes a directory and those above it; it may exist already.
    ///
    /// # Errors
    /// As [`Guest::read_file`].
    pub fn make_dir(&self, path: &str) -> Result<()> {
        self.told(&format!("make directory {path}"), |_| {
            let limit = self.limit(&format!("making of `{path}`"), Patience::QUESTION);
            self.heard(self.place().transport().make_dir(path, &limit))
        })
    }

    /// Makes an empty directory that is removed at the testcase's end.
    ///
    /// # Errors
    /// `Refused`, `Unreachable`, `Timeout`, `Cancelled`.
    pub fn temp_dir(&self) -> Result<String> {
        self.told("make a temporary directory", |action| {
            let path = match self.windows()? {
                Some(windows) => self.windows_temp_dir(&*windows)?,
                None => self.posix_temp_dir()?,
            };
            self.held().temp_dirs.push(path.clone());
            action.says(path.clone());
            Ok(path)
        })
    }

    fn posix_temp_dir(&self) -> Result<String> {
        let path = self.answer("mktemp -d \"${TMPDIR:-/tmp}/xenrt.XXXXXX\"")?;
        if !path.contains("/xenrt.") || path.contains('\n') {
            return Err(Error::new(Kind::Internal, format!("`mktemp` on {} said `{path}`", self.name())).blame(Blame::Lab));
        }
        Ok(path)
    }

    /// The paths that match a pattern with `*`, `?` and `[…]`, sorted. None is an empty list.
    ///
    /// # Errors
    /// `Malformed` (an empty pattern), `Unreachable`, `Timeout`, `Cancelled`.
    pub fn glob(&self, pattern: &str) -> Result<Vec<String>> {
        let script = format!(
            "for f in {}; do if [ -e \"$f\" ] || [ -L \"$f\" ]; then printf '%s\\0' \"$f\"; fi; done",
            quote_pattern(pattern)?
        );
        self.told(&format!("glob {pattern}"), |action| {
            if let Some(windows) = self.windows()? {
                let mut found = self.heard(windows.glob(pattern, &self.limit("search", Patience::QUESTION)))?;
                found.sort();
                action.says(format!("{} found", found.len()));
                return Ok(found);
            }
            let output = self.ask(&script)?;
            if !output.is_success() {
                return Err(self.refused(&script, &output));
            }
            if output.stdout.is_cut() {
                return Err(Error::new(Kind::Malformed, format!("too many files match `{pattern}` on {}", self.name()))
                    .help("use a narrower pattern"));
            }
            let bytes = output.stdout.bytes();
            let names = bytes.split(|b| *b == 0).filter(|n| !n.is_empty());
            let mut found: Vec<String> = names.map(|n| String::from_utf8_lossy(n).into_owned()).collect();
            found.sort();
            action.says(format!("{} found", found.len()));
            Ok(found)
        })
    }

    /// Joins parts of a path with the guest's separator: that of Windows where the first part is a path of it.
    pub fn path(&self, parts: &[&str]) -> String {
        join(parts)
    }

    /// A flag for a copy: the testcase's, with a limit of its own.
    pub(super) fn limit(&self, whose: &str, usual: Patience) -> Cancel {
        self.context().cancel().child_with_limit(&format!("{whose} on {}", self.name()), self.patience(usual).limit)
    }

    fn nothing_at(&self, path: &str) -> Error {
        Error::new(Kind::NotFound, format!("no `{path}` on {}", self.name()))
    }

    /// Where a file for the testcase goes: an absolute path as it is, a name below the testcase's directory, which is made.
    pub(super) fn local_file(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(name);
        if path.is_absolute() {
            return Ok(path.to_path_buf());
        }
        let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
        if name.is_empty() || name.ends_with('/') || !plain {
            return Err(Error::new(Kind::Malformed, format!("`{name}` is not a name for a file of the testcase"))
                .help("use a name such as fio.json or logs/fio.json: it is put below the testcase's directory"));
        }
        self.context().file(name)
    }

    pub(super) fn local_source(&self, path: &Path) -> Result<PathBuf> {
        let in_case = self.context().dir().join(path);
        let found = [in_case.as_path(), path].into_iter().find(|p| p.exists()).map(Path::to_path_buf);
        found.ok_or_else(|| {
            let places = if path.is_absolute() { String::new() } else { format!(" (nor `{}`)", in_case.display()) };
            Error::new(Kind::NotFound, format!("no `{}` on this machine{places}", path.display()))
        })
    }
}

pub(super) fn is_dir(entry: &Entry) -> bool {
    entry.kind == EntryKind::Directory
}

/// Parts of a path as one path: one separator between two parts.
pub(super) fn join(parts: &[&str]) -> String {
    let mut path = String::new();
    let is_windows = parts.iter().find(|p| !p.is_empty()).is_some_and(|first| is_windows_path(first));
    let (separator, known): (char, &[char]) = if is_windows { ('\\', &['\\', '/']) } else { ('/', &['/']) };
    for part in parts.iter().filter(|p| !p.is_empty()) {
        let part = if path.is_empty() { part } else { part.trim_start_matches(known) };
        if !path.is_empty() && !path.ends_with(known) {
            path.push(separator);
        }
        path.push_str(part);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_one_separator() {
        for (parts, path) in [
            (&["/tmp", "a"][..], "/tmp/a"),
            (&["/tmp/", "/a/", "b"], "/tmp/a/b"),
            (&["/"], "/"),
            (&["/", "etc"], "/etc"),
            (&["a", "", "b"], "a/b"),
            (&[], ""),
            (&[r"c:\temp", "a", r"b\c"], r"c:\temp\a\b\c"),
            (&["c:/", "/a"], "c:/a"),
            (&[r"\\server\share\", "a"], r"\\server\share\a"),
        ] {
            assert_eq!(join(parts), path);
        }
    }
}
