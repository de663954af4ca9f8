//! A guest in the hands of a test: over each way to reach a machine, with all that it told.

use super::sshd::Options;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xenrt::context::Context;
use xenrt::error::{Error, Kind, Result};
use xenrt::event::{ActionEnd, Bus, Collector, Fact, Level, Stream};
use xenrt::lab::{Access, Guest, Place};
use xenrt::name::CaseId;
use xenrt::secret::Mask;
use xenrt::time::Cancel;
use xenrt::wire::local::Local;
use xenrt::wire::{Command, Entry, Output, Transport};

/// A guest, and where its files are.
pub struct Bench {
    pub guest: Guest,
    /// An empty directory of this machine.
    pub remote: String,
    /// The testcase's directory.
    pub local: PathBuf,
    address: String,
    told: Collector,
    bus: Bus,
    stream: Stream,
    dirs: Vec<tempfile::TempDir>,
}

/// Runs a check over every way to reach a machine: this machine itself, the smallest set of tools, and a real sshd.
pub fn each(check: impl Fn(&Bench)) {
    eprintln!("over this machine itself");
    check(&Bench::local());
    if let Some((bench, _)) = Bench::tiny() {
        eprintln!("over busybox alone");
        check(&bench);
    }
    if let Some(sshd) = Options::default().root().start() {
        eprintln!("over sshd");
        check(&Bench::new("sshd", &format!("127.0.0.1:{}", sshd.port), Arc::new(sshd.ssh())));
    }
}

fn here() -> Arc<dyn Transport> {
    Arc::new(Local::new())
}

impl Bench {
    pub fn new(name: &str, address: &str, transport: Arc<dyn Transport>) -> Bench {
        Bench::made(name, address, transport, 1.0)
    }

