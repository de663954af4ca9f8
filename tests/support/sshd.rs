//! A real sshd for one test: on a free loopback port, with keys and a throw-away user of its own, ended and removed with the value.
//!
//! `let Some(sshd) = Sshd::start() else { return };` and then `sshd.guest()` is what `--guest` takes. Where no sshd is installed the
//! test is left out loudly, and fails when `CI` or `XRT_REQUIRE_SSHD` is set. Password logins need root (they need a user that we may give a password).

use super::{poll, process, skip};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use xenrt::secret::Secret;
use xenrt::wire::ssh::{HostKeys, Login, Ssh, Target};

const PROGRAM: &str = "/usr/sbin/sshd";

/// What a test may want to be different.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Lines for sshd_config, stronger than the usual ones.
    pub config: Vec<String>,
    /// The text of a script that is the user's login shell. `exec /bin/sh "$@"` goes on as usual.
    pub shell: Option<String>,
    /// Log in as root (with the key; root's password stays what it is), but in a home of the test's own.
    pub root: bool,
}

impl Options {
    pub fn config(mut self, line: &str) -> Options {
        self.config.push(line.to_string());
        self
    }

    /// Runs this for each command that the user sends.
    pub fn force_command(self, command: &str) -> Options {
        self.config(&format!("ForceCommand {command}"))
    }

    /// The login shell does this before it becomes `/bin/sh`.
    pub fn shell_start(mut self, commands: &str) -> Options {
        self.shell = Some(format!("#!/bin/sh\n{commands}\nexec /bin/sh \"$@\"\n"));
        self
    }

    pub fn root(mut self) -> Options {
        self.root = true;
        self
    }

    /// Nothing when there is no sshd, or when it takes root to do this.
    pub fn start(self) -> Option<Sshd> {
        if !Path::new(PROGRAM).exists() {
            return skip("no sshd is installed: apt-get install openssh-server");
        }
        let is_root = rustix::process::geteuid().is_root();
        if !is_root && (self.root || self.shell.is_some()) {
            return skip("this test needs root");
        }
        Some(Sshd::make(self, is_root))
    }
}

fn skip(why: &str) -> Option<Sshd> {
    skip::skip("XRT_REQUIRE_SSHD", why);
    None
}

/// A running server.
pub struct Sshd {
    pub port: u16,
    pub user: String,
    /// Empty when password logins are not possible because we are not root.
    pub password: String,
    /// The private key that lets the user in.
    pub key: PathBuf,
    /// The user's home, empty at first.
    pub home: PathBuf,
    dir: tempfile::TempDir,
    process: Option<Child>,
    log: Arc<Mutex<String>>,
    account: Option<String>,
}

impl Sshd {
    pub fn start() -> Option<Sshd> {
        Options::default().start()
    }

    /// As `--guest` takes it.
    pub fn guest(&self) -> String {
        format!("{}:{}@127.0.0.1:{}", self.user, self.password, self.port)
    }

