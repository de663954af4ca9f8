//! Templates, and the guests that come from them.

use super::value::{Ref, Value};
use super::world::Cx;
use super::xapi::{join, vdi, vif, vm_config};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// Templates that the product ships: (name, family for the installer, bytes of memory, bytes of disk).
const SHIPPED: &[(&str, &str, i64, i64)] = &[
    ("AlmaLinux 9", "rhlike", 2 * GIB, 10 * GIB),
    ("CentOS 7", "rhlike", 2 * GIB, 10 * GIB),
    ("Debian Bookworm 12", "debianlike", GIB, 10 * GIB),
    ("Debian Bullseye 11", "debianlike", GIB, 10 * GIB),
    ("Other install media", "", 256 * MIB, 0),
    ("Red Hat Enterprise Linux 6 (64-bit)", "rhlike", 2 * GIB, 10 * GIB),
    ("Rocky Linux 8", "rhlike", 2 * GIB, 10 * GIB),
    ("Rocky Linux 9", "rhlike", 2 * GIB, 10 * GIB),
    ("Ubuntu Jammy Jellyfish 22.04", "debianlike", 2 * GIB, 10 * GIB),
    ("Ubuntu Noble Numbat 24.04", "debianlike", 2 * GIB, 10 * GIB),
    ("Windows 11", "windows", 4 * GIB, 64 * GIB),
    ("Windows Server 2022 (64-bit)", "windows", 2 * GIB, 32 * GIB),
];

/// Of those, the ones that run without a virtual BIOS: the host starts their kernel.
const PARAVIRTUAL: &[&str] = &["Red Hat Enterprise Linux 6 (64-bit)"];

/// What a VM is made of.
struct Shape<'a> {
    name: &'a str,
    memory: i64,
    vcpus: i64,
    is_template: bool,
}

fn make(cx: &mut Cx<'_>, shape: &Shape<'_>) -> Ref {
    let memory = Value::Int(shape.memory);
    let platform = [
        ("acpi", "1"),
        ("apic", "true"),
        ("nx", "true"),
        ("pae", "true"),
        ("viridian", "true"),
        ("device-model", "qemu-upstream-compat"),
    ];
    let fields = vec![
        ("name_label", Value::from(shape.name)),
        ("is_a_template", Value::Bool(shape.is_template)),
        ("memory_static_min", Value::Int((128 * MIB).min(shape.memory))),
        ("memory_static_max", memory.clone()),
        ("memory_dynamic_min", memory.clone()),
        ("memory_dynamic_max", memory),
        ("VCPUs_max", Value::Int(shape.vcpus)),
        ("VCPUs_at_startup", Value::Int(shape.vcpus)),
        ("HVM_boot_policy", Value::from("BIOS order")),
        ("HVM_boot_params", Value::from([("order", "cdn"), ("firmware", "bios")])),
        ("domain_type", Value::from("hvm")),
        ("platform", Value::from(platform)),
        ("actions_after_shutdown", Value::from("destroy")),
        ("actions_after_reboot", Value::from("restart")),
        ("actions_after_crash", Value::from("restart")),
        ("user_version", Value::Int(1)),
    ];
    let vm = cx.db.create_with("VM", fields);
    vm_config::finish(cx, vm);
    vm
}

