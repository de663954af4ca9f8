//! What callers and the owner thread share: requests, answers, and the handle of one connection.

use super::fault::Fault;
use crate::error::{Kind, Result};
use crate::wire::{Captured, Entry, Status};
use std::fs::File;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a caller wants done. Cheap to clone: it is sent again when the connection turned out to be gone before it had begun.
#[derive(Clone)]
pub(super) enum Work {
    Exec {
        text: String,
        stdin: Arc<Vec<u8>>,
    },
    Read {
        path: String,
        limit: u64,
    },
    Write {
        path: String,
        data: Arc<Vec<u8>>,
        mode: u32,
    },
    Send {
        local: PathBuf,
        remote: String,
    },
    Fetch {
        remote: String,
        local: PathBuf,
    },
    Stat {
        path: String,
    },
    List {
        path: String,
    },
    MakeDir {
        path: String,
    },
    /// Nothing but the connection itself.
    Knock,
}

/// What came of it.
pub(super) enum Done {
    Ended { status: Status, took: Duration },
    Bytes(Vec<u8>),
    Count(u64),
    Found(Option<Entry>),
    Entries(Vec<Entry>),
    Made,
}

/// News for a waiting caller.
pub(super) enum News {
    Done(Result<Done, Fault>),
    /// The caller's flag was raised.
    Raised,
}

/// What a caller and the owner both know of one request.
#[derive(Default)]
pub(super) struct Ticket {
    /// From here on it may have had an effect.
    begun: AtomicBool,
    /// The caller has left.
    abandoned: AtomicBool,
    streams: Mutex<Streams>,
}

impl Ticket {
    pub fn new(streams: Streams) -> Arc<Ticket> {
        Arc::new(Ticket { streams: Mutex::new(streams), ..Ticket::default() })
    }

    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    pub fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command's two streams: what is kept of them, and the files that get all of them.
#[derive(Default)]
pub(super) struct Streams {
    pub stdout: Stream,
    pub stderr: Stream,
}

#[derive(Default)]
pub(super) struct Stream {
    pub kept: Captured,
    pub file: Option<(File, PathBuf)>,
}

impl Stream {
    /// # Errors
    /// The file cannot take more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        use crate::error::Whereabouts;
        self.kept.push(bytes);
        if let Some((file, path)) = &mut self.file {
            file.write_all(bytes).at(format_args!("write the output to `{}`", path.display()))?;
        }
        Ok(())
    }
}

pub(super) struct Request {
    pub work: Work,
    pub ticket: Arc<Ticket>,
    pub answer: Answer,
}

/// The way back to the caller. A request that is dropped unanswered, for whatever reason, still answers.
pub(super) struct Answer {
    to: Option<Sender<News>>,
    ticket: Arc<Ticket>,
}

impl Answer {
    pub fn new(to: Sender<News>, ticket: &Arc<Ticket>) -> Answer {
        Answer { to: Some(to), ticket: ticket.clone() }
    }

    pub fn give(mut self, result: Result<Done, Fault>) {
        if let Some(to) = self.to.take() {
            // A caller that has left does not listen.
            let _ = to.send(News::Done(result));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let begun = self.ticket.is_begun();
            let _ = to.send(News::Done(Err(if begun { Fault::Lost("it was ended".into()) } else { Fault::NotBegun })));
        }
    }
}

/// Wakes the owner thread out of its wait.
pub(super) struct Wake(OwnedFd);

impl Wake {
    pub fn new() -> std::io::Result<Wake> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Wake(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    pub fn ring(&self) {
        // It can only fail when the counter is full, and then the bell rings already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub fn hush(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How a connection stands, for both sides.
#[derive(Default)]
pub(super) struct Standing {
    /// Takes no more requests.
    gone: AtomicBool,
    /// Somebody asked for its end.
    hung_up: AtomicBool,
    connected: AtomicBool,
    /// Counts what moved that no single caller would see: login tries, file blocks.
    steps: AtomicU64,
    socket: Mutex<Option<Arc<TcpStream>>>,
}

impl Standing {
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub fn is_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Acquire)
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    pub fn set_connected(&self) {
        self.connected.store(true, Ordering::Release);
    }

    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Says which socket it is, so that it can be shut from outside while a thread waits on it.
    pub fn uses(&self, socket: &Arc<TcpStream>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.clone());
    }

    pub fn shut(&self) {
        if let Some(socket) = &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            // It fails when the other side was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// What a machine's connections leave behind for people.
#[derive(Default)]
pub(super) struct Notes {
    warnings: Mutex<Vec<String>>,
    shell_start: Mutex<Option<f64>>,
    shell_settled: AtomicBool,
    server: Mutex<Option<String>>,
}

impl Notes {
    pub fn warn(&self, text: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn shell_start(&self) -> Option<f64> {
        *self.shell_start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_shell_start(&self, seconds: f64) {
        *self.shell_start.lock().unwrap_or_else(PoisonError::into_inner) = Some(seconds);
    }

    /// What the server said it is, when it was last connected to.
    pub fn server(&self) -> Option<String> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_server(&self, banner: &str) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(banner.to_string());
    }

    /// True for the first who asks: whether the shell's start still has to be looked at.
    pub fn settle_shell(&self) -> bool {
        !self.shell_settled.swap(true, Ordering::Relaxed)
    }
}

/// A connection as its callers hold it. Dropping the last one lets the owner thread end.
pub(super) struct Link {
    requests: Sender<Request>,
    pub wake: Arc<Wake>,
    pub standing: Arc<Standing>,
}

impl Link {
    /// # Errors
    /// `Internal`: no thread or no descriptor is to be had.
    pub fn start(owner: impl FnOnce(Receiver<Request>, Arc<Wake>, Arc<Standing>) + Send + 'static) -> Result<Link> {
        let wake = Arc::new(Wake::new().map_err(|e| super::fault::exhausted(&e))?);
        let standing = Arc::new(Standing::default());
        let (requests, receiver) = channel();
        let parts = (wake.clone(), standing.clone());
        std::thread::Builder::new()
            .name("ssh".into())
            .stack_size(512 << 10)
            .spawn(move || owner(receiver, parts.0, parts.1))
            .map_err(|e| super::fault::exhausted(&e))?;
        Ok(Link { requests, wake, standing })
    }

    /// Hands a request over. One that comes too late answers for itself when it is dropped.
    pub fn request(&self, request: Request) {
        let _ = self.requests.send(request);
        self.wake.ring();
    }

    /// Takes no more requests; what has begun goes on.
    pub fn retire(&self) {
        self.standing.leave();
        self.wake.ring();
    }

    pub fn hang_up(&self) {
        self.standing.leave();
        self.standing.hung_up.store(true, Ordering::Release);
        self.standing.shut();
        self.wake.ring();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The owner looks for requests when it is woken, and then finds that none can come any more.
        drop(std::mem::replace(&mut self.requests, channel().0));
        self.wake.ring();
    }
}

/// Words of a file system's refusal.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub kind: Kind,
    pub why: String,
    pub help: Option<String>,
}
