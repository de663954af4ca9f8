//! Guests that move from host to host, and from pool to pool.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{Goal, Guest, Host, MigrateOptions};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(migration);

fn goal(method: &str, host: &Dynamic) -> Raised<Goal> {
    match host.read_lock::<Host>() {
        Some(host) => Ok(Goal::Host(host.clone())),
        None => Ok(Goal::Called(option::thing(method, "host", host)?)),
    }
}

#[export_module(manifest)]
mod migration {
    /// Moves the guest to a host, or one of this name, while it runs, and waits, at most 6 minutes, until it answers there. It fails
    /// when the guest was started anew instead. To a host of another pool it goes with all its disks; it is a guest of that pool
    /// from then on, in every variable that holds it.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.migrate("host2");
    /// vm.migrate("host1");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn migrate(vm: &mut Guest, host: Dynamic) -> Raised<()> {
        let goal = super::goal("migrate", &host)?;
        told(vm, vm.migrate(&goal, &MigrateOptions::default()))
    }

    /// Moves the guest to a host with options.
    ///
    /// - `live`: while it runs (default true)
    /// - `sr`: the SR that its disks move to, or its name (default: they stay where they are; in another pool its default SR, or the
    ///   host's own)
    /// - `vdi_map`: SRs for single disks, by position: `#{ "0": "ssd" }`
    /// - `vif_map`: networks of another pool for its interfaces, by number: `#{ "0": "lab" }` (default: those with the same bridge or name)
    /// - `network`: the network over which its memory and disks go (default: that of the host's management)
    /// - `remote`: the pool of the host, where it is none of the run's: `#{ host, user, password }`, `host` the address of its master;
    ///   what is not given is as for the guest's own pool. A host that the script holds needs none
    /// - `wait`: whether to wait until it answers (default true)
    /// - `timeout`: seconds or a text, for the move (default "30m", with disks "4h")
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.migrate("host2", #{ live: true, timeout: "10m" });
    /// vm.migrate("host1");
    /// ```
    #[rhai_fn(name = "migrate", pure, return_raw)]
    pub fn migrate_with(vm: &mut Guest, host: Dynamic, options: Map) -> Raised<()> {
        let goal = super::goal("migrate", &host)?;
        let options = option::read::<MigrateOptions>("migrate", option::plain(options))?;
        told(vm, vm.migrate(&goal, &options))
    }

    /// Tells whether the pool would let the guest go to a host, or one of this name. Nothing is done.
    ///
    /// ```rhai
    /// check(guest("guest1").can_migrate("host2"), "there is room");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn can_migrate(vm: &mut Guest, host: Dynamic) -> Raised<bool> {
        let goal = super::goal("can_migrate", &host)?;
        told(vm, vm.can_migrate(&goal, &MigrateOptions::default()))
    }

    /// Tells whether the pool would let the guest go to a host with these options, those of `migrate`. Nothing is done.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// check(vm.can_migrate("host2", #{ sr: pool().default_sr }), "there is room");
    /// ```
    #[rhai_fn(name = "can_migrate", pure, return_raw)]
    pub fn can_migrate_with(vm: &mut Guest, host: Dynamic, options: Map) -> Raised<bool> {
        let goal = super::goal("can_migrate", &host)?;
        let options = option::read::<MigrateOptions>("can_migrate", option::plain(options))?;
        told(vm, vm.can_migrate(&goal, &options))
    }
}
