//! What sequences call on a VM once it is installed: the original's names, done by the functions that scripts have.
//!
//! To add a name: a row in `lab/alias.rs`. One that is the same but for its spelling, and takes what the function of scripts takes,
//! needs none: `disableFirewall` is `disable_firewall`, also where that is a function of a standard library of one's own.

use super::case::Case;
use super::failure::error_of;
use super::manual::Manual;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::{Guest, alias};
use crate::sequence::topology::Call;
use rhai::{Dynamic, EvalAltResult, Map, Scope};
use serde_json::Value;
use std::sync::Arc;

/// The name of an argument that is no option, but the thing itself: `snapshot(name='clean')`.
const PLAIN: &str = "name";

/// What scripts call it.
fn function(method: &str) -> String {
    let mut name = String::new();
    let mut before = '_';
    for c in method.chars() {
        if c.is_ascii_uppercase() && !before.is_ascii_uppercase() && before != '_' {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        before = c;
    }
    name
}

/// Does to a guest what a sequence calls on it.
///
/// # Errors
/// `NotFound`: scripts have no such function; those of the function.
pub fn call_on(case: &Arc<Case>, guest: Guest, call: &Call) -> Result<()> {
    if alias::operation(&call.method).is_ok_and(|row| row.takes(call)) {
        return guest.perform(call);
    }
    let name = function(&call.method);
    let mut scope = Scope::new();
    scope.push("vm", guest);
    let mut options = Map::new();
    let mut words = Vec::new();
    for argument in &call.arguments {
        let value: Dynamic = dynamic(&argument.value);
        match argument.name.as_deref() {
            Some(name) if name != PLAIN => drop(options.insert(function(name).into(), value)),
            _ => {
                words.push(format!("a{}", words.len()));
                scope.push(words[words.len() - 1].clone(), value);
            }
        }
    }
    if !options.is_empty() {
        words.push("options".into());
        scope.push("options", Dynamic::from(options));
    }
    // Of the sequence nothing is evaluated: the name is letters, digits and underscores, and the arguments are values.
    let text = format!("vm.{name}({})", words.join(", "));
    let engine = case.scripts.engine(case);
    match engine.eval_with_scope::<Dynamic>(&mut scope, &text) {
        Ok(_) => Ok(()),
        Err(error) if is_unknown(&error, &name) => Err(unknown(&case.scripts, call, &name)),
        Err(error) => Err(error_of(&case.context, &error)),
    }
}

/// Whether it is this function that there is not, and not one that it calls.
fn is_unknown(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _) if signature.split([' ', '(']).next() == Some(name))
}

fn unknown(scripts: &super::Scripts, call: &Call, name: &str) -> Error {
    let error = Error::new(Kind::NotFound, format!("nothing can be done with a VM that is called `{}`", call.method));
    let error = error.blame(Blame::Author);
    let near = Manual::of(scripts).ok().and_then(|manual| manual.did_you_mean(name));
    error.help(near.unwrap_or_else(|| {
        format!("write a function `{name}` for guests in a standard library of your own (--stdlib), or see xrt manual guest")
    }))
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(is) => (*is).into(),
        Value::Number(number) => number.as_i64().map_or_else(|| number.as_f64().unwrap_or_default().into(), Dynamic::from),
        Value::String(text) => text.clone().into(),
        Value::Array(all) => all.iter().map(dynamic).collect::<Vec<Dynamic>>().into(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.into(), dynamic(value))).collect::<Map>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_original_are_those_of_scripts() {
        for (theirs, ours) in [
            ("installDrivers", "install_drivers"),
            ("disableFirewall", "disable_firewall"),
            ("installV6LicenseServer", "install_v6_license_server"),
            ("snapshot", "snapshot"),
            ("already_ours", "already_ours"),
        ] {
            assert_eq!(function(theirs), ours, "{theirs}");
        }
    }
}
