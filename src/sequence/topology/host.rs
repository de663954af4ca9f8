//! Hosts: machines to install a hypervisor on, or VMs that play one.

use super::contents::{self, Contents, Names};
use super::reading::Reading;
use crate::diagnostic::At;
use crate::sequence::scope::Form;
use crate::sequence::xml::Element;
use crate::sequence::yaml;
use crate::unit::parse_boolean;
use serde::Serialize;
use serde_json::{Map, Value};

/// A host to be installed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Host {
    /// What sequences call it: its alias, `RESOURCE_HOST_<n>`, or `vhost-<name>`.
    pub name: String,
    pub machine: Machine,
    /// Where the product is; nothing for that of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Code name of a release, or a distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_version: Option<String>,
    pub product_type: String,
    /// What its own disks become; nothing for what the product does by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_sr: Option<String>,
    pub license: License,
    /// Whether the licence comes with the product, not from a licence server.
    pub default_license: bool,
    /// Whether it gets the repositories of installation images.
    pub isos: bool,
    pub disk_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpufreq_governor: Option<String>,
    pub dhcp: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
    /// Only with `ipv6`.
    pub no_ipv4: bool,
    pub iommu: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppack_cds: Option<String>,
    /// Whether it is `RESOURCE_HOST_DEFAULT` too.
    pub is_default: bool,
    pub disable_firewall: bool,
    /// For the driver of its product.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    #[serde(flatten)]
    pub contents: Contents,
}

/// What a host is installed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    /// The machine `RESOURCE_HOST_<n>`.
    Numbered(u32),
    Nested(Nested),
}

impl Machine {
    pub fn nested(&self) -> Option<&Nested> {
        match self {
            Machine::Nested(nested) => Some(nested),
            Machine::Numbered(_) => None,
        }
    }

    /// What sequences call the host on it when it has no alias.
    pub fn name(&self) -> String {
        match self {
            Machine::Numbered(number) => machine_name(*number),
            Machine::Nested(nested) => format!("vhost-{}", nested.vname),
        }
    }
}

/// A VM that plays a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nested {
    /// The machine that it runs on, `RESOURCE_HOST_<n>`.
    pub container: u32,
    pub vname: String,
    pub vcpus: u32,
    /// In MB.
    pub memory: u64,
    /// In GB.
    pub disk: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

impl Nested {
    pub const MEMORY: u64 = 4096;

    pub fn new(container: u32, vname: String) -> Nested {
        Nested { container, vname, vcpus: 2, memory: Nested::MEMORY, disk: 50, storage: None, networks: Vec::new() }
    }
}

/// What licence a host gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum License {
    /// What the product does when nobody says.
    #[default]
    Usual,
    /// The default licence.
    Yes,
    No,
    /// A named one: "free" is one of these.
    Sku(String),
}

impl License {
    fn of(text: &str) -> License {
        match parse_boolean(text) {
            Ok(true) => License::Yes,
            Ok(false) => License::No,
            Err(_) => License::Sku(text.to_string()),
        }
    }
}

/// The attributes of a host wherever it is, between others.
macro_rules! attributes {
    ([$($first:literal),*], [$($last:literal),*]) => {
        &[
            $($first,)*
            "version",
            "productVersion",
            "productType",
            "installsr",
            "license",
            "defaultlicense",
            "noisos",
            "diskCount",
            "cpufreqgovernor",
            "dhcp",
            "ipv6",
            "noipv4",
            "iommu",
            "suppackcds",
            "default",
            "disablefw",
            "extraConfig",
            $($last,)*
        ]
    };
}
const ATTRIBUTES: &[&str] =
    attributes!(["id", "alias"], ["container", "vname", "vcpus", "vmemory", "vdisksize", "vsr", "vnetworks"]);
/// All but what makes one of them another machine, and from where to where.
const ATTRIBUTES_OF_ALL: &[&str] = attributes!(["start", "stop"], []);
const HOST: Form = Form { attributes: ATTRIBUTES, children: Some(contents::CHILDREN), text: false };
const ALLHOSTS: Form = Form { attributes: ATTRIBUTES_OF_ALL, children: Some(contents::CHILDREN), text: false };
const OF_NESTED: &[&str] = &["vname", "vcpus", "vmemory", "vdisksize", "vsr", "vnetworks"];

