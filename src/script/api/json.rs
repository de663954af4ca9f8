//! Values of a toolstack as a script has them, and back.

use crate::script::failure::{Raised, misuse};
use crate::script::show;
use rhai::Dynamic;
use serde_json::Value;

/// A script's value of a toolstack's: nothing is `()`, a record is a map.
pub fn dynamic(value: Value) -> Dynamic {
    let text = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|_| text.into())
}

/// A toolstack's value of a script's.
pub fn value(of: &Dynamic) -> Raised<Value> {
    serde_json::to_value(of).map_err(|e| misuse(format!("{} cannot be given to a toolstack: {e}", show::value(of, 60)), None))
}
