//! Guests that run Windows: over a double of the execution daemon with all the quirks of its wire, and over PowerShell.

use crate::support::execd::Execd;
use crate::support::lab::Bench;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xenrt::error::{Blame, Kind};
use xenrt::lab::{ExecOptions, JobOptions, OnError, PowerOptions, RegData, RegPlace, WaitOptions};
use xenrt::time::{Cancel, Stop};
use xenrt::wire::{Command, Transport};

/// A daemon, and a guest in the hands of a testcase.
fn bench() -> (Execd, Bench) {
    let daemon = Execd::start();
    let transport = Arc::new(transport(&daemon));
    let bench = Bench::new("win", &daemon.guest(), transport);
    (daemon, bench)
}

fn transport(daemon: &Execd) -> xenrt::wire::execd::Execd {
    xenrt::wire::execd::Execd::new(&daemon.host, daemon.port, Duration::from_secs(5))
}

fn command(text: &str) -> Command {
    Command::new(text, Duration::from_secs(20))
}

fn said(daemon: &Execd, text: &str) -> String {
    transport(daemon).exec(&command(text), &Cancel::new()).unwrap().stdout.text()
}

#[test]
fn a_command_gives_its_output_and_status() {
    let (daemon, bench) = bench();
    let usual = ExecOptions::default();
    assert_eq!(bench.guest.exec("echo hello", &usual).unwrap(), "hello");
    assert_eq!(bench.guest.exec("echo one\necho two >&2", &usual).unwrap(), "one\ntwo", "the streams are joined");
    assert_eq!(bench.guest.exec("echo gr\u{fc}\u{df} \u{1f600}", &usual).unwrap(), "gr\u{fc}\u{df} \u{1f600}");
    assert_eq!(bench.guest.exec("echo begin\necho x\n:begin", &usual).unwrap_or_default(), "");
    let around = ExecOptions {
        cwd: Some(r"c:\temp".into()),
        env: [("COLOUR".to_string(), "50% it's red".to_string())].into(),
        ..usual.clone()
    };
    let out = bench.guest.exec("echo %COLOUR%\npwd", &around).unwrap();
    assert_eq!(out, format!("50% it's red\n{}", daemon.path(r"c:\temp").display()));
    let fed = ExecOptions { input: "typed \u{e9}\n".into(), ..usual.clone() };
    assert_eq!(bench.guest.exec("cat\nexit 0", &fed).unwrap(), "typed \u{e9}");
    for (text, code) in [("exit 0", 0), ("exit /b 3", 3), ("no-such-command-here", 127), ("kill -9 $$", -9)] {
        assert_eq!(bench.guest.exec_rc(text, &usual).unwrap(), code, "{text}");
    }
    assert_eq!(daemon.commands(), 0, "every command was cleaned up");
    assert_eq!(std::fs::read_dir(daemon.path(r"c:\temp")).unwrap().count(), 0, "nothing is left there");
}

#[test]
fn a_request_is_one_that_the_daemon_takes() {
    let daemon = Execd::start();
    assert_eq!(said(&daemon, "echo hi"), "hi\n");
    for head in daemon.heads() {
        let lower = head.to_lowercase();
        assert!(head.starts_with("POST /RPC2 HTTP/1."), "{head}");
        assert!(lower.contains("content-length: "), "{head}");
        for never in ["expect:", "accept-encoding:", "transfer-encoding:"] {
            assert!(!lower.contains(never), "{head}");
        }
    }
    let methods = transport(&daemon).methods(&Cancel::new()).unwrap();
    assert!(methods.contains(&"runbatch".to_string()));
}

