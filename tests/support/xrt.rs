//! `xrt` itself as a person runs it: the real program in a directory of its own, with nothing of the surroundings let in.
//!
//! ```text
//! let ran = Xrt::new().script("a.rhai", r#"fn run(args) { fail("why"); }"#).arg("--no-logs").run().ends(1);
//! assert_eq!(ran.reason("a"), "why");
//! ```

use super::{poll, process};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use tempfile::TempDir;
use xenrt::event::log::LogReader;
use xenrt::event::{Event, Fact, Failure, Outcome};
use xenrt::name::CaseId;
use xenrt::report::Summary;

/// A command line of `xrt` in the making, and the directory it is given in.
#[derive(Clone)]
pub struct Xrt {
    program: &'static str,
    dir: Rc<TempDir>,
    testcases: Vec<OsString>,
    args: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Option<String>,
}

impl Xrt {
    /// An empty directory, and an environment with only what any program needs.
    pub fn new() -> Xrt {
        let dir = TempDir::with_prefix("xrt-test-").unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let home = dir.path().join("home").into_os_string();
        let state = dir.path().join("home/state").into_os_string();
        let path = std::env::var_os("PATH").unwrap_or_default();
        // A site that this machine may have settings of is none of a test's.
        let site = "/dev/null".into();
        let environment =
            [("HOME", home), ("XDG_STATE_HOME", state), ("XRT_SITE_CONFIG", site), ("PATH", path), ("TZ", "UTC".into())];
        Xrt {
            program: env!("CARGO_BIN_EXE_xrt"),
            dir: Rc::new(dir),
            testcases: Vec::new(),
            args: Vec::new(),
            environment: environment.map(|(name, value)| (name.into(), value)).into(),
            stdin: None,
        }
    }

    /// The same directory and environment, for another program.
    pub fn of(self, program: &'static str) -> Xrt {
        Xrt { program, ..self }
    }

    /// Where it runs; relative paths begin here.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file there, and the directories above it.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Xrt {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Puts a script there and runs it.
    pub fn script(self, name: &str, text: &str) -> Xrt {
        self.file(name, text).testcase(name)
    }

    /// Puts an executable there.
    pub fn executable(self, name: &str, text: impl AsRef<[u8]>) -> Xrt {
        let xrt = self.file(name, text);
        fs::set_permissions(xrt.dir().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        xrt
    }

    /// Puts an executable there and runs it.
    pub fn program(self, name: &str, text: impl AsRef<[u8]>) -> Xrt {
        self.executable(name, text).testcase(&format!("./{name}"))
    }

    /// Runs a testcase (`--testcase`).
    pub fn testcase(mut self, reference: &str) -> Xrt {
        self.testcases.extend(["--testcase".into(), reference.into()]);
        self
    }

    /// A word of the command line, after the testcases.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Xrt {
        self.args.push(word.as_ref().to_owned());
        self
    }

