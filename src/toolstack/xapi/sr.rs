//! Storage: SRs, what is on them, and the disks and drives that guests have of it.

use super::calls::{self, Pbd, PbdRecord as NewPbd, Sr as SrRef, Vbd, VbdRecord as NewVbd, Vdi, VdiRecord as NewVdi};
use super::guest::refers;
use super::record::{PbdRecord, SrRecord, VbdRecord, VdiRecord};
use super::session::Xapi;
use super::task::bound;
use super::value::{All, NULL};
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::time::Cancel;
use crate::toolstack::{Class, Disk, DiskSpec, Ref, Sr, SrSpec, Volume, VolumeSpec, Watch};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The fields of a new object.
pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl Xapi {
    pub(super) fn read_srs(&self, watch: Watch<'_>) -> Result<Vec<Sr>> {
        let call = calls::sr_get_all_records();
        let cancel = bound(watch, &call);
        let records: All<SrRecord> = self.ask(&call, &cancel)?;
        let plugs: All<PbdRecord> = self.ask(&calls::pbd_get_all_records(), &cancel)?;
        let mut srs: Vec<Sr> = records.into_iter().map(|(id, record)| record.sr(Ref::new(Class::Sr, id), &plugs)).collect();
        srs.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
        Ok(srs)
    }

    pub(super) fn read_sr(&self, sr: &Ref, watch: Watch<'_>) -> Result<Sr> {
        let call = calls::sr_get_record(sr.into());
        let cancel = bound(watch, &call);
        let record: SrRecord = self.ask(&call, &cancel)?;
        let plugs: All<PbdRecord> = self.ask(&calls::pbd_get_all_records_where(&refers("SR", sr)?), &cancel)?;
        Ok(record.sr(sr.clone(), &plugs))
    }

    pub(super) fn read_volumes(&self, sr: &Ref, watch: Watch<'_>) -> Result<Vec<Volume>> {
        let call = calls::vdi_get_all_records_where(&refers("SR", sr)?);
        let records: All<VdiRecord> = self.ask(&call, &bound(watch, &call))?;
        let volumes = records.into_iter().map(|(id, record)| record.volume(Ref::new(Class::Volume, id)));
        let mut volumes: Vec<Volume> = volumes.filter(|volume| volume.sr == *sr).collect();
        volumes.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
        Ok(volumes)
    }

    pub(super) fn read_volume(&self, vdi: &str, cancel: &Cancel) -> Result<Volume> {
        let record: VdiRecord = self.ask(&calls::vdi_get_record(Vdi(vdi)), cancel)?;
        Ok(record.volume(Ref::new(Class::Volume, vdi)))
    }

    pub(super) fn read_disks(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Disk>> {
        let read = calls::vm_get_record(guest.into());
        let cancel = bound(watch, &read);
        let records = self.read_vbds(guest, &cancel)?;
        if records.is_empty() {
            // A guest that does not exist has no disks either.
            self.ask::<serde::de::IgnoredAny>(&read, &cancel)?;
        }
        let mut disks = Vec::with_capacity(records.len());
        for (id, record) in records {
            let volume = match record.vdi.clone().filter(|_| !record.empty) {
                Some(vdi) => Some(self.read_volume(&vdi, &cancel)?),
                None => None,
            };
            disks.push(record.disk(Ref::new(Class::Disk, id), volume));
        }
        disks.sort_by_key(|disk| (disk.position.parse::<u32>().unwrap_or(u32::MAX), disk.position.clone()));
        Ok(disks)
    }

    pub(super) fn make_volume(&self, spec: &VolumeSpec, watch: Watch<'_>) -> Result<Ref> {
        let record = json!({
            "name_label": spec.name, "name_description": "", "SR": &*spec.sr.id, "virtual_size": spec.size, "type": "user",
            "sharable": false, "read_only": false, "other_config": {},
        });
        self.make(Class::Volume, calls::vdi_create(NewVdi(fields(record))), watch)
    }

    pub(super) fn make_disk(&self, spec: &DiskSpec, watch: Watch<'_>) -> Result<Ref> {
        let position = match &spec.position {
            Some(position) => position.clone(),
            None => {
                let call = calls::vm_get_allowed_vbd_devices((&spec.guest).into());
                self.first_free(self.ask(&call, &bound(watch, &call))?, "disk")?
            }
        };
        let other_config = if spec.is_owned { json!({"owner": ""}) } else { json!({}) };
        let record = json!({
            "VM": &*spec.guest.id, "VDI": spec.volume.as_ref().map_or(NULL, |volume| &volume.id), "userdevice": position,
            "bootable": spec.is_bootable, "mode": if spec.is_read_only || spec.is_cd { "RO" } else { "RW" },
            "type": if spec.is_cd { "CD" } else { "Disk" }, "unpluggable": true, "empty": spec.volume.is_none(),
            "other_config": other_config, "qos_algorithm_type": "", "qos_algorithm_params": {},
        });
        let call = calls::vbd_create(NewVbd(fields(record)));
        let made: String = self.ask(&call, &bound(watch, &call))?;
        Ok(Ref::new(Class::Disk, made))
    }

    /// The lowest of the places that a guest has left.
    pub(super) fn first_free(&self, mut places: Vec<String>, what: &str) -> Result<String> {
        places.sort_by_key(|place| (place.parse::<u32>().unwrap_or(u32::MAX), place.clone()));
        places.into_iter().next().ok_or_else(|| {
            Error::new(Kind::Refused, format!("the guest has no place left for another {what}")).blame(Blame::Author)
        })
    }

    pub(super) fn put_cd(&self, guest: &Ref, disc: Option<&str>, watch: Watch<'_>) -> Result<()> {
        let read = calls::vbd_get_all_records_where(&refers("VM", guest)?);
        let cancel = bound(watch, &read);
        let drives = self.read_vbds(guest, &cancel)?.into_iter().filter(|(_, vbd)| vbd.kind == "CD");
        let drive: Option<(_, VbdRecord)> = drives.min_by_key(|(id, vbd)| (vbd.empty, id.clone()));
        let volume = match disc {
            Some(disc) => Some(self.find_disc(disc, watch)?),
            None => None,
        };
        let drive = match (drive, &volume) {
            (Some((id, vbd)), _) => {
                if !vbd.empty {
                    self.tell(&calls::vbd_eject(Vbd(&id)), watch)?;
                }
                id
            }
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                let spec = DiskSpec {
                    guest: guest.clone(),
                    volume: None,
                    position: None,
                    is_cd: true,
                    is_bootable: false,
                    is_read_only: true,
                    is_owned: false,
                };
                self.make_disk(&spec, watch)?.id
            }
        };
        match volume {
            Some(volume) => self.tell(&calls::vbd_insert(Vbd(&drive), (&volume).into()), watch),
            None => Ok(()),
        }
    }

    /// The disc of this name on any SR for discs.
    fn find_disc(&self, name: &str, watch: Watch<'_>) -> Result<Ref> {
        let srs: Vec<Sr> = self.read_srs(watch)?.into_iter().filter(|sr| sr.content == "iso").collect();
        let mut known = Vec::new();
        for sr in &srs {
            for volume in self.read_volumes(&sr.reference, watch)? {
                if volume.name == name {
                    return Ok(volume.reference);
                }
                known.push(volume.name);
            }
        }
        let near = crate::name::nearest(name, known.iter().map(String::as_str));
        let error = Error::new(Kind::NotFound, format!("no SR of {} has the disc `{name}`", self.machine())).blame(Blame::Lab);
        Err(match near {
            Some(near) => error.help(format!("there is `{near}`")),
            None => error.help("put it on an ISO SR and scan that"),
        })
    }

    pub(super) fn make_sr(&self, spec: &SrSpec, watch: Watch<'_>) -> Result<Ref> {
        self.learn_secrets(spec);
        let (host, device, shared) = ((&spec.host).into(), &spec.device, spec.is_shared);
        let call = if spec.sm.is_empty() {
            calls::sr_create_plain(host, device, 0, &spec.name, "", &spec.kind, &spec.content, shared)
        } else {
            calls::sr_create(host, device, 0, &spec.name, "", &spec.kind, &spec.content, shared, &spec.sm)
        };
        self.make(Class::Sr, call, watch)
    }

    pub(super) fn introduce_sr(&self, uuid: &str, spec: &SrSpec, watch: Watch<'_>) -> Result<Ref> {
        self.learn_secrets(spec);
        let call = calls::sr_introduce(uuid, &spec.name, "", &spec.kind, &spec.content, spec.is_shared);
        self.make(Class::Sr, call, watch)
    }

    pub(super) fn probe_sr(&self, spec: &SrSpec, watch: Watch<'_>) -> Result<String> {
        self.learn_secrets(spec);
        let host = (&spec.host).into();
        let call = if spec.sm.is_empty() {
            calls::sr_probe(host, &spec.device, &spec.kind)
        } else {
            calls::sr_probe_with(host, &spec.device, &spec.kind, &spec.sm)
        };
        Ok(self.perform(call, watch)?.into_iter().next().unwrap_or_default())
    }

    fn learn_secrets(&self, spec: &SrSpec) {
        spec.secrets.iter().filter_map(|key| spec.device.get(key)).for_each(|value| self.mask.learn(&Secret::new(value)));
    }

    pub(super) fn make_plug(&self, sr: &Ref, host: &Ref, device: &BTreeMap<String, String>, watch: Watch<'_>) -> Result<Ref> {
        let record = json!({"SR": &*sr.id, "host": &*host.id, "device_config": device});
        let call = calls::pbd_create(NewPbd(fields(record)));
        let made: String = self.ask(&call, &bound(watch, &call))?;
        Ok(Ref::new(Class::Plug, made))
    }

    /// Unplugs an SR everywhere, from the coordinator last, and then forgets it or destroys it with what is on it.
    pub(super) fn remove_sr(&self, sr: &Ref, with_contents: bool, watch: Watch<'_>) -> Result<()> {
        let record = self.read_sr(sr, watch)?;
        if with_contents {
            for volume in self.read_volumes(sr, watch)? {
                match self.perform(calls::vdi_destroy((&volume.reference).into()), watch) {
                    // One that went with another.
                    Err(error) if error.kind != Kind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        let master = self.read_pool(watch)?.master;
        let (own, others): (Vec<_>, Vec<_>) = record.plugs.iter().filter(|p| p.is_attached).partition(|p| p.host == master);
        for plug in others.into_iter().chain(own) {
            self.perform(calls::pbd_unplug(Pbd::from(&plug.reference)), watch)?;
        }
        let call = if with_contents { calls::sr_destroy(SrRef::from(sr)) } else { calls::sr_forget(SrRef::from(sr)) };
        self.perform(call, watch).map(drop)
    }
}
