//! Time stamps, and cancelling: the one way in which waiting work is told to stop.
//!
//! Every wait in the program goes through [`Cancel`]: it sees a person's Ctrl-C, the testcase's time limit and its own limit
//! together, so nothing can hang and nothing needs a thread that watches clocks.

use crate::error::{Blame, Error, Kind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A moment, to the microsecond, in UTC on the wire (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    pub fn now() -> Timestamp {
        let now = jiff::Timestamp::now();
        Timestamp(jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }

    /// How long after `earlier` this is; nothing when the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let micros = self.0.as_microsecond().saturating_sub(earlier.0.as_microsecond());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Timestamp {
        self.0.checked_add(duration).map_or(self, Timestamp)
    }

    /// Seconds since 1970.
    pub fn unix(self) -> f64 {
        self.0.as_microsecond() as f64 / 1e6
    }

    /// Local time of day, "09:03:11".
    pub fn clock(self) -> String {
        self.local("%H:%M:%S")
    }

    /// Local time of day to the millisecond, "09:03:11.042".
    pub fn fine_clock(self) -> String {
        self.local("%H:%M:%S%.3f")
    }

    /// Local date and time, "2026-11-22 09:03:11".
    pub fn date(self) -> String {
        self.local("%Y-%m-%d %H:%M:%S")
    }

    /// Local date, time and zone, as the original's logs have it: "2026-11-22 09:03:11 UTC".
    pub fn log_form(self) -> String {
        self.local("%Y-%m-%d %H:%M:%S %Z")
    }

    /// Local date and time that sort and need no quoting in a file name: "20261122-090311".
    pub fn file_form(self) -> String {
        self.local("%Y%m%d-%H%M%S")
    }

    /// Local date and time, as logs of systems begin their lines: "Nov  3 04:10:57".
    pub fn syslog(self) -> String {
        self.local("%b %e %H:%M:%S")
    }

    fn local(self, format: &str) -> String {
        self.0.to_zoned(zone()).strftime(format).to_string()
    }
}

/// The machine's time zone, looked up once: the lookup reads files.
fn zone() -> jiff::tz::TimeZone {
    static ZONE: std::sync::OnceLock<jiff::tz::TimeZone> = std::sync::OnceLock::new();
    ZONE.get_or_init(|| {
        // To look a zone up by its name, the names of all are read, which takes longer than anything else before the first testcase.
        let own = if std::env::var_os("TZ").is_none() { zone_in(Path::new("/etc/localtime")) } else { None };
        own.unwrap_or_else(jiff::tz::TimeZone::system)
    })
    .clone()
}

fn zone_in(file: &Path) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::tzif("local", &std::fs::read(file).ok()?).ok()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = Error;
    fn from_str(text: &str) -> Result<Timestamp> {
        text.parse().map(Timestamp).map_err(|e| Error::new(Kind::Malformed, format!("`{text}` is not a time: {e}")))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Time as those see it who wait for hours: that of the machine, or one that a test moves on.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Mutex<Moved>>>);

/// A clock that only moves when it is told to.
struct Moved {
    now: Instant,
    wakers: Vec<Weak<dyn Fn() + Send + Sync>>,
}

impl Clock {
    /// A clock that stands until [`Clock::advance`] moves it.
    pub fn fake() -> Clock {
        Clock(Some(Arc::new(Mutex::new(Moved { now: Instant::now(), wakers: Vec::new() }))))
    }

    pub fn now(&self) -> Instant {
        self.0.as_ref().map_or_else(Instant::now, |moved| moved.lock().unwrap_or_else(PoisonError::into_inner).now)
    }

    /// Moves a fake clock on, and wakes whoever waits for it.
    pub fn advance(&self, by: Duration) {
        let Some(moved) = &self.0 else { return };
        let wakers = {
            let mut moved = moved.lock().unwrap_or_else(PoisonError::into_inner);
            moved.now += by;
            moved.wakers.retain(|waker| waker.strong_count() > 0);
            moved.wakers.clone()
        };
        wakers.iter().filter_map(Weak::upgrade).for_each(|wake| wake());
    }

    /// Has `wake` called when a fake clock is moved, as long as it is kept.
    pub fn on_advance(&self, wake: &Arc<dyn Fn() + Send + Sync>) {
        if let Some(moved) = &self.0 {
            moved.lock().unwrap_or_else(PoisonError::into_inner).wakers.push(Arc::downgrade(wake));
        }
    }
}

/// Why work was told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A person (or the job server) wants the run to end.
    User,
    /// The limit of this long is over; the text says whose ("testcase").
    Deadline { whose: String, limit: Duration },
    /// Somebody wants this testcase to end, and the run to go on.
    Killed { by: String },
    /// The event log cannot be written, so whatever happened now would never be known.
    Unrecorded,
}

