//! A snapshot or a checkpoint of a guest, in the hands of one testcase.

use super::guest::Guest;
use super::wait::Patience;
use crate::error::{Error, Kind, Result};
use crate::name;
use crate::toolstack::{self, GuestSpec, Ref, Spec};
use serde_json::Value;
use std::sync::Arc;

/// What a guest was at a moment.
#[derive(Clone)]
pub struct Snapshot {
    guest: Guest,
    known: Arc<toolstack::Snapshot>,
}

impl Snapshot {
    pub(super) fn new(guest: Guest, known: toolstack::Snapshot) -> Snapshot {
        Snapshot { guest, known: Arc::new(known) }
    }

    pub fn known(&self) -> &toolstack::Snapshot {
        &self.known
    }

    /// The guest that it is of.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    pub fn name(&self) -> &str {
        &self.known.name
    }

    pub fn uuid(&self) -> &str {
        &self.known.uuid
    }

    pub fn reference(&self) -> &Ref {
        &self.known.reference
    }

    /// Whether the guest's memory is in it.
    pub fn is_checkpoint(&self) -> bool {
        self.known.is_checkpoint
    }

    /// Takes its guest back to it.
    ///
    /// # Errors
    /// As [`Guest::revert`].
    pub fn revert(&self) -> Result<()> {
        self.guest.revert(self)
    }

    /// Removes it with what is only its own, and sees that it is gone.
    ///
    /// # Errors
    /// `NotFound` when it is gone already; `Refused` with the toolstack's words.
    pub fn destroy(&self) -> Result<()> {
        let hold = self.guest.hold()?;
        hold.told(self.guest.name(), &format!("remove the snapshot {}", self.name()), |action| {
            hold.remove(action, self.reference(), false)?;
            match self.guest.snapshots()?.iter().any(|other| other.reference() == self.reference()) {
                false => Ok(()),
                true => Err(Error::new(Kind::Refused, format!("the snapshot `{}` was removed, and is still there", self.name()))),
            }
        })
    }

    /// Makes a guest that begins as this one was then. It is down.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words.
    pub fn instantiate(&self, name: Option<&str>) -> Result<Guest> {
        let hold = self.guest.hold()?;
        let name = name.map_or_else(|| name::unlike_others(&format!("{}-instance", self.guest.name())), str::to_string);
        hold.told(self.guest.name(), &format!("make {name} of the snapshot {}", self.name()), |action| {
            let spec = GuestSpec { name: name.clone(), template: self.reference().clone(), sr: None, full_copy: false };
            let made = hold.make(action, &Spec::Guest(spec), Patience::STORAGE)?;
            let record = hold.ask(|toolstack, watch| toolstack.guest(&made, watch))?;
            action.says(record.uuid.clone());
            Ok(hold.estate.guest(&record, self.guest.context()))
        })
    }

    /// A field in the toolstack's own words, or one entry of it.
    ///
    /// # Errors
    /// `NotFound` for an entry that there is not.
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.guest.hold()?.get(self.reference(), field, key)
    }

    /// Changes a field, or one entry of it.
    ///
    /// # Errors
    /// `Refused` where it cannot be changed.
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.guest.hold()?.set(self.reference(), self.guest.name(), field, key, value)
    }
}

impl std::fmt::Display for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?})", if self.is_checkpoint() { "checkpoint" } else { "snapshot" }, self.name())
    }
}
