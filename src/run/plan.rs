//! The plan: what is to be run, settled before anything runs.

use crate::error::{Error, Result};
use crate::event::{Block, Counts, Criteria, Order, Outcome, Place, Planned, PlannedStep, Role};
use crate::name::{CaseId, CaseIds};
use crate::script::{Args, Catalog, Origin, Testcase, typed_args};
use crate::sequence::{ScriptText, Topology};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What is to be run.
#[derive(Clone, Default)]
pub struct Plan {
    /// Name of the sequence, if it is one.
    pub sequence: Option<String>,
    /// Everything that gets an outcome, in the order of the plan. Steps name them by their place here.
    pub cases: Vec<PlannedCase>,
    pub root: Group,
    /// How many testcases of a class run at a time, by class in lower case.
    pub semaphores: BTreeMap<String, usize>,
    pub criteria: Criteria,
    /// What the order was shuffled with.
    pub seed: Option<u64>,
    /// What is there already under the names of the sequence, as nothing is prepared (`--noprepare`).
    pub known: Vec<Arc<Preparation>>,
}

/// A part of the plan.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "groups are few beside their cases, and a case is a number")]
pub enum Step {
    Group(Group),
    /// By its place in [`Plan::cases`].
    Case(usize),
}

/// A serial or parallel.
#[derive(Clone)]
pub struct Group {
    /// Unique in the plan; the root is 0.
    pub number: u32,
    pub order: Order,
    /// The reporting group that it gives its testcases, or empty.
    pub label: String,
    /// How many children of a parallel run at a time; nothing for all.
    pub workers: Option<usize>,
    /// Whether a block inside it is passed on to what follows it.
    pub blocker: bool,
    pub timeout: Option<Duration>,
    /// Whether it had ended, its finally steps too, before the run was taken up again: nothing of it is told again. Holds the block
    /// that it ended with.
    pub done: Option<Option<Block>>,
    pub steps: Vec<Step>,
    /// What is run after the steps, whatever happened, one after another.
    pub finally: Vec<Step>,
    /// Where it stands in the sequence.
    pub written: Option<Place>,
    /// What loops, conditions and options made of it: for showing the plan, of no matter when it runs.
    pub notes: Vec<Note>,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            number: 0,
            order: Order::Serial,
            label: String::new(),
            workers: None,
            blocker: false,
            timeout: None,
            done: None,
            steps: Vec::new(),
            finally: Vec::new(),
            written: None,
            notes: Vec::new(),
        }
    }
}

/// What a loop, condition, include or option made of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands in the sequence; nothing for an option.
    pub written: Option<Place>,
    /// As written: "for G,D", "ifin", "finally".
    pub what: String,
    /// "2 rounds: (a, debian), (b, win)", "left out (--no-finally)".
    pub did: String,
    /// How many other notes it is inside of.
    pub depth: usize,
    /// The children that it made, counted through the steps and then on through the finally steps. Empty when it made none, or when
    /// they were shuffled among others.
    pub made: Range<usize>,
    /// Whether it stands among the finally steps.
    pub in_finally: bool,
}

/// A case of the plan, with its identity in this run. There may be very many of them: what is seldom there is kept small, and what several
/// have is shared.
#[derive(Clone)]
pub struct PlannedCase {
    pub id: CaseId,
    /// Its reporting group, or empty, and its name in it; several cases may have the same.
    pub group: Arc<str>,
    pub name: Arc<str>,
    pub role: Role,
    pub work: Work,
    /// Typed arguments of a script.
    pub args: Args,
    /// The words as given, for a program.
    pub words: Arc<[String]>,
    /// The group that it is a child of.
    pub parent: u32,
    pub priority: Option<u32>,
    pub tc: Option<Arc<str>>,
    pub sku: Option<Arc<str>>,
    /// A free label, for filters.
    pub ttype: Option<Arc<str>>,
    /// Whether what follows it is not run when it does not pass.
    pub blocker: bool,
    /// What must have passed before it, by place in [`Plan::cases`].
    pub depends: Vec<usize>,
    /// Its limit, before those of the command line are looked at.
    pub timeout: Option<Duration>,
    /// How often it may be tried again when it does not pass.
    pub retries: u32,
    /// Class of which only some run at a time, in lower case; see [`Plan::semaphores`].
    pub class: Option<Arc<str>>,
    /// Name of the machine that it is to run on, instead of the first.
    pub place: Option<Arc<str>>,
    /// Why it is not selected.
    pub skip: Option<Arc<str>>,
    /// Where it stands in the sequence.
    pub written: Option<Arc<Place>>,
    /// Whether it has passed in the run of which this one runs the rest: it is skipped, and for what depends on it it has passed.
    pub has_passed: bool,
    /// How it ended before the run was taken up again. It is not run, nothing of it is told again, and for all that depends on it
    /// it ended so.
    pub done: Option<Box<Done>>,
}