/// A flag that many may watch and wait on, with an optional deadline; cancelling a parent cancels its children.
#[derive(Clone)]
pub struct Cancel(Arc<Node>);

struct Node {
    raised: AtomicBool,
    state: Mutex<State>,
    bell: Condvar,
    deadline: Option<Deadline>,
    parent: Option<Cancel>,
}

struct Deadline {
    whose: String,
    limit: Duration,
    clock: Mutex<Hand>,
}

struct Hand {
    at: Instant,
    /// Since when it stands still, and how many hold it.
    stopped: Option<(Instant, usize)>,
}

impl Deadline {
    fn clock(&self) -> MutexGuard<'_, Hand> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is over; nothing while it stands still.
    fn at(&self) -> Option<Instant> {
        let clock = self.clock();
        clock.stopped.is_none().then_some(clock.at)
    }
}

/// Holds clocks still until it is dropped.
#[must_use = "the clocks go on when this is dropped"]
pub struct Stopped(Vec<Cancel>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for cancel in &self.0 {
            let Some(deadline) = &cancel.0.deadline else { continue };
            let mut clock = deadline.clock();
            match &mut clock.stopped {
                Some((_, holders)) if *holders > 1 => *holders -= 1,
                Some((since, _)) => {
                    let stood = since.elapsed();
                    clock.at = clock.at.checked_add(stood).unwrap_or(clock.at);
                    clock.stopped = None;
                }
                None => {}
            }
            drop(clock);
            // Whoever waits for it waits for another moment now.
            cancel.0.bell.notify_all();
        }
    }
}

#[derive(Default)]
struct State {
    reason: Option<Stop>,
    children: Vec<Weak<Node>>,
    next_waker: u64,
    wakers: Vec<(u64, Arc<dyn Fn() + Send + Sync>)>,
}

impl Default for Cancel {
    fn default() -> Cancel {
        Cancel::new()
    }
}

impl Cancel {
    pub fn new() -> Cancel {
        Cancel::make(None, None)
    }

    /// A cancel of its own that is also raised with this one.
    #[must_use]
    pub fn child(&self) -> Cancel {
        Cancel::make(Some(self.clone()), None)
    }

    /// A child that is raised by itself when `limit` is over; `whose` names the limit in messages.
    #[must_use]
    pub fn child_with_limit(&self, whose: &str, limit: Duration) -> Cancel {
        self.child_with_rest(whose, limit, Duration::ZERO)
    }

    /// As [`Cancel::child_with_limit`], where so much of the limit has been used already.
    #[must_use]
    pub fn child_with_rest(&self, whose: &str, limit: Duration, used: Duration) -> Cancel {
        let rest = limit.saturating_sub(used);
        let at = Instant::now().checked_add(rest);
        let clock = |at| Mutex::new(Hand { at, stopped: None });
        let deadline = at.map(|at| Deadline { whose: whose.to_string(), limit, clock: clock(at) });
        Cancel::make(Some(self.clone()), deadline)
    }

    fn make(parent: Option<Cancel>, deadline: Option<Deadline>) -> Cancel {
        let node = Arc::new(Node {
            raised: AtomicBool::new(false),
            state: Mutex::default(),
            bell: Condvar::new(),
            deadline,
            parent: parent.clone(),
        });
        if let Some(parent) = parent {
            let mut state = parent.lock();
            match &state.reason {
                Some(reason) => node.raise(reason),
                None => {
                    state.children.retain(|c| c.strong_count() > 0);
                    state.children.push(Arc::downgrade(&node));
                }
            }
        }
        Cancel(node)
    }

    /// Tells all who watch this, or a child of it, to stop. The first reason stays.
    pub fn raise(&self, reason: Stop) {
        self.0.raise(&reason);
    }

