//! A machine from its start to its end: where its commands run, and what it knows of itself.

use super::cell::Cell;
use super::plain::Plain;
use super::shared::Shared;
use super::skeleton;
use super::spec::{Role, Spec};
use super::view::View;
use super::{ask, dom0, kernel};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{OnceCell, watch};

/// A machine that is switched on.
pub(super) struct Boot {
    spec: RwLock<Spec>,
    pub boot_id: String,
    /// Seconds since this machine (the real one) was started, when this one was.
    started: f64,
    pub shared: Arc<Shared>,
    /// The files of its system disk.
    tree: PathBuf,
    /// What is of this start only.
    volatile: PathBuf,
    inside: OnceCell<Inside>,
    over: watch::Sender<bool>,
    is_frozen: AtomicBool,
    freezing: tokio::sync::Mutex<()>,
    skew: AtomicU64,
    /// What it has mounted: device and where.
    pub mounts: Mutex<Vec<(String, String)>>,
    /// Of a host: the SRs, by uuid, whose file system somebody has unmounted behind its toolstack's back.
    pub unmounted: Mutex<BTreeSet<String>>,
}

/// Where commands run.
pub(super) enum Inside {
    Cell(Cell),
    Plain(Plain),
}

impl Boot {
    /// A new one; nothing is made or started before it is needed.
    pub fn new(spec: Spec, shared: Arc<Shared>, boot_id: String) -> Arc<Boot> {
        let system = spec.system_disk().filter(|d| !d.vdi.is_empty()).map(|d| d.vdi.clone());
        // A machine without a disk has its files for this start; a host's disk is its own.
        let disk = match (&spec.role, system) {
            (Role::Guest, Some(disk)) => disk,
            _ => Boot::own_disk(&spec.id),
        };
        Arc::new(Boot {
            tree: shared.store.tree(&disk),
            volatile: shared.fresh_dir(),
            boot_id,
            started: kernel::uptime_here(),
            inside: OnceCell::new(),
            over: watch::Sender::new(false),
            is_frozen: AtomicBool::new(false),
            freezing: tokio::sync::Mutex::default(),
            skew: AtomicU64::new(0f64.to_bits()),
            mounts: Mutex::default(),
            unmounted: Mutex::default(),
            spec: RwLock::new(spec),
            shared,
        })
    }

    /// The disk of a machine that has none in the pool.
    pub fn own_disk(machine: &str) -> String {
        format!("system-{machine}")
    }

