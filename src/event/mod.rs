//! What happened in a run: the one stream of facts that every report is made from.
//!
//! Never true here: that a publisher waits for a reader, that a reader talks to a publisher, that a fact means something only
//! together with the memory of a process (a log read years later must tell the whole story).
//!
//! To add a fact: a variant of [`Fact`] here and an arm in `report/summary.rs`; readers that care get an arm too. The log is a wire
//! format: only add, never rename or re-use ([`log::VERSION`]).

mod bus;
mod collect;
mod fact;
pub mod log;
mod plan;
mod steering;
mod verdict;

pub use bus::{Bus, Stream};
pub use collect::Collector;
pub use fact::{
    ActionEnd, Better, Call, Change, Comparison, Event, Fact, Failure, Frame, Level, Local, Outcome, Phase, Place, SourceLine,
    Spread,
};
pub use plan::{Beginning, Block, Order, Planned, PlannedStep, Role};
pub use steering::{Pause, Release, Steering};
pub use verdict::{Counts, Criteria, Judgement, Rate, Tested, Verdict};

use crate::error::Result;

/// A reader of events. Called from one thread, in order.
pub trait Sink: Send {
    /// # Errors
    /// A reader that cannot go on; it is dropped, once and loudly.
    fn on_event(&mut self, event: &Event) -> Result<()>;

    /// Called about ten times a second while nothing happens, for readers that show passing time.
    ///
    /// # Errors
    /// As for `on_event`.
    fn on_tick(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called once after the last event.
    ///
    /// # Errors
    /// What was to be written could not be.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// What to call this reader in a message ("junit report out.xml").
    fn name(&self) -> String;
}
