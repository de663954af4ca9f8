//! A simulated pool that runs: its world, its threads, its ports. Dropping it ends all of them.

use super::clock::Clock;
use super::endpoint::{Door, Port, router};
use super::engine::Engine;
use super::inside::{Act, Answering, Inside, Outside};
use super::machine::{MachineOptions, Machines};
use super::options::Options;
use super::plan;
use super::value::mix;
use super::world::{Site, World};
use super::xapi::{Sessions, machine_did};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How long the ports may take to open.
const OPENING: Duration = Duration::from_secs(10);

/// A running simulator.
pub struct Simulator {
    engine: Arc<Engine>,
    address: SocketAddr,
    is_tls: bool,
    seat: Seat,
    machines: Arc<Machines>,
    /// The machines hold it only weakly.
    _outside: Arc<dyn Outside>,
    /// Nothing once it is being dropped.
    runtime: Option<Runtime>,
}

impl Simulator {
    /// Starts one; when this returns, it answers.
    ///
    /// # Errors
    /// `Refused` when the port to listen on is taken; `Malformed` for a trouble about something that there is not; `Internal` when there is
    /// no place for the files of its machines.
    pub fn start(options: Options) -> Result<Simulator> {
        let internal = |what: &str, error: std::io::Error| Error::new(Kind::Internal, format!("{what}: {error}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(|e| internal("the simulator's threads", e))?;
        let tls = if options.tls { Some(certificate()?) } else { None };
        let random = || mix(uuid::Uuid::new_v4().as_u64_pair().0);
        let first_address = block(random());
        let seat = Seat {
            user: "root".to_string(),
            password: Secret::new(format!("{:016x}", random())),
            ssh_password: Secret::new(format!("{:016x}", random())),
            ssh_port: Machines::free_port()?,
            seed: options.seed.unwrap_or_else(random),
        };
        let machines = MachineOptions { port: seat.ssh_port, password: seat.ssh_password.clone(), is_plain: false };
        let machines = Arc::new(Machines::new(runtime.handle().clone(), machines)?);
        let (listen, is_tls) = (options.listen, options.tls);
        let mut world = World { pools: Vec::new(), site: site(options, &seat, first_address, machines.clone()) };
        plan::build(&mut world, seat.seed);
        let troubles = std::mem::take(&mut world.site.options.trouble);
        let engine = Arc::new(Engine::new(world));
        let outside: Arc<dyn Outside> = Arc::new(Way(Arc::downgrade(&engine)));
        machines.connect(Arc::downgrade(&outside));
        let first = runtime.block_on(bind(listen))?;
        let address = first.local_addr().map_err(|e| internal("the port", e))?;
        let doors = Doors { engine: Arc::clone(&engine), port: address.port(), tls, open: HashMap::new() };
        let opened = runtime.block_on(async { tokio::time::timeout(OPENING, doors.open(first)).await });
        opened.map_err(|_| Error::new(Kind::Timeout, "the simulator's ports do not open"))??;
        runtime.spawn(Arc::clone(&engine).keep_time());
        let wrong = |failure| Error::new(Kind::Malformed, format!("the trouble cannot be: {failure}"));
        engine.trouble(troubles).map_err(wrong)?;
        Ok(Simulator { engine, address, is_tls, seat, machines, _outside: outside, runtime: Some(runtime) })
    }

    /// Where the toolstack of the first host answers: "http://127.0.0.1:40123".
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// Where the toolstacks of the hosts answer that are pools of their own.
    pub fn spares(&self) -> Vec<String> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let masters = self.engine.with(|world| {
            let hosts = |db: &super::store::Store| db.all("host").first().map(|host| db.text(*host, "uuid").to_string());
            world
                .pools
                .iter()
                .skip(1)
                .filter_map(hosts)
                .filter_map(|uuid| Some(world.site.hosts.get(&uuid)?.address))
                .collect::<Vec<_>>()
        });
        masters.into_iter().map(|address| format!("{scheme}://{address}:{}", self.address.port())).collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn user(&self) -> &str {
        &self.seat.user
    }

    /// Another with each start.
    pub fn password(&self) -> &Secret {
        &self.seat.password
    }

    /// Of root on its hosts and guests.
    pub fn ssh_password(&self) -> &Secret {
        &self.seat.ssh_password
    }

    pub fn ssh_port(&self) -> u16 {
        self.seat.ssh_port
    }

    /// The insides of its hosts and guests.
    pub fn machines(&self) -> &Machines {
        &self.machines
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Nothing of them is left when this returns, whoever still holds the world.
        self.machines.end();
        if let Some(runtime) = self.runtime.take() {
            // Who drops it may itself be in a runtime, and nobody waits for calls that are under way.
            runtime.shutdown_background();
        }
    }
}

/// Who may log in where.
struct Seat {
    user: String,
    /// Of XAPI.
    password: Secret,
    /// Of root on hosts and guests.
    ssh_password: Secret,
    /// On each machine's own address.
    ssh_port: u16,
    seed: u64,
}

fn site(options: Options, seat: &Seat, first_address: u32, inside: Arc<dyn Inside>) -> Site {
    Site {
        clock: Clock::new(options.speed),
        options,
        user: seat.user.clone(),
        password: seat.password.reveal().to_string(),
        sessions: Sessions::default(),
        troubles: super::trouble::Troubles::default(),
        inside,
        ssh_port: seat.ssh_port,
        first_address,
        next_address: first_address + 1024,
        hosts: BTreeMap::new(),
        cancelled: HashSet::new(),
        arrays: HashMap::new(),
        next_domid: 1,
        systems: HashMap::new(),
        addresses: HashMap::new(),
        moves: 0,
        filled: HashSet::new(),
        calls: 0,
    }
}

/// A block of 2¹⁴ loopback addresses; two simulators hardly ever get the same, and their ports differ.
fn block(random: u64) -> u32 {
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 0));
    let blocks = (u32::from(Ipv4Addr::new(127, 255, 0, 0)) - first) >> 14;
    first + ((random % u64::from(blocks)) as u32 * (1 << 14))
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let refused = |error: std::io::Error| {
        let error = Error::new(Kind::Refused, format!("the simulated pool cannot listen on {address}: {error}"));
        error.help("give another port, or none for one that is free")
    };
    TcpListener::bind(address).await.map_err(refused)
}

