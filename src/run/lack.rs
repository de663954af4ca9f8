//! What preparations left undone, and which cases cannot run without it.

use super::plan::{Plan, PlannedCase, Work};
use crate::error::Error;
use crate::event::{Block, Role};
use crate::lab::prepare::{End, Prepared};
use crate::name::CaseId;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What preparations left undone.
#[derive(Default)]
pub struct Lacks(Mutex<Vec<Lack>>);

struct Lack {
    id: CaseId,
    prepared: Prepared,
}

impl Lacks {
    /// What became of a preparation. A later one of the same sort takes the place of an earlier one.
    pub fn tell(&self, id: &CaseId, prepared: Prepared) {
        let mut lacks = self.lock();
        lacks.retain(|lack| lack.id.first_of_its_name() != id.first_of_its_name());
        if !prepared.ends.iter().all(End::is_good) {
            lacks.push(Lack { id: id.clone(), prepared });
        }
    }

    /// Why a case cannot run: what it names was not prepared. One that names nothing needs everything; a clean-up that names nothing
    /// needs nothing, and so does what prepares or waits.
    pub fn block(&self, case: &PlannedCase) -> Option<Block> {
        if matches!(case.work, Work::Prepare(_) | Work::Sleep(_)) {
            return None;
        }
        self.lock().iter().find_map(|lack| lack.block(case))
    }

    /// Why nothing of a plan can run, if nothing can.
    pub fn block_all(&self, plan: &Plan) -> Option<Block> {
        let mut testcases = plan.cases.iter().filter(|case| case.role == Role::Testcase && case.skip.is_none()).peekable();
        testcases.peek()?;
        let mut first = None;
        for case in testcases {
            let block = self.block(case)?;
            first.get_or_insert(block);
        }
        first
    }

    /// Whether a preparation left anything undone.
    pub fn is_told(&self, id: &CaseId) -> bool {
        self.lock().iter().any(|lack| lack.id == *id)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lack {
    fn block(&self, case: &PlannedCase) -> Option<Block> {
        let graph = &self.prepared.graph;
        let values = case.words.iter().filter_map(|word| word.split_once('=')).flat_map(|(_, value)| value.split(','));
        let named: Vec<&str> = case.place.as_deref().into_iter().chain(values).filter(|name| graph.knows(name)).collect();
        if named.is_empty() && case.role == Role::Cleanup {
            return None;
        }
        let ends = &self.prepared.ends;
        let at = graph.in_the_way(&named, &|step| !ends[step].is_good())?;
        let cause = match &ends[at] {
            End::Stopped(cause) => *cause,
            _ => at,
        };
        let reason = match &ends[cause] {
            End::Failed(error) => short(error),
            _ => "it was never begun".into(),
        };
        Some(Block::Prepare { id: self.id.clone(), step: graph.steps[cause].id.clone(), reason })
    }
}

/// The first line of an error.
fn short(error: &Error) -> String {
    error.what.lines().next().unwrap_or_default().to_string()
}
