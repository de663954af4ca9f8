//! A host in the hands of one testcase: what it is, what is on it, and commands in its control domain.

mod machine;
mod network;
mod power;

use super::command::quote;
use super::estate::Estate;
use super::guest::Guest;
use super::hold::{Hold, named};
use super::network::Network;
use super::nic::Nic;
use super::option::{ExecOptions, XeOptions};
use super::sr::{Sr, SrOptions};
use super::wait::Patience;
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::{self, Ref};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use machine::{DiskOptions, ImportOptions, MachineOptions, NetworkChoice};
pub(super) use network::MADE_FOR;
pub use network::{BondOptions, NetworkOptions, VlanOptions};
pub use power::RebootOptions;
pub(super) use power::Starts;

/// SR types whose data lies on one host alone, the usual one first.
pub(super) const LOCAL: [&str; 4] = ["ext", "lvm", "btrfs", "file"];

/// Where a host keeps what it knows of itself.
const INVENTORY: &str = "/etc/xensource-inventory";

/// A host as one testcase holds it. Clones are the same host, also after it has joined another pool.
#[derive(Clone)]
pub struct Host {
    name: Arc<str>,
    uuid: Arc<str>,
    seat: Arc<Mutex<Seat>>,
}

/// Where a host is, which changes when it joins a pool or leaves one.
struct Seat {
    hold: Hold,
    reference: Ref,
}

impl Host {
    pub fn new(estate: Arc<Estate>, record: &toolstack::Host, context: Context) -> Host {
        let seat = Seat { hold: Hold::new(estate, context), reference: record.reference.clone() };
        Host { name: record.name.as_str().into(), uuid: record.uuid.as_str().into(), seat: Arc::new(Mutex::new(seat)) }
    }

