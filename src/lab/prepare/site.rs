//! What variables say of a site: which NIC is cabled where, tags, addresses, and where its storage is.
//!
//! A value of one host stands below `HOST_CONFIGS/<host>/`, and beats the one for all.

use crate::error::{Blame, Error, Kind, Result};
use crate::vars::Variables;
use std::net::IpAddr;

/// What variables say of a site.
#[derive(Clone, Copy)]
pub struct Site<'a>(&'a Variables);

/// A static address as it is written: `10.0.0.5/24 via 10.0.0.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    pub ip: IpAddr,
    pub netmask: IpAddr,
    /// Empty without one.
    pub gateway: String,
}

impl<'a> Site<'a> {
    pub fn new(variables: &'a Variables) -> Site<'a> {
        Site(variables)
    }

    pub fn value(&self, name: &str) -> Result<Option<String>> {
        Ok(self.0.lookup(name)?.filter(|value| !value.is_empty()))
    }

    /// A value of one machine of the run, or of all.
    pub fn of(&self, machine: &str, name: &str) -> Result<Option<String>> {
        let address = self.0.get(machine).unwrap_or_default();
        let host = address.rsplit('@').next().unwrap_or_default();
        // The port of a toolstack is none of the host's name.
        let host = host.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(host, |(host, _)| host);
        if !host.is_empty() && !host.contains(['/', ':']) {
            let own = format!("HOST_CONFIGS/{host}/{name}");
            if self.0.get(&own).is_some() {
                return self.value(&own);
            }
        }
        self.value(name)
    }

    /// What a NIC of a machine is cabled to. The first is on the primary network when nobody says otherwise.
    pub fn cabled(&self, machine: &str, nic: usize) -> Result<Option<String>> {
        let said = self.of(machine, &format!("NICS/NIC{nic}/NETWORK"))?;
        Ok(said.or_else(|| (nic == 0).then(|| "NPRI".to_string())))
    }

    /// The tag of a VLAN.
    pub fn tag(&self, name: &str) -> Result<u16> {
        let variable = format!("NETWORK_CONFIG/VLANS/{name}/ID");
        let text = self.value(&variable)?.ok_or_else(|| self.missing(&variable, "42"))?;
        let tag = text.parse().ok().filter(|tag| (1..=4094).contains(tag));
        tag.ok_or_else(|| wrong(&variable, &text, "a tag is a number from 1 to 4094"))
    }

    /// The static address of a machine on a network.
    pub fn address(&self, machine: &str, network: &str) -> Result<StaticAddress> {
        let name = format!("ADDRESSES/{network}");
        let host = self.0.get(machine).unwrap_or(machine);
        let variable = format!("HOST_CONFIGS/{host}/{name}");
        let text = self.of(machine, &name)?.ok_or_else(|| self.missing(&variable, "'10.0.0.5/24 via 10.0.0.1'"))?;
        static_address(&text).ok_or_else(|| wrong(&variable, &text, "write it as 10.0.0.5/24 via 10.0.0.1"))
    }

    /// The first of the things with names below a path, by name: `nfs1` for `EXTERNAL_NFS_SERVERS/nfs1/ADDRESS`.
    pub fn names(&self, path: &str) -> Vec<String> {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        let first = |name: &str| name.strip_prefix(&below)?.split('/').next().map(str::to_string);
        let mut names: Vec<String> = self.0.leaves(path).filter_map(first).collect();
        names.dedup();
        names
    }

    /// The error that a variable is needed, with a value that it could have.
    pub fn missing(&self, variable: &str, example: &str) -> Error {
        let error = Error::new(Kind::NotFound, format!("the site does not say `{variable}`")).blame(Blame::User);
        error.help(format!("set it for the site, or give -D {variable}={example}"))
    }

    /// The error that a variable makes no sense.
    pub fn wrong(&self, variable: &str, text: &str, help: &str) -> Error {
        wrong(variable, text, help)
    }
}

fn wrong(variable: &str, text: &str, help: &str) -> Error {
    Error::new(Kind::Malformed, format!("the variable `{variable}` is `{text}`")).blame(Blame::User).help(help)
}

fn static_address(text: &str) -> Option<StaticAddress> {
    let (own, gateway) = text.split_once(" via ").unwrap_or((text, ""));
    let (ip, bits) = own.trim().split_once('/')?;
    let (ip, bits): (IpAddr, u32) = (ip.parse().ok()?, bits.parse().ok()?);
    let netmask = match ip {
        IpAddr::V4(_) if bits <= 32 => IpAddr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be_bytes()),
        IpAddr::V6(_) if bits <= 128 => IpAddr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be_bytes()),
        _ => return None,
    };
    let gateway = gateway.trim();
    if !gateway.is_empty() && gateway.parse::<IpAddr>().is_err() {
        return None;
    }
    Some(StaticAddress { ip, netmask, gateway: gateway.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_own_values_before_those_of_all() {
        let variables = Variables::flags(&[
            ("RESOURCE_HOST_0", "root@h1"),
            ("RESOURCE_HOST_1", "h2"),
            ("NICS/NIC1/NETWORK", "NSEC"),
            ("HOST_CONFIGS/h1/NICS/NIC1/NETWORK", "NPRI"),
            ("HOST_CONFIGS/h1/NICS/NIC0/NETWORK", "IPRI"),
        ]);
        let site = Site::new(&variables);
        let cabled = |machine, nic| site.cabled(machine, nic).unwrap();
        let of = |machine| [0, 1, 2].map(|nic| cabled(machine, nic).unwrap_or_default()).join(" ");
        assert_eq!((of("RESOURCE_HOST_0"), of("RESOURCE_HOST_1")), ("IPRI NPRI ".to_string(), "NPRI NSEC ".to_string()));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_its_variable() {
        let variables =
            Variables::flags(&[("NETWORK_CONFIG/VLANS/VR02/ID", "x"), ("ADDRESSES/A", "1.2.3.4"), ("RESOURCE_HOST_0", "h1")]);
        let site = Site::new(&variables);
        let told = |error: Error| format!("{} / {}", error.what, error.help.unwrap_or_default());
        assert_eq!(
            told(site.tag("VR01").unwrap_err()),
            "the site does not say `NETWORK_CONFIG/VLANS/VR01/ID` / set it for the site, or give -D NETWORK_CONFIG/VLANS/VR01/ID=42"
        );
        assert_eq!(
            told(site.tag("VR02").unwrap_err()),
            "the variable `NETWORK_CONFIG/VLANS/VR02/ID` is `x` / a tag is a number from 1 to 4094"
        );
        assert!(
            told(site.address("RESOURCE_HOST_0", "A").unwrap_err())
                .starts_with("the variable `HOST_CONFIGS/h1/ADDRESSES/A` is `1.2.3.4`")
        );
        assert!(told(site.address("RESOURCE_HOST_0", "B").unwrap_err()).contains("HOST_CONFIGS/h1/ADDRESSES/B="));
    }

    #[test]
    fn static_addresses() {
        let read = |text: &str| static_address(text).map(|a| format!("{} {} {}", a.ip, a.netmask, a.gateway));
        for (text, expected) in [
            ("10.0.0.5/24", Some("10.0.0.5 255.255.255.0 ")),
            ("10.0.0.5/22 via 10.0.0.1", Some("10.0.0.5 255.255.252.0 10.0.0.1")),
            ("10.0.0.5/0", Some("10.0.0.5 0.0.0.0 ")),
            ("fe80::1/64", Some("fe80::1 ffff:ffff:ffff:ffff:: ")),
            ("10.0.0.5/33", None),
            ("10.0.0.5", None),
            ("x/24", None),
            ("10.0.0.5/24 via there", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
