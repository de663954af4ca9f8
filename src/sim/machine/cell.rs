//! Where a machine's commands run: namespaces of their own with the machine's files, so that nothing of this machine can be harmed and
//! everything ends with the first process. Where the kernel does not let us have them, see [`super::plain`].
//!
//! What is private then: every path but `/usr` (and `/bin`, `/lib`, … where they are no links into it), which is this machine's,
//! read-only; processes; host name; time since start. What is not: the network and the processor, and the clock of the day.

use super::plain::MARK;
use super::skeleton::PROGRAMS;
use super::view::View;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// What every command finds in front of the usual path.
pub(super) const PATH: &str = "/run/sim/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where this machine's own programs for the work are.
const OUTER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first process: says its number, waits until its users are mapped, puts the files in place, becomes one that waits for its end.
/// That comes when its input is closed, so it ends with us, however we end. Nobody's child that ends is buried by the kernel, as SIGCHLD
/// is ignored.
const FIRST: &str = r#"
read -r pid rest </proc/self/stat && echo "$pid" && read -r go || exit 1
hostname -F "$1/etc/hostname" 2>/dev/null || hostname "$(cat "$1/etc/hostname")"
mount -a -T "$2/fstab" >&2 || exit 1
cd "$1" && exec chroot . /bin/sh -c 'cd /root; trap "" CHLD HUP INT TERM; echo ready; exec cat >/dev/null'
"#;

/// A running set of namespaces.
pub(super) struct Cell {
    /// `unshare`, which ends its child with itself, until somebody takes it to watch it.
    first: Option<Child>,
    /// The first process ends with this.
    input: Mutex<Option<ChildStdin>>,
    pid: u32,
    /// Tells when the first process has ended.
    ending: OwnedFd,
}

