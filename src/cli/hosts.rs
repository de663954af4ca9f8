//! Options that name hypervisors: hosts, and masters of pools.

use super::Io;
use super::access::AccessArgs;
use crate::error::{Error, Kind, Result};
use crate::lab::{Access, Estate, Lab};
use crate::secret::{Mask, Secret, WELL_KNOWN_PASSWORD};
use crate::time::Cancel;
use crate::toolstack::xapi::{Address, Login, Xapi};
use crate::toolstack::{self, Watch};
use crate::vars::{Layer, Variables};
use crate::wire::ssh::HostKeys;
use crate::wire::tls::Trust;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// What stands for a simulated pool, alone or with its options after a colon.
const SIM: &str = "sim";

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Machines")]
pub struct HostArgs {
    /// A host: h1, user:password@h1, xapi://h1:443, xapi+http://127.0.0.1:8080, or sim for a simulated pool (sim:hosts=3,guests=10);
    /// several with commas between. May be repeated
    #[arg(short = 'H', long, value_name = "HOST")]
    pub host: Vec<String>,

    /// The master of a pool, written as a host; its members are the next hosts of the run. May be repeated
    #[arg(short = 'P', long, value_name = "MASTER")]
    pub pool: Vec<String>,

    /// A host that runs already, or the master of a pool that does: as --pool
    #[arg(long, value_name = "HOST")]
    pub existing: Vec<String>,
}

/// What one address means.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Xapi(Address),
    /// The options of a simulated pool.
    Sim(crate::sim::Options),
}

/// An address with the option that it was given with.
struct Given {
    option: &'static str,
    wanted: Wanted,
}

impl Given {
    /// Whether it is asked at once what it is, and its members are hosts of the run, too. A plain host is asked when it is needed: it
    /// may be one that nothing in the run needs, or that is not there yet.
    fn is_met(&self) -> bool {
        self.option != "--host" || matches!(self.wanted, Wanted::Sim(_))
    }
}

/// The lab of a run, and what is simulated of it: that ends when this is dropped.
pub struct Attached {
    pub lab: Arc<Lab>,
    /// What the first pool is, for people.
    shown: Vec<String>,
    /// The hosts that were met: variable, address, and the option it comes from.
    machines: Vec<(String, String, &'static str)>,
    has_more: bool,
    /// Where simulated machines look for what they are to boot from the network.
    serves: Option<u16>,
    simulators: Vec<crate::sim::Simulator>,
}

impl Attached {
    /// What there is of hypervisors, for people: "host is host1, the master of a pool of 2 (xapi on 10.0.0.5)".
    pub fn shown(&self) -> Vec<String> {
        self.shown.clone()
    }

    /// Whether pools have hosts that nobody could know of before they were asked: what was read without them (`<allhosts/>`) is to be read
    /// again.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Sets the variables that say what was found.
    ///
    /// # Errors
    /// What setting a variable gives.
    pub fn set(&self, variables: &mut Variables) -> Result<()> {
        if let Some(port) = self.serves {
            simulated_site(variables, port)?;
        }
        self.machines.iter().try_for_each(|(name, address, option)| variables.set_from(Layer::Flag, name, address, *option))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A session is ended while its pool is still there.
        self.lab.close();
        self.simulators.clear();
    }
}

impl HostArgs {
    /// Sets the variables that name the hosts and pools. Passwords are not in them.
    ///
    /// # Errors
    /// `Malformed`: an address.
    pub fn set(&self, variables: &mut Variables) -> Result<()> {
        let mut pools = 0;
        let all = self.given()?;
        for (number, given) in all.iter().enumerate() {
            let name = match &given.wanted {
                Wanted::Xapi(address) => address.machine(),
                Wanted::Sim(_) => SIM.to_string(),
            };
            variables.set_from(Layer::Flag, &format!("RESOURCE_HOST_{number}"), &name, given.option)?;
            if given.option == "--pool" {
                variables.set_from(Layer::Flag, &format!("RESOURCE_POOL_{pools}"), &name, given.option)?;
                pools += 1;
            }
        }
        // How many hosts a simulated pool will have is known before it is there. Of a real one that is known once it was asked.
        let simulated =
            || all.iter().filter_map(|given| if let Wanted::Sim(options) = &given.wanted { Some(options) } else { None });
        let further: usize = simulated().map(|options| options.hosts.saturating_sub(1) + options.spare).sum();
        (all.len()..all.len() + further)
            .try_for_each(|number| variables.set_from(Layer::Flag, &format!("RESOURCE_HOST_{number}"), SIM, "--host"))
    }

