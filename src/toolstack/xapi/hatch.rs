//! The ways out: any method, any field, any record, in XAPI's own words.

use super::calls::Call;
use super::event::name;
use super::session::Xapi;
use super::task::bound;
use super::value::{All, NULL};
use crate::error::{Error, Kind, Result};
use crate::toolstack::{Class, Ref, Watch};
use serde_json::{Map, Value};

impl Xapi {
    pub(super) fn call_any(&self, method: &str, arguments: &[Value], watch: Watch<'_>) -> Result<Value> {
        let is_path = method.split('.').count() >= 2 && method.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
        if !is_path {
            let what = format!("`{method}` is not a method of XAPI");
            return Err(Error::new(Kind::Malformed, what).help("write the class and the method: `VM.get_record`"));
        }
        let call = Call::any(method, arguments);
        self.ask(&call, &bound(watch, &call))
    }

    pub(super) fn field(&self, thing: &Ref, field: &str, watch: Watch<'_>) -> Result<Value> {
        self.call_any(&format!("{}.get_{field}", name(thing.class)), &[Value::from(&*thing.id)], watch)
    }

    pub(super) fn set_field(&self, thing: &Ref, field: &str, value: &Value, watch: Watch<'_>) -> Result<()> {
        self.call_any(&format!("{}.set_{field}", name(thing.class)), &[Value::from(&*thing.id), value.clone()], watch).map(drop)
    }

    /// Reads all records, but for those that the pool can leave out by a name that is safe to quote, and compares here.
    pub(super) fn records(&self, class: &str, fields: &[(String, Value)], watch: Watch<'_>) -> Result<Vec<Value>> {
        let quoted = fields.iter().find_map(|(field, value)| expression(field, value));
        let (method, arguments) = match &quoted {
            Some(expression) => ("get_all_records_where", vec![Value::from(expression.as_str())]),
            None => ("get_all_records", Vec::new()),
        };
        let call = Call::any(&format!("{class}.{method}"), &arguments);
        let all: All<Map<String, Value>> = self.ask(&call, &bound(watch, &call))?;
        let mut found = Vec::new();
        for (id, mut record) in all {
            let mut fits = true;
            for (field, wanted) in fields {
                let Some(value) = record.get(field) else {
                    let what = format!("{class} has no field `{field}`");
                    return Err(Error::new(Kind::Malformed, what));
                };
                fits &= is_same(value, wanted);
            }
            if fits {
                record.insert("ref".into(), Value::from(&*id));
                found.push(Value::Object(record));
            }
        }
        Ok(found)
    }

    /// One that is not there is no error, as it would be for `get_by_uuid`.
    pub(super) fn reference(&self, class: Class, uuid: &str, watch: Watch<'_>) -> Result<Option<Ref>> {
        let found = self.records(name(class), &[("uuid".to_string(), Value::from(uuid))], watch)?;
        let id = found.first().and_then(|record| record.get("ref")).and_then(Value::as_str);
        Ok(id.map(|id| Ref::new(class, id)))
    }
}

/// What the pool itself may compare: fields that every version calls the same in its queries.
fn expression(field: &str, value: &Value) -> Option<String> {
    let inner = match field {
        "uuid" => "uuid",
        "name_label" => "name__label",
        _ => return None,
    };
    let value = value.as_str()?;
    // How quotes are quoted differs; texts with any are compared here.
    let is_plain = value.chars().all(|c| c.is_alphanumeric() || " ._-:/+,()".contains(c));
    (is_plain && !value.is_empty()).then(|| format!("field \"{inner}\" = \"{value}\""))
}

/// Whether a value is what was asked for: numbers may be texts on either side, and nothing is the null reference.
fn is_same(value: &Value, wanted: &Value) -> bool {
    let text = |v: &Value| match v {
        Value::String(text) => text.clone(),
        Value::Null => NULL.to_string(),
        other => other.to_string(),
    };
    value == wanted || (!value.is_object() && !value.is_array() && text(value) == text(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_safe_to_quote_is_compared_by_the_pool() {
        assert_eq!(expression("name_label", &json!("Local storage")).as_deref(), Some("field \"name__label\" = \"Local storage\""));
        for (field, value) in [
            ("name_label", json!("a\" or true or field \"x\" = \"")),
            ("name_label", json!("it's")),
            ("name_label", json!("back\\slash")),
            ("name_label", json!("")),
            ("other_config", json!({})),
            ("name_label", json!(1)),
        ] {
            assert_eq!(expression(field, &value), None, "{value}");
        }
    }

    #[test]
    fn values_are_the_same_in_either_form() {
        for (value, wanted, expected) in [
            (json!("4"), json!(4), true),
            (json!(4), json!("4"), true),
            (json!("OpaqueRef:NULL"), json!(null), true),
            (json!(true), json!(true), true),
            (json!("x"), json!("y"), false),
            (json!({"a": "b"}), json!("{\"a\":\"b\"}"), false),
        ] {
            assert_eq!(is_same(&value, &wanted), expected, "{value} {wanted}");
        }
    }
}
