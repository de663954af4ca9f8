//! What `xe` knows beside the datamodel: how its classes are called, and which call each command makes.

/// A class as `xe` has it.
pub(super) struct Class {
    /// As commands begin.
    pub word: &'static str,
    /// In the datamodel.
    pub name: &'static str,
    /// What a list shows by itself.
    pub columns: &'static [&'static str],
    /// Fields that every one of them has with this value: templates are VMs too.
    pub only: &'static [(&'static str, bool)],
}

const NAMES: &[&str] = &["uuid", "name-label", "name-description"];
const VM_COLUMNS: &[&str] = &["uuid", "name-label", "power-state"];

pub(super) const CLASSES: &[Class] = &[
    Class { word: "bond", name: "Bond", columns: &["uuid", "master", "slaves"], only: &[] },
    Class { word: "console", name: "console", columns: &["uuid", "vm-uuid", "vm-name-label", "protocol", "location"], only: &[] },
    Class { word: "host", name: "host", columns: NAMES, only: &[] },
    Class {
        word: "message",
        name: "message",
        columns: &["uuid", "name", "priority", "class", "obj-uuid", "timestamp", "body"],
        only: &[],
    },
    Class { word: "network", name: "network", columns: &["uuid", "name-label", "name-description", "bridge"], only: &[] },
    Class {
        word: "pbd",
        name: "PBD",
        columns: &["uuid", "host-uuid", "sr-uuid", "device-config", "currently-attached"],
        only: &[],
    },
    Class { word: "pif", name: "PIF", columns: &["uuid", "device", "currently-attached", "VLAN", "network-uuid"], only: &[] },
    Class { word: "pool", name: "pool", columns: &["uuid", "name-label", "name-description", "master", "default-SR"], only: &[] },
    Class {
        word: "snapshot",
        name: "VM",
        columns: &["uuid", "name-label", "name-description", "is-vmss-snapshot"],
        only: &[("is_a_snapshot", true)],
    },
    Class {
        word: "sr",
        name: "SR",
        columns: &["uuid", "name-label", "name-description", "host", "type", "content-type"],
        only: &[],
    },
    Class { word: "task", name: "task", columns: &["uuid", "name-label", "name-description", "status", "progress"], only: &[] },
    Class { word: "template", name: "VM", columns: NAMES, only: &[("is_a_template", true), ("is_a_snapshot", false)] },
    Class { word: "vbd", name: "VBD", columns: &["uuid", "vm-uuid", "vm-name-label", "vdi-uuid", "empty", "device"], only: &[] },
    Class {
        word: "vdi",
        name: "VDI",
        columns: &["uuid", "name-label", "name-description", "sr-uuid", "virtual-size", "sharable", "read-only"],
        only: &[],
    },
    Class { word: "vif", name: "VIF", columns: &["uuid", "device", "MAC", "MTU", "vm-uuid", "network-uuid"], only: &[] },
    Class { word: "vlan", name: "VLAN", columns: &["uuid", "tagged-PIF", "untagged-PIF", "tag"], only: &[] },
    Class { word: "vm", name: "VM", columns: VM_COLUMNS, only: &[("is_a_template", false), ("is_a_snapshot", false)] },
];

/// A command that makes one call.
pub(super) struct Action {
    pub command: &'static str,
    pub method: &'static str,
    /// Words of the command line for parameters that are called otherwise in the datamodel; `{a b}` gathers words into a map, `=x` is
    /// the value `x` when nothing is given.
    pub words: &'static [(&'static str, &'static str)],
}

const fn plain(command: &'static str, method: &'static str) -> Action {
    Action { command, method, words: &[] }
}

const fn with(command: &'static str, method: &'static str, words: &'static [(&'static str, &'static str)]) -> Action {
    Action { command, method, words }
}

const NEW_NAME: &[(&str, &str)] = &[("new_name", "new-name-label")];
const VBD: &[(&str, &str)] = &[
    ("userdevice", "device"),
    ("mode", "mode=RW"),
    ("type", "type=Disk"),
    ("bootable", "bootable=false"),
    ("unpluggable", "unpluggable=true"),
];
const VDI: &[(&str, &str)] = &[("type", "type=user")];
const VIF: &[(&str, &str)] = &[("MTU", "mtu=1500"), ("locking_mode", "locking-mode=network_default"), ("MAC", "mac")];

