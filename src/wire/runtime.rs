//! The small runtime that drives connections which are spoken to asynchronously: one thread for the whole process. A caller waits for
//! the end of its work, its flag or its limit, whichever is first; what is given up is dropped, and its connection closed.

use crate::error::{Error, Kind, Result};
use crate::time::Cancel;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a call may take whose flag has no limit of its own.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// # Errors
/// `Internal`: it cannot be made.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME
        .get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("net").enable_all().build());
    made.as_ref().map_err(|e| Error::new(Kind::Internal, format!("no connection can be made: {e}")))
}

/// Waits for the end of something with this machine, the flag or the limit. What has not ended then is dropped.
///
/// # Errors
/// What the flag says; `Timeout`.
pub async fn within<T>(machine: &str, cancel: &Cancel, work: impl Future<Output = T>) -> Result<T> {
    let end = cancel.deadline().unwrap_or(Instant::now() + LONGEST);
    let (work, raised) = (pin!(work), pin!(cancel.raised()));
    match tokio::time::timeout_at(end.into(), select(work, raised)).await {
        Ok(Either::Left((ended, _))) => Ok(ended),
        Ok(Either::Right(_)) | Err(_) => {
            let silent = || Error::new(Kind::Timeout, format!("{machine} did not answer"));
            Err(cancel.check().err().unwrap_or_else(silent))
        }
    }
}
