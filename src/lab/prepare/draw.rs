//! From a topology to its graph: which steps there are, and what each needs.

use super::graph::{Graph, State, Step};
use super::host::{host_names, left_alone, machine, pool_names};
use super::task::{ISOS, Machine, Part, SHARED, Task, VmTask, shown};
use crate::sequence::topology::{
    Addressing, Contents, Host, Image, Machine as Hardware, Network, Nic, Pool, Roles, Topology, Vm, Wire,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of a topology is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Whether hosts are prepared too, with their networks, storage and pools (not with `--nohostprepare`).
    pub hosts: bool,
    /// Whether the site has installation images.
    pub has_isos: bool,
}

impl Graph {
    /// The steps of a topology. Nobody has looked yet what there is.
    pub fn of(topology: &Topology, scope: Scope) -> Graph {
        let mut drawing = Drawing { scope, graph: Graph::default(), numbers: BTreeMap::new() };
        for pool in &topology.pools {
            drawing.pool(pool, topology);
        }
        for host in &topology.hosts {
            drawing.host(host, topology);
        }
        for name in topology.vlans.iter().filter(|_| topology.all_hosts().next().is_none()) {
            drawing.refuse(
                format!("network {name}"),
                &format!("the private network {name}"),
                "ask for a host that has it",
                &[],
                Vec::new(),
            );
        }
        drawing.shared(topology);
        drawing.cloud(topology);
        drawing.graph
    }
}

/// A pool, or a host of its own, whose storage and networks are being drawn.
struct Ground {
    name: String,
    master: Machine,
    members: Vec<Machine>,
    /// What names a testcase may have for it.
    names: Vec<String>,
    /// The step of each of its machines, and of those that join.
    hosts: BTreeMap<Machine, usize>,
    joins: BTreeMap<Machine, usize>,
    networks: BTreeMap<String, Vec<usize>>,
    storage: BTreeMap<String, usize>,
    default: Option<usize>,
}

impl Ground {
    /// What must be before anything is made on a machine of it: the machine. And what is waited for: that it has joined, or not.
    fn of(&self, machine: &Machine) -> (Vec<usize>, Vec<usize>) {
        let host = self.hosts.get(machine).copied().into_iter().collect();
        if *machine == self.master { (host, self.joins.values().copied().collect()) } else { (self.member(machine), Vec::new()) }
    }

    fn member(&self, machine: &Machine) -> Vec<usize> {
        self.joins.get(machine).or(self.hosts.get(machine)).copied().into_iter().collect()
    }
}

struct Drawing {
    scope: Scope,
    graph: Graph,
    /// How much storage of each type there is so far: each takes a LUN of its own.
    numbers: BTreeMap<String, usize>,
}

impl Drawing {
    fn add(&mut self, id: String, what: String, task: Task, serves: &[String], needs: Vec<usize>) -> usize {
        let safe_to_retry = is_safe_to_retry(&task);
        let serves = serves.to_vec();
        self.graph.steps.push(Step { id, what, task, serves, needs, after: Vec::new(), state: State::Unknown, safe_to_retry });
        self.graph.steps.len() - 1
    }

    fn refuse(&mut self, id: String, what: &str, help: &str, serves: &[String], needs: Vec<usize>) -> usize {
        let task = Task::Refused { what: what.into(), help: help.into() };
        let said = format!("{what}: not possible");
        self.add(id, said, task, serves, needs)
    }

    fn pool(&mut self, pool: &Pool, topology: &Topology) {
        let mut ground = self.ground(&pool.name, &pool.master, pool.hosts.iter(), pool_names(pool));
        if pool.ssl {
            self.graph.notes.push(format!("pool {}: how its hosts talk (ssl) is left as it is", pool.name));
        }
        self.joins(pool, &mut ground);
        self.networks(&pool.contents, &ground.members.clone(), &mut ground, topology);
        for host in &pool.hosts {
            self.networks(&host.contents, &[machine(host)], &mut ground, topology);
        }
        self.isos(pool.hosts.iter().any(|host| host.isos), &mut ground);
        self.storage(&pool.contents, &mut ground);
        for host in &pool.hosts {
            self.storage(&host.contents, &mut ground);
        }
        self.vms(&pool.contents, None, &ground);
        for host in &pool.hosts {
            self.vms(&host.contents, Some(machine(host)), &ground);
        }
    }