    fn given(&self) -> Result<Vec<Given>> {
        let mut all = Vec::new();
        for (option, texts) in [("--pool", &self.pool), ("--existing", &self.existing), ("--host", &self.host)] {
            for text in texts.iter().flat_map(|text| split(text)) {
                all.push(Given { option, wanted: wanted(&text)? });
            }
        }
        Ok(all)
    }
}

/// The addresses of a list with commas. Options of a simulated pool have commas of their own.
fn split(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_option = part.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase()));
        match all.last_mut().filter(|last| is_option && last.starts_with("sim:")) {
            Some(last) => *last = format!("{last},{part}"),
            None => all.push(part.to_string()),
        }
    }
    all
}

fn wanted(text: &str) -> Result<Wanted> {
    match text.strip_prefix(SIM) {
        Some("") => Ok(Wanted::Sim(crate::sim::Options::default())),
        Some(rest) if rest.starts_with(':') => rest[1..].parse().map(Wanted::Sim),
        _ => text.parse().map(Wanted::Xapi),
    }
}

/// How the hosts of a run are logged in to.
pub(super) struct HostAccess<'a> {
    pub access: &'a Access,
    /// Tried in this order.
    pub passwords: Vec<Secret>,
    pub trust: Trust,
}

/// A hypervisor that has said what it is.
struct Met {
    estate: Arc<Estate>,
    pool: toolstack::Pool,
    hosts: Vec<toolstack::Host>,
}

impl AccessArgs {
    /// The machines and hypervisors of the command line. Pools that run already are asked what they are; everything else is connected
    /// when it is first needed.
    ///
    /// # Errors
    /// `Malformed`: an address. `NotFound`: a file. `Unreachable`, `Refused`: a hypervisor.
    pub fn attach_all(&self, io: &Io, variables: &mut Variables, mask: &Mask, hosts: &HostArgs) -> Result<Attached> {
        let given = hosts.given()?;
        let lab = Arc::new(self.attach(io, variables, mask)?);
        let mut simulators = Vec::new();
        let (mut estates, mut spares) = (Vec::new(), Vec::new());
        let is_simulated = given.iter().any(|given| matches!(given.wanted, Wanted::Sim(_)));
        let serves = is_simulated.then(|| serving_port(variables)).transpose()?;
        if !given.is_empty() {
            let access = self.access(io, variables)?;
            let way = HostAccess { passwords: self.host_passwords(io, variables)?, trust: self.trust(io), access: &access };
            way.passwords.iter().for_each(|secret| mask.learn(secret));
            for given in &given {
                estates.push(match &given.wanted {
                    Wanted::Xapi(address) => real(address, &way, mask)?,
                    Wanted::Sim(options) => {
                        let simulated = simulated(options, serves, &access, mask)?;
                        simulators.push(simulated.simulator);
                        spares.extend(simulated.spares);
                        simulated.pool
                    }
                });
            }
        }
        let wanted = given.iter().map(Given::is_met).zip(&estates).chain(spares.iter().map(|spare| (true, spare)));
        let mut met = meet(wanted, self.connect_timeout)?;
        let spares: Vec<Met> = met.split_off(estates.len()).into_iter().flatten().collect();
        let machines = enter(&lab, &given, &estates, (&met, &spares));
        let has_more = machines.iter().any(|(name, ..)| variables.get(name).is_none());
        let first = met.iter().flatten().next().map(shown);
        let shown = first.or_else(|| Some(format!("host is on {}", estates.first()?.name())));
        let attached = Attached { lab, shown: shown.into_iter().collect(), machines, has_more, serves, simulators };
        attached.set(variables)?;
        Ok(attached)
    }

    /// What root's password on a host may be. One that somebody gave for this run is the only one.
    fn host_passwords(&self, io: &Io, variables: &Variables) -> Result<Vec<Secret>> {
        if self.password_file.is_some() || self.ask_password {
            return Ok(self.password(io)?.into_iter().collect());
        }
        if let Some(own) = io.env("XRT_HOST_PASSWORD") {
            return Ok(vec![Secret::new(own)]);
        }
        let one = variables.lookup("ROOT_PASSWORD")?.filter(|text| !text.is_empty());
        let further = variables.lookup("ROOT_PASSWORDS")?.unwrap_or_default();
        let further = further.split([',', ' ']).filter(|text| !text.is_empty()).map(str::to_string);
        let mut all: Vec<String> = Vec::new();
        for text in one.into_iter().chain(io.env("XRT_PASSWORD")).chain(further).chain([WELL_KNOWN_PASSWORD.to_string()]) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        Ok(all.into_iter().map(Secret::new).collect())
    }
}

