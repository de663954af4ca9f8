//! Any executable as a testcase: its exit status, and the TAP or JUnit that it prints, become the outcome and the subcases.

use crate::error::{Error, Kind, Result};
use crate::script::{Case, Ended};
use std::path::Path;

/// Runs a program and judges it.
///
/// # Errors
/// It cannot be started.
pub fn run(_case: &Case, path: &Path, _words: &[String]) -> Result<Ended> {
    Err(Error::new(Kind::Unsupported, format!("`{}`: programs cannot be run yet", path.display())))
}
