//! Virtual disks.

use super::super::array::{self, KeptDisk};
use super::super::clock::pace;
use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, operation};
use super::sr;
use std::sync::Arc;
use std::time::Duration;

/// Sizes are rounded up to this, as the back ends do.
const BLOCK: i64 = 2 << 20;

/// What an empty thin disk takes.
const HEADER: i64 = 4 << 20;

const LARGEST: i64 = 2 << 40;

/// The discs of every library of discs.
const DISCS: &[(&str, i64)] = &[
    ("debian-12.7.0-amd64-netinst.iso", 661_651_456),
    ("debian12.iso", 661_651_456),
    ("guest-tools.iso", 84_930_560),
    ("rocky9.iso", 10_944_970_752),
    ("ubuntu2204.iso", 2_136_926_208),
    ("win2022-x64.iso", 5_044_094_976),
    ("ws22-x64.iso", 5_044_094_976),
    ("xentest.iso", 1_048_576),
];

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "introduce" | "db_introduce" | "pool_introduce" => introduce,
        "destroy" => destroy,
        "forget" | "db_forget" => forget,
        "resize" => resize,
        "clone" => |cx, args| duplicate(cx, args.link(0), "clone"),
        "snapshot" => |cx, args| duplicate(cx, args.link(0), "snapshot"),
        "copy" => copy,
        "pool_migrate" => pool_migrate,
        "update" => |_, _| done(),
        "set_on_boot" => set_on_boot,
        "set_virtual_size" | "set_physical_utilisation" => return None,
        _ => return None,
    })
}

pub fn allowed(db: &Store, vdi: Ref) -> Vec<&'static str> {
    let words = ["clone", "copy", "destroy", "forget", "generate_config", "resize", "set_on_boot", "snapshot", "update"];
    words.into_iter().filter(|word| assert_allowed(db, vdi, word).is_ok()).collect()
}

/// # Errors
/// `OTHER_OPERATION_IN_PROGRESS`, `SR_NOT_ATTACHED`, `VDI_IS_A_PHYSICAL_DEVICE`, `VDI_IN_USE`, `OPERATION_NOT_ALLOWED`.
fn assert_allowed(db: &Store, vdi: Ref, operation: &str) -> Outcome<()> {
    let sr = db.link(vdi, "SR");
    if operation != "forget" {
        sr::assert_attached(db, sr)?;
    }
    if db.get(vdi, "current_operations").as_map().is_some_and(|map| !map.is_empty()) {
        return Err(Failure::new("OTHER_OPERATION_IN_PROGRESS", ["VDI".to_string(), vdi.to_string()]));
    }
    let is_disc = db.text(sr, "content_type") == "iso";
    if is_disc && !matches!(operation, "copy" | "update" | "forget") {
        return Err(Failure::new("VDI_IS_A_PHYSICAL_DEVICE", [vdi]));
    }
    let attached: Vec<Ref> = db.links(vdi, "VBDs").into_iter().filter(|vbd| db.is(*vbd, "currently_attached")).collect();
    let is_written = attached.iter().any(|vbd| db.text(*vbd, "mode") == "RW");
    let is_in_use = match operation {
        "destroy" | "forget" | "resize" | "set_on_boot" => !attached.is_empty(),
        // A copy of what changes meanwhile would be of no moment.
        "copy" => is_written,
        _ => false,
    };
    if is_in_use {
        return Err(Failure::new("VDI_IN_USE", [vdi.to_string(), operation.to_string()]));
    }
    if operation == "resize" && db.is(vdi, "is_a_snapshot") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["VDI is a snapshot"]));
    }
    Ok(())
}

/// What a new disk takes at once.
fn first_use(db: &Store, sr: Ref, bytes: i64) -> i64 {
    if sr::is_thin(db, sr) { HEADER.min(bytes) } else { bytes }
}

/// # Errors
/// `SR_BACKEND_FAILURE_44`: no room.
fn assert_room(db: &Store, sr: Ref, bytes: i64) -> Outcome<()> {
    if bytes > sr::free(db, sr) { Err(array::failure(44, "There is insufficient space", "")) } else { Ok(()) }
}

/// # Errors
/// `SR_BACKEND_FAILURE_79`: none, or too much.
fn round(bytes: i64) -> Outcome<i64> {
    if !(1..=LARGEST).contains(&bytes) {
        return Err(array::failure(79, "VDI Invalid size", ""));
    }
    Ok((bytes + BLOCK - 1) / BLOCK * BLOCK)
}

fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class("VDI").ok_or_else(|| Failure::internal("no VDI"))?;
    let mut fields = given(class, args.get(0))?;
    let value = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let sr = cx.known("SR", value("SR").as_ref())?;
    sr::assert_attached(cx.db, sr)?;
    if cx.db.text(sr, "content_type") == "iso" || !array::driver_of(cx.db.text(sr, "type"))?.features.contains(&"VDI_CREATE") {
        return Err(Failure::new("SR_OPERATION_NOT_SUPPORTED", [sr]));
    }
    let Value::Int(bytes) = value("virtual_size") else { return Err(Failure::new("FIELD_TYPE_ERROR", ["virtual_size"])) };
    let bytes = round(bytes)?;
    let used = first_use(cx.db, sr, bytes);
    assert_room(cx.db, sr, used)?;
    fields.retain(|(name, _)| *name != "virtual_size");
    fields.extend([
        ("virtual_size", Value::Int(bytes)),
        ("physical_utilisation", Value::Int(used)),
        ("managed", Value::Bool(true)),
    ]);
    operation(cx, sr, "vdi_create", pace::DISK, move |cx| {
        cx.known("SR", sr)?;
        assert_room(cx.db, sr, used)?;
        let vdi = cx.db.create_with("VDI", fields);
        locate(cx, vdi);
        answer(vdi)
    })
}

/// Gives a new disk its place on the SR.
pub fn locate(cx: &mut Cx<'_>, vdi: Ref) {
    let uuid = cx.db.text(vdi, "uuid").to_string();
    cx.db.set(vdi, "location", uuid);
}

/// A disk without anything on it, made by the pool itself.
///
/// # Errors
/// No room.
pub fn make(cx: &mut Cx<'_>, sr: Ref, name: &str, bytes: i64, kind: &str) -> Outcome<Ref> {
    let bytes = round(bytes)?;
    let used = first_use(cx.db, sr, bytes);
    sr::assert_room(cx, sr, used)?;
    let fields = vec![
        ("name_label", Value::from(name)),
        ("SR", Value::Ref(sr)),
        ("virtual_size", Value::Int(bytes)),
        ("physical_utilisation", Value::Int(used)),
        ("type", Value::from(kind)),
        ("managed", Value::Bool(true)),
    ];
    let vdi = cx.db.create_with("VDI", fields);
    locate(cx, vdi);
    Ok(vdi)
}

/// The memory of a VM, which is written in full.
///
/// # Errors
/// No room.
pub fn make_image(cx: &mut Cx<'_>, sr: Ref, vm: Ref, bytes: i64) -> Outcome<Ref> {
    sr::assert_room(cx, sr, bytes)?;
    let image = make(cx, sr, "Suspend image", bytes, "suspend")?;
    let written = cx.db.int(vm, "memory_target").clamp(HEADER, bytes);
    cx.db.set(image, "physical_utilisation", written);
    Ok(image)
}

/// The discs of a library, where they are not yet.
pub fn discs(cx: &mut Cx<'_>, sr: Ref) {
    if !cx.db.links(sr, "VDIs").is_empty() {
        return;
    }
    for (name, bytes) in DISCS {
        let fields = vec![
            ("name_label", Value::from(*name)),
            ("SR", Value::Ref(sr)),
            ("virtual_size", Value::Int(*bytes)),
            ("physical_utilisation", Value::Int(*bytes)),
            ("type", Value::from("user")),
            ("read_only", Value::Bool(true)),
            ("location", Value::from(*name)),
            ("managed", Value::Bool(true)),
        ];
        cx.db.create_with("VDI", fields);
    }
}

/// A disk that is on the device already.
fn introduce(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (uuid, sr) = (args.text(0).to_string(), cx.known("SR", args.link(3))?);
    sr::assert_attached(cx.db, sr)?;
    if cx.db.by_uuid("VDI", &uuid).is_some() {
        return Err(Failure::new("SR_VDI_UUID_EXISTS", [uuid]));
    }
    let of = cx.db.text(sr, "uuid").to_string();
    let volume = cx.site.arrays.values_mut().flatten().find(|volume| *volume.sr == *of);
    let at = volume.as_ref().and_then(|volume| volume.disks.iter().position(|disk| *disk.uuid == *uuid));
    match (volume, at) {
        (Some(volume), Some(at)) => {
            let disk = volume.disks.remove(at);
            answer(bring_back(cx, sr, &disk))
        }
        _ => Err(array::failure(46, "The VDI is not available", "")),
    }
}

