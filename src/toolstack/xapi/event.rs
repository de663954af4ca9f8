//! Waiting for news of objects, by the pool's events.

use super::calls;
use super::session::Xapi;
use crate::error::{Error, Kind, Result};
use crate::time::{Cancel, Stop};
use crate::toolstack::{Class, Ref, Watch};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the pool may hold one question.
const NEWS: f64 = 30.0;

/// How long the wait is where there are no events.
const MOMENT: Duration = Duration::from_millis(500);

/// What `event.from` answers.
#[derive(Deserialize)]
pub(super) struct Batch<T> {
    #[serde(default = "Vec::new")]
    pub events: Vec<Event<T>>,
    pub token: String,
}

#[derive(Deserialize)]
pub(super) struct Event<T> {
    #[serde(default)]
    pub operation: String,
    #[serde(default = "Option::default")]
    pub snapshot: Option<T>,
}

impl<T> Batch<T> {
    /// Whether the place in the stream of events is gone, so that one begins anew.
    pub fn is_lost(error: &Error) -> bool {
        let words = error.details.as_ref().map_or("", |d| d.stderr.lines().next().unwrap_or_default());
        ["EVENT_FROM_TOKEN_PARSE_FAILURE", "EVENTS_LOST"].contains(&words)
    }
}

/// What XAPI calls a class.
pub(super) fn name(class: Class) -> &'static str {
    match class {
        Class::Pool => "pool",
        Class::Host => "host",
        Class::Guest => "VM",
        Class::Sr => "SR",
        Class::Volume => "VDI",
        Class::Disk => "VBD",
        Class::Plug => "PBD",
        Class::Network => "network",
        Class::Nic => "PIF",
        Class::Vif => "VIF",
        Class::Bond => "Bond",
        Class::Vlan => "VLAN",
    }
}

impl Xapi {
    /// The token is XAPI's, followed by the metrics that belong to the objects, a line each: what changes of a guest is mostly there.
    pub(super) fn news(&self, things: &[Ref], token: &mut String, watch: Watch<'_>) -> Result<()> {
        let whole = watch.cancel.child_with_limit("wait for news", watch.limit);
        let mut lines = token.lines();
        let mut place = lines.next().unwrap_or_default().to_string();
        let metrics: BTreeSet<String> = lines.map(str::to_string).collect();
        let begun = Instant::now();
        loop {
            let left = watch.limit.saturating_sub(begun.elapsed()).as_secs_f64();
            let classes = things.iter().map(|thing| format!("{}/{}", name(thing.class), thing.id)).chain(metrics.iter().cloned());
            let call = calls::event_from(classes.collect(), &place, left.min(NEWS));
            let batch = match self.ask::<Batch<Value>>(&call, &whole) {
                Ok(batch) => batch,
                Err(error) if Batch::<Value>::is_lost(&error) => {
                    // Something may have changed unseen.
                    token.clear();
                    return Ok(());
                }
                Err(error) if error.kind == Kind::Unsupported => return quietly(&whole, whole.sleep(MOMENT)),
                Err(error) => return quietly(&whole, Err(error)),
            };
            place = batch.token;
            let mut known = metrics.clone();
            for snapshot in batch.events.iter().filter_map(|event| event.snapshot.as_ref()) {
                known.extend(metrics_of(snapshot));
            }
            *token = known.iter().fold(place.clone(), |text, line| text + "\n" + line.as_str());
            if !batch.events.is_empty() {
                return Ok(());
            }
        }
    }
}

/// The end of the limit is no error here; anything else stays one.
fn quietly(cancel: &Cancel, result: Result<()>) -> Result<()> {
    match (result, cancel.reason()) {
        (Err(_), Some(Stop::Deadline { whose, .. })) if whose == "wait for news" => Ok(()),
        (result, _) => result,
    }
}

/// The objects in which the changing facts of a guest or host are kept.
fn metrics_of(snapshot: &Value) -> Vec<String> {
    let field =
        |name: &str| snapshot.get(name).and_then(Value::as_str).filter(|id| id.starts_with("OpaqueRef:") && !id.ends_with(":NULL"));
    let mut found: Vec<String> = field("guest_metrics").map(|id| format!("VM_guest_metrics/{id}")).into_iter().collect();
    if let Some(id) = field("metrics").filter(|_| snapshot.get("software_version").is_some()) {
        found.push(format!("host_metrics/{id}"));
    }
    found
}
