//! What of a step exists already: one pure question for what is shown before, what is done, and what is checked afterwards.

use super::cabling::{allot, carrier, interface, tagged};
use super::graph::{Graph, State};
use super::install;
use super::inventory::{Existing, Inventory};
use super::share;
use super::site::Site;
use super::source::{Source, resolved, source};
use super::task::{ISOS, Part, Task, VmTask, runs_in_the_end};
use super::{DISTRO, DONE, RUN};
use crate::error::{Error, Result};
use crate::sequence::topology::{self, Nic as Interface, Storage, Vlan, Wire};
use crate::toolstack::{self, Addressing, Guest, Host, Network, Nic, PowerState, Sr};
use crate::unit::show_size;
use std::net::IpAddr;

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
/// What large frames are, in bytes.
pub const JUMBO: u32 = 9000;

impl Graph {
    /// Looks at what there is of each step.
    pub fn compare(&mut self, inventory: &Inventory, site: Site<'_>) {
        let mut cut_off: Vec<bool> = Vec::with_capacity(self.steps.len());
        for at in 0..self.steps.len() {
            let is_impossible = |need: &usize| matches!(self.steps[*need].state, State::Impossible(..));
            let is_cut_off = self.steps[at].needs.iter().any(|need| is_impossible(need) || cut_off[*need]);
            cut_off.push(is_cut_off);
            // Where what it needs cannot be, there is nothing to be seen of it.
            self.steps[at].state = if is_cut_off { State::Missing } else { state(&self.steps[at].task, inventory, site) };
        }
    }
}

/// What there is of a step. What it needs may still be missing.
pub fn state(task: &Task, inventory: &Inventory, site: Site<'_>) -> State {
    look(task, inventory, site).unwrap_or_else(|error| impossible(&error))
}

/// As [`state`], with why it is impossible as an error.
///
/// # Errors
/// What the site does not say, or the run does not have.
pub fn look(task: &Task, inventory: &Inventory, site: Site<'_>) -> Result<State> {
    Look { inventory, site }.state(task)
}

fn impossible(error: &Error) -> State {
    State::Impossible(error.what.clone(), error.help.clone().unwrap_or_default())
}

/// The names of the marks that a VM carries of what was done with it.
pub fn marks(guest: &Guest) -> impl Iterator<Item = &str> {
    guest.other_config.get(DONE).map(String::as_str).unwrap_or_default().lines()
}

#[derive(Clone, Copy)]
struct Look<'a> {
    inventory: &'a Inventory,
    site: Site<'a>,
}

