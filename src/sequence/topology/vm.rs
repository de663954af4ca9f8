//! VMs, groups of them, and templates: what is installed, with what, and what is done with it afterwards.

use super::call::Call;
use super::contents::Names;
use super::network::CABLED;
use super::reading::Reading;
use crate::name::did_you_mean;
use crate::sequence::scope::{Form, short};
use crate::sequence::xml::Element;
use serde::Serialize;
use std::net::IpAddr;

/// A VM to be installed, or imported.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Vm {
    pub name: String,
    /// Of a VM on a shared host: what its display name ends in, so that those of two jobs stay apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distro: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores_per_socket: Option<u32>,
    /// In MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Name of the storage of the root disk; nothing for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Only of Linux.
    pub arch: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<Nic>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// An image to import instead of installing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Arguments of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_params: Option<String>,
    /// Parameters of the platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guest_params: Vec<(String, String)>,
    /// What follows the installation, in this order; packages come last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<VmStep>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

impl VmStep {
    /// Whether it makes a template of the VM.
    pub fn converts(&self) -> bool {
        self.calls(CONVERT)
    }

    fn calls(&self, method: &str) -> bool {
        matches!(self, VmStep::Call(call) if call.method == method)
    }
}

/// A network interface. That of device 0 is the primary one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nic {
    Virtual {
        device: u32,
        network: Wire,
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<IpAddr>,
    },
    /// A part of a NIC of the host, passed through.
    PassedThrough { physical: Option<String> },
}

/// What a network interface of a VM is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// The bridge of the primary NIC.
    Primary,
    /// The bridge of this number.
    Numbered(u32),
    Named(String),
}

/// A disk. That of device 0 is the root disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    pub device: u32,
    /// In GB.
    pub size: u64,
    /// With a file system on it.
    pub format: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    pub file: String,
    /// Any URL, not a file of the site's own.
    pub user: bool,
}

/// What is done with a VM after it was installed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VmStep {
    Call(Call),
    /// A script of the sequence's, run on Windows.
    Script(String),
}

const CHILDREN: &[&str] = &[
    "distro",
    "vcpus",
    "corespersocket",
    "memory",
    "storage",
    "arch",
    "network",
    "disk",
    "postinstall",
    "script",
    "file",
    "bootparams",
    "packages",
    "guestparams",
];
const VM: Form = Form { attributes: &["name"], children: Some(CHILDREN), text: false };
const VMGROUP: Form = Form { attributes: &["basename", "number"], children: Some(CHILDREN), text: false };
const NIC: Form = Form { attributes: &["device", "bridge", "ip", "sriov", "physdev"], children: Some(&[]), text: false };
const DISK: Form = Form { attributes: &["device", "size", "format", "number"], children: Some(&[]), text: false };
const POSTINSTALL: Form = Form { attributes: &["action"], children: Some(&[]), text: false };
const SCRIPT: Form = Form { attributes: &["name"], children: Some(&[]), text: false };
const FILE: Form = Form { attributes: &["user"], children: Some(&[]), text: true };
const TEXT: Form = Form { attributes: &[], children: Some(&[]), text: true };

/// A group larger than this is a mistake.
const LARGEST_GROUP: u32 = 10_000;
/// Hypervisors give a VM a few hundred disks at most.
const MOST_DISKS: u32 = 1000;

/// Makes a template of a VM.
const CONVERT: &str = "convertToTemplate";
/// Installs the drivers that a VM has for its hypervisor.
const DRIVERS: &str = "installDrivers";

impl Vm {
    /// The architecture when nobody says.
    pub const ARCH: &str = "x86-32";

