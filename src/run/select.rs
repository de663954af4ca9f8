//! Which cases of a plan are not to be run, and why.

use super::{Plan, PlannedCase, Work};
use crate::diagnostic::{At, Diagnostic};
use crate::event::Role;
use crate::sequence::{Filter, Named};

/// Marks the testcases that a filter leaves out, each with the reason. What the filter names and is not there is told: an error where
/// it stands on the command line, as a mistyped name would run everything, or nothing.
pub fn select(plan: &mut Plan, filter: &Filter) -> Vec<Diagnostic> {
    let of = |role: fn(Role) -> bool| plan.cases.iter().filter(move |case| role(case.role)).map(named).collect::<Vec<_>>();
    let idle = filter.idle(&of(|role| role == Role::Testcase), &of(|role| role != Role::Testcase));
    for case in plan.cases.iter_mut().filter(|case| case.role == Role::Testcase) {
        // What the filter says is the first reason, whatever else is wrong with a testcase.
        if let Some(reason) = filter.leaves_out(&named(case)) {
            case.skip = Some(reason.into());
        }
    }
    let told = idle.into_iter().map(|idle| {
        let rule = if idle.is_error { "unknown-name" } else { "idle-filter" };
        let diagnostic = Diagnostic::error(rule, "command line", "", At::default(), idle.what).help(idle.help);
        if idle.is_error { diagnostic } else { diagnostic.warning() }
    });
    told.collect()
}

fn named(case: &PlannedCase) -> Named<'_> {
    let (testcase, tags): (&str, &[String]) = match &case.work {
        Work::Testcase(testcase) => (&testcase.name, &testcase.meta.tags),
        Work::Unusable(unusable) => (&unusable.testcase, &[]),
        Work::Prepare(_) | Work::Sleep(_) => ("", &[]),
    };
    Named {
        id: case.id.as_str(),
        group: &case.group,
        name: &case.name,
        testcase,
        tags,
        tc: case.tc.as_deref(),
        sku: case.sku.as_deref(),
        ttype: case.ttype.as_deref(),
        priority: case.priority,
    }
}
