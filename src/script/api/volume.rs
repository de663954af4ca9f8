//! Virtual disks on an SR, whether a guest uses them or not.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::signed;
use super::{option, told};
use crate::lab::{Size, Volume};
use crate::script::failure::Raised;
use rhai::Dynamic;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(volume);

#[export_module(manifest)]
mod volume {
    /// Gives the name of the virtual disk.
    ///
    /// ```rhai
    /// log(pool().default_sr.vdis()[0].name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(vdi: &mut Volume) -> String {
        vdi.name().to_string()
    }

    /// Gives the uuid of the virtual disk.
    ///
    /// ```rhai
    /// check(pool().default_sr.vdis()[0].uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(vdi: &mut Volume) -> String {
        vdi.known().uuid.clone()
    }

    /// Gives the reference by which the toolstack knows the virtual disk. Calls of `xapi` take the virtual disk itself as well.
    ///
    /// ```rhai
    /// log(pool().default_sr.vdis()[0].ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(vdi: &mut Volume) -> String {
        vdi.reference().id.to_string()
    }

    /// Tells whether both are the same virtual disk.
    ///
    /// ```rhai
    /// check(pool().default_sr.vdis()[0] == pool().default_sr.vdis()[0], "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(vdi: &mut Volume, other: Volume) -> bool {
        vdi.reference() == other.reference()
    }

    /// Tells whether these are two virtual disks.
    ///
    /// ```rhai
    /// check(!(pool().default_sr.vdis()[0] != pool().default_sr.vdis()[0]), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(vdi: &mut Volume, other: Volume) -> bool {
        vdi.reference() != other.reference()
    }

    /// Gives the virtual disk as text.
    ///
    /// ```rhai
    /// log(`this is ${pool().default_sr.vdis()[0]}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(vdi: &mut Volume) -> String {
        vdi.to_string()
    }

    /// Gives the bytes that a guest sees of the virtual disk.
    ///
    /// ```rhai
    /// log(pool().default_sr.vdis()[0].size);
    /// ```
    #[rhai_fn(get = "size", pure, return_raw)]
    pub fn size(vdi: &mut Volume) -> Raised<i64> {
        told(vdi.context(), vdi.record()).map(|record| signed(record.size))
    }

    /// Gives the bytes that the virtual disk takes on its SR.
    ///
    /// ```rhai
    /// log(pool().default_sr.vdis()[0].used);
    /// ```
    #[rhai_fn(get = "used", pure, return_raw)]
    pub fn used(vdi: &mut Volume) -> Raised<i64> {
        told(vdi.context(), vdi.record()).map(|record| signed(record.used))
    }

    /// Tells whether the virtual disk keeps an earlier state of another.
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "snapped", size: "1GiB" });
    /// let before = vdi.snapshot();
    /// check(before.is_snapshot && !vdi.is_snapshot, "one of them");
    /// before.destroy();
    /// vdi.destroy();
    /// ```
    #[rhai_fn(get = "is_snapshot", pure)]
    pub fn is_snapshot(vdi: &mut Volume) -> bool {
        vdi.known().is_snapshot
    }

    /// Makes the virtual disk larger: to so many bytes, or a text such as "4GiB".
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "grown", size: "1GiB" });
    /// vdi.resize("2GiB");
    /// check(vdi.size == 2 * GIB, `${vdi.size}`);
    /// vdi.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn resize(vdi: &mut Volume, size: Dynamic) -> Raised<()> {
        let size = option::value::<Size>("resize", "size", &size)?;
        told(vdi.context(), vdi.resize(size.0))
    }

    /// Gives a new virtual disk that keeps what this one holds now.
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "kept", size: "1GiB" });
    /// let before = vdi.snapshot();
    /// before.destroy();
    /// vdi.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn snapshot(vdi: &mut Volume) -> Raised<Volume> {
        told(vdi.context(), vdi.snapshot())
    }

    /// Gives a new virtual disk that begins as this one is now.
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "doubled", size: "1GiB" });
    /// let copy = vdi.clone_vdi();
    /// copy.destroy();
    /// vdi.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn clone_vdi(vdi: &mut Volume) -> Raised<Volume> {
        told(vdi.context(), vdi.duplicate())
    }

    /// Removes the virtual disk with what is on it.
    ///
    /// ```rhai
    /// let vdi = pool().default_sr.create_vdi(#{ name: "gone", size: "1GiB" });
    /// vdi.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(vdi: &mut Volume) -> Raised<()> {
        told(vdi.context(), vdi.destroy())
    }
}
