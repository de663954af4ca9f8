//! What exists on a hypervisor, in plain values: sizes in bytes, times in seconds.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What a toolstack calls one of its objects. Opaque, and valid only with the toolstack that made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ref {
    pub class: Class,
    pub id: Arc<str>,
}

impl Ref {
    pub fn new(class: Class, id: impl Into<Arc<str>>) -> Ref {
        Ref { class, id: id.into() }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.class, self.id)
    }
}

/// The sort of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Pool,
    Host,
    /// A guest, a template or a snapshot.
    Guest,
    Sr,
    /// A virtual disk on an SR (VDI).
    Volume,
    /// A disk or CD drive of a guest (VBD).
    Disk,
    /// The plug of an SR into a host (PBD).
    Plug,
    Network,
    /// A network interface of a host (PIF).
    Nic,
    /// A network interface of a guest.
    Vif,
    Bond,
    Vlan,
}

/// What a guest does; the words are the harness's own, the user guide's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PowerState {
    Down,
    Up,
    Paused,
    Suspended,
}

impl PowerState {
    pub const ALL: [PowerState; 4] = [PowerState::Down, PowerState::Up, PowerState::Paused, PowerState::Suspended];

    pub fn word(self) -> &'static str {
        match self {
            PowerState::Down => "DOWN",
            PowerState::Up => "UP",
            PowerState::Paused => "PAUSED",
            PowerState::Suspended => "SUSPENDED",
        }
    }

    pub fn from_word(word: &str) -> Option<PowerState> {
        PowerState::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub reference: Ref,
    pub uuid: String,
    /// Often empty: a pool of one host has no name.
    pub name: String,
    pub master: Ref,
    pub default_sr: Option<Ref>,
    pub suspend_sr: Option<Ref>,
    pub is_ha_enabled: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    pub address: String,
    pub hostname: String,
    /// Whether it takes guests.
    pub is_enabled: bool,
    /// Whether the pool has heard of it lately.
    pub is_live: bool,
    pub total_memory: u64,
    pub free_memory: u64,
    pub cpus: u32,
    /// Product, version and build, in the product's words ("product_version" → "8.2.1").
    pub software: BTreeMap<String, String>,
    /// Where suspend images and crash dumps of its guests go.
    pub suspend_sr: Option<Ref>,
    /// What its operators keep with it.
    pub other_config: BTreeMap<String, String>,
}

/// A guest or a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    pub description: String,
    pub state: PowerState,
    /// Where it runs; nothing while it is down.
    pub host: Option<Ref>,
    /// The only host that it may start on.
    pub affinity: Option<Ref>,
    pub is_template: bool,
    /// Number of its domain while it runs.
    pub domid: Option<i64>,
    pub vcpus: u32,
    pub vcpus_max: u32,
    pub memory: MemoryLimits,
    /// What it has now, while it runs.
    pub memory_actual: Option<u64>,
    /// Whether it starts with firmware, as Windows does, and not with a kernel that the host hands it.
    pub is_hvm: bool,
    /// What the agent in it says; nothing while it does not run, or has no agent.
    pub inside: Option<Inside>,
    /// What the agent and its operators keep with it.
    pub other_config: BTreeMap<String, String>,
    pub tags: Vec<String>,
    /// What it may be asked now, in the toolstack's words ("clean_reboot").
    pub allowed: Vec<String>,
}

/// What the agent in a guest says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inside {
    /// By interface and number: "0/ip" → "10.0.0.5", "0/ipv6/0" → "fe80::1".
    pub networks: BTreeMap<String, String>,
    /// "name", "distro", "major", "minor", "uname", as far as the agent says it.
    pub os: BTreeMap<String, String>,
    /// Version of the agent's drivers, if it has said one.
    pub drivers: Option<String>,
    pub are_drivers_current: bool,
    pub is_live: bool,
}

/// In bytes. static min ≤ dynamic min ≤ dynamic max ≤ static max.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    pub static_min: u64,
    pub dynamic_min: u64,
    pub dynamic_max: u64,
    pub static_max: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sr {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    /// "nfs", "lvm", "iso", …
    pub kind: String,
    /// "user", "iso", …
    pub content: String,
    pub is_shared: bool,
    pub size: u64,
    pub used: u64,
    /// What its virtual disks may grow to together.
    pub allocated: u64,
    pub plugs: Vec<Plug>,
}

/// An SR on one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Plug {
    pub reference: Ref,
    pub host: Ref,
    pub is_attached: bool,
    pub device: BTreeMap<String, String>,
}

/// A virtual disk on an SR.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    pub sr: Ref,
    pub size: u64,
    /// What it takes on the SR.
    pub used: u64,
    pub is_snapshot: bool,
    pub is_read_only: bool,
    /// "user", "suspend", …
    pub kind: String,
}

/// A disk or CD drive of a guest.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    pub reference: Ref,
    pub uuid: String,
    /// Its place on the guest's bus: "0", "1", …
    pub position: String,
    /// What it is called in the guest ("xvdb"), once it is plugged.
    pub device: String,
    pub is_cd: bool,
    pub is_empty: bool,
    pub is_attached: bool,
    pub is_bootable: bool,
    pub is_read_only: bool,
    /// Whether it goes when its guest goes.
    pub is_owned: bool,
    pub volume: Option<Volume>,
}

/// A network interface of a guest.
#[derive(Clone, Debug, PartialEq)]
pub struct Vif {
    pub reference: Ref,
    pub uuid: String,
    pub device: String,
    pub mac: String,
    pub network: Ref,
    pub mtu: u32,
    pub is_attached: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    pub of: Ref,
    /// Seconds since 1970.
    pub taken: i64,
    /// Whether the guest's memory is in it.
    pub is_checkpoint: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub reference: Ref,
    pub uuid: String,
    pub name: String,
    pub bridge: String,
    pub mtu: u32,
    /// Interfaces of hosts on it; without one it is internal.
    pub nics: Vec<Ref>,
    pub vifs: Vec<Ref>,
    pub other_config: BTreeMap<String, String>,
}

/// A network interface of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    pub reference: Ref,
    pub uuid: String,
    pub host: Ref,
    pub network: Ref,
    pub device: String,
    pub mac: String,
    pub mtu: u32,
    pub is_physical: bool,
    pub is_management: bool,
    pub is_attached: bool,
    /// The tag, of a VLAN.
    pub vlan: Option<u16>,
    /// The bond that it is, with its members.
    pub bond: Option<Ref>,
    pub members: Vec<Ref>,
    /// The bond that it is a part of.
    pub part_of: Option<Ref>,
    pub ip: Option<IpAddr>,
    pub addressing: Addressing,
    pub has_carrier: bool,
}

/// How an interface comes to its address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    #[default]
    None,
    Dhcp,
    Static,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpConfig {
    pub mode: Addressing,
    pub ip: String,
    pub netmask: String,
    pub gateway: String,
    pub dns: String,
    /// Whether it becomes what the host is managed over.
    pub is_management: bool,
}
