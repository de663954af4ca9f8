//! What a run has done before, as its log tells it: what of that stands when the run is taken up again, and what is run again.

use super::{Done, Group, Plan, PlannedCase, Step, leftover};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::log::LogReader;
use crate::event::{Beginning, Block, Event, Fact, Outcome, Planned, PlannedStep, Role};
use crate::name::{CaseId, CaseIds};
use crate::report::{Case, Summary};
use crate::script::Catalog;
use crate::time::Cancel;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// What a run has done before.
#[derive(Default)]
pub struct Past {
    /// Without the plan, which is in the rounds.
    pub beginning: Beginning,
    /// The command line by which it was begun, or last taken up. Secrets are masked.
    pub command: Vec<String>,
    pub summary: Summary,
    /// Number of the last event.
    pub last: u64,
    /// How many bytes of the log are whole events.
    pub whole: u64,
    /// What was planned: at the beginning, and with each further round.
    rounds: Vec<Round>,
    /// The serials and parallels that have ended, with their blocks.
    ended: HashMap<u32, Option<Block>>,
    /// See [`Past::again`]: found once, as there may be thousands of rounds.
    again: OnceLock<HashSet<CaseId>>,
}

struct Round {
    steps: Vec<PlannedStep>,
    plan: Vec<Planned>,
}

impl Past {
    /// Reads a log. Its last line may be torn.
    ///
    /// # Errors
    /// `Malformed`: a line in the middle is no event, or there is no plan; those of reading.
    pub fn read(mut log: LogReader) -> Result<Past> {
        let mut past: Option<Past> = None;
        let mut torn: Option<Error> = None;
        for event in log.by_ref() {
            match (event, torn.take()) {
                (Ok(_), Some(error)) => {
                    let help = "nobody knows what it said, so the run cannot go on: run it anew";
                    return Err(error.blame(Blame::User).help(help));
                }
                (Ok(event), None) => past = Some(Past::with(past, event)?),
                // As long as nothing comes after it, it is what was being written when the run died.
                (Err(error), before) if error.kind == Kind::Malformed => torn = before.or(Some(error)),
                (Err(error), _) => return Err(error),
            }
        }
        let whole = log.whole();
        past.map(|past| Past { whole, ..past }).ok_or_else(unplanned)
    }

    fn with(past: Option<Past>, event: Event) -> Result<Past> {
        let mut past = match (past, &event.fact) {
            (Some(past), _) => past,
            (None, Fact::RunStarted(_)) => Past::default(),
            (None, _) => return Err(unplanned()),
        };
        past.summary.apply(&event);
        past.last = event.seq;
        match event.fact {
            // A second beginning in a log is odd, and nothing to go on with.
            Fact::RunStarted(beginning) if past.rounds.is_empty() => past.begin(*beginning),
            Fact::RunResumed { command, .. } => past.command = command,
            Fact::PlanExtended { steps, plan } => past.rounds.push(Round { steps, plan }),
            Fact::StepStarted { step } => drop(past.ended.remove(&step)),
            Fact::StepFinished { step, block, .. } => drop(past.ended.insert(step, block)),
            _ => {}
        }
        Ok(past)
    }

    fn begin(&mut self, mut beginning: Beginning) {
        self.rounds.push(Round { steps: std::mem::take(&mut beginning.steps), plan: std::mem::take(&mut beginning.plan) });
        self.command.clone_from(&beginning.command);
        self.beginning = beginning;
    }

    /// Ends what still runs of what was running when the run died. What is to be told of it.
    ///
    /// # Errors
    /// As [`leftover::end`].
    pub fn end_leftovers(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let running: HashSet<&CaseId> = self.summary.cases().iter().filter(|case| case.is_running()).map(|case| &case.id).collect();
        leftover::end(&self.beginning.run, &running, cancel)
    }

    /// For how long it has been running, all in all.
    pub fn ran(&self) -> Duration {
        self.summary.last_at().map_or(Duration::ZERO, |last| self.summary.run().ran_until(last))
    }

    /// How many rounds have been planned, the first with them.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// What has ended and is run again all the same: what was cut off when the run was stopped, what that had blocked, and the
    /// clean-ups of serials and parallels that go on.
    pub fn again(&self) -> Vec<CaseId> {
        let again = self.to_be_run_again();
        self.cases().filter(|(planned, _)| again.contains(&planned.id)).map(|(planned, _)| planned.id.clone()).collect()
    }

