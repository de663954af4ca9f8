//! What people read about a run of a sequence: groups, blocks, filters, attempts, clean-ups, verdicts, runs that were resumed.

use crate::reports::{console, summary_of};
use crate::support::story::{Story, plain_failure};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use xenrt::error::Blame;
use xenrt::event::log::LogReader;
use xenrt::event::{Beginning, Better, Block, Change, Comparison, Criteria, Fact, Failure, Level, Outcome, Sink, Verdict};
use xenrt::name::CaseId;
use xenrt::report::{Opening, Options, Reports, SINKS, Summary, TestLogs, Verbosity, html, junit, open, replay};

/// A sequence in which about everything happens.
pub fn eventful() -> Story {
    let plan = "
action prepare
serial Install blocker
  Install/debian blocker tc=TC-100 sku=2
  Install/agent
  finally Install/remove
parallel Run 2
  Run/boot P2
  Run/migrate P2
  Run/suspend
";
    let criteria = Criteria { rates: vec![100.0, 40.0], ..Criteria::default() };
    let mut story = Story::of(Beginning { seed: Some(4711), criteria, ..Story::beginning(plan) });
    story.tell("", Fact::StepStarted { step: 0 });
    story.start("prepare").after(242.0).end("prepare", Outcome::Passed, None);
    story.tell("", Fact::StepStarted { step: 1 });
    story.start("Install/debian").after(41.0).end("Install/debian", Outcome::Passed, None);
    story.start("Install/agent").after(3.0).retry("Install/agent", 1, plain_failure("no answer on port 8936"));
    story.attempt("Install/agent", 2, 0).after(2.0);
    story.end("Install/agent", Outcome::Flaky, Some("passed in attempt 2; attempt 1 failed: no answer on port 8936"));
    story.start("Install/remove").after(1.0).fail("Install/remove", plain_failure("the guest is still there"));
    story.tell("", Fact::StepFinished { step: 1, took: 47.0, block: None });
    story.tell("", Fact::StepStarted { step: 2 });
    story.start_on("Run/boot", 0).start_on("Run/migrate", 1);
    story.tell("Run/boot", Fact::Compared(Box::new(comparison(Change::Worse))));
    story.after(9.0).end("Run/boot", Outcome::Passed, None);
    story.after(2.0).fail("Run/migrate", plain_failure("VM_BAD_POWER_STATE"));
    story.end("Run/suspend", Outcome::Skipped, Some("priority 3 is not selected"));
    story.tell("", Fact::StepFinished { step: 2, took: 11.0, block: None });
    story.tell("", Fact::StepFinished { step: 0, took: 300.0, block: None });
    story.over(Verdict::Passed)
}

fn comparison(change: Change) -> Comparison {
    Comparison {
        name: "boot_time".into(),
        unit: "s".into(),
        better: Better::Lower,
        change,
        now: 9.0,
        samples: 3,
        before: 7.2,
        samples_before: 10,
        against: "baseline results/old".into(),
        text: "9.0 s, was 7.2 s ± 0.3 (25% more)".into(),
    }
}

