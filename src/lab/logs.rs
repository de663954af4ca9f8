//! A machine's logs after a failure: one command gathers them, one stream brings them, and what is new in them is read for trouble.
//!
//! A host's control domain is a machine like any other: what only hosts have is fetched where it is.
//!
//! To fetch more: a row in `FILES` or `COMMANDS`; to look for more trouble in what was fetched: `scan`.

use super::command::quote_pattern;
use super::guest::Guest;
use super::scan::{self, scan};
use super::wait::Patience;
use crate::error::{Kind, Result, Whereabouts};
use crate::event::Level;
use crate::toolstack::PowerState;
use crate::unit::show_size;
use crate::wire::Command;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Outputs to keep: (name of the file, command). The most telling first: the budget may end before the last.
const COMMANDS: &[(&str, &str)] = &[
    ("dmesg.txt", DMESG),
    ("uptime.txt", "cat /proc/uptime; uptime"),
    ("df.txt", "df -h; echo; df -i"),
    ("memory.txt", "cat /proc/meminfo"),
    ("processes.txt", "ps -ef 2>/dev/null || ps"),
    ("network.txt", "ip addr 2>/dev/null || ifconfig -a; echo; ip route 2>/dev/null || route -n"),
    ("mounts.txt", "cat /proc/mounts"),
    ("hypervisor-log.txt", "xl dmesg"),
    ("hypervisor.txt", "xl info; echo; xl vcpu-list"),
    ("domains.txt", "list_domains -all"),
    ("domains-xl.txt", "xl list -v"),
    ("tasks.txt", "xe task-list params=all"),
    ("guests.txt", "xe vm-list is-control-domain=false params=uuid,name-label,power-state,resident-on,dom-id"),
    ("storage.txt", "xe sr-list params=uuid,name-label,type,physical-size,physical-utilisation,PBDs"),
    ("plugs.txt", "xe pbd-list"),
    ("bridges.txt", "ovs-vsctl show"),
    ("tapdisks.txt", "tap-ctl list"),
    ("xenstore.txt", "xenstore-ls -f"),
    ("journal.txt", "journalctl -b --no-pager -n 50000 --since \"@$since\""),
    ("journal-before.txt", "journalctl -k -b -1 --no-pager -n 2000"),
];

/// With stamps in seconds since the start; by the journal where the kernel's own log may not be read.
const DMESG: &str = "dmesg 2>/dev/null || journalctl -k -b --no-pager -o short-monotonic";

/// Files to keep where they are: patterns.
const FILES: &[&str] = &[
    "/sys/fs/pstore/*",
    "/var/log/messages",
    "/var/log/syslog",
    "/var/log/kern.log",
    "/var/log/daemon.log",
    "/var/log/user.log",
    "/var/log/boot.log",
    "/var/log/xensource.log",
    "/var/log/xensource.log.1",
    "/var/log/SMlog",
    "/var/log/SMlog.1",
    "/var/log/xha.log",
    "/var/log/xen-dmesg",
    "/var/log/xenstored-access.log",
    "/var/log/v6d.log",
    "/var/log/blktap/*.log",
    "/var/log/openvswitch/*.log",
    "/var/log/xcp-networkd.log",
    "/var/log/xen/*.log",
    "/var/log/xen/console/*",
    "/var/crash/*/*.log",
    "/var/crash/*/*.txt",
    "/var/log/libvirt/qemu/*.log",
    "/var/log/cloud-init.log",
    "/var/log/cloud-init-output.log",
];

/// Of each file or output only so many bytes at its end.
const LARGEST: u64 = 5 << 20;

/// Of one machine no more than this.
const BUDGET: u64 = 20 << 20;

/// Of all machines of a testcase no more than this together.
const WHOLE_BUDGET: u64 = 200 << 20;

/// Two clocks are not quite one.
const MARGIN: f64 = 2.0;

