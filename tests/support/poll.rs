//! Waiting for real machines: until something is so, never for a fixed time.

use std::fs;
use std::time::{Duration, Instant};

/// How long a machine under test may take over one thing: 45 s on an idle machine, more on one whose processors are queued for.
pub fn patience() -> Duration {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load: f64 = load.as_deref().and_then(|l| l.split(' ').next()).and_then(|l| l.parse().ok()).unwrap_or(1.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    Duration::from_secs(45).mul_f64((load / cores).clamp(1.0, 5.0))
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// When none came within the limit.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            return Err(format!("not within {} s", limit.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
