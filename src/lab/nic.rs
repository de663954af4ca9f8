//! A network interface of a host: a physical one, a bond or a VLAN.

use super::hold::Hold;
use super::host::{Host, MADE_FOR};
use super::network::Network;
use super::wait::{Look, Patience};
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::toolstack::{self, Addressing, IpConfig, Ref, Verb};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// A host's network interface as one testcase holds it.
#[derive(Clone)]
pub struct Nic {
    hold: Hold,
    known: Arc<toolstack::Nic>,
}

/// How an interface comes to its address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpOptions {
    pub mode: Addressing,
    pub ip: String,
    pub netmask: String,
    pub gateway: String,
    pub dns: String,
    /// Whether the host is managed over it from now on.
    pub management: bool,
}

impl Nic {
    pub(super) fn all(hold: &Hold) -> Result<Vec<Nic>> {
        let all = hold.ask(|toolstack, watch| toolstack.nics(None, watch))?;
        Ok(all.into_iter().map(|nic| Nic { hold: hold.clone(), known: Arc::new(nic) }).collect())
    }

    /// Physical ones by device, then bonds, then VLANs.
    pub(super) fn of_host(hold: &Hold, host: &Host) -> Result<Vec<Nic>> {
        let reference = host.reference();
        let mut all = hold.ask(|toolstack, watch| toolstack.nics(Some(&reference), watch))?;
        all.sort_by_key(|nic| (nic.vlan, nic.bond.is_some(), number(&nic.device), nic.device.clone()));
        Ok(all.into_iter().map(|nic| Nic { hold: hold.clone(), known: Arc::new(nic) }).collect())
    }

    /// What was known of it when the testcase asked for it.
    pub fn known(&self) -> &toolstack::Nic {
        &self.known
    }

    pub fn device(&self) -> &str {
        &self.known.device
    }

    pub fn reference(&self) -> &Ref {
        &self.known.reference
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn record(&self) -> Result<toolstack::Nic> {
        let all = self.hold.ask(|toolstack, watch| toolstack.nics(Some(&self.known.host), watch))?;
        let found = all.into_iter().find(|nic| nic.reference == self.known.reference);
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("the NIC {} is gone", self.device())))
    }

    /// The network that it is on.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn network(&self) -> Result<Network> {
        Network::by_reference(&self.hold, &self.known.network)
    }

    /// Gives it an address (or takes it away), and waits until it has it.
    ///
    /// # Errors
    /// `Malformed` for an address that is not whole; `Timeout` when it got none.
    pub fn set_ip(&self, options: &IpOptions) -> Result<()> {
        if options.mode == Addressing::Static && (options.ip.is_empty() || options.netmask.is_empty()) {
            return Err(Error::new(Kind::Malformed, "a static address needs `ip` and `netmask`"));
        }
        if options.mode != Addressing::Static && !options.ip.is_empty() {
            return Err(Error::new(Kind::Malformed, "an `ip` goes with `mode: \"static\"`"));
        }
        let config = IpConfig {
            mode: options.mode,
            ip: options.ip.clone(),
            netmask: options.netmask.clone(),
            gateway: options.gateway.clone(),
            dns: options.dns.clone(),
            is_management: options.management,
        };
        let reference = self.reference();
        self.hold.told(self.device(), "set the address", |action| {
            let patience = self.hold.estate.patience(Patience::NETWORK);
            self.hold
                .estate
                .order(&self.hold.context, action, patience, |toolstack, watch| toolstack.set_ip(reference, &config, watch))?;
            let what = format!("{} to have its address", self.device());
            let ip = self.hold.until(action, &what, Patience::NETWORK, |toolstack, watch| {
                let all = toolstack.nics(Some(&self.known.host), watch)?;
                let now = all.into_iter().find(|nic| nic.reference == *reference);
                Ok(match (now.and_then(|nic| nic.ip), options.mode) {
                    (ip, Addressing::None) => Look::Done(ip),
                    (Some(ip), Addressing::Static) if ip.to_string() != options.ip => Look::NotYet(format!("it has {ip}")),
                    (Some(ip), _) => Look::Done(Some(ip)),
                    (None, _) => Look::NotYet("it has none".into()),
                })
            })?;
            action.says(ip.map(|ip| ip.to_string()).unwrap_or_default());
            Ok(())
        })
    }

    /// Removes it, if it is a bond or a VLAN, and its network, if that was made for it.
    ///
    /// # Errors
    /// `Unsupported` for a physical one; `Refused` while it is used.
    pub fn destroy(&self) -> Result<()> {
        if self.known.is_physical {
            let what = format!("{} is a physical NIC: only bonds and VLANs are made and removed", self.device());
            return Err(Error::new(Kind::Unsupported, what));
        }
        let what = self.known.bond.as_ref().unwrap_or(&self.known.reference).clone();
        self.hold.told(self.device(), "destroy", |action| {
            let network = self.network()?;
            self.hold.order(action, &Verb::Destroy(what), Patience::NETWORK)?;
            if !network.known().other_config.contains_key(MADE_FOR) {
                return Ok(());
            }
            action.progress("removing its network", None);
            self.hold.order(action, &Verb::Destroy(network.reference().clone()), Patience::NETWORK)
        })
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
        self.hold.set(self.reference(), self.device(), field, key, value)
    }
}

/// The number in a device's name: "eth10" comes after "eth2".
fn number(device: &str) -> u32 {
    let digits = device.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|d| d.parse().ok()).unwrap_or(u32::MAX)
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Nic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known.vlan {
            Some(tag) => write!(f, "nic(\"{}.{tag}\")", self.device()),
            None => write!(f, "nic({:?})", self.device()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn devices_are_ordered_by_their_numbers() {
        let mut devices = ["eth10", "eth2", "bond0", "eth0", "xapi"];
        devices.sort_by_key(|d| super::number(d));
        assert_eq!(devices, ["bond0", "eth0", "eth2", "eth10", "xapi"]);
    }
}
