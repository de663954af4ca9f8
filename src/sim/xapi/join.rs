//! Hosts that come into a pool, and leave it.

use super::super::array::Volume;
use super::super::clock::pace;
use super::super::failure::{Failure, Outcome};
use super::super::inside::Down;
use super::super::plan;
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, World, done, later};
use super::{host, network, pool};
use std::collections::{BTreeMap, HashMap};

/// pool.join(master_address, user, password), asked of the host that joins.
pub fn join(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let (address, user, password) = (args.text(0).to_string(), args.text(1).to_string(), args.text(2).to_string());
    if cx.db.count("host") > 1 {
        return Err(Failure::bare("JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS"));
    }
    let shared = cx.db.all("SR").into_iter().filter(|sr| cx.db.is(*sr, "shared") && !cx.db.is(*sr, "is_tools_sr"));
    if shared.count() > 0 {
        return Err(Failure::bare("JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS"));
    }
    for vm in cx.db.all("VM").into_iter().filter(|vm| !cx.db.is(*vm, "is_control_domain")) {
        if cx.db.text(vm, "power_state") != "Halted" && !cx.db.is(vm, "is_a_snapshot") {
            return Err(Failure::bare("JOINING_HOST_CANNOT_HAVE_RUNNING_VMS"));
        }
        if cx.db.get(vm, "current_operations").as_map().is_some_and(|map| !map.is_empty()) {
            return Err(Failure::bare("JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS"));
        }
    }
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_IS_ENABLED"));
    }
    let target = target(cx, &address)?;
    if user != cx.site.user || password != cx.site.password {
        return Err(Failure::new("SESSION_AUTHENTICATION_FAILED", [user.as_str(), "Authentication failure"]));
    }
    Ok(Answer::Wide(Box::new(move |world, from| {
        let master = master(&world.pools[target]);
        let stands = world.site.hosts.values().find(|place| place.address.to_string() == address);
        let is_master = stands.is_some_and(|place| world.site.hosts.get(world.pools[target].text(master, "uuid")) == Some(place));
        if !is_master {
            return Err(Failure::new("HOST_IS_SLAVE", [world.pools[target].text(master, "address")]));
        }
        if target == from {
            return Err(Failure::bare("OPERATION_NOT_ALLOWED"));
        }
        if world.pools[target].all("pool").first().is_some_and(|record| world.pools[target].is(*record, "ha_enabled")) {
            return Err(Failure::bare("HA_IS_ENABLED"));
        }
        later(pace::JOIN, move |_| Ok(Answer::Wide(Box::new(move |world, from| merge(world, from, target)))))
    })))
}

fn master(db: &Store) -> Ref {
    db.all("pool").first().map(|record| db.link(*record, "master")).unwrap_or_default()
}

/// The pool of the host at an address.
fn target(cx: &Cx<'_>, address: &str) -> Outcome<usize> {
    // With or without a port: all hosts answer on the same one.
    let bare = address.rsplit_once(':').map_or(address, |(bare, _)| bare);
    let place = cx.site.hosts.values().find(|place| place.address.to_string() == bare && place.is_up);
    place.map(|place| place.pool).ok_or_else(|| Failure::bare("JOINING_HOST_CONNECTION_FAILED"))
}

/// Classes whose records a joining host brings along.
const BROUGHT: &[&str] = &[
    "host",
    "host_metrics",
    "host_cpu",
    "SR",
    "PBD",
    "VDI",
    "VM",
    "VM_metrics",
    "VBD",
    "VIF",
    "PIF",
    "PIF_metrics",
    "Bond",
    "VLAN",
    "network",
];