    fn to_be_run_again(&self) -> &HashSet<CaseId> {
        self.again.get_or_init(|| self.found_again().into_iter().cloned().collect())
    }

    fn found_again(&self) -> HashSet<&CaseId> {
        let mut again: HashSet<&CaseId> =
            self.cases().filter(|(_, case)| is_cut_off(case)).map(|(planned, _)| &planned.id).collect();
        for (planned, case) in self.cases() {
            // Who ended the run did not want to do without it for ever.
            if let Some(Block::Ended { .. }) = case.block.as_deref() {
                again.insert(&planned.id);
            }
            if let Some(Block::Case { id, .. } | Block::Prepare { id, .. } | Block::FailFast { id, .. }) = case.block.as_deref()
                && again.contains(id)
            {
                again.insert(&planned.id);
            }
        }
        for round in &self.rounds {
            let owners = Owners::of(round);
            let mut unfinished = HashSet::new();
            for (planned, case) in self.cases_of(round).filter(|(planned, _)| planned.role != Role::Cleanup) {
                if case.outcome.is_none() || again.contains(&planned.id) {
                    unfinished.extend(owners.around(planned.parent));
                }
            }
            for (planned, case) in self.cases_of(round).filter(|(p, _)| p.role == Role::Cleanup) {
                let is_result = case.outcome.is_some_and(|outcome| outcome != Outcome::Skipped);
                if is_result && owners.cleaned(planned.parent).is_some_and(|step| unfinished.contains(&step)) {
                    again.insert(&planned.id);
                }
            }
        }
        again
    }

    /// Whether everything planned has its result, and nothing of it is to be run again.
    pub fn is_whole(&self) -> bool {
        self.summary.is_over() && self.cases().all(|(_, case)| case.outcome.is_some()) && self.to_be_run_again().is_empty()
    }

    fn cases(&self) -> impl Iterator<Item = (&Planned, &Case)> {
        self.rounds.iter().flat_map(|round| self.cases_of(round))
    }

    fn cases_of<'a>(&'a self, round: &'a Round) -> impl Iterator<Item = (&'a Planned, &'a Case)> {
        round.plan.iter().filter_map(|planned| Some((planned, self.summary.case(&planned.id)?)))
    }

    /// Puts what stands into the plan of a round, so that it is not run again.
    ///
    /// # Errors
    /// `Malformed`, blamed on the user: the plan is not the one that was begun.
    pub fn take_over(&self, round: usize, plan: &mut Plan, catalog: &Catalog) -> Result<()> {
        let Some(before) = self.rounds.get(round) else { return Ok(()) };
        same(before, plan, catalog)?;
        let again = self.to_be_run_again();
        for planned in &mut plan.cases {
            let case = self.summary.case(&planned.id).filter(|case| !again.contains(&case.id));
            planned.done = case.and_then(done);
        }
        let is_done: Vec<bool> = plan.cases.iter().map(|case| case.done.is_some()).collect();
        self.close(&mut plan.root, &is_done);
        Ok(())
    }

    /// Marks the serials and parallels in which nothing is to be run any more. Returns whether this is one of them.
    fn close(&self, group: &mut Group, is_done: &[bool]) -> bool {
        let mut is_closed = true;
        for step in group.steps.iter_mut().chain(&mut group.finally) {
            is_closed &= match step {
                Step::Group(group) => self.close(group, is_done),
                Step::Case(case) => is_done.get(*case).copied().unwrap_or_default(),
            };
        }
        group.done = if is_closed { self.ended.get(&group.number).cloned() } else { None };
        group.done.is_some()
    }
}

/// Running again what did not pass.
impl Past {
    /// What did not pass: failed, errored, blocked, or without a result. Clean-ups do not count.
    pub fn bad(&self) -> Vec<&CaseId> {
        let bad = self.cases().filter(|(planned, case)| planned.role != Role::Cleanup && case.is_bad());
        bad.map(|(planned, _)| &planned.id).collect()
    }

