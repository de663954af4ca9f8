//! An XML file as a tree of elements, each part with its place.
//!
//! A file of any content costs bounded time and memory: its size, its depth and the number of its parts have limits, and nothing that a
//! document defines for itself (an entity) is ever put in.

use crate::diagnostic::{At, Diagnostic};
use quick_xml::errors::Error as XmlError;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;

/// A sequence of 250 testcases has 100 KB.
pub const MOST_BYTES: usize = 16 << 20;
/// Trees and preparations of real sequences are at most nine deep.
const DEEPEST: usize = 100;
/// Elements and attributes together.
const MOST_PARTS: usize = 400_000;
const MOST_ATTRIBUTES: usize = 100;

/// An element with everything in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Element {
    pub name: String,
    pub at: At,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    /// All text directly in it, trimmed.
    pub text: String,
    /// Of the text's first character; of the element when it has none.
    pub text_at: At,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribute {
    pub name: String,
    pub value: String,
    /// Of the value's first character.
    pub at: At,
    /// Of the name's first character.
    pub name_at: At,
    /// Whether the file has the value as it is here: no entities in it, and all in one line.
    pub is_plain: bool,
}

impl Attribute {
    /// Where a character of the value stands, as far as that is known.
    pub fn place_in(&self, offset: usize) -> At {
        At { column: self.at.column + if self.is_plain { offset } else { 0 }, ..self.at }
    }
}

impl Element {
    /// An attribute as written.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// Where an attribute's value is, or the element when it has no such attribute.
    pub fn place_of(&self, name: &str) -> At {
        self.attribute(name).map_or(self.at, |a| a.at)
    }
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong with it as XML, or that it is too large or too deep.
pub fn read(file: &str, text: &str) -> Result<Element, Box<Diagnostic>> {
    Tree::of(file, text).read()
}

/// Offsets into a text as lines and columns. Asked in the order of the text, all of them together cost one walk over it.
struct Places<'t> {
    text: &'t str,
    offset: usize,
    at: At,
}

impl Places<'_> {
    fn at(&mut self, offset: usize) -> At {
        if offset < self.offset {
            (self.offset, self.at) = (0, At { line: 1, column: 1 });
        }
        for character in self.text.get(self.offset..offset).unwrap_or_default().chars() {
            match character {
                '\n' => self.at = At { line: self.at.line + 1, column: 1 },
                _ => self.at.column += 1,
            }
        }
        self.offset = offset.min(self.text.len());
        self.at
    }
}

/// A tree that is being read.
struct Tree<'t> {
    file: &'t str,
    text: &'t str,
    places: Places<'t>,
    /// Elements that are not closed yet, the root first.
    open: Vec<Element>,
    root: Option<Element>,
    parts: usize,
}

type Read<T> = Result<T, Box<Diagnostic>>;