impl Look<'_> {
    fn state(&self, task: &Task) -> Result<State> {
        match task {
            Task::Refused { what, help } => Ok(State::Impossible(format!("{what} cannot be prepared"), help.clone())),
            Task::Host(machine) => self.inventory.at(machine).map(|_| State::There),
            Task::Join { machine, master } => self.join(machine, master),
            Task::Pool { master, members } => {
                let (pool, _) = self.inventory.at(master)?;
                let is_in =
                    |member: &super::Machine| self.inventory.at(member).is_ok_and(|(own, _)| own.pool.uuid == pool.pool.uuid);
                Ok(if members.iter().all(is_in) { State::There } else { State::Missing })
            }
            Task::Network { at, name } => Ok(there_if(self.inventory.at(at)?.0.network(name).is_some())),
            Task::Wire { at, form, index } => self.wire(at, form, *index),
            Task::Vlan { at, form, index, vlan } => self.vlan(at, form.as_deref(), *index, vlan),
            Task::Address { at, network, addressing, is_management, .. } => self.address(at, network, *addressing, *is_management),
            Task::Bare { at, form } => self.bare(at, form),
            Task::Storage { at, storage, number } => self.storage(at, storage, *number),
            Task::Isos { at } => {
                let (existing, _) = self.inventory.at(at)?;
                let own = existing.sr(ISOS).or_else(|| self.same_isos(existing));
                Ok(own.map_or(State::Missing, |sr| plugs(sr, existing)))
            }
            Task::DefaultStorage { at, name } => {
                let (existing, _) = self.inventory.at(at)?;
                let current =
                    existing.pool.default_sr.as_ref().and_then(|sr| existing.srs.iter().find(|known| known.reference == *sr));
                Ok(match current {
                    Some(sr) if sr.name == *name => State::There,
                    Some(sr) => State::Differs(format!("{} is", sr.name)),
                    None => State::Missing,
                })
            }
            Task::Vm(task) => self.vm(task),
        }
    }

    fn join(&self, machine: &str, master: &str) -> Result<State> {
        let ((own, host), (pool, _)) = (self.inventory.at(machine)?, self.inventory.at(master)?);
        if own.pool.uuid == pool.pool.uuid {
            return Ok(State::There);
        }
        if own.hosts.len() > 1 {
            let why = format!("{} is in another pool of {} hosts", host.name, own.hosts.len());
            return Ok(State::Impossible(why, "eject it from there first: xe pool-eject".into()));
        }
        Ok(State::Missing)
    }

    fn wire(&self, at: &str, form: &topology::Network, index: usize) -> Result<State> {
        let (existing, host) = self.inventory.at(at)?;
        let (nics, wanted) = (self.allotted(at, form, index, existing, host)?, &form.physical[index]);
        let Some(carrier) = carrier(existing, &nics) else {
            if let Some(nic) = nics.iter().find(|nic| nic.part_of.is_some()) {
                let why = format!("{} of {} is a part of another bond", nic.device, host.name);
                return Ok(State::Impossible(why, "take that bond apart, or name other NICs".into()));
            }
            return Ok(State::Missing);
        };
        let Some(network) = existing.network_of(carrier) else { return Ok(State::Missing) };
        if network.name != wanted.name {
            return Ok(State::Differs(format!("it is called {}", network.name)));
        }
        if wanted.jumbo && network.mtu != JUMBO {
            return Ok(State::Differs(format!("its MTU is {}", network.mtu)));
        }
        Ok(State::There)
    }

    fn allotted<'e>(
        &self,
        at: &str,
        form: &topology::Network,
        index: usize,
        existing: &'e Existing,
        host: &Host,
    ) -> Result<Vec<&'e Nic>> {
        let mut all = allot(form, at, host, existing, self.site)?;
        Ok(if index < all.len() { all.swap_remove(index) } else { Vec::new() })
    }

    fn vlan(&self, at: &str, form: Option<&topology::Network>, index: usize, vlan: &Vlan) -> Result<State> {
        let tag = self.site.tag(&vlan.network)?;
        let (existing, host) = self.inventory.at(at)?;
        let Some(over) = over(existing, host, at, form, index, self.site)? else { return Ok(State::Missing) };
        let Some(nic) = tagged(existing, over, tag) else { return Ok(State::Missing) };
        let name = existing.network_of(nic).map_or("", |network| network.name.as_str());
        Ok(if name == vlan.name { State::There } else { State::Differs(format!("it is called {name}")) })
    }

    fn address(&self, at: &str, network: &str, wanted: topology::Addressing, is_management: bool) -> Result<State> {
        let static_address = match wanted {
            topology::Addressing::Static => Some(self.site.address(at, network)?),
            topology::Addressing::Dhcp => None,
        };
        let (existing, host) = self.inventory.at(at)?;
        let nic = existing.network(network).and_then(|network| interface(existing, &host.reference, network));
        // Two with one address are both lost, and with them what is managed there.
        let twin = static_address.as_ref().and_then(|address| {
            let is_other = |other: &&Nic| other.ip == Some(address.ip) && nic.is_none_or(|own| own.reference != other.reference);
            self.inventory
                .estates
                .iter()
                .flat_map(|existing| existing.nics.iter().map(move |nic| (existing, nic)))
                .find(|(_, nic)| is_other(nic))
        });
        if let (Some((there, twin)), Some(address)) = (twin, &static_address) {
            let of = there.hosts.iter().find(|host| host.reference == twin.host).map_or("another host", |host| host.name.as_str());
            let why = format!("{} is the address of {} of {of} already", address.ip, twin.device);
            return Ok(State::Impossible(why, format!("say one of its own: HOST_CONFIGS/<address of {at}>/ADDRESSES/{network}")));
        }
        let Some(nic) = nic else { return Ok(State::Missing) };
        if is_management && !nic.is_management {
            return Ok(State::Differs("it is managed elsewhere".into()));
        }
        let is_right = match static_address {
            None => nic.addressing == Addressing::Dhcp,
            Some(address) => nic.addressing == Addressing::Static && nic.ip == Some(address.ip),
        };
        Ok(match nic.addressing {
            _ if is_right => State::There,
            Addressing::None => State::Missing,
            Addressing::Dhcp => State::Differs("it has one by DHCP".into()),
            Addressing::Static => State::Differs(format!("it is {}", nic.ip.map_or("unknown".into(), |ip: IpAddr| ip.to_string()))),
        })
    }

    fn bare(&self, at: &str, form: &topology::Network) -> Result<State> {
        let (existing, host) = self.inventory.at(at)?;
        let others: Vec<String> = addressed_elsewhere(existing, host, form).map(|nic| nic.device.clone()).collect();
        Ok(if others.is_empty() { State::There } else { State::Differs(format!("there is one on {}", others.join(", "))) })
    }

    fn storage(&self, at: &str, storage: &Storage, number: usize) -> Result<State> {
        let (existing, _) = self.inventory.at(at)?;
        let sort = share::kind(storage)?;
        if let Some(sr) = existing.sr(&storage.name) {
            if sr.kind != sort.kind {
                let why = format!("there is an SR {} of type {}, and {} is asked for", sr.name, sr.kind, sort.kind);
                return Ok(State::Impossible(why, "give the storage another name, or remove that SR".into()));
            }
            return Ok(plugs(sr, existing));
        }
        share::share(storage, number, self.site).map(|_| State::Missing)
    }

    /// The SR of the site's images, whatever it is called here.
    fn same_isos<'e>(&self, existing: &'e Existing) -> Option<&'e Sr> {
        let location = share::isos(self.site).ok()??.options.remove("location")?;
        existing.srs.iter().find(|sr| sr.plugs.iter().any(|plug| plug.device.get("location") == Some(&location)))
    }

    fn vm(&self, task: &VmTask) -> Result<State> {
        let (existing, _) = self.inventory.at(&task.at)?;
        let vm = &task.vm;
        let Some(guest) = existing.vm(&vm.display_name()) else {
            if task.part == Part::Make
                && let Source::Install(_) = source(vm, existing)?
            {
                install::source(vm, self.site)?;
            }
            return Ok(State::Missing);
        };
        let is_ours = guest.other_config.contains_key(RUN);
        let state = match &task.part {
            Part::Make => made(task, guest, is_ours),
            Part::Disk(disk) => disk_state(disk, guest, existing),
            Part::Interface(nic) => interface_state(nic, guest, existing),
            Part::Boot if is_ours => booted(task, guest),
            Part::Convert => there_if(guest.is_template),
            part if is_ours => there_if(part.mark(vm).is_none_or(|mark| marks(guest).any(|done| done == mark))),
            _ => State::There,
        };
        // What somebody else has made is theirs, and so is what this made into a template.
        let is_left = !is_ours || guest.is_template;
        Ok(match state {
            State::Differs(why) if is_left => State::Foreign(why),
            State::Missing if is_left => State::Foreign(format!("{} was not made by xrt", guest.name)),
            state => state,
        })
    }
}

