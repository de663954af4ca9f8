//! The fold of events into results. Everything shown about results anywhere is this plus formatting.
//!
//! It alone matches facts without a wildcard, so a new fact cannot be forgotten here. It survives any order of events: what makes
//! no sense is noted ([`Summary::oddities`]) and never makes a run look better than it was.

use super::case::{Case, End};
use super::judgement::worse;
use super::notes::{Notes, Progress};
use super::tree::{Step, Steps, Tree};
use crate::event::{Beginning, Counts, Criteria, Event, Fact, Level, Outcome, Planned, PlannedStep, Role, Steering, Verdict};
use crate::name::CaseId;
use crate::time::Timestamp;
use crate::unit::seconds_to_duration;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// How many oddities are kept in words; the rest is counted.
const ODDITIES_KEPT: usize = 50;

/// What is known of a run.
#[derive(Debug, Default)]
pub struct Summary {
    run: Run,
    cases: Vec<Case>,
    index: HashMap<CaseId, usize>,
    steps: Steps,
    notes: Notes,
    /// Results by what they count for.
    counts: HashMap<Role, Counts>,
    planned: HashMap<Role, usize>,
    said: Option<Verdict>,
    last: Option<(u64, Timestamp)>,
    oddities: Vec<String>,
    further_oddities: usize,
    damaged: bool,
}

/// What the run said of itself when it began and ended.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub id: String,
    pub version: String,
    pub command: Vec<String>,
    /// Where the command was given.
    pub cwd: PathBuf,
    pub targets: Vec<String>,
    pub workers: usize,
    pub results: PathBuf,
    /// Name of the sequence, if one is run.
    pub sequence: Option<String>,
    /// What the order was shuffled with.
    pub seed: Option<u64>,
    pub criteria: Criteria,
    pub started: Option<Timestamp>,
    /// Seconds, once it has ended: those in which it ran, when it was resumed.
    pub took: Option<f64>,
    /// When it was resumed: the last that was heard before, and when it went on.
    pub pauses: Vec<(Timestamp, Timestamp)>,
    /// Where it can be steered while it goes on.
    pub address: Option<String>,
    /// Who ended it before everything had run.
    pub ended_by: Option<String>,
}

impl Summary {
    /// Takes in the next event.
    pub fn apply(&mut self, event: &Event) {
        self.watch_order(event);
        match &event.fact {
            Fact::RunStarted(_)
            | Fact::RunResumed { .. }
            | Fact::PlanExtended { .. }
            | Fact::StepStarted { .. }
            | Fact::StepFinished { .. }
            | Fact::RunFinished { .. }
            | Fact::Listening { .. }
            | Fact::Unknown(_) => self.of_the_run(event),
            Fact::CaseStarted { .. } | Fact::PhaseStarted { .. } | Fact::AttemptFinished { .. } | Fact::CaseFinished { .. } => {
                self.of_a_case(event);
            }
            Fact::ActionStarted { .. }
            | Fact::ActionFinished { .. }
            | Fact::Progressed { .. }
            | Fact::Logged { .. }
            | Fact::Measured { .. }
            | Fact::Compared(_)
            | Fact::Subcase { .. }
            | Fact::Attached { .. } => self.of_notes(event),
            Fact::Paused(_) | Fact::PauseEnding { .. } | Fact::Resumed { .. } | Fact::Steered { .. } => self.of_people(event),
        }
        self.keep_tail(event);
        self.last = Some((event.seq, event.at));
    }

    fn of_the_run(&mut self, event: &Event) {
        match &event.fact {
            Fact::RunStarted(beginning) => self.begin(beginning, event.at),
            Fact::RunResumed { again, .. } => self.resume(event, again),
            Fact::PlanExtended { steps, plan } => self.plan(steps, plan),
            Fact::StepStarted { step } => match self.steps.get_mut(*step) {
                Some(step) => step.started = step.started.or(Some(event.at)),
                None => self.odd(event, &format!("step {step} is not in the plan")),
            },
            Fact::StepFinished { step, took, block } => match self.steps.get_mut(*step) {
                Some(step) => step.finish(event.at, *took, block.as_ref()),
                None => self.odd(event, &format!("step {step} is not in the plan")),
            },
            Fact::RunFinished { verdict, took } => self.end(event, *verdict, *took),
            Fact::Listening { address } => self.run.address = Some(address.clone()),
            Fact::Unknown(fields) => {
                let name = fields.get("fact").map(ToString::to_string).unwrap_or_default();
                self.odd(event, &format!("the fact {name} is of a later version"));
            }
            _ => {}
        }
    }

