//! Commands and files over SSH, against a real sshd.

use crate::support::poll::{patience, until};
use crate::support::skip::skip;
use crate::support::sshd::{Options, Proxy, Sshd, free_port};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xenrt::error::{Blame, Error, Kind};
use xenrt::secret::Secret;
use xenrt::time::{Cancel, Stop};
use xenrt::wire::ssh::{HostKeys, Login, Ssh};
use xenrt::wire::{Command, EntryKind, Output, Status, Transport};

/// Long enough for the slowest machine; a test that gets here has failed.
const LONG: Duration = Duration::from_secs(120);

fn exec(ssh: &Ssh, text: &str) -> Result<Output, Error> {
    ssh.exec(&Command::new(text, LONG), &Cancel::new())
}

fn stdout(ssh: &Ssh, text: &str) -> String {
    let output = exec(ssh, text).unwrap();
    assert!(output.is_success(), "{text}: {output:?}");
    output.stdout.text()
}

fn password(text: &str) -> Login {
    Login::Password(Secret::new(text))
}

/// Looks again until it holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    until(patience(), || holds().then_some(())).unwrap_or_else(|e| panic!("{what}: {e}"));
}

/// All that an error says, for what must and must not be in it.
fn all_of(error: &Error) -> String {
    format!("{error:?} {} {:?}", error.report(), error.details)
}

#[test]
fn each_login_lets_us_in() {
    let Some(sshd) = Sshd::start() else { return };
    let key = Login::KeyFile { path: sshd.key.clone(), passphrase: None };
    let no_key = Login::KeyFile { path: sshd.path("no_such_key"), passphrase: None };
    let mut cases = vec![vec![key.clone()], vec![no_key.clone(), key.clone()], vec![Login::Agent, key.clone()]];
    if let Some(right) = sshd.password_login() {
        cases.push(vec![right.clone()]);
        cases.push(vec![password("wrong-1"), password("wrong-2"), right.clone(), password("wrong-3")]);
        // More than sshd bears on one connection (MaxAuthTries is 6).
        cases.push((0..9).map(|n| password(&format!("wrong-{n}"))).chain([right.clone()]).collect());
        cases.push(vec![password("wrong"), key]);
        cases.push(vec![no_key, right]);
    }
    for logins in cases {
        let mut target = sshd.target();
        target.logins = logins;
        assert_eq!(stdout(&Ssh::new(target.clone()), "id -un").trim(), sshd.user, "{:?}\n{}", target.logins, sshd.log());
    }
}

#[test]
fn a_password_also_answers_where_the_server_asks_questions() {
    let options =
        Options::default().config("UsePAM yes").config("KbdInteractiveAuthentication yes").config("PasswordAuthentication no");
    let Some(sshd) = options.start() else { return };
    let Some(right) = sshd.password_login() else { return };
    let mut target = sshd.target();
    target.logins = vec![right];
    assert_eq!(stdout(&Ssh::new(target), "echo in"), "in\n", "{}", sshd.log());
    assert!(sshd.log().contains("Accepted keyboard-interactive"), "{}", sshd.log());
}

#[test]
fn a_server_that_bears_one_try_a_connection_is_tried_again() {
    let options =
        Options::default().config("UsePAM yes").config("KbdInteractiveAuthentication yes").config("PasswordAuthentication no");
    for options in [options.config("MaxAuthTries 1"), Options::default().config("MaxAuthTries 1")] {
        let Some(sshd) = options.start() else { return };
        let Some(right) = sshd.password_login() else { return };
        let mut target = sshd.target();
        target.logins = vec![password("wrong"), right];
        let a = exec(&Ssh::new(target.clone()), "echo in").map(|o| o.stdout.text());
        assert_eq!(a.unwrap_or_else(|e| e.what), "in\n", "{}", sshd.log());
        target.logins.truncate(1);
        let error = exec(&Ssh::new(target), "echo in").unwrap_err();
        assert!(error.kind == Kind::Refused && error.what.contains("password 1 ("), "{error:?}\n{}", sshd.log());
    }
}

