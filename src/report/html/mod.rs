//! The HTML report: one page that needs nothing else, for a person who was not there.
//!
//! Never true here: that text from outside stands unescaped (maud escapes; only our own style and script are taken as they are),
//! that a link leads out of the results, that the page grows with the number of testcases without a bound ([`Budget`]).
//!
//! To add a part: a function that gives `Markup`, and its place in [`write`].

mod attempt;
mod axis;
mod card;
mod chart;
mod compared;
mod head;
mod link;
mod row;
mod timeline;
mod tree;

use super::reports::{Opening, Report, Written};
use super::text::{self, printable};
use super::{Case, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::Outcome;
use link::Links;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use std::io::{Result as Io, Write};
use std::path::Path;

/// How much of the page the details of testcases may take, in bytes.
const DETAILS: usize = 5 << 20;
/// How many warnings are listed.
const WARNINGS_LISTED: usize = 200;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("html", path, opening, |summary, path, out| write(summary, path, out).at("write it"))))
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
    let mut page = Vec::new();
    // Memory can always be written to.
    let _ = write(summary, path, &mut page);
    page
}

/// Writes the page part by part, and the tree row by row: it is never in memory as a whole.
fn write(summary: &Summary, path: &Path, out: &mut dyn Write) -> Io<()> {
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
                (head::header(summary))
                main { (HERE) }
                footer { "xrt " (printable(&summary.run().version)) " · exit status " (summary.exit().code()) }
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    around(&page, out, |out| {
        put(&timeline::timeline(summary), out)?;
        put(&card::cards(summary, &links, &mut budget), out)?;
        tree::tree(summary, &links, &mut budget, out)?;
        put(&compared::all(summary), out)?;
        put(&chart::across(summary), out)?;
        put(&warnings(summary), out)
    })
}

/// Where in a frame its inside goes. Text from outside is escaped, so none of it is taken for this.
const HERE: PreEscaped<&str> = PreEscaped("<!--here-->");

fn put(part: &Markup, out: &mut dyn Write) -> Io<()> {
    out.write_all(part.0.as_bytes())
}

/// Writes a frame, with what `inside` writes in the place of [`HERE`].
fn around(frame: &Markup, out: &mut dyn Write, inside: impl FnOnce(&mut dyn Write) -> Io<()>) -> Io<()> {
    let (head, tail) = frame.0.split_once(HERE.0).unwrap_or((&frame.0, ""));
    out.write_all(head.as_bytes())?;
    inside(out)?;
    out.write_all(tail.as_bytes())
}

fn warnings<'a>(summary: &'a Summary) -> Markup {
    let of_case = |case: &'a Case| case.all_notes().flat_map(|notes| notes.warnings()).map(move |w| (Some(case), w));
    let of_cases = summary.cases().iter().flat_map(of_case);
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
        None => format!("! {}", if case.has_begun() { "cut off" } else { "not run" }),
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
