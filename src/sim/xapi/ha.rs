//! High availability: guests of a host that is lost come up elsewhere.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{domain, host, pool, sr, vdi, vm_rules};

/// The size of the file in which hosts say that they are alive.
const STATEFILE: i64 = 356 << 20;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "enable_ha" => enable,
        "disable_ha" => disable,
        "set_ha_host_failures_to_tolerate" => set_failures,
        "ha_compute_max_host_failures_to_tolerate" | "ha_compute_hypothetical_max_host_failures_to_tolerate" => {
            |cx, _| answer(tolerable(cx))
        }
        "ha_failover_plan_exists" => |cx, args| answer(args.int(0) <= tolerable(cx)),
        "ha_prevent_restarts_for" => |_, _| done(),
        _ => return None,
    })
}

/// How many hosts may be lost while all protected guests still have room.
fn tolerable(cx: &Cx<'_>) -> i64 {
    let mut free: Vec<i64> =
        cx.db.all("host").into_iter().filter(|h| host::is_live(cx.db, *h)).map(|h| host::free_memory(cx.db, h)).collect();
    free.sort_unstable();
    let protected = cx.db.all("VM").into_iter().filter(|vm| cx.db.text(*vm, "ha_restart_priority") == "restart");
    let needed: i64 = protected.map(|vm| vm_rules::memory(cx.db, vm)).sum();
    // The roomiest are lost first.
    (1..free.len()).take_while(|lost| free[..free.len() - lost].iter().sum::<i64>() >= needed).count() as i64
}

/// pool.enable_ha(heartbeat_srs, configuration).
fn enable(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let record = cx.pool_record();
    if cx.db.is(record, "ha_enabled") {
        return Err(Failure::bare("HA_IS_ENABLED"));
    }
    let hosts = cx.db.all("host");
    if let Some(down) = hosts.iter().find(|h| !host::is_live(cx.db, **h)) {
        return Err(Failure::new("HOST_OFFLINE", [*down]));
    }
    let mut stores = args.links(0);
    if stores.is_empty() {
        stores = cx.db.all("SR").into_iter().filter(|s| is_fit(cx, *s)).take(1).collect();
    }
    if stores.is_empty() {
        return Err(Failure::bare("CANNOT_CREATE_STATE_FILE"));
    }
    for store in &stores {
        if !cx.db.is(*store, "shared") {
            return Err(Failure::new("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", [*store]));
        }
        sr::assert_can_host_statefile(cx.db, *store)?;
        sr::assert_room(cx, *store, STATEFILE)?;
    }
    let configuration = args.map(1);
    later(pace::HA_SWITCH, move |cx| {
        let mut files = Vec::new();
        for store in stores {
            files.push(vdi::make(cx, store, "Statefile for HA", STATEFILE, "ha_statefile")?);
        }
        let tolerable = tolerable(cx);
        cx.db.set(record, "ha_statefiles", Value::from(files.iter().map(ToString::to_string).collect::<Vec<_>>()));
        cx.db.set(record, "ha_configuration", configuration);
        cx.db.set(record, "ha_enabled", true);
        cx.db.set(record, "ha_cluster_stack", "xhad");
        cx.db.set(record, "ha_host_failures_to_tolerate", tolerable);
        cx.db.set(record, "ha_plan_exists_for", tolerable);
        let peers: Vec<String> = cx.db.all("host").into_iter().map(|h| cx.db.text(h, "uuid").to_string()).collect();
        for at in cx.db.all("host") {
            cx.db.set(at, "ha_statefiles", Value::from(files.iter().map(ToString::to_string).collect::<Vec<_>>()));
            cx.db.set(at, "ha_network_peers", Value::from(peers.clone()));
        }
        for vm in cx.db.all("VM") {
            let is_protected = !cx.db.text(vm, "ha_restart_priority").is_empty() && cx.db.text(vm, "power_state") == "Running";
            cx.db.set(vm, "ha_always_run", is_protected);
        }
        done()
    })
}

fn is_fit(cx: &Cx<'_>, store: Ref) -> bool {
    cx.db.text(store, "content_type") != "iso" && sr::assert_can_host_statefile(cx.db, store).is_ok()
}

fn disable(cx: &mut Cx<'_>, _args: &Args) -> Outcome<Answer> {
    let record = cx.pool_record();
    if !cx.db.is(record, "ha_enabled") {
        return Err(Failure::bare("HA_NOT_ENABLED"));
    }
    later(pace::HA_SWITCH, move |cx| {
        let files = cx.db.get(record, "ha_statefiles").as_set().to_vec();
        for file in files {
            if let Some(file) = Ref::parse(file.as_str()).filter(|file| cx.db.exists(*file)) {
                vdi::remove(cx, file);
            }
        }
        cx.db.set(record, "ha_enabled", false);
        for field in ["ha_host_failures_to_tolerate", "ha_plan_exists_for"] {
            cx.db.set(record, field, 0_i64);
        }
        cx.db.set(record, "ha_statefiles", Value::Set(Vec::new()));
        cx.db.set(record, "ha_cluster_stack", "");
        for at in cx.db.all("host") {
            cx.db.set(at, "ha_statefiles", Value::Set(Vec::new()));
            cx.db.set(at, "ha_network_peers", Value::Set(Vec::new()));
        }
        done()
    })
}

fn set_failures(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let wanted = args.int(1);
    if wanted < 0 {
        return Err(Failure::new("INVALID_VALUE", ["ha_host_failures_to_tolerate".to_string(), wanted.to_string()]));
    }
    if cx.db.is(args.link(0), "ha_enabled") && wanted > tolerable(cx) {
        return Err(Failure::bare("HA_NO_PLAN"));
    }
    cx.db.set(args.link(0), "ha_host_failures_to_tolerate", wanted);
    done()
}

/// Starts the protected guests of a lost host elsewhere, after a new master where that is needed.
pub fn rescue(cx: &mut Cx<'_>, lost: Ref) {
    if lost == cx.master() {
        let heir = cx.db.all("host").into_iter().find(|h| host::is_live(cx.db, *h));
        match heir {
            Some(heir) => pool::crown(cx, heir),
            None => return,
        }
    }
    let mut guests = host::guests(cx.db, lost);
    guests.sort_by_key(|vm| (cx.db.text(*vm, "ha_restart_priority") != "restart", cx.db.int(*vm, "order"), *vm));
    for vm in guests {
        domain::end(cx, vm, Down::Killed);
        if cx.db.text(vm, "ha_restart_priority").is_empty() {
            continue;
        }
        if let Ok(at) = vm_rules::choose_host(cx.db, vm) {
            domain::build(cx, vm, at);
            domain::boot(cx, vm);
        }
    }
}
