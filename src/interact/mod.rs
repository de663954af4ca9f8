//! Steering a run from elsewhere: an XML-RPC server beside every run, and its client.
//!
//! Never true here: that a caller without the token learns or changes anything, that a request can be larger or slower than its
//! limits, that a caller makes a testcase or another caller wait, that something is changed without being told to the stream.
//!
//! To add a method: a row in [`methods::METHODS`].
//!
//! # Source
//! `reference/harness.md` 10: the original's methods, arguments and results are kept; what was missing there is added beside them.

mod address;
mod client;
mod desk;
mod methods;
mod params;
mod server;
mod tail;

pub use address::{Address, READ_ONLY, Remembered, URL, remember};
pub use client::Client;
pub use desk::{Desk, Frames, Listed};
pub use methods::{Caller, METHODS, Method, Right, Stack};
pub use server::Server;

/// A value of XML-RPC, as calls take and give it.
pub use dxr::Value;
