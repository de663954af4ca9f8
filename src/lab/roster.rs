//! What exists now, by name: the machines and hypervisors of a run, and what each testcase has in hand of them.

use super::estate::Estate;
use super::guest::Guest;
use super::hands::Hands;
use super::host::Host;
use super::place::Place;
use super::pool::Pool;
use super::sim::Sim;
use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::name::did_you_mean;
use crate::toolstack::{self, Class, Ref};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// What a sequence calls the first host, the second, …
const HOST: &str = "RESOURCE_HOST_";
const POOL: &str = "RESOURCE_POOL_";
const GUEST: &str = "RESOURCE_GUEST_";
const DEFAULT: &str = "DEFAULT";

/// What a name stands for: an object of an estate.
type Called = (Arc<Estate>, Ref);

/// The machines and hypervisors of a run. Shared by its testcases.
#[derive(Default)]
pub struct Lab {
    /// Machines known by their addresses only.
    places: Vec<Arc<Place>>,
    estates: RwLock<Vec<Arc<Estate>>>,
    /// Further names, such as those that a sequence gives to what it prepares.
    called: RwLock<HashMap<(Class, String), Called>>,
    /// Names of hosts that are known by their addresses so far.
    hosts: RwLock<HashMap<String, String>>,
    /// Of the machines known by their addresses; each estate has its own.
    hands: Hands,
}

impl Lab {
    /// The machines in the order given. Of several with the same name the second is called `name#2`.
    pub fn new(places: Vec<Place>) -> Lab {
        Lab { places: places.into_iter().map(Arc::new).collect(), ..Lab::default() }
    }

    /// One more hypervisor, or pool of them.
    pub fn add(&self, estate: Arc<Estate>) {
        self.estates.write().unwrap_or_else(PoisonError::into_inner).push(estate);
    }

    /// Forgets a hypervisor: it has become a member of another pool.
    pub fn remove(&self, estate: &Arc<Estate>) {
        self.estates.write().unwrap_or_else(PoisonError::into_inner).retain(|known| !Arc::ptr_eq(known, estate));
    }

    /// The hypervisors, in the order in which they came.
    pub fn estates(&self) -> Vec<Arc<Estate>> {
        self.estates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives a guest, a host or a pool a further name in this run.
    pub fn call(&self, name: impl Into<String>, estate: &Arc<Estate>, reference: &Ref) {
        let mut called = self.called.write().unwrap_or_else(PoisonError::into_inner);
        called.insert((reference.class, name.into()), (estate.clone(), reference.clone()));
    }

    /// Gives the host at an address a further name in this run, before anything is asked of it.
    pub fn call_host(&self, name: impl Into<String>, address: &str) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(name.into(), address.to_string());
    }

    fn called(&self, class: Class, name: &str) -> Option<(Arc<Estate>, Ref)> {
        self.called.read().unwrap_or_else(PoisonError::into_inner).get(&(class, name.to_string())).cloned()
    }

    /// The names of the machines known by their addresses, in order.
    pub fn names(&self) -> Vec<&str> {
        self.places.iter().map(|p| p.name()).collect()
    }

    /// The machines and hypervisors as shown to people, passwords masked.
    pub fn shown(&self) -> Vec<String> {
        let places = self.places.iter().filter_map(|p| Some(p.address()?.to_string()));
        places.chain(self.estates().iter().map(|estate| estate.name().to_string())).collect()
    }

