//! A machine's files as they are seen from inside, for SFTP: every path is resolved below the machine's root, links included.

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, Stat, Timestamps};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The root of a machine's files.
pub(super) struct View {
    root: OwnedFd,
    /// What else is seen in the root, by name.
    others: Vec<(&'static str, OwnedFd)>,
    /// How the root is called outside, where paths may be given in that form.
    outer: Option<PathBuf>,
}

impl View {
    /// # Errors
    /// The directory is not there, or not ours.
    pub fn open(root: &Path) -> io::Result<View> {
        Ok(View { root: open_root(root)?, others: Vec::new(), outer: None })
    }

    /// Shows another directory under this name in the root.
    ///
    /// # Errors
    /// The directory is not there, or not ours.
    pub fn put(&mut self, name: &'static str, dir: &Path) -> io::Result<()> {
        self.others.push((name, open_root(dir)?));
        Ok(())
    }

    /// Takes a path that begins with the root's own one outside as one inside.
    pub fn accept_outer(&mut self, root: &Path) {
        self.outer = Some(root.to_path_buf());
    }

    /// # Errors
    /// As the kernel has them.
    pub fn open_file(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
        // A FIFO without a partner would hold everybody up.
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        Ok(self.resolve(path, flags, mode)?.into())
    }

    /// # Errors
    /// As the kernel has them.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        let file = self.resolve(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fstat(file)?)
    }

    /// The link itself, if it is one.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn lstat(&self, path: &Path) -> io::Result<Stat> {
        let file = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fstat(file)?)
    }

    /// The entries of a directory, without `.` and `..`.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn list(&self, path: &Path) -> io::Result<Vec<(OsString, Stat)>> {
        let dir = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&dir)? {
            let name = entry?.file_name().to_owned();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // It may have gone in between.
            if let Ok(stat) = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                found.push((OsString::from_vec(name.into_bytes()), stat));
            }
        }
        Ok(found)
    }

    /// # Errors
    /// As the kernel has them.
    pub fn make_dir(&self, path: &Path, mode: Mode) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(dir, name, mode)?)
    }

    /// Removes a file, or an empty directory.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn remove(&self, path: &Path, is_dir: bool) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(dir, name, if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() })?)
    }

    /// Renames; `replace` says whether something may stand there already.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        if !replace && self.lstat(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ((from_dir, from_name), (to_dir, to_name)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(from_dir, from_name, to_dir, to_name)?)
    }

    /// # Errors
    /// As the kernel has them.
    pub fn make_link(&self, link: &Path, target: &str) -> io::Result<()> {
        let (dir, name) = self.parent(link)?;
        Ok(rustix::fs::symlinkat(target, dir, name)?)
    }

    /// # Errors
    /// As the kernel has them.
    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let (dir, name) = self.parent(path)?;
        let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// # Errors
    /// As the kernel has them.
    pub fn set(&self, path: &Path, change: &Change) -> io::Result<()> {
        let writes = change.size.is_some();
        let flags = if writes { OFlags::WRONLY } else { OFlags::RDONLY };
        let file = self.open_file(path, flags, Mode::empty())?;
        change.apply(&file)
    }

    fn resolve(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        // The mode is only allowed where a file may be made.
        let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = self.outer.as_deref().and_then(|outer| path.strip_prefix(outer).ok()).unwrap_or(path);
        let first = path.components().find_map(|c| if let Component::Normal(name) = c { Some(name) } else { None });
        let other = self.others.iter().find(|(name, _)| first.is_some_and(|first| first == *name));
        let (root, path) = match other {
            Some((name, root)) => (root, path.strip_prefix("/").unwrap_or(path).strip_prefix(name).unwrap_or(path)),
            None => (&self.root, path),
        };
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(rustix::fs::openat2(root, path, flags, mode, how)?)
    }

    /// The directory that holds a path, and its name there.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, OsString)> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = path.parent().unwrap_or_else(|| Path::new("/"));
        Ok((self.resolve(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?, name.to_owned()))
    }
}

fn open_root(dir: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// What is to be changed of a file.
#[derive(Default)]
pub(super) struct Change {
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub owner: Option<(u32, u32)>,
    /// Seconds since 1970: last use, last change.
    pub times: Option<(u32, u32)>,
}

impl Change {
    /// # Errors
    /// As the kernel has them.
    pub fn apply(&self, file: impl AsFd) -> io::Result<()> {
        if let Some(size) = self.size {
            rustix::fs::ftruncate(&file, size)?;
        }
        if let Some(mode) = self.mode {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        }
        if let Some((user, group)) = self.owner {
            let (user, group) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(group));
            rustix::fs::fchown(&file, Some(user), Some(group))?;
        }
        if let Some((used, changed)) = self.times {
            let time = |seconds: u32| rustix::fs::Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
            rustix::fs::futimens(&file, &Timestamps { last_access: time(used), last_modification: time(changed) })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn no_path_leaves_the_root() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "outside").unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("secret"), "inside").unwrap();
        std::os::unix::fs::symlink("../../../../secret", root.join("etc/up")).unwrap();
        std::os::unix::fs::symlink("/secret", root.join("etc/absolute")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("out")).unwrap();
        let view = View::open(&root).unwrap();
        for path in ["secret", "/secret", "../secret", "/../../secret", "etc/up", "/etc/absolute", "etc/../../secret"] {
            let mut text = String::new();
            view.open_file(Path::new(path), OFlags::RDONLY, Mode::empty()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{path}");
        }
        assert_eq!(view.stat(Path::new("/out/secret")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut new = view.open_file(Path::new("/../new"), OFlags::WRONLY | OFlags::CREATE, Mode::from_raw_mode(0o600)).unwrap();
        new.write_all(b"x").unwrap();
        assert!(root.join("new").exists() && !outside.path().join("new").exists());
        view.make_dir(Path::new("../d"), Mode::from_raw_mode(0o755)).unwrap();
        view.rename(Path::new("/new"), Path::new("/../d/new"), false).unwrap();
        assert!(root.join("d/new").exists());
        assert!(view.remove(Path::new("/.."), true).is_err());
    }
}
