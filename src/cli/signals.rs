//! Ctrl-C: the first ends the run with its clean-ups, the second leaves at once.

use crate::error::Exit;
use crate::time::{Cancel, Stop};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Listens for the signals of a person who wants the run to end (SIGINT, SIGTERM, SIGHUP).
///
/// What `is_other` says yes to was for something else. `tell` tells the person what the first has begun; `leaving` is called before
/// the process is left at once, and says what is left behind.
pub fn listen(
    cancel: Cancel,
    is_other: impl Fn() -> bool + Send + 'static,
    tell: impl Fn(&str) + Send + 'static,
    leaving: impl Fn() -> String + Send + 'static,
) {
    let count = AtomicUsize::new(0);
    let listening = ctrlc::set_handler(move || {
        if is_other() {
            return;
        }
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            // Short: a terminal of 80 columns shows all of it.
            tell("stopping, cleaning up; once more leaves at once");
            cancel.raise(Stop::User);
            return;
        }
        let _ = writeln!(std::io::stderr(), "\nleft at once; {}", leaving());
        std::process::exit(i32::from(Exit::Stopped.code()));
    });
    if let Err(e) = listening {
        tracing::warn!("Ctrl-C will not clean up: {e}");
    }
}

/// Listens for the same signals, each handed on.
pub fn hear(ring: impl Fn() + Send + 'static) {
    if let Err(e) = ctrlc::set_handler(ring) {
        tracing::warn!("Ctrl-C will not stop statements: {e}");
    }
}
