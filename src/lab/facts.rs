//! What a guest is: distribution, kernel, processors, memory, clock. What does not change while it runs is asked once a boot.

use super::address::Address;
use super::command::quote_path;
use super::distro;
use super::estate::where_it_is;
use super::guest::{Guest, Vm};
use super::wait::Patience;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Timestamp;
use crate::wire::Command;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What does not change while a machine runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Short name with version ("debian12", "alpine3.20"); the kernel's name where the machine does not say.
    pub distro: String,
    /// The fields of `/etc/os-release`.
    pub os_release: BTreeMap<String, String>,
    /// As `uname -m` has it ("x86_64").
    pub arch: String,
    pub kernel: String,
    pub hostname: String,
    /// Processors online.
    pub cpus: u64,
    /// Bytes of memory that the kernel manages.
    pub memory: u64,
    /// Changes with each start of the machine.
    pub boot_id: String,
    /// Number of the user we are there; 0 is root.
    pub uid: u64,
    /// Its address as the SSH server there sees it.
    pub inner_ip: Option<String>,
}

/// A file system's space, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub size: u64,
    pub used: u64,
    pub free: u64,
}

/// How far a guest's clock is from ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skew {
    /// Guest minus controller, in seconds.
    pub seconds: f64,
    /// How wrong that may be either way, in seconds.
    pub uncertainty: f64,
}

/// Prints the mark of this start of the machine: the time of the start where the kernel gives no number.
pub(super) const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sed -n 's/^btime /btime-/p' /proc/stat";

const GATHER: &str = "\
say() { printf '%s\\t%s\\n' \"$1\" \"$2\"; }
say arch \"$(uname -m)\"; say kernel \"$(uname -r)\"; say system \"$(uname -s)\"; say hostname \"$(uname -n)\"; say uid \"$(id -u)\"
say cpus \"$(nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)\"
say memory \"$(sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo)\"
say connection \"${SSH_CONNECTION:-}\"
say boot_id \"$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || sed -n 's/^btime /btime-/p' /proc/stat)\"
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null || true";

impl Guest {
    /// What does not change while the machine runs; asked once and remembered.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, `Refused`.
    pub fn facts(&self) -> Result<Arc<Facts>> {
        if let Some(known) = self.place().known_facts() {
            return Ok(known);
        }
        self.told("ask what it is", |action| {
            let facts = match self.windows()? {
                Some(windows) => self.heard(self.windows_facts(&*windows))?,
                None => parse(&self.answer(GATHER)?),
            };
            action.says(format!("{}, {}, {} cpus", facts.distro, facts.arch, facts.cpus));
            Ok(self.place().learn(facts))
        })
    }

    /// The mark of this start of the machine; another one means that it was started anew. Always asked.
    ///
    /// # Errors
    /// As [`Guest::facts`]; `Unsupported` for a system that has none.
    pub fn boot_id(&self) -> Result<String> {
        self.told("boot id", |action| {
            let id = match self.windows()? {
                Some(windows) => self.heard(self.windows_boot_id(&*windows, &self.context().cancel()))?,
                None => self.answer(BOOT_ID)?,
            };
            if id.is_empty() {
                return Err(Error::new(Kind::Unsupported, format!("{} has no boot id: not Linux?", self.name())).blame(Blame::Lab));
            }
            if self.place().known_facts().is_some_and(|f| f.boot_id != id) {
                self.place().forget_facts();
            }
            action.says(id.clone());
            Ok(id)
        })
    }

