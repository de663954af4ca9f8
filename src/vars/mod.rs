//! Variables: named values in layers, each with who set it.
//!
//! Lookup takes the highest layer that has the name. A name is a path, `CLIOPTIONS/PAUSE_ON_FAIL/TCReboot`, also written with
//! colons. All values are texts; a list is a text with commas. `${NAME}` in a value stands for another variable, put in when the
//! value is read, so that a stronger layer's value counts everywhere; `$${` is the text `${`.
//!
//! Never true here: that a name has both a value and names below it, that a name refers to itself without an end.

mod expand;
mod known;
mod layer;
mod live;
mod path;

pub use known::{KNOWN, Known, Reader, is_secret, known, meant};
pub use layer::Layer;
pub use live::Live;

use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::unit;
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, BTreeMap<Layer, Setting>>);

/// A value and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As it was set: what it refers to is not put in.
    pub value: String,
    /// Where exactly, as shown to people: "-D", "x.seq:4". Empty when the layer says it all.
    pub origin: String,
}

impl Setting {
    /// Who set it, in one word or two.
    pub fn by(&self, layer: Layer) -> &str {
        if self.origin.is_empty() { layer.word() } else { &self.origin }
    }
}

impl Variables {
    /// # Errors
    /// As [`Variables::set_from`].
    pub fn set(&mut self, layer: Layer, name: &str, value: impl Into<String>) -> Result<()> {
        self.set_from(layer, name, value, "")
    }

    /// Sets a variable and says where it was set. A later value of the same layer replaces the earlier one.
    ///
    /// # Errors
    /// `Malformed`, blamed on the user: no name of a variable; a name with others below it; a name below one that has a value.
    pub fn set_from(&mut self, layer: Layer, name: &str, value: impl Into<String>, origin: impl Into<String>) -> Result<()> {
        let path = path::checked(name)?;
        self.no_tree(&path)?;
        if let Some(value) = path::above(&path).find(|above| self.0.contains_key(*above)) {
            let what = format!("cannot set `{path}`: `{value}` has a value of its own, from {}", self.source(value));
            return Err(malformed(what).help(format!("name it otherwise, or take `{value}` away")));
        }
        let setting = Setting { value: value.into(), origin: origin.into() };
        self.0.entry(path.into_owned()).or_default().insert(layer, setting);
        Ok(())
    }

    /// The value that counts, as it was set. For what a person or a testcase asks, see [`Variables::lookup`].
    pub fn get(&self, name: &str) -> Option<&str> {
        self.origin(name).map(|(_, setting)| setting.value.as_str())
    }

    /// The value that counts, with the values of the variables it refers to put in.
    ///
    /// # Errors
    /// `Malformed` or `NotFound`, blamed on the user: it refers to itself, or to something that is not set; it is no value, but has
    /// names below it.
    pub fn lookup(&self, name: &str) -> Result<Option<String>> {
        let value = expand::Expansion::new(self).value(name)?;
        Ok(value.map(|text| text.to_string()))
    }

    /// A text with the values of the variables it refers to put in.
    ///
    /// # Errors
    /// As [`Variables::lookup`].
    pub fn expand(&self, text: &str) -> Result<String> {
        expand::Expansion::new(self).text(text)
    }

