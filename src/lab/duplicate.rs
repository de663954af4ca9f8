//! Guests from guests: clones, copies, snapshots, images; and the end of a guest.

use super::guest::Guest;
use super::hold::Hold;
use super::made::{Made, UNINSTALL, UNINSTALL_SNAPSHOT};
use super::option::CopyOptions;
use super::power::Now;
use super::snapshot::Snapshot;
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::name;
use crate::toolstack::{self, Duplicate, PowerState, Ref, Verb};
use crate::unit::show_size;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

impl Guest {
    pub(super) fn hold(&self) -> Result<Hold> {
        Ok(Hold::new(self.vm()?.estate.clone(), self.context().clone()))
    }

    /// Makes a guest like this one, which shares with it what can be shared. It is down, and has MAC addresses of its own.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known; `Refused` with the toolstack's words (`VM_BAD_POWER_STATE`, `SR_FULL`).
    pub fn duplicate(&self, name: Option<&str>) -> Result<Guest> {
        self.doubled("clone", name, &Duplicate::Clone, Patience::STORAGE)
    }

    /// Makes a guest like this one, its disks copied in full.
    ///
    /// # Errors
    /// As [`Guest::duplicate`].
    pub fn copy(&self, options: &CopyOptions) -> Result<Guest> {
        let hold = self.hold()?;
        let sr = options.sr.as_deref().map(|name| super::Sr::find(&hold, name, None)).transpose()?;
        let how = Duplicate::Copy { sr: sr.map(|sr| sr.reference()) };
        self.doubled("copy", options.name.as_deref(), &how, Patience::TRANSFER.or(options.timeout))
    }

    fn doubled(&self, what: &str, name: Option<&str>, how: &Duplicate, patience: Patience) -> Result<Guest> {
        let vm = self.vm()?;
        let name = name.map_or_else(|| name::unlike_others(&format!("{}-{what}", self.name())), str::to_string);
        self.told(&format!("{what} to {name}"), |action| {
            let wanted = Made::named(format!("the guest `{name}`"), &name, UNINSTALL);
            let made = self.double(action, &name, how, patience, wanted)?;
            let hold = self.hold()?;
            let record = hold.ask(|toolstack, watch| toolstack.guest(&made, watch))?;
            let [own, theirs] = [&vm.reference, &made].map(|guest| hold.ask(|toolstack, watch| toolstack.disks(guest, watch)));
            let [own, theirs] = [own?, theirs?].map(|disks| disks.iter().filter(|disk| !disk.is_cd).count());
            let guest = vm.estate.guest(&record, self.context());
            if own != theirs {
                return Err(Error::new(Kind::Refused, format!("`{name}` has {theirs} disks, and `{}` has {own}", self.name())));
            }
            action.says(record.uuid);
            Ok(guest)
        })
    }

