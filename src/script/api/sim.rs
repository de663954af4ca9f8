//! Trouble on demand, where the pool is a simulated one.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::told;
use crate::lab::Sim;
use crate::script::case::Case;
use crate::script::failure::Raised;
use crate::script::show;
use rhai::plugin::*;
use rhai::{Array, Dynamic};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(sim);

#[export_module(manifest)]
mod sim {
    /// Gives the simulator behind the first pool of this run. On a real pool what is asked of it skips the testcase.
    ///
    /// ```rhai
    /// let sim = sim();
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sim(call: NativeCallContext) -> Raised<Sim> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.sim(&case.context))
    }

    /// Has something go wrong from now on: "fail:VM.start=SR_FULL", "delay:VM.start=5s", "drop:VM.clean_shutdown", "power-off:host2", "fill:SRNAME", "kill:guest1", "hang:guest1", "skew:guest1=30s",
    /// "on:VM.start=kill:guest1".
    ///
    /// ```rhai
    /// sim().trouble("fail:VM.clean_reboot=VM_BAD_POWER_STATE");
    /// sim().clear();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn trouble(sim: &mut Sim, text: &str) -> Raised<()> {
        told(sim.context(), sim.make(text))
    }

    /// Has nothing go wrong any more.
    ///
    /// ```rhai
    /// sim().clear();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn clear(sim: &mut Sim) -> Raised<()> {
        told(sim.context(), sim.clear())
    }

    /// Has the simulated clock run so many times as fast as ours: 60 makes an hour a minute, and "max" lets nothing take any time.
    ///
    /// ```rhai
    /// sim().speed(60);
    /// sim().speed("max");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn speed(sim: &mut Sim, factor: Dynamic) -> Raised<()> {
        told(sim.context(), sim.speed(&show::plain(&factor)))
    }

    /// Gives what is still to go wrong.
    ///
    /// ```rhai
    /// sim().trouble("fail:VM.start=SR_FULL");
    /// check(sim().troubles().len() == 1, "one");
    /// sim().clear();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn troubles(sim: &mut Sim) -> Raised<Array> {
        told(sim.context(), sim.pending()).map(|all| all.into_iter().map(Dynamic::from).collect())
    }

    /// Gives the simulator as text.
    ///
    /// ```rhai
    /// log(`${sim()}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(sim: &mut Sim) -> String {
        sim.to_string()
    }
}
