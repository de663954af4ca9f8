//! What a `<prepare>` asks for: pools, hosts, storage, networks and VMs.
//!
//! Never true here: that something in it is ignored without a word, or that a text of it is evaluated.
//!
//! To add an attribute: a field of its noun, its name in the noun's `Form`, and the line that reads it; its name in YAML is a row in
//! `keys.rs`. To add a type of storage: a row in `storage.rs`.
//!
//! # Source
//! User guide, "Provisioning Machines", and the forms that existing sequence files have.

mod call;
mod cloud;
mod contents;
mod form;
mod host;
mod keys;
mod lines;
mod network;
mod pool;
mod reading;
mod storage;
mod vm;

pub use call::{Call, CallArgument};
pub use cloud::{Blueprint, Instance};
pub use contents::Contents;
pub use host::{EveryHost, Host, License, Machine, Nested};
pub use network::{Addressing, Bridge, Network, Physical, Roles, Vlan};
pub use pool::Pool;
pub use storage::{Storage, StorageOption};
pub use vm::{Disk, Image, Nic, Vm, VmStep, Wire};

use super::scope::{Form, Scope};
use super::tree::ScriptText;
use super::xml::Element;
use contents::Names;
use reading::Reading;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Everything that is to be there before the tests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Topology {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
    /// Hosts of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// Its rule for every machine of the run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<EveryHost>,
    /// VMs on the site's shared host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Vm>,
    /// Private networks, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<String>,
    /// Zones of a cloud, in the words of its installer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Map<String, Value>>,
    /// Templates of a cloud.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<Instance>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<Blueprint>,
}

const CHILDREN: &[&str] = &["host", "pool", "allhosts", "sharedhost", "vlan", "cloud", "template", "instance", "blueprint"];
const PREPARE: Form = Form { attributes: &[], children: Some(CHILDREN), text: true };
const SHAREDHOST: Form = Form { attributes: &[], children: Some(&["vm"]), text: false };
const VLAN: Form = Form { attributes: &["name"], children: Some(&[]), text: false };

/// Reads a `prepare` or `preprepare`, as elements or as YAML. `scripts` are those that the sequence has loaded before it.
pub fn read(element: &Element, scripts: &BTreeMap<String, ScriptText>, scope: &mut Scope<'_>) -> Topology {
    scope.check(element, &PREPARE);
    if element.text.is_empty() {
        return Topology::of(element, &mut Reading::new(scope, scripts));
    }
    for child in &element.children {
        let help = Some("write all of it as elements, or all of it as YAML".to_string());
        scope.wrong(
            "two-forms",
            child.at,
            format!("text beside it says what to prepare, so `<{}>` means nothing", child.name),
            help,
        );
    }
    match form::elements(element, scope) {
        Some(made) => Topology::of(&made, &mut Reading::new(scope, scripts)),
        None => Topology::default(),
    }
}

impl Topology {
    fn of(element: &Element, reading: &mut Reading<'_, '_>) -> Topology {
        let of = |name: &'static str| element.children.iter().filter(move |child| child.name == name);
        let mut topology = Topology::default();
        for child in of("vlan") {
            reading.scope.check(child, &VLAN);
            if let Some(name) = reading.scope.required(child, "name") {
                reading.take("VLAN", &name, child.place_of("name"));
                reading.vlans.push(name);
            }
        }
        topology.vlans.clone_from(&reading.vlans);
        for child in &element.children {
            match child.name.as_str() {
                "pool" => topology.pools.push(Pool::read(child, reading)),
                "host" => {
                    let names = Names::of(child, reading);
                    topology.hosts.push(Host::read(child, &names, reading));
                }
                "allhosts" => {
                    let names = Names::of(child, reading);
                    let (every, hosts) = Host::read_all(child, &names, reading);
                    topology.every = Some(every);
                    topology.hosts.extend(hosts);
                }
                "sharedhost" => topology.shared.extend(shared(child, reading)),
                "template" => topology.templates.extend(Instance::read_template(child, reading)),
                "instance" => topology.instances.extend(Instance::read(child, reading)),
                "blueprint" => topology.blueprints.extend(Blueprint::read(child, reading)),
                _ => {}
            }
        }
        // Last, as it takes the machines that are left.
        if let Some(child) = reading.only(element, "cloud") {
            topology.cloud = cloud::read(child, &mut topology, reading);
        }
        reading.settle_references();
        topology
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Topology::default()
    }

    /// All hosts, those of pools first.
    pub fn all_hosts(&self) -> impl Iterator<Item = &Host> {
        self.pools.iter().flat_map(|pool| &pool.hosts).chain(&self.hosts)
    }

    /// All VMs, those of pools first.
    pub fn all_vms(&self) -> impl Iterator<Item = &Vm> {
        let pools = self.pools.iter().flat_map(|pool| &pool.contents.vms);
        pools.chain(self.all_hosts().flat_map(|host| &host.contents.vms)).chain(&self.shared)
    }

