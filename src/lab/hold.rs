//! What an object of a pool does its work through: the estate that it is on, and the testcase that holds it.

use super::estate::Estate;
use super::made::Made;
use super::wait::{Look, Patience, until};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::name::did_you_mean;
use crate::time::Cancel;
use crate::toolstack::{DiskSpec, Ref, Spec, Toolstack, Verb, Watch};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An estate in the hands of one testcase.
#[derive(Clone)]
pub(super) struct Hold {
    pub estate: Arc<Estate>,
    pub context: Context,
}

impl Hold {
    pub fn new(estate: Arc<Estate>, context: Context) -> Hold {
        Hold { estate, context }
    }

    /// Asks something that is answered at once, and is not told.
    pub fn ask<T>(&self, question: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<T>) -> Result<T> {
        self.estate.ask(&self.context, question)
    }

    /// Does something with `machine`, told to the stream.
    pub fn told<T>(&self, machine: &str, what: &str, work: impl FnOnce(&Action<'_>) -> Result<T>) -> Result<T> {
        self.context.action(Some(machine), what, work)
    }

    /// Asks for something that takes its time, within an action.
    pub fn order(&self, action: &Action<'_>, verb: &Verb, patience: Patience) -> Result<()> {
        self.estate.order(&self.context, action, self.estate.patience(patience), |toolstack, watch| toolstack.act(verb, watch))?;
        if let Verb::Destroy(thing) = verb {
            self.estate.hands.gone(thing);
        }
        Ok(())
    }

    /// As [`Hold::order`], as an action of its own.
    pub fn act(&self, machine: &str, what: &str, verb: &Verb, patience: Patience) -> Result<()> {
        self.told(machine, what, |action| self.order(action, verb, patience))
    }

    /// Removes a guest that is down, or a snapshot, with what is its own. What of that stays when it is gone itself is the testcase's to
    /// remove.
    pub fn remove(&self, action: &Action<'_>, guest: &Ref, keep_disks: bool) -> Result<()> {
        let images = if keep_disks { Vec::new() } else { self.ask(|toolstack, watch| toolstack.images(guest, watch))? };
        let order = |toolstack: &dyn Toolstack, watch: Watch<'_>| toolstack.destroy_guest(guest, keep_disks, watch);
        let result = self.estate.order(&self.context, action, self.estate.patience(Patience::STORAGE), order);
        if result.is_ok() {
            self.estate.hands.gone(guest);
        } else {
            images.iter().for_each(|image| self.estate.hands.made(&self.context, Made::image(image, guest)));
        }
        result
    }

    /// Makes something, within an action. It is the testcase's to remove.
    pub fn make(&self, action: &Action<'_>, spec: &Spec, patience: Patience) -> Result<Ref> {
        self.make_within(action, spec, self.estate.patience(patience), Made::of(spec))
    }

    /// As [`Hold::make`], with a limit that is taken as it is, and what people call it.
    pub fn make_within(&self, action: &Action<'_>, spec: &Spec, patience: Patience, wanted: Option<Made>) -> Result<Ref> {
        let order = |toolstack: &dyn Toolstack, watch: Watch<'_>| toolstack.create(spec, watch);
        self.estate.make(&self.context, action, patience, wanted, order)
    }

    /// Makes a disk of a guest. A volume that was to be its own is removed when the guest does not get it: nobody else would.
    pub fn make_disk(&self, action: &Action<'_>, disk: DiskSpec, patience: Patience) -> Result<Ref> {
        let own = disk.volume.clone().filter(|_| disk.is_owned);
        self.make(action, &Spec::Disk(disk), patience).inspect_err(|_| {
            if let Some(own) = own
                && let Err(error) = self.order(action, &Verb::Destroy(own), Patience::STORAGE)
            {
                let text = format!("the virtual disk that was made for it is left behind: {}", error.what);
                self.context.log(Level::Warning, text);
            }
        })
    }

    /// Looks at what the toolstack says until it is as wanted. A toolstack that does not answer is no news: it may be starting.
    pub fn until<T>(
        &self,
        action: &Action<'_>,
        what: &str,
        patience: Patience,
        mut look: impl FnMut(&dyn Toolstack, Watch<'_>) -> Result<Look<T>>,
    ) -> Result<T> {
        let patience = self.estate.patience(patience).eager();
        until(&self.context, action, what, &patience, |own| self.look(own, &mut look))
    }

    /// One look under a wait's own flag.
    pub fn look<T>(&self, own: &Cancel, look: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<Look<T>>) -> Result<Look<T>> {
        match self.estate.ask_under(own, &self.context, look) {
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) && !own.is_raised() => {
                Ok(Look::NotYet(error.what))
            }
            other => other,
        }
    }

    /// A field of an object in the toolstack's own words, or a part of it.
    pub fn get(&self, of: &Ref, field: &str, key: Option<&str>) -> Result<Value> {
        let mut value = self.ask(|toolstack, watch| toolstack.get(of, field, watch))?;
        let Some(key) = key else { return Ok(value) };
        match value.get_mut(key) {
            Some(part) => Ok(part.take()),
            None => Err(Error::new(Kind::NotFound, format!("`{field}` has no `{key}`")).blame(Blame::Author).help(match value {
                Value::Object(map) => did_you_mean(key, map.keys().map(String::as_str)).unwrap_or_else(|| keys(&map)),
                _ => format!("`{field}` is no map: ask for it without a key"),
            })),
        }
    }

    /// Sets a field of an object, or a part of it.
    pub fn set(&self, of: &Ref, machine: &str, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        let what = format!("set {field}{}", key.map(|key| format!("[{key}]")).unwrap_or_default());
        self.told(machine, &what, |_| {
            let whole = match key {
                None => value,
                Some(key) => {
                    let Value::Object(mut map) = self.get(of, field, None)? else {
                        return Err(Error::new(Kind::Malformed, format!("`{field}` is no map: set it without a key")));
                    };
                    map.insert(key.to_string(), value);
                    Value::Object(map)
                }
            };
            self.ask(|toolstack, watch| toolstack.set(of, field, &whole, watch))
        })
    }
}

fn keys(map: &serde_json::Map<String, Value>) -> String {
    let names: Vec<&str> = map.keys().take(20).map(String::as_str).collect();
    if names.is_empty() { "it is empty".into() } else { format!("there is: {}", names.join(", ")) }
}

/// The one of these that has this name or uuid. `sort` is what they are: "SR".
///
/// # Errors
/// `NotFound` with the nearest name; `Malformed` when several have the name.
pub(super) fn named<T>(sort: &str, all: Vec<T>, name: &str, of: impl Fn(&T) -> (String, String)) -> Result<T> {
    let names: Vec<(String, String)> = all.iter().map(&of).collect();
    let mut found: Vec<T> = all.into_iter().filter(|one| [of(one).0, of(one).1].iter().any(|n| n == name)).collect();
    if found.len() > 1 {
        let uuids: Vec<String> = found.iter().map(|one| of(one).1).collect();
        let what = format!("{} {sort}s are called `{name}`", found.len());
        return Err(Error::new(Kind::Malformed, what)
            .blame(Blame::Lab)
            .help(format!("name one by its uuid: {}", uuids.join(", "))));
    }
    found.pop().ok_or_else(|| {
        let known = || names.iter().map(|(name, _)| name.as_str());
        let near = did_you_mean(name, known().collect::<BTreeSet<_>>());
        let help = near.unwrap_or_else(|| match names.as_slice() {
            [] => "there is none at all".into(),
            _ => format!("there is: {}", known().collect::<BTreeSet<_>>().into_iter().take(20).collect::<Vec<_>>().join(", ")),
        });
        Error::new(Kind::NotFound, format!("no {sort} `{name}`")).help(help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_found_by_name_or_uuid() {
        let all = [("a", "1"), ("b", "2"), ("b", "3")];
        let find = |name: &str| named("SR", all.to_vec(), name, |(name, uuid)| ((*name).to_string(), (*uuid).to_string()));
        assert_eq!((find("a").unwrap(), find("3").unwrap()), (("a", "1"), ("b", "3")));
        let error = find("b").unwrap_err();
        assert_eq!((error.what.as_str(), error.help.as_deref()), ("2 SRs are called `b`", Some("name one by its uuid: 2, 3")));
        let error = find("zz").unwrap_err();
        assert_eq!((error.what.as_str(), error.help.as_deref()), ("no SR `zz`", Some("there is: a, b")));
    }
}
