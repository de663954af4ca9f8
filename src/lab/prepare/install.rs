//! Installing a system over the network: its installer is started, fetches its answers from the controller, says when it is done, and
//! turns the VM off.
//!
//! An installer with a kernel that the host hands it (PV) is told by its arguments; one that boots from the network needs the site's
//! DHCP to lead iPXE to the script that is served: `http://<controller>:<port>/ipxe?mac=${net0/mac}`.

use super::answers::{self, Facts};
use super::maker::Maker;
use super::site::Site;
use super::source::{Installer, System, resolved};
use super::task::VmTask;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::hold::Hold;
use crate::lab::wait::{Look, Patience};
use crate::name::fingerprint;
use crate::sequence::topology::Vm;
use crate::time::Timestamp;
use crate::toolstack::{Guest, GuestChange, PowerState, Verb};
use crate::unit::parse_duration;
use crate::wire::serve::Server;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::PoisonError;

const CONTROLLER: &str = "XENRT_SERVER_ADDRESS";
const PORT: &str = "XENRT_SERVER_PORT";
const TIMEOUT: &str = "PREPARE_INSTALL_TIMEOUT";
/// Key of a VM's `other_config`: what is being installed on it.
pub const INSTALLING: &str = "xrt:installing";
/// Where hosts look for the installer of a template.
const REPOSITORY: &str = "install-repository";
/// What lets the host find the kernel of an installed system on its disk, when it starts it itself.
const LOADER: &str = "pygrub";
/// How long an installer may take, when nobody says it.
const PATIENCE: Patience = Patience::seconds(7200);

/// What a site says for an installation.
pub struct Source {
    pub repository: String,
    /// The controller, as machines reach it.
    pub controller: String,
    /// Where it serves; 0 for anywhere.
    port: u16,
    /// The live image of Ubuntu.
    iso: Option<String>,
    patience: Patience,
}

/// What the site says for the installation of a VM.
///
/// # Errors
/// `NotFound` with the variable that is missing; `Malformed`: a variable, or the VM has nothing to be installed over.
pub fn source(vm: &Vm, site: Site<'_>) -> Result<Source> {
    let distro = resolved(vm.distro.as_deref().unwrap_or_default());
    let repository = format!("RPM_SOURCE/{distro}/{}/HTTP", vm.arch);
    if vm.nics.is_empty() {
        let what = format!("{} is to be installed over the network, and has no interface", vm.display_name());
        return Err(Error::new(Kind::Malformed, what).blame(Blame::Author).help("give it a <network device=\"0\"/>"));
    }
    let or = |value: Option<String>, name: &str, example: &str| value.ok_or_else(|| site.missing(name, example));
    let iso = format!("RPM_SOURCE/{distro}/{}/ISO", vm.arch);
    let is_live = System::of(distro).is_some_and(|system| system.installer == Installer::Autoinstall);
    let image = site.value(&iso)?;
    if is_live && image.is_none() {
        return Err(site.missing(&iso, "http://releases.ubuntu.com/22.04/ubuntu-22.04.5-live-server-amd64.iso"));
    }
    let port = site.value(PORT)?.map(|text| text.parse().map_err(|_| site.wrong(PORT, &text, "it is a number up to 65535")));
    let limit = site.value(TIMEOUT)?.map(|text| parse_duration(&text).map_err(|_| site.wrong(TIMEOUT, &text, "as in 2h, or 30m")));
    Ok(Source {
        repository: or(site.value(&repository)?, &repository, "http://mirror.example.org/path")?,
        controller: or(site.value(CONTROLLER)?, CONTROLLER, "10.0.0.2")?,
        port: port.transpose()?.unwrap_or(0),
        iso: image,
        patience: limit.transpose()?.map_or(PATIENCE, |limit| Patience { limit, ..PATIENCE }),
    })
}

/// Why an installation is not over.
struct Watched<'a> {
    server: &'a Server,
    done: String,
    /// What it asks for begins with one of these.
    starts: Vec<String>,
    /// Where iPXE is to be led to.
    script: String,
}

impl Watched<'_> {
    fn seen(&self) -> String {
        let starts: Vec<&str> = self.starts.iter().map(String::as_str).collect();
        match self.server.last_asked(&starts) {
            None => "its installer has asked the controller for nothing".into(),
            Some(asked) if asked.was_there => {
                format!("its installer has asked for {} last, and not said that it is done", asked.path)
            }
            Some(asked) => format!("its installer has asked for {} last, which there is not", asked.path),
        }
    }

    /// What to look at next.
    fn help(&self, is_hvm: bool) -> String {
        let starts: Vec<&str> = self.starts.iter().map(String::as_str).collect();
        match self.server.last_asked(&starts) {
            None if is_hvm => format!("does the site's DHCP lead iPXE to {}?", self.script),
            None => "can its network reach the controller, and its host the repository?".into(),
            Some(_) => "look at its console: what does its installer wait for, and could it reach the repository?".into(),
        }
    }
}

