//! `xrt repl`: at a terminal, in a pipe, and with `-e`.

use crate::support::poll;
use crate::support::terminal::{CTRL_C, CTRL_D, CTRL_R, ENTER, TAB, Terminal, UP};
use crate::support::xrt::{Ran, Xrt};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// Drops the line: the prompt comes once more, below.
#[track_caller]
fn clear(terminal: &Terminal) {
    let prompts = |lines: &[String]| lines.iter().filter(|line| line.starts_with("xrt>")).count();
    let before = prompts(&terminal.until("a prompt", |lines| prompts(lines) > 0));
    terminal.press(CTRL_C);
    terminal.until("the next prompt", |lines| prompts(lines) > before && lines.last().is_some_and(|line| line == "xrt>"));
}

#[track_caller]
fn leave(terminal: Terminal) {
    terminal.ready();
    terminal.press(CTRL_D);
    assert_eq!(terminal.ends(), 0);
}

fn home() -> TempDir {
    TempDir::with_prefix("xrt-repl-").unwrap()
}

#[test]
fn what_is_defined_stays_and_a_function_may_take_several_lines() {
    let home = home();
    std::fs::write(home.path().join("lib.rhai"), "fn double(x) { x * 2 }").unwrap();
    let terminal = Terminal::prompt(&[], home.path());
    terminal.enter("let base = 40;");
    terminal.ready();
    terminal.enter("fn plus(a, b) {");
    terminal.until("the next line of the function", |lines| lines.last().is_some_and(|l| l.starts_with("...>")));
    terminal.enter("a + b");
    terminal.enter("}");
    terminal.ready();
    terminal.enter("plus(base, 2)");
    terminal.shows("42");
    terminal.ready();
    terminal.enter("last + 1");
    terminal.shows("43");
    terminal.ready();
    terminal.enter("import \"lib\" as lib;");
    terminal.ready();
    terminal.enter("lib::double(base)");
    terminal.shows("80");
    leave(terminal);
}

#[test]
fn names_are_completed() {
    let home = home();
    let terminal = Terminal::prompt(&[], home.path());
    terminal.enter("let settings = #{ colour: \"red\", count: 3 };");
    terminal.ready();
    terminal.press(&format!("sett{TAB}"));
    terminal.has("xrt> settings");
    terminal.press(&format!(".col{TAB}"));
    terminal.has("xrt> settings.colour");
    terminal.press(&format!(".to_upp{TAB}"));
    terminal.has("xrt> settings.colour.to_upper()");
    terminal.press(ENTER);
    terminal.shows("\"RED\"");
    terminal.ready();
    terminal.press(&format!("settings.co{TAB}"));
    terminal.has("colour");
    terminal.has("count");
    clear(&terminal);
    leave(terminal);
}

#[test]
fn the_history_outlives_the_session_but_for_lines_that_begin_with_a_blank() {
    let home = home();
    let first = Terminal::prompt(&[], home.path());
    first.enter("log(\"remember this\")");
    first.shows("remember this");
    first.ready();
    first.enter(" log(\"not this\")");
    first.shows("not this");
    leave(first);
    let file = home.path().join(".local/state/xenrt/history");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "log(\"remember this\")\n");
    let second = Terminal::prompt(&[], home.path());
    second.press(UP);
    second.has("xrt> log(\"remember this\")");
    clear(&second);
    second.press(CTRL_R);
    second.has("history");
    second.press("remem");
    second.has("log(\"remember this\")");
    second.press(ENTER);
    second.has("xrt> log(\"remember this\")");
    second.press(ENTER);
    second.shows("remember this");
    leave(second);
}

#[test]
fn help_shows_the_manual() {
    let home = home();
    let terminal = Terminal::prompt(&[], home.path());
    terminal.has("help() lists what there is");
    terminal.enter("help()");
    terminal.has("steps, loops, waits, clean-ups");
    terminal.ready();
    terminal.enter("help(\"eventually\")");
    terminal.shows("eventually(holds: closure) -> number");
    terminal.ready();
    terminal.enter("help(eventualy)");
    terminal.has("did you mean `eventually`?");
    leave(terminal);
}

#[test]
fn ctrl_c_ends_the_statement_and_not_the_prompt() {
    let home = home();
    let terminal = Terminal::prompt(&[], home.path());
    for (number, work) in ["loop {}", "sleep(1000)", "loop { try { loop {} } catch {} }"].iter().enumerate() {
        let sign = format!("began {number}");
        terminal.enter(&format!("log(\"{sign}\"); {work}"));
        // From here on the terminal is no longer the line editor's, so Ctrl-C is a signal.
        terminal.shows(&sign);
        terminal.press(CTRL_C);
        let stopped = |lines: &[String]| lines.iter().filter(|l| l.starts_with("stopped after")).count() == number + 1;
        terminal.until("the statement's end", stopped);
        terminal.ready();
    }
    terminal.enter("1 + 1");
    terminal.shows("2");
    terminal.ready();
    terminal.press("half a line");
    terminal.has("xrt> half a line");
    clear(&terminal);
    leave(terminal);
}

