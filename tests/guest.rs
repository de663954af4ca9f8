//! What a testcase can do with a guest, checked over every way to reach one.

use crate::support::lab::{Bench, each};
use std::time::Duration;
use xenrt::error::{Blame, Kind};
use xenrt::event::{Fact, Level};
use xenrt::lab::{ExecOptions, JobOptions, OnError, PowerOptions, WaitOptions};
use xenrt::time::Stop;

fn quietly() -> ExecOptions {
    ExecOptions { on_error: OnError::Return, ..ExecOptions::default() }
}

fn seconds(seconds: f64) -> WaitOptions {
    WaitOptions { timeout: Some(Duration::from_secs_f64(seconds)) }
}

#[test]
fn commands_give_their_output_and_status() {
    each(|bench| {
        let guest = &bench.guest;
        let usual = ExecOptions::default();
        for (command, said) in
            [("echo hello", "hello"), ("printf 'a\\n\\nb\\n\\n'", "a\n\nb"), ("true", ""), ("echo \"it's\"", "it's")]
        {
            assert_eq!(guest.exec(command, &usual).unwrap(), said, "{command}");
        }
        assert_eq!(guest.exec("echo a", &ExecOptions { keep_newline: true, ..usual.clone() }).unwrap(), "a\n");
        assert_eq!(guest.exec("cat", &ExecOptions { input: "typed\n".into(), ..usual.clone() }).unwrap(), "typed");
        let odd = ExecOptions {
            cwd: Some(bench.remote.clone()),
            env: [("A".to_string(), "x 'y' \"z\" $HOME".to_string())].into(),
            ..usual.clone()
        };
        assert_eq!(guest.exec("echo \"$A\"; pwd", &odd).unwrap(), format!("x 'y' \"z\" $HOME\n{}", bench.remote));
        for (command, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("no-such-command-here", 127)] {
            assert_eq!(guest.exec_rc(command, &usual).unwrap(), code, "{command}");
        }
        let ended = guest.exec_full("echo out; echo err >&2; exit 4", &quietly()).unwrap();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str(), ended.code, ended.signal), ("out", "err\n", 4, None));
        assert!(ended.took > Duration::ZERO);
    });
}

#[test]
fn a_command_runs_as_another_user() {
    each(|bench| {
        let options = ExecOptions { user: Some("nobody".into()), input: "in\n".into(), ..ExecOptions::default() };
        assert_eq!(bench.guest.exec("id -un; cat", &options).unwrap(), "nobody\nin");
        let rc = bench.guest.exec_rc("exit 7", &options).unwrap();
        assert_eq!(rc, 7);
        let nobody_there = ExecOptions { user: Some("no-such-user".into()), ..ExecOptions::default() };
        assert_eq!(bench.guest.exec("true", &nobody_there).unwrap_err().kind, Kind::Refused);
    });
}

#[test]
fn a_failed_command_says_everything() {
    each(|bench| {
        let command = "echo some output; echo first >&2; echo 'it broke' >&2; exit 5";
        let error = bench.guest.exec(command, &ExecOptions::default()).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Product));
        assert!(error.what.ends_with("ended with status 5: it broke"), "{}", error.what);
        let details = error.details.unwrap();
        assert_eq!((details.code, details.stdout.as_str(), details.command.as_str()), (Some(5), "some output\n", command));
        let blamed = ExecOptions { on_error: OnError::Error, ..ExecOptions::default() };
        assert_eq!(bench.guest.exec("exit 1", &blamed).unwrap_err().blame, Blame::Lab);
        assert_eq!(bench.guest.exec("echo still; exit 1", &quietly()).unwrap(), "still");
        let killed = bench.guest.exec("kill -KILL $$", &ExecOptions::default()).unwrap_err();
        assert!(killed.what.contains("signal KILL") || killed.what.contains("status 137"), "{}", killed.what);
        let missing = bench.guest.exec("no-such-command-here", &ExecOptions::default()).unwrap_err();
        assert!(missing.help.unwrap().contains("install_tool"));
    });
}

