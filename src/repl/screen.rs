//! Where lines go: straight to the output while something runs, and above the prompt while somebody types.

use super::session::Answer;
use super::value::Value;
use crate::report::{self, Card, failure_card, printable};
use crate::unit::show_duration;
use nu_ansi_term::{Color, Style};
use std::io::Write;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes a table for people: header, rows, and the width of the screen.
pub type Table = fn(&[&str], Vec<Vec<String>>, Option<usize>) -> String;

/// How a line is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Besides the matter.
    Dim,
    Strong,
    Warning,
}

/// The terminal, or the two streams of a process without one.
pub struct Screen {
    look: report::Options,
    table: Table,
    ways: Mutex<Ways>,
}

struct Ways {
    out: Box<dyn Write + Send>,
    /// For what is no result.
    aside: Box<dyn Write + Send>,
    /// The way over the prompt, while there is one.
    above: Option<SyncSender<String>>,
    lost: usize,
}

impl Screen {
    pub fn new(look: report::Options, table: Table, out: Box<dyn Write + Send>, aside: Box<dyn Write + Send>) -> Screen {
        Screen { look, table, ways: Mutex::new(Ways { out, aside, above: None, lost: 0 }) }
    }

    pub fn has_colour(&self) -> bool {
        self.look.colour
    }

    /// A result, or what a script prints.
    pub fn line(&self, tone: Tone, text: &str) {
        self.write(tone, text, true);
    }

    /// What happens besides: on the standard error where there is no terminal.
    pub fn aside(&self, tone: Tone, text: &str) {
        self.write(tone, text, false);
    }

    /// From now on somebody types: lines go over the prompt by this way.
    pub fn open(&self, above: SyncSender<String>) {
        self.ways().above = Some(above);
    }

    /// Nobody types any more.
    pub fn close(&self) {
        let mut ways = self.ways();
        ways.above = None;
        let lost = std::mem::take(&mut ways.lost);
        if lost > 0 {
            let _ = writeln!(ways.aside, "[… {lost} lines came faster than they could be shown …]");
        }
    }

    fn write(&self, tone: Tone, text: &str, is_result: bool) {
        let text = self.painted(tone, &printable(text));
        let mut ways = self.ways();
        let Ways { out, aside, above, lost } = &mut *ways;
        if let Some(above) = above {
            *lost += usize::from(above.try_send(text).is_err());
            return;
        }
        let way = if is_result { out } else { aside };
        // A reader that has gone away is no error, and there is nobody left to tell.
        let _ = writeln!(way, "{text}").and_then(|()| way.flush());
    }

    fn painted(&self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_string(),
            _ if !self.look.colour => return text.to_string(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
            Tone::Warning => Color::Yellow.bold(),
        };
        // Line by line: a style that reaches over a line's end colours what is printed beside it.
        text.lines().map(|line| style.paint(line).to_string()).collect::<Vec<_>>().join("\n")
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what came of an input.
    pub fn answer(&self, answer: &Answer) {
        match answer {
            Answer::Nothing | Answer::Quit | Answer::Release(_) => {}
            Answer::Value(value) => self.value(value),
            Answer::Help(text) => self.line(Tone::Plain, text.trim_end()),
            Answer::Skipped(reason) => self.aside(Tone::Warning, &format!("skipped: {reason}")),
            Answer::Stopped { took } => self.aside(Tone::Warning, &format!("stopped after {}", show_duration(*took))),
            Answer::Failed { input, outcome, failure, .. } => {
                let card = failure_card(&Card { title: input, outcome: *outcome, failure, hints: &[] }, &self.look);
                self.raw(card.trim_end());
            }
        }
    }

    /// A card, which is safe to print and coloured already.
    fn raw(&self, card: &str) {
        let mut ways = self.ways();
        let _ = writeln!(ways.aside, "{card}").and_then(|()| ways.aside.flush());
    }

    fn value(&self, value: &Value) {
        let more = match value {
            Value::Line(line) => {
                self.line(Tone::Plain, line);
                0
            }
            Value::Lines { lines, more } => {
                lines.iter().for_each(|line| self.line(Tone::Plain, line));
                *more
            }
            Value::Table { header, rows, more } => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                let rows = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
                self.line(Tone::Plain, (self.table)(&header, rows, self.look.width).trim_end());
                *more
            }
        };
        if more > 0 {
            let last = super::session::LAST;
            self.aside(Tone::Dim, &format!("… {more} more; it is all in `{last}`, and print({last}) shows a text whole"));
        }
    }
}
