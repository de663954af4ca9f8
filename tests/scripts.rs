//! Every testcase in `scripts/` and `examples/`, run by the real program: what it needs, how it ends, what it measures.

use crate::support::skip::skip;
use crate::support::vm::Vm;
use crate::support::xrt::{Ran, Xrt};
use On::{Here, HereTwice, Nothing, Sim, VirtualMachine};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use xenrt::event::{Fact, Outcome};

/// What a testcase runs against.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Nothing,
    Here,
    HereTwice,
    /// A simulated pool, with these options.
    Sim(&'static str),
    VirtualMachine,
}

struct Row {
    /// Below the project's directory.
    script: &'static str,
    args: &'static str,
    on: On,
    /// Commands that it would install.
    tools: &'static [&'static str],
    outcome: Outcome,
    exit: i32,
    /// The values that it measures, in order: name and unit.
    values: &'static [(&'static str, &'static str)],
}

const fn row(script: &'static str, args: &'static str, on: On) -> Row {
    Row { script, args, on, tools: &[], outcome: Outcome::Passed, exit: 0, values: &[] }
}

impl Row {
    const fn tools(self, tools: &'static [&'static str]) -> Row {
        Row { tools, ..self }
    }

    const fn ends(self, outcome: Outcome, exit: i32) -> Row {
        Row { outcome, exit, ..self }
    }

    const fn values(self, values: &'static [(&'static str, &'static str)]) -> Row {
        Row { values, ..self }
    }
}

const STATS_OF_REBOOT: &[(&str, &str)] = &[("REBOOT_MIN", "s"), ("REBOOT_MAX", "s"), ("REBOOT_AVG", "s"), ("REBOOT_DEV", "s")];

const MADE_UP: &[(&str, &str)] =
    &[("TX", "MB/s"), ("RX", "MB/s"), ("REBOOT_MIN", "s"), ("REBOOT_MAX", "s"), ("REBOOT_AVG", "s"), ("REBOOT_DEV", "s")];

const BUILTIN_DISK: &[(&str, &str)] = &[
    ("builtin:seq_write_256k:throughput", "MiB/s"),
    ("builtin:seq_write_256k:rate", "IO/s"),
    ("builtin:seq_write_256k:latency", "ms"),
    ("builtin:seq_read_256k:throughput", "MiB/s"),
    ("builtin:seq_read_256k:rate", "IO/s"),
    ("builtin:seq_read_256k:latency", "ms"),
    ("builtin:rand_read_4k:throughput", "MiB/s"),
    ("builtin:rand_read_4k:rate", "IO/s"),
    ("builtin:rand_read_4k:latency", "ms"),
    ("builtin:rand_write_4k:throughput", "MiB/s"),
    ("builtin:rand_write_4k:rate", "IO/s"),
    ("builtin:rand_write_4k:latency", "ms"),
];

const FIO_DISK: &[(&str, &str)] = &[
    ("seq_write_256k:throughput", "MiB/s"),
    ("seq_write_256k:rate", "IO/s"),
    ("seq_write_256k:latency", "ms"),
    ("seq_write_256k:latency_p99", "ms"),
    ("seq_read_256k:throughput", "MiB/s"),
    ("seq_read_256k:rate", "IO/s"),
    ("seq_read_256k:latency", "ms"),
    ("seq_read_256k:latency_p99", "ms"),
    ("rand_read_4k:throughput", "MiB/s"),
    ("rand_read_4k:rate", "IO/s"),
    ("rand_read_4k:latency", "ms"),
    ("rand_read_4k:latency_p99", "ms"),
    ("rand_write_4k:throughput", "MiB/s"),
    ("rand_write_4k:rate", "IO/s"),
    ("rand_write_4k:latency", "ms"),
    ("rand_write_4k:latency_p99", "ms"),
];

const KERNEL: &[(&str, &str)] = &[("kernel:calls", "/s"), ("kernel:forks", "/s"), ("kernel:programs", "/s")];