    /// Words of the command line, split at spaces.
    pub fn args(mut self, words: &str) -> Xrt {
        self.args.extend(words.split_whitespace().map(OsString::from));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Xrt {
        self.environment.insert(name.into(), value.as_ref().to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Xrt {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// What it reads; nothing otherwise.
    pub fn stdin(mut self, text: &str) -> Xrt {
        self.stdin = Some(text.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().wait()
    }

    /// Starts it. It is killed when it is dropped, or when the tests end before it.
    pub fn start(self) -> Running {
        let mut command = process::tied(self.program);
        command.args(&self.testcases).args(&self.args).current_dir(self.dir());
        command.env_clear().envs(&self.environment);
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::spawn(command).unwrap();
        if let (Some(text), Some(mut pipe)) = (self.stdin.clone(), child.stdin.take()) {
            // A program that does not read to the end is no fault of the test.
            std::thread::spawn(move || std::io::Write::write_all(&mut pipe, text.as_bytes()).ok());
        }
        let stdout = Some(collect(child.stdout.take().unwrap()));
        let stderr = Some(collect(child.stderr.take().unwrap()));
        Running { xrt: self, child, stdout, stderr }
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).ok();
        all
    })
}

/// `xrt` while it runs.
pub struct Running {
    xrt: Xrt,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it runs.
    pub fn dir(&self) -> &Path {
        self.xrt.dir()
    }

    /// Another command in the same directory and environment, while this one runs.
    pub fn beside(&self) -> Xrt {
        Xrt { testcases: Vec::new(), args: Vec::new(), ..self.xrt.clone() }
    }

    /// Waits until its event log has a fact of this sort.
    pub fn until(&mut self, what: &str, is: impl Fn(&Fact) -> bool) {
        self.until_event(what, |event| is(&event.fact));
    }

    /// Waits until its event log has such an event.
    pub fn until_event(&mut self, what: &str, is: impl Fn(&Event) -> bool) {
        self.until_count(what, 1, is);
    }

    /// Waits until its event log has so many of them.
    pub fn until_count(&mut self, what: &str, count: usize, is: impl Fn(&Event) -> bool) {
        let seen = poll::until(poll::patience(), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("xrt ended ({status}) before {what}");
            }
            newest_log(self.dir()).is_some_and(|log| events_of(&log).iter().filter(|e| is(e)).count() >= count).then_some(())
        });
        seen.unwrap_or_else(|why| panic!("{what}: {why}"));
    }

    /// Waits until its event log has a line with this text, whatever its level.
    pub fn until_said(&mut self, wanted: &str) {
        self.until(wanted, |fact| matches!(fact, Fact::Logged { text, .. } if text == wanted));
    }

    /// Kills it (KILL) as soon as its event log has so many events, unless it ends before. What the log then holds.
    pub fn killed_after(mut self, events: usize) -> Ran {
        let is_time = |running: &mut Running| {
            let log = newest_log(running.dir()).map(|log| events_of(&log).len());
            running.child.try_wait().unwrap().is_some() || log.is_some_and(|there| there >= events)
        };
        let waited = poll::until(poll::patience(), || is_time(&mut self).then_some(()));
        waited.unwrap_or_else(|why| panic!("{events} events: {why}"));
        self.child.kill().unwrap();
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; far too long a wait fails the test.
    pub fn wait(mut self) -> Ran {
        let ended = poll::until(poll::patience() * 2, || self.child.try_wait().unwrap());
        let Ok(status) = ended else {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            panic!("xrt hung\n{}", self.ran(ExitStatus::default()).transcript());
        };
        self.ran(status)
    }

    fn ran(&mut self, status: ExitStatus) -> Ran {
        let [stdout, stderr] = [self.stdout.take(), self.stderr.take()]
            .map(|pipe| String::from_utf8_lossy(&pipe.unwrap().join().unwrap()).into_owned());
        let exit = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        let results = fs::canonicalize(self.dir().join("results/latest")).unwrap_or_default();
        Ran { xrt: self.xrt.clone(), exit, stdout, stderr, results }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already in the usual case.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// The event log of the newest run below `results`.
fn newest_log(dir: &Path) -> Option<PathBuf> {
    let log = dir.join("results/latest/events.jsonl");
    log.is_file().then_some(log)
}

/// As much of an event log as can be read while it is being written.
fn events_of(log: &Path) -> Vec<Event> {
    LogReader::open(log).map(|log| log.map_while(Result::ok).collect()).unwrap_or_default()
}

/// How a run went.
pub struct Ran {
    xrt: Xrt,
    /// The exit status; that of a signal is negative.
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
    /// The directory that `results/latest` points at; empty when there is none.
    pub results: PathBuf,
}

impl Ran {
    /// Where it ran.
    pub fn dir(&self) -> &Path {
        self.xrt.dir()
    }

    /// Asserts how it ended.
    #[track_caller]
    pub fn ends(self, exit: i32) -> Ran {
        assert_eq!(self.exit, exit, "{}", self.transcript());
        self
    }

    /// Another command in the same directory and environment.
    pub fn then(&self, words: &str) -> Ran {
        self.next(words).run()
    }

    /// Another command in the same directory and environment, to be started.
    pub fn next(&self, words: &str) -> Xrt {
        Xrt { testcases: Vec::new(), args: Vec::new(), ..self.xrt.clone() }.args(words)
    }

    pub fn events(&self) -> Vec<Event> {
        let log = LogReader::open(&self.results.join("events.jsonl"));
        let log = log.unwrap_or_else(|e| panic!("{}\n{}", e.report(), self.transcript()));
        log.map(|event| event.unwrap_or_else(|e| panic!("{}", e.report()))).collect()
    }

    /// The facts of a testcase, in order.
    pub fn facts(&self, id: &str) -> Vec<Fact> {
        self.events().into_iter().filter(|e| e.case.as_ref().is_some_and(|c| c.as_str() == id)).map(|e| e.fact).collect()
    }

    /// All lines that a testcase logged, of any level, in order.
    pub fn said(&self, id: &str) -> Vec<String> {
        let text = |fact| if let Fact::Logged { text, .. } = fact { Some(text) } else { None };
        self.facts(id).into_iter().filter_map(text).collect()
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for event in self.events() {
            summary.apply(&event);
        }
        summary
    }

    #[track_caller]
    pub fn outcome(&self, id: &str) -> Outcome {
        let summary = self.summary();
        let outcome = summary.case(&CaseId::new(id)).and_then(|case| case.outcome);
        outcome.unwrap_or_else(|| panic!("`{id}` has no outcome\n{}", self.transcript()))
    }

    /// Why a testcase has its outcome; empty when it gave no reason.
    pub fn reason(&self, id: &str) -> String {
        self.summary().case(&CaseId::new(id)).and_then(|case| case.reason.as_deref()).unwrap_or_default().to_string()
    }

    #[track_caller]
    pub fn failure(&self, id: &str) -> Failure {
        let summary = self.summary();
        let failure = summary.case(&CaseId::new(id)).and_then(|case| case.failure.as_deref().cloned());
        failure.unwrap_or_else(|| panic!("`{id}` has no failure\n{}", self.transcript()))
    }

    /// The subcases of a testcase: `group/name`, outcome and reason.
    pub fn subcases(&self, id: &str) -> Vec<(String, Outcome, String)> {
        let summary = self.summary();
        let Some(case) = summary.case(&CaseId::new(id)) else { return Vec::new() };
        let name = |group: &str, name: &str| if group.is_empty() { name.into() } else { format!("{group}/{name}") };
        let all = case.notes().subcases.iter();
        all.map(|s| (name(&s.group, &s.name), s.outcome, s.reason.clone().unwrap_or_default())).collect()
    }

    /// The text of a file, by its path below the results.
    #[track_caller]
    pub fn read(&self, below: &str) -> String {
        let path = self.results.join(below);
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}\n{}", path.display(), self.transcript()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything that was said, for the message of a failed assertion.
    pub fn transcript(&self) -> String {
        let words: Vec<_> = self.xrt.testcases.iter().chain(&self.xrt.args).map(|w| w.to_string_lossy()).collect();
        let Ran { exit, stdout, stderr, .. } = self;
        format!("--- xrt {} → {exit}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n", words.join(" "))
    }
}
