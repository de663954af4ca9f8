//! What people (or other programs) do to a run that goes on, and what they are told of it.
//!
//! # Source
//! The original's control interface (`reference/harness.md` 9 and 10): who did what was nowhere to be read there.

use super::fact::{Outcome, Place};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Unique in the run, from 1.
    pub pause: u64,
    /// Why, as shown to people ("failed: the guest does not answer").
    pub reason: String,
    /// The statement that is held, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// When it goes on by itself; nothing when it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// It goes on, with the result that it has.
    Continue,
    /// It ends as failed and goes on; a testcase that waits without a failure has failed then.
    NotContinue,
    /// The statement is evaluated again.
    Retry,
    /// The statement is passed over.
    Skip,
    /// The script is read again and its hook begins anew.
    Reload,
    /// Nobody came in time.
    Expired,
    /// The run (or this testcase) was stopped.
    Stopped,
}

impl Release {
    pub fn word(self) -> &'static str {
        match self {
            Release::Continue => "continued",
            Release::NotContinue => "not continued",
            Release::Retry => "statement retried",
            Release::Skip => "statement skipped",
            Release::Reload => "script reloaded",
            Release::Expired => "went on by itself",
            Release::Stopped => "stopped",
        }
    }
}

/// A change of the run that somebody made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// A variable was set. The value of one that is a secret is not told.
    VariableSet { name: String, value: String },
    /// The pause no longer ends by itself.
    Held,
    /// Whether the testcase blocks what follows it.
    BlockerSet { blocker: bool },
    /// The result of the testcase, whatever it says itself.
    ResultSet { outcome: Outcome },
    /// Nothing more begins once what runs now has ended.
    RunEnded,
    /// The testcase was stopped; its clean-ups are run.
    Killed,
    /// The next testcase that ends waits for a person.
    PauseAsked,
    /// A person evaluated something in a paused testcase.
    Evaluated { frame: usize, text: String },
    /// A statement that had failed was passed over, with this in place of its value.
    StatementSkipped { place: Place, value: String },
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Steering::VariableSet { name, value } => write!(f, "set {name}={value}"),
            Steering::Held => f.write_str("holds the pause"),
            Steering::BlockerSet { blocker: true } => f.write_str("made it a blocker"),
            Steering::BlockerSet { blocker: false } => f.write_str("made it no blocker"),
            Steering::ResultSet { outcome } => write!(f, "set the result to {}", outcome.word()),
            Steering::RunEnded => f.write_str("ended the run after what runs now"),
            Steering::Killed => f.write_str("stopped it"),
            Steering::PauseAsked => f.write_str("asked for a pause after the next testcase"),
            Steering::Evaluated { frame: 0, text } => write!(f, "evaluated `{text}`"),
            Steering::Evaluated { frame, text } => write!(f, "evaluated `{text}` in frame {frame}"),
            Steering::StatementSkipped { place, value } => write!(f, "passed over the statement at {place} with {value}"),
        }
    }
}
