//! What a machine's kernel says: its log, and the time.

use super::boot::Boot;
use super::spec::Spec;
use super::view::View;
use rustix::fs::{Mode, OFlags};
use std::io::{self, Write};
use std::path::Path;

/// Seconds since the machine was started that runs this.
pub(super) fn uptime_here() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// Begins the log of a new start.
pub(super) fn log_boot(boot: &Boot, spec: &Spec) -> io::Result<()> {
    let cpus = spec.cpus;
    let kib = spec.memory >> 10;
    let mut lines = vec![
        (0.0, "Linux version 6.1.0-21-amd64 (simulated) (gcc-12) #1 SMP PREEMPT_DYNAMIC".to_string()),
        (0.0, "Command line: BOOT_IMAGE=/boot/vmlinuz root=/dev/xvda1 ro console=hvc0".into()),
        (0.0, "Hypervisor detected: Xen HVM".into()),
        (0.0, "Xen version 4.17.".into()),
        (0.01, format!("smpboot: Allowing {cpus} CPUs, 0 hotplug CPUs")),
        (0.02, format!("Memory: {kib}K/{kib}K available")),
    ];
    for disk in &spec.disks {
        lines.push((0.03, format!("blkfront: {}: flush diskcache: enabled; persistent grants: enabled", disk.device)));
    }
    for nic in &spec.nics {
        lines.push((0.03, format!("xen_netfront: {}: {}", nic.device, nic.mac)));
    }
    if spec.system_disk().is_some() {
        lines.push((0.04, "EXT4-fs (xvda1): mounted filesystem with ordered data mode. Quota mode: none.".into()));
    }
    lines.push((0.05, format!("systemd[1]: Hostname set to <{}>.", spec.name)));
    let text: String = lines.iter().map(|(at, line)| stamped(*at, line)).collect();
    let (tree, volatile) = boot.places();
    std::fs::write(volatile.join("run/sim/kmsg"), &text)?;
    append(tree, "/var/log/kern.log", &text)
}

/// Says something in the kernel's log.
///
/// # Errors
/// No room, or the machine has no files yet.
pub(super) fn log(boot: &Boot, line: &str) -> io::Result<()> {
    let text = stamped(boot.uptime(), line);
    let (tree, volatile) = boot.places();
    append(volatile, "/run/sim/kmsg", &text)?;
    append(tree, "/var/log/kern.log", &text)
}

/// Adds to a file of a machine, wherever the machine's own links lead; not above `root`.
pub(super) fn append(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    let mut file = View::open(root)?.open_file(Path::new(path), flags, Mode::from_raw_mode(0o640))?;
    file.write_all(text.as_bytes())
}

fn stamped(at: f64, line: &str) -> String {
    format!("[{at:>12.6}] {line}\n")
}
