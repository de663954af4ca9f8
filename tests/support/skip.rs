//! Leaving a test out, loudly: never because it is inconvenient, only because the machine lacks what the test needs.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Says that the running test is left out and why, on the terminal past libtest's capture and in the file `XRT_SKIP_LOG` names.
///
/// # Panics
/// When nothing may be left out: under `CI`, or when the variable `required` (such as `XRT_REQUIRE_VM`) is set.
pub fn skip(required: &str, why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    for name in ["CI", required] {
        let demanded = env::var(name).is_ok_and(|v| !["", "0", "false"].contains(&v.as_str()));
        assert!(!demanded, "{test} may not be skipped, as {name} is set: {why}");
    }
    let line = format!("SKIPPED: {test}: {why}\n");
    let mut stderr = std::io::stderr();
    stderr.write_all(line.as_bytes()).expect("stderr takes a line");
    if let Some(path) = env::var_os("XRT_SKIP_LOG") {
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let written = log.and_then(|mut log| log.write_all(line.as_bytes()));
        written.unwrap_or_else(|e| panic!("XRT_SKIP_LOG {}: {e}", path.display()));
    }
}
