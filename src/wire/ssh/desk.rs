//! What the jobs of one connection share, and the two ways in which they wait for libssh2.
//!
//! libssh2 keeps some of its state in the session and not in the channel, so jobs take turns: one opens a channel at a time, one
//! uses SFTP at a time. All of this lives on the owner thread; a job is polled in turn, never from two sides.

use super::fault::{Fault, ending, is_broken, would_block};
use super::link::{Refusal, Standing, Ticket};
use crate::error::Kind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, Channel, Session, Sftp};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a server may refuse channels while none of ours is open before the connection counts as used up.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How soon a refused channel is asked for again when nothing has ended meanwhile.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Desk {
    pub session: Session,
    pub socket: Arc<TcpStream>,
    pub standing: Arc<Standing>,
    /// Since when somebody has been opening a channel or SFTP.
    pub opening: Cell<Option<Instant>>,
    /// Channels in use, SFTP's included.
    pub open: Cell<usize>,
    /// The last refusal of a channel: when, and how many were open.
    pub refused: Cell<Option<(Instant, usize)>>,
    pub sftp_busy: Cell<bool>,
    pub sftp: RefCell<Option<Sftp>>,
    /// The server has ended SFTP: the next who wants it opens it anew.
    pub sftp_ended: Cell<bool>,
    /// A command was given up: what it left there should be ended.
    pub orphans: Cell<bool>,
    /// libssh2 was called since the owner last waited, so the socket was read.
    pub called: Cell<bool>,
    /// A job waits until it can send.
    pub wants_to_send: Cell<bool>,
    /// Something has changed for jobs that were already polled: poll them once more before waiting.
    pub again: Cell<bool>,
    buffer: RefCell<Vec<u8>>,
}

impl Desk {
    pub fn new(session: Session, socket: Arc<TcpStream>, standing: Arc<Standing>) -> Rc<Desk> {
        Rc::new(Desk {
            session,
            socket,
            standing,
            opening: Cell::default(),
            open: Cell::default(),
            refused: Cell::default(),
            sftp_busy: Cell::default(),
            sftp: RefCell::default(),
            sftp_ended: Cell::default(),
            orphans: Cell::default(),
            called: Cell::default(),
            wants_to_send: Cell::default(),
            again: Cell::default(),
            buffer: RefCell::default(),
        })
    }

    /// Whether a packet of ours is only half sent. Until it is out, nobody but its sender may call libssh2.
    pub fn is_sending(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Whether a small packet will go out in one piece; if not, the owner waits for that as well.
    pub fn is_writable(&self) -> bool {
        let mut fds = [PollFd::new(&*self.socket, PollFlags::OUT)];
        let writable = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|n| n > 0);
        self.wants_to_send.set(self.wants_to_send.get() || !writable);
        writable
    }

