//! Whether a guest answers, and taking it down and up again.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{Guest, PowerOptions, WaitOptions};
use crate::script::failure::Raised;
use rhai::Map;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(power);

#[export_module(manifest)]
mod power {
    /// Tells whether the guest answers within a minute. A refused login is an error.
    ///
    /// ```rhai
    /// check(target().is_reachable(), "it answers");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn is_reachable(vm: &mut Guest) -> Raised<bool> {
        told(vm, vm.is_reachable(&WaitOptions::default()))
    }

    /// Tells whether the guest answers within the option `timeout`: seconds or a text such as "10s" (default "1m").
    ///
    /// ```rhai
    /// if !target().is_reachable(#{ timeout: 10 }) { error("nobody is there"); }
    /// ```
    #[rhai_fn(name = "is_reachable", pure, return_raw)]
    pub fn is_reachable_with(vm: &mut Guest, options: Map) -> Raised<bool> {
        let options = option::read::<WaitOptions>("is_reachable", options)?;
        told(vm, vm.is_reachable(&options))
    }

    /// Waits until the guest answers, at most 15 minutes.
    ///
    /// ```rhai
    /// target().wait_ready();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_ready(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.wait_ready(&WaitOptions::default()))
    }

    /// Waits until the guest answers, with the option `timeout`: seconds or a text (default "15m").
    ///
    /// ```rhai
    /// target().wait_ready(#{ timeout: "2m" });
    /// ```
    #[rhai_fn(name = "wait_ready", pure, return_raw)]
    pub fn wait_ready_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_ready", options)?;
        told(vm, vm.wait_ready(&options))
    }

    /// Waits until the guest no longer answers, at most 10 minutes.
    ///
    /// ```rhai
    /// // vm.wait_unreachable();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_unreachable(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.wait_unreachable(&WaitOptions::default()))
    }

    /// Waits until the guest no longer answers, with the option `timeout`: seconds or a text (default "10m").
    ///
    /// ```rhai
    /// // vm.wait_unreachable(#{ timeout: 60 });
    /// ```
    #[rhai_fn(name = "wait_unreachable", pure, return_raw)]
    pub fn wait_unreachable_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_unreachable", options)?;
        told(vm, vm.wait_unreachable(&options))
    }

    /// Reboots the guest and waits, at most 15 minutes, until it answers with a new boot id. Its hypervisor reboots it, and the domain
    /// must be another one; from inside, where no hypervisor is known or nothing in the guest listens to it.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// let took = timed(|| vm.reboot());
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn reboot(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.reboot(&PowerOptions::default()))
    }

    /// Reboots the guest with options.
    ///
    /// - `timeout`: seconds or a text, for all of it (default "15m" for it to answer)
    /// - `force`: at once, as if it had been reset: nothing that runs there is told (default false)
    /// - `wait`: whether to wait until it answers (default true)
    ///
    /// ```rhai
    /// guest("guest1").reboot(#{ timeout: "5m", force: true });
    /// ```
    #[rhai_fn(name = "reboot", pure, return_raw)]
    pub fn reboot_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<PowerOptions>("reboot", options)?;
        told(vm, vm.reboot(&options))
    }

    /// Shuts the guest down and waits, at most 10 minutes, until its domain is gone. From inside, where no hypervisor is known or
    /// nothing in the guest listens to it: then until it no longer answers.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.shutdown();
    /// check(vm.state == "DOWN", "it is down");
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn shutdown(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.shutdown(&PowerOptions::default()))
    }

    /// Shuts the guest down with options.
    ///
    /// - `timeout`: seconds or a text, for all of it (default "10m")
    /// - `force`: at once, as if the power had failed (default false)
    /// - `again`: by force when it does not go down when asked; that it did not is an error all the same (default false)
    /// - `wait`: whether to wait until it is down (default true)
    ///
    /// ```rhai
    /// guest("guest1").shutdown(#{ force: true });
    /// guest("guest1").start();
    /// ```
    #[rhai_fn(name = "shutdown", pure, return_raw)]
    pub fn shutdown_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<PowerOptions>("shutdown", options)?;
        told(vm, vm.shutdown(&options))
    }

    /// Makes the guest's kernel panic and waits, at most 2 minutes, until it no longer answers or was started anew.
    ///
    /// ```rhai
    /// // vm.crash();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn crash(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.crash(&WaitOptions::default()))
    }

    /// Makes the guest's kernel panic, with the option `timeout`: seconds or a text (default "2m").
    ///
    /// ```rhai
    /// // vm.crash(#{ timeout: 30 });
    /// ```
    #[rhai_fn(name = "crash", pure, return_raw)]
    pub fn crash_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("crash", options)?;
        told(vm, vm.crash(&options))
    }
}
