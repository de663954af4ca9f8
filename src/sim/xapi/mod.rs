//! XAPI's classes, a file each: what their messages do. What every class has in the same way is in `generic.rs`.
//!
//! Never true here: that a state is reached which a real pool cannot be in, that a message of the datamodel which is not simulated does
//! nothing and says that it went well (it answers `NOT_IMPLEMENTED`).
//!
//! To add a message: a function in the file of its class, and its name in that file's `method`.

pub mod bond;
mod device;
pub mod domain;
mod evacuate;
pub mod event;
mod ha;
pub mod host;
pub mod join;
mod netboot;
pub mod network;
pub mod pbd;
pub mod pif;
pub mod pool;
mod record;
pub mod session;
pub mod simulator;
pub mod sr;
pub mod task;
pub mod vbd;
pub mod vdi;
pub mod vif;
pub mod vlan;
pub mod vm;
pub mod vm_config;
mod vm_copy;
mod vm_cross;
mod vm_migrate;
pub mod vm_rules;

pub use domain::machine_did;
pub use session::Sessions;

use super::world::Method;

/// The message of a class that does something of its own.
pub fn method(class: &str, name: &str) -> Option<Method> {
    match class {
        "Bond" => bond::method(name),
        "PBD" => pbd::method(name),
        "PIF" => pif::method(name),
        "SR" => sr::method(name),
        "VBD" => vbd::method(name),
        "VDI" => vdi::method(name),
        "VIF" => vif::method(name),
        "VLAN" => vlan::method(name),
        "VM" => vm::method(name),
        "event" => event::method(name),
        "host" => host::method(name),
        "network" => network::method(name),
        "pool" => pool::method(name),
        "session" => session::method(name),
        "simulator" => simulator::method(name),
        "task" => task::method(name),
        _ => record::method(class, name),
    }
}
