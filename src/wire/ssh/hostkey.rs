//! The keys by which machines prove who they are: recorded, compared, and told when they change.
//!
//! The record is a file in OpenSSH's format, so `ssh -o UserKnownHostsFile=…` reads it too. A line of ours ends in the key's
//! fingerprint, so that a change can be told with both. Marked lines (`@revoked`) are kept, not heeded.

use super::link::{Notes, Refusal};
use super::{HostKeys, Target};
use crate::error::{Kind, Result};
use crate::wire::record;
use ssh2::{CheckResult, HashType, HostKeyType, KnownHostFileKind, MethodType, Session};
use std::path::Path;

/// Asks the server for a key of the sort that is recorded: another sort would look like a change.
pub(super) fn prefer_recorded(session: &Session, target: &Target) {
    let Some(path) = target.known_hosts.as_ref().filter(|_| target.host_keys != HostKeys::Ignore) else { return };
    let Ok(record) = std::fs::read_to_string(path) else { return };
    let Ok(supported) = session.supported_algs(MethodType::HostKey) else { return };
    let name = name(target);
    let recorded: Vec<&str> = record.lines().filter(|l| is_about(session, l, &name)).filter_map(sort).collect();
    let is_recorded = |algorithm: &str| {
        recorded.iter().any(|sort| algorithm == *sort || *sort == "ssh-rsa" && algorithm.starts_with("rsa-sha2-"))
    };
    let (first, rest): (Vec<&str>, Vec<&str>) = supported.into_iter().partition(|a| is_recorded(a));
    if !first.is_empty() {
        // Refused, the usual order stays, which is no worse than before.
        let _ = session.method_pref(MethodType::HostKey, &[first, rest].concat().join(","));
    }
}

/// Compares the server's key with the record.
///
/// # Errors
/// A key that the target's policy does not accept.
pub(super) fn check(session: &Session, target: &Target, notes: &Notes) -> Result<(), Refusal> {
    if target.host_keys == HostKeys::Ignore {
        return Ok(());
    }
    let strict = target.host_keys == HostKeys::Strict;
    let Some(path) = target.known_hosts.as_deref() else {
        return if strict {
            Err(refusal("host keys are to be checked, but no record of them was named".into(), None))
        } else {
            Ok(())
        };
    };
    let Some(ours) = Key::of(session) else {
        return Err(refusal("the server showed no host key".into(), None));
    };
    let name = name(target);
    let recorded = match record::read(path) {
        Ok(text) => text,
        Err(e) => return unreadable(target, path, &e, notes),
    };
    let about: Vec<&str> = recorded.lines().filter(|line| is_about(session, line, &name)).collect();
    if about.iter().any(|line| is_match(session, line, &name, &ours.bytes)) {
        return Ok(());
    }
    let place = format!("`{}`", path.display());
    match about.first() {
        None if strict => {
            let why = format!("the host key of {} is not known: {} {}", target.machine(), ours.sort, ours.fingerprint);
            let add = format!("ssh-keyscan -p {} {} >> {}", target.port, target.host, path.display());
            return Err(refusal(
                why,
                Some(format!("compare it with the machine's own, then record it: `{add}`; or use `--host-keys warn`")),
            ));
        }
        Some(old) if strict => {
            let why = format!(
                "the host key of {} has changed: recorded {}, now {} {}",
                target.machine(),
                fingerprint_of(old),
                ours.sort,
                ours.fingerprint
            );
            let remove = format!("ssh-keygen -R '{name}' -f {}", path.display());
            return Err(refusal(
                why,
                Some(format!("if it was installed anew: `{remove}`, then record the new one; or use `--host-keys warn`")),
            ));
        }
        None => {}
        Some(old) => notes.warn(format!(
            "the host key of {} has changed: it was {}, now it is {} {}; was it installed anew? The record in {place} is replaced",
            target.machine(),
            fingerprint_of(old),
            ours.sort,
            ours.fingerprint
        )),
    }
    if let Err(e) = write(session, path, &name, &ours) {
        notes.warn(format!("the host key of {} is not recorded: {}", target.machine(), e.what));
    }
    Ok(())
}

fn unreadable(target: &Target, path: &Path, error: &std::io::Error, notes: &Notes) -> Result<(), Refusal> {
    let text = format!("the record of host keys `{}` cannot be read: {error}", path.display());
    if target.host_keys == HostKeys::Strict {
        return Err(refusal(text, None));
    }
    notes.warn(text);
    Ok(())
}

fn refusal(why: String, help: Option<String>) -> Refusal {
    Refusal { kind: Kind::Refused, why, help }
}

/// The server's key, and the words for it.
struct Key {
    bytes: Vec<u8>,
    kind: HostKeyType,
    sort: &'static str,
    fingerprint: String,
}

