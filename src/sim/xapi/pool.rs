//! The pool: its master, and what becomes of a host that is lost.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{domain, ha, host, join, pif, vlan, vm_copy};

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "join" | "join_force" => join::join,
        "eject" => join::eject,
        "designate_new_master" => designate_new_master,
        "emergency_transition_to_master" => emergency_transition,
        "recover_slaves" => |cx, _| answer(cx.db.all("host").into_iter().filter(|h| *h != cx.master()).collect::<Vec<_>>()),
        "sync_database" => |_, _| done(),
        "create_VLAN_from_PIF" => vlan::create_everywhere,
        "management_reconfigure" => pif::pool_management_reconfigure,
        _ => return ha::method(name),
    })
}

pub fn allowed(db: &Store, pool: Ref) -> Vec<&'static str> {
    let mut words = vec![if db.is(pool, "ha_enabled") { "ha_disable" } else { "ha_enable" }];
    if !db.is(pool, "ha_enabled") {
        words.extend(["designate_new_master", "eject"]);
    }
    words
}

fn designate_new_master(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let new = args.link(0);
    if new == cx.master() {
        return done();
    }
    if !host::is_live(cx.db, new) {
        return Err(Failure::new("HOST_OFFLINE", [new]));
    }
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_IS_ENABLED"));
    }
    later(pace::NEW_MASTER, move |cx| {
        crown(cx, new);
        done()
    })
}

/// Makes a host the master. All sessions end, as its toolstack starts anew.
pub fn crown(cx: &mut Cx<'_>, new: Ref) {
    let old = cx.master();
    let pool = cx.pool_record();
    cx.db.set(pool, "master", new);
    cx.after(std::time::Duration::ZERO, host::end_sessions);
    for host in [old, new] {
        let is_up = cx.site.hosts.get(cx.db.text(host, "uuid")).is_some_and(|place| place.is_up);
        if is_up {
            let machine = host::machine(cx, host);
            cx.site.inside.machine_changed(&machine);
        }
    }
}

/// A member that has lost its master becomes master itself.
fn emergency_transition(cx: &mut Cx<'_>, _args: &Args) -> Outcome<Answer> {
    let new = cx.door_host();
    let master = cx.master();
    if new == master {
        return Err(Failure::new("HOST_IS_LIVE", [new]));
    }
    let is_gone = cx.site.hosts.get(cx.db.text(master, "uuid")).is_some_and(|place| !place.is_up);
    if !is_gone {
        return Err(Failure::new("HOST_IS_LIVE", [master]));
    }
    lose(cx, master);
    crown(cx, new);
    done()
}

/// The pool believes that a host is gone: its guests stay in the records as they were, unless high availability starts them elsewhere.
pub fn lose(cx: &mut Cx<'_>, lost: Ref) {
    if !cx.db.exists(lost) {
        return;
    }
    let (metrics, now) = (cx.db.link(lost, "metrics"), cx.now());
    cx.db.set(metrics, "live", false);
    cx.db.set(metrics, "last_updated", Value::Date(now));
    for pbd in cx.db.links(lost, "PBDs") {
        cx.db.touch(pbd);
    }
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        ha::rescue(cx, lost);
    }
}

/// Takes a host out of the database with all that is only its own.
pub fn remove_host(cx: &mut Cx<'_>, host: Ref) {
    for vm in cx.db.links(host, "resident_VMs") {
        if cx.db.is(vm, "is_control_domain") {
            vm_copy::remove_record(cx, vm);
        } else {
            domain::end(cx, vm, Down::Killed);
        }
    }
    for pbd in cx.db.links(host, "PBDs") {
        let sr = cx.db.link(pbd, "SR");
        cx.db.destroy(pbd);
        if !cx.db.is(sr, "shared") {
            remove_local_sr(cx, sr);
        }
    }
    for nic in cx.db.links(host, "PIFs") {
        pif::remove(cx, nic);
    }
    for field in ["host_CPUs", "crashdumps", "patches"] {
        for record in cx.db.links(host, field) {
            cx.db.destroy(record);
        }
    }
    for vm in cx.db.all("VM") {
        if cx.db.link(vm, "affinity") == host {
            cx.db.set(vm, "affinity", Ref::NULL);
        }
    }
    let metrics = cx.db.link(host, "metrics");
    cx.db.destroy(metrics);
    cx.db.destroy(host);
}

fn remove_local_sr(cx: &mut Cx<'_>, sr: Ref) {
    for vdi in cx.db.links(sr, "VDIs") {
        super::vdi::forget_record(cx, vdi);
    }
    let pool = cx.pool_record();
    for field in ["default_SR", "suspend_image_SR", "crash_dump_SR"] {
        if cx.db.link(pool, field) == sr {
            cx.db.set(pool, field, Ref::NULL);
        }
    }
    cx.db.destroy(sr);
}
