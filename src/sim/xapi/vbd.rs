//! Disks and CD drives of VMs.

use super::super::clock::pace;
use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{device, domain, host, vm_rules};

/// The places that a VM has for disks.
const PLACES: u32 = 255;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "destroy" => destroy,
        "plug" => plug,
        "unplug" => |cx, args| unplug(cx, args, false),
        "unplug_force" | "unplug_force_no_safety_check" => |cx, args| unplug(cx, args, true),
        "insert" => insert,
        "eject" => eject,
        "assert_attachable" => |cx, args| attachable(cx.db, args.link(0)).and_then(|()| done()),
        "set_mode" => set_mode,
        _ => return None,
    })
}

pub fn allowed(db: &Store, vbd: Ref) -> Vec<&'static str> {
    let vm = db.link(vbd, "VM");
    let is_attached = db.is(vbd, "currently_attached");
    let is_running = db.text(vm, "power_state") == "Running";
    let mut words = Vec::new();
    if db.text(vbd, "type") == "CD" {
        words.push(if db.is(vbd, "empty") { "insert" } else { "eject" });
    }
    if is_running && vm_rules::has_agent(db, vm) {
        words.push(if is_attached { "unplug" } else { "plug" });
    }
    if is_running && is_attached {
        words.push("unplug_force");
    }
    if !is_attached {
        words.push("attach");
    }
    words
}

fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class("VBD").ok_or_else(|| Failure::internal("no VBD"))?;
    let mut fields = given(class, args.get(0))?;
    fields.retain(|(name, _)| !matches!(*name, "currently_attached" | "device"));
    let value = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let vm = cx.known("VM", value("VM").as_ref())?;
    let (is_empty, kind) = (value("empty") == Value::Bool(true), value("type"));
    if is_empty && kind.as_str() == "Disk" {
        return Err(Failure::new("VBD_NOT_REMOVABLE_MEDIA", [Ref::NULL]));
    }
    if !is_empty {
        let vdi = cx.known("VDI", value("VDI").as_ref())?;
        assert_fit(cx.db, vdi, kind.as_str(), value("mode").as_str())?;
    }
    let place = value("userdevice");
    let place = match place.as_str() {
        "autodetect" => free_places(cx.db, vm).into_iter().next().ok_or_else(|| Failure::new("INVALID_DEVICE", ["autodetect"]))?,
        given => device_number(given).ok_or_else(|| Failure::new("INVALID_DEVICE", [given]))?,
    };
    if cx.db.links(vm, "VBDs").into_iter().any(|vbd| cx.db.text(vbd, "userdevice") == place) {
        return Err(Failure::new("DEVICE_ALREADY_EXISTS", [place]));
    }
    fields.retain(|(name, _)| *name != "userdevice" && !(is_empty && *name == "VDI"));
    fields.push(("userdevice", Value::from(place)));
    let vbd = cx.db.create_with("VBD", fields);
    // A drive of a running VM is there at once, and is plugged by and by.
    answer(vbd)
}

/// "0" to "254", or a name as the guest has it.
fn device_number(given: &str) -> Option<String> {
    if let Ok(number) = given.parse::<u32>() {
        return (number < PLACES).then(|| number.to_string());
    }
    let letter = ["xvd", "hd", "sd"].iter().find_map(|prefix| given.strip_prefix(prefix))?;
    match letter.as_bytes() {
        [letter @ b'a'..=b'z'] => Some((letter - b'a').to_string()),
        _ => None,
    }
}

fn assert_fit(db: &Store, vdi: Ref, kind: &str, mode: &str) -> Outcome<()> {
    let is_disc = db.text(db.link(vdi, "SR"), "content_type") == "iso";
    if kind == "CD" && !is_disc {
        return Err(Failure::new("VDI_INCOMPATIBLE_TYPE", [vdi.to_string(), db.text(vdi, "type").to_string()]));
    }
    if mode == "RW" && (db.is(vdi, "read_only") || is_disc) {
        return Err(Failure::new("VDI_READONLY", [vdi]));
    }
    Ok(())
}

/// The places that are free, those that a bootable disk takes first.
pub fn free_places(db: &Store, vm: Ref) -> Vec<String> {
    device::free_places(db, vm, "VBDs", "userdevice", PLACES)
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vbd = args.link(0);
    if cx.db.is(vbd, "currently_attached") {
        return Err(Failure::new(
            "OPERATION_NOT_ALLOWED",
            [format!("VBD '{}' still attached to '{}'", uuid(cx, vbd), vm_uuid(cx, vbd))],
        ));
    }
    device::remove(cx, vbd);
    done()
}

fn uuid(cx: &Cx<'_>, vbd: Ref) -> String {
    cx.db.text(vbd, "uuid").to_string()
}

