//! Trouble in a kernel's log: panics, oopses, the OOM killer, crashed programs, broken disks.
//!
//! To look for more: a row in `TROUBLE`; what looks like trouble and is none: a row in `HARMLESS`.

use regex::RegexSet;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Patterns and what they mean.
const TROUBLE: &[(&str, &str)] = &[
    (r"Kernel panic", "kernel panic"),
    (r"\bOops\b", "kernel oops"),
    (r"\bBUG: ", "kernel bug"),
    (r"kernel BUG at", "kernel bug"),
    (r"general protection fault", "general protection fault"),
    (r"Out of memory: |oom-kill:|invoked oom-killer|Killed process \d+", "out of memory"),
    (r"segfault at [0-9a-f]+ ip", "program crashed"),
    (r"trap (invalid opcode|divide error|int3)", "program crashed"),
    (r"blocked for more than \d+ seconds", "hung task"),
    (r"soft lockup|hard LOCKUP|rcu.*(detected stall|self-detected stall)", "stuck processor"),
    (r"I/O error", "I/O error"),
    (r"(EXT4-fs|XFS|BTRFS)\b.*\b([Ee]rror|corruption)", "broken file system"),
    (r"Remounting filesystem read-only", "broken file system"),
    (r"Machine check|Hardware Error", "hardware error"),
    (r"XENBUS: Timeout connecting", "Xen device did not connect"),
    (r"WARNING: CPU: \d+ PID: \d+ at", "kernel warning"),
];

const HARMLESS: &[&str] = &[
    r"errors=(remount-ro|continue|panic)",
    r"(?i)\bfd0\b.*I/O error|I/O error.*\bfd0\b",
    r"(?i)(sr\d|cdrom).*I/O error|I/O error.*\bsr\d",
    r"Command line:",
];

/// The most lines that one machine's log gives.
const MOST: usize = 20;

/// A line that means trouble.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub meaning: &'static str,
    /// The line without its stamp.
    pub line: String,
    /// Whether the line has no stamp, so that it may be from before.
    pub is_maybe_older: bool,
}

/// The lines that mean trouble, each distinct one once, those with a stamp before `since` (seconds after the start) left out.
pub fn scan(log: &str, since: f64) -> Vec<Trouble> {
    static SETS: OnceLock<Option<(RegexSet, RegexSet)>> = OnceLock::new();
    let sets = SETS.get_or_init(|| Some((RegexSet::new(TROUBLE.iter().map(|t| t.0)).ok()?, RegexSet::new(HARMLESS).ok()?)));
    let Some((trouble, harmless)) = sets else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for raw in log.lines() {
        let (stamp, line) = split_stamp(raw);
        if stamp.is_some_and(|at| at < since) || harmless.is_match(line) {
            continue;
        }
        let Some(row) = trouble.matches(line).into_iter().next() else { continue };
        if seen.insert(without_numbers(line)) && found.len() < MOST {
            let line = crate::context::clip(line.trim(), 300);
            found.push(Trouble { meaning: TROUBLE[row].1, line, is_maybe_older: stamp.is_none() });
        }
    }
    found
}

/// "[   12.345678] text" or "<6>[12.3] text"; the seconds are since the start.
fn split_stamp(raw: &str) -> (Option<f64>, &str) {
    let bare = raw.strip_prefix('<').and_then(|r| r.split_once('>')).map_or(raw, |(_, rest)| rest);
    let Some((stamp, rest)) = bare.strip_prefix('[').and_then(|r| r.split_once(']')) else { return (None, bare) };
    match stamp.trim().parse() {
        Ok(seconds) => (Some(seconds), rest.trim_start()),
        Err(_) => (None, bare),
    }
}

/// The same trouble with other addresses or process numbers is told once.
fn without_numbers(line: &str) -> String {
    line.split_whitespace()
        .map(|word| if word.chars().any(|c| c.is_ascii_digit()) { "#" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patterns_are_patterns() {
        assert!(RegexSet::new(TROUBLE.iter().map(|t| t.0)).is_ok());
        assert!(RegexSet::new(HARMLESS).is_ok());
    }

    #[test]
    fn trouble_is_found_and_harmless_lines_are_not() {
        for (line, meaning) in [
            ("Kernel panic - not syncing: sysrq triggered crash", Some("kernel panic")),
            ("Oops: 0000 [#1] SMP", Some("kernel oops")),
            ("BUG: unable to handle page fault for address: ffff", Some("kernel bug")),
            ("fio invoked oom-killer: gfp_mask=0x100cca", Some("out of memory")),
            ("Out of memory: Killed process 812 (fio)", Some("out of memory")),
            ("iozone[812]: segfault at 0 ip 0000 sp 0000 error 4 in iozone", Some("program crashed")),
            ("INFO: task jbd2:55 blocked for more than 120 seconds.", Some("hung task")),
            ("watchdog: BUG: soft lockup - CPU#0 stuck for 23s!", Some("kernel bug")),
            ("blk_update_request: I/O error, dev vda, sector 12", Some("I/O error")),
            ("EXT4-fs error (device vda1): ext4_lookup: deleted inode", Some("broken file system")),
            ("EXT4-fs (vda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro", None),
            ("blk_update_request: I/O error, dev fd0, sector 0", None),
            ("Command line: panic=5 oops=Oops", None),
            ("usb 1-1: new high-speed USB device", None),
        ] {
            let found = scan(&format!("[  100.000001] {line}"), 0.0);
            assert_eq!(found.first().map(|t| t.meaning), meaning, "{line}");
        }
    }

    #[test]
    fn only_what_is_new_is_told_and_once() {
        let log = "[   10.5] I/O error, dev vda, sector 1\n\
                   [  200.0] I/O error, dev vda, sector 2\n\
                   [  201.0] I/O error, dev vda, sector 3\n\
                   <3>[  202.0] Kernel panic - not syncing\n\
                   I/O error without a stamp\n";
        let found = scan(log, 100.0);
        let told: Vec<(&str, bool)> = found.iter().map(|t| (t.line.as_str(), t.is_maybe_older)).collect();
        assert_eq!(
            told,
            [("I/O error, dev vda, sector 2", false), ("Kernel panic - not syncing", false), ("I/O error without a stamp", true)]
        );
        let flood: String = (0..100).map(|i| format!("[1.0] I/O error, dev disk{}\n", "x".repeat(i))).collect();
        assert_eq!(scan(&flood, 0.0).len(), MOST);
    }
}
