//! The seam between the pool and the insides of its machines: what the pool tells them, and what they do to the pool.
//!
//! The pool's side holds its lock while it tells something: an [`Inside`] never calls back from there, and never blocks for long. What
//! happens in a machine comes to the pool through [`Outside`], from any thread.

use super::failure::Outcome;
use serde_json::Value;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Whether a machine is a host (its control domain) or a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineKind {
    Host,
    Guest,
}

/// What a machine is, as far as its inside can see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    pub kind: MachineKind,
    /// The UUID of the host or VM; stays the same for its life.
    pub uuid: Arc<str>,
    pub name: String,
    /// Its own on loopback. A guest keeps it for as long as it exists.
    pub address: Ipv4Addr,
    /// The domain; 0 of a host. A new one with each boot, resume or migration.
    pub domid: i64,
    pub memory: u64,
    pub vcpus: u32,
    /// Of a guest: which template it came from ("debian12", "windows"), as the pool would know it.
    pub distro: String,
    pub disks: Vec<MachineDisk>,
    pub vifs: Vec<MachineVif>,
    /// Of a guest: the UUID of its host.
    pub host: Arc<str>,
    /// Of a host: `other_config` and what identifies it are read over XAPI.
    pub is_master: bool,
}

/// A disk as a machine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineDisk {
    /// "xvda".
    pub device: String,
    /// The VDI; empty of an empty drive.
    pub vdi: Arc<str>,
    pub bytes: u64,
    pub is_cd: bool,
    pub is_read_only: bool,
}

/// A network interface as a machine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineVif {
    /// "0" for eth0.
    pub device: String,
    pub mac: String,
    pub network: String,
}

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// It shut itself down.
    Clean,
    /// Its power went.
    Killed,
    /// Its memory is kept in a disk of type suspend: it comes back by [`Inside::machine_resumed`] as if nothing had been.
    Suspended,
}

/// How a machine starts that has nothing to start from on its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netboot {
    /// iPXE asks here what to do: the site's DHCP has said so.
    Script(String),
    /// The host has fetched the kernel of an installer from a repository, and tells it this.
    Kernel { arguments: String, repository: String },
}

/// What the inside of machines is told. All of it is about machines by their UUID and disks by theirs.
pub trait Inside: Send + Sync {
    /// A kernel has started, and the services of the machine answer: a new boot.
    fn machine_up(&self, machine: &Machine);

    /// It starts from the network: an installer, if what it is led to is one. Nothing of it answers meanwhile.
    fn machine_installs(&self, _machine: &Machine, _from: Netboot) {}

    /// Nothing answers on its address any more.
    fn machine_down(&self, uuid: &str, how: Down);

    /// The same boot goes on: after a resume, or the revert to a checkpoint.
    fn machine_resumed(&self, machine: &Machine) {
        self.machine_up(machine);
    }

    /// The memory of a machine is kept in this disk too: by a suspend, or a checkpoint while it goes on.
    fn memory_kept(&self, _uuid: &str, _image: &str) {}

    /// What goes on with the next [`Inside::machine_resumed`] of a machine is the memory in this disk.
    fn memory_loaded(&self, _uuid: &str, _image: &str) {}

    /// Disks, interfaces, CPUs, memory, name or host have changed while it runs.
    fn machine_changed(&self, _machine: &Machine) {}

    /// It exists no longer.
    fn machine_removed(&self, _uuid: &str) {}

    /// Whether it stands still (paused, or hung by trouble): connections stay open, and nothing answers.
    fn machine_frozen(&self, _uuid: &str, _is_frozen: bool) {}

    /// Its clock is wrong by so many seconds from now on.
    fn machine_skewed(&self, _uuid: &str, _seconds: f64) {}

    /// A disk with the content of another: a snapshot, a clone, a copy, or what a revert makes. Neither need be on a running machine.
    fn disk_copied(&self, _from: &str, _to: &str) {}

    /// A disk goes on under another name, while it is mounted even: it was moved to another SR.
    fn disk_moved(&self, _from: &str, _to: &str) {}

    fn disk_removed(&self, _disk: &str) {}

    /// A service of a host writes a line into one of the host's logs.
    fn host_says(&self, _host: &str, _file: &'static str, _line: &str) {}

    /// A host has mounted the file system of an SR, by its UUID.
    fn storage_plugged(&self, _host: &str, _sr: &str) {}

    /// Whether a running machine uses a disk ("xvdb"), so that it does not let go of it.
    fn is_in_use(&self, _machine: &str, _device: &str) -> bool {
        false
    }

    /// The bytes of a disk, on which `system` is installed if something is. Those of a running machine may change meanwhile.
    ///
    /// # Errors
    /// No room, or no such thing here.
    fn disk_image(&self, _disk: &str, _system: Option<&str>) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a disk these bytes; returns the system that is installed on it then, if that is known.
    ///
    /// # Errors
    /// No room, or no such thing here.
    fn disk_filled(&self, _disk: &str, _image: File) -> io::Result<Option<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a machine does to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Reboot,
    PowerOff,
    /// Its kernel has crashed.
    Panic,
}

/// A call's answer that comes later: a value as JSON-RPC has it, or XAPI's error.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Outcome<Value>> + Send + 'a>>;

/// What the inside of machines can do to the pool.
pub trait Outside: Send + Sync {
    /// A machine, by its UUID, has done this to itself.
    fn machine_did(&self, uuid: &str, act: Act);

    /// How long a simulated duration takes here.
    fn real(&self, simulated: Duration) -> Duration {
        simulated
    }

    /// A system was installed on a disk.
    fn system_installed(&self, _disk: &str, _system: &str) {}

    /// Calls a method as root on a host, without its session parameter: what `xe` and the plugins in dom0 do.
    fn call<'a>(&'a self, host: &'a str, method: &'a str, params: Vec<Value>) -> Answering<'a>;
}
