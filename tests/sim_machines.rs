//! The insides of simulated machines, over real SSH: by our own wire, and by OpenSSH's clients where they are.

use crate::support::poll;
use crate::support::xrt::Xrt;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xenrt::secret::Secret;
use xenrt::sim::inside::{Act, Answering, Down, Inside, Machine, MachineDisk, MachineKind, MachineVif, Outside};
use xenrt::sim::machine::{MachineOptions, Machines};
use xenrt::time::Cancel;
use xenrt::wire::ssh::{HostKeys, Login, Ssh, Target};
use xenrt::wire::{Command, Output, Status, Transport};

const PASSWORD: &str = "a random password";

/// A pool that only writes down what its machines do to themselves.
#[derive(Default)]
struct Pool {
    acts: Mutex<Vec<(String, Act)>>,
}

impl Outside for Pool {
    fn machine_did(&self, uuid: &str, act: Act) {
        self.acts.lock().unwrap().push((uuid.to_string(), act));
    }

    fn call<'a>(&'a self, _host: &'a str, method: &'a str, _params: Vec<serde_json::Value>) -> Answering<'a> {
        let failure = xenrt::sim::failure::Failure::new("MESSAGE_METHOD_UNKNOWN", [method]);
        Box::pin(async move { Err(failure) })
    }
}

/// Machines without a pool.
struct Bench {
    machines: Option<Machines>,
    pool: Arc<Pool>,
    port: u16,
    /// Of 127.0.0.0/8, where the addresses begin.
    block: u32,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Bench {
        Bench::made(false)
    }

    fn made(is_plain: bool) -> Bench {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let port = Machines::free_port().unwrap();
        let options = MachineOptions { port, password: Secret::new(PASSWORD), is_plain };
        let machines = Machines::new(runtime.handle().clone(), options).unwrap();
        let pool = Arc::new(Pool::default());
        let weak = Arc::downgrade(&pool);
        machines.connect(weak);
        // Other tests have machines at the same time.
        let block = u32::from(Ipv4Addr::new(127, 0, 0, 0)) + (u32::from(port) << 8 & 0xff_ff00) + (0x10 << 16);
        Bench { machines: Some(machines), pool, port, block, _runtime: runtime }
    }

    fn machines(&self) -> &Machines {
        self.machines.as_ref().unwrap()
    }

    fn machine(&self, number: u32) -> Machine {
        Machine {
            kind: MachineKind::Guest,
            uuid: format!("00000000-0000-0000-0000-{number:012}").into(),
            name: format!("guest{number}"),
            address: Ipv4Addr::from(self.block + number + 1),
            domid: i64::from(number) + 1,
            memory: 1 << 30,
            vcpus: 3,
            distro: "debian12".into(),
            disks: vec![self.disk("xvda", &format!("disk{number}"))],
            vifs: vec![MachineVif { device: "0".into(), mac: "02:00:00:00:00:01".into(), network: "net".into() }],
            host: "host1".into(),
            is_master: false,
        }
    }

    fn disk(&self, device: &str, vdi: &str) -> MachineDisk {
        MachineDisk { device: device.into(), vdi: vdi.into(), bytes: 8 << 20, is_cd: false, is_read_only: false }
    }

    fn up(&self, number: u32) -> Ssh {
        let machine = self.machine(number);
        self.machines().machine_up(&machine);
        self.ssh(&machine)
    }

    fn ssh(&self, machine: &Machine) -> Ssh {
        Ssh::new(Target {
            host: machine.address.to_string(),
            port: self.port,
            user: "root".into(),
            logins: vec![Login::Password(Secret::new(PASSWORD))],
            host_keys: HostKeys::Ignore,
            known_hosts: None,
            connect_timeout: Duration::from_secs(20),
        })
    }

    fn refuses(&self, machine: &Machine) -> bool {
        TcpStream::connect((machine.address, self.port)).is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    }

    fn act(&self) -> (String, Act) {
        poll::until(poll::patience(), || self.pool.acts.lock().unwrap().pop()).unwrap()
    }
}

