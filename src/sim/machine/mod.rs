//! The inside of simulated hosts and guests, reached by a real SSH server: commands run in a private directory of this machine, and what
//! must be the machine's own is answered by the simulator.
//!
//! Never true here: that something is written outside of the simulator's directory, that a process outlives its machine, that a machine
//! which is off answers, that anything is made or started for a machine before it is used.
//!
//! To add a command that the hypervisor answers: its name and an arm in `answer.rs`. A file that every machine has: `skeleton.rs`. A
//! system: a row in `distro.rs`. A command of `xe`: a row in `xe/`.

mod answer;
mod ask;
mod boot;
mod cell;
mod disk;
mod distro;
mod dom0;
mod exec;
mod image;
mod installer;
mod kernel;
mod line;
mod listener;
mod machines;
mod net;
mod place;
mod plain;
mod session;
mod sftp;
mod shared;
mod skeleton;
mod spec;
mod store;
mod unattended;
mod view;
mod xe;

pub use machines::{MachineOptions, Machines};
