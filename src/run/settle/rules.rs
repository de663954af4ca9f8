//! What variables say about a whole run: criteria, blocks, order.

use super::found::Found;
use crate::event::{Criteria, Place};
use crate::run::Plan;
use crate::sequence::Sequence;
use crate::vars::Variables;

/// A plan of nothing, with the rules of the run.
pub fn plan(sequence: &Sequence, variables: &Variables, found: &mut Found<'_>) -> Plan {
    let criteria = Criteria {
        rates: rates(variables, found),
        strict: yes(variables, "PASS_RATE_STRICT", found).unwrap_or(true),
        expects_tests: true,
    };
    Plan { sequence: Some(sequence.name.clone()), semaphores: sequence.semaphores.clone(), criteria, ..Plan::default() }
}

/// `PASS_CRITERIA`: the percentages for priority 1, 2, …; where one is left out it is 100.
fn rates(variables: &Variables, found: &mut Found<'_>) -> Vec<f64> {
    let name = "PASS_CRITERIA";
    let percent = |part: &str| match part.trim() {
        "" => Some(100.0),
        part => part.trim_end_matches('%').parse().ok().filter(|rate| (0.0..=100.0).contains(rate)),
    };
    let (what, help) = match variables.lookup(name) {
        Ok(None) => return Vec::new(),
        Ok(Some(text)) => match text.split(',').map(percent).collect() {
            Some(rates) => return rates,
            None => {
                let what = format!("`{name}` is `{text}`, expected percentages from 0 to 100");
                (what, Some(format!("write those of priority 1, 2, …: {name}=100,50")))
            }
        },
        Err(error) => (error.what, error.help),
    };
    found.wrong("bad-variable", &whence(variables, name), what, help);
    Vec::new()
}

/// A variable that is yes or no; nothing when it is not set.
pub fn yes(variables: &Variables, name: &str, found: &mut Found<'_>) -> Option<bool> {
    variables.boolean(name).unwrap_or_else(|error| {
        found.wrong("bad-variable", &whence(variables, name), error.what, error.help);
        None
    })
}

/// Where a variable was set.
fn whence(variables: &Variables, name: &str) -> Place {
    let origin = variables.origin(name).map_or("", |(layer, setting)| setting.by(layer));
    match origin.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => Place { file: file.into(), line, column: 0 },
        _ => Place { file: origin.into(), line: 0, column: 0 },
    }
}
