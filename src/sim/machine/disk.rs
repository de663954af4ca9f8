//! A machine's disks, as commands in it see and use them: a file system on a disk is a directory that is kept with the disk.

use super::answer::{Answer, option};
use super::boot::{Boot, Inside};
use super::spec::{Disk, Spec};
use super::{dom0, kernel};
use std::fmt::Write;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// Answers `lsblk`, `blkid`, `blockdev`, `mkfs…`, `mount` and `umount`.
pub(super) async fn answer(boot: &Arc<Boot>, spec: &Spec, name: &str, words: &[String]) -> Answer {
    match name {
        "lsblk" => lsblk(boot, spec, words),
        "blkid" => blkid(boot, spec, words),
        "blockdev" => blockdev(spec, words),
        "mount" => mount(boot, spec, words).await,
        "umount" => umount(boot, words).await,
        _ => mkfs(boot, spec, name, words),
    }
}

fn device_name(word: &str) -> Option<&str> {
    // In a plain directory a command has the device by its long name.
    let (_, name) = word.rsplit_once("/dev/")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

fn find<'a>(spec: &'a Spec, word: &str) -> Option<&'a Disk> {
    let name = device_name(word)?;
    spec.disks.iter().find(|disk| disk.device == name)
}

/// The kind of file system that was made on a disk.
fn kind(boot: &Boot, disk: &Disk) -> Option<String> {
    std::fs::read_to_string(boot.shared.store.dir(&disk.vdi).join("kind")).ok()
}

fn is_system(spec: &Spec, disk: &Disk) -> bool {
    spec.system_disk().is_some_and(|system| system.device == disk.device)
}

fn mounted_at(boot: &Boot, spec: &Spec, disk: &Disk) -> Option<String> {
    if is_system(spec, disk) {
        return Some("/".into());
    }
    let mounts = boot.mounts.lock().unwrap_or_else(PoisonError::into_inner);
    mounts.iter().find(|(device, _)| *device == disk.device).map(|(_, at)| at.clone())
}

fn lsblk(boot: &Boot, spec: &Spec, words: &[String]) -> Answer {
    let has = |flags: &str| words.iter().any(|w| w.starts_with('-') && !w.starts_with("--") && w.contains(flags));
    // Short options may be written as one: `-bno SIZE`.
    let joined = words.iter().position(|w| w.starts_with('-') && !w.starts_with("--") && w.ends_with('o'));
    let joined = joined.and_then(|at| words.get(at + 1)).map(String::as_str);
    let columns = joined.or_else(|| option(words, &["--output"])).unwrap_or("NAME,MAJ:MIN,RM,SIZE,RO,TYPE,MOUNTPOINTS");
    let columns: Vec<String> = columns.split(',').map(str::to_uppercase).collect();
    let wanted: Vec<&str> = words.iter().filter_map(|word| device_name(word)).collect();
    let (in_bytes, bare) = (has("b"), has("n"));
    let mut rows: Vec<Vec<String>> = if bare { Vec::new() } else { vec![columns.clone()] };
    for (number, disk) in spec.disks.iter().enumerate() {
        if !wanted.is_empty() && !wanted.contains(&disk.device.as_str()) {
            continue;
        }
        let cell = |column: &String| match column.as_str() {
            "NAME" | "KNAME" => disk.device.clone(),
            "PATH" => format!("/dev/{}", disk.device),
            "MAJ:MIN" => format!("202:{}", number * 16),
            "RM" => u8::from(disk.is_cd).to_string(),
            "SIZE" if in_bytes => disk.size.to_string(),
            "SIZE" => short(disk.size),
            "RO" => u8::from(disk.is_read_only).to_string(),
            "TYPE" => if disk.is_cd { "rom" } else { "disk" }.into(),
            "MOUNTPOINT" | "MOUNTPOINTS" => mounted_at(boot, spec, disk).unwrap_or_default(),
            "FSTYPE" => kind(boot, disk).unwrap_or_default(),
            _ => String::new(),
        };
        rows.push(columns.iter().map(cell).collect());
    }
    if !wanted.is_empty() && rows.len() == usize::from(!bare) {
        return Answer::fails(32, format_args!("lsblk: {}: not a block device", wanted.join(", ")));
    }
    Answer::says(aligned(&rows))
}

/// "10G".
fn short(bytes: u64) -> String {
    let units = [(1u64 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    let (unit, letter) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1, "B"));
    let tenths = bytes * 10 / unit;
    if tenths.is_multiple_of(10) { format!("{}{letter}", tenths / 10) } else { format!("{}.{}{letter}", tenths / 10, tenths % 10) }
}

