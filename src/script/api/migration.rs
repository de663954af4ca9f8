//! Guests that move from host to host.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{Guest, MigrateOptions};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(migration);

#[export_module(manifest)]
mod migration {
    /// Moves the guest to a host, or one of this name, while it runs, and waits, at most 6 minutes, until it answers there. It fails
    /// when the guest was started anew instead.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.migrate("host2");
    /// vm.migrate("host1");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn migrate(vm: &mut Guest, host: Dynamic) -> Raised<()> {
        let host = option::thing("migrate", "host", &host)?;
        told(vm, vm.migrate(&host, &MigrateOptions::default()))
    }

    /// Moves the guest to a host with options.
    ///
    /// - `live`: while it runs (default true)
    /// - `sr`: the SR that its disks move to, or its name (default: they stay where they are)
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
        let host = option::thing("migrate", "host", &host)?;
        let options = option::read::<MigrateOptions>("migrate", option::plain(options))?;
        told(vm, vm.migrate(&host, &options))
    }

    /// Tells whether the pool would let the guest run on a host, or one of this name. Nothing is done.
    ///
    /// ```rhai
    /// check(guest("guest1").can_migrate("host2"), "there is room");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn can_migrate(vm: &mut Guest, host: Dynamic) -> Raised<bool> {
        let host = option::thing("can_migrate", "host", &host)?;
        told(vm, vm.can_migrate(&host))
    }
}
