//! Which NICs of a host are meant by the form of its network, and what is on them.

use super::inventory::{Existing, digits};
use super::site::Site;
use crate::error::{Blame, Error, Kind, Result};
use crate::sequence::topology;
use crate::toolstack::{Host, Network, Nic, Ref};

/// Cabled to whatever there is.
const ANY: &str = "ANY";
/// What the primary NIC is on.
const PRIMARY: &str = "NPRI";

/// The NICs of each `PHYSICAL` of a form, on one host: the first unused ones that are cabled to its network, or those of a number.
///
/// The primary NIC takes part where its network is named, and for ANY.
///
/// # Errors
/// `NotFound`: there are not as many.
pub fn allot<'e>(
    form: &topology::Network,
    machine: &str,
    host: &Host,
    existing: &'e Existing,
    site: Site<'_>,
) -> Result<Vec<Vec<&'e Nic>>> {
    let mut free: Vec<(usize, &Nic)> = physical(existing, &host.reference).into_iter().enumerate().collect();
    let mut all = Vec::new();
    for wire in &form.physical {
        let mut fitting = Vec::new();
        for (number, nic) in &free {
            let cabled = site.cabled(machine, *number)?;
            let is_fit = cabled.as_deref().map_or(wire.network == ANY, |cabled| wire.network == ANY || wire.network == cabled);
            if is_fit {
                fitting.push((*number, *nic));
            }
        }
        let fitting_at_first = fitting.len();
        let mut chosen = Vec::new();
        // Those of a number are counted among all that were free before.
        let numbered: Vec<usize> = wire.nics.iter().flatten().filter_map(|n| Some(fitting.get(*n as usize)?.0)).collect();
        for wanted in &wire.nics {
            let at = match wanted {
                Some(number) => numbered.get(chosen_numbers(&wire.nics, *number)).copied(),
                None => fitting.iter().map(|(number, _)| *number).find(|number| !numbered.contains(number)),
            };
            let place = at.and_then(|number| fitting.iter().position(|(n, _)| *n == number));
            match place {
                Some(place) => chosen.push(fitting.remove(place)),
                None => return Err(too_few(wire, machine, &host.name, fitting_at_first)),
            }
        }
        free.retain(|(number, _)| chosen.iter().all(|(taken, _)| taken != number));
        all.push(chosen.into_iter().map(|(_, nic)| nic).collect());
    }
    Ok(all)
}

/// The place of a number among those that are given.
fn chosen_numbers(nics: &[Option<u32>], number: u32) -> usize {
    nics.iter().flatten().position(|n| *n == number).unwrap_or(usize::MAX)
}

fn too_few(wire: &topology::Physical, machine: &str, host: &str, there: usize) -> Error {
    let (asked, network) = (wire.nics.len(), &wire.network);
    let what = format!("{host} ({machine}) has {there} unused NICs on {network}, and {} asks for {asked}", wire.name);
    let help = format!("say where its NICs are cabled to: -D NICS/NIC1/NETWORK={}", if network == ANY { PRIMARY } else { network });
    Error::new(Kind::NotFound, what).blame(Blame::User).help(help)
}

/// The NICs of a host that are hardware, the primary one first.
pub fn physical<'e>(existing: &'e Existing, host: &Ref) -> Vec<&'e Nic> {
    let mut nics: Vec<&Nic> = existing.nics.iter().filter(|nic| nic.host == *host && nic.is_physical).collect();
    nics.sort_by_key(|nic| (digits(&nic.device), nic.device.clone()));
    nics
}

/// What carries the network of a `PHYSICAL` now: its NIC, or the bond of just these NICs.
pub fn carrier<'e>(existing: &'e Existing, nics: &[&'e Nic]) -> Option<&'e Nic> {
    match nics {
        [] => None,
        [only] => Some(only),
        [first, ..] => existing.nics.iter().find(|nic| {
            let has = |one: &&Nic| nic.members.contains(&one.reference);
            nic.host == first.host && nic.bond.is_some() && nic.members.len() == nics.len() && nics.iter().all(has)
        }),
    }
}

/// The interface with a tag on a NIC or bond: the one on a host that has the same network below.
pub fn tagged<'e>(existing: &'e Existing, over: &Nic, tag: u16) -> Option<&'e Nic> {
    existing.nics.iter().find(|nic| nic.host == over.host && nic.vlan == Some(tag) && nic.device == over.device)
}

/// The interface of a host on a network.
pub fn interface<'e>(existing: &'e Existing, host: &Ref, network: &Network) -> Option<&'e Nic> {
    existing.nics.iter().find(|nic| nic.host == *host && nic.network == network.reference && nic.part_of.is_none())
}
