//! Classes that are little more than their records: messages, secrets, users, consoles.

use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn method(class: &str, name: &str) -> Option<Method> {
    Some(match (class, name) {
        ("message", "create") => create_message,
        ("message", "destroy") | ("secret", "destroy") | ("console", "destroy") => destroy,
        ("message", "destroy_many") => |cx, args| {
            args.links(0).into_iter().for_each(|message| cx.db.destroy(message));
            done()
        },
        ("message", "get") => messages_of,
        ("message", "get_since") => |cx, args| messages(cx, args, |_, _| true, 0),
        ("secret", "create") => |cx, args| create(cx, "secret", args),
        ("host_crashdump", "destroy") | ("crashdump", "destroy") => destroy,
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>, class: &str, args: &Args) -> Outcome<Answer> {
    let known = datamodel().class(class).ok_or_else(|| Failure::internal(class))?;
    let fields = given(known, args.get(0))?;
    answer(cx.db.create_with(class, fields))
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    cx.db.destroy(args.link(0));
    done()
}

/// message.create(name, priority, class, uuid, body).
fn create_message(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (class, uuid) = (args.text(2), args.text(3));
    let table = match class {
        "Host" => "host",
        "Pool" => "pool",
        other => other,
    };
    if datamodel().class(table).is_some() && cx.db.by_uuid(table, uuid).is_none() {
        return Err(Failure::new("UUID_INVALID", [class, uuid]));
    }
    let fields = ["name", "priority", "cls", "obj_uuid", "body"].into_iter().enumerate();
    let mut fields: Vec<(&str, Value)> = fields.map(|(at, name)| (name, args.get(at).clone())).collect();
    fields.push(("timestamp", Value::Date(cx.now())));
    answer(cx.db.create_with("message", fields))
}

fn messages_of(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (class, uuid) = (args.get(0).clone(), args.get(1).clone());
    messages(cx, args, move |cx, message| *cx.db.get(message, "cls") == class && *cx.db.get(message, "obj_uuid") == uuid, 2)
}

fn messages(cx: &mut Cx<'_>, args: &Args, fits: impl Fn(&Cx<'_>, Ref) -> bool, since: usize) -> Outcome<Answer> {
    let Value::Date(since) = args.get(since) else { return Err(Failure::new("FIELD_TYPE_ERROR", ["since"])) };
    let recent = |message: &Ref| matches!(cx.db.get(*message, "timestamp"), Value::Date(at) if at >= since);
    let found: Vec<Ref> = cx.db.all("message").into_iter().filter(|message| recent(message) && fits(cx, *message)).collect();
    let pairs = found.into_iter().map(|message| (Arc::from(message.to_string()), Value::Record(message)));
    answer(pairs.collect::<BTreeMap<Arc<str>, Value>>())
}
