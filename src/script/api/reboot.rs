//! Whether a host takes guests, and taking it down and up again.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::{option, told};
use crate::lab::{Host, PowerOptions, RebootOptions, WaitOptions};
use crate::script::failure::Raised;
use rhai::Map;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(reboot);

#[export_module(manifest)]
mod reboot {
    /// Has the host take guests again.
    ///
    /// ```rhai
    /// host().disable();
    /// host().enable();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn enable(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.enable())
    }

    /// Has the host take no more guests; those that it has go on.
    ///
    /// ```rhai
    /// host().disable();
    /// check(!host().is_enabled, "it takes no more");
    /// host().enable();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn disable(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.disable())
    }

    /// Moves the guests of the host to other hosts of its pool, and disables it.
    ///
    /// ```rhai
    /// let last = pool().hosts().pop();
    /// last.evacuate();
    /// last.enable();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn evacuate(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.evacuate())
    }

    /// Reboots the host from inside and waits, at most 30 minutes, until it answers with a new boot id and takes guests again.
    ///
    /// ```rhai
    /// // host().reboot();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn reboot(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.reboot(&RebootOptions::default()))
    }

    /// Reboots the host with options.
    ///
    /// - `timeout`: seconds or a text (default "30m" to answer, then "15m" to take guests)
    /// - `forced`: at once, as if it had been reset (default false)
    /// - `clean`: by its toolstack, once it is disabled, and not from inside (default false)
    /// - `evacuate`: as `clean`, with its guests moved to other hosts first (default false)
    ///
    /// ```rhai
    /// let last = pool().hosts().pop();
    /// last.reboot(#{ evacuate: true, timeout: "20m" });
    /// ```
    #[rhai_fn(name = "reboot", pure, return_raw)]
    pub fn reboot_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<RebootOptions>("reboot", option::plain(options))?;
        told(&host.context(), host.reboot(&options))
    }

    /// Shuts the host down and waits, at most 10 minutes, until it no longer answers. Its guests must be down or elsewhere.
    ///
    /// ```rhai
    /// // host().power_off();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn power_off(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.power_off(&PowerOptions::default()))
    }

    /// Shuts the host down with options.
    ///
    /// - `timeout`: seconds or a text (default "10m")
    /// - `force`: at once, as if the power had failed (default false)
    ///
    /// ```rhai
    /// // host().power_off(#{ force: true });
    /// ```
    #[rhai_fn(name = "power_off", pure, return_raw)]
    pub fn power_off_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<PowerOptions>("power_off", option::plain(options))?;
        told(&host.context(), host.power_off(&options))
    }

    /// Switches the host on, and waits until it takes guests.
    ///
    /// ```rhai
    /// // host().power_on();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn power_on(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.power_on(&WaitOptions::default()))
    }

    /// Switches the host on, with the option `timeout`: seconds or a text (default "30m").
    ///
    /// ```rhai
    /// // host().power_on(#{ timeout: "1h" });
    /// ```
    #[rhai_fn(name = "power_on", pure, return_raw)]
    pub fn power_on_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("power_on", option::plain(options))?;
        told(&host.context(), host.power_on(&options))
    }

    /// Waits until the host takes guests, at most 15 minutes.
    ///
    /// ```rhai
    /// host().wait_enabled();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_enabled(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.wait_enabled(&WaitOptions::default()))
    }

    /// Waits until the host takes guests, with the option `timeout`: seconds or a text (default "15m").
    ///
    /// ```rhai
    /// host().wait_enabled(#{ timeout: "5m" });
    /// ```
    #[rhai_fn(name = "wait_enabled", pure, return_raw)]
    pub fn wait_enabled_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_enabled", option::plain(options))?;
        told(&host.context(), host.wait_enabled(&options))
    }

    /// Waits until the host's toolstack answers, at most 15 minutes.
    ///
    /// ```rhai
    /// host().wait_api();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_api(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.wait_api(&WaitOptions::default()))
    }

    /// Waits until the host's toolstack answers, with the option `timeout`: seconds or a text (default "15m").
    ///
    /// ```rhai
    /// host().wait_api(#{ timeout: 60 });
    /// ```
    #[rhai_fn(name = "wait_api", pure, return_raw)]
    pub fn wait_api_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_api", option::plain(options))?;
        told(&host.context(), host.wait_api(&options))
    }

    /// Starts the host's toolstack anew, and waits until it answers and the host takes guests. Its guests go on.
    ///
    /// ```rhai
    /// host().restart_toolstack();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn restart_toolstack(host: &mut Host) -> Raised<()> {
        told(&host.context(), host.restart_toolstack(&WaitOptions::default()))
    }

    /// Starts the host's toolstack anew, with the option `timeout`: seconds or a text (default "15m").
    ///
    /// ```rhai
    /// host().restart_toolstack(#{ timeout: "5m" });
    /// ```
    #[rhai_fn(name = "restart_toolstack", pure, return_raw)]
    pub fn restart_toolstack_with(host: &mut Host, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("restart_toolstack", option::plain(options))?;
        told(&host.context(), host.restart_toolstack(&options))
    }
}