#[test]
fn a_key_may_have_a_passphrase() {
    let Some(sshd) = Sshd::start() else { return };
    let locked = sshd.path("locked_key");
    fs::copy(&sshd.key, &locked).unwrap();
    let made = std::process::Command::new("ssh-keygen").args(["-q", "-p", "-N", "open sesame", "-f"]).arg(&locked).status();
    assert!(made.unwrap().success());
    let login = |passphrase: Option<&str>| {
        let mut target = sshd.target();
        target.logins = vec![Login::KeyFile { path: locked.clone(), passphrase: passphrase.map(Secret::new) }];
        exec(&Ssh::new(target), "echo in")
    };
    assert_eq!(login(Some("open sesame")).unwrap().stdout.text(), "in\n");
    for (passphrase, expected) in [(Some("guess sesame"), "wrong passphrase"), (None, "needs a passphrase")] {
        let error = login(passphrase).unwrap_err();
        assert!(error.what.contains(expected) && error.what.contains("locked_key"), "{}", error.what);
        assert!(!all_of(&error).contains("sesame"), "{}", all_of(&error));
    }
}

#[test]
fn the_agent_lets_us_in() {
    // The agent is found by the environment, which belongs to the whole process: so a program of its own tries it.
    let Some(sshd) = Sshd::start() else { return };
    let Ok(ours) = std::env::var("XRT_TEST_AGENT_TARGET") else {
        let script = "eval \"$(ssh-agent -s)\" >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q \"$1\" && \"$2\" --exact ssh::the_agent_lets_us_in";
        let output = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&sshd.key)
            .arg(std::env::current_exe().unwrap())
            .env("XRT_TEST_AGENT_TARGET", format!("{} {}", sshd.port, sshd.user))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        return;
    };
    let (port, user) = ours.split_once(' ').unwrap();
    let mut target = sshd.target();
    (target.port, target.user, target.logins) = (port.parse().unwrap(), user.into(), vec![Login::Agent]);
    assert_eq!(stdout(&Ssh::new(target), "id -un").trim(), user);
}

#[test]
fn a_refused_login_says_what_was_tried_and_no_secret() {
    let Some(sshd) = Sshd::start() else { return };
    let mut target = sshd.target();
    target.logins = vec![
        password("hunter-secret-1"),
        password("hunter-secret-2"),
        Login::KeyFile { path: "/nowhere/id".into(), passphrase: Some(Secret::new("hunter-phrase")) },
    ];
    let error = exec(&Ssh::new(target.clone()), "uptime").unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Lab));
    let text = all_of(&error);
    for part in [
        &sshd.user,
        "127.0.0.1",
        "uptime",
        "password 1 (refused)",
        "password 2",
        "/nowhere/id",
        "the server takes: publickey,password",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hunter"), "{text}");
    assert!(error.help.is_some());
    target.logins = Vec::new();
    let error = exec(&Ssh::new(target), "uptime").unwrap_err();
    assert!(error.what.contains("no login"), "{}", error.what);
}

#[test]
fn a_server_that_takes_keys_only_says_so() {
    let Some(sshd) = Options::default().config("PasswordAuthentication no").start() else { return };
    let mut target = sshd.target();
    target.logins = vec![password("hunter2")];
    let error = exec(&Ssh::new(target), "uptime").unwrap_err();
    assert!(error.what.contains("password 1 (not taken by the server)"), "{}", error.what);
    assert!(error.help.unwrap().contains("keys only"));
}

#[test]
fn nobody_there_is_told_from_somebody_silent() {
    let Some(sshd) = Sshd::start() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let closing_port = closing.local_addr().unwrap().port();
    let closer = std::thread::spawn(move || closing.incoming().take(3).for_each(drop));
    for (port, expected) in [
        (free_port(), "connection refused"),
        (silent.local_addr().unwrap().port(), "says nothing within"),
        (closing_port, "ends them before the login"),
    ] {
        let mut target = sshd.target();
        target.port = port;
        target.connect_timeout = if port == closing_port { LONG } else { Duration::from_millis(400) };
        let begun = Instant::now();
        let error = exec(&Ssh::new(target), "uptime").unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Unreachable, Blame::Lab), "{}", error.what);
        assert!(error.what.contains(expected) && error.what.contains("uptime"), "{expected}: {}", error.what);
        assert!(error.help.is_some() && begun.elapsed() < LONG);
    }
    closer.join().unwrap();
    let mut target = sshd.target();
    target.host = "no-such-host.invalid".into();
    assert!(exec(&Ssh::new(target), "uptime").unwrap_err().what.contains("no-such-host.invalid"));
}

#[test]
fn the_commands_limit_counts_while_connecting() {
    let Some(sshd) = Sshd::start() else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = sshd.target();
    target.port = silent.local_addr().unwrap().port();
    target.connect_timeout = LONG;
    let error = Ssh::new(target).exec(&Command::new("uptime", Duration::from_millis(200)), &Cancel::new()).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Unreachable, Blame::Lab));
    assert!(error.what.contains("no connection"), "{}", error.what);
}