/// The products that a host can be installed with.
const PRODUCTS: [&str; 7] = ["xenserver", "nativelinux", "nativewindows", "kvm", "esx", "hyperv", "oss"];
pub const USUAL_PRODUCT: &str = "xenserver";
/// `no` leaves the disks alone.
const INSTALL_SRS: [&str; 3] = ["ext", "lvm", "no"];
const IPV6: [&str; 3] = ["autoconf", "dhcp", "static"];

/// The machines of `allhosts`: every one from the first on, up to a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EveryHost {
    pub start: u32,
    /// The last one, if there is a last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<u32>,
    /// How many there are now.
    pub found: usize,
}

impl Host {
    /// A `host`.
    pub fn read(element: &Element, names: &Names, reading: &mut Reading<'_, '_>) -> Host {
        reading.scope.check(element, &HOST);
        let machine = machine(element, reading);
        let alias = reading.scope.attribute(element, "alias");
        Host::on(machine, alias, element, names, reading)
    }

    /// An `allhosts`: a host for each machine of the run.
    pub fn read_all(element: &Element, names: &Names, reading: &mut Reading<'_, '_>) -> (EveryHost, Vec<Host>) {
        reading.scope.check(element, &ALLHOSTS);
        let start = reading.scope.number(element, "start").unwrap_or(0);
        let stop = reading.scope.number(element, "stop");
        if let Some(stop) = stop.filter(|stop| *stop < start) {
            let message = format!("`stop` {stop} is before `start` {start}");
            reading.scope.wrong("bad-number", element.place_of("stop"), message, None);
        }
        let mut hosts = Vec::new();
        for number in start..=stop.unwrap_or(u32::MAX) {
            if reading.variable(&machine_name(number), element.at).is_none() {
                break;
            }
            hosts.push(Host::on(Machine::Numbered(number), None, element, names, reading));
        }
        (EveryHost { start, stop, found: hosts.len() }, hosts)
    }

    /// A host of which nothing is said but what it runs on.
    pub fn usual(machine: Machine, product_type: String) -> Host {
        Host {
            name: machine.name(),
            machine,
            version: None,
            product_version: None,
            product_type,
            install_sr: None,
            license: License::Usual,
            default_license: true,
            isos: true,
            disk_count: 1,
            cpufreq_governor: None,
            dhcp: true,
            ipv6: None,
            no_ipv4: false,
            iommu: false,
            suppack_cds: None,
            is_default: false,
            disable_firewall: false,
            extra: Map::new(),
            contents: Contents::default(),
        }
    }

    fn on(machine: Machine, alias: Option<String>, element: &Element, names: &Names, reading: &mut Reading<'_, '_>) -> Host {
        let own = machine.name();
        reading.take("host", &own, element.place_of(if matches!(machine, Machine::Nested(_)) { "vname" } else { "id" }));
        let name = alias.unwrap_or_else(|| own.clone());
        if name != own {
            reading.take("host", &name, element.place_of("alias"));
        }
        let ipv6 = reading.choice(element, "ipv6", &IPV6);
        let no_ipv4 = yes(element, "noipv4", false, reading);
        if no_ipv4 && ipv6.is_none() {
            let help = Some("add ipv6=\"autoconf\"".to_string());
            reading.scope.wrong("useless", element.place_of("noipv4"), "`noipv4` without `ipv6` leaves no address", help);
        }
        Host {
            name,
            machine,
            version: chosen(element, "version", reading),
            product_version: chosen(element, "productVersion", reading),
            product_type: product_type(element, reading),
            install_sr: reading
                .choice(element, "installsr", &INSTALL_SRS)
                .or_else(|| reading.variable("INSTALL_SR_TYPE", element.at)),
            license: license(element, reading),
            default_license: yes(element, "defaultlicense", true, reading),
            isos: !yes(element, "noisos", false, reading),
            disk_count: reading.scope.number(element, "diskCount").unwrap_or(1),
            cpufreq_governor: reading
                .scope
                .attribute(element, "cpufreqgovernor")
                .or_else(|| reading.variable("CPUFREQ_GOVERNOR", element.at)),
            dhcp: yes(element, "dhcp", true, reading),
            no_ipv4: no_ipv4 && ipv6.is_some(),
            ipv6,
            iommu: yes(element, "iommu", false, reading),
            suppack_cds: reading.scope.attribute(element, "suppackcds"),
            is_default: yes(element, "default", false, reading),
            disable_firewall: yes(element, "disablefw", false, reading),
            extra: extra(element, reading),
            contents: Contents::read(element, names, reading),
        }
    }
}

