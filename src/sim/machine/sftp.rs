//! SFTP, version 3: a machine's files.

use super::boot::Boot;
use super::view::{Change, View};
use russh::Channel;
use russh::server::Msg;
use russh_sftp::protocol::{
    Attrs, Data, File as Named, FileAttributes, Handle as Opened, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::StatusReply;
use rustix::fs::{Mode, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Names told at a time.
const NAMES: usize = 128;

/// No more bytes are read at a time: a packet has a limit.
const MOST: u32 = 250 << 10;

/// No more may be open at a time on one channel.
const MOST_OPEN: usize = 256;

/// Serves the files of a machine on a channel.
pub(super) async fn run(boot: Arc<Boot>, channel: Channel<Msg>) {
    match boot.view().await {
        Ok(view) => russh_sftp::server::run(channel.into_stream(), Files { view, open: HashMap::new(), next: 0 }).await,
        Err(error) => tracing::warn!("{}: no files: {error}", boot.spec().name),
    }
}

struct Files {
    view: View,
    open: HashMap<String, Open>,
    next: u64,
}

/// What a client has open.
enum Open {
    File { file: File, appends: bool },
    Dir(Vec<(OsString, Stat)>),
}

type Answer<T> = Result<T, StatusReply>;

fn refusal(error: &io::Error) -> StatusReply {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StatusCode::PermissionDenied,
        io::ErrorKind::UnexpectedEof => StatusCode::Eof,
        io::ErrorKind::Unsupported => StatusCode::OpUnsupported,
        _ => StatusCode::Failure,
    };
    StatusReply { status_code: code, error_message: Some(code.to_string()), language_tag: None }
}

fn done(id: u32, result: io::Result<()>) -> Answer<Status> {
    result.map_err(|error| refusal(&error))?;
    Ok(Status { id, status_code: StatusCode::Ok, error_message: "Ok".into(), language_tag: "en-US".into() })
}

fn attributes(stat: &Stat) -> FileAttributes {
    FileAttributes {
        size: u64::try_from(stat.st_size).ok(),
        uid: Some(stat.st_uid),
        gid: Some(stat.st_gid),
        permissions: Some(stat.st_mode),
        atime: u32::try_from(stat.st_atime).ok(),
        mtime: u32::try_from(stat.st_mtime).ok(),
        ..FileAttributes::default()
    }
}

fn change(attributes: &FileAttributes) -> Change {
    Change {
        size: attributes.size,
        mode: attributes.permissions,
        owner: attributes.uid.zip(attributes.gid),
        times: attributes.atime.zip(attributes.mtime),
    }
}

/// A path as the machine means it: what is not absolute begins at root's home.
fn absolute(path: &str) -> PathBuf {
    let mut whole = PathBuf::from("/");
    for part in Path::new("/root").join(path).components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => drop(whole.pop()),
            _ => {}
        }
    }
    whole
}

fn mode(attributes: &FileAttributes, usual: u32) -> Mode {
    Mode::from_raw_mode(attributes.permissions.unwrap_or(usual) & 0o7777)
}

impl Files {
    fn keep(&mut self, id: u32, open: Open) -> Answer<Opened> {
        if self.open.len() >= MOST_OPEN {
            return Err(refusal(&io::Error::other("too many open files")));
        }
        self.next += 1;
        let handle = self.next.to_string();
        self.open.insert(handle.clone(), open);
        Ok(Opened { id, handle })
    }

    fn file(&self, handle: &str) -> Answer<(&File, bool)> {
        match self.open.get(handle) {
            Some(Open::File { file, appends }) => Ok((file, *appends)),
            _ => Err(refusal(&io::ErrorKind::InvalidInput.into())),
        }
    }

    fn name(id: u32, path: &Path) -> Name {
        Name { id, files: vec![Named::dummy(path.to_string_lossy())] }
    }
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        refusal(&io::ErrorKind::Unsupported.into())
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Answer<Version> {
        let mut version = Version::new();
        version.extensions.insert(RENAME.into(), "1".into());
        Ok(version)
    }

    async fn open(&mut self, id: u32, path: String, flags: OpenFlags, attributes: FileAttributes) -> Answer<Opened> {
        let has = |flag| flags.contains(flag);
        let mut how = match (has(OpenFlags::READ), has(OpenFlags::WRITE) || has(OpenFlags::APPEND)) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        for (flag, meaning) in [
            (OpenFlags::CREATE, OFlags::CREATE),
            (OpenFlags::TRUNCATE, OFlags::TRUNC),
            (OpenFlags::EXCLUDE, OFlags::EXCL),
            (OpenFlags::APPEND, OFlags::APPEND),
        ] {
            how.set(meaning, has(flag));
        }
        let path = absolute(&path);
        let file = self.view.open_file(&path, how, mode(&attributes, 0o644)).map_err(|e| refusal(&e))?;
        let is_dir = file.metadata().is_ok_and(|meta| meta.is_dir());
        if is_dir {
            return Err(refusal(&io::ErrorKind::IsADirectory.into()));
        }
        self.keep(id, Open::File { file, appends: has(OpenFlags::APPEND) })
    }

