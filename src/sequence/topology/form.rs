//! The form of a preparation in YAML or JSON: the same words under other names, put into elements, so that there is one reader of both.
//!
//! To add a key: a row in the table of its noun in `keys.rs`.

use super::keys::{PREPARATION, Shape, To};
use crate::diagnostic::At;
use crate::name::did_you_mean;
use crate::sequence::scope::{Scope, short};
use crate::sequence::xml::{Attribute, Element};
use crate::sequence::yaml::{self, Entry, Kind, Node};

/// The elements that the text of `element` stands for, or nothing when it cannot be read, which is told.
pub fn elements(element: &Element, scope: &mut Scope<'_>) -> Option<Element> {
    let indent = indent(element, scope);
    let text = format!("{}{}", " ".repeat(indent), element.text);
    let origin = Origin { at: element.text_at, indent };
    let root = read(&text, origin, scope)?;
    let mut made = Element { name: element.name.clone(), at: element.at, text_at: element.at, ..Element::default() };
    match root.kind {
        Kind::Map(entries) => Form { scope, origin }.fill(&mut made, entries, &PREPARATION),
        _ => {
            let help = Some("write it as {\"hosts\": [{\"id\": 0}]}, or as elements".to_string());
            scope.wrong("bad-yaml", origin.place(root.at), "a preparation in YAML is a map", help);
        }
    }
    Some(made)
}

/// Blanks before the text in its first line, which lost them.
fn indent(element: &Element, scope: &Scope<'_>) -> usize {
    let At { line, column } = element.text_at;
    let before: String = scope
        .source()
        .text()
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default()
        .chars()
        .take(column.saturating_sub(1))
        .collect();
    if before.trim().is_empty() { before.chars().count() } else { 0 }
}

/// Where a text stands in its file.
#[derive(Clone, Copy)]
struct Origin {
    at: At,
    /// Blanks that were put before it.
    indent: usize,
}

impl Origin {
    fn place(self, at: At) -> At {
        match at.line {
            0 | 1 => At { line: self.at.line, column: self.at.column + at.column.saturating_sub(1 + self.indent) },
            line => At { line: self.at.line + line - 1, column: at.column },
        }
    }
}

/// Reads a text as it stands, or, when it makes sense only with its variables, with these.
fn read(text: &str, origin: Origin, scope: &mut Scope<'_>) -> Option<Node> {
    let first = match yaml::read(text) {
        Ok(node) => return Some(node),
        Err(first) => first,
    };
    let expanded = expanded(text, origin, scope)?;
    match yaml::read(&expanded) {
        Ok(mut node) => {
            escape(&mut node);
            Some(node)
        }
        Err(second) => {
            let wrong = if expanded == text { first } else { second };
            let help = Some("YAML and JSON are taken; put texts with special characters into quotes".to_string());
            scope.fatal("bad-yaml", origin.place(wrong.at), wrong.what, help);
            None
        }
    }
}

/// A whole text with its variables, or nothing when one is unknown, which is told; the rest would only follow from it.
fn expanded(text: &str, origin: Origin, scope: &mut Scope<'_>) -> Option<String> {
    let mut is_known = true;
    let lines: Vec<String> = (1..)
        .zip(text.lines())
        .map(|(number, line)| {
            let column = line.chars().take_while(|c| !['$', '%'].contains(c)).count() + 1;
            let expanded = scope.expanded(line, origin.place(At { line: number, column }));
            is_known &= expanded.is_known;
            expanded.text
        })
        .collect();
    is_known.then(|| lines.join("\n"))
}

/// Its texts will be looked through for references once more, and have none left.
fn escape(node: &mut Node) {
    match &mut node.kind {
        Kind::Nothing => {}
        Kind::Scalar { text, .. } => *text = text.replace('%', "%%").replace("${", "$${"),
        Kind::List(all) => all.iter_mut().for_each(escape),
        Kind::Map(all) => all.iter_mut().for_each(|entry| escape(&mut entry.value)),
    }
}

/// The text of an element that is YAML of any form, with its variables put in: of `cloud`, `extraConfig`.
pub fn free(element: &Element, scope: &mut Scope<'_>) -> Option<serde_json::Value> {
    let indent = indent(element, scope);
    let text = format!("{}{}", " ".repeat(indent), element.text);
    let origin = Origin { at: element.text_at, indent };
    let mut node = read(&text, origin, scope)?;
    expand(&mut node, origin, scope);
    Some(node.json())
}

fn expand(node: &mut Node, origin: Origin, scope: &mut Scope<'_>) {
    match &mut node.kind {
        Kind::Nothing => {}
        Kind::Scalar { text, .. } => *text = scope.expand(text, origin.place(node.at)),
        Kind::List(all) => all.iter_mut().for_each(|node| expand(node, origin, scope)),
        Kind::Map(all) => all.iter_mut().for_each(|entry| expand(&mut entry.value, origin, scope)),
    }
}

struct Form<'f, 's> {
    scope: &'f mut Scope<'s>,
    origin: Origin,
}

