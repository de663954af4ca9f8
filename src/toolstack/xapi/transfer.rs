//! What goes over plain HTTP beside the calls: images of guests, pictures of consoles.

use super::calls::{self, Call, Console, Task};
use super::record::VmRecord;
use super::session::{Standing, Xapi};
use super::task::bound;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::toolstack::{Class, Ref, Watch};
use crate::wire::http::{Answer, Fault, Http};
use serde_json::Value;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// How often a download may be sent to another host.
const HOPS: u32 = 2;

/// How long a task may take to say why its transfer broke.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The longest picture.
const PICTURE: usize = 16 << 20;

impl Xapi {
    pub(super) fn export(&self, guest: &Ref, to: &mut (dyn Write + Send), watch: Watch<'_>) -> Result<u64> {
        let call = named("VM.export");
        let cancel = bound(watch, &call);
        let standing = self.enter(&cancel)?;
        let task: String = self.ask(&calls::task_create("export", "an image of a guest, for a test"), &cancel)?;
        let path = format!("/export?session_id={}&task_id={task}&ref={}", standing.session, guest.id);
        let mut count = 0;
        let sent = self.download(&standing.server, path, &mut Counted(to, &mut count), &cancel);
        let ended = self.settle(&task, sent, &call, &cancel, watch.progress);
        ended.map(|_| count)
    }

    pub(super) fn import(
        &self,
        from: &mut (dyn Read + Send),
        bytes: Option<u64>,
        sr: Option<&Ref>,
        watch: Watch<'_>,
    ) -> Result<Ref> {
        let Some(bytes) = bytes else {
            // A pool wants to know the length of what comes.
            let failed = |e: std::io::Error| {
                Error::new(Kind::Refused, format!("an image cannot be kept while it is sent: {e}")).blame(Blame::User)
            };
            let mut file = tempfile::tempfile().map_err(failed)?;
            let bytes = std::io::copy(from, &mut file).map_err(failed)?;
            std::io::Seek::rewind(&mut file).map_err(failed)?;
            return self.import(&mut file, Some(bytes), sr, watch);
        };
        let call = named("VM.import");
        let cancel = bound(watch, &call);
        let standing = self.enter(&cancel)?;
        let server = self.owner_of(sr, &standing, watch)?;
        let task: String = self.ask(&calls::task_create("import", "a guest from an image, for a test"), &cancel)?;
        let place = sr.map(|sr| format!("&sr_id={}", sr.id)).unwrap_or_default();
        let path = format!("/import?session_id={}&task_id={task}{place}", standing.session);
        let told = |sent: u64| (watch.progress)(0.9 * sent as f64 / bytes.max(1) as f64);
        let sent = server.put(&path, from, bytes, &told, &cancel).and_then(|answer| judged(&server, answer));
        let made = self.settle(&task, sent.map(drop), &call, &cancel, watch.progress)?;
        let made = made.into_iter().next().ok_or_else(|| {
            Error::new(Kind::Malformed, format!("there is no guest in the image, says {}", self.machine())).blame(Blame::Product)
        })?;
        Ok(Ref::new(Class::Guest, made))
    }

    /// The end of a transfer: what its task says of it comes before what the connection says.
    fn settle(
        &self,
        task: &str,
        sent: Result<(), Fault>,
        call: &Call,
        cancel: &Cancel,
        progress: &dyn Fn(f64),
    ) -> Result<Vec<String>> {
        let ended = match sent {
            Ok(()) => self.follow(task, call, cancel, progress),
            Err(Fault::Stopped(error) | Fault::Unconnected(error)) => Err(self.abandon(task, error)),
            Err(Fault::Broken(error)) if error.kind == Kind::Unsupported => Err(self.abandon(task, error)),
            Err(fault) => {
                let own = cancel.child_with_limit("end of a task", LAST_WORDS);
                Err(match self.follow(task, call, &own, progress) {
                    Err(words) if words.details.is_some() && !own.is_raised() => words,
                    _ => fault.error(),
                })
            }
        };
        self.sweep(task);
        ended
    }

    /// Cancels a task that nothing more will come for.
    fn abandon(&self, task: &str, error: Error) -> Error {
        let own = Cancel::new().child_with_limit("cancelling of a task", LAST_WORDS);
        let _ = self.ask::<Value>(&calls::task_cancel(Task(task)), &own);
        error
    }

