//! The HTML report: one page that needs nothing else, for a person who was not there.
//!
//! Never true here: that text from outside stands unescaped (maud escapes; only our own style and script are taken as they are),
//! that a link leads out of the results, that the page grows with the number of testcases without a bound ([`Budget`]).
//!
//! To add a part: a function that gives `Markup`, and its place in [`html`].

mod card;
mod chart;
mod link;
mod tree;

use super::reports::{Opening, Report, Written};
use super::text::{self, count, printable};
use super::{Case, Summary};
use crate::error::Result;
use crate::event::{Outcome, Verdict};
use crate::unit::{seconds_to_duration, show_duration};
use link::Links;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use std::path::Path;

/// How much of the page the details of testcases may take, in bytes.
const DETAILS: usize = 5 << 20;
/// How many warnings are listed.
const WARNINGS_LISTED: usize = 200;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("html", path, opening, |summary, path| Ok(html(summary, path)))))
}

/// What is left of the page for details.
struct Budget(usize);

impl Budget {
    /// The part, if there is room for it.
    fn take(&mut self, part: Markup) -> Option<Markup> {
        self.0 = self.0.checked_sub(part.0.len())?;
        Some(part)
    }
}

/// The page; `path` is where it will stand, so that links to saved files are relative to it.
pub fn html(summary: &Summary, path: &Path) -> Vec<u8> {
    let links = Links::new(&summary.run().results, path);
    let mut budget = Budget(DETAILS);
    let verdict = text::verdict_word(summary.verdict());
    let title = format!("{verdict} · {}", printable(&summary.run().id));
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content="xrt";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (header(summary))
                main {
                    (card::cards(summary, &links, &mut budget))
                    (tree::tree(summary, &links, &mut budget))
                    (chart::across(summary))
                    (warnings(summary))
                }
                footer { "xrt " (printable(&summary.run().version)) " · exit status " (summary.exit().code()) }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    page.into_string().into_bytes()
}

fn header(summary: &Summary) -> Markup {
    let run = summary.run();
    let verdict = summary.verdict();
    let tone = match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::NothingRan => "skipped",
        Verdict::Errored | Verdict::Stopped | Verdict::Incomplete => "errored",
    };
    let took = run.took.and_then(|t| seconds_to_duration(t).ok()).or_else(|| Some(summary.last_at()?.since(run.started?)));
    markup! {
        header class=(tone) {
            h1 { (sign_of_verdict(verdict)) " " (sentence(summary)) }
            p.lead {
                @if let Some(started) = run.started { (started.date()) }
                @if let Some(took) = took { " · " (show_duration(took)) }
                @if !run.targets.is_empty() { " · on " (printable(&run.targets.join(", "))) }
                @if run.workers > 1 { " · " (run.workers) " at a time" }
            }
            dl {
                dt { "run" } dd { (printable(&run.id)) }
                @if !run.command.is_empty() { dt { "command" } dd { code { (printable(&text::shell_line(&run.command))) } } }
            }
            (share(summary))
            @let oddities = summary.oddities();
            @if !oddities.is_empty() {
                div.notice role="note" {
                    "What makes no sense in the event log of this run:"
                    ul { @for oddity in &oddities { li { (printable(oddity)) } } }
                }
            }
        }
    }
}

/// The judgement in words: "2 of 19 testcases failed".
fn sentence(summary: &Summary) -> String {
    let all = count(summary.cases().len(), "testcase");
    let number = |outcome| summary.count(outcome);
    match summary.verdict() {
        Verdict::Passed if number(Outcome::Skipped) > 0 => format!("Passed, {} of {all} skipped", number(Outcome::Skipped)),
        Verdict::Passed => format!("Passed, {all}"),
        Verdict::Failed if number(Outcome::Failed) > 0 => format!("Failed, {} of {all}", number(Outcome::Failed)),
        Verdict::Failed => "Failed".into(),
        Verdict::Errored => format!("Errored, {} of {all}", number(Outcome::Errored) + number(Outcome::Blocked)),
        Verdict::NothingRan => format!("Nothing ran, {all}"),
        Verdict::Stopped => format!("Stopped, {} of {all} without a result", summary.unfinished()),
        Verdict::Incomplete => format!("Incomplete, {} of {all} without a result", summary.unfinished()),
    }
}

fn sign_of_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Failed => "✗",
        Verdict::NothingRan => "–",
        Verdict::Errored | Verdict::Stopped | Verdict::Incomplete => "!",
    }
}

/// How many ended how, as a bar and as buttons that hide them.
fn share(summary: &Summary) -> Markup {
    let outcomes = Outcome::ALL.map(|o| (o.word(), summary.count(o)));
    let all = outcomes.iter().copied().chain([("unfinished", summary.unfinished())]).filter(|(_, number)| *number > 0);
    let all: Vec<(&str, usize)> = all.collect();
    markup! {
        div.share aria-hidden="true" {
            @for (word, number) in &all { i class=(word) style={ "flex:" (number) } {} }
        }
        div.chips role="group" aria-label="Show testcases that" {
            @for (word, number) in &all {
                button type="button" class=(word) value=(word) aria-pressed="true" { b { (number) } " " (word) }
            }
            @if summary.cases().len() > 1 {
                input #find type="search" placeholder="find a testcase" aria-label="find a testcase";
            }
            span #seen .soft role="status" {}
        }
    }
}

fn warnings(summary: &Summary) -> Markup {
    let of_cases = summary.cases().iter().flat_map(|case| case.notes().warnings().map(move |w| (Some(case), w)));
    let all = summary.notes().warnings().map(|w| (None, w)).chain(of_cases);
    let number = summary.warnings();
    markup! {
        @if number > 0 {
            h2 #warnings { "Warnings" small { (number) } }
            div.chart {
                div.scroll { table {
                    @for (case, warning) in all.take(WARNINGS_LISTED) {
                        tr {
                            td.soft { (warning.at.clock()) }
                            td { @if let Some(case) = case { a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } } @else { "the run" } }
                            td { (printable(&warning.text)) }
                        }
                    }
                } }
                @if number > WARNINGS_LISTED { p.soft { "and " (number - WARNINGS_LISTED) " more, in the logs" } }
            }
        }
    }
}

/// What an outcome, or its lack, is called as a class of ours.
fn tone(case: &Case) -> &'static str {
    case.outcome.map_or("unfinished", Outcome::word)
}

/// The sign and the word of a testcase: never colour alone.
fn word(case: &Case) -> String {
    match case.outcome {
        Some(outcome) => outcome_word(outcome),
        None => format!("! {}", if case.started.is_some() { "cut off" } else { "not run" }),
    }
}

fn outcome_word(outcome: Outcome) -> String {
    let sign = match outcome {
        Outcome::Passed => "✓",
        Outcome::Partial => "◐",
        Outcome::Flaky => "≈",
        Outcome::Failed => "✗",
        Outcome::Errored => "!",
        Outcome::Skipped => "–",
        Outcome::Blocked => "⊘",
    };
    format!("{sign} {}", outcome.word())
}

/// The name by which links on the page find a testcase.
fn anchor(case: &Case) -> String {
    format!("case-{:08x}", crate::name::fingerprint(case.id.as_str()))
}
