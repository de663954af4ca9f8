//! What the machines of one simulator share: their directory, how one logs in to them, and the way to the pool.

use super::place::Place;
use super::store::Store;
use crate::secret::Secret;
use crate::sim::inside::Outside;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

pub(super) struct Shared {
    pub runtime: Handle,
    pub store: Store,
    /// Of root, on every machine.
    pub password: Secret,
    /// A key that lets root in everywhere.
    pub key: PrivateKey,
    pub port: u16,
    pub outside: OnceLock<Weak<dyn Outside>>,
    /// What services of hosts have said since somebody last looked.
    pub logs: Logs,
    place: Place,
    next: AtomicU64,
    host_keys: Mutex<HashMap<String, PrivateKey>>,
    has_cells: OnceCell<bool>,
    /// Whether namespaces are not to be used even where they can be.
    is_plain: bool,
}

/// Lines of logs that are not in their files yet: by host, then by file.
#[derive(Default)]
pub(super) struct Logs(Mutex<HashMap<String, BTreeMap<&'static str, String>>>);

impl Logs {
    /// The most of a file that is kept until somebody looks.
    const MOST: usize = 1 << 20;

    pub fn add(&self, host: &str, file: &'static str, line: &str) {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = logs.entry(host.to_string()).or_default().entry(file).or_default();
        if text.len() + line.len() > Logs::MOST {
            let half = text.len() / 2;
            let cut = text.bytes().skip(half).position(|byte| byte == b'\n').map_or(text.len(), |at| half + at + 1);
            text.drain(..cut);
        }
        text.push_str(line);
    }

    /// What is new on a host.
    pub fn take(&self, host: &str) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host).unwrap_or_default()
    }
}

impl Shared {
    /// # Errors
    /// The directory cannot be made.
    pub fn new(runtime: Handle, port: u16, password: Secret, is_plain: bool) -> io::Result<Shared> {
        let place = Place::new()?;
        Ok(Shared {
            runtime,
            store: Store::new(place.path().join("disks"))?,
            password,
            key: fresh_key(),
            port,
            outside: OnceLock::new(),
            logs: Logs::default(),
            next: AtomicU64::new(0),
            host_keys: Mutex::default(),
            has_cells: OnceCell::new(),
            is_plain,
            place,
        })
    }

    /// The way to the pool, while there is one.
    pub fn outside(&self) -> Option<Arc<dyn Outside>> {
        self.outside.get()?.upgrade()
    }

    /// The name of a directory that was never used.
    pub fn fresh_dir(&self) -> PathBuf {
        self.place.path().join(format!("boot-{}", self.next.fetch_add(1, Ordering::SeqCst)))
    }

    pub fn dir(&self) -> &std::path::Path {
        self.place.path()
    }

    /// Removes all files of all machines.
    pub fn remove_files(&self) {
        self.place.clear();
    }

    /// The host key of a machine: the same one for as long as the machine exists.
    pub fn host_key(&self, machine: &str) -> PrivateKey {
        let mut keys = self.host_keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(machine.to_string()).or_insert_with(fresh_key).clone()
    }

    pub fn forget_host_key(&self, machine: &str) {
        self.host_keys.lock().unwrap_or_else(PoisonError::into_inner).remove(machine);
    }

    /// Whether a machine can have namespaces of its own here.
    pub async fn has_cells(&self) -> bool {
        *self.has_cells.get_or_init(|| async { !self.is_plain && can_make_namespaces().await }).await
    }

    /// Whether it is known that machines have no namespaces here.
    pub fn is_plain(&self) -> bool {
        self.has_cells.get() == Some(&false)
    }

    /// Whether this key may log in everywhere.
    pub fn lets_in(&self, key: &PublicKey) -> bool {
        self.key.public_key().key_data() == key.key_data()
    }
}

/// A random key.
fn fresh_key() -> PrivateKey {
    let mut seed = Sha256::new();
    // Two of them have 244 random bits.
    seed.update(uuid::Uuid::new_v4().as_bytes());
    seed.update(uuid::Uuid::new_v4().as_bytes());
    PrivateKey::from(Ed25519Keypair::from_seed(&seed.finalize().into()))
}

/// Tries what the first process of a machine needs.
async fn can_make_namespaces() -> bool {
    let script = "mount -t proc proc /proc && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && \
                  mount -t devpts -o newinstance devpts /dev/pts && nsenter --version";
    let mut command = tokio::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--time"]);
    command.args(["--boottime", "0", "--", "sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}
