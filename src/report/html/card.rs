//! What a person should look at first: each failure with its source, values, calls, and the next step.

use super::super::card::{excerpt, unbroken};
use super::super::entry::seconds;
use super::super::rerun;
use super::super::text::{printable, shell_line};
use super::{Budget, Links, anchor, outcome_word, tone, word};
use crate::error::Blame;
use crate::event::{ActionEnd, Call, Failure, Frame, Outcome};
use crate::report::{Case, Subcase, Summary};
use maud::{Markup, html};

/// How many testcases get a card, and how many of the cards are not folded away.
const CARDS: usize = 300;
const UNFOLDED: usize = 10;

pub(super) fn cards(summary: &Summary, links: &Links, budget: &mut Budget) -> Markup {
    let all: Vec<&Case> = summary.not_passed().collect();
    let shown: Vec<Markup> = all.iter().take(CARDS).map_while(|case| budget.take(card(case, summary, links))).collect();
    html! {
        @if !all.is_empty() {
            h2 { "To look at" small { (all.len()) } }
            @for card in shown.iter().take(UNFOLDED) { (card) }
            @if shown.len() > UNFOLDED {
                details.fold {
                    summary { span.more { (shown.len() - UNFOLDED) " more" } }
                    @for card in &shown[UNFOLDED..] { (card) }
                }
            }
            @if shown.len() < all.len() { p.soft { (all.len() - shown.len()) " more have no card here: see their logs below." } }
        }
    }
}

fn card(case: &Case, summary: &Summary, links: &Links) -> Markup {
    let bad: Vec<&Subcase> = case.notes().subcases.iter().filter(|s| s.outcome.is_bad()).collect();
    html! {
        article class={ "card " (tone(case)) } {
            h3 { span.word { (word(case)) } a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } }
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

fn failure(failure: &Failure) -> Markup {
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
