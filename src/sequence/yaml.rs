//! YAML, and JSON as the part of it that it is, as a tree of values, each with its place.
//!
//! Scalars are kept as texts: whoever reads one knows what it is to be, and says so in the words for people. Whatever the text, reading
//! costs bounded time and memory; nothing refers to anything else in it, so nothing grows.

use crate::diagnostic::At;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

/// A value. Places are those in the text, from line 1 and column 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub at: At,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~`, or nothing at all.
    Nothing,
    Scalar {
        text: String,
        /// Whether it stands in quotes, so that it is a text whatever it looks like.
        is_quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub at: At,
    pub value: Node,
}

/// Why a text is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub at: At,
    pub what: String,
}

const DEEPEST: usize = 60;
const MOST_NODES: usize = 200_000;

/// Reads a text with one value in it. An empty text is [`Kind::Nothing`].
///
/// # Errors
/// It is no YAML, has more than one document, anchors, tags, two equal keys in one map, or too much of anything.
pub fn read(text: &str) -> Result<Node, Wrong> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let mut found = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if found.is_some() => return Err(Wrong { at: place(span), what: "there is a second document".into() }),
            event => found = Some(reader.node(event, span, 0)?),
        }
    }
    Ok(found.unwrap_or(Node { at: At { line: 1, column: 1 }, kind: Kind::Nothing }))
}

impl Node {
    /// The same as JSON, scalars with the types that they look like.
    pub fn json(&self) -> Value {
        match &self.kind {
            Kind::Nothing => Value::Null,
            Kind::Scalar { text, is_quoted: true } => text.as_str().into(),
            Kind::Scalar { text, is_quoted: false } => typed(text),
            Kind::List(all) => all.iter().map(Node::json).collect(),
            Kind::Map(all) => Value::Object(all.iter().map(|entry| (entry.key.clone(), entry.value.json())).collect()),
        }
    }

    /// The text of a scalar.
    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Scalar { .. } => "a value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

fn typed(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let whole = text.parse::<i64>().ok().map(Value::from);
            let number = whole.or_else(|| text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from));
            number.filter(|_| is_number).unwrap_or_else(|| text.into())
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Wrong> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = error.marker();
                Err(Wrong { at: At { line: marker.line(), column: marker.col() + 1 }, what: error.info().to_string() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Wrong> {
        let at = place(span);
        let wrong = |what: String| Err(Wrong { at, what });
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return wrong(format!("there are more than {MOST_NODES} values"));
        }
        if depth > DEEPEST {
            return wrong(format!("values are more than {DEEPEST} deep in each other"));
        }
        if let Event::Scalar(_, _, anchor @ 1.., _) | Event::SequenceStart(anchor @ 1.., _) | Event::MappingStart(anchor @ 1.., _) =
            &event
        {
            tracing::debug!("anchor {anchor}");
            return wrong("anchors (`&name`) are not taken: write the value again".into());
        }
        let kind = match event {
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return wrong("tags (`!name`) are not taken".into());
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) if ["", "~", "null", "Null", "NULL"].contains(&text.as_ref()) => {
                Kind::Nothing
            }
            Event::Scalar(text, style, ..) => Kind::Scalar { text: text.into_owned(), is_quoted: style != ScalarStyle::Plain },
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Map(self.map(depth)?),
            Event::Alias(_) => return wrong("aliases (`*name`) are not taken: write the value again".into()),
            _ => return wrong("expected a value".into()),
        };
        Ok(Node { at, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Wrong> {
        let mut all = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(all),
                (event, span) => all.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Wrong> {
        let mut all: Vec<Entry> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(all),
                next => next,
            };
            let Node { at, kind } = self.node(event, span, depth + 1)?;
            let Kind::Scalar { text: key, .. } = kind else {
                return Err(Wrong { at, what: "a key is a text".into() });
            };
            if let Some(first) = seen.insert(key.clone(), at.line) {
                return Err(Wrong { at, what: format!("there is a second `{key}` in this map; the first is in line {first}") });
            }
            let (event, span) = self.next()?;
            all.push(Entry { key, at, value: self.node(event, span, depth + 1)? });
        }
    }
}

fn place(span: Span) -> At {
    At { line: span.start.line().max(1), column: span.start.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_the_same_tree() {
        let json = r#"{ "hosts": [ { "id": 0, "name": "a b", "on": true, "none": null, }, ], "x": 1.5, "y": "1", "z": -3 }"#;
        let yaml = "hosts:\n  - id: 0\n    name: a b\n    \"on\": true\n    none: ~\nx: 1.5\ny: '1'\nz: -3\n";
        let expected = serde_json::json!({
            "hosts": [{ "id": 0, "name": "a b", "on": true, "none": null }], "x": 1.5, "y": "1", "z": -3
        });
        assert_eq!(read(json).unwrap().json(), expected);
        assert_eq!(read(yaml).unwrap().json(), expected);
        assert_eq!(read(" \n").unwrap().json(), Value::Null);
        let strange = "[inf, nan, .5, 0x10, 1_000, yes, 12:30, 99999999999999999999]";
        assert_eq!(read(strange).unwrap().json(), serde_json::json!(["inf", "nan", 0.5, "0x10", "1_000", "yes", "12:30", 1e20]));
    }

    #[test]
    fn every_value_has_its_place() {
        let Kind::Map(all) = read("a: 1\nb:\n  - c: x\n").unwrap().kind else { panic!("a map") };
        let Kind::List(list) = &all[1].value.kind else { panic!("a list") };
        let Kind::Map(inner) = &list[0].kind else { panic!("a map") };
        let places = [all[0].at, all[0].value.at, all[1].at, inner[0].at, inner[0].value.at];
        assert_eq!(places.map(|at| (at.line, at.column)), [(1, 1), (1, 4), (2, 1), (3, 5), (3, 8)]);
    }

    #[test]
    fn what_is_not_taken_is_told_with_its_place() {
        let deep = "[".repeat(100);
        let many = format!("[{}]", "1,".repeat(MOST_NODES));
        let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]";
        for (text, expected) in [
            ("a: 1\na: 2", "2:1: there is a second `a` in this map; the first is in line 1"),
            ("---\na\n---\nb", "4:1: there is a second document"),
            (bomb, "1:4: anchors (`&name`) are not taken: write the value again"),
            ("a: !x 1", "1:4: tags (`!name`) are not taken"),
            ("? [a]\n: b", "1:3: a key is a text"),
            (&deep, "1:62: values are more than 60 deep in each other"),
            (&many, "1:400000: there are more than 200000 values"),
        ] {
            let Wrong { at, what } = read(text).unwrap_err();
            assert_eq!(format!("{}:{}: {what}", at.line, at.column), expected);
        }
        for text in ["{", "a: b: c", "a\tb: [", "*x", "%X%", "{a: ${X}}", "'"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
