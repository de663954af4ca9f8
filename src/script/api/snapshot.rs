//! Snapshots and checkpoints of guests.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::json;
use crate::lab::{Guest, Snapshot};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Dynamic};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(snapshot);

#[export_module(manifest)]
mod snapshot {
    /// Keeps what is on the guest's disks now, and gives the snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn snapshot(vm: &mut Guest) -> Raised<Snapshot> {
        told(vm, vm.snapshot(None))
    }

    /// Keeps what is on the guest's disks now, by this name, and gives the snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot("before the test");
    /// check(snap.name == "before the test" && !snap.is_checkpoint, "without memory");
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "snapshot", pure, return_raw)]
    pub fn snapshot_as(vm: &mut Guest, name: &str) -> Raised<Snapshot> {
        told(vm, vm.snapshot(Some(name)))
    }

    /// Keeps what is on the guest's disks and in its memory now, and gives the checkpoint. The guest goes on.
    ///
    /// ```rhai
    /// let snap = guest("guest2").checkpoint();
    /// check(snap.is_checkpoint, "with memory");
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn checkpoint(vm: &mut Guest) -> Raised<Snapshot> {
        told(vm, vm.checkpoint(None))
    }

    /// Keeps what is on the guest's disks and in its memory now, by this name, and gives the checkpoint.
    ///
    /// ```rhai
    /// guest("guest2").checkpoint("as it was").destroy();
    /// ```
    #[rhai_fn(name = "checkpoint", pure, return_raw)]
    pub fn checkpoint_as(vm: &mut Guest, name: &str) -> Raised<Snapshot> {
        told(vm, vm.checkpoint(Some(name)))
    }

    /// Gives the snapshots and checkpoints of the guest, oldest first.
    ///
    /// ```rhai
    /// for snap in guest("guest2").snapshots() { log(snap.name); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn snapshots(vm: &mut Guest) -> Raised<Array> {
        Ok(told(vm, vm.snapshots())?.into_iter().map(Dynamic::from).collect())
    }

    /// Takes the guest back to a snapshot of it. It is then down; after a checkpoint it is suspended.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// let snap = vm.snapshot();
    /// vm.revert(snap);
    /// vm.start();
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn revert(vm: &mut Guest, snap: Snapshot) -> Raised<()> {
        told(vm, vm.revert(&snap))
    }

    /// Gives the name of the snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot("a");
    /// log(snap.name);
    /// snap.destroy();
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(snap: &mut Snapshot) -> String {
        snap.name().to_string()
    }

    /// Gives the uuid of the snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// check(snap.uuid.len() == 36, "a uuid");
    /// snap.destroy();
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(snap: &mut Snapshot) -> String {
        snap.uuid().to_string()
    }

    /// Gives the reference by which the toolstack knows the snapshot. Calls of `xapi` take the snapshot itself as well.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// log(snap.ref);
    /// snap.destroy();
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(snap: &mut Snapshot) -> String {
        snap.reference().id.to_string()
    }

    /// Tells whether the guest's memory is in the snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// check(!snap.is_checkpoint, "disks only");
    /// snap.destroy();
    /// ```
    #[rhai_fn(get = "is_checkpoint", pure)]
    pub fn is_checkpoint(snap: &mut Snapshot) -> bool {
        snap.is_checkpoint()
    }

    /// Takes the guest of the snapshot back to it. It is then down; after a checkpoint it is suspended.
    ///
    /// ```rhai
    /// let snap = guest("guest2").checkpoint();
    /// snap.revert();
    /// guest("guest2").resume();
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "revert", pure, return_raw)]
    pub fn revert_to(snap: &mut Snapshot) -> Raised<()> {
        told(snap.guest(), snap.revert())
    }

    /// Removes the snapshot, and sees that it is gone.
    ///
    /// ```rhai
    /// let vm = guest("guest2");
    /// let before = vm.snapshots().len();
    /// vm.snapshot().destroy();
    /// check(vm.snapshots().len() == before, "as many as before");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(snap: &mut Snapshot) -> Raised<()> {
        told(snap.guest(), snap.destroy())
    }

    /// Makes a guest that begins as the snapshot's guest was then, with a name that no other has. It is down.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// let vm = snap.instantiate();
    /// vm.uninstall();
    /// snap.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn instantiate(snap: &mut Snapshot) -> Raised<Guest> {
        told(snap.guest(), snap.instantiate(None))
    }

    /// Makes a guest of this name that begins as the snapshot's guest was then. It is down.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// snap.instantiate(random_name("again")).uninstall();
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "instantiate", pure, return_raw)]
    pub fn instantiate_as(snap: &mut Snapshot, name: &str) -> Raised<Guest> {
        told(snap.guest(), snap.instantiate(Some(name)))
    }

    /// Gives a field of the snapshot's record.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// log(snap.get("snapshot_time"));
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn snapshot_get(snap: &mut Snapshot, field: &str) -> Raised<Dynamic> {
        told(snap.guest(), snap.get(field, None)).map(json::dynamic)
    }

    /// Sets a field of the snapshot's record.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// snap.set("name_description", "for tests");
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn snapshot_set(snap: &mut Snapshot, field: &str, value: Dynamic) -> Raised<()> {
        told(snap.guest(), snap.set(field, None, json::value(&value)?))
    }

    /// Tells whether both are the same snapshot.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// check(snap in guest("guest2").snapshots(), "it is one of them");
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(snap: &mut Snapshot, other: Snapshot) -> bool {
        snap.reference() == other.reference()
    }

    /// Tells whether these are two snapshots.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot();
    /// check(!(snap != snap), "one and the same");
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(snap: &mut Snapshot, other: Snapshot) -> bool {
        snap.reference() != other.reference()
    }

    /// Gives the snapshot as text.
    ///
    /// ```rhai
    /// let snap = guest("guest2").snapshot("a");
    /// log(`${snap}`);
    /// snap.destroy();
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(snap: &mut Snapshot) -> String {
        snap.to_string()
    }
}