impl Key {
    fn of(session: &Session) -> Option<Key> {
        let (bytes, kind) = session.host_key()?;
        let hash = session.host_key_hash(HashType::Sha256)?;
        let sort = match kind {
            HostKeyType::Rsa => "RSA",
            HostKeyType::Dss => "DSA",
            HostKeyType::Ecdsa256 | HostKeyType::Ecdsa384 | HostKeyType::Ecdsa521 => "ECDSA",
            HostKeyType::Ed25519 => "ED25519",
            HostKeyType::Unknown => "unknown",
        };
        Some(Key { bytes: bytes.to_vec(), kind, sort, fingerprint: format!("SHA256:{}", base64(hash)) })
    }
}

/// The host as OpenSSH writes it into its record.
fn name(target: &Target) -> String {
    if target.port == 22 { target.host.to_lowercase() } else { format!("[{}]:{}", target.host.to_lowercase(), target.port) }
}

/// Whether a line of the record is about this host, hashed names included.
fn is_about(session: &Session, line: &str, name: &str) -> bool {
    // A key that nobody has: whoever is named does not match, whoever is not is not found.
    matches!(compare(session, line, name, b"?"), Some(CheckResult::Mismatch | CheckResult::Match))
}

fn is_match(session: &Session, line: &str, name: &str, key: &[u8]) -> bool {
    matches!(compare(session, line, name, key), Some(CheckResult::Match))
}

fn compare(session: &Session, line: &str, name: &str, key: &[u8]) -> Option<CheckResult> {
    if line.trim().is_empty() || line.starts_with(['#', '@']) {
        return None;
    }
    let mut one = session.known_hosts().ok()?;
    one.read_str(line, KnownHostFileKind::OpenSSH).ok()?;
    Some(one.check(name, key))
}

/// The sort of key in a line of the record.
fn sort(line: &str) -> Option<&str> {
    line.split_whitespace().nth(1)
}

/// The fingerprint that a line of ours ends in; of another program's line, the end of its key.
fn fingerprint_of(line: &str) -> String {
    let mut words = line.split_whitespace();
    if let Some(fingerprint) = words.clone().find(|w| w.starts_with("SHA256:")) {
        return fingerprint.to_string();
    }
    let sort = words.nth(1).unwrap_or("unknown");
    let key = words.next().unwrap_or_default();
    format!("{sort} …{}", key.get(key.len().saturating_sub(16)..).unwrap_or(key))
}

/// Puts the key into the record in the place of what stood there about this host.
fn write(session: &Session, path: &Path, name: &str, key: &Key) -> Result<()> {
    record::rewrite(path, |old| {
        let others = old.lines().filter(|line| !is_about(session, line, name));
        let text: String = others.map(|line| format!("{line}\n")).collect();
        Ok(text + line(session, name, key)?.as_str())
    })
}

fn line(session: &Session, name: &str, key: &Key) -> Result<String> {
    let lines = || -> Result<String, ssh2::Error> {
        let mut one = session.known_hosts()?;
        one.add(name, &key.bytes, &key.fingerprint, key.kind.into())?;
        let host = one.hosts()?;
        host.iter().map(|h| one.write_string(h, KnownHostFileKind::OpenSSH)).collect()
    };
    let text = lines().map_err(|e| crate::error::Error::new(Kind::Internal, format!("a host key cannot be put down: {e}")))?;
    Ok(format!("{}\n", text.trim_end()))
}

/// Base64 without padding, as fingerprints are written.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0usize, |word, byte| word << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(LETTERS[word >> (18 - 6 * place) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_ssh_keygen_prints() {
        for (bytes, text) in [("", ""), ("M", "TQ"), ("Ma", "TWE"), ("Man", "TWFu"), ("light work.", "bGlnaHQgd29yay4")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn lines_of_the_record_are_recognised() {
        let session = Session::new().unwrap();
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIMP1mGvYJVSxmPmjWZ5KJKVRVCjGVWyXkkQnDA6MvPgx";
        for (line, name, expected) in [
            (format!("[10.0.0.5]:2222 ssh-ed25519 {key} SHA256:x"), "[10.0.0.5]:2222", true),
            (format!("[10.0.0.5]:2222 ssh-ed25519 {key}"), "10.0.0.5", false),
            (format!("10.0.0.5 ssh-ed25519 {key}"), "[10.0.0.5]:2222", false),
            (format!("a,b ssh-ed25519 {key}"), "b", true),
            (format!("# a ssh-ed25519 {key}"), "a", false),
            ("rubbish".to_string(), "rubbish", false),
            (String::new(), "", false),
        ] {
            assert_eq!(is_about(&session, &line, name), expected, "{line} / {name}");
        }
        assert_eq!(fingerprint_of("a ssh-ed25519 AAAA SHA256:xyz"), "SHA256:xyz");
        assert_eq!(fingerprint_of("a ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB"), "ssh-rsa …c2EAAAADAQABAAAB");
    }
}
