//! Toolstacks: what the library sends is what XAPI's datamodel has, and each toolstack keeps the contract.

use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};
use xenrt::error::{Blame, Error, Kind, Result};
use xenrt::secret::Secret;
use xenrt::sim::Simulator;
use xenrt::time::Cancel;
use xenrt::toolstack::xapi::calls::METHODS;
use xenrt::toolstack::xapi::{Login, Xapi};
use xenrt::toolstack::*;
use xenrt::wire::ssh::HostKeys;
use xenrt::wire::tls::Trust;

const LONG: Duration = Duration::from_secs(60);

/// A message of the datamodel: result, and parameters with their names.
struct Message<'a> {
    result: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

fn datamodel() -> BTreeMap<String, Message<'static>> {
    let mut messages = BTreeMap::new();
    for line in include_str!("../src/sim/datamodel.tsv").lines() {
        let mut columns = line.split('\t');
        if columns.next() != Some("M") {
            continue;
        }
        let (Some(class), Some(name), Some(result)) = (columns.next(), columns.next(), columns.next()) else {
            panic!("a message without its columns: {line}");
        };
        let parameters = columns.next().unwrap_or_default().split_whitespace().map(|p| p.split_once(':').unwrap()).collect();
        messages.insert(format!("{class}.{name}"), Message { result, parameters });
    }
    assert!(messages.len() > 500, "{}", messages.len());
    messages
}

