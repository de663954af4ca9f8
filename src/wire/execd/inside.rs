//! Windows by the daemon's own methods.

use super::{Execd, odd, uu};
use crate::error::{Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::powershell;
use crate::wire::windows::{Background, Down, RegData, RegPlace, Windows, quote_path};
use crate::wire::xmlrpc::Value;
use crate::wire::{Command, Output, Transport};
use std::time::Duration;

impl Windows for Execd {
    /// By `cmd.exe`, so that scripts need not be allowed there.
    fn powershell(&self, script: &Command, cancel: &Cancel) -> Result<Output> {
        let command = Command { text: powershell::command_line(&script.text)?, ..script.clone() };
        self.exec(&command, cancel)
    }

    fn reg_get(&self, place: &RegPlace, cancel: &Cancel) -> Result<RegData> {
        match self.ask("regLookup", values(place), cancel)? {
            Value::Int(number) => {
                let dword = u32::try_from(number).or_else(|_| i32::try_from(number).map(i32::cast_unsigned));
                dword.map(RegData::Dword).map_err(|_| crate::wire::windows::odd_type(self.machine(), place, "QWORD"))
            }
            Value::Text(text) => Ok(RegData::Text(text)),
            Value::Array(items) => {
                Ok(RegData::Texts(items.into_iter().map(|item| self.text("regLookup", item)).collect::<Result<_>>()?))
            }
            Value::Bytes(_) => Err(crate::wire::windows::odd_type(self.machine(), place, "BINARY")),
            Value::Nil => Err(crate::wire::windows::odd_type(self.machine(), place, "NONE")),
            other => Err(odd(self, "regLookup", &other)),
        }
    }

    fn reg_set(&self, place: &RegPlace, data: &RegData, cancel: &Cancel) -> Result<()> {
        let value = match data {
            RegData::Dword(number) => Value::Int(i64::from(*number)),
            RegData::Text(text) | RegData::Expand(text) => Value::text(text),
            RegData::Texts(all) => Value::Array(all.iter().map(Value::text).collect()),
        };
        let mut params = values(place);
        params.extend([Value::text(data.word()), value]);
        self.ask("regSet", params, cancel).map(drop)
    }

    fn reg_delete(&self, place: &RegPlace, cancel: &Cancel) -> Result<()> {
        self.ask("regDelete", values(place), cancel).map(drop)
    }

    fn env(&self, name: &str, cancel: &Cancel) -> Result<Option<String>> {
        match self.ask("getEnvVar", vec![Value::text(name)], cancel)? {
            Value::Nil => Ok(None),
            value => self.text("getEnvVar", value).map(Some),
        }
    }

    fn wmi(&self, class: &str, property: &str, cancel: &Cancel) -> Result<String> {
        let said = self.ask("singleWMIQuery", vec![Value::text(class), Value::text(property)], cancel)?;
        self.text("singleWMIQuery", said)
    }

    fn clock(&self, cancel: &Cancel) -> Result<f64> {
        let said = self.ask("getTime", Vec::new(), cancel)?;
        self.number("getTime", &said)
    }

    fn kill_all(&self, image: &str, cancel: &Cancel) -> Result<()> {
        self.ask("killall", vec![Value::text(image)], cancel).map(drop)
    }

    fn send_keys(&self, keys: &[String], cancel: &Cancel) -> Result<()> {
        if let Some(odd) = keys.iter().find(|key| key.contains(',')) {
            let what = format!("the execution daemon cannot send `{odd}`: a comma stands between two keys");
            return Err(Error::new(Kind::Unsupported, what));
        }
        self.ask("sendKeys", vec![Value::text(keys.join(","))], cancel).map(drop)
    }

    fn glob(&self, pattern: &str, cancel: &Cancel) -> Result<Vec<String>> {
        let found = self.ask("globpath", vec![Value::text(pattern)], cancel)?;
        self.texts("globpath", found)
    }

    fn temp_dir(&self, prefix: &str, cancel: &Cancel) -> Result<String> {
        let made = self.ask("tempDir", vec![Value::text(""), Value::text(prefix)], cancel)?;
        self.text("tempDir", made)
    }

    fn remove_file(&self, path: &str, cancel: &Cancel) -> Result<()> {
        match self.ask("removeFile", vec![Value::text(path)], cancel) {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            removed => removed.map(drop),
        }
    }

    fn remove_tree(&self, path: &str, cancel: &Cancel) -> Result<()> {
        // It ignores whatever goes wrong.
        self.ask("deltree", vec![Value::text(path)], cancel)?;
        if self.stat(path, cancel)?.is_some() {
            let what = format!("some of `{path}` on {} cannot be removed", self.machine());
            return Err(
                Error::new(Kind::Refused, what).help("is a program that runs from there, or has a file of it open, still there?")
            );
        }
        Ok(())
    }

    fn unpack(&self, url: &str, dir: &str, cancel: &Cancel) -> Result<()> {
        self.make_dir(dir, cancel)?;
        self.ask("unpackTarball", vec![Value::text(url), Value::text(dir)], cancel).map(drop)
    }

    fn sha1(&self, path: &str, cancel: &Cancel) -> Result<String> {
        let sum = self.ask("sha1Sum", vec![Value::text(path)], cancel)?;
        self.text("sha1Sum", sum)
    }

    fn start(&self, batch: &str, cancel: &Cancel) -> Result<Background> {
        let text = format!("@echo off\n{}\n", quote_path(batch)?);
        let said = self.ask("runbatch", vec![Value::text(uu::encode(&text))], cancel)?;
        let reference = self.text("runbatch", said)?;
        let pid = self.pid(&reference, cancel)?;
        Ok(Background { pid, reference })
    }

    fn runs(&self, background: &Background, cancel: &Cancel) -> Result<bool> {
        match self.ask("poll", vec![Value::text(&background.reference)], cancel) {
            Ok(state) if state != Value::text("RUNNING") => Ok(false),
            // After a start of the daemon the reference may be another's.
            Ok(_) => Ok(self.pid(&background.reference, cancel)? == background.pid),
            Err(error) if error.kind == Kind::Refused => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn end(&self, background: &Background, cancel: &Cancel) -> Result<()> {
        match self.pid(&background.reference, cancel) {
            Ok(pid) if pid == background.pid => {}
            // The daemon was started anew since.
            Ok(_) => return Ok(()),
            Err(error) if error.kind == Kind::Refused => return Ok(()),
            Err(error) => return Err(error),
        }
        if self.runs(background, cancel)? {
            self.ask("kill", vec![Value::Int(background.pid.into())], cancel)?;
            let mut pause = Duration::from_millis(20);
            while self.runs(background, cancel)? {
                cancel.sleep(pause)?;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
        self.ask("cleanup", vec![Value::text(&background.reference)], cancel).map(drop)
    }

    fn macs(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let all = self.ask("getVIFs", Vec::new(), cancel)?;
        self.texts("getVIFs", all)
    }

    fn disks(&self, cancel: &Cancel) -> Result<Vec<u32>> {
        let said = self.ask("listDisks", Vec::new(), cancel)?;
        let all = self.texts("listDisks", said)?;
        all.iter().map(|text| text.trim().parse().map_err(|_| odd(self, "listDisks", text))).collect()
    }

    fn go_down(&self, down: Down, cancel: &Cancel) -> Result<()> {
        let method = match down {
            Down::Reboot => "reboot",
            Down::Shutdown => "shutdown",
        };
        let said = self.ask(method, Vec::new(), cancel)?;
        if self.truth(method, &said)? {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("Windows on {} will not go down: `{method}` said no", self.machine())))
    }
}

impl Execd {
    fn pid(&self, reference: &str, cancel: &Cancel) -> Result<u32> {
        let said = self.ask("getPID", vec![Value::text(reference)], cancel)?;
        match said {
            Value::Int(pid) => u32::try_from(pid).map_err(|_| odd(self, "getPID", &pid)),
            other => Err(odd(self, "getPID", &other)),
        }
    }
}

fn values(place: &RegPlace) -> Vec<Value> {
    vec![Value::text(place.hive.word()), Value::text(&place.key), Value::text(&place.name)]
}
