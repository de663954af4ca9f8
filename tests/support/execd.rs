//! A double of the Windows execution daemon: its wire with all its quirks, and a little of Windows behind it, kept in a directory.
//!
//! Commands really run: the few words of batch that the harness uses become those of a shell, and `c:\…` is a path of the directory.
//! What it does to its callers is what `reference/library.md` 9.1 says: every reply is HTTP/1.0 and ends the connection, other paths
//! are a 404, a request without a length an empty 500; a fault has the code 1 and names a class of Python; numbers have 32 bits; output
//! goes into the reply as it is; references begin anew at 00000000 when the machine was started anew; a status is 0 until `poll` has
//! seen the end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use xenrt::time::Cancel;
use xenrt::wire::xmlrpc::{self, Value};

/// How long the machine is gone when it starts anew.
const DOWN: Duration = Duration::from_millis(150);

/// A machine with its daemon.
pub struct Execd {
    pub port: u16,
    pub host: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    address: SocketAddr,
    root: tempfile::TempDir,
}

#[derive(Default)]
struct State {
    /// When it comes back, once it is down; nothing while it is up.
    down_until: Option<Option<Instant>>,
    stopped: bool,
    boots: u32,
    next: u32,
    commands: HashMap<String, Running>,
    registry: BTreeMap<String, Value>,
    env: BTreeMap<String, String>,
    tasks: Vec<(u32, String)>,
    keys: Vec<String>,
    calls: Vec<String>,
    heads: Vec<String>,
    /// Methods whose next reply is cut off after they were done.
    cut: Vec<String>,
    /// What the next reply of a method is, byte by byte.
    raw: HashMap<String, Vec<u8>>,
    /// Whether WMI tells when processes began.
    knows_processes: bool,
    /// What the clock is ahead, in seconds.
    skew: f64,
}

struct Running {
    child: Child,
    log: PathBuf,
    code: Option<i64>,
}

/// What a method comes to.
type Done = Result<Reply, String>;

enum Reply {
    Value(Value),
    /// Text with bytes that may not be characters.
    Raw(Vec<u8>),
}

impl Execd {
    /// On a free port of this machine.
    pub fn start() -> Execd {
        Execd::at("127.0.0.1:0")
    }

    /// On the daemon's own port, at an address of this machine that nobody else uses.
    pub fn start_on_its_port() -> Execd {
        let pid = std::process::id();
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + pid * 16;
        Execd::at(&format!("127.{}.{}.{}:8936", 100 + number / 65536 % 100, number / 256 % 256, 1 + number % 254))
    }

    fn at(address: &str) -> Execd {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().unwrap();
        let root = tempfile::Builder::new().prefix("windows.").tempdir().unwrap();
        for dir in ["c/windows/temp", "c/temp", "bin"] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let state = State { registry: registry(), env: env(), tasks: tasks(), knows_processes: true, ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), address, root });
        let mine = shared.clone();
        let thread = Some(std::thread::spawn(move || mine.serve(listener)));
        let double = Execd { port: address.port(), host: address.ip().to_string(), shared, thread };
        double.program("powershell.exe", "echo 5");
        double.program("netsh", "exit 0");
        let certutil = r#"echo "SHA256 hash of $2:"; sha256sum "$2" | cut -c1-64 | sed 's/../& /g'; echo "CertUtil: done.""#;
        double.program("certutil", certutil);
        double
    }

    /// As `--guest` takes it.
    pub fn guest(&self) -> String {
        format!("execd://{}:{}", self.host, self.port)
    }

    /// Where a path of the machine is on this one.
    pub fn path(&self, windows: &str) -> PathBuf {
        self.shared.unix(windows)
    }

    /// A program that can be run by its name.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.shared.root.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The names of the methods called so far.
    pub fn calls(&self) -> Vec<String> {
        self.shared.lock().calls.clone()
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.lock().heads.clone()
    }

    /// How many commands are remembered.
    pub fn commands(&self) -> usize {
        self.shared.lock().commands.len()
    }

    /// The keys that were sent.
    pub fn keys(&self) -> Vec<String> {
        self.shared.lock().keys.clone()
    }

    /// The next reply of the method does not arrive, although it was done.
    pub fn cut(&self, method: &str) {
        self.shared.lock().cut.push(method.to_string());
    }

    /// The next reply of the method is this.
    pub fn says(&self, method: &str, reply: &[u8]) {
        self.shared.lock().raw.insert(method.to_string(), reply.to_vec());
    }

    /// The clock there is so many seconds ahead.
    pub fn skew(&self, seconds: f64) {
        self.shared.lock().skew = seconds;
    }

    /// WMI no longer tells when processes began.
    pub fn forget_processes(&self) {
        self.shared.lock().knows_processes = false;
    }

    /// The daemon alone starts anew: it forgets its commands.
    pub fn restart_daemon(&self) {
        self.shared.lock().forget();
    }

    /// A process that has nothing to do with us.
    pub fn task(&self, pid: u32, image: &str) {
        self.shared.lock().tasks.push((pid, image.to_string()));
    }

    /// The power goes.
    pub fn power_off(&self) {
        self.shared.down(None);
    }

    /// The power comes.
    pub fn power_on(&self) {
        self.shared.lock().down_until = Some(Some(Instant::now()));
    }
}

