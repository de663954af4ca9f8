//! The judgement over a run: from the results of everything planned and the criteria to pass.
//!
//! # Source
//! The original's two verdicts, kept exactly: the *sequence* passes when, for each priority, the rate of passes is at least its
//! criterion; the *regression* passes when no testcase failed or errored. On top of them stands our own [`Verdict`], which decides the
//! exit status and is never passed while something planned did not run.

use super::fact::Outcome;
use super::plan::Role;
use crate::error::Exit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a sequence must reach to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Percent of the tests of priority 1, 2, … that must pass (`PASS_CRITERIA`); 100 where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<f64>,
    /// Whether errored tests count (`PASS_RATE_STRICT`).
    pub strict: bool,
    /// Whether there are to be testcases: a sequence that only prepares passes without any.
    pub expects_tests: bool,
}

impl Default for Criteria {
    fn default() -> Criteria {
        Criteria { rates: Vec::new(), strict: true, expects_tests: true }
    }
}

impl Criteria {
    /// Percent of the tests of this priority that must pass.
    pub fn wanted(&self, priority: u32) -> f64 {
        let index = priority.saturating_sub(1) as usize;
        self.rates.get(index).copied().unwrap_or(100.0)
    }
}

/// How many ended so, by outcome.
pub type Counts = [usize; Outcome::ALL.len()];

/// What one planned case comes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tested {
    pub role: Role,
    pub priority: Option<u32>,
    /// Nothing as long as it has no result.
    pub outcome: Option<Outcome>,
    /// The outcomes of its subcases; they count in its place.
    pub subcases: Counts,
}

impl Tested {
    /// What it counts as: its subcases where it has some, and itself where it ended worse than they say. One that says in the end that
    /// it does not apply here is skipped, whatever was tried before.
    fn leaves(&self) -> Counts {
        let mut counts = self.subcases;
        let Some(own) = self.outcome else { return counts };
        if own == Outcome::Skipped {
            counts = Counts::default();
        }
        let says_it_already = counts[own as usize] > 0;
        if counts.iter().all(|n| *n == 0) || own.is_bad() && !says_it_already {
            counts[own as usize] += 1;
        }
        counts
    }
}

/// Passes among the tests of one priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub tests: usize,
    pub passed: usize,
}

impl Rate {
    pub fn percent(self) -> f64 {
        if self.tests == 0 { 100.0 } else { 100.0 * self.passed as f64 / self.tests as f64 }
    }
}

/// Everything that is said about a run as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub verdict: Verdict,
    pub sequence: bool,
    pub regression: bool,
    /// By priority; none for a priority without tests.
    pub rates: BTreeMap<u32, Rate>,
}

impl Judgement {
    /// Judges the results of everything planned.
    pub fn over(criteria: &Criteria, results: impl IntoIterator<Item = Tested>, stopped: bool) -> Judgement {
        let mut all = Tally::default();
        for tested in results {
            all.add(criteria, &tested);
        }
        let enough = all.rates.iter().all(|(priority, rate)| rate.percent() >= criteria.wanted(*priority));
        let ran = !criteria.expects_tests && all.testcases == 0 || !all.rates.is_empty();
        let sequence = enough && ran && !all.missing && !all.spoilt && !stopped;
        let verdict = if stopped {
            Verdict::Stopped
        } else if all.missing {
            Verdict::Incomplete
        } else if !ran && !all.spoilt {
            Verdict::NothingRan
        } else if sequence && !all.any(Outcome::Blocked) {
            Verdict::Passed
        } else if all.any(Outcome::Failed) {
            Verdict::Failed
        } else {
            Verdict::Errored
        };
        let regression = !all.spoilt && !all.any(Outcome::Failed) && !all.any(Outcome::Errored);
        Judgement { verdict, sequence, regression, rates: all.rates }
    }
}

#[derive(Default)]
struct Tally {
    rates: BTreeMap<u32, Rate>,
    seen: Counts,
    testcases: usize,
    /// Something planned has no result.
    missing: bool,
    /// A preparation or an action did not go well.
    spoilt: bool,
}

impl Tally {
    fn add(&mut self, criteria: &Criteria, tested: &Tested) {
        let Some(outcome) = tested.outcome else {
            self.missing = true;
            return;
        };
        match tested.role {
            Role::Cleanup => return,
            Role::Action => {
                self.spoilt |= outcome.is_bad();
                return;
            }
            Role::Testcase => self.testcases += 1,
        }
        self.seen[outcome as usize] += 1;
        let leaves = tested.leaves();
        let of = |outcome: Outcome| leaves[outcome as usize];
        let passed = of(Outcome::Passed) + of(Outcome::Partial) + of(Outcome::Flaky);
        let errored = if criteria.strict { of(Outcome::Errored) } else { 0 };
        let tests = passed + of(Outcome::Failed) + of(Outcome::Blocked) + errored;
        if tests > 0 {
            let rate = self.rates.entry(tested.priority.unwrap_or(1)).or_default();
            rate.tests += tests;
            rate.passed += passed;
        }
    }

    fn any(&self, outcome: Outcome) -> bool {
        self.seen[outcome as usize] > 0
    }
}

