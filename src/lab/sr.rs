//! A storage repository in the hands of one testcase.

use super::hold::{Hold, named};
use super::made::Made;
use super::option::{Text, WaitOptions};
use super::storage::{self, CleanUp, Sort};
use super::volume::Volume;
use super::wait::{Look, Patience};
use crate::context::{Action, Context};
use crate::error::{Blame, Error, Kind, Result};
use crate::toolstack::{self, Ref, Spec, SrSpec, Toolstack, Verb, VolumeSpec, Watch};
use crate::unit::{deserialize_duration as duration, show_size};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Types that are a file system mounted on each host.
const MOUNTED: [&str; 3] = ["ext", "nfs", "smb"];

/// How often the destruction of an SR is tried again while its garbage is being collected.
const DESTROY_TRIES: u32 = 5;

/// An SR as one testcase holds it. Clones are the same SR.
#[derive(Clone)]
pub struct Sr {
    hold: Hold,
    /// As it was seen last: what is needed to make it known again after it was forgotten.
    known: Arc<Mutex<Arc<toolstack::Sr>>>,
}

/// What an SR is to be. What its type takes beside this stands in the table of types.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SrOptions {
    #[serde(rename = "type")]
    pub sort: String,
    pub name: String,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// Whether all hosts are to have it; as its type says when nothing is said.
    pub is_pool_wide: Option<bool>,
    /// What the back end of a type that no table has reads.
    pub device_config: Option<BTreeMap<String, Text>>,
    pub content: Option<String>,
    /// Options of the type.
    #[serde(flatten)]
    pub options: BTreeMap<String, Text>,
}

impl SrOptions {
    /// What the toolstack is asked to make, with the type's row if it has one.
    fn spec(&self, host: &Ref) -> Result<(SrSpec, Option<&'static Sort>)> {
        if self.sort.is_empty() || self.name.trim().is_empty() {
            return Err(Error::new(Kind::Malformed, "an SR needs a `type` and a `name`"));
        }
        let texts = |map: &BTreeMap<String, Text>| map.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let (mut spec, sort) = match &self.device_config {
            None => {
                let sort = storage::sort(&self.sort)?;
                (sort.spec(&self.name, host, &texts(&self.options))?, Some(sort))
            }
            Some(device) => {
                if let Some(odd) = self.options.keys().next() {
                    let what = format!("`{odd}` beside `device_config`: give the whole of it there");
                    return Err(Error::new(Kind::Malformed, what));
                }
                let spec = SrSpec {
                    name: self.name.clone(),
                    host: host.clone(),
                    kind: self.sort.clone(),
                    content: "user".into(),
                    is_shared: false,
                    device: texts(device),
                    sm: BTreeMap::new(),
                    secrets: device.keys().filter(|key| crate::secret::names_a_secret(key)).cloned().collect(),
                };
                (spec, None)
            }
        };
        spec.is_shared = self.is_pool_wide.unwrap_or(spec.is_shared);
        if let Some(content) = &self.content {
            spec.content.clone_from(content);
        }
        Ok((spec, sort))
    }
}

impl Sr {
    pub(super) fn new(hold: Hold, known: toolstack::Sr) -> Sr {
        Sr { hold, known: Arc::new(Mutex::new(Arc::new(known))) }
    }

    pub(super) fn by_reference(hold: &Hold, reference: &Ref) -> Result<Sr> {
        let sr = hold.ask(|toolstack, watch| toolstack.sr(reference, watch))?;
        Ok(Sr::new(hold.clone(), sr))
    }

    pub(super) fn all(hold: &Hold) -> Result<Vec<Sr>> {
        let all = hold.ask(|toolstack, watch| toolstack.srs(watch))?;
        Ok(all.into_iter().map(|sr| Sr::new(hold.clone(), sr)).collect())
    }

    /// The SR of this name or uuid; of several with the name the one that a host has.
    pub(super) fn find(hold: &Hold, name: &str, host: Option<&Ref>) -> Result<Sr> {
        let mut all = hold.ask(|toolstack, watch| toolstack.srs(watch))?;
        let here = |sr: &toolstack::Sr| sr.plugs.iter().any(|plug| Some(&plug.host) == host);
        if all.iter().any(|sr| sr.name == name && here(sr)) {
            all.retain(|sr| sr.name != name || here(sr));
        }
        named("SR", all, name, |sr| (sr.name.clone(), sr.uuid.clone())).map(|sr| Sr::new(hold.clone(), sr))
    }