#[test]
fn output_that_is_no_xml_is_mended() {
    let daemon = Execd::start();
    assert_eq!(said(&daemon, r"printf 'a\001b\377c<&>\0d'"), "a\u{fffd}b\u{fffd}c<&>\u{fffd}d");
    assert_eq!(said(&daemon, r"printf '  blanks stay  \n\n'"), "  blanks stay  \n\n");
    assert_eq!(said(&daemon, "true"), "");
    let long = said(&daemon, "yes | head -c 3000000");
    assert_eq!(long.len(), 3_000_000);
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    let daemon = Execd::start();
    for (reply, what) in [
        (&b"hello"[..], "does not answer as the execution daemon does"),
        (b"<?xml version='1.0'?><methodResponse><params>", "does not answer as the execution daemon does"),
        (b"<methodResponse><params><param><value><int>5</int></value></param></params></methodResponse>", "said Int(5)"),
        (b"<methodResponse><params><param><value><nil/></value></param></params></methodResponse>", "said Nil"),
    ] {
        daemon.says("globpath", reply);
        let windows = transport(&daemon).windows(&Cancel::new()).unwrap().unwrap();
        let error = windows.glob("c:\\*", &Cancel::new()).unwrap_err();
        assert!(error.what.contains(what), "{}", error.what);
        assert_eq!(error.blame, Blame::Lab, "{error:?}");
    }
    // Numbers as i4, and text without a type.
    daemon.says(
        "returncode",
        b"<methodResponse><params><param><value><i4>-1073741819</i4></value></param></params></methodResponse>",
    );
    daemon.says("poll", b"<methodResponse><params><param><value>DONE</value></param></params></methodResponse>");
    let ended = transport(&daemon).exec(&command("exit 0"), &Cancel::new());
    // The output may not have been flushed when `poll` lied; its status is what counts.
    if let Ok(output) = ended {
        assert_eq!(output.status, xenrt::wire::Status::Exited(-1_073_741_819));
    }
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let (daemon, bench) = bench();
    let short = ExecOptions { timeout: Some(Duration::from_millis(500)), ..ExecOptions::default() };
    let text = "echo begun\n(while true; do sleep 0.05; echo x >> c:\\temp\\alive; done) & wait";
    let error = bench.guest.exec(text, &short).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product), "{error:?}");
    assert!(error.what.contains("did not end within 0.5s; its processes were ended"), "{}", error.what);
    assert_eq!(error.details.unwrap().stdout, "begun\n");
    assert_eq!(daemon.commands(), 0);
    let alive = || std::fs::metadata(daemon.path(r"c:\temp\alive")).map_or(0, |found| found.len());
    let before = alive();
    Cancel::new().sleep(Duration::from_millis(300)).unwrap();
    assert_eq!(alive(), before, "what it had started is gone too");

    let stop = bench.guest.context().cancel();
    let clock = Instant::now();
    let stopper = std::thread::spawn(move || {
        let _ = Cancel::new().sleep(Duration::from_millis(200));
        stop.raise(Stop::User);
    });
    let error = bench.guest.exec("sleep 1000", &ExecOptions::default()).unwrap_err();
    stopper.join().unwrap();
    assert_eq!(error.kind, Kind::Cancelled, "{error:?}");
    assert!(clock.elapsed() < Duration::from_secs(15));
    assert_eq!(daemon.commands(), 0);
}

#[test]
fn a_lost_answer_starts_nothing_twice() {
    let daemon = Execd::start();
    daemon.cut("runbatch");
    let error = transport(&daemon).exec(&command("echo x >> c:\\temp\\count"), &Cancel::new()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.what.contains("may have been started"), "{}", error.what);
    assert_eq!(daemon.calls().iter().filter(|method| *method == "runbatch").count(), 1);
    // Questions about a command are asked again.
    for method in ["poll", "log", "returncode"] {
        daemon.cut(method);
        daemon.cut(method);
        assert_eq!(said(&daemon, "echo fine"), "fine\n", "{method}");
    }
    (0..3).for_each(|_| daemon.cut("log"));
    let error = transport(&daemon).exec(&command("echo lost"), &Cancel::new()).unwrap_err();
    assert!(error.what.contains("may still run"), "{}", error.what);
}

