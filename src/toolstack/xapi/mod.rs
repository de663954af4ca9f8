//! XenServer and XCP-ng by XAPI, over its JSON-RPC endpoint.
//!
//! A call is a row of [`calls::METHODS`]; [`session`] sends it, logs in when it must and finds the pool's coordinator; what takes long
//! is a task of the pool that [`task`] follows. Records come in bulk and are read by [`record`] into plain values. XAPI's own words stay
//! in the errors that [`fault`] makes of them.
//!
//! Never true here: that a call which may have happened is sent again, that a password or the reference of a session is in an error.

mod address;
pub mod calls;
#[cfg(test)]
mod double;
mod event;
mod fault;
mod guest;
mod hatch;
mod host;
mod network;
mod record;
mod session;
mod sr;
mod task;
mod transfer;
mod value;
mod verb;

pub use address::Address;
pub use session::{Login, Xapi};
