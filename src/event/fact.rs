//! The facts themselves, and the values they carry.

use crate::error::{Blame, Error, Exit, Kind};
use crate::name::CaseId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A fact with its number in the run, its time, and the testcase it belongs to, if any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    #[serde(flatten)]
    pub fact: Fact,
}

/// Something that happened. Durations are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// The first fact of a run. The whole plan is in it, so a run that dies can never look passed.
    RunStarted {
        run: String,
        version: String,
        /// The command line, secrets masked.
        command: Vec<String>,
        /// The machines under test, as shown to people.
        targets: Vec<String>,
        workers: usize,
        /// Where the results are.
        results: PathBuf,
        plan: Vec<Planned>,
    },
    CaseStarted {
        /// The arguments with their defaults filled in.
        args: BTreeMap<String, serde_json::Value>,
        /// The limit, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<f64>,
        /// The testcase's directory, relative to the results.
        dir: PathBuf,
    },
    PhaseStarted {
        phase: Phase,
    },
    /// Work on a machine, or a wait, has begun. Every one is ended by `ActionFinished` with the same number, unless the run died.
    ActionStarted {
        action: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<String>,
        what: String,
    },
    ActionFinished {
        action: u64,
        took: f64,
        end: ActionEnd,
    },
    /// What a running action or testcase says of itself ("31 of 50 up"). Replaces the one before.
    Progressed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<u64>,
        text: String,
        /// From 0 to 1, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<f64>,
    },
    Logged {
        level: Level,
        text: String,
    },
    Measured {
        name: String,
        value: f64,
        /// As the tool said it; empty for a bare number.
        unit: String,
    },
    Subcase {
        group: String,
        name: String,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        took: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
    },
    /// A file that belongs to the testcase, by its path relative to the results.
    Attached {
        name: String,
        path: PathBuf,
        bytes: u64,
    },
    /// The last fact of a testcase, also of one that was never started (skipped, blocked).
    CaseFinished {
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        took: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
    },
    /// The last fact of a run. A log without it is of a run that died.
    RunFinished {
        verdict: Verdict,
        took: f64,
    },
    /// A fact of a later version: kept and passed on as it was.
    #[serde(untagged)]
    Unknown(BTreeMap<String, serde_json::Value>),
}

/// A testcase of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    pub id: CaseId,
    /// Name of the testcase ("benchmarks/iometer") or path of the program.
    pub testcase: String,
    #[serde(default)]
    pub title: String,
    /// The file it comes from, as shown to people.
    #[serde(default)]
    pub file: PathBuf,
}

/// How a testcase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    /// Ran, something secondary was wrong. Counts as passed, always shown.
    Partial,
    /// The product is at fault.
    Failed,
    /// It could not be judged: lab, author, user or us.
    Errored,
    /// Not applicable here.
    Skipped,
    /// Not run, because something it needs did not pass.
    Blocked,
}

impl Outcome {
    pub const ALL: [Outcome; 6] =
        [Outcome::Passed, Outcome::Partial, Outcome::Failed, Outcome::Errored, Outcome::Skipped, Outcome::Blocked];

    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
            Outcome::Errored => "errored",
            Outcome::Skipped => "skipped",
            Outcome::Blocked => "blocked",
        }
    }

    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|o| o.word() == word)
    }

    /// Whether it is the product's or somebody's fault, so that a person should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Errored | Outcome::Blocked)
    }
}

/// The judgement over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed,
    Errored,
    /// Everything was skipped, or there was nothing to run.
    NothingRan,
    /// A person stopped it.
    Stopped,
    /// Something planned has no result: the run died, or lost it.
    Incomplete,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Errored => "errored",
            Verdict::NothingRan => "nothing_ran",
            Verdict::Stopped => "stopped",
            Verdict::Incomplete => "incomplete",
        }
    }

    /// The judgement over the results of everything planned, `None` for what has no result.
    ///
    /// Never passed unless everything planned has a result and something passed.
    pub fn over(results: impl IntoIterator<Item = Option<Outcome>>, stopped: bool) -> Verdict {
        let mut seen = [false; Outcome::ALL.len()];
        let mut missing = false;
        for result in results {
            match result {
                None => missing = true,
                Some(outcome) => seen[outcome as usize] = true,
            }
        }
        let any = |outcome: Outcome| seen[outcome as usize];
        if stopped {
            Verdict::Stopped
        } else if missing {
            Verdict::Incomplete
        } else if any(Outcome::Failed) {
            Verdict::Failed
        } else if any(Outcome::Errored) || any(Outcome::Blocked) {
            Verdict::Errored
        } else if any(Outcome::Passed) || any(Outcome::Partial) {
            Verdict::Passed
        } else {
            Verdict::NothingRan
        }
    }

    pub fn exit(self) -> Exit {
        match self {
            Verdict::Passed => Exit::Passed,
            Verdict::Failed => Exit::Failed,
            Verdict::Errored | Verdict::Incomplete => Exit::Errored,
            Verdict::NothingRan => Exit::NothingRan,
            Verdict::Stopped => Exit::Stopped,
        }
    }
}

/// Part of a testcase's life (`reference/harness.md` 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Prepare,
    Run,
    PreLogs,
    /// Logs are fetched from the machines.
    Logs,
    /// What `defer` registered, last first.
    Cleanup,
    PostRun,
}

impl Phase {
    pub fn word(self) -> &'static str {
        match self {
            Phase::Prepare => "prepare",
            Phase::Run => "run",
            Phase::PreLogs => "pre_logs",
            Phase::Logs => "log collection",
            Phase::Cleanup => "clean-up",
            Phase::PostRun => "post_run",
        }
    }
}

/// What a line of a testcase's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For the log only.
    Verbose,
    /// Stored with the result and shown in reports.
    Comment,
    Warning,
    /// Why the result is not a pass.
    Reason,
    /// A step of the testcase has begun.
    Step,
    /// A line between two parts of a log.
    Delimiter,
    /// A raw result row.
    Result,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionEnd {
    /// With what there is to say of it ("exit 0, 12 lines").
    Ok(String),
    Failed(String),
}

/// Everything a person needs to understand a failure without running it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: Kind,
    pub blame: Blame,
    /// One line.
    pub message: String,
    /// More of it, bounded: a command's output, a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The call chain, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
    /// The last calls made to machines, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
}

impl Failure {
    /// What an error says for itself: no call chain, no calls to machines.
    pub fn of(error: &Error) -> Failure {
        Failure {
            kind: error.kind,
            blame: error.blame,
            message: error.what.clone(),
            data: None,
            causes: error.causes(),
            help: error.help.clone(),
            frames: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// What it makes of the testcase: only the product can fail, everyone else's fault is an error.
    pub fn outcome(&self) -> Outcome {
        if self.blame == Blame::Product { Outcome::Failed } else { Outcome::Errored }
    }
}

/// One level of the call chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Name of the function, "closure", or empty at file level.
    pub function: String,
    pub place: Place,
    /// The lines around the place, so that reports need no files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<SourceLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<Local>,
}

/// A position in a file, both numbers from 1; column 0 is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    pub number: usize,
    pub text: String,
}

/// A local variable as it was, its value as text and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    pub name: String,
    pub value: String,
}

/// A call made to a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub at: Timestamp,
    pub machine: String,
    pub what: String,
    pub took: f64,
    pub end: ActionEnd,
}
