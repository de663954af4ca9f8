//! What tests share: real servers started for them, and a builder that reads like the feature.

pub mod execd;
pub mod lab;
pub mod plan;
pub mod poll;
pub mod process;
pub mod skip;
pub mod sshd;
pub mod steer;
pub mod stories;
pub mod story;
pub mod terminal;
pub mod vm;
pub mod web;
pub mod xrt;
