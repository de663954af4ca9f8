//! The records of a pool, and what has changed when.

use super::datamodel::{Class, ClassId, datamodel};
use super::value::{Ref, Value, dashed, mix};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, LazyLock};

/// Fields that XAPI keeps by itself: (class, its set of references, the class that refers, by which field).
const RELATIONS: &[(&str, &str, &str, &str)] = &[
    ("Bond", "slaves", "PIF", "bond_slave_of"),
    ("PIF", "VLAN_slave_of", "VLAN", "tagged_PIF"),
    ("PIF", "bond_master_of", "Bond", "master"),
    ("SR", "PBDs", "PBD", "SR"),
    ("SR", "VDIs", "VDI", "SR"),
    ("VDI", "VBDs", "VBD", "VDI"),
    ("VDI", "crash_dumps", "crashdump", "VDI"),
    ("VDI", "snapshots", "VDI", "snapshot_of"),
    ("VM", "VBDs", "VBD", "VM"),
    ("VM", "VIFs", "VIF", "VM"),
    ("VM", "VTPMs", "VTPM", "VM"),
    ("VM", "children", "VM", "parent"),
    ("VM", "consoles", "console", "VM"),
    ("VM", "crash_dumps", "crashdump", "VM"),
    ("VM", "snapshots", "VM", "snapshot_of"),
    ("VMSS", "VMs", "VM", "snapshot_schedule"),
    ("VM_appliance", "VMs", "VM", "appliance"),
    ("host", "PBDs", "PBD", "host"),
    ("host", "PIFs", "PIF", "host"),
    ("host", "crashdumps", "host_crashdump", "host"),
    ("host", "host_CPUs", "host_cpu", "host"),
    ("host", "patches", "host_patch", "host"),
    ("host", "resident_VMs", "VM", "resident_on"),
    ("network", "PIFs", "PIF", "network"),
    ("network", "VIFs", "VIF", "network"),
    ("pool", "metadata_VDIs", "VDI", "metadata_of_pool"),
    ("task", "subtasks", "task", "subtask_of"),
];

/// How many removals are remembered for those who wait for events.
const REMOVALS: usize = 10_000;

static NOTHING: Value = Value::Void;

struct Record {
    fields: Box<[Value]>,
    made: u64,
    changed: u64,
}

/// What has happened to a record since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Mod,
    Del,
}

/// All records of a pool. Each change has a number; the records are also kept by the number of their last one.
pub struct Store {
    pool: u16,
    serial: u64,
    random: u64,
    generation: u64,
    records: HashMap<Ref, Record>,
    classes: Vec<BTreeSet<Ref>>,
    uuids: HashMap<Arc<str>, Ref>,
    changes: BTreeMap<u64, Ref>,
    removals: VecDeque<(u64, Ref)>,
    /// The number of the last removal that was forgotten.
    forgotten: u64,
    /// The VMs that are on their way to a host.
    pub scheduled: BTreeSet<Ref>,
    /// What the disks of each SR take, and may grow to.
    sizes: HashMap<Ref, Sizes>,
}

/// Bytes of disks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sizes {
    pub used: i64,
    pub allocated: i64,
}

/// Which field of which record follows from the field of a class, by class and field's place.
fn relations() -> &'static HashMap<(ClassId, usize), usize> {
    static INDEX: LazyLock<HashMap<(ClassId, usize), usize>> = LazyLock::new(|| {
        let rows = RELATIONS.iter().filter_map(|(one, many, class, field)| {
            let class = datamodel().class(class)?;
            let (target, _) = datamodel().class(one)?.field(many)?;
            Some(((class.id, class.field(field)?.0), target))
        });
        rows.collect()
    });
    &INDEX
}

impl Store {
    /// An empty one. References of pools with different numbers differ.
    pub fn new(pool: u16, seed: u64) -> Store {
        Store {
            pool,
            serial: 0,
            random: mix(seed ^ u64::from(pool)),
            generation: 0,
            records: HashMap::new(),
            classes: vec![BTreeSet::new(); datamodel().classes.len()],
            uuids: HashMap::new(),
            changes: BTreeMap::new(),
            removals: VecDeque::new(),
            forgotten: 0,
            scheduled: BTreeSet::new(),
            sizes: HashMap::new(),
        }
    }

