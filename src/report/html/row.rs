//! A testcase as a row of the tree, and folded in it all that it left.

use super::super::entry::seconds;
use super::super::text::{clean, count, cut_end, printable};
use super::anchor;
use super::{Budget, Links, attempt, chart, compared, outcome_word, tone, word};
use crate::event::{Level, Outcome};
use crate::report::{Case, Notes, Summary};
use crate::time::Timestamp;
use crate::unit::show_size;
use maud::{Markup, html};
use std::path::Path;

/// What all rows have in common.
pub(super) struct Rows<'a> {
    links: &'a Links,
    last: Option<Timestamp>,
    /// Seconds: the longest that anything took, which is a whole bar.
    longest: f64,
    /// Whether there are several priorities, so that each is told.
    has_priorities: bool,
}

impl Rows<'_> {
    pub fn of<'a>(summary: &Summary, links: &'a Links) -> Rows<'a> {
        let last = summary.last_at();
        let longest = summary.cases().iter().map(|c| c.took_until(last)).fold(0.0, f64::max);
        let has_priorities = summary.cases().iter().any(|c| c.priority.is_some_and(|p| p != 1));
        Rows { links, last, longest, has_priorities }
    }

    /// Seconds.
    pub fn took(&self, case: &Case) -> f64 {
        case.attempts.iter().map(|a| a.took).sum::<f64>() + case.took_until(self.last)
    }
}

/// The row of a testcase, in a group of this name.
pub(super) fn case(case: &Case, group: &str, rows: &Rows, budget: &mut Budget) -> Markup {
    let is_plain = case.args.is_empty() && !case.has_notes() && (!case.has_begun() || case.outcome == Some(Outcome::Passed));
    let inside = if is_plain { None } else { budget.take(inside(case, rows.links)) };
    let row = row(case, group, rows);
    html! {
        @match inside {
            Some(inside) => {
                details.case data-o=(tone(case)) id=(anchor(case)) { summary { (row) } div.inside { (inside) } }
            }
            None => { div.case data-o=(tone(case)) id=(anchor(case)) { (row) } }
        }
    }
}

fn row(case: &Case, group: &str, rows: &Rows) -> Markup {
    let took = case.took_until(rows.last);
    let share = if rows.longest > 0.0 { (took / rows.longest * 100.0).ceil() } else { 0.0 };
    let name = if case.id.group() == group { case.id.name() } else { case.id.as_str() };
    html! {
        div.row {
            span class={ "word " (tone(case)) } { (word(case)) }
            span {
                span.name .more { (printable(name)) }
                (tags(case, rows))
                @if let Some(why) = case.why() { small { (short(why)) } }
                @else if !case.title.is_empty() { small { (short(&case.title)) } }
            }
            @if case.has_begun() { span.bar style={ "--w:" (share) "%" } {} span.took { (seconds(took)) } }
        }
    }
}

/// What is special about it, in a word each.
fn tags(case: &Case, rows: &Rows) -> Markup {
    html! {
        @if !case.is_test() { span.tag { (case.role.word()) } }
        @if rows.has_priorities && case.is_test() { span.tag { "P" (case.priority.unwrap_or(1)) } }
        @if case.blocker && case.is_test() { span.tag { "blocker" } }
        @if !case.attempts.is_empty() { span.tag { (count(case.attempts.len() + usize::from(case.started.is_some()), "attempt")) } }
    }
}

/// The log of a testcase in this directory.
pub(super) fn log_of(dir: &Path) -> std::path::PathBuf {
    dir.join("xenrt.log")
}

/// The first line, as much of it as a row can hold.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 240;
    cut_end(&clean(text.lines().next().unwrap_or_default()), LONGEST).into_owned()
}

fn inside(case: &Case, links: &Links) -> Markup {
    let notes = case.notes();
    html! {
        @if case.why().is_some() && !case.title.is_empty() { p { (printable(&case.title)) } }
        @if !case.args.is_empty() {
            h4 { "Arguments" }
            ul.args { @for (name, value) in &case.args { li { code { (printable(name)) " = " (printable(&value.to_string())) } } } }
        }
        (known_as(case))
        @if !case.attempts.is_empty() { (attempt::attempts(case, links)) }
        @if !notes.subcases.is_empty() { (subcases(notes)) }
        @if !notes.metrics.is_empty() { h4 { "Values" } (chart::of_case(&notes.metrics)) }
        (compared::of_case(notes))
        (said(notes))
        (files(case, links))
        (log(notes))
    }
}

/// What others know it as.
fn known_as(case: &Case) -> Markup {
    let known = [("tc", &case.tc), ("sku", &case.sku)];
    let known: Vec<(&str, &str)> = known.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    html! {
        @if !known.is_empty() {
            h4 { "Known as" }
            ul.args { @for (name, value) in &known { li { code { (name) " " (printable(value)) } } } }
        }
    }
}

fn subcases(notes: &Notes) -> Markup {
    html! {
        h4 { "Subcases" }
        div.scroll { table {
            @for subcase in &notes.subcases {
                tr {
                    td class=(subcase.outcome.word()) { span.word { (outcome_word(subcase.outcome)) } }
                    td { (printable(&subcase.full_name())) @if let Some(why) = subcase.why() { br; small.soft { (printable(why)) } } }
                    td.num { (seconds(subcase.took)) }
                }
            }
        } }
    }
}

/// What it said of itself, but for what only the log has.
fn said(notes: &Notes) -> Markup {
    html! {
        @if !notes.said.is_empty() {
            h4 { "Said" }
            div.scroll { table {
                @for said in &notes.said {
                    tr {
                        td.soft { (said.at.clock()) }
                        td.soft { (level_word(said.level)) }
                        td { (printable(&said.text)) }
                    }
                }
            } }
        }
        @if notes.dropped > 0 { p.soft { (notes.dropped) " more are in the event log only" } }
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Verbose | Level::Delimiter => "log",
        Level::Comment => "comment",
        Level::Warning => "warning",
        Level::Reason => "reason",
        Level::Step => "step",
        Level::Result => "result",
    }
}

fn files(case: &Case, links: &Links) -> Markup {
    let log = case.started.and_then(|_| links.to(&log_of(&case.dir)));
    html! {
        @if log.is_some() || !case.notes().files.is_empty() {
            h4 { "Files" }
            ul.args {
                @if let Some(log) = log { li { a href=(log) { "xenrt.log" } } }
                (attached(case.notes(), links))
            }
        }
    }
}

pub(super) fn attached(notes: &Notes, links: &Links) -> Markup {
    html! {
        @for file in &notes.files {
            li {
                @match links.to(&file.path) {
                    Some(address) => { a href=(address) { (printable(&file.name)) } }
                    None => { (printable(&file.name)) }
                }
                " " span.soft { (show_size(file.bytes)) }
            }
        }
    }
}

pub(super) fn log(notes: &Notes) -> Markup {
    html! {
        @if !notes.tail.is_empty() {
            details.fold {
                summary { span.more { "Log" @if notes.cut > 0 { ", the last " (notes.tail.len()) " entries" } } }
                pre.log tabindex="0" {
                    @for entry in &notes.tail {
                        i { (entry.at.clock()) " " } span class=(entry.prefix) { (printable(&entry.text)) } "\n"
                    }
                }
            }
        }
    }
}
