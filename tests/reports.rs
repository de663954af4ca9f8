//! What people and other programs read about a run: console, failure card and report files, made from events alone.

use crate::support::story::{Story, at, failure};
use indicatif::TermLike;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use xenrt::event::log::LogReader;
use xenrt::event::{ActionEnd, Fact, Level, Outcome, Phase, Sink, Verdict};
use xenrt::report::{
    Card, Console, Live, Opening, Options, Report, Reports, SINKS, Summary, TestLogs, Verbosity, failure_card, html, junit, open,
    replay,
};

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

pub fn console(story: &Story, options: Options) -> String {
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
    story.tell(
        "disk/iometer",
        Fact::Measured { name: "read_rate".into(), value: 412.53, unit: "MB/s".into(), better: None, spread: None },
    );
    story.after(4.2).end("disk/iometer", Outcome::Passed, None);
    story.start("guestops/reboot");
    story.tell("guestops/reboot", Fact::PhaseStarted { phase: Phase::Run });
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
       again: xrt --guest h1 --testcase scripts/guestops/reboot.rhai --testcase scripts/guestops/suspend.rhai loops=3
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
    HH:MM:SS [1/4]   PHASE  guestops/reboot   run
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
       again: xrt --guest h1 --testcase scripts/guestops/reboot.rhai --testcase scripts/guestops/suspend.rhai loops=3
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
    story.tell(
        "disk/iometer",
        Fact::Measured { name: "sequential_read".into(), value: 412.53, unit: "MB/s".into(), better: None, spread: None },
    );
    story.tell(
        "disk/iometer",
        Fact::Measured { name: "random_read_latency".into(), value: 0.081, unit: "ms".into(), better: None, spread: None },
    );
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
       again: xrt --guest h1 --testcase scripts/disk/iometer.rhai loops=3
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
       again: xrt --guest h1 --testcase scripts/a.rhai --testcase scripts/b.rhai loops=3
       rest:  xrt --resume results/20261122-090000-7f3a
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

/// What is written to a terminal in memory.
struct OnTerm(indicatif::InMemoryTerm);

impl Write for OnTerm {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => self.0.write_line(line)?,
                None => self.0.write_str(line)?,
            }
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_live_block_shows_what_runs_and_goes_away() {
    let term = indicatif::InMemoryTerm::new(20, 80);
    let size = Arc::new(Mutex::new((80, 20)));
    let shared = size.clone();
    let target = indicatif::ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let out = Box::new(OnTerm(term.clone()));
    let mut live = Live::on(target, out, Options::default(), Box::new(move || *shared.lock().unwrap()));
    let mut summary = Summary::default();

    let ids: Vec<String> = (0..30).map(|n| format!("guest/TCBoot{n}-with-a-name-that-is-much-too-long")).collect();
    let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    story.start(&ids[0]).after(2.0).end(&ids[0], Outcome::Failed, Some("no agent"));
    for id in &ids[1..20] {
        story.start(id);
    }
    let what = "wait until the agent answers on port 8936".to_string();
    story.tell(&ids[1], Fact::ActionStarted { action: 1, machine: Some("h1".into()), what });
    story.tell(&ids[1], Fact::Progressed { action: Some(1), text: "31 of 50 up".into(), part: Some(0.62) });
    for event in &story.events {
        summary.apply(event);
        live.on_event(event, &summary).unwrap();
    }
    let mut screen = || {
        live.draw(at(133.0), &summary).unwrap();
        regex::Regex::new(r"\d\d:\d\d:\d\d").unwrap().replace_all(&term.contents(), "HH:MM:SS").into_owned()
    };
    insta::assert_snapshot!(screen(), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  30 testcases, 2 at a time  on h1
    HH:MM:SS [ 1/30]    FAIL  guest/TCBoot0-wi…s-much-too-long     2.0s  no agent
    ── 1/30 ── 1 failed ── 2m13 elapsed ────────────────────────────────────────────
     ▸ guest/TCBoot1…uch-too-long    2m11  h1  31 of 50 up  2m11  ███████░░░░░  62%
     ▸ guest/TCBoot2…uch-too-long    2m11
     ▸ guest/TCBoot3…uch-too-long    2m11
     ▸ guest/TCBoot4…uch-too-long    2m11
     ▸ guest/TCBoot5…uch-too-long    2m11
     ▸ guest/TCBoot6…uch-too-long    2m11
     ▸ guest/TCBoot7…uch-too-long    2m11
     ▸ guest/TCBoot8…uch-too-long    2m11
     ▸ guest/TCBoot9…uch-too-long    2m11
     ▸ guest/TCBoot1…uch-too-long    2m11
     … and 9 more
    ");

    *size.lock().unwrap() = (40, 8);
    let narrow = screen();
    let block = narrow.split("── 1/30").last().unwrap();
    assert!(block.lines().skip(1).all(|l| l.chars().count() <= 40) && block.lines().count() <= 7, "{narrow}");

    live.finish(&summary, &[]).unwrap();
    let end = term.contents();
    assert!(!end.contains("elapsed") && end.contains("INCOMPLETE (exit 3)"), "{end}");
}

#[test]
fn a_quiet_run_is_heard_of_each_minute() {
    let page = Page::default();
    let mut console = Console::new(Options::default(), Box::new(page.clone()));
    let mut summary = Summary::default();
    let mut story = Story::plan(&["sr/TCCoalesce", "guest/TCBoot50"]);
    story.start("sr/TCCoalesce").start("guest/TCBoot50");
    story.tell("guest/TCBoot50", Fact::ActionStarted { action: 1, machine: None, what: "wait for 50 guests".into() });
    for event in &story.events {
        summary.apply(event);
        console.on_event(event, &summary).unwrap();
    }
    for seconds in [59.0, 60.0, 61.0, 121.0] {
        console.beat(at(seconds), &summary).unwrap();
    }
    insta::assert_snapshot!(page.text(), @r"
    xrt 0.1.0  run 20261122-090000-7f3a  2 testcases, 2 at a time  on h1
    HH:MM:SS [0/2]   .....  running: sr/TCCoalesce 1m00, guest/TCBoot50 1m00 (wait for 50 guests)
    HH:MM:SS [0/2]   .....  running: sr/TCCoalesce 2m01, guest/TCBoot50 2m01 (wait for 50 guests)
    ");
}

#[test]
fn a_testcase_has_a_log_in_the_old_form() {
    let dir = tempfile::tempdir().unwrap();
    let mut reports = Reports::new(vec![Box::new(TestLogs::new(dir.path().into()))]);
    let mut story = mixed();
    story.tell("", Fact::Logged { level: Level::Warning, text: "of the run".into() });
    for event in &story.events {
        reports.on_event(event).unwrap();
    }
    let read = |path: &str| {
        let text = std::fs::read_to_string(dir.path().join(path)).unwrap();
        regex::Regex::new(r"\[2026-[^\]]*\]").unwrap().replace_all(&text, "[TIME]").into_owned()
    };
    insta::assert_snapshot!(read("guestops.reboot/xenrt.log"), @r#"
    [VERBOSE] [TIME] guestops/reboot: The title of guestops/reboot
    [VERBOSE] [TIME] testcase guestops/reboot from scripts/guestops/reboot.rhai
    [VERBOSE] [TIME] run 20261122-090000-7f3a by xrt 0.1.0 on h1
    [VERBOSE] [TIME] argument loops = 3
    [VERBOSE] [TIME] argument note = "a <b> & \"c\""
    [VERBOSE] [TIME] time limit 10m00
    [DELIMIT] [TIME] ========================================================================
    [DELIMIT] [TIME] 
    [DELIMIT] [TIME] run
    [DELIMIT] [TIME] 
    [DELIMIT] [TIME] ========================================================================
    [STEP] [TIME] reboot 1 of 50
    [WARNING] [TIME] clock is 3 s off␛[2J
    [VERBOSE] [TIME] h1: systemctl reboot …
    [VERBOSE] [TIME] … ended after 0.2s: exit 0
    [REASON] [TIME] the guest did not really reboot
    [ERROR] [TIME] FAIL guestops/reboot  assertion, blamed on the product
    [ERROR] [TIME]   the guest did not really reboot
    [ERROR] [TIME] 
    [ERROR] [TIME]    ╭▸ scripts/lib/boot.rhai:13:9
    [ERROR] [TIME]    │
    [ERROR] [TIME] 12 │ fn check_boot(vm, before) {
    [ERROR] [TIME] 13 │         fail("the guest did not really reboot");
    [ERROR] [TIME]    │         ━━━━ here in check_boot
    [ERROR] [TIME] 14 │ }
    [ERROR] [TIME]    ╰╴
    [ERROR] [TIME]     vm = guest("web1", 10.0.0.5)    before = "4f1c9a"
    [ERROR] [TIME] 
    [ERROR] [TIME]    ╭▸ scripts/guestops/reboot.rhai:21:5
    [ERROR] [TIME]    │
    [ERROR] [TIME] 20 │     vm.reboot();
    [ERROR] [TIME] 21 │     boot::check_boot(vm, before);
    [ERROR] [TIME]    │     ━━━━ called from here in run
    [ERROR] [TIME] 22 │ }
    [ERROR] [TIME]    ╰╴
    [ERROR] [TIME]     times = [12.1, 11.8]
    [ERROR] [TIME] 
    [ERROR] [TIME]     │ before: 4f1c9a
    [ERROR] [TIME]     │ after:  4f1c9a
    [ERROR] [TIME] 
    [ERROR] [TIME]   last calls to machines
    [ERROR] [TIME]   09:01:10.100  h1  systemctl reboot                       0.2s  exit 0
    [ERROR] [TIME]   09:01:12.500  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost
    [ERROR] [TIME] 
    [ERROR] [TIME]   because: boot id is the same
    [ERROR] [TIME]   help:    look at the guest's console
    [RESULT] [TIME] failed after 1m13
    "#);
    assert_eq!(read("xenrt.log"), "[WARNING] [TIME] of the run\n");
    assert!(!dir.path().join("net.ping").exists(), "what never began has no directory");
    assert!(reports.close().is_empty());
}

#[test]
fn logs_of_more_testcases_than_files_may_be_open_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut reports = Reports::new(vec![Box::new(TestLogs::new(dir.path().into()))]);
    let ids: Vec<String> = (0..250).map(|n| format!("TC{n}")).collect();
    let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for id in &ids {
        story.start(id);
    }
    for id in &ids {
        story.tell(id, Fact::Logged { level: Level::Comment, text: format!("in the middle of {id}") });
    }
    for event in &story.events {
        reports.on_event(event).unwrap();
    }
    for id in &ids {
        let text = std::fs::read_to_string(dir.path().join(id).join("xenrt.log")).unwrap();
        assert!(text.contains(&format!("] {id}: The title")) && text.contains(&format!("in the middle of {id}")), "{text}");
    }
}

#[test]
fn a_log_is_never_written_outside_of_the_results() {
    let dir = tempfile::tempdir().unwrap();
    for hostile in ["../outside", "/tmp/outside", "a/../../outside"] {
        let mut reports = Reports::new(vec![Box::new(TestLogs::new(dir.path().join("results")))]);
        let mut story = Story::plan(&["a"]);
        story.tell("a", Fact::CaseStarted { args: BTreeMap::new(), timeout: None, dir: hostile.into(), attempt: 1, lane: 0 });
        story.events.iter().for_each(|e| reports.on_event(e).unwrap());
        assert!(reports.close()[0].what.contains("no directory for a testcase"), "{hostile}");
    }
    assert!(!dir.path().join("outside").exists());
}

/// With a testcase of subcases, one that was cut off, and one that could not run.
fn unhappy() -> Story {
    let mut story = Story::plan(&["storage/matrix", "storage/alone", "lone", "storage/late"]);
    story.start("storage/matrix");
    story.tell(
        "storage/matrix",
        Fact::Measured { name: "IOPS".into(), value: 1250.0, unit: "1/s".into(), better: None, spread: None },
    );
    story.subcase("storage/matrix", "nfs", "create", Outcome::Passed, None);
    story.subcase("storage/matrix", "nfs", "resize", Outcome::Failed, Some("SR_BACKEND_FAILURE_40 <\x01&>\u{ffff}"));
    story.subcase("storage/matrix", "", "bare", Outcome::Skipped, Some("no disk"));
    story.after(5.0).end("storage/matrix", Outcome::Failed, Some("1 subcase failed"));
    story.start("storage/alone");
    story.tell("storage/alone", Fact::Logged { level: Level::Warning, text: "]]> \x1b]0;unterminated".into() });
    story.after(1.0).fail("storage/alone", failure());
    story.end("lone", Outcome::Blocked, Some("storage/alone failed"));
    story.start("storage/late");
    story.after(2.0).tell("storage/late", Fact::PhaseStarted { phase: Phase::Run });
    story
}

pub fn summary_of(story: &Story) -> Summary {
    let mut summary = Summary::default();
    story.events.iter().for_each(|e| summary.apply(e));
    summary
}

#[test]
#[expect(clippy::too_many_lines, reason = "the whole document is shown")]
fn junit_has_subcases_in_a_suite_of_their_testcase_and_no_green_for_what_did_not_run() {
    let xml = String::from_utf8(junit(&summary_of(&unhappy())).unwrap()).unwrap();
    let times = regex::Regex::new(r"\[2026-[^\]]*\]|\d\d:\d\d:\d\d\.\d{3} ").unwrap();
    insta::assert_snapshot!(times.replace_all(&xml, "[TIME]"), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="20261122-090000-7f3a" tests="6" skipped="1" failures="2" errors="2" timestamp="2026-11-22T09:00:00.000+00:00">
        <testsuite name="storage/matrix" tests="3" skipped="1" errors="0" failures="1" timestamp="2026-11-22T09:00:00.000+00:00" time="4.500">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="xrt" value="0.1.0"/>
                <property name="machines" value="h1"/>
                <property name="title" value="The title of storage/matrix"/>
                <property name="arg.loops" value="3"/>
                <property name="arg.note" value="a &lt;b&gt; &amp; &quot;c&quot;"/>
                <property name="value.IOPS" value="1250 1/s"/>
                <property name="rerun" value="xrt --guest h1 --testcase scripts/storage/matrix.rhai loops=3"/>
            </properties>
            <testcase name="nfs/create" classname="storage.matrix" time="1.500"/>
            <testcase name="nfs/resize" classname="storage.matrix" time="1.500">
                <failure message="SR_BACKEND_FAILURE_40 &lt;␁&amp;&gt;·" type="failed"/>
            </testcase>
            <testcase name="bare" classname="storage.matrix" time="1.500">
                <skipped message="no disk" type="skipped"/>
            </testcase>
            <system-out>[RESULT] [TIME] value IOPS = 1250 1/s
    [RESULT] [TIME] subcase nfs/create passed after 1.5s
    [REASON] [TIME] subcase nfs/resize failed after 1.5s: SR_BACKEND_FAILURE_40 &lt;␁&amp;&gt;·
    [RESULT] [TIME] subcase bare skipped after 1.5s: no disk
    [[ATTACHMENT|results/20261122-090000-7f3a/storage.matrix/xenrt.log]]
    </system-out>
        </testsuite>
        <testsuite name="storage" tests="2" skipped="0" errors="1" failures="1" timestamp="2026-11-22T09:00:00.000+00:00" time="3.000">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="xrt" value="0.1.0"/>
                <property name="machines" value="h1"/>
            </properties>
            <testcase name="alone" classname="storage" timestamp="2026-11-22T09:00:05.000+00:00" time="1.000" file="scripts/guestops/reboot.rhai" line="21">
                <properties>
                    <property name="title" value="The title of storage/alone"/>
                    <property name="arg.loops" value="3"/>
                    <property name="arg.note" value="a &lt;b&gt; &amp; &quot;c&quot;"/>
                    <property name="rerun" value="xrt --guest h1 --testcase scripts/storage/alone.rhai loops=3"/>
                </properties>
                <failure message="the guest did not really reboot" type="assertion">FAIL storage/alone  assertion, blamed on the product
      the guest did not really reboot

       ╭▸ scripts/lib/boot.rhai:13:9
       │
    12 │ fn check_boot(vm, before) {
    13 │         fail(&quot;the guest did not really reboot&quot;);
       │         ━━━━ here in check_boot
    14 │ }
       ╰╴
        vm = guest(&quot;web1&quot;, 10.0.0.5)    before = &quot;4f1c9a&quot;

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
      [TIME] h1  systemctl reboot                       0.2s  exit 0
      [TIME] h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest&apos;s console
    </failure>
                <system-out>[WARNING] [TIME] ]]&gt; ␛]0;unterminated
    [[ATTACHMENT|results/20261122-090000-7f3a/storage.alone/xenrt.log]]
    </system-out>
            </testcase>
            <testcase name="late" classname="storage" timestamp="2026-11-22T09:00:06.000+00:00" time="2.000" file="scripts/storage/late.rhai">
                <properties>
                    <property name="title" value="The title of storage/late"/>
                    <property name="arg.loops" value="3"/>
                    <property name="arg.note" value="a &lt;b&gt; &amp; &quot;c&quot;"/>
                    <property name="rerun" value="xrt --guest h1 --testcase scripts/storage/late.rhai loops=3"/>
                </properties>
                <error message="never finished: the run died while it was in run" type="unfinished"/>
                <system-out>[[ATTACHMENT|results/20261122-090000-7f3a/storage.late/xenrt.log]]
    </system-out>
            </testcase>
        </testsuite>
        <testsuite name="testcases" tests="1" skipped="0" errors="1" failures="0" timestamp="2026-11-22T09:00:00.000+00:00" time="0.000">
            <properties>
                <property name="run" value="20261122-090000-7f3a"/>
                <property name="xrt" value="0.1.0"/>
                <property name="machines" value="h1"/>
            </properties>
            <testcase name="lone" classname="testcases" time="0.000" file="scripts/lone.rhai">
                <properties>
                    <property name="title" value="The title of lone"/>
                    <property name="rerun" value="xrt --guest h1 --testcase scripts/lone.rhai loops=3"/>
                </properties>
                <error message="storage/alone failed" type="blocked"/>
            </testcase>
        </testsuite>
    </testsuites>
    "#);
}

#[test]
fn junit_is_read_by_another_program_with_the_right_counts() {
    let read = |story: &Story| junit_parser::from_reader(&junit(&summary_of(story)).unwrap()[..]).unwrap();
    let suites = read(&unhappy());
    let found: Vec<(String, u64, u64, u64, u64)> =
        suites.suites.iter().map(|s| (s.name.clone(), s.tests, s.failures, s.errors, s.skipped)).collect();
    assert_eq!(
        found,
        [("storage/matrix".to_string(), 3, 1, 0, 1), ("storage".to_string(), 2, 1, 1, 0), ("testcases".to_string(), 1, 0, 1, 0),]
    );
    assert_eq!((suites.tests, suites.failures, suites.errors), (6, 2, 2));
    let late = &suites.suites[1].cases[1];
    assert_eq!((late.time, late.status.error_as_ref().message.as_str()), (2.0, "never finished: the run died while it was in run"));
    assert_eq!(suites.suites[2].cases[0].status.error_as_ref().error_type, "blocked");

    let mut cut = Story::plan(&["a"]);
    cut.start("a").end("a", Outcome::Passed, None);
    let suites = read(&cut);
    assert_eq!((suites.suites[1].name.as_str(), suites.errors), ("run", 1), "all passed, but the run has no end");
    assert_eq!(read(&cut.over(Verdict::Passed)).errors, 0);
}

#[test]
fn a_testcase_that_failed_although_its_subcases_passed_is_not_green() {
    let mut story = Story::plan(&["g/a"]);
    story.start("g/a").subcase("g/a", "", "one", Outcome::Passed, None);
    story.fail("g/a", failure());
    let suites = junit_parser::from_reader(&junit(&summary_of(&story.over(Verdict::Failed))).unwrap()[..]).unwrap();
    assert_eq!((suites.tests, suites.failures), (2, 1));
}

fn opening(results: &Path) -> Opening {
    Opening { results: results.into(), options: Options::default(), stream: || Box::new(std::io::sink()), screen: || None }
}

#[test]
fn any_report_is_made_again_from_the_log_of_a_run_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("events.jsonl");
    let mut sink = xenrt::event::log::LogSink::create(&log).unwrap();
    let story = unhappy();
    story.events.iter().for_each(|e| sink.on_event(e).unwrap());
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(b"{\"seq\":99,\"at\":\"2026-").unwrap();

    let opening = opening(dir.path());
    let copy = format!("jsonl:{}", dir.path().join("copy/events.jsonl").display());
    let reports = ["junit", "html", "console", &copy].map(|spec| open(spec, &opening).unwrap());
    let (summary, errors) = replay(LogReader::open(&log).unwrap(), reports.into()).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((summary.verdict(), summary.finished()), (Verdict::Incomplete, 3));
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("junit.xml").into_bytes(), junit(&summary).unwrap());
    let whole = read("events.jsonl");
    assert_eq!(read("copy/events.jsonl"), whole[..=whole.rfind('\n').unwrap()]);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "no temporary file is left: {left:?}");

    // A line in the middle that is damaged: the rest is read, and nothing is called passed.
    let mut passed = Story::plan(&["a"]);
    passed.start("a").end("a", Outcome::Passed, None);
    let lines: Vec<String> = passed.over(Verdict::Passed).events.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    std::fs::write(&log, format!("{{\"xenrt_event_log\":1}}\n{}\n{}\nrubbish\n{}\n{}\n", lines[0], lines[1], lines[2], lines[3]))
        .unwrap();
    let (summary, _) = replay(LogReader::open(&log).unwrap(), vec![]).unwrap();
    assert_eq!((summary.verdict(), summary.finished()), (Verdict::Incomplete, 1));
    assert!(summary.oddities()[0].contains(":4:1: not an event"), "{:?}", summary.oddities());
}

