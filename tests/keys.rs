//! The keys of a person at the terminal of `xrt` itself.

use crate::support::poll;
use crate::support::terminal::{CTRL_C, CTRL_D, Terminal};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use tempfile::TempDir;

const XRT: &str = env!("CARGO_BIN_EXE_xrt");

/// How the block ends while keys are heard.
const HINT: &str = "t status  l log  a attach  p pause next  c continue  ? keys";

fn home() -> TempDir {
    let home = TempDir::with_prefix("xrt-keys-").unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("fails.rhai", "fn run(args) {\n    let depth = 7;\n    log(\"in depth\");\n    fail(\"broken\");\n}\n");
    write("waits.rhai", "fn run(args) {\n    log(\"it waits\");\n    sleep(600);\n}\n");
    write("hangs.rhai", "fn run(args) {\n    sleep(600);\n}\nfn post_run(args) {\n    sleep(500);\n}\n");
    write("short.rhai", "fn run(args) {\n    sleep(0.5);\n}\n");
    home
}

/// `xrt WORDS` in a terminal, and then what the terminal is like.
fn start(words: &str, home: &Path) -> Terminal {
    let script = format!("trap : INT TERM; sh -c 'echo $$ > pid; exec {XRT} {words}'; echo ended $?; stty -a");
    Terminal::start("sh", &["-c", &script], home)
}

#[track_caller]
fn hinted(terminal: &Terminal) {
    terminal.until("the keys", |lines| lines.last().is_some_and(|line| line.trim() == HINT));
}

/// Waits for the end, and looks at the terminal.
#[track_caller]
fn restored(terminal: Terminal, exit: i32) {
    terminal.shows(&format!("ended {exit}"));
    let is_usual = |lines: &[String]| {
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split([' ', ';'])).collect();
        words.contains(&"icanon") && words.contains(&"echo") && words.contains(&"isig")
    };
    terminal.until("a terminal as it was", is_usual);
    terminal.ends();
}

fn signal(home: &Path, signal: Signal) {
    let pid = poll::until(poll::patience(), || std::fs::read_to_string(home.join("pid")).ok()?.trim().parse::<i32>().ok()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn keys_show_what_runs_and_open_a_prompt_in_what_is_paused() {
    let home = home();
    let terminal = start("-T fails.rhai -T waits.rhai -j 2 --no-logs --pause-on-fail ALL", home.path());
    hinted(&terminal);
    terminal.has("PAUSED");
    terminal.press("t");
    terminal.has("ENDS BY ITSELF");
    terminal.until("the row of the status", |lines| lines.iter().any(|line| line.contains("fails") && line.contains("Paused")));
    terminal.press("l");
    terminal.until("the log", |lines| lines.iter().any(|line| line.starts_with("fails: [VERBOSE]") && line.ends_with("in depth")));
    terminal.press("?");
    terminal.has("let everything that is paused go on");
    // Keys that are none, and what other keys send, do nothing.
    terminal.press("x\x1b[A\x1b[C");
    terminal.press("a");
    terminal.until("the prompt", |lines| lines.last().is_some_and(|line| line == "fails>"));
    terminal.enter("depth * 6");
    terminal.shows("42");
    // Ctrl-C at the prompt is for the statement, and not for the run.
    terminal.until("the prompt", |lines| lines.last().is_some_and(|line| line == "fails>"));
    terminal.enter("log(\"it has begun\"); sleep(600);");
    terminal.until("its output", |lines| lines.iter().any(|line| line.contains("it has begun") && !line.contains("sleep")));
    terminal.press(CTRL_C);
    terminal.has("stopped after");
    terminal.until("the prompt", |lines| lines.last().is_some_and(|line| line == "fails>"));
    terminal.press(CTRL_D);
    terminal.has("fails stays paused");
    hinted(&terminal);
    terminal.press("p");
    terminal.has("the next testcase that ends waits");
    terminal.press("c");
    terminal.has("RESUMED");
    // It is the next that ends.
    terminal.until("a second pause", |lines| lines.iter().filter(|line| line.contains("PAUSED")).count() == 2);
    terminal.press("c");
    terminal.until("its end", |lines| lines.iter().any(|line| line.contains("[1/2]") && line.contains("FAIL")));
    terminal.press("c");
    terminal.has("nothing is paused");
    hinted(&terminal);
    terminal.press(CTRL_C);
    terminal.has("stopping, cleaning up");
    restored(terminal, 5);
}

#[test]
fn the_terminal_is_as_it_was_however_the_run_ends() {
    let home = home();
    let terminal = start("-T short.rhai --no-logs", home.path());
    restored(terminal, 0);
    // TERM, as of a machine that goes down.
    let terminal = start("-T waits.rhai --no-logs", home.path());
    hinted(&terminal);
    signal(home.path(), Signal::TERM);
    restored(terminal, 5);
    // The second Ctrl-C, which leaves at once.
    let terminal = start("-T hangs.rhai --no-logs", home.path());
    hinted(&terminal);
    terminal.press(CTRL_C);
    terminal.has("stopping, cleaning up");
    terminal.press(CTRL_C);
    terminal.has("left at once");
    restored(terminal, 5);
}

#[test]
fn the_end_of_the_run_ends_the_prompt() {
    let home = home();
    let terminal = start("-T fails.rhai --no-logs --pause-on-fail ALL", home.path());
    hinted(&terminal);
    terminal.press("a");
    terminal.until("the prompt", |lines| lines.last().is_some_and(|line| line == "fails>"));
    let url = std::fs::read_to_string(home.path().join("results/latest/interact.url")).unwrap();
    let mut other = std::process::Command::new(env!("CARGO_BIN_EXE_xenrt"));
    assert!(other.args(["interact", url.trim(), "-C"]).status().unwrap().success());
    restored(terminal, 1);
}

#[test]
fn keys_are_left_alone_where_nobody_presses_them() {
    for words in ["--no-input", "--plain"] {
        let home = home();
        let terminal = start(&format!("-T short.rhai --no-logs {words}"), home.path());
        let lines = terminal.shows("ended 0");
        assert!(!lines.iter().any(|line| line.contains(HINT)), "{lines:?}");
        terminal.ends();
    }
    // In the background, what is typed is for others, and asking for it would stop the run.
    let home = home();
    let script = format!("set -m; {XRT} -T short.rhai --no-logs & wait $!; echo ended $?; stty -a");
    let terminal = Terminal::start("sh", &["-c", &script], home.path());
    terminal.press("t");
    let lines = terminal.shows("ended 0");
    assert!(!lines.iter().any(|line| line.contains(HINT)), "{lines:?}");
    terminal.ends();
}
