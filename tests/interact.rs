//! Steering a run from other processes: `xrt` in one, `xenrt interact` and Python's `xmlrpc.client` in others.

use crate::support::poll;
use crate::support::steer::XENRT;
use crate::support::xrt::{Ran, Running, Xrt};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use xenrt::event::{Fact, Outcome, Release};

const FAILS: &str = r#"
fn run(args) {
    let depth = 7;
    fail("broken");
}
"#;

const WAITS: &str = r#"fn run(args) {
    sleep(600);
}
"#;

const PASSES: &str = r#"fn run(args) { log("passes"); }"#;

/// What `xenrt interact -l --json` says of a testcase.
fn status(listed: &Value, tag: &str) -> String {
    let all = listed.as_array().unwrap();
    all.iter().find(|test| test["tag"] == tag).map_or_else(String::new, |test| test["status"].as_str().unwrap().to_string())
}

/// How its pauses ended, and by whom.
fn resumed(ran: &Ran, id: &str) -> Vec<(Release, Option<String>)> {
    let end = |fact| if let Fact::Resumed { how, by, .. } = fact { Some((how, by)) } else { None };
    ran.facts(id).into_iter().filter_map(end).collect()
}

#[test]
fn python_calls_every_method() {
    let xrt = Xrt::new().script("fails.rhai", FAILS).script("waits.rhai", WAITS).script("never.rhai", PASSES);
    let mut run = xrt.args("--guest local --no-logs -j 2 --pause-on-fail fails").start();
    run.until_paused("fails", 1);
    let steps = run.python("all");
    let expected =
        ["introspection", "values", "looking", "machines", "variables", "prompting", "many_at_once", "steering", "every_method"];
    assert_eq!(steps, expected);
    let ran = run.wait().ends(5);
    assert_eq!(ran.outcome("fails"), Outcome::Partial);
    assert!(ran.reason("fails").ends_with("it had failed: broken"), "{}", ran.reason("fails"));
    assert_eq!(ran.reason("waits"), "stopped by 127.0.0.1");
    assert!(!ran.read("events.jsonl").contains("hidden-9347"));
}

#[test]
fn who_has_no_token_learns_and_changes_nothing() {
    let mut run = Xrt::new().script("fails.rhai", FAILS).args("--guest local --no-logs --pause-on-fail ALL").start();
    run.until_paused("fails", 1);
    assert_eq!(run.python("tokens"), ["wrong_token", "read_only"]);
    let address = run.address();
    let port = address.rsplit_once(':').unwrap().1;
    let files = ["interact.url", "interact.read.url"].map(|name| run.results().join(name));
    let found = run.dir().join(format!("home/state/xenrt/runs/{port}.url"));
    for file in files.iter().chain([&found]) {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let (steer, look) = (token(&run.url()), token(&run.read_url()));
    let wrong = run.beside().of(XENRT).args("interact").arg(run.url().replace(&steer, "guessed")).args("-C").run().ends(2);
    assert!(wrong.stderr.contains("does not know this token"), "{}", wrong.transcript());
    run.interact("-C").ends(0);
    let ran = run.wait().ends(1);
    // They are for as long as the run goes on.
    for file in files.iter().chain([&found]) {
        assert!(!file.exists(), "{}", file.display());
    }
    for entry in walkdir::WalkDir::new(&ran.results).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        assert!(!text.contains(&steer) && !text.contains(&look), "{} holds a token", entry.path().display());
    }
    for told in [&ran.stdout, &ran.stderr] {
        assert!(!told.contains(&steer) && !told.contains(&look), "{}", ran.transcript());
    }
    for (of, why) in [(address.as_str(), "no run at"), ("results/latest", "no `interact.url`")] {
        let gone = ran.next("interact").of(XENRT).arg(of).args("-l").run().ends(2);
        assert!(gone.stderr.contains(why), "{}", gone.transcript());
    }
}

/// The secret of a URL.
fn token(url: &str) -> String {
    url.split_once("://xrt:").unwrap().1.split_once('@').unwrap().0.to_string()
}

/// The user guide's example: a sequence whose testcases have names of their own.
const GUIDE: &str = r#"<xenrt>
  <testsequence>
    <parallel workers="2">
      <serial group="Install">
        <testcase id="fails.rhai" name="TCWindowsInstall"/>
        <testcase id="passes.rhai" name="TCAfter"/>
      </serial>
      <serial group="Others">
        <testcase id="gate.rhai" name="TCOther"/>
        <testcase id="fails.rhai" name="TCReboot"/>
      </serial>
    </parallel>
  </testsequence>