    /// Reads from a server, or from where it says that one should.
    fn download(&self, server: &Arc<Http>, mut path: String, to: &mut dyn Write, cancel: &Cancel) -> Result<(), Fault> {
        let mut server = server.clone();
        for _ in 0..=HOPS {
            let answer = server.get(&path, to, &|_| (), cancel)?;
            let Some((origin, rest)) = answer.location.as_deref().filter(|_| (301..=308).contains(&answer.status)).and_then(parts)
            else {
                return judged(&server, answer).map(drop);
            };
            server = Arc::new(self.elsewhere(origin.to_string()).map_err(Fault::Broken)?);
            path = rest.to_string();
        }
        let what = format!("{} sends from one host to the next", self.machine());
        Err(Fault::Broken(Error::new(Kind::Malformed, what).blame(Blame::Product)))
    }

    /// The host that has an SR which only one has, else the coordinator.
    fn owner_of(&self, sr: Option<&Ref>, standing: &Standing, watch: Watch<'_>) -> Result<Arc<Http>> {
        let Some(sr) = sr else { return Ok(standing.server.clone()) };
        let sr = self.read_sr(sr, watch)?;
        let Some(plug) = sr.plugs.iter().find(|plug| plug.is_attached).filter(|_| !sr.is_shared) else {
            return Ok(standing.server.clone());
        };
        let origin = self.address().at(&self.read_host(&plug.host, watch)?.address)?;
        if origin == standing.server.origin() || plug.host == self.read_pool(watch)?.master {
            return Ok(standing.server.clone());
        }
        self.elsewhere(origin).map(Arc::new)
    }

    pub(super) fn picture(&self, guest: &Ref, watch: Watch<'_>) -> Result<(Vec<u8>, &'static str)> {
        #[derive(serde::Deserialize)]
        struct ConsoleRecord {
            protocol: String,
        }
        let call = named("console");
        let cancel = bound(watch, &call);
        let record: VmRecord = self.ask(&calls::vm_get_record(guest.into()), &cancel)?;
        let mut screen = None;
        for id in &record.consoles {
            let console: ConsoleRecord = self.ask(&calls::console_get_record(Console(id)), &cancel)?;
            if console.protocol.eq_ignore_ascii_case("rfb") {
                screen = Some(id);
            }
        }
        let none = || Error::new(Kind::Unsupported, "the guest has no console with a picture").blame(Blame::User);
        let screen = screen.ok_or_else(none)?;
        let standing = self.enter(&cancel)?;
        let path = format!("/vncsnapshot?session_id={}&ref={screen}", standing.session);
        let mut picture = Bounded(Vec::new());
        match self.download(&standing.server, path, &mut picture, &cancel) {
            Ok(()) => {}
            Err(Fault::Broken(error)) if matches!(error.kind, Kind::Refused | Kind::Unsupported) => {
                return Err(none().because(error));
            }
            Err(fault) => return Err(fault.error()),
        }
        match picture.0.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => Ok((picture.0, "png")),
            [0xff, 0xd8, ..] => Ok((picture.0, "jpg")),
            _ => {
                Err(Error::new(Kind::Malformed, format!("{} gave no picture of the console", self.machine())).blame(Blame::Product))
            }
        }
    }
}

/// A name for what is no call.
fn named(name: &str) -> Call {
    Call::any(name, &[])
}

/// Any status but 200 is an error.
fn judged(server: &Http, answer: Answer) -> Result<Answer, Fault> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let what = format!("{} answered with HTTP status {}", server.machine(), answer.status);
    // There is nothing under that path.
    let kind = if [404, 405, 501].contains(&answer.status) { Kind::Unsupported } else { Kind::Refused };
    Err(Fault::Broken(Error::new(kind, what).blame(if kind == Kind::Unsupported { Blame::Lab } else { Blame::Product })))
}

/// Origin and path of a URL.
fn parts(url: &str) -> Option<(&str, &str)> {
    let start = url.find("://")? + 3;
    let end = start + url[start..].find('/')?;
    Some((&url[..end], &url[end..]))
}

struct Counted<'a>(&'a mut (dyn Write + Send), &'a mut u64);

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes)?;
        *self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > PICTURE {
            return Err(std::io::Error::other("a picture is not that large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_has_an_origin_and_a_path() {
        assert_eq!(parts("https://h1:8443/export?ref=1"), Some(("https://h1:8443", "/export?ref=1")));
        assert_eq!(parts("/export"), None);
        assert_eq!(parts("https://h1"), None);
    }
}
