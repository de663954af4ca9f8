//! The owner thread of one connection: takes requests, polls their jobs, waits for the socket.

use super::Target;
use super::desk::Desk;
use super::fault::{Fault, ending};
use super::link::{Answer, Done, Notes, Request, Standing, Ticket, Wake, Work};
use super::{command, file, login};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often something is sent on a quiet connection, so that nothing on the way forgets it and a dead machine is noticed.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long a job of our own (nobody waits for it) may take.
const OWN_LIMIT: Duration = Duration::from_secs(30);

/// How often the clock is looked at while something depends on it.
const TICK: Duration = Duration::from_millis(100);

/// A job under way.
type Running = Pin<Box<dyn Future<Output = Result<Done, Fault>>>>;

struct Job {
    future: Running,
    ticket: Arc<Ticket>,
    /// Nobody waits for a job of our own.
    answer: Option<Answer>,
    /// When a job of our own is given up.
    until: Option<Instant>,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Command,
    Files,
    /// Looks after something for us.
    Own,
    /// Reads what came while no job was reading.
    Listen,
}

/// What the thread knows of its machine and its callers.
pub(super) struct Owner {
    pub target: Arc<Target>,
    pub notes: Arc<Notes>,
    pub requests: Receiver<Request>,
    pub wake: Arc<Wake>,
    pub standing: Arc<Standing>,
}

impl Owner {
    /// The life of the thread: connect, serve, leave.
    pub fn run(self) {
        let _leave = Leave(self.standing.clone());
        match login::connect(&self.target, &self.standing, &self.notes) {
            Ok((session, socket)) => {
                self.standing.set_connected();
                let desk = Desk::new(session, socket, self.standing.clone());
                Service {
                    owner: &self,
                    desk,
                    jobs: Vec::new(),
                    stuck: false,
                    deserted: None,
                    retired: false,
                    alive: Instant::now(),
                }
                .serve();
            }
            Err(fault) => {
                self.standing.leave();
                while let Ok(request) = self.requests.try_recv() {
                    request.answer.give(Err(fault.clone()));
                }
            }
        }
    }
}

/// Says on every way out, a panic included, that this connection takes no more requests.
struct Leave(Arc<Standing>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
        self.0.shut();
    }
}

struct Service<'a> {
    owner: &'a Owner,
    desk: Rc<Desk>,
    jobs: Vec<Job>,
    /// The first job has a packet half sent: nobody else may be polled.
    stuck: bool,
    /// Since when no caller can come any more.
    deserted: Option<Instant>,
    /// The server no longer answers to new channels: what runs may end, new requests go to a new connection.
    retired: bool,
    alive: Instant,
}