    pub fn spec(&self) -> Spec {
        self.spec.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the machine has ended.
    pub fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// Seconds since it was started.
    pub fn uptime(&self) -> f64 {
        (kernel::uptime_here() - self.started).max(0.01)
    }

    /// How far its clock is from the right time, in seconds.
    pub fn skew(&self) -> f64 {
        f64::from_bits(self.skew.load(Ordering::SeqCst))
    }

    /// Sets the clock wrong, or right again.
    pub fn set_skew(&self, seconds: f64) {
        self.skew.store(seconds.to_bits(), Ordering::SeqCst);
        if self.inside.initialized() {
            self.show(|dir, _| std::fs::write(dir.join("run/sim/skew"), format!("{seconds}\n")));
        }
    }

    /// Where its commands run; made at the first call.
    ///
    /// # Errors
    /// With what could not be made, and by what.
    pub async fn inside(self: &Arc<Boot>) -> io::Result<&Inside> {
        self.inside.get_or_try_init(|| self.make_inside()).await
    }

    async fn make_inside(self: &Arc<Boot>) -> io::Result<Inside> {
        let spec = self.spec();
        let has_cells = self.shared.has_cells().await;
        skeleton::make_system(&self.tree, &spec)?;
        skeleton::make_volatile(&self.volatile, &spec, &self.boot_id, &self.shared.store)?;
        self.set_skew(self.skew());
        kernel::log_boot(self, &spec)?;
        ask::start(self, &self.volatile, &spec)?;
        let inside = if has_cells {
            let mut cell = Cell::start(&self.tree, &self.volatile, self.started).await?;
            ask::watch_end(self, cell.take_first());
            Inside::Cell(cell)
        } else {
            Inside::Plain(Plain::new(&self.tree, &self.volatile)?)
        };
        if *self.over.borrow() {
            inside.end();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(inside)
    }

    fn is_host(&self) -> bool {
        self.spec.read().unwrap_or_else(PoisonError::into_inner).role == Role::Host
    }

    /// A command for its shell, ready to be started.
    ///
    /// # Errors
    /// As [`Boot::inside`].
    pub async fn command(self: &Arc<Boot>, text: &str) -> io::Result<Command> {
        let inside = self.inside().await?;
        if self.is_host() {
            dom0::refresh(self).await?;
        }
        let mut command = match inside {
            Inside::Cell(cell) => cell.command(text),
            Inside::Plain(plain) => {
                self.refresh_uptime();
                plain.command(text)
            }
        };
        for (name, value) in [("USER", "root"), ("LOGNAME", "root"), ("SHELL", "/bin/sh"), ("LANG", "C.UTF-8")] {
            command.env(name, value);
        }
        Ok(command)
    }

    /// Its files, for SFTP.
    ///
    /// # Errors
    /// As [`Boot::inside`].
    pub async fn view(self: &Arc<Boot>) -> io::Result<View> {
        let inside = self.inside().await?;
        if self.is_host() {
            dom0::refresh(self).await?;
        }
        match inside {
            Inside::Cell(cell) => cell.view(),
            Inside::Plain(plain) => plain.view(),
        }
    }

    /// The files on its system disk, and what is of this start only.
    pub fn places(&self) -> (&Path, &Path) {
        (&self.tree, &self.volatile)
    }

    /// Another size, other disks or interfaces.
    pub fn change(&self, spec: Spec) {
        *self.spec.write().unwrap_or_else(PoisonError::into_inner) = spec;
        if self.inside.initialized() {
            self.show(|dir, spec| {
                skeleton::show_size(dir, spec)?;
                skeleton::show_disks(dir, spec, &self.shared.store)?;
                skeleton::show_nics(dir, spec)
            });
        }
    }

    fn show(&self, work: impl FnOnce(&Path, &Spec) -> io::Result<()>) {
        let spec = self.spec();
        if let Err(error) = work(&self.volatile, &spec) {
            tracing::warn!("{}: {error}", spec.name);
        }
    }

    fn refresh_uptime(&self) {
        let up = self.uptime();
        let text = format!("{up:.2} {up:.2}\n");
        self.show(|dir, _| std::fs::write(dir.join("proc/uptime"), text));
    }

    /// Stops everything in it, or lets it go on.
    pub fn set_frozen(self: &Arc<Boot>, frozen: bool) {
        if self.is_frozen.swap(frozen, Ordering::SeqCst) == frozen {
            return;
        }
        match self.inside.get() {
            Some(Inside::Cell(_)) => {
                let boot = Arc::clone(self);
                self.shared.runtime.spawn(async move { boot.apply_frozen().await });
            }
            Some(Inside::Plain(plain)) => {
                plain.signal(if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT });
            }
            None => {}
        }
    }

    /// Does to its processes what is wanted by now: one at a time, so that the last wish is the last that is done.
    async fn apply_frozen(&self) {
        let _turn = self.freezing.lock().await;
        let Some(Inside::Cell(cell)) = self.inside.get() else { return };
        let signal = if self.is_frozen.load(Ordering::SeqCst) { "STOP" } else { "CONT" };
        // From inside, so that everything but the first process is meant. That there is nothing else is no error.
        let mut command = cell.command(&format!("kill -{signal} -1"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.status().await {
            tracing::warn!("{}: cannot be stopped: {error}", self.spec().name);
        }
    }

    /// Ends it, as when its power goes. Its processes are gone when [`Boot::clear`] returns.
    pub fn end(&self) {
        self.over.send_replace(true);
        if let Some(inside) = self.inside.get() {
            inside.end();
        }
    }

    /// Waits until its processes are gone, and removes what was of this start only.
    pub fn clear(&self) {
        self.wait_end(Duration::from_secs(2));
        // The next one has a directory of its own: what is left behind is removed with everything else.
        let _ = std::fs::remove_dir_all(&self.volatile);
    }

    /// Waits until its processes are gone, for so long at most: they were told to go.
    pub fn wait_end(&self, limit: Duration) {
        if let Some(Inside::Cell(cell)) = self.inside.get() {
            cell.wait_end(limit);
        }
    }

    /// Whether something is mounted from this device, so that it cannot be unplugged.
    pub fn is_in_use(&self, device: &str) -> bool {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(of, _)| of == device)
    }
}

impl Inside {
    fn end(&self) {
        match self {
            Inside::Cell(cell) => cell.end(),
            Inside::Plain(plain) => plain.signal(rustix::process::Signal::KILL),
        }
    }
}