    /// A number that nobody expects, yet the same for the same seed.
    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    pub fn fresh_uuid(&mut self) -> String {
        let (high, low) = (self.random(), self.random());
        dashed(high & 0xffff_ffff_ffff_0fff | 0x4000, low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000)
    }

    /// Makes a record; what is not given has the default of the datamodel, a UUID is made.
    pub fn create<V: Into<Value>>(&mut self, class: &str, fields: impl IntoIterator<Item = (&'static str, V)>) -> Ref {
        self.create_with(class, fields.into_iter().map(|(name, value)| (name, value.into())).collect())
    }

    /// The same from values of different types, as [`fields!`](super::fields) lists them.
    pub fn create_with(&mut self, class: &str, fields: Vec<(&str, Value)>) -> Ref {
        let Some(class) = datamodel().class(class) else {
            debug_assert!(false, "no class {class}");
            return Ref::NULL;
        };
        self.serial += 1;
        let reference = Ref::new(class.id, self.pool, self.serial);
        let values = class.fields.iter().map(|field| field.default.clone()).collect();
        self.generation += 1;
        let generation = self.generation;
        self.records.insert(reference, Record { fields: values, made: generation, changed: generation });
        self.changes.insert(generation, reference);
        self.classes[usize::from(class.id.0) - 1].insert(reference);
        let has_uuid = fields.iter().any(|(name, value)| *name == "uuid" && !value.as_str().is_empty());
        for (name, value) in fields {
            if name != "uuid" || has_uuid {
                self.set(reference, name, value);
            }
        }
        if !has_uuid && class.field("uuid").is_some() {
            let uuid = self.fresh_uuid();
            self.set(reference, "uuid", uuid);
        }
        let uuid: Arc<str> = self.text(reference, "uuid").into();
        if !uuid.is_empty() {
            self.uuids.insert(uuid, reference);
        }
        reference
    }

    /// Removes a record, and itself from the sets that it is in. What refers to it stays as it is.
    pub fn destroy(&mut self, reference: Ref) {
        if !self.exists(reference) {
            return;
        }
        self.count_disk(reference, -1);
        self.sizes.remove(&reference);
        for (at, _) in self.class(reference).map(|class| class.fields.iter().enumerate()).into_iter().flatten() {
            self.relate(reference, at, Ref::NULL);
        }
        let Some(record) = self.records.remove(&reference) else { return };
        self.changes.remove(&record.changed);
        self.classes[usize::from(reference.class().0) - 1].remove(&reference);
        if let Some(Value::Text(uuid)) = record.fields.first()
            && self.uuids.get(uuid) == Some(&reference)
        {
            self.uuids.remove(uuid);
        }
        self.generation += 1;
        self.removals.push_back((self.generation, reference));
        if self.removals.len() > REMOVALS
            && let Some((number, _)) = self.removals.pop_front()
        {
            self.forgotten = number;
        }
    }

    pub fn exists(&self, reference: Ref) -> bool {
        self.records.contains_key(&reference)
    }

    pub fn class(&self, reference: Ref) -> Option<&'static Class> {
        datamodel().by_id(reference.class())
    }

    /// The records of a class, in the order in which they were made.
    pub fn all(&self, class: &str) -> Vec<Ref> {
        let id = datamodel().class(class).map(|class| usize::from(class.id.0) - 1);
        id.and_then(|id| self.classes.get(id)).map(|set| set.iter().copied().collect()).unwrap_or_default()
    }

    pub fn count(&self, class: &str) -> usize {
        datamodel().class(class).map_or(0, |class| self.classes[usize::from(class.id.0) - 1].len())
    }

    pub fn by_uuid(&self, class: &str, uuid: &str) -> Option<Ref> {
        let found = *self.uuids.get(uuid)?;
        self.class(found).filter(|of| of.name == class).map(|_| found)
    }

    pub fn by_name(&self, class: &str, name: &str) -> Option<Ref> {
        self.all(class).into_iter().find(|r| self.text(*r, "name_label") == name)
    }