/// The judgement in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed,
    Errored,
    /// Everything was skipped, or there was nothing to run.
    NothingRan,
    /// A person stopped it.
    Stopped,
    /// Something planned has no result: the run died, or lost it.
    Incomplete,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Errored => "errored",
            Verdict::NothingRan => "nothing_ran",
            Verdict::Stopped => "stopped",
            Verdict::Incomplete => "incomplete",
        }
    }

    pub fn exit(self) -> Exit {
        match self {
            Verdict::Passed => Exit::Passed,
            Verdict::Failed => Exit::Failed,
            Verdict::Errored | Verdict::Incomplete => Exit::Errored,
            Verdict::NothingRan => Exit::NothingRan,
            Verdict::Stopped => Exit::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Blocked, Errored, Failed, Flaky, Partial, Passed, Skipped};

    fn tested(priority: u32, outcome: impl Into<Option<Outcome>>) -> Tested {
        Tested { priority: Some(priority), outcome: outcome.into(), ..Tested::default() }
    }

    fn judged(rates: &[f64], strict: bool, results: &[(u32, Option<Outcome>)]) -> (Verdict, bool, bool) {
        let criteria = Criteria { rates: rates.to_vec(), strict, expects_tests: true };
        let judged = Judgement::over(&criteria, results.iter().map(|(p, o)| tested(*p, *o)), false);
        (judged.verdict, judged.sequence, judged.regression)
    }

    #[test]
    fn the_two_verdicts_and_ours() {
        type Row<'a> = (&'a [f64], bool, &'a [(u32, Option<Outcome>)], (Verdict, bool, bool));
        let rows: &[Row<'_>] = &[
            (&[], true, &[(1, Some(Passed)), (1, Some(Partial)), (2, Some(Flaky))], (Verdict::Passed, true, true)),
            (&[], true, &[(1, Some(Passed)), (1, Some(Failed))], (Verdict::Failed, false, false)),
            (&[], true, &[(1, Some(Passed)), (1, Some(Skipped))], (Verdict::Passed, true, true)),
            (&[], true, &[(1, Some(Skipped))], (Verdict::NothingRan, false, true)),
            (&[], true, &[], (Verdict::NothingRan, false, true)),
            (&[], true, &[(1, Some(Passed)), (1, Some(Errored))], (Verdict::Errored, false, false)),
            (&[], true, &[(1, Some(Passed)), (1, Some(Blocked))], (Verdict::Errored, false, true)),
            (&[], true, &[(1, Some(Passed)), (1, None)], (Verdict::Incomplete, false, true)),
            // The original's example: 100 % of priority 1, half of priority 2.
            (
                &[100.0, 50.0],
                true,
                &[(1, Some(Passed)), (2, Some(Failed)), (2, Some(Passed)), (2, Some(Skipped))],
                (Verdict::Passed, true, false),
            ),
            (&[50.0], true, &[(1, Some(Passed)), (1, Some(Errored))], (Verdict::Passed, true, false)),
            (&[], false, &[(1, Some(Passed)), (1, Some(Errored))], (Verdict::Passed, true, false)),
            // What was not run never looks passed, whatever the rate.
            (&[50.0], true, &[(1, Some(Passed)), (1, Some(Blocked))], (Verdict::Errored, true, true)),
        ];
        for (rates, strict, results, expected) in rows {
            assert_eq!(judged(rates, *strict, results), *expected, "{rates:?} {strict} {results:?}");
        }
    }

    #[test]
    fn subcases_count_in_place_of_their_testcase_and_cannot_hide_it() {
        let mut counts = Counts::default();
        counts[Passed as usize] = 1;
        counts[Failed as usize] = 2;
        counts[Errored as usize] = 1;
        let rate = |outcome, subcases| {
            let tested = Tested { outcome: Some(outcome), subcases, ..Tested::default() };
            Judgement::over(&Criteria::default(), [tested], false).rates[&1].percent()
        };
        assert_eq!(rate(Errored, counts), 25.0);
        let mut fine = Counts::default();
        fine[Passed as usize] = 1;
        assert_eq!(rate(Failed, fine), 50.0, "it failed outside of its subcases");
        let skipped = Tested { outcome: Some(Skipped), subcases: fine, ..Tested::default() };
        assert_eq!(Judgement::over(&Criteria::default(), [skipped], false).verdict, Verdict::NothingRan);
    }

    #[test]
    fn the_preparation_decides_and_clean_ups_do_not() {
        let with = |role, outcome, expects_tests| {
            let criteria = Criteria { expects_tests, ..Criteria::default() };
            let other = Tested { role, outcome: Some(outcome), ..Tested::default() };
            let tests = expects_tests.then(|| tested(1, Passed));
            Judgement::over(&criteria, tests.into_iter().chain([other]), false).verdict
        };
        assert_eq!(with(Role::Cleanup, Failed, true), Verdict::Passed);
        assert_eq!(with(Role::Action, Errored, true), Verdict::Errored);
        assert_eq!(with(Role::Action, Passed, false), Verdict::Passed, "a sequence that only prepares");
        assert_eq!(with(Role::Action, Errored, false), Verdict::Errored);
    }
}