/// Moves all that a joining host has into the pool that it joins. References are new there, UUIDs stay.
fn merge(world: &mut World, from: usize, to: usize) -> Outcome<Answer> {
    let mut old = std::mem::replace(&mut world.pools[from], Store::new(u16::try_from(from).unwrap_or(u16::MAX), from as u64));
    let joiner = old.all("host").first().copied().ok_or_else(|| Failure::bare("JOINING_HOST_SERVICE_FAILED"))?;
    let uuid = old.text(joiner, "uuid").to_string();
    let networks = map_networks(&old, &world.pools[to]);
    let mut moved: HashMap<Ref, Ref> = networks;
    let skipped = skipped(&old);
    let target = &mut world.pools[to];
    for class in BROUGHT {
        for record in old.all(class) {
            if !moved.contains_key(&record) && !skipped.contains(&record) {
                let fields = vec![("uuid", old.get(record, "uuid").clone())];
                moved.insert(record, target.create_with(class, fields));
            }
        }
    }
    for (record, new) in moved.clone() {
        let is_network_of_the_pool =
            old.class(record).is_some_and(|class| class.name == "network") && !target.text(new, "bridge").is_empty();
        if is_network_of_the_pool {
            continue;
        }
        let Some(class) = old.class(record) else { continue };
        for (field, value) in class.fields.iter().zip(old.fields(record).to_vec()) {
            let value = translate(value, &moved);
            // Sets of references follow from the references into them.
            let is_kept = !matches!(&value, Value::Set(items) if items.iter().any(|item| matches!(item, Value::Ref(_))));
            if is_kept {
                target.set(new, field.name, value);
            }
        }
    }
    old.scheduled.clear();
    let host = moved.get(&joiner).copied().unwrap_or_default();
    world.site.sessions.end_pool(from);
    if let Some(place) = world.site.hosts.get_mut(&uuid) {
        place.pool = to;
    }
    let Some(mut cx) = world.cx(to) else { return done() };
    cx.db.set(host, "enabled", false);
    plug_shared(&mut cx, host);
    let uuid: String = uuid;
    cx.site.set_up(&uuid, false);
    cx.after(pace::AGENT_RESTART, move |cx| {
        cx.site.set_up(&uuid, true);
        host::come_back(cx, host);
        let machine = host::machine(cx, host);
        cx.site.inside.machine_changed(&machine);
    });
    done()
}

fn translate(value: Value, moved: &HashMap<Ref, Ref>) -> Value {
    match value {
        Value::Ref(reference) => Value::Ref(moved.get(&reference).copied().unwrap_or_default()),
        Value::Set(items) => Value::Set(items.into_iter().map(|item| translate(item, moved)).collect()),
        other => other,
    }
}

/// Networks with the same bridge are the same network.
fn map_networks(old: &Store, new: &Store) -> HashMap<Ref, Ref> {
    let mut map = HashMap::new();
    for network in old.all("network") {
        let bridge = old.text(network, "bridge");
        if let Some(same) = new.all("network").into_iter().find(|other| new.text(*other, "bridge") == bridge) {
            map.insert(network, same);
        }
    }
    map
}

/// What every pool has of its own: the disc with the guest's tools, and the templates that come with the product.
fn skipped(old: &Store) -> Vec<Ref> {
    let mut skipped = Vec::new();
    for sr in old.all("SR").into_iter().filter(|sr| old.is(*sr, "is_tools_sr")) {
        skipped.push(sr);
        skipped.extend(old.links(sr, "PBDs"));
        skipped.extend(old.links(sr, "VDIs"));
    }
    for vm in old.all("VM").into_iter().filter(|vm| old.is(*vm, "is_default_template")) {
        skipped.push(vm);
        skipped.push(old.link(vm, "metrics"));
        skipped.extend(old.links(vm, "VBDs"));
    }
    skipped
}

