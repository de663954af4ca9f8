//! What a preparation comes to: steps, with what each of them needs.

use super::task::Task;
use serde::{Serialize, Serializer};

/// Everything that is to be there, as steps. A step needs only steps before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Graph {
    pub steps: Vec<Step>,
    /// What is asked for and not looked at: a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One thing that is to be there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Unique in the graph, and the same each time: "storage lab/Shared", "vm web/disk 1".
    pub id: String,
    /// What is done for it, for people: "make the SR Shared (nfs)".
    pub what: String,
    #[serde(skip)]
    pub task: Task,
    /// The names that testcases have for what it serves: a VM's, a host's, a pool's.
    pub serves: Vec<String>,
    /// What must have been done before it, by place in the graph.
    pub needs: Vec<usize>,
    /// What must have ended before it, well or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<usize>,
    pub state: State,
    /// Whether doing it once more after a failure does no harm.
    pub safe_to_retry: bool,
}

/// What of a step exists already.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum State {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// Nothing is to be done.
    There,
    /// It exists, but not as asked for. It is made so.
    Differs(String),
    /// It exists, but not as asked for, and is left as it is.
    Foreign(String),
    Missing,
    /// It cannot be made here: why, and what to do.
    Impossible(String, String),
}

impl State {
    pub fn word(&self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::There => "there",
            State::Differs(_) => "differs",
            State::Foreign(_) => "left as it is",
            State::Missing => "missing",
            State::Impossible(..) => "impossible",
        }
    }

    /// How it differs, or why it cannot be.
    pub fn why(&self) -> Option<&str> {
        match self {
            State::Differs(why) | State::Foreign(why) | State::Impossible(why, _) => Some(why),
            State::Unknown | State::There | State::Missing => None,
        }
    }

    /// Whether something is to be done.
    pub fn is_open(&self) -> bool {
        matches!(self, State::Unknown | State::Missing | State::Differs(_) | State::Impossible(..))
    }
}

impl Serialize for State {
    /// A word, or a word and why.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.why() {
            None => serializer.serialize_str(self.word()),
            Some(why) => serializer.collect_map([(self.word(), why)]),
        }
    }
}

impl Graph {
    /// The place of a step.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id == id)
    }

    /// How many steps are to be done.
    pub fn open(&self) -> usize {
        self.steps.iter().filter(|step| step.state.is_open()).count()
    }

    /// Whether somebody can name what is prepared so.
    pub fn knows(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.serves.iter().any(|served| served == name))
    }

    /// The first of the steps that were `not_done` that these names stand on; without a name, the first of all. What a step needs comes
    /// before it, so the first is the cause of the others.
    pub fn in_the_way(&self, names: &[&str], not_done: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut is_needed = vec![names.is_empty(); self.steps.len()];
        for (at, step) in self.steps.iter().enumerate().rev() {
            if is_needed[at] || step.serves.iter().any(|served| names.contains(&served.as_str())) {
                is_needed[at] = true;
                step.needs.iter().for_each(|need| is_needed[*need] = true);
            }
        }
        (0..self.steps.len()).find(|at| is_needed[*at] && not_done(*at))
    }

    /// The steps that stand below one in a tree, in which each is below the last one that it needs, and what is done with a VM below the
    /// VM, in its order; without one, those that need nothing.
    pub fn below(&self, of: Option<usize>) -> Vec<usize> {
        (0..self.steps.len()).filter(|at| self.above(*at) == of).collect()
    }

    /// The step that one stands below in that tree.
    pub fn above(&self, at: usize) -> Option<usize> {
        let of_vm = self.steps[at].id.split_once('/').filter(|(vm, _)| vm.starts_with("vm "));
        let vm = of_vm.and_then(|(vm, _)| self.steps[..at].iter().position(|step| step.id == vm));
        vm.or_else(|| self.steps[at].needs.iter().max().copied())
    }

    /// How many steps each has before it, at least.
    pub fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            depths.push(step.needs.iter().map(|need| depths[*need] + 1).max().unwrap_or(0));
        }
        depths
    }
}