#[test]
fn a_report_that_cannot_be_opened_or_written_says_so_and_hurts_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for (spec, expected) in [
        ("junti:x.xml", "no report `junti`"),
        ("junit:", "no file after the colon"),
        ("console:x", "takes no file"),
        ("junit:/proc/nowhere/x.xml", "cannot make the directory"),
    ] {
        let error = open(spec, &opening(dir.path())).err().unwrap();
        assert!(error.what.contains(expected), "{spec}: {}", error.what);
    }
    assert_eq!(open("junti", &opening(dir.path())).err().unwrap().help.unwrap(), "did you mean `junit`?");

    struct Refuses(std::io::ErrorKind);
    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let console = |out: Box<dyn Write + Send>| Box::new(Console::new(Options::default(), out));
    use std::io::ErrorKind::{BrokenPipe, StorageFull};
    let outs: [Box<dyn Write + Send>; 3] = [Box::new(Refuses(StorageFull)), Box::new(Refuses(BrokenPipe)), Box::new(page.clone())];
    let mut reports = Reports::new(outs.into_iter().map(|out| console(out) as Box<dyn Report>).collect());
    mixed().events.iter().for_each(|e| reports.on_event(e).unwrap());
    let errors = reports.close();
    assert_eq!(errors.len(), 1, "a full disk is told, a reader that went away is not: {errors:?}");
    assert!(errors[0].what.starts_with("console: cannot write to the console"), "{}", errors[0].what);
    assert!(page.text().contains("FAILED (exit 1)"), "the other one goes on");
}