    fn of_a_case(&mut self, event: &Event) {
        let at = event.at;
        let Some(position) = self.position(event) else { return self.odd(event, "a fact of a testcase names no testcase") };
        let case = &mut self.cases[position];
        match &event.fact {
            Fact::CaseStarted { args, timeout, dir, attempt, lane } => {
                case.args = args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                case.timeout = *timeout;
                if !case.begin(at, *attempt, *lane, dir) {
                    self.odd(event, "started again");
                }
            }
            Fact::PhaseStarted { phase } => {
                case.phase = Some(*phase);
                case.phase_since = Some(at);
            }
            Fact::AttemptFinished { outcome, reason, took, failure, .. } => {
                let (reason, failure) = (reason.as_deref(), failure.as_deref());
                if !case.retry(&End { at, outcome: *outcome, reason, took: *took, failure, block: None }) {
                    self.odd(event, "an attempt ended that had not begun");
                }
            }
            Fact::CaseFinished { outcome, reason, took, failure, block } => {
                let (reason, failure, block) = (reason.as_deref(), failure.as_deref(), block.as_ref());
                self.finish_case(event, position, &End { at, outcome: *outcome, reason, took: *took, failure, block });
            }
            _ => {}
        }
    }

    /// What waits for a person, and what people change.
    fn of_people(&mut self, event: &Event) {
        self.notes_mut(event).take(event.at, &event.fact);
        let Fact::Steered { by, what } = &event.fact else { return };
        match (&**what, event.case.as_ref().and_then(|id| self.place(id))) {
            (Steering::ResultSet { outcome }, Some(position)) => {
                let case = &mut self.cases[position];
                let before = case.outcome;
                case.set(event.at, by, *outcome);
                let (role, now) = (case.role, case.outcome);
                self.recount(role, before, now);
            }
            (Steering::BlockerSet { blocker }, Some(position)) => self.cases[position].blocker = *blocker,
            (Steering::RunEnded, _) => self.run.ended_by = Some(by.clone()),
            _ => {}
        }
    }

    fn recount(&mut self, role: Role, before: Option<Outcome>, now: Option<Outcome>) {
        let counts = self.counts.entry(role).or_default();
        if let Some(before) = before {
            counts[before as usize] -= 1;
        }
        if let Some(now) = now {
            counts[now as usize] += 1;
        }
    }

    fn of_notes(&mut self, event: &Event) {
        let at = event.at;
        let notes = self.notes_mut(event);
        let odd = match &event.fact {
            Fact::ActionStarted { action, machine, what } => {
                (!notes.action_started(*action, at, machine.as_deref(), what)).then_some("an action began twice")
            }
            Fact::ActionFinished { action, .. } => (!notes.action_ended(*action)).then_some("an action ended that had not begun"),
            Fact::Progressed { action, text, part } => {
                let progress = Progress { at, text: text.as_str().into(), part: *part };
                (!notes.progressed(*action, progress)).then_some("progress of an action that is not running")
            }
            fact => {
                notes.take(at, fact);
                None
            }
        };
        if let Some(what) = odd {
            self.odd(event, what);
        }
    }

    /// Something of the log could not be read, so nothing may be called passed any more.
    pub fn damage(&mut self, what: impl Into<String>) {
        self.damaged = true;
        self.note_oddity(what.into());
    }

    fn begin(&mut self, beginning: &Beginning, at: Timestamp) {
        if self.run.started.is_some() {
            self.note_oddity(format!("a second run, `{}`, is in the same log", beginning.run));
        } else {
            let Beginning { run, version, command, cwd, targets, workers, results, sequence, seed, criteria, .. } =
                beginning.clone();
            let started = Some(at);
            let id = run;
            self.run =
                Run { id, version, command, cwd, targets, workers, results, sequence, seed, criteria, started, ..Run::default() };
        }
        self.plan(&beginning.steps, &beginning.plan);
    }

    fn plan(&mut self, steps: &[PlannedStep], plan: &[Planned]) {
        for step in steps {
            if !self.steps.add(step) {
                self.note_oddity(format!("step {} is twice in the plan", step.step));
            }
        }
        self.cases.reserve(plan.len());
        for planned in plan {
            let position = self.cases.len();
            if let Some(&known) = self.index.get(&planned.id) {
                if !self.cases[known].planned {
                    self.catch_up(known, planned);
                    continue;
                }
                // The second of an id can never get a result: the run stays incomplete, which is the truth.
                self.note_oddity(format!("`{}` is twice in the plan", planned.id));
            } else {
                self.index.insert(planned.id.clone(), position);
            }
            *self.planned.entry(planned.role).or_default() += 1;
            self.cases.push(Case::planned(planned));
        }
    }

