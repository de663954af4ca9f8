//! Files by SFTP: one job at a time, in blocks, so that commands get their turn in between.

use super::desk::Desk;
use super::fault::{Fault, is_broken, would_block};
use super::link::{Done, Refusal, Ticket, Work};
use super::sftp::SftpTurn;
use crate::error::{Error, Kind, Whereabouts};
use crate::wire::{Entry, EntryKind};
use ssh2::{ErrorCode, File, FileStat, OpenFlags, OpenType};
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes handed to libssh2 at a time. It has them under way in small packets, several at once.
const BLOCK: usize = 256 << 10;

/// Does a request that is about files.
pub(super) async fn run(desk: Rc<Desk>, ticket: Arc<Ticket>, work: Work) -> Result<Done, Fault> {
    let turn = SftpTurn::take(&desk, &ticket).await?;
    if ticket.is_abandoned() {
        return Err(Fault::Abandoned);
    }
    ticket.begin();
    let files = Files { desk: &desk, ticket: &ticket, _turn: turn };
    match work {
        Work::Read { path, limit } => files.read(&path, limit).await.map(Done::Bytes),
        Work::Write { path, data, mode } => files.write(&path, &data, mode).await,
        Work::Send { local, remote } => files.send(&local, &remote).await.map(Done::Count),
        Work::Fetch { remote, local } => files.fetch(&remote, &local).await.map(Done::Count),
        Work::Stat { path } => files.stat(&path).await.map(Done::Found),
        Work::List { path } => files.list(&path).await.map(Done::Entries),
        Work::MakeDir { path } => files.make_dir(&path).await,
        Work::Exec { .. } | Work::Knock => Err(Fault::NotBegun),
    }
}

struct Files<'a> {
    desk: &'a Rc<Desk>,
    ticket: &'a Ticket,
    _turn: SftpTurn,
}

