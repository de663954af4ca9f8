//! `xe`, as a control domain has it: one grammar over the whole datamodel, and a table of what it calls.
//!
//! Never true here: that a class or a field is named which the datamodel has, but in the tables of `table.rs`.
//!
//! To add a command: a row in `ACTIONS`. What a list shows by itself: a row in `CLASSES`.

mod action;
mod line;
mod pool;
mod record;
mod table;

pub(super) use action::answer;
pub(super) use pool::{Pool, Record};
