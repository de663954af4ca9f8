//! Storage repositories and the plugs of hosts into them.

use super::super::array::{self, Device, KeptDisk, Volume};
use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later, operation};
use super::{host, vdi};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "introduce" => introduce,
        "probe" => probe,
        "scan" => scan,
        "update" => |_, _| done(),
        "forget" => forget,
        "destroy" => destroy,
        "set_shared" => set_shared,
        "set_physical_size" | "set_virtual_allocation" | "set_physical_utilisation" => return None,
        "get_supported_types" => |_, _| answer(array::DRIVERS.iter().map(|driver| driver.name).collect::<Vec<_>>()),
        "assert_can_host_ha_statefile" => |cx, args| assert_can_host_statefile(cx.db, args.link(0)).and_then(|()| done()),
        _ => return None,
    })
}

pub fn allowed(db: &Store, sr: Ref) -> Vec<&'static str> {
    let plugs = db.links(sr, "PBDs");
    let is_attached = plugs.iter().any(|pbd| db.is(*pbd, "currently_attached"));
    let mut words = vec!["pbd_create", "pbd_destroy", "plug", "unplug"];
    if !is_attached {
        words.extend(["destroy", "forget"]);
        return words;
    }
    words.extend(["scan", "update"]);
    if db.text(sr, "content_type") != "iso" {
        words.extend([
            "vdi_clone",
            "vdi_create",
            "vdi_destroy",
            "vdi_introduce",
            "vdi_mirror",
            "vdi_resize",
            "vdi_set_on_boot",
            "vdi_snapshot",
        ]);
    }
    words
}

/// What the disks of an SR take.
pub fn used(db: &Store, sr: Ref) -> i64 {
    db.sizes(sr).used
}

/// What the disks of an SR may grow to.
pub fn allocated(db: &Store, sr: Ref) -> i64 {
    db.sizes(sr).allocated
}

pub fn free(db: &Store, sr: Ref) -> i64 {
    (db.int(sr, "physical_size") - used(db, sr)).max(0)
}

/// Whether disks on it take only what is written on them.
pub fn is_thin(db: &Store, sr: Ref) -> bool {
    let thin = array::driver_of(db.text(sr, "type")).is_ok_and(|driver| driver.is_thin);
    thin || db.key(sr, "sm_config", "allocation") == Some("thin")
}

/// # Errors
/// `SR_FULL` with what was asked for and what there is.
pub fn assert_room(cx: &Cx<'_>, sr: Ref, bytes: i64) -> Outcome<()> {
    let free = free(cx.db, sr);
    if bytes > free { Err(Failure::new("SR_FULL", [bytes, free])) } else { Ok(()) }
}

/// # Errors
/// `SR_HAS_NO_PBDS`, `SR_NOT_ATTACHED`: no host is plugged into it.
pub fn assert_attached(db: &Store, sr: Ref) -> Outcome<()> {
    let plugs = db.links(sr, "PBDs");
    if plugs.is_empty() {
        return Err(Failure::new("SR_HAS_NO_PBDS", [sr]));
    }
    let reaches = |pbd: &Ref| db.is(*pbd, "currently_attached") && host::is_live(db, db.link(*pbd, "host"));
    if plugs.iter().any(reaches) { Ok(()) } else { Err(Failure::new("SR_NOT_ATTACHED", [sr])) }
}

/// Where the memory of a VM goes when it is suspended.
pub fn for_suspend(db: &Store, vm: Ref) -> Option<Ref> {
    let host = db.link(vm, "resident_on");
    let pool = db.all("pool").first().copied().unwrap_or_default();
    let wanted = [
        db.link(vm, "suspend_SR"),
        db.link(pool, "suspend_image_SR"),
        db.link(host, "suspend_image_sr"),
        db.link(pool, "default_SR"),
    ];
    let reached = wanted.into_iter().find(|sr| db.exists(*sr) && host::sees(db, host, *sr));
    reached.or_else(|| {
        let plugs = db.links(host, "PBDs").into_iter().filter(|pbd| db.is(*pbd, "currently_attached"));
        plugs.map(|pbd| db.link(pbd, "SR")).find(|sr| matches!(db.text(*sr, "type"), "ext" | "lvm"))
    })
}

pub fn assert_can_host_statefile(db: &Store, sr: Ref) -> Outcome<()> {
    if !db.is(sr, "shared") {
        return Err(Failure::new("SR_OPERATION_NOT_SUPPORTED", [sr]));
    }
    let everywhere = db.all("host").into_iter().all(|host| host::sees(db, host, sr));
    if everywhere { Ok(()) } else { Err(Failure::new("SR_NO_PBDS", [sr])) }
}

