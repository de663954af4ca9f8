//! VMs: from one pool to another of this site, with their snapshots and their disks. What is inside of them goes on.

use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, World, answer, done, operation};
use super::{domain, host, sr, vdi, vif, vm_config, vm_copy, vm_rules};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What was asked for: VM.migrate_send(vm, dest, live, vdi_map, vif_map, options).
struct Wish {
    vm: Ref,
    destination: BTreeMap<Arc<str>, Value>,
    is_live: bool,
    /// The original stays, and another VM is made.
    is_copy: bool,
    stores: HashMap<Ref, Ref>,
    networks: HashMap<Ref, Ref>,
}

impl Wish {
    fn read(cx: &Cx<'_>, args: &Args) -> Outcome<Wish> {
        vm_rules::assert_allowed(cx.db, args.link(0), "migrate_send")?;
        let pairs = |at: usize| args.map(at).iter().filter_map(|(key, to)| Some((Ref::parse(key)?, to.as_ref()))).collect();
        Ok(Wish {
            vm: args.link(0),
            destination: args.map(1),
            is_live: args.is(2),
            is_copy: args.map(5).get(&Arc::from("copy")).is_some_and(|copy| copy.as_str() == "true"),
            stores: pairs(3),
            networks: pairs(4),
        })
    }

    /// # Errors
    /// `INTERNAL_ERROR`: what host.migrate_receive said was not passed on whole.
    fn word(&self, key: &str) -> Outcome<&str> {
        self.destination.get(&Arc::from(key)).map(Value::as_str).ok_or_else(|| Failure::internal("Not_found"))
    }
}

/// Where a VM goes, with what of it.
struct Way {
    /// The other pool, and a host of it.
    pool: usize,
    to: Ref,
    /// The VM, then its snapshots.
    machines: Vec<Ref>,
    /// Disks, memory images among them, and the SRs for them.
    disks: Vec<(Ref, Ref)>,
    networks: HashMap<Ref, Ref>,
}

pub fn assert_can_send(cx: &Cx<'_>, args: &Args) -> Outcome<Answer> {
    let wish = Wish::read(cx, args)?;
    Ok(Answer::Wide(Box::new(move |world, from| plan(world, from, &wish).and_then(|_| done()))))
}

/// VM.migrate_send to a host of another pool.
pub fn send(cx: &Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (wish, task) = (Wish::read(cx, args)?, cx.task);
    Ok(Answer::Wide(Box::new(move |world, from| {
        let way = plan(world, from, &wish)?;
        let gone = || Failure::bare("HOST_STILL_BOOTING");
        let mut cx = world.cx(from).ok_or_else(gone)?;
        cx.task = task;
        let bytes = way.disks.iter().map(|(disk, _)| vdi::written(cx.db, *disk)).sum();
        let takes = vdi::copying(bytes) + if is_running(cx.db, wish.vm) { pace::MIGRATE } else { pace::DISK };
        operation(&mut cx, wish.vm, "migrate_send", takes, move |cx| {
            cx.known("VM", wish.vm)?;
            Ok(Answer::Wide(Box::new(move |world, from| {
                // Much may have happened meanwhile, here and there.
                let way = plan(world, from, &wish)?;
                carry(world, from, &wish, &way)
            })))
        })
    })))
}

fn is_running(db: &Store, vm: Ref) -> bool {
    !db.link(vm, "resident_on").is_null()
}

/// # Errors
/// `CANNOT_CONTACT_HOST`, `SESSION_INVALID`, `HANDLE_INVALID`: the way there.
fn destination(world: &World, wish: &Wish) -> Outcome<(usize, Ref)> {
    let url = wish.word("master")?;
    let address = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', ':']).next().unwrap_or_default();
    let place = world.site.hosts.values().find(|place| place.is_up && place.address.to_string() == address);
    let pool = place.ok_or_else(|| Failure::new("CANNOT_CONTACT_HOST", [address]))?.pool;
    let token = wish.word("session_id")?;
    let session = world.site.sessions.find(token).filter(|session| session.pool == pool);
    session.ok_or_else(|| Failure::new("SESSION_INVALID", [token]))?;
    let named = wish.word("host")?;
    let known = Ref::parse(named).and_then(|host| known(&world.pools[pool], "host", host).ok());
    known.map(|to| (pool, to)).ok_or_else(|| Failure::new("HANDLE_INVALID", ["host", named]))
}

