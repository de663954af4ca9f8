//! VMs: clones, copies, snapshots, checkpoints, and their end.

use super::super::array;
use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, operation};
use super::{device, domain, sr, vdi, vif, vm, vm_config, vm_rules};
use std::collections::BTreeMap;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "clone" => clone,
        "copy" => copy,
        "snapshot" => snapshot,
        "checkpoint" => checkpoint,
        "revert" => revert,
        "provision" => provision,
        "destroy" => destroy,
        _ => return None,
    })
}

/// Fields that a copy does not take over from its original.
const OWN: &[&str] = &[
    "VBDs",
    "VIFs",
    "VTPMs",
    "VUSBs",
    "VGPUs",
    "allowed_operations",
    "attached_PCIs",
    "blobs",
    "children",
    "consoles",
    "crash_dumps",
    "current_operations",
    "domid",
    "guest_metrics",
    "is_default_template",
    "metrics",
    "parent",
    "power_state",
    "resident_on",
    "scheduled_to_be_resident_on",
    "snapshot_info",
    "snapshot_metadata",
    "snapshot_of",
    "snapshot_time",
    "snapshots",
    "suspend_VDI",
    "transportable_snapshot_id",
    "uuid",
    "is_a_snapshot",
    "name_label",
    "last_booted_record",
];

/// How disks are doubled.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Clone,
    Copy(Ref),
    Snapshot,
}

/// The disks of a VM that have something of their own on them: not discs.
fn disks(cx: &Cx<'_>, vm: Ref) -> Vec<Ref> {
    let all = cx.db.links(vm, "VBDs").into_iter();
    let own = all.filter(|vbd| cx.db.text(*vbd, "type") == "Disk" && cx.db.exists(cx.db.link(*vbd, "VDI")));
    own.map(|vbd| cx.db.link(vbd, "VDI")).collect()
}

fn assert_disks_attached(cx: &Cx<'_>, vm: Ref) -> Outcome<()> {
    disks(cx, vm).into_iter().try_for_each(|vdi| sr::assert_attached(cx.db, cx.db.link(vdi, "SR")))
}

fn clone(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (of, name) = (args.link(0), args.text(1).to_string());
    vm_rules::assert_allowed(cx.db, of, "clone")?;
    assert_disks_attached(cx, of)?;
    operation(cx, of, "clone", pace::CLONE, move |cx| {
        cx.known("VM", of)?;
        answer(double(cx, of, &name, How::Clone)?)
    })
}

fn copy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (of, name, to) = (args.link(0), args.text(1).to_string(), args.link(2));
    vm_rules::assert_allowed(cx.db, of, "copy")?;
    assert_disks_attached(cx, of)?;
    if !to.is_null() {
        cx.known("SR", to)?;
        sr::assert_attached(cx.db, to)?;
    }
    let bytes = disks(cx, of).into_iter().map(|vdi| cx.db.int(vdi, "physical_utilisation")).sum();
    operation(cx, of, "copy", vdi::copying(bytes), move |cx| {
        cx.known("VM", of)?;
        answer(double(cx, of, &name, How::Copy(to))?)
    })
}

fn snapshot(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (of, name) = (args.link(0), args.text(1).to_string());
    vm_rules::assert_allowed(cx.db, of, "snapshot")?;
    assert_disks_attached(cx, of)?;
    let ignored = args.links(2);
    operation(cx, of, "snapshot", pace::SNAPSHOT, move |cx| {
        cx.known("VM", of)?;
        answer(take(cx, of, &name, &ignored)?)
    })
}

fn checkpoint(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (of, name) = (args.link(0), args.text(1).to_string());
    vm_rules::assert_allowed(cx.db, of, "checkpoint")?;
    assert_disks_attached(cx, of)?;
    let is_suspended = cx.db.text(of, "power_state") == "Suspended";
    let bytes = cx.db.int(of, "memory_static_max") + (8 << 20);
    let image = cx.db.link(of, "suspend_VDI");
    let store = if is_suspended { Some(cx.db.link(image, "SR")) } else { sr::for_suspend(cx.db, of) };
    let store = store.ok_or_else(|| Failure::new("VM_NO_SUSPEND_SR", [of]))?;
    sr::assert_room(cx, store, bytes)?;
    operation(cx, of, "checkpoint", pace::CHECKPOINT, move |cx| {
        cx.known("VM", of)?;
        let image = if is_suspended { vdi::full_copy(cx, image, store)? } else { vdi::make_image(cx, store, of, bytes)? };
        if !is_suspended {
            cx.site.inside.memory_kept(cx.db.text(of, "uuid"), cx.db.text(image, "uuid"));
        }
        let snapshot = match take(cx, of, &name, &[]) {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                vdi::remove(cx, image);
                return Err(failure);
            }
        };
        cx.db.set(snapshot, "power_state", "Suspended");
        cx.db.set(snapshot, "suspend_VDI", image);
        answer(snapshot)
    })
}