#[test]
fn every_method_that_is_sent_is_in_the_datamodel_with_these_types() {
    let datamodel = datamodel();
    let mut complaints = Vec::new();
    for method in METHODS {
        // Every class has this one, but XAPI's own documents leave it out.
        if let Some(class) = method.name.strip_suffix(".get_all_records_where") {
            let same = &datamodel[&format!("{class}.get_all_records")];
            if (method.parameters, method.result) != (&["string"], same.result) {
                complaints.push(format!("{}: {:?} -> {}", method.name, method.parameters, method.result));
            }
            continue;
        }
        let Some(message) = datamodel.get(method.name) else {
            complaints.push(format!("{}: there is no such method", method.name));
            continue;
        };
        let parameters = &message.parameters[message.parameters.iter().take_while(|p| p.0 == "session_id").count()..];
        let expected: Vec<&str> = parameters.iter().map(|p| p.1).collect();
        let fits =
            expected.starts_with(method.parameters) && parameters[method.parameters.len()..].iter().all(|p| p.0.ends_with('?'));
        if !fits {
            complaints.push(format!("{}: sent {:?}, takes {:?}", method.name, method.parameters, parameters));
        }
        if method.result != message.result {
            complaints.push(format!("{}: expected {}, gives {}", method.name, method.result, message.result));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What a check may use: a toolstack of whatever kind, and what it makes names of.
struct Bench<'a> {
    toolstack: &'a dyn Toolstack,
    cancel: Cancel,
    template: String,
    sr: Ref,
    network: Ref,
    /// What was made, to be removed whatever happens.
    guests: RefCell<Vec<Ref>>,
}

impl<'a> Bench<'a> {
    fn new(toolstack: &'a dyn Toolstack, template: &str) -> Bench<'a> {
        let cancel = Cancel::new();
        let watch = Watch::silent(&cancel, LONG);
        let pool = toolstack.pool(watch).unwrap();
        let sr = pool.default_sr.expect("a pool for tests has a default SR");
        let nics = toolstack.nics(Some(&pool.master), watch).unwrap();
        let network = nics.into_iter().find(|nic| nic.is_management).expect("a management interface").network;
        Bench { toolstack, cancel, template: template.to_string(), sr, network, guests: RefCell::default() }
    }

    fn watch(&self) -> Watch<'_> {
        Watch::silent(&self.cancel, LONG)
    }

    fn act(&self, verb: Verb) {
        self.toolstack.act(&verb, self.watch()).unwrap_or_else(|e| panic!("{verb:?}: {e:?}"));
    }

    fn refused(&self, verb: Verb) -> Error {
        self.toolstack.act(&verb, self.watch()).expect_err(&format!("{verb:?}"))
    }

    fn guest(&self, guest: &Ref) -> Guest {
        self.toolstack.guest(guest, self.watch()).unwrap()
    }

    fn make(&self, name: &str) -> Ref {
        let templates = self.toolstack.templates(self.watch()).unwrap();
        let Some(template) = templates.iter().find(|t| t.name == self.template) else {
            panic!("no template `{}` in {:?}", self.template, templates.iter().map(|t| &t.name).collect::<Vec<_>>());
        };
        let spec =
            GuestSpec { name: name.into(), template: template.reference.clone(), sr: Some(self.sr.clone()), full_copy: false };
        self.mine(self.toolstack.create(&Spec::Guest(spec), self.watch()).unwrap())
    }

    fn running(&self, name: &str) -> Ref {
        let guest = self.make(name);
        self.act(Verb::Start { guest: guest.clone(), on: None, paused: false });
        guest
    }

    fn mine(&self, guest: Ref) -> Ref {
        self.guests.borrow_mut().push(guest.clone());
        guest
    }

    fn volume(&self, name: &str) -> Ref {
        let spec = VolumeSpec { name: name.into(), sr: self.sr.clone(), size: 64 << 20 };
        self.toolstack.create(&Spec::Volume(spec), self.watch()).unwrap()
    }

    fn is_gone<T: std::fmt::Debug>(&self, read: Result<T>) {
        let error = read.expect_err("it is gone");
        assert_eq!(error.kind, Kind::NotFound, "{error:?}");
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        for guest in self.guests.borrow().iter() {
            let _ = self.toolstack.act(&Verb::HardShutdown(guest.clone()), self.watch());
            let _ = self.toolstack.destroy_guest(guest, false, self.watch());
        }
    }
}

type Check = fn(&Bench<'_>);

/// What every toolstack keeps to.
const CONTRACT: &[(&str, Check)] = &[
    ("what there is fits together", what_there_is),
    ("a guest lives", life),
    ("what is refused says why", refusals),
    ("what is not there is not found", not_found),
    ("disks come and go", disks),
    ("discs come and go", discs),
    ("interfaces come and go", vifs),
    ("snapshots bring back, copies are their own", snapshots),
    ("networks come and go", networks),
    ("guests change", changes),
    ("guests move", moves),
    ("changes are waited for", news),
    ("an image goes out and comes back", images),
    ("the ways out", hatches),
    ("many ask at once", many),
    ("a session that was ended is begun anew", renewal),
];

fn what_there_is(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let pool = toolstack.pool(watch).unwrap();
    let hosts = toolstack.hosts(watch).unwrap();
    assert!(hosts.iter().any(|host| host.reference == pool.master));
    for host in &hosts {
        assert!(host.is_live && host.is_enabled && host.cpus > 0 && host.software.contains_key("product_version"), "{host:?}");
        assert!(host.free_memory > 0 && host.free_memory <= host.total_memory, "{host:?}");
        let one = toolstack.host(&host.reference, watch).unwrap();
        assert_eq!((&one.name, &one.uuid, one.total_memory), (&host.name, &host.uuid, host.total_memory));
        assert!(toolstack.nics(Some(&host.reference), watch).unwrap().iter().all(|nic| nic.host == host.reference));
    }
    let srs = toolstack.srs(watch).unwrap();
    for sr in &srs {
        assert_eq!(toolstack.sr(&sr.reference, watch).unwrap(), *sr);
        assert!(sr.plugs.iter().all(|plug| hosts.iter().any(|host| host.reference == plug.host)), "{sr:?}");
        assert!(toolstack.volumes(&sr.reference, watch).unwrap().iter().all(|volume| volume.sr == sr.reference));
    }
    let shared = srs.iter().find(|sr| sr.reference == bench.sr).unwrap();
    assert!(shared.size > 0 && shared.used <= shared.size, "{shared:?}");
    let guests = toolstack.guests(watch).unwrap();
    assert!(guests.is_sorted_by(|a, b| a.name <= b.name));
    for guest in &guests {
        assert!(!guest.is_template, "{guest:?}");
        assert_eq!(guest.host.is_some(), matches!(guest.state, PowerState::Up | PowerState::Paused), "{guest:?}");
    }
    assert!(toolstack.templates(watch).unwrap().iter().all(|template| template.is_template));
    let networks = toolstack.networks(watch).unwrap();
    for nic in toolstack.nics(None, watch).unwrap() {
        let network = networks.iter().find(|network| network.reference == nic.network).unwrap();
        assert!(network.nics.contains(&nic.reference), "{nic:?}");
    }
}

fn life(bench: &Bench<'_>) {
    let guest = bench.make("xrt-life");
    let made = bench.guest(&guest);
    assert_eq!((made.name.as_str(), made.state, made.host, made.is_template), ("xrt-life", PowerState::Down, None, false));
    bench.act(Verb::Start { guest: guest.clone(), on: None, paused: false });
    let up = bench.guest(&guest);
    assert_eq!(up.state, PowerState::Up);
    assert!(up.host.is_some() && up.domid.is_some(), "{up:?}");
    bench.act(Verb::Pause(guest.clone()));
    assert_eq!(bench.guest(&guest).state, PowerState::Paused);
    bench.act(Verb::Unpause(guest.clone()));
    bench.act(Verb::HardReboot(guest.clone()));
    let again = bench.guest(&guest);
    assert!(again.state == PowerState::Up && again.domid != up.domid, "{again:?}");
    bench.act(Verb::HardShutdown(guest.clone()));
    let down = bench.guest(&guest);
    assert_eq!((down.state, down.host, down.domid, down.inside), (PowerState::Down, None, None, None));
    let host = bench.toolstack.pool(bench.watch()).unwrap().master;
    bench.act(Verb::Start { guest: guest.clone(), on: Some(host.clone()), paused: true });
    let paused = bench.guest(&guest);
    assert_eq!((paused.state, paused.host), (PowerState::Paused, Some(host)));
    bench.act(Verb::HardShutdown(guest.clone()));
    let volumes: Vec<Ref> = bench
        .toolstack
        .disks(&guest, bench.watch())
        .unwrap()
        .into_iter()
        .filter(|d| !d.is_cd)
        .filter_map(|d| Some(d.volume?.reference))
        .collect();
    bench.toolstack.destroy_guest(&guest, false, bench.watch()).unwrap();
    bench.is_gone(bench.toolstack.guest(&guest, bench.watch()));
    let left = bench.toolstack.volumes(&bench.sr, bench.watch()).unwrap();
    assert!(left.iter().all(|volume| !volumes.contains(&volume.reference)), "{volumes:?}");
}

fn refusals(bench: &Bench<'_>) {
    let guest = bench.make("xrt-refusals");
    let error = bench.refused(Verb::CleanShutdown(guest.clone()));
    assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Product));
    let details = error.details.clone().unwrap();
    assert!(error.what.contains("VM_BAD_POWER_STATE") && error.what.contains("VM.clean_shutdown"), "{error:?}");
    assert!(details.stderr.starts_with("VM_BAD_POWER_STATE\n") && details.command == "VM.clean_shutdown", "{details:?}");
    let error =
        bench.refused(Verb::Join { master: "h".into(), user: "root".into(), password: Secret::new("hush-hush"), force: false });
    assert!(!format!("{error:?} {:?}", error.details).contains("hush-hush"), "{error:?}");
}

fn not_found(bench: &Bench<'_>) {
    let nothing = |class| Ref::new(class, "OpaqueRef:00000000-0000-4000-8000-000000000000");
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    bench.is_gone(toolstack.guest(&nothing(Class::Guest), watch));
    bench.is_gone(toolstack.host(&nothing(Class::Host), watch));
    bench.is_gone(toolstack.sr(&nothing(Class::Sr), watch));
    bench.is_gone(toolstack.disks(&nothing(Class::Guest), watch));
    bench.is_gone(toolstack.vifs(&nothing(Class::Guest), watch));
    bench.is_gone(toolstack.get(&nothing(Class::Guest), "uuid", watch));
    bench.is_gone(toolstack.act(&Verb::HardShutdown(nothing(Class::Guest)), watch));
    bench.is_gone(toolstack.destroy_guest(&nothing(Class::Guest), false, watch));
    bench.is_gone(toolstack.guest(&Ref::new(Class::Guest, "x\" or true"), watch));
}

fn disks(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.running("xrt-disks");
    let before = toolstack.disks(&guest, watch).unwrap();
    let volume = bench.volume("xrt-volume");
    let spec = DiskSpec {
        guest: guest.clone(),
        volume: Some(volume.clone()),
        position: None,
        is_cd: false,
        is_bootable: false,
        is_read_only: false,
        is_owned: false,
    };
    let disk = toolstack.create(&Spec::Disk(spec), watch).unwrap();
    bench.act(Verb::Plug(disk.clone()));
    let all = toolstack.disks(&guest, watch).unwrap();
    assert_eq!(all.len(), before.len() + 1);
    let found = all.iter().find(|d| d.reference == disk).unwrap();
    assert!(found.is_attached && !found.is_cd && !found.is_owned, "{found:?}");
    let on = found.volume.as_ref().unwrap();
    assert_eq!((&on.reference, on.size, on.name.as_str()), (&volume, 64 << 20, "xrt-volume"));
    assert!(!before.iter().any(|d| d.position == found.position), "{found:?}");
    bench.act(Verb::Unplug(disk.clone()));
    bench.act(Verb::Destroy(disk));
    bench.act(Verb::Resize { volume: volume.clone(), size: 128 << 20 });
    let clone = toolstack.create(&Spec::VolumeClone(volume.clone()), watch).unwrap();
    let volumes = toolstack.volumes(&bench.sr, watch).unwrap();
    for reference in [volume, clone] {
        assert_eq!(volumes.iter().find(|v| v.reference == reference).unwrap().size, 128 << 20);
        bench.act(Verb::Destroy(reference.clone()));
        assert!(toolstack.volumes(&bench.sr, watch).unwrap().iter().all(|v| v.reference != reference));
    }
}

fn discs(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.make("xrt-discs");
    let stores = toolstack.srs(watch).unwrap().into_iter().filter(|sr| sr.content == "iso");
    let all: Vec<Volume> = stores.flat_map(|sr| toolstack.volumes(&sr.reference, watch).unwrap()).collect();
    let Some(disc) = all.first() else {
        eprintln!("SKIPPED in part: there are no discs on any SR");
        return;
    };
    let drive = || toolstack.disks(&guest, watch).unwrap().into_iter().find(|disk| disk.is_cd);
    toolstack.set_cd(&guest, Some(&disc.name), watch).unwrap();
    let found = drive().unwrap();
    assert_eq!((found.is_empty, found.volume.unwrap().name), (false, disc.name.clone()));
    toolstack.set_cd(&guest, Some(&disc.name), watch).unwrap();
    toolstack.set_cd(&guest, None, watch).unwrap();
    assert!(drive().unwrap().is_empty);
    let error = toolstack.set_cd(&guest, Some("no-such-disc.iso"), watch).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

fn vifs(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.running("xrt-vifs");
    let mac = "02:00:00:12:34:56";
    let spec = VifSpec { guest: guest.clone(), network: bench.network.clone(), device: None, mac: mac.into(), mtu: 1500 };
    let vif = toolstack.create(&Spec::Vif(spec), watch).unwrap();
    bench.act(Verb::Plug(vif.clone()));
    let found = toolstack.vifs(&guest, watch).unwrap().into_iter().find(|v| v.reference == vif).unwrap();
    assert_eq!((found.mac.as_str(), &found.network, found.is_attached, found.mtu), (mac, &bench.network, true, 1500));
    bench.act(Verb::Unplug(vif.clone()));
    bench.act(Verb::Destroy(vif.clone()));
    assert!(toolstack.vifs(&guest, watch).unwrap().iter().all(|v| v.reference != vif));
}

fn snapshots(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.running("xrt-snapshots");
    let first = toolstack.duplicate(&guest, "first", &Duplicate::Snapshot, watch).unwrap();
    let second = toolstack.duplicate(&guest, "second", &Duplicate::Checkpoint, watch).unwrap();
    let all = toolstack.snapshots(&guest, watch).unwrap();
    let shown: Vec<(&str, bool)> = all.iter().map(|s| (s.name.as_str(), s.is_checkpoint)).collect();
    assert_eq!(shown, [("first", false), ("second", true)]);
    assert!(all.iter().all(|s| s.of == guest && s.taken > 1_500_000_000), "{all:?}");
    assert!(toolstack.guests(watch).unwrap().iter().all(|g| g.reference != first));
    bench.act(Verb::Revert(second.clone()));
    assert_eq!(bench.guest(&guest).state, PowerState::Suspended);
    bench.act(Verb::Resume { guest: guest.clone(), on: None });
    bench.act(Verb::Revert(first.clone()));
    assert_eq!(bench.guest(&guest).state, PowerState::Down);
    bench.act(Verb::Destroy(first));
    assert_eq!(toolstack.snapshots(&guest, watch).unwrap().len(), 1);
    let clone = bench.mine(toolstack.duplicate(&guest, "xrt-clone", &Duplicate::Clone, watch).unwrap());
    let copy = bench.mine(toolstack.duplicate(&guest, "xrt-copy", &Duplicate::Copy { sr: Some(bench.sr.clone()) }, watch).unwrap());
    let macs = |guest: &Ref| toolstack.vifs(guest, watch).unwrap().into_iter().map(|v| v.mac).collect::<Vec<_>>();
    for other in [&clone, &copy] {
        let found = bench.guest(other);
        assert_eq!((found.state, found.is_template), (PowerState::Down, false));
        assert_eq!(macs(other).len(), macs(&guest).len());
        assert!(macs(other).iter().all(|mac| !macs(&guest).contains(mac)));
    }
    // With the checkpoint and the image of its memory.
    toolstack.destroy_guest(&guest, false, watch).unwrap();
    bench.is_gone(toolstack.guest(&second, watch));
}

fn networks(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let spec =
        NetworkSpec { name: "xrt-network".into(), description: "for a test".into(), mtu: 9000, other_config: BTreeMap::new() };
    let network = toolstack.create(&Spec::Network(spec), watch).unwrap();
    let found = toolstack.networks(watch).unwrap().into_iter().find(|n| n.reference == network).unwrap();
    assert_eq!((found.name.as_str(), found.mtu, found.nics.len()), ("xrt-network", 9000, 0));
    let master = toolstack.pool(watch).unwrap().master;
    let nic = toolstack.nics(Some(&master), watch).unwrap().into_iter().find(|n| n.is_management).unwrap();
    let vlan = toolstack.create(&Spec::Vlan { nic: nic.reference, tag: 3999, network: network.clone() }, watch).unwrap();
    let tagged = toolstack.nics(Some(&master), watch).unwrap().into_iter().find(|n| n.vlan == Some(3999)).unwrap();
    assert_eq!((&tagged.network, tagged.is_physical), (&network, false));
    let error = bench.refused(Verb::Destroy(network.clone()));
    assert!(error.what.contains("NETWORK_CONTAINS_PIF"), "{error:?}");
    bench.act(Verb::Destroy(vlan));
    bench.act(Verb::Destroy(network.clone()));
    assert!(toolstack.networks(watch).unwrap().iter().all(|n| n.reference != network));
}

fn changes(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.make("xrt-changes");
    let memory = MemoryLimits { static_min: 256 << 20, dynamic_min: 512 << 20, dynamic_max: 512 << 20, static_max: 512 << 20 };
    let config = |value: &str| BTreeMap::from([("xrt:test".to_string(), value.to_string())]);
    for (vcpus, value) in [(4, "one"), (1, "two")] {
        let change = GuestChange {
            name: Some(format!("xrt-changed-{value}")),
            description: Some("for a test".into()),
            vcpus: Some(vcpus),
            vcpus_max: Some(vcpus),
            memory: Some(memory),
            other_config: config(value),
            ..GuestChange::default()
        };
        toolstack.configure(&guest, &change, watch).unwrap();
        let found = bench.guest(&guest);
        assert_eq!((found.vcpus, found.vcpus_max, found.memory), (vcpus, vcpus, memory));
        assert_eq!((found.name, found.other_config["xrt:test"].as_str()), (format!("xrt-changed-{value}"), value));
    }
    let wrong = GuestChange { memory: Some(MemoryLimits { dynamic_min: 1 << 40, ..memory }), ..GuestChange::default() };
    let error = toolstack.configure(&guest, &wrong, watch).unwrap_err();
    assert!(error.what.contains("MEMORY_CONSTRAINT_VIOLATION"), "{error:?}");
}

fn moves(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let hosts = toolstack.hosts(watch).unwrap();
    let guest = bench.running("xrt-moves");
    let from = bench.guest(&guest).host.unwrap();
    let Some(to) = hosts.iter().find(|host| host.reference != from) else {
        eprintln!("SKIPPED in part: there is one host only");
        return;
    };
    let told = Cell::new(0);
    let progress = |part: f64| {
        assert!((0.0..=1.0).contains(&part));
        told.set(told.get() + 1);
    };
    let watch = Watch { cancel: &bench.cancel, limit: LONG, progress: &progress };
    toolstack.migrate(&guest, &Migration { host: to.reference.clone(), is_live: true }, watch).unwrap();
    assert_eq!(bench.guest(&guest).host, Some(to.reference.clone()));
    bench.act(Verb::Suspend(guest.clone()));
    assert_eq!((bench.guest(&guest).state, bench.guest(&guest).host), (PowerState::Suspended, None));
    bench.act(Verb::Resume { guest: guest.clone(), on: Some(from.clone()) });
    assert_eq!(bench.guest(&guest).host, Some(from));
}

fn news(bench: &Bench<'_>) {
    let toolstack = bench.toolstack;
    let guest = bench.make("xrt-news");
    let mut token = String::new();
    // What has happened up to now.
    toolstack.wait_change(std::slice::from_ref(&guest), &mut token, bench.watch()).unwrap();
    assert!(!token.is_empty());
    let begun = Instant::now();
    toolstack
        .wait_change(std::slice::from_ref(&guest), &mut token, Watch::silent(&bench.cancel, Duration::from_millis(300)))
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200), "nothing has happened: {:?}", begun.elapsed());
    let done = std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let own = Cancel::new();
            while toolstack.guest(&guest, Watch::silent(&own, LONG)).unwrap().state != PowerState::Up {
                toolstack.wait_change(std::slice::from_ref(&guest), &mut token, Watch::silent(&own, LONG)).unwrap();
            }
        });
        bench.act(Verb::Start { guest: guest.clone(), on: None, paused: false });
        let started = Instant::now();
        waits.join().unwrap();
        started.elapsed()
    });
    assert!(done < Duration::from_secs(5), "{done:?}");
    let raised = Cancel::new();
    raised.raise(xenrt::time::Stop::User);
    let error = toolstack.wait_change(&[guest], &mut token, Watch::silent(&raised, LONG)).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled);
}

