//! The inside of a Windows machine by SSH and PowerShell: commands as encoded scripts, files by SFTP.
//!
//! Which shell the SSH server starts there does not matter: what it gets is one program with plain arguments.
//!
//! # Source
//! `reference/library.md` 9.1, "Modern path".

use super::windows::{Background, Down, Hive, RegData, RegPlace, Windows, batch_file, odd_type};
use super::{Command, Entry, Output, Status, Transport};
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest line that `cmd.exe` takes, which may be what stands between.
const LONGEST: usize = 8191;

/// How long a question of ours may take: PowerShell is slow to start.
const QUESTION: Duration = Duration::from_secs(60);

/// How long a tarball may take on its way and to be unpacked.
const UNPACKING: Duration = Duration::from_secs(3600);

/// The status by which a script of ours says that there is no such thing.
const MISSING: i32 = 44;

/// A Windows machine by SSH. Clones are the same.
#[derive(Clone)]
pub struct PowerShell {
    ssh: Arc<dyn Transport>,
}

impl PowerShell {
    /// `ssh` logs in to a machine that has PowerShell.
    pub fn new(ssh: Arc<dyn Transport>) -> PowerShell {
        PowerShell { ssh }
    }

    /// What a script of ours prints, without the newline at its end. Any error in it ends it.
    fn ask(&self, script: &str, cancel: &Cancel) -> Result<String> {
        self.ask_within(script, QUESTION, cancel)
    }

    fn ask_within(&self, script: &str, limit: Duration, cancel: &Cancel) -> Result<String> {
        let whole =
            format!("$ErrorActionPreference = 'Stop'\n[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false\n{script}");
        let output = self.ssh.exec(&Command::new(command_line(&whole)?, limit), cancel)?;
        if output.is_success() {
            return Ok(output.stdout.text().trim_start_matches('\u{feff}').trim_end().to_string());
        }
        let details = output.details(self.machine(), script);
        if output.status == Status::Exited(MISSING) {
            return Err(Error::new(Kind::NotFound, format!("there is no such thing on {}", self.machine())).details(details));
        }
        let said = output.stderr.text();
        let first =
            said.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#<")).unwrap_or("it did not say why");
        let what = format!("PowerShell on {} refused: {}", self.machine(), crate::context::clip(first, 200));
        Err(Error::new(Kind::Refused, what).details(details))
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, script: &str, cancel: &Cancel) -> Result<T> {
        let said = self.ask(script, cancel)?;
        serde_json::from_str(&said).map_err(|_| {
            let said = crate::context::clip(&said, 100);
            Error::new(Kind::Malformed, format!("PowerShell on {} said `{said}`, which cannot be read", self.machine()))
                .blame(Blame::Lab)
        })
    }
}

/// The program with its script, for any shell there.
///
/// # Errors
/// `Malformed` when it is too long for a line of `cmd.exe`.
pub(super) fn command_line(script: &str) -> Result<String> {
    let quiet = format!("$ProgressPreference = 'SilentlyContinue'\n{script}");
    let utf16: Vec<u8> = quiet.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let line = format!("powershell.exe -nologo -noprofile -noninteractive -encodedcommand {}", STANDARD.encode(utf16));
    if line.len() > LONGEST {
        let what = format!("a script of {} characters is too long for a command of Windows", script.chars().count());
        return Err(Error::new(Kind::Malformed, what).help("write it to a file with `write_file`, and run that"));
    }
    Ok(line)
}

/// A text between PowerShell's single quotes; the typographic ones count as such there.
fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        quoted.push(c);
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// A path as SFTP has it: `c:\a` is `/c:/a`.
fn sftp(path: &str) -> String {
    let slashed = path.replace('\\', "/");
    let mut chars = slashed.chars();
    let has_drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
    if has_drive { format!("/{slashed}") } else { slashed }
}

/// The part of .NET's registry that a place stands in.
fn hive(place: &RegPlace) -> &'static str {
    match place.hive {
        Hive::Machine => "[Microsoft.Win32.Registry]::LocalMachine",
        Hive::User => "[Microsoft.Win32.Registry]::CurrentUser",
    }
}

impl Transport for PowerShell {
    fn machine(&self) -> &str {
        self.ssh.machine()
    }

