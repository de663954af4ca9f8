//! TAP, the Test Anything Protocol, versions 12, 13 and 14: what a program prints about its tests.
//!
//! Lenient about what surrounds the tests (a program prints what it likes), strict about what was promised: a plan that was not kept,
//! a number that came twice, a subtest that nobody vouches for are errors of their own, so that nothing can get lost unseen.
//!
//! # Source
//! <https://testanything.org/tap-specification.html>, the versions 13 and 14 there, and Perl's `Test::More` for subtests before 14.

use super::part::{self, Part};
use crate::event::Outcome;
use std::collections::HashSet;

/// Deeper subtests are taken for ordinary output.
const DEEPEST: usize = 32;

/// How far a subtest is indented.
const STEP: usize = 4;

/// What a program's TAP says.
#[derive(Debug, Default, PartialEq)]
pub struct Tap {
    /// The tests; those of a subtest before the test that vouches for it.
    pub tests: Vec<Part>,
    /// What is wrong with the report itself.
    pub problems: Vec<Part>,
    /// Why the program left everything out, when it did.
    pub skipped: Option<String>,
}

/// Reads TAP, line by line; nothing when the lines are not TAP.
///
/// # Errors
/// That of a line.
pub fn read<E>(lines: impl IntoIterator<Item = Result<String, E>>) -> Result<Option<Tap>, E> {
    let mut reader = Reader { open: vec![Document::default()], ..Reader::default() };
    for (line, number) in lines.into_iter().zip(1..) {
        reader.take(line?.trim_end(), number);
        if reader.is_over {
            break;
        }
    }
    Ok(reader.finish())
}

