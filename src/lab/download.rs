//! What a web server has: whether it is there, and its bytes.

use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use crate::unit::show_size;
use crate::wire::http::{Http, Way};
use crate::wire::ssh::HostKeys;
use crate::wire::tls::Trust;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(30);

/// Whether this is an address of a web server, and not a path.
pub fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Whether a server has something at an address. A server that does not answer is an error, and no "no".
///
/// # Errors
/// `Malformed` for what is no address; `Unreachable`, `Refused`, `Timeout`, `Cancelled`.
pub fn is_there(url: &str, cancel: &Cancel) -> Result<bool> {
    let (server, path) = server(url)?;
    match server.head(&path, cancel).map_err(|fault| fault.error())?.status {
        200 => Ok(true),
        404 | 410 => Ok(false),
        status => Err(refused(url, status)),
    }
}

/// Writes out what a server has at an address; `told` hears how many bytes have come.
///
/// # Errors
/// `NotFound`: there is nothing; `Malformed` for what is no address; `Unreachable`, `Refused`, `Timeout`, `Cancelled`.
pub fn fetch(url: &str, to: &mut dyn Write, told: &dyn Fn(u64), cancel: &Cancel) -> Result<()> {
    let (server, path) = server(url)?;
    match server.get(&path, to, told, cancel).map_err(|fault| fault.error())?.status {
        200 => Ok(()),
        status => Err(refused(url, status)),
    }
}

/// A file of this machine: the one of that path, below `inputs` where the path is relative, or what a web server has, which is
/// fetched into the testcase's directory unless it was before.
///
/// # Errors
/// `NotFound`: there is none; those of [`fetch`].
pub fn local(name: &str, inputs: Option<&str>, context: &Context) -> Result<PathBuf> {
    let given = match inputs.filter(|_| !is_url(name) && !Path::new(name).exists()) {
        Some(inputs) if !Path::new(name).is_absolute() => format!("{}/{name}", inputs.trim_end_matches('/')),
        _ => name.to_string(),
    };
    if !is_url(&given) {
        let path = PathBuf::from(&given);
        let missing = || Error::new(Kind::NotFound, format!("there is no `{given}` on this machine")).blame(Blame::User);
        return if path.exists() { Ok(path) } else { Err(missing().help("a relative name is looked for below INPUTDIR too")) };
    }
    // Two servers may have files of one name.
    let plain = given.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).filter(|last| !last.is_empty());
    let path = context.file(&format!("downloads/{:08x}-{}", crate::name::fingerprint(&given), plain.unwrap_or("index")))?;
    if path.exists() {
        return Ok(path);
    }
    let part = path.with_extension("part");
    context.action(None, &format!("fetch {given}"), |action| {
        let doing = format!("write `{}`", part.display());
        let mut file = File::create(&part).at(&doing)?;
        let fetched = fetch(&given, &mut file, &|bytes| action.progress(show_size(bytes), None), &context.cancel());
        if let Err(error) = fetched {
            // What came of it is of no use.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
        std::fs::rename(&part, &path).at(&doing)?;
        context.attach(&path);
        action.says(path.display().to_string());
        Ok(path.clone())
    })
}

fn server(url: &str) -> Result<(Http, String)> {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    let (origin, path) = url.split_at(end);
    let trust = Trust { policy: HostKeys::Warn, record: None };
    let way = Way { origin: origin.into(), trust, connect_timeout: CONNECT, warn: Arc::new(|warning| tracing::warn!("{warning}")) };
    Ok((Http::new(way)?, if path.is_empty() { "/".into() } else { path.into() }))
}

fn refused(url: &str, status: u16) -> Error {
    let kind = if [404, 410].contains(&status) { Kind::NotFound } else { Kind::Refused };
    let error = Error::new(kind, format!("`{url}`: the server answers {status}")).blame(Blame::Author);
    error.help("is it the address of the file itself?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_whether_it_has_something() {
        let web = crate::wire::serve::Server::start("127.0.0.1:0".parse().unwrap()).unwrap();
        web.put("/a.tgz", "bytes");
        let at = |path: &str| format!("http://127.0.0.1:{}{path}", web.port());
        let cancel = Cancel::new();
        assert!(is_there(&at("/a.tgz"), &cancel).unwrap());
        assert!(!is_there(&at("/b.tgz"), &cancel).unwrap());
        assert_eq!(is_there("http://127.0.0.1:1/a.tgz", &cancel).unwrap_err().kind, Kind::Unreachable);
        let mut bytes = Vec::new();
        fetch(&at("/a.tgz"), &mut bytes, &|_| (), &cancel).unwrap();
        assert_eq!(bytes, b"bytes");
        assert_eq!(fetch(&at("/b.tgz"), &mut bytes, &|_| (), &cancel).unwrap_err().kind, Kind::NotFound);
        assert!(is_url("https://h/a") && !is_url("/a/b") && !is_url("nfs://h/a"));
    }
}
