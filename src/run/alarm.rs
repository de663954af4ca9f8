//! Calls at a time to come: one thread for all of a run's, made when it is first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Call = Box<dyn FnOnce() + Send>;

/// When, and a number that tells two of the same moment apart.
type Key = (Instant, u64);

/// Calls what it was given when its time has come. What has not been called is forgotten with it.
#[derive(Default)]
pub struct Alarm(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    calls: BTreeMap<Key, Call>,
    next: u64,
    has_thread: bool,
    is_over: bool,
}

/// A call to come. Dropped, it does not come.
#[must_use = "the call is forgotten when this is dropped"]
pub struct Ring(Option<(Arc<Shared>, Key)>);

impl Alarm {
    /// Calls `call` after so long, on a thread of its own: it is to be short.
    pub fn after(&self, delay: Duration, call: impl FnOnce() + Send + 'static) -> Ring {
        let Some(at) = Instant::now().checked_add(delay) else { return Ring(None) };
        let mut state = self.0.lock();
        if !state.has_thread {
            let shared = self.0.clone();
            if let Err(error) = std::thread::Builder::new().name("alarm".into()).spawn(move || shared.serve()) {
                tracing::warn!("nothing is told when half of a time limit is over: no thread for it: {error}");
                return Ring(None);
            }
            state.has_thread = true;
        }
        state.next += 1;
        let key = (at, state.next);
        state.calls.insert(key, Box::new(call));
        // The thread waits for the first one only.
        if state.calls.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.0.bell.notify_all();
        }
        Ring(Some((self.0.clone(), key)))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let forgotten = std::mem::take(&mut state.calls);
        drop(state);
        self.0.bell.notify_all();
        // Not under the lock: what a call holds may end other things.
        drop(forgotten);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some((shared, key)) = self.0.take() {
            let forgotten = shared.lock().calls.remove(&key);
            drop(forgotten);
        }
    }
}

impl Shared {
    fn serve(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let now = Instant::now();
            state = match state.calls.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now)) {
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    let due = state.calls.pop_first();
                    drop(state);
                    if let Some((_, call)) = due {
                        call();
                    }
                    self.lock()
                }
                Some(left) => self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn calls_come_in_the_order_of_their_times() {
        let alarm = Alarm::default();
        let (tell, told) = channel();
        let say = |word: &'static str| {
            let tell = tell.clone();
            move || tell.send(word).unwrap()
        };
        let _never = alarm.after(Duration::MAX, say("never"));
        let _late = alarm.after(LONG, say("late"));
        let _second = alarm.after(Duration::from_millis(30), say("second"));
        let _first = alarm.after(Duration::from_millis(1), say("first"));
        assert_eq!((told.recv(), told.recv()), (Ok("first"), Ok("second")));
    }

    #[test]
    fn a_dropped_ring_and_a_dropped_alarm_forget_their_calls() {
        let alarm = Alarm::default();
        let (tell, told) = channel();
        let again = tell.clone();
        let ring = alarm.after(LONG, move || again.send("dropped").unwrap());
        drop(ring);
        let ring = alarm.after(LONG, move || tell.send("late").unwrap());
        drop(alarm);
        // Both senders are gone, so nothing will ever come.
        assert_eq!(told.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
        drop(ring);
    }
}
