//! The files of a machine that was just made or just started: its system disk, and what its kernel would show.

use super::distro::System;
use super::spec::{Disk, Spec};
use super::store::{Store, make_fifo};
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Directories of a system disk with their modes.
const DIRS: &[(&str, u32)] = &[
    ("boot", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/crash", 0o755),
    ("var/lib", 0o755),
    ("var/local-usr", 0o755),
    ("var/log", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

/// Where programs of this machine are, besides `/usr`: links on most systems, directories on old ones.
pub(super) const PROGRAMS: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What the programs of this machine look up in `/etc`, and a guest has no reason to have of its own.
const BORROWED: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki",
    "ssl",
    "terminfo",
];

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\n";

/// Makes what is missing on a system disk: everything on a new one, nothing on one that was used.
///
/// # Errors
/// No room, or the like.
pub(super) fn make_system(tree: &Path, spec: &Spec) -> io::Result<()> {
    if tree.join("etc/hostname").exists() {
        // A clone has the host name of the machine it was made of, as a real one.
        return Ok(());
    }
    for (dir, mode) in DIRS {
        make_dir(&tree.join(dir), *mode)?;
    }
    for (link, target) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
        symlink(target, tree.join(link))?;
    }
    for name in PROGRAMS {
        let here = Path::new("/").join(name);
        match fs::read_link(&here) {
            Ok(target) => symlink(target, tree.join(name))?,
            Err(_) if here.is_dir() => make_dir(&tree.join(name), 0o755)?,
            Err(_) => {}
        }
    }
    let etc = tree.join("etc");
    let system = System::of(&spec.distro);
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {}\n::1 localhost ip6-localhost\n", spec.name);
    let mut files = vec![
        ("os-release", system.os_release()),
        ("hosts", hosts),
        ("passwd", PASSWD.into()),
        ("group", GROUP.into()),
        ("shells", "/bin/sh\n/bin/bash\n".into()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n".into()),
        ("fstab", "/dev/xvda1 / ext4 errors=remount-ro 0 1\n".into()),
        ("resolv.conf", "nameserver 127.0.0.1\n".into()),
        ("machine-id", format!("{}\n", uuid::Uuid::new_v4().simple())),
        ("issue", format!("{} \\n \\l\n", spec.distro)),
    ];
    files.extend(system.release_files());
    for (name, text) in files {
        fs::write(etc.join(name), text)?;
    }
    for name in BORROWED.iter().filter(|name| Path::new("/etc").join(name).exists()) {
        symlink(Path::new("/run/host/etc").join(name), etc.join(name))?;
    }
    for log in ["messages", "syslog", "kern.log"] {
        fs::write(tree.join("var/log").join(log), "")?;
    }
    // Last: its presence says that the rest is there.
    fs::write(etc.join("hostname"), format!("{}\n", spec.name))
}

/// What is of this start only: `dev`, `proc`, `run`, `sys` below `dir`.
///
/// # Errors
/// No room, or the like.
pub(super) fn make_volatile(dir: &Path, spec: &Spec, boot_id: &str, store: &Store) -> io::Result<()> {
    for name in
        ["dev/pts", "dev/shm", "proc", "run/lock", "run/host/etc", "run/sim/bin", "run/sim/ask", "run/systemd/system", "run/user"]
    {
        fs::create_dir_all(dir.join(name))?;
    }
    fs::set_permissions(dir.join("dev/shm"), Permissions::from_mode(0o1777))?;
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, dir.join("dev").join(link))?;
    }
    for name in super::cell::DEVICES {
        fs::write(dir.join("dev").join(name), "")?;
    }
    let proc = dir.join("proc");
    fs::write(proc.join("boot_id"), format!("{boot_id}\n"))?;
    for (name, text) in
        [("sysrq", "438\n"), ("drop_caches", "0\n"), ("panic", "0\n"), ("panic_on_oops", "0\n"), ("swappiness", "60\n")]
    {
        fs::write(proc.join(name), text)?;
    }
    fs::write(proc.join("cmdline"), "BOOT_IMAGE=/boot/vmlinuz root=/dev/xvda1 ro console=hvc0\n")?;
    make_fifo(&proc.join("sysrq-trigger"))?;
    // For a kernel that has none in whose place it could be.
    fs::hard_link(proc.join("sysrq-trigger"), dir.join("run/sim/sysrq-trigger"))?;
    fs::hard_link(proc.join("sysrq"), dir.join("run/sim/sysrq"))?;
    make_fifo(&dir.join("run/sim/asks"))?;
    fs::write(dir.join("run/sim/skew"), "0\n")?;
    show_size(dir, spec)?;
    show_disks(dir, spec, store)?;
    show_nics(dir, spec)
}

/// Processors and memory, as `/proc` and `/sys` have them.
pub(super) fn show_size(dir: &Path, spec: &Spec) -> io::Result<()> {
    let mut cpus = String::new();
    for cpu in 0..spec.cpus {
        let _ = write!(
            cpus,
            "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Simulated CPU @ 2.50GHz\n\
             cpu MHz\t\t: 2500.000\ncache size\t: 36608 KB\nphysical id\t: {cpu}\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n\
             flags\t\t: fpu de tsc msr pae cx8 apic sep cmov pat clflush mmx fxsr sse sse2 syscall nx lm hypervisor\n\n"
        );
    }
    rewrite(&dir.join("proc/cpuinfo"), &cpus)?;
    let total = spec.memory >> 10;
    let free = total / 10 * 8;
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", total / 10 * 9),
        ("Buffers", total / 100),
        ("Cached", total / 10),
        ("SwapCached", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Slab", total / 100),
    ];
    let mut memory = String::new();
    for (name, kib) in rows {
        let _ = writeln!(memory, "{:<15} {kib:>8} kB", format!("{name}:"));
    }
    rewrite(&dir.join("proc/meminfo"), &memory)?;
    let cpu = dir.join("sys/devices/system/cpu");
    fs::create_dir_all(&cpu)?;
    let range = if spec.cpus > 1 { format!("0-{}\n", spec.cpus - 1) } else { "0\n".into() };
    for name in ["online", "present", "possible"] {
        rewrite(&cpu.join(name), &range)?;
    }
    for number in 0..spec.cpus {
        fs::create_dir_all(cpu.join(format!("cpu{number}")))?;
    }
    Ok(())
}