    pub(super) fn default(hold: &Hold) -> Result<Sr> {
        let pool = hold.ask(|toolstack, watch| toolstack.pool(watch))?;
        match pool.default_sr {
            Some(sr) => Sr::by_reference(hold, &sr),
            None => Err(Error::new(Kind::NotFound, format!("{} has no default SR", hold.estate.name()))
                .blame(Blame::Lab)
                .help("choose one: `pool().set_default_sr(pool().sr(\"…\"))`")),
        }
    }

    /// Makes an SR, and waits until all hosts that it is for can use it.
    pub(super) fn create(hold: &Hold, machine: &str, host: &Ref, options: &SrOptions) -> Result<Sr> {
        let (mut spec, sort) = options.spec(host)?;
        hold.told(machine, &format!("make the {} SR {}", options.sort, options.name), |action| {
            for setting in sort.into_iter().flat_map(|sort| sort.options) {
                if setting.need == storage::Need::Found && !spec.device.contains_key(setting.key) {
                    let value = find(hold, action, sort, setting, &spec)?;
                    spec.device.insert(setting.key.into(), value);
                }
            }
            let patience = hold.estate.patience(Patience::STORAGE).or(options.timeout);
            let spec = Spec::Sr(spec);
            let made = hold.make_within(action, &spec, patience, Made::of(&spec))?;
            let sr = Sr::by_reference(hold, &made)?;
            sr.wait_attached(action, Patience::STORAGE)?;
            action.says(show_size(sr.known().size));
            Ok(sr)
        })
    }

