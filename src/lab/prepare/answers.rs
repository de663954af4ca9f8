//! What a system is told that installs itself: a preseed for Debian, an autoinstall for Ubuntu, a kickstart for the family of Red Hat; and
//! the script for iPXE that begins it.
//!
//! Each lets root log in by SSH, asks for the page that means that it is done, and turns the machine off. Only the first disk is touched.

use super::source::{Installer, System};
use crate::error::{Blame, Error, Kind, Result};
use std::fmt::Write;

/// What all of them are told.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub hostname: &'a str,
    /// Where its packages come from: `http://deb.debian.org/debian`.
    pub repository: &'a str,
    pub password: &'a str,
    /// What is asked for once it is installed.
    pub done: &'a str,
}

/// The files of a system: name and content, the one that the installer is told of first.
pub fn files(system: &System, facts: Facts<'_>) -> Vec<(&'static str, String)> {
    match system.installer {
        Installer::Preseed => vec![("preseed.cfg", preseed(facts))],
        Installer::Autoinstall => {
            vec![("user-data", autoinstall(facts)), ("meta-data", format!("instance-id: {}\n", facts.hostname))]
        }
        Installer::Kickstart => vec![("kickstart.cfg", kickstart(facts, is_old(system)))],
        Installer::None => Vec::new(),
    }
}

/// Whether a system of the family of Red Hat is from before its installer was made anew, with release 7.
fn is_old(system: &System) -> bool {
    system.version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 7)
}

/// What the installer's kernel is told, with where the files are.
pub fn kernel(system: &System, url: &str) -> String {
    match system.installer {
        Installer::Preseed => format!("auto=true priority=critical preseed/url={url}/preseed.cfg"),
        Installer::Autoinstall => format!("autoinstall ds=nocloud-net;s={url}/"),
        Installer::Kickstart if is_old(system) => format!("ks={url}/kickstart.cfg text"),
        Installer::Kickstart => format!("inst.ks={url}/kickstart.cfg inst.text"),
        Installer::None => String::new(),
    }
}

/// What the releases of Debian and Ubuntu are called where their installers are, for those that have that installer.
const RELEASES: &[(&str, &str, &str)] = &[
    ("debian", "6", "squeeze"),
    ("debian", "7", "wheezy"),
    ("debian", "8", "jessie"),
    ("debian", "9", "stretch"),
    ("debian", "10", "buster"),
    ("debian", "11", "bullseye"),
    ("debian", "12", "bookworm"),
    ("debian", "13", "trixie"),
    ("ubuntu", "12.04", "precise"),
    ("ubuntu", "14.04", "trusty"),
    ("ubuntu", "16.04", "xenial"),
    ("ubuntu", "18.04", "bionic"),
];

/// The script with which iPXE starts the installer of a system. `iso` is the live image of Ubuntu, beside which its `netboot/` is.
///
/// # Errors
/// `Unsupported`: where the installer of a release is, is not known.
pub fn ipxe(system: &System, repository: &str, iso: Option<&str>, arch: &str, url: &str) -> Result<String> {
    let repository = repository.trim_end_matches('/');
    let own = kernel(system, url);
    let (at, files, arguments) = match system.installer {
        Installer::Kickstart if is_old(system) => {
            (format!("{repository}/images/pxeboot"), ("vmlinuz", "initrd.img"), format!("repo={repository} ip=dhcp {own}"))
        }
        Installer::Kickstart => {
            (format!("{repository}/images/pxeboot"), ("vmlinuz", "initrd.img"), format!("inst.repo={repository} ip=dhcp {own}"))
        }
        Installer::Preseed => {
            let release =
                RELEASES.iter().find(|(family, version, _)| (*family, *version) == (system.family, system.version.as_str()));
            let (family, _, name) = release.ok_or_else(|| unknown(system))?;
            let arch = if arch.contains("64") { "amd64" } else { "i386" };
            let below = format!("main/installer-{arch}/current/images/netboot/{family}-installer/{arch}");
            (format!("{repository}/dists/{name}/{below}"), ("linux", "initrd.gz"), own)
        }
        Installer::Autoinstall => {
            let iso = iso.ok_or_else(|| unknown(system))?;
            let beside = iso.rsplit_once('/').map_or("", |(directory, _)| directory);
            let live = "root=/dev/ram0 ramdisk_size=1500000 cloud-config-url=/dev/null ip=dhcp";
            (format!("{beside}/netboot/amd64"), ("linux", "initrd"), format!("{live} url={iso} {own}"))
        }
        Installer::None => return Err(unknown(system)),
    };
    let (linux, initrd) = files;
    Ok(format!("#!ipxe\nkernel {at}/{linux} initrd={initrd} {arguments}\ninitrd {at}/{initrd}\nboot\n"))
}