/// Leaves out what is older than the testcase.
const FRESH: &str = include_str!("fresh.awk");

/// A part of the stream: what it is, and where its bytes went.
struct Part {
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Guest {
    /// Names a further log file (or a pattern) that is fetched after a failure.
    ///
    /// # Errors
    /// `Malformed` for an empty pattern.
    pub fn add_log_file(&self, pattern: &str) -> Result<()> {
        quote_pattern(pattern)?;
        let files = &mut self.held().log_files;
        if !files.iter().any(|f| f == pattern) {
            files.push(pattern.to_string());
        }
        Ok(())
    }

    /// Fetches the standard logs and those of [`Guest::add_log_file`] into the testcase's directory, without what was there before the
    /// testcase began, and warns of trouble in them. A machine that does not answer gives a warning and no error.
    ///
    /// # Errors
    /// The files cannot be written here; `Cancelled`.
    pub fn collect_logs(&self) -> Result<()> {
        self.collect_some_logs(BUDGET)
    }

    /// As [`Guest::collect_logs`], as one of so many machines.
    pub(super) fn collect_logs_among(&self, machines: usize) -> Result<()> {
        self.collect_some_logs(BUDGET.min(WHOLE_BUDGET / machines.max(1) as u64))
    }

    fn collect_some_logs(&self, budget: u64) -> Result<()> {
        self.told("collect logs", |action| {
            if let Some(why) = self.silence()? {
                self.context().log(Level::Warning, format!("no logs of {}: {why}", self.name()));
                action.says("it does not answer");
                return Ok(());
            }
            if let Some(windows) = self.windows()? {
                let count = self.windows_logs(&*windows, &plain(self.name()))?;
                action.says(format!("{count} files"));
                return Ok(());
            }
            let boundary = boundary();
            let script = self.gather(&boundary, budget)?;
            let directory = plain(self.name());
            let stream = self.context().file(&format!("{directory}/.stream"))?;
            let mut command = Command::new(&script, self.patience(Patience::LOGS).limit);
            command.stdout_file = Some(stream.clone());
            command.keep = 4096;
            let result = self.run(&command);
            let parts = match stream.exists() {
                true => split(&stream, &boundary, &self.context().dir().join(&directory))?,
                false => Vec::new(),
            };
            let _ = std::fs::remove_file(&stream);
            for part in &parts {
                self.context().attach(&part.path);
            }
            self.warn_of_trouble(&parts)?;
            if let Err(error) = result {
                self.context().cancel().check()?;
                let what = if parts.is_empty() { "no logs" } else { "not all logs" };
                self.context().log(Level::Warning, format!("{what} of {}: {}", self.name(), error.what));
            }
            action.says(format!("{} files, {}", parts.len(), show_size(parts.iter().map(|p| p.bytes).sum())));
            Ok(())
        })
    }

    /// Takes the hosts of its pool into the testcase's hands, for their logs: what went wrong with it may stand in any of them. Of a
    /// pool that does not answer there are none.
    pub(super) fn hold_its_hosts(&self) {
        let Ok(vm) = self.vm() else { return };
        let hosts = vm.estate.ask(self.context(), |toolstack, watch| toolstack.hosts(watch));
        for host in hosts.unwrap_or_default().iter().filter(|host| host.is_live) {
            if let Err(error) = vm.estate.control_domain(host, self.context()) {
                self.context().log(Level::Warning, format!("no logs of {}: {}", host.name, error.what));
            }
        }
    }

    /// Keeps the picture on its console among its logs, where its hypervisor gives one.
    pub(super) fn keep_its_picture(&self) {
        let Ok(vm) = self.vm() else { return };
        let result = vm.estate.ask(self.context(), |toolstack, watch| match toolstack.guest(&vm.reference, watch)?.state {
            PowerState::Up | PowerState::Paused => toolstack.screenshot(&vm.reference, watch).map(Some),
            _ => Ok(None),
        });
        let kept = result.and_then(|picture| {
            let Some((bytes, ending)) = picture else { return Ok(()) };
            let path = self.context().file(&format!("{}/console.{ending}", plain(self.name())))?;
            std::fs::write(&path, bytes).at(format_args!("write `{}`", path.display()))?;
            self.context().attach(&path);
            Ok(())
        });
        match kept {
            Err(error) if error.kind != Kind::Unsupported => {
                self.context().log(Level::Warning, format!("no picture of the console of {}: {}", self.name(), error.what));
            }
            _ => {}
        }
    }

    /// The command that prints everything, each part after a line with the boundary and its name.
    fn gather(&self, boundary: &str, budget: u64) -> Result<String> {
        use std::fmt::Write as _;
        let extra: Vec<String> = self.held().log_files.clone();
        let age = (self.context().age().as_secs_f64() + MARGIN).ceil();
        let fresh = super::command::quote(FRESH)?;
        let mut script = format!(
            "LC_ALL=C; export LC_ALL; PATH=\"$PATH:/usr/sbin:/sbin:/opt/xensource/bin\"\n\
             mark() {{ printf '\\n%s %s\\n' {boundary} \"$1\"; }}\n\
             command -v timeout >/dev/null && limit='timeout 20' || limit=\n\
             since=$(( $(date +%s) - {age} )); export since\n\
             local=$(date -d \"@$since\" '+%Y-%m-%d %H:%M:%S'); utc=$(date -u -d \"@$since\" '+%Y-%m-%d %H:%M:%S')\n\
             fresh() {{ if command -v awk >/dev/null; then awk -v since=\"$local\" -v since_utc=\"$utc\" {fresh}; else cat; fi; }}\n\
             is_old() {{ changed=$(stat -c %Y \"$1\") && [ \"$changed\" -lt \"$since\" ]; }}\n\
             file() {{ [ -f \"$1\" ] && [ -r \"$1\" ] || return; case \"$1\" in\n\
             /var/log/*.[0-9]) is_old \"$1\" || {{ mark \"$1\"; tail -c {LARGEST} \"$1\" | fresh; }};;\n\
             /var/log/*) mark \"$1\"; tail -c {LARGEST} \"$1\" | fresh;;\n\
             /var/crash/*) is_old \"$1\" || {{ mark \"$1\"; tail -c {LARGEST} \"$1\"; }};;\n\
             *) mark \"$1\"; tail -c {LARGEST} \"$1\";; esac; }}\n{{\n"
        );
        for (name, command) in COMMANDS {
            let quoted = super::command::quote(command)?;
            // Not a word about a command that is not there: no part.
            let first = command.split_whitespace().next().unwrap_or_default();
            let _ = writeln!(
                script,
                "command -v {first} >/dev/null && {{ mark {name}; $limit sh -c {quoted} 2>&1 | tail -c {LARGEST}; }}"
            );
        }
        for pattern in FILES.iter().map(ToString::to_string).chain(extra) {
            let _ = writeln!(script, "for f in {}; do file \"$f\"; done", quote_pattern(&pattern)?);
        }
        let _ = write!(script, "}} 2>/dev/null | head -c {budget}");
        Ok(script)
    }

    fn warn_of_trouble(&self, parts: &[Part]) -> Result<()> {
        let warn = |text: String| self.context().log(Level::Warning, text);
        if let Some(log) = read(parts, "dmesg.txt")? {
            let uptime = read(parts, "uptime.txt")?.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
            let since = uptime.map_or(0.0, |up| up - self.context().age().as_secs_f64() - MARGIN / 2.0);
            for trouble in scan(&log, since) {
                let older = if trouble.is_maybe_older || uptime.is_none() { ", maybe from before the testcase" } else { "" };
                warn(format!("{} on {}: {}{older}", trouble.meaning, self.name(), trouble.line));
            }
        }
        for part in parts {
            let Some(rows) = scan::rows_for(&part.name) else { continue };
            let Some(log) = read(parts, &part.name)? else { continue };
            for trouble in scan::scan_fresh(rows, &log) {
                warn(format!("{} on {}: {} ({})", trouble.meaning, self.name(), trouble.line, part.name));
            }
        }
        if let Some(table) = read(parts, "df.txt")? {
            scan::full_disks(&table).into_iter().for_each(|disk| warn(format!("a disk of {} is almost full: {disk}", self.name())));
        }
        Ok(())
    }
}

/// The text of a part, if there is one.
fn read(parts: &[Part], name: &str) -> Result<Option<String>> {
    let Some(part) = parts.iter().find(|p| p.name == name) else { return Ok(None) };
    let bytes = std::fs::read(&part.path).at(format_args!("read `{}`", part.path.display()))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// A line that no log has in it.
fn boundary() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = crate::time::Timestamp::now().to_string();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mark = crate::name::fingerprint(&format!("{now} {number} {}", std::process::id()));
    format!("=-=-xenrt-{mark:08x}-{number}-part")
}

/// A name for a file or a directory from what a machine (or a person) said.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.#+".contains(c) { c } else { '_' }).take(100).collect();
    if plain.starts_with('.') || plain.is_empty() { format!("_{plain}") } else { plain }
}