fn run(ssh: &Ssh, text: &str) -> Output {
    ssh.exec(&Command::new(text, Duration::from_secs(30)), &Cancel::new()).unwrap()
}

fn say(ssh: &Ssh, text: &str) -> String {
    let output = run(ssh, text);
    assert!(output.is_success(), "{text}: {:?} {}", output.status, output.stderr.text());
    output.stdout.text().trim_end().to_string()
}

#[test]
fn a_command_has_its_streams_its_status_and_its_signal() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let mut command = Command::new("read a; echo out $a; echo err >&2; exit 7", Duration::from_secs(30));
    command.stdin = b"in\n".to_vec();
    let output = ssh.exec(&command, &Cancel::new()).unwrap();
    assert_eq!(output.stdout.text(), "out in\n", "{}", output.stderr.text());
    assert_eq!(output.stderr.text(), "err\n");
    assert_eq!(output.status, Status::Exited(7));
    assert_eq!(run(&ssh, "kill -TERM $$").status, Status::Signalled("TERM".into()));
    assert_eq!(say(&ssh, "head -c 3000000 /dev/zero | wc -c"), "3000000");
    let mut much = Command::new("cat", Duration::from_secs(30));
    much.stdin = vec![b'x'; 3 << 20];
    assert_eq!(ssh.exec(&much, &Cancel::new()).unwrap().stdout.total(), 3 << 20);
}

#[test]
fn what_must_be_its_own_is() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    assert_eq!(say(&ssh, "hostname; nproc; id -un; echo $HOME; pwd"), "guest1\n3\nroot\n/root\n/root");
    assert_eq!(say(&ssh, ". /etc/os-release; echo $ID$VERSION_ID"), "debian12");
    assert_eq!(say(&ssh, "sed -n 's/^MemTotal: *//p' /proc/meminfo"), "1048576 kB");
    assert_eq!(say(&ssh, "grep -c ^processor /proc/cpuinfo"), "3");
    let up: f64 = say(&ssh, "cat /proc/uptime | cut -d' ' -f1").parse().unwrap();
    assert!(up < 30.0, "{up}");
    assert_eq!(say(&ssh, "cat /proc/sys/kernel/random/boot_id"), say(&ssh, "x=$(cat /proc/sys/kernel/random/boot_id); echo $x"));
    assert_eq!(
        say(&ssh, "systemctl is-system-running; ls /sys/class/net; cat /sys/class/net/eth0/address"),
        "running\neth0\nlo\n02:00:00:00:00:01"
    );
    assert!(say(&ssh, "dmesg | tail -1").contains("Hostname set to <guest1>"));
    // Nothing of the machine that runs the simulator.
    assert_eq!(say(&ssh, "touch /usr/x 2>/dev/null || echo no"), "no");
    let processes: u32 = say(&ssh, "ls -d /proc/[0-9]* | wc -l").parse().unwrap();
    assert!(processes < 10, "{processes}");
    let place = bench.machines().dir().display().to_string();
    assert_eq!(say(&ssh, &format!("ls {place} 2>/dev/null || echo no")), "no");
}

#[test]
fn files_of_one_machine_are_not_those_of_another() {
    let bench = Bench::new();
    let (one, two) = (bench.up(1), bench.up(2));
    let cancel = Cancel::new();
    say(
        &one,
        "echo one >/tmp/x; mkdir -p /srv/d/e; cat >/root/job.sh <<'END'\n#!/bin/sh\ncat /tmp/x; cd /srv/d && pwd\nEND\nchmod +x job.sh",
    );
    assert_eq!(say(&one, "./job.sh"), "one\n/srv/d");
    assert_eq!(say(&two, "ls /tmp /srv | wc -l"), "3", "only the two heads and the line between");
    one.write_file("/var/tmp/bytes", &[7; 100_000], 0o640, &cancel).unwrap();
    assert_eq!(say(&one, "stat -c '%s %a' /var/tmp/bytes"), "100000 640");
    assert_eq!(one.read_file("/var/tmp/bytes", 1 << 20, &cancel).unwrap(), [7; 100_000]);
    assert!(two.stat("/var/tmp/bytes", &cancel).unwrap().is_none());
    one.make_dir("/opt/a/b", &cancel).unwrap();
    let names: Vec<String> = one.list("/opt/a", &cancel).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["b"]);
    let boot_id = String::from_utf8(one.read_file("/proc/sys/kernel/random/boot_id", 100, &cancel).unwrap()).unwrap();
    assert_eq!(boot_id.trim(), say(&one, "cat /proc/sys/kernel/random/boot_id"));
}