fn real(address: &Address, way: &HostAccess<'_>, mask: &Mask) -> Result<Arc<Estate>> {
    let own = address.password().cloned();
    own.iter().for_each(|secret| mask.learn(secret));
    let passwords = own.map_or_else(|| way.passwords.clone(), |own| vec![own]);
    let (first, further) = match passwords.as_slice() {
        [only] => (Some(only.clone()), Vec::new()),
        several => (None, several.to_vec()),
    };
    let access = way.access;
    let login = Login { address: address.clone(), passwords, trust: way.trust.clone(), connect_timeout: access.connect_timeout };
    let toolstack = Arc::new(Xapi::new(login)?);
    let opens_with = first.clone().or_else(|| further.first().cloned());
    let host_access = Access { password: first, root_passwords: further, ..access.clone() };
    let estate = Estate::with_host_access(toolstack, access.clone(), host_access);
    opens_with.into_iter().for_each(|password| estate.opens_with(password));
    Ok(estate)
}

/// The variable with the port at which the controller serves what machines boot from the network.
const SERVES: &str = "XENRT_SERVER_PORT";

/// Where a simulated site has the packages of the systems that can be installed over the network. Nobody is really asked there.
const MIRRORS: &[(&str, &str)] = &[
    ("almalinux9", "http://mirror.sim/almalinux/9/BaseOS"),
    ("centos7", "http://mirror.sim/centos/7/os"),
    ("debian11", "http://mirror.sim/debian"),
    ("debian12", "http://mirror.sim/debian"),
    ("rhel6", "http://mirror.sim/rhel/6/os"),
    ("rocky8", "http://mirror.sim/rocky/8/BaseOS"),
    ("rocky9", "http://mirror.sim/rocky/9/BaseOS"),
    ("ubuntu2204", "http://mirror.sim/ubuntu"),
    ("ubuntu2404", "http://mirror.sim/ubuntu"),
];

/// What variables say of the site of a simulated pool, where nobody says otherwise: its storage, and where its NICs are cabled to.
fn simulated_site(variables: &mut Variables, port: u16) -> Result<()> {
    variables.set_from(Layer::BuiltIn, "XENRT_SERVER_ADDRESS", "127.0.0.1", SIM)?;
    variables.set_from(Layer::BuiltIn, SERVES, port.to_string(), SIM)?;
    for (distro, mirror) in MIRRORS {
        for arch in ["x86-32", "x86-64"] {
            variables.set_from(Layer::BuiltIn, &format!("RPM_SOURCE/{distro}/{arch}/HTTP"), *mirror, SIM)?;
            if distro.starts_with("ubuntu") {
                let release = format!("{}.{}", &distro[6..8], &distro[8..]);
                let iso = format!("http://mirror.sim/releases/{release}/ubuntu-{release}-live-server-amd64.iso");
                variables.set_from(Layer::BuiltIn, &format!("RPM_SOURCE/{distro}/{arch}/ISO"), iso, SIM)?;
            }
        }
    }
    let servers = [
        ("EXTERNAL_NFS_SERVERS/sim/ADDRESS", "filer.sim"),
        ("EXTERNAL_NFS_SERVERS/sim/BASE", "/export/xenrt"),
        ("EXTERNAL_SMB_SERVERS/sim/ADDRESS", "filer.sim"),
        ("EXTERNAL_SMB_SERVERS/sim/BASE", "xenrt"),
        ("NICS/NIC1/NETWORK", "NSEC"),
        ("NETWORK_CONFIG/VLANS/VR01/ID", "101"),
    ];
    for (name, value) in servers {
        variables.set_from(Layer::BuiltIn, name, value, SIM)?;
    }
    for number in 0..4 {
        variables.set_from(Layer::BuiltIn, &format!("ISCSI_LUNS/lun{number}/ADDRESS"), "target.sim", SIM)?;
        variables.set_from(Layer::BuiltIn, &format!("ISCSI_LUNS/lun{number}/LUN_ID"), number.to_string(), SIM)?;
    }
    Ok(())
}

/// The port at which the controller will serve, for the DHCP of a simulated site to know it before.
fn serving_port(variables: &Variables) -> Result<u16> {
    let wrong = |text: &str| Error::new(Kind::Malformed, format!("`{SERVES}` is `{text}`, and no port"));
    match variables.lookup(SERVES)?.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| wrong(&text)),
        None => crate::sim::machine::Machines::free_port(),
    }
}

/// A simulator with what it simulates.
struct Simulated {
    simulator: crate::sim::Simulator,
    pool: Arc<Estate>,
    /// Hosts that are pools of their own.
    spares: Vec<Arc<Estate>>,
}

