//! A disk of a guest: made, attached, formatted, moved and removed, and each time looked at from outside and inside.

use super::command::{quote, quote_path};
use super::guest::Guest;
use super::hold::Hold;
use super::option::{DestroyOptions, DiskMode, FormatOptions, NewDiskOptions};
use super::sr::Sr;
use super::volume::Volume;
use super::wait::{Look, Patience, until};
use crate::context::Action;
use crate::error::{Error, Kind, Result};
use crate::name;
use crate::toolstack::{self, DiskSpec, PowerState, Ref, Spec, Verb, VolumeSpec};
use crate::unit::show_size;
use crate::wire::Command;
use serde_json::Value;
use std::sync::Arc;

/// What a disk has when nobody says otherwise.
const USUAL_SIZE: u64 = 1 << 30;

/// A disk of a guest, as one testcase holds it.
#[derive(Clone)]
pub struct Disk {
    guest: Guest,
    known: Arc<toolstack::Disk>,
}

impl Guest {
    /// Its disks, without CD drives, by position.
    ///
    /// # Errors
    /// As [`Guest::record`].
    pub fn disks(&self) -> Result<Vec<Disk>> {
        let hold = self.hold()?;
        let all = hold.ask(|toolstack, watch| toolstack.disks(&self.vm()?.reference, watch))?;
        let disks = all.into_iter().filter(|disk| !disk.is_cd);
        Ok(disks.map(|known| Disk { guest: self.clone(), known: Arc::new(known) }).collect())
    }

    /// Makes a disk for it, or takes one that is there. A running guest gets it at once, and must see it.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words (`SR_FULL`); `Timeout` when the guest does not see it.
    pub fn create_disk(&self, options: &NewDiskOptions) -> Result<Disk> {
        let hold = self.hold()?;
        let size = options.size.unwrap_or(USUAL_SIZE);
        let what = match &options.vdi {
            Some(uuid) => format!("take the disk {uuid}"),
            None => format!("make a disk of {}", show_size(size)),
        };
        self.told(&what, |action| {
            let (volume, is_new) = match &options.vdi {
                Some(uuid) => (find_volume(&hold, uuid)?, false),
                None => (self.make_volume(&hold, action, size, options)?, true),
            };
            let spec = DiskSpec {
                guest: self.vm()?.reference.clone(),
                volume: Some(volume),
                position: options.position.clone(),
                is_cd: false,
                is_bootable: options.bootable,
                is_read_only: options.mode == DiskMode::Ro,
                is_owned: is_new,
            };
            let made = hold.make_disk(action, spec, Patience::DEVICE)?;
            let disk = Disk::by_reference(self, &made)?;
            if options.plug && self.record()?.state == PowerState::Up && !disk.known.is_attached {
                disk.attach(&hold, action)?;
            }
            let disk = Disk::by_reference(self, &made)?;
            action.says(format!("{} on position {}", disk.known.device, disk.known.position));
            Ok(disk)
        })
    }

    fn make_volume(&self, hold: &Hold, action: &Action<'_>, size: u64, options: &NewDiskOptions) -> Result<Ref> {
        let host = self.record()?.host;
        let sr = match &options.sr {
            Some(name) => Sr::find(hold, name, host.as_ref())?,
            None => Sr::default(hold)?,
        };
        let name = options.name.clone().unwrap_or_else(|| name::unlike_others(&format!("{}-disk", self.name())));
        hold.make(action, &Spec::Volume(VolumeSpec { name, sr: sr.reference(), size }), Patience::STORAGE)
    }

    /// Puts a disc of this name into its CD drive, and sees that it is there.
    ///
    /// # Errors
    /// `NotFound` when no SR has such a disc; `Refused` with the toolstack's words.
    pub fn insert_cd(&self, disc: &str) -> Result<()> {
        self.change_cd(Some(disc))
    }

    /// Takes out what is in its CD drive; it is no error when there is nothing.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words.
    pub fn eject_cd(&self) -> Result<()> {
        self.change_cd(None)
    }

    fn change_cd(&self, disc: Option<&str>) -> Result<()> {
        let vm = self.vm()?;
        self.told(&disc.map_or_else(|| "eject the CD".to_string(), |disc| format!("insert the CD {disc}")), |action| {
            let patience = vm.estate.patience(Patience::DEVICE);
            vm.estate.order(self.context(), action, patience, |toolstack, watch| toolstack.set_cd(&vm.reference, disc, watch))?;
            let all = vm.estate.ask(self.context(), |toolstack, watch| toolstack.disks(&vm.reference, watch))?;
            let inside = all.iter().filter(|disk| disk.is_cd && !disk.is_empty).filter_map(|disk| disk.volume.as_ref());
            let names: Vec<&str> = inside.map(|volume| volume.name.as_str()).collect();
            let is_right = disc.map_or(names.is_empty(), |disc| names.contains(&disc));
            if is_right {
                return Ok(());
            }
            let there = if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
            Err(Error::new(Kind::Refused, format!("the CD drive of `{}` has {there} in it afterwards", self.name())))
        })
    }
}

