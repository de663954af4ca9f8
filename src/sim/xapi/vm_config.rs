//! VMs: what they are made of, and their memory and CPUs.

use super::super::clock::pace;
use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, Wait, answer, done, later};
use super::{domain, host, vbd, vif, vm_rules};
use std::time::Duration;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "set_memory" => |cx, args| {
            let (vm, value) = (args.link(0), args.int(1));
            let low = cx.db.int(vm, "memory_static_min").min(value);
            limits(cx, vm, "changing_memory_limits", [low, value, value, value])
        },
        "set_memory_limits" => {
            |cx, args| limits(cx, args.link(0), "changing_memory_limits", [args.int(1), args.int(3), args.int(4), args.int(2)])
        }
        "set_memory_static_range" => |cx, args| static_range(cx, args.link(0), Some(args.int(1)), Some(args.int(2))),
        "set_memory_static_min" => |cx, args| static_range(cx, args.link(0), Some(args.int(1)), None),
        "set_memory_static_max" => |cx, args| static_range(cx, args.link(0), None, Some(args.int(1))),
        "set_memory_dynamic_range" => |cx, args| dynamic_range(cx, args.link(0), Some(args.int(1)), Some(args.int(2))),
        "set_memory_dynamic_min" => |cx, args| dynamic_range(cx, args.link(0), Some(args.int(1)), None),
        "set_memory_dynamic_max" => |cx, args| dynamic_range(cx, args.link(0), None, Some(args.int(1))),
        "set_memory_target_live" => |cx, args| dynamic_range(cx, args.link(0), Some(args.int(1)), Some(args.int(1))),
        "wait_memory_target_live" => wait_memory,
        "set_VCPUs_max" => |cx, args| vcpus(cx, args.link(0), Some(args.int(1)), None),
        "set_VCPUs_at_startup" => |cx, args| vcpus(cx, args.link(0), None, Some(args.int(1))),
        "set_VCPUs_number_live" => vcpus_live,
        "set_is_a_template" => set_is_a_template,
        "set_ha_restart_priority" => set_ha_restart_priority,
        "set_domain_type" => set_halted,
        "set_HVM_shadow_multiplier" => set_shadow_multiplier,
        "get_allowed_VBD_devices" => |cx, args| answer(vbd::free_places(cx.db, args.link(0))),
        "get_allowed_VIF_devices" => |cx, args| answer(vif::free_places(cx.db, args.link(0))),
        "compute_memory_overhead" => |cx, args| answer(vm_rules::overhead(cx.db, args.link(0))),
        "maximise_memory" => |cx, args| answer((args.int(1) - vm_rules::overhead(cx.db, args.link(0))).max(0)),
        "get_cooperative" => |_, _| answer(true),
        "assert_agile" => assert_agile,
        _ => return None,
    })
}

/// VM.create(record): a VM without disks and interfaces.
fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class("VM").ok_or_else(|| Failure::internal("no VM"))?;
    let mut fields = given(class, args.get(0))?;
    let int = |name: &str| match fields.iter().find(|(field, _)| *field == name) {
        Some((_, Value::Int(number))) => *number,
        _ => 0,
    };
    assert_limits(int("memory_static_min"), int("memory_dynamic_min"), int("memory_dynamic_max"), int("memory_static_max"))?;
    assert_vcpus(int("VCPUs_at_startup"), int("VCPUs_max"))?;
    // What the pool alone knows of the new VM.
    let of_pool = ["last_booted_record", "memory_target", "power_state", "suspend_VDI"];
    fields.retain(|(name, _)| !of_pool.contains(name));
    let vm = cx.db.create_with("VM", fields);
    finish(cx, vm);
    answer(vm)
}

/// What every new VM has.
pub fn finish(cx: &mut Cx<'_>, vm: Ref) {
    cx.db.set(vm, "domid", -1_i64);
    domain::metrics(cx, vm);
    let overhead = vm_rules::overhead(cx.db, vm);
    cx.db.set(vm, "memory_overhead", overhead);
    if cx.db.key(vm, "other_config", "mac_seed").is_none() {
        let seed = cx.db.fresh_uuid();
        cx.db.set_key(vm, "other_config", "mac_seed", seed);
    }
}

