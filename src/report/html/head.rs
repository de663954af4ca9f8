//! The head of the page: the judgement, what was run, and how many testcases ended how.

use super::super::ending::percentage;
use super::super::text::{count, printable, shell_line};
use crate::event::{Outcome, Rate, Verdict};
use crate::report::Summary;
use crate::unit::{seconds_to_duration, show_duration};
use maud::{Markup, html};

pub(super) fn header(summary: &Summary) -> Markup {
    let run = summary.run();
    let verdict = summary.verdict();
    let tone = match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::NothingRan => "skipped",
        Verdict::Errored | Verdict::Stopped | Verdict::Incomplete => "errored",
    };
    let took = run.took.and_then(|t| seconds_to_duration(t).ok()).or_else(|| Some(run.ran_until(summary.last_at()?)));
    html! {
        header class=(tone) {
            h1 { (sign_of_verdict(verdict)) " " (sentence(summary)) }
            p.lead {
                @if let Some(started) = run.started { (started.date()) }
                @if let Some(took) = took { " · " (show_duration(took)) }
                @if !run.targets.is_empty() { " · on " (printable(&run.targets.join(", "))) }
                @if run.workers > 1 { " · " (run.workers) " at a time" }
                @for (_, resumed) in &run.pauses { " · resumed " (resumed.date()) }
            }
            dl {
                dt { "run" } dd { (printable(&run.id)) }
                @if let Some(sequence) = &run.sequence { dt { "sequence" } dd { (printable(sequence)) } }
                @if let Some(seed) = run.seed { dt { "order" } dd { "shuffled with " code { (seed) } } }
                @if !run.command.is_empty() { dt { "command" } dd { code { (printable(&shell_line(&run.command))) } } }
            }
            (verdicts(summary))
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
    let all = count(summary.tests(), "testcase");
    let number = |outcome| summary.count(outcome);
    let of = |word: &str, number: usize| if number > 0 { format!("{word}, {number} of {all}") } else { word.to_string() };
    let bad = number(Outcome::Failed) + number(Outcome::Errored);
    match summary.verdict() {
        Verdict::Passed if bad > 0 => format!("Passed by its criteria, {bad} of {all} did not"),
        Verdict::Passed if number(Outcome::Skipped) > 0 => format!("Passed, {} of {all} skipped", number(Outcome::Skipped)),
        Verdict::Passed => format!("Passed, {all}"),
        Verdict::Failed => of("Failed", number(Outcome::Failed)),
        Verdict::Errored => of("Errored", number(Outcome::Errored) + number(Outcome::Blocked)),
        Verdict::NothingRan => format!("Nothing ran, {all}"),
        Verdict::Stopped | Verdict::Incomplete => {
            let word = if summary.verdict() == Verdict::Stopped { "Stopped" } else { "Incomplete" };
            match summary.unfinished() {
                0 => word.to_string(),
                unfinished => format!("{word}, {unfinished} of {all} without a result"),
            }
        }
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
    html! {
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

/// The two verdicts of a sequence, and the rates of its priorities.
fn verdicts(summary: &Summary) -> Markup {
    let run = summary.run();
    let judged = summary.judgement();
    let says_more = judged.rates.len() > 1 || judged.rates.keys().any(|p| *p != 1) || !run.criteria.rates.is_empty();
    let verdict = |name: &str, passed: bool, about: &str| {
        html! {
            div.verdict .(if passed { "passed" } else { "failed" }) title=(about) {
                span { (name) } b.word { (if passed { "✓ pass" } else { "✗ fail" }) }
            }
        }
    };
    html! {
        @if run.sequence.is_some() || says_more {
            div.verdicts {
                @if run.sequence.is_some() {
                    (verdict("Sequence", judged.sequence, "of each priority, enough testcases passed"))
                    (verdict("Regression", judged.regression, "no testcase failed or errored"))
                }
                @if says_more { @for (priority, rate) in &judged.rates { (self::rate(*priority, *rate, run.criteria.wanted(*priority))) } }
            }
        }
    }
}

fn rate(priority: u32, rate: Rate, wanted: f64) -> Markup {
    let percent = rate.percent();
    html! {
        div.verdict .(if percent >= wanted { "passed" } else { "failed" }) title={ (wanted) "% wanted" } {
            span { "Priority " (priority) }
            b.word { (percentage(percent)) }
            span.gauge { i style={ "width:" (format!("{percent:.2}")) "%" } {} @if wanted < 100.0 { u style={ "left:" (format!("{wanted:.2}")) "%" } {} } }
            small { (rate.passed) " of " (rate.tests) @if wanted < 100.0 { ", " (percentage(wanted)) " wanted" } }
        }
    }
}
