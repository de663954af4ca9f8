//! The same plan again and again, and in another order.
//!
//! What a shuffled order keeps: blockers and actions stay where they are in a serial, and so do the stretches between them, as what comes
//! after a blocker relies on it; a testcase comes after what it depends on; preparations and clean-ups are never moved. The numbers come
//! from a generator of a fixed algorithm, so that a seed gives the same order on every machine.

use super::{Group, Plan, PlannedCase, Step, Work};
use crate::event::{Order, Role};
use crate::name::{CaseId, CaseIds};
use oorandom::Rand64;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rounds of a plan, one by one. Every case and group of a round has an identity of its own, and only the first has the preparation.
pub struct Rounds {
    /// Copied for each round; the last one takes it.
    plan: Plan,
    ids: CaseIds,
    /// How many groups there are so far.
    groups: u32,
    random: Option<Rand64>,
    left: Option<u32>,
    is_first: bool,
}

impl Rounds {
    /// So many rounds of a plan that was just made, or rounds without an end, each shuffled anew if there is a seed.
    pub fn new(plan: Plan, seed: Option<u64>, rounds: Option<u32>) -> Rounds {
        let random = seed.map(|seed| Rand64::new(seed.into()));
        Rounds { plan: Plan { seed, ..plan }, ids: CaseIds::default(), groups: 0, random, left: rounds, is_first: true }
    }

    /// What each round is a copy of, until the last one was made.
    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// All rounds that are left as one plan: where there are several, each is a serial or parallel of its own. Without an end, one.
    pub fn rest(&mut self) -> Plan {
        let rounds = self.left.replace(0).unwrap_or(1);
        if rounds <= 1 {
            return self.one();
        }
        let mut cases = Vec::new();
        let (before, tests) = self.parts(false);
        let mut root = self.lay(Group { steps: before, timeout: tests.timeout, ..Group::default() }, &mut cases, false);
        for round in 1..=rounds {
            let tests = Group { timeout: None, ..self.shuffled(tests.clone()) };
            let tests = self.lay(tests, &mut cases, round == rounds);
            let of = if tests.label.is_empty() { String::new() } else { format!("{}, ", tests.label) };
            root.steps.push(Step::Group(Group { label: format!("{of}round {round}"), ..tests }));
        }
        self.plan_of(root, cases)
    }

    /// One round, as a plan.
    fn one(&mut self) -> Plan {
        let is_last = self.left == Some(0);
        let (mut before, tests) = self.parts(is_last);
        let mut tests = self.shuffled(tests);
        if std::mem::take(&mut self.is_first) {
            for note in &mut tests.notes {
                note.made = note.made.start + before.len()..note.made.end + before.len();
            }
            before.append(&mut tests.steps);
            tests.steps = before;
        }
        let mut cases = Vec::new();
        let root = self.lay(tests, &mut cases, is_last);
        self.plan_of(root, cases)
    }

    fn plan_of(&self, root: Group, cases: Vec<PlannedCase>) -> Plan {
        let Plan { sequence, semaphores, criteria, seed, known, .. } = &self.plan;
        let (sequence, semaphores, criteria) = (sequence.clone(), semaphores.clone(), criteria.clone());
        Plan { sequence, cases, root, semaphores, criteria, seed: *seed, known: known.clone() }
    }

    /// What prepares what everything needs, and the rest.
    fn parts(&mut self, is_last: bool) -> (Vec<Step>, Group) {
        let mut tests = if is_last { std::mem::take(&mut self.plan.root) } else { self.plan.root.clone() };
        let prepares = |step: &Step| matches!(step, Step::Case(case) if is_first_preparation(&self.plan.cases[*case]));
        let before = tests.steps.iter().take_while(|step| prepares(step)).count();
        let rest = tests.steps.split_off(before);
        for note in &mut tests.notes {
            note.made = note.made.start.saturating_sub(before)..note.made.end.saturating_sub(before);
        }
        (std::mem::replace(&mut tests.steps, rest), tests)
    }

    fn shuffled(&mut self, mut group: Group) -> Group {
        if let Some(random) = &mut self.random {
            shuffle(&mut group, &self.plan.cases, random);
        }
        group
    }

    /// Puts a group behind the cases that there are. The ids are given in the order of the file, so that a case has the same in any order.
    fn lay(&mut self, group: Group, cases: &mut Vec<PlannedCase>, is_last: bool) -> Group {
        let mut ids: BTreeMap<usize, Option<CaseId>> = BTreeMap::new();
        group.steps.iter().chain(&group.finally).for_each(|step| step.each_case(&mut |case| drop(ids.insert(case, None))));
        for (case, id) in &mut ids {
            let case = &self.plan.cases[*case];
            *id = Some(self.ids.next(&case.group, &case.name));
        }
        let first = cases.len();
        cases.reserve_exact(ids.len());
        let from = if is_last {
            Originals::Taken(std::mem::take(&mut self.plan.cases).into_iter().map(Some).collect())
        } else {
            Originals::Kept(&self.plan.cases)
        };
        let mut copy = Copy { from, ids, groups: &mut self.groups, cases, places: HashMap::new() };
        let group = copy.group(group);
        let places = copy.places;
        for case in &mut cases[first..] {
            case.depends = case.depends.iter().filter_map(|needed| places.get(needed).copied()).collect();
        }
        group
    }
}

