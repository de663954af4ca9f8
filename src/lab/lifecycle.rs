//! Starting a guest, taking it down, and everything between, by its hypervisor: asked, waited for, and verified.
//!
//! Nothing here is done when a call returns: a guest is up when it answers, rebooted when it answers with a new boot id in a new domain,
//! down when its domain is gone.

use super::estate::Estate;
use super::guest::{Guest, Vm};
use super::option::{PowerOptions, StartOptions, WaitOptions};
use super::power::{Now, is_new};
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Error, Kind, Result};
use crate::event::Level;
use crate::toolstack::{self, PowerState, Verb};
use crate::unit::show_duration;
use std::time::{Duration, Instant};

/// What is left of the time that an author gave for an operation as a whole; without it, each part has its own usual limit.
struct Budget {
    started: Instant,
    given: Option<Duration>,
}

impl Budget {
    fn new(given: Option<Duration>) -> Budget {
        Budget { started: Instant::now(), given }
    }

    fn patience(&self, estate: &Estate, usual: Patience) -> Patience {
        let left = self.given.map(|given| given.saturating_sub(self.started.elapsed()));
        estate.patience(usual).or(left)
    }

    fn took(&self) -> String {
        show_duration(self.started.elapsed())
    }
}

/// A step from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Start,
    StartPaused,
    Shutdown,
    Pause,
    Unpause,
    Suspend,
    Resume,
}

/// The shortest way from one state to another that a hypervisor allows.
fn way(from: PowerState, to: PowerState) -> &'static [Move] {
    use Move::*;
    use PowerState::{Down, Paused, Suspended, Up};
    match (from, to) {
        (Down, Down) | (Up, Up) | (Paused, Paused) | (Suspended, Suspended) => &[],
        (Down, Up) => &[Start],
        (Down, Paused) => &[StartPaused],
        (Down, Suspended) => &[Start, Suspend],
        (Up, Down) => &[Shutdown],
        (Up, Paused) => &[Pause],
        (Up, Suspended) => &[Suspend],
        (Paused, Down) => &[Unpause, Shutdown],
        (Paused, Up) => &[Unpause],
        (Paused, Suspended) => &[Unpause, Suspend],
        (Suspended, Down) => &[Resume, Shutdown],
        (Suspended, Up) => &[Resume],
        (Suspended, Paused) => &[Resume, Pause],
    }
}

impl Guest {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known; `Refused` with the toolstack's own words; `Timeout` with what was seen last.
    pub fn start(&self, options: &StartOptions) -> Result<()> {
        let vm = self.vm()?;
        self.told(if options.paused { "start (paused)" } else { "start" }, |action| {
            let budget = Budget::new(options.timeout);
            let on = options.on.as_deref().map(|name| self.host_called(name)).transpose()?;
            let verb = Verb::Start { guest: vm.reference.clone(), on: on.clone(), paused: options.paused };
            self.order(action, &budget, Patience::START, &verb)?;
            self.gone();
            let wanted = if options.paused { PowerState::Paused } else { PowerState::Up };
            let record = self.wait_in(action, &budget, wanted)?;
            if let Some(on) = on.filter(|on| record.host.as_ref() != Some(on)) {
                return Err(self.elsewhere(&vm, &record, &on));
            }
            if options.wait && !options.paused {
                self.wait_up(
                    action,
                    &budget.patience(&vm.estate, Patience::READY),
                    "to answer after its start",
                    Now::Started,
                    |_| None,
                )?;
            }
            action.says(format!("{} after {}", wanted.word(), budget.took()));
            Ok(())
        })
    }

