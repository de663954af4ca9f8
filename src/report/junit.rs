//! The JUnit report, for CI systems.
//!
//! The form: a `<testsuite>` for each group, with a `<testcase>` for each testcase. A testcase with subcases is a `<testsuite>` of
//! its own instead, named by its id, so that nothing is counted twice: each subcase is a `<testcase>` in it, and the testcase itself
//! is one more only when it went wrong in a way that none of its subcases tells.
//!
//! Only the product's fault is a `<failure>`. Errored, blocked (`type="blocked"`) and unfinished (`type="unfinished"`) are an
//! `<error>`, so that CI never shows green for what did not run; skipped is `<skipped>`. A run that is not passed although all its
//! testcases are (its log was cut off, or it was stopped at its end) has one more suite, `run`, with an error.
//!
//! Earlier attempts have the form of Surefire: `<flakyFailure>` or `<flakyError>` where the testcase passed in the end, `<rerunFailure>`
//! or `<rerunError>` where it did not.
//!
//! What is no testcase stands here only when it went wrong: the preparation and other actions in a suite `actions`, clean-ups in a suite
//! `clean-ups`, as skipped with a type that says how they ended: they are to be seen, and must not turn red a run that has passed.

use super::card::{Card, failure_card};
use super::entry::Entry;
use super::lines::Options;
use super::reports::{Opening, Report, Written};
use super::text::{self, printable};
use super::{Attempt, Case, Subcase, Summary, rerun};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::event::{Failure, Outcome, Role, Verdict};
use crate::time::Timestamp;
use crate::unit::{seconds_to_duration, show_number};
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestRerun, TestSuite};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// How much of a log stands in the report, in bytes.
const LOG_SHOWN: usize = 64 * 1024;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("junit", path, opening, |summary, _, out| write(summary, out))))
}

/// The report as XML.
///
/// # Errors
/// `Internal`: the XML writer refused.
pub fn junit(summary: &Summary) -> Result<Vec<u8>> {
    let mut xml = Vec::new();
    write(summary, &mut xml)?;
    Ok(xml)
}

/// Writes one testcase after another: their logs together may be large.
fn write(summary: &Summary, out: &mut dyn Write) -> Result<()> {
    let run = summary.run();
    let mut document = Document::new(if run.id.is_empty() { "xenrt".to_string() } else { printable(&run.id) });
    document.timestamp = run.started.and_then(written);
    document.time = run.took.and_then(|t| seconds_to_duration(t).ok());
    let sheet = Sheet { summary, verdict: summary.verdict() };
    let parts = sheet.parts();
    for part in &parts {
        document.add_test_suite(sheet.counted(part));
        document.test_suites.clear();
    }
    let frame = text_of(&document)?;
    let (head, tail) = cut(&frame, SUITES_END)?;
    let mut put = |text: &str| out.write_all(text.as_bytes()).at("write it");
    put(head)?;
    for part in &parts {
        put("\n    ")?;
        sheet.put(part, &mut put)?;
    }
    put(tail)
}

/// What stands in the document after the last suite, and in a suite after its last testcase.
const SUITES_END: &str = "\n</testsuites>";
const SUITE_END: &str = "\n    </testsuite>";
/// A testcase without a name, which none has. No text can look like an element, as its brackets are escaped.
const NAMELESS: &str = "<testcase name=\"\"/>";

fn text_of(document: &Document) -> Result<String> {
    document.to_string().map_err(|e| Error::new(Kind::Internal, "the JUnit report cannot be written").because(e))
}

/// A text before and from its last `mark`.
fn cut<'a>(text: &'a str, mark: &str) -> Result<(&'a str, &'a str)> {
    let place = text.rfind(mark);
    place
        .map(|place| text.split_at(place))
        .ok_or_else(|| Error::new(Kind::Internal, "the JUnit report has another form than expected"))
}

/// A suite as it stands in the document, without the space before it.
fn suite_text(suite: TestSuite) -> Result<String> {
    let mut document = Document::new("");
    document.test_suites.push(suite);
    let text = text_of(&document)?;
    let (whole, _) = cut(&text, SUITES_END)?;
    Ok(cut(whole, "<testsuite ")?.1.to_string())
}

/// The same of a testcase.
fn test_text(test: TestCase) -> Result<String> {
    let mut suite = TestSuite::new("");
    suite.test_cases.push(test);
    let text = suite_text(suite)?;
    let (whole, _) = cut(&text, SUITE_END)?;
    Ok(cut(whole, "<testcase ")?.1.to_string())
}

