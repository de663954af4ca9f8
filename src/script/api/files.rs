//! Files and directories of a guest.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::data::tarball;
use super::guest::{signed, told};
use super::option;
use crate::lab::{Guest, WriteOptions};
use crate::script::failure::{Raised, misuse};
use crate::script::show;
use rhai::plugin::*;
use rhai::{Array, Blob, Dynamic, ImmutableString, Map};
use std::path::Path;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(files);

#[export_module(manifest)]
mod files {
    /// Reads a text file of the guest, of at most 64 MiB.
    ///
    /// ```rhai
    /// let version = target().read_file("/proc/version");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn read_file(vm: &mut Guest, path: &str) -> Raised<String> {
        told(vm, vm.read_file(path))
    }

    /// Reads a file of the guest as it is, of at most 64 MiB, and gives a blob.
    ///
    /// ```rhai
    /// let vm = target();
    /// check(vm.read_bytes(vm.exec("command -v sh")).len() > 0, "a program has bytes");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn read_bytes(vm: &mut Guest, path: &str) -> Raised<Blob> {
        told(vm, vm.read_bytes(path))
    }

    /// Writes a text or a blob into a file of the guest, whatever was there before.
    ///
    /// ```rhai
    /// let vm = target();
    /// let path = vm.path(vm.temp_dir(), "note.txt");
    /// vm.write_file(path, "hello\n");
    /// check(vm.read_file(path) == "hello\n", "it is there");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn write_file(vm: &mut Guest, path: &str, data: Dynamic) -> Raised<()> {
        told(vm, vm.write_file(path, &bytes("write_file", &data)?, WriteOptions::default().mode))
    }

    /// Writes a file with the option `mode`: its permission bits (default 0o644).
    ///
    /// ```rhai
    /// let vm = target();
    /// let script = vm.path(vm.temp_dir(), "hello");
    /// vm.write_file(script, "#!/bin/sh\necho hello\n", #{ mode: 0o755 });
    /// check(vm.exec(script) == "hello", "it can be run");
    /// ```
    #[rhai_fn(name = "write_file", pure, return_raw)]
    pub fn write_file_with(vm: &mut Guest, path: &str, data: Dynamic, options: Map) -> Raised<()> {
        let options = option::read::<WriteOptions>("write_file", options)?;
        told(vm, vm.write_file(path, &bytes("write_file", &data)?, options.mode))
    }

    /// Adds a text or a blob to the end of a file of the guest, which is made if it is not there.
    ///
    /// ```rhai
    /// let vm = target();
    /// let path = vm.path(vm.temp_dir(), "list");
    /// for n in 0..3 { vm.append_file(path, `${n}\n`); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn append_file(vm: &mut Guest, path: &str, data: Dynamic) -> Raised<()> {
        told(vm, vm.append_file(path, &bytes("append_file", &data)?))
    }

    /// Copies a file of the controller into the guest. A relative name is looked for among the testcase's files first. Into a
    /// directory it goes under its own name.
    ///
    /// ```rhai
    /// let vm = target();
    /// save_file("settings.ini", "fast = yes\n");
    /// vm.send_file("settings.ini", vm.temp_dir());
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn send_file(vm: &mut Guest, local: &str, remote: &str) -> Raised<()> {
        told(vm, vm.send_file(Path::new(local), remote))
    }

    /// Copies a file of the guest into the testcase's results and gives its path on the controller.
    ///
    /// ```rhai
    /// let path = target().fetch_file("/etc/os-release", "os-release.txt");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn fetch_file(vm: &mut Guest, remote: &str, local: &str) -> Raised<String> {
        told(vm, vm.fetch_file(remote, local)).map(|path| path.display().to_string())
    }

    /// Copies what is in a directory of the controller into a directory of the guest, which is made. Links are left out.
    ///
    /// ```rhai
    /// let vm = target();
    /// save_file("kit/run.sh", "echo hello\n");
    /// vm.send_tree("kit", vm.path(vm.temp_dir(), "kit"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn send_tree(vm: &mut Guest, local: &str, remote: &str) -> Raised<()> {
        told(vm, vm.send_tree(Path::new(local), remote))
    }

    /// Copies what is in a directory of the guest into the testcase's results and gives its path on the controller. Links are left
    /// out.
    ///
    /// ```rhai
    /// let vm = target();
    /// let dir = vm.temp_dir();
    /// vm.write_file(`${dir}/result`, "1");
    /// let local = vm.fetch_tree(dir, "results");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn fetch_tree(vm: &mut Guest, remote: &str, local: &str) -> Raised<String> {
        told(vm, vm.fetch_tree(remote, local)).map(|path| path.display().to_string())
    }

    /// Lets the guest fetch `<name>.tgz` from below the address in `TEST_TARBALL_BASE` and unpack it into one of its directories,
    /// which is made. Whether it is there, `tarball_exists` tells.
    ///
    /// ```rhai
    /// let vm = target();
    /// if tarball_exists("iometer") { vm.fetch_tarball("iometer", vm.temp_dir()); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fetch_tarball(call: NativeCallContext, vm: &mut Guest, name: &str, dir: &str) -> Raised<()> {
        let url = tarball(&call, name)?.ok_or_else(|| {
            let help = "run with -D TEST_TARBALL_BASE=http://…, the address below which tools are as <name>.tgz";
            misuse("the variable `TEST_TARBALL_BASE` is not set", Some(help.into()))
        })?;
        told(vm, vm.fetch_tarball(&url, dir))
    }

    /// Tells whether there is a file (or a device, a link to one) at a path of the guest. A directory is no file.
    ///
    /// ```rhai
    /// check(target().file_exists("/etc/passwd"), "there are users");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn file_exists(vm: &mut Guest, path: &str) -> Raised<bool> {
        told(vm, vm.file_exists(path))
    }

    /// Tells whether there is a directory at a path of the guest.
    ///
    /// ```rhai
    /// check(target().dir_exists("/tmp"), "there is room for files");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn dir_exists(vm: &mut Guest, path: &str) -> Raised<bool> {
        told(vm, vm.dir_exists(path))
    }

    /// Removes a file of the guest. It is no error when there is none.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.remove_file(vm.path(vm.temp_dir(), "none"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn remove_file(vm: &mut Guest, path: &str) -> Raised<()> {
        told(vm, vm.remove_file(path))
    }

    /// Removes a directory of the guest with all that is in it. Directories of the system are refused.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.remove_tree(vm.temp_dir());
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn remove_tree(vm: &mut Guest, path: &str) -> Raised<()> {
        told(vm, vm.remove_tree(path))
    }

    /// Makes a directory of the guest and those above it. It may exist already.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.make_dir(vm.path(vm.temp_dir(), "a", "b"));
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn make_dir(vm: &mut Guest, path: &str) -> Raised<()> {
        told(vm, vm.make_dir(path))
    }

    /// Makes an empty directory in the guest and gives its path. It is removed at the testcase's end.
    ///
    /// ```rhai
    /// let dir = target().temp_dir();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn temp_dir(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.temp_dir())
    }

    /// Gives the paths of the guest that match a pattern with `*`, `?` and `[…]`, sorted. None is an empty list.
    ///
    /// ```rhai
    /// for disk in target().glob("/sys/block/*") { log(disk); }
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn glob(vm: &mut Guest, pattern: &str) -> Raised<Array> {
        Ok(told(vm, vm.glob(pattern))?.into_iter().map(Dynamic::from).collect())
    }

    /// Gives a path of the guest with the guest's separator: from one part, from several, or from a list of parts.
    ///
    /// ```rhai
    /// check(target().path("/tmp") == "/tmp", "as it is");
    /// ```
    #[rhai_fn(pure)]
    pub fn path(vm: &mut Guest, part: &str) -> String {
        vm.path(&[part])
    }

    /// Joins two parts of a path with the guest's separator.
    ///
    /// ```rhai
    /// check(target().path("/tmp/", "a.txt") == "/tmp/a.txt", "joined");
    /// ```
    #[rhai_fn(name = "path", pure)]
    pub fn path_of_two(vm: &mut Guest, first: &str, second: &str) -> String {
        vm.path(&[first, second])
    }

    /// Joins three parts of a path.
    ///
    /// ```rhai
    /// check(target().path("/tmp", "a", "b") == "/tmp/a/b", "joined");
    /// ```
    #[rhai_fn(name = "path", pure)]
    pub fn path_of_three(vm: &mut Guest, first: &str, second: &str, third: &str) -> String {
        vm.path(&[first, second, third])
    }

    /// Joins four parts of a path.
    ///
    /// ```rhai
    /// check(target().path("/tmp", "a", "b", "c") == "/tmp/a/b/c", "joined");
    /// ```
    #[rhai_fn(name = "path", pure)]
    pub fn path_of_four(vm: &mut Guest, first: &str, second: &str, third: &str, fourth: &str) -> String {
        vm.path(&[first, second, third, fourth])
    }

    /// Joins a list of parts of a path.
    ///
    /// ```rhai
    /// check(target().path(["/tmp", "a"]) == "/tmp/a", "joined");
    /// ```
    #[rhai_fn(name = "path", pure, return_raw)]
    pub fn path_of_list(vm: &mut Guest, parts: Array) -> Raised<String> {
        let texts: Option<Vec<ImmutableString>> = parts.iter().map(|part| part.clone().try_cast()).collect();
        let texts = texts
            .ok_or_else(|| misuse(format!("`path` takes a list of texts, got {}", show::value(&parts.clone().into(), 60)), None))?;
        Ok(vm.path(&texts.iter().map(ImmutableString::as_str).collect::<Vec<_>>()))
    }

    /// Gives the SHA-1 of a file of the guest in hexadecimal digits.
    ///
    /// ```rhai
    /// check(target().file_sha1("/etc/passwd").len() == 40, "40 digits");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn file_sha1(vm: &mut Guest, path: &str) -> Raised<String> {
        told(vm, vm.file_sha1(path))
    }

    /// Gives the SHA-256 of a file of the guest in hexadecimal digits.
    ///
    /// ```rhai
    /// check(target().file_sha256("/etc/passwd").len() == 64, "64 digits");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn file_sha256(vm: &mut Guest, path: &str) -> Raised<String> {
        told(vm, vm.file_sha256(path))
    }

    /// Gives when a file was last changed, in seconds since 1970 by the guest's clock.
    ///
    /// ```rhai
    /// check(target().file_mtime("/etc/passwd") > 0, "after 1970");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn file_mtime(vm: &mut Guest, path: &str) -> Raised<i64> {
        told(vm, vm.file_mtime(path)).map(signed)
    }
}

/// What is to be written: a text or a blob.
fn bytes(method: &str, data: &Dynamic) -> Raised<Vec<u8>> {
    if let Some(text) = data.read_lock::<ImmutableString>() {
        return Ok(text.as_bytes().to_vec());
    }
    if let Some(blob) = data.read_lock::<Blob>() {
        return Ok(blob.clone());
    }
    let what = format!("`{method}` writes a text or a blob, got {}", show::value(data, 60));
    Err(misuse(what, Some("a value becomes text in backquotes: `${value}`".into())))
}