    async fn close(&mut self, id: u32, handle: String) -> Answer<Status> {
        let closed = self.open.remove(&handle);
        done(id, closed.map(drop).ok_or_else(|| io::ErrorKind::InvalidInput.into()))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Answer<Data> {
        let (file, _) = self.file(&handle)?;
        let mut data = vec![0; len.min(MOST) as usize];
        let read = match file.read_at(&mut data, offset) {
            // A file of the kernel has no places: it is read from its beginning.
            Err(error) if error.raw_os_error() == Some(29) && offset == 0 => io::Read::read(&mut &*file, &mut data),
            other => other,
        };
        match read.map_err(|error| refusal(&error))? {
            0 => Err(refusal(&io::ErrorKind::UnexpectedEof.into())),
            read => {
                data.truncate(read);
                Ok(Data { id, data })
            }
        }
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Answer<Status> {
        let (mut file, appends) = self.file(&handle)?;
        let written = match appends {
            true => io::Write::write_all(&mut file, &data),
            false => match file.write_all_at(&data, offset) {
                Err(error) if error.raw_os_error() == Some(29) => io::Write::write_all(&mut file, &data),
                other => other,
            },
        };
        done(id, written)
    }

    async fn lstat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        let stat = self.view.lstat(&absolute(&path)).map_err(|e| refusal(&e))?;
        Ok(Attrs { id, attrs: attributes(&stat) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        let stat = self.view.stat(&absolute(&path)).map_err(|e| refusal(&e))?;
        Ok(Attrs { id, attrs: attributes(&stat) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Answer<Attrs> {
        let (file, _) = self.file(&handle)?;
        let stat = rustix::fs::fstat(file).map_err(|e| refusal(&e.into()))?;
        Ok(Attrs { id, attrs: attributes(&stat) })
    }

    async fn setstat(&mut self, id: u32, path: String, attributes: FileAttributes) -> Answer<Status> {
        done(id, self.view.set(&absolute(&path), &change(&attributes)))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attributes: FileAttributes) -> Answer<Status> {
        let (file, _) = self.file(&handle)?;
        done(id, change(&attributes).apply(file))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Answer<Opened> {
        let entries = self.view.list(&absolute(&path)).map_err(|e| refusal(&e))?;
        self.keep(id, Open::Dir(entries))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Answer<Name> {
        let Some(Open::Dir(entries)) = self.open.get_mut(&handle) else {
            return Err(refusal(&io::ErrorKind::InvalidInput.into()));
        };
        if entries.is_empty() {
            return Err(refusal(&io::ErrorKind::UnexpectedEof.into()));
        }
        let some = entries.drain(..entries.len().min(NAMES));
        let files = some.map(|(name, stat)| Named::new(name.to_string_lossy(), attributes(&stat))).collect();
        Ok(Name { id, files })
    }

    async fn remove(&mut self, id: u32, path: String) -> Answer<Status> {
        done(id, self.view.remove(&absolute(&path), false))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Answer<Status> {
        done(id, self.view.remove(&absolute(&path), true))
    }

    async fn mkdir(&mut self, id: u32, path: String, attributes: FileAttributes) -> Answer<Status> {
        done(id, self.view.make_dir(&absolute(&path), mode(&attributes, 0o755)))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Answer<Name> {
        Ok(Files::name(id, &absolute(&path)))
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Answer<Status> {
        done(id, self.view.rename(&absolute(&from), &absolute(&to), false))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Answer<Name> {
        let target = self.view.read_link(&absolute(&path)).map_err(|e| refusal(&e))?;
        Ok(Files::name(id, &target))
    }

    async fn symlink(&mut self, id: u32, target: String, link: String) -> Answer<Status> {
        // OpenSSH has the two in the other order than the protocol says, and every client follows it.
        done(id, self.view.make_link(&absolute(&link), &target))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Answer<Packet> {
        if request != RENAME {
            return Err(self.unimplemented());
        }
        let paths = two_texts(&data).ok_or_else(|| refusal(&io::ErrorKind::InvalidInput.into()))?;
        done(id, self.view.rename(&absolute(&paths.0), &absolute(&paths.1), true)).map(Packet::Status)
    }
}

/// Renames over what stands there, as `rename(2)`.
const RENAME: &str = "posix-rename@openssh.com";

/// Two texts, each after its length.
fn two_texts(data: &[u8]) -> Option<(String, String)> {
    let one = |data: &[u8]| -> Option<(String, usize)> {
        let length = u32::from_be_bytes(data.get(..4)?.try_into().ok()?) as usize;
        let text = data.get(4..4 + length)?;
        Some((String::from_utf8(text.to_vec()).ok()?, 4 + length))
    };
    let (first, used) = one(data)?;
    let (second, _) = one(data.get(used..)?)?;
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_home_and_never_lead_above_the_root() {
        for (path, whole) in [("", "/root"), (".", "/root"), ("a/b", "/root/a/b"), ("/x/../../../y", "/y"), ("..", "/"), ("/", "/")]
        {
            assert_eq!(absolute(path), Path::new(whole), "{path}");
        }
    }

    #[test]
    fn hostile_lengths_are_no_texts() {
        assert_eq!(two_texts(b"\0\0\0\x01a\0\0\0\x01b"), Some(("a".into(), "b".into())));
        for odd in [&b""[..], b"\0\0", b"\xff\xff\xff\xffa", b"\0\0\0\x01a", b"\0\0\0\x01a\0\0\0\x02b"] {
            assert_eq!(two_texts(odd), None, "{odd:?}");
        }
    }
}