/// A suite of the report.
enum Part<'a> {
    /// Testcases without subcases.
    Group { name: &'a str, cases: Vec<&'a Case> },
    /// A testcase with subcases.
    Case(&'a Case),
    /// What is wrong with the run.
    Run(Box<TestSuite>),
}

fn suite(name: &str, summary: &Summary) -> TestSuite {
    let mut suite = TestSuite::new(printable(name));
    let run = summary.run();
    suite.timestamp = run.started.and_then(written);
    let targets = run.targets.join(", ");
    for (name, value) in [("run", &run.id), ("xrt", &run.version), ("machines", &targets)] {
        if !value.is_empty() {
            suite.add_property(property(name, value));
        }
    }
    suite
}

/// What a report is made of.
struct Sheet<'a> {
    summary: &'a Summary,
    verdict: Verdict,
}

impl<'a> Sheet<'a> {
    fn parts(&self) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let mut index = HashMap::new();
        for case in self.summary.cases().iter().filter(|c| c.is_test() || c.is_bad()) {
            if case.is_test() && !case.notes().subcases.is_empty() {
                parts.push(Part::Case(case));
                continue;
            }
            let name = match case.role {
                Role::Action => "actions",
                Role::Cleanup => "clean-ups",
                Role::Testcase if case.id.group().is_empty() => "testcases",
                Role::Testcase => case.id.group(),
            };
            let position = *index.entry((case.role, name)).or_insert(parts.len());
            match parts.get_mut(position) {
                Some(Part::Group { cases, .. }) => cases.push(case),
                _ => parts.push(Part::Group { name, cases: vec![case] }),
            }
        }
        parts.extend(self.suite_of_run().map(|suite| Part::Run(Box::new(suite))));
        parts
    }

    /// A suite without what is in it, and how much that is.
    fn counted(&self, part: &Part<'_>) -> TestSuite {
        let mut suite = match part {
            Part::Case(case) => self.suite_of_case(case),
            Part::Run(suite) => TestSuite::clone(suite),
            Part::Group { name, cases } => {
                let mut suite = suite(name, self.summary);
                let mut took = Duration::ZERO;
                for case in cases {
                    let test = self.bare_test(case);
                    took += test.time.unwrap_or_default();
                    suite.add_test_case(test);
                    suite.test_cases.clear();
                }
                suite.time = Some(took);
                suite
            }
        };
        suite.test_cases.clear();
        suite.system_out = None;
        suite
    }

    fn put(&self, part: &Part<'_>, put: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let cases = match part {
            Part::Case(case) => return put(&suite_text(self.suite_of_case(case))?),
            Part::Run(suite) => return put(&suite_text(TestSuite::clone(suite))?),
            Part::Group { cases, .. } => cases,
        };
        let mut suite = self.counted(part);
        suite.test_cases.push(TestCase::new("", TestCaseStatus::success()));
        let frame = suite_text(suite)?;
        let (head, tail) = cut(&frame, NAMELESS)?;
        put(head)?;
        for (number, case) in cases.iter().enumerate() {
            if number > 0 {
                put("\n        ")?;
            }
            put(&test_text(self.test_of_case(case))?)?;
        }
        put(&tail[NAMELESS.len()..])
    }

    /// A testcase with subcases.
    fn suite_of_case(&self, case: &Case) -> TestSuite {
        let mut suite = suite(case.id.as_str(), self.summary);
        suite.timestamp = case.started.and_then(written).or(suite.timestamp);
        suite.add_properties(properties(case, self.summary));
        let class = class(&[case.id.group(), case.id.name()]);
        let subcases = &case.notes().subcases;
        for subcase in subcases {
            suite.add_test_case(test_of_subcase(subcase, &class));
        }
        let is_told = subcases.iter().any(|s| s.outcome.is_bad()) && case.outcome.is_some();
        if case.is_bad() && !is_told || tries(case).next().is_some() {
            suite.add_test_case(self.test_of_case(case));
        }
        suite.set_system_out(output(case, self.summary));
        suite.time = Some(suite.test_cases.iter().filter_map(|t| t.time).sum());
        suite
    }

    /// Its name, how it ended, and how long it took.
    fn bare_test(&self, case: &Case) -> TestCase {
        let status = match case.outcome {
            Some(outcome) if case.is_cleanup() => cleanup_status(outcome, case.why()),
            Some(outcome) => status(outcome, case.why(), case.failure.as_deref()),
            None => self.unfinished(case),
        };
        let mut test = TestCase::new(printable(case.id.name()), status);
        test.set_time(seconds_to_duration(case.took_until(self.summary.last_at())).unwrap_or_default());
        test
    }

    fn test_of_case(&self, case: &Case) -> TestCase {
        let mut test = self.bare_test(case);
        let status = &mut test.status;
        if let (Some(failure), Some(outcome)) = (&case.failure, case.outcome) {
            status.set_description(card(case.id.as_str(), outcome, failure));
        }
        // What is skipped has no place for them.
        if !matches!(status, TestCaseStatus::Skipped { .. }) {
            status.add_reruns(tries(case).map(|(attempt, outcome)| rerun_of(case, attempt, outcome)));
        }
        test.set_classname(printable(&class(&[case.id.group()])));
        test.timestamp = case.started.and_then(written);
        let place = case.failure.as_ref().and_then(|f| f.frames.last()).map(|f| &f.place);
        let file = place.map_or_else(|| case.file.to_string(), |p| p.file.clone());
        if !file.is_empty() {
            test.extra.insert("file".into(), printable(&file).into());
        }
        if let Some(place) = place {
            test.extra.insert("line".into(), place.line.to_string().into());
        }
        test.add_properties(properties(case, self.summary));
        let output = output(case, self.summary);
        if !output.is_empty() {
            test.set_system_out(output);
        }
        test
    }

    /// A testcase without a result.
    fn unfinished(&self, case: &Case) -> TestCaseStatus {
        let end = if self.verdict == Verdict::Stopped { "the run was stopped" } else { "the run died" };
        let message = match (case.has_begun(), case.phase) {
            (false, _) => format!("never started: {end}"),
            (true, None) => format!("never finished: {end}"),
            (true, Some(phase)) => format!("never finished: {end} while it was in {}", phase.word()),
        };
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("unfinished").set_message(message);
        status
    }

    /// What is wrong with the run, when nothing else in the report says that something is.
    fn suite_of_run(&self) -> Option<TestSuite> {
        let is_told = self.summary.not_passed().any(|c| c.outcome.is_none() || !c.is_cleanup());
        if is_told || matches!(self.verdict, Verdict::Passed | Verdict::NothingRan) {
            return None;
        }
        let message = match self.verdict {
            Verdict::Stopped => "the run was stopped".to_string(),
            Verdict::Incomplete => "the run did not come to its end, or its log is damaged".to_string(),
            verdict => format!("the run says `{}`", verdict.word()),
        };
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type(self.verdict.word()).set_message(message);
        let oddities = self.summary.oddities();
        if !oddities.is_empty() {
            status.set_description(printable(&oddities.join("\n")));
        }
        let mut suite = suite("run", self.summary);
        suite.add_test_case(TestCase::new("run", status));
        suite.time = Some(Duration::ZERO);
        Some(suite)
    }
}

