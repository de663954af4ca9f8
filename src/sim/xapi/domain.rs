//! Domains: what a VM is while it runs, and the guest in it from its boot to its end.

use super::super::clock::pace;
use super::super::inside::{Act, Down, Machine, MachineDisk, MachineKind, MachineVif};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Cx, World};
use super::{host, netboot, vm_rules};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What the agent of the simulated guests calls itself.
const AGENT: (i64, i64, i64, i64) = (8, 4, 0, 1);

/// Builds the domain of a VM on a host; it is paused until [`unpause`].
pub fn build(cx: &mut Cx<'_>, vm: Ref, host: Ref) {
    let now = cx.now();
    cx.site.next_domid += 1;
    let domid = cx.site.next_domid;
    let memory = cx.db.int(vm, "memory_dynamic_max");
    let target = if cx.db.int(vm, "memory_target") > 0 { cx.db.int(vm, "memory_target") } else { memory };
    cx.db.set(vm, "memory_target", target.clamp(cx.db.int(vm, "memory_dynamic_min"), memory.max(1)));
    cx.db.set(vm, "resident_on", host);
    schedule(cx, vm, Ref::NULL);
    cx.db.set(vm, "domid", domid);
    cx.db.set(vm, "power_state", "Paused");
    cx.db.set(vm, "last_booted_record", "");
    let metrics = metrics(cx, vm);
    let kind = vm_rules::domain_type(cx.db, vm);
    cx.db.set(metrics, "current_domain_type", kind.clone());
    cx.db.set(metrics, "hvm", kind.as_str() == "hvm");
    cx.db.set(metrics, "start_time", Value::Date(now));
    cx.db.set(metrics, "last_updated", Value::Date(now));
    cx.db.set(metrics, "VCPUs_number", cx.db.int(vm, "VCPUs_at_startup"));
    cx.db.set(metrics, "memory_actual", cx.db.int(vm, "memory_target"));
    for vbd in cx.db.links(vm, "VBDs") {
        attach_disk(cx, vm, vbd);
    }
    for vif in cx.db.links(vm, "VIFs") {
        cx.db.set(vif, "currently_attached", true);
    }
    console(cx, vm, host);
    host::touch_memory(cx, host);
}

/// Notes that a VM is on its way to a host, or to none any more: its memory there is taken from now on.
pub fn schedule(cx: &mut Cx<'_>, vm: Ref, host: Ref) {
    cx.db.set(vm, "scheduled_to_be_resident_on", host);
    if host.is_null() {
        cx.db.scheduled.remove(&vm);
    } else {
        cx.db.scheduled.insert(vm);
    }
}

/// The record of a VM's measurements; made where there is none.
pub fn metrics(cx: &mut Cx<'_>, vm: Ref) -> Ref {
    let known = cx.db.link(vm, "metrics");
    if cx.db.exists(known) {
        return known;
    }
    let made = cx.db.create("VM_metrics", [("install_time", Value::Date(0))]);
    cx.db.set(vm, "metrics", made);
    made
}

/// What a disk is called in the guest once it is plugged.
pub fn device_name(db: &Store, vbd: Ref) -> String {
    let position = db.text(vbd, "userdevice");
    match position.parse::<u8>() {
        Ok(number) if number < 26 => format!("xvd{}", char::from(b'a' + number)),
        _ => format!("xvd{position}"),
    }
}

/// Marks a disk as attached to a running VM. An empty drive is attached too.
pub fn attach_disk(cx: &mut Cx<'_>, _vm: Ref, vbd: Ref) {
    let name = device_name(cx.db, vbd);
    cx.db.set(vbd, "device", name);
    cx.db.set(vbd, "currently_attached", true);
}

