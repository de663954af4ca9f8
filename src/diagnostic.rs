//! What is wrong with a file that people write (a script, a sequence), found without running it: file, line, column, what, and the
//! next step.

use crate::error::{Blame, Error, Kind};
use crate::event::{Failure, Frame, Place, SourceLine};
use serde::Serialize;

/// How many lines around a place are shown.
const LINES_AROUND: usize = 3;

/// How much of a line is shown, in characters.
const LONGEST_LINE: usize = 400;

/// A position in a text, both numbers from 1; 0 is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct At {
    pub line: usize,
    pub column: usize,
}

impl At {
    pub fn in_file(self, file: &str) -> Place {
        Place { file: file.to_string(), line: self.line, column: self.column }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable name of the rule ("unknown-function").
    pub rule: &'static str,
    pub place: Place,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The lines around, for showing.
    #[serde(skip)]
    pub lines: Vec<SourceLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

impl Diagnostic {
    pub fn error(rule: &'static str, file: &str, text: &str, at: impl Into<At>, message: impl Into<String>) -> Diagnostic {
        let place = at.into().in_file(file);
        let lines = around(text, place.line);
        Diagnostic { severity: Severity::Error, rule, place, message: message.into(), help: None, lines }
    }

    #[must_use]
    pub fn help(mut self, help: Option<String>) -> Diagnostic {
        self.help = help;
        self
    }

    #[must_use]
    pub fn warning(mut self) -> Diagnostic {
        self.severity = Severity::Warning;
        self
    }

    /// The end of a testcase whose script cannot be read.
    pub fn failure(&self) -> Failure {
        let (place, lines) = (self.place.clone(), self.lines.clone());
        let error = Error::new(Kind::Malformed, self.message.clone()).blame(Blame::Author);
        let frames = vec![Frame { function: String::new(), place, lines, locals: Vec::new() }];
        Failure { help: self.help.clone(), frames, ..Failure::of(&error) }
    }

    /// `file:line:column: error: message`, as compilers print it.
    pub fn headline(&self) -> String {
        let word = if self.severity == Severity::Error { "error" } else { "warning" };
        format!("{}: {word}: {} [{}]", self.place, self.message, self.rule)
    }
}

/// The lines of a text around one of them.
pub fn around(text: &str, line: usize) -> Vec<SourceLine> {
    excerpt(text.lines(), 1, line)
}

/// The number of the first of the lines that are shown around one.
pub fn first_around(line: usize) -> usize {
    line.saturating_sub(LINES_AROUND).max(1)
}

/// The lines around one of them, out of lines of which the first has this number: [`first_around`] or one before it.
pub fn excerpt<'a>(lines: impl Iterator<Item = &'a str>, first: usize, line: usize) -> Vec<SourceLine> {
    if line == 0 {
        return Vec::new();
    }
    let shown = first_around(line)..line + LINES_AROUND + 1;
    (first..)
        .zip(lines)
        .skip(shown.start - first)
        .take(shown.len())
        .map(|(number, text)| SourceLine { number, text: text.chars().take(LONGEST_LINE).collect() })
        .collect()
}
