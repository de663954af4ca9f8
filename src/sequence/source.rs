//! The text of a file that is read, with its name: where its lines are, for showing them.

use crate::diagnostic::{At, Diagnostic, LINES_AROUND, Severity};
use crate::event::SourceLine;
use std::sync::Arc;

/// How much of a line is shown, in characters.
const LONGEST_LINE: usize = 400;

/// A file's name and text. Cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    file: String,
    text: Arc<str>,
    /// Offset of each line.
    lines: Vec<usize>,
}

impl Source {
    pub fn new(file: impl Into<String>, text: impl Into<Arc<str>>) -> Source {
        let text: Arc<str> = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source(Arc::new(Inner { file: file.into(), text, lines }))
    }

    /// As shown to people.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    pub fn text(&self) -> &Arc<str> {
        &self.0.text
    }

    /// Something that is wrong here. Costs the same wherever in the file it is.
    pub fn error(&self, rule: &'static str, at: At, message: String) -> Diagnostic {
        let (place, lines) = (at.in_file(self.file()), self.around(at.line));
        Diagnostic { severity: Severity::Error, rule, place, message, help: None, lines }
    }

    fn around(&self, line: usize) -> Vec<SourceLine> {
        if line == 0 {
            return Vec::new();
        }
        let (first, last) = (line.saturating_sub(LINES_AROUND).max(1), (line + LINES_AROUND).min(self.0.lines.len()));
        (first..=last).filter_map(|number| Some(SourceLine { number, text: self.line(number)? })).collect()
    }

    /// A line without its end; nothing behind the last one.
    fn line(&self, number: usize) -> Option<String> {
        let begin = *self.0.lines.get(number - 1)?;
        let end = self.0.lines.get(number).copied().unwrap_or(self.0.text.len());
        let line = self.0.text.get(begin..end)?;
        let is_last = number == self.0.lines.len();
        (!is_last || !line.is_empty()).then(|| line.trim_end_matches(['\n', '\r']).chars().take(LONGEST_LINE).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::around;

    #[test]
    fn the_lines_around_are_those_that_other_diagnostics_show() {
        for text in ["", "one", "a\nb\r\nc\nd\ne\nf", "a\nb\n", "\n\n\n"] {
            let source = Source::new("x", text);
            for line in 0..9 {
                let shown = source.error("r", At { line, column: 1 }, String::new()).lines;
                assert_eq!(shown, around(text, line), "{text:?} at {line}");
            }
        }
    }
}