fn unknown(system: &System) -> Error {
    let what = format!(
        "where the installer of {} {} is, for a machine that boots from the network, is not known",
        system.family, system.version
    );
    let error = Error::new(Kind::Unsupported, what).blame(Blame::Lab);
    error.help("install one by hand and make a template of it, or import an image with <file>")
}

/// A repository as host and directory.
fn parts(repository: &str) -> (&str, String) {
    let rest = repository.split_once("://").map_or(repository, |(_, rest)| rest);
    let (host, directory) = rest.split_once('/').unwrap_or((rest, ""));
    (host, format!("/{}", directory.trim_end_matches('/')))
}

const LET_ROOT_IN: &str = "sed -i 's/^#*PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config";

fn preseed(facts: Facts<'_>) -> String {
    let (host, directory) = parts(facts.repository);
    let Facts { hostname, password, done, .. } = facts;
    let rows = [
        "debian-installer/locale string en_US.UTF-8".to_string(),
        "keyboard-configuration/xkb-keymap select us".into(),
        "netcfg/choose_interface select auto".into(),
        format!("netcfg/get_hostname string {hostname}"),
        "netcfg/get_domain string localdomain".into(),
        "mirror/country string manual".into(),
        "mirror/protocol string http".into(),
        format!("mirror/http/hostname string {host}"),
        format!("mirror/http/directory string {directory}"),
        "mirror/http/proxy string".into(),
        "passwd/make-user boolean false".into(),
        format!("passwd/root-password password {password}"),
        format!("passwd/root-password-again password {password}"),
        "clock-setup/utc boolean true".into(),
        "time/zone string UTC".into(),
        "partman-auto/disk string /dev/xvda".into(),
        "partman-auto/method string regular".into(),
        "partman-auto/choose_recipe select atomic".into(),
        "partman-partitioning/confirm_write_new_label boolean true".into(),
        "partman/choose_partition select finish".into(),
        "partman/confirm boolean true".into(),
        "partman/confirm_nooverwrite boolean true".into(),
        "pkgsel/include string openssh-server".into(),
        "pkgsel/upgrade select none".into(),
        "popularity-contest/participate boolean false".into(),
        "grub-installer/only_debian boolean true".into(),
        "grub-installer/bootdev string /dev/xvda".into(),
        format!("preseed/late_command string in-target {LET_ROOT_IN}; wget -q -O /dev/null {done}"),
        "finish-install/reboot_in_progress note".into(),
        "debian-installer/exit/poweroff boolean true".into(),
    ];
    let mut text = "tasksel tasksel/first multiselect standard, ssh-server\n".to_string();
    for row in rows {
        let _ = writeln!(text, "d-i {row}");
    }
    text
}

fn autoinstall(facts: Facts<'_>) -> String {
    let Facts { hostname, password, done, repository } = facts;
    // Its texts in quotes are those of JSON.
    let quoted = serde_json::Value::from(password);
    format!(
        "#cloud-config\n\
         autoinstall:\n\
         \x20 version: 1\n\
         \x20 locale: en_US.UTF-8\n\
         \x20 keyboard: {{layout: us}}\n\
         \x20 apt:\n\
         \x20   primary:\n\
         \x20     - arches: [default]\n\
         \x20       uri: \"{repository}\"\n\
         \x20 storage: {{layout: {{name: direct, match: {{path: /dev/xvda}}}}}}\n\
         \x20 ssh: {{install-server: true, allow-pw: true}}\n\
         \x20 user-data:\n\
         \x20   hostname: \"{hostname}\"\n\
         \x20   disable_root: false\n\
         \x20   chpasswd: {{expire: false, users: [{{name: root, password: {quoted}, type: text}}]}}\n\
         \x20 late-commands:\n\
         \x20   - curtin in-target -- sh -c \"{LET_ROOT_IN}\"\n\
         \x20   - wget -q -O /dev/null {done}\n\
         \x20 shutdown: poweroff\n"
    )
}

