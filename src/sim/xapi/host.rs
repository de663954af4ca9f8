//! Hosts: what they can take, and their power.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::{Act, Down, Machine, MachineKind};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{domain, evacuate, pif, pool, vm_migrate, vm_rules};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What Xen itself takes of a host's memory.
const XEN: i64 = 256 << 20;

pub fn method(name: &str) -> Option<Method> {
    let own: Option<Method> = match name {
        "disable" => Some(disable),
        "enable" => Some(enable),
        "reboot" => Some(reboot),
        "shutdown" => Some(shutdown),
        "power_on" => Some(power_on),
        "restart_agent" => Some(restart_agent),
        "destroy" => Some(destroy),
        "declare_dead" => Some(declare_dead),
        "compute_free_memory" => Some(|cx, args| answer(free_memory(cx.db, args.link(0)))),
        "compute_memory_overhead" => Some(|_, _| answer(XEN)),
        "get_servertime" | "get_server_localtime" => Some(|cx, _| Ok(Answer::Done(Value::Date(cx.now())))),
        "get_management_interface" => Some(management_interface),
        "management_reconfigure" => Some(pif::management_reconfigure),
        "migrate_receive" => Some(vm_migrate::receive),
        "set_hostname_live" => Some(set_hostname_live),
        "set_power_on_mode" => Some(set_power_on_mode),
        "syslog_reconfigure" | "sync_data" | "backup_rrds" | "refresh_pack_info" | "send_debug_keys" => Some(|_, _| done()),
        "list_methods" => Some(|_, _| answer(super::super::datamodel::datamodel().methods().map(Value::from).collect::<Vec<_>>())),
        "call_plugin" => Some(call_plugin),
        "dmesg" => Some(|_, _| answer("(XEN) Xen version 4.17.5 (simulated)\n")),
        _ => None,
    };
    own.or_else(|| evacuate::method(name))
}

/// host.call_plugin(host, plugin, fn, args): the one that every host has only says what it was told.
fn call_plugin(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    if !is_live(cx.db, host) {
        return Err(Failure::new("HOST_OFFLINE", [host]));
    }
    match (args.text(1), args.text(2)) {
        ("echo", "main") => {
            let words: Vec<String> = args.map(3).iter().map(|(key, value)| format!("'{key}': '{}'", value.as_str())).collect();
            answer(format!("args were: {{{}}}", words.join(", ")))
        }
        ("echo", other) => Err(Failure::new("UNKNOWN_XENAPI_PLUGIN_FUNCTION", [other])),
        (plugin, _) => Err(Failure::new("XENAPI_MISSING_PLUGIN", [plugin])),
    }
}

pub fn allowed(db: &Store, host: Ref) -> Vec<&'static str> {
    if !is_live(db, host) {
        return vec!["power_on"];
    }
    if db.is(host, "enabled") {
        return vec!["evacuate", "provision", "vm_migrate", "vm_resume", "vm_start"];
    }
    vec!["enable", "evacuate", "reboot", "shutdown"]
}

/// Whether the pool has heard of the host lately.
pub fn is_live(db: &Store, host: Ref) -> bool {
    db.is(db.link(host, "metrics"), "live")
}

/// Whether a host is plugged into an SR.
pub fn sees(db: &Store, host: Ref, sr: Ref) -> bool {
    db.links(sr, "PBDs").into_iter().any(|pbd| db.link(pbd, "host") == host && db.is(pbd, "currently_attached"))
}

/// The host whose measurements these are.
pub fn of_metrics(db: &Store, metrics: Ref) -> Ref {
    db.all("host").into_iter().find(|host| db.link(*host, "metrics") == metrics).unwrap_or_default()
}

/// What is left for VMs, in bytes.
pub fn free_memory(db: &Store, host: Ref) -> i64 {
    if host.is_null() || !is_live(db, host) {
        return 0;
    }
    let resident: i64 = db.links(host, "resident_VMs").into_iter().map(|vm| vm_rules::memory(db, vm)).sum();
    let coming = db
        .scheduled
        .iter()
        .filter(|vm| db.link(**vm, "scheduled_to_be_resident_on") == host && db.link(**vm, "resident_on") != host);
    let coming: i64 = coming.map(|vm| vm_rules::memory(db, *vm)).sum();
    (db.int(db.link(host, "metrics"), "memory_total") - XEN - resident - coming).max(0)
}

/// Tells those who watch that the free memory of a host has changed.
pub fn touch_memory(cx: &mut Cx<'_>, host: Ref) {
    if cx.db.exists(host) {
        let metrics = cx.db.link(host, "metrics");
        cx.db.touch(metrics);
    }
}

