//! The arguments of a call, taken one after another, each with what was expected of it.

use crate::error::{Blame, Error, Kind, Result};
use dxr::Value;

/// The arguments of one call.
pub struct Params {
    method: &'static str,
    values: std::vec::IntoIter<Value>,
    taken: usize,
}

impl Params {
    pub fn new(method: &'static str, values: Vec<Value>) -> Params {
        Params { method, values: values.into_iter(), taken: 0 }
    }

    fn next(&mut self, expected: &str) -> Result<Value> {
        self.taken += 1;
        self.values.next().ok_or_else(|| self.wrong(&format!("argument {} is missing, {expected}", self.taken)))
    }

    pub fn wrong(&self, what: &str) -> Error {
        Error::new(Kind::Malformed, format!("{}: {what}", self.method)).blame(Blame::User)
    }

    fn not(&self, value: &Value, expected: &str) -> Error {
        self.wrong(&format!("argument {} is {}, expected {expected}", self.taken, sort(value)))
    }

    /// # Errors
    /// `Malformed`: there is none, or no text.
    pub fn text(&mut self) -> Result<String> {
        match self.next("a text")? {
            Value::String(text) => Ok(text),
            other => Err(self.not(&other, "a text")),
        }
    }

    /// # Errors
    /// As [`Params::text`].
    pub fn flag(&mut self) -> Result<bool> {
        match self.next("true or false")? {
            Value::Boolean(flag) => Ok(flag),
            Value::Integer(number @ (0 | 1)) => Ok(number == 1),
            other => Err(self.not(&other, "true or false")),
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// As [`Params::text`].
    pub fn number(&mut self) -> Result<u64> {
        match self.next("a number")? {
            Value::Integer(number) if number >= 0 => Ok(number.unsigned_abs().into()),
            Value::Long(number) if number >= 0 => Ok(number.unsigned_abs()),
            other => Err(self.not(&other, "a number from 0")),
        }
    }

    /// A path of names: a list, or a text with slashes.
    ///
    /// # Errors
    /// As [`Params::text`].
    pub fn path(&mut self) -> Result<String> {
        match self.next("a name, or a list of names")? {
            Value::String(text) => Ok(text),
            Value::Array(parts) => {
                let parts = parts.into_iter().map(|part| match part {
                    Value::String(text) => Ok(text),
                    other => Err(self.not(&other, "a list of texts")),
                });
                Ok(parts.collect::<Result<Vec<_>>>()?.join("/"))
            }
            other => Err(self.not(&other, "a name, or a list of names")),
        }
    }

    /// Any value; a text as it is written.
    ///
    /// # Errors
    /// `Malformed`: there is none, or one that is no single value.
    pub fn plain(&mut self) -> Result<String> {
        match self.next("a value")? {
            Value::String(text) => Ok(text),
            Value::Boolean(flag) => Ok(if flag { "yes" } else { "no" }.into()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Long(number) => Ok(number.to_string()),
            Value::Double(number) => Ok(number.to_string()),
            other => Err(self.not(&other, "a text, a number, or true or false")),
        }
    }

    /// # Errors
    /// `Malformed`: there is none.
    pub fn any(&mut self) -> Result<Value> {
        self.next("a value")
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// `Malformed`: something does.
    pub fn end(mut self) -> Result<()> {
        match self.values.next() {
            None => Ok(()),
            Some(_) => Err(self.wrong(&format!("it takes {} arguments, there are more", self.taken))),
        }
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Boolean(_) => "true or false",
        Value::Integer(_) | Value::Long(_) => "a number",
        Value::Double(_) => "a number with a fraction",
        Value::DateTime(_) => "a date",
        Value::Base64(_) => "bytes",
        Value::Struct(_) => "a struct",
        Value::Array(_) => "a list",
        _ => "nothing",
    }
}
