//! Units of measured values: what kind of thing they measure, and how one is converted into another.
//!
//! Sizes in bytes are 1024-based whatever they are called (`MB` and `MiB` are the same), bits 1000-based, as tools of this field have it.
//! A unit that is not known is of a kind of its own.

use std::borrow::Cow;

/// What a unit measures. The number beside it is how many of the kind's own unit it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Number,
    Percent,
    /// Seconds.
    Time,
    /// Bytes.
    Size,
    /// Bytes a second.
    Rate,
    /// So many of this a second.
    Often(Cow<'a, str>),
    /// Seconds for one of this.
    TimeOf(&'a str),
}

const TIMES: [(&str, f64); 21] = [
    ("ns", 1e-9),
    ("nsec", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("usec", 1e-6),
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("s", 1.0),
    ("sec", 1.0),
    ("secs", 1.0),
    ("second", 1.0),
    ("seconds", 1.0),
    ("min", 60.0),
    ("mins", 60.0),
    ("minute", 60.0),
    ("minutes", 60.0),
    ("h", 3600.0),
    ("hr", 3600.0),
    ("hour", 3600.0),
    ("hours", 3600.0),
];

/// The value in another unit; nothing when the two measure different things.
pub fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
    let (from, to) = (from.trim(), to.trim());
    if from == to {
        return Some(value);
    }
    let (one, other) = (scale(from)?, scale(to)?);
    (one.0 == other.0).then(|| value * (one.1 / other.1))
}

/// Whether a unit measures how long something takes, so that less is better.
pub fn is_time(unit: &str) -> bool {
    matches!(scale(unit.trim()), Some((Kind::Time | Kind::TimeOf(_), _)))
}

fn scale(unit: &str) -> Option<(Kind<'_>, f64)> {
    if let Some(seconds) = time(unit) {
        return Some((Kind::Time, seconds));
    }
    if let Some(bytes) = size(unit) {
        return Some((Kind::Size, bytes));
    }
    match unit {
        "" => return Some((Kind::Number, 1.0)),
        "%" | "percent" => return Some((Kind::Percent, 1.0)),
        "IOPS" | "iops" => return Some((Kind::Often("io".into()), 1.0)),
        _ => {}
    }
    if let Some(prefix) = unit.strip_suffix("Hz") {
        return Some((Kind::Often("1".into()), 1000_f64.powi(power(prefix)?)));
    }
    if let Some(bytes) = unit.strip_suffix("ps").and_then(size) {
        return Some((Kind::Rate, bytes));
    }
    let (what, each) = unit.split_once('/').map(|(what, each)| (what.trim(), each.trim()))?;
    match (time(what), time(each)) {
        (Some(seconds), None) if !each.is_empty() => Some((Kind::TimeOf(each), seconds)),
        (None, Some(seconds)) => Some(match size(what) {
            Some(bytes) => (Kind::Rate, bytes / seconds),
            None => (Kind::Often(if what.is_empty() { "1".into() } else { what.into() }), 1.0 / seconds),
        }),
        _ => None,
    }
}

fn time(unit: &str) -> Option<f64> {
    TIMES.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds)
}

/// Bytes of a unit of size: "MB", "KiB", "Gbit", "bytes". A small `b` is a bit.
fn size(unit: &str) -> Option<f64> {
    let bits = ["bits", "bit", "b"].iter().find_map(|ending| unit.strip_suffix(ending));
    let bytes = ["bytes", "byte", "Bytes", "Byte", "B"].iter().find_map(|ending| unit.strip_suffix(ending));
    let (prefix, base, one) = match (bits, bytes) {
        (_, Some(prefix)) => (prefix, 1024_f64, 1.0),
        (Some(prefix), None) => (prefix, if prefix.ends_with('i') { 1024.0 } else { 1000.0 }, 0.125),
        (None, None) => return None,
    };
    Some(one * base.powi(power(prefix.strip_suffix('i').unwrap_or(prefix).trim())?))
}

fn power(prefix: &str) -> Option<i32> {
    match prefix {
        "" => Some(0),
        "k" | "K" => Some(1),
        "M" => Some(2),
        "G" => Some(3),
        "T" => Some(4),
        "P" => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_measures_the_same_is_converted() {
        for (value, from, to, expected) in [
            (1500.0, "ms", "s", Some(1.5)),
            (2.0, "min", "seconds", Some(120.0)),
            (3.0, "µs", "us", Some(3.0)),
            (1.0, "GB/s", "MB/s", Some(1024.0)),
            (512.0, "KiB/s", "MB/s", Some(0.5)),
            (8.0, "Mbit/s", "Mbps", Some(8.0)),
            (8.0, "Mb/s", "B/s", Some(1e6)),
            (60.0, "MB/min", "MiB/s", Some(1.0)),
            (2.0, "kHz", "1/s", Some(2000.0)),
            (120.0, "ops/min", "ops/s", Some(2.0)),
            (1000.0, "ns/op", "us/op", Some(1.0)),
            (5.0, "bogons", " bogons", Some(5.0)),
            (5.0, "", "", Some(5.0)),
            (5.0, "MB/s", "s", None),
            (5.0, "MB", "MB/s", None),
            (5.0, "ops/s", "requests/s", None),
            (5.0, "bogons", "Bogons", None),
            (5.0, "", "s", None),
            (5.0, "%", "", None),
            (5.0, "mb/s", "MB/s", None),
        ] {
            let converted = convert(value, from, to);
            let is_near = |(a, b): (f64, f64)| (a - b).abs() <= b.abs() * 1e-12;
            assert!(converted.zip(expected).map_or(converted == expected, is_near), "{value} {from} → {to}: {converted:?}");
        }
    }

    #[test]
    fn only_times_are_better_when_less() {
        assert!(["s", "ms", " min ", "ns/op", "seconds"].into_iter().all(is_time));
        assert!(!["", "MB/s", "1/s", "%", "Hz", "IOPS", "s/s", "m"].into_iter().any(is_time));
    }
}
