//! What a simulated pool is made of: the text after `sim:`.

use super::clock::Speed;
use super::trouble::{self, Trouble};
use crate::error::{Error, Kind, Result};
use crate::{name, unit};
use std::net::SocketAddr;
use std::str::FromStr;

const NAMES: &[&str] = &["disk", "guests", "hosts", "memory", "netboot", "seed", "spare", "speed", "templates", "tls", "trouble"];

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// In the pool: `host1`, `host2`, …
    pub hosts: usize,
    /// Running ones to begin with, spread over the hosts: `guest1`, `guest2`, …
    pub guests: usize,
    /// Pools of one host each besides, which can join.
    pub spare: usize,
    /// The same seed gives the same UUIDs; without one each start has its own.
    pub seed: Option<u64>,
    pub speed: Speed,
    /// Bytes of a host.
    pub memory: u64,
    /// Bytes of the shared SR.
    pub disk: u64,
    /// Whether it is HTTPS, with a certificate that the simulator has signed itself.
    pub tls: bool,
    /// Whether there are templates with disks.
    pub templates: bool,
    /// Where the site's DHCP leads machines to that boot from the network: "http://127.0.0.1:8099/ipxe".
    pub netboot: Option<String>,
    pub trouble: Vec<Trouble>,
    /// Where the first host's toolstack answers besides its own address.
    pub listen: SocketAddr,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            hosts: 2,
            guests: 2,
            spare: 0,
            seed: None,
            speed: Speed::Max,
            memory: 64 << 30,
            disk: 2 << 40,
            tls: false,
            templates: true,
            netboot: None,
            trouble: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

impl FromStr for Options {
    type Err = Error;

    /// Reads `hosts=3,guests=10,seed=7,speed=60,trouble=fail:VM.start=SR_FULL,n=2;kill:guest1`; empty text is the usual pool.
    fn from_str(text: &str) -> Result<Options> {
        let mut options = Options::default();
        let mut troubles = String::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(Error::new(Kind::Malformed, format!("`{part}` of the simulated pool has no value")).help(help()));
            };
            match key {
                "trouble" => troubles.push_str(value),
                // A comma of a trouble's own.
                "n" if !troubles.is_empty() => troubles.push_str(&format!(",n={value}")),
                _ => options.set(key, value)?,
            }
        }
        options.trouble = trouble::parse(&troubles)?;
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let number = |least: u64, most: u64| {
            let found = value.parse::<u64>().ok().filter(|n| (least..=most).contains(n));
            found.ok_or_else(|| {
                Error::new(Kind::Malformed, format!("`{key}={value}`: a number from {least} to {most} was expected"))
            })
        };
        match key {
            "hosts" => self.hosts = number(1, 64)? as usize,
            "guests" => self.guests = number(0, 10_000)? as usize,
            "spare" => self.spare = number(0, 16)? as usize,
            "seed" => self.seed = Some(number(0, u64::MAX)?),
            "speed" => self.speed = value.parse()?,
            "memory" => self.memory = unit::parse_size(value)?.max(4 << 30),
            "disk" => self.disk = unit::parse_size(value)?.max(1 << 30),
            "tls" => self.tls = unit::parse_boolean(value)?,
            "netboot" if value.starts_with("http://") => self.netboot = Some(value.to_string()),
            "netboot" => {
                let error =
                    Error::new(Kind::Malformed, format!("`netboot={value}`: an address that begins with http:// was expected"));
                return Err(error.help("the controller's: netboot=http://127.0.0.1:8099/ipxe with -D XENRT_SERVER_PORT=8099"));
            }
            "templates" => self.templates = unit::parse_boolean(value)?,
            _ => {
                let error = Error::new(Kind::Malformed, format!("the simulated pool has no option `{key}`"));
                return Err(error.help(name::did_you_mean(key, NAMES.iter().copied()).unwrap_or_else(help)));
            }
        }
        Ok(())
    }
}

fn help() -> String {
    format!("the options are {}, as in `sim:hosts=3,guests=10,speed=60`", NAMES.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_simulated() {
        assert_eq!("".parse::<Options>().unwrap(), Options::default());
        let options: Options = "hosts=3,guests=10,seed=7,speed=60,memory=128G,tls=yes".parse().unwrap();
        assert_eq!((options.hosts, options.guests, options.seed, options.speed), (3, 10, Some(7), Speed::Times(60.0)));
        assert!(options.tls);
        let options: Options = "hosts=2,trouble=fail:VM.start=SR_FULL,n=2;kill:guest1,guests=1".parse().unwrap();
        assert_eq!((options.trouble.len(), options.guests), (2, 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_next_step() {
        for (text, help) in
            [("host=3", "hosts"), ("hosts", "sim:hosts"), ("hosts=0", ""), ("speed=fast", "max"), ("trouble=x", "forms")]
        {
            let error = text.parse::<Options>().unwrap_err();
            assert_eq!(error.kind, Kind::Malformed, "{text}");
            assert!(error.help.unwrap_or_default().contains(help), "{text}");
        }
    }
}