</xenrt>"#;

#[test]
fn the_scenario_of_the_user_guide() {
    let gate = r#"fn run(args) { while guest("local").exec_rc("test -e DIR/gate") != 0 { sleep(0.05); } }"#;
    let xrt = Xrt::new().file("fails.rhai", FAILS).file("passes.rhai", PASSES).file("guide.seq", GUIDE);
    let gate = gate.replace("DIR", &xrt.dir().display().to_string());
    let xrt = xrt.file("gate.rhai", gate);
    let mut run = xrt.args("-s guide.seq --guest local --no-logs --pause-on-fail TCWindowsInstall").start();
    run.until_paused("Install/TCWindowsInstall", 1);
    // -l: what runs, what is paused, and until when.
    let listed = run.interact("-l").ends(0).stdout;
    let row = listed.lines().find(|line| line.contains("TCWindowsInstall")).unwrap_or_else(|| panic!("{listed}"));
    assert!(
        row.contains("Paused") && row.contains("failed: broken") && (row.contains("in 1d00h") || row.contains("in 23h")),
        "{listed}"
    );
    assert!(listed.lines().any(|line| line.contains("TCOther") && line.contains("Started")), "{listed}");
    let json: Value = serde_json::from_str(&run.interact("-l --json").ends(0).stdout).unwrap();
    assert_eq!(status(&json, "Install/TCWindowsInstall"), "Paused");
    // -x: the 24 hours no longer count.
    run.interact("-x TCWindowsInstall").ends(0);
    assert!(run.interact("-l").stdout.contains("never"));
    // A directive for a testcase that has not begun.
    run.interact("-D CLIOPTIONS/PAUSE_ON_FAIL/TCReboot=yes").ends(0);
    std::fs::write(run.dir().join("gate"), "").unwrap();
    run.until_paused("Others/TCReboot", 1);
    // A name that is none, with the near ones; nothing of it makes an entry.
    let wrong = run.interact("-c TCRebot").ends(2);
    assert!(wrong.stderr.contains("no testcase `TCRebot`") && wrong.stderr.contains("TCReboot"), "{}", wrong.transcript());
    assert!(!run.interact("-l --json").stdout.contains("TCRebot\""));
    // -c with the bare name; a second time says no.
    let said = run.interact("-c TCWindowsInstall").ends(0);
    assert!(said.stdout.contains("goes on"), "{}", said.transcript());
    let twice = run.interact("-c TCWindowsInstall").ends(2);
    assert!(twice.stderr.contains("is not paused"), "{}", twice.transcript());
    // -C lets go what is left.
    let all = run.interact("-C").ends(0);
    assert!(all.stdout.contains("Others/TCReboot goes on"), "{}", all.transcript());
    let ran = run.wait().ends(1);
    assert_eq!(resumed(&ran, "Install/TCWindowsInstall"), [(Release::Continue, Some("jane@127.0.0.1".into()))]);
    assert_eq!(ran.outcome("Install/TCAfter"), Outcome::Passed);
    let set = ran.events().iter().any(|e| matches!(&e.fact, Fact::Steered { by, .. } if by == "jane@127.0.0.1"));
    assert!(set);
}

#[test]
fn options_are_done_in_the_order_in_which_they_are_given() {
    let xrt = Xrt::new().script("fails.rhai", FAILS).script("waits.rhai", WAITS).file("note.txt", "a note\n");
    let note = xrt.dir().join("note.txt").display().to_string();
    let mut run = xrt.args("--guest local --no-logs -j 2 --pause-on-fail ALL -D MARK=first").start();
    run.until_paused("fails", 1);
    let said = run.interact("-d -D MARK=second -d").ends(0).stdout;
    let marks: Vec<&str> = said.lines().filter(|line| line.starts_with("MARK=") || line.contains("is set")).collect();
    assert_eq!(marks, ["MARK='first'", "MARK is set", "MARK='second'"]);
    // The first that is refused ends it.
    let stopped = run.interact("-c nosuch -c fails").ends(2);
    assert!(stopped.stdout.is_empty(), "{}", stopped.transcript());
    // Looking around.
    let stacks = run.interact("-S").ends(0).stdout;
    assert!(stacks.contains("waits") && stacks.contains("waits.rhai:2:5  run") && stacks.contains("sleep"), "{stacks}");
    let stacks: Value = serde_json::from_str(&run.interact("-S --json").ends(0).stdout).unwrap();
    assert_eq!(stacks.as_array().unwrap().len(), 2, "{stacks}");
    let inventory = run.interact("-I").ends(0).stdout;
    assert!(inventory.lines().any(|line| line.contains("guest") && line.contains("local")), "{inventory}");
    assert_eq!(run.interact(&format!("-r local:{note}")).ends(0).stdout, "a note\n");
    assert!(run.interact("-L").ends(0).stdout.contains("broken"));
    run.interact("-f").ends(0);
    run.interact("").ends(2);
    // -R, -u, -n, --kill, and what was refused changed nothing.
    let listed: Value = serde_json::from_str(&run.interact("-l --json").stdout).unwrap();
    assert_eq!((status(&listed, "fails"), status(&listed, "waits")), ("Paused".into(), "Started".into()));
    let wrong = run.interact("-R fails=GREAT").ends(2);
    assert!(wrong.stderr.contains("PASS, FAIL"), "{}", wrong.transcript());
    run.interact("-R fails=SKIPPED -u fails --kill waits").ends(0);
    let ran = run.wait();
    assert_eq!((ran.outcome("fails"), ran.outcome("waits")), (Outcome::Skipped, Outcome::Errored));
}

