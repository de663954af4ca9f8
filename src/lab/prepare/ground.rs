//! Making what VMs stand on: hosts in pools, networks, addresses and storage.

use super::RUN;
use super::cabling::{allot, carrier, interface, tagged};
use super::compare::{JUMBO, addressed_elsewhere, over};
use super::inventory::Existing;
use super::maker::Maker;
use super::record::Undo;
use super::share::{self, Share};
use super::site::Site;
use super::task::{ISOS, Machine, Task};
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::hold::Hold;
use crate::lab::option::{Text, WaitOptions};
use crate::lab::pool::JoinOptions;
use crate::lab::sr::SrOptions;
use crate::lab::wait::Patience;
use crate::sequence::topology::{self, Addressing as Wanted, Vlan};
use crate::toolstack::{Addressing, BondMode, Class, Host, IpConfig, Network, NetworkSpec, Nic, Ref, Spec};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

const USUAL_MTU: u32 = 1500;

impl Maker<'_> {
    /// Makes what a step asks for that is no part of a VM.
    pub(super) fn ground(&self, task: &Task, action: &Action<'_>) -> Result<()> {
        match task {
            Task::Host(machine) => self.host(machine)?.wait_enabled(&WaitOptions::default()),
            Task::Join { machine, master } => self.join(machine, master),
            Task::Network { at, name } => {
                let _alone = self.alone();
                let (hold, _) = self.hold(at)?;
                self.network(&hold, action, name, USUAL_MTU).map(drop)
            }
            Task::Wire { at, form, index } => self.wire(task, at, form, *index, action),
            Task::Vlan { at, form, index, vlan } => self.vlan(task, at, (form.as_deref(), *index), vlan, action),
            Task::Address { at, network, addressing, is_management, .. } => {
                self.address(task, at, network, (*addressing, *is_management), action)
            }
            Task::Bare { at, form } => self.bare(task, at, form, action),
            Task::Storage { at, storage, number } => {
                let share = share::share(storage, *number, Site::new(self.variables));
                self.storage(at, &storage.name, share)
            }
            Task::Isos { at } => {
                let share = share::isos(Site::new(self.variables))?;
                let missing = || Error::new(Kind::NotFound, "the site has no installation images (EXPORT_ISO_NFS)");
                self.storage(at, ISOS, share.ok_or_else(missing))
            }
            Task::DefaultStorage { at, name } => self.default_storage(at, name),
            // Its members are what it waits for.
            Task::Pool { .. } => Ok(()),
            Task::Refused { .. } | Task::Vm(_) => Err(Error::new(Kind::Internal, "no step of the ground")),
        }
    }

    /// Networks of a pool are made one after the other: a network that one step makes may be the one that another looks for.
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, machine: &Machine, master: &Machine) -> Result<()> {
        let (host, pool) = (self.host(machine)?, self.pool(master)?);
        let (left, what) = (host.estate(), format!("host {} in the pool of {master}", host.name()));
        let (hold, _) = self.hold(master)?;
        self.begin(&hold, &what, Class::Host, host.uuid(), None)?;
        let force = self.variables.boolean("POOL_JOIN_FORCE")?.unwrap_or(false);
        pool.add(&host, &JoinOptions { force, ..JoinOptions::default() })?;
        self.lab.remove(&left);
        self.settle(machine, &host.estate(), &host.reference());
        let (hold, reference) = self.hold(machine)?;
        self.made(&hold, &reference, &what, Undo::Eject)
    }

    /// The network of a name; made if there is none.
    fn network(&self, hold: &Hold, action: &Action<'_>, name: &str, mtu: u32) -> Result<Ref> {
        if let Some(known) = hold.ask(|toolstack, watch| toolstack.networks(watch))?.into_iter().find(|known| known.name == name) {
            return Ok(known.reference);
        }
        let other_config = BTreeMap::from([(RUN.to_string(), self.run.to_string())]);
        let spec = NetworkSpec { name: name.into(), description: String::new(), mtu, other_config };
        let what = format!("network {name}");
        self.begin(hold, &what, Class::Network, name, None)?;
        let made = hold.make(action, &Spec::Network(spec), Patience::NETWORK)?;
        self.made(hold, &made, &what, Undo::Remove { class: Class::Network })?;
        Ok(made)
    }

    fn wire(&self, task: &Task, at: &Machine, form: &topology::Network, index: usize, action: &Action<'_>) -> Result<()> {
        let _alone = self.alone();
        let inventory = self.inventory(task)?;
        let (existing, host) = inventory.at(at)?;
        let nics = self.allotted(existing, host, at, form, index)?;
        let wanted = &form.physical[index];
        let (hold, _) = self.hold(at)?;
        let mtu = if wanted.jumbo { JUMBO } else { USUAL_MTU };
        match carrier(existing, &nics).and_then(|carrier| existing.network_of(carrier)) {
            Some(network) => self.rename(&hold, network, &wanted.name, mtu),
            None => {
                let network = self.network(&hold, action, &wanted.name, mtu)?;
                let mode = match wanted.bond_mode.as_deref() {
                    Some("active-backup") => BondMode::ActiveBackup,
                    Some("lacp") => BondMode::Lacp,
                    _ => BondMode::BalanceSlb,
                };
                let members = nics.iter().map(|nic| nic.reference.clone()).collect();
                let what = format!("bond {} of {at}", wanted.name);
                self.carry(&hold, &what, Class::Bond, (existing, host), &network)?;
                let bond = hold.make(action, &Spec::Bond { network, nics: members, mode }, Patience::NETWORK)?;
                self.made(&hold, &bond, &what, Undo::Remove { class: Class::Bond })
            }
        }
    }

    /// Writes down that a host is about to get an interface on a network, on which it must have none.
    fn carry(&self, hold: &Hold, what: &str, class: Class, (existing, host): (&Existing, &Host), network: &Ref) -> Result<()> {
        let on = existing.nics.iter().find(|nic| nic.host == host.reference && nic.network == *network);
        if let Some(nic) = on {
            let what = format!("the network that {what} is to be on is that of {} already", nic.device);
            return Err(Error::new(Kind::Refused, what)
                .blame(Blame::User)
                .help("give the network another name, or take that one away"));
        }
        let name = self.uuid(hold, network)?;
        self.begin(hold, what, class, &name, Some(&host.reference))
    }

    fn allotted<'e>(
        &self,
        existing: &'e Existing,
        host: &Host,
        at: &Machine,
        form: &topology::Network,
        index: usize,
    ) -> Result<Vec<&'e Nic>> {
        let mut all = allot(form, at, host, existing, Site::new(self.variables))?;
        Ok(if index < all.len() { all.swap_remove(index) } else { Vec::new() })
    }

    /// Gives a network another name and size of frames, and writes down what it had.
    fn rename(&self, hold: &Hold, network: &Network, name: &str, mtu: u32) -> Result<()> {
        let before = Undo::Network { name: network.name.clone(), mtu: network.mtu };
        self.made(hold, &network.reference, &format!("network {name}, before: {}", network.name), before)?;
        if network.name != name {
            hold.ask(|toolstack, watch| toolstack.set(&network.reference, "name_label", &Value::from(name), watch))?;
        }
        if network.mtu != mtu && mtu == JUMBO {
            hold.ask(|toolstack, watch| toolstack.set(&network.reference, "MTU", &Value::from(mtu), watch))?;
        }
        Ok(())
    }

    fn vlan(
        &self,
        task: &Task,
        at: &Machine,
        (form, index): (Option<&topology::Network>, usize),
        vlan: &Vlan,
        action: &Action<'_>,
    ) -> Result<()> {
        let _alone = self.alone();
        let site = Site::new(self.variables);
        let tag = site.tag(&vlan.network)?;
        let inventory = self.inventory(task)?;
        let (existing, host) = inventory.at(at)?;
        let missing = || Error::new(Kind::NotFound, format!("{at} has no NIC for the VLAN {}", vlan.name)).blame(Blame::Lab);
        let carrier = over(existing, host, at, form, index, site)?.ok_or_else(missing)?;
        let (hold, _) = self.hold(at)?;
        if let Some(network) = tagged(existing, carrier, tag).and_then(|nic| existing.network_of(nic)) {
            return self.rename(&hold, network, &vlan.name, network.mtu);
        }
        let network = self.network(&hold, action, &vlan.name, USUAL_MTU)?;
        let what = format!("VLAN {tag} of {at}");
        self.carry(&hold, &what, Class::Nic, (existing, host), &network)?;
        let made = hold.make(action, &Spec::Vlan { nic: carrier.reference.clone(), tag, network }, Patience::NETWORK)?;
        self.made(&hold, &made, &what, Undo::Remove { class: made.class })
    }

    fn address(
        &self,
        task: &Task,
        at: &Machine,
        network: &str,
        (wanted, is_management): (Wanted, bool),
        action: &Action<'_>,
    ) -> Result<()> {
        let inventory = self.inventory(task)?;
        let (existing, host) = inventory.at(at)?;
        let found = existing.network(network).and_then(|network| interface(existing, &host.reference, network));
        let missing = || Error::new(Kind::NotFound, format!("{at} has no interface on {network}")).blame(Blame::Lab);
        let nic = found.ok_or_else(missing)?;
        let mut config = IpConfig { is_management, ..IpConfig::default() };
        match wanted {
            Wanted::Dhcp => config.mode = Addressing::Dhcp,
            Wanted::Static => {
                let address = Site::new(self.variables).address(at, network)?;
                config.mode = Addressing::Static;
                (config.ip, config.netmask, config.gateway) =
                    (address.ip.to_string(), address.netmask.to_string(), address.gateway);
            }
        }
        self.set_ip(at, (existing, host), nic, &config, action)
    }

    /// Gives an interface its address, and writes down how it came to one before.
    fn set_ip(
        &self,
        at: &Machine,
        (existing, host): (&Existing, &Host),
        nic: &Nic,
        config: &IpConfig,
        action: &Action<'_>,
    ) -> Result<()> {
        let (hold, _) = self.hold(at)?;
        let managed = existing.nics.iter().find(|other| other.host == host.reference && other.is_management);
        let was_management = managed.filter(|managed| config.is_management && managed.reference != nic.reference);
        let undo = Undo::Address { before: nic.addressing, was_management: was_management.map(|managed| managed.uuid.clone()) };
        self.made(&hold, &nic.reference, &format!("address of {} on {}", nic.device, host.name), undo)?;
        let patience = hold.estate.patience(Patience::NETWORK);
        hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.set_ip(&nic.reference, config, watch))
    }

    fn bare(&self, task: &Task, at: &Machine, form: &topology::Network, action: &Action<'_>) -> Result<()> {
        let inventory = self.inventory(task)?;
        let (existing, host) = inventory.at(at)?;
        for nic in addressed_elsewhere(existing, host, form) {
            self.set_ip(at, (existing, host), nic, &IpConfig::default(), action)?;
        }
        Ok(())
    }

    /// Makes an SR, or attaches the one that there is to the hosts that lack it.
    fn storage(&self, at: &Machine, name: &str, share: Result<Share>) -> Result<()> {
        let pool = self.pool(at)?;
        let known = pool.srs()?.into_iter().find(|sr| sr.name() == name);
        if let Some(sr) = known {
            return sr.plug();
        }
        let share = share?;
        let options = share.options.into_iter().map(|(option, value)| (option, Text(value))).collect();
        let (hold, _) = self.hold(at)?;
        let (what, passing) = (format!("SR {name}"), self.while_made(name));
        self.begin(&hold, &what, Class::Sr, &passing, None)?;
        let options = SrOptions { sort: share.sort.name.into(), name: passing, options, ..SrOptions::default() };
        let made = self.host(at)?.create_sr(&options)?;
        self.made(&hold, &made.reference(), &what, Undo::Remove { class: Class::Sr })?;
        made.set("other_config", Some(RUN), Value::from(self.run))?;
        made.set("name_label", None, Value::from(name))
    }

    fn default_storage(&self, at: &Machine, name: &str) -> Result<()> {
        let pool = self.pool(at)?;
        let (hold, _) = self.hold(at)?;
        let before = match pool.record()?.default_sr {
            Some(sr) => Some(hold.ask(|toolstack, watch| toolstack.sr(&sr, watch))?.uuid),
            None => None,
        };
        self.made(&hold, pool.reference(), &format!("default SR {name}"), Undo::DefaultSr { before })?;
        pool.set_default_sr(&pool.sr(name)?)
    }
}