    fn double(&self, action: &Action<'_>, name: &str, how: &Duplicate, patience: Patience, wanted: Made) -> Result<Ref> {
        let vm = self.vm()?;
        let patience = vm.estate.patience(patience);
        let order = |toolstack: &dyn toolstack::Toolstack, watch: toolstack::Watch<'_>| {
            toolstack.duplicate(&vm.reference, name, how, watch)
        };
        vm.estate.make(self.context(), action, patience, Some(wanted), order)
    }

    /// Keeps what is on its disks now.
    ///
    /// # Errors
    /// As [`Guest::duplicate`].
    pub fn snapshot(&self, name: Option<&str>) -> Result<Snapshot> {
        self.kept("snapshot", name, &Duplicate::Snapshot, Patience::STORAGE)
    }

    /// Keeps what is on its disks and in its memory now.
    ///
    /// # Errors
    /// As [`Guest::duplicate`]; `Refused` when it does not run.
    pub fn checkpoint(&self, name: Option<&str>) -> Result<Snapshot> {
        self.kept("checkpoint", name, &Duplicate::Checkpoint, Patience::ORDER)
    }

    fn kept(&self, what: &str, name: Option<&str>, how: &Duplicate, patience: Patience) -> Result<Snapshot> {
        let name = name.map_or_else(|| name::unlike_others(&format!("{}-{what}", self.name())), str::to_string);
        self.told(&format!("{what} {name}"), |action| {
            let before = self.record()?.state;
            let boot_id = if before == PowerState::Up { self.known_boot_id().ok() } else { None };
            let wanted = Made::named(format!("the {what} `{name}` of `{}`", self.name()), &name, UNINSTALL_SNAPSHOT);
            let made = self.double(action, &name, how, patience, wanted)?;
            let found = self.snapshots()?.into_iter().find(|snapshot| *snapshot.reference() == made);
            let missing = || Error::new(Kind::Refused, format!("`{name}` was made, and is no snapshot of `{}`", self.name()));
            let snapshot = found.ok_or_else(missing)?;
            self.goes_on(action, before, boot_id.as_deref())?;
            action.says(snapshot.uuid());
            Ok(snapshot)
        })
    }

    /// Sees that it does what it did before, and, if it could be asked then, that it can be asked now and was not started anew.
    fn goes_on(&self, action: &Action<'_>, before: PowerState, boot_id: Option<&str>) -> Result<()> {
        let patience = self.patience(Patience::STATE);
        if before != PowerState::Down {
            self.wait_living(action, &patience, &format!("to be {} again", before.word()), |now| {
                (now.state != before).then(|| format!("it is {}", now.state.word()))
            })?;
        }
        let Some(boot_id) = boot_id else { return Ok(()) };
        let now = self.wait_up(action, &self.patience(Patience::AGAIN), "to go on answering", Now::Started, |_| None)?;
        self.went_on(Some(boot_id), &now)
    }

    /// Its snapshots and checkpoints, oldest first.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let vm = self.vm()?;
        let all = vm.estate.ask(self.context(), |toolstack, watch| toolstack.snapshots(&vm.reference, watch))?;
        Ok(all.into_iter().map(|known| Snapshot::new(self.clone(), known)).collect())
    }

    /// Takes it back to a snapshot of it: its disks, and after a checkpoint its memory too. It is then down, or suspended.
    ///
    /// # Errors
    /// `Malformed` for a snapshot of another guest; as [`Guest::duplicate`].
    pub fn revert(&self, snapshot: &Snapshot) -> Result<()> {
        let vm = self.vm()?;
        if snapshot.known().of != vm.reference {
            return Err(Error::new(Kind::Malformed, format!("{snapshot} is not of `{}`", self.name())));
        }
        self.told(&format!("revert to {}", snapshot.name()), |action| {
            let hold = self.hold()?;
            hold.order(action, &Verb::Revert(snapshot.reference().clone()), Patience::STORAGE)?;
            self.gone();
            self.place().slept_with();
            let wanted = if snapshot.is_checkpoint() { PowerState::Suspended } else { PowerState::Down };
            let (patience, what) = (self.patience(Patience::STATE), format!("to be {}", wanted.word()));
            let not_yet = |now: &toolstack::Guest| (now.state != wanted).then(|| format!("it is {}", now.state.word()));
            match wanted {
                PowerState::Down => self.wait_record(action, &patience, &what, not_yet),
                _ => self.wait_living(action, &patience, &what, not_yet),
            }
            .map(drop)
        })
    }

    /// Writes it as an image into a file of the testcase's directory (or to an absolute path); returns where it is.
    ///
    /// # Errors
    /// `Refused` when it runs; `Malformed` for a name that leads out of the testcase's directory.
    pub fn export_to(&self, path: &str) -> Result<PathBuf> {
        let vm = self.vm()?;
        let target = self.local_file(path)?;
        self.told(&format!("export to {path}"), |action| {
            let file = File::create(&target).at(format_args!("make the file `{}`", target.display()))?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            let patience = vm.estate.patience(Patience::TRANSFER);
            let written = vm.estate.order(self.context(), action, patience, |toolstack, watch| {
                toolstack.export_guest(&vm.reference, &mut file, watch)
            });
            let done = written.and_then(|bytes| {
                file.flush().at(format_args!("write `{}`", target.display()))?;
                Ok(bytes)
            });
            match done {
                Ok(bytes) if bytes > 0 => action.says(show_size(bytes)),
                Ok(_) => return Err(Error::new(Kind::Refused, format!("the image of `{}` is empty", self.name()))),
                Err(error) => {
                    // Half an image is none.
                    let _ = std::fs::remove_file(&target);
                    return Err(error);
                }
            }
            Ok(())
        })?;
        self.context().attach(&target);
        Ok(target)
    }

    /// Removes it, whatever it does now, with its snapshots and the disks that are its own, and sees that they are gone.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known; `Refused` with the toolstack's words, or when something is left.
    pub fn uninstall(&self, keep_disks: bool) -> Result<()> {
        let vm = self.vm()?;
        self.told(if keep_disks { "uninstall, but for its disks" } else { "uninstall" }, |action| {
            let hold = self.hold()?;
            if self.record()?.state != PowerState::Down {
                hold.order(action, &Verb::HardShutdown(vm.reference.clone()), Patience::ORDER)?;
                self.gone();
                self.wait_record(action, &self.patience(Patience::STATE), "to be DOWN", |now| {
                    (now.state != PowerState::Down).then(|| format!("it is {}", now.state.word()))
                })?;
            }
            for snapshot in self.snapshots()? {
                hold.remove(action, snapshot.reference(), false)?;
            }
            let disks = hold.ask(|toolstack, watch| toolstack.disks(&vm.reference, watch))?;
            hold.remove(action, &vm.reference, keep_disks)?;
            self.is_gone(&hold, &vm.reference, &format!("`{}`", self.name()))?;
            let own = disks.iter().filter(|disk| disk.is_owned && !disk.is_cd && !keep_disks);
            for volume in own.filter_map(|disk| disk.volume.as_ref()) {
                self.is_gone(&hold, &volume.reference, &format!("the disk `{}` of `{}`", volume.name, self.name()))?;
            }
            Ok(())
        })
    }

    fn is_gone(&self, hold: &Hold, thing: &Ref, what: &str) -> Result<()> {
        match hold.ask(|toolstack, watch| toolstack.get(thing, "uuid", watch)) {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::Refused, format!("{what} was removed, and is still there"))),
        }
    }
}