    /// Asks its toolstack something.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&dyn Toolstack, Watch<'_>) -> Result<T>) -> Result<T> {
        self.hold.ask(question)
    }

    /// As it was seen last.
    pub fn known(&self) -> Arc<toolstack::Sr> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn name(&self) -> String {
        self.known().name.clone()
    }

    pub fn uuid(&self) -> String {
        self.known().uuid.clone()
    }

    pub fn reference(&self) -> Ref {
        self.known().reference.clone()
    }

    pub fn context(&self) -> &Context {
        &self.hold.context
    }

    /// What it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone, or forgotten.
    pub fn record(&self) -> Result<Arc<toolstack::Sr>> {
        let reference = self.reference();
        let now = self.hold.ask(|toolstack, watch| toolstack.sr(&reference, watch))?;
        Ok(self.learn(now))
    }

    fn learn(&self, now: toolstack::Sr) -> Arc<toolstack::Sr> {
        let now = Arc::new(now);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = now.clone();
        now
    }

    fn told<T>(&self, what: &str, work: impl FnOnce(&Action<'_>) -> Result<T>) -> Result<T> {
        self.hold.told(&self.name(), what, work)
    }

    /// The virtual disks on it.
    ///
    /// # Errors
    /// Those of the toolstack.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let reference = self.reference();
        let all = self.hold.ask(|toolstack, watch| toolstack.volumes(&reference, watch))?;
        Ok(all.into_iter().map(|volume| Volume::new(self.hold.clone(), volume)).collect())
    }

    /// A virtual disk on it, by name or uuid.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        let reference = self.reference();
        let all = self.hold.ask(|toolstack, watch| toolstack.volumes(&reference, watch))?;
        named("VDI", all, name, |volume| (volume.name.clone(), volume.uuid.clone())).map(|v| Volume::new(self.hold.clone(), v))
    }

    /// # Errors
    /// `Refused` when it does not fit, with the words `SR_FULL`.
    pub fn create_volume(&self, name: &str, size: u64) -> Result<Volume> {
        let sr = self.reference();
        let spec = Spec::Volume(VolumeSpec { name: name.into(), sr: sr.clone(), size });
        let made = self.told(&format!("make the VDI {name} ({})", show_size(size)), |action| {
            self.hold.make(action, &spec, Patience::STORAGE)
        })?;
        Volume::by_reference(&self.hold, &sr, &made)
    }

    /// Has the back end look for what is on it.
    ///
    /// # Errors
    /// Those of the back end.
    pub fn scan(&self) -> Result<()> {
        self.hold.act(&self.name(), "scan", &Verb::Scan(self.reference()), Patience::STORAGE)
    }

    /// Looks at what is on it, and sees that every host that is to have it has it: by the pool's records, and where it is a file system
    /// by what is mounted on the host.
    ///
    /// # Errors
    /// `Refused` with the hosts that do not, or with what its back end says; `Unreachable` for a host that does not answer.
    pub fn check(&self) -> Result<()> {
        self.told("check", |action| {
            let sr = self.record()?;
            let hosts = self.hold.ask(|toolstack, watch| toolstack.hosts(watch))?;
            let mut wrong = Vec::new();
            for host in &hosts {
                let plug = sr.plugs.iter().find(|plug| plug.host == host.reference);
                match plug {
                    None if sr.is_shared => wrong.push(format!("{} has no plug of it", host.name)),
                    Some(plug) if !plug.is_attached => wrong.push(format!("it is not plugged on {}", host.name)),
                    _ => {}
                }
            }
            if sr.plugs.is_empty() {
                wrong.push("no host has it".into());
            }
            if wrong.is_empty() {
                self.hold.order(action, &Verb::Scan(self.reference()), Patience::STORAGE)?;
                for host in &hosts {
                    let plug = sr.plugs.iter().find(|plug| plug.host == host.reference);
                    wrong.extend(plug.map(|plug| self.wrong_on(&sr, host, plug)).transpose()?.flatten());
                }
            }
            if !wrong.is_empty() {
                return Err(Error::new(Kind::Refused, format!("the SR `{}`: {}", sr.name, wrong.join(", "))));
            }
            action.says(format!("{} on {} hosts", sr.kind, sr.plugs.len()));
            Ok(())
        })
    }

    /// What is wrong with it on a host that has it, as the host itself sees it.
    fn wrong_on(&self, sr: &toolstack::Sr, host: &toolstack::Host, plug: &toolstack::Plug) -> Result<Option<String>> {
        // Where SM mounts those that are file systems.
        if !MOUNTED.contains(&sr.kind.as_str()) {
            return Ok(None);
        }
        let path = format!("/run/sr-mount/{}", sr.uuid);
        let dom0 = self.hold.estate.control_domain(host, &self.hold.context)?;
        let said = dom0.ask(&format!("findmnt -n -o SOURCE {path}"))?;
        let source = said.stdout.text().trim().to_string();
        if !said.is_success() || source.is_empty() {
            return Ok(Some(format!("{} has nothing mounted at {path}", host.name)));
        }
        let word = |key: &str| plug.device.get(key).map_or("", String::as_str);
        let export = format!("{}:{}", word("server"), word("serverpath").trim_end_matches('/'));
        let expected = [format!("{export}/{}", sr.uuid), export];
        let is_other = sr.kind == "nfs" && !expected.contains(&source);
        Ok(is_other.then(|| format!("{} has {source} mounted at {path}, not {}", host.name, expected[0])))
    }

    fn wait_attached(&self, action: &Action<'_>, patience: Patience) -> Result<()> {
        let reference = self.reference();
        self.hold.until(action, &format!("`{}` to be plugged everywhere", self.name()), patience, |toolstack, watch| {
            let now = self.learn(toolstack.sr(&reference, watch)?);
            let count = now.plugs.iter().filter(|plug| plug.is_attached).count();
            match now.plugs.len() {
                0 => Ok(Look::NotYet("no host has it".into())),
                all if all == count => Ok(Look::Done(())),
                all => Ok(Look::NotYet(format!("{count} of {all} hosts have it"))),
            }
        })
    }

    /// The plugs with that of the master first.
    fn plugs(&self) -> Result<Vec<toolstack::Plug>> {
        let master = self.hold.ask(|toolstack, watch| toolstack.pool(watch))?.master;
        let mut plugs = self.record()?.plugs.clone();
        plugs.sort_by_key(|plug| plug.host != master);
        Ok(plugs)
    }

    /// Plugs it into all hosts that know it, the master first.
    ///
    /// # Errors
    /// Those of the back end.
    pub fn plug(&self) -> Result<()> {
        self.told("plug", |action| {
            for plug in self.plugs()?.iter().filter(|plug| !plug.is_attached) {
                self.hold.order(action, &Verb::Plug(plug.reference.clone()), Patience::STORAGE)?;
            }
            self.wait_attached(action, Patience::STORAGE)
        })
    }

    /// Unplugs it from all hosts, the master last.
    ///
    /// # Errors
    /// `Refused` while a guest uses it.
    pub fn unplug(&self) -> Result<()> {
        self.told("unplug", |action| self.unplug_in(action))
    }

    fn unplug_in(&self, action: &Action<'_>) -> Result<()> {
        for plug in self.plugs()?.iter().rev().filter(|plug| plug.is_attached) {
            self.hold.order(action, &Verb::Unplug(plug.reference.clone()), Patience::STORAGE)?;
        }
        match self.record()?.plugs.iter().filter(|plug| plug.is_attached).count() {
            0 => Ok(()),
            left => Err(Error::new(Kind::Refused, format!("`{}` was unplugged, and {left} hosts still have it", self.name()))),
        }
    }

    /// Takes it out of the pool; what is on it stays, and [`Sr::introduce`] brings it back.
    ///
    /// # Errors
    /// `Refused` while a guest uses it.
    pub fn forget(&self) -> Result<()> {
        self.told("forget", |action| {
            self.unplug_in(action)?;
            self.hold.order(action, &Verb::Forget(self.reference()), Patience::STORAGE)
        })
    }

    /// Takes it out of the pool with everything on it. While the back end collects its garbage, it is tried again.
    ///
    /// # Errors
    /// `Refused` while a guest uses it.
    pub fn destroy(&self) -> Result<()> {
        self.told("destroy", |action| {
            self.unplug_in(action)?;
            let mut tries = 0;
            loop {
                tries += 1;
                match self.hold.order(action, &Verb::Destroy(self.reference()), Patience::STORAGE) {
                    Err(error) if error.kind == Kind::Refused && tries < DESTROY_TRIES && is_collecting(&error) => {
                        action.progress(format!("its garbage is being collected: {}", error.what), None);
                        action.sleep(Duration::from_secs(u64::from(tries)))?;
                    }
                    other => return other,
                }
            }
        })
    }

    /// Gets rid of it as its type wants it: its VDIs are removed, unless it is a share of discs, and it is destroyed or forgotten.
    ///
    /// # Errors
    /// `Refused` while a guest uses it.
    pub fn remove(&self) -> Result<()> {
        let sr = self.record()?;
        let sort = storage::sort(&sr.kind).ok();
        if sr.content != "iso" {
            for volume in self.volumes()?.iter().filter(|volume| !volume.known().is_read_only) {
                volume.destroy()?;
            }
        }
        match sort.map_or(CleanUp::Forget, |sort| sort.clean_up) {
            CleanUp::Destroy => self.destroy(),
            CleanUp::Forget => self.forget(),
        }
    }

    /// Brings back an SR that was forgotten: with its uuid, on the hosts that had it.
    ///
    /// # Errors
    /// Those of the back end.
    pub fn introduce(&self) -> Result<()> {
        let before = self.known();
        let mut plugs = before.plugs.clone();
        let spec = SrSpec {
            name: before.name.clone(),
            host: plugs.first().map_or_else(|| before.reference.clone(), |plug| plug.host.clone()),
            kind: before.kind.clone(),
            content: before.content.clone(),
            is_shared: before.is_shared,
            device: BTreeMap::new(),
            sm: BTreeMap::new(),
            secrets: Vec::new(),
        };
        let master = self.hold.ask(|toolstack, watch| toolstack.pool(watch))?.master;
        plugs.sort_by_key(|plug| plug.host != master);
        self.told("introduce", |action| {
            let known = Spec::KnownSr { uuid: before.uuid.clone(), sr: spec };
            let sr = self.hold.make(action, &known, Patience::STORAGE)?;
            self.hold.estate.hands.renamed(&before.reference, &sr);
            for plug in plugs {
                let spec = Spec::Plug { sr: sr.clone(), host: plug.host, device: plug.device };
                let plug = self.hold.make(action, &spec, Patience::STORAGE)?;
                self.hold.order(action, &Verb::Plug(plug), Patience::STORAGE)?;
            }
            self.learn(self.hold.ask(|toolstack, watch| toolstack.sr(&sr, watch))?);
            self.wait_attached(action, Patience::STORAGE)
        })
    }

    /// Waits until nothing is left on it that the back end would collect or merge.
    ///
    /// # Errors
    /// `Timeout` with what was left.
    pub fn wait_coalesced(&self, options: &WaitOptions) -> Result<()> {
        let reference = self.reference();
        self.told("wait until it is coalesced", |action| {
            self.hold.order(action, &Verb::Scan(reference.clone()), Patience::STORAGE)?;
            let patience = Patience { limit: options.timeout.unwrap_or(Patience::COALESCE.limit), ..Patience::COALESCE };
            let fields = [("SR".to_string(), Value::from(reference.id.as_ref()))];
            self.hold.until(action, &format!("`{}` to be coalesced", self.name()), patience, |toolstack, watch| {
                let left = uncollected(&toolstack.find("VDI", &fields, watch)?);
                Ok(match left {
                    0 => Look::Done(()),
                    left => Look::NotYet(format!("{left} hidden VDIs with at most one child")),
                })
            })
        })
    }

    /// A field in the toolstack's own words, or a part of it.
    ///
    /// # Errors
    /// As [`super::Host::get`].
    pub fn get(&self, field: &str, key: Option<&str>) -> Result<Value> {
        self.hold.get(&self.reference(), field, key)
    }

    /// # Errors
    /// As [`super::Host::set`].
    pub fn set(&self, field: &str, key: Option<&str>, value: Value) -> Result<()> {
        self.hold.set(&self.reference(), &self.name(), field, key, value)
    }
}

