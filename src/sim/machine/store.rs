//! What is on the virtual disks: a directory for each that was ever used, and nothing for the others.
//!
//! A disk holds a system or a file system (`tree/`: the files on it) or plain bytes (`image`: sparse). The hypervisor says when a disk is
//! copied, and everything on it is copied with it.

use rustix::fs::{AtFlags, Mode, SeekFrom};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The contents of all disks of a simulator.
#[derive(Clone)]
pub(super) struct Store {
    base: PathBuf,
    /// The directory of each disk that was asked for. A disk that gets another name keeps it, so that whoever uses it goes on.
    dirs: Arc<Mutex<Dirs>>,
}

#[derive(Default)]
struct Dirs {
    by_disk: HashMap<String, PathBuf>,
    /// How many were ever given out.
    count: u64,
}

impl Store {
    /// # Errors
    /// The directory cannot be made.
    pub fn new(base: PathBuf) -> io::Result<Store> {
        fs::create_dir_all(&base)?;
        Ok(Store { base, dirs: Arc::default() })
    }

    /// Where everything is kept.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The files on a disk, whether there are any yet or not.
    pub fn tree(&self, disk: &str) -> PathBuf {
        self.dir(disk).join("tree")
    }

    /// The plain bytes of a disk.
    pub fn image(&self, disk: &str) -> PathBuf {
        self.dir(disk).join("image")
    }

    /// Makes a disk the same as another. Nothing is done for one that was never used.
    ///
    /// # Errors
    /// No room, or the like.
    pub fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        let target = self.dir(to);
        remove(&target)?;
        let source = self.dir(from);
        if !source.exists() {
            return Ok(());
        }
        copy_tree(&source, &target)
    }

    /// Gives a disk another name: where its files are in use they stay so, and what stood under the new name goes.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        remove(&self.dir(to))?;
        let dir = self.dir(from);
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.by_disk.remove(from);
        dirs.by_disk.insert(to.to_string(), dir);
        Ok(())
    }

    /// # Errors
    /// A file cannot be removed.
    pub fn forget(&self, disk: &str) -> io::Result<()> {
        remove(&self.dir(disk))?;
        self.dirs.lock().unwrap_or_else(PoisonError::into_inner).by_disk.remove(disk);
        Ok(())
    }

    /// The bytes that a disk takes here.
    pub fn used(&self, disk: &str) -> u64 {
        used(&self.dir(disk))
    }

    pub fn dir(&self, disk: &str) -> PathBuf {
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = dirs.by_disk.get(disk) {
            return dir.clone();
        }
        dirs.count += 1;
        // Identifiers come from the simulator, but an import may have brought them from anywhere.
        let plain: String = disk.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let dir = self.base.join(format!("{}-{plain}", dirs.count));
        dirs.by_disk.insert(disk.to_string(), dir.clone());
        dir
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn used(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.blocks() * 512;
    }
    fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| used(&entry.path())).sum())
}

/// Copies a tree with its links, modes, times and (for root) owners. A file that goes away meanwhile is left out, as the machine that
/// owns the tree may run.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let kind = meta.file_type();
    if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    } else if kind.is_file() {
        copy_file(from, to)?;
        fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    } else {
        // Sockets and FIFOs have no content.
        return Ok(());
    }
    keep(&meta, to)
}

fn keep(meta: &fs::Metadata, to: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() && (meta.uid() != 0 || meta.gid() != 0) {
        std::os::unix::fs::lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    }
    let time = |tv_sec, nanoseconds: i64| rustix::fs::Timespec { tv_sec, tv_nsec: nanoseconds };
    let times = rustix::fs::Timestamps {
        last_access: time(meta.atime(), meta.atime_nsec()),
        last_modification: time(meta.mtime(), meta.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Copies a file; its holes stay holes. Where the file system can, the blocks are shared.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let target = File::create(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let length = source.metadata()?.len();
    target.set_len(length)?;
    for (start, end) in pieces(&source, length)? {
        copy_piece(&source, &target, start, end)?;
    }
    Ok(())
}

/// The parts of a file that hold something, as (start, end).
pub(super) fn pieces(file: impl AsFd, length: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole to its end.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?.min(length);
        found.push((start, end));
        at = end;
    }
    Ok(found)
}

fn copy_piece(source: &File, target: &File, mut start: u64, end: u64) -> io::Result<()> {
    while start < end {
        let want = usize::try_from(end - start).unwrap_or(usize::MAX).min(1 << 30);
        let (mut from, mut to) = (start, start);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), want) {
            Ok(0) => return Ok(()),
            Ok(copied) => start += copied as u64,
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                return copy_by_hand(source, target, start, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(source: &File, target: &File, mut start: u64, end: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; 256 << 10];
    while start < end {
        let want = usize::try_from(end - start).unwrap_or(usize::MAX).min(buffer.len());
        let read = source.read_at(&mut buffer[..want], start)?;
        if read == 0 {
            return Ok(());
        }
        target.write_all_at(&buffer[..read], start)?;
        start += read as u64;
    }
    Ok(())
}

/// Makes a FIFO, if it is not there.
pub(super) fn make_fifo(path: &Path) -> io::Result<()> {
    match rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::from_raw_mode(0o600)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_copy_has_everything_and_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_path_buf()).unwrap();
        let tree = store.tree("a");
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("sub/file"), "one").unwrap();
        fs::set_permissions(tree.join("sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("/nowhere", tree.join("link")).unwrap();
        let image = File::create(store.image("a")).unwrap();
        image.set_len(64 << 20).unwrap();
        image.write_all_at(b"middle", 32 << 20).unwrap();
        store.copy("a", "b").unwrap();
        fs::write(tree.join("sub/file"), "two").unwrap();
        let copy = store.tree("b");
        assert_eq!(fs::read_to_string(copy.join("sub/file")).unwrap(), "one");
        assert_eq!(fs::metadata(copy.join("sub/file")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("/nowhere"));
        let image = File::open(store.image("b")).unwrap();
        let mut middle = [0; 6];
        image.read_exact_at(&mut middle, 32 << 20).unwrap();
        assert_eq!((&middle, image.metadata().unwrap().len()), (b"middle", 64 << 20));
        assert!(store.used("b") < 1 << 20, "holes stay holes: {}", store.used("b"));
        store.copy("never-used", "b").unwrap();
        assert!(!copy.exists());
        store.forget("a").unwrap();
        store.forget("a").unwrap();
        assert!(!tree.exists());
        assert!(store.dir("../../etc").starts_with(dir.path()));
    }
    #[test]
    fn a_disk_that_moves_stays_where_its_files_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_path_buf()).unwrap();
        let tree = store.tree("a");
        store.rename("a", "b").unwrap();
        // Whoever was about to use it under its first name finds the same place.
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("file"), "one").unwrap();
        assert_eq!(fs::read_to_string(store.tree("b").join("file")).unwrap(), "one");
        store.forget("a").unwrap();
        assert!(!store.tree("a").exists() && store.tree("b").exists());
        fs::create_dir_all(store.tree("c")).unwrap();
        store.rename("b", "c").unwrap();
        assert_eq!(store.tree("c"), tree);
    }
}