    /// Seconds since the machine started.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn uptime(&self) -> Result<f64> {
        self.told("uptime", |action| {
            let seconds: f64 = match self.windows()? {
                Some(windows) => self.heard(self.windows_uptime(&*windows))?,
                None => {
                    let text = self.answer("cat /proc/uptime")?;
                    let first = text.split_whitespace().next().unwrap_or_default();
                    first.parse().map_err(|_| self.odd("/proc/uptime", &text))?
                }
            };
            action.says(format!("{seconds} s"));
            Ok(seconds)
        })
    }

    /// The guest's clock, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn guest_time(&self) -> Result<f64> {
        Ok(Timestamp::now().unix() + self.clock_skew()?.seconds)
    }

    /// How far the guest's clock is from ours: the best of three looks, half of the way there and back taken off.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn clock_skew(&self) -> Result<Skew> {
        self.told("compare clocks", |action| {
            let windows = self.windows()?;
            let mut best: Option<Skew> = None;
            for _ in 0..3 {
                let skew = match &windows {
                    Some(windows) => self.heard(self.windows_skew(&**windows))?,
                    None => self.posix_skew()?,
                };
                best = best.filter(|b| b.uncertainty <= skew.uncertainty).or(Some(skew));
            }
            let best = best.ok_or_else(|| Error::new(Kind::Internal, "no look at the clock"))?;
            action.says(format!("{:+.3} s ± {:.3} s", best.seconds, best.uncertainty));
            Ok(best)
        })
    }

    /// One look at the clock there, by `date`.
    fn posix_skew(&self) -> Result<Skew> {
        let sent = Timestamp::now();
        let text = self.answer("date +%s.%N")?;
        let back = Timestamp::now();
        skew(&text, sent, back.since(sent)).ok_or_else(|| self.odd("date", &text))
    }

    /// The space of the file system that holds a path.
    ///
    /// # Errors
    /// As [`Guest::facts`]; `Refused` where there is no such path.
    pub fn disk_space(&self, path: &str) -> Result<Space> {
        // By the file system itself: `df` wants it to be in the table of mounts, where a root in memory is not.
        let script = format!("stat -f -c '%S %b %f %a' {}", quote_path(path)?);
        self.told(&format!("space of {path}"), |action| {
            let output = self.run(&Command::new(&script, self.patience(Patience::QUESTION).limit))?;
            if !output.is_success() {
                return Err(self.refused(&script, &output));
            }
            let text = output.stdout.text();
            let space = parse_space(&text).ok_or_else(|| self.odd("stat -f", &text))?;
            action.says(format!("{} free", crate::unit::show_size(space.free)));
            Ok(space)
        })
    }

    /// An address by which other machines may reach it: the one we use, or what the machine says of itself when we use a name.
    ///
    /// # Errors
    /// As [`Guest::facts`].
    pub fn ip(&self) -> Result<String> {
        if self.place().is_here() {
            return Ok("127.0.0.1".to_string());
        }
        if let Ok(vm) = self.vm() {
            return self.told_ip(&vm);
        }
        let address = self.place().address();
        let host = address.as_ref().map(Address::name).unwrap_or_default();
        let own = host.parse::<std::net::IpAddr>();
        if own.as_ref().is_ok_and(|ip| !ip.is_loopback()) {
            return Ok(host.to_string());
        }
        // A name, or a port forwarded to this machine's loopback.
        Ok(self.facts()?.inner_ip.clone().unwrap_or_else(|| host.to_string()))
    }

    /// The address that its agent tells the hypervisor.
    fn told_ip(&self, vm: &Vm) -> Result<String> {
        let record = vm.estate.ask(self.context(), |toolstack, watch| toolstack.guest(&vm.reference, watch))?;
        Ok(where_it_is(&record)?.name().to_string())
    }

    fn odd(&self, what: &str, said: &str) -> Error {
        let said = crate::context::clip(said.trim(), 100);
        Error::new(Kind::Malformed, format!("`{what}` on {} said `{said}`, which cannot be read", self.name())).blame(Blame::Lab)
    }
}

