//! The text of a file that is read, with its name: where its lines are, for showing them.

use crate::diagnostic::{At, Diagnostic, Severity, excerpt, first_around};
use crate::event::SourceLine;
use std::sync::Arc;

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
        let first = first_around(line);
        let rest = self.0.lines.get(first - 1).and_then(|begin| self.0.text.get(*begin..)).unwrap_or_default();
        excerpt(rest.lines(), first, line)
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
