//! This machine itself, without SSH: `sh -c` in a process group of its own, files by the standard library.
//!
//! The calling thread watches the command's pipes, its end and the flag together, so there is no other thread to be left behind.

use super::{Captured, Command, Entry, EntryKind, Output, Status, Transport, error};
use crate::error::{Blame, Details, Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MACHINE: &str = "this machine";

/// How long a command may take to end when it was told to, before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// How long output is waited for after the shell has ended, when something that it left behind keeps the pipes open.
const AFTERMATH: Duration = Duration::from_millis(500);

/// How long altogether, however much what it left behind still says.
const LONGEST_AFTERMATH: Duration = Duration::from_secs(5);

/// Bytes moved at a time.
const BLOCK: usize = 64 << 10;

/// This machine.
#[derive(Debug, Default)]
pub struct Local;

impl Local {
    pub fn new() -> Local {
        Local
    }
}

impl Transport for Local {
    fn machine(&self) -> &str {
        MACHINE
    }

    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        cancel.check()?;
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", &command.text]);
        let start = |shell: &mut std::process::Command| {
            shell.spawn().map_err(|e| match e.kind() {
                ErrorKind::InvalidInput => Error::new(Kind::Malformed, "a command cannot contain a NUL byte"),
                _ => Error::new(Kind::Internal, format!("cannot start a shell: {e}")).because(e),
            })
        };
        Run::start(shell, start, command, GRACE, cancel, &mut |_, _| ())?.finish()
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        let doing = format!("read `{path}`");
        let mut data = Vec::new();
        copy(open(Path::new(path)).map_err(|e| told(&e, &doing))?, &doing, cancel, |block| {
            data.extend_from_slice(block);
            if data.len() as u64 > limit {
                let what = format!("`{path}` is larger than {}", crate::unit::show_size(limit));
                return Err(Error::new(Kind::Malformed, what).help("fetch it as a file, or read a part of it with `tail`"));
            }
            Ok(())
        })?;
        Ok(data)
    }

    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        let doing = format!("write `{path}`");
        cancel.check()?;
        write_blocks(Path::new(path), mode, &doing, |file| file.write_all(data).map_err(|e| told(&e, &doing)))
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        copy_file(local, Path::new(remote), cancel)
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        copy_file(Path::new(remote), local, cancel)
    }

    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        cancel.check()?;
        match fs::metadata(path) {
            Ok(found) => Ok(Some(entry(Path::new(path), &found))),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(told(&e, &format!("look at `{path}`"))),
        }
    }

    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        let doing = format!("list `{path}`");
        let mut entries = Vec::new();
        for found in fs::read_dir(path).map_err(|e| told(&e, &doing))? {
            cancel.check()?;
            let found = found.map_err(|e| told(&e, &doing))?.path();
            match fs::symlink_metadata(&found) {
                Ok(data) => entries.push(entry(&found, &data)),
                // Removed meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(told(&e, &doing)),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        cancel.check()?;
        fs::create_dir_all(path).map_err(|e| told(&e, &format!("make the directory `{path}`")))
    }

    fn hang_up(&self) {}
}

/// Which of a program's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Runs a program of this machine without a shell, otherwise as [`Transport::exec`] runs a command: in a process group of its own,
/// with the limits and files of `command`, whose text is only for messages.
///
/// `start` spawns it and says why it cannot; `hear` gets its output as it comes; `grace` is how long it may take to end when told to.
///
/// # Errors
/// Those of `start`; `Timeout`, `Cancelled`.
pub fn run(
    program: std::process::Command,
    start: impl FnOnce(&mut std::process::Command) -> Result<Child>,
    command: &Command,
    grace: Duration,
    cancel: &Cancel,
    hear: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Output> {
    cancel.check()?;
    Run::start(program, start, command, grace, cancel, hear)?.finish()
}

/// A file of the machine under test: what is wrong with it is not the user's fault, unlike what is wrong with our own files.
fn told(e: &std::io::Error, doing: &str) -> Error {
    let kind = match e.kind() {
        ErrorKind::NotFound => Kind::NotFound,
        // A NUL in the path.
        ErrorKind::InvalidInput => Kind::Malformed,
        _ => Kind::Refused,
    };
    let details = Details { machine: MACHINE.into(), command: doing.into(), ..Details::default() };
    Error::new(kind, format!("cannot {doing} on {MACHINE}: {e}")).details(details)
}

fn entry(path: &Path, data: &fs::Metadata) -> Entry {
    let kind = match data.file_type() {
        t if t.is_file() => EntryKind::File,
        t if t.is_dir() => EntryKind::Directory,
        t if t.is_symlink() => EntryKind::Link,
        _ => EntryKind::Other,
    };
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    Entry {
        name: name.into_owned(),
        kind,
        size: data.len(),
        mode: data.mode() & 0o7777,
        modified: u64::try_from(data.mtime()).unwrap_or(0),
    }
}

/// Opens a file for reading. A named pipe that nobody writes to, or a device that says nothing, does not hold us up.
fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(unblocking()).open(path)
}

