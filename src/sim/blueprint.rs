//! Records of what is the same in every pool: hosts as they come out of the factory, the drivers of SRs, the roles of users.

use super::array::Driver;
use super::value::{Ref, Value};
use super::world::Cx;

/// Cores of a host.
const CPUS: i64 = 16;

/// Bytes of a control domain.
const DOM0: i64 = 3 << 30;

/// A host, live and enabled.
pub fn host(cx: &mut Cx<'_>, name: &str, uuid: &str, address: &str, memory: i64) -> Ref {
    let (now, port) = (cx.now(), cx.site.ssh_port.to_string());
    let metrics = vec![("memory_total", Value::Int(memory)), ("live", Value::Bool(true)), ("last_updated", Value::Date(now))];
    let metrics = cx.db.create_with("host_metrics", metrics);
    let fields = vec![
        ("uuid", Value::from(uuid)),
        ("name_label", Value::from(name)),
        ("name_description", Value::from("Default install")),
        ("hostname", Value::from(name)),
        ("address", Value::from(address)),
        ("enabled", Value::Bool(true)),
        ("metrics", Value::Ref(metrics)),
        ("API_version_major", Value::Int(2)),
        ("API_version_minor", Value::Int(21)),
        ("API_version_vendor", Value::from("XenSource")),
        ("software_version", software()),
        ("cpu_info", cpu()),
        ("capabilities", Value::from(vec!["xen-3.0-x86_64", "hvm-3.0-x86_32", "hvm-3.0-x86_32p", "hvm-3.0-x86_64"])),
        ("sched_policy", Value::from("credit")),
        ("supported_bootloaders", Value::from(vec!["pygrub", "eliloader"])),
        ("edition", Value::from("xcp-ng")),
        ("license_params", Value::from([("sku_type", "xcp-ng"), ("expiry", "20991231T23:59:59Z")])),
        ("license_server", Value::from([("address", "localhost"), ("port", "27000")])),
        ("iscsi_iqn", Value::from(format!("iqn.2026-11.org.xenrt.sim:{name}"))),
        ("memory_overhead", Value::Int(256 << 20)),
        ("power_on_mode", Value::from("wake-on-lan")),
        ("virtual_hardware_platform_versions", Value::from(vec![0_i64, 1, 2])),
        (
            "other_config",
            Value::from([("agent_start_time", format!("{now}.")), ("boot_time", format!("{now}.")), ("xrt:ssh-port", port)]),
        ),
    ];
    let host = cx.db.create_with("host", fields);
    for number in 0..CPUS {
        let fields = vec![
            ("host", Value::Ref(host)),
            ("number", Value::Int(number)),
            ("vendor", Value::from("GenuineIntel")),
            ("speed", Value::Int(2400)),
            ("modelname", Value::from("Intel(R) Xeon(R) Gold 6240R CPU @ 2.40GHz")),
        ];
        cx.db.create_with("host_cpu", fields);
    }
    host
}

/// Versions, in the product's words.
fn software() -> Value {
    Value::from([
        ("product_version", "8.3.0"),
        ("product_version_text", "8.3"),
        ("product_brand", "XCP-ng"),
        ("platform_name", "XCP"),
        ("platform_version", "3.4.0"),
        ("build_number", "cloud"),
        ("hostname", "localhost"),
        ("date", "20260801T00:00:00Z"),
        ("xapi", "24.39"),
        ("xen", "4.17.5"),
        ("linux", "4.19.0+1"),
        ("network_backend", "openvswitch"),
        ("db_schema", "5.786"),
        ("xapi_build", "24.39.0"),
    ])
}