/// Starts a simulated pool, with the passwords that only it has.
fn simulated(options: &crate::sim::Options, serves: Option<u16>, access: &Access, mask: &Mask) -> Result<Simulated> {
    let mut options = options.clone();
    options.netboot = options.netboot.or_else(|| serves.map(|port| format!("http://127.0.0.1:{port}/ipxe")));
    let simulator = crate::sim::Simulator::start(options)?;
    let (password, inside) = (simulator.password().clone(), simulator.ssh_password().clone());
    mask.learn(&password);
    mask.learn(&inside);
    // Its keys and certificates are new each time.
    let access = Access {
        password: Some(inside),
        host_keys: HostKeys::Ignore,
        known_hosts: None,
        key_files: Vec::new(),
        usual_keys: Vec::new(),
        agent: false,
        ..access.clone()
    };
    let at = |url: &str| -> Result<Arc<Estate>> {
        let login = Login {
            address: url.parse()?,
            passwords: vec![password.clone()],
            trust: Trust { policy: HostKeys::Ignore, record: None },
            connect_timeout: access.connect_timeout,
        };
        let estate = Estate::new(Arc::new(Xapi::new(login)?), access.clone());
        estate.opens_with(password.clone());
        Ok(estate)
    };
    let pool = at(&simulator.url())?;
    let spares = simulator.spares().iter().map(|url| at(url)).collect::<Result<Vec<_>>>()?;
    Ok(Simulated { simulator, pool, spares })
}

fn shown(met: &Met) -> String {
    let first = met.hosts.first().map_or("none", |host| host.name.as_str());
    match met.hosts.len() {
        0 | 1 => format!("host is {first} ({})", met.estate.name()),
        count => format!("host is {first}, pool is its pool of {count} ({})", met.estate.name()),
    }
}

/// Asks those that are to be asked at once, side by side, what they are.
fn meet<'e>(estates: impl Iterator<Item = (bool, &'e Arc<Estate>)>, limit: Duration) -> Result<Vec<Option<Met>>> {
    let cancel = Cancel::new();
    let ask = |estate: &Arc<Estate>| -> Result<Met> {
        let watch = Watch::silent(&cancel, limit);
        let toolstack = estate.toolstack();
        let mut hosts = toolstack.hosts(watch)?;
        let pool = toolstack.pool(watch)?;
        hosts.sort_by_key(|host| host.reference != pool.master);
        Ok(Met { estate: estate.clone(), pool, hosts })
    };
    std::thread::scope(|scope| {
        let ask = &ask;
        let asked = |(is_met, estate)| if is_met { Some((estate, scope.spawn(move || ask(estate)))) } else { None };
        let asked: Vec<_> = estates.map(asked).collect();
        let said = asked.into_iter().map(|asked| {
            let Some((estate, asked)) = asked else { return Ok(None) };
            let panicked = |_| Error::new(Kind::Internal, format!("asking {} panicked", estate.name()));
            asked.join().map_err(panicked)?.map(Some).map_err(|error| explained(error, estate.name()))
        });
        said.collect()
    })
}

/// The error of an address that leads to no hypervisor, with the next step.
fn explained(error: Error, name: &str) -> Error {
    let help = match error.kind {
        Kind::Unreachable | Kind::Timeout => "is it the address of a host that runs? `--host sim` gives a simulated pool",
        Kind::Refused => "give root's password with --password-file, XRT_HOST_PASSWORD, or as user:password@host",
        _ => return error,
    };
    let what = format!("cannot attach to {name}: {}", error.what);
    let help = error.help.clone().unwrap_or_else(|| help.to_string());
    Error { what, ..error }.help(help)
}