fn unblocking() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

/// Reads to the end in blocks, and looks at the flag in between.
fn copy(mut from: impl Read, doing: &str, cancel: &Cancel, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut buffer = vec![0; BLOCK];
    let mut total = 0;
    loop {
        cancel.check()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => {
                take(&buffer[..read])?;
                total += read as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => cancel.sleep(Duration::from_millis(10))?,
            Err(e) => return Err(told(&e, doing)),
        }
    }
}

fn copy_file(from: &Path, to: &Path, cancel: &Cancel) -> Result<u64> {
    let doing = format!("copy `{}` to `{}`", from.display(), to.display());
    let source = open(from).map_err(|e| told(&e, &doing))?;
    let data = source.metadata().map_err(|e| told(&e, &doing))?;
    let mode = data.mode() & 0o777;
    if fs::metadata(to).is_ok_and(|target| (target.dev(), target.ino()) == (data.dev(), data.ino()) && data.is_file()) {
        // To open it for writing would empty it.
        let what = format!("cannot {doing} on {MACHINE}: both are the same file");
        return Err(Error::new(Kind::Malformed, what).help("name another place for the copy"));
    }
    let mut total = 0;
    write_blocks(to, mode, &doing, |file| {
        total = copy(&source, &doing, cancel, |block| file.write_all(block).map_err(|e| told(&e, &doing)))?;
        Ok(())
    })?;
    Ok(total)
}

fn write_blocks(path: &Path, mode: u32, doing: &str, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    // A named pipe that nobody reads is an error, not a wait.
    let file = File::options().write(true).create(true).truncate(true).custom_flags(unblocking()).open(path);
    let mut file = file.map_err(|e| told(&e, doing))?;
    let now = file.metadata().map_err(|e| told(&e, doing))?;
    if now.is_file() && now.mode() & 0o7777 != mode & 0o7777 {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(|e| told(&e, doing))?;
    }
    fill(&mut file)
}

/// A running command.
struct Run<'a> {
    command: &'a Command,
    cancel: &'a Cancel,
    grace: Duration,
    hear: &'a mut dyn FnMut(Stream, &[u8]),
    child: Child,
    group: Option<Pid>,
    /// Readable when the shell has ended. Old kernels have none; the clock does then.
    end: Option<OwnedFd>,
    /// Rung when the flag is raised.
    bell: Arc<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
    sent: usize,
    started: Instant,
}