#[test]
fn an_error_is_a_card_with_its_place_and_help() {
    let home = home();
    std::fs::write(home.path().join("lib.rhai"), "fn broken(x) {\n    fail(`no good: ${x}`);\n}").unwrap();
    let terminal = Terminal::prompt(&[], home.path());
    terminal.enter("let total = 1; totl + 1");
    terminal.has("no variable `totl`");
    terminal.has("did you mean `total`?");
    terminal.ready();
    terminal.enter("import \"lib\" as lib; lib::broken(7)");
    terminal.has("no good: 7");
    terminal.has("lib.rhai:2:");
    terminal.has("x = 7");
    terminal.ready();
    terminal.enter("let = 3");
    terminal.has("input 3:1:5");
    leave(terminal);
}

#[test]
fn clean_ups_run_when_the_prompt_is_left() {
    let home = home();
    let terminal = Terminal::prompt(&[], home.path());
    terminal.enter("defer(|| log(\"first\"));");
    terminal.ready();
    terminal.enter("defer(|| log(\"second\"));");
    terminal.ready();
    terminal.enter("quit");
    terminal.until("both clean-ups", |lines| {
        let at = |text: &str| lines.iter().position(|line| line == text);
        at("second").is_some_and(|second| at("first").is_some_and(|first| second < first))
    });
    assert_eq!(terminal.ends(), 0);
}

/// What `xrt repl` makes of its standard input.
fn piped(input: &str) -> Ran {
    Xrt::new().args("repl").stdin(input).run()
}

#[test]
fn a_pipe_is_evaluated_statement_by_statement() {
    let ran = piped("let x = 2\nfn sum(a, b) {\n  a + b\n}\nsum(x, 3)\n\n\"plain text\"\n[1, \"two\"]\nlog(\"said\")").ends(0);
    assert_eq!(ran.stdout, "5\nplain text\n[1, \"two\"]\nsaid\n");
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_pipe_ends_with_the_first_input_that_fails() {
    for (input, exit, said) in [
        ("1\nfail(\"why\")\n2", 1, "why"),
        ("1\nerror(\"why\")\n2", 3, "why"),
        ("1\nskip(\"why\")\n2", 4, "skipped: why"),
        ("1\nnosuch(1)\n2", 3, "no function `nosuch (i64)`"),
        ("1\nlet = 3\n2", 2, "input 2:1:5"),
        ("1\nfn open(", 2, "input 2:1"),
        ("1\nquit\n2", 0, ""),
    ] {
        let ran = piped(input).ends(exit);
        assert_eq!(ran.stdout, "1\n", "{}", ran.transcript());
        assert!(ran.stderr.contains(said), "{}", ran.transcript());
    }
}

#[test]
fn code_on_the_command_line_is_evaluated_and_cleaned_up_after() {
    let ran = Xrt::new().args("repl").arg("-e").arg("defer(|| log(\"cleaned\")); 6 * 7").run().ends(0);
    assert_eq!(ran.stdout, "42\ncleaned\n", "{}", ran.transcript());
}

#[test]
fn a_machine_is_at_hand_as_vm() {
    let home = home();
    let terminal = Terminal::prompt(&["--guest", "local"], home.path());
    terminal.has("vm is local");
    terminal.press(&format!("vm.re{TAB}"));
    terminal.has("read_file(path: text");
    terminal.has("reboot(");
    clear(&terminal);
    terminal.enter("vm.exec(\"echo $((6 * 7))\")");
    terminal.shows("\"42\"");
    terminal.has("local: echo $((6 * 7))");
    terminal.ready();
    terminal.enter("help(vm.exec)");
    terminal.has("guest.exec(command: text");
    terminal.ready();
    terminal.enter("vm.exec(\"exit 3\")");
    terminal.has("ended with status 3");
    terminal.has("last calls to machines");
    terminal.ready();
    terminal.enter("log(\"began\"); vm.exec(\"sleep 1000\")");
    terminal.shows("began");
    terminal.has("local: sleep 1000 …");
    terminal.press(CTRL_C);
    terminal.has("stopped after");
    leave(terminal);
}

#[test]
fn what_was_made_on_a_machine_is_removed_at_the_end() {
    let ran = Xrt::new().args("repl --guest local").arg("-e").arg("vm.temp_dir()").run().ends(0);
    let dir = std::path::Path::new(ran.stdout.trim());
    assert!(dir.is_absolute() && !dir.exists(), "{}", ran.transcript());
}

#[test]
fn ctrl_c_in_a_pipe_stops_and_cleans_up() {
    let xrt = Xrt::new().args("repl --guest local");
    let sign = xrt.dir().join("began");
    let input = format!("defer(|| log(\"cleaned\"));\nvm.write_file(\"{}\", \"\"); loop {{}}\nlog(\"never\")\n", sign.display());
    let running = xrt.stdin(&input).start();
    poll::until(poll::patience(), || sign.exists().then_some(())).unwrap();
    running.signal(rustix::process::Signal::INT);
    let ran = running.wait().ends(5);
    assert_eq!(ran.stdout, "cleaned\n", "{}", ran.transcript());
}
