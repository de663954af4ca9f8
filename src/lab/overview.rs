//! Many objects at a glance, read in as few calls as their toolstack has: what a table of them shows, and the names that there are.

use super::guest::Guest;
use super::host::Host;
use super::roster::Lab;
use super::sr::Sr;
use crate::error::Result;
use crate::time::Cancel;
use crate::toolstack::{self, Class, Ref, Watch};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// From so many objects on they are read together.
const MANY: usize = 3;

/// What there is to see of a guest from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestSight {
    pub state: &'static str,
    /// Where it runs.
    pub host: String,
    /// Bytes; nothing for a machine known by its address only.
    pub memory: Option<u64>,
    pub ip: String,
}

/// What there is to see of these guests, in their order.
///
/// # Errors
/// Those of the toolstack.
pub fn guests(all: &[Guest]) -> Result<Vec<GuestSight>> {
    let mut records: HashMap<String, toolstack::Guest> = HashMap::new();
    let mut hosts: HashMap<Ref, String> = HashMap::new();
    let mut seen = Vec::new();
    for guest in all {
        let Ok(estate) = guest.estate() else { continue };
        if seen.iter().any(|known| Arc::ptr_eq(known, &estate)) {
            continue;
        }
        seen.push(estate.clone());
        let context = guest.context();
        hosts.extend(estate.ask(context, |toolstack, watch| toolstack.hosts(watch))?.into_iter().map(|h| (h.reference, h.name)));
        if all.len() >= MANY {
            let found = estate.ask(context, |toolstack, watch| toolstack.guests(watch))?;
            records.extend(found.into_iter().map(|record| (record.uuid.clone(), record)));
        }
    }
    all.iter().map(|guest| sight(guest, &records, &hosts)).collect()
}

fn sight(guest: &Guest, records: &HashMap<String, toolstack::Guest>, hosts: &HashMap<Ref, String>) -> Result<GuestSight> {
    let Ok(uuid) = guest.uuid() else {
        let ip = guest.place().address().map(|address| address.name().to_string()).unwrap_or_default();
        return Ok(GuestSight { state: "", ip, ..GuestSight::default() });
    };
    let asked;
    let record = match records.get(&uuid) {
        Some(record) => record,
        // One that is gone since is no reason to show none.
        None => match guest.record() {
            Ok(record) => {
                asked = record;
                &asked
            }
            Err(_) => return Ok(GuestSight { state: "GONE", ..GuestSight::default() }),
        },
    };
    Ok(GuestSight {
        state: record.state.word(),
        host: record.host.as_ref().and_then(|host| hosts.get(host)).cloned().unwrap_or_default(),
        memory: Some(record.memory_actual.unwrap_or(record.memory.dynamic_max)),
        ip: super::estate::ip_of(record).map(|ip| ip.to_string()).unwrap_or_default(),
    })
}

/// What there is to see of these hosts, in their order; nothing for one that is gone.
///
/// # Errors
/// Those of the toolstack.
pub fn hosts(all: &[Host]) -> Result<Vec<Option<toolstack::Host>>> {
    let mut records: HashMap<String, toolstack::Host> = HashMap::new();
    for host in all {
        if !records.contains_key(host.uuid()) {
            let found = host.estate().ask(&host.context(), |toolstack, watch| toolstack.hosts(watch))?;
            records.extend(found.into_iter().map(|record| (record.uuid.clone(), record)));
        }
    }
    Ok(all.iter().map(|host| records.get(host.uuid()).cloned()).collect())
}

/// The hosts that have each of these SRs, by name; nothing for one that all have.
///
/// # Errors
/// Those of the toolstack.
pub fn hosts_of(all: &[Sr]) -> Result<Vec<String>> {
    let mut hosts: HashMap<Ref, String> = HashMap::new();
    for sr in all.iter().take(1) {
        hosts.extend(sr.ask(|toolstack, watch| toolstack.hosts(watch))?.into_iter().map(|host| (host.reference, host.name)));
    }
    let name = |sr: &Sr| {
        let known = sr.known();
        let names = known.plugs.iter().filter_map(|plug| hosts.get(&plug.host).cloned());
        if known.is_shared { String::new() } else { names.collect::<Vec<_>>().join(", ") }
    };
    Ok(all.iter().map(name).collect())
}

impl Lab {
    /// The names of what there is of a sort, for somebody who is typing one: none where it takes longer than `limit` to ask.
    pub fn known_names(&self, class: Class, limit: Duration) -> Vec<String> {
        let cancel = Cancel::new();
        let mut all: Vec<String> = match class {
            Class::Guest => self.names().into_iter().map(str::to_string).collect(),
            _ => Vec::new(),
        };
        for estate in self.estates() {
            all.extend(names(estate.toolstack(), class, Watch::silent(&cancel, limit)).unwrap_or_default());
        }
        all.sort();
        all.dedup();
        all
    }

    /// The names of the templates that there are, as [`Lab::known_names`].
    pub fn known_templates(&self, limit: Duration) -> Vec<String> {
        let cancel = Cancel::new();
        let ask = |toolstack: &dyn toolstack::Toolstack| toolstack.templates(Watch::silent(&cancel, limit)).unwrap_or_default();
        self.estates().iter().flat_map(|estate| ask(estate.toolstack())).map(|template| template.name).collect()
    }
}

fn names(toolstack: &dyn toolstack::Toolstack, class: Class, watch: Watch<'_>) -> Result<Vec<String>> {
    Ok(match class {
        Class::Guest => toolstack.guests(watch)?.into_iter().map(|guest| guest.name).collect(),
        Class::Host => toolstack.hosts(watch)?.into_iter().map(|host| host.name).collect(),
        Class::Sr => toolstack.srs(watch)?.into_iter().map(|sr| sr.name).collect(),
        Class::Network => toolstack.networks(watch)?.into_iter().map(|network| network.name).collect(),
        _ => Vec::new(),
    })
}
