//! A hypervisor or a pool of them, with what a run knows of it: how to get into its machines, and where each of them is.

use super::access::Access;
use super::address::Address;
use super::guest::{Guest, Vm};
use super::hands::Hands;
use super::made::{Made, UNINSTALL};
use super::place::Place;
use super::wait::{Look, Patience};
use super::way::{Find, Way};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::name::did_you_mean;
use crate::secret::Secret;
use crate::time::Cancel;
use crate::toolstack::{self, Ref, Toolstack, Watch};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Key of a host's or guest's `other_config`: the port of SSH there, where it is not 22.
pub const SSH_PORT_KEY: &str = "xrt:ssh-port";

/// Key of a host's or guest's `other_config`: the user to log in as, where it is not root.
pub const SSH_USER_KEY: &str = "xrt:ssh-user";

/// A toolstack with what a run knows of it. Shared by testcases.
pub struct Estate {
    toolstack: Arc<dyn Toolstack>,
    /// How to get into guests.
    access: Access,
    /// How to get into hosts.
    host_access: Access,
    /// Of the toolstack, for hosts that join.
    password: Mutex<Option<Secret>>,
    /// By uuid of the host or guest.
    places: Mutex<HashMap<String, Arc<Place>>>,
    /// Guests by the names under which they were found: a hint, to be checked.
    found: Mutex<HashMap<String, Ref>>,
    pub(super) hands: Hands,
    /// Pools to which its guests went, and which are none of the run's, by address.
    beyond: Mutex<Vec<(String, Arc<Estate>)>>,
}

impl Estate {
    /// Nothing is connected yet.
    pub fn new(toolstack: Arc<dyn Toolstack>, access: Access) -> Arc<Estate> {
        let host_access = access.clone();
        Estate::with_host_access(toolstack, access, host_access)
    }

    /// As [`Estate::new`], with another way into the hosts than into the guests.
    pub fn with_host_access(toolstack: Arc<dyn Toolstack>, access: Access, host_access: Access) -> Arc<Estate> {
        let (password, places, found, hands) = (Mutex::default(), Mutex::default(), Mutex::default(), Hands::default());
        Arc::new(Estate { toolstack, access, host_access, password, places, found, hands, beyond: Mutex::default() })
    }

    /// As shown to people: "xapi on 10.0.0.5".
    pub fn name(&self) -> &str {
        self.toolstack.name()
    }

    pub fn toolstack(&self) -> &dyn Toolstack {
        &*self.toolstack
    }

    /// The patience with this lab's factor.
    pub fn patience(&self, usual: Patience) -> Patience {
        usual.scaled(self.access.patience)
    }

    /// Asks something that is answered at once.
    ///
    /// # Errors
    /// Those of the question.
    pub fn ask<T>(&self, context: &Context, question: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<T>) -> Result<T> {
        self.ask_under(&context.cancel(), context, question)
    }

    /// As [`Estate::ask`], in a look of a wait: under the wait's own flag.
    ///
    /// # Errors
    /// Those of the question.
    pub fn ask_under<T>(
        &self,
        cancel: &Cancel,
        context: &Context,
        question: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<T>,
    ) -> Result<T> {
        let watch = Watch::silent(cancel, self.patience(Patience::QUESTION).limit);
        let result = question(&*self.toolstack, watch);
        self.pass_on_warnings(context);
        result
    }

    /// Asks for something that takes its time, and tells how far it is.
    ///
    /// # Errors
    /// Those of the order.
    pub fn order<T>(
        &self,
        context: &Context,
        action: &Action<'_>,
        patience: Patience,
        order: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<T>,
    ) -> Result<T> {
        let cancel = context.cancel();
        let progress = |part: f64| action.progress(format!("{:.0} % done there", part * 100.0), Some(part));
        let result = order(&*self.toolstack, Watch { cancel: &cancel, limit: patience.limit, progress: &progress });
        self.pass_on_warnings(context);
        result
    }

