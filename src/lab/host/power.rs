//! Whether a host takes guests, and taking it down and up again.

use super::Host;
use crate::context::Action;
use crate::error::{Error, Kind, Result};
use crate::lab::guest::Guest;
use crate::lab::option::{PowerOptions, WaitOptions};
use crate::lab::wait::{Look, Patience};
use crate::toolstack::{self, Toolstack, Verb, Watch};
use crate::unit::{deserialize_duration as duration, show_duration};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Keys of a host's `other_config` under which its toolstack notes when it, and the host, began.
const STARTS: [&str; 2] = ["boot_time", "agent_start_time"];

/// How a host is rebooted.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RebootOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// At once, as if it had been reset.
    pub forced: bool,
    /// By the toolstack, once the host is disabled, and not from inside.
    pub clean: bool,
    /// As `clean`, with its guests moved to other hosts first.
    pub evacuate: bool,
}

impl Host {
    /// # Errors
    /// Those of the toolstack.
    pub fn enable(&self) -> Result<()> {
        self.hold().act(self.name(), "enable", &Verb::Enable(self.reference()), Patience::TASK)?;
        self.verify(|host| host.is_enabled, "it is still disabled")
    }

    /// From now on it takes no more guests; those that it has go on.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn disable(&self) -> Result<()> {
        self.hold().act(self.name(), "disable", &Verb::Disable(self.reference()), Patience::TASK)?;
        self.verify(|host| !host.is_enabled, "it is still enabled")
    }

    /// Moves its guests to other hosts, and disables it.
    ///
    /// # Errors
    /// `Refused` when a guest cannot go, or one is left.
    pub fn evacuate(&self) -> Result<()> {
        self.told("evacuate", |action| self.evacuate_in(action))
    }

    fn evacuate_in(&self, action: &Action<'_>) -> Result<()> {
        let hold = self.hold();
        let reference = self.reference();
        let count = self.running()?.len();
        if self.record()?.is_enabled {
            hold.order(action, &Verb::Disable(reference.clone()), Patience::TASK)?;
        }
        hold.order(action, &Verb::Evacuate(reference), Patience::EVACUATE)?;
        let left = self.running()?;
        if !left.is_empty() {
            let what = format!("{} was evacuated, and still has {}", self.name(), left.join(", "));
            return Err(Error::new(Kind::Refused, what));
        }
        action.says(format!("{count} guests moved"));
        Ok(())
    }

    /// The names of the guests that run here.
    fn running(&self) -> Result<Vec<String>> {
        let reference = self.reference();
        let all = self.hold().ask(|toolstack, watch| toolstack.guests(watch))?;
        Ok(all.into_iter().filter(|guest| guest.host.as_ref() == Some(&reference)).map(|guest| guest.name).collect())
    }

    fn verify(&self, holds: impl Fn(&toolstack::Host) -> bool, otherwise: &str) -> Result<()> {
        if holds(&self.record()?) {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("{}: {otherwise}", self.name())))
    }

    /// Reboots it and waits until it answers with a new boot id, its pool has heard of it, and it takes guests again.
    ///
    /// # Errors
    /// `Malformed` for options that exclude each other; `Refused` when it will not; `Timeout` with what was seen last.
    pub fn reboot(&self, options: &RebootOptions) -> Result<()> {
        let by_toolstack = options.clean || options.evacuate;
        if options.forced && by_toolstack {
            return Err(Error::new(Kind::Malformed, "a reboot is forced, or it is clean: not both"));
        }
        let how = match options {
            RebootOptions { forced: true, .. } => "reboot (forced)",
            RebootOptions { evacuate: true, .. } => "evacuate and reboot",
            RebootOptions { clean: true, .. } => "reboot (clean)",
            _ => "reboot",
        };
        let dom0 = self.dom0()?;
        self.told(how, |action| {
            let began = Instant::now();
            let before = dom0.known_boot_id()?;
            let starts = self.starts();
            if options.evacuate {
                self.evacuate_in(action)?;
            }
            action.progress("asking it to reboot", None);
            match (options.forced, by_toolstack) {
                (true, _) => dom0.ask_hard('b', "reboot -f")?,
                (_, true) => self.by_toolstack(action, Verb::RebootHost(self.reference()))?,
                _ => dom0.ask_softly("systemctl reboot", "reboot")?,
            }
            self.back(action, &dom0, &before, &starts, options.timeout)?;
            action.says(format!("back after {}", show_duration(began.elapsed())));
            Ok(())
        })
    }

    /// Waits until it is up anew and takes guests.
    fn back(&self, action: &Action<'_>, dom0: &Guest, before: &str, starts: &Starts, limit: Option<Duration>) -> Result<()> {
        dom0.gone();
        let began = Instant::now();
        let patience = self.estate().patience(Patience::HOST_BOOT).or(limit);
        dom0.wait_started(action, &patience, before)?;
        let left = Patience { limit: patience.limit.saturating_sub(began.elapsed()), ..patience };
        self.wait_enabled_in(action, left, starts)
    }

    /// Asks the pool for what takes the host away: its answer may never come when it is the master.
    fn by_toolstack(&self, action: &Action<'_>, verb: Verb) -> Result<()> {
        let hold = self.hold();
        if self.record()?.is_enabled {
            hold.order(action, &Verb::Disable(self.reference()), Patience::TASK)?;
        }
        match hold.order(action, &verb, Patience::SHUTDOWN) {
            Err(error) if error.kind == Kind::Unreachable => hold.context.cancel().check(),
            other => other,
        }
    }

    /// Shuts it down and waits until it no longer answers. Its guests must be down, or elsewhere, unless it is forced.
    ///
    /// # Errors
    /// As [`Host::reboot`].
    pub fn power_off(&self, options: &PowerOptions) -> Result<()> {
        let dom0 = self.dom0()?;
        self.told(if options.force { "power off (forced)" } else { "power off" }, |action| {
            let before = dom0.known_boot_id()?;
            if options.force {
                dom0.ask_hard('o', "poweroff -f")?;
            } else {
                self.by_toolstack(action, Verb::ShutdownHost(self.reference()))?;
            }
            dom0.gone();
            dom0.wait_silent(action, &self.estate().patience(Patience::SHUTDOWN).or(options.timeout), Some(&before))
        })
    }

    /// Switches it on and waits until it takes guests.
    ///
    /// # Errors
    /// `Refused` when the pool has no way to do so; `Timeout` with what was seen last.
    pub fn power_on(&self, options: &WaitOptions) -> Result<()> {
        let dom0 = self.dom0()?;
        self.told("power on", |action| {
            let starts = self.starts();
            self.hold().order(action, &Verb::PowerOn(self.reference()), Patience::HOST_BOOT)?;
            self.back(action, &dom0, "", &starts, options.timeout)
        })
    }

    /// Waits until it takes guests and its pool has heard of it.
    ///
    /// # Errors
    /// `Timeout` with what was seen last.
    pub fn wait_enabled(&self, options: &WaitOptions) -> Result<()> {
        self.told("wait until it is enabled", |action| {
            self.wait_enabled_in(action, self.estate().patience(Patience::ENABLED).or(options.timeout), &Starts::default())
        })
    }

    /// `earlier` is what its toolstack noted of its last start: as long as that stands, what the pool says is from before.
    pub(in crate::lab) fn wait_enabled_in(&self, action: &Action<'_>, patience: Patience, earlier: &Starts) -> Result<()> {
        let hold = self.hold();
        let what = format!("`{}` to be enabled", self.name());
        crate::lab::wait::until(&hold.context, action, &what, &patience, |own| {
            hold.look(own, |toolstack, watch| {
                let host = self.seen(toolstack, watch)?;
                Ok(match host {
                    None => Look::NotYet("its pool does not know it".into()),
                    Some(host) if !host.is_live => Look::NotYet("its pool has not heard of it yet".into()),
                    Some(host) if earlier.stand(&host) => Look::NotYet("its toolstack has not started anew yet".into()),
                    Some(host) if !host.is_enabled => Look::NotYet("it is disabled".into()),
                    Some(_) => Look::Done(()),
                })
            })
        })
    }

    fn seen(&self, toolstack: &dyn Toolstack, watch: Watch<'_>) -> Result<Option<toolstack::Host>> {
        match toolstack.host(&self.reference(), watch) {
            Ok(host) => Ok(Some(host)),
            // Its reference may be another once its pool has started anew.
            Err(error) if error.kind == Kind::NotFound => {
                let found = toolstack.hosts(watch)?.into_iter().find(|host| host.uuid == self.uuid());
                if let Some(host) = &found {
                    self.sits(self.estate(), host.reference.clone());
                }
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    /// Starts its toolstack anew, and waits until it answers and the host is enabled.
    ///
    /// # Errors
    /// `Timeout` with what was seen last.
    pub fn restart_toolstack(&self, options: &WaitOptions) -> Result<()> {
        self.told("restart the toolstack", |action| {
            let mut starts = self.starts();
            starts.0.retain(|(key, _)| *key == STARTS[1]);
            match self.hold().order(action, &Verb::RestartToolstack(self.reference()), Patience::TASK) {
                // The answer is lost when the toolstack that is asked is the one that goes.
                Err(error) if error.kind == Kind::Unreachable => self.context().cancel().check()?,
                other => other?,
            }
            self.wait_enabled_in(action, self.estate().patience(Patience::ENABLED).or(options.timeout), &starts)
        })
    }

    /// Waits until its toolstack answers.
    ///
    /// # Errors
    /// `Timeout` with what was seen last.
    pub fn wait_api(&self, options: &WaitOptions) -> Result<()> {
        self.told("wait for its toolstack", |action| {
            let hold = self.hold();
            let patience = hold.estate.patience(Patience::ENABLED).or(options.timeout);
            let what = format!("the toolstack of `{}` to answer", self.name());
            crate::lab::wait::until(&hold.context, action, &what, &patience, |own| {
                hold.look(own, |toolstack, watch| {
                    Ok(match self.seen(toolstack, watch)? {
                        Some(host) if host.is_live => Look::Done(()),
                        _ => Look::NotYet("its pool has not heard of it yet".into()),
                    })
                })
            })
        })
    }

    /// What its toolstack noted of its last start; nothing where it does not do so.
    fn starts(&self) -> Starts {
        self.record().map(|host| Starts::of(&host)).unwrap_or_default()
    }
}

/// When a host and its toolstack began, as they noted it.
#[derive(Debug, Default)]
pub(in crate::lab) struct Starts(Vec<(&'static str, String)>);

impl Starts {
    fn of(host: &toolstack::Host) -> Starts {
        Starts(STARTS.iter().filter_map(|key| Some((*key, host.other_config.get(*key)?.clone()))).collect())
    }

    /// Whether any of it is as it was.
    fn stand(&self, now: &toolstack::Host) -> bool {
        self.0.iter().any(|(key, before)| now.other_config.get(*key) == Some(before))
    }
}
