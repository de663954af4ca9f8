//! Option maps of scripts, read into the library's structs; whoever errs is told the method, the option and what it takes.

use super::handle;
use crate::name::did_you_mean;
use crate::script::failure::{Raised, misuse};
use crate::script::show;
use rhai::serde::from_dynamic;
use rhai::{Dynamic, EvalAltResult, Map};
use serde::de::DeserializeOwned;

/// Reads the options of a method. Every option has a default, so each can be read alone: that tells which one is wrong.
pub fn read<T: DeserializeOwned>(method: &str, options: Map) -> Raised<T> {
    let whole: Dynamic = options.clone().into();
    let error = match from_dynamic::<T>(&whole) {
        Ok(read) => return Ok(read),
        Err(error) => text(&error),
    };
    for (name, value) in options {
        let alone: Map = [(name.clone(), value.clone())].into_iter().collect();
        let Err(error) = from_dynamic::<T>(&alone.into()) else { continue };
        return Err(complain(method, &name, &value, &text(&error)));
    }
    Err(misuse(format!("the options of `{method}`: {error}"), None))
}

/// One value that an option could be as well.
pub fn value<T: DeserializeOwned>(method: &str, name: &str, value: &Dynamic) -> Raised<T> {
    from_dynamic(value).map_err(|error| complain(method, name, value, &text(&error)))
}

/// Options in which objects of the library stand for their names: `sr: pool().default_sr`.
pub fn plain(options: Map) -> Map {
    options.into_iter().map(|(name, value)| (name, named(value))).collect()
}

/// What an argument names: an object of the library by its uuid, or a text.
pub fn thing(method: &str, name: &str, value: &Dynamic) -> Raised<String> {
    handle::uuid(value).or_else(|| value.is_string().then(|| show::plain(value))).ok_or_else(|| {
        let what = format!("the `{name}` of `{method}` is {}, expected one or its name", show::value(value, 60));
        misuse(what, None)
    })
}

fn named(value: Dynamic) -> Dynamic {
    if let Some(uuid) = handle::uuid(&value) {
        return uuid.into();
    }
    match value.try_cast_result::<rhai::Array>() {
        Ok(items) => items.into_iter().map(named).collect::<rhai::Array>().into(),
        Err(value) => match value.try_cast_result::<Map>() {
            Ok(map) => plain(map).into(),
            Err(value) => value,
        },
    }
}

fn complain(method: &str, name: &str, value: &Dynamic, error: &str) -> Box<EvalAltResult> {
    if let Some(known) = error.strip_prefix(&format!("unknown field `{name}`, expected ")) {
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return misuse(format!("`{method}` has no option `{name}`"), did_you_mean(name, known));
    }
    misuse(format!("the option `{name}` of `{method}` is {}: {error}", show::value(value, 60)), None)
}

/// What the reader said, without Rhai's words around it.
fn text(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorParsing(inner, _) => inner.to_string(),
        EvalAltResult::ErrorMismatchOutputType(expected, _, _) => format!("expected {expected}"),
        other => crate::script::failure::message(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{ExecOptions, PowerOptions, WriteOptions};
    use std::time::Duration;

    fn map(text: &str) -> Map {
        rhai::Engine::new().eval(text).unwrap()
    }

    #[test]
    fn options_take_a_script_s_values() {
        let map = map(r#"#{ timeout: 1.5, on_error: "return", env: #{ A: 1, B: true }, cwd: (), quiet: true, save_as: "x" }"#);
        let options: ExecOptions = read("exec", map).unwrap();
        assert_eq!((options.timeout, options.quiet, options.cwd), (Some(Duration::from_millis(1500)), true, None));
        assert_eq!(options.env.into_values().collect::<Vec<_>>(), ["1", "true"]);
        assert_eq!(read::<WriteOptions>("write_file", self::map("#{ mode: 0o755 }")).unwrap().mode, 0o755);
        assert_eq!(read::<WriteOptions>("write_file", Map::new()).unwrap().mode, 0o644);
        assert_eq!(read::<PowerOptions>("reboot", self::map("#{ timeout: 90 }")).unwrap().timeout, Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_wrong_option_is_named_with_its_method() {
        for (given, expected) in [
            ("#{ quiet: true, timout: 5 }", "`exec` has no option `timout` / did you mean `timeout`?"),
            ("#{ quiet: 1 }", "the option `quiet` of `exec` is 1: expected bool / "),
            (r#"#{ timeout: "soon" }"#, "the option `timeout` of `exec` is \"soon\": `soon` is not a duration: "),
            (
                "#{ timeout: [1] }",
                "the option `timeout` of `exec` is [1]: invalid type: sequence, expected a number of seconds or ",
            ),
            (
                r#"#{ on_error: "shrug" }"#,
                "the option `on_error` of `exec` is \"shrug\": unknown variant `shrug`, expected one of ",
            ),
            ("#{ input: 5 }", "the option `input` of `exec` is 5: expected "),
        ] {
            let error = read::<ExecOptions>("exec", map(given)).unwrap_err();
            let EvalAltResult::ErrorRuntime(value, _) = &*error else { panic!("{error}") };
            let value = value.read_lock::<Map>().unwrap();
            let part = |key: &str| value.get(key).filter(|v| v.is_string()).map(show::plain).unwrap_or_default();
            let said = format!("{} / {}", part("message"), part("help"));
            assert!(said.starts_with(expected), "{said}\n{expected}");
            assert_eq!(part("blame"), "author");
        }
    }
}
