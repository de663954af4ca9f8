//! What a machine is, as its hypervisor has it.

use crate::sim::inside::{self, MachineKind};
use std::net::Ipv4Addr;

/// A machine that is switched on.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its uuid: a machine that is made anew has another one, and another host key.
    pub id: String,
    /// Its host name.
    pub name: String,
    pub role: Role,
    /// Where its SSH server listens.
    pub address: Ipv4Addr,
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Short name of the system ("debian12", "rocky9", "xenserver8").
    pub distro: String,
    pub disks: Vec<Disk>,
    pub nics: Vec<Nic>,
    /// Number of its domain.
    pub domid: i64,
    /// Uuid of the host it runs on.
    pub host: String,
}

impl Spec {
    /// What the pool says of a machine.
    pub fn of(machine: &inside::Machine) -> Spec {
        let nics = machine.vifs.iter().enumerate().map(|(number, vif)| Nic {
            device: format!("eth{}", vif.device),
            mac: vif.mac.clone(),
            mtu: 1500,
            // A machine has one address, on its first interface.
            address: (number == 0).then(|| format!("{}/8", machine.address)),
            is_up: true,
        });
        let disks = machine.disks.iter().map(|disk| Disk {
            device: disk.device.clone(),
            vdi: disk.vdi.to_string(),
            size: disk.bytes,
            is_read_only: disk.is_read_only,
            is_cd: disk.is_cd,
        });
        Spec {
            id: machine.uuid.to_string(),
            name: machine.name.clone(),
            role: match machine.kind {
                MachineKind::Host => Role::Host,
                MachineKind::Guest => Role::Guest,
            },
            address: machine.address,
            cpus: u64::from(machine.vcpus.max(1)),
            memory: machine.memory,
            distro: machine.distro.clone(),
            disks: disks.collect(),
            nics: nics.collect(),
            domid: machine.domid,
            host: match machine.kind {
                MachineKind::Host => machine.uuid.to_string(),
                MachineKind::Guest => machine.host.to_string(),
            },
        }
    }

    /// A guest with nothing plugged.
    #[cfg(test)]
    pub fn new(id: &str, name: &str, address: Ipv4Addr) -> Spec {
        Spec {
            id: id.into(),
            name: name.into(),
            role: Role::Guest,
            address,
            cpus: 1,
            memory: 1 << 30,
            distro: "debian12".into(),
            disks: Vec::new(),
            nics: Vec::new(),
            domid: 1,
            host: String::new(),
        }
    }

    /// The disk that holds the system: the one that is called `…a`, or the first one.
    pub fn system_disk(&self) -> Option<&Disk> {
        let disks = || self.disks.iter().filter(|d| !d.is_cd);
        disks().find(|d| d.device.ends_with('a')).or_else(|| disks().next())
    }
}

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Guest,
    /// The control domain of a host.
    Host,
}

/// A disk or a CD drive that is plugged.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// Without `/dev/` ("xvda").
    pub device: String,
    /// What it holds; empty for an empty drive.
    pub vdi: String,
    /// Bytes.
    pub size: u64,
    pub is_read_only: bool,
    pub is_cd: bool,
}

/// A network interface that is plugged.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    /// "eth0".
    pub device: String,
    pub mac: String,
    pub mtu: u64,
    /// With the length of its prefix ("10.0.0.5/24"), if it has one.
    pub address: Option<String>,
    pub is_up: bool,
}
