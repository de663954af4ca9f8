//! Networks of a host or pool: which NICs carry what (`NETWORK`), and internal networks (`bridge`).
//!
//! # Source
//! In `NETWORK` the original puts no variables in; there they are told, as they would be taken for names.

use super::reading::Reading;
use crate::sequence::scope::Form;
use crate::sequence::xml::Element;
use serde::Serialize;

/// An internal network, without a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bridge {
    pub name: String,
}

/// The whole network of a host or pool. What is not mentioned has no address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// The VM that controls the virtual switches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    pub physical: Vec<Physical>,
}

/// A NIC, or several as one, with what goes over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Physical {
    /// What it is cabled to.
    pub network: String,
    pub name: String,
    pub jumbo: bool,
    /// Only of two or more NICs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
    /// Which of the unused NICs that are cabled to the network; nothing for the first.
    pub nics: Vec<Option<u32>>,
    #[serde(flatten)]
    pub roles: Roles,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<Vlan>,
}

/// A tagged network on a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vlan {
    pub network: String,
    pub name: String,
    #[serde(flatten)]
    pub roles: Roles,
}

/// What a network is used for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// The first one of a host becomes its management interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<Addressing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Addressing>,
    pub vms: bool,
}

/// How a host gets its address on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    Dhcp,
    Static,
}

impl Addressing {
    pub fn word(self) -> &'static str {
        match self {
            Addressing::Dhcp => "dhcp",
            Addressing::Static => "static",
        }
    }
}

/// What a machine of the lab can be cabled to.
pub const CABLED: [&str; 5] = ["NPRI", "NSEC", "IPRI", "ISEC", "ANY"];
const BOND_MODES: [&str; 3] = ["balance-slb", "active-backup", "lacp"];

const BRIDGE: Form = Form { attributes: &["name", "type"], children: Some(&[]), text: false };
const NETWORK: Form = Form { attributes: &["controller"], children: Some(&["PHYSICAL"]), text: false };
const PHYSICAL: Form = Form {
    attributes: &["network", "name", "jumbo", "bond-mode", "speed"],
    children: Some(&["NIC", "MANAGEMENT", "STORAGE", "VMS", "VLAN"]),
    text: false,
};
const VLAN: Form = Form { attributes: &["network", "name"], children: Some(&["MANAGEMENT", "STORAGE", "VMS"]), text: false };
const NIC: Form = Form { attributes: &["enum"], children: Some(&[]), text: false };
const ROLE: Form = Form { attributes: &["mode"], children: Some(&[]), text: false };
const VMS: Form = Form { attributes: &[], children: Some(&[]), text: false };

impl Bridge {
    /// Its `type` means nothing, but old files have it.
    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Bridge> {
        reading.scope.check(element, &BRIDGE);
        reading.scope.required(element, "name").map(|name| Bridge { name })
    }
}

impl Network {
    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Network {
        reading.scope.check(element, &NETWORK);
        let controller = reading.scope.attribute(element, "controller");
        if let Some(name) = &controller {
            reading.refer("VM", name, element.place_of("controller"));
        }
        let physical = element.children.iter().filter(|child| child.name == "PHYSICAL");
        Network { controller, physical: physical.map(|child| Physical::read(child, reading)).collect() }
    }
}

impl Physical {
    fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Physical {
        reading.scope.check(element, &PHYSICAL);
        let network = word(element, "network", &CABLED, reading).unwrap_or_else(|| "NPRI".into());
        let nics: Vec<Option<u32>> = element.children.iter().filter(|c| c.name == "NIC").map(|nic| number(nic, reading)).collect();
        let given = word(element, "bond-mode", &BOND_MODES, reading);
        let bond_mode = (nics.len() > 1).then(|| given.clone().unwrap_or_else(|| usual_bond_mode(element, reading)));
        if let (Some(_), None) = (&given, &bond_mode) {
            let help = Some("give it two NICs or more".to_string());
            reading.scope.wrong("useless", element.place_of("bond-mode"), "only two NICs or more have a bond mode", help);
        }
        if nics.is_empty() {
            reading.scope.wrong("missing-element", element.at, "`<PHYSICAL>` has no `<NIC>`", None);
        }
        let vlans = element.children.iter().filter(|c| c.name == "VLAN").map(|vlan| Vlan::read(vlan, reading)).collect();
        Physical {
            name: text(element, "name", reading).unwrap_or_else(|| network.clone()),
            jumbo: reading.scope.boolean(element, "jumbo").unwrap_or(false),
            speed: text(element, "speed", reading),
            roles: Roles::read(element, reading),
            network,
            bond_mode,
            nics,
            vlans,
        }
    }
}

fn usual_bond_mode(element: &Element, reading: &mut Reading<'_, '_>) -> String {
    let has_no_slb = reading.variable_boolean("NO_SLB", element.at).unwrap_or(false);
    if has_no_slb { "active-backup" } else { "balance-slb" }.to_string()
}

impl Vlan {
    fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Vlan {
        reading.scope.check(element, &VLAN);
        let network = text(element, "network", reading).unwrap_or_else(|| "VR01".into());
        let roles = Roles::read(element, reading);
        for (role, name) in [(roles.management, "MANAGEMENT"), (roles.storage, "STORAGE")] {
            if let (Some(Addressing::Static), Some(child)) = (role, element.children.iter().find(|c| c.name == name)) {
                reading.scope.wrong("static-vlan", child.place_of("mode"), "there are no static addresses on a VLAN", None);
            }
        }
        Vlan { name: text(element, "name", reading).unwrap_or_else(|| network.clone()), network, roles }
    }
}

impl Roles {
    fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Roles {
        let management = role(element, "MANAGEMENT", reading);
        let storage = role(element, "STORAGE", reading);
        let vms = reading.only(element, "VMS");
        if let Some(vms) = vms {
            reading.scope.check(vms, &VMS);
        }
        if let (Some(management), Some(storage)) = (management, storage)
            && management != storage
        {
            let (one, other) = (management.word(), storage.word());
            let message = format!("one interface cannot have management by {one} and storage by {other}");
            reading.scope.wrong("two-addressings", element.at, message, Some("give both the same `mode`".to_string()));
        }
        Roles { management, storage, vms: vms.is_some() }
    }
}

fn role(element: &Element, name: &str, reading: &mut Reading<'_, '_>) -> Option<Addressing> {
    let child = reading.only(element, name)?;
    reading.scope.check(child, &ROLE);
    match word(child, "mode", &["dhcp", "static"], reading).as_deref() {
        Some("static") => Some(Addressing::Static),
        _ => Some(Addressing::Dhcp),
    }
}

fn number(element: &Element, reading: &mut Reading<'_, '_>) -> Option<u32> {
    reading.scope.check(element, &NIC);
    let value = text(element, "enum", reading)?;
    reading.number("enum", &value, element.place_of("enum"))
}

/// An attribute as it stands; references in it are told.
fn text(element: &Element, name: &str, reading: &mut Reading<'_, '_>) -> Option<String> {
    let value = &element.attribute(name)?.value;
    if value.contains("${") || value.matches('%').count() > 1 {
        let help = Some("write the value itself".to_string());
        reading.scope.wrong("not-expanded", element.place_of(name), "no variables are put in inside `<NETWORK>`", help);
    }
    Some(value.trim().to_string()).filter(|value| !value.is_empty())
}

fn word(element: &Element, name: &str, words: &[&str], reading: &mut Reading<'_, '_>) -> Option<String> {
    let value = text(element, name, reading)?;
    reading.one_of(element, name, value, words)
}
