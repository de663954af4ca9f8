//! The systems that simulated machines run: what their `/etc` says of them.
//!
//! To add one: a row in `SYSTEMS`.

/// (short name without version, `ID`, `NAME`, other systems it is like)
const SYSTEMS: &[(&str, &str, &str, &str)] = &[
    ("debian", "debian", "Debian GNU/Linux", ""),
    ("ubuntu", "ubuntu", "Ubuntu", "debian"),
    ("rocky", "rocky", "Rocky Linux", "rhel centos fedora"),
    ("alma", "almalinux", "AlmaLinux", "rhel centos fedora"),
    ("almalinux", "almalinux", "AlmaLinux", "rhel centos fedora"),
    ("centos", "centos", "CentOS Stream", "rhel fedora"),
    ("rhel", "rhel", "Red Hat Enterprise Linux", "fedora"),
    ("oel", "ol", "Oracle Linux Server", "fedora"),
    ("sles", "sles", "SLES", "suse"),
    ("alpine", "alpine", "Alpine Linux", ""),
    ("xenserver", "xenenterprise", "XenServer", "centos fedora"),
    ("xcp-ng", "xenenterprise", "XCP-ng", "centos fedora"),
];

const CODENAMES: &[(&str, &str)] = &[
    ("debian11", "bullseye"),
    ("debian12", "bookworm"),
    ("debian13", "trixie"),
    ("ubuntu20.04", "focal"),
    ("ubuntu22.04", "jammy"),
    ("ubuntu24.04", "noble"),
];

/// A system with its version.
pub(super) struct System<'a> {
    id: &'a str,
    name: &'a str,
    like: &'a str,
    version: String,
    codename: &'a str,
}

impl<'a> System<'a> {
    /// What a short name means ("debian12", "ubuntu2204", "rocky9"); an unknown one is a system of that name.
    pub fn of(distro: &'a str) -> System<'a> {
        // A name may have digits and dashes inside; the version is what follows the last letter.
        let split = distro.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
        let (base, version) = distro.split_at(split);
        let mut version = version.to_string();
        if base == "ubuntu" && version.len() == 4 && !version.contains('.') {
            version.insert(2, '.');
        }
        let row = SYSTEMS.iter().find(|(short, ..)| *short == base.trim_end_matches('-'));
        let (_, id, name, like) = row.copied().unwrap_or((base, base, base, ""));
        let key = format!("{id}{version}");
        let codename = CODENAMES.iter().find(|(short, _)| *short == key).map_or("", |(_, codename)| codename);
        System { id, name, like, version, codename }
    }

    /// The text of `/etc/os-release`.
    pub fn os_release(&self) -> String {
        use std::fmt::Write;
        let System { id, name, like, version, codename } = self;
        let long = match (version.as_str(), *codename) {
            ("", _) => String::new(),
            (version, "") => version.to_string(),
            (version, codename) => format!("{version} ({codename})"),
        };
        let pretty = format!("{name} {long}");
        let mut text = format!("PRETTY_NAME=\"{}\"\nNAME=\"{name}\"\nID={id}\n", pretty.trim_end());
        for (field, value) in
            [("VERSION_ID", version.as_str()), ("VERSION", &long), ("VERSION_CODENAME", codename), ("ID_LIKE", like)]
        {
            if !value.is_empty() {
                let _ = writeln!(text, "{field}=\"{value}\"");
            }
        }
        text
    }

    /// The other files that tell the system, as (name below `/etc`, text).
    pub fn release_files(&self) -> Vec<(&'static str, String)> {
        let text = format!("{} release {}\n", self.name, self.version);
        match self.id {
            "debian" => vec![("debian_version", format!("{}.0\n", self.version))],
            "ubuntu" => vec![("debian_version", format!("{}/sid\n", self.codename))],
            "alpine" => vec![("alpine-release", format!("{}\n", self.version))],
            _ if self.like.contains("fedora") => vec![("redhat-release", text)],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_says_it_all() {
        let id = |distro| {
            let system = System::of(distro);
            format!("{} {} {}", system.id, system.version, system.codename)
        };
        assert_eq!(id("debian12"), "debian 12 bookworm");
        assert_eq!(id("ubuntu2204"), "ubuntu 22.04 jammy");
        assert_eq!(id("ubuntu24.04"), "ubuntu 24.04 noble");
        assert_eq!(id("rocky9"), "rocky 9 ");
        assert_eq!(id("xcp-ng-8.3"), "xenenterprise 8.3 ");
        assert_eq!(id("plan9"), "plan 9 ");
        assert_eq!(id(""), "  ");
        let text = System::of("debian12").os_release();
        assert!(text.starts_with("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"), "{text}");
        assert!(text.contains("\nVERSION_ID=\"12\"\n") && !text.contains("ID_LIKE"), "{text}");
        assert_eq!(System::of("rocky9").release_files(), [("redhat-release", "Rocky Linux release 9\n".to_string())]);
    }
}