#[test]
fn a_daemon_that_was_started_anew_knows_no_command_and_takes_none_for_ours() {
    let (daemon, bench) = bench();
    let daemon = Arc::new(daemon);
    for others in [0, 1] {
        let behind = daemon.clone();
        let breaker = std::thread::spawn(move || {
            let begun = Instant::now();
            while behind.commands() == 0 && begun.elapsed() < Duration::from_secs(10) {
                let _ = Cancel::new().sleep(Duration::from_millis(5));
            }
            behind.restart_daemon();
            // The reference of ours is now that of somebody else's command.
            (0..others).for_each(|_| drop(said(&behind, "echo somebody else\nsleep 0.5")));
        });
        let error = bench.guest.exec("sleep 30", &ExecOptions::default()).unwrap_err();
        breaker.join().unwrap();
        assert_eq!(error.kind, Kind::Unreachable, "{error:?}");
        assert!(error.what.contains("started anew"), "{}", error.what);
    }
}

#[test]
fn files_go_there_and_back() {
    let (daemon, bench) = bench();
    let guest = &bench.guest;
    let dir = guest.temp_dir().unwrap();
    assert!(dir.starts_with(r"c:\temp\xenrt."), "{dir}");
    let file = guest.path(&[&dir, "a file 100%.txt"]);
    assert_eq!(file, format!(r"{dir}\a file 100%.txt"));
    guest.write_file(&file, b"one\r\n\xff\0", 0o600).unwrap();
    assert_eq!(guest.read_bytes(&file).unwrap(), b"one\r\n\xff\0");
    guest.append_file(&file, b"two").unwrap();
    assert_eq!(guest.read_bytes(&file).unwrap(), b"one\r\n\xff\0two");
    assert!(guest.file_exists(&file).unwrap() && !guest.dir_exists(&file).unwrap());
    assert!(guest.dir_exists(&dir).unwrap() && !guest.file_exists(&dir).unwrap());
    assert!(guest.file_mtime(&file).unwrap() > 1_700_000_000);
    assert_eq!(guest.file_sha1(&file).unwrap().len(), 40);
    let missing = guest.path(&[&dir, "none"]);
    assert_eq!(guest.read_file(&missing).unwrap_err().kind, Kind::NotFound);
    assert_eq!(guest.file_sha1(&missing).unwrap_err().kind, Kind::NotFound);
    guest.remove_file(&missing).unwrap();
    guest.make_dir(&guest.path(&[&dir, "x", "y"])).unwrap();
    guest.make_dir(&guest.path(&[&dir, "x", "y"])).unwrap();
    let found = guest.glob(&guest.path(&[&dir, "*"])).unwrap();
    assert_eq!(found, [file.clone(), guest.path(&[&dir, "x"])]);
    guest.remove_file(&file).unwrap();
    assert!(!guest.file_exists(&file).unwrap());
    for never in [r"c:\", r"c:\windows", "x", r"c:\temp\..\windows"] {
        assert_eq!(guest.remove_tree(never).unwrap_err().kind, Kind::Malformed, "{never}");
    }
    guest.clean_up().unwrap();
    assert!(!daemon.path(&dir).exists());
}

#[test]
fn trees_and_large_files_go_there_and_back() {
    let (daemon, bench) = bench();
    let guest = &bench.guest;
    let local = tempfile::tempdir().unwrap();
    std::fs::create_dir(local.path().join("sub")).unwrap();
    std::fs::write(local.path().join("sub/[x] y.txt"), "deep").unwrap();
    std::fs::write(local.path().join(".hidden"), "dot").unwrap();
    // Two pieces and a half.
    let large: Vec<u8> = (0..20_u32 << 20).map(|n| (n % 251) as u8).collect();
    std::fs::write(local.path().join("large.bin"), &large).unwrap();
    let dir = guest.temp_dir().unwrap();
    guest.send_tree(local.path(), &guest.path(&[&dir, "kit"])).unwrap();
    assert_eq!(std::fs::read(daemon.path(&format!(r"{dir}\kit\large.bin"))).unwrap(), large);
    let back = guest.fetch_tree(&guest.path(&[&dir, "kit"]), "back").unwrap();
    assert_eq!(std::fs::read(back.join("large.bin")).unwrap(), large);
    assert_eq!(std::fs::read_to_string(back.join("sub/[x] y.txt")).unwrap(), "deep");
    assert_eq!(std::fs::read_to_string(back.join(".hidden")).unwrap(), "dot");
    let parts = guest.glob(&guest.path(&[&dir, "kit", "*.xrt-part"])).unwrap();
    assert!(parts.is_empty(), "{parts:?}");
    let small = transport(&daemon).read_file(&format!(r"{dir}\kit\large.bin"), 1 << 20, &Cancel::new()).unwrap_err();
    assert_eq!(small.kind, Kind::Malformed);
    assert!(small.what.contains("is larger than 1.0 MiB"), "{}", small.what);
}

