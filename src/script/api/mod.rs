//! What scripts can name: a file an object (or a sort of free function), each a module of plain functions with docs.
//!
//! From this one registration come the engines, the manual, the definitions for editors, completion at the prompt and the checks.
//!
//! Rules: a function's docs are the manual, written for a lab person, with an example that runs. Functions that take a closure are
//! free functions, because a closure may not mention the object whose method it is passed to. Options come last, as a map; an unknown
//! option is an error, and the docs list them as "- `name`: …", which is what `xrt check` goes by. Nothing here blocks but through the context of the testcase.
//!
//! To add an object: a file with an `#[export_module(manifest)]`, a line in [`TABLE`], and its type's name in [`module`]. Every
//! function that takes `&mut` of it is `pure`, or it could not be called on a constant.

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
mod workload;

use super::failure::{Raised, raise};
use crate::context::Context;
use crate::error::Result;
use rhai::plugin::{FnManifestEntry, ModuleManifest, RhaiFunc};
use rhai::{FuncRegistration, Module, Shared};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Name of a chapter of the manual, what it is about, and its functions.
pub type Chapter = (&'static str, &'static str, &'static ModuleManifest);

/// Everything that scripts can name, sorted by chapter.
pub const TABLE: &[Chapter] = &[
    ("data", "numbers, sizes, texts, tables and files on the controller", data::FUNCTIONS),
    ("disk", "a disk of a guest, and its CD drive", disk::FUNCTIONS),
    ("duplicate", "guests from guests: clones, copies, images; and the end of a guest", duplicate::FUNCTIONS),
    ("files", "files and directories of a guest", files::FUNCTIONS),
    ("flow", "steps, loops, waits, clean-ups and work side by side", flow::FUNCTIONS),
    ("guest", "a machine: what it is, commands in it, its processes, tools and logs", guest::FUNCTIONS),
    ("hardware", "how many processors and how much memory a guest has, and what it sees", hardware::FUNCTIONS),
    ("health", "whether a guest is what it should be; its agent and its console", health::FUNCTIONS),
    ("host", "a host: what it is, commands in its control domain, what is on it", host::FUNCTIONS),
    ("job", "a command in the background of a guest", job::FUNCTIONS),
    ("lifecycle", "starting guests, and taking them through their states", lifecycle::FUNCTIONS),
    ("migration", "guests that move from host to host", migration::FUNCTIONS),
    ("network", "the networks of a pool: bridges, VLANs and bonds", network::FUNCTIONS),
    ("nic", "a network interface of a host", nic::FUNCTIONS),
    ("pool", "a pool: its hosts, its master, what all of them share", pool::FUNCTIONS),
    ("power", "whether a guest answers, and taking it down and up again", power::FUNCTIONS),
    ("reboot", "whether a host takes guests, and taking it down and up again", reboot::FUNCTIONS),
    ("record", "fields of the objects of a pool, in the toolstack's own words", record::FUNCTIONS),
    ("result", "measured values, judgements and subcases", result::FUNCTIONS),
    ("sim", "trouble on demand, where the pool is a simulated one", sim::FUNCTIONS),
    ("snapshot", "what a guest was at a moment: snapshots and checkpoints", snapshot::FUNCTIONS),
    ("sr", "a storage repository", sr::FUNCTIONS),
    ("testcase", "the log, arguments, variables and machines of the testcase", testcase::FUNCTIONS),
    ("vif", "a network interface of a guest", vif::FUNCTIONS),
    ("vm", "what a guest is to its hypervisor: its record, its host, its fields", vm::FUNCTIONS),
    ("volume", "a virtual disk on an SR, whether a guest uses it or not", volume::FUNCTIONS),
    ("windows", "what only a guest with Windows has: its registry, firewall, desktop, and PowerShell", windows::FUNCTIONS),
    ("workload", "what keeps a guest busy while something else is done to it", workload::FUNCTIONS),
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

/// All of it as one module, shared by all engines: what it takes to call the functions. Their docs and the names of their parameters
/// would be half a megabyte more, which few runs look at: those are in [`documented`].
pub fn module() -> Shared<Module> {
    static ALL: OnceLock<Shared<Module>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Module::new();
        for (_, _, chapter) in TABLE {
            chapter.init_eager(&mut all);
            chapter.for_each_fn(true, &mut |function| register(function, &mut all));
        }
        handle::name_types(&mut all);
        all.build_index();
        all.into()
    })
    .clone()
}

/// Makes a function callable, without a word on it.
fn register(function: &'static FnManifestEntry, module: &mut Module) {
    function.with_param_types(&mut |types| {
        let func = RhaiFunc::StaticPlugin { func: function.func() };
        FuncRegistration::new(function.name()).with_namespace(function.namespace()).set_into_module_raw(module, types, func);
    });
}

/// The name of each function, once for each of its forms.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|(_, _, chapter)| chapter.functions()).map(FnManifestEntry::name)
}

/// The functions whose names are wanted, with all that is said of them.
pub fn documented(is_wanted: impl Fn(&str) -> bool) -> Module {
    let mut module = Module::new();
    let functions = TABLE.iter().flat_map(|(_, _, chapter)| chapter.functions());
    functions.filter(|function| is_wanted(function.name())).for_each(|function| function.register_into(&mut module));
    module
}

/// What a script sees of what the library did for it.
fn told<T>(context: &Context, result: Result<T>) -> Raised<T> {
    result.map_err(|error| raise(context, &error))
}
