//! What has become of each case of a plan so far.

use super::Plan;
use crate::event::{Counts, Outcome, Tested};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What has become of each case, by its place in the plan.
pub struct Board(Mutex<Vec<Slot>>);

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Whether it has had its turn.
    is_taken: bool,
    outcome: Option<Outcome>,
    subcases: Counts,
}

impl Board {
    /// What had ended before the run was taken up again has its outcome already.
    pub fn new(plan: &Plan) -> Board {
        let slot = |case: &super::PlannedCase| match &case.done {
            None => Slot::default(),
            Some(done) => Slot { is_taken: true, outcome: Some(done.outcome), subcases: done.subcases },
        };
        Board(Mutex::new(plan.cases.iter().map(slot).collect()))
    }

    /// Gives a case its turn. Only the first who asks gets it, so nothing can be run twice.
    pub fn take(&self, case: usize) -> bool {
        !std::mem::replace(&mut self.lock()[case].is_taken, true)
    }

    pub fn tell(&self, case: usize, outcome: Outcome, subcases: Counts) {
        self.lock()[case] = Slot { is_taken: true, outcome: Some(outcome), subcases };
    }

    pub fn outcome(&self, case: usize) -> Option<Outcome> {
        self.lock()[case].outcome
    }

    /// The results of everything planned, those that are missing too.
    pub fn results(&self, plan: &Plan) -> Vec<Tested> {
        let tested = |(planned, slot): (&super::PlannedCase, &Slot)| Tested {
            role: planned.role,
            priority: planned.priority,
            outcome: slot.outcome,
            subcases: slot.subcases,
        };
        plan.cases.iter().zip(self.lock().iter()).map(tested).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
