//! What can go wrong between the owner thread and a caller, and how it is told: machine, user, command, how long, what to try.

use super::Target;
use super::link::Refusal;
use crate::error::{Blame, Details, Error, Kind};
use crate::wire::error as machine_error;
use std::time::Duration;

/// A failure as the owner thread sees it, before a caller's command and time are known.
#[derive(Clone)]
pub(super) enum Fault {
    /// The connection ended before the request could have had an effect: it may be sent again.
    NotBegun,
    /// Never connected, or never let in.
    Connect(Refusal),
    /// The connection ended in the middle.
    Lost(String),
    /// The server, or a file system, said no.
    Refused(Refusal),
    /// Something on this side: a local file.
    Here(Error),
    /// The caller has left; nobody will read this.
    Abandoned,
}

/// What a caller was doing when it failed.
pub(super) struct Doing<'a> {
    pub target: &'a Target,
    pub machine: &'a str,
    pub command: &'a str,
    pub took: Duration,
}

impl Doing<'_> {
    pub fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Connect(r) => self.say(r.kind, &r.why).blame(Blame::Lab).help(r.help.unwrap_or_else(|| self.look())),
            Fault::Lost(why) => {
                let what = format!("connection to {} lost: {why}", self.machine);
                let help = format!(
                    "did the machine go down, or was its network or sshd restarted? Look at its console; {}. The next command connects anew",
                    self.look()
                );
                self.say(Kind::Unreachable, &what).blame(Blame::Product).help(help)
            }
            Fault::Refused(r) => {
                let error = self.say(r.kind, &r.why);
                match r.help {
                    Some(help) => error.help(help),
                    None => error,
                }
            }
            Fault::Here(error) => error,
            Fault::NotBegun => self
                .say(Kind::Unreachable, &format!("connections to {} end before they can be used", self.machine))
                .blame(Blame::Lab)
                .help(self.look()),
            Fault::Abandoned => self.say(Kind::Internal, "given up although somebody waited"),
        }
    }

    /// The command did not end within its limit.
    pub fn timeout(&self, limit: Duration) -> Error {
        let what = format!("did not end within {}", crate::unit::show_duration(limit));
        self.say(Kind::Timeout, &what).blame(Blame::Product).help(
            "give it more time, or look at what it waits for; a command that leaves a process behind must send that one's output elsewhere: `cmd >/dev/null 2>&1 &`",
        )
    }

    /// The time was over before there was a connection.
    pub fn no_connection(&self, limit: Duration) -> Error {
        let what = format!("no connection to {} within {}", self.machine, crate::unit::show_duration(limit));
        self.say(Kind::Unreachable, &what).blame(Blame::Lab).help(self.look())
    }

    /// Nothing at all came any more.
    pub fn silence(&self, limit: Duration) -> Error {
        let what = format!("{} has not answered for {}", self.machine, crate::unit::show_duration(limit));
        self.say(Kind::Timeout, &what).blame(Blame::Product).help(self.look())
    }

    /// Somebody else's limit or wish ended it: their words, with the place.
    pub fn stopped(&self, error: &Error) -> Error {
        self.say(error.kind, &error.what).blame(error.blame)
    }

    fn say(&self, kind: Kind, what: &str) -> Error {
        let place = format!("{}@{}", self.target.user, self.machine);
        let details = Details { machine: self.machine.to_string(), command: self.command.to_string(), ..Details::default() };
        machine_error(kind, &place, self.command, self.took, what).details(details)
    }

    fn look(&self) -> String {
        format!("try `ssh -v -p {} {}@{}` from here", self.target.port, self.target.user, self.target.host)
    }
}

/// A codes of libssh2 after which the connection is of no more use. The rest are answers to one request.
pub(super) fn is_broken(error: &ssh2::Error) -> bool {
    match error.code() {
        ssh2::ErrorCode::SFTP(code) => matches!(code, 6 | 7),
        // File, channel failure, request denied, closed, end sent, SFTP status, invalid, bad use, window full.
        ssh2::ErrorCode::Session(code) => !matches!(code, -16 | -21 | -22 | -26 | -27 | -31 | -34 | -39 | -47),
    }
}

pub(super) fn would_block(error: &ssh2::Error) -> bool {
    error.code() == ssh2::ErrorCode::Session(-37)
}

/// The words of libssh2 for a connection that ended, in those of people.
pub(super) fn ending(error: &ssh2::Error) -> String {
    match error.code() {
        ssh2::ErrorCode::Session(-13 | -43) => "the other side closed it".into(),
        ssh2::ErrorCode::Session(-7) => "nothing can be sent to it any more".into(),
        ssh2::ErrorCode::Session(-9 | -30) => "it does not answer".into(),
        ssh2::ErrorCode::Session(code) => format!("{} (libssh2 error {code})", error.message()),
        ssh2::ErrorCode::SFTP(_) => error.message().into(),
    }
}

/// This process can have no more threads or descriptors.
pub(super) fn exhausted(error: &std::io::Error) -> Error {
    Error::new(Kind::Internal, format!("cannot start an SSH connection: {error}"))
        .help("too many open files or threads: see `ulimit -n -u`, or use fewer workers")
}
