//! The machines of a simulator that are on, and what the pool tells them.

use super::boot::Boot;
use super::listener::Listener;
use super::shared::Shared;
use super::spec::Spec;
use super::{image, installer};
use crate::error::{Result, Whereabouts};
use crate::secret::Secret;
use crate::sim::inside::{Down, Inside, Machine, Netboot, Outside};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The insides of all machines of a simulator. Dropping it ends them and removes their files.
pub struct Machines {
    shared: Arc<Shared>,
    known: Mutex<HashMap<String, Known>>,
    /// The mark of the start that goes on with a memory image, by its disk.
    memories: Mutex<HashMap<String, String>>,
}

/// A machine that was on.
struct Known {
    /// While it is on, or suspended.
    boot: Option<Arc<Boot>>,
    /// While it is on.
    listener: Option<Listener>,
    /// While it is being installed.
    installer: Option<JoinHandle<()>>,
    /// The mark of its last start: a checkpoint goes on with it.
    boot_id: String,
    skew: f64,
}

/// How the machines are made.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// Of SSH, on the addresses of all machines.
    pub port: u16,
    /// Of root, on all machines.
    pub password: Secret,
    /// Without namespaces, even where they can be made.
    pub is_plain: bool,
}

impl Machines {
    /// # Errors
    /// `Internal` when there is no place for their files.
    pub fn new(runtime: Handle, options: MachineOptions) -> Result<Machines> {
        let shared =
            Shared::new(runtime, options.port, options.password, options.is_plain).at("make a directory for simulated machines")?;
        Ok(Machines { shared: Arc::new(shared), known: Mutex::default(), memories: Mutex::default() })
    }

    /// A port that nothing listens on, on any address, below those that the system gives out by itself.
    ///
    /// # Errors
    /// `Internal` when there is none among many.
    pub fn free_port() -> Result<u16> {
        for _ in 0..200 {
            let random = uuid::Uuid::new_v4().as_u128() % 10_000;
            let port = 20_000 + u16::try_from(random).unwrap_or_default();
            if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(crate::error::Error::new(crate::error::Kind::Internal, "no free port for the SSH servers of simulated machines"))
    }

    /// Tells the machines the way to their pool.
    pub fn connect(&self, outside: Weak<dyn Outside>) {
        // Once is enough.
        let _ = self.shared.outside.set(outside);
    }

    /// Where everything of the machines is.
    pub fn dir(&self) -> &Path {
        self.shared.dir()
    }

    /// A private key that lets root in everywhere, in OpenSSH's form.
    pub fn login_key(&self) -> Secret {
        let text = self.shared.key.to_openssh(russh::keys::ssh_key::LineEnding::LF);
        Secret::new(text.map(|text| text.to_string()).unwrap_or_default())
    }

    /// Whether a disk of a running machine is in use there, so that it cannot be unplugged.
    pub fn is_in_use(&self, machine: &str, device: &str) -> bool {
        self.known().get(machine).and_then(|known| known.boot.as_ref()).is_some_and(|boot| boot.is_in_use(device))
    }

    /// The bytes that a disk's content takes here.
    pub fn disk_used(&self, disk: &str) -> u64 {
        self.shared.store.used(disk)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, machine: &Machine, boot_id: Option<String>) {
        let spec = Spec::of(machine);
        let boot_id = boot_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut known = self.known();
        let entry = known.entry(spec.id.clone()).or_insert_with(|| Known::new(&boot_id));
        entry.end(&self.shared);
        if spec.distro == "windows" {
            // No SSH server listens there.
            return;
        }
        let boot = Boot::new(spec, Arc::clone(&self.shared), boot_id);
        boot.set_skew(entry.skew);
        entry.boot_id.clone_from(&boot.boot_id);
        entry.listener = listen(&boot);
        entry.boot = Some(boot);
    }
}

/// How long the processes of all machines together may take to go.
const LONGEST_END: Duration = Duration::from_secs(5);

impl Known {
    fn new(boot_id: &str) -> Known {
        Known { boot: None, listener: None, installer: None, boot_id: boot_id.into(), skew: 0.0 }
    }

    fn end(&mut self, shared: &Shared) {
        self.listener = None;
        if let Some(installer) = self.installer.take() {
            installer.abort();
        }
        if let Some(boot) = self.boot.take() {
            boot.end();
            shared.runtime.spawn_blocking(move || boot.clear());
        }
    }
}

fn listen(boot: &Arc<Boot>) -> Option<Listener> {
    match Listener::open(boot) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let spec = boot.spec();
            tracing::warn!("{} cannot listen on {}:{}: {error}", spec.name, spec.address, boot.shared.port);
            None
        }
    }
}

impl Inside for Machines {
    fn machine_up(&self, machine: &Machine) {
        self.start(machine, None);
    }

    fn machine_installs(&self, machine: &Machine, from: Netboot) {
        let mut known = self.known();
        let entry = known.entry(machine.uuid.to_string()).or_insert_with(|| Known::new(""));
        entry.end(&self.shared);
        let running = installer::run(Arc::clone(&self.shared), machine.clone(), from);
        entry.installer = Some(self.shared.runtime.spawn(running));
    }