/// A certificate that the simulator has signed itself, as a fresh host does.
fn certificate() -> Result<TlsAcceptor> {
    let internal = |error: &dyn std::fmt::Display| Error::new(Kind::Internal, format!("a certificate for the simulator: {error}"));
    let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| internal(&e))?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| internal(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(|e| internal(&e))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The machines' way to the pool; it ends with the pool.
struct Way(Weak<Engine>);

impl Outside for Way {
    fn machine_did(&self, uuid: &str, act: Act) {
        if let Some(engine) = self.0.upgrade() {
            engine.with(|world| machine_did(world, uuid, act));
        }
    }

    fn real(&self, simulated: Duration) -> Duration {
        self.0.upgrade().map_or(simulated, |engine| engine.with(|world| world.site.clock.real(simulated)))
    }

    fn system_installed(&self, disk: &str, system: &str) {
        if let Some(engine) = self.0.upgrade() {
            engine.with(|world| world.site.systems.insert(disk.into(), system.into()));
        }
    }

    fn call<'a>(&'a self, host: &'a str, method: &'a str, params: Vec<serde_json::Value>) -> Answering<'a> {
        Box::pin(async move {
            let gone = || super::failure::Failure::bare("HOST_STILL_BOOTING");
            self.0.upgrade().ok_or_else(gone)?.call_as_root(host, method, params).await
        })
    }
}

/// The ports of all hosts: open while the toolstack of the host is up.
struct Doors {
    engine: Arc<Engine>,
    port: u16,
    tls: Option<TlsAcceptor>,
    open: HashMap<SocketAddr, JoinHandle<()>>,
}

impl Doors {
    /// Opens them, and keeps them as they should be from then on.
    async fn open(mut self, first: TcpListener) -> Result<()> {
        let listen = first.local_addr().map_err(|e| Error::new(Kind::Internal, format!("the port: {e}")))?;
        let hosts = self.wanted(listen);
        if let Some((host, _)) = hosts.iter().find(|(_, address)| *address == listen) {
            self.serve(host, first, listen);
        }
        for (host, address) in hosts.iter().filter(|(_, address)| *address != listen) {
            let listener = bind(*address).await?;
            self.serve(host, listener, *address);
        }
        tokio::spawn(self.keep(listen));
        Ok(())
    }

    async fn keep(mut self, listen: SocketAddr) {
        loop {
            self.engine.doors_moved().await;
            let wanted = self.wanted(listen);
            self.open.retain(|address, server| {
                let stays = wanted.iter().any(|(_, at)| at == address);
                if !stays {
                    server.abort();
                }
                stays
            });
            for (host, address) in wanted {
                if self.open.contains_key(&address) {
                    continue;
                }
                // The port of a host that was down is tried again with the next change.
                if let Ok(listener) = bind(address).await {
                    self.serve(&host, listener, address);
                }
            }
        }
    }

    /// The hosts that answer now, and where. The first host of all also has the address that was asked for.
    fn wanted(&self, listen: SocketAddr) -> Vec<(Arc<str>, SocketAddr)> {
        self.engine.with(|world| {
            let own = |place: &super::world::HostPlace| SocketAddr::from((place.address, self.port));
            let first = world.site.first_address + 1;
            let mut wanted = Vec::new();
            for (uuid, place) in world.site.hosts.iter().filter(|(_, place)| place.is_up) {
                if u32::from(place.address) == first {
                    wanted.push((Arc::from(uuid.as_str()), listen));
                }
                // Who listens everywhere listens there too.
                if !listen.ip().is_unspecified() || u32::from(place.address) != first {
                    wanted.push((Arc::from(uuid.as_str()), own(place)));
                }
            }
            if listen.ip().is_unspecified() {
                wanted.retain(|(_, address)| address == &listen);
            }
            wanted
        })
    }

    fn serve(&mut self, host: &Arc<str>, listener: TcpListener, address: SocketAddr) {
        let door = Door { engine: Arc::clone(&self.engine), host: Arc::clone(host) };
        let port = Port { listener, tls: self.tls.clone() };
        let service = router(door).into_make_service_with_connect_info::<super::endpoint::Line>();
        let server = tokio::spawn(async move { drop(axum::serve(port, service).await) });
        self.open.insert(address, server);
    }
}