    /// The plan has a testcase that was heard of before.
    fn catch_up(&mut self, known: usize, planned: &Planned) {
        let case = &mut self.cases[known];
        let before = case.role;
        case.plan(planned);
        *self.planned.entry(before).or_default() -= 1;
        *self.planned.entry(planned.role).or_default() += 1;
        if let Some(outcome) = case.outcome {
            self.counts.entry(before).or_default()[outcome as usize] -= 1;
            self.counts.entry(planned.role).or_default()[outcome as usize] += 1;
        }
    }

    /// The run goes on. What it said at its end was of a part of it; what has a result keeps it, but for what is run again.
    fn resume(&mut self, event: &Event, again: &[CaseId]) {
        if self.run.started.is_none() {
            return self.odd(event, "a run goes on that had not begun");
        }
        let last = self.last.map_or(event.at, |(_, at)| at);
        self.run.pauses.push((last, event.at));
        self.run.took = None;
        self.said = None;
        self.notes.interrupt();
        for id in again {
            let Some(&position) = self.index.get(id) else {
                self.odd(event, &format!("`{id}` is to be run again and is not in the plan"));
                continue;
            };
            let case = &mut self.cases[position];
            if let Some(outcome) = case.reopen() {
                self.counts.entry(case.role).or_default()[outcome as usize] -= 1;
            }
        }
        for case in &mut self.cases {
            case.interrupt(last);
        }
    }

    fn end(&mut self, event: &Event, verdict: Verdict, took: f64) {
        if self.said.is_some() {
            self.odd(event, "the run ended twice");
        }
        self.run.took = Some(took + self.run.earlier());
        self.said = Some(self.said.map_or(verdict, |before| worse(before, verdict)));
        let judged = self.judged();
        if worse(verdict, judged) != verdict {
            self.odd(event, &format!("the run says `{}`, its testcases say `{}`", verdict.word(), judged.word()));
        }
    }

    fn finish_case(&mut self, event: &Event, position: usize, end: &End) {
        let case = &mut self.cases[position];
        let before = case.outcome;
        case.finish(end);
        let (role, now) = (case.role, case.outcome);
        self.recount(role, before, now);
        if let Some(before) = before {
            self.odd(event, &format!("finished twice, as {} and as {}", before.word(), end.outcome.word()));
        }
    }

    /// The testcase of an event; made when the plan does not have it, so that nothing is lost.
    fn position(&mut self, event: &Event) -> Option<usize> {
        let id = event.case.as_ref()?;
        if let Some(&position) = self.index.get(id) {
            return Some(position);
        }
        self.odd(event, "not in the plan");
        self.index.insert(id.clone(), self.cases.len());
        self.cases.push(Case::unplanned(id.clone()));
        *self.planned.entry(Role::Testcase).or_default() += 1;
        Some(self.cases.len() - 1)
    }

    fn notes_mut(&mut self, event: &Event) -> &mut Notes {
        match self.position(event) {
            Some(position) => self.cases[position].notes_mut(),
            None => &mut self.notes,
        }
    }

    fn keep_tail(&mut self, event: &Event) {
        if let Some(entry) = super::entry::Entry::of(event) {
            let is_only_a_phase = matches!(event.fact, Fact::PhaseStarted { .. });
            // A phase alone is no reason to keep notes, so that thousands of testcases that do nothing stay small.
            if !is_only_a_phase || event.case.as_ref().is_some_and(|id| self.case(id).is_some_and(Case::has_notes)) {
                self.notes_mut(event).keep(entry);
            }
        }
    }

    fn watch_order(&mut self, event: &Event) {
        if let Some((seq, _)) = self.last
            && event.seq != seq.wrapping_add(1)
        {
            self.note_oddity(format!("event {} follows on event {seq}", event.seq));
        }
        // What is told of the end may fail: a mail.
        let is_of_the_end =
            event.case.is_none() && matches!(event.fact, Fact::RunResumed { .. } | Fact::Logged { level: Level::Warning, .. });
        if self.said.is_some() && !is_of_the_end {
            self.odd(event, "told after the end of the run");
        }
    }

    fn odd(&mut self, event: &Event, what: &str) {
        let whose = event.case.as_ref().map(|id| format!("`{id}`: ")).unwrap_or_default();
        self.note_oddity(format!("{whose}{what} (event {})", event.seq));
    }

    fn note_oddity(&mut self, text: String) {
        if self.oddities.len() < ODDITIES_KEPT {
            self.oddities.push(text);
        } else {
            self.further_oddities += 1;
        }
    }
}