#[test]
fn streams_statuses_and_signals_are_told_apart() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    for (text, out, err, status) in [
        ("true", "", "", Status::Exited(0)),
        ("false", "", "", Status::Exited(1)),
        ("echo out; echo err >&2; exit 3", "out\n", "err\n", Status::Exited(3)),
        ("exit 255", "", "", Status::Exited(255)),
        ("kill -KILL $$", "", "", Status::Signalled("KILL".into())),
        ("kill -TERM $$", "", "", Status::Signalled("TERM".into())),
        ("kill -SEGV $$", "", "", Status::Signalled("SEGV".into())),
        ("exec >&- 2>&-; exit 7", "", "", Status::Exited(7)),
        ("printf 'no newline'", "no newline", "", Status::Exited(0)),
        ("echo '#' # a comment", "#\n", "", Status::Exited(0)),
    ] {
        let output = exec(&ssh, text).unwrap();
        assert_eq!((output.stdout.text(), output.stderr.text(), output.status), (out.into(), err.into(), status), "{text}");
    }
    assert_eq!(exec(&ssh, "printf '\\377\\000\\376' ").unwrap().stdout.bytes(), [0xff, 0, 0xfe]);
    assert_eq!(exec(&ssh, "a\0b").unwrap_err().kind, Kind::Malformed);
    let long = |bytes: usize| format!("echo in #{:>1$}", "", bytes - 9);
    assert_eq!(stdout(&ssh, &long(32_000)), "in\n");
    let error = exec(&ssh, &long(32_001)).unwrap_err();
    assert!(error.kind == Kind::Malformed && error.what.contains("32001 bytes"), "{error}");
    assert_eq!(sshd.logins(), 1, "one connection for all");
}

#[test]
fn output_of_200_mb_goes_to_a_file_and_not_into_memory() {
    let Some(sshd) = Sshd::start() else { return };
    let path = sshd.path("output");
    let mut command = Command::new("head -c 200000000 /dev/zero; echo end", LONG);
    (command.stdout_file, command.keep) = (Some(path.clone()), 1000);
    let output = sshd.ssh().exec(&command, &Cancel::new()).unwrap();
    assert_eq!((output.stdout.total(), output.stdout.is_cut()), (200_000_004, true));
    assert!(output.stdout.bytes().len() < 1100 && output.stdout.bytes().ends_with(b"\0end\n"));
    assert_eq!(fs::metadata(path).unwrap().len(), 200_000_004);
    command.stdout_file = Some("/no/such/dir/output".into());
    let error = sshd.ssh().exec(&command, &Cancel::new()).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::NotFound, Blame::User));
}

