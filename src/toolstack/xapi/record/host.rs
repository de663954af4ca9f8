//! Records of pools and hosts.

use super::{Words, of};
use crate::toolstack::xapi::value::{Handle, handle, handles, size};
use crate::toolstack::{Class, Host, Pool, Ref};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct PoolRecord {
    uuid: String,
    name_label: String,
    #[serde(deserialize_with = "handle")]
    master: Handle,
    #[serde(rename = "default_SR", deserialize_with = "handle")]
    default_sr: Handle,
    #[serde(rename = "suspend_image_SR", deserialize_with = "handle")]
    suspend_sr: Handle,
    ha_enabled: bool,
}

impl PoolRecord {
    pub fn pool(self, reference: Ref) -> Pool {
        Pool {
            reference,
            uuid: self.uuid,
            name: self.name_label,
            master: Ref::new(Class::Host, self.master.unwrap_or_default()),
            default_sr: of(Class::Sr, self.default_sr),
            suspend_sr: of(Class::Sr, self.suspend_sr),
            is_ha_enabled: self.ha_enabled,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct HostRecord {
    uuid: String,
    name_label: String,
    pub address: String,
    hostname: String,
    enabled: bool,
    #[serde(deserialize_with = "handle")]
    pub metrics: Handle,
    cpu_info: Words,
    #[serde(deserialize_with = "handles")]
    #[serde(rename = "host_CPUs")]
    cpus: Vec<Arc<str>>,
    software_version: Words,
    #[serde(deserialize_with = "handle")]
    suspend_image_sr: Handle,
    other_config: Words,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct HostMetricsRecord {
    #[serde(deserialize_with = "size")]
    memory_total: u64,
    pub live: bool,
}

impl HostRecord {
    pub fn host(self, reference: Ref, metrics: &HostMetricsRecord, free_memory: u64) -> Host {
        let counted = self.cpu_info.get("cpu_count").and_then(|n| n.parse().ok());
        Host {
            reference,
            uuid: self.uuid,
            name: self.name_label,
            address: self.address,
            hostname: self.hostname,
            is_enabled: self.enabled,
            is_live: metrics.live,
            total_memory: metrics.memory_total,
            free_memory,
            cpus: counted.unwrap_or(u32::try_from(self.cpus.len()).unwrap_or(u32::MAX)),
            software: self.software_version,
            suspend_sr: of(Class::Sr, self.suspend_image_sr),
            other_config: self.other_config,
        }
    }
}
