//! Hosts, pools, SRs, networks and NICs: scripts that the real program runs on a simulated pool.

use crate::support::terminal::{CTRL_D, ENTER, TAB, Terminal};
use crate::support::xrt::{Ran, Xrt};
use tempfile::TempDir;
use xenrt::event::Outcome;

/// The statements as a testcase on a pool.
fn on(pool: &str, statements: &str) -> Ran {
    let script = format!("fn run(args) {{\nlet pool = pool();\nlet host = host();\n{statements}\n}}");
    Xrt::new().script("t.rhai", &script).args(&format!("--host {pool} --no-logs")).run()
}

#[track_caller]
fn passes(statements: &str) -> Ran {
    on("sim", statements).ends(0)
}

#[test]
fn hosts_and_pools_are_what_their_toolstack_says() {
    passes(
        r#"
        check(type_of(host) == "Host" && type_of(pool) == "Pool", "types");
        check(hosts().len() == 2 && pool.hosts() == hosts() && pool.members() == [hosts()[1]], `${hosts()}`);
        check(pool.master == host && `${host}` == `host("${host.name}")`, `${host}`);
        check(host("host2") == hosts()[1] && host(host.uuid) == host && host(host.ip) == host, "by name, uuid and address");
        check(host("RESOURCE_HOST_1") == pool.members()[0] && config("RESOURCE_HOST_1") == host("RESOURCE_HOST_1").ip, "by number");
        check(host.is_enabled && host.is_live && host.cpus > 0 && host.free_memory < host.total_memory, "facts");
        check(host.version.len() > 2 && host.software.len() > 3, host.version);
        check(host.dom0.exec("hostname") == host.hostname && host.ssh_rc("exit 7") == 7, "its inside");
        check(pool.guests().len() == 2 && host.guest("guest1") == guest("guest1"), "guests");
        check(guest("guest1") in pool.guests() && host.guests().len() == 1, `${host.guests()}`);
        check("Debian Bookworm 12" in host.templates(), `${host.templates()}`);
        pool.check();
        host.check();
        "#,
    );
}

#[test]
fn a_wrong_name_gets_the_nearest() {
    for (statement, what, help) in [
        ("host(\"hots1\");", "no host `hots1` in this lab", "did you mean `host1`?"),
        ("pool.host(\"hots2\");", "no host `hots2`", "did you mean `host2`?"),
        ("pool.sr(\"nope\");", "no SR `nope`", "there is: "),
        ("host.network(\"nope\");", "no network `nope`", "there is: "),
        ("host.nic(99);", "has no NIC `99`", "there is: "),
        ("host.guest(\"guets1\");", "no guest `guets1`", "did you mean `guest1`?"),
        ("host.get(\"nmae_label\");", "nmae_label", ""),
        ("host.create_vm(#{ template: \"nope\" });", "no template `nope`", "there is: "),
        (
            "host.create_vm(#{ distro: \"beos5\" });",
            "no template has beos5 installed",
            "install one and call it xenrt-template-beos5-x86-64",
        ),
        ("host.create_sr(#{ type: \"nfs\", name: \"x\", server: \"s\" });", "needs `path`", "type nfs takes `server`"),
    ] {
        let script = format!("fn run(args) {{\nlet pool = pool();\nlet host = host();\n{statement}\n}}");
        let ran = Xrt::new().script("t.rhai", &script).args("--host sim --no-logs --no-check").run();
        assert!(ran.reason("t").contains(what), "{statement}: {}", ran.transcript());
        let said = ran.failure("t").help.unwrap_or_default();
        assert!(said.contains(help), "{statement}: {said}");
    }
}

#[test]
fn a_host_is_emptied_rebooted_and_takes_guests_again() {
    passes(
        r#"
        let member = pool.members()[0];
        let vm = member.guests()[0];
        check(vm.host == member, `${vm.host}`);
        member.disable();
        check(!member.is_enabled, "it takes no more");
        member.enable();
        member.evacuate();
        check(vm.host == pool.master && member.guests().len() == 0 && !member.is_enabled, "its guest is elsewhere");
        member.enable();
        let boots = [member.dom0.boot_id];
        for how in [#{}, #{ forced: true }, #{ clean: true }, #{ evacuate: true }] {
            member.reboot(how);
            check(member.is_enabled && !(member.dom0.boot_id in boots), `${how}`);
            boots.push(member.dom0.boot_id);
        }
        member.restart_toolstack();
        check(member.dom0.boot_id == boots[4], "only its toolstack");
        "#,
    );
}