#[test]
fn both_streams_and_input_move_together() {
    // Keys are changed every megabyte, in the middle of everything.
    let Some(sshd) = Options::default().config("RekeyLimit 1M").start() else { return };
    let ssh = sshd.ssh();
    let output = exec(&ssh, "head -c 4000000 /dev/zero >&2; head -c 4000000 /dev/zero; exit 9").unwrap();
    assert_eq!((output.stdout.total(), output.stderr.total(), output.status), (4_000_000, 4_000_000, Status::Exited(9)));
    let mut echo = Command::new("cat; wc -c </dev/null >&2", LONG);
    echo.stdin = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    echo.keep = 64 << 20;
    let output = ssh.exec(&echo, &Cancel::new()).unwrap();
    assert!(output.is_success() && output.stdout.bytes() == echo.stdin, "{} bytes", output.stdout.total());
    echo.text = "exit 4".into();
    assert_eq!(ssh.exec(&echo, &Cancel::new()).unwrap().status, Status::Exited(4), "a command need not read its input");
    assert_eq!(stdout(&ssh, "echo still here"), "still here\n");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn a_limit_ends_the_wait_and_the_connection_stays() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    assert_eq!(stdout(&ssh, "echo before"), "before\n");
    for (text, limit) in [("echo said; echo loud >&2; sleep 300", 4.0), ("yes", 0.3), ("cat /dev/zero >&2", 0.3)] {
        let error = ssh.exec(&Command::new(text, Duration::from_secs_f64(limit)), &Cancel::new()).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product));
        assert!(error.what.contains("did not end within ") && error.what.contains(&sshd.user), "{}", error.what);
        let details = error.details.unwrap();
        assert_eq!(details.command, text);
        if text.starts_with("echo") {
            assert_eq!((details.stdout.as_str(), details.stderr.as_str()), ("said\n", "loud\n"));
        }
    }
    assert_eq!(stdout(&ssh, "echo after"), "after\n");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn what_is_given_up_is_ended_there_too() {
    let Some(sshd) = Options::default().root().start() else { return };
    let ssh = Arc::new(sshd.ssh());
    let pids = sshd.path("pids");
    let waited_for = |name: &str, text: &str| {
        let (ssh, cancel) = (ssh.clone(), Cancel::new());
        let text = format!("echo $$ > {}.{name}; {text}", pids.display());
        let raised = cancel.clone();
        (std::thread::spawn(move || ssh.exec(&Command::new(text, LONG), &raised)), cancel)
    };
    let other = waited_for("other", "exec sleep 300");
    // These write elsewhere: sshd holds none of their output.
    let to_the_end = format!("until [ -e {}.end ]; do sleep 0.2; done", pids.display());
    let to_file = waited_for("file", &format!("exec >/dev/null 2>&1; {to_the_end}"));
    let to_pipe = waited_for("pipe", &format!("exec bash -c 'exec > >(cat >/dev/null) 2>&1; {to_the_end}'"));
    let pid = |name: &str| fs::read_to_string(format!("{}.{name}", pids.display())).unwrap_or_default().trim().to_string();
    // Whoever inherits a dead process may leave it unreaped.
    let is_alive = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    eventually("the other commands start", || ["other", "file", "pipe"].iter().all(|name| !pid(name).is_empty()));
    // One that ends when told to, one that must be killed.
    for (name, text) in [("meek", ""), ("stubborn", "trap '' TERM; ")] {
        let text = format!("{text}sleep 301 & echo $$ > {0}.{name}; echo $! > {0}.{name}-child; wait; wait", pids.display());
        let error = ssh.exec(&Command::new(text, Duration::from_secs(5)), &Cancel::new()).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        eventually("both processes end", || !is_alive(&pid(name)) && !is_alive(&pid(&format!("{name}-child"))));
    }
    assert!(is_alive(&pid("other")), "a command that somebody still waits for goes on");
    fs::write(sshd.path("pids.end"), "").unwrap();
    for (name, (command, _)) in [("file", to_file), ("pipe", to_pipe)] {
        let output = command.join().unwrap().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(output.is_success(), "a command that writes to a {name} goes on: {output:?}");
    }
    other.1.raise(Stop::User);
    assert_eq!(other.0.join().unwrap().unwrap_err().kind, Kind::Cancelled);
    eventually("it ends when given up", || !is_alive(&pid("other")));
}

#[test]
fn the_flag_ends_the_wait_from_another_thread() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = Arc::new(sshd.ssh());
    stdout(&ssh, "true");
    let cancel = Cancel::new();
    let waiting = {
        let (ssh, cancel) = (ssh.clone(), cancel.clone());
        std::thread::spawn(move || {
            let result = ssh.exec(&Command::new("echo begun > begun; sleep 300", Duration::from_secs(300)), &cancel);
            (result, Instant::now())
        })
    };
    eventually("the command begins", || sshd.home.join("begun").exists());
    let raised = Instant::now();
    cancel.raise(Stop::User);
    let (result, left) = waiting.join().unwrap();
    assert_eq!(result.unwrap_err().kind, Kind::Cancelled);
    assert!(left - raised < Duration::from_secs(5), "{:?}", left - raised);
    assert_eq!(exec(&ssh, "true").unwrap().status, Status::Exited(0));
    let limited = Cancel::new().child_with_limit("testcase", Duration::from_millis(300));
    let error = ssh.exec(&Command::new("sleep 300", LONG), &limited).unwrap_err();
    assert!(error.kind == Kind::Timeout && error.what.contains("the testcase did not end within 300ms"), "{error}");
}

#[test]
fn a_connection_that_drops_in_mid_command_is_told_and_made_anew() {
    let Some(sshd) = Sshd::start() else { return };
    let proxy = Proxy::to(sshd.port);
    let mut target = sshd.target();
    target.port = proxy.port;
    let cuts: [(Ssh, &dyn Fn()); 2] = [(Ssh::new(target), &|| proxy.cut()), (sshd.ssh(), &|| sshd.cut())];
    for (ssh, cut) in cuts {
        let heard = sshd.home.join("heard");
        let command = Command { stdout_file: Some(heard.clone()), ..Command::new("echo said; sleep 300", LONG) };
        let error = std::thread::scope(|scope| {
            let running = scope.spawn(|| ssh.exec(&command, &Cancel::new()));
            eventually("what it says is here", || fs::read(&heard).is_ok_and(|text| text == b"said\n"));
            cut();
            running.join().unwrap().unwrap_err()
        });
        fs::remove_file(&heard).unwrap();
        assert_eq!((error.kind, error.blame), (Kind::Unreachable, Blame::Product), "{error}");
        for part in ["connection to 127.0.0.1", "lost", &sshd.user, "sleep 300", "after"] {
            assert!(error.what.contains(part), "{part}: {}", error.what);
        }
        assert!(error.help.is_some());
        assert_eq!(error.details.unwrap().stdout, "said\n");
        assert_eq!(stdout(&ssh, "echo again"), "again\n");
    }
}

