//! What a person should look at first: each failure with its source, values, calls, and the next step.

use super::super::bunch::{Alike, NAMED};
use super::super::card::{excerpt, unbroken};
use super::super::entry::seconds;
use super::super::rerun;
use super::super::text::{count, printable, shell_line};
use super::{Budget, Links, anchor, outcome_word, tone, word};
use crate::error::Blame;
use crate::event::{ActionEnd, Call, Failure, Frame, Outcome};
use crate::report::{Case, Subcase, Summary};
use maud::{Markup, html};
use std::collections::HashMap;

/// How many testcases get a card, and how many of the cards are not folded away.
const CARDS: usize = 300;
const UNFOLDED: usize = 10;
/// How many are named in the card of many.
const BUNCH: usize = 500;

pub(super) fn cards(summary: &Summary, links: &Links, budget: &mut Budget) -> Markup {
    let mut all: Vec<&Case> = summary.not_passed().collect();
    // What does not count comes last.
    all.sort_by_key(|case| case.is_cleanup());
    let bunches = bunches(&all);
    let is_first = |case: &Case| bunch_of(case, &bunches).is_none_or(|bunch| bunch[0].id == case.id);
    let listed: Vec<&Case> = all.iter().copied().filter(|case| is_first(case)).collect();
    let one = |case: &&Case| match bunch_of(case, &bunches) {
        Some(bunch) => bunch_card(bunch),
        None => card(case, summary, links),
    };
    let shown: Vec<Markup> = listed.iter().take(CARDS).map_while(|case| budget.take(one(case))).collect();
    html! {
        @if !all.is_empty() {
            h2 #look { "To look at" small { (all.len()) } }
            @for card in shown.iter().take(UNFOLDED) { (card) }
            @if shown.len() > UNFOLDED {
                details.fold {
                    summary { span.more { (shown.len() - UNFOLDED) " more" } }
                    @for card in &shown[UNFOLDED..] { (card) }
                }
            }
            @if shown.len() < listed.len() { p.soft { (listed.len() - shown.len()) " more have no card here: see their logs below." } }
        }
        (notable(summary))
    }
}

/// Those that were not even begun, by what they have in common: many of a sort are one card.
fn bunches<'a>(all: &[&'a Case]) -> HashMap<Alike, Vec<&'a Case>> {
    let mut bunches: HashMap<Alike, Vec<&Case>> = HashMap::new();
    for case in all.iter().filter(|c| !c.has_begun()) {
        bunches.entry(Alike::of(case)).or_default().push(case);
    }
    bunches.retain(|_, cases| cases.len() > NAMED);
    bunches
}

fn bunch_of<'a, 'b>(case: &Case, bunches: &'b HashMap<Alike, Vec<&'a Case>>) -> Option<&'b Vec<&'a Case>> {
    if case.has_begun() { None } else { bunches.get(&Alike::of(case)) }
}

fn bunch_card(bunch: &[&Case]) -> Markup {
    let case = bunch[0];
    html! {
        article class={ "card " (tone(case)) } {
            h3 { span.word { (word(case)) } (count(bunch.len(), case.role.word())) }
            @match case.why() {
                Some(why) => { p.said { (printable(why)) } }
                None => { p.said { "None of them was ever started." } }
            }
            details.fold {
                summary { span.more { "which" } }
                ul.args { @for case in bunch.iter().take(BUNCH) { li { a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } } } }
                @if bunch.len() > BUNCH { p.soft { "and " (bunch.len() - BUNCH) " more" } }
            }
        }
    }
}

/// What passed and is to be known all the same.
fn notable(summary: &Summary) -> Markup {
    let is_notable = |c: &&Case| matches!(c.outcome, Some(Outcome::Flaky | Outcome::Partial));
    let all: Vec<&Case> = summary.cases().iter().filter(is_notable).collect();
    html! {
        @if !all.is_empty() {
            h2 #notable { "Passed, but" small { (all.len()) } }
            div.chart { div.scroll { table {
                @for case in all.iter().take(CARDS) {
                    tr {
                        td.soft.(tone(case)) { span.word { (word(case)) } }
                        td.soft { a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } }
                        td { (printable(case.why().unwrap_or_default())) }
                    }
                }
            } } @if all.len() > CARDS { p.soft { "and " (all.len() - CARDS) " more" } } }
        }
    }
}

