//! VMs: their power.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done, operation};
use super::{domain, netboot, sr, vdi, vm_config, vm_copy, vm_migrate, vm_rules};

pub fn method(name: &str) -> Option<Method> {
    let own: Option<Method> = match name {
        "start" => Some(start),
        "start_on" => Some(start_on),
        "pause" => Some(pause),
        "unpause" => Some(unpause),
        "clean_shutdown" => Some(clean_shutdown),
        "shutdown" => Some(shutdown),
        "hard_shutdown" => Some(hard_shutdown),
        "clean_reboot" => Some(clean_reboot),
        "hard_reboot" => Some(hard_reboot),
        "suspend" => Some(suspend),
        "resume" => Some(resume),
        "resume_on" => Some(resume_on),
        "power_state_reset" => Some(power_state_reset),
        "update_allowed_operations" => Some(|_, _| done()),
        "assert_operation_valid" => {
            Some(|cx, args| vm_rules::assert_allowed(cx.db, args.link(0), args.text(1)).and_then(|()| done()))
        }
        "assert_can_boot_here" => {
            Some(|cx, args| vm_rules::assert_can_run(cx.db, args.link(0), args.link(1), true).and_then(|()| done()))
        }
        "get_possible_hosts" => Some(possible_hosts),
        "send_sysrq" | "send_trigger" => Some(send),
        _ => None,
    };
    own.or_else(|| vm_config::method(name)).or_else(|| vm_copy::method(name)).or_else(|| vm_migrate::method(name))
}

fn start(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "start")?;
    let host = vm_rules::choose_host(cx.db, vm)?;
    begin(cx, vm, host, args.is(1), "start")
}

fn start_on(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, host) = (args.link(0), cx.known("host", args.link(1))?);
    vm_rules::assert_allowed(cx.db, vm, "start_on")?;
    vm_rules::assert_can_run(cx.db, vm, host, true)?;
    begin(cx, vm, host, args.is(2), "start_on")
}

fn begin(cx: &mut Cx<'_>, vm: Ref, host: Ref, is_paused: bool, name: &'static str) -> Outcome<Answer> {
    vm_rules::assert_disks_free(cx.db, vm)?;
    netboot::assert_has_kernel(cx, vm)?;
    // The memory is taken from now on.
    domain::schedule(cx, vm, host);
    operation(cx, vm, name, pace::START, move |cx| {
        cx.known("VM", vm)?;
        if !super::host::is_live(cx.db, host) {
            domain::schedule(cx, vm, Ref::NULL);
            return Err(Failure::new("HOST_OFFLINE", [host]));
        }
        domain::build(cx, vm, host);
        if !is_paused {
            domain::boot(cx, vm);
        }
        done()
    })
    .map(|later| unschedule(later, vm))
}

/// A start that is cancelled gives its memory back.
pub fn unschedule(answer: Answer, vm: Ref) -> Answer {
    let Answer::Later(mut later) = answer else { return answer };
    let undo = later.undo.take();
    later.undo = Some(Box::new(move |cx| {
        domain::schedule(cx, vm, Ref::NULL);
        if let Some(undo) = undo {
            undo(cx);
        }
    }));
    Answer::Later(later)
}

fn pause(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "pause")?;
    cx.db.set(vm, "power_state", "Paused");
    cx.site.inside.machine_frozen(cx.db.text(vm, "uuid"), true);
    done()
}

fn unpause(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "unpause")?;
    if cx.db.exists(cx.db.link(vm, "guest_metrics")) {
        cx.db.set(vm, "power_state", "Running");
        cx.site.inside.machine_frozen(cx.db.text(vm, "uuid"), false);
    } else {
        domain::boot(cx, vm);
    }
    done()
}

fn clean_shutdown(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "clean_shutdown")?;
    operation(cx, vm, "clean_shutdown", pace::GUEST_SHUTDOWN, move |cx| shut(cx, vm))
}

/// Clean where that works, else by force.
fn shutdown(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "shutdown")?;
    match vm_rules::assert_allowed(cx.db, vm, "clean_shutdown") {
        Ok(()) => clean_shutdown(cx, args),
        Err(_) => hard_shutdown(cx, args),
    }
}

/// The guest has ended; somebody may have killed it meanwhile.
fn shut(cx: &mut Cx<'_>, vm: Ref) -> Outcome<Answer> {
    cx.known("VM", vm)?;
    match cx.db.text(vm, "power_state") {
        "Running" => domain::end(cx, vm, Down::Clean),
        "Halted" => {}
        _ => return Err(Failure::new("VM_SHUTDOWN_TIMEOUT", [vm.to_string(), "1200".to_string()])),
    }
    done()
}

fn hard_shutdown(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "hard_shutdown")?;
    operation(cx, vm, "hard_shutdown", pace::GUEST_KILL, move |cx| {
        cx.known("VM", vm)?;
        if cx.db.text(vm, "power_state") == "Suspended" {
            drop_image(cx, vm);
        }
        if cx.db.text(vm, "power_state") != "Halted" {
            domain::end(cx, vm, Down::Killed);
        }
        done()
    })
}

