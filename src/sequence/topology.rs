//! What a `<prepare>` asks for: pools, hosts, storage, networks and VMs.

use super::scope::Scope;
use super::xml::Element;
use serde::{Deserialize, Serialize};

/// Everything that is to be there before the tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {}

/// Reads a `<prepare>` or `<preprepare>`. What is wrong with it is told.
pub fn read(_element: &Element, _scope: &mut Scope<'_>) -> Topology {
    Topology {}
}
