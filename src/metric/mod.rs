//! Measured values and what is to be said of them beside earlier ones and limits. Values only: who reads earlier runs is elsewhere.
//!
//! Never true here: that values of different kinds are compared, that noise is called a change, that anything is published.
//!
//! # Source
//! The original's rule for two single values: 5 percent apart is a change, 10 percent worse (or out of a window) is a failure where
//! `PERF_STRICT` is set. Where there are enough values to know how far they lie apart by themselves, a change has to be more than that.

mod baseline;
mod judge;
mod samples;
mod scale;

pub use baseline::{Baselines, Earlier};
pub use judge::Findings;
pub use samples::Samples;
pub use scale::{convert, is_time};

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

/// The values of one metric in one run of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: String,
    pub unit: String,
    pub better: Option<Better>,
    pub samples: Samples,
    /// The smallest and the largest value.
    pub least: f64,
    pub most: f64,
}

/// Puts the values of each metric together, in the order in which they came first. Those of units that cannot be converted into each
/// other stay apart.
pub fn gather(measured: &[Measurement]) -> Vec<Metric> {
    let mut all: Vec<Metric> = Vec::new();
    let mut places: std::collections::HashMap<&str, Vec<usize>> = std::collections::HashMap::new();
    for m in measured.iter().filter(|m| m.value.is_finite()) {
        let own = places.entry(&m.name).or_default();
        let known = own.iter().find_map(|&place| Some((place, convert(1.0, &m.unit, &all[place].unit)?)));
        let (place, factor) = known.unwrap_or_else(|| {
            own.push(all.len());
            let (name, unit, samples) = (m.name.clone(), m.unit.clone(), Samples::default());
            all.push(Metric { name, unit, better: None, samples, least: f64::INFINITY, most: f64::NEG_INFINITY });
            (all.len() - 1, 1.0)
        });
        let metric = &mut all[place];
        let value = m.value * factor;
        let sample = m.spread.map_or(Samples::one(value), |s| Samples::new(s.samples, value, s.deviation * factor));
        metric.samples = Samples::merged([metric.samples, sample]);
        metric.better = metric.better.or(m.better);
        (metric.least, metric.most) = (metric.least.min(value), metric.most.max(value));
    }
    all
}
