//! Trouble in logs: panics, oopses, the OOM killer, crashed programs, broken disks in a kernel's; exceptions in a toolstack's.
//!
//! To look for more: a row in `TROUBLE` for the kernel's log, in `TOOLSTACK` for another; what looks like trouble and is none: a row in
//! `HARMLESS`.

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

/// Parts of a file's name; patterns of its lines, and what they mean.
const TOOLSTACK: &[(&str, &[(&str, &str)])] = &[
    (
        "/SMlog",
        &[
            (r"\*{3,} .*EXCEPTION", "exception in the storage back end"),
            (r"Raising exception \[", "exception in the storage back end"),
            (r"tap-?ctl.*(failed|error)|tapdisk.*(crash|core|error)", "tapdisk failed"),
            (r"VHD.*(corrupt|invalid footer)|checksum mismatch", "broken virtual disk"),
        ],
    ),
    (
        "/xensource.log",
        &[
            (r"Uncaught exception|Fatal error: exception", "exception in the toolstack"),
            (r"xapi.*(Assertion failed|Stack_overflow|Out_of_memory)", "exception in the toolstack"),
            (r"domain \S+ crashed|Domain.*has crashed", "domain crashed"),
        ],
    ),
    ("/xha.log", &[(r"(?i)self-?fenc|watchdog.*(expired|timeout)", "the host fenced itself")]),
    ("hypervisor-log.txt", &[(r"\(XEN\) .*(Xen BUG|FATAL|Panic on CPU)", "hypervisor crashed")]),
];

/// What `fresh.awk` writes above the first line that is new.
const MARK: &str = "----- the testcase began about here -----";

/// Of a disk so much is almost all.
const FULL_PERCENT: u32 = 90;

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

/// What is looked for in a file of this name.
pub fn rows_for(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    TOOLSTACK.iter().find(|(part, _)| name.contains(part)).map(|(_, rows)| *rows)
}

/// The lines of a toolstack's log since the testcase began that mean trouble, each distinct one once.
pub fn scan_fresh(rows: &[(&'static str, &'static str)], log: &str) -> Vec<Trouble> {
    let fresh = log.split_once(MARK).map_or(log, |(_, fresh)| fresh);
    let Ok(set) = RegexSet::new(rows.iter().map(|row| row.0)) else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for line in fresh.lines() {
        let Some(row) = set.matches(line).into_iter().next() else { continue };
        if seen.insert(without_numbers(line)) && found.len() < MOST {
            found.push(Trouble { meaning: rows[row].1, line: crate::context::clip(line.trim(), 300), is_maybe_older: false });
        }
    }
    found
}

/// The lines of `df` about disks that have almost no room.
pub fn full_disks(table: &str) -> Vec<String> {
    let bytes = table.split("\n\n").next().unwrap_or_default();
    let is_full = |line: &&str| {
        let percent = line.split_whitespace().find_map(|word| word.strip_suffix('%')?.parse::<u32>().ok());
        // Discs and images that can only be read are always full.
        let is_image = ["/dev/loop", "/dev/sr", "squashfs", "iso9660", "/snap/"].iter().any(|sign| line.contains(sign));
        line.starts_with('/') && !is_image && percent.is_some_and(|p| p >= FULL_PERCENT)
    };
    bytes.lines().filter(is_full).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
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
    fn toolstack_logs_are_read_from_where_the_testcase_began() {
        for rows in TOOLSTACK.iter().map(|(_, rows)| rows) {
            assert!(RegexSet::new(rows.iter().map(|row| row.0)).is_ok());
        }
        let log = format!(
            "Nov 23 01:00:00 h1 SM: [1] ***** generic exception: old EXCEPTION <class 'x'>\n{MARK}\n\
             Nov 23 01:02:00 h1 SM: [2] ***** LVHDSR: EXCEPTION <class 'util.SMException'>\n\
             Nov 23 01:02:01 h1 SM: [3] ***** LVHDSR: EXCEPTION <class 'util.SMException'>\n\
             Nov 23 01:02:02 h1 SM: [3] lock: released\n"
        );
        let found = scan_fresh(rows_for("/var/log/SMlog").unwrap(), &log);
        assert_eq!(found.iter().map(|t| t.meaning).collect::<Vec<_>>(), ["exception in the storage back end"]);
        assert!(found[0].line.contains("01:02:00"), "{found:?}");
        let found = scan_fresh(rows_for("/var/log/xensource.log.1").unwrap(), "xapi: Fatal error: exception Not_found\n");
        assert_eq!(found.len(), 1);
        assert!(rows_for("/var/log/messages").is_none());
    }

    #[test]
    fn full_disks_are_told() {
        let table = "Filesystem Size Used Avail Use% Mounted on\n/dev/xvda1  18G  17G 1.0G  95% /\n/dev/sr0 1G 1G 0 100% /media\n\
                     tmpfs 1G 1G 0 100% /run\n/dev/xvdb 1G 1M 1G 1% /b\n\nFilesystem Inodes IUsed IFree IUse% Mounted on\n/dev/xvdb 9 9 0 100% /b\n";
        assert_eq!(full_disks(table), ["/dev/xvda1 18G 17G 1.0G 95% /"]);
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