#[test]
fn a_restarted_server_is_reached_again() {
    let Some(mut sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    assert_eq!(stdout(&ssh, "echo 1"), "1\n");
    sshd.start_again();
    assert_eq!(stdout(&ssh, "echo 2"), "2\n");
    sshd.stop();
    let error = exec(&ssh, "echo 3").unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Unreachable, Blame::Lab), "{error}");
    sshd.start_again();
    assert_eq!(stdout(&ssh, "echo 4"), "4\n");
    ssh.hang_up();
    assert_eq!(stdout(&ssh, "echo 5"), "5\n");
    eventually("the log has it", || sshd.logins() == 4);
}

#[test]
fn a_hang_up_ends_what_waits() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    let error = std::thread::scope(|scope| {
        let running = scope.spawn(|| exec(&ssh, "echo > begun; sleep 300"));
        eventually("the command begins", || sshd.home.join("begun").exists());
        ssh.hang_up();
        running.join().unwrap().unwrap_err()
    });
    assert!(error.kind == Kind::Unreachable && error.what.contains("lost"), "{error}");
}

#[test]
fn a_connection_that_went_dead_is_replaced() {
    let Some(sshd) = Sshd::start() else { return };
    let proxy = Proxy::to(sshd.port);
    let mut target = sshd.target();
    (target.port, target.connect_timeout) = (proxy.port, Duration::from_secs(3));
    let ssh = Ssh::new(target);
    assert_eq!(stdout(&ssh, "echo 1"), "1\n");
    proxy.freeze();
    let error = ssh.exec(&Command::new("echo 2", Duration::from_millis(200)), &Cancel::new()).unwrap_err();
    assert_eq!(error.kind, Kind::Timeout, "{error}");
    assert_eq!(stdout(&ssh, "echo 3"), "3\n", "the next command does not wait for TCP");
}

#[test]
fn an_idle_connection_answers_the_servers_questions() {
    let Some(sshd) = Options::default().config("ClientAliveInterval 1").config("ClientAliveCountMax 3").start() else { return };
    let ssh = sshd.ssh();
    assert_eq!(stdout(&ssh, "echo 1"), "1\n");
    Cancel::new().sleep(Duration::from_secs(6)).unwrap();
    assert_eq!(stdout(&ssh, "echo 2"), "2\n");
    assert_eq!(sshd.logins(), 1, "sshd ends a connection that does not answer:\n{}", sshd.log());
}

#[test]
fn commands_and_uploads_share_one_connection() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    let local = sshd.path("big");
    fs::write(&local, vec![b'x'; 20 << 20]).unwrap();
    std::thread::scope(|scope| {
        for upload in 0..4 {
            let (ssh, local) = (&ssh, &local);
            scope.spawn(move || assert_eq!(ssh.send(local, &format!("big-{upload}"), &Cancel::new()).unwrap(), 20 << 20));
        }
        for thread in 0..50 {
            let ssh = &ssh;
            scope.spawn(move || {
                for turn in 0..20 {
                    assert_eq!(stdout(ssh, &format!("echo {thread} {turn}")), format!("{thread} {turn}\n"));
                }
            });
        }
    });
    assert_eq!(stdout(&ssh, "cat big-* | wc -c").trim(), (80 << 20).to_string());
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
    assert!(!sshd.log().contains("orrupt"), "{}", sshd.log());
}

#[test]
fn a_quick_command_does_not_wait_for_a_slow_one() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| exec(&ssh, "echo > begun; while [ ! -e go ]; do sleep 0.1; done"));
        eventually("the slow one begins", || sshd.home.join("begun").exists());
        assert_eq!(stdout(&ssh, "echo quick"), "quick\n");
        stdout(&ssh, "echo > go");
        assert!(slow.join().unwrap().unwrap().is_success());
    });
}