/// What a setting of a back end is there: found by asking the back end with what is known of it.
fn find(hold: &Hold, action: &Action<'_>, sort: Option<&Sort>, setting: &storage::Setting, spec: &SrSpec) -> Result<String> {
    let Some(sort) = sort else { return Err(Error::new(Kind::Internal, "nothing is looked for without a type")) };
    action.progress(format!("looking for its {}", setting.name), None);
    let patience = hold.estate.patience(Patience::STORAGE);
    let said = hold.estate.order(&hold.context, action, patience, |toolstack, watch| toolstack.probe(spec, watch));
    // A back end that misses something says what there is in its error.
    let (text, refusal) = match said {
        Ok(text) => (text, None),
        Err(error) => match error.details.as_ref().map(|details| details.stderr.clone()) {
            Some(text) if error.kind != Kind::Cancelled => (text, Some(error)),
            _ => return Err(error),
        },
    };
    match (storage::found(setting.key, &text), refusal) {
        (all, Some(error)) if all.is_empty() => Err(error),
        (all, _) => storage::choose(sort, setting, spec, &all),
    }
}

/// Whether an SR would not go because of what its back end still does.
fn is_collecting(error: &Error) -> bool {
    ["SR_NOT_EMPTY", "SR_BACKEND_FAILURE", "OTHER_OPERATION_IN_PROGRESS"].iter().any(|word| error.what.contains(word))
}

