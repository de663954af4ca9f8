//! Values of scripts as text for people: short, on one line, safe whatever they hold.

use super::api;
use crate::context::clip;
use rhai::{Array, Dynamic, Map};

/// Characters of a value in a list of local variables.
pub const SHORT: usize = 160;

/// How many entries of an array or a map are shown.
const ENTRIES: usize = 12;

/// A value in Rhai's own notation where it has one, cut to so many characters.
pub fn value(of: &Dynamic, longest: usize) -> String {
    clip(&whole(of, 0), longest)
}

/// A value as `log` and `${}` would print it: a string without quotes.
pub fn plain(of: &Dynamic) -> String {
    match of.read_lock::<rhai::ImmutableString>() {
        Some(text) => text.to_string(),
        None => whole(of, 0),
    }
}

fn whole(of: &Dynamic, depth: usize) -> String {
    // A map that holds itself cannot be made, but a deep one can.
    if depth > 4 {
        return "…".into();
    }
    if let Some(text) = of.read_lock::<rhai::ImmutableString>() {
        return format!("{:?}", text.chars().take(2000).collect::<String>());
    }
    if let Some(items) = of.read_lock::<Array>() {
        let mut shown: Vec<String> = items.iter().take(ENTRIES).map(|item| whole(item, depth + 1)).collect();
        if items.len() > ENTRIES {
            shown.push(format!("… {} in all", items.len()));
        }
        return format!("[{}]", shown.join(", "));
    }
    if let Some(map) = of.read_lock::<Map>() {
        let mut shown: Vec<String> =
            map.iter().take(ENTRIES).map(|(key, item)| format!("{key}: {}", whole(item, depth + 1))).collect();
        if map.len() > ENTRIES {
            shown.push(format!("… {} in all", map.len()));
        }
        return if shown.is_empty() { "#{}".into() } else { format!("#{{ {} }}", shown.join(", ")) };
    }
    if of.is_unit() {
        return "()".into();
    }
    if of.is_fnptr() {
        return "closure".into();
    }
    if let Some(object) = api::shown(of) {
        return object;
    }
    // What a closure captured would be marked as shared.
    of.flatten_clone().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_the_language_s_own_notation() {
        let engine = rhai::Engine::new();
        for (script, expected) in [
            ("42", "42"),
            ("1.5", "1.5"),
            (r#""a\nb""#, r#""a\nb""#),
            ("[1, \"two\", [3]]", "[1, \"two\", [3]]"),
            ("#{ b: 2, a: () }", "#{ a: (), b: 2 }"),
            ("#{}", "#{}"),
            ("let x = 1; || x", "closure"),
        ] {
            assert_eq!(value(&engine.eval::<Dynamic>(script).unwrap(), SHORT), expected, "{script}");
        }
        let long = value(&"x".repeat(10_000).into(), 20);
        assert_eq!(long.chars().count(), 21);
    }
}
