//! Records of networks, and of the interfaces of hosts and guests.

use super::{Words, all_of, of};
use crate::toolstack::xapi::value::{All, Handle, handle, handles, int, size};
use crate::toolstack::{Addressing, Class, Network, Nic, Ref, Vif};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct NetworkRecord {
    uuid: String,
    name_label: String,
    bridge: String,
    #[serde(rename = "MTU", deserialize_with = "size")]
    mtu: u64,
    #[serde(rename = "PIFs", deserialize_with = "handles")]
    pifs: Vec<Arc<str>>,
    #[serde(rename = "VIFs", deserialize_with = "handles")]
    vifs: Vec<Arc<str>>,
    other_config: Words,
}

impl NetworkRecord {
    pub fn network(self, reference: Ref) -> Network {
        Network {
            reference,
            uuid: self.uuid,
            name: self.name_label,
            bridge: self.bridge,
            mtu: u32::try_from(self.mtu).unwrap_or_default(),
            nics: all_of(Class::Nic, self.pifs),
            vifs: all_of(Class::Vif, self.vifs),
            other_config: self.other_config,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct PifRecord {
    uuid: String,
    #[serde(deserialize_with = "handle")]
    pub host: Handle,
    #[serde(deserialize_with = "handle")]
    network: Handle,
    device: String,
    #[serde(rename = "MAC")]
    mac: String,
    #[serde(rename = "MTU", deserialize_with = "size")]
    mtu: u64,
    #[serde(rename = "VLAN", deserialize_with = "int")]
    vlan: i64,
    #[serde(deserialize_with = "handle")]
    pub metrics: Handle,
    physical: bool,
    management: bool,
    currently_attached: bool,
    ip_configuration_mode: String,
    #[serde(rename = "IP")]
    ip: String,
    #[serde(deserialize_with = "handle")]
    bond_slave_of: Handle,
    #[serde(deserialize_with = "handles")]
    pub bond_master_of: Vec<Arc<str>>,
    #[serde(rename = "VLAN_master_of", deserialize_with = "handle")]
    pub vlan_master_of: Handle,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct PifMetricsRecord {
    carrier: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct BondRecord {
    #[serde(deserialize_with = "handles")]
    slaves: Vec<Arc<str>>,
}

impl PifRecord {
    pub fn nic(self, reference: Ref, metrics: Option<&PifMetricsRecord>, bonds: &All<BondRecord>) -> Nic {
        let bond = self.bond_master_of.into_iter().next();
        let members = bond.as_ref().and_then(|bond| bonds.get(bond)).map(|bond| bond.slaves.clone()).unwrap_or_default();
        Nic {
            reference,
            uuid: self.uuid,
            host: Ref::new(Class::Host, self.host.unwrap_or_default()),
            network: Ref::new(Class::Network, self.network.unwrap_or_default()),
            device: self.device,
            mac: self.mac,
            mtu: u32::try_from(self.mtu).unwrap_or_default(),
            is_physical: self.physical,
            is_management: self.management,
            is_attached: self.currently_attached,
            vlan: u16::try_from(self.vlan).ok(),
            bond: of(Class::Bond, bond),
            members: all_of(Class::Nic, members),
            part_of: of(Class::Bond, self.bond_slave_of),
            ip: self.ip.parse().ok(),
            addressing: match self.ip_configuration_mode.as_str() {
                "DHCP" => Addressing::Dhcp,
                "Static" => Addressing::Static,
                _ => Addressing::None,
            },
            has_carrier: metrics.is_some_and(|m| m.carrier),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct VifRecord {
    uuid: String,
    #[serde(rename = "VM", deserialize_with = "handle")]
    pub vm: Handle,
    device: String,
    #[serde(rename = "MAC")]
    mac: String,
    #[serde(deserialize_with = "handle")]
    network: Handle,
    #[serde(rename = "MTU", deserialize_with = "size")]
    mtu: u64,
    currently_attached: bool,
}

impl VifRecord {
    pub fn vif(self, reference: Ref) -> Vif {
        Vif {
            reference,
            uuid: self.uuid,
            device: self.device,
            mac: self.mac,
            network: Ref::new(Class::Network, self.network.unwrap_or_default()),
            mtu: u32::try_from(self.mtu).unwrap_or_default(),
            is_attached: self.currently_attached,
        }
    }
}
