//! `xe`, as dom0 has it.

use super::answer::Answer;
use super::boot::Boot;
use std::sync::Arc;

/// Answers a command line of `xe`.
pub(super) async fn answer(_boot: &Arc<Boot>, _words: &[String]) -> Answer {
    Answer::fails(127, "xe: not found")
}
