//! Removing what a preparation has made, and only that: from what it has written down, the last first.

use super::RUN;
use super::record::{Made, Undo};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::estate::Estate;
use crate::lab::hold::Hold;
use crate::lab::host::Host;
use crate::lab::pool::{MasterOptions, Pool};
use crate::lab::roster::Lab;
use crate::lab::sr::Sr;
use crate::lab::wait::Patience;
use crate::toolstack::{self, Addressing, Class, IpConfig, PowerState, Ref, Verb};
use serde_json::Value;
use std::sync::Arc;

/// What could not be undone, and why.
#[derive(Clone, Debug)]
pub struct Left {
    pub made: Made,
    pub why: String,
}

/// What became of a clean-up.
#[derive(Clone, Debug, Default)]
pub struct Cleaned {
    /// How many things are gone, or as they were before.
    pub undone: usize,
    pub left: Vec<Left>,
}

/// Undoes what was made, the last first. What cannot be undone is in the result.
pub fn clean(lab: &Lab, made: &[Made], context: &Context) -> Cleaned {
    let mut cleaned = Cleaned::default();
    // The disks of a VM go with it; what is left of them then is removed by itself.
    let rank = |one: &&Made| match one.undo {
        Undo::Remove { class: Class::Guest } | Undo::Begun { class: Class::Guest, .. } => 0,
        Undo::Remove { class: Class::Volume } | Undo::Begun { class: Class::Volume, .. } => 1,
        _ => 2,
    };
    let mut order: Vec<&Made> = made.iter().rev().collect();
    order.sort_by_key(rank);
    for (number, one) in order.into_iter().enumerate() {
        context.progress(None, format!("{} of {}", number + 1, made.len()), Some(number as f64 / made.len() as f64));
        match undo(lab, one, context) {
            Ok(()) => cleaned.undone += 1,
            Err(error) => cleaned.left.push(Left { made: one.clone(), why: error.what }),
        }
    }
    cleaned.left.reverse();
    cleaned
}

fn undo(lab: &Lab, made: &Made, context: &Context) -> Result<()> {
    context.cancel().check()?;
    let hold = Hold::new(estate(lab, &made.pool, context)?, context.clone());
    if let Undo::Begun { class, name, at } = &made.undo {
        // If it is there, it is undone as if that had been written down.
        let found = begun(&hold, *class, (name, &made.run), at.as_deref())?;
        let way = if *class == Class::Host { Undo::Eject } else { Undo::Remove { class: *class } };
        let one = |uuid: String| Made { undo: way.clone(), uuid, ..made.clone() };
        return found.into_iter().try_for_each(|uuid| undo(lab, &one(uuid), context));
    }
    let Some(thing) = find(&hold, class(&made.undo), &made.uuid)? else { return Ok(()) };
    let what = match &made.undo {
        Undo::Remove { .. } | Undo::Begun { .. } => format!("remove the {}", made.what),
        Undo::Eject => format!("take out the {}", made.what),
        _ => format!("undo: {}", made.what),
    };
    context.action(None, &what, |action| match &made.undo {
        Undo::Remove { class } | Undo::Begun { class, .. } => remove(&hold, *class, &thing, action),
        Undo::Eject => {
            let record = hold.ask(|toolstack, watch| toolstack.pool(watch))?;
            let host = hold.ask(|toolstack, watch| toolstack.host(&thing, watch))?;
            let host = Host::new(hold.estate.clone(), &host, context.clone());
            Pool::new(hold.estate.clone(), &record, context.clone()).eject(&host, &MasterOptions::default())
        }
        Undo::DefaultSr { before } => match before {
            Some(uuid) => match find(&hold, Class::Sr, uuid)? {
                Some(sr) => hold.order(action, &Verb::SetDefaultSr(sr), Patience::TASK),
                None => Ok(()),
            },
            // It goes with the SR.
            None => Ok(()),
        },
        Undo::Network { name, mtu } => hold.ask(|toolstack, watch| {
            toolstack.set(&thing, "name_label", &Value::from(name.as_str()), watch)?;
            toolstack.set(&thing, "MTU", &Value::from(*mtu), watch)
        }),
        Undo::Address { before, was_management } => address(&hold, &thing, *before, was_management.as_deref(), action),
    })
}

/// The pool that something was made in.
fn estate(lab: &Lab, pool: &str, context: &Context) -> Result<Arc<Estate>> {
    for estate in lab.estates() {
        if estate.ask(context, |toolstack, watch| toolstack.pool(watch))?.uuid == pool {
            return Ok(estate);
        }
    }
    let error = Error::new(Kind::NotFound, format!("no pool with the uuid {pool} is attached")).blame(Blame::User);
    Err(error.help("give its master with --host"))
}

fn class(undo: &Undo) -> Class {
    match undo {
        Undo::Remove { class } | Undo::Begun { class, .. } => *class,
        Undo::Eject => Class::Host,
        Undo::DefaultSr { .. } => Class::Pool,
        Undo::Network { .. } => Class::Network,
        Undo::Address { .. } => Class::Nic,
    }
}

/// The thing with a uuid, if it is still there.
fn find(hold: &Hold, class: Class, uuid: &str) -> Result<Option<Ref>> {
    hold.ask(|toolstack, watch| toolstack.with_uuid(class, uuid, watch))
}

