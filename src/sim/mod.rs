//! A simulated XenServer pool that speaks the real protocols: XAPI's XML-RPC and JSON-RPC over HTTP, and SSH on loopback.
//!
//! Never true here: that something is accepted which a real pool would refuse, that the harness knows it is not talking to a real pool.

pub mod datamodel;
pub mod date;
pub mod failure;
pub mod inside;
pub mod machine;
pub mod value;
