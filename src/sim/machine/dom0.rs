//! What a control domain answers and keeps in its files, and xenstore, which every machine can ask.

use super::answer::Answer;
use super::boot::Boot;
use super::kernel;
use super::spec::{Role, Spec};
use super::view::View;
use super::xe::{Pool, Record};
use crate::sim::failure::Outcome;
use crate::sim::inside::Act;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Answers the tools of a control domain.
pub(super) async fn answer(boot: &Arc<Boot>, spec: &Spec, name: &str, words: &[String]) -> Answer {
    let Some(outside) = boot.shared.outside() else {
        return Answer::fails(1, format_args!("{name}: the toolstack does not answer"));
    };
    let pool = Pool::new(outside, spec.host.clone());
    let result = match name {
        "list_domains" => domains(&pool, spec).await.map(|found| Answer::says(list_domains(&found))),
        "xl" => domains(&pool, spec).await.map(|found| xl(&found, words)),
        "xen-hvmcrash" => domains(&pool, spec).await.map(|found| crash(boot, &found, words)),
        "xe-toolstack-restart" => restart(&pool, spec).await,
        "findmnt" => findmnt(boot, &pool, spec, words).await,
        _ => Ok(Answer::fails(127, format_args!("{name}: not found"))),
    };
    result.unwrap_or_else(|failure| Answer::fails(1, format_args!("{name}: {failure}")))
}

/// A domain of a host.
struct Domain {
    id: i64,
    uuid: String,
    name: String,
    state: String,
    mebibytes: i64,
    cpus: i64,
    is_control: bool,
    metrics: BTreeMap<String, String>,
    devices: Vec<Device>,
}

/// A paravirtual device of a domain, with its end in the control domain.
struct Device {
    class: &'static str,
    backend: &'static str,
    number: u32,
    /// Whether the guest has taken it.
    is_connected: bool,
    more: Vec<(&'static str, String)>,
}

/// The devices that are attached to a VM. Its kernel takes them when it boots.
async fn devices(pool: &Pool, vm: &Record) -> Outcome<Vec<Device>> {
    let is_connected = !matches!(vm.text("guest_metrics"), "" | "OpaqueRef:NULL");
    let is_of =
        |device: &Record| device.text("VM") == vm.reference && device.fields.get("currently_attached") == Some(&json!(true));
    let mut found = Vec::new();
    for vbd in pool.records("VBD").await?.into_iter().filter(is_of) {
        let place: u32 = vbd.text("userdevice").parse().unwrap_or(0);
        // As Linux counts its xvd devices: those after the sixteenth have a form of their own.
        let number = if place < 16 { 202 << 8 | place << 4 } else { 1 << 28 | place << 8 };
        let kind = if vbd.text("type") == "CD" { "cdrom" } else { "disk" };
        let more = vec![("device-type", kind.to_string()), ("virtual-device", number.to_string())];
        found.push(Device { class: "vbd", backend: "vbd3", number, is_connected, more });
    }
    for vif in pool.records("VIF").await?.into_iter().filter(is_of) {
        let number = vif.text("device").parse().unwrap_or(0);
        let more = vec![("mac", vif.text("MAC").to_string()), ("handle", number.to_string())];
        found.push(Device { class: "vif", backend: "vif", number, is_connected, more });
    }
    Ok(found)
}

/// The domains on a host, by number.
async fn domains(pool: &Pool, spec: &Spec) -> Outcome<Vec<Domain>> {
    let mut found = Vec::new();
    for record in pool.records("VM").await? {
        if !matches!(record.text("power_state"), "Running" | "Paused") {
            continue;
        }
        let host = pool.of("host", record.text("resident_on"), "uuid").await?;
        if host.as_ref().and_then(Value::as_str) == Some(&spec.host) {
            found.push(domain(pool, &record).await?);
        }
    }
    found.sort_by_key(|domain| domain.id);
    Ok(found)
}

async fn domain(pool: &Pool, record: &Record) -> Outcome<Domain> {
    let number = |value: Option<&Value>| match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let os = pool.of("VM_guest_metrics", record.text("guest_metrics"), "os_version").await?;
    let os = os.as_ref().and_then(Value::as_object);
    let texts = os.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string())));
    let memory = pool.of("VM_metrics", record.text("metrics"), "memory_actual").await?;
    Ok(Domain {
        id: number(record.fields.get("domid")),
        uuid: record.text("uuid").into(),
        name: record.text("name_label").into(),
        state: record.text("power_state").into(),
        mebibytes: number(memory.as_ref()) >> 20,
        cpus: number(record.fields.get("VCPUs_at_startup")).max(1),
        is_control: record.fields.get("is_control_domain") == Some(&Value::Bool(true)),
        metrics: texts.collect(),
        devices: devices(pool, record).await?,
    })
}

