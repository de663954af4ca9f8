//! A network in the hands of one testcase.

use super::hold::Hold;
use super::nic::Nic;
use super::wait::Patience;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::name::did_you_mean;
use crate::toolstack::{self, Ref, Verb};
use serde_json::Value;
use std::sync::Arc;

/// A network as one testcase holds it.
#[derive(Clone)]
pub struct Network {
    hold: Hold,
    known: Arc<toolstack::Network>,
}

impl Network {
    pub(super) fn all(hold: &Hold) -> Result<Vec<Network>> {
        let all = hold.ask(|toolstack, watch| toolstack.networks(watch))?;
        Ok(all.into_iter().map(|network| Network { hold: hold.clone(), known: Arc::new(network) }).collect())
    }

    /// By name, uuid or bridge.
    pub(super) fn find(hold: &Hold, name: &str) -> Result<Network> {
        let all = Network::all(hold)?;
        let found: Vec<&Network> =
            all.iter().filter(|n| [&n.known.name, &n.known.uuid, &n.known.bridge].iter().any(|t| *t == name)).collect();
        match found.as_slice() {
            [only] => Ok((*only).clone()),
            [] => {
                let names = || all.iter().map(|network| network.known.name.as_str());
                let near =
                    did_you_mean(name, names()).unwrap_or_else(|| format!("there is: {}", names().collect::<Vec<_>>().join(", ")));
                Err(Error::new(Kind::NotFound, format!("no network `{name}`")).help(near))
            }
            several => {
                let bridges: Vec<&str> = several.iter().map(|network| network.known.bridge.as_str()).collect();
                Err(Error::new(Kind::Malformed, format!("{} networks are called `{name}`", several.len()))
                    .help(format!("name one by its bridge: {}", bridges.join(", "))))
            }
        }
    }

    pub(super) fn by_reference(hold: &Hold, reference: &Ref) -> Result<Network> {
        let found = Network::all(hold)?.into_iter().find(|network| network.known.reference == *reference);
        found.ok_or_else(|| Error::new(Kind::NotFound, "the network is gone"))
    }

    /// What was known of it when the testcase asked for it.
    pub fn known(&self) -> &toolstack::Network {
        &self.known
    }

    pub fn name(&self) -> &str {
        &self.known.name
    }

    pub fn reference(&self) -> &Ref {
        &self.known.reference
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    /// The hosts' interfaces on it.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn nics(&self) -> Result<Vec<Nic>> {
        let all = Nic::all(&self.hold)?;
        Ok(all.into_iter().filter(|nic| nic.known().network == self.known.reference).collect())
    }

    /// The guests' interfaces on it, in the toolstack's own words.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn vifs(&self) -> Result<Vec<Value>> {
        let fields = [("network".to_string(), Value::from(self.known.reference.id.as_ref()))];
        self.hold.ask(|toolstack, watch| toolstack.find("VIF", &fields, watch))
    }

    /// # Errors
    /// `Refused` while a guest or a host uses it.
    pub fn destroy(&self) -> Result<()> {
        self.hold.act(self.name(), "destroy", &Verb::Destroy(self.known.reference.clone()), Patience::NETWORK)
    }

    /// A field in the toolstack's own words, or a part of it.
    ///
    /// # Errors
    /// As [`super::Host::get`].
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold.get(&self.known.reference, field, key)
    }

    /// # Errors
    /// As [`super::Host::set`].
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold.set(&self.known.reference, self.name(), field, key, value)
    }
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "network({:?})", self.name())
    }
}