    /// The addresses of the guests without passwords, for programs, as far as they are known.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn addresses(&self, context: &Context) -> Result<Vec<String>> {
        let address = |guest: &Guest| Some(guest.place().address()?.without_password().to_string());
        Ok(self.guests(context)?.iter().filter_map(address).collect())
    }

    /// How many machines are known by their addresses.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no machine and no hypervisor.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.estates().is_empty()
    }

    /// The guest of this name, for the testcase of `context`; the same one each time that it asks. Sequences also name the first guest
    /// `RESOURCE_GUEST_0`, and so on; on a pool, a uuid is a name too.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; `Malformed` when several have the name; those of the toolstack.
    pub fn guest(&self, name: &str, context: &Context) -> Result<Guest> {
        if let Some((estate, reference)) = self.called(Class::Guest, name) {
            let record = estate.ask(context, |toolstack, watch| toolstack.guest(&reference, watch))?;
            return Ok(estate.guest(&record, context));
        }
        if let Some(place) = self.places.iter().find(|p| p.name() == name) {
            return Ok(self.hand_out(place, context));
        }
        let number = number(name, GUEST);
        for estate in self.estates().iter().filter(|_| number.is_none()) {
            if let Some(record) = estate.guest_named(name, context)? {
                return Ok(estate.guest(&record, context));
            }
        }
        let all = self.guests(context)?;
        if let Some(guest) = number.and_then(|number| all.get(number)) {
            return Ok(guest.clone());
        }
        let names: Vec<&str> = all.iter().map(Guest::name).collect();
        Err(self.no_guest(&format!("no guest `{name}` in this lab"), Some(name), &names))
    }

    /// The first guest: the one that is meant when there is no name.
    ///
    /// # Errors
    /// `NotFound` when there is none; those of the toolstack.
    pub fn first(&self, context: &Context) -> Result<Guest> {
        if let Some(place) = self.places.first() {
            return Ok(self.hand_out(place, context));
        }
        self.guest(&format!("{GUEST}0"), context).map_err(|error| match error.kind {
            Kind::NotFound => self.no_guest("there is no guest in this lab", None, &[]),
            _ => error,
        })
    }

    /// All guests: those known by their addresses in order, then each hypervisor's by name.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn guests(&self, context: &Context) -> Result<Vec<Guest>> {
        let mut all: Vec<Guest> = self.places.iter().map(|place| self.hand_out(place, context)).collect();
        let mut seen = HashSet::new();
        for estate in self.estates() {
            let records = estate.ask(context, |toolstack, watch| toolstack.guests(watch))?;
            // A host that has joined a pool leads to the same guests as the pool.
            let news = records.iter().filter(|record| seen.insert(record.uuid.clone()));
            all.extend(news.map(|record| estate.guest(record, context)));
        }
        Ok(all)
    }

    /// A host for the testcase of `context`, as [`Lab::find_host`] finds it.
    ///
    /// # Errors
    /// As [`Lab::find_host`].
    pub fn host(&self, name: Option<&str>, context: &Context) -> Result<Host> {
        let (estate, record) = self.find_host(name, context)?;
        Ok(Host::new(estate, &record, context.clone()))
    }

    /// All hosts, of each pool the master first.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn hosts(&self, context: &Context) -> Result<Vec<Host>> {
        let all = self.find_hosts(context)?;
        Ok(all.into_iter().map(|(estate, record)| Host::new(estate, &record, context.clone())).collect())
    }

    /// A pool for the testcase of `context`, as [`Lab::find_pool`] finds it.
    ///
    /// # Errors
    /// As [`Lab::find_pool`].
    pub fn pool(&self, name: Option<&str>, context: &Context) -> Result<Pool> {
        let (estate, record) = self.find_pool(name, context)?;
        Ok(Pool::new(estate, &record, context.clone()))
    }

    /// Those who make trouble on demand on the first hypervisor: a simulated one does.
    ///
    /// # Errors
    /// `NotFound` when there is no hypervisor.
    pub fn sim(&self, context: &Context) -> Result<Sim> {
        match self.estates().into_iter().next() {
            Some(estate) => Ok(Sim::new(estate, context.clone())),
            None => Err(self.none("pool", None, &[])),
        }
    }

    /// The host of this name (or uuid, or address), as it is now; without a name the first. Sequences also name the first host
    /// `RESOURCE_HOST_0`, and so on, or `RESOURCE_HOST_DEFAULT`.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; those of the toolstack.
    pub fn find_host(&self, name: Option<&str>, context: &Context) -> Result<(Arc<Estate>, toolstack::Host)> {
        let numbered = format!("{HOST}0");
        let name = name.map(|name| if name.strip_prefix(HOST) == Some(DEFAULT) { numbered.as_str() } else { name });
        if let Some((estate, reference)) = name.or(Some(&numbered)).and_then(|name| self.called(Class::Host, name)) {
            match estate.ask(context, |toolstack, watch| toolstack.host(&reference, watch)) {
                Ok(host) => return Ok((estate, host)),
                // It may have joined another pool, or left one.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let mut all = self.find_hosts(context)?;
        let names: Vec<String> = all.iter().map(|(_, host)| host.name.clone()).collect();
        let is_called = |host: &toolstack::Host, name: &str| {
            [&host.name, &host.uuid, &host.address, &host.hostname].contains(&&name.to_string())
        };
        let place = match name {
            None => (!all.is_empty()).then_some(0),
            Some(name) => {
                let address = self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
                let names = [Some(name), address.as_deref()];
                let by_name = names.iter().flatten().find_map(|name| all.iter().position(|(_, host)| is_called(host, name)));
                by_name.or_else(|| number(name, HOST).filter(|number| *number < all.len()))
            }
        };
        place.map(|place| all.swap_remove(place)).ok_or_else(|| self.none("host", name, &names))
    }

    /// All hosts of all hypervisors, of each the master first.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn find_hosts(&self, context: &Context) -> Result<Vec<(Arc<Estate>, toolstack::Host)>> {
        let mut all = Vec::new();
        for estate in self.estates() {
            let mut hosts = estate.ask(context, |toolstack, watch| toolstack.hosts(watch))?;
            if hosts.len() > 1 {
                let master = estate.ask(context, |toolstack, watch| toolstack.pool(watch))?.master;
                hosts.sort_by_key(|host| host.reference != master);
            }
            // A host that has joined a pool leads to the same hosts as the pool.
            hosts.retain(|host| !all.iter().any(|(_, known): &(Arc<Estate>, toolstack::Host)| known.uuid == host.uuid));
            all.extend(hosts.into_iter().map(|host| (estate.clone(), host)));
        }
        Ok(all)
    }

    /// The pool of this name or uuid, as it is now; without a name the first. Sequences also name the first pool `RESOURCE_POOL_0`.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; those of the toolstack.
    pub fn find_pool(&self, name: Option<&str>, context: &Context) -> Result<(Arc<Estate>, toolstack::Pool)> {
        let numbered = format!("{POOL}0");
        if let Some((estate, _)) = name.or(Some(&numbered)).and_then(|name| self.called(Class::Pool, name)) {
            let pool = estate.ask(context, |toolstack, watch| toolstack.pool(watch))?;
            return Ok((estate, pool));
        }
        let number = name.map_or(Some(0), |name| number(name, POOL));
        let mut names = Vec::new();
        for (place, estate) in self.estates().into_iter().enumerate() {
            let pool = estate.ask(context, |toolstack, watch| toolstack.pool(watch))?;
            let is_called = name.is_some_and(|name| [pool.name.as_str(), &pool.uuid, estate.name()].contains(&name));
            if is_called || number == Some(place) {
                return Ok((estate, pool));
            }
            names.push(if pool.name.is_empty() { estate.name().to_string() } else { pool.name });
        }
        Err(self.none("pool", name, &names))
    }

    /// The guests that the testcase of `context` has asked for, in the order asked.
    pub fn held(&self, context: &Context) -> Vec<Guest> {
        let estates = self.estates();
        self.hands.held(context).into_iter().chain(estates.iter().flat_map(|estate| estate.hands.held(context))).collect()
    }

    /// Fetches the logs of the machines that the testcase has asked for and of the hosts of their pools, side by side, and pictures
    /// of the guests' consoles. What cannot be fetched is a warning.
    pub fn collect_logs(&self, context: &Context) {
        let asked = self.held(context);
        for guest in &asked {
            guest.hold_its_hosts();
        }
        let machines = self.held(context);
        let collect = |guest: &Guest| {
            if asked.iter().any(|one| one.is_same(guest)) {
                guest.keep_its_picture();
            }
            if let Err(error) = guest.collect_logs_among(machines.len()) {
                context.log(Level::Warning, format!("the logs of {} are not complete: {}", guest.name(), error.what));
            }
            Ok(())
        };
        if let Err(error) = super::several::each(&machines, context, collect) {
            context.log(Level::Warning, format!("the logs are not complete: {}", error.what));
        }
    }

    /// Takes back what the testcase had in hand: its jobs end, its temporary directories go. What cannot be cleaned up is a warning,
    /// and so is what it made on a hypervisor and has not removed.
    pub fn give_back(&self, context: &Context) {
        self.hands.give_back(context);
        for estate in self.estates() {
            estate.give_back(context);
        }
    }

    /// What the work of `context` has made on hypervisors stays: it is not its to remove.
    pub fn keep(&self, context: &Context) {
        self.estates().iter().for_each(|estate| estate.hands.keep(context));
    }

    /// Ends the sessions on all hypervisors.
    pub fn close(&self) {
        self.estates().iter().for_each(|estate| estate.close());
    }

    fn hand_out(&self, place: &Arc<Place>, context: &Context) -> Guest {
        self.hands.hand_out(place, context, |place| Guest::new(place, context.clone()))
    }

    fn no_guest(&self, what: &str, name: Option<&str>, names: &[&str]) -> Error {
        let near = name.and_then(|name| did_you_mean(name, names.iter().copied()));
        let help = match near {
            Some(near) => near,
            None if self.is_empty() => "name one: `--guest 10.0.0.5`, or `--guest local` for this machine".to_string(),
            None if names.is_empty() => format!("{} has none yet", self.shown().join(", ")),
            None => format!("there is: {}", names.join(", ")),
        };
        Error::new(Kind::NotFound, what).help(help)
    }

    fn none(&self, sort: &str, name: Option<&str>, names: &[String]) -> Error {
        let what = match name {
            Some(name) => format!("no {sort} `{name}` in this lab"),
            None => format!("there is no {sort} in this lab"),
        };
        let near = name.and_then(|name| did_you_mean(name, names.iter().map(String::as_str)));
        let help = match near {
            Some(near) => near,
            None if names.is_empty() => {
                return Error::new(Kind::NotFound, what).blame(Blame::User).help("name one: `--host h1`, or `--host sim`");
            }
            None => format!("there is: {}", names.join(", ")),
        };
        Error::new(Kind::NotFound, what).help(help)
    }
}

