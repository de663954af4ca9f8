//! Guests that run Windows: over a double of the execution daemon with all the quirks of its wire, and over PowerShell.

use crate::support::execd::Execd;
use crate::support::lab::Bench;
use crate::support::xrt::Xrt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xenrt::error::{Blame, Error, Kind, Result};
use xenrt::lab::{Access, ExecOptions, JobOptions, OnError, PowerOptions, RegData, RegPlace, WaitOptions};
use xenrt::time::{Cancel, Stop};
use xenrt::wire::local::Local;
use xenrt::wire::powershell::PowerShell;
use xenrt::wire::{Command, Entry, Output, Transport};

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
    guest.write_file(&guest.path(&[&dir, "abc"]), b"abc", 0o644).unwrap();
    let sum = guest.file_sha256(&guest.path(&[&dir, "abc"])).unwrap();
    assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    guest.remove_file(&guest.path(&[&dir, "abc"])).unwrap();
    assert_eq!(guest.file_sha256(&guest.path(&[&dir, "abc"])).unwrap_err().kind, Kind::NotFound);
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
    assert_eq!((guest.arch_native().unwrap().as_str(), guest.sockets().unwrap()), ("amd64", 2));
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
fn jobs_run_in_the_background() {
    let (daemon, bench) = bench();
    let guest = &bench.guest;
    let fed = JobOptions { input: "typed\n".into(), on_error: OnError::Return, ..JobOptions::default() };
    let job = guest.run_job("cat\necho oops >&2\nexit /b 3", &fed).unwrap();
    let limit = WaitOptions { timeout: Some(Duration::from_secs(20)) };
    assert_eq!(job.wait(&limit).unwrap(), 3);
    assert_eq!((job.output().unwrap(), job.errors().unwrap()), ("typed\n".to_string(), "oops\n".to_string()));
    assert_eq!((job.done().unwrap(), job.rc().unwrap()), (true, Some(3)));

    let long = guest.run_job("sleep 1000", &JobOptions::default()).unwrap();
    assert_eq!((long.done().unwrap(), long.rc().unwrap()), (false, None));
    long.kill().unwrap();
    assert_eq!(long.rc().unwrap(), Some(137));

    let failing = guest.run_job("echo it broke >&2\nexit 4", &JobOptions::default()).unwrap();
    let error = failing.wait(&limit).unwrap_err();
    assert!(error.what.ends_with("ended with status 4: it broke"), "{}", error.what);

    let lost = guest.run_job("sleep 1000", &JobOptions::default()).unwrap();
    daemon.restart_daemon();
    assert!(lost.wait(&limit).unwrap_err().what.contains("vanished without a status"));
    let lost = guest.run_job("sleep 1000", &JobOptions::default()).unwrap();
    guest.reboot(&PowerOptions { timeout: Some(Duration::from_secs(60)), ..PowerOptions::default() }).unwrap();
    assert!(lost.wait(&limit).unwrap_err().what.contains("was rebooted under the job"));
    guest.clean_up().unwrap();
    assert_eq!(std::fs::read_dir(daemon.path(r"c:\temp")).unwrap().count(), 0);
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

#[test]
fn what_answers_at_an_address_is_found_out() {
    let daemon = Execd::start_on_its_port();
    let entrance = Access::default().entrance(&daemon.host.parse().unwrap());
    let bench = Bench::new("found", &daemon.host, entrance);
    assert!(bench.guest.is_windows().unwrap(), "the daemon answers, and no SSH server does");
    assert_eq!(bench.guest.exec("echo hello", &ExecOptions::default()).unwrap(), "hello");
    let options = PowerOptions { timeout: Some(Duration::from_secs(60)), ..PowerOptions::default() };
    bench.guest.reboot(&options).unwrap();
    daemon.power_off();
    let error = bench.guest.exec("echo hello", &ExecOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable, "{error:?}");
    let error = bench.guest.exec("echo hello", &ExecOptions::default()).unwrap_err();
    assert!(error.what.contains("port 22") && error.what.contains("port 8936"), "{}", error.what);
    daemon.power_on();
    bench.guest.wait_ready(&WaitOptions { timeout: Some(Duration::from_secs(30)) }).unwrap();
}

#[test]
fn an_ssh_server_of_posix_is_taken_for_what_it_is() {
    let Some(sshd) = crate::support::sshd::Options::default().start() else { return };
    let access = Access { key_files: vec![sshd.key.clone()], ..Access::default() };
    let address = format!("{}@127.0.0.1:{}", sshd.user, sshd.port);
    let bench = Bench::new("posix", &address, access.entrance(&address.parse().unwrap()));
    assert!(!bench.guest.is_windows().unwrap());
    assert_eq!(bench.guest.exec("echo $((1 + 1))", &ExecOptions::default()).unwrap(), "2");
}

/// What a shell has for PowerShell here: it decodes its script, and runs the batch file in it.
const POWERSHELL: &str = r#"#!/bin/sh
script=$(printf %s "$5" | base64 -d | iconv -f UTF-16LE -t UTF-8)
[ "$1 $2 $3 $4" = "-nologo -noprofile -noninteractive -encodedcommand" ] || exit 98
batch=$(printf %s "$script" | sed -n "s/.*FromBase64String('\([^']*\)').*/\1/p")
[ -n "$batch" ] || { echo '["Windows_NT"]'; exit 0; }
printf %s "$batch" | base64 -d | tr -d '\r' | sed -e '/^@echo off/d' -e 's,exit /b,exit,' >/tmp/xrt-batch.$$
sh /tmp/xrt-batch.$$; rc=$?; rm -f /tmp/xrt-batch.$$; exit $rc
"#;

#[test]
fn an_ssh_server_of_windows_is_driven_by_powershell() {
    let tools = tempfile::tempdir().unwrap();
    let program = tools.path().join("powershell.exe");
    std::fs::write(&program, POWERSHELL).unwrap();
    let permissions =
        |path: &Path, mode| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    permissions(&program, 0o755);
    permissions(tools.path(), 0o755);
    let path = format!("export PATH={}:$PATH", tools.path().display());
    let options = crate::support::sshd::Options::default().config("VersionAddendum OpenSSH_for_Windows_8.1").shell_start(&path);
    let Some(sshd) = options.start() else { return };
    let access = Access { key_files: vec![sshd.key.clone()], ..Access::default() };
    let address = format!("{}@127.0.0.1:{}", sshd.user, sshd.port);
    let bench = Bench::new("winssh", &address, access.entrance(&address.parse().unwrap()));
    assert!(bench.guest.is_windows().unwrap(), "its banner says so");
    let fed = ExecOptions { input: "typed".into(), on_error: OnError::Return, ..ExecOptions::default() };
    let ended = bench.guest.exec_full("cat\necho oops >&2\nexit /b 9", &fed).unwrap();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code), ("typed", "oops\n", 9));
    assert_eq!(bench.guest.env("OS").unwrap().as_deref(), Some("Windows_NT"));
}