    /// Reboots it and waits until it answers with a new boot id in a new domain. From inside, where no hypervisor is known or the
    /// guest has nothing that listens to it.
    ///
    /// # Errors
    /// As [`Guest::start`]; `Refused` when it is this machine, or will not.
    pub fn reboot(&self, options: &PowerOptions) -> Result<()> {
        self.told(if options.force { "reboot (forced)" } else { "reboot" }, |action| {
            let Ok(vm) = self.vm() else { return self.reboot_inside(action, options) };
            let budget = Budget::new(options.timeout);
            let before = self.record()?;
            if is_deaf(&before, "clean_reboot", options) {
                action.progress("nothing in it listens to its hypervisor: rebooting it from inside", None);
                return self.reboot_inside(action, options);
            }
            // One that did not answer before is not asked for long what its boot id was.
            let boot_id = self.known_boot_id().unwrap_or_default();
            let guest = vm.reference.clone();
            let verb = if options.force { Verb::HardReboot(guest) } else { Verb::CleanReboot(guest) };
            self.order(action, &budget, Patience::ORDER, &verb)?;
            self.gone();
            let state = budget.patience(&vm.estate, Patience::STATE);
            self.wait_living(action, &state, "to be UP in a new domain", |now| match now.state {
                PowerState::Up if now.domid.is_some() && now.domid != before.domid => None,
                _ => Some(standing(now)),
            })?;
            if options.wait {
                let patience = budget.patience(&vm.estate, Patience::READY);
                self.wait_up(action, &patience, "to answer with a new boot id", Now::Started, |now| {
                    (!is_new(now, &boot_id)).then(|| "it answers with the old boot id".to_string())
                })?;
            }
            action.says(format!("back after {}", budget.took()));
            Ok(())
        })
    }

    /// Shuts it down and waits until its domain is gone; of a machine known by its address only, until it no longer answers.
    ///
    /// # Errors
    /// As [`Guest::reboot`].
    pub fn shutdown(&self, options: &PowerOptions) -> Result<()> {
        self.told(if options.force { "shut down (forced)" } else { "shut down" }, |action| {
            let Ok(vm) = self.vm() else { return self.shutdown_inside(action, options) };
            let budget = Budget::new(options.timeout);
            let guest = vm.reference.clone();
            let hard = Verb::HardShutdown(guest.clone());
            let done = if options.force {
                self.order(action, &budget, Patience::ORDER, &hard)
            } else if is_deaf(&self.record()?, "clean_shutdown", options) {
                action.progress("nothing in it listens to its hypervisor: shutting it down from inside", None);
                self.shutdown_inside(action, options)
            } else {
                self.order(action, &budget, Patience::ORDER, &Verb::CleanShutdown(guest))
            };
            let done = done.and_then(|()| if options.wait { self.wait_down(action, &budget) } else { Ok(()) });
            if let Err(error) = done {
                self.context().cancel().check()?;
                if options.again && self.state()? != PowerState::Down {
                    self.order(action, &Budget::new(None), Patience::ORDER, &hard)?;
                    self.wait_down(action, &Budget::new(None))?;
                }
                return Err(error);
            }
            action.says(format!("DOWN after {}", budget.took()));
            Ok(())
        })
    }

    /// Shuts it down, by force when it does not go down when asked: that is a warning.
    ///
    /// # Errors
    /// As [`Guest::reboot`], of the shutdown by force.
    pub fn shutdown_or_kill(&self, options: &PowerOptions) -> Result<()> {
        let Err(error) = self.shutdown(&PowerOptions { force: false, again: false, ..*options }) else { return Ok(()) };
        self.context().cancel().check()?;
        if matches!(error.kind, Kind::NotFound | Kind::Unsupported) {
            return Err(error);
        }
        if self.vm().is_ok() && self.state()? == PowerState::Down {
            return Ok(());
        }
        self.context().log(Level::Warning, format!("{} is shut down by force, for it did not go: {}", self.name(), error.what));
        self.shutdown(&PowerOptions { force: true, again: false, timeout: None, wait: true })
    }