fn images(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.make("xrt-image");
    let mut image = Vec::new();
    let bytes = match toolstack.export_guest(&guest, &mut image, watch) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == Kind::Unsupported => return eprintln!("SKIPPED in part: {}", error.what),
        Err(error) => panic!("{error:?}"),
    };
    assert!(bytes > 0 && bytes == image.len() as u64);
    for known in [Some(bytes), None] {
        let copy = bench.mine(toolstack.import_guest(&mut image.as_slice(), known, Some(&bench.sr), watch).unwrap());
        let found = bench.guest(&copy);
        assert_eq!((found.name.as_str(), found.state), ("xrt-image", PowerState::Down));
        assert_eq!(toolstack.disks(&copy, watch).unwrap().len(), toolstack.disks(&guest, watch).unwrap().len());
    }
    let error = toolstack.import_guest(&mut &b"this is no image"[..], Some(16), None, watch).unwrap_err();
    assert!(matches!(error.kind, Kind::Refused | Kind::Malformed), "{error:?}");
    bench.is_gone(toolstack.export_guest(&Ref::new(Class::Guest, "OpaqueRef:none"), &mut Vec::new(), watch));
}

fn hatches(bench: &Bench<'_>) {
    let (toolstack, watch) = (bench.toolstack, bench.watch());
    let guest = bench.make("xrt-\"quoted\"");
    assert_eq!(toolstack.get(&guest, "power_state", watch).unwrap(), json!("Halted"));
    toolstack.set(&guest, "name_description", &json!("described"), watch).unwrap();
    let found = toolstack.find("VM", &[("name_label".into(), json!("xrt-\"quoted\""))], watch).unwrap();
    assert_eq!((found.len(), &found[0]["name_description"], &found[0]["ref"]), (1, &json!("described"), &json!(&*guest.id)));
    let uuid = bench.guest(&guest).uuid;
    assert_eq!(toolstack.call("VM.get_by_uuid", &[json!(uuid)], watch).unwrap(), json!(&*guest.id));
    assert_eq!(toolstack.find("VM", &[("uuid".into(), json!(uuid))], watch).unwrap().len(), 1);
    assert_eq!(toolstack.with_uuid(Class::Guest, &uuid, watch).unwrap(), Some(guest.clone()));
    assert_eq!(toolstack.with_uuid(Class::Host, &uuid, watch).unwrap(), None);
    assert!(!toolstack.find("VM", &[("is_control_domain".into(), json!(true))], watch).unwrap().is_empty());
    assert_eq!(toolstack.find("VM", &[("no_such_field".into(), json!(1))], watch).unwrap_err().kind, Kind::Malformed);
    for (method, kind) in [("VM.no_such_method", Kind::Unsupported), ("no method", Kind::Malformed)] {
        assert_eq!(toolstack.call(method, &[], watch).unwrap_err().kind, kind, "{method}");
    }
    let error = toolstack.call("VM.get_record", &[], watch).unwrap_err();
    assert!(error.what.contains("MESSAGE_PARAMETER_COUNT_MISMATCH"), "{error:?}");
}

