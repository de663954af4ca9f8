//! The line from a machine to its network: it can be cut, as a power cut does, or go dead, as with a machine that hangs.

use futures_util::task::AtomicWaker;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const OPEN: u8 = 0;
const DEAD: u8 = 1;
const CUT: u8 = 2;

/// All lines of one machine since it was started.
#[derive(Default)]
pub(super) struct Lines {
    state: AtomicU8,
    lines: Mutex<Vec<Weak<Wakers>>>,
}

#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Lines {
    /// A line of this machine over a socket.
    pub fn line(self: &Arc<Lines>, socket: TcpStream) -> Line {
        let wakers = Arc::<Wakers>::default();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&wakers));
        Line { socket, lines: Arc::clone(self), wakers }
    }

    /// Nothing passes any more, and nobody is told, until it is alive again.
    pub fn set_dead(&self, dead: bool) {
        let (from, to) = if dead { (OPEN, DEAD) } else { (DEAD, OPEN) };
        if self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.wake();
        }
    }

    /// Ends all lines for good.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        for wakers in self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
            wakers.reader.wake();
            wakers.writer.wake();
        }
    }
}

/// One connection.
pub(super) struct Line {
    socket: TcpStream,
    lines: Arc<Lines>,
    wakers: Arc<Wakers>,
}

impl Line {
    /// The waker is left before the state is read: a change in between wakes.
    fn state(&self, waker: &AtomicWaker, context: &Context<'_>) -> u8 {
        waker.register(context.waker());
        self.lines.state.load(Ordering::SeqCst)
    }
}

fn was_cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.state(&self.wakers.reader, context) {
            OPEN => Pin::new(&mut self.socket).poll_read(context, buffer),
            DEAD => Poll::Pending,
            _ => was_cut(),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.state(&self.wakers.writer, context) {
            OPEN => Pin::new(&mut self.socket).poll_write(context, data),
            DEAD => Poll::Pending,
            _ => was_cut(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state(&self.wakers.writer, context) {
            OPEN => Pin::new(&mut self.socket).poll_flush(context),
            DEAD => Poll::Pending,
            _ => was_cut(),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
