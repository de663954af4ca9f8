//! What a hypervisor is asked for: verbs, what is to be made, what changes of a guest.

use super::types::{MemoryLimits, Ref};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// What a pool tells to who may send it a guest: the way there, and as whom. Parts of it are secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation(pub BTreeMap<String, String>);

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Invitation")
    }
}

/// How a guest goes to a host that has invited it: of another pool, or to other SRs of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    pub to: Invitation,
    /// While it runs.
    pub is_live: bool,
    /// An SR there for each of its disks.
    pub disks: Vec<(Ref, Ref)>,
    /// A network there for each of its interfaces; none within its pool.
    pub vifs: Vec<(Ref, Ref)>,
}

/// Where a guest goes within its pool, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Migration {
    pub host: Ref,
    /// While it runs.
    pub is_live: bool,
}
