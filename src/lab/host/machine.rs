//! New guests for a host: from a template, or from an image.

use super::Host;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::lab::guest::Guest;
use crate::lab::hold::{Hold, named};
use crate::lab::made::{Made, UNINSTALL};
use crate::lab::option::{Size, StartOptions, Text, size};
use crate::lab::wait::Patience;
use crate::name::fingerprint;
use crate::time::Timestamp;
use crate::toolstack::{self, DiskSpec, GuestChange, GuestSpec, MemoryLimits, Ref, Spec, Verb, VifSpec, VolumeSpec};
use crate::unit::{deserialize_duration as duration, show_size};
use serde::Deserialize;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// What templates of systems that were installed before are called: this, the distribution and the architecture.
const PREBUILT: &str = "xenrt-template-";

/// What a new guest is to be. What is not said is as the template has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineOptions {
    /// Name or uuid of the template that it is made of.
    pub template: String,
    /// A distribution: the template of that name, or one on which it was installed before.
    pub distro: String,
    /// Nothing for one that no other guest has.
    pub name: String,
    /// Where its disks go.
    pub sr: String,
    pub vcpus: Option<u32>,
    #[serde(deserialize_with = "size")]
    pub memory: Option<u64>,
    /// Further disks.
    pub disks: Vec<DiskOptions>,
    /// The networks that it is on, instead of the template's.
    pub networks: Option<Vec<NetworkChoice>>,
    /// Whether it may only start on this host.
    pub pinned: bool,
    /// Whether the disks are copied in full.
    pub full_copy: bool,
    pub start: bool,
    /// Limit of the wait until it answers.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

impl Default for MachineOptions {
    fn default() -> MachineOptions {
        let text = String::new;
        MachineOptions {
            template: text(),
            distro: text(),
            name: text(),
            sr: text(),
            vcpus: None,
            memory: None,
            disks: Vec::new(),
            networks: None,
            pinned: false,
            full_copy: false,
            start: true,
            timeout: None,
        }
    }
}

/// A disk: its size, or more of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum DiskOptions {
    Size(Size),
    Whole {
        size: Size,
        #[serde(default)]
        sr: String,
        #[serde(default)]
        name: String,
    },
}

/// A network: its name, or more of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum NetworkChoice {
    Name(Text),
    Whole {
        network: Text,
        #[serde(default)]
        mac: String,
    },
}

/// How an image is taken in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// The name that it gets, instead of the image's.
    pub name: String,
    pub sr: String,
    pub start: bool,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

impl Host {
    /// Makes a guest, starts it unless told otherwise, and waits until it answers. What was made of one that does not come to be is
    /// removed.
    ///
    /// # Errors
    /// `NotFound`: template, SR or network; `Refused` with the toolstack's words; `Timeout` with what was seen last.
    pub fn create_vm(&self, options: &MachineOptions) -> Result<Guest> {
        let template = self.template(options)?;
        let name = match options.name.as_str() {
            "" => format!("xrt-{:08x}", fingerprint(&format!("{}{}{}", Timestamp::now(), std::process::id(), template.name))),
            name => name.to_string(),
        };
        let hold = self.hold();
        let sr = self.named_sr(&options.sr)?;
        let guest = self.told(&format!("make the guest {name}"), |action| {
            let spec = GuestSpec {
                name: name.clone(),
                template: template.reference.clone(),
                sr: sr.clone(),
                full_copy: options.full_copy,
            };
            let made = hold.make(action, &Spec::Guest(spec), Patience::STORAGE)?;
            match self.furnish(&hold, action, &made, sr.as_ref(), options) {
                Ok(()) => self.handed_over(&hold, &made),
                Err(error) => {
                    self.undo(&hold, action, &made, &name);
                    Err(error)
                }
            }
        })?;
        if options.start {
            self.start(&guest, options.timeout)?;
        }
        Ok(guest)
    }

    fn start(&self, guest: &Guest, timeout: Option<Duration>) -> Result<()> {
        guest.start(&StartOptions { timeout, on: Some(self.uuid().to_string()), ..StartOptions::default() })
    }

    /// The testcase has it in hand.
    fn handed_over(&self, hold: &Hold, made: &Ref) -> Result<Guest> {
        let record = hold.ask(|toolstack, watch| toolstack.guest(made, watch))?;
        Ok(hold.estate.guest(&record, &hold.context))
    }

    /// Removes a guest that did not come to be. What cannot be removed is told, and no other error.
    fn undo(&self, hold: &Hold, action: &Action<'_>, made: &Ref, name: &str) {
        if let Err(error) = hold.remove(action, made, false) {
            let text = format!("the guest `{name}` did not come to be, and cannot be removed: {}", error.what);
            hold.context.log(crate::event::Level::Warning, text);
        }
    }

