//! JUnit XML: what a program prints about its tests.
//!
//! Entities are never looked up, nesting and size are bounded, and a suite that says it has more than is there is an error of its own.

use super::part::{self, Part};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Outcome;
use junit_parser::{TestCase, TestStatus, TestSuite};

/// The parser calls itself for a suite within a suite.
const DEEPEST: usize = 100;

/// Names of a document's outermost element.
const ROOTS: [&str; 3] = ["testsuites", "testsuite", "testrun"];

/// Whether a text means to be JUnit XML. Other XML is not.
pub fn is_meant(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match first_element(text) {
        Some(name) => ROOTS.contains(&name),
        None => text.starts_with("<?xml"),
    }
}

/// Reads the tests of one or more documents, one after the other.
///
/// # Errors
/// `Malformed`, blamed on the author, with the line.
pub fn read(text: &str) -> Result<Vec<Part>> {
    let text = text.trim_start_matches('\u{feff}');
    check_depth(text)?;
    let mut parts = Vec::new();
    let mut rest = text.as_bytes();
    while rest.iter().any(|b| !b.is_ascii_whitespace()) {
        let suites = junit_parser::from_reader(&mut rest).map_err(|e| malformed(text, text.len() - rest.len(), &causes(&e)))?;
        check_counts(&suites.name, suites.tests, suites.failures.saturating_add(suites.errors), &suites.suites, &mut parts);
        for suite in &suites.suites {
            add_suite(suite, "", &mut parts);
        }
        if parts.len() > part::MOST {
            return Err(malformed(text, text.len() - rest.len(), &format!("more than {} tests", part::MOST)));
        }
        let read = text.len() - rest.len();
        if let Some(at) = rest.iter().position(|b| !b.is_ascii_whitespace()).filter(|at| rest[*at] != b'<') {
            return Err(malformed(text, read + at, "expected the end, or another document"));
        }
    }
    part::tell_apart(&mut parts);
    Ok(parts)
}

fn malformed(text: &str, at: usize, what: &str) -> Error {
    let line = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
    Error::new(Kind::Malformed, format!("the JUnit XML on its output cannot be read: stdout.txt:{line}: {what}"))
        .blame(Blame::Author)
        .help("print the whole document, and nothing else, on the standard output")
}

fn causes(error: &dyn std::error::Error) -> String {
    let inner = std::iter::successors(Some(error), |e| e.source());
    let mut all: Vec<String> = inner.map(ToString::to_string).collect();
    all.dedup();
    all.join(": ")
}

/// The name of the first element, past declarations and comments.
fn first_element(mut text: &str) -> Option<&str> {
    loop {
        text = text.trim_start();
        let end = match text.get(..2)? {
            "<?" => "?>",
            "<!" if text.starts_with("<!--") => "-->",
            "<!" if text.split('>').next().is_some_and(|t| t.contains('[')) => "]>",
            "<!" => ">",
            _ => break,
        };
        text = &text[text.find(end)? + end.len()..];
    }
    let name = text.strip_prefix('<')?;
    Some(&name[..name.find(|c: char| c.is_whitespace() || c == '>' || c == '/')?])
}

fn check_depth(text: &str) -> Result<()> {
    let mut depth = 0_usize;
    for (at, _) in text.match_indices("testsuite") {
        let (before, after) = (&text[..at], &text[at + "testsuite".len()..]);
        if !after.starts_with(|c: char| c.is_whitespace() || c == '>') {
            continue;
        }
        if before.ends_with("</") {
            depth = depth.saturating_sub(1);
        } else if before.ends_with('<') && !after.split('>').next().is_some_and(|tag| tag.ends_with('/')) {
            depth += 1;
        }
        if depth > DEEPEST {
            return Err(malformed(text, at, &format!("suites are nested more than {DEEPEST} deep")));
        }
    }
    Ok(())
}

fn add_suite(suite: &TestSuite, above: &str, parts: &mut Vec<Part>) {
    let path = joined(above, &suite.name);
    check_counts(&path, suite.tests, suite.failures.saturating_add(suite.errors), std::slice::from_ref(suite), parts);
    for case in &suite.cases {
        parts.push(part_of(case, &path, &suite.name));
    }
    for inner in &suite.suites {
        add_suite(inner, &path, parts);
    }
}

/// What a suite says of itself may be less than it holds (some producers count without inner suites), never more.
fn check_counts(path: &str, tests: u64, bad: u64, suites: &[TestSuite], parts: &mut Vec<Part>) {
    let (held, held_bad) = suites.iter().map(counted).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let mut complain = |what: String| parts.push(Part::new(path, "JUnit", Outcome::Errored, what));
    if tests > held {
        complain(format!("says it has {tests} tests, has {held}"));
    }
    // A test with a failure and an error is one test and may be counted twice.
    if bad > 0 && held_bad == 0 {
        complain(format!("says {bad} tests failed, has none that did"));
    }
}

/// How many tests a suite holds, and how many of them did not pass.
fn counted(suite: &TestSuite) -> (u64, u64) {
    let bad = suite.cases.iter().filter(|c| c.status.is_failure() || c.status.is_error()).count();
    suite.suites.iter().map(counted).fold((suite.cases.len() as u64, bad as u64), |all, one| (all.0 + one.0, all.1 + one.1))
}

fn joined(above: &str, name: &str) -> String {
    match (above, name) {
        ("", name) => name.to_string(),
        (above, "") => above.to_string(),
        (above, name) => format!("{above}/{name}"),
    }
}

