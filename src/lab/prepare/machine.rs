//! Making VMs: from a template or an image, with their disks and interfaces, booted, and what is called on them.

use super::compare::{marks, network_for};
use super::install::INSTALLING;
use super::inventory::Existing;
use super::maker::Maker;
use super::record::Undo;
use super::site::Site;
use super::source::{Source, resolved, source};
use super::task::{Part, Task, VmTask};
use super::{DISTRO, DONE, RUN};
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::lab::guest::Guest;
use crate::lab::hold::Hold;
use crate::lab::option::{ExecOptions, PowerOptions, StartOptions};
use crate::lab::wait::Patience;
use crate::sequence::topology::{Disk, Nic, Vm};
use crate::toolstack::{
    self, Class, DiskSpec, GuestChange, GuestSpec, MemoryLimits, PowerState, Ref, Spec, Verb, VifSpec, VolumeSpec,
};
use crate::unit::show_size;
use serde_json::Value;
use std::collections::BTreeMap;

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const ROOT_DISK: u32 = 0;

impl Maker<'_> {
    /// Makes a part of a VM.
    pub(super) fn vm(&self, task: &VmTask, action: &Action<'_>) -> Result<()> {
        match &task.part {
            Part::Make => self.make_vm(task, action),
            Part::Disk(disk) => self.disk(task, disk, action),
            Part::Interface(nic) => self.interface(task, nic, action),
            Part::Boot => {
                let (hold, record) = self.guest_of(task)?;
                if record.other_config.contains_key(INSTALLING) {
                    self.install(task, &hold, &record, action)?;
                }
                let guest = self.guest(task)?;
                self.boot(&task.vm, &guest)?;
                self.mark(task)
            }
            Part::Format(device) => self.format(task, *device),
            Part::Then(number) => {
                let step = task.vm.steps.get(*number);
                let step = step.ok_or_else(|| Error::new(Kind::Internal, "the VM has no such step"))?;
                self.afterwards.call(&task.vm.display_name(), step, self.context)?;
                self.mark(task)
            }
            Part::Packages => {
                let guest = self.guest(task)?;
                task.vm.packages.iter().try_for_each(|package| guest.install_package(package))?;
                self.mark(task)
            }
            Part::Convert => {
                let guest = self.guest(task)?;
                if guest.state()? != PowerState::Down {
                    guest.shutdown(&PowerOptions::default())?;
                }
                let (hold, _) = self.hold(&task.at)?;
                hold.order(action, &Verb::SetTemplate(guest.reference()?.clone(), true), Patience::TASK)
            }
        }
    }

    fn guest_of(&self, task: &VmTask) -> Result<(Hold, toolstack::Guest)> {
        let (hold, _) = self.hold(&task.at)?;
        let reference = self.guest_ref(&task.at, &task.vm.display_name())?;
        let record = hold.ask(|toolstack, watch| toolstack.guest(&reference, watch))?;
        Ok((hold, record))
    }

    fn guest(&self, task: &VmTask) -> Result<Guest> {
        let (hold, record) = self.guest_of(task)?;
        Ok(hold.estate.guest(&record, self.context))
    }

    fn make_vm(&self, task: &VmTask, action: &Action<'_>) -> Result<()> {
        let (hold, name) = (self.hold(&task.at)?.0, task.vm.display_name());
        if let Ok((_, known)) = self.guest_of(task) {
            // It is there, and not as asked for.
            return self.shape(task, &hold, &known, action);
        }
        let inventory = self.inventory(&Task::Vm(Box::new(task.clone())))?;
        let (existing, _) = inventory.at(&task.at)?;
        let sr = storage(&task.vm, existing)?;
        let mut is_installed = true;
        // Until it has what makes it ours, it has a name that nobody takes for that of a finished one.
        let passing = self.while_made(&name);
        self.begin(&hold, &format!("VM {name}"), Class::Guest, &passing, None)?;
        let made = match source(&task.vm, existing)? {
            Source::Image(file) => self.import(&hold, file, sr.as_ref(), action)?,
            Source::Template(template) => copy(&hold, template, &passing, sr, action)?,
            Source::Empty(template) => {
                let spec = GuestSpec { name: passing, template: template.reference.clone(), sr, full_copy: false };
                hold.make(action, &Spec::Guest(spec), Patience::STORAGE)?
            }
            Source::Install(template) => {
                // Without what the site is to say, not even the VM is made.
                super::install::source(&task.vm, Site::new(self.variables))?;
                let spec = GuestSpec { name: passing, template: template.reference.clone(), sr, full_copy: false };
                is_installed = false;
                hold.make(action, &Spec::Guest(spec), Patience::STORAGE)?
            }
        };
        self.furnish(task, (&hold, is_installed), &made, action).inspect_err(|_| {
            // Half a VM would be taken for somebody else's the next time.
            let patience = hold.estate.patience(Patience::STORAGE);
            let gone =
                hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.destroy_guest(&made, false, watch));
            if let Err(error) = gone {
                self.context.log(Level::Warning, format!("{name} did not come to be, and is left behind: {}", error.what));
            }
        })?;
        self.knows(&task.at, &name, &made);
        Ok(())
    }

    /// What is done with a VM at once.
    fn furnish(&self, task: &VmTask, (hold, is_installed): (&Hold, bool), made: &Ref, action: &Action<'_>) -> Result<()> {
        self.made(hold, made, &format!("VM {}", task.vm.display_name()), Undo::Remove { class: Class::Guest })?;
        let mut record = hold.ask(|toolstack, watch| toolstack.guest(made, watch))?;
        if let Some(distro) = task.vm.distro.as_deref().filter(|_| !is_installed) {
            record.other_config.insert(INSTALLING.into(), resolved(distro).into());
        }
        self.shape(task, hold, &record, action)?;
        // Which interfaces it has is said, and no template's business.
        let vifs = hold.ask(|toolstack, watch| toolstack.vifs(made, watch))?;
        vifs.into_iter().try_for_each(|vif| hold.order(action, &Verb::Destroy(vif.reference), Patience::NETWORK))?;
        let change = GuestChange { name: Some(task.vm.display_name()), ..GuestChange::default() };
        hold.ask(|toolstack, watch| toolstack.configure(made, &change, watch))
    }

    /// Gives a VM its processors, its memory, and the sign that it is ours.
    fn shape(&self, task: &VmTask, hold: &Hold, guest: &toolstack::Guest, action: &Action<'_>) -> Result<()> {
        let vm = &task.vm;
        let mut other_config = guest.other_config.clone();
        other_config.insert(RUN.into(), self.run.into());
        if let Some(distro) = vm.distro.as_deref() {
            other_config.insert(DISTRO.into(), resolved(distro).into());
        }
        let mut platform: BTreeMap<String, String> = vm.guest_params.iter().cloned().collect();
        if let Some(cores) = vm.cores_per_socket {
            platform.insert("cores-per-socket".into(), cores.to_string());
        }
        let affinity = task.on.as_ref().map(|on| self.whereabouts(on)).transpose()?.map(|(_, host)| host);
        let change = GuestChange {
            vcpus: vm.vcpus,
            vcpus_max: vm.vcpus,
            memory: vm.memory.map(|mb| fixed(mb * MB)),
            affinity,
            boot_params: vm.boot_params.clone(),
            platform,
            other_config,
            ..GuestChange::default()
        };
        let patience = hold.estate.patience(Patience::TASK);
        let reference = &guest.reference;
        hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.configure(reference, &change, watch))
    }

    /// Takes in an image of the controller's. Until that is over it has the name that the image gives it.
    fn import(&self, hold: &Hold, file: &str, sr: Option<&Ref>, action: &Action<'_>) -> Result<Ref> {
        let (mut reader, bytes) = super::image::open(
            file,
            &|bytes| action.progress(format!("{} of the image have come", show_size(bytes)), None),
            &self.context.cancel(),
        )?;
        let patience = hold.estate.patience(Patience::COPY);
        let made = hold
            .estate
            .order(&hold.context, action, patience, |toolstack, watch| toolstack.import_guest(&mut *reader, bytes, sr, watch))?;
        if hold.ask(|toolstack, watch| toolstack.guest(&made, watch))?.is_template {
            hold.order(action, &Verb::SetTemplate(made.clone(), false), Patience::TASK)?;
        }
        Ok(made)
    }

    fn disk(&self, task: &VmTask, wanted: &Disk, action: &Action<'_>) -> Result<()> {
        let (hold, guest) = self.guest_of(task)?;
        let disks = hold.ask(|toolstack, watch| toolstack.disks(&guest.reference, watch))?;
        let position = wanted.device.to_string();
        if let Some(volume) = disks.iter().find(|d| !d.is_cd && d.position == position).and_then(|disk| disk.volume.as_ref()) {
            let verb = Verb::Resize { volume: volume.reference.clone(), size: wanted.size * GB };
            return hold.order(action, &verb, Patience::STORAGE);
        }
        if let Some(drive) = disks.iter().find(|disk| disk.is_cd && disk.position == position) {
            self.move_drive(&hold, &guest, drive, action)?;
        }
        let inventory = self.inventory(&Task::Vm(Box::new(task.clone())))?;
        let (existing, _) = inventory.at(&task.at)?;
        // Where nobody says it, beside the root disk.
        let root = disks.iter().find(|disk| !disk.is_cd).and_then(|disk| disk.volume.as_ref()).map(|volume| volume.sr.clone());
        let sr = storage(&task.vm, existing)?.or(root).or_else(|| existing.pool.default_sr.clone());
        let sr = sr.ok_or_else(|| {
            let what = format!("nobody says where disk {position} of {} goes, and there is no default SR", guest.name);
            Error::new(Kind::NotFound, what).blame(Blame::Author).help("give the VM a <storage>, or one <storage> default=\"true\"")
        })?;
        let (what, name) = (format!("disk {position} of {}", guest.name), format!("{} {position}", guest.name));
        let passing = self.while_made(&name);
        self.begin(&hold, &what, Class::Volume, &passing, Some(&sr))?;
        let spec = VolumeSpec { name: passing, sr, size: wanted.size * GB };
        let volume = hold.make(action, &Spec::Volume(spec), Patience::STORAGE)?;
        self.made(&hold, &volume, &what, Undo::Remove { class: Class::Volume })?;
        hold.ask(|toolstack, watch| toolstack.set(&volume, "name_label", &Value::from(name.as_str()), watch))?;
        let disk = DiskSpec {
            guest: guest.reference.clone(),
            volume: Some(volume),
            position: Some(position),
            is_cd: false,
            is_bootable: wanted.device == ROOT_DISK,
            is_read_only: false,
            is_owned: true,
        };
        let made = hold.make_disk(action, disk, Patience::STORAGE)?;
        if guest.state == PowerState::Up {
            hold.order(action, &Verb::Plug(made), Patience::STORAGE)?;
        }
        Ok(())
    }

    /// Gives an empty drive for CDs, which templates have where they like, another place than that of a disk that is asked for.
    fn move_drive(&self, hold: &Hold, guest: &toolstack::Guest, drive: &toolstack::Disk, action: &Action<'_>) -> Result<()> {
        if !drive.is_empty || guest.state != PowerState::Down {
            let what = format!("disk {} of {} is to be where its CD drive is, which is in use", drive.position, guest.name);
            return Err(Error::new(Kind::Refused, what).blame(Blame::Author).help("give the <disk> another device"));
        }
        hold.order(action, &Verb::Destroy(drive.reference.clone()), Patience::STORAGE)?;
        let taken: Vec<String> = {
            let disks = hold.ask(|toolstack, watch| toolstack.disks(&guest.reference, watch))?;
            disks.into_iter().map(|disk| disk.position).chain([drive.position.clone()]).collect()
        };
        // From the end, where no disk is asked for next.
        let free = (0..16).rev().map(|number: u32| number.to_string()).find(|position| !taken.contains(position));
        let drive = DiskSpec {
            guest: guest.reference.clone(),
            volume: None,
            position: free,
            is_cd: true,
            is_bootable: drive.is_bootable,
            is_read_only: true,
            is_owned: false,
        };
        hold.make(action, &Spec::Disk(drive), Patience::STORAGE).map(drop)
    }

    fn interface(&self, task: &VmTask, nic: &Nic, action: &Action<'_>) -> Result<()> {
        let Nic::Virtual { device, network, .. } = nic else {
            return Err(Error::new(Kind::Unsupported, "no NIC is passed through").blame(Blame::Author));
        };
        let (hold, guest) = self.guest_of(task)?;
        let inventory = self.inventory(&Task::Vm(Box::new(task.clone())))?;
        let (existing, _) = inventory.at(&task.at)?;
        let missing = || {
            let names: Vec<&str> = existing.networks.iter().map(|network| network.name.as_str()).collect();
            let what = format!("interface {device} of {} is to be on a network that there is not", guest.name);
            Error::new(Kind::NotFound, what).blame(Blame::Author).help(format!("there is: {}", names.join(", ")))
        };
        let network = network_for(network, existing).ok_or_else(missing)?;
        let vifs = existing.vifs.get(&guest.reference).map(Vec::as_slice).unwrap_or_default();
        if let Some(vif) = vifs.iter().find(|vif| vif.device == device.to_string()) {
            let verb = Verb::MoveVif { vif: vif.reference.clone(), network: network.reference.clone() };
            return hold.order(action, &verb, Patience::NETWORK);
        }
        let spec = VifSpec {
            guest: guest.reference.clone(),
            network: network.reference.clone(),
            device: Some(device.to_string()),
            mac: String::new(),
            mtu: network.mtu,
        };
        let made = hold.make(action, &Spec::Vif(spec), Patience::NETWORK)?;
        if guest.state == PowerState::Up {
            hold.order(action, &Verb::Plug(made), Patience::NETWORK)?;
        }
        Ok(())
    }

    /// Starts a VM and waits until it answers, if anything can: without a system or an interface nothing does.
    fn boot(&self, vm: &Vm, guest: &Guest) -> Result<()> {
        let can_answer = (vm.distro.is_some() || vm.image.is_some()) && !vm.nics.is_empty();
        match guest.state()? {
            PowerState::Up if can_answer => guest.wait_ready(&crate::lab::option::WaitOptions::default()),
            PowerState::Up => Ok(()),
            PowerState::Down => guest.start(&StartOptions { wait: can_answer, ..StartOptions::default() }),
            _ => guest.set_state(PowerState::Up),
        }
        .map_err(|error| if error.kind == Kind::Timeout { error.blame(Blame::Lab) } else { error })
    }

    /// A file system on a disk, mounted where scripts look for it.
    fn format(&self, task: &VmTask, device: u32) -> Result<()> {
        let (hold, record) = self.guest_of(task)?;
        let disks = hold.ask(|toolstack, watch| toolstack.disks(&record.reference, watch))?;
        let disk = disks.iter().find(|disk| !disk.is_cd && disk.position == device.to_string());
        let name =
            disk.map(|disk| disk.device.clone()).filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()));
        let name = name.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("{} does not say what its disk {device} is called inside", record.name))
                .blame(Blame::Lab)
        })?;
        let command = format!("mkfs.ext4 -q -F /dev/{name} && mkdir -p /mnt/{name} && mount /dev/{name} /mnt/{name}");
        self.guest(task)?.exec(&command, &ExecOptions::default())?;
        self.mark(task)
    }

    /// The VM remembers that this was done.
    fn mark(&self, task: &VmTask) -> Result<()> {
        let Some(mark) = task.part.mark(&task.vm) else { return Ok(()) };
        let (hold, guest) = self.guest_of(task)?;
        let mut done: Vec<&str> = marks(&guest).filter(|known| *known != mark).collect();
        done.push(&mark);
        let mut other_config = guest.other_config.clone();
        other_config.insert(DONE.into(), done.join("\n"));
        let change = GuestChange { other_config, ..GuestChange::default() };
        hold.ask(|toolstack, watch| toolstack.configure(&guest.reference, &change, watch))
    }
}

