//! Runs that are cut short: time limits, Ctrl-C, `kill -9`.

use crate::support::terminal::Terminal;
use crate::support::xrt::{Ran, Xrt};
use rustix::process::Signal;
use std::fs;
use xenrt::error::{Blame, Kind};
use xenrt::event::{Fact, Outcome, Verdict};

use Outcome::{Errored, Failed, Passed};

/// A testcase that says when it is up, waits, and says that it cleaned up.
const WAITING: &str = r#"fn run(args) { defer(|| log("cleaned up")); log("up"); sleep(600); }"#;

#[track_caller]
fn said(ran: &Ran, wanted: &str) {
    assert!(ran.said("a").iter().any(|line| line.contains(wanted)), "`{wanted}` was not said\n{}", ran.transcript());
}

#[test]
fn a_time_limit_ends_whatever_runs_and_blames_who_was_waited_for() {
    let script_only = "running script statements";
    let cases = [
        ("loop {}", Blame::Author, script_only),
        ("let x = 0; while true { x += 1 }", Blame::Author, script_only),
        ("fn spin() { loop {} }  spin()", Blame::Author, script_only),
        ("try { loop {} } catch { loop {} }", Blame::Author, script_only),
        ("loop { try { loop {} } catch {} }", Blame::Author, script_only),
        ("step(\"s\", || { loop {} })", Blame::Author, script_only),
        ("subtest(\"s\", || { loop {} })", Blame::Author, script_only),
        ("sleep(600)", Blame::Product, "waiting for `sleep"),
        ("try { sleep(600) } catch { }", Blame::Product, "waiting for `sleep"),
        ("parallel([|| sleep(600), || sleep(600)])", Blame::Product, "waiting for `sleep"),
        ("parallel([|| 1, || { loop {} }])", Blame::Author, script_only),
        ("eventually(#{ timeout: \"10m\", desc: \"pigs fly\" }, || false)", Blame::Product, "until pigs fly"),
        ("repeat(1000000000, |i| sleep(0.01))", Blame::Author, script_only),
        ("target().exec(\"sleep 600\")", Blame::Product, "`sleep 600` on local"),
        ("target().exec(\"trap '' TERM; while :; do sleep 600; done\")", Blame::Product, "on local"),
        ("parallel([|| target().exec(\"sleep 600\"), || { loop {} }])", Blame::Product, "`sleep 600` on local"),
    ];
    // All at once, so that the limit can be long enough for a busy machine.
    let mut xrt = Xrt::new().args("--timeout 2s --guest local --no-logs --workers").arg(cases.len().to_string());
    for (number, (body, ..)) in cases.iter().enumerate() {
        let (before, body) = body.split_once("  ").unwrap_or(("", body));
        let script = format!("{before} fn run(args) {{ defer(|| log(\"cleaned up\")); {body} }}");
        xrt = xrt.script(&format!("t{number}.rhai"), &script);
    }
    let ran = xrt.run().ends(1);
    for (number, (body, blame, reason)) in cases.into_iter().enumerate() {
        let id = format!("t{number}");
        let (failure, told) = (ran.failure(&id), ran.reason(&id));
        assert_eq!((failure.kind, failure.blame), (Kind::Timeout, blame), "{body}: {told}");
        assert_eq!(ran.outcome(&id), if blame == Blame::Product { Failed } else { Errored }, "{body}");
        assert!(told.contains("did not end within 2s") && told.contains(reason), "{body}: {told}");
        assert!(ran.said(&id).contains(&"cleaned up".to_string()), "{body}: {:?}", ran.said(&id));
    }
}

#[test]
fn the_limit_of_meta_counts_unless_the_command_line_has_one() {
    let script = r#"fn meta() { #{ timeout: 0.2 } } fn run(args) { sleep(2); }"#;
    let ran = Xrt::new().script("a.rhai", script).run().ends(1);
    assert!(ran.reason("a").contains("200ms"), "{}", ran.reason("a"));
    Xrt::new().script("a.rhai", script).args("--timeout 1m").run().ends(0);
}

#[test]
fn clean_ups_have_a_limit_of_their_own() {
    let script = r#"
        fn run(args) {
            defer(|| log("after that, too"));
            defer(|| { loop {} });
            defer(|| log("cleaned up"));
            sleep(600);
        }
        fn post_run(args) { log("post_run"); }
    "#;
    let ran = Xrt::new().script("a.rhai", script).args("--timeout 200ms --cleanup-timeout 500ms").run().ends(1);
    assert_eq!(ran.outcome("a"), Failed);
    for wanted in ["post_run", "cleaned up", "the clean-up did not end within 500ms"] {
        said(&ran, wanted);
    }
    // A hanging post_run must not take the clean-ups with it without a word.
    let script = r#"fn run(args) { defer(|| { log("cleaned up"); }); } fn post_run(args) { loop {} }"#;
    let ran = Xrt::new().script("a.rhai", script).args("--cleanup-timeout 300ms").run().ends(0);
    said(&ran, "post_run: the clean-up did not end within 300ms");
}

#[test]
fn a_signal_stops_the_run_and_cleans_up() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut running = Xrt::new().script("a.rhai", WAITING).script("b.rhai", "fn run(args) {}").start();
        running.until_said("up");
        running.signal(signal);
        let ran = running.wait().ends(5);
        said(&ran, "cleaned up");
        assert_eq!((ran.outcome("a"), ran.failure("a").kind), (Errored, Kind::Cancelled));
        let summary = ran.summary();
        assert_eq!((summary.verdict(), summary.unfinished()), (Verdict::Stopped, 1), "b was never begun");
        assert!(ran.stderr.contains("once more leaves at once"), "{}", ran.stderr);
        assert!(ran.stdout.contains("STOPPED"), "{}", ran.transcript());
        assert_eq!(ran.then("replay").exit, 5);
    }
}