fn list_domains(domains: &[Domain]) -> String {
    let mut out = format!("id |{:>37} |{:>7}\n", "uuid", "state");
    for domain in domains {
        let state = if domain.state == "Paused" { "P" } else { "R" };
        let _ = writeln!(out, "{:>2} |{:>37} |{state:>7}", domain.id, domain.uuid);
    }
    out
}

fn xl(domains: &[Domain], words: &[String]) -> Answer {
    match words.first().map(String::as_str) {
        Some("list" | "vm-list") => {
            let mut out = format!("{:<40} {:>5} {:>5} {:>5} {:>10} {:>8}\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
            for d in domains {
                let name = if d.is_control { "Domain-0" } else { &d.name };
                let state = if d.state == "Paused" { "--p---" } else { "r-----" };
                let _ = writeln!(out, "{name:<40} {:>5} {:>5} {:>5} {state:>10} {:>8.1}", d.id, d.mebibytes, d.cpus, 1.0);
            }
            Answer::says(out)
        }
        Some("info") => Answer::says(format!("xen_version            : 4.17.5\nnr_domains             : {}\n", domains.len())),
        Some("dmesg") => Answer::says("(XEN) Xen version 4.17.5\n"),
        _ => Answer::fails(1, "xl: this simulated host has `xl list`, `xl info` and `xl dmesg` only"),
    }
}

fn crash(boot: &Boot, domains: &[Domain], words: &[String]) -> Answer {
    let domain = words.first().and_then(|word| word.parse().ok()).and_then(|id: i64| domains.iter().find(|d| d.id == id));
    match (domain, boot.shared.outside()) {
        (Some(domain), Some(outside)) if domain.id > 0 => {
            outside.machine_did(&domain.uuid, Act::Panic);
            Answer::default()
        }
        _ => Answer::fails(1, "xen-hvmcrash: no such domain"),
    }
}

/// The uuid of the SR whose file system is at a path.
pub(super) fn sr_mounted_at(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/var").unwrap_or(path).strip_prefix("/run/sr-mount/")?.trim_end_matches('/');
    (!rest.is_empty() && !rest.contains('/')).then_some(rest)
}

/// Takes the file system of an SR away, which its toolstack does not notice.
pub(super) async fn unmount(boot: &Arc<Boot>, sr: &str) -> Answer {
    let spec = boot.spec();
    let mounted = match boot.shared.outside() {
        Some(outside) => sr_source(&Pool::new(outside, spec.host.clone()), &spec, sr).await.ok().flatten(),
        None => None,
    };
    let mut unmounted = boot.unmounted.lock().unwrap_or_else(PoisonError::into_inner);
    match mounted {
        Some(_) if unmounted.insert(sr.to_string()) => Answer::default(),
        _ => Answer::fails(32, format_args!("umount: /run/sr-mount/{sr}: not mounted.")),
    }
}

/// What is mounted at a path, as `findmnt -n -o SOURCE` has it. Only the file systems of SRs are known.
async fn findmnt(boot: &Boot, pool: &Pool, spec: &Spec, words: &[String]) -> Outcome<Answer> {
    let Some(sr) = words.iter().find_map(|word| sr_mounted_at(word)) else {
        return Ok(Answer::fails(1, "findmnt: this simulated host knows the mounts below /run/sr-mount only"));
    };
    let is_gone = boot.unmounted.lock().unwrap_or_else(PoisonError::into_inner).contains(sr);
    let source = sr_source(pool, spec, sr).await?.filter(|_| !is_gone);
    Ok(source.map_or(Answer { code: 1, ..Answer::default() }, |source| Answer::says(format!("{source}\n"))))
}

/// Where the file system of an SR comes from that is plugged on this host; nothing of one that has none.
async fn sr_source(pool: &Pool, spec: &Spec, uuid: &str) -> Outcome<Option<String>> {
    let host = pool.find("host", &spec.host).await?;
    let Ok(sr) = pool.find("SR", uuid).await else { return Ok(None) };
    let kind = pool.of("SR", &sr, "type").await?;
    let is_here = |pbd: &Record| {
        pbd.text("SR") == sr && pbd.text("host") == host && pbd.fields.get("currently_attached") == Some(&Value::Bool(true))
    };
    let Some(pbd) = pool.records("PBD").await?.into_iter().find(is_here) else { return Ok(None) };
    let word = |key: &str| pbd.fields.get("device_config").and_then(|map| map.get(key)).and_then(Value::as_str).unwrap_or_default();
    Ok(match kind.as_ref().and_then(Value::as_str).unwrap_or_default() {
        "nfs" => Some(format!("{}:{}/{uuid}", word("server"), word("serverpath").trim_end_matches('/'))),
        "ext" | "extoiscsi" => Some(format!("/dev/mapper/XSLocalEXT--{0}-{0}", uuid.replace('-', "--"))),
        "iso" => Some(word("location").to_string()),
        "smb" => Some(word("server").to_string()),
        _ => None,
    })
}

async fn restart(pool: &Pool, spec: &Spec) -> Outcome<Answer> {
    let host = pool.find("host", &spec.host).await?;
    pool.call("host.restart_agent", vec![json!(host)]).await?;
    Ok(Answer::says("Executing xe-toolstack-restart\ndone.\n"))
}

/// Answers `xenstore-…`: a control domain sees everything, a guest its own.
pub(super) async fn xenstore(boot: &Arc<Boot>, spec: &Spec, name: &str, words: &[String]) -> Answer {
    let Some(outside) = boot.shared.outside() else { return Answer::fails(1, format_args!("{name}: no xenstore")) };
    let pool = Pool::new(outside, spec.host.clone());
    let tree = match domains(&pool, spec).await {
        Ok(domains) => tree(&domains),
        Err(failure) => return Answer::fails(1, format_args!("{name}: {failure}")),
    };
    let own = format!("/local/domain/{}", spec.domid);
    let is_host = spec.role == Role::Host;
    let may_see = |path: &str| is_host || path.starts_with(&own) || path.starts_with(&format!("/vm/{}", spec.id));
    let paths: Vec<String> = words
        .iter()
        .filter(|word| !word.starts_with('-'))
        .map(|word| if word.starts_with('/') { word.trim_end_matches('/').to_string() } else { format!("{own}/{word}") })
        .collect();
    let below = |path: &str| -> Vec<(&String, &String)> {
        let prefix = format!("{path}/");
        tree.iter().filter(|(key, _)| key.starts_with(&prefix) && may_see(key)).collect()
    };
    match name {
        "xenstore-exists" => {
            let there = |path: &String| tree.contains_key(path) || !below(path).is_empty();
            Answer { code: i32::from(!paths.iter().all(there)), ..Answer::default() }
        }
        "xenstore-read" => {
            let mut out = String::new();
            for path in &paths {
                match tree.get(path).filter(|_| may_see(path)) {
                    Some(value) => out.push_str(&format!("{value}\n")),
                    None if !below(path).is_empty() => out.push('\n'),
                    None => return Answer::fails(1, format_args!("xenstore-read: couldn't read path {path}")),
                }
            }
            Answer::says(out)
        }
        _ => {
            let root = paths.first().cloned().unwrap_or_else(|| if is_host { String::new() } else { own.clone() });
            let all = below(&root);
            if all.is_empty() {
                return Answer::fails(
                    1,
                    format_args!("{name}: could not access permissions for {root}: No such file or directory"),
                );
            }
            Answer::says(if name == "xenstore-list" { children(&all, &root) } else { nested(&all, &root) })
        }
    }
}

/// The names right below a path.
fn children(all: &[(&String, &String)], root: &str) -> String {
    let mut names: Vec<&str> =
        all.iter().filter_map(|(key, _)| key.strip_prefix(root)?.trim_start_matches('/').split('/').next()).collect();
    names.dedup();
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// Everything below a path, as `xenstore-ls` has it.
fn nested(all: &[(&String, &String)], root: &str) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (key, value) in all {
        let parts: Vec<&str> = key.strip_prefix(root).unwrap_or(key).trim_start_matches('/').split('/').collect();
        let same = parts.iter().zip(&open).take_while(|(a, b)| a == b).count();
        for (depth, part) in parts.iter().enumerate().skip(same) {
            let value = if depth + 1 == parts.len() { value.as_str() } else { "" };
            let _ = writeln!(out, "{:depth$}{part} = \"{value}\"", "");
        }
        open = parts;
    }
    out
}

fn tree(domains: &[Domain]) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    for domain in domains {
        let own = format!("/local/domain/{}", domain.id);
        let mut put = |key: &str, value: String| drop(tree.insert(format!("{own}/{key}"), value));
        put("name", domain.name.clone());
        put("domid", domain.id.to_string());
        put("vm", format!("/vm/{}", domain.uuid));
        put("memory/target", (domain.mebibytes << 10).to_string());
        for cpu in 0..domain.cpus {
            put(&format!("cpu/{cpu}/availability"), "online".into());
        }
        if !domain.is_control {
            for feature in ["poweroff", "reboot", "shutdown", "suspend"] {
                put(&format!("control/feature-{feature}"), "1".into());
            }
            put("console/limit", "65536".into());
            for (key, value) in &domain.metrics {
                put(&format!("data/os_{key}"), value.clone());
            }
            put("data/updated", "1".into());
        }
        for device in &domain.devices {
            let front = format!("{own}/device/{}/{}", device.class, device.number);
            let back = format!("/local/domain/0/backend/{}/{}/{}", device.backend, domain.id, device.number);
            // 4: connected. 1: the guest's kernel is not there yet, and 2: the other end waits for it.
            let (here, there) = if device.is_connected { (4, 4) } else { (1, 2) };
            let ends = [(&front, here, "backend", &back, 0), (&back, there, "frontend", &front, domain.id)];
            for (end, state, word, other, of) in ends {
                tree.insert(format!("{end}/state"), state.to_string());
                tree.insert(format!("{end}/{word}"), other.clone());
                tree.insert(format!("{end}/{word}-id"), of.to_string());
            }
            for (key, value) in &device.more {
                tree.insert(format!("{front}/{key}"), value.clone());
            }
        }
        tree.insert(format!("/vm/{}/name", domain.uuid), domain.name.clone());
        tree.insert(format!("/vm/{}/uuid", domain.uuid), domain.uuid.clone());
    }
    tree
}

