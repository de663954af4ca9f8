//! What may be asked of a VM in which state, and on which host it can run.

use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::host;

const HALTED: u8 = 1;
const RUNNING: u8 = 2;
const PAUSED: u8 = 4;
const SUSPENDED: u8 = 8;
const ALL: u8 = 15;

const STATES: [(&str, u8); 4] = [("Halted", HALTED), ("Paused", PAUSED), ("Suspended", SUSPENDED), ("Running", RUNNING)];

/// What an operation needs.
struct Rule {
    name: &'static str,
    states: u8,
    /// Whether a template may be asked.
    of_template: bool,
    /// Whether a snapshot may be asked.
    of_snapshot: bool,
    /// Whether the guest itself must help.
    needs_agent: bool,
}

const fn rule(name: &'static str, states: u8) -> Rule {
    Rule { name, states, of_template: false, of_snapshot: false, needs_agent: false }
}

const fn template(name: &'static str, states: u8) -> Rule {
    Rule { name, states, of_template: true, of_snapshot: false, needs_agent: false }
}

const fn image(name: &'static str, states: u8) -> Rule {
    Rule { name, states, of_template: true, of_snapshot: true, needs_agent: false }
}

const fn agent(name: &'static str, states: u8) -> Rule {
    Rule { name, states, of_template: false, of_snapshot: false, needs_agent: true }
}

const RULES: &[Rule] = &[
    rule("awaiting_memory_live", RUNNING),
    template("changing_NVRAM", HALTED),
    template("changing_VCPUs", HALTED),
    rule("changing_VCPUs_live", RUNNING),
    template("changing_dynamic_range", HALTED | RUNNING),
    template("changing_memory_limits", HALTED),
    rule("changing_memory_live", RUNNING),
    template("changing_shadow_memory", HALTED),
    rule("changing_shadow_memory_live", RUNNING),
    template("changing_static_range", HALTED),
    rule("checkpoint", RUNNING | PAUSED | SUSPENDED),
    agent("clean_reboot", RUNNING),
    agent("clean_shutdown", RUNNING),
    image("clone", HALTED | SUSPENDED),
    image("copy", HALTED | SUSPENDED),
    rule("csvm", SUSPENDED),
    image("destroy", HALTED | SUSPENDED),
    image("export", HALTED | SUSPENDED),
    rule("hard_reboot", RUNNING | PAUSED),
    rule("hard_shutdown", RUNNING | PAUSED | SUSPENDED),
    Rule { name: "make_into_template", states: HALTED, of_template: false, of_snapshot: true, needs_agent: false },
    image("metadata_export", ALL),
    rule("migrate_send", HALTED | SUSPENDED | RUNNING),
    rule("pause", RUNNING),
    agent("pool_migrate", RUNNING),
    template("provision", HALTED),
    rule("resume", SUSPENDED),
    rule("resume_on", SUSPENDED),
    Rule { name: "revert", states: ALL, of_template: false, of_snapshot: true, needs_agent: false },
    rule("send_sysrq", RUNNING),
    rule("send_trigger", RUNNING),
    rule("shutdown", RUNNING | PAUSED | SUSPENDED),
    rule("snapshot", ALL),
    rule("start", HALTED),
    rule("start_on", HALTED),
    agent("suspend", RUNNING),
    rule("unpause", PAUSED),
];

/// The operations that may be asked of a VM now.
pub fn allowed(db: &Store, vm: Ref) -> Vec<&'static str> {
    RULES.iter().filter(|rule| check(db, vm, rule).is_ok()).map(|rule| rule.name).collect()
}

/// # Errors
/// Why the operation is not allowed: `VM_BAD_POWER_STATE`, `VM_IS_TEMPLATE`, `VM_IS_SNAPSHOT`, `OTHER_OPERATION_IN_PROGRESS`,
/// `OPERATION_BLOCKED`, `VM_LACKS_FEATURE`, `OPERATION_NOT_ALLOWED`.
pub fn assert_allowed(db: &Store, vm: Ref, operation: &str) -> Outcome<()> {
    match RULES.iter().find(|rule| rule.name == operation) {
        Some(rule) => check(db, vm, rule),
        None => Err(Failure::new("OPERATION_NOT_ALLOWED", [format!("{operation} is not an operation of a VM")])),
    }
}