/// Plugs a new member into what all members have.
fn plug_shared(cx: &mut Cx<'_>, host: Ref) {
    let shared: Vec<Ref> = cx.db.all("SR").into_iter().filter(|sr| cx.db.is(*sr, "shared")).collect();
    for sr in shared {
        let Some(example) = cx.db.links(sr, "PBDs").first().copied() else { continue };
        if cx.db.links(sr, "PBDs").into_iter().any(|pbd| cx.db.link(pbd, "host") == host) {
            continue;
        }
        let configuration = cx.db.get(example, "device_config").clone();
        let plug = vec![("host", Value::Ref(host)), ("SR", Value::Ref(sr)), ("device_config", configuration)];
        let plug = cx.db.create_with("PBD", plug);
        cx.db.set(plug, "currently_attached", true);
    }
    // The interfaces that the other members have on a VLAN.
    let vlans = cx.db.all("VLAN");
    let mut wanted: BTreeMap<Ref, (String, i64)> = BTreeMap::new();
    for vlan in vlans {
        let untagged = cx.db.link(vlan, "untagged_PIF");
        wanted.insert(cx.db.link(untagged, "network"), (cx.db.text(untagged, "device").to_string(), cx.db.int(vlan, "tag")));
    }
    for (network, (device, tag)) in wanted {
        let nic =
            cx.db.links(host, "PIFs").into_iter().find(|nic| cx.db.text(*nic, "device") == device && cx.db.is(*nic, "physical"));
        if let Some(nic) = nic.filter(|_| super::pif::on_network(cx.db, host, network).is_none()) {
            super::vlan::make(cx, nic, tag, network);
        }
    }
}

/// pool.eject(host): the host leaves, and comes up as if it were freshly installed; what was on its own disks is lost.
pub fn eject(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let leaver = args.link(0);
    if leaver == cx.master() {
        return Err(Failure::new("OPERATION_NOT_ALLOWED", ["the master of a pool cannot be ejected"]));
    }
    if cx.db.is(cx.pool_record(), "ha_enabled") {
        return Err(Failure::bare("HA_IS_ENABLED"));
    }
    if !host::is_live(cx.db, leaver) {
        return Err(Failure::new("HOST_OFFLINE", [leaver]));
    }
    if let Some(vm) = host::guests(cx.db, leaver).first() {
        return Err(Failure::new("HOST_HAS_RESIDENT_VMS", [leaver, *vm]));
    }
    cx.db.set(leaver, "enabled", false);
    later(pace::JOIN, move |cx| {
        cx.known("host", leaver)?;
        Ok(Answer::Wide(Box::new(move |world, from| part(world, from, leaver))))
    })
}

fn part(world: &mut World, from: usize, leaver: Ref) -> Outcome<Answer> {
    let Some(mut cx) = world.cx(from) else { return done() };
    let uuid = cx.db.text(leaver, "uuid").to_string();
    let (name, memory) = (cx.db.text(leaver, "name_label").to_string(), cx.db.int(cx.db.link(leaver, "metrics"), "memory_total"));
    let number = plan::number_of(&name);
    host::go_down(&mut cx, leaver, Down::Clean);
    pool::remove_host(&mut cx, leaver);
    // Its own disks are formatted.
    let own = format!(":{uuid}:");
    cx.site.arrays.retain(|key, _: &mut Vec<Volume>| !key.contains(&own));
    let place = world.pools.len();
    let seed = world.site.next_address.into();
    world.pools.push(Store::new(u16::try_from(place).unwrap_or(u16::MAX), seed));
    if let Some(mut cx) = world.cx(place) {
        plan::standalone(&mut cx, &name, number, &uuid, memory);
        let host = cx.master();
        let metrics = cx.db.link(host, "metrics");
        cx.db.set(metrics, "live", false);
        if let Some(stand) = cx.site.hosts.get_mut(&uuid) {
            stand.pool = place;
        }
        host::go_up_after(&mut cx, host);
    }
    done()
}

/// Networks that only one host has are of no use to others; kept here beside those that make them.
pub fn primary(cx: &mut Cx<'_>, bridge: &str, name: &str) -> Ref {
    let known = cx.db.all("network").into_iter().find(|known| cx.db.text(*known, "bridge") == bridge);
    known.unwrap_or_else(|| network::make(cx, name, bridge))
}
