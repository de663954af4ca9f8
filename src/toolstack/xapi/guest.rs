//! Guests, templates and snapshots.

use super::calls::{self, Call, GuestMetrics, Host, Sr, Vdi, VdiToSr, VifToNetwork, Vm, VmMetrics};
use super::record::{GuestMetricsRecord, VbdRecord, VmMetricsRecord, VmRecord};
use super::session::Xapi;
use super::task::bound;
use super::value::{All, NULL};
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::time::Cancel;
use crate::toolstack::{Class, Duplicate, Guest, GuestChange, GuestSpec, Invitation, Journey, Migration, Ref, Snapshot, Watch};
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const GUESTS: &str = "field \"is_a_template\" = \"false\" and field \"is_control_domain\" = \"false\"";
const TEMPLATES: &str = "field \"is_a_template\" = \"true\" and field \"is_a_snapshot\" = \"false\"";

/// One of the two methods that take a journey.
type Send = fn(Vm<'_>, &BTreeMap<String, String>, bool, VdiToSr, VifToNetwork, &BTreeMap<String, String>) -> Call;

impl Xapi {
    pub(super) fn read_guests(&self, watch: Watch<'_>) -> Result<Vec<Guest>> {
        let call = calls::vm_get_all_records_where(GUESTS);
        let cancel = bound(watch, &call);
        let mut records: All<VmRecord> = self.ask(&call, &cancel)?;
        records.retain(|_, record| record.is_guest());
        let (mut metrics, mut insides) = (All::<VmMetricsRecord>::new(), All::<GuestMetricsRecord>::new());
        if records.values().any(VmRecord::is_alive) {
            metrics = self.ask(&calls::vm_metrics_get_all_records(), &cancel)?;
            insides = self.ask(&calls::guest_metrics_get_all_records(), &cancel)?;
        }
        let guests = records.into_iter().map(|(id, record)| {
            let metrics = record.metrics.as_ref().and_then(|id| metrics.get(id));
            let inside = record.guest_metrics.as_ref().and_then(|id| insides.remove(id));
            record.guest(Ref::new(Class::Guest, id), metrics, inside)
        });
        Ok(sorted(guests.collect()))
    }

    pub(super) fn read_templates(&self, watch: Watch<'_>) -> Result<Vec<Guest>> {
        let call = calls::vm_get_all_records_where(TEMPLATES);
        let records: All<VmRecord> = self.ask(&call, &bound(watch, &call))?;
        let templates = records.into_iter().filter(|(_, record)| record.is_a_template && !record.is_a_snapshot);
        Ok(sorted(templates.map(|(id, record)| record.guest(Ref::new(Class::Guest, id), None, None)).collect()))
    }

    pub(super) fn read_guest(&self, guest: &Ref, watch: Watch<'_>) -> Result<Guest> {
        let call = calls::vm_get_record(guest.into());
        let cancel = bound(watch, &call);
        let record: VmRecord = self.ask(&call, &cancel)?;
        let (mut metrics, mut inside) = (None, None);
        if record.is_alive() {
            // They may be exchanged for others at any moment, when the guest reboots.
            if let Some(id) = &record.metrics {
                metrics = present(self.ask::<VmMetricsRecord>(&calls::vm_metrics_get_record(VmMetrics(id)), &cancel))?;
            }
            if let Some(id) = &record.guest_metrics {
                inside = present(self.ask::<GuestMetricsRecord>(&calls::guest_metrics_get_record(GuestMetrics(id)), &cancel))?;
            }
        }
        Ok(record.guest(guest.clone(), metrics.as_ref(), inside))
    }

    pub(super) fn read_snapshots(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Snapshot>> {
        let call = calls::vm_get_all_records_where(&refers("snapshot_of", guest)?);
        let records: All<VmRecord> = self.ask(&call, &bound(watch, &call))?;
        let own = records.into_iter().filter(|(_, record)| record.snapshot_of.as_ref() == Some(&guest.id));
        let mut snapshots: Vec<Snapshot> = own.map(|(id, record)| record.snapshot(Ref::new(Class::Guest, id))).collect();
        snapshots.sort_by(|a, b| (a.taken, &a.name, &a.uuid).cmp(&(b.taken, &b.name, &b.uuid)));
        Ok(snapshots)
    }

    /// The disks and drives of a guest as the pool has them.
    pub(super) fn read_vbds(&self, guest: &Ref, cancel: &Cancel) -> Result<All<VbdRecord>> {
        let mut records: All<VbdRecord> = self.ask(&calls::vbd_get_all_records_where(&refers("VM", guest)?), cancel)?;
        records.retain(|_, record| record.vm.as_ref() == Some(&guest.id));
        Ok(records)
    }

    pub(super) fn make_guest(&self, spec: &GuestSpec, watch: Watch<'_>) -> Result<Ref> {
        let read = calls::vm_get_record(Vm::from(&spec.template));
        let cancel = bound(watch, &read);
        let template: VmRecord = self.ask(&read, &cancel)?;
        let mut stores = BTreeSet::new();
        for vdi in self.read_vbds(&spec.template, &cancel)?.into_values().filter(|vbd| vbd.kind == "Disk").filter_map(|vbd| vbd.vdi)
        {
            stores.insert(self.read_volume(&vdi, &cancel)?.sr);
        }
        let is_elsewhere = spec.sr.as_ref().is_some_and(|sr| stores.iter().any(|store| store != sr));
        let call = if spec.full_copy || is_elsewhere {
            calls::vm_copy((&spec.template).into(), &spec.name, Sr(spec.sr.as_ref().map_or(NULL, |sr| &sr.id)))
        } else {
            calls::vm_clone((&spec.template).into(), &spec.name)
        };
        let guest = self.make(Class::Guest, call, watch)?;
        let done = if template.is_a_template { self.provision(&guest, &template, spec, watch) } else { Ok(()) };
        if let Err(error) = done {
            // What is half made is of use to nobody; that it could not be made is what counts.
            let own = Cancel::new();
            let _ = self.remove_guest(&guest, false, Watch::silent(&own, std::time::Duration::from_secs(30)));
            return Err(error);
        }
        Ok(guest)
    }

    /// Makes a guest of what was a template a moment ago, with the disks that the template only speaks of.
    fn provision(&self, guest: &Ref, template: &VmRecord, spec: &GuestSpec, watch: Watch<'_>) -> Result<()> {
        if let Some(disks) = template.other_config.get("disks").filter(|xml| xml.contains("<disk")) {
            let sr = match &spec.sr {
                Some(sr) => Some(sr.clone()),
                None => self.read_pool(watch)?.default_sr,
            };
            if let Some(sr) = sr {
                let uuid = self.read_sr(&sr, watch)?.uuid;
                let xml = on_sr(disks, &uuid, spec.sr.is_some());
                self.put_other_config(guest, "disks", &xml, watch)?;
            }
        }
        if let Some(sr) = &spec.sr {
            self.tell(&calls::vm_set_suspend_sr(guest.into(), sr.into()), watch)?;
        }
        self.perform(calls::vm_provision(guest.into()), watch).map(drop)
    }

    fn put_other_config(&self, guest: &Ref, key: &str, value: &str, watch: Watch<'_>) -> Result<()> {
        self.tell(&calls::vm_remove_from_other_config(guest.into(), key), watch)?;
        self.tell(&calls::vm_add_to_other_config(guest.into(), key, value), watch)
    }

    pub(super) fn change_guest(&self, guest: &Ref, change: &GuestChange, watch: Watch<'_>) -> Result<()> {
        let vm = || Vm::from(guest);
        let mut calls = Vec::new();
        calls.extend(change.name.as_deref().map(|name| calls::vm_set_name_label(vm(), name)));
        calls.extend(change.description.as_deref().map(|text| calls::vm_set_name_description(vm(), text)));
        if change.vcpus.is_some() || change.vcpus_max.is_some() {
            let now = self.read_guest(guest, watch)?;
            let max = change.vcpus_max.map(|n| calls::vm_set_vcpus_max(vm(), i64::from(n)));
            let number = change.vcpus.map(|n| match now.domid {
                Some(_) => calls::vm_set_vcpus_number_live(vm(), i64::from(n)),
                None => calls::vm_set_vcpus_at_startup(vm(), i64::from(n)),
            });
            // The number never exceeds the maximum on the way.
            let grows = change.vcpus_max.is_some_and(|n| n >= now.vcpus_max);
            calls.extend(if grows { [max, number] } else { [number, max] }.into_iter().flatten());
        }
        if let Some(limits) = &change.memory {
            let [low, high, least, most] = [limits.static_min, limits.static_max, limits.dynamic_min, limits.dynamic_max]
                .map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            calls.push(calls::vm_set_memory_limits(vm(), low, high, least, most));
        }
        if let Some(target) = change.memory_target {
            let target = i64::try_from(target).unwrap_or(i64::MAX);
            calls.push(calls::vm_set_memory_dynamic_range(vm(), target, target));
        }
        calls.extend(change.affinity.as_ref().map(|host| calls::vm_set_affinity(vm(), host.into())));
        calls.extend(change.boot_params.as_deref().map(|text| calls::vm_set_pv_args(vm(), text)));
        for (key, value) in &change.platform {
            calls.extend([calls::vm_remove_from_platform(vm(), key), calls::vm_add_to_platform(vm(), key, value)]);
        }
        for (key, value) in &change.other_config {
            calls.extend([calls::vm_remove_from_other_config(vm(), key), calls::vm_add_to_other_config(vm(), key, value)]);
        }
        if let Some(ha) = &change.ha {
            calls.push(calls::vm_set_ha_restart_priority(vm(), &ha.priority));
            calls.extend([calls::vm_set_order(vm(), ha.order), calls::vm_set_start_delay(vm(), ha.start_delay)]);
        }
        calls.iter().try_for_each(|call| self.tell(call, watch))
    }

    pub(super) fn double(&self, guest: &Ref, name: &str, how: &Duplicate, watch: Watch<'_>) -> Result<Ref> {
        let call = match how {
            Duplicate::Clone => calls::vm_clone(guest.into(), name),
            Duplicate::Copy { sr } => calls::vm_copy(guest.into(), name, Sr(sr.as_ref().map_or(NULL, |sr| &sr.id))),
            Duplicate::Snapshot => calls::vm_snapshot(guest.into(), name),
            Duplicate::Checkpoint => calls::vm_checkpoint(guest.into(), name),
        };
        self.make(Class::Guest, call, watch)
    }

    pub(super) fn move_guest(&self, guest: &Ref, migration: &Migration, watch: Watch<'_>) -> Result<()> {
        let options = BTreeMap::from([("live".to_string(), migration.is_live.to_string())]);
        self.perform(calls::vm_pool_migrate(guest.into(), (&migration.host).into(), &options), watch).map(drop)
    }

    /// What a host says to a pool that sends it a guest, over this network or that of its management.
    pub(super) fn ask_in(&self, host: &Ref, network: Option<&Ref>, watch: Watch<'_>) -> Result<Invitation> {
        let usual = match network {
            Some(_) => None,
            None => self.read_nics(Some(host), watch)?.into_iter().find(|nic| nic.is_management).map(|nic| nic.network),
        };
        let network = network.or(usual.as_ref()).ok_or_else(|| {
            Error::new(Kind::NotFound, "the host that the guest goes to has no management interface").blame(Blame::Lab)
        })?;
        let options = BTreeMap::new();
        let receive = calls::host_migrate_receive(Host::from(host), network.into(), &options);
        let invitation = Invitation(self.ask(&receive, &bound(watch, &receive))?);
        self.hide(&invitation);
        Ok(invitation)
    }

    /// An invitation has the reference of a session.
    fn hide(&self, invitation: &Invitation) {
        let session = invitation.0.get("session_id");
        session.into_iter().for_each(|session| self.mask.learn(&Secret::new(session)));
    }

    /// The call that sends a guest on its way, or asks whether it may go.
    pub(super) fn journey(&self, guest: &Ref, journey: &Journey, call: Send) -> Call {
        self.hide(&journey.to);
        let map =
            |pairs: &[(Ref, Ref)]| -> Map<_, _> { pairs.iter().map(|(of, to)| (of.id.to_string(), (&*to.id).into())).collect() };
        let (disks, vifs) = (VdiToSr(map(&journey.disks)), VifToNetwork(map(&journey.vifs)));
        call(guest.into(), &journey.to.0, journey.is_live, disks, vifs, &BTreeMap::new())
    }

    /// Removes a guest with its snapshots; with its own disks, and the images of its memory, unless they are kept.
    ///
    /// # Source
    /// library.md 12.5: the order of `xe vm-uninstall`.
    pub(super) fn remove_guest(&self, guest: &Ref, keep_disks: bool, watch: Watch<'_>) -> Result<()> {
        let read = calls::vm_get_record(guest.into());
        let cancel = bound(watch, &read);
        let record: VmRecord = self.ask(&read, &cancel)?;
        let mut doomed = Vec::new();
        for snapshot in &record.snapshots {
            let snapshot = Ref::new(Class::Guest, snapshot.clone());
            let kept: VmRecord = self.ask(&calls::vm_get_record((&snapshot).into()), &cancel)?;
            doomed.extend(self.images_of(&snapshot, &kept, keep_disks, &cancel)?);
            self.perform(calls::vm_destroy((&snapshot).into()), watch)?;
        }
        doomed.extend(self.images_of(guest, &record, keep_disks, &cancel)?);
        self.perform(calls::vm_destroy(guest.into()), watch)?;
        let mut result = Ok(());
        for vdi in doomed.into_iter().collect::<BTreeSet<_>>() {
            match self.perform(calls::vdi_destroy(Vdi(&vdi)), watch) {
                Err(error) if error.kind != Kind::NotFound => result = result.and(Err(error)),
                _ => {}
            }
        }
        result
    }

    /// The virtual disks that go with a guest or a snapshot.
    pub(super) fn read_images(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Ref>> {
        let read = calls::vm_get_record(guest.into());
        let cancel = bound(watch, &read);
        let record: VmRecord = self.ask(&read, &cancel)?;
        let mut all = self.images_of(guest, &record, false, &cancel)?;
        for snapshot in &record.snapshots {
            let snapshot = Ref::new(Class::Guest, snapshot.clone());
            let kept: VmRecord = self.ask(&calls::vm_get_record((&snapshot).into()), &cancel)?;
            all.extend(self.images_of(&snapshot, &kept, false, &cancel)?);
        }
        let all: BTreeSet<_> = all.into_iter().collect();
        Ok(all.into_iter().map(|vdi| Ref::new(Class::Volume, vdi)).collect())
    }

    /// The virtual disks that go when a guest or snapshot goes. A snapshot's are copies of its own.
    fn images_of(&self, guest: &Ref, record: &VmRecord, keep_disks: bool, cancel: &Cancel) -> Result<Vec<Arc<str>>> {
        let mut images: Vec<Arc<str>> = record.suspend_vdi.iter().cloned().collect();
        if !keep_disks {
            let vbds = self.read_vbds(guest, cancel)?.into_values();
            let own = vbds.filter(|vbd| vbd.kind == "Disk" && (vbd.is_owned() || record.is_a_snapshot));
            images.extend(own.filter_map(|vbd| vbd.vdi));
        }
        Ok(images)
    }
}

/// A record that may be gone by the time it is read.
fn present<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sorted(mut guests: Vec<Guest>) -> Vec<Guest> {
    guests.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
    guests
}

/// A query for the objects that refer to another.
///
/// # Errors
/// `NotFound` for what cannot be a reference, and must not get into a query.
pub(super) fn refers(field: &str, to: &Ref) -> Result<String> {
    let is_plain = to.id.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.".contains(c));
    if !is_plain {
        return Err(Error::new(Kind::NotFound, format!("`{}` is no reference", to.id)));
    }
    Ok(format!("field \"{field}\" = \"{}\"", to.id))
}

/// The disks of a template, put on an SR: all of them, or those that are nowhere yet.
fn on_sr(xml: &str, uuid: &str, all: bool) -> String {
    let mut text = String::new();
    let mut rest = xml;
    while let Some(at) = rest.find("sr=\"") {
        let (before, after) = rest.split_at(at + "sr=\"".len());
        let Some(end) = after.find('"') else { break };
        text.push_str(before);
        text.push_str(if all || after[..end].is_empty() { uuid } else { &after[..end] });
        rest = &after[end..];
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_of_a_template_are_put_on_an_sr() {
        let xml = r#"<provision><disk device="0" size="1" sr="" bootable="true"/><disk device="1" size="2" sr="old"/></provision>"#;
        let some = on_sr(xml, "new", false);
        assert!(some.contains(r#"size="1" sr="new""#) && some.contains(r#"size="2" sr="old""#), "{some}");
        let all = on_sr(xml, "new", true);
        assert!(all.contains(r#"size="1" sr="new""#) && all.contains(r#"size="2" sr="new"/></provision>"#), "{all}");
        assert_eq!(on_sr("<provision sr=\"", "new", true), "<provision sr=\"");
    }

    #[test]
    fn a_query_takes_nothing_but_references() {
        assert_eq!(refers("VM", &Ref::new(Class::Guest, "OpaqueRef:1-2")).unwrap(), "field \"VM\" = \"OpaqueRef:1-2\"");
        assert!(refers("VM", &Ref::new(Class::Guest, "x\" or true")).is_err());
    }
}
