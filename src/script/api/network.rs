//! Networks of a pool, and the network interfaces of its hosts.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::host::list;
use super::{json, option, told};
use crate::lab::{BondOptions, Host, Network, NetworkOptions, VlanOptions};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(network);

#[export_module(manifest)]
mod network {
    use crate::lab::Nic;

    /// Gives the networks of the host's pool.
    ///
    /// ```rhai
    /// for network in host().networks() { log(`${network.name}: ${network.bridge}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn networks(host: &mut Host) -> Raised<Array> {
        told(&host.context(), host.networks()).map(list)
    }

    /// Gives the network that the host is managed over.
    ///
    /// ```rhai
    /// log(host().network().name);
    /// ```
    #[rhai_fn(name = "network", pure, return_raw)]
    pub fn primary_network(host: &mut Host) -> Raised<Network> {
        told(&host.context(), host.primary_network())
    }

    /// Gives a network by its name, bridge or uuid.
    ///
    /// ```rhai
    /// let network = host().network(host().network().bridge);
    /// ```
    #[rhai_fn(name = "network", pure, return_raw)]
    pub fn network_named(host: &mut Host, name: &str) -> Raised<Network> {
        told(&host.context(), host.network(name))
    }

    /// Makes a network that no NIC is on: guests on it see each other only.
    ///
    /// - `name`: what it is called
    /// - `description`: what it is for
    /// - `mtu`: the size of a frame (default 1500)
    /// - `other_config`: further settings of the toolstack, as a map of texts
    ///
    /// ```rhai
    /// let network = host().create_network(#{ name: "internal" });
    /// defer(|| network.destroy());
    /// check(network.pifs() == [], "no NIC");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_network(host: &mut Host, options: Map) -> Raised<Network> {
        let options = option::read::<NetworkOptions>("create_network", options)?;
        told(&host.context(), host.create_network(&options))
    }

    /// Makes a VLAN on a NIC of the host, and gives the interface that it is.
    ///
    /// - `nic`: the NIC that carries it: its number, device or MAC address
    /// - `tag`: from 1 to 4094
    /// - `network`: name of the network that it is, made when there is none (default: one for this VLAN, which goes with it)
    ///
    /// ```rhai
    /// let vlan = host().create_vlan(#{ nic: 0, tag: 42 });
    /// check(vlan.vlan == 42, "its tag");
    /// vlan.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_vlan(host: &mut Host, options: Map) -> Raised<Nic> {
        let options = option::read::<VlanOptions>("create_vlan", option::plain(options))?;
        told(&host.context(), host.create_vlan(&options))
    }

    /// Joins NICs of the host into one, and gives the interface that they are together.
    ///
    /// - `nics`: the members: their numbers, devices or MAC addresses
    /// - `network`: name of the network that it is, made when there is none (default: one for this bond, which goes with it)
    /// - `mode`: "balance-slb" (default), "active-backup" or "lacp"
    ///
    /// ```rhai
    /// // let bond = host().create_bond(#{ nics: [1, 2], mode: "active-backup" });
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_bond(host: &mut Host, options: Map) -> Raised<Nic> {
        let options = option::read::<BondOptions>("create_bond", option::plain(options))?;
        told(&host.context(), host.create_bond(&options))
    }

    /// Gives the network interfaces of the host: physical ones in the order of their devices, then bonds, then VLANs.
    ///
    /// ```rhai
    /// for nic in host().nics() { log(`${nic.device} ${nic.mac}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn nics(host: &mut Host) -> Raised<Array> {
        told(&host.context(), host.nics()).map(list)
    }

    /// Gives a network interface of the host by its number, from 0.
    ///
    /// ```rhai
    /// log(host().nic(0).mac);
    /// ```
    #[rhai_fn(name = "nic", pure, return_raw)]
    pub fn nic_number(host: &mut Host, number: i64) -> Raised<Nic> {
        told(&host.context(), host.nic(&number.to_string()))
    }

    /// Gives a network interface of the host by its device or MAC address.
    ///
    /// ```rhai
    /// let nic = host().nic(host().nic(0).device);
    /// ```
    #[rhai_fn(name = "nic", pure, return_raw)]
    pub fn nic_named(host: &mut Host, which: &str) -> Raised<Nic> {
        told(&host.context(), host.nic(which))
    }

    /// Gives the name of the network.
    ///
    /// ```rhai
    /// log(host().network().name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(network: &mut Network) -> String {
        network.name().to_string()
    }

    /// Gives the uuid of the network.
    ///
    /// ```rhai
    /// check(host().network().uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(network: &mut Network) -> String {
        network.known().uuid.clone()
    }

    /// Gives the reference by which the toolstack knows the network. Calls of `xapi` take the network itself as well.
    ///
    /// ```rhai
    /// log(host().network().ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(network: &mut Network) -> String {
        network.reference().id.to_string()
    }

    /// Tells whether both are the same network.
    ///
    /// ```rhai
    /// check(host().network() == host().network(), "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(network: &mut Network, other: Network) -> bool {
        network.reference() == other.reference()
    }

    /// Tells whether these are two networks.
    ///
    /// ```rhai
    /// check(!(host().network() != host().network()), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(network: &mut Network, other: Network) -> bool {
        network.reference() != other.reference()
    }

    /// Gives the network as text.
    ///
    /// ```rhai
    /// log(`this is ${host().network()}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(network: &mut Network) -> String {
        network.to_string()
    }

    /// Gives the bridge that the network is on each host: "xenbr0".
    ///
    /// ```rhai
    /// log(host().network().bridge);
    /// ```
    #[rhai_fn(get = "bridge", pure)]
    pub fn bridge(network: &mut Network) -> String {
        network.known().bridge.clone()
    }

    /// Gives the size of a frame on the network.
    ///
    /// ```rhai
    /// check(host().network().mtu >= 1500, "as usual");
    /// ```
    #[rhai_fn(get = "mtu", pure)]
    pub fn mtu(network: &mut Network) -> i64 {
        i64::from(network.known().mtu)
    }

    /// Gives the hosts' interfaces on the network.
    ///
    /// ```rhai
    /// for nic in host().network().pifs() { log(nic.device); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn pifs(network: &mut Network) -> Raised<Array> {
        told(network.context(), network.nics()).map(list)
    }

    /// Gives the guests' interfaces on the network, in the toolstack's own words.
    ///
    /// ```rhai
    /// for vif in host().network().vifs() { log(vif.MAC); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn vifs(network: &mut Network) -> Raised<Array> {
        told(network.context(), network.vifs()).map(|all| all.into_iter().map(json::dynamic).collect())
    }

    /// Removes the network. Nothing may be on it.
    ///
    /// ```rhai
    /// let network = host().create_network(#{ name: "short-lived" });
    /// network.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(network: &mut Network) -> Raised<()> {
        told(network.context(), network.destroy())
    }
}