/// Where the disks of a VM go; nothing for the pool's default, or where its template has them.
fn storage(vm: &Vm, existing: &Existing) -> Result<Option<Ref>> {
    let Some(name) = &vm.storage else { return Ok(None) };
    let is_local = name.to_lowercase().starts_with("local storage");
    let local = || existing.srs.iter().find(|sr| !sr.is_shared && sr.content == "user");
    let found = existing.sr(name).or_else(|| local().filter(|_| is_local));
    let missing = || {
        let names: Vec<&str> = existing.srs.iter().map(|sr| sr.name.as_str()).collect();
        let error = Error::new(Kind::NotFound, format!("{} is to be on the SR {name}, which there is not", vm.name));
        error.blame(Blame::Author).help(format!("there is: {}", names.join(", ")))
    };
    found.map(|sr| Some(sr.reference.clone())).ok_or_else(missing)
}

/// A VM with what is on the disks of a template: shared with it where that can be, or else copied.
fn copy(hold: &Hold, template: &toolstack::Guest, name: &str, sr: Option<Ref>, action: &Action<'_>) -> Result<Ref> {
    let full_copy = match &sr {
        None => false,
        Some(sr) => {
            let disks = hold.ask(|toolstack, watch| toolstack.disks(&template.reference, watch))?;
            disks.iter().filter_map(|disk| disk.volume.as_ref()).any(|volume| volume.sr != *sr)
        }
    };
    let spec = GuestSpec { name: name.into(), template: template.reference.clone(), sr, full_copy };
    hold.make(action, &Spec::Guest(spec), Patience::COPY)
}

fn fixed(bytes: u64) -> MemoryLimits {
    MemoryLimits { static_min: bytes, dynamic_min: bytes, dynamic_max: bytes, static_max: bytes }
}