/// Rows are tried in their order; one whose words in front of `?` are given comes before the plain one.
pub(super) const ACTIONS: &[Action] = &[
    with("host-call-plugin", "host.call_plugin", &[("args", "args")]),
    plain("host-disable", "host.disable"),
    plain("host-enable", "host.enable"),
    plain("host-evacuate", "host.evacuate"),
    plain("host-forget", "host.destroy"),
    plain("host-reboot", "host.reboot"),
    plain("host-shutdown", "host.shutdown"),
    plain("message-destroy", "message.destroy"),
    with("network-create", "network.create", &[("MTU", "MTU=1500"), ("managed", "managed=true")]),
    plain("network-destroy", "network.destroy"),
    plain("pbd-create", "PBD.create"),
    plain("pbd-destroy", "PBD.destroy"),
    plain("pbd-plug", "PBD.plug"),
    plain("pbd-unplug", "PBD.unplug"),
    plain("pif-forget", "PIF.forget"),
    plain("pif-plug", "PIF.plug"),
    plain("pif-scan", "PIF.scan"),
    plain("pif-unplug", "PIF.unplug"),
    plain("pool-designate-new-master", "pool.designate_new_master"),
    plain("pool-disable-ha", "pool.disable_ha"),
    plain("pool-eject", "pool.eject"),
    with("pool-enable-ha", "pool.enable_ha", &[("heartbeat_srs", "heartbeat-sr-uuids"), ("configuration", "ha-config")]),
    plain("pool-join", "pool.join"),
    plain("pool-sync-database", "pool.sync_database"),
    plain("snapshot-destroy", "VM.destroy"),
    with("snapshot-revert", "VM.revert", &[("snapshot", "snapshot-uuid")]),
    with(
        "sr-create",
        "SR.create",
        &[("physical_size", "physical-size=0"), ("content_type", "content-type"), ("shared", "shared=false")],
    ),
    plain("sr-destroy", "SR.destroy"),
    plain("sr-forget", "SR.forget"),
    plain("sr-introduce", "SR.introduce"),
    plain("sr-scan", "SR.scan"),
    plain("task-cancel", "task.cancel"),
    plain("template-destroy", "VM.destroy"),
    with("vbd-create", "VBD.create", VBD),
    plain("vbd-destroy", "VBD.destroy"),
    plain("vbd-eject", "VBD.eject"),
    with("vbd-insert", "VBD.insert", &[("vdi", "vdi-uuid")]),
    plain("vbd-plug", "VBD.plug"),
    plain("vbd-unplug", "VBD.unplug"),
    plain("vdi-clone", "VDI.clone"),
    plain("vdi-copy", "VDI.copy"),
    with("vdi-create", "VDI.create", VDI),
    plain("vdi-destroy", "VDI.destroy"),
    plain("vdi-forget", "VDI.forget"),
    with("vdi-resize", "VDI.resize", &[("size", "disk-size")]),
    plain("vdi-snapshot", "VDI.snapshot"),
    with("vif-create", "VIF.create", VIF),
    plain("vif-destroy", "VIF.destroy"),
    plain("vif-plug", "VIF.plug"),
    plain("vif-unplug", "VIF.unplug"),
    with("vm-checkpoint", "VM.checkpoint", NEW_NAME),
    with("vm-clone", "VM.clone", NEW_NAME),
    with("vm-copy", "VM.copy", NEW_NAME),
    plain("vm-destroy", "VM.destroy"),
    with(
        "vm-memory-limits-set",
        "VM.set_memory_limits",
        &[
            ("static_min", "static-min"),
            ("static_max", "static-max"),
            ("dynamic_min", "dynamic-min"),
            ("dynamic_max", "dynamic-max"),
        ],
    ),
    with("vm-migrate", "VM.pool_migrate", &[("options", "{live force compress}")]),
    plain("vm-pause", "VM.pause"),
    with("vm-reboot --force", "VM.hard_reboot", &[]),
    plain("vm-reboot", "VM.clean_reboot"),
    plain("vm-resume", "VM.resume"),
    with("vm-shutdown --force", "VM.hard_shutdown", &[]),
    plain("vm-shutdown", "VM.clean_shutdown"),
    with("vm-snapshot", "VM.snapshot", NEW_NAME),
    with("vm-start on=", "VM.start_on", &[("host", "on"), ("start_paused", "paused=false")]),
    with("vm-start", "VM.start", &[("start_paused", "paused=false")]),
    plain("vm-suspend", "VM.suspend"),
    plain("vm-unpause", "VM.unpause"),
    with("vm-vcpu-hotplug", "VM.set_VCPUs_number_live", &[("nvcpu", "new-vcpus")]),
];
