//! The plan: what is to be run, settled before anything runs.

use crate::error::Result;
use crate::name::{CaseId, CaseIds};
use crate::script::{Args, Origin, Testcase, typed_args};

/// What is to be run, in order.
#[derive(Default)]
pub struct Plan {
    pub cases: Vec<PlannedCase>,
}

/// A testcase of the plan, with its identity in this run and its arguments.
pub struct PlannedCase {
    pub id: CaseId,
    pub testcase: Testcase,
    /// Typed arguments of a script.
    pub args: Args,
    /// The words as given, for a program.
    pub words: Vec<String>,
}

impl Plan {
    /// A plan of these testcases in this order, all with the same arguments.
    ///
    /// # Errors
    /// `Malformed`: an argument that a testcase does not have or cannot take.
    pub fn of(testcases: Vec<Testcase>, words: &[String]) -> Result<Plan> {
        let mut ids = CaseIds::default();
        let mut plan = Plan::default();
        for testcase in testcases {
            let args = match testcase.origin {
                Origin::Program(_) => Args::new(),
                _ => typed_args(&testcase.name, &testcase.meta.args, words)?,
            };
            let (group, name) = testcase.name.rsplit_once('/').unwrap_or(("", &testcase.name));
            let id = ids.next(group, name);
            plan.cases.push(PlannedCase { id, testcase, args, words: words.to_vec() });
        }
        Ok(plan)
    }
}
