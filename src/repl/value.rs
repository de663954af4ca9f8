//! What an evaluation gave, as text for people: in the language's own notation, as lines, or as a table, whichever reads best.

use crate::script::{plain_text, shown_value};
use rhai::{Array, Dynamic, Map};
use serde::{Deserialize, Serialize};

/// How much of a value is shown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Columns that a value on one line may take.
    pub width: usize,
    /// Lines of a longer value; nothing for all of them.
    pub lines: Option<usize>,
}

impl Limits {
    /// For other programs: all of it.
    pub const NONE: Limits = Limits { width: LONGEST, lines: None };
}

/// A value to be shown. It holds text only, so that it can be shown elsewhere than where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// On one line.
    Line(String),
    /// On several, of which so many more were left out.
    Lines { lines: Vec<String>, more: usize },
    /// Rows under a header, of which so many more were left out.
    Table { header: Vec<String>, rows: Vec<Vec<String>>, more: usize },
}

/// The widest table that is worth one, and the longest text in a cell of it.
const COLUMNS: usize = 12;
const CELL: usize = 60;

/// The longest notation of a value, when there is no limit to it.
const LONGEST: usize = 1 << 20;

impl Value {
    /// Nothing for `()`.
    pub fn of(value: &Dynamic, limits: Limits) -> Option<Value> {
        if value.is_unit() {
            return None;
        }
        if value.is_string() {
            return Some(text(&plain_text(value), limits));
        }
        // For a person, objects are a table; for another program they are what they are.
        if limits.lines.is_some()
            && let Some(items) = value.read_lock::<Array>()
            && let Some(table) = super::objects::table(&items, limits)
        {
            return Some(table);
        }
        let line = shown_value(value, limits.width.saturating_add(1));
        let is_short = line.chars().count() <= limits.width;
        if let Some(items) = value.read_lock::<Array>() {
            // The notation leaves out what is beyond a dozen entries.
            let is_whole = is_short && items.len() <= 12;
            return Some(if is_whole { Value::Line(line) } else { table(&items, limits).unwrap_or_else(|| list(&items, limits)) });
        }
        if let Some(map) = value.read_lock::<Map>() {
            let is_whole = is_short && map.len() <= 12;
            return Some(if is_whole { Value::Line(line) } else { entries(&map, limits) });
        }
        Some(Value::Line(line))
    }
}

fn text(text: &str, limits: Limits) -> Value {
    // Without a limit nobody looks on: the text is for another program, as it is.
    let Some(most) = limits.lines else { return Value::Lines { lines: text.lines().map(str::to_string).collect(), more: 0 } };
    if text.trim_end_matches('\n').lines().count() < 2 && text.chars().count() <= limits.width * 4 {
        return Value::Line(shown_value(&text.into(), LONGEST));
    }
    let lines = text.lines().take(most).map(str::to_string).collect();
    Value::Lines { lines, more: text.lines().count().saturating_sub(most) }
}

fn kept(count: usize, limits: Limits) -> (usize, usize) {
    let most = limits.lines.unwrap_or(count).min(count);
    (most, count - most)
}

/// A list, an entry a line.
fn list(items: &Array, limits: Limits) -> Value {
    let (most, more) = kept(items.len(), limits);
    Value::Lines { lines: items.iter().take(most).map(|item| shown_value(item, limits.width)).collect(), more }
}

/// A map, an entry a row.
fn entries(map: &Map, limits: Limits) -> Value {
    let (most, more) = kept(map.len(), limits);
    let rows = map.iter().take(most).map(|(key, item)| vec![key.to_string(), shown_value(item, limits.width)]).collect();
    Value::Table { header: vec!["KEY".into(), "VALUE".into()], rows, more }
}

/// A list of maps with the same keys, none of which is large: one row each.
fn table(items: &Array, limits: Limits) -> Option<Value> {
    let first = items.first()?.read_lock::<Map>()?;
    let keys: Vec<String> = first.keys().map(ToString::to_string).collect();
    if keys.is_empty() || keys.len() > COLUMNS {
        return None;
    }
    let (most, more) = kept(items.len(), limits);
    let longest = if limits.lines.is_some() { CELL } else { LONGEST };
    let row = |item: &Dynamic| -> Option<Vec<String>> {
        let map = item.read_lock::<Map>().filter(|m| m.len() == keys.len())?;
        keys.iter().map(|key| map.get(key.as_str()).map(|value| cell(value, longest))).collect()
    };
    let rows = items.iter().take(most).map(row).collect::<Option<Vec<_>>>()?;
    Some(Value::Table { header: keys, rows, more })
}

/// A value in a column of its like: a text needs no quotation marks there.
fn cell(value: &Dynamic, longest: usize) -> String {
    if value.is_string() { crate::context::clip(&plain_text(value), longest) } else { shown_value(value, longest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(script: &str, lines: Option<usize>) -> String {
        let value = rhai::Engine::new().eval::<Dynamic>(script).unwrap();
        match Value::of(&value, if lines.is_some() { Limits { width: 20, lines } } else { Limits::NONE }) {
            None => "nothing".into(),
            Some(Value::Line(line)) => format!("line {line}"),
            Some(Value::Lines { lines, more }) => format!("lines {} +{more}", lines.join("|")),
            Some(Value::Table { header, rows, more }) => {
                let rows: Vec<String> = rows.iter().map(|r| r.join(",")).collect();
                format!("table {}: {} +{more}", header.join(","), rows.join("|"))
            }
        }
    }

    #[test]
    fn a_value_is_shown_in_the_way_that_reads_best() {
        for (script, expected) in [
            ("()", "nothing"),
            ("42", "line 42"),
            (r#""a\tb""#, r#"line "a\tb""#),
            (r#""a\nb""#, "lines a|b +0"),
            (r#""a\nb\nc\nd\n""#, "lines a|b|c +1"),
            ("[1, 2]", "line [1, 2]"),
            ("let a = []; for i in 0..14 { a.push(i); } a", "lines 0|1|2 +11"),
            ("[#{ a: 1, b: \"x\" }]", "line [#{ a: 1, b: \"x\" }]"),
            ("[#{ a: 1, b: \"x\" }, #{ a: 2, b: \"y z\" }]", "table a,b: 1,x|2,y z +0"),
            ("[#{ a: 1, b: \"x\" }, #{ a: 2, c: \"y z\" }]", "lines #{ a: 1, b: \"x\" }|#{ a: 2, c: \"y z\" } +0"),
            ("#{ name: \"x\", other: \"something\" }", "table KEY,VALUE: name,\"x\"|other,\"something\" +0"),
        ] {
            assert_eq!(shown(script, Some(3)), expected, "{script}");
        }
        assert_eq!(shown("let a = []; for i in 0..14 { a.push(i); } a", None), "lines 0|1|2|3|4|5|6|7|8|9|10|11|12|13 +0");
        assert_eq!(shown("[#{ a: 1, b: \"a long text\" }]", None), "line [#{ a: 1, b: \"a long text\" }]");
        assert_eq!(shown(r#""one line""#, None), "lines one line +0");
    }
}
