//! Lists of library objects as tables: what a person wants to see of each beside its name.

use super::value::{Limits, Value};
use crate::lab::{Guest, Host, Network, Nic, Sr, Volume, overview};
use crate::toolstack::Addressing;
use crate::unit::show_size;
use rhai::{Array, Dynamic};

/// A table of a list whose entries are objects of one sort; nothing for any other list, or where their pool does not answer.
pub fn table(items: &Array, limits: Limits) -> Option<Value> {
    let most = limits.lines.unwrap_or(items.len()).min(items.len());
    let more = items.len() - most;
    let shown = &items[..most];
    let (header, rows) = guests(shown)
        .or_else(|| hosts(shown))
        .or_else(|| srs(shown))
        .or_else(|| volumes(shown))
        .or_else(|| networks(shown))
        .or_else(|| nics(shown))?;
    Some(Value::Table { header: header.iter().map(|name| (*name).to_string()).collect(), rows, more })
}

type Rows = (&'static [&'static str], Vec<Vec<String>>);

/// The entries, if all are of one sort.
fn all<T: Clone + 'static>(items: &[Dynamic]) -> Option<Vec<T>> {
    if items.is_empty() {
        return None;
    }
    items.iter().map(|item| item.read_lock::<T>().map(|it| T::clone(&it))).collect()
}

fn guests(items: &[Dynamic]) -> Option<Rows> {
    let guests = all::<Guest>(items)?;
    let sights = overview::guests(&guests).ok()?;
    let row = |(guest, sight): (&Guest, overview::GuestSight)| {
        let memory = sight.memory.map(show_size).unwrap_or_default();
        vec![guest.name().to_string(), sight.state.to_string(), sight.host, memory, sight.ip]
    };
    Some((&["NAME", "STATE", "HOST", "MEMORY", "IP"], guests.iter().zip(sights).map(row).collect()))
}

fn hosts(items: &[Dynamic]) -> Option<Rows> {
    let hosts = all::<Host>(items)?;
    let records = overview::hosts(&hosts).ok()?;
    let rows = hosts.iter().zip(records).map(|(host, record)| {
        let Some(record) = record else {
            return vec![host.name().to_string(), "GONE".into(), String::new(), String::new(), String::new()];
        };
        let state = match (record.is_live, record.is_enabled) {
            (false, _) => "DOWN",
            (true, false) => "DISABLED",
            (true, true) => "ENABLED",
        };
        let memory = format!("{} of {} free", show_size(record.free_memory), show_size(record.total_memory));
        vec![record.name, state.into(), record.address, record.cpus.to_string(), memory]
    });
    Some((&["NAME", "STATE", "IP", "CPUS", "MEMORY"], rows.collect()))
}

fn srs(items: &[Dynamic]) -> Option<Rows> {
    let srs = all::<Sr>(items)?;
    let owners = overview::hosts_of(&srs).ok()?;
    let rows = srs.iter().zip(owners).map(|(sr, owner)| {
        let known = sr.known();
        let hosts = known.plugs.iter().filter(|plug| plug.is_attached).count();
        let room = format!("{} of {}", show_size(known.used), show_size(known.size));
        let place = if known.is_shared { "the pool".to_string() } else { owner };
        vec![known.name.clone(), known.kind.clone(), place, room, format!("{hosts} of {}", known.plugs.len())]
    });
    Some((&["NAME", "TYPE", "OF", "USED", "PLUGGED"], rows.collect()))
}

fn volumes(items: &[Dynamic]) -> Option<Rows> {
    let rows = all::<Volume>(items)?.into_iter().map(|volume| {
        let known = volume.known();
        let kind = if known.is_snapshot { "snapshot".to_string() } else { known.kind.clone() };
        vec![known.name.clone(), kind, show_size(known.size), show_size(known.used), known.uuid.clone()]
    });
    Some((&["NAME", "KIND", "SIZE", "USED", "UUID"], rows.collect()))
}

fn networks(items: &[Dynamic]) -> Option<Rows> {
    let rows = all::<Network>(items)?.into_iter().map(|network| {
        let known = network.known();
        let count = |of: usize| of.to_string();
        vec![known.name.clone(), known.bridge.clone(), known.mtu.to_string(), count(known.nics.len()), count(known.vifs.len())]
    });
    Some((&["NAME", "BRIDGE", "MTU", "NICS", "VIFS"], rows.collect()))
}

fn nics(items: &[Dynamic]) -> Option<Rows> {
    let rows = all::<Nic>(items)?.into_iter().map(|nic| {
        let known = nic.known();
        let sort = match (known.vlan, &known.bond) {
            (Some(tag), _) => format!("VLAN {tag}"),
            (None, Some(_)) => format!("bond of {}", known.members.len()),
            (None, None) => String::new(),
        };
        let mut ip = known.ip.map(|ip| ip.to_string()).unwrap_or_default();
        if known.addressing == Addressing::Dhcp {
            ip.push_str(" (DHCP)");
        }
        let role = if known.is_management { "management" } else { "" };
        vec![known.device.clone(), known.mac.clone(), ip, role.into(), sort]
    });
    Some((&["DEVICE", "MAC", "IP", "ROLE", "SORT"], rows.collect()))
}
