//! The plugs of hosts into SRs.

use super::super::array;
use super::super::clock::pace;
use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{host, sr, vdi};

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "destroy" => destroy,
        "plug" => plug,
        "unplug" => unplug,
        "set_device_config" => set_device_config,
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class("PBD").ok_or_else(|| Failure::internal("no PBD"))?;
    let fields = given(class, args.get(0))?;
    let link = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_ref()).unwrap_or_default();
    let (at, sr) = (cx.known("host", link("host"))?, cx.known("SR", link("SR"))?);
    if let Some(other) = cx.db.links(sr, "PBDs").into_iter().find(|pbd| cx.db.link(*pbd, "host") == at) {
        return Err(Failure::new("PBD_EXISTS", [sr, at, other]));
    }
    if !cx.db.is(sr, "shared") && !cx.db.links(sr, "PBDs").is_empty() {
        return Err(Failure::new("SR_NOT_SHARABLE", [sr, at]));
    }
    answer(cx.db.create_with("PBD", fields))
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let pbd = args.link(0);
    if cx.db.is(pbd, "currently_attached") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["PBD is currently attached"]));
    }
    cx.db.destroy(pbd);
    done()
}

fn set_device_config(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    if cx.db.is(args.link(0), "currently_attached") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["PBD is currently attached"]));
    }
    cx.db.set(args.link(0), "device_config", args.get(1).clone());
    done()
}

fn plug(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let pbd = args.link(0);
    let at = cx.db.link(pbd, "host");
    if !host::is_live(cx.db, at) {
        return Err(Failure::new("HOST_OFFLINE", [at]));
    }
    if cx.db.is(pbd, "currently_attached") {
        return done();
    }
    let sr = cx.db.link(pbd, "SR");
    let device = sr::device(cx, pbd)?;
    let uuid = cx.db.text(sr, "uuid").to_string();
    let is_there = cx.site.arrays.get(&device.key).is_some_and(|volumes| volumes.iter().any(|volume| *volume.sr == *uuid));
    // A library of discs has no mark of its own on the server.
    if !is_there && cx.db.text(sr, "type") != "iso" {
        return Err(array::failure(47, "The SR is not available", ""));
    }
    later(pace::SR_PLUG, move |cx| {
        cx.known("PBD", pbd)?;
        cx.db.set(pbd, "currently_attached", true);
        cx.site.inside.storage_plugged(cx.db.text(at, "uuid"), cx.db.text(sr, "uuid"));
        cx.db.set(sr, "physical_size", device.bytes);
        match cx.db.text(sr, "type") {
            "iso" => vdi::discs(cx, sr),
            _ => sr::look(cx, sr)?,
        }
        done()
    })
}

fn unplug(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let pbd = args.link(0);
    let (at, sr) = (cx.db.link(pbd, "host"), cx.db.link(pbd, "SR"));
    if !cx.db.is(pbd, "currently_attached") {
        return done();
    }
    if !host::is_live(cx.db, at) {
        return Err(Failure::new("HOST_OFFLINE", [at]));
    }
    let in_use = cx.db.links(sr, "VDIs").into_iter().find(|vdi| is_used_on(cx, *vdi, at));
    if let Some(vdi) = in_use {
        return Err(Failure::new("VDI_IN_USE", [vdi.to_string(), "unplug".to_string()]));
    }
    later(pace::SR_PLUG, move |cx| {
        cx.known("PBD", pbd)?;
        cx.db.set(pbd, "currently_attached", false);
        cx.db.touch(sr);
        done()
    })
}

/// Whether a running VM of a host has the disk.
fn is_used_on(cx: &Cx<'_>, vdi: Ref, at: Ref) -> bool {
    let attached = cx.db.links(vdi, "VBDs").into_iter().filter(|vbd| *cx.db.get(*vbd, "currently_attached") == Value::Bool(true));
    attached.into_iter().any(|vbd| cx.db.link(cx.db.link(vbd, "VM"), "resident_on") == at)
}
