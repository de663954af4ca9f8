//! Networks, the interfaces of hosts and those of guests.

use super::calls::{self, BondModeWord, IpMode, NetworkRecord as NewNetwork, Pif, PifRefs, VifRecord as NewVif, Vlan};
use super::guest::refers;
use super::record::{BondRecord, NetworkRecord, PifMetricsRecord, PifRecord, VifRecord};
use super::session::Xapi;
use super::sr::fields;
use super::task::bound;
use super::value::All;
use crate::error::{Error, Kind, Result};
use crate::toolstack::{Addressing, BondMode, Class, IpConfig, Network, NetworkSpec, Nic, Ref, Vif, VifSpec, Watch};
use serde_json::json;
use std::collections::BTreeMap;

impl Xapi {
    pub(super) fn read_networks(&self, watch: Watch<'_>) -> Result<Vec<Network>> {
        let call = calls::network_get_all_records();
        let records: All<NetworkRecord> = self.ask(&call, &bound(watch, &call))?;
        let mut networks: Vec<Network> =
            records.into_iter().map(|(id, record)| record.network(Ref::new(Class::Network, id))).collect();
        networks.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
        Ok(networks)
    }

    pub(super) fn read_nics(&self, host: Option<&Ref>, watch: Watch<'_>) -> Result<Vec<Nic>> {
        let call = calls::pif_get_all_records();
        let cancel = bound(watch, &call);
        let mut records: All<PifRecord> = self.ask(&call, &cancel)?;
        records.retain(|_, record| host.is_none_or(|host| record.host.as_ref() == Some(&host.id)));
        let metrics: All<PifMetricsRecord> = self.ask(&calls::pif_metrics_get_all_records(), &cancel)?;
        let bonds: All<BondRecord> = match records.values().any(|record| !record.bond_master_of.is_empty()) {
            true => self.ask(&calls::bond_get_all_records(), &cancel)?,
            false => All::new(),
        };
        let nics = records.into_iter().map(|(id, record)| {
            let metrics = record.metrics.as_ref().and_then(|id| metrics.get(id));
            record.nic(Ref::new(Class::Nic, id), metrics, &bonds)
        });
        let mut nics: Vec<Nic> = nics.collect();
        nics.sort_by(|a, b| (&a.host, &a.device, a.vlan, &a.uuid).cmp(&(&b.host, &b.device, b.vlan, &b.uuid)));
        Ok(nics)
    }

    pub(super) fn read_vifs(&self, guest: &Ref, watch: Watch<'_>) -> Result<Vec<Vif>> {
        let call = calls::vif_get_all_records_where(&refers("VM", guest)?);
        let cancel = bound(watch, &call);
        let records: All<VifRecord> = self.ask(&call, &cancel)?;
        if records.is_empty() {
            // A guest that does not exist has no interfaces either.
            self.ask::<serde::de::IgnoredAny>(&calls::vm_get_record(guest.into()), &cancel)?;
        }
        let own = records.into_iter().filter(|(_, record)| record.vm.as_ref() == Some(&guest.id));
        let mut vifs: Vec<Vif> = own.map(|(id, record)| record.vif(Ref::new(Class::Vif, id))).collect();
        vifs.sort_by_key(|vif| (vif.device.parse::<u32>().unwrap_or(u32::MAX), vif.device.clone()));
        Ok(vifs)
    }

    pub(super) fn make_network(&self, spec: &NetworkSpec, watch: Watch<'_>) -> Result<Ref> {
        let record = json!({
            "name_label": spec.name, "name_description": spec.description, "MTU": spec.mtu, "other_config": spec.other_config,
        });
        let call = calls::network_create(NewNetwork(fields(record)));
        let made: String = self.ask(&call, &bound(watch, &call))?;
        Ok(Ref::new(Class::Network, made))
    }

    pub(super) fn make_vif(&self, spec: &VifSpec, watch: Watch<'_>) -> Result<Ref> {
        let device = match &spec.device {
            Some(device) => device.clone(),
            None => {
                let call = calls::vm_get_allowed_vif_devices((&spec.guest).into());
                self.first_free(self.ask(&call, &bound(watch, &call))?, "VIF")?
            }
        };
        let record = json!({
            "VM": &*spec.guest.id, "network": &*spec.network.id, "device": device, "MAC": spec.mac, "MTU": spec.mtu, "other_config": {},
            "qos_algorithm_type": "", "qos_algorithm_params": {},
        });
        let call = calls::vif_create(NewVif(fields(record)));
        let made: String = self.ask(&call, &bound(watch, &call))?;
        Ok(Ref::new(Class::Vif, made))
    }

    pub(super) fn make_vlan(&self, nic: &Ref, tag: u16, network: &Ref, watch: Watch<'_>) -> Result<Ref> {
        self.make(Class::Vlan, calls::vlan_create(nic.into(), i64::from(tag), network.into()), watch)
    }

    pub(super) fn make_bond(&self, network: &Ref, nics: &[Ref], mode: BondMode, watch: Watch<'_>) -> Result<Ref> {
        let members = PifRefs(nics.iter().map(|nic| nic.id.to_string()).collect());
        let mode = BondModeWord(match mode {
            BondMode::BalanceSlb => "balance-slb",
            BondMode::ActiveBackup => "active-backup",
            BondMode::Lacp => "lacp",
        });
        self.make(Class::Bond, calls::bond_create(network.into(), members, "", mode, &BTreeMap::new()), watch)
    }

    /// Removes the VLAN or the bond that an interface is.
    pub(super) fn remove_nic(&self, nic: &Ref, watch: Watch<'_>) -> Result<()> {
        let read = calls::pif_get_record(nic.into());
        let record: PifRecord = self.ask(&read, &bound(watch, &read))?;
        if let Some(vlan) = &record.vlan_master_of {
            return self.perform(calls::vlan_destroy(Vlan(vlan)), watch).map(drop);
        }
        match record.bond_master_of.first() {
            Some(bond) => self.perform(calls::bond_destroy(calls::Bond(bond)), watch).map(drop),
            None => Err(Error::new(Kind::Refused, "only a VLAN or a bond can be removed, not a physical interface")),
        }
    }

    pub(super) fn give_address(&self, nic: &Ref, address: &IpConfig, watch: Watch<'_>) -> Result<()> {
        let pif = || Pif::from(nic);
        let mode = IpMode(match address.mode {
            Addressing::None => "None",
            Addressing::Dhcp => "DHCP",
            Addressing::Static => "Static",
        });
        let (ip, mask) = (&address.ip, &address.netmask);
        self.perform(calls::pif_reconfigure_ip(pif(), mode, ip, mask, &address.gateway, &address.dns), watch)?;
        if address.mode != Addressing::None {
            self.perform(calls::pif_plug(pif()), watch)?;
        }
        if address.is_management {
            // The host answers elsewhere from here on, so its own answer may be lost.
            self.tell(&calls::host_management_reconfigure(pif()), watch)?;
        }
        Ok(())
    }
}
