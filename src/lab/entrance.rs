//! The way into a machine of which only the address is known: what answers there is found out when it is first needed.
//!
//! The SSH server and the execution daemon of Windows are asked side by side. A POSIX shell is taken at once; the daemon is preferred to
//! an SSH server of Windows, because it runs on the desktop.

use crate::error::{Error, Kind, Result};
use crate::time::{Cancel, Stop};
use crate::wire::execd::Execd;
use crate::wire::powershell::PowerShell;
use crate::wire::ssh::Ssh;
use crate::wire::windows::{DAEMON_PORT, Windows};
use crate::wire::{Command, Entry, Output, Transport};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the SSH server of Windows has in its banner.
const WINDOWS_SSH: &str = "for_Windows";

/// How long the daemon is waited for where an SSH server of Windows has answered.
const DAEMON_GRACE: Duration = Duration::from_secs(5);

/// A transport that knows what it leads to once it has been there.
pub(super) struct Entrance {
    ssh: Arc<Ssh>,
    /// Nothing where only SSH can be meant.
    daemon: Option<Execd>,
    inside: Mutex<Option<Arc<dyn Transport>>>,
}

/// What one of the two said.
enum Heard {
    /// The banner of the SSH server.
    Ssh(Result<String>),
    Daemon(Result<()>),
}

impl Entrance {
    pub fn new(ssh: Ssh, daemon: Option<Execd>) -> Entrance {
        Entrance { ssh: Arc::new(ssh), daemon, inside: Mutex::default() }
    }

    fn through<T>(&self, cancel: &Cancel, work: impl FnOnce(&dyn Transport) -> Result<T>) -> Result<T> {
        let known = self.lock().clone();
        let inside = match known {
            Some(inside) => inside,
            None => {
                let found = self.find(cancel)?;
                self.lock().insert(found).clone()
            }
        };
        let result = work(&*inside);
        if result.as_ref().is_err_and(|error| error.kind == Kind::Unreachable) {
            // When it comes back, it may be another system.
            *self.lock() = None;
        }
        result
    }

    fn find(&self, cancel: &Cancel) -> Result<Arc<dyn Transport>> {
        let Some(daemon) = &self.daemon else { return self.ssh.server(cancel).map(|banner| self.by_ssh(&banner)) };
        let stop = cancel.child();
        let (to, heard) = channel();
        std::thread::scope(|scope| {
            let (also, asked) = (to.clone(), stop.clone());
            scope.spawn(move || also.send(Heard::Ssh(self.ssh.server(&asked))));
            let asked = stop.clone();
            scope.spawn(move || to.send(Heard::Daemon(daemon.is_alive(&asked))));
            let found = self.choose(daemon, &heard);
            // Whoever has not answered is no longer asked.
            stop.raise(Stop::User);
            found
        })
        .map_err(|error| cancel.check().err().unwrap_or(error))
    }

    fn choose(&self, daemon: &Execd, heard: &std::sync::mpsc::Receiver<Heard>) -> Result<Arc<dyn Transport>> {
        let mut refusals = Vec::new();
        while let Ok(news) = heard.recv() {
            match news {
                Heard::Daemon(Ok(())) => return Ok(Arc::new(daemon.clone())),
                Heard::Ssh(Ok(banner)) if banner.contains(WINDOWS_SSH) && refusals.is_empty() => {
                    let grace = heard.recv_timeout(DAEMON_GRACE);
                    return Ok(match grace {
                        Ok(Heard::Daemon(Ok(()))) => Arc::new(daemon.clone()),
                        _ => self.by_ssh(&banner),
                    });
                }
                Heard::Ssh(Ok(banner)) => return Ok(self.by_ssh(&banner)),
                // A refused login says more than a silent daemon.
                Heard::Ssh(Err(error)) => refusals.insert(0, error),
                Heard::Daemon(Err(error)) => refusals.push(error),
            }
        }
        let Some(first) = refusals.into_iter().next() else { return Err(Error::new(Kind::Internal, "nobody was asked")) };
        if first.kind != Kind::Unreachable {
            return Err(first);
        }
        Err(Error { what: format!("{}; nor does an execution daemon answer on port {DAEMON_PORT}", first.what), ..first })
    }

    fn by_ssh(&self, banner: &str) -> Arc<dyn Transport> {
        if banner.contains(WINDOWS_SSH) { Arc::new(PowerShell::new(self.ssh.clone())) } else { self.ssh.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<dyn Transport>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Entrance {
    fn machine(&self) -> &str {
        self.ssh.machine()
    }

    /// Finding out what answers is part of the command's limit.
    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        if self.lock().is_some() {
            return self.through(cancel, |t| t.exec(command, cancel));
        }
        let own = cancel.child_with_limit("answer", command.timeout);
        self.through(&own, |t| t.exec(command, cancel)).map_err(|error| {
            if error.kind != Kind::Timeout || !own.is_raised() || cancel.is_raised() || self.lock().is_some() {
                return error;
            }
            let limit = crate::unit::show_duration(command.timeout);
            Error::new(Kind::Unreachable, format!("nobody answers on {} within {limit}", self.machine()))
                .help("is the machine up, the address right, a firewall in between?")
        })
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.through(cancel, |t| t.read_file(path, limit, cancel))
    }

    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        self.through(cancel, |t| t.write_file(path, data, mode, cancel))
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        self.through(cancel, |t| t.send(local, remote, cancel))
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        self.through(cancel, |t| t.fetch(remote, local, cancel))
    }

    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        self.through(cancel, |t| t.stat(path, cancel))
    }

    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.through(cancel, |t| t.list(path, cancel))
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.through(cancel, |t| t.make_dir(path, cancel))
    }

    fn hang_up(&self) {
        self.ssh.hang_up();
    }

    fn shell_start(&self) -> Option<f64> {
        self.ssh.shell_start()
    }

    fn warnings(&self) -> Vec<String> {
        let mut all = self.ssh.warnings();
        all.extend(self.daemon.iter().flat_map(Transport::warnings));
        all
    }

    fn windows(&self, cancel: &Cancel) -> Result<Option<Arc<dyn Windows>>> {
        self.through(cancel, |t| t.windows(cancel))
    }
}
