#![doc = include_str!("README.md")]

pub mod error;
pub mod name;
pub mod secret;
pub mod time;
pub mod unit;
pub mod vars;

pub mod event;

pub mod diagnostic;
pub mod metric;
pub mod sequence;

pub mod config;

pub mod context;

pub mod report;

pub mod wire;

pub mod toolstack;

pub mod lab;
pub mod script;

pub mod repl;

pub mod run;

pub mod interact;

pub mod sim;

pub mod cli;