impl Maker<'_> {
    /// Installs a system on a VM that is down, until the VM is down again.
    pub(super) fn install(&self, task: &VmTask, hold: &Hold, guest: &Guest, action: &Action<'_>) -> Result<()> {
        let distro = guest.other_config.get(INSTALLING).cloned().unwrap_or_default();
        let system =
            System::of(&distro).ok_or_else(|| Error::new(Kind::Internal, format!("nobody knows how to install {distro}")))?;
        let source = source(&task.vm, Site::new(self.variables))?;
        let macs: Vec<String> =
            hold.ask(|toolstack, watch| toolstack.vifs(&guest.reference, watch))?.into_iter().map(|vif| vif.mac).collect();
        let server = self.server(&source)?;
        let at = format!("/{}", token(&guest.uuid));
        let origin = format!("http://{}:{}", source.controller, server.port());
        let base = format!("{origin}{at}");
        let scripts: Vec<String> = macs.iter().map(|mac| format!("/ipxe?mac={mac}")).collect();
        if guest.is_hvm {
            let script = answers::ipxe(&system, &source.repository, source.iso.as_deref(), &task.vm.arch, &base)?;
            scripts.iter().for_each(|path| server.put(path, &script));
        }
        let watched = Watched {
            server,
            done: format!("{at}/done"),
            starts: scripts.iter().cloned().chain([at.clone()]).collect(),
            script: format!("{origin}/ipxe?mac=${{net0/mac}}"),
        };
        let password = hold.estate.guest_password();
        let facts = Facts {
            hostname: &task.vm.name,
            repository: &source.repository,
            password: password.reveal(),
            done: &format!("{base}/done"),
        };
        for (name, text) in answers::files(&system, facts) {
            server.put(&format!("{at}/{name}"), &text);
        }
        server.put(&watched.done, "thank you\n");
        let result = self.run_installer(hold, guest, (&answers::kernel(&system, &base), &source), action, &watched);
        watched.starts.iter().for_each(|start| server.remove(start));
        result
    }

    fn run_installer(
        &self,
        hold: &Hold,
        guest: &Guest,
        (kernel, source): (&str, &Source),
        action: &Action<'_>,
        watched: &Watched<'_>,
    ) -> Result<()> {
        let reference = &guest.reference;
        if guest.state != PowerState::Down {
            // What an earlier attempt has started would ask for answers that are served no longer.
            hold.order(action, &Verb::HardShutdown(reference.clone()), Patience::SHUTDOWN)?;
        }
        let mut other_config = guest.other_config.clone();
        other_config.insert(REPOSITORY.into(), source.repository.clone());
        let boot_params = (!guest.is_hvm).then(|| kernel.to_string());
        let change = GuestChange { boot_params, other_config, ..GuestChange::default() };
        hold.ask(|toolstack, watch| toolstack.configure(reference, &change, watch))?;
        let set =
            |field: &str, value: serde_json::Value| hold.ask(|toolstack, watch| toolstack.set(reference, field, &value, watch));
        let order = hold.get(reference, BOOT, None)?;
        if guest.is_hvm {
            set(BOOT, with_order(&order, "n"))?;
        }
        hold.order(action, &Verb::Start { guest: reference.clone(), on: None, paused: false }, Patience::TASK)?;
        let what = format!("the installer of {} to be done", guest.name);
        hold.until(action, &what, source.patience, |toolstack, watch| {
            let state = toolstack.guest(reference, watch)?.state;
            Ok(match (watched.server.asked(&watched.done).is_some(), state) {
                (true, PowerState::Down) => Look::Done(()),
                (true, _) => Look::NotYet("it is done, and still on".into()),
                (false, PowerState::Down) => return Err(gave_up(&guest.name, watched)),
                (false, _) => Look::NotYet(watched.seen()),
            })
        })
        .map_err(|error| match error.kind {
            // Another attempt would take as long.
            Kind::Timeout => Error { kind: Kind::Refused, ..error }.blame(Blame::Lab).help(watched.help(guest.is_hvm)),
            _ => error.blame(Blame::Lab),
        })?;
        if guest.is_hvm {
            set(BOOT, order)?;
        } else {
            set("PV_bootloader", json!(LOADER))?;
            set("PV_args", json!(""))?;
        }
        let mut other_config = hold.ask(|toolstack, watch| toolstack.guest(reference, watch))?.other_config;
        other_config.remove(INSTALLING);
        other_config.remove(REPOSITORY);
        set("other_config", json!(other_config))
    }

    /// The controller's web server, started when it is first needed.
    fn server(&self, source: &Source) -> Result<&Server> {
        let _alone = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        // Who is on this machine needs no door to all others.
        let here = source.controller.parse().ok().filter(IpAddr::is_loopback);
        let address = SocketAddr::from((here.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), source.port));
        let server = Server::start(address).map_err(|error| match source.port {
            0 => error,
            _ => error.help(format!("another program has the port; give another with -D {PORT}=…")),
        })?;
        Ok(self.server.get_or_init(|| server))
    }
}

/// The field of what a VM is started from, in which the order of devices is one of several things.
const BOOT: &str = "HVM_boot_params";

fn with_order(params: &serde_json::Value, order: &str) -> serde_json::Value {
    let mut params = params.as_object().cloned().unwrap_or_default();
    params.insert("order".into(), json!(order));
    params.into()
}

fn gave_up(name: &str, watched: &Watched<'_>) -> Error {
    let what = format!("{name} turned itself off before it was installed: {}", watched.seen());
    let error = Error::new(Kind::Refused, what).blame(Blame::Lab);
    error.help("look at its console: could its installer reach the repository and the controller?")
}

/// A path that nobody guesses.
fn token(uuid: &str) -> String {
    let unique = format!("{uuid} {} {}", Timestamp::now(), std::process::id());
    format!("{:08x}{:08x}", fingerprint(&unique), fingerprint(&format!("{unique} again")))
}
