//! What keeps a guest busy while something else is done to it.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::error::{Blame, Error, Kind};
use crate::event::Level;
use crate::lab::{Dead, Guest, Workload};
use crate::script::case::Case;
use crate::script::failure::{Raised, misuse, raise};
use crate::script::show;
use rhai::plugin::*;
use rhai::{Array, Dynamic, ImmutableString};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(workload);

#[export_module(manifest)]
mod workload {
    /// Starts what keeps a Linux guest busy until `stop_workloads`, in the background: reading of its files (`find`), new processes
    /// (`fork`), memory that is written and compared (`memory`), a look at its clock (`time`). Gives their names. One that does
    /// not run is a warning; with `-D SRM_STRICT=yes` an error.
    ///
    /// ```rhai
    /// let vm = target();
    /// check(vm.start_workloads() == ["find", "fork", "memory", "time"], "four of them");
    /// vm.stop_workloads();
    /// ```
    #[rhai_fn(name = "start_workloads", return_raw)]
    pub fn start_usual(call: NativeCallContext, vm: &mut Guest) -> Raised<Array> {
        start(&call, vm, &Workload::usual())
    }

    /// Starts workloads: a list of their names, of those that run by default, of `fio` and `sysbench`, which are installed if need be,
    /// or of the script's own: `#{ name, command }`, with the `tool` that it takes if it takes one. Such a command ends only when
    /// something is wrong. What a testcase gets as its argument is taken as well: "fio,time", `true` for the usual ones, `false` or
    /// `()` for none.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.start_workloads(["time", #{ name: "log", command: "while sleep 1; do date >>/tmp/xenrt-dates; done" }]);
    /// vm.stop_workloads();
    /// ```
    #[rhai_fn(name = "start_workloads", return_raw)]
    pub fn start_these(call: NativeCallContext, vm: &mut Guest, workloads: Dynamic) -> Raised<Array> {
        let wanted = wanted(vm, &workloads)?;
        start(&call, vm, &wanted)
    }

    /// Ends the workloads of a guest. One that had ended before makes the result at best partial, with what it said; gives the
    /// names of those.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.start_workloads(["time"]);
    /// check(vm.stop_workloads() == [], "it ran to the end");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn stop_workloads(call: NativeCallContext, vm: &mut Guest) -> Raised<Array> {
        let dead = told(vm, vm.stop_workloads())?;
        let case = Case::of(&call)?;
        for dead in &dead {
            case.set_partial(&said(vm, dead));
        }
        Ok(dead.into_iter().map(|dead| Dynamic::from(dead.name)).collect())
    }
}

/// The workloads that a script or an argument of a testcase asks for.
fn wanted(vm: &Guest, workloads: &Dynamic) -> Raised<Vec<Workload>> {
    let named = |name: &str| told(vm, Workload::named(name));
    if let Ok(is_wanted) = workloads.as_bool() {
        return Ok(if is_wanted { Workload::usual() } else { Vec::new() });
    }
    if workloads.is_unit() {
        return Ok(Vec::new());
    }
    if let Some(text) = workloads.read_lock::<ImmutableString>() {
        return text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(named).collect();
    }
    let Some(all) = workloads.read_lock::<Array>() else {
        let what = format!("`start_workloads` takes a list of names, got {}", show::value(workloads, 60));
        return Err(misuse(what, None));
    };
    let one = |workload: &Dynamic| match workload.read_lock::<ImmutableString>() {
        Some(name) => named(&name),
        None => option::value("start_workloads", "workloads", workload),
    };
    all.iter().map(one).collect()
}

fn start(call: &NativeCallContext, vm: &Guest, wanted: &[Workload]) -> Raised<Array> {
    let case = Case::of(call)?;
    let is_strict = case.variables.read(|variables| variables.boolean("SRM_STRICT")).map_err(|e| raise(&case.context, &e))?;
    let dead = told(vm, vm.start_workloads(wanted))?;
    for dead in &dead {
        if is_strict == Some(true) {
            let error = Error::new(Kind::Refused, said(vm, dead)).blame(Blame::Lab);
            return Err(raise(&case.context, &error));
        }
        case.context.log(Level::Warning, said(vm, dead));
    }
    let runs = wanted.iter().filter(|workload| !dead.iter().any(|dead| dead.name == workload.name));
    Ok(runs.map(|workload| Dynamic::from(workload.name.clone())).collect())
}

fn said(vm: &Guest, dead: &Dead) -> String {
    format!("the workload `{}` on {} runs no more: {}", dead.name, vm.name(), dead.why)
}
