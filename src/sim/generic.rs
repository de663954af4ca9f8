//! What every class has: records by reference, UUID, name or expression, and its fields one by one.

use super::datamodel::{Access, Class, Type};
use super::failure::{Failure, Outcome};
use super::value::Value;
use super::world::{Answer, Args, Cx, answer, done};
use super::{query, rules};
use std::sync::Arc;

/// Fields that only the pool may write, yet have a message which does no more than that.
const PLAIN: &[(&str, &str)] = &[
    ("SR", "name_description"),
    ("SR", "name_label"),
    ("VDI", "name_description"),
    ("VDI", "name_label"),
    ("VDI", "read_only"),
    ("VDI", "sharable"),
    ("VIF", "ipv4_allowed"),
    ("VIF", "ipv6_allowed"),
    ("VIF", "locking_mode"),
    ("VM", "HVM_boot_policy"),
    ("VM", "NVRAM"),
    ("VM", "actions_after_crash"),
    ("VM", "bios_strings"),
    ("VM", "order"),
    ("VM", "shutdown_delay"),
    ("VM", "start_delay"),
    ("VM", "suspend_VDI"),
    ("host", "multipathing"),
    ("host", "iscsi_iqn"),
    ("network", "default_locking_mode"),
    ("task", "name_description"),
    ("task", "name_label"),
    ("task", "progress"),
    ("task", "result"),
    ("task", "status"),
];

/// What is done to a field.
type Form = fn(&mut Cx<'_>, &str, &Args) -> Outcome<Answer>;

/// Answers a message that works the same for every class; nothing if this is none.
///
/// # Errors
/// `UUID_INVALID`, `MAP_DUPLICATE_KEY`, an expression that is wrong.
pub fn call(cx: &mut Cx<'_>, class: &Class, message: &str, args: &Args) -> Option<Outcome<Answer>> {
    match message {
        "get_all" => return Some(answer(cx.db.all(class.name))),
        "get_all_records" => return Some(Ok(Answer::Done(Value::Records(cx.db.all(class.name))))),
        "get_all_records_where" => return Some(query::find(cx.db, class, args.text(0)).map(|found| Value::Records(found).into())),
        "get_record" => return Some(Ok(Answer::Done(Value::Record(args.link(0))))),
        "get_by_uuid" => {
            let found = cx.db.by_uuid(class.name, args.text(0));
            return Some(found.map_or_else(|| Err(Failure::new("UUID_INVALID", [class.name, args.text(0)])), answer));
        }
        "get_by_name_label" => {
            let mut found = cx.db.all(class.name);
            found.retain(|record| cx.db.text(*record, "name_label") == args.text(0));
            return Some(answer(found));
        }
        _ => {}
    }
    if let Some(field) = message.strip_prefix("get_") {
        class.field(field)?;
        return Some(Ok(Answer::Done(rules::read(cx.db, args.link(0), field).into_owned())));
    }
    let forms: [(&str, Form); 5] =
        [("set_", set), ("add_to_", add_to), ("remove_from_", remove_from), ("add_", add), ("remove_", remove)];
    for (prefix, form) in forms {
        let Some((_, field)) = message.strip_prefix(prefix).and_then(|name| class.field(name)) else { continue };
        let is_plain = field.access == Access::Everybody || PLAIN.contains(&(class.name, field.name));
        let is_fit = match prefix {
            "set_" => true,
            "add_to_" | "remove_from_" => matches!(field.kind, Type::Map(..)),
            _ => matches!(field.kind, Type::Set(_)),
        };
        return (is_plain && is_fit).then(|| form(cx, field.name, args));
    }
    None
}

fn set(cx: &mut Cx<'_>, field: &str, args: &Args) -> Outcome<Answer> {
    cx.db.set(args.link(0), field, args.get(1).clone());
    done()
}

fn add_to(cx: &mut Cx<'_>, field: &str, args: &Args) -> Outcome<Answer> {
    let (record, key) = (args.link(0), args.text(1));
    if cx.db.get(record, field).as_map().is_some_and(|map| map.contains_key(key)) {
        let class = cx.db.class(record).map_or("", |class| class.name);
        return Err(Failure::new("MAP_DUPLICATE_KEY", [class, field, &record.to_string(), key]));
    }
    cx.db.set_key(record, field, key, args.get(2).clone());
    done()
}

fn remove_from(cx: &mut Cx<'_>, field: &str, args: &Args) -> Outcome<Answer> {
    cx.db.remove_key(args.link(0), field, args.text(1));
    done()
}

fn add(cx: &mut Cx<'_>, field: &str, args: &Args) -> Outcome<Answer> {
    let mut items = cx.db.get(args.link(0), field).as_set().to_vec();
    if !items.contains(args.get(1)) {
        items.push(args.get(1).clone());
        cx.db.set(args.link(0), field, Value::Set(items));
    }
    done()
}

fn remove(cx: &mut Cx<'_>, field: &str, args: &Args) -> Outcome<Answer> {
    let mut items = cx.db.get(args.link(0), field).as_set().to_vec();
    items.retain(|item| item != args.get(1));
    cx.db.set(args.link(0), field, Value::Set(items));
    done()
}

/// The fields of a record that somebody wants to make: those that must be given are there, those of the pool are left out.
///
/// # Errors
/// `FIELD_TYPE_ERROR` with the first that is missing.
pub fn given(class: &Class, record: &Value) -> Outcome<Vec<(&'static str, Value)>> {
    let Some(map) = record.as_map() else { return Err(Failure::new("FIELD_TYPE_ERROR", ["args"])) };
    let mut fields = Vec::new();
    for field in class_fields(class) {
        match map.get(&Arc::from(field.0)) {
            Some(value) => fields.push((field.0, value.clone())),
            None if field.1 => {}
            None => return Err(Failure::new("FIELD_TYPE_ERROR", [field.0])),
        }
    }
    Ok(fields)
}

/// The names of the fields that a maker gives, and whether each may be left out.
fn class_fields(class: &Class) -> impl Iterator<Item = (&'static str, bool)> {
    /// Fields without a default which old clients do not know.
    const MAY_BE_LEFT_OUT: &[&str] =
        &["MTU", "VCPUs_params", "bridge", "managed", "name_description", "name_label", "tags", "user_version"];
    let fields = class.fields.iter().filter(|field| field.access != Access::Pool);
    fields.map(|field| (field.name, field.has_default || MAY_BE_LEFT_OUT.contains(&field.name)))
}
