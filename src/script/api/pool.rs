//! A pool: its hosts, who is its master, and what all of them share.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::host::list;
use super::{option, told};
use crate::lab::{HaOptions, JoinOptions, MasterOptions, Pool, SrOptions};
use crate::script::case::Case;
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(pool);

#[export_module(manifest)]
mod pool {
    use crate::lab::{Host, Sr};

    /// Gives the pool of this run: the first of `--pool`, or that of the first host.
    ///
    /// ```rhai
    /// log(`${pool().hosts().len()} hosts`);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pool(call: NativeCallContext) -> Raised<Pool> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.pool(None, &case.context))
    }

    /// Gives a pool by its name or uuid, or by what a sequence calls it: `RESOURCE_POOL_1`.
    ///
    /// ```rhai
    /// check(pool(pool().uuid) == pool(), "found by its uuid");
    /// ```
    #[rhai_fn(name = "pool", return_raw)]
    pub fn pool_named(call: NativeCallContext, name: &str) -> Raised<Pool> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.pool(Some(name), &case.context))
    }

    /// Gives the name of the pool.
    ///
    /// ```rhai
    /// log(pool().name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(pool: &mut Pool) -> String {
        pool.name().to_string()
    }

    /// Gives the uuid of the pool.
    ///
    /// ```rhai
    /// check(pool().uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(pool: &mut Pool) -> String {
        pool.uuid().to_string()
    }

    /// Gives the reference by which the toolstack knows the pool. Calls of `xapi` take the pool itself as well.
    ///
    /// ```rhai
    /// log(pool().ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(pool: &mut Pool) -> String {
        pool.reference().id.to_string()
    }

    /// Tells whether both are the same pool.
    ///
    /// ```rhai
    /// check(pool() == pool(), "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(pool: &mut Pool, other: Pool) -> bool {
        pool.reference() == other.reference()
    }

    /// Tells whether these are two pools.
    ///
    /// ```rhai
    /// check(!(pool() != pool()), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(pool: &mut Pool, other: Pool) -> bool {
        pool.reference() != other.reference()
    }

    /// Gives the pool as text.
    ///
    /// ```rhai
    /// log(`this is ${pool()}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(pool: &mut Pool) -> String {
        pool.to_string()
    }

    /// Gives the hosts of the pool, the master first.
    ///
    /// ```rhai
    /// for host in pool().hosts() { log(host.name); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn hosts(pool: &mut Pool) -> Raised<Array> {
        told(pool.context(), pool.hosts()).map(list)
    }

    /// Gives the hosts of the pool but the master.
    ///
    /// ```rhai
    /// check(pool().members().len() == pool().hosts().len() - 1, "all but one");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn members(pool: &mut Pool) -> Raised<Array> {
        told(pool.context(), pool.members()).map(list)
    }

    /// Gives the master of the pool.
    ///
    /// ```rhai
    /// check(pool().master == pool().hosts()[0], "it comes first");
    /// ```
    #[rhai_fn(get = "master", pure, return_raw)]
    pub fn master(pool: &mut Pool) -> Raised<Host> {
        told(pool.context(), pool.master())
    }

    /// Gives a host of the pool by its name or uuid.
    ///
    /// ```rhai
    /// let host = pool().host(pool().master.name);
    /// ```
    #[rhai_fn(name = "host", pure, return_raw)]
    pub fn host_of(pool: &mut Pool, name: &str) -> Raised<Host> {
        told(pool.context(), pool.host(name))
    }

    /// Gives all guests of the pool, by name.
    ///
    /// ```rhai
    /// for vm in pool().guests() { log(`${vm.name} is ${vm.state}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn guests(pool: &mut Pool) -> Raised<Array> {
        told(pool.context(), pool.guests()).map(list)
    }

    /// Gives all SRs of the pool.
    ///
    /// ```rhai
    /// for sr in pool().srs() { log(sr.name); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn srs(pool: &mut Pool) -> Raised<Array> {
        told(pool.context(), pool.srs()).map(list)
    }

    /// Gives an SR of the pool by its name or uuid.
    ///
    /// ```rhai
    /// let sr = pool().sr(pool().default_sr.uuid);
    /// ```
    #[rhai_fn(name = "sr", pure, return_raw)]
    pub fn sr_of(pool: &mut Pool, name: &str) -> Raised<Sr> {
        told(pool.context(), pool.sr(name))
    }

    /// Gives the SR where new disks go when nobody says.
    ///
    /// ```rhai
    /// log(pool().default_sr.name);
    /// ```
    #[rhai_fn(get = "default_sr", pure, return_raw)]
    pub fn default_sr(pool: &mut Pool) -> Raised<Sr> {
        told(pool.context(), pool.default_sr())
    }

    /// Has new disks, suspended guests and crash dumps go to this SR when nobody says otherwise.
    ///
    /// ```rhai
    /// pool().set_default_sr(pool().default_sr);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_default_sr(pool: &mut Pool, sr: Sr) -> Raised<()> {
        told(pool.context(), pool.set_default_sr(&sr))
    }

    /// Makes an SR as `host.create_sr` does, by the master, and waits until all hosts can use it.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "shared scratch", server: "nfs1", path: "/export/two" });
    /// defer(|| sr.remove());
    /// check(sr.is_pool_wide, "for all hosts");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_sr(pool: &mut Pool, options: Map) -> Raised<Sr> {
        let options = option::read::<SrOptions>("create_sr", option::plain(options))?;
        told(pool.context(), pool.create_sr(&options))
    }

    /// Brings a host, so far a pool of its own, into the pool, and waits until it takes guests there.
    ///
    /// ```rhai
    /// // pool().add(host("RESOURCE_HOST_1"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn add(pool: &mut Pool, host: Host) -> Raised<()> {
        told(pool.context(), pool.add(&host, &JoinOptions::default()))
    }

    /// Brings a host into the pool with options.
    ///
    /// - `timeout`: seconds or a text (default "30m")
    /// - `force`: even where it does not fit (default false)
    ///
    /// ```rhai
    /// // pool().add(host("RESOURCE_HOST_1"), #{ force: true });
    /// ```
    #[rhai_fn(name = "add", pure, return_raw)]
    pub fn add_with(pool: &mut Pool, host: Host, options: Map) -> Raised<()> {
        let options = option::read::<JoinOptions>("add", options)?;
        told(pool.context(), pool.add(&host, &options))
    }

    /// Takes a host out of the pool, and waits until it answers as a pool of its own, without what was on its disks.
    ///
    /// ```rhai
    /// // pool().eject(pool().members()[0]);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn eject(pool: &mut Pool, host: Host) -> Raised<()> {
        told(pool.context(), pool.eject(&host, &MasterOptions::default()))
    }

    /// Takes a host out of the pool, with the option `timeout`: seconds or a text (default "30m").
    ///
    /// ```rhai
    /// // pool().eject(pool().members()[0], #{ timeout: "1h" });
    /// ```
    #[rhai_fn(name = "eject", pure, return_raw)]
    pub fn eject_with(pool: &mut Pool, host: Host, options: Map) -> Raised<()> {
        let options = option::read::<MasterOptions>("eject", options)?;
        told(pool.context(), pool.eject(&host, &options))
    }

    /// Makes a member the master of the pool, and waits until the pool says so.
    ///
    /// ```rhai
    /// let first = pool().master;
    /// pool().set_master(pool().members()[0]);
    /// pool().set_master(first);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn set_master(pool: &mut Pool, host: Host) -> Raised<()> {
        told(pool.context(), pool.set_master(&host, &MasterOptions::default()))
    }

    /// Makes a member the master of the pool, with the option `timeout`: seconds or a text (default "30m").
    ///
    /// ```rhai
    /// let first = pool().master;
    /// pool().set_master(pool().members()[0], #{ timeout: "10m" });
    /// pool().set_master(first);
    /// ```
    #[rhai_fn(name = "set_master", pure, return_raw)]
    pub fn set_master_with(pool: &mut Pool, host: Host, options: Map) -> Raised<()> {
        let options = option::read::<MasterOptions>("set_master", options)?;
        told(pool.context(), pool.set_master(&host, &options))
    }

    /// Has the master send its database to all members.
    ///
    /// ```rhai
    /// pool().sync_database();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn sync_database(pool: &mut Pool) -> Raised<()> {
        told(pool.context(), pool.sync_database())
    }

    /// Tells whether the pool watches over its hosts, and restarts guests of those that are lost.
    ///
    /// ```rhai
    /// check(!pool().is_ha_enabled, "not yet");
    /// ```
    #[rhai_fn(get = "is_ha_enabled", pure, return_raw)]
    pub fn is_ha_enabled(pool: &mut Pool) -> Raised<bool> {
        told(pool.context(), pool.record()).map(|record| record.is_ha_enabled)
    }

    /// Turns high availability on, with its heartbeats on the default SR.
    ///
    /// ```rhai
    /// // pool().enable_ha();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn enable_ha(pool: &mut Pool) -> Raised<()> {
        told(pool.context(), pool.enable_ha(&HaOptions::default()))
    }

    /// Turns high availability on with options.
    ///
    /// - `srs`: names of the SRs for the heartbeats (default: the default SR)
    /// - `config`: settings of the toolstack, such as `#{ timeout: 60 }`
    /// - `timeout`: how long it may take (default "30m")
    ///
    /// ```rhai
    /// // pool().enable_ha(#{ config: #{ timeout: 60 } });
    /// ```
    #[rhai_fn(name = "enable_ha", pure, return_raw)]
    pub fn enable_ha_with(pool: &mut Pool, options: Map) -> Raised<()> {
        let options = option::read::<HaOptions>("enable_ha", option::plain(options))?;
        told(pool.context(), pool.enable_ha(&options))
    }

    /// Turns high availability off.
    ///
    /// ```rhai
    /// // pool().disable_ha();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn disable_ha(pool: &mut Pool) -> Raised<()> {
        told(pool.context(), pool.disable_ha())
    }

    /// Sees that the pool has a master, and that every host is there and takes guests.
    ///
    /// ```rhai
    /// pool().check();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn check(pool: &mut Pool) -> Raised<()> {
        told(pool.context(), pool.check())
    }
}