/// What stays of a disk when its SR is forgotten.
pub fn keep(db: &Store, vdi: Ref) -> KeptDisk {
    KeptDisk {
        uuid: db.text(vdi, "uuid").into(),
        name: db.text(vdi, "name_label").into(),
        description: db.text(vdi, "name_description").into(),
        bytes: db.int(vdi, "virtual_size"),
        used: db.int(vdi, "physical_utilisation"),
        kind: db.text(vdi, "type").into(),
        is_snapshot: db.is(vdi, "is_a_snapshot"),
        is_read_only: db.is(vdi, "read_only"),
    }
}

pub fn bring_back(cx: &mut Cx<'_>, sr: Ref, disk: &KeptDisk) -> Ref {
    let fields = vec![
        ("uuid", Value::Text(disk.uuid.clone())),
        ("name_label", Value::Text(disk.name.clone())),
        ("name_description", Value::Text(disk.description.clone())),
        ("SR", Value::Ref(sr)),
        ("virtual_size", Value::Int(disk.bytes)),
        ("physical_utilisation", Value::Int(disk.used)),
        ("type", Value::Text(disk.kind.clone())),
        ("is_a_snapshot", Value::Bool(disk.is_snapshot)),
        ("read_only", Value::Bool(disk.is_read_only)),
        ("managed", Value::Bool(true)),
    ];
    let vdi = cx.db.create_with("VDI", fields);
    locate(cx, vdi);
    vdi
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vdi = args.link(0);
    assert_allowed(cx.db, vdi, "destroy")?;
    operation(cx, vdi, "destroy", pace::DISK, move |cx| {
        cx.known("VDI", vdi)?;
        remove(cx, vdi);
        done()
    })
}

fn forget(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vdi = args.link(0);
    assert_allowed(cx.db, vdi, "forget")?;
    let (disk, sr) = (keep(cx.db, vdi), cx.db.text(cx.db.link(vdi, "SR"), "uuid").to_string());
    if let Some(volume) = cx.site.arrays.values_mut().flatten().find(|volume| *volume.sr == *sr) {
        volume.disks.push(disk);
    }
    forget_record(cx, vdi);
    done()
}

/// Removes a disk and what is on it.
pub fn remove(cx: &mut Cx<'_>, vdi: Ref) {
    let uuid: Arc<str> = cx.db.text(vdi, "uuid").into();
    forget_record(cx, vdi);
    cx.site.systems.remove(&uuid);
    cx.site.inside.disk_removed(&uuid);
}

/// Removes the record of a disk, and the VBDs that had it: empty drives stay.
pub fn forget_record(cx: &mut Cx<'_>, vdi: Ref) {
    for vbd in cx.db.links(vdi, "VBDs") {
        if cx.db.text(vbd, "type") == "CD" {
            cx.db.set(vbd, "empty", true);
            cx.db.set(vbd, "VDI", Ref::NULL);
        } else {
            super::device::remove(cx, vbd);
        }
    }
    for snapshot in cx.db.links(vdi, "snapshots") {
        cx.db.set(snapshot, "snapshot_of", Ref::NULL);
    }
    cx.db.destroy(vdi);
}

fn resize(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vdi, bytes) = (args.link(0), round(args.int(1))?);
    assert_allowed(cx.db, vdi, "resize")?;
    if bytes < cx.db.int(vdi, "virtual_size") {
        return Err(array::failure(79, "VDI Invalid size", "shrinking not allowed"));
    }
    let sr = cx.db.link(vdi, "SR");
    let grows = if sr::is_thin(cx.db, sr) { 0 } else { bytes - cx.db.int(vdi, "physical_utilisation") };
    assert_room(cx.db, sr, grows)?;
    operation(cx, vdi, "resize", pace::DISK, move |cx| {
        cx.known("VDI", vdi)?;
        cx.db.set(vdi, "virtual_size", bytes);
        let used = cx.db.int(vdi, "physical_utilisation") + grows;
        cx.db.set(vdi, "physical_utilisation", used);
        cx.db.touch(sr);
        done()
    })
}

