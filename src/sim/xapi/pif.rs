//! Network interfaces of hosts.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, later};
use super::host;
use std::net::Ipv4Addr;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "reconfigure_ip" => reconfigure_ip,
        "plug" => plug,
        "unplug" => unplug,
        "scan" => |_, _| done(),
        "forget" | "db_forget" => forget,
        "destroy" => destroy,
        "introduce" => introduce,
        "set_disallow_unplug" => |cx, args| {
            cx.db.set(args.link(0), "disallow_unplug", args.get(1).clone());
            done()
        },
        "set_property" => |cx, args| {
            cx.db.set_key(args.link(0), "properties", args.text(1), args.get(2).clone());
            done()
        },
        _ => return None,
    })
}

/// What every interface is made with.
pub fn make(cx: &mut Cx<'_>, fields: Vec<(&str, Value)>) -> Ref {
    let now = cx.now();
    let metrics = cx.db.create_with(
        "PIF_metrics",
        vec![
            ("carrier", Value::Bool(true)),
            ("speed", Value::Int(10_000)),
            ("duplex", Value::Bool(true)),
            ("vendor_name", Value::from("Intel Corporation")),
            ("device_name", Value::from("Ethernet Controller X710")),
            ("last_updated", Value::Date(now)),
        ],
    );
    let nic = cx.db.create_with("PIF", fields);
    cx.db.set(nic, "metrics", metrics);
    nic
}

pub fn remove(cx: &mut Cx<'_>, nic: Ref) {
    let metrics = cx.db.link(nic, "metrics");
    cx.db.destroy(metrics);
    let all: Vec<Ref> = ["Bond", "VLAN"].into_iter().flat_map(|class| cx.db.all(class)).collect();
    for record in all {
        let is_of_it = ["master", "tagged_PIF", "untagged_PIF"].into_iter().any(|field| {
            let has = cx.db.class(record).is_some_and(|class| class.field(field).is_some());
            has && cx.db.link(record, field) == nic
        });
        if is_of_it {
            cx.db.destroy(record);
        }
    }
    cx.db.destroy(nic);
}

/// PIF.reconfigure_ip(pif, mode, IP, netmask, gateway, DNS).
fn reconfigure_ip(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (nic, mode) = (args.link(0), args.text(1).to_string());
    assert_up(cx, nic)?;
    if mode == "Static" {
        for (at, name) in [(2, "IP"), (3, "netmask")] {
            if args.text(at).parse::<Ipv4Addr>().is_err() {
                return Err(Failure::new("INVALID_IP_ADDRESS_SPECIFIED", [name]));
            }
        }
        if !args.text(4).is_empty() && args.text(4).parse::<Ipv4Addr>().is_err() {
            return Err(Failure::new("INVALID_IP_ADDRESS_SPECIFIED", ["gateway"]));
        }
    }
    if !cx.db.link(nic, "bond_slave_of").is_null() && mode != "None" {
        return Err(Failure::new("CANNOT_PLUG_BOND_SLAVE", [nic]));
    }
    if cx.db.is(nic, "management") {
        if mode == "None" {
            return Err(Failure::new("PIF_IS_MANAGEMENT_INTERFACE", [nic]));
        }
        // The address of a simulated machine is the one at which it answers.
        if mode == "Static" && args.text(2) != cx.db.text(nic, "IP") {
            return Err(Failure::new("NOT_IMPLEMENTED", ["PIF.reconfigure_ip to another address on the management interface"]));
        }
    }
    let fields = [("netmask", 3), ("gateway", 4), ("DNS", 5), ("IP", 2)].map(|(field, at)| (field, args.get(at).clone()));
    later(pace::NETWORK, move |cx| {
        cx.known("PIF", nic)?;
        let keeps = cx.db.is(nic, "management");
        cx.db.set(nic, "ip_configuration_mode", mode.as_str());
        match mode.as_str() {
            "Static" => fields.into_iter().for_each(|(field, value)| cx.db.set(nic, field, value)),
            "None" => ["IP", "netmask", "gateway", "DNS"].into_iter().for_each(|field| cx.db.set(nic, field, "")),
            _ if keeps => {}
            _ => lease(cx, nic),
        }
        done()
    })
}

/// What the network's server gives an interface.
fn lease(cx: &mut Cx<'_>, nic: Ref) {
    let address = cx.site.fresh_address().to_string();
    cx.db.set(nic, "IP", address);
    cx.db.set(nic, "netmask", "255.0.0.0");
    cx.db.set(nic, "gateway", "");
    cx.db.set(nic, "DNS", "");
}

fn assert_up(cx: &Cx<'_>, nic: Ref) -> Outcome<()> {
    let at = cx.db.link(nic, "host");
    if host::is_live(cx.db, at) { Ok(()) } else { Err(Failure::new("HOST_OFFLINE", [at])) }
}

