//! Guests on a pool: their life cycle, disks, interfaces, snapshots and moves, by scripts that the real program runs on a simulated pool.

use crate::support::xrt::{Ran, Xrt};
use xenrt::error::{Blame, Kind};
use xenrt::event::{Fact, Level, Outcome};

fn testcase(statements: &str) -> Xrt {
    let script = format!("fn meta() {{ #{{ target: \"guest\" }} }}\nfn run(args) {{\nlet vm = target();\n{statements}\n}}");
    Xrt::new().script("t.rhai", &script).arg("--no-logs")
}

fn on(pool: &str, statements: &str) -> Ran {
    testcase(statements).arg("--host").arg(pool).run()
}

#[track_caller]
fn passes(statements: &str) -> Ran {
    let ran = on("sim", statements).ends(0);
    let warnings: Vec<String> = warnings(&ran);
    assert!(warnings.is_empty(), "{warnings:?}");
    ran
}

fn warnings(ran: &Ran) -> Vec<String> {
    let warning = |fact| match fact {
        Fact::Logged { level: Level::Warning, text } => Some(text),
        _ => None,
    };
    ran.facts("t").into_iter().filter_map(warning).collect()
}

/// The testcase ends like this on a pool with this trouble, and says so.
#[track_caller]
fn ends_with(pool: &str, statements: &str, outcome: Outcome, said: &str) -> Ran {
    let ran = on(pool, statements);
    assert_eq!(ran.outcome("t"), outcome, "{}", ran.transcript());
    assert!(ran.reason("t").contains(said), "{}", ran.transcript());
    ran
}

