//! What a script holds: the machines of the lab, and what can be done with each.
//!
//! Never true here: that something waits outside [`wait::until`] and the context's flag, that a machine is touched without an action
//! that tells it, that a name or a path from a machine is trusted, that a script language or a report is known.
//!
//! To add something a guest can do: a method in the file of its noun (files, processes, power, …), with a struct in `option.rs` if it
//! has options; then its binding in `script/api/guest.rs`. A distribution or a package: a row in `distro.rs`. A log to fetch: a row in
//! `logs.rs`. A sign of trouble: a row in `scan.rs`.

mod access;
mod address;
mod agent;
pub mod alias;
mod command;
mod disk;
mod distro;
pub mod download;
mod duplicate;
mod entrance;
mod estate;
mod facts;
mod files;
mod guest;
mod hands;
mod hardware;
mod health;
mod hold;
mod host;
mod job;
mod lifecycle;
mod logs;
mod made;
mod migration;
mod network;
mod nic;
mod option;
pub mod overview;
mod place;
mod pool;
mod power;
pub mod prepare;
mod processes;
mod roster;
mod scan;
mod several;
mod sim;
mod snapshot;
mod sr;
pub mod storage;
mod tarball;
mod tools;
mod trees;
mod vif;
mod vm;
mod volume;
pub mod wait;
mod way;
mod windows;
mod workload;
mod xenstore;

pub use access::Access;
pub use address::{Address, ROOT, SSH_PORT};
pub use disk::Disk;
pub use distro::Manager;
pub use estate::{Estate, SSH_PORT_KEY, SSH_USER_KEY};
pub use facts::{Facts, Skew, Space};
pub use files::USUAL_MODE;
pub use guest::{Ended, Guest};
pub use host::{
    BondOptions, DiskOptions, Host, ImportOptions, MachineOptions, NetworkChoice, NetworkOptions, RebootOptions, VlanOptions,
};
pub use job::Job;
pub use migration::Goal;
pub use network::Network;
pub use nic::{IpOptions, Nic};
pub use option::{
    CopyOptions, DestroyOptions, DiskMode, ExecOptions, FormatOptions, JobOptions, MemoryOptions, MigrateOptions, NewDiskOptions,
    NewVifOptions, OnError, PowerOptions, Size, StartOptions, Text, VcpuOptions, WaitOptions, WriteOptions, XeOptions,
};
pub use place::Place;
pub use pool::{HaOptions, JoinOptions, MasterOptions, Pool};
pub use processes::Process;
pub use roster::Lab;
pub use several::each;
pub use sim::Sim;
pub use snapshot::Snapshot;
pub use sr::{Sr, SrOptions};
pub use vif::Vif;
pub use volume::Volume;
pub use workload::{Dead, Workload};

/// What the registry of Windows holds, and where.
pub use crate::wire::windows::{RegData, RegPlace};

#[cfg(test)]
mod tests {
    use crate::context::Context;
    use crate::error::{Error, Kind, Result};
    use crate::event::{Bus, Event, Sink};
    use crate::time::Cancel;
    use crate::wire::{Command, Entry, Output, Transport};
    use std::path::Path;

    struct Nobody;

    impl Sink for Nobody {
        fn on_event(&mut self, _: &Event) -> Result<()> {
            Ok(())
        }
        fn name(&self) -> String {
            "nobody".into()
        }
    }

    /// A context whose facts nobody reads.
    pub(super) fn context() -> Context {
        let (bus, _) = Bus::start(Box::new(Nobody), Vec::new(), crate::secret::Mask::default(), |_| ()).unwrap();
        Context::new(bus, None, std::env::temp_dir().join("xenrt-unused"), Cancel::new())
    }

    /// A machine that never answers.
    pub(super) struct Nowhere;

    impl Nowhere {
        fn silent<T>() -> Result<T> {
            Err(Error::new(Kind::Unreachable, "nowhere does not answer"))
        }
    }

    impl Transport for Nowhere {
        fn machine(&self) -> &str {
            "nowhere"
        }
        fn exec(&self, _: &Command, _: &Cancel) -> Result<Output> {
            Nowhere::silent()
        }
        fn read_file(&self, _: &str, _: u64, _: &Cancel) -> Result<Vec<u8>> {
            Nowhere::silent()
        }
        fn write_file(&self, _: &str, _: &[u8], _: u32, _: &Cancel) -> Result<()> {
            Nowhere::silent()
        }
        fn send(&self, _: &Path, _: &str, _: &Cancel) -> Result<u64> {
            Nowhere::silent()
        }
        fn fetch(&self, _: &str, _: &Path, _: &Cancel) -> Result<u64> {
            Nowhere::silent()
        }
        fn stat(&self, _: &str, _: &Cancel) -> Result<Option<Entry>> {
            Nowhere::silent()
        }
        fn list(&self, _: &str, _: &Cancel) -> Result<Vec<Entry>> {
            Nowhere::silent()
        }
        fn make_dir(&self, _: &str, _: &Cancel) -> Result<()> {
            Nowhere::silent()
        }
        fn hang_up(&self) {}
    }
}
