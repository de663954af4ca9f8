//! A summary as Markdown, for the page of a CI job (`$GITHUB_STEP_SUMMARY`) or a mail: the verdict, the counts, what did not pass and
//! why, what was flaky, and the measured values. Short whatever the run: tables have a bound, and so has the whole.

use super::card::{Card, failure_card};
use super::lines::Options;
use super::reports::{Opening, Report, Written};
use super::text::{clean, count, cut_end, printable, run_reason, unfinished_word, verdict_word, word};
use super::{Case, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Better, Change, Outcome, Role, Verdict};
use crate::unit::{seconds_to_duration, show_duration, show_number};
use std::fmt::Write as _;
use std::path::Path;

/// How many rows a table has.
const ROWS: usize = 200;
/// How many failures are shown whole, and how much of each, in bytes.
const CARDS: usize = 10;
const LONGEST_CARD: usize = 16 * 1024;
/// How wide a cell is, in columns.
const WIDEST: usize = 300;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("markdown", path, opening, |summary, _, out| {
        out.write_all(markdown(summary).as_bytes()).at("write it")
    })))
}

fn markdown(summary: &Summary) -> String {
    let mut out = String::new();
    head(&mut out, summary);
    not_passed(&mut out, summary);
    remarkable(&mut out, summary);
    metrics(&mut out, summary);
    cards(&mut out, summary);
    out
}

fn head(out: &mut String, summary: &Summary) {
    let run = summary.run();
    let verdict = summary.verdict();
    let sign = match verdict {
        Verdict::Passed => "✅",
        Verdict::Failed => "❌",
        Verdict::NothingRan => "⚪",
        Verdict::Errored | Verdict::Stopped | Verdict::Incomplete => "⚠️",
    };
    let what = run.sequence.as_ref().map(|name| format!("{}: ", inline(name))).unwrap_or_default();
    let took = run.took.and_then(|t| seconds_to_duration(t).ok()).map(|t| format!(" in {}", show_duration(t))).unwrap_or_default();
    let _ = writeln!(out, "## {sign} {what}{} – {}{took}\n", verdict_word(verdict), count(summary.tests(), "testcase"));
    let counts: Vec<(&str, usize)> =
        Outcome::ALL.into_iter().map(|o| (o.word(), summary.count(o))).filter(|(_, n)| *n > 0).collect();
    let unfinished = Some(("without a result", summary.unfinished())).filter(|(_, n)| *n > 0);
    let counts: Vec<_> = counts.into_iter().chain(unfinished).collect();
    if !counts.is_empty() {
        row(out, counts.iter().map(|(name, _)| (*name).to_string()));
        row(out, counts.iter().map(|_| "---:".to_string()));
        row(out, counts.iter().map(|(_, n)| n.to_string()));
        out.push('\n');
    }
    if !run.id.is_empty() {
        let on = if run.targets.is_empty() { String::new() } else { format!(" on {}", code(&run.targets.join(", "))) };
        let _ = writeln!(
            out,
            "Run {} by xrt {}{on}. Results: {}\n",
            code(&run.id),
            inline(&run.version),
            code(&run.results.display().to_string())
        );
    }
    if run.sequence.is_some() {
        let judged = summary.judgement();
        let say = |passed| if passed { "passed" } else { "failed" };
        let rates = judged.rates.iter().map(|(priority, rate)| format!(", P{priority} {:.1} %", rate.percent()));
        let _ = writeln!(
            out,
            "Sequence {}, regression {}{}\n",
            say(judged.sequence),
            say(judged.regression),
            rates.collect::<String>()
        );
    }
    if matches!(verdict, Verdict::Stopped | Verdict::Incomplete) {
        let _ = writeln!(out, "**Note: {}.**\n", run_reason(verdict));
    }
}

fn not_passed(out: &mut String, summary: &Summary) {
    let bad: Vec<&Case> = summary.not_passed().collect();
    table(out, "Not passed", &["", "what", "why", "where"], &bad, |case| {
        let place = case.places().next().map(ToString::to_string);
        let why = case.why().map_or_else(|| inline(run_reason(summary.verdict())), inline);
        [state(case).into(), whole(case), why, place.map(|p| code(&p)).unwrap_or_default()]
    });
}

/// What passed, and should be looked at all the same.
fn remarkable(out: &mut String, summary: &Summary) {
    let cases: Vec<&Case> = summary.cases().iter().filter(|case| case.is_notable()).collect();
    table(out, "Passed, but", &["", "what", "why"], &cases, |case| {
        [state(case).into(), whole(case), inline(case.why().unwrap_or_default())]
    });
}