#[test]
fn every_report_opens_by_its_word_and_the_table_is_sorted() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SINKS.iter().map(|k| k.word).is_sorted());
    for kind in SINKS {
        let mut report = open(kind.word, &opening(&dir.path().join(kind.word))).unwrap();
        report.finish(&summary_of(&mixed()), &[]).unwrap();
        assert!(report.file().is_none_or(Path::exists), "{}", kind.word);
    }
}

#[test]
fn the_page_is_one_file_and_holds_hostile_text_harmlessly() {
    let evil = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>\x1b[2J\u{202e}";
    let mut story = Story::plan(&["g/a", evil]);
    let mut hostile = failure();
    hostile.message = evil.into();
    hostile.data = Some(evil.into());
    hostile.frames[0].lines[1].text = evil.into();
    hostile.frames[0].place.file = evil.into();
    hostile.frames[1].locals[0].value = evil.into();
    hostile.calls[0].what = evil.into();
    story.start("g/a");
    story.tell("g/a", Fact::Logged { level: Level::Warning, text: evil.into() });
    story.tell("g/a", Fact::Measured { name: evil.into(), value: f64::NAN, unit: evil.into(), better: None, spread: None });
    story.tell("g/a", Fact::Measured { name: evil.into(), value: f64::INFINITY, unit: evil.into(), better: None, spread: None });
    story.tell("g/a", Fact::Attached { name: evil.into(), path: "javascript:alert(3)".into(), bytes: 1 });
    story.tell("g/a", Fact::Attached { name: "outside".into(), path: "../../etc/passwd".into(), bytes: 1 });
    story.subcase("g/a", evil, evil, Outcome::Failed, Some(evil));
    story.fail("g/a", hostile).end(evil, Outcome::Errored, Some(evil));
    let page = String::from_utf8(html(&summary_of(&story.over(Verdict::Failed)), Path::new("results/page.html"))).unwrap();

    assert_eq!(page.matches("<script").count(), 1, "our own");
    let tags = regex::Regex::new(r"<(\w+)").unwrap();
    let found: BTreeSet<&str> = tags.captures_iter(&page).map(|c| c.get(1).unwrap().as_str()).collect();
    assert!(["img", "iframe", "object", "form"].iter().all(|t| !found.contains(t)), "{found:?}");
    for forbidden in ["href=\"javascript:", "http://", "https://", " src=\"", "etc/passwd\"", "\x1b", "\u{202e}"] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
    for expected in ["&lt;script&gt;alert(1)&lt;/script&gt;", "✗ failed", "! errored", "guest(&quot;web1&quot;, 10.0.0.5)"] {
        assert!(page.contains(expected), "{expected}");
    }
    let balanced = |tag: &str| page.matches(&format!("<{tag}")).count() == page.matches(&format!("</{tag}>")).count();
    assert!(["details", "table", "dl", "article", "summary", "svg", "ul"].iter().all(|t| balanced(t)));
}

#[test]
fn the_page_of_ten_thousand_testcases_stays_usable() {
    let ids: Vec<String> = (0..10_000).map(|n| format!("group{}/TCNothing{n}", n / 100)).collect();
    let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for (n, id) in ids.iter().enumerate() {
        story.start(id);
        story.tell(id, Fact::Logged { level: Level::Comment, text: "said ".repeat(100) });
        if n % 10 == 0 {
            story.fail(id, failure())
        } else {
            story.end(id, Outcome::Passed, None)
        };
    }
    let page = html(&summary_of(&story.over(Verdict::Failed)), Path::new("page.html"));
    assert!(page.len() < 10 << 20, "{} bytes", page.len());
    let page = String::from_utf8(page).unwrap();
    assert_eq!(page.matches("<span class=\"name more\">").count(), 10_000, "every testcase is named");
}