/// How long so many bytes take to copy.
pub fn copying(bytes: i64) -> Duration {
    pace::COPY_GIB.mul_f64(bytes as f64 / f64::from(1 << 30))
}

fn duplicate(cx: &mut Cx<'_>, vdi: Ref, name: &'static str) -> Outcome<Answer> {
    assert_allowed(cx.db, vdi, name)?;
    operation(cx, vdi, name, pace::SNAPSHOT, move |cx| {
        cx.known("VDI", vdi)?;
        let sr = cx.db.link(vdi, "SR");
        let made = if name == "clone" { clone_of(cx, vdi) } else { snapshot_of(cx, vdi) };
        // The back end says it in its own way.
        made.map_err(|_| array::failure(44, "There is insufficient space", "")).and_then(|made| {
            cx.db.touch(sr);
            answer(made)
        })
    })
}

/// A disk that shares what is there with its original.
///
/// # Errors
/// No room.
pub fn clone_of(cx: &mut Cx<'_>, vdi: Ref) -> Outcome<Ref> {
    let sr = cx.db.link(vdi, "SR");
    let bytes = first_use(cx.db, sr, cx.db.int(vdi, "virtual_size"));
    twin(cx, vdi, sr, bytes)
}

/// # Errors
/// No room.
pub fn snapshot_of(cx: &mut Cx<'_>, vdi: Ref) -> Outcome<Ref> {
    let sr = cx.db.link(vdi, "SR");
    // Also of a thick disk, a snapshot shares what is there.
    let snapshot = twin(cx, vdi, sr, HEADER)?;
    let now = cx.now();
    cx.db.set(snapshot, "is_a_snapshot", true);
    cx.db.set(snapshot, "snapshot_of", vdi);
    cx.db.set(snapshot, "snapshot_time", Value::Date(now));
    Ok(snapshot)
}

/// A disk with the same content on an SR.
///
/// # Errors
/// No room.
pub fn full_copy(cx: &mut Cx<'_>, vdi: Ref, sr: Ref) -> Outcome<Ref> {
    let bytes = whole(cx.db, vdi, sr);
    twin(cx, vdi, sr, bytes)
}

/// The bytes that all of a disk takes on an SR.
fn whole(db: &Store, vdi: Ref, sr: Ref) -> i64 {
    if sr::is_thin(db, sr) { written(db, vdi) } else { db.int(vdi, "virtual_size") }
}

/// What a copy of a disk has to hold, its ancestors included.
pub fn written(db: &Store, vdi: Ref) -> i64 {
    let (used, size) = (db.int(vdi, "physical_utilisation"), db.int(vdi, "virtual_size"));
    let of = db.link(vdi, "snapshot_of");
    let base = if db.exists(of) { db.int(of, "physical_utilisation") } else { 0 };
    used.max(base).min(size)
}

fn twin(cx: &mut Cx<'_>, vdi: Ref, sr: Ref, bytes: i64) -> Outcome<Ref> {
    let made = twin_record(cx, vdi, sr, bytes)?;
    cx.site.inside.disk_copied(cx.db.text(vdi, "uuid"), cx.db.text(made, "uuid"));
    Ok(made)
}

/// What a copy of a disk takes over from it.
pub fn kept(db: &Store, vdi: Ref) -> Vec<(&'static str, Value)> {
    let names = [
        "name_label",
        "name_description",
        "virtual_size",
        "type",
        "sharable",
        "read_only",
        "other_config",
        "sm_config",
        "on_boot",
        "tags",
    ];
    names.map(|name| (name, db.get(vdi, name).clone())).to_vec()
}

/// What a pool knows of a disk like another; its files are not there yet.
fn twin_record(cx: &mut Cx<'_>, vdi: Ref, sr: Ref, bytes: i64) -> Outcome<Ref> {
    sr::assert_room(cx, sr, bytes)?;
    let mut fields = kept(cx.db, vdi);
    fields.extend([("SR", Value::Ref(sr)), ("physical_utilisation", Value::Int(bytes)), ("managed", Value::Bool(true))]);
    let made = cx.db.create_with("VDI", fields);
    locate(cx, made);
    let (from, to): (Arc<str>, Arc<str>) = (cx.db.text(vdi, "uuid").into(), cx.db.text(made, "uuid").into());
    if let Some(system) = cx.site.systems.get(&from).cloned() {
        cx.site.systems.insert(to, system);
    }
    Ok(made)
}

