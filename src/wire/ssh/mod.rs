//! A machine over SSH: one connection, owned by one thread, used by any number of callers side by side.
//!
//! A call becomes a request to the owner thread; the caller waits for its answer, its limit or its flag, whichever is first, and so
//! never hangs on a machine that went silent. The owner drives each request as a job: a plain `async` function that is polled by hand
//! whenever the socket or a caller has news. There is no runtime.
//!
//! Never true here: that a second thread touches the session (libssh2 corrupts the connection), that a job sleeps or blocks, that a
//! request which may have had an effect is sent twice.
//!
//! # What happens to a command that is given up
//! At its limit, or when the flag is raised, the caller leaves at once with what came so far. The channel is then closed, so that the
//! command gets an end of file or a broken pipe. Where the login is root on Linux, the processes of the command's group are told to
//! end as well: TERM, and KILL two seconds later. What has left that group (`setsid`) goes on. The connection stays usable.
//!
//! To add a kind of request: a variant of [`link::Work`] and a job for it in `owner.rs`.

mod command;
mod desk;
mod fault;
mod file;
mod hostkey;
mod link;
mod login;
mod machine;
mod owner;
mod sftp;

pub use machine::Ssh;

use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// Where to go, and how to get in.
#[derive(Clone, Debug)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Tried in this order.
    pub logins: Vec<Login>,
    pub host_keys: HostKeys,
    /// Where host keys are recorded, in OpenSSH's format. Without it nothing is recorded.
    pub known_hosts: Option<PathBuf>,
    /// For reaching the machine and agreeing on keys; then anew for each login that is tried.
    pub connect_timeout: Duration,
}

impl Target {
    /// The machine as shown to people: the port only where it is not the usual one.
    pub fn machine(&self) -> String {
        match (self.port, self.host.contains(':')) {
            (22, _) => self.host.clone(),
            (port, true) => format!("[{}]:{port}", self.host),
            (port, false) => format!("{}:{port}", self.host),
        }
    }
}

/// A way to prove who we are.
#[derive(Clone, Debug)]
pub enum Login {
    Password(Secret),
    KeyFile {
        path: PathBuf,
        passphrase: Option<Secret>,
    },
    /// The keys that the running ssh-agent holds.
    Agent,
}

/// What to think of the key by which a machine proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// Only a recorded key will do.
    Strict,
    /// A new machine is recorded; a changed key is a warning: lab machines are installed anew all the time.
    Warn,
    /// Nothing is looked at, nothing recorded.
    Ignore,
}