/// The consoles of a VM, on its host.
pub fn console(cx: &mut Cx<'_>, vm: Ref, host: Ref) {
    for protocol in ["rfb", "vt100"] {
        let address = cx.db.text(host, "address").to_string();
        let console = cx.db.create_with("console", vec![("protocol", Value::from(protocol)), ("VM", Value::Ref(vm))]);
        cx.db.set(console, "location", format!("https://{address}/console?ref={console}"));
    }
}

/// Lets a domain that was built run from its start: the guest boots.
pub fn boot(cx: &mut Cx<'_>, vm: Ref) {
    cx.db.set(vm, "power_state", "Running");
    let domid = cx.db.int(vm, "domid");
    cx.after(pace::GUEST_BOOT, move |cx| {
        if cx.db.int(vm, "domid") == domid && cx.db.text(vm, "power_state") == "Running" {
            ready(cx, vm, true);
        }
    });
}

/// What is installed on the disk that a VM starts from; nothing when there is nothing to start.
pub fn system(cx: &Cx<'_>, vm: Ref) -> Option<Arc<str>> {
    let mut disks: Vec<Ref> = cx.db.links(vm, "VBDs").into_iter().filter(|vbd| cx.db.text(*vbd, "type") == "Disk").collect();
    disks.sort_by_key(|vbd| (!cx.db.is(*vbd, "bootable"), cx.db.text(*vbd, "userdevice").parse().unwrap_or(99)));
    let first = disks.first()?;
    cx.site.systems.get(cx.db.text(cx.db.link(*first, "VDI"), "uuid")).cloned()
}

/// The guest has booted, or goes on after a resume: it answers, and its agent says what it is.
pub fn ready(cx: &mut Cx<'_>, vm: Ref, is_new_boot: bool) {
    let distro = system(cx, vm);
    if is_new_boot && let Some(from) = netboot::source(cx, vm, distro.is_some()) {
        let machine = machine(cx, vm, "");
        return cx.site.inside.machine_installs(&machine, from);
    }
    let Some(distro) = distro else { return };
    let machine = machine(cx, vm, &distro);
    describe(cx, vm, &machine, &distro);
    if is_new_boot {
        cx.site.inside.machine_up(&machine);
    } else {
        cx.site.inside.machine_resumed(&machine);
    }
}

/// Tells the inside of a running guest what has changed around it.
pub fn changed(cx: &mut Cx<'_>, vm: Ref) {
    if !vm_rules::has_agent(cx.db, vm) {
        return;
    }
    if let Some(distro) = system(cx, vm) {
        let machine = machine(cx, vm, &distro);
        describe(cx, vm, &machine, &distro);
        cx.site.inside.machine_changed(&machine);
    }
}

/// What the agent in the guest says.
fn describe(cx: &mut Cx<'_>, vm: Ref, machine: &Machine, distro: &str) {
    let now = cx.now();
    let known = cx.db.link(vm, "guest_metrics");
    let metrics = if cx.db.exists(known) { known } else { cx.db.create("VM_guest_metrics", [("live", true)]) };
    let (major, minor, micro, build) = AGENT;
    let drivers = [("major", major), ("minor", minor), ("micro", micro), ("build", build)].map(|(key, n)| (key, n.to_string()));
    cx.db.set(metrics, "PV_drivers_version", Value::from(drivers));
    cx.db.set(metrics, "PV_drivers_up_to_date", true);
    cx.db.set(metrics, "PV_drivers_detected", true);
    cx.db.set(metrics, "live", true);
    cx.db.set(metrics, "can_use_hotplug_vbd", "yes");
    cx.db.set(metrics, "can_use_hotplug_vif", "yes");
    cx.db.set(metrics, "os_version", os_version(distro));
    cx.db.set(
        metrics,
        "other",
        Value::from([("feature-balloon", "1"), ("feature-suspend", "1"), ("feature-reboot", "1"), ("feature-shutdown", "1")]),
    );
    cx.db.set(metrics, "networks", networks(machine));
    cx.db.set(metrics, "last_updated", Value::Date(now));
    cx.db.set(vm, "guest_metrics", metrics);
    let port = cx.site.ssh_port.to_string();
    if cx.db.key(vm, "other_config", "xrt:ssh-port") != Some(port.as_str()) {
        cx.db.set_key(vm, "other_config", "xrt:ssh-port", port);
    }
}