fn aligned(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{text:<width$} ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn blkid(boot: &Boot, spec: &Spec, words: &[String]) -> Answer {
    let wanted: Vec<&str> = words.iter().filter_map(|word| device_name(word)).collect();
    let mut out = String::new();
    for disk in spec.disks.iter().filter(|d| wanted.is_empty() || wanted.contains(&d.device.as_str())) {
        let kind = if is_system(spec, disk) { Some("ext4".into()) } else { kind(boot, disk) };
        if let Some(kind) = kind {
            let _ = writeln!(out, "/dev/{}: UUID=\"{}\" BLOCK_SIZE=\"4096\" TYPE=\"{kind}\"", disk.device, disk.vdi);
        }
    }
    if out.is_empty() { Answer { code: 2, ..Answer::default() } } else { Answer::says(out) }
}

fn blockdev(spec: &Spec, words: &[String]) -> Answer {
    let Some(disk) = words.iter().find_map(|word| find(spec, word)) else {
        return Answer::fails(1, "blockdev: cannot open: No such file or directory");
    };
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--getsize64") {
        return Answer::says(format!("{}\n", disk.size));
    }
    if has("--getsz") {
        return Answer::says(format!("{}\n", disk.size / 512));
    }
    if has("--getro") {
        return Answer::says(format!("{}\n", u8::from(disk.is_read_only)));
    }
    if has("--getss") || has("--getbsz") || has("--getpbsz") {
        return Answer::says("512\n");
    }
    Answer::default()
}

fn mkfs(boot: &Boot, spec: &Spec, name: &str, words: &[String]) -> Answer {
    let kind = name.strip_prefix("mkfs.").or_else(|| option(words, &["-t", "--type"])).unwrap_or("ext2");
    let Some(word) = words.iter().rev().find(|word| device_name(word).is_some()) else {
        return Answer::fails(
            1,
            format_args!("{name}: no device is named: simulated machines make file systems on their disks only"),
        );
    };
    let Some(disk) = find(spec, word) else {
        return Answer::fails(1, format_args!("The file {word} does not exist and no size was specified."));
    };
    if disk.is_read_only || disk.is_cd {
        return Answer::fails(1, format_args!("{name}: {word}: Read-only file system"));
    }
    if let Some(at) = mounted_at(boot, spec, disk) {
        return Answer::fails(1, format_args!("{word} is mounted on {at}; will not make a filesystem here!"));
    }
    let store = &boot.shared.store;
    let made = || -> io::Result<()> {
        let tree = store.tree(&disk.vdi);
        if tree.exists() {
            std::fs::remove_dir_all(&tree)?;
        }
        std::fs::create_dir_all(tree.join("lost+found"))?;
        std::fs::write(store.dir(&disk.vdi).join("kind"), kind)
    };
    match made() {
        Ok(()) => Answer::says(format!(
            "Creating filesystem with {} 4k blocks\nFilesystem UUID: {}\nWriting superblocks and filesystem accounting information: done\n",
            disk.size / 4096,
            disk.vdi
        )),
        Err(error) => Answer::fails(1, format_args!("{name}: {error}")),
    }
}

/// The machine's own `mount`, for what is no disk of the machine.
async fn theirs(boot: &Arc<Boot>, name: &str, words: &[String]) -> Answer {
    let quoted = words.iter().map(|word| shlex::try_quote(word).unwrap_or_default().into_owned());
    let line = format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin; {name} {}", quoted.collect::<Vec<_>>().join(" "));
    let output = match boot.command(&line).await {
        Ok(mut command) => command.output().await,
        Err(error) => Err(error),
    };
    match output {
        Ok(output) => Answer { code: output.status.code().unwrap_or(32), out: output.stdout, err: output.stderr, act: None },
        Err(error) => Answer::fails(32, format_args!("{name}: {error}")),
    }
}