fn known(db: &Store, class: &str, reference: Ref) -> Outcome<Ref> {
    let is_there = db.exists(reference) && db.class(reference).is_some_and(|of| of.name == class);
    if is_there { Ok(reference) } else { Err(Failure::new("HANDLE_INVALID", [class.to_string(), reference.to_string()])) }
}

/// # Errors
/// Why the VM cannot go there: its state, its disks and interfaces without a place, no room, no memory.
fn plan(world: &World, from: usize, wish: &Wish) -> Outcome<Way> {
    let (pool, to) = destination(world, wish)?;
    let (here, there, vm) = (&world.pools[from], &world.pools[pool], wish.vm);
    let state = here.text(vm, "power_state").to_lowercase();
    let wrong_state = |wanted: &str| Failure::new("VM_BAD_POWER_STATE", [vm.to_string(), wanted.to_string(), state.clone()]);
    if wish.is_copy && state != "halted" {
        return Err(wrong_state("halted"));
    }
    if is_running(here, vm) && !wish.is_live {
        return Err(wrong_state("halted, suspended"));
    }
    if !host::is_live(there, to) || !there.is(to, "enabled") {
        return Err(Failure::new("HOST_DISABLED", [to]));
    }
    // A copy is of the VM as it is now.
    let snapshots = if wish.is_copy { Vec::new() } else { here.links(vm, "snapshots") };
    let machines: Vec<Ref> = std::iter::once(vm).chain(snapshots).collect();
    let networks = networks(here, there, &machines, wish, to)?;
    let disks = disks(here, there, &machines, wish, to)?;
    let mut sums: BTreeMap<Ref, i64> = BTreeMap::new();
    for (disk, sr) in &disks {
        *sums.entry(*sr).or_default() += taken(here, *disk, there, *sr);
    }
    for (sr, bytes) in sums {
        let free = sr::free(there, sr);
        if bytes > free {
            return Err(Failure::new("SR_FULL", [bytes, free]));
        }
    }
    let (memory, free) = (vm_rules::memory(here, vm), host::free_memory(there, to));
    if is_running(here, vm) && memory > free {
        return Err(Failure::new("HOST_NOT_ENOUGH_FREE_MEMORY", [memory, free]));
    }
    Ok(Way { pool, to, machines, disks, networks })
}

/// What a disk of one pool takes on an SR of another.
fn taken(here: &Store, disk: Ref, there: &Store, sr: Ref) -> i64 {
    if sr::is_thin(there, sr) { vdi::written(here, disk) } else { here.int(disk, "virtual_size") }
}

/// A network for each interface. Those of snapshots follow the interface with the same address.
///
/// # Errors
/// `VIF_NOT_IN_MAP`, `HANDLE_INVALID`, `VM_REQUIRES_NETWORK`.
fn networks(here: &Store, there: &Store, machines: &[Ref], wish: &Wish, to: Ref) -> Outcome<HashMap<Ref, Ref>> {
    let mut found = HashMap::new();
    for vif in machines.iter().flat_map(|machine| here.links(*machine, "VIFs")) {
        let same = |other: &&Ref| here.text(**other, "MAC") == here.text(vif, "MAC");
        let network = wish.networks.get(&vif).or_else(|| wish.networks.get(wish.networks.keys().find(same)?));
        let network = *network.ok_or_else(|| Failure::new("VIF_NOT_IN_MAP", [vif]))?;
        known(there, "network", network)?;
        let nics = there.links(network, "PIFs");
        if !nics.is_empty() && !nics.iter().any(|nic| there.link(*nic, "host") == to) {
            return Err(Failure::new("VM_REQUIRES_NETWORK", [wish.vm, network]));
        }
        found.insert(vif, network);
    }
    Ok(found)
}

