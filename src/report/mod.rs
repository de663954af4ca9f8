//! What people and other programs get to read about a run, each made from the events and nothing else.
//!
//! Never true here: that a report knows of a lab, a script or a run; that two reports come to different results (all show the one
//! [`Summary`]); that a report which cannot be written stops the run; that text from outside reaches a screen or a page unescaped.
//!
//! To add a report: a file here with a type that implements [`Report`], and its row in [`SINKS`].

mod card;
mod case;
mod console;
mod entry;
mod lines;
mod reports;
mod summary;
mod text;

pub use card::{Card, failure_card};
pub use case::{Attachment, Case, Metric, Notes, Progress, RunningAction, Said, Subcase};
pub use console::Console;
pub use entry::Entry;
pub use lines::{Options, Verbosity};
pub use reports::{Opening, Report, Reports, SinkKind, open, replay};
pub use summary::{Run, Summary};
pub use text::printable;

/// The reports there are, by the word that asks for them (`--report junit:out.xml`).
pub const SINKS: &[SinkKind] =
    &[SinkKind { word: "console", about: "one line an event, for people and CI logs", file: None, open: console::open }];