/// The attempts before the last one that had an end of their own.
fn tries(case: &Case) -> impl Iterator<Item = (&Attempt, Outcome)> {
    case.attempts.iter().filter_map(|attempt| Some((attempt, attempt.outcome?)))
}

fn rerun_of(case: &Case, attempt: &Attempt, outcome: Outcome) -> TestRerun {
    let kind = if outcome == Outcome::Failed { NonSuccessKind::Failure } else { NonSuccessKind::Error };
    let mut rerun = TestRerun::new(kind);
    rerun.set_type(attempt.failure.as_ref().map_or(outcome.word(), |f| f.kind.word()));
    rerun.set_message(printable(attempt.why().unwrap_or(outcome.word())));
    rerun.set_time(seconds_to_duration(attempt.took).unwrap_or_default());
    rerun.timestamp = attempt.started.and_then(written);
    if let Some(failure) = &attempt.failure {
        rerun.set_description(card(&format!("{}, attempt {}", case.id, attempt.number), outcome, failure));
    }
    rerun
}

fn test_of_subcase(subcase: &Subcase, class: &str) -> TestCase {
    let name = subcase.full_name();
    let mut status = status(subcase.outcome, subcase.why(), subcase.failure.as_deref());
    if let Some(failure) = &subcase.failure {
        status.set_description(card(&name, subcase.outcome, failure));
    }
    let mut test = TestCase::new(printable(&name), status);
    test.set_classname(printable(class));
    test.set_time(seconds_to_duration(subcase.took).unwrap_or_default());
    test
}