    /// Batch text goes into a file there, whose process has the streams of ours.
    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        let batch = STANDARD.encode(batch_file(&command.text));
        let script = format!(
            "$f = Join-Path $env:TEMP ('xrt-' + [guid]::NewGuid() + '.cmd')\n\
             [IO.File]::WriteAllBytes($f, [Convert]::FromBase64String('{batch}'))\n\
             $i = New-Object Diagnostics.ProcessStartInfo $env:ComSpec, \"/d /c `\"$f`\"\"\n\
             $i.UseShellExecute = $false\n\
             $p = [Diagnostics.Process]::Start($i)\n$p.WaitForExit()\n[IO.File]::Delete($f)\nexit $p.ExitCode"
        );
        self.ssh.exec(&Command { text: command_line(&script)?, ..command.clone() }, cancel)
    }

    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.ssh.read_file(&sftp(path), limit, cancel)
    }

    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        self.ssh.write_file(&sftp(path), data, mode, cancel)
    }

    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        self.ssh.send(local, &sftp(remote), cancel)
    }

    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        self.ssh.fetch(&sftp(remote), local, cancel)
    }

    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        self.ssh.stat(&sftp(path), cancel)
    }

    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.ssh.list(&sftp(path), cancel)
    }

    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.ssh.make_dir(&sftp(path), cancel)
    }

    fn hang_up(&self) {
        self.ssh.hang_up();
    }

    fn shell_start(&self) -> Option<f64> {
        self.ssh.shell_start()
    }

    fn warnings(&self) -> Vec<String> {
        self.ssh.warnings()
    }

    fn windows(&self, _: &Cancel) -> Result<Option<Arc<dyn Windows>>> {
        Ok(Some(Arc::new(self.clone())))
    }
}

/// A value of the registry as our script tells it.
#[derive(Deserialize)]
struct Told {
    kind: String,
    value: serde_json::Value,
}

impl Windows for PowerShell {
    fn powershell(&self, script: &Command, cancel: &Cancel) -> Result<Output> {
        self.ssh.exec(&Command { text: command_line(&script.text)?, ..script.clone() }, cancel)
    }

    fn reg_get(&self, place: &RegPlace, cancel: &Cancel) -> Result<RegData> {
        let script = format!(
            "$k = {}.OpenSubKey({})\n$n = {}\nif ($null -eq $k -or $k.GetValueNames() -notcontains $n) {{ exit {MISSING} }}\n\
             ConvertTo-Json -Compress @{{ kind = \"$($k.GetValueKind($n))\"; \
             value = $k.GetValue($n, $null, 'DoNotExpandEnvironmentNames') }}",
            hive(place),
            quote(&place.key),
            quote(&place.name)
        );
        let told: Told = self.read(&script, cancel).map_err(|e| missing(e, &format!("`{place}`")))?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        match told.kind.as_str() {
            "DWord" => {
                let bits =
                    told.value.as_i64().and_then(|n| i32::try_from(n).map(i32::cast_unsigned).or_else(|_| u32::try_from(n)).ok());
                bits.map(RegData::Dword).ok_or_else(|| odd_type(self.machine(), place, &told.kind))
            }
            "String" => Ok(RegData::Text(text(&told.value))),
            "ExpandString" => Ok(RegData::Expand(text(&told.value))),
            "MultiString" => {
                Ok(RegData::Texts(told.value.as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default()))
            }
            other => Err(odd_type(self.machine(), place, other)),
        }
    }

    fn reg_set(&self, place: &RegPlace, data: &RegData, cancel: &Cancel) -> Result<()> {
        let (value, kind) = match data {
            RegData::Dword(number) => (number.cast_signed().to_string(), "DWord"),
            RegData::Text(text) => (quote(text), "String"),
            RegData::Expand(text) => (quote(text), "ExpandString"),
            RegData::Texts(all) => {
                (format!("[string[]]@({})", all.iter().map(|t| quote(t)).collect::<Vec<_>>().join(", ")), "MultiString")
            }
        };
        let (key, name) = (quote(&place.key), quote(&place.name));
        self.ask(&format!("$k = {}.CreateSubKey({key})\n$k.SetValue({name}, {value}, '{kind}')", hive(place)), cancel).map(drop)
    }