/// What a line says.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Version(u32),
    Plan { count: usize, skip: Option<String> },
    Test(Point),
    BailOut(&'a str),
    Subtest(&'a str),
    Strict(bool),
    Comment,
    Other,
}

/// A test line.
#[derive(Debug, PartialEq)]
struct Point {
    is_ok: bool,
    number: Option<usize>,
    description: String,
    directive: Option<Directive>,
}

#[derive(Debug, PartialEq)]
enum Directive {
    Skip(String),
    Todo(String),
}

/// The whole, or a subtest.
#[derive(Default)]
struct Document {
    name: String,
    plan: Option<Plan>,
    /// The numbers that came, and the last of them.
    numbers: HashSet<usize>,
    last: usize,
    /// How many tests stood in it, without those of its subtests.
    count: usize,
    report: Tap,
}

struct Plan {
    count: usize,
    /// How many tests came before it.
    after: usize,
}

#[derive(Default)]
struct Reader {
    is_tap: bool,
    /// Whether nothing that follows counts any more.
    is_over: bool,
    version: u32,
    is_strict: bool,
    taken: usize,
    /// The documents that are open, the outermost first; never empty.
    open: Vec<Document>,
    /// The name that a comment gave to the subtest which comes next.
    next_name: Option<String>,
    /// The indentation of the diagnostic block that is being read.
    yaml: Option<usize>,
    /// Whether the last line was a test, so that a block may follow.
    is_after_test: bool,
}

impl Reader {
    fn take(&mut self, text: &str, number: usize) {
        let bare = text.trim_start_matches(' ');
        let indent = text.len() - bare.len();
        if self.takes_as_block(text, bare, indent) {
            return;
        }
        let depth = indent / STEP;
        let line = if indent.is_multiple_of(STEP) && depth <= DEEPEST { parse(bare) } else { Line::Other };
        match line {
            Line::Other if self.is_strict && !bare.is_empty() => {
                self.problem(format!("line {number} is not TAP, and `pragma +strict` forbids that"));
            }
            // A program's own lines may stand anywhere and end nothing.
            Line::Other | Line::Comment => {}
            Line::BailOut(reason) => self.bail_out(reason),
            Line::Subtest(name) => self.next_name = Some(name.to_string()),
            line if depth >= self.open.len() && !self.opens_subtest(depth, &line) => {}
            line => {
                self.close_to(depth, &line);
                self.count(line, depth == 0, number);
            }
        }
    }

    /// A line that counts, in the innermost open document.
    fn count(&mut self, line: Line<'_>, is_outermost: bool, number: usize) {
        self.is_after_test = false;
        self.next_name = None;
        match line {
            Line::Version(version) => {
                self.is_tap |= is_outermost;
                self.version = version;
            }
            Line::Plan { count, skip } => {
                self.is_tap |= is_outermost;
                let document = self.document();
                let plan = Plan { count, after: document.count };
                if count == 0 {
                    document.report.skipped = Some(skip.unwrap_or_else(|| "its plan is 1..0".into()));
                }
                if document.plan.replace(plan).is_some() {
                    self.problem(format!("a second plan in line {number}"));
                }
            }
            Line::Strict(is_strict) => self.is_strict = is_strict,
            Line::Test(point) => {
                // Without a version and a plan, only a list that begins with number 1 is meant as TAP.
                self.is_tap |= is_outermost && point.number == Some(1);
                self.is_after_test = true;
                self.taken += 1;
                if self.taken > part::MOST {
                    self.is_over = true;
                    return self.problem(format!("more than {} tests", part::MOST));
                }
                if let Some(problem) = self.document().add(point, number) {
                    self.problem(problem);
                }
            }
            _ => {}
        }
    }

    fn document(&mut self) -> &mut Document {
        let innermost = self.open.len() - 1;
        &mut self.open[innermost]
    }

    fn problem(&mut self, what: String) {
        self.document().problem(what);
    }

    /// Whether this line belongs to a diagnostic block. A line that is indented less ends the block, so that none can hide a test.
    fn takes_as_block(&mut self, text: &str, bare: &str, indent: usize) -> bool {
        let begins = self.yaml.is_none() && self.is_after_test && bare == "---" && indent == (self.open.len() - 1) * STEP + 2;
        if begins {
            self.yaml = Some(indent);
            return true;
        }
        let Some(block) = self.yaml.filter(|block| indent >= *block || bare.is_empty()) else {
            self.yaml = None;
            return false;
        };
        if bare == "..." && indent == block {
            self.yaml = None;
            self.is_after_test = false;
        } else if let Some(test) = self.document().report.tests.last_mut() {
            let line = text.get(block..).unwrap_or_default();
            if let Some(ms) = line.strip_prefix("duration_ms:").and_then(|ms| ms.trim().parse::<f64>().ok()) {
                test.took = seconds(ms / 1000.0);
            }
            test.data.push_str(line);
            test.data.push('\n');
        }
        true
    }

    /// Whether a line that is indented further begins a subtest; when it does not, it is output of the program.
    fn opens_subtest(&mut self, depth: usize, line: &Line<'_>) -> bool {
        // Before version 14, a subtest has a comment or a plan at its beginning; a mere `ok` is somebody's output.
        let begins = matches!(line, Line::Plan { .. }) || self.version >= 14 || self.next_name.is_some();
        if begins && depth == self.open.len() {
            let name = self.next_name.take().unwrap_or_default();
            self.open.push(Document { name, ..Document::default() });
            return true;
        }
        false
    }

    /// Closes the subtests below this depth. The test line after a subtest vouches for it and gives it its name.
    fn close_to(&mut self, depth: usize, line: &Line<'_>) {
        while self.open.len() > depth + 1 {
            let Some(mut child) = self.open.pop() else { return };
            let voucher = match line {
                Line::Test(point) if self.open.len() == depth + 1 => Some(point),
                _ => None,
            };
            match voucher {
                Some(point) if !point.description.is_empty() => child.name.clone_from(&point.description),
                Some(_) => {}
                None => child.problem("the subtest has no test line of its own after it".into()),
            }
            child.check_plan();
            let mut report = child.flat();
            if let Some(Point { directive: Some(Directive::Todo(why)), .. }) = voucher {
                report.tests.iter_mut().filter(|t| t.outcome == Outcome::Failed).for_each(|t| expect_failure(t, why));
            }
            let parent = &mut self.document().report;
            parent.tests.append(&mut report.tests);
            parent.problems.append(&mut report.problems);
        }
    }

    /// The program gave up: what it had planned will not come, and is not missed.
    fn bail_out(&mut self, reason: &str) {
        self.is_tap = true;
        self.is_over = true;
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        self.problem(format!("the program bailed out{reason}"));
    }

    fn finish(mut self) -> Option<Tap> {
        if !self.is_over {
            self.close_to(0, &Line::Other);
            self.document().check_plan();
        }
        while self.open.len() > 1 {
            let mut report = self.open.pop()?.flat();
            let parent = &mut self.document().report;
            parent.tests.append(&mut report.tests);
            parent.problems.append(&mut report.problems);
        }
        let mut tap = self.open.pop().filter(|_| self.is_tap)?.report;
        part::tell_apart(&mut tap.tests);
        part::tell_apart(&mut tap.problems);
        Some(tap)
    }
}

impl Document {
    fn problem(&mut self, what: String) {
        self.report.problems.push(Part::new("", "TAP", Outcome::Errored, what));
    }

    /// Adds a test; tells what is wrong with its number.
    fn add(&mut self, point: Point, line: usize) -> Option<String> {
        let number = point.number.unwrap_or(self.last.saturating_add(1));
        self.last = number;
        self.count += 1;
        self.report.tests.push(point.part(number));
        (!self.numbers.insert(number)).then(|| format!("test number {number} came a second time, in line {line}"))
    }

    fn check_plan(&mut self) {
        let ran = self.count;
        match &self.plan {
            None if ran == 0 => self.problem("neither a plan nor a test".into()),
            None => self.problem(format!("no plan (a line `1..{ran}`), so nobody knows whether these {ran} tests are all")),
            Some(plan) if plan.count != ran => self.problem(format!("planned {}, ran {ran}", plan.count)),
            Some(plan) if plan.after != 0 && plan.after != ran => {
                self.problem("the plan stands between the tests, neither first nor last".into());
            }
            Some(plan) => {
                if let Some(far) = self.numbers.iter().copied().filter(|n| *n == 0 || *n > plan.count).max() {
                    self.problem(format!("test number {far} is not in the plan 1..{}", plan.count));
                }
            }
        }
    }

    /// What it says, as parts of its parent.
    fn flat(self) -> Tap {
        let name = if self.name.is_empty() { "subtest".to_string() } else { self.name };
        let mut report = self.report;
        if let Some(why) = report.skipped.take().filter(|_| report.tests.is_empty()) {
            report.tests.push(Part::new("", "all", Outcome::Skipped, why));
        }
        for part in report.tests.iter_mut().chain(&mut report.problems) {
            part.group = if part.group.is_empty() { name.clone() } else { format!("{name}/{}", part.group) };
        }
        report
    }
}

impl Point {
    fn part(self, number: usize) -> Part {
        let name = if self.description.is_empty() { format!("test {number}") } else { self.description };
        let outcome = if self.is_ok { Outcome::Passed } else { Outcome::Failed };
        let mut part = Part::new("", &name, outcome, if self.is_ok { "" } else { "not ok" });
        match (self.directive, self.is_ok) {
            (Some(Directive::Skip(why)), true) => {
                part.outcome = Outcome::Skipped;
                part.reason = why;
            }
            // A test that was left out cannot have failed; one that did is no skip, whatever it says.
            (Some(Directive::Skip(why)), false) => part.reason = format!("not ok, although it says it was skipped {why}"),
            (Some(Directive::Todo(why)), false) => expect_failure(&mut part, &why),
            (Some(Directive::Todo(why)), true) => {
                part.outcome = Outcome::Partial;
                part.reason = format!("ok, although it was expected to fail {why}");
            }
            (None, _) => {}
        }
        part.reason.truncate(part.reason.trim_end().len());
        part
    }
}

/// A failure that the program itself expects counts as a pass.
fn expect_failure(part: &mut Part, why: &str) {
    part.outcome = Outcome::Passed;
    part.reason = format!("not ok, as expected {why}").trim_end().to_string();
}

/// A duration that can be added up.
fn seconds(seconds: f64) -> f64 {
    if seconds.is_finite() && seconds > 0.0 { seconds } else { 0.0 }
}

fn parse(text: &str) -> Line<'_> {
    if let Some(comment) = text.strip_prefix('#') {
        return comment.trim_start().strip_prefix("Subtest:").map_or(Line::Comment, |name| Line::Subtest(name.trim()));
    }
    if let Some(version) = without_prefix(text, "TAP version ") {
        return version.trim().parse().map_or(Line::Other, Line::Version);
    }
    if let Some(reason) = without_prefix(text, "Bail out!") {
        return Line::BailOut(reason.trim());
    }
    if let Some(pragma) = text.strip_prefix("pragma ") {
        return match pragma.trim() {
            "+strict" => Line::Strict(true),
            "-strict" => Line::Strict(false),
            _ => Line::Comment,
        };
    }
    plan(text).or_else(|| test(text)).unwrap_or(Line::Other)
}

