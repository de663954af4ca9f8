//! The types of storage repositories: what each is made of, whether it belongs to a pool, and what becomes of its data.
//!
//! One table for scripts and for what a sequence prepares. To add a type: a row in [`SORTS`].

use crate::error::{Blame, Error, Kind, Result};
use crate::name::did_you_mean;
use crate::toolstack::{Ref, SrSpec};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A type of storage repository.
#[derive(Debug)]
pub struct Sort {
    /// What people write: "nfs", "fc".
    pub name: &'static str,
    /// What the toolstack calls it: "nfs", "lvmohba".
    pub kind: &'static str,
    /// "user", or "iso" for discs.
    pub content: &'static str,
    /// Whether all hosts of a pool see the same data.
    pub is_shared: bool,
    pub options: &'static [Setting],
    pub clean_up: CleanUp,
}

/// What an SR is told about its storage.
#[derive(Debug)]
pub struct Setting {
    /// What scripts write: "path".
    pub name: &'static str,
    /// What the back end reads: "serverpath". Scripts may write this, too.
    pub key: &'static str,
    pub need: Need,
    pub goes: Goes,
}

/// Whether somebody must say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// Found out there when nobody says it.
    Found,
    /// May be said, and must never be shown.
    Secret,
}

/// Where a setting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// To the back end on each host.
    Device,
    /// To the storage driver, once for all hosts.
    Driver,
}

/// How an SR is got rid of when it was made for a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanUp {
    /// With everything on it: the storage was ours.
    Destroy,
    /// The data stays: others may use the same storage.
    Forget,
}

const fn setting(name: &'static str, key: &'static str, need: Need) -> Setting {
    Setting { name, key, need, goes: Goes::Device }
}

const fn driver(name: &'static str, key: &'static str) -> Setting {
    Setting { name, key, need: Need::Optional, goes: Goes::Driver }
}

const ISCSI: &[Setting] = &[
    setting("target", "target", Need::Required),
    setting("iqn", "targetIQN", Need::Found),
    setting("scsi_id", "SCSIid", Need::Found),
    setting("port", "port", Need::Optional),
    setting("lun", "LUNid", Need::Optional),
    setting("chap_user", "chapuser", Need::Optional),
    setting("chap_password", "chappassword", Need::Secret),
    setting("incoming_chap_user", "incoming_chapuser", Need::Optional),
    setting("incoming_chap_password", "incoming_chappassword", Need::Secret),
    setting("multihomed", "multihomed", Need::Optional),
    driver("allocation", "allocation"),
];

const FABRIC: &[Setting] = &[setting("scsi_id", "SCSIid", Need::Found), driver("allocation", "allocation")];

const DEVICE: &[Setting] = &[setting("device", "device", Need::Required)];

const fn user(name: &'static str, kind: &'static str, is_shared: bool, clean_up: CleanUp, options: &'static [Setting]) -> Sort {
    Sort { name, kind, content: "user", is_shared, options, clean_up }
}

/// Every type that this library knows to make.
///
/// # Source
/// The documentation of the storage manager's drivers; `reference/library.md` 8.
pub const SORTS: &[Sort] = &[
    user("dummy", "dummy", false, CleanUp::Destroy, &[]),
    user("ext", "ext", false, CleanUp::Destroy, DEVICE),
    user("extoiscsi", "extoiscsi", false, CleanUp::Destroy, ISCSI),
    user("fc", "lvmohba", true, CleanUp::Destroy, FABRIC),
    user("fcoe", "lvmofcoe", true, CleanUp::Destroy, FABRIC),
    user("file", "file", false, CleanUp::Destroy, &[setting("location", "location", Need::Required)]),
    Sort {
        name: "iso",
        kind: "iso",
        content: "iso",
        is_shared: true,
        options: &[
            setting("location", "location", Need::Required),
            setting("username", "username", Need::Optional),
            setting("password", "cifspassword", Need::Secret),
            setting("protocol", "type", Need::Optional),
            setting("local", "legacy_mode", Need::Optional),
        ],
        clean_up: CleanUp::Forget,
    },
    user("lvm", "lvm", false, CleanUp::Destroy, DEVICE),
    user("lvmoiscsi", "lvmoiscsi", true, CleanUp::Destroy, ISCSI),
    user(
        "nfs",
        "nfs",
        true,
        CleanUp::Forget,
        &[
            setting("server", "server", Need::Required),
            setting("path", "serverpath", Need::Required),
            setting("version", "nfsversion", Need::Optional),
            setting("mount_options", "options", Need::Optional),
            driver("no_subdirectory", "nosubdir"),
        ],
    ),
    user(
        "smb",
        "smb",
        true,
        CleanUp::Forget,
        &[
            setting("server", "server", Need::Required),
            setting("username", "username", Need::Optional),
            setting("password", "password", Need::Secret),
        ],
    ),
];