    fn machine_down(&self, uuid: &str, how: Down) {
        let mut known = self.known();
        let Some(entry) = known.get_mut(uuid) else { return };
        if how != Down::Suspended {
            return entry.end(&self.shared);
        }
        entry.listener = None;
        if let Some(boot) = &entry.boot {
            boot.set_frozen(true);
        }
    }

    fn machine_resumed(&self, machine: &Machine) {
        let boot_id = {
            let mut known = self.known();
            let entry = known.get_mut(&*machine.uuid);
            let suspended = entry.filter(|entry| entry.listener.is_none());
            if let Some((entry, boot)) = suspended.and_then(|entry| entry.boot.clone().map(|boot| (entry, boot))) {
                boot.change(Spec::of(machine));
                boot.set_frozen(false);
                entry.listener = listen(&boot);
                return;
            }
            known.get(&*machine.uuid).map(|entry| entry.boot_id.clone())
        };
        self.start(machine, boot_id);
    }

    fn memory_kept(&self, uuid: &str, image: &str) {
        let boot_id = self.known().get(uuid).map(|entry| entry.boot_id.clone());
        if let Some(boot_id) = boot_id {
            self.memories().insert(image.to_string(), boot_id);
        }
    }

    fn memory_loaded(&self, uuid: &str, image: &str) {
        let Some(boot_id) = self.memories().get(image).cloned() else { return };
        let mut known = self.known();
        let entry = known.entry(uuid.to_string()).or_insert_with(|| Known::new(&boot_id));
        if entry.boot_id != boot_id {
            // What was suspended here is of another start.
            entry.end(&self.shared);
            entry.boot_id = boot_id;
        }
    }

    fn machine_changed(&self, machine: &Machine) {
        if let Some(boot) = self.known().get(&*machine.uuid).and_then(|entry| entry.boot.as_ref()) {
            boot.change(Spec::of(machine));
        }
    }

    fn machine_removed(&self, uuid: &str) {
        if let Some(mut entry) = self.known().remove(uuid) {
            entry.end(&self.shared);
        }
        self.shared.forget_host_key(uuid);
        self.shared.logs.take(uuid);
        let _ = self.shared.store.forget(&Boot::own_disk(uuid));
    }

    fn machine_frozen(&self, uuid: &str, is_frozen: bool) {
        let known = self.known();
        let Some(entry) = known.get(uuid) else { return };
        if let Some(listener) = &entry.listener {
            listener.set_dead(is_frozen);
        }
        if let Some(boot) = &entry.boot {
            boot.set_frozen(is_frozen);
        }
    }

    fn machine_skewed(&self, uuid: &str, seconds: f64) {
        let mut known = self.known();
        let entry = known.entry(uuid.to_string()).or_insert_with(|| Known::new(""));
        entry.skew = seconds;
        if let Some(boot) = &entry.boot {
            boot.set_skew(seconds);
        }
    }

    fn disk_copied(&self, from: &str, to: &str) {
        let memory = self.memories().get(from).cloned();
        if let Some(memory) = memory {
            self.memories().insert(to.to_string(), memory);
        }
        if let Err(error) = self.shared.store.copy(from, to) {
            tracing::warn!("the files of disk {from} cannot be copied: {error}");
        }
    }

    fn disk_moved(&self, from: &str, to: &str) {
        let memory = self.memories().remove(from);
        if let Some(memory) = memory {
            self.memories().insert(to.to_string(), memory);
        }
        if let Err(error) = self.shared.store.rename(from, to) {
            tracing::warn!("the files of disk {from} cannot be moved: {error}");
        }
    }

    fn host_says(&self, host: &str, file: &'static str, line: &str) {
        self.shared.logs.add(host, file, line);
    }

    fn storage_plugged(&self, host: &str, sr: &str) {
        if let Some(boot) = self.known().get(host).and_then(|entry| entry.boot.as_ref()) {
            boot.unmounted.lock().unwrap_or_else(PoisonError::into_inner).remove(sr);
        }
    }

    fn is_in_use(&self, machine: &str, device: &str) -> bool {
        Machines::is_in_use(self, machine, device)
    }

    fn disk_image(&self, disk: &str, system: Option<&str>) -> io::Result<File> {
        image::pack(&self.shared.store, disk, system)
    }

    fn disk_filled(&self, disk: &str, mut image: File) -> io::Result<Option<String>> {
        image::unpack(&self.shared.store, disk, &mut image)
    }

    fn disk_removed(&self, disk: &str) {
        self.memories().remove(disk);
        if let Err(error) = self.shared.store.forget(disk) {
            tracing::warn!("the files of disk {disk} cannot be removed: {error}");
        }
    }
}

impl Machines {
    /// Ends all machines and removes their files; nothing starts afterwards.
    pub fn end(&self) {
        let mut known = self.known();
        let entries: Vec<Known> = known.drain().map(|(_, entry)| entry).collect();
        // Held from here on, so that nothing is started meanwhile.
        let boots: Vec<Arc<Boot>> = entries.into_iter().filter_map(|entry| entry.boot).collect();
        for boot in &boots {
            boot.end();
        }
        let end = tokio::time::Instant::now() + LONGEST_END;
        for boot in &boots {
            boot.wait_end(end.saturating_duration_since(tokio::time::Instant::now()));
        }
        self.shared.remove_files();
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.end();
    }
}
