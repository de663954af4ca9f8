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
use crate::error::{Error, Kind, Result};
use crate::event::{Failure, Outcome, Role, Verdict};
use crate::time::Timestamp;
use crate::unit::{seconds_to_duration, show_number};
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestRerun, TestSuite};
use std::collections::HashMap;
use std::path::Path;

/// How much of a log stands in the report, in bytes.
const LOG_SHOWN: usize = 64 * 1024;

pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    Ok(Box::new(Written::new("junit", path, opening, |summary, _| junit(summary))))
}

/// The report as XML.
///
/// # Errors
/// `Internal`: the XML writer refused.
pub fn junit(summary: &Summary) -> Result<Vec<u8>> {
    let run = summary.run();
    let mut document = Document::new(if run.id.is_empty() { "xenrt".to_string() } else { printable(&run.id) });
    document.timestamp = run.started.and_then(written);
    document.time = run.took.and_then(|t| seconds_to_duration(t).ok());
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut index = HashMap::new();
    let sheet = Sheet { summary, verdict: summary.verdict() };
    for case in summary.cases().iter().filter(|c| c.is_test() || c.is_bad()) {
        if case.is_test() && !case.notes().subcases.is_empty() {
            suites.push(sheet.suite_of_case(case));
            continue;
        }
        let group = match case.role {
            Role::Action => "actions",
            Role::Cleanup => "clean-ups",
            Role::Testcase if case.id.group().is_empty() => "testcases",
            Role::Testcase => case.id.group(),
        };
        let position = *index.entry((case.role, group)).or_insert(suites.len());
        if position == suites.len() {
            suites.push(suite(group, summary));
        }
        suites[position].add_test_case(sheet.test_of_case(case));
    }
    for mut suite in suites {
        suite.time = Some(suite.test_cases.iter().filter_map(|t| t.time).sum());
        document.add_test_suite(suite);
    }
    if let Some(suite) = sheet.suite_of_run() {
        document.add_test_suite(suite);
    }
    let mut xml = Vec::new();
    document.serialize(&mut xml).map_err(|e| Error::new(Kind::Internal, "the JUnit report cannot be written").because(e))?;
    Ok(xml)
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

impl Sheet<'_> {
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
        suite
    }

    fn test_of_case(&self, case: &Case) -> TestCase {
        let mut status = match case.outcome {
            Some(outcome) if case.is_cleanup() => cleanup_status(outcome, case.why()),
            Some(outcome) => status(outcome, case.why(), case.failure.as_deref()),
            None => self.unfinished(case),
        };
        if let (Some(failure), Some(outcome)) = (&case.failure, case.outcome) {
            status.set_description(card(case.id.as_str(), outcome, failure));
        }
        // What is skipped has no place for them.
        if !matches!(status, TestCaseStatus::Skipped { .. }) {
            status.add_reruns(tries(case).map(|(attempt, outcome)| rerun_of(case, attempt, outcome)));
        }
        let mut test = TestCase::new(printable(case.id.name()), status);
        test.set_classname(printable(&class(&[case.id.group()])));
        test.timestamp = case.started.and_then(written);
        test.set_time(seconds_to_duration(case.took_until(self.summary.last_at())).unwrap_or_default());
        let place = case.failure.as_ref().and_then(|f| f.frames.last()).map(|f| &f.place);
        let file = place.map_or_else(|| case.file.display().to_string(), |p| p.file.clone());
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
