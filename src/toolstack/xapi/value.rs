//! XAPI's values as they come over JSON: numbers that may be strings, references that may be null, dates in all their forms.

use crate::time::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The reference that means nothing.
pub(super) const NULL: &str = "OpaqueRef:NULL";

/// A reference; nothing for the one that means nothing.
pub(super) type Handle = Option<Arc<str>>;

/// Objects of a class by their references.
pub(super) type All<T> = BTreeMap<Arc<str>, T>;

/// Reads an integer of 64 bits, which comes as a number or as a text.
pub(super) fn int<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(i64),
        Float(f64),
        Text(String),
        Nothing(()),
    }
    match Form::deserialize(d)? {
        Form::Number(number) => Ok(number),
        // A server that has no integers: whole numbers up to 2⁵³ are exact.
        Form::Float(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => Ok(float as i64),
        Form::Float(float) => Err(serde::de::Error::custom(format!("{float} is not an integer"))),
        Form::Text(text) => text.trim().parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not an integer"))),
        Form::Nothing(()) => Ok(0),
    }
}

/// An integer that cannot be less than nothing: sizes, counts. What is less (XAPI says -1 for "unknown") is 0.
pub(super) fn size<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(u64::try_from(int(d)?).unwrap_or(0))
}

pub(super) fn handle<'de, D: Deserializer<'de>>(d: D) -> Result<Handle, D::Error> {
    let text: Option<String> = Deserialize::deserialize(d)?;
    Ok(text.filter(|text| !text.is_empty() && text != NULL).map(Arc::from))
}

/// A set of references, without those that mean nothing.
pub(super) fn handles<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Arc<str>>, D::Error> {
    let all: Vec<String> = Deserialize::deserialize(d)?;
    Ok(all.into_iter().filter(|text| text != NULL).map(Arc::from).collect())
}

/// Seconds since 1970; 0 for what is no date.
pub(super) fn date<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(d)?;
    Ok(value.as_str().and_then(moment).unwrap_or(0))
}

/// Reads `20261122T09:03:11Z`, with or without hyphens, with `Z`, an offset or nothing at its end.
pub(super) fn moment(text: &str) -> Option<i64> {
    let (day, time) = text.trim().split_once(['T', ' '])?;
    let digits: String = day.chars().filter(char::is_ascii_digit).collect();
    if digits.len() != 8 {
        return None;
    }
    let zone = if time.ends_with(['Z', 'z']) || time.contains(['+', '-']) { "" } else { "Z" };
    let text = format!("{}-{}-{}T{time}{zone}", &digits[..4], &digits[4..6], &digits[6..]);
    Some(text.parse::<Timestamp>().ok()?.unix() as i64)
}

/// The texts in a task's result, which is XML: `<value>OpaqueRef:…</value>`, or an array of such.
pub(super) fn texts(xml: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let text = rest[..at].trim();
        if !text.is_empty() {
            found.push(unescape(text));
        }
        let Some(end) = rest[at..].find('>') else { return found };
        rest = &rest[at + end + 1..];
    }
    // A server that gives the bare text.
    if found.is_empty() && !rest.trim().is_empty() && !xml.contains('<') {
        found.push(rest.trim().to_string());
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Number(#[serde(deserialize_with = "int")] i64);

    #[test]
    fn integers_come_as_numbers_and_as_texts() {
        for (value, expected) in [
            (json!(9_007_199_254_740_993_i64), 9_007_199_254_740_993),
            (json!("9223372036854775807"), i64::MAX),
            (json!("-1"), -1),
            (json!(4.0), 4),
            (json!(null), 0),
        ] {
            assert_eq!(serde_json::from_value::<Number>(value.clone()).unwrap(), Number(expected), "{value}");
        }
        for value in [json!("4 GiB"), json!(1.5), json!([1]), json!("9223372036854775808"), json!(true)] {
            assert!(serde_json::from_value::<Number>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn dates_come_in_all_forms() {
        for text in [
            "20261122T09:03:11Z",
            "2026-11-22T09:03:11Z",
            "20261122T09:03:11",
            "20261122T10:03:11+01:00",
            "2026-11-22T09:03:11.000Z",
        ] {
            assert_eq!(moment(text), Some(1_795_338_191), "{text}");
        }
        assert_eq!(moment("19700101T00:00:00Z"), Some(0));
        for text in ["", "yesterday", "2026-11T09:03:11Z", "20261122"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn results_of_tasks_are_read() {
        let check = |xml: &str, expected: &[&str]| assert_eq!(texts(xml), expected, "{xml}");
        check("<value>OpaqueRef:1</value>", &["OpaqueRef:1"]);
        check("<value><array><data><value>a</value><value>b &amp;lt; c</value></data></array></value>", &["a", "b &lt; c"]);
        check("<value/>", &[]);
        check("", &[]);
        check("OpaqueRef:1", &["OpaqueRef:1"]);
        check("<value", &[]);
    }
}