/// What a plug of a host leads to.
pub fn device(cx: &Cx<'_>, pbd: Ref) -> Outcome<Device> {
    let (sr, host) = (cx.db.link(pbd, "SR"), cx.db.link(pbd, "host"));
    let configuration = cx.db.get(pbd, "device_config").as_map().cloned().unwrap_or_default();
    let configuration = with_secrets(cx.db, configuration)?;
    array::find(cx.db.text(sr, "type"), &configuration, cx.db.text(host, "uuid"), cx.site.options.disk as i64)
}

/// Puts the values of secrets where a configuration only names them.
fn with_secrets(db: &Store, mut configuration: BTreeMap<Arc<str>, Value>) -> Outcome<BTreeMap<Arc<str>, Value>> {
    for key in ["cifspassword_secret", "password_secret", "chappassword_secret"] {
        if let Some(uuid) = configuration.remove(key) {
            let secret = db.by_uuid("secret", uuid.as_str()).ok_or_else(|| array::failure(20, "No such secret.", ""))?;
            configuration.insert(key.trim_end_matches("_secret").into(), db.get(secret, "value").clone());
        }
    }
    Ok(configuration)
}

/// SR.create(host, device_config, physical_size, name, description, type, content_type, shared, sm_config).
fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (at, kind) = (cx.known("host", args.link(0))?, args.text(5).to_string());
    let driver = array::driver_of(&kind)?;
    if !driver.features.contains(&"VDI_CREATE") && kind != "iso" {
        return Err(array::failure(38, "The requested method is not supported/implemented", ""));
    }
    if !host::is_live(cx.db, at) {
        return Err(Failure::new("HOST_OFFLINE", [at]));
    }
    let is_shared = args.is(7);
    let configuration = with_secrets(cx.db, args.map(1))?;
    let uuid = cx.db.text(at, "uuid").to_string();
    let device = array::find(&kind, &configuration, &uuid, cx.site.options.disk as i64)?;
    if !device.is_roomy && cx.site.arrays.get(&device.key).is_some_and(|there| !there.is_empty()) {
        return Err(array::failure(16, "The SR device is currently in use", ""));
    }
    let fields = vec![
        ("name_label", args.get(3).clone()),
        ("name_description", args.get(4).clone()),
        ("type", args.get(5).clone()),
        ("content_type", Value::from(if kind == "iso" { "iso" } else { args.text(6) })),
        ("shared", Value::Bool(is_shared)),
        ("sm_config", Value::Map(args.map(8))),
        ("physical_size", Value::Int(device.bytes)),
    ];
    let configuration = args.get(1).clone();
    later(pace::SR_CREATE, move |cx| {
        let sr = cx.db.create_with("SR", fields);
        let hosts = if is_shared { cx.db.all("host") } else { vec![at] };
        let volume = Volume { sr: cx.db.text(sr, "uuid").into(), disks: Vec::new() };
        cx.site.arrays.entry(device.key).or_default().push(volume);
        for host in hosts {
            let pbd = vec![("host", Value::Ref(host)), ("SR", Value::Ref(sr)), ("device_config", configuration.clone())];
            let pbd = cx.db.create_with("PBD", pbd);
            // A host that is down plugs when it is up again.
            cx.db.set(pbd, "currently_attached", host::is_live(cx.db, host));
        }
        if cx.db.text(sr, "type") == "iso" {
            vdi::discs(cx, sr);
        }
        answer(sr)
    })
}

/// SR.introduce(uuid, name, description, type, content_type, shared, sm_config): only the record.
fn introduce(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    array::driver_of(args.text(3))?;
    let uuid = args.text(0);
    if cx.db.by_uuid("SR", uuid).is_some() {
        return Err(Failure::new("SR_UUID_EXISTS", [uuid]));
    }
    let fields = vec![
        ("uuid", args.get(0).clone()),
        ("name_label", args.get(1).clone()),
        ("name_description", args.get(2).clone()),
        ("type", args.get(3).clone()),
        ("content_type", args.get(4).clone()),
        ("shared", Value::Bool(args.is(5))),
        ("sm_config", Value::Map(args.map(6))),
    ];
    answer(cx.db.create_with("SR", fields))
}

