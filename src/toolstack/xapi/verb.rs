//! The toolstack's verbs, as calls of XAPI.

use super::calls;
use super::session::Xapi;
use crate::error::Result;
use crate::secret::Secret;
use crate::toolstack::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::sync::Arc;

impl Toolstack for Xapi {
    fn name(&self) -> &str {
        &self.name
    }

    fn pool(&self, watch: Watch<'_>) -> Result<Pool> {
        self.read_pool(watch)
    }

    fn hosts(&self, watch: Watch<'_>) -> Result<Vec<Host>> {
        self.read_hosts(watch)
    }

    fn guests(&self, watch: Watch<'_>) -> Result<Vec<Guest>> {
        self.read_guests(watch)
    }

    fn templates(&self, watch: Watch<'_>) -> Result<Vec<Guest>> {
        self.read_templates(watch)
    }

    fn guest(&self, guest: &Ref, watch: Watch<'_>) -> Result<Guest> {
        self.read_guest(guest, watch)
    }

    fn host(&self, host: &Ref, watch: Watch<'_>) -> Result<Host> {
        self.read_host(host, watch)
    }

    fn sr(&self, sr: &Ref, watch: Watch<'_>) -> Result<Sr> {
        self.read_sr(sr, watch)
    }

    fn srs(&self, watch: Watch<'_>) -> Result<Vec<Sr>> {
        self.read_srs(watch)
    }

    fn networks(&self, watch: Watch<'_>) -> Result<Vec<Network>> {
        self.read_networks(watch)
    }

    fn nics(&self, host: Option<&Ref>, watch: Watch<'_>) -> Result<Vec<Nic>> {
        self.read_nics(host, watch)
    }

