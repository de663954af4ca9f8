//! A part of what a program tested, as its own report (TAP or JUnit) tells it.

use crate::error::{Blame, Kind};
use crate::event::{Failure, Outcome};
use crate::script::Ended;
use std::collections::HashMap;

/// More parts than this are a mistake of the program's, and would fill every report.
pub const MOST: usize = 100_000;

/// How much of a part's data is kept, in characters.
const DATA_KEPT: usize = 4096;

/// One test of a program's report.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub group: String,
    pub name: String,
    pub outcome: Outcome,
    /// Empty where there is nothing to say.
    pub reason: String,
    /// What the report has beside it: a diagnostic block, an output.
    pub data: String,
    /// Seconds.
    pub took: f64,
}

impl Part {
    pub fn new(group: &str, name: &str, outcome: Outcome, reason: impl Into<String>) -> Part {
        Part { group: group.into(), name: name.into(), outcome, reason: reason.into(), data: String::new(), took: 0.0 }
    }

    /// How it ended, with a failure for its card where it is not fine.
    pub fn ended(&self) -> Ended {
        let failure = self.outcome.is_bad().then(|| {
            let (kind, blame) = match self.outcome {
                Outcome::Failed => (Kind::Assertion, Blame::Product),
                _ => (Kind::Malformed, Blame::Author),
            };
            let data = (!self.data.is_empty()).then(|| shortened(&self.data));
            let message = if self.reason.is_empty() { self.outcome.word().to_string() } else { self.reason.clone() };
            let (causes, frames, calls) = (Vec::new(), Vec::new(), Vec::new());
            Box::new(Failure { kind, blame, message, data, causes, help: None, frames, calls })
        });
        Ended { outcome: self.outcome, reason: self.reason.clone(), failure }
    }
}

fn shortened(data: &str) -> String {
    let mut kept: String = data.chars().take(DATA_KEPT).collect();
    if kept.len() < data.len() {
        kept.push_str("\n[… the rest is in stdout.txt …]");
    }
    kept
}

/// Gives the second part of the same name a name of its own, so that none hides another.
pub fn tell_apart(parts: &mut [Part]) {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for part in parts {
        let wanted = part.name.clone();
        loop {
            let count = seen.entry((part.group.clone(), part.name.clone())).or_insert(0);
            *count += 1;
            if *count == 1 {
                break;
            }
            part.name = format!("{wanted}#{count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_name_are_told_apart() {
        let mut parts = ["a", "a", "b", "a", "a#2"].map(|name| Part::new("g", name, Outcome::Passed, ""));
        tell_apart(&mut parts);
        assert_eq!(parts.each_ref().map(|p| p.name.as_str()), ["a", "a#2", "b", "a#3", "a#2#2"]);
    }
}
