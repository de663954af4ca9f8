//! Guests that move: to another host, to other SRs, to another pool.

use super::estate::Estate;
use super::guest::{Guest, Vm};
use super::hold::{Hold, named};
use super::host::Host;
use super::network::Network;
use super::option::MigrateOptions;
use super::power::Now;
use super::sr::Sr;
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::toolstack::{self, Invitation, Journey, Migration, PowerState, Ref};
use crate::unit::show_duration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Where a guest is to go.
pub enum Goal {
    /// A host of its pool, or of the one that the options name, by name, address or uuid.
    Called(String),
    /// A host that the testcase holds, of whatever pool.
    Host(Host),
}

/// A host, as the pool knows it that it is in.
struct Spot {
    estate: Arc<Estate>,
    host: toolstack::Host,
    /// Whether it is of another pool than the guest.
    is_beyond: bool,
}

impl Guest {
    /// Moves it to a host, and waits until it answers there with the boot id from before. To a host of another pool it goes with all its
    /// disks, and is a guest of that pool from then on, in all hands.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words (`HOST_NOT_ENOUGH_FREE_MEMORY`), or when it runs elsewhere or was started anew;
    /// `Timeout` with what was seen last; `NotFound` for a host, an SR or a network.
    pub fn migrate(&self, to: &Goal, options: &MigrateOptions) -> Result<()> {
        let spot = self.place_of(to, options)?;
        let how = if options.live { " (live)" } else { "" };
        let other = if spot.is_beyond { " of another pool" } else { "" };
        self.told(&format!("migrate to {}{other}{how}", spot.host.name), |action| {
            let started = Instant::now();
            let before = self.record()?;
            let boot_id = if before.state == PowerState::Up && options.wait { self.known_boot_id().ok() } else { None };
            if spot.is_beyond {
                self.emigrate(action, &spot, options, &before)?;
            } else {
                self.move_within(action, &spot, options)?;
            }
            let vm = self.vm()?;
            let (name, host) = (&spot.host.name, &spot.host.reference);
            let state = vm.estate.patience(Patience::STATE);
            let what = format!("to be {} on {name}", before.state.word());
            let not_yet = |now: &toolstack::Guest| (now.state != before.state).then(|| format!("it is {}", now.state.word()));
            let now = match before.state {
                PowerState::Down => self.wait_record(action, &state, &what, not_yet),
                _ => self.wait_living(action, &state, &what, not_yet),
            }?;
            if now.host.is_some() && now.host.as_ref() != Some(host) {
                return Err(self.elsewhere(&vm, &now, host));
            }
            if now.state == PowerState::Up && options.wait {
                let patience = vm.estate.patience(Patience::AGAIN);
                let answers = self.wait_up(action, &patience, &format!("to answer on {name}"), Now::Started, |_| None)?;
                self.went_on(boot_id.as_deref(), &answers)?;
            }
            action.says(format!("on {name} after {}", show_duration(started.elapsed())));
            Ok(())
        })
    }

