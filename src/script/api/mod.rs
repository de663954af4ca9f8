//! What scripts can name: a file an object (or a sort of free function), each a module of plain functions with docs.
//!
//! From this one registration come the engines, the manual, the definitions for editors, completion at the prompt and the checks.
//!
//! Rules: a function's docs are the manual, written for a lab person, with an example that runs. Functions that take a closure are
//! free functions, because a closure may not mention the object whose method it is passed to. Options come last, as a map; an unknown
//! option is an error, and the docs list them as "- `name`: …", which is what `xrt check` goes by. Nothing here blocks but through the context of the testcase.
//!
//! To add an object: a file with an `#[export_module]`, a line in [`TABLE`], and its type's name in [`module`]. Every function that
//! takes `&mut` of it is `pure`, or it could not be called on a constant.

mod data;
mod disk;
mod duplicate;
mod files;
mod flow;
mod guest;
mod handle;
mod hardware;
mod health;
mod host;
mod job;
mod json;
mod lifecycle;
mod migration;
mod network;
mod nic;
mod option;
mod pool;
mod power;
mod reboot;
mod record;
mod result;
mod sim;
mod snapshot;
mod sr;
mod testcase;
mod vif;
mod vm;
mod volume;
mod windows;

use super::failure::{Raised, raise};
use crate::context::Context;
use crate::error::Result;
use rhai::{Module, Shared};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Name of a chapter of the manual, what it is about, and its functions.
pub type Chapter = (&'static str, &'static str, fn() -> Module);

/// Everything that scripts can name, sorted by chapter.
pub const TABLE: &[Chapter] = &[
    ("data", "numbers, sizes, texts, tables and files on the controller", data::module),
    ("disk", "a disk of a guest, and its CD drive", disk::module),
    ("duplicate", "guests from guests: clones, copies, images; and the end of a guest", duplicate::module),
    ("files", "files and directories of a guest", files::module),
    ("flow", "steps, loops, waits, clean-ups and work side by side", flow::module),
    ("guest", "a machine: what it is, commands in it, its processes, tools and logs", guest::module),
    ("hardware", "how many processors and how much memory a guest has, and what it sees", hardware::module),
    ("health", "whether a guest is what it should be; its agent and its console", health::module),
    ("host", "a host: what it is, commands in its control domain, what is on it", host::module),
    ("job", "a command in the background of a guest", job::module),
    ("lifecycle", "starting guests, and taking them through their states", lifecycle::module),
    ("migration", "guests that move from host to host", migration::module),
    ("network", "the networks of a pool: bridges, VLANs and bonds", network::module),
    ("nic", "a network interface of a host", nic::module),
    ("pool", "a pool: its hosts, its master, what all of them share", pool::module),
    ("power", "whether a guest answers, and taking it down and up again", power::module),
    ("reboot", "whether a host takes guests, and taking it down and up again", reboot::module),
    ("record", "fields of the objects of a pool, in the toolstack's own words", record::module),
    ("result", "measured values, judgements and subcases", result::module),
    ("sim", "trouble on demand, where the pool is a simulated one", sim::module),
    ("snapshot", "what a guest was at a moment: snapshots and checkpoints", snapshot::module),
    ("sr", "a storage repository", sr::module),
    ("testcase", "the log, arguments, variables and machines of the testcase", testcase::module),
    ("vif", "a network interface of a guest", vif::module),
    ("vm", "what a guest is to its hypervisor: its record, its host, its fields", vm::module),
    ("volume", "a virtual disk on an SR, whether a guest uses it or not", volume::module),
    ("windows", "what only a guest with Windows has: its registry, firewall, desktop, and PowerShell", windows::module),
];

pub use handle::{is_handle, shown};

/// The value of a constant of the library.
pub fn constant(name: &str) -> Option<i64> {
    constants().get(name).copied()
}

/// The constants of the library, all whole numbers.
pub fn constants() -> &'static BTreeMap<String, i64> {
    static ALL: OnceLock<BTreeMap<String, i64>> = OnceLock::new();
    ALL.get_or_init(|| module().iter_var().filter_map(|(name, value)| Some((name.to_string(), value.as_int().ok()?))).collect())
}

/// All of it as one module, shared by all engines.
pub fn module() -> Shared<Module> {
    static ALL: OnceLock<Shared<Module>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Module::new();
        for (_, _, chapter) in TABLE {
            all.combine(chapter());
        }
        // What joins modules leaves the names of types behind.
        handle::name_types(&mut all);
        all.build_index();
        all.into()
    })
    .clone()
}

/// What a script sees of what the library did for it.
fn told<T>(context: &Context, result: Result<T>) -> Raised<T> {
    result.map_err(|error| raise(context, &error))
}