#[test]
fn on_a_terminal_it_is_seen_that_a_run_is_being_stopped() {
    for quiet in [&[][..], &["--quiet"]] {
        let home = tempfile::tempdir().unwrap();
        let script = "fn run(args) { defer(|| sleep(600)); sleep(600); }";
        fs::write(home.path().join("a.rhai"), script).unwrap();
        let args = [&["--testcase", "a.rhai"], quiet].concat();
        let terminal = Terminal::start(env!("CARGO_BIN_EXE_xrt"), &args, home.path());
        terminal.has("sleep 10m00");
        terminal.press("\x03");
        terminal.has("once more leaves at once");
        // It is still there when what runs was drawn again, below it.
        terminal.until("the clean-up below it", |lines| {
            let at = |text: &str| lines.iter().rposition(|line| line.contains(text));
            at("once more leaves at once").is_some_and(|said| at("· a").is_some_and(|row| said < row))
        });
        terminal.press("\x03");
        terminal.has("left at once");
        assert_eq!(terminal.ends(), 5);
    }
}

#[test]
fn what_had_failed_before_ctrl_c_stays_failed() {
    let script = r#"fn run(args) { subtest("s", || fail("before")); log("up"); sleep(600); }"#;
    let mut running = Xrt::new().script("a.rhai", script).start();
    running.until_said("up");
    running.signal(Signal::INT);
    let ran = running.wait().ends(5);
    assert_eq!(ran.subcases("a")[0].1, Failed);
    assert!(ran.outcome("a").is_bad());
}

#[test]
fn ctrl_c_reaches_all_workers_and_every_sort_of_wait() {
    let script = r#"fn run(args) { defer(|| log("cleaned up")); log(`up`); BODY }"#;
    let bodies = ["loop {}", "sleep(600)", "target().exec(\"sleep 600\")", "parallel([|| sleep(600)])", "eventually(|| false)"];
    let mut xrt = Xrt::new().args("--workers 5 --guest local --no-logs");
    for (number, body) in bodies.iter().enumerate() {
        xrt = xrt.script(&format!("t{number}.rhai"), &script.replace("BODY", body).replace("`up`", &format!("\"up {number}\"")));
    }
    let mut running = xrt.start();
    for number in 0..bodies.len() {
        running.until_said(&format!("up {number}"));
    }
    running.signal(Signal::INT);
    let ran = running.wait().ends(5);
    for (number, body) in bodies.iter().enumerate() {
        let id = format!("t{number}");
        assert!(ran.said(&id).contains(&"cleaned up".to_string()), "{body}: {}", ran.transcript());
        assert_eq!(ran.outcome(&id), Errored, "{body}");
    }
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_says_where_the_results_are() {
    let script = r#"fn run(args) { defer(|| { log("cleaning"); sleep(600); }); log("up"); sleep(600); }"#;
    let mut running = Xrt::new().script("a.rhai", script).start();
    running.until_said("up");
    running.signal(Signal::INT);
    running.until_said("cleaning");
    running.signal(Signal::INT);
    let ran = running.wait().ends(5);
    assert!(ran.stderr.contains("left at once; results so far: results/"), "{}", ran.stderr);
    ran.then("replay").ends(3);
}

#[test]
fn a_killed_run_is_incomplete_and_names_what_was_running() {
    let mut running = Xrt::new()
        .script("first.rhai", r#"fn run(args) { value("x", 1); }"#)
        .script("a.rhai", WAITING)
        .script("b.rhai", "fn run(args) {}")
        .start();
    running.until_said("up");
    running.signal(Signal::KILL);
    let ran = running.wait();
    assert_eq!(ran.exit, -9);
    assert_eq!(ran.outcome("first"), Passed);

    let replayed = ran.then("replay --report junit:out.xml").ends(3);
    for wanted in ["INCOMPLETE", "CUT OFF  a", "NOT RUN  b"] {
        assert!(replayed.stdout.contains(wanted), "no `{wanted}`\n{}", replayed.transcript());
    }
    let junit = fs::read(ran.dir().join("out.xml")).unwrap();
    let suites = junit_parser::from_reader(&junit[..]).unwrap();
    let cases: Vec<_> = suites.suites.iter().flat_map(|s| &s.cases).collect();
    let bad: Vec<_> =
        cases.iter().filter(|c| c.status.is_error() || c.status.is_failure()).map(|c| c.original_name.as_str()).collect();
    assert_eq!((cases.len(), bad), (3, vec!["a", "b"]));

    // The last line may be torn anywhere, also within a character: it is as if it had not been written.
    let log = ran.results.join("events.jsonl");
    let whole = fs::read(&log).unwrap();
    for cut in [1, 2, 10, 40] {
        fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        ran.then("replay").ends(3);
    }
    // A line in the middle that is broken is no proof of a pass either.
    let text = String::from_utf8(whole).unwrap();
    let last_fact = text.rfind("case_finished").unwrap();
    fs::write(&log, format!("{}####{}", &text[..last_fact], &text[last_fact + 4..])).unwrap();
    ran.then("replay").ends(3);
    fs::write(&log, "").unwrap();
    ran.then("replay").ends(2);
}

#[test]
fn a_log_that_ends_early_is_never_passed() {
    let ran = Xrt::new().script("a.rhai", "fn run(args) {}").run().ends(0);
    let log = ran.results.join("events.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    assert!(matches!(ran.events().last().map(|e| &e.fact), Some(Fact::RunFinished { .. })));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for kept in 1..lines.len() {
        fs::write(&log, lines[..kept].concat()).unwrap();
        ran.then("replay").ends(3);
    }
}