fn part_of(case: &TestCase, path: &str, suite: &str) -> Part {
    let class = case.classname.as_deref().or(case.group.as_deref()).unwrap_or_default();
    let group = if class == suite { path.to_string() } else { joined(path, class) };
    let name = if case.original_name.is_empty() { "test" } else { &case.original_name };
    let (outcome, sort, message, text) = match &case.status {
        TestStatus::Success => (Outcome::Passed, "", "", ""),
        TestStatus::Failure(f) => (Outcome::Failed, f.failure_type.as_str(), f.message.as_str(), f.text.as_str()),
        TestStatus::Error(e) => (Outcome::Errored, e.error_type.as_str(), e.message.as_str(), e.text.as_str()),
        TestStatus::Skipped(s) => (Outcome::Skipped, s.skipped_type.as_str(), s.message.as_str(), s.text.as_str()),
    };
    let first = |text: &str| text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default().to_string();
    let reason = [message, text, sort].into_iter().map(first).find(|r| !r.is_empty()).unwrap_or_default();
    let mut part = Part::new(&group, name, outcome, reason);
    part.took = if case.time.is_finite() { case.time.max(0.0) } else { 0.0 };
    let outputs = [("", Some(text)), ("stdout:\n", case.system_out.as_deref()), ("stderr:\n", case.system_err.as_deref())];
    for (word, output) in outputs.into_iter().filter_map(|(word, output)| output.map(|o| (word, o.trim()))) {
        if !output.is_empty() && outcome.is_bad() {
            part.data.push_str(&format!("{}{word}{output}", if part.data.is_empty() { "" } else { "\n" }));
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |p: Part| format!("{} {}|{}|{}", p.outcome.word(), p.group, p.name, p.reason);
        match read(text) {
            Ok(parts) => parts.into_iter().map(show).collect::<Vec<_>>().join("\n"),
            Err(error) => error.what,
        }
    }

    #[test]
    fn only_junit_is_taken_for_it() {
        for text in [
            "<testsuite/>",
            "\u{feff}<?xml version='1.0'?>\n<!-- x --><testsuites>",
            "<?xml",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><testrun>",
        ] {
            assert!(is_meant(text), "{text}");
        }
        for text in ["", "<", "<!", "<html>", "<?xml version='1.0'?><html/>", "ok", "text <testsuite/>", "<testsuitex>", "<tést"] {
            assert!(!is_meant(text), "{text}");
        }
    }

    #[test]
    fn tests_come_with_their_suites_and_results() {
        let text = r#"<?xml version="1.0"?>
<testsuites tests="6" failures="1" errors="1">
  <testsuite name="unit" tests="5">
    <testcase name="a" classname="unit" time="1.5"/>
    <testcase name="b" classname="pkg.Class"><failure message="1 &lt; 2" type="E">trace
here</failure><system-out>said</system-out></testcase>
    <testcase name="c"><error><![CDATA[
 broken <badly>]]></error></testcase>
    <testcase name="c"><skipped/></testcase>
    <testcase><skipped message="not here"/></testcase>
    <testsuite name="inner"><testcase name="d" time="NaN"/></testsuite>
  </testsuite>
</testsuites>"#;
        assert_eq!(
            shown(text),
            "passed unit|a|\nfailed unit/pkg.Class|b|1 < 2\nerrored unit|c|broken <badly>\nskipped unit|c#2|\nskipped unit|test|not here\npassed unit/inner|d|"
        );
        let parts = read(text).unwrap();
        assert_eq!((parts[0].took, parts[5].took), (1.5, 0.0));
        assert_eq!(parts[1].data, "trace\nhere\nstdout:\nsaid");
        assert_eq!(
            shown("<testsuite><testcase name='a'/></testsuite>\n<testsuite><testcase name='b'/></testsuite>\n"),
            "passed |a|\npassed |b|"
        );
        assert_eq!(shown("<testsuites/>"), "");
    }

    #[test]
    fn a_suite_that_promises_more_than_it_has_is_an_error() {
        assert_eq!(
            shown("<testsuite name='s' tests='3'><testcase name='a'/></testsuite>"),
            "errored s|JUnit|says it has 3 tests, has 1\npassed s|a|"
        );
        let hidden = "<testsuite failures='1'><testcase name='a'><failure/><skipped/></testcase></testsuite>";
        assert_eq!(shown(hidden), "errored |JUnit|says 1 tests failed, has none that did\nskipped |a|");
    }

    #[test]
    fn hostile_documents_are_errors_with_their_line() {
        let deep = "<testsuite>\n".repeat(100_000);
        for (text, what) in [
            ("<testsuite>\n<testcase name='a'>\n", "stdout.txt:3: Unexpected end of XML"),
            ("<testsuite>\n</wrong>", "stdout.txt:2: Error while parsing XML"),
            ("<testsuite tests='many'/>", "stdout.txt:1: Error while converting u64"),
            ("<?xml version='1.0'?>\n", "stdout.txt:2: Unexpected end"),
            ("<testsuite/>\nAll done.\n", "stdout.txt:2: expected the end, or another document"),
            ("<!DOCTYPE a [<!ENTITY x 'yyyy'>]>\n<testsuite name='&x;&x;'/>", "stdout.txt:2: "),
            (deep.as_str(), "stdout.txt:101: suites are nested"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.what.contains(what), "{}", error.what);
            assert_eq!((error.kind, error.blame), (Kind::Malformed, Blame::Author));
        }
        let external = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><testsuite><testcase name='a'><failure>&x;</failure></testcase></testsuite>";
        assert!(!shown(external).contains("root"), "{}", shown(external));
        let closed = format!("<testsuites>{}</testsuites>", "<testsuite name='s'/>".repeat(500));
        assert_eq!(shown(&closed), "");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(<|</|>|/>|testsuites?|testcase|failure| name='| tests='|'|&lt;|&x;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|\\PC){0,40}") {
            let _ = (is_meant(&text), read(&text));
        }
    }
}