    /// Whether it has been raised or its deadline is over. Cheap enough for inner loops when there is no deadline.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed) || self.check_deadline()
    }

    /// The flag alone, without a look at the clock: for the innermost loops.
    pub fn is_flagged(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed)
    }

    pub fn reason(&self) -> Option<Stop> {
        self.is_raised().then(|| self.lock().reason.clone()).flatten()
    }

    /// # Errors
    /// `Cancelled` (a person) or `Timeout` (the deadline) when it has been raised.
    pub fn check(&self) -> Result<()> {
        match self.reason() {
            None => Ok(()),
            Some(reason) => Err(reason.error()),
        }
    }

    /// The nearest deadline of this and its parents.
    pub fn deadline(&self) -> Option<Instant> {
        let own = self.0.deadline.as_ref().and_then(Deadline::at);
        let above = self.0.parent.as_ref().and_then(Cancel::deadline);
        own.into_iter().chain(above).min()
    }

    /// Holds the clocks of this and its parents still, up to that of `whole` and without it: a person looks, and no limit runs.
    pub fn stop_clocks(&self, whole: &Cancel) -> Stopped {
        let mut stopped = Vec::new();
        let mut at = Some(self);
        while let Some(cancel) = at.filter(|cancel| !Arc::ptr_eq(&cancel.0, &whole.0)) {
            if let Some(deadline) = &cancel.0.deadline {
                let mut clock = deadline.clock();
                let (since, holders) = clock.stopped.unwrap_or((Instant::now(), 0));
                clock.stopped = Some((since, holders + 1));
                stopped.push(cancel.clone());
            }
            at = cancel.0.parent.as_ref();
        }
        Stopped(stopped)
    }

    /// Waits for so long, or until raised.
    ///
    /// # Errors
    /// As [`Cancel::check`], at once when raised.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let end = Instant::now().checked_add(duration);
        loop {
            self.check()?;
            let now = Instant::now();
            let until = end.into_iter().chain(self.deadline()).min();
            if end.is_some_and(|end| end <= now) {
                return Ok(());
            }
            let state = self.lock();
            if state.reason.is_some() {
                continue;
            }
            let wait = until.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(now));
            drop(self.0.bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Calls `wake` once when raised by somebody (not by the deadline: whoever waits knows that one), until the guard is dropped.
    #[must_use = "the call is forgotten when the guard is dropped"]
    pub fn on_raise(&self, wake: impl Fn() + Send + Sync + 'static) -> WakeGuard {
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(wake);
        let mut state = self.lock();
        if state.reason.is_some() {
            drop(state);
            wake();
            return WakeGuard { cancel: self.clone(), id: 0 };
        }
        state.next_waker += 1;
        let id = state.next_waker;
        state.wakers.push((id, wake));
        WakeGuard { cancel: self.clone(), id }
    }

    /// Ends when this is raised by somebody, for work that waits as a future. As with [`Cancel::on_raise`], the deadline is not seen.
    pub fn raised(&self) -> Raised {
        Raised { cancel: self.clone(), seat: Arc::default(), wake: None }
    }

    fn check_deadline(&self) -> bool {
        if let Some(deadline) = &self.0.deadline
            && deadline.at().is_some_and(|at| Instant::now() >= at)
        {
            self.raise(Stop::Deadline { whose: deadline.whose.clone(), limit: deadline.limit });
            return true;
        }
        // A parent's deadline is raised on the parent, which raises this one.
        self.0.parent.as_ref().is_some_and(Cancel::check_deadline)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn raise(&self, reason: &Stop) {
        let (children, wakers) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.reason.is_some() {
                return;
            }
            state.reason = Some(reason.clone());
            self.raised.store(true, Ordering::Relaxed);
            (std::mem::take(&mut state.children), std::mem::take(&mut state.wakers))
        };
        self.bell.notify_all();
        for child in children.iter().filter_map(Weak::upgrade) {
            child.raise(reason);
        }
        for (_, wake) in wakers {
            wake();
        }
    }
}

impl Stop {
    pub fn error(&self) -> Error {
        match self {
            Stop::User => Error::new(Kind::Cancelled, "stopped by the user"),
            Stop::Killed { by } => Error::new(Kind::Cancelled, format!("stopped by {by}")),
            Stop::Unrecorded => Error::new(Kind::Cancelled, "stopped, because the event log cannot be written").blame(Blame::Lab),
            Stop::Deadline { whose, limit } => {
                Error::new(Kind::Timeout, format!("the {whose} did not end within {}", humantime::format_duration(*limit)))
            }
        }
    }
}

