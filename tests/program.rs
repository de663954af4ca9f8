//! Programs as testcases: exit status, TAP, JUnit and benchmark lines become outcomes.

use crate::support::xrt::{Ran, Xrt};
use rustix::process::{Pid, Signal};
use std::fs;
use xenrt::error::{Blame, Kind};
use xenrt::event::{Fact, Level, Outcome};

use Outcome::{Errored, Failed, Partial, Passed, Skipped};

/// The id of the program `p` in a run.
const P: &str = "p";

/// Runs a shell script as a testcase.
fn shell(body: &str) -> Xrt {
    Xrt::new().program("p", format!("#!/bin/sh\n{body}\n"))
}

#[track_caller]
fn check(body: &str, outcome: Outcome, reason: &str) -> Ran {
    let exit = match outcome {
        Passed | Partial => 0,
        Failed => 1,
        Errored => 3,
        _ => 4,
    };
    let ran = shell(body).run().ends(exit);
    let told = ran.reason(P);
    assert_eq!(ran.outcome(P), outcome, "{}", ran.transcript());
    assert!(
        told.contains(reason) && reason.is_empty() == told.is_empty(),
        "`{told}` is not about `{reason}`\n{}",
        ran.transcript()
    );
    ran
}

#[test]
fn the_exit_status_is_the_outcome() {
    for (body, outcome, reason) in [
        ("exit 0", Passed, ""),
        ("exit 1", Failed, "exit status 1"),
        ("exit 255", Failed, "exit status 255"),
        ("exit 77", Skipped, "exit status 77"),
        ("kill -SEGV $$", Failed, "killed by SIGSEGV"),
        ("kill -KILL $$", Failed, "killed by SIGKILL"),
        ("kill -TERM $$", Failed, "killed by SIGTERM"),
    ] {
        check(body, outcome, reason);
    }
    let ran = check("echo out; echo the disk is gone >&2; exit 3", Failed, "exit status 3");
    let failure = ran.failure(P);
    assert_eq!((failure.kind, failure.blame), (Kind::Refused, Blame::Product));
    assert!(failure.data.unwrap().contains("the disk is gone"));
    assert!(ran.stdout.contains("the disk is gone"), "{}", ran.transcript());
}

#[test]
fn what_a_program_reports_of_its_tests_becomes_subcases() {
    for (body, outcome, reason) in [
        ("printf '1..2\\nok 1 a\\nok 2 b\\n'", Passed, ""),
        ("printf '1..2\\nok 1 a\\nnot ok 2 b\\n'", Failed, "1 of 2 subcases failed, first b: not ok"),
        ("printf '1..2\\nok 1 a\\nnot ok 2 b\\n'; exit 1", Failed, "1 of 2 subcases failed, first b"),
        ("printf '1..2\\nok 1 a\\nok 2 b\\n'; exit 3", Failed, "exit status 3, although every test that it reports is fine"),
        ("printf '1..5\\nok 1 a\\nok 2 b\\nok 3 c\\n'", Errored, "planned 5, ran 3"),
        ("printf '1..2\\nok 1 a # SKIP x\\nok 2 b # SKIP y\\n'", Skipped, "all 2 subcases were skipped"),
        ("printf '1..0 # SKIP no Xen here\\n'", Skipped, "no Xen here"),
        ("printf '1..0 # SKIP no Xen here\\n'; exit 1", Failed, "exit status 1"),
        ("printf '1..2\\nok 1 a\\nok 2 b\\n'; exit 77", Skipped, "exit status 77"),
        ("printf '1..1\\nnot ok 1 a\\n'; exit 77", Failed, "first a"),
        ("printf '1..3\\nok 1 a\\nBail out! no disk\\n'; exit 1", Errored, "bailed out: no disk"),
        ("printf '1..3\\nok 1 a\\n'; kill -SEGV $$", Failed, "killed by SIGSEGV"),
        ("printf '1..1\\nok 1 a # TODO x\\n'", Partial, "expected to fail"),
        ("printf 'TAP version 13\\nnothing\\n'", Errored, "neither a plan nor a test"),
        ("echo '<testsuite name=\"s\"><testcase name=\"a\"/></testsuite>'", Passed, ""),
        ("echo '<testsuite><testcase name=\"a\"><failure message=\"m\"/></testcase></testsuite>'", Failed, "first a: m"),
        ("echo '<testsuite><testcase name=\"a\"><error/></testcase></testsuite>'", Errored, "first a"),
        ("echo '<testsuite><testcase name=\"a\"/></testsuite>'; exit 2", Failed, "exit status 2, although"),
        ("echo '<testsuites/>'", Skipped, "no test"),
        ("printf '<testsuite>\\n<testcase'", Errored, "stdout.txt:2:"),
        ("echo '<?xml version=\"1.0\"?><html/>'", Passed, ""),
        ("echo ok; echo not ok", Passed, ""),
    ] {
        check(body, outcome, reason);
    }
    let ran = check(
        "printf 'TAP version 14\\n1..1\\n# Subtest: g\\n    1..2\\n    ok 1 a\\n    not ok 2 b\\n      ---\\n      why: no\\n      ...\\nnot ok 1 g\\n'; exit 1",
        Failed,
        "2 of 3 subcases failed, first b",
    );
    assert_eq!(
        ran.subcases(P),
        [("g/a".into(), Passed, String::new()), ("g/b".into(), Failed, "not ok".into()), ("g".into(), Failed, "not ok".into())]
    );
    assert!(
        ran.facts(P).iter().any(|f| matches!(f, Fact::Subcase { failure: Some(x), .. } if x.data.as_deref() == Some("why: no\n")))
    );
}