fn there_if(is_there: bool) -> State {
    if is_there { State::There } else { State::Missing }
}

/// Whether an SR is attached to each host that it is for.
fn plugs(sr: &Sr, existing: &Existing) -> State {
    let is_attached = |host: &&Host| sr.plugs.iter().any(|plug| plug.host == host.reference && plug.is_attached);
    let wanted = |host: &&Host| sr.is_shared || sr.plugs.iter().any(|plug| plug.host == host.reference);
    let without: Vec<&str> =
        existing.hosts.iter().filter(wanted).filter(|host| !is_attached(host)).map(|host| host.name.as_str()).collect();
    if without.is_empty() { State::There } else { State::Differs(format!("it is not attached to {}", without.join(", "))) }
}

/// What carries a VLAN: the wire of the form, or the primary NIC.
pub fn over<'e>(
    existing: &'e Existing,
    host: &Host,
    machine: &str,
    form: Option<&topology::Network>,
    index: usize,
    site: Site<'_>,
) -> Result<Option<&'e Nic>> {
    match form {
        None => Ok(super::cabling::physical(existing, &host.reference).first().copied()),
        Some(form) => {
            let all = allot(form, machine, host, existing, site)?;
            Ok(all.get(index).and_then(|nics| carrier(existing, nics)))
        }
    }
}