#[test]
fn a_machine_that_is_off_refuses_and_comes_back_with_its_disk_and_a_new_boot_id() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    let before =
        say(&ssh, "echo kept >/root/f; echo gone >/run/f; sleep 100 >/dev/null 2>&1 & cat /proc/sys/kernel/random/boot_id");
    bench.machines().machine_down(&machine.uuid, Down::Killed);
    assert!(bench.refuses(&machine));
    assert!(ssh.exec(&Command::new("true", Duration::from_secs(2)), &Cancel::new()).is_err());
    bench.machines().machine_up(&machine);
    let after = say(&ssh, "cat /root/f; ls /run/f 2>/dev/null; cat /proc/sys/kernel/random/boot_id");
    let (file, boot_id) = after.split_once('\n').unwrap();
    assert_eq!(file, "kept");
    assert_ne!(boot_id, before);
    assert_eq!(say(&ssh, "pgrep sleep || echo none"), "none");
}

#[test]
fn a_machine_can_take_itself_down_in_every_way() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let uuid = bench.machine(1).uuid.to_string();
    for (how, act) in [
        ("reboot", Act::Reboot),
        ("PATH=\"$PATH:/usr/sbin:/sbin\"; if [ -d /run/systemd/system ]; then systemctl reboot; else reboot; fi", Act::Reboot),
        ("shutdown -h now; true", Act::PowerOff),
        ("x=1; poweroff", Act::PowerOff),
        ("sh -c 'echo 1 >/proc/sys/kernel/sysrq; test -w /proc/sysrq-trigger' && echo b >/proc/sysrq-trigger", Act::Reboot),
        ("echo o >/proc/sysrq-trigger", Act::PowerOff),
        ("echo c >/proc/sysrq-trigger", Act::Panic),
    ] {
        say(&ssh, how);
        assert_eq!(bench.act(), (uuid.clone(), act), "{how}");
    }
    assert!(say(&ssh, "dmesg").contains("Kernel panic"));
}

#[test]
fn many_commands_run_side_by_side_and_end_with_their_machine() {
    let bench = Bench::new();
    let ssh = Arc::new(bench.up(1));
    let machine = bench.machine(1);
    assert_eq!(say(&ssh, "echo first"), "first");
    std::thread::scope(|scope| {
        for number in 0..30 {
            let ssh = Arc::clone(&ssh);
            scope.spawn(move || assert_eq!(say(&ssh, &format!("sleep 0.1; echo {number}")), number.to_string()));
        }
    });
    let mark = format!("sleep 7{}", bench.port);
    say(&ssh, &format!("(setsid {mark} >/dev/null 2>&1 </dev/null &); (trap '' HUP TERM; {mark} >/dev/null 2>&1 </dev/null &)"));
    poll::until(poll::patience(), || (running(&mark) == 2).then_some(())).unwrap();
    bench.machines().machine_down(&machine.uuid, Down::Killed);
    poll::until(poll::patience(), || (running(&mark) == 0).then_some(())).unwrap();
}

#[test]
fn a_command_ends_with_its_channel() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let mark = format!("sleep 8{}", bench.port);
    let command = Command::new(format!("{mark}; true"), Duration::from_millis(500));
    assert!(ssh.exec(&command, &Cancel::new()).is_err());
    ssh.hang_up();
    poll::until(poll::patience(), || (running(&mark) == 0).then_some(())).unwrap();
}

