//! The pool as `xe` asks it: records, and references by what people call things.

use crate::sim::datamodel::{Class, datamodel};
use crate::sim::failure::{Failure, Outcome};
use crate::sim::inside::Outside;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The null reference.
const NULL: &str = "OpaqueRef:NULL";

/// A record with its reference.
pub(in super::super) struct Record {
    pub reference: String,
    pub fields: Map<String, Value>,
}

impl Record {
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The fields of all records of a class, by reference.
type Records = HashMap<String, Map<String, Value>>;

/// A host's way to its pool.
pub(in super::super) struct Pool {
    outside: Arc<dyn Outside>,
    host: String,
    /// The records of other classes that were looked at, by class and reference.
    seen: Mutex<HashMap<&'static str, Arc<Records>>>,
}

impl Pool {
    pub fn new(outside: Arc<dyn Outside>, host: String) -> Pool {
        Pool { outside, host, seen: Mutex::default() }
    }

    /// # Errors
    /// XAPI's.
    pub async fn call(&self, method: &str, params: Vec<Value>) -> Outcome<Value> {
        self.outside.call(&self.host, method, params).await
    }

    /// The class of this name.
    ///
    /// # Errors
    /// A fault of our tables.
    pub fn class(name: &str) -> Outcome<&'static Class> {
        datamodel().class(name).ok_or_else(|| Failure::internal(format_args!("no class {name}")))
    }

    /// All records of a class, by name or device.
    ///
    /// # Errors
    /// XAPI's.
    pub async fn records(&self, class: &'static str) -> Outcome<Vec<Record>> {
        let all = self.all(class).await?;
        let mut records: Vec<Record> =
            all.iter().map(|(reference, fields)| Record { reference: reference.clone(), fields: fields.clone() }).collect();
        let key = |r: &Record| (r.text("name_label").to_string(), r.text("device").to_string(), r.text("uuid").to_string());
        records.sort_by_key(key);
        Ok(records)
    }

    /// One field of the record that is referred to; nothing when there is no such record.
    ///
    /// # Errors
    /// XAPI's.
    pub async fn of(&self, class: &'static str, reference: &str, field: &str) -> Outcome<Option<Value>> {
        if reference == NULL || reference.is_empty() {
            return Ok(None);
        }
        Ok(self.all(class).await?.get(reference).and_then(|record| record.get(field)).cloned())
    }

    async fn all(&self, class: &'static str) -> Outcome<Arc<Records>> {
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(class).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = self.call(&format!("{class}.get_all_records"), Vec::new()).await?;
        let Value::Object(members) = answer else { return Err(Failure::internal("records that are none")) };
        let records = members.into_iter().filter_map(|(key, value)| match value {
            Value::Object(fields) => Some((key, fields)),
            _ => None,
        });
        let records: Arc<HashMap<_, _>> = Arc::new(records.collect());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(class, Arc::clone(&records));
        Ok(records)
    }

    /// The record that is meant by a uuid, a reference or a name.
    ///
    /// # Errors
    /// XAPI's for a uuid that nothing has.
    pub async fn find(&self, class: &'static str, word: &str) -> Outcome<String> {
        if word.starts_with("OpaqueRef:") {
            return Ok(word.to_string());
        }
        let all = self.all(class).await?;
        let has = |field: &str| {
            let is = |record: &Map<String, Value>| record.get(field).and_then(Value::as_str) == Some(word);
            all.iter().find(|(_, record)| is(record)).map(|(reference, _)| reference.clone())
        };
        has("uuid").or_else(|| has("name_label")).ok_or_else(|| Failure::new("UUID_INVALID", [class, word]))
    }
}

/// Whether a text is a reference that leads nowhere.
pub(in super::super) fn is_null(reference: &str) -> bool {
    reference == NULL || reference.is_empty()
}
