//! XML-RPC: values, calls, answers and faults, as text and back.
//!
//! What is read is hostile: depth and size are limited, and nothing unknown is passed over. A peer that puts bytes into its answers which
//! XML does not allow is read by [`mend`] first.

use crate::error::{Error, Kind, Result};
use quick_xml::Reader;
use quick_xml::events::Event;
use std::borrow::Cow;
use std::fmt::Write;

/// How deep values may lie in each other.
const DEEPEST: usize = 64;

/// A value of XML-RPC.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// As it stands on the wire: `20261123T00:11:14Z`.
    Date(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    /// In the order of the wire; a name that stands twice has its last value.
    Struct(Vec<(String, Value)>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Date(text) => Some(text),
            _ => None,
        }
    }

    /// A member of a struct.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Struct(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub method: String,
    pub params: Vec<Value>,
}

/// What a call is answered: a value, or a fault of the protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Value(Value),
    Fault { code: i64, text: String },
}

/// # Errors
/// `Malformed`: not XML, not a call, or too deep.
pub fn parse_call(text: &str) -> Result<Call> {
    let mut parser = Parser::new(text);
    parser.open("methodCall")?;
    parser.open("methodName")?;
    let method = parser.text_until("methodName")?.trim().to_string();
    let params = match parser.next()? {
        Token::Open(name) if name == "params" => parser.params()?,
        Token::Close(name) if name == "methodCall" => return Ok(Call { method, params: Vec::new() }),
        other => return Err(other.unexpected()),
    };
    parser.close("methodCall")?;
    Ok(Call { method, params })
}

/// # Errors
/// `Malformed`: not XML, not an answer, or too deep.
pub fn parse_answer(text: &str) -> Result<Answer> {
    let mut parser = Parser::new(text);
    parser.open("methodResponse")?;
    match parser.next()? {
        Token::Open(name) if name == "params" => {
            let value = parser.params()?.into_iter().next();
            parser.close("methodResponse")?;
            Ok(Answer::Value(value.unwrap_or(Value::Nil)))
        }
        Token::Open(name) if name == "fault" => {
            parser.open("value")?;
            let fault = parser.value(0)?;
            parser.close("fault")?;
            let code = match fault.get("faultCode") {
                Some(Value::Int(code)) => *code,
                Some(Value::Text(code)) => code.trim().parse().unwrap_or_default(),
                _ => 0,
            };
            let text = fault.get("faultString").and_then(Value::as_str).unwrap_or_default();
            Ok(Answer::Fault { code, text: text.to_string() })
        }
        other => Err(other.unexpected()),
    }
}

pub fn write_call(call: &Call) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?><methodCall><methodName>");
    escape(&mut out, &call.method);
    out.push_str("</methodName><params>");
    for param in &call.params {
        out.push_str("<param>");
        write_value(&mut out, param);
        out.push_str("</param>");
    }
    out.push_str("</params></methodCall>");
    out
}

pub fn write_answer(answer: &Answer) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?><methodResponse>");
    match answer {
        Answer::Value(value) => {
            out.push_str("<params><param>");
            write_value(&mut out, value);
            out.push_str("</param></params>");
        }
        Answer::Fault { code, text } => {
            out.push_str("<fault>");
            let members = vec![("faultCode".to_string(), Value::Int(*code)), ("faultString".to_string(), Value::text(text))];
            write_value(&mut out, &Value::Struct(members));
            out.push_str("</fault>");
        }
    }
    out.push_str("</methodResponse>");
    out
}

/// Writes `<value>…</value>`. Text is untagged, as XAPI has it.
pub fn write_value(out: &mut String, value: &Value) {
    out.push_str("<value>");
    match value {
        Value::Nil => out.push_str("<nil/>"),
        Value::Bool(is) => out.push_str(if *is { "<boolean>1</boolean>" } else { "<boolean>0</boolean>" }),
        Value::Int(number) => drop(write!(out, "<int>{number}</int>")),
        Value::Double(number) => drop(write!(out, "<double>{number:?}</double>")),
        Value::Text(text) => escape(out, text),
        Value::Date(date) => {
            out.push_str("<dateTime.iso8601>");
            escape(out, date);
            out.push_str("</dateTime.iso8601>");
        }
        Value::Bytes(bytes) => {
            use base64::Engine;
            out.push_str("<base64>");
            base64::engine::general_purpose::STANDARD.encode_string(bytes, out);
            out.push_str("</base64>");
        }
        Value::Array(items) => {
            out.push_str("<array><data>");
            items.iter().for_each(|item| write_value(out, item));
            out.push_str("</data></array>");
        }
        Value::Struct(members) => {
            out.push_str("<struct>");
            for (name, member) in members {
                out.push_str("<member><name>");
                escape(out, name);
                out.push_str("</name>");
                write_value(out, member);
                out.push_str("</member>");
            }
            out.push_str("</struct>");
        }
    }
    out.push_str("</value>");
}