fn kickstart(facts: Facts<'_>, is_old: bool) -> String {
    let Facts { hostname, password, done, repository } = facts;
    let password = shlex::try_quote(password).unwrap_or_default();
    // The old one takes the first disk by itself, which it may call otherwise, and knows one scheme of partitions.
    let disks = if is_old {
        "clearpart --all --initlabel\nautopart"
    } else {
        "ignoredisk --only-use=xvda\nclearpart --all --initlabel --drives=xvda\nautopart --type=plain"
    };
    format!(
        "text\n\
         url --url={repository}\n\
         lang en_US.UTF-8\n\
         keyboard us\n\
         timezone UTC --utc\n\
         rootpw --plaintext {password}\n\
         network --bootproto=dhcp --hostname={hostname}\n\
         firewall --service=ssh\n\
         selinux --permissive\n\
         bootloader --location=mbr\n\
         zerombr\n\
         {disks}\n\
         poweroff\n\
         %packages\n\
         @core\n\
         openssh-server\n\
         curl\n\
         %end\n\
         %post\n\
         {LET_ROOT_IN}\n\
         curl -s -o /dev/null {done}\n\
         %end\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        hostname: "web",
        repository: "http://mirror.example.org/debian/",
        password: "pw",
        done: "http://10.0.0.1:8000/t/done",
    };

    #[test]
    fn each_family_has_its_file_with_what_it_needs() {
        for (distro, name, kernel_has, wanted) in [
            (
                "debian12",
                "preseed.cfg",
                "preseed/url=http://c/t/preseed.cfg",
                &[
                    "mirror/http/hostname string mirror.example.org",
                    "mirror/http/directory string /debian\n",
                    "exit/poweroff boolean true",
                ][..],
            ),
            (
                "ubuntu2204",
                "user-data",
                "ds=nocloud-net;s=http://c/t/",
                &["#cloud-config\nautoinstall:\n  version: 1", "shutdown: poweroff"],
            ),
            ("rocky9", "kickstart.cfg", "inst.ks=http://c/t/kickstart.cfg", &["url --url=http://mirror", "\npoweroff\n", "%end\n"]),
            ("ubuntu1804", "preseed.cfg", "preseed/url", &["d-i "]),
        ] {
            let system = System::of(distro).unwrap();
            let files = files(&system, FACTS);
            let (first, text) = &files[0];
            assert_eq!(*first, name);
            assert!(kernel(&system, "http://c/t").contains(kernel_has), "{}", kernel(&system, "http://c/t"));
            for wanted in wanted.iter().chain(&["web", "pw", "http://10.0.0.1:8000/t/done", "PermitRootLogin yes"]) {
                assert!(text.contains(wanted), "{distro}: {wanted}\n{text}");
            }
        }
        assert!(files(&System::of("win10-x64").unwrap(), FACTS).is_empty());
    }

    #[test]
    fn ipxe_is_told_where_the_installer_is() {
        let script = |distro: &str, arch: &str, iso: Option<&str>| {
            ipxe(&System::of(distro).unwrap(), "http://m/r/", iso, arch, "http://c/t").map_err(|error| error.what)
        };
        for (distro, arch, expected) in [
            (
                "rocky9",
                "x86-64",
                "kernel http://m/r/images/pxeboot/vmlinuz initrd=initrd.img inst.repo=http://m/r ip=dhcp inst.ks=http://c/t/kickstart.cfg inst.text\ninitrd http://m/r/images/pxeboot/initrd.img\nboot\n",
            ),
            (
                "rhel63",
                "x86-32",
                "kernel http://m/r/images/pxeboot/vmlinuz initrd=initrd.img repo=http://m/r ip=dhcp ks=http://c/t/kickstart.cfg text\n",
            ),
            (
                "debian12",
                "x86-64",
                "kernel http://m/r/dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64/linux initrd=initrd.gz auto=true",
            ),
            (
                "ubuntu1804",
                "x86-32",
                "kernel http://m/r/dists/bionic/main/installer-i386/current/images/netboot/ubuntu-installer/i386/linux initrd=",
            ),
            ("ubuntu2204", "x86-64", "kernel http://u/22.04/netboot/amd64/linux initrd=initrd root=/dev/ram0"),
        ] {
            let script = script(distro, arch, Some("http://u/22.04/live.iso")).unwrap();
            assert!(script.starts_with(&format!("#!ipxe\n{expected}")), "{script}");
        }
        assert!(script("debian120", "x86-64", None).unwrap_err().contains("debian 120"));
        assert!(script("ubuntu2204", "x86-64", None).is_err());
    }

    #[test]
    fn a_password_stays_what_it_is() {
        let facts = Facts { password: "a b\"'$x", ..FACTS };
        let line = |text: &str| text.lines().find(|line| line.starts_with("rootpw")).map(str::to_string).unwrap();
        assert_eq!(shlex::split(&line(&kickstart(facts, false))).unwrap(), ["rootpw", "--plaintext", "a b\"'$x"]);
        let read = crate::sequence::yaml::read(&autoinstall(facts)).unwrap().json();
        assert_eq!(read["autoinstall"]["user-data"]["chpasswd"]["users"][0]["password"], "a b\"'$x");
        assert!(preseed(facts).contains("passwd/root-password password a b\"'$x\n"));
    }

    #[test]
    fn an_autoinstall_is_yaml_with_its_late_commands() {
        let text = autoinstall(FACTS);
        let read = crate::sequence::yaml::read(&text).map_or_else(|wrong| panic!("{}\n{text}", wrong.what), |node| node.json());
        assert_eq!(read["autoinstall"]["late-commands"].as_array().unwrap().len(), 2);
        assert_eq!(read["autoinstall"]["user-data"]["hostname"], "web");
    }
}