impl Cell {
    /// Starts the first process of a machine whose files are in `tree` and `volatile`.
    ///
    /// # Errors
    /// With what the program said that could not do its part.
    pub async fn start(tree: &Path, volatile: &Path, started: f64) -> io::Result<Cell> {
        tokio::fs::write(volatile.join("fstab"), mounts(tree, volatile)).await?;
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"])
            .args(["--time", "--boottime", &format!("-{}", started.floor().max(0.0))])
            .args(["--", "sh", "-c", FIRST, "sh"])
            .args([tree, volatile])
            .env_clear()
            .env("PATH", OUTER_PATH)
            .env(MARK, volatile)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut first = command.spawn()?;
        let (Some(mut input), Some(output)) = (first.stdin.take(), first.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut lines = BufReader::new(output).lines();
        let begun = async {
            let pid = lines.next_line().await?.and_then(|line| line.parse().ok());
            let Some(pid) = pid else { return Ok(None) };
            map_users(pid)?;
            input.write_all(b"go\n").await?;
            Ok::<_, io::Error>(lines.next_line().await?.filter(|line| line == "ready").map(|_| pid))
        };
        match begun.await? {
            Some(pid) => {
                let ending = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
                let ending = rustix::process::pidfd_open(ending, PidfdFlags::empty())?;
                Ok(Cell { first: Some(first), input: Mutex::new(Some(input)), pid, ending })
            }
            None => Err(complaint(&mut first).await),
        }
    }

    /// A command for the machine's shell.
    pub fn command(&self, text: &str) -> Command {
        let mut command = self.enter(&["--root", "--wd"]);
        command.args(["/bin/sh", "-c", &with_keys(text)]).env("PATH", PATH).env("HOME", "/root");
        command
    }

    /// A program of this machine that sees the machine's mounts below their directory here.
    pub fn outer(&self, program: &str) -> Command {
        let mut command = self.enter(&[]);
        command.arg(program);
        command
    }

    /// Who waits for a command stands outside, where no freezing of the machine reaches. That must not be `nsenter`: when what it waits
    /// for is stopped it stops itself, and nobody lets it go on. `timeout` only waits, and ends as the command did.
    fn enter(&self, options: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--all", "--preserve-credentials", "--no-fork"]).args(options);
        command.args(["--", "timeout", "--foreground", "0"]);
        command.env_clear().env("PATH", OUTER_PATH);
        command
    }

    /// Its files, as its processes see them.
    ///
    /// # Errors
    /// The first process is gone.
    pub fn view(&self) -> io::Result<View> {
        View::open(&PathBuf::from(format!("/proc/{}/root", self.pid)))
    }

    /// The process whose end is the end of all of it: for who watches it.
    pub fn take_first(&mut self) -> Option<Child> {
        self.first.take()
    }

    /// Ends everything in it: the kernel does that when the first process ends.
    pub fn end(&self) {
        drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Cell {
    /// Waits until everything in it has ended, for so long at most.
    pub fn wait_end(&self, limit: Duration) {
        let mut ends = [PollFd::new(&self.ending, PollFlags::IN)];
        let limit = Timespec { tv_sec: i64::try_from(limit.as_secs()).unwrap_or(0), tv_nsec: i64::from(limit.subsec_nanos()) };
        // Nothing more can be done when it takes longer.
        let _ = rustix::event::poll(&mut ends, Some(&limit));
    }
}

/// Maps the users: all of them for root, else root to us.
fn map_users(pid: u32) -> io::Result<()> {
    let write = |name: &str, text: &str| std::fs::write(format!("/proc/{pid}/{name}"), text);
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() && write("uid_map", "0 0 65536").is_ok() {
        return write("gid_map", "0 0 65536");
    }
    write("uid_map", &format!("0 {} 1", user.as_raw()))?;
    write("setgroups", "deny")?;
    write("gid_map", &format!("0 {} 1", group.as_raw()))
}

async fn complaint(first: &mut Child) -> io::Error {
    let mut said = String::new();
    if let Some(mut errors) = first.stderr.take() {
        let _ = errors.read_to_string(&mut said).await;
    }
    let _ = first.wait().await;
    io::Error::other(format!("cannot make namespaces for a machine: {}", said.trim()))
}

/// What is mounted where, as `mount -a` takes it.
fn mounts(tree: &Path, volatile: &Path) -> String {
    let mut table = String::new();
    let mut row = |source: &Path, target: &str, kind: &str, options: &str| {
        let _ = writeln!(table, "{} {} {kind} {options} 0 0", escape(source), escape(&tree.join(target)));
    };
    let none = Path::new("none");
    row(Path::new("/usr"), "usr", "none", "rbind,ro");
    row(&tree.join("var/local-usr"), "usr/local", "none", "bind");
    for name in PROGRAMS {
        let here = Path::new("/").join(name);
        if here.is_dir() && !here.is_symlink() {
            row(&here, name, "none", "rbind,ro");
        }
    }
    row(none, "proc", "proc", "defaults");
    row(Path::new("/proc/sys"), "proc/sys", "none", "rbind,ro");
    for (file, target) in PROC_FILES.iter().filter(|(_, target)| Path::new("/proc").join(target).exists()) {
        row(&volatile.join("proc").join(file), &format!("proc/{target}"), "none", "bind");
    }
    for name in ["dev", "run", "sys"] {
        row(&volatile.join(name), name, "none", "bind");
    }
    for name in DEVICES {
        row(&Path::new("/dev").join(name), &format!("dev/{name}"), "none", "bind");
    }
    row(none, "dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620");
    row(Path::new("/etc"), "run/host/etc", "none", "rbind,ro");
    table
}

/// Devices of this machine that any machine has. Their places in `dev` are made with it.
pub(super) const DEVICES: &[&str] = &["full", "null", "random", "tty", "urandom", "zero"];

/// Files of `/proc` that are the machine's own: (name in its directory, below `/proc`).
const PROC_FILES: &[(&str, &str)] = &[
    ("boot_id", "sys/kernel/random/boot_id"),
    ("cmdline", "cmdline"),
    ("cpuinfo", "cpuinfo"),
    ("drop_caches", "sys/vm/drop_caches"),
    ("meminfo", "meminfo"),
    ("panic", "sys/kernel/panic"),
    ("panic_on_oops", "sys/kernel/panic_on_oops"),
    ("partitions", "partitions"),
    ("swappiness", "sys/vm/swappiness"),
    ("sysrq", "sys/kernel/sysrq"),
    ("sysrq-trigger", "sysrq-trigger"),
];

/// The text with the kernel's magic keys where they are, if this machine's kernel has none in whose place they could be.
fn with_keys(text: &str) -> Cow<'_, str> {
    let keys = [("/proc/sysrq-trigger", "/run/sim/sysrq-trigger"), ("/proc/sys/kernel/sysrq", "/run/sim/sysrq")];
    let mut text = Cow::Borrowed(text);
    for (usual, ours) in keys {
        if text.contains(usual) && !Path::new(usual).exists() {
            text = Cow::Owned(text.replace(usual, ours));
        }
    }
    text
}

/// As a word of `fstab`.
fn escape(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => {
                let _ = write!(text, "\\{byte:03o}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    text
}
