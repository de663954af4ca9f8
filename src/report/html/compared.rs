//! Measured values beside earlier ones: what became worse first.

use super::super::text::printable;
use super::anchor;
use crate::event::{Change, Comparison};
use crate::report::{Case, Notes, Summary};
use crate::unit::show_number;
use maud::{Markup, html};

/// How many are listed.
const LISTED: usize = 300;

pub(super) fn of_case(notes: &Notes) -> Markup {
    html! {
        @if !notes.comparisons.is_empty() {
            h4 { "Compared" }
            div.scroll { table { @for comparison in &notes.comparisons { tr { (cells(comparison)) } } } }
        }
    }
}

pub(super) fn all(summary: &Summary) -> Markup {
    let mut all: Vec<(&Case, &Comparison)> =
        summary.cases().iter().flat_map(|case| case.notes().comparisons.iter().map(move |c| (case, c))).collect();
    all.sort_by_key(|(_, comparison)| match comparison.change {
        Change::Worse => 0,
        Change::Better => 1,
        Change::Same => 2,
    });
    let of = |change| all.iter().filter(|(_, c)| c.change == change).count();
    html! {
        @if !all.is_empty() {
            h2 #compared {
                "Values compared"
                small { (of(Change::Worse)) " worse, " (of(Change::Better)) " better, " (of(Change::Same)) " the same" }
            }
            div.chart {
                div.scroll { table {
                    @for (case, comparison) in all.iter().take(LISTED) {
                        tr { td { a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } } (cells(comparison)) }
                    }
                } }
                @if all.len() > LISTED { p.soft { "and " (all.len() - LISTED) " more" } }
            }
        }
    }
}

fn cells(comparison: &Comparison) -> Markup {
    let (tone, word) = match comparison.change {
        Change::Worse => ("failed", "▼ worse"),
        Change::Better => ("passed", "▲ better"),
        Change::Same => ("soft", "= the same"),
    };
    let percent = (comparison.now - comparison.before) / comparison.before.abs() * 100.0;
    html! {
        td { (printable(&comparison.name)) }
        td class=(tone) { span.word { (word) } }
        td.num { (show_number(comparison.before)) " → " b { (show_number(comparison.now)) } " " (printable(&comparison.unit)) }
        td.num { @if percent.is_finite() { (format!("{percent:+.1}%")) } }
        td.soft.wide { (printable(&comparison.text)) br; small { "against " (printable(&comparison.against)) } }
    }
}
