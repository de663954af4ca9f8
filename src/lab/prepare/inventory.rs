//! What exists: the objects of each pool that a preparation looks at, read at one moment.

use super::task::{Machine, Part};
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::{Disk, Guest, Host, Network, Nic, Pool, Ref, Sr, Toolstack, Vif, Watch};
use std::collections::BTreeMap;

/// What exists in all pools of a run.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub estates: Vec<Existing>,
    /// Which host the machines of the run are.
    pub machines: BTreeMap<Machine, Spot>,
}

/// A host by its pool and its reference there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// By place in [`Inventory::estates`].
    pub estate: usize,
    pub host: Ref,
}

/// What exists in one pool.
#[derive(Clone, Debug)]
pub struct Existing {
    pub pool: Pool,
    pub hosts: Vec<Host>,
    pub srs: Vec<Sr>,
    pub networks: Vec<Network>,
    pub nics: Vec<Nic>,
    pub guests: Vec<Guest>,
    pub templates: Vec<Guest>,
    /// Of the guests that somebody asked for.
    pub disks: BTreeMap<Ref, Vec<Disk>>,
    pub vifs: BTreeMap<Ref, Vec<Vif>>,
}

/// What matters for a question.
#[derive(Debug)]
pub enum Glance<'a> {
    All,
    /// Hosts, networks and storage.
    Ground,
    /// One VM, by its reference if that is known.
    Vm {
        name: String,
        known: Option<Ref>,
        part: &'a Part,
    },
}

impl Inventory {
    /// A machine of the run: its pool and its host.
    ///
    /// # Errors
    /// `NotFound`: the run has no such machine, and how to give it.
    pub fn at(&self, machine: &str) -> Result<(&Existing, &Host)> {
        let spot = self.machines.get(machine);
        let estate = spot.and_then(|spot| self.estates.get(spot.estate));
        let host = estate.zip(spot).and_then(|(estate, spot)| estate.hosts.iter().find(|host| host.reference == spot.host));
        estate.zip(host).ok_or_else(|| no_machine(machine))
    }
}

/// The error that there is no such machine.
pub fn no_machine(machine: &str) -> Error {
    let help = match machine.strip_prefix("RESOURCE_HOST_") {
        Some(number) => {
            let number: usize = number.parse().unwrap_or(0);
            let more =
                "it must run already, as no host is installed here; --host sim is a simulated pool; --noprepare does without";
            format!("give {} with --host A,B,…: {more}", if number == 0 { "it".into() } else { format!("{} hosts", number + 1) })
        }
        None => format!("give it with --host, and say which one it is: -D {machine}=ADDRESS, or -D {machine}=RESOURCE_HOST_0"),
    };
    Error::new(Kind::NotFound, format!("this run has no machine {machine}")).blame(Blame::User).help(help)
}

impl Existing {
    /// Reads what matters for a question, in one call for each kind of thing.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn glance(toolstack: &dyn Toolstack, glance: &Glance<'_>, watch: Watch<'_>) -> Result<Existing> {
        let mut existing = Existing {
            pool: toolstack.pool(watch)?,
            hosts: toolstack.hosts(watch)?,
            srs: Vec::new(),
            networks: Vec::new(),
            nics: Vec::new(),
            guests: Vec::new(),
            templates: Vec::new(),
            disks: BTreeMap::new(),
            vifs: BTreeMap::new(),
        };
        if matches!(glance, Glance::All | Glance::Ground | Glance::Vm { part: Part::Interface(_), .. }) {
            existing.networks = toolstack.networks(watch)?;
            existing.nics = toolstack.nics(None, watch)?;
        }
        if matches!(glance, Glance::All | Glance::Ground | Glance::Vm { part: Part::Make | Part::Disk(_), .. }) {
            existing.srs = toolstack.srs(watch)?;
        }
        match glance {
            Glance::All => {
                existing.guests = toolstack.guests(watch)?;
                existing.templates = toolstack.templates(watch)?;
            }
            Glance::Ground => {}
            Glance::Vm { name, known: Some(known), .. } => {
                existing.guests = toolstack.guest(known, watch).into_iter().collect();
                existing.look_into(name, toolstack, watch)?;
            }
            Glance::Vm { name, known: None, .. } => {
                existing.guests = toolstack.guests(watch)?;
                existing.templates = toolstack.templates(watch)?;
                existing.look_into(name, toolstack, watch)?;
            }
        }
        Ok(existing)
    }

    /// Reads the disks and interfaces of a guest too, if it is there.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn look_into(&mut self, name: &str, toolstack: &dyn Toolstack, watch: Watch<'_>) -> Result<()> {
        if let Some(guest) = self.vm(name).map(|guest| guest.reference.clone()) {
            self.disks.insert(guest.clone(), toolstack.disks(&guest, watch)?);
            self.vifs.insert(guest.clone(), toolstack.vifs(&guest, watch)?);
        }
        Ok(())
    }

    /// By name or uuid.
    pub fn sr(&self, name: &str) -> Option<&Sr> {
        self.srs.iter().find(|sr| sr.name == name || sr.uuid == name)
    }

    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name).or_else(|| self.networks.iter().find(|n| n.bridge == name))
    }

    pub fn network_of(&self, nic: &Nic) -> Option<&Network> {
        self.networks.iter().find(|network| network.reference == nic.network)
    }

    /// A VM of this name, or a template that was made of it.
    pub fn vm(&self, name: &str) -> Option<&Guest> {
        let ours = |guest: &&Guest| guest.name == name && guest.other_config.contains_key(super::RUN);
        self.guests.iter().find(|guest| guest.name == name).or_else(|| self.templates.iter().find(ours))
    }

    /// The network that the master is managed over.
    pub fn primary(&self) -> Option<&Network> {
        let nic = self.nics.iter().find(|nic| nic.host == self.pool.master && nic.is_management)?;
        self.network_of(nic)
    }

    /// The networks that are numbered: those with a NIC, by their bridges, and then the others.
    pub fn numbered(&self, number: u32) -> Option<&Network> {
        let mut all: Vec<&Network> = self.networks.iter().filter(|network| network.bridge != "xenapi").collect();
        all.sort_by_key(|network| (network.nics.is_empty(), digits(&network.bridge), network.bridge.as_str()));
        all.get(number as usize).copied()
    }

    pub fn host_name(&self, host: &Ref) -> &str {
        self.hosts.iter().find(|there| there.reference == *host).map_or("a host", |host| host.name.as_str())
    }
}

/// The number at the end of a name: `xenbr10` comes after `xenbr9`.
pub fn digits(name: &str) -> u32 {
    let start = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[start..].parse().unwrap_or(u32::MAX)
}
