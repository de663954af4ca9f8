//! What ran when, and beside what: a row for each thing that ran at a time, the time from left to right.

use super::super::entry::seconds;
use super::super::text::{count, cut_end, printable};
use super::axis::Axis;
use super::{anchor, outcome_word, tone, word};
use crate::event::Outcome;
use crate::report::{Attempt, Case, Step, Summary};
use crate::time::Timestamp;
use maud::{Markup, html};
use std::collections::HashMap;

/// How many bars there are at most. Of more, those that are too narrow to be seen are drawn as one.
const BARS: usize = 6000;
/// The narrowest bar, in percent of the width; what is shorter is drawn so wide.
const NARROWEST: f64 = 0.15;
/// Up to here a bar has no border, of which nothing else would be seen.
const THIN: f64 = 0.5;
/// From here on a bar has its name in it, in percent.
const NAMED: f64 = 2.5;
/// How many rows of groups there are above the rows of testcases, and how many groups.
const GROUP_ROWS: usize = 3;
const GROUPS: usize = 300;
/// What is in a row begins when the one before has ended, give or take so many seconds.
const OVERLAP: f64 = 0.002;

/// An attempt of a testcase, or several that are too short to be told apart.
struct Bar<'a> {
    lane: usize,
    from: f64,
    to: f64,
    tone: &'static str,
    what: What<'a>,
}

enum What<'a> {
    One {
        case: &'a Case,
        title: String,
    },
    /// How many.
    Several(usize),
}

/// Nothing when no testcase has begun.
pub(super) fn timeline(summary: &Summary) -> Markup {
    let Some(axis) = Axis::of(summary) else { return html! {} };
    let (bars, lanes) = laid_out(bars(summary, &axis), axis.width(OVERLAP));
    if bars.is_empty() {
        return html! {};
    }
    let groups = groups(summary, &axis);
    let group_rows = groups.iter().map(|(row, ..)| row + 1).max().unwrap_or(0);
    // Many rows are low ones, without names.
    let (pitch, is_named) = match lanes {
        0..=12 => (22, true),
        13..=40 => (15, true),
        _ => (7, false),
    };
    let top = 22 + group_rows * 20;
    let height = top + lanes * pitch + 4;
    let marks = axis.marks();
    html! {
        h2 #timeline { "Timeline" small { (count(lanes, "row")) ", " (count(summary.tests(), "testcase")) } }
        div.chart { div.lanes tabindex="0" {
            svg.gutter height=(height) width="30" aria-hidden="true" {
                @if is_named { @for lane in 0..lanes { text x="22" y=(top + lane * pitch + pitch / 2) { (lane + 1) } } }
            }
            svg.plot height=(height) role="group" aria-label="what ran when" {
                @for (place, word) in &marks {
                    text.tick x=(percent(*place)) y="10" text-anchor=(anchored(*place)) { (word) }
                    line.mark x1=(percent(*place)) x2=(percent(*place)) y1="18" y2=(height) {}
                }
                @for (place, width, lasted) in axis.pauses() {
                    rect.pause x=(percent(place)) width=(percent(width)) y="18" height=(height - 18) {
                        title { "nothing ran for " (seconds(lasted)) ", then the run was resumed" }
                    }
                }
                @for (row, from, to, step) in &groups { (group(*row, *from, *to, step)) }
                @for bar in merged(bars) { (draw(&bar, top + bar.lane * pitch, pitch, is_named)) }
            }
        } }
    }
}

fn bars<'a>(summary: &'a Summary, axis: &Axis) -> Vec<Bar<'a>> {
    let end = summary.last_at();
    let mut bars = Vec::new();
    for case in summary.cases() {
        let bar = |lane: u32, started: Timestamp, ended: Timestamp, tone, title| {
            let (from, to) = (axis.at(started), axis.at(ended));
            Bar { lane: lane as usize, from, to: to.max(from), tone, what: What::One { case, title } }
        };
        for attempt in &case.attempts {
            if let Some(started) = attempt.started {
                bars.push(bar(attempt.lane, started, attempt.ended, tone_of(attempt), title_of_attempt(case, attempt)));
            }
        }
        if let (Some(started), Some(ended)) = (case.started, case.ended.or(end)) {
            let title = format!("{}  {}, {}", case.id, word(case), time(started, case.took_until(end)));
            bars.push(bar(case.lane, started, ended, tone(case), title));
        }
    }
    bars
}

