//! A testcase's arguments: words from the command line, made into the types of their default values.

use super::show;
use crate::error::{Error, Kind, Result};
use crate::name::did_you_mean;
use crate::unit::parse_boolean;
use rhai::{Array, Dynamic, Map};
use std::collections::BTreeMap;

/// Makes the arguments for a run: the defaults, with what was given put over them.
///
/// A bare word is a true flag. A default that is a list takes a comma-separated text; an empty default (`()`) takes any text.
///
/// # Errors
/// `Malformed`, blamed on the user: an argument that the testcase does not have, or a text that its type cannot be made of.
pub fn typed(testcase: &str, defaults: &Map, given: &[String]) -> Result<Map> {
    let mut args = defaults.clone();
    for word in given {
        let (key, text) = word.split_once('=').map_or((word.as_str(), None), |(key, text)| (key, Some(text)));
        let Some(default) = defaults.get(key) else {
            let help = did_you_mean(key, defaults.keys().map(|k| k.as_str())).unwrap_or_else(|| "it takes no arguments".into());
            return Err(usage(format!("`{testcase}` has no argument `{key}`"), &help));
        };
        args.insert(key.into(), parse(testcase, key, default, text)?);
    }
    Ok(args)
}

fn parse(testcase: &str, key: &str, default: &Dynamic, text: Option<&str>) -> Result<Dynamic> {
    let wrong = |expected: &str| {
        let shown = text.unwrap_or_default();
        usage(
            format!("`{key}={shown}` for `{testcase}`: expected {expected}"),
            &format!("the default is {key}={}", show::plain(default)),
        )
    };
    let Some(text) = text else {
        return match default.type_name() {
            "bool" | "()" => Ok(true.into()),
            _ => Err(usage(format!("`{key}` for `{testcase}` needs a value"), &format!("write {key}={}", show::plain(default)))),
        };
    };
    Ok(match default.type_name() {
        "i64" => text.parse::<i64>().map_err(|_| wrong("a whole number"))?.into(),
        "f64" => text.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| wrong("a number"))?.into(),
        "bool" => parse_boolean(text).map_err(|_| wrong("yes or no"))?.into(),
        "array" => list(default, text).ok_or_else(|| wrong("a list such as 1,2,3"))?,
        "map" => return Err(wrong("nothing: a map cannot be given on the command line")),
        _ => text.into(),
    })
}

/// A list takes the type of the first entry of its default.
fn list(default: &Dynamic, text: &str) -> Option<Dynamic> {
    let first = default.read_lock::<Array>()?.first().map_or("string", |entry| entry.type_name()).to_string();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let made: Option<Array> = parts
        .map(|part| match first.as_str() {
            "i64" => part.parse::<i64>().ok().map(Dynamic::from),
            "f64" => part.parse::<f64>().ok().map(Dynamic::from),
            "bool" => parse_boolean(part).ok().map(Dynamic::from),
            _ => Some(part.to_string().into()),
        })
        .collect();
    made.map(Dynamic::from)
}

fn usage(what: String, help: &str) -> Error {
    Error::new(Kind::Malformed, what).blame(crate::error::Blame::User).help(help)
}

/// The arguments as the event stream has them.
pub fn shown(args: &Map) -> BTreeMap<String, serde_json::Value> {
    let value = |v: &Dynamic| serde_json::to_value(v).unwrap_or_else(|_| show::plain(v).into());
    args.iter().map(|(key, v)| (key.to_string(), value(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Map {
        rhai::Engine::new().eval(r#"#{ loops: 50, rate: 1.5, fast: false, size: "1GiB", sizes: [4, 8], any: () }"#).unwrap()
    }

    #[test]
    fn arguments_take_the_types_of_their_defaults() {
        let given = ["loops=3", "rate=2", "fast", "size=64MiB", "sizes=1, 2", "any=x"].map(String::from);
        let args = typed("t", &defaults(), &given).unwrap();
        let text = show::value(&args.into(), 500);
        assert_eq!(text, r#"#{ any: "x", fast: true, loops: 3, rate: 2.0, size: "64MiB", sizes: [1, 2] }"#);
    }

    #[test]
    fn wrong_arguments_say_what_was_expected() {
        for (word, expected) in [
            ("lops=3", "`t` has no argument `lops` / did you mean `loops`?"),
            ("loops=many", "`loops=many` for `t`: expected a whole number / the default is loops=50"),
            ("loops", "`loops` for `t` needs a value / write loops=50"),
            ("fast=maybe", "`fast=maybe` for `t`: expected yes or no / the default is fast=false"),
            ("rate=inf", "`rate=inf` for `t`: expected a number / the default is rate=1.5"),
            ("sizes=a,b", "`sizes=a,b` for `t`: expected a list such as 1,2,3 / the default is sizes=[4, 8]"),
        ] {
            let error = typed("t", &defaults(), &[word.to_string()]).unwrap_err();
            assert_eq!(format!("{} / {}", error.what, error.help.unwrap_or_default()), expected);
        }
    }
}
