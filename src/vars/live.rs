//! The variables of a run that goes on: read by testcases, set by whoever steers it.

use super::{Layer, Variables};
use crate::error::Result;
use std::sync::{Arc, PoisonError, RwLock};

/// Variables that may change while they are used. Clones are the same variables.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<RwLock<Variables>>);

impl Live {
    pub fn new(variables: Variables) -> Live {
        Live(Arc::new(RwLock::new(variables)))
    }

    /// The value of a variable now, as [`Variables::lookup`] gives it.
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, name: &str) -> Result<Option<String>> {
        self.read(|variables| variables.lookup(name))
    }

    /// Whether a variable says yes now.
    ///
    /// # Errors
    /// As [`Variables::boolean`].
    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        self.read(|variables| variables.boolean(name))
    }

    /// Sets a variable in the strongest layer. `origin` is who did it, as shown to people.
    ///
    /// # Errors
    /// As [`Variables::set_from`].
    pub fn set(&self, name: &str, value: impl Into<String>, origin: impl Into<String>) -> Result<()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).set_from(Layer::Live, name, value, origin)
    }

    /// Looks at all variables as they are at one moment.
    pub fn read<T>(&self, look: impl FnOnce(&Variables) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<Variables> for Live {
    fn from(variables: Variables) -> Live {
        Live::new(variables)
    }
}
