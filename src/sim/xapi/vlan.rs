//! VLANs: interfaces with a tag on top of others.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::pif;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => |cx, args| {
            let (nic, tag, network) = (args.link(0), args.int(1), cx.known("network", args.link(2))?);
            check(cx, nic, tag, network)?;
            later(pace::NETWORK, move |cx| {
                check(cx, nic, tag, network)?;
                answer(make(cx, nic, tag, network))
            })
        },
        "destroy" => destroy,
        _ => return None,
    })
}

/// # Errors
/// Why there cannot be this VLAN.
fn check(cx: &Cx<'_>, nic: Ref, tag: i64, network: Ref) -> Outcome<()> {
    if !(1..=4094).contains(&tag) {
        return Err(Failure::new("VLAN_TAG_INVALID", [tag]));
    }
    if !cx.db.link(nic, "VLAN_master_of").is_null() {
        return Err(Failure::new("PIF_IS_VLAN", [nic]));
    }
    if !cx.db.link(nic, "bond_slave_of").is_null() {
        return Err(Failure::new("CANNOT_ADD_VLAN_TO_BOND_SLAVE", [nic]));
    }
    let host = cx.db.link(nic, "host");
    let device = cx.db.text(nic, "device");
    let same =
        cx.db.links(host, "PIFs").into_iter().any(|other| cx.db.text(other, "device") == device && cx.db.int(other, "VLAN") == tag);
    if same {
        return Err(Failure::new("PIF_VLAN_EXISTS", [nic]));
    }
    if let Some(other) = pif::on_network(cx.db, host, network) {
        return Err(Failure::new("NETWORK_ALREADY_CONNECTED", [network, host, other]));
    }
    Ok(())
}

pub fn make(cx: &mut Cx<'_>, nic: Ref, tag: i64, network: Ref) -> Ref {
    let copied = ["device", "host", "MAC"].map(|field| (field, cx.db.get(nic, field).clone()));
    let mut fields = copied.to_vec();
    fields.extend([
        ("network", Value::Ref(network)),
        ("MTU", cx.db.get(network, "MTU").clone()),
        ("VLAN", Value::Int(tag)),
        ("currently_attached", Value::Bool(true)),
    ]);
    let untagged = pif::make(cx, fields);
    let vlan = vec![("tagged_PIF", Value::Ref(nic)), ("untagged_PIF", Value::Ref(untagged)), ("tag", Value::Int(tag))];
    let vlan = cx.db.create_with("VLAN", vlan);
    cx.db.set(untagged, "VLAN_master_of", vlan);
    vlan
}

/// pool.create_VLAN_from_PIF(pif, network, tag): on all hosts, on their interfaces of the same network.
pub fn create_everywhere(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (nic, network, tag) = (args.link(0), cx.known("network", args.link(1))?, args.int(2));
    let nics = cx.db.links(cx.db.link(nic, "network"), "PIFs");
    nics.iter().try_for_each(|nic| check(cx, *nic, tag, network))?;
    later(pace::NETWORK, move |cx| {
        nics.iter().try_for_each(|nic| check(cx, *nic, tag, network))?;
        let made: Vec<Ref> = nics.into_iter().map(|nic| make(cx, nic, tag, network)).collect();
        pif::as_answer(made.into_iter().map(|vlan| cx.db.link(vlan, "untagged_PIF")).collect())
    })
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vlan = args.link(0);
    let untagged = cx.db.link(vlan, "untagged_PIF");
    if cx.db.is(untagged, "management") {
        return Err(Failure::new("PIF_IS_MANAGEMENT_INTERFACE", [untagged]));
    }
    pif::assert_no_guests(cx, untagged)?;
    later(pace::NETWORK, move |cx| {
        cx.known("VLAN", vlan)?;
        pif::remove(cx, untagged);
        cx.db.destroy(vlan);
        done()
    })
}