async fn mount(boot: &Arc<Boot>, spec: &Spec, words: &[String]) -> Answer {
    let mut plain = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-t" | "-o" | "--types" | "--options" => drop(rest.next()),
            word if word.starts_with('-') => {}
            word => plain.push(word),
        }
    }
    let [source, target] = plain[..] else {
        let mut answer = theirs(boot, "mount", words).await;
        if words.is_empty() {
            for (device, at) in boot.mounts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                answer.out.extend(format!("/dev/{device} on {at} type ext4 (rw,relatime)\n").bytes());
            }
        }
        return answer;
    };
    if device_name(source).is_none_or(|name| !name.starts_with("xvd") && !name.starts_with("sr")) {
        return theirs(boot, "mount", words).await;
    }
    let refuse = |why: &str| Answer::fails(32, format_args!("mount: {target}: {why}"));
    let Some(disk) = find(spec, source) else { return refuse(&format!("special device {source} does not exist.")) };
    if mounted_at(boot, spec, disk).is_some() {
        return refuse(&format!("{source} already mounted or mount point busy."));
    }
    if kind(boot, disk).is_none() {
        return refuse(&format!(
            "wrong fs type, bad option, bad superblock on {source}, missing codepage or helper program, or other error."
        ));
    }
    match bind(boot, &boot.shared.store.tree(&disk.vdi), target, disk.is_read_only).await {
        Ok(()) => {
            boot.mounts.lock().unwrap_or_else(PoisonError::into_inner).push((disk.device.clone(), plain_path(target)));
            let line = format!("EXT4-fs ({}): mounted filesystem with ordered data mode. Quota mode: none.", disk.device);
            let _ = kernel::log(boot, &line);
            Answer::default()
        }
        Err(error) => refuse(&error.to_string()),
    }
}

fn plain_path(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/".into() } else { trimmed.into() }
}

/// Shows a directory of the store at a place in the machine.
async fn bind(boot: &Arc<Boot>, source: &Path, target: &str, is_read_only: bool) -> io::Result<()> {
    if !target.starts_with('/') {
        return Err(io::Error::other("the mount point must be an absolute path."));
    }
    match boot.inside().await? {
        Inside::Cell(cell) => {
            let place = below(boot.places().0, target);
            if !place.is_dir() {
                return Err(io::Error::other("mount point does not exist."));
            }
            let mut command = cell.outer("mount");
            command.arg("--bind").args(is_read_only.then_some("-oro")).args([source, &place]);
            let output = command.output().await?;
            if output.status.success() {
                Ok(())
            } else {
                Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_string()))
            }
        }
        Inside::Plain(_) => {
            // A link in the place of the directory: only an empty one can be replaced.
            let place = below(boot.places().0, &inner(boot, target));
            std::fs::remove_dir(&place)?;
            std::os::unix::fs::symlink(source, &place)
        }
    }
}

/// A path inside as one of this machine; `..` leads nowhere.
fn below(tree: &Path, path: &str) -> PathBuf {
    let parts = Path::new(path).components().filter_map(|c| if let Component::Normal(name) = c { Some(name) } else { None });
    parts.fold(tree.to_path_buf(), |place, part| place.join(part))
}

/// In a plain directory, a path may come in its long form.
fn inner(boot: &Boot, path: &str) -> String {
    let rest = Path::new(path).strip_prefix(boot.places().0);
    rest.map_or_else(|_| path.to_string(), |rest| format!("/{}", rest.display()))
}

async fn umount(boot: &Arc<Boot>, words: &[String]) -> Answer {
    let Some(word) = words.iter().rev().find(|word| !word.starts_with('-')) else { return theirs(boot, "umount", words).await };
    if let Some(sr) = dom0::sr_mounted_at(word) {
        return dom0::unmount(boot, sr).await;
    }
    let found = {
        let mounts = boot.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        let path = plain_path(word);
        let is_it = |(device, at): &&(String, String)| *at == path || device_name(word).is_some_and(|name| name == device);
        mounts.iter().rev().find(is_it).cloned()
    };
    let Some((device, at)) = found else { return theirs(boot, "umount", words).await };
    let result = match boot.inside().await {
        Ok(Inside::Cell(_)) => {
            let answer = theirs(boot, "umount", std::slice::from_ref(&at)).await;
            if answer.code != 0 {
                return answer;
            }
            Ok(())
        }
        Ok(Inside::Plain(_)) => {
            let place = below(boot.places().0, &inner(boot, &at));
            std::fs::remove_file(&place).and_then(|()| std::fs::create_dir(&place))
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {
            boot.mounts.lock().unwrap_or_else(PoisonError::into_inner).retain(|(d, a)| *d != device || *a != at);
            Answer::default()
        }
        Err(error) => Answer::fails(32, format_args!("umount: {at}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(10 << 30, "10G"), (1536 << 20, "1.5G"), (512, "512B"), (0, "0B")] {
            assert_eq!(short(bytes), text);
        }
        assert_eq!(below(Path::new("/t"), "/mnt/../../x//y/."), Path::new("/t/mnt/x/y"));
    }
}
