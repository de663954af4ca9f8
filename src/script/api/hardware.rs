//! How many processors and how much memory a guest has, and what it sees of them.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::{signed, told};
use super::option;
use crate::lab::{Guest, MemoryOptions, Size, VcpuOptions, WaitOptions};
use crate::script::failure::{Raised, misuse};
use rhai::plugin::*;
use rhai::{Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(hardware);

#[export_module(manifest)]
mod hardware {
    /// Gives the guest so many virtual processors from its next start. It has to be down.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// let before = vm.vcpus;
    /// vm.set_vcpus(before + 1);
    /// vm.set_vcpus(before);
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_vcpus(vm: &mut Guest, count: i64) -> Raised<()> {
        let count = read_count(count)?;
        told(vm, vm.set_vcpus(count, &VcpuOptions::default()))
    }

    /// Gives the guest so many virtual processors, with options.
    ///
    /// - `live`: at once, while it runs, up to the most that it was started with (default false)
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.set_vcpus(1, #{ live: true });
    /// ```
    #[rhai_fn(name = "set_vcpus", pure, return_raw)]
    pub fn set_vcpus_with(vm: &mut Guest, count: i64, options: Map) -> Raised<()> {
        let count = read_count(count)?;
        let options = option::read::<VcpuOptions>("set_vcpus", options)?;
        told(vm, vm.set_vcpus(count, &options))
    }

    /// Gives the guest so much memory from its next start: bytes, or a text such as "2GiB". It has to be down.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// let before = vm.memory;
    /// vm.set_memory(before + mib(128));
    /// vm.set_memory(before);
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_memory(vm: &mut Guest, size: Dynamic) -> Raised<()> {
        let size = option::value::<Size>("set_memory", "size", &size)?;
        told(vm, vm.set_memory(size.0))
    }

    /// Sets the limits of the guest's memory from its next start; those not given stay. It has to be down.
    ///
    /// - `static_min`, `dynamic_min`, `dynamic_max`, `static_max`: bytes or a text such as "2GiB", each at least the one before
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// let before = vm.memory;
    /// vm.set_memory_limits(#{ static_max: before + mib(256), dynamic_max: before + mib(256) });
    /// vm.set_memory(before);
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_memory_limits(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<MemoryOptions>("set_memory_limits", options)?;
        told(vm, vm.set_memory_limits(&options))
    }

    /// Tells the running guest to shrink or grow to so much memory: bytes, or a text such as "1GiB". It is not waited for.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.set_memory_target(vm.memory);
    /// vm.wait_memory_target();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_memory_target(vm: &mut Guest, size: Dynamic) -> Raised<()> {
        let size = option::value::<Size>("set_memory_target", "size", &size)?;
        told(vm, vm.set_memory_target(size.0))
    }

    /// Waits, at most 10 minutes, until the guest has the memory that it was told to shrink or grow to.
    ///
    /// ```rhai
    /// guest("guest2").wait_memory_target();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_memory_target(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.wait_memory_target(&WaitOptions::default()))
    }

    /// Waits until the guest has the memory of its target, with the option `timeout`: seconds or a text (default "10m").
    ///
    /// ```rhai
    /// guest("guest2").wait_memory_target(#{ timeout: "1m" });
    /// ```
    #[rhai_fn(name = "wait_memory_target", pure, return_raw)]
    pub fn wait_memory_target_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_memory_target", options)?;
        told(vm, vm.wait_memory_target(&options))
    }

    /// Gives the number of processors that the guest sees now. Unlike `cpus` it is always asked.
    ///
    /// ```rhai
    /// check(target().guest_cpus() > 0, "it has a processor");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn guest_cpus(vm: &mut Guest) -> Raised<i64> {
        Ok(signed(told(vm, vm.guest_cpus())?))
    }

    /// Gives the bytes of memory that the guest's kernel manages now.
    ///
    /// ```rhai
    /// check(target().guest_memory() > mib(16), "enough to run");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn guest_memory(vm: &mut Guest) -> Raised<i64> {
        Ok(signed(told(vm, vm.guest_memory())?))
    }
}

fn read_count(count: i64) -> Raised<u32> {
    u32::try_from(count).map_err(|_| misuse(format!("{count} is no number of processors"), Some("at least 1".into())))
}