    /// Waits until something about these has changed, or for so long; where there are no events, only for so long.
    ///
    /// # Errors
    /// Those of the flag.
    pub fn pause(&self, cancel: &Cancel, things: &[Ref], token: &mut String, longest: Duration) -> Result<()> {
        if self.toolstack.wait_change(things, token, Watch::silent(cancel, longest)).is_ok() {
            return cancel.check();
        }
        token.clear();
        cancel.sleep(longest)
    }

    /// The inside of a host's control domain.
    ///
    /// # Errors
    /// `Malformed` for a port or an address that cannot be.
    pub fn place_of_host(&self, host: &toolstack::Host) -> Result<Arc<Place>> {
        let address = address(&host.address, &host.other_config, &host.name)?;
        let place = self.place(&host.uuid, || {
            let access = self.host_access.clone();
            let way = Way::new(&host.name, None, Box::new(move |address| access.transport(address)));
            Place::late(&host.name, way, self.host_access.patience)
        });
        place.is_at(&address);
        Ok(place)
    }

    /// The inside of a guest. Its address is asked for when it is needed, and again when the guest no longer answers there.
    pub fn place_of_guest(&self, guest: &toolstack::Guest) -> Arc<Place> {
        let place = self.place(&guest.uuid, || {
            let access = self.access.clone();
            let way = Way::new(&guest.name, Some(self.finds(&guest.reference)), Box::new(move |address| access.entrance(address)));
            Place::late(&guest.name, way, self.access.patience)
        });
        if let Ok(address) = where_it_is(guest) {
            place.is_at(&address);
        }
        place
    }

    /// How it says where a guest of it is.
    fn finds(&self, guest: &Ref) -> Find {
        let (toolstack, reference) = (self.toolstack.clone(), guest.clone());
        let limit = self.patience(Patience::QUESTION).limit;
        Arc::new(move |cancel| where_it_is(&toolstack.guest(&reference, Watch::silent(cancel, limit))?))
    }

    /// A guest has come here from another pool; it is reached where it was, until it no longer answers there.
    pub(super) fn houses(&self, place: &Arc<Place>, vm: &Vm) {
        place.is_found_by(self.finds(&vm.reference));
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(vm.uuid.clone(), place.clone());
    }

