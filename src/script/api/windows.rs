//! What only a guest with Windows has: its registry, environment, firewall, desktop, and PowerShell.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{ExecOptions, Guest, RegData, RegPlace};
use crate::script::failure::{Raised, misuse};
use crate::script::show;
use rhai::plugin::*;
use rhai::{Array, Dynamic, ImmutableString, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(windows);

#[export_module(manifest)]
mod windows {
    /// Gives the major and minor version of Windows: "6.1", "10.0".
    ///
    /// ```rhai
    /// if target().windows_version == "6.1" { log("Windows 7, or Server 2008 R2"); }
    /// ```
    #[rhai_fn(get = "windows_version", pure, return_raw)]
    pub fn windows_version(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.windows_version())
    }

    /// Gives what Windows calls the processors that it runs on: "amd64", "x86" or "arm64".
    ///
    /// ```rhai
    /// check(target().arch_native == "amd64", "64 bits");
    /// ```
    #[rhai_fn(get = "arch_native", pure, return_raw)]
    pub fn arch_native(vm: &mut Guest) -> Raised<String> {
        told(vm, vm.arch_native())
    }

    /// Gives how many processor sockets Windows sees, however many cores are in each.
    ///
    /// ```rhai
    /// check(target().sockets() >= 1, "there is a processor");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn sockets(vm: &mut Guest) -> Raised<i64> {
        told(vm, vm.sockets()).map(i64::from)
    }

    /// Gives a value of the registry: a number, a text, or an array of texts. The hive is "HKLM" or "HKCU". It is an error of kind
    /// `not_found` when there is none.
    ///
    /// ```rhai
    /// let name = target().reg_get("HKLM", `Software\Microsoft\Windows NT\CurrentVersion`, "ProductName");
    /// check(name.starts_with("Windows"), name);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn reg_get(vm: &mut Guest, hive: &str, key: &str, name: &str) -> Raised<Dynamic> {
        let place = told(vm, RegPlace::new(hive, key, name))?;
        Ok(match told(vm, vm.reg_get(&place))? {
            RegData::Dword(number) => i64::from(number).into(),
            RegData::Text(text) | RegData::Expand(text) => text.into(),
            RegData::Texts(all) => all.into_iter().map(Dynamic::from).collect::<Array>().into(),
        })
    }

    /// Writes a value of the registry; its key is made if it is not there. The type is "DWORD" for a number from 0 to 4294967295, "SZ" or
    /// "EXPAND_SZ" for a text, "MULTI_SZ" for an array of texts.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.reg_set("HKCU", `Software\XenRT`, "Loops", "DWORD", 50);
    /// check(vm.reg_get("HKCU", `Software\XenRT`, "Loops") == 50, "it is there");
    /// vm.reg_set("HKCU", `Software\XenRT`, "Disks", "MULTI_SZ", ["c:", "d:"]);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn reg_set(vm: &mut Guest, hive: &str, key: &str, name: &str, kind: &str, value: Dynamic) -> Raised<()> {
        let place = told(vm, RegPlace::new(hive, key, name))?;
        told(vm, vm.reg_set(&place, &data(kind, &value)?))
    }

    /// Removes a value of the registry. It is an error of kind `not_found` when there is none.
    ///
    /// ```rhai
    /// let vm = target();
    /// vm.reg_set("HKCU", `Software\XenRT`, "Note", "SZ", "hello");
    /// vm.reg_delete("HKCU", `Software\XenRT`, "Note");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn reg_delete(vm: &mut Guest, hive: &str, key: &str, name: &str) -> Raised<()> {
        let place = told(vm, RegPlace::new(hive, key, name))?;
        told(vm, vm.reg_delete(&place))
    }

    /// Gives a variable of the environment that commands get in the guest; `()` when it is not set.
    ///
    /// ```rhai
    /// check(target().env("OS") == "Windows_NT", "it is Windows");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn env(vm: &mut Guest, name: &str) -> Raised<Dynamic> {
        Ok(told(vm, vm.env(name))?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Runs a script in PowerShell and gives what it printed, without newlines at the end. Commands of `exec` are batch text.
    ///
    /// ```rhai
    /// let version = target().powershell("$PSVersionTable.PSVersion.Major");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn powershell(vm: &mut Guest, script: &str) -> Raised<String> {
        Ok(told(vm, vm.powershell(script, &ExecOptions::default()))?.stdout)
    }

    /// Runs a script in PowerShell with options and gives what it printed.
    ///
    /// - `timeout`, `on_error`, `input`, `keep_newline`, `quiet`, `save_as`, `idempotent`: as in `exec`
    ///
    /// ```rhai
    /// target().powershell("Get-Process", #{ timeout: "1m" });
    /// ```
    #[rhai_fn(name = "powershell", pure, return_raw)]
    pub fn powershell_with(vm: &mut Guest, script: &str, options: Map) -> Raised<String> {
        let options = option::read::<ExecOptions>("powershell", options)?;
        if options.cwd.is_some() || options.user.is_some() || !options.env.is_empty() {
            let help = "a script says it itself: `Set-Location c:\\temp`, `$env:NAME = 'value'`".to_string();
            return Err(misuse("`powershell` has no options `cwd`, `env` and `user`", Some(help)));
        }
        Ok(told(vm, vm.powershell(script, &options))?.stdout)
    }

    /// Lets a program through the guest's firewall, in both directions.
    ///
    /// ```rhai
    /// target().allow_program(`c:\tools\iperf.exe`);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn allow_program(vm: &mut Guest, path: &str) -> Raised<()> {
        told(vm, vm.allow_program(path))
    }

    /// Sends keys to the window in front, one after the other: a character, `{ENTER}`, `%{F4}` (with Alt), `^c` (with Ctrl), `+{TAB}` (with
    /// Shift), or `s3` to wait three seconds.
    ///
    /// ```rhai
    /// target().send_keys(["h", "i", "s1", "{ENTER}"]);
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn send_keys(vm: &mut Guest, keys: Array) -> Raised<()> {
        let keys: Option<Vec<String>> = keys
            .into_iter()
            .map(|key| Some(key.try_cast::<ImmutableString>()?.to_string()).filter(|key| !key.is_empty()))
            .collect();
        let Some(keys) = keys else { return Err(misuse("`send_keys` takes an array of texts, one for each key", None)) };
        told(vm, vm.send_keys(&keys))
    }

    /// Gives the hardware addresses of the network interfaces that Windows sees.
    ///
    /// ```rhai
    /// check(target().windows_macs().len() > 0, "there is a network");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn windows_macs(vm: &mut Guest) -> Raised<Array> {
        Ok(told(vm, vm.windows_macs())?.into_iter().map(Dynamic::from).collect())
    }

    /// Gives the numbers of the disks that Windows sees.
    ///
    /// ```rhai
    /// check(0 in target().windows_disks(), "the first disk is there");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn windows_disks(vm: &mut Guest) -> Raised<Array> {
        Ok(told(vm, vm.windows_disks())?.into_iter().map(|number| i64::from(number).into()).collect())
    }
}

/// A script's value as one of the registry.
fn data(kind: &str, value: &Dynamic) -> Raised<RegData> {
    let text = |value: &Dynamic| value.clone().try_cast::<ImmutableString>().map(|text| text.to_string());
    let data = match kind {
        "DWORD" => value.as_int().ok().and_then(|number| u32::try_from(number).ok()).map(RegData::Dword),
        "SZ" => text(value).map(RegData::Text),
        "EXPAND_SZ" => text(value).map(RegData::Expand),
        "MULTI_SZ" => {
            let all = value.read_lock::<Array>().and_then(|all| all.iter().map(text).collect::<Option<Vec<String>>>());
            all.map(RegData::Texts)
        }
        _ => {
            let help = "it is DWORD, SZ, EXPAND_SZ or MULTI_SZ".to_string();
            return Err(misuse(format!("`{kind}` is no type of the registry that can be written"), Some(help)));
        }
    };
    data.ok_or_else(|| {
        let help =
            "a number from 0 to 4294967295 for DWORD, a text for SZ and EXPAND_SZ, an array of texts for MULTI_SZ".to_string();
        misuse(format!("{} is no value of the type {kind}", show::value(value, 100)), Some(help))
    })
}