/// An SSH server of Windows as far as PowerShell over it goes: scripts are decoded, batch files run, questions answered.
struct Remote {
    inner: Local,
    root: tempfile::TempDir,
    asked: std::sync::Mutex<Vec<String>>,
}

impl Remote {
    fn start() -> Arc<Remote> {
        Arc::new(Remote { inner: Local::new(), root: tempfile::tempdir().unwrap(), asked: std::sync::Mutex::default() })
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// `/c:/a` as SFTP has it.
    fn path(&self, sftp: &str) -> String {
        let below = sftp.strip_prefix("/c:/").unwrap_or_else(|| panic!("no path of SFTP on Windows: {sftp}"));
        self.root.path().join(below).to_str().unwrap().to_string()
    }

    fn answer(&self, script: &str) -> String {
        let says = |text: &str| format!("printf '%s\\r\\n' '{text}'");
        if let Some(batch) = between(script, "FromBase64String('", "')") {
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, batch).unwrap();
            let batch = String::from_utf8(bytes).unwrap();
            assert!(batch.starts_with("@echo off\r\n") && batch.ends_with("\r\n"), "{batch:?}");
            return batch.replace("\r\n", "\n").replace("@echo off", "").replace("chcp 65001 >nul", "").replace("exit /b", "exit");
        }
        if script.contains("GetValueKind") {
            return match between(script, "$n = '", "'") {
                Some("number") => says(r#"{"kind":"DWord","value":-1}"#),
                Some("list") => says(r#"{"kind":"MultiString","value":["a","b"]}"#),
                Some("odd") => says(r#"{"kind":"Binary","value":[1,2]}"#),
                _ => "exit 44".into(),
            };
        }
        if script.contains("GetEnvironmentVariable('NONE')") {
            return says("[null]");
        }
        if script.contains("GetEnvironmentVariable") {
            return says(r#"["Windows_NT"]"#);
        }
        if script.contains("CreationDate") {
            return says("20261123001122.500000+060");
        }
        if script.contains("throw") {
            return "echo '#< CLIXML' >&2; echo 'it broke' >&2; exit 1".into();
        }
        says("")
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

impl Transport for Remote {
    fn machine(&self) -> &str {
        "remote"
    }
    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        let line = "powershell.exe -nologo -noprofile -noninteractive -encodedcommand ";
        let encoded = command.text.strip_prefix(line).ok_or_else(|| Error::new(Kind::Internal, command.text.clone()))?;
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
        let units: Vec<u16> = bytes.chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
        let script = String::from_utf16(&units).unwrap();
        let text = self.answer(&script);
        self.asked.lock().unwrap().push(script);
        self.inner.exec(&Command { text, ..command.clone() }, cancel)
    }
    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.inner.read_file(&self.path(path), limit, cancel)
    }
    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        self.inner.write_file(&self.path(path), data, mode, cancel)
    }
    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        self.inner.send(local, &self.path(remote), cancel)
    }
    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        self.inner.fetch(&self.path(remote), local, cancel)
    }
    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        self.inner.stat(&self.path(path), cancel)
    }
    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.inner.list(&self.path(path), cancel)
    }
    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.inner.make_dir(&self.path(path), cancel)
    }
    fn hang_up(&self) {}
}

