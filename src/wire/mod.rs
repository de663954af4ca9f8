//! The ways to reach the inside of a machine: SSH, the execution daemon of Windows, PowerShell, or this machine itself; and the ways to
//! what answers HTTP, and to what takes mail.
//!
//! Never true here: that anything waits without a limit, retries on its own account, publishes an event or knows what a guest is.
//! Each call does one thing when asked and says how it went.
//!
//! To add a way: one file with a type that implements [`Transport`].

pub mod execd;
pub mod http;
pub mod local;
pub mod mail;
pub mod powershell;
mod record;
mod runtime;
pub mod serve;
pub mod ssh;
pub mod tls;
pub mod windows;
pub mod xmlrpc;

use crate::error::{Details, Error, Kind, Result};
use crate::time::Cancel;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Reaches one machine. Shared by threads; calls run side by side.
pub trait Transport: Send + Sync {
    /// The machine as shown to people: "10.0.0.5", "this machine".
    fn machine(&self) -> &str;

    /// Runs a command in the machine's shell and waits for its end, its limit, or the flag.
    ///
    /// # Errors
    /// `Unreachable` (never connected, or lost in mid-command), `Timeout`, `Cancelled`, `Refused` (login). A command that ends with a
    /// status other than 0 is no error here.
    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output>;

    /// # Errors
    /// `NotFound`, `Refused`, `Unreachable`, `Timeout`; `Malformed` when the file is larger than `limit` bytes.
    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>>;

    /// Writes (and replaces) a file; `mode` are its permission bits.
    ///
    /// # Errors
    /// As for `read_file`.
    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()>;

    /// Copies a file of this machine there; returns the bytes copied.
    ///
    /// # Errors
    /// As for `read_file`.
    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64>;

    /// Copies a file from there to this machine; returns the bytes copied.
    ///
    /// # Errors
    /// As for `read_file`.
    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64>;

    /// What stands at a path; nothing when there is nothing. Links are followed.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>>;

    /// The entries of a directory, without `.` and `..`, sorted by name. Links are not followed.
    ///
    /// # Errors
    /// As for `read_file`.
    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>>;

    /// Makes a directory and those above it; it may exist already.
    ///
    /// # Errors
    /// As for `read_file`.
    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()>;

    /// Ends the connection, if there is one; the next call makes a new one. For a machine that is about to go down.
    fn hang_up(&self);

    /// How long the machine's shell takes to start, in seconds, where that was measured: what every command there costs.
    fn shell_start(&self) -> Option<f64> {
        None
    }

    /// Warnings about the way there (a changed host key, a slow shell), each given once.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What there is beyond these calls where Windows answers; nothing where a POSIX shell does. The machine is asked if need be.
    ///
    /// # Errors
    /// As for `stat`.
    fn windows(&self, _: &Cancel) -> Result<Option<Arc<dyn windows::Windows>>> {
        Ok(None)
    }
}

/// A command for a machine's shell.
#[derive(Clone, Debug)]
pub struct Command {
    pub text: String,
    pub stdin: Vec<u8>,
    /// How long it may take, connecting included.
    pub timeout: Duration,
    /// Where to put all of its output; what is kept in memory is bounded by `keep` either way.
    pub stdout_file: Option<PathBuf>,
    pub stderr_file: Option<PathBuf>,
    /// How many bytes of each stream are kept in memory: the first half and the last half of them.
    pub keep: usize,
}

impl Command {
    /// Bytes of each stream kept in memory when nobody says otherwise.
    pub const KEEP: usize = 8 << 20;

    pub fn new(text: impl Into<String>, timeout: Duration) -> Command {
        Command { text: text.into(), stdin: Vec::new(), timeout, stdout_file: None, stderr_file: None, keep: Command::KEEP }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    /// Killed by the signal of this name, without SIG ("KILL").
    Signalled(String),
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct Output {
    pub stdout: Captured,
    pub stderr: Captured,
    pub status: Status,
    pub took: Duration,
}

impl Output {
    pub fn is_success(&self) -> bool {
        self.status == Status::Exited(0)
    }

    /// The facts of a failed command for an error.
    pub fn details(&self, machine: &str, command: &str) -> Details {
        let (code, signal) = match &self.status {
            Status::Exited(code) => (Some(i64::from(*code)), None),
            Status::Signalled(name) => (None, Some(name.clone())),
        };
        Details {
            machine: machine.to_string(),
            command: command.to_string(),
            code,
            signal,
            stdout: self.stdout.tail(4096),
            stderr: self.stderr.tail(4096),
        }
    }
}

/// A stream's bytes, bounded: all of them up to a limit, then the first half and the last half of that limit.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    keep: usize,
    total: u64,
}

impl Captured {
    pub fn new(keep: usize) -> Captured {
        Captured { keep: keep.max(2), ..Captured::default() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = (self.keep / 2).saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let half = self.keep - self.keep / 2;
        let rest = &rest[rest.len().saturating_sub(half)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(half);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// Bytes that came, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether bytes in the middle were not kept.
    pub fn is_cut(&self) -> bool {
        self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// What was kept; where bytes are missing, a line says how many.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.head.clone();
        if self.is_cut() {
            let missing = self.total - (self.head.len() + self.tail.len()) as u64;
            all.extend_from_slice(format!("\n[… {missing} bytes not kept …]\n").as_bytes());
        }
        all.extend(&self.tail);
        all
    }

    /// As text; bytes that are not UTF-8 become the replacement character.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The last so many bytes as text.
    pub fn tail(&self, longest: usize) -> String {
        let all = self.bytes();
        String::from_utf8_lossy(&all[all.len().saturating_sub(longest)..]).into_owned()
    }
}

/// Something in a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last part of the path.
    pub name: String,
    pub kind: EntryKind,
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Directory,
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// An error about a machine, with what every such error says: machine, command, how long.
pub(crate) fn error(kind: Kind, machine: &str, command: &str, took: Duration, what: &str) -> Error {
    let shown = crate::context::clip(command, 200);
    let seconds = crate::unit::show_duration(took);
    Error::new(kind, format!("{what} (`{shown}` on {machine}, after {seconds})")).details(Details {
        machine: machine.to_string(),
        command: command.to_string(),
        ..Details::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_kept_whole_up_to_its_limit_and_bounded_beyond() {
        let mut small = Captured::new(10);
        small.push(b"01234");
        small.push(b"56789");
        assert_eq!((small.text().as_str(), small.is_cut()), ("0123456789", false));
        small.push(b"abc");
        assert_eq!(small.text(), "01234\n[… 3 bytes not kept …]\n89abc");
        let mut big = Captured::new(10);
        for _ in 0..1000 {
            big.push(b"xyz");
        }
        assert_eq!((big.total(), big.text().ends_with("zxyz")), (3000, true));
        assert_eq!(big.tail(2), "yz");
    }

    #[test]
    fn bytes_that_are_not_text_survive() {
        let mut captured = Captured::new(100);
        captured.push(&[0xff, b'a', 0x00]);
        assert_eq!(captured.bytes(), [0xff, b'a', 0x00]);
        assert_eq!(captured.text(), "\u{fffd}a\0");
    }
}