/// Takes a snapshot of the disks of a VM.
fn take(cx: &mut Cx<'_>, of: Ref, name: &str, ignored: &[Ref]) -> Outcome<Ref> {
    let now = cx.now();
    let snapshot = double_but(cx, of, name, How::Snapshot, ignored)?;
    cx.db.set(snapshot, "is_a_snapshot", true);
    cx.db.set(snapshot, "is_a_template", true);
    cx.db.set(snapshot, "snapshot_of", of);
    cx.db.set(snapshot, "snapshot_time", Value::Date(now));
    let state = cx.db.text(of, "power_state").to_string();
    let info = [("power-state-at-snapshot", state.as_str()), ("disk-snapshot-type", "crash_consistent")];
    cx.db.set(snapshot, "snapshot_info", Value::from(info));
    let parent = cx.db.link(of, "parent");
    cx.db.set(snapshot, "parent", parent);
    cx.db.set(of, "parent", snapshot);
    Ok(snapshot)
}

fn double(cx: &mut Cx<'_>, of: Ref, name: &str, how: How) -> Outcome<Ref> {
    double_but(cx, of, name, how, &[])
}

/// Doubles a VM with its disks and interfaces; what was made is removed again when there is no room.
fn double_but(cx: &mut Cx<'_>, of: Ref, name: &str, how: How, ignored: &[Ref]) -> Outcome<Ref> {
    let class = cx.db.class(of).ok_or_else(|| Failure::internal("a VM without its class"))?;
    let mut fields: Vec<(&str, Value)> = Vec::new();
    for (field, value) in class.fields.iter().zip(cx.db.fields(of)) {
        if !OWN.contains(&field.name) {
            fields.push((field.name, value.clone()));
        }
    }
    fields.push(("name_label", Value::from(name)));
    let made = cx.db.create_with("VM", fields);
    cx.db.set(made, "memory_target", 0_i64);
    if how != How::Snapshot {
        cx.db.remove_key(made, "other_config", "mac_seed");
        // A copy of a template is one until it is provisioned, but nobody has shipped it.
        cx.db.set(made, "ha_restart_priority", "");
        cx.db.set(made, "ha_always_run", false);
    }
    vm_config::finish(cx, made);
    let mut doubled = Vec::new();
    for vbd in cx.db.links(of, "VBDs") {
        match double_disk(cx, vbd, made, how, ignored) {
            Ok(vdi) => doubled.extend(vdi),
            Err(failure) => {
                doubled.into_iter().for_each(|vdi| vdi::remove(cx, vdi));
                remove_record(cx, made);
                return Err(failure);
            }
        }
    }
    for vif in cx.db.links(of, "VIFs") {
        let mut fields: Vec<(&str, Value)> =
            copied(cx, vif, &["allowed_operations", "current_operations", "uuid", "metrics", "currently_attached"]);
        fields.retain(|(name, _)| *name != "VM");
        fields.push(("VM", Value::Ref(made)));
        let twin = cx.db.create_with("VIF", fields);
        if how != How::Snapshot {
            let mac = vif::fresh_mac(cx.db);
            cx.db.set(twin, "MAC", mac);
        }
    }
    Ok(made)
}

fn copied(cx: &Cx<'_>, of: Ref, but: &[&str]) -> Vec<(&'static str, Value)> {
    let class = cx.db.class(of).map(|class| class.fields.iter());
    let pairs = class.into_iter().flatten().zip(cx.db.fields(of));
    pairs.filter(|(field, _)| !but.contains(&field.name)).map(|(field, value)| (field.name, value.clone())).collect()
}

fn double_disk(cx: &mut Cx<'_>, vbd: Ref, made: Ref, how: How, ignored: &[Ref]) -> Outcome<Option<Ref>> {
    let vdi = cx.db.link(vbd, "VDI");
    if ignored.contains(&vdi) && !vdi.is_null() {
        return Ok(None);
    }
    let is_disk = cx.db.text(vbd, "type") == "Disk" && cx.db.exists(vdi);
    let twin = match how {
        _ if !is_disk => vdi,
        How::Clone => vdi::clone_of(cx, vdi)?,
        How::Snapshot => vdi::snapshot_of(cx, vdi)?,
        How::Copy(to) => {
            let to = if to.is_null() { cx.db.link(vdi, "SR") } else { to };
            vdi::full_copy(cx, vdi, to)?
        }
    };
    let but = ["allowed_operations", "current_operations", "uuid", "metrics", "currently_attached", "device", "VM", "VDI"];
    let mut fields = copied(cx, vbd, &but);
    fields.extend([("VM", Value::Ref(made)), ("VDI", Value::Ref(twin))]);
    cx.db.create_with("VBD", fields);
    Ok(is_disk.then_some(twin))
}

