//! Reading many scripts side by side.

use super::engine::{STACK, Scripts};
use rhai::Engine;
use std::sync::{Arc, Mutex, PoisonError};

/// How many scripts are worth a thread.
const A_THREADS_WORTH: usize = 64;

/// Does the same with each item, on all processors; the results are in the order of the items.
pub fn each<T: Send, R: Send>(scripts: &Arc<Scripts>, items: Vec<T>, read: impl Fn(&Engine, T) -> R + Sync) -> Vec<R> {
    let count = items.len();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = processors.min(count.div_ceil(A_THREADS_WORTH)).max(1);
    let next = Mutex::new(items.into_iter().enumerate());
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(count));
    let work = || {
        let engine = scripts.reader();
        loop {
            let Some((index, item)) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
            let result = read(&engine, item);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Fewer threads only take longer.
            let _ = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