impl<'a> Run<'a> {
    fn start(
        mut program: std::process::Command,
        start: impl FnOnce(&mut std::process::Command) -> Result<Child>,
        command: &'a Command,
        grace: Duration,
        cancel: &'a Cancel,
        hear: &'a mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Run<'a>> {
        let stdout = Pipe::new(command.keep, command.stdout_file.as_ref())?;
        let stderr = Pipe::new(command.keep, command.stderr_file.as_ref())?;
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(std::io::Error::from).at("set up a pipe")?;
        program
            .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let started = Instant::now();
        let child = start(&mut program)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = group.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let bell = Arc::new(bell);
        let mut run = Run { command, cancel, grace, hear, child, group, end, bell, stdout, stderr, sent: 0, started };
        run.stdout.fd = run.child.stdout.take().map(OwnedFd::from);
        run.stderr.fd = run.child.stderr.take().map(OwnedFd::from);
        for fd in run.stdout.fd.iter().chain(&run.stderr.fd).map(AsFd::as_fd).chain(run.child.stdin.as_ref().map(AsFd::as_fd)) {
            rustix::io::ioctl_fionbio(fd, true).map_err(std::io::Error::from).at("set up a pipe")?;
        }
        Ok(run)
    }

    fn finish(mut self) -> Result<Output> {
        let bell = self.bell.clone();
        let _guard = self.cancel.on_raise(move || {
            // It can only fail when the bell rings already.
            let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
        });
        let limit = self.started.checked_add(self.command.timeout);
        let moved = self.watch(limit);
        let status = match moved {
            Ok(Some(status)) => status,
            Ok(None) => {
                let error = self.stopped();
                self.kill()?;
                return Err(self.with_streams(error));
            }
            Err(error) => {
                self.kill()?;
                return Err(self.with_streams(error));
            }
        };
        let took = self.started.elapsed();
        let status = match status.code() {
            Some(code) => Status::Exited(code),
            None => Status::Signalled(signal_name(status.signal().unwrap_or(0))),
        };
        Ok(Output { stdout: std::mem::take(&mut self.stdout.kept), stderr: std::mem::take(&mut self.stderr.kept), status, took })
    }

    /// Moves the streams until the command has ended; nothing when its time is over or the flag is raised.
    fn watch(&mut self, limit: Option<Instant>) -> Result<Option<ExitStatus>> {
        let mut ended: Option<(ExitStatus, Instant, Instant)> = None;
        loop {
            let now = Instant::now();
            if ended.is_none() {
                ended = self.child.try_wait().at("wait for a command")?.map(|status| (status, now, now));
            }
            let moved = self.drain()? | self.feed();
            if let Some((status, at, since)) = &mut ended {
                let is_read = self.stdout.fd.is_none() && self.stderr.fd.is_none();
                let is_quiet = !moved && now.saturating_duration_since(*since) >= AFTERMATH;
                if is_read || is_quiet || now.saturating_duration_since(*at) >= LONGEST_AFTERMATH {
                    return Ok(Some(*status));
                }
                if moved {
                    *since = now;
                }
            }
            if self.cancel.is_raised() || limit.is_some_and(|limit| now >= limit) {
                return Ok(None);
            }
            if !moved {
                self.wait(limit, ended.map(|(_, _, since)| since + AFTERMATH))?;
            }
        }
    }

    /// Takes what is there of both streams; whether there was anything.
    fn drain(&mut self) -> Result<bool> {
        let said = self.stdout.drain(&mut |bytes| (self.hear)(Stream::Stdout, bytes))?;
        Ok(said | self.stderr.drain(&mut |bytes| (self.hear)(Stream::Stderr, bytes))?)
    }

    /// Gives the command more of its input; whether it took any.
    fn feed(&mut self) -> bool {
        let Some(pipe) = &self.child.stdin else { return false };
        let rest = &self.command.stdin[self.sent..];
        match rustix::io::write(pipe, rest) {
            Ok(written) if written < rest.len() => {
                self.sent += written;
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            // All of it is written, or the command does not read any more.
            _ => {
                self.child.stdin = None;
                true
            }
        }
    }

    fn wait(&self, limit: Option<Instant>, aftermath: Option<Instant>) -> Result<()> {
        let tick = (self.end.is_none()).then(|| Instant::now() + Duration::from_millis(20));
        let until = limit.into_iter().chain(aftermath).chain(tick).chain(self.cancel.deadline()).min();
        let left = until.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
        // Rounded up: a wait that ends a little early would be repeated many times.
        let left = left.min(Duration::from_secs(3600)) + Duration::from_micros(500);
        let mut fds = vec![PollFd::new(&*self.bell, PollFlags::IN)];
        fds.extend(self.stdout.fd.iter().chain(&self.stderr.fd).map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.child.stdin.as_ref().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        // Once the shell has ended its descriptor is readable for ever.
        fds.extend(self.end.as_ref().filter(|_| aftermath.is_none()).map(|fd| PollFd::new(fd, PollFlags::IN)));
        let limit = Timespec { tv_sec: left.as_secs().try_into().unwrap_or(3600), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(std::io::Error::from(e)).at("wait for a command"),
        }
    }

    /// Ends the whole group: asks, and a little later does not ask. The shell is reaped.
    fn kill(&mut self) -> Result<()> {
        let Some(group) = self.group else { return Ok(()) };
        // It fails when nobody is left in the group, and then there is nothing to end.
        let _ = kill_process_group(group, Signal::TERM);
        let (begun, pause) = (Instant::now(), Cancel::new());
        let mut killed = false;
        while self.child.try_wait().at("wait for a command")?.is_none() {
            if !killed && begun.elapsed() > self.grace {
                let _ = kill_process_group(group, Signal::KILL);
                killed = true;
            }
            if begun.elapsed() > self.grace + GRACE * 2 {
                // It hangs in the kernel. It cannot be waited for, and is reaped by whoever comes after us.
                break;
            }
            // A program that cleans up says something, and must not wait for somebody to read it.
            if !self.drain()? {
                pause.sleep(Duration::from_millis(5))?;
            }
        }
        let _ = kill_process_group(group, Signal::KILL);
        // What it said at the end belongs to what it said.
        self.drain()?;
        Ok(())
    }

    fn stopped(&self) -> Error {
        let took = self.started.elapsed();
        if let Err(e) = self.cancel.check() {
            return error(e.kind, MACHINE, &self.command.text, took, &e.what).blame(e.blame);
        }
        let what = format!("did not end within {}", crate::unit::show_duration(self.command.timeout));
        error(Kind::Timeout, MACHINE, &self.command.text, took, &what)
            .blame(Blame::Product)
            .help("give it more time, or look at what it waits for")
    }

    fn with_streams(&self, mut error: Error) -> Error {
        let details = error.details.get_or_insert_with(|| {
            Box::new(Details { machine: MACHINE.into(), command: self.command.text.clone(), ..Details::default() })
        });
        details.stdout = self.stdout.kept.tail(4096);
        details.stderr = self.stderr.kept.tail(4096);
        error
    }
}

/// One of the command's streams: the pipe until its end, and where its bytes go.
struct Pipe {
    fd: Option<OwnedFd>,
    kept: Captured,
    file: Option<(File, PathBuf)>,
}

impl Pipe {
    fn new(keep: usize, file: Option<&PathBuf>) -> Result<Pipe> {
        let open = |path: &PathBuf| {
            File::create(path).map(|f| (f, path.clone())).at(format_args!("write the output to `{}`", path.display()))
        };
        Ok(Pipe { fd: None, kept: Captured::new(keep), file: file.map(open).transpose()? })
    }

    /// Takes what is there, up to a block; whether there was anything.
    fn drain(&mut self, hear: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(fd) = &self.fd else { return Ok(false) };
        let mut buffer = [0u8; BLOCK];
        match read(fd.as_fd(), &mut buffer) {
            Ok(0) => {
                self.fd = None;
                Ok(true)
            }
            Ok(count) => {
                self.kept.push(&buffer[..count]);
                hear(&buffer[..count]);
                if let Some((file, path)) = &mut self.file {
                    file.write_all(&buffer[..count]).at(format_args!("write the output to `{}`", path.display()))?;
                }
                Ok(true)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(std::io::Error::from(e)).at("read a command's output"),
        }
    }
}

fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, rustix::io::Errno> {
    rustix::io::read(fd, buffer)
}

/// A signal's name without SIG, as SSH has it.
pub fn signal_name(number: i32) -> String {
    let known = [
        (1, "HUP"),
        (2, "INT"),
        (3, "QUIT"),
        (4, "ILL"),
        (5, "TRAP"),
        (6, "ABRT"),
        (7, "BUS"),
        (8, "FPE"),
        (9, "KILL"),
        (10, "USR1"),
        (11, "SEGV"),
        (12, "USR2"),
        (13, "PIPE"),
        (14, "ALRM"),
        (15, "TERM"),
    ];
    known.iter().find(|(n, _)| *n == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stop;

    fn run(text: &str) -> Result<Output> {
        Local::new().exec(&Command::new(text, Duration::from_secs(20)), &Cancel::new())
    }

    #[test]
    fn streams_statuses_and_signals_are_told_apart() {
        for (text, stdout, stderr, status) in [
            ("echo out; echo err >&2; exit 3", "out\n", "err\n", Status::Exited(3)),
            ("kill -KILL $$", "", "", Status::Signalled("KILL".into())),
            ("cat", "", "", Status::Exited(0)),
            ("no-such-command 2>/dev/null", "", "", Status::Exited(127)),
        ] {
            let output = run(text).unwrap();
            assert_eq!(
                (output.stdout.text(), output.stderr.text(), output.status),
                (stdout.into(), stderr.into(), status),
                "{text}"
            );
        }
    }

    #[test]
    fn input_and_output_of_any_size_and_any_bytes_pass() {
        let mut command = Command::new("cat; cat /dev/null >&2; printf '\\377\\000'", Duration::from_secs(60));
        command.stdin = vec![b'x'; 20 << 20];
        let dir = tempfile::tempdir().unwrap();
        command.stdout_file = Some(dir.path().join("out"));
        command.keep = 1000;
        let output = Local::new().exec(&command, &Cancel::new()).unwrap();
        assert_eq!((output.stdout.total(), output.stdout.is_cut()), ((20 << 20) + 2, true));
        assert!(output.stdout.bytes().ends_with(&[b'x', 0xff, 0]));
        assert_eq!(fs::metadata(dir.path().join("out")).unwrap().len(), (20 << 20) + 2);
        let mut ignored = Command::new("true", Duration::from_secs(20));
        ignored.stdin = vec![0; 4 << 20];
        assert!(Local::new().exec(&ignored, &Cancel::new()).unwrap().is_success(), "a command need not read its input");
    }

    #[test]
    fn a_limit_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let text = format!("trap '' TERM; sleep 300 & echo $! $$ > {}; echo said; sleep 300", pids.display());
        let begun = Instant::now();
        let error = Local::new().exec(&Command::new(text, Duration::from_millis(300)), &Cancel::new()).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product));
        assert_eq!(error.details.unwrap().stdout, "said\n");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
            assert!(is_gone(pid), "process {pid} is left");
        }
    }

    /// Whether a process has ended, given a moment to do so: a killed grandchild is reaped by another process than ours.
    fn is_gone(pid: &str) -> bool {
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !(stat().is_empty() || stat().contains(") Z ")) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    #[test]
    fn the_flag_ends_it_at_once() {
        let cancel = Cancel::new();
        let raised = cancel.clone();
        let begun = Instant::now();
        let runner = std::thread::spawn(move || Local::new().exec(&Command::new("sleep 300", Duration::from_secs(300)), &cancel));
        raised.raise(Stop::User);
        let error = runner.join().unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_is_left_behind_does_not_hold_the_caller() {
        let begun = Instant::now();
        let output = run("sleep 300 & echo $!").unwrap();
        let pid: i32 = output.stdout.text().trim().parse().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn files_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let (local, cancel) = (Local::new(), Cancel::new());
        local.make_dir(&path("a b/'c'"), &cancel).unwrap();
        local.make_dir(&path("a b/'c'"), &cancel).unwrap();
        local.write_file(&path("a b/ü"), b"\xff\x00", 0o750, &cancel).unwrap();
        assert_eq!(local.read_file(&path("a b/ü"), 2, &cancel).unwrap(), b"\xff\x00");
        assert_eq!(local.read_file(&path("a b/ü"), 1, &cancel).unwrap_err().kind, Kind::Malformed);
        assert_eq!(local.send(Path::new(&path("a b/ü")), &path("copy"), &cancel).unwrap(), 2);
        assert_eq!(local.fetch(&path("copy"), Path::new(&path("back")), &cancel).unwrap(), 2);
        assert_eq!(local.stat(&path("back"), &cancel).unwrap().unwrap().mode, 0o750);
        assert_eq!(local.stat(&path("nothing"), &cancel).unwrap(), None);
        let names: Vec<String> = local.list(&path("a b"), &cancel).unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["'c'", "ü"]);
        assert_eq!(local.read_file(&path("nothing"), 1, &cancel).unwrap_err().kind, Kind::NotFound);
        assert_eq!(local.read_file("/dev/zero", 1000, &cancel).unwrap_err().kind, Kind::Malformed, "no end is no excuse");
    }

    #[test]
    fn a_file_is_not_copied_onto_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "kept").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for to in [&file, &link] {
            let error = Local::new().send(&file, to.to_str().unwrap(), &Cancel::new()).unwrap_err();
            assert!(error.kind == Kind::Malformed && error.what.ends_with("both are the same file"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        }
    }

    #[test]
    fn a_named_pipe_without_another_side_does_not_hold_us_up() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let path = pipe.to_str().unwrap();
        assert_eq!(Local::new().read_file(path, 10, &Cancel::new()).unwrap(), b"");
        let error = Local::new().write_file(path, b"x", 0o644, &Cancel::new()).unwrap_err();
        assert!(error.kind == Kind::Refused && error.what.contains(path), "{error}");
        // With a writer that says nothing, the flag ends it.
        let _silent = File::options().read(true).write(true).open(&pipe).unwrap();
        let limited = Cancel::new().child_with_limit("reading", Duration::from_millis(100));
        assert_eq!(Local::new().read_file(path, 10, &limited).unwrap_err().kind, Kind::Timeout);
    }
}