/// Makes the files of a control domain say what its pool says now.
///
/// # Errors
/// The files cannot be written.
pub(super) async fn refresh(boot: &Arc<Boot>) -> io::Result<()> {
    let spec = boot.spec();
    for (file, text) in boot.shared.logs.take(&spec.host) {
        kernel::append(boot.places().0, file, &text)?;
    }
    let Some(outside) = boot.shared.outside() else { return Ok(()) };
    let pool = Pool::new(outside, spec.host.clone());
    let Ok(facts) = facts(&pool, &spec).await else {
        // Its toolstack does not answer: the files stay as they were.
        return Ok(());
    };
    let (tree, volatile) = boot.places();
    let mounts = volatile.join("run/sr-mount");
    std::fs::create_dir_all(&mounts)?;
    for entry in std::fs::read_dir(&mounts)? {
        let name = entry?.file_name();
        if !facts.srs.iter().any(|sr| **sr == *name) {
            std::fs::remove_dir_all(mounts.join(name))?;
        }
    }
    for sr in &facts.srs {
        std::fs::create_dir_all(mounts.join(sr))?;
    }
    write(&View::open(tree)?, Path::new("/etc/xensource-inventory"), &facts.inventory)
}

/// Writes a file, if it has another text: a command may be reading it.
fn write(view: &View, path: &Path, text: &str) -> io::Result<()> {
    let mut known = String::new();
    let read = view.open_file(path, OFlags::RDONLY, Mode::empty()).and_then(|file| file.take(1 << 20).read_to_string(&mut known));
    if read.is_ok() && known == text {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    view.open_file(path, flags, Mode::from_raw_mode(0o644))?.write_all(text.as_bytes())
}

struct Facts {
    inventory: String,
    /// The uuids of the SRs that are plugged here.
    srs: Vec<String>,
}

async fn facts(pool: &Pool, spec: &Spec) -> Outcome<Facts> {
    let host = pool.find("host", &spec.host).await?;
    let record = pool.call("host.get_record", vec![json!(host)]).await?;
    let version =
        |key: &str| record.pointer(&format!("/software_version/{key}")).and_then(Value::as_str).unwrap_or_default().to_string();
    let control = match record.get("control_domain").and_then(Value::as_str) {
        Some(vm) if vm != "OpaqueRef:NULL" => pool.call("VM.get_uuid", vec![json!(vm)]).await?,
        _ => Value::Null,
    };
    let control = control.as_str().unwrap_or_default().to_string();
    let mut management = "xenbr0".to_string();
    for pif in pool.records("PIF").await? {
        if pif.text("host") == host && pif.fields.get("management") == Some(&Value::Bool(true)) {
            let bridge = pool.of("network", pif.text("network"), "bridge").await?;
            management = bridge.as_ref().and_then(Value::as_str).unwrap_or("xenbr0").to_string();
        }
    }
    let mut srs = Vec::new();
    for pbd in pool.records("PBD").await? {
        if pbd.text("host") == host && pbd.fields.get("currently_attached") == Some(&Value::Bool(true)) {
            srs.extend(pool.of("SR", pbd.text("SR"), "uuid").await?.as_ref().and_then(Value::as_str).map(String::from));
        }
    }
    let rows = [
        ("PRODUCT_BRAND", version("product_brand")),
        ("PRODUCT_NAME", "xenenterprise".into()),
        ("PRODUCT_VERSION", version("product_version")),
        ("PRODUCT_VERSION_TEXT", version("product_version_text")),
        ("PLATFORM_NAME", version("platform_name")),
        ("PLATFORM_VERSION", version("platform_version")),
        ("BUILD_NUMBER", version("build_number")),
        ("INSTALLATION_UUID", spec.host.clone()),
        ("CONTROL_DOMAIN_UUID", control),
        ("MANAGEMENT_INTERFACE", management),
        ("MANAGEMENT_ADDRESS_TYPE", "IPv4".into()),
        ("PRIMARY_DISK", "/dev/sda".into()),
        ("DOM0_VCPUS", spec.cpus.to_string()),
        ("DOM0_MEM", (spec.memory >> 20).to_string()),
    ];
    let inventory = rows.iter().map(|(key, value)| format!("{key}='{value}'\n")).collect();
    Ok(Facts { inventory, srs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xenstore_is_a_tree() {
        let domain = Domain {
            id: 5,
            uuid: "u".into(),
            name: "guest1".into(),
            state: "Running".into(),
            mebibytes: 512,
            cpus: 1,
            is_control: false,
            metrics: BTreeMap::new(),
            devices: vec![Device { class: "vif", backend: "vif", number: 0, is_connected: true, more: vec![("mac", "m".into())] }],
        };
        let tree = tree(&[domain]);
        assert_eq!(tree[&format!("{}/state", tree["/local/domain/5/device/vif/0/backend"])], "4");
        assert_eq!(tree["/local/domain/0/backend/vif/5/0/frontend"], "/local/domain/5/device/vif/0");
        assert_eq!(tree["/local/domain/5/memory/target"], "524288");
        let all: Vec<_> = tree.iter().filter(|(key, _)| key.starts_with("/local/domain/5/c")).collect();
        assert_eq!(
            nested(&all, "/local/domain/5"),
            "console = \"\"\n limit = \"65536\"\ncontrol = \"\"\n feature-poweroff = \"1\"\n feature-reboot = \"1\"\n \
             feature-shutdown = \"1\"\n feature-suspend = \"1\"\ncpu = \"\"\n 0 = \"\"\n  availability = \"online\"\n"
        );
        assert_eq!(children(&all, "/local/domain/5"), "console\ncontrol\ncpu\n");
    }
}