/// Puts what was named into the lab, under the names that sequences and scripts know. Returns the hosts that were met, with
/// the variables that are to name them.
fn enter(
    lab: &Lab,
    given: &[Given],
    estates: &[Arc<Estate>],
    (met, spares): (&[Option<Met>], &[Met]),
) -> Vec<(String, String, &'static str)> {
    let mut known: Vec<&Met> = Vec::new();
    let mut called: Vec<Option<(&Met, &toolstack::Host)>> = Vec::new();
    let mut pools = 0;
    for ((given, estate), met) in given.iter().zip(estates).zip(met) {
        let Some(met) = met else {
            lab.add(estate.clone());
            called.push(None);
            continue;
        };
        // A second address of a pool means another host of it.
        let pool = known.iter().find(|other| other.pool.uuid == met.pool.uuid).copied().unwrap_or_else(|| {
            lab.add(met.estate.clone());
            known.push(met);
            met
        });
        called.push(named(&given.wanted, met).map(|host| (pool, host)));
        if given.option == "--pool" {
            lab.call(format!("RESOURCE_POOL_{pools}"), &pool.estate, &pool.pool.reference);
            pools += 1;
        }
    }
    spares.iter().for_each(|spare| lab.add(spare.estate.clone()));
    for met in known.into_iter().chain(spares) {
        for host in &met.hosts {
            if !called.iter().flatten().any(|(_, known)| known.uuid == host.uuid) {
                called.push(Some((met, host)));
            }
        }
    }
    let mut machines = Vec::new();
    for (number, called) in called.iter().enumerate() {
        let name = format!("RESOURCE_HOST_{number}");
        match (called, given.get(number).map(|given| (given.option, &given.wanted))) {
            (_, Some((_, Wanted::Xapi(address)))) if called.is_none() => lab.call_host(name, address.host()),
            (Some((met, host)), of) => {
                lab.call(&*name, &met.estate, &host.reference);
                if !matches!(of, Some((_, Wanted::Xapi(_)))) {
                    let option = of.map_or("a pool's members", |(option, _)| option);
                    machines.push((name, host.address.clone(), option));
                }
            }
            (None, _) => {}
        }
    }
    machines
}

/// The host that an address means: the one that has it, or else the master, to which a pool leads.
fn named<'m>(wanted: &Wanted, met: &'m Met) -> Option<&'m toolstack::Host> {
    let Wanted::Xapi(address) = wanted else { return met.hosts.first() };
    let name = address.host();
    let is_called = |host: &&toolstack::Host| [&host.address, &host.hostname, &host.name].iter().any(|text| *text == name);
    let by_name = met.hosts.iter().find(is_called);
    by_name.or_else(|| (met.hosts.len() == 1).then(|| &met.hosts[0])).or_else(|| {
        let found: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|socket| socket.ip()).collect();
        met.hosts.iter().find(|host| host.address.parse().is_ok_and(|ip| found.contains(&ip))).or(met.hosts.first())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_hosts_is_taken_apart() {
        for (text, parts) in [
            ("h1,h2", &["h1", "h2"][..]),
            ("sim", &["sim"]),
            ("sim:hosts=3,guests=10,seed=7", &["sim:hosts=3,guests=10,seed=7"]),
            (
                "h1, sim:hosts=3,trouble=fail:VM.start=SR_FULL,n=2;kill:guest1,h2",
                &["h1", "sim:hosts=3,trouble=fail:VM.start=SR_FULL,n=2;kill:guest1", "h2"],
            ),
            ("root:a=b@h1,h2", &["root:a=b@h1", "h2"]),
            ("", &[]),
        ] {
            assert_eq!(split(text), parts, "{text}");
        }
    }

    #[test]
    fn variables_name_hosts_without_passwords() {
        let args = HostArgs { host: vec!["root:secret@h2,[fe80::1]:8443".into()], pool: vec!["p1".into()], ..HostArgs::default() };
        let mut variables = Variables::built_in().unwrap();
        args.set(&mut variables).unwrap();
        let value = |name: &str| variables.lookup(name).unwrap().unwrap_or_default();
        let hosts = ["RESOURCE_HOST_0", "RESOURCE_HOST_1", "RESOURCE_HOST_2", "RESOURCE_HOST_3", "RESOURCE_POOL_0"].map(value);
        assert_eq!(hosts, ["p1", "h2", "[fe80::1]:8443", "", "p1"]);
        let args = HostArgs { host: vec!["h1,sim:hosts=3,spare=1,h2".into()], ..HostArgs::default() };
        let mut variables = Variables::built_in().unwrap();
        args.set(&mut variables).unwrap();
        let value = |number: u32| variables.lookup(&format!("RESOURCE_HOST_{number}")).unwrap().unwrap_or_default();
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(value), ["h1", "sim", "h2", "sim", "sim", "sim", ""]);
    }

    #[test]
    fn a_wrong_address_has_a_next_step() {
        for text in ["virsh://h1", "root:secret@", "sim:hots=3", "h 1"] {
            let args = HostArgs { host: vec![text.into()], ..HostArgs::default() };
            let error = args.given().err().unwrap();
            assert!(error.help.is_some() && !error.report().contains("secret"), "{text}: {}", error.report());
        }
        assert!(matches!(wanted("sim").unwrap(), Wanted::Sim(_)));
        assert!(matches!(wanted("simon").unwrap(), Wanted::Xapi(_)));
    }
}