#[test]
fn what_is_not_continued_has_failed_and_nothing_more_begins_after_an_end() {
    let xrt = Xrt::new().script("good.rhai", PASSES).script("fails.rhai", FAILS).script("never.rhai", PASSES);
    let mut run = xrt.args("--no-logs --pause-on-fail ALL --pause-on-pass good").start();
    run.until_paused("good", 1);
    run.interact("-n good").ends(0);
    run.until_paused("fails", 1);
    run.interact("-A -N").ends(0);
    let ran = run.wait().ends(5);
    assert_eq!((ran.outcome("good"), ran.outcome("fails")), (Outcome::Failed, Outcome::Failed));
    assert_eq!(ran.reason("good"), "ended as failed by jane@127.0.0.1");
    assert_eq!(ran.outcome("never"), Outcome::Blocked);
    assert!(ran.reason("never").contains("jane@127.0.0.1") || ran.stdout.contains("jane@127.0.0.1"), "{}", ran.transcript());
}

#[test]
fn every_report_says_who_changed_a_result() {
    let skips = "fn run(args) {\n    let half = 7 / 0;\n    log(`half ${half}`);\n}\n";
    let reports = "--report tap:o.tap --report markdown:o.md --report sqlite:o.db --report results:o.xml --report jsonl:o.jsonl";
    let xrt = Xrt::new().script("fails.rhai", FAILS).script("skips.rhai", skips);
    let mut run = xrt.args("--no-logs --pause-on-fail ALL").args(reports).start();
    run.until_paused("fails", 1);
    run.interact("-R fails=PASS -c fails").ends(0);
    run.until_paused("skips", 1);
    let told = run.interacting("--attach skips").stdin("skip 42\n").run().ends(0);
    assert!(told.stdout.contains("statement skipped"), "{}", told.transcript());
    let ran = run.wait().ends(0);
    assert_eq!(ran.said("skips").last().unwrap(), "half 42");
    let set = ran.reason("fails");
    assert!(set.starts_with("set to passed by jane@127.0.0.1 at ") && set.ends_with("it had failed: broken"), "{set}");
    let passed_over = "jane@127.0.0.1 had the statement at skips.rhai:2:5 passed over";
    assert_eq!(ran.reason("skips"), passed_over);
    let file = |name: &str| std::fs::read_to_string(ran.dir().join(name)).unwrap();
    let end = ran.stdout.split_once("──\n").map_or("", |(_, end)| end).to_string();
    let plain = |text: String| text.replace("<!-- -->", "");
    let shown = [
        ("console", ran.stdout.clone()),
        ("end of the console", end),
        ("tap", file("o.tap")),
        ("markdown", plain(file("o.md"))),
        ("results.xml", file("o.xml")),
        ("report.html", ran.read("report.html")),
        ("again", ran.then("replay results/latest").stdout),
    ];
    for (name, text) in &shown {
        for wanted in [set.as_str(), passed_over] {
            assert!(text.contains(wanted), "{name} does not say `{wanted}`:\n{text}");
        }
    }
    let junit = ran.read("junit.xml");
    let property = junit.lines().find(|line| line.contains(r#"name="overridden""#)).unwrap_or_else(|| panic!("{junit}"));
    assert!(property.contains("passed by jane@127.0.0.1 at 20") && property.contains("it had failed"), "{property}");
    let database = rusqlite::Connection::open(ran.dir().join("o.db")).unwrap();
    let reason: String = database.query_row("SELECT reason FROM cases WHERE name = 'fails'", [], |row| row.get(0)).unwrap();
    assert_eq!(reason, set);
}

/// A request as it goes over the line.
fn request(login: &str, body: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(login);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What comes back; empty when the connection is closed without a word.
fn answer(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(poll::patience())).unwrap();
    // A server that has refused the head reads no more.
    stream.write_all(bytes).ok();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn what_is_no_request_harms_nobody() {
    let mut run = Xrt::new().script("fails.rhai", FAILS).args("--no-logs --pause-on-fail ALL").start();
    run.until_paused("fails", 1);
    let (address, login) = (run.address(), format!("xrt:{}", token(&run.url())));
    let call = "<?xml version='1.0'?><methodCall><methodName>xmlrpcEcho</methodName><params><param><value><int>5</int></value>\
                </param></params></methodCall>";
    assert!(
        answer(&address, &request(&login, call.as_bytes())).contains("<i4>5</i4>")
            || answer(&address, &request(&login, call.as_bytes())).contains("<int>5</int>")
    );
    // Those that say something and wait: a head that never ends, a body that never comes.
    let half = request(&login, &[b'x'; 1000]);
    let mut slow: Vec<TcpStream> = Vec::new();
    for part in [&b""[..], &b"POST / HT"[..], &half[..half.len() - 500]] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(part).unwrap();
            slow.push(stream);
        }
    }
    // Meanwhile others are answered.
    assert_eq!(run.interact("-l --json").ends(0).stdout.matches("Paused").count(), 1);
    let nested = format!("<methodCall><methodName>xmlrpcEcho</methodName><params><param>{}", "<value><array><data>".repeat(20_000));
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
                <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                <methodCall><methodName>xmlrpcEcho</methodName><params><param><value><string>&c;&x;</string></value></param></params></methodCall>";
    let bodies: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("no XML", b"hello".to_vec()),
        ("no UTF-8", vec![0xff, 0xfe, 0x00, 0x41]),
        ("cut", call.as_bytes()[..call.len() / 2].to_vec()),
        ("nested", nested.into_bytes()),
        ("a bomb", bomb.as_bytes().to_vec()),
    ];
    for (name, body) in bodies {
        let said = answer(&address, &request(&login, &body));
        assert!(said.contains("no call of XML-RPC"), "{name}: {said}");
        assert!(!said.contains("root:"), "{name}: {said}");
    }
    let large = answer(&address, &request(&login, &vec![b'x'; 2 << 20]));
    assert!(large.is_empty() || large.contains("413"), "{large}");
    assert!(answer(&address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").contains("405"));
    assert!(!answer(&address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").contains("200"));
    fuzz(&address, &login, call);
    run.interact("-C").ends(0);
    drop(slow);
    run.wait().ends(1);
}

/// A few hundred calls with some of their bytes changed: each is answered, or the connection is closed.
fn fuzz(address: &str, login: &str, call: &str) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for round in 0..300 {
        let mut bytes = request(login, call.as_bytes());
        // Beyond the token: what is not let in is not read.
        let from = if round % 3 == 0 { 0 } else { bytes.len() - call.len() };
        for _ in 0..=next(8) {
            let at = from + next(bytes.len() - from);
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"<>&/;\0\xff\r\n"[next(9)]),
            }
        }
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&bytes).ok();
        // What is still waited for never comes.
        stream.shutdown(std::net::Shutdown::Write).ok();
        stream.set_read_timeout(Some(poll::patience())).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).ok();
        let said = String::from_utf8_lossy(&all);
        assert!(!said.contains("panicked"), "round {round}: {said}");
    }
}

