//! What is wrong with a script, found without running it: file, line, column, what, and the next step.

use super::failure;
use crate::error::{Blame, Error, Kind};
use crate::event::{Failure, Frame, Place, SourceLine};
use rhai::{ParseError, ParseErrorType, Position};
use serde::Serialize;

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
    pub fn error(rule: &'static str, file: &str, text: &str, position: Position, message: impl Into<String>) -> Diagnostic {
        let place = failure::place(file, position);
        let lines = failure::around(text, place.line);
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

    /// What the parser says, in its place.
    pub fn syntax(file: &str, text: &str, error: &ParseError) -> Diagnostic {
        // At the end of the text there is no position: the last line is where the author has to look.
        let position = if error.1.is_none() { end_of(text) } else { error.1 };
        let mut bare = error.0.to_string();
        if let Some(at) = bare.rfind(" (line ") {
            bare.truncate(at);
        }
        if let Some(first) = bare.get(..1).filter(|_| !bare.starts_with("I'")) {
            bare = first.to_lowercase() + &bare[1..];
        }
        let help = match &*error.0 {
            ParseErrorType::MissingToken(token, _) if token == ";" => Some("a `;` is missing at the end of the line before".into()),
            ParseErrorType::Reserved(word) => Some(format!("`{word}` is a word of the language; in a map write \"{word}\": …")),
            _ => None,
        };
        Diagnostic::error("syntax", file, text, position, bare).help(help)
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

fn end_of(text: &str) -> Position {
    let count = text.lines().count().clamp(1, usize::from(u16::MAX));
    let width = text.lines().last().map_or(0, |l| l.chars().count()).clamp(1, usize::from(u16::MAX));
    Position::new(u16::try_from(count).unwrap_or(u16::MAX), u16::try_from(width).unwrap_or(u16::MAX))
}
