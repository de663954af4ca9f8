//! A plan as a tree with everything that is to be said of it: what `xrt plan` shows, in whatever form.

use super::expect::expected;
use super::history::History;
use super::plan::{Group, Names, Note, Plan, PlannedCase, Step, Work};
use super::step::unselected;
use crate::event::{Criteria, Order, Place, Role};
use crate::lab::prepare::{Graph, Scope};
use crate::script::{Catalog, shown_args};
use crate::sequence::{Sequence, Topology};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A plan to be shown. Its JSON is a format that others read: only add to it.
#[derive(Clone, Debug, Serialize)]
pub struct Outline {
    /// Name of the sequence.
    pub sequence: Option<String>,
    /// Its file, as shown to people.
    pub file: Option<String>,
    /// What it asks for; nothing when it asks for nothing.
    pub preprepare: Option<Topology>,
    pub prepare: Option<Topology>,
    pub tree: Branch,
    pub counts: Counts,
    pub criteria: Criteria,
    /// How many testcases of a class run at a time.
    pub semaphores: BTreeMap<String, usize>,
    /// What the order was shuffled with.
    pub seed: Option<u64>,
    pub expected: Option<Times>,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The skipped ones too.
    pub testcases: usize,
    pub skipped: usize,
    /// Those that are to be run and cannot be: they end as errored.
    pub unusable: usize,
    pub cleanups: usize,
    pub actions: usize,
}

/// How long it is to be expected to take.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    /// How many earlier runs say it.
    pub runs: usize,
    /// Without what is unknown.
    pub seconds: f64,
    /// How many testcases, clean-ups and actions are to be run of which no earlier run says how long they take.
    pub unknown: usize,
    /// The longest way through: the ids of what the end waits for.
    pub path: Vec<String>,
}

/// A part of the tree.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    Group(Branch),
    Case(Box<Leaf>),
    /// A loop, condition, include or option, and what it made.
    Note(Remark),
}

/// A serial or parallel.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    /// Its number in the events of a run.
    pub step: u32,
    pub order: Order,
    pub label: String,
    /// How many children of a parallel run at a time; nothing for all.
    pub workers: Option<usize>,
    pub blocker: bool,
    /// Seconds.
    pub timeout: Option<f64>,
    pub written: Option<Place>,
    pub steps: Vec<Part>,
    pub finally: Vec<Part>,
}

/// A testcase, clean-up or action.
#[derive(Clone, Debug, Serialize)]
pub struct Leaf {
    pub id: String,
    pub role: Role,
    /// What names the testcase on a command line.
    pub testcase: Arc<str>,
    pub title: Arc<str>,
    pub file: Arc<str>,
    /// The arguments as given.
    pub words: Arc<[String]>,
    /// All of them, with their types.
    pub args: BTreeMap<String, serde_json::Value>,
    pub priority: Option<u32>,
    pub tc: Option<Arc<str>>,
    pub sku: Option<Arc<str>>,
    pub blocker: bool,
    /// The ids of what must have passed before it.
    pub depends: Vec<String>,
    /// Seconds.
    pub timeout: Option<f64>,
    /// Whether the limit is not just the testcase's own.
    #[serde(skip)]
    pub is_timeout_set: bool,
    pub retries: u32,
    /// Its class in `semaphores`.
    pub class: Option<Arc<str>>,
    /// The machine that it is to run on, instead of the first.
    pub machine: Option<Arc<str>>,
    /// Why it is not selected.
    pub skip: Option<Arc<str>>,
    /// Why it cannot be run.
    pub unusable: Option<String>,
    /// What a preparation does, step by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Graph>,
    /// Seconds that earlier runs say.
    pub expected: Option<f64>,
    pub written: Option<Arc<Place>>,
}

/// What a loop, condition, include or option made of a group.
#[derive(Clone, Debug, Serialize)]
pub struct Remark {
    /// As written: "for G,D", "ifin".
    pub what: String,
    /// "2 rounds: (a, debian), (b, win)".
    pub did: String,
    pub written: Option<Place>,
    pub steps: Vec<Part>,
}

impl Outline {
    /// Tells everything of a plan, and by a history how long it will take with so many workers.
    pub fn of(
        plan: &Plan,
        sequence: Option<&Sequence>,
        catalog: &Catalog,
        history: Option<&History>,
        workers: Option<usize>,
    ) -> Outline {
        let times = vec![Duration::ZERO; plan.cases.len()];
        let mut drawing = Drawing { plan, names: Names::new(catalog), history, times, unknown: 0, idle: None };
        let tree = drawing.branch(&plan.root);
        let asked = |topology: &Option<Topology>| topology.clone().filter(|topology| !topology.is_empty());
        Outline {
            sequence: plan.sequence.clone(),
            file: sequence.map(|s| s.file.clone()),
            preprepare: sequence.and_then(|s| asked(&s.preprepare)),
            prepare: sequence.and_then(|s| asked(&s.prepare)),
            tree,
            counts: Counts::of(plan),
            criteria: plan.criteria.clone(),
            semaphores: plan.semaphores.clone(),
            seed: plan.seed,
            expected: history.map(|history| drawing.expected(history, workers)),
        }
    }
}