fn assert_limits(static_min: i64, dynamic_min: i64, dynamic_max: i64, static_max: i64) -> Outcome<()> {
    if 0 <= static_min && static_min <= dynamic_min && dynamic_min <= dynamic_max && dynamic_max <= static_max && static_max > 0 {
        return Ok(());
    }
    let text = "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max";
    Err(Failure::new("MEMORY_CONSTRAINT_VIOLATION", [text]))
}

/// Sets the four limits: static min, dynamic min, dynamic max, static max.
fn limits(
    cx: &mut Cx<'_>,
    vm: Ref,
    operation: &str,
    [static_min, dynamic_min, dynamic_max, static_max]: [i64; 4],
) -> Outcome<Answer> {
    vm_rules::assert_allowed(cx.db, vm, operation)?;
    assert_limits(static_min, dynamic_min, dynamic_max, static_max)?;
    cx.db.set(vm, "memory_static_min", static_min);
    cx.db.set(vm, "memory_dynamic_min", dynamic_min);
    cx.db.set(vm, "memory_dynamic_max", dynamic_max);
    cx.db.set(vm, "memory_static_max", static_max);
    let overhead = vm_rules::overhead(cx.db, vm);
    cx.db.set(vm, "memory_overhead", overhead);
    done()
}

fn static_range(cx: &mut Cx<'_>, vm: Ref, min: Option<i64>, max: Option<i64>) -> Outcome<Answer> {
    let now = |name: &str| cx.db.int(vm, name);
    let (min, max) = (min.unwrap_or_else(|| now("memory_static_min")), max.unwrap_or_else(|| now("memory_static_max")));
    // The dynamic range gives way.
    let (low, high) = (now("memory_dynamic_min").clamp(min, max.max(min)), now("memory_dynamic_max").clamp(min, max.max(min)));
    limits(cx, vm, "changing_static_range", [min, low, high, max])
}

fn dynamic_range(cx: &mut Cx<'_>, vm: Ref, min: Option<i64>, max: Option<i64>) -> Outcome<Answer> {
    let now = |name: &str| cx.db.int(vm, name);
    let (min, max) = (min.unwrap_or_else(|| now("memory_dynamic_min")), max.unwrap_or_else(|| now("memory_dynamic_max")));
    let (static_min, static_max) = (now("memory_static_min"), now("memory_static_max"));
    let target = now("memory_target");
    let grows = target.clamp(min, max.max(min)) - target;
    let at = cx.db.link(vm, "resident_on");
    if !at.is_null() && grows > host::free_memory(cx.db, at) {
        return Err(Failure::new("HOST_NOT_ENOUGH_FREE_MEMORY", [grows, host::free_memory(cx.db, at)]));
    }
    limits(cx, vm, "changing_dynamic_range", [static_min, min, max, static_max])?;
    if at.is_null() {
        return done();
    }
    cx.db.set(vm, "memory_target", target + grows);
    // The guest gives or takes it by and by.
    cx.after(pace::BALLOON, move |cx| {
        let metrics = cx.db.link(vm, "metrics");
        if !cx.db.link(vm, "resident_on").is_null() && cx.db.exists(metrics) {
            let target = cx.db.int(vm, "memory_target");
            cx.db.set(metrics, "memory_actual", target);
            host::touch_memory(cx, cx.db.link(vm, "resident_on"));
            domain::changed(cx, vm);
        }
    });
    done()
}

fn wait_memory(_cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let vm = args.link(0);
    let look = move |cx: &mut Cx<'_>, is_over: bool| {
        let is_there = cx.db.int(cx.db.link(vm, "metrics"), "memory_actual") == cx.db.int(vm, "memory_target");
        match is_there {
            true => Ok(Some(Value::Void)),
            false if is_over => Err(Failure::new("VM_MEMORY_TARGET_WAIT_TIMEOUT", [vm])),
            false => Ok(None),
        }
    };
    Ok(Answer::Wait(Wait { limit: Duration::from_secs(256), look: Box::new(look) }))
}

fn assert_vcpus(at_startup: i64, max: i64) -> Outcome<()> {
    if 0 < at_startup && at_startup <= max {
        return Ok(());
    }
    Err(Failure::new("INVALID_VALUE", ["VCPU values must satisfy: 0 < VCPUs_at_startup \u{2264} VCPUs_max", &max.to_string()]))
}