/// All of them, with arguments that make them short. A testcase may have several rows.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("examples/first.rhai", "loops=1", Here)
        .values(&[("EXEC_MIN", "s"), ("EXEC_MAX", "s"), ("EXEC_AVG", "s"), ("EXEC_DEV", "s")]),
    row("scripts/benchmarks/bonnie.rhai", "size=16MiB", Here).tools(&["bonnie++"]).ends(Outcome::Partial, 0),
    row("scripts/benchmarks/compile.rhai", "files=2", Here).tools(&["gcc", "make"]),
    row("scripts/benchmarks/cpu.rhai", "seconds=1 tool=sysbench", Here).tools(&["sysbench"]),
    row("scripts/benchmarks/cpu.rhai", "seconds=1 tool=builtin", VirtualMachine)
        .values(&[("builtin:cpu:1:rate", "rounds/s")]),
    row("scripts/benchmarks/dbench.rhai", "seconds=2 clients=2", Here).tools(&["dbench"])
        .values(&[("dbench:throughput", "MB/s"), ("dbench:latency_max", "ms")]),
    row("scripts/benchmarks/latency.rhai", "seconds=1 priority=0", Here).tools(&["cyclictest"])
        .values(&[("latency:min", "us"), ("latency:avg", "us"), ("latency:max", "us")]),
    row("scripts/benchmarks/memory.rhai", "seconds=1", Here).tools(&["sysbench"])
        .values(&[("memory:read", "MiB/s"), ("memory:write", "MiB/s")]),
    row("scripts/benchmarks/memory.rhai", "seconds=1 tool=builtin", VirtualMachine)
        .values(&[("builtin:memory:copy", "MiB/s")]),
    row("scripts/benchmarks/network.rhai", "seconds=1", HereTwice).tools(&["iperf3"])
        .values(&[("TX_TCP:rate", "Mbit/s"), ("TX_TCP:retransmits", ""), ("RX_TCP:rate", "Mbit/s"), ("RX_TCP:retransmits", ""),
            ("TX_UDP:rate", "Mbit/s"), ("TX_UDP:jitter", "ms"), ("TX_UDP:lost", "%")]),
    row("scripts/benchmarks/scheduler.rhai", "groups=1 loops=10 runs=1", Here).tools(&["hackbench"])
        .values(&[("SWITCH_MIN", "s"), ("SWITCH_MAX", "s"), ("SWITCH_AVG", "s"), ("SWITCH_DEV", "s")]),
    row("scripts/benchmarks/stress.rhai", "duration=1s cpu=1 io=1 vm=1 vm_bytes=8M", Here).tools(&["stress-ng"])
        .values(&[("stress:cpu", "bogo ops/s"), ("stress:io", "bogo ops/s"), ("stress:vm", "bogo ops/s")]),
    row("scripts/benchmarks/syscalls.rhai", "seconds=1", Here).values(KERNEL),
    row("scripts/benchmarks/syscalls.rhai", "seconds=1", VirtualMachine).values(KERNEL),
    row("scripts/dummy/blocker.rhai", "seconds=0.01", Nothing).values(&[("Duration", "s")]),
    row("scripts/dummy/blocker.rhai", "seconds=0.01 fail", Nothing).ends(Outcome::Failed, 1).values(&[("Duration", "s")]),
    row("scripts/dummy/error.rhai", "", Nothing).ends(Outcome::Errored, 3),
    row("scripts/dummy/fail.rhai", "", Nothing).ends(Outcome::Failed, 1),
    row("scripts/dummy/parallel.rhai", "", Nothing).values(&[("Duration", "s")]),
    // Nobody comes, so it goes on by itself.
    row("scripts/dummy/pause.rhai", "-D PAUSE_HOURS=0.00001", Nothing),
    row("scripts/dummy/perf.rhai", "", Nothing).values(MADE_UP),
    row("scripts/dummy/skip.rhai", "", Nothing).ends(Outcome::Skipped, 4),
    row("scripts/dummy/sleep.rhai", "seconds=0.01", Nothing),
    row("scripts/dummy/sleep.rhai", "seconds=0.01 fail=yes", Nothing).ends(Outcome::Failed, 1),
    row("scripts/dummy/subcases.rhai", "", Nothing).ends(Outcome::Errored, 3),
    row("scripts/func/timecheck.rhai", "seconds=1", Here).values(&[("clock:drift", "s")]),
    row("scripts/guestops/reboot.rhai", "loops=1", Here).ends(Outcome::Errored, 3),
    row("scripts/guestops/reboot.rhai", "loops=2 settle=0.5", VirtualMachine).values(STATS_OF_REBOOT),
    row("scripts/guestops/shutdown.rhai", "watch=2", VirtualMachine).values(&[("SHUTDOWN", "s")]),
    row("scripts/guestops/balloon.rhai", "loops=1", Sim("")),
    row("scripts/guestops/cd.rhai", "", Sim("")),
    row("scripts/guestops/checkpoint.rhai", "loops=1", Sim(""))
        .values(&[("CHECKPOINT_MIN", "s"), ("CHECKPOINT_MAX", "s"), ("CHECKPOINT_AVG", "s"), ("CHECKPOINT_DEV", "s")]),
    row("scripts/guestops/clone.rhai", "clones=1", Sim(""))
        .values(&[("CLONE_MIN", "s"), ("CLONE_MAX", "s"), ("CLONE_AVG", "s"), ("CLONE_DEV", "s")]),
    row("scripts/guestops/copy.rhai", "", Sim(""))
        .values(&[("COPY", "s")]),
    row("scripts/guestops/cpu_walk.rhai", "max=2", Sim("")),
    row("scripts/guestops/drivers.rhai", "", Sim("")),
    row("scripts/guestops/drivers_current.rhai", "", Sim("")),
    row("scripts/guestops/force_off.rhai", "loops=1", Sim("")),
    row("scripts/guestops/import_export.rhai", "", Sim(""))
        .values(&[("EXPORT", "s"), ("IMPORT", "s")]),
    row("scripts/guestops/install.rhai", "keep=no", Sim(""))
        .values(&[("INSTALL", "s")]),
    row("scripts/guestops/instantiate.rhai", "", Sim("")),
    row("scripts/guestops/memory_walk.rhai", "steps=1", Sim("")),
    row("scripts/guestops/migrate.rhai", "loops=2", Sim(""))
        .values(&[("MIGRATE_MIN", "s"), ("MIGRATE_MAX", "s"), ("MIGRATE_AVG", "s"), ("MIGRATE_DEV", "s")]),
    row("scripts/guestops/migrate_pool.rhai", "", Sim("spare=1"))
        .values(&[("MIGRATE_MIN", "s"), ("MIGRATE_MAX", "s"), ("MIGRATE_AVG", "s"), ("MIGRATE_DEV", "s")]),
    row("scripts/guestops/migrate_pool.rhai", "live=no", Sim("spare=1"))
        .values(&[("MIGRATE_MIN", "s"), ("MIGRATE_MAX", "s"), ("MIGRATE_AVG", "s"), ("MIGRATE_DEV", "s")]),
    row("scripts/guestops/migrate_pool.rhai", "", Sim("")).ends(Outcome::Skipped, 4),
    row("scripts/guestops/migrate_pool.rhai", "", Sim("spare=1,trouble=fail:VM.migrate_send=SR_BACKEND_FAILURE_46")).ends(Outcome::Failed, 1),
    row("scripts/guestops/mixops.rhai", "loops=5", Sim("")),
    row("scripts/guestops/pause.rhai", "loops=1 seconds=0.05", Sim("")),
    row("scripts/guestops/reboot.rhai", "loops=2 settle=0.05", Sim(""))
        .values(&[("REBOOT_MIN", "s"), ("REBOOT_MAX", "s"), ("REBOOT_AVG", "s"), ("REBOOT_DEV", "s")]),
    row("scripts/guestops/reboot_multi.rhai", "", Sim(""))
        .values(&[("REBOOT_MIN", "s"), ("REBOOT_MAX", "s"), ("REBOOT_AVG", "s"), ("REBOOT_DEV", "s")]),
    row("scripts/guestops/shutdown.rhai", "watch=0.5", Sim(""))
        .values(&[("SHUTDOWN", "s")]),
    row("scripts/guestops/snapshot.rhai", "loops=1", Sim(""))
        .values(&[("SNAPSHOT_MIN", "s"), ("SNAPSHOT_MAX", "s"), ("SNAPSHOT_AVG", "s"), ("SNAPSHOT_DEV", "s")]),
    row("scripts/guestops/start.rhai", "", Sim(""))
        .values(&[("START", "s")]),
    row("scripts/guestops/start_stop.rhai", "loops=2 settle=0.05", Sim(""))
        .values(&[("START_MIN", "s"), ("START_MAX", "s"), ("START_AVG", "s"), ("START_DEV", "s"), ("STOP_MIN", "s"), ("STOP_MAX", "s"), ("STOP_AVG", "s"), ("STOP_DEV", "s")]),
    row("scripts/guestops/start_stop_multi.rhai", "guests=3", Sim(""))
        .values(&[("START_MIN", "s"), ("START_MAX", "s"), ("START_AVG", "s"), ("START_DEV", "s"), ("STOP_MIN", "s"), ("STOP_MAX", "s"), ("STOP_AVG", "s"), ("STOP_DEV", "s")]),
    row("scripts/guestops/suspend_resume.rhai", "loops=1 settle=0.05", Sim(""))
        .values(&[("SUSPEND_MIN", "s"), ("SUSPEND_MAX", "s"), ("SUSPEND_AVG", "s"), ("SUSPEND_DEV", "s"), ("RESUME_MIN", "s"), ("RESUME_MAX", "s"), ("RESUME_AVG", "s"), ("RESUME_DEV", "s")]),
    row("scripts/guestops/template.rhai", "", Sim("")),
    row("scripts/guestops/uninstall.rhai", "really", Sim("")),
    row("scripts/network/bond.rhai", "", Sim("")),
    row("scripts/network/internal.rhai", "", Sim("")),
    row("scripts/network/vif_hotplug.rhai", "loops=1", Sim("")),
    row("scripts/network/vif_move.rhai", "", Sim("")),
    row("scripts/network/vlan.rhai", "", Sim("")),
    row("scripts/pool/change_master.rhai", "", Sim(""))
        .values(&[("CHANGE", "s")]),
    row("scripts/pool/check.rhai", "", Sim("")),
    row("scripts/pool/evacuate.rhai", "", Sim(""))
        .values(&[("EVACUATE", "s")]),
    row("scripts/pool/full_host.rhai", "", Sim("")),
    row("scripts/pool/host_loss.rhai", "", Sim("")),
    row("scripts/pool/host_loss.rhai", "ha", Sim("")),
    row("scripts/pool/host_reboot.rhai", "", Sim(""))
        .values(&[("REBOOT_MIN", "s"), ("REBOOT_MAX", "s"), ("REBOOT_AVG", "s"), ("REBOOT_DEV", "s")]),
    row("scripts/pool/join_eject.rhai", "", Sim("spare=1"))
        .values(&[("JOIN", "s"), ("EJECT", "s")]),
    row("scripts/pool/restart_toolstack.rhai", "loops=1", Sim(""))
        .values(&[("RESTART_MIN", "s"), ("RESTART_MAX", "s"), ("RESTART_AVG", "s"), ("RESTART_DEV", "s")]),
    row("scripts/pool/start_everywhere.rhai", "", Sim("")),
    row("scripts/storage/disk_hotplug.rhai", "loops=1", Sim(""))
        .values(&[("UNPLUG_MIN", "s"), ("UNPLUG_MAX", "s"), ("UNPLUG_AVG", "s"), ("UNPLUG_DEV", "s")]),
    row("scripts/storage/disk_resize.rhai", "", Sim("")),
    row("scripts/storage/move_disk.rhai", "", Sim(""))
        .values(&[("MOVE", "s")]),
    row("scripts/storage/nfs_sr_vm.rhai", "", Sim("")),
    row("scripts/storage/sr_full.rhai", "", Sim("")),
    row("scripts/storage/sr_lifecycle.rhai", "", Sim("")),
    row("scripts/storage/sr_lifecycle.rhai", "type=lvmoiscsi server=filer path=iqn.2026-01.example:lab scsi_id=3600140562f9ebc0d0e8e8770", Sim("")),
    row("scripts/storage/sr_lifecycle.rhai", "type=extoiscsi server=filer path=iqn.2026-01.example:lab scsi_id=3600140562f9ebc0d0e8e8770", Sim("")),
    row("scripts/storage/sr_lifecycle.rhai", "type=iso server=filer path=/export", Sim("")),
    row("scripts/storage/vdi_lifecycle.rhai", "", Sim("")),
    row("scripts/iometer.rhai", "seconds=1 size=8MiB tool=fio", Here).tools(&["fio"]).values(FIO_DISK),
    row("scripts/iometer.rhai", "seconds=1 size=1MiB tool=builtin", Here).values(BUILTIN_DISK),
    row("scripts/iometer.rhai", "seconds=1 size=1MiB", VirtualMachine).values(BUILTIN_DISK),
    row("scripts/iometer.rhai", "seconds=1 size=1MiB tool=fio", VirtualMachine).ends(Outcome::Errored, 3),
    row("scripts/iometer.rhai", "size=999TiB tool=builtin", Here).ends(Outcome::Errored, 3),
    row("scripts/iometer.rhai", "tool=fast", Here).ends(Outcome::Errored, 3),
];

