//! VMs that start from elsewhere than from their disks: from the network, or with a kernel that the host fetches for them.

use super::super::failure::{Failure, Outcome};
use super::super::inside::Netboot;
use super::super::store::Store;
use super::super::value::Ref;
use super::super::world::Cx;
use super::{domain, vm_rules};

/// The loader that fetches the kernel of an installer.
const FETCHES: &str = "eliloader";

/// What a VM starts from that has a system on its disks or none; nothing when that is its disks.
pub fn source(cx: &Cx<'_>, vm: Ref, has_system: bool) -> Option<Netboot> {
    if !is_hvm(cx.db, vm) {
        let arguments = cx.db.text(vm, "PV_args").to_string();
        let repository = cx.db.key(vm, "other_config", "install-repository").unwrap_or_default().to_string();
        return (!has_system).then_some(Netboot::Kernel { arguments, repository });
    }
    let order = cx.db.key(vm, "HVM_boot_params", "order").unwrap_or("cd");
    let first = order.chars().find(|device| *device == 'n' || (*device == 'c' && has_system))?;
    let base = cx.site.options.netboot.clone().filter(|_| first == 'n')?;
    let mut vifs: Vec<Ref> = cx.db.links(vm, "VIFs").into_iter().filter(|vif| cx.db.is(*vif, "currently_attached")).collect();
    vifs.sort_by_key(|vif| cx.db.text(*vif, "device").parse::<u32>().unwrap_or(u32::MAX));
    let mac = cx.db.text(*vifs.first()?, "MAC");
    Some(Netboot::Script(format!("{base}?mac={mac}")))
}

fn is_hvm(db: &Store, vm: Ref) -> bool {
    vm_rules::domain_type(db, vm).as_str() != "pv"
}

/// # Errors
/// `BOOTLOADER_FAILED`: the host finds no kernel for a VM that it starts itself.
pub fn assert_has_kernel(cx: &Cx<'_>, vm: Ref) -> Outcome<()> {
    if is_hvm(cx.db, vm) || domain::system(cx, vm).is_some() {
        return Ok(());
    }
    let failed = |what: &str| Err(Failure::new("BOOTLOADER_FAILED", [vm.to_string(), what.to_string()]));
    match cx.db.text(vm, "PV_bootloader") {
        FETCHES if cx.db.key(vm, "other_config", "install-repository").is_some_and(|repository| !repository.is_empty()) => Ok(()),
        FETCHES => failed("install-repository is not set"),
        _ => failed("Unable to find partition containing kernel"),
    }
}
