//! The same with many guests side by side.

use super::guest::Guest;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::event::Level;
use std::sync::{Mutex, PoisonError};

/// So many guests are worked on at a time.
const AT_A_TIME: usize = 64;

/// Does the same with each guest, side by side, and waits for all of them. The first guest's error is returned, the others are told.
///
/// # Errors
/// Those of `work`.
pub fn each(guests: &[Guest], context: &Context, work: impl Fn(&Guest) -> Result<()> + Sync) -> Result<()> {
    let left = Mutex::new(guests.iter().enumerate());
    let failed: Mutex<Vec<(usize, Error)>> = Mutex::default();
    let worker = || {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((place, guest)) = next else { return };
            if let Err(error) = context.cancel().check().and_then(|()| work(guest)) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push((place, error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..guests.len().min(AT_A_TIME) {
            // Fewer threads only take longer.
            let _ = std::thread::Builder::new().name("guests".into()).spawn_scoped(scope, worker);
        }
        worker();
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|(place, _)| *place);
    let mut failed = failed.into_iter();
    let Some((_, first)) = failed.next() else { return Ok(()) };
    for (place, error) in failed {
        context.log(Level::Warning, format!("{} failed too: {}", guests[place].name(), error.what));
    }
    Err(first)
}