    fn made(name: &str, address: &str, transport: Arc<dyn Transport>, patience: f64) -> Bench {
        let dirs = vec![tempfile::Builder::new().prefix("remote.").tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let told = Collector::default();
        let (bus, stream) = Bus::start(Box::new(told.clone()), Vec::new(), Mask::default(), |_| ()).unwrap();
        let case = CaseId::new("c");
        let local = dirs[1].path().join(case.directory());
        let context = Context::new(bus.clone(), Some(case), local.clone(), Cancel::new());
        let guest = Guest::new(Arc::new(Place::new(name, address.parse().unwrap(), transport, patience)), context);
        Bench {
            guest,
            address: address.to_string(),
            remote: dirs[0].path().to_str().unwrap().to_string(),
            local,
            told,
            bus,
            stream,
            dirs,
        }
    }

    /// The same machine in the hands of another testcase that begins now.
    pub fn again(&self) -> Bench {
        Bench::at(self.guest.name(), self.address.as_str())
    }

    /// Over this machine itself.
    pub fn local() -> Bench {
        Bench::new("here", "local", here())
    }

    /// Over this machine, with a tenth of the usual patience.
    pub fn impatient() -> Bench {
        Bench::made("here", "local", here(), 0.1)
    }

    /// Over a machine whose commands are those of busybox and what the test puts beside them, in the directory returned. Nothing
    /// where there is no busybox.
    pub fn tiny() -> Option<(Bench, PathBuf)> {
        let shells = tempfile::tempdir().unwrap();
        let busybox = Busybox::install(shells.path(), here())?;
        let mut bench = Bench::new("tiny", "local", Arc::new(busybox));
        let tools = shells.path().to_path_buf();
        bench.dirs.push(shells);
        Some((bench, tools))
    }

    /// Over a machine of an address, as `--guest` has it, reached by SSH.
    pub fn at(name: &str, address: &str) -> Bench {
        let transport = Access::default().transport(&address.parse().unwrap());
        Bench::new(name, address, transport)
    }

    /// Over a machine that never answers.
    pub fn silent() -> Bench {
        Bench::new("silent", "silent", Arc::new(Silent))
    }

    /// Everything told so far.
    pub fn facts(&self) -> Vec<Fact> {
        self.bus.flush();
        self.told.facts()
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |f| match f {
            Fact::Logged { level: Level::Warning, text } => Some(text),
            _ => None,
        };
        self.facts().into_iter().filter_map(warning).collect()
    }

    /// What was done, with what it said of its end.
    pub fn told(&self) -> Vec<String> {
        let facts = self.facts();
        let started = |number: u64| {
            facts.iter().find_map(|f| match f {
                Fact::ActionStarted { action, what, .. } if *action == number => Some(what.clone()),
                _ => None,
            })
        };
        let told = facts.iter().filter_map(|f| match f {
            Fact::ActionFinished { action, end: ActionEnd::Ok(said) | ActionEnd::Failed(said), .. } => Some((*action, said)),
            _ => None,
        });
        told.map(|(number, said)| format!("{}: {said}", started(number).unwrap())).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let errors = self.stream.close();
        assert!(errors.is_empty() || std::thread::panicking(), "{errors:?}");
    }
}

/// A transport whose commands see busybox and nothing else: as in the smallest guests.
struct Busybox {
    inner: Arc<dyn Transport>,
    tools: PathBuf,
}

impl Busybox {
    fn install(dir: &Path, inner: Arc<dyn Transport>) -> Option<Busybox> {
        let status = std::process::Command::new("busybox").args(["--install", "-s"]).arg(dir).status();
        if !status.is_ok_and(|s| s.success()) {
            eprintln!("SKIPPED: no busybox here: its shell and tools are not checked");
            return None;
        }
        Some(Busybox { inner, tools: dir.to_path_buf() })
    }
}

impl Transport for Busybox {
    fn machine(&self) -> &str {
        self.inner.machine()
    }
    fn exec(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        let tools = self.tools.display();
        let text = format!("PATH={tools} exec {tools}/sh -c {}", shlex::try_quote(&command.text).unwrap());
        self.inner.exec(&Command { text, ..command.clone() }, cancel)
    }
    fn read_file(&self, path: &str, limit: u64, cancel: &Cancel) -> Result<Vec<u8>> {
        self.inner.read_file(path, limit, cancel)
    }
    fn write_file(&self, path: &str, data: &[u8], mode: u32, cancel: &Cancel) -> Result<()> {
        self.inner.write_file(path, data, mode, cancel)
    }
    fn send(&self, local: &Path, remote: &str, cancel: &Cancel) -> Result<u64> {
        self.inner.send(local, remote, cancel)
    }
    fn fetch(&self, remote: &str, local: &Path, cancel: &Cancel) -> Result<u64> {
        self.inner.fetch(remote, local, cancel)
    }
    fn stat(&self, path: &str, cancel: &Cancel) -> Result<Option<Entry>> {
        self.inner.stat(path, cancel)
    }
    fn list(&self, path: &str, cancel: &Cancel) -> Result<Vec<Entry>> {
        self.inner.list(path, cancel)
    }
    fn make_dir(&self, path: &str, cancel: &Cancel) -> Result<()> {
        self.inner.make_dir(path, cancel)
    }
    fn hang_up(&self) {
        self.inner.hang_up();
    }
}

/// A machine that never answers.
struct Silent;

fn silence<T>() -> Result<T> {
    Err(Error::new(Kind::Unreachable, "no route to silent"))
}

impl Transport for Silent {
    fn machine(&self) -> &str {
        "silent"
    }
    fn exec(&self, _: &Command, _: &Cancel) -> Result<Output> {
        silence()
    }
    fn read_file(&self, _: &str, _: u64, _: &Cancel) -> Result<Vec<u8>> {
        silence()
    }
    fn write_file(&self, _: &str, _: &[u8], _: u32, _: &Cancel) -> Result<()> {
        silence()
    }
    fn send(&self, _: &Path, _: &str, _: &Cancel) -> Result<u64> {
        silence()
    }
    fn fetch(&self, _: &str, _: &Path, _: &Cancel) -> Result<u64> {
        silence()
    }
    fn stat(&self, _: &str, _: &Cancel) -> Result<Option<Entry>> {
        silence()
    }
    fn list(&self, _: &str, _: &Cancel) -> Result<Vec<Entry>> {
        silence()
    }
    fn make_dir(&self, _: &str, _: &Cancel) -> Result<()> {
        silence()
    }
    fn hang_up(&self) {}
}
