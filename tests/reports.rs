//! What people and other programs read about a run: console, failure card and report files, made from events alone.

use crate::support::story::{Story, failure};
use std::io::Write;
use std::sync::{Arc, Mutex};
use xenrt::event::{ActionEnd, Fact, Level, Outcome, Phase, Sink, Verdict};
use xenrt::report::{Card, Console, Options, Reports, Verbosity, failure_card};

/// A stream whose text can be read afterwards.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    /// The text with times of day, which depend on the zone, taken out.
    fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).expect("UTF-8");
        regex::Regex::new(r"\d\d:\d\d:\d\d(\.\d{3})?").unwrap().replace_all(&text, "HH:MM:SS").into_owned()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn console(story: &Story, options: Options) -> String {
    let page = Page::default();
    let mut reports = Reports::new(vec![Box::new(Console::new(options, Box::new(page.clone())))]);
    for event in &story.events {
        reports.on_event(event).unwrap();
    }
    reports.finish().unwrap();
    page.text()
}

/// Three testcases, one of each sort, one that needs nothing.
fn mixed() -> Story {
    let mut story = Story::plan(&["disk/iometer", "guestops/reboot", "guestops/suspend", "net/ping"]);
    story.start("disk/iometer");
    story.tell("disk/iometer", Fact::Measured { name: "read_rate".into(), value: 412.53, unit: "MB/s".into() });
    story.after(4.2).end("disk/iometer", Outcome::Passed, None);
    story.start("guestops/reboot");
    story.tell("guestops/reboot", Fact::Logged { level: Level::Step, text: "reboot 1 of 50".into() });
    story.tell("guestops/reboot", Fact::Logged { level: Level::Warning, text: "clock is 3 s off\x1b[2J".into() });
    story.call("guestops/reboot", "h1", "systemctl reboot", 0.2, ActionEnd::Ok("exit 0".into()));
    story.after(73.0).fail("guestops/reboot", failure());
    story.end("guestops/suspend", Outcome::Blocked, Some("guestops/reboot failed"));
    story.end("net/ping", Outcome::Skipped, Some("needs two guests"));
    story.over(Verdict::Failed)
}

