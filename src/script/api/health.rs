//! Whether a guest is what it should be; its agent, its console, and making it ready to be doubled.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{Guest, WaitOptions};
use crate::script::failure::Raised;
use rhai::Map;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(health);

#[export_module(manifest)]
mod health {
    /// Compares what the guest sees with what its hypervisor gives it: processors, memory, network interfaces. What is a little off is
    /// a warning, what is wrong fails the testcase.
    ///
    /// ```rhai
    /// guest("guest1").check();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn check(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.check())
    }

    /// Looks for a reason why the guest is not well, and fails with it: its state, whether it answers, its kernel's log, its root file
    /// system.
    ///
    /// ```rhai
    /// guest("guest1").check_health();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn check_health(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.check_health())
    }

    /// Sees that each attached disk and interface of the guest has a paravirtual device that works, and fails with those that do not:
    /// what xenstore says of both its ends must be "connected".
    ///
    /// ```rhai
    /// guest("guest1").check_pv_devices();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn check_pv_devices(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.check_pv_devices())
    }

    /// Waits, at most 5 minutes, until the agent in the guest answers its hypervisor.
    ///
    /// ```rhai
    /// guest("guest1").wait_agent();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_agent(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.wait_agent(&WaitOptions::default()))
    }

    /// Waits until the agent in the guest answers, with the option `timeout`: seconds or a text (default "5m").
    ///
    /// ```rhai
    /// guest("guest1").wait_agent(#{ timeout: "1m" });
    /// ```
    #[rhai_fn(name = "wait_agent", pure, return_raw)]
    pub fn wait_agent_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_agent", options)?;
        told(vm, vm.wait_agent(&options))
    }

    /// Waits, at most 15 minutes, until an address of the guest is known, and gives it.
    ///
    /// ```rhai
    /// log(guest("guest1").wait_ip());
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_ip(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.wait_ip(&WaitOptions::default()))
    }

    /// Waits until an address of the guest is known, with the option `timeout`: seconds or a text (default "15m"); gives the address.
    ///
    /// ```rhai
    /// log(guest("guest1").wait_ip(#{ timeout: "1m" }));
    /// ```
    #[rhai_fn(name = "wait_ip", pure, return_raw)]
    pub fn wait_ip_with(vm: &mut Guest, options: Map) -> Raised<String> {
        let options = option::read::<WaitOptions>("wait_ip", options)?;
        told(vm, vm.wait_ip(&options))
    }

    /// Makes sure that the agent of the hypervisor is in the guest, from the disc that comes with the hypervisor, and waits until it
    /// answers.
    ///
    /// ```rhai
    /// guest("guest1").install_tools();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn install_tools(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.install_tools(&WaitOptions::default()))
    }

    /// As `install_tools`, with the option `timeout`: seconds or a text (default "30m" for the installer, "5m" for the agent).
    ///
    /// ```rhai
    /// guest("guest1").install_tools(#{ timeout: "10m" });
    /// ```
    #[rhai_fn(name = "install_tools", pure, return_raw)]
    pub fn install_tools_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("install_tools", options)?;
        told(vm, vm.install_tools(&options))
    }

    /// Makes the guest's drivers up to date: installs the agent, and reboots when that brought new drivers.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.install_drivers();
    /// check(vm.pv_up_to_date, "nothing newer is there");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn install_drivers(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.install_drivers(&WaitOptions::default()))
    }

    /// Makes a Linux guest forget what only one machine can have: MAC addresses, leases, its identity. For a guest that is about to be
    /// shut down and cloned.
    ///
    /// ```rhai
    /// guest("guest2").prepare_for_clone();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn prepare_for_clone(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.prepare_for_clone())
    }

    /// Makes a template of the guest. It has to be down.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// let vm = snap.instantiate();
    /// vm.make_template();
    /// vm.uninstall();
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn make_template(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.make_template())
    }

    /// Keeps the picture on the guest's console in a file of the testcase's directory, and gives its path. Where the hypervisor gives
    /// no pictures, the testcase is skipped.
    ///
    /// ```rhai
    /// log(guest("guest1").screenshot("console"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn screenshot(vm: &mut Guest, name: &str) -> Raised<String> {
        told(vm, vm.screenshot(name)).map(|path| path.display().to_string())
    }

    /// Gives what xenstore says at a path below the guest's domain, asked in its host's control domain.
    ///
    /// ```rhai
    /// log(guest("guest1").xenstore_read("name"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn xenstore_read(vm: &mut Guest, path: &str) -> Raised<String> {
        told(vm, vm.xenstore_read(path))
    }
}