#[test]
fn a_server_with_few_sessions_is_waited_for() {
    for most in [1, 3] {
        let Some(sshd) = Options::default().config(&format!("MaxSessions {most}")).start() else { return };
        let ssh = sshd.ssh();
        ssh.write_file("file", b"text", 0o644, &Cancel::new()).unwrap();
        std::thread::scope(|scope| {
            for n in 0..12 {
                let ssh = &ssh;
                scope.spawn(move || assert_eq!(stdout(ssh, &format!("sleep 0.1; echo {n}")), format!("{n}\n")));
            }
        });
        assert_eq!(ssh.read_file("file", 100, &Cancel::new()).unwrap(), b"text");
    }
}

#[test]
fn a_slow_shell_is_noticed_once() {
    let Some(sshd) = Options::default().shell_start("sleep 1").start() else { return };
    let ssh = sshd.ssh();
    let begun = Instant::now();
    assert_eq!(stdout(&ssh, "echo 1"), "1\n");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let mut warnings = Vec::new();
    eventually("the warning comes", || {
        warnings.extend(ssh.warnings());
        !warnings.is_empty()
    });
    assert!(warnings[0].contains("127.0.0.1") && warnings[0].contains("costs 1"), "{warnings:?}");
    assert!(ssh.shell_start().unwrap() >= 1.0);
    stdout(&ssh, "echo 2");
    ssh.hang_up();
    stdout(&ssh, "echo 3");
    assert_eq!((warnings.len(), ssh.warnings()), (1, Vec::<String>::new()));
    let Some(quick) = Sshd::start() else { return };
    let ssh = quick.ssh();
    stdout(&ssh, "echo 1");
    assert_eq!(ssh.warnings(), Vec::<String>::new());
}

