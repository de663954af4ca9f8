//! What earlier runs measured, and the windows that values have to be in.

use super::Samples;
use crate::event::Better;
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
    pub(super) fn earlier(&self, case: &str, metric: &str) -> &[Earlier] {
        let of = |case: &str| self.earlier.get(&(case.to_string(), metric.to_string()));
        of(case).or_else(|| of(first_of_its_name(case))).map_or(&[], Vec::as_slice)
    }

    /// The windows for a case: those that call it by its id or name, or its testcase by name.
    pub(super) fn windows(&self, case: &str, testcase: &str) -> impl Iterator<Item = &Window> {
        let case = first_of_its_name(case).to_string();
        let testcase = testcase.to_string();
        self.windows.iter().filter(move |window| is_called(&window.testcase, &case, &testcase))
    }

    /// The windows of which none is for any of these cases (id and testcase): they would never be looked at.
    pub fn idle_windows<'a>(&'a self, cases: &'a [(String, String)]) -> impl Iterator<Item = &'a Window> {
        let is_used =
            |window: &Window| cases.iter().any(|(case, testcase)| is_called(&window.testcase, first_of_its_name(case), testcase));
        self.windows.iter().filter(move |window| !is_used(window))
    }
}

fn is_called(name: &str, case: &str, testcase: &str) -> bool {
    let last = |text: &str| -> String { text.rsplit(['/', '.']).next().unwrap_or(text).to_string() };
    let own = case.rsplit('/').next().unwrap_or(case);
    name == case || name == own || name == testcase || name == last(testcase)
}

/// The id without the `#2` of the second of its name.
fn first_of_its_name(case: &str) -> &str {
    match case.rsplit_once('#') {
        Some((first, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => first,
        _ => case,
    }
}