impl Form<'_, '_> {
    fn fill(&mut self, element: &mut Element, entries: Vec<Entry>, shape: &Shape) {
        let mut later = Vec::new();
        for Entry { key, at, value } in entries {
            let at = self.origin.place(at);
            let Some(to) = shape.find(&key) else {
                let help = did_you_mean(&key, shape.names());
                self.scope.wrong("unknown-key", at, format!("{} has no `{}`", shape.noun, short(&key)), help);
                continue;
            };
            match to {
                To::Of(child, attribute) => later.push((child, attribute, key, at, value)),
                to => self.put(element, &key, at, value, to),
            }
        }
        for (child, attribute, key, at, value) in later {
            let place = self.origin.place(value.at);
            match (element.children.iter_mut().find(|c| c.name == child), self.text(&key, value)) {
                (Some(child), Some(text)) => child.attributes.push(attribute_of(attribute, text, place, at)),
                (None, Some(_)) => {
                    self.scope.wrong("useless", at, format!("`{key}` is for a `file_name`, and there is none"), None);
                }
                (_, None) => {}
            }
        }
        // One NIC is meant when nobody says how many.
        if element.name == "PHYSICAL" && !element.children.iter().any(|child| child.name == "NIC") {
            element.children.push(child_at("NIC", element.at));
        }
    }

    /// A child for each entry of a list, which is its attribute.
    fn put_names(&mut self, element: &mut Element, key: &str, value: Node, (name, attribute): (&'static str, &'static str)) {
        let Kind::List(all) = value.kind else { return self.other(key, &value, "a list") };
        for node in all {
            let place = self.origin.place(node.at);
            if let Some(text) = self.text(key, node) {
                let attributes = vec![attribute_of(attribute, text, place, place)];
                element.children.push(Element { attributes, ..child_at(name, place) });
            }
        }
    }

    fn put(&mut self, element: &mut Element, key: &str, at: At, value: Node, to: To) {
        let place = self.origin.place(value.at);
        if value.kind == Kind::Nothing {
            return;
        }
        match to {
            To::Attribute(name) => {
                if let Some(text) = self.text(key, value) {
                    element.attributes.push(attribute_of(name, text, place, at));
                }
            }
            To::Free(name) => element.attributes.push(attribute_of(name, value.json().to_string(), place, at)),
            To::Text(name) => {
                if let Some(text) = self.text(key, value) {
                    element.children.push(Element { text, text_at: place, ..child_at(name, at) });
                }
            }
            To::FreeText(name) => {
                let text = value.json().to_string();
                element.children.push(Element { text, text_at: place, ..child_at(name, at) });
            }
            To::Each(name, shape) => {
                for (entries, at) in self.maps(key, value) {
                    let mut child = child_at(name, at);
                    self.fill(&mut child, entries, shape);
                    element.children.push(child);
                }
            }
            To::Within(outer, name, shape) => {
                let mut all = child_at(outer, at);
                self.put(&mut all, key, at, value, To::Each(name, shape));
                element.children.push(all);
            }
            To::One(name, shape) => {
                let mut child = child_at(name, at);
                match value.kind {
                    Kind::Map(entries) => self.fill(&mut child, entries, shape),
                    _ => self.other(key, &value, "a map"),
                }
                element.children.push(child);
            }
            To::Names(name, attribute) => self.put_names(element, key, value, (name, attribute)),
            To::Count(name) => {
                let Some(text) = self.text(key, value) else { return };
                let text = self.scope.expand(&text, place);
                match text.parse() {
                    Ok(count @ 1..=64) => element.children.extend((0..count).map(|_: u32| child_at(name, at))),
                    _ => {
                        let help = Some("write a whole number from 1 up".to_string());
                        self.scope.wrong("not-a-number", place, format!("`{key}` cannot be `{}`", short(&text)), help);
                    }
                }
            }
            To::Role(name) => {
                let Some(text) = self.text(key, value) else { return };
                let mut child = child_at(name, at);
                match crate::unit::parse_boolean(&text) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => child.attributes.push(attribute_of("mode", text, place, place)),
                }
                element.children.push(child);
            }
            To::Of(..) => {}
        }
    }

    /// A value as one text.
    fn text(&mut self, key: &str, value: Node) -> Option<String> {
        let parts: Vec<String> = match value.kind {
            Kind::Scalar { text, .. } => return Some(text),
            Kind::List(ref all) => {
                all.iter().map(|node| node.scalar().map(str::to_string)).collect::<Option<_>>().unwrap_or_default()
            }
            Kind::Map(ref all) if key == "guestparams" => {
                let pair = |entry: &Entry| Some(format!("{}={}", entry.key, entry.value.scalar()?));
                all.iter().map(pair).collect::<Option<_>>().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if parts.is_empty() || parts.iter().any(|part| part.contains(',')) {
            self.other(key, &value, "a value, or a list of values without commas");
            return None;
        }
        Some(parts.join(","))
    }

    /// The maps of a list, and where each begins.
    fn maps(&mut self, key: &str, value: Node) -> Vec<(Vec<Entry>, At)> {
        let Kind::List(all) = value.kind else {
            self.other(key, &value, "a list");
            return Vec::new();
        };
        let mut maps = Vec::new();
        for node in all {
            match node.kind {
                Kind::Map(entries) => maps.push((entries, self.origin.place(node.at))),
                _ => self.other(key, &node, "a list of maps"),
            }
        }
        maps
    }

    fn other(&mut self, key: &str, value: &Node, expected: &str) {
        let message = format!("`{key}`: expected {expected}, not {}", value.word());
        self.scope.wrong("bad-yaml", self.origin.place(value.at), message, None);
    }
}

fn child_at(name: &str, at: At) -> Element {
    Element { name: name.to_string(), at, text_at: at, ..Element::default() }
}

fn attribute_of(name: &str, value: String, at: At, name_at: At) -> Attribute {
    Attribute { name: name.to_string(), value, at, name_at, is_plain: false }
}