fn vm_uuid(cx: &Cx<'_>, vbd: Ref) -> String {
    cx.db.text(cx.db.link(vbd, "VM"), "uuid").to_string()
}

fn attachable(db: &Store, vbd: Ref) -> Outcome<()> {
    let vdi = db.link(vbd, "VDI");
    if vdi.is_null() {
        return Ok(());
    }
    let is_shared = db.is(vdi, "sharable") || db.text(vbd, "mode") == "RO";
    let other = db.links(vdi, "VBDs").into_iter().any(|other| other != vbd && db.is(other, "currently_attached"));
    if other && !is_shared { Err(Failure::new("VDI_IN_USE", [vdi.to_string(), "attach".to_string()])) } else { Ok(()) }
}

fn plug(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vbd = args.link(0);
    let vm = cx.db.link(vbd, "VM");
    if cx.db.is(vbd, "currently_attached") {
        return Err(Failure::new("DEVICE_ALREADY_ATTACHED", [vbd]));
    }
    device::assert_hotplug(cx.db, vm)?;
    attachable(cx.db, vbd)?;
    let (sr, at) = (cx.db.link(cx.db.link(vbd, "VDI"), "SR"), cx.db.link(vm, "resident_on"));
    if !sr.is_null() && !host::sees(cx.db, at, sr) {
        return Err(Failure::new("VM_REQUIRES_SR", [vm, sr]));
    }
    later(pace::PLUG, move |cx| {
        cx.known("VBD", vbd)?;
        domain::attach_disk(cx, vm, vbd);
        domain::changed(cx, vm);
        done()
    })
}

fn unplug(cx: &mut Cx<'_>, args: &Args, is_forced: bool) -> Outcome<Answer> {
    let vbd = args.link(0);
    let vm = cx.db.link(vbd, "VM");
    if !cx.db.is(vbd, "currently_attached") {
        return Err(Failure::new("DEVICE_ALREADY_DETACHED", [vbd]));
    }
    if !is_forced {
        device::assert_hotplug(cx.db, vm)?;
        let is_busy = cx.site.inside.is_in_use(cx.db.text(vm, "uuid"), cx.db.text(vbd, "device"));
        if is_busy || device_in_use(cx.db, vbd) {
            let text = "Device in use; refusing to close";
            return Err(Failure::new("DEVICE_DETACH_REJECTED", ["VBD".to_string(), vbd.to_string(), text.to_string()]));
        }
    }
    later(pace::PLUG, move |cx| {
        cx.known("VBD", vbd)?;
        cx.db.set(vbd, "currently_attached", false);
        cx.db.set(vbd, "device", "");
        domain::changed(cx, vm);
        done()
    })
}

/// Whether the guest lives on the disk.
fn device_in_use(db: &Store, vbd: Ref) -> bool {
    db.text(vbd, "userdevice") == "0" && db.text(vbd, "type") == "Disk"
}

fn insert(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vbd, vdi) = (args.link(0), cx.known("VDI", args.link(1))?);
    if cx.db.text(vbd, "type") != "CD" {
        return Err(Failure::new("VBD_NOT_REMOVABLE_MEDIA", [vbd]));
    }
    if !cx.db.is(vbd, "empty") {
        return Err(Failure::new("VBD_NOT_EMPTY", [vbd]));
    }
    assert_fit(cx.db, vdi, "CD", "RO")?;
    let (vm, sr) = (cx.db.link(vbd, "VM"), cx.db.link(vdi, "SR"));
    let at = cx.db.link(vm, "resident_on");
    if !at.is_null() && !host::sees(cx.db, at, sr) {
        return Err(Failure::new("VM_REQUIRES_SR", [vm, sr]));
    }
    cx.db.set(vbd, "VDI", vdi);
    cx.db.set(vbd, "empty", false);
    domain::changed(cx, vm);
    done()
}

fn eject(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vbd = args.link(0);
    if cx.db.text(vbd, "type") != "CD" {
        return Err(Failure::new("VBD_NOT_REMOVABLE_MEDIA", [vbd]));
    }
    if cx.db.is(vbd, "empty") {
        return Err(Failure::new("VBD_IS_EMPTY", [vbd]));
    }
    cx.db.set(vbd, "VDI", Ref::NULL);
    cx.db.set(vbd, "empty", true);
    domain::changed(cx, cx.db.link(vbd, "VM"));
    done()
}

fn set_mode(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vbd = args.link(0);
    if cx.db.is(vbd, "currently_attached") {
        return Err(Failure::new("DEVICE_ALREADY_ATTACHED", [vbd]));
    }
    let vdi = cx.db.link(vbd, "VDI");
    if cx.db.exists(vdi) {
        assert_fit(cx.db, vdi, cx.db.text(vbd, "type"), args.text(1))?;
    }
    cx.db.set(vbd, "mode", args.get(1).clone());
    done()
}
