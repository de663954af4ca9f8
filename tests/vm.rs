//! The virtual machine that other tests rely on: each way in which it can come and go is real.

use crate::support::poll::{patience, until};
use crate::support::vm::Vm;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

/// One command by SSH with the plain crate: what the product makes of it is tested elsewhere.
fn ssh(vm: &Vm, command: &str) -> Result<String, ssh2::Error> {
    let session = login(vm)?;
    let mut channel = session.channel_session()?;
    channel.exec(command)?;
    let mut output = String::new();
    channel.read_to_string(&mut output).expect("output that is text");
    channel.wait_close()?;
    Ok(output.trim().to_string())
}

fn login(vm: &Vm) -> Result<ssh2::Session, ssh2::Error> {
    let mut session = ssh2::Session::new()?;
    session.set_tcp_stream(TcpStream::connect(("127.0.0.1", vm.port)).expect("the forwarded port"));
    session.set_timeout(u32::try_from(patience().as_millis()).unwrap());
    session.handshake()?;
    session.userauth_password("root", "xensource")?;
    Ok(session)
}

/// Waits until the guest has another boot id than this one.
fn wait_reboot(vm: &Vm, before: &str) {
    let after = until(patience(), || {
        vm.ssh_banner(Duration::from_millis(500))?;
        ssh(vm, BOOT_ID).ok().filter(|id| id != before)
    });
    let after = after.unwrap_or_else(|e| panic!("another boot id than {before}: {e}\n{}", vm.console()));
    assert_eq!(after.len(), before.len(), "{after}");
}

#[test]
fn a_guest_has_what_tests_need() {
    let Some(vm) = Vm::start() else { return };
    assert_eq!(vm.guest(), format!("root:xensource@127.0.0.1:{}", vm.port));
    assert_eq!(vm.run("id -un; cat /etc/hostname; test -s /var/log/messages && echo log"), "root\nmini\nlog");
    assert_eq!(ssh(&vm, BOOT_ID).unwrap(), vm.run(BOOT_ID), "SSH and the console reach the same machine");
    assert_eq!(ssh(&vm, "blockdev --getsize64 /dev/vda; tr '\\0' x </dev/vda | head -c 4").unwrap(), "67108864\nxxxx");
    assert!(ssh(&vm, "ps").unwrap().contains("dropbear -F"), "{}", vm.run("ps"));
    let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let there: u64 = ssh(&vm, "date +%s").unwrap().parse().unwrap();
    assert!(here.abs_diff(there) < 60, "clocks: {here} here, {there} there");
    let sftp = login(&vm).unwrap().sftp().unwrap();
    sftp.create("/tmp/sent".as_ref()).unwrap().write_all(b"by SFTP").unwrap();
    assert_eq!(vm.run("cat /tmp/sent"), "by SFTP");
}

#[test]
fn guests_that_run_at_once_are_strangers() {
    // The very first may be the one whose state is saved; all others go on from there.
    let Some(_first) = Vm::start() else { return };
    let (Some(one), Some(two)) = (Vm::start(), Vm::start()) else { return };
    assert_ne!(one.port, two.port);
    // A state that was saved with a fresh seed gives all its guests the same random numbers until the kernel renews the seed, a few
    // seconds later. The boot id is made of them when somebody first asks for it.
    // Two that share a seed may be out of step, so it is many numbers of each that must have none in common.
    let random = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do head -c 16 /dev/urandom | hexdump -ve '1/1 \"%02x\"'; echo; done";
    let differ = until(patience(), || {
        let (ours, theirs) = (one.run(random), two.run(random));
        ours.lines().all(|line| !theirs.contains(line)).then_some(())
    });
    assert!(differ.is_ok(), "their random numbers stay the same");
    assert_ne!(one.run(BOOT_ID), two.run(BOOT_ID), "started from the same saved state");
    one.run("echo one >/dev/vda");
    assert_eq!(two.run("head -c 3 /dev/vda | tr -d '\\0'"), "", "each has a disk of its own");
}

#[test]
fn a_reboot_from_inside_and_a_reset_from_outside_boot_anew() {
    let Some(vm) = Vm::start() else { return };
    let first = ssh(&vm, BOOT_ID).unwrap();
    vm.type_line("reboot");
    wait_reboot(&vm, &first);
    let second = ssh(&vm, BOOT_ID).unwrap();
    vm.qmp("system_reset");
    wait_reboot(&vm, &second);
}

#[test]
fn powering_off_ends_the_machine() {
    let (Some(inside), Some(acpi)) = (Vm::start(), Vm::start()) else { return };
    inside.type_line("poweroff");
    acpi.qmp("system_powerdown");
    inside.wait_off();
    acpi.wait_off();
    assert!(TcpStream::connect(("127.0.0.1", inside.port)).is_err(), "its port is closed");
}

#[test]
fn a_stopped_machine_says_nothing_and_goes_on_where_it_was() {
    let Some(vm) = Vm::start() else { return };
    let before = ssh(&vm, BOOT_ID).unwrap();
    vm.qmp("stop");
    assert_eq!(vm.qmp("query-status")["status"], "paused");
    assert_eq!(vm.ssh_banner(Duration::from_millis(700)), None, "connected, and silent");
    vm.qmp("cont");
    vm.wait_ssh();
    assert_eq!(ssh(&vm, BOOT_ID).unwrap(), before);
}

#[test]
fn a_panic_hangs_or_reboots_as_told() {
    let Some(vm) = Vm::start() else { return };
    let first = ssh(&vm, BOOT_ID).unwrap();
    vm.run("echo 1 >/proc/sys/kernel/panic");
    vm.type_line("echo c >/proc/sysrq-trigger");
    wait_reboot(&vm, &first);
    let second = ssh(&vm, BOOT_ID).unwrap();
    vm.type_line("echo c >/proc/sysrq-trigger");
    vm.wait_console("end Kernel panic - not syncing: sysrq triggered crash");
    assert_eq!(vm.ssh_banner(Duration::from_millis(700)), None, "{}", vm.console());
    assert!(vm.is_running(), "a hang is not a power-off");
    vm.qmp("system_reset");
    wait_reboot(&vm, &second);
}

#[test]
fn nothing_of_a_guest_outlives_it() {
    let Some(vm) = Vm::start() else { return };
    let process = format!("/proc/{}", vm.pid());
    let program = std::fs::read_link(format!("{process}/exe")).unwrap();
    assert!(program.to_string_lossy().contains("qemu"), "the process is QEMU itself, not a wrapper: {program:?}");
    drop(vm);
    assert!(!std::path::Path::new(&process).exists());
}