/// The disks: files in `/dev`, directories in `/sys/block`, rows of `/proc/partitions`.
pub(super) fn show_disks(dir: &Path, spec: &Spec, store: &Store) -> io::Result<()> {
    let block = dir.join("sys/block");
    fs::create_dir_all(&block)?;
    for entry in fs::read_dir(&block)? {
        let name = entry?.file_name();
        if !spec.disks.iter().any(|d| *d.device == *name) {
            let _ = fs::remove_file(dir.join("dev").join(&name));
            fs::remove_dir_all(block.join(&name))?;
        }
    }
    let mut partitions = "major minor  #blocks  name\n\n".to_string();
    for (number, disk) in spec.disks.iter().enumerate() {
        let own = block.join(&disk.device);
        fs::create_dir_all(own.join("queue"))?;
        let size = if disk.vdi.is_empty() { 0 } else { disk.size };
        rewrite(&own.join("size"), &format!("{}\n", size / 512))?;
        rewrite(&own.join("ro"), &format!("{}\n", u8::from(disk.is_read_only)))?;
        rewrite(&own.join("removable"), &format!("{}\n", u8::from(disk.is_cd)))?;
        rewrite(&own.join("queue/logical_block_size"), "512\n")?;
        let _ = writeln!(partitions, " 202 {:>8} {:>10} {}", number * 16, size / 1024, disk.device);
        let is_system = spec.system_disk().is_some_and(|d| d.device == disk.device);
        show_device(&dir.join("dev").join(&disk.device), disk, is_system, store)?;
    }
    rewrite(&dir.join("proc/partitions"), &partitions)
}

/// A device is one file with the bytes of the disk, so that every guest that has the disk sees the same.
fn show_device(path: &Path, disk: &Disk, is_system: bool, store: &Store) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if disk.vdi.is_empty() || is_system {
        let file = fs::File::create(path)?;
        return file.set_len(disk.size);
    }
    let image = store.image(&disk.vdi);
    fs::create_dir_all(store.dir(&disk.vdi))?;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&image)?;
    if file.metadata()?.len() < disk.size {
        file.set_len(disk.size)?;
    }
    fs::hard_link(&image, path)?;
    fs::set_permissions(path, Permissions::from_mode(if disk.is_read_only { 0o440 } else { 0o660 }))
}

/// The network interfaces, as `/sys/class/net` has them.
pub(super) fn show_nics(dir: &Path, spec: &Spec) -> io::Result<()> {
    let net = dir.join("sys/class/net");
    fs::create_dir_all(&net)?;
    for entry in fs::read_dir(&net)? {
        let name = entry?.file_name();
        if !spec.nics.iter().any(|n| *n.device == *name) && name != "lo" {
            fs::remove_dir_all(net.join(&name))?;
        }
    }
    let lo = ("lo", "00:00:00:00:00:00", 65536, true);
    let nics = spec.nics.iter().map(|n| (n.device.as_str(), n.mac.as_str(), n.mtu, n.is_up));
    for (index, (device, mac, mtu, is_up)) in [lo].into_iter().chain(nics).enumerate() {
        let own = net.join(device);
        fs::create_dir_all(&own)?;
        let state = if is_up { "up" } else { "down" };
        for (name, text) in [
            ("address", mac.to_string()),
            ("mtu", mtu.to_string()),
            ("operstate", state.into()),
            ("carrier", u8::from(is_up).to_string()),
            ("ifindex", (index + 1).to_string()),
            ("type", if device == "lo" { "772" } else { "1" }.into()),
        ] {
            rewrite(&own.join(name), &format!("{text}\n"))?;
        }
    }
    Ok(())
}

/// Writes into the same file, as others have it mounted.
fn rewrite(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unplugged_is_no_longer_seen() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("store")).unwrap();
        let mut spec = Spec::new("id", "vm", std::net::Ipv4Addr::LOCALHOST);
        let disk = |device: &str, vdi: &str| Disk {
            device: device.into(),
            vdi: vdi.into(),
            size: 1 << 20,
            is_read_only: false,
            is_cd: false,
        };
        spec.disks = vec![disk("xvda", "one"), disk("xvdb", "two")];
        let volatile = dir.path().join("run");
        make_volatile(&volatile, &spec, "b", &store).unwrap();
        fs::write(volatile.join("dev/xvdb"), "bytes").unwrap();
        assert_eq!(fs::read(store.image("two")).unwrap(), b"bytes", "the device is the disk");
        spec.disks.truncate(1);
        spec.memory = 2 << 30;
        show_disks(&volatile, &spec, &store).unwrap();
        show_size(&volatile, &spec).unwrap();
        assert!(!volatile.join("dev/xvdb").exists() && !volatile.join("sys/block/xvdb").exists());
        assert_eq!(fs::read(store.image("two")).unwrap(), b"bytes");
        assert!(fs::read_to_string(volatile.join("proc/meminfo")).unwrap().starts_with("MemTotal:        2097152 kB\n"));
        let system = dir.path().join("system");
        make_system(&system, &spec).unwrap();
        make_system(&system, &spec).unwrap();
        assert_eq!(fs::metadata(system.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    }
}
