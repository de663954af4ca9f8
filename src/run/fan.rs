//! Work side by side: as many threads as are needed at a time, and not one more.

use crate::script::STACK;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

/// Who does the work, and what is left of it.
struct Fan<'a> {
    count: usize,
    width: usize,
    work: &'a (dyn Fn(usize) + Sync),
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The next to be begun.
    next: usize,
    threads: usize,
    /// Threads that are about to take the next one.
    idle: usize,
    /// Whether a thread could not be made: then there are fewer, which only takes longer.
    is_short: bool,
}

/// Does `work` for each number below `count`, begun in order, at most `width` at a time. The calling thread works too.
///
/// A further thread is made when something waits and every thread is busy, so ten thousand things that are done at once need a few
/// threads, and a thousand that wait have one each. Where a thread cannot be made, those that are there do the work.
pub fn side_by_side(count: usize, width: usize, work: &(dyn Fn(usize) + Sync)) {
    let state = Mutex::new(State { threads: 1, idle: 1, ..State::default() });
    let fan = Fan { count, width: width.max(1), work, state };
    std::thread::scope(|scope| fan.serve(scope));
}

impl Fan<'_> {
    fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        while let Some((number, needs_help)) = self.take() {
            if needs_help {
                self.help(scope);
            }
            (self.work)(number);
            self.lock().idle += 1;
        }
    }

    /// The next to be begun, and whether another thread is to be made for the one after.
    fn take(&self) -> Option<(usize, bool)> {
        let mut state = self.lock();
        state.idle -= 1;
        if state.next == self.count {
            return None;
        }
        let number = state.next;
        state.next += 1;
        let needs_help = state.next < self.count && state.idle == 0 && state.threads < self.width;
        if needs_help {
            state.threads += 1;
            state.idle += 1;
        }
        Some((number, needs_help))
    }

    fn help<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let thread = std::thread::Builder::new().name("worker".into()).stack_size(STACK);
        let Err(error) = thread.spawn_scoped(scope, || self.serve(scope)) else { return };
        let mut state = self.lock();
        state.threads -= 1;
        state.idle -= 1;
        if !std::mem::replace(&mut state.is_short, true) {
            tracing::warn!("{} run at a time, not more: no thread: {error}", state.threads);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::thread::ThreadId;

    fn check(count: usize, width: usize) -> (Vec<usize>, usize) {
        let (begun, threads) = (Mutex::new(Vec::new()), Mutex::new(HashSet::<ThreadId>::new()));
        side_by_side(count, width, &|number| {
            begun.lock().unwrap().push(number);
            threads.lock().unwrap().insert(std::thread::current().id());
        });
        (begun.into_inner().unwrap(), threads.into_inner().unwrap().len())
    }

    #[test]
    fn each_is_done_once_by_no_more_threads_than_allowed() {
        for (count, width) in [(0, 5), (1, 1), (1, 5), (20, 1), (20, 3), (20, usize::MAX), (5, 0)] {
            let (mut begun, threads) = check(count, width);
            assert!(threads <= width.clamp(1, count.max(1)), "{count} {width}: {threads}");
            if width <= 1 {
                assert!(begun.is_sorted(), "{begun:?}");
            }
            begun.sort_unstable();
            assert_eq!(begun, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_waits_for_each_other_runs_side_by_side() {
        let barrier = Barrier::new(40);
        side_by_side(40, usize::MAX, &|_| {
            barrier.wait();
        });
        let barrier = Barrier::new(4);
        side_by_side(40, 4, &|_| {
            barrier.wait();
        });
    }
}
