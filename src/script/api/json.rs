//! Values of a toolstack as values of a script, and back.

use super::handle;
use crate::script::failure::{Raised, misuse};
use crate::script::show;
use rhai::{Array, Dynamic, Map};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// A script's value as the toolstack takes it; an object of the library as its reference.
pub fn value(of: &Dynamic) -> Raised<Value> {
    if let Some(reference) = handle::reference(of) {
        return Ok(Value::String(reference));
    }
    if let Some(items) = of.read_lock::<Array>() {
        return items.iter().map(self::value).collect::<Raised<Vec<_>>>().map(Value::Array);
    }
    if let Some(map) = of.read_lock::<Map>() {
        let entries = map.iter().map(|(key, item)| Ok((key.to_string(), self::value(item)?)));
        return entries.collect::<Raised<serde_json::Map<_, _>>>().map(Value::Object);
    }
    if of.is_string() {
        return Ok(Value::String(show::plain(of)));
    }
    match (of.as_bool(), of.as_int(), of.as_float()) {
        (Ok(truth), ..) => Ok(truth.into()),
        (_, Ok(number), _) => Ok(number.into()),
        (_, _, Ok(number)) => Number::from_f64(number).map(Value::Number).ok_or_else(|| odd(of)),
        _ if of.is_unit() => Ok(Value::Null),
        _ => Err(odd(of)),
    }
}

fn odd(value: &Dynamic) -> Box<rhai::EvalAltResult> {
    let help = "it takes texts, numbers, true and false, lists, maps, and objects such as host()";
    misuse(format!("{} cannot be sent to a toolstack", show::value(value, 60)), Some(help.into()))
}

/// What a toolstack says, as a script's value.
pub fn dynamic(of: Value) -> Dynamic {
    match of {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => truth.into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => items.into_iter().map(dynamic).collect::<Array>().into(),
        Value::Object(entries) => entries.into_iter().map(|(key, item)| (key.into(), dynamic(item))).collect::<Map>().into(),
    }
}

/// Texts by name, as `xe` and plugins take them: numbers and truth values as their text, objects as their uuid.
pub fn texts(map: &Map) -> Raised<BTreeMap<String, String>> {
    let text = |value: &Dynamic| match handle::uuid(value) {
        Some(uuid) => Ok(uuid),
        None if value.is_array() || value.is_map() || value.is_unit() || value.is_fnptr() => {
            Err(misuse(format!("{} is no text", show::value(value, 60)), None))
        }
        None => Ok(show::plain(value)),
    };
    map.iter().map(|(name, value)| Ok((name.to_string(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_there_and_back() {
        let engine = rhai::Engine::new();
        let value = engine.eval::<Dynamic>(r#"#{ a: [1, 2.5, true, "x", ()], "b-c": #{} }"#).unwrap();
        let there = super::value(&value).unwrap();
        assert_eq!(there, json!({ "a": [1, 2.5, true, "x", null], "b-c": {} }));
        assert_eq!(show::value(&dynamic(there), 200), "#{ a: [1, 2.5, true, \"x\", ()], b-c: #{} }");
        assert!(super::value(&engine.eval::<Dynamic>("|| 1").unwrap()).is_err());
        assert_eq!(dynamic(json!(u64::MAX)).as_float().unwrap(), u64::MAX as f64);
    }

    #[test]
    fn parameters_are_texts() {
        let engine = rhai::Engine::new();
        let map = engine.eval::<Map>(r#"#{ n: 5, t: true, s: "x y", f: 1.5 }"#).unwrap();
        let shown: Vec<String> = texts(&map).unwrap().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["f=1.5", "n=5", "s=x y", "t=true"]);
        assert!(texts(&engine.eval::<Map>("#{ a: [1] }").unwrap()).is_err());
    }
}