fn plug(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let nic = args.link(0);
    assert_up(cx, nic)?;
    if !cx.db.link(nic, "bond_slave_of").is_null() {
        return Err(Failure::new("CANNOT_PLUG_BOND_SLAVE", [nic]));
    }
    later(pace::NETWORK, move |cx| {
        cx.known("PIF", nic)?;
        cx.db.set(nic, "currently_attached", true);
        done()
    })
}

fn unplug(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let nic = args.link(0);
    assert_up(cx, nic)?;
    if cx.db.is(nic, "management") {
        return Err(Failure::new("PIF_IS_MANAGEMENT_INTERFACE", [nic]));
    }
    if cx.db.is(nic, "disallow_unplug") {
        return Err(Failure::new("PIF_DOES_NOT_ALLOW_UNPLUG", [nic]));
    }
    assert_no_guests(cx, nic)?;
    later(pace::NETWORK, move |cx| {
        cx.known("PIF", nic)?;
        cx.db.set(nic, "currently_attached", false);
        done()
    })
}

/// # Errors
/// `VIF_IN_USE`: a guest on the host of the interface is plugged into its network.
pub fn assert_no_guests(cx: &Cx<'_>, nic: Ref) -> Outcome<()> {
    let (network, at) = (cx.db.link(nic, "network"), cx.db.link(nic, "host"));
    let in_use = |vif: &Ref| cx.db.is(*vif, "currently_attached") && cx.db.link(cx.db.link(*vif, "VM"), "resident_on") == at;
    match cx.db.links(network, "VIFs").into_iter().find(in_use) {
        Some(vif) => Err(Failure::new("VIF_IN_USE", [network, vif])),
        None => Ok(()),
    }
}

fn forget(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let nic = args.link(0);
    if !cx.db.is(nic, "physical") {
        return Err(Failure::new("PIF_IS_NOT_PHYSICAL", [nic]));
    }
    assert_free(cx.db, nic)?;
    remove(cx, nic);
    done()
}

fn assert_free(db: &Store, nic: Ref) -> Outcome<()> {
    if db.is(nic, "management") {
        return Err(Failure::new("PIF_IS_MANAGEMENT_INTERFACE", [nic]));
    }
    if !db.link(nic, "bond_slave_of").is_null() {
        return Err(Failure::new("PIF_ALREADY_BONDED", [nic]));
    }
    if !db.links(nic, "VLAN_slave_of").is_empty() {
        return Err(Failure::new("PIF_VLAN_STILL_EXISTS", [nic]));
    }
    Ok(())
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let nic = args.link(0);
    if cx.db.is(nic, "physical") {
        return Err(Failure::new("PIF_IS_PHYSICAL", [nic]));
    }
    assert_free(cx.db, nic)?;
    assert_no_guests(cx, nic)?;
    remove(cx, nic);
    done()
}

/// A simulated host shows all of its interfaces: there is none to introduce.
fn introduce(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let known = cx.db.links(args.link(0), "PIFs").into_iter().find(|nic| cx.db.text(*nic, "MAC") == args.text(1));
    match known {
        Some(nic) => Err(Failure::new("DUPLICATE_PIF_DEVICE_NAME", [cx.db.text(nic, "device")])),
        None => Err(Failure::new(
            "COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS",
            [args.text(2), args.text(1)],
        )),
    }
}

/// host.management_reconfigure(pif): a host is managed over another of its interfaces.
pub fn management_reconfigure(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    manage(cx, args.link(0))?;
    done()
}

fn manage(cx: &mut Cx<'_>, nic: Ref) -> Outcome<()> {
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_IS_ENABLED"));
    }
    if !cx.db.link(nic, "bond_slave_of").is_null() {
        return Err(Failure::new("CANNOT_PLUG_BOND_SLAVE", [nic]));
    }
    if cx.db.text(nic, "IP").is_empty() {
        return Err(Failure::bare("INTERFACE_HAS_NO_IP"));
    }
    for other in cx.db.links(cx.db.link(nic, "host"), "PIFs") {
        cx.db.set(other, "management", other == nic);
    }
    Ok(())
}

/// pool.management_reconfigure(network): all hosts are managed over their interface on a network.
pub fn pool_management_reconfigure(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let network = args.link(0);
    let nics = cx.db.links(network, "PIFs");
    for host in cx.db.all("host") {
        if !nics.iter().any(|nic| cx.db.link(*nic, "host") == host) {
            return Err(Failure::bare("PIF_NOT_PRESENT"));
        }
    }
    for nic in nics {
        manage(cx, nic)?;
    }
    done()
}

/// The interface of a host on a network.
pub fn on_network(db: &Store, host: Ref, network: Ref) -> Option<Ref> {
    db.links(network, "PIFs").into_iter().find(|nic| db.link(*nic, "host") == host)
}

/// PIFs as an answer.
pub fn as_answer(nics: Vec<Ref>) -> Outcome<Answer> {
    answer(nics)
}