    fn reg_delete(&self, place: &RegPlace, cancel: &Cancel) -> Result<()> {
        let script = format!(
            "$k = {}.OpenSubKey({}, $true)\n$n = {}\nif ($null -eq $k -or $k.GetValueNames() -notcontains $n) {{ exit {MISSING} }}\n\
             $k.DeleteValue($n)",
            hive(place),
            quote(&place.key),
            quote(&place.name)
        );
        self.ask(&script, cancel).map(drop).map_err(|e| missing(e, &format!("`{place}`")))
    }

    fn env(&self, name: &str, cancel: &Cancel) -> Result<Option<String>> {
        let get = format!("[Environment]::GetEnvironmentVariable({})", quote(name));
        self.read(&format!("ConvertTo-Json -Compress -InputObject @({get})"), cancel)
            .map(|all: Vec<Option<String>>| all.into_iter().next().flatten())
    }

    fn wmi(&self, class: &str, property: &str, cancel: &Cancel) -> Result<String> {
        let query = quote(&format!("SELECT {property} FROM {class}"));
        self.ask(&format!("\"$(@(Get-WmiObject -Query {query})[0].{property})\""), cancel)
    }

    fn clock(&self, cancel: &Cancel) -> Result<f64> {
        self.read(
            "([DateTime]::UtcNow - [DateTime]'1970-01-01').TotalSeconds.ToString([Globalization.CultureInfo]::InvariantCulture)",
            cancel,
        )
    }

    fn kill_all(&self, image: &str, cancel: &Cancel) -> Result<()> {
        let image = quote(image);
        self.ask(&format!("$ErrorActionPreference = 'Continue'\ntaskkill.exe /f /t /im {image} 2>&1 | Out-Null\nexit 0"), cancel)
            .map(drop)
    }

    fn send_keys(&self, _: &[String], _: &Cancel) -> Result<()> {
        let what = format!("keys cannot be sent to {}: SSH has no desktop there", self.machine());
        Err(Error::new(Kind::Unsupported, what).blame(Blame::User).help("the execution daemon, which runs on the desktop, can"))
    }

    fn glob(&self, pattern: &str, cancel: &Cancel) -> Result<Vec<String>> {
        let pattern = quote(pattern);
        let found = format!("@(Get-Item -Path {pattern} -Force -ErrorAction SilentlyContinue | ForEach-Object {{ $_.FullName }})");
        self.read(&format!("ConvertTo-Json -Compress -InputObject {found}"), cancel)
    }

    fn temp_dir(&self, prefix: &str, cancel: &Cancel) -> Result<String> {
        let path = format!("Join-Path $env:TEMP ({} + [IO.Path]::GetRandomFileName())", quote(prefix));
        self.ask(&format!("(New-Item -ItemType Directory ({path})).FullName"), cancel)
    }

    fn remove_file(&self, path: &str, cancel: &Cancel) -> Result<()> {
        let path = quote(path);
        self.ask(&format!("if (Test-Path -LiteralPath {path}) {{ Remove-Item -LiteralPath {path} -Force }}"), cancel).map(drop)
    }

    fn remove_tree(&self, path: &str, cancel: &Cancel) -> Result<()> {
        let path = quote(path);
        self.ask(&format!("if (Test-Path -LiteralPath {path}) {{ Remove-Item -LiteralPath {path} -Force -Recurse }}"), cancel)
            .map(drop)
    }

    /// By the `tar` that Windows has since 2018.
    fn unpack(&self, url: &str, dir: &str, cancel: &Cancel) -> Result<()> {
        let (url, dir) = (quote(url), quote(dir));
        let script = format!(
            "$d = (New-Item -ItemType Directory -Force {dir}).FullName\n\
             $f = Join-Path $env:TEMP ('xrt-' + [guid]::NewGuid() + '.tgz')\n\
             try {{\nInvoke-WebRequest -UseBasicParsing -Uri {url} -OutFile $f\n\
             tar.exe -xzf $f -C $d\nif ($LASTEXITCODE -ne 0) {{ throw \"tar.exe says $LASTEXITCODE\" }}\n\
             }} finally {{ Remove-Item -LiteralPath $f -Force -ErrorAction SilentlyContinue }}"
        );
        self.ask_within(&script, UNPACKING, cancel).map(drop)
    }

