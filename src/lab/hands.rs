//! What each testcase has in hand: the guests that it asked for, and what it made and has not removed.

use super::guest::Guest;
use super::made::{Made, Thing};
use super::place::Place;
use crate::context::Context;
use crate::error::Error;
use crate::event::Level;
use crate::name::CaseId;
use crate::toolstack::Ref;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What each testcase has in hand, by its id; nothing for what belongs to no testcase.
#[derive(Default)]
pub(super) struct Hands(Mutex<HashMap<Option<CaseId>, Hand>>);

#[derive(Default)]
struct Hand {
    /// In the order asked.
    guests: Vec<Guest>,
    made: Vec<Made>,
}

impl Hands {
    /// The guest at a place, for the testcase of `context`; the same one each time that it asks.
    pub fn hand_out(&self, place: &Arc<Place>, context: &Context, make: impl FnOnce(Arc<Place>) -> Guest) -> Guest {
        let mut hands = self.lock();
        let hand = hands.entry(context.case().cloned()).or_default();
        if let Some(guest) = hand.guests.iter().find(|guest| std::ptr::eq(guest.place(), &**place)) {
            return guest.clone();
        }
        let guest = make(place.clone());
        hand.guests.push(guest.clone());
        guest
    }

    /// The guests that the testcase of `context` has asked for, in the order asked.
    pub fn held(&self, context: &Context) -> Vec<Guest> {
        self.lock().get(&context.case().cloned()).map(|hand| hand.guests.clone()).unwrap_or_default()
    }

    /// The testcase of `context` has made this, and is to remove it.
    pub fn made(&self, context: &Context, made: Made) {
        self.lock().entry(context.case().cloned()).or_default().made.push(made);
    }

    /// What the work of `context` has made stays: it is not its to remove.
    pub fn keep(&self, context: &Context) {
        self.lock().entry(context.case().cloned()).or_default().made.clear();
    }

    /// It is gone, whoever made it; returns whether a testcase was to remove it.
    pub fn gone(&self, reference: &Ref) -> bool {
        let mut hands = self.lock();
        let count = |hands: &HashMap<_, Hand>| hands.values().map(|hand| hand.made.len()).sum::<usize>();
        let before = count(&hands);
        hands.values_mut().for_each(|hand| hand.made.retain(|made| made.thing != Thing::Is(reference.clone())));
        count(&hands) < before
    }

    /// What was made goes by another reference now.
    pub fn renamed(&self, before: &Ref, now: &Ref) {
        let mut hands = self.lock();
        let all = hands.values_mut().flat_map(|hand| &mut hand.made);
        all.filter(|made| made.thing == Thing::Is(before.clone())).for_each(|made| made.thing = Thing::Is(now.clone()));
    }

    /// The guest at a place is in other hands from now on, those of the pool that it went to.
    pub fn hand_over(&self, place: &Arc<Place>, to: &Hands) {
        let mut moved = Vec::new();
        for (case, hand) in self.lock().iter_mut() {
            let (gone, kept) =
                std::mem::take(&mut hand.guests).into_iter().partition(|guest| std::ptr::eq(guest.place(), &**place));
            hand.guests = kept;
            moved.extend(Vec::<Guest>::into_iter(gone).map(|guest| (case.clone(), guest)));
        }
        let mut hands = to.lock();
        for (case, guest) in moved {
            hands.entry(case).or_default().guests.push(guest);
        }
    }

    /// Takes back what the testcase had in hand: its jobs end, its temporary directories go. What cannot be cleaned up is a warning.
    /// Returns what it made and has not removed.
    pub fn give_back(&self, context: &Context) -> Vec<Made> {
        let hand = self.lock().remove(&context.case().cloned()).unwrap_or_default();
        for guest in hand.guests {
            let left = guest.leftovers();
            if let Err(error) = guest.clean_up() {
                warn(context, &guest, &left, &error);
            }
        }
        hand.made
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<CaseId>, Hand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(context: &Context, guest: &Guest, left: &[String], error: &Error) {
    context.log(Level::Warning, format!("{} keeps some of {}: {}", guest.name(), left.join(", "), error.what));
}