/// Keeps a call of [`Cancel::on_raise`] registered.
pub struct WakeGuard {
    cancel: Cancel,
    id: u64,
}

impl Drop for WakeGuard {
    fn drop(&mut self) {
        let mut state = self.cancel.lock();
        state.wakers.retain(|(id, _)| *id != self.id);
    }
}

/// A wait for a flag, made by [`Cancel::raised`].
pub struct Raised {
    cancel: Cancel,
    /// Who is to be polled again.
    seat: Arc<Mutex<Option<Waker>>>,
    wake: Option<WakeGuard>,
}

impl Future for Raised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        if self.wake.is_none() {
            let seat = self.seat.clone();
            let wake = self.cancel.on_raise(move || {
                let waker = seat.lock().unwrap_or_else(PoisonError::into_inner).take();
                waker.into_iter().for_each(Waker::wake);
            });
            self.wake = Some(wake);
        }
        if self.cancel.is_flagged() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_of_the_machine_is_read_from_its_file() {
        let berlin = Path::new("/usr/share/zoneinfo/Europe/Berlin");
        if berlin.exists() {
            let winter: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
            let shown = winter.0.to_zoned(zone_in(berlin).unwrap()).strftime("%H:%M:%S %Z").to_string();
            assert_eq!(shown, "04:04:05 CET");
        }
        assert!(zone_in(Path::new("/dev/null")).is_none(), "there is none");
    }

    #[test]
    fn a_time_stamp_survives_the_wire() {
        let now = Timestamp::now();
        let text = serde_json::to_string(&now).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), now, "{text}");
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn raising_a_parent_wakes_a_sleeping_child() {
        let parent = Cancel::new();
        let child = parent.child().child();
        let sleeper = std::thread::spawn(move || child.sleep(Duration::from_secs(3600)));
        parent.raise(Stop::User);
        assert_eq!(sleeper.join().unwrap().unwrap_err().kind, Kind::Cancelled);
        assert!(parent.child().is_raised(), "a child made afterwards is raised too");
    }

    #[test]
    fn a_deadline_ends_a_sleep_and_says_whose_it_was() {
        let run = Cancel::new();
        let case = run.child_with_limit("testcase", Duration::from_millis(5));
        let error = case.child().sleep(Duration::from_secs(3600)).unwrap_err();
        assert_eq!((error.kind, error.what.as_str()), (Kind::Timeout, "the testcase did not end within 5ms"));
        assert!(!run.is_raised(), "a limit of a child does not stop the run");
    }

    #[test]
    fn a_future_that_waits_for_the_flag_is_woken_by_it() {
        struct Bell(AtomicBool);
        impl std::task::Wake for Bell {
            fn wake(self: Arc<Bell>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let bell = Arc::new(Bell(AtomicBool::new(false)));
        let waker = Waker::from(bell.clone());
        let mut context = Context::from_waker(&waker);
        let run = Cancel::new();
        let mut raised = Box::pin(run.child().raised());
        assert!(raised.as_mut().poll(&mut context).is_pending());
        assert!(!bell.0.load(Ordering::SeqCst));
        run.raise(Stop::User);
        assert!(bell.0.load(Ordering::SeqCst));
        assert!(raised.as_mut().poll(&mut context).is_ready());
        assert!(Box::pin(run.raised()).as_mut().poll(&mut context).is_ready(), "one that was raised before");
    }

    #[test]
    fn wakers_are_called_once_and_forgotten_with_their_guard() {
        let cancel = Cancel::new();
        let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = |calls: &Arc<std::sync::atomic::AtomicUsize>| {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        drop(cancel.on_raise(count(&calls)));
        let kept = cancel.on_raise(count(&calls));
        cancel.raise(Stop::User);
        cancel.raise(Stop::Unrecorded);
        drop(kept);
        assert_eq!((calls.load(Ordering::SeqCst), cancel.reason()), (1, Some(Stop::User)));
        let _late = cancel.on_raise(count(&calls));
        assert_eq!(calls.load(Ordering::SeqCst), 2, "called at once when already raised");
    }
}
