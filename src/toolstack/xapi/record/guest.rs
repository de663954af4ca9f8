//! Records of guests, templates and snapshots, and of what is measured of guests.

use super::{Words, of};
use crate::toolstack::xapi::value::{Handle, date, handle, handles, int, size};
use crate::toolstack::{Class, Guest, Inside, MemoryLimits, PowerState, Ref, Snapshot};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct VmRecord {
    uuid: String,
    name_label: String,
    name_description: String,
    power_state: String,
    #[serde(deserialize_with = "handle")]
    resident_on: Handle,
    #[serde(deserialize_with = "handle")]
    affinity: Handle,
    pub is_a_template: bool,
    pub is_a_snapshot: bool,
    pub is_control_domain: bool,
    #[serde(deserialize_with = "int")]
    domid: i64,
    #[serde(rename = "VCPUs_at_startup", deserialize_with = "size")]
    vcpus_at_startup: u64,
    #[serde(rename = "VCPUs_max", deserialize_with = "size")]
    vcpus_max: u64,
    #[serde(deserialize_with = "size")]
    memory_static_min: u64,
    #[serde(deserialize_with = "size")]
    memory_dynamic_min: u64,
    #[serde(deserialize_with = "size")]
    memory_dynamic_max: u64,
    #[serde(deserialize_with = "size")]
    memory_static_max: u64,
    domain_type: String,
    #[serde(rename = "HVM_boot_policy")]
    hvm_boot_policy: String,
    #[serde(deserialize_with = "handle")]
    pub metrics: Handle,
    #[serde(deserialize_with = "handle")]
    pub guest_metrics: Handle,
    pub other_config: Words,
    pub platform: Words,
    tags: Vec<String>,
    allowed_operations: Vec<String>,
    #[serde(deserialize_with = "handles")]
    pub snapshots: Vec<Arc<str>>,
    #[serde(deserialize_with = "handle")]
    pub snapshot_of: Handle,
    #[serde(deserialize_with = "date")]
    snapshot_time: i64,
    #[serde(rename = "suspend_VDI", deserialize_with = "handle")]
    pub suspend_vdi: Handle,
    #[serde(deserialize_with = "handles")]
    pub consoles: Vec<Arc<str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct VmMetricsRecord {
    #[serde(deserialize_with = "size")]
    memory_actual: u64,
    #[serde(rename = "VCPUs_number", deserialize_with = "size")]
    vcpus: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::toolstack::xapi) struct GuestMetricsRecord {
    os_version: Words,
    #[serde(rename = "PV_drivers_version")]
    drivers: Words,
    #[serde(rename = "PV_drivers_up_to_date")]
    are_drivers_current: bool,
    networks: Words,
    live: bool,
}

impl VmRecord {
    pub fn state(&self) -> PowerState {
        match self.power_state.as_str() {
            "Running" => PowerState::Up,
            "Paused" => PowerState::Paused,
            "Suspended" => PowerState::Suspended,
            _ => PowerState::Down,
        }
    }

    /// Whether it has a domain, and with it metrics that mean something.
    pub fn is_alive(&self) -> bool {
        matches!(self.state(), PowerState::Up | PowerState::Paused)
    }

    pub fn is_guest(&self) -> bool {
        !self.is_a_template && !self.is_a_snapshot && !self.is_control_domain
    }

    pub fn guest(self, reference: Ref, metrics: Option<&VmMetricsRecord>, inside: Option<GuestMetricsRecord>) -> Guest {
        let state = self.state();
        let is_alive = self.is_alive();
        let metrics = metrics.filter(|_| is_alive);
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let vcpus = metrics.map(|m| m.vcpus).filter(|n| *n > 0).unwrap_or(self.vcpus_at_startup);
        let is_hvm = match self.domain_type.as_str() {
            "" | "unspecified" => !self.hvm_boot_policy.is_empty(),
            kind => kind == "hvm",
        };
        Guest {
            reference,
            uuid: self.uuid,
            name: self.name_label,
            description: self.name_description,
            state,
            host: of(Class::Host, self.resident_on.filter(|_| is_alive)),
            affinity: of(Class::Host, self.affinity),
            is_template: self.is_a_template,
            domid: Some(self.domid).filter(|id| is_alive && *id >= 0),
            vcpus: count(vcpus),
            vcpus_max: count(self.vcpus_max),
            memory: MemoryLimits {
                static_min: self.memory_static_min,
                dynamic_min: self.memory_dynamic_min,
                dynamic_max: self.memory_dynamic_max,
                static_max: self.memory_static_max,
            },
            memory_actual: metrics.map(|m| m.memory_actual),
            is_hvm,
            inside: inside.filter(|_| is_alive).map(GuestMetricsRecord::inside),
            other_config: self.other_config,
            tags: self.tags,
            allowed: self.allowed_operations,
        }
    }

    pub fn snapshot(self, reference: Ref) -> Snapshot {
        Snapshot {
            reference,
            uuid: self.uuid.clone(),
            // The memory that was kept lies in a suspend image.
            is_checkpoint: self.state() == PowerState::Suspended,
            name: self.name_label,
            of: Ref::new(Class::Guest, self.snapshot_of.unwrap_or_default()),
            taken: self.snapshot_time,
        }
    }
}

impl GuestMetricsRecord {
    fn inside(self) -> Inside {
        let version = |part: &str| self.drivers.get(part).map(String::as_str);
        let parts: Vec<&str> = ["major", "minor", "micro", "build"].into_iter().filter_map(version).collect();
        Inside {
            drivers: (!parts.is_empty()).then(|| parts.join(".")),
            networks: self.networks,
            os: self.os_version,
            are_drivers_current: self.are_drivers_current,
            is_live: self.live,
        }
    }
}
