//! What variables say about a whole run: criteria, blocks, order.

use super::Found;
use crate::event::{Criteria, Place};
use crate::run::Plan;
use crate::sequence::{Sequence, Topology};
use crate::unit::parse_boolean;
use crate::vars::Variables;

/// A plan of nothing, with the rules of the run.
pub fn plan(sequence: &Sequence, variables: &Variables, found: &mut Found<'_>) -> Plan {
    let prepares = [&sequence.preprepare, &sequence.prepare].into_iter().flatten().any(|t| *t != Topology::default());
    let criteria = Criteria {
        rates: rates(variables, found),
        strict: yes(variables, "PASS_RATE_STRICT", found).unwrap_or(true),
        // A sequence that only prepares passes without tests; one with nothing in it does not.
        expects_tests: sequence.root.is_some() || !prepares,
    };
    Plan {
        sequence: Some(sequence.name.clone()),
        semaphores: sequence.semaphores.clone(),
        criteria,
        block_on_skip: yes(variables, "OPTION_BLOCK_ON_SKIP", found).unwrap_or(false),
        ..Plan::default()
    }
}

/// `PASS_CRITERIA`: the percentages for priority 1, 2, …; where one is left out it is 100.
fn rates(variables: &Variables, found: &mut Found<'_>) -> Vec<f64> {
    let name = "PASS_CRITERIA";
    let Some(text) = said(variables, name, found) else { return Vec::new() };
    let percent = |part: &str| match part.trim() {
        "" => Some(100.0),
        part => part.trim_end_matches('%').parse().ok().filter(|rate| (0.0..=100.0).contains(rate)),
    };
    let read: Option<Vec<f64>> = text.split(',').map(percent).collect();
    read.unwrap_or_else(|| {
        let help = "write percentages of priority 1, 2, …: PASS_CRITERIA=100,50";
        bad(variables, name, "is no list of percentages from 0 to 100", help, found);
        Vec::new()
    })
}

/// A variable that is yes or no; nothing when it is not set, or empty.
pub fn yes(variables: &Variables, name: &str, found: &mut Found<'_>) -> Option<bool> {
    let read = parse_boolean(&said(variables, name, found)?);
    if read.is_err() {
        bad(variables, name, "is neither yes nor no", &format!("{name}=yes"), found);
    }
    read.ok()
}

/// The value of a variable; nothing when it is not set, or empty.
fn said(variables: &Variables, name: &str, found: &mut Found<'_>) -> Option<String> {
    let value = variables.lookup(name).unwrap_or_else(|error| {
        bad(variables, name, &format!("cannot be worked out: {error}"), &error.help.clone().unwrap_or_default(), found);
        None
    });
    value.filter(|text| !text.trim().is_empty())
}

/// Tells of a value that cannot be read, at the place that set it.
fn bad(variables: &Variables, name: &str, what: &str, help: &str, found: &mut Found<'_>) {
    let Some((layer, setting)) = variables.origin(name) else { return };
    let origin = if setting.origin.is_empty() { layer.word() } else { &setting.origin };
    let place = match origin.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => Place { file: file.into(), line, column: 0 },
        _ => Place { file: origin.into(), line: 0, column: 0 },
    };
    found.wrong("bad-variable", &place, format!("`{name}={}` {what}", setting.value), Some(help.into()));
}