fn plan(text: &str) -> Option<Line<'static>> {
    let rest = text.strip_prefix("1..")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let count = rest[..digits].parse().ok()?;
    let after = rest[digits..].trim_start();
    let Some(comment) = after.strip_prefix('#') else {
        return after.is_empty().then_some(Line::Plan { count, skip: None });
    };
    let comment = comment.trim();
    let skip = directive_word(comment, "skip").unwrap_or(comment);
    Some(Line::Plan { count, skip: (!skip.is_empty()).then(|| skip.to_string()) })
}

fn test(text: &str) -> Option<Line<'static>> {
    let (is_ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let is_number = digits > 0 && rest[digits..].chars().next().is_none_or(char::is_whitespace);
    let number = if is_number { rest[..digits].parse().ok() } else { None };
    let rest = if number.is_some() { rest[digits..].trim_start() } else { rest };
    let rest = rest.strip_prefix("- ").or_else(|| rest.strip_prefix('-').filter(|r| r.is_empty())).unwrap_or(rest);
    let (description, directive) = without_directive(rest);
    Some(Line::Test(Point { is_ok, number, description: unescaped(description.trim()), directive }))
}

/// Splits `description # SKIP why`; a `#` with a backslash before it, or without a directive after it, is text.
fn without_directive(text: &str) -> (&str, Option<Directive>) {
    for (at, _) in text.match_indices('#') {
        let before = &text[..at];
        let slashes = before.len() - before.trim_end_matches('\\').len();
        if slashes % 2 == 1 {
            continue;
        }
        let after = text[at + 1..].trim();
        if let Some(why) = directive_word(after, "skip") {
            return (before, Some(Directive::Skip(why.to_string())));
        }
        if let Some(why) = directive_word(after, "todo") {
            return (before, Some(Directive::Todo(why.to_string())));
        }
    }
    (text, None)
}

