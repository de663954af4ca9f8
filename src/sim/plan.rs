//! What a simulated pool is made of to begin with: hosts, networks, SRs, templates and guests, with the names that people know.

use super::array::{self, Volume};
use super::store::Store;
use super::value::{Ref, Value};
use super::world::{Cx, HostPlace, World};
use super::xapi::{domain, host, join, pif, vdi};
use super::{blueprint, template};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Where the shared SRs are.
const FILER: &str = "filer.sim";

/// The template whose disk has a system on it, and from which the first guests are.
const INSTALLED: &str = "xenrt-template-debian12-x86-64";

/// Makes the pool, and the spare ones.
pub fn build(world: &mut World, seed: u64) {
    let (hosts, spare) = (world.site.options.hosts, world.site.options.spare);
    for pool in 0..=spare {
        world.pools.push(Store::new(pool as u16, seed));
    }
    if let Some(mut cx) = world.cx(0) {
        pool(&mut cx, hosts);
    }
    for pool in 1..=spare {
        let number = hosts + pool;
        let memory = world.site.options.memory as i64;
        let Some(mut cx) = world.cx(pool) else { continue };
        let uuid = cx.db.fresh_uuid();
        settle(&mut cx, &uuid, number);
        standalone(&mut cx, &format!("host{number}"), number, &uuid, memory);
    }
    for pool in 0..world.pools.len() {
        let Some(cx) = world.cx(pool) else { continue };
        for host in cx.db.all("host") {
            let machine = host::machine(&cx, host);
            cx.site.inside.machine_up(&machine);
        }
    }
}

/// The number in a host's name.
pub fn number_of(name: &str) -> usize {
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}

/// Gives a host its address for ever.
fn settle(cx: &mut Cx<'_>, uuid: &str, number: usize) {
    let address = Ipv4Addr::from(cx.site.first_address + number as u32);
    let place = HostPlace { pool: cx.pool, address, is_up: true };
    cx.site.hosts.insert(uuid.to_string(), place);
}

fn pool(cx: &mut Cx<'_>, hosts: usize) {
    let memory = cx.site.options.memory as i64;
    let record = cx.db.create_with("pool", vec![("name_label", Value::from(if hosts > 1 { "sim" } else { "" }))]);
    cx.db.set(record, "name_description", "simulated");
    for number in 1..=hosts {
        let uuid = cx.db.fresh_uuid();
        settle(cx, &uuid, number);
        let host = self::host(cx, &format!("host{number}"), number, &uuid, memory);
        if number == 1 {
            cx.db.set(record, "master", host);
        }
    }
    let bytes = cx.site.options.disk as i64;
    let nfs = [("server", FILER), ("serverpath", "/export/pool")];
    let shared = self::shared(cx, "NFS virtual disk storage", "nfs", "user", &nfs, bytes);
    let isos = self::shared(cx, "ISO library", "iso", "iso", &[("location", "filer.sim:/export/iso")], 64 << 30);
    vdi::discs(cx, isos);
    for field in ["default_SR", "suspend_image_SR", "crash_dump_SR"] {
        cx.db.set(record, field, shared);
    }
    for host in cx.db.all("host") {
        cx.db.set(host, "suspend_image_sr", shared);
        cx.db.set(host, "crash_dump_sr", shared);
    }
    finish(cx, record);
    if cx.site.options.templates {
        let home = template::installed(cx, INSTALLED, "debian12", shared);
        guests(cx, home, shared);
    }
}

/// A pool of one host with nothing but its own disks, as after an installation.
pub fn standalone(cx: &mut Cx<'_>, name: &str, number: usize, uuid: &str, memory: i64) {
    let record = cx.db.create_with("pool", vec![("name_label", Value::from(""))]);
    let host = self::host(cx, name, number, uuid, memory);
    cx.db.set(record, "master", host);
    finish(cx, record);
}

/// What every pool has.
fn finish(cx: &mut Cx<'_>, record: Ref) {
    cx.db.set_key(record, "other_config", "memory-ratio-hvm", "0.25");
    let tools = cx.db.create_with(
        "SR",
        vec![
            ("name_label", Value::from("XenServer Tools")),
            ("name_description", Value::from("XenServer Tools ISOs")),
            ("type", Value::from("iso")),
            ("content_type", Value::from("iso")),
            ("shared", Value::Bool(true)),
            ("is_tools_sr", Value::Bool(true)),
            ("other_config", Value::from([("xenserver_tools_sr", "true")])),
        ],
    );
    let configuration = Value::from([("location", "/opt/xensource/packages/iso"), ("legacy_mode", "true")]);
    for host in cx.db.all("host") {
        plug(cx, host, tools, configuration.clone());
    }
    let fields = vec![
        ("name_label", Value::from("guest-tools.iso")),
        ("SR", Value::Ref(tools)),
        ("virtual_size", Value::Int(84_930_560)),
        ("physical_utilisation", Value::Int(84_930_560)),
        ("read_only", Value::Bool(true)),
        ("is_tools_iso", Value::Bool(true)),
        ("managed", Value::Bool(true)),
        ("location", Value::from("guest-tools.iso")),
        ("type", Value::from("user")),
    ];
    cx.db.create_with("VDI", fields);
    for driver in array::DRIVERS {
        blueprint::driver(cx, driver);
    }
    blueprint::roles(cx);
    if cx.site.options.templates {
        template::shipped(cx);
    }
}