fn parse(text: &str) -> Facts {
    let mut facts = Facts::default();
    let mut system = String::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('\t') else {
            if let Some((name, value)) = line.split_once('=').filter(|(n, _)| !n.starts_with('#')) {
                let value = shlex::split(value).and_then(|words| words.into_iter().next()).unwrap_or_default();
                facts.os_release.insert(name.trim().to_string(), value);
            }
            continue;
        };
        match name {
            "arch" => facts.arch = value.to_string(),
            "kernel" => facts.kernel = value.to_string(),
            "system" => system = value.to_lowercase(),
            "hostname" => facts.hostname = value.to_string(),
            "uid" => facts.uid = value.parse().unwrap_or(u64::MAX),
            "cpus" => facts.cpus = value.parse().unwrap_or(0),
            "memory" => facts.memory = value.parse::<u64>().unwrap_or(0) * 1024,
            "boot_id" => facts.boot_id = value.to_string(),
            "connection" => facts.inner_ip = value.split_whitespace().nth(2).map(str::to_string),
            _ => {}
        }
    }
    facts.distro = distro::short_name(&facts.os_release).unwrap_or(system);
    facts
}

/// From what `date +%s.%N` said, when it was asked and how long the way there and back took.
fn skew(text: &str, asked: Timestamp, way: Duration) -> Option<Skew> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let seconds: f64 = whole.parse::<u32>().ok()?.into();
    // A date without %N gives whole seconds: it is half a second more on average.
    let (part, coarse) = match part.parse::<u32>() {
        Ok(nanos) if part.len() == 9 => (f64::from(nanos) / 1e9, 0.0),
        _ => (0.5, 0.5),
    };
    let half = way.as_secs_f64() / 2.0;
    Some(Skew { seconds: seconds + part - (asked.unix() + half), uncertainty: half + coarse })
}

/// From the size of a block, and how many there are, are free, and are free for everybody.
fn parse_space(text: &str) -> Option<Space> {
    let numbers: Vec<u64> = text.split_whitespace().map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [block, all, free, free_for_all] = numbers[..] else { return None };
    Some(Space { size: all * block, used: all.saturating_sub(free) * block, free: free_for_all * block })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read() {
        let text = "arch\tx86_64\nkernel\t6.1.0\nsystem\tLinux\nhostname\tvm1\nuid\t0\ncpus\t2\nmemory\t97280\n\
                    connection\t10.0.2.2 40000 10.0.2.15 22\nboot_id\tabc-1\n\
                    PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n# a=b\nVERSION_ID='12'\n\nodd line\n";
        let facts = parse(text);
        assert_eq!((facts.distro.as_str(), facts.cpus, facts.memory, facts.uid), ("debian12", 2, 95 << 20, 0));
        assert_eq!((facts.boot_id.as_str(), facts.inner_ip.as_deref()), ("abc-1", Some("10.0.2.15")));
        assert_eq!(facts.os_release["PRETTY_NAME"], "Debian GNU/Linux 12 (bookworm)");
        assert!(!facts.os_release.contains_key("# a"));
        assert_eq!(parse("system\tLinux\nmemory\t\n").distro, "linux");
    }

    #[test]
    fn the_skew_is_corrected_for_the_way() {
        let asked: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let unix = asked.unix();
        let at = |seconds: f64, coarse: bool| {
            let text = if coarse { format!("{seconds:.0}") } else { format!("{seconds:.9}") };
            skew(&text, asked, Duration::from_millis(20)).unwrap()
        };
        let fine = at(unix + 5.01, false);
        assert!((fine.seconds - 5.0).abs() < 1e-3 && (fine.uncertainty - 0.01).abs() < 1e-6, "{fine:?}");
        let coarse = at(unix + 5.0, true);
        assert!((coarse.seconds - 5.49).abs() < 1e-3 && coarse.uncertainty > 0.5, "{coarse:?}");
        for odd in ["", "now", "1.2.3x", "-5"] {
            assert!(skew(odd, asked, Duration::ZERO).is_none_or(|s| s.uncertainty >= 0.5), "{odd}");
        }
        assert_eq!(skew("1700000000.%N", asked, Duration::ZERO).unwrap().uncertainty, 0.5, "busybox without nanoseconds");
    }

    #[test]
    fn space_is_read() {
        assert_eq!(parse_space("4096 100 40 30\n"), Some(Space { size: 409_600, used: 245_760, free: 122_880 }));
        for odd in ["", "4096 100 40", "4096 100 40 x", "4096 100 40 30 20"] {
            assert_eq!(parse_space(odd), None, "{odd}");
        }
    }
}
