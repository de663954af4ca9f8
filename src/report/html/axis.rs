//! Time as a place from left to right, in percent. Pauses, in which nobody ran anything, are narrow whatever they lasted.

use crate::report::Summary;
use crate::time::Timestamp;

/// How wide a pause is, and all of them together at most.
const PAUSE: f64 = 2.0;
const PAUSES: f64 = 20.0;
/// About as many marks there are.
const MARKS: f64 = 9.0;
/// Distances between marks that people like, in seconds.
const NICE: [f64; 23] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    14400.0, 28800.0, 86400.0,
];

/// The time in which a run ran, from its begin to the last that was heard of it.
pub(super) struct Axis {
    begin: Timestamp,
    /// Seconds after the begin: from where to where it ran.
    spans: Vec<(f64, f64)>,
    /// Seconds in which it ran.
    seconds: f64,
    /// Percent for each pause.
    pause: f64,
}

impl Axis {
    /// Nothing for a run that has not begun.
    pub fn of(summary: &Summary) -> Option<Axis> {
        let begin = summary.run().started?;
        let after = |at: Timestamp| at.since(begin).as_secs_f64();
        let mut spans = Vec::new();
        let mut from = 0.0;
        for (last, resumed) in &summary.run().pauses {
            spans.push((from, after(*last).max(from)));
            from = after(*resumed).max(after(*last)).max(from);
        }
        spans.push((from, summary.last_at().map_or(from, after).max(from)));
        let seconds = spans.iter().map(|(from, to)| to - from).sum::<f64>().max(1e-3);
        let pause = PAUSE.min(PAUSES / (spans.len() - 1).max(1) as f64);
        Some(Axis { begin, spans, seconds, pause })
    }

    /// Where a moment stands.
    pub fn at(&self, moment: Timestamp) -> f64 {
        let after = moment.since(self.begin).as_secs_f64();
        let mut ran = 0.0;
        let mut pauses = 0;
        for (from, to) in &self.spans {
            if after <= *to || pauses + 1 == self.spans.len() {
                ran += (after - from).clamp(0.0, to - from);
                break;
            }
            ran += to - from;
            pauses += 1;
        }
        self.place(ran, pauses)
    }

    /// How wide so many seconds are.
    pub fn width(&self, seconds: f64) -> f64 {
        self.place(seconds, 0)
    }

    fn place(&self, ran: f64, pauses: usize) -> f64 {
        let room = 100.0 - self.pause * (self.spans.len() - 1) as f64;
        (ran / self.seconds * room + self.pause * pauses as f64).min(100.0)
    }

    /// Marks at round numbers of seconds in which it ran, with their words.
    pub fn marks(&self) -> Vec<(f64, String)> {
        let step =
            NICE.into_iter().find(|step| self.seconds / step <= MARKS).unwrap_or(86400.0 * (self.seconds / 86400.0 / MARKS).ceil());
        let number = (self.seconds / step).floor() as usize;
        let ends: Vec<f64> = self
            .spans
            .iter()
            .scan(0.0, |ran, (from, to)| {
                *ran += to - from;
                Some(*ran)
            })
            .collect();
        let mark = |n: usize| {
            let ran = n as f64 * step;
            let pauses = ends[..ends.len() - 1].iter().filter(|end| ran > **end).count();
            (self.place(ran, pauses), words(ran))
        };
        (0..=number).map(mark).collect()
    }

    /// Where each pause stands, and how many seconds it lasted.
    pub fn pauses(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.spans
            .windows(2)
            .scan(0.0, |ran, pair| {
                *ran += pair[0].1 - pair[0].0;
                Some((*ran, pair[1].0 - pair[0].1))
            })
            .enumerate()
            .map(|(n, (ran, seconds))| (self.place(ran, n), self.pause, seconds))
    }
}

/// "0", "500ms", "1.5s", "30s", "5m", "1h30".
fn words(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds == 0.0 => "0".into(),
        _ if seconds < 1.0 => format!("{}ms", (seconds * 1000.0).round()),
        0..60 => format!("{}s", (seconds * 10.0).round() / 10.0),
        60..3600 if whole.is_multiple_of(60) => format!("{}m", whole / 60),
        60..3600 => format!("{}m{:02}", whole / 60, whole % 60),
        _ if whole.is_multiple_of(3600) => format!("{}h", whole / 3600),
        _ => format!("{}h{:02}", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Beginning, Event, Fact};
    use std::collections::BTreeSet;
    use std::time::Duration;

    /// The axis of a run that was heard of at these seconds, where a negative one is when it was resumed.
    fn axis(heard: &[f64]) -> (Axis, Timestamp) {
        let begin: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let mut summary = Summary::default();
        summary.apply(&Event { seq: 1, at: begin, case: None, fact: Fact::RunStarted(Box::<Beginning>::default()) });
        for (seq, at) in (2..).zip(heard) {
            let resumed = Fact::RunResumed { version: String::new(), command: vec![], again: vec![] };
            let fact = if *at < 0.0 { resumed } else { Fact::StepStarted { step: 0 } };
            summary.apply(&Event { seq, at: begin.plus(Duration::from_secs_f64(at.abs())), case: None, fact });
        }
        (Axis::of(&summary).unwrap(), begin)
    }

    fn words(axis: &Axis) -> Vec<String> {
        axis.marks().into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn a_pause_is_narrow_however_long_it_was() {
        let (axis, begin) = axis(&[60.0, -36000.0, 36040.0]);
        let at = |seconds: f64| axis.at(begin.plus(Duration::from_secs_f64(seconds)));
        assert_eq!((at(0.0), at(60.0), at(36000.0), at(36040.0), at(99999.0)), (0.0, 58.8, 60.8, 100.0, 100.0));
        assert_eq!(at(30000.0), 60.8, "in the pause");
        assert_eq!(axis.pauses().collect::<Vec<_>>(), [(58.8, 2.0, 35940.0)]);
        assert_eq!(words(&axis), ["0", "15s", "30s", "45s", "1m", "1m15", "1m30"]);
    }

    #[test]
    fn half_seconds_are_said() {
        assert_eq!(words(&axis(&[2.6]).0), ["0", "500ms", "1s", "1.5s", "2s", "2.5s"]);
    }

    #[test]
    fn any_length_has_a_few_marks() {
        let ends = super::NICE.into_iter().flat_map(|step| [step * 5.0, step * MARKS]);
        for length in [0.0, 0.002, 0.4, 7.0, 59.0, 3000.0, 86399.0, 8e6, 4e8].into_iter().chain(ends) {
            let (axis, _) = axis(&[length]);
            let marks = axis.marks();
            let words: BTreeSet<&str> = marks.iter().map(|(_, word)| word.as_str()).collect();
            assert_eq!(words.len(), marks.len(), "each has a word of its own: {length}: {marks:?}");
            assert!(
                (1..=10).contains(&marks.len()) && marks.iter().all(|(at, _)| (0.0..=100.0).contains(at)),
                "{length}: {marks:?}"
            );
        }
    }
}