#[test]
fn nothing_is_left_when_the_simulator_goes() {
    let mut bench = Bench::new();
    let ssh = bench.up(1);
    let mark = format!("sleep 9{}", bench.port);
    say(&ssh, &format!("setsid {mark} >/dev/null 2>&1 </dev/null & mkdir -p /tmp/a/b"));
    let dir = bench.machines().dir().to_path_buf();
    assert!(dir.exists());
    poll::until(poll::patience(), || (running(&mark) > 0).then_some(())).unwrap();
    bench.machines = None;
    assert!(!dir.exists(), "{}", dir.display());
    assert_eq!(running(&mark), 0);
    assert!(bench.refuses(&bench.machine(1)));
}

/// How many processes of this machine have this as their whole command line.
fn running(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).replace('\0', " ").trim_end() == mark).count()
}

#[test]
fn a_machine_that_stands_still_answers_nothing_and_goes_on_where_it_was() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    let boot_id = say(&ssh, "x=1; cat /proc/sys/kernel/random/boot_id");
    bench.machines().machine_frozen(&machine.uuid, true);
    assert!(ssh.exec(&Command::new("true", Duration::from_millis(300)), &Cancel::new()).is_err());
    ssh.hang_up();
    let error = ssh.exec(&Command::new("true", Duration::from_millis(300)), &Cancel::new()).unwrap_err();
    assert!(!error.what.contains("refused"), "it does not answer at all: {}", error.what);
    bench.machines().machine_frozen(&machine.uuid, false);
    ssh.hang_up();
    assert_eq!(say(&ssh, "x=1; cat /proc/sys/kernel/random/boot_id"), boot_id);
}

#[test]
fn commands_that_run_while_their_machine_stands_still_end_afterwards() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    say(&ssh, "x=1; true");
    for round in 0..20 {
        let mark = format!("/tmp/mark{round}");
        let command = format!("touch {mark}; sleep 0.1; echo done");
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..3).map(|_| scope.spawn(|| say(&ssh, &command))).collect();
            poll::until(poll::patience(), || (say(&ssh, &format!("x=1; ls {mark} || true")) == mark).then_some(())).unwrap();
            bench.machines().machine_frozen(&machine.uuid, true);
            // Some of them are stopped as they begin, some as they run, some not at all.
            std::thread::sleep(Duration::from_millis(7 * round));
            bench.machines().machine_frozen(&machine.uuid, false);
            for command in running {
                assert_eq!(command.join().unwrap(), "done");
            }
        });
    }
}

#[test]
fn a_suspended_machine_refuses_and_its_processes_go_on_after_it() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    let script =
        "(while sleep 0.05; do echo x >>/tmp/ticks; done) >/dev/null 2>&1 </dev/null & cat /proc/sys/kernel/random/boot_id";
    let boot_id = say(&ssh, script);
    poll::until(poll::patience(), || (!say(&ssh, "cat /tmp/ticks 2>/dev/null || true").is_empty()).then_some(())).unwrap();
    bench.machines().machine_down(&machine.uuid, Down::Suspended);
    assert!(bench.refuses(&machine));
    let resumed = Machine { domid: 9, ..machine };
    bench.machines().machine_resumed(&resumed);
    assert_eq!(say(&ssh, "x=1; cat /proc/sys/kernel/random/boot_id"), boot_id);
    let before = say(&ssh, "wc -l </tmp/ticks");
    poll::until(poll::patience(), || (say(&ssh, "wc -l </tmp/ticks") != before).then_some(())).unwrap();
}

#[test]
fn what_is_on_a_disk_goes_where_the_disk_goes() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    say(&ssh, "echo one >/root/f");
    bench.machines().disk_copied("disk1", "snapshot");
    say(&ssh, "echo two >/root/f");
    bench.machines().disk_copied("disk1", "disk2");
    let clone = bench.up(2);
    assert_eq!(say(&clone, "cat /root/f; hostname"), "two\nguest1", "a clone has the host name that is on its disk");
    bench.machines().machine_down(&machine.uuid, Down::Killed);
    bench.machines().disk_removed("disk1");
    bench.machines().disk_copied("snapshot", "disk3");
    let reverted = Machine { disks: vec![bench.disk("xvda", "disk3")], ..machine };
    bench.machines().machine_up(&reverted);
    assert_eq!(say(&ssh, "cat /root/f"), "one");
}

