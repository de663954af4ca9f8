//! What people read about a run of a sequence: groups, blocks, filters, attempts, clean-ups, verdicts, runs that were resumed.

use crate::reports::{console, summary_of};
use crate::support::story::{Story, plain_failure};
use xenrt::event::{Beginning, Better, Change, Comparison, Criteria, Fact, Outcome, Verdict};
use xenrt::report::{Options, Verbosity};

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
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  5 testcases, 1 action, 1 clean-up  on h1  shuffled with 4711
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

    ── 5 testcases in 5m00 ── 2 passed  1 flaky  1 failed  1 skipped  1 clean-up failed
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
    xrt 0.1.0  run 20261122-090000-7f3a  smoke.seq  5 testcases, 1 action, 1 clean-up  on h1  shuffled with 4711
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

    ── 5 testcases in 5m00 ── 2 passed  1 flaky  1 failed  1 skipped  1 clean-up failed
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
    xrt 0.1.0  run 20261122-090000-7f3a  resumed: 1 of 3 have a result, 1 was running, 1 had not started
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
