//! What a preparation asks of a cloud: its zones, templates, instances and blueprints.

use super::contents::Contents;
use super::host::{Host, Machine, Nested};
use super::pool::Pool;
use super::reading::Reading;
use super::{Topology, form};
use crate::name::did_you_mean;
use crate::sequence::scope::{Form, short};
use crate::sequence::xml::Element;
use serde::Serialize;
use serde_json::{Map, Value};

/// A template of a cloud, or an instance to be made in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Of an instance; a template is called after its distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub distro: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    pub install_tools: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    /// In MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// In GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_disk: Option<u64>,
}

/// An application's blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blueprint {
    pub name: String,
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

const CHILDREN: &[&str] = &["vcpus", "memory", "rootdisk"];
const TEMPLATE: Form =
    Form { attributes: &["distro", "zone", "installTools", "hypervisorType"], children: Some(CHILDREN), text: false };
const INSTANCE: Form =
    Form { attributes: &["name", "distro", "zone", "installTools", "hypervisorType"], children: Some(CHILDREN), text: false };
const BLUEPRINT: Form =
    Form { attributes: &["name", "version", "deploymentProfileTemplateName"], children: Some(&["templateName"]), text: false };
const CLOUD: Form = Form { attributes: &[], children: Some(&[]), text: true };

impl Instance {
    pub fn read_template(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Instance> {
        reading.scope.check(element, &TEMPLATE);
        Instance::body(element, reading)
    }

    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Instance> {
        reading.scope.check(element, &INSTANCE);
        let name = reading.scope.attribute(element, "name");
        if let Some(name) = &name {
            reading.take("instance", name, element.place_of("name"));
        }
        Instance::body(element, reading).map(|instance| Instance { name, ..instance })
    }

    fn body(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Instance> {
        let scope = &mut *reading.scope;
        let distro = scope.required(element, "distro");
        let zone = scope.attribute(element, "zone");
        let install_tools = scope.boolean(element, "installTools").unwrap_or(true);
        let hypervisor_type = scope.attribute(element, "hypervisorType");
        let vcpus = reading.child_number(element, "vcpus");
        let memory = reading.child_number(element, "memory");
        let root_disk = reading.child_number(element, "rootdisk");
        Some(Instance { name: None, distro: distro?, zone, install_tools, hypervisor_type, vcpus, memory, root_disk })
    }
}

impl Blueprint {
    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Option<Blueprint> {
        let scope = &mut *reading.scope;
        scope.check(element, &BLUEPRINT);
        let (name, version) = (scope.required(element, "name"), scope.required(element, "version"));
        let deployment_profile = scope.attribute(element, "deploymentProfileTemplateName");
        let template = reading.child(element, "templateName").map(|(text, _)| text);
        Some(Blueprint { name: name?, version: version?, deployment_profile, template })
    }
}

/// The description of a cloud: zones, pods and clusters. Keys beyond those that we look at are passed on.
///
/// Hosts that a cluster asks for by their number only are added to the topology, on the next machines that are free.
pub fn read(element: &Element, topology: &mut Topology, reading: &mut Reading<'_, '_>) -> Option<Map<String, Value>> {
    let scope = &mut *reading.scope;
    scope.check(element, &CLOUD);
    let value = form::free(element, scope)?;
    let Value::Object(mut map) = value else {
        let help = Some("write it as {\"zones\": [{\"pods\": [{\"clusters\": []}]}]}".to_string());
        scope.wrong("bad-yaml", element.text_at, "the description of a cloud is a map", help);
        return None;
    };
    if !map.get("zones").is_some_and(Value::is_array) {
        scope.wrong("missing-key", element.text_at, "the description of a cloud has a list `zones`", None);
    }
    for cluster in clusters(&mut map) {
        if let Value::Object(cluster) = cluster {
            place(cluster, element, topology, reading);
        }
    }
    Some(map)
}

/// All clusters of all pods of all zones.
fn clusters(cloud: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    fn list<'v>(value: &'v mut Value, key: &str) -> &'v mut [Value] {
        value.get_mut(key).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
    }
    let zones = cloud.get_mut("zones").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
    zones.iter_mut().flat_map(|zone| list(zone, "pods")).flat_map(|pod| list(pod, "clusters"))
}

/// What clusters run on: how their hosts are installed when the lab is to choose them.
struct Hypervisor {
    name: &'static str,
    product: &'static str,
    /// The variable that says which version, and the version when it does not.
    version: Option<(&'static str, &'static str)>,
    /// The key that holds the numbers of the hosts.
    hosts: &'static str,
}