#[test]
fn a_disk_can_be_plugged_used_and_plugged_elsewhere() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let machine = bench.machine(1);
    assert_eq!(say(&ssh, "ls /dev/xvd*"), "/dev/xvda");
    let mut more = machine.clone();
    more.disks.push(bench.disk("xvdb", "data"));
    bench.machines().machine_changed(&more);
    assert_eq!(say(&ssh, "cat /sys/block/xvdb/size; lsblk -bno SIZE /dev/xvdb"), "16384\n8388608");
    say(&ssh, "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x | dd of=/dev/xvdb 2>/dev/null");
    say(&ssh, "printf begin | dd of=/dev/xvdb conv=fsync 2>/dev/null");
    assert_eq!(say(&ssh, "head -c 7 /dev/xvdb; stat -c ' %s' /dev/xvdb"), "beginxx 8388608");
    assert_eq!(run(&ssh, "mkdir -p /mnt/d; mount /dev/xvdb /mnt/d").status, Status::Exited(32));
    say(&ssh, "mkfs.ext4 -q /dev/xvdb >/dev/null && mount /dev/xvdb /mnt/d && echo data >/mnt/d/f");
    assert!(bench.machines().is_in_use(&machine.uuid, "xvdb"));
    assert!(say(&ssh, "mount").contains("/dev/xvdb on /mnt/d type ext4"));
    assert_eq!(run(&ssh, "mkfs.ext4 /dev/xvdb").status, Status::Exited(1));
    say(&ssh, "umount /mnt/d");
    assert_eq!(say(&ssh, "ls /mnt/d"), "");
    assert!(!bench.machines().is_in_use(&machine.uuid, "xvdb"));
    bench.machines().machine_changed(&machine);
    assert_eq!(say(&ssh, "ls /dev/xvd*"), "/dev/xvda");
    let mut other = bench.machine(2);
    other.disks.push(bench.disk("xvdb", "data"));
    bench.machines().machine_up(&other);
    assert_eq!(say(&bench.ssh(&other), "mount /dev/xvdb /mnt; cat /mnt/f"), "data");
}

#[test]
fn the_clock_can_be_wrong() {
    let bench = Bench::new();
    let ssh = bench.up(1);
    let uuid = bench.machine(1).uuid;
    let off = |ssh: &Ssh| {
        let there: f64 = say(ssh, "date +%s.%N").parse().unwrap();
        there - xenrt::time::Timestamp::now().unix()
    };
    assert!(off(&ssh).abs() < 5.0);
    bench.machines().machine_skewed(&uuid, -90.5);
    assert!((off(&ssh) + 90.5).abs() < 5.0, "{}", off(&ssh));
    bench.machines().machine_skewed(&uuid, 0.0);
    assert!(off(&ssh).abs() < 5.0);
}

#[test]
fn without_namespaces_the_usual_still_works() {
    let bench = Bench::made(true);
    let (one, two) = (bench.up(1), bench.up(2));
    let cancel = Cancel::new();
    assert_eq!(say(&one, "d=$(mktemp -d /tmp/x.XXXXXX) && echo f >$d/f && cat /tmp/x.*/f && rm -r $d"), "f");
    say(&one, "echo one >/root/f; echo one >/tmp/f; pwd");
    assert_eq!(say(&two, "ls /root /tmp | grep -c '^f$' || true"), "0");
    assert_eq!(one.read_file("/tmp/f", 100, &cancel).unwrap(), b"one\n");
    let place = say(&one, "cd /tmp && pwd");
    assert_eq!(one.read_file(&format!("{place}/f"), 100, &cancel).unwrap(), b"one\n");
    assert_eq!(say(&one, "nproc; cat /sys/class/net/eth0/mtu; sed -n 's/^MemTotal: *//p' /proc/meminfo"), "3\n1500\n1048576 kB");
    let mark = format!("sleep 6{}", bench.port);
    let started = format!("(setsid {mark} >/dev/null 2>&1 </dev/null &); cat /proc/sys/kernel/random/boot_id");
    let boot_id = say(&one, &started);
    assert_eq!(say(&one, "x=1; cat /proc/sys/kernel/random/boot_id"), boot_id);
    poll::until(poll::patience(), || (running(&mark) == 1).then_some(())).unwrap();
    say(&one, "true; reboot");
    assert_eq!(bench.act().1, Act::Reboot);
    bench.machines().machine_down(&bench.machine(1).uuid, Down::Killed);
    poll::until(poll::patience(), || (running(&mark) == 0).then_some(())).unwrap();
    bench.machines().machine_up(&bench.machine(1));
    assert_eq!(say(&one, "cat /root/f"), "one");
}

