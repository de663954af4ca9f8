//! What is on a host, or on a pool's master: storage, networks and VMs.

use super::network::{Bridge, Network};
use super::reading::Reading;
use super::storage::Storage;
use super::vm::Vm;
use crate::sequence::scope::short;
use crate::sequence::xml::Element;
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contents {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<Storage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bridges: Vec<Bridge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// In the order of the file; templates are among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vms: Vec<Vm>,
}

/// The elements that can be in a host, and beside the hosts in a pool.
pub const CHILDREN: &[&str] = &["storage", "bridge", "NETWORK", "vm", "vmgroup", "template"];

impl Contents {
    /// Reads the children that it knows; the others are the caller's.
    pub fn read(element: &Element, names: &Names, reading: &mut Reading<'_, '_>) -> Contents {
        let of = |name: &'static str| element.children.iter().filter(move |child| child.name == name);
        let mut contents = Contents {
            storage: of("storage").filter_map(|child| Storage::read(child, reading)).collect(),
            bridges: of("bridge").filter_map(|child| Bridge::read(child, reading)).collect(),
            network: reading.only(element, "NETWORK").map(|child| Network::read(child, reading)),
            vms: Vec::new(),
        };
        contents.check_storage(element, reading);
        for child in &element.children {
            match child.name.as_str() {
                "vm" => contents.vms.extend(Vm::read(child, Some(names), reading)),
                "template" => contents.vms.extend(Vm::read_template(child, Some(names), reading)),
                "vmgroup" => contents.vms.extend(Vm::read_group(child, Some(names), reading)),
                _ => {}
            }
        }
        contents
    }

    pub fn is_empty(&self) -> bool {
        *self == Contents::default()
    }

    fn check_storage(&self, element: &Element, reading: &mut Reading<'_, '_>) {
        let written = element.children.iter().filter(|child| child.name == "storage");
        let named = |name: &str| self.storage.iter().filter(|storage| storage.name == name).count();
        for child in written {
            let Some(name) = reading.scope.attribute(child, "name") else { continue };
            if named(&name) > 1 {
                let message = format!("there is more than one storage `{}`", short(&name));
                reading.scope.wrong("duplicate-name", child.place_of("name"), message, None);
            }
        }
        if self.storage.iter().filter(|storage| storage.is_default).count() > 1 {
            let message = format!("`<{}>` has more than one default storage", element.name);
            reading.scope.wrong("two-defaults", element.at, message, Some("say default=\"yes\" for one of them".to_string()));
        }
    }
}

/// The names that VMs of a host or pool can refer to: those of the whole pool, as its hosts share them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub storage: Vec<String>,
    pub networks: Vec<String>,
}

impl Names {
    pub fn of(element: &Element, reading: &mut Reading<'_, '_>) -> Names {
        let mut names = Names::default();
        names.add(element, reading);
        names
    }

    fn add(&mut self, element: &Element, reading: &mut Reading<'_, '_>) {
        for child in &element.children {
            match child.name.as_str() {
                "storage" => self.storage.extend(reading.scope.attribute(child, "name")),
                "bridge" => self.networks.extend(reading.scope.attribute(child, "name")),
                // In there, what is written is the name.
                "PHYSICAL" | "VLAN" => {
                    let written = ["name", "network"].iter().filter_map(|name| child.attribute(name));
                    self.networks.extend(written.map(|attribute| attribute.value.clone()));
                    self.add(child, reading);
                }
                "host" | "allhosts" | "NETWORK" => self.add(child, reading),
                _ => {}
            }
        }
    }
}