/// Writes text between tags: what means something to XML as its name, what XML has no place for as U+FFFD.
pub fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '&' | '<' | '>' | '\r') || !is_allowed(c)) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\r') => out.push_str("&#13;"),
            _ => out.push('\u{fffd}'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Bytes of a careless peer as text that is XML: what is no UTF-8 or no character of XML 1.0 becomes U+FFFD, written out or as a
/// reference (`&#0;`).
pub fn mend(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().all(is_allowed) && !text.contains("&#") {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(|c| c == '&' || !is_allowed(c)) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((reference, is_fine)) = reference(rest) {
            out.push_str(if is_fine { reference } else { "\u{fffd}" });
            rest = &rest[reference.len()..];
        } else if let Some(after) = rest.strip_prefix('&') {
            out.push('&');
            rest = after;
        } else {
            out.push('\u{fffd}');
            rest = &rest[rest.chars().next().map_or(1, char::len_utf8)..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A character reference that the text begins with, and whether XML allows its character.
fn reference(text: &str) -> Option<(&str, bool)> {
    let digits = text.strip_prefix("&#")?;
    let end = digits.find(';').filter(|end| *end <= 8)?;
    let number = match digits[..end].strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits[..end].parse().ok()?,
    };
    Some((&text[..end + 3], char::from_u32(number).is_some_and(is_allowed)))
}

/// Whether XML 1.0 has a place for the character.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

enum Token {
    Open(String),
    Close(String),
    End,
}

impl Token {
    fn unexpected(&self) -> Error {
        malformed(match self {
            Token::Open(name) => format!("an unexpected <{name}>"),
            Token::Close(name) => format!("an unexpected </{name}>"),
            Token::End => "an end in the middle".to_string(),
        })
    }
}

fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Malformed, format!("not XML-RPC: {what}"))
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    /// Text since the last tag.
    text: String,
    /// Of `<x/>`: its closing tag, which is still to be given.
    pending: Option<String>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser { reader: Reader::from_str(text), text: String::new(), pending: None }
    }

    fn next(&mut self) -> Result<Token> {
        self.text.clear();
        if let Some(name) = self.pending.take() {
            return Ok(Token::Close(name));
        }
        loop {
            match self.reader.read_event().map_err(malformed)? {
                Event::Start(tag) => return Ok(Token::Open(tag.name().as_ref().to_string())),
                Event::End(tag) => return Ok(Token::Close(tag.name().as_ref().to_string())),
                Event::Empty(tag) => {
                    let name = tag.name().as_ref().to_string();
                    self.pending = Some(name.clone());
                    return Ok(Token::Open(name));
                }
                Event::Text(text) => self.text.push_str(&text),
                Event::CData(text) => self.text.push_str(&text),
                Event::GeneralRef(name) => {
                    let name: &str = &name;
                    let c = character(name).ok_or_else(|| malformed(format!("an unknown &{name};")))?;
                    self.text.push(c);
                }
                Event::Eof => return Ok(Token::End),
                Event::DocType(_) => return Err(malformed("a document type")),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            }
        }
    }

    fn open(&mut self, name: &str) -> Result<()> {
        match self.next()? {
            Token::Open(found) if found == name => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    fn close(&mut self, name: &str) -> Result<()> {
        match self.next()? {
            Token::Close(found) if found == name => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    /// The text of an element that has been opened, which it also closes.
    fn text_until(&mut self, name: &str) -> Result<String> {
        self.close(name)?;
        Ok(std::mem::take(&mut self.text))
    }

    /// After `<params>`, to its end.
    fn params(&mut self) -> Result<Vec<Value>> {
        let mut params = Vec::new();
        loop {
            match self.next()? {
                Token::Open(name) if name == "param" => {
                    self.open("value")?;
                    params.push(self.value(0)?);
                    self.close("param")?;
                }
                Token::Close(name) if name == "params" => return Ok(params),
                other => return Err(other.unexpected()),
            }
        }
    }

    /// After `<value>`, to its end.
    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(malformed(format!("values more than {DEEPEST} deep")));
        }
        let kind = match self.next()? {
            Token::Close(name) if name == "value" => return Ok(Value::Text(std::mem::take(&mut self.text))),
            Token::Open(kind) => kind,
            other => return Err(other.unexpected()),
        };
        let value = match kind.as_str() {
            "array" => self.array(depth)?,
            "struct" => self.members(depth)?,
            _ => self.scalar(&kind)?,
        };
        self.close("value")?;
        Ok(value)
    }

    fn scalar(&mut self, kind: &str) -> Result<Value> {
        let text = self.text_until(kind)?;
        let number = || malformed(format!("`{text}` is no {kind}"));
        Ok(match kind {
            "string" => Value::Text(text),
            "int" | "i4" | "i8" => Value::Int(text.trim().parse().map_err(|_| number())?),
            "double" => Value::Double(text.trim().parse().map_err(|_| number())?),
            "boolean" => match text.trim() {
                "1" | "true" => Value::Bool(true),
                "0" | "false" => Value::Bool(false),
                _ => return Err(number()),
            },
            "dateTime.iso8601" => Value::Date(text.trim().to_string()),
            "base64" => {
                use base64::Engine;
                let packed: String = text.split_ascii_whitespace().collect();
                Value::Bytes(base64::engine::general_purpose::STANDARD.decode(packed).map_err(malformed)?)
            }
            "nil" => Value::Nil,
            _ => return Err(malformed(format!("an unknown type <{kind}>"))),
        })
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        self.open("data")?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Token::Open(name) if name == "value" => items.push(self.value(depth + 1)?),
                Token::Close(name) if name == "data" => break,
                other => return Err(other.unexpected()),
            }
        }
        self.close("array")?;
        Ok(Value::Array(items))
    }

    fn members(&mut self, depth: usize) -> Result<Value> {
        let mut members = Vec::new();
        loop {
            match self.next()? {
                Token::Open(name) if name == "member" => {
                    self.open("name")?;
                    let name = self.text_until("name")?;
                    self.open("value")?;
                    members.push((name, self.value(depth + 1)?));
                    self.close("member")?;
                }
                Token::Close(name) if name == "struct" => return Ok(Value::Struct(members)),
                other => return Err(other.unexpected()),
            }
        }
    }
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number).filter(|c| is_allowed(*c))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Value {
        Value::Struct(vec![
            ("text & more".into(), Value::text("<a>\r\n\t\"é\"")),
            ("none".into(), Value::Nil),
            ("yes".into(), Value::Bool(true)),
            ("large".into(), Value::Int(1 << 40)),
            ("part".into(), Value::Double(0.5)),
            ("when".into(), Value::Date("20261123T00:11:14Z".into())),
            ("raw".into(), Value::Bytes(vec![0, 255, 7])),
            ("list".into(), Value::Array(vec![Value::text(""), Value::Array(Vec::new()), Value::Struct(Vec::new())])),
        ])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let call = Call { method: "VM.start".into(), params: vec![everything(), Value::text("  blanks stay  ")] };
        assert_eq!(parse_call(&write_call(&call)).unwrap(), call);
        for answer in [Answer::Value(everything()), Answer::Fault { code: 3, text: "no <way>".into() }] {
            assert_eq!(parse_answer(&write_answer(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn the_forms_of_other_writers_are_read() {
        let text = "<?xml version='1.0'?>\n<methodCall>\n<methodName>a.b</methodName>\n<params>\n<param>\n<value><string>x</string></value>\n\
                    </param>\n<param><value><i4>5</i4></value></param><param><value/></param><param><value><nil/></value></param></params>\n\
                    </methodCall>\n";
        let params = vec![Value::text("x"), Value::Int(5), Value::text(""), Value::Nil];
        assert_eq!(parse_call(text).unwrap(), Call { method: "a.b".into(), params });
        assert_eq!(parse_call("<methodCall><methodName>c</methodName></methodCall>").unwrap().params, []);
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let value =
            |inner: &str| format!("<methodCall><methodName>m</methodName><params><param>{inner}</param></params></methodCall>");
        let deep = format!("{}x{}", "<value><array><data>".repeat(70), "</data></array></value>".repeat(70));
        for text in [
            "",
            "hello",
            "<methodCall>",
            "<methodResponse/>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><methodCall><methodName>&b;</methodName></methodCall>",
            &value("<value><int>one</int></value>"),
            &value("<value><boolean>2</boolean></value>"),
            &value("<value><strange>2</strange></value>"),
            &value("<value>&nbsp;</value>"),
            &value("<value>&#0;</value>"),
            &value(&deep),
        ] {
            assert_eq!(parse_call(text).unwrap_err().kind, Kind::Malformed, "{text}");
        }
    }

    #[test]
    fn a_careless_answer_is_mended() {
        let bytes = b"<methodResponse><params><param><value>a\x00b\xffc&#1;d&#x41;&amp;</value></param></params></methodResponse>";
        let Answer::Value(value) = parse_answer(&mend(bytes)).unwrap() else { panic!("a fault") };
        assert_eq!(value, Value::text("a\u{fffd}b\u{fffd}c\u{fffd}dA&"));
        assert!(matches!(mend(b"<a>fine</a>"), Cow::Borrowed(_)));
    }
}