    /// A `vm`. The names are those that it can refer to; nothing where they are not known, as on a shared host.
    pub fn read(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Option<Vm> {
        reading.scope.check(element, &VM);
        let name = reading.scope.required(element, "name");
        let vm = Vm::body(element, names, reading);
        let name = name?;
        reading.take("VM", &name, element.place_of("name"));
        Some(Vm { name, ..vm })
    }

    /// A `template` of a host or pool: a VM that becomes one in the end.
    pub fn read_template(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Option<Vm> {
        let mut vm = Vm::read(element, names, reading)?;
        if !vm.is_template() {
            vm.steps.push(VmStep::Call(Call::plain(CONVERT)));
        }
        Some(vm)
    }

    /// A `vmgroup`: `<basename>-0`, `<basename>-1`, …
    pub fn read_group(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Vec<Vm> {
        reading.scope.check(element, &VMGROUP);
        let base = reading.scope.required(element, "basename");
        let number = reading.scope.required(element, "number").and_then(|_| reading.scope.number(element, "number"));
        let body = Vm::body(element, names, reading);
        let (Some(base), Some(number)) = (base, number) else { return Vec::new() };
        let at = element.place_of("number");
        if number > LARGEST_GROUP {
            let help = Some(format!("a group has {LARGEST_GROUP} at most"));
            reading.scope.fatal("too-large", at, format!("{number} VMs in one group"), help);
            return Vec::new();
        }
        if number == 0 {
            reading.scope.wrong("empty", at, "a group without a VM", None);
        }
        let names = (0..number).map(|n| format!("{base}-{n}"));
        let named = names.map(|name| {
            reading.take("VM", &name, element.place_of("basename"));
            Vm { name, ..body.clone() }
        });
        named.collect()
    }

    pub fn is_template(&self) -> bool {
        self.steps.iter().any(VmStep::converts)
    }

    /// Its name as the hypervisor shows it.
    pub fn display_name(&self) -> String {
        match &self.suffix {
            Some(suffix) => format!("{}-{suffix}", self.name),
            None => self.name.clone(),
        }
    }

    fn calls(&self, method: &str) -> bool {
        self.steps.iter().any(|step| step.calls(method))
    }

    /// All but the name.
    fn body(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Vm {
        for child in element.children.iter().filter(|child| is_text(&child.name)) {
            reading.scope.check(child, &TEXT);
        }
        let mut vm = Vm {
            distro: reading.child(element, "distro").map(|(text, _)| text),
            vcpus: reading.child_number(element, "vcpus"),
            cores_per_socket: reading.child_number(element, "corespersocket"),
            memory: reading.child_number(element, "memory"),
            storage: storage(element, names, reading),
            arch: reading.child(element, "arch").map_or_else(|| Vm::ARCH.to_string(), |(text, _)| text),
            nics: nics(element, names, reading),
            disks: disks(element, reading),
            image: image(element, reading),
            boot_params: reading.child(element, "bootparams").map(|(text, _)| text),
            guest_params: guest_params(element, reading),
            steps: steps(element, reading),
            packages: packages(element, reading),
            ..Vm::default()
        };
        let drivers = reading.variable_boolean("DEFAULT_PV_DRIVERS", element.at).unwrap_or(false);
        if drivers && vm.image.is_none() && !vm.calls(DRIVERS) {
            vm.steps.push(VmStep::Call(Call::plain(DRIVERS)));
        }
        vm
    }
}

/// The word for the default SR, which is where a disk goes that nobody says it of.
const DEFAULT_STORAGE: &str = "DEFAULT";

/// The children that hold only a text.
fn is_text(name: &str) -> bool {
    ["distro", "vcpus", "corespersocket", "memory", "storage", "arch", "bootparams", "packages", "guestparams"].contains(&name)
}

fn storage(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Option<String> {
    let (name, at) = reading.child(element, "storage").filter(|(name, _)| name != DEFAULT_STORAGE)?;
    // What a host has from its own installation, or was there before.
    let is_there = name.to_lowercase().starts_with("local storage") || is_uuid(&name);
    let known = names.map(|names| &names.storage);
    if let Some(known) = known.filter(|known| !is_there && !known.contains(&name) && !name.contains(['%', '$'])) {
        let help = match known.as_slice() {
            [] => Some("neither its host nor its pool has a `<storage>`".to_string()),
            known => did_you_mean(&name, known.iter().map(String::as_str)),
        };
        reading.scope.wrong("unknown-storage", at, format!("there is no storage `{}` for it", short(&name)), help);
    }
    Some(name)
}

fn is_uuid(name: &str) -> bool {
    let is_part = |(part, length): (&str, usize)| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.split('-').count() == 5 && name.split('-').zip([8, 4, 4, 4, 12]).all(is_part)
}

fn nics(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Vec<Nic> {
    let mut devices = Vec::new();
    let mut all = Vec::new();
    for child in element.children.iter().filter(|child| child.name == "network") {
        reading.scope.check(child, &NIC);
        if reading.scope.boolean(child, "sriov").unwrap_or(false) {
            all.push(Nic::PassedThrough { physical: reading.scope.attribute(child, "physdev") });
            continue;
        }
        let device = reading.scope.required(child, "device").and_then(|_| reading.scope.number(child, "device"));
        let network = wire(child, names, reading);
        let ip = ip(child, reading);
        let Some(device) = device else { continue };
        if devices.contains(&device) {
            let message = format!("there is a second network interface {device}");
            reading.scope.wrong("duplicate-device", child.place_of("device"), message, None);
        }
        devices.push(device);
        all.push(Nic::Virtual { device, network, ip });
    }
    all
}

fn wire(element: &Element, names: Option<&Names>, reading: &mut Reading<'_, '_>) -> Wire {
    let Some(name) = reading.scope.attribute(element, "bridge") else { return Wire::Primary };
    if let Ok(number) = name.parse() {
        return Wire::Numbered(number);
    }
    let is_known = |known: &[String]| known.contains(&name) || is_of_any_host(&name) || reading.vlans.contains(&name);
    let known = names.map(|names| &names.networks);
    if let Some(known) = known.filter(|known| !is_known(known) && !name.contains(['%', '$'])) {
        let all = known.iter().chain(&reading.vlans).map(String::as_str).chain(CABLED);
        let help = did_you_mean(&name, all).or_else(|| Some("give its host or pool a `<bridge>` of that name".to_string()));
        let message = format!("there is no network `{}` for it", short(&name));
        reading.scope.wrong("unknown-network", element.place_of("bridge"), message, help);
    }
    Wire::Named(name)
}

/// Names that networks have on any host: what it is cabled to, and bridges by their device names.
fn is_of_any_host(name: &str) -> bool {
    let numbered = |start: &str| name.strip_prefix(start).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    CABLED.contains(&name)
        || ["xenbr", "xapi", "virbr", "br", "VR"].iter().any(|start| numbered(start))
        || name.starts_with("Pool-wide network")
}

fn ip(element: &Element, reading: &mut Reading<'_, '_>) -> Option<IpAddr> {
    let text = reading.scope.attribute(element, "ip")?;
    let ip = text.trim().parse().ok();
    if ip.is_none() && !text.contains(['%', '$']) {
        let message = format!("`ip`: `{}` is not an address", short(&text));
        reading.scope.wrong("not-an-address", element.place_of("ip"), message, Some("write it as 10.0.0.5".to_string()));
    }
    ip
}

fn disks(element: &Element, reading: &mut Reading<'_, '_>) -> Vec<Disk> {
    let mut all: Vec<Disk> = Vec::new();
    for child in element.children.iter().filter(|child| child.name == "disk") {
        let scope = &mut *reading.scope;
        scope.check(child, &DISK);
        let first: Option<u32> = scope.required(child, "device").and_then(|_| scope.number(child, "device"));
        let size = scope.required(child, "size").and_then(|_| scope.number(child, "size"));
        let format = scope.boolean(child, "format").unwrap_or(false);
        let number: u32 = scope.number(child, "number").unwrap_or(1);
        let (Some(first), Some(size)) = (first, size) else { continue };
        let end = first.saturating_add(number);
        if number == 0 || end > MOST_DISKS {
            let help = Some(format!("a VM has {MOST_DISKS} disks at most"));
            scope.wrong("bad-number", child.place_of("number"), format!("`number`: {number} disks from {first} on"), help);
            continue;
        }
        for device in first..end {
            if all.iter().any(|disk| disk.device == device) {
                scope.wrong("duplicate-device", child.place_of("device"), format!("there is a second disk {device}"), None);
            }
            all.push(Disk { device, size, format });
        }
    }
    all
}

fn image(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Image> {
    let child = reading.only(element, "file")?;
    reading.scope.check(child, &FILE);
    let user = reading.scope.boolean(child, "user").unwrap_or(false);
    reading.child(element, "file").map(|(file, _)| Image { file, user })
}

fn guest_params(element: &Element, reading: &mut Reading<'_, '_>) -> Vec<(String, String)> {
    let Some((text, at)) = reading.child(element, "guestparams") else { return Vec::new() };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = parts.filter_map(|part| {
        let pair = part.split_once('=');
        if pair.is_none() {
            let help = Some("write them as name=value,name=value".to_string());
            reading.scope.wrong("bad-parameter", at, format!("`{}` has no value", short(part)), help);
        }
        pair.map(|(name, value)| (name.to_string(), value.to_string()))
    });
    read.collect()
}

fn packages(element: &Element, reading: &mut Reading<'_, '_>) -> Vec<String> {
    let Some((text, _)) = reading.child(element, "packages") else { return Vec::new() };
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect()
}

/// `postinstall` and `script`, in the order of the file.
fn steps(element: &Element, reading: &mut Reading<'_, '_>) -> Vec<VmStep> {
    let mut all = Vec::new();
    for child in &element.children {
        match child.name.as_str() {
            "postinstall" => {
                reading.scope.check(child, &POSTINSTALL);
                let Some(action) = reading.scope.required(child, "action") else { continue };
                match Call::parse(&action) {
                    Ok(call) => all.push(VmStep::Call(call)),
                    Err((what, offset)) => {
                        let written = child.attribute("action").filter(|a| a.value == action);
                        let at = written.map_or_else(|| child.place_of("action"), |a| a.place_in(offset));
                        let help = Some("an action is a method of a VM with plain arguments: snapshot(name='clean')".to_string());
                        reading.scope.wrong("bad-action", at, format!("`{}`: {what}", short(&action)), help);
                    }
                }
            }
            "script" => {
                reading.scope.check(child, &SCRIPT);
                let Some(name) = reading.scope.required(child, "name") else { continue };
                if !reading.scripts.contains_key(&name) {
                    let help = match reading.scripts.len() {
                        0 => Some("load it before, at the top of the sequence: <script filename=\"…\"/>".to_string()),
                        _ => did_you_mean(&name, reading.scripts.keys().map(String::as_str)),
                    };
                    let message = format!("there is no script `{}`", short(&name));
                    reading.scope.wrong("unknown-script", child.place_of("name"), message, help);
                }
                all.push(VmStep::Script(name));
            }
            _ => {}
        }
    }
    all
}