fn many(bench: &Bench<'_>) {
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let own = Cancel::new();
                for _ in 0..5 {
                    bench_pool(bench.toolstack, &own);
                }
            });
        }
    });
}

fn bench_pool(toolstack: &dyn Toolstack, cancel: &Cancel) {
    toolstack.pool(Watch::silent(cancel, LONG)).unwrap();
}

fn renewal(bench: &Bench<'_>) {
    let guest = bench.make("xrt-renewal");
    bench.toolstack.call("session.logout", &[], bench.watch()).unwrap();
    bench.act(Verb::Start { guest: guest.clone(), on: None, paused: false });
    assert_eq!(bench.guest(&guest).state, PowerState::Up);
    bench.toolstack.log_out();
    assert_eq!(bench.guest(&guest).state, PowerState::Up);
}

/// Runs the whole contract, and tells all that does not keep to it.
fn keeps_the_contract(toolstack: &dyn Toolstack, template: &str) {
    let mut broken = Vec::new();
    for (what, check) in CONTRACT {
        let bench = Bench::new(toolstack, template);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&bench))).is_err() {
            broken.push(*what);
        }
    }
    assert!(broken.is_empty(), "{} does not keep the contract: {broken:#?}", toolstack.name());
}

fn xapi(address: &str, password: Option<&Secret>, trust: Trust) -> Xapi {
    let passwords = password.into_iter().cloned().collect();
    Xapi::new(Login { address: address.parse().unwrap(), passwords, trust, connect_timeout: Duration::from_secs(10) }).unwrap()
}