    /// A guest of it went to another pool: what a testcase is to remove, it is to remove there.
    pub(super) fn sends(&self, context: &Context, place: &Arc<Place>, vm: &Vm, to: &Vm) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&vm.uuid);
        let is_made = self.hands.gone(&vm.reference);
        self.hands.hand_over(place, &to.estate.hands);
        if is_made {
            let what = format!("the guest `{}`", place.name());
            to.estate.hands.made(context, Made::named(what, place.name(), UNINSTALL).is(&to.reference));
        }
    }

    /// A pool that is none of the run's, by the address of its master; the same one each time. It ends with this one.
    ///
    /// # Errors
    /// `Malformed`: the address. `Unsupported`: the toolstack knows no others.
    pub(super) fn beyond(&self, address: &str, user: Option<&str>, password: Option<Secret>) -> Result<Arc<Estate>> {
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = beyond.iter().find(|(known, _)| known == address) {
            return Ok(known.clone());
        }
        let password = password.or_else(|| self.login().map(|(_, password)| password));
        let toolstack = self.toolstack.another(address, user, password)?;
        let estate = Estate::with_host_access(toolstack, self.access.clone(), self.host_access.clone());
        beyond.push((address.to_string(), estate.clone()));
        Ok(estate)
    }

    /// Looks whether the host at an address answers as a pool of its own, enabled.
    pub(super) fn lone_host(&self, address: &str, uuid: &str, watch: Watch<'_>) -> Result<Look<toolstack::Host>> {
        let password = self.login().map(|(_, password)| password);
        // Another one each time: one that was sent to the master of the pool that it was in stays there.
        let there = self.toolstack.another(address, None, password)?;
        let found = there.hosts(watch);
        there.log_out();
        Ok(match found?.as_slice() {
            [host] if host.uuid != uuid => Look::NotYet(format!("{} answers there", host.name)),
            [host] if host.is_live && host.is_enabled => Look::Done(host.clone()),
            [_] => Look::NotYet("it is not enabled yet".into()),
            hosts => Look::NotYet(format!("it is in a pool of {} hosts", hosts.len())),
        })
    }

    /// Ends its session, and those with pools beyond it.
    pub(super) fn close(&self) {
        self.all_beyond().iter().for_each(|estate| estate.close());
        self.toolstack.log_out();
    }

    fn all_beyond(&self) -> Vec<Arc<Estate>> {
        self.beyond.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, estate)| estate.clone()).collect()
    }

    /// The control domain of a host in the hands of the testcase of `context`; the same one each time.
    ///
    /// # Errors
    /// As [`Estate::place_of_host`].
    pub fn control_domain(&self, host: &toolstack::Host, context: &Context) -> Result<Guest> {
        let place = self.place_of_host(host)?;
        Ok(self.hands.hand_out(&place, context, |place| Guest::new(place, context.clone())))
    }

    /// Asks for something to be made: from then on it is the testcase's of `context` to remove. When no answer comes, it is looked for
    /// at the end.
    ///
    /// # Errors
    /// Those of the order.
    pub(super) fn make(
        &self,
        context: &Context,
        action: &Action<'_>,
        patience: Patience,
        wanted: Option<Made>,
        order: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<Ref>,
    ) -> Result<Ref> {
        let result = self.order(context, action, patience, order);
        match (&result, wanted) {
            (Ok(made), Some(wanted)) => self.hands.made(context, wanted.is(made)),
            (Err(error), Some(wanted)) if Made::is_open(error) => self.hands.made(context, wanted),
            _ => {}
        }
        result
    }

    /// By this password its toolstack lets in who may do everything.
    pub fn opens_with(&self, password: Secret) {
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = Some(password);
    }

    /// Who may do everything there, if that is known: what a host needs that joins.
    pub fn login(&self) -> Option<(&'static str, Secret)> {
        Some((super::address::ROOT, self.password.lock().unwrap_or_else(PoisonError::into_inner).clone()?))
    }

    /// The password of root on guests that are installed.
    pub fn guest_password(&self) -> Secret {
        self.access.given_password()
    }

    /// A guest in the hands of the testcase of `context`; the same one each time.
    pub fn guest(self: &Arc<Estate>, record: &toolstack::Guest, context: &Context) -> Guest {
        let place = self.place_of_guest(record);
        self.hands.hand_out(&place, context, |place| Guest::of(self.clone(), record, place, context.clone()))
    }

    /// The host of this name, address or uuid, as it is now.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; those of the toolstack.
    pub(super) fn host_called(&self, name: &str, context: &Context) -> Result<toolstack::Host> {
        let mut hosts = self.ask(context, |toolstack, watch| toolstack.hosts(watch))?;
        let found = hosts.iter().position(|h| [&h.name, &h.uuid, &h.address, &h.hostname].iter().any(|text| text.as_str() == name));
        found.map(|at| hosts.swap_remove(at)).ok_or_else(|| {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            let near = did_you_mean(name, names.iter().copied());
            let help = near.unwrap_or_else(|| format!("there is: {}", names.join(", ")));
            Error::new(Kind::NotFound, format!("no host `{name}` on {}", self.name())).help(help)
        })
    }

    /// The guest of this name or uuid, as it is now, if there is one.
    ///
    /// # Errors
    /// `Malformed` when several have the name; those of the toolstack.
    pub fn guest_named(&self, name: &str, context: &Context) -> Result<Option<toolstack::Guest>> {
        let known = self.lock_found().get(name).cloned();
        if let Some(known) = known
            && let Ok(guest) = self.ask(context, |toolstack, watch| toolstack.guest(&known, watch))
            && is_called(&guest, name)
        {
            return Ok(Some(guest));
        }
        let mut all = self.ask(context, |toolstack, watch| toolstack.guests(watch))?;
        all.retain(|guest| is_called(guest, name));
        if all.len() > 1 {
            let uuids: Vec<&str> = all.iter().map(|guest| guest.uuid.as_str()).collect();
            let what = format!("{} guests of {} are called `{name}`", all.len(), self.name());
            let help = format!("name one by its uuid: {}", uuids.join(", "));
            return Err(Error::new(Kind::Malformed, what).blame(Blame::Lab).help(help));
        }
        let found = all.pop();
        if let Some(guest) = &found {
            self.lock_found().insert(name.to_string(), guest.reference.clone());
        }
        Ok(found)
    }

    /// Takes back what the testcase had in hand; what it made and has not removed is a warning.
    pub(super) fn give_back(&self, context: &Context) {
        self.all_beyond().iter().for_each(|estate| estate.give_back(context));
        // The last first: so the commands can be given as they stand.
        for made in self.hands.give_back(context).iter().rev() {
            made.tell(self, context);
        }
    }

    fn place(&self, uuid: &str, make: impl FnOnce() -> Place) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(uuid) {
            return place.clone();
        }
        let place = Arc::new(make());
        places.insert(uuid.to_string(), place.clone());
        place
    }

    fn pass_on_warnings(&self, context: &Context) {
        for warning in self.toolstack.warnings() {
            context.log(Level::Warning, warning);
        }
    }

    fn lock_found(&self) -> MutexGuard<'_, HashMap<String, Ref>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_called(guest: &toolstack::Guest, name: &str) -> bool {
    guest.name == name || guest.uuid == name
}