fn networks(machine: &Machine) -> Value {
    let mut map = std::collections::BTreeMap::new();
    // Only the first interface has the address that answers.
    if let Some(first) = machine.vifs.first() {
        map.insert(Arc::from(format!("{}/ip", first.device)), Value::from(machine.address.to_string()));
        map.insert(Arc::from(format!("{}/ipv4/0", first.device)), Value::from(machine.address.to_string()));
    }
    Value::Map(map)
}

/// What the agent says of an operating system: (what is installed, name, distribution, major, minor, kernel).
const SYSTEMS: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("centos7", "CentOS Linux release 7.9.2009 (Core)", "centos", "7", "9", "3.10.0-1160.el7.x86_64"),
    ("debian11", "Debian GNU/Linux 11 (bullseye)", "debian", "11", "9", "5.10.0-30-amd64"),
    ("debian12", "Debian GNU/Linux 12 (bookworm)", "debian", "12", "7", "6.1.0-25-amd64"),
    ("rocky8", "Rocky Linux 8.10 (Green Obsidian)", "rocky", "8", "10", "4.18.0-553.el8_10.x86_64"),
    ("rocky9", "Rocky Linux 9.4 (Blue Onyx)", "rocky", "9", "4", "5.14.0-427.el9.x86_64"),
    ("ubuntu2204", "Ubuntu 22.04.5 LTS", "ubuntu", "22", "04", "5.15.0-119-generic"),
    ("ubuntu2404", "Ubuntu 24.04.1 LTS", "ubuntu", "24", "04", "6.8.0-41-generic"),
    ("windows", "Microsoft Windows Server 2022 Standard|C:\\Windows|\\Device\\Harddisk0\\Partition2", "windows", "10", "0", ""),
];

fn os_version(distro: &str) -> Value {
    let known = SYSTEMS.iter().find(|system| distro.starts_with(system.0));
    let (_, name, distribution, major, minor, uname) = known.copied().unwrap_or((distro, distro, distro, "1", "0", "6.1.0"));
    Value::from([("name", name), ("distro", distribution), ("major", major), ("minor", minor), ("uname", uname)])
}

/// A VM as its inside sees it.
pub fn machine(cx: &mut Cx<'_>, vm: Ref, distro: &str) -> Machine {
    let uuid: Arc<str> = cx.db.text(vm, "uuid").into();
    let address = address(cx, &uuid);
    let db = &*cx.db;
    let mut vifs: Vec<Ref> = db.links(vm, "VIFs");
    vifs.sort_by_key(|vif| db.text(*vif, "device").parse::<u32>().unwrap_or(u32::MAX));
    let mut vbds: Vec<Ref> = db.links(vm, "VBDs");
    vbds.retain(|vbd| db.is(*vbd, "currently_attached"));
    vbds.sort_by_key(|vbd| db.text(*vbd, "userdevice").parse::<u32>().unwrap_or(u32::MAX));
    let vif = |vif: &Ref| MachineVif {
        device: db.text(*vif, "device").to_string(),
        mac: db.text(*vif, "MAC").to_string(),
        network: db.text(db.link(*vif, "network"), "uuid").to_string(),
    };
    let disk = |vbd: &Ref| {
        let vdi = db.link(*vbd, "VDI");
        MachineDisk {
            device: db.text(*vbd, "device").to_string(),
            vdi: db.text(vdi, "uuid").into(),
            bytes: db.int(vdi, "virtual_size").unsigned_abs(),
            is_cd: db.text(*vbd, "type") == "CD",
            is_read_only: db.text(*vbd, "mode") == "RO",
        }
    };
    Machine {
        kind: MachineKind::Guest,
        uuid,
        name: db.text(vm, "name_label").to_string(),
        address,
        domid: db.int(vm, "domid"),
        memory: db.int(vm, "memory_target").unsigned_abs(),
        vcpus: u32::try_from(db.int(db.link(vm, "metrics"), "VCPUs_number")).unwrap_or(1),
        distro: distro.to_string(),
        disks: vbds.iter().map(disk).collect(),
        vifs: vifs.iter().filter(|vif| db.is(**vif, "currently_attached")).map(vif).collect(),
        host: db.text(db.link(vm, "resident_on"), "uuid").into(),
        is_master: false,
    }
}