impl Drop for Execd {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopped = true;
            state.forget();
        }
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn forget(&mut self) {
        for (_, mut command) in self.commands.drain() {
            end(&mut command.child);
        }
        self.next = 0;
    }
}

fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

fn registry() -> BTreeMap<String, Value> {
    let version = r"hklm\software\microsoft\windows nt\currentversion";
    let system = r"hklm\system\currentcontrolset\control";
    [
        (format!(r"{version}\productname"), Value::text("Windows Server 2019 Standard")),
        (format!(r"{version}\currentversion"), Value::text("6.3")),
        (format!(r"{version}\currentmajorversionnumber"), Value::Int(10)),
        (format!(r"{version}\currentminorversionnumber"), Value::Int(0)),
        (format!(r"{version}\currentbuildnumber"), Value::text("17763")),
        (format!(r"{system}\computername\activecomputername\computername"), Value::text("WINDOUBLE")),
        (format!(r"{system}\session manager\environment\processor_architecture"), Value::text("AMD64")),
        (format!(r"{system}\session manager\environment\number_of_processors"), Value::text("2")),
    ]
    .into()
}

fn env() -> BTreeMap<String, String> {
    [("TEMP", r"c:\temp"), ("COMPUTERNAME", "WINDOUBLE"), ("OS", "Windows_NT")].map(|(n, v)| (n.into(), v.into())).into()
}

