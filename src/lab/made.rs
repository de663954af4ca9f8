//! What a testcase makes on a hypervisor: what people call it, and the command that removes it should the testcase not do so.
//!
//! To add something that can be made: an arm in [`Made::of`].

use super::estate::Estate;
use super::storage::{CleanUp, sort};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::event::Level;
use crate::toolstack::{Ref, Spec, SrSpec};
use serde_json::Value;

/// Stands for the uuid in a command.
const UUID: &str = "{uuid}";

/// Removes a guest.
pub(super) const UNINSTALL: &str = "xe vm-uninstall uuid={uuid} force=true";

/// Removes a snapshot.
pub(super) const UNINSTALL_SNAPSHOT: &str = "xe snapshot-uninstall uuid={uuid} force=true";

const DESTROY_VDI: &str = "xe vdi-destroy uuid={uuid}";

/// Something that a testcase made and has not removed.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub thing: Thing,
    /// What it is a part of: as long as that is there, it goes with that.
    part_of: Option<Ref>,
    /// "the guest `vm1-clone`".
    pub what: String,
    /// What a person types to remove it.
    remove: String,
}

/// Which object it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Thing {
    Is(Ref),
    /// It was asked for, and no answer came: if it is there, it is one of this class of the toolstack with these fields. Without fields
    /// nothing tells it from its like.
    MayBe {
        class: &'static str,
        fields: Vec<(String, Value)>,
    },
}

impl Made {
    /// A guest or a snapshot that is asked for by name.
    pub fn named(what: impl Into<String>, name: &str, remove: &str) -> Made {
        Made::sought("VM", [("name_label", name)], what, remove)
    }

    /// A volume of a guest.
    pub fn image(volume: &Ref, guest: &Ref) -> Made {
        let made = Made::unlike_nothing("a virtual disk of a guest that was removed", DESTROY_VDI).is(volume);
        Made { part_of: Some(guest.clone()), ..made }
    }

    /// A host that was brought into a pool.
    pub fn member(name: &str, host: &Ref) -> Made {
        Made::unlike_nothing(format!("the host `{name}`, brought into the pool,"), "xe pool-eject host-uuid={uuid}").is(host)
    }

    /// A snapshot of a volume of this name on this SR.
    pub fn snapshot_of(name: &str, sr: &Ref) -> Made {
        let what = format!("the snapshot of the virtual disk `{name}`");
        let mut made = Made::sought("VDI", [("name_label", name), ("SR", &sr.id)], what, DESTROY_VDI);
        if let Thing::MayBe { fields, .. } = &mut made.thing {
            fields.push(("is_a_snapshot".into(), Value::Bool(true)));
        }
        made
    }

    /// What is asked for by a spec, unless it goes with something else.
    pub fn of(spec: &Spec) -> Option<Made> {
        Some(match spec {
            Spec::Guest(guest) => Made::named(format!("the guest `{}`", guest.name), &guest.name, UNINSTALL),
            Spec::Volume(volume) => Made::sought(
                "VDI",
                [("name_label", volume.name.as_str()), ("SR", &volume.sr.id)],
                format!("the virtual disk `{}`", volume.name),
                DESTROY_VDI,
            ),
            Spec::VolumeSnapshot(_) => Made::unlike_nothing("a snapshot of a virtual disk", DESTROY_VDI),
            Spec::VolumeClone(_) => Made::unlike_nothing("a clone of a virtual disk", DESTROY_VDI),
            Spec::Disk(disk) => Made::sought(
                "VBD",
                [("VM", &*disk.guest.id), ("VDI", disk.volume.as_ref().map_or("", |volume| &*volume.id))],
                "the disk of a guest",
                "xe vbd-unplug uuid={uuid}; xe vbd-destroy uuid={uuid}",
            ),
            Spec::Vif(vif) => Made::sought(
                "VIF",
                [("VM", &*vif.guest.id), ("network", &*vif.network.id), ("MAC", &vif.mac)],
                "the interface of a guest",
                "xe vif-unplug uuid={uuid}; xe vif-destroy uuid={uuid}",
            ),
            Spec::Sr(sr) => Made::sought("SR", [("name_label", sr.name.as_str())], format!("the SR `{}`", sr.name), &remove_sr(sr)),
            Spec::Network(network) => Made::sought(
                "network",
                [("name_label", network.name.as_str())],
                format!("the network `{}`", network.name),
                "xe network-destroy uuid={uuid}",
            ),
            Spec::Vlan { nic, tag, .. } => {
                let mut made =
                    Made::sought("VLAN", [("tagged_PIF", &*nic.id)], format!("the VLAN {tag}"), "xe vlan-destroy uuid={uuid}");
                if let Thing::MayBe { fields, .. } = &mut made.thing {
                    fields.push(("tag".into(), Value::from(*tag)));
                }
                made
            }
            Spec::Bond { nics, .. } => {
                let first = nics.first().map_or("", |nic| &*nic.id);
                Made::sought("Bond", [("primary_slave", first)], "the bond", "xe bond-destroy uuid={uuid}")
            }
            // It was there before; and a plug goes with its SR.
            Spec::KnownSr { .. } | Spec::Plug { .. } => return None,
        })
    }