    /// A variable that says yes or no, in the words of [`unit::parse_boolean`].
    ///
    /// # Errors
    /// As [`Variables::lookup`]; `Malformed`: it says neither.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, unit::parse_boolean)
    }

    /// A variable that is a whole number from 0 up.
    ///
    /// # Errors
    /// As [`Variables::lookup`]; `Malformed`: it is something else.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        self.typed(name, |text| text.trim().parse().map_err(|_| malformed(format!("`{text}` is not a whole number"))))
    }

    fn typed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
        let Some(text) = self.lookup(name)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|mut error| {
            error.what = format!("the variable `{name}` ({}): {}", self.source(name), error.what);
            error.blame(Blame::User)
        })
    }

    /// The value that counts, and the layer that it comes from.
    pub fn origin(&self, name: &str) -> Option<(Layer, &Setting)> {
        let (layer, setting) = self.0.get(path::normal(name).as_ref())?.last_key_value()?;
        Some((*layer, setting))
    }

    /// Everyone who set a variable, the strongest last.
    pub fn history(&self, name: &str) -> impl Iterator<Item = (Layer, &Setting)> {
        self.0.get(path::normal(name).as_ref()).into_iter().flatten().map(|(layer, setting)| (*layer, setting))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Everything below a path, by name: `CALLBACK_URL/a`, `CALLBACK_URL/b` for `CALLBACK_URL`.
    pub fn leaves(&self, path: &str) -> impl Iterator<Item = &str> {
        let below = format!("{}/", path::normal(path));
        self.starting(below)
    }

    /// All names that begin so and are no paths beyond that: `RESOURCE_HOST_0`, `RESOURCE_HOST_1` for `RESOURCE_HOST_`.
    pub fn prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let prefix = path::normal(prefix).into_owned();
        let length = prefix.len();
        self.starting(prefix).filter(move |name| !name[length..].contains('/'))
    }

    fn starting(&self, start: String) -> impl Iterator<Item = &str> {
        let from = (Bound::Included(start.clone()), Bound::Unbounded);
        self.0.range::<String, _>(from).map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(&start))
    }

    /// Everything that is not to be shown, of all layers.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut found = Vec::new();
        for name in self.names().filter(|name| is_secret(name)) {
            let set = self.history(name).map(|(_, setting)| setting.value.clone());
            let worked_out = self.lookup(name).ok().flatten();
            for text in set.chain(worked_out) {
                // Of several passwords, each; a yes or no is no secret, and would be masked everywhere.
                let parts = text.split([',', ' ']).chain([text.as_str()]).filter(|part| unit::parse_boolean(part).is_err());
                found.extend(parts.map(Secret::new));
            }
        }
        found
    }

    /// Who set it, for messages.
    fn source(&self, name: &str) -> String {
        self.origin(name).map_or_else(String::new, |(layer, setting)| setting.by(layer).to_string())
    }

    /// Refuses a name that is no value, but has others below it.
    fn no_tree(&self, path: &str) -> Result<()> {
        let mut below = self.leaves(path);
        let Some(first) = below.next() else { return Ok(()) };
        let what = match below.count() {
            0 => format!("`{path}` is not a value: `{first}` is below it, from {}", self.source(first)),
            more => format!("`{path}` is not a value: `{first}` and {more} more are below it, from {}", self.source(first)),
        };
        Err(malformed(what).help("name one of those below it"))
    }

    /// What to say when a variable that is needed is not set.
    pub fn missing(&self, name: &str) -> Error {
        let error = Error::new(Kind::NotFound, format!("the variable `{name}` is not set")).blame(Blame::User);
        let known = KNOWN.iter().map(|known| known.name).filter(|known| !known.contains('<'));
        match crate::name::nearest(&path::normal(name), self.names().chain(known)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

fn malformed(what: String) -> Error {
    Error::new(Kind::Malformed, what).blame(Blame::User)
}

#[cfg(test)]
impl Variables {
    /// These, as a command line gives them.
    pub fn flags(settings: &[(&str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in settings {
            variables.set(Layer::Flag, name, *value).unwrap();
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(settings: &[(Layer, &str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (layer, name, value) in settings {
            variables.set(*layer, name, *value).unwrap();
        }
        variables
    }

    #[test]
    fn the_strongest_layer_wins_whatever_the_order() {
        let vars = with(&[(Layer::Flag, "A", "flag"), (Layer::BuiltIn, "A", "built-in")]);
        assert_eq!(vars.origin("A").map(|(layer, s)| (layer, s.value.as_str())), Some((Layer::Flag, "flag")));
        assert_eq!((vars.get("B"), vars.names().collect::<Vec<_>>()), (None, vec!["A"]));
        assert!(Layer::ALL.is_sorted());
    }

    #[test]
    fn paths_are_written_in_two_ways() {
        let vars =
            with(&[(Layer::Site, "A:B:C", "1"), (Layer::Site, "A/B/D", "2"), (Layer::Site, "AB", "3"), (Layer::Flag, "A/BC", "4")]);
        assert_eq!([vars.get("A/B/C"), vars.get("A:B/D"), vars.get("A:BC")], [Some("1"), Some("2"), Some("4")]);
        let leaves = |path| vars.leaves(path).collect::<Vec<_>>();
        assert_eq!(leaves("A:B"), ["A/B/C", "A/B/D"]);
        assert_eq!(leaves("A"), ["A/B/C", "A/B/D", "A/BC"]);
        assert_eq!(vars.prefix("A").collect::<Vec<_>>(), ["AB"]);
    }

    #[test]
    fn values_refer_to_values_of_any_layer() {
        let vars = with(&[
            (Layer::Site, "HOST", "h1"),
            (Layer::Site, "URL", "http://${HOST}/${A:PORT}$${HOST} ${ $ {HOST} 5% ${not a name}"),
            (Layer::Flag, "HOST", "h2"),
            (Layer::Config, "A/PORT", "${NUMBER}"),
            (Layer::Config, "NUMBER", "80"),
        ]);
        assert_eq!(vars.lookup("URL").unwrap().unwrap(), "http://h2/80${HOST} ${ $ {HOST} 5% ${not a name}");
        assert_eq!(vars.lookup("NOT").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_worked_out_says_why() {
        let mut vars = with(&[
            (Layer::Site, "A", "x${B}"),
            (Layer::Site, "B", "${C}"),
            (Layer::Site, "C", "${B}"),
            (Layer::Site, "SELF", "${SELF}"),
            (Layer::Flag, "GONE", "${NUMBRE}"),
            (Layer::Flag, "NUMBER", "1"),
            (Layer::Flag, "TREE/LEAF", "1"),
            (Layer::Flag, "YES", ""),
        ]);
        let table = [
            ("A", "the value of `B` refers to itself: B → C → B"),
            ("SELF", "the value of `SELF` refers to itself: SELF → SELF"),
            ("GONE", "the value of `GONE` (command line) refers to `${NUMBRE}`, which is not set / did you mean `NUMBER`?"),
            ("TREE", "`TREE` is not a value: `TREE/LEAF` is below it, from command line / name one of those below it"),
        ];
        for (name, expected) in table {
            let error = vars.lookup(name).unwrap_err();
            assert!(format!("{} / {}", error.what, error.help.unwrap_or_default()).starts_with(expected), "{name}: {}", error.what);
            assert_eq!(error.blame, Blame::User);
        }
        let text = vars.boolean("YES").unwrap_err().what;
        assert_eq!(text, "the variable `YES` (command line): `` is neither yes nor no");
        // Each doubles the one before: neither memory nor time is endless.
        vars.set(Layer::Flag, "D0", "0123456789").unwrap();
        for n in 1..90 {
            vars.set(Layer::Flag, &format!("D{n}"), format!("${{D{}}}${{D{}}}", n - 1, n - 1)).unwrap();
        }
        assert!(vars.lookup("D89").unwrap_err().what.contains("more than 1048576 characters"));
        vars.set(Layer::Flag, "D0", "").unwrap();
        assert_eq!(vars.lookup("D89").unwrap().unwrap(), "");
        for n in 1..200 {
            vars.set(Layer::Flag, &format!("E{n}"), format!("${{E{}}}", n - 1)).unwrap();
        }
        assert!(vars.lookup("E199").unwrap_err().what.starts_with("more than 100 variables refer to one another"));
    }

    #[test]
    fn a_name_is_a_value_or_a_tree() {
        let mut vars = with(&[(Layer::Site, "A/B", "1"), (Layer::Site, "S", "1")]);
        let table = [
            ("A", "`A` is not a value: `A/B` is below it, from site"),
            ("S/T/U", "cannot set `S/T/U`: `S` has a value of its own, from site"),
            ("", "a variable needs a name"),
            ("A//B", "`A//B` is no name of a variable: a part of it is empty"),
            ("A b", "`A b` is no name of a variable: a blank cannot be in it"),
            ("A%", "`A%` is no name of a variable: `%` cannot be in it"),
        ];
        for (name, expected) in table {
            assert_eq!(vars.set(Layer::Flag, name, "x").unwrap_err().what, expected);
        }
        assert_eq!(vars.names().collect::<Vec<_>>(), ["A/B", "S"]);
    }

    #[test]
    fn a_live_value_is_seen_by_all_who_hold_the_variables() {
        let live = Live::new(with(&[(Layer::Flag, "A", "flag"), (Layer::Flag, "B", "${A}!")]));
        let other = live.clone();
        assert_eq!(other.lookup("B").unwrap().unwrap(), "flag!");
        live.set("A", "live", "a person").unwrap();
        assert_eq!(other.lookup("B").unwrap().unwrap(), "live!");
        assert_eq!(
            other.read(|v| v.history("A").map(|(layer, s)| format!("{} {}", s.by(layer), s.value)).collect::<Vec<_>>()),
            ["command line flag", "a person live"]
        );
        assert!(live.set("A/B", "x", "").is_err());
    }
}
