//! Files by the daemon. It holds a whole file in its memory on every call, so large ones are sent in pieces.

use super::call::Trouble;
use super::{Execd, odd};
use crate::error::{Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use crate::unit::show_size;
use crate::wire::windows::{Windows, quote_path};
use crate::wire::xmlrpc::Value;
use crate::wire::{Command, Entry, EntryKind, Transport};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// How much is sent at a time.
const PIECE: usize = 8 << 20;

/// The largest file that is fetched: the daemon sends a file as a whole.
const LARGEST: u64 = 512 << 20;

/// How long it may take to add a piece to a file.
const JOIN: Duration = Duration::from_secs(300);

pub(super) fn read(daemon: &Execd, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
    let too_large = || {
        Error::new(Kind::Malformed, format!("`{path}` is larger than {}", show_size(limit)))
            .help("the execution daemon sends a file as a whole: pack it, or split it there")
    };
    // Base64 in lines of 76, and what is around it.
    let longest = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(57) / 57;
    let longest = longest.saturating_mul(78).saturating_add(64 << 10);
    match daemon.call("readFile", vec![Value::text(path)], longest, cancel) {
        Ok(Value::Bytes(bytes)) if bytes.len() as u64 > limit => Err(too_large()),
        Ok(Value::Bytes(bytes)) => Ok(bytes),
        Ok(other) => Err(odd(daemon, "readFile", &other)),
        Err(Trouble::Broken(error)) if error.kind == Kind::Malformed => Err(too_large()),
        Err(trouble) => Err(trouble.error(daemon, "readFile")),
    }
}

pub(super) fn write(daemon: &Execd, path: &str, data: &[u8], cancel: &Cancel) -> Result<()> {
    send_all(daemon, path, data, cancel, "the text").map(drop)
}

pub(super) fn send(daemon: &Execd, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
    let shown = format!("`{}`", local.display());
    let file = std::fs::File::open(local).at(format_args!("read {shown}"))?;
    send_all(daemon, remote, file, cancel, &shown)
}

/// Writes a file from pieces: the first makes it, each further one is added by the machine itself.
fn send_all(daemon: &Execd, path: &str, mut from: impl Read, cancel: &Cancel, whose: &str) -> Result<u64> {
    let mut sent = 0;
    loop {
        let mut piece = Vec::new();
        from.by_ref().take(PIECE as u64).read_to_end(&mut piece).at(format_args!("read {whose}"))?;
        let (length, is_first) = (piece.len(), sent == 0);
        if length == 0 && !is_first {
            return Ok(sent);
        }
        if is_first {
            daemon.ask("createFile", vec![Value::text(path), Value::Bytes(piece)], cancel)?;
        } else {
            add(daemon, path, piece, cancel)?;
        }
        sent += length as u64;
        if length < PIECE {
            return Ok(sent);
        }
    }
}

fn add(daemon: &Execd, path: &str, piece: Vec<u8>, cancel: &Cancel) -> Result<()> {
    let part = format!("{path}.xrt-part");
    daemon.ask("createFile", vec![Value::text(&part), Value::Bytes(piece)], cancel)?;
    let (whole, quoted) = (quote_path(path)?, quote_path(&part)?);
    let output = daemon.exec(&Command::new(format!("copy /b /y {whole}+{quoted} {whole}"), JOIN), cancel);
    let removed = daemon.remove_file(&part, cancel);
    let output = output?;
    removed?;
    if output.is_success() {
        return Ok(());
    }
    let said = output.stdout.tail(200);
    let what = format!("a piece could not be added to `{path}` on {}: {}", daemon.machine(), said.trim());
    Err(Error::new(Kind::Refused, what).details(output.details(daemon.machine(), "copy /b")))
}

pub(super) fn fetch(daemon: &Execd, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
    let bytes = read(daemon, remote, LARGEST, cancel)?;
    std::fs::write(local, &bytes).at(format_args!("write `{}`", local.display()))?;
    Ok(bytes.len() as u64)
}

pub(super) fn stat(daemon: &Execd, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
    // The daemon counts a directory as a file that exists.
    if !holds(daemon, "fileExists", path, cancel)? {
        return Ok(None);
    }
    let is_dir = holds(daemon, "dirExists", path, cancel)?;
    let modified = match daemon.call("fileMTime", vec![Value::text(path)], 4096, cancel) {
        Ok(value) => daemon.number("fileMTime", &value)?.max(0.0) as u64,
        // It has gone meanwhile.
        Err(Trouble::Fault(_)) if !holds(daemon, "fileExists", path, cancel)? => return Ok(None),
        Err(trouble) => return Err(trouble.error(daemon, "fileMTime")),
    };
    Ok(Some(entry(path, is_dir, modified)))
}

pub(super) fn list(daemon: &Execd, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
    if !holds(daemon, "dirExists", path, cancel)? {
        return Err(Error::new(Kind::NotFound, format!("no directory `{path}` on {}", daemon.machine())));
    }
    let base = path.trim_end_matches(['\\', '/']).replace('[', "[[]").replace('*', "[*]").replace('?', "[?]");
    let mut entries = Vec::new();
    for pattern in [format!("{base}\\*"), format!("{base}\\.*")] {
        for found in daemon.glob(&pattern, cancel)? {
            let is_dir = holds(daemon, "dirExists", &found, cancel)?;
            entries.push(entry(&found, is_dir, 0));
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.dedup_by(|a, b| a.name == b.name);
    Ok(entries)
}

pub(super) fn make_dir(daemon: &Execd, path: &str, cancel: &Cancel) -> Result<()> {
    if holds(daemon, "dirExists", path, cancel)? {
        return Ok(());
    }
    match daemon.ask("createDir", vec![Value::text(path)], cancel) {
        // Somebody else was faster.
        Err(error) if error.kind == Kind::Refused && holds(daemon, "dirExists", path, cancel)? => Ok(()),
        made => made.map(drop),
    }
}

fn holds(daemon: &Execd, method: &str, path: &str, cancel: &Cancel) -> Result<bool> {
    let said = daemon.ask(method, vec![Value::text(path)], cancel)?;
    daemon.truth(method, &said)
}

fn entry(path: &str, is_dir: bool, modified: u64) -> Entry {
    let name = path.trim_end_matches(['\\', '/']).rsplit(['\\', '/']).next().unwrap_or(path).to_string();
    let (kind, mode) = if is_dir { (EntryKind::Directory, 0o755) } else { (EntryKind::File, 0o644) };
    Entry { name, kind, size: 0, mode, modified }
}
