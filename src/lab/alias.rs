//! What the original calls the operations of a guest, and what they are here: for sequences, whose `postinstall` names them.
//!
//! To add one: a row in [`TABLE`].
//!
//! # Source
//! `reference/library.md` 5 and 13.4; how often sequences use each: `reference/harness.md`, "postinstall".

use super::guest::Guest;
use super::option::{NewDiskOptions, NewVifOptions, PowerOptions, Size, StartOptions, VcpuOptions, WaitOptions};
use crate::error::{Blame, Error, Kind, Result};
use crate::name::did_you_mean;
use crate::sequence::topology::Call;
use crate::toolstack::PowerState;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What an operation does with the arguments of a call.
type Act = fn(&Guest, &Given<'_>) -> Result<()>;

/// An operation that can be called by name.
pub struct Row {
    /// The original's names for it.
    pub old: &'static [&'static str],
    /// Ours.
    pub name: &'static str,
    /// The arguments that it takes, in the order in which they may stand without a name.
    takes: &'static [&'static str],
    act: Act,
}

impl Row {
    /// Whether it takes all arguments of a call.
    pub fn takes(&self, call: &Call) -> bool {
        let named = call.arguments.iter().filter_map(|argument| argument.name.as_deref());
        call.arguments.len() <= self.takes.len() && named.into_iter().all(|name| self.takes.contains(&name))
    }
}

/// All operations that can be called by name, sorted by ours.
pub const TABLE: &[Row] = &[
    row("check", &[], &[], |vm, _| vm.check()),
    row("check_health", &["checkHealth"], &[], |vm, _| vm.check_health()),
    row("check_pv_devices", &["checkPVDevices"], &[], |vm, _| vm.check_pv_devices()),
    row("checkpoint", &[], &["name"], |vm, given| vm.checkpoint(given.text("name")?.as_deref()).map(drop)),
    row("create_disk", &["createDisk"], &["sizebytes", "sruuid", "userdevice", "bootable"], create_disk),
    row("create_vif", &["createVIF"], &["eth", "bridge", "mac"], create_vif),
    row("eject_cd", &["removeCD"], &[], |vm, _| vm.eject_cd()),
    row("ensure_up", &["makeUp"], &[], |vm, _| vm.ensure_up()),
    row("insert_cd", &["changeCD"], &["isoname"], |vm, given| match given.text("isoname")? {
        Some(disc) => vm.insert_cd(&disc),
        None => vm.eject_cd(),
    }),
    row("install_drivers", &["installDrivers", "installPVHVMDrivers"], &[], |vm, _| vm.install_drivers(&WaitOptions::default())),
    row("install_tools", &["installTools"], &[], |vm, _| vm.install_tools(&WaitOptions::default())),
    row("make_template", &["makeTemplate", "convertToTemplate"], &[], |vm, _| vm.make_template()),
    row("pause", &[], &[], |vm, _| vm.pause()),
    row("prepare_for_clone", &["preCloneTailor", "prepareForTemplate"], &[], |vm, _| vm.prepare_for_clone()),
    row("reboot", &[], &["force"], |vm, given| {
        vm.reboot(&PowerOptions { force: given.truth("force")?, ..PowerOptions::default() })
    }),
    row("rename", &["setName"], &["name"], |vm, given| vm.rename(&given.need::<String>("name")?)),
    row("resume", &[], &[], |vm, _| vm.resume(&StartOptions::default())),
    row("set_memory", &["memset"], &["memory"], |vm, given| vm.set_memory(mebibytes(given.need("memory")?))),
    row("set_state", &["setState"], &["state"], set_state),
    row("set_vcpus", &["cpuset"], &["vcpus"], |vm, given| vm.set_vcpus(given.need("vcpus")?, &VcpuOptions::default())),
    row("shutdown", &["shutDown"], &["force", "again"], |vm, given| {
        let (force, again) = (given.truth("force")?, given.truth("again")?);
        vm.shutdown(&PowerOptions { force, again, ..PowerOptions::default() })
    }),
    row("shutdown_or_kill", &["shutdownAndDetach"], &[], |vm, _| vm.shutdown_or_kill(&PowerOptions::default())),
    row("snapshot", &[], &["name"], |vm, given| vm.snapshot(given.text("name")?.as_deref()).map(drop)),
    row("start", &[], &[], |vm, _| vm.start(&StartOptions::default())),
    row("suspend", &[], &[], |vm, _| vm.suspend(&WaitOptions::default())),
    row("unpause", &[], &[], |vm, _| vm.unpause(&StartOptions::default())),
    row("wait_agent", &["waitForAgent"], &["timeout"], |vm, given| vm.wait_agent(&given.wait()?)),
    row("wait_ready", &["waitForSSH", "waitForDaemon", "waitforxmlrpc"], &["timeout"], |vm, given| vm.wait_ready(&given.wait()?)),
];

const fn row(name: &'static str, old: &'static [&'static str], takes: &'static [&'static str], act: Act) -> Row {
    Row { old, name, takes, act }
}

/// The arguments of a call, by the names that the operation has for them.
struct Given<'a> {
    call: &'a Call,
    takes: &'static [&'static str],
}

