//! What a step of a preparation does.

use crate::sequence::topology::{self, Addressing, Call, Disk, Nic, Storage, Vlan, Vm, VmStep};
use std::sync::Arc;

/// A machine of the run by the name that the harness has for it: `RESOURCE_HOST_0`, or [`SHARED`].
pub type Machine = Arc<str>;

/// The host that everybody at a site shares.
pub const SHARED: &str = "SHARED_HOST";

/// The ISO storage that hosts get when the site has one.
pub const ISOS: &str = "Installation images";

/// What a step does. Where it is done is a machine; its pool is meant where the machine is in one.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// The machine is attached.
    Host(Machine),
    /// The machine becomes a member of the pool of a master.
    Join {
        machine: Machine,
        master: Machine,
    },
    /// All members are in the pool.
    Pool {
        master: Machine,
        members: Vec<Machine>,
    },
    /// An internal network.
    Network {
        at: Machine,
        name: String,
    },
    /// A NIC of a machine, or several as a bond, as the network of `form.physical[index]`.
    Wire {
        at: Machine,
        form: Arc<topology::Network>,
        index: usize,
    },
    /// A tagged network on a wire; on the primary NIC without one.
    Vlan {
        at: Machine,
        form: Option<Arc<topology::Network>>,
        index: usize,
        vlan: Arc<Vlan>,
    },
    /// An address of a machine on a network of its form, and whether the machine is managed over it.
    Address {
        at: Machine,
        network: String,
        form: Arc<topology::Network>,
        index: usize,
        addressing: Addressing,
        is_management: bool,
    },
    /// No addresses but on these networks.
    Bare {
        at: Machine,
        form: Arc<topology::Network>,
    },
    Storage {
        at: Machine,
        storage: Arc<Storage>,
        number: usize,
    },
    /// The site's installation images.
    Isos {
        at: Machine,
    },
    DefaultStorage {
        at: Machine,
        name: String,
    },
    Vm(Box<VmTask>),
    /// What cannot be prepared here: what it is, and what to do.
    Refused {
        what: String,
        help: String,
    },
}

impl Task {
    /// The machines that it is about.
    pub fn machines(&self) -> Vec<&Machine> {
        match self {
            Task::Host(machine) => vec![machine],
            Task::Join { machine, master } => vec![machine, master],
            Task::Pool { master, members } => std::iter::once(master).chain(members).collect(),
            Task::Network { at, .. }
            | Task::Wire { at, .. }
            | Task::Vlan { at, .. }
            | Task::Address { at, .. }
            | Task::Bare { at, .. }
            | Task::Storage { at, .. }
            | Task::Isos { at }
            | Task::DefaultStorage { at, .. } => vec![at],
            Task::Vm(task) => std::iter::once(&task.at).chain(&task.on).collect(),
            Task::Refused { .. } => Vec::new(),
        }
    }

    /// What it is done with: a machine, or a VM.
    pub fn subject(&self) -> Option<String> {
        match self {
            Task::Vm(task) => Some(task.vm.display_name()),
            other => other.machines().first().map(|machine| machine.to_string()),
        }
    }
}

/// A part of a VM.
#[derive(Clone, Debug, PartialEq)]
pub struct VmTask {
    pub at: Machine,
    /// The host that it belongs on, if it is not the pool's choice.
    pub on: Option<Machine>,
    pub vm: Arc<Vm>,
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The VM itself: from a template, an image, or the network.
    Make,
    Disk(Disk),
    Interface(Nic),
    /// It runs, and answers.
    Boot,
    /// A file system on a disk, mounted.
    Format(u32),
    /// What is called on it, by its place among the steps of the VM.
    Then(usize),
    Packages,
    /// It becomes a template.
    Convert,
}

impl Part {
    /// What the VM remembers of it once it was done, if what is done cannot be seen.
    pub fn mark(&self, vm: &Vm) -> Option<String> {
        match self {
            Part::Make | Part::Disk(_) | Part::Interface(_) | Part::Convert => None,
            Part::Boot => Some("booted".into()),
            Part::Format(device) => Some(format!("format {device}")),
            Part::Then(number) => {
                let step = vm.steps.get(*number)?;
                Some(format!("{} {}", number + 1, shown(step)))
            }
            Part::Packages => Some(format!("packages {}", vm.packages.join(" "))),
        }
    }
}

/// A step of a VM as people write it.
pub fn shown(step: &VmStep) -> String {
    match step {
        VmStep::Call(call) => call.shown(),
        VmStep::Script(name) => format!("script {name}"),
    }
}

/// Whether the last of what is done with a VM leaves it running.
pub fn runs_in_the_end(vm: &Vm) -> bool {
    let is_power = |call: &Call| ["start", "shutdown", "pause", "suspend", "shutdownAndDetach"].contains(&call.method.as_str());
    let last = vm.steps.iter().rev().find_map(|step| match step {
        VmStep::Call(call) if is_power(call) => Some(call.method.as_str()),
        _ => None,
    });
    !vm.is_template() && last.is_none_or(|method| method == "start")
}
