//! Records of how machines prove who they are: small files that many processes read and rewrite.

use crate::error::{Result, Whereabouts};
use crate::time::Cancel;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long another process may hold the record before this one goes on without writing.
const LOCKED: Duration = Duration::from_secs(2);

/// The text of a record; empty where there is no file yet.
///
/// # Errors
/// Of the file system.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Replaces a record by what `change` makes of its text. It is private to its user, and seen under its name only when whole.
///
/// # Errors
/// Of the file system; what `change` says.
pub(super) fn rewrite(path: &Path, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    // A link stays a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let doing = format!("write `{}`", path.display());
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    make_private_dir(dir).at(&doing)?;
    let _turn = Turn::take(path)?;
    let text = change(&read(path).at(&doing)?)?;
    // Made with mode 600.
    let mut new = tempfile::NamedTempFile::new_in(dir).at(&doing)?;
    new.write_all(text.as_bytes()).at(&doing)?;
    new.persist(path).map_err(|e| e.error).at(&doing)?;
    Ok(())
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The right to rewrite a record: among the threads of this process, and among processes.
struct Turn {
    _file: File,
    _thread: MutexGuard<'static, ()>,
}

impl Turn {
    fn take(path: &Path) -> Result<Turn> {
        static THREADS: Mutex<()> = Mutex::new(());
        let lock = PathBuf::from(format!("{}.lock", path.display()));
        let thread = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        let doing = format!("lock `{}`", lock.display());
        let file = File::options().create(true).append(true).open(&lock).at(&doing)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Turn { _file: file, _thread: thread }),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() < LOCKED => Cancel::new().sleep(Duration::from_millis(2))?,
                Err(fs::TryLockError::WouldBlock) => return Err(std::io::Error::from(ErrorKind::TimedOut)).at(&doing),
                Err(fs::TryLockError::Error(e)) => return Err(e).at(&doing),
            }
        }
    }
}
