//! Semaphores: how many testcases of a class run at a time.

use crate::error::Result;
use crate::time::Cancel;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The semaphores of a run, by class.
pub struct Semaphores(BTreeMap<String, Semaphore>);

/// One semaphore. Whoever waits is let in in the order of asking.
pub struct Semaphore(Mutex<State>);

struct State {
    free: usize,
    waiting: VecDeque<(u64, Sender<Bell>)>,
    next: u64,
}

enum Bell {
    /// It is this one's turn.
    Granted,
    /// Look at the flag.
    Stopped,
}

/// A place that is held until this is dropped.
pub struct Permit<'a>(&'a Semaphore);

impl Semaphores {
    /// With so many places by class. A class with no place could never run, so it has one.
    pub fn new(counts: &BTreeMap<String, usize>) -> Semaphores {
        Semaphores(counts.iter().map(|(class, count)| (class.clone(), Semaphore::new((*count).max(1)))).collect())
    }

    /// The semaphore of a class; nothing for a class of which any number may run.
    pub fn of(&self, class: &str) -> Option<&Semaphore> {
        self.0.get(class)
    }
}

impl Semaphore {
    fn new(free: usize) -> Semaphore {
        Semaphore(Mutex::new(State { free, waiting: VecDeque::new(), next: 0 }))
    }

    /// Takes a place, or waits for one; `waits` is called once if so.
    ///
    /// # Errors
    /// As [`Cancel::check`], when told to stop before there was one.
    pub fn take(&self, cancel: &Cancel, waits: impl FnOnce()) -> Result<Permit<'_>> {
        cancel.check()?;
        let (bell, heard) = channel();
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Permit(self));
        }
        state.next += 1;
        let ticket = state.next;
        state.waiting.push_back((ticket, bell.clone()));
        drop(state);
        waits();
        let _woken = cancel.on_raise(move || drop(bell.send(Bell::Stopped)));
        self.wait(ticket, &heard, cancel)
    }

    fn wait(&self, ticket: u64, heard: &Receiver<Bell>, cancel: &Cancel) -> Result<Permit<'_>> {
        loop {
            let left = cancel.deadline().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if matches!(heard.recv_timeout(left), Ok(Bell::Granted)) {
                return Ok(Permit(self));
            }
            if let Err(stop) = cancel.check() {
                self.leave(ticket);
                return Err(stop);
            }
        }
    }

    /// Gives up waiting. A place that was granted in the meantime goes to the next.
    fn leave(&self, ticket: u64) {
        let mut state = self.lock();
        let before = state.waiting.len();
        state.waiting.retain(|(waiting, _)| *waiting != ticket);
        if state.waiting.len() == before {
            state.give();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a place to the first who waits.
    fn give(&mut self) {
        match self.waiting.pop_front() {
            // Whoever waits takes itself off the list before it stops listening.
            Some((_, bell)) => drop(bell.send(Bell::Granted)),
            None => self.free += 1,
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::time::Stop;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn one() -> Semaphores {
        Semaphores::new(&BTreeMap::from([("a".into(), 1), ("none".into(), 0), ("two".into(), 2)]))
    }

    #[test]
    fn so_many_at_a_time_and_nobody_is_forgotten() {
        let semaphores = one();
        for (class, most) in [("a", 1), ("none", 1), ("two", 2)] {
            let semaphore = semaphores.of(class).unwrap();
            let (now, highest, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..50 {
                    scope.spawn(|| {
                        let _permit = semaphore.take(&Cancel::new(), || ()).unwrap();
                        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    });
                }
            });
            assert!(highest.into_inner() <= most, "{class}");
            assert_eq!((done.into_inner(), semaphore.lock().free), (50, most), "{class}");
        }
        assert!(semaphores.of("b").is_none());
    }

    #[test]
    fn waiting_ends_with_the_flag_and_with_a_deadline_and_loses_no_place() {
        let semaphores = one();
        let semaphore = semaphores.of("a").unwrap();
        let held = semaphore.take(&Cancel::new(), || ()).unwrap();
        let limited = Cancel::new().child_with_limit("run", Duration::from_millis(5));
        assert_eq!(semaphore.take(&limited, || ()).err().unwrap().kind, Kind::Timeout);
        let cancel = Cancel::new();
        let stopped = semaphore.take(&cancel, || cancel.raise(Stop::User)).err().unwrap();
        assert_eq!(stopped.kind, Kind::Cancelled);
        // Granted and stopped at once: the place goes on to the next.
        let cancel = Cancel::new();
        let mut held = Some(held);
        let taken = semaphore.take(&cancel, || {
            cancel.raise(Stop::User);
            drop(held.take());
        });
        drop(taken);
        let state = semaphore.lock();
        assert_eq!((state.free, state.waiting.len()), (1, 0));
    }

    #[test]
    fn whoever_asked_first_is_let_in_first() {
        let semaphores = one();
        let semaphore = semaphores.of("a").unwrap();
        let order = Mutex::new(Vec::new());
        let (waits, waiting) = channel();
        std::thread::scope(|scope| {
            let held = semaphore.take(&Cancel::new(), || ()).unwrap();
            for number in 0..5 {
                let (order, waits) = (&order, waits.clone());
                scope.spawn(move || {
                    let _permit = semaphore.take(&Cancel::new(), || waits.send(()).unwrap()).unwrap();
                    order.lock().unwrap().push(number);
                });
                waiting.recv().unwrap();
            }
            drop(held);
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
    }
}
