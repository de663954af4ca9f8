//! The one integration test binary: a module a feature.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bindings;
mod blocking;
mod check;
mod database;
mod faults;
mod functions;
mod guest;
mod install;
mod lifecycle;
mod limits;
mod logs;
mod mail;
mod metrics;
mod pausing;
mod plans;
mod pool;
mod power;
mod prepare;
mod program;
mod repl;
mod reports;
mod results;
mod resume;
mod run;
mod running;
mod scripts;
mod sequence;
mod sequence_any;
mod sequence_reports;
mod sequences;
mod settle;
mod shipped;
mod sim;
mod sim_dom0;
mod sim_machines;
mod sinks;
mod ssh;
mod support;
mod tidy;
mod toolstack;
mod topology;
mod variables;
mod vm;
mod windows;