impl<'t> Tree<'t> {
    fn of(file: &'t str, text: &'t str) -> Tree<'t> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let places = Places { text, offset: 0, at: At { line: 1, column: 1 } };
        Tree { file, text, places, open: Vec::new(), root: None, parts: 0 }
    }

    fn read(mut self) -> Read<Element> {
        self.check_characters()?;
        let mut reader = Reader::from_str(self.text);
        reader.config_mut().check_end_names = true;
        loop {
            let start = offset(reader.buffer_position());
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(event) => self.event(event, start)?,
                Err(error) => {
                    let at = self.places.at(offset(reader.error_position()));
                    return Err(self.malformed(at, plain(&error), None));
                }
            }
        }
        if let Some(unclosed) = self.open.pop() {
            return Err(self.malformed(unclosed.at, format!("`<{}>` is not closed", unclosed.name), None));
        }
        self.root.take().ok_or_else(|| {
            let help = "a sequence is one `<xenrt>…</xenrt>` element".to_string();
            self.malformed(At { line: 1, column: 1 }, "there is no element in it".into(), Some(help))
        })
    }

    fn event(&mut self, event: Event<'t>, start: usize) -> Read<()> {
        match event {
            Event::Start(tag) => {
                let element = self.element(&tag, start)?;
                self.open.push(element);
                if self.open.len() > DEEPEST {
                    let at = self.places.at(start);
                    return Err(self.too_large(at, format!("elements are more than {DEEPEST} deep in each other")));
                }
                Ok(())
            }
            Event::Empty(tag) => {
                let element = self.element(&tag, start)?;
                self.close(element)
            }
            Event::End(_) => match self.open.pop() {
                Some(element) => self.close(element),
                None => Ok(()),
            },
            Event::Text(text) => self.add_text(&text.xml10_content(), start),
            Event::CData(text) => self.add_text(&text.xml10_content(), start + "<![CDATA[".len()),
            Event::GeneralRef(reference) => {
                let text = self.resolve(&reference, start)?;
                self.add_text(&text, start)
            }
            Event::DocType(text) if text.contains('[') => {
                let at = self.places.at(start);
                let help = "write the values out; a sequence has `<default>` and `<variables>` for what changes".to_string();
                Err(Box::new(
                    Diagnostic::error("definitions", self.file, self.text, at, "a document may not define entities of its own")
                        .help(Some(help)),
                ))
            }
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    /// A tag with its attributes.
    fn element(&mut self, tag: &BytesStart<'t>, start: usize) -> Read<Element> {
        let at = self.places.at(start);
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.malformed(at, "there is a second element at the top of the file".into(), None));
        }
        self.count(at)?;
        let mut element = Element { name: tag.name().as_ref().to_string(), at, text_at: at, ..Element::default() };
        // Looking for attributes of the same name is left to us, who have few of them.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|e| self.wrong_attribute(&e, start))?;
            let key = self.offset_of(attribute.key.as_ref(), start);
            let name_at = self.places.at(key);
            let at = self.places.at(self.offset_of_value(&attribute.value, key));
            self.count(name_at)?;
            if element.attributes.len() >= MOST_ATTRIBUTES {
                return Err(self.too_large(name_at, format!("`<{}>` has more than {MOST_ATTRIBUTES} attributes", element.name)));
            }
            let name = attribute.key.as_ref();
            if element.attribute(name).is_some() {
                return Err(self.malformed(name_at, format!("`<{}>` has two attributes `{name}`", element.name), None));
            }
            let value = attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_xml_entity);
            let value = value.map_err(|e| self.malformed(at, plain(&e), entity_help(&e)))?;
            self.check_resolved(&value, at)?;
            let is_plain = matches!(value, Cow::Borrowed(_));
            element.attributes.push(Attribute { name: name.to_string(), value: value.into_owned(), at, name_at, is_plain });
        }
        Ok(element)
    }

    fn wrong_attribute(&mut self, error: &AttrError, start: usize) -> Box<Diagnostic> {
        let (AttrError::ExpectedEq(behind)
        | AttrError::ExpectedValue(behind)
        | AttrError::UnquotedValue(behind)
        | AttrError::ExpectedQuote(behind, _)
        | AttrError::Duplicated(behind, _)) = error;
        let at = self.places.at(start + "<".len() + behind);
        self.malformed(at, "this is not an attribute".into(), Some("write it as name=\"value\"".into()))
    }

    /// Puts a whole element where it belongs.
    fn close(&mut self, mut element: Element) -> Read<()> {
        element.text.truncate(element.text.trim_end().len());
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str, start: usize) -> Read<()> {
        let is_new = self.open.last().is_some_and(|e| e.text.is_empty());
        let kept = if is_new || self.open.is_empty() { text.trim_start() } else { text };
        if kept.is_empty() {
            return Ok(());
        }
        if is_new || self.open.is_empty() {
            // Line ends may be two characters in the file and one in the text, so the blanks are counted there.
            let source = self.text.get(start..).unwrap_or_default();
            let at = self.places.at(start + source.len() - source.trim_start().len());
            match self.open.last_mut() {
                Some(element) => element.text_at = at,
                None => return Err(self.malformed(at, "there is text outside of the top element".into(), None)),
            }
        }
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(kept);
        }
        Ok(())
    }

    /// What `&name;` or `&#10;` stands for.
    fn resolve(&mut self, reference: &BytesRef<'t>, start: usize) -> Read<Cow<'static, str>> {
        let at = self.places.at(start);
        match reference.resolve_char_ref() {
            Ok(Some(character)) => {
                let text = character.to_string();
                self.check_resolved(&text, at)?;
                Ok(text.into())
            }
            // Those of XML only: another crate may have turned on those of HTML.
            Ok(None) => match resolve_xml_entity(reference) {
                Some(text) => Ok(text.into()),
                None => {
                    let name: String = reference.chars().take(40).collect();
                    Err(self.malformed(at, format!("there is no entity `&{name};`"), Some(ENTITIES.into())))
                }
            },
            Err(error) => Err(self.malformed(at, plain(&error), None)),
        }
    }

    fn count(&mut self, at: At) -> Read<()> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(self.too_large(at, format!("more than {MOST_PARTS} elements and attributes")));
        }
        Ok(())
    }

    /// Characters that XML does not have would otherwise come out again somewhere, in a report or on a terminal.
    fn check_characters(&mut self) -> Read<()> {
        if self.text.len() > MOST_BYTES {
            let what = format!("it has {} MB", self.text.len() >> 20);
            return Err(self.too_large(At { line: 1, column: 1 }, what));
        }
        match self.text.bytes().position(is_forbidden) {
            None => Ok(()),
            Some(offset) => {
                let at = self.places.at(offset);
                let code = self.text.as_bytes().get(offset).copied().unwrap_or_default();
                Err(self.malformed(at, format!("a control character (0x{code:02x}) is not text"), None))
            }
        }
    }

    fn check_resolved(&self, text: &str, at: At) -> Read<()> {
        match text.bytes().any(is_forbidden) {
            true => Err(self.malformed(at, "a control character is not text".into(), None)),
            false => Ok(()),
        }
    }

    /// Where a part of the text begins, given that it lies behind `from`.
    fn offset_of(&self, part: &str, from: usize) -> usize {
        // The reader hands out parts of the text itself, so the distance of the two addresses is the offset.
        let distance = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        distance.filter(|d| *d + part.len() <= self.text.len()).unwrap_or(from)
    }

    #[expect(clippy::ptr_arg, reason = "whether it is borrowed from the text is what is asked")]
    fn offset_of_value(&self, value: &Cow<'_, str>, from: usize) -> usize {
        match value {
            Cow::Borrowed(value) => self.offset_of(value, from),
            Cow::Owned(_) => from,
        }
    }

    fn malformed(&self, at: At, what: String, help: Option<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error("malformed", self.file, self.text, at, what).help(help))
    }

    fn too_large(&self, at: At, what: String) -> Box<Diagnostic> {
        let help = format!("a sequence has at most {} MB and {MOST_PARTS} elements and attributes", MOST_BYTES >> 20);
        Box::new(Diagnostic::error("too-large", self.file, self.text, at, what).help(Some(help)))
    }
}