#[test]
fn the_same_verbs_go_by_powershell() {
    let remote = Remote::start();
    let bench = Bench::new("ps", "win", Arc::new(PowerShell::new(remote.clone())));
    let guest = &bench.guest;
    let usual = ExecOptions::default();
    assert!(guest.is_windows().unwrap());
    assert_eq!(guest.exec("echo gr\u{fc}n", &usual).unwrap(), "gr\u{fc}n");
    assert_eq!(guest.exec_rc("exit /b 7", &usual).unwrap(), 7);
    let both = guest.exec_full("echo out\necho err >&2", &usual).unwrap();
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("out", "err\n"), "the streams stay apart");
    let fed = ExecOptions { input: "typed".into(), ..usual.clone() };
    assert_eq!(guest.exec("cat", &fed).unwrap(), "typed");
    let long = guest.exec(&"x".repeat(5000), &usual).unwrap_err();
    assert_eq!(long.kind, Kind::Malformed);

    let place = |name: &str| RegPlace::new("HKCU", r"Software\It's", name).unwrap();
    assert_eq!(guest.reg_get(&place("number")).unwrap(), RegData::Dword(u32::MAX));
    assert!(remote.asked().contains(r"[Microsoft.Win32.Registry]::CurrentUser.OpenSubKey('Software\It''s')"), "{}", remote.asked());
    assert_eq!(guest.reg_get(&place("list")).unwrap(), RegData::Texts(vec!["a".into(), "b".into()]));
    assert_eq!(guest.reg_get(&place("odd")).unwrap_err().kind, Kind::Unsupported);
    let missing = guest.reg_get(&place("none")).unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound);
    assert!(missing.what.contains(r"HKCU\Software\It's\none"), "{}", missing.what);
    guest.reg_set(&place("number"), &RegData::Dword(u32::MAX)).unwrap();
    assert!(remote.asked().ends_with("$k.SetValue('number', -1, 'DWord')"), "{}", remote.asked());
    assert_eq!(guest.env("OS").unwrap().as_deref(), Some("Windows_NT"));
    assert_eq!(guest.env("NONE").unwrap(), None);
    assert_eq!(guest.boot_id().unwrap(), "windows-boot-1795389082");
    let error = guest.powershell("throw 'it broke'", &usual).unwrap_err();
    assert!(error.what.contains("it broke"), "{}", error.what);
    assert_eq!(guest.send_keys(&["a".into()]).unwrap_err().kind, Kind::Unsupported);

    guest.write_file(r"c:\note.txt", b"by SFTP", 0o644).unwrap();
    assert_eq!(guest.read_file(r"c:\note.txt").unwrap(), "by SFTP");
    assert!(guest.file_exists(r"c:\note.txt").unwrap());
}

#[test]
fn keys_are_sent_one_by_one() {
    let (daemon, bench) = bench();
    bench.guest.send_keys(&["h".into(), "{ENTER}".into(), "s3".into()]).unwrap();
    assert_eq!(daemon.keys(), ["h", "{ENTER}", "s3"]);
    assert_eq!(bench.guest.send_keys(&[",".into()]).unwrap_err().kind, Kind::Unsupported);
}