#[test]
fn host_keys_are_recorded_and_a_change_is_told() {
    let Some(mut sshd) = Sshd::start() else { return };
    let record = sshd.path("record/known_hosts");
    let connect = |sshd: &Sshd, policy: HostKeys| {
        let mut target = sshd.target();
        (target.host_keys, target.known_hosts) = (policy, Some(record.clone()));
        let ssh = Ssh::new(target);
        (exec(&ssh, "true"), ssh.warnings())
    };
    let (result, warnings) = connect(&sshd, HostKeys::Ignore);
    assert!(result.is_ok() && warnings.is_empty() && !record.exists());
    let error = connect(&sshd, HostKeys::Strict).0.unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Lab));
    assert!(error.what.contains("is not known: ED25519 SHA256:") && error.help.unwrap().contains("ssh-keyscan"), "{}", error.what);

    let (result, warnings) = connect(&sshd, HostKeys::Warn);
    assert!(result.is_ok() && warnings.is_empty(), "{warnings:?}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(record.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let first = fs::read_to_string(&record).unwrap();
    assert!(first.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 AAAA", sshd.port)), "{first}");
    assert!(connect(&sshd, HostKeys::Strict).0.is_ok(), "ssh reads it too: {first}");
    let other = "elsewhere ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMP1mGvYJVSxmPmjWZ5KJKVRVCjGVWyXkkQnDA6MvPgx mine\n# a remark\n";
    fs::write(&record, format!("{other}{first}")).unwrap();

    let fingerprint = |text: &str| text.split_whitespace().find(|w| w.starts_with("SHA256:")).map(str::to_string).unwrap();
    let old = fingerprint(&first);
    sshd.change_host_key();
    let error = connect(&sshd, HostKeys::Strict).0.unwrap_err();
    assert!(
        error.what.contains("has changed") && error.what.contains(&old) && error.help.unwrap().contains("ssh-keygen -R"),
        "{}",
        error.what
    );
    assert!(connect(&sshd, HostKeys::Ignore).1.is_empty());
    let (result, warnings) = connect(&sshd, HostKeys::Warn);
    assert!(result.is_ok());
    let second = fs::read_to_string(&record).unwrap();
    assert!(second.starts_with(other) && second.lines().count() == 3, "{second}");
    let new = fingerprint(&second);
    assert!(new != old && warnings.len() == 1 && warnings[0].contains(&old) && warnings[0].contains(&new), "{warnings:?}");
    assert_eq!(connect(&sshd, HostKeys::Warn).1, Vec::<String>::new(), "told once");
    let known =
        std::process::Command::new("ssh-keygen").args(["-F", &format!("[127.0.0.1]:{}", sshd.port), "-f"]).arg(&record).output();
    assert!(known.unwrap().status.success(), "OpenSSH reads the record");
}

#[test]
fn many_machines_are_recorded_at_once() {
    let Some(sshd) = Sshd::start() else { return };
    let record = sshd.path("record/known_hosts");
    let proxies: Vec<Proxy> = (0..12).map(|_| Proxy::to(sshd.port)).collect();
    std::thread::scope(|scope| {
        for proxy in &proxies {
            let mut target = sshd.target();
            (target.port, target.host_keys, target.known_hosts) = (proxy.port, HostKeys::Warn, Some(record.clone()));
            scope.spawn(move || stdout(&Ssh::new(target), "true"));
        }
    });
    assert_eq!(fs::read_to_string(&record).unwrap().lines().count(), proxies.len());
}

#[test]
fn files_come_and_go() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, cancel) = (sshd.ssh(), Cancel::new());
    let names = ["plain", "with space", "quote's \"two\"", "ümläut ☃", "-dash", "$(reboot)", "new\nline"];
    ssh.make_dir("a/b c/d", &cancel).unwrap();
    ssh.make_dir("a/b c/d", &cancel).unwrap();
    for (n, name) in names.iter().enumerate() {
        let path = format!("a/b c/{name}");
        ssh.write_file(&path, name.as_bytes(), 0o640 + n as u32 % 2, &cancel).unwrap();
        assert_eq!(ssh.read_file(&path, 1000, &cancel).unwrap(), name.as_bytes(), "{name}");
        let entry = ssh.stat(&path, &cancel).unwrap().unwrap();
        assert_eq!((entry.name.as_str(), entry.kind, entry.size), (*name, EntryKind::File, name.len() as u64));
        assert_eq!(entry.mode, 0o640 + n as u32 % 2);
    }
    stdout(&ssh, "ln -s plain 'a/b c/link'; mkfifo 'a/b c/pipe'");
    let listed = ssh.list("a/b c", &cancel).unwrap();
    let mut expected: Vec<&str> = names.iter().copied().chain(["d", "link", "pipe"]).collect();
    expected.sort_unstable();
    assert_eq!(listed.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), expected);
    let kind = |name: &str| listed.iter().find(|e| e.name == name).unwrap().kind;
    assert_eq!((kind("d"), kind("link"), kind("pipe")), (EntryKind::Directory, EntryKind::Link, EntryKind::Other));
    assert_eq!(ssh.stat("a/b c/link", &cancel).unwrap().unwrap().kind, EntryKind::File, "links are followed");

    ssh.write_file("a/b c/plain", b"", 0o600, &cancel).unwrap();
    assert_eq!(ssh.read_file("a/b c/plain", 10, &cancel).unwrap(), b"", "what was there is gone");
    let local = sshd.path("local");
    let data: Vec<u8> = (0..3_000_001u32).map(|n| (n % 253) as u8).collect();
    fs::write(&local, &data).unwrap();
    std::process::Command::new("chmod").arg("751").arg(&local).status().unwrap();
    assert_eq!(ssh.send(&local, "a/sent", &cancel).unwrap(), data.len() as u64);
    assert_eq!(ssh.stat("a/sent", &cancel).unwrap().unwrap().mode, 0o751);
    let back = sshd.path("back");
    assert_eq!(ssh.fetch("a/sent", &back, &cancel).unwrap(), data.len() as u64);
    assert!(fs::read(&back).unwrap() == data);
    assert_eq!(ssh.read_file("a/sent", 10 << 20, &cancel).unwrap(), data);
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn files_that_cannot_be_had_are_told_with_their_path() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, cancel) = (sshd.ssh(), Cancel::new());
    stdout(&ssh, "mkdir dir; echo text > file; echo no > secret; chmod 0 secret");
    let here = sshd.path("here");
    fs::write(&here, "text").unwrap();
    type Ask<'a> = &'a dyn Fn() -> Result<(), Error>;
    let asks: [(&str, Kind, Ask); 12] = [
        ("`nothing`", Kind::NotFound, &|| ssh.read_file("nothing", 10, &cancel).map(drop)),
        ("`nothing`", Kind::NotFound, &|| ssh.list("nothing", &cancel).map(drop)),
        ("`nothing`", Kind::NotFound, &|| ssh.fetch("nothing", &sshd.path("x"), &cancel).map(drop)),
        ("`no/dir/x`", Kind::NotFound, &|| ssh.write_file("no/dir/x", b"x", 0o600, &cancel)),
        ("`secret`", Kind::Refused, &|| ssh.read_file("secret", 10, &cancel).map(drop)),
        ("`/root/x`", Kind::Refused, &|| ssh.write_file("/root/x", b"x", 0o600, &cancel)),
        ("`dir`", Kind::Refused, &|| ssh.read_file("dir", 10, &cancel).map(drop)),
        ("`dir`", Kind::Refused, &|| ssh.write_file("dir", b"x", 0o600, &cancel)),
        ("`file`", Kind::Refused, &|| ssh.make_dir("file/sub", &cancel)),
        ("`file`", Kind::Malformed, &|| ssh.read_file("file", 2, &cancel).map(drop)),
        ("no-such-local", Kind::NotFound, &|| ssh.send(&sshd.path("no-such-local"), "x", &cancel).map(drop)),
        ("/no/such/dir", Kind::NotFound, &|| ssh.fetch("file", Path::new("/no/such/dir/x"), &cancel).map(drop)),
    ];
    for (path, kind, ask) in asks {
        let error = ask().unwrap_err();
        assert!(error.kind == kind && error.what.contains(path), "{path} {kind:?}: {error:?}");
    }
    assert_eq!(ssh.stat("nothing", &cancel).unwrap(), None);
    assert_eq!(ssh.stat("file/sub", &cancel).unwrap(), None);
    assert!(!sshd.path("x").exists(), "nothing is left of a file that did not come");
    assert_eq!(ssh.read_file("file", 100, &cancel).unwrap(), b"text\n");
    assert_eq!(sshd.logins(), 1);
}