    /// Writes its memory to disk and waits until its domain is gone.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn suspend(&self, options: &WaitOptions) -> Result<()> {
        let vm = self.vm()?;
        self.told("suspend", |action| {
            let budget = Budget::new(options.timeout);
            let boot_id = self.known_boot_id().ok();
            self.order(action, &budget, Patience::ORDER, &Verb::Suspend(vm.reference.clone()))?;
            self.gone();
            self.place().sleeps_with(boot_id);
            self.wait_in(action, &budget, PowerState::Suspended)?;
            action.says(format!("SUSPENDED after {}", budget.took()));
            Ok(())
        })
    }

    /// Lets a suspended guest go on, and waits until it answers with the boot id from before.
    ///
    /// # Errors
    /// As [`Guest::start`]; `Refused` when it was started anew instead.
    pub fn resume(&self, options: &StartOptions) -> Result<()> {
        let vm = self.vm()?;
        self.told("resume", |action| {
            let budget = Budget::new(options.timeout);
            let on = options.on.as_deref().map(|name| self.host_called(name)).transpose()?;
            let asleep = self.place().slept_with();
            let verb = Verb::Resume { guest: vm.reference.clone(), on: on.clone() };
            self.order(action, &budget, Patience::ORDER, &verb)?;
            self.gone();
            let record = self.wait_in(action, &budget, PowerState::Up)?;
            if let Some(on) = on.filter(|on| record.host.as_ref() != Some(on)) {
                return Err(self.elsewhere(&vm, &record, &on));
            }
            if options.wait {
                let patience = budget.patience(&vm.estate, Patience::AGAIN);
                let boot_id = self.wait_up(action, &patience, "to answer after it was resumed", Now::Started, |_| None)?;
                self.went_on(asleep.as_deref(), &boot_id)?;
            }
            action.says(format!("UP after {}", budget.took()));
            Ok(())
        })
    }

    /// Stops its processors.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn pause(&self) -> Result<()> {
        let vm = self.vm()?;
        self.told("pause", |action| {
            let budget = Budget::new(None);
            self.order(action, &budget, Patience::ORDER, &Verb::Pause(vm.reference.clone()))?;
            self.wait_in(action, &budget, PowerState::Paused).map(drop)
        })
    }

    /// Lets its processors go on, and waits until it answers.
    ///
    /// # Errors
    /// As [`Guest::start`].
    pub fn unpause(&self, options: &StartOptions) -> Result<()> {
        let vm = self.vm()?;
        self.told("unpause", |action| {
            let budget = Budget::new(options.timeout);
            self.order(action, &budget, Patience::ORDER, &Verb::Unpause(vm.reference.clone()))?;
            self.wait_in(action, &budget, PowerState::Up)?;
            if options.wait {
                self.wait_up(
                    action,
                    &budget.patience(&vm.estate, Patience::READY),
                    "to answer after it was unpaused",
                    Now::Started,
                    |_| None,
                )?;
            }
            Ok(())
        })
    }

    /// Brings it into a state by the shortest way.
    ///
    /// # Errors
    /// As the operations on the way.
    pub fn set_state(&self, wanted: PowerState) -> Result<()> {
        self.vm()?;
        for step in way(self.state()?, wanted) {
            match step {
                Move::Start => self.start(&StartOptions::default()),
                Move::StartPaused => self.start(&StartOptions { paused: true, ..StartOptions::default() }),
                Move::Shutdown => self.shutdown(&PowerOptions::default()),
                Move::Pause => self.pause(),
                Move::Unpause => self.unpause(&StartOptions::default()),
                Move::Suspend => self.suspend(&WaitOptions::default()),
                Move::Resume => self.resume(&StartOptions::default()),
            }?;
        }
        Ok(())
    }

    /// Brings it up, whatever it does now, and waits until it answers.
    ///
    /// # Errors
    /// As [`Guest::set_state`].
    pub fn ensure_up(&self) -> Result<()> {
        if self.vm().is_ok() && self.state()? != PowerState::Up {
            return self.set_state(PowerState::Up);
        }
        self.wait_ready(&WaitOptions::default())
    }

    /// Waits until it is in a state.
    ///
    /// # Errors
    /// `Timeout` with what was seen last; as [`Guest::record`].
    pub fn wait_state(&self, wanted: PowerState, options: &WaitOptions) -> Result<()> {
        self.vm()?;
        self.told(&format!("wait until it is {}", wanted.word()), |action| {
            // Whoever is to bring it there may still be about it.
            self.wait_record(action, &self.patience(Patience::STATE).or(options.timeout), &to_be(wanted), |now| {
                is_elsewhere(now, wanted)
            })
            .map(drop)
        })
    }

    fn order(&self, action: &Action<'_>, budget: &Budget, usual: Patience, verb: &Verb) -> Result<()> {
        let vm = self.vm()?;
        let patience = budget.patience(&vm.estate, usual);
        vm.estate.order(self.context(), action, patience, |toolstack, watch| toolstack.act(verb, watch))
    }

    /// Waits until it is in a state; in one without a domain, until that is gone.
    fn wait_in(&self, action: &Action<'_>, budget: &Budget, wanted: PowerState) -> Result<toolstack::Guest> {
        let patience = budget.patience(&self.vm()?.estate, Patience::STATE);
        match wanted {
            PowerState::Down => self.wait_record(action, &patience, &to_be(wanted), |now| is_elsewhere(now, wanted)),
            _ => self.wait_living(action, &patience, &to_be(wanted), |now| is_elsewhere(now, wanted)),
        }
    }

    fn wait_down(&self, action: &Action<'_>, budget: &Budget) -> Result<()> {
        self.gone();
        self.wait_in(action, budget, PowerState::Down).map(drop)
    }

    /// Sees that a guest that was to go on did not start anew.
    pub(super) fn went_on(&self, before: Option<&str>, now: &str) -> Result<()> {
        match before.filter(|before| is_new(now, before)) {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Kind::Refused,
                format!("`{}` was to go on, and has started anew: its boot id is another", self.name()),
            )),
        }
    }

    /// The error for a guest that came up on another host than the one wanted.
    pub(super) fn elsewhere(&self, vm: &Vm, record: &toolstack::Guest, wanted: &toolstack::Ref) -> Error {
        let name = |host: Option<&toolstack::Ref>| {
            let host = host.and_then(|h| vm.estate.ask(self.context(), |toolstack, watch| toolstack.host(h, watch)).ok());
            host.map_or_else(|| "no host".to_string(), |host| format!("`{}`", host.name))
        };
        let (there, wanted) = (name(record.host.as_ref()), name(Some(wanted)));
        Error::new(Kind::Refused, format!("`{}` was to run on {wanted} and runs on {there}", self.name()))
    }
}