    /// A field; nothing of a record that is not there.
    pub fn get(&self, reference: Ref, field: &str) -> &Value {
        let Some(record) = self.records.get(&reference) else { return &NOTHING };
        let found = self.class(reference).and_then(|class| class.field(field));
        debug_assert!(found.is_some(), "no field {field} in {:?}", self.class(reference).map(|class| class.name));
        found.map_or(&NOTHING, |(at, _)| &record.fields[at])
    }

    /// All fields of a record in the order of its class.
    pub fn fields(&self, reference: Ref) -> &[Value] {
        self.records.get(&reference).map(|record| &*record.fields).unwrap_or_default()
    }

    pub fn text(&self, reference: Ref, field: &str) -> &str {
        self.get(reference, field).as_str()
    }

    pub fn int(&self, reference: Ref, field: &str) -> i64 {
        match self.get(reference, field) {
            Value::Int(number) => *number,
            _ => 0,
        }
    }

    pub fn is(&self, reference: Ref, field: &str) -> bool {
        *self.get(reference, field) == Value::Bool(true)
    }

    pub fn link(&self, reference: Ref, field: &str) -> Ref {
        self.get(reference, field).as_ref()
    }

    pub fn links(&self, reference: Ref, field: &str) -> Vec<Ref> {
        self.get(reference, field).as_set().iter().map(Value::as_ref).collect()
    }

    /// The value of a key in a map of texts.
    pub fn key(&self, reference: Ref, field: &str, key: &str) -> Option<&str> {
        self.get(reference, field).key(key)
    }

    pub fn set(&mut self, reference: Ref, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let Some((at, _)) = self.class(reference).and_then(|class| class.field(field)) else {
            debug_assert!(false, "no field {field} in {:?}", self.class(reference).map(|class| class.name));
            return;
        };
        let Some(record) = self.records.get(&reference) else { return };
        if record.fields[at] == value {
            return;
        }
        let is_counted = matches!(field, "SR" | "physical_utilisation" | "virtual_size");
        if is_counted {
            self.count_disk(reference, -1);
        }
        self.relate(reference, at, value.as_ref());
        if let Some(record) = self.records.get_mut(&reference) {
            record.fields[at] = value;
        }
        if is_counted {
            self.count_disk(reference, 1);
        }
        self.touch(reference);
    }

    /// Adds what a disk takes to its SR, or takes it off.
    fn count_disk(&mut self, reference: Ref, sign: i64) {
        if self.class(reference).is_none_or(|class| class.name != "VDI") {
            return;
        }
        let (used, allocated) = (self.int(reference, "physical_utilisation"), self.int(reference, "virtual_size"));
        let sizes = self.sizes.entry(self.link(reference, "SR")).or_default();
        sizes.used += sign * used;
        sizes.allocated += sign * allocated;
    }

    pub fn sizes(&self, sr: Ref) -> Sizes {
        self.sizes.get(&sr).copied().unwrap_or_default()
    }

    pub fn set_key(&mut self, reference: Ref, field: &str, key: &str, value: impl Into<Value>) {
        let mut map = self.get(reference, field).as_map().cloned().unwrap_or_default();
        map.insert(key.into(), value.into());
        self.set(reference, field, map);
    }

    pub fn remove_key(&mut self, reference: Ref, field: &str, key: &str) {
        let mut map = self.get(reference, field).as_map().cloned().unwrap_or_default();
        map.remove(key);
        self.set(reference, field, map);
    }

    /// Notes a change of a record whose fields follow from something else.
    pub fn touch(&mut self, reference: Ref) {
        if let Some(record) = self.records.get_mut(&reference) {
            self.generation += 1;
            self.changes.remove(&record.changed);
            record.changed = self.generation;
            self.changes.insert(self.generation, reference);
        }
    }

    /// Keeps the set on the other side of a reference that is about to change.
    fn relate(&mut self, reference: Ref, at: usize, to: Ref) {
        let Some(target) = relations().get(&(reference.class(), at)).copied() else { return };
        let from = self.records.get(&reference).map(|record| record.fields[at].as_ref()).unwrap_or_default();
        if from == to {
            return;
        }
        if let Some(record) = self.records.get_mut(&from)
            && let Some(Value::Set(items)) = record.fields.get_mut(target)
        {
            items.retain(|item| item.as_ref() != reference);
            self.touch(from);
        }
        if let Some(record) = self.records.get_mut(&to)
            && let Some(Value::Set(items)) = record.fields.get_mut(target)
        {
            items.push(Value::Ref(reference));
            self.touch(to);
        }
    }

