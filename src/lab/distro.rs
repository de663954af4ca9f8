//! Linux distributions: what they are called, and how each installs a package.
//!
//! To add one: a row in `DISTROS`. A tool whose package has another name: a row in `PACKAGES`.

use std::collections::BTreeMap;

/// A family of package managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    Apk,
    Apt,
    Dnf,
    Pacman,
    Zypper,
}

/// A distribution by the `ID` of its `/etc/os-release`: how many parts of its version its name carries, and its manager.
struct Row(&'static str, usize, Manager);

const DISTROS: &[Row] = &[
    Row("almalinux", 1, Manager::Dnf),
    Row("alpine", 2, Manager::Apk),
    Row("amzn", 1, Manager::Dnf),
    Row("arch", 0, Manager::Pacman),
    Row("centos", 1, Manager::Dnf),
    Row("debian", 1, Manager::Apt),
    Row("devuan", 1, Manager::Apt),
    Row("fedora", 1, Manager::Dnf),
    Row("linuxmint", 2, Manager::Apt),
    Row("manjaro", 0, Manager::Pacman),
    Row("ol", 1, Manager::Dnf),
    Row("opensuse-leap", 2, Manager::Zypper),
    Row("opensuse-tumbleweed", 0, Manager::Zypper),
    Row("oracle", 1, Manager::Dnf),
    Row("postmarketos", 2, Manager::Apk),
    Row("raspbian", 1, Manager::Apt),
    Row("rhel", 1, Manager::Dnf),
    Row("rocky", 1, Manager::Dnf),
    Row("sled", 2, Manager::Zypper),
    Row("sles", 2, Manager::Zypper),
    Row("suse", 1, Manager::Zypper),
    Row("ubuntu", 2, Manager::Apt),
    Row("xcp-ng", 2, Manager::Dnf),
    Row("xenenterprise", 2, Manager::Dnf),
];

/// Tools that are not in a package of their own name: (tool, manager, package).
const PACKAGES: &[(&str, Manager, &str)] = &[
    ("bonnie++", Manager::Dnf, "bonnie++"),
    ("cyclictest", Manager::Apk, "rt-tests"),
    ("cyclictest", Manager::Apt, "rt-tests"),
    ("cyclictest", Manager::Dnf, "realtime-tests"),
    ("cyclictest", Manager::Pacman, "rt-tests"),
    ("cyclictest", Manager::Zypper, "rt-tests"),
    ("dig", Manager::Apk, "bind-tools"),
    ("dig", Manager::Apt, "bind9-dnsutils"),
    ("dig", Manager::Dnf, "bind-utils"),
    ("dig", Manager::Pacman, "bind"),
    ("dig", Manager::Zypper, "bind-utils"),
    ("hackbench", Manager::Apk, "rt-tests"),
    ("hackbench", Manager::Apt, "rt-tests"),
    ("hackbench", Manager::Dnf, "realtime-tests"),
    ("hackbench", Manager::Pacman, "rt-tests"),
    ("hackbench", Manager::Zypper, "rt-tests"),
    ("iostat", Manager::Apk, "sysstat"),
    ("iostat", Manager::Apt, "sysstat"),
    ("iostat", Manager::Dnf, "sysstat"),
    ("iostat", Manager::Pacman, "sysstat"),
    ("iostat", Manager::Zypper, "sysstat"),
    ("ip", Manager::Apk, "iproute2"),
    ("ip", Manager::Apt, "iproute2"),
    ("ip", Manager::Dnf, "iproute"),
    ("ip", Manager::Pacman, "iproute2"),
    ("ip", Manager::Zypper, "iproute2"),
    ("iperf3", Manager::Zypper, "iperf"),
    ("killall", Manager::Apk, "psmisc"),
    ("killall", Manager::Apt, "psmisc"),
    ("killall", Manager::Dnf, "psmisc"),
    ("killall", Manager::Pacman, "psmisc"),
    ("killall", Manager::Zypper, "psmisc"),
    ("lspci", Manager::Apk, "pciutils"),
    ("lspci", Manager::Apt, "pciutils"),
    ("lspci", Manager::Dnf, "pciutils"),
    ("lspci", Manager::Pacman, "pciutils"),
    ("lspci", Manager::Zypper, "pciutils"),
    ("mkfs.btrfs", Manager::Apk, "btrfs-progs"),
    ("mkfs.btrfs", Manager::Apt, "btrfs-progs"),
    ("mkfs.btrfs", Manager::Dnf, "btrfs-progs"),
    ("mkfs.btrfs", Manager::Pacman, "btrfs-progs"),
    ("mkfs.btrfs", Manager::Zypper, "btrfsprogs"),
    ("mkfs.ext4", Manager::Apk, "e2fsprogs"),
    ("mkfs.ext4", Manager::Apt, "e2fsprogs"),
    ("mkfs.ext4", Manager::Dnf, "e2fsprogs"),
    ("mkfs.ext4", Manager::Pacman, "e2fsprogs"),
    ("mkfs.ext4", Manager::Zypper, "e2fsprogs"),
    ("mkfs.xfs", Manager::Apk, "xfsprogs"),
    ("mkfs.xfs", Manager::Apt, "xfsprogs"),
    ("mkfs.xfs", Manager::Dnf, "xfsprogs"),
    ("mkfs.xfs", Manager::Pacman, "xfsprogs"),
    ("mkfs.xfs", Manager::Zypper, "xfsprogs"),
    ("nc", Manager::Apk, "netcat-openbsd"),
    ("nc", Manager::Apt, "netcat-openbsd"),
    ("nc", Manager::Dnf, "nmap-ncat"),
    ("nc", Manager::Pacman, "openbsd-netcat"),
    ("nc", Manager::Zypper, "netcat-openbsd"),
    ("ping", Manager::Apk, "iputils-ping"),
    ("ping", Manager::Apt, "iputils-ping"),
    ("ping", Manager::Dnf, "iputils"),
    ("ping", Manager::Pacman, "iputils"),
    ("ping", Manager::Zypper, "iputils"),
    ("ps", Manager::Apk, "procps"),
    ("ps", Manager::Apt, "procps"),
    ("ps", Manager::Dnf, "procps-ng"),
    ("ps", Manager::Pacman, "procps-ng"),
    ("ps", Manager::Zypper, "procps"),
    ("python3", Manager::Pacman, "python"),
];

impl Manager {
    pub const ALL: [Manager; 5] = [Manager::Apk, Manager::Apt, Manager::Dnf, Manager::Pacman, Manager::Zypper];

    /// The command whose presence shows that the machine has this manager; of a family the newest first.
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Manager::Apk => &["apk"],
            Manager::Apt => &["apt-get"],
            Manager::Dnf => &["dnf", "yum"],
            Manager::Pacman => &["pacman"],
            Manager::Zypper => &["zypper"],
        }
    }

    /// The command that installs a package without asking anything.
    pub fn install(self, command: &str, package: &str) -> String {
        match self {
            Manager::Apk => format!("{command} add --quiet {package}"),
            Manager::Apt => format!(
                "DEBIAN_FRONTEND=noninteractive {command} install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 {package}"
            ),
            Manager::Dnf => format!("{command} install -y -q {package}"),
            Manager::Pacman => format!("{command} -S --noconfirm --needed {package}"),
            Manager::Zypper => format!("{command} --non-interactive install --no-recommends {package}"),
        }
    }

    /// The command that fetches the lists of packages.
    pub fn update(self, command: &str) -> String {
        match self {
            Manager::Apk => format!("{command} update --quiet"),
            Manager::Apt => format!("DEBIAN_FRONTEND=noninteractive {command} update -q"),
            Manager::Dnf => format!("{command} makecache -q"),
            Manager::Pacman => format!("{command} -Sy --noconfirm"),
            Manager::Zypper => format!("{command} --non-interactive refresh"),
        }
    }

    /// What the manager says (in English) when another one is at work.
    pub fn is_locked(self, said: &str) -> bool {
        let signs: &[&str] = match self {
            Manager::Apk => &["Unable to lock database"],
            Manager::Apt => {
                &["Could not get lock", "Unable to lock directory", "Unable to acquire the dpkg", "is another process using it"]
            }
            Manager::Dnf => &["Existing lock", "Another app is currently holding the yum lock", "Waiting for process with pid"],
            Manager::Pacman => &["unable to lock database"],
            Manager::Zypper => &["System management is locked"],
        };
        signs.iter().any(|sign| said.contains(sign))
    }

    /// The package that has a tool.
    pub fn package(self, tool: &str) -> &str {
        PACKAGES.iter().find(|(t, manager, _)| *t == tool && *manager == self).map_or(tool, |(_, _, package)| package)
    }
}

