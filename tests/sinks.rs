//! The reports that programs read: each well formed whatever happened, read back where there is a reader.

use crate::support::skip::skip;
use crate::support::story::{Story, failure};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xenrt::event::{Event, Fact, Level, Outcome, Phase, Role, Sink, Verdict};
use xenrt::report::{Opening, Options, Reports, Summary, open};
use xenrt::run::tap;

fn opening(results: &Path) -> Opening {
    Opening { results: results.into(), options: Options::default(), stream: || Box::new(std::io::sink()), screen: || None }
}

fn told(reports: &mut Reports, events: &[Event]) {
    events.iter().for_each(|event| reports.on_event(event).unwrap());
}

/// What a report makes of a story, and the summary of it.
fn made(word: &str, story: &Story) -> (String, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    let spec = format!("{word}:{}", path.display());
    let mut reports = Reports::new(vec![open(&spec, &opening(dir.path())).unwrap()]);
    told(&mut reports, &story.events);
    let errors = reports.close();
    assert!(errors.is_empty(), "{errors:?}");
    let summary = std::mem::take(&mut *reports.summary().lock().unwrap());
    (fs::read_to_string(path).unwrap(), summary)
}

/// One testcase of each sort: with subcases, blamed, blocked, cut off, skipped, and a clean-up that went wrong.
fn unhappy() -> Story {
    let mut story = Story::plan(&["storage/matrix", "storage/alone", "lone", "net/ping", "tidy", "storage/late"]);
    if let Fact::RunStarted(beginning) = &mut story.events[0].fact {
        beginning.plan[4].role = Role::Cleanup;
    }
    story.start("storage/matrix");
    let value =
        |name: &str, value, unit: &str| Fact::Measured { name: name.into(), value, unit: unit.into(), better: None, spread: None };
    story.tell("storage/matrix", value("IOPS", 1250.0, "1/s"));
    story.tell("storage/matrix", Fact::Logged { level: Level::Warning, text: "slow: ]]> | `x`\n  ...\nnot ok".into() });
    story.subcase("storage/matrix", "nfs", "create # SKIP \\", Outcome::Passed, None);
    story.subcase("storage/matrix", "nfs", "resize", Outcome::Failed, Some("SR_BACKEND <\x01&> \"40\"\n  ...\n---"));
    story.subcase("storage/matrix", "", "bare", Outcome::Skipped, Some("no disk"));
    story.after(5.0).end("storage/matrix", Outcome::Failed, Some("1 subcase failed"));
    story.start("storage/alone").after(1.0).fail("storage/alone", failure());
    story.end("lone", Outcome::Blocked, Some("blocked by storage/alone, failed"));
    story.end("net/ping", Outcome::Skipped, Some("needs two guests # really"));
    story.start("tidy").after(0.5).end("tidy", Outcome::Errored, Some("no machine"));
    story.start("storage/late").tell("storage/late", Fact::PhaseStarted { phase: Phase::Run });
    story.after(2.0).tell("storage/late", Fact::Logged { level: Level::Step, text: "still at it".into() });
    story
}

fn happy() -> Story {
    let mut story = Story::plan(&["a", "g/b"]);
    story.start("a").after(0.25).end("a", Outcome::Passed, None);
    story.start("g/b").subcase("g/b", "", "one", Outcome::Passed, None).end("g/b", Outcome::Partial, Some("only an estimate"));
    story.over(Verdict::Passed)
}

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

/// What some format would trip over, a part between each two marks.
const NASTY: &str = "]]>¦|¦\n¦\r\n¦\x1b[2J¦`¦```¦<script>¦<!-- ¦ # SKIP¦# TODO x¦\\¦\"¦'¦::error::¦%0A¦...¦---¦\0¦\u{85}¦\u{2028}¦\u{202e}¦\u{ffff}\
    ¦\n    not ok 3 - x¦\nBail out!¦\n1..0¦##[error]¦@user¦&amp;¦$x$¦* ¦_¦[a](b)¦日本¦é¦ ¦a¦Z¦/¦0¦:¦,¦~~~¦\t¦# ¦> ¦1. ¦');DROP TABLE runs;--¦\
    TAP version 14";

fn nasty() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(NASTY.split('¦').collect::<Vec<_>>()), 0..6).prop_map(|parts| parts.concat())
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let outcome = || prop::sample::select(Outcome::ALL.to_vec());
    let number = || prop::sample::select(vec![0.0, 1.5, -3.0, 1e300, f64::NAN, f64::INFINITY, 0.1 + 0.2]);
    let ended = (outcome(), prop::option::of(nasty()), number(), prop::bool::weighted(0.2), nasty());
    let ended = ended.prop_map(|(outcome, reason, took, has_failure, text)| {
        let mut blamed = failure();
        blamed.frames[0].place.file.clone_from(&text);
        (blamed.message, blamed.data) = (text.clone(), Some(text));
        Fact::CaseFinished { outcome, reason, took, failure: has_failure.then(|| Box::new(blamed)), block: None }
    });
    let verdicts =
        vec![Verdict::Passed, Verdict::Failed, Verdict::Errored, Verdict::NothingRan, Verdict::Stopped, Verdict::Incomplete];
    prop_oneof![
        8 => ended,
        3 => nasty().prop_map(|text| Fact::CaseStarted {
            args: [(text.clone(), text.into())].into(), timeout: None, dir: PathBuf::from("d"), attempt: 1, lane: 0
        }),
        1 => (1..4u32, outcome(), nasty()).prop_map(|(attempt, outcome, text)| Fact::AttemptFinished {
            attempt, outcome, reason: Some(text), took: 1.0, failure: None
        }),
        3 => (nasty(), nasty(), outcome(), prop::option::of(nasty()), number()).prop_map(|(group, name, outcome, reason, took)| {
            Fact::Subcase { group, name, outcome, reason, took, failure: None }
        }),
        2 => (nasty(), number(), nasty()).prop_map(|(name, value, unit)| {
            Fact::Measured { name, value, unit, better: None, spread: None }
        }),
        2 => (prop::sample::select(vec![Level::Warning, Level::Comment, Level::Reason]), nasty())
            .prop_map(|(level, text)| Fact::Logged { level, text }),
        1 => prop::sample::select(verdicts).prop_map(|verdict| Fact::RunFinished { verdict, took: 1.0 }),
    ]
}

prop_compose! {
    /// Any order of any facts, about testcases with any names.
    fn any_story()(
        ids in prop::collection::vec(nasty(), 0..4),
        cleanup in any::<bool>(),
        facts in prop::collection::vec((0..5usize, any_fact()), 0..25),
        verdict in prop::option::of(prop::sample::select(vec![Verdict::Passed, Verdict::Failed])),
    ) -> Story {
        let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        if let (Fact::RunStarted(beginning), true) = (&mut story.events[0].fact, cleanup)
            && let Some(last) = beginning.plan.last_mut()
        {
            last.role = Role::Cleanup;
        }
        for (whose, fact) in facts {
            story.tell(ids.get(whose).map_or("", String::as_str), fact);
        }
        match verdict {
            Some(verdict) => story.over(verdict),
            None => story,
        }
    }
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
