//! What a preparation has told so far while it is being read: which names are taken, and which can be referred to.

use crate::diagnostic::At;
use crate::name::did_you_mean;
use crate::sequence::scope::{Scope, short};
use crate::sequence::tree::ScriptText;
use crate::sequence::xml::Element;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The reading of one preparation.
pub struct Reading<'r, 's> {
    pub scope: &'r mut Scope<'s>,
    /// Scripts that the sequence has loaded before.
    pub scripts: &'r BTreeMap<String, ScriptText>,
    /// Private networks, by the names that VMs know them by.
    pub vlans: Vec<String>,
    /// What has a name already: ("VM", its name), and where.
    taken: BTreeMap<(&'static str, String), At>,
    /// What something refers to by its name, and where.
    references: Vec<(&'static str, String, At)>,
    /// How many nested hosts had no name of their own.
    pub nameless: usize,
}

impl<'r, 's> Reading<'r, 's> {
    pub fn new(scope: &'r mut Scope<'s>, scripts: &'r BTreeMap<String, ScriptText>) -> Reading<'r, 's> {
        Reading { scope, scripts, vlans: Vec::new(), taken: BTreeMap::new(), references: Vec::new(), nameless: 0 }
    }

    /// Takes a name that no other thing of the sort may have. The place is that of what is named, for the message.
    pub fn take(&mut self, sort: &'static str, name: &str, at: At) {
        if let Some(first) = self.taken.get(&(sort, name.to_string())) {
            let message = format!("there is a second {sort} `{}`", short(name));
            self.scope.wrong("duplicate-name", at, message, Some(format!("the first is in line {}", first.line)));
            return;
        }
        self.taken.insert((sort, name.to_string()), at);
    }

    /// The value of a variable that stands for what an element does not say.
    pub fn variable(&mut self, name: &str, at: At) -> Option<String> {
        let value = self.scope.variables.lookup(name).unwrap_or_else(|error| {
            self.scope.wrong("bad-variable", at, error.what, error.help);
            None
        });
        value.filter(|value| !value.is_empty())
    }

    /// The same, of a variable that is yes or no.
    pub fn variable_boolean(&mut self, name: &str, at: At) -> Option<bool> {
        self.scope.variables.boolean(name).unwrap_or_else(|error| {
            self.scope.wrong("bad-variable", at, error.what, error.help);
            None
        })
    }

    pub fn is_taken(&self, sort: &'static str, name: &str) -> bool {
        self.taken.contains_key(&(sort, name.to_string()))
    }

    /// Tells at the end if nothing has taken this name.
    pub fn refer(&mut self, sort: &'static str, name: &str, at: At) {
        self.references.push((sort, name.to_string(), at));
    }

    /// Tells what is referred to and not there.
    pub fn settle_references(&mut self) {
        for (sort, name, at) in std::mem::take(&mut self.references) {
            if self.taken.contains_key(&(sort, name.clone())) {
                continue;
            }
            let all = self.taken.keys().filter(|(s, _)| *s == sort).map(|(_, name)| name.as_str());
            let help = did_you_mean(&name, all);
            self.scope.wrong("unknown-name", at, format!("there is no {sort} `{}` in this preparation", short(&name)), help);
        }
    }

    /// An attribute that is one of a few words.
    pub fn choice(&mut self, element: &Element, name: &str, words: &[&str]) -> Option<String> {
        let text = self.scope.attribute(element, name)?;
        self.one_of(element, name, text, words)
    }

    /// The value of an attribute, if it is one of a few words.
    pub fn one_of(&mut self, element: &Element, name: &str, text: String, words: &[&str]) -> Option<String> {
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let help = did_you_mean(&text, words.iter().copied());
        self.scope.wrong("unknown-value", element.place_of(name), format!("`{name}` cannot be `{}`", short(&text)), help);
        None
    }

    /// The text of a child, and where it is; nothing when it is not there, or its variables come to nothing. A second one is told.
    pub fn child(&mut self, element: &Element, name: &str) -> Option<(String, At)> {
        let child = self.only(element, name)?;
        if child.text.is_empty() {
            self.scope.wrong("empty", child.at, format!("`<{name}>` is empty"), None);
        }
        // A variable may be empty, which leaves it to whoever installs.
        let text = self.scope.text(child).trim().to_string();
        Some((text, child.text_at)).filter(|(text, _)| !text.is_empty())
    }

    /// A child of which there is one at most.
    pub fn only<'e>(&mut self, element: &'e Element, name: &str) -> Option<&'e Element> {
        let mut all = element.children.iter().filter(|child| child.name == name);
        let first = all.next()?;
        if let Some(second) = all.next() {
            let message = format!("`<{}>` has a second `<{name}>`", element.name);
            self.scope.wrong("duplicate-element", second.at, message, Some(format!("the first is in line {}", first.at.line)));
        }
        Some(first)
    }

    /// The number in a child.
    pub fn child_number<T: FromStr>(&mut self, element: &Element, name: &str) -> Option<T> {
        let (text, at) = self.child(element, name)?;
        self.number(name, &text, at)
    }

    pub fn number<T: FromStr>(&mut self, name: &str, text: &str, at: At) -> Option<T> {
        let number = text.parse().ok();
        if number.is_none() {
            let message = format!("`{name}`: `{}` is not a number", short(text));
            self.scope.wrong("not-a-number", at, message, Some("write a whole number from 0 up".to_string()));
        }
        number
    }
}
