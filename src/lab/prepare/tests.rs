//! Preparations drawn and compared, without anything that exists.

use super::*;
use crate::sequence::topology::{Topology, read};
use crate::sequence::{Mode, Scope as Reading, Source, xml};
use crate::toolstack::{
    Addressing, Class, Disk, Guest, Host, MemoryLimits, Network, Nic, Plug, Pool, PowerState, Ref, Sr, Vif, Volume,
};
use crate::vars::Variables;
use std::collections::BTreeMap;

const ALL: Scope = Scope { hosts: true, has_isos: false };
const POOL: &str = r#"<pool id="0" name="lab"><host/><host id="1" alias="second"/>
    <storage type="nfs" name="Shared" default="true"/><bridge name="private"/>
    <vm name="web"><distro>debian12</distro><arch>x86-64</arch><vcpus>2</vcpus><memory>512</memory>
      <network device="0"/><network device="1" bridge="private"/><disk device="1" size="2" format="yes"/>
      <postinstall action="installDrivers"/><packages>fio</packages></vm></pool>"#;

fn variables(settings: &[(&str, &str)]) -> Variables {
    let site = [("EXTERNAL_NFS_SERVERS/a/ADDRESS", "nfs1"), ("EXTERNAL_NFS_SERVERS/a/BASE", "/e")];
    Variables::flags(&[&site, settings].concat())
}

fn topology(inside: &str) -> Topology {
    let text = format!("<prepare>{inside}</prepare>");
    let element = xml::read("x", &text).unwrap();
    let (mut variables, mut found) = (Variables::default(), Vec::new());
    let topology =
        read(&element, &BTreeMap::new(), &mut Reading::new(Mode::Strict, Source::new("x", text), &mut variables, &mut found));
    assert!(found.is_empty(), "{found:?}");
    topology
}

fn id(class: Class, id: &str) -> Ref {
    Ref::new(class, id)
}

fn host(name: &str) -> Host {
    Host {
        reference: id(Class::Host, name),
        uuid: format!("uuid-{name}"),
        name: name.into(),
        address: name.into(),
        hostname: name.into(),
        is_enabled: true,
        is_live: true,
        total_memory: 1 << 34,
        free_memory: 1 << 33,
        cpus: 4,
        software: BTreeMap::new(),
        suspend_sr: None,
        other_config: BTreeMap::new(),
    }
}

fn nic(host: &str, number: u32) -> Nic {
    Nic {
        reference: id(Class::Nic, &format!("{host}-eth{number}")),
        uuid: String::new(),
        host: id(Class::Host, host),
        network: id(Class::Network, &format!("net{number}")),
        device: format!("eth{number}"),
        mac: String::new(),
        mtu: 1500,
        is_physical: true,
        is_management: number == 0,
        is_attached: true,
        vlan: None,
        bond: None,
        members: Vec::new(),
        part_of: None,
        ip: None,
        addressing: if number == 0 { Addressing::Dhcp } else { Addressing::None },
        has_carrier: true,
    }
}

fn network(name: &str, number: &str) -> Network {
    Network {
        reference: id(Class::Network, number),
        uuid: String::new(),
        name: name.into(),
        bridge: number.replace("net", "xenbr"),
        mtu: 1500,
        nics: vec![id(Class::Nic, "some")],
        vifs: Vec::new(),
        other_config: BTreeMap::new(),
    }
}

fn guest(name: &str, is_template: bool, config: &[(&str, &str)]) -> Guest {
    let memory = MemoryLimits { static_min: 0, dynamic_min: 0, dynamic_max: 512 << 20, static_max: 512 << 20 };
    Guest {
        reference: id(Class::Guest, name),
        uuid: String::new(),
        name: name.into(),
        description: String::new(),
        state: PowerState::Down,
        host: None,
        affinity: None,
        is_template,
        domid: None,
        vcpus: 2,
        vcpus_max: 2,
        memory,
        memory_actual: None,
        is_hvm: true,
        inside: None,
        other_config: config.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect(),
        tags: Vec::new(),
        allowed: Vec::new(),
    }
}

fn sr(name: &str, kind: &str, attached: &[&str]) -> Sr {
    let plug = |host: &&str| Plug {
        reference: id(Class::Plug, host),
        host: id(Class::Host, host),
        is_attached: true,
        device: BTreeMap::new(),
    };
    Sr {
        reference: id(Class::Sr, name),
        uuid: String::new(),
        name: name.into(),
        kind: kind.into(),
        content: "user".into(),
        is_shared: true,
        size: 1 << 40,
        used: 0,
        allocated: 0,
        plugs: attached.iter().map(plug).collect(),
    }
}