const HYPERVISORS: [Hypervisor; 5] = [
    Hypervisor { name: "xenserver", product: "xenserver", version: None, hosts: "XRT_MasterHostName" },
    Hypervisor { name: "kvm", product: "kvm", version: Some(("CLOUD_KVM_DISTRO", "rhel63-x64")), hosts: "XRT_KVMHostIds" },
    Hypervisor { name: "lxc", product: "kvm", version: Some(("CLOUD_KVM_DISTRO", "rhel63-x64")), hosts: "XRT_LXCHostIds" },
    Hypervisor {
        name: "hyperv",
        product: "hyperv",
        version: Some(("CLOUD_HYPERV_DISTRO", "ws12r2-x64")),
        hosts: "XRT_HyperVHostIds",
    },
    Hypervisor { name: "vmware", product: "esx", version: Some(("ESXI_VERSION", "5.5.0-update02")), hosts: "XRT_VMWareHostIds" },
];

/// More hosts in one cluster are a mistake.
const MOST_HOSTS: u64 = 1000;

/// Finds hosts for a cluster that names none.
fn place(cluster: &mut Map<String, Value>, element: &Element, topology: &mut Topology, reading: &mut Reading<'_, '_>) {
    let named = cluster.get("hypervisor").and_then(Value::as_str).unwrap_or("XenServer").to_string();
    cluster.insert("hypervisor".into(), named.clone().into());
    let Some(hypervisor) = HYPERVISORS.iter().find(|h| h.name == named.to_lowercase()) else {
        let help = did_you_mean(&named.to_lowercase(), HYPERVISORS.iter().map(|h| h.name));
        reading.scope.wrong("unknown-value", element.text_at, format!("no cluster runs on `{}`", short(&named)), help);
        return;
    };
    if let Some(id) = cluster.get("XRT_MasterHostId").and_then(Value::as_u64) {
        cluster.insert("XRT_MasterHostName".into(), format!("RESOURCE_HOST_{id}").into());
    }
    let is_named = cluster.contains_key(hypervisor.hosts) || cluster.contains_key("XRT_VMWareCluster");
    // What older descriptions call it.
    let wanted = cluster.get("XRT_Hosts").or_else(|| cluster.get("hosts"));
    let Some(wanted) = wanted.filter(|_| !is_named) else { return };
    let number = wanted.as_u64().or_else(|| wanted.as_str().and_then(|text| text.parse().ok())).filter(|n| *n <= MOST_HOSTS);
    let Some(number) = number else {
        let help = Some(format!("write a whole number up to {MOST_HOSTS}"));
        reading.scope.wrong("not-a-number", element.text_at, "`XRT_Hosts` is not a number of hosts", help);
        return;
    };
    let hosts: Vec<Host> = (0..number).map(|n| host(cluster, n, hypervisor, element, topology, reading)).collect();
    if hypervisor.name != "xenserver" {
        let numbers: Vec<String> = hosts.iter().map(|host| host.name.trim_start_matches("RESOURCE_HOST_").to_string()).collect();
        cluster.insert(hypervisor.hosts.into(), numbers.join(",").into());
        topology.hosts.extend(hosts);
    } else if let Some(master) = hosts.first().map(|host| host.name.clone()) {
        cluster.insert("XRT_MasterHostName".into(), master.clone().into());
        let id = topology.free_pool();
        let name = format!("RESOURCE_POOL_{id}");
        topology.pools.push(Pool { id, name, master, ssl: false, every: None, hosts, contents: Contents::default() });
    }
}

/// A host on the next machine that is free, or on a container that the cluster names.
fn host(
    cluster: &Map<String, Value>,
    index: u64,
    hypervisor: &Hypervisor,
    element: &Element,
    topology: &Topology,
    reading: &mut Reading<'_, '_>,
) -> Host {
    let at = |value: &Value| value.as_array().map_or(Some(value.clone()), |all| all.get(usize::try_from(index).ok()?).cloned());
    let small = |key: &str| cluster.get(key).and_then(at).and_then(|v| u32::try_from(v.as_u64()?).ok());
    let container = small("XRT_ContainerHostIds").or_else(|| small("XRT_ContainerHostId"));
    let machine = match container.filter(|_| hypervisor.name == "xenserver") {
        Some(container) => {
            reading.nameless += 1;
            let memory = small("XRT_vHostMemory").map_or(Nested::MEMORY, u64::from);
            Machine::Nested(Nested { memory, ..Nested::new(container, format!("nested{}", reading.nameless - 1)) })
        }
        None => Machine::Numbered(topology.free_machine(reading)),
    };
    let version =
        hypervisor.version.map(|(variable, usual)| reading.variable(variable, element.at).unwrap_or_else(|| usual.to_string()));
    let (is_xenserver, name) = (hypervisor.name == "xenserver", machine.name());
    reading.take("host", &name, element.at);
    let mut host = Host {
        isos: false,
        product_version: version,
        install_sr: if is_xenserver { reading.variable("INSTALL_SR_TYPE", element.at) } else { Some("no".into()) },
        ..Host::usual(machine, hypervisor.product.to_string())
    };
    match hypervisor.name {
        "hyperv" => drop(host.extra.insert("cloudstack".into(), true.into())),
        "vmware" => drop(host.extra.insert("virconn".into(), false.into())),
        _ => {}
    }
    host
}
