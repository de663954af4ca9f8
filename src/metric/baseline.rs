//! What earlier runs measured, and the windows that values have to be in.

use super::Samples;
use crate::event::Better;
use crate::name::CaseId;
use crate::sequence::Window;
use std::collections::HashMap;

/// How many runs of one metric count, those that are added first.
const RUNS: usize = 100;

/// What there is to compare measured values with.
#[derive(Debug, Default)]
pub struct Baselines {
    /// By case and metric.
    earlier: HashMap<(String, String), Vec<Earlier>>,
    /// Where it is from, as shown to people.
    from: Vec<String>,
    windows: Vec<Window>,
}

/// What one run measured of one metric in one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// The arguments of the case, as JSON; nothing where they are not known.
    pub args: Option<String>,
    pub unit: String,
    pub better: Option<Better>,
    pub samples: Samples,
}

impl Baselines {
    /// Adds what a run measured, the newest run first.
    pub fn add(&mut self, case: &str, metric: &str, earlier: Earlier) {
        let known = self.earlier.entry((case.to_string(), metric.to_string())).or_default();
        if known.len() < RUNS && earlier.samples.count > 0 && earlier.samples.mean.is_finite() {
            known.push(earlier);
        }
    }

    /// Says where what was added is from.
    pub fn add_source(&mut self, from: impl Into<String>) {
        self.from.push(from.into());
    }

    pub fn add_window(&mut self, window: Window) {
        self.windows.push(window);
    }

    /// Whether there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        self.earlier.is_empty() && self.windows.is_empty()
    }

    pub(super) fn from(&self) -> String {
        self.from.join(", ")
    }

    /// The earlier runs of a metric, those of the same case; of the first of its name when it is a further one and has none of its own.
    pub(super) fn earlier(&self, case: &CaseId, metric: &str) -> &[Earlier] {
        let of = |case: &str| self.earlier.get(&(case.to_string(), metric.to_string()));
        of(case.as_str()).or_else(|| of(case.first_of_its_name())).map_or(&[], Vec::as_slice)
    }

    /// The windows for a case: those that call it by its id or name, or its testcase by one of its names.
    pub(super) fn windows<'a>(&'a self, case: &'a CaseId, testcase: &'a [String]) -> impl Iterator<Item = &'a Window> {
        self.windows.iter().filter(move |window| is_called(&window.testcase, case, testcase))
    }

    /// The windows that are for none of these cases: they would never be looked at.
    pub fn idle_windows<'a>(&'a self, cases: &'a [(CaseId, Vec<String>)]) -> impl Iterator<Item = &'a Window> {
        let is_used = |window: &Window| cases.iter().any(|(case, testcase)| is_called(&window.testcase, case, testcase));
        self.windows.iter().filter(move |window| !is_used(window))
    }
}

/// A name means the whole of another or its last part.
fn is_called(name: &str, case: &CaseId, testcase: &[String]) -> bool {
    let case = case.first_of_its_name();
    name == case
        || case.rsplit('/').next() == Some(name)
        || testcase.iter().any(|t| name == t || t.rsplit(['/', '.']).next() == Some(name))
}
