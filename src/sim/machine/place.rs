//! The directory of a simulator, in which everything of its machines is; and what dead simulators have left.
//!
//! Its owner holds a lock in it for as long as it lives, so a directory without a holder is one of a process that was killed, and the
//! next simulator removes it, with what still runs in it. Another user's is never touched, nor what only has such a name.

use super::plain;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::process::{Signal, geteuid, pidfd_send_signal};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PREFIX: &str = "xrt-sim-";

/// The file that is locked.
const LOCK: &str = "lock";

/// How often another directory is made when a sweep took the new one for a dead simulator's.
const TRIES: usize = 20;

/// How long a process may take to end that was killed.
const DEATH: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// A directory that is removed at the end.
pub(super) struct Place {
    dir: TempDir,
    _lock: File,
}

impl Place {
    /// A new one, once nothing is left of dead simulators.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new() -> io::Result<Place> {
        Place::below(&tempfile::env::temp_dir())
    }

    fn below(base: &Path) -> io::Result<Place> {
        sweep(base);
        for _ in 0..TRIES {
            if let Some(place) = Place::make(base)? {
                return Ok(place);
            }
        }
        Err(io::Error::other(format!("each new directory in `{}` is locked by somebody else", base.display())))
    }

    /// Nothing when another process was at it before it was locked.
    fn make(base: &Path) -> io::Result<Option<Place>> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        let lock = match File::create_new(dir.path().join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            made => made?,
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Whoever had the lock before us has removed it.
        let is_there = fstat(&lock)?.st_nlink > 0;
        Ok(is_there.then_some(Place { dir, _lock: lock }))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Removes all files. The lock is held until this value goes.
    pub fn clear(&self) {
        remove(self.path());
    }
}

/// Removes a directory, its lock last: when we are killed meanwhile, the rest is still known to be a dead simulator's.
fn remove(dir: &Path) {
    let remove = || {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        fs::remove_dir_all(dir)
    };
    match remove() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove `{}`, where simulated machines were: {error}; remove it yourself", dir.display());
        }
        _ => {}
    }
}

/// Removes the directories of dead simulators, and ends what runs in them.
fn sweep(base: &Path) {
    // What cannot be listed cannot be swept, and making a directory there tells why.
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if let Some((dir, _lock)) = taken(entry.path()) {
            end_processes(&dir);
            remove(&dir);
        }
    }
}

/// A directory of ours that no simulator holds, held by us from now on; nothing when it is anything else.
fn taken(path: PathBuf) -> Option<(PathBuf, File)> {
    let own = geteuid().as_raw();
    let dir = open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    if fstat(&dir).ok()?.st_uid != own {
        return None;
    }
    // It would wait for a writer, if it were a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(lock) = openat(&dir, LOCK, flags, Mode::empty()) else {
        // Its owner died before it had a lock, or is about to make one, and makes another directory then. With anything in it, this fails.
        let _ = fs::remove_dir(&path);
        return None;
    };
    let lock = File::from(lock);
    lock.try_lock().ok()?;
    Some((path, lock))
}

/// Ends the processes that say to run in a directory, and waits until they have ended.
fn end_processes(dir: &Path) {
    let is_inside = |mark: &Path| mark.starts_with(dir);
    // One that makes children while we look is found the next time.
    for _ in 0..3 {
        let found: Vec<OwnedFd> = plain::marked(is_inside);
        for process in &found {
            // It may have ended in between.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        for process in &found {
            // Nothing more can be done when it takes longer.
            let _ = rustix::event::poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&DEATH));
        }
        if found.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    /// A directory that a killed simulator has left: nobody holds its lock.
    fn dead(base: &Path, name: &str) -> PathBuf {
        // It has its name when it is complete: others sweep meanwhile.
        let (making, dir) = (base.join(format!("making-{name}")), base.join(name));
        fs::create_dir_all(making.join("boot-0/etc")).unwrap();
        fs::write(making.join("boot-0/etc/hostname"), "guest").unwrap();
        fs::write(making.join(LOCK), "").unwrap();
        fs::rename(making, &dir).unwrap();
        dir
    }

    fn names(base: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(base).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn sleeper(volatile: &Path) -> Child {
        Command::new("sleep").arg("60").env(plain::MARK, volatile).spawn().unwrap()
    }

    #[test]
    fn what_the_dead_left_goes_and_all_else_stays() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        let living = Place::below(base).unwrap();
        let stale = dead(base, "xrt-sim-stale");
        let mut left = sleeper(&stale.join("boot-0"));
        let mut neighbour = sleeper(&living.path().join("boot-0"));
        let mut like = sleeper(&base.join("xrt-sim-stale-not/boot-0"));
        fs::create_dir(base.join("xrt-sim-empty")).unwrap();
        fs::create_dir_all(base.join("xrt-sim-other/things")).unwrap();
        fs::create_dir(base.join("precious")).unwrap();
        fs::write(base.join("precious").join(LOCK), "").unwrap();
        symlink(base.join("precious"), base.join("xrt-sim-link")).unwrap();
        symlink(base.join("precious"), dead(base, "xrt-sim-within").join("link")).unwrap();
        fs::create_dir(base.join("xrt-sim-hostile")).unwrap();
        symlink(base.join("precious").join(LOCK), base.join("xrt-sim-hostile").join(LOCK)).unwrap();
        fs::write(base.join("xrt-sim-file"), "").unwrap();

        let next = Place::below(base).unwrap();
        assert_eq!(left.wait().unwrap().signal(), Some(9));
        let name = |place: &Place| place.path().file_name().unwrap().to_str().unwrap().to_string();
        let mut expected = vec!["precious".into(), name(&living), name(&next)];
        expected.extend(["xrt-sim-file", "xrt-sim-hostile", "xrt-sim-link", "xrt-sim-other"].map(String::from));
        expected.sort();
        assert_eq!(names(base), expected);
        assert_eq!(names(&base.join("precious")), [LOCK]);
        for child in [&mut neighbour, &mut like] {
            assert!(child.try_wait().unwrap().is_none(), "it is of no dead simulator");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn anothers_directory_stays() {
        let base = tempfile::tempdir().unwrap();
        let theirs = dead(base.path(), "xrt-sim-theirs");
        if std::os::unix::fs::chown(&theirs, Some(65534), None).is_err() {
            // Only root can give something away.
            return;
        }
        drop(Place::below(base.path()).unwrap());
        assert_eq!(names(base.path()), ["xrt-sim-theirs"]);
    }

    #[test]
    fn many_may_start_and_end_at_once() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for round in 0..20 {
                        dead(base, &format!("xrt-sim-{thread}-{round}"));
                        let place = Place::below(base).unwrap();
                        fs::write(place.path().join("mine"), "").unwrap();
                        sweep(base);
                        assert!(place.path().join("mine").exists(), "the living keep what is theirs");
                    }
                });
            }
        });
        sweep(base);
        assert_eq!(names(base), [""; 0]);
    }
}
