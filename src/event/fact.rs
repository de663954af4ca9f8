//! The facts themselves, and the values they carry.

use super::plan::{Beginning, Block, Planned, PlannedStep};
use super::steering::{Pause, Release, Steering};
use super::verdict::Verdict;
use crate::error::{Blame, Error, Kind};
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
    RunStarted(Box<Beginning>),
    /// A run that died or was stopped goes on: what had not finished is run again from its start, in the same log.
    RunResumed {
        version: String,
        /// The command line, secrets masked.
        command: Vec<String>,
        /// What had ended and is run again all the same: what was cut off when the run was stopped, and clean-ups of what goes on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        again: Vec<CaseId>,
    },
    /// More is to be run than the first fact says: another round of `--until-fail`.
    PlanExtended {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<PlannedStep>,
        plan: Vec<Planned>,
    },
    /// A serial or parallel has begun.
    StepStarted {
        step: u32,
    },
    /// A serial or parallel has ended, its finally steps too.
    StepFinished {
        step: u32,
        took: f64,
        /// Why what follows it is not run, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<Block>,
    },
    CaseStarted {
        /// The arguments with their defaults filled in.
        args: BTreeMap<String, serde_json::Value>,
        /// The limit, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<f64>,
        /// The testcase's directory, relative to the results.
        dir: PathBuf,
        /// From 1; more than that after a failed attempt.
        #[serde(default = "first", skip_serializing_if = "is_first")]
        attempt: u32,
        /// Which of the things that run side by side it is, from 0: a row of a timeline.
        #[serde(default)]
        lane: u32,
    },
    /// An attempt did not pass and another is made. The last attempt ends with `CaseFinished`.
    AttemptFinished {
        attempt: u32,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        took: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
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
        /// Which way is better, where the testcase says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        better: Option<Better>,
        /// Where the value is a mean of many: of how many, and how far they lie apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spread: Option<Spread>,
    },
    /// What a testcase measured, beside what was measured before or a window that it has to be in.
    Compared(Box<Comparison>),
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
        /// Why it was not run, when it is blocked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block: Option<Block>,
    },
    /// Where people and programs can steer the run: an address for XML-RPC. The token is only in `interact.url` of the results.
    Listening {
        address: String,
    },
    /// A testcase, or the run itself, waits for a person.
    Paused(Box<Pause>),
    /// Nobody has come yet, and the pause is about to end by itself.
    PauseEnding {
        pause: u64,
        /// Seconds.
        left: f64,
    },
    /// It waits no longer.
    Resumed {
        pause: u64,
        how: Release,
        /// Who said so; nothing when nobody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// How long it waited.
        took: f64,
    },
    /// Somebody changed something of the run, or of the testcase.
    Steered {
        by: String,
        what: Box<Steering>,
    },
    /// The last fact of a run, unless it goes on (`RunResumed`). A log without it is of a run that died.
    RunFinished {
        verdict: Verdict,
        /// Since the run began, or was last taken up.
        took: f64,
    },
    /// A fact of a later version: kept and passed on as it was.
    #[serde(untagged)]
    Unknown(BTreeMap<String, serde_json::Value>),
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 1
}

/// What a mean hides of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub samples: usize,
    /// The standard deviation of the samples, in the unit of the value.
    pub deviation: f64,
}

/// Which way of a measured value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
}

/// Measured values beside earlier ones, or beside a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub name: String,
    pub unit: String,
    pub better: Better,
    pub change: Change,
    /// The mean of the values of this run, and how many there are.
    pub now: f64,
    pub samples: usize,
    /// The same of what it is compared with; for a window, the border that was crossed or the nearer one.
    pub before: f64,
    pub samples_before: usize,
    /// What it was compared with, as shown to people: "baseline results/…", "limits 3.5 to 4.5".
    pub against: String,
    /// One line that explains the judgement with its numbers.
    pub text: String,
}

/// What became of a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Better,
    Same,
    Worse,
}

impl Change {
    pub fn word(self) -> &'static str {
        match self {
            Change::Better => "better",
            Change::Same => "the same",
            Change::Worse => "worse",
        }
    }
}

/// How a testcase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    /// Ran, something secondary was wrong. Counts as passed, always shown.
    Partial,
    /// Passed after an attempt that did not. Counts as passed, always shown.
    Flaky,
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
    pub const ALL: [Outcome; 7] =
        [Outcome::Passed, Outcome::Partial, Outcome::Flaky, Outcome::Failed, Outcome::Errored, Outcome::Skipped, Outcome::Blocked];

    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Partial => "partial",
            Outcome::Flaky => "flaky",
            Outcome::Failed => "failed",
            Outcome::Errored => "errored",
            Outcome::Skipped => "skipped",
            Outcome::Blocked => "blocked",
        }
    }

    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|o| o.word() == word)
    }

    /// Whether it counts as a pass.
    pub fn is_pass(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Partial | Outcome::Flaky)
    }

    /// Whether it is the product's or somebody's fault, so that a person should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Errored | Outcome::Blocked)
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
