//! What the devices of a VM have in common, disks and interfaces.

use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::Ref;
use super::super::world::Cx;
use super::vm_rules;

/// The places below `most` that no device in this field of the VM has, lowest first.
pub fn free_places(db: &Store, vm: Ref, devices: &str, place: &str, most: u32) -> Vec<String> {
    let taken: Vec<u32> = db.links(vm, devices).into_iter().filter_map(|device| db.text(device, place).parse().ok()).collect();
    (0..most).filter(|free| !taken.contains(free)).map(|free| free.to_string()).collect()
}

pub fn remove(cx: &mut Cx<'_>, device: Ref) {
    let metrics = cx.db.link(device, "metrics");
    cx.db.destroy(metrics);
    cx.db.destroy(device);
}

/// # Errors
/// Why a running VM cannot have a device, or lose one, now.
pub fn assert_hotplug(db: &Store, vm: Ref) -> Outcome<()> {
    if db.text(vm, "power_state") != "Running" {
        let state = db.text(vm, "power_state").to_lowercase();
        return Err(Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), "running".to_string(), state]));
    }
    if vm_rules::has_agent(db, vm) { Ok(()) } else { Err(Failure::new("VM_MISSING_PV_DRIVERS", [vm])) }
}
