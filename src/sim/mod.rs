//! A simulated XenServer pool that speaks the real protocols: XAPI's XML-RPC and JSON-RPC over HTTP, and SSH on loopback.
//!
//! [`Simulator::start`] makes a [`world`](World) as its [`Options`] say and opens the ports. A call comes in at an `endpoint`, is checked
//! and begun by `dispatch` after the `datamodel`, done by a function of its class in `xapi/` (or in the `generic` way that every class
//! has), and driven to its end by the `engine`, which waits without holding the world. The `store` keeps the records and what has changed;
//! what follows from other fields is in `rules` and never kept. What is inside of machines is told through [`inside`].
//!
//! Never true here: that something is accepted which a real pool would refuse, that the harness knows it is not talking to a real pool.

mod array;
mod blueprint;
mod clock;
mod console;
pub mod datamodel;
pub mod date;
mod dispatch;
mod encode;
mod endpoint;
mod engine;
pub mod failure;
mod generic;
pub mod inside;
mod journal;
pub mod machine;
mod options;
mod plan;
mod query;
mod rules;
mod simulator;
mod store;
mod template;
mod transfer;
pub mod trouble;
pub mod value;
mod world;
mod xapi;
mod xva;

pub use clock::Speed;
pub use engine::Engine;
pub use options::Options;
pub use simulator::Simulator;
