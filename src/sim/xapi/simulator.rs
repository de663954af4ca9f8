//! What only the simulator has: trouble, asked for over the wire like everything else.

use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::trouble::{self, Trouble};
use super::super::value::Ref;
use super::super::world::{Answer, Args, Cx, Method, World, answer, done};
use super::{domain, host, sr, vdi};
use crate::error::Error;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "trouble" => over_the_wire,
        "get_troubles" => |cx, _| answer(cx.site.troubles.list().map(ToString::to_string).collect::<Vec<_>>()),
        "clear" => |cx, _| {
            cx.site.troubles.clear();
            done()
        },
        "set_speed" => |cx, args| {
            let speed = args.text(0).parse().map_err(|error: Error| Failure::new("INVALID_VALUE", ["speed", &error.what]))?;
            cx.site.clock.set_speed(speed);
            done()
        },
        _ => return None,
    })
}

/// simulator.trouble(text): several joined by `;`.
fn over_the_wire(_cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let troubles = trouble::parse(args.text(0)).map_err(|error| Failure::new("INVALID_VALUE", ["trouble", &error.what]))?;
    Ok(Answer::Wide(Box::new(move |world, _| {
        troubles.into_iter().try_for_each(|trouble| self::trouble(world, trouble))?;
        answer("")
    })))
}

/// Lets a trouble happen, or keeps it for the calls that it waits for.
///
/// # Errors
/// `INVALID_VALUE` for a name that nothing has.
pub fn trouble(world: &mut World, trouble: Trouble) -> Outcome<()> {
    match trouble {
        Trouble::Fail { .. } | Trouble::Delay { .. } | Trouble::Drop { .. } | Trouble::On { .. } => {
            world.site.troubles.add(trouble);
            Ok(())
        }
        Trouble::PowerOff(name) => with(world, "host", &name, |cx, host| {
            host::go_down(cx, host, Down::Killed);
            Ok(())
        }),
        Trouble::Fill(name) => with(world, "SR", &name, |cx, store| {
            let free = sr::free(cx.db, store);
            if free > 0 {
                let filler = vdi::make(cx, store, "filler", 1 << 20, "user")?;
                let rest = sr::free(cx.db, store) + cx.db.int(filler, "physical_utilisation");
                cx.db.set(filler, "virtual_size", rest);
                cx.db.set(filler, "physical_utilisation", rest);
                cx.db.touch(store);
            }
            Ok(())
        }),
        Trouble::Kill(name) => with(world, "VM", &name, |cx, vm| {
            if cx.db.text(vm, "power_state") != "Halted" {
                domain::end(cx, vm, Down::Killed);
            }
            Ok(())
        }),
        Trouble::Hang(name) => with(world, "VM", &name, |cx, vm| {
            cx.site.inside.machine_frozen(cx.db.text(vm, "uuid"), true);
            let metrics = cx.db.link(vm, "guest_metrics");
            if cx.db.exists(metrics) {
                cx.db.set(metrics, "live", false);
            }
            Ok(())
        }),
        Trouble::Skew { guest, seconds } => with(world, "VM", &guest, move |cx, vm| {
            cx.site.inside.machine_skewed(cx.db.text(vm, "uuid"), seconds);
            Ok(())
        }),
    }
}

/// Does something with what has a name or UUID, in whichever pool.
fn with(world: &mut World, class: &str, name: &str, work: impl FnOnce(&mut Cx<'_>, Ref) -> Outcome<()>) -> Outcome<()> {
    for pool in 0..world.pools.len() {
        let Some(mut cx) = world.cx(pool) else { continue };
        let found = cx.db.by_name(class, name).or_else(|| cx.db.by_uuid(class, name));
        if let Some(found) = found {
            return work(&mut cx, found);
        }
    }
    Err(Failure::new("INVALID_VALUE", [class, name]))
}