/// Where a part goes below the machine's directory. What came from the machine is not trusted: no part of it leads upwards.
fn place(dir: &Path, name: &str) -> PathBuf {
    name.split('/').filter(|p| !p.is_empty()).fold(dir.to_path_buf(), |path, part| path.join(plain(part)))
}

/// Splits the stream into files. Empty parts are left out.
fn split(stream: &Path, boundary: &str, dir: &Path) -> Result<Vec<Part>> {
    let doing = format!("read `{}`", stream.display());
    let mut reader = BufReader::new(std::fs::File::open(stream).at(&doing)?);
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Option<Writer> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        // Logs have no endless lines, but a binary file may: it is read in pieces.
        let mut limited = std::io::Read::take(&mut reader, 1 << 20);
        if limited.read_until(b'\n', &mut line).at(&doing)? == 0 {
            break;
        }
        let name = line.strip_prefix(boundary.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        if let Some(name) = name {
            parts.extend(open.take().map(Writer::finish).transpose()?.flatten());
            let name = String::from_utf8_lossy(name).trim_end_matches('\n').to_string();
            open = Some(Writer { path: place(dir, &name), name, file: None, bytes: 0, newline: false });
        } else if let Some(writer) = &mut open {
            writer.write(&line)?;
        }
    }
    parts.extend(open.map(Writer::finish).transpose()?.flatten());
    Ok(parts)
}

