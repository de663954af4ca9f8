//! A guest: what it is, commands in it, its processes, tools and logs.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::option;
use crate::error::Result;
use crate::lab::{Ended, ExecOptions, Guest, JobOptions};
use crate::script::failure::{Raised, raise};
use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(guest);

/// What a script sees of what the library did for it.
pub(super) fn told<T>(vm: &Guest, result: Result<T>) -> Raised<T> {
    result.map_err(|error| raise(vm.context(), &error))
}

#[export_module(manifest)]
mod guest {
    use crate::lab::Job;

    /// Gives the name of the guest: what the command line calls it.
    ///
    /// ```rhai
    /// log(target().name);
    /// ```
    #[rhai_fn(get = "name", pure)]
    pub fn name(vm: &mut Guest) -> String {
        vm.name().to_string()
    }

    /// Gives an address by which other machines may reach the guest.
    ///
    /// ```rhai
    /// log(target().ip);
    /// ```
    #[rhai_fn(get = "ip", pure, return_raw)]
    pub fn ip(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.ip())
    }

    /// Gives the short name of the distribution with its version: "debian12", "alpine3.20".
    ///
    /// ```rhai
    /// if target().distro.starts_with("debian") { log("apt-get is there"); }
    /// ```
    #[rhai_fn(get = "distro", pure, return_raw)]
    pub fn distro(vm: &mut Guest) -> Raised<String> {
        Ok(told(vm, vm.facts())?.distro.clone())
    }

    /// Gives the fields of `/etc/os-release` as a map of texts.
    ///
    /// ```rhai
    /// for field in target().os_release.keys() { log(field); }
    /// ```
    #[rhai_fn(get = "os_release", pure, return_raw)]
    pub fn os_release(vm: &mut Guest) -> Raised<Map> {
        let facts = told(vm, vm.facts())?;
        Ok(facts.os_release.iter().map(|(name, value)| (name.into(), value.clone().into())).collect())
    }

    /// Gives the architecture as `uname -m` has it: "x86_64".
    ///
    /// ```rhai
    /// log(target().arch);
    /// ```
    #[rhai_fn(get = "arch", pure, return_raw)]
    pub fn arch(vm: &mut Guest) -> Raised<String> {
        Ok(told(vm, vm.facts())?.arch.clone())
    }

    /// Gives the release of the kernel: "6.1.0-18-amd64".
    ///
    /// ```rhai
    /// comment(`kernel ${target().kernel}`);
    /// ```
    #[rhai_fn(get = "kernel", pure, return_raw)]
    pub fn kernel(vm: &mut Guest) -> Raised<String> {
        Ok(told(vm, vm.facts())?.kernel.clone())
    }

    /// Gives the name that the guest has for itself.
    ///
    /// ```rhai
    /// log(target().hostname);
    /// ```
    #[rhai_fn(get = "hostname", pure, return_raw)]
    pub fn hostname(vm: &mut Guest) -> Raised<String> {
        Ok(told(vm, vm.facts())?.hostname.clone())
    }

    /// Gives the number of processors that are online in the guest.
    ///
    /// ```rhai
    /// check(target().cpus > 0, "it has a processor");
    /// ```
    #[rhai_fn(get = "cpus", pure, return_raw)]
    pub fn cpus(vm: &mut Guest) -> Raised<i64> {
        Ok(signed(told(vm, vm.facts())?.cpus))
    }

    /// Tells whether the guest runs Windows.
    ///
    /// ```rhai
    /// if target().is_windows { skip("needs a POSIX shell"); }
    /// ```
    #[rhai_fn(get = "is_windows", pure, return_raw)]
    pub fn is_windows(vm: &mut Guest) -> Raised<bool> {
        told(vm, vm.is_windows())
    }

    /// Gives the mark of this start of the guest: another one means that it was started anew.
    ///
    /// ```rhai
    /// let vm = target();
    /// check(vm.boot_id == vm.boot_id, "it did not reboot in between");
    /// ```
    #[rhai_fn(get = "boot_id", pure, return_raw)]
    pub fn boot_id(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.boot_id())
    }

    /// Gives the seconds since the guest started.
    ///
    /// ```rhai
    /// log(`up for ${target().uptime} s`);
    /// ```
    #[rhai_fn(get = "uptime", pure, return_raw)]
    pub fn uptime(vm: &mut Guest) -> Raised<f64> {
        told(vm, vm.uptime())
    }

    /// Gives the guest's clock in seconds since 1970.
    ///
    /// ```rhai
    /// let began = target().guest_time();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn guest_time(vm: &mut Guest) -> Raised<f64> {
        told(vm, vm.guest_time())
    }

    /// Compares the guest's clock with the controller's: `seconds` that it is ahead (negative: behind), and the `uncertainty` of that.
    ///
    /// ```rhai
    /// let skew = target().clock_skew();
    /// if skew.seconds > 2.0 + skew.uncertainty { warn("the clock is ahead"); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn clock_skew(vm: &mut Guest) -> Raised<Map> {
        let skew = told(vm, vm.clock_skew())?;
        Ok(map([("seconds", skew.seconds.into()), ("uncertainty", skew.uncertainty.into())]))
    }

    /// Gives the `size`, `used` and `free` bytes of the file system that holds a path.
    ///
    /// ```rhai
    /// if target().disk_space("/tmp").free < mib(1) { error("/tmp is full"); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn disk_space(vm: &mut Guest, path: &str) -> Raised<Map> {
        let space = told(vm, vm.disk_space(path))?;
        let bytes = |n: u64| Dynamic::from(signed(n));
        Ok(map([("size", bytes(space.size)), ("used", bytes(space.used)), ("free", bytes(space.free))]))
    }

    /// Runs a command in the guest's shell and gives what it printed, without newlines at the end.
    ///
    /// If it does not end with status 0 within 20 minutes, the testcase fails and shows what it said. On Windows it is batch text, and
    /// what it says of errors is among its output where the execution daemon runs it.
    ///
    /// ```rhai
    /// let kernel = target().exec("uname -r");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn exec(vm: &mut Guest, command: &str) -> Raised<String> {
        told(vm, vm.exec(command, &ExecOptions::default()))
    }

    /// Runs a command with options and gives what it printed.
    ///
    /// - `timeout`: seconds or a text such as "10m" (default "20m")
    /// - `on_error`: what a status other than 0 or the end of the timeout means: "fail" the testcase (default), "error" (it cannot
    ///   be judged), or "return" (a status is ignored)
    /// - `input`: text for its standard input (default none)
    /// - `cwd`: directory to run it in
    /// - `env`: a map of environment variables
    /// - `user`: user to run it as
    /// - `keep_newline`: whether newlines at the end of the output stay (default false)
    /// - `quiet`: whether it is left out of the log (default false)
    /// - `save_as`: name of a file in the testcase's results that gets all of its output, however long
    /// - `idempotent`: whether it is run once more when the connection is lost (default false)
    ///
    /// ```rhai
    /// let vm = target();
    /// check(vm.exec("cat", #{ input: "hello", timeout: "10s" }) == "hello", "an echo");
    /// vm.exec("echo $COLOUR", #{ env: #{ COLOUR: "red" }, cwd: "/tmp", save_as: "colour.txt" });
    /// ```
    #[rhai_fn(name = "exec", pure, return_raw)]
    pub fn exec_with(vm: &mut Guest, command: &str, options: Map) -> Raised<String> {
        let options = option::read::<ExecOptions>("exec", options)?;
        told(vm, vm.exec(command, &options))
    }

    /// Runs a command and gives its exit status, whatever it is; 128 and the number of the signal if one ended it.
    ///
    /// ```rhai
    /// if target().exec_rc("test -d /sys/firmware/efi") == 0 { log("booted by EFI"); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn exec_rc(vm: &mut Guest, command: &str) -> Raised<i64> {
        told(vm, vm.exec_rc(command, &ExecOptions::default()))
    }

    /// Runs a command with the options of `exec` and gives its exit status.
    ///
    /// ```rhai
    /// check(target().exec_rc("exit 3", #{ timeout: 10 }) == 3, "the status comes back");
    /// ```
    #[rhai_fn(name = "exec_rc", pure, return_raw)]
    pub fn exec_rc_with(vm: &mut Guest, command: &str, options: Map) -> Raised<i64> {
        let options = option::read::<ExecOptions>("exec_rc", options)?;
        told(vm, vm.exec_rc(command, &options))
    }

    /// Runs a command and gives a map: `stdout`, `stderr`, `code`, `signal` (a name or `()`), `took` (seconds).
    ///
    /// ```rhai
    /// let end = target().exec_full("echo oops >&2");
    /// check(end.stderr == "oops\n", "both streams are there");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn exec_full(vm: &mut Guest, command: &str) -> Raised<Map> {
        told(vm, vm.exec_full(command, &ExecOptions::default())).map(ended)
    }

    /// Runs a command with the options of `exec` and gives the map of `exec_full`.
    ///
    /// ```rhai
    /// let end = target().exec_full("exit 3", #{ on_error: "return" });
    /// check(end.code == 3, "the status is there");
    /// ```
    #[rhai_fn(name = "exec_full", pure, return_raw)]
    pub fn exec_full_with(vm: &mut Guest, command: &str, options: Map) -> Raised<Map> {
        let options = option::read::<ExecOptions>("exec_full", options)?;
        told(vm, vm.exec_full(command, &options)).map(ended)
    }

    /// Starts a command in the background and gives the job. It survives a lost connection; at the testcase's end it is ended.
    ///
    /// ```rhai
    /// let job = target().run_job("sleep 0.1; echo done");
    /// job.wait();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn run_job(vm: &mut Guest, command: &str) -> Raised<Job> {
        told(vm, vm.run_job(command, &JobOptions::default()))
    }

    /// Starts a command in the background with options.
    ///
    /// - `on_error`: what a status other than 0 means to `wait`: "fail" (default), "error" or "return"
    /// - `input`, `cwd`, `env`, `user`: as in `exec`
    ///
    /// ```rhai
    /// let job = target().run_job("exit 4", #{ on_error: "return" });
    /// check(job.wait() == 4, "the status comes back");
    /// ```
    #[rhai_fn(name = "run_job", pure, return_raw)]
    pub fn run_job_with(vm: &mut Guest, command: &str, options: Map) -> Raised<Job> {
        let options = option::read::<JobOptions>("run_job", options)?;
        told(vm, vm.run_job(command, &options))
    }

    /// Makes sure that a command is there, by the guest's package manager if need be, and gives its path. If it cannot be had, the
    /// testcase errs and says what was tried.
    ///
    /// ```rhai
    /// let shell = target().install_tool("sh");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn install_tool(vm: &mut Guest, tool: &str) -> Raised<String> {
        told(vm, vm.install_tool(tool))
    }

    /// Gives the processes of the guest as maps `#{ pid, name }`, by number. The kernel cuts names to 15 characters.
    ///
    /// ```rhai
    /// log(`${target().processes().len()} processes`);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn processes(vm: &mut Guest) -> Raised<Array> {
        let all = told(vm, vm.processes())?;
        let process = |p: crate::lab::Process| map([("pid", i64::from(p.pid).into()), ("name", p.name.into())]).into();
        Ok(all.into_iter().map(process).collect())
    }

    /// Tells whether a program of this name runs in the guest.
    ///
    /// ```rhai
    /// if target().is_running("fio") { warn("somebody else measures"); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn is_running(vm: &mut Guest, name: &str) -> Raised<bool> {
        told(vm, vm.is_running(name))
    }

    /// Ends all programs of this name, by force after a few seconds, and says how many there were.
    ///
    /// ```rhai
    /// let killed = target().kill_process("no-such-program");
    /// check(killed == 0, "there was none");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn kill_process(vm: &mut Guest, name: &str) -> Raised<i64> {
        told(vm, vm.kill_process(name)).map(|count| signed(count as u64))
    }

    /// Names a log file of the guest (or a pattern) that is fetched with the others when the testcase does not pass.
    ///
    /// ```rhai
    /// target().add_log_file("/var/log/xen/*.log");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn add_log_file(vm: &mut Guest, pattern: &str) -> Raised<()> {
        told(vm, vm.add_log_file(pattern))
    }

    /// Fetches the guest's logs now. When a testcase does not pass this happens by itself.
    ///
    /// ```rhai
    /// target().collect_logs();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn collect_logs(vm: &mut Guest) -> Raised<()> {
        told(vm, vm.collect_logs())
    }

    /// Tells whether both are the same guest.
    ///
    /// ```rhai
    /// check(target() == guests()[0], "the target is the first guest");
    /// ```
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(vm: &mut Guest, other: Guest) -> bool {
        vm.is_same(&other)
    }

    /// Tells whether these are two guests.
    ///
    /// ```rhai
    /// for vm in guests() { if vm != target() { log(`another one: ${vm}`); } }
    /// ```
    #[rhai_fn(name = "!=", pure)]
    pub fn is_other(vm: &mut Guest, other: Guest) -> bool {
        !vm.is_same(&other)
    }

    /// Gives the guest as text.
    ///
    /// ```rhai
    /// log(`working on ${target()}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(vm: &mut Guest) -> String {
        vm.to_string()
    }
}

/// Counts and sizes as scripts have them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn map<const N: usize>(entries: [(&str, Dynamic); N]) -> Map {
    entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

fn ended(end: Ended) -> Map {
    map([
        ("stdout", end.stdout.into()),
        ("stderr", end.stderr.into()),
        ("code", end.code.into()),
        ("signal", end.signal.map_or(Dynamic::UNIT, Dynamic::from)),
        ("took", end.took.as_secs_f64().into()),
    ])
}
