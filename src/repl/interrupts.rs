//! Ctrl-C and the other signals of a person: they stop the statement that runs, not the prompt.

use crate::time::{Cancel, Stop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Who is to be told of a signal now.
#[derive(Default)]
enum Now {
    /// The signal came between two inputs: what it was meant for is over.
    #[default]
    Between,
    /// Somebody types, or input is waited for. On a terminal Ctrl-C is a key then, so this is another signal.
    Waiting,
    Running(Cancel),
}

/// What a signal does. Clones are the same.
#[derive(Clone, Default)]
pub struct Interrupts {
    now: Arc<Mutex<Now>>,
    leave: Arc<AtomicBool>,
}

impl Interrupts {
    /// A signal has come. False when it was for more than a statement.
    pub fn ring(&self) -> bool {
        match &*self.now.lock().unwrap_or_else(PoisonError::into_inner) {
            Now::Between => true,
            Now::Waiting => {
                self.leave.store(true, Ordering::SeqCst);
                false
            }
            Now::Running(cancel) => {
                cancel.raise(Stop::User);
                true
            }
        }
    }

    /// The prompt is to be left, whatever goes on there.
    pub fn end(&self) {
        self.leave.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Raised when the prompt is to be left.
    pub fn leave(&self) -> Arc<AtomicBool> {
        self.leave.clone()
    }

    /// While `work` runs, a signal means that there is no more input wanted.
    pub fn waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.during(Now::Waiting, work)
    }

    /// While `work` runs, a signal stops it.
    pub fn running<T>(&self, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
        self.during(Now::Running(cancel.clone()), work)
    }

    fn during<T>(&self, now: Now, work: impl FnOnce() -> T) -> T {
        let set = |now| *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        set(now);
        let result = work();
        set(Now::Between);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_for_what_goes_on() {
        let interrupts = Interrupts::default();
        let cancel = Cancel::new();
        interrupts.ring();
        assert!(!interrupts.leave().load(Ordering::SeqCst));
        interrupts.running(&cancel, || interrupts.ring());
        assert_eq!(cancel.reason(), Some(Stop::User));
        assert!(!interrupts.leave().load(Ordering::SeqCst));
        interrupts.waiting(|| interrupts.ring());
        assert!(interrupts.leave().load(Ordering::SeqCst));
    }
}