/// A client that is in the middle of a statement.
fn evaluating(run: &mut Running, tag: &str, statement: &str) -> Child {
    let address = run.url();
    let mut child = Command::new(XENRT)
        .args(["interact", &address, "--attach", tag])
        .env("HOME", run.dir().join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{statement}").unwrap();
    run.until_event("the statement began", |event| matches!(&event.fact, Fact::Logged { text, .. } if text == "begun"));
    child
}

#[test]
fn a_client_that_is_killed_strands_nobody() {
    let mut run = Xrt::new().script("fails.rhai", FAILS).args("--no-logs --pause-on-fail ALL").start();
    run.until_paused("fails", 1);
    let mut client = evaluating(&mut run, "fails", "log(\"begun\"); depth = 8; while true { sleep(0.01); }");
    client.kill().unwrap();
    client.wait().unwrap();
    // Its statement is stopped: somebody else has a turn. What it had done stays done.
    let told = run.interacting("--attach fails").stdin("depth\n").run().ends(0);
    assert!(told.stdout.lines().any(|line| line == "8"), "{}", told.transcript());
    assert!(told.stderr.contains("stays paused"), "{}", told.transcript());
    run.interact("-c fails").ends(0);
    let ran = run.wait().ends(1);
    assert_eq!(resumed(&ran, "fails").len(), 1);
}

#[test]
fn of_two_who_resume_at_once_one_is_told_no() {
    let names: Vec<String> = (0..5).map(|n| format!("f{n}")).collect();
    let xrt = names.iter().fold(Xrt::new(), |xrt, name| xrt.script(&format!("{name}.rhai"), FAILS));
    let mut run = xrt.args("--no-logs -j 5 --pause-on-fail ALL").start();
    run.until_count("all of them wait", 5, |event| matches!(event.fact, Fact::Paused(_)));
    for name in &names {
        let both = [run.interacting(&format!("-c {name}")), run.interacting(&format!("-n {name}"))].map(Xrt::start);
        let mut exits = both.map(|client| client.wait().exit);
        exits.sort_unstable();
        assert_eq!(exits, [0, 2], "{name}");
    }
    let ran = run.wait().ends(1);
    assert!(names.iter().all(|name| resumed(&ran, name).len() == 1));
}

#[test]
fn fifty_wait_at_once_and_all_go_on() {
    let names: Vec<String> = (0..50).map(|n| format!("t{n:02}.rhai")).collect();
    let xrt = names.iter().fold(Xrt::new(), |xrt, name| xrt.script(name, FAILS));
    let mut run = xrt.args("--no-logs -j 50 --pause-on-fail ALL").start();
    run.until_count("all of them wait", 50, |event| matches!(event.fact, Fact::Paused(_)));
    assert_eq!(run.interact("-l --json").ends(0).stdout.matches("\"Paused\"").count(), 50);
    let told = run.interact("-C").ends(0);
    assert_eq!(told.stdout.matches("goes on").count(), 50, "{}", told.transcript());
    let ran = run.wait().ends(1);
    assert_eq!(ran.summary().count(Outcome::Failed), 50);
}

#[test]
fn ctrl_c_ends_a_pause_with_the_clean_ups() {
    let script = r#"
fn run(args) {
    defer(|| log("cleaned up"));
    fail("broken");
}
fn post_run(args) { log("after"); }
"#;
    let mut run =
        Xrt::new().script("fails.rhai", script).script("never.rhai", PASSES).args("--no-logs --pause-on-fail ALL").start();
    run.until_paused("fails", 1);
    let results = run.results();
    run.signal(Signal::INT);
    let ran = run.wait().ends(5);
    assert_eq!(resumed(&ran, "fails"), [(Release::Stopped, None)]);
    for wanted in ["after", "cleaned up"] {
        assert!(ran.said("fails").iter().any(|line| line == wanted), "{wanted}: {:?}", ran.said("fails"));
    }
    assert!(!results.join("interact.url").exists());
}

#[test]
fn a_run_that_is_killed_in_a_pause_can_be_taken_up_again() {
    let script = r#"fn run(args) { if guest("local").exec_rc("test -e DIR/fixed") != 0 { fail("broken"); } }"#;
    let xrt = Xrt::new();
    let script = script.replace("DIR", &xrt.dir().display().to_string());
    let xrt = xrt.script("first.rhai", PASSES).script("fails.rhai", &script);
    let mut run = xrt.args("--guest local --no-logs --pause-on-fail ALL").start();
    run.until_paused("fails", 1);
    let address = run.address();
    run.interact("-R first=PARTIAL").ends(0);
    run.signal(Signal::KILL);
    let dead = run.wait().ends(-9);
    // Its URL is still there, and leads nowhere.
    assert!(dead.results.join("interact.url").exists());
    let gone = dead.next("interact").of(XENRT).arg(&address).args("-l").run().ends(2);
    assert!(gone.stderr.contains("is the run over?"), "{}", gone.transcript());
    std::fs::write(dead.dir().join("fixed"), "").unwrap();
    let ran = dead.next("--resume results/latest").run().ends(0);
    assert_eq!((ran.outcome("first"), ran.outcome("fails")), (Outcome::Partial, Outcome::Passed));
    assert!(!ran.results.join("interact.url").exists());
    assert!(Path::new(&ran.results).join("report.html").exists());
}
