//! What a VM is made from: an image, a template that has a system already, or an installation over the network.
//!
//! To add a distribution: a row in `FAMILIES`; one that can be installed over the network has its answers in `answers.rs`.
//!
//! # Source
//! `reference/library.md` 9.2; the names of the built-in templates of XenServer and XCP-ng.

use super::inventory::Existing;
use crate::error::{Blame, Error, Kind, Result};
use crate::sequence::topology::Vm;
use crate::toolstack::Guest;
use regex::Regex;

/// Key of a template's `other_config` that says that it came with the product, and has no disks.
const BUILT_IN: &str = "default_template";
/// What VMs are copied from that have been installed before: this, the distribution and the architecture.
const PREBUILT: &str = "xenrt-template-";
/// The template of systems that nobody knows.
const OTHER: &str = "Other install media";

/// What a VM is made from.
#[derive(Debug)]
pub enum Source<'e> {
    /// A file, or a URL.
    Image(&'e str),
    /// With a system on its disks.
    Template(&'e Guest),
    /// Nothing is installed: there is only this template to begin with.
    Empty(&'e Guest),
    /// A template without a system, to install one with.
    Install(&'e Guest),
}

/// A family of distributions that are installed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installer {
    Preseed,
    /// Ubuntu's since 20.04.
    Autoinstall,
    Kickstart,
    /// None over the network.
    None,
}

/// A distribution by its short name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// "debian", "ubuntu", "rhel".
    pub family: &'static str,
    /// "12", "22.04", "6.3".
    pub version: String,
    pub installer: Installer,
}

/// How distributions are called in sequences, by the built-in templates, and how they are installed.
struct Family {
    name: &'static str,
    /// A pattern; `{}` is the version.
    template: &'static str,
    installer: Installer,
}

const fn family(name: &'static str, template: &'static str, installer: Installer) -> Family {
    Family { name, template, installer }
}

const FAMILIES: &[Family] = &[
    family("alma", "^AlmaLinux {}", Installer::Kickstart),
    family("almalinux", "^AlmaLinux {}", Installer::Kickstart),
    family("centos", "^CentOS (Stream )?{}", Installer::Kickstart),
    family("debian", r"^Debian .*\b{}(\.0)?\b", Installer::Preseed),
    family("oel", "^Oracle (Enterprise )?Linux {}", Installer::Kickstart),
    family("ol", "^Oracle (Enterprise )?Linux {}", Installer::Kickstart),
    family("rhel", "^Red Hat Enterprise Linux {}", Installer::Kickstart),
    family("rocky", "^Rocky Linux {}", Installer::Kickstart),
    family("sles", "^SUSE Linux Enterprise.* {}", Installer::None),
    family("ubuntu", r"^Ubuntu .*\b{}\b", Installer::Autoinstall),
    family("win", r"^Windows {}( |$)", Installer::None),
    family("ws", r"^Windows Server {}( |$)", Installer::None),
];

/// What a VM of this sort is when a sequence leaves it open.
const GENERIC: &[(&str, &str)] = &[("generic-linux", "debian12"), ("generic-windows", "win10-x64")];

/// The distribution that a name stands for.
pub fn resolved(distro: &str) -> &str {
    GENERIC.iter().find(|(generic, _)| *generic == distro).map_or(distro, |(_, usual)| usual)
}

impl System {
    /// Takes a short name apart: "debian12", "rhel63", "ubuntu2204", "ws12r2-x64".
    pub fn of(distro: &str) -> Option<System> {
        let start = distro.find(|c: char| c.is_ascii_digit())?;
        let found = FAMILIES.iter().find(|family| family.name == &distro[..start])?;
        let rest = distro[start..].split('-').next().unwrap_or_default();
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let version = version(found.name, &digits, &rest[digits.len()..])?;
        let installer = match (found.installer, version.as_str()) {
            // Before 20.04 it has the installer of Debian.
            (Installer::Autoinstall, old) if old < "20.04" => Installer::Preseed,
            (installer, _) => installer,
        };
        Some(System { family: found.name, version, installer })
    }

    fn pattern(&self) -> Option<Regex> {
        let form = FAMILIES.iter().find(|family| family.name == self.family)?.template;
        // Of a minor release any will do: templates are made for a major one.
        let version = regex::escape(&self.version);
        let major = self.version.split('.').next().map(regex::escape).unwrap_or_default();
        let wanted = if ["win", "ws", "ubuntu"].contains(&self.family) { version } else { format!(r"({version}|{major})(\b|$)") };
        Regex::new(&form.replace("{}", &wanted)).ok()
    }
}

/// The version that digits in a short name stand for.
fn version(family: &str, digits: &str, rest: &str) -> Option<String> {
    if digits.contains('.') {
        return Some(digits.to_string());
    }
    let number: u32 = digits.parse().ok()?;
    let (tens, ones) = (number / 10, number % 10);
    Some(match family {
        "ubuntu" if number >= 1000 => format!("{}.{:02}", number / 100, number % 100),
        "ws" if rest.starts_with("r2") => format!("20{number:02} R2"),
        "ws" => format!("20{number:02}"),
        "win" => digits.to_string(),
        // Two digits are a major and a minor release, unless there is such a release.
        _ if (20..100).contains(&number) && ones == 0 && family == "debian" => tens.to_string(),
        _ if (20..100).contains(&number) => format!("{tens}.{ones}"),
        _ => digits.to_string(),
    })
}

/// What a VM is made from.
///
/// # Errors
/// `NotFound`: there is nothing to make it from, and what there could be.
pub fn source<'e>(vm: &'e Vm, existing: &'e Existing) -> Result<Source<'e>> {
    if let Some(image) = &vm.image {
        return Ok(Source::Image(&image.file));
    }
    let Some(distro) = vm.distro.as_deref().map(resolved) else {
        let other = existing.templates.iter().find(|template| template.name == OTHER);
        return other.map(Source::Empty).ok_or_else(|| nothing(vm, "nothing", None));
    };
    if let Some(template) = prebuilt(distro, vm, existing) {
        return Ok(Source::Template(template));
    }
    let system = System::of(distro);
    let pattern = system.as_ref().and_then(System::pattern);
    let is_fit = |template: &&Guest| template.name == distro || pattern.as_ref().is_some_and(|p| p.is_match(&template.name));
    let (built_in, own): (Vec<&Guest>, Vec<&Guest>) =
        existing.templates.iter().filter(is_fit).partition(|template| is_built_in(template));
    if let Some(template) = own.first() {
        return Ok(Source::Template(template));
    }
    let other = || existing.templates.iter().find(|template| template.name == OTHER);
    let system = system.filter(|system| system.installer != Installer::None);
    match (built_in.first().copied().or_else(other), system) {
        (Some(template), Some(_)) => Ok(Source::Install(template)),
        _ => Err(nothing(vm, distro, crate::name::did_you_mean(distro, existing.templates.iter().map(|t| t.name.as_str())))),
    }
}

pub fn is_built_in(template: &Guest) -> bool {
    template.other_config.get(BUILT_IN).is_some_and(|value| value == "true")
}

/// The template of a system that was installed before, of the architecture that is asked for or, where there is none, of any.
fn prebuilt<'e>(distro: &str, vm: &Vm, existing: &'e Existing) -> Option<&'e Guest> {
    let start = format!("{PREBUILT}{distro}");
    let rest = |template: &&'e Guest| template.name.strip_prefix(&start).map(|rest| rest.trim_start_matches('-').to_string());
    let mut all: Vec<(String, &Guest)> = existing
        .templates
        .iter()
        .filter(|template| template.name.strip_prefix(&start).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
        .filter_map(|template| Some((rest(&template)?, template)))
        .collect();
    all.sort_by_key(|(rest, _)| !rest.starts_with(&vm.arch));
    all.first().map(|(_, template)| *template)
}