    fn host(&mut self, host: &Host, topology: &Topology) {
        let mut ground = self.ground(&host.name, &host.name, std::iter::once(host), Vec::new());
        self.networks(&host.contents, &ground.members.clone(), &mut ground, topology);
        self.isos(host.isos, &mut ground);
        self.storage(&host.contents, &mut ground);
        self.vms(&host.contents, Some(machine(host)), &ground);
    }

    /// The hosts themselves.
    fn ground<'h>(&mut self, name: &str, master: &str, hosts: impl Iterator<Item = &'h Host>, names: Vec<String>) -> Ground {
        let mut ground = Ground {
            name: name.into(),
            master: Machine::from(""),
            members: Vec::new(),
            names,
            hosts: BTreeMap::new(),
            joins: BTreeMap::new(),
            networks: BTreeMap::new(),
            storage: BTreeMap::new(),
            default: None,
        };
        for host in hosts {
            let own = machine(host);
            if host.name == master || ground.members.is_empty() {
                ground.master = own.clone();
            }
            let step = self.attach(host, &own);
            ground.hosts.insert(own.clone(), step);
            ground.names.extend(host_names(host));
            ground.members.push(own);
        }
        ground
    }

    fn attach(&mut self, host: &Host, own: &Machine) -> usize {
        let (id, serves) = (format!("host {}", host.name), host_names(host));
        if let Hardware::Nested(nested) = &host.machine {
            let what = format!("a VM on RESOURCE_HOST_{} that plays the host {}", nested.container, host.name);
            return self.refuse(id, &what, "install it by hand, and give it with --host", &serves, Vec::new());
        }
        if !["xenserver", "oss"].contains(&host.product_type.as_str()) {
            let what = format!("a host of the product {}", host.product_type);
            return self.refuse(id, &what, "only xenserver hosts can be prepared; give --noprepare", &serves, Vec::new());
        }
        let left: Vec<&str> = left_alone(host);
        if !left.is_empty() && self.scope.hosts {
            self.graph.notes.push(format!("host {}: as it is, without a look at {}", host.name, left.join(", ")));
        }
        self.add(id, format!("attach {own}"), Task::Host(own.clone()), &serves, Vec::new())
    }

    /// One joins after another, as their pool has it.
    fn joins(&mut self, pool: &Pool, ground: &mut Ground) {
        let mut last = None;
        for host in &pool.hosts {
            let own = machine(host);
            if own == ground.master {
                continue;
            }
            let needs = [&ground.master, &own].into_iter().filter_map(|machine| ground.hosts.get(machine)).copied().collect();
            let task = Task::Join { machine: own.clone(), master: ground.master.clone() };
            let id = format!("join {}/{}", ground.name, host.name);
            let serves: Vec<String> = host_names(host).into_iter().chain(pool_names(pool)).collect();
            let step = self.add(id, format!("{} joins the pool of {}", host.name, pool.master), task, &serves, needs);
            self.graph.steps[step].after.extend(last);
            ground.joins.insert(own, step);
            last = Some(step);
        }
        let needs = ground.members.iter().flat_map(|member| ground.member(member)).collect();
        let task = Task::Pool { master: ground.master.clone(), members: ground.members.clone() };
        self.add(
            format!("pool {}", ground.name),
            format!("the pool {} of {}", ground.name, count(pool.hosts.len(), "host")),
            task,
            &pool_names(pool),
            needs,
        );
    }

    fn networks(&mut self, contents: &Contents, on: &[Machine], ground: &mut Ground, topology: &Topology) {
        if !self.scope.hosts {
            return;
        }
        for bridge in &contents.bridges {
            let (needs, after) = ground.of(&ground.master);
            let task = Task::Network { at: ground.master.clone(), name: bridge.name.clone() };
            let id = format!("network {}/{}", ground.name, bridge.name);
            let step = self.add(id, format!("make the internal network {}", bridge.name), task, &ground.names.clone(), needs);
            self.graph.steps[step].after = after;
            ground.networks.entry(bridge.name.clone()).or_default().push(step);
        }
        if let Some(form) = &contents.network {
            let form = Arc::new(form.clone());
            on.iter().for_each(|machine| self.form(&form, machine, ground));
        }
        self.private(topology, on, ground);
    }

    /// Private networks, on the primary NIC of each machine.
    fn private(&mut self, topology: &Topology, on: &[Machine], ground: &mut Ground) {
        for name in topology.vlans.iter().filter(|name| !ground.networks.contains_key(*name)).collect::<Vec<_>>() {
            for machine in on {
                let vlan = crate::sequence::topology::Vlan { network: name.clone(), name: name.clone(), roles: Roles::default() };
                let task = Task::Vlan { at: machine.clone(), form: None, index: 0, vlan: Arc::new(vlan) };
                let id = format!("network {}/{name} on {machine}", ground.name);
                let step =
                    self.add(id, format!("make the private network {name}"), task, &ground.names.clone(), ground.member(machine));
                ground.networks.entry(name.clone()).or_default().push(step);
            }
        }
    }

    /// The network of one machine.
    fn form(&mut self, form: &Arc<Network>, on: &Machine, ground: &mut Ground) {
        if let Some(controller) = &form.controller {
            let what = format!("the VM {controller} as the switch controller");
            self.refuse(
                format!("controller {}/{on}", ground.name),
                &what,
                "take controller=\"…\" out of NETWORK",
                &ground.names.clone(),
                Vec::new(),
            );
        }
        let serves: Vec<String> = ground.names.clone();
        let (mut addresses, mut managed) = (Vec::new(), false);
        // NICs are given out one after the other.
        let mut last: Option<usize> = None;
        for (index, physical) in form.physical.iter().enumerate() {
            let mut needs = ground.member(on);
            needs.extend(last);
            let what = match physical.nics.len() {
                1 => format!("the NIC of {on} on {} is the network {}", physical.network, physical.name),
                nics => format!("a bond of {nics} NICs of {on} is the network {}", physical.name),
            };
            let task = Task::Wire { at: on.clone(), form: form.clone(), index };
            let wire = self.add(format!("network {}/{} on {on}", ground.name, physical.name), what, task, &serves, needs);
            last = Some(wire);
            for name in [&physical.name, &physical.network] {
                ground.networks.entry(name.clone()).or_default().push(wire);
            }
            let mut carried = vec![(physical.name.clone(), &physical.roles, wire)];
            for vlan in &physical.vlans {
                let task = Task::Vlan { at: on.clone(), form: Some(form.clone()), index, vlan: Arc::new(vlan.clone()) };
                let what = format!("a VLAN of {on} is the network {}", vlan.name);
                let step = self.add(format!("network {}/{} on {on}", ground.name, vlan.name), what, task, &serves, vec![wire]);
                ground.networks.entry(vlan.name.clone()).or_default().push(step);
                carried.push((vlan.name.clone(), &vlan.roles, step));
            }
            for (network, roles, over) in carried {
                let Some(addressing) = roles.management.or(roles.storage) else { continue };
                let is_management = roles.management.is_some() && !managed;
                managed |= is_management;
                let word = if addressing == Addressing::Dhcp { "an address by DHCP" } else { "a static address" };
                let what = format!("{on} has {word} on {network}{}", if is_management { ", and is managed there" } else { "" });
                let task = Task::Address {
                    at: on.clone(),
                    network: network.clone(),
                    form: form.clone(),
                    index,
                    addressing,
                    is_management,
                };
                addresses.push(self.add(format!("address {on}/{network}"), what, task, &serves, vec![over]));
            }
        }
        let needs: Vec<usize> = last.into_iter().chain(addresses).collect();
        let task = Task::Bare { at: on.clone(), form: form.clone() };
        self.add(format!("address {on}/others"), format!("{on} has no address elsewhere"), task, &serves, needs);
    }

    fn isos(&mut self, is_asked: bool, ground: &mut Ground) {
        if is_asked && self.scope.hosts && self.scope.has_isos {
            let (needs, after) = ground.of(&ground.master);
            let task = Task::Isos { at: ground.master.clone() };
            let step = self.add(
                format!("storage {}/{ISOS}", ground.name),
                format!("attach the SR {ISOS}"),
                task,
                &ground.names.clone(),
                needs,
            );
            self.graph.steps[step].after = after;
        }
    }

    fn storage(&mut self, contents: &Contents, ground: &mut Ground) {
        if !self.scope.hosts {
            return;
        }
        for storage in &contents.storage {
            let (mut needs, after) = ground.of(&ground.master);
            // What it is reached over; primary networks are there anyway.
            needs.extend(storage.network.iter().filter_map(|network| ground.networks.get(network)).flatten());
            let counted = self.numbers.entry(family(&storage.sort).to_string()).or_default();
            let number = std::mem::replace(counted, *counted + 1);
            let task = Task::Storage { at: ground.master.clone(), storage: Arc::new(storage.clone()), number };
            let id = format!("storage {}/{}", ground.name, storage.name);
            let step = self.add(id, format!("make the SR {} ({})", storage.name, storage.sort), task, &ground.names.clone(), needs);
            self.graph.steps[step].after = after;
            ground.storage.insert(storage.name.clone(), step);
            if storage.is_default {
                let task = Task::DefaultStorage { at: ground.master.clone(), name: storage.name.clone() };
                let id = format!("default storage {}", ground.name);
                let what = format!("{} is the default SR", storage.name);
                ground.default = Some(self.add(id, what, task, &ground.names.clone(), vec![step]));
            }
        }
    }

    fn vms(&mut self, contents: &Contents, on: Option<Machine>, ground: &Ground) {
        for vm in &contents.vms {
            let vm = Arc::new(vm.clone());
            let (mut needs, after) = ground.of(on.as_ref().unwrap_or(&ground.master));
            let named = vm.storage.as_ref().and_then(|name| ground.storage.get(name)).copied();
            needs.extend(named.or(ground.default.filter(|_| vm.storage.is_none())));
            self.vm(&vm, (&ground.master, on.as_ref()), (needs, after), &ground.networks);
        }
    }

    fn shared(&mut self, topology: &Topology) {
        let Some(first) = topology.shared.first() else { return };
        let machine = Machine::from(SHARED);
        let names = [SHARED.to_string()];
        let host = self.add(format!("host {SHARED}"), format!("attach {SHARED}"), Task::Host(machine.clone()), &names, Vec::new());
        debug_assert!(!first.name.is_empty());
        for vm in &topology.shared {
            self.vm(&Arc::new(vm.clone()), (&machine, Some(&machine)), (vec![host], Vec::new()), &BTreeMap::new());
        }
    }

    /// A VM, one thing after another.
    fn vm(
        &mut self,
        vm: &Arc<Vm>,
        (at, on): (&Machine, Option<&Machine>),
        (needs, after): (Vec<usize>, Vec<usize>),
        networks: &BTreeMap<String, Vec<usize>>,
    ) {
        let name = vm.display_name();
        let serves: Vec<String> = if name == vm.name { vec![name.clone()] } else { vec![vm.name.clone(), name.clone()] };
        let mut last: Option<usize> = None;
        for (id, what, part) in parts(vm) {
            let mut needed = last.map_or_else(|| needs.clone(), |last| vec![last]);
            if let Part::Interface(Nic::Virtual { network: Wire::Named(network), .. }) = &part {
                needed.extend(networks.get(network).into_iter().flatten());
            }
            let id = if id.is_empty() { format!("vm {name}") } else { format!("vm {name}/{id}") };
            if let Part::Interface(Nic::PassedThrough { .. }) = part {
                let help = "take sriov=\"yes\" out of the VM; this version passes no NICs through";
                last = Some(self.refuse(id, "a NIC that is passed through", help, &serves, needed));
                continue;
            }
            let task = Task::Vm(Box::new(VmTask { at: at.clone(), on: on.cloned(), vm: vm.clone(), part }));
            let is_first = last.is_none();
            let step = self.add(id, what, task, &serves, needed);
            if is_first {
                self.graph.steps[step].after.clone_from(&after);
            }
            last = Some(step);
        }
        for nic in &vm.nics {
            if let Nic::Virtual { device, ip: Some(ip), .. } = nic {
                let what = format!("{name} with the static address {ip}");
                let help = "take ip=\"…\" out, and set it inside with a <postinstall> or a <script>";
                self.refuse(format!("vm {name}/ip {device}"), &what, help, &serves, last.into_iter().collect());
            }
        }
    }

    fn cloud(&mut self, topology: &Topology) {
        let asked = [
            ("cloud", topology.cloud.is_some()),
            ("templates of a cloud", !topology.templates.is_empty()),
            ("instances of a cloud", !topology.instances.is_empty()),
            ("blueprints of a cloud", !topology.blueprints.is_empty()),
        ];
        for (what, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
            self.refuse(what.into(), what, "clouds are not prepared; give --noprepare when there is one", &[], Vec::new());
        }
    }
}

