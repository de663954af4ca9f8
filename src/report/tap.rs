//! The TAP report (Test Anything Protocol, version 14), for `prove` and its kin: written as testcases finish.
//!
//! The form: a test point for each planned case, in the order in which they ended, with a diagnostic block (YAML) of what is known of
//! it. A testcase with subcases has them in a subtest before its point. The plan comes last, as a run may grow while it goes on; so a
//! run that was killed has none, and no reader takes it for whole.
//!
//! Failed, errored, blocked and unfinished are `not ok`; skipped is `ok … # SKIP reason`. A clean-up that went wrong is `not ok` with a
//! `# TODO`, which is how TAP says that something does not count. A run that was stopped or died ends with `Bail out!`.
//!
//! A `prove` that is older than version 14 complains of the first line alone: `sed '1s/14/13/' report.tap`.
//!
//! # Source
//! <https://testanything.org/tap-version-14-specification.html>

use super::reports::{Opening, Report, growing};
use super::text::{clean, count, printable, run_reason};
use super::{Case, Subcase, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Fact, Failure, Outcome, Role, Verdict};
use crate::name::CaseId;
use crate::unit::show_number;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The first line.
const VERSION: &str = "TAP version 14\n";

/// How many warnings and values of a testcase, and lines of its output, stand in its block; the log has them all.
const LISTED: usize = 100;

struct Tap {
    out: Box<dyn Write + Send>,
    path: PathBuf,
    is_written: bool,
    told: Told,
}

/// What is told so far, and of that the text that is not written yet.
#[derive(Default)]
struct Told {
    text: String,
    has_begun: bool,
    /// The test points, and how many of them count as failures.
    points: usize,
    bad: usize,
    cases: HashSet<CaseId>,
}

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    let out = growing(path, VERSION, opening)?;
    Ok(Box::new(Tap { out, path: path.to_path_buf(), is_written: false, told: Told::default() }))
}

impl Told {
    fn begin(&mut self, summary: &Summary) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.text.push_str(VERSION);
        let run = summary.run();
        if !run.id.is_empty() {
            let on = if run.targets.is_empty() { String::new() } else { format!(" on {}", run.targets.join(", ")) };
            self.comment(&format!("run {} by xrt {}{on}", run.id, run.version));
        }
    }

    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {}", clean(text));
    }

    /// What was told is not so any more: a run that was resumed runs some of it again.
    fn again(&mut self, summary: &Summary) {
        *self = Told::default();
        self.begin(summary);
        let mut ended: Vec<&Case> = summary.cases().iter().filter(|c| c.outcome.is_some()).collect();
        ended.sort_by_key(|c| c.ended);
        ended.into_iter().for_each(|case| self.case(case, summary));
    }

    /// The point of a testcase, behind its subtest.
    fn case(&mut self, case: &Case, summary: &Summary) {
        self.cases.insert(case.id.clone());
        let is_pass = !case.is_bad();
        let excuse = (case.role == Role::Cleanup).then_some("a clean-up does not count");
        let subcases = &case.notes().subcases;
        if !subcases.is_empty() {
            let _ = writeln!(self.text, "# Subtest: {}\n    1..{}", escaped(case.id.as_str()), subcases.len());
        }
        for (subcase, number) in subcases.iter().zip(1..) {
            // What a passing testcase does not hold against itself (another attempt was better) is not held against it here.
            let excuse = if is_pass { Some("its testcase passed") } else { excuse };
            let name = subcase.full_name();
            let why = subcase.why().filter(|_| subcase.outcome != Outcome::Passed);
            let point = Point { depth: 1, number, name: &name, outcome: Some(subcase.outcome), why, excuse };
            point.write(&mut self.text, |block| block.subcase(subcase));
        }
        let dropped = case.notes().dropped;
        if dropped > 0 {
            self.comment(&format!("{} of this testcase not shown: too many", count(dropped, "result")));
        }
        self.points += 1;
        self.bad += usize::from(!is_pass && excuse.is_none());
        let unfinished = case.outcome.is_none().then(|| unfinished(case, summary));
        let (number, name, why) =
            (self.points, case.id.as_str(), unfinished.as_deref().or_else(|| case.why().filter(|_| !case.is_plain_pass())));
        let point = Point { depth: 0, number, name, outcome: case.outcome, why, excuse };
        let took = case.took_until(summary.last_at());
        point.write(&mut self.text, |block| block.case(case, took));
    }

    /// What has no result by the end, the plan, and what is wrong with the run itself.
    fn end(&mut self, summary: &Summary) {
        for case in summary.cases().iter().filter(|c| c.outcome.is_none()) {
            self.case(case, summary);
        }
        let verdict = summary.verdict();
        let skip = if self.points == 0 { " # SKIP nothing was planned" } else { "" };
        let _ = writeln!(self.text, "1..{}{skip}", self.points);
        self.comment(&format!("verdict: {}", verdict.word()));
        let is_told = self.bad > 0 || matches!(verdict, Verdict::Passed | Verdict::NothingRan);
        if !is_told || matches!(verdict, Verdict::Stopped | Verdict::Incomplete) {
            summary.oddities().iter().for_each(|oddity| self.comment(oddity));
            let _ = writeln!(self.text, "Bail out! {}", run_reason(verdict));
        }
    }
}

