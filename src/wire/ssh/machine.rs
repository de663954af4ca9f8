//! The caller's side: hands requests to the owner thread and waits for the answer, the limit or the flag.

use super::fault::{Doing, Fault};
use super::link::{Answer, Done, Link, News, Notes, Request, Stream, Streams, Ticket, Work};
use super::owner::Owner;
use super::{Target, link};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use crate::wire::{Captured, Command, Entry, Output, Transport};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a request that had not begun when its connection ended is given to a new one.
const TRIES: usize = 3;

/// The longest text of a command: libssh2 sends it in one packet, of at most 35000 bytes with all that goes around it.
const LONGEST: usize = 32_000;

/// How long file work may stand still before the machine counts as silent.
const QUIET: Duration = Duration::from_secs(60);

/// A machine over SSH. It is connected by the first call.
pub struct Ssh {
    target: Arc<Target>,
    machine: String,
    notes: Arc<Notes>,
    link: Mutex<Option<Arc<Link>>>,
}

impl Ssh {
    pub fn new(target: Target) -> Ssh {
        let machine = target.machine();
        Ssh { target: Arc::new(target), machine, notes: Arc::default(), link: Mutex::default() }
    }

    /// What the server says it is (`SSH-2.0-OpenSSH_9.2p1`), from the connection there is or a new one.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn server(&self, cancel: &Cancel) -> Result<String> {
        self.file("log in", &Work::Knock, cancel)?;
        Ok(self.notes.server().unwrap_or_default())
    }

    /// The connection there is, or a new one.
    fn link(&self) -> Result<Arc<Link>> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = link.as_ref().filter(|l| !l.standing.is_gone()) {
            return Ok(link.clone());
        }
        let (target, notes) = (self.target.clone(), self.notes.clone());
        let new = Arc::new(Link::start(|requests, wake, standing| Owner { target, notes, requests, wake, standing }.run())?);
        *link = Some(new.clone());
        Ok(new)
    }

    /// Work on files: as long as something moves, it may take as long as the flag allows.
    fn file(&self, what: &str, work: &Work, cancel: &Cancel) -> Result<Done> {
        let wait = Wait { what, started: Instant::now(), limit: None, cancel };
        let ticket = || Ok(Ticket::new(Streams::default()));
        self.call(work, ticket, &wait).map_err(|(error, _)| error)
    }

    /// Sends a request until it was begun, and waits for it.
    fn call(
        &self,
        work: &Work,
        ticket: impl Fn() -> Result<Arc<Ticket>>,
        wait: &Wait,
    ) -> Result<Done, (Error, Option<Arc<Ticket>>)> {
        for _ in 0..TRIES {
            wait.cancel.check().map_err(|e| (self.doing(wait).stopped(&e), None))?;
            let (link, ticket) = self.link().and_then(|link| ticket().map(|t| (link, t))).map_err(|e| (e, None))?;
            let (to, news) = channel();
            let _guard = wait.cancel.on_raise({
                let to = to.clone();
                move || {
                    // It fails when the caller has left already.
                    let _ = to.send(News::Raised);
                }
            });
            link.request(Request { work: work.clone(), ticket: ticket.clone(), answer: Answer::new(to, &ticket) });
            match self.wait(&link, &news, wait) {
                Ok(Err(Fault::NotBegun)) => {}
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(fault)) => return Err((self.doing(wait).error(fault), Some(ticket))),
                Err(error) => {
                    ticket.abandon();
                    link.wake.ring();
                    return Err((error, Some(ticket)));
                }
            }
        }
        Err((self.doing(wait).error(Fault::NotBegun), None))
    }

    /// The answer, or why it is waited for no longer.
    fn wait(&self, link: &Link, news: &Receiver<News>, wait: &Wait) -> Result<Result<Done, Fault>> {
        let (mut steps, mut moved) = (link.standing.steps(), Instant::now());
        loop {
            let quiet = if wait.limit.is_none() { Some(moved + QUIET) } else { None };
            let until = wait.end().into_iter().chain(wait.cancel.deadline()).chain(quiet).min();
            let left = until.map_or(QUIET, |at| at.saturating_duration_since(Instant::now()));
            match news.recv_timeout(left) {
                Ok(News::Done(result)) => return Ok(result),
                Ok(News::Raised) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(Fault::NotBegun)),
            }
            wait.cancel.check().map_err(|e| self.doing(wait).stopped(&e))?;
            let now = Instant::now();
            if let Some(limit) = wait.limit.filter(|_| wait.end().is_some_and(|end| now >= end)) {
                let doing = self.doing(wait);
                return Err(if link.standing.is_connected() { doing.timeout(limit) } else { doing.no_connection(limit) });
            }
            if steps != link.standing.steps() {
                (steps, moved) = (link.standing.steps(), now);
            } else if wait.limit.is_none() && now >= moved + QUIET {
                // Whoever waits in line behind this would wait in vain as well. What runs may go on.
                link.retire();
                return Err(self.doing(wait).silence(QUIET));
            }
        }
    }

    fn doing<'a>(&'a self, wait: &'a Wait) -> Doing<'a> {
        Doing { target: &self.target, machine: &self.machine, command: wait.what, took: wait.started.elapsed() }
    }
}

