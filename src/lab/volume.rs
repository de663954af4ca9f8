//! A virtual disk on an SR, whether a guest uses it or not.

use super::hold::Hold;
use super::made::Made;
use super::wait::Patience;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::toolstack::{self, Ref, Spec, Verb};
use crate::unit::show_size;
use serde_json::Value;
use std::sync::Arc;

/// A virtual disk as one testcase holds it.
#[derive(Clone)]
pub struct Volume {
    hold: Hold,
    known: Arc<toolstack::Volume>,
}

impl Volume {
    pub(super) fn new(hold: Hold, known: toolstack::Volume) -> Volume {
        Volume { hold, known: Arc::new(known) }
    }

    /// What was known of it when the testcase asked for it.
    pub fn known(&self) -> &toolstack::Volume {
        &self.known
    }

    pub fn name(&self) -> &str {
        if self.known.name.is_empty() { &self.known.uuid } else { &self.known.name }
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    pub fn reference(&self) -> &Ref {
        &self.known.reference
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn record(&self) -> Result<toolstack::Volume> {
        let (sr, reference) = (self.known.sr.clone(), self.reference().clone());
        let all = self.hold.ask(|toolstack, watch| toolstack.volumes(&sr, watch))?;
        let found = all.into_iter().find(|volume| volume.reference == reference);
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("the volume `{}` is gone", self.name())))
    }

    /// Makes it larger.
    ///
    /// # Errors
    /// `Refused` when it is used, or would shrink, or its SR is full.
    pub fn resize(&self, size: u64) -> Result<()> {
        let verb = Verb::Resize { volume: self.reference().clone(), size };
        self.hold.act(self.name(), &format!("resize to {}", show_size(size)), &verb, Patience::STORAGE)?;
        let now = self.record()?.size;
        if now < size {
            let what = format!("the volume `{}` has {} after it was resized to {}", self.name(), show_size(now), show_size(size));
            return Err(Error::new(Kind::Refused, what));
        }
        Ok(())
    }

    /// A volume that keeps what this one holds now.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn snapshot(&self) -> Result<Volume> {
        let made = Made::snapshot_of(self.name(), &self.known.sr);
        self.double("snapshot", &Spec::VolumeSnapshot(self.reference().clone()), Some(made))
    }

    /// A volume that begins as this one is now.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn duplicate(&self) -> Result<Volume> {
        let spec = Spec::VolumeClone(self.reference().clone());
        self.double("clone", &spec, Made::of(&spec))
    }

    fn double(&self, what: &str, spec: &Spec, wanted: Option<Made>) -> Result<Volume> {
        let patience = self.hold.estate.patience(Patience::STORAGE);
        let made = self.hold.told(self.name(), what, |action| self.hold.make_within(action, spec, patience, wanted))?;
        Volume::by_reference(&self.hold, &self.known.sr, &made)
    }

    pub(super) fn by_reference(hold: &Hold, sr: &Ref, reference: &Ref) -> Result<Volume> {
        let all = hold.ask(|toolstack, watch| toolstack.volumes(sr, watch))?;
        let found = all.into_iter().find(|volume| volume.reference == *reference);
        let missing = || Error::new(Kind::Refused, "a volume was made, and is not on its SR");
        Ok(Volume::new(hold.clone(), found.ok_or_else(missing)?))
    }

    /// Removes it with what is on it.
    ///
    /// # Errors
    /// `Refused` while a guest uses it.
    pub fn destroy(&self) -> Result<()> {
        self.hold.act(self.name(), "destroy", &Verb::Destroy(self.reference().clone()), Patience::STORAGE)
    }

    /// A field in the toolstack's own words, or a part of it.
    ///
    /// # Errors
    /// As [`super::Host::get`].
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold.get(self.reference(), field, key)
    }

    /// # Errors
    /// As [`super::Host::set`].
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold.set(self.reference(), self.name(), field, key, value)
    }
}

impl std::fmt::Display for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vdi({:?})", self.name())
    }
}
