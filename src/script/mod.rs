//! Testcases as Rhai scripts: finding them, understanding them, running their hooks, and explaining how they ended.
//!
//! Never true here: that a script reaches a machine by anything but a lab object, that a native function blocks except through its
//! context (which sees the cancel flag), that an error is shown without its place.
//!
//! To add a function or an object for scripts: one file in `api/` and one line in its table. To add what can be composed of these:
//! a function in `stdlib/`, and nothing else.

mod afterwards;
pub mod api;
mod args;
mod case;
mod catalog;
mod check;
mod deferred;
mod engine;
mod failure;
mod guard;
mod hold;
mod import;
mod manual;
mod many;
mod mended;
mod meta;
mod own;
mod show;
mod source;
mod syntax;
mod trail;

pub use afterwards::call_on;
pub use args::{shown as shown_args, typed as typed_args};
pub use case::{Aimed, Case, Subcase, severity};
pub use catalog::{Catalog, Origin, Testcase, files_below};
pub use check::{Checked, check, check_files};
pub use deferred::Deferred;

pub use engine::{Hook, STACK, Script, Scripts};
pub use failure::{Ended, judge};
pub use hold::{Expected, Go, Ground, Held, Watch};
pub use manual::{Entry, LANGUAGE, Manual, Param, Sort, script_type};
pub use meta::{KEYS as META_KEYS, Meta, Target};
/// The engine of a testcase, for those who only hand it on.
pub type ScriptEngine = rhai::Engine;

/// The typed arguments of a testcase.
pub type Args = rhai::Map;

/// What a script keeps between its hooks.
pub type This = rhai::Dynamic;

/// A value of a script, for those who only hand it on.
pub type Scripted = rhai::Dynamic;

/// The empty map that `this` is at first.
pub fn new_this() -> This {
    rhai::Map::new().into()
}

pub use show::{SHORT, plain as plain_text, value as shown_value};
pub use trail::{Level, Trails};