fn metrics(out: &mut String, summary: &Summary) {
    let compared: Vec<_> = summary.cases().iter().flat_map(|c| c.notes().comparisons.iter().map(move |m| (c, m))).collect();
    table(out, "Compared", &["", "what", "metric", "numbers"], &compared, |(case, found)| {
        let sign = match found.change {
            Change::Better => "better",
            Change::Same => "same",
            Change::Worse => "**worse**",
        };
        [sign.into(), code(case.id.as_str()), code(&found.name), inline(&found.text)]
    });
    let measured: Vec<_> = summary.cases().iter().flat_map(|c| c.notes().metrics.iter().map(move |m| (c, m))).collect();
    table(out, "Measured", &["what", "metric", "value", "better"], &measured, |(case, metric)| {
        let value = format!("{} {}", show_number(metric.value), metric.unit);
        let better = metric.better.map_or("", |b| if b == Better::Higher { "more" } else { "less" });
        [code(case.id.as_str()), code(&metric.name), inline(value.trim_end()), better.into()]
    });
}

fn cards(out: &mut String, summary: &Summary) {
    for case in summary.not_passed().filter(|c| c.failure.is_some()).take(CARDS) {
        let (Some(failure), Some(outcome)) = (&case.failure, case.outcome) else { continue };
        let card = failure_card(&Card { title: case.id.as_str(), outcome, failure, hints: &[] }, &Options::default());
        let mut card = printable(&card);
        if card.len() > LONGEST_CARD {
            card.truncate(card.floor_char_boundary(LONGEST_CARD));
            card.push_str("\n… the rest is in the log");
        }
        let fence = "`".repeat(longest_run(&card, '`').max(2) + 1);
        let id = html(&clean(case.id.as_str()));
        let _ = writeln!(
            out,
            "<details><summary>{} {id}</summary>\n\n{fence}text\n{}\n{fence}\n\n</details>\n",
            state(case),
            card.trim_end()
        );
    }
}

fn state(case: &Case) -> &'static str {
    case.outcome.map_or_else(|| unfinished_word(case.has_begun()), word)
}

/// The id, with what it is when it is no testcase.
fn whole(case: &Case) -> String {
    let role = if case.role == Role::Testcase { String::new() } else { format!(" ({})", case.role.word()) };
    format!("{}{role}", code(case.id.as_str()))
}

/// A table with a heading; nothing when it has no rows.
fn table<T, const N: usize>(out: &mut String, title: &str, header: &[&str; N], rows: &[T], cells: impl Fn(&T) -> [String; N]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "### {title}\n");
    row(out, header.iter().map(|h| (*h).to_string()));
    row(out, header.iter().map(|_| "---".to_string()));
    rows.iter().take(ROWS).for_each(|it| row(out, cells(it).into_iter()));
    out.push('\n');
    if rows.len() > ROWS {
        let _ = writeln!(out, "… and {} more\n", rows.len() - ROWS);
    }
}

fn row(out: &mut String, cells: impl Iterator<Item = String>) {
    out.push('|');
    for cell in cells {
        let _ = write!(out, " {cell} |");
    }
    out.push('\n');
}

/// A text on one line in which nothing is markup, also in a cell of a table.
fn inline(text: &str) -> String {
    let text = clean(text);
    let text = cut_end(text.trim(), WIDEST);
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // No name of an account: nobody is called.
            '@' => out.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '.' | ':' if is_markup(c, &out) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a character could be taken for markup, inside of a line and behind this text.
fn is_markup(c: char, before: &str) -> bool {
    match c {
        '_' => !before.ends_with(char::is_alphanumeric),
        // What makes a link of a bare address.
        '.' => before.ends_with("www"),
        ':' => ["http", "https", "ftp", "mailto", "xmpp"].iter().any(|scheme| before.to_ascii_lowercase().ends_with(scheme)),
        _ => true,
    }
}

/// A text as it is, in a cell of a table too.
fn code(text: &str) -> String {
    let text = clean(text);
    let text = cut_end(text.trim(), WIDEST);
    if text.is_empty() {
        return String::new();
    }
    if !text.contains(['`', '|', '\\']) {
        return format!("`{text}`");
    }
    // As HTML with every sign by its number: that is never markup, and ends no cell.
    let sign = |c: char| if c.is_ascii_punctuation() { format!("&#{};", c as u32) } else { c.to_string() };
    format!("<code>{}</code>", text.chars().map(sign).collect::<String>())
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
