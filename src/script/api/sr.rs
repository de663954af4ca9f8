//! Storage repositories.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::signed;
use super::host::list;
use super::{option, told};
use crate::lab::{Size, Sr, WaitOptions};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Map};
use serde::Deserialize;

/// What a virtual disk is to be.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct VolumeOptions {
    name: String,
    size: Size,
}

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(sr);

#[export_module(manifest)]
mod sr {
    use crate::lab::Volume;

    /// Gives the name of the SR.
    ///
    /// ```rhai
    /// log(pool().default_sr.name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(sr: &mut Sr) -> String {
        sr.name().clone()
    }

    /// Gives the uuid of the SR.
    ///
    /// ```rhai
    /// check(pool().default_sr.uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(sr: &mut Sr) -> String {
        sr.uuid().clone()
    }

    /// Gives the reference by which the toolstack knows the SR. Calls of `xapi` take the SR itself as well.
    ///
    /// ```rhai
    /// log(pool().default_sr.ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(sr: &mut Sr) -> String {
        sr.reference().id.to_string()
    }

    /// Tells whether both are the same SR.
    ///
    /// ```rhai
    /// check(pool().default_sr == pool().default_sr, "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(sr: &mut Sr, other: Sr) -> bool {
        sr.reference() == other.reference()
    }

    /// Tells whether these are two SRs.
    ///
    /// ```rhai
    /// check(!(pool().default_sr != pool().default_sr), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(sr: &mut Sr, other: Sr) -> bool {
        sr.reference() != other.reference()
    }

    /// Gives the SR as text.
    ///
    /// ```rhai
    /// log(`this is ${pool().default_sr}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(sr: &mut Sr) -> String {
        sr.to_string()
    }

    /// Gives the type of the SR in the toolstack's words: "nfs", "lvmoiscsi", "ext".
    ///
    /// ```rhai
    /// log(pool().default_sr.type);
    /// ```
    #[rhai_fn(get = "type", pure, return_raw)]
    pub fn kind(sr: &mut Sr) -> Raised<String> {
        told(sr.context(), sr.record()).map(|record| record.kind.clone())
    }

    /// Tells whether all hosts of the pool have the SR.
    ///
    /// ```rhai
    /// if !pool().default_sr.is_pool_wide { skip("needs shared storage"); }
    /// ```
    #[rhai_fn(get = "is_pool_wide", pure, return_raw)]
    pub fn is_pool_wide(sr: &mut Sr) -> Raised<bool> {
        told(sr.context(), sr.record()).map(|record| record.is_shared)
    }

    /// Gives the bytes that the SR has.
    ///
    /// ```rhai
    /// log(`${pool().default_sr.size / GIB} GiB`);
    /// ```
    #[rhai_fn(get = "size", pure, return_raw)]
    pub fn size(sr: &mut Sr) -> Raised<i64> {
        told(sr.context(), sr.record()).map(|record| signed(record.size))
    }

    /// Gives the bytes of the SR that are taken.
    ///
    /// ```rhai
    /// check(pool().default_sr.used <= pool().default_sr.size, "it fits");
    /// ```
    #[rhai_fn(get = "used", pure, return_raw)]
    pub fn used(sr: &mut Sr) -> Raised<i64> {
        told(sr.context(), sr.record()).map(|record| signed(record.used))
    }

    /// Gives the virtual disks on the SR.
    ///
    /// ```rhai
    /// for vdi in pool().default_sr.vdis() { log(`${vdi.name}: ${vdi.size}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn vdis(sr: &mut Sr) -> Raised<Array> {
        told(sr.context(), sr.volumes()).map(list)
    }

    /// Gives a virtual disk on the SR by its name or uuid.
    ///
    /// ```rhai
    /// let sr = pool().default_sr;
    /// let vdi = sr.vdi(sr.vdis()[0].uuid);
    /// ```
    #[rhai_fn(name = "vdi", pure, return_raw)]
    pub fn vdi_named(sr: &mut Sr, name: &str) -> Raised<Volume> {
        told(sr.context(), sr.volume(name))
    }

    /// Makes a virtual disk on the SR.
    ///
    /// - `size`: bytes or a text such as "2GiB"
    /// - `name`: what it is called
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "one", size: "1GiB" });
    /// check(vdi.size == GIB, `${vdi.size}`);
    /// vdi.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_vdi(sr: &mut Sr, options: Map) -> Raised<Volume> {
        let options = option::read::<VolumeOptions>("create_vdi", options)?;
        told(sr.context(), sr.create_volume(&options.name, options.size.0))
    }

    /// Has the back end look for what is on the SR.
    ///
    /// ```rhai
    /// pool().default_sr.scan();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn scan(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.scan())
    }

    /// Looks at what is on the SR, and sees that every host that is to have it has it: plugged, and where it is a file system, mounted.
    ///
    /// ```rhai
    /// for sr in pool().srs() { sr.check(); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn check(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.check())
    }

    /// Plugs the SR into all hosts that know it, the master first.
    ///
    /// ```rhai
    /// pool().default_sr.plug();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn plug(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.plug())
    }

    /// Unplugs the SR from all hosts, the master last.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "unplugged", server: "nfs1", path: "/a" });
    /// sr.unplug();
    /// sr.plug();
    /// sr.remove();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn unplug(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.unplug())
    }

    /// Takes the SR out of the pool. What is on it stays; `introduce` brings it back.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "forgotten", server: "nfs1", path: "/b" });
    /// sr.forget();
    /// sr.introduce();
    /// sr.remove();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn forget(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.forget())
    }

    /// Brings an SR back that was forgotten, on the hosts that had it.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "known again", server: "nfs1", path: "/c" });
    /// let uuid = sr.uuid;
    /// sr.forget();
    /// sr.introduce();
    /// check(sr.uuid == uuid, "the same one");
    /// sr.remove();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn introduce(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.introduce())
    }

    /// Takes the SR out of the pool with everything on it.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "destroyed", server: "nfs1", path: "/d" });
    /// sr.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.destroy())
    }

    /// Gets rid of the SR as its type wants it: its virtual disks are removed; then it is destroyed where the storage was its own, as on a disk or a LUN, and else forgotten.
    ///
    /// ```rhai
    /// let sr = pool().create_sr(#{ type: "nfs", name: "removed", server: "nfs1", path: "/e" });
    /// sr.remove();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn remove(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.remove())
    }

    /// Waits until what was left of removed snapshots is merged, at most 10 minutes.
    ///
    /// ```rhai
    /// pool().default_sr.wait_coalesced();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait_coalesced(sr: &mut Sr) -> Raised<()> {
        told(sr.context(), sr.wait_coalesced(&WaitOptions::default()))
    }

    /// Waits until what was left of removed snapshots is merged, with the option `timeout`: seconds or a text (default "10m").
    ///
    /// ```rhai
    /// pool().default_sr.wait_coalesced(#{ timeout: "1h" });
    /// ```
    #[rhai_fn(name = "wait_coalesced", pure, return_raw)]
    pub fn wait_coalesced_with(sr: &mut Sr, options: Map) -> Raised<()> {
        let options = option::read::<WaitOptions>("wait_coalesced", option::plain(options))?;
        told(sr.context(), sr.wait_coalesced(&options))
    }
}
