//! The inside of a Windows machine by the execution daemon: XML-RPC on port 8936, one connection a call, no login.
//!
//! The daemon joins standard output and standard error, and a command of it gets no standard input of its own: one that is given is put
//! into a file there. Its answers may hold bytes that XML does not allow; they are mended before they are read.
//!
//! Never true here: that a command is started twice. A call that broke may have happened, so only questions about a command under way
//! are asked again.
//!
//! # Source
//! `reference/library.md` 9.1.

mod call;
mod command;
mod file;
mod inside;
mod uu;

use super::http::Http;
use super::windows::{DAEMON_PORT, Windows};
use super::{Command, Entry, Output, Transport};
use crate::error::{Error, Kind, Result};
use crate::time::Cancel;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The execution daemon of one machine. Clones are the same.
#[derive(Clone)]
pub struct Execd(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    /// As shown to people.
    machine: String,
    connect_timeout: Duration,
    http: OnceLock<Result<Http>>,
    warnings: Mutex<Vec<String>>,
}

impl Execd {
    /// Nothing is connected yet.
    pub fn new(host: &str, port: u16, connect_timeout: Duration) -> Execd {
        let machine = match (port, host.contains(':')) {
            (DAEMON_PORT, _) => host.to_string(),
            (_, true) => format!("[{host}]:{port}"),
            (_, false) => format!("{host}:{port}"),
        };
        let (http, warnings) = (OnceLock::new(), Mutex::default());
        Execd(Arc::new(Inner { host: host.to_string(), port, machine, connect_timeout, http, warnings }))
    }

    /// Whether the daemon answers.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`; `Malformed` when something else listens there.
    pub fn is_alive(&self, cancel: &Cancel) -> Result<()> {
        self.ask("isAlive", Vec::new(), cancel).map(drop)
    }

    /// The methods that the daemon has, as it lists them.
    ///
    /// # Errors
    /// As [`Execd::is_alive`].
    pub fn methods(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let listed = self.ask("system.listMethods", Vec::new(), cancel)?;
        self.texts("system.listMethods", listed)
    }

    fn warn(&self, text: String) {
        self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

impl Transport for Execd {
    fn machine(&self) -> &str {
        &self.0.machine
    }

    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        command::run(self, command, cancel)
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        file::read(self, path, limit, cancel)
    }

    /// Windows has no permission bits: `mode` is passed over.
    fn write_file(&self, path: &str, data: &[u8], _: u32, cancel: &Cancel) -> Result<()> {
        file::write(self, path, data, cancel)
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        file::send(self, local, remote, cancel)
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        file::fetch(self, remote, local, cancel)
    }

    /// The daemon does not say how large a file is: `size` is 0.
    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        file::stat(self, path, cancel)
    }

    /// As for `stat`; names that begin with a dot are among them.
    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        file::list(self, path, cancel)
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        file::make_dir(self, path, cancel)
    }

    /// There is no connection between two calls.
    fn hang_up(&self) {}

    fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn windows(&self, _: &Cancel) -> Result<Option<Arc<dyn Windows>>> {
        Ok(Some(Arc::new(self.clone())))
    }
}

fn odd(daemon: &Execd, method: &str, said: &impl std::fmt::Debug) -> Error {
    let said = crate::context::clip(&format!("{said:?}"), 100);
    let what = format!("`{method}` of the execution daemon on {} said {said}, which cannot be read", daemon.machine());
    Error::new(Kind::Malformed, what).blame(crate::error::Blame::Lab)
}