/// SR.probe(host, device_config, type, sm_config): what is on a device.
fn probe(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    array::driver_of(args.text(2))?;
    let uuid = cx.db.text(args.link(0), "uuid").to_string();
    let configuration = with_secrets(cx.db, args.map(1))?;
    let device = array::find(args.text(2), &configuration, &uuid, cx.site.options.disk as i64)?;
    answer(array::list(cx.site.arrays.get(&device.key).map(Vec::as_slice).unwrap_or_default()))
}

fn scan(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let sr = args.link(0);
    assert_attached(cx.db, sr)?;
    operation(cx, sr, "scan", pace::SR_SCAN, move |cx| {
        cx.known("SR", sr)?;
        look(cx, sr)?;
        done()
    })
}

/// Makes records of disks that are on the device and not in the database.
pub fn look(cx: &mut Cx<'_>, sr: Ref) -> Outcome<()> {
    let uuid = cx.db.text(sr, "uuid").to_string();
    let kept: Vec<KeptDisk> = {
        let volumes = cx.site.arrays.values_mut().flatten();
        volumes.filter(|volume| *volume.sr == *uuid).flat_map(|volume| std::mem::take(&mut volume.disks)).collect()
    };
    for disk in kept.into_iter().filter(|disk| cx.db.by_uuid("VDI", &disk.uuid).is_none()).collect::<Vec<_>>() {
        vdi::bring_back(cx, sr, &disk);
    }
    cx.db.touch(sr);
    Ok(())
}

fn assert_unplugged(db: &Store, sr: Ref) -> Outcome<()> {
    let plugged = db.links(sr, "PBDs").into_iter().any(|pbd| db.is(pbd, "currently_attached"));
    if plugged { Err(Failure::new("SR_HAS_PBD", [sr])) } else { Ok(()) }
}

/// Takes an SR out of the database, and leaves what is on it.
fn forget(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let sr = args.link(0);
    assert_unplugged(cx.db, sr)?;
    if cx.db.is(sr, "is_tools_sr") {
        return Err(Failure::new("SR_OPERATION_NOT_SUPPORTED", [sr]));
    }
    let uuid = cx.db.text(sr, "uuid").to_string();
    let disks = cx.db.links(sr, "VDIs");
    if cx.db.text(sr, "content_type") != "iso" {
        let kept: Vec<KeptDisk> = disks.iter().map(|disk| vdi::keep(cx.db, *disk)).collect();
        if let Some(volume) = cx.site.arrays.values_mut().flatten().find(|volume| *volume.sr == *uuid) {
            volume.disks.extend(kept);
        }
    }
    for disk in disks {
        vdi::forget_record(cx, disk);
    }
    remove(cx, sr);
    done()
}

/// Removes what is on an SR, and the SR.
fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let sr = args.link(0);
    if cx.db.is(sr, "is_tools_sr") || cx.db.text(sr, "content_type") == "iso" {
        return Err(Failure::new("SR_OPERATION_NOT_SUPPORTED", [sr]));
    }
    if cx.db.links(sr, "PBDs").is_empty() {
        return Err(Failure::new("SR_HAS_NO_PBDS", [sr]));
    }
    assert_unplugged(cx.db, sr)?;
    let disks = cx.db.links(sr, "VDIs");
    if disks.iter().any(|vdi| cx.db.is(*vdi, "managed") && cx.db.text(*vdi, "type") != "metadata") {
        return Err(array::failure(39, "The SR is not empty", ""));
    }
    operation(cx, sr, "destroy", pace::SR_CREATE, move |cx| {
        cx.known("SR", sr)?;
        let uuid = cx.db.text(sr, "uuid").to_string();
        cx.site.arrays.values_mut().for_each(|volumes| volumes.retain(|volume| *volume.sr != *uuid));
        for disk in cx.db.links(sr, "VDIs") {
            vdi::remove(cx, disk);
        }
        remove(cx, sr);
        done()
    })
}

fn remove(cx: &mut Cx<'_>, sr: Ref) {
    for pbd in cx.db.links(sr, "PBDs") {
        cx.db.destroy(pbd);
    }
    let pool = cx.pool_record();
    for field in ["default_SR", "suspend_image_SR", "crash_dump_SR"] {
        if cx.db.link(pool, field) == sr {
            cx.db.set(pool, field, Ref::NULL);
        }
    }
    cx.db.destroy(sr);
}

fn set_shared(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let sr = args.link(0);
    if !args.is(1) && cx.db.links(sr, "PBDs").len() > 1 {
        return Err(Failure::new("SR_HAS_MULTIPLE_PBDS", [sr]));
    }
    cx.db.set(sr, "shared", args.is(1));
    done()
}