/// The type of this name: the one that people write, or the toolstack's.
///
/// # Errors
/// `NotFound` with the nearest name.
pub fn sort(name: &str) -> Result<&'static Sort> {
    SORTS.iter().find(|s| s.name == name || s.kind == name).ok_or_else(|| {
        let near = did_you_mean(name, SORTS.iter().map(|s| s.name));
        let names: Vec<&str> = SORTS.iter().map(|s| s.name).collect();
        Error::new(Kind::NotFound, format!("there is no SR of type `{name}`"))
            .help(near.unwrap_or_else(|| format!("there is: {}; for another give `device_config` itself", names.join(", "))))
    })
}

impl Sort {
    /// What the toolstack is asked to make, of the options as people wrote them.
    ///
    /// # Errors
    /// `Malformed`: an option that the type does not have, or one that is missing.
    pub fn spec(&self, name: &str, host: &Ref, options: &BTreeMap<String, String>) -> Result<SrSpec> {
        let mut spec = SrSpec {
            name: name.into(),
            host: host.clone(),
            kind: self.kind.into(),
            content: self.content.into(),
            is_shared: self.is_shared,
            device: BTreeMap::new(),
            sm: BTreeMap::new(),
            secrets: Vec::new(),
        };
        for (option, value) in options {
            let Some(setting) = self.options.iter().find(|s| s.name == option || s.key == option) else {
                return Err(self.unknown(option));
            };
            let to = if setting.goes == Goes::Device { &mut spec.device } else { &mut spec.sm };
            to.insert(setting.key.into(), value.clone());
            if setting.need == Need::Secret {
                spec.secrets.push(setting.key.into());
            }
        }
        let is_missing = |s: &&Setting| s.need == Need::Required && !spec.device.contains_key(s.key);
        if let Some(missing) = self.options.iter().find(is_missing) {
            let what = format!("the {} SR `{name}` needs `{}`", self.name, missing.name);
            return Err(Error::new(Kind::Malformed, what).help(self.takes()));
        }
        if self.name == "iso" {
            as_disc_share(&mut spec);
        }
        Ok(spec)
    }

    /// What must still be found out before an SR can be made of this, in the order in which it can be.
    pub fn to_find<'s>(&'s self, spec: &'s SrSpec) -> impl Iterator<Item = &'s Setting> {
        self.options.iter().filter(|s| s.need == Need::Found && !spec.device.contains_key(s.key))
    }

    fn unknown(&self, option: &str) -> Error {
        let help = did_you_mean(option, self.options.iter().map(|s| s.name)).unwrap_or_else(|| self.takes());
        Error::new(Kind::Malformed, format!("an SR of type {} has no option `{option}`", self.name)).help(help)
    }

    fn takes(&self) -> String {
        let shown = self.options.iter().map(|s| match s.need {
            Need::Required => format!("`{}`", s.name),
            _ => format!("`{}` (optional)", s.name),
        });
        match self.options {
            [] => format!("type {} takes no options", self.name),
            _ => format!("type {} takes {}", self.name, shown.collect::<Vec<_>>().join(", ")),
        }
    }
}

/// A share of discs: of Windows when it is written so, of this host alone when it is a directory of its own.
fn as_disc_share(spec: &mut SrSpec) {
    let location = spec.device.get("location").cloned().unwrap_or_default();
    if location.starts_with("//") {
        spec.device.entry("type".into()).or_insert_with(|| "cifs".into());
    } else if location.starts_with('/') {
        spec.device.entry("legacy_mode".into()).or_insert_with(|| "true".into());
    }
    spec.is_shared = spec.device.get("legacy_mode").is_none_or(|mode| mode != "true");
}

