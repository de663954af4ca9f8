//! Hosts: emptied of their guests.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, operation};
use super::{host, vm_migrate, vm_rules};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "evacuate" => evacuate,
        "assert_can_evacuate" => |cx, args| plan(cx, args.link(0)).and_then(|_| done()),
        "get_vms_which_prevent_evacuation" => prevent,
        "get_uncooperative_resident_VMs" => |_, _| Ok(Answer::Done(Value::Set(Vec::new()))),
        _ => return None,
    })
}

/// Where each guest of a host can go.
struct Routes {
    moves: Vec<(Ref, Ref)>,
    stuck: Vec<(Ref, Failure)>,
}

fn routes(cx: &Cx<'_>, from: Ref) -> Routes {
    let mut free: BTreeMap<Ref, i64> = BTreeMap::new();
    for to in cx.db.all("host").into_iter().filter(|to| *to != from) {
        free.insert(to, host::free_memory(cx.db, to));
    }
    let mut guests = host::guests(cx.db, from);
    // The largest first: they find room hardest.
    guests.sort_by_key(|vm| (std::cmp::Reverse(vm_rules::memory(cx.db, *vm)), *vm));
    let mut routes = Routes { moves: Vec::new(), stuck: Vec::new() };
    for vm in guests {
        match route(cx, vm, &free) {
            Ok(to) => {
                *free.entry(to).or_default() -= vm_rules::memory(cx.db, vm);
                routes.moves.push((vm, to));
            }
            Err(failure) => routes.stuck.push((vm, failure)),
        }
    }
    routes
}

fn route(cx: &Cx<'_>, vm: Ref, free: &BTreeMap<Ref, i64>) -> Outcome<Ref> {
    vm_rules::assert_allowed(cx.db, vm, "pool_migrate")?;
    let needed = vm_rules::memory(cx.db, vm);
    let mut why = Failure::bare("NO_HOSTS_AVAILABLE");
    let mut fit = Vec::new();
    for (to, free) in free {
        match vm_rules::assert_can_run(cx.db, vm, *to, false) {
            Ok(()) if needed <= *free => fit.push((*free, std::cmp::Reverse(*to))),
            Ok(()) => why = Failure::new("HOST_NOT_ENOUGH_FREE_MEMORY", [vm]),
            Err(failure) => why = failure,
        }
    }
    fit.into_iter().max().map(|(_, to)| to.0).ok_or(why)
}

fn plan(cx: &Cx<'_>, from: Ref) -> Outcome<Vec<(Ref, Ref)>> {
    let routes = routes(cx, from);
    if routes.stuck.is_empty() {
        return Ok(routes.moves);
    }
    let reasons = routes.stuck.iter().map(|(_, failure)| failure.words().collect::<Vec<_>>().join(","));
    Err(Failure::new("CANNOT_EVACUATE_HOST", [reasons.collect::<Vec<_>>().join("|")]))
}

/// host.evacuate(host, network, batch_size): all guests move, one after the other.
fn evacuate(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let from = args.link(0);
    if !host::is_live(cx.db, from) {
        return Err(Failure::new("HOST_OFFLINE", [from]));
    }
    if !args.link(1).is_null() {
        cx.known("network", args.link(1))?;
    }
    let moves = plan(cx, from)?;
    let takes = pace::MIGRATE * u32::try_from(moves.len()).unwrap_or(u32::MAX);
    operation(cx, from, "evacuate", takes, move |cx| {
        for (vm, to) in moves {
            let is_here = cx.db.exists(vm) && cx.db.link(vm, "resident_on") == from;
            if is_here {
                vm_rules::assert_can_run(cx.db, vm, to, true)?;
                vm_migrate::arrive(cx, vm, to)?;
            }
        }
        done()
    })
}

fn prevent(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let stuck = routes(cx, args.link(0)).stuck;
    let pairs =
        stuck.into_iter().map(|(vm, failure)| (Arc::from(vm.to_string()), Value::from(failure.words().collect::<Vec<_>>())));
    answer(pairs.collect::<BTreeMap<Arc<str>, Value>>())
}
