//! Values as XAPI writes them, in XML-RPC and in JSON, straight from the records.

use super::datamodel::Field;
use super::failure::Failure;
use super::store::Store;
use super::value::{Ref, Value};
use super::{date, rules};
use crate::wire::xmlrpc::escape;
use std::fmt::Write;

/// The protocol of a call, and so of its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    XmlRpc,
    /// JSON-RPC 1.0, with the call's id as it was written.
    Json1(String),
    Json2(String),
}

impl Format {
    pub fn content_type(&self) -> &'static str {
        match self {
            Format::XmlRpc => "text/xml",
            _ => "application/json",
        }
    }

    /// The whole answer of a call that went well.
    pub fn success(&self, db: &Store, value: &Value) -> String {
        let mut out = String::with_capacity(512);
        match self {
            Format::XmlRpc => {
                out.push_str("<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member><name>Status</name>");
                out.push_str("<value>Success</value></member><member><name>Value</name>");
                xml(&mut out, db, value);
                out.push_str("</member></struct></value></param></params></methodResponse>");
            }
            Format::Json1(id) => {
                out.push_str("{\"result\":");
                json(&mut out, db, value);
                let _ = write!(out, ",\"error\":null,\"id\":{id}}}");
            }
            Format::Json2(id) => {
                out.push_str("{\"jsonrpc\":\"2.0\",\"result\":");
                json(&mut out, db, value);
                let _ = write!(out, ",\"id\":{id}}}");
            }
        }
        out
    }

    /// The whole answer of a call that failed.
    pub fn failure(&self, failure: &Failure) -> String {
        let mut out = String::new();
        match self {
            Format::XmlRpc => {
                out.push_str("<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member><name>Status</name>");
                out.push_str("<value>Failure</value></member><member><name>ErrorDescription</name><value><array><data>");
                for word in failure.words() {
                    out.push_str("<value>");
                    escape(&mut out, word);
                    out.push_str("</value>");
                }
                out.push_str("</data></array></value></member></struct></value></param></params></methodResponse>");
            }
            Format::Json1(id) => {
                let words: Vec<&str> = failure.words().collect();
                let _ = write!(out, "{{\"result\":null,\"error\":{},\"id\":{id}}}", serde_json::json!(words));
            }
            Format::Json2(id) => {
                let error = serde_json::json!({ "code": 1, "message": failure.code, "data": failure.params });
                let _ = write!(out, "{{\"jsonrpc\":\"2.0\",\"error\":{error},\"id\":{id}}}");
            }
        }
        out
    }
}

/// Writes `<value>…</value>`.
pub fn xml(out: &mut String, db: &Store, value: &Value) {
    out.push_str("<value>");
    match value {
        Value::Void => {}
        Value::Bool(is) => out.push_str(if *is { "<boolean>1</boolean>" } else { "<boolean>0</boolean>" }),
        Value::Int(number) => drop(write!(out, "{number}")),
        Value::Number(number) => drop(write!(out, "<i4>{number}</i4>")),
        Value::Float(number) => drop(write!(out, "<double>{number:?}</double>")),
        Value::Date(seconds) => drop(write!(out, "<dateTime.iso8601>{}</dateTime.iso8601>", date::format(*seconds))),
        Value::Text(text) => escape(out, text),
        Value::Ref(reference) => drop(write!(out, "{reference}")),
        Value::Set(items) => {
            out.push_str("<array><data>");
            items.iter().for_each(|item| xml(out, db, item));
            out.push_str("</data></array>");
        }
        Value::Map(map) => members(out, map.iter(), |out, value| xml(out, db, value)),
        Value::Record(reference) => xml_record(out, db, *reference),
        Value::Records(references) => members(out, references.iter().map(|r| (r.to_string(), *r)), |out, reference| {
            out.push_str("<value>");
            xml_record(out, db, reference);
            out.push_str("</value>");
        }),
    }
    out.push_str("</value>");
}

