//! Starting guests, and taking them through their states, one or many at a time.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{self, Guest, PowerOptions, StartOptions, WaitOptions};
use crate::name::did_you_mean;
use crate::script::case::Case;
use crate::script::failure::{Raised, misuse, raise};
use crate::script::show;
use crate::toolstack::PowerState;
use rhai::plugin::*;
use rhai::{Array, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(lifecycle);

#[export_module(manifest)]
mod lifecycle {
    /// Starts the guest on a host that its pool chooses, and waits, at most 15 minutes, until it answers.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.shutdown();
    /// vm.start();
    /// check(vm.state == "UP", "it runs");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn start(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.start(&StartOptions::default()))
    }

    /// Starts the guest with options.
    ///
    /// - `on`: the host to start on, or its name (default: the pool chooses)
    /// - `paused`: stopped before its first instruction (default false)
    /// - `wait`: whether to wait until it answers (default true)
    /// - `timeout`: seconds or a text, for all of it (default "15m" for it to answer)
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.shutdown();
    /// vm.start(#{ on: "host1", timeout: "10m" });
    /// ```
    #[rhai_fn(name = "start", pure, return_raw)]
    pub fn start_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<StartOptions>("start", option::plain(options))?;
        told(vm, vm.start(&options))
    }

    /// Shuts the guest down, by force when it does not go down when asked; that is a warning.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.shutdown_or_kill();
    /// vm.start();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn shutdown_or_kill(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.shutdown_or_kill(&PowerOptions::default()))
    }

    /// Shuts the guest down, by force when it is not down within the option `timeout`: seconds or a text (default "10m").
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.shutdown_or_kill(#{ timeout: "2m" });
    /// vm.start();
    /// ```
    #[rhai_fn(name = "shutdown_or_kill", pure, return_raw)]
    pub fn shutdown_or_kill_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<PowerOptions>("shutdown_or_kill", options)?;
        told(vm, vm.shutdown_or_kill(&options))
    }

    /// Suspends the guest: its memory is written to disk, and its domain goes.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.suspend();
    /// check(vm.state == "SUSPENDED" && vm.domid == (), "it has no domain");
    /// vm.resume();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn suspend(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.suspend(&WaitOptions::default()))
    }

    /// Suspends the guest, with the option `timeout`: seconds or a text (default "30m").
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.suspend(#{ timeout: "5m" });
    /// vm.resume();
    /// ```
    #[rhai_fn(name = "suspend", pure, return_raw)]
    pub fn suspend_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("suspend", options)?;
        told(vm, vm.suspend(&options))
    }

    /// Lets a suspended guest go on and waits, at most 6 minutes, until it answers. It fails when the guest was started anew instead.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.suspend();
    /// vm.resume();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn resume(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.resume(&StartOptions::default()))
    }

    /// Lets a suspended guest go on, with options.
    ///
    /// - `on`: the host to go on with, or its name (default: the pool chooses)
    /// - `wait`: whether to wait until it answers (default true)
    /// - `timeout`: seconds or a text, for all of it (default "6m" for it to answer)
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.suspend();
    /// vm.resume(#{ on: "host1" });
    /// ```
    #[rhai_fn(name = "resume", pure, return_raw)]
    pub fn resume_with(vm: &mut Guest, options: Map) -> Raised<()> {
        let options = option::read::<StartOptions>("resume", option::plain(options))?;
        told(vm, vm.resume(&options))
    }

    /// Stops the guest's processors.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.pause();
    /// check(vm.state == "PAUSED", "it stands still");
    /// vm.unpause();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn pause(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.pause())
    }

    /// Lets the guest's processors go on, and waits until it answers.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.pause();
    /// vm.unpause();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn unpause(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.unpause(&StartOptions::default()))
    }

    /// Brings the guest into a state by the shortest way: "UP", "DOWN", "PAUSED" or "SUSPENDED".
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.set_state("SUSPENDED");
    /// vm.set_state("UP");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_state(vm: &mut Guest, state: &str) -> Raised<()> {
        let state = read_state(state)?;
        told(vm, vm.set_state(state))
    }

    /// Brings the guest up, whatever it does now, and waits until it answers.
    ///
    /// ```rhai
    /// guest("guest1").ensure_up();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn ensure_up(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.ensure_up())
    }

    /// Waits, at most 10 minutes, until the guest is "UP", "DOWN", "PAUSED" or "SUSPENDED".
    ///
    /// ```rhai
    /// guest("guest1").wait_state("UP");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_state(vm: &mut Guest, state: &str) -> Raised<()> {
        let state = read_state(state)?;
        told(vm, vm.wait_state(state, &WaitOptions::default()))
    }

    /// Waits until the guest is in a state, with the option `timeout`: seconds or a text (default "10m").
    ///
    /// ```rhai
    /// guest("guest1").wait_state("UP", #{ timeout: "30s" });
    /// ```
    #[rhai_fn(name = "wait_state", pure, return_raw)]
    pub fn wait_state_with(vm: &mut Guest, state: &str, options: Map) -> Raised<()> {
        let state = read_state(state)?;
        let options = option::read::<WaitOptions>("wait_state", options)?;
        told(vm, vm.wait_state(state, &options))
    }

    /// Starts guests side by side, and waits until all of them answer.
    ///
    /// ```rhai
    /// let vms = [guest("guest1"), guest("guest2")];
    /// shutdown_all(vms);
    /// start_all(vms);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn start_all(call: NativeCallContext, vms: Array) -> Raised<()> {
        each(&call, &vms, |vm| vm.start(&StartOptions::default()))
    }

    /// Shuts guests down side by side, and waits until all of them are down.
    ///
    /// ```rhai
    /// let vms = [guest("guest1"), guest("guest2")];
    /// shutdown_all(vms);
    /// start_all(vms);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn shutdown_all(call: NativeCallContext, vms: Array) -> Raised<()> {
        each(&call, &vms, |vm| vm.shutdown(&PowerOptions::default()))
    }
}

fn each(call: &NativeCallContext, vms: &Array, work: impl Fn(&Guest) -> crate::error::Result<()> + Sync) -> Raised<()> {
    let case = Case::of(call)?;
    let guest = |value: &rhai::Dynamic| {
        value.read_lock::<Guest>().map(|guest| guest.clone()).ok_or_else(|| {
            misuse(format!("`{}` got {} in its list, expected guests", call.fn_name(), show::value(value, 60)), None)
        })
    };
    let guests = vms.iter().map(guest).collect::<Raised<Vec<Guest>>>()?;
    lab::each(&guests, &case.context, work).map_err(|error| raise(&case.context, &error))
}

fn read_state(word: &str) -> Raised<PowerState> {
    PowerState::from_word(word).ok_or_else(|| {
        let words = PowerState::ALL.map(PowerState::word);
        let near = did_you_mean(&word.to_uppercase(), words);
        misuse(format!("`{word}` is no state of a guest"), near.or_else(|| Some(format!("one of {}", words.join(", ")))))
    })
}