fn status(outcome: Outcome, why: Option<&str>, failure: Option<&Failure>) -> TestCaseStatus {
    let (mut status, usual) = match outcome {
        Outcome::Passed | Outcome::Partial | Outcome::Flaky => return TestCaseStatus::success(),
        Outcome::Skipped => (TestCaseStatus::skipped(), "skipped"),
        Outcome::Failed => (TestCaseStatus::non_success(NonSuccessKind::Failure), "failed"),
        Outcome::Errored => (TestCaseStatus::non_success(NonSuccessKind::Error), "errored"),
        Outcome::Blocked => (TestCaseStatus::non_success(NonSuccessKind::Error), "blocked"),
    };
    status.set_type(failure.map_or(usual, |f| f.kind.word()));
    status.set_message(printable(why.unwrap_or(usual)));
    status
}

/// A clean-up that went wrong: to be seen, without turning anything red.
fn cleanup_status(outcome: Outcome, why: Option<&str>) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    status.set_type(outcome.word()).set_message(printable(&format!("the clean-up {}, which does not count{why}", outcome.word())));
    status
}

/// Arguments, values, machines, and the command that runs it again.
fn properties(case: &Case, summary: &Summary) -> Vec<Property> {
    let mut all = Vec::new();
    if !case.title.is_empty() {
        all.push(property("title", &case.title));
    }
    if let Some(outcome @ (Outcome::Partial | Outcome::Flaky)) = case.outcome {
        all.push(property("outcome", outcome.word()));
    }
    if let Some(overridden) = &case.overridden {
        let own = overridden.own.as_ref().map(|own| format!("; it had {}", own.0.word())).unwrap_or_default();
        let value = format!("{} by {} at {}{own}", overridden.outcome.word(), overridden.by, overridden.at.log_form());
        all.push(property("overridden", &value));
    }
    if let Some(priority) = case.priority {
        all.push(property("priority", &priority.to_string()));
    }
    for (name, value) in [("tc", &case.tc), ("sku", &case.sku)] {
        if let Some(value) = value {
            all.push(property(name, value));
        }
    }
    for (name, value) in &case.args {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        all.push(property(&format!("arg.{name}"), &value));
    }
    for metric in &case.notes().metrics {
        let value = format!("{} {}", show_number(metric.value), metric.unit);
        all.push(property(&format!("value.{}", metric.name), value.trim_end()));
    }
    for comparison in &case.notes().comparisons {
        let value = format!("{}: {}", comparison.change.word(), comparison.text);
        all.push(property(&format!("compared.{}", comparison.name), &value));
    }
    let again = rerun::of_case(case, summary.run());
    if case.is_bad() && !again.is_empty() {
        all.push(property("rerun", &text::shell_line(&again)));
    }
    all
}

/// Warnings, the end of the log, and the files that were saved.
fn output(case: &Case, summary: &Summary) -> String {
    let notes = case.notes();
    let mut out = String::new();
    if notes.cut > 0 {
        out.push_str(&format!("({} earlier entries are in the log)\n", notes.cut));
    }
    for entry in &notes.tail {
        Entry::write(entry, &mut out);
    }
    if out.len() > LOG_SHOWN {
        let from = out.ceil_char_boundary(out.len() - LOG_SHOWN);
        out.replace_range(..from, "…");
    }
    let earlier = case.attempts.iter().filter(|a| a.dir != case.dir).map(|a| (&a.dir, a.notes()));
    let last = case.started.map(|_| (&case.dir, notes));
    for (dir, notes) in earlier.chain(last) {
        let log = dir.join("xenrt.log");
        for path in [&log].into_iter().chain(notes.files.iter().map(|f| &f.path)) {
            // The form by which Jenkins and GitLab find attached files.
            out.push_str(&format!("[[ATTACHMENT|{}]]\n", printable(&summary.run().results.join(path).display().to_string())));
        }
    }
    out
}

fn card(title: &str, outcome: Outcome, failure: &Failure) -> String {
    failure_card(&Card { title, outcome, failure, hints: &[] }, &Options::default())
}

fn property(name: &str, value: &str) -> Property {
    Property::new(printable(name), printable(value))
}

/// "xrt.disk.iometer": what CI systems take for a tree.
fn class(parts: &[&str]) -> String {
    let named: Vec<String> = parts.iter().filter(|p| !p.is_empty()).map(|p| p.replace('/', ".")).collect();
    if named.is_empty() { "testcases".into() } else { named.join(".") }
}

/// The time as the document has it; the type is the writer's.
fn written<T: std::str::FromStr>(at: Timestamp) -> Option<T> {
    at.to_string().parse().ok()
}
