//! Storage repositories: the types there are, and the options each of them has.

use super::reading::Reading;
use crate::name::did_you_mean;
use crate::sequence::scope::{Form, short};
use crate::sequence::xml::Element;
use serde::Serialize;

/// A storage repository to be made on a pool's master or a host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Storage {
    pub name: String,
    /// One of those in the table of types; `equal` is kept as `eql`.
    #[serde(rename = "type")]
    pub sort: String,
    /// New VMs, crash dumps and suspended VMs go there.
    #[serde(rename = "default")]
    pub is_default: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<StorageOption>,
    /// The network that it is reached over; nothing where the type has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// In GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The host that the VM which serves it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmhost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkback_pool_size: Option<u64>,
}

/// What one of the words of `options` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageOption {
    /// Large frames on the way to it.
    Jumbo,
    /// The export itself, not a directory below it.
    NoSubdirectory,
    /// Plain files on the export.
    FileSr,
    /// NFS version 4.
    V4,
    Thin,
    ThinInitial(String),
    ThinQuantum(String),
    /// A LUN of 300 GB from the controller.
    Iet,
    /// A LUN from a VM.
    IetVm,
    MppRdac,
    InitiatorCount(u32),
    /// A share of one of the run's own machines.
    OnHost {
        host: u32,
        /// A disk, or the letter of a drive.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    /// A share from a VM.
    Vm,
    /// As an ordinary user of the share.
    CifsUser,
    /// What the storage back end takes as it is.
    Other(String),
}

/// A type of storage.
struct Sort {
    name: &'static str,
    /// How each option is written; a part in angle brackets is the user's.
    options: &'static [&'static str],
    /// Where it is reached when nobody says.
    network: Option<&'static str>,
}

/// An option of free form.
const FREE: &[&str] = &["<text>"];
const THIN: &[&str] = &["thin", "thin_init:<size>", "thin_quan:<size>"];

/// Every type of storage there is. To add one: a row.
///
/// # Source
/// User guide, "Provisioning Machines": nfs, lvmoiscsi and extoiscsi; the others are those of existing sequence files.
const SORTS: &[Sort] = &[
    Sort { name: "nfs", options: &["jumbo", "nosubdir", "filesr", "v4", "host-<n>"], network: Some("NPRI") },
    Sort {
        name: "lvmoiscsi",
        options: &["thin", "thin_init:<size>", "thin_quan:<size>", "iet", "ietvm", "jumbo", "mpprdac", "initiatorcount=<n>"],
        network: None,
    },
    Sort { name: "extoiscsi", options: &["jumbo"], network: None },
    Sort { name: "fc", options: THIN, network: None },
    Sort { name: "fcoe", options: THIN, network: None },
    Sort { name: "smb", options: &["vm", "cifsuser", "host-<n>"], network: None },
    Sort { name: "netapp", options: FREE, network: None },
    Sort { name: "eql", options: FREE, network: None },
    Sort { name: "equal", options: FREE, network: None },
    Sort { name: "icvsmnetapp", options: &[], network: None },
    Sort { name: "icvsmeql", options: &[], network: None },
    Sort { name: "icvsmfc", options: &[], network: None },
    Sort { name: "icvsmsmisiscsi", options: &[], network: None },
    Sort { name: "icvsmsmisfc", options: &[], network: None },
    Sort { name: "cvsmnetapp", options: &[], network: None },
    Sort { name: "cvsmeql", options: &[], network: None },
    Sort { name: "cvsmfc", options: &[], network: None },
    Sort { name: "cvsmsmisiscsi", options: &[], network: None },
    Sort { name: "cvsmsmisfc", options: &[], network: None },
    Sort { name: "smapiv3local", options: FREE, network: None },
    Sort { name: "btrfs", options: FREE, network: None },
    Sort { name: "smapiv3shared", options: FREE, network: None },
    Sort { name: "rawnfs", options: FREE, network: None },
];

const FORM: Form = Form {
    attributes: &["type", "name", "default", "options", "network", "size", "vmhost", "blkbackpoolsize"],
    children: Some(&[]),
    text: false,
};