fn cpu() -> Value {
    let cpus = CPUS.to_string();
    Value::from([
        ("cpu_count", cpus.as_str()),
        ("socket_count", "2"),
        ("vendor", "GenuineIntel"),
        ("speed", "2400.000"),
        ("modelname", "Intel(R) Xeon(R) Gold 6240R CPU @ 2.40GHz"),
        ("family", "6"),
        ("model", "85"),
        ("stepping", "7"),
        ("flags", "fpu de tsc msr pae mce cx8 apic sep mca cmov pat clflush acpi mmx fxsr sse sse2 ht syscall nx lm constant_tsc"),
        ("features_hvm", "1fcbfbff-f7fa3223-2d93fbff-00000423-00000001-000007ab-00000000-00000000-00001000-9c000400"),
        ("features_pv", "1fc9cbf5-f6f83203-2991cbf5-00000123-00000001-00000329-00000000-00000000-00001000-8c000400"),
    ])
}

/// The control domain of a host, which is a VM too.
pub fn control_domain(cx: &mut Cx<'_>, host: Ref, name: &str) {
    let now = cx.now();
    let metrics = vec![
        ("memory_actual", Value::Int(DOM0)),
        ("VCPUs_number", Value::Int(CPUS)),
        ("start_time", Value::Date(now)),
        ("last_updated", Value::Date(now)),
        ("current_domain_type", Value::from("pv")),
    ];
    let metrics = cx.db.create_with("VM_metrics", metrics);
    let fields = vec![
        ("name_label", Value::from(format!("Control domain on host: {name}"))),
        ("name_description", Value::from("The domain which manages physical devices and manages other domains")),
        ("power_state", Value::from("Running")),
        ("is_control_domain", Value::Bool(true)),
        ("resident_on", Value::Ref(host)),
        ("affinity", Value::Ref(host)),
        ("metrics", Value::Ref(metrics)),
        ("domid", Value::Int(0)),
        ("VCPUs_max", Value::Int(CPUS)),
        ("VCPUs_at_startup", Value::Int(CPUS)),
        ("memory_static_min", Value::Int(DOM0)),
        ("memory_static_max", Value::Int(DOM0)),
        ("memory_dynamic_min", Value::Int(DOM0)),
        ("memory_dynamic_max", Value::Int(DOM0)),
        ("memory_target", Value::Int(DOM0)),
        ("domain_type", Value::from("pv")),
    ];
    let domain = cx.db.create_with("VM", fields);
    cx.db.set(host, "control_domain", domain);
}

/// What the pool says of a driver of SRs.
pub fn driver(cx: &mut Cx<'_>, driver: &Driver) {
    let mut features: std::collections::BTreeMap<std::sync::Arc<str>, Value> =
        driver.features.iter().map(|feature| ((*feature).into(), Value::Int(1))).collect();
    if driver.is_shared {
        features.insert("VDI_MIRROR".into(), Value::Int(1));
    }
    let configuration = driver.configuration.iter().map(|(key, what)| ((*key).into(), Value::from(*what))).collect();
    let fields = vec![
        ("name_label", Value::from(driver.title)),
        ("name_description", Value::from(format!("SR plugin for {}", driver.title))),
        ("type", Value::from(driver.name)),
        ("vendor", Value::from("XCP-ng")),
        ("version", Value::from("3.2")),
        ("required_api_version", Value::from("1.0")),
        ("configuration", Value::Map(configuration)),
        ("capabilities", Value::from(driver.features.to_vec())),
        ("features", Value::Map(features)),
        ("driver_filename", Value::from(format!("/opt/xensource/sm/{}SR", driver.name.to_uppercase()))),
    ];
    cx.db.create_with("SM", fields);
}

/// The roles that users may have.
pub fn roles(cx: &mut Cx<'_>) {
    for (name, what) in [
        ("pool-admin", "The Pool Administrator role has full access to all features and settings"),
        ("pool-operator", "The Pool Operator role manages host- and pool-wide resources"),
        ("vm-power-admin", "The VM Power Administrator role has full access to VM and template management"),
        ("vm-admin", "The VM Administrator role can manage VMs and templates"),
        ("vm-operator", "The VM Operator role can use VMs and interact with VM consoles"),
        ("read-only", "The Read-Only role can log in with basic read-only access"),
    ] {
        cx.db.create_with("role", vec![("name_label", Value::from(name)), ("name_description", Value::from(what))]);
    }
}
