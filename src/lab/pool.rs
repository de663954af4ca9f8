//! A pool in the hands of one testcase: its hosts, who is its master, and what all of them share.

use super::estate::Estate;
use super::guest::Guest;
use super::hold::{Hold, named};
use super::host::Host;
use super::made::Made;
use super::option::{Text, texts};
use super::sr::{Sr, SrOptions};
use super::wait::{Look, Patience};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::{self, Ref, Verb};
use crate::unit::{deserialize_duration as duration, show_duration};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A pool as one testcase holds it. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    hold: Hold,
    known: Arc<toolstack::Pool>,
}

/// How a host joins.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JoinOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Even where it does not fit: other hardware, other patches.
    pub force: bool,
}

/// How a host becomes the master.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasterOptions {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

/// How a pool watches over its hosts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaOptions {
    /// Where the heartbeats go; the pool's default SR when nothing is said.
    pub srs: Vec<Text>,
    #[serde(deserialize_with = "texts")]
    pub config: BTreeMap<String, String>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
}

impl Pool {
    pub fn new(estate: Arc<Estate>, record: &toolstack::Pool, context: Context) -> Pool {
        Pool { hold: Hold::new(estate, context), known: Arc::new(record.clone()) }
    }

    /// Its name, or that of its toolstack where it has none, as a pool of one host.
    pub fn name(&self) -> &str {
        if self.known.name.is_empty() { self.hold.estate.name() } else { &self.known.name }
    }

    pub fn uuid(&self) -> &str {
        &self.known.uuid
    }

    pub fn reference(&self) -> &Ref {
        &self.known.reference
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    pub fn estate(&self) -> &Arc<Estate> {
        &self.hold.estate
    }

    /// What it is now.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn record(&self) -> Result<toolstack::Pool> {
        self.hold.ask(|toolstack, watch| toolstack.pool(watch))
    }

    fn told<T>(&self, what: &str, work: impl FnOnce(&Action<'_>) -> Result<T>) -> Result<T> {
        self.hold.told(self.name(), what, work)
    }

    fn of(&self, record: &toolstack::Host) -> Host {
        Host::new(self.hold.estate.clone(), record, self.hold.context.clone())
    }

    /// All hosts, the master first.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        let master = self.record()?.master;
        let mut all = self.hold.ask(|toolstack, watch| toolstack.hosts(watch))?;
        all.sort_by_key(|host| host.reference != master);
        Ok(all.iter().map(|host| self.of(host)).collect())
    }

