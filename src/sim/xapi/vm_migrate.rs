//! VMs: from one host to another, with or without their disks.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, operation};
use super::{domain, host, sr, vdi, vm_cross, vm_rules};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "pool_migrate" => pool_migrate,
        "migrate_send" => migrate_send,
        "assert_can_migrate" => assert_can_migrate,
        _ => return None,
    })
}

/// VM.pool_migrate(vm, host, options): the disks stay where they are.
fn pool_migrate(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, to) = (args.link(0), cx.known("host", args.link(1))?);
    vm_rules::assert_allowed(cx.db, vm, "pool_migrate")?;
    for (key, value) in args.map(2) {
        if matches!(&*key, "live" | "force" | "copy" | "compress") && !matches!(value.as_str(), "true" | "false") {
            return Err(Failure::new("INVALID_VALUE", [&*key, value.as_str()]));
        }
    }
    assert_moveable(cx, vm, to)?;
    domain::schedule(cx, vm, to);
    let answer = operation(cx, vm, "pool_migrate", pace::MIGRATE, move |cx| {
        cx.known("VM", vm)?;
        domain::schedule(cx, vm, Ref::NULL);
        arrive(cx, vm, to)
    })?;
    Ok(super::vm::unschedule(answer, vm))
}

fn assert_moveable(cx: &Cx<'_>, vm: Ref, to: Ref) -> Outcome<()> {
    let is_local = cx.db.link(vm, "resident_on") == to;
    vm_rules::assert_can_run(cx.db, vm, to, !is_local)
}

/// The VM goes on, on another host, as another domain.
pub fn arrive(cx: &mut Cx<'_>, vm: Ref, to: Ref) -> Outcome<Answer> {
    if cx.db.text(vm, "power_state") != "Running" {
        return Err(Failure::new("VM_MIGRATE_FAILED", [vm, cx.db.link(vm, "resident_on"), to]));
    }
    if !host::is_live(cx.db, to) {
        return Err(Failure::new("HOST_OFFLINE", [to]));
    }
    let from = cx.db.link(vm, "resident_on");
    cx.site.next_domid += 1;
    let domid = cx.site.next_domid;
    cx.db.set(vm, "resident_on", to);
    cx.db.set(vm, "domid", domid);
    let address = cx.db.text(to, "address").to_string();
    for console in cx.db.links(vm, "consoles") {
        cx.db.set(console, "location", format!("https://{address}/console?ref={console}"));
    }
    host::touch_memory(cx, from);
    host::touch_memory(cx, to);
    domain::changed(cx, vm);
    done()
}

fn assert_can_migrate(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    match destination(cx, args) {
        Some(to) => plan(cx, args, to).and_then(|_| done()),
        None => vm_cross::assert_can_send(cx, args),
    }
}

/// The host of this pool to which a VM is sent; nothing for one of another pool.
fn destination(cx: &Cx<'_>, args: &Args) -> Option<Ref> {
    let destination = args.map(1);
    let host = destination.get(&Arc::from("host")).map(Value::as_str).unwrap_or_default();
    Ref::parse(host).filter(|host| cx.db.exists(*host))
}

/// Where a VM goes with its disks.
struct Plan {
    to: Ref,
    disks: Vec<(Ref, Ref)>,
}