fn row(id: &str) -> Option<&'static Row> {
    DISTROS.iter().find(|row| row.0 == id)
}

/// The manager that the distribution uses, by its own name or that of one it is like.
pub fn manager(os_release: &BTreeMap<String, String>) -> Option<Manager> {
    let like = os_release.get("ID_LIKE").map(String::as_str).unwrap_or_default();
    let own = os_release.get("ID").map(String::as_str);
    own.into_iter().chain(like.split_whitespace()).find_map(row).map(|row| row.2)
}

/// "debian12", "alpine3.20", "arch". Nothing where the machine does not say what it is.
pub fn short_name(os_release: &BTreeMap<String, String>) -> Option<String> {
    let id = os_release.get("ID").filter(|id| !id.is_empty())?;
    let parts = row(id).map_or(2, |row| row.1);
    let version = os_release.get("VERSION_ID").map(String::as_str).unwrap_or_default();
    Some(format!("{id}{}", version.split('.').take(parts).collect::<Vec<_>>().join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(id: &str, version: &str, like: &str) -> BTreeMap<String, String> {
        [("ID", id), ("VERSION_ID", version), ("ID_LIKE", like)].map(|(n, v)| (n.to_string(), v.to_string())).into()
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(DISTROS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(PACKAGES.is_sorted());
    }

    #[test]
    fn distributions_have_short_names_and_managers() {
        for (id, version, like, name, wanted) in [
            ("debian", "12", "", "debian12", Some(Manager::Apt)),
            ("ubuntu", "22.04", "debian", "ubuntu22.04", Some(Manager::Apt)),
            ("alpine", "3.20.1", "", "alpine3.20", Some(Manager::Apk)),
            ("rocky", "9.3", "rhel centos fedora", "rocky9", Some(Manager::Dnf)),
            ("arch", "", "", "arch", Some(Manager::Pacman)),
            ("arch", "20260101", "", "arch", Some(Manager::Pacman)),
            ("newdistro", "7.1.2", "suse opensuse", "newdistro7.1", Some(Manager::Zypper)),
            ("xrtmini", "", "", "xrtmini", None),
        ] {
            let release = release(id, version, like);
            assert_eq!((short_name(&release).as_deref(), manager(&release)), (Some(name), wanted), "{id}");
        }
        assert_eq!((short_name(&BTreeMap::new()), manager(&BTreeMap::new())), (None, None));
    }

    #[test]
    fn a_tool_is_in_its_package() {
        for (tool, manager, package) in [
            ("fio", Manager::Apt, "fio"),
            ("ping", Manager::Apt, "iputils-ping"),
            ("ping", Manager::Dnf, "iputils"),
            ("iperf3", Manager::Zypper, "iperf"),
            ("iperf3", Manager::Apk, "iperf3"),
        ] {
            assert_eq!(manager.package(tool), package);
        }
    }
}