fn card(case: &Case, summary: &Summary, links: &Links) -> Markup {
    let bad: Vec<&Subcase> = case.notes().subcases.iter().filter(|s| s.outcome.is_bad()).collect();
    html! {
        article class={ "card " (tone(case)) } {
            h3 { span.word { (word(case)) } a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } @if !case.is_test() { span.tag { (case.role.word()) } } }
            @match (&case.failure, case.why()) {
                (Some(failure), _) => { (self::failure(failure)) }
                (None, Some(why)) => { p.said { (printable(why)) } }
                (None, None) => { (stands(case)) }
            }
            @for subcase in bad {
                div class={ "frame " (subcase.outcome.word()) } {
                    h3 { span.word { (outcome_word(subcase.outcome)) } (printable(&subcase.full_name())) }
                    @match (&subcase.failure, subcase.why()) {
                        (Some(failure), _) => { (self::failure(failure)) }
                        (None, why) => { p.said { (printable(why.unwrap_or_default())) } }
                    }
                }
            }
            dl.next {
                @if let Some(help) = case.failure.as_ref().and_then(|f| f.help.as_ref()) { dt { "help" } dd { (printable(help)) } }
                @if case.started.is_some() && let Some(log) = links.to(&case.dir.join("xenrt.log")) {
                    dt { "log" } dd { a href=(log) { "xenrt.log" } }
                }
                @let again = rerun::of_case(case, summary.run());
                @if !again.is_empty() { dt { "again" } dd { code { (printable(&shell_line(&again))) } } }
            }
        }
    }
}

/// Where a testcase without a result stood when the run ended.
fn stands(case: &Case) -> Markup {
    html! {
        p.said {
            @match (case.started, case.phase) {
                (None, _) if case.has_begun() => { "It was to be tried again, and never was." }
                (None, _) => { @if case.outcome.is_none() { "It was never started." } }
                (Some(started), phase) => {
                    "It began at " (started.clock())
                    @if let Some(phase) = phase { ", was in " (phase.word()) }
                    " and never finished."
                }
            }
        }
        @for action in &case.notes().actions {
            p.blame {
                "At the end it was busy"
                @if let Some(machine) = &action.machine { " on " (printable(machine)) }
                ", since " (action.since.clock()) ": " code { (printable(&action.what)) }
                @if let Some(progress) = &action.progress { " (" (printable(&progress.text)) ")" }
            }
        }
    }
}

pub(super) fn failure(failure: &Failure) -> Markup {
    let whose = match failure.blame {
        Blame::Product => "the product",
        Blame::Lab => "the lab",
        Blame::Author => "the testcase",
        Blame::User => "a person",
        Blame::Us => "the harness itself",
    };
    html! {
        p.said { (printable(&failure.message)) }
        p.blame { (failure.kind.word().replace('_', " ")) ", blamed on " (whose) }
        @for (depth, frame) in failure.frames.iter().enumerate() { (self::frame(depth, frame)) }
        @if let Some(data) = failure.data.as_deref().filter(|d| !d.trim().is_empty()) { pre.data { (printable(data)) } }
        @for cause in &failure.causes { p.cause { "because: " (printable(cause)) } }
        @if !failure.calls.is_empty() { (calls(&failure.calls)) }
    }
}

fn frame(depth: usize, frame: &Frame) -> Markup {
    html! {
        div.frame {
            p {
                @if depth > 0 { "called from " }
                code { (printable(&frame.place.to_string())) }
                @if !frame.function.is_empty() { " in " code { (printable(&frame.function)) } }
            }
            @if let Some(lines) = unbroken(&frame.lines, frame.place.line) {
                pre.source tabindex="0" {
                    @for line in lines {
                        @let is_at = line.number == frame.place.line;
                        @let (shown, mark) = excerpt(&line.text, if is_at { frame.place.column.max(1) } else { 1 }, is_at && frame.place.column > 0);
                        span data-n=(line.number) .at[is_at] {
                            @if is_at { (shown[..mark.start]) mark { (shown[mark.clone()]) } (shown[mark.end..]) } @else { (shown) }
                        }
                    }
                }
            }
            @if !frame.locals.is_empty() {
                dl.locals { @for local in &frame.locals { dt { (printable(&local.name)) } dd { (printable(&local.value)) } } }
            }
        }
    }
}

fn calls(calls: &[Call]) -> Markup {
    html! {
        h4 { "Last calls to machines" }
        div.scroll { table {
            @for call in calls {
                @let (tone, end) = match &call.end {
                    ActionEnd::Ok(said) if said.is_empty() => (None, "ok"),
                    ActionEnd::Ok(said) => (None, said.as_str()),
                    ActionEnd::Failed(why) => (Some(Outcome::Failed.word()), why.as_str()),
                };
                tr {
                    td.soft { (call.at.fine_clock()) }
                    td { (printable(&call.machine)) }
                    td { code { (printable(&call.what)) } }
                    td.num { (seconds(call.took)) }
                    td class=[tone] { @if tone.is_some() { span.word { "✗ " } } (printable(end)) }
                }
            }
        } }
    }
}