#[test]
fn benchmark_lines_are_understood() {
    for (body, outcome, reason) in [
        ("echo 'Test: passed'", Passed, ""),
        ("echo 'Reason: too slow'; echo 'Test: failed'", Failed, "too slow"),
        ("echo 'Test: failed'; echo 'Test: passed'", Failed, "Test: failed"),
        ("echo 'Test: passed'; exit 1", Failed, "exit status 1"),
        ("echo 'Test: error'; echo 'Reason: no disk'; exit 1", Errored, "no disk"),
        ("echo 'Test: partial'; echo 'Reason: half'", Partial, "half"),
        ("echo 'Test: skipped'", Skipped, "Test: skipped"),
        ("echo 'Test: the disks'", Passed, ""),
        ("printf '1..1\\nok 1 a\\nTest: failed\\n'", Passed, ""),
        (
            "printf '<testsuite><testcase name=\"a\"><system-out>\\nTest: failed\\nValue: x 1\\n</system-out></testcase></testsuite>'",
            Passed,
            "",
        ),
    ] {
        let ran = check(body, outcome, reason);
        assert!(!ran.facts(P).iter().any(|f| matches!(f, Fact::Measured { .. })));
    }
    let ran = check("echo 'Value: rate 812.5 MB/s'; echo 'Warning: hot'; echo 'Value: n x'; printf 'Value: last 3'", Passed, "");
    let facts = ran.facts(P);
    for fact in [
        Fact::Measured { name: "rate".into(), value: 812.5, unit: "MB/s".into(), better: None, spread: None },
        Fact::Measured { name: "last".into(), value: 3.0, unit: String::new(), better: None, spread: None },
        Fact::Logged { level: Level::Warning, text: "hot".into() },
        Fact::Logged { level: Level::Verbose, text: "Value: n x".into() },
    ] {
        assert!(facts.contains(&fact), "{fact:?} in {facts:#?}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_the_authors_error() {
    for (text, what, help) in [
        ("echo no interpreter named\n", "neither a program for this machine nor a script", "#!/bin/sh"),
        ("#!/no/such/shell -x\n", "its interpreter `/no/such/shell` is not there", "first line"),
        ("#!/bin/sh\r\nexit 0\n", r"its interpreter `/bin/sh\r` is not there", "first line"),
        ("", "neither a program for this machine nor a script", "#!/bin/sh"),
        ("\x7fELF garbage", "cannot be started", ""),
    ] {
        let ran = Xrt::new().program("p", text).run().ends(3);
        let failure = ran.failure(P);
        assert!(failure.message.contains(what), "{}", failure.message);
        assert!(failure.help.unwrap().contains(help));
        assert_eq!((ran.outcome(P), failure.blame), (Errored, Blame::Author));
    }
    let ran = Xrt::new().file("p", "text").testcase("./p").run().ends(2);
    assert!(ran.stderr.contains("chmod +x"), "{}", ran.stderr);
}

#[test]
fn a_program_knows_where_it_stands_and_no_secrets() {
    let body = r#"printf '%s\n' "$@"; env | grep ^XRT_ | sort; pwd; cat; ls "$XRT_RESULTS_DIR""#;
    let ran = shell(body)
        .args("--guest root:hunter22@127.0.0.1:2222 --guest local mode=fast loops-max=3 flag")
        .arg("text=two words")
        .env("XRT_PASSWORD", "hunter33")
        .env("XRT_KEY_PASSPHRASE", "hunter55")
        .env("XRT_SITE", "hunter44")
        .run()
        .ends(0);
    let dir = ran.results.join(P).display().to_string();
    let here = ran.dir().canonicalize().unwrap().display().to_string();
    let expected = format!(
        "mode=fast\nloops-max=3\nflag\ntext=two words\nXRT_ARG_FLAG=true\nXRT_ARG_LOOPS_MAX=3\nXRT_ARG_MODE=fast\nXRT_ARG_TEXT=two words\nXRT_CASE=p\nXRT_GUEST=root@127.0.0.1:2222\nXRT_GUESTS=root@127.0.0.1:2222 local\nXRT_RESULTS_DIR={dir}\n{here}\nstderr.txt\nstdout.txt\nxenrt.log\n"
    );
    assert_eq!(ran.read("p/stdout.txt"), expected);
}

#[test]
fn output_is_streamed_bounded_and_kept_whole() {
    let ran = check(
        "i=0; while [ $i -lt 12000 ]; do echo line $i; i=$((i+1)); done; echo oops >&2; printf '\\377\\000\\033[2J'",
        Passed,
        "",
    );
    let said = ran.said(P);
    assert_eq!((said[0].as_str(), said.len()), ("line 0", 10_001));
    assert!(said[10_000].contains("only in stdout.txt"), "{}", said[10_000]);
    let whole = fs::read(ran.results.join("p/stdout.txt")).unwrap();
    assert!(whole.ends_with(b"line 11999\n\xff\x00\x1b[2J"));
    assert_eq!(ran.read("p/stderr.txt"), "oops\n");
    let files: Vec<String> =
        ran.facts(P).into_iter().filter_map(|f| if let Fact::Attached { name, .. } = f { Some(name) } else { None }).collect();
    assert!(files.contains(&"stdout.txt".into()) && files.contains(&"stderr.txt".into()), "{files:?}");

    let ran = check("echo 1..30000; seq 30000 | sed 's/^/ok /'", Passed, "");
    assert_eq!(ran.subcases(P).len(), 30_000);

    let ran = check("head -c 20000000 /dev/zero | tr '\\0' x", Passed, "");
    assert_eq!(ran.said(P), [format!("{}…", "x".repeat(4096))]);
    assert_eq!(fs::metadata(ran.results.join("p/stdout.txt")).unwrap().len(), 20_000_000);
}

#[test]
fn a_program_that_does_not_end_is_ended_with_everything_it_started() {
    let body = r#"
        trap 'echo cleaning up; exit 9' TERM
        sleep 600 & echo $! > "$XRT_RESULTS_DIR/child"
        printf '1..3\nok 1 a\nnot ok 2 b\n'
        wait
    "#;
    let ran = shell(body).args("--timeout 500ms").run().ends(1);
    assert_eq!(ran.outcome(P), Failed, "{}", ran.transcript());
    assert!(ran.reason(P).contains("did not end within 500ms"), "{}", ran.reason(P));
    assert_eq!(ran.subcases(P).len(), 2, "what it told is kept, what it could not tell is no news");
    assert!(ran.read("p/stdout.txt").ends_with("cleaning up\n"));
    let child = ran.read("p/child");
    // Whoever has ended and was not yet reaped is a zombie.
    let status = fs::read_to_string(format!("/proc/{}/status", child.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");

    let ran = shell("trap '' TERM; echo deaf; while :; do sleep 600; done").args("--timeout 300ms").run().ends(1);
    assert!(ran.reason(P).contains("did not end within"), "{}", ran.reason(P));
}

#[test]
fn what_a_program_leaves_behind_cannot_hang_the_run() {
    // The one says nothing and holds the pipe, the other never stops saying something.
    for left in ["sleep 600", "while echo more; do sleep 0.1; done"] {
        let body = format!("( {left} ) & echo $! > \"$XRT_RESULTS_DIR/child\"; echo bye; exit 0");
        let ran = shell(&body).run().ends(0);
        let child = Pid::from_raw(ran.read("p/child").trim().parse().unwrap()).unwrap();
        // Ours to end: a program that ended well may have left a daemon on purpose.
        rustix::process::kill_process(child, Signal::KILL).unwrap();
        assert!(ran.said(P).contains(&"bye".into()), "{}", ran.transcript());
    }
}

#[test]
fn ctrl_c_ends_a_program_softly() {
    let mut running = shell("trap 'echo cleaned; exit 0' INT TERM; echo up; while :; do sleep 0.05; done").start();
    running.until_said("up");
    running.signal(Signal::INT);
    let ran = running.wait().ends(5);
    assert!(ran.read("p/stdout.txt").ends_with("cleaned\n"), "{}", ran.transcript());
    assert_eq!(ran.outcome(P), Errored);
}