impl Row {
    /// Runs it, in a directory with the project's scripts in it; nothing when this machine lacks what it needs.
    fn run(&self) -> Option<Ran> {
        let missing: Vec<&str> = self.tools.iter().copied().filter(|tool| !is_there(tool)).collect();
        if !missing.is_empty() {
            skip("XRT_REQUIRE_TOOLS", &format!("{} needs {}, and tests install nothing", self.script, missing.join(", ")));
            return None;
        }
        let xrt = Xrt::new().testcase(self.script);
        for dir in ["scripts", "examples"] {
            std::os::unix::fs::symlink(project().join(dir), xrt.dir().join(dir)).unwrap();
        }
        let vm = if self.on == VirtualMachine { Some(Vm::start()?) } else { None };
        let guests = match self.on {
            Nothing => vec![],
            Here => vec!["local".to_string()],
            HereTwice => vec!["local".to_string(), "local".to_string()],
            Sim(_) => vec![],
            VirtualMachine => vec![vm.as_ref()?.guest()],
        };
        let xrt = if let Sim(options) = self.on { xrt.arg("--host").arg(format!("sim:{options}")) } else { xrt };
        let xrt = guests.iter().fold(xrt, |xrt, guest| xrt.arg("--guest").arg(guest));
        // The rest of the machine's tools stand where a plain user does not look.
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        Some(xrt.args(self.args).args("--no-logs").env("PATH", path).run())
    }