    fn sha1(&self, path: &str, cancel: &Cancel) -> Result<String> {
        let script = format!(
            "$f = {}\nif (-not (Test-Path -LiteralPath $f)) {{ exit {MISSING} }}\n$s = [IO.File]::OpenRead($f)\n\
             [BitConverter]::ToString([Security.Cryptography.SHA1]::Create().ComputeHash($s)).Replace('-', '').ToLower()",
            quote(path)
        );
        self.ask(&script, cancel).map_err(|e| missing(e, &format!("`{path}`")))
    }

    /// By WMI: what an SSH session starts itself ends with it.
    fn start(&self, batch: &str, cancel: &Cancel) -> Result<Background> {
        let line = quote(&format!("cmd.exe /d /c \"{batch}\""));
        let script = format!(
            "$p = Invoke-WmiMethod -Class Win32_Process -Name Create -ArgumentList {line}\n\
             if ($p.ReturnValue -ne 0) {{ throw \"Win32_Process.Create says $($p.ReturnValue)\" }}\n$p.ProcessId"
        );
        Ok(Background { pid: self.read(&script, cancel)?, reference: String::new() })
    }

    fn runs(&self, background: &Background, cancel: &Cancel) -> Result<bool> {
        let found = format!("@(Get-Process -Id {} -ErrorAction SilentlyContinue).Count", background.pid);
        Ok(self.read::<u32>(&found, cancel)? > 0)
    }

    fn end(&self, background: &Background, cancel: &Cancel) -> Result<()> {
        let pid = background.pid;
        self.ask(&format!("$ErrorActionPreference = 'Continue'\ntaskkill.exe /f /t /pid {pid} 2>&1 | Out-Null\nexit 0"), cancel)
            .map(drop)
    }

    fn macs(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let all = "@(Get-WmiObject Win32_NetworkAdapter -Filter 'PhysicalAdapter=TRUE' | ForEach-Object { $_.MACAddress })";
        self.read(&format!("ConvertTo-Json -Compress -InputObject {all}"), cancel)
    }

    fn disks(&self, cancel: &Cancel) -> Result<Vec<u32>> {
        let all = "@(Get-WmiObject Win32_DiskDrive | ForEach-Object { [int]$_.Index } | Sort-Object)";
        self.read(&format!("ConvertTo-Json -Compress -InputObject {all}"), cancel)
    }

    fn go_down(&self, down: Down, cancel: &Cancel) -> Result<()> {
        let how = match down {
            Down::Reboot => "/r",
            Down::Shutdown => "/s",
        };
        self.ask(&format!("shutdown.exe {how} /f /t 5\nexit $LASTEXITCODE"), cancel).map(drop)
    }
}

/// Says what is not there.
fn missing(error: Error, what: &str) -> Error {
    if error.kind != Kind::NotFound {
        return error;
    }
    let machine = error.details.as_ref().map(|d| d.machine.clone()).unwrap_or_default();
    Error { what: format!("no {what} on {machine}"), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_one_word_whatever_is_in_it() {
        let line = command_line("Write-Output 'gr\u{fc}n'").unwrap();
        let (program, encoded) = line.rsplit_once(' ').unwrap();
        assert_eq!(program, "powershell.exe -nologo -noprofile -noninteractive -encodedcommand");
        let bytes = STANDARD.decode(encoded).unwrap();
        let units: Vec<u16> = bytes.chunks(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
        assert!(String::from_utf16(&units).unwrap().ends_with("Write-Output 'gr\u{fc}n'"));
        assert_eq!(command_line(&"x".repeat(5000)).unwrap_err().kind, Kind::Malformed);
    }

    #[test]
    fn texts_and_paths_are_quoted() {
        assert_eq!(quote("it's"), "'it''s'");
        assert_eq!(quote("a\u{2019}b$x"), "'a\u{2019}\u{2019}b$x'");
        for (path, there) in [(r"c:\a b\c", "/c:/a b/c"), ("D:/x", "/D:/x"), (r"rel\x", "rel/x"), ("/c:/x", "/c:/x")] {
            assert_eq!(sftp(path), there);
        }
    }
}