    /// Gives a new guest what it is to have.
    fn furnish(&self, hold: &Hold, action: &Action<'_>, made: &Ref, sr: Option<&Ref>, options: &MachineOptions) -> Result<()> {
        let change = GuestChange {
            vcpus: options.vcpus,
            vcpus_max: options.vcpus,
            memory: options.memory.map(fixed),
            affinity: options.pinned.then(|| self.reference()),
            ..GuestChange::default()
        };
        if change != GuestChange::default() {
            let patience = hold.estate.patience(Patience::TASK);
            hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.configure(made, &change, watch))?;
        }
        for (number, disk) in options.disks.iter().enumerate() {
            self.add_disk(hold, action, made, sr, disk, number + 1)?;
        }
        match &options.networks {
            Some(networks) => {
                for old in hold.ask(|toolstack, watch| toolstack.vifs(made, watch))? {
                    hold.order(action, &Verb::Destroy(old.reference), Patience::NETWORK)?;
                }
                networks.iter().try_for_each(|choice| self.add_vif(hold, action, made, choice))
            }
            None if hold.ask(|toolstack, watch| toolstack.vifs(made, watch))?.is_empty() => {
                let primary = self.primary_network()?.known().uuid.clone();
                self.add_vif(hold, action, made, &NetworkChoice::Name(Text(primary)))
            }
            None => Ok(()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of making a guest, with all that is known of it by then")]
    fn add_disk(
        &self,
        hold: &Hold,
        action: &Action<'_>,
        guest: &Ref,
        sr: Option<&Ref>,
        disk: &DiskOptions,
        number: usize,
    ) -> Result<()> {
        let (bytes, own_sr, name) = match disk {
            DiskOptions::Size(size) => (size.0, "", ""),
            DiskOptions::Whole { size, sr, name } => (size.0, sr.as_str(), name.as_str()),
        };
        let sr = match (self.named_sr(own_sr)?, sr) {
            (Some(own), _) => own,
            (None, Some(sr)) => sr.clone(),
            (None, None) => self.default_sr()?.reference(),
        };
        let name = if name.is_empty() { format!("disk {number}") } else { name.to_string() };
        action.progress(format!("making its disk {number} of {}", show_size(bytes)), None);
        let volume = hold.make(action, &Spec::Volume(VolumeSpec { name, sr, size: bytes }), Patience::STORAGE)?;
        let disk = DiskSpec {
            guest: guest.clone(),
            volume: Some(volume),
            position: None,
            is_cd: false,
            is_bootable: false,
            is_read_only: false,
            is_owned: true,
        };
        hold.make_disk(action, disk, Patience::STORAGE).map(drop)
    }

    fn add_vif(&self, hold: &Hold, action: &Action<'_>, guest: &Ref, choice: &NetworkChoice) -> Result<()> {
        let (name, mac) = match choice {
            NetworkChoice::Name(name) => (name, ""),
            NetworkChoice::Whole { network, mac } => (network, mac.as_str()),
        };
        let network = self.network(&name.0)?;
        let spec = Spec::Vif(VifSpec {
            guest: guest.clone(),
            network: network.reference().clone(),
            device: None,
            mac: mac.into(),
            mtu: network.known().mtu,
        });
        hold.make(action, &spec, Patience::NETWORK).map(drop)
    }

    fn named_sr(&self, name: &str) -> Result<Option<Ref>> {
        if name.is_empty() { Ok(None) } else { Ok(Some(self.sr(name)?.reference())) }
    }

    fn template(&self, options: &MachineOptions) -> Result<toolstack::Guest> {
        let all = self.hold().ask(|toolstack, watch| toolstack.templates(watch))?;
        match (options.template.as_str(), options.distro.as_str()) {
            ("", "") => Err(Error::new(Kind::Malformed, "a guest is made of a `template` or a `distro`")),
            (template, "") => named("template", all, template, |guest| (guest.name.clone(), guest.uuid.clone())),
            ("", distro) => {
                let start = format!("{PREBUILT}{distro}");
                let is_it = |guest: &toolstack::Guest| {
                    let rest = guest.name.strip_prefix(&start);
                    guest.name == distro || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                };
                let names: Vec<&str> = all.iter().filter_map(|guest| guest.name.strip_prefix(PREBUILT)).collect();
                let near = crate::name::did_you_mean(distro, names.iter().copied()).unwrap_or_default();
                let help = format!("install one and call it {start}-x86-64, or let a sequence's <prepare> install it; {near}");
                let missing = format!("no template has {distro} installed");
                all.into_iter().find(is_it).ok_or_else(|| Error::new(Kind::NotFound, missing).blame(Blame::Lab).help(help))
            }
            _ => Err(Error::new(Kind::Malformed, "a guest is made of a `template` or of a `distro`: not of both")),
        }
    }

    /// Makes a guest of an image on the controller.
    ///
    /// # Errors
    /// `NotFound` for the file; `Malformed` for one that is no image; `Refused` with the toolstack's words.
    pub fn import_vm(&self, path: &Path, options: &ImportOptions) -> Result<Guest> {
        let mut file = File::open(path).at(format_args!("read the image `{}`", path.display()))?;
        let bytes = file.metadata().at(format_args!("read the image `{}`", path.display()))?.len();
        let hold = self.hold();
        let sr = self.named_sr(&options.sr)?;
        let guest = self.told(&format!("import {}", path.display()), |action| {
            let patience = hold.estate.patience(Patience::COPY).or(options.timeout);
            // What an image is called stands in it.
            let order = |toolstack: &dyn toolstack::Toolstack, watch: toolstack::Watch<'_>| {
                toolstack.import_guest(&mut file, Some(bytes), sr.as_ref(), watch)
            };
            let wanted = Made::unlike_nothing(format!("the guest of {}", path.display()), UNINSTALL);
            let made = hold.estate.make(&hold.context, action, patience, Some(wanted), order)?;
            if !options.name.is_empty() {
                let change = GuestChange { name: Some(options.name.clone()), ..GuestChange::default() };
                hold.ask(|toolstack, watch| toolstack.configure(&made, &change, watch))?;
            }
            action.says(show_size(bytes));
            self.handed_over(&hold, &made)
        })?;
        if options.start {
            self.start(&guest, options.timeout)?;
        }
        Ok(guest)
    }
}

/// All limits the same: nothing to balloon between.
fn fixed(bytes: u64) -> MemoryLimits {
    MemoryLimits { static_min: bytes, dynamic_min: bytes, dynamic_max: bytes, static_max: bytes }
}