/// Removes the memory of a suspended VM.
pub fn drop_image(cx: &mut Cx<'_>, vm: Ref) {
    let image = cx.db.link(vm, "suspend_VDI");
    cx.db.set(vm, "suspend_VDI", Ref::NULL);
    if cx.db.exists(image) {
        vdi::remove(cx, image);
    }
}

fn clean_reboot(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    reboot(cx, args.link(0), "clean_reboot", Down::Clean)
}

fn hard_reboot(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    reboot(cx, args.link(0), "hard_reboot", Down::Killed)
}

fn reboot(cx: &mut Cx<'_>, vm: Ref, name: &'static str, how: Down) -> Outcome<Answer> {
    vm_rules::assert_allowed(cx.db, vm, name)?;
    let takes = if how == Down::Clean { pace::GUEST_SHUTDOWN } else { pace::GUEST_KILL };
    operation(cx, vm, name, takes + pace::START, move |cx| {
        cx.known("VM", vm)?;
        if cx.db.link(vm, "resident_on").is_null() {
            let state = cx.db.text(vm, "power_state").to_lowercase();
            return Err(Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), "running".to_string(), state]));
        }
        domain::rebuild(cx, vm, how);
        done()
    })
}

fn suspend(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "suspend")?;
    let bytes = cx.db.int(vm, "memory_static_max") + (8 << 20);
    let store = sr::for_suspend(cx.db, vm).ok_or_else(|| Failure::new("VM_NO_SUSPEND_SR", [vm]))?;
    sr::assert_room(cx, store, bytes)?;
    operation(cx, vm, "suspend", pace::SUSPEND, move |cx| {
        cx.known("VM", vm)?;
        if cx.db.text(vm, "power_state") != "Running" {
            let state = cx.db.text(vm, "power_state").to_lowercase();
            return Err(Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), "running".to_string(), state]));
        }
        let image = vdi::make_image(cx, store, vm, bytes)?;
        cx.db.set(vm, "suspend_VDI", image);
        cx.site.inside.memory_kept(cx.db.text(vm, "uuid"), cx.db.text(image, "uuid"));
        domain::end(cx, vm, Down::Suspended);
        done()
    })
}

fn resume(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "resume")?;
    let host = vm_rules::choose_host(cx.db, vm)?;
    wake(cx, vm, host, args.is(1), "resume")
}

fn resume_on(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, host) = (args.link(0), cx.known("host", args.link(1))?);
    vm_rules::assert_allowed(cx.db, vm, "resume_on")?;
    vm_rules::assert_can_run(cx.db, vm, host, true)?;
    wake(cx, vm, host, args.is(2), "resume_on")
}

fn wake(cx: &mut Cx<'_>, vm: Ref, host: Ref, is_paused: bool, name: &'static str) -> Outcome<Answer> {
    let image = cx.db.link(vm, "suspend_VDI");
    if !cx.db.exists(image) {
        return Err(Failure::new("VM_HAS_NO_SUSPEND_VDI", [vm]));
    }
    vm_rules::assert_disks_free(cx.db, vm)?;
    let store = cx.db.link(image, "SR");
    if !super::host::sees(cx.db, host, store) {
        return Err(Failure::new("VM_REQUIRES_SR", [vm, store]));
    }
    domain::schedule(cx, vm, host);
    let answer = operation(cx, vm, name, pace::RESUME, move |cx| {
        cx.known("VM", vm)?;
        if !super::host::is_live(cx.db, host) {
            domain::schedule(cx, vm, Ref::NULL);
            return Err(Failure::new("HOST_OFFLINE", [host]));
        }
        domain::build(cx, vm, host);
        cx.site.inside.memory_loaded(cx.db.text(vm, "uuid"), cx.db.text(image, "uuid"));
        drop_image(cx, vm);
        cx.db.set(vm, "power_state", if is_paused { "Paused" } else { "Running" });
        domain::ready(cx, vm, false);
        if is_paused {
            cx.site.inside.machine_frozen(cx.db.text(vm, "uuid"), true);
        }
        done()
    })?;
    Ok(unschedule(answer, vm))
}

/// Writes down a VM as halted, whatever it does: for hosts that are gone.
fn power_state_reset(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    if cx.db.is(vm, "is_control_domain") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["This operation is not allowed on dom0"]));
    }
    drop_image(cx, vm);
    cx.db.set(vm, "current_operations", Value::Map(std::collections::BTreeMap::new()));
    domain::end(cx, vm, Down::Killed);
    done()
}

fn possible_hosts(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    let hosts: Vec<Ref> =
        cx.db.all("host").into_iter().filter(|host| vm_rules::assert_can_run(cx.db, vm, *host, true).is_ok()).collect();
    answer(hosts)
}

/// A key or an interrupt for the kernel: `c` and `nmi` crash it.
fn send(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    vm_rules::assert_allowed(cx.db, vm, "send_trigger")?;
    if matches!(args.text(1), "c" | "nmi") {
        let restarts = cx.db.text(vm, "actions_after_crash").contains("restart");
        if restarts { domain::rebuild(cx, vm, Down::Killed) } else { domain::end(cx, vm, Down::Killed) }
    }
    done()
}