/// How long a call waits, and what for.
struct Wait<'a> {
    what: &'a str,
    started: Instant,
    limit: Option<Duration>,
    cancel: &'a Cancel,
}

impl Wait<'_> {
    fn end(&self) -> Option<Instant> {
        self.limit.and_then(|limit| self.started.checked_add(limit))
    }
}

impl Transport for Ssh {
    fn machine(&self) -> &str {
        &self.machine
    }

    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        if command.text.contains('\0') {
            return Err(Error::new(Kind::Malformed, "a command cannot contain a NUL byte").help("send it by stdin or as a file"));
        }
        if command.text.len() > LONGEST {
            let what = format!("a command of {} bytes is too long for SSH: at most {LONGEST}", command.text.len());
            return Err(Error::new(Kind::Malformed, what).help("send it by stdin (`sh` with `input`) or as a file, and run that"));
        }
        let work = Work::Exec { text: command.text.clone(), stdin: Arc::new(command.stdin.clone()) };
        let wait = Wait { what: &command.text, started: Instant::now(), limit: Some(command.timeout), cancel };
        let last = std::cell::RefCell::new(None);
        let ticket = || {
            let ticket = Ticket::new(streams(command)?);
            *last.borrow_mut() = Some(ticket.clone());
            Ok(ticket)
        };
        let result = self.call(&work, ticket, &wait);
        let streams = last.borrow().as_ref().map(|ticket| std::mem::take(&mut *ticket.streams())).unwrap_or_default();
        match result {
            Ok(Done::Ended { status, took }) => {
                Ok(Output { stdout: streams.stdout.kept, stderr: streams.stderr.kept, status, took })
            }
            Ok(_) => Err(Error::new(Kind::Internal, "a command was answered with something else")),
            Err((mut error, _)) => {
                if let Some(details) = &mut error.details {
                    details.stdout = streams.stdout.kept.tail(4096);
                    details.stderr = streams.stderr.kept.tail(4096);
                }
                Err(error)
            }
        }
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        match self.file(&format!("read {path}"), &Work::Read { path: path.into(), limit }, cancel)? {
            Done::Bytes(bytes) => Ok(bytes),
            _ => Err(mixed_up()),
        }
    }

    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        let work = Work::Write { path: path.into(), data: Arc::new(data.to_vec()), mode };
        self.file(&format!("write {path}"), &work, cancel).map(|_| ())
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        let work = Work::Send { local: local.into(), remote: remote.into() };
        match self.file(&format!("send {} to {remote}", local.display()), &work, cancel)? {
            Done::Count(bytes) => Ok(bytes),
            _ => Err(mixed_up()),
        }
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        let work = Work::Fetch { remote: remote.into(), local: local.into() };
        match self.file(&format!("fetch {remote} to {}", local.display()), &work, cancel)? {
            Done::Count(bytes) => Ok(bytes),
            _ => Err(mixed_up()),
        }
    }

    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        match self.file(&format!("stat {path}"), &Work::Stat { path: path.into() }, cancel)? {
            Done::Found(entry) => Ok(entry),
            _ => Err(mixed_up()),
        }
    }

    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        match self.file(&format!("list {path}"), &Work::List { path: path.into() }, cancel)? {
            Done::Entries(entries) => Ok(entries),
            _ => Err(mixed_up()),
        }
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.file(&format!("make directory {path}"), &Work::MakeDir { path: path.into() }, cancel).map(|_| ())
    }

    fn hang_up(&self) {
        if let Some(link) = self.link.lock().unwrap_or_else(PoisonError::into_inner).take() {
            link.hang_up();
        }
    }

    fn shell_start(&self) -> Option<f64> {
        self.notes.shell_start()
    }

    fn warnings(&self) -> Vec<String> {
        self.notes.take()
    }
}

fn mixed_up() -> Error {
    Error::new(Kind::Internal, "a file request was answered with something else")
}

/// Where a command's output goes. Its files are emptied anew for each try.
fn streams(command: &Command) -> Result<Streams> {
    let open = |path: &Option<std::path::PathBuf>| {
        let file = path.as_ref().map(|path| {
            File::create(path).map(|file| (file, path.clone())).at(format_args!("write the output to `{}`", path.display()))
        });
        Ok::<_, Error>(Stream { kept: Captured::new(command.keep), file: file.transpose()? })
    };
    Ok(link::Streams { stdout: open(&command.stdout_file)?, stderr: open(&command.stderr_file)? })
}
