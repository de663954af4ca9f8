//! Bonds: several interfaces of a host as one.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::{pif, vif};

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "destroy" => destroy,
        "set_mode" => set_mode,
        "set_property" => |cx, args| {
            cx.db.set_key(args.link(0), "properties", args.text(1), args.get(2).clone());
            done()
        },
        _ => return None,
    })
}

const ADDRESS: [&str; 5] = ["ip_configuration_mode", "IP", "netmask", "gateway", "DNS"];

/// Bond.create(network, members, MAC, mode, properties).
fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (network, members, mac) = (args.link(0), args.links(1), args.text(2).to_string());
    check(cx, network, &members, &mac)?;
    let mode = if args.text(3).is_empty() { "balance-slb" } else { args.text(3) }.to_string();
    let properties = args.map(4);
    later(pace::NETWORK, move |cx| {
        check(cx, network, &members, &mac)?;
        let bond = make(cx, network, &members, &mac);
        cx.db.set(bond, "mode", mode);
        cx.db.set(bond, "properties", properties);
        answer(bond)
    })
}

/// # Errors
/// Why these interfaces cannot be bonded on this network.
fn check(cx: &Cx<'_>, network: Ref, members: &[Ref], mac: &str) -> Outcome<()> {
    let Some(first) = members.first().copied() else { return Err(Failure::bare("PIF_BOND_NEEDS_MORE_MEMBERS")) };
    if members.len() < 2 {
        return Err(Failure::bare("PIF_BOND_NEEDS_MORE_MEMBERS"));
    }
    if !mac.is_empty() && !vif::is_mac(mac) {
        return Err(Failure::new("MAC_INVALID", [mac]));
    }
    let host = cx.db.link(first, "host");
    for (at, member) in members.iter().enumerate() {
        if members[..at].contains(member) {
            return Err(Failure::new("PIF_ALREADY_BONDED", [*member]));
        }
        if cx.db.link(*member, "host") != host {
            return Err(Failure::bare("PIF_CANNOT_BOND_CROSS_HOST"));
        }
        if !cx.db.link(*member, "bond_slave_of").is_null() {
            return Err(Failure::new("PIF_ALREADY_BONDED", [*member]));
        }
        if !cx.db.link(*member, "VLAN_master_of").is_null() {
            return Err(Failure::new("PIF_VLAN_EXISTS", [*member]));
        }
        if !cx.db.is(*member, "physical") {
            return Err(Failure::new("PIF_IS_NOT_PHYSICAL", [*member]));
        }
    }
    if let Some(other) = pif::on_network(cx.db, host, network) {
        return Err(Failure::new("NETWORK_ALREADY_CONNECTED", [network, host, other]));
    }
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_CANNOT_CHANGE_BOND_STATE"));
    }
    Ok(())
}

/// The bond takes over the address and VLANs of the member that has them, and guests of the members' networks.
fn make(cx: &mut Cx<'_>, network: Ref, members: &[Ref], mac: &str) -> Ref {
    let is_management = |member: &&Ref| cx.db.is(**member, "management");
    let primary = members.iter().find(is_management).or_else(|| members.iter().find(|m| !cx.db.text(**m, "IP").is_empty()));
    let primary = primary.or(members.first()).copied().unwrap_or_default();
    let own = cx.db.links(cx.db.link(primary, "host"), "PIFs");
    let taken: Vec<String> = own.into_iter().map(|nic| cx.db.text(nic, "device").to_string()).collect();
    let device = (0..).map(|number| format!("bond{number}")).find(|name| !taken.contains(name)).unwrap_or_default();
    let mac = if mac.is_empty() { cx.db.text(primary, "MAC").to_string() } else { mac.to_lowercase() };
    let mut fields: Vec<(&str, Value)> = ADDRESS.map(|field| (field, cx.db.get(primary, field).clone())).to_vec();
    fields.extend([
        ("device", Value::from(device)),
        ("host", cx.db.get(primary, "host").clone()),
        ("network", Value::Ref(network)),
        ("MAC", Value::from(mac)),
        ("MTU", cx.db.get(network, "MTU").clone()),
        ("VLAN", Value::Int(-1)),
        ("management", cx.db.get(primary, "management").clone()),
        ("currently_attached", Value::Bool(true)),
    ]);
    let master = pif::make(cx, fields);
    let bond = vec![
        ("master", Value::Ref(master)),
        ("primary_slave", Value::Ref(primary)),
        ("links_up", Value::Int(members.len() as i64)),
    ];
    let bond = cx.db.create_with("Bond", bond);
    let host = cx.db.link(primary, "host");
    for member in members {
        for vlan in cx.db.links(*member, "VLAN_slave_of") {
            cx.db.set(vlan, "tagged_PIF", master);
            let device = cx.db.text(master, "device").to_string();
            cx.db.set(cx.db.link(vlan, "untagged_PIF"), "device", device);
        }
        for guest in cx.db.links(cx.db.link(*member, "network"), "VIFs") {
            if cx.db.link(cx.db.link(guest, "VM"), "resident_on") == host {
                cx.db.set(guest, "network", network);
            }
        }
        cx.db.set(*member, "bond_slave_of", bond);
        cx.db.set(*member, "management", false);
        cx.db.set(*member, "currently_attached", false);
        clear(cx, *member);
    }
    bond
}

fn clear(cx: &mut Cx<'_>, nic: Ref) {
    cx.db.set(nic, "ip_configuration_mode", "None");
    for field in &ADDRESS[1..] {
        cx.db.set(nic, field, "");
    }
}

/// The primary member gets back what the bond had.
fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let bond = args.link(0);
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_CANNOT_CHANGE_BOND_STATE"));
    }
    later(pace::NETWORK, move |cx| {
        cx.known("Bond", bond)?;
        let (master, primary) = (cx.db.link(bond, "master"), cx.db.link(bond, "primary_slave"));
        for field in ADDRESS.into_iter().chain(["management"]) {
            let value = cx.db.get(master, field).clone();
            cx.db.set(primary, field, value);
        }
        for vlan in cx.db.links(master, "VLAN_slave_of") {
            cx.db.set(vlan, "tagged_PIF", primary);
            let device = cx.db.text(primary, "device").to_string();
            cx.db.set(cx.db.link(vlan, "untagged_PIF"), "device", device);
        }
        let (host, home) = (cx.db.link(master, "host"), cx.db.link(primary, "network"));
        for guest in cx.db.links(cx.db.link(master, "network"), "VIFs") {
            if cx.db.link(cx.db.link(guest, "VM"), "resident_on") == host {
                cx.db.set(guest, "network", home);
            }
        }
        for member in cx.db.links(bond, "slaves") {
            cx.db.set(member, "bond_slave_of", Ref::NULL);
            cx.db.set(member, "currently_attached", true);
        }
        pif::remove(cx, master);
        cx.db.destroy(bond);
        done()
    })
}

fn set_mode(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    cx.db.set(args.link(0), "mode", args.get(1).clone());
    done()
}
