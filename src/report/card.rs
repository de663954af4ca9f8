//! A failure as text: where in the script, with which values, after which calls to machines, and what to do next.

use super::entry::seconds;
use super::lines::Options;
use super::text::{Paint, ascii, clean, cut_end, pad, width};
use crate::error::Blame;
use crate::event::{ActionEnd, Call, Failure, Frame, Local, Outcome, Place, SourceLine};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt::Write;

/// The longest source line that is shown, in characters; of a longer one, the part around the position.
const LONGEST_LINE: usize = 160;
/// How wide a card is where the stream has no width of its own.
const USUAL_WIDTH: usize = 120;
/// How many lines of a failure's further text are shown.
const DATA_SHOWN: usize = 40;

/// What a card is about.
pub struct Card<'a> {
    /// The testcase, or a subcase of it.
    pub title: &'a str,
    pub outcome: Outcome,
    pub failure: &'a Failure,
    /// Further lines at the end, each a word and what it says ("log", "results/…/xenrt.log").
    pub hints: &'a [(&'a str, String)],
}

/// The card, ended by a newline.
pub fn failure_card(card: &Card, options: &Options) -> String {
    let mut out = String::new();
    let page = Page::new(options);
    page.heading(card, &mut out);
    let failure = card.failure;
    for (depth, frame) in failure.frames.iter().enumerate() {
        page.frame(depth, frame, &mut out);
    }
    page.data(failure, &mut out);
    page.calls(&failure.calls, &mut out);
    for cause in &failure.causes {
        page.hint("because", cause, &mut out);
    }
    if let Some(help) = &failure.help {
        page.hint("help", help, &mut out);
    }
    for (word, text) in card.hints {
        page.hint(word, text, &mut out);
    }
    if options.ascii { ascii(&out) } else { out }
}

/// What is wrong at a place of a text that somebody wrote, with the lines around it, ended by a newline.
pub fn complaint(word: &Complaint, place: &Place, lines: &[SourceLine], options: &Options) -> String {
    let page = Page::new(options);
    let (level, outcome) = if word.is_warning { (Level::WARNING, Outcome::Partial) } else { (Level::ERROR, Outcome::Failed) };
    let name = if word.is_warning { "warning" } else { "error" };
    let mut out = String::new();
    let title = format!("{}[{}]", page.paint.outcome(outcome, name), word.rule);
    let _ = writeln!(out, "{title}: {}", page.paint.bold(&clean(word.message)));
    match page.excerpt(lines, place, "", level) {
        Some(text) => out.push_str(&text),
        None => {
            let _ = writeln!(out, "  {} {}", if page.ascii { "-->" } else { "╭▸" }, clean(&place.to_string()));
        }
    }
    if let Some(help) = word.help {
        page.hint("help", help, &mut out);
    }
    if options.ascii { ascii(&out) } else { out }
}

/// What is said about a place.
pub struct Complaint<'a> {
    pub is_warning: bool,
    /// Stable name of the rule that found it.
    pub rule: &'a str,
    pub message: &'a str,
    pub help: Option<&'a str>,
}

struct Page {
    paint: Paint,
    ascii: bool,
    width: usize,
}

impl Page {
    fn new(options: &Options) -> Page {
        let width = options.width.unwrap_or(USUAL_WIDTH).max(40);
        Page { paint: Paint { colour: options.colour }, ascii: options.ascii, width }
    }

    fn heading(&self, card: &Card, out: &mut String) {
        let word = super::text::word(card.outcome);
        let whose = match card.failure.blame {
            Blame::Product => "the product",
            Blame::Lab => "the lab",
            Blame::Author => "the testcase",
            Blame::User => "a person",
            Blame::Us => "the harness itself",
        };
        let facts = format!("{}, blamed on {whose}", card.failure.kind.word());
        let _ = writeln!(
            out,
            "{} {}  {}",
            self.paint.outcome(card.outcome, word),
            self.paint.bold(&clean(card.title)),
            self.paint.dim(&facts)
        );
        for line in card.failure.message.lines() {
            let _ = writeln!(out, "  {}", self.paint.bold(&clean(line)));
        }
        out.push('\n');
    }

    /// One level of the call chain: its place in the source, and its values.
    fn frame(&self, depth: usize, frame: &Frame, out: &mut String) {
        let label = if depth == 0 { "here" } else { "called from here" };
        let inside = if frame.function.is_empty() { String::new() } else { format!(" in {}", clean(&frame.function)) };
        match self.source(frame, &format!("{label}{inside}")) {
            Some(text) => out.push_str(&text),
            None => {
                let arrow = if self.ascii { "-->" } else { "╭▸" };
                let _ = writeln!(out, "   {arrow} {}{inside}", clean(&frame.place.to_string()));
            }
        }
        self.locals(&frame.locals, out);
        out.push('\n');
    }

    /// The lines with a mark under the position; nothing when the lines are not known.
    fn source(&self, frame: &Frame, label: &str) -> Option<String> {
        self.excerpt(&frame.lines, &frame.place, label, Level::ERROR)
    }