impl Summary {
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Everything of the plan that gets a result, in its order: testcases, clean-ups, actions. What the plan does not have comes last.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    pub fn case(&self, id: &CaseId) -> Option<&Case> {
        self.cases.get(self.place(id)?)
    }

    /// Where a case is among [`Summary::cases`].
    pub(super) fn place(&self, id: &CaseId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The serials and parallels, each after the one that it is in.
    pub fn steps(&self) -> &[Step] {
        self.steps.all()
    }

    /// The steps with what is in them, in the order of the plan.
    pub fn tree(&self) -> Tree<'_> {
        Tree::new(&self.steps, &self.cases)
    }

    /// What was told outside of any testcase.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How many testcases there are. Clean-ups and actions are none.
    pub fn tests(&self) -> usize {
        self.planned(Role::Testcase)
    }

    /// How many there are that count for this.
    pub fn planned(&self, role: Role) -> usize {
        self.planned.get(&role).copied().unwrap_or_default()
    }

    /// How many testcases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts(Role::Testcase)[outcome as usize]
    }

    /// How many of what counts for this ended how.
    pub fn counts(&self, role: Role) -> Counts {
        self.counts.get(&role).copied().unwrap_or_default()
    }

    /// How many testcases have a result.
    pub fn finished(&self) -> usize {
        self.counts(Role::Testcase).iter().sum()
    }

    /// How many testcases have none.
    pub fn unfinished(&self) -> usize {
        self.tests() - self.finished()
    }

    /// What has begun and has no result, oldest first.
    pub fn running(&self) -> Vec<&Case> {
        let mut running: Vec<&Case> = self.cases.iter().filter(|c| c.is_running()).collect();
        running.sort_by_key(|c| c.started);
        running
    }

    /// What somebody should look at: failed, errored, blocked, or without a result. Clean-ups and actions too.
    pub fn not_passed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|c| c.is_bad())
    }

    /// How many warnings there are in the whole run; a value that is worse than before is one.
    pub fn warnings(&self) -> usize {
        let of_cases = self.cases.iter().flat_map(Case::all_notes);
        of_cases.chain([&self.notes]).map(|notes| notes.warnings().count() + notes.worse().count()).sum()
    }

    /// When the last event was.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last.map(|(_, at)| at)
    }

    /// Whether the run has said its last word.
    pub fn is_over(&self) -> bool {
        self.said.is_some()
    }

    /// What the run said of itself when it ended.
    pub(super) fn said(&self) -> Option<Verdict> {
        self.said
    }

    /// Whether nobody can know what happened.
    pub(super) fn is_unreadable(&self) -> bool {
        self.run.started.is_none() || self.damaged
    }

    /// What makes no sense in the events, in words.
    pub fn oddities(&self) -> Vec<String> {
        let mut all = self.oddities.clone();
        if self.further_oddities > 0 {
            all.push(format!("and {} more", self.further_oddities));
        }
        all
    }
}

impl Run {
    /// Seconds for which it ran before it was resumed for the last time.
    fn earlier(&self) -> f64 {
        let Some(mut from) = self.started else { return 0.0 };
        let mut seconds = 0.0;
        for (last, resumed) in &self.pauses {
            seconds += last.since(from).as_secs_f64();
            from = *resumed;
        }
        seconds
    }

