//! Disks of guests, and their CD drives.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::{signed, told};
use super::{json, option};
use crate::lab::{DestroyOptions, Disk, FormatOptions, Guest, NewDiskOptions, Size, Sr};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(disk);

#[export_module(manifest)]
mod disk {
    use crate::lab::Volume;

    /// Gives the disks of the guest, without CD drives, by position.
    ///
    /// ```rhai
    /// for disk in guest("guest1").disks() { log(`${disk.device}: ${disk.size} bytes`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn disks(vm: &mut Guest) -> Raised<Array> {
        Ok(told(vm, vm.disks())?.into_iter().map(Dynamic::from).collect())
    }

    /// Makes a disk of 1 GiB on the pool's default SR. A running guest gets it at once, and must see it.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk();
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_disk(vm: &mut Guest) -> Raised<Disk> {
        told(vm, vm.create_disk(&NewDiskOptions::default()))
    }

    /// Makes a disk with options, or takes a virtual disk that is there.
    ///
    /// - `size`: bytes or a text such as "2GiB" (default 1 GiB)
    /// - `sr`: the SR, or its name (default: the pool's default SR)
    /// - `vdi`: a virtual disk that is there, or its uuid, instead of a new one
    /// - `name`: what the new virtual disk is called
    /// - `position`: its place on the guest's bus (default: the first that is free)
    /// - `bootable`: whether the guest may start from it (default false)
    /// - `mode`: "rw" (default) or "ro"
    /// - `plug`: whether a running guest gets it at once (default true)
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB", sr: pool().default_sr });
    /// check(disk.size == mib(100), "as large as asked");
    /// disk.destroy();
    /// ```
    #[rhai_fn(name = "create_disk", pure, return_raw)]
    pub fn create_disk_with(vm: &mut Guest, options: Map) -> Raised<Disk> {
        let options = option::read::<NewDiskOptions>("create_disk", option::plain(options))?;
        told(vm, vm.create_disk(&options))
    }

    /// Puts a disc of this name into the guest's CD drive; one without a drive gets one.
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// vm.insert_cd("guest-tools.iso");
    /// vm.eject_cd();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn insert_cd(vm: &mut Guest, disc: &str) -> Raised<()> {
        told(vm, vm.insert_cd(disc))
    }

    /// Takes out what is in the guest's CD drive, if there is anything.
    ///
    /// ```rhai
    /// guest("guest1").eject_cd();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn eject_cd(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.eject_cd())
    }

    /// Gives what the disk is called in the guest, such as "xvdb"; `()` if it was never attached.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].device);
    /// ```
    #[rhai_fn(get = "device", pure, return_raw)]
    pub fn device(disk: &mut Disk) -> Raised<Dynamic> {
        Ok(told(disk.guest(), disk.device())?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Gives the place of the disk on the guest's bus, as text.
    ///
    /// ```rhai
    /// check(guest("guest1").disks()[0].position == "0", "the first");
    /// ```
    #[rhai_fn(get = "position", pure)]
    pub fn position(disk: &mut Disk) -> String {
        disk.known().position.clone()
    }

    /// Gives the uuid of the disk: of what joins the guest with the virtual disk.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].uuid);
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(disk: &mut Disk) -> String {
        disk.known().uuid.clone()
    }

    /// Gives the reference by which the toolstack knows the disk. Calls of `xapi` take the disk itself as well.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(disk: &mut Disk) -> String {
        disk.known().reference.id.to_string()
    }

    /// Gives the virtual disk that the disk is of.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].vdi.name);
    /// ```
    #[rhai_fn(get = "vdi", pure, return_raw)]
    pub fn vdi(disk: &mut Disk) -> Raised<Volume> {
        told(disk.guest(), disk.volume())
    }

    /// Gives the SR that the content of the disk is on.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].sr.name);
    /// ```
    #[rhai_fn(get = "sr", pure, return_raw)]
    pub fn sr(disk: &mut Disk) -> Raised<Sr> {
        told(disk.guest(), disk.sr())
    }

    /// Gives the bytes of the disk.
    ///
    /// ```rhai
    /// check(guest("guest1").disks()[0].size > 0, "it has a size");
    /// ```
    #[rhai_fn(get = "size", pure, return_raw)]
    pub fn size(disk: &mut Disk) -> Raised<i64> {
        Ok(signed(told(disk.guest(), disk.size())?))
    }

    /// Tells whether the disk is attached to its running guest.
    ///
    /// ```rhai
    /// check(guest("guest1").disks()[0].is_attached, "the guest runs from it");
    /// ```
    #[rhai_fn(get = "is_attached", pure, return_raw)]
    pub fn is_attached(disk: &mut Disk) -> Raised<bool> {
        Ok(told(disk.guest(), disk.record())?.is_attached)
    }

    /// Attaches the disk to its running guest, and waits until the guest sees it.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB", plug: false });
    /// disk.plug();
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn plug(disk: &mut Disk) -> Raised<()> {
        told(disk.guest(), disk.plug())
    }

    /// Takes the disk from its running guest, and waits until the guest no longer sees it.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB" });
    /// disk.unplug();
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn unplug(disk: &mut Disk) -> Raised<()> {
        told(disk.guest(), disk.unplug())
    }

    /// Makes the disk larger: to so many bytes, or to a size such as "2GiB". Most hypervisors want its guest to be down.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB", plug: false });
    /// disk.resize("200MiB");
    /// check(disk.size == mib(200), "it grew");
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn resize(disk: &mut Disk, size: Dynamic) -> Raised<()> {
        let size = option::value::<Size>("resize", "size", &size)?;
        told(disk.guest(), disk.resize(size.0))
    }

    /// Removes the disk with its content. It is taken from a running guest first.
    ///
    /// ```rhai
    /// guest("guest1").create_disk().destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn destroy(disk: &mut Disk) -> Raised<()> {
        told(disk.guest(), disk.destroy(&DestroyOptions::default()))
    }

    /// Removes the disk with options.
    ///
    /// - `keep_vdi`: whether the virtual disk stays on its SR (default false)
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk();
    /// let vdi = disk.vdi;
    /// disk.destroy(#{ keep_vdi: true });
    /// vdi.destroy();
    /// ```
    #[rhai_fn(name = "destroy", pure, return_raw)]
    pub fn destroy_with(disk: &mut Disk, options: Map) -> Raised<()> {
        let options = option::read::<DestroyOptions>("destroy", options)?;
        told(disk.guest(), disk.destroy(&options))
    }

    /// Moves the content of the disk to another SR, or one of this name; while its guest runs, too.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB" });
    /// disk.migrate(guest("guest1").host.local_sr);
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn migrate(disk: &mut Disk, sr: Dynamic) -> Raised<()> {
        let sr = option::thing("migrate", "sr", &sr)?;
        told(disk.guest(), disk.migrate(&sr))
    }

    /// Makes an ext4 file system on all of the disk, from inside the guest, and gives the path of its device.
    ///
    /// ```rhai
    /// let disk = guest("guest1").create_disk(#{ size: "100MiB" });
    /// disk.format();
    /// disk.destroy();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn format(disk: &mut Disk) -> Raised<String> {
        told(disk.guest(), disk.format(&FormatOptions::default()))
    }

    /// Makes a file system on all of the disk, from inside the guest, with options; gives the path of its device.
    ///
    /// - `fs`: the kind of file system (default "ext4")
    /// - `mount`: the directory to mount it at, made if need be (default: it is not mounted)
    /// - `timeout`: seconds or a text (default "20m")
    ///
    /// ```rhai
    /// let vm = guest("guest1");
    /// let disk = vm.create_disk(#{ size: "100MiB" });
    /// disk.format(#{ fs: "ext4", mount: "/mnt/scratch" });
    /// vm.exec("umount /mnt/scratch");
    /// disk.destroy();
    /// ```
    #[rhai_fn(name = "format", pure, return_raw)]
    pub fn format_with(disk: &mut Disk, options: Map) -> Raised<String> {
        let options = option::read::<FormatOptions>("format", options)?;
        told(disk.guest(), disk.format(&options))
    }

    /// Gives a field of the disk's record.
    ///
    /// ```rhai
    /// log(guest("guest1").disks()[0].get("mode"));
    /// ```
    #[rhai_fn(name = "get", pure, return_raw)]
    pub fn disk_get(disk: &mut Disk, field: &str) -> Raised<Dynamic> {
        told(disk.guest(), disk.get(field, None)).map(json::dynamic)
    }

    /// Sets a field of the disk's record.
    ///
    /// ```rhai
    /// guest("guest1").disks()[0].set("other_config", #{ owner: "" });
    /// ```
    #[rhai_fn(name = "set", pure, return_raw)]
    pub fn disk_set(disk: &mut Disk, field: &str, value: Dynamic) -> Raised<()> {
        told(disk.guest(), disk.set(field, None, json::value(&value)?))
    }

    /// Tells whether both are the same disk.
    ///
    /// ```rhai
    /// check(guest("guest1").disks()[0] == guest("guest1").disks()[0], "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(disk: &mut Disk, other: Disk) -> bool {
        disk.known().reference == other.known().reference
    }

    /// Tells whether these are two disks.
    ///
    /// ```rhai
    /// check(guest("guest1").disks()[0] != guest("guest2").disks()[0], "each has its own");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(disk: &mut Disk, other: Disk) -> bool {
        disk.known().reference != other.known().reference
    }

    /// Gives the disk as text.
    ///
    /// ```rhai
    /// log(`${guest("guest1").disks()[0]}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(disk: &mut Disk) -> String {
        disk.to_string()
    }
}