/// A pool of these hosts, the first of which is the master.
fn existing(hosts: &[&str]) -> Existing {
    let pool = Pool {
        reference: id(Class::Pool, hosts[0]),
        uuid: format!("pool-{}", hosts[0]),
        name: String::new(),
        master: id(Class::Host, hosts[0]),
        default_sr: None,
        suspend_sr: None,
        is_ha_enabled: false,
    };
    Existing {
        pool,
        hosts: hosts.iter().map(|name| host(name)).collect(),
        srs: Vec::new(),
        networks: vec![network("Pool-wide network associated with eth0", "net0"), network("eth1", "net1"), network("eth2", "net2")],
        nics: hosts.iter().flat_map(|host| (0..3).map(|number| nic(host, number))).collect(),
        guests: Vec::new(),
        templates: vec![
            guest("xenrt-template-debian12-x86-64", true, &[]),
            guest("Rocky Linux 9", true, &[("default_template", "true")]),
            guest("Other install media", true, &[("default_template", "true")]),
        ],
        disks: BTreeMap::new(),
        vifs: BTreeMap::new(),
    }
}

/// Two hosts: of one pool, or each of its own.
fn inventory(estates: &[&[&str]]) -> Inventory {
    let mut inventory = Inventory::default();
    for hosts in estates {
        for name in *hosts {
            let machine = Machine::from(format!("RESOURCE_HOST_{}", inventory.machines.len()));
            let spot = Spot { estate: inventory.estates.len(), host: id(Class::Host, name) };
            inventory.machines.insert(machine, spot);
        }
        inventory.estates.push(existing(hosts));
    }
    inventory
}

fn compared(inside: &str, scope: Scope, inventory: &Inventory, settings: &[(&str, &str)]) -> Graph {
    let mut graph = Graph::of(&topology(inside), scope);
    graph.compare(inventory, Site::new(&variables(settings)));
    graph
}