fn tone_of(attempt: &Attempt) -> &'static str {
    attempt.outcome.map_or("unfinished", Outcome::word)
}

fn title_of_attempt(case: &Case, attempt: &Attempt) -> String {
    let end = attempt.outcome.map_or("! cut off".to_string(), outcome_word);
    let time = attempt.started.map(|started| time(started, attempt.took)).unwrap_or_default();
    format!("{}  attempt {}: {end}, {time}", case.id, attempt.number)
}

fn time(started: Timestamp, took: f64) -> String {
    format!("{} from {}", seconds(took), started.clock())
}

/// Puts the bars into rows. Where a log has no rows of its own (all in one, over each other) the first free row is taken.
fn laid_out<'a>(mut bars: Vec<Bar<'a>>, overlap: f64) -> (Vec<Bar<'a>>, usize) {
    bars.sort_by(|a, b| a.from.total_cmp(&b.from));
    let mut ends: HashMap<usize, f64> = HashMap::new();
    let overlaps = bars.iter().any(|bar| {
        let before = ends.insert(bar.lane, bar.to);
        before.is_some_and(|before| bar.from < before - overlap)
    });
    // A row of its own for each lane that is used; a log may name any number.
    let mut used: Vec<usize> = bars.iter().map(|b| b.lane).collect();
    used.sort_unstable();
    used.dedup();
    if !overlaps {
        for bar in &mut bars {
            bar.lane = used.binary_search(&bar.lane).unwrap_or(0);
        }
        return (bars, used.len());
    }
    let mut rows: Vec<f64> = Vec::new();
    for bar in &mut bars {
        bar.lane = rows.iter().position(|end| *end <= bar.from + 1e-9).unwrap_or(rows.len());
        if bar.lane == rows.len() {
            rows.push(0.0);
        }
        rows[bar.lane] = bar.to;
    }
    (bars, rows.len())
}

/// As many bars as can be drawn: short neighbours of one outcome become one, the coarser the more there are.
fn merged(bars: Vec<Bar>) -> Vec<Bar> {
    let mut shown = bars;
    let mut grain = 0.05;
    while shown.len() > BARS && grain < 200.0 {
        let mut kept: Vec<Bar> = Vec::with_capacity(shown.len());
        let mut last: HashMap<usize, usize> = HashMap::new();
        for bar in shown {
            if let Some(before) = last.get(&bar.lane).and_then(|at| kept.get_mut(*at))
                && before.tone == bar.tone
                && bar.to - before.from <= grain
            {
                before.what = What::Several(before.what.number() + bar.what.number());
                before.to = before.to.max(bar.to);
                continue;
            }
            last.insert(bar.lane, kept.len());
            kept.push(bar);
        }
        shown = kept;
        grain *= 2.0;
    }
    // What passed lies below what did not, however narrow that is.
    shown.sort_by_key(|bar| bar.tone != Outcome::Passed.word());
    shown
}

impl What<'_> {
    fn number(&self) -> usize {
        match self {
            What::One { .. } => 1,
            What::Several(number) => *number,
        }
    }
}

fn draw(bar: &Bar, y: usize, pitch: usize, is_named: bool) -> Markup {
    let from = bar.from.min(100.0 - NARROWEST);
    let width = (bar.to - from).max(NARROWEST);
    let height = pitch - if pitch > 10 { 4 } else { 1 };
    let rect = |title: &str| {
        html! {
            rect.(bar.tone).thin[width < THIN] x=(percent(from)) y=(y) width=(percent(width)) height=(height) { title { (printable(title)) } }
        }
    };
    match &bar.what {
        What::Several(number) => rect(&format!("{} {}", count(*number, "testcase"), bar.tone)),
        What::One { case, title } => html! {
            a href={ "#" (anchor(case)) } tabindex="-1" {
                (rect(title))
                @if is_named && width >= NAMED {
                    // A picture of its own cuts the name off at the end of the bar.
                    svg x=(percent(from)) y=(y) width=(percent(width)) height=(height) {
                        text.on .(bar.tone) x="5" y=(height / 2) { (sign(bar.tone)) (cut_end(&printable(case.id.name()), 80)) }
                    }
                }
            }
        },
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

/// Marks at the ends of the axis must not stand out of it.
fn anchored(place: f64) -> &'static str {
    match place {
        ..3.0 => "start",
        97.0.. => "end",
        _ => "middle",
    }
}

/// What stands before a name, but for what passed.
fn sign(tone: &str) -> &'static str {
    match Outcome::from_word(tone) {
        Some(Outcome::Passed) => "",
        Some(Outcome::Partial) => "◐ ",
        Some(Outcome::Flaky) => "≈ ",
        Some(Outcome::Failed) => "✗ ",
        Some(Outcome::Skipped) => "– ",
        Some(Outcome::Blocked) => "⊘ ",
        Some(Outcome::Errored) | None => "! ",
    }
}

