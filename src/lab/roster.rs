//! What exists now, by name: the machines of a run, and what each testcase has in hand of them.

use super::guest::Guest;
use super::place::Place;
use crate::context::Context;
use crate::error::{Error, Kind, Result};
use crate::event::Level;
use crate::name::{CaseId, did_you_mean};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The machines of a run. Shared by its testcases.
#[derive(Default)]
pub struct Lab {
    places: Vec<Arc<Place>>,
    /// The guests that each testcase has asked for, in the order asked.
    held: Mutex<HashMap<Option<CaseId>, Vec<Guest>>>,
}

impl Lab {
    /// The machines in the order given. Of several with the same name the second is called `name#2`.
    pub fn new(places: Vec<Place>) -> Lab {
        Lab { places: places.into_iter().map(Arc::new).collect(), held: Mutex::default() }
    }

    /// The names of the machines, in order.
    pub fn names(&self) -> Vec<&str> {
        self.places.iter().map(|p| p.name()).collect()
    }

    /// The machines as shown to people, passwords masked.
    pub fn shown(&self) -> Vec<String> {
        self.places.iter().map(|p| p.address().to_string()).collect()
    }

    /// The machines' addresses without passwords, for programs.
    pub fn addresses(&self) -> Vec<String> {
        self.places.iter().map(|p| p.address().without_password().to_string()).collect()
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The guest of this name, for the testcase of `context`; the same one each time that it asks.
    ///
    /// # Errors
    /// As [`Lab::find`].
    pub fn guest(&self, name: &str, context: &Context) -> Result<Guest> {
        Ok(self.hand_out(self.find(name)?, context))
    }

    /// The machine of this name. Sequences also name the first machine `RESOURCE_GUEST_0`, and so on.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn find(&self, name: &str) -> Result<&Arc<Place>> {
        let by_number = || self.places.get(name.strip_prefix("RESOURCE_GUEST_")?.parse::<usize>().ok()?);
        let found = self.places.iter().find(|p| p.name() == name).or_else(by_number);
        found.ok_or_else(|| self.no_guest(&format!("no guest `{name}` in this lab"), did_you_mean(name, self.names())))
    }

    /// The first guest: the one that is meant when there is no name.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn first(&self, context: &Context) -> Result<Guest> {
        match self.places.first() {
            Some(place) => Ok(self.hand_out(place, context)),
            None => Err(self.no_guest("there is no guest in this lab", None)),
        }
    }

    /// All guests, in order.
    pub fn guests(&self, context: &Context) -> Vec<Guest> {
        self.places.iter().map(|place| self.hand_out(place, context)).collect()
    }

    /// The guests that the testcase of `context` has asked for, in the order asked.
    pub fn held(&self, context: &Context) -> Vec<Guest> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&context.case().cloned()).cloned().unwrap_or_default()
    }

    /// Fetches the logs of the machines that the testcase has asked for. What cannot be fetched is a warning.
    pub fn collect_logs(&self, context: &Context) {
        for guest in self.held(context) {
            if let Err(error) = guest.collect_logs() {
                context.log(Level::Warning, format!("the logs of {} are not complete: {}", guest.name(), error.what));
            }
        }
    }

    /// Takes back what the testcase had in hand: its jobs end, its temporary directories go. What cannot be cleaned up is a warning.
    pub fn give_back(&self, context: &Context) {
        let guests = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&context.case().cloned());
        for guest in guests.unwrap_or_default() {
            let left = guest.leftovers();
            if let Err(error) = guest.clean_up() {
                let text = format!("{} keeps some of {}: {}", guest.name(), left.join(", "), error.what);
                context.log(Level::Warning, text);
            }
        }
    }

    fn hand_out(&self, place: &Arc<Place>, context: &Context) -> Guest {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let guests = held.entry(context.case().cloned()).or_default();
        if let Some(guest) = guests.iter().find(|g| g.name() == place.name()) {
            return guest.clone();
        }
        let guest = Guest::new(place.clone(), context.clone());
        guests.push(guest.clone());
        guest
    }

    fn no_guest(&self, what: &str, near: Option<String>) -> Error {
        let help = match near {
            Some(near) => near,
            None if self.places.is_empty() => "name one: `--guest 10.0.0.5`, or `--guest local` for this machine".to_string(),
            None => format!("there is: {}", self.names().join(", ")),
        };
        Error::new(Kind::NotFound, what).help(help)
    }
}

/// A name for each machine: the one wanted, with `#2` on the second of the same.
pub(super) fn names<'a>(wanted: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in wanted {
        let mut unique = name.to_string();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}#{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::{Nowhere, context};

    fn lab(wanted: &[&str]) -> Lab {
        let place = |name: String| Place::new(name, "local".parse().unwrap(), Arc::new(Nowhere), 1.0);
        Lab::new(names(wanted.iter().copied()).into_iter().map(place).collect())
    }

    #[test]
    fn machines_of_the_same_name_are_numbered() {
        assert_eq!(lab(&["h", "h", "g", "h"]).names(), ["h", "h#2", "g", "h#3"]);
    }

    #[test]
    fn a_wrong_name_gets_the_nearest() {
        let context = context();
        let error = lab(&["winguest", "debian"]).guest("wingest", &context).err().unwrap();
        assert_eq!(
            (error.what.as_str(), error.help.as_deref()),
            ("no guest `wingest` in this lab", Some("did you mean `winguest`?"))
        );
        let error = lab(&[]).first(&context).err().unwrap();
        assert!(error.help.unwrap().contains("--guest"));
    }

    #[test]
    fn a_testcase_holds_what_it_asked_for_and_gives_it_back() {
        let (lab, context) = (lab(&["a", "b", "c"]), context());
        let first = lab.guest("b", &context).unwrap();
        first.add_log_file("/x").unwrap();
        let again = lab.guest("b", &context).unwrap();
        assert_eq!(again.held().log_files, ["/x"], "the same guest");
        lab.first(&context).unwrap();
        let held = |lab: &Lab| lab.held(&context).iter().map(|g| g.name().to_string()).collect::<Vec<_>>();
        assert_eq!(held(&lab), ["b", "a"]);
        lab.give_back(&context);
        assert!(held(&lab).is_empty());
    }
}
