//! Checking sequences without running them: each is read and settled as for a run.

use super::settle::{Selection, settle};
use crate::diagnostic::{At, Diagnostic};
use crate::error::Error;
use crate::script::{Catalog, STACK};
use crate::sequence::{Library, load};
use crate::vars::Variables;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many sequences are worth a thread.
const A_THREADS_WORTH: usize = 16;

/// Checks sequences side by side. What is found is sorted by file and place; what is wrong with a testcase or an included file is told
/// once, however many sequences use it.
pub fn check_sequences(
    library: &Library,
    files: &[PathBuf],
    variables: &Variables,
    catalog: &Catalog,
    selection: &Selection,
) -> Vec<Diagnostic> {
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<Diagnostic>> = Mutex::default();
    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = check(library, &file.to_string_lossy(), variables, catalog, selection);
            all.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..processors.min(files.len().div_ceil(A_THREADS_WORTH)) {
            // Scripts are read here, which takes the stack of a testcase. Fewer threads only take longer.
            let _ = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
        work();
    });
    let mut found = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.place.line, d.place.column);
        a.place.file.cmp(&b.place.file).then_with(|| key(a).cmp(&key(b))).then_with(|| a.message.cmp(&b.message))
    });
    found.dedup_by(|a, b| a.place == b.place && a.message == b.message);
    found
}

fn check(library: &Library, file: &str, variables: &Variables, catalog: &Catalog, selection: &Selection) -> Vec<Diagnostic> {
    let unreadable = |error: Error| {
        let causes = error.causes().into_iter().map(|cause| format!(": {cause}")).collect::<String>();
        Diagnostic::error("unreadable", file, "", At::default(), format!("{}{causes}", error.what)).help(error.help)
    };
    let loaded = match load(library, file, variables.clone(), selection.mode) {
        Ok(loaded) => loaded,
        Err(error) => return vec![unreadable(error)],
    };
    let mut found = loaded.diagnostics;
    match settle(&loaded.sequence, &loaded.variables, catalog, selection) {
        Ok((_, more)) => found.extend(more),
        Err(error) => found.push(unreadable(error)),
    }
    found
}