    /// Leaves of a plan what did not pass; what did is skipped. What this run did not have is run. This run had each case of the plan so
    /// many times, in `rounds` of its own.
    ///
    /// # Errors
    /// `NotFound`: none of it is in the plan.
    pub fn leave_rest(&self, plan: &mut Plan, rounds: usize) -> Result<()> {
        let alike = alike(plan, rounds);
        for planned in plan.cases.iter_mut().filter(|planned| planned.role == Role::Testcase && planned.skip.is_none()) {
            let of = |id: &CaseId| self.summary.case(id);
            let cases: Vec<&Case> = alike.get(&planned.id).into_iter().flatten().filter_map(of).collect();
            if cases.iter().any(|case| case.is_bad()) {
                continue;
            }
            let passed = cases.iter().find(|case| case.outcome.is_some_and(Outcome::is_pass));
            let Some(outcome) = passed.or(cases.first()).and_then(|case| case.outcome) else { continue };
            planned.has_passed = outcome.is_pass();
            planned.skip = Some(format!("{} in {}", outcome.word(), self.beginning.run).into());
        }
        let is_left = |planned: &PlannedCase| planned.role == Role::Testcase && planned.skip.is_none();
        let lost: Vec<&CaseId> =
            self.cases().filter(|(p, case)| p.role == Role::Testcase && case.is_bad()).map(|(p, _)| &p.id).collect();
        if let Some(first) = lost.first()
            && !plan.cases.iter().any(is_left)
        {
            let more = if lost.len() > 1 { format!(" and {} more", lost.len() - 1) } else { String::new() };
            let what = format!("what did not pass in {} is not in the plan any more: `{first}`{more}", self.beginning.run);
            return Err(Error::new(Kind::NotFound, what).blame(Blame::User).help("run it as a new run"));
        }
        leave_out_actions(&plan.root, &mut plan.cases);
        Ok(())
    }

    /// Whether a file is a log of this run, or one without any events.
    pub fn is_told_in(&self, path: &Path) -> bool {
        let Ok(mut log) = LogReader::open(path) else { return false };
        match log.next() {
            None => true,
            Some(Ok(Event { fact: Fact::RunStarted(beginning), .. })) => beginning.run == self.beginning.run,
            Some(_) => false,
        }
    }
}

/// The ids that each case of a plan has in so many rounds of it; see [`super::Rounds`].
fn alike(plan: &Plan, rounds: usize) -> HashMap<CaseId, Vec<CaseId>> {
    if rounds == 1 {
        return plan.cases.iter().map(|case| (case.id.clone(), vec![case.id.clone()])).collect();
    }
    let mut alike: HashMap<CaseId, Vec<CaseId>> = HashMap::new();
    let (mut ids, mut first) = (CaseIds::default(), Vec::new());
    for round in 0..rounds {
        for (place, case) in plan.cases.iter().enumerate() {
            let id = ids.next(&case.group, &case.name);
            if round == 0 {
                first.push(id.clone());
            }
            alike.entry(first[place].clone()).or_default().push(id);
        }
    }
    alike
}

/// Leaves out the actions of serials and parallels in which no testcase is run. Returns whether one is run in this.
fn leave_out_actions(group: &Group, cases: &mut [PlannedCase]) -> bool {
    let mut actions = Vec::new();
    let mut is_run = false;
    for step in &group.steps {
        match step {
            Step::Group(group) => is_run |= leave_out_actions(group, cases),
            Step::Case(case) if cases[*case].role == Role::Action => actions.push(*case),
            Step::Case(case) => is_run |= cases[*case].skip.is_none(),
        }
    }
    // Those of the root prepare what everything needs.
    for case in actions.into_iter().filter(|_| !is_run && group.number > 0) {
        cases[case].skip.get_or_insert_with(|| "nothing beside it is run".into());
    }
    is_run
}

/// The result of a case, as what depends on it sees it.
fn done(case: &Case) -> Option<Box<Done>> {
    Some(Box::new(Done { outcome: case.outcome?, subcases: case.notes().subcase_counts, block: case.block.as_deref().cloned() }))
}

/// Whether it has no other result than that the run was stopped.
fn is_cut_off(case: &Case) -> bool {
    let is_stop = |failure: &crate::event::Failure| (failure.kind, failure.blame) == (Kind::Cancelled, Blame::User);
    case.outcome == Some(Outcome::Errored) && case.failure.as_deref().is_some_and(is_stop)
}

