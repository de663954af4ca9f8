//! The agent in a guest, and making a guest ready to be doubled.

use super::guest::Guest;
use super::option::{PowerOptions, WaitOptions};
use super::wait::Patience;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::Verb;
use crate::wire::Command;

/// What discs with the agent are called, the first that there is.
const DISCS: &[&str] = &["guest-tools.iso", "xs-tools.iso", "xcp-ng-tools.iso"];

/// Mounts the disc, runs its installer without questions, and takes it down again whatever came of it.
const INSTALL: &str = "\
for d in /dev/xvdd /dev/sr0 /dev/cdrom; do [ -e \"$d\" ] && break; done
at=$(mktemp -d) && mount -o ro \"$d\" \"$at\" || exit 43
for i in \"$at/Linux/install.sh\" \"$at/install.sh\"; do [ -f \"$i\" ] && break; done
if [ -f \"$i\" ]; then sh \"$i\" -n; s=$?; else s=44; fi
umount \"$at\"; rmdir \"$at\"; exit $s";

/// Packages with the agent, by the names that distributions have for it.
const PACKAGED: &str = "command -v xe-daemon xenstore-write xe-linux-distribution 2>/dev/null | head -n 1";

/// What a Linux guest remembers of the machine that it was installed on.
const FORGET: &str = "\
rm -f /etc/udev/rules.d/*persistent-net*.rules /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease
for f in /etc/sysconfig/network-scripts/ifcfg-eth* /etc/sysconfig/network-scripts/ifcfg-ens*; do
  [ -f \"$f\" ] && sed -i '/^HWADDR/d;/^UUID/d' \"$f\"
done
[ -f /etc/sysconfig/network ] && sed -i '/^HOSTNAME/d' /etc/sysconfig/network
[ -s /etc/machine-id ] && : >/etc/machine-id
sync; true";

impl Guest {
    /// Installs the agent of its hypervisor from the disc that comes with that, and waits until it answers. One that is there and up
    /// to date is left alone.
    ///
    /// # Errors
    /// `Unsupported` for Windows, or where there is no such disc; `Refused` with what the installer says; `Timeout`.
    pub fn install_tools(&self, options: &WaitOptions) -> Result<()> {
        self.vm()?;
        if self.record()?.inside.is_some_and(|inside| inside.is_live && inside.are_drivers_current) {
            return self.told("install its agent", |action| {
                action.says("it is there, and up to date");
                Ok(())
            });
        }
        if self.is_windows()? {
            let what = format!("`{}` runs Windows: its agent cannot be installed from here", self.name());
            return Err(Error::new(Kind::Unsupported, what).blame(Blame::Lab));
        }
        self.told("install its agent", |action| {
            let there = self.answer(PACKAGED)?;
            if there.is_empty() {
                self.install_from_disc(action, options)?;
            }
            Ok(())
        })?;
        self.wait_agent(options)
    }

    fn install_from_disc(&self, action: &Action<'_>, options: &WaitOptions) -> Result<()> {
        let mut missing = None;
        for disc in DISCS {
            match self.insert_cd(disc) {
                Ok(()) => {
                    missing = None;
                    break;
                }
                Err(error) if error.kind == Kind::NotFound => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = missing {
            let what = format!("no disc with the agent is there: {} were looked for", DISCS.join(", "));
            return Err(Error::new(Kind::Unsupported, what).blame(Blame::Lab).because(error));
        }
        action.progress("running the installer of the disc", None);
        let limit = self.patience(Patience::INSTALL).or(options.timeout).limit;
        let output = self.run(&Command::new(INSTALL, limit));
        let ejected = self.eject_cd();
        let output = output?;
        if !output.is_success() {
            return Err(self.refused("install.sh -n", &output));
        }
        ejected
    }

    /// Makes its drivers up to date: the agent of its hypervisor, and a reboot when that brought new ones.
    ///
    /// # Errors
    /// As [`Guest::install_tools`] and [`Guest::reboot`].
    pub fn install_drivers(&self, options: &WaitOptions) -> Result<()> {
        let before = self.record()?.inside.and_then(|inside| inside.drivers);
        self.install_tools(options)?;
        if self.record()?.inside.and_then(|inside| inside.drivers) != before {
            self.reboot(&PowerOptions::default())?;
            self.wait_agent(options)?;
        }
        match self.are_drivers_current()? {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("the drivers of `{}` are not up to date after they were installed", self.name()),
            )),
        }
    }

    /// Makes a Linux guest forget what only one machine can have: MAC addresses, leases, its identity. For a guest that is about to
    /// be shut down and doubled.
    ///
    /// # Errors
    /// `Refused` with what the guest says; `Unreachable`, `Timeout`, `Cancelled`.
    pub fn prepare_for_clone(&self) -> Result<()> {
        self.told("make it forget what only one machine can have", |_| self.answer(FORGET).map(drop))
    }

    /// Makes a template of it; it has to be down.
    ///
    /// # Errors
    /// `Unsupported` when no hypervisor is known; `Refused` with the toolstack's words.
    pub fn make_template(&self) -> Result<()> {
        let vm = self.vm()?;
        self.told("make it a template", |action| {
            let hold = self.hold()?;
            hold.order(action, &Verb::SetTemplate(vm.reference.clone(), true), Patience::DEVICE)?;
            match self.record()?.is_template {
                true => Ok(()),
                false => Err(Error::new(Kind::Refused, format!("`{}` was made a template, and is none", self.name()))),
            }
        })
    }
}
