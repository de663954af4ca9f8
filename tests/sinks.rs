//! The reports that programs read: each well formed whatever happened, read back where there is a reader.

use crate::support::skip::skip;
use crate::support::stories::{any_story, happy, made, opening, told, unhappy};
use crate::support::story::Story;
use proptest::prelude::*;
use std::fs;
use std::process::Command;
use xenrt::event::{Fact, Outcome, Sink, Verdict};
use xenrt::report::{Reports, open};
use xenrt::run::tap;

fn read_tap(text: &str) -> tap::Tap {
    tap::read(text.lines().map(|l| Ok::<_, ()>(l.to_string()))).unwrap().expect("TAP")
}

#[test]
fn tap_has_a_point_for_everything_planned() {
    insta::assert_snapshot!(made("tap", &unhappy()).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    # Subtest: storage/matrix
        1..3
        ok 1 - nfs/create \# SKIP \\
          ---
          duration_ms: 1500.000
          ...
        not ok 2 - nfs/resize
          ---
          outcome: "failed"
          message: "SR_BACKEND <␁&> \"40\"\n  ...\n---"
          duration_ms: 1500.000
          ...
        ok 3 - bare # SKIP no disk
          ---
          outcome: "skipped"
          message: "no disk"
          duration_ms: 1500.000
          ...
    not ok 1 - storage/matrix
      ---
      outcome: "failed"
      message: "1 subcase failed"
      duration_ms: 5000.000
      values:
        - "IOPS = 1250 1/s"
      warnings:
        - "slow\x3a ]]> | `x`\n  ...\nnot ok"
      ...
    not ok 2 - storage/alone
      ---
      outcome: "failed"
      message: "the guest did not really reboot"
      duration_ms: 1000.000
      kind: "assertion"
      blame: "product"
      file: "scripts/lib/boot.rhai"
      line: 13
      causes:
        - "boot id is the same"
      data: |
        before: 4f1c9a
        after:  4f1c9a
      help: "look at the guest's console"
      ...
    not ok 3 - lone
      ---
      outcome: "blocked"
      message: "blocked by storage/alone, failed"
      duration_ms: 0.000
      ...
    ok 4 - net/ping # SKIP needs two guests # really
      ---
      outcome: "skipped"
      message: "needs two guests # really"
      duration_ms: 0.000
      ...
    not ok 5 - tidy # TODO a clean-up does not count
      ---
      outcome: "errored"
      message: "no machine"
      duration_ms: 500.000
      ...
    not ok 6 - storage/late
      ---
      outcome: "unfinished"
      message: "never finished: the run did not come to its end, or its log is damaged"
      duration_ms: 2000.000
      ...
    1..6
    # verdict: incomplete
    Bail out! the run did not come to its end, or its log is damaged
    "#);
    insta::assert_snapshot!(made("tap", &happy()).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    ok 1 - a
      ---
      duration_ms: 250.000
      ...
    # Subtest: g/b
        1..1
        ok 1 - one
          ---
          duration_ms: 1500.000
          ...
    ok 2 - g/b
      ---
      outcome: "partial"
      message: "only an estimate"
      duration_ms: 0.000
      ...
    1..2
    # verdict: passed
    "#);
    insta::assert_snapshot!(made("tap", &Story::plan(&[]).over(Verdict::NothingRan)).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    1..0 # SKIP nothing was planned
    # verdict: nothing_ran
    "#);
}

#[test]
fn tap_is_read_back_by_our_own_reader() {
    let read = read_tap(&made("tap", &unhappy()).0);
    let all: Vec<String> =
        read.tests.iter().map(|t| format!("{} {}/{}: {}", t.outcome.word(), t.group, t.name, t.reason)).collect();
    assert_eq!(
        all,
        [
            r"passed storage/matrix/nfs/create # SKIP \: ",
            "failed storage/matrix/nfs/resize: not ok",
            "skipped storage/matrix/bare: no disk",
            "failed /storage/matrix: not ok",
            "failed /storage/alone: not ok",
            "failed /lone: not ok",
            "skipped /net/ping: needs two guests # really",
            "passed /tidy: not ok, as expected a clean-up does not count",
            "failed /storage/late: not ok",
        ]
    );
    let problems: Vec<&str> = read.problems.iter().map(|p| p.reason.as_str()).collect();
    assert_eq!(problems, ["the program bailed out: the run did not come to its end, or its log is damaged"]);
    assert_eq!(read.tests[4].took, 1.0);
}

/// What Perl's own reader says of a text: a line a test, then what it makes of the whole.
const PERL: &str = r#"
use TAP::Parser;
my $text = do { local $/; <STDIN> };
# Versions of the reader before 3.45 know no version 14, which differs only in what they pass over.
$text =~ s/^TAP version 14/TAP version 13/ if $TAP::Parser::VERSION < 3.45;
my $parser = TAP::Parser->new({ tap => $text });
while (my $r = $parser->next) {
    if ($r->is_test) { printf "%s %d %s%s%s\n", $r->is_actual_ok ? "ok" : "not ok", $r->number, $r->description,
        $r->has_skip ? " SKIP " . $r->explanation : "", $r->has_todo ? " TODO " . $r->explanation : "" }
    elsif ($r->is_yaml) { my $d = $r->data; print "  $_=", (ref $d->{$_} ? join("|", @{ $d->{$_} }) : $d->{$_}) =~ s/\n/~/gr, "\n" for grep { /message|data/ } sort keys %$d }
    elsif ($r->is_bailout) { print "bail out: ", $r->explanation, "\n" }
}
printf "planned %s, ran %d, failed %s, errors %s\n", $parser->tests_planned // "none", $parser->tests_run, join(",", $parser->failed), join("; ", $parser->parse_errors);
"#;

/// What Perl makes of TAP; nothing where there is no Perl that reads it.
fn perl_reads(text: &str) -> Option<String> {
    use std::io::Write;
    let mut perl = Command::new("perl");
    perl.args(["-CSD", "-e", PERL]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = perl.spawn().ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tap_is_read_by_perl() {
    let Some(read) = perl_reads(&made("tap", &unhappy()).0) else { return skip("XRT_REQUIRE_PERL", "no perl with TAP::Parser") };
    insta::assert_snapshot!(read, @r#"
      message=SR_BACKEND <␁&> "40"~  ...~---
      message=no disk
    not ok 1 - storage/matrix
      message=1 subcase failed
    not ok 2 - storage/alone
      data=before: 4f1c9a~after:  4f1c9a~
      message=the guest did not really reboot
    not ok 3 - lone
      message=blocked by storage/alone, failed
    ok 4 - net/ping SKIP needs two guests # really
      message=needs two guests # really
    not ok 5 - tidy TODO a clean-up does not count
      message=no machine
    not ok 6 - storage/late
      message=never finished: the run did not come to its end, or its log is damaged
    bail out: the run did not come to its end, or its log is damaged
    planned 6, ran 6, failed 1,2,3,6, errors
    "#);
    insta::assert_snapshot!(perl_reads(&made("tap", &happy()).0).unwrap(), @r#"
    ok 1 - a
    ok 2 - g/b
      message=only an estimate
    planned 2, ran 2, failed , errors
    "#);
    let mut cut = made("tap", &happy()).0;
    cut.truncate(cut.find("# Subtest").unwrap());
    insta::assert_snapshot!(perl_reads(&cut).unwrap(), @r#"
    ok 1 - a
    planned none, ran 1, failed , errors No plan found in TAP output
    "#);
}

#[test]
fn tap_is_written_as_testcases_finish_and_over_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tap");
    let spec = format!("tap:{}", path.display());
    for _ in 0..2 {
        let mut reports = Reports::new(vec![open(&spec, &opening(dir.path())).unwrap()]);
        let story = happy();
        let first = story.events.iter().position(|e| matches!(e.fact, Fact::CaseFinished { .. })).unwrap();
        told(&mut reports, &story.events[..=first]);
        reports.on_tick().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("ok 1 - a\n") && !text.contains("1..") && !text.contains("g/b"), "{text}");
        told(&mut reports, &story.events[first + 1..]);
        assert!(reports.close().is_empty());
        assert!(fs::read_to_string(&path).unwrap().ends_with("1..2\n# verdict: passed\n"));
    }
    fs::write(&path, "a diary").unwrap();
    assert!(open(&spec, &opening(dir.path())).err().unwrap().what.contains("t.tap"), "what is no TAP is not overwritten");
}

#[test]
fn tap_of_a_resumed_run_has_the_last_result_of_each() {
    let mut story = Story::plan(&["a", "b"]);
    story.start("a").end("a", Outcome::Failed, Some("no")).start("b");
    let again = vec![xenrt::name::CaseId::new("a")];
    story.after(60.0).tell("", Fact::RunResumed { version: "0.1.0".into(), command: vec![], again });
    story.start("b").end("b", Outcome::Passed, None).start("a").end("a", Outcome::Passed, None);
    let read = read_tap(&made("tap", &story.over(Verdict::Passed)).0);
    let all: Vec<(&str, Outcome)> = read.tests.iter().map(|t| (t.name.as_str(), t.outcome)).collect();
    assert_eq!((all, read.problems.len()), (vec![("b", Outcome::Passed), ("a", Outcome::Passed)], 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_gives_whole_tap(story in any_story()) {
        let (text, summary) = made("tap", &story);
        let read = read_tap(&text);
        let problems: Vec<&str> = read.problems.iter().map(|p| p.reason.as_str()).collect();
        prop_assert!(problems.iter().all(|p| p.starts_with("the program bailed out")), "{problems:?}\n{text}");
        prop_assert!(read.tests.len() >= summary.cases().len(), "{text}");
        let is_green = problems.is_empty() && read.tests.iter().all(|t| !t.outcome.is_bad());
        prop_assert!(!is_green || matches!(summary.verdict(), Verdict::Passed | Verdict::NothingRan), "{:?}\n{text}", summary.verdict());
        prop_assert!(is_green || summary.verdict() != Verdict::Passed, "{text}");
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_gives_tap_that_perl_reads(stories in prop::collection::vec(any_story(), 12)) {
        for story in stories {
            let (text, summary) = made("tap", &story);
            // That it is there at all is told where a fixed story is read.
            let Some(read) = perl_reads(&text) else { return Ok(()) };
            let end = format!("planned {0}, ran {0}, ", summary.cases().len());
            let last = read.lines().last().unwrap_or_default();
            prop_assert!(last.starts_with(&end) && last.ends_with("errors "), "{read}\n{text}");
        }
    }
}
