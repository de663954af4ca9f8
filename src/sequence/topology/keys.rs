//! The keys of a preparation in YAML or JSON, and the elements and attributes that say the same.
//!
//! To add a key: a row in the table of its noun.

/// The keys of a map, and what each of them becomes.
pub struct Shape {
    /// What it is called, for messages.
    pub noun: &'static str,
    /// Tables of keys; some are those of several nouns.
    keys: &'static [&'static [(&'static str, To)]],
}

impl Shape {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().flat_map(|table| table.iter().map(|(name, _)| *name))
    }

    pub fn find(&self, key: &str) -> Option<To> {
        self.keys.iter().flat_map(|table| table.iter()).find(|(name, _)| *name == key).map(|(_, to)| *to)
    }
}

/// What becomes of the value of a key.
#[derive(Clone, Copy)]
pub enum To {
    /// An attribute. A list of texts becomes one with commas.
    Attribute(&'static str),
    /// The same, of a value of any form, written as JSON.
    Free(&'static str),
    /// A child with the text. A list becomes a text with commas; a map, `name=value` with commas.
    Text(&'static str),
    /// A child with any value, written as JSON.
    FreeText(&'static str),
    /// A list of maps: a child for each.
    Each(&'static str, &'static Shape),
    /// A map: one child.
    One(&'static str, &'static Shape),
    /// A list of texts: a child for each, with the text as this attribute.
    Names(&'static str, &'static str),
    /// A number of children.
    Count(&'static str),
    /// A child if it says yes, or if it says something else, which is its `mode`.
    Role(&'static str),
    /// An attribute of the child that another key makes.
    Of(&'static str, &'static str),
    /// A list of maps: the children of one child.
    Within(&'static str, &'static str, &'static Shape),
}

use To::{Attribute as A, Count, Each, Free, FreeText, Names, Of, One, Role, Text, Within};

/// What is on a host or a pool.
const CONTENTS: &[(&str, To)] = &[
    ("srs", Each("storage", &STORAGE)),
    ("bridges", Each("bridge", &BRIDGE)),
    ("network", One("NETWORK", &NETWORK)),
    ("vms", Each("vm", &VM)),
    ("templates", Each("template", &VM)),
    ("vm_groups", Each("vmgroup", &VM_GROUP)),
];
/// How a host is installed.
const INSTALLATION: &[(&str, To)] = &[
    ("version", A("version")),
    ("product_version", A("productVersion")),
    ("product_type", A("productType")),
    ("install_sr_type", A("installsr")),
    ("license", A("license")),
    ("defaultlicense", A("defaultlicense")),
    ("noisos", A("noisos")),
    ("disk_count", A("diskCount")),
    ("cpufreqgovernor", A("cpufreqgovernor")),
    ("dhcp", A("dhcp")),
    ("ipv6", A("ipv6")),
    ("noipv4", A("noipv4")),
    ("iommu", A("iommu")),
    ("suppackcds", A("suppackcds")),
    ("default", A("default")),
    ("disablefw", A("disablefw")),
    ("extra_config", Free("extraConfig")),
];
/// What a VM is, but for its name.
const BODY: &[(&str, To)] = &[
    ("distro", Text("distro")),
    ("vcpus", Text("vcpus")),
    ("cores_per_socket", Text("corespersocket")),
    ("memory", Text("memory")),
    ("sr", Text("storage")),
    ("arch", Text("arch")),
    ("vifs", Each("network", &VIF)),
    ("disks", Each("disk", &DISK)),
    ("postinstall", Each("postinstall", &ACTION)),
    ("scripts", Names("script", "name")),
    ("file_name", Text("file")),
    ("user", Of("file", "user")),
    ("boot_params", Text("bootparams")),
    ("packages", Text("packages")),
    ("guestparams", Text("guestparams")),
];

pub const PREPARATION: Shape = Shape {
    noun: "a preparation",
    keys: &[&[
        ("pools", Each("pool", &POOL)),
        ("hosts", Each("host", &HOST)),
        ("multihosts", One("allhosts", &MULTIHOSTS)),
        ("utilityvms", Within("sharedhost", "vm", &VM)),
        ("templates", Each("template", &INSTANCE)),
        ("instances", Each("instance", &INSTANCE)),
        ("blueprints", Each("blueprint", &BLUEPRINT)),
        ("vlans", Each("vlan", &NAMED)),
        ("cloud", FreeText("cloud")),
    ]],
};
const POOL: Shape = Shape {
    noun: "a pool",
    keys: &[
        &[
            ("id", A("id")),
            ("name", A("name")),
            ("master", A("master")),
            ("ssl", A("ssl")),
            ("hosts", Each("host", &HOST)),
            ("multihosts", One("allhosts", &MULTIHOSTS)),
        ],
        CONTENTS,
    ],
};
const HOST: Shape = Shape {
    noun: "a host",
    keys: &[
        &[
            ("id", A("id")),
            ("name", A("alias")),
            ("container", A("container")),
            ("vname", A("vname")),
            ("vcpus", A("vcpus")),
            ("vmemory", A("vmemory")),
            ("vdisksize", A("vdisksize")),
            ("vsr", A("vsr")),
            ("vnetworks", A("vnetworks")),
        ],
        INSTALLATION,
        CONTENTS,
    ],
};
const MULTIHOSTS: Shape =
    Shape { noun: "`multihosts`", keys: &[&[("start", A("start")), ("end", A("stop"))], INSTALLATION, CONTENTS] };
const STORAGE: Shape = Shape {
    noun: "storage",
    keys: &[&[
        ("type", A("type")),
        ("name", A("name")),
        ("default", A("default")),
        ("options", A("options")),
        ("network", A("network")),
        ("size", A("size")),
        ("vmhost", A("vmhost")),
        ("blkbackpoolsize", A("blkbackpoolsize")),
    ]],
};
const BRIDGE: Shape = Shape { noun: "a bridge", keys: &[&[("name", A("name")), ("type", A("type"))]] };
const NAMED: Shape = Shape { noun: "a VLAN", keys: &[&[("name", A("name"))]] };
const NETWORK: Shape =
    Shape { noun: "a network", keys: &[&[("controller", A("controller")), ("physical_networks", Each("PHYSICAL", &PHYSICAL))]] };
const PHYSICAL: Shape = Shape {
    noun: "a physical network",
    keys: &[&[
        ("network", A("network")),
        ("name", A("name")),
        ("jumbo", A("jumbo")),
        ("bond_mode", A("bond-mode")),
        ("speed", A("speed")),
        ("nics", Count("NIC")),
        ("specified_nics", Names("NIC", "enum")),
        ("management", Role("MANAGEMENT")),
        ("storage", Role("STORAGE")),
        ("vms", Role("VMS")),
        ("vlans", Each("VLAN", &TAGGED)),
    ]],
};
const TAGGED: Shape = Shape {
    noun: "a VLAN",
    keys: &[&[
        ("network", A("network")),
        ("name", A("name")),
        ("management", Role("MANAGEMENT")),
        ("storage", Role("STORAGE")),
        ("vms", Role("VMS")),
    ]],
};
const VM: Shape = Shape { noun: "a VM", keys: &[&[("name", A("name"))], BODY] };
const VM_GROUP: Shape = Shape { noun: "a group of VMs", keys: &[&[("basename", A("basename")), ("number", A("number"))], BODY] };
const VIF: Shape = Shape {
    noun: "a network interface",
    keys: &[&[
        ("device", A("device")),
        ("network", A("bridge")),
        ("ip", A("ip")),
        ("sriov", A("sriov")),
        ("physdev", A("physdev")),
    ]],
};
const DISK: Shape = Shape {
    noun: "a disk",
    keys: &[&[("device", A("device")), ("size", A("size")), ("count", A("number")), ("format", A("format"))]],
};
const ACTION: Shape = Shape { noun: "an action", keys: &[&[("action", A("action"))]] };
const INSTANCE: Shape = Shape {
    noun: "an instance",
    keys: &[&[
        ("distro", A("distro")),
        ("name", A("name")),
        ("zone", A("zone")),
        ("install_tools", A("installTools")),
        ("hypervisor_type", A("hypervisorType")),
        ("vcpus", Text("vcpus")),
        ("memory", Text("memory")),
        ("root_disk", Text("rootdisk")),
    ]],
};
const BLUEPRINT: Shape = Shape {
    noun: "a blueprint",
    keys: &[&[
        ("name", A("name")),
        ("version", A("version")),
        ("deploymentProfileTemplateName", A("deploymentProfileTemplateName")),
        ("templateName", Text("templateName")),
    ]],
};
