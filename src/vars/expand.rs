//! Putting the values of variables into texts: `${NAME}`, and `$${` for the text `${` itself.

use super::{Variables, path};
use crate::error::{Blame, Error, Kind, Result};
use std::collections::HashMap;
use std::rc::Rc;

/// A value that grows beyond this is a mistake: variables that double each other.
const LONGEST: usize = 1 << 20;

/// Variables that refer to each other one after another may be this many; the stack is not endless.
const DEEPEST: usize = 100;

/// One reading. Each variable is worked out once, however often it is referred to.
pub struct Expansion<'a> {
    variables: &'a Variables,
    known: HashMap<String, Rc<str>>,
    /// The variables whose values are being worked out, the outermost first.
    within: Vec<String>,
}

impl<'a> Expansion<'a> {
    pub fn new(variables: &'a Variables) -> Expansion<'a> {
        Expansion { variables, known: HashMap::new(), within: Vec::new() }
    }

    /// The value of a variable, worked out; nothing when it is not set.
    pub fn value(&mut self, name: &str) -> Result<Option<Rc<str>>> {
        let name = path::normal(name);
        if let Some(known) = self.known.get(name.as_ref()) {
            return Ok(Some(known.clone()));
        }
        let Some(text) = self.variables.get(&name) else {
            return self.variables.no_tree(&name).map(|()| None);
        };
        if let Some(at) = self.within.iter().position(|n| *n == name) {
            return Err(self.circle(at, &name));
        }
        if self.within.len() >= DEEPEST {
            return Err(wrong(format!("more than {DEEPEST} variables refer to one another: {}", self.within[..4].join(" → "))));
        }
        self.within.push(name.to_string());
        let value: Rc<str> = self.text(text)?.into();
        self.within.pop();
        self.known.insert(name.into_owned(), value.clone());
        Ok(Some(value))
    }

    /// A text with every `${NAME}` in it replaced.
    pub fn text(&mut self, text: &str) -> Result<String> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let before = &rest[..at];
            let after = &rest[at + 2..];
            // A dollar before it makes it text.
            if let Some(before) = before.strip_suffix('$') {
                made.push_str(before);
                made.push_str("${");
                rest = after;
                continue;
            }
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| path::checked(name).is_ok()) else {
                made.push_str(before);
                made.push_str("${");
                rest = after;
                continue;
            };
            made.push_str(before);
            made.push_str(&self.value(name)?.ok_or_else(|| self.unknown(name))?);
            if made.len() > LONGEST {
                return Err(wrong(format!("{} has a value of more than {LONGEST} characters", self.place())));
            }
            rest = after;
        }
        made.push_str(rest);
        Ok(made)
    }

    fn unknown(&self, name: &str) -> Error {
        let missing = self.variables.missing(name);
        let what = format!("{} refers to `${{{name}}}`, which is not set", self.place());
        let help = missing.help.unwrap_or_else(|| format!("set it, or write $${{{name}}} for the text itself"));
        wrong(what).with_kind(Kind::NotFound).help(help)
    }

    fn circle(&self, at: usize, name: &str) -> Error {
        let round: Vec<&str> = self.within[at..].iter().map(String::as_str).chain([name]).collect();
        let help = "set one of them to a value that refers to none of the others";
        wrong(format!("the value of `{name}` refers to itself: {}", round.join(" → "))).help(help)
    }

    /// Where the text comes from, for messages.
    fn place(&self) -> String {
        let Some(name) = self.within.last() else { return "the text".into() };
        match self.variables.origin(name) {
            Some((layer, setting)) => format!("the value of `{name}` ({})", setting.by(layer)),
            None => format!("the value of `{name}`"),
        }
    }
}

fn wrong(what: String) -> Error {
    Error::new(Kind::Malformed, what).blame(Blame::User)
}