/// The interfaces of a host that have an address although the form of its network gives them none. What it is managed over is left.
pub fn addressed_elsewhere<'e>(existing: &'e Existing, host: &'e Host, form: &topology::Network) -> impl Iterator<Item = &'e Nic> {
    let has_address = |roles: &topology::Roles| roles.management.is_some() || roles.storage.is_some();
    let wires = form.physical.iter().filter(|wire| has_address(&wire.roles)).map(|wire| wire.name.clone());
    let vlans =
        form.physical.iter().flat_map(|wire| &wire.vlans).filter(|vlan| has_address(&vlan.roles)).map(|vlan| vlan.name.clone());
    let kept: Vec<String> = wires.chain(vlans).collect();
    existing.nics.iter().filter(move |nic| {
        let network = existing.network_of(nic).map_or("", |network| network.name.as_str());
        let is_kept = nic.is_management || nic.part_of.is_some() || kept.iter().any(|kept| kept == network);
        nic.host == host.reference && nic.addressing != Addressing::None && !is_kept
    })
}

fn made(task: &VmTask, guest: &Guest, is_ours: bool) -> State {
    let vm = &task.vm;
    let distro = vm.distro.as_deref().map(resolved);
    if let (Some(there), Some(wanted), true) = (guest.other_config.get(DISTRO), distro, is_ours)
        && there != wanted
    {
        let why = format!("{} is {there}, and {wanted} is asked for", guest.name);
        return State::Impossible(why, "remove it first: xrt prepare --clean of the run that made it".into());
    }
    let mut differences = Vec::new();
    if let Some(wanted) = vm.vcpus.filter(|wanted| *wanted != guest.vcpus_max) {
        differences.push(format!("it has {} vCPUs, not {wanted}", guest.vcpus_max));
    }
    if let Some(wanted) = vm.memory.map(|mb| mb * MB).filter(|wanted| *wanted != guest.memory.static_max) {
        differences.push(format!("it has {} of memory, not {}", show_size(guest.memory.static_max), show_size(wanted)));
    }
    match differences.as_slice() {
        [] => State::There,
        // What was changed by a testcase in the meantime is its own; only what was never started is made as asked for.
        all if guest.state == PowerState::Down && !marks(guest).any(|mark| mark == "booted") => State::Differs(all.join(", ")),
        all => State::Foreign(all.join(", ")),
    }
}

fn disk_state(wanted: &topology::Disk, guest: &Guest, existing: &Existing) -> State {
    let disks = existing.disks.get(&guest.reference).map(Vec::as_slice).unwrap_or_default();
    let Some(disk) = disks.iter().find(|disk| !disk.is_cd && disk.position == wanted.device.to_string()) else {
        return State::Missing;
    };
    let size = disk.volume.as_ref().map_or(0, |volume| volume.size);
    if size >= wanted.size * GB { State::There } else { State::Differs(format!("it has {}", show_size(size))) }
}

/// The network that an interface of a VM is to be on, if it is there.
pub fn network_for<'e>(wire: &Wire, existing: &'e Existing) -> Option<&'e Network> {
    match wire {
        Wire::Primary => existing.primary(),
        Wire::Numbered(number) => existing.numbered(*number),
        // What the site calls the primary network is that one, unless something else has the name.
        Wire::Named(name) => existing.network(name).or_else(|| existing.primary().filter(|_| name == "NPRI")),
    }
}

fn interface_state(wanted: &Interface, guest: &Guest, existing: &Existing) -> State {
    let Interface::Virtual { device, network, .. } = wanted else { return State::There };
    let vifs = existing.vifs.get(&guest.reference).map(Vec::as_slice).unwrap_or_default();
    let Some(vif) = vifs.iter().find(|vif: &&toolstack::Vif| vif.device == device.to_string()) else { return State::Missing };
    match network_for(network, existing) {
        Some(network) if network.reference == vif.network => State::There,
        _ => {
            let on = existing.networks.iter().find(|network| network.reference == vif.network);
            State::Differs(format!("it is on {}", on.map_or("another network", |network| network.name.as_str())))
        }
    }
}

fn booted(task: &VmTask, guest: &Guest) -> State {
    let is_marked = marks(guest).any(|mark| mark == "booted");
    match guest.state {
        _ if guest.is_template => State::There,
        _ if !is_marked => State::Missing,
        PowerState::Up => State::There,
        state if runs_in_the_end(&task.vm) => State::Differs(format!("it is {}", state.word())),
        _ => State::There,
    }
}
