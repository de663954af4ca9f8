//! What a system is told that installs itself: a preseed for Debian, an autoinstall for Ubuntu, a kickstart for the family of Red Hat.
//!
//! Each lets root log in by SSH, asks for the page that means that it is done, and turns the machine off.

use super::source::{Installer, System};
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
        Installer::Kickstart => vec![("kickstart.cfg", kickstart(facts))],
        Installer::None => Vec::new(),
    }
}

/// What the installer's kernel is told, with where the files are.
pub fn kernel(system: &System, url: &str) -> String {
    match system.installer {
        Installer::Preseed => format!("auto=true priority=critical preseed/url={url}/preseed.cfg"),
        Installer::Autoinstall => format!("autoinstall ds=nocloud-net;s={url}/"),
        Installer::Kickstart => format!("inst.ks={url}/kickstart.cfg inst.text"),
        Installer::None => String::new(),
    }
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
        "grub-installer/bootdev string default".into(),
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
         \x20 storage: {{layout: {{name: direct}}}}\n\
         \x20 ssh: {{install-server: true, allow-pw: true}}\n\
         \x20 user-data:\n\
         \x20   hostname: \"{hostname}\"\n\
         \x20   disable_root: false\n\
         \x20   chpasswd: {{expire: false, users: [{{name: root, password: \"{password}\", type: text}}]}}\n\
         \x20 late-commands:\n\
         \x20   - curtin in-target -- sh -c \"{LET_ROOT_IN}\"\n\
         \x20   - wget -q -O /dev/null {done}\n\
         \x20 shutdown: poweroff\n"
    )
}

fn kickstart(facts: Facts<'_>) -> String {
    let Facts { hostname, password, done, repository } = facts;
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
         clearpart --all --initlabel\n\
         autopart --type=plain\n\
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
    fn an_autoinstall_is_yaml_with_its_late_commands() {
        let text = autoinstall(FACTS);
        let read = crate::sequence::yaml::read(&text).map_or_else(|wrong| panic!("{}\n{text}", wrong.what), |node| node.json());
        assert_eq!(read["autoinstall"]["late-commands"].as_array().unwrap().len(), 2);
        assert_eq!(read["autoinstall"]["user-data"]["hostname"], "web");
    }
}
