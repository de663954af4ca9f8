//! Pools and hosts.

use super::calls::{self, Call, Host as HostRef, HostMetrics, Pool as PoolRef, SrRefs};
use super::record::{HostMetricsRecord, HostRecord, PoolRecord};
use super::session::Xapi;
use super::task::bound;
use super::value::All;
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::time::Cancel;
use crate::toolstack::{Class, Host, Pool, Ref, Watch};
use std::collections::BTreeMap;

impl Xapi {
    /// Does what is answered when it is done.
    pub(super) fn tell(&self, call: &Call, watch: Watch<'_>) -> Result<()> {
        self.ask::<serde::de::IgnoredAny>(call, &bound(watch, call)).map(drop)
    }

    pub(super) fn read_pool(&self, watch: Watch<'_>) -> Result<Pool> {
        let call = calls::pool_get_all_records();
        let pools: All<PoolRecord> = self.ask(&call, &bound(watch, &call))?;
        let (id, record) = pools
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(Kind::Malformed, format!("{} has no pool", self.machine())).blame(Blame::Product))?;
        Ok(record.pool(Ref::new(Class::Pool, id)))
    }

    pub(super) fn read_hosts(&self, watch: Watch<'_>) -> Result<Vec<Host>> {
        let call = calls::host_get_all_records();
        let cancel = bound(watch, &call);
        let records: All<HostRecord> = self.ask(&call, &cancel)?;
        let metrics: All<HostMetricsRecord> = self.ask(&calls::host_metrics_get_all_records(), &cancel)?;
        let none = HostMetricsRecord::default();
        let mut hosts = Vec::with_capacity(records.len());
        for (id, record) in records {
            let metrics = record.metrics.as_ref().and_then(|id| metrics.get(id)).unwrap_or(&none);
            let free = self.free_memory(&id, metrics, &cancel)?;
            hosts.push(record.host(Ref::new(Class::Host, id), metrics, free));
        }
        hosts.sort_by(|a, b| (&a.name, &a.uuid).cmp(&(&b.name, &b.uuid)));
        Ok(hosts)
    }

    pub(super) fn read_host(&self, host: &Ref, watch: Watch<'_>) -> Result<Host> {
        let call = calls::host_get_record(host.into());
        let cancel = bound(watch, &call);
        let record: HostRecord = self.ask(&call, &cancel)?;
        let metrics = match &record.metrics {
            Some(metrics) => self.ask(&calls::host_metrics_get_record(HostMetrics(metrics)), &cancel)?,
            None => HostMetricsRecord::default(),
        };
        let free = self.free_memory(&host.id, &metrics, &cancel)?;
        Ok(record.host(host.clone(), &metrics, free))
    }

    /// As the pool reckons it when it looks for room: no record has it.
    fn free_memory(&self, host: &str, metrics: &HostMetricsRecord, cancel: &Cancel) -> Result<u64> {
        if !metrics.live {
            return Ok(0);
        }
        match self.ask::<serde_json::Value>(&calls::host_compute_free_memory(HostRef(host)), cancel) {
            Ok(free) => Ok(super::value::int(free).map_or(0, |free| u64::try_from(free).unwrap_or(0))),
            Err(error) if cancel.is_raised() => Err(error),
            // A host that went away in this moment.
            Err(_) => Ok(0),
        }
    }

    pub(super) fn join(&self, master: &str, user: &str, password: &Secret, force: bool, watch: Watch<'_>) -> Result<()> {
        self.mask.learn(password);
        let join = if force { calls::pool_join_force } else { calls::pool_join };
        // No task: this host's record of it goes when it takes over the pool's database.
        self.tell(&join(master, user, password.reveal()), watch)
    }

    /// With an SR for the crash dumps too, as the pool's storage is one place for tests.
    pub(super) fn set_default_sr(&self, sr: &Ref, watch: Watch<'_>) -> Result<()> {
        let pool = self.read_pool(watch)?.reference;
        self.tell(&calls::pool_set_default_sr(PoolRef::from(&pool), sr.into()), watch)
    }

    pub(super) fn set_suspend_sr(&self, sr: &Ref, watch: Watch<'_>) -> Result<()> {
        let pool = self.read_pool(watch)?.reference;
        self.tell(&calls::pool_set_suspend_image_sr(PoolRef::from(&pool), sr.into()), watch)
    }

    pub(super) fn enable_ha(&self, srs: &[Ref], settings: &BTreeMap<String, String>, watch: Watch<'_>) -> Result<()> {
        let srs = SrRefs(srs.iter().map(|sr| sr.id.to_string()).collect());
        self.perform(calls::pool_enable_ha(srs, settings), watch).map(drop)
    }
}