/// Takes a VM back to one of its snapshots: its disks and interfaces are replaced, what it is follows the snapshot.
fn revert(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let snapshot = args.link(0);
    vm_rules::assert_allowed(cx.db, snapshot, "revert")?;
    let of = cx.db.link(snapshot, "snapshot_of");
    if !cx.db.exists(of) {
        return Err(Failure::new("VM_REVERT_FAILED", [snapshot, of]));
    }
    if cx.db.get(of, "current_operations").as_map().is_some_and(|map| !map.is_empty()) {
        return Err(Failure::new("OTHER_OPERATION_IN_PROGRESS", ["VM".to_string(), of.to_string()]));
    }
    assert_disks_attached(cx, snapshot)?;
    operation(cx, of, "reverting", pace::REVERT, move |cx| {
        cx.known("VM", snapshot)?;
        cx.known("VM", of)?;
        go_back(cx, of, snapshot)
    })
}

fn go_back(cx: &mut Cx<'_>, of: Ref, snapshot: Ref) -> Outcome<Answer> {
    if !cx.db.link(of, "resident_on").is_null() {
        domain::end(cx, of, Down::Killed);
    }
    // First what may fail.
    let image = cx.db.link(snapshot, "suspend_VDI");
    let image = if cx.db.exists(image) { Some(vdi::full_copy(cx, image, cx.db.link(image, "SR"))?) } else { None };
    let mut fresh = Vec::new();
    for vbd in cx.db.links(snapshot, "VBDs") {
        match double_disk(cx, vbd, Ref::NULL, How::Clone, &[]) {
            Ok(_) => {}
            Err(failure) => {
                fresh.into_iter().for_each(|vbd: Ref| device::remove(cx, vbd));
                return Err(failure);
            }
        }
        fresh.extend(cx.db.all("VBD").last().copied());
    }
    let (old_disks, origins) = (disks(cx, of), origins(cx, snapshot));
    for vbd in cx.db.links(of, "VBDs") {
        device::remove(cx, vbd);
    }
    for vdi in old_disks {
        let is_lone = cx.db.links(vdi, "VBDs").is_empty();
        if is_lone && origins.contains(&vdi) {
            adopt(cx, vdi, snapshot, &fresh);
            vdi::remove(cx, vdi);
        }
    }
    for vbd in fresh {
        cx.db.set(vbd, "VM", of);
    }
    for vif in cx.db.links(of, "VIFs") {
        device::remove(cx, vif);
    }
    for vif in cx.db.links(snapshot, "VIFs") {
        let mut fields =
            copied(cx, vif, &["allowed_operations", "current_operations", "uuid", "metrics", "currently_attached", "VM"]);
        fields.push(("VM", Value::Ref(of)));
        cx.db.create_with("VIF", fields);
    }
    let kept = ["is_a_template", "ha_always_run", "memory_target", "snapshot_schedule", "appliance"];
    for (name, value) in copied(cx, snapshot, OWN).into_iter().filter(|(name, _)| !kept.contains(name)) {
        cx.db.set(of, name, value);
    }
    vm::drop_image(cx, of);
    if let Some(image) = image {
        cx.db.set(of, "suspend_VDI", image);
    }
    cx.db.set(of, "power_state", if image.is_some() { "Suspended" } else { "Halted" });
    cx.db.set(of, "parent", snapshot);
    done()
}

/// The disks of which a snapshot has the state.
fn origins(cx: &Cx<'_>, snapshot: Ref) -> Vec<Ref> {
    disks(cx, snapshot).into_iter().map(|vdi| cx.db.link(vdi, "snapshot_of")).collect()
}

/// Snapshots of a disk that goes are snapshots of the disk that takes its place.
fn adopt(cx: &mut Cx<'_>, old: Ref, snapshot: Ref, fresh: &[Ref]) {
    let at = disks(cx, snapshot).into_iter().position(|vdi| cx.db.link(vdi, "snapshot_of") == old);
    let disks: Vec<Ref> =
        fresh.iter().filter(|vbd| cx.db.text(**vbd, "type") == "Disk").map(|vbd| cx.db.link(*vbd, "VDI")).collect();
    let Some(new) = at.and_then(|at| disks.get(at)).copied() else { return };
    for vdi in cx.db.links(old, "snapshots") {
        cx.db.set(vdi, "snapshot_of", new);
    }
}

