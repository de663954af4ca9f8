//! All that there is: the pools, and the site in which they stand.

use super::clock::Clock;
use super::failure::{Failure, Outcome};
use super::inside::Inside;
use super::options::Options;
use super::store::Store;
use super::trouble::Troubles;
use super::value::{Ref, Value};
use super::xapi::Sessions;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// The simulated world.
pub struct World {
    /// A pool that has been joined to another stays, empty.
    pub pools: Vec<Store>,
    pub site: Site,
}

/// What pools share: time, addresses, passwords, storage, and the insides of machines.
pub struct Site {
    pub clock: Clock,
    pub options: Options,
    pub user: String,
    pub password: String,
    pub sessions: Sessions,
    pub troubles: Troubles,
    pub inside: Arc<dyn Inside>,
    /// The port of SSH on the addresses of all machines.
    pub ssh_port: u16,
    /// Addresses are given out from here on.
    pub first_address: u32,
    pub next_address: u32,
    /// Where each host's toolstack answers and in which pool it is, by the host's UUID.
    pub hosts: BTreeMap<String, HostPlace>,
    /// Tasks that somebody wants to end.
    pub cancelled: HashSet<Ref>,
    /// Storage outside of the hosts, by what addresses it: the SRs on it with their disks.
    pub arrays: HashMap<String, Vec<super::array::Volume>>,
    pub next_domid: i64,
    /// What is installed on disks, by the UUID of the VDI ("debian12"). No field says it: only whoever boots from the disk finds out.
    pub systems: HashMap<Arc<str>, Arc<str>>,
    /// The addresses of guests, by UUID; each keeps its own.
    pub addresses: HashMap<Arc<str>, Ipv4Addr>,
    /// Counts the changes of [`HostPlace`]s.
    pub moves: u64,
    /// SRs that trouble has filled.
    pub filled: HashSet<Ref>,
    /// How many calls have begun.
    pub calls: u64,
}

/// Where a host stands.
#[derive(Clone, Debug, PartialEq)]
pub struct HostPlace {
    pub pool: usize,
    pub address: Ipv4Addr,
    /// Whether its toolstack answers.
    pub is_up: bool,
}

/// What a method works with: the records of its pool, the site, and who called where.
pub struct Cx<'a> {
    pub db: &'a mut Store,
    pub site: &'a mut Site,
    pub pool: usize,
    pub session: Ref,
    /// The UUID of the host that was asked.
    pub door: Arc<str>,
    /// The task of an asynchronous call.
    pub task: Ref,
}

impl Site {
    /// Says whether the toolstack of a host answers from now on.
    pub fn set_up(&mut self, uuid: &str, is_up: bool) {
        if let Some(place) = self.hosts.get_mut(uuid) {
            place.is_up = is_up;
            self.moves += 1;
        }
    }

    pub fn fresh_address(&mut self) -> Ipv4Addr {
        self.next_address += 1;
        // The last byte of an address is neither 0 nor 255.
        while matches!(self.next_address & 0xff, 0 | 0xff) {
            self.next_address += 1;
        }
        Ipv4Addr::from(self.next_address)
    }
}

impl Cx<'_> {
    pub fn now(&self) -> i64 {
        self.site.clock.unix()
    }

    /// Does something later in this pool.
    pub fn after(&mut self, delay: Duration, deed: impl FnOnce(&mut Cx<'_>) + Send + 'static) {
        self.site.clock.after(delay, self.pool, deed);
    }

    /// The record of the pool itself.
    pub fn pool_record(&self) -> Ref {
        self.db.all("pool").first().copied().unwrap_or_default()
    }

    pub fn master(&self) -> Ref {
        self.db.link(self.pool_record(), "master")
    }

    /// The host that was asked.
    pub fn door_host(&self) -> Ref {
        self.db.by_uuid("host", &self.door).unwrap_or_default()
    }

    /// # Errors
    /// `HANDLE_INVALID`.
    pub fn known(&self, class: &str, reference: Ref) -> Outcome<Ref> {
        let is_there = self.db.exists(reference) && self.db.class(reference).is_some_and(|of| of.name == class);
        if is_there { Ok(reference) } else { Err(Failure::new("HANDLE_INVALID", [class.to_string(), reference.to_string()])) }
    }
}

