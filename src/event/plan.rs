//! What is to be run, as the first fact of a run has it: everything has its place in the stream before anything runs.

use super::fact::Outcome;
use super::verdict::Criteria;
use crate::name::CaseId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What is known when a run begins. The whole plan is in it, so a run that dies can never look passed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beginning {
    pub run: String,
    pub version: String,
    /// The command line, secrets masked.
    pub command: Vec<String>,
    /// Where it was given.
    #[serde(default)]
    pub cwd: PathBuf,
    /// What the environment set (`XRT_…`), secrets masked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The machines under test, as shown to people.
    pub targets: Vec<String>,
    pub workers: usize,
    /// Where the results are.
    pub results: PathBuf,
    /// Name of the sequence, if one is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// What the order was shuffled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub criteria: Criteria,
    /// The serials and parallels, each after its parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<PlannedStep>,
    pub plan: Vec<Planned>,
}

/// A serial or parallel of the plan. Its children are those that name it as their parent, in the order of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Unique in the run, from 0 (the root).
    pub step: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    pub order: Order,
    /// Its group, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// How many children of a parallel run at a time; nothing for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocker: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Serial,
    Parallel,
}

/// A testcase of the plan, or what else is done and can go wrong. There may be very many of them, of which many say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    pub id: CaseId,
    /// Name of the testcase ("benchmarks/iometer") or path of the program.
    pub testcase: Arc<str>,
    #[serde(default)]
    pub title: Arc<str>,
    /// The file it comes from, as shown to people.
    #[serde(default)]
    pub file: Arc<str>,
    #[serde(default, skip_serializing_if = "Role::is_testcase")]
    pub role: Role,
    /// The serial or parallel that it is a child of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// From 1, the highest; nothing counts as 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Id of its definition in a ticket system ("TC-1234"), and its variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tc: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocker: bool,
}

impl Planned {
    /// A testcase of which nothing more is to be said.
    pub fn new(id: CaseId, testcase: impl Into<Arc<str>>) -> Planned {
        Planned {
            id,
            testcase: testcase.into(),
            title: Arc::default(),
            file: Arc::default(),
            role: Role::Testcase,
            parent: None,
            priority: None,
            tc: None,
            sku: None,
            blocker: false,
        }
    }
}

/// What a planned case is, which decides what its outcome counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Testcase,
    /// A step of a finally block. It is run whatever happened and shown, and does not count.
    Cleanup,
    /// The preparation, or an action of the sequence. Without it there is no verdict.
    Action,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Testcase => "testcase",
            Role::Cleanup => "clean-up",
            Role::Action => "action",
        }
    }

    pub fn is_testcase(&self) -> bool {
        *self == Role::Testcase
    }
}

/// Why something was not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Block {
    /// A blocker that ended so.
    Case { id: CaseId, outcome: Outcome },
    /// A time limit of what it is a part of was over.
    Limit { whose: String, seconds: f64 },
    /// What it stands on was not prepared: the preparation, the step that failed, and why.
    Prepare { id: CaseId, step: String, reason: String },
    /// `--fail-fast`, after this one.
    FailFast { id: CaseId, outcome: Outcome },
    /// Somebody ended the run after what ran then.
    Ended { who: String },
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Block::Case { id, outcome } => write!(f, "blocked by {id}, {}", outcome.word()),
            Block::Limit { whose, seconds } => write!(f, "blocked by the limit of {whose}, {seconds} s"),
            Block::Prepare { id, step, reason } => write!(f, "blocked by {id}: {step}: {reason}"),
            Block::FailFast { id, outcome } => write!(f, "not run after {id} {} (--fail-fast)", outcome.word()),
            Block::Ended { who } => write!(f, "not run: {who} ended the run"),
        }
    }
}