/// The result that a case had before the run was taken up again.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub outcome: Outcome,
    /// The outcomes of its subcases.
    pub subcases: Counts,
    /// Why it was not run, when it is blocked.
    pub block: Option<Block>,
}

/// What is done for a case.
#[derive(Clone)]
pub enum Work {
    Testcase(Arc<Testcase>),
    /// It was asked for and cannot be run: there is no such testcase, or it is of a sort that is not supported.
    Unusable(Box<Unusable>),
    /// Provisions what a sequence asks for.
    Prepare(Arc<Preparation>),
    Sleep(Duration),
}

/// A testcase that cannot be run, and why.
#[derive(Clone)]
pub struct Unusable {
    /// As it was asked for.
    pub testcase: String,
    pub error: Error,
}

/// What a preparation is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preparation {
    pub topology: Topology,
    /// Whether hosts are prepared too, with their networks, storage and pools; VMs always are (`--nohostprepare`).
    pub hosts: bool,
    /// What the sequence has read of scripts for its VMs, by name.
    pub scripts: BTreeMap<String, ScriptText>,
}

impl PlannedCase {
    /// A case of which nothing more is to be said. Its group and name are those of its id.
    pub fn new(id: CaseId, work: Work, args: Args, words: &[String]) -> PlannedCase {
        let timeout = if let Work::Testcase(testcase) = &work { testcase.meta.timeout } else { None };
        PlannedCase {
            group: shared(id.group()),
            name: shared(id.name()),
            id,
            role: Role::Testcase,
            work,
            args,
            words: if words.is_empty() { Arc::default() } else { words.into() },
            parent: 0,
            priority: None,
            tc: None,
            sku: None,
            ttype: None,
            blocker: false,
            depends: Vec::new(),
            timeout,
            retries: 0,
            class: None,
            place: None,
            skip: None,
            written: None,
            has_passed: false,
            done: None,
        }
    }
}

/// A text that several cases may have; an empty one takes no memory.
pub(super) fn shared(text: &str) -> Arc<str> {
    if text.is_empty() { Arc::default() } else { text.into() }
}

impl PlannedCase {
    /// What its testcase is called: its reference and its aliases.
    pub fn names(&self, catalog: &Catalog) -> Vec<String> {
        let Work::Testcase(testcase) = &self.work else { return Vec::new() };
        [catalog.reference(testcase)].into_iter().chain(testcase.meta.aliases.iter().cloned()).collect()
    }

    /// What it is in the first fact of the run.
    pub(super) fn planned(&self, names: &mut Names<'_>) -> Planned {
        let Shown { testcase, title, file } = match &self.work {
            Work::Testcase(testcase) => names.of(testcase),
            Work::Unusable(unusable) => Shown { testcase: unusable.testcase.as_str().into(), ..Shown::default() },
            Work::Prepare(_) => {
                Shown { testcase: "prepare".into(), title: "Provision what the sequence asks for".into(), ..Shown::default() }
            }
            Work::Sleep(duration) => {
                Shown { testcase: "sleep".into(), title: format!("Wait {} s", duration.as_secs_f64()).into(), ..Shown::default() }
            }
        };
        let (tc, sku) = (self.tc.clone(), self.sku.clone());
        let (role, parent, priority, blocker) = (self.role, Some(self.parent), self.priority, self.blocker);
        Planned { id: self.id.clone(), testcase, title, file, role, parent, priority, tc, sku, blocker }
    }
}

/// What testcases are called in the first fact of a run: made once for each, as thousands of cases may be of one testcase. It is of use
/// for one plan, which holds the testcases.
pub(super) struct Names<'a> {
    catalog: &'a Catalog,
    /// By where the testcase is in memory.
    shown: HashMap<*const Testcase, Shown>,
    titles: HashSet<Arc<str>>,
}

/// What a testcase is called.
#[derive(Clone, Default)]
struct Shown {
    testcase: Arc<str>,
    title: Arc<str>,
    file: Arc<str>,
}

