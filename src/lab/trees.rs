//! Whole directories of a guest: sent, fetched and removed.
//!
//! Names that come from a guest are not trusted: none leads out of the directory that it was to go into, and links are not
//! followed.

use super::command::{quote, quote_path};
use super::files::join;
use super::guest::Guest;
use super::wait::Patience;
use super::windows;
use crate::context::Action;
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use crate::unit::show_size;
use crate::wire::{Entry, EntryKind};
use std::path::{Path, PathBuf};

/// The deepest tree that is copied: a loop of mounts is deeper.
const DEEPEST: usize = 64;

/// A copy of a tree under way, and what it came to so far.
struct Copy<'a> {
    guest: &'a Guest,
    action: &'a Action<'a>,
    limit: Cancel,
    files: u64,
    bytes: u64,
    /// Links, devices and the like, which are not copied.
    left: u64,
}

impl Guest {
    /// Copies what is in a directory of this machine into a directory there, which is made.
    ///
    /// # Errors
    /// As `read_file`; the first one ends the copy.
    pub fn send_tree(&self, local: &Path, remote: &str) -> Result<()> {
        let local = self.local_source(local)?;
        if !local.is_dir() {
            return Err(Error::new(Kind::Malformed, format!("`{}` is no directory", local.display())).help("use `send_file`"));
        }
        quote_path(remote)?;
        self.told(&format!("send the tree {} to {remote}", local.display()), |action| {
            Copy::start(self, action, remote, |copy| copy.send(&local, remote))
        })
    }

    /// Copies what is in a directory there into one below the testcase's directory (or at an absolute path); returns where.
    ///
    /// # Errors
    /// As `read_file`; `Malformed` for a name from there that leads elsewhere.
    pub fn fetch_tree(&self, remote: &str, local: &str) -> Result<PathBuf> {
        let target = self.local_file(local.trim_end_matches('/'))?;
        self.told(&format!("fetch the tree {remote}"), |action| {
            Copy::start(self, action, remote, |copy| copy.fetch(remote, &target, 0))
        })?;
        self.context().attach(&target);
        Ok(target)
    }

    /// Removes a directory with all that is in it; it is no error when there is none.
    ///
    /// # Errors
    /// `Malformed` for the root, a directory of the system, or a path with `..`; `Refused`, `Unreachable`, `Timeout`, `Cancelled`.
    pub fn remove_tree(&self, path: &str) -> Result<()> {
        let windows = self.windows()?;
        let why = if windows.is_some() { windows::why_not_removed(path) } else { why_not_removed(path) };
        if let Some(why) = why {
            return Err(Error::new(Kind::Malformed, format!("`{path}` is not removed from {}: {why}", self.name()))
                .help("name the directory below it that is meant"));
        }
        let script = format!("rm -rf {}", quote(path)?);
        self.told(&format!("remove the tree {path}"), |_| {
            if let Some(windows) = windows {
                return self.heard(windows.remove_tree(path, &self.limit("removal", Patience::COPY)));
            }
            let output = self.run(&crate::wire::Command::new(&script, self.patience(Patience::COPY).limit))?;
            if output.is_success() { Ok(()) } else { Err(self.refused(&script, &output)) }
        })
    }
}

