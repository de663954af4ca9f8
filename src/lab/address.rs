//! Where a machine is, as people write it after `--guest`: `10.0.0.5`, `root:secret@[fe80::1]:2222`, `execd://10.0.0.5`, `local`.

use crate::error::{Blame, Error, Kind, Result};
use crate::secret::{MASK, Secret};
use crate::wire::windows::DAEMON_PORT;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The port of SSH.
pub const SSH_PORT: u16 = 22;

/// The user when the address names none.
pub const ROOT: &str = "root";

/// Before the address of an execution daemon.
const DAEMON: &str = "execd://";

const EXAMPLES: &str = "write it as 10.0.0.5, name, user@host, user:password@host:port, user@[fe80::1]:22, execd://host for the execution daemon of Windows, or local for this machine";

/// Where a machine is.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// This machine, without SSH.
    Local,
    /// A machine reached by SSH.
    Remote { user: Option<String>, password: Option<Secret>, host: String, port: u16 },
    /// A Windows machine reached by its execution daemon.
    Daemon { host: String, port: u16 },
}

impl Address {
    pub fn is_local(&self) -> bool {
        *self == Address::Local
    }

    /// What to call the machine when nobody gave it a name: the host part.
    pub fn name(&self) -> &str {
        match self {
            Address::Local => "local",
            Address::Remote { host, .. } | Address::Daemon { host, .. } => host,
        }
    }

    /// The user to log in as.
    pub fn user(&self) -> &str {
        match self {
            Address::Remote { user: Some(user), .. } => user,
            _ => ROOT,
        }
    }

    /// The password written in the address, if any.
    pub fn password(&self) -> Option<&Secret> {
        match self {
            Address::Remote { password, .. } => password.as_ref(),
            Address::Local | Address::Daemon { .. } => None,
        }
    }

    /// The same place, for those who are not to know the password.
    #[must_use]
    pub fn without_password(&self) -> Address {
        match self.clone() {
            Address::Remote { user, host, port, .. } => Address::Remote { user, password: None, host, port },
            other => other,
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// The last `@` separates, so a password may contain `@` and `:`.
    fn from_str(text: &str) -> Result<Address> {
        let bare = text.trim();
        let bare = bare.strip_prefix("ssh://").map_or(bare, |rest| rest.trim_end_matches('/'));
        if bare == "local" {
            return Ok(Address::Local);
        }
        if let Some(place) = bare.strip_prefix(DAEMON) {
            let (host, port) = host_and_port(place.trim_end_matches('/'), DAEMON_PORT).map_err(|what| wrong(None, bare, &what))?;
            return Ok(Address::Daemon { host, port });
        }
        let (login, place) = match bare.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, bare),
        };
        let (user, password) = match login.map(|l| l.split_once(':').map_or((l, None), |(u, p)| (u, Some(p)))) {
            None => (None, None),
            Some(("", _)) => return Err(wrong(login, place, "the user before `@` is empty")),
            Some((user, _)) if user.contains(char::is_whitespace) => {
                return Err(wrong(login, place, "the user has a space in it"));
            }
            Some((user, password)) => (Some(user.to_string()), password.map(Secret::new)),
        };
        let (host, port) = host_and_port(place, SSH_PORT).map_err(|what| wrong(login, place, &what))?;
        Ok(Address::Remote { user, password, host, port })
    }
}

/// The error about an address, its password masked.
fn wrong(login: Option<&str>, place: &str, what: &str) -> Error {
    let login = match login.map(|l| l.split_once(':')) {
        None => String::new(),
        Some(None) => format!("{}@", login.unwrap_or_default()),
        Some(Some((user, _))) => format!("{user}:{MASK}@"),
    };
    Error::new(Kind::Malformed, format!("`{login}{place}` is not an address: {what}")).blame(Blame::User).help(EXAMPLES)
}