fn no_trust() -> Trust {
    Trust { policy: HostKeys::Ignore, record: None }
}

fn simulator(options: &str) -> Simulator {
    Simulator::start(options.parse().unwrap()).unwrap()
}

fn simulated(simulator: &Simulator) -> Xapi {
    xapi(&simulator.url(), Some(simulator.password()), no_trust())
}

#[test]
fn a_simulated_pool_keeps_the_contract() {
    let simulator = simulator("seed=7");
    keeps_the_contract(&simulated(&simulator), "xenrt-template-debian12-x86-64");
}

#[test]
fn a_real_pool_keeps_the_contract() {
    let Ok(address) = std::env::var("XRT_TEST_XAPI") else {
        // Never demanded: no other machine can have this one.
        let why = "SKIPPED: toolstack::a_real_pool_keeps_the_contract: name a pool as XRT_TEST_XAPI=root:password@host (guests called xrt-… are made and removed there)\n";
        return std::io::stderr().write_all(why.as_bytes()).unwrap();
    };
    let template = std::env::var("XRT_TEST_XAPI_TEMPLATE").unwrap_or_else(|_| "Other install media".into());
    keeps_the_contract(&xapi(&address, None, no_trust()), &template);
}

#[test]
fn a_certificate_is_recorded_and_a_changed_one_is_refused_where_that_is_wished() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("known_certificates");
    let simulator = simulator("tls=yes,guests=0,templates=no");
    let trust = |policy| Trust { policy, record: Some(record.clone()) };
    let with = |policy| xapi(&simulator.url(), Some(simulator.password()), trust(policy));
    let cancel = Cancel::new();
    let read = |xapi: &Xapi| xapi.pool(Watch::silent(&cancel, LONG)).map(drop);
    let error = read(&with(HostKeys::Strict)).unwrap_err();
    assert!(error.kind == Kind::Refused && error.what.contains("is not known"), "{error:?}");
    let warn = with(HostKeys::Warn);
    read(&warn).unwrap();
    assert_eq!(warn.warnings(), Vec::<String>::new());
    read(&with(HostKeys::Strict)).unwrap();
    let line = std::fs::read_to_string(&record).unwrap();
    let name = line.split(' ').next().unwrap();
    std::fs::write(&record, format!("{name} SHA256:00:11\n")).unwrap();
    assert!(read(&with(HostKeys::Strict)).unwrap_err().what.contains("has changed"));
    read(&with(HostKeys::Warn)).unwrap();
    assert_eq!(std::fs::read_to_string(&record).unwrap(), line);
}