/// The templates that come with the product: they say what disks a VM gets, and have none.
pub fn shipped(cx: &mut Cx<'_>) {
    for (name, family, memory, disk) in SHIPPED {
        let template = make(cx, &Shape { name, memory: *memory, vcpus: 1, is_template: true });
        cx.db.set(template, "is_default_template", true);
        cx.db.set(
            template,
            "name_description",
            "Clones of this template will automatically provision their storage when first booted",
        );
        cx.db.remove_key(template, "other_config", "mac_seed");
        cx.db.set_key(template, "other_config", "default_template", "true");
        cx.db.set_key(template, "other_config", "install-methods", if family.is_empty() { "cdrom" } else { "cdrom,http,ftp,nfs" });
        if matches!(*family, "rhlike" | "debianlike") {
            cx.db.set_key(template, "other_config", "linux_template", "true");
            cx.db.set_key(template, "other_config", "install-distro", *family);
        }
        if PARAVIRTUAL.contains(name) {
            cx.db.set(template, "HVM_boot_policy", "");
            cx.db.set(template, "HVM_boot_params", Value::Map(std::collections::BTreeMap::new()));
            cx.db.set(template, "domain_type", "pv");
            cx.db.set(template, "PV_bootloader", "eliloader");
            cx.db.set(template, "PV_args", "graphical utf8");
        }
        let disks = match disk {
            0 => "<provision></provision>".to_string(),
            bytes => {
                format!("<provision><disk device=\"0\" size=\"{bytes}\" sr=\"\" bootable=\"true\" type=\"system\"/></provision>")
            }
        };
        cx.db.set_key(template, "other_config", "disks", disks);
    }
}

/// A template with a disk on which a system is installed.
pub fn installed(cx: &mut Cx<'_>, name: &str, system: &str, sr: Ref) -> Ref {
    let network = join::primary(cx, "xenbr0", "");
    let template = make(cx, &Shape { name, memory: 512 * MIB, vcpus: 1, is_template: true });
    cx.db.set(template, "name_description", "Debian 12, installed");
    furnish(cx, template, sr, network, |cx, name| {
        let disk = vdi::make(cx, sr, name, 8 * GIB, "user").ok()?;
        cx.db.set(disk, "physical_utilisation", 1200 * MIB);
        let uuid = cx.db.text(disk, "uuid").into();
        cx.site.systems.insert(uuid, system.into());
        Some(disk)
    });
    template
}

/// A guest whose disk is a clone of a template's.
pub fn guest(cx: &mut Cx<'_>, name: &str, template: Ref, sr: Ref, network: Ref) -> Ref {
    let guest = make(cx, &Shape { name, memory: 512 * MIB, vcpus: 1, is_template: false });
    let label = cx.db.text(template, "name_label").to_string();
    cx.db.set_key(guest, "other_config", "base_template_name", label);
    let disk = cx.db.links(template, "VBDs").into_iter().map(|vbd| cx.db.link(vbd, "VDI")).find(|vdi| cx.db.exists(*vdi));
    furnish(cx, guest, sr, network, |cx, name| {
        let twin = vdi::clone_of(cx, disk?).ok()?;
        cx.db.set(twin, "name_label", name);
        Some(twin)
    });
    guest
}

/// Gives a VM a disk, a CD drive and an interface.
fn furnish(cx: &mut Cx<'_>, vm: Ref, _sr: Ref, network: Ref, disk: impl FnOnce(&mut Cx<'_>, &str) -> Option<Ref>) {
    let name = format!("{} disk 0", cx.db.text(vm, "name_label"));
    if let Some(disk) = disk(cx, &name) {
        let fields = vec![
            ("VM", Value::Ref(vm)),
            ("VDI", Value::Ref(disk)),
            ("userdevice", Value::from("0")),
            ("bootable", Value::Bool(true)),
            ("mode", Value::from("RW")),
            ("type", Value::from("Disk")),
            ("unpluggable", Value::Bool(false)),
            ("other_config", Value::from([("owner", "")])),
        ];
        cx.db.create_with("VBD", fields);
    }
    let drive = vec![
        ("VM", Value::Ref(vm)),
        ("userdevice", Value::from("3")),
        ("mode", Value::from("RO")),
        ("type", Value::from("CD")),
        ("empty", Value::Bool(true)),
    ];
    cx.db.create_with("VBD", drive);
    let mac = vif::fresh_mac(cx.db);
    let interface = vec![
        ("VM", Value::Ref(vm)),
        ("network", Value::Ref(network)),
        ("device", Value::from("0")),
        ("MAC", Value::from(mac)),
        ("MAC_autogenerated", Value::Bool(true)),
        ("MTU", Value::Int(1500)),
        ("locking_mode", Value::from("network_default")),
    ];
    cx.db.create_with("VIF", interface);
}