/// The groups that have begun, each in the first row where it fits; what has no name is not shown.
fn groups<'a>(summary: &'a Summary, axis: &Axis) -> Vec<(usize, f64, f64, &'a Step)> {
    let mut rows = [f64::NEG_INFINITY; GROUP_ROWS];
    let mut placed = Vec::new();
    for step in summary.steps().iter().filter(|s| !s.label.is_empty()) {
        let (Some(started), Some(ended)) = (step.started, step.ended.or(summary.last_at())) else { continue };
        let (from, to) = (axis.at(started), axis.at(ended));
        if let Some(row) = rows.iter().position(|end| *end <= from + 1e-9)
            && placed.len() < GROUPS
        {
            rows[row] = to;
            placed.push((row, from, to, step));
        }
    }
    placed
}

fn group(row: usize, from: f64, to: f64, step: &Step) -> Markup {
    let (x, y, width) = (percent(from), 22 + row * 20, percent((to - from).max(NARROWEST)));
    let took = if step.ended.is_some() { format!(", {}", seconds(step.took)) } else { String::new() };
    html! {
        svg x=(x) y=(y) width=(width) height="16" {
            rect.span width="100%" height="16" rx="3" { title { (printable(&step.name())) (took) } }
            @if to - from >= NAMED { text.on x="6" y="8" { (cut_end(&printable(&step.label), 80)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(lane: usize, from: f64, to: f64, tone: &'static str) -> Bar<'static> {
        Bar { lane, from, to, tone, what: What::Several(1) }
    }

    fn lanes(bars: &[(usize, f64, f64)]) -> (Vec<usize>, usize) {
        let (bars, rows) = laid_out(bars.iter().map(|(lane, from, to)| bar(*lane, *from, *to, "passed")).collect(), 0.01);
        (bars.iter().map(|b| b.lane).collect(), rows)
    }

    #[test]
    fn rows_are_those_of_the_log_unless_it_has_none() {
        for (bars, expected) in [
            (&[(0, 0.0, 10.0), (1, 0.0, 20.0), (0, 10.0, 30.0)][..], (vec![0, 1, 0], 2)),
            (&[(0, 0.0, 10.0), (0, 9.995, 30.0)], (vec![0, 0], 1)),
            // An old log names no rows: all are 0.
            (&[(0, 0.0, 10.0), (0, 5.0, 20.0), (0, 10.0, 30.0)], (vec![0, 1, 0], 2)),
            (&[(7, 0.0, 10.0), (4_000_000_000, 5.0, 20.0)], (vec![0, 1], 2)),
        ] {
            assert_eq!(lanes(bars), expected, "{bars:?}");
        }
    }

    #[test]
    fn of_very_many_bars_none_is_lost_and_a_failure_is_never_hidden() {
        let tone = |n: usize| if n.is_multiple_of(5000) { "failed" } else { "passed" };
        let bars: Vec<Bar> = (0..100_000).map(|n| bar(n % 40, n as f64 / 1000.0, n as f64 / 1000.0 + 0.03, tone(n))).collect();
        let shown = merged(bars);
        assert!(shown.len() <= BARS, "{}", shown.len());
        assert_eq!(shown.iter().map(|b| b.what.number()).sum::<usize>(), 100_000);
        let failed: usize = shown.iter().filter(|b| b.tone == "failed").map(|b| b.what.number()).sum();
        assert_eq!(failed, 20);
        assert!(shown.iter().skip_while(|b| b.tone == "passed").all(|b| b.tone == "failed"), "drawn above what passed");
    }
}
