//! A machine reached from inside, shared by all testcases of a run: one connection, and what is known about it.

use super::address::Address;
use super::facts::Facts;
use super::way::{Find, Way};
use crate::wire::Transport;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A machine that is reached from inside.
pub struct Place {
    name: Name,
    reach: Reach,
    /// What every built-in limit is multiplied by.
    scale: f64,
    facts: Mutex<Option<Arc<Facts>>>,
    reached: AtomicBool,
    /// Has answered, and was not taken down since.
    awake: AtomicBool,
    /// Its boot id when it was suspended.
    asleep: Mutex<Option<String>>,
    /// One installation at a time: package managers lock each other out.
    pub(super) installing: Mutex<()>,
}

/// A name, and the one that it was changed to. Those who hold the old one may go on doing so.
struct Name {
    text: String,
    next: OnceLock<Box<Name>>,
}

impl Name {
    fn new(text: String) -> Name {
        Name { text, next: OnceLock::new() }
    }

    fn last(&self) -> &Name {
        let mut name = self;
        while let Some(next) = name.next.get() {
            name = next;
        }
        name
    }
}

enum Reach {
    /// Where somebody said that it is.
    Fixed { address: Address, transport: Arc<dyn Transport> },
    /// Where its hypervisor says that it is.
    Late(Way),
}

impl Place {
    /// `transport` reaches what `address` names; no connection is made before it is needed.
    pub fn new(name: impl Into<String>, address: Address, transport: Arc<dyn Transport>, scale: f64) -> Place {
        Place::reached_by(name, Reach::Fixed { address, transport }, scale)
    }

    /// A machine whose address is found when it is first needed.
    pub(super) fn late(name: impl Into<String>, way: Way, scale: f64) -> Place {
        Place::reached_by(name, Reach::Late(way), scale)
    }

    fn reached_by(name: impl Into<String>, reach: Reach, scale: f64) -> Place {
        let (facts, asleep, installing) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (reached, awake) = (AtomicBool::new(false), AtomicBool::new(false));
        Place { name: Name::new(name.into()), reach, scale, facts, reached, awake, asleep, installing }
    }

    /// What it is called now.
    pub fn name(&self) -> &str {
        &self.name.last().text
    }

    /// It is called so from now on.
    pub(super) fn is_renamed(&self, name: &str) {
        let mut next = Box::new(Name::new(name.to_string()));
        // Somebody else may rename it meanwhile: the last one counts.
        while let Err(back) = self.name.last().next.set(next) {
            next = back;
        }
    }

    /// Where it is; nothing as long as its hypervisor has not said.
    pub fn address(&self) -> Option<Address> {
        match &self.reach {
            Reach::Fixed { address, .. } => Some(address.clone()),
            Reach::Late(way) => way.address(),
        }
    }

    /// Its hypervisor says that it is here now.
    pub(super) fn is_at(&self, address: &Address) {
        if let Reach::Late(way) = &self.reach {
            way.learn(address);
        }
    }

    /// Another hypervisor knows from now on where it is.
    pub(super) fn is_found_by(&self, find: Find) {
        if let Reach::Late(way) = &self.reach {
            way.is_found_by(find);
        }
    }

    pub fn transport(&self) -> &dyn Transport {
        match &self.reach {
            Reach::Fixed { transport, .. } => &**transport,
            Reach::Late(way) => way,
        }
    }

    /// Whether it is the machine that this program runs on.
    pub fn is_here(&self) -> bool {
        matches!(&self.reach, Reach::Fixed { address, .. } if address.is_local())
    }

    /// Whether it has ever answered in this run.
    pub fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        self.reached.store(true, Ordering::Relaxed);
        self.awake.store(true, Ordering::Relaxed);
    }

    /// Whether it has answered, and nobody here has taken it down since.
    pub(super) fn is_to_answer(&self) -> bool {
        self.awake.load(Ordering::Relaxed)
    }

    /// It is taken down, or started anew.
    pub(super) fn goes(&self) {
        self.awake.store(false, Ordering::Relaxed);
        self.transport().hang_up();
        self.forget_facts();
    }

    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    pub(super) fn known_facts(&self) -> Option<Arc<Facts>> {
        self.lock_facts().clone()
    }

    pub(super) fn learn(&self, facts: Facts) -> Arc<Facts> {
        let facts = Arc::new(facts);
        *self.lock_facts() = Some(facts.clone());
        facts
    }

    /// Forgets what may be otherwise after the next start.
    pub(super) fn forget_facts(&self) {
        *self.lock_facts() = None;
    }

    /// It is suspended, and had this boot id.
    pub(super) fn sleeps_with(&self, boot_id: Option<String>) {
        *self.asleep.lock().unwrap_or_else(PoisonError::into_inner) = boot_id;
    }

    /// The boot id that it was suspended with in this run, told once.
    pub(super) fn slept_with(&self) -> Option<String> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lock_facts(&self) -> MutexGuard<'_, Option<Arc<Facts>>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
