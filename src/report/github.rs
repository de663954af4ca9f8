//! Annotations for GitHub: what did not pass, as workflow commands at the end of the run, on the standard output.
//!
//! GitHub shows ten errors and ten warnings of a step, so the worst come first and no more than these are written; all of them are
//! listed in a group of lines, up to a bound.
//!
//! # Source
//! "Workflow commands for GitHub Actions" of GitHub's documentation; how a runner finds commands in a line.

use super::reports::{Opening, Report, Stream};
use super::text::{clean, count, printable, run_reason, unfinished_word, word};
use super::{Case, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Outcome, Place, Role, Verdict};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How many annotations of a kind GitHub shows of one step.
const SHOWN: usize = 10;
/// How many lines the group has.
const LINES: usize = 1000;
/// The longest text of an annotation, in bytes.
const LONGEST: usize = 2000;

struct Github {
    stream: fn() -> Box<dyn Write + Send>,
}

pub(super) fn open(_: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Github { stream: opening.stream }))
}

impl Report for Github {
    fn on_event(&mut self, _: &Event, _: &Summary) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, summary: &Summary, _: &[PathBuf]) -> Result<()> {
        let mut out = Stream::new((self.stream)());
        out.write_all(commands(summary).as_bytes()).and_then(|()| out.flush()).at("write the annotations to the standard output")
    }

    fn name(&self) -> String {
        "github report".into()
    }
}

/// The commands, a line each.
fn commands(summary: &Summary) -> String {
    let mut bad: Vec<&Case> = summary.not_passed().filter(|c| c.role != Role::Cleanup).collect();
    bad.sort_by_key(|case| match case.outcome {
        Some(Outcome::Failed) => 0,
        Some(Outcome::Errored) => 1,
        None => 2,
        _ => 3,
    });
    let mut out = String::new();
    if !bad.is_empty() {
        let _ = writeln!(out, "::group::{}", text(&format!("xrt: {} did not pass", count(bad.len(), "testcase"))));
        for case in bad.iter().take(LINES) {
            let _ = writeln!(out, "{}", line(case));
        }
        if bad.len() > LINES {
            let _ = writeln!(out, "and {} more", bad.len() - LINES);
        }
        out.push_str("::endgroup::\n");
    }
    for case in bad.iter().take(SHOWN) {
        annotate(&mut out, "error", &title(case), place(case).as_ref(), &message(case, summary));
    }
    let warnings = warnings(summary);
    for (title, message) in warnings.iter().take(SHOWN) {
        annotate(&mut out, "warning", title, None, message);
    }
    let verdict = summary.verdict();
    if bad.is_empty() && !matches!(verdict, Verdict::Passed | Verdict::NothingRan) {
        annotate(&mut out, "error", "xrt", None, run_reason(verdict));
    }
    let passed: usize = [Outcome::Passed, Outcome::Partial, Outcome::Flaky].into_iter().map(|o| summary.count(o)).sum();
    let what = format!("{}: {passed} of {} passed", verdict.word(), count(summary.tests(), "testcase"));
    annotate(&mut out, "notice", "xrt", None, &what);
    out
}

/// What passed and should be looked at all the same.
fn warnings(summary: &Summary) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for case in summary.cases() {
        all.extend(case.notes().worse().map(|c| (case.id.to_string(), format!("{}: {}", c.name, c.text))));
        let why = || case.why().unwrap_or_default().to_string();
        match case.outcome {
            _ if case.is_notable() => all.push((title(case), why())),
            _ if case.role == Role::Cleanup && case.is_bad() => all.push((title(case), why())),
            _ => {}
        }
    }
    all
}

fn word_of(case: &Case) -> &'static str {
    case.outcome.map_or_else(|| unfinished_word(case.has_begun()), word)
}

fn title(case: &Case) -> String {
    format!("{} {}", word_of(case), case.id)
}

fn message(case: &Case, summary: &Summary) -> String {
    let why = case.why().unwrap_or(if case.outcome.is_none() { run_reason(summary.verdict()) } else { "" });
    let mut message = why.to_string();
    if let Some(failure) = &case.failure {
        let causes = failure.causes.iter().map(|cause| ("because", cause));
        for (word, text) in causes.chain(failure.help.iter().map(|help| ("help", help))) {
            let _ = write!(message, "\n{word}: {text}");
        }
    }
    message
}

/// Where it went wrong: in a file that GitHub may have, so not in a library inside the program.
fn place(case: &Case) -> Option<Place> {
    let is_outside = |file: &str| !file.is_empty() && !file.starts_with("builtin:");
    let file = || Some(&*case.file).filter(|file| is_outside(file));
    let found = case.places().find(|place| is_outside(&place.file)).cloned();
    found.or_else(|| Some(Place { file: file()?.to_string(), line: 0, column: 0 }))
}

fn line(case: &Case) -> String {
    let line = format!("{}  {}", title(case), case.why().unwrap_or_default());
    // A line is begun with a word, so it is no command; the older form of commands may stand anywhere in a line.
    clean(line.trim_end()).replace("##[", "# #[")
}

fn annotate(out: &mut String, command: &str, title: &str, place: Option<&Place>, message: &str) {
    let mut properties = Vec::new();
    if let Some(place) = place {
        properties.push(format!("file={}", property(&place.file)));
        if place.line > 0 {
            properties.push(format!("line={}", place.line));
        }
        if place.column > 0 {
            properties.push(format!("col={}", place.column));
        }
    }
    properties.push(format!("title={}", property(title)));
    let message = if message.trim().is_empty() { title } else { message };
    let _ = writeln!(out, "::{command} {}::{}", properties.join(","), text(message));
}

/// A text as what stands after the second pair of colons.
fn text(text: &str) -> String {
    let mut text = printable(text);
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text.replace('%', "%25").replace('\n', "%0A").replace("##[", "# #[")
}

fn property(value: &str) -> String {
    text(&clean(value)).replace(':', "%3A").replace(',', "%2C")
}
