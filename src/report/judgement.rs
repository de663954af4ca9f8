//! What a run comes to: what it says of itself and what its testcases say, whichever is worse.

use super::{Case, Summary};
use crate::error::Exit;
use crate::event::{Counts, Judgement, Role, Tested, Verdict};

impl Summary {
    /// The judgement by the testcases alone: what a run that ends in order says of itself.
    pub fn judged(&self) -> Verdict {
        if self.is_unreadable() { Verdict::Incomplete } else { self.by_results(false).verdict }
    }

    /// The judgement over the run: its own and that of its testcases, whichever is worse. Without its own it is incomplete.
    pub fn verdict(&self) -> Verdict {
        worse(self.said().unwrap_or(Verdict::Incomplete), self.judged())
    }

    /// Everything that is said about the run as a whole: the two verdicts of a sequence, its pass rates, and our own verdict.
    pub fn judgement(&self) -> Judgement {
        let judged = self.by_results(self.said() == Some(Verdict::Stopped));
        let verdict = self.verdict();
        // The sequence passes only when all of it is known and the run itself does not know worse.
        let sequence = judged.sequence && worse(verdict, judged.verdict) == judged.verdict;
        // What has no result may have failed.
        let regression = judged.regression && !matches!(verdict, Verdict::Incomplete | Verdict::Stopped);
        Judgement { verdict, sequence, regression, rates: judged.rates }
    }

    pub fn exit(&self) -> Exit {
        self.verdict().exit()
    }

    fn by_results(&self, stopped: bool) -> Judgement {
        // What was never planned can spoil a run, it cannot make it pass.
        let counts = |case: &&Case| case.planned || case.is_bad();
        Judgement::over(&self.run().criteria, self.cases().iter().filter(counts).map(tested), stopped)
    }
}

fn tested(case: &Case) -> Tested {
    // Who sets a result speaks for all of it.
    let subcases = if case.overridden.is_some() { Counts::default() } else { case.notes().subcase_counts };
    Tested { role: case.role, priority: case.priority, outcome: case.outcome, subcases }
}

impl Case {
    /// Whether its result is one of those that a run is judged by and that are counted; a clean-up or an action is not.
    pub fn is_test(&self) -> bool {
        self.role == Role::Testcase
    }

    /// Whether its result counts for nothing.
    pub fn is_cleanup(&self) -> bool {
        self.role == Role::Cleanup
    }
}

pub(super) fn worse(one: Verdict, other: Verdict) -> Verdict {
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
