//! The fold of events into results. Everything shown about results anywhere is this plus formatting.
//!
//! It alone matches facts without a wildcard, so a new fact cannot be forgotten here. It survives any order of events: what makes
//! no sense is noted ([`Summary::oddities`]) and never makes a run look better than it was.

use super::case::{Case, Notes, Progress};
use crate::error::Exit;
use crate::event::{Beginning, Counts, Criteria, Event, Fact, Failure, Judgement, Outcome, Tested, Verdict};
use crate::name::CaseId;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::path::PathBuf;

/// How many oddities are kept in words; the rest is counted.
const ODDITIES_KEPT: usize = 50;

/// What is known of a run.
#[derive(Debug, Default)]
pub struct Summary {
    run: Run,
    cases: Vec<Case>,
    index: HashMap<CaseId, usize>,
    notes: Notes,
    counts: Counts,
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
    pub targets: Vec<String>,
    pub workers: usize,
    pub results: PathBuf,
    pub criteria: Criteria,
    pub started: Option<Timestamp>,
    /// Seconds, once it has ended.
    pub took: Option<f64>,
}

impl Summary {
    /// Takes in the next event.
    pub fn apply(&mut self, event: &Event) {
        self.watch_order(event);
        let at = event.at;
        match &event.fact {
            Fact::RunStarted(beginning) => self.begin(beginning, at),
            Fact::RunResumed { .. } | Fact::PlanExtended { .. } | Fact::StepStarted { .. } | Fact::StepFinished { .. } => {}
            Fact::AttemptFinished { .. } | Fact::Compared(_) => {}
            Fact::CaseStarted { args, timeout, dir, .. } => {
                let Some(case) = self.case_mut(event) else { return };
                let again = case.started.is_some() || case.outcome.is_some();
                case.started.get_or_insert(at);
                case.args = args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                case.timeout = *timeout;
                case.dir.clone_from(dir);
                if again {
                    self.odd(event, "started again");
                }
            }
            Fact::PhaseStarted { phase } => {
                let Some(case) = self.case_mut(event) else { return };
                case.phase = Some(*phase);
                case.phase_since = Some(at);
            }
            Fact::ActionStarted { action, machine, what } => {
                let again = !self.notes_mut(event).action_started(*action, at, machine.as_deref(), what);
                if again {
                    self.odd(event, "an action began twice");
                }
            }
            Fact::ActionFinished { action, .. } => {
                if !self.notes_mut(event).action_ended(*action) {
                    self.odd(event, "an action ended that had not begun");
                }
            }
            Fact::Progressed { action, text, part } => {
                let progress = Progress { at, text: text.as_str().into(), part: *part };
                if !self.notes_mut(event).progressed(*action, progress) {
                    self.odd(event, "progress of an action that is not running");
                }
            }
            Fact::Logged { level, text } => self.notes_mut(event).say(at, *level, text),
            Fact::Measured { name, value, unit, .. } => self.notes_mut(event).measure(at, name, *value, unit),
            Fact::Subcase { .. } => self.notes_mut(event).subcase(&event.fact),
            Fact::Attached { name, path, bytes } => self.notes_mut(event).attach(name, path, *bytes),
            Fact::CaseFinished { outcome, reason, took, failure, .. } => {
                self.finish_case(event, *outcome, reason.as_deref(), *took, failure.as_deref());
            }
            Fact::RunFinished { verdict, took } => self.end(event, *verdict, *took),
            Fact::Unknown(fields) => {
                let name = fields.get("fact").map(ToString::to_string).unwrap_or_default();
                self.odd(event, &format!("the fact {name} is of a later version"));
            }
        }
        self.keep_tail(event);
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
            self.run = Run {
                id: beginning.run.clone(),
                version: beginning.version.clone(),
                command: beginning.command.clone(),
                targets: beginning.targets.clone(),
                workers: beginning.workers,
                results: beginning.results.clone(),
                criteria: beginning.criteria.clone(),
                started: Some(at),
                took: None,
            };
        }
        let plan = &beginning.plan;
        self.cases.reserve(plan.len());
        for planned in plan {
            let position = self.cases.len();
            if let Some(&known) = self.index.get(&planned.id) {
                if !self.cases[known].planned {
                    self.cases[known].plan(planned);
                    continue;
                }
                // The second of an id can never get a result: the run stays incomplete, which is the truth.
                self.note_oddity(format!("`{}` is twice in the plan", planned.id));
            } else {
                self.index.insert(planned.id.clone(), position);
            }
            self.cases.push(Case::planned(planned));
        }
    }

    fn end(&mut self, event: &Event, verdict: Verdict, took: f64) {
        if self.said.is_some() {
            self.odd(event, "the run ended twice");
        }
        self.run.took = Some(took);
        self.said = Some(self.said.map_or(verdict, |before| worse(before, verdict)));
        let judged = self.judged();
        if worse(verdict, judged) != verdict {
            self.odd(event, &format!("the run says `{}`, its testcases say `{}`", verdict.word(), judged.word()));
        }
    }

    fn finish_case(&mut self, event: &Event, outcome: Outcome, reason: Option<&str>, took: f64, failure: Option<&Failure>) {
        let Some(case) = self.case_mut(event) else { return };
        let before = case.outcome;
        case.finish(event.at, outcome, reason, took, failure);
        let now = case.outcome;
        if before != now {
            if let Some(before) = before {
                self.counts[before as usize] -= 1;
            }
            self.counts[now.unwrap_or(outcome) as usize] += 1;
        }
        if let Some(before) = before {
            self.odd(event, &format!("finished twice, as {} and as {}", before.word(), outcome.word()));
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
        Some(self.cases.len() - 1)
    }

    fn case_mut(&mut self, event: &Event) -> Option<&mut Case> {
        let position = self.position(event);
        if position.is_none() {
            self.odd(event, "a fact of a testcase names no testcase");
        }
        self.cases.get_mut(position?)
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
        if self.said.is_some() {
            self.odd(event, "told after the end of the run");
        }
        self.last = Some((event.seq, event.at));
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

    /// The testcases in the order of the plan; those that the plan does not have come last.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    pub fn case(&self, id: &CaseId) -> Option<&Case> {
        self.cases.get(*self.index.get(id)?)
    }

    /// What was told outside of any testcase.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How many testcases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts[outcome as usize]
    }

    /// How many testcases have a result.
    pub fn finished(&self) -> usize {
        self.counts.iter().sum()
    }

    /// How many testcases have none.
    pub fn unfinished(&self) -> usize {
        self.cases.len() - self.finished()
    }

    /// The testcases that have begun and have no result, oldest first.
    pub fn running(&self) -> Vec<&Case> {
        let mut running: Vec<&Case> = self.cases.iter().filter(|c| c.is_running()).collect();
        running.sort_by_key(|c| c.started);
        running
    }

    /// The testcases that somebody should look at: failed, errored, blocked, or without a result.
    pub fn not_passed(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|c| c.outcome.is_none_or(Outcome::is_bad))
    }

    /// How many warnings there are in the whole run.
    pub fn warnings(&self) -> usize {
        self.notes.warnings().count() + self.cases.iter().map(|c| c.notes().warnings().count()).sum::<usize>()
    }

    /// When the last event was.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last.map(|(_, at)| at)
    }

    /// Whether the run has said its last word.
    pub fn is_over(&self) -> bool {
        self.said.is_some()
    }

    /// What makes no sense in the events, in words.
    pub fn oddities(&self) -> Vec<String> {
        let mut all = self.oddities.clone();
        if self.further_oddities > 0 {
            all.push(format!("and {} more", self.further_oddities));
        }
        all
    }

    /// The judgement by the testcases alone: what a run that ends in order says of itself.
    pub fn judged(&self) -> Verdict {
        if self.run.started.is_none() || self.damaged {
            return Verdict::Incomplete;
        }
        // What was never planned can spoil a run, it cannot make it pass.
        let counts = |case: &&Case| case.planned || case.outcome.is_none_or(Outcome::is_bad);
        let tested = |case: &Case| Tested { outcome: case.outcome, ..Tested::default() };
        Judgement::over(&self.run.criteria, self.cases().iter().filter(counts).map(tested), false).verdict
    }

    /// The judgement over the run: its own and that of its testcases, whichever is worse. Without its own it is incomplete.
    pub fn verdict(&self) -> Verdict {
        worse(self.said.unwrap_or(Verdict::Incomplete), self.judged())
    }

    pub fn exit(&self) -> Exit {
        self.verdict().exit()
    }
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    let badness = |verdict| match verdict {
        Verdict::Passed => 0,
        Verdict::NothingRan => 1,
        Verdict::Errored => 2,
        Verdict::Failed => 3,
        Verdict::Incomplete => 4,
        Verdict::Stopped => 5,
    };
    if badness(other) > badness(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ActionEnd, Level, Phase, Planned};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn plan(ids: &[&str]) -> Fact {
        let planned = |id: &&str| Planned { file: "x.rhai".into(), ..Planned::new(CaseId::new(*id), *id) };
        Fact::RunStarted(Box::new(Beginning { run: "r".into(), plan: ids.iter().map(planned).collect(), ..Beginning::default() }))
    }

    fn started() -> Fact {
        Fact::CaseStarted { args: BTreeMap::new(), timeout: None, dir: "a".into(), attempt: 1, lane: 0 }
    }

    fn finished(outcome: Outcome) -> Fact {
        Fact::CaseFinished { outcome, reason: None, took: 0.1, failure: None, block: None }
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

    fn any_fact() -> impl Strategy<Value = Fact> {
        let outcome = prop::sample::select(Outcome::ALL.to_vec());
        let verdicts =
            vec![Verdict::Passed, Verdict::Failed, Verdict::Errored, Verdict::NothingRan, Verdict::Stopped, Verdict::Incomplete];
        prop_oneof![
            6 => outcome.clone().prop_map(finished),
            3 => Just(started()),
            2 => prop::sample::select(verdicts).prop_map(over),
            2 => prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 0..4).prop_map(|ids| plan(&ids)),
            1 => (0..3u64).prop_map(|action| Fact::ActionStarted { action, machine: None, what: "w".into() }),
            1 => (0..3u64).prop_map(|action| Fact::ActionFinished { action, took: f64::NAN, end: ActionEnd::Ok("ok".into()) }),
            1 => (0..3u64).prop_map(|a| Fact::Progressed { action: Some(a), text: "t".into(), part: Some(f64::INFINITY) }),
            1 => ".*".prop_map(|text| Fact::Logged { level: Level::Reason, text }),
            1 => outcome.prop_map(|outcome| Fact::Subcase {
                group: "g".into(), name: "s".into(), outcome, reason: None, took: -1.0, failure: None
            }),
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
            let planned: Vec<&CaseId> = facts.iter().filter_map(|(_, f)| match f {
                Fact::RunStarted(b) => Some(b.plan.iter().map(|p| &p.id)),
                _ => None,
            }).flatten().collect();
            let is_bad = |id: &CaseId| {
                let mut results = facts.iter().filter_map(|(case, f)| match f {
                    Fact::CaseFinished { outcome, .. } if *case == Some(id.as_str()) => Some(*outcome),
                    _ => None,
                }).peekable();
                results.peek().is_none() || results.any(Outcome::is_bad)
            };
            if planned.is_empty() || planned.iter().any(|id| is_bad(id)) {
                prop_assert_ne!(summary.verdict(), Verdict::Passed);
                prop_assert_ne!(summary.exit(), Exit::Passed);
            }
            prop_assert_eq!(summary.finished() + summary.unfinished(), summary.cases().len());
            prop_assert_eq!(summary.cases().iter().filter(|c| c.outcome.is_none()).count(), summary.unfinished());
        }
    }
}