    /// The name that it had when the testcase asked for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    pub fn context(&self) -> Context {
        self.seat().hold.context.clone()
    }

    pub fn estate(&self) -> Arc<Estate> {
        self.seat().hold.estate.clone()
    }

    pub fn reference(&self) -> Ref {
        self.seat().reference.clone()
    }

    /// From now on it is a part of another pool.
    pub(super) fn sits(&self, estate: Arc<Estate>, reference: Ref) {
        let mut seat = self.seat();
        seat.hold.estate = estate;
        seat.reference = reference;
    }

    pub(super) fn hold(&self) -> Hold {
        self.seat().hold.clone()
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the pool says of it now.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn record(&self) -> Result<toolstack::Host> {
        let reference = self.reference();
        self.hold().ask(|toolstack, watch| toolstack.host(&reference, watch))
    }

    /// The version of the product that it runs, or of its platform where it says no more.
    ///
    /// # Errors
    /// `NotFound` when it says neither.
    pub fn version(&self) -> Result<String> {
        let software = self.record()?.software;
        let said =
            ["product_version", "platform_version"].iter().find_map(|key| software.get(*key).filter(|text| !text.is_empty()));
        said.cloned().ok_or_else(|| Error::new(Kind::NotFound, format!("{} says no version", self.name)))
    }

    fn told<T>(&self, what: &str, work: impl FnOnce(&Action<'_>) -> Result<T>) -> Result<T> {
        self.hold().told(&self.name, what, work)
    }

    /// Its control domain: what is inside of it.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn dom0(&self) -> Result<Guest> {
        let hold = self.hold();
        let record = self.record()?;
        hold.estate.control_domain(&record, &hold.context)
    }

    /// A field in the toolstack's own words, or a part of it.
    ///
    /// # Errors
    /// `Refused` for a field that there is not; `NotFound` for a key.
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold().get(&self.reference(), field, key)
    }

    /// # Errors
    /// `Refused` for a field that there is not, or that cannot be set.
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold().set(&self.reference(), &self.name, field, key, value)
    }

    /// The way out: any method of the toolstack, without the session.
    ///
    /// # Errors
    /// The toolstack's own, with its words.
    pub fn xapi(&self, method: &str, arguments: &[Value]) -> Result<Value> {
        self.told(method, |action| {
            let hold = self.hold();
            let patience = hold.estate.patience(Patience::TASK);
            hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.call(method, arguments, watch))
        })
    }

    /// The records of a class whose fields are as given.
    ///
    /// # Errors
    /// `Refused` for a class that there is not.
    pub fn xapi_find(&self, class: &str, fields: &[(String, Value)]) -> Result<Vec<Value>> {
        self.told(&format!("find {class}"), |action| {
            let found = self.hold().ask(|toolstack, watch| toolstack.find(class, fields, watch))?;
            action.says(format!("{} found", found.len()));
            Ok(found)
        })
    }

    /// A plugin of the host: what it answers.
    ///
    /// # Errors
    /// Those of the plugin.
    pub fn call_plugin(&self, plugin: &str, function: &str, arguments: &BTreeMap<String, String>) -> Result<String> {
        let arguments = [self.reference().id.as_ref().into(), plugin.into(), function.into(), serde_json::json!(arguments)];
        self.told(&format!("plugin {plugin}.{function}"), |action| {
            let hold = self.hold();
            let patience = hold.estate.patience(Patience::TASK);
            let said = hold
                .estate
                .order(&hold.context, action, patience, |toolstack, watch| toolstack.call("host.call_plugin", &arguments, watch))?;
            Ok(said.as_str().map_or_else(|| said.to_string(), str::to_string))
        })
    }

    /// Runs `xe` in the control domain: a command with its parameters.
    ///
    /// # Errors
    /// As [`Guest::exec`].
    pub fn xe(&self, command: &str, parameters: &BTreeMap<String, String>, options: &XeOptions) -> Result<String> {
        let mut line = format!("xe {}", xe_command(command)?);
        for (name, value) in parameters {
            line.push_str(&format!(" {}", quote(&format!("{name}={value}"))?));
        }
        for (flag, is_set) in [("--minimal", options.minimal), ("--force", options.force), ("--multiple", options.multiple)] {
            if is_set {
                line.push_str(&format!(" {flag}"));
            }
        }
        let timeout = options.timeout.or(Some(self.estate().patience(Patience::XE).limit));
        let exec = ExecOptions { timeout, on_error: options.on_error, ..ExecOptions::default() };
        Ok(self.dom0()?.exec(&line, &exec)?.trim().to_string())
    }

    /// A line of what the host keeps of itself: "PRODUCT_VERSION".
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn inventory(&self, key: &str) -> Result<String> {
        let text = self.dom0()?.read_file(INVENTORY)?;
        let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.trim().split_once('=')).collect();
        match lines.get(key) {
            Some(value) => Ok(value.trim_matches(['\'', '"']).to_string()),
            None => {
                let error = Error::new(Kind::NotFound, format!("{INVENTORY} of {} has no `{key}`", self.name));
                let near = crate::name::did_you_mean(key, lines.keys().copied());
                Err(error.help(near.unwrap_or_else(|| format!("it has {} others", lines.len()))))
            }
        }
    }

    /// The guests that run on it, and those that are down and may start on it.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn guests(&self) -> Result<Vec<Guest>> {
        let hold = self.hold();
        let reference = self.reference();
        let all = hold.ask(|toolstack, watch| toolstack.guests(watch))?;
        let is_ours = |guest: &&toolstack::Guest| match (&guest.host, &guest.affinity) {
            (Some(host), _) | (None, Some(host)) => *host == reference,
            (None, None) => true,
        };
        Ok(all.iter().filter(is_ours).map(|guest| hold.estate.guest(guest, &hold.context)).collect())
    }

    /// A guest of its pool, by name or uuid.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn guest(&self, name: &str) -> Result<Guest> {
        let hold = self.hold();
        if let Some(found) = hold.estate.guest_named(name, &hold.context)? {
            return Ok(hold.estate.guest(&found, &hold.context));
        }
        let all = hold.ask(|toolstack, watch| toolstack.guests(watch))?;
        named("guest", all, name, |guest| (guest.name.clone(), guest.uuid.clone()))
            .map(|guest| hold.estate.guest(&guest, &hold.context))
    }

    /// The names of the pool's templates.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn templates(&self) -> Result<Vec<String>> {
        Ok(self.hold().ask(|toolstack, watch| toolstack.templates(watch))?.into_iter().map(|template| template.name).collect())
    }

    /// The SRs that it can use: those that are plugged into it.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn srs(&self) -> Result<Vec<Sr>> {
        let (hold, reference) = (self.hold(), self.reference());
        let all = hold.ask(|toolstack, watch| toolstack.srs(watch))?;
        let is_here = |sr: &toolstack::Sr| sr.plugs.iter().any(|plug| plug.host == reference);
        Ok(all.into_iter().filter(is_here).map(|sr| Sr::new(hold.clone(), sr)).collect())
    }

    /// An SR of the pool, by name or uuid. Of several with one name, as every host has its own "Local storage", the one of this host.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn sr(&self, name: &str) -> Result<Sr> {
        Sr::find(&self.hold(), name, Some(&self.reference()))
    }

    /// The SR for disks that only this host has.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn local_sr(&self) -> Result<Sr> {
        let all = self.srs()?;
        let of = |kind: &&str| all.iter().find(|sr| sr.known().kind == **kind && !sr.known().is_shared).cloned();
        LOCAL.iter().find_map(of).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("{} has no local SR", self.name))
                .blame(Blame::Lab)
                .help("make one: `host.create_sr(#{ type: \"ext\", name: \"Local storage\", device: \"/dev/sdb\" })`")
        })
    }

    /// The SR where new disks go when nobody says.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn default_sr(&self) -> Result<Sr> {
        Sr::default(&self.hold())
    }

    /// Makes an SR, and waits until all hosts that it is for can use it.
    ///
    /// # Errors
    /// `NotFound` for its type, `Malformed` for its options; those of the back end.
    pub fn create_sr(&self, options: &SrOptions) -> Result<Sr> {
        Sr::create(&self.hold(), &self.name, &self.reference(), options)
    }

    /// # Errors
    /// Those of the toolstack.
    pub fn networks(&self) -> Result<Vec<Network>> {
        Network::all(&self.hold())
    }

    /// A network of the pool, by name, bridge or uuid.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn network(&self, name: &str) -> Result<Network> {
        Network::find(&self.hold(), name)
    }

    /// The network that it is managed over.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn primary_network(&self) -> Result<Network> {
        let nic = self.nics()?.into_iter().find(|nic| nic.known().is_management);
        let missing = || Error::new(Kind::NotFound, format!("{} is managed over no interface", self.name)).blame(Blame::Lab);
        nic.ok_or_else(missing)?.network()
    }

    /// Its network interfaces: physical ones, then bonds and VLANs.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn nics(&self) -> Result<Vec<Nic>> {
        Nic::of_host(&self.hold(), self)
    }

    /// A network interface, by number, device or hardware address.
    ///
    /// # Errors
    /// `NotFound` with what there is.
    pub fn nic(&self, which: &str) -> Result<Nic> {
        let all = self.nics()?;
        let names: Vec<String> = all.iter().map(|nic| nic.device().to_string()).collect();
        let number = which.parse::<usize>().ok();
        let at = all
            .iter()
            .position(|nic| nic.device() == which || nic.known().mac.eq_ignore_ascii_case(which) || nic.known().uuid == which);
        at.or(number).and_then(|at| all.into_iter().nth(at)).ok_or_else(|| {
            let error = Error::new(Kind::NotFound, format!("{} has no NIC `{which}`", self.name)).blame(Blame::Lab);
            error.help(format!("there is: {}", names.join(", ")))
        })
    }
}

/// The words of a command of `xe`, each quoted for a shell: "vm-list --multiple", "vm-param-get uuid=… param-name=name-label".
fn xe_command(command: &str) -> Result<String> {
    let words = shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
        Error::new(Kind::Malformed, format!("`{command}` is not a command of xe"))
            .help("give its parameters as a map: `host.xe(\"vm-list\", #{ params: \"uuid,name-label\" })`")
    })?;
    Ok(words.iter().map(|word| quote(word)).collect::<Result<Vec<_>>>()?.join(" "))
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host({:?})", self.name())
    }
}