/// Each step with what it needs and what there is of it.
fn shown(graph: &Graph) -> String {
    let ids = |places: &[usize]| places.iter().map(|at| graph.steps[*at].id.clone()).collect::<Vec<_>>().join(", ");
    let line = |(at, step): (usize, &Step)| {
        assert!(step.needs.iter().chain(&step.after).all(|need| *need < at), "{}", step.id);
        let needs = if step.needs.is_empty() { String::new() } else { format!(" < {}", ids(&step.needs)) };
        let after = if step.after.is_empty() { String::new() } else { format!(" after {}", ids(&step.after)) };
        let why = step.state.why().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{}: {}{why}{needs}{after}", step.id, step.state.word())
    };
    graph.steps.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_pool_of_two_hosts_that_are_alone_so_far() {
    let graph = compared(POOL, ALL, &inventory(&[&["h1"], &["h2"]]), &[]);
    insta::assert_snapshot!(shown(&graph), @"
    host RESOURCE_HOST_0: there
    host second: there
    join lab/second: missing < host RESOURCE_HOST_0, host second
    pool lab: missing < host RESOURCE_HOST_0, join lab/second
    network lab/private: missing < host RESOURCE_HOST_0 after join lab/second
    storage lab/Shared: missing < host RESOURCE_HOST_0 after join lab/second
    default storage lab: missing < storage lab/Shared
    vm web: missing < host RESOURCE_HOST_0, default storage lab after join lab/second
    vm web/disk 1: missing < vm web
    vm web/interface 0: missing < vm web/disk 1
    vm web/interface 1: missing < vm web/interface 0, network lab/private
    vm web/boot: missing < vm web/interface 1
    vm web/format 1: missing < vm web/boot
    vm web/then 1: missing < vm web/format 1
    vm web/packages: missing < vm web/then 1
    ");
    let again = Graph::of(&topology(POOL), ALL);
    assert_eq!(again.steps.iter().map(|s| &s.id).collect::<Vec<_>>(), graph.steps.iter().map(|s| &s.id).collect::<Vec<_>>());
}

/// Everything that [`POOL`] asks for.
fn prepared() -> Inventory {
    let mut inventory = inventory(&[&["h1", "h2"]]);
    let there = &mut inventory.estates[0];
    there.srs.push(sr("Shared", "nfs", &["h1", "h2"]));
    there.pool.default_sr = Some(id(Class::Sr, "Shared"));
    there.networks.push(Network { nics: Vec::new(), ..network("private", "net9") });
    let done = "booted\nformat 1\n1 installDrivers\npackages fio";
    let mut web = guest("web", false, &[(RUN, "r1"), (DONE, done), (DISTRO, "debian12")]);
    web.state = PowerState::Up;
    let volume = Volume {
        reference: id(Class::Volume, "v"),
        uuid: String::new(),
        name: String::new(),
        sr: id(Class::Sr, "Shared"),
        size: 2 << 30,
        used: 0,
        is_snapshot: false,
        is_read_only: false,
        kind: "user".into(),
    };
    let disk = Disk {
        reference: id(Class::Disk, "d"),
        uuid: String::new(),
        position: "1".into(),
        device: "xvdb".into(),
        is_cd: false,
        is_empty: false,
        is_attached: true,
        is_bootable: false,
        is_read_only: false,
        is_owned: true,
        volume: Some(volume),
    };
    let vif = |device: &str, network: &str| Vif {
        reference: id(Class::Vif, device),
        uuid: String::new(),
        device: device.into(),
        mac: String::new(),
        network: id(Class::Network, network),
        mtu: 1500,
        is_attached: true,
    };
    there.disks.insert(web.reference.clone(), vec![disk]);
    there.vifs.insert(web.reference.clone(), vec![vif("0", "net0"), vif("1", "net9")]);
    there.guests.push(web);
    inventory
}

#[test]
fn nothing_is_to_be_done_twice() {
    let graph = compared(POOL, ALL, &prepared(), &[]);
    assert_eq!(graph.open(), 0, "{}", shown(&graph));
    assert!(graph.steps.iter().all(|step| step.state == State::There), "{}", shown(&graph));
}

#[test]
fn what_differs_is_told_with_how() {
    type Change = fn(&mut Existing);
    let rows: &[(&str, Change, &str)] = &[
        ("storage lab/Shared", |e| e.srs[0].plugs.truncate(1), "differs: it is not attached to h2"),
        (
            "storage lab/Shared",
            |e| e.srs[0].kind = "lvm".into(),
            "impossible: there is an SR Shared of type lvm, and nfs is asked for",
        ),
        ("default storage lab", |e| e.pool.default_sr = None, "missing"),
        ("network lab/private", |e| e.networks.retain(|n| n.name != "private"), "missing"),
        ("vm web", |e| e.guests[0].vcpus_max = 4, "left as it is: it has 4 vCPUs, not 2"),
        ("vm web", |e| e.guests.clear(), "missing"),
        (
            "vm web",
            |e| drop(e.guests[0].other_config.insert(DISTRO.into(), "rocky9".into())),
            "impossible: web is rocky9, and debian12 is asked for",
        ),
        ("vm web/disk 1", |e| e.disks.values_mut().for_each(Vec::clear), "missing"),
        (
            "vm web/interface 1",
            |e| e.vifs.values_mut().for_each(|v| v[1].network = id(Class::Network, "net0")),
            "differs: it is on Pool-wide network associated with eth0",
        ),
        ("vm web/boot", |e| e.guests[0].state = PowerState::Down, "differs: it is DOWN"),
        ("vm web/then 1", |e| drop(e.guests[0].other_config.insert(DONE.into(), "booted".into())), "missing"),
        ("vm web/packages", |e| drop(e.guests[0].other_config.insert(DONE.into(), "booted\npackages x".into())), "missing"),
        // What somebody else has made is left alone.
        (
            "vm web/disk 1",
            |e| {
                e.guests[0].other_config.clear();
                e.disks.values_mut().for_each(Vec::clear);
            },
            "left as it is: web was not made by xrt",
        ),
        ("vm web/packages", |e| e.guests[0].other_config.clear(), "there"),
        ("vm web/boot", |e| e.guests[0].other_config.clear(), "there"),
    ];
    for (step, change, expected) in rows {
        let mut inventory = prepared();
        change(&mut inventory.estates[0]);
        let graph = compared(POOL, ALL, &inventory, &[]);
        let state = &graph.steps[graph.find(step).unwrap()].state;
        let told = state.why().map_or(state.word().to_string(), |why| format!("{}: {why}", state.word()));
        assert_eq!(told, *expected, "{step}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_next_step() {
    let inventory = inventory(&[&["h1"], &["h2", "h3"]]);
    for (inside, step, why) in [
        ("<host id='7'/>", "host RESOURCE_HOST_7", "this run has no machine RESOURCE_HOST_7"),
        (
            "<host container='0' vname='v'/>",
            "host vhost-v",
            "a VM on RESOURCE_HOST_0 that plays the host vhost-v cannot be prepared",
        ),
        ("<host productType='kvm'/>", "host RESOURCE_HOST_0", "a host of the product kvm cannot be prepared"),
        ("<pool><host/><host id='1'/></pool>", "join RESOURCE_POOL_0/RESOURCE_HOST_1", "h2 is in another pool of 2 hosts"),
        ("<host><storage type='netapp' name='n'/></host>", "storage RESOURCE_HOST_0/n", "storage of type netapp cannot be made"),
        ("<host><storage type='fc' name='n'/></host>", "storage RESOURCE_HOST_0/n", "the site does not say `FC_LUNS/lun1/SCSIID`"),
        ("<host><vm name='w'><distro>win10-x64</distro></vm></host>", "vm w", "there is no template to make w of (win10-x64)"),
        (
            "<host><NETWORK><PHYSICAL><NIC/><NIC/></PHYSICAL></NETWORK></host>",
            "network RESOURCE_HOST_0/NPRI on RESOURCE_HOST_0",
            "h1 (RESOURCE_HOST_0) has 1 unused NICs on NPRI, and NPRI asks for 2",
        ),
        (
            "<host><NETWORK><PHYSICAL><NIC/><VLAN/></PHYSICAL></NETWORK></host>",
            "network RESOURCE_HOST_0/VR01 on RESOURCE_HOST_0",
            "the site does not say `NETWORK_CONFIG/VLANS/VR01/ID`",
        ),
        ("<sharedhost><vm name='s'/></sharedhost>", "host SHARED_HOST", "this run has no machine SHARED_HOST"),
        (
            "<blueprint name='b' version='1' deploymentProfileTemplateName='d'><templateName>t</templateName></blueprint>",
            "blueprints of a cloud",
            "blueprints of a cloud cannot be prepared",
        ),
    ] {
        let graph = compared(inside, ALL, &inventory, &[]);
        let step = &graph.steps[graph.find(step).unwrap_or_else(|| panic!("{step}: {}", shown(&graph)))];
        let State::Impossible(told, help) = &step.state else { panic!("{}: {:?}", step.id, step.state) };
        assert_eq!(told, why);
        assert!(!help.is_empty(), "{told}");
    }
}

#[test]
fn networks_by_the_cabling_of_the_site() {
    let form = "<host><NETWORK><PHYSICAL network='NPRI' name='Management'><NIC/><NIC/><MANAGEMENT/></PHYSICAL>\
        <PHYSICAL network='NSEC' jumbo='yes'><NIC/><STORAGE mode='static'/><VLAN network='VR02' name='Tagged'><VMS/></VLAN></PHYSICAL></NETWORK>\
        <vm name='v'><network device='0' bridge='Tagged'/></vm></host>";
    let site = [
        ("NICS/NIC1/NETWORK", "NPRI"),
        ("NICS/NIC2/NETWORK", "NSEC"),
        ("NETWORK_CONFIG/VLANS/VR02/ID", "42"),
        ("ADDRESSES/NSEC", "10.0.0.5/24"),
    ];
    let mut inventory = inventory(&[&["h1"]]);
    insta::assert_snapshot!(shown(&compared(form, ALL, &inventory, &site)), @"
    host RESOURCE_HOST_0: there
    network RESOURCE_HOST_0/Management on RESOURCE_HOST_0: missing < host RESOURCE_HOST_0
    address RESOURCE_HOST_0/Management: missing < network RESOURCE_HOST_0/Management on RESOURCE_HOST_0
    network RESOURCE_HOST_0/NSEC on RESOURCE_HOST_0: differs (it is called eth2) < host RESOURCE_HOST_0, network RESOURCE_HOST_0/Management on RESOURCE_HOST_0
    network RESOURCE_HOST_0/Tagged on RESOURCE_HOST_0: missing < network RESOURCE_HOST_0/NSEC on RESOURCE_HOST_0
    address RESOURCE_HOST_0/NSEC: missing < network RESOURCE_HOST_0/NSEC on RESOURCE_HOST_0
    address RESOURCE_HOST_0/others: there < network RESOURCE_HOST_0/NSEC on RESOURCE_HOST_0, address RESOURCE_HOST_0/Management, address RESOURCE_HOST_0/NSEC
    vm v: missing < host RESOURCE_HOST_0
    vm v/interface 0: missing < vm v, network RESOURCE_HOST_0/Tagged on RESOURCE_HOST_0
    vm v/boot: missing < vm v/interface 0
    ");
    let there = &mut inventory.estates[0];
    let bond = Nic {
        reference: id(Class::Nic, "bond0"),
        device: "bond0".into(),
        is_physical: false,
        bond: Some(id(Class::Bond, "b")),
        members: vec![id(Class::Nic, "h1-eth0"), id(Class::Nic, "h1-eth1")],
        network: id(Class::Network, "net3"),
        ..nic("h1", 0)
    };
    there.nics[0].is_management = false;
    there.nics[0].part_of = bond.bond.clone();
    there.nics[1].part_of.clone_from(&bond.bond);
    there.nics[2].addressing = Addressing::Static;
    there.nics[2].ip = "10.0.0.5".parse().ok();
    let tagged = Nic {
        reference: id(Class::Nic, "v"),
        is_physical: false,
        vlan: Some(42),
        network: id(Class::Network, "net4"),
        ..nic("h1", 2)
    };
    there.nics.extend([bond, tagged]);
    there.networks.extend([network("Management", "net3"), network("Tagged", "net4")]);
    there.networks[2].name = "NSEC".into();
    there.networks[2].mtu = 9000;
    let graph = compared(form, ALL, &inventory, &site);
    let open: Vec<&str> = graph.steps.iter().filter(|step| step.state.is_open()).map(|step| step.id.as_str()).collect();
    assert_eq!(open, ["vm v", "vm v/interface 0", "vm v/boot"], "{}", shown(&graph));
}

#[test]
fn without_hosts_only_vms_are_prepared() {
    let graph = compared(POOL, Scope { hosts: false, ..ALL }, &prepared(), &[]);
    assert!(graph.steps.iter().all(|step| !step.id.contains("storage") && !step.id.contains("network")), "{}", shown(&graph));
    assert!(graph.find("vm web/boot").is_some());
}

#[test]
fn only_what_stands_on_a_step_is_stopped_by_it() {
    let inside = format!("{POOL}<host id='2'><vm name='alone'/></host>");
    let graph = Graph::of(&topology(&inside), ALL);
    for (failed, names, stopped) in [
        ("vm web/disk 1", &["web"][..], Some("vm web/disk 1")),
        ("vm web/disk 1", &["alone"], None),
        ("vm web/disk 1", &["lab"], None),
        ("vm web/disk 1", &["RESOURCE_HOST_0"], None),
        ("vm web/disk 1", &[], Some("vm web/disk 1")),
        ("storage lab/Shared", &["web"], Some("storage lab/Shared")),
        ("storage lab/Shared", &["second"], Some("storage lab/Shared")),
        ("storage lab/Shared", &["RESOURCE_HOST_2"], None),
        ("storage lab/Shared", &["alone"], None),
        ("join lab/second", &["RESOURCE_HOST_1"], Some("join lab/second")),
        ("join lab/second", &["lab"], Some("join lab/second")),
        ("join lab/second", &["web"], None),
        ("host RESOURCE_HOST_0", &["web"], Some("host RESOURCE_HOST_0")),
        ("host RESOURCE_HOST_0", &["alone"], None),
        ("host RESOURCE_HOST_2", &["web", "alone"], Some("host RESOURCE_HOST_2")),
    ] {
        let at = graph.find(failed).unwrap();
        let found = graph.in_the_way(names, &|step| step == at).map(|at| graph.steps[at].id.as_str());
        assert_eq!(found, stopped, "{failed} for {names:?}");
    }
    assert!(graph.knows("second") && graph.knows("RESOURCE_POOL_0") && !graph.knows("other"));
}

#[test]
fn what_is_only_done_by_an_installation_is_told() {
    let graph = Graph::of(&topology("<host productVersion='Dundee' license='yes' iommu='yes'/>"), ALL);
    assert_eq!(graph.notes, ["host RESOURCE_HOST_0: as it is, without a look at its version, its licence, its IOMMU"]);
}