    /// Something that cannot be looked for.
    pub fn unlike_nothing(what: impl Into<String>, remove: &str) -> Made {
        Made::sought("", [], what, remove)
    }

    fn sought<const N: usize>(class: &'static str, fields: [(&str, &str); N], what: impl Into<String>, remove: &str) -> Made {
        let fields = fields.into_iter().map(|(field, value)| (field.to_string(), Value::from(value))).collect();
        Made { thing: Thing::MayBe { class, fields }, part_of: None, what: what.into(), remove: remove.into() }
    }

    /// It is there, and it is this.
    pub fn is(mut self, reference: &Ref) -> Made {
        self.thing = Thing::Is(reference.clone());
        self
    }

    /// Whether an error leaves open if it was made.
    pub fn is_open(error: &Error) -> bool {
        matches!(error.kind, Kind::Unreachable | Kind::Timeout | Kind::Cancelled)
    }

    /// Warns if it is there.
    pub fn tell(&self, estate: &Estate, context: &Context) {
        // What cannot be asked about is as if it were gone: who cannot be asked has said so often enough by now.
        let uuid = |thing: &Ref| estate.ask(context, |toolstack, watch| toolstack.get(thing, "uuid", watch)).ok();
        if self.part_of.as_ref().is_some_and(|whole| uuid(whole).is_some()) {
            return;
        }
        match &self.thing {
            Thing::Is(reference) => {
                if let Some(Value::String(uuid)) = uuid(reference) {
                    context.log(Level::Warning, format!("{} is left behind; this removes it: {}", self.what, self.command(&uuid)));
                }
            }
            Thing::MayBe { fields, .. } if fields.is_empty() => {
                context.log(Level::Warning, format!("{} was asked for, and no answer came: it may be there", self.what));
            }
            Thing::MayBe { class, fields } => {
                let found = estate.ask(context, |toolstack, watch| toolstack.find(class, fields, watch)).unwrap_or_default();
                for uuid in found.iter().filter_map(|record| record.get("uuid")?.as_str()) {
                    let text = format!("{} was asked for, and no answer came; there is such a one", self.what);
                    context.log(Level::Warning, format!("{text}, and this removes it: {}", self.command(uuid)));
                }
            }
        }
    }

    fn command(&self, uuid: &str) -> String {
        self.remove.replace(UUID, uuid)
    }
}

/// What removes an SR: with what is on it, or without, as its type wants it.
fn remove_sr(spec: &SrSpec) -> String {
    let end = match sort(&spec.kind).map_or(CleanUp::Forget, |sort| sort.clean_up) {
        CleanUp::Destroy => "destroy",
        CleanUp::Forget => "forget",
    };
    let unplug = "for pbd in $(xe pbd-list sr-uuid={uuid} --minimal | tr , ' '); do xe pbd-unplug uuid=$pbd; done";
    format!("{unplug}; xe sr-{end} uuid={{uuid}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::{Class, NetworkSpec};
    use std::collections::BTreeMap;

    #[test]
    fn what_is_made_can_be_found_and_has_a_command_that_removes_it() {
        let spec =
            Spec::Network(NetworkSpec { name: "n".into(), description: String::new(), mtu: 1500, other_config: BTreeMap::new() });
        let made = Made::of(&spec).unwrap();
        assert_eq!(made.thing, Thing::MayBe { class: "network", fields: vec![("name_label".into(), "n".into())] });
        assert_eq!((made.what.as_str(), made.command("u").as_str()), ("the network `n`", "xe network-destroy uuid=u"));
        let reference = Ref::new(Class::Network, "r");
        assert_eq!(made.is(&reference).thing, Thing::Is(reference));
    }

    #[test]
    fn an_sr_is_removed_as_its_type_wants_it() {
        let of = |name: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
            Made::of(&Spec::Sr(sort(name).unwrap().spec("x", &Ref::new(Class::Host, "h"), &options).unwrap())).unwrap()
        };
        assert!(of("nfs", &[("server", "s"), ("path", "/e")]).command("u").ends_with("; xe sr-forget uuid=u"));
        assert!(of("ext", &[("device", "/dev/sdb")]).command("u").ends_with("; xe sr-destroy uuid=u"));
    }
}
