//! Pools: hosts that share storage and networks, one of them the master.

use super::contents::{self, Contents, Names};
use super::host::{EveryHost, Host, machine_name};
use super::reading::Reading;
use crate::name::did_you_mean;
use crate::sequence::scope::{Form, short};
use crate::sequence::xml::Element;
use serde::Serialize;

/// A resource pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pool {
    pub id: u32,
    pub name: String,
    /// The name of one of its hosts. Storage, networks and VMs of the pool go there.
    pub master: String,
    pub ssl: bool,
    /// Its rule for every machine of the run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<EveryHost>,
    pub hosts: Vec<Host>,
    #[serde(flatten)]
    pub contents: Contents,
}

const CHILDREN: &[&str] = &["host", "allhosts", "storage", "bridge", "NETWORK", "vm", "vmgroup", "template"];
const POOL: Form = Form { attributes: &["id", "name", "master", "ssl"], children: Some(CHILDREN), text: false };

impl Pool {
    pub fn read(element: &Element, reading: &mut Reading<'_, '_>) -> Pool {
        debug_assert!(contents::CHILDREN.iter().all(|name| CHILDREN.contains(name)));
        let scope = &mut *reading.scope;
        scope.check(element, &POOL);
        let id = scope.number(element, "id").unwrap_or(0);
        let name = scope.attribute(element, "name").unwrap_or_else(|| format!("RESOURCE_POOL_{id}"));
        let ssl = scope.boolean(element, "ssl").unwrap_or(false);
        reading.take("pool", &name, element.place_of("name"));
        let names = Names::of(element, reading);
        let (mut hosts, mut every) = (Vec::new(), None);
        for child in &element.children {
            match child.name.as_str() {
                "host" => hosts.push(Host::read(child, &names, reading)),
                "allhosts" => {
                    let (rule, all) = Host::read_all(child, &names, reading);
                    every = Some(rule);
                    hosts.extend(all);
                }
                _ => {}
            }
        }
        if hosts.is_empty() && every.is_none() {
            let help = Some("give it <host id=\"0\"/>, or <allhosts/> for every machine of the run".to_string());
            reading.scope.wrong("empty", element.at, format!("the pool `{}` has no host", short(&name)), help);
        }
        let master = master(element, &hosts, every, reading);
        Pool { id, name, master, ssl, every, hosts, contents: Contents::read(element, &names, reading) }
    }
}

/// The host that is named, or the first one.
fn master(element: &Element, hosts: &[Host], every: Option<EveryHost>, reading: &mut Reading<'_, '_>) -> String {
    let Some(named) = reading.scope.attribute(element, "master") else {
        let first = every.map_or(0, |every| every.start);
        return hosts.first().map_or_else(|| machine_name(first), |host| host.name.clone());
    };
    if let Some(host) = hosts.iter().find(|host| host.name == named || host.machine.name() == named) {
        return host.name.clone();
    }
    // Without machines, what `allhosts` comes to is not known.
    if every.is_none() {
        let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
        let help = did_you_mean(&named, names.iter().map(String::as_str));
        let message = format!("`master`: the pool has no host `{}`", short(&named));
        reading.scope.wrong("unknown-name", element.place_of("master"), message, help);
    }
    named
}
