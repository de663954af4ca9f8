//! The reader that keeps everything it is told.

use super::{Event, Fact, Sink};
use crate::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps every event, for whoever wants to look at all of them: tests do. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Collector(Arc<Mutex<Vec<Event>>>);

impl Collector {
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    pub fn facts(&self) -> Vec<Fact> {
        self.lock().iter().map(|event| event.fact.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Collector {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        self.lock().push(event.clone());
        Ok(())
    }

    fn name(&self) -> String {
        "collector".into()
    }
}
