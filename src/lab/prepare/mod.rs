//! Preparation: what a sequence asks for is made on hosts that exist.
//!
//! A topology becomes a [`Graph`] of steps; what exists is an [`Inventory`]; comparing the two says what is to be done. Drawing and
//! comparing ask nobody: what is shown before, done, and checked afterwards is decided by the same functions.
//!
//! Never true here: that a thing is changed which was not asked for, that something is made without being written down as made, that a
//! failure stops what does not need it, that a second preparation does something again.
//!
//! To add a noun: a variant of [`Task`], where it is drawn (`draw.rs`), when it is there (`compare.rs`), and how it is made.

mod answers;
mod cabling;
mod clean;
mod compare;
mod draw;
mod graph;
mod ground;
mod host;
mod image;
mod install;
mod inventory;
mod machine;
mod maker;
pub mod record;
mod share;
mod site;
mod source;
mod task;
mod walk;

pub use clean::{Cleaned, Left, clean};
pub use draw::Scope;
pub use graph::{Graph, State, Step};
pub use inventory::{Existing, Inventory, Spot};
pub use maker::{Afterwards, Maker, Means, Prepared};
pub use site::Site;
pub use task::{Machine, Part, SHARED, Task, VmTask};
pub use walk::End;

/// Key of `other_config`: the run that made something.
pub const RUN: &str = "xrt:run";
/// Key of a VM's `other_config`: what was done with it after it was made, a line each.
pub const DONE: &str = "xrt:done";
/// Key of a VM's `other_config`: what was installed.
pub const DISTRO: &str = "xrt:distro";

#[cfg(test)]
mod tests;