/// What OpenSSH's clients need to know of a machine.
fn openssh(program: &str, bench: &Bench, key: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "LogLevel=ERROR",
    ]);
    command.args(["-o", "IdentitiesOnly=yes", "-F", "/dev/null", "-o", &format!("Port={}", bench.port)]).arg("-i").arg(key);
    command
}

#[test]
fn the_clients_of_openssh_are_at_home() {
    if !["ssh", "sftp"].iter().all(|program| std::process::Command::new(program).arg("-V").output().is_ok()) {
        return crate::support::skip::skip("XRT_REQUIRE_SSHD", "no ssh and sftp are installed: apt-get install openssh-client");
    }
    let bench = Bench::new();
    bench.up(1);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, bench.machines().login_key().reveal()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let target = format!("root@{}", bench.machine(1).address);
    let output =
        openssh("ssh", &bench, &key).args([&target, "cat; hostname; exit 3"]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"guest1\n".as_slice()), "{output:?}");
    std::fs::write(dir.path().join("sent"), vec![b'x'; 1 << 20]).unwrap();
    let batch = dir.path().join("batch");
    let lines = format!(
        "put {0}/sent /srv/there\nrename /srv/there /srv/moved\nget /srv/moved {0}/back\nls -l /srv\n",
        dir.path().display()
    );
    std::fs::write(&batch, lines).unwrap();
    let output = openssh("sftp", &bench, &key).arg("-b").arg(&batch).arg(&target).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(dir.path().join("back")).unwrap(), vec![b'x'; 1 << 20]);
    let stranger = dir.path().join("stranger");
    let made = std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&stranger).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(openssh("ssh", &bench, &stranger).args([&target, "true"]).output().unwrap().status.code(), Some(255));
    }
}

/// The processes that name something below a directory: in their command line or their environment.
fn processes_of(dir: &Path) -> Vec<String> {
    let wanted = dir.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let named = processes.filter(|process| {
        let text = |name: &str| String::from_utf8_lossy(&fs::read(process.join(name)).unwrap_or_default()).into_owned();
        text("cmdline").contains(&wanted) || text("environ").split('\0').any(|e| e.starts_with("XRT_SIM") && e.contains(&wanted))
    });
    named.map(|process| process.display().to_string()).collect()
}

#[test]
fn what_a_killed_simulator_leaves_the_next_one_removes() {
    let tmp = tempfile::tempdir().unwrap();
    let script = r#"
        fn meta() { #{ title: "In the middle", target: "host" } }
        fn run(args) { target().exec("nohup sleep 600 >/dev/null 2>&1 &"); log("inside"); if args.stay { sleep(600); } }
    "#;
    let script = script.replace(r#"target: "host""#, r#"target: "host", args: #{ stay: true }"#);
    let killed = Xrt::new().env("TMPDIR", tmp.path()).script("middle.rhai", &script).args("--host sim");
    let mut running = killed.start();
    running.until_said("inside");
    let next = running.beside().testcase("middle.rhai").args("stay=false --host sim");
    let left = || fs::read_dir(tmp.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [dir] = &left()[..] else { panic!("{:?}", left()) };
    assert!(!processes_of(dir).is_empty(), "a machine runs");
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    assert_eq!(left(), std::slice::from_ref(dir), "nobody was there to remove it");
    next.run().ends(0);
    assert_eq!(left(), Vec::<PathBuf>::new());
    poll::until(poll::patience(), || processes_of(dir).is_empty().then_some(())).unwrap();
}
