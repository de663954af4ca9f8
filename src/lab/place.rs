//! A machine reached from inside, shared by all testcases of a run: one connection, and what is known about it.

use super::address::Address;
use super::facts::Facts;
use crate::wire::Transport;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A machine that is reached from inside.
pub struct Place {
    name: String,
    address: Address,
    transport: Arc<dyn Transport>,
    /// What every built-in limit is multiplied by.
    scale: f64,
    facts: Mutex<Option<Arc<Facts>>>,
    reached: AtomicBool,
    /// One installation at a time: package managers lock each other out.
    pub(super) installing: Mutex<()>,
}

impl Place {
    /// `transport` reaches what `address` names; no connection is made before it is needed.
    pub fn new(name: impl Into<String>, address: Address, transport: Arc<dyn Transport>, scale: f64) -> Place {
        Place {
            name: name.into(),
            address,
            transport,
            scale,
            facts: Mutex::default(),
            reached: AtomicBool::new(false),
            installing: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// Whether it is the machine that this program runs on.
    pub fn is_here(&self) -> bool {
        self.address.is_local()
    }

    /// Whether it has ever answered in this run.
    pub fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        self.reached.store(true, Ordering::Relaxed);
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

    fn lock_facts(&self) -> MutexGuard<'_, Option<Arc<Facts>>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