    fn disks(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Disk>> {
        self.read_disks(guest, watch)
    }

    fn vifs(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Vif>> {
        self.read_vifs(guest, watch)
    }

    fn snapshots(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Snapshot>> {
        self.read_snapshots(guest, watch)
    }

    fn volumes(&self, sr: &Ref, watch: Watch<'_>) -> Result<Vec<Volume>> {
        self.read_volumes(sr, watch)
    }

    fn act(&self, verb: &Verb, watch: Watch<'_>) -> Result<()> {
        let run = |call| self.perform(call, watch).map(drop);
        let tell = |call| self.tell(&call, watch);
        match verb {
            Verb::Start { guest, on: None, paused } => run(calls::vm_start(guest.into(), *paused, false)),
            Verb::Start { guest, on: Some(host), paused } => run(calls::vm_start_on(guest.into(), host.into(), *paused, false)),
            Verb::CleanShutdown(guest) => run(calls::vm_clean_shutdown(guest.into())),
            Verb::HardShutdown(guest) => run(calls::vm_hard_shutdown(guest.into())),
            Verb::CleanReboot(guest) => run(calls::vm_clean_reboot(guest.into())),
            Verb::HardReboot(guest) => run(calls::vm_hard_reboot(guest.into())),
            Verb::Suspend(guest) => run(calls::vm_suspend(guest.into())),
            Verb::Resume { guest, on: None } => run(calls::vm_resume(guest.into(), false, false)),
            Verb::Resume { guest, on: Some(host) } => run(calls::vm_resume_on(guest.into(), host.into(), false, false)),
            Verb::Pause(guest) => run(calls::vm_pause(guest.into())),
            Verb::Unpause(guest) => run(calls::vm_unpause(guest.into())),
            Verb::SetTemplate(guest, is_template) => tell(calls::vm_set_is_a_template(guest.into(), *is_template)),
            Verb::Revert(snapshot) => run(calls::vm_revert(snapshot.into())),
            Verb::Destroy(thing) => self.destroy(thing, watch),
            Verb::Forget(sr) => self.remove_sr(sr, false, watch),
            Verb::Plug(thing) => self.plug(thing, true, watch),
            Verb::Unplug(thing) => self.plug(thing, false, watch),
            Verb::Scan(sr) => run(calls::sr_scan(sr.into())),
            Verb::Resize { volume, size } => run(calls::vdi_resize(volume.into(), i64::try_from(*size).unwrap_or(i64::MAX))),
            Verb::MoveVif { vif, network } => run(calls::vif_move(vif.into(), network.into())),
            Verb::MoveVolume { volume, sr } => run(calls::vdi_pool_migrate(volume.into(), sr.into(), &Default::default())),
            Verb::Enable(host) => tell(calls::host_enable(host.into())),
            Verb::Disable(host) => tell(calls::host_disable(host.into())),
            Verb::Evacuate(host) => run(calls::host_evacuate(host.into())),
            // No tasks: the pool that would keep their records may be on its way down.
            Verb::RebootHost(host) => tell(calls::host_reboot(host.into())),
            Verb::ShutdownHost(host) => tell(calls::host_shutdown(host.into())),
            Verb::PowerOn(host) => tell(calls::host_power_on(host.into())),
            Verb::RestartToolstack(host) => tell(calls::host_restart_agent(host.into())),
            Verb::Join { master, user, password, force } => self.join(master, user, password, *force, watch),
            Verb::Eject(host) => tell(calls::pool_eject(host.into())),
            Verb::SetMaster(host) => tell(calls::pool_designate_new_master(host.into())),
            Verb::SetDefaultSr(sr) => self.set_default_sr(sr, watch),
            Verb::SetSuspendSr(sr) => self.set_suspend_sr(sr, watch),
            Verb::SyncDatabase => tell(calls::pool_sync_database()),
            Verb::EnableHa { srs, settings } => self.enable_ha(srs, settings, watch),
            Verb::DisableHa => run(calls::pool_disable_ha()),
        }
    }

    fn create(&self, spec: &Spec, watch: Watch<'_>) -> Result<Ref> {
        match spec {
            Spec::Guest(spec) => self.make_guest(spec, watch),
            Spec::Volume(spec) => self.make_volume(spec, watch),
            Spec::Disk(spec) => self.make_disk(spec, watch),
            Spec::Vif(spec) => self.make_vif(spec, watch),
            Spec::VolumeSnapshot(volume) => self.make(Class::Volume, calls::vdi_snapshot(volume.into()), watch),
            Spec::VolumeClone(volume) => self.make(Class::Volume, calls::vdi_clone(volume.into()), watch),
            Spec::Sr(spec) => self.make_sr(spec, watch),
            Spec::KnownSr { uuid, sr } => self.introduce_sr(uuid, sr, watch),
            Spec::Plug { sr, host, device } => self.make_plug(sr, host, device, watch),
            Spec::Network(spec) => self.make_network(spec, watch),
            Spec::Vlan { nic, tag, network } => self.make_vlan(nic, *tag, network, watch),
            Spec::Bond { network, nics, mode } => self.make_bond(network, nics, *mode, watch),
        }
    }

    fn probe(&self, sr: &SrSpec, watch: Watch<'_>) -> Result<String> {
        self.probe_sr(sr, watch)
    }

    fn configure(&self, guest: &Ref, change: &GuestChange, watch: Watch<'_>) -> Result<()> {
        self.change_guest(guest, change, watch)
    }

    fn duplicate(&self, guest: &Ref, name: &str, how: &Duplicate, watch: Watch<'_>) -> Result<Ref> {
        self.double(guest, name, how, watch)
    }

    fn migrate(&self, guest: &Ref, migration: &Migration, watch: Watch<'_>) -> Result<()> {
        self.move_guest(guest, migration, watch)
    }

    fn invite(&self, host: &Ref, network: Option<&Ref>, watch: Watch<'_>) -> Result<Invitation> {
        self.ask_in(host, network, watch)
    }

    fn send(&self, guest: &Ref, journey: &Journey, watch: Watch<'_>) -> Result<()> {
        self.perform(self.journey(guest, journey, calls::vm_migrate_send), watch).map(drop)
    }

    fn may_send(&self, guest: &Ref, journey: &Journey, watch: Watch<'_>) -> Result<()> {
        self.tell(&self.journey(guest, journey, calls::vm_assert_can_migrate), watch)
    }

    fn another(&self, address: &str, user: Option<&str>, password: Option<Secret>) -> Result<Arc<dyn Toolstack>> {
        Ok(Arc::new(self.beside(address, user, password)?))
    }

    fn images(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Ref>> {
        self.read_images(guest, watch)
    }

    fn destroy_guest(&self, guest: &Ref, keep_disks: bool, watch: Watch<'_>) -> Result<()> {
        self.remove_guest(guest, keep_disks, watch)
    }

    fn set_cd(&self, guest: &Ref, disc: Option<&str>, watch: Watch<'_>) -> Result<()> {
        self.put_cd(guest, disc, watch)
    }

    fn set_ip(&self, nic: &Ref, address: &IpConfig, watch: Watch<'_>) -> Result<()> {
        self.give_address(nic, address, watch)
    }

    fn export_guest(&self, guest: &Ref, to: &mut (dyn Write + Send), watch: Watch<'_>) -> Result<u64> {
        self.export(guest, to, watch)
    }

    fn import_guest(&self, from: &mut (dyn Read + Send), bytes: Option<u64>, sr: Option<&Ref>, watch: Watch<'_>) -> Result<Ref> {
        self.import(from, bytes, sr, watch)
    }

    fn screenshot(&self, guest: &Ref, watch: Watch<'_>) -> Result<(Vec<u8>, &'static str)> {
        self.picture(guest, watch)
    }

    fn wait_change(&self, things: &[Ref], token: &mut String, watch: Watch<'_>) -> Result<()> {
        self.news(things, token, watch)
    }

    fn get(&self, thing: &Ref, field: &str, watch: Watch<'_>) -> Result<Value> {
        self.field(thing, field, watch)
    }

    fn set(&self, thing: &Ref, field: &str, value: &Value, watch: Watch<'_>) -> Result<()> {
        self.set_field(thing, field, value, watch)
    }

    fn find(&self, class: &str, fields: &[(String, Value)], watch: Watch<'_>) -> Result<Vec<Value>> {
        self.records(class, fields, watch)
    }

    fn with_uuid(&self, class: Class, uuid: &str, watch: Watch<'_>) -> Result<Option<Ref>> {
        self.reference(class, uuid, watch)
    }

    fn call(&self, method: &str, arguments: &[Value], watch: Watch<'_>) -> Result<Value> {
        self.call_any(method, arguments, watch)
    }

    fn log_out(&self) {
        self.say_good_bye();
    }

    fn warnings(&self) -> Vec<String> {
        self.take_notes()
    }
}

impl Xapi {
    fn destroy(&self, thing: &Ref, watch: Watch<'_>) -> Result<()> {
        let run = |call| self.perform(call, watch).map(drop);
        match thing.class {
            Class::Guest => self.remove_guest(thing, false, watch),
            Class::Volume => run(calls::vdi_destroy(thing.into())),
            Class::Disk => run(calls::vbd_destroy(thing.into())),
            Class::Vif => run(calls::vif_destroy(thing.into())),
            Class::Network => run(calls::network_destroy(thing.into())),
            Class::Vlan => run(calls::vlan_destroy(thing.into())),
            Class::Bond => run(calls::bond_destroy(thing.into())),
            Class::Nic => self.remove_nic(thing, watch),
            Class::Sr => self.remove_sr(thing, true, watch),
            Class::Plug => run(calls::pbd_destroy(thing.into())),
            Class::Pool | Class::Host => Err(self.unsupported("way to destroy a pool or a host")),
        }
    }

    fn plug(&self, thing: &Ref, is_in: bool, watch: Watch<'_>) -> Result<()> {
        let call = match (thing.class, is_in) {
            (Class::Disk, true) => calls::vbd_plug(thing.into()),
            (Class::Disk, false) => calls::vbd_unplug(thing.into()),
            (Class::Vif, true) => calls::vif_plug(thing.into()),
            (Class::Vif, false) => calls::vif_unplug(thing.into()),
            (Class::Plug, true) => calls::pbd_plug(thing.into()),
            (Class::Plug, false) => calls::pbd_unplug(thing.into()),
            (Class::Nic, true) => calls::pif_plug(thing.into()),
            (Class::Nic, false) => calls::pif_unplug(thing.into()),
            _ => return Err(self.unsupported("way to plug that")),
        };
        self.perform(call, watch).map(drop)
    }
}