/// Makes the disks that a template asks for, and a VM of it.
fn provision(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "provision")?;
    let wanted = wanted_disks(cx.db.key(vm, "other_config", "disks").unwrap_or_default());
    let pool = cx.pool_record();
    let mut plan = Vec::new();
    for disk in wanted {
        let named = cx.db.by_uuid("SR", attribute(&disk, "sr"));
        let sr = named.or_else(|| Some(cx.db.link(pool, "default_SR")).filter(|sr| cx.db.exists(*sr)));
        let sr = sr.ok_or_else(|| Failure::new("UUID_INVALID", ["SR", attribute(&disk, "sr")]))?;
        sr::assert_attached(cx.db, sr)?;
        plan.push((disk, sr));
    }
    operation(cx, vm, "provision", pace::CLONE, move |cx| {
        cx.known("VM", vm)?;
        let name = cx.db.text(vm, "name_label").to_string();
        let mut made = Vec::new();
        for (disk, sr) in plan {
            let bytes = attribute(&disk, "size").parse().unwrap_or(8 << 30);
            match vdi::make(cx, sr, &format!("{name} {}", attribute(&disk, "device")), bytes, "user") {
                Ok(vdi) => made.push((disk, vdi)),
                Err(failure) => {
                    made.into_iter().for_each(|(_, vdi)| vdi::remove(cx, vdi));
                    return Err(failure);
                }
            }
        }
        for (disk, vdi) in made {
            let fields = vec![
                ("VM", Value::Ref(vm)),
                ("VDI", Value::Ref(vdi)),
                ("userdevice", Value::from(attribute(&disk, "device"))),
                ("bootable", Value::Bool(attribute(&disk, "bootable") == "true")),
                ("mode", Value::from("RW")),
                ("type", Value::from("Disk")),
                ("other_config", Value::from([("owner", "")])),
            ];
            cx.db.create_with("VBD", fields);
        }
        cx.db.remove_key(vm, "other_config", "disks");
        cx.db.set(vm, "is_a_template", false);
        done()
    })
}

type Disk = BTreeMap<String, String>;

fn attribute<'a>(disk: &'a Disk, name: &str) -> &'a str {
    disk.get(name).map(String::as_str).unwrap_or_default()
}

/// Reads `<provision><disk device="0" size="8589934592" sr="" bootable="true" type="system"/></provision>`.
fn wanted_disks(xml: &str) -> Vec<Disk> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Empty(tag) | Event::Start(tag)) if tag.name().as_ref() == "disk" => {
                let attributes = tag.attributes().flatten();
                found.push(attributes.map(|a| (a.key.as_ref().to_string(), a.value.to_string())).collect());
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// Removes the record of a VM; its disks stay.
fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "destroy")?;
    let image = cx.db.link(vm, "suspend_VDI");
    if cx.db.exists(image) && !cx.db.exists(cx.db.link(image, "SR")) {
        return Err(array::failure(47, "The SR is not available", ""));
    }
    remove_record(cx, vm);
    done()
}

/// Removes the VM and what is inside of it; snapshots of it stay, of nothing.
pub fn remove_record(cx: &mut Cx<'_>, vm: Ref) {
    let uuid = cx.db.text(vm, "uuid").to_string();
    forget_record(cx, vm);
    cx.site.addresses.remove(uuid.as_str());
    cx.site.inside.machine_removed(&uuid);
}

/// Removes the record with its VBDs, VIFs and measurements: what is inside of it goes on elsewhere.
pub fn forget_record(cx: &mut Cx<'_>, vm: Ref) {
    for vbd in cx.db.links(vm, "VBDs") {
        device::remove(cx, vbd);
    }
    for vif in cx.db.links(vm, "VIFs") {
        device::remove(cx, vif);
    }
    for field in ["metrics", "guest_metrics"] {
        let metrics = cx.db.link(vm, field);
        cx.db.destroy(metrics);
    }
    for snapshot in cx.db.links(vm, "snapshots") {
        cx.db.set(snapshot, "snapshot_of", Ref::NULL);
    }
    let parent = cx.db.link(vm, "parent");
    for child in cx.db.links(vm, "children") {
        cx.db.set(child, "parent", parent);
    }
    cx.db.scheduled.remove(&vm);
    cx.db.destroy(vm);
}