fn tasks() -> Vec<(u32, String)> {
    [(0, "System Idle Process"), (4, "System"), (512, "svchost.exe"), (812, "explorer.exe")].map(|(p, n)| (p, n.into())).into()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the wait for a connection.
    fn wake(&self) {
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }

    fn down(&self, back: Option<Duration>) {
        {
            let mut state = self.lock();
            state.forget();
            state.boots += 1;
            state.down_until = Some(back.map(|back| Instant::now() + back));
        }
        self.wake();
    }

    fn serve(self: &Arc<Shared>, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            let down = {
                let mut state = self.lock();
                if state.stopped {
                    return;
                }
                if state.down_until.flatten().is_some_and(|until| Instant::now() >= until) {
                    state.down_until = None;
                }
                state.down_until.is_some()
            };
            if down {
                listener = None;
                let _ = Cancel::new().sleep(Duration::from_millis(5));
                continue;
            }
            let listener = listener.get_or_insert_with(|| TcpListener::bind(self.address).expect("its own port"));
            let Ok((socket, _)) = listener.accept() else { continue };
            if self.lock().down_until.is_some() {
                continue;
            }
            let shared = self.clone();
            std::thread::spawn(move || {
                let _ = shared.answer(&socket);
            });
        }
    }

    /// One request, one reply, and the end of the connection.
    fn answer(self: &Arc<Shared>, socket: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(socket);
        let (mut head, mut length) = (String::new(), None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
            head.push_str(&line);
        }
        if head.is_empty() {
            return Ok(());
        }
        self.lock().heads.push(head.clone());
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method != "POST" || !matches!(path, "/RPC2" | "/") {
            return reply(socket, "404 Not Found", "text/plain", Some(b"No such page"));
        }
        let Some(length) = length else { return reply(socket, "500 Internal Server Error", "text/plain", None) };
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (name, bytes) = self.call(&String::from_utf8_lossy(&body));
        let (cut, raw) = {
            let mut state = self.lock();
            let cut = state.cut.iter().position(|m| *m == name).map(|at| state.cut.remove(at)).is_some();
            (cut, state.raw.remove(&name))
        };
        if cut {
            return socket.shutdown(std::net::Shutdown::Both);
        }
        match raw {
            Some(mut whole) => {
                let mut socket = socket;
                whole.splice(0..0, b"HTTP/1.0 200 OK\r\nContent-type: text/xml\r\n\r\n".iter().copied());
                socket.write_all(&whole)
            }
            None => reply(socket, "200 OK", "text/xml", Some(&bytes)),
        }
    }

    fn call(self: &Arc<Shared>, body: &str) -> (String, Vec<u8>) {
        let call = match xmlrpc::parse_call(body) {
            Ok(call) => call,
            Err(e) => return (String::new(), fault(&format!("<class 'xml.parsers.expat.ExpatError'>:{}", e.what))),
        };
        self.lock().calls.push(call.method.clone());
        let name = call.method.clone();
        let bytes = match self.run(&call.method, &call.params) {
            Ok(Reply::Value(value)) => match params(&value) {
                Some(bytes) => bytes,
                None => fault("<type 'exceptions.OverflowError'>:int exceeds XML-RPC limits"),
            },
            Ok(Reply::Raw(bytes)) => around(&[b"<string>", escape(&bytes).as_slice(), b"</string>"].concat()),
            Err(text) => fault(&text),
        };
        (name, bytes)
    }

    fn run(self: &Arc<Shared>, method: &str, params: &[Value]) -> Done {
        let text = |at: usize| params.get(at).and_then(Value::as_str).unwrap_or_default();
        let value = |value: Value| Ok(Reply::Value(value));
        match method {
            "isAlive" => value(Value::Bool(true)),
            "version" => value(Value::text("Execution daemon v0.9.3.\n")),
            "system.listMethods" => value(Value::Array(METHODS.iter().map(|m| Value::text(*m)).collect())),
            "runbatch" => self.runbatch(text(0)),
            "poll" | "getPID" | "log" | "returncode" | "cleanup" => self.command(method, text(0)),
            "kill" => {
                let Some(Value::Int(pid)) = params.first() else { return Err("<type 'exceptions.TypeError'>:pid".into()) };
                let pid = u32::try_from(*pid).unwrap_or_default();
                let mut state = self.lock();
                state.tasks.retain(|(task, _)| *task != pid);
                if let Some(found) = state.commands.values_mut().find(|c| c.child.id() == pid) {
                    end(&mut found.child);
                }
                value(Value::Bool(true))
            }
            "killall" => {
                let image = text(0).to_lowercase();
                self.lock().tasks.retain(|(_, name)| name.to_lowercase() != image);
                value(Value::Bool(true))
            }
            "sendKeys" => {
                self.lock().keys.extend(text(0).split(',').map(str::to_string));
                value(Value::Bool(true))
            }
            "getTime" => {
                let skew = self.lock().skew;
                value(Value::Double(xenrt::time::Timestamp::now().unix() + skew))
            }
            "getEnvVar" => value(self.lock().env.get(text(0)).map_or(Value::Nil, Value::text)),
            "singleWMIQuery" => self.wmi(text(0), text(1)),
            "regLookup" | "regSet" | "regDelete" => self.registry(method, params),
            "reboot" | "shutdown" => {
                let back = (method == "reboot").then_some(DOWN);
                let shared = self.clone();
                // The reply goes out first.
                std::thread::spawn(move || {
                    let _ = Cancel::new().sleep(Duration::from_millis(50));
                    shared.down(back);
                });
                value(Value::Bool(true))
            }
            "getVIFs" => value(Value::Array(vec![Value::text("00:16:3E:00:00:01")])),
            "listDisks" => value(Value::Array(vec![Value::text("0"), Value::text("1")])),
            _ => self.file(method, params),
        }
    }

    fn file(&self, method: &str, params: &[Value]) -> Done {
        let text = |at: usize| params.get(at).and_then(Value::as_str).unwrap_or_default();
        let path = self.unix(text(0));
        let os = |what: &str| {
            let shown = text(0).to_string();
            let what = what.to_string();
            move |e: std::io::Error| {
                let number = e.raw_os_error().unwrap_or_default();
                let words = e.to_string().split(" (os").next().unwrap_or_default().to_string();
                format!("<type 'exceptions.{what}'>:[Errno {number}] {words}: '{}'", shown.replace('\\', "\\\\"))
            }
        };
        let done = |result: std::io::Result<()>| result.map(|()| Reply::Value(Value::Bool(true)));
        let value = |value: Value| Ok(Reply::Value(value));
        match method {
            "fileExists" => value(Value::Bool(path.exists())),
            "dirExists" => value(Value::Bool(path.is_dir())),
            "createDir" if path.exists() => Err(format!(
                "<type 'exceptions.WindowsError'>:[Error 183] Cannot create a file when that file already exists: '{}'",
                text(0)
            )),
            "createDir" => done(fs::create_dir_all(&path)).map_err(os("OSError")),
            "removeFile" => done(fs::remove_file(&path)).map_err(os("WindowsError")),
            "deltree" => {
                let _ = fs::remove_dir_all(&path);
                value(Value::Bool(true))
            }
            "createFile" => {
                let data = match params.get(1) {
                    Some(Value::Bytes(bytes)) => bytes.clone(),
                    _ => text(1).as_bytes().to_vec(),
                };
                let written = fs::write(&path, data).and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
                done(written).map_err(os("IOError"))
            }
            // The original's own HTTP client and tarfile; here the same by programs of this machine.
            "unpackTarball" => {
                let dir = self.unix(text(1));
                let get = format!("curl -fsS '{}' | tar -xz -C '{}'", text(0), dir.display());
                let output = Command::new("bash").args(["-o", "pipefail", "-c", &get]).output().map_err(|e| e.to_string())?;
                match output.status.success() {
                    true => value(Value::Bool(true)),
                    false => Err("<class 'urllib2.HTTPError'>:HTTP Error 404: Not Found".to_string()),
                }
            }
            "readFile" => fs::read(&path).map(|bytes| Reply::Value(Value::Bytes(bytes))).map_err(os("IOError")),
            "fileMTime" => {
                let modified = fs::metadata(&path).and_then(|m| m.modified()).map_err(os("WindowsError"))?;
                value(Value::Double(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()))
            }
            "globpath" | "globPattern" => value(Value::Array(self.glob(text(0)).into_iter().map(Value::Text).collect())),
            "tempFile" | "tempDir" => {
                let number = self.lock().calls.len();
                let (prefix, suffix) = if method == "tempDir" { (text(1), text(0)) } else { ("tmp", text(0)) };
                let windows = format!(r"c:\temp\{prefix}{number:06}{suffix}");
                let path = self.unix(&windows);
                let made = if method == "tempDir" { fs::create_dir(&path) } else { fs::write(&path, "") };
                made.map_err(os("IOError"))?;
                value(Value::Text(windows))
            }
            "sha1Sum" => {
                let output = Command::new("sha1sum").arg(&path).output().map_err(os("IOError"))?;
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                match said.split_whitespace().next().filter(|_| output.status.success()) {
                    Some(sum) => value(Value::text(sum)),
                    None => Err(os("IOError")(std::io::Error::from_raw_os_error(2))),
                }
            }
            _ => Err(format!("<type 'exceptions.Exception'>:method \"{method}\" is not supported")),
        }
    }

    fn wmi(&self, class: &str, property: &str) -> Done {
        let boots = self.lock().boots;
        let said = match (class, property) {
            ("Win32_Process where name='smss.exe'", "CreationDate") if self.lock().knows_processes => {
                format!("202611230{boots}1123.250000+060")
            }
            ("Win32_OperatingSystem", "LastBootUpTime") => format!("202611230{boots}1122.500000+060"),
            ("Win32_ComputerSystem", "NumberOfProcessors") => "2".to_string(),
            ("Win32_OperatingSystem", "TotalVisibleMemorySize") => "2096620".to_string(),
            _ => return Err(format!("<type 'exceptions.KeyError'>:'{property}'")),
        };
        Ok(Reply::Value(Value::Text(said)))
    }

    fn registry(&self, method: &str, params: &[Value]) -> Done {
        let text = |at: usize| params.get(at).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text(0), "HKLM" | "HKCU") {
            return Err(format!("<type 'exceptions.KeyError'>:'{}'", text(0)));
        }
        let place = format!(r"{}\{}\{}", text(0), text(1), text(2)).to_lowercase();
        let missing = || "<class 'WindowsError'>:[Error 2] The system cannot find the file specified".to_string();
        let mut state = self.lock();
        match method {
            "regLookup" => state.registry.get(&place).cloned().map(Reply::Value).ok_or_else(missing),
            "regDelete" => state.registry.remove(&place).map(|_| Reply::Value(Value::Bool(true))).ok_or_else(missing),
            _ => {
                let (kind, value) = (text(3), params.get(4).cloned().unwrap_or(Value::Nil));
                let fits = matches!(
                    (kind, &value),
                    ("DWORD", Value::Int(_)) | ("SZ" | "EXPAND_SZ", Value::Text(_)) | ("MULTI_SZ", Value::Array(_))
                );
                if !fits {
                    return Err(format!("<type 'exceptions.ValueError'>:Could not convert the data to the type {kind}"));
                }
                state.registry.insert(place, value);
                Ok(Reply::Value(Value::Bool(true)))
            }
        }
    }

    fn runbatch(self: &Arc<Shared>, text: &str) -> Done {
        let batch = decode(text).unwrap_or_else(|| text.to_string());
        let script = self.script(&batch);
        let mut state = self.lock();
        let reference = format!("{:08x}", state.next);
        state.next += 1;
        let log = self.root.path().join(format!("log-{}-{reference}-{}", state.boots, state.calls.len()));
        let out = fs::File::create(&log).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        let tasks: String =
            state.tasks.iter().map(|(pid, name)| format!("\"{name}\",\"{pid}\",\"Console\",\"1\",\"12 K\"\n")).collect();
        let path = format!("{}:{}", self.root.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let child = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.root.path().join("c/temp"))
            .env("PATH", path)
            .env("XRT_TASKS", tasks)
            .envs(state.env.iter())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("<type 'exceptions.OSError'>:{e}"))?;
        state.commands.insert(reference.clone(), Running { child, log, code: None });
        Ok(Reply::Value(Value::Text(reference)))
    }

    fn command(&self, method: &str, reference: &str) -> Done {
        let mut state = self.lock();
        let Some(command) = state.commands.get_mut(reference) else {
            return Err(match method {
                "poll" | "getPID" => {
                    "<type 'exceptions.TypeError'>:exceptions must be old-style classes or derived from BaseException, not str"
                        .into()
                }
                _ => "<type 'exceptions.AttributeError'>:'NoneType' object has no attribute 'finished'".to_string(),
            });
        };
        let value = |value: Value| Ok(Reply::Value(value));
        match method {
            "getPID" => value(Value::Int(i64::from(command.child.id()))),
            "poll" => {
                let ended = command.child.try_wait().map_err(|e| e.to_string())?;
                let Some(ended) = ended else { return value(Value::text("RUNNING")) };
                command.code = Some(ended.code().map_or_else(|| i64::from(-ended.signal().unwrap_or(1)), i64::from));
                value(Value::text("DONE"))
            }
            "returncode" => value(Value::Int(command.code.unwrap_or(0))),
            "log" => fs::read(&command.log).map(Reply::Raw).map_err(|e| format!("<type 'exceptions.IOError'>:{e}")),
            _ => {
                if command.code.is_some() {
                    let _ = fs::remove_file(&command.log);
                    state.commands.remove(reference);
                }
                value(Value::Bool(true))
            }
        }
    }

    /// `c:\a\b` in the directory.
    fn unix(&self, windows: &str) -> PathBuf {
        let slashed = windows.replace('\\', "/");
        let (drive, rest) = slashed.split_once(':').unwrap_or(("c", &slashed));
        let mut path = self.root.path().join(drive.to_lowercase());
        path.extend(rest.split('/').filter(|part| !part.is_empty() && *part != ".."));
        path
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let (dir, last) = pattern.rsplit_once('\\').unwrap_or((r"c:\temp", pattern));
        let regex = regex::escape(&last.replace("[[]", "[")).replace(r"\*", ".*").replace(r"\?", ".");
        let regex = regex::Regex::new(&format!("^(?i:{regex})$")).unwrap();
        let Ok(entries) = fs::read_dir(self.unix(&dir.replace("[[]", "["))) else { return Vec::new() };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
        // Python leaves out names that begin with a dot unless the pattern does.
        let mut found: Vec<String> = names.filter(|n| regex.is_match(n) && n.starts_with('.') == last.starts_with('.')).collect();
        found.sort();
        found.into_iter().map(|name| format!(r"{dir}\{name}")).collect()
    }

    /// The few words of batch that are used, as those of a shell.
    fn script(&self, batch: &str) -> String {
        let mut script = String::from("tasklist() { printf '%s' \"$XRT_TASKS\"; }\n");
        for line in batch.replace("\r\n", "\n").lines() {
            let line = line.trim_start_matches('@');
            if line == "echo off" || line.starts_with("chcp ") {
                continue;
            }
            script.push_str(&self.line(line));
            script.push('\n');
        }
        script
    }

    fn line(&self, line: &str) -> String {
        if let Some(rest) = line.strip_prefix("cmd /d /c ") {
            let files: Vec<&str> = rest.split('"').collect();
            let text = fs::read_to_string(self.unix(files[1])).unwrap_or_default();
            let [input, out, err] = [3, 5, 7].map(|at| self.unix(files[at]).display().to_string());
            return format!("( {} ) < '{input}' > '{out}' 2> '{err}'\nerrorlevel=$?", self.script(&text));
        }
        if let Some(file) = line.strip_prefix('"').and_then(|rest| rest.strip_suffix(".cmd\"")) {
            let text = fs::read_to_string(self.unix(&format!("{file}.cmd"))).unwrap_or_default();
            return format!("( {} )", self.script(&text));
        }
        if let Some(rest) = line.strip_prefix("call ") {
            let files: Vec<&str> = rest.split('"').collect();
            let text = fs::read_to_string(self.unix(files[1])).unwrap_or_default();
            return format!("( {} ) < '{}'", self.script(&text), self.unix(files[3]).display());
        }
        if let Some(rest) = line.strip_prefix("set \"")
            && let Some((name, value)) = rest.trim_end_matches('"').split_once('=')
        {
            return format!("export {name}='{}'", value.replace("%%", "%").replace('\'', r"'\''"));
        }
        if let Some(rest) = line.strip_prefix("copy /b /y ") {
            let rest = &rest.replace("%%", "%");
            let files: Vec<&str> = rest.split('"').collect();
            return format!("cat '{}' >> '{}'", self.unix(files[3]).display(), self.unix(files[1]).display());
        }
        let line = line.replace("cd /d ", "cd ").replace("exit /b", "exit").replace("move /y", "mv").replace(">nul", ">/dev/null");
        let paths = regex::Regex::new(r#""[A-Za-z]:\\[^"]*"|[A-Za-z]:\\[^\s"<>|&;]*"#).unwrap();
        let line = paths.replace_all(&line, |found: &regex::Captures<'_>| {
            let path = found[0].trim_matches('"').replace("%%", "%");
            format!("'{}'", self.unix(&path).display())
        });
        regex::Regex::new("%([A-Za-z_]+)%").unwrap().replace_all(&line, "$${$1}").into_owned()
    }
}

