//! Measured values and what is to be said of them beside earlier ones.
//!
//! Never true here: that values of different kinds are compared, that noise is called a change, that anything is published.

use crate::event::{Better, Fact, Spread};

/// A value that a testcase measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub name: String,
    pub value: f64,
    /// As the tool said it; empty for a bare number.
    pub unit: String,
    /// Where the testcase says so.
    pub better: Option<Better>,
    /// Where the value is a mean of many.
    pub spread: Option<Spread>,
}

impl From<Measurement> for Fact {
    fn from(it: Measurement) -> Fact {
        Fact::Measured { name: it.name, value: it.value, unit: it.unit, better: it.better, spread: it.spread }
    }
}