/// Writes one part. The newline before the next boundary is not part of it, so one newline is always held back.
struct Writer {
    name: String,
    path: PathBuf,
    file: Option<std::io::BufWriter<std::fs::File>>,
    bytes: u64,
    newline: bool,
}

impl Writer {
    fn write(&mut self, line: &[u8]) -> Result<()> {
        let doing = format!("write `{}`", self.path.display());
        let (text, ends) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
        let held = std::mem::replace(&mut self.newline, ends);
        if text.is_empty() && !held {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let parent = self.path.parent().unwrap_or(&self.path);
                std::fs::create_dir_all(parent).at(format_args!("make the directory `{}`", parent.display()))?;
                none.insert(std::io::BufWriter::new(std::fs::File::create(&self.path).at(&doing)?))
            }
        };
        if held {
            file.write_all(b"\n").at(&doing)?;
        }
        file.write_all(text).at(&doing)?;
        self.bytes += text.len() as u64 + u64::from(held);
        Ok(())
    }

    fn finish(self) -> Result<Option<Part>> {
        let Some(mut file) = self.file else { return Ok(None) };
        file.flush().at(format_args!("write `{}`", self.path.display()))?;
        Ok(Some(Part { name: self.name, path: self.path, bytes: self.bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_split_into_its_parts_byte_by_byte() {
        let dir = tempfile::tempdir().unwrap();
        let stream = dir.path().join("stream");
        std::fs::write(
            &stream,
            b"noise\n\n== dmesg.txt\nline 1\nline 2\n\n== empty.txt\n\n== /var/log/odd\n\n\n\xff\x00 no newline\n== ../../x/../y\nhostile\n\n== last\nz",
        )
        .unwrap();
        let out = dir.path().join("out");
        let parts = split(&stream, "==", &out).unwrap();
        let read = |name: &str| std::fs::read(out.join(name)).unwrap();
        let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["dmesg.txt", "/var/log/odd", "../../x/../y", "last"]);
        assert_eq!(read("dmesg.txt"), b"line 1\nline 2\n");
        assert_eq!(read("var/log/odd"), b"\n\n\xff\x00 no newline");
        assert_eq!(read("_../_../x/_../y"), b"hostile\n");
        assert_eq!(read("last"), b"z");
        assert_eq!(parts[0].bytes, 14);
    }

    #[test]
    fn names_are_plain() {
        for (name, plain_name) in
            [("vm1", "vm1"), ("..", "_.."), ("", "_"), ("a b/c", "a_b_c"), ("fe80::1", "fe80__1"), (".ssh", "_.ssh")]
        {
            assert_eq!(plain(name), plain_name);
        }
    }

    /// What the machine's `awk` makes of a log; nothing where there is none.
    fn fresh(log: &str) -> Option<String> {
        let mut awk = std::process::Command::new("awk")
            .args(["-v", "since=2026-11-23 01:02:03", "-v", "since_utc=2026-11-23 00:02:03", FRESH])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .ok()?;
        awk.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
        Some(String::from_utf8(awk.wait_with_output().unwrap().stdout).unwrap())
    }

    #[test]
    fn only_what_is_new_of_a_log_is_kept_with_a_few_lines_before() {
        const MARK: &str = "----- the testcase began about here -----\n";
        if fresh("").is_none() {
            eprintln!("SKIPPED: there is no awk here");
            return;
        }
        let check = |old: &str, new: &str| {
            assert_eq!(fresh(&format!("{old}{new}")).unwrap(), format!("{old}{MARK}{new}"));
            assert_eq!(fresh(new).unwrap(), new);
            assert_eq!(fresh(old).unwrap(), old);
        };
        check("Nov 23 01:02:02 h1 old\n", "Nov 23 01:02:03 h1 new\n  of it\nNov 23 01:02:02 late\n");
        check("Nov  9 23:59:59 old\n", "Dec  1 00:00:00 new\n");
        check("2026-11-23T01:02:02.9+00:00 old\n", "2026-11-23T01:02:03+00:00 new\n");
        check("2026-11-22 23:00:00 old\n", "2027-01-01 00:00:00 new\n");
        check("[20261123T00:02:02.1Z|debug|h1|1 ||x] old\n", "[20261123T00:02:03.1Z|debug|h1|1 ||x] new\n");
        check("[20261123T01:02:02.1|debug] old\n", "[20261123T01:02:03.1|debug] new\n");
        // No year is written: January comes after this November.
        check("Jun  1 00:00:00 old\n", "Jan  1 00:00:00 new\n");
        let old: String = (0..100).map(|n| format!("Nov 23 01:00:00 line {n}\n")).collect();
        let kept = fresh(&format!("{old}Nov 23 02:00:00 new\n")).unwrap();
        assert!(kept.starts_with("Nov 23 01:00:00 line 80\n") && kept.lines().count() == 22, "{kept}");
        let bare: String = (0..100).map(|n| format!("no stamp {n}\n")).collect();
        assert_eq!(fresh(&bare).unwrap(), bare);
        assert_eq!(fresh("short\n").unwrap(), "short\n");
    }
}
