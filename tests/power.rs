//! Taking a guest down and up again, and what becomes of it in between: over a real virtual machine.

use crate::support::lab::Bench;
use crate::support::poll::patience;
use crate::support::vm::Vm;
use std::path::Path;
use std::time::{Duration, Instant};
use xenrt::error::{Blame, Kind, Result};
use xenrt::lab::{ExecOptions, JobOptions, PowerOptions, WaitOptions};
use xenrt::time::Cancel;
use xenrt::wire::{Captured, Command, Entry, Output, Status, Transport};

fn start() -> Option<(Vm, Bench)> {
    let vm = Vm::start()?;
    let bench = Bench::at("vm", &vm.guest());
    Some((vm, bench))
}

fn seconds(seconds: f64) -> WaitOptions {
    WaitOptions { timeout: Some(Duration::from_secs_f64(seconds)) }
}

fn power(force: bool) -> PowerOptions {
    PowerOptions { force, timeout: Some(patience()), ..PowerOptions::default() }
}

fn exec(bench: &Bench, command: &str) -> String {
    bench.guest.exec(command, &ExecOptions::default()).unwrap()
}

#[test]
fn a_reboot_brings_a_new_boot_and_ends_its_jobs() {
    let Some((_vm, bench)) = start() else { return };
    let guest = &bench.guest;
    let (facts, before) = (guest.facts().unwrap(), guest.boot_id().unwrap());
    assert_eq!((facts.boot_id.as_str(), facts.uid), (before.as_str(), 0));
    assert_eq!(guest.ip().unwrap(), "10.0.2.15", "its own address, not that of the forwarded port");
    let job = guest.run_job("sleep 1000; true", &JobOptions::default()).unwrap();
    guest.reboot(&power(false)).unwrap();
    let after = guest.boot_id().unwrap();
    assert_ne!(before, after);
    assert_eq!(guest.facts().unwrap().boot_id, after);
    let told = bench.told();
    assert!(told.iter().any(|t| t.starts_with("reboot: back after ")), "{told:#?}");
    for error in [job.wait(&seconds(60.0)).unwrap_err(), job.done().map(drop).unwrap_err()] {
        assert_eq!(error.what, "vm was rebooted under the job `sleep 1000; true`");
    }
    guest.clean_up().unwrap();
    guest.reboot(&power(true)).unwrap();
    assert_ne!(guest.boot_id().unwrap(), after, "forced");
}

#[test]
fn a_shutdown_ends_in_silence() {
    for force in [false, true] {
        let Some((vm, bench)) = start() else { return };
        bench.guest.shutdown(&power(force)).unwrap();
        vm.wait_off();
        assert!(!bench.guest.is_reachable(&seconds(5.0)).unwrap());
        let error = bench.guest.wait_ready(&seconds(1.0)).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Timeout, Blame::Product), "it has answered before");
        assert!(error.what.contains("for `vm` to answer; last seen: ") && error.what.contains("refused"), "{}", error.what);
    }
}

#[test]
fn a_panic_is_seen_and_a_reset_brings_it_back() {
    let Some((vm, bench)) = start() else { return };
    bench.guest.crash(&WaitOptions { timeout: Some(patience() * 3) }).unwrap();
    vm.wait_console("Kernel panic");
    let clock = Instant::now();
    bench.guest.collect_logs().unwrap();
    assert!(clock.elapsed() < Duration::from_secs(60), "a dead machine must not hold a run up: {:?}", clock.elapsed());
    assert!(bench.warnings().iter().any(|w| w.starts_with("no logs of vm: ")), "{:#?}", bench.warnings());
    vm.qmp("system_reset");
    bench.guest.wait_ready(&WaitOptions { timeout: Some(patience()) }).unwrap();
    exec(&bench, "echo 1 >/proc/sys/kernel/panic");
    bench.guest.crash(&WaitOptions { timeout: Some(patience() * 3) }).unwrap();
    bench.guest.wait_ready(&WaitOptions { timeout: Some(patience()) }).unwrap();
}

#[test]
fn a_machine_that_hangs_does_not_answer_and_goes_on_where_it_was() {
    let Some((vm, bench)) = start() else { return };
    let job = bench.guest.run_job("sleep 5; echo done", &JobOptions::default()).unwrap();
    let before = bench.guest.boot_id().unwrap();
    vm.qmp("stop");
    assert!(!bench.guest.is_reachable(&seconds(1.0)).unwrap());
    let error = bench.guest.exec("true", &ExecOptions { timeout: Some(Duration::from_secs(1)), ..ExecOptions::default() });
    assert_eq!(error.unwrap_err().kind, Kind::Timeout);
    bench.guest.wait_unreachable(&WaitOptions { timeout: Some(patience() * 3) }).unwrap();
    vm.qmp("cont");
    bench.guest.wait_ready(&WaitOptions { timeout: Some(patience()) }).unwrap();
    assert_eq!(bench.guest.boot_id().unwrap(), before);
    job.wait(&WaitOptions { timeout: Some(patience()) }).unwrap();
    assert_eq!(job.output().unwrap(), "done\n");
}

