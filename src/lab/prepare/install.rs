//! Installing a system over the network: its installer is started, fetches its answers from the controller, says when it is done, and
//! turns the VM off.
//!
//! An installer with a kernel that the host hands it (PV) is told by its arguments; one that boots from the network needs the site's
//! DHCP to lead iPXE to the script that is served: `http://<controller>:<port>/ipxe?mac=…`.

use super::answers::{self, Facts};
use super::maker::Maker;
use super::site::Site;
use super::source::{System, resolved};
use super::task::VmTask;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::lab::hold::Hold;
use crate::lab::wait::{Look, Patience};
use crate::name::fingerprint;
use crate::secret::WELL_KNOWN_PASSWORD;
use crate::sequence::topology::Vm;
use crate::time::Timestamp;
use crate::toolstack::{Guest, GuestChange, PowerState, Verb};
use crate::wire::serve::Server;
use serde_json::json;
use std::net::SocketAddr;

/// Key of a VM's `other_config`: what is being installed on it.
pub const INSTALLING: &str = "xrt:installing";
/// Where hosts look for the installer of a template.
const REPOSITORY: &str = "install-repository";
/// How long an installer may take.
const PATIENCE: Patience = Patience::seconds(7200);

/// What a site says for an installation.
pub struct Source {
    pub repository: String,
    /// The controller, as machines reach it.
    pub controller: String,
}

/// What the site says for the installation of a VM.
///
/// # Errors
/// `NotFound` with the variable that is missing.
pub fn source(vm: &Vm, site: Site<'_>) -> Result<Source> {
    let distro = resolved(vm.distro.as_deref().unwrap_or_default());
    let repository = format!("RPM_SOURCE/{distro}/{}/HTTP", vm.arch);
    let or = |value: Option<String>, name: &str, example: &str| value.ok_or_else(|| site.missing(name, example));
    Ok(Source {
        repository: or(site.value(&repository)?, &repository, "http://mirror.example.org/path")?,
        controller: or(site.value("XENRT_SERVER_ADDRESS")?, "XENRT_SERVER_ADDRESS", "10.0.0.2")?,
    })
}

impl Maker<'_> {
    /// Installs a system on a VM that is down, until the VM is down again.
    pub(super) fn install(&self, task: &VmTask, hold: &Hold, guest: &Guest, action: &Action<'_>) -> Result<()> {
        let distro = guest.other_config.get(INSTALLING).cloned().unwrap_or_default();
        let system =
            System::of(&distro).ok_or_else(|| Error::new(Kind::Internal, format!("nobody knows how to install {distro}")))?;
        let source = source(&task.vm, Site::new(self.variables))?;
        let server = self.server()?;
        let at = format!("/{}", token(&guest.uuid));
        let base = format!("http://{}:{}{at}", source.controller, server.port());
        let done = format!("{at}/done");
        let facts = Facts {
            hostname: &task.vm.name,
            repository: &source.repository,
            password: WELL_KNOWN_PASSWORD,
            done: &format!("{base}/done"),
        };
        for (name, text) in answers::files(&system, facts) {
            server.put(&format!("{at}/{name}"), &text);
        }
        server.put(&done, "thank you\n");
        let result = self.run_installer(hold, guest, (&answers::kernel(&system, &base), &source.repository), action, &|| {
            server.was_asked(&done)
        });
        server.remove(&at);
        result
    }

    fn run_installer(
        &self,
        hold: &Hold,
        guest: &Guest,
        (kernel, repository): (&str, &str),
        action: &Action<'_>,
        is_done: &dyn Fn() -> bool,
    ) -> Result<()> {
        let reference = &guest.reference;
        let mut other_config = guest.other_config.clone();
        other_config.insert(REPOSITORY.into(), repository.into());
        let change = GuestChange { boot_params: Some(kernel.to_string()), other_config, ..GuestChange::default() };
        hold.ask(|toolstack, watch| toolstack.configure(reference, &change, watch))?;
        if guest.is_hvm {
            hold.ask(|toolstack, watch| toolstack.set(reference, "HVM_boot_params", &json!({ "order": "n" }), watch))?;
        }
        hold.order(action, &Verb::Start { guest: reference.clone(), on: None, paused: false }, Patience::TASK)?;
        let what = format!("the installer of {} to be done", guest.name);
        hold.until(action, &what, PATIENCE, |toolstack, watch| {
            let state = toolstack.guest(reference, watch)?.state;
            Ok(match (is_done(), state) {
                (true, PowerState::Down) => Look::Done(()),
                (true, _) => Look::NotYet("it is done, and still on".into()),
                (false, PowerState::Down) => return Err(gave_up(&guest.name)),
                (false, _) => Look::NotYet("it has not said that it is done".into()),
            })
        })
        .map_err(|error| error.blame(Blame::Lab))?;
        if guest.is_hvm {
            hold.ask(|toolstack, watch| toolstack.set(reference, "HVM_boot_params", &json!({ "order": "c" }), watch))?;
        }
        let mut other_config = hold.ask(|toolstack, watch| toolstack.guest(reference, watch))?.other_config;
        other_config.remove(INSTALLING);
        other_config.remove(REPOSITORY);
        let value = json!(other_config);
        hold.ask(|toolstack, watch| toolstack.set(reference, "other_config", &value, watch))?;
        let change = GuestChange { boot_params: Some(String::new()), ..GuestChange::default() };
        hold.ask(|toolstack, watch| toolstack.configure(reference, &change, watch))
    }

    /// The controller's web server, started when it is first needed.
    fn server(&self) -> Result<&Server> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let server = Server::start(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        Ok(self.server.get_or_init(|| server))
    }
}

fn gave_up(name: &str) -> Error {
    let error = Error::new(Kind::Refused, format!("{name} turned itself off before it was installed")).blame(Blame::Lab);
    error.help("look at its console: could its installer reach the repository and the controller?")
}

/// A path that nobody guesses.
fn token(uuid: &str) -> String {
    let unique = format!("{uuid} {} {}", Timestamp::now(), std::process::id());
    format!("{:08x}{:08x}", fingerprint(&unique), fingerprint(&format!("{unique} again")))
}
