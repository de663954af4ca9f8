//! What a control domain answers, and xenstore.

use super::answer::Answer;
use super::boot::Boot;
use super::spec::Spec;
use std::sync::Arc;

/// Answers the tools of a control domain.
pub(super) async fn answer(_boot: &Arc<Boot>, _spec: &Spec, name: &str, _words: &[String]) -> Answer {
    Answer::fails(127, format_args!("{name}: not found"))
}

/// Answers `xenstore-…`.
pub(super) async fn xenstore(_boot: &Arc<Boot>, _spec: &Spec, name: &str, _words: &[String]) -> Answer {
    Answer::fails(127, format_args!("{name}: not found"))
}