#[test]
fn it_says_what_it_is() {
    let (daemon, bench) = bench();
    let guest = &bench.guest;
    assert!(guest.is_windows().unwrap());
    let facts = guest.facts().unwrap();
    assert_eq!((facts.distro.as_str(), facts.arch.as_str(), facts.cpus), ("ws19", "x86_64", 2));
    assert_eq!((facts.kernel.as_str(), facts.hostname.as_str()), ("10.0.17763", "WINDOUBLE"));
    assert_eq!(facts.memory, 2_096_620 << 10);
    assert_eq!(guest.windows_version().unwrap(), "10.0");
    assert_eq!(guest.env("OS").unwrap().as_deref(), Some("Windows_NT"));
    assert_eq!(guest.env("NOT_THERE").unwrap(), None);
    daemon.skew(42.0);
    let skew = guest.clock_skew().unwrap();
    assert!((skew.seconds - 42.0).abs() < 1.0 && skew.uncertainty < 5.0, "{skew:?}");
    assert_eq!(guest.windows_disks().unwrap(), [0, 1]);
    assert_eq!(guest.windows_macs().unwrap(), ["00:16:3E:00:00:01"]);
}

#[test]
fn the_registry_keeps_what_it_is_told() {
    let (_daemon, bench) = bench();
    let guest = &bench.guest;
    let place = |name: &str| RegPlace::new("HKLM", r"Software\XenRT", name).unwrap();
    for (name, data) in [
        ("number", RegData::Dword(2_147_483_647)),
        ("text", RegData::Text("a <b> & \u{e9}".into())),
        ("list", RegData::Texts(vec!["one".into(), String::new(), "three".into()])),
    ] {
        guest.reg_set(&place(name), &data).unwrap();
        assert_eq!(guest.reg_get(&place(name)).unwrap(), data);
        guest.reg_delete(&place(name)).unwrap();
        assert_eq!(guest.reg_get(&place(name)).unwrap_err().kind, Kind::NotFound, "{name}");
        assert_eq!(guest.reg_delete(&place(name)).unwrap_err().kind, Kind::NotFound, "{name}");
    }
    // The protocol's numbers have 32 bits.
    guest.reg_set(&place("large"), &RegData::Dword(u32::MAX)).unwrap();
    let error = guest.reg_get(&place("large")).unwrap_err();
    assert!(error.what.contains("int exceeds XML-RPC limits"), "{}", error.what);
}

#[test]
fn processes_are_listed_and_ended() {
    let (daemon, bench) = bench();
    let guest = &bench.guest;
    daemon.task(900, "iometer.exe");
    daemon.task(901, "IOmeter.exe");
    let listed = guest.processes().unwrap();
    assert!(listed.iter().any(|p| p.pid == 900 && p.name == "iometer.exe"), "{listed:?}");
    assert!(guest.is_running("iometer").unwrap() && guest.is_running("IOMETER.EXE").unwrap() && !guest.is_running("fio").unwrap());
    assert_eq!(guest.kill_process("iometer").unwrap(), 2);
    assert!(!guest.is_running("iometer").unwrap());
    assert_eq!(guest.kill_process("iometer").unwrap(), 0);
}

