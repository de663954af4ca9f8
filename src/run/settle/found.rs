//! What is found wrong while a sequence is settled.

use crate::diagnostic::{At, Diagnostic};
use crate::event::Place;
use crate::sequence::{Mode, Sequence};
use std::collections::HashSet;

/// More is not told: nobody would read it.
const MOST_TOLD: usize = 500;

/// What was found wrong.
pub struct Found<'a> {
    sequence: &'a Sequence,
    mode: Mode,
    /// Each with the place in the sequence that it belongs to.
    diagnostics: Vec<(Place, Diagnostic)>,
    told: HashSet<(Place, String)>,
}

impl<'a> Found<'a> {
    pub fn new(sequence: &'a Sequence, mode: Mode) -> Found<'a> {
        Found { sequence, mode, diagnostics: Vec::new(), told: HashSet::new() }
    }

    /// Tells something that is wrong: an error in strict mode, a warning in lenient mode. A loop tells it once.
    pub fn wrong(&mut self, rule: &'static str, place: &Place, message: impl Into<String>, help: Option<String>) {
        let message = message.into();
        if self.is_new(place, &message) {
            let at = At { line: place.line, column: place.column };
            let text = self.sequence.texts.get(&place.file).map_or("", |text| text);
            self.push(place, Diagnostic::error(rule, &place.file, text, at, message).help(help));
        }
    }

    /// The same, of something that this place in the sequence refers to.
    pub fn add(&mut self, place: &Place, diagnostic: Diagnostic) {
        if self.is_new(&diagnostic.place, &diagnostic.message) {
            self.push(place, diagnostic);
        }
    }

    /// Whether nothing more is told.
    pub fn is_full(&self) -> bool {
        self.told.len() > MOST_TOLD
    }

    fn is_new(&mut self, place: &Place, message: &str) -> bool {
        !self.is_full() && self.told.insert((place.clone(), message.to_string()))
    }

    fn push(&mut self, place: &Place, diagnostic: Diagnostic) {
        let diagnostic = if self.is_full() {
            let message = format!("more than {MOST_TOLD} things are wrong; the rest is not told");
            Diagnostic::error("more", &self.sequence.file, "", At::default(), message)
        } else {
            diagnostic
        };
        let diagnostic = if self.mode == Mode::Lenient { diagnostic.warning() } else { diagnostic };
        self.diagnostics.push((place.clone(), diagnostic));
    }

    /// Everything in the order of the file.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by(|(a, _), (b, _)| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.diagnostics.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }
}
