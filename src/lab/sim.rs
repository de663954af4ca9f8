//! Sim on demand: what a simulated pool is told to do wrong, so that tests of failures need no broken lab.

use super::estate::Estate;
use super::hold::Hold;
use super::wait::Patience;
use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use serde_json::Value;
use std::sync::Arc;

/// A pool that can be told to misbehave. Over the wire, like everything else: a real pool says that it cannot.
#[derive(Clone)]
pub struct Sim {
    hold: Hold,
}

impl Sim {
    pub(super) fn new(estate: Arc<Estate>, context: Context) -> Sim {
        Sim { hold: Hold::new(estate, context) }
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    /// What is to go wrong from now on, in the words of `xrt help sim`: "fail:VM.start=SR_FULL".
    ///
    /// # Errors
    /// `Refused` for words that it does not know; `Unsupported` where the pool is a real one.
    pub fn make(&self, text: &str) -> Result<()> {
        self.call(&format!("trouble {text}"), "simulator.trouble", &[text.into()]).map(drop)
    }

    /// Nothing is to go wrong any more.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn clear(&self) -> Result<()> {
        self.call("no more trouble", "simulator.clear", &[]).map(drop)
    }

    /// How fast its clock runs from now on: "60" makes an hour a minute, "max" lets nothing take time.
    ///
    /// # Errors
    /// `Unsupported`; `Refused` for what is no speed.
    pub fn speed(&self, speed: &str) -> Result<()> {
        self.call(&format!("speed {speed}"), "simulator.set_speed", &[speed.into()]).map(drop)
    }

    /// What is to go wrong as it stands.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn pending(&self) -> Result<Vec<String>> {
        let said = self.call("what trouble is there?", "simulator.get_troubles", &[])?;
        let texts = said.as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(texts.map(str::to_string).collect())
    }

    fn call(&self, what: &str, method: &str, arguments: &[Value]) -> Result<Value> {
        self.hold.told("the simulator", what, |action| {
            let estate = &self.hold.estate;
            let patience = estate.patience(Patience::QUESTION);
            let said =
                estate.order(&self.hold.context, action, patience, |toolstack, watch| toolstack.call(method, arguments, watch));
            said.map_err(|error| match error.kind {
                Kind::Unsupported => {
                    let what = format!("{} is no simulator: it makes no trouble on demand", estate.name());
                    Error { what, ..error }.blame(Blame::User).help("run it with `--host sim`")
                }
                _ => error,
            })
        })
    }
}

impl std::fmt::Display for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sim()")
    }
}
