//! Fields of the objects of a pool, in the toolstack's own words: what has no method of its own.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::json;
use super::told;
use crate::lab::{Host, Network, Nic, Pool, Sr, Volume};
use crate::script::failure::Raised;
use rhai::Dynamic;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(record);

#[export_module(manifest)]
mod record {
    /// Gives a field of the host's record.
    ///
    /// ```rhai
    /// log(host().get("hostname"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn host_get(host: &mut Host, field: &str) -> Raised<Dynamic> {
        told(&host.context(), host.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the host's record that is a map.
    ///
    /// ```rhai
    /// host().set("other_config", "colour", "red");
    /// check(host().get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn host_get_key(host: &mut Host, field: &str, key: &str) -> Raised<Dynamic> {
        told(&host.context(), host.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the host's record.
    ///
    /// ```rhai
    /// host().set("tags", ["mine"]);
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn host_set(host: &mut Host, field: &str, value: Dynamic) -> Raised<()> {
        told(&host.context(), host.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the host's record that is a map.
    ///
    /// ```rhai
    /// host().set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn host_set_key(host: &mut Host, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(&host.context(), host.set(field, Some(key), json::value(&value)?))
    }

    /// Gives a field of the pool's record.
    ///
    /// ```rhai
    /// log(pool().get("ha_enabled"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn pool_get(pool: &mut Pool, field: &str) -> Raised<Dynamic> {
        told(pool.context(), pool.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the pool's record that is a map.
    ///
    /// ```rhai
    /// pool().set("other_config", "colour", "red");
    /// check(pool().get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn pool_get_key(pool: &mut Pool, field: &str, key: &str) -> Raised<Dynamic> {
        told(pool.context(), pool.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the pool's record.
    ///
    /// ```rhai
    /// pool().set("other_config", #{ owner: "me" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn pool_set(pool: &mut Pool, field: &str, value: Dynamic) -> Raised<()> {
        told(pool.context(), pool.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the pool's record that is a map.
    ///
    /// ```rhai
    /// pool().set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn pool_set_key(pool: &mut Pool, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(pool.context(), pool.set(field, Some(key), json::value(&value)?))
    }

    /// Gives a field of the SR's record.
    ///
    /// ```rhai
    /// log(pool().default_sr.get("physical_size"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn sr_get(sr: &mut Sr, field: &str) -> Raised<Dynamic> {
        told(sr.context(), sr.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the SR's record that is a map.
    ///
    /// ```rhai
    /// pool().default_sr.set("other_config", "colour", "red");
    /// check(pool().default_sr.get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn sr_get_key(sr: &mut Sr, field: &str, key: &str) -> Raised<Dynamic> {
        told(sr.context(), sr.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the SR's record.
    ///
    /// ```rhai
    /// pool().default_sr.set("other_config", #{ owner: "me" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn sr_set(sr: &mut Sr, field: &str, value: Dynamic) -> Raised<()> {
        told(sr.context(), sr.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the SR's record that is a map.
    ///
    /// ```rhai
    /// pool().default_sr.set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn sr_set_key(sr: &mut Sr, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(sr.context(), sr.set(field, Some(key), json::value(&value)?))
    }

    /// Gives a field of the virtual disk's record.
    ///
    /// ```rhai
    /// log(pool().default_sr.vdis()[0].get("virtual_size"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn volume_get(vdi: &mut Volume, field: &str) -> Raised<Dynamic> {
        told(vdi.context(), vdi.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the virtual disk's record that is a map.
    ///
    /// ```rhai
    /// pool().default_sr.vdis()[0].set("other_config", "colour", "red");
    /// check(pool().default_sr.vdis()[0].get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn volume_get_key(vdi: &mut Volume, field: &str, key: &str) -> Raised<Dynamic> {
        told(vdi.context(), vdi.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the virtual disk's record.
    ///
    /// ```rhai
    /// pool().default_sr.vdis()[0].set("other_config", #{ owner: "me" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn volume_set(vdi: &mut Volume, field: &str, value: Dynamic) -> Raised<()> {
        told(vdi.context(), vdi.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the virtual disk's record that is a map.
    ///
    /// ```rhai
    /// pool().default_sr.vdis()[0].set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn volume_set_key(vdi: &mut Volume, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(vdi.context(), vdi.set(field, Some(key), json::value(&value)?))
    }

    /// Gives a field of the network's record.
    ///
    /// ```rhai
    /// log(host().network().get("bridge"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn network_get(network: &mut Network, field: &str) -> Raised<Dynamic> {
        told(network.context(), network.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the network's record that is a map.
    ///
    /// ```rhai
    /// host().network().set("other_config", "colour", "red");
    /// check(host().network().get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn network_get_key(network: &mut Network, field: &str, key: &str) -> Raised<Dynamic> {
        told(network.context(), network.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the network's record.
    ///
    /// ```rhai
    /// host().network().set("other_config", #{ owner: "me" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn network_set(network: &mut Network, field: &str, value: Dynamic) -> Raised<()> {
        told(network.context(), network.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the network's record that is a map.
    ///
    /// ```rhai
    /// host().network().set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn network_set_key(network: &mut Network, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(network.context(), network.set(field, Some(key), json::value(&value)?))
    }

    /// Gives a field of the NIC's record.
    ///
    /// ```rhai
    /// log(host().nic(0).get("MAC"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn nic_get(nic: &mut Nic, field: &str) -> Raised<Dynamic> {
        told(nic.context(), nic.get(field, None)).map(json::dynamic)
    }

    /// Gives an entry of a field of the NIC's record that is a map.
    ///
    /// ```rhai
    /// host().nic(0).set("other_config", "colour", "red");
    /// check(host().nic(0).get("other_config", "colour") == "red", "it was set");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn nic_get_key(nic: &mut Nic, field: &str, key: &str) -> Raised<Dynamic> {
        told(nic.context(), nic.get(field, Some(key))).map(json::dynamic)
    }

    /// Sets a field of the NIC's record.
    ///
    /// ```rhai
    /// host().nic(0).set("other_config", #{ owner: "me" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn nic_set(nic: &mut Nic, field: &str, value: Dynamic) -> Raised<()> {
        told(nic.context(), nic.set(field, None, json::value(&value)?))
    }

    /// Sets an entry of a field of the NIC's record that is a map.
    ///
    /// ```rhai
    /// host().nic(0).set("other_config", "purpose", "a test");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn nic_set_key(nic: &mut Nic, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        told(nic.context(), nic.set(field, Some(key), json::value(&value)?))
    }
}