/// The number in a name such as `RESOURCE_HOST_1`.
fn number(name: &str, prefix: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.parse().ok()
}

/// A name for each machine: the one wanted, with `#2` on the second of the same.
pub(super) fn names<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in wanted {
        let mut unique = name.to_string();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}#{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::{Nowhere, context};

    fn lab(wanted: &[&str]) -> Lab {
        let place = |name: String| Place::new(name, "local".parse().unwrap(), Arc::new(Nowhere), 1.0);
        Lab::new(names(wanted.iter().copied()).into_iter().map(place).collect())
    }

    #[test]
    fn machines_of_the_same_name_are_numbered() {
        assert_eq!(lab(&["h", "h", "g", "h"]).names(), ["h", "h#2", "g", "h#3"]);
    }

    #[test]
    fn a_wrong_name_gets_the_nearest() {
        let context = context();
        let error = lab(&["winguest", "debian"]).guest("wingest", &context).err().unwrap();
        assert_eq!(
            (error.what.as_str(), error.help.as_deref()),
            ("no guest `wingest` in this lab", Some("did you mean `winguest`?"))
        );
        let error = lab(&[]).first(&context).err().unwrap();
        assert!(error.help.unwrap().contains("--guest"));
    }

    #[test]
    fn a_testcase_holds_what_it_asked_for_and_gives_it_back() {
        let (lab, context) = (lab(&["a", "b", "c"]), context());
        let first = lab.guest("b", &context).unwrap();
        first.add_log_file("/x").unwrap();
        let again = lab.guest("b", &context).unwrap();
        assert_eq!(again.held().log_files, ["/x"], "the same guest");
        lab.first(&context).unwrap();
        let held = |lab: &Lab| lab.held(&context).iter().map(|g| g.name().to_string()).collect::<Vec<_>>();
        assert_eq!(held(&lab), ["b", "a"]);
        lab.give_back(&context);
        assert!(held(&lab).is_empty());
    }
}
