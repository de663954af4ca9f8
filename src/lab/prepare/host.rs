//! Hosts and pools of a topology: what testcases call them, and what of a host nobody looks at.

use super::task::Machine;
use crate::sequence::topology::{Host, License, Pool};

/// What a machine is known by.
pub fn machine(host: &Host) -> Machine {
    Machine::from(host.machine.name())
}

pub fn pool_names(pool: &Pool) -> Vec<String> {
    let mut names = vec![pool.name.clone()];
    let numbered = format!("RESOURCE_POOL_{}", pool.id);
    if pool.name != numbered {
        names.push(numbered);
    }
    names
}

pub fn host_names(host: &Host) -> Vec<String> {
    let mut names = vec![host.machine.name()];
    if host.name != names[0] {
        names.push(host.name.clone());
    }
    if host.is_default {
        names.push("RESOURCE_HOST_DEFAULT".into());
    }
    names
}

/// What is asked for of a host that is only done when a product is installed, which is somebody else's.
pub fn left_alone(host: &Host) -> Vec<&'static str> {
    let asked = [
        ("its version", host.version.is_some() || host.product_version.is_some()),
        ("its local storage", host.install_sr.is_some()),
        ("its licence", host.license != License::Usual || !host.default_license),
        ("its number of disks", host.disk_count != 1),
        ("the governor of its processors", host.cpufreq_governor.is_some()),
        ("its static address", !host.dhcp),
        ("IPv6", host.ipv6.is_some()),
        ("its IOMMU", host.iommu),
        ("supplemental packs", host.suppack_cds.is_some()),
        ("its firewall", host.disable_firewall),
        ("extraConfig", !host.extra.is_empty()),
    ];
    asked.into_iter().filter(|(_, is)| *is).map(|(what, _)| what).collect()
}