/// VM.assert_can_migrate and the begin of VM.migrate_send: (vm, dest, live, vdi_map, vif_map, options).
fn plan(cx: &Cx<'_>, args: &Args, to: Ref) -> Outcome<Plan> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "migrate_send")?;
    if !args.map(4).is_empty() {
        return Err(Failure::new("NOT_IMPLEMENTED", ["VIF mapping is not supported for intra-pool migration"]));
    }
    if args.map(5).get(&Arc::from("copy")).is_some_and(|copy| copy.as_str() == "true") {
        return Err(Failure::new("NOT_IMPLEMENTED", ["VM.migrate_send with copy within a pool"]));
    }
    let running = !cx.db.link(vm, "resident_on").is_null();
    if running && !args.is(2) {
        return Err(Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), "halted, suspended".to_string(), "running".to_string()]));
    }
    let wanted = args.map(3);
    let pool_default = cx.db.link(cx.pool_record(), "default_SR");
    let mut disks = Vec::new();
    for vbd in cx.db.links(vm, "VBDs").into_iter().filter(|vbd| cx.db.text(*vbd, "type") == "Disk") {
        let vdi = cx.db.link(vbd, "VDI");
        if !cx.db.exists(vdi) {
            continue;
        }
        let here = cx.db.link(vdi, "SR");
        let named = wanted.get(&Arc::from(vdi.to_string().as_str())).map(Value::as_ref);
        let sr = match named {
            Some(sr) => cx.known("SR", sr)?,
            None if host::sees(cx.db, to, here) => here,
            None => pool_default,
        };
        if !host::sees(cx.db, to, sr) {
            return Err(Failure::new("VM_REQUIRES_SR", [vm, sr]));
        }
        if sr != here {
            disks.push((vdi, sr));
        }
    }
    for (sr, bytes) in needed(cx, &disks) {
        sr::assert_room(cx, sr, bytes)?;
    }
    if !host::is_live(cx.db, to) || !cx.db.is(to, "enabled") {
        return Err(Failure::new("HOST_DISABLED", [to]));
    }
    let (memory, free) = (vm_rules::memory(cx.db, vm), host::free_memory(cx.db, to));
    if running && cx.db.link(vm, "resident_on") != to && memory > free {
        return Err(Failure::new("HOST_NOT_ENOUGH_FREE_MEMORY", [memory, free]));
    }
    Ok(Plan { to, disks })
}

fn needed(cx: &Cx<'_>, disks: &[(Ref, Ref)]) -> BTreeMap<Ref, i64> {
    let mut sums = BTreeMap::new();
    for (vdi, sr) in disks {
        let field = if sr::is_thin(cx.db, *sr) { "physical_utilisation" } else { "virtual_size" };
        *sums.entry(*sr).or_default() += cx.db.int(*vdi, field);
    }
    sums
}

fn migrate_send(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    let Some(to) = destination(cx, args) else { return vm_cross::send(cx, args) };
    let Plan { to, disks } = plan(cx, args, to)?;
    let running = !cx.db.link(vm, "resident_on").is_null();
    let bytes = disks.iter().map(|(vdi, _)| cx.db.int(*vdi, "physical_utilisation")).sum();
    let takes = vdi::copying(bytes) + if running { pace::MIGRATE } else { pace::DISK };
    if running {
        domain::schedule(cx, vm, to);
    }
    let answer = operation(cx, vm, "migrate_send", takes, move |cx| {
        cx.known("VM", vm)?;
        domain::schedule(cx, vm, Ref::NULL);
        for (vdi, sr) in disks {
            cx.known("VDI", vdi)?;
            vdi::relocate(cx, vdi, sr)?;
        }
        if running {
            arrive(cx, vm, to)?;
        }
        answer(vm)
    })?;
    Ok(super::vm::unschedule(answer, vm))
}

/// host.migrate_receive(host, network, options): what the sender has to know of the receiver.
pub fn receive(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (to, network) = (args.link(0), cx.known("network", args.link(1))?);
    if !host::is_live(cx.db, to) {
        return Err(Failure::new("HOST_OFFLINE", [to]));
    }
    let address = cx.db.text(to, "address").to_string();
    let has_address =
        cx.db.links(network, "PIFs").into_iter().any(|nic| cx.db.link(nic, "host") == to && !cx.db.text(nic, "IP").is_empty());
    if !has_address {
        return Err(Failure::new("INTERFACE_HAS_NO_IP", [network]));
    }
    let master = cx.db.text(cx.master(), "address").to_string();
    let session = super::session::of_sender(cx)?;
    answer(Value::from([
        ("host", to.to_string()),
        ("SM", format!("https://{address}/services/SM")),
        ("xenops", format!("https://{address}/services/xenops")),
        ("session_id", session.to_string()),
        ("master", format!("https://{master}/")),
    ]))
}
