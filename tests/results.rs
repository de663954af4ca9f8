//! What a run leaves behind: exit statuses, directories, reports, and no secrets.

use crate::support::xrt::{Ran, Xrt};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use xenrt::event::{Fact, Outcome, Verdict};

use Outcome::{Failed, Passed};

const PASS: &str = "fn run(args) {}";
const ALIAS: &str = r#"fn meta() { #{ aliases: ["other.Name"] } } fn run(args) {}"#;

#[test]
fn every_exit_status_of_the_table() {
    for (body, exit) in
        [("", 0), ("partial(\"p\")", 0), ("fail(\"f\")", 1), ("error(\"e\")", 3), ("throw 1", 3), ("skip(\"s\")", 4)]
    {
        let script = format!("fn run(args) {{ {body} }}");
        let ran = Xrt::new().script("a.rhai", &script).run().ends(exit);
        ran.then("replay --quiet").ends(exit);
        // One that passes changes neither failed nor errored, and makes a skip no more than that.
        let with = Xrt::new().script("a.rhai", &script).script("b.rhai", PASS).run();
        assert_eq!(with.exit, if exit == 4 { 0 } else { exit }, "{}", with.transcript());
    }
    let both = Xrt::new().script("a.rhai", r#"fn run(args) { error("e") }"#).script("b.rhai", r#"fn run(args) { fail("f") }"#);
    both.run().ends(1);
    Xrt::new().script("a.rhai", "fn meta() { #{ target: \"guest\" } } fn run(args) {}").run().ends(3);
}

#[test]
fn wrong_usage_is_told_before_anything_runs() {
    let script = r#"fn meta() { #{ args: #{ loops: 3, fast: false } } } fn run(args) {}"#;
    for (xrt, says) in [
        (Xrt::new(), "--testcase"),
        (Xrt::new().arg("lst"), "did you mean `list`?"),
        (Xrt::new().file("a.rhai", PASS).arg("a.rhai"), "xrt --testcase a.rhai"),
        (Xrt::new().arg("new"), "<FILE>"),
        (Xrt::new().testcase("a.rhay").file("a.rhai", PASS), "no testcase `a.rhay`"),
        (Xrt::new().testcase("dummy/slep"), "did you mean `dummy/sleep`?"),
        (Xrt::new().testcase("TCSlep"), "did you mean `TCSleep`?"),
        (Xrt::new().script("a.rhai", script).arg("lops=5"), "did you mean `loops`?"),
        (Xrt::new().script("a.rhai", script).arg("loops=many"), "expected a whole number"),
        (Xrt::new().script("a.rhai", script).arg("loops"), "needs a value"),
        (Xrt::new().script("a.rhai", "fn run(args) {").arg("-q"), "a.rhai:1:"),
        (Xrt::new().script("a.rhai", "fn other(args) {}"), "no function `run(args)`"),
        (Xrt::new().script("a.rhai", "fn meta() { #{ titel: \"x\" } } fn run(args) {}"), "did you mean `title`?"),
        (Xrt::new().script("a.rhai", PASS).args("--timeout soon"), "soon"),
        (Xrt::new().script("a.rhai", PASS).args("--workers 0"), "0"),
        (Xrt::new().script("a.rhai", PASS).args("--report jnuit:x"), "did you mean `junit`?"),
        (Xrt::new().script("a.rhai", PASS).args("--report testlog:-"), "is a directory"),
        (Xrt::new().script("a.rhai", PASS).args("-D NAME"), "expected NAME=VALUE"),
        (Xrt::new().script("a.rhai", PASS).args("--guest root:secret@h:0"), "port"),
        (Xrt::new().script("a.rhai", PASS).args("--scripts nowhere"), "nowhere"),
        (
            Xrt::new().file("scripts/a.rhai", ALIAS).file("scripts/b.rhai", ALIAS).testcase("other.Name"),
            "`other.Name` is an alias of 2 testcases: `a`, `b`",
        ),
        (Xrt::new().file("empty/x.txt", "").testcase("empty"), "no testcase in `empty`"),
        (Xrt::new().args("replay nowhere"), "nowhere"),
        (Xrt::new().args("replay"), "name the results directory"),
    ] {
        let ran = xrt.run().ends(2);
        assert!(ran.stderr.contains(says), "no `{says}`\n{}", ran.transcript());
        assert!(!ran.stderr.contains("secret@"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "", "{}", ran.transcript());
    }
}

#[test]
fn a_directory_runs_in_order_and_side_by_side_with_unique_ids() {
    let many = || {
        let mut xrt = Xrt::new().file("suite/lib.rhai", "fn help() { 1 }");
        for name in ["b", "a", "sub/c", "sub/a"] {
            xrt = xrt.file(&format!("suite/{name}.rhai"), PASS);
        }
        xrt.testcase("suite").testcase("suite/a.rhai").testcase("suite/a.rhai")
    };
    let ids = |ran: &Ran| ran.summary().cases().iter().map(|c| c.id.to_string()).collect::<Vec<_>>();
    let ran = many().run().ends(0);
    assert_eq!(ids(&ran), ["suite/a", "suite/b", "suite/sub/a", "suite/sub/c", "a", "a#2"]);
    let begun: Vec<_> =
        ran.events().into_iter().filter(|e| matches!(e.fact, Fact::CaseStarted { .. })).filter_map(|e| e.case).collect();
    assert_eq!(begun.iter().map(ToString::to_string).collect::<Vec<_>>(), ids(&ran));
    let ran = many().args("--workers 4").run().ends(0);
    assert_eq!((ids(&ran).len(), ran.summary().count(Passed)), (6, 6));
    let dirs: std::collections::BTreeSet<PathBuf> = ran
        .events()
        .into_iter()
        .filter_map(|e| if let Fact::CaseStarted { dir, .. } = e.fact { Some(dir) } else { None })
        .collect();
    assert_eq!(dirs.len(), 6, "each has a directory of its own");
}

#[test]
fn results_have_their_places() {
    let script = r#"fn run(args) { log("to the log"); write_file_here() } fn write_file_here() {}"#;
    let ran = Xrt::new().script("a.rhai", script).run().ends(0);
    assert_eq!(fs::read_link(ran.dir().join("results/latest")).unwrap(), Path::new(ran.results.file_name().unwrap()));
    for file in ["events.jsonl", "junit.xml", "report.html", "a/xenrt.log"] {
        assert!(ran.results.join(file).is_file(), "no {file}: {:?}", files(&ran.results));
    }
    assert!(ran.read("a/xenrt.log").contains("to the log"));
    let first = ran.results.clone();
    let second = ran.then("--testcase a.rhai --results results --quiet").ends(0);
    assert_ne!(first, second.results, "a second run has a directory of its own, and `latest` points at it");
    assert!(first.join("events.jsonl").is_file());
    let elsewhere = ran.then("--testcase a.rhai --results deep/er").ends(0);
    assert!(elsewhere.dir().join("deep/er/latest/events.jsonl").is_file());
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let xrt = Xrt::new().script("a.rhai", "fn run(args) { sleep(0.3); }");
    let both = [xrt.clone().start(), xrt.start()];
    let ran: Vec<Ran> = both.into_iter().map(|running| running.wait().ends(0)).collect();
    let runs: Vec<_> =
        fs::read_dir(ran[0].dir().join("results")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(runs.len(), 3, "two and `latest`: {runs:?}");
    for run in runs.iter().filter(|r| *r != "latest") {
        assert!(ran[0].results.parent().unwrap().join(run).join("events.jsonl").is_file());
    }
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(dir).into_iter().map(|e| e.unwrap());
    all.filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

#[test]
fn what_cannot_be_written_is_never_a_pass() {
    // Also for root, who may write everywhere but here.
    for (args, says) in [("--results /proc/nothing", "/proc/nothing"), ("--results a.rhai", "a.rhai")] {
        let ran = Xrt::new().script("a.rhai", PASS).args(args).run().ends(2);
        assert!(ran.stderr.contains(says), "{}", ran.transcript());
    }
    for report in ["junit:/proc/nothing/x.xml", "html:a.rhai/x", "junit:results", "jsonl:/proc/nothing/x"] {
        let ran = Xrt::new().script("a.rhai", PASS).args("--report").arg(report).run();
        assert!(ran.exit != 0 && ran.exit != 101, "{}", ran.transcript());
        let path = report.split_once(':').unwrap().1;
        assert!(ran.stderr.contains(path), "{}", ran.transcript());
    }
    // A failure stays a failure.
    let ran = Xrt::new().script("a.rhai", r#"fn run(args) { fail("f") }"#).args("--report junit:results").run().ends(1);
    assert!(ran.stderr.contains("write `results`"), "{}", ran.transcript());
}

#[test]
fn a_run_whose_log_is_lost_is_cancelled_and_not_passed() {
    // A limit on the size of files stands for the full disk: it needs no rights, and strikes in mid-run.
    let script = r#"fn run(args) { for i in 0..2000 { log(`${i} xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`); } sleep(600); }"#;
    let xrt = Xrt::new().file("a.rhai", script);
    let mut command = crate::support::process::tied("sh");
    let line = format!("trap '' XFSZ; ulimit -f 100; exec {} --testcase a.rhai --testcase a.rhai", env!("CARGO_BIN_EXE_xrt"));
    command.args(["-c", &line]).current_dir(xrt.dir());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().unwrap_or(-1);
    assert!(code > 0 && code != 101, "{code}\n{stdout}\n{stderr}");
    assert!(stderr.contains("events.jsonl"), "{stderr}");
}

#[test]
fn secrets_are_in_no_file_and_on_no_screen() {
    let script = r#"
        fn run(args) {
            log("the password is hunter22 indeed");
            comment("hunter33!");
            subtest("g", "hunter22", || fail("hunter33!", #{ text: "hunter22" }));
            value("hunter22", 1, "hunter33!");
            let local_value = "hunter22";
            error("it is hunter33!");
        }
    "#;
    let ran = Xrt::new()
        .script("a.rhai", script)
        .args(
            "--guest root:hunter22@127.0.0.1:1 --guest root@127.0.0.1:2 --no-logs -vv --report tap --report sqlite --report jsonl --report results --report markdown --report github",
        )
        .env("XRT_PASSWORD", "hunter33!")
        .run()
        .ends(3);
    let mut texts = vec![("stdout".to_string(), ran.stdout.clone()), ("stderr".into(), ran.stderr.clone())];
    for file in files(ran.dir()).into_iter().filter(|f| !f.ends_with("a.rhai")) {
        texts.push((file.display().to_string(), String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned()));
    }
    assert!(texts.len() > 5);
    for (name, text) in &texts {
        // The script itself, as the card shows it, is no secret of ours: its author wrote it.
        for secret in ["hunter22", "hunter33!"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{name} has a secret: {line:?}");
        }
    }
    assert!(ran.read("a/xenrt.log").contains("the password is ••••••"), "{}", ran.read("a/xenrt.log"));
}

#[test]
fn a_password_from_the_environment_or_a_file_is_on_no_command_line() {
    let mut running = Xrt::new()
        .script("a.rhai", r#"fn run(args) { log("up"); sleep(600); }"#)
        .file("password", "hunter22\n")
        .args("--guest root@127.0.0.1:1 --password-file password --no-logs")
        .start();
    running.until_said("up");
    let line = fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).unwrap();
    assert!(line.contains("root@127.0.0.1:1") && !line.contains("hunter"), "{line}");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    let script = r#"fn run(args) { for i in 0..5000 { warn(`line ${i}`); } }"#;
    let xrt = Xrt::new().file("a.rhai", script);
    let mut command = crate::support::process::tied("bash");
    let line = format!("set -o pipefail; {} --testcase a.rhai -vv | head -1", env!("CARGO_BIN_EXE_xrt"));
    let output = command.args(["-c", &line]).current_dir(xrt.dir()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panic"), "{stderr}");
    let log = fs::read_to_string(xrt.dir().join("results/latest/events.jsonl")).unwrap();
    assert!(log.contains("line 4999") && log.contains("run_finished"), "{stderr}");
    let replayed = xrt.args("replay --quiet").run();
    assert_eq!(replayed.summary().verdict(), Verdict::Passed);
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let script = r#"
        fn run(args) {
            let evil = "\x1b[2J\x1b]0;owned\x07\r\x08\u202e\u009b31m";
            print(evil);
            warn(evil);
            comment(evil);
            step(evil, || ());
            progress(evil);
            value(evil, 1, evil);
            subtest(evil, evil, || fail(evil, evil));
            fail(evil);
        }
    "#;
    let ran = Xrt::new().script("a.rhai", script).args("-vv").run().ends(1);
    let raw = ['\x1b', '\x07', '\r', '\x08', '\u{202e}', '\u{9b}'];
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr), ("xenrt.log", &ran.read("a/xenrt.log"))] {
        assert!(!text.contains(raw), "{name}: {text:?}");
    }
    assert!(ran.stdout.contains("owned"), "{}", ran.transcript());
    assert!(!ran.then("replay -vv").stdout.contains(raw));
    let program = Xrt::new()
        .program("p", "#!/bin/sh\nprintf '\\033[2Jowned\\n'; printf '\\033[2Jowned\\n' >&2; exit 1\n")
        .args("-vv")
        .run()
        .ends(1);
    assert!(!program.stdout.contains(raw) && program.stdout.contains("owned"), "{}", program.transcript());
}

#[test]
fn a_report_on_the_standard_output_has_it_for_itself() {
    let xrt = Xrt::new().script("a.rhai", PASS).args("--report jsonl:-");
    let ran = xrt.run().ends(0);
    assert!(ran.stderr.contains("PASSED (exit 0)"), "{}", ran.transcript());
    for ran in [ran.then("replay --report jsonl:-").ends(0), ran] {
        let facts: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(facts.last().unwrap()["fact"], "run_finished", "{}", ran.transcript());
    }
    let junit = Xrt::new().script("a.rhai", PASS).args("--report junit:-").run().ends(0);
    assert!(junit.stdout.starts_with("<?xml"), "{}", junit.transcript());
}

#[test]
fn a_failure_can_be_run_again_by_the_line_that_says_so() {
    let xrt = Xrt::new().script("some/where/a.rhai", r#"fn run(args) { fail("f") }"#).program("bin/p", "#!/bin/sh\nexit 1\n");
    let ran = xrt.file("scripts/named.rhai", r#"fn run(args) { fail("f") }"#).testcase("named").run().ends(1);
    let line = ran.stdout.lines().find_map(|l| l.trim().strip_prefix("again: ")).unwrap_or_else(|| panic!("{}", ran.transcript()));
    let again = ran.then(line.split_once(' ').unwrap().1).ends(1);
    assert_eq!(again.summary().count(Failed), 3, "{line}\n{}", again.transcript());
    assert!(fs::metadata(ran.dir().join("bin/p")).unwrap().permissions().mode() & 0o111 != 0);
}