impl<'a> Copy<'a> {
    fn start(guest: &'a Guest, action: &'a Action<'a>, remote: &str, work: impl FnOnce(&mut Copy<'a>) -> Result<()>) -> Result<()> {
        let limit = guest.limit(&format!("copying of `{remote}`"), Patience::COPY);
        let mut copy = Copy { guest, action, limit, files: 0, bytes: 0, left: 0 };
        work(&mut copy)?;
        action.says(copy.to_string());
        Ok(())
    }

    fn send(&mut self, local: &Path, remote: &str) -> Result<()> {
        let transport = self.guest.place().transport();
        for entry in walkdir::WalkDir::new(local).sort_by_file_name() {
            let entry = entry.map_err(std::io::Error::from).at(format_args!("read the tree `{}`", local.display()))?;
            let below = entry.path().strip_prefix(local).unwrap_or(entry.path());
            let Some(name) = below.to_str() else {
                let what = format!("the name of `{}` is not UTF-8: it cannot be sent", below.display());
                return Err(Error::new(Kind::Malformed, what));
            };
            let target = join(&[remote, name]);
            if entry.file_type().is_dir() {
                self.guest.heard(transport.make_dir(&target, &self.limit))?;
            } else if entry.file_type().is_file() {
                let bytes = self.guest.heard(transport.send(entry.path(), &target, &self.limit))?;
                self.add(bytes);
            } else {
                self.left += 1;
            }
        }
        Ok(())
    }

    fn fetch(&mut self, remote: &str, local: &Path, depth: usize) -> Result<()> {
        let name = self.guest.name();
        if depth > DEEPEST {
            return Err(Error::new(Kind::Malformed, format!("`{remote}` on {name} is nested too deep")));
        }
        let transport = self.guest.place().transport();
        let entries = self.guest.heard(transport.list(remote, &self.limit))?;
        std::fs::create_dir_all(local).at(format_args!("make the directory `{}`", local.display()))?;
        for entry in entries {
            let Some(own) = safe_name(&entry) else {
                let what = format!("`{}` in `{remote}` on {name} is no name for a file", entry.name);
                return Err(Error::new(Kind::Malformed, what));
            };
            let (from, to) = (join(&[remote, own]), local.join(own));
            match entry.kind {
                EntryKind::Directory => self.fetch(&from, &to, depth + 1)?,
                EntryKind::File => {
                    let bytes = self.guest.heard(transport.fetch(&from, &to, &self.limit))?;
                    self.add(bytes);
                }
                EntryKind::Link | EntryKind::Other => self.left += 1,
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
        if self.files.is_multiple_of(100) {
            self.action.progress(self.to_string(), None);
        }
    }
}

impl std::fmt::Display for Copy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files, {}", self.files, show_size(self.bytes))?;
        if self.left > 0 {
            write!(f, ", {} links or devices left out", self.left)?;
        }
        Ok(())
    }
}

/// The name of an entry, where it is one that stays in its directory.
fn safe_name(entry: &Entry) -> Option<&str> {
    let name = entry.name.as_str();
    let hostile = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    (!hostile).then_some(name)
}

/// Directories that no testcase may remove as a whole.
const SYSTEM: &[&str] = &[
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv",
    "sys", "tmp", "usr", "var",
];

fn why_not_removed(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    match parts.as_slice() {
        [] => Some("it is the root, the working directory, or nothing"),
        _ if parts.contains(&"..") => Some("`..` in it may lead anywhere"),
        [first, ..] if first.starts_with(['-', '~']) && !path.starts_with('/') => Some("it does not begin like a path"),
        [only] if path.starts_with('/') && SYSTEM.contains(only) => Some("it is a directory of the system"),
        ["usr" | "var" | "home", _] if path.starts_with('/') => Some("it is a directory of the system"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_needs_is_not_removed() {
        for path in [
            "",
            "/",
            "//",
            "/.",
            ".",
            "./",
            "..",
            "/tmp/..",
            "/tmp/../etc",
            "/etc",
            "/etc/",
            "//usr",
            "/usr/lib",
            "/var/log",
            "-rf",
            "~",
        ] {
            assert!(why_not_removed(path).is_some(), "{path}");
        }
        for path in ["/tmp/x", "/scratch", "/root/x", "work", "./work", "/var/tmp/x", "/tmp/a..b", "/etc/xenrt.d"] {
            assert_eq!(why_not_removed(path), None, "{path}");
        }
    }

    #[test]
    fn a_hostile_name_is_none() {
        let entry = |name: &str| Entry { name: name.into(), kind: EntryKind::File, size: 0, mode: 0, modified: 0 };
        for name in ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\0b"] {
            assert_eq!(safe_name(&entry(name)), None, "{name}");
        }
        for name in ["a", "...", "-rf", "a b", "a\nb"] {
            assert_eq!(safe_name(&entry(name)), Some(name));
        }
    }
}
