//! A machine's network interfaces, as `ip` and `ifconfig` show them.

use super::answer::Answer;
use super::spec::{Nic, Spec};
use std::fmt::Write;

/// Answers `ip` and `ifconfig`.
pub(super) fn answer(spec: &Spec, name: &str, words: &[String]) -> Answer {
    let is_brief = words.iter().any(|word| word == "-br" || word == "-brief");
    let is_oneline = words.iter().any(|word| word == "-o" || word == "-oneline");
    let mut plain = words.iter().map(String::as_str).filter(|word| !word.starts_with('-'));
    let object = if name == "ifconfig" { "address" } else { plain.next().unwrap_or("address") };
    let rest: Vec<&str> = plain.filter(|word| !["show", "list", "ls", "dev", "get"].contains(word)).collect();
    if rest.iter().any(|word| ["set", "add", "del", "delete", "flush", "replace"].contains(word)) {
        return Answer::fails(2, "RTNETLINK answers: Operation not permitted");
    }
    let one = rest.first().copied().filter(|_| !"route".starts_with(object));
    let lo =
        Nic { device: "lo".into(), mac: "00:00:00:00:00:00".into(), mtu: 65536, address: Some("127.0.0.1/8".into()), is_up: true };
    let nics: Vec<(usize, &Nic)> =
        [&lo].into_iter().chain(&spec.nics).enumerate().filter(|(_, nic)| one.is_none_or(|one| nic.device == one)).collect();
    if let (Some(one), true) = (one, nics.is_empty()) {
        return Answer::fails(1, format_args!("Device \"{one}\" does not exist."));
    }
    let mut out = String::new();
    for (index, nic) in nics {
        let is_link = object.len() > 1 && "link".starts_with(object);
        match object {
            _ if name == "ifconfig" => ifconfig(&mut out, nic),
            _ if "route".starts_with(object) => route(&mut out, nic),
            _ if is_brief => brief(&mut out, nic, is_link),
            _ if is_oneline => oneline(&mut out, index + 1, nic, is_link),
            _ => full(&mut out, index + 1, nic, is_link),
        }
    }
    Answer::says(out)
}

fn state(nic: &Nic) -> &'static str {
    match (nic.device.as_str(), nic.is_up) {
        ("lo", _) => "UNKNOWN",
        (_, true) => "UP",
        (_, false) => "DOWN",
    }
}

fn head(nic: &Nic) -> String {
    let flags = match (nic.device.as_str(), nic.is_up) {
        ("lo", _) => "LOOPBACK,UP,LOWER_UP",
        (_, true) => "BROADCAST,MULTICAST,UP,LOWER_UP",
        (_, false) => "NO-CARRIER,BROADCAST,MULTICAST,UP",
    };
    let queue = if nic.device == "lo" { "noqueue" } else { "mq" };
    format!("{}: <{flags}> mtu {} qdisc {queue} state {} group default qlen 1000", nic.device, nic.mtu, state(nic))
}

fn link(nic: &Nic) -> String {
    match nic.device.as_str() {
        "lo" => "link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00".into(),
        _ => format!("link/ether {} brd ff:ff:ff:ff:ff:ff", nic.mac),
    }
}

fn full(out: &mut String, index: usize, nic: &Nic, is_link: bool) {
    let _ = writeln!(out, "{index}: {}\n    {}", head(nic), link(nic));
    if let Some(address) = nic.address.as_ref().filter(|_| !is_link) {
        let scope = if nic.device == "lo" { "host" } else { "global" };
        let _ = writeln!(out, "    inet {address} scope {scope} {}\n       valid_lft forever preferred_lft forever", nic.device);
    }
}

fn oneline(out: &mut String, index: usize, nic: &Nic, is_link: bool) {
    if is_link {
        let _ = writeln!(out, "{index}: {}\\    {}", head(nic), link(nic));
    } else if let Some(address) = &nic.address {
        let scope = if nic.device == "lo" { "host" } else { "global" };
        let _ = writeln!(out, "{index}: {}    inet {address} scope {scope} {}\\       valid_lft forever", nic.device, nic.device);
    }
}

fn brief(out: &mut String, nic: &Nic, is_link: bool) {
    let what = if is_link { nic.mac.as_str() } else { nic.address.as_deref().unwrap_or("") };
    let _ = writeln!(out, "{:<16} {:<14} {what}", nic.device, state(nic));
}

fn route(out: &mut String, nic: &Nic) {
    let Some((address, length)) = nic.address.as_deref().and_then(|a| a.split_once('/')).filter(|_| nic.device != "lo") else {
        return;
    };
    let (Ok(parsed), Ok(length)) = (address.parse::<std::net::Ipv4Addr>(), length.parse::<u32>()) else { return };
    let mask = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
    let network = std::net::Ipv4Addr::from(u32::from(parsed) & mask);
    let _ = writeln!(out, "{network}/{length} dev {} proto kernel scope link src {address}", nic.device);
}

fn ifconfig(out: &mut String, nic: &Nic) {
    let _ = writeln!(out, "{}: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu {}", nic.device, nic.mtu);
    if let Some((address, _)) = nic.address.as_deref().and_then(|a| a.split_once('/')) {
        let _ = writeln!(out, "        inet {address}");
    }
    let _ = writeln!(out, "        ether {}\n", nic.mac);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_shown_in_every_form() {
        let mut spec = Spec::new("id", "vm", std::net::Ipv4Addr::LOCALHOST);
        spec.nics.push(Nic {
            device: "eth0".into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1500,
            address: Some("10.0.0.5/24".into()),
            is_up: true,
        });
        let ip = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(String::from).collect();
            let answer = answer(&spec, "ip", &words);
            (answer.code, String::from_utf8(answer.out).unwrap())
        };
        let (code, text) = ip("addr show dev eth0");
        assert_eq!(code, 0);
        assert!(text.starts_with("2: eth0: <BROADCAST") && text.contains("\n    inet 10.0.0.5/24 scope global eth0\n"), "{text}");
        assert_eq!(ip("-br a").1, "lo               UNKNOWN        127.0.0.1/8\neth0             UP             10.0.0.5/24\n");
        assert!(ip("-o link").1.contains("2: eth0: <"));
        assert_eq!(ip("route").1, "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5\n");
        assert_eq!(ip("link show eth7").0, 1);
        assert_eq!(ip("link set eth0 down").0, 2);
    }
}
