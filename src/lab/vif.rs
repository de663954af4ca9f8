//! A network interface of a guest, in the hands of one testcase.

use super::guest::Guest;
use super::hold::Hold;
use super::network::Network;
use super::option::NewVifOptions;
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Error, Kind, Result};
use crate::name;
use crate::toolstack::{self, PowerState, Ref, Spec, Verb, VifSpec};
use serde_json::Value;
use std::sync::Arc;

/// A network interface of a guest.
#[derive(Clone)]
pub struct Vif {
    guest: Guest,
    known: Arc<toolstack::Vif>,
}

impl Guest {
    /// Its network interfaces, by number.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn vifs(&self) -> Result<Vec<Vif>> {
        let hold = self.hold()?;
        let all = hold.ask(|toolstack, watch| toolstack.vifs(&self.vm()?.reference, watch))?;
        Ok(all.into_iter().map(|known| Vif { guest: self.clone(), known: Arc::new(known) }).collect())
    }

    /// The MAC address of its first interface.
    ///
    /// # Errors
    /// `NotFound` when it has none.
    pub fn mac(&self) -> Result<String> {
        let first = self.vifs()?.into_iter().next();
        first
            .map(|vif| vif.known.mac.clone())
            .ok_or_else(|| Error::new(Kind::NotFound, format!("`{}` has no interface", self.name())))
    }

    /// Makes a network interface for it. A running guest gets it at once.
    ///
    /// # Errors
    /// `NotFound` for the network; `Refused` with the toolstack's words.
    pub fn create_vif(&self, options: &NewVifOptions) -> Result<Vif> {
        let hold = self.hold()?;
        self.told(&format!("make an interface on {}", options.network.as_deref().unwrap_or("its network")), |action| {
            let network = match &options.network {
                Some(name) => Network::find(&hold, name)?,
                None => match self.vifs()?.first() {
                    Some(first) => Network::by_reference(&hold, &first.known.network)?,
                    None => {
                        let what = format!("`{}` has no interface yet: say which network", self.name());
                        return Err(Error::new(Kind::Malformed, what).help("`#{ network: \"…\" }`"));
                    }
                },
            };
            let spec = VifSpec {
                guest: self.vm()?.reference.clone(),
                network: network.reference().clone(),
                device: options.device.clone(),
                // Its own, so that it is found again should the answer be lost.
                mac: if options.mac.is_empty() { name::random_mac() } else { options.mac.clone() },
                mtu: options.mtu.unwrap_or(network.known().mtu),
            };
            let made = hold.make(action, &Spec::Vif(spec), Patience::DEVICE)?;
            let vif = Vif::by_reference(self, &made)?;
            if options.plug && self.record()?.state == PowerState::Up && !vif.known.is_attached {
                vif.attach(&hold, action)?;
            }
            let vif = Vif::by_reference(self, &made)?;
            action.says(format!("interface {}, {}", vif.known.device, vif.known.mac));
            Ok(vif)
        })
    }
}

impl Vif {
    fn by_reference(guest: &Guest, reference: &Ref) -> Result<Vif> {
        let found = guest.vifs()?.into_iter().find(|vif| vif.known.reference == *reference);
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("the interface of `{}` is gone", guest.name())))
    }

    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// What it was when the testcase asked for it.
    pub fn known(&self) -> &toolstack::Vif {
        &self.known
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn record(&self) -> Result<Arc<toolstack::Vif>> {
        Ok(Vif::by_reference(&self.guest, &self.known.reference)?.known)
    }

    /// The network that it is on.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn network(&self) -> Result<Network> {
        Network::by_reference(&self.guest.hold()?, &self.record()?.network)
    }

    /// The address that the guest's agent tells of it; nothing when it tells none.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn ip(&self) -> Result<Option<String>> {
        let record = self.guest.record()?;
        let Some(inside) = record.inside else { return Ok(None) };
        let keys =
            [format!("{}/ip", self.known.device), format!("{}/ipv4/0", self.known.device), format!("{}/ipv6/0", self.known.device)];
        Ok(keys.iter().find_map(|key| inside.networks.get(key)).cloned())
    }

    fn told<T>(&self, what: &str, work: impl FnOnce(&Hold, &Action<'_>) -> Result<T>) -> Result<T> {
        let hold = self.guest.hold()?;
        hold.told(self.guest.name(), &format!("{what} interface {}", self.known.device), |action| work(&hold, action))
    }

    /// Attaches it to its running guest.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words.
    pub fn plug(&self) -> Result<()> {
        self.told("plug", |hold, action| self.attach(hold, action))
    }

    fn attach(&self, hold: &Hold, action: &Action<'_>) -> Result<()> {
        hold.order(action, &Verb::Plug(self.known.reference.clone()), Patience::DEVICE)?;
        self.wait_attached(action, true)
    }

    /// Takes it from its running guest.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words.
    pub fn unplug(&self) -> Result<()> {
        self.told("unplug", |hold, action| self.detach(hold, action))
    }

    fn detach(&self, hold: &Hold, action: &Action<'_>) -> Result<()> {
        hold.order(action, &Verb::Unplug(self.known.reference.clone()), Patience::DEVICE)?;
        self.wait_attached(action, false)
    }

    fn wait_attached(&self, action: &Action<'_>, wanted: bool) -> Result<()> {
        self.guest.wait_attached(action, self, wanted, || Ok(self.record()?.is_attached))
    }

    /// Puts it on another network: a name, a uuid or a bridge.
    ///
    /// # Errors
    /// `NotFound` for the network; `Refused` with the toolstack's words, or when it is elsewhere afterwards.
    pub fn move_to(&self, network: &str) -> Result<()> {
        self.told("move", |hold, action| {
            let network = Network::find(hold, network)?;
            let verb = Verb::MoveVif { vif: self.known.reference.clone(), network: network.reference().clone() };
            hold.order(action, &verb, Patience::DEVICE)?;
            // The guest has another address there, if it has any.
            self.guest.place().transport().hang_up();
            match self.record()?.network == *network.reference() {
                true => Ok(()),
                false => Err(Error::new(Kind::Refused, format!("{self} was moved, and is not on `{}`", network.name()))),
            }
        })
    }

    /// Removes it, taking it from a running guest first.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words, or when it is still there afterwards.
    pub fn destroy(&self) -> Result<()> {
        self.told("remove", |hold, action| {
            if self.record()?.is_attached && self.guest.record()?.state == PowerState::Up {
                self.detach(hold, action)?;
            }
            hold.order(action, &Verb::Destroy(self.known.reference.clone()), Patience::DEVICE)?;
            match self.guest.vifs()?.iter().any(|other| other.known.reference == self.known.reference) {
                false => Ok(()),
                true => Err(Error::new(Kind::Refused, format!("{self} was removed, and is still there"))),
            }
        })
    }

    /// A field in the toolstack's own words, or one entry of it.
    ///
    /// # Errors
    /// `NotFound` for an entry that there is not.
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.guest.hold()?.get(&self.known.reference, field, key)
    }

    /// Changes a field, or one entry of it.
    ///
    /// # Errors
    /// `Refused` where it cannot be changed.
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.guest.hold()?.set(&self.known.reference, self.guest.name(), field, key, value)
    }
}

impl std::fmt::Display for Vif {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vif({:?} of {:?})", self.known.device, self.guest.name())
    }
}
