//! What people and other programs get to read about a run, each made from the events and nothing else.
//!
//! Never true here: that a report knows of a lab, a script or a run; that two reports come to different results (all show the one
//! [`Summary`]); that a report which cannot be written stops the run; that text from outside reaches a screen or a page unescaped.
//!
//! To add a report: a file here with a type that implements [`Report`], and its row in [`SINKS`].

mod bunch;
mod card;
mod case;
mod console;
mod ending;
mod entry;
mod github;
mod html;
mod jsonl;
mod judgement;
mod junit;
mod lines;
mod live;
mod markdown;
mod notes;
mod notice;
mod outbox;
mod reports;
mod rerun;
mod results;
mod sqlite;
mod summary;
mod tap;
mod testlog;
mod text;
mod tree;

pub use card::{Card, Complaint, complaint, failure_card};
pub use case::{Attempt, Case, Overridden};
pub use console::Console;
pub use entry::Entry;
pub use html::html;
pub use junit::junit;
pub use lines::{Options, Verbosity};
pub use live::{Live, ScreenSize, Stage};
pub use notes::{Attachment, Metric, Notes, Progress, RunningAction, Said, Steered, Subcase};
pub use notice::{About, Happening, Notice, Notices};
pub use outbox::{Complain, Messenger, Outbox};
pub use reports::{Opening, Report, Reports, SinkKind, asked, open, replay, takes_the_output};
pub use sqlite::{DATABASE, DATABASE_VERSION, Took, is_database, times};
pub use summary::{Run, Summary};
pub use testlog::TestLogs;
pub use text::{Paint, ascii, clean, count, cut_end, pad, printable, shell_line, width};
pub use tree::{Node, Step, Tree};

/// The reports there are, by the word that asks for them (`--report junit:out.xml`).
pub const SINKS: &[SinkKind] = &[
    SinkKind { word: "console", about: "one line an event, for people and CI logs", file: None, open: console::open },
    SinkKind { word: "github", about: "annotations for GitHub, on the standard output", file: None, open: github::open },
    SinkKind { word: "html", about: "one page with everything, for people", file: Some("report.html"), open: html::open },
    SinkKind { word: "jsonl", about: "the event stream as JSON lines", file: Some("events.copy.jsonl"), open: jsonl::open },
    SinkKind { word: "junit", about: "JUnit XML for CI systems", file: Some("junit.xml"), open: junit::open },
    SinkKind { word: "live", about: "as console, with what runs now below it; for terminals", file: None, open: live::open },
    SinkKind {
        word: "markdown",
        about: "a summary for the page of a CI job or a mail",
        file: Some("summary.md"),
        open: markdown::open,
    },
    SinkKind {
        word: "results",
        about: "the original's results.xml of a whole run",
        file: Some("results.xml"),
        open: results::open,
    },
    SinkKind {
        word: "sqlite",
        about: "a database of many runs, for questions over time",
        file: Some("results.db"),
        open: sqlite::open,
    },
    SinkKind { word: "tap", about: "TAP version 14, written as testcases finish", file: Some("report.tap"), open: tap::open },
    SinkKind { word: "testlog", about: "a directory with the `xenrt.log` of each testcase", file: Some(""), open: testlog::open },
];