/// What a back end found when it was asked with too little: values of `key`, each with what else is said of it ("size" → "10737418240").
///
/// Back ends answer with XML, a block for each thing found (`LUN`, `TGT`, `BlockDevice`). Anything may stand in it: what is no plain
/// block is passed over.
pub fn found(key: &str, xml: &str) -> Vec<Found> {
    static BLOCK: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?s)<(?:LUN|TGT|BlockDevice|SR)\s*>(.*?)</(?:LUN|TGT|BlockDevice|SR)>").ok());
    static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?s)<(\w+)\s*>([^<]*)</(\w+)>").ok());
    let (Some(block), Some(field)) = (&*BLOCK, &*FIELD) else { return Vec::new() };
    let mut all = Vec::new();
    for block in block.captures_iter(xml) {
        let fields = field.captures_iter(&block[1]).filter(|f| f[1] == f[3]);
        let mut facts: BTreeMap<String, String> =
            fields.map(|f| (f[1].to_string(), f[2].trim().to_string())).filter(|(_, value)| !value.is_empty()).collect();
        // Back ends answer with `TargetIQN` where they ask for `targetIQN`.
        let own = facts.keys().find(|name| name.eq_ignore_ascii_case(key)).cloned();
        if let Some(value) = own.and_then(|name| facts.remove(&name)) {
            all.push(Found { value, facts });
        }
    }
    all
}

/// A thing that a back end found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub value: String,
    pub facts: BTreeMap<String, String>,
}

