//! The prompt of `xenrt interact --attach`: in a terminal, in a statement that failed in another process.

use crate::support::steer::XENRT;
use crate::support::terminal::{CTRL_C, CTRL_D, TAB, Terminal};
use crate::support::xrt::{Ran, Running, Xrt};
use std::collections::BTreeMap;
use xenrt::event::{Fact, Outcome};

/// A run with this script, paused in it.
fn paused(xrt: Xrt, script: &str) -> Running {
    let mut run = xrt.script("t.rhai", script).args("--guest local --no-logs --pause-on-fail ALL").start();
    run.until_paused("t", 1);
    run
}

/// A prompt in it, at another terminal.
#[track_caller]
fn attach(run: &mut Running) -> Terminal {
    let url = run.url();
    let terminal = Terminal::start(XENRT, &["interact", &url, "--attach", "t"], &run.dir().join("home"));
    ready(&terminal, "t");
    terminal
}

#[track_caller]
fn ready(terminal: &Terminal, name: &str) {
    let prompt = format!("{name}>");
    terminal.until("an empty prompt", |lines| lines.last().is_some_and(|line| *line == prompt));
}

#[track_caller]
fn enter(terminal: &Terminal, line: &str, name: &str) {
    terminal.enter(line);
    ready(terminal, name);
}

fn said(ran: &Ran, line: &str) -> bool {
    ran.said("t").iter().any(|text| text == line)
}

const NESTED: &str = r#"import "lib" as lib;
fn helper(list, factor) {
    let sum = 0;
    let halves = list.map(|n| {
        let twice = n * factor;
        lib::half(twice)
    });
    for half in halves { sum += half; }
    sum
}
fn run(args) {
    let all = [2, 4, 6];
    log(`sum ${helper(all, 2)}`);
}
"#;

const LIB: &str = r#"fn half(n) {
    let limit = 10;
    if n > limit { fail(`${n} is too much`); }
    n / 2
}
"#;

#[test]
fn from_a_failure_deep_in_a_closure_to_a_pass() {
    let mut run = paused(Xrt::new().file("lib.rhai", LIB), NESTED);
    let terminal = attach(&mut run);
    // What is shown first: why, where, the lines around it, and the variables.
    for wanted in ["paused in t at lib.rhai:3:", "12 is too much", "if n > limit", "limit = 10"] {
        terminal.has(wanted);
    }
    enter(&terminal, "where", "t");
    for wanted in ["> 0  half  lib.rhai:3", "  1  closure  t.rhai:6", "  2  helper  t.rhai:4", "  3  run  t.rhai:13"] {
        terminal.has(wanted);
    }
    enter(&terminal, "up", "t 1");
    terminal.has("frame 1, closure t.rhai:6");
    enter(&terminal, "locals", "t 1");
    terminal.shows("  twice = 12");
    enter(&terminal, "up", "t 2");
    enter(&terminal, "locals", "t 2");
    terminal.shows("  factor = 2");
    enter(&terminal, "frame 3", "t 3");
    enter(&terminal, "all", "t 3");
    terminal.shows("[2, 4, 6]");
    enter(&terminal, "frame 0", "t");
    enter(&terminal, "limit = 100; n + limit", "t");
    terminal.shows("112");
    terminal.enter("retry");
    terminal.has("statement retried");
    assert_eq!(terminal.ends(), 0);
    let ran = run.wait().ends(0);
    assert_eq!(ran.outcome("t"), Outcome::Passed);
    assert!(said(&ran, "sum 12"), "{:?}", ran.said("t"));
}

#[test]
fn names_are_completed_and_output_comes_as_it_is_made() {
    let script = r#"fn run(args) {
    let settings = #{ colour: "red" };
    let name = "some text";
    throw "broken";
}
"#;
    let mut run = paused(Xrt::new(), script);
    let terminal = attach(&mut run);
    terminal.press(&format!("settings.col{TAB}"));
    terminal.until("the key", |lines| lines.last().is_some_and(|line| line == "t> settings.colour"));
    terminal.press(CTRL_C);
    ready(&terminal, "t");
    terminal.press(&format!("name.to_upp{TAB}"));
    terminal.until("the method", |lines| lines.last().is_some_and(|line| line == "t> name.to_upper()"));
    terminal.press("\r");
    terminal.shows("\"SOME TEXT\"");
    ready(&terminal, "t");
    // What a long statement says is there before its end; Ctrl-C is its end, and that of nothing else.
    terminal.enter("log(\"it has begun\"); sleep(600); log(\"never\");");
    terminal.until("its output", |lines| lines.iter().any(|line| line.contains("it has begun") && !line.contains("sleep")));
    terminal.press(CTRL_C);
    terminal.has("stopped after");
    ready(&terminal, "t");
    enter(&terminal, "guest(\"local\").exec(\"echo alive\")", "t");
    terminal.has("\"alive\"");
    // An error is told, and nothing of it is the testcase's.
    enter(&terminal, "fail(\"a mistake of mine\")", "t");
    terminal.has("a mistake of mine");
    // Who leaves leaves it paused.
    terminal.press(CTRL_D);
    terminal.has("t stays paused");
    assert_eq!(terminal.ends(), 0);
    let terminal = attach(&mut run);
    // What the history offers stands behind it.
    terminal.press("fail\r");
    assert_eq!(terminal.ends(), 0);
    let ran = run.wait();
    assert_eq!(ran.reason("t"), "the script threw \"broken\"");
    assert!(!said(&ran, "never"));
    assert_eq!(ran.facts("t").iter().filter(|fact| matches!(fact, Fact::Paused(_))).count(), 1);
}