#[test]
fn file_work_sees_the_flag() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = sshd.ssh();
    let cancel = Cancel::new().child_with_limit("testcase", Duration::from_millis(200));
    let begun = Instant::now();
    let error = ssh.fetch("/dev/zero", &sshd.path("endless"), &cancel).unwrap_err();
    assert!(error.kind == Kind::Timeout && begun.elapsed() < LONG, "{error}");
    assert!(!sshd.path("endless").exists());
    ssh.write_file("after", b"text", 0o600, &Cancel::new()).unwrap();
    assert_eq!(sshd.logins(), 1, "the connection stays");
}

#[test]
fn a_server_that_runs_no_commands_says_so_by_its_own_words() {
    let Some(sshd) = Options::default().force_command("echo only this; exit 9").start() else { return };
    let output = exec(&sshd.ssh(), "uptime").unwrap();
    assert_eq!((output.stdout.text().as_str(), output.status), ("only this\n", Status::Exited(9)), "{}", sshd.guest());
}

#[test]
fn a_server_without_file_transfer_says_so_and_commands_go_on() {
    for subsystem in ["/bin/false", "/bin/echo nonsense of some length", "/no/such/program"] {
        let Some(sshd) = Options::default().config(&format!("Subsystem sftp {subsystem}")).start() else { return };
        let ssh = sshd.ssh();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| exec(&ssh, "echo > begun; while [ ! -e go ]; do sleep 0.1; done; echo went on"));
            eventually("the command begins", || sshd.home.join("begun").exists());
            let error = ssh.read_file("x", 10, &Cancel::new()).unwrap_err();
            assert_eq!(error.kind, Kind::Unsupported, "{subsystem}: {error:?}");
            assert!(error.help.unwrap().contains("internal-sftp"));
            stdout(&ssh, "echo > go");
            assert_eq!(running.join().unwrap().unwrap().stdout.text(), "went on\n");
        });
        assert_eq!(sshd.logins(), 1, "{subsystem}");
    }
}

#[test]
fn file_transfer_that_was_ended_is_started_anew() {
    // A program of its own, so that it can be ended without the connection.
    let server = "/usr/lib/openssh/sftp-server";
    if !Path::new(server).exists() {
        return skip("XRT_REQUIRE_SSHD", "no sftp-server is installed: apt-get install openssh-sftp-server");
    }
    let Some(sshd) = Options::default().config(&format!("Subsystem sftp {server}")).start() else { return };
    let (ssh, cancel) = (sshd.ssh(), Cancel::new());
    ssh.write_file("file", b"text", 0o600, &cancel).unwrap();
    let end = "for s in $(grep -ls '^Name:.sftp-server' /proc/[0-9]*/status); do
        grep -qs \"^Uid:.$(id -u)\" $s && s=${s%/status} && kill ${s#/proc/} && echo ended
    done; true";
    assert_eq!(stdout(&ssh, end), "ended\n");
    let error = ssh.read_file("file", 10, &cancel).unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error:?}");
    assert_eq!(ssh.read_file("file", 10, &cancel).unwrap(), b"text");
    assert_eq!(sshd.logins(), 1);
}