/// An SR for each disk. Disks of snapshots follow the disk that they are of, memory images the first disk.
///
/// # Errors
/// `VDI_NOT_IN_MAP`, `HANDLE_INVALID`, `SR_NOT_ATTACHED`, `VDI_IN_USE`.
fn disks(here: &Store, there: &Store, machines: &[Ref], wish: &Wish, to: Ref) -> Outcome<Vec<(Ref, Ref)>> {
    let pool = there.all("pool").first().copied().unwrap_or_default();
    let usual = wish.stores.values().next().copied().unwrap_or_else(|| there.link(pool, "default_SR"));
    let mut found: Vec<(Ref, Ref)> = Vec::new();
    for machine in machines {
        let vbds = here.links(*machine, "VBDs").into_iter().filter(|vbd| here.text(*vbd, "type") == "Disk");
        let images = std::iter::once(here.link(*machine, "suspend_VDI")).map(|image| (image, true));
        for (disk, is_image) in vbds.map(|vbd| (here.link(vbd, "VDI"), false)).chain(images) {
            if !here.exists(disk) || found.iter().any(|(known, _)| *known == disk) {
                continue;
            }
            let is_shared = here.links(disk, "VBDs").iter().any(|vbd| !machines.contains(&here.link(*vbd, "VM")));
            if is_shared && !wish.is_copy {
                return Err(Failure::new("VDI_IN_USE", [disk.to_string(), "migrate_send".to_string()]));
            }
            let of = here.link(disk, "snapshot_of");
            let named = wish.stores.get(&disk).or_else(|| wish.stores.get(&of)).copied();
            let fallback = (is_image || machine != &wish.vm).then_some(usual);
            let sr = named.or(fallback).ok_or_else(|| Failure::new("VDI_NOT_IN_MAP", [disk]))?;
            known(there, "SR", sr)?;
            if !host::sees(there, to, sr) {
                return Err(Failure::new("SR_NOT_ATTACHED", [sr]));
            }
            found.push((disk, sr));
        }
    }
    Ok(found)
}

