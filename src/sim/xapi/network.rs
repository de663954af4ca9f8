//! Networks.

use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::generic::given;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done};

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => create,
        "destroy" => destroy,
        "set_default_locking_mode" => set_locking,
        _ => return None,
    })
}

fn create(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class("network").ok_or_else(|| Failure::internal("no network"))?;
    let mut fields = given(class, args.get(0))?;
    let bridge = match fields.iter().find(|(name, _)| *name == "bridge") {
        Some((_, bridge)) if !bridge.as_str().is_empty() => bridge.as_str().to_string(),
        _ => free_bridge(cx),
    };
    if cx.db.all("network").into_iter().any(|network| cx.db.text(network, "bridge") == bridge) {
        return Err(Failure::new("BRIDGE_NAME_EXISTS", [bridge]));
    }
    fields.retain(|(name, value)| *name != "bridge" && !(*name == "MTU" && *value == Value::Int(0)));
    fields.push(("bridge", Value::from(bridge)));
    answer(cx.db.create_with("network", fields))
}

/// "xapi0", "xapi1", …
fn free_bridge(cx: &Cx<'_>) -> String {
    let taken: Vec<&str> = cx.db.all("network").into_iter().map(|network| cx.db.text(network, "bridge")).collect();
    let free = (0..=taken.len()).map(|number| format!("xapi{number}")).find(|name| !taken.contains(&name.as_str()));
    free.unwrap_or_default()
}

/// A network made by the pool itself.
pub fn make(cx: &mut Cx<'_>, name: &str, bridge: &str) -> Ref {
    let bridge = if bridge.is_empty() { free_bridge(cx) } else { bridge.to_string() };
    cx.db.create_with(
        "network",
        vec![("name_label", Value::from(name)), ("bridge", Value::from(bridge)), ("managed", Value::Bool(true))],
    )
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let network = args.link(0);
    let attached: Vec<Ref> = cx.db.links(network, "VIFs").into_iter().filter(|vif| cx.db.is(*vif, "currently_attached")).collect();
    if !attached.is_empty() {
        return Err(Failure::new("NETWORK_CONTAINS_VIF", attached));
    }
    let nics = cx.db.links(network, "PIFs");
    if !nics.is_empty() {
        return Err(Failure::new("NETWORK_CONTAINS_PIF", nics));
    }
    if cx.db.key(network, "other_config", "is_host_internal_management_network").is_some() {
        return Err(Failure::new("CANNOT_DESTROY_SYSTEM_NETWORK", [network]));
    }
    for vif in cx.db.links(network, "VIFs") {
        super::device::remove(cx, vif);
    }
    cx.db.destroy(network);
    done()
}

fn set_locking(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    cx.db.set(args.link(0), "default_locking_mode", args.get(1).clone());
    done()
}
