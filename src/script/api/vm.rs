//! What a guest is to its hypervisor: its record, its host, its fields.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::{signed, told};
use super::json;
use crate::lab::{Guest, Host};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Dynamic};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(vm);

#[export_module(manifest)]
mod vm {
    /// Gives what the guest does now: "UP", "DOWN", "PAUSED" or "SUSPENDED". A machine known by its address only is "UP" when it
    /// answers, else "DOWN".
    ///
    /// ```rhai
    /// check(guest("guest1").state == "UP", "it runs");
    /// ```
    #[rhai_fn(get = "state", pure, return_raw)]
    pub fn state(vm: &mut Guest) -> Raised<String> {
        Ok(told(vm, vm.state())?.word().to_string())
    }

    /// Gives the number of the guest's domain, or `()` while it has none.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// let before = vm.domid;
    /// vm.reboot();
    /// check(vm.domid != before, "it is a new domain");
    /// ```
    #[rhai_fn(get = "domid", pure, return_raw)]
    pub fn domid(vm: &mut Guest) -> Raised<Dynamic> {
        Ok(told(vm, vm.domid())?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Gives the uuid of the guest.
    ///
    /// ```rhai
    /// check(guest(guest("guest1").uuid) == guest("guest1"), "a guest is found by its uuid too");
    /// ```
    #[rhai_fn(get = "uuid", pure, return_raw)]
    pub fn uuid(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.uuid())
    }

    /// Gives the guest another name, which every variable that holds it knows from then on.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.rename("web1");
    /// check(guest("web1") == vm && vm.name == "web1", "found by its new name");
    /// vm.rename("guest1");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn rename(vm: &mut Guest, name: &str) -> Raised<()> {
        told(vm, vm.rename(name))
    }

    /// Gives the host that the guest runs on now, or `()` while it is down.
    ///
    /// ```rhai
    /// check(guest("guest1").host in hosts(), "one of the pool");
    /// ```
    #[rhai_fn(get = "host", pure, return_raw)]
    pub fn host(vm: &mut Guest) -> Raised<Dynamic> {
        find_host(vm)
    }

    /// Looks for the host that the guest runs on now, and gives it, or `()` while it is down.
    ///
    /// ```rhai
    /// log(guest("guest1").find_host().name);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn find_host(vm: &mut Guest) -> Raised<Dynamic> {
        let Some(record) = told(vm, vm.find_host())? else { return Ok(Dynamic::UNIT) };
        let estate = told(vm, vm.estate())?.clone();
        Ok(Dynamic::from(Host::new(estate, &record, vm.context().clone())))
    }

    /// Gives the reference by which the toolstack knows the guest. Calls of `xapi` take the guest itself as well.
    ///
    /// ```rhai
    /// log(guest("guest1").ref);
    /// ```
    #[rhai_fn(get = "ref", pure, return_raw)]
    pub fn reference(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.reference()).map(|reference| reference.id.to_string())
    }

    /// Gives the number of virtual processors of the guest: while it runs those that it has, else those that it will start with.
    ///
    /// ```rhai
    /// check(guest("guest1").vcpus > 0, "it has a processor");
    /// ```
    #[rhai_fn(get = "vcpus", pure, return_raw)]
    pub fn vcpus(vm: &mut Guest) -> Raised<i64> {
        Ok(i64::from(told(vm, vm.vcpus())?))
    }

    /// Gives the bytes of memory that the guest has: the most that its hypervisor gives it now. Of a machine known by its address only,
    /// those that its kernel manages.
    ///
    /// ```rhai
    /// if target().memory < gib(1) { warn("little memory"); }
    /// ```
    #[rhai_fn(get = "memory", pure, return_raw)]
    pub fn memory(vm: &mut Guest) -> Raised<i64> {
        Ok(signed(told(vm, vm.memory())?))
    }

    /// Tells whether the drivers of the guest's agent are there and up to date.
    ///
    /// ```rhai
    /// if !guest("guest1").pv_up_to_date { warn("old drivers"); }
    /// ```
    #[rhai_fn(get = "pv_up_to_date", pure, return_raw)]
    pub fn pv_up_to_date(vm: &mut Guest) -> Raised<bool> {
        told(vm, vm.are_drivers_current())
    }

    /// Gives a field of the guest's record, as its toolstack has it.
    ///
    /// ```rhai
    /// log(guest("guest1").get("power_state"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn get(vm: &mut Guest, field: &str) -> Raised<Dynamic> {
        told(vm, vm.get(field, None)).map(json::dynamic)
    }

    /// Gives one entry of a field that is a map.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.set("other_config", "xrt:note", "seen");
    /// check(vm.get("other_config", "xrt:note") == "seen", "it is kept");
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn get_key(vm: &mut Guest, field: &str, key: &str) -> Raised<Dynamic> {
        told(vm, vm.get(field, Some(key))).map(json::dynamic)
    }

    /// Changes a field of the guest's record, as its toolstack has it.
    ///
    /// ```rhai
    /// guest("guest1").set("name_description", "for tests");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set(vm: &mut Guest, field: &str, value: Dynamic) -> Raised<()> {
        let value = json::value(&value)?;
        told(vm, vm.set(field, None, value))
    }

    /// Changes one entry of a field that is a map.
    ///
    /// ```rhai
    /// guest("guest1").set("other_config", "xrt:note", "seen");
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn set_key(vm: &mut Guest, field: &str, key: &str, value: Dynamic) -> Raised<()> {
        let value = json::value(&value)?;
        told(vm, vm.set(field, Some(key), value))
    }

    /// Calls a method of the toolstack on the guest, with further arguments: the way out, for what has no function of its own.
    ///
    /// ```rhai
    /// let hosts = guest("guest1").xapi("get_possible_hosts", []);
    /// check(hosts.len() > 0, "it can run somewhere");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn xapi(vm: &mut Guest, method: &str, arguments: Array) -> Raised<Dynamic> {
        let arguments = arguments.iter().map(json::value).collect::<Raised<Vec<_>>>()?;
        told(vm, vm.xapi(method, &arguments)).map(json::dynamic)
    }
}