/// A few of the names that the real one lists.
const METHODS: &[&str] = &["cleanup", "isAlive", "log", "poll", "returncode", "runbatch", "system.listMethods"];

fn reply(mut socket: &TcpStream, status: &str, kind: &str, body: Option<&[u8]>) -> std::io::Result<()> {
    let server = "Server: BaseHTTP/0.3 Python/2.7.3\r\nDate: Mon, 23 Nov 2026 00:11:22 GMT";
    match body {
        Some(body) => {
            let length = body.len();
            write!(socket, "HTTP/1.0 {status}\r\n{server}\r\nContent-type: {kind}\r\nContent-length: {length}\r\n\r\n")?;
            socket.write_all(body)?;
        }
        None => write!(socket, "HTTP/1.0 {status}\r\n{server}\r\n\r\n")?,
    }
    socket.shutdown(std::net::Shutdown::Both)
}

/// As Python writes a reply.
fn around(value: &[u8]) -> Vec<u8> {
    let (head, tail) = (
        b"<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>",
        b"</value>\n</param>\n</params>\n</methodResponse>\n",
    );
    [head.as_slice(), value, tail.as_slice()].concat()
}

fn fault(text: &str) -> Vec<u8> {
    let text = String::from_utf8(escape(text.as_bytes())).unwrap();
    format!(
        "<?xml version='1.0'?>\n<methodResponse>\n<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n<value><int>1</int></value>\n\
         </member>\n<member>\n<name>faultString</name>\n<value><string>{text}</string></value>\n</member>\n</struct></value>\n</fault>\n\
         </methodResponse>\n"
    )
    .into_bytes()
}

