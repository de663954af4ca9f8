//! What a machine is, as its hypervisor has it.

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
}

impl Spec {
    /// A guest with nothing plugged.
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
        }
    }

    /// The disk that holds the system: the one that is called `…a`, or the first one.
    pub fn system_disk(&self) -> Option<&Disk> {
        let disks = || self.disks.iter().filter(|d| !d.is_cd);
        disks().find(|d| d.device.ends_with('a')).or_else(|| disks().next())
    }
}

/// What a machine does.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    Guest,
    /// The control domain of a host.
    Host(Box<Dom0>),
}

/// What a control domain knows of its host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dom0 {
    /// Uuid of the control domain's own VM.
    pub control_domain: String,
    pub product_brand: String,
    pub product_version: String,
    pub build_number: String,
    /// Bridge of the management interface ("xenbr0").
    pub management: String,
    /// The SRs that are plugged here: uuid and type.
    pub srs: Vec<(String, String)>,
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