    /// The number of the last change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What has changed after `since`, each record once, in the order of the changes; nothing when some of it is no longer known.
    pub fn changes(&self, since: u64) -> Option<Vec<(u64, Ref, Change)>> {
        if since > 0 && since < self.forgotten {
            return None;
        }
        let alive = self.changes.range(since + 1..).map(|(number, reference)| {
            let is_new = self.records.get(reference).is_some_and(|record| record.made > since);
            (*number, *reference, if is_new { Change::Add } else { Change::Mod })
        });
        let at = self.removals.partition_point(|(number, _)| *number <= since);
        let gone = self.removals.range(at..).map(|(number, reference)| (*number, *reference, Change::Del));
        // At the beginning there is nothing to lose.
        let gone = gone.filter(|_| since > 0);
        let mut all: Vec<_> = alive.chain(gone).collect();
        all.sort_unstable_by_key(|(number, ..)| *number);
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_follow_the_references_into_them() {
        let mut store = Store::new(1, 1);
        let vm = store.create("VM", [("name_label", "a")]);
        let other = store.create("VM", [("name_label", "b")]);
        let vbd = store.create("VBD", [("VM", vm)]);
        assert_eq!(store.links(vm, "VBDs"), [vbd]);
        store.set(vbd, "VM", other);
        assert_eq!((store.links(vm, "VBDs"), store.links(other, "VBDs")), (vec![], vec![vbd]));
        store.destroy(vbd);
        assert!(store.links(other, "VBDs").is_empty());
        assert!(!store.exists(vbd));
    }

    #[test]
    fn the_sizes_of_an_sr_follow_its_disks() {
        let mut store = Store::new(1, 1);
        let (sr, other) = (store.create("SR", [("name_label", "a")]), store.create("SR", [("name_label", "b")]));
        let disk = |store: &mut Store, used: i64| {
            store.create_with(
                "VDI",
                vec![("SR", Value::Ref(sr)), ("physical_utilisation", Value::Int(used)), ("virtual_size", Value::Int(10))],
            )
        };
        let (a, b) = (disk(&mut store, 3), disk(&mut store, 4));
        assert_eq!(store.sizes(sr), Sizes { used: 7, allocated: 20 });
        store.set(a, "SR", other);
        store.set(b, "physical_utilisation", 9_i64);
        assert_eq!((store.sizes(sr).used, store.sizes(other).used), (9, 3));
        store.destroy(b);
        assert_eq!(store.sizes(sr), Sizes::default());
    }

    #[test]
    fn every_relation_is_in_the_datamodel() {
        assert_eq!(relations().len(), RELATIONS.len());
        assert!(RELATIONS.is_sorted());
    }

    #[test]
    fn changes_say_what_happened_since() {
        let mut store = Store::new(1, 1);
        let a = store.create("VM", [("name_label", "a")]);
        let start = store.generation();
        let b = store.create("VM", [("name_label", "b")]);
        store.set(a, "name_label", "c");
        store.set(b, "name_label", "d");
        let seen = |store: &Store, since| store.changes(since).unwrap().into_iter().map(|(_, r, c)| (r, c)).collect::<Vec<_>>();
        assert_eq!(seen(&store, start), [(a, Change::Mod), (b, Change::Add)]);
        store.set(b, "name_label", "d");
        let now = store.generation();
        assert!(seen(&store, now).is_empty());
        store.destroy(b);
        assert_eq!(seen(&store, start), [(a, Change::Mod), (b, Change::Del)]);
        assert_eq!(seen(&store, 0), [(a, Change::Add)]);
    }

    #[test]
    fn too_old_a_question_has_no_answer() {
        let mut store = Store::new(1, 1);
        let start = store.create("VM", [("name_label", "a")]);
        let begin = store.generation();
        for _ in 0..=REMOVALS {
            let vm = store.create("VM", [("name_label", "b")]);
            store.destroy(vm);
        }
        assert!(store.changes(begin).is_none());
        assert!(store.changes(store.generation() - 10).is_some());
        assert!(store.exists(start));
    }
}
