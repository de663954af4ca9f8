//! Fields that follow from other fields: they are never kept, so they can never be wrong.

use super::store::Store;
use super::value::{Ref, Value};
use super::xapi;
use std::borrow::Cow;

/// The value of a field, kept or derived.
pub fn read<'a>(db: &'a Store, record: Ref, field: &str) -> Cow<'a, Value> {
    match derived(db, record, field) {
        Some(value) => Cow::Owned(value),
        None => Cow::Borrowed(db.get(record, field)),
    }
}

/// The value of a field that follows from others; nothing if it is kept.
pub fn derived(db: &Store, record: Ref, field: &str) -> Option<Value> {
    match field {
        "allowed_operations" => {
            let words = match db.class(record)?.name {
                "VM" => xapi::vm_rules::allowed(db, record),
                "VBD" => xapi::vbd::allowed(db, record),
                "VIF" => xapi::vif::allowed(db, record),
                "VDI" => xapi::vdi::allowed(db, record),
                "SR" => xapi::sr::allowed(db, record),
                "host" => xapi::host::allowed(db, record),
                "pool" => xapi::pool::allowed(db, record),
                "task" => xapi::task::allowed(db, record),
                _ => Vec::new(),
            };
            Some(Value::from(words))
        }
        "physical_utilisation" if db.class(record)?.name == "SR" => Some(Value::Int(xapi::sr::used(db, record))),
        "virtual_allocation" => Some(Value::Int(xapi::sr::allocated(db, record))),
        "memory_free" => Some(Value::Int(xapi::host::free_memory(db, xapi::host::of_metrics(db, record)))),
        _ => None,
    }
}