impl Storage {
    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Storage> {
        let scope = &mut *reading.scope;
        scope.check(element, &FORM);
        let written = scope.required(element, "type");
        let name = scope.required(element, "name");
        let sort = written.and_then(|written| {
            let sort = SORTS.iter().find(|sort| sort.name == written);
            if sort.is_none() {
                let help = did_you_mean(&written, SORTS.iter().map(|sort| sort.name));
                let help = help.unwrap_or_else(|| format!("there is: {}", names().join(", ")));
                let message = format!("there is no storage of type `{}`", short(&written));
                scope.wrong("unknown-type", element.place_of("type"), message, Some(help));
            }
            sort
        });
        let options = scope.attribute(element, "options").unwrap_or_default();
        let (sort, name) = (sort?, name?);
        let options: Vec<StorageOption> = words(&options).filter_map(|word| sort.option(element, word, reading)).collect();
        let scope = &mut *reading.scope;
        let storage = Storage {
            sort: if sort.name == "equal" { "eql" } else { sort.name }.to_string(),
            is_default: scope.boolean(element, "default").unwrap_or(false),
            network: scope.attribute(element, "network").or_else(|| sort.network.map(str::to_string)),
            size: scope.number(element, "size"),
            vmhost: scope.attribute(element, "vmhost"),
            blkback_pool_size: scope.number(element, "blkbackpoolsize"),
            name,
            options,
        };
        if storage.options.contains(&StorageOption::IetVm) {
            for needed in ["vmhost", "size"] {
                if element.attribute(needed).is_none() {
                    let at = element.place_of("options");
                    scope.wrong("missing-attribute", at, format!("a LUN from a VM (`ietvm`) needs `{needed}`"), None);
                }
            }
        }
        Some(storage)
    }
}

fn words(options: &str) -> impl Iterator<Item = &str> {
    options.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn names() -> Vec<&'static str> {
    SORTS.iter().map(|sort| sort.name).collect()
}

impl Sort {
    /// One of the words of `options`.
    fn option(&self, element: &Element, word: &str, reading: &mut Reading<'_, '_>) -> Option<StorageOption> {
        if self.options == FREE {
            return Some(StorageOption::Other(word.to_string()));
        }
        let has = |form: &str| self.options.contains(&form);
        let head = |form: &'static str| form.split('<').next().unwrap_or(form);
        let form = self.options.iter().find(|form| form.contains('<') && word.starts_with(head(form)));
        let parsed = match form {
            Some(form) => parsed(form, &word[head(form).len()..]),
            None if has(word) => plain(word),
            None => None,
        };
        if parsed.is_none() {
            let help = match (form, self.options) {
                (Some(form), _) => Some(format!("write it as {form}")),
                (None, []) => Some("this type has no options".to_string()),
                (None, options) => did_you_mean(word, options.iter().copied()),
            };
            let message = format!("storage of type {} has no option `{}`", self.name, short(word));
            reading.scope.wrong("unknown-option", element.place_of("options"), message, help);
        }
        parsed
    }
}

fn plain(word: &str) -> Option<StorageOption> {
    Some(match word {
        "jumbo" => StorageOption::Jumbo,
        "nosubdir" => StorageOption::NoSubdirectory,
        "filesr" => StorageOption::FileSr,
        "v4" => StorageOption::V4,
        "thin" => StorageOption::Thin,
        "iet" => StorageOption::Iet,
        "ietvm" => StorageOption::IetVm,
        "mpprdac" => StorageOption::MppRdac,
        "vm" => StorageOption::Vm,
        "cifsuser" => StorageOption::CifsUser,
        _ => return None,
    })
}

/// An option with a part of the user's.
fn parsed(form: &str, rest: &str) -> Option<StorageOption> {
    if rest.is_empty() {
        return None;
    }
    match form.split('<').next()? {
        "thin_init:" => Some(StorageOption::ThinInitial(rest.to_string())),
        "thin_quan:" => Some(StorageOption::ThinQuantum(rest.to_string())),
        "initiatorcount=" => rest.parse().ok().map(StorageOption::InitiatorCount),
        "host-" => {
            let (host, device) = rest.split_once('-').map_or((rest, None), |(host, device)| (host, Some(device)));
            let device = device.filter(|device| !device.is_empty()).map(str::to_string);
            host.parse().ok().map(|host| StorageOption::OnHost { host, device })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_table_can_be_parsed() {
        for sort in SORTS.iter().filter(|sort| sort.options != FREE) {
            for form in sort.options {
                let is_read = match form.split_once('<') {
                    Some(_) => parsed(form, "1").is_some(),
                    None => plain(form).is_some(),
                };
                assert!(is_read, "{}: {form}", sort.name);
            }
        }
        assert_eq!(parsed("host-<n>", "2-sdb"), Some(StorageOption::OnHost { host: 2, device: Some("sdb".into()) }));
        assert_eq!(parsed("host-<n>", "2"), Some(StorageOption::OnHost { host: 2, device: None }));
        assert_eq!(parsed("host-<n>", "x"), None);
    }
}