#[test]
fn it_reboots_and_goes_down() {
    for knows_processes in [true, false] {
        let (daemon, bench) = bench();
        if !knows_processes {
            daemon.forget_processes();
        }
        let guest = &bench.guest;
        let options = PowerOptions { timeout: Some(Duration::from_secs(60)), ..PowerOptions::default() };
        let before = guest.boot_id().unwrap();
        assert_eq!(guest.boot_id().unwrap(), before);
        guest.reboot(&options).unwrap();
        let after = guest.boot_id().unwrap();
        assert_ne!(after, before);
        assert_eq!(guest.exec("echo again", &ExecOptions::default()).unwrap(), "again", "references begin anew");
        guest.shutdown(&options).unwrap();
        let short = WaitOptions { timeout: Some(Duration::from_secs(1)) };
        assert!(!guest.is_reachable(&short).unwrap());
        daemon.power_on();
        guest.wait_ready(&WaitOptions { timeout: Some(Duration::from_secs(30)) }).unwrap();
        assert!(guest.is_reachable(&short).unwrap());
    }
}

#[test]
fn a_guest_that_does_not_come_back_is_waited_for_and_told() {
    let (daemon, bench) = bench();
    bench.guest.wait_ready(&WaitOptions::default()).unwrap();
    daemon.power_off();
    let error = bench.guest.wait_ready(&WaitOptions { timeout: Some(Duration::from_secs(1)) }).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product));
    assert!(error.what.contains("`win` to answer") && error.what.contains("execution daemon"), "{}", error.what);
    let error = bench.guest.exec("echo x", &ExecOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
}

#[test]
fn what_needs_a_posix_shell_says_so() {
    let (_daemon, bench) = bench();
    let guest = &bench.guest;
    let user = ExecOptions { user: Some("root".into()), ..ExecOptions::default() };
    for error in [
        guest.run_job("echo x", &JobOptions::default()).map(drop).unwrap_err(),
        guest.disk_space(r"c:\").map(drop).unwrap_err(),
        guest.install_tool("fio").map(drop).unwrap_err(),
        guest.crash(&WaitOptions::default()).unwrap_err(),
        guest.exec("echo x", &user).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Unsupported, "{error:?}");
        assert!(error.what.contains("POSIX shell"), "{}", error.what);
    }
    let here = Bench::local();
    assert!(!here.guest.is_windows().unwrap());
    let place = RegPlace::new("HKLM", "Software", "x").unwrap();
    assert_eq!(here.guest.reg_get(&place).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn logs_are_fetched() {
    let (daemon, bench) = bench();
    std::fs::write(daemon.path(r"c:\execdaemon.log"), "Server started\n").unwrap();
    std::fs::write(daemon.path(r"c:\temp\mine.log"), "own words\n").unwrap();
    daemon.program("wevtutil", "echo an event");
    daemon.program("systeminfo", "exit 0");
    bench.guest.add_log_file(r"c:\temp\*.log").unwrap();
    bench.guest.collect_logs().unwrap();
    let read = |name: &str| std::fs::read_to_string(bench.local.join("win").join(name)).unwrap_or_default();
    assert_eq!(read("c__execdaemon.log"), "Server started\n");
    assert_eq!(read("c__temp_mine.log"), "own words\n");
    assert_eq!(read("system-events.txt"), "an event\n");
    assert!(!bench.local.join("win/systeminfo.txt").exists(), "an empty file says nothing");
}

#[test]
fn a_failed_command_says_everything() {
    let (_daemon, bench) = bench();
    let error = bench.guest.exec("echo it broke\nexit /b 5", &ExecOptions::default()).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Product));
    assert!(error.what.ends_with("ended with status 5: it broke"), "{}", error.what);
    let details = error.details.unwrap();
    assert_eq!((details.code, details.stdout.as_str()), (Some(5), "it broke\n"));
    let blamed = ExecOptions { on_error: OnError::Error, ..ExecOptions::default() };
    assert_eq!(bench.guest.exec("exit 1", &blamed).unwrap_err().blame, Blame::Lab);
}