/// Where a guest can be logged in to.
///
/// # Errors
/// `Unreachable` as long as nobody has said an address of it.
pub(super) fn where_it_is(guest: &toolstack::Guest) -> Result<Address> {
    match ip_of(guest) {
        Some(ip) => address(&ip.to_string(), &guest.other_config, &guest.name),
        None => {
            let said = if guest.inside.is_none() { "its agent says nothing" } else { "no address of it is known yet" };
            Err(Error::new(Kind::Unreachable, format!("`{}` is {}, and {said}", guest.name, guest.state.word())))
        }
    }
}

/// The address that the agent in a guest tells: IPv4 before IPv6, the first interface before the others.
pub(super) fn ip_of(guest: &toolstack::Guest) -> Option<IpAddr> {
    let networks = &guest.inside.as_ref()?.networks;
    let mut all: Vec<(bool, u32, IpAddr)> = networks.iter().filter_map(|(key, text)| told(key, text)).collect();
    all.sort();
    all.first().map(|(_, _, ip)| *ip)
}

/// One address that a guest has, by a key such as "0/ip" or "1/ipv6/0"; nothing for one that leads nowhere.
fn told(key: &str, text: &str) -> Option<(bool, u32, IpAddr)> {
    let (interface, kind) = key.split_once('/')?;
    let ip: IpAddr = text.trim().parse().ok()?;
    let is_usable = match ip {
        IpAddr::V4(ip) => !(ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast()),
        IpAddr::V6(ip) => !(ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_loopback()),
    };
    let is_address = kind == "ip" || kind.starts_with("ipv4/") || kind.starts_with("ipv6/");
    (is_usable && is_address).then_some((ip.is_ipv6(), interface.parse().ok()?, ip))
}