    /// With the key, no host keys looked at: change what the test is about.
    pub fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: self.port,
            user: self.user.clone(),
            logins: vec![Login::KeyFile { path: self.key.clone(), passphrase: None }],
            host_keys: HostKeys::Ignore,
            known_hosts: None,
            connect_timeout: Duration::from_secs(20),
        }
    }

    pub fn ssh(&self) -> Ssh {
        Ssh::new(self.target())
    }

    pub fn password_login(&self) -> Option<Login> {
        if self.password.is_empty() {
            skip("password logins need root");
            return None;
        }
        Some(Login::Password(Secret::new(&self.password)))
    }

    /// A file in the server's own directory, where the user may read.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What sshd said so far.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// How many logins it let in.
    pub fn logins(&self) -> usize {
        self.log().lines().filter(|line| line.starts_with("Accepted ") && line.contains(" for ")).count()
    }

    /// Ends the server and all its connections, as a power cut would, but says goodbye to TCP.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let connections = descendants(process.id());
        process.kill().expect("sshd is ours");
        process.wait().expect("sshd is our child");
        connections.into_iter().for_each(kill);
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        self.stop();
        self.launch().expect("sshd starts again");
    }

    /// Cuts the connections; the server goes on.
    pub fn cut(&self) {
        let id = self.process.as_ref().map_or(0, Child::id);
        // The immediate children hold the sockets. What they run is not touched.
        children(id).into_iter().flat_map(|pid| descendants(pid).into_iter().filter(|p| is_sshd(*p)).chain([pid])).for_each(kill);
    }

    /// Makes a new host key, as an installation from scratch does, and starts again.
    pub fn change_host_key(&mut self) {
        self.stop();
        make_key(&self.path("host_key"));
        self.launch().expect("sshd starts with a new key");
    }

    fn make(options: Options, is_root: bool) -> Sshd {
        let dir = tempfile::Builder::new().prefix("xrt-sshd-").tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("a home");
        let shell = options.shell.as_ref().map_or(PathBuf::from("/bin/sh"), |text| {
            let path = dir.path().join("shell");
            fs::write(&path, text).expect("a shell");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the shell is ours");
            path
        });
        for name in ["host_key", "user_key"] {
            make_key(&dir.path().join(name));
        }
        fs::copy(dir.path().join("user_key.pub"), dir.path().join("authorized_keys")).expect("authorized keys");
        let account = (is_root && !options.root).then(|| make_user(&home, &shell));
        let (user, password) = match &account {
            Some((user, password)) => (user.clone(), password.clone()),
            None => (own_name(), String::new()),
        };
        let key = dir.path().join("user_key");
        let mut sshd = Sshd {
            port: 0,
            user,
            password,
            key,
            home,
            dir,
            process: None,
            log: Arc::default(),
            account: account.map(|(user, _)| user),
        };
        let mut config = options.config;
        // Root's own start-up files are none of a test's business.
        config.extend(options.root.then(|| format!("SetEnv HOME={}", sshd.home.display())));
        sshd.configure(&config);
        sshd
    }

    /// Finds a port and starts; another process may take the port in between, then another is tried.
    fn configure(&mut self, more: &[String]) {
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("sshd's own directory");
        }
        for _ in 0..5 {
            self.port = free_port();
            let dir = self.dir.path().display();
            let mut lines: Vec<String> = more.to_vec();
            lines.extend([
                format!("Port {}", self.port),
                "ListenAddress 127.0.0.1".into(),
                format!("HostKey {dir}/host_key"),
                format!("AuthorizedKeysFile {dir}/authorized_keys"),
                "PidFile none".into(),
                "StrictModes no".into(),
                "UsePAM no".into(),
                "PermitRootLogin prohibit-password".into(),
                "PasswordAuthentication yes".into(),
                "KbdInteractiveAuthentication no".into(),
                "MaxStartups 500".into(),
                "UseDNS no".into(),
                "PrintMotd no".into(),
                "PrintLastLog no".into(),
                "LogLevel VERBOSE".into(),
            ]);
            if !more.iter().any(|line| line.starts_with("Subsystem sftp")) {
                lines.push("Subsystem sftp internal-sftp".into());
            }
            fs::write(self.path("config"), lines.join("\n") + "\n").expect("a configuration");
            if self.launch().is_ok() {
                return;
            }
        }
        panic!("sshd does not start:\n{}", self.log());
    }

    fn launch(&mut self) -> Result<(), ()> {
        let mut command = process::tied(PROGRAM);
        command.args(["-D", "-e", "-f"]).arg(self.path("config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = process::spawn(command).expect("setpriv runs");
        let listening = follow(process.stderr.take().expect("a pipe"), self.log.clone());
        let is_up = listening.recv_timeout(poll::patience()).is_ok();
        if !is_up {
            process.kill().expect("sshd is ours");
            process.wait().expect("sshd is our child");
            return Err(());
        }
        self.process = Some(process);
        Ok(())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        if let Some(user) = &self.account {
            remove_user(user);
        }
    }
}

/// Collects what sshd says; the receiver hears when it listens. The thread ends with the last process that holds the pipe.
fn follow(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> Receiver<()> {
    let (to, listening) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if line.starts_with("Server listening") {
                // The test may have given up already.
                let _ = to.send(());
            }
            let mut log = lock(&log);
            log.push_str(line.trim_end());
            log.push('\n');
        }
    });
    listening
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn make_key(path: &Path) {
    for old in [path.to_path_buf(), path.with_extension("pub")] {
        if old.exists() {
            fs::remove_file(old).expect("the key is ours");
        }
    }
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "xrt-test", "-f"]).arg(path));
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the program is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn own_name() -> String {
    let output = Command::new("id").arg("-un").output().expect("id is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Users are made and removed one at a time: the tools lock /etc/passwd and give up at once.
static USERS: Mutex<()> = Mutex::new(());

fn make_user(home: &Path, shell: &Path) -> (String, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let user = format!("xrt{}-{number}", std::process::id());
    let password = format!("Pa55-{number}-of-{}", std::process::id());
    let _turn = lock(&USERS);
    patiently(|| {
        let mut add = Command::new("useradd");
        add.args(["--system", "--no-create-home", "--no-log-init", "-d"]).arg(home).arg("-s").arg(shell).arg(&user);
        add.output().expect("useradd is installed").status.success()
    });
    patiently(|| {
        let mut set = Command::new("chpasswd");
        let mut child = set
            .args(["-c", "SHA256", "-s", "1000"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chpasswd is installed");
        let fed = child.stdin.take().expect("a pipe").write_all(format!("{user}:{password}\n").as_bytes());
        child.wait().expect("chpasswd is our child").success() && fed.is_ok()
    });
    run(Command::new("chown").arg(&user).arg(home));
    (user, password)
}

fn remove_user(user: &str) {
    let output = Command::new("id").args(["-u", user]).output().expect("id is installed");
    let uid: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("the user exists");
    assert_ne!(uid, 0, "not everybody's processes");
    // What the user's commands left running: all of it was started by this test.
    for pid in processes() {
        if fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == uid) {
            kill(pid);
        }
    }
    let _turn = lock(&USERS);
    patiently(|| Command::new("userdel").arg("-f").arg(user).output().expect("userdel is installed").status.success());
}

/// Another test process may hold the lock on /etc/passwd.
fn patiently(mut step: impl FnMut() -> bool) {
    let done = poll::until(poll::patience(), || step().then_some(()));
    done.expect("users can be made and removed: is /etc/passwd locked?");
}

fn processes() -> Vec<u32> {
    fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn children(pid: u32) -> Vec<u32> {
    processes().into_iter().filter(|p| parent(*p) == Some(pid)).collect()
}

fn descendants(pid: u32) -> Vec<u32> {
    children(pid).into_iter().flat_map(|child| descendants(child).into_iter().chain([child])).collect()
}

fn is_sshd(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// A wire to a server that can be made to go dead, or be cut.
pub struct Proxy {
    pub port: u16,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    frozen: Arc<Mutex<Arc<AtomicBool>>>,
    over: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let (sockets, frozen, over) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Arc<AtomicBool>>>::default(), Arc::<AtomicBool>::default());
        let shared = (sockets.clone(), frozen.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.2.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let frozen = lock(&shared.1).clone();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    from.set_nodelay(true).expect("a socket");
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    let frozen = frozen.clone();
                    std::thread::spawn(move || forward(from, to, &frozen));
                }
                lock(&shared.0).extend([near, far]);
            }
        });
        Proxy { port: own, sockets, frozen, over, listener: Some(thread) }
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for socket in lock(&self.sockets).drain(..) {
            // The other side may have closed it.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// The connections there are go dead: nothing passes and nobody is told. New ones are not affected.
    pub fn freeze(&self) {
        std::mem::take(&mut *lock(&self.frozen)).store(true, Ordering::SeqCst);
    }
}

/// Passes bytes on until one side ends. A frozen wire swallows them.
fn forward(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        if frozen.load(Ordering::SeqCst) && read > 0 {
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            // The other direction ends by this.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.listener.take() {
            thread.join().expect("the proxy did not panic");
        }
    }
}