impl<'a> Names<'a> {
    pub fn new(catalog: &'a Catalog) -> Names<'a> {
        Names { catalog, shown: HashMap::new(), titles: HashSet::new() }
    }

    fn of(&mut self, testcase: &Arc<Testcase>) -> Shown {
        if let Some(shown) = self.shown.get(&Arc::as_ptr(testcase)) {
            return shown.clone();
        }
        let file: Arc<str> = testcase.origin.source().into();
        let reference = self.catalog.reference(testcase);
        let name = if *reference == *file { file.clone() } else { reference.into() };
        let title = &*testcase.meta.title;
        let title = self.titles.get(title).cloned().unwrap_or_else(|| {
            let title = Arc::from(title);
            self.titles.insert(Arc::clone(&title));
            title
        });
        let shown = Shown { testcase: name, title, file };
        // One that only one case is of is not asked for again.
        if Arc::strong_count(testcase) > 1 {
            self.shown.insert(Arc::as_ptr(testcase), shown.clone());
        }
        shown
    }
}

impl Step {
    /// Calls `visit` for each case in it, clean-ups too, in the order of the plan.
    pub fn each_case(&self, visit: &mut dyn FnMut(usize)) {
        match self {
            Step::Case(case) => visit(*case),
            Step::Group(group) => group.steps.iter().chain(&group.finally).for_each(|step| step.each_case(visit)),
        }
    }
}

impl Group {
    /// How many children of a parallel run at a time where no parallel of the run has more than these workers.
    pub fn width(&self, workers: Option<usize>) -> usize {
        self.workers.into_iter().chain(workers).min().unwrap_or(usize::MAX).max(1)
    }

    /// What it is called in messages: "serial", "group `disk`".
    pub fn shown(&self) -> String {
        match (self.label.as_str(), self.order) {
            _ if self.number == 0 => "run".into(),
            ("", Order::Serial) => "serial".into(),
            ("", Order::Parallel) => "parallel".into(),
            (label, _) => format!("group `{label}`"),
        }
    }

    /// Whether none of its cases is to be run. Its clean-ups do not count: they are never deselected.
    pub fn is_unselected(&self, plan: &Plan) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Group(group) => group.is_unselected(plan),
            Step::Case(case) => plan.cases.get(*case).is_none_or(|case| case.skip.is_some()),
        })
    }

    /// This and the groups in it, as the first fact of the run has them.
    pub fn planned(&self) -> Vec<PlannedStep> {
        let mut all = Vec::new();
        self.list(None, &mut all);
        all
    }

    fn list(&self, parent: Option<u32>, all: &mut Vec<PlannedStep>) {
        let (step, order, label, workers, blocker) = (self.number, self.order, self.label.clone(), self.workers, self.blocker);
        all.push(PlannedStep { step, parent, order, label, workers, blocker });
        for step in self.steps.iter().chain(&self.finally) {
            if let Step::Group(group) = step {
                group.list(Some(self.number), all);
            }
        }
    }
}

impl Plan {
    /// What is prepared before anything is tested, by the ids of its cases.
    pub fn preparations(&self) -> Vec<(String, Arc<Preparation>)> {
        let preparation = |case: &PlannedCase| match &case.work {
            Work::Prepare(preparation) if case.written.is_none() => Some((case.id.to_string(), preparation.clone())),
            _ => None,
        };
        self.cases.iter().filter_map(preparation).collect()
    }

    /// The same without anything but what is prepared before.
    #[must_use]
    pub fn only_preparation(self) -> Plan {
        let is_wanted = |case: &PlannedCase| matches!(case.work, Work::Prepare(_)) && case.written.is_none();
        let cases: Vec<PlannedCase> = self.cases.into_iter().filter(is_wanted).collect();
        let steps = (0..cases.len()).map(Step::Case).collect();
        let root = Group { steps, ..Group::default() };
        let criteria = Criteria { expects_tests: cases.is_empty(), ..Criteria::default() };
        Plan { sequence: self.sequence, cases, root, criteria, ..Plan::default() }
    }

    /// Its cases as the first fact of the run has them.
    pub fn planned(&self, catalog: &Catalog) -> Vec<Planned> {
        let mut names = Names::new(catalog);
        self.cases.iter().map(|case| case.planned(&mut names)).collect()
    }

    /// A plan of these testcases in this order, all with the same arguments, so many at a time.
    ///
    /// # Errors
    /// `Malformed`: an argument that a testcase does not have or cannot take.
    pub fn of(testcases: Vec<Arc<Testcase>>, words: &[String], workers: usize) -> Result<Plan> {
        let mut ids = CaseIds::default();
        let root = Group { order: Order::Parallel, workers: Some(workers), ..Group::default() };
        let mut plan = Plan { root, cases: Vec::with_capacity(testcases.len()), ..Plan::default() };
        for testcase in testcases {
            let args = match testcase.origin {
                Origin::Program(_) => Args::new(),
                _ => typed_args(&testcase.name, &testcase.meta.args, words)?,
            };
            let (group, name) = testcase.name.rsplit_once('/').unwrap_or(("", &testcase.name));
            let (id, group, name) = (ids.next(group, name), shared(group), shared(name));
            plan.root.steps.push(Step::Case(plan.cases.len()));
            plan.cases.push(PlannedCase { group, name, ..PlannedCase::new(id, Work::Testcase(testcase), args, words) });
        }
        Ok(plan)
    }
}