/// The uuids of what was begun, if it came to be.
fn begun(hold: &Hold, class: Class, (name, run): (&str, &str), at: Option<&str>) -> Result<Vec<String>> {
    let all: Vec<(bool, String)> = match class {
        Class::Guest => {
            let mut all = hold.ask(|toolstack, watch| toolstack.guests(watch))?;
            // The copy of a template is one too, at first.
            all.extend(hold.ask(|toolstack, watch| toolstack.templates(watch))?);
            all.into_iter().map(|guest| (guest.name == name, guest.uuid)).collect()
        }
        Class::Sr => {
            let all = hold.ask(|toolstack, watch| toolstack.srs(watch))?;
            all.into_iter().map(|sr| (sr.name == name, sr.uuid)).collect()
        }
        Class::Network => {
            let all = hold.ask(|toolstack, watch| toolstack.networks(watch))?;
            let is_ours = |network: &toolstack::Network| network.other_config.get(RUN).is_some_and(|of| of == run);
            all.into_iter().map(|network| (network.name == name && is_ours(&network), network.uuid)).collect()
        }
        Class::Volume => match at.map(|sr| find(hold, Class::Sr, sr)).transpose()?.flatten() {
            Some(sr) => {
                let all = hold.ask(|toolstack, watch| toolstack.volumes(&sr, watch))?;
                all.into_iter().map(|volume| (volume.name == name, volume.uuid)).collect()
            }
            None => Vec::new(),
        },
        Class::Bond | Class::Nic => {
            let host = at.map(|host| find(hold, Class::Host, host)).transpose()?.flatten();
            let network = find(hold, Class::Network, name)?;
            let Some((host, network)) = host.zip(network) else { return Ok(Vec::new()) };
            let nics = hold.ask(|toolstack, watch| toolstack.nics(Some(&host), watch))?;
            let on = nics.into_iter().filter(|nic| nic.network == network);
            let ours = on.filter_map(|nic| match class {
                Class::Bond => nic.bond,
                _ => nic.vlan.map(|_| nic.reference),
            });
            let uuid = |thing: Ref| Ok((true, hold.get(&thing, "uuid", None)?.as_str().unwrap_or_default().to_string()));
            ours.map(uuid).collect::<Result<_>>()?
        }
        // A host has its uuid from before.
        _ => vec![(true, name.to_string())],
    };
    Ok(all.into_iter().filter(|(is_it, _)| *is_it).map(|(_, uuid)| uuid).collect())
}

fn remove(hold: &Hold, class: Class, thing: &Ref, action: &Action<'_>) -> Result<()> {
    match class {
        Class::Guest => guest(hold, thing, action),
        Class::Sr => sr(hold, thing),
        Class::Network => {
            let all = hold.ask(|toolstack, watch| toolstack.networks(watch))?;
            let network = all.into_iter().find(|network| network.reference == *thing);
            match network {
                Some(network) if !network.vifs.is_empty() => Err(in_use(&network.name, network.vifs.len(), "interfaces of VMs")),
                _ => hold.order(action, &Verb::Destroy(thing.clone()), Patience::NETWORK),
            }
        }
        // A VLAN is known by its interface, and goes as a whole.
        Class::Nic => hold.order(action, &Verb::Destroy(thing.clone()), Patience::NETWORK),
        _ => hold.order(action, &Verb::Destroy(thing.clone()), Patience::STORAGE),
    }
}

fn in_use(name: &str, count: usize, what: &str) -> Error {
    Error::new(Kind::Refused, format!("{name} has {count} {what} that were not prepared")).blame(Blame::User)
}

/// A VM with its snapshots and its disks, however it stands.
fn guest(hold: &Hold, guest: &Ref, action: &Action<'_>) -> Result<()> {
    let record: toolstack::Guest = hold.ask(|toolstack, watch| toolstack.guest(guest, watch))?;
    if record.state != PowerState::Down {
        hold.order(action, &Verb::HardShutdown(guest.clone()), Patience::SHUTDOWN)?;
    }
    for snapshot in hold.ask(|toolstack, watch| toolstack.snapshots(guest, watch))? {
        hold.order(action, &Verb::Destroy(snapshot.reference), Patience::STORAGE)?;
    }
    if record.is_template {
        hold.order(action, &Verb::SetTemplate(guest.clone(), false), Patience::TASK)?;
    }
    let patience = hold.estate.patience(Patience::STORAGE);
    hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.destroy_guest(guest, false, watch))
}

/// An SR on which nothing is left.
fn sr(hold: &Hold, sr: &Ref) -> Result<()> {
    let record = hold.ask(|toolstack, watch| toolstack.sr(sr, watch))?;
    let volumes = hold.ask(|toolstack, watch| toolstack.volumes(sr, watch))?;
    if !volumes.is_empty() && record.content != "iso" {
        return Err(in_use(&record.name, volumes.len(), "disks"));
    }
    Sr::new(hold.clone(), record).remove()
}

fn address(hold: &Hold, nic: &Ref, before: Addressing, was_management: Option<&str>, action: &Action<'_>) -> Result<()> {
    let patience = hold.estate.patience(Patience::NETWORK);
    let set = |nic: &Ref, config: &IpConfig| {
        hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.set_ip(nic, config, watch))
    };
    if let Some(managed) = was_management.map(|uuid| find(hold, Class::Nic, uuid)).transpose()?.flatten() {
        set(&managed, &IpConfig { mode: Addressing::Dhcp, is_management: true, ..IpConfig::default() })?;
    }
    match before {
        Addressing::Static => {
            let what = "its static address of before is not known";
            Err(Error::new(Kind::Unsupported, what).blame(Blame::User))
        }
        mode => set(nic, &IpConfig { mode, ..IpConfig::default() }),
    }
}