impl Iterator for Rounds {
    type Item = Plan;

    fn next(&mut self) -> Option<Plan> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        Some(self.one())
    }
}

/// What a round is made of: ten thousand cases are not held twice without need.
enum Originals<'a> {
    Kept(&'a [PlannedCase]),
    Taken(Vec<Option<PlannedCase>>),
}

impl Originals<'_> {
    fn get(&mut self, place: usize) -> Option<PlannedCase> {
        match self {
            Originals::Kept(cases) => cases.get(place).cloned(),
            Originals::Taken(cases) => cases.get_mut(place)?.take(),
        }
    }
}

/// A group being copied.
struct Copy<'a> {
    from: Originals<'a>,
    /// The new ids by the place of the original.
    ids: BTreeMap<usize, Option<CaseId>>,
    groups: &'a mut u32,
    cases: &'a mut Vec<PlannedCase>,
    /// Where the copies are, by the place of the original.
    places: HashMap<usize, usize>,
}

impl Copy<'_> {
    fn group(&mut self, mut group: Group) -> Group {
        group.number = *self.groups;
        *self.groups += 1;
        let number = group.number;
        let mut steps = |steps: Vec<Step>| steps.into_iter().filter_map(|step| self.step(step, number)).collect();
        (group.steps, group.finally) = (steps(group.steps), steps(group.finally));
        group
    }

    fn step(&mut self, step: Step, parent: u32) -> Option<Step> {
        let original = match step {
            Step::Group(group) => return Some(Step::Group(self.group(group))),
            Step::Case(case) => case,
        };
        // Each case is a step once.
        let case = self.from.get(original)?;
        let id = self.ids.get_mut(&original).and_then(Option::take).unwrap_or(case.id);
        self.places.insert(original, self.cases.len());
        self.cases.push(PlannedCase { id, parent, ..case });
        Some(Step::Case(self.cases.len() - 1))
    }
}

/// Whether it is a part of what the sequence prepares, and not an action somewhere in it.
fn is_first_preparation(case: &PlannedCase) -> bool {
    matches!(case.work, Work::Prepare(_)) && case.written.is_none()
}

/// Shuffles what is in a group; see the head of this file for what is kept.
fn shuffle(group: &mut Group, cases: &[PlannedCase], random: &mut Rand64) {
    let is_serial = group.order == Order::Serial;
    let is_fixed = |step: &Step| match step {
        Step::Case(case) => cases[*case].role != Role::Testcase || is_serial && cases[*case].blocker,
        Step::Group(group) => is_serial && group.blocker,
    };
    let mut steps = Vec::with_capacity(group.steps.len());
    let mut stretch = Vec::new();
    for mut step in std::mem::take(&mut group.steps) {
        if let Step::Group(inner) = &mut step {
            shuffle(inner, cases, random);
        }
        if is_fixed(&step) {
            steps.append(&mut mixed(std::mem::take(&mut stretch), cases, random));
            steps.push(step);
        } else {
            stretch.push(step);
        }
    }
    steps.append(&mut mixed(stretch, cases, random));
    // What a loop made is no longer together.
    for note in group.notes.iter_mut().filter(|note| note.made.end <= steps.len()) {
        note.made = 0..0;
    }
    group.steps = steps;
}

/// The same steps in any order in which each comes after those that it depends on.
fn mixed(mut steps: Vec<Step>, cases: &[PlannedCase], random: &mut Rand64) -> Vec<Step> {
    for last in (1..steps.len()).rev() {
        let other = random.rand_range(0..last as u64 + 1);
        steps.swap(last, usize::try_from(other).unwrap_or(last));
    }
    let mut holders = HashMap::new();
    for (place, step) in steps.iter().enumerate() {
        step.each_case(&mut |case| {
            holders.insert(case, place);
        });
    }
    let needs = |place: usize, step: &Step| {
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        step.each_case(&mut |case| needed.extend(cases[case].depends.iter().filter_map(|other| holders.get(other))));
        needed.remove(&place);
        needed
    };
    let mut needed: Vec<BTreeSet<usize>> = steps.iter().enumerate().map(|(place, step)| needs(place, step)).collect();
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    for (place, others) in needed.iter().enumerate() {
        others.iter().for_each(|other| waiting[*other].push(place));
    }
    let mut ready: BTreeSet<usize> = (0..steps.len()).filter(|place| needed[*place].is_empty()).collect();
    let mut left: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(next) = ready.pop_first() {
        ordered.extend(left[next].take());
        for other in &waiting[next] {
            needed[*other].remove(&next);
            if needed[*other].is_empty() {
                ready.insert(*other);
            }
        }
    }
    // Nothing is lost, even if two needed each other; a dependency always stands before in the file, so they never do.
    ordered.extend(left.into_iter().flatten());
    ordered
}
