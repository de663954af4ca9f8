//! What a guest is built of: how many processors and how much memory it has, what it sees of them, and whether a device is attached.

use super::guest::Guest;
use super::option::{MemoryOptions, VcpuOptions, WaitOptions};
use super::wait::{Look, Patience, until};
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::{GuestChange, MemoryLimits, PowerState};
use crate::unit::show_size;
use std::fmt::Display;

/// How far from its target a guest's memory may stay: what its hypervisor keeps for itself.
const NEAR: u64 = 16 << 20;

impl Guest {
    fn configure(&self, what: &str, change: &GuestChange) -> Result<()> {
        let vm = self.vm()?;
        self.told(what, |action| {
            let patience = vm.estate.patience(Patience::DEVICE);
            let configure = |toolstack: &dyn crate::toolstack::Toolstack, watch: crate::toolstack::Watch<'_>| {
                toolstack.configure(&vm.reference, change, watch)
            };
            vm.estate.order(self.context(), action, patience, configure)
        })
    }

    /// Waits until a device of it is attached, or is no longer.
    pub(super) fn wait_attached(
        &self,
        action: &Action<'_>,
        device: &dyn Display,
        wanted: bool,
        is_attached: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let what = format!("{device} to be {}", if wanted { "attached" } else { "detached" });
        until(self.context(), action, &what, &self.patience(Patience::DEVICE).eager(), |_| {
            let is_attached = is_attached()?;
            if wanted && !is_attached && self.record()?.state == PowerState::Down {
                return Err(Error::new(Kind::Refused, format!("`{}` was to have {device}, and went DOWN", self.name())));
            }
            Ok(if is_attached == wanted { Look::Done(()) } else { Look::NotYet(format!("attached: {is_attached}")) })
        })
    }

    /// Gives it so many virtual processors: from its next start, or at once.
    ///
    /// # Errors
    /// `Malformed` for none, or when it is to be at once and it does not run; `Refused` with the toolstack's words, or when it has
    /// another number afterwards.
    pub fn set_vcpus(&self, count: u32, options: &VcpuOptions) -> Result<()> {
        let state = self.record()?.state;
        if count == 0 {
            return Err(Error::new(Kind::Malformed, "a guest has at least one processor"));
        }
        if options.live && state != PowerState::Up {
            let what = format!("`{}` is {}: its processors cannot be changed while it runs", self.name(), state.word());
            return Err(Error::new(Kind::Malformed, what).help("start it, or leave `live` away"));
        }
        if !options.live && state != PowerState::Down {
            let what = format!("`{}` is {}: what it starts with can be changed while it is DOWN", self.name(), state.word());
            return Err(Error::new(Kind::Malformed, what).help("shut it down, or say `#{ live: true }`"));
        }
        let max = (!options.live).then_some(count);
        let change = GuestChange { vcpus: Some(count), vcpus_max: max, ..GuestChange::default() };
        self.configure(&format!("set its processors to {count}"), &change)?;
        self.place().forget_facts();
        let now = self.record()?.vcpus;
        if now == count {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("`{}` has {now} processors after they were set to {count}", self.name())))
    }

    /// Gives it so much memory, all of its limits alike, from its next start.
    ///
    /// # Errors
    /// As [`Guest::set_memory_limits`].
    pub fn set_memory(&self, bytes: u64) -> Result<()> {
        let limits = MemoryLimits { static_min: bytes, dynamic_min: bytes, dynamic_max: bytes, static_max: bytes };
        self.set_limits(&format!("set its memory to {}", show_size(bytes)), limits)
    }

    /// Sets the limits of its memory; those not given stay.
    ///
    /// # Errors
    /// `Malformed` for limits that are not in order; `Refused` with the toolstack's words (while it runs, for one).
    pub fn set_memory_limits(&self, options: &MemoryOptions) -> Result<()> {
        let now = self.record()?.memory;
        let limits = MemoryLimits {
            static_min: options.static_min.unwrap_or(now.static_min),
            dynamic_min: options.dynamic_min.unwrap_or(now.dynamic_min),
            dynamic_max: options.dynamic_max.unwrap_or(now.dynamic_max),
            static_max: options.static_max.unwrap_or(now.static_max),
        };
        self.set_limits(&format!("set the limits of its memory to {}", shown(&limits)), limits)
    }

    fn set_limits(&self, what: &str, limits: MemoryLimits) -> Result<()> {
        let order = [limits.static_min, limits.dynamic_min, limits.dynamic_max, limits.static_max];
        if !order.is_sorted() {
            let what = format!("the limits {} are not in order", shown(&limits));
            return Err(Error::new(Kind::Malformed, what).help("static_min ≤ dynamic_min ≤ dynamic_max ≤ static_max"));
        }
        self.configure(what, &GuestChange { memory: Some(limits), ..GuestChange::default() })?;
        let now = self.record()?.memory;
        if now == limits {
            return Ok(());
        }
        let what =
            format!("the memory of `{}` has the limits {} after they were set to {}", self.name(), shown(&now), shown(&limits));
        Err(Error::new(Kind::Refused, what))
    }

    /// Tells a running guest to shrink or grow to so much memory. It is not waited for.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words.
    pub fn set_memory_target(&self, bytes: u64) -> Result<()> {
        let change = GuestChange { memory_target: Some(bytes), ..GuestChange::default() };
        self.configure(&format!("set the target of its memory to {}", show_size(bytes)), &change)
    }

    /// Waits until it has the memory that it was told to shrink or grow to.
    ///
    /// # Errors
    /// `Timeout` with what it had last; `Refused` when it does not run.
    pub fn wait_memory_target(&self, options: &WaitOptions) -> Result<()> {
        let state = self.record()?.state;
        if state != PowerState::Up {
            return Err(Error::new(Kind::Refused, format!("`{}` is {}: it has no memory yet", self.name(), state.word())));
        }
        self.told("wait until it has the memory of its target", |action| {
            let patience = self.patience(Patience::BALLOON).or(options.timeout);
            let record = self.wait_record(action, &patience, "to have the memory of its target", |now| {
                let (least, most) = (now.memory.dynamic_min.saturating_sub(NEAR), now.memory.dynamic_max + NEAR);
                match now.memory_actual {
                    Some(actual) if (least..=most).contains(&actual) => None,
                    Some(actual) => Some(format!("it has {} of {}", show_size(actual), show_size(now.memory.dynamic_max))),
                    None => Some("nobody says how much it has".into()),
                }
            })?;
            action.says(show_size(record.memory_actual.unwrap_or_default()));
            Ok(())
        })
    }

    /// How many processors it sees now, asked inside.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn guest_cpus(&self) -> Result<u64> {
        self.number("processors it sees", "nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo")
    }

    /// How many bytes of memory its kernel manages now, asked inside.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn guest_memory(&self) -> Result<u64> {
        let script = "sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo";
        Ok(self.number("memory it sees", script)?.saturating_mul(1024))
    }

    fn number(&self, what: &str, script: &str) -> Result<u64> {
        self.told(what, |action| {
            let said = self.answer(script)?;
            let number = said.trim().parse().map_err(|_| {
                let said = crate::context::clip(said.trim(), 100);
                Error::new(Kind::Malformed, format!("`{}` said `{said}`, expected a number", self.name())).blame(Blame::Lab)
            })?;
            action.says(format!("{number}"));
            Ok(number)
        })
    }
}

fn shown(limits: &MemoryLimits) -> String {
    let all = [limits.static_min, limits.dynamic_min, limits.dynamic_max, limits.static_max];
    all.map(show_size).join(" ≤ ")
}