fn host(cx: &mut Cx<'_>, name: &str, number: usize, uuid: &str, memory: i64) -> Ref {
    let address = cx.site.hosts.get(uuid).map_or(Ipv4Addr::LOCALHOST, |place| place.address).to_string();
    let host = blueprint::host(cx, name, uuid, &address, memory);
    for device in 0..4_u8 {
        let name = format!("Pool-wide network associated with eth{device}");
        let network = join::primary(cx, &format!("xenbr{device}"), &name);
        let mut fields = vec![
            ("device", Value::from(format!("eth{device}"))),
            ("network", Value::Ref(network)),
            ("host", Value::Ref(host)),
            ("MAC", Value::from(format!("0c:c4:7a:{:02x}:{:02x}:{device:02x}", number >> 8, number & 0xff))),
            ("MTU", Value::Int(1500)),
            ("VLAN", Value::Int(-1)),
            ("physical", Value::Bool(true)),
            ("currently_attached", Value::Bool(true)),
        ];
        if device == 0 {
            fields.extend([
                ("management", Value::Bool(true)),
                ("ip_configuration_mode", Value::from("DHCP")),
                ("IP", Value::from(address.as_str())),
                ("netmask", Value::from("255.0.0.0")),
                ("gateway", Value::from("127.0.0.1")),
                ("DNS", Value::from("127.0.0.1")),
            ]);
        }
        pif::make(cx, fields);
    }
    let inner = join::primary(cx, "xenapi", "Host internal management network");
    cx.db.set_key(inner, "other_config", "is_host_internal_management_network", "true");
    blueprint::control_domain(cx, host, name);
    local(cx, host, uuid);
    host
}

/// The SRs that a host has by itself.
fn local(cx: &mut Cx<'_>, host: Ref, uuid: &str) {
    let disk = [("device", "/dev/sda3")];
    let fields = |name: &str, kind: &str, content: &str, bytes: i64| {
        vec![
            ("name_label", Value::from(name)),
            ("type", Value::from(kind)),
            ("content_type", Value::from(content)),
            ("physical_size", Value::Int(bytes)),
        ]
    };
    let local = cx.db.create_with("SR", fields("Local storage", "ext", "user", 400 << 30));
    plug(cx, host, local, Value::from(disk));
    let volume = Volume { sr: cx.db.text(local, "uuid").into(), disks: Vec::new() };
    cx.site.arrays.insert(format!("disk:{uuid}:/dev/sda3"), vec![volume]);
    cx.db.set(host, "local_cache_sr", local);
    for (name, location) in [("DVD drives", "/dev/xapi/cd"), ("Removable storage", "/dev/xapi/block")] {
        let removable = cx.db.create_with("SR", fields(name, "udev", if name == "DVD drives" { "iso" } else { "disk" }, 0));
        plug(cx, host, removable, Value::from([("location", location)]));
    }
}

fn plug(cx: &mut Cx<'_>, host: Ref, sr: Ref, configuration: Value) {
    let fields = vec![
        ("host", Value::Ref(host)),
        ("SR", Value::Ref(sr)),
        ("device_config", configuration),
        ("currently_attached", Value::Bool(true)),
    ];
    cx.db.create_with("PBD", fields);
}

fn shared(cx: &mut Cx<'_>, name: &str, kind: &str, content: &str, configuration: &[(&str, &str)], bytes: i64) -> Ref {
    let sr = cx.db.create_with(
        "SR",
        vec![
            ("name_label", Value::from(name)),
            ("type", Value::from(kind)),
            ("content_type", Value::from(content)),
            ("shared", Value::Bool(true)),
            ("physical_size", Value::Int(bytes)),
        ],
    );
    let map = configuration.iter().map(|(key, value)| (Arc::from(*key), Value::from(*value))).collect();
    if let Ok(device) = array::find(kind, &map, "", bytes) {
        let volume = Volume { sr: cx.db.text(sr, "uuid").into(), disks: Vec::new() };
        cx.site.arrays.entry(device.key).or_default().push(volume);
    }
    for host in cx.db.all("host") {
        plug(cx, host, sr, Value::Map(map.clone()));
    }
    sr
}

/// The guests that run from the start, one on each host in turn.
fn guests(cx: &mut Cx<'_>, template: Ref, sr: Ref) {
    let hosts = cx.db.all("host");
    let network = join::primary(cx, "xenbr0", "");
    for number in 1..=cx.site.options.guests {
        let Some(at) = hosts.get((number - 1) % hosts.len().max(1)).copied() else { return };
        let guest = template::guest(cx, &format!("guest{number}"), template, sr, network);
        let is_room = super::xapi::vm_rules::assert_can_run(cx.db, guest, at, true).is_ok();
        if is_room {
            domain::build(cx, guest, at);
            cx.db.set(guest, "power_state", "Running");
            domain::ready(cx, guest, true);
        }
    }
}
