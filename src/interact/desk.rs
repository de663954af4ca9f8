//! What callers may reach of a run, and the plain values that they are given of it.

use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Frame, Pause};
use crate::lab::Lab;
use crate::run::{Control, Seat, Standing};
use crate::time::{Cancel, Stop, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A run as callers reach it.
pub struct Desk {
    pub control: Control,
    pub lab: Arc<Lab>,
    /// For what is asked of machines; nothing of it is a testcase's.
    pub context: Context,
    /// The event log of the run.
    pub log: PathBuf,
    /// What people evaluate right now, by the ticket that they gave it.
    evaluating: Mutex<HashMap<String, Cancel>>,
}

/// Something that runs, as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    pub tag: String,
    /// In the words of the original: Started, Paused, …
    pub status: String,
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Why it waits, where, and until when.
    #[serde(default)]
    pub pause: Option<Pause>,
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
}

impl From<Standing> for Listed {
    fn from(standing: Standing) -> Listed {
        let Standing { id, status, since, pause } = standing;
        let (pause, paused_since) = pause.map_or((None, None), |(pause, since)| (Some(pause), Some(since)));
        Listed { tag: id.to_string(), status: status.word().into(), since, pause, paused_since }
    }
}

/// A paused testcase as a person sees it who sits down there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Frames {
    pub tag: String,
    pub pause: Pause,
    pub since: Timestamp,
    /// The call chain of the statement that is held, innermost first.
    pub frames: Vec<Frame>,
}

impl Desk {
    pub fn new(control: Control, lab: Arc<Lab>, context: Context, log: PathBuf) -> Desk {
        Desk { control, lab, context, log, evaluating: Mutex::default() }
    }

    /// # Errors
    /// As [`Control::paused`].
    pub fn seat(&self, name: &str) -> Result<Arc<Seat>> {
        self.control.paused(name)
    }

    /// # Errors
    /// As [`Control::paused`].
    pub fn frames(&self, name: &str) -> Result<Frames> {
        let (seat, tag) = (self.seat(name)?, self.control.find(name)?.to_string());
        Ok(Frames { tag, pause: seat.pause(), since: seat.since(), frames: seat.frames() })
    }

    /// What `ticket` names is stopped by this flag, until what is returned is dropped.
    ///
    /// # Errors
    /// `Malformed`: the ticket is in use.
    pub fn ticket(self: &Arc<Desk>, ticket: &str) -> Result<(Cancel, Ticket)> {
        // Who has gone wants nothing any more.
        let cancel = self.context.cancel().child();
        let mut all = self.evaluating.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(ticket) {
            return Err(Error::new(Kind::Malformed, format!("the ticket `{ticket}` is in use")).blame(Blame::User));
        }
        all.insert(ticket.to_string(), cancel.clone());
        Ok((cancel, Ticket { desk: self.clone(), name: ticket.to_string() }))
    }

    /// Stops what is evaluated under a ticket. False when nothing is.
    pub fn interrupt(&self, ticket: &str) -> bool {
        let all = self.evaluating.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(ticket).inspect(|cancel| cancel.raise(Stop::User)).is_some()
    }
}

/// Something that is being evaluated.
pub struct Ticket {
    desk: Arc<Desk>,
    name: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let cancel = self.desk.evaluating.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        // Whoever asked is gone, or has the answer: nothing goes on for nobody.
        if let Some(cancel) = cancel {
            cancel.raise(Stop::User);
        }
    }
}