#[test]
fn trouble_in_the_kernels_log_is_a_warning_if_it_is_new() {
    let Some((_vm, bench)) = start() else { return };
    exec(&bench, "echo '<3>old[1]: segfault at 0 ip 00 sp 00 error 4' >/dev/kmsg; sleep 3");
    let late = bench.again();
    exec(&late, "echo '<3>new[1]: segfault at 0 ip 00 sp 00 error 4' >/dev/kmsg; date -s @$(($(date +%s) + 100)) >/dev/null");
    late.guest.collect_logs().unwrap();
    let warnings = late.warnings();
    assert!(warnings.iter().any(|w| w.contains("program crashed on vm: new[1]: segfault")), "{warnings:#?}");
    assert!(!warnings.iter().any(|w| w.contains("old[1]")), "{warnings:#?}");
    for name in ["dmesg.txt", "processes.txt", "var/log/messages"] {
        assert!(late.local.join("vm").join(name).metadata().is_ok_and(|m| m.len() > 0), "{name}");
    }
    let skew = late.guest.clock_skew().unwrap();
    assert!((skew.seconds - 100.0).abs() < 10.0, "{skew:?}");
}

#[test]
fn the_smallest_guest_has_what_a_testcase_needs() {
    let Some((_vm, bench)) = start() else { return };
    let guest = &bench.guest;
    assert!(guest.processes().unwrap().iter().any(|p| p.name == "dropbear"));
    let dir = guest.temp_dir().unwrap();
    let file = guest.path(&[&dir, "a b"]);
    guest.write_file(&file, b"\xff\x00", 0o600).unwrap();
    assert_eq!(guest.read_bytes(&file).unwrap(), b"\xff\x00");
    assert_eq!(guest.file_sha1(&file).unwrap().len(), 40);
    assert_eq!(guest.glob(&guest.path(&[&dir, "*"])).unwrap(), [file]);
    let space = guest.disk_space("/").unwrap();
    assert!(space.size > space.free && space.free > 0, "{space:?}");
    let error = guest.install_tool("fio").unwrap_err();
    assert_eq!((error.kind, error.blame), (Kind::Unsupported, Blame::Lab));
    guest.clean_up().unwrap();
    assert!(!guest.dir_exists(&dir).unwrap());
}

/// A machine that goes down and up again: while it ends its processes, it answers without a boot id.
struct Fading(std::sync::Mutex<std::vec::IntoIter<(&'static str, Status)>>);

impl Transport for Fading {
    fn machine(&self) -> &str {
        "fading"
    }
    fn exec(&self, _: &Command, _: &Cancel) -> Result<Output> {
        let (said, status) = self.0.lock().unwrap().next().expect("it is not asked more often");
        let mut stdout = Captured::new(100);
        stdout.push(said.as_bytes());
        Ok(Output { stdout, stderr: Captured::new(100), status, took: Duration::ZERO })
    }
    fn read_file(&self, _: &str, _: u64, _: &Cancel) -> Result<Vec<u8>> {
        unimplemented!()
    }
    fn write_file(&self, _: &str, _: &[u8], _: u32, _: &Cancel) -> Result<()> {
        unimplemented!()
    }
    fn send(&self, _: &Path, _: &str, _: &Cancel) -> Result<u64> {
        unimplemented!()
    }
    fn fetch(&self, _: &str, _: &Path, _: &Cancel) -> Result<u64> {
        unimplemented!()
    }
    fn stat(&self, _: &str, _: &Cancel) -> Result<Option<Entry>> {
        unimplemented!()
    }
    fn list(&self, _: &str, _: &Cancel) -> Result<Vec<Entry>> {
        unimplemented!()
    }
    fn make_dir(&self, _: &str, _: &Cancel) -> Result<()> {
        unimplemented!()
    }
    fn hang_up(&self) {}
}

#[test]
fn an_answer_without_a_boot_id_is_no_reboot() {
    let ended = || Status::Signalled("TERM".into());
    let answers = vec![
        ("today: Monday\nold\n", Status::Exited(0)),
        ("", Status::Exited(0)), // the order to reboot
        ("", ended()),
        ("", Status::Exited(0)),
        ("today: Tuesday\nold\n", Status::Exited(0)),
        ("new\n", Status::Exited(0)),
    ];
    let fading = std::sync::Arc::new(Fading(std::sync::Mutex::new(answers.into_iter())));
    let bench = Bench::new("fading", "10.0.0.1", fading.clone());
    bench.guest.reboot(&power(false)).unwrap();
    assert_eq!(fading.0.lock().unwrap().len(), 0, "it was waited for until it had a new boot id");
}