impl Service<'_> {
    fn serve(mut self) {
        let ended = loop {
            self.take_requests();
            if let Err(fault) = self.drive() {
                break fault;
            }
            if self.owner.standing.is_hung_up() {
                break Fault::Lost("it was hung up from this side".into());
            }
            if self.is_over() {
                break Fault::NotBegun;
            }
            self.retire_if_silent();
            if let Err(fault) = self.wait() {
                break fault;
            }
        };
        self.leave(&ended);
    }

    fn take_requests(&mut self) {
        loop {
            match self.owner.requests.try_recv() {
                // Dropped, it answers that it has not begun.
                Ok(request) if self.retired => drop(request),
                Ok(request) => self.start(request),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.deserted.get_or_insert_with(Instant::now);
                    return;
                }
            }
        }
    }

    fn start(&mut self, request: Request) {
        let Request { work, ticket, answer } = request;
        let (desk, mine) = (self.desk.clone(), ticket.clone());
        let role = if matches!(work, Work::Exec { .. }) { Role::Command } else { Role::Files };
        let future: Running = match work {
            Work::Exec { text, stdin } => Box::pin(command::run(desk, mine, text, stdin)),
            Work::Knock => Box::pin(async { Ok(Done::Made) }),
            work => Box::pin(file::run(desk, mine, work)),
        };
        self.jobs.push(Job { future, ticket, answer: Some(answer), until: None, role });
    }

    /// Starts a job of our own.
    fn start_own<F>(&mut self, role: Role, make: impl FnOnce(Rc<Desk>, Arc<Ticket>) -> F)
    where
        F: Future<Output = Result<Done, Fault>> + 'static,
    {
        let ticket = Arc::new(Ticket::default());
        let future = Box::pin(make(self.desk.clone(), ticket.clone()));
        let until = Some(Instant::now() + OWN_LIMIT);
        self.jobs.push(Job { future, ticket, answer: None, until, role });
        self.desk.again.set(true);
    }

    /// Polls jobs until none of them can go on.
    ///
    /// # Errors
    /// The connection is lost.
    fn drive(&mut self) -> Result<(), Fault> {
        loop {
            self.desk.again.set(false);
            let mut at = 0;
            while at < self.jobs.len() {
                match self.poll_job(at)? {
                    Polled::Waits if self.desk.is_sending() => {
                        self.stuck = true;
                        // It goes first, and alone, until its packet is out.
                        self.jobs[..=at].rotate_right(1);
                        return Ok(());
                    }
                    Polled::Waits => at += 1,
                    Polled::Ended => self.desk.again.set(true),
                }
                self.stuck = false;
            }
            if self.desk.orphans.replace(false) {
                self.start_own(Role::Own, command::reap);
            }
            if !self.desk.again.get() {
                return Ok(());
            }
            self.take_requests();
        }
    }

    fn poll_job(&mut self, at: usize) -> Result<Polled, Fault> {
        let job = &mut self.jobs[at];
        if job.until.is_some_and(|until| Instant::now() >= until) {
            job.ticket.abandon();
        }
        let Poll::Ready(result) = job.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return Ok(Polled::Waits);
        };
        let job = self.jobs.remove(at);
        let lost = match &result {
            Err(Fault::Lost(why)) => Some(Fault::Lost(why.clone())),
            _ => None,
        };
        self.look_after(&job, &result);
        match job.answer {
            // Dropped, it says that it had not begun.
            Some(answer) if lost.is_some() && !job.ticket.is_begun() => drop(answer),
            Some(answer) => answer.give(result),
            None => {}
        }
        lost.map_or(Ok(Polled::Ended), Err)
    }

    /// What a job that has ended makes necessary.
    fn look_after(&mut self, job: &Job, result: &Result<Done, Fault>) {
        let Ok(Done::Ended { took, .. }) = result else { return };
        if job.role == Role::Command && self.owner.notes.settle_shell() && command::is_suspicious(*took) {
            let (notes, whose) = (self.owner.notes.clone(), self.owner.target.machine());
            self.start_own(Role::Own, |desk, ticket| command::time_shell(desk, ticket, notes, whose));
        }
    }

    /// Nobody waits for anything any more.
    fn is_over(&self) -> bool {
        let waits = self.jobs.iter().any(|job| job.answer.is_some() && !job.ticket.is_abandoned());
        let cleans_up = self.jobs.iter().any(|job| job.role == Role::Own);
        let deserted = self.deserted.is_some_and(|since| !cleans_up || since.elapsed() > OWN_LIMIT);
        deserted || self.retired && !waits
    }

    /// A server that does not answer to the opening of a channel will not answer to the next one either. A machine that was cut off
    /// and came back would be noticed only when TCP tries again, minutes later.
    fn retire_if_silent(&mut self) {
        let limit = self.owner.target.connect_timeout.max(Duration::from_secs(5));
        let is_silent = self.desk.opening.get().is_some_and(|since| since.elapsed() > limit);
        if !self.retired && (is_silent || self.owner.standing.is_gone()) {
            self.retired = true;
            self.owner.standing.leave();
            self.jobs.retain(|job| job.ticket.is_begun());
        }
    }

    /// Waits for the socket, a caller, or the clock.
    fn wait(&mut self) -> Result<(), Fault> {
        let is_read = self.desk.called.replace(false);
        let listens = self.jobs.iter().any(|job| job.role == Role::Listen);
        let mut events = PollFlags::empty();
        // While a packet is half sent nobody reads, and while the listener waits for its turn nobody does either.
        events.set(PollFlags::IN, !self.stuck && (is_read || !listens));
        events.set(PollFlags::OUT, self.desk.wants_to_send.replace(false) || self.stuck);
        let wait = self.longest_wait();
        let limit = Timespec { tv_sec: wait.as_secs().try_into().unwrap_or(15), tv_nsec: wait.subsec_nanos().into() };
        let mut fds = [PollFd::new(&*self.desk.socket, events), PollFd::new(&*self.owner.wake, PollFlags::IN)];
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Fault::Lost(format!("its socket cannot be watched: {e}"))),
        }
        let readable = fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        if !fds[1].revents().is_empty() {
            self.owner.wake.hush();
        }
        if readable && !is_read && !listens {
            self.start_own(Role::Listen, command::listen);
        }
        self.keep_alive()
    }

    fn longest_wait(&self) -> Duration {
        let clock = self.deserted.is_some() || self.jobs.iter().any(|job| job.until.is_some()) || self.desk.opening.get().is_some();
        let retry = self.desk.retry_at().map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        clock.then_some(TICK).into_iter().chain(retry).min().unwrap_or(KEEPALIVE)
    }

    fn keep_alive(&mut self) -> Result<(), Fault> {
        if self.alive.elapsed() < KEEPALIVE || self.stuck || self.desk.is_sending() || !self.desk.is_writable() {
            return Ok(());
        }
        self.alive = Instant::now();
        self.desk.session.keepalive_send().map(|_| ()).map_err(|e| Fault::Lost(ending(&e)))
    }

    /// Ends the connection. The socket is shut first: what the crate still wants to say when its values are dropped fails at once then.
    fn leave(mut self, fault: &Fault) {
        self.owner.standing.leave();
        if self.jobs.is_empty() && !self.desk.is_sending() && self.desk.is_writable() {
            // A farewell is polite; that it cannot be said does not matter.
            let _ = self.desk.session.disconnect(None, "done", None);
        }
        self.owner.standing.shut();
        self.desk.session.set_blocking(true);
        for job in self.jobs.drain(..) {
            let Job { future, ticket, answer, .. } = job;
            drop(future);
            match (answer, fault) {
                (Some(answer), Fault::Lost(why)) if ticket.is_begun() => answer.give(Err(Fault::Lost(why.clone()))),
                // Dropped, it says itself whether it had begun.
                (answer, _) => drop(answer),
            }
        }
        drop(self.desk.sftp.borrow_mut().take());
    }
}

enum Polled {
    Waits,
    Ended,
}
