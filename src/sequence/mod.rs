//! Sequences: what an XML file says, settled into a tree of steps and a topology. Values only; nothing is run here.
//!
//! Never true here: that something in a file is ignored without a word, that a value is used before its variables are put in, that a
//! file of any content takes unbounded time or memory.
//!
//! To add an element: what it is in `tree.rs` (or in `topology/` for the preparation); how it is read in `expand.rs` if it stands in the
//! tree, in `case.rs` if it is a leaf of it, in `reader.rs` if it stands at the top; its name in the form of what it stands in.
//!
//! # Source
//! The grammar of the original's sequence files, which load unchanged.

mod case;
mod expand;
mod filter;
mod load;
mod only;
mod reader;
mod reference;
mod rounds;
mod scope;
mod settings;
mod source;
mod title;
pub mod topology;
mod tree;
pub mod xml;
pub mod yaml;

pub use filter::{Asked, Filter, Idle, Named};
pub use load::{File, Library, Loaded, load};
pub use only::KEYS as ONLY_KEYS;
pub use scope::{Form, Mode, Scope};
pub use source::Source;
pub use topology::Topology;
pub use tree::{Action, Argument, Case, Dependency, Group, Labels, Marvin, Node, Scheduler, ScriptText, Sequence, Settled, Window};