fn unplanned() -> Error {
    let error = Error::new(Kind::Malformed, "the run died before it had a plan, so there is nothing to go on with");
    error.blame(Blame::User).help("run it anew")
}

/// Which serials and parallels are around what.
struct Owners {
    parents: HashMap<u32, u32>,
    /// Those that have anything but clean-ups in them.
    working: HashSet<u32>,
}

impl Owners {
    fn of(round: &Round) -> Owners {
        let parents = round.steps.iter().filter_map(|step| Some((step.step, step.parent?))).collect();
        let mut owners = Owners { parents, working: HashSet::new() };
        for planned in round.plan.iter().filter(|planned| planned.role != Role::Cleanup) {
            let around: Vec<u32> = owners.around(planned.parent).collect();
            owners.working.extend(around);
        }
        owners
    }

    /// A step and all that it is in.
    fn around(&self, step: Option<u32>) -> impl Iterator<Item = u32> {
        // A log may hold anything, a circle too.
        std::iter::successors(step, |step| self.parents.get(step).copied()).take(self.parents.len() + 1)
    }

    /// What a clean-up that is a child of `step` cleans up.
    fn cleaned(&self, step: Option<u32>) -> Option<u32> {
        self.around(step).find(|step| self.working.contains(step))
    }
}

/// Compares the plan of today with the one that was begun.
fn same(before: &Round, plan: &Plan, catalog: &Catalog) -> Result<()> {
    let steps = plan.root.planned();
    let cases = plan.planned(catalog);
    let parts = |step: &PlannedStep| (step.step, step.parent, step.order);
    let difference = first_difference(&before.plan, &cases, |old, new| {
        let told = |what: &str, old: &str, new: &str| Some(format!("{what} was {old}, now it is {new}"));
        match () {
            () if old.id != new.id => told("the case", &format!("`{}`", old.id), &format!("`{}`", new.id)),
            () if old.role != new.role => told(&format!("`{}`", old.id), old.role.word(), new.role.word()),
            () if old.testcase != new.testcase => told(&format!("`{}`", old.id), &old.testcase, &new.testcase),
            () if old.parent != new.parent => Some(format!("`{}` is in another serial or parallel", old.id)),
            () => None,
        }
    });
    let difference = difference.or_else(|| {
        let changed =
            |old: &PlannedStep, new: &PlannedStep| (parts(old) != parts(new)).then(|| "a serial or parallel is another".into());
        // A log of an older program has none.
        if before.steps.is_empty() { None } else { first_difference(&before.steps, &steps, changed) }
    });
    match difference {
        None => Ok(()),
        Some(difference) => {
            let error = Error::new(Kind::Malformed, format!("the plan is not the one that was begun: {difference}"));
            Err(error.blame(Blame::User).help("put the files back as they were; or xrt --rerun-failed, which makes a new run"))
        }
    }
}

/// The first place at which two lists differ, in words.
fn first_difference<T: Named>(old: &[T], new: &[T], differ: impl Fn(&T, &T) -> Option<String>) -> Option<String> {
    let changed = old.iter().zip(new).enumerate().find_map(|(place, (old, new))| {
        let what = differ(old, new)?;
        Some(format!("{what} (the {} of {})", ordinal(place + 1), T::WHAT))
    });
    changed.or_else(|| match (old.get(new.len()), new.get(old.len())) {
        (Some(gone), _) => Some(format!("{} is not in it any more", gone.named())),
        (_, Some(more)) => Some(format!("{} is new in it", more.named())),
        (None, None) => None,
    })
}

trait Named {
    const WHAT: &str;
    fn named(&self) -> String;
}

impl Named for Planned {
    const WHAT: &str = "the plan";
    fn named(&self) -> String {
        format!("`{}`", self.id)
    }
}

impl Named for PlannedStep {
    const WHAT: &str = "its serials and parallels";
    fn named(&self) -> String {
        let named = if self.label.is_empty() { String::new() } else { format!(" `{}`", self.label) };
        format!("a serial or parallel{named}")
    }
}

/// "1st", "12th".
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