/// As the fifth of the examples for script authors has it, in small.
#[test]
fn a_script_drives_it() {
    let daemon = Execd::start();
    let script = r##"
fn meta() { #{ target: "guest", args: #{ profile: "default" } } }
fn run(args) {
    let vm = target();
    check(vm.is_windows && vm.distro == "ws19" && vm.windows_version == "10.0", "what it is");
    let dir = vm.temp_dir();
    defer(|| vm.kill_process("iometer.exe"));
    vm.reg_set("HKCU", `Software\iometer.org\Iometer\Settings`, "Version", "SZ", "2004.07.30");
    vm.make_dir(vm.path(dir, "iometer", args.profile));
    vm.write_file(vm.path(dir, "iometer", "iometer.exe"), "#!/bin/sh\necho \"Iometer $2\" > \"$4\"\n");
    vm.write_file(vm.path(dir, "iometer", args.profile, "a.icf"), "profile");
    vm.allow_program(vm.path(dir, "iometer", "iometer.exe"));
    let found = vm.glob(vm.path(dir, "iometer", args.profile, "*.icf"));
    check(found.len() == 1 && file_stem(found[0]) == "a", `${found}`);
    let csv = vm.path(dir, "a.csv");
    vm.exec(vm.path(dir, "iometer", "iometer.exe") + ` /c ${found[0]} /r ${csv}`, #{ cwd: vm.path(dir, "iometer"), timeout: 60 });
    check(vm.read_file(csv).starts_with("Iometer "), vm.read_file(csv));
    let before = vm.boot_id;
    vm.reboot();
    check(vm.boot_id != before, "it was started anew");
    if vm.is_windows { skip("the rest needs a POSIX shell"); }
}
"##;
    let ran = Xrt::new().script("w.rhai", script).arg("--guest").arg(daemon.guest()).run().ends(4);
    assert_eq!(ran.reason("w"), "the rest needs a POSIX shell", "{}", ran.transcript());
    assert!(!daemon.calls().is_empty());
    assert_eq!(std::fs::read_dir(daemon.path(r"c:\temp")).unwrap().count(), 0, "the testcase left nothing there");
}

/// What Python itself makes of our calls: the real daemon stands on the same server.
#[test]
fn pythons_own_server_takes_our_calls() {
    const SERVER: &str = "
import sys
from xmlrpc.server import SimpleXMLRPCServer
server = SimpleXMLRPCServer(('127.0.0.1', 0), allow_none=True, logRequests=False)
server.register_function(lambda: True, 'isAlive')
files = {}
server.register_function(lambda name, data: files.update({name: data.data}) or True, 'createFile')
import xmlrpc.client
server.register_function(lambda name: xmlrpc.client.Binary(files[name]), 'readFile')
server.register_function(lambda name: None if name == 'NONE' else repr(name), 'getEnvVar')
print(server.server_address[1], flush=True)
server.serve_forever()
";
    let python = std::process::Command::new("python3").args(["-c", SERVER]).stdout(std::process::Stdio::piped()).spawn();
    let Ok(mut python) = python else { return eprintln!("SKIPPED: no python3 here: its XML-RPC server is not tried") };
    let mut port = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(python.stdout.take().unwrap()), &mut port).unwrap();
    let daemon = xenrt::wire::execd::Execd::new("127.0.0.1", port.trim().parse().unwrap(), Duration::from_secs(5));
    let cancel = Cancel::new();
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        daemon.is_alive(&cancel).unwrap();
        let windows = daemon.windows(&cancel).unwrap().unwrap();
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        windows.write_file(r"c:\x <&> \u{e9}", &bytes, 0o644, &cancel).unwrap();
        assert_eq!(windows.read_file(r"c:\x <&> \u{e9}", 1 << 20, &cancel).unwrap(), bytes);
        assert_eq!(windows.env("NONE", &cancel).unwrap(), None);
        assert_eq!(windows.env("a\tb", &cancel).unwrap().unwrap(), r"'a\tb'");
        assert_eq!(windows.read_file("none", 10, &cancel).unwrap_err().kind, Kind::Refused, "a KeyError");
        let error = windows.reg_delete(&RegPlace::new("HKLM", "x", "y").unwrap(), &cancel).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error:?}");
    }));
    let _ = python.kill();
    let _ = python.wait();
    if let Err(panic) = tried {
        std::panic::resume_unwind(panic);
    }
}
