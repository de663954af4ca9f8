//! All testcases by their groups: outcome, name, time, and what each has left, folded.

use super::super::entry::seconds;
use super::super::text::{clean, count, cut_end, printable};
use super::{Budget, Links, anchor, chart, outcome_word, tone, word};
use crate::event::{Level, Outcome};
use crate::report::{Case, Notes, Summary};
use crate::unit::show_size;
use maud::{Markup, html};
use std::collections::HashMap;

/// With more testcases than this, groups in which all is well are folded.
const UNFOLDED: usize = 200;

pub(super) fn tree(summary: &Summary, links: &Links, budget: &mut Budget) -> Markup {
    let last = summary.last_at();
    let longest = summary.cases().iter().map(|c| c.took_until(last)).fold(0.0, f64::max);
    let mut groups: Vec<(&str, Vec<&Case>)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for case in summary.cases() {
        let position = *index.entry(case.id.group()).or_insert(groups.len());
        if position == groups.len() {
            groups.push((case.id.group(), Vec::new()));
        }
        groups[position].1.push(case);
    }
    let is_long = summary.cases().len() > UNFOLDED;
    html! {
        h2 { "Testcases" small { (summary.cases().len()) } }
        @for (name, cases) in &groups {
            @let bad = cases.iter().filter(|c| c.outcome.is_none_or(Outcome::is_bad)).count();
            details.group data-name=(printable(name)) open[!is_long || bad > 0] {
                summary {
                    span.more { @if name.is_empty() { "Testcases" } @else { (printable(name)) } }
                    span.soft {
                        (count(cases.len(), "testcase"))
                        @if bad > 0 { ", " (bad) " to look at" }
                        ", " (seconds(cases.iter().map(|c| c.took_until(last)).sum()))
                    }
                }
                @for case in cases { (self::case(case, &row(case, case.took_until(last), longest), links, budget)) }
            }
        }
        (of_the_run(summary, links))
    }
}

fn case(case: &Case, row: &Markup, links: &Links, budget: &mut Budget) -> Markup {
    let is_plain = case.args.is_empty() && !case.has_notes() && (case.started.is_none() || case.outcome == Some(Outcome::Passed));
    let inside = if is_plain { None } else { budget.take(inside(case, links)) };
    html! {
        @match inside {
            Some(inside) => {
                details.case data-o=(tone(case)) id=(anchor(case)) { summary { (row) } div.inside { (inside) } }
            }
            None => { div.case data-o=(tone(case)) id=(anchor(case)) { (row) } }
        }
    }
}

fn row(case: &Case, took: f64, longest: f64) -> Markup {
    let share = if longest > 0.0 { (took / longest * 100.0).ceil() } else { 0.0 };
    html! {
        div.row {
            span class={ "word " (tone(case)) } { (word(case)) }
            span {
                span.name .more { (printable(case.id.name())) }
                @if let Some(why) = case.why() { small { (short(why)) } }
                @else if !case.title.is_empty() { small { (short(&case.title)) } }
            }
            @if case.started.is_some() { span.bar style={ "--w:" (share) "%" } {} span.took { (seconds(took)) } }
        }
    }
}

/// The first line, as much of it as a row can hold.
fn short(text: &str) -> String {
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
        @if !notes.subcases.is_empty() { (subcases(notes)) }
        @if !notes.metrics.is_empty() { h4 { "Values" } (chart::of_case(&notes.metrics)) }
        (said(notes))
        (files(case, links))
        (log(notes))
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
    let log = case.started.and_then(|_| links.to(&case.dir.join("xenrt.log")));
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

fn attached(notes: &Notes, links: &Links) -> Markup {
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

fn log(notes: &Notes) -> Markup {
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

/// What was told outside of any testcase.
fn of_the_run(summary: &Summary, links: &Links) -> Markup {
    let notes = summary.notes();
    html! {
        @if !notes.files.is_empty() || !notes.tail.is_empty() {
            h2 { "Of the run itself" }
            div.chart {
                @if !notes.files.is_empty() { ul.args { (attached(notes, links)) } }
                @if !notes.metrics.is_empty() { (chart::of_case(&notes.metrics)) }
                (log(notes))
            }
        }
    }
}
