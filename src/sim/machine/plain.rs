//! Where a machine's commands run when the kernel does not let us make namespaces (some containers): as processes of this machine, with
//! the well-known paths in their text replaced by the machine's own.
//!
//! What is private then: what a command *names* by `PRIVATE` and `/proc` files of `KERNEL`, its home and its working directory. What is
//! not: paths that a program has in itself or puts together, those inside of script files, processes, and the host name of the kernel.

use super::cell::PATH;
use super::view::View;
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What every process of a machine has in its environment, with a value of its own.
pub(super) const MARK: &str = "XRT_SIM_BOOT";

/// Paths of the machine's disk.
const PRIVATE: &[&str] = &["boot", "etc", "home", "media", "mnt", "opt", "root", "srv", "tmp", "var"];

/// Paths that are of one start only.
const VOLATILE: &[&str] = &["dev/xvd*", "run", "sys/block", "sys/class/net", "sys/devices/system/cpu", "sys/hypervisor"];

/// Files of the kernel: (as it is named, what it is called in the machine's directory).
const KERNEL: &[(&str, &str)] = &[
    ("proc/cmdline", "cmdline"),
    ("proc/cpuinfo", "cpuinfo"),
    ("proc/meminfo", "meminfo"),
    ("proc/partitions", "partitions"),
    ("proc/sys/kernel/panic", "panic"),
    ("proc/sys/kernel/panic_on_oops", "panic_on_oops"),
    ("proc/sys/kernel/random/boot_id", "boot_id"),
    ("proc/sys/kernel/sysrq", "sysrq"),
    ("proc/sys/vm/drop_caches", "drop_caches"),
    ("proc/sysrq-trigger", "sysrq-trigger"),
    ("proc/uptime", "uptime"),
];

/// A machine's files and processes.
pub(super) struct Plain {
    tree: PathBuf,
    volatile: PathBuf,
}

impl Plain {
    /// # Errors
    /// When a command could do harm to this machine.
    pub fn new(tree: &Path, volatile: &Path) -> io::Result<Plain> {
        if rustix::fs::access("/proc/sysrq-trigger", rustix::fs::Access::WRITE_OK).is_ok() {
            let what = "a simulated machine needs user namespaces when root runs it: its commands could reboot this machine. \
                        Run it as another user, or where `unshare --user --map-root-user --mount --pid --fork` works";
            return Err(io::Error::other(what));
        }
        std::fs::write(volatile.join("proc/uptime"), "0.01 0.01\n")?;
        Ok(Plain { tree: tree.to_path_buf(), volatile: volatile.to_path_buf() })
    }

    pub fn command(&self, text: &str) -> Command {
        let home = self.tree.join("root");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &replace(text, &self.tree, &self.volatile)])
            .env_clear()
            .env("HOME", &home)
            .env("TMPDIR", self.tree.join("tmp"))
            .env("PATH", PATH.replacen("/run", &self.volatile.join("run").to_string_lossy(), 1))
            .env(MARK, &self.volatile)
            .current_dir(home);
        command
    }

    /// # Errors
    /// The directories are gone.
    pub fn view(&self) -> io::Result<View> {
        let mut view = View::open(&self.tree)?;
        for name in ["dev", "proc", "run", "sys"] {
            view.put(name, &self.volatile.join(name))?;
        }
        // What a command said of a path is taken back as it was said.
        view.accept_outer(&self.tree);
        Ok(view)
    }

    /// Sends a signal to all its processes, in whatever group or session they are by now.
    pub fn signal(&self, signal: Signal) {
        // One that makes children while we look is found the next time.
        for _ in 0..3 {
            let found = marked(|volatile| volatile == self.volatile);
            if found.is_empty() {
                return;
            }
            for process in found {
                // It may have ended in between.
                let _ = pidfd_send_signal(process, signal);
            }
            if signal != Signal::KILL {
                return;
            }
        }
    }
}

/// Our processes of the machines that are meant, known by where they have what is of one start only.
pub(super) fn marked(is_meant: impl Fn(&Path) -> bool) -> Vec<OwnedFd> {
    let own = geteuid().as_raw();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        // Opened first: what is read then is of this process, and of none that has its number later.
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let value = |entry: &[u8]| Some(PathBuf::from(OsStr::from_bytes(entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?)));
        let volatile = environment.split(|byte| *byte == 0).find_map(value)?;
        (is_meant(&volatile) && entry.metadata().ok()?.uid() == own).then_some(process)
    });
    found.collect()
}

/// The text with each well-known path in it replaced.
fn replace(text: &str, tree: &Path, volatile: &Path) -> String {
    let is_path = |c: char| c.is_alphanumeric() || "_./-~".contains(c);
    let is_before = |c: char| c.is_alphanumeric() || "_./}~".contains(c);
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        let (before, path) = rest.split_at(at);
        out.push_str(before);
        let starts = !out.ends_with(is_before);
        let length = path.find(|c: char| !is_path(c)).unwrap_or(path.len());
        let (path, after) = path.split_at(length);
        match place(&path[1..], tree, volatile).filter(|_| starts) {
            Some(place) => out.push_str(&place),
            None => out.push_str(path),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn place(path: &str, tree: &Path, volatile: &Path) -> Option<String> {
    let begins = |prefix: &str| match prefix.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let outer = format!("/{path}");
    if Path::new(&outer).starts_with(tree) || Path::new(&outer).starts_with(volatile) {
        return None;
    }
    if let Some((_, file)) = KERNEL.iter().find(|(name, _)| *name == path) {
        return Some(volatile.join("proc").join(file).to_string_lossy().into_owned());
    }
    let base = if PRIVATE.iter().any(|p| begins(p)) {
        tree
    } else if VOLATILE.iter().any(|p| begins(p)) {
        volatile
    } else {
        return None;
    };
    // Not by `join`: a slash at the end means something.
    Some(format!("{}/{path}", base.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_paths_are_the_machines() {
        for (text, expected) in [
            ("cat /etc/hostname", "cat T/etc/hostname"),
            ("d=$(mktemp -d \"${TMPDIR:-/tmp}/xenrt-job.XXXXXX\")", "d=$(mktemp -d \"${TMPDIR:-T/tmp}/xenrt-job.XXXXXX\")"),
            ("echo b >/proc/sysrq-trigger", "echo b >V/proc/sysrq-trigger"),
            ("cat /proc/uptime /proc/1/stat", "cat V/proc/uptime /proc/1/stat"),
            ("cd '/tmp'; ls /tmpfoo /usr/tmp ./tmp $x/tmp", "cd 'T/tmp'; ls /tmpfoo /usr/tmp ./tmp $x/tmp"),
            ("dd of=/dev/xvdb if=/dev/zero", "dd of=V/dev/xvdb if=/dev/zero"),
            ("ls T/tmp/x V/run", "ls T/tmp/x V/run"),
            ("rm -rf /tmp/a/ /", "rm -rf T/tmp/a/ /"),
            ("ünïcode /tmp/ä", "ünïcode T/tmp/ä"),
        ] {
            let (tree, volatile) = (Path::new("/base/disk/tree"), Path::new("/base/boot-1"));
            let real = |text: &str| text.replace("T/", "/base/disk/tree/").replace("V/", "/base/boot-1/");
            assert_eq!(replace(&real(text), tree, volatile), real(expected), "{text}");
        }
    }
}