/// VDI.copy(vdi, sr, base_vdi, into_vdi).
fn copy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vdi = args.link(0);
    assert_allowed(cx.db, vdi, "copy")?;
    if !args.link(3).is_null() {
        return copy_into(cx, vdi, args.link(3));
    }
    let sr = cx.known("SR", args.link(1))?;
    sr::assert_attached(cx.db, sr)?;
    let takes = copying(written(cx.db, vdi));
    operation(cx, vdi, "copy", takes, move |cx| {
        cx.known("VDI", vdi)?;
        full_copy(cx, vdi, sr).map_err(|_| array::failure(44, "There is insufficient space", "")).and_then(answer)
    })
}

/// Writes what is on a disk over what is on another.
fn copy_into(cx: &mut Cx<'_>, vdi: Ref, into: Ref) -> Outcome<Answer> {
    let into = cx.known("VDI", into)?;
    let (size, room) = (cx.db.int(vdi, "virtual_size"), cx.db.int(into, "virtual_size"));
    if size > room {
        return Err(Failure::new("VDI_TOO_SMALL", [into.to_string(), size.to_string()]));
    }
    if cx.db.is(into, "read_only") {
        return Err(Failure::new("VDI_READONLY", [into]));
    }
    assert_allowed(cx.db, into, "resize")?;
    let takes = copying(written(cx.db, vdi));
    operation(cx, vdi, "copy", takes, move |cx| {
        cx.known("VDI", vdi)?;
        cx.known("VDI", into)?;
        let (from, to): (Arc<str>, Arc<str>) = (cx.db.text(vdi, "uuid").into(), cx.db.text(into, "uuid").into());
        let sr = cx.db.link(into, "SR");
        let (before, bytes) = (cx.db.int(into, "physical_utilisation"), whole(cx.db, vdi, sr));
        assert_room(cx.db, sr, bytes - before)?;
        cx.db.set(into, "physical_utilisation", bytes.max(before));
        match cx.site.systems.get(&from).cloned() {
            Some(system) => cx.site.systems.insert(to.clone(), system),
            None => cx.site.systems.remove(&to),
        };
        cx.site.inside.disk_copied(&from, &to);
        answer(into)
    })
}

/// Moves a disk of a running VM to another SR.
fn pool_migrate(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vdi, sr) = (args.link(0), cx.known("SR", args.link(1))?);
    let attached = cx.db.links(vdi, "VBDs").into_iter().find(|vbd| cx.db.is(*vbd, "currently_attached"));
    let Some(vbd) = attached else { return Err(Failure::new("VDI_NEEDS_VM_FOR_MIGRATE", [vdi])) };
    let vm = cx.db.link(vbd, "VM");
    let host = cx.db.link(vm, "resident_on");
    if !super::host::sees(cx.db, host, sr) {
        return Err(Failure::new("SR_NOT_ATTACHED", [sr]));
    }
    let takes = copying(written(cx.db, vdi));
    operation(cx, vdi, "mirror", takes, move |cx| {
        cx.known("VDI", vdi)?;
        answer(relocate(cx, vdi, sr)?)
    })
}

/// Puts a disk on another SR under another name; its VBDs have that from then on.
///
/// # Errors
/// No room.
pub fn relocate(cx: &mut Cx<'_>, vdi: Ref, sr: Ref) -> Outcome<Ref> {
    let bytes = whole(cx.db, vdi, sr);
    let moved = twin_record(cx, vdi, sr, bytes)?;
    let mut vms = Vec::new();
    for vbd in cx.db.links(vdi, "VBDs") {
        cx.db.set(vbd, "VDI", moved);
        vms.push(cx.db.link(vbd, "VM"));
    }
    cx.site.inside.disk_moved(cx.db.text(vdi, "uuid"), cx.db.text(moved, "uuid"));
    remove(cx, vdi);
    for vm in vms {
        super::domain::changed(cx, vm);
    }
    Ok(moved)
}

fn set_on_boot(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    assert_allowed(cx.db, args.link(0), "set_on_boot")?;
    cx.db.set(args.link(0), "on_boot", args.get(1).clone());
    done()
}