/// The one that is meant: the only one, or the one that fits what was said (a LUN's number).
///
/// # Errors
/// `NotFound` when there is none, or several that fit.
pub fn choose(sort: &Sort, setting: &Setting, spec: &SrSpec, all: &[Found]) -> Result<String> {
    let lun = spec.device.get("LUNid");
    let fits = |f: &&Found| lun.is_none_or(|lun| f.facts.get("LUNid").is_none_or(|id| id == lun));
    let mut values: Vec<&str> = all.iter().filter(fits).map(|f| f.value.as_str()).collect();
    // A target that is reached over several addresses is listed once for each.
    values.dedup();
    let wrong = |what: String, help: String| Err(Error::new(Kind::NotFound, what).blame(Blame::Lab).help(help));
    match values.as_slice() {
        [only] => Ok((*only).to_string()),
        [] => wrong(
            format!("the {} storage for `{}` shows no `{}`", sort.name, spec.name, setting.name),
            "is the LUN mapped to this host's initiator?".into(),
        ),
        several => wrong(
            format!("the {} storage for `{}` has {} of `{}`", sort.name, spec.name, several.len(), setting.name),
            format!("say which: {}", several.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::Class;

    fn spec(sort_name: &str, options: &[(&str, &str)]) -> Result<SrSpec> {
        let options = options.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        sort(sort_name)?.spec("x", &Ref::new(Class::Host, "h"), &options)
    }

    fn shown(map: &BTreeMap<String, String>) -> String {
        map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_become_what_the_back_end_reads() {
        let check = |name: &str, options: &[(&str, &str)], kind: &str, device: &str, sm: &str, is_shared: bool| {
            let spec = spec(name, options).unwrap();
            let got = (spec.kind.as_str(), shown(&spec.device), shown(&spec.sm), spec.is_shared);
            assert_eq!(got, (kind, device.to_string(), sm.to_string(), is_shared), "{name}");
        };
        check("nfs", &[("server", "s"), ("path", "/e")], "nfs", "server=s serverpath=/e", "", true);
        check(
            "nfs",
            &[("server", "s"), ("serverpath", "/e"), ("version", "4")],
            "nfs",
            "nfsversion=4 server=s serverpath=/e",
            "",
            true,
        );
        check(
            "nfs",
            &[("server", "s"), ("path", "/e"), ("no_subdirectory", "true")],
            "nfs",
            "server=s serverpath=/e",
            "nosubdir=true",
            true,
        );
        check(
            "lvmoiscsi",
            &[("target", "t"), ("iqn", "i"), ("scsi_id", "3")],
            "lvmoiscsi",
            "SCSIid=3 target=t targetIQN=i",
            "",
            true,
        );
        check("fc", &[("scsi_id", "3"), ("allocation", "thin")], "lvmohba", "SCSIid=3", "allocation=thin", true);
        check("ext", &[("device", "/dev/sdb")], "ext", "device=/dev/sdb", "", false);
        check("iso", &[("location", "s:/iso")], "iso", "location=s:/iso", "", true);
        check("iso", &[("location", "//s/iso"), ("username", "u")], "iso", "location=//s/iso type=cifs username=u", "", true);
        check("iso", &[("location", "/var/iso")], "iso", "legacy_mode=true location=/var/iso", "", false);
    }

    #[test]
    fn a_secret_is_marked() {
        assert_eq!(spec("smb", &[("server", "//s/x"), ("password", "p")]).unwrap().secrets, ["password"]);
        assert_eq!(spec("iso", &[("location", "//s/x"), ("password", "p")]).unwrap().secrets, ["cifspassword"]);
        let secret = |s: &&Setting| s.key.contains("password");
        for sort in SORTS {
            assert!(sort.options.iter().filter(secret).all(|s| s.need == Need::Secret), "{}", sort.name);
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        for (name, options, what, help) in [
            ("nsf", &[][..], "there is no SR of type `nsf`", "did you mean `nfs`?"),
            ("nfs", &[("server", "s")], "the nfs SR `x` needs `path`", "type nfs takes `server`, `path`, `version` (optional), "),
            ("nfs", &[("sever", "s")], "an SR of type nfs has no option `sever`", "did you mean `server`?"),
            ("dummy", &[("size", "1")], "an SR of type dummy has no option `size`", "type dummy takes no options"),
        ] {
            let error = spec(name, options).unwrap_err();
            assert_eq!(error.what, what);
            assert!(error.help.as_deref().unwrap().starts_with(help), "{:?}", error.help);
        }
    }

    #[test]
    fn every_type_has_one_row() {
        let names: Vec<&str> = SORTS.iter().map(|s| s.name).collect();
        assert!(names.is_sorted());
        for sort in SORTS {
            assert_eq!(super::sort(sort.kind).unwrap().name, sort.name);
        }
    }

    const LUNS: &str = "<?xml version=\"1.0\" ?>\n<iscsi-target>\n\t<LUN>\n\t\t<vendor>\n\t\t\tLIO\n\t\t</vendor>\n\t\t<serial></serial>\
        <LUNid>0</LUNid><size>10737418240</size><SCSIid>\n 36001405a \n</SCSIid></LUN><LUN><LUNid>1</LUNid><SCSIid>36001405b</SCSIid>\
        </LUN></iscsi-target>";

    #[test]
    fn what_a_back_end_lists_is_read() {
        let luns = found("SCSIid", LUNS);
        assert_eq!(luns.iter().map(|l| l.value.as_str()).collect::<Vec<_>>(), ["36001405a", "36001405b"]);
        assert_eq!(luns[0].facts["size"], "10737418240");
        let targets = "<iscsi-target-iqns><TGT><Index>0</Index><IPAddress>10.0.0.1</IPAddress><TargetIQN>iqn.x:1</TargetIQN></TGT>";
        assert_eq!(found("targetIQN", targets)[0].value, "iqn.x:1");
        for odd in ["", "<LUN><SCSIid>", "<LUN><SCSIid>a</LUN>", "<<<>>>", "<LUN></LUN>"] {
            assert_eq!(found("SCSIid", odd), [], "{odd}");
        }
    }

    #[test]
    fn one_of_several_must_be_named() {
        let sort = sort("lvmoiscsi").unwrap();
        let bare = spec("lvmoiscsi", &[("target", "t"), ("iqn", "i")]).unwrap();
        let setting = sort.to_find(&bare).next().unwrap();
        assert_eq!(setting.name, "scsi_id");
        let error = choose(sort, setting, &bare, &found("SCSIid", LUNS)).unwrap_err();
        assert_eq!(error.help.unwrap(), "say which: 36001405a, 36001405b");
        let numbered = spec("lvmoiscsi", &[("target", "t"), ("iqn", "i"), ("lun", "1")]).unwrap();
        assert_eq!(choose(sort, setting, &numbered, &found("SCSIid", LUNS)).unwrap(), "36001405b");
        assert!(choose(sort, setting, &bare, &[]).unwrap_err().what.contains("shows no `scsi_id`"));
    }
}