fn host_and_port(place: &str, usual: u16) -> Result<(String, u16), String> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("`[` without its `]`")?;
        let plain = host.split('%').next().unwrap_or_default();
        if plain.parse::<Ipv6Addr>().is_err() {
            return Err(format!("`{host}` is not an IPv6 address"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host.to_string(), parse_port(port)?)),
            None if rest.is_empty() => Ok((host.to_string(), usual)),
            None => Err(format!("`{rest}` after the `]`")),
        };
    }
    if place.parse::<IpAddr>().is_ok() {
        return Ok((place.to_string(), usual));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, parse_port(port)?),
        Some(_) => return Err("an IPv6 address with a port needs brackets around it".into()),
        None => (place, usual),
    };
    if host.is_empty() {
        return Err("the host is missing".into());
    }
    if let Some(odd) = host.chars().find(|c| !c.is_alphanumeric() && !"-._".contains(*c)) {
        return Err(match odd {
            ']' => "`]` without its `[`".into(),
            odd => format!("`{odd}` in the host name"),
        });
    }
    if host.starts_with('-') {
        return Err("a host name does not begin with `-`".into());
    }
    Ok((host.to_string(), port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("port `{text}` is not a number from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for Address {
    /// As a person may read it: the password masked, the usual port left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, usual) = match self {
            Address::Local => return f.write_str("local"),
            Address::Remote { host, port, .. } => (host, port, SSH_PORT),
            Address::Daemon { host, port } => {
                f.write_str(DAEMON)?;
                (host, port, DAEMON_PORT)
            }
        };
        if let Address::Remote { user: Some(user), password, .. } = self {
            let password = if password.is_some() { format!(":{MASK}") } else { String::new() };
            write!(f, "{user}{password}@")?;
        }
        match (host.contains(':'), *port == usual) {
            (false, true) => f.write_str(host),
            (false, false) => write!(f, "{host}:{port}"),
            (true, true) => write!(f, "[{host}]"),
            (true, false) => write!(f, "[{host}]:{port}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let check = |text: &str, user: Option<&str>, password: Option<&str>, host: &str, port: u16| {
            let (user, password) = (user.map(str::to_string), password.map(Secret::new));
            let expected = Address::Remote { user, password, host: host.to_string(), port };
            assert_eq!(text.parse::<Address>().unwrap(), expected, "{text}");
        };
        check("10.0.0.5", None, None, "10.0.0.5", 22);
        check("winguest", None, None, "winguest", 22);
        check(" my_host.lab ", None, None, "my_host.lab", 22);
        check("root@h", Some("root"), None, "h", 22);
        check("root:secret@127.0.0.1:2222", Some("root"), Some("secret"), "127.0.0.1", 2222);
        check("user:p@ss:w0rd@[fe80::1]:22", Some("user"), Some("p@ss:w0rd"), "fe80::1", 22);
        check("root:@h", Some("root"), Some(""), "h", 22);
        check("[::1]", None, None, "::1", 22);
        check("[fe80::1%eth0]:2022", None, None, "fe80::1%eth0", 2022);
        check("fe80::1", None, None, "fe80::1", 22);
        check("ssh://u@h:23/", Some("u"), None, "h", 23);
        assert_eq!("local".parse::<Address>().unwrap(), Address::Local);
        for (text, host, port) in [("execd://win1", "win1", 8936), ("execd://[fe80::1]:9000/", "fe80::1", 9000)] {
            assert_eq!(text.parse::<Address>().unwrap(), Address::Daemon { host: host.into(), port });
        }
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong_and_hides_the_password() {
        for (text, what) in [
            ("", "the host is missing"),
            ("root@", "the host is missing"),
            (":22", "the host is missing"),
            ("@h", "the user before `@` is empty"),
            (":secret@h", "the user before `@` is empty"),
            ("root:secret@h:0", "port `0`"),
            ("root:secret@h:ssh", "port `ssh`"),
            ("h:70000", "port `70000`"),
            ("[::1", "`[` without its `]`"),
            ("::1]", "needs brackets"),
            ("h]", "`]` without its `[`"),
            ("[h]:22", "`h` is not an IPv6 address"),
            ("[::1]22", "`22` after the `]`"),
            ("a b", "` ` in the host name"),
            ("xapi://h", "port `//h`"),
            ("-oProxyCommand=x", "`=` in the host name"),
            ("-h", "does not begin with `-`"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.what.contains(what), "{text}: {}", error.what);
            assert!(!error.report().contains("secret"), "{}", error.report());
            assert!(error.help.is_some());
            assert_eq!(error.blame, Blame::User);
        }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, shown) in [
            ("root:s3cret@127.0.0.1:2222", "root:••••••@127.0.0.1:2222"),
            ("root@[::1]:22", "root@[::1]"),
            ("[::1]:23", "[::1]:23"),
            ("h", "h"),
            ("execd://h", "execd://h"),
            ("execd://h:1", "execd://h:1"),
            ("local", "local"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("s3cret"));
            assert_eq!(address.without_password().to_string(), shown.replace(":••••••", ""));
        }
    }
}