impl World {
    /// The context of something that the pool does by itself.
    pub fn cx(&mut self, pool: usize) -> Option<Cx<'_>> {
        let db = self.pools.get_mut(pool)?;
        Some(Cx { db, site: &mut self.site, pool, session: Ref::NULL, door: Arc::from(""), task: Ref::NULL })
    }

    /// Does what is due.
    pub fn settle(&mut self) {
        // Each deed may make others due; a circle of them must not hold up everything.
        for _ in 0..100_000 {
            let Some((pool, deed)) = self.site.clock.due() else { return };
            if let Some(mut cx) = self.cx(pool) {
                deed(&mut cx);
            }
        }
    }

    /// A number that changes whenever a record does.
    pub fn generation(&self) -> u64 {
        self.pools.iter().map(Store::generation).sum()
    }
}

/// How a call goes on.
pub enum Answer {
    Done(Value),
    /// After a simulated duration.
    Later(Later),
    /// When something has changed, or a limit is over.
    Wait(Wait),
    /// With more than its own pool.
    Wide(Wide),
}

type Wide = Box<dyn FnOnce(&mut World, usize) -> Outcome<Answer> + Send>;
type Undo = Box<dyn FnOnce(&mut Cx<'_>) + Send>;
type Look = Box<dyn FnMut(&mut Cx<'_>, bool) -> Outcome<Option<Value>> + Send>;
type Then = Box<dyn FnOnce(&mut Cx<'_>) -> Outcome<Answer> + Send>;

pub struct Later {
    pub takes: Duration,
    /// How far the task is at the end of this.
    pub progress: f64,
    pub then: Then,
    /// What undoes it when the task is cancelled; without this it cannot be.
    pub undo: Option<Undo>,
}

pub struct Wait {
    /// Here, not simulated.
    pub limit: Duration,
    /// Told whether the limit is over.
    pub look: Look,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Answer {
        Answer::Done(value)
    }
}

/// The answer of a method that has no result.
pub fn done() -> Outcome<Answer> {
    Ok(Answer::Done(Value::Void))
}

/// A result that is there at once.
pub fn answer(value: impl Into<Value>) -> Outcome<Answer> {
    Ok(Answer::Done(value.into()))
}

/// Goes on after a simulated duration. What cannot be undone on the way cannot be cancelled.
pub fn later(takes: Duration, then: impl FnOnce(&mut Cx<'_>) -> Outcome<Answer> + Send + 'static) -> Outcome<Answer> {
    Ok(Answer::Later(Later { takes, progress: 1.0, then: Box::new(then), undo: None }))
}

/// An operation on an object that takes a simulated duration, shown in its `current_operations` until it is over; it can be cancelled.
pub fn operation(
    cx: &mut Cx<'_>,
    object: Ref,
    name: &'static str,
    takes: Duration,
    then: impl FnOnce(&mut Cx<'_>) -> Outcome<Answer> + Send + 'static,
) -> Outcome<Answer> {
    let key = if cx.task.is_null() { format!("OpaqueRef:{}", cx.db.fresh_uuid()) } else { cx.task.to_string() };
    cx.db.set_key(object, "current_operations", &key, name);
    let undo_key = key.clone();
    Ok(Answer::Later(Later {
        takes,
        progress: 1.0,
        then: Box::new(move |cx| {
            cx.db.remove_key(object, "current_operations", &key);
            then(cx)
        }),
        undo: Some(Box::new(move |cx| cx.db.remove_key(object, "current_operations", &undo_key))),
    }))
}

/// The parameters of a call after the session. One that was left out is [`Value::Void`].
pub struct Args(pub Vec<Value>);

static LEFT_OUT: Value = Value::Void;

impl Args {
    pub fn get(&self, at: usize) -> &Value {
        self.0.get(at).unwrap_or(&LEFT_OUT)
    }

    pub fn text(&self, at: usize) -> &str {
        self.get(at).as_str()
    }

    pub fn link(&self, at: usize) -> Ref {
        self.get(at).as_ref()
    }

    pub fn links(&self, at: usize) -> Vec<Ref> {
        self.get(at).as_set().iter().map(Value::as_ref).collect()
    }

    pub fn int(&self, at: usize) -> i64 {
        match self.get(at) {
            Value::Int(number) => *number,
            _ => 0,
        }
    }

    pub fn is(&self, at: usize) -> bool {
        *self.get(at) == Value::Bool(true)
    }

    pub fn map(&self, at: usize) -> BTreeMap<Arc<str>, Value> {
        self.get(at).as_map().cloned().unwrap_or_default()
    }
}

/// A method of a class.
pub type Method = fn(&mut Cx<'_>, &Args) -> Outcome<Answer>;