    fn check(&self) {
        let Some(ran) = self.run() else { return };
        let about = format!("{} {}\n{}", self.script, self.args, ran.transcript());
        assert_eq!(ran.exit, self.exit, "{about}");
        let id = self.script.trim_start_matches("scripts/").trim_end_matches(".rhai");
        let id = id.strip_prefix("examples/").unwrap_or(id);
        assert_eq!(ran.outcome(id), self.outcome, "{about}");
        let measured: Vec<(String, f64, String)> = ran
            .facts(id)
            .into_iter()
            .filter_map(|fact| if let Fact::Measured { name, value, unit, .. } = fact { Some((name, value, unit)) } else { None })
            .collect();
        if !self.values.is_empty() {
            let found: Vec<(&str, &str)> = measured.iter().map(|(name, _, unit)| (name.as_str(), unit.as_str())).collect();
            assert_eq!(found, self.values, "{about}");
        }
        for (name, value, _) in &measured {
            let may_be_none = ["_DEV", ":retransmits", ":jitter", ":lost", ":drift"].iter().any(|end| name.ends_with(end));
            assert!(value.is_finite() && (*value > 0.0 || may_be_none), "{name} is {value}\n{about}");
        }
        if self.outcome == Outcome::Passed && self.script.contains("/benchmarks/") {
            assert!(!measured.is_empty(), "a benchmark that measures nothing\n{about}");
        }
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_there(tool: &str) -> bool {
    let command = format!("PATH=\"$PATH:/usr/sbin:/sbin\" command -v {tool}");
    Command::new("sh").args(["-c", &command]).output().is_ok_and(|output| output.status.success())
}

/// The testcases that pass on a simulated pool, with arguments that make them short and the options of the pool.
pub fn simulated() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE
        .iter()
        .filter(|row| row.outcome == Outcome::Passed)
        .filter_map(|row| if let Sim(options) = row.on { Some((row.script, row.args, options)) } else { None })
}

/// Runs the rows that some test stands for; together the tests stand for all.
fn check_all(wanted: impl Fn(&Row) -> bool) {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| wanted(row)).collect();
    assert!(!rows.is_empty());
    rows.into_iter().for_each(Row::check);
}