impl Disk {
    fn by_reference(guest: &Guest, reference: &Ref) -> Result<Disk> {
        let found = guest.disks()?.into_iter().find(|disk| disk.known.reference == *reference);
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("the disk of `{}` is gone", guest.name())))
    }

    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// What it was when the testcase asked for it.
    pub fn known(&self) -> &toolstack::Disk {
        &self.known
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn record(&self) -> Result<Arc<toolstack::Disk>> {
        Ok(Disk::by_reference(&self.guest, &self.known.reference)?.known)
    }

    /// What it is called in the guest ("xvdb"), once it was attached.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn device(&self) -> Result<Option<String>> {
        Ok(Some(self.record()?.device.clone()).filter(|device| !device.is_empty()))
    }

    /// The virtual disk that it is of.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn volume(&self) -> Result<Volume> {
        Ok(Volume::new(self.guest.hold()?, self.own_volume()?))
    }

    fn own_volume(&self) -> Result<toolstack::Volume> {
        let missing = || Error::new(Kind::NotFound, format!("{self} has no virtual disk"));
        self.record()?.volume.clone().ok_or_else(missing)
    }

    /// The SR that its content is on.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn sr(&self) -> Result<Sr> {
        Sr::by_reference(&self.guest.hold()?, &self.own_volume()?.sr)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn size(&self) -> Result<u64> {
        Ok(self.own_volume()?.size)
    }

    fn told<T>(&self, what: &str, work: impl FnOnce(&Hold, &Action<'_>) -> Result<T>) -> Result<T> {
        let hold = self.guest.hold()?;
        let what = format!("{what} disk {}", self.known.position);
        hold.told(self.guest.name(), &what, |action| work(&hold, action))
    }

    /// Attaches it to its running guest, and waits until the guest sees it.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words; `Timeout` when the guest does not see it.
    pub fn plug(&self) -> Result<()> {
        self.told("plug", |hold, action| self.attach(hold, action))
    }

    fn attach(&self, hold: &Hold, action: &Action<'_>) -> Result<()> {
        hold.order(action, &Verb::Plug(self.known.reference.clone()), Patience::DEVICE)?;
        self.wait_attached(action, true)?;
        let size = self.own_volume()?.size;
        self.wait_seen(action, Some(size))
    }

    /// Takes it from its running guest, and waits until the guest no longer sees it.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words (`DEVICE_DETACH_REJECTED` while it is mounted).
    pub fn unplug(&self) -> Result<()> {
        self.told("unplug", |hold, action| self.detach(hold, action))
    }

    fn detach(&self, hold: &Hold, action: &Action<'_>) -> Result<()> {
        let device = self.device()?;
        hold.order(action, &Verb::Unplug(self.known.reference.clone()), Patience::DEVICE)?;
        self.wait_attached(action, false)?;
        match device {
            Some(device) => self.wait_device(action, &device, None),
            None => Ok(()),
        }
    }

    fn wait_attached(&self, action: &Action<'_>, wanted: bool) -> Result<()> {
        self.guest.wait_attached(action, self, wanted, || Ok(self.record()?.is_attached))
    }

    /// Waits until its guest sees it with this size.
    fn wait_seen(&self, action: &Action<'_>, size: Option<u64>) -> Result<()> {
        let Some(device) = self.device()? else {
            return Err(Error::new(Kind::Refused, format!("{self} is attached and has no device")));
        };
        self.wait_device(action, &device, size)
    }

    /// Waits until its guest has a device of this size, or none. A guest that cannot be asked is taken at its hypervisor's word.
    fn wait_device(&self, action: &Action<'_>, device: &str, size: Option<u64>) -> Result<()> {
        let guest = &self.guest;
        if !guest.place().was_reached() || guest.silence()?.is_some() {
            return Ok(());
        }
        let path = quote(&format!("/dev/{device}"))?;
        let script = format!("lsblk -bdno SIZE {path} 2>/dev/null || blockdev --getsize64 {path} 2>/dev/null || echo none");
        let what = match size {
            Some(size) => format!("`{}` to see {device} with {}", guest.name(), show_size(size)),
            None => format!("`{}` to see {device} no more", guest.name()),
        };
        until(guest.context(), action, &what, &guest.patience(Patience::DEVICE).eager(), |_| {
            let said = guest.answer(&script)?;
            let seen: Option<u64> = said.trim().parse().ok();
            Ok(match (seen, size) {
                (None, None) => Look::Done(()),
                (Some(seen), Some(size)) if seen >= size => Look::Done(()),
                (Some(seen), _) => Look::NotYet(format!("it sees {}", show_size(seen))),
                (None, Some(_)) => Look::NotYet("it does not see it".into()),
            })
        })
    }

    /// Makes it larger; of most hypervisors, while its guest is down.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words, or when it is smaller than that afterwards.
    pub fn resize(&self, size: u64) -> Result<()> {
        self.volume()?.resize(size)?;
        if self.record()?.is_attached {
            return self.told("see", |_, action| self.wait_seen(action, Some(size)));
        }
        Ok(())
    }

    /// Removes it with its content, taking it from a running guest first.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words, or when it is still there afterwards.
    pub fn destroy(&self, options: &DestroyOptions) -> Result<()> {
        self.told("remove", |hold, action| {
            let now = self.record()?;
            if now.is_attached && self.guest.record()?.state == PowerState::Up {
                self.detach(hold, action)?;
            }
            hold.order(action, &Verb::Destroy(self.known.reference.clone()), Patience::DEVICE)?;
            if self.guest.disks()?.iter().any(|other| other.known.reference == self.known.reference) {
                return Err(Error::new(Kind::Refused, format!("{self} was removed, and is still there")));
            }
            match &now.volume {
                Some(volume) if !options.keep_vdi => {
                    hold.order(action, &Verb::Destroy(volume.reference.clone()), Patience::STORAGE)
                }
                _ => Ok(()),
            }
        })
    }

    /// Moves its content to another SR (a name or a uuid), while the guest runs too where that is possible.
    ///
    /// # Errors
    /// `Refused` with the toolstack's words, or when it is elsewhere afterwards.
    pub fn migrate(&self, sr: &str) -> Result<()> {
        self.told("migrate", |hold, action| {
            let host = self.guest.record()?.host;
            let sr = Sr::find(hold, sr, host.as_ref())?;
            let volume = self.own_volume()?.reference;
            hold.order(action, &Verb::MoveVolume { volume: volume.clone(), sr: sr.reference() }, Patience::TRANSFER)?;
            let now = self.own_volume()?;
            hold.estate.hands.renamed(&volume, &now.reference);
            match now.sr == sr.reference() {
                true => Ok(()),
                false => Err(Error::new(Kind::Refused, format!("{self} was moved, and is not on `{}`", sr.name()))),
            }
        })
    }

    /// Makes a file system on all of it, from inside, and mounts it if a directory is given; returns its device's path.
    ///
    /// # Errors
    /// `Refused` when it is not attached, or with what `mkfs` or `mount` says.
    pub fn format(&self, options: &FormatOptions) -> Result<String> {
        let guest = &self.guest;
        let Some(device) = self.device()? else {
            return Err(
                Error::new(Kind::Refused, format!("{self} has no device: it was never attached")).help("`disk.plug()` first")
            );
        };
        let path = format!("/dev/{device}");
        let kind = options.fs.as_deref().unwrap_or("ext4");
        if kind.is_empty() || !kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(Error::new(Kind::Malformed, format!("`{kind}` is no kind of file system")).help("ext4, xfs, …"));
        }
        // What asks before it writes over something is told not to.
        let force = if kind.starts_with("ext") { " -F" } else { " -f" };
        let mut script = format!("mkfs.{kind}{force} {}", quote(&path)?);
        if let Some(at) = &options.mount {
            let at = quote_path(at)?;
            script.push_str(&format!(" && mkdir -p {at} && mount {} {at}", quote(&path)?));
        }
        let limit = guest.patience(Patience::EXEC).or(options.timeout).limit;
        guest.told(&format!("make {kind} on {path}"), |_| {
            let output = guest.run(&Command::new(&script, limit))?;
            if output.is_success() { Ok(path.clone()) } else { Err(guest.refused(&script, &output)) }
        })
    }

    /// A field in the toolstack's own words, or one entry of it.
    ///
    /// # Errors
    /// `NotFound` for an entry that there is not.
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.guest.hold()?.get(&self.known.reference, field, key)
    }

    /// Changes a field, or one entry of it.
    ///
    /// # Errors
    /// `Refused` where it cannot be changed.
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.guest.hold()?.set(&self.known.reference, self.guest.name(), field, key, value)
    }
}

fn find_volume(hold: &Hold, uuid: &str) -> Result<Ref> {
    for sr in Sr::all(hold)? {
        if let Some(volume) = sr.volumes()?.into_iter().find(|volume| volume.known().uuid == uuid) {
            return Ok(volume.reference().clone());
        }
    }
    Err(Error::new(Kind::NotFound, format!("no virtual disk has the uuid `{uuid}`")))
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "disk({:?} of {:?})", self.known.position, self.guest.name())
    }
}