#[test]
fn a_run_of_many_is_one_line_an_event_and_cards_at_the_end() {
    insta::assert_snapshot!(console(&mixed(), Options::default()), @r#"
    xrt 0.1.0  run 20261122-090000-7f3a  4 testcases, 2 at a time  on h1
    HH:MM:SS [1/4]    PASS  disk/iometer         4.2s
    HH:MM:SS [1/4]    WARN  guestops/reboot   clock is 3 s off␛[2J
    HH:MM:SS [2/4]    FAIL  guestops/reboot      1m13  the guest did not really reboot  boot.rhai:13
    HH:MM:SS [3/4] BLOCKED  guestops/suspend  guestops/reboot failed
    HH:MM:SS [4/4]    SKIP  net/ping          needs two guests

    FAIL guestops/reboot  assertion, blamed on the product
      the guest did not really reboot

       ╭▸ scripts/lib/boot.rhai:13:9
       │
    12 │ fn check_boot(vm, before) {
    13 │         fail("the guest did not really reboot");
       │         ━━━━ here in check_boot
    14 │ }
       ╰╴
        vm = guest("web1", 10.0.0.5)    before = "4f1c9a"

       ╭▸ scripts/guestops/reboot.rhai:21:5
       │
    20 │     vm.reboot();
    21 │     boot::check_boot(vm, before);
       │     ━━━━ called from here in run
    22 │ }
       ╰╴
        times = [12.1, 11.8]

        │ before: 4f1c9a
        │ after:  4f1c9a

      last calls to machines
      HH:MM:SS  h1  systemctl reboot                       0.2s  exit 0
      HH:MM:SS  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest's console
      log:     results/20261122-090000-7f3a/guestops.reboot/xenrt.log

    ── 4 testcases in 1m17 ── 1 passed  1 failed  1 skipped  1 blocked  1 warning ──
       FAIL  guestops/reboot   the guest did not really reboot  boot.rhai:13
    BLOCKED  guestops/suspend  guestops/reboot failed
    FAILED (exit 1)   results: results/20261122-090000-7f3a
       again: xrt --guest h1 --testcase guestops/reboot --testcase guestops/suspend loops=3
       page:  xrt replay results/20261122-090000-7f3a --report html
    "#);
}

#[test]
fn verbose_lines_tell_what_begins_and_every_call() {
    insta::assert_snapshot!(console(&mixed(), Options { verbosity: Verbosity::Calls, ascii: true, ..Options::default() }), @r#"
    xrt 0.1.0  run 20261122-090000-7f3a  4 testcases, 2 at a time  on h1
    HH:MM:SS [0/4]   START  disk/iometer      The title of disk/iometer
    HH:MM:SS [0/4]   VALUE  disk/iometer      read_rate = 412.5 MB/s
    HH:MM:SS [1/4]    PASS  disk/iometer         4.2s
    HH:MM:SS [1/4]   START  guestops/reboot   The title of guestops/reboot
    HH:MM:SS [1/4]    STEP  guestops/reboot   reboot 1 of 50
    HH:MM:SS [1/4]    WARN  guestops/reboot   clock is 3 s off?[2J
    HH:MM:SS [1/4]    CALL  guestops/reboot   h1: systemctl reboot
    HH:MM:SS [1/4]          guestops/reboot   ok after 0.2s  exit 0
    HH:MM:SS [2/4]    FAIL  guestops/reboot      1m13  the guest did not really reboot  boot.rhai:13
    HH:MM:SS [3/4] BLOCKED  guestops/suspend  guestops/reboot failed
    HH:MM:SS [4/4]    SKIP  net/ping          needs two guests

    FAIL guestops/reboot  assertion, blamed on the product
      the guest did not really reboot

      --> scripts/lib/boot.rhai:13:9
       |
    12 | fn check_boot(vm, before) {
    13 |         fail("the guest did not really reboot");
       |         ^^^^ here in check_boot
    14 | }
       |
        vm = guest("web1", 10.0.0.5)    before = "4f1c9a"

      --> scripts/guestops/reboot.rhai:21:5
       |
    20 |     vm.reboot();
    21 |     boot::check_boot(vm, before);
       |     ^^^^ called from here in run
    22 | }
       |
        times = [12.1, 11.8]

        | before: 4f1c9a
        | after:  4f1c9a

      last calls to machines
      HH:MM:SS  h1  systemctl reboot                       0.2s  exit 0
      HH:MM:SS  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest's console
      log:     results/20261122-090000-7f3a/guestops.reboot/xenrt.log

    -- 4 testcases in 1m17 -- 1 passed  1 failed  1 skipped  1 blocked  1 warning --
       FAIL  guestops/reboot   the guest did not really reboot  boot.rhai:13
    BLOCKED  guestops/suspend  guestops/reboot failed
    FAILED (exit 1)   results: results/20261122-090000-7f3a
       again: xrt --guest h1 --testcase guestops/reboot --testcase guestops/suspend loops=3
       page:  xrt replay results/20261122-090000-7f3a --report html
    "#);
}

#[test]
fn quiet_lines_are_what_went_wrong() {
    insta::assert_snapshot!(console(&mixed(), Options { verbosity: Verbosity::Quiet, ..Options::default() }), @r#"
    HH:MM:SS [2/4]    FAIL  guestops/reboot      1m13  the guest did not really reboot  boot.rhai:13
    HH:MM:SS [3/4] BLOCKED  guestops/suspend  guestops/reboot failed

    FAIL guestops/reboot  assertion, blamed on the product
      the guest did not really reboot

       ╭▸ scripts/lib/boot.rhai:13:9
       │
    12 │ fn check_boot(vm, before) {
    13 │         fail("the guest did not really reboot");
       │         ━━━━ here in check_boot
    14 │ }
       ╰╴
        vm = guest("web1", 10.0.0.5)    before = "4f1c9a"

       ╭▸ scripts/guestops/reboot.rhai:21:5
       │
    20 │     vm.reboot();
    21 │     boot::check_boot(vm, before);
       │     ━━━━ called from here in run
    22 │ }
       ╰╴
        times = [12.1, 11.8]

        │ before: 4f1c9a
        │ after:  4f1c9a

      last calls to machines
      HH:MM:SS  h1  systemctl reboot                       0.2s  exit 0
      HH:MM:SS  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest's console
      log:     results/20261122-090000-7f3a/guestops.reboot/xenrt.log

       FAIL  guestops/reboot   the guest did not really reboot  boot.rhai:13
    BLOCKED  guestops/suspend  guestops/reboot failed
    FAILED (exit 1)
    "#);
}

#[test]
fn a_single_testcase_shows_its_card_at_once_and_its_values_at_the_end() {
    let mut story = Story::plan(&["disk/iometer"]);
    story.start("disk/iometer");
    story.tell("disk/iometer", Fact::PhaseStarted { phase: Phase::Run });
    story.tell("disk/iometer", Fact::Measured { name: "sequential_read".into(), value: 412.53, unit: "MB/s".into() });
    story.tell("disk/iometer", Fact::Measured { name: "random_read_latency".into(), value: 0.081, unit: "ms".into() });
    story.subcase("disk/iometer", "read", "random", Outcome::Failed, Some("slower than 50 MB/s"));
    story.after(9.0).fail("disk/iometer", failure());
    let story = story.over(Verdict::Failed);
    insta::assert_snapshot!(console(&story, Options { width: Some(100), ..Options::default() }), @r#"
    xrt 0.1.0  run 20261122-090000-7f3a  1 testcase, 2 at a time  on h1
    HH:MM:SS    FAIL    read/random        1.5s  slower than 50 MB/s
    HH:MM:SS    FAIL  disk/iometer         9.0s  the guest did not really reboot  boot.rhai:13

    FAIL disk/iometer  assertion, blamed on the product
      the guest did not really reboot

       ╭▸ scripts/lib/boot.rhai:13:9
       │
    12 │ fn check_boot(vm, before) {
    13 │         fail("the guest did not really reboot");
       │         ━━━━ here in check_boot
    14 │ }
       ╰╴
        vm = guest("web1", 10.0.0.5)    before = "4f1c9a"

       ╭▸ scripts/guestops/reboot.rhai:21:5
       │
    20 │     vm.reboot();
    21 │     boot::check_boot(vm, before);
       │     ━━━━ called from here in run
    22 │ }
       ╰╴
        times = [12.1, 11.8]

        │ before: 4f1c9a
        │ after:  4f1c9a

      last calls to machines
      HH:MM:SS  h1  systemctl reboot                       0.2s  exit 0
      HH:MM:SS  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest's console
      log:     results/20261122-090000-7f3a/disk.iometer/xenrt.log

      sequential_read       412.5 MB/s
      random_read_latency  0.0810 ms

    ── 1 testcase in 9.0s ── 1 failed ──────────────────────────────────────────────────────────────────
    FAILED (exit 1)   results: results/20261122-090000-7f3a
       again: xrt --guest h1 --testcase disk/iometer loops=3
       page:  xrt replay results/20261122-090000-7f3a --report html
    "#);
}

#[test]
fn a_run_that_was_cut_off_says_so() {
    let mut story = Story::plan(&["a", "b"]);
    story.start("a");
    story.tell("a", Fact::PhaseStarted { phase: Phase::Run });
    insta::assert_snapshot!(console(&story, Options::default()), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  2 testcases, 2 at a time  on h1

    ── 2 testcases ── 2 without a result ───────────────────────────────────────────
    CUT OFF  a                 never finished, it was in run
    NOT RUN  b                 never started
    INCOMPLETE (exit 3)   results: results/20261122-090000-7f3a
       again: xrt --guest h1 --testcase a --testcase b loops=3
       page:  xrt replay results/20261122-090000-7f3a --report html
    ");
}

#[test]
fn hostile_text_in_a_card_is_shown_and_not_obeyed() {
    let mut failure = failure();
    let frame = &mut failure.frames[0];
    frame.lines[1].text = format!("\tlet x = \"{}\x1b[31m日本\"; vm.reboot(); {}", "y".repeat(300), "z".repeat(5000));
    frame.place.column = 325;
    frame.place.file = "a\x1b]0;owned\x07.rhai".into();
    frame.locals[0].value = "\u{202e}evil\r\n".into();
    failure.message = "two\nlines\x08".into();
    failure.data = Some("\x1b[2Joutput\n".repeat(50));
    for colour in [false, true] {
        let options = Options { colour, width: Some(100), ..Options::default() };
        let card = failure_card(&Card { title: "g/a", outcome: Outcome::Errored, failure: &failure, hints: &[] }, &options);
        assert!(!card.contains(['\x07', '\x08', '\r', '\u{202e}']) && !card.contains("\x1b[2J"), "{card:?}");
        assert!(colour || !card.contains('\x1b'), "{card:?}");
        assert!(card.contains("vm.reboot()") && card.contains("… 10 more lines"), "{card}");
        assert!(card.lines().all(|l| l.chars().count() < 260), "{card}");
    }
    // A position that the lines do not have must not break the card.
    for (line, column) in [(0, 0), (13, 0), (13, 9999), (99, 1), (usize::MAX, usize::MAX)] {
        let frame = &mut failure.frames[0];
        (frame.place.line, frame.place.column) = (line, column);
        let card =
            failure_card(&Card { title: "g/a", outcome: Outcome::Failed, failure: &failure, hints: &[] }, &Options::default());
        assert!(card.contains("owned"), "{card}");
    }
}