fn check(db: &Store, vm: Ref, rule: &Rule) -> Outcome<()> {
    if let Some(reason) = db.key(vm, "blocked_operations", rule.name) {
        return Err(Failure::new("OPERATION_BLOCKED", [vm.to_string(), reason.to_string()]));
    }
    let is_snapshot = db.is(vm, "is_a_snapshot");
    if is_snapshot && !rule.of_snapshot {
        return Err(Failure::new("VM_IS_SNAPSHOT", [vm.to_string(), rule.name.to_string()]));
    }
    if !is_snapshot && rule.name == "revert" {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["Only snapshots can be reverted."]));
    }
    if db.is(vm, "is_a_template") && !is_snapshot && !rule.of_template {
        return Err(Failure::new("VM_IS_TEMPLATE", [vm.to_string(), rule.name.to_string()]));
    }
    if db.is(vm, "is_default_template") && rule.name == "destroy" {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["Default templates cannot be destroyed"]));
    }
    if db.is(vm, "is_control_domain") && !rule.name.starts_with("changing") {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["This operation is not allowed on dom0"]));
    }
    state(db, vm, rule)?;
    let current = db.get(vm, "current_operations").as_map();
    let clashes = current.is_some_and(|map| map.values().any(|running| !goes_together(rule.name, running.as_str())));
    if clashes {
        return Err(Failure::new("OTHER_OPERATION_IN_PROGRESS", ["VM".to_string(), vm.to_string()]));
    }
    if rule.needs_agent && !has_agent(db, vm) {
        return Err(Failure::new("VM_LACKS_FEATURE", [vm]));
    }
    Ok(())
}

fn state(db: &Store, vm: Ref, rule: &Rule) -> Outcome<()> {
    let state = db.text(vm, "power_state");
    let bit = STATES.iter().find(|(name, _)| *name == state).map_or(0, |(_, bit)| *bit);
    // A checkpoint is suspended, and is removed and cloned so; a VM is not.
    let states = match rule.name {
        "clone" | "copy" | "destroy" | "export" if !db.is(vm, "is_a_snapshot") => rule.states & !SUSPENDED,
        _ => rule.states,
    };
    if bit & states != 0 {
        return Ok(());
    }
    let expected: Vec<String> = STATES.iter().filter(|(_, bit)| bit & states != 0).map(|(name, _)| name.to_lowercase()).collect();
    Err(Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), expected.join(", "), state.to_lowercase()]))
}

/// Whether an operation may begin while another runs.
fn goes_together(new: &str, running: &str) -> bool {
    match new {
        // What kills a guest helps where it does not obey.
        "hard_shutdown" => matches!(running, "clean_shutdown" | "clean_reboot" | "hard_reboot" | "shutdown"),
        "hard_reboot" => matches!(running, "clean_shutdown" | "clean_reboot"),
        "clone" | "copy" | "export" => matches!(running, "clone" | "copy" | "export"),
        "metadata_export" => true,
        _ => false,
    }
}

/// Whether something in the guest hears what the pool asks of it.
pub fn has_agent(db: &Store, vm: Ref) -> bool {
    let metrics = db.link(vm, "guest_metrics");
    db.exists(metrics) && db.is(metrics, "live") && db.is(metrics, "PV_drivers_detected")
}

/// What the domain of a VM takes of its host, in bytes.
pub fn memory(db: &Store, vm: Ref) -> i64 {
    let target = db.int(vm, "memory_target");
    let is_there = !db.link(vm, "resident_on").is_null();
    let wanted = if is_there && target > 0 { target } else { db.int(vm, "memory_dynamic_max") };
    wanted + overhead(db, vm)
}

/// What the hypervisor needs besides: about 1 MiB for each vCPU, and a hundredth.
pub fn overhead(db: &Store, vm: Ref) -> i64 {
    if db.is(vm, "is_control_domain") {
        return 0;
    }
    (db.int(vm, "VCPUs_max") << 20) + (db.int(vm, "memory_static_max") >> 7)
}

/// # Errors
/// Why the VM cannot run on the host: `HOST_NOT_LIVE`, `HOST_DISABLED`, `VM_REQUIRES_SR`, `VM_REQUIRES_NETWORK`,
/// `HOST_NOT_ENOUGH_FREE_MEMORY`.
pub fn assert_can_run(db: &Store, vm: Ref, at: Ref, needs_memory: bool) -> Outcome<()> {
    if !host::is_live(db, at) {
        return Err(Failure::new("HOST_NOT_LIVE", [at]));
    }
    if !db.is(at, "enabled") {
        return Err(Failure::new("HOST_DISABLED", [at]));
    }
    for vbd in db.links(vm, "VBDs").into_iter().filter(|vbd| !db.is(*vbd, "empty")) {
        let sr = db.link(db.link(vbd, "VDI"), "SR");
        if !sr.is_null() && !host::sees(db, at, sr) {
            return Err(Failure::new("VM_REQUIRES_SR", [vm, sr]));
        }
    }
    for vif in db.links(vm, "VIFs") {
        let network = db.link(vif, "network");
        let nics = db.links(network, "PIFs");
        if !nics.is_empty() && !nics.iter().any(|nic| db.link(*nic, "host") == at) {
            return Err(Failure::new("VM_REQUIRES_NETWORK", [vm, network]));
        }
    }
    if needs_memory {
        let (needed, free) = (memory(db, vm), host::free_memory(db, at));
        if needed > free {
            return Err(Failure::new("HOST_NOT_ENOUGH_FREE_MEMORY", [needed, free]));
        }
    }
    Ok(())
}

