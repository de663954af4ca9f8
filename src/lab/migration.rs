//! Guests that move from host to host.

use super::guest::Guest;
use super::option::MigrateOptions;
use super::wait::Patience;
use crate::error::{Error, Kind, Result};
use crate::toolstack::{Migration, PowerState};
use crate::unit::show_duration;
use serde_json::Value;
use std::time::Instant;

impl Guest {
    /// Moves it to a host (a name, an address or a uuid), and waits until it answers there with the boot id from before.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words (`HOST_NOT_ENOUGH_FREE_MEMORY`), or when it runs elsewhere or was started anew;
    /// `Timeout` with what was seen last.
    pub fn migrate(&self, host: &str, options: &MigrateOptions) -> Result<()> {
        let vm = self.vm()?;
        let target = self.host_called(host)?;
        let hold = self.hold()?;
        let sr = options.sr.as_deref().map(|name| super::Sr::find(&hold, name, Some(&target))).transpose()?;
        let name = hold.ask(|toolstack, watch| toolstack.host(&target, watch))?.name;
        let how = if options.live { " (live)" } else { "" };
        self.told(&format!("migrate to {name}{how}"), |action| {
            let started = Instant::now();
            let before = self.record()?;
            let boot_id = if before.state == PowerState::Up && options.wait { self.known_boot_id().ok() } else { None };
            let usual = if sr.is_some() { Patience::TRANSFER } else { Patience::ORDER };
            let migration = Migration { host: target.clone(), is_live: options.live, sr: sr.as_ref().map(|sr| sr.reference()) };
            let patience = vm.estate.patience(usual).or(options.timeout);
            vm.estate
                .order(self.context(), action, patience, |toolstack, watch| toolstack.migrate(&vm.reference, &migration, watch))?;
            let state = vm.estate.patience(Patience::STATE);
            let now = self.wait_record(action, &state, &format!("to be {} on {name}", before.state.word()), |now| {
                (now.state != before.state).then(|| format!("it is {}", now.state.word()))
            })?;
            if now.state != PowerState::Down && now.host.as_ref() != Some(&target) {
                return Err(self.elsewhere(vm, &now, &target));
            }
            if let Some(sr) = &sr {
                self.has_its_disks_on(sr)?;
            }
            if now.state == PowerState::Up && options.wait {
                let patience = vm.estate.patience(Patience::AGAIN);
                let answers = self.wait_back(action, &patience, &format!("to answer on {name}"), |_| None)?;
                self.went_on(boot_id.as_deref(), &answers)?;
            }
            action.says(format!("on {name} after {}", show_duration(started.elapsed())));
            Ok(())
        })
    }

    fn has_its_disks_on(&self, sr: &super::Sr) -> Result<()> {
        let vm = self.vm()?;
        let disks = vm.estate.ask(self.context(), |toolstack, watch| toolstack.disks(&vm.reference, watch))?;
        let volumes = disks.iter().filter(|disk| !disk.is_cd).filter_map(|disk| disk.volume.as_ref());
        let left: Vec<&str> = volumes.filter(|volume| volume.sr != sr.reference()).map(|volume| volume.name.as_str()).collect();
        match left.as_slice() {
            [] => Ok(()),
            names => {
                let what =
                    format!("`{}` was moved, and some of its disks are not on `{}`: {}", self.name(), sr.name(), names.join(", "));
                Err(Error::new(Kind::Refused, what))
            }
        }
    }

    /// Whether its pool would let it run on a host: nothing is done.
    ///
    /// # Errors
    /// As [`Guest::record`]; `NotFound` for the host.
    pub fn can_migrate(&self, host: &str) -> Result<bool> {
        let target = self.host_called(host)?;
        let vm = self.vm()?;
        let own = Value::String(vm.reference.id.to_string());
        let possible = vm.estate.ask(self.context(), |toolstack, watch| toolstack.call("VM.get_possible_hosts", &[own], watch))?;
        let all = possible.as_array().ok_or_else(|| Error::new(Kind::Malformed, "the possible hosts are no list"))?;
        Ok(all.iter().any(|host| host.as_str() == Some(&target.id)))
    }
}
