//! Network interfaces of a host: physical ones, bonds and VLANs.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::{option, told};
use crate::lab::{IpOptions, Nic};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(nic);

#[export_module(manifest)]
mod nic {
    use crate::lab::Network;

    /// Gives the name of the NIC: its device.
    ///
    /// ```rhai
    /// log(host().nic(0).name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(nic: &mut Nic) -> String {
        nic.device().to_string()
    }

    /// Gives the uuid of the NIC.
    ///
    /// ```rhai
    /// check(host().nic(0).uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(nic: &mut Nic) -> String {
        nic.known().uuid.clone()
    }

    /// Gives the reference by which the toolstack knows the NIC. Calls of `xapi` take the NIC itself as well.
    ///
    /// ```rhai
    /// log(host().nic(0).ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(nic: &mut Nic) -> String {
        nic.reference().id.to_string()
    }

    /// Tells whether both are the same NIC.
    ///
    /// ```rhai
    /// check(host().nic(0) == host().nic(0), "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(nic: &mut Nic, other: Nic) -> bool {
        nic.reference() == other.reference()
    }

    /// Tells whether these are two NICs.
    ///
    /// ```rhai
    /// check(!(host().nic(0) != host().nic(0)), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(nic: &mut Nic, other: Nic) -> bool {
        nic.reference() != other.reference()
    }

    /// Gives the NIC as text.
    ///
    /// ```rhai
    /// log(`this is ${host().nic(0)}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(nic: &mut Nic) -> String {
        nic.to_string()
    }

    /// Gives what the NIC is called on its host: "eth0".
    ///
    /// ```rhai
    /// log(host().nic(0).device);
    /// ```
    #[rhai_fn(get = "device", pure)]
    pub fn device(nic: &mut Nic) -> String {
        nic.device().to_string()
    }

    /// Gives the MAC address of the NIC.
    ///
    /// ```rhai
    /// log(host().nic(0).mac);
    /// ```
    #[rhai_fn(get = "mac", pure)]
    pub fn mac(nic: &mut Nic) -> String {
        nic.known().mac.clone()
    }

    /// Gives the size of a frame on the NIC.
    ///
    /// ```rhai
    /// log(host().nic(0).mtu);
    /// ```
    #[rhai_fn(get = "mtu", pure)]
    pub fn mtu(nic: &mut Nic) -> i64 {
        i64::from(nic.known().mtu)
    }

    /// Gives the tag of a VLAN, or `()`.
    ///
    /// ```rhai
    /// check(host().nic(0).vlan == (), "a physical one");
    /// ```
    #[rhai_fn(get = "vlan", pure)]
    pub fn vlan(nic: &mut Nic) -> Dynamic {
        nic.known().vlan.map_or(Dynamic::UNIT, |tag| i64::from(tag).into())
    }

    /// Tells whether the NIC is one that can be touched.
    ///
    /// ```rhai
    /// check(host().nic(0).is_physical, "it is");
    /// ```
    #[rhai_fn(get = "is_physical", pure)]
    pub fn is_physical(nic: &mut Nic) -> bool {
        nic.known().is_physical
    }

    /// Tells whether the NIC is several that work as one.
    ///
    /// ```rhai
    /// check(!host().nic(0).is_bond, "it is one");
    /// ```
    #[rhai_fn(get = "is_bond", pure)]
    pub fn is_bond(nic: &mut Nic) -> bool {
        nic.known().bond.is_some()
    }

    /// Tells whether the NIC is one of several that work as one.
    ///
    /// ```rhai
    /// check(!host().nic(0).is_bonded, "it works alone");
    /// ```
    #[rhai_fn(get = "is_bonded", pure)]
    pub fn is_bonded(nic: &mut Nic) -> bool {
        nic.known().part_of.is_some()
    }

    /// Tells whether the host is managed over the NIC.
    ///
    /// ```rhai
    /// check(host().nics().filter(|n| n.is_management).len() == 1, "one of them");
    /// ```
    #[rhai_fn(get = "is_management", pure)]
    pub fn is_management(nic: &mut Nic) -> bool {
        nic.known().is_management
    }

    /// Gives the address that the host has on the NIC, or `()`.
    ///
    /// ```rhai
    /// log(host().nic(0).ip);
    /// ```
    #[rhai_fn(get = "ip", pure, return_raw)]
    pub fn ip(nic: &mut Nic) -> Raised<Dynamic> {
        told(nic.context(), nic.record()).map(|record| record.ip.map_or(Dynamic::UNIT, |ip| ip.to_string().into()))
    }

    /// Tells whether something is at the other end of the cable.
    ///
    /// ```rhai
    /// if !host().nic(0).has_carrier { error("no cable"); }
    /// ```
    #[rhai_fn(get = "has_carrier", pure, return_raw)]
    pub fn has_carrier(nic: &mut Nic) -> Raised<bool> {
        told(nic.context(), nic.record()).map(|record| record.has_carrier)
    }

    /// Gives the network that the NIC is on.
    ///
    /// ```rhai
    /// log(host().nic(0).network.name);
    /// ```
    #[rhai_fn(get = "network", pure, return_raw)]
    pub fn network(nic: &mut Nic) -> Raised<Network> {
        told(nic.context(), nic.network())
    }

    /// Gives the NIC an address, and waits until it has it.
    ///
    /// - `mode`: "dhcp", "static" or "none" (default)
    /// - `ip`, `netmask`, `gateway`, `dns`: of a static address
    /// - `management`: the host is managed over it from now on (default false)
    ///
    /// ```rhai
    /// host().nic(1).set_ip(#{ mode: "static", ip: "192.168.7.2", netmask: "255.255.255.0" });
    /// host().nic(1).set_ip(#{ mode: "none" });
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_ip(nic: &mut Nic, options: Map) -> Raised<()> {
        let options = option::read::<IpOptions>("set_ip", options)?;
        told(nic.context(), nic.set_ip(&options))
    }

    /// Removes the interface, if it is a bond or a VLAN, and the network that was made for it.
    ///
    /// ```rhai
    /// let vlan = host().create_vlan(#{ nic: 0, tag: 7, network: "seven" });
    /// vlan.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(nic: &mut Nic) -> Raised<()> {
        told(nic.context(), nic.destroy())
    }
}