fn is_benchmark(row: &Row) -> bool {
    row.script.contains("/benchmarks/")
}

#[test]
fn testcases_without_a_machine() {
    check_all(|row| row.on == Nothing);
}

#[test]
fn benchmarks_on_this_machine() {
    check_all(|row| is_benchmark(row) && row.on != VirtualMachine);
}

#[test]
fn other_testcases_on_this_machine() {
    check_all(|row| !is_benchmark(row) && matches!(row.on, Here | HereTwice));
}

#[test]
fn measuring_on_a_virtual_machine() {
    check_all(|row| row.on == VirtualMachine && !row.script.contains("/guestops/"));
}

#[test]
fn lifecycles_on_a_virtual_machine() {
    check_all(|row| row.on == VirtualMachine && row.script.contains("/guestops/"));
}

#[test]
fn guests_of_a_simulated_pool() {
    check_all(|row| matches!(row.on, Sim(_)) && row.script.contains("/guestops/"));
}

#[test]
fn a_simulated_pool_and_what_it_has() {
    check_all(|row| matches!(row.on, Sim(_)) && !row.script.contains("/guestops/"));
}

#[test]
fn every_testcase_is_tried() {
    let tried: BTreeSet<&str> = TABLE.iter().map(|row| row.script).collect();
    let there: BTreeSet<String> = ["scripts", "examples"]
        .into_iter()
        .flat_map(|dir| walkdir::WalkDir::new(project().join(dir)))
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "rhai"))
        // A file without it is a module for others to import.
        .filter(|path| std::fs::read_to_string(path).unwrap().contains("fn run("))
        .map(|path| path.strip_prefix(project()).unwrap().display().to_string())
        .collect();
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert_eq!(there, tried, "a testcase without a row in TABLE, or a row without a testcase");
}