#[test]
fn a_member_of_the_pool_sends_to_the_coordinator_and_a_new_one_is_followed() {
    let simulator = simulator("hosts=2,guests=1");
    let home = simulated(&simulator);
    let cancel = Cancel::new();
    let watch = Watch::silent(&cancel, LONG);
    let master = home.pool(watch).unwrap().master;
    let member = home.hosts(watch).unwrap().into_iter().find(|host| host.reference != master).unwrap();
    let port = simulator.address().port();
    let other = xapi(&format!("http://{}:{port}", member.address), Some(simulator.password()), no_trust());
    assert_eq!(other.pool(watch).unwrap().master, master);
    assert!(other.warnings().iter().any(|w| w.contains("member of its pool")));
    home.act(&Verb::SetMaster(member.reference.clone()), watch).unwrap();
    let now = |xapi: &Xapi| xapi.pool(watch).unwrap().master;
    assert_eq!((now(&home), now(&other)), (member.reference.clone(), member.reference));
}

#[test]
fn troubles_of_a_pool_are_told_in_its_words() {
    let simulator = simulator("guests=1");
    let xapi = simulated(&simulator);
    let cancel = Cancel::new();
    let watch = Watch::silent(&cancel, LONG);
    let guest = xapi.guests(watch).unwrap().remove(0).reference;
    for (word, kind, blame) in [
        ("SR_FULL", Kind::Refused, Blame::Lab),
        ("HOST_OFFLINE", Kind::Unreachable, Blame::Lab),
        ("LICENCE_RESTRICTION", Kind::Unsupported, Blame::Lab),
        ("SR_BACKEND_FAILURE_4711", Kind::Refused, Blame::Product),
    ] {
        xapi.call("simulator.trouble", &[json!(format!("fail:VM.clean_reboot={word}"))], watch).unwrap();
        let error = xapi.act(&Verb::CleanReboot(guest.clone()), watch).unwrap_err();
        assert_eq!((error.kind, error.blame), (kind, blame), "{error:?}");
        assert!(error.what.contains(word) && error.what.contains("VM.clean_reboot"), "{error:?}");
    }
    xapi.act(&Verb::CleanReboot(guest.clone()), watch).unwrap();
    // The answer is lost: it may have happened, and is not asked for again.
    xapi.call("simulator.trouble", &[json!("drop:VM.set_name_label")], watch).unwrap();
    let change = GuestChange { name: Some("renamed".into()), ..GuestChange::default() };
    let error = xapi.configure(&guest, &change, watch).unwrap_err();
    assert!(error.kind == Kind::Unreachable && error.what.contains("may have happened"));
    assert_eq!(xapi.guest(&guest, watch).unwrap().name, "renamed");
}

