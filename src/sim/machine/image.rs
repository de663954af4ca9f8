//! A disk as plain bytes, as an exported image has it: the bytes that were written to it, or the files that are on it, packed.

use super::store::{Store, copy_file, pieces};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// What the bytes begin with when they are files: the disk of a real machine never does.
const MAGIC: &[u8] = b"xrt-simulated-disk 1\n";

/// Where the packed files begin.
const HEAD: u64 = 4096;

/// The bytes of a disk on which `system` is installed, if something is. A disk that was never used is empty.
///
/// # Errors
/// No room, or the like.
pub(super) fn pack(store: &Store, disk: &str, system: Option<&str>) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(store.base())?;
    if store.image(disk).exists() && !store.tree(disk).exists() {
        let mut source = File::open(store.image(disk))?;
        let length = source.metadata()?.len();
        file.set_len(length)?;
        for (start, end) in pieces(&source, length)? {
            source.seek(SeekFrom::Start(start))?;
            file.seek(SeekFrom::Start(start))?;
            io::copy(&mut Read::by_ref(&mut source).take(end - start), &mut file)?;
        }
        return Ok(file);
    }
    if !store.tree(disk).exists() && system.is_none() {
        return Ok(file);
    }
    file.write_all(MAGIC)?;
    writeln!(file, "{}", system.unwrap_or_default())?;
    file.seek(SeekFrom::Start(HEAD))?;
    let mut archive = tar::Builder::new(&mut file);
    archive.follow_symlinks(false);
    if store.dir(disk).exists() {
        archive.append_dir_all("disk", store.dir(disk))?;
    }
    archive.finish()?;
    drop(archive);
    Ok(file)
}

/// Puts bytes onto a disk; returns the system that is installed on it then, if it is one of ours.
///
/// # Errors
/// No room, or what claims to be packed files is not.
pub(super) fn unpack(store: &Store, disk: &str, image: &mut File) -> io::Result<Option<String>> {
    store.forget(disk)?;
    let mut head = vec![0; 256];
    let read = image.read_at(&mut head, 0)?;
    head.truncate(read);
    let Some(rest) = head.strip_prefix(MAGIC) else {
        if image.metadata()?.len() > 0 {
            std::fs::create_dir_all(store.dir(disk))?;
            let path = std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(image)));
            copy_file(&path, &store.image(disk))?;
        }
        return Ok(None);
    };
    let system = String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or_default()).into_owned();
    image.seek(SeekFrom::Start(HEAD))?;
    let mut archive = tar::Archive::new(image);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    // Into a directory of its own first: an archive may be cut short.
    let place = tempfile::tempdir_in(store.base())?;
    archive.unpack(place.path())?;
    let unpacked = place.path().join("disk");
    if unpacked.exists() {
        std::fs::rename(unpacked, store.dir(disk))?;
    }
    Ok(Some(system).filter(|system| !system.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_bytes_survive_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().to_path_buf()).unwrap();
        let tree = store.tree("a");
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        std::fs::write(tree.join("etc/f"), "text").unwrap();
        std::os::unix::fs::symlink("/etc/f", tree.join("l")).unwrap();
        let mut packed = pack(&store, "a", Some("debian12")).unwrap();
        assert_eq!(unpack(&store, "b", &mut packed).unwrap().as_deref(), Some("debian12"));
        assert_eq!(std::fs::read_to_string(store.tree("b").join("etc/f")).unwrap(), "text");
        assert!(store.tree("b").join("l").is_symlink());
        std::fs::create_dir_all(store.dir("raw")).unwrap();
        let raw = File::create(store.image("raw")).unwrap();
        raw.set_len(8 << 20).unwrap();
        raw.write_all_at(b"middle", 4 << 20).unwrap();
        let mut packed = pack(&store, "raw", None).unwrap();
        assert_eq!(unpack(&store, "c", &mut packed).unwrap(), None);
        assert_eq!(std::fs::read(store.image("c")).unwrap(), std::fs::read(store.image("raw")).unwrap());
        let mut packed = pack(&store, "never", None).unwrap();
        assert_eq!(unpack(&store, "d", &mut packed).unwrap(), None);
        assert!(!store.dir("d").exists());
        let mut hostile = tempfile::tempfile().unwrap();
        hostile.write_all(MAGIC).unwrap();
        hostile.write_all_at(&[0xff; 2048], HEAD).unwrap();
        assert!(unpack(&store, "e", &mut hostile).is_err());
    }
}