    /// What has to be there before it, when the sequence does not say: the machines that its nested hosts run on.
    pub fn containers(&self, variables: &crate::vars::Variables) -> Option<Topology> {
        let mut hosts: Vec<Host> = Vec::new();
        let product = variables.lookup("PRODUCT_TYPE").ok().flatten().unwrap_or_else(|| host::USUAL_PRODUCT.to_string());
        for nested in self.all_hosts().filter_map(|host| host.machine.nested()) {
            let machine = Machine::Numbered(nested.container);
            if hosts.iter().all(|host| host.machine != machine) {
                hosts.push(Host::usual(machine, product.clone()));
            }
        }
        (!hosts.is_empty()).then(|| Topology { hosts, ..Topology::default() })
    }

    /// The first machine that no host is on.
    fn free_machine(&self, reading: &Reading<'_, '_>) -> u32 {
        (0..u32::MAX).find(|number| !reading.is_taken("host", &Machine::Numbered(*number).name())).unwrap_or(u32::MAX)
    }

    fn free_pool(&self) -> u32 {
        (0..u32::MAX).find(|id| self.pools.iter().all(|pool| pool.id != *id)).unwrap_or(u32::MAX)
    }
}

/// The VMs of a `sharedhost`: several jobs have theirs there, so their display names end in the job's number.
fn shared(element: &Element, reading: &mut Reading<'_, '_>) -> Vec<Vm> {
    reading.scope.check(element, &SHAREDHOST);
    let suffix = reading.variable("JOBID", element.at);
    let vms = element.children.iter().filter(|child| child.name == "vm");
    vms.filter_map(|child| Some(Vm { suffix: suffix.clone(), ..Vm::read(child, None, reading)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;
    use crate::sequence::scope::Mode;
    use crate::sequence::source::Source;
    use crate::sequence::xml;
    use crate::vars::Variables;

    /// What the inside of a `<prepare>` comes to, and what is told of it.
    fn read_with(inside: &str, settings: &[(&str, &str)], mode: Mode) -> (Topology, Vec<Diagnostic>) {
        let text = format!("<prepare>{inside}</prepare>");
        let element = xml::read("x", &text).unwrap();
        let (mut variables, mut found) = (Variables::flags(settings), Vec::new());
        let mut scope = Scope::new(mode, Source::new("x", text), &mut variables, &mut found);
        scope.set_param("G", "g 1".into());
        let script = ScriptText { language: "cmd".into(), text: "dir".into() };
        let topology = read(&element, &[("setup".to_string(), script)].into(), &mut scope);
        (topology, found)
    }

    fn told(found: &[Diagnostic]) -> Vec<String> {
        let shown = |d: &Diagnostic| match &d.help {
            Some(help) => format!("{} / {help}", d.headline()),
            None => d.headline(),
        };
        found.iter().map(shown).collect()
    }

    #[track_caller]
    fn good(inside: &str, settings: &[(&str, &str)]) -> Topology {
        let (topology, found) = read_with(inside, settings, Mode::Strict);
        assert_eq!(told(&found), [""; 0], "{inside}");
        topology
    }

    #[track_caller]
    fn lines(inside: &str, settings: &[(&str, &str)]) -> String {
        good(inside, settings).lines().join("\n")
    }

    #[test]
    fn the_users_guide_is_true() {
        let text = lines(
            r#"<pool>
                 <host/><host id="1" alias="second"/>
                 <storage type="nfs" name="nfs1"/><storage type="lvmoiscsi" name="l"/><storage type="extoiscsi" name="e"/>
                 <bridge name="internal"/>
                 <vm name="win">
                   <distro>win7-x64</distro><vcpus>2</vcpus><memory>1024</memory><storage>nfs1</storage><arch>x86-64</arch>
                   <network device="0"/><network device="1" bridge="internal"/>
                   <disk device="1" size="10"/>
                   <postinstall action="installDrivers"/><script name="setup"/>
                 </vm>
               </pool>
               <pool id="7" name="named"><host id="2"/></pool>
               <host id="3" alias="alone"/>"#,
            &[],
        );
        insta::assert_snapshot!(text, @r#"
        pool RESOURCE_POOL_0: master RESOURCE_HOST_0
          host RESOURCE_HOST_0: master, xenserver
          host second: on RESOURCE_HOST_1, xenserver
          internal network internal
          storage nfs1: nfs, over NPRI
          storage l: lvmoiscsi
          storage e: extoiscsi
          VM win: win7-x64, x86-64, 2 vCPUs, 1024 MB, on nfs1
            interface 0: primary network
            interface 1: internal
            disk 1: 10 GB
            then: installDrivers, script setup
        pool named: master RESOURCE_HOST_2
          host RESOURCE_HOST_2: master, xenserver
        host alone: on RESOURCE_HOST_3, xenserver
        "#);
    }

    #[test]
    fn each_row_of_the_grammar_is_heeded() {
        let host = |attributes: &str| lines(&format!("<host {attributes}/>"), &[("INPUTDIR", "/in")]);
        for (attributes, expected) in [
            ("", "host RESOURCE_HOST_0: xenserver"),
            ("id='4'", "host RESOURCE_HOST_4: xenserver"),
            ("alias='a'", "host a: on RESOURCE_HOST_0, xenserver"),
            ("version='%INPUTDIR%'", "host RESOURCE_HOST_0: xenserver, from /in"),
            ("version='DEFAULT' productVersion='DEFAULT'", "host RESOURCE_HOST_0: xenserver"),
            ("productVersion='Dundee' productType='kvm'", "host RESOURCE_HOST_0: kvm Dundee"),
            ("installsr='ext'", "host RESOURCE_HOST_0: xenserver, local storage ext"),
            ("license='yes'", "host RESOURCE_HOST_0: xenserver, licensed"),
            ("license='0'", "host RESOURCE_HOST_0: xenserver, no licence"),
            ("license='free'", "host RESOURCE_HOST_0: xenserver, licence free"),
            ("license='FG Free'", "host RESOURCE_HOST_0: xenserver, licence FG Free"),
            ("defaultlicense='no'", "host RESOURCE_HOST_0: xenserver, licence from a server"),
            ("noisos='true'", "host RESOURCE_HOST_0: xenserver, no ISO storage"),
            ("diskCount='2'", "host RESOURCE_HOST_0: xenserver, 2 disks"),
            ("cpufreqgovernor='performance'", "host RESOURCE_HOST_0: xenserver, governor performance"),
            ("dhcp='no'", "host RESOURCE_HOST_0: xenserver, static address"),
            ("ipv6='autoconf' noipv4='yes'", "host RESOURCE_HOST_0: xenserver, IPv6 autoconf, no IPv4"),
            ("iommu='yes'", "host RESOURCE_HOST_0: xenserver, IOMMU"),
            ("suppackcds='a.iso'", "host RESOURCE_HOST_0: xenserver, supplemental packs a.iso"),
            ("default='yes'", "host RESOURCE_HOST_0: xenserver, RESOURCE_HOST_DEFAULT"),
            ("disablefw='yes'", "host RESOURCE_HOST_0: xenserver, no firewall"),
            (
                "container='1' vname='v' vcpus='4' vmemory='8192' vdisksize='100'",
                "host vhost-v: nested on RESOURCE_HOST_1 with 4 vCPUs, 8192 MB and a disk of 100 GB, xenserver",
            ),
            ("container='0'", "host vhost-nested0: nested on RESOURCE_HOST_0 with 2 vCPUs, 4096 MB and a disk of 50 GB, xenserver"),
        ] {
            assert_eq!(host(attributes), expected, "{attributes}");
        }
        let extra = good("<host extraConfig='{dc: x, n: 1}'/>", &[]).hosts[0].extra.clone();
        assert_eq!(Value::Object(extra), serde_json::json!({"dc": "x", "n": 1}));
        let nested = good("<host container='0' vname='v' vsr='s' vnetworks='NPRI, NSEC'/>", &[]);
        let Machine::Nested(nested) = &nested.hosts[0].machine else { panic!("nested") };
        assert_eq!((nested.storage.as_deref(), nested.networks.join(" ")), (Some("s"), "NPRI NSEC".to_string()));
    }

    #[test]
    fn variables_stand_for_what_is_not_said() {
        let settings = [
            ("PRODUCT_TYPE", "kvm"),
            ("INSTALL_SR_TYPE", "lvm"),
            ("OPTION_LIC_SKU", "gold"),
            ("CPUFREQ_GOVERNOR", "powersave"),
            ("DEFAULT_PV_DRIVERS", "yes"),
            ("JOBID", "500"),
            ("NO_SLB", "1"),
        ];
        let inside = "<host><NETWORK><PHYSICAL><NIC/><NIC/></PHYSICAL></NETWORK>\
            <vm name='a'/><vm name='b'><file>b.xva</file></vm><template name='t'/></host>\
            <host id='1' installsr='ext' license='no'/><sharedhost><vm name='s'/></sharedhost>";
        insta::assert_snapshot!(lines(inside, &settings), @r#"
        host RESOURCE_HOST_0: kvm, local storage lvm, licence gold, governor powersave
          network
            NPRI: 2 NICs, bond active-backup
          VM a
            then: installDrivers
          VM b: from b.xva
          template t
            then: installDrivers
        host RESOURCE_HOST_1: kvm, local storage ext, no licence, governor powersave
        shared host
          VM s-500
            then: installDrivers
        "#);
    }

    #[test]
    fn all_hosts_end_at_the_first_gap() {
        let machines = [("RESOURCE_HOST_0", "a"), ("RESOURCE_HOST_1", "b"), ("RESOURCE_HOST_2", "c"), ("RESOURCE_HOST_4", "e")];
        let names = |inside: &str| good(inside, &machines).all_hosts().map(|h| h.name.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(names("<allhosts/>"), "RESOURCE_HOST_0 RESOURCE_HOST_1 RESOURCE_HOST_2");
        assert_eq!(names("<allhosts start='1'/>"), "RESOURCE_HOST_1 RESOURCE_HOST_2");
        assert_eq!(names("<allhosts stop='1'/>"), "RESOURCE_HOST_0 RESOURCE_HOST_1");
        assert_eq!(names("<allhosts start='3'/>"), "");
        let pool = good("<pool><vm name='x'/><allhosts start='1' noisos='yes'/></pool>", &machines).pools.remove(0);
        assert_eq!((pool.master.as_str(), pool.hosts.len(), pool.hosts[1].isos), ("RESOURCE_HOST_1", 2, false));
        assert_eq!(
            lines("<pool><allhosts stop='3'/></pool>", &[]),
            "pool RESOURCE_POOL_0: master RESOURCE_HOST_0\n  every machine of the run from 0 to 3: none is known: give them with --host"
        );
    }

    #[test]
    fn the_master_is_the_first_host_or_the_one_that_is_named() {
        let master = |inside: &str| good(inside, &[]).pools[0].master.clone();
        assert_eq!(master("<pool><storage type='nfs' name='n'/><host id='3'/><host id='4'/></pool>"), "RESOURCE_HOST_3");
        assert_eq!(master("<pool master='second'><host/><host id='1' alias='second'/></pool>"), "second");
        assert_eq!(master("<pool master='RESOURCE_HOST_1'><host/><host id='1' alias='second'/></pool>"), "second");
        assert_eq!(master("<pool><host container='0' vname='x'/></pool>"), "vhost-x");
    }

    #[test]
    fn nested_hosts_need_their_containers_before() {
        let topology =
            good("<pool><host container='2' vname='a'/><host container='2' vname='b'/></pool><host container='0' vname='c'/>", &[]);
        let before = topology.containers(&Variables::default()).unwrap();
        assert_eq!(before.lines().join("\n"), "host RESOURCE_HOST_2: xenserver\nhost RESOURCE_HOST_0: xenserver");
        assert_eq!(good("<host/>", &[]).containers(&Variables::default()), None);
    }

    #[test]
    fn storage_has_types_and_options() {
        let storage = |attributes: &str| lines(&format!("<host><storage name='s' {attributes}/></host>"), &[]);
        for (attributes, expected) in [
            ("type='nfs' default='yes'", "nfs, default, over NPRI"),
            ("type='nfs' default='true' network='NSEC'", "nfs, default, over NSEC"),
            (
                "type='nfs' options='jumbo,nosubdir, filesr,v4'",
                "nfs, jumbo frames, no directory of its own, files, version 4, over NPRI",
            ),
            ("type='nfs' options='host-2-sdb'", "nfs, from sdb of RESOURCE_HOST_2, over NPRI"),
            ("type='lvmoiscsi' options='thin,thin_init:5,thin_quan:1'", "lvmoiscsi, thin, 5 at first, 1 at a time"),
            (
                "type='lvmoiscsi' options='iet,jumbo,mpprdac,initiatorcount=4'",
                "lvmoiscsi, LUN from the controller, jumbo frames, MPP RDAC, 4 initiators",
            ),
            ("type='lvmoiscsi' options='ietvm' vmhost='h' size='20'", "lvmoiscsi, LUN from a VM, 20 GB, from a VM on h"),
            ("type='extoiscsi' options='jumbo'", "extoiscsi, jumbo frames"),
            ("type='fc' options='thin'", "fc, thin"),
            ("type='fcoe' blkbackpoolsize='3'", "fcoe"),
            ("type='smb' options='vm,cifsuser'", "smb, from a VM, as cifsuser"),
            ("type='equal' options='any thing'", "eql, any thing"),
            ("type='icvsmsmisfc'", "icvsmsmisfc"),
            ("type='btrfs' options='sdb'", "btrfs, sdb"),
        ] {
            assert_eq!(storage(attributes), format!("host RESOURCE_HOST_0: xenserver\n  storage s: {expected}"), "{attributes}");
        }
    }

    #[test]
    fn networks_are_read_as_written() {
        let text = lines(
            "<pool><host/><NETWORK controller='dvsc'>\
               <PHYSICAL><NIC/><NIC enum='2'/><MANAGEMENT mode='static'/><STORAGE mode='static'/>\
                 <VLAN network='VR02' name='tag'><STORAGE/><VMS/></VLAN><VLAN/></PHYSICAL>\
               <PHYSICAL network='NSEC' name='fast' jumbo='yes' speed='10G' bond-mode='lacp'><NIC/><NIC/><VMS/></PHYSICAL>\
             </NETWORK><vm name='dvsc'><network device='0' bridge='tag'/><network device='1' bridge='fast'/></vm></pool>",
            &[],
        );
        insta::assert_snapshot!(text, @r#"
        pool RESOURCE_POOL_0: master RESOURCE_HOST_0
          host RESOURCE_HOST_0: master, xenserver
          network: switch controller dvsc
            NPRI: 2 NICs (2), bond balance-slb, management at a static address, storage at a static address
              VLAN tag: on VR02, storage by DHCP, VMs
              VLAN VR01
            fast: on NSEC, 2 NICs, bond lacp, jumbo frames, 10G, VMs
          VM dvsc
            interface 0: tag
            interface 1: fast
        "#);
    }

    #[test]
    fn a_vm_has_everything_that_is_said_of_it() {
        let text = lines(
            "<vlan name='private'/><host><storage type='nfs' name='nfs1'/>\
             <vm name='${G}'><distro>debian70</distro><vcpus>4</vcpus><corespersocket>2</corespersocket><memory>512</memory>\
               <storage>Local storage</storage><arch>x86-64</arch>\
               <network device='0' ip='10.0.0.5'/><network device='1' bridge='private'/><network device='2' bridge='3'/>\
               <network device='3' bridge='NSEC'/><network sriov='yes' physdev='eth3'/>\
               <disk device='0' size='20'/><disk device='1' size='5' number='2' format='yes'/>\
               <postinstall action=\"snapshot(name='clean')\"/><script name='setup'/><postinstall action='shutdown()'/>\
               <file user='yes'>nfs://x/y.xva</file><bootparams>console=hvc0</bootparams>\
               <packages>gcc, make</packages><guestparams>nx=1,viridian=0</guestparams></vm>\
             <template name='t'><postinstall action='convertToTemplate'/></template>\
             <vmgroup basename='m' number='2'><distro>w</distro></vmgroup></host>",
            &[],
        );
        insta::assert_snapshot!(text, @r#"
        private network private
        host RESOURCE_HOST_0: xenserver
          storage nfs1: nfs, over NPRI
          VM g 1: debian70, from nfs://x/y.xva, x86-64, 4 vCPUs, 2 a socket, 512 MB, on Local storage, booted with console=hvc0
            interface 0: primary network, static 10.0.0.5
            interface 1: private
            interface 2: network 3
            interface 3: NSEC
            interface passed through: eth3
            disk 0: 20 GB
            disk 1: 5 GB, formatted
            disk 2: 5 GB, formatted
            platform: nx=1, viridian=0
            then: snapshot(name="clean"), script setup, shutdown
            packages: gcc, make
          template t
          VM m-0: w
          VM m-1: w
        "#);
    }

    /// As old files write it: with or without a `<storage>` of that name.
    #[test]
    fn a_vm_is_on_storage_that_is_asked_for_or_is_there_already() {
        let on = |storage: &str| {
            let inside = format!("<host><storage type='nfs' name='n'/><vm name='v'><storage>{storage}</storage></vm></host>");
            let (topology, found) = read_with(&inside, &[], Mode::Strict);
            (topology.hosts[0].contents.vms[0].storage.clone(), found.len())
        };
        for name in ["n", "Local storage", "Local storage on host1", "29a8d4ec-dd6f-4c42-9f8a-0f4a1c9bfe5d"] {
            assert_eq!(on(name), (Some(name.to_string()), 0), "{name}");
        }
        assert_eq!(on("DEFAULT"), (None, 0));
        for name in ["m", "29a8d4ec-dd6f-4c42-9f8a", "29a8d4ec-dd6f-4c42-9f8a-0f4a1c9bfe5x"] {
            assert_eq!(on(name), (Some(name.to_string()), 1), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_a_help() {
        let inside = r#"
<host id="x" licence="yes" installsr="xfs" noisos="maybe" vname="v"><vms/></host>
<host id="1"/><host id="1"/><host id="2" container="0"/>
<pool><storage type="extoscsi" name="s"/></pool>
<pool id="1" master="h9"><host id="3" alias="h8"/>
  <storage type="nfs"/><storage type="nfs" name="a" options="v5,host-x" default="yes"/><storage type="lvmoiscsi" name="a" default="1"/>
  <NETWORK controller="nobody"><PHYSICAL network="NPIR" name="%X%y%" bond-mode="lacp"><NIC/><MANAGEMENT/><STORAGE mode="static"/>
    <VLAN><MANAGEMENT mode="static"/></VLAN></PHYSICAL></NETWORK>
  <vm name="dup"><storage>b</storage><network/><network device="0" bridge="nett"/><network device="0" ip="here"/></vm>
  <vm name="dup"><vcpus>two</vcpus><vcpus>2</vcpus><memory/><disk device="0"/><disk device="1" size="5" number="0"/></vm>
  <vm><postinstall action="shutdown(now)"/><script name="setpu"/><guestparams>a</guestparams></vm>
  <vmgroup basename="g" number="99999"/>
</pool>
<template distro="d" installTools="perhaps"/><blueprint name="b"/><sharedhost><host/></sharedhost><vmm/>text"#;
        let (_, found) = read_with(inside.trim_end_matches("text"), &[], Mode::Strict);
        insta::assert_snapshot!(told(&found).join("\n"), @r#"
        x:14:99: error: there is no `<vmm>` in `<prepare>` [unknown-element] / there is: host, pool, allhosts, sharedhost, vlan, cloud, template, instance, blueprint
        x:2:14: error: `<host>` has no attribute `licence` [unknown-attribute] / did you mean `license`?
        x:2:69: error: there is no `<vms>` in `<host>` [unknown-element] / did you mean `vm`?
        x:2:66: error: `vname` is for a nested host, and this is none [useless] / give the number of the machine that it runs on: container="0"
        x:2:11: error: `id`: `x` is not a number [not-a-number] / write a whole number from 0 up
        x:2:39: error: `installsr` cannot be `xfs` [unknown-value] / there is: ext, lvm, no
        x:2:52: error: `noisos`: `maybe` is neither yes nor no [not-a-boolean] / write yes or no
        x:3:25: error: there is a second host `RESOURCE_HOST_1` [duplicate-name] / the first is in line 3
        x:3:39: warning: a nested host is no machine of its own: its `id` means nothing [useless]
        x:4:1: error: the pool `RESOURCE_POOL_0` has no host [empty] / give it <host id="0"/>, or <allhosts/> for every machine of the run
        x:4:22: error: there is no storage of type `extoscsi` [unknown-type] / did you mean `extoiscsi`?
        x:5:22: error: `master`: the pool has no host `h9` [unknown-name] / did you mean `h8`?
        x:6:3: error: `<storage>` needs an attribute `name` [missing-attribute]
        x:6:62: error: storage of type nfs has no option `v5` [unknown-option] / did you mean `v4`?
        x:6:62: error: storage of type nfs has no option `host-x` [unknown-option] / write it as host-<n>
        x:7:51: error: `network` cannot be `NPIR` [unknown-value] / did you mean `NPRI`?
        x:7:81: error: only two NICs or more have a bond mode [useless] / give it two NICs or more
        x:8:29: error: there are no static addresses on a VLAN [static-vlan]
        x:7:63: error: no variables are put in inside `<NETWORK>` [not-expanded] / write the value itself
        x:7:32: error: one interface cannot have management by dhcp and storage by static [two-addressings] / give both the same `mode`
        x:6:50: error: there is more than one storage `a` [duplicate-name]
        x:6:120: error: there is more than one storage `a` [duplicate-name]
        x:5:1: error: `<pool>` has more than one default storage [two-defaults] / say default="yes" for one of them
        x:9:27: error: there is no storage `b` for it [unknown-storage] / did you mean `a`?
        x:9:38: error: `<network>` needs an attribute `device` [missing-attribute]
        x:9:76: error: there is no network `nett` for it [unknown-network] / there is: %X%y%, NPIR, NPRI, NSEC, IPRI, ISEC, ANY
        x:9:107: error: `ip`: `here` is not an address [not-an-address] / write it as 10.0.0.5
        x:9:100: error: there is a second network interface 0 [duplicate-device]
        x:10:36: error: `<vm>` has a second `<vcpus>` [duplicate-element] / the first is in line 10
        x:10:25: error: `vcpus`: `two` is not a number [not-a-number] / write a whole number from 0 up
        x:10:52: error: `<memory>` is empty [empty]
        x:10:61: error: `<disk>` needs an attribute `size` [missing-attribute]
        x:10:113: error: `number`: 0 disks from 1 on [bad-number] / a VM has 1000 disks at most
        x:10:13: error: there is a second VM `dup` [duplicate-name] / the first is in line 9
        x:11:3: error: `<vm>` needs an attribute `name` [missing-attribute]
        x:11:79: error: `a` has no value [bad-parameter] / write them as name=value,name=value
        x:11:37: error: `shutdown(now)`: expected a text in quotes, a number, True, False, None or a list [bad-action] / an action is a method of a VM with plain arguments: snapshot(name='clean')
        x:11:58: error: there is no script `setpu` [unknown-script] / did you mean `setup`?
        x:12:33: error: 99999 VMs in one group [too-large] / a group has 10000 at most
        x:14:36: error: `installTools`: `perhaps` is neither yes nor no [not-a-boolean] / write yes or no
        x:14:46: error: `<blueprint>` needs an attribute `version` [missing-attribute]
        x:14:79: error: there is no `<host>` in `<sharedhost>` [unknown-element] / there is: vm
        x:7:24: error: there is no VM `nobody` in this preparation [unknown-name] / there is: dup
        "#);
        let (topology, lenient) = read_with(inside.trim_end_matches("text"), &[], Mode::Lenient);
        assert!(lenient.iter().filter(|d| d.severity == crate::diagnostic::Severity::Error).all(|d| d.rule == "too-large"));
        assert_eq!(topology.pools[1].contents.vms.len(), 2, "what can be read is there");
    }

    #[test]
    fn the_yaml_form_says_the_same_as_the_elements() {
        for (xml, yaml) in [
            (r#"<pool id="0"><host id="0"/><host id="1"/></pool>"#, r#"{"pools": [{"id": 0, "hosts": [{"id": 0}, {"id": 1}]}]}"#),
            ("<pool><allhosts/></pool>", r#"{"pools": [{"multihosts": {}}]}"#),
            ("<allhosts start='1' stop='2' noisos='yes'/>", "multihosts: {start: 1, end: 2, noisos: true}"),
            (
                "<host id='0'><vm name='v'><distro>d</distro><arch>x86-64</arch><memory>1024</memory><vcpus>1</vcpus>\
                 <disk device='0' size='10'/><disk device='1' size='10' number='2' format='yes'/><corespersocket>4</corespersocket>\
                 <network device='0'/><network device='1' bridge='b'/><storage>s</storage><postinstall action='one'/>\
                 <postinstall action='two'/><file>t.xva</file><bootparams>p</bootparams></vm>\
                 <storage type='nfs' name='s'/><bridge name='b'/></host>",
                r#"{"hosts": [{"id": 0, "vms": [{"name": "v", "distro": "d", "arch": "x86-64", "memory": 1024, "vcpus": 1,
                  "cores_per_socket": 4, "disks": [{"device": 0, "size": 10}, {"device": 1, "size": 10, "count": 2, "format": true}],
                  "vifs": [{"device": 0}, {"device": 1, "network": "b"}], "sr": "s", "postinstall": [{"action": "one"}, {"action": "two"}],
                  "file_name": "t.xva", "boot_params": "p"}], "srs": [{"type": "nfs", "name": "s"}], "bridges": [{"name": "b"}]}]}"#,
            ),
            (
                "<vlan name='l'/><pool name='p' ssl='yes' master='RESOURCE_HOST_1'><host/><host id='1'/><storage name='n' type='nfs' default='true' options='v4,jumbo'/>\
                 <vm name='a'/></pool><sharedhost><vm name='LicenseServer'><file user='yes'>l.xva</file>\
                 <postinstall action='installV6LicenseServer'/></vm></sharedhost>",
                "utilityvms:\n  - name: LicenseServer\n    file_name: l.xva\n    user: yes\n    postinstall: [{action: installV6LicenseServer}]\n\
                 vlans: [{name: l}]\npools:\n- name: p\n  ssl: true\n  master: RESOURCE_HOST_1\n  hosts: [{id: 0}, {id: 1}]\n\
                 \x20 srs:\n  - {type: nfs, name: n, default: true, options: [v4, jumbo]}\n  vms: [{name: a}]\n",
            ),
            (
                "<pool><host container='0' vname='a' vnetworks='NPRI,NSEC'/><host container='0' vname='b'/></pool>",
                "pools: [{hosts: [{container: 0, vname: a, vnetworks: [NPRI, NSEC]}, {container: 0, vname: b}]}]",
            ),
            (
                "<host><vm name='t'><postinstall action='convertToTemplate'/></vm></host>",
                "hosts: [{id: 0, templates: [{name: t}]}]",
            ),
            (
                "<host alias='h' license='no' installsr='no' productType='esx' extraConfig='{a: [1, x]}' diskCount='2'/>",
                "hosts: [{name: h, license: false, install_sr_type: 'no', product_type: esx, extra_config: {a: [1, x]}, disk_count: 2}]",
            ),
            (
                "<host><vmgroup basename='m' number='3'><distro>w</distro></vmgroup></host>",
                "hosts: [{vm_groups: [{basename: m, number: 3, distro: w}]}]",
            ),
            (
                "<host><NETWORK><PHYSICAL name='n'><NIC/><NIC/><MANAGEMENT/><VLAN name='v'><STORAGE mode='dhcp'/><VMS/></VLAN></PHYSICAL>\
                 <PHYSICAL network='NSEC' jumbo='yes'><NIC enum='1'/><STORAGE mode='static'/></PHYSICAL>\
                 <PHYSICAL network='IPRI'><NIC/></PHYSICAL></NETWORK></host>",
                "hosts: [{network: {physical_networks: [{name: n, nics: 2, management: true, vlans: [{name: v, storage: dhcp, vms: yes}]},\
                 {network: NSEC, jumbo: true, specified_nics: [1], storage: static, vms: false}, {network: IPRI}]}}]",
            ),
            (
                "<template distro='d' installTools='no'><rootdisk>20</rootdisk></template><instance distro='e' name='i' zone='z'/>\
                 <blueprint name='b' version='1'><templateName>t</templateName></blueprint>",
                "templates: [{distro: d, install_tools: false, root_disk: 20}]\ninstances: [{distro: e, name: i, zone: z}]\n\
                 blueprints: [{name: b, version: 1, templateName: t}]",
            ),
            (
                "<host id='0'/><cloud>{\"zones\": [{\"pods\": [{\"clusters\": [{\"XRT_Hosts\": 2}, {\"hypervisor\": \"KVM\", \"XRT_Hosts\": 1}]}]}], \"x\": \"%JOBID%\"}</cloud>",
                "hosts: [{id: 0}]\ncloud:\n  x: '%JOBID%'\n  zones: [{pods: [{clusters: [{XRT_Hosts: 2}, {hypervisor: KVM, XRT_Hosts: 1}]}]}]",
            ),
        ] {
            let settings = [("RESOURCE_HOST_0", "a"), ("RESOURCE_HOST_1", "b"), ("RESOURCE_HOST_2", "c"), ("JOBID", "7")];
            let from_xml = good(xml, &settings);
            assert_eq!(good(&yaml.replace('<', "&lt;"), &settings), from_xml, "{yaml}");
            assert!(!from_xml.is_empty());
        }
    }

    #[test]
    fn a_cloud_takes_the_machines_that_are_left() {
        let text = lines(
            r#"<host id="1"/><cloud>{"zones": [{"pods": [{"clusters": [
                {"hypervisor": "XenServer", "XRT_Hosts": 2}, {"hypervisor": "vmware", "XRT_Hosts": 1},
                {"hypervisor": "LXC", "XRT_Hosts": "1"}, {"hypervisor": "hyperv", "hosts": 1},
                {"XRT_Hosts": 2, "XRT_ContainerHostIds": [5, 6], "XRT_vHostMemory": [1024, 2048]},
                {"XRT_MasterHostId": 9, "XRT_Hosts": 1}, {"hypervisor": "kvm", "XRT_KVMHostIds": "1,2"}]}]}]}</cloud>"#,
            &[("CLOUD_KVM_DISTRO", "rocky9")],
        );
        insta::assert_snapshot!(text, @r#"
        pool RESOURCE_POOL_0: master RESOURCE_HOST_0
          host RESOURCE_HOST_0: master, xenserver, no ISO storage
          host RESOURCE_HOST_2: xenserver, no ISO storage
        pool RESOURCE_POOL_1: master vhost-nested0
          host vhost-nested0: master, nested on RESOURCE_HOST_5 with 2 vCPUs, 1024 MB and a disk of 50 GB, xenserver, no ISO storage
          host vhost-nested1: nested on RESOURCE_HOST_6 with 2 vCPUs, 2048 MB and a disk of 50 GB, xenserver, no ISO storage
        host RESOURCE_HOST_1: xenserver
        host RESOURCE_HOST_3: esx 5.5.0-update02, local storage no, no ISO storage
        host RESOURCE_HOST_4: kvm rocky9, local storage no, no ISO storage
        host RESOURCE_HOST_5: hyperv ws12r2-x64, local storage no, no ISO storage
        cloud: 1 zone
        "#);
    }

    #[test]
    fn yaml_is_wrong_where_it_is_wrong() {
        let table = [
            ("\n  hosts:\n    - id: 0\n      vmz: []\n", "x:4:7: error: a host has no `vmz` [unknown-key] / did you mean `vms`?"),
            (
                "\n  hosts:\n    - id: zero\n",
                "x:3:11: error: `id`: `zero` is not a number [not-a-number] / write a whole number from 0 up",
            ),
            ("\n  hosts:\n    - id: 0\n     id: 1\n", "x:4:6: error: "),
            ("hosts: 3", "x:1:17: error: `hosts`: expected a list, not a value [bad-yaml]"),
            ("hosts: [3]", "x:1:18: error: `hosts`: expected a list of maps, not a value [bad-yaml]"),
            ("hosts: [{vms: [{name: v, user: yes}]}]", "x:1:35: error: `user` is for a `file_name`, and there is none [useless]"),
            ("[1]", "x:1:10: error: a preparation in YAML is a map [bad-yaml]"),
            ("hosts: [{id: '%GONE%'}]", "x:1:23: error: there is no variable `GONE` [unknown-variable]"),
            ("hosts: []<host/>", "x:1:19: error: text beside it says what to prepare, so `<host>` means nothing [two-forms]"),
        ];
        for (inside, expected) in table {
            let (_, found) = read_with(inside, &[], Mode::Strict);
            let first = told(&found).into_iter().next().unwrap_or_default();
            assert!(first.starts_with(expected), "{inside}: {first}");
        }
    }

    #[test]
    fn variables_are_put_into_yaml_as_values_or_as_text() {
        let settings = [("ID", "3"), ("NAME", "50%: [x]"), ("HOSTS", "[{id: 8}]")];
        let quoted = good(r#"{"hosts": [{"id": "%ID%", "name": "%NAME%", "version": "${G}"}]}"#, &settings);
        assert_eq!(quoted.lines(), ["host 50%: [x]: on RESOURCE_HOST_3, xenserver, from g 1"]);
        let bare = good(r#"{"hosts": [{"id": %ID%, "version": "100%% $${G}"}]}"#, &settings);
        assert_eq!(bare.lines(), ["host RESOURCE_HOST_3: xenserver, from 100% ${G}"]);
    }
}