    /// For how long it has been running, pauses left out.
    pub fn ran_until(&self, now: Timestamp) -> Duration {
        let Some(started) = self.started else { return Duration::ZERO };
        let from = self.pauses.last().map_or(started, |(_, resumed)| *resumed);
        now.since(from) + seconds_to_duration(self.earlier()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use crate::event::{ActionEnd, Block, Order, Phase};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn plan(ids: &[&str]) -> Fact {
        plan_of(&ids.iter().map(|id| (*id, Role::Testcase)).collect::<Vec<_>>())
    }

    fn plan_of(cases: &[(&str, Role)]) -> Fact {
        let planned = |(id, role): &(&str, Role)| Planned { role: *role, ..Planned::new(CaseId::new(*id), *id) };
        Fact::RunStarted(Box::new(Beginning { run: "r".into(), plan: cases.iter().map(planned).collect(), ..Beginning::default() }))
    }

    fn any_role() -> impl Strategy<Value = Role> {
        prop::sample::select(vec![Role::Testcase, Role::Testcase, Role::Cleanup, Role::Action])
    }

    fn started() -> Fact {
        Fact::CaseStarted { args: BTreeMap::new(), timeout: None, dir: "a".into(), attempt: 1, lane: 0 }
    }

    fn finished(outcome: Outcome) -> Fact {
        Fact::CaseFinished { outcome, reason: None, took: 0.1, failure: None, block: None }
    }

    fn starts(attempt: u32) -> Fact {
        Fact::CaseStarted { args: BTreeMap::new(), timeout: None, dir: format!("a/{attempt}").into(), attempt, lane: 0 }
    }

    fn tried(outcome: Outcome) -> Fact {
        Fact::AttemptFinished { attempt: 1, outcome, reason: Some("no luck".into()), took: 0.5, failure: None }
    }

    fn resumed() -> Fact {
        goes_on(&[])
    }

    fn goes_on(again: &[&str]) -> Fact {
        Fact::RunResumed { version: "2".into(), command: vec![], again: again.iter().map(|id| CaseId::new(*id)).collect() }
    }

    fn subcase(outcome: Outcome) -> Fact {
        Fact::Subcase { group: "g".into(), name: "s".into(), outcome, reason: None, took: -1.0, failure: None }
    }

    fn over(verdict: Verdict) -> Fact {
        Fact::RunFinished { verdict, took: 1.0 }
    }

    fn fold(facts: &[(Option<&str>, Fact)]) -> Summary {
        let mut summary = Summary::default();
        for (seq, (case, fact)) in (1..).zip(facts) {
            let event = Event { seq, at: Timestamp::now(), case: case.map(CaseId::new), fact: fact.clone() };
            summary.apply(&event);
        }
        summary
    }

    /// A plan of two, where the results are these and the run says that.
    fn judged(results: &[Outcome], said: Option<Verdict>) -> Verdict {
        let mut facts = vec![(None, plan(&["a", "b"]))];
        facts.extend(["a", "b"].iter().zip(results).map(|(id, outcome)| (Some(*id), finished(*outcome))));
        facts.extend(said.map(|v| (None, over(v))));
        fold(&facts).verdict()
    }

    #[test]
    fn the_verdict_is_the_worse_of_what_is_said_and_what_is_known() {
        use Outcome::{Blocked, Errored, Failed, Partial, Passed, Skipped};
        for (results, said, expected) in [
            (&[Passed, Passed][..], Some(Verdict::Passed), Verdict::Passed),
            (&[Passed, Partial], Some(Verdict::Passed), Verdict::Passed),
            (&[Passed, Skipped], Some(Verdict::Passed), Verdict::Passed),
            (&[Skipped, Skipped], Some(Verdict::Passed), Verdict::NothingRan),
            (&[Passed, Failed], Some(Verdict::Passed), Verdict::Failed),
            (&[Errored, Failed], Some(Verdict::Errored), Verdict::Failed),
            (&[Passed, Blocked], Some(Verdict::Passed), Verdict::Errored),
            (&[Passed, Passed], Some(Verdict::Failed), Verdict::Failed),
            (&[Passed], Some(Verdict::Passed), Verdict::Incomplete),
            (&[Failed], Some(Verdict::Failed), Verdict::Incomplete),
            (&[Passed], Some(Verdict::Stopped), Verdict::Stopped),
            (&[Passed, Passed], None, Verdict::Incomplete),
            (&[], None, Verdict::Incomplete),
        ] {
            assert_eq!(judged(results, said), expected, "{results:?} {said:?}");
        }
        assert_eq!(fold(&[]).verdict(), Verdict::Incomplete, "an empty log");
        assert_eq!(fold(&[(None, plan(&[])), (None, over(Verdict::NothingRan))]).verdict(), Verdict::NothingRan);
        assert_eq!(fold(&[(Some("a"), finished(Outcome::Passed)), (None, over(Verdict::Passed))]).verdict(), Verdict::Incomplete);
    }

    #[test]
    fn what_makes_no_sense_is_noted_and_never_better() {
        let summary = fold(&[
            (None, plan(&["a", "a", "b"])),
            (Some("b"), finished(Outcome::Failed)),
            (Some("b"), finished(Outcome::Passed)),
            (Some("ghost"), finished(Outcome::Passed)),
            (None, finished(Outcome::Passed)),
            (Some("a"), Fact::ActionFinished { action: 7, took: 1.0, end: ActionEnd::Ok(String::new()) }),
            (Some("a"), finished(Outcome::Passed)),
            (None, over(Verdict::Passed)),
            (None, Fact::Unknown(BTreeMap::from([("fact".to_string(), "teleported".into())]))),
        ]);
        assert_eq!(
            summary.oddities(),
            [
                "`a` is twice in the plan",
                "`b`: finished twice, as failed and as passed (event 3)",
                "`ghost`: not in the plan (event 4)",
                "a fact of a testcase names no testcase (event 5)",
                "`a`: an action ended that had not begun (event 6)",
                "the run says `passed`, its testcases say `incomplete` (event 8)",
                "told after the end of the run (event 9)",
                "the fact \"teleported\" is of a later version (event 9)",
            ]
        );
        assert_eq!(summary.case(&CaseId::new("b")).unwrap().outcome, Some(Outcome::Failed));
        assert_eq!((summary.verdict(), summary.exit()), (Verdict::Incomplete, Exit::Errored));
    }

    #[test]
    fn a_testcase_shows_where_it_stands_and_keeps_the_end_of_its_log() {
        let mut facts = vec![(None, plan(&["a"])), (Some("a"), started()), (Some("a"), Fact::PhaseStarted { phase: Phase::Run })];
        let line = |n: usize| Fact::Logged { level: Level::Verbose, text: format!("line {n}") };
        facts.extend((0..150).map(|n| (Some("a"), line(n))));
        facts.push((Some("a"), Fact::ActionStarted { action: 1, machine: Some("h1".into()), what: "fio".into() }));
        facts.push((Some("a"), Fact::Progressed { action: Some(1), text: "half".into(), part: Some(0.5) }));
        facts.push((Some("a"), Fact::Logged { level: Level::Warning, text: "x".repeat(5000) }));
        let summary = fold(&facts);
        let case = &summary.running()[0];
        let notes = case.notes();
        assert_eq!((case.phase, notes.actions[0].progress.as_ref().unwrap().part), (Some(Phase::Run), Some(0.5)));
        assert_eq!((notes.tail.len(), notes.cut, summary.warnings()), (100, 52, 1));
        assert!(notes.tail[99].text.ends_with("… (904 more bytes)"));
        facts.push((Some("a"), finished(Outcome::Passed)));
        let summary = fold(&facts);
        let notes = summary.case(&CaseId::new("a")).unwrap().notes();
        assert!(notes.actions.is_empty() && notes.tail.is_empty(), "{:?}", notes.tail);
    }

    #[test]
    fn attempts_are_kept_and_only_the_last_one_counts() {
        use Outcome::{Failed, Flaky, Passed};
        let summary = fold(&[
            (None, plan(&["a"])),
            (Some("a"), starts(1)),
            (Some("a"), subcase(Failed)),
            (Some("a"), tried(Failed)),
            (Some("a"), starts(2)),
            (Some("a"), subcase(Passed)),
            (Some("a"), finished(Flaky)),
            (None, over(Verdict::Passed)),
        ]);
        let case = &summary.cases()[0];
        assert_eq!(summary.oddities(), [""; 0]);
        assert_eq!((case.outcome, case.attempt, case.attempts.len()), (Some(Flaky), 2, 1));
        let first = &case.attempts[0];
        assert_eq!((first.outcome, first.why(), first.dir.to_str()), (Some(Failed), Some("no luck"), Some("a/1")));
        assert_eq!((first.notes().subcases.len(), case.notes().subcases.len()), (1, 1));
        let judged = summary.judgement();
        assert_eq!((judged.verdict, judged.sequence, judged.rates[&1].percent()), (Verdict::Passed, true, 100.0));

        // Whoever calls it passed does not hide that it had failed; and an attempt is no result.
        let hidden = [(None, plan(&["a"])), (Some("a"), starts(1)), (Some("a"), tried(Failed)), (Some("a"), finished(Passed))];
        assert_eq!(fold(&hidden).cases()[0].outcome, Some(Flaky));
        let cut = fold(&[&hidden[..3], &[(None, over(Verdict::Passed))]].concat());
        assert_eq!((cut.verdict(), cut.cases()[0].has_begun(), cut.running().len()), (Verdict::Incomplete, true, 0));
    }

    #[test]
    fn a_resumed_run_starts_again_what_was_running_and_keeps_what_had_ended() {
        use Outcome::{Failed, Passed};
        let action = || Fact::ActionStarted { action: 1, machine: None, what: "w".into() };
        let mut facts = vec![
            (None, plan(&["a", "b", "c"])),
            (Some("a"), starts(1)),
            (Some("a"), finished(Passed)),
            (Some("b"), starts(1)),
            (Some("b"), subcase(Failed)),
            (Some("b"), action()),
            (None, resumed()),
        ];
        let summary = fold(&facts);
        assert_eq!((summary.running().len(), summary.finished(), summary.verdict()), (0, 1, Verdict::Incomplete));
        facts.extend([
            (Some("b"), starts(1)),
            (Some("b"), action()),
            (Some("b"), finished(Passed)),
            (Some("c"), starts(1)),
            (Some("c"), finished(Passed)),
            (None, over(Verdict::Passed)),
        ]);
        let summary = fold(&facts);
        assert_eq!((summary.oddities().len(), summary.verdict()), (0, Verdict::Passed), "{:?}", summary.oddities());
        let case = summary.case(&CaseId::new("b")).unwrap();
        assert_eq!((case.attempts.len(), case.attempts[0].outcome, case.outcome), (1, None, Some(Passed)));
        assert_eq!(summary.judgement().rates[&1].percent(), 100.0, "what it found before it died counts no more");

        // What was cut off when the run was stopped is run again; whatever it was before, it counts no more.
        let mut again = facts[..5].to_vec();
        again.extend([
            (Some("b"), finished(Outcome::Errored)),
            (None, over(Verdict::Stopped)),
            (None, goes_on(&["b"])),
            (Some("b"), starts(1)),
            (Some("b"), finished(Passed)),
            (Some("c"), finished(Passed)),
            (None, over(Verdict::Passed)),
        ]);
        let summary = fold(&again);
        assert_eq!((summary.oddities().len(), summary.verdict(), summary.finished()), (0, Verdict::Passed, 3));
        assert_eq!((summary.cases()[1].outcome, summary.cases()[1].attempts.len()), (Some(Passed), 1));

        // A run that was stopped had an end, and goes on all the same; what is not run then stays without a result.
        let mut stopped = facts[..4].to_vec();
        stopped.extend([(None, over(Verdict::Stopped)), (None, resumed()), (None, over(Verdict::Passed))]);
        assert_eq!((fold(&stopped).verdict(), fold(&stopped).is_over()), (Verdict::Incomplete, true));
    }

    #[test]
    fn what_a_result_counts_for_is_told_by_its_role() {
        use Outcome::{Errored, Failed, Passed, Skipped};
        let planned = |id: &str, role, priority| Planned { role, priority, ..Planned::new(CaseId::new(id), id) };
        let roles = [
            planned("prepare", Role::Action, None),
            planned("a", Role::Testcase, Some(1)),
            planned("b", Role::Testcase, Some(2)),
            planned("clean", Role::Cleanup, None),
        ];
        let judged = |results: [Outcome; 4]| {
            let mut facts = vec![(None, Fact::RunStarted(Box::new(Beginning { plan: roles.to_vec(), ..Beginning::default() })))];
            facts.extend(roles.iter().zip(results).map(|(p, o)| (Some(p.id.as_str()), finished(o))));
            facts.push((None, over(Verdict::Passed)));
            let summary = fold(&facts);
            let judged = summary.judgement();
            assert_eq!((summary.tests(), summary.finished(), summary.unfinished()), (2, 2, 0));
            (judged.verdict, judged.sequence, judged.regression, judged.rates.len(), summary.count(Failed))
        };
        assert_eq!(judged([Passed, Passed, Passed, Failed]), (Verdict::Passed, true, true, 2, 0));
        assert_eq!(judged([Passed, Passed, Failed, Passed]), (Verdict::Failed, false, false, 2, 1));
        assert_eq!(judged([Errored, Passed, Passed, Passed]), (Verdict::Errored, false, false, 2, 0));
        assert_eq!(judged([Passed, Passed, Skipped, Passed]), (Verdict::Passed, true, true, 1, 0));
    }

    #[test]
    fn more_in_the_plan_is_more_to_be_run_and_steps_tell_where_it_stands() {
        let step = |step, parent| PlannedStep {
            step,
            parent,
            order: Order::Serial,
            label: format!("g{step}"),
            workers: None,
            blocker: false,
        };
        let child = |id: &str, parent| Planned { parent: Some(parent), ..Planned::new(CaseId::new(id), id) };
        let block = Block::Case { id: CaseId::new("a"), outcome: Outcome::Failed };
        let mut facts = vec![
            (
                None,
                Fact::RunStarted(Box::new(Beginning {
                    steps: vec![step(0, None)],
                    plan: vec![child("a", 0)],
                    ..Beginning::default()
                })),
            ),
            (None, Fact::StepStarted { step: 0 }),
            (Some("a"), finished(Outcome::Passed)),
            (None, Fact::PlanExtended { steps: vec![step(1, Some(0))], plan: vec![child("b", 1)] }),
            (None, Fact::StepStarted { step: 1 }),
            (None, Fact::StepFinished { step: 1, took: 1.0, block: Some(block.clone()) }),
            (None, Fact::StepFinished { step: 7, took: f64::NAN, block: None }),
            (None, over(Verdict::Passed)),
        ];
        let summary = fold(&facts);
        assert_eq!(summary.verdict(), Verdict::Incomplete, "the further one did not run");
        assert_eq!(summary.oddities().len(), 2, "{:?}", summary.oddities());
        let (first, second) = (&summary.steps()[0], &summary.steps()[1]);
        assert_eq!((first.ended, second.block.as_ref(), second.label.as_str()), (None, Some(&block), "g1"));
        let tree = summary.tree();
        assert_eq!((tree.roots().len(), tree.children(first).len(), tree.cases(first).len()), (1, 2, 2));
        facts.insert(5, (Some("b"), finished(Outcome::Passed)));
        assert_eq!(fold(&facts).verdict(), Verdict::Passed);
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let outcome = prop::sample::select(Outcome::ALL.to_vec());
        let verdicts =
            vec![Verdict::Passed, Verdict::Failed, Verdict::Errored, Verdict::NothingRan, Verdict::Stopped, Verdict::Incomplete];
        prop_oneof![
            6 => outcome.clone().prop_map(finished),
            3 => Just(started()),
            2 => Just(starts(2)),
            2 => outcome.clone().prop_map(tried),
            2 => prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..2).prop_map(|ids| goes_on(&ids)),
            1 => Just(Fact::PlanExtended { steps: vec![], plan: vec![Planned::new(CaseId::new("c"), "c")] }),
            1 => (0..2u32).prop_map(|step| Fact::StepFinished { step, took: f64::NEG_INFINITY, block: None }),
            2 => prop::sample::select(verdicts).prop_map(over),
            2 => prop::collection::vec((prop::sample::select(vec!["a", "b", "c", "d"]), any_role()), 0..4).prop_map(|cases| plan_of(&cases)),
            1 => (0..3u64).prop_map(|action| Fact::ActionStarted { action, machine: None, what: "w".into() }),
            1 => (0..3u64).prop_map(|action| Fact::ActionFinished { action, took: f64::NAN, end: ActionEnd::Ok("ok".into()) }),
            1 => (0..3u64).prop_map(|a| Fact::Progressed { action: Some(a), text: "t".into(), part: Some(f64::INFINITY) }),
            1 => ".*".prop_map(|text| Fact::Logged { level: Level::Reason, text }),
            1 => outcome.prop_map(subcase),
            1 => Just(Fact::Unknown(BTreeMap::new())),
            1 => Just(Fact::PhaseStarted { phase: Phase::Cleanup }),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_events_makes_a_bad_run_look_passed(
            facts in prop::collection::vec((prop::option::weighted(0.8, prop::sample::select(vec!["a", "b", "c"])), any_fact()), 0..40)
        ) {
            let summary = fold(&facts);
            let planned: Vec<&Planned> = facts.iter().filter_map(|(_, f)| match f {
                Fact::RunStarted(b) => Some(&b.plan),
                Fact::PlanExtended { plan, .. } => Some(plan),
                _ => None,
            }).flatten().collect();
            let begun = facts.iter().position(|(_, f)| matches!(f, Fact::RunStarted(_))).unwrap_or(facts.len());
            let results = |id: &CaseId| facts.iter().enumerate().fold(Vec::new(), |results, (place, (case, f))| match f {
                Fact::CaseFinished { outcome, .. } if *case == Some(id.as_str()) => [results, vec![*outcome]].concat(),
                Fact::RunResumed { again, .. } if place > begun && again.contains(id) => Vec::new(),
                _ => results,
            });
            // A clean-up has to have run, however it ended; of an id that is planned twice, the first is the one that counts.
            let role = |id: &CaseId| planned.iter().find(|p| p.id == *id).map(|p| p.role);
            let is_bad = |id: &CaseId| {
                results(id).is_empty() || role(id) != Some(Role::Cleanup) && results(id).into_iter().any(Outcome::is_bad)
            };
            let ran = planned.iter().any(|p| p.role == Role::Testcase && results(&p.id).iter().any(|o| *o != Outcome::Skipped));
            if !ran || planned.iter().any(|p| is_bad(&p.id)) {
                prop_assert_ne!(summary.verdict(), Verdict::Passed);
                prop_assert_ne!(summary.exit(), Exit::Passed);
                prop_assert!(!summary.judgement().sequence || planned.iter().all(|p| !results(&p.id).is_empty()));
            }
            let of_role = |role| summary.cases().iter().filter(move |c| c.role == role);
            for role in [Role::Testcase, Role::Cleanup, Role::Action] {
                prop_assert_eq!(summary.planned(role), of_role(role).count());
                prop_assert_eq!(summary.counts(role).iter().sum::<usize>(), of_role(role).filter(|c| c.outcome.is_some()).count());
            }
            prop_assert_eq!(summary.finished() + summary.unfinished(), summary.tests());
            let _ = summary.tree();
        }
    }
}