/// The VMs on a host that are no control domains.
pub fn guests(db: &Store, host: Ref) -> Vec<Ref> {
    db.links(host, "resident_VMs").into_iter().filter(|vm| !db.is(*vm, "is_control_domain")).collect()
}

/// A host as its inside sees it.
pub fn machine(cx: &Cx<'_>, host: Ref) -> Machine {
    let db = &*cx.db;
    Machine {
        kind: MachineKind::Host,
        uuid: db.text(host, "uuid").into(),
        name: db.text(host, "hostname").to_string(),
        address: cx.site.hosts.get(db.text(host, "uuid")).map_or(Ipv4Addr::LOCALHOST, |place| place.address),
        domid: 0,
        memory: db.int(db.link(host, "metrics"), "memory_total").unsigned_abs(),
        vcpus: db.key(host, "cpu_info", "cpu_count").and_then(|n| n.parse().ok()).unwrap_or(1),
        distro: "xcp-ng".to_string(),
        disks: Vec::new(),
        vifs: Vec::new(),
        host: Arc::from(""),
        is_master: cx.master() == host,
    }
}

fn disable(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    assert_live(cx, host)?;
    cx.db.set(host, "enabled", false);
    done()
}

fn enable(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    assert_live(cx, host)?;
    cx.db.set(host, "enabled", true);
    done()
}

fn assert_live(cx: &Cx<'_>, host: Ref) -> Outcome<()> {
    if is_live(cx.db, host) { Ok(()) } else { Err(Failure::new("HOST_OFFLINE", [host])) }
}

/// # Errors
/// `HOST_NOT_DISABLED`, `HOST_IN_USE`: it may not go down now.
fn assert_idle(cx: &Cx<'_>, host: Ref) -> Outcome<()> {
    assert_live(cx, host)?;
    if cx.db.is(host, "enabled") {
        return Err(Failure::bare("HOST_NOT_DISABLED"));
    }
    if let Some(vm) = guests(cx.db, host).first() {
        return Err(Failure::new("HOST_IN_USE", [host.to_string(), "vm".to_string(), vm.to_string()]));
    }
    Ok(())
}

fn reboot(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    assert_idle(cx, host)?;
    // The answer comes before the host goes.
    cx.after(pace::HOST_SHUTDOWN, move |cx| {
        go_down(cx, host, Down::Clean);
        go_up_after(cx, host);
    });
    done()
}

fn shutdown(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    assert_idle(cx, host)?;
    cx.after(pace::HOST_SHUTDOWN, move |cx| go_down(cx, host, Down::Clean));
    done()
}

fn power_on(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    if cx.db.text(host, "power_on_mode").is_empty() {
        return Err(Failure::new("HOST_POWER_ON_NOT_CONFIGURED", [host]));
    }
    if cx.site.hosts.get(cx.db.text(host, "uuid")).is_some_and(|place| place.is_up) {
        return Err(Failure::new("HOST_IS_LIVE", [host]));
    }
    go_up_after(cx, host);
    // XAPI waits until the host is there.
    later(pace::HOST_BOOT + pace::AGENT_RESTART, move |cx| assert_live(cx, host).and_then(|()| done()))
}

fn restart_agent(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    assert_live(cx, host)?;
    // The answer comes before the toolstack goes.
    cx.after(pace::AGENT_STOP, move |cx| {
        let uuid = cx.db.text(host, "uuid").to_string();
        cx.site.set_up(&uuid, false);
        if host == cx.master() {
            end_sessions(cx);
        }
        cx.after(pace::AGENT_RESTART, move |cx| {
            cx.site.set_up(&uuid, true);
            note_start(cx, host, "agent_start_time");
        });
    });
    done()
}

/// The sessions of a pool end with the toolstack of its master.
pub fn end_sessions(cx: &mut Cx<'_>) {
    cx.site.sessions.end_pool(cx.pool);
    for session in cx.db.all("session") {
        cx.db.destroy(session);
    }
}

/// A host stops: it shuts down, or its power goes.
pub fn go_down(cx: &mut Cx<'_>, host: Ref, how: Down) {
    let uuid = cx.db.text(host, "uuid").to_string();
    if !cx.site.hosts.get(&uuid).is_some_and(|place| place.is_up) {
        return;
    }
    cx.site.set_up(&uuid, false);
    for vm in guests(cx.db, host) {
        cx.site.inside.machine_down(cx.db.text(vm, "uuid"), Down::Killed);
    }
    cx.site.inside.machine_down(&uuid, how);
    if host == cx.master() {
        end_sessions(cx);
    }
    let gone = move |cx: &mut Cx<'_>| {
        let is_still = cx.site.hosts.get(cx.db.text(host, "uuid")).is_some_and(|place| !place.is_up);
        if is_still {
            pool::lose(cx, host);
        }
    };
    if how == Down::Clean {
        gone(cx);
    } else {
        cx.after(if cx.db.is(cx.pool_record(), "ha_enabled") { pace::HA_TIMEOUT } else { pace::HOST_GONE }, gone);
    }
}