#[test]
fn a_statement_is_passed_over_with_a_value() {
    let script = "fn run(args) {\n    let n = 7 / 0;\n    log(`n is ${n}`);\n}\n";
    let mut run = paused(Xrt::new(), script);
    let terminal = attach(&mut run);
    enter(&terminal, "skip 1 / 0", "t");
    terminal.has("Division by zero");
    terminal.enter("skip 5");
    assert_eq!(terminal.ends(), 0);
    let ran = run.wait().ends(0);
    assert_eq!(ran.outcome("t"), Outcome::Partial);
    assert!(said(&ran, "n is 5"), "{:?}", ran.said("t"));
}

#[test]
fn an_edited_script_is_read_again_if_it_can_be() {
    let mut run = paused(Xrt::new(), "fn run(args) {\n    log(\"first\");\n    fail(\"broken\");\n}\n");
    let script = run.dir().join("t.rhai");
    let terminal = attach(&mut run);
    std::fs::write(&script, "fn run(args) {\n    log(\"second\";\n}\n").unwrap();
    enter(&terminal, "reload", "t");
    terminal.has("t.rhai:2:");
    // One that can be read, and calls what does not exist.
    std::fs::write(&script, "fn run(args) {\n    lgo(\"second\");\n}\n").unwrap();
    enter(&terminal, "reload", "t");
    terminal.has("lgo");
    enter(&terminal, "1 + 1", "t");
    terminal.shows("2");
    std::fs::write(&script, "fn run(args) {\n    log(\"second\");\n}\n").unwrap();
    terminal.enter("reload");
    terminal.has("script reloaded");
    assert_eq!(terminal.ends(), 0);
    let ran = run.wait().ends(0);
    assert_eq!((ran.outcome("t"), said(&ran, "second")), (Outcome::Passed, true));
}

#[test]
fn a_testcase_waits_wherever_it_fails_but_where_failures_are_expected() {
    let held = [
        ("method", "fn run(args) { guest(\"local\").choose_tool(\"fio\", \"wrong\"); }"),
        ("branch", "fn run(args) { parallel([|| fail(\"one\"), || log(\"the other went on\")]); }"),
        ("part", "fn run(args) { subtest(\"group\", \"part\", || fail(\"one\")); }"),
        ("preparing", "fn prepare(args) { fail(\"one\"); }\nfn run(args) { }"),
        ("thrown", "fn run(args) { throw \"one\"; }"),
    ];
    let free = [
        ("caught", "fn run(args) { try { fail(\"one\"); } catch (e) { log(\"caught\"); } }"),
        ("tried", "fn run(args) { let n = 0; eventually(#{ every: 0.01 }, || { n += 1; if n < 3 { fail(\"not yet\"); } true }); }"),
        ("after", "fn run(args) { }\nfn post_run(args) { fail(\"one\"); }"),
        ("deferred", "fn run(args) { defer(|| fail(\"one\")); }"),
        ("skipped", "fn run(args) { skip(\"one\"); }"),
    ];
    let all = held.iter().chain(&free);
    let xrt = all.fold(Xrt::new(), |xrt, (name, text)| xrt.script(&format!("{name}.rhai"), text));
    let mut run = xrt.args("--guest local --no-logs --no-check -j 10 --pause-on-fail ALL").start();
    run.until_count("five wait", held.len(), |event| matches!(event.fact, Fact::Paused(_)));
    run.until_count("five have ended", free.len(), |event| matches!(event.fact, Fact::CaseFinished { .. }));
    run.until_said("the other went on");
    let listed: serde_json::Value = serde_json::from_str(&run.interact("-l --json").stdout).unwrap();
    let statuses: BTreeMap<&str, &str> =
        listed.as_array().unwrap().iter().map(|t| (t["tag"].as_str().unwrap(), t["status"].as_str().unwrap())).collect();
    for (name, _) in held {
        assert_eq!(statuses[name], "Paused", "{name}");
    }
    for (name, _) in free {
        assert_eq!(statuses[name], "Finished", "{name}");
    }
    // In a method of the library, the testcase's own frame is there too.
    let chain = run.interacting("--attach method").stdin("where\n").run().ends(0).stdout;
    assert!(chain.contains("choose_tool") && chain.contains("1  run  method.rhai:1"), "{chain}");
    run.interact("-C").ends(0);
    // A part that has failed is no end of its testcase, which may wait once more.
    let ran = run.wait().ends(1);
    assert_eq!(ran.outcome("caught"), Outcome::Passed);
    assert_eq!(ran.subcases("part")[0].1, Outcome::Failed);
}
