//! A guest as its hypervisor knows it: its record, its fields, and waiting for either to change.

use super::estate::{Estate, where_it_is};
use super::guest::Guest;
use super::power::Now;
use super::wait::{Look, Patience, until_told};
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::toolstack::{self, PowerState, Ref};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long what a hypervisor tells is waited for before the next look.
pub(super) const EVENT: Duration = Duration::from_secs(5);

/// What wakes a wait when something about a guest changes.
pub(super) struct Changes {
    estate: Arc<Estate>,
    things: Vec<Ref>,
    token: String,
}

impl Changes {
    pub fn pause(&mut self, own: &Cancel, longest: Duration) -> Result<()> {
        self.estate.pause(own, &self.things, &mut self.token, longest)
    }
}

impl Guest {
    /// What its hypervisor knows of it now.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known; `NotFound` when it was removed; those of the toolstack.
    pub fn record(&self) -> Result<toolstack::Guest> {
        self.record_under(&self.context().cancel())
    }

    /// The same in a look of a wait, under the wait's own flag.
    pub(super) fn record_under(&self, own: &Cancel) -> Result<toolstack::Guest> {
        let vm = self.vm()?;
        vm.estate.ask_under(own, self.context(), |toolstack, watch| toolstack.guest(&vm.reference, watch))
    }