/// A host boots, and is a member of its pool again.
pub fn go_up_after(cx: &mut Cx<'_>, host: Ref) {
    cx.after(pace::HOST_BOOT, move |cx| {
        if !cx.db.exists(host) {
            return;
        }
        let machine = machine(cx, host);
        cx.site.inside.machine_up(&machine);
        let uuid = cx.db.text(host, "uuid").to_string();
        // What ran there is no more.
        for vm in guests(cx.db, host) {
            domain::end(cx, vm, Down::Killed);
        }
        cx.site.set_up(&uuid, true);
        cx.after(pace::AGENT_RESTART, move |cx| come_back(cx, host));
    });
}

/// The toolstack of a host is there: it plugs its SRs and takes guests.
pub fn come_back(cx: &mut Cx<'_>, host: Ref) {
    if !cx.site.hosts.get(cx.db.text(host, "uuid")).is_some_and(|place| place.is_up) {
        return;
    }
    let (metrics, now) = (cx.db.link(host, "metrics"), cx.now());
    cx.db.set(metrics, "live", true);
    cx.db.set(metrics, "last_updated", Value::Date(now));
    note_start(cx, host, "boot_time");
    note_start(cx, host, "agent_start_time");
    for pbd in cx.db.links(host, "PBDs") {
        cx.db.set(pbd, "currently_attached", true);
    }
    for nic in cx.db.links(host, "PIFs") {
        let is_part = !cx.db.link(nic, "bond_slave_of").is_null();
        cx.db.set(nic, "currently_attached", !is_part);
    }
    cx.db.set(host, "enabled", true);
    cx.db.touch(metrics);
}

/// Notes in whole seconds when something began; never the same twice, however fast the clock runs.
fn note_start(cx: &mut Cx<'_>, host: Ref, key: &'static str) {
    let before = cx.db.key(host, "other_config", key).and_then(|text| text.trim_end_matches('.').parse::<i64>().ok());
    let now = before.map_or(cx.now(), |before| cx.now().max(before + 1));
    cx.db.set_key(host, "other_config", key, format!("{now}."));
}

/// A host has done something to itself.
pub fn machine_did(cx: &mut Cx<'_>, host: Ref, act: Act) {
    let how = if act == Act::Panic { Down::Killed } else { Down::Clean };
    go_down(cx, host, how);
    if act != Act::PowerOff {
        go_up_after(cx, host);
    }
}

/// Says that a host which does not answer is dead: its guests are halted, and can be started elsewhere.
fn declare_dead(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    let is_up = cx.site.hosts.get(cx.db.text(host, "uuid")).is_some_and(|place| place.is_up);
    if is_up {
        return Err(Failure::new("HOST_IS_LIVE", [host]));
    }
    pool::lose(cx, host);
    for vm in guests(cx.db, host) {
        domain::end(cx, vm, Down::Killed);
    }
    done()
}

/// Takes a host that is gone for good out of the pool.
fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = args.link(0);
    if host == cx.master() || is_live(cx.db, host) {
        return Err(Failure::new("HOST_IS_LIVE", [host]));
    }
    if let Some(vm) = guests(cx.db, host).first() {
        return Err(Failure::new("HOST_HAS_RESIDENT_VMS", [host, *vm]));
    }
    pool::remove_host(cx, host);
    done()
}

fn management_interface(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let nics = cx.db.links(args.link(0), "PIFs");
    let found = nics.into_iter().find(|nic| cx.db.is(*nic, "management"));
    found.map_or_else(|| Err(Failure::bare("HOST_HAS_NO_MANAGEMENT_IP")), answer)
}

fn set_hostname_live(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let name = args.text(1);
    let is_name =
        !name.is_empty() && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if !is_name {
        return Err(Failure::new("HOST_NAME_INVALID", ["the name is no hostname"]));
    }
    cx.db.set(args.link(0), "hostname", name);
    let machine = machine(cx, args.link(0));
    cx.site.inside.machine_changed(&machine);
    done()
}

fn set_power_on_mode(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    cx.db.set(args.link(0), "power_on_mode", args.get(1).clone());
    cx.db.set(args.link(0), "power_on_config", args.get(2).clone());
    done()
}