impl Leaf {
    /// The testcase with its arguments, as a command line has them; what an action does.
    pub fn work(&self) -> String {
        if self.role == Role::Action {
            return self.title.to_string();
        }
        std::iter::once(&*self.testcase).chain(self.words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

impl Counts {
    fn of(plan: &Plan) -> Counts {
        let mut counts = Counts::default();
        for case in &plan.cases {
            match case.role {
                Role::Testcase => counts.testcases += 1,
                Role::Cleanup => counts.cleanups += 1,
                Role::Action => counts.actions += 1,
            }
            let is_unusable = matches!(case.work, Work::Unusable { .. });
            counts.skipped += usize::from(case.role == Role::Testcase && case.skip.is_some());
            counts.unusable += usize::from(is_unusable && case.skip.is_none());
        }
        counts
    }
}

struct Drawing<'a> {
    plan: &'a Plan,
    names: Names<'a>,
    history: Option<&'a History>,
    times: Vec<Duration>,
    unknown: usize,
    /// Why the clean-ups that are drawn now are not run.
    idle: Option<Arc<str>>,
}

impl Drawing<'_> {
    fn branch(&mut self, group: &Group) -> Branch {
        let steps = group.steps.len();
        let (inside, finally): (Vec<&Note>, Vec<&Note>) = group.notes.iter().partition(|note| !note.in_finally);
        let parts = self.parts(group, 0..steps, &inside);
        let around = self.idle.clone();
        if self.idle.is_none() && group.is_unselected(self.plan) {
            self.idle = Some(unselected(group).into());
        }
        let finally = self.parts(group, steps..steps + group.finally.len(), &finally);
        self.idle = around;
        Branch {
            step: group.number,
            order: group.order,
            label: group.label.clone(),
            workers: group.workers,
            blocker: group.blocker,
            timeout: group.timeout.map(|t| t.as_secs_f64()),
            written: group.written.clone(),
            steps: parts,
            finally,
        }
    }

    /// These children of a group, those that a note speaks of inside it.
    fn parts(&mut self, group: &Group, children: Range<usize>, notes: &[&Note]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut next = children.start;
        let mut notes = notes;
        while let Some((note, after)) = notes.split_first() {
            // What stands inside this one comes right after it.
            let inner = after.iter().take_while(|other| other.depth > note.depth).count();
            let until = note.made.start.clamp(next, children.end);
            parts.extend((next..until).filter_map(|child| self.child(group, child)));
            let made = until..note.made.end.clamp(until, children.end);
            next = made.end;
            parts.push(Part::Note(Remark {
                what: note.what.clone(),
                did: note.did.clone(),
                written: note.written.clone(),
                steps: self.parts(group, made, &after[..inner]),
            }));
            notes = &after[inner..];
        }
        parts.extend((next..children.end).filter_map(|child| self.child(group, child)));
        parts
    }

    fn child(&mut self, group: &Group, place: usize) -> Option<Part> {
        match group.steps.iter().chain(&group.finally).nth(place)? {
            Step::Group(inner) => Some(Part::Group(self.branch(inner))),
            Step::Case(case) => Some(Part::Case(Box::new(self.leaf(*case)))),
        }
    }

    fn leaf(&mut self, place: usize) -> Leaf {
        let case = &self.plan.cases[place];
        let planned = case.planned(&mut self.names);
        let own_timeout = if let Work::Testcase(testcase) = &case.work { testcase.meta.timeout } else { None };
        let skip = case.skip.clone().or_else(|| self.idle.clone());
        let expected = if skip.is_none() { self.time(case, &planned.testcase) } else { None };
        self.times[place] = expected.unwrap_or_default();
        self.unknown += usize::from(expected.is_none() && skip.is_none());
        Leaf {
            id: case.id.to_string(),
            role: case.role,
            testcase: planned.testcase,
            title: planned.title,
            file: planned.file,
            words: case.words.clone(),
            args: shown_args(&case.args),
            priority: case.priority,
            tc: case.tc.clone(),
            sku: case.sku.clone(),
            blocker: case.blocker,
            depends: case.depends.iter().map(|other| self.plan.cases[*other].id.to_string()).collect(),
            timeout: case.timeout.map(|t| t.as_secs_f64()),
            is_timeout_set: case.timeout != own_timeout,
            retries: case.retries,
            class: case.class.clone(),
            machine: case.place.clone(),
            skip,
            preparation: match &case.work {
                Work::Prepare(asked) => Some(Graph::of(&asked.topology, Scope { hosts: asked.hosts, has_isos: false })),
                _ => None,
            },
            unusable: if let Work::Unusable(unusable) = &case.work { Some(unusable.error.what.clone()) } else { None },
            expected: expected.map(|time| time.as_secs_f64()),
            written: case.written.clone(),
        }
    }

    /// How long a case is expected to take, if anybody knows.
    fn time(&self, case: &PlannedCase, testcase: &str) -> Option<Duration> {
        let history = self.history?;
        match &case.work {
            Work::Sleep(duration) => Some(*duration),
            Work::Unusable { .. } => Some(Duration::ZERO),
            Work::Testcase(_) if case.args.is_empty() && !case.words.is_empty() => history.expected(&case.id, testcase, None),
            Work::Testcase(_) | Work::Prepare(_) => history.expected(&case.id, testcase, Some(&shown_args(&case.args))),
        }
    }

    fn expected(&self, history: &History, workers: Option<usize>) -> Times {
        let expected = expected(self.plan, &self.times, workers);
        Times {
            runs: history.runs,
            seconds: expected.total.as_secs_f64(),
            unknown: self.unknown,
            path: expected.path.into_iter().map(|case| self.plan.cases[case].id.to_string()).collect(),
        }
    }
}