    /// Calls until it is done.
    pub async fn finish<T>(&self, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Fault> {
        poll_fn(|_| {
            self.called.set(true);
            match call() {
                Err(e) if would_block(&e) => Poll::Pending,
                other => Poll::Ready(other.map_err(|e| self.fault(&e))),
            }
        })
        .await
    }

    /// Calls once, and again only as long as its packet is half sent; nothing when there is nothing to do yet.
    pub async fn attempt<T>(&self, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<Option<T>, Fault> {
        poll_fn(|_| {
            self.called.set(true);
            match call() {
                Err(e) if would_block(&e) && self.is_sending() => Poll::Pending,
                Err(e) if would_block(&e) => Poll::Ready(Ok(None)),
                other => Poll::Ready(other.map(Some).map_err(|e| self.fault(&e))),
            }
        })
        .await
    }

    /// Waits until a small packet will go out in one piece. libssh2 builds some of them on its stack and could not finish them later.
    pub async fn writable(&self) {
        poll_fn(|_| if self.is_writable() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Lets the other jobs have their turn; `busy` when there is more to do at once.
    pub async fn pause(&self, busy: bool) {
        let mut first = true;
        poll_fn(|_| {
            if std::mem::take(&mut first) {
                self.again.set(self.again.get() || busy);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The reading and writing calls of the ssh2 crate with libssh2's own error.
    pub fn own<T>(&self, result: std::io::Result<T>) -> Result<T, ssh2::Error> {
        result.map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => ssh2::Error::from_errno(ssh2::ErrorCode::Session(-37)),
            _ => ssh2::Error::last_session_error(&self.session).unwrap_or_else(ssh2::Error::unknown),
        })
    }

    pub fn fault(&self, error: &ssh2::Error) -> Fault {
        if is_broken(error) {
            return Fault::Lost(ending(error));
        }
        Fault::Refused(Refusal { kind: Kind::Refused, why: format!("the server refused: {}", error.message()), help: None })
    }

    /// The one buffer that jobs read into; each uses it only between two waits.
    pub fn with_buffer<T>(&self, size: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut buffer = self.buffer.borrow_mut();
        if buffer.len() < size {
            // Fresh from the system, it takes memory only as far as it is used: a hundred idle machines are many.
            *buffer = vec![0; size];
        }
        work(&mut buffer[..size])
    }

    /// Opens a channel when it is this job's turn. A server that has enough of them is asked again when one has ended.
    ///
    /// # Errors
    /// `NotBegun` when it takes none although none is open: a fresh connection may do better.
    pub async fn open(self: &Rc<Desk>, ticket: &Ticket) -> Result<Slot, Fault> {
        let mut refused_alone: Option<Instant> = None;
        loop {
            let turn = self.turn(ticket).await?;
            let opened = self.finish_or_refused(|| self.session.channel_session()).await;
            drop(turn);
            match opened? {
                Some(channel) => return Ok(Slot::new(self, channel)),
                None if ticket.is_abandoned() => return Err(Fault::Abandoned),
                None => {}
            }
            self.refused.set(Some((Instant::now(), self.open.get())));
            if self.open.get() > 0 {
                refused_alone = None;
                self.release_sftp();
            } else if refused_alone.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return Err(Fault::NotBegun);
            }
        }
    }

    /// Waits for the turn to open something.
    pub async fn turn(self: &Rc<Desk>, ticket: &Ticket) -> Result<Turn, Fault> {
        poll_fn(|_| {
            if ticket.is_abandoned() {
                return Poll::Ready(Err(Fault::Abandoned));
            }
            let has_room = self.refused.get().is_none_or(|(at, open)| self.open.get() < open || at.elapsed() >= AGAIN);
            if self.opening.get().is_some() || !has_room {
                return Poll::Pending;
            }
            self.opening.set(Some(Instant::now()));
            Poll::Ready(Ok(Turn(self.clone())))
        })
        .await
    }

    /// As `finish`; nothing when the server refuses another channel.
    pub async fn finish_or_refused<T>(&self, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<Option<T>, Fault> {
        self.finish(|| match call() {
            // The same code stands for a channel refused and for a subsystem that is not there.
            Err(e) if e.code() == ssh2::ErrorCode::Session(-21) && !e.message().contains("SFTP subsystem") => Ok(None),
            other => other.map(Some),
        })
        .await
    }

    /// When a refused channel may be asked for again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.refused.get().map(|(at, _)| at + AGAIN).filter(|at| *at > Instant::now())
    }
}

/// The turn to open something, given back when dropped.
pub(super) struct Turn(Rc<Desk>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.opening.set(None);
        self.0.again.set(true);
    }
}

/// An open channel, counted.
pub(super) struct Slot {
    pub channel: Channel,
    desk: Rc<Desk>,
}

impl Slot {
    fn new(desk: &Rc<Desk>, channel: Channel) -> Slot {
        desk.open.set(desk.open.get() + 1);
        Slot { channel, desk: desk.clone() }
    }

    /// Ends the channel of a command that goes on. sshd answers only when the command has ended, so that is seen to first.
    pub async fn give_up(mut self) -> Result<(), Fault> {
        self.desk.writable().await;
        let Slot { channel, desk } = &mut self;
        let closed = desk.attempt(|| channel.close()).await?;
        desk.orphans.set(true);
        desk.again.set(true);
        if closed.is_none() {
            desk.finish(|| channel.close()).await?;
        }
        Ok(())
    }

    /// Ends the channel in order. Only then may it be dropped: dropping an open one would send half a packet.
    pub async fn close(mut self) -> Result<(), Fault> {
        self.desk.writable().await;
        let Slot { channel, desk } = &mut self;
        desk.finish(|| channel.close()).await
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.desk.open.set(self.desk.open.get().saturating_sub(1));
        self.desk.again.set(true);
    }
}