impl Tap {
    fn hand_over(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.told.text);
        if text.is_empty() {
            return Ok(());
        }
        self.is_written = true;
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.at(format_args!("write `{}`", self.path.display()))
    }
}

impl Report for Tap {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        self.told.begin(summary);
        match (&event.fact, &event.case) {
            (Fact::RunResumed { .. }, _) if !self.is_written => self.told.again(summary),
            // One that ends a second time keeps its point; the run is then not passed, which is told at its end.
            (Fact::CaseFinished { .. }, Some(id)) if !self.told.cases.contains(id) => {
                if let Some(case) = summary.case(id) {
                    self.told.case(case, summary);
                }
            }
            _ => {}
        }
        Ok(())
    }

    // What is read from a log is written at its end alone: only there is it known what was run again.
    fn on_tick(&mut self, _: &Summary) -> Result<()> {
        self.hand_over()
    }

    fn finish(&mut self, summary: &Summary, _: &[PathBuf]) -> Result<()> {
        self.told.begin(summary);
        self.told.end(summary);
        self.hand_over()
    }

    fn name(&self) -> String {
        format!("tap report {}", self.path.display())
    }

    fn file(&self) -> Option<&Path> {
        (self.path.as_os_str() != "-").then_some(&self.path)
    }
}

fn unfinished(case: &Case, summary: &Summary) -> String {
    let end = run_reason(summary.verdict());
    if case.has_begun() { format!("never finished: {end}") } else { format!("never started: {end}") }
}

/// A test line with its block.
struct Point<'a> {
    depth: usize,
    number: usize,
    name: &'a str,
    outcome: Option<Outcome>,
    why: Option<&'a str>,
    /// Why it does not count when it is not ok.
    excuse: Option<&'a str>,
}

impl Point<'_> {
    fn write(&self, out: &mut String, fill: impl FnOnce(&mut Block)) {
        let indent = "    ".repeat(self.depth);
        let is_ok = self.outcome.is_some_and(|o| !o.is_bad());
        let not = if is_ok { "" } else { "not " };
        let _ = write!(out, "{indent}{not}ok {} - {}", self.number, escaped(self.name));
        match (self.outcome, self.excuse) {
            (Some(Outcome::Skipped), _) => {
                let _ = write!(out, " # SKIP {}", clean(self.why.unwrap_or_default()));
            }
            (_, Some(excuse)) if !is_ok => {
                let _ = write!(out, " # TODO {excuse}");
            }
            _ => {}
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
        let mut block = Block { text: String::new(), indent };
        block.outcome(self.outcome, self.why);
        fill(&mut block);
        block.close(out);
    }
}