impl Files<'_> {
    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Fault> {
        let mut data = Vec::new();
        let file = self.open(path, OpenFlags::READ, 0).await?;
        let copied = self
            .each_block(file, path, |block| {
                data.extend_from_slice(block);
                if data.len() as u64 > limit {
                    let what = format!("`{path}` is larger than {}", crate::unit::show_size(limit));
                    return Err(Error::new(Kind::Malformed, what).help("fetch it as a file, or read a part of it with `tail`"));
                }
                Ok(())
            })
            .await;
        copied.map(|_| data)
    }

    async fn fetch(&self, remote: &str, local: &Path) -> Result<u64, Fault> {
        let doing = format!("write `{}`", local.display());
        let mut file = self.open(remote, OpenFlags::READ, 0).await?;
        let stat = self.ask(remote, || file.stat()).await;
        let dir = local.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        // A file that came only in part is never seen under its name.
        let part = tempfile::NamedTempFile::new_in(dir).at(&doing);
        let (stat, mut part) = match (stat, part) {
            (Ok(stat), Ok(part)) => (stat, part),
            (Err(fault), _) => return Err(self.close_after(file, fault).await),
            (_, Err(error)) => return Err(self.close_after(file, Fault::Here(error)).await),
        };
        let bytes = self.each_block(file, remote, |block| part.write_all(block).at(&doing)).await?;
        let here = || -> Result<(), Error> {
            use std::os::unix::fs::PermissionsExt;
            let mode = 0o644 | stat.perm.unwrap_or(0) & 0o111;
            part.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).at(&doing)?;
            part.persist(local).map_err(|e| e.error).at(&doing)?;
            Ok(())
        };
        here().map_err(Fault::Here)?;
        Ok(bytes)
    }

    /// Reads a file to its end, and closes it whatever happens.
    async fn each_block(&self, mut file: File, path: &str, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<u64, Fault> {
        let mut total = 0;
        loop {
            let mut problem = Ok(());
            let read = self.read_block(&mut file, path, |block| problem = take(block)).await;
            let fault = match (read, problem) {
                (Ok(0), Ok(())) => break,
                (Ok(read), Ok(())) => {
                    total += read as u64;
                    self.desk.standing.step();
                    self.desk.pause(true).await;
                    if !self.ticket.is_abandoned() {
                        continue;
                    }
                    Fault::Abandoned
                }
                (_, Err(error)) => Fault::Here(error),
                (Err(fault), _) => fault,
            };
            return Err(self.close_after(file, fault).await);
        }
        self.close(file, path).await?;
        Ok(total)
    }

    async fn read_block(&self, file: &mut File, path: &str, take: impl FnOnce(&[u8])) -> Result<usize, Fault> {
        let mut take = Some(take);
        let desk = self.desk;
        self.ask(path, || {
            desk.with_buffer(BLOCK, |buffer| {
                let read = precise(desk, file.read(buffer))?;
                if let Some(take) = take.take() {
                    take(&buffer[..read]);
                }
                Ok(read)
            })
        })
        .await
    }

    async fn write(&self, path: &str, data: &[u8], mode: u32) -> Result<Done, Fault> {
        let mut rest = data;
        self.fill(path, mode, |block| {
            let (now, later) = rest.split_at(rest.len().min(BLOCK));
            block.extend_from_slice(now);
            rest = later;
            Ok(())
        })
        .await?;
        Ok(Done::Made)
    }

    async fn send(&self, local: &Path, remote: &str) -> Result<u64, Fault> {
        use std::os::unix::fs::PermissionsExt;
        let doing = format!("read `{}`", local.display());
        let (mut file, mode) = std::fs::File::open(local)
            .and_then(|file| file.metadata().map(|m| (file, m)))
            .and_then(|(file, m)| if m.is_dir() { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok((file, m)) })
            .map(|(file, m)| (file, m.permissions().mode() & 0o777))
            .at(&doing)
            .map_err(Fault::Here)?;
        self.fill(remote, mode, |block| {
            Read::by_ref(&mut file).take(BLOCK as u64).read_to_end(block).at(&doing)?;
            Ok(())
        })
        .await
    }

    /// Writes a file out of the blocks that `next` gives until it gives an empty one.
    async fn fill(&self, path: &str, mode: u32, mut next: impl FnMut(&mut Vec<u8>) -> Result<(), Error>) -> Result<u64, Fault> {
        let mut file = self.open(path, OpenFlags::WRITE | OpenFlags::TRUNCATE, mode).await?;
        if let Err(fault) = self.set_mode(&mut file, path, mode).await {
            return Err(self.close_after(file, fault).await);
        }
        let mut total = 0;
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            let fault = match next(&mut block) {
                Err(error) => Some(Fault::Here(error)),
                Ok(()) if block.is_empty() => break,
                Ok(()) => self.write_block(&mut file, path, &block).await.err(),
            };
            let fault = fault.or_else(|| self.ticket.is_abandoned().then_some(Fault::Abandoned));
            if let Some(fault) = fault {
                return Err(self.close_after(file, fault).await);
            }
            total += block.len() as u64;
        }
        self.close(file, path).await?;
        Ok(total)
    }

    async fn write_block(&self, file: &mut File, path: &str, mut block: &[u8]) -> Result<(), Fault> {
        let desk = self.desk;
        while !block.is_empty() {
            // The bytes that libssh2 has sent but not seen confirmed must be given to it again, from the first of them.
            let written = self.ask(path, || precise(desk, file.write(block))).await?;
            block = &block[written..];
            desk.standing.step();
            desk.pause(true).await;
        }
        Ok(())
    }

    /// The permission bits that were asked for, whatever the other side's umask made of them.
    async fn set_mode(&self, file: &mut File, path: &str, mode: u32) -> Result<(), Fault> {
        let now = self.ask(path, || file.stat()).await?;
        if !now.is_file() || now.perm.is_some_and(|perm| perm & 0o7777 == mode & 0o7777) {
            return Ok(());
        }
        let wanted = FileStat { size: None, uid: None, gid: None, perm: Some(mode & 0o7777), atime: None, mtime: None };
        self.ask(path, || file.setstat(wanted.clone())).await
    }

    async fn stat(&self, path: &str) -> Result<Option<Entry>, Fault> {
        match self.ask(path, || self.with_sftp(|sftp| sftp.stat(Path::new(path)))).await {
            Ok(stat) => Ok(Some(entry(Path::new(path), &stat))),
            Err(Fault::Refused(r)) if r.kind == Kind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>, Fault> {
        let mut dir =
            self.ask(path, || self.with_sftp(|s| s.open_mode(Path::new(path), OpenFlags::READ, 0, OpenType::Dir))).await?;
        let mut entries = Vec::new();
        loop {
            let next = self.ask(path, || match dir.readdir() {
                Err(e) if e.code() == ErrorCode::Session(-16) => Ok(None),
                other => other.map(Some),
            });
            match next.await {
                Ok(Some((name, stat))) if !matches!(name.to_str(), Some("." | "..")) => entries.push(entry(&name, &stat)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(fault) => return Err(self.close_after(dir, fault).await),
            }
            self.desk.standing.step();
            if self.ticket.is_abandoned() {
                return Err(self.close_after(dir, Fault::Abandoned).await);
            }
        }
        self.close(dir, path).await?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn make_dir(&self, path: &str) -> Result<Done, Fault> {
        let mut above: Vec<&Path> = Path::new(path).ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
        above.reverse();
        for dir in above {
            let shown = dir.to_string_lossy();
            match self.stat(&shown).await? {
                Some(entry) if entry.kind == EntryKind::Directory => continue,
                Some(_) => {
                    let why = format!("`{shown}` is in the way: it is no directory");
                    return Err(Fault::Refused(Refusal { kind: Kind::Refused, why, help: None }));
                }
                None => {}
            }
            let made = self.ask(&shown, || self.with_sftp(|sftp| sftp.mkdir(dir, 0o755))).await;
            if let Err(fault) = made {
                // Another may have been faster.
                let is_there = self.stat(&shown).await?.is_some_and(|e| e.kind == EntryKind::Directory);
                if !is_there {
                    return Err(fault);
                }
            }
        }
        Ok(Done::Made)
    }

    async fn open(&self, path: &str, flags: OpenFlags, mode: u32) -> Result<File, Fault> {
        let mode = i32::try_from(mode & 0o7777).unwrap_or(0o644);
        self.ask(path, || self.with_sftp(|sftp| sftp.open_mode(Path::new(path), flags, mode, OpenType::File))).await
    }

    fn with_sftp<T>(&self, work: impl FnOnce(&ssh2::Sftp) -> Result<T, ssh2::Error>) -> Result<T, ssh2::Error> {
        match &*self.desk.sftp.borrow() {
            Some(sftp) => work(sftp),
            None => Err(ssh2::Error::from_errno(ErrorCode::Session(-39))),
        }
    }

    /// An open file must not just be dropped: the crate would then wait for the server, and everybody with it.
    async fn close(&self, mut file: File, path: &str) -> Result<(), Fault> {
        self.ask(path, || file.close()).await
    }

    async fn close_after(&self, file: File, fault: Fault) -> Fault {
        match self.close(file, "").await {
            Err(lost @ Fault::Lost(_)) => lost,
            _ => fault,
        }
    }

    /// Calls until it is answered, and tells a refusal with its path.
    async fn ask<T>(&self, path: &str, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Fault> {
        let answer = self
            .desk
            .finish(|| match call().map_err(|e| self.desk.only_sftp(e)) {
                Err(e) if !would_block(&e) && !is_broken(&e) => Ok(Err(e)),
                other => other.map(Ok),
            })
            .await?;
        answer.map_err(|e| Fault::Refused(refusal(&e, path)))
    }
}

/// The crate speaks in `io::Error` where it reads and writes; the server's code is left in its words only.
fn precise<T>(desk: &Desk, result: std::io::Result<T>) -> Result<T, ssh2::Error> {
    let words = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    desk.own(result).map_err(|e| match e.code() {
        ErrorCode::Session(-31) => ssh2::Error::from_errno(ErrorCode::SFTP(match words.as_str() {
            "permission denied" => 3,
            "no space on filesystem" | "quota exceeded" => 14,
            _ => 4,
        })),
        _ => e,
    })
}

fn refusal(error: &ssh2::Error, path: &str) -> Refusal {
    let (kind, why, help) = match error.code() {
        ErrorCode::SFTP(2 | 10) => (Kind::NotFound, format!("no file `{path}`"), None),
        ErrorCode::SFTP(3 | 12) => (Kind::Refused, format!("no permission for `{path}`"), None),
        ErrorCode::SFTP(14 | 15) => (Kind::Refused, format!("no space left for `{path}`"), None),
        // The code that servers use for everything the protocol has no code for.
        ErrorCode::SFTP(4) => (
            Kind::Refused,
            format!("`{path}` cannot be used: the server says only \"failure\""),
            Some("is it a directory, is the disk full or read-only?".to_string()),
        ),
        _ => (Kind::Refused, format!("`{path}`: {}", error.message()), None),
    };
    Refusal { kind, why, help }
}

fn entry(path: &Path, stat: &FileStat) -> Entry {
    let kind = match stat.file_type() {
        ssh2::FileType::RegularFile => EntryKind::File,
        ssh2::FileType::Directory => EntryKind::Directory,
        ssh2::FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    };
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    Entry {
        name: name.into_owned(),
        kind,
        size: stat.size.unwrap_or(0),
        mode: stat.perm.unwrap_or(0) & 0o7777,
        modified: stat.mtime.unwrap_or(0),
    }
}
