//! Whether a guest is what it should be, and why it is not well.

use super::guest::Guest;
use super::option::WaitOptions;
use super::scan::scan;
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::event::Level;
use crate::toolstack::PowerState;
use crate::unit::show_size;
use std::path::PathBuf;

/// How far what a guest sees of its memory may be from what it has, in bytes or as a part, before that is told.
const MEMORY_NEAR: u64 = 16 << 20;
const MEMORY_ODD: f64 = 0.05;

/// … and before it is a failure.
const MEMORY_WRONG: f64 = 0.10;

impl Guest {
    /// Compares what its hypervisor gives it with what it sees: processors, memory, network interfaces. What is a little off is a
    /// warning.
    ///
    /// # Errors
    /// `Refused` with everything that differs; as [`Guest::record`].
    pub fn check(&self) -> Result<()> {
        let record = self.record()?;
        if record.state != PowerState::Up {
            let what = format!("`{}` is {}: only a guest that runs can be compared", self.name(), record.state.word());
            return Err(Error::new(Kind::Refused, what).help("`vm.ensure_up()` first"));
        }
        self.told("compare with its configuration", |action| {
            let mut wrong = Vec::new();
            let cpus = self.guest_cpus()?;
            if cpus != u64::from(record.vcpus) {
                wrong.push(format!("it sees {cpus} processors of {}", record.vcpus));
            }
            let given = record.memory_actual.unwrap_or(record.memory.dynamic_max);
            wrong.extend(self.memory_differs(self.guest_memory()?, given));
            wrong.extend(self.interfaces_differ()?);
            if wrong.is_empty() {
                action.says(format!("{cpus} processors, {}", show_size(given)));
                return Ok(());
            }
            Err(Error::new(Kind::Refused, format!("`{}` is not what it should be: {}", self.name(), wrong.join("; "))))
        })
    }

    /// What is wrong with the memory that it sees. Its kernel keeps a part for itself, so more than it has is what is wrong first.
    fn memory_differs(&self, seen: u64, given: u64) -> Option<String> {
        let away = seen.abs_diff(given);
        let part = away as f64 / given.max(1) as f64;
        let what = format!("it sees {} of memory of {}", show_size(seen), show_size(given));
        if away <= MEMORY_NEAR || part <= MEMORY_ODD {
            return None;
        }
        if part > MEMORY_WRONG {
            return Some(what);
        }
        self.context().log(Level::Warning, format!("{}: {what}", self.name()));
        None
    }

    fn interfaces_differ(&self) -> Result<Vec<String>> {
        let seen = self.answer("cat /sys/class/net/*/address 2>/dev/null; true")?.to_lowercase();
        let seen: Vec<&str> = seen.split_whitespace().collect();
        let missing = self
            .vifs()?
            .into_iter()
            .filter(|vif| vif.known().is_attached && !seen.contains(&vif.known().mac.to_lowercase().as_str()));
        Ok(missing.map(|vif| format!("it does not see its interface {} ({})", vif.known().device, vif.known().mac)).collect())
    }

    /// Looks for a reason why it is not well: its state, whether it answers, its kernel's log, its root file system.
    ///
    /// # Errors
    /// `Refused` with the reason; `Unreachable` when it runs and does not answer.
    pub fn check_health(&self) -> Result<()> {
        self.told("look whether it is well", |action| {
            if self.vm().is_ok() {
                let record = self.record()?;
                if record.state != PowerState::Up {
                    return Err(Error::new(Kind::Refused, format!("`{}` is {}", self.name(), record.state.word())));
                }
                if let Some(why) = self.silence()? {
                    return Err(Error::new(Kind::Refused, format!("`{}` runs, and does not answer: {why}", self.name())));
                }
            } else if let Some(why) = self.silence()? {
                return Err(Error::new(Kind::Unreachable, format!("`{}` does not answer: {why}", self.name())));
            }
            self.is_well_inside(action)
        })
    }

    fn is_well_inside(&self, action: &Action<'_>) -> Result<()> {
        let log = self.answer("dmesg 2>/dev/null || true")?;
        if let Some(trouble) = scan(&log, 0.0).into_iter().next() {
            return Err(Error::new(
                Kind::Refused,
                format!("the kernel of `{}` tells of a {}: {}", self.name(), trouble.meaning, trouble.line),
            ));
        }
        let space = self.disk_space("/")?;
        if space.free == 0 {
            return Err(Error::new(Kind::Refused, format!("the root file system of `{}` is full", self.name())));
        }
        let script = "f=$(mktemp /var/tmp/.well-XXXXXX 2>/dev/null || mktemp) && echo well >\"$f\" && cat \"$f\"; s=$?; rm -f \"$f\"; exit $s";
        let said = self.ask(script)?;
        if !said.is_success() || said.stdout.text().trim() != "well" {
            return Err(Error::new(Kind::Refused, format!("no file can be written and read back on `{}`", self.name()))
                .details(said.details(self.name(), script)));
        }
        action.says(format!("{} free", show_size(space.free)));
        Ok(())
    }

    /// Waits until the agent in it answers its hypervisor.
    ///
    /// # Errors
    /// `Timeout` with what was seen last.
    pub fn wait_agent(&self, options: &WaitOptions) -> Result<()> {
        self.vm()?;
        self.told("wait for its agent", |action| {
            let patience = self.patience(Patience::AGENT).or(options.timeout);
            let record = self.wait_record(action, &patience, "to have an agent that answers", |now| match &now.inside {
                Some(inside) if inside.is_live => None,
                Some(_) => Some("its agent has answered, and does no more".into()),
                None => Some(format!("it is {}, and its agent says nothing", now.state.word())),
            })?;
            action.says(record.inside.and_then(|inside| inside.drivers).unwrap_or_default());
            Ok(())
        })
    }

    /// Waits until its hypervisor knows an address of it, and returns that.
    ///
    /// # Errors
    /// `Timeout` with what was seen last.
    pub fn wait_ip(&self, options: &WaitOptions) -> Result<String> {
        if self.vm().is_err() {
            return self.ip();
        }
        self.told("wait for its address", |action| {
            let patience = self.patience(Patience::READY).or(options.timeout);
            let record = self.wait_record(action, &patience, "to have an address", |now| {
                super::estate::ip_of(now).is_none().then(|| format!("it is {}, and no address of it is known", now.state.word()))
            })?;
            let ip = super::estate::ip_of(&record).map(|ip| ip.to_string()).unwrap_or_default();
            action.says(ip.clone());
            Ok(ip)
        })
    }

    /// Keeps the picture on its console in a file of the testcase's directory; returns where it is. The ending that belongs to the
    /// picture is added when the name has none.
    ///
    /// # Errors
    /// `Unsupported` where the hypervisor gives no pictures; `Refused` when it does not run.
    pub fn screenshot(&self, name: &str) -> Result<PathBuf> {
        let vm = self.vm()?;
        let target = self.told("take a picture of its console", |_| {
            let (picture, ending) = vm.estate.ask(self.context(), |toolstack, watch| toolstack.screenshot(&vm.reference, watch))?;
            let named = if name.contains('.') { name.to_string() } else { format!("{name}.{ending}") };
            let target = self.local_file(&named)?;
            std::fs::write(&target, picture).at(format_args!("write `{}`", target.display()))?;
            Ok(target)
        })?;
        self.context().attach(&target);
        Ok(target)
    }
}
