//! A host: what it is, commands in its control domain, and what is on it.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::signed;
use super::{json, option, told};
use crate::lab::{Host, ImportOptions, MachineOptions, SrOptions, XeOptions};
use crate::script::case::Case;
use crate::script::failure::{Raised, raise};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};
use std::path::Path;

/// The variable that says what guests are when nobody says.
const USUAL_DISTRO: &str = "DEFAULT_GUEST_DISTRO";

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(host);

/// Objects of the library as a list of a script.
pub(super) fn list<T: Clone + Send + Sync + 'static>(all: Vec<T>) -> Array {
    all.into_iter().map(Dynamic::from).collect()
}

#[export_module(manifest)]
mod host {
    use crate::lab::{Guest, Sr};

    /// Gives the host of this run: the first of `--host`, or the master of the first pool.
    ///
    /// ```rhai
    /// let host = host();
    /// log(`${host.name} at ${host.ip}`);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn host(call: NativeCallContext) -> Raised<Host> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.host(None, &case.context))
    }

    /// Gives a host by its name, uuid or address, or by what a sequence calls it: `RESOURCE_HOST_1`.
    ///
    /// ```rhai
    /// check(host(host().name) == host(), "found by its name");
    /// ```
    #[rhai_fn(name = "host", return_raw)]
    pub fn host_named(call: NativeCallContext, name: &str) -> Raised<Host> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.host(Some(name), &case.context))
    }

    /// Gives all hosts, of each pool the master first.
    ///
    /// ```rhai
    /// for host in hosts() { log(`${host.name}: ${host.cpus} processors`); } // all of pool() too
    /// ```
    #[rhai_fn(return_raw)]
    pub fn hosts(call: NativeCallContext) -> Raised<Array> {
        let case = Case::of(&call)?;
        told(&case.context, case.lab.hosts(&case.context)).map(list)
    }

    /// Gives the name of the host.
    ///
    /// ```rhai
    /// log(host().name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(host: &mut Host) -> String {
        host.name().to_string()
    }

    /// Gives the uuid of the host.
    ///
    /// ```rhai
    /// check(host().uuid.len() == 36, "a uuid");
    /// ```
    #[rhai_fn(get = "uuid", pure)]
    pub fn uuid(host: &mut Host) -> String {
        host.uuid().to_string()
    }

    /// Gives the reference by which the toolstack knows the host. Calls of `xapi` take the host itself as well.
    ///
    /// ```rhai
    /// log(host().ref);
    /// ```
    #[rhai_fn(get = "ref", pure)]
    pub fn reference(host: &mut Host) -> String {
        host.reference().id.to_string()
    }

    /// Tells whether both are the same host.
    ///
    /// ```rhai
    /// check(host() == host(), "one and the same");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(host: &mut Host, other: Host) -> bool {
        host.reference() == other.reference()
    }

    /// Tells whether these are two hosts.
    ///
    /// ```rhai
    /// check(!(host() != host()), "one and the same");
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(host: &mut Host, other: Host) -> bool {
        host.reference() != other.reference()
    }

    /// Gives the host as text.
    ///
    /// ```rhai
    /// log(`this is ${host()}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(host: &mut Host) -> String {
        host.to_string()
    }

    /// Gives the address that the host is managed at.
    ///
    /// ```rhai
    /// log(host().ip);
    /// ```
    #[rhai_fn(get = "ip", pure, return_raw)]
    pub fn ip(host: &mut Host) -> Raised<String> {
        told(&host.context(), host.record()).map(|record| record.address)
    }

    /// Gives the name that the host has for itself.
    ///
    /// ```rhai
    /// log(host().hostname);
    /// ```
    #[rhai_fn(get = "hostname", pure, return_raw)]
    pub fn hostname(host: &mut Host) -> Raised<String> {
        told(&host.context(), host.record()).map(|record| record.hostname)
    }

    /// Gives the control domain of the host: a machine with all that a guest has inside, such as `exec` and `read_file`.
    ///
    /// ```rhai
    /// log(host().dom0.exec("uname -r"));
    /// ```
    #[rhai_fn(get = "dom0", pure, return_raw)]
    pub fn dom0(host: &mut Host) -> Raised<Guest> {
        told(&host.context(), host.dom0())
    }

    /// Tells whether the host takes guests.
    ///
    /// ```rhai
    /// check(host().is_enabled, "it takes guests");
    /// ```
    #[rhai_fn(get = "is_enabled", pure, return_raw)]
    pub fn is_enabled(host: &mut Host) -> Raised<bool> {
        told(&host.context(), host.record()).map(|record| record.is_enabled)
    }

    /// Tells whether the host's pool has heard of it lately.
    ///
    /// ```rhai
    /// check(host().is_live, "it is there");
    /// ```
    #[rhai_fn(get = "is_live", pure, return_raw)]
    pub fn is_live(host: &mut Host) -> Raised<bool> {
        told(&host.context(), host.record()).map(|record| record.is_live)
    }

    /// Gives the number of processors that the host has.
    ///
    /// ```rhai
    /// check(host().cpus > 0, "it has a processor");
    /// ```
    #[rhai_fn(get = "cpus", pure, return_raw)]
    pub fn cpus(host: &mut Host) -> Raised<i64> {
        told(&host.context(), host.record()).map(|record| i64::from(record.cpus))
    }

    /// Gives the bytes of memory that the host has.
    ///
    /// ```rhai
    /// check(host().total_memory > gib(1), "enough to begin with");
    /// ```
    #[rhai_fn(get = "total_memory", pure, return_raw)]
    pub fn total_memory(host: &mut Host) -> Raised<i64> {
        told(&host.context(), host.record()).map(|record| signed(record.total_memory))
    }

    /// Gives the bytes of memory that no guest of the host has.
    ///
    /// ```rhai
    /// if host().free_memory < mib(512) { skip("the host is full"); }
    /// ```
    #[rhai_fn(get = "free_memory", pure, return_raw)]
    pub fn free_memory(host: &mut Host) -> Raised<i64> {
        told(&host.context(), host.record()).map(|record| signed(record.free_memory))
    }

    /// Gives the versions of what the host runs, as a map of texts.
    ///
    /// ```rhai
    /// for part in host().software.keys() { log(part); }
    /// ```
    #[rhai_fn(get = "software", pure, return_raw)]
    pub fn software(host: &mut Host) -> Raised<Map> {
        told(&host.context(), host.record())
            .map(|record| record.software.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Gives the version of the product that the host runs: "8.2.1".
    ///
    /// ```rhai
    /// comment(`tested on ${host().version}`);
    /// ```
    #[rhai_fn(get = "version", pure, return_raw)]
    pub fn version(host: &mut Host) -> Raised<String> {
        told(&host.context(), host.version())
    }

    /// Gives a line of what the host keeps of itself in `/etc/xensource-inventory`.
    ///
    /// ```rhai
    /// log(host().inventory("PRODUCT_VERSION"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn inventory(host: &mut Host, key: &str) -> Raised<String> {
        told(&host.context(), host.inventory(key))
    }

    /// Gives the uuid of the host's control domain.
    ///
    /// ```rhai
    /// log(host().dom0_uuid);
    /// ```
    #[rhai_fn(get = "dom0_uuid", pure, return_raw)]
    pub fn dom0_uuid(host: &mut Host) -> Raised<String> {
        told(&host.context(), host.inventory("CONTROL_DOMAIN_UUID"))
    }

    /// Runs a command of `xe` in the control domain and gives what it printed.
    ///
    /// ```rhai
    /// let names = host().xe("host-list params=name-label --minimal");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn xe(host: &mut Host, command: &str) -> Raised<String> {
        told(&host.context(), host.xe(command, &Default::default(), &XeOptions::default()))
    }

    /// Runs a command of `xe` in the control domain, with its parameters as a map, and gives what it printed. Objects stand for their uuid.
    ///
    /// ```rhai
    /// let name = host().xe("host-param-get", #{ uuid: host(), "param-name": "name-label" });
    /// check(name == host().name, name);
    /// ```
    #[rhai_fn(name = "xe", pure, return_raw)]
    pub fn xe_with(host: &mut Host, command: &str, parameters: Map) -> Raised<String> {
        let parameters = json::texts(&parameters)?;
        told(&host.context(), host.xe(command, &parameters, &XeOptions::default()))
    }

    /// Runs a command of `xe` with options.
    ///
    /// - `timeout`: seconds or a text (default "45m")
    /// - `on_error`: what a status other than 0 means: "fail" the testcase (default), "error" or "return"
    /// - `minimal`: values only, separated by commas
    /// - `force`: with `--force`
    /// - `multiple`: with `--multiple`
    ///
    /// ```rhai
    /// let uuids = host().xe("host-list", #{}, #{ minimal: true });
    /// check(host().uuid in uuids, uuids);
    /// ```
    #[rhai_fn(name = "xe", pure, return_raw)]
    pub fn xe_with_options(host: &mut Host, command: &str, parameters: Map, options: Map) -> Raised<String> {
        let parameters = json::texts(&parameters)?;
        let options = option::read::<XeOptions>("xe", options)?;
        told(&host.context(), host.xe(command, &parameters, &options))
    }

    /// Calls a method of the toolstack without arguments, in its own words, and gives its value.
    ///
    /// ```rhai
    /// let all = host().xapi("VM.get_all");
    /// log(`${all.len()} VMs and templates`);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn xapi(host: &mut Host, method: &str) -> Raised<Dynamic> {
        told(&host.context(), host.xapi(method, &[])).map(json::dynamic)
    }

    /// Calls a method of the toolstack, in its own words and without the session, and gives its value. Objects stand for their reference.
    ///
    /// ```rhai
    /// let record = host().xapi("host.get_record", [host()]);
    /// check(record.uuid == host().uuid, "its own record");
    /// ```
    #[rhai_fn(name = "xapi", pure, return_raw)]
    pub fn xapi_with(host: &mut Host, method: &str, arguments: Array) -> Raised<Dynamic> {
        let arguments = arguments.iter().map(json::value).collect::<Raised<Vec<_>>>()?;
        told(&host.context(), host.xapi(method, &arguments)).map(json::dynamic)
    }

    /// Gives the records of a class of the toolstack whose fields are as given, each with its reference as `ref`.
    ///
    /// ```rhai
    /// for vm in host().xapi_find("VM", #{ power_state: "Running" }) { log(vm.name_label); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn xapi_find(host: &mut Host, class: &str, fields: Map) -> Raised<Array> {
        let fields = fields.iter().map(|(name, value)| Ok((name.to_string(), json::value(value)?))).collect::<Raised<Vec<_>>>()?;
        told(&host.context(), host.xapi_find(class, &fields)).map(|all| all.into_iter().map(json::dynamic).collect())
    }

    /// Calls a function of a plugin of the host, with texts by name, and gives what it answers.
    ///
    /// ```rhai
    /// // let left = host().call_plugin("updater.py", "check_update", #{});
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn call_plugin(host: &mut Host, plugin: &str, function: &str, arguments: Map) -> Raised<String> {
        let arguments = json::texts(&arguments)?;
        told(&host.context(), host.call_plugin(plugin, function, &arguments))
    }

    /// Gives the guests that run on the host, and those that are down and may start there.
    ///
    /// ```rhai
    /// for vm in host().guests() { log(vm.name); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn guests(host: &mut Host) -> Raised<Array> {
        told(&host.context(), host.guests()).map(list)
    }

    /// Gives a guest of the host's pool by its name or uuid.
    ///
    /// ```rhai
    /// let vm = host().guest("guest1");
    /// ```
    #[rhai_fn(name = "guest", pure, return_raw)]
    pub fn guest_named(host: &mut Host, name: &str) -> Raised<Guest> {
        told(&host.context(), host.guest(name))
    }

    /// Gives the names of the templates that guests can be made of.
    ///
    /// ```rhai
    /// for name in host().templates() { log(name); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn templates(host: &mut Host) -> Raised<Array> {
        told(&host.context(), host.templates()).map(|names| names.into_iter().map(Dynamic::from).collect())
    }

    /// Makes a guest on the host, starts it, and waits until it answers. Made in a testcase, it is to be removed by it.
    ///
    /// - `template`: the name of the template that it is made of
    /// - `distro`: or the distribution, of a template with it installed (default: the variable DEFAULT_GUEST_DISTRO)
    /// - `name`: (default: one that no other guest has)
    /// - `sr`: where its disks go (default: the pool's default SR)
    /// - `vcpus`: how many virtual processors
    /// - `memory`: bytes or a text such as "2GiB"
    /// - `disks`: further ones: sizes, or maps `#{ size, sr, name }`
    /// - `networks`: names of networks, or maps `#{ network, mac }` (default: the template's, or the host's own)
    /// - `pinned`: may only start on this host (default false)
    /// - `full_copy`: copies the template's disks in full (default false)
    /// - `start`: starts it (default true)
    /// - `timeout`: how long it may take to answer (default "15m")
    ///
    /// ```rhai
    /// let vm = host().create_vm(#{ distro: "debian12", name: "one", disks: ["1GiB"] });
    /// defer(|| vm.uninstall());
    /// log(vm.exec("hostname"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn create_vm(call: NativeCallContext, host: &mut Host, options: Map) -> Raised<Guest> {
        let mut options = option::read::<MachineOptions>("create_vm", option::plain(options))?;
        if options.template.is_empty() && options.distro.is_empty() {
            let case = Case::of(&call)?;
            let usual = case.variables.lookup(USUAL_DISTRO).map_err(|e| raise(&case.context, &e))?;
            options.distro = usual.unwrap_or_default();
        }
        told(&host.context(), host.create_vm(&options))
    }

    /// Makes a guest of an image (XVA) on the controller. It is not started.
    ///
    /// ```rhai
    /// // let vm = host().import_vm("debian.xva");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn import_vm(host: &mut Host, path: &str) -> Raised<Guest> {
        told(&host.context(), host.import_vm(Path::new(path), &ImportOptions::default()))
    }

    /// Makes a guest of an image (XVA) on the controller, with options.
    ///
    /// - `name`: instead of the image's
    /// - `sr`: where its disks go (default: the pool's default SR)
    /// - `start`: starts it and waits until it answers (default false)
    /// - `timeout`: how long either may take
    ///
    /// ```rhai
    /// // let vm = host().import_vm("debian.xva", #{ name: "copy", start: true });
    /// ```
    #[rhai_fn(name = "import_vm", pure, return_raw)]
    pub fn import_vm_with(host: &mut Host, path: &str, options: Map) -> Raised<Guest> {
        let options = option::read::<ImportOptions>("import_vm", option::plain(options))?;
        told(&host.context(), host.import_vm(Path::new(path), &options))
    }

    /// Gives the SRs that are plugged into the host.
    ///
    /// ```rhai
    /// for sr in host().srs() { log(`${sr.name}: ${sr.type}`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn srs(host: &mut Host) -> Raised<Array> {
        told(&host.context(), host.srs()).map(list)
    }

    /// Gives an SR by its name or uuid; of several with one name, that of this host.
    ///
    /// ```rhai
    /// let sr = host().sr(host().local_sr.name);
    /// ```
    #[rhai_fn(name = "sr", pure, return_raw)]
    pub fn sr_named(host: &mut Host, name: &str) -> Raised<Sr> {
        told(&host.context(), host.sr(name))
    }

    /// Gives the SR for disks that only this host has.
    ///
    /// ```rhai
    /// log(host().local_sr.name);
    /// ```
    #[rhai_fn(get = "local_sr", pure, return_raw)]
    pub fn local_sr(host: &mut Host) -> Raised<Sr> {
        told(&host.context(), host.local_sr())
    }

    /// Gives the SR where new disks go when nobody says.
    ///
    /// ```rhai
    /// log(host().default_sr.name);
    /// ```
    #[rhai_fn(get = "default_sr", pure, return_raw)]
    pub fn default_sr(host: &mut Host) -> Raised<Sr> {
        told(&host.context(), host.default_sr())
    }

    /// Makes an SR, and waits until all hosts that it is for can use it. What a type takes beside these stands in the chapter sr.
    ///
    /// - `type`: nfs, lvmoiscsi, extoiscsi, fc, fcoe, smb, iso, ext, lvm, file, dummy
    /// - `name`: what it is called
    /// - `timeout`: how long its making may take (default "30m")
    /// - `is_pool_wide`: for all hosts (default: as its type is)
    /// - `device_config`: what the back end of another type reads, as a map
    /// - `content`: "user" or "iso" (default: as its type is)
    /// - `server`, `path`, `version`, `mount_options`, `no_subdirectory`: of nfs
    /// - `target`, `iqn`, `scsi_id`, `port`, `lun`, `chap_user`, `chap_password`: of lvmoiscsi and extoiscsi; `iqn` and `scsi_id` are found there
    /// - `incoming_chap_user`, `incoming_chap_password`, `multihomed`, `allocation`: of the same
    /// - `device`: of ext and lvm
    /// - `location`, `username`, `password`, `protocol`, `local`: of iso; smb has `server`, `username` and `password`
    /// - `serverpath`, `targetIQN`, `SCSIid`: as the back end calls them
    ///
    /// ```rhai
    /// let sr = host().create_sr(#{ type: "nfs", name: "scratch", server: "nfs1", path: "/export/scratch" });
    /// defer(|| sr.remove());
    /// sr.check();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn create_sr(host: &mut Host, options: Map) -> Raised<Sr> {
        let options = option::read::<SrOptions>("create_sr", option::plain(options))?;
        told(&host.context(), host.create_sr(&options))
    }
}
