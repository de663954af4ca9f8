//! One case of a plan from its first attempt to its outcome.

use super::PlannedCase;
use super::life::{self, Told, Turn};
use super::plan::Work;
use super::step::{Standing, Walk};
use crate::event::{Counts, Fact, Outcome, Role};

/// Runs a case, again if it does not pass and may be tried again. Whatever happens, it has an outcome and the stream has its end.
pub fn run(walk: &Walk<'_>, planned: &PlannedCase, standing: Standing<'_>) -> (Outcome, Counts) {
    let lane = walk.shared.lanes.take();
    let bus = &walk.shared.runner.bus;
    let retries = retries(walk, planned);
    let mut before: Vec<Told> = Vec::new();
    let mut turn = Turn { standing, attempt: 1, lane: lane.number };
    let mut told = life::run(walk, planned, turn);
    while may_change(&told) && turn.attempt <= retries && !standing.cancel.is_raised() {
        let (outcome, reason, took, failure) = (told.outcome, shown(&told.reason), told.took, told.failure.clone());
        bus.publish(Some(&planned.id), Fact::AttemptFinished { attempt: turn.attempt, outcome, reason, took, failure });
        before.push(told);
        turn.attempt += 1;
        told = life::run(walk, planned, turn);
    }
    let Told { outcome, set, reason, took, failure, block, subcases, .. } = over_all(&before, told);
    bus.publish(Some(&planned.id), Fact::CaseFinished { outcome, reason: shown(&reason), took, failure, block });
    (set.unwrap_or(outcome), subcases)
}

/// How often it may be tried again. Only a testcase can come out otherwise the next time.
fn retries(walk: &Walk<'_>, planned: &PlannedCase) -> u32 {
    match (&planned.work, planned.role) {
        (Work::Testcase(_), Role::Testcase) => walk.shared.runner.settings.retries.unwrap_or(planned.retries),
        (Work::Testcase(_), _) => planned.retries,
        _ => 0,
    }
}

/// Whether another attempt may end otherwise.
fn may_change(told: &Told) -> bool {
    matches!(told.set.unwrap_or(told.outcome), Outcome::Failed | Outcome::Errored) && !told.is_unfit
}

fn shown(reason: &str) -> Option<String> {
    (!reason.is_empty()).then(|| reason.to_string())
}

/// What all attempts together come to. A pass after a failure is flaky; short of a pass, nothing that came later hides that the product
/// has failed, and no skip hides that it was judged.
fn over_all(before: &[Told], last: Told) -> Told {
    if before.is_empty() {
        return last;
    }
    let told = |(number, told): (usize, &Told)| format!("attempt {} {}: {}", number + 1, told.outcome.word(), told.reason);
    let earlier = before.iter().enumerate().map(told).collect::<Vec<_>>().join("; ");
    let number = before.len() + 1;
    if last.outcome.is_pass() {
        let how = if last.reason.is_empty() { String::new() } else { format!(" ({}: {})", last.outcome.word(), last.reason) };
        let reason = format!("passed in attempt {number}{how}; {earlier}");
        return Told { outcome: Outcome::Flaky, reason, ..last };
    }
    let ended = format!("attempt {number} {}: {}", last.outcome.word(), last.reason);
    let hidden = match last.outcome {
        Outcome::Failed => None,
        Outcome::Errored => before.iter().rfind(|told| told.outcome == Outcome::Failed),
        _ => before.iter().rfind(|told| told.outcome == Outcome::Failed).or(before.last()),
    };
    match hidden {
        None => Told { reason: format!("{}; {earlier}", last.reason), ..last },
        Some(worse) => {
            let reason = format!("{}; {earlier}; {ended}", worse.reason);
            Told { outcome: worse.outcome, reason, failure: worse.failure.clone(), block: None, ..last }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Blocked, Errored, Failed, Flaky, Partial, Passed, Skipped};

    fn told(outcome: Outcome) -> Told {
        let reason = if outcome == Passed { "" } else { "why" };
        Told {
            outcome,
            set: None,
            reason: reason.into(),
            took: 0.0,
            failure: None,
            block: None,
            is_unfit: false,
            subcases: Counts::default(),
        }
    }

    #[test]
    fn attempts_together() {
        type Row<'a> = (&'a [Outcome], Outcome, Outcome, &'a str);
        let rows: &[Row<'_>] = &[
            (&[], Failed, Failed, "why"),
            (&[], Skipped, Skipped, "why"),
            (&[Failed], Passed, Flaky, "passed in attempt 2; attempt 1 failed: why"),
            (&[Errored], Partial, Flaky, "passed in attempt 2 (partial: why); attempt 1 errored: why"),
            (&[Failed, Errored], Passed, Flaky, "passed in attempt 3; attempt 1 failed: why; attempt 2 errored: why"),
            (&[Errored], Failed, Failed, "why; attempt 1 errored: why"),
            (&[Errored], Errored, Errored, "why; attempt 1 errored: why"),
            (&[Failed], Errored, Failed, "why; attempt 1 failed: why; attempt 2 errored: why"),
            (&[Failed], Skipped, Failed, "why; attempt 1 failed: why; attempt 2 skipped: why"),
            (&[Failed, Errored], Skipped, Failed, "why; attempt 1 failed: why; attempt 2 errored: why; attempt 3 skipped: why"),
            (&[Errored], Blocked, Errored, "why; attempt 1 errored: why; attempt 2 blocked: why"),
        ];
        for (before, last, outcome, reason) in rows {
            let before: Vec<Told> = before.iter().map(|o| told(*o)).collect();
            let all = over_all(&before, told(*last));
            assert_eq!((all.outcome, all.reason.as_str()), (*outcome, *reason));
        }
    }
}
