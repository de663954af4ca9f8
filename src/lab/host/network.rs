//! Networks that a host is given: internal ones, VLANs and bonds.

use super::Host;
use crate::error::{Error, Kind, Result};
use crate::lab::made::Made;
use crate::lab::network::Network;
use crate::lab::nic::Nic;
use crate::lab::option::{Text, texts};
use crate::lab::wait::Patience;
use crate::toolstack::{BondMode, NetworkSpec, Spec, Verb};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Key of a network's `other_config`: what it was made for, and goes with.
pub(in crate::lab) const MADE_FOR: &str = "xrt:made-for";

/// The usual size of a frame.
const USUAL_MTU: u32 = 1500;

/// What a network is to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkOptions {
    pub name: String,
    pub description: String,
    pub mtu: u32,
    #[serde(deserialize_with = "texts")]
    pub other_config: BTreeMap<String, String>,
}

impl Default for NetworkOptions {
    fn default() -> NetworkOptions {
        NetworkOptions { name: String::new(), description: String::new(), mtu: USUAL_MTU, other_config: BTreeMap::new() }
    }
}

/// What a VLAN is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VlanOptions {
    /// The NIC that carries it: its number, device or hardware address.
    pub nic: Text,
    pub tag: u16,
    /// The network that it is; made when there is none of that name. Without a name, one is made that goes with it.
    pub network: String,
}

/// What a bond is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BondOptions {
    /// Its members.
    pub nics: Vec<Text>,
    /// The network that it is; made when there is none of that name. Without a name, one is made that goes with it.
    pub network: String,
    pub mode: BondMode,
}

impl Host {
    /// Makes a network that no NIC is on yet.
    ///
    /// # Errors
    /// `Malformed` without a name; those of the toolstack.
    pub fn create_network(&self, options: &NetworkOptions) -> Result<Network> {
        if options.name.trim().is_empty() {
            return Err(Error::new(Kind::Malformed, "a network needs a `name`"));
        }
        let spec = Spec::Network(NetworkSpec {
            name: options.name.clone(),
            description: options.description.clone(),
            mtu: options.mtu,
            other_config: options.other_config.clone(),
        });
        let hold = self.hold();
        let made = hold.told(self.name(), &format!("make the network {}", options.name), |action| {
            hold.make(action, &spec, Patience::NETWORK)
        })?;
        Network::by_reference(&hold, &made)
    }

    /// Makes a VLAN on a NIC; returns the interface that it is.
    ///
    /// # Errors
    /// `Malformed` for a tag that cannot be; those of the toolstack.
    pub fn create_vlan(&self, options: &VlanOptions) -> Result<Nic> {
        if !(1..=4094).contains(&options.tag) {
            return Err(Error::new(Kind::Malformed, format!("a VLAN has a `tag` from 1 to 4094, not {}", options.tag)));
        }
        let nic = self.nic(&options.nic.0)?;
        let what = format!("make VLAN {} on {}", options.tag, nic.device());
        let name = format!("VLAN {} on {}", options.tag, nic.device());
        let (network, is_new) = self.network_or_new(&options.network, &name)?;
        let spec = Spec::Vlan { nic: nic.reference().clone(), tag: options.tag, network: network.reference().clone() };
        self.put_on(&network, is_new, &what, &spec)?;
        let is_it = |nic: &Nic| nic.known().vlan == Some(options.tag) && nic.known().network == *network.reference();
        self.interface(is_it, &what)
    }

    /// Joins NICs into one; returns the interface that they are together.
    ///
    /// # Errors
    /// `Malformed` for less than two; those of the toolstack.
    pub fn create_bond(&self, options: &BondOptions) -> Result<Nic> {
        if options.nics.len() < 2 {
            return Err(Error::new(Kind::Malformed, "a bond has two `nics` or more").help("`nics: [1, 2]`"));
        }
        let nics = options.nics.iter().map(|which| self.nic(&which.0)).collect::<Result<Vec<_>>>()?;
        let devices: Vec<&str> = nics.iter().map(Nic::device).collect();
        let devices = devices.join("+");
        let (network, is_new) = self.network_or_new(&options.network, &format!("Bond {devices}"))?;
        let members = nics.iter().map(|nic| nic.reference().clone()).collect();
        let spec = Spec::Bond { network: network.reference().clone(), nics: members, mode: options.mode };
        let what = format!("bond {devices}");
        self.put_on(&network, is_new, &what, &spec)?;
        let is_it = |nic: &Nic| nic.known().bond.is_some() && nic.known().network == *network.reference();
        self.interface(is_it, &what)
    }

    /// The network of this name, made when there is none, and whether it was. Without a name, it goes with what it is made for.
    fn network_or_new(&self, wanted: &str, otherwise: &str) -> Result<(Network, bool)> {
        let name = if wanted.is_empty() { otherwise } else { wanted };
        match self.network(name) {
            Err(error) if error.kind == Kind::NotFound => {
                // One that has a name of its author's is the author's.
                let mark = wanted.is_empty().then(|| (MADE_FOR.to_string(), otherwise.to_string()));
                let other_config = mark.into_iter().collect();
                let options = NetworkOptions { name: name.into(), other_config, ..NetworkOptions::default() };
                Ok((self.create_network(&options)?, true))
            }
            other => Ok((other?, false)),
        }
    }

    /// Makes a VLAN or a bond. A network that was made for it alone does not stay without it.
    fn put_on(&self, network: &Network, is_new: bool, what: &str, spec: &Spec) -> Result<()> {
        let hold = self.hold();
        hold.told(self.name(), what, |action| {
            hold.make(action, spec, Patience::NETWORK).map(drop).inspect_err(|error| {
                // Where it may have been made all the same, its network is told of at the end with it.
                if is_new && !Made::is_open(error) {
                    let _ = hold.order(action, &Verb::Destroy(network.reference().clone()), Patience::NETWORK);
                }
            })
        })
    }

    /// The interface that something made.
    fn interface(&self, is_it: impl Fn(&Nic) -> bool, what: &str) -> Result<Nic> {
        let found = self.nics()?.into_iter().find(is_it);
        found.ok_or_else(|| Error::new(Kind::Refused, format!("{what} was done, and {} has no such interface", self.name())))
    }
}