type Fields = Vec<(&'static str, Value)>;

/// A VM or a snapshot of it on its way: nothing in it means anything in a pool.
struct Crate {
    of: Ref,
    fields: Fields,
    metrics: Fields,
    /// What the agent in it says.
    agent: Option<Fields>,
    image: Ref,
    /// Interfaces and drives, with what they are of.
    vbds: Vec<(Fields, Ref)>,
    vifs: Vec<(Fields, Ref)>,
    parent: Ref,
}

/// What a record says of itself, without what it says of other records.
fn own(db: &Store, record: Ref, but: &[&str]) -> Fields {
    let leads_away =
        |value: &Value| matches!(value, Value::Ref(_)) || value.as_set().iter().any(|item| matches!(item, Value::Ref(_)));
    let fields = db.class(record).map(|class| class.fields.iter()).into_iter().flatten().zip(db.fields(record));
    let kept = fields.filter(|(field, value)| !but.contains(&field.name) && !leads_away(value));
    kept.map(|(field, value)| (field.name, value.clone())).collect()
}

fn pack(db: &Store, machine: Ref, is_copy: bool) -> Crate {
    let device = ["uuid", "allowed_operations", "current_operations"];
    let mut but = vec!["allowed_operations", "current_operations", "domid"];
    if is_copy {
        but.push("uuid");
    }
    let devices = |field: &str, of: &str| -> Vec<(Fields, Ref)> {
        db.links(machine, field)
            .into_iter()
            .map(|one| (own(db, one, &device), if of.is_empty() { one } else { db.link(one, of) }))
            .collect()
    };
    let agent = db.link(machine, "guest_metrics");
    Crate {
        of: machine,
        fields: own(db, machine, &but),
        metrics: own(db, db.link(machine, "metrics"), &["uuid"]),
        agent: db.exists(agent).then(|| own(db, agent, &["uuid"])),
        image: db.link(machine, "suspend_VDI"),
        vbds: devices("VBDs", "VDI"),
        vifs: devices("VIFs", ""),
        parent: db.link(machine, "parent"),
    }
}

/// Takes the VM there; from now on it is a VM of the other pool.
fn carry(world: &mut World, from: usize, wish: &Wish, way: &Way) -> Outcome<Answer> {
    let here = &world.pools[from];
    let crates: Vec<Crate> = way.machines.iter().map(|machine| pack(here, *machine, wish.is_copy)).collect();
    let disk = |(disk, sr): &(Ref, Ref)| {
        let mut fields = vdi::kept(here, *disk);
        fields.extend(["is_a_snapshot", "snapshot_time"].map(|name| (name, here.get(*disk, name).clone())));
        fields.push(("SR", Value::Ref(*sr)));
        fields.push(("physical_utilisation", Value::Int(taken(here, *disk, &world.pools[way.pool], *sr))));
        fields.push(("managed", Value::Bool(true)));
        (*disk, Arc::<str>::from(here.text(*disk, "uuid")), fields, here.link(*disk, "snapshot_of"))
    };
    let disks: Vec<_> = way.disks.iter().map(disk).collect();
    let is_running = is_running(here, wish.vm);
    let gone = || Failure::bare("HOST_STILL_BOOTING");

    let mut cx = world.cx(way.pool).ok_or_else(gone)?;
    let mut new: HashMap<Ref, Ref> = HashMap::new();
    for (old, uuid, fields, _) in &disks {
        let made = cx.db.create_with("VDI", fields.clone());
        vdi::locate(&mut cx, made);
        let fresh: Arc<str> = cx.db.text(made, "uuid").into();
        if let Some(system) = cx.site.systems.get(uuid).cloned() {
            cx.site.systems.insert(fresh.clone(), system);
        }
        if wish.is_copy {
            cx.site.inside.disk_copied(uuid, &fresh);
        } else {
            cx.site.inside.disk_moved(uuid, &fresh);
        }
        new.insert(*old, made);
    }
    for (old, _, _, of) in &disks {
        if let Some(of) = new.get(of).copied() {
            cx.db.set(new[old], "snapshot_of", of);
        }
    }
    for unpacked in &crates {
        let made = unpack(&mut cx, unpacked, &new, &way.networks);
        new.insert(unpacked.of, made);
    }
    let vm = new[&wish.vm];
    for unpacked in &crates {
        let made = new[&unpacked.of];
        cx.db.set(made, "parent", new.get(&unpacked.parent).copied().unwrap_or_default());
        if made != vm {
            cx.db.set(made, "snapshot_of", vm);
        }
    }
    if is_running {
        settle(&mut cx, vm, way.to);
    }
    if wish.is_copy {
        for vif in cx.db.links(vm, "VIFs") {
            let mac = vif::fresh_mac(cx.db);
            cx.db.set(vif, "MAC", mac);
        }
    } else {
        leave(world, from, way);
    }
    if is_running && let Some(mut cx) = world.cx(way.pool) {
        domain::changed(&mut cx, vm);
    }
    answer(vm)
}

fn unpack(cx: &mut Cx<'_>, machine: &Crate, new: &HashMap<Ref, Ref>, networks: &HashMap<Ref, Ref>) -> Ref {
    let vm = cx.db.create_with("VM", machine.fields.clone());
    vm_config::finish(cx, vm);
    let metrics = domain::metrics(cx, vm);
    for (name, value) in &machine.metrics {
        cx.db.set(metrics, name, value.clone());
    }
    if let Some(said) = &machine.agent {
        let agent = cx.db.create_with("VM_guest_metrics", said.clone());
        cx.db.set(vm, "guest_metrics", agent);
    }
    cx.db.set(vm, "suspend_VDI", new.get(&machine.image).copied().unwrap_or_default());
    for (fields, disk) in &machine.vbds {
        let disk = new.get(disk).copied();
        let mut fields = fields.clone();
        // The discs of the other pool are not there: a drive is empty.
        fields.retain(|(name, _)| *name != "empty");
        fields.extend([
            ("VM", Value::Ref(vm)),
            ("VDI", Value::Ref(disk.unwrap_or_default())),
            ("empty", Value::Bool(disk.is_none())),
        ]);
        cx.db.create_with("VBD", fields);
    }
    for (fields, vif) in &machine.vifs {
        let mut fields = fields.clone();
        fields.extend([("VM", Value::Ref(vm)), ("network", Value::Ref(networks.get(vif).copied().unwrap_or_default()))]);
        cx.db.create_with("VIF", fields);
    }
    vm
}

/// The domain of the VM goes on, on a host of its new pool.
fn settle(cx: &mut Cx<'_>, vm: Ref, to: Ref) {
    cx.site.next_domid += 1;
    let domid = cx.site.next_domid;
    cx.db.set(vm, "resident_on", to);
    cx.db.set(vm, "domid", domid);
    domain::console(cx, vm, to);
    host::touch_memory(cx, to);
}

/// Nothing of the VM is left in the pool that it was in.
fn leave(world: &mut World, from: usize, way: &Way) {
    let Some(mut cx) = world.cx(from) else { return };
    let host = way.machines.first().map(|vm| cx.db.link(*vm, "resident_on")).unwrap_or_default();
    for machine in &way.machines {
        for console in cx.db.links(*machine, "consoles") {
            cx.db.destroy(console);
        }
        vm_copy::forget_record(&mut cx, *machine);
    }
    for (disk, _) in &way.disks {
        vdi::remove(&mut cx, *disk);
    }
    host::touch_memory(&mut cx, host);
}
