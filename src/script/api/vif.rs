//! Network interfaces of guests.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::{json, option};
use crate::lab::{Guest, Network, NewVifOptions, Vif};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(vif);

#[export_module(manifest)]
mod vif {
    /// Gives the network interfaces of the guest, by number.
    ///
    /// ```rhai
    /// for vif in guest("guest1").vifs() { log(`${vif.device}: ${vif.mac}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn vifs(vm: &mut Guest) -> Raised<Array> {
        Ok(told(vm, vm.vifs())?.into_iter().map(Dynamic::from).collect())
    }

    /// Gives the MAC address of the guest's first network interface.
    ///
    /// ```rhai
    /// check(guest("guest1").mac.len() == 17, "six bytes");
    /// ```
    #[rhai_fn(get = "mac", pure, return_raw)]
    pub fn guest_mac(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.mac())
    }

    /// Makes a network interface on the network of the guest's first one. A running guest gets it at once.
    ///
    /// ```rhai
    /// guest("guest1").create_vif().destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_vif(vm: &mut Guest) -> Raised<Vif> {
        told(vm, vm.create_vif(&NewVifOptions::default()))
    }

    /// Makes a network interface with options.
    ///
    /// - `network`: the network, or its name, bridge or uuid (default: that of the guest's first interface)
    /// - `mac`: its MAC address (default: one that the hypervisor makes)
    /// - `device`: its number, as text (default: the first that is free)
    /// - `mtu`: its largest packet (default: that of the network)
    /// - `plug`: whether a running guest gets it at once (default true)
    ///
    /// ```rhai
    /// let mac = random_mac();
    /// let vif = guest("guest1").create_vif(#{ mac: mac, plug: false });
    /// check(vif.mac == mac, "as it was given");
    /// vif.destroy();
    /// ```
    #[rhai_fn(name = "create_vif", pure, return_raw)]
    pub fn create_vif_with(vm: &mut Guest, options: Map) -> Raised<Vif> {
        let options = option::read::<NewVifOptions>("create_vif", option::plain(options))?;
        told(vm, vm.create_vif(&options))
    }

    /// Gives the number of the interface, as text.
    ///
    /// ```rhai
    /// check(guest("guest1").vifs()[0].device == "0", "the first");
    /// ```
    #[rhai_fn(get = "device", pure)]
    pub fn device(vif: &mut Vif) -> String {
        vif.known().device.clone()
    }

    /// Gives the MAC address of the interface.
    ///
    /// ```rhai
    /// log(guest("guest1").vifs()[0].mac);
    /// ```
    #[rhai_fn(get = "mac", pure)]
    pub fn mac(vif: &mut Vif) -> String {
        vif.known().mac.clone()
    }

    /// Gives the uuid of the interface.
    ///
    /// ```rhai
    /// log(guest("guest1").vifs()[0].uuid);
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(vif: &mut Vif) -> String {
        vif.known().uuid.clone()
    }

    /// Gives the reference by which the toolstack knows the interface. Calls of `xapi` take the interface itself as well.
    ///
    /// ```rhai
    /// log(guest("guest1").vifs()[0].ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(vif: &mut Vif) -> String {
        vif.known().reference.id.to_string()
    }

    /// Gives the network that the interface is on.
    ///
    /// ```rhai
    /// log(guest("guest1").vifs()[0].network.name);
    /// ```
    #[rhai_fn(get = "network", pure, return_raw)]
    pub fn network(vif: &mut Vif) -> Raised<Network> {
        told(vif.guest(), vif.network())
    }

    /// Gives the address that the guest's agent tells of the interface, or `()` when it tells none.
    ///
    /// ```rhai
    /// check(guest("guest1").vifs()[0].ip == guest("guest1").ip, "we use the first");
    /// ```
    #[rhai_fn(get = "ip", pure, return_raw)]
    pub fn ip(vif: &mut Vif) -> Raised<Dynamic> {
        Ok(told(vif.guest(), vif.ip())?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Tells whether the interface is attached to its running guest.
    ///
    /// ```rhai
    /// check(guest("guest1").vifs()[0].is_attached, "we use it");
    /// ```
    #[rhai_fn(get = "is_attached", pure, return_raw)]
    pub fn is_attached(vif: &mut Vif) -> Raised<bool> {
        Ok(told(vif.guest(), vif.record())?.is_attached)
    }

    /// Attaches the interface to its running guest.
    ///
    /// ```rhai
    /// let vif = guest("guest1").create_vif(#{ plug: false });
    /// vif.plug();
    /// vif.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn plug(vif: &mut Vif) -> Raised<()> {
        told(vif.guest(), vif.plug())
    }

    /// Takes the interface from its running guest.
    ///
    /// ```rhai
    /// let vif = guest("guest1").create_vif();
    /// vif.unplug();
    /// vif.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn unplug(vif: &mut Vif) -> Raised<()> {
        told(vif.guest(), vif.unplug())
    }

    /// Puts the interface on another network, or one of this name, bridge or uuid.
    ///
    /// ```rhai
    /// let vif = guest("guest1").create_vif();
    /// vif.move(vif.network);
    /// vif.destroy();
    /// ```
    #[rhai_fn(name = "move", pure, return_raw)]
    pub fn move_to(vif: &mut Vif, network: Dynamic) -> Raised<()> {
        let network = option::thing("move", "network", &network)?;
        told(vif.guest(), vif.move_to(&network))
    }

    /// Removes the interface. It is taken from a running guest first.
    ///
    /// ```rhai
    /// let vif = guest("guest1").create_vif();
    /// vif.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(vif: &mut Vif) -> Raised<()> {
        told(vif.guest(), vif.destroy())
    }

    /// Gives a field of the interface's record.
    ///
    /// ```rhai
    /// log(guest("guest1").vifs()[0].get("locking_mode"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn vif_get(vif: &mut Vif, field: &str) -> Raised<Dynamic> {
        told(vif.guest(), vif.get(field, None)).map(json::dynamic)
    }

    /// Sets a field of the interface's record.
    ///
    /// ```rhai
    /// guest("guest1").vifs()[0].set("other_config", #{ purpose: "a test" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn vif_set(vif: &mut Vif, field: &str, value: Dynamic) -> Raised<()> {
        told(vif.guest(), vif.set(field, None, json::value(&value)?))
    }

    /// Tells whether both are the same interface.
    ///
    /// ```rhai
    /// check(guest("guest1").vifs()[0] == guest("guest1").vifs()[0], "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(vif: &mut Vif, other: Vif) -> bool {
        vif.known().reference == other.known().reference
    }

    /// Tells whether these are two interfaces.
    ///
    /// ```rhai
    /// check(guest("guest1").vifs()[0] != guest("guest2").vifs()[0], "each has its own");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(vif: &mut Vif, other: Vif) -> bool {
        vif.known().reference != other.known().reference
    }

    /// Gives the interface as text.
    ///
    /// ```rhai
    /// log(`${guest("guest1").vifs()[0]}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(vif: &mut Vif) -> String {
        vif.to_string()
    }
}