    /// What it does now; of a machine known by its address only, UP when it answers.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn state(&self) -> Result<PowerState> {
        if self.vm().is_err() {
            return Ok(if self.silence()?.is_none() { PowerState::Up } else { PowerState::Down });
        }
        Ok(self.record()?.state)
    }

    /// The number of its domain; nothing while it does not run.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn domid(&self) -> Result<Option<i64>> {
        Ok(self.record()?.domid)
    }

    /// # Errors
    /// `Unsupported` when no hypervisor is known.
    pub fn uuid(&self) -> Result<String> {
        Ok(self.vm()?.uuid.clone())
    }

    /// The hypervisor that it is on.
    ///
    /// # Errors
    /// `Unsupported` when none is known.
    pub fn estate(&self) -> Result<Arc<Estate>> {
        Ok(self.vm()?.estate.clone())
    }

    /// What its toolstack calls it.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known.
    pub fn reference(&self) -> Result<Ref> {
        Ok(self.vm()?.reference.clone())
    }

    /// The host that it runs on now; nothing while it is down.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn find_host(&self) -> Result<Option<toolstack::Host>> {
        let vm = self.vm()?;
        let Some(host) = self.record()?.host else { return Ok(None) };
        vm.estate.ask(self.context(), |toolstack, watch| toolstack.host(&host, watch)).map(Some)
    }

    /// How many virtual processors it has; of a machine known by its address only, those that are online.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn vcpus(&self) -> Result<u32> {
        match self.vm() {
            Ok(_) => Ok(self.record()?.vcpus),
            Err(_) => Ok(u32::try_from(self.facts()?.cpus).unwrap_or(u32::MAX)),
        }
    }

    /// The most memory that its hypervisor gives it now, in bytes; of a machine known by its address only, what its kernel manages.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn memory(&self) -> Result<u64> {
        match self.vm() {
            Ok(_) => Ok(self.record()?.memory.dynamic_max),
            Err(_) => Ok(self.facts()?.memory),
        }
    }

    /// Whether its agent is there and its drivers are up to date.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn are_drivers_current(&self) -> Result<bool> {
        Ok(self.record()?.inside.is_some_and(|inside| inside.are_drivers_current))
    }

    /// A field of its record in the toolstack's own words, or one entry of it.
    ///
    /// # Errors
    /// As [`Guest::record`]; `NotFound` for an entry that there is not.
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold()?.get(&self.vm()?.reference, field, key)
    }

    /// Changes a field of its record, or one entry of it.
    ///
    /// # Errors
    /// As [`Guest::record`]; `Refused` where the field cannot be changed.
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold()?.set(&self.vm()?.reference, self.name(), field, key, value)
    }

    /// Gives it another name, which every handle of it has from then on.
    ///
    /// # Errors
    /// `Malformed` for an empty name; `Refused` when it is called otherwise all the same; as [`Guest::record`].
    pub fn rename(&self, name: &str) -> Result<()> {
        if name.trim().is_empty() {
            return Err(Error::new(Kind::Malformed, format!("`{}` cannot be renamed to nothing", self.name())).blame(Blame::Author));
        }
        let vm = self.vm()?;
        self.told(&format!("rename to {name}"), |_| {
            let change = toolstack::GuestChange { name: Some(name.to_string()), ..toolstack::GuestChange::default() };
            vm.estate.ask(self.context(), |toolstack, watch| toolstack.configure(&vm.reference, &change, watch))?;
            let now = self.record()?.name;
            if now != name {
                return Err(Error::new(Kind::Refused, format!("`{}` was renamed to `{name}`, and is called `{now}`", self.name())));
            }
            self.place().is_renamed(name);
            Ok(())
        })
    }

    /// The way out: a method of the toolstack. Without a class in its name it is one of guests, and this guest is its first argument.
    ///
    /// # Errors
    /// As [`Guest::record`]; `Refused` with the toolstack's own words.
    pub fn xapi(&self, method: &str, arguments: &[Value]) -> Result<Value> {
        let vm = self.vm()?;
        let (name, arguments) = match method.contains('.') {
            true => (method.to_string(), arguments.to_vec()),
            false => {
                let own = Value::String(vm.reference.id.to_string());
                (format!("VM.{method}"), std::iter::once(own).chain(arguments.iter().cloned()).collect())
            }
        };
        self.told(&name, |action| {
            let patience = vm.estate.patience(Patience::ORDER);
            vm.estate.order(self.context(), action, patience, |toolstack, watch| toolstack.call(&name, &arguments, watch))
        })
    }

    /// The host of this name, address or uuid, on the guest's own hypervisor.
    pub(super) fn host_called(&self, name: &str) -> Result<Ref> {
        Ok(self.vm()?.estate.host_called(name, self.context())?.reference)
    }

    /// What wakes a wait when something about it changes, where a hypervisor is known.
    pub(super) fn watch(&self) -> Option<Changes> {
        let vm = self.vm().ok()?;
        Some(Changes { estate: vm.estate.clone(), things: vec![vm.reference.clone()], token: String::new() })
    }

    /// Waits until its record is as wanted; `not_yet` says what it is instead.
    pub(super) fn wait_record(
        &self,
        action: &Action<'_>,
        patience: &Patience,
        what: &str,
        mut not_yet: impl FnMut(&toolstack::Guest) -> Option<String>,
    ) -> Result<toolstack::Guest> {
        self.wait_judged(action, patience, what, |record| Ok(not_yet(record)))
    }

    /// As [`Guest::wait_record`], for a guest whose hypervisor says that it is where it is to be: should it be DOWN, that is an error at
    /// once, for nobody will start it.
    pub(super) fn wait_living(
        &self,
        action: &Action<'_>,
        patience: &Patience,
        what: &str,
        mut not_yet: impl FnMut(&toolstack::Guest) -> Option<String>,
    ) -> Result<toolstack::Guest> {
        self.wait_judged(action, patience, what, |record| match record.state {
            PowerState::Down => Err(Error::new(Kind::Refused, format!("`{}` was {what}, and went DOWN", self.name()))),
            _ => Ok(not_yet(record)),
        })
    }

    fn wait_judged(
        &self,
        action: &Action<'_>,
        patience: &Patience,
        what: &str,
        mut not_yet: impl FnMut(&toolstack::Guest) -> Result<Option<String>>,
    ) -> Result<toolstack::Guest> {
        let vm = self.vm()?;
        let mut changes = Changes { estate: vm.estate.clone(), things: vec![vm.reference.clone()], token: String::new() };
        let mut rest = |own: &Cancel, longest: Duration| changes.pause(own, longest.max(EVENT));
        let what = format!("`{}` {what}", self.name());
        until_told(self.context(), action, &what, patience, &mut rest, |own| {
            let record = self.record_under(own)?;
            Ok(match not_yet(&record)? {
                None => Look::Done(record),
                Some(seen) => Look::NotYet(seen),
            })
        })
    }

    /// Why it cannot be reached inside, if its hypervisor knows: it does not run, or nobody has said where it is. Learns where it is.
    /// A guest that was started and is down is an error.
    pub(super) fn why_not_inside(&self, own: &Cancel, now: Now) -> Result<Option<Error>> {
        if self.vm().is_err() {
            return Ok(None);
        }
        let record = match self.record_under(own) {
            Ok(record) => record,
            // Its hypervisor may be starting anew; the guest may answer all the same.
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) && self.place().address().is_some() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if record.state == PowerState::Down && now == Now::Started {
            return Err(Error::new(Kind::Refused, format!("`{}` went DOWN again before it answered", self.name())));
        }
        if record.state != PowerState::Up {
            return Ok(Some(Error::new(Kind::Unreachable, format!("`{}` is {}", self.name(), record.state.word()))));
        }
        match where_it_is(&record) {
            Ok(address) => {
                self.place().is_at(&address);
                Ok(None)
            }
            Err(error) if error.kind == Kind::Unreachable => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }
}