    fn excerpt(&self, lines: &[SourceLine], place: &Place, label: &str, level: Level) -> Option<String> {
        let lines = unbroken(lines, place.line)?;
        let at = place.line - lines[0].number;
        let mut text = String::new();
        let mut span = 0..0;
        for (number, line) in lines.iter().enumerate() {
            let column = if number == at { place.column.max(1) } else { 1 };
            let (shown, mark) = excerpt(&line.text, column, place.column > 0);
            if number == at {
                span = text.len() + mark.start..text.len() + mark.end;
            }
            text.push_str(&shown);
            text.push('\n');
        }
        let mark = AnnotationKind::Primary.span(span);
        let mark = if label.is_empty() { mark } else { mark.label(label) };
        let snippet =
            Snippet::source(text.as_str()).line_start(lines[0].number).path(clean(&place.file)).fold(false).annotation(mark);
        let renderer = if self.paint.colour { Renderer::styled() } else { Renderer::plain() };
        let decor = if self.ascii { DecorStyle::Ascii } else { DecorStyle::Unicode };
        let mut shown = renderer.decor_style(decor).term_width(self.width).render(&[Group::with_level(level).element(snippet)]);
        shown.push('\n');
        Some(shown)
    }

    fn locals(&self, locals: &[Local], out: &mut String) {
        let mut line = String::new();
        for local in locals {
            let text = format!("{} = {}", clean(&local.name), clean(&local.value));
            let text = cut_end(&text, self.width.saturating_sub(4));
            if !line.is_empty() && width(&line) + 4 + width(&text) > self.width.saturating_sub(4) {
                let _ = writeln!(out, "    {line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push_str("    ");
            }
            line.push_str(&text);
        }
        if !line.is_empty() {
            let _ = writeln!(out, "    {line}");
        }
    }

    fn data(&self, failure: &Failure, out: &mut String) {
        let Some(data) = failure.data.as_deref().filter(|d| !d.trim().is_empty()) else { return };
        let bar = if self.ascii { "|" } else { "│" };
        let lines: Vec<&str> = data.lines().collect();
        for line in lines.iter().take(DATA_SHOWN) {
            let line = clean(line);
            let _ = writeln!(out, "    {} {}", self.paint.dim(bar), cut_end(&line, self.width.saturating_sub(6)));
        }
        if lines.len() > DATA_SHOWN {
            let _ = writeln!(out, "    {} … {} more lines", self.paint.dim(bar), lines.len() - DATA_SHOWN);
        }
        out.push('\n');
    }

    fn calls(&self, calls: &[Call], out: &mut String) {
        if calls.is_empty() {
            return;
        }
        let _ = writeln!(out, "  {}", self.paint.bold("last calls to machines"));
        let column = |texts: &mut dyn Iterator<Item = &String>, most: usize| texts.map(|t| width(t)).max().unwrap_or(0).min(most);
        let machines = column(&mut calls.iter().map(|c| &c.machine), 20);
        let whats = column(&mut calls.iter().map(|c| &c.what), (self.width.saturating_sub(machines + 26) / 2).max(20));
        for call in calls {
            let (is_bad, end) = match &call.end {
                ActionEnd::Ok(said) if said.is_empty() => (false, "ok"),
                ActionEnd::Ok(said) => (false, said.as_str()),
                ActionEnd::Failed(why) => (true, why.as_str()),
            };
            let (machine, what, end) = (clean(&call.machine), clean(&call.what), clean(end));
            let machine = pad(&cut_end(&machine, machines), machines);
            let what = pad(&cut_end(&what, whats), whats);
            let front = format!("  {}  {machine}  {what}  {:>6}  ", call.at.fine_clock(), seconds(call.took));
            let end = cut_end(&end, self.width.saturating_sub(width(&front)).max(20));
            let end = if is_bad { self.paint.outcome(Outcome::Failed, &end) } else { self.paint.dim(&end) };
            let _ = writeln!(out, "{front}{end}");
        }
        out.push('\n');
    }

    fn hint(&self, word: &str, text: &str, out: &mut String) {
        let mut word = format!("{word}:");
        for line in text.lines() {
            let _ = writeln!(out, "  {} {}", self.paint.bold(&format!("{word:<8}")), clean(line));
            word.clear();
        }
    }
}

/// The lines with numbers that follow each other around the line of the position.
pub(super) fn unbroken(lines: &[SourceLine], place: usize) -> Option<&[SourceLine]> {
    let at = lines.iter().position(|l| l.number == place && place > 0)?;
    let follows = |pair: &[SourceLine]| pair[1].number == pair[0].number.wrapping_add(1);
    let before = lines[..=at].windows(2).rev().take_while(|p| follows(p)).count();
    let after = lines[at..].windows(2).take_while(|p| follows(p)).count();
    Some(&lines[at - before..=at + after])
}

/// A line safe to show, short enough, and the bytes to mark in it: the word at the column, or the whole text.
pub(super) fn excerpt(line: &str, column: usize, is_exact: bool) -> (String, std::ops::Range<usize>) {
    let line = clean(line);
    let length = line.chars().count();
    let skip = if length > LONGEST_LINE { (column - 1).min(length).saturating_sub(LONGEST_LINE / 2) } else { 0 };
    let mut shown = String::new();
    if skip > 0 {
        shown.push('…');
    }
    let cut_front = shown.len();
    shown.extend(line.chars().skip(skip).take(LONGEST_LINE));
    if length > skip + LONGEST_LINE {
        shown.push('…');
    }
    if !is_exact {
        let start = shown.len() - shown.trim_start().len();
        return (shown.clone(), start..shown.trim_end().len().max(start));
    }
    let before: usize = shown[cut_front..].chars().take(column - 1 - skip.min(column - 1)).map(char::len_utf8).sum();
    let start = (cut_front + before).min(shown.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word: usize = shown[start..].chars().take_while(|&c| is_word(c)).map(char::len_utf8).sum();
    let marked = if word > 0 { word } else { shown[start..].chars().next().map_or(0, char::len_utf8) };
    let end = start + marked;
    (shown, start..end)
}
