//! Records of SRs and their plugs, of virtual disks, and of the disks and drives of guests.

use super::Words;
use crate::toolstack::xapi::value::{All, Handle, handle, size};
use crate::toolstack::{Class, Disk, Plug, Ref, Sr, Volume};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct SrRecord {
    uuid: String,
    name_label: String,
    #[serde(rename = "type")]
    kind: String,
    content_type: String,
    pub shared: bool,
    #[serde(deserialize_with = "size")]
    physical_size: u64,
    #[serde(deserialize_with = "size")]
    physical_utilisation: u64,
    #[serde(deserialize_with = "size")]
    virtual_allocation: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct PbdRecord {
    #[serde(rename = "SR", deserialize_with = "handle")]
    pub sr: Handle,
    #[serde(deserialize_with = "handle")]
    pub host: Handle,
    pub currently_attached: bool,
    device_config: Words,
}

impl SrRecord {
    pub fn sr(self, reference: Ref, plugs: &All<PbdRecord>) -> Sr {
        let plugs = plugs.iter().filter(|(_, plug)| plug.sr.as_ref() == Some(&reference.id)).map(|(id, plug)| Plug {
            reference: Ref::new(Class::Plug, id.clone()),
            host: Ref::new(Class::Host, plug.host.clone().unwrap_or_default()),
            is_attached: plug.currently_attached,
            device: plug.device_config.clone(),
        });
        Sr {
            plugs: plugs.collect(),
            reference,
            uuid: self.uuid,
            name: self.name_label,
            kind: self.kind,
            content: self.content_type,
            is_shared: self.shared,
            size: self.physical_size,
            used: self.physical_utilisation,
            allocated: self.virtual_allocation,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct VbdRecord {
    uuid: String,
    #[serde(rename = "VM", deserialize_with = "handle")]
    pub vm: Handle,
    #[serde(rename = "VDI", deserialize_with = "handle")]
    pub vdi: Handle,
    userdevice: String,
    device: String,
    #[serde(rename = "type")]
    pub kind: String,
    mode: String,
    pub empty: bool,
    currently_attached: bool,
    bootable: bool,
    pub other_config: Words,
}

impl VbdRecord {
    pub fn is_owned(&self) -> bool {
        self.other_config.contains_key("owner")
    }

    pub fn disk(self, reference: Ref, volume: Option<Volume>) -> Disk {
        Disk {
            is_owned: self.is_owned(),
            reference,
            uuid: self.uuid,
            position: self.userdevice,
            device: self.device,
            is_cd: self.kind == "CD",
            is_empty: self.empty,
            is_attached: self.currently_attached,
            is_bootable: self.bootable,
            is_read_only: self.mode == "RO",
            volume,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct VdiRecord {
    uuid: String,
    pub name_label: String,
    #[serde(rename = "SR", deserialize_with = "handle")]
    sr: Handle,
    #[serde(deserialize_with = "size")]
    virtual_size: u64,
    #[serde(deserialize_with = "size")]
    physical_utilisation: u64,
    is_a_snapshot: bool,
    read_only: bool,
    #[serde(rename = "type")]
    kind: String,
}

impl VdiRecord {
    pub fn volume(self, reference: Ref) -> Volume {
        Volume {
            reference,
            uuid: self.uuid,
            name: self.name_label,
            sr: Ref::new(Class::Sr, self.sr.unwrap_or_default()),
            size: self.virtual_size,
            used: self.physical_utilisation,
            is_snapshot: self.is_a_snapshot,
            is_read_only: self.read_only,
            kind: self.kind,
        }
    }
}