fn nothing(vm: &Vm, distro: &str, near: Option<String>) -> Error {
    let what = format!("there is no template to make {} of ({distro})", vm.display_name());
    let usual = format!("install one by hand and call it {PREBUILT}{distro}-{}, or import an image with <file>", vm.arch);
    Error::new(Kind::NotFound, what).blame(Blame::Lab).help(near.map_or(usual.clone(), |near| format!("{near} Or {usual}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_taken_apart() {
        for (name, expected) in [
            ("debian12", "debian 12 Preseed"),
            ("debian60", "debian 6 Preseed"),
            ("debian10", "debian 10 Preseed"),
            ("ubuntu2204", "ubuntu 22.04 Autoinstall"),
            ("ubuntu1404", "ubuntu 14.04 Preseed"),
            ("rhel63", "rhel 6.3 Kickstart"),
            ("rhel9", "rhel 9 Kickstart"),
            ("rhel10", "rhel 10 Kickstart"),
            ("rhel6x", "rhel 6 Kickstart"),
            ("centos7u", "centos 7 Kickstart"),
            ("rocky9.4", "rocky 9.4 Kickstart"),
            ("win10-x64", "win 10 None"),
            ("win7sp1-x86", "win 7 None"),
            ("ws12r2-x64", "ws 2012 R2 None"),
            ("ws22-x64", "ws 2022 None"),
            ("plan9", "-"),
            ("debian", "-"),
        ] {
            let system = System::of(name);
            let shown = system.map_or("-".into(), |s| format!("{} {} {:?}", s.family, s.version, s.installer));
            assert_eq!(shown, expected, "{name}");
        }
    }

    #[test]
    fn built_in_templates_are_found_by_their_names() {
        for (name, template, expected) in [
            ("debian12", "Debian Bookworm 12", true),
            ("debian8", "Debian Jessie 8.0", true),
            ("debian1", "Debian Bookworm 12", false),
            ("ubuntu2204", "Ubuntu Jammy Jellyfish 22.04", true),
            ("ubuntu2004", "Ubuntu Jammy Jellyfish 22.04", false),
            ("rhel63", "Red Hat Enterprise Linux 6 (64-bit)", true),
            ("rhel63", "Red Hat Enterprise Linux 7", false),
            ("rocky9", "Rocky Linux 9", true),
            ("centos7", "CentOS 7", true),
            ("centos8", "CentOS Stream 8", true),
            ("ws12r2-x64", "Windows Server 2012 R2 (64-bit)", true),
            ("ws12-x64", "Windows Server 2022 (64-bit)", false),
            ("win10-x64", "Windows 10 (64-bit)", true),
            ("win1-x64", "Windows 10 (64-bit)", false),
        ] {
            let is_fit = System::of(name).unwrap().pattern().unwrap().is_match(template);
            assert_eq!(is_fit, expected, "{name}: {template}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(FAMILIES.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!((resolved("generic-linux"), resolved("rocky9")), ("debian12", "rocky9"));
    }
}