#[test]
fn a_sequence_is_told_with_its_actions_attempts_and_verdicts() {
    insta::assert_snapshot!(console(&eventful(), Options::default()), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  5 testcases, 1 action, 1 clean-up  on h1
    HH:MM:SS [0/5]    PASS  prepare              4m02  action
    HH:MM:SS [1/5]    PASS  Install/debian      41.0s
    HH:MM:SS [1/5]    FAIL  Install/agent        3.0s  attempt 1: no answer on port 8936
    HH:MM:SS [2/5]   FLAKY  Install/agent        2.0s  passed in attempt 2; attempt 1 failed: no answer on port 8936
    HH:MM:SS [2/5]    FAIL  Install/remove       1.0s  clean-up: the guest is still there
    HH:MM:SS [2/5]   WORSE  Run/boot          boot_time: 9.0 s, was 7.2 s ± 0.3 (25% more)
    HH:MM:SS [3/5]    PASS  Run/boot             9.0s
    HH:MM:SS [4/5]    FAIL  Run/migrate         11.0s  VM_BAD_POWER_STATE
    HH:MM:SS [5/5]    SKIP  Run/suspend       priority 3 is not selected

    FAIL Install/remove  assertion, blamed on the product
      the guest is still there

      log:     results/20261122-090000-7f3a/Install.remove/xenrt.log

    FAIL Run/migrate  assertion, blamed on the product
      VM_BAD_POWER_STATE

      log:     results/20261122-090000-7f3a/Run.migrate/xenrt.log

    ── 5 testcases in 5m00 ── 2 passed  1 flaky  1 failed  1 skipped  1 clean-up failed  1 warning
       FAIL  Install/remove    clean-up: the guest is still there
       FAIL  Run/migrate       VM_BAD_POWER_STATE
      FLAKY  Install/agent     passed in attempt 2; attempt 1 failed: no answer on port 8936
      WORSE  Run/boot          boot_time: 9.0 s, was 7.2 s ± 0.3 (25% more)
    Compared values: 1 worse
    Sequence: PASS
    Pass rates: P1: 100% (2 of 2)  P2: 50% (1 of 2, 40% wanted)
    Regression: FAIL
    Shuffled with 4711: --shuffle=4711 gives this order again
    PASSED (exit 0)   results: results/20261122-090000-7f3a
       again: xrt --rerun-failed results/20261122-090000-7f3a
       page:  xrt replay results/20261122-090000-7f3a --report html
    ");
}

#[test]
fn what_a_quiet_run_of_a_sequence_keeps_to_itself() {
    insta::assert_snapshot!(console(&eventful(), Options { verbosity: Verbosity::Quiet, ..Options::default() }), @r"
    HH:MM:SS [2/5]    FAIL  Install/remove       1.0s  clean-up: the guest is still there
    HH:MM:SS [4/5]    FAIL  Run/migrate         11.0s  VM_BAD_POWER_STATE

    FAIL Install/remove  assertion, blamed on the product
      the guest is still there

      log:     results/20261122-090000-7f3a/Install.remove/xenrt.log

    FAIL Run/migrate  assertion, blamed on the product
      VM_BAD_POWER_STATE

      log:     results/20261122-090000-7f3a/Run.migrate/xenrt.log

       FAIL  Install/remove    clean-up: the guest is still there
       FAIL  Run/migrate       VM_BAD_POWER_STATE
      FLAKY  Install/agent     passed in attempt 2; attempt 1 failed: no answer on port 8936
    PASSED (exit 0)
    ");
}

#[test]
fn what_begins_is_told_on_demand() {
    insta::assert_snapshot!(console(&eventful(), Options { verbosity: Verbosity::Verbose, ..Options::default() }), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  5 testcases, 1 action, 1 clean-up  on h1
    HH:MM:SS [0/5]   START  prepare           The title of prepare
    HH:MM:SS [0/5]    PASS  prepare              4m02  action
    HH:MM:SS [0/5]   GROUP  serial Install has begun
    HH:MM:SS [0/5]   START  Install/debian    The title of Install/debian
    HH:MM:SS [1/5]    PASS  Install/debian      41.0s
    HH:MM:SS [1/5]   START  Install/agent     The title of Install/agent
    HH:MM:SS [1/5]    FAIL  Install/agent        3.0s  attempt 1: no answer on port 8936
    HH:MM:SS [1/5]   START  Install/agent     attempt 2
    HH:MM:SS [2/5]   FLAKY  Install/agent        2.0s  passed in attempt 2; attempt 1 failed: no answer on port 8936
    HH:MM:SS [2/5]   START  Install/remove    The title of Install/remove
    HH:MM:SS [2/5]    FAIL  Install/remove       1.0s  clean-up: the guest is still there
    HH:MM:SS [2/5]   GROUP  serial Install ended after 47.0s
    HH:MM:SS [2/5]   GROUP  parallel Run, 2 at a time has begun
    HH:MM:SS [2/5]   START  Run/boot          The title of Run/boot
    HH:MM:SS [2/5]   START  Run/migrate       The title of Run/migrate
    HH:MM:SS [2/5]   WORSE  Run/boot          boot_time: 9.0 s, was 7.2 s ± 0.3 (25% more)
    HH:MM:SS [3/5]    PASS  Run/boot             9.0s
    HH:MM:SS [4/5]    FAIL  Run/migrate         11.0s  VM_BAD_POWER_STATE
    HH:MM:SS [5/5]    SKIP  Run/suspend       priority 3 is not selected
    HH:MM:SS [5/5]   GROUP  parallel Run, 2 at a time ended after 11.0s

    FAIL Install/remove  assertion, blamed on the product
      the guest is still there

      log:     results/20261122-090000-7f3a/Install.remove/xenrt.log

    FAIL Run/migrate  assertion, blamed on the product
      VM_BAD_POWER_STATE

      log:     results/20261122-090000-7f3a/Run.migrate/xenrt.log

    ── 5 testcases in 5m00 ── 2 passed  1 flaky  1 failed  1 skipped  1 clean-up failed  1 warning
       FAIL  Install/remove    clean-up: the guest is still there
       FAIL  Run/migrate       VM_BAD_POWER_STATE
      FLAKY  Install/agent     passed in attempt 2; attempt 1 failed: no answer on port 8936
      WORSE  Run/boot          boot_time: 9.0 s, was 7.2 s ± 0.3 (25% more)
    Compared values: 1 worse
    Sequence: PASS
    Pass rates: P1: 100% (2 of 2)  P2: 50% (1 of 2, 40% wanted)
    Regression: FAIL
    Shuffled with 4711: --shuffle=4711 gives this order again
    PASSED (exit 0)   results: results/20261122-090000-7f3a
       again: xrt --rerun-failed results/20261122-090000-7f3a
       page:  xrt replay results/20261122-090000-7f3a --report html
    ");
}

#[test]
fn a_flaky_testcase_is_told_of_however_little_is_said() {
    let mut story = Story::plan(&["a"]);
    story.start("a").after(1.0).retry("a", 1, plain_failure("no answer"));
    story.attempt("a", 2, 0).after(1.0).end("a", Outcome::Flaky, Some("passed in attempt 2; attempt 1 failed: no answer"));
    let said = console(&story.over(Verdict::Passed), Options { verbosity: Verbosity::Quiet, ..Options::default() });
    assert!(said.contains("FLAKY  a ") && said.contains("attempt 1 failed: no answer"), "{said}");
}

/// Many that were left out, and many that were blocked.
fn filtered() -> Story {
    let ids: Vec<String> = (0..200).map(|n| format!("net/TC{n}")).collect();
    let plan = format!("Install/debian blocker\nInstall/centos\nInstall/suse\nserial net\n  {}", ids.join("\n  "));
    let mut story = Story::sequence(&plan);
    story.start("Install/debian").after(3.0).fail("Install/debian", plain_failure("no network"));
    story.block("Install/centos", "Install/debian", Outcome::Failed).block("Install/suse", "Install/debian", Outcome::Failed);
    for id in &ids[..100] {
        story.end(id, Outcome::Skipped, Some("group net is left out (--skip)"));
    }
    for id in &ids[100..] {
        story.block(id, "Install/debian", Outcome::Failed);
    }
    story.over(Verdict::Failed)
}

#[test]
fn many_that_were_not_run_for_one_reason_are_one_line() {
    insta::assert_snapshot!(console(&filtered(), Options::default()), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  203 testcases  on h1
    HH:MM:SS [  1/203]    FAIL  Install/debian       3.0s  no network
    HH:MM:SS [  2/203] BLOCKED  Install/centos    by Install/debian, failed
    HH:MM:SS [  3/203] BLOCKED  Install/suse      by Install/debian, failed
    HH:MM:SS [103/203]    SKIP  100 testcases     group net is left out (--skip)  (net/TC0 … net/TC99)
    HH:MM:SS [203/203] BLOCKED  100 testcases     by Install/debian, failed  (net/TC100 … net/TC199)

    FAIL Install/debian  assertion, blamed on the product
      no network

      log:     results/20261122-090000-7f3a/Install.debian/xenrt.log

    ── 203 testcases in 3.0s ── 1 failed  100 skipped  102 blocked ─────────────────
       FAIL  Install/debian    no network
    BLOCKED  102 testcases     by Install/debian, failed  (Install/centos … net/TC199)
    Sequence: FAIL
    Regression: FAIL
    FAILED (exit 1)   results: results/20261122-090000-7f3a
       again: xrt --rerun-failed results/20261122-090000-7f3a
       page:  xrt replay results/20261122-090000-7f3a --report html
    ");
    let verbose = console(&filtered(), Options { verbosity: Verbosity::Verbose, ..Options::default() });
    assert_eq!(verbose.lines().filter(|l| l.contains(" SKIP ")).count(), 100, "{verbose}");
}

#[test]
fn a_resumed_run_tells_what_is_left_and_how_it_went_on() {
    let mut story = Story::sequence("serial g\n  g/a\n  g/b\n  g/c");
    story.start("g/a").after(5.0).end("g/a", Outcome::Passed, None);
    story.start("g/b").after(5.0);
    story.resume(3600.0, &[]);
    story.start("g/b").after(2.0).end("g/b", Outcome::Passed, None);
    story.start("g/c").after(1.0).end("g/c", Outcome::Passed, None);
    story.tell("", Fact::RunFinished { verdict: Verdict::Passed, took: 3.0 });
    insta::assert_snapshot!(console(&story, Options::default()), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  3 testcases  on h1
    HH:MM:SS [1/3]    PASS  g/a                  5.0s
    xrt 0.1.0  run 20261122-090000-7f3a  resumed: 1 of 3 has a result, 1 was running, 1 had not started
    HH:MM:SS [2/3]    PASS  g/b                  2.0s
    HH:MM:SS [3/3]    PASS  g/c                  1.0s

    ── 3 testcases in 8.0s ── 3 passed ─────────────────────────────────────────────
    Sequence: PASS
    Regression: PASS
    PASSED (exit 0)   results: results/20261122-090000-7f3a
       page:  xrt replay results/20261122-090000-7f3a --report html
    ");
    assert_eq!(summary_of(&story).run().took, Some(8.0), "the hour in which nothing ran does not count");
}

#[test]
fn each_attempt_has_a_log_of_its_own_and_a_resumed_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut reports = Reports::new(vec![Box::new(TestLogs::new(dir.path().into()))]);
    let mut story = Story::sequence("serial g\n  g/a\n  g/b");
    let said = |text: &str| Fact::Logged { level: Level::Comment, text: text.into() };
    story.tell("", Fact::StepStarted { step: 0 }).tell("", Fact::StepStarted { step: 1 });
    story.start("g/a").tell("g/a", said("first")).after(1.0).retry("g/a", 1, plain_failure("no answer"));
    story.attempt("g/a", 2, 0).tell("g/a", said("second")).end("g/a", Outcome::Flaky, None);
    story.start("g/b").tell("g/b", said("before the end")).resume(60.0, &[]);
    story.start("g/b").tell("g/b", said("once more")).end("g/b", Outcome::Passed, None);
    for event in &story.events {
        reports.on_event(event).unwrap();
    }
    assert!(reports.close().is_empty());
    let read = |path: &str| {
        let text = std::fs::read_to_string(dir.path().join(path)).unwrap();
        let lines = text.lines().filter(|l| !l.contains("argument") && !l.contains("time limit") && !l.contains("] run 2026"));
        let lines: Vec<String> =
            lines.map(|l| regex::Regex::new(r" \[2026-[^\]]*\]").unwrap().replace(l, "").into_owned()).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(read("g.a/xenrt.log"), @r"
    [VERBOSE] g/a: The title of g/a
    [VERBOSE] testcase g/a from scripts/g/a.rhai
    [COMMENT] first
    [REASON] no answer
    [ERROR] FAIL g/a  assertion, blamed on the product
    [ERROR]   no answer
    [RESULT] failed after 1.0s
    [REASON] attempt 1 failed after 1.0s: no answer; another is made
    ");
    insta::assert_snapshot!(read("g.a/attempt-2/xenrt.log"), @r"
    [VERBOSE] g/a: The title of g/a
    [VERBOSE] testcase g/a from scripts/g/a.rhai
    [VERBOSE] this is attempt 2
    [VERBOSE] attempt 1 in g.a failed: no answer
    [COMMENT] second
    [RESULT] flaky after 0ms
    ");
    insta::assert_snapshot!(read("g.b/xenrt.log"), @r"
    [VERBOSE] g/b: The title of g/b
    [VERBOSE] testcase g/b from scripts/g/b.rhai
    [COMMENT] before the end
    [VERBOSE] g/b: The title of g/b
    [VERBOSE] testcase g/b from scripts/g/b.rhai
    [VERBOSE] this is attempt 1
    [VERBOSE] attempt 1 in g.b was cut off
    [COMMENT] once more
    [RESULT] passed after 0ms
    ");
    insta::assert_snapshot!(read("xenrt.log"), @r"
    [VERBOSE] serial g has begun
    [WARNING] the run goes on, by xrt 0.1.0
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the whole document is shown")]
fn junit_has_attempts_in_the_form_of_surefire_and_clean_ups_that_turn_nothing_red() {
    let xml = String::from_utf8(junit(&summary_of(&eventful())).unwrap()).unwrap();
    let kept: Vec<&str> = xml.lines().filter(|l| !l.contains("<property name=\"arg") && !l.contains("name=\"xrt\"")).collect();
    let times = regex::Regex::new(r"\[2026-[^\]]*\]").unwrap();
    insta::assert_snapshot!(times.replace_all(&kept.join("\n"), "[TIME]"), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="20261122-090000-7f3a" tests="6" skipped="2" failures="1" errors="0" timestamp="2026-11-22T09:00:00.000+00:00" time="300.000">
        <testsuite name="Install" tests="2" skipped="0" errors="0" failures="0" timestamp="2026-11-22T09:00:00.000+00:00" time="43.000">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="machines" value="h1"/>
            </properties>
            <testcase name="debian" classname="Install" timestamp="2026-11-22T09:04:02.000+00:00" time="41.000" file="scripts/Install/debian.rhai">
                <properties>
                    <property name="title" value="The title of Install/debian"/>
                    <property name="tc" value="TC-100"/>
                    <property name="sku" value="2"/>
                </properties>
                <system-out>[[ATTACHMENT|results/20261122-090000-7f3a/Install.debian/xenrt.log]]
    </system-out>
            </testcase>
            <testcase name="agent" classname="Install" timestamp="2026-11-22T09:04:46.000+00:00" time="2.000" file="scripts/Install/agent.rhai">
                <properties>
                    <property name="title" value="The title of Install/agent"/>
                    <property name="outcome" value="flaky"/>
                </properties>
                <flakyFailure timestamp="2026-11-22T09:04:43.000+00:00" time="3.000" message="no answer on port 8936" type="assertion">FAIL Install/agent, attempt 1  assertion, blamed on the product
      no answer on port 8936

    </flakyFailure>
                <system-out>[REASON] [TIME] attempt 1 failed after 3.0s: no answer on port 8936; another is made
    [[ATTACHMENT|results/20261122-090000-7f3a/Install.agent/xenrt.log]]
    [[ATTACHMENT|results/20261122-090000-7f3a/Install.agent/attempt-2/xenrt.log]]
    </system-out>
            </testcase>
        </testsuite>
        <testsuite name="clean-ups" tests="1" skipped="1" errors="0" failures="0" timestamp="2026-11-22T09:00:00.000+00:00" time="1.000">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="machines" value="h1"/>
            </properties>
            <testcase name="remove" classname="Install" timestamp="2026-11-22T09:04:48.000+00:00" time="1.000" file="scripts/Install/remove.rhai">
                <properties>
                    <property name="title" value="The title of Install/remove"/>
                </properties>
                <skipped message="the clean-up failed, which does not count: the guest is still there" type="failed">FAIL Install/remove  assertion, blamed on the product
      the guest is still there

    </skipped>
                <system-out>[[ATTACHMENT|results/20261122-090000-7f3a/Install.remove/xenrt.log]]
    </system-out>
            </testcase>
        </testsuite>
        <testsuite name="Run" tests="3" skipped="1" errors="0" failures="1" timestamp="2026-11-22T09:00:00.000+00:00" time="20.000">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="machines" value="h1"/>
            </properties>
            <testcase name="boot" classname="Run" timestamp="2026-11-22T09:04:49.000+00:00" time="9.000" file="scripts/Run/boot.rhai">
                <properties>
                    <property name="title" value="The title of Run/boot"/>
                    <property name="priority" value="2"/>
                    <property name="compared.boot_time" value="worse: 9.0 s, was 7.2 s ± 0.3 (25% more)"/>
                </properties>
                <system-out>[WARNING] [TIME] boot_time is worse: 9.0 s, was 7.2 s ± 0.3 (25% more)
    [[ATTACHMENT|results/20261122-090000-7f3a/Run.boot/xenrt.log]]
    </system-out>
            </testcase>
            <testcase name="migrate" classname="Run" timestamp="2026-11-22T09:04:49.000+00:00" time="11.000" file="scripts/Run/migrate.rhai">
                <properties>
                    <property name="title" value="The title of Run/migrate"/>
                    <property name="priority" value="2"/>
                    <property name="rerun" value="xrt --guest h1 -s smoke.seq --only Run/migrate"/>
                </properties>
                <failure message="VM_BAD_POWER_STATE" type="assertion">FAIL Run/migrate  assertion, blamed on the product
      VM_BAD_POWER_STATE

    </failure>
                <system-out>[[ATTACHMENT|results/20261122-090000-7f3a/Run.migrate/xenrt.log]]
    </system-out>
            </testcase>
            <testcase name="suspend" classname="Run" time="0.000" file="scripts/Run/suspend.rhai">
                <properties>
                    <property name="title" value="The title of Run/suspend"/>
                </properties>
                <skipped message="priority 3 is not selected" type="skipped"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
    let suites = junit_parser::from_reader(xml.as_bytes()).unwrap();
    assert_eq!((suites.failures, suites.errors), (1, 0), "neither the flaky one nor the clean-up");
}

#[test]
fn a_testcase_that_failed_in_all_attempts_has_them_in_junit() {
    let mut story = Story::plan(&["g/a"]);
    story.start("g/a").after(1.0).retry("g/a", 1, plain_failure("first"));
    let lab = Failure { blame: Blame::Lab, ..plain_failure("second") };
    story.attempt("g/a", 2, 0).after(1.0).retry("g/a", 2, lab);
    story.attempt("g/a", 3, 0).after(1.0).fail("g/a", plain_failure("third"));
    let xml = String::from_utf8(junit(&summary_of(&story.over(Verdict::Failed))).unwrap()).unwrap();
    let tags: Vec<&str> = xml.lines().map(str::trim).filter(|l| l.contains("message=")).collect();
    insta::assert_snapshot!(tags.join("\n"), @r#"
    <failure message="third" type="assertion">FAIL g/a  assertion, blamed on the product
    <rerunFailure timestamp="2026-11-22T09:00:00.000+00:00" time="1.000" message="first" type="assertion">FAIL g/a, attempt 1  assertion, blamed on the product
    <rerunError timestamp="2026-11-22T09:00:01.000+00:00" time="1.000" message="second" type="assertion">ERROR g/a, attempt 2  assertion, blamed on the lab
    "#);
}

fn page(story: &Story) -> String {
    String::from_utf8(html(&summary_of(story), Path::new("results/page.html"))).unwrap()
}

#[test]
fn the_page_has_the_tree_the_timeline_and_the_verdicts() {
    let page = page(&eventful());
    for expected in [
        r#"<details class="group" data-name="Install" open>"#,
        r#"<details class="group" data-name="Run" open>"#,
        "side by side, 2 at a time · 3 testcases, 1 to look at",
        r#"<span class="tag">clean-up</span>"#,
        r#"<span class="tag">2 attempts</span>"#,
        "<span>Sequence</span><b class=\"word\">✓ pass</b>",
        "<span>Regression</span><b class=\"word\">✗ fail</b>",
        "1 of 2, 40% wanted",
        "Install/agent  attempt 1: ✗ failed, 3.0s from",
        "<b class=\"word\">50%</b>",
        "▼ worse",
        "<h2 id=\"notable\">Passed, but",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    // Seven that ran, one of them twice; and the two groups above them.
    let plot = page.split("class=\"plot\"").nth(1).unwrap().split("</div>").next().unwrap();
    assert_eq!((plot.matches("<a href=\"#case-").count(), plot.matches("class=\"span\"").count()), (7, 2));
    let (install, run) = (page.find("data-name=\"Install\"").unwrap(), page.find("data-name=\"Run\"").unwrap());
    assert!(install < page.find(">remove<").unwrap() && page.find(">remove<").unwrap() < run, "a clean-up stands in its group");
}

#[test]
fn many_that_were_not_run_for_one_reason_are_one_card() {
    let page = page(&filtered());
    assert_eq!(page.matches("<article").count(), 2, "one that failed, and all that it blocked");
    assert!(page.contains("</span>102 testcases</h3>"), "{page}");
}

#[test]
fn names_of_groups_and_all_else_from_outside_stand_escaped_on_the_page() {
    let evil = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>\x1b[2J\u{202e}";
    let mut beginning = Story::beginning("serial X\n  X/a\n  X/b");
    beginning.steps[1].label = evil.into();
    beginning.sequence = Some(evil.into());
    beginning.plan[0].tc = Some(evil.into());
    beginning.plan[0].sku = Some(evil.into());
    let mut story = Story::of(beginning);
    let block = Block::Limit { whose: evil.into(), seconds: f64::MAX };
    story.tell("", Fact::StepStarted { step: 1 });
    let comparison = comparison(Change::Worse);
    let hostile =
        Comparison { name: evil.into(), unit: evil.into(), against: evil.into(), text: evil.into(), before: 0.0, ..comparison };
    story.start("X/a").tell("X/a", Fact::Compared(Box::new(hostile)));
    story.after(1.0).retry("X/a", 1, plain_failure(evil));
    story.attempt("X/a", 2, u32::MAX).after(1.0).end("X/a", Outcome::Flaky, Some(evil));
    let reason = Some(block.to_string());
    story.tell(
        "X/b",
        Fact::CaseFinished { outcome: Outcome::Blocked, reason, took: f64::NAN, failure: None, block: Some(block.clone()) },
    );
    story.tell("", Fact::StepFinished { step: 1, took: f64::INFINITY, block: Some(block) });
    let page = page(&story.over(Verdict::Failed));
    assert_eq!(page.matches("<script").count(), 1, "our own");
    assert!(!page.contains("<img") && !page.contains('\x1b') && !page.contains('\u{202e}'), "{page}");
    assert!(page.matches("&lt;script&gt;alert(1)").count() >= 8, "{page}");
}

/// Every report there is of a log, made by replaying it into a directory; gives what was written by name.
fn replayed(log: &str) -> (Summary, BTreeMap<String, String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    std::fs::write(&path, log).unwrap();
    let opening = Opening {
        results: dir.path().join("out"),
        options: Options::default(),
        stream: || Box::new(std::io::sink()),
        screen: || None,
    };
    let reports = SINKS.iter().map(|kind| open(kind.word, &opening).unwrap()).collect();
    let (summary, errors) = replay(LogReader::open(&path).unwrap(), reports).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    let files = walkdir::WalkDir::new(dir.path().join("out")).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let read = |file: walkdir::DirEntry| {
        let name = file.path().strip_prefix(dir.path().join("out")).unwrap().display().to_string();
        Some((name, String::from_utf8(std::fs::read(file.path()).unwrap()).ok()?))
    };
    (summary, files.filter_map(read).collect())
}

#[test]
fn a_log_of_the_first_version_reads_as_it_did() {
    let log = r#"{"xenrt_event_log":1}
{"seq":1,"at":"2026-11-20T10:00:00.000000Z","fact":"run_started","run":"r1","version":"0.1.0","command":["xrt","-T","a"],"targets":["h1"],"workers":2,"results":"results/r1","plan":[{"id":"g/a","testcase":"a","title":"A","file":"a.rhai"},{"id":"g/b","testcase":"b","title":"B","file":"b.rhai"}]}
{"seq":2,"at":"2026-11-20T10:00:00.100000Z","case":"g/a","fact":"case_started","args":{"n":1},"timeout":60.0,"dir":"g.a"}
{"seq":3,"at":"2026-11-20T10:00:00.100000Z","case":"g/b","fact":"case_started","args":{},"dir":"g.b"}
{"seq":4,"at":"2026-11-20T10:00:01.000000Z","case":"g/a","fact":"measured","name":"rate","value":4.5,"unit":"MB/s"}
{"seq":5,"at":"2026-11-20T10:00:02.000000Z","case":"g/a","fact":"case_finished","outcome":"passed","took":1.9}
{"seq":6,"at":"2026-11-20T10:00:03.000000Z","case":"g/b","fact":"case_finished","outcome":"failed","reason":"no","took":2.9}
{"seq":7,"at":"2026-11-20T10:00:03.000000Z","fact":"run_finished","verdict":"failed","took":3.0}
"#;
    let (summary, files) = replayed(log);
    assert_eq!((summary.oddities().len(), summary.verdict(), summary.tests()), (0, Verdict::Failed, 2), "{:?}", summary.oddities());
    let judged = summary.judgement();
    assert_eq!((judged.sequence, judged.regression, judged.rates[&1].percent()), (false, false, 50.0));
    let page = &files["report.html"];
    assert!(page.contains("Failed, 1 of 2 testcases") && page.contains("data-name=\"g\""), "{page}");
    assert!(page.contains("2 rows, 2 testcases"), "what ran side by side stands side by side, although the log has no rows");
    assert!(files["junit.xml"].contains(r#"tests="2" skipped="0" failures="1" errors="0""#), "{}", files["junit.xml"]);
    assert!(files["g.b/xenrt.log"].ends_with("failed after 2.9s\n"));
}

#[test]
fn a_log_of_a_resumed_run_gives_the_reports_of_one_run() {
    let mut story = Story::sequence("serial g\n  g/a\n  g/b\n  g/c\n  finally g/clean");
    story.start("g/a").after(5.0).end("g/a", Outcome::Passed, None);
    story.start("g/b").subcase("g/b", "s", "one", Outcome::Failed, Some("half done")).after(5.0);
    story.fail("g/b", Failure { blame: Blame::User, ..plain_failure("stopped by the user") });
    story.start("g/clean").end("g/clean", Outcome::Passed, None);
    story.tell("", Fact::RunFinished { verdict: Verdict::Stopped, took: 10.0 });
    story.resume(3600.0, &["g/b", "g/clean"]);
    story.start("g/b").subcase("g/b", "s", "one", Outcome::Passed, None).after(2.0).end("g/b", Outcome::Passed, None);
    story.start("g/c").after(1.0).end("g/c", Outcome::Passed, None);
    story.start("g/clean").after(1.0).end("g/clean", Outcome::Passed, None);
    story.tell("", Fact::RunFinished { verdict: Verdict::Passed, took: 4.0 });
    let lines: Vec<String> = story.events.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect();
    let (summary, files) = replayed(&format!("{{\"xenrt_event_log\":1}}\n{}", lines.concat()));
    assert_eq!((summary.oddities().len(), summary.verdict()), (0, Verdict::Passed), "{:?}", summary.oddities());
    assert_eq!((summary.run().took, summary.finished()), (Some(14.0), 3));
    let junit = junit_parser::from_reader(files["junit.xml"].as_bytes()).unwrap();
    assert_eq!((junit.tests, junit.failures, junit.errors), (3, 0, 0), "{}", files["junit.xml"]);
    let page = &files["report.html"];
    assert!(page.contains("Passed, 3 testcases") && page.contains("nothing ran for 1h00"), "{page}");
    assert!(page.contains("g/b  attempt 1: ! cut off"), "{page}");
    let log = &files["g.b/xenrt.log"];
    assert!(log.contains("half done") && log.contains("attempt 1 in g.b was cut off: stopped by the user"), "{log}");
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let outcome = prop::sample::select(Outcome::ALL.to_vec());
    let seconds = prop::sample::select(vec![0.0, 1.5, -1.0, f64::NAN, f64::INFINITY, f64::MAX]);
    let failures = prop::option::of(Just(Box::new(plain_failure("f"))));
    let blocks = prop::option::of(outcome.clone().prop_map(|outcome| Block::Case { id: CaseId::new("a"), outcome }));
    let plan = || Story::beginning("action p\nserial g blocker\n  g/a P2\n  parallel h 2\n    h/b\n  finally g/c\nb");
    let fact = (outcome.clone(), seconds.clone(), failures, blocks).prop_map(|(outcome, took, failure, block)| {
        Fact::CaseFinished { outcome, reason: Some("r\n\x1b".into()), took, failure, block }
    });
    prop_oneof![
        5 => fact,
        4 => (0..4u32, 0..3u32).prop_map(|(attempt, lane)| Fact::CaseStarted {
            args: BTreeMap::new(), timeout: None, dir: format!("d{attempt}").into(), attempt, lane
        }),
        1 => Just(Fact::RunStarted(Box::new(plan()))),
        1 => Just(Fact::PlanExtended { steps: plan().steps, plan: plan().plan }),
        2 => prop::collection::vec(prop::sample::select(vec!["g/a", "h/b", "x"]), 0..2).prop_map(|ids| Fact::RunResumed {
            version: "1".into(), command: vec![], again: ids.into_iter().map(CaseId::new).collect()
        }),
        2 => (0..5u32).prop_map(|step| Fact::StepStarted { step }),
        2 => (0..5u32, seconds.clone()).prop_map(|(step, took)| Fact::StepFinished { step, took, block: None }),
        2 => (outcome.clone(), seconds.clone()).prop_map(|(outcome, took)| Fact::AttemptFinished {
            attempt: 1, outcome, reason: None, took, failure: None
        }),
        1 => (outcome, seconds.clone()).prop_map(|(outcome, took)| Fact::Subcase {
            group: "s".into(), name: "t".into(), outcome, reason: None, took, failure: None
        }),
        1 => seconds.clone().prop_map(|now| Fact::Compared(Box::new(Comparison { now, before: now, ..comparison(Change::Better) }))),
        1 => seconds.prop_map(|value| Fact::Measured { name: "m".into(), value, unit: "u".into(), better: None, spread: None }),
        1 => Just(Fact::RunFinished { verdict: Verdict::Passed, took: f64::NAN }),
        1 => Just(Fact::Logged { level: Level::Warning, text: "w".into() }),
        1 => Just(Fact::ActionStarted { action: 1, machine: None, what: "w".into() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Whatever a log says, and at whatever times: each report of it can be made, and none is green when the run is not.
    #[test]
    fn any_log_gives_every_report(
        facts in prop::collection::vec((prop::option::weighted(0.7, prop::sample::select(vec!["p", "g/a", "h/b", "g/c", "b", "x"])), any_fact(), 0..100u32), 0..60)
    ) {
        let mut story = Story::sequence("action p\nserial g blocker\n  g/a P2\n  parallel h 2\n    h/b\n  finally g/c\nb");
        for (case, fact, after) in facts {
            story.after(f64::from(after)).tell(case.unwrap_or_default(), fact);
        }
        let lines: Vec<String> = story.events.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect();
        let (summary, files) = replayed(&format!("{{\"xenrt_event_log\":1}}\n{}", lines.concat()));
        let junit = junit_parser::from_reader(files["junit.xml"].as_bytes()).unwrap();
        let is_fine = matches!(summary.verdict(), Verdict::Passed | Verdict::NothingRan);
        prop_assert!(is_fine || junit.errors + junit.failures > 0, "{:?}: {}", summary.verdict(), files["junit.xml"]);
        for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Calls] {
            let said = console(&story, Options { verbosity, width: Some(60), ascii: true, colour: true });
            prop_assert!(said.contains("(exit "), "{said}");
        }
    }
}
