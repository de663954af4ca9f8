//! Records as `xe` shows them.

use super::pool::{Pool, Record, is_null};
use super::table;
use crate::sim::datamodel::{Access, Class, Field, Type};
use crate::sim::failure::Outcome;
use serde_json::Value;
use std::fmt::Write;

/// What a VM's or host's record has in records beside it: (as `xe` calls it, the field that leads there, class, field there).
const BESIDE: &[(&str, &str, &str, &str)] = &[
    ("VCPUs-number", "metrics", "VM_metrics", "VCPUs_number"),
    ("memory-actual", "metrics", "VM_metrics", "memory_actual"),
    ("start-time", "metrics", "VM_metrics", "start_time"),
    ("networks", "guest_metrics", "VM_guest_metrics", "networks"),
    ("os-version", "guest_metrics", "VM_guest_metrics", "os_version"),
    ("PV-drivers-version", "guest_metrics", "VM_guest_metrics", "PV_drivers_version"),
    ("live", "guest_metrics", "VM_guest_metrics", "live"),
    ("host-metrics-live", "metrics", "host_metrics", "live"),
    ("memory-free", "metrics", "host_metrics", "memory_free"),
    ("memory-total", "metrics", "host_metrics", "memory_total"),
];

/// A field as `xe` calls it.
pub(super) fn word(field: &str) -> String {
    field.replace('_', "-")
}

/// The field of a class that a word means.
pub(super) fn field<'a>(class: &'a Class, name: &str) -> Option<&'a Field> {
    let plain = name.replace('-', "_");
    let exact = class.field(&plain).map(|(_, field)| field);
    // `dom-id` is the one that is spelt otherwise.
    let exact = exact.or_else(|| class.field("domid").map(|(_, field)| field).filter(|_| name == "dom-id"));
    exact.or_else(|| class.fields.iter().find(|field| field.name.eq_ignore_ascii_case(&plain)))
}

/// A parameter of a record, as text and with what may be done to it; nothing when the class has no such parameter.
///
/// # Errors
/// XAPI's.
pub(super) async fn param(pool: &Pool, class: &Class, record: &Record, name: &str) -> Outcome<Option<(String, &'static str)>> {
    if let Some(field) = field(class, name) {
        let value = record.fields.get(field.name).unwrap_or(&Value::Null);
        return Ok(Some((show(pool, value, &field.kind).await?, rights(field))));
    }
    for (ending, of) in [("-uuid", "uuid"), ("-name-label", "name_label"), ("-name-description", "name_description")] {
        let Some(base) = name.strip_suffix(ending) else { continue };
        let Some(Field { kind: Type::Ref(other), name: link, .. }) = field(class, base) else { continue };
        let value = pool.of(other, record.text(link), of).await?;
        return Ok(Some((value.map_or_else(absent, |value| plain(&value)), "( RO)")));
    }
    for (_, link, other, of) in BESIDE.iter().filter(|(known, link, ..)| *known == name && class.field(link).is_some()) {
        let Some((_, field)) = Pool::class(other)?.field(of) else { continue };
        let value = pool.of(other, record.text(link), of).await?;
        let text = match value {
            Some(value) => show(pool, &value, &field.kind).await?,
            None => absent(),
        };
        return Ok(Some((text, rights(field))));
    }
    Ok(None)
}

fn absent() -> String {
    "<not in database>".into()
}

fn rights(field: &Field) -> &'static str {
    match (field.access == Access::Everybody, &field.kind) {
        (true, Type::Map(..)) => "(MRW)",
        (false, Type::Map(..)) => "(MRO)",
        (true, Type::Set(_)) => "(SRW)",
        (false, Type::Set(_)) => "(SRO)",
        (true, _) => "( RW)",
        (false, _) => "( RO)",
    }
}

/// A value without anything to look up.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("; "),
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}: {}", plain(value))).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// A value of a type: references as the uuids of what they lead to.
async fn show(pool: &Pool, value: &Value, kind: &Type) -> Outcome<String> {
    Ok(match (kind, value) {
        (Type::Ref(class), Value::String(reference)) => shown(pool, class, reference).await?,
        (Type::Set(kind), Value::Array(items)) => match &**kind {
            Type::Ref(class) => {
                let mut uuids = Vec::new();
                for item in items {
                    uuids.push(shown(pool, class, item.as_str().unwrap_or_default()).await?);
                }
                uuids.join("; ")
            }
            _ => plain(value),
        },
        (Type::Map(_, kind), Value::Object(map)) => match &**kind {
            Type::Ref(class) => {
                let mut pairs = Vec::new();
                for (key, item) in map {
                    pairs.push(format!("{key}: {}", shown(pool, class, item.as_str().unwrap_or_default()).await?));
                }
                pairs.join("; ")
            }
            _ => plain(value),
        },
        _ => plain(value),
    })
}

async fn shown(pool: &Pool, class: &'static str, reference: &str) -> Outcome<String> {
    if is_null(reference) {
        return Ok(absent());
    }
    // A class that has no such call has nothing to show of itself.
    let uuid = Box::pin(pool.of(class, reference, "uuid")).await.unwrap_or_default();
    Ok(uuid.map_or_else(|| reference.to_string(), |uuid| plain(&uuid)))
}

/// The records of a class as `xe` counts them.
///
/// # Errors
/// XAPI's.
pub(super) async fn all(pool: &Pool, class: &table::Class) -> Outcome<Vec<Record>> {
    let mut records = pool.records(class.name).await?;
    records.retain(|record| class.only.iter().all(|(field, is)| record.fields.get(*field) == Some(&Value::Bool(*is))));
    Ok(records)
}

/// One record, each parameter on a line of its own.
pub(super) fn lines(params: &[(String, String, &str)]) -> String {
    let heads: Vec<String> = params.iter().map(|(name, _, rights)| format!("{name} {rights}")).collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0) + 4;
    let mut out = String::new();
    for (number, (head, (_, value, _))) in heads.iter().zip(params).enumerate() {
        let _ = match number {
            0 => writeln!(out, "{head:<width$}: {value}"),
            _ => writeln!(out, "{head:>width$}: {value}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_looks_as_it_always_did() {
        let params = [("uuid", "u", "( RO)"), ("name-label", "guest1", "( RW)"), ("power-state", "running", "( RO)")];
        let params = params.map(|(name, value, rights)| (name.to_string(), value.to_string(), rights));
        let expected = "uuid ( RO)           : u\n     name-label ( RW): guest1\n    power-state ( RO): running\n";
        assert_eq!(lines(&params), expected);
    }

    #[test]
    fn fields_are_found_by_their_words() {
        let vm = Pool::class("VM").unwrap();
        for (name, known) in
            [("name-label", "name_label"), ("VCPUs-max", "VCPUs_max"), ("vcpus-max", "VCPUs_max"), ("dom-id", "domid")]
        {
            assert_eq!(field(vm, name).unwrap().name, known);
        }
        assert!(field(vm, "nothing").is_none());
        assert_eq!(word("memory_static_max"), "memory-static-max");
    }
}
