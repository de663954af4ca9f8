//! The attempts of a testcase that was tried more than once, each with how it ended.

use super::super::entry::seconds;
use super::super::text::printable;
use super::row::{log_of, short};
use super::{Links, card, outcome_word, tone, word};
use crate::event::Outcome;
use crate::report::Case;
use maud::{Markup, html};

pub(super) fn attempts(case: &Case, links: &Links) -> Markup {
    html! {
        h4 { "Attempts" }
        div.scroll { table {
            @for attempt in &case.attempts {
                @let (tone, word) = attempt.outcome.map_or(("unfinished", "! cut off".to_string()), |o| (o.word(), outcome_word(o)));
                tr {
                    td.soft { (attempt.number) }
                    td class=(tone) { span.word { (word) } }
                    td {
                        @match (&attempt.failure, attempt.why()) {
                            (Some(failure), why) => {
                                details { summary { span.more { (short(why.unwrap_or_default())) } } div.frame { (card::failure(failure)) } }
                            }
                            (None, Some(why)) => { (printable(why)) }
                            (None, None) if attempt.outcome.is_none() => { "the run ended in it, and was resumed" }
                            (None, None) => {}
                        }
                    }
                    td.num { (seconds(attempt.took)) }
                    td.soft { @if let Some(log) = links.to(&log_of(&attempt.dir)).filter(|_| attempt.started.is_some()) { a href=(log) { "log" } } }
                }
            }
            @if case.started.is_some() {
                @let is_flaky = case.outcome == Some(Outcome::Flaky);
                @let (tone, word) = if is_flaky { ("passed", outcome_word(Outcome::Passed)) } else { (tone(case), word(case)) };
                tr {
                    td.soft { (case.attempt) }
                    td class=(tone) { span.word { (word) } }
                    td {}
                    td.num { (seconds(case.took)) }
                    td.soft { @if let Some(log) = links.to(&log_of(&case.dir)) { a href=(log) { "log" } } }
                }
            }
        } }
    }
}