fn members<K: AsRef<str>, V>(out: &mut String, pairs: impl Iterator<Item = (K, V)>, mut write: impl FnMut(&mut String, V)) {
    out.push_str("<struct>");
    for (name, value) in pairs {
        out.push_str("<member><name>");
        escape(out, name.as_ref());
        out.push_str("</name>");
        write(out, value);
        out.push_str("</member>");
    }
    out.push_str("</struct>");
}

fn xml_record(out: &mut String, db: &Store, reference: Ref) {
    members(out, fields(db, reference).map(|(field, value)| (field.name, (field, value))), |out, (field, value)| {
        match rules::derived(db, reference, field.name) {
            Some(value) => xml(out, db, &value),
            None => xml(out, db, value),
        }
    });
}

fn fields(db: &Store, reference: Ref) -> impl Iterator<Item = (&'static Field, &Value)> {
    let class = db.class(reference).map(|class| class.fields.iter());
    class.into_iter().flatten().zip(db.fields(reference))
}

/// Writes a value as JSON.
pub fn json(out: &mut String, db: &Store, value: &Value) {
    match value {
        Value::Void => out.push_str("\"\""),
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Int(number) | Value::Number(number) => drop(write!(out, "{number}")),
        Value::Float(number) => drop(write!(out, "{number:?}")),
        Value::Date(seconds) => drop(write!(out, "\"{}\"", date::format(*seconds))),
        Value::Text(text) => quote(out, text),
        Value::Ref(reference) => drop(write!(out, "\"{reference}\"")),
        Value::Set(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                json(out, db, item);
            }
            out.push(']');
        }
        Value::Map(map) => object(out, map.iter(), |out, value| json(out, db, value)),
        Value::Record(reference) => json_record(out, db, *reference),
        Value::Records(references) => {
            object(out, references.iter().map(|r| (r.to_string(), *r)), |out, reference| json_record(out, db, reference));
        }
    }
}

fn json_record(out: &mut String, db: &Store, reference: Ref) {
    object(
        out,
        fields(db, reference).map(|(field, value)| (field.name, (field, value))),
        |out, (field, value)| match rules::derived(db, reference, field.name) {
            Some(value) => json(out, db, &value),
            None => json(out, db, value),
        },
    );
}

fn object<K: AsRef<str>, V>(out: &mut String, pairs: impl Iterator<Item = (K, V)>, mut write: impl FnMut(&mut String, V)) {
    out.push('{');
    for (at, (name, value)) in pairs.enumerate() {
        if at > 0 {
            out.push(',');
        }
        quote(out, name.as_ref());
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

fn quote(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_both_protocols() {
        let mut db = Store::new(1, 1);
        let message = db.create("message", [("name", "a \"<b>\"")]);
        db.set(message, "priority", 3_i64);
        let map =
            Value::from([("n", Value::Int(1 << 40)), ("f", Value::Float(1.0)), ("d", Value::Date(0)), ("c", Value::Number(2))]);
        let (mut as_xml, mut as_json) = (String::new(), String::new());
        xml(&mut as_xml, &db, &map);
        json(&mut as_json, &db, &map);
        assert_eq!(as_json, "{\"c\":2,\"d\":\"19700101T00:00:00Z\",\"f\":1.0,\"n\":1099511627776}");
        assert!(as_xml.contains("<name>n</name><value>1099511627776</value>"), "{as_xml}");
        assert!(as_xml.contains("<value><i4>2</i4></value>"), "{as_xml}");
        let body = Format::Json2("7".into()).success(&db, &Value::Records(vec![message]));
        assert!(body.starts_with("{\"jsonrpc\":\"2.0\",\"result\":{\"OpaqueRef:"), "{body}");
        assert!(body.contains("\"name\":\"a \\\"<b>\\\"\",\"priority\":3"), "{body}");
        let failure = Failure::new("SR_FULL", ["1", "<"]);
        assert_eq!(
            Format::Json1("\"x\"".into()).failure(&failure),
            "{\"result\":null,\"error\":[\"SR_FULL\",\"1\",\"<\"],\"id\":\"x\"}"
        );
        assert!(Format::XmlRpc.failure(&failure).contains("<value>SR_FULL</value><value>1</value><value>&lt;</value>"));
    }
}