#[test]
fn a_host_without_power_does_not_answer_until_it_has_some() {
    passes(
        r#"
        let member = pool.members()[0];
        let before = member.dom0.boot_id;
        member.evacuate();
        member.power_off();
        check(!member.is_reachable(), "it is gone");
        member.power_on();
        check(member.is_enabled && member.dom0.boot_id != before, "it is back");
        "#,
    );
}

#[test]
fn an_sr_is_made_forgotten_brought_back_and_removed() {
    passes(
        r#"
        let sr = pool.create_sr(#{ type: "nfs", name: "scratch", server: "nfs1", path: "/export" });
        check(sr.type == "nfs" && sr.is_pool_wide && sr.size > 0, `${sr}`);
        check(sr in pool.srs() && pool.sr("scratch") == sr && host.sr(sr.uuid) == sr, "found");
        sr.check();
        let path = `/run/sr-mount/${sr.uuid}`;
        let member = pool().members()[0];
        check(member.ssh(`findmnt -n -o SOURCE ${path}`).ends_with(`/${sr.uuid}`), "mounted");
        member.ssh(`umount ${path}`);
        let said = ();
        try { sr.check(); } catch (e) { said = e.message; }
        check(said.contains(`${member.name} has nothing mounted at ${path}`), `${said}`);
        sr.unplug();
        sr.plug();
        sr.check();
        let vdi = sr.create_vdi(#{ name: "one", size: "1GiB" });
        check(vdi.size == GIB && sr.vdi("one") == vdi, `${vdi.size}`);
        vdi.resize(2 * GIB);
        let kept = vdi.snapshot();
        check(kept.is_snapshot && kept.size == 2 * GIB, `${kept.size}`);
        kept.destroy();
        sr.wait_coalesced();
        let uuid = sr.uuid;
        sr.unplug();
        let unplugged = false;
        try { sr.check(); } catch (e) { unplugged = e.kind == "refused" && e.message.contains("it is not plugged on host1"); }
        check(unplugged, "check sees it");
        sr.plug();
        sr.forget();
        check(!(uuid in pool.srs().map(|s| s.uuid)), "forgotten");
        sr.introduce();
        check(sr.uuid == uuid && sr.vdis().len() == 1, `${sr.vdis()}`);
        pool.set_default_sr(sr);
        check(pool.default_sr == sr, "the default");
        sr.remove();
        check(!(uuid in pool.srs().map(|s| s.uuid)), "removed");
        "#,
    );
}

#[test]
fn a_full_sr_is_told_in_the_back_end_s_own_words() {
    let filled = r#"sim().trouble(`fill:${pool.default_sr.name}`); pool.default_sr.create_vdi(#{ name: "one", size: "1GiB" });"#;
    let ran = on("sim", filled);
    let failure = ran.failure("t");
    assert!(failure.message.contains("SR_BACKEND_FAILURE_44"), "{}", ran.transcript());
    assert_eq!(ran.outcome("t"), Outcome::Errored, "{}", ran.transcript());
}

#[test]
fn networks_vlans_and_addresses() {
    passes(
        r#"
        check(host.network() == host.nics().filter(|n| n.is_management)[0].network, "managed over it");
        let internal = host.create_network(#{ name: "internal", mtu: 9000 });
        check(host.network("internal") == internal && internal.mtu == 9000 && internal.pifs() == [], `${internal}`);
        let vlan = host.create_vlan(#{ nic: 1, tag: 42, network: "forty-two" });
        check(vlan.vlan == 42 && vlan.network.name == "forty-two" && !vlan.is_physical, `${vlan}`);
        vlan.destroy();
        check(host.nics().filter(|n| n.vlan == 42) == [], "gone");
        let nic = host.nic(1);
        nic.set_ip(#{ mode: "static", ip: "192.168.9.1", netmask: "255.255.255.0" });
        check(host.nic(1).ip == "192.168.9.1", host.nic(1).ip);
        nic.set_ip(#{});
        check(host.nic(1).ip == (), "none");
        let lonely = 0;
        try { nic.destroy(); } catch (e) { lonely += 1; check(e.kind == "unsupported", e.kind); }
        check(lonely == 1, "a physical NIC stays");
        internal.destroy();
        "#,
    );
}

#[test]
fn nics_are_bonded() {
    passes(
        r#"
        let free = host.nics().filter(|n| n.is_physical && !n.is_management);
        if free.len() < 2 { skip("too few NICs"); }
        let bond = host.create_bond(#{ nics: [free[0], free[1]], mode: "active-backup" });
        check(bond.is_bond, `${bond}`);
        bond.destroy();
        check(host.nics().filter(|n| n.is_bond) == [], "apart again");
        "#,
    );
}

#[test]
fn the_toolstack_s_own_words_are_at_hand() {
    passes(
        r#"
        check(host.get("hostname") == host.hostname, host.get("hostname"));
        host.set("other_config", "colour", "red");
        check(host.get("other_config", "colour") == "red" && host.get("other_config").colour == "red", "a key");
        pool.set("name_label", "renamed");
        check(pool().name == "renamed", pool().name);
        check(host.xapi("host.get_record", [host]).uuid == host.uuid, "an object is its reference");
        check(host.xapi_find("VM", #{ name_label: "guest1" })[0].uuid == guest("guest1").uuid, "by a field");
        check(host.xe("host-list", #{ uuid: host, params: "name-label" }, #{ minimal: true }) == host.name, "xe");
        check(pool.xe("vm-list name-label=guest1 --minimal") == guest("guest1").uuid, "xe with words");
        let caught = ();
        try { host.xapi("host.no_such_thing", []); } catch (e) { caught = e; }
        check(caught.kind == "unsupported" && caught.message.contains("MESSAGE_METHOD_UNKNOWN"), `${caught}`);
        "#,
    );
}

#[test]
fn the_master_is_another_and_its_pool_goes_on() {
    passes(
        r#"
        let first = pool.master;
        let other = pool.members()[0];
        pool.set_master(other);
        check(pool.master == other && pool.members() == [first], `${pool.master}`);
        check(guest("guest1").state == "UP" && hosts()[0] == other, "as before");
        pool.set_master(first);
        pool.sync_database();
        "#,
    );
}

#[test]
fn a_guest_is_made_of_a_template_and_what_fails_leaves_nothing() {
    let ran = passes(
        r#"
        let vm = host.create_vm(#{ distro: "debian12", name: "new", vcpus: 2, memory: "1GiB", disks: ["2GiB"], networks: [host.network()] });
        check(vm.state == "UP" && vm.vcpus == 2 && vm.memory == GIB && vm.host == host, `${vm.vcpus} ${vm.memory}`);
        check(vm.exec("hostname").len() > 0, "it answers");
        check(vm.disks().len() == 2 && vm.vifs().len() == 1, `${vm.disks()} ${vm.vifs()}`);
        vm.uninstall();
        let before = pool.guests().len();
        let failed = false;
        try { host.create_vm(#{ distro: "debian12", networks: ["nowhere"] }); } catch (e) { failed = e.kind == "not_found"; }
        check(failed && pool.guests().len() == before, "nothing is left of it");
        "#,
    );
    assert!(!ran.transcript().contains("left behind"), "{}", ran.transcript());
}

#[test]
fn trouble_comes_when_it_is_asked_for() {
    passes(
        r#"
        sim().trouble("fail:host.disable=HOST_IN_USE");
        check(sim().troubles().len() == 1, `${sim().troubles()}`);
        let caught = ();
        try { host.disable(); } catch (e) { caught = e; }
        check(caught.message.contains("HOST_IN_USE") && caught.blame == "product", `${caught}`);
        check(host.is_enabled && sim().troubles() == [], "only once");
        "#,
    );
}

#[test]
fn a_spare_host_joins_and_leaves() {
    let script = r#"fn run(args) {
        let pool = pool();
        let spare = host("RESOURCE_HOST_2");
        check(pool.hosts().len() == 2 && !(spare in pool.hosts()), "a pool of its own");
        pool.add(spare);
        check(pool.hosts().len() == 3 && spare.is_enabled && spare in pool.hosts(), `${pool.hosts()}`);
        pool.check();
        pool.eject(spare);
        check(pool.hosts().len() == 2, `${pool.hosts()}`);
        check(spare.is_enabled && spare.xapi("host.get_all").len() == 1 && !(spare in pool.hosts()), "a pool of its own again");
        pool.add(spare);
        check(pool.hosts().len() == 3 && spare in pool.hosts(), "and back");
        pool.eject(spare);
    }"#;
    Xrt::new().script("t.rhai", script).args("--host sim:spare=1 --no-logs").run().ends(0);
}

#[test]
fn a_wrong_address_says_what_to_do() {
    for (words, exit, what, help) in [
        ("--pool 127.0.0.1:1 --connect-timeout 0.3", 3, "cannot attach to xapi on 127.0.0.1:1", "--host sim"),
        ("--host sim:hots=3", 2, "no option `hots`", "did you mean `hosts`?"),
        ("--host virsh://h1", 2, "there is no toolstack `virsh`", "xapi://h1"),
        ("--host root:sesame@ --connect-timeout 0.3", 2, "no host is named", "write it as h1"),
    ] {
        let ran = Xrt::new().script("t.rhai", "fn run(args) { host(); }").args(words).run().ends(exit);
        assert!(ran.stderr.contains(what) && ran.stderr.contains(help), "{}", ran.transcript());
        assert!(!ran.stderr.contains("sesame"), "{}", ran.transcript());
    }
    let ran = Xrt::new().script("t.rhai", "fn run(args) { host(); }").arg("--no-logs").run().ends(3);
    assert!(ran.reason("t").contains("there is no host in this lab"), "{}", ran.transcript());
}

/// Whether a line has these words in this order.
fn row(lines: &[String], words: &[&str]) -> bool {
    lines.iter().any(|line| {
        let found: Vec<&str> = line.split_whitespace().collect();
        found.starts_with(words)
    })
}

#[test]
fn a_prompt_has_the_pool_at_hand() {
    let home = TempDir::with_prefix("xrt-pool-").unwrap();
    let terminal = Terminal::prompt(&["--host", "sim"], home.path());
    terminal.has("host is host1, pool is its pool of 2");
    terminal.enter("guests");
    terminal.until("a table of guests", |lines| {
        row(lines, &["NAME", "STATE", "HOST", "MEMORY", "IP"])
            && row(lines, &["guest1", "UP", "host1"])
            && row(lines, &["guest2", "UP", "host2"])
    });
    terminal.ready();
    terminal.enter("pool.hosts()");
    terminal.until("a table of hosts", |lines| row(lines, &["host2", "ENABLED"]));
    terminal.ready();
    terminal.press(&format!("guest(\"gue{TAB}"));
    terminal.has("guest2");
    terminal.press(&format!("1\").stat{TAB}"));
    terminal.has("guest(\"guest1\").state");
    terminal.press(ENTER);
    terminal.shows("\"UP\"");
    terminal.ready();
    terminal.enter("host.xapi(\"host.get_all\").len()");
    terminal.shows("2");
    terminal.ready();
    terminal.enter("guests[0].shutdown(); guests");
    terminal.until("what is now", |lines| row(lines, &["guest1", "DOWN"]));
    terminal.ready();
    terminal.press(CTRL_D);
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn objects_in_a_pipe_are_what_they_are() {
    let ran = Xrt::new().args("repl --host sim").arg("-e").arg("pool.hosts()").run().ends(0);
    assert_eq!(ran.stdout, "[host(\"host1\"), host(\"host2\")]\n", "{}", ran.transcript());
}