/// What follows on a directive, which may be written in any case and with an ending ("Skipped: …").
fn directive_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = without_prefix(text, word)?;
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let ending = rest[..end].to_lowercase();
    ["", "ped", "s"].contains(&ending.as_str()).then(|| rest[end..].trim_start_matches(':').trim())
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next @ ('#' | '\\')) if c == '\\' => {
                plain.push(*next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part on a line: outcome, place and name, reason; then the problems, then why all was skipped.
    fn shown(text: &str) -> String {
        let lines = text.lines().map(|line| Ok::<_, ()>(line.to_string()));
        let Some(tap) = read(lines).unwrap() else { return "not TAP".into() };
        let show = |p: &Part| {
            let group = if p.group.is_empty() { String::new() } else { format!("{}/", p.group) };
            let reason = if p.reason.is_empty() { String::new() } else { format!(": {}", p.reason) };
            format!("{} {group}{}{reason}", p.outcome.word(), p.name)
        };
        let mut all: Vec<String> = tap.tests.iter().chain(&tap.problems).map(show).collect();
        all.extend(tap.skipped.map(|why| format!("all skipped: {why}")));
        all.join("\n")
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(shown(text), expected.join("\n"), "{text}");
    }

    #[test]
    fn what_is_tap_and_what_is_not() {
        for text in ["", "ok", "hello\nok then\n", "not ok at all", "okay 1", "1..x", "all ok: 1..5", "    1..1\n    ok 1", "ok 2"]
        {
            check(text, &["not TAP"]);
        }
        check("1..1\nok", &["passed test 1"]);
        check("noise\n1..1\nmore noise\nok 1 - a\nnoise", &["passed a"]);
        check("tap VERSION 13\r\n1..1\r\nok 1 a\r\n", &["passed a"]);
    }

    #[test]
    fn a_plan_that_is_not_kept_is_an_error() {
        check("1..5\nok 1\nok 2\nok 3", &["passed test 1", "passed test 2", "passed test 3", "errored TAP: planned 5, ran 3"]);
        check("1..1\nok 1\nok 2", &["passed test 1", "passed test 2", "errored TAP: planned 1, ran 2"]);
        check("ok 1 a\nok 2 b\n1..2", &["passed a", "passed b"]);
        check(
            "ok 1 a\n1..2\nok 2 b",
            &["passed a", "passed b", "errored TAP: the plan stands between the tests, neither first nor last"],
        );
        check("TAP version 14", &["errored TAP: neither a plan nor a test"]);
        check("1..99999999999999999999", &["not TAP"]);
        check(
            "TAP version 13\nok 1\n",
            &["passed test 1", "errored TAP: no plan (a line `1..1`), so nobody knows whether these 1 tests are all"],
        );
        check(
            "ok 1 - a\nnot ok 2 - b",
            &[
                "passed a",
                "failed b: not ok",
                "errored TAP: no plan (a line `1..2`), so nobody knows whether these 2 tests are all",
            ],
        );
        check(
            "1..2\nok 1\n1..2\nok 2",
            &[
                "passed test 1",
                "passed test 2",
                "errored TAP: a second plan in line 3",
                "errored TAP#2: the plan stands between the tests, neither first nor last",
            ],
        );
    }

    #[test]
    fn numbers_are_counted_when_they_are_left_out_and_checked_when_not() {
        check("1..3\nok\nnot ok - b\nok 3 c", &["passed test 1", "failed b: not ok", "passed c"]);
        check("1..2\nok 2 b\nok 1 a", &["passed b", "passed a"]);
        check("1..2\nok 1 a\nok 1 a", &["passed a", "passed a#2", "errored TAP: test number 1 came a second time, in line 3"]);
        check("1..2\nok 1 a\nok 7 b", &["passed a", "passed b", "errored TAP: test number 7 is not in the plan 1..2"]);
        check("1..1\nok 0 a", &["passed a", "errored TAP: test number 0 is not in the plan 1..1"]);
        check("1..1\nok 99999999999999999999999 big", &["passed 99999999999999999999999 big"]);
        check("1..1\nok 2fast", &["passed 2fast"]);
    }

    #[test]
    fn directives_excuse_what_they_may() {
        check("1..1\nok 1 a # SKIP no disk", &["skipped a: no disk"]);
        check("1..1\nok 1 # skipped: no disk", &["skipped test 1: no disk"]);
        check("1..1\nnot ok 1 a # SKIP no disk", &["failed a: not ok, although it says it was skipped no disk"]);
        check("1..1\nnot ok 1 a # TODO later", &["passed a: not ok, as expected later"]);
        check("1..1\nok 1 a # todo", &["partial a: ok, although it was expected to fail"]);
        check("1..1\nok 1 a \\# SKIP", &["passed a # SKIP"]);
        check("1..1\nok 1 a \\\\# SKIP", &["skipped a \\"]);
        check("1..1\nok 1 issue #42 # SKIP x", &["skipped issue #42: x"]);
        check("1..1\nok 1 a # skipping is fun", &["passed a # skipping is fun"]);
        check("1..0 # SKIP wrong machine", &["all skipped: wrong machine"]);
        check("1..0", &["all skipped: its plan is 1..0"]);
        check("1..0\nnot ok 1 a", &["failed a: not ok", "errored TAP: planned 0, ran 1", "all skipped: its plan is 1..0"]);
    }

    #[test]
    fn bailing_out_ends_everything() {
        check("1..9\nok 1 a\nBail out! no database\nnot ok 2 b", &["passed a", "errored TAP: the program bailed out: no database"]);
        check("Bail out!", &["errored TAP: the program bailed out"]);
        check(
            "TAP version 14\n1..2\n    1..3\n    ok 1 x\n    Bail out! deep",
            &["passed subtest/x", "errored subtest/TAP: the program bailed out: deep"],
        );
    }

    #[test]
    fn a_diagnostic_block_is_data_and_cannot_hide_a_test() {
        let text = "TAP version 13\n1..2\nnot ok 1 a\n  ---\n  message: 'no'\n    deeper: ok 1\n  duration_ms: 1500\n  ...\nok 2 b";
        let tap = read(text.lines().map(|l| Ok::<_, ()>(l.to_string()))).unwrap().unwrap();
        assert_eq!((tap.tests[0].data.as_str(), tap.tests[0].took), ("message: 'no'\n  deeper: ok 1\nduration_ms: 1500\n", 1.5));
        assert_eq!((tap.tests[1].data.as_str(), tap.problems.len()), ("", 0));
        check("1..2\nok 1 a\n  ---\n  never ended\nnot ok 2 b", &["passed a", "failed b: not ok"]);
        check("1..1\nok 1 a\n  ---\n  duration_ms: NaN\n  ...", &["passed a"]);
    }

    #[test]
    fn subtests_become_groups() {
        check(
            "TAP version 14\n1..2\n# Subtest: foo\n    1..2\n    ok 1\n    not ok 2 - bad\nnot ok 1 - foo\nok 2 - bar",
            &["passed foo/test 1", "failed foo/bad: not ok", "failed foo: not ok", "passed bar"],
        );
        // Perl's form: the comment is indented, the plan comes last.
        check(
            "    # Subtest: foo\n    ok 1 - in\n        # Subtest: deep\n        ok 1 - x\n        1..1\n    ok 2 - deep\n    1..2\nok 1 - foo\n1..1",
            &["passed foo/in", "passed foo/deep/x", "passed foo/deep", "passed foo"],
        );
        check(
            "TAP version 14\n1..1\n    1..2\n    ok 1 x\nok 1 - p",
            &["passed p/x", "passed p", "errored p/TAP: planned 2, ran 1"],
        );
        check(
            "TAP version 14\n1..1\n    not ok 1 x\n    1..1\nnot ok 1 - p # TODO soon",
            &["passed p/x: not ok, as expected soon", "passed p: not ok, as expected soon"],
        );
        check("TAP version 14\n1..1\n    1..0 # skip none here\nok 1 - p", &["skipped p/all: none here", "passed p"]);
        check(
            "TAP version 14\n1..1\nok 1 a\n    ok 1 lost\n    1..1",
            &["passed a", "passed subtest/lost", "errored subtest/TAP: the subtest has no test line of its own after it"],
        );
        // Output that only looks like TAP, before version 14.
        check("1..1\n    not ok 3 noise\n   ok\nok 1 a", &["passed a"]);
    }

    #[test]
    fn a_strict_program_is_held_to_it() {
        check(
            "TAP version 14\npragma +strict\n1..1\nnoise\nok 1 a\npragma -strict\nnoise",
            &["passed a", "errored TAP: line 4 is not TAP, and `pragma +strict` forbids that"],
        );
    }

    #[test]
    fn hostile_input_is_bounded() {
        let many = (1..=part::MOST + 5).map(|n| Ok::<_, ()>(format!("ok {n}")));
        let tap = read(many).unwrap().unwrap();
        assert_eq!((tap.tests.len(), tap.problems[0].reason.as_str()), (part::MOST, "more than 100000 tests"));
        let deep: String = (0..1000).map(|depth| format!("{}1..1\n", " ".repeat(depth * STEP))).collect();
        assert!(shown(&deep).contains("no test line of its own"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(lines in proptest::collection::vec("( {0,3})(ok|not ok|1\\.\\.|#|  ---|  \\.\\.\\.|TAP version|Bail out!|\\PC{0,8}){1,3}( 14| 2|#| SKIP|\\\\|\\PC{0,5}){0,3}", 0..30)) {
            let text = lines.join("\n");
            // Whatever it is: a failure that is read outside of a block stays one, or is excused.
            let _ = shown(&text);
        }
    }
}