/// Nothing for a number of more than 32 bits.
fn params(value: &Value) -> Option<Vec<u8>> {
    Some(around(&inner(value)?))
}

fn inner(value: &Value) -> Option<Vec<u8>> {
    Some(match value {
        Value::Nil => b"<nil/>".to_vec(),
        Value::Bool(truth) => format!("<boolean>{}</boolean>", u8::from(*truth)).into_bytes(),
        Value::Int(number) => format!("<int>{}</int>", i32::try_from(*number).ok()?).into_bytes(),
        Value::Double(number) => format!("<double>{number}</double>").into_bytes(),
        Value::Text(text) | Value::Date(text) => [b"<string>".as_slice(), &escape(text.as_bytes()), b"</string>"].concat(),
        Value::Bytes(bytes) => {
            let encoded = STANDARD.encode(bytes);
            let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("<base64>\n{}\n</base64>", lines.join("\n")).into_bytes()
        }
        Value::Array(items) => {
            let mut all = b"<array><data>\n".to_vec();
            for item in items {
                all.extend([b"<value>".as_slice(), &inner(item)?, b"</value>\n"].concat());
            }
            all.extend(b"</data></array>");
            all
        }
        Value::Struct(_) => return None,
    })
}

fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        match byte {
            b'&' => out.extend(b"&amp;"),
            b'<' => out.extend(b"&lt;"),
            b'>' => out.extend(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

/// uuencoded UTF-16, as Python reads it; nothing for anything else.
fn decode(text: &str) -> Option<String> {
    let mut lines = text.split('\n').skip_while(|line| !line.starts_with("begin "));
    lines.next()?;
    let mut bytes = Vec::new();
    for line in lines {
        if line == "end" {
            let units = bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(&bytes);
            let units: Vec<u16> = units.chunks(2).map(|two| u16::from_le_bytes([two[0], *two.get(1).unwrap_or(&0)])).collect();
            return String::from_utf16(&units).ok();
        }
        let sixes: Vec<u32> = line.bytes().map(|b| u32::from(b.wrapping_sub(32)) & 63).collect();
        let (length, data) = sixes.split_first()?;
        let mut own: Vec<u8> = data
            .chunks(4)
            .flat_map(|four| {
                let bits = four.iter().fold(0, |bits, six| bits << 6 | six) << (6 * (4 - four.len()));
                [bits >> 16, bits >> 8, bits].map(|byte| byte as u8)
            })
            .collect();
        // A blank at the end that was trimmed is a byte that is missing.
        if own.len() < *length as usize {
            return None;
        }
        own.truncate(*length as usize);
        bytes.extend(own);
    }
    // Without its end it is no uuencode.
    None
}
