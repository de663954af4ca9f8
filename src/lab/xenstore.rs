//! What xenstore says of a guest: what it and its hypervisor tell each other.

use super::guest::Guest;
use super::{command::quote, estate::Estate};
use crate::error::{Error, Kind, Result};
use crate::toolstack;
use std::sync::Arc;

/// The states of a paravirtual device's two ends, by their numbers.
const STATES: [&str; 9] = [
    "unknown",
    "initialising",
    "waiting for the other end",
    "initialised",
    "connected",
    "closing",
    "closed",
    "reconfiguring",
    "reconfigured",
];

/// The number of the state in which a device works.
const CONNECTED: usize = 4;

/// Lists the paravirtual devices of the domain `$1`: class, number, and the states of the guest's end and of the host's.
const DEVICES: &str = r#"
for class in vbd vif; do
    for number in $(xenstore-list "/local/domain/$1/device/$class" 2>/dev/null); do
        front="/local/domain/$1/device/$class/$number"
        back=$(xenstore-read "$front/backend") || back=/none
        echo "$class $number $(xenstore-read "$front/state" 2>/dev/null || echo 0) $(xenstore-read "$back/state" 2>/dev/null || echo 0)"
    done
done
"#;

impl Guest {
    /// What xenstore says at a path below its domain's own ("control/feature-shutdown").
    ///
    /// # Errors
    /// `NotFound` where there is nothing; `Refused` when it does not run.
    pub fn xenstore_read(&self, path: &str) -> Result<String> {
        let (domid, dom0) = self.domain()?;
        let script = format!("xenstore-read {}", quote(&format!("/local/domain/{domid}/{path}"))?);
        self.told(&format!("xenstore {path}"), |action| {
            let output = dom0.ask(&script)?;
            if !output.is_success() {
                let what = format!("xenstore has nothing at `{path}` of `{}`", self.name());
                return Err(Error::new(Kind::NotFound, what).details(output.details(dom0.name(), &script)));
            }
            let said = output.stdout.text().trim_end().to_string();
            action.says(said.clone());
            Ok(said)
        })
    }

    /// Sees that each of its attached disks and interfaces has a paravirtual device, connected at both ends.
    ///
    /// # Errors
    /// `Refused` with every device that does not work, or when it does not run.
    pub fn check_pv_devices(&self) -> Result<()> {
        let (domid, dom0) = self.domain()?;
        self.told("check its paravirtual devices", |action| {
            let said = dom0.answer(&format!("set -- {domid}\n{DEVICES}"))?;
            let devices: Vec<Device> = said.lines().filter_map(Device::read).collect();
            let mut wrong: Vec<String> = devices.iter().filter_map(Device::trouble).collect();
            let count = |class: &str| devices.iter().filter(|device| device.class == class).count();
            let disks = self.disks()?.iter().filter(|disk| disk.known().is_attached && !disk.known().is_cd).count();
            if count("vbd") < disks {
                wrong.push(format!("{disks} disks are attached, and {} have such a device", count("vbd")));
            }
            for vif in self.vifs()?.iter().filter(|vif| vif.known().is_attached) {
                let number = &vif.known().device;
                if !devices.iter().any(|device| device.class == "vif" && device.number == *number) {
                    wrong.push(format!("the interface {number} has no such device"));
                }
            }
            if wrong.is_empty() {
                action.says(format!("{} connected", devices.len()));
                return Ok(());
            }
            let what = format!("the paravirtual devices of `{}` do not all work: {}", self.name(), wrong.join(", "));
            Err(Error::new(Kind::Refused, what).help("is its agent there, and are its drivers? `vm.wait_agent()` waits for them"))
        })
    }

    /// The number of its domain, and the control domain of the host that it runs on.
    fn domain(&self) -> Result<(i64, Guest)> {
        let vm = self.vm()?;
        let record = self.record()?;
        let (Some(domid), Some(host)) = (record.domid, &record.host) else {
            return Err(Error::new(Kind::Refused, format!("`{}` is {}: it has no domain", self.name(), record.state.word())));
        };
        let estate: &Arc<Estate> = &vm.estate;
        let host: toolstack::Host = estate.ask(self.context(), |toolstack, watch| toolstack.host(host, watch))?;
        Ok((domid, estate.control_domain(&host, self.context())?))
    }
}

/// A paravirtual device, as xenstore has it.
struct Device<'a> {
    class: &'a str,
    number: &'a str,
    front: usize,
    back: usize,
}

impl<'a> Device<'a> {
    fn read(line: &'a str) -> Option<Device<'a>> {
        let mut words = line.split_whitespace();
        let (class, number) = (words.next()?, words.next()?);
        let mut state = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Some(Device { class, number, front: state(), back: state() })
    }

    fn trouble(&self) -> Option<String> {
        if (self.front, self.back) == (CONNECTED, CONNECTED) {
            return None;
        }
        let word = |state: usize| STATES.get(state).copied().unwrap_or(STATES[0]);
        let (front, back) = (word(self.front), word(self.back));
        Some(format!(
            "{} {}: the guest's end is {front} ({}), the host's {back} ({})",
            self.class, self.number, self.front, self.back
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_does_not_work_says_how_its_ends_are() {
        let trouble = |line: &str| Device::read(line).and_then(|device| device.trouble());
        assert_eq!(trouble("vbd 51712 4 4"), None);
        let said = "vif 0: the guest's end is initialising (1), the host's waiting for the other end (2)";
        assert_eq!(trouble("vif 0 1 2").as_deref(), Some(said));
        assert!(trouble("vif 0 4 odd").is_some_and(|said| said.ends_with("the host's unknown (0)")));
        assert!(trouble("vif 0").is_some() && trouble("").is_none());
    }
}
