//! Sizes in bytes, durations in seconds, and yes or no, as people write them: "64MiB", "4G", "10m", "1h30m".
//!
//! All size units are 1024-based, as everywhere in this field's tools: `G`, `GB` and `GiB` are the same.

use crate::error::{Error, Kind, Result};
use std::time::Duration;

/// Parses a size ("64MiB", "4G", "512").
///
/// # Units
/// Bytes; a number without a unit is bytes.
/// # Errors
/// `Malformed`, with an example.
pub fn parse_size(text: &str) -> Result<u64> {
    let config = parse_size::Config::new().with_binary();
    config.parse_size(text.trim()).map_err(|e| {
        Error::new(Kind::Malformed, format!("`{text}` is not a size: {e}")).help("write it as 4096, 64MiB or 2G (1G = 1024³ bytes)")
    })
}

/// Parses a duration ("90", "1.5", "10m", "1h 30m").
///
/// # Units
/// A number without a unit is seconds.
/// # Errors
/// `Malformed`, with an example.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_duration(seconds);
    }
    humantime::parse_duration(text).map_err(|e| {
        Error::new(Kind::Malformed, format!("`{text}` is not a duration: {e}")).help("write it as 90, 10m, 4h or 1h30m")
    })
}

/// Parses a yes or no, in either case: yes, true, on, y, t, 1; no, false, off, n, f, 0.
///
/// # Errors
/// `Malformed`, with the words there are.
pub fn parse_boolean(text: &str) -> Result<bool> {
    let text = text.trim();
    let is_one_of = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_one_of(["yes", "true", "on", "y", "t", "1"]) {
        return Ok(true);
    }
    if is_one_of(["no", "false", "off", "n", "f", "0"]) {
        return Ok(false);
    }
    Err(Error::new(Kind::Malformed, format!("`{text}` is neither yes nor no")).help("write yes or no"))
}

/// A duration from seconds that came from a person or a script.
///
/// # Errors
/// `Malformed` when negative, not a number, or beyond a hundred years.
pub fn seconds_to_duration(seconds: f64) -> Result<Duration> {
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds <= CENTURY => Ok(duration),
        _ => Err(Error::new(Kind::Malformed, format!("`{seconds}` is not a number of seconds")).help("use a number from 0 up")),
    }
}

/// Reads an optional duration from a script's or a file's value: a number of seconds, or a text for [`parse_duration`].
///
/// # Errors
/// Neither of them, or none that [`parse_duration`] takes.
pub fn deserialize_duration<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    struct Reader;
    fn wrong<E: serde::de::Error>(error: Error) -> E {
        E::custom(error.what)
    }
    impl serde::de::Visitor<'_> for Reader {
        type Value = Option<Duration>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number of seconds or a text such as \"10m\"")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Option<Duration>, E> {
            parse_duration(text).map(Some).map_err(wrong)
        }
        fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Option<Duration>, E> {
            seconds_to_duration(seconds).map(Some).map_err(wrong)
        }
        fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Option<Duration>, E> {
            self.visit_f64(seconds as f64)
        }
        fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Option<Duration>, E> {
            self.visit_f64(seconds as f64)
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<Option<Duration>, E> {
            Ok(None)
        }
    }
    d.deserialize_any(Reader)
}

/// A duration for people, in at most eight columns: "0.4s", "41.2s", "4m02", "2h05m".
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.0995 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..3600 => format!("{}m{:02}", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A size for people: "512 B", "64.0 MiB".
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A measured number for people: at least three significant digits, no noise behind them.
pub fn show_number(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e15 {
        format!("{value:.0}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_a_closed_list_of_words() {
        for (text, expected) in
            [("yes", true), ("TRUE", true), (" on ", true), ("1", true), ("n", false), ("Off", false), ("0", false)]
        {
            assert_eq!(parse_boolean(text).unwrap(), expected, "{text}");
        }
        for text in ["", "yep", "2", "none", "oui"] {
            assert_eq!(parse_boolean(text).unwrap_err().kind, Kind::Malformed, "{text}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in
            [("512", 512), ("64MiB", 64 << 20), ("4G", 4 << 30), ("4GB", 4 << 30), ("1.5k", 1536), (" 2 GiB ", 2 << 30)]
        {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "big", "-1", "4 parsecs", "99999999999999999999G"] {
            assert_eq!(parse_size(text).unwrap_err().kind, Kind::Malformed, "{text}");
        }
    }

    #[test]
    fn durations_default_to_seconds() {
        for (text, seconds) in [("90", 90.0), ("1.5", 1.5), ("10m", 600.0), ("4h", 14_400.0), ("1h30m", 5400.0), ("250ms", 0.25)] {
            assert_eq!(parse_duration(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "-3", "soon", "nan", "inf", "1e300"] {
            assert_eq!(parse_duration(text).unwrap_err().kind, Kind::Malformed, "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_are_short_for_people() {
        let shown = |s: f64| show_duration(Duration::from_secs_f64(s));
        assert_eq!(
            [shown(0.0021), shown(0.41), shown(59.96), shown(242.0), shown(7500.0), shown(90_000.0)],
            ["2ms", "0.4s", "1m00", "4m02", "2h05m", "1d01h"]
        );
        assert_eq!([show_size(5), show_size(64 << 20), show_size(1 << 40)], ["5 B", "64.0 MiB", "1.0 TiB"]);
    }
}
