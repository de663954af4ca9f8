//! Where a pool is, as people write it after `--host`: `h1`, `root:secret@h1`, `xapi://h1`, `xapi+http://127.0.0.1:8080`.

use crate::error::{Blame, Error, Kind, Result};
use crate::secret::{MASK, Secret};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

const EXAMPLES: &str = "write it as h1, user:password@h1, xapi://h1:443 or xapi+http://127.0.0.1:8080";

/// Where a pool is, and as whom to go there.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    is_encrypted: bool,
    /// An IPv6 address is without its brackets.
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
}

impl Address {
    /// As the server is written in a URL: `https://10.0.0.5`.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.machine())
    }

    /// The same way to another host of the pool, which may come with a port of its own.
    ///
    /// # Errors
    /// `Malformed`.
    pub(super) fn at(&self, host: &str) -> Result<String> {
        let (host, port) = host_and_port(host).map_err(|what| {
            Error::new(Kind::Malformed, format!("the pool named `{host}` as its coordinator: {what}")).blame(Blame::Product)
        })?;
        Ok(Address { host, port: port.or(self.port), ..self.clone() }.origin())
    }

    /// Another address: in full, or a host alone, which is reached in the same way as this one.
    ///
    /// # Errors
    /// `Malformed`.
    pub(super) fn like(&self, text: &str, user: Option<&str>) -> Result<Address> {
        let given: Address = text.parse()?;
        let is_whole = text.contains("://");
        Ok(Address {
            is_encrypted: if is_whole { given.is_encrypted } else { self.is_encrypted },
            port: if is_whole { given.port } else { given.port.or(self.port) },
            user: user.map(str::to_string).or(given.user.clone()).or_else(|| self.user.clone()),
            ..given
        })
    }

    /// As shown to people: the port only where it is not the usual one.
    pub fn machine(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) if port != if self.is_encrypted { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host,
        }
    }

    /// The host's name or address alone.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("root")
    }

    /// The password written in the address, if any.
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }
}

impl FromStr for Address {
    type Err = Error;

    /// The last `@` separates, so a password may contain `@` and `:`.
    fn from_str(text: &str) -> Result<Address> {
        let bare = text.trim();
        let (is_encrypted, rest) = match bare.split_once("://") {
            None => (true, bare),
            Some(("xapi" | "xapi+https" | "https", rest)) => (true, rest),
            Some(("xapi+http" | "http", rest)) => (false, rest),
            Some((scheme, _)) => {
                let what = format!("there is no toolstack `{scheme}`");
                return Err(Error::new(Kind::Malformed, what).blame(Blame::User).help(EXAMPLES));
            }
        };
        let rest = rest.trim_end_matches('/');
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let shown = if login.is_some() { format!("{MASK}@{place}") } else { place.to_string() };
        let wrong = |what: &str| {
            let what = format!("`{shown}` is not the address of a pool: {what}");
            Error::new(Kind::Malformed, what).blame(Blame::User).help(EXAMPLES)
        };
        let (user, password) = match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
            None => (None, None),
            Some(("", _)) => return Err(wrong("the user before `@` is empty")),
            Some((user, password)) => (Some(user.to_string()), password.map(Secret::new)),
        };
        let (host, port) = host_and_port(place).map_err(|what| wrong(&what))?;
        Ok(Address { is_encrypted, host, port, user, password })
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|p| p.split_once(']')) {
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| format!("`{port}` is not a port"))?),
            None if rest.is_empty() => None,
            None => return Err(format!("`{rest}` after the `]`")),
        };
        return Ok((host.to_string(), port));
    }
    if place.parse::<Ipv6Addr>().is_ok() {
        return Ok((place.to_string(), None));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| format!("`{port}` is not a port"))?)),
        None => (place, None),
    };
    let is_fit = |c: char| c.is_alphanumeric() || ".-_%".contains(c);
    match host {
        "" => Err("no host is named".into()),
        host if host.chars().all(is_fit) => Ok((host.to_string(), port)),
        host => Err(format!("`{host}` is not the name of a host")),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "xapi" } else { "xapi+http" };
        write!(f, "{scheme}://")?;
        match (&self.user, &self.password) {
            (Some(user), Some(_)) => write!(f, "{user}:{MASK}@")?,
            (Some(user), None) => write!(f, "{user}@")?,
            (None, _) => {}
        }
        f.write_str(&self.machine())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_origins() {
        for (text, origin, user, password) in [
            ("h1", "https://h1", "root", None),
            ("xapi://h1:443/", "https://h1", "root", None),
            ("xapi+http://127.0.0.1:8080", "http://127.0.0.1:8080", "root", None),
            ("admin:p@ss:w@h1", "https://h1", "admin", Some("p@ss:w")),
            ("http://root:@h1", "http://h1", "root", Some("")),
            ("fe80::1", "https://[fe80::1]", "root", None),
            ("[fe80::1]:8443", "https://[fe80::1]:8443", "root", None),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.origin(), origin, "{text}");
            assert_eq!((address.user(), address.password().map(Secret::reveal)), (user, password), "{text}");
        }
        let shown = format!("{:?}", "root:secret@h1".parse::<Address>().unwrap());
        assert_eq!(shown, format!("xapi://root:{MASK}@h1"));
    }

    #[test]
    fn a_wrong_address_is_told_without_its_password() {
        for text in ["", "root:secret@", ":secret@h1", "root:secret@h 1", "h1:99999", "virsh://h1", "[::1]x", "h1/path?query"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.kind == Kind::Malformed && error.help.is_some() && !error.what.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_coordinator_is_reached_in_the_same_way() {
        let address: Address = "xapi+http://root@127.0.0.1:8080".parse().unwrap();
        for (named, origin) in
            [("127.0.0.2", "http://127.0.0.2:8080"), ("127.0.0.2:81", "http://127.0.0.2:81"), ("fe80::1", "http://[fe80::1]:8080")]
        {
            assert_eq!(address.at(named).unwrap(), origin);
        }
        assert!(address.at("a b").is_err());
    }
}
