//! A sequence after variables, loops, conditions and includes are settled.

use super::topology::Topology;
use crate::event::{Order, Place};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a sequence file comes to.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Base name of the file without its ending (`SEQUENCE_NAME`).
    pub name: String,
    /// As shown to people.
    pub file: String,
    /// The tests: a serial. Nothing when there is no `testsequence`, as in a sequence that only prepares.
    pub root: Option<Group>,
    /// How many testcases of a class run at a time, by class in lower case.
    pub semaphores: BTreeMap<String, usize>,
    pub preprepare: Option<Topology>,
    pub prepare: Option<Topology>,
    /// Windows that measured values have to be in (`perfcheck`).
    pub windows: Vec<Window>,
    pub scheduler: Scheduler,
    /// Texts of scripts by name, for Windows guests.
    pub scripts: BTreeMap<String, ScriptText>,
    /// The texts of the files it was read from, by their names in places: what is found wrong later is shown with its lines.
    pub texts: BTreeMap<String, Arc<str>>,
}

/// A part of the tree.
#[derive(Clone, Debug)]
pub enum Node {
    /// A serial or parallel.
    Group(Group),
    Case(Case),
    Action(Action),
    /// Where a loop, condition or include stood: what it was and what it made. Its children run as if it were not there.
    Settled(Settled),
}

/// A serial or parallel.
#[derive(Clone, Debug)]
pub struct Group {
    pub place: Place,
    pub order: Order,
    pub labels: Labels,
    /// How many children run at a time; nothing for all.
    pub workers: Option<usize>,
    pub blocker: bool,
    pub timeout: Option<Duration>,
    pub nodes: Vec<Node>,
    pub finally: Vec<Node>,
}

/// What is inherited from the elements around, with what an element says itself put over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Names of machines to run on (`RESOURCE_HOST_0`, a guest's name).
    pub host: Option<String>,
    pub guest: Option<String>,
    pub group: Option<String>,
    pub priority: Option<u32>,
    /// A free label, only for `--skiptype`.
    pub ttype: Option<String>,
    /// Ticket of the test definition; only from the element directly around.
    pub tc: Option<String>,
    pub sku: Option<String>,
}

/// A testcase.
#[derive(Clone, Debug)]
pub struct Case {
    pub place: Place,
    /// The `id` as written, variables put in.
    pub id: String,
    /// The `name`, instead of the testcase's own.
    pub name: Option<String>,
    pub labels: Labels,
    /// Nothing for what the testcase itself says.
    pub blocker: Option<bool>,
    pub depends: Vec<Dependency>,
    pub args: Vec<Argument>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    /// Set when it is no testcase of ours.
    pub marvin: Option<Marvin>,
}

/// A testcase that must have passed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub place: Place,
    pub group: String,
    pub name: String,
}

/// An argument, as the word of a command line that it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub place: Place,
    pub text: String,
}

/// A test of the cloud test runner, kept so that it is not lost; running it is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marvin {
    pub path: String,
    pub class: String,
    pub tags: String,
}

/// A harness operation as a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// Prepare again: first `preprepare`, then `prepare`.
    Prepare {
        place: Place,
    },
    Sleep {
        place: Place,
        duration: Duration,
    },
}

/// What a loop, condition or include made.
#[derive(Clone, Debug)]
pub struct Settled {
    pub place: Place,
    /// As written: "for G,D", "ifin", "include ops".
    pub what: String,
    /// "2 rounds: (a, debian), (b, win)", "no: `x` is not in `a,b`".
    pub did: String,
    pub nodes: Vec<Node>,
}

/// A window that a measured value has to be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Name of the testcase.
    pub testcase: String,
    pub metric: String,
    pub least: Option<f64>,
    pub most: Option<f64>,
}

/// What submitting the sequence as a job asks for; not used while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    pub resources: Vec<String>,
    pub flags: Vec<String>,
    pub pools: Vec<String>,
    /// `NAME=VALUE`.
    pub params: Vec<(String, String)>,
    pub delay: Option<String>,
}

/// A script for a Windows guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptText {
    /// "cmd" or "vbs".
    pub language: String,
    pub text: String,
}
