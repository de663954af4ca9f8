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

/// What is asked of one object, and needs no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Of a guest: on this host, or where the pool finds room.
    Start {
        guest: Ref,
        on: Option<Ref>,
        paused: bool,
    },
    CleanShutdown(Ref),
    HardShutdown(Ref),
    CleanReboot(Ref),
    HardReboot(Ref),
    Suspend(Ref),
    Resume {
        guest: Ref,
        on: Option<Ref>,
    },
    Pause(Ref),
    Unpause(Ref),
    /// Makes a guest a template, or a template a guest.
    SetTemplate(Ref, bool),
    /// Takes a guest back to a snapshot of it.
    Revert(Ref),
    /// Removes a snapshot, a volume, a disk, a VIF, a network, a VLAN, a bond or an SR; an SR with everything on it.
    Destroy(Ref),
    /// Forgets an SR, and leaves what is on it.
    Forget(Ref),
    /// Attaches a disk or a VIF to the running guest, or a plug of an SR.
    Plug(Ref),
    Unplug(Ref),
    /// Looks for what is on an SR.
    Scan(Ref),
    Resize {
        volume: Ref,
        size: u64,
    },
    MoveVif {
        vif: Ref,
        network: Ref,
    },
    MoveVolume {
        volume: Ref,
        sr: Ref,
    },
    Enable(Ref),
    Disable(Ref),
    Evacuate(Ref),
    /// Of a host that is disabled.
    RebootHost(Ref),
    ShutdownHost(Ref),
    PowerOn(Ref),
    /// Starts the toolstack of a host anew.
    RestartToolstack(Ref),
    /// Brings this pool of one host into the pool of that master.
    Join {
        master: String,
        user: String,
        password: crate::secret::Secret,
        force: bool,
    },
    Eject(Ref),
    SetMaster(Ref),
    SetDefaultSr(Ref),
    SetSuspendSr(Ref),
    SyncDatabase,
    /// Turns high availability of the pool on, with heartbeats on these SRs.
    EnableHa {
        srs: Vec<Ref>,
        settings: BTreeMap<String, String>,
    },
    DisableHa,
}

/// What is to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    Guest(GuestSpec),
    Volume(VolumeSpec),
    Disk(DiskSpec),
    Vif(VifSpec),
    /// A volume that keeps what another holds now.
    VolumeSnapshot(Ref),
    /// A volume that begins as another is now.
    VolumeClone(Ref),
    Sr(SrSpec),
    /// An SR that was forgotten, by its uuid; it has no plugs yet.
    KnownSr {
        uuid: String,
        sr: SrSpec,
    },
    /// The plug of an SR into a host; it is not attached yet.
    Plug {
        sr: Ref,
        host: Ref,
        device: BTreeMap<String, String>,
    },
    Network(NetworkSpec),
    Vlan {
        nic: Ref,
        tag: u16,
        network: Ref,
    },
    Bond {
        network: Ref,
        nics: Vec<Ref>,
        mode: BondMode,
    },
}

/// A guest from a template.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestSpec {
    pub name: String,
    pub template: Ref,
    /// Where its disks go; nothing for the pool's default.
    pub sr: Option<Ref>,
    /// Copies the template's disks in full, even where they could be shared.
    pub full_copy: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VolumeSpec {
    pub name: String,
    pub sr: Ref,
    pub size: u64,
}

/// A disk for a guest: of an existing volume, or an empty CD drive.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSpec {
    pub guest: Ref,
    pub volume: Option<Ref>,
    /// Nothing for the first that is free.
    pub position: Option<String>,
    pub is_cd: bool,
    pub is_bootable: bool,
    pub is_read_only: bool,
    /// Whether the volume goes when the guest goes.
    pub is_owned: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VifSpec {
    pub guest: Ref,
    pub network: Ref,
    /// Nothing for the first that is free.
    pub device: Option<String>,
    /// Empty for one that the hypervisor makes.
    pub mac: String,
    pub mtu: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SrSpec {
    pub name: String,
    pub host: Ref,
    pub kind: String,
    pub content: String,
    pub is_shared: bool,
    pub device: BTreeMap<String, String>,
    pub sm: BTreeMap<String, String>,
    /// Keys of `device` that no log may show.
    pub secrets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NetworkSpec {
    pub name: String,
    pub description: String,
    pub mtu: u32,
    pub other_config: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    #[default]
    BalanceSlb,
    ActiveBackup,
    Lacp,
}

/// What changes of a guest; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestChange {
    pub name: Option<String>,
    pub description: Option<String>,
    /// Of a halted guest its number at the start and its maximum; of a running one what it has now.
    pub vcpus: Option<u32>,
    pub vcpus_max: Option<u32>,
    /// Only of a halted guest.
    pub memory: Option<MemoryLimits>,
    /// What a running guest is to shrink or grow to.
    pub memory_target: Option<u64>,
    pub affinity: Option<Ref>,
    /// Arguments of the kernel.
    pub boot_params: Option<String>,
    pub platform: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
    /// Its order among those that are restarted, whether that is promised, by the pool's high availability.
    pub ha: Option<Ha>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ha {
    /// "restart", "best-effort" or empty.
    pub priority: String,
    pub order: i64,
    pub start_delay: i64,
}

/// How a guest is doubled.
#[derive(Clone, Debug, PartialEq)]
pub enum Duplicate {
    /// Shares what it can with the original.
    Clone,
    /// In full, on this SR.
    Copy {
        sr: Option<Ref>,
    },
    Snapshot,
    /// With its memory.
    Checkpoint,
}

/// Where a guest goes, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Migration {
    pub host: Ref,
    /// While it runs.
    pub is_live: bool,
    /// Its disks too, to this SR.
    pub sr: Option<Ref>,
}