impl Given<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        let named = self.call.arguments.iter().find(|argument| argument.name.as_deref() == Some(name));
        let place = self.takes.iter().position(|taken| *taken == name);
        let placed = || place.and_then(|place| self.call.arguments.get(place)).filter(|argument| argument.name.is_none());
        named.or_else(placed).map(|argument| &argument.value).filter(|value| !value.is_null())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let read = |value: &Value| serde_json::from_value(value.clone());
        self.value(name).map(read).transpose().map_err(|error| {
            let what = format!("`{name}` of `{}` cannot be that: {error}", self.call.shown());
            Error::new(Kind::Malformed, what).blame(Blame::Author)
        })
    }

    fn need<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let missing = || Error::new(Kind::Malformed, format!("`{}` lacks its `{name}`", self.call.shown())).blame(Blame::Author);
        self.read(name)?.ok_or_else(missing)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        self.read(name)
    }

    fn truth(&self, name: &str) -> Result<bool> {
        Ok(self.read::<bool>(name)?.unwrap_or(false))
    }

    fn wait(&self) -> Result<WaitOptions> {
        let seconds: Option<f64> = self.read("timeout")?;
        let timeout = seconds.map(crate::unit::seconds_to_duration).transpose()?;
        Ok(WaitOptions { timeout })
    }
}

fn create_disk(vm: &Guest, given: &Given<'_>) -> Result<()> {
    let options = NewDiskOptions {
        size: given.read::<Size>("sizebytes")?.map(|size| size.0),
        // The original's word for the pool's default.
        sr: given.text("sruuid")?.filter(|name| name != "DEFAULT"),
        position: given.read::<Value>("userdevice")?.map(|place| place.as_str().map_or_else(|| place.to_string(), str::to_string)),
        bootable: given.truth("bootable")?,
        ..NewDiskOptions::default()
    };
    vm.create_disk(&options).map(drop)
}

fn create_vif(vm: &Guest, given: &Given<'_>) -> Result<()> {
    let device = given.text("eth")?.map(|name| name.trim_start_matches(|c: char| !c.is_ascii_digit()).to_string());
    let options = NewVifOptions {
        network: given.text("bridge")?,
        mac: given.text("mac")?.unwrap_or_default(),
        device,
        ..NewVifOptions::default()
    };
    vm.create_vif(&options).map(drop)
}

fn set_state(vm: &Guest, given: &Given<'_>) -> Result<()> {
    let word: String = given.need("state")?;
    let wrong = || Error::new(Kind::Malformed, format!("`{word}` is no state of a guest")).blame(Blame::Author);
    vm.set_state(PowerState::from_word(&word).ok_or_else(wrong)?)
}

/// The original counts memory in MiB.
fn mebibytes(count: u64) -> u64 {
    count.saturating_mul(1 << 20)
}

/// The operation of this name, the original's or ours.
///
/// # Errors
/// `Unsupported` with the nearest name.
pub fn operation(name: &str) -> Result<&'static Row> {
    let found = TABLE.iter().find(|row| row.name == name || row.old.contains(&name));
    found.ok_or_else(|| {
        let known = TABLE.iter().flat_map(|row| row.old.iter().chain([&row.name])).copied();
        let error = Error::new(Kind::Unsupported, format!("no operation of a guest is called `{name}`")).blame(Blame::Author);
        error.help(did_you_mean(name, known).unwrap_or_else(|| "do it in a script: `<script id=\"…\"/>`".to_string()))
    })
}

impl Guest {
    /// Does what a sequence calls by name.
    ///
    /// # Errors
    /// `Unsupported` for a name that nothing has; `Malformed` for arguments that it does not take; those of the operation.
    pub fn perform(&self, call: &Call) -> Result<()> {
        let row = operation(&call.method)?;
        if row.takes(call) {
            return (row.act)(self, &Given { call, takes: row.takes });
        }
        let takes =
            if row.takes.is_empty() { "it takes nothing".to_string() } else { format!("it takes {}", row.takes.join(", ")) };
        Err(Error::new(Kind::Malformed, format!("`{}` does not take that", call.shown())).blame(Blame::Author).help(takes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_s_names_lead_to_ours() {
        assert!(TABLE.is_sorted_by_key(|row| row.name));
        for (old, name) in
            [("installDrivers", "install_drivers"), ("preCloneTailor", "prepare_for_clone"), ("shutdown", "shutdown")]
        {
            assert_eq!(operation(old).unwrap().name, name);
        }
        let error = operation("installDriver").err().unwrap();
        assert_eq!((error.kind, error.help.as_deref()), (Kind::Unsupported, Some("did you mean `installDrivers`?")));
        let mut all: Vec<&str> = TABLE.iter().flat_map(|row| row.old.iter().chain([&row.name])).copied().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "a name stands for one operation");
    }

    #[test]
    fn arguments_are_found_by_place_and_by_name() {
        let call = Call::parse("createDisk(1048576, bootable=true)").unwrap();
        let given = Given { call: &call, takes: operation("createDisk").unwrap().takes };
        assert_eq!(given.read::<Size>("sizebytes").unwrap(), Some(Size(1 << 20)));
        assert!(given.truth("bootable").unwrap());
        assert_eq!(given.text("sruuid").unwrap(), None);
        let row = operation("snapshot").unwrap();
        assert!(row.takes(&Call::parse("snapshot(name='clean')").unwrap()) && !row.takes(&Call::parse("snapshot(1, 2)").unwrap()));
        assert!(given.text("sizebytes").unwrap_err().what.contains("cannot be that"));
    }
}