const ENTITIES: &str = "there is: &lt; &gt; &amp; &quot; &apos; and numbers such as &#10;; a plain & is written &amp;";

fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What the reader says, without the words that name its parts.
fn plain(error: &XmlError) -> String {
    match error {
        XmlError::Syntax(error) => error.to_string(),
        XmlError::IllFormed(error) => error.to_string(),
        XmlError::InvalidAttr(error) => error.to_string(),
        XmlError::Escape(error) => match error {
            quick_xml::escape::EscapeError::UnrecognizedEntity(_, name) => format!("there is no entity `&{name};`"),
            quick_xml::escape::EscapeError::UnterminatedEntity(_) => "`&` begins an entity that has no `;`".into(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

fn entity_help(error: &XmlError) -> Option<String> {
    matches!(error, XmlError::Escape(_)).then(|| ENTITIES.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(element: &Element) -> String {
        let mut text = format!("{}@{}:{}", element.name, element.at.line, element.at.column);
        for a in &element.attributes {
            text += &format!(" {}@{}:{}={:?}@{}:{}", a.name, a.name_at.line, a.name_at.column, a.value, a.at.line, a.at.column);
        }
        if !element.text.is_empty() {
            text += &format!(" {:?}@{}:{}", element.text, element.text_at.line, element.text_at.column);
        }
        let children: Vec<String> = element.children.iter().map(shape).collect();
        if children.is_empty() { text } else { format!("{text} [{}]", children.join(", ")) }
    }

    #[test]
    fn every_part_has_its_place() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- é --><a é='1'\n   b = \"x&amp;y\tz\">\n  one <c/> two &lt;<![CDATA[<3>]]>\r\n</a>\n";
        let expected = r#"a@2:11 é@2:14="1"@2:17 b@3:4="x&y z"@3:9 "one  two <<3>"@4:3 [c@4:7]"#;
        assert_eq!(shape(&read("x", text).unwrap()), expected);
    }

    #[test]
    fn a_place_in_a_value_is_known_where_the_file_has_it_so() {
        let root = read("x", "<a b='xy' c='x&lt;y' d='x\ny'/>").unwrap();
        let columns: Vec<usize> = root.attributes.iter().map(|a| a.place_in(2).column - a.at.column).collect();
        assert_eq!(columns, [2, 0, 0]);
    }

    #[test]
    fn the_place_of_text_after_blank_lines_is_that_of_its_first_character() {
        let root = read("x", "<a>\r\n\r\n  deep</a>").unwrap();
        assert_eq!((root.text.as_str(), root.text_at), ("deep", At { line: 3, column: 3 }));
        let root = read("x", "<a>\n  <![CDATA[\n  deep]]></a>").unwrap();
        assert_eq!((root.text.as_str(), root.text_at), ("deep", At { line: 3, column: 3 }));
    }

    #[test]
    fn what_is_not_xml_is_refused_with_its_place() {
        let deep = "<a>".repeat(DEEPEST + 1);
        let wide = format!("<a {}/>", (0..=MOST_ATTRIBUTES).map(|n| format!("a{n}='' ")).collect::<String>());
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_PARTS));
        let bomb = "<!DOCTYPE a [<!ENTITY x \"ha\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        for (text, expected) in [
            ("", "1:1: error: there is no element in it [malformed]"),
            ("  \n", "1:1: error: there is no element in it [malformed]"),
            ("hello", "1:1: error: there is text outside of the top element [malformed]"),
            ("<a>\n<b></a>", "2:4: error: expected `</b>`, but `</a>` was found [malformed]"),
            ("<a>\n <b>", "2:2: error: `<b>` is not closed [malformed]"),
            ("<a/><b/>", "1:5: error: there is a second element at the top of the file [malformed]"),
            ("<a/>\n&lt;", "2:1: error: there is text outside of the top element [malformed]"),
            ("<a>\n &nbsp;</a>", "2:2: error: there is no entity `&nbsp;` [malformed]"),
            ("<a b='&nbsp;'/>", "1:7: error: there is no entity `&nbsp;` [malformed]"),
            ("<a b='x & y'/>", "1:7: error: `&` begins an entity that has no `;` [malformed]"),
            ("<a b='1' b='2'/>", "1:10: error: `<a>` has two attributes `b` [malformed]"),
            ("<a>\n<b one two='2'/>", "2:8: error: this is not an attribute [malformed]"),
            ("<a b=1/>", "1:6: error: this is not an attribute [malformed]"),
            ("<a>\u{1}</a>", "1:4: error: a control character (0x01) is not text [malformed]"),
            ("<a>&#1;</a>", "1:4: error: a control character is not text [malformed]"),
            (bomb, "1:1: error: a document may not define entities of its own [definitions]"),
            (&deep, "1:301: error: elements are more than 100 deep in each other [too-large]"),
            (&wide, "1:694: error: `<a>` has more than 100 attributes [too-large]"),
            (&many, "1:1600000: error: more than 400000 elements and attributes [too-large]"),
        ] {
            let found = read("x", text).map_or_else(|e| e.headline(), |e| format!("{e:?}"));
            assert_eq!(found, format!("x:{expected}"), "{}", text.chars().take(60).collect::<String>());
        }
        assert!(read("x", "<!DOCTYPE a><a/>").is_ok(), "a document type without definitions changes nothing");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_looked_at() {
        let text = format!("<a>{}</a>", " ".repeat(MOST_BYTES));
        assert_eq!(read("x", &text).unwrap_err().headline(), "x:1:1: error: it has 16 MB [too-large]");
    }
}