#[test]
fn a_guest_is_what_its_pool_says() {
    passes(
        r#"
        check(vm == guest("guest1") && vm == guests()[0] && guests().len() == 2, `${guests()}`);
        check(vm == guest("RESOURCE_GUEST_0") && vm == guest(vm.uuid), "other names");
        check(vm.state == "UP" && vm.domid > 0 && vm.vcpus > 0 && vm.memory > mib(1), `${vm.state}`);
        check(vm.host == host("host1") && vm.find_host() == vm.host, `${vm.host}`);
        check(vm.ip == vm.vifs()[0].ip && vm.mac == vm.vifs()[0].mac, vm.ip);
        check(vm.exec("hostname") == "guest1" && vm.boot_id != guest("guest2").boot_id, "its inside is its own");
        check(vm.get("name_label") == "guest1" && vm.xapi("get_power_state", []) == "Running", "the toolstack's words");
        vm.set("other_config", "xrt:note", "seen");
        check(vm.get("other_config", "xrt:note") == "seen", "an entry of a map");
        vm.check();
        vm.check_health();
        vm.wait_agent();
        "#,
    );
    for (wrong, kind, help) in [
        (r#"guest("guets1")"#, Kind::NotFound, "did you mean `guest1`?"),
        (r#"vm.get("other_config", "no such key")"#, Kind::NotFound, ""),
        (r#"vm.wait_state("SLEEPY")"#, Kind::Malformed, "DOWN, UP"),
        (r#"vm.start(#{ on: "hots2" })"#, Kind::NotFound, "did you mean `host2`?"),
        (r#"vm.start(#{ onn: "host2" })"#, Kind::Malformed, "did you mean `on`?"),
    ] {
        let ran = testcase(&format!("{wrong};")).args("--no-check --host sim").run().ends(3);
        let failure = ran.failure("t");
        assert_eq!(failure.kind, kind, "{wrong}: {}", ran.transcript());
        assert!(failure.help.clone().unwrap_or_default().contains(help), "{wrong}: {:?}", failure.help);
    }
}

#[test]
fn a_life_cycle_is_verified_by_domain_and_boot_id() {
    let ran = passes(
        r#"
        let boot_id = vm.boot_id;
        let domid = vm.domid;
        vm.reboot();
        check(vm.boot_id != boot_id && vm.domid != domid, "started anew");
        vm.reboot(#{ force: true });
        vm.shutdown();
        check(vm.state == "DOWN" && vm.domid == () && !vm.is_reachable(#{ timeout: 1 }), "down");
        vm.start(#{ on: "host2" });
        check(vm.host == host("host2"), "where it was told to");
        boot_id = vm.boot_id;
        domid = vm.domid;
        vm.suspend();
        check(vm.state == "SUSPENDED" && vm.domid == (), "suspended");
        vm.resume(#{ on: host("host1") });
        check(vm.boot_id == boot_id && vm.domid != domid && vm.host == host("host1"), "it went on");
        vm.pause();
        check(vm.state == "PAUSED" && !vm.is_reachable(#{ timeout: 1 }), "it stands still");
        vm.unpause();
        check(vm.boot_id == boot_id, "it went on");
        for state in ["DOWN", "PAUSED", "SUSPENDED", "DOWN", "SUSPENDED", "PAUSED", "DOWN", "UP"] {
            vm.set_state(state);
            check(vm.state == state, state);
        }
        vm.ensure_up();
        "#,
    );
    let told = |fact| match fact {
        Fact::ActionStarted { machine: Some(machine), what, .. } if machine == "guest1" => Some(what),
        _ => None,
    };
    let actions: Vec<String> = ran.facts("t").into_iter().filter_map(told).collect();
    for wanted in ["reboot", "reboot (forced)", "shut down", "start", "start (paused)", "suspend", "resume", "pause", "unpause"] {
        assert!(actions.iter().any(|what| what == wanted), "no `{wanted}` in {actions:?}");
    }
}

#[test]
fn many_guests_are_started_side_by_side() {
    let ran = on(
        "sim:guests=40",
        r#"
        let all = guests();
        check(all.len() == 40, `${all.len()}`);
        shutdown_all(all);
        for one in all { check(one.state == "DOWN", one.name); }
        start_all(all);
        for one in all { check(one.exec("hostname") == one.name, one.name); }
        "#,
    )
    .ends(0);
    assert_eq!(ran.outcome("t"), Outcome::Passed);
    ends_with("sim", "shutdown_all([vm, 5]);", Outcome::Errored, "expected guests");
    let ran = ends_with("sim", "shutdown_all(guests()); shutdown_all(guests());", Outcome::Failed, "VM_BAD_POWER_STATE");
    assert!(warnings(&ran).iter().any(|w| w.contains("guest2 failed too")), "{:?}", warnings(&ran));
}

#[test]
fn disks_and_interfaces_come_and_go_in_a_running_guest() {
    passes(
        r#"
        let before = vm.disks().len();
        let disk = vm.create_disk(#{ size: "200MiB", name: "scratch" });
        check(disk.size == mib(200) && disk.vdi.name == "scratch" && disk.sr == pool().default_sr, `${disk}`);
        check(disk.is_attached && vm.exec(`lsblk -bdno SIZE /dev/${disk.device}`) == `${mib(200)}`, disk.device);
        disk.format(#{ mount: "/mnt/scratch" });
        vm.write_file("/mnt/scratch/x", "kept");
        try { disk.unplug(); throw "it is mounted"; } catch (e) { check(e.message.contains("DEVICE_DETACH_REJECTED"), `${e}`); }
        vm.exec("umount /mnt/scratch");
        let device = disk.device;
        disk.unplug();
        check(!disk.is_attached && vm.exec_rc(`lsblk /dev/${device}`) != 0, "gone from the guest");
        disk.resize("300MiB");
        disk.plug();
        check(disk.size == mib(300), `${disk.size}`);
        vm.exec(`mkdir -p /mnt/scratch && mount /dev/${disk.device} /mnt/scratch`);
        check(vm.read_file("/mnt/scratch/x") == "kept", "its content went with it");
        vm.exec("umount /mnt/scratch");
        disk.destroy();
        check(vm.disks().len() == before, "as many as before");
        let vdi = pool().default_sr.create_vdi(#{ name: "given", size: "10MiB" });
        vm.create_disk(#{ vdi: vdi, mode: "ro" }).destroy(#{ keep_vdi: true });
        vdi.destroy();

        let mac = random_mac();
        let vif = vm.create_vif(#{ mac: mac });
        check(vif.mac == mac && vif.is_attached && vif in vm.vifs() && vif.network == vm.vifs()[0].network, `${vif}`);
        vif.unplug();
        check(!vif.is_attached, "taken away");
        vif.plug();
        vif.destroy();
        check(vm.vifs().len() == 1, "as many as before");
        "#,
    );
    let full = r#"sim().trouble("fill:" + pool().default_sr.name); vm.create_disk();"#;
    ends_with("sim", full, Outcome::Errored, "not enough room on the SR");
    ends_with("sim", r#"vm.insert_cd("no such.iso");"#, Outcome::Errored, "no such.iso");
}

#[test]
fn a_guest_is_doubled_kept_and_taken_back() {
    passes(
        r#"
        vm.write_file("/root/mark", "before");
        let snap = vm.snapshot("clean");
        check(snap.name == "clean" && !snap.is_checkpoint && snap in vm.snapshots(), `${snap}`);
        vm.write_file("/root/mark", "after");
        snap.revert();
        check(vm.state == "DOWN", vm.state);
        vm.start();
        check(vm.read_file("/root/mark") == "before", "what was on its disks then");
        let other = snap.instantiate();
        other.start();
        check(other.read_file("/root/mark") == "before" && other.mac != vm.mac && other.ip != vm.ip, "a guest of its own");
        other.uninstall();
        snap.destroy();
        check(vm.snapshots() == [], `${vm.snapshots()}`);

        let point = vm.checkpoint();
        vm.reboot();
        point.revert();
        check(vm.state == "SUSPENDED", vm.state);
        vm.resume();
        check(vm.boot_id != "", "it goes on");
        point.destroy();

        vm.shutdown();
        let twin = vm.clone("twin");
        let copy = vm.copy(#{ sr: vm.disks()[0].sr });
        check(twin.name == "twin" && guest("twin") == twin && copy.disks().len() == vm.disks().len(), `${twin} ${copy}`);
        start_all([vm, twin, copy]);
        check(twin.read_file("/root/mark") == "before", "what was on its disks");
        twin.uninstall();
        copy.uninstall();
        check(guests().len() == 2, `${guests()}`);
        "#,
    );
    ends_with("sim", "vm.clone();", Outcome::Failed, "VM_BAD_POWER_STATE");
    ends_with("sim", "guest(\"guest2\").revert(vm.snapshot());", Outcome::Errored, "is not of `guest2`");
}

#[test]
fn what_a_testcase_leaves_behind_is_told_with_the_command_that_removes_it() {
    let ran = on("sim", r#"vm.shutdown(); let twin = vm.clone("twin"); log(twin.uuid); vm.snapshot("kept"); vm.start();"#).ends(0);
    let warnings = warnings(&ran);
    let uuid = ran.said("t").into_iter().find(|line| line.len() == 36).unwrap_or_default();
    assert!(warnings.iter().any(|w| w.contains("`twin`") && w.contains(&format!("xe vm-uninstall uuid={uuid}"))), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("`kept` of `guest1`") && w.contains("xe snapshot-uninstall")), "{warnings:?}");
    let removed = on("sim", "vm.shutdown(); let twin = vm.clone(); defer(|| twin.uninstall()); vm.start();").ends(0);
    assert!(self::warnings(&removed).is_empty(), "{:?}", self::warnings(&removed));
}

#[test]
fn a_guest_moves_while_it_runs_and_goes_on() {
    passes(
        r#"
        let boot_id = vm.boot_id;
        let job = vm.run_job("sleep 1; echo done");
        check(vm.can_migrate("host2"), "there is room");
        vm.migrate("host2");
        check(vm.host == host("host2") && vm.boot_id == boot_id, "the same, elsewhere");
        let domid = vm.domid;
        vm.migrate(vm.host);
        check(vm.domid != domid && vm.boot_id == boot_id, "to its own host");
        vm.migrate(host("host1"), #{ live: false });
        check(vm.boot_id == boot_id, "not live either");
        job.wait();
        "#,
    );
}

#[test]
fn a_guest_goes_to_another_pool_and_stays_the_same_in_every_hand() {
    let ran = on(
        "sim:spare=1",
        r#"
        let boot_id = vm.boot_id;
        let uuid = vm.uuid;
        let mac = vm.mac;
        vm.write_file("/root/mark", "here");
        let job = vm.run_job("sleep 1; echo done");
        let point = vm.snapshot("kept");
        let same = vm;
        let there = host("RESOURCE_HOST_2");
        check(vm.can_migrate(there), "there is room");
        check(!vm.can_migrate(there, #{ live: false }), "it runs");
        vm.migrate(there);
        check(vm.host == there && vm.boot_id == boot_id && vm.uuid == uuid && vm.mac == mac, `${vm.host}`);
        check(vm.read_file("/root/mark") == "here" && vm.disks()[0].sr.type == "ext", "its disks came along");
        check(vm.snapshots().len() == 1 && same.host == there && guest(vm.name).host == there, "one guest");
        job.wait();
        vm.reboot();
        check(guests().len() == 2 && host().guests().all(|g| g.name != vm.name), `${guests()}`);
        vm.snapshots()[0].destroy();

        // Back by an address, as a pool that the run does not know.
        let master = host();
        vm.migrate(master.name, #{ remote: #{ host: master.ip }, sr: "NFS virtual disk storage", vif_map: #{ "0": "xenbr1" } });
        check(vm.host.name == master.name && vm.vifs()[0].network.bridge == "xenbr1", `${vm.host} ${vm.vifs()}`);
        check(vm.read_file("/root/mark") == "here", "and back");
        vm.shutdown();
        vm.start();

        let twin = guest("guest2").name;
        let caught = ();
        try { guest("guest2").migrate(there, #{ vdi_map: #{ "7": "Local storage" } }); } catch (e) { caught = e; }
        check(caught.kind == "not_found" && caught.message.contains("no disk `7`"), `${caught}`);
        try { guest("guest2").migrate(there, #{ vif_map: #{ "0": "nowhere" } }); } catch (e) { caught = e; }
        check(caught.kind == "not_found", `${caught}`);
        try { guest("guest2").migrate("host2", #{ vif_map: #{ "0": "xenbr1" } }); } catch (e) { caught = e; }
        check(caught.blame == "author", `${caught}`);
        try { guest("guest2").migrate(there.name); } catch (e) { caught = e; }
        check(caught.kind == "not_found" && caught.help.contains("another pool of the run"), `${caught}`);
        "#,
    );
    ran.ends(0);
}

#[test]
fn a_migration_that_the_pool_refuses_fails_and_the_guest_goes_on_where_it_was() {
    ends_with(
        "sim:spare=1,trouble=fail:VM.migrate_send=SR_BACKEND_FAILURE_46",
        "vm.migrate(host(\"host3\"));",
        Outcome::Failed,
        "SR_BACKEND_FAILURE_46",
    );
    let statements = r#"
        let boot_id = vm.boot_id;
        try { vm.migrate(host("host3")); } catch (e) { log(e.message); }
        check(vm.host.name == "host1" && vm.boot_id == boot_id, "as before");
        vm.check();"#;
    on("sim:spare=1,trouble=fail:host.migrate_receive=INTERFACE_HAS_NO_IP", statements).ends(0);
}

#[test]
fn disks_move_with_a_guest_within_its_pool() {
    passes(
        r#"
        let boot_id = vm.boot_id;
        vm.write_file("/root/mark", "here");
        let extra = vm.create_disk(#{ size: "1GiB" });
        defer(|| extra.destroy());
        check(vm.can_migrate("host2", #{ sr: host("host2").local_sr }), "there is room");
        vm.migrate("host2", #{ vdi_map: #{ "0": host("host2").local_sr } });
        let kinds = vm.disks().map(|d| d.sr.type);
        check(vm.host.name == "host2" && vm.boot_id == boot_id && kinds == ["ext", "nfs"], `${kinds}`);
        vm.migrate("host1", #{ sr: pool().default_sr });
        check(vm.disks()[0].sr == pool().default_sr && vm.read_file("/root/mark") == "here", "back");
        "#,
    );
}

#[test]
fn a_guest_gets_another_name_in_every_hand() {
    passes(
        r#"
        let same = vm;
        vm.rename("web 1");
        check(vm.name == "web 1" && same.name == "web 1" && guest("web 1") == vm, `${vm} ${same}`);
        let caught = ();
        try { guest("guest1"); } catch (e) { caught = e; }
        check(caught.kind == "not_found", `${caught}`);
        try { vm.rename(" "); } catch (e) { caught = e; }
        check(caught.kind == "malformed" && vm.name == "web 1", `${caught}`);
        vm.reboot();
        vm.rename("guest1");
        check(guest("guest1") == vm && vm.exec("hostname") != "", "and back");
        "#,
    );
    ends_with("sim:trouble=fail:VM.set_name_label=INTERNAL_ERROR", "vm.rename(\"x\");", Outcome::Failed, "INTERNAL_ERROR");
}

#[test]
fn devices_that_do_not_work_are_found() {
    passes(
        r#"
        vm.check_pv_devices();
        let disk = vm.create_disk(#{ size: "1GiB" });
        vm.check_pv_devices();
        disk.destroy();
        check(vm.host.dom0_uuid.len() == 36, vm.host.dom0_uuid);
        vm.shutdown();
        let caught = ();
        try { vm.check_pv_devices(); } catch (e) { caught = e; }
        check(caught.message.contains("no domain"), `${caught}`);
        // As long as it boots, its kernel has taken nothing.
        sim().speed("1");
        vm.start(#{ wait: false });
        try { vm.check_pv_devices(); } catch (e) { caught = e; }
        check(caught.kind == "refused" && caught.message.contains("vbd 51712: the guest's end is initialising (1)"), `${caught}`);
        sim().speed("max");
        vm.wait_ready();
        vm.check_pv_devices();
        "#,
    );
}

#[test]
fn processors_and_memory_change_and_are_seen_inside() {
    passes(
        r#"
        vm.shutdown();
        vm.set_vcpus(2);
        vm.set_memory("768MiB");
        vm.start();
        check(vm.vcpus == 2 && vm.guest_cpus() == 2 && vm.memory == mib(768), `${vm.vcpus} ${vm.guest_cpus()} ${vm.memory}`);
        vm.set_vcpus(1, #{ live: true });
        check(vm.guest_cpus() == 1, "at once");
        vm.shutdown();
        vm.set_memory_limits(#{ static_min: "256MiB", dynamic_min: "512MiB" });
        vm.start();
        vm.set_memory_target("512MiB");
        vm.wait_memory_target();
        "#,
    );
    ends_with("sim", "vm.set_vcpus(2);", Outcome::Errored, "can be changed while it is DOWN");
    ends_with("sim", "vm.set_memory(\"1GiB\");", Outcome::Failed, "VM_BAD_POWER_STATE");
    ends_with("sim", "vm.shutdown(); vm.set_memory_limits(#{ dynamic_min: \"9GiB\" });", Outcome::Errored, "not in order");
}

#[test]
fn trouble_has_the_right_outcome_and_blame_and_says_what_was_seen() {
    let ran = ends_with("sim", "sim().trouble(\"fail:VM.start=SR_FULL\"); vm.shutdown(); vm.start();", Outcome::Errored, "SR_FULL");
    assert_eq!(ran.failure("t").blame, Blame::Lab, "{}", ran.transcript());
    let ran = ends_with(
        "sim",
        "sim().trouble(\"fail:VM.start=INTERNAL_ERROR\"); vm.shutdown(); vm.start();",
        Outcome::Failed,
        "INTERNAL_ERROR",
    );
    assert_eq!(ran.failure("t").blame, Blame::Product, "{}", ran.transcript());
    // A guest that dies while it is waited for is told at once.
    ends_with(
        "sim",
        "sim().trouble(\"kill:guest1\"); vm.wait_state(\"UP\", #{ timeout: 1 });",
        Outcome::Failed,
        "for `guest1` to be UP; last seen: it is DOWN",
    );
    let ran = ends_with(
        "sim",
        "sim().trouble(\"hang:guest1\"); vm.wait_ready(#{ timeout: 2 });",
        Outcome::Errored,
        "for `guest1` to answer",
    );
    assert_eq!(ran.failure("t").kind, Kind::Timeout);
    ends_with("sim", "sim().trouble(\"hang:guest1\"); vm.check_health();", Outcome::Failed, "runs, and does not answer");
    let ran = on("sim", "sim().trouble(\"fail:VM.clean_shutdown=VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT\"); vm.shutdown_or_kill(); check(vm.state == \"DOWN\", vm.state);").ends(0);
    assert!(warnings(&ran).iter().any(|w| w.contains("by force")), "{:?}", warnings(&ran));
    ends_with(
        "sim",
        "sim().trouble(\"fail:VM.clean_shutdown=VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT\"); try { vm.shutdown(#{ again: true }); } catch (e) { check(vm.state == \"DOWN\", vm.state); throw e; }",
        Outcome::Failed,
        "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT",
    );
}

#[test]
fn a_testcase_runs_on_what_its_meta_says_or_is_skipped() {
    let script = |meta: &str, run: &str| format!("fn meta() {{ {meta} }}\nfn run(args) {{ {run} }}");
    let ran = |pool: &str, meta: &str, run: &str| {
        Xrt::new().script("t.rhai", &script(meta, run)).arg("--no-logs").arg("--host").arg(pool).run()
    };
    let host = r#"check(type_of(target()) == "Host" && target().name == "host1", `${target()}`);"#;
    ran("sim", r#"#{ target: "host" }"#, host).ends(0);
    ran("sim", r#"#{ target: "pool", needs: ["pool", "shared_storage"] }"#, "check(target().hosts().len() == 2, \"two\");").ends(0);
    ran("sim", r#"#{ needs: ["simulator"] }"#, "").ends(0);
    for (pool, meta, said) in [
        ("sim:hosts=1", r#"#{ target: "pool", needs: ["pool"] }"#, "needs a pool of at least two hosts"),
        ("sim:guests=1", r#"#{ target: "guest", guests: 2 }"#, "needs 2 guests, the run has 1"),
    ] {
        let ran = ran(pool, meta, "fail(\"it runs\");");
        assert_eq!(ran.outcome("t"), Outcome::Skipped, "{}", ran.transcript());
        assert!(ran.reason("t").contains(said), "{}", ran.reason("t"));
    }
    let ran = ran("sim", r#"#{ needs: ["shared_storrage"] }"#, "").ends(3);
    assert_eq!(ran.failure("t").help.as_deref(), Some("did you mean `shared_storage`?"));
}

#[test]
fn a_guest_without_a_host_skips_what_needs_one() {
    let run = |statements: &str| testcase(statements).args("--guest local").run();
    let ran = run("vm.start();");
    assert_eq!(ran.outcome("t"), Outcome::Skipped, "{}", ran.transcript());
    assert!(ran.reason("t").contains("no host is known for `local`"), "{}", ran.reason("t"));
    run(r#"try { vm.suspend(); } catch (e) { check(e.kind == "unsupported", e.kind); } check(vm.state == "UP", vm.state);"#)
        .ends(0);
}