    /// All hosts but the master.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn members(&self) -> Result<Vec<Host>> {
        Ok(self.hosts()?.split_off(1))
    }

    /// # Errors
    /// Those of the toolstack.
    pub fn master(&self) -> Result<Host> {
        let master = self.record()?.master;
        let record = self.hold.ask(|toolstack, watch| toolstack.host(&master, watch))?;
        Ok(self.of(&record))
    }

    /// A host of it, by name or uuid.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn host(&self, name: &str) -> Result<Host> {
        let all = self.hold.ask(|toolstack, watch| toolstack.hosts(watch))?;
        named("host", all, name, |host| (host.name.clone(), host.uuid.clone())).map(|host| self.of(&host))
    }

    /// All guests, by name.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn guests(&self) -> Result<Vec<Guest>> {
        let all = self.hold.ask(|toolstack, watch| toolstack.guests(watch))?;
        Ok(all.iter().map(|guest| self.hold.estate.guest(guest, &self.hold.context)).collect())
    }

    /// All SRs.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn srs(&self) -> Result<Vec<Sr>> {
        Sr::all(&self.hold)
    }

    /// An SR, by name or uuid.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; `Malformed` when several hosts have one of that name.
    pub fn sr(&self, name: &str) -> Result<Sr> {
        let all = self.hold.ask(|toolstack, watch| toolstack.srs(watch))?;
        named("SR", all, name, |sr| (sr.name.clone(), sr.uuid.clone())).map(|sr| Sr::new(self.hold.clone(), sr))
    }

    /// # Errors
    /// `NotFound` when there is none.
    pub fn default_sr(&self) -> Result<Sr> {
        Sr::default(&self.hold)
    }

    /// From now on new disks, suspended guests and crash dumps go there when nobody says otherwise.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn set_default_sr(&self, sr: &Sr) -> Result<()> {
        self.told(&format!("make {} the default SR", sr.name()), |action| {
            self.hold.order(action, &Verb::SetDefaultSr(sr.reference()), Patience::TASK)?;
            self.hold.order(action, &Verb::SetSuspendSr(sr.reference()), Patience::TASK)?;
            match self.record()?.default_sr {
                Some(now) if now == sr.reference() => Ok(()),
                _ => Err(Error::new(Kind::Refused, format!("{} has another default SR than `{}`", self.name(), sr.name()))),
            }
        })
    }

    /// Makes an SR that the master makes and all hosts get, if its type is such.
    ///
    /// # Errors
    /// As [`Host::create_sr`].
    pub fn create_sr(&self, options: &SrOptions) -> Result<Sr> {
        Sr::create(&self.hold, self.name(), &self.record()?.master, options)
    }

    /// Brings a host (a pool of its own) into this pool, and waits until it is enabled there. From then on `host` is that member.
    ///
    /// # Errors
    /// `Refused` when it does not fit; `Timeout` with what was seen last; `NotFound` when the password of this pool is not known.
    pub fn add(&self, host: &Host, options: &JoinOptions) -> Result<()> {
        let Some((user, password)) = self.hold.estate.login() else {
            let error =
                Error::new(Kind::NotFound, format!("no password of {} is known for {} to join with", self.name(), host.name()));
            return Err(error.blame(Blame::User).help("give it with --password-file, XRT_HOST_PASSWORD, or in the address"));
        };
        let joining = host.hold();
        let own = joining.ask(|toolstack, watch| toolstack.pool(watch))?;
        if own.uuid == self.known.uuid {
            return Err(Error::new(Kind::Refused, format!("{} is in {} already", host.name(), self.name())).blame(Blame::Author));
        }
        self.told(&format!("add {}", host.name()), |action| {
            let began = Instant::now();
            let master = self.master()?.record()?.address;
            let verb = Verb::Join { master, user: user.into(), password, force: options.force };
            joining.order(action, &verb, Patience::POOL)?;
            let patience = self.hold.estate.patience(Patience::POOL).or(options.timeout);
            let what = format!("`{}` to be a member of {}", host.name(), self.name());
            let record = crate::lab::wait::until(self.context(), action, &what, &patience, |own| {
                self.hold.look(own, |toolstack, watch| {
                    let found = toolstack.hosts(watch)?.into_iter().find(|record| record.uuid == host.uuid());
                    Ok(found.map_or_else(|| Look::NotYet("the pool does not know it yet".into()), Look::Done))
                })
            })?;
            self.hold.estate.hands.made(self.context(), Made::member(host.name(), &record.reference));
            host.sits(self.hold.estate.clone(), record.reference);
            let left = Patience { limit: patience.limit.saturating_sub(began.elapsed()), ..patience };
            host.wait_enabled_in(action, left, &super::host::Starts::default())?;
            action.says(format!("enabled after {}", show_duration(began.elapsed())));
            Ok(())
        })
    }

    /// Takes a host out of this pool, and waits until the pool no longer knows it and the host answers as a pool of its own, without what
    /// was on its disks. From then on `host` is that pool's.
    ///
    /// # Errors
    /// `Refused` for the master, or while guests run there; `Timeout` with what was seen last.
    pub fn eject(&self, host: &Host, options: &MasterOptions) -> Result<()> {
        self.told(&format!("eject {}", host.name()), |action| {
            let began = Instant::now();
            let address = host.record()?.address;
            self.hold.order(action, &Verb::Eject(host.reference()), Patience::POOL)?;
            let patience = Patience { limit: options.timeout.unwrap_or(Patience::POOL.limit), ..Patience::POOL };
            self.hold.until(action, &format!("`{}` to be gone", host.name()), patience, |toolstack, watch| {
                let is_there = toolstack.hosts(watch)?.iter().any(|record| record.uuid == host.uuid());
                Ok(if is_there { Look::NotYet("the pool still knows it".into()) } else { Look::Done(()) })
            })?;
            let left = Patience { limit: patience.limit.saturating_sub(began.elapsed()), ..patience };
            let what = format!("`{}` to answer as a pool of its own", host.name());
            let record =
                self.hold.until(action, &what, left, |_, watch| self.hold.estate.lone_host(&address, host.uuid(), watch))?;
            host.sits(self.hold.estate.beyond(&address, None, None)?, record.reference);
            action.says(format!("a pool of its own after {}", show_duration(began.elapsed())));
            Ok(())
        })
    }

    /// Makes another host the master, and waits until the pool says so.
    ///
    /// # Errors
    /// `Refused`; `Timeout` with what was seen last.
    pub fn set_master(&self, host: &Host, options: &MasterOptions) -> Result<()> {
        self.told(&format!("make {} the master", host.name()), |action| {
            match self.hold.order(action, &Verb::SetMaster(host.reference()), Patience::POOL) {
                // The answer is lost when the old master goes before it has come.
                Err(error) if error.kind == Kind::Unreachable => self.context().cancel().check()?,
                other => other?,
            }
            let patience = Patience { limit: options.timeout.unwrap_or(Patience::POOL.limit), ..Patience::POOL };
            self.hold.until(action, &format!("`{}` to be the master", host.name()), patience, |toolstack, watch| {
                let master = toolstack.pool(watch)?.master;
                let now = toolstack.host(&master, watch)?;
                Ok(if now.uuid == host.uuid() { Look::Done(()) } else { Look::NotYet(format!("{} is the master", now.name)) })
            })
        })
    }

    /// # Errors
    /// Those of the toolstack.
    pub fn sync_database(&self) -> Result<()> {
        self.hold.act(self.name(), "sync the database", &Verb::SyncDatabase, Patience::TASK)
    }

    /// Turns high availability on.
    ///
    /// # Errors
    /// `Refused` when an SR cannot carry heartbeats; `Unsupported`.
    pub fn enable_ha(&self, options: &HaOptions) -> Result<()> {
        let srs = match options.srs.as_slice() {
            [] => vec![self.default_sr()?.reference()],
            named => named.iter().map(|name| Ok(self.sr(&name.0)?.reference())).collect::<Result<Vec<_>>>()?,
        };
        self.told("enable HA", |action| {
            let patience = Patience { limit: options.timeout.unwrap_or(Patience::POOL.limit), ..Patience::POOL };
            self.hold.order(action, &Verb::EnableHa { srs, settings: options.config.clone() }, patience)?;
            self.expect_ha(true)
        })
    }

    /// # Errors
    /// Those of the toolstack.
    pub fn disable_ha(&self) -> Result<()> {
        self.told("disable HA", |action| {
            self.hold.order(action, &Verb::DisableHa, Patience::POOL)?;
            self.expect_ha(false)
        })
    }

    fn expect_ha(&self, wanted: bool) -> Result<()> {
        match self.record()?.is_ha_enabled == wanted {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Refused,
                format!("HA of {} is {} all the same", self.name(), if wanted { "off" } else { "on" }),
            )),
        }
    }

    /// Sees that it has a master, and that every host is live and enabled.
    ///
    /// # Errors
    /// `Refused` with everything that is wrong.
    pub fn check(&self) -> Result<()> {
        self.told("check", |action| {
            let pool = self.record()?;
            let hosts = self.hold.ask(|toolstack, watch| toolstack.hosts(watch))?;
            let mut wrong = Vec::new();
            if !hosts.iter().any(|host| host.reference == pool.master) {
                wrong.push("its master is none of its hosts".to_string());
            }
            for host in &hosts {
                match (host.is_live, host.is_enabled) {
                    (false, _) => wrong.push(format!("{} is not live", host.name)),
                    (true, false) => wrong.push(format!("{} is disabled", host.name)),
                    (true, true) => {}
                }
            }
            if !wrong.is_empty() {
                return Err(Error::new(Kind::Refused, format!("{}: {}", self.name(), wrong.join(", "))));
            }
            action.says(format!("{} hosts", hosts.len()));
            Ok(())
        })
    }

    /// A field in the toolstack's own words, or a part of it.
    ///
    /// # Errors
    /// As [`Host::get`].
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold.get(self.reference(), field, key)
    }

    /// # Errors
    /// As [`Host::set`].
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold.set(self.reference(), self.name(), field, key, value)
    }
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pool({:?})", self.name())
    }
}
