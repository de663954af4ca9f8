//! What the hypervisor answers for commands inside of a machine: what is of the machine and not of the one that runs it.
//!
//! To add a command: its name in `GUEST` or `HOST`, and an arm in [`answer`].

use super::ask::happen;
use super::boot::Boot;
use super::spec::Role;
use super::{disk, dom0, net, xe};
use crate::sim::inside::Act;
use std::sync::Arc;

/// Commands of every machine.
const GUEST: &[&str] = &[
    "blkid",
    "blockdev",
    "dmesg",
    "halt",
    "ifconfig",
    "init",
    "ip",
    "journalctl",
    "lsblk",
    "mkfs",
    "mkfs.ext2",
    "mkfs.ext3",
    "mkfs.ext4",
    "mkfs.xfs",
    "mount",
    "nproc",
    "poweroff",
    "reboot",
    "service",
    "shutdown",
    "systemctl",
    "systemd-detect-virt",
    "telinit",
    "umount",
    "virt-what",
    "xenstore-exists",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
];

/// Commands of control domains besides.
const HOST: &[&str] = &["findmnt", "list_domains", "xe", "xe-toolstack-restart", "xen-hvmcrash", "xl"];

/// How a command ended.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    /// What happens to the machine when it has been told.
    pub act: Option<Act>,
}

impl Answer {
    pub fn says(text: impl Into<Vec<u8>>) -> Answer {
        Answer { out: text.into(), ..Answer::default() }
    }

    pub fn fails(code: i32, text: impl std::fmt::Display) -> Answer {
        Answer { code, err: format!("{text}\n").into_bytes(), ..Answer::default() }
    }

    fn acts(act: Act) -> Answer {
        Answer { act: Some(act), ..Answer::default() }
    }
}

/// The names that a machine of this role has.
pub(super) fn commands(role: Role) -> impl Iterator<Item = &'static str> {
    let host = if matches!(role, Role::Host) { HOST } else { &[] };
    GUEST.iter().chain(host).copied()
}

/// Answers a command.
pub(super) async fn answer(boot: &Arc<Boot>, name: &str, words: &[String]) -> Answer {
    let spec = boot.spec();
    match name {
        "reboot" => Answer::acts(Act::Reboot),
        "poweroff" | "halt" => match words.iter().any(|word| word == "--reboot") {
            true => Answer::acts(Act::Reboot),
            false => Answer::acts(Act::PowerOff),
        },
        "shutdown" => shutdown(words),
        "init" | "telinit" => match words.first().map(String::as_str) {
            Some("6") => Answer::acts(Act::Reboot),
            Some("0") => Answer::acts(Act::PowerOff),
            _ => Answer::default(),
        },
        "systemctl" => systemctl(words),
        "service" => Answer::default(),
        "dmesg" => dmesg(boot, words),
        "journalctl" => Answer::says(kernel_log(boot)),
        "nproc" => Answer::says(format!("{}\n", spec.cpus)),
        "systemd-detect-virt" | "virt-what" => Answer::says("xen\n"),
        "ip" | "ifconfig" => net::answer(&spec, name, words),
        "lsblk" | "blkid" | "blockdev" | "mount" | "umount" => disk::answer(boot, &spec, name, words).await,
        _ if name.starts_with("mkfs") => disk::answer(boot, &spec, name, words).await,
        _ if name.starts_with("xenstore-") => dom0::xenstore(boot, &spec, name, words).await,
        "xe" => xe::answer(boot, words).await,
        _ => dom0::answer(boot, &spec, name, words).await,
    }
}