/// Whether a running guest has nothing in it that does what its hypervisor asks.
fn is_deaf(record: &toolstack::Guest, operation: &str, options: &PowerOptions) -> bool {
    !options.force && record.state == PowerState::Up && record.inside.is_none() && !record.allowed.iter().any(|a| a == operation)
}

/// "UP, domain 12".
fn to_be(state: PowerState) -> String {
    format!("to be {}", state.word())
}

/// Where it is, if it is not in this state; in one without a domain, its old one must be gone too.
fn is_elsewhere(now: &toolstack::Guest, wanted: PowerState) -> Option<String> {
    let has_domain = matches!(wanted, PowerState::Up | PowerState::Paused);
    (now.state != wanted || now.domid.is_some() != has_domain).then(|| standing(now))
}

fn standing(record: &toolstack::Guest) -> String {
    match record.domid {
        Some(domid) => format!("it is {}, domain {domid}", record.state.word()),
        None => format!("it is {}", record.state.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_leads_to_every_other_by_allowed_steps() {
        let after = |state: PowerState, step: Move| match (state, step) {
            (PowerState::Down, Move::Start) | (PowerState::Paused, Move::Unpause) | (PowerState::Suspended, Move::Resume) => {
                PowerState::Up
            }
            (PowerState::Down, Move::StartPaused) | (PowerState::Up, Move::Pause) => PowerState::Paused,
            (PowerState::Up, Move::Shutdown) => PowerState::Down,
            (PowerState::Up, Move::Suspend) => PowerState::Suspended,
            other => panic!("{other:?} is not allowed"),
        };
        for from in PowerState::ALL {
            for to in PowerState::ALL {
                assert_eq!(way(from, to).iter().fold(from, |state, step| after(state, *step)), to, "{from:?} to {to:?}");
            }
        }
    }
}