    /// Whether its pool would let it go to a host. Nothing is done.
    ///
    /// # Errors
    /// As [`Guest::record`]; `NotFound` for the host, an SR or a network.
    pub fn can_migrate(&self, to: &Goal, options: &MigrateOptions) -> Result<bool> {
        let (spot, vm) = (self.place_of(to, options)?, self.vm()?);
        if !spot.is_beyond && options.sr.is_none() && options.vdi_map.is_empty() {
            let own = Value::String(vm.reference.id.to_string());
            let ask = |toolstack: &dyn toolstack::Toolstack, watch: toolstack::Watch<'_>| {
                toolstack.call("VM.get_possible_hosts", &[own], watch)
            };
            let possible = vm.estate.ask(self.context(), ask)?;
            let all = possible.as_array().ok_or_else(|| Error::new(Kind::Malformed, "the possible hosts are no list"))?;
            return Ok(all.iter().any(|host| host.as_str() == Some(&spot.host.reference.id)));
        }
        let (disks, vifs) = (self.stores(&spot, options)?, self.networks(&spot, options)?);
        let journey = Journey { to: self.invited(&spot, options)?, is_live: options.live, disks, vifs };
        match vm.estate.ask(self.context(), |toolstack, watch| toolstack.may_send(&vm.reference, &journey, watch)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind == Kind::Refused => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn place_of(&self, to: &Goal, options: &MigrateOptions) -> Result<Spot> {
        let vm = self.vm()?;
        if let Some(remote) = &options.remote {
            let Goal::Called(name) = to else {
                let what =
                    format!("`remote` beside {}: its pool is known", if let Goal::Host(host) = to { host.name() } else { "" });
                return Err(Error::new(Kind::Malformed, what)
                    .blame(Blame::Author)
                    .help("name the host by a text, or leave `remote` out"));
            };
            let password = remote.password.as_deref().map(Secret::new);
            let estate = vm.estate.beyond(&remote.host, remote.user.as_deref(), password)?;
            let host = estate.host_called(name, self.context())?;
            return Ok(Spot { estate, host, is_beyond: true });
        }
        let name = match to {
            Goal::Called(name) => name,
            Goal::Host(host) => host.uuid(),
        };
        match (vm.estate.host_called(name, self.context()), to) {
            (Err(error), Goal::Host(host)) if error.kind == Kind::NotFound => {
                Ok(Spot { estate: host.estate(), host: host.record()?, is_beyond: true })
            }
            (Err(error), Goal::Called(_)) if error.kind == Kind::NotFound => {
                let help = error.help.clone().unwrap_or_default();
                Err(error.help(format!("{help}; a host of another pool of the run is given as `host(\"…\")`")))
            }
            (found, _) => Ok(Spot { estate: vm.estate.clone(), host: found?, is_beyond: false }),
        }
    }

    /// To another host of its pool, with or without its disks.
    fn move_within(&self, action: &Action<'_>, spot: &Spot, options: &MigrateOptions) -> Result<()> {
        let vm = self.vm()?;
        if !options.vif_map.is_empty() {
            let what = "`vif_map` is for guests that go to another pool: within one, interfaces stay on their networks";
            return Err(Error::new(Kind::Malformed, what).blame(Blame::Author).help("`vif.move(network)` moves an interface"));
        }
        if options.sr.is_none() && options.vdi_map.is_empty() {
            let migration = Migration { host: spot.host.reference.clone(), is_live: options.live };
            let patience = vm.estate.patience(Patience::ORDER).or(options.timeout);
            return vm
                .estate
                .order(self.context(), action, patience, |toolstack, watch| toolstack.migrate(&vm.reference, &migration, watch));
        }
        let disks = self.stores(spot, options)?;
        let to = self.invited(spot, options)?;
        self.send(action, &vm, Journey { to, is_live: options.live, disks: disks.clone(), vifs: Vec::new() }, options)?;
        self.has_its_disks(&disks)
    }

    /// To a host of another pool, with everything that it has. From then on it is a guest of that pool.
    fn emigrate(&self, action: &Action<'_>, spot: &Spot, options: &MigrateOptions, before: &toolstack::Guest) -> Result<()> {
        let vm = self.vm()?;
        let (disks, vifs) = (self.stores(spot, options)?, self.networks(spot, options)?);
        let had = self.has(&vm)?;
        let journey = Journey { to: self.invited(spot, options)?, is_live: options.live, disks: disks.clone(), vifs };
        self.send(action, &vm, journey, options)?;
        let there = Hold::new(spot.estate.clone(), self.context().clone());
        let arrived = there.ask(|toolstack, watch| toolstack.guests(watch))?.into_iter().find(|guest| guest.uuid == before.uuid);
        let missing = || {
            let what = format!("`{}` was sent to {}, which does not know it", self.name(), there.estate.name());
            Error::new(Kind::Refused, what)
        };
        let now = Vm { estate: spot.estate.clone(), reference: arrived.ok_or_else(missing)?.reference, uuid: before.uuid.clone() };
        // Whatever is found from here on, that is where it is.
        vm.estate.sends(self.context(), &self.shared_place(), &vm, &now);
        self.lives_as(now);
        match vm.estate.ask(self.context(), |toolstack, watch| toolstack.guest(&vm.reference, watch)) {
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => {
                let what = format!("`{}` went to {}, and {} has it still", self.name(), there.estate.name(), vm.estate.name());
                return Err(Error::new(Kind::Refused, what));
            }
        }
        let has = self.has(&*self.vm()?)?;
        if had != has {
            let what = format!("`{}` went to {} with {had}, and has {has} there", self.name(), there.estate.name());
            return Err(Error::new(Kind::Refused, what));
        }
        self.has_its_disks(&disks)
    }

    fn send(&self, action: &Action<'_>, vm: &Vm, journey: Journey, options: &MigrateOptions) -> Result<()> {
        let patience = vm.estate.patience(Patience::TRANSFER).or(options.timeout);
        vm.estate.order(self.context(), action, patience, |toolstack, watch| toolstack.send(&vm.reference, &journey, watch))
    }

    fn invited(&self, spot: &Spot, options: &MigrateOptions) -> Result<Invitation> {
        let there = Hold::new(spot.estate.clone(), self.context().clone());
        let network = options.network.as_deref().map(|name| Network::find(&there, name)).transpose()?;
        let network = network.as_ref().map(Network::reference);
        there.ask(|toolstack, watch| toolstack.invite(&spot.host.reference, network, watch))
    }

    /// The SR for each disk that moves. Going to another pool all do: to its default SR where the host has that, else to the host's own.
    fn stores(&self, spot: &Spot, options: &MigrateOptions) -> Result<Vec<(Ref, Ref)>> {
        let vm = self.vm()?;
        let there = Hold::new(spot.estate.clone(), self.context().clone());
        let host = &spot.host.reference;
        let find = |name: &str| Sr::find(&there, name, Some(host)).map(|sr| sr.reference());
        let usual = match &options.sr {
            Some(name) => Some(find(name)?),
            None if spot.is_beyond => Some(self.usual_store(&there, host)?),
            None => None,
        };
        let disks = vm.estate.ask(self.context(), |toolstack, watch| toolstack.disks(&vm.reference, watch))?;
        let mut left: BTreeMap<&str, &str> = options.vdi_map.iter().map(|(disk, sr)| (disk.as_str(), sr.as_str())).collect();
        let mut stores = Vec::new();
        for disk in disks.iter().filter(|disk| !disk.is_cd) {
            let Some(volume) = &disk.volume else { continue };
            let names = [&disk.position, &disk.device, &disk.uuid, &volume.uuid, &volume.name];
            let own = names.iter().find_map(|name| left.remove(name.as_str()));
            if let Some(sr) = own.map(find).transpose()?.or_else(|| usual.clone()) {
                stores.push((volume.reference.clone(), sr));
            }
        }
        match left.keys().next() {
            Some(odd) => Err(self.no_such("disk", odd, disks.iter().filter(|disk| !disk.is_cd).map(|disk| disk.position.clone()))),
            None => Ok(stores),
        }
    }

    fn usual_store(&self, there: &Hold, host: &Ref) -> Result<Ref> {
        let pool = there.ask(|toolstack, watch| toolstack.pool(watch))?;
        let srs = there.ask(|toolstack, watch| toolstack.srs(watch))?;
        let has = |sr: &&toolstack::Sr| sr.plugs.iter().any(|plug| plug.host == *host && plug.is_attached);
        let default = srs.iter().filter(has).find(|sr| Some(&sr.reference) == pool.default_sr.as_ref());
        let own = || srs.iter().filter(has).find(|sr| super::host::LOCAL.contains(&sr.kind.as_str()));
        default.or_else(own).map(|sr| sr.reference.clone()).ok_or_else(|| {
            let what = format!(
                "{} has no default SR for the disks of `{}`, and the host none of its own",
                there.estate.name(),
                self.name()
            );
            Error::new(Kind::NotFound, what).blame(Blame::Lab).help("name one: `#{ sr: \"…\" }`")
        })
    }

    /// A network of another pool for each interface: the one that is named for it, or else the one with the bridge or the name of its own.
    fn networks(&self, spot: &Spot, options: &MigrateOptions) -> Result<Vec<(Ref, Ref)>> {
        if !spot.is_beyond {
            return Ok(Vec::new());
        }
        let vm = self.vm()?;
        let there = Hold::new(spot.estate.clone(), self.context().clone());
        let vifs = vm.estate.ask(self.context(), |toolstack, watch| toolstack.vifs(&vm.reference, watch))?;
        let own = vm.estate.ask(self.context(), |toolstack, watch| toolstack.networks(watch))?;
        let theirs = there.ask(|toolstack, watch| toolstack.networks(watch))?;
        let mut left: BTreeMap<&str, &str> =
            options.vif_map.iter().map(|(vif, network)| (vif.as_str(), network.as_str())).collect();
        let mut networks = Vec::new();
        for vif in &vifs {
            let network = match [&vif.device, &vif.mac, &vif.uuid].iter().find_map(|name| left.remove(name.as_str())) {
                Some(name) => Network::find(&there, name)?.reference().clone(),
                None => {
                    let is = own.iter().find(|network| network.reference == vif.network);
                    let like = |field: fn(&toolstack::Network) -> &String| {
                        theirs.iter().find(|network| is.is_some_and(|is| !field(is).is_empty() && field(is) == field(network)))
                    };
                    let found = like(|network| &network.bridge).or_else(|| like(|network| &network.name));
                    found.map(|network| network.reference.clone()).ok_or_else(|| {
                        let name = is.map_or("a network", |is| is.name.as_str());
                        let what =
                            format!("{} has no network like `{name}`, for the interface {}", there.estate.name(), vif.device);
                        Error::new(Kind::NotFound, what)
                            .blame(Blame::Lab)
                            .help(format!("name one: `#{{ vif_map: #{{ \"{}\": \"…\" }} }}`", vif.device))
                    })?
                }
            };
            networks.push((vif.reference.clone(), network));
        }
        match left.keys().next() {
            Some(odd) => Err(self.no_such("interface", odd, vifs.iter().map(|vif| vif.device.clone()))),
            None => Ok(networks),
        }
    }

    fn no_such(&self, sort: &str, name: &str, all: impl Iterator<Item = String>) -> Error {
        let what = format!("`{}` has no {sort} `{name}`", self.name());
        let error = named(sort, all.collect(), name, |name: &String| (name.clone(), name.clone())).err();
        Error::new(Kind::NotFound, what).blame(Blame::Author).help(error.and_then(|error| error.help).unwrap_or_default())
    }

    /// What a guest has, as it can be compared: disks with their sizes, interfaces with their addresses.
    fn has(&self, vm: &Vm) -> Result<String> {
        let disks = vm.estate.ask(self.context(), |toolstack, watch| toolstack.disks(&vm.reference, watch))?;
        let vifs = vm.estate.ask(self.context(), |toolstack, watch| toolstack.vifs(&vm.reference, watch))?;
        let disks = disks.iter().filter(|disk| !disk.is_cd).filter_map(|disk| Some((disk, disk.volume.as_ref()?)));
        let disks = disks.map(|(disk, volume)| format!("disk {} of {} bytes", disk.position, volume.size));
        let all: Vec<String> = disks.chain(vifs.iter().map(|vif| format!("interface {} ({})", vif.device, vif.mac))).collect();
        Ok(all.join(", "))
    }

    /// Sees that disks are where they were to go. Those of another pool have other references there, and the same order.
    fn has_its_disks(&self, stores: &[(Ref, Ref)]) -> Result<()> {
        let vm = self.vm()?;
        let disks = vm.estate.ask(self.context(), |toolstack, watch| toolstack.disks(&vm.reference, watch))?;
        let on: Vec<&Ref> = disks.iter().filter(|disk| !disk.is_cd).filter_map(|disk| Some(&disk.volume.as_ref()?.sr)).collect();
        let mut wanted: Vec<&Ref> = stores.iter().map(|(_, sr)| sr).collect();
        for sr in on {
            if let Some(at) = wanted.iter().position(|wanted| *wanted == sr) {
                wanted.remove(at);
            }
        }
        match wanted.as_slice() {
            [] => Ok(()),
            left => {
                let name = |sr: &Ref| vm.estate.ask(self.context(), |toolstack, watch| toolstack.sr(sr, watch)).map(|sr| sr.name);
                let names = left.iter().map(|sr| name(sr)).collect::<Result<Vec<_>>>()?;
                let what = format!("`{}` was moved, and has less of its disks than wanted on {}", self.name(), names.join(", "));
                Err(Error::new(Kind::Refused, what))
            }
        }
    }
}