#[test]
fn what_hangs_is_left_at_once_and_cancelled_there() {
    let simulator = simulator("guests=1");
    let xapi = simulated(&simulator);
    let cancel = Cancel::new();
    let watch = Watch::silent(&cancel, LONG);
    let guest = xapi.guests(watch).unwrap().remove(0).reference;
    let hang = || drop(xapi.call("simulator.trouble", &[json!("delay:VM.clean_shutdown=1h")], watch).unwrap());
    hang();
    let error = xapi.act(&Verb::CleanShutdown(guest.clone()), Watch::silent(&cancel, Duration::from_millis(300))).unwrap_err();
    assert!(error.kind == Kind::Timeout && error.what.contains("`VM.clean_shutdown` did not end within 300ms"), "{error:?}");
    hang();
    let run = Cancel::new();
    let left = std::thread::scope(|scope| {
        let work = scope.spawn(|| xapi.act(&Verb::CleanShutdown(guest.clone()), Watch::silent(&run, LONG)));
        Cancel::new().sleep(Duration::from_millis(200)).unwrap();
        let begun = Instant::now();
        run.raise(xenrt::time::Stop::User);
        assert_eq!(work.join().unwrap().unwrap_err().kind, Kind::Cancelled);
        begun.elapsed()
    });
    assert!(left < Duration::from_secs(2), "{left:?}");
    // Nothing of it is left: the guest can be asked again.
    xapi.act(&Verb::HardShutdown(guest), watch).unwrap();
    assert_eq!(xapi.find("task", &[], watch).unwrap(), Vec::<serde_json::Value>::new());
}