fn vcpus(cx: &mut Cx<'_>, vm: Ref, max: Option<i64>, at_startup: Option<i64>) -> Outcome<Answer> {
    vm_rules::assert_allowed(cx.db, vm, "changing_VCPUs")?;
    let max = max.unwrap_or_else(|| cx.db.int(vm, "VCPUs_max"));
    let at_startup = at_startup.unwrap_or_else(|| cx.db.int(vm, "VCPUs_at_startup"));
    assert_vcpus(at_startup, max)?;
    cx.db.set(vm, "VCPUs_max", max);
    cx.db.set(vm, "VCPUs_at_startup", at_startup);
    done()
}

fn vcpus_live(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, number) = (args.link(0), args.int(1));
    vm_rules::assert_allowed(cx.db, vm, "changing_VCPUs_live")?;
    assert_vcpus(number, cx.db.int(vm, "VCPUs_max"))?;
    later(pace::PLUG, move |cx| {
        cx.known("VM", vm)?;
        let metrics = domain::metrics(cx, vm);
        cx.db.set(metrics, "VCPUs_number", number);
        cx.db.set(vm, "VCPUs_at_startup", number);
        domain::changed(cx, vm);
        done()
    })
}

fn set_is_a_template(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, is_template) = (args.link(0), args.is(1));
    if is_template && !cx.db.is(vm, "is_a_template") {
        vm_rules::assert_allowed(cx.db, vm, "make_into_template")?;
    }
    if !is_template && cx.db.is(vm, "is_default_template") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["Default templates cannot be turned into VMs"]));
    }
    if !is_template && cx.db.is(vm, "is_a_snapshot") {
        return Err(Failure::new("VM_IS_SNAPSHOT", [vm.to_string(), "set_is_a_template".to_string()]));
    }
    cx.db.set(vm, "is_a_template", is_template);
    done()
}

fn set_ha_restart_priority(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (vm, priority) = (args.link(0), args.text(1));
    if !matches!(priority, "" | "best-effort" | "restart") {
        return Err(Failure::new("INVALID_VALUE", ["ha_restart_priority", priority]));
    }
    if priority == "restart" && cx.db.is(cx.pool_record(), "ha_enabled") {
        agile(cx, vm)?;
    }
    cx.db.set(vm, "ha_restart_priority", args.get(1).clone());
    cx.db.set(vm, "ha_always_run", !priority.is_empty() && cx.db.text(vm, "power_state") == "Running");
    done()
}

/// # Errors
/// What binds the VM to a host: `VM_REQUIRES_SR`, `VM_REQUIRES_NETWORK` of what not all hosts have.
fn agile(cx: &Cx<'_>, vm: Ref) -> Outcome<()> {
    for vbd in cx.db.links(vm, "VBDs") {
        let sr = cx.db.link(cx.db.link(vbd, "VDI"), "SR");
        if !sr.is_null() && !cx.db.is(sr, "shared") {
            return Err(Failure::new("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED", [sr]));
        }
    }
    for vif in cx.db.links(vm, "VIFs") {
        let network = cx.db.link(vif, "network");
        let nics = cx.db.links(network, "PIFs").len();
        if nics > 0 && nics < cx.db.count("host") {
            return Err(Failure::new("HA_CONSTRAINT_VIOLATION_NETWORK_NOT_SHARED", [network]));
        }
    }
    Ok(())
}

fn assert_agile(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    agile(cx, args.link(0)).and_then(|()| done())
}

fn set_halted(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    vm_rules::assert_allowed(cx.db, args.link(0), "changing_VCPUs")?;
    cx.db.set(args.link(0), "domain_type", args.get(1).clone());
    done()
}

fn set_shadow_multiplier(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    vm_rules::assert_allowed(cx.db, args.link(0), "changing_shadow_memory")?;
    if !matches!(args.get(1), Value::Float(multiplier) if *multiplier >= 1.0) {
        return Err(Failure::new("INVALID_VALUE", ["multiplier", "HVM_shadow_multiplier must be greater than or equal to 1"]));
    }
    cx.db.set(args.link(0), "HVM_shadow_multiplier", args.get(1).clone());
    done()
}
