//! Lines of the original's remote benchmarks: `Value: rate 812.5 MB/s` and its kin, on a program's standard output.
//!
//! # Source
//! The line protocol of XenRT's benchmark dispatcher: a word, a colon, the rest of the line.

use crate::event::{Level, Outcome};
use crate::metric::Measurement;

/// What a line says to the harness.
#[derive(Debug, PartialEq)]
pub enum Word {
    /// How the testcase ended, by its own word.
    Ended(Outcome),
    Said(Level, String),
    Measured(Measurement),
}

/// The words that are lines of the log, and what sort of line they are.
const LEVELS: [(&str, Level); 4] =
    [("Comment", Level::Comment), ("Warning", Level::Warning), ("Reason", Level::Reason), ("Result", Level::Result)];

/// The original's words for outcomes.
const OUTCOMES: [(&str, Outcome); 5] = [
    ("passed", Outcome::Passed),
    ("failed", Outcome::Failed),
    ("skipped", Outcome::Skipped),
    ("partial", Outcome::Partial),
    ("error", Outcome::Errored),
];

/// Understands a line; nothing when it is ordinary output.
pub fn read(line: &str) -> Option<Word> {
    let (word, rest) = line.split_once(": ")?;
    let rest = rest.trim();
    if let Some((_, level)) = LEVELS.iter().find(|(known, _)| *known == word) {
        return Some(Word::Said(*level, rest.to_string()));
    }
    match word {
        "Test" => OUTCOMES.iter().find(|(known, _)| *known == rest).map(|(_, outcome)| Word::Ended(*outcome)),
        "Value" => measured(rest).map(Word::Measured),
        _ => None,
    }
}

/// `name number` or `name number unit`; the unit may have several words.
fn measured(text: &str) -> Option<Measurement> {
    let (name, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (number, unit) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let value = number.parse().ok().filter(|v: &f64| v.is_finite())?;
    Some(Measurement { name: name.to_string(), value, unit: unit.trim().to_string(), better: None, spread: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_or_left_alone() {
        let said = |level, text: &str| Some(Word::Said(level, text.into()));
        let value = |name: &str, value, unit: &str| {
            Some(Word::Measured(Measurement { name: name.into(), value, unit: unit.into(), better: None, spread: None }))
        };
        for (line, expected) in [
            ("Value: rate 812.5 MB/s", value("rate", 812.5, "MB/s")),
            ("Value: rate  -1e3   ops per s ", value("rate", -1000.0, "ops per s")),
            ("Value: count 3", value("count", 3.0, "")),
            ("Value: rate NaN MB/s", None),
            ("Value: rate fast", None),
            ("Value: rate", None),
            ("Comment: all well", said(Level::Comment, "all well")),
            ("Warning: hot", said(Level::Warning, "hot")),
            ("Reason: broke", said(Level::Reason, "broke")),
            ("Result: TX 1.23", said(Level::Result, "TX 1.23")),
            ("Test: error", Some(Word::Ended(Outcome::Errored))),
            ("Test: passed", Some(Word::Ended(Outcome::Passed))),
            ("Test: the disks", None),
            (" Test: passed", None),
            ("Testing: passed", None),
            ("Value:", None),
            ("", None),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