#[test]
fn a_command_that_hangs_is_ended_by_its_limit_and_by_a_person() {
    each(|bench| {
        let short = ExecOptions { timeout: Some(Duration::from_millis(300)), ..ExecOptions::default() };
        let error = bench.guest.exec("sleep 1000", &short).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product), "{error:?}");
        let stop = bench.guest.context().cancel();
        let clock = std::time::Instant::now();
        let stopper = std::thread::spawn(move || {
            let _ = xenrt::time::Cancel::new().sleep(Duration::from_millis(200));
            stop.raise(Stop::User);
        });
        let error = bench.guest.exec("sleep 1000", &ExecOptions::default()).unwrap_err();
        stopper.join().unwrap();
        assert_eq!(error.kind, Kind::Cancelled, "{error:?}");
        assert!(clock.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn what_is_done_is_told() {
    each(|bench| {
        bench.guest.exec("echo 1; echo 2", &ExecOptions::default()).unwrap();
        bench.guest.exec("echo secretly", &ExecOptions { quiet: true, ..ExecOptions::default() }).unwrap();
        let save = ExecOptions { save_as: Some("out/raw.txt".into()), ..ExecOptions::default() };
        bench.guest.exec("echo saved", &save).unwrap();
        let told = bench.told();
        assert!(told.contains(&"echo 1; echo 2: exit 0, 2 lines".to_string()), "{told:#?}");
        assert!(!told.iter().any(|t| t.contains("secretly")), "{told:#?}");
        assert_eq!(std::fs::read_to_string(bench.local.join("out/raw.txt")).unwrap(), "saved\n");
        let attached = |fact: &Fact| matches!(fact, Fact::Attached { name, bytes: 6, path } if name == "out/raw.txt" && path.ends_with("c/out/raw.txt"));
        assert!(bench.facts().iter().any(attached), "{:#?}", bench.facts());
        for name in ["../x", "", "a/../../x"] {
            let escape = ExecOptions { save_as: Some(name.into()), ..ExecOptions::default() };
            assert_eq!(bench.guest.exec("true", &escape).unwrap_err().kind, Kind::Malformed, "{name}");
        }
    });
}

#[test]
fn files_go_there_and_back() {
    each(|bench| {
        let guest = &bench.guest;
        let file = guest.path(&[&bench.remote, "a file"]);
        guest.write_file(&file, b"one\n", 0o600).unwrap();
        guest.append_file(&file, b"two\n").unwrap();
        assert_eq!(guest.read_file(&file).unwrap(), "one\ntwo\n");
        assert_eq!(guest.file_sha1(&file).unwrap(), sha1(&file));
        assert_eq!(guest.file_sha256(&file).unwrap().len(), 64);
        assert!(guest.file_exists(&file).unwrap() && !guest.dir_exists(&file).unwrap());
        assert!(guest.dir_exists(&bench.remote).unwrap() && !guest.file_exists(&bench.remote).unwrap());
        let age = guest.guest_time().unwrap() - guest.file_mtime(&file).unwrap() as f64;
        assert!((-2.0..60.0).contains(&age), "{age}");
        let fetched = guest.fetch_file(&file, "got.bin").unwrap();
        assert_eq!(fetched, bench.local.join("got.bin"));
        guest.send_file(std::path::Path::new("got.bin"), &bench.remote).unwrap();
        assert_eq!(guest.read_bytes(&guest.path(&[&bench.remote, "got.bin"])).unwrap(), b"one\ntwo\n");
        guest.remove_file(&file).unwrap();
        guest.remove_file(&file).unwrap();
        assert!(!guest.file_exists(&file).unwrap());
        for error in [
            guest.read_file(&file).unwrap_err(),
            guest.file_sha1(&file).unwrap_err(),
            guest.file_mtime(&file).map(drop).unwrap_err(),
            guest.fetch_file(&file, "x").map(drop).unwrap_err(),
            guest.send_file(std::path::Path::new("no-such-file"), "/tmp/x").unwrap_err(),
        ] {
            assert_eq!(error.kind, Kind::NotFound, "{error:?}");
        }
        assert_eq!(guest.fetch_file(&file, "../x").unwrap_err().kind, Kind::Malformed);
    });
}

fn sha1(path: &str) -> String {
    let output = std::process::Command::new("sha1sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..40].to_string()
}

#[test]
fn trees_go_there_and_back_without_links() {
    each(|bench| {
        let guest = &bench.guest;
        let from = bench.local.join("tree");
        std::fs::create_dir_all(from.join("sub/empty")).unwrap();
        std::fs::write(from.join("sub/a b"), "1").unwrap();
        std::fs::write(from.join("-x"), "2").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let there = guest.path(&[&bench.remote, "tree"]);
        guest.send_tree(&from, &there).unwrap();
        guest
            .exec("ln -s / loop; ln -s /etc/passwd file", &ExecOptions { cwd: Some(there.clone()), ..ExecOptions::default() })
            .unwrap();
        let back = guest.fetch_tree(&there, "back").unwrap();
        assert_eq!(std::fs::read_to_string(back.join("sub/a b")).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(back.join("-x")).unwrap(), "2");
        assert!(back.join("sub/empty").is_dir());
        for link in ["link", "loop", "file"] {
            assert!(back.join(link).symlink_metadata().is_err(), "{link}");
        }
        assert!(bench.told().iter().any(|t| t.contains("2 files, 2 B, 2 links or devices left out")), "{:#?}", bench.told());
        guest.remove_tree(&there).unwrap();
        assert!(!guest.dir_exists(&there).unwrap());
        assert_eq!(guest.remove_tree("/").unwrap_err().kind, Kind::Malformed);
    });
}

#[test]
fn files_are_found_whatever_their_names() {
    each(|bench| {
        let guest = &bench.guest;
        for name in ["b.log", "a b.log", "new\nline.log", "$x;y.log", "other"] {
            guest.write_file(&guest.path(&[&bench.remote, name]), b"", 0o644).unwrap();
        }
        let found = guest.glob(&format!("{}/*.log", bench.remote)).unwrap();
        let names: Vec<&str> = found.iter().map(|f| f.strip_prefix(&bench.remote).unwrap()).collect();
        assert_eq!(names, ["/$x;y.log", "/a b.log", "/b.log", "/new\nline.log"]);
        assert!(guest.glob(&format!("{}/none*", bench.remote)).unwrap().is_empty());
    });
}

#[test]
fn a_job_runs_on_its_own() {
    each(|bench| {
        let guest = &bench.guest;
        let options = JobOptions { input: "typed\n".into(), ..JobOptions::default() };
        let job = guest
            .run_job(
                "cat; echo err >&2; while [ ! -e go ]; do sleep 1; done; exit 3",
                &JobOptions { cwd: Some(bench.remote.clone()), on_error: OnError::Return, ..options },
            )
            .unwrap();
        assert!(!job.done().unwrap());
        assert_eq!(job.rc().unwrap(), None);
        let error = job.wait(&seconds(0.3)).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert!(error.what.contains("last seen: it runs"), "{}", error.what);
        guest.place().transport().hang_up();
        guest.write_file(&guest.path(&[&bench.remote, "go"]), b"", 0o644).unwrap();
        assert_eq!(job.wait(&seconds(60.0)).unwrap(), 3);
        assert_eq!((job.output().unwrap().as_str(), job.errors().unwrap().as_str()), ("typed\n", "err\n"));
        assert_eq!((job.done().unwrap(), job.rc().unwrap()), (true, Some(3)));
        assert_eq!(guest.leftovers(), [job.dir()]);
        guest.clean_up().unwrap();
        assert!(!guest.dir_exists(job.dir()).unwrap());
    });
}

#[test]
fn a_job_that_fails_is_a_failure_unless_it_may() {
    each(|bench| {
        let job = bench.guest.run_job("echo 'disk on fire' >&2; exit 9", &JobOptions::default()).unwrap();
        let error = job.wait(&seconds(60.0)).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Product));
        assert!(error.what.ends_with("ended with status 9: disk on fire"), "{}", error.what);
        assert_eq!(error.details.unwrap().code, Some(9));
        bench.guest.clean_up().unwrap();
    });
}

#[test]
fn a_killed_job_takes_its_children_along() {
    each(|bench| {
        let guest = &bench.guest;
        let mark = format!("{}/children", bench.remote);
        let job = guest
            .run_job(&format!("sh -c 'echo $$ >{mark}; sleep 1000; true' & sleep 1000; true"), &JobOptions::default())
            .unwrap();
        while !guest.file_exists(&mark).unwrap() || guest.read_file(&mark).unwrap().is_empty() {
            assert!(!job.done().unwrap());
        }
        let child = guest.read_file(&mark).unwrap().trim().to_string();
        job.kill().unwrap();
        assert_eq!((job.done().unwrap(), job.rc().unwrap()), (true, Some(137)));
        // A dead process that nobody has buried yet still has an entry.
        let state =
            guest.exec(&format!("sed -n 's/^State:.//p' /proc/{child}/status 2>/dev/null; true"), &ExecOptions::default()).unwrap();
        assert!(state.is_empty() || state.starts_with(['Z', 'X']), "{state}");
        job.kill().unwrap();
        guest.clean_up().unwrap();
    });
}

#[test]
fn a_job_killed_by_somebody_else_has_vanished() {
    each(|bench| {
        let guest = &bench.guest;
        let job = guest.run_job("sleep 1000; true", &JobOptions::default()).unwrap();
        // It may not have a session of its own yet.
        let kill = format!("p=$(cat {}/pid); kill -9 -$p 2>/dev/null || kill -9 $p", job.dir());
        guest.exec(&kill, &ExecOptions::default()).unwrap();
        let error = job.wait(&seconds(60.0)).unwrap_err();
        assert!(error.what.contains("vanished without a status"), "{}", error.what);
        guest.clean_up().unwrap();
    });
}

#[test]
fn a_temporary_directory_is_gone_at_the_end() {
    each(|bench| {
        let dirs = [bench.guest.temp_dir().unwrap(), bench.guest.temp_dir().unwrap()];
        assert_ne!(dirs[0], dirs[1]);
        bench.guest.write_file(&format!("{}/x", dirs[0]), b"x", 0o644).unwrap();
        assert_eq!(bench.guest.leftovers(), dirs);
        bench.guest.clean_up().unwrap();
        assert!(dirs.iter().all(|d| !bench.guest.dir_exists(d).unwrap()));
        assert!(bench.guest.leftovers().is_empty());
    });
}

#[test]
fn processes_are_listed_and_killed() {
    each(|bench| {
        let guest = &bench.guest;
        let name = format!("xrt-{:.10}", bench.remote.rsplit('.').next().unwrap());
        let job = guest.run_job(&program(bench, &name, ""), &JobOptions::default()).unwrap();
        while !guest.is_running(&name).unwrap() {
            assert!(!job.done().unwrap());
        }
        let all = guest.processes().unwrap();
        assert!(all.iter().any(|p| p.name == name) && all.iter().any(|p| p.pid == 1));
        // What it starts has its name for a moment.
        assert!(guest.kill_process(&name).unwrap() >= 1);
        assert!(!guest.is_running(&name).unwrap());
        assert_eq!(guest.kill_process(&name).unwrap(), 0);
        assert_eq!(guest.is_running("a/b").unwrap_err().kind, Kind::Malformed);
        guest.clean_up().unwrap();
    });
}

/// Puts a program there that runs until it is killed. A script: the kernel calls the process after it.
fn program(bench: &Bench, name: &str, first: &str) -> String {
    let path = bench.guest.path(&[&bench.remote, name]);
    let text = format!("#!/bin/sh\n{first}\nwhile :; do sleep 1; done\n");
    bench.guest.write_file(&path, text.as_bytes(), 0o755).unwrap();
    path
}

#[test]
fn a_process_that_will_not_end_is_forced() {
    let bench = Bench::impatient();
    let job = bench.guest.run_job(&program(&bench, "xrt-stubborn", "trap '' TERM"), &JobOptions::default()).unwrap();
    while !bench.guest.is_running("xrt-stubborn").unwrap() {
        assert!(!job.done().unwrap());
    }
    assert!(bench.guest.kill_process("xrt-stubborn").unwrap() >= 1);
    assert!(!bench.guest.is_running("xrt-stubborn").unwrap());
    bench.guest.clean_up().unwrap();
}

#[test]
fn facts_are_asked_once() {
    each(|bench| {
        let guest = &bench.guest;
        let facts = guest.facts().unwrap();
        assert_eq!(guest.facts().unwrap(), facts);
        assert_eq!(bench.told().iter().filter(|t| t.starts_with("ask what it is")).count(), 1);
        let own = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_string();
        assert_eq!(facts.boot_id, own("/proc/sys/kernel/random/boot_id"));
        assert_eq!(facts.boot_id, guest.boot_id().unwrap());
        assert_eq!(facts.kernel, own("/proc/sys/kernel/osrelease"));
        assert!(facts.cpus >= 1 && facts.memory > 64 << 20 && facts.arch == std::env::consts::ARCH && facts.uid == 0);
        assert!(!facts.distro.is_empty() && facts.os_release.contains_key("ID"), "{facts:?}");
        let skew = guest.clock_skew().unwrap();
        assert!(skew.seconds.abs() <= skew.uncertainty + 0.05, "{skew:?}");
        assert!(guest.uptime().unwrap() > 0.0);
        let space = guest.disk_space("/").unwrap();
        assert!(space.size >= space.used && space.free > 0, "{space:?}");
        assert!(guest.ip().unwrap().parse::<std::net::IpAddr>().is_ok());
        assert!(!guest.is_windows().unwrap());
    });
}

#[test]
fn a_tool_is_there_or_the_error_names_everything() {
    each(|bench| {
        assert!(bench.guest.install_tool("sh").unwrap().ends_with("sh"));
        for name in ["", "-x", "a b", "a;b"] {
            assert_eq!(bench.guest.install_tool(name).unwrap_err().kind, Kind::Malformed, "{name}");
        }
    });
}

/// A package manager as Debian's behaves: locked at first, with old lists, then able to install `mytool`.
const APT: &str = r#"#!/bin/sh
here=${0%/*}; log=$here/apt.log
echo "$*" >>"$log"
case "$*" in
*update*) [ -e "$here/offline" ] && { echo 'E: Failed to fetch http://deb.debian.org: no route to host' >&2; exit 100; }; touch "$here/lists";;
*install*mytool)
    [ "$(grep -c install "$log")" -le 2 ] && { echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12' >&2; exit 100; }
    [ -e "$here/lists" ] || { echo 'E: Unable to locate package mytool' >&2; echo 'a line behind' >&2; exit 100; }
    printf '#!/bin/sh\n' >"$here/mytool"; chmod 755 "$here/mytool";;
esac
"#;

#[test]
fn a_missing_tool_is_installed_through_locks_and_old_lists() {
    let Some((bench, tools)) = Bench::tiny() else { return };
    let apt = tools.join("apt-get");
    bench.guest.write_file(apt.to_str().unwrap(), APT.as_bytes(), 0o755).unwrap();
    assert_eq!(bench.guest.install_tool("mytool").unwrap(), tools.join("mytool").to_str().unwrap());
    let calls = std::fs::read_to_string(tools.join("apt.log")).unwrap();
    let kinds: Vec<&str> = calls.lines().map(|l| if l.contains("update") { "update" } else { "install" }).collect();
    assert_eq!(kinds, ["install", "install", "install", "update", "install"], "{calls}");
    assert!(calls.lines().next().unwrap().contains("-y"), "it must not ask: {calls}");
    let said =
        |f: &Fact| matches!(f, Fact::Progressed { text, .. } if text.starts_with("not yet: another package manager is at work"));
    assert!(bench.facts().iter().any(said));
    bench.guest.install_tool("mytool").unwrap();
    assert_eq!(std::fs::read_to_string(tools.join("apt.log")).unwrap(), calls, "nothing to do the second time");
}

#[test]
fn a_tool_that_cannot_be_installed_says_what_was_tried() {
    let Some((bench, tools)) = Bench::tiny() else { return };
    let error = bench.guest.install_tool("mytool").unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Unsupported, Blame::Lab));
    assert!(
        error.what.starts_with("cannot install `mytool` on tiny (") && error.what.contains("no package manager"),
        "{}",
        error.what
    );
    bench.guest.write_file(tools.join("apt-get").to_str().unwrap(), APT.as_bytes(), 0o755).unwrap();
    bench.guest.write_file(tools.join("offline").to_str().unwrap(), b"", 0o644).unwrap();
    let error = bench.guest.install_tool("mytool").unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Unsupported, Blame::Lab));
    for said in ["E: Unable to locate package mytool", "update", "no route to host"] {
        assert!(error.what.contains(said), "{}", error.what);
    }
}

#[test]
fn a_machine_that_answers_is_ready() {
    each(|bench| {
        assert!(bench.guest.is_reachable(&WaitOptions::default()).unwrap());
        bench.guest.wait_ready(&seconds(60.0)).unwrap();
        let error = bench.guest.wait_unreachable(&seconds(5.0)).unwrap_err();
        assert!(error.what.ends_with("to stop answering; last seen: it still answers"), "{}", error.what);
    });
}

#[test]
fn this_machine_is_not_taken_down() {
    let bench = Bench::local();
    let options = PowerOptions { force: true, ..PowerOptions::default() };
    for error in [
        bench.guest.reboot(&options).unwrap_err(),
        bench.guest.shutdown(&options).unwrap_err(),
        bench.guest.crash(&WaitOptions::default()).unwrap_err(),
    ] {
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Author));
        assert!(error.what.contains("runs this testcase"), "{}", error.what);
    }
}

#[test]
fn logs_are_fetched_and_read() {
    each(|bench| {
        let guest = &bench.guest;
        let extra = guest.path(&[&bench.remote, "my app.log"]);
        guest.write_file(&extra, b"line 1\nline 2", 0o644).unwrap();
        guest.add_log_file(&format!("{}/*.log", bench.remote)).unwrap();
        guest.collect_logs().unwrap();
        let dir = bench.local.join(guest.name());
        let here = dir.join(extra.trim_start_matches('/').replace(' ', "_"));
        assert_eq!(std::fs::read(&here).unwrap_or_else(|e| panic!("{}: {e}", here.display())), b"line 1\nline 2");
        for name in ["uptime.txt", "df.txt", "processes.txt", "memory.txt"] {
            assert!(dir.join(name).metadata().unwrap().len() > 0, "{name}");
        }
        assert!(!dir.join(".stream").exists());
        let attached = bench.facts().iter().filter(|f| matches!(f, Fact::Attached { .. })).count();
        assert!(attached >= 5, "{attached}");
    });
}

#[test]
fn logs_of_a_silent_machine_are_a_warning() {
    let bench = Bench::silent();
    bench.guest.collect_logs().unwrap();
    let warned = |f: &Fact| matches!(f, Fact::Logged { level: Level::Warning, text } if text.starts_with("no logs of silent: "));
    assert!(bench.facts().iter().any(warned), "{:#?}", bench.facts());
    assert!(!bench.guest.is_reachable(&seconds(1.0)).unwrap());
    let error = bench.guest.wait_ready(&seconds(0.3)).unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Lab));
}
