//! What a `<prepare>` asks for: pools, hosts, storage, networks and VMs.

use serde::{Deserialize, Serialize};

/// Everything that is to be there before the tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {}