/// The host on which a VM starts: where it likes to be, else where most memory is free.
///
/// # Errors
/// `NO_HOSTS_AVAILABLE`; in a pool of one host what is wrong with that.
pub fn choose_host(db: &Store, vm: Ref) -> Outcome<Ref> {
    let hosts = db.all("host");
    if let [only] = hosts[..] {
        return assert_can_run(db, vm, only, true).map(|()| only);
    }
    let affinity = db.link(vm, "affinity");
    if db.exists(affinity) && assert_can_run(db, vm, affinity, true).is_ok() {
        return Ok(affinity);
    }
    let fit = hosts.into_iter().filter(|at| assert_can_run(db, vm, *at, true).is_ok());
    // Of equals the first, so that the same is chosen each time.
    fit.max_by_key(|at| (host::free_memory(db, *at), std::cmp::Reverse(*at))).ok_or_else(|| Failure::bare("NO_HOSTS_AVAILABLE"))
}

/// That a start finds its disks: not in use elsewhere, and there.
///
/// # Errors
/// `VDI_IN_USE`, `SR_NOT_ATTACHED`.
pub fn assert_disks_free(db: &Store, vm: Ref) -> Outcome<()> {
    for vbd in db.links(vm, "VBDs") {
        let vdi = db.link(vbd, "VDI");
        if vdi.is_null() || db.text(vbd, "mode") == "RO" || db.is(vdi, "sharable") {
            continue;
        }
        let is_used = db.links(vdi, "VBDs").into_iter().any(|other| other != vbd && db.is(other, "currently_attached"));
        if is_used {
            return Err(Failure::new("VDI_IN_USE", [vdi.to_string(), "attach".to_string()]));
        }
        if db.get(vdi, "current_operations").as_map().is_some_and(|map| !map.is_empty()) {
            return Err(Failure::new("OTHER_OPERATION_IN_PROGRESS", ["VDI".to_string(), vdi.to_string()]));
        }
    }
    Ok(())
}

/// The type of firmware that a VM starts with, as its metrics say.
pub fn domain_type(db: &Store, vm: Ref) -> Value {
    match db.text(vm, "domain_type") {
        "unspecified" | "" => Value::from(if db.text(vm, "HVM_boot_policy").is_empty() { "pv" } else { "hvm" }),
        given => Value::from(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_sorted_and_known_to_the_datamodel() {
        use super::super::super::datamodel::{Type, datamodel};
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
        let (_, field) = datamodel().class("VM").unwrap().field("allowed_operations").unwrap();
        let Type::Set(words) = &field.kind else { panic!("no set") };
        let Type::Enum(words) = &**words else { panic!("no enum") };
        for rule in RULES {
            assert!(words.contains(&rule.name), "{}", rule.name);
        }
    }

    #[test]
    fn what_is_allowed_follows_the_state() {
        let mut db = Store::new(1, 1);
        let vm = db.create("VM", [("name_label", "a")]);
        let refused = |db: &Store, operation| assert_allowed(db, vm, operation).unwrap_err().to_string();
        assert!(assert_allowed(&db, vm, "start").is_ok());
        assert_eq!(refused(&db, "clean_shutdown"), format!("VM_BAD_POWER_STATE: {vm}, running, halted"));
        assert_eq!(refused(&db, "hard_shutdown"), format!("VM_BAD_POWER_STATE: {vm}, paused, suspended, running, halted"));
        db.set(vm, "power_state", "Running");
        assert_eq!(refused(&db, "clean_shutdown"), format!("VM_LACKS_FEATURE: {vm}"));
        assert!(allowed(&db, vm).contains(&"hard_shutdown"));
        db.set_key(vm, "current_operations", "task", "clean_shutdown");
        assert_eq!(refused(&db, "pause"), format!("OTHER_OPERATION_IN_PROGRESS: VM, {vm}"));
        assert!(assert_allowed(&db, vm, "hard_shutdown").is_ok());
        db.remove_key(vm, "current_operations", "task");
        db.set_key(vm, "blocked_operations", "pause", "mine");
        assert_eq!(refused(&db, "pause"), format!("OPERATION_BLOCKED: {vm}, mine"));
        db.set(vm, "power_state", "Halted");
        db.set(vm, "is_a_template", true);
        assert_eq!(refused(&db, "start"), format!("VM_IS_TEMPLATE: {vm}, start"));
    }
}