/// A diagnostic block: YAML of which every text is quoted, so that nothing in it can end it.
struct Block {
    text: String,
    indent: String,
}

impl Block {
    fn outcome(&mut self, outcome: Option<Outcome>, why: Option<&str>) {
        if outcome != Some(Outcome::Passed) {
            self.text("outcome", outcome.map_or("unfinished", Outcome::word));
        }
        if let Some(why) = why {
            self.text("message", why);
        }
    }

    fn case(&mut self, case: &Case, took: f64) {
        self.took(took);
        if !case.testcase.is_empty() && &*case.testcase != case.id.as_str() {
            self.text("testcase", &case.testcase);
        }
        if let Some(failure) = &case.failure {
            self.failure(failure);
        }
        let attempts = case.attempts.iter().map(|a| {
            let why = a.why().map(|why| format!(": {why}")).unwrap_or_default();
            format!("attempt {} {}{why}", a.number, a.outcome.map_or("was cut off", Outcome::word))
        });
        self.list("attempts", attempts);
        let notes = case.notes();
        let values =
            notes.metrics.iter().map(|m| format!("{} = {} {}", m.name, show_number(m.value), m.unit).trim_end().to_string());
        self.list("values", values);
        self.list("comparisons", notes.comparisons.iter().map(|c| c.text.clone()));
        self.list("warnings", notes.warnings().map(|w| w.text.to_string()));
    }

    fn subcase(&mut self, subcase: &Subcase) {
        self.took(subcase.took);
        if let Some(failure) = &subcase.failure {
            self.failure(failure);
        }
    }

    fn failure(&mut self, failure: &Failure) {
        self.text("kind", failure.kind.word());
        self.text("blame", failure.blame.word());
        if let Some(place) = failure.frames.first().map(|f| &f.place) {
            self.text("file", &place.file);
            self.line(&format!("line: {}", place.line));
        }
        self.list("causes", failure.causes.iter().cloned());
        if let Some(data) = &failure.data {
            self.lines("data", data);
        }
        if let Some(help) = &failure.help {
            self.text("help", help);
        }
    }

    fn took(&mut self, seconds: f64) {
        if seconds.is_finite() && seconds >= 0.0 {
            self.line(&format!("duration_ms: {:.3}", seconds * 1000.0));
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        self.line(&format!("{key}: {}", quoted(text)));
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = String>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.line(&format!("{key}:"));
        for item in items.by_ref().take(LISTED) {
            self.line(&format!("  - {}", item_quoted(&item)));
        }
        let more = items.count();
        if more > 0 {
            self.line(&format!("  - {}", quoted(&format!("… and {more} more"))));
        }
    }

    /// A text of several lines: readable as it is where YAML can have it so.
    fn lines(&mut self, key: &str, text: &str) {
        let text = printable(text);
        // The first line tells how far the text is indented.
        if text.is_empty() || text.starts_with([' ', '\n']) || text.lines().nth(LISTED).is_some() {
            return self.text(key, &text);
        }
        self.line(&format!("{key}: |"));
        text.lines().for_each(|line| self.line(&format!("  {line}")));
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}  {text}", self.indent);
    }

    fn close(self, out: &mut String) {
        if !self.text.is_empty() {
            let _ = write!(out, "{0}  ---\n{1}{0}  ...\n", self.indent, self.text);
        }
    }
}

/// A text on one line, of which nothing can be taken for a directive.
fn escaped(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('#', "\\#")
}

/// A text in double quotes, as YAML and JSON have it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The same as an item of a list. Perl's reader takes a word and a colon there for a key, quoted or not.
fn item_quoted(text: &str) -> String {
    let text = quoted(text);
    let word = text.find(char::is_whitespace).unwrap_or(text.len());
    match text[..word].strip_suffix(':').or_else(|| text[word..].trim_start().starts_with(':').then_some(&text[..word])) {
        Some(before) => format!("{before}{}", text[before.len()..].replacen(':', "\\x3a", 1)),
        None => text,
    }
}