fn address(cx: &mut Cx<'_>, uuid: &Arc<str>) -> Ipv4Addr {
    if let Some(known) = cx.site.addresses.get(uuid) {
        return *known;
    }
    let fresh = cx.site.fresh_address();
    cx.site.addresses.insert(uuid.clone(), fresh);
    fresh
}

/// Takes the domain of a VM away: it is halted, or suspended if its memory is kept.
pub fn end(cx: &mut Cx<'_>, vm: Ref, how: Down) {
    let host = cx.db.link(vm, "resident_on");
    for vbd in cx.db.links(vm, "VBDs") {
        cx.db.set(vbd, "currently_attached", false);
        cx.db.set(vbd, "device", "");
    }
    for vif in cx.db.links(vm, "VIFs") {
        cx.db.set(vif, "currently_attached", false);
    }
    for console in cx.db.links(vm, "consoles") {
        cx.db.destroy(console);
    }
    let is_suspended = how == Down::Suspended;
    if !is_suspended {
        let metrics = cx.db.link(vm, "guest_metrics");
        cx.db.set(vm, "guest_metrics", Ref::NULL);
        cx.db.destroy(metrics);
        cx.db.set(vm, "memory_target", 0_i64);
    }
    cx.db.set(vm, "domid", -1_i64);
    cx.db.set(vm, "resident_on", Ref::NULL);
    cx.db.set(vm, "power_state", if is_suspended { "Suspended" } else { "Halted" });
    let metrics = cx.db.link(vm, "metrics");
    if cx.db.exists(metrics) {
        cx.db.set(metrics, "memory_actual", 0_i64);
        cx.db.set(metrics, "current_domain_type", "unspecified");
    }
    host::touch_memory(cx, host);
    cx.site.inside.machine_down(cx.db.text(vm, "uuid"), how);
}

/// A new domain in the place of the old one, as after a reboot.
pub fn rebuild(cx: &mut Cx<'_>, vm: Ref, how: Down) {
    let host = cx.db.link(vm, "resident_on");
    end(cx, vm, how);
    build(cx, vm, host);
    boot(cx, vm);
}

/// A machine has done something to itself.
pub fn machine_did(world: &mut World, uuid: &str, act: Act) {
    for pool in 0..world.pools.len() {
        let Some(mut cx) = world.cx(pool) else { continue };
        if let Some(vm) = cx.db.by_uuid("VM", uuid) {
            return guest_did(&mut cx, vm, act);
        }
        if let Some(host) = cx.db.by_uuid("host", uuid) {
            return host::machine_did(&mut cx, host, act);
        }
    }
}

fn guest_did(cx: &mut Cx<'_>, vm: Ref, act: Act) {
    if cx.db.text(vm, "power_state") != "Running" {
        return;
    }
    let (field, how) = match act {
        Act::Reboot => ("actions_after_reboot", Down::Clean),
        Act::PowerOff => ("actions_after_shutdown", Down::Clean),
        Act::Panic => ("actions_after_crash", Down::Killed),
    };
    match cx.db.text(vm, field) {
        "preserve" => {}
        "restart" | "coredump_and_restart" | "rename_restart" => rebuild(cx, vm, how),
        _ => end(cx, vm, how),
    }
}