/// An address with the port and user that operators keep with a machine.
fn address(host: &str, other_config: &BTreeMap<String, String>, machine: &str) -> Result<Address> {
    let wrong = |key: &str, value: &str| {
        Error::new(Kind::Malformed, format!("other_config[{key}] of `{machine}` is `{value}`")).blame(Blame::Lab)
    };
    if host.is_empty() {
        let what = format!("`{machine}` has no address");
        return Err(Error::new(Kind::Unreachable, what));
    }
    let port = match other_config.get(SSH_PORT_KEY) {
        None => super::address::SSH_PORT,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(wrong(SSH_PORT_KEY, text).help("write a number from 1 to 65535 there, or remove it for port 22")),
        },
    };
    let user = other_config.get(SSH_USER_KEY).cloned();
    if let Some(user) = user.as_ref().filter(|user| user.is_empty() || user.contains(char::is_whitespace)) {
        return Err(wrong(SSH_USER_KEY, user).help("write the name of a user there, or remove it for root"));
    }
    Ok(Address::Remote { user, password: None, host: host.to_string(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::{Class, Inside, MemoryLimits, PowerState};

    fn guest(networks: &[(&str, &str)], other_config: &[(&str, &str)]) -> toolstack::Guest {
        let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        toolstack::Guest {
            reference: Ref::new(Class::Guest, "r"),
            uuid: "u".into(),
            name: "vm1".into(),
            description: String::new(),
            state: PowerState::Up,
            host: None,
            affinity: None,
            is_template: false,
            domid: Some(3),
            vcpus: 1,
            vcpus_max: 1,
            memory: MemoryLimits::default(),
            memory_actual: None,
            is_hvm: false,
            inside: Some(Inside { networks: texts(networks), ..Inside::default() }),
            other_config: texts(other_config),
            tags: Vec::new(),
            allowed: Vec::new(),
        }
    }

    #[test]
    fn the_address_of_a_guest_is_the_first_that_leads_there() {
        let check = |networks: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(ip_of(&guest(networks, &[])).map(|ip| ip.to_string()).as_deref(), expected, "{networks:?}");
        };
        check(&[], None);
        check(&[("0/ip", "169.254.1.2"), ("1/ip", "0.0.0.0"), ("2/ip", "255.255.255.255"), ("3/ip", "none")], None);
        check(&[("0/ipv6/0", "fe80::1"), ("0/ipv6/1", "::")], None);
        check(&[("0/ipv6/0", "2001:db8::1"), ("1/ip", "10.0.0.6")], Some("10.0.0.6"));
        check(&[("10/ip", "10.0.0.10"), ("2/ip", "10.0.0.2")], Some("10.0.0.2"));
        check(&[("0/ip", ""), ("0/ipv4/0", "10.0.0.7")], Some("10.0.0.7"));
        check(&[("0/ipv6/0", "fe80::1"), ("0/ipv6/1", "2001:db8::1")], Some("2001:db8::1"));
        check(&[("0/mac", "10.0.0.1"), ("ip", "10.0.0.1"), ("x/ip", "10.0.0.1")], None);
    }

    #[test]
    fn port_and_user_are_as_its_operators_keep_them() {
        let at = |other_config: &[(&str, &str)]| where_it_is(&guest(&[("0/ip", "10.0.0.5")], other_config));
        let shown = |other_config: &[(&str, &str)]| at(other_config).unwrap().to_string();
        assert_eq!(shown(&[]), "10.0.0.5");
        assert_eq!(shown(&[(SSH_PORT_KEY, "2222"), (SSH_USER_KEY, "admin")]), "admin@10.0.0.5:2222");
        for (key, value) in [(SSH_PORT_KEY, "ssh"), (SSH_PORT_KEY, "0"), (SSH_PORT_KEY, "70000"), (SSH_USER_KEY, "a b")] {
            let error = at(&[(key, value)]).unwrap_err();
            assert_eq!((error.kind, error.blame), (Kind::Malformed, Blame::Lab), "{value}");
            assert!(error.what.contains(key) && error.help.is_some(), "{}", error.what);
        }
        let error = where_it_is(&guest(&[], &[])).unwrap_err();
        assert_eq!((error.kind, error.what.as_str()), (Kind::Unreachable, "`vm1` is UP, and no address of it is known yet"));
    }
}