/// Answers a command line without a shell, where it is so simple that a shell would do just this: most of what a harness asks while it
/// waits.
pub(super) async fn directly(boot: &Arc<Boot>, text: &str) -> Option<Answer> {
    // The way out when there is no such file is not gone when there is.
    let (first, rest) = text.split_once(" || ").unwrap_or((text, ""));
    if rest.contains([';', '&', '|', '\n', '(', ')', '`', '$']) {
        return None;
    }
    let first = first.trim();
    let first = first.strip_suffix("2>/dev/null").unwrap_or(first);
    if first.contains(|c: char| !(c.is_ascii_alphanumeric() || " ._/=,:+@-".contains(c))) {
        return None;
    }
    let words: Vec<String> = first.split_whitespace().map(String::from).collect();
    let (name, words) = words.split_first()?;
    let answer = match (name.as_str(), words) {
        ("true" | ":", _) => Answer::default(),
        ("cat", [file]) if file == "/proc/sys/kernel/random/boot_id" => Answer::says(format!("{}\n", boot.boot_id)),
        ("cat", [file]) if file == "/proc/uptime" => {
            let up = boot.uptime();
            Answer::says(format!("{up:.2} {up:.2}\n"))
        }
        // What changes files, or may be a program that somebody put in place of it, is the shell's.
        ("reboot" | "poweroff" | "halt" | "shutdown" | "systemctl" | "nproc" | "xe" | "findmnt", words) => {
            let is_there = commands(boot.spec().role).any(|known| known == name);
            if !is_there {
                return None;
            }
            answer(boot, name, words).await
        }
        _ => return None,
    };
    (answer.code == 0 || rest.is_empty()).then_some(answer)
}

/// Lets what a direct answer says happen to the machine.
pub(super) fn afterwards(boot: &Arc<Boot>, act: Option<Act>) {
    if let Some(act) = act {
        happen(boot, act);
    }
}

fn shutdown(words: &[String]) -> Answer {
    let has = |flags: &[&str]| words.iter().any(|word| flags.contains(&word.as_str()));
    if has(&["-c"]) {
        return Answer::default();
    }
    Answer::acts(if has(&["-r", "--reboot"]) { Act::Reboot } else { Act::PowerOff })
}

fn systemctl(words: &[String]) -> Answer {
    let mut verbs = words.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    let (verb, unit) = (verbs.next().unwrap_or("list-units"), verbs.next());
    match (verb, unit) {
        ("reboot" | "kexec", _) => Answer::acts(Act::Reboot),
        ("poweroff" | "halt", _) => Answer::acts(Act::PowerOff),
        ("isolate", Some("reboot.target")) => Answer::acts(Act::Reboot),
        ("isolate", Some("poweroff.target")) => Answer::acts(Act::PowerOff),
        ("is-system-running", _) => Answer::says("running\n"),
        ("is-active", Some(_)) => Answer::says("active\n"),
        ("is-enabled", Some(_)) => Answer::says("enabled\n"),
        ("is-failed", Some(_)) => Answer { code: 1, ..Answer::says("active\n") },
        ("list-units", _) if words.iter().any(|word| word.contains("failed")) => Answer::says("0 loaded units listed.\n"),
        ("--version" | "list-units" | "list-jobs", _) => Answer::says("No jobs running.\n"),
        ("status", Some(unit)) => Answer::says(format!("● {unit}\n     Active: active (running)\n")),
        (
            "start" | "stop" | "restart" | "reload" | "enable" | "disable" | "mask" | "unmask" | "daemon-reload" | "reset-failed",
            _,
        ) => Answer::default(),
        (verb, _) => Answer::fails(1, format_args!("Unknown command verb {verb}.")),
    }
}

fn dmesg(boot: &Boot, words: &[String]) -> Answer {
    if words.iter().any(|word| word == "-C" || word == "--clear") {
        return match std::fs::write(boot.places().1.join("run/sim/kmsg"), "") {
            Ok(()) => Answer::default(),
            Err(error) => Answer::fails(1, error),
        };
    }
    let log = kernel_log(boot);
    if words.iter().any(|word| word == "-c" || word == "--read-clear") {
        let _ = std::fs::write(boot.places().1.join("run/sim/kmsg"), "");
    }
    Answer::says(log)
}

fn kernel_log(boot: &Boot) -> String {
    std::fs::read_to_string(boot.places().1.join("run/sim/kmsg")).unwrap_or_default()
}

/// The option `--name=value` or `--name value`.
pub(super) fn option<'a>(words: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        for name in names {
            if word == name {
                return words.next().map(String::as_str);
            }
            if let Some(value) = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value);
            }
        }
    }
    None
}