/// The names by which the original knows them.
#[test]
fn aliases_lead_to_their_testcases() {
    for (alias, id, exit) in [
        ("dummy.TCFail", "dummy/fail", 1),
        ("TCSubcaseFail", "dummy/subcases", 3),
        ("dummy.perf", "dummy/perf", 0),
        ("scripts/dummy/perf.rhai", "dummy/perf", 0),
    ] {
        let ran = Xrt::new().testcase(alias).run().ends(exit);
        ran.outcome(id);
    }
    for alias in ["benchmarks.micro.TCiometer", "benchmarks/iometer", "guestops.basic.TCReboot"] {
        let ran = Xrt::new().testcase(alias).args("--guest local nonsense=1").run().ends(2);
        assert!(ran.stderr.contains("has no argument `nonsense`"), "{}", ran.transcript());
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    for (script, args, reason) in [
        ("scripts/iometer.rhai", "tool=fast", "tool=fast is none of auto, fio and builtin"),
        ("scripts/iometer.rhai", "seconds=0.5", "expected a whole number"),
        ("scripts/iometer.rhai", "size=999TiB tool=builtin", "the test needs 999TiB and a tenth more"),
        ("scripts/guestops/reboot.rhai", "loops=1", "`local` is the machine that runs this testcase: it cannot reboot"),
        ("scripts/benchmarks/network.rhai", "", "2 guests"),
    ] {
        let ran = Row { outcome: Outcome::Errored, ..row(script, args, Here) }.run().unwrap();
        assert!(ran.transcript().contains(reason), "{reason}\n{}", ran.transcript());
        assert_ne!(ran.exit, 0);
    }
}
