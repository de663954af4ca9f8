//! Guests from guests: clones, copies, images; and the end of a guest.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{CopyOptions, Guest};
use crate::script::failure::Raised;
use rhai::Map;
use rhai::plugin::*;
use serde::Deserialize;

/// What goes with a guest.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UninstallOptions {
    keep_disks: bool,
}

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(duplicate);

#[export_module(manifest)]
mod duplicate {
    /// Makes a guest like this one, with a name that no other has. It is down; it shares with this one what can be shared, and has MAC
    /// addresses of its own. The guest has to be down.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// let other = vm.clone();
    /// other.uninstall();
    /// vm.start();
    /// ```
    #[rhai_fn(name = "clone", pure, return_raw)]
    pub fn duplicate(vm: &mut Guest) -> Raised<Guest> {
        told(vm, vm.duplicate(None))
    }

    /// Makes a guest of this name like this one.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// let other = vm.clone(random_name("clone"));
    /// defer(|| other.uninstall());
    /// vm.start();
    /// ```
    #[rhai_fn(name = "clone", pure, return_raw)]
    pub fn duplicate_as(vm: &mut Guest, name: &str) -> Raised<Guest> {
        told(vm, vm.duplicate(Some(name)))
    }

    /// Makes a guest like this one, its disks copied in full. The guest has to be down.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// vm.copy().uninstall();
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn copy(vm: &mut Guest) -> Raised<Guest> {
        told(vm, vm.copy(&CopyOptions::default()))
    }

    /// Makes a guest like this one, its disks copied in full, with options.
    ///
    /// - `name`: what it is called (default: a name that no other has)
    /// - `sr`: the SR for its disks, or its name (default: where they are)
    /// - `timeout`: seconds or a text (default "4h")
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// vm.copy(#{ name: random_name("copy"), sr: pool().default_sr }).uninstall();
    /// vm.start();
    /// ```
    #[rhai_fn(name = "copy", pure, return_raw)]
    pub fn copy_with(vm: &mut Guest, options: Map) -> Raised<Guest> {
        let options = option::read::<CopyOptions>("copy", option::plain(options))?;
        told(vm, vm.copy(&options))
    }

    /// Writes the guest as an image into a file of the testcase's directory, and gives its path. The guest has to be down.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// vm.shutdown();
    /// defer(|| vm.start());
    /// log(vm.export_to("guest2.xva"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn export_to(vm: &mut Guest, path: &str) -> Raised<String> {
        told(vm, vm.export_to(path)).map(|path| path.display().to_string())
    }

    /// Removes the guest, whatever it does now, with its snapshots and the disks that are its own, and sees that they are gone.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// snap.instantiate().uninstall();
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn uninstall(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.uninstall(false))
    }

    /// Removes the guest with options.
    ///
    /// - `keep_disks`: whether its virtual disks stay (default false)
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// let vm = snap.instantiate();
    /// let vdi = vm.disks()[0].vdi;
    /// vm.uninstall(#{ keep_disks: true });
    /// vdi.destroy();
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "uninstall", pure, return_raw)]
    pub fn uninstall_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<UninstallOptions>("uninstall", options)?;
        told(vm, vm.uninstall(options.keep_disks))
    }
}