/// What a machine of the run is called.
pub fn machine_name(number: u32) -> String {
    format!("RESOURCE_HOST_{number}")
}

/// The product of hosts that do not say.
pub fn usual_product(at: At, reading: &mut Reading<'_, '_>) -> String {
    reading.variable("PRODUCT_TYPE", at).unwrap_or_else(|| USUAL_PRODUCT.to_string())
}

fn product_type(element: &Element, reading: &mut Reading<'_, '_>) -> String {
    reading.choice(element, "productType", &PRODUCTS).unwrap_or_else(|| usual_product(element.at, reading))
}

fn license(element: &Element, reading: &mut Reading<'_, '_>) -> License {
    let text = reading.scope.attribute(element, "license").or_else(|| reading.variable("OPTION_LIC_SKU", element.at));
    text.map(|text| License::of(&text)).unwrap_or_default()
}

/// An attribute whose value DEFAULT is the same as none.
fn chosen(element: &Element, name: &str, reading: &mut Reading<'_, '_>) -> Option<String> {
    reading.scope.attribute(element, name).filter(|value| value != "DEFAULT")
}

fn yes(element: &Element, name: &str, otherwise: bool, reading: &mut Reading<'_, '_>) -> bool {
    reading.scope.boolean(element, name).unwrap_or(otherwise)
}

fn machine(element: &Element, reading: &mut Reading<'_, '_>) -> Machine {
    let Some(container) = reading.scope.number(element, "container") else {
        let scope = &mut *reading.scope;
        for name in OF_NESTED.iter().filter(|name| element.attribute(name).is_some()) {
            let help = Some("give the number of the machine that it runs on: container=\"0\"".to_string());
            let message = format!("`{name}` is for a nested host, and this is none");
            scope.wrong("useless", element.place_of(name), message, help);
        }
        return Machine::Numbered(scope.number(element, "id").unwrap_or(0));
    };
    if reading.scope.attribute(element, "id").is_some() {
        let message = "a nested host is no machine of its own: its `id` means nothing";
        reading.scope.warn("useless", element.place_of("id"), message, None);
    }
    let vname = reading.scope.attribute(element, "vname").unwrap_or_else(|| {
        reading.nameless += 1;
        format!("nested{}", reading.nameless - 1)
    });
    let scope = &mut *reading.scope;
    let networks = scope.attribute(element, "vnetworks").unwrap_or_default();
    let usual = Nested::new(container, vname);
    Machine::Nested(Nested {
        vcpus: scope.number(element, "vcpus").unwrap_or(usual.vcpus),
        memory: scope.number(element, "vmemory").unwrap_or(usual.memory),
        disk: scope.number(element, "vdisksize").unwrap_or(usual.disk),
        storage: scope.attribute(element, "vsr"),
        networks: networks.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect(),
        ..usual
    })
}

fn extra(element: &Element, reading: &mut Reading<'_, '_>) -> Map<String, Value> {
    let Some(text) = reading.scope.attribute(element, "extraConfig") else { return Map::new() };
    let at = element.place_of("extraConfig");
    match yaml::read(&text) {
        Ok(node) => match node.json() {
            Value::Object(map) => map,
            _ => {
                let help = Some("write it as {name: value}".to_string());
                reading.scope.wrong("bad-yaml", at, "`extraConfig` is not a map", help);
                Map::new()
            }
        },
        Err(wrong) => {
            reading.scope.wrong("bad-yaml", at, format!("`extraConfig` cannot be read: {}", wrong.what), None);
            Map::new()
        }
    }
}