/// The parts of a VM in their order, each with the rest of its id and what is done.
fn parts(vm: &Vm) -> Vec<(String, String, Part)> {
    let name = vm.display_name();
    let from = match (&vm.image, &vm.distro) {
        (Some(Image { file, .. }), _) => format!("import {file} as {name}"),
        (None, Some(distro)) => format!("install {distro} as {name}"),
        (None, None) => format!("make {name}"),
    };
    let mut parts = vec![(String::new(), from, Part::Make)];
    for disk in &vm.disks {
        let what = format!("disk {} of {name}, {} GB", disk.device, disk.size);
        parts.push((format!("disk {}", disk.device), what, Part::Disk(disk.clone())));
    }
    for (number, nic) in vm.nics.iter().enumerate() {
        match nic {
            Nic::Virtual { device, network, .. } => {
                let on = match network {
                    Wire::Primary => "the primary network".to_string(),
                    Wire::Numbered(number) => format!("network {number}"),
                    Wire::Named(name) => name.clone(),
                };
                parts.push((
                    format!("interface {device}"),
                    format!("interface {device} of {name} on {on}"),
                    Part::Interface(nic.clone()),
                ));
            }
            Nic::PassedThrough { .. } => {
                parts.push((format!("interface passed {number}"), String::new(), Part::Interface(nic.clone())));
            }
        }
    }
    parts.push(("boot".into(), format!("boot {name}"), Part::Boot));
    for disk in vm.disks.iter().filter(|disk| disk.format) {
        parts.push((
            format!("format {}", disk.device),
            format!("a file system on disk {} of {name}", disk.device),
            Part::Format(disk.device),
        ));
    }
    for (number, step) in vm.steps.iter().enumerate().filter(|(_, step)| !step.converts()) {
        let shown = shown(step);
        parts.push((format!("then {}", number + 1), format!("{shown} on {name}"), Part::Then(number)));
    }
    if !vm.packages.is_empty() {
        parts.push(("packages".into(), format!("install {} on {name}", vm.packages.join(", ")), Part::Packages));
    }
    if vm.is_template() {
        parts.push(("convert".into(), format!("{name} becomes a template"), Part::Convert));
    }
    parts
}

/// Types of storage that take of the same LUNs.
fn family(sort: &str) -> &str {
    match sort {
        "lvmoiscsi" | "extoiscsi" => "iscsi",
        "fc" | "fcoe" => "fc",
        other => other,
    }
}

/// What a second attempt can do no harm to: each begins by looking at what the first has left.
fn is_safe_to_retry(task: &Task) -> bool {
    match task {
        Task::Join { .. } | Task::Refused { .. } => false,
        // What a person asked for by name may do anything.
        Task::Vm(task) => !matches!(task.part, Part::Then(_)),
        _ => true,
    }
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