/// How many hidden VDIs could be merged with their only child, or removed as they have none.
///
/// # Source
/// The storage manager's `cleanup.py`: a hidden node with one child is coalesced, one without is garbage.
fn uncollected(vdis: &[Value]) -> usize {
    let parent = |vdi: &Value| vdi.pointer("/sm_config/vhd-parent").and_then(Value::as_str).map(str::to_string);
    let hidden = vdis.iter().filter(|vdi| vdi.get("managed").and_then(Value::as_bool) == Some(false));
    let uuids = hidden.filter_map(|vdi| vdi.get("uuid").and_then(Value::as_str));
    uuids.filter(|uuid| vdis.iter().filter(|vdi| parent(vdi).as_deref() == Some(*uuid)).count() < 2).count()
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Sr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sr({:?})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::Class;
    use serde_json::json;

    #[test]
    fn a_hidden_volume_with_one_child_is_still_to_be_merged() {
        let vdi = |uuid: &str, managed: bool, parent: &str| json!({ "uuid": uuid, "managed": managed, "sm_config": { "vhd-parent": parent } });
        let base = [vdi("b", false, ""), vdi("x", true, "b"), vdi("y", true, "b")];
        assert_eq!(uncollected(&base), 0);
        assert_eq!(uncollected(&base[..2]), 1);
        assert_eq!(uncollected(&base[..1]), 1);
        assert_eq!(uncollected(&[json!({}), json!(5), json!({ "managed": false })]), 0);
    }

    #[test]
    fn options_of_an_sr_are_its_types_or_its_back_ends_own() {
        let read = |value: Value| serde_json::from_value::<SrOptions>(value).unwrap();
        let spec = |value: Value| read(value).spec(&Ref::new(Class::Host, "h")).map(|(spec, _)| spec);
        let nfs = spec(json!({ "type": "nfs", "name": "n", "server": "s", "path": "/x", "version": 4 })).unwrap();
        assert_eq!((nfs.device["nfsversion"].as_str(), nfs.is_shared), ("4", true));
        let own = spec(json!({ "type": "zfs", "name": "z", "device_config": { "a": 1, "password": "p" }, "is_pool_wide": true }))
            .unwrap();
        assert_eq!((own.kind.as_str(), own.device["a"].as_str(), own.is_shared), ("zfs", "1", true));
        assert_eq!(own.secrets, ["password"]);
        for (value, said) in [
            (json!({ "name": "x" }), "needs a `type` and a `name`"),
            (json!({ "type": "nfs", "name": "x", "server": "s" }), "needs `path`"),
            (json!({ "type": "zfs", "name": "x", "device_config": {}, "sever": 1 }), "`sever` beside `device_config`"),
        ] {
            assert!(spec(value).unwrap_err().what.contains(said), "{said}");
        }
    }
}
