//! A real virtual machine for tests: it reboots, hangs, panics and powers off as a user's guest does.
//!
//! `tests/lab/mini-guest.sh` builds what it boots. It runs under QEMU's own processor emulation, which works wherever the tests do
//! (that `/dev/kvm` exists proves nothing). The first start boots for some seconds and saves the machine's state beside the image;
//! later starts go on from there.
//!
//! The guest knows `root` with the password `xensource`, has SFTP, busybox's commands, `/var/log/messages` and an empty disk
//! `/dev/vda` of 64 MiB. A panic hangs it, as it does most machines; after `echo 1 >/proc/sys/kernel/panic` a panic reboots it.

use super::poll::{patience, until};
use super::{process, skip};
use serde_json::{Value, json};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const QEMU: &str = "qemu-system-x86_64";
const DISK_BYTES: u64 = 64 << 20;

/// The machine, the same for each start: a saved state fits no other. Paths are relative to the directory QEMU runs in.
/// `+rdrand`: without it a boot waits for entropy, and guests of one saved state would share their random numbers (see [`STALE`]).
const MACHINE: &str = "-nodefaults -no-user-config -M q35 -accel tcg,tb-size=32 -cpu qemu64,+rdrand -m 128 \
    -display none -serial stdio -qmp unix:qmp,server=on,wait=off -rtc base=utc -device vmgenid,guid=auto \
    -netdev user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22 -device virtio-net-pci,netdev=net,romfile= \
    -drive file=disk,format=raw,if=none,id=disk,cache=unsafe -device virtio-blk-pci,drive=disk";

/// Lets the seed of the kernel's random numbers grow old: whoever asks for one then gets it from a new seed, with the processor's own
/// randomness in it. Guests of a state that was saved with a fresh seed have the same random numbers for seconds, boot ids included.
/// Kernels with a driver for vmgenid would notice that they are a copy; Debian's has none. A seed lasts half of the time since the
/// boot, so it is old after as long again.
const STALE: &str = "sleep $(($(cut -d. -f1 /proc/uptime) + 2))";

/// A running guest. It ends, with all that it wrote, when dropped, and also when the test process is killed.
pub struct Vm {
    /// The port on 127.0.0.1 that leads to the guest's SSH.
    pub port: u16,
    qemu: Mutex<Child>,
    keyboard: Mutex<ChildStdin>,
    qmp: Mutex<BufReader<UnixStream>>,
    commands: AtomicUsize,
    dir: TempDir,
}

impl Vm {
    /// Starts a guest and waits until it answers on SSH; nothing, after a loud word, when QEMU or the image cannot be had here.
    ///
    /// # Panics
    /// When a VM is demanded (`CI` or `XRT_REQUIRE_VM` is set) and cannot be had, or when the guest does not come up.
    pub fn start() -> Option<Vm> {
        static IMAGE: OnceLock<Result<Image, String>> = OnceLock::new();
        match IMAGE.get_or_init(Image::find) {
            Ok(image) => Some(image.start().unwrap_or_else(|e| panic!("the mini guest does not start: {e}"))),
            Err(why) => {
                skip::skip("XRT_REQUIRE_VM", &format!("no virtual machine here: {why}"));
                None
            }
        }
    }

    /// As `--guest` takes it.
    pub fn guest(&self) -> String {
        format!("root:xensource@127.0.0.1:{}", self.port)
    }

    /// Tells QEMU something without arguments: `system_reset`, `system_powerdown` (ACPI), `stop` (a hang), `cont`.
    pub fn qmp(&self, command: &str) -> Value {
        self.qmp_with(command, &json!({})).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs shell commands (one line) on the serial console, which needs no network; returns what they print.
    ///
    /// # Panics
    /// When they do not end within the machine's patience.
    pub fn run(&self, commands: &str) -> String {
        let from = self.console().len();
        let end = format!("\nend of line {}\n", self.commands.fetch_add(1, Ordering::Relaxed));
        self.type_line(&format!("{commands}; echo; echo '{}'", end.trim()));
        let printed = until(patience(), || {
            let console = self.console().split_off(from);
            console.find(&end).map(|at| console[..at].trim().to_string())
        });
        printed.unwrap_or_else(|e| panic!("`{commands}` on the console: {e}\n{}", self.console()))
    }

    /// Types a line on the serial console and does not wait: for `reboot`, `poweroff`, `echo c >/proc/sysrq-trigger`.
    pub fn type_line(&self, line: &str) {
        writeln!(self.keyboard.lock().unwrap(), "{line}").expect("the console takes a line");
    }

    /// All that the serial console has shown since this start.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.dir.path().join("console")).expect("the console's file");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Waits until the console shows something.
    ///
    /// # Panics
    /// When it does not within the machine's patience.
    pub fn wait_console(&self, text: &str) {
        let shown = until(patience(), || self.console().contains(text).then_some(()));
        shown.unwrap_or_else(|e| panic!("`{text}` on the console: {e}\n{}", self.console()));
    }

    /// The SSH server's greeting, when it answers within the limit.
    pub fn ssh_banner(&self, limit: Duration) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(limit)).expect("a limit above nothing");
        let mut greeting = [0; 255];
        let read = stream.read(&mut greeting).ok().filter(|n| *n > 0)?;
        String::from_utf8_lossy(&greeting[..read]).lines().next().map(str::to_string)
    }

    /// Waits until the guest answers on SSH.
    ///
    /// # Panics
    /// When it does not within the machine's patience, or when QEMU ends.
    pub fn wait_ssh(&self) {
        self.try_wait_ssh().unwrap_or_else(|e| panic!("{e}"));
    }

    fn try_wait_ssh(&self) -> Result<(), String> {
        let answered = until(patience(), || {
            let answers = self.ssh_banner(Duration::from_millis(500)).is_some_and(|b| b.starts_with("SSH-2.0-"));
            if answers { Some(true) } else { (!self.is_running()).then_some(false) }
        });
        match answered {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("QEMU ended: {}", self.complaints())),
            Err(e) => Err(format!("SSH does not answer: {e}; {}\nconsole:\n{}", self.complaints(), self.console())),
        }
    }

    /// Whether QEMU still runs: a guest that powers off ends it.
    pub fn is_running(&self) -> bool {
        self.qemu.lock().unwrap().try_wait().expect("a child").is_none()
    }

    /// Waits until the guest has powered off.
    ///
    /// # Panics
    /// When it has not within the machine's patience.
    pub fn wait_off(&self) {
        let off = until(patience(), || (!self.is_running()).then_some(()));
        off.unwrap_or_else(|e| panic!("the guest powers off: {e}\n{}", self.console()));
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.qemu.lock().unwrap().id()
    }

    /// What QEMU itself has complained about.
    fn complaints(&self) -> String {
        fs::read_to_string(self.dir.path().join("qemu.log")).expect("QEMU's log").trim().to_string()
    }

    fn qmp_with(&self, command: &str, arguments: &Value) -> Result<Value, String> {
        let mut stream = self.qmp.lock().unwrap();
        let order = json!({ "execute": command, "arguments": arguments });
        writeln!(stream.get_mut(), "{order}").map_err(|e| format!("QMP {command}: {e}; {}", self.complaints()))?;
        loop {
            let answer = read_qmp(&mut stream).map_err(|e| format!("QMP {command}: {e}; {}", self.complaints()))?;
            if let Some(done) = answer.get("return") {
                return Ok(done.clone());
            }
            if let Some(error) = answer.get("error") {
                return Err(format!("QMP {command}: {error}"));
            }
        }
    }

    /// A saved state holds the time at which it was saved.
    fn set_clock(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
        self.run(&format!("date -u -s @{} >/dev/null", now.as_secs()));
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let qemu = self.qemu.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // An error means that it has ended already.
        qemu.kill().ok();
        qemu.wait().ok();
    }
}

fn read_qmp(stream: &mut BufReader<UnixStream>) -> Result<Value, String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) => Err("QEMU has closed the connection".into()),
        Ok(_) => serde_json::from_str(&line).map_err(|e| format!("{e} in {line}")),
        Err(e) => Err(e.to_string()),
    }
}

/// What guests are started from.
struct Image {
    dir: PathBuf,
    /// The saved state that fits this QEMU and [`MACHINE`].
    state: PathBuf,
}

impl Image {
    fn find() -> Result<Image, String> {
        let version = Command::new(QEMU).arg("--version").output();
        let version = version.map_err(|e| format!("{QEMU}: {e}; apt-get install qemu-system-x86 (tests/run does it)"))?;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp has a parent");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/mini-guest.sh");
        let built = Command::new("timeout").arg("600").arg(script).arg(target.join("mini-guest")).stdin(Stdio::null()).output();
        let built = built.map_err(|e| format!("tests/lab/mini-guest.sh: {e}"))?;
        if !built.status.success() {
            return Err(format!("{} ({})", String::from_utf8_lossy(&built.stderr).trim(), built.status));
        }
        let dir = PathBuf::from(String::from_utf8_lossy(&built.stdout).trim());
        let mut hasher = DefaultHasher::new();
        (MACHINE, STALE, version.stdout).hash(&mut hasher);
        Ok(Image { state: dir.join(format!("state-{:016x}", hasher.finish())), dir })
    }

    fn start(&self) -> Result<Vm, String> {
        if self.state.exists() {
            match self.resume() {
                Ok(vm) => return Ok(vm),
                Err(e) => note(&format!("the saved state is of no use and is removed: {e}")),
            }
            fs::remove_file(&self.state).map_err(|e| format!("{}: {e}", self.state.display()))?;
        }
        // The others wait for the first one, whose own waits have limits: booting all at once would take them longer.
        let lock = File::create(self.dir.join("state.lock")).map_err(|e| format!("state.lock: {e}"))?;
        lock.lock().map_err(|e| format!("state.lock: {e}"))?;
        if self.state.exists() {
            drop(lock);
            return self.resume();
        }
        let vm = self.boot()?;
        self.save(&vm).unwrap_or_else(|e| note(&format!("each start boots anew, as the state cannot be saved: {e}")));
        Ok(vm)
    }

    fn boot(&self) -> Result<Vm, String> {
        let vm = self.launch(None)?;
        vm.try_wait_ssh()?;
        vm.wait_console("mini guest console\n");
        Ok(vm)
    }

    fn resume(&self) -> Result<Vm, String> {
        let vm = self.launch(Some(&self.state))?;
        // The machine was stopped when it was saved, and so it comes back.
        let loaded = until(patience(), || match vm.qmp_with("query-status", &json!({})) {
            Ok(status) if status["status"] == "inmigrate" => None,
            other => Some(other),
        });
        loaded.map_err(|e| format!("the state does not load: {e}"))??;
        vm.qmp_with("cont", &json!({}))?;
        vm.try_wait_ssh()?;
        vm.set_clock();
        Ok(vm)
    }

    fn save(&self, vm: &Vm) -> Result<(), String> {
        // Connections of now are dead in each guest that goes on from here; dropbear admits only a few that do not log in.
        vm.run("while [ $(pidof dropbear | wc -w) -gt 1 ]; do usleep 10000; done");
        vm.run(STALE);
        let part = self.state.with_extension("part");
        vm.qmp_with("stop", &json!({}))?;
        vm.qmp_with("migrate-set-parameters", &json!({ "max-bandwidth": 1u64 << 40 }))?;
        vm.qmp_with("migrate", &json!({ "uri": format!("exec:cat >{}", quoted(&part)) }))?;
        let status = until(patience(), || match vm.qmp("query-migrate")["status"].as_str() {
            Some(end @ ("completed" | "failed" | "cancelled")) => Some(end.to_string()),
            _ => None,
        });
        vm.qmp_with("cont", &json!({}))?;
        match status?.as_str() {
            "completed" => fs::rename(&part, &self.state).map_err(|e| format!("{}: {e}", part.display())),
            other => Err(format!("migration to {} has {other}", part.display())),
        }
    }

    fn launch(&self, state: Option<&Path>) -> Result<Vm, String> {
        let dir = tempfile::Builder::new().prefix("xrt-vm-").tempdir().map_err(|e| e.to_string())?;
        let file = |name: &str| File::create(dir.path().join(name)).map_err(|e| format!("{name}: {e}"));
        file("disk")?.set_len(DISK_BYTES).map_err(|e| format!("disk: {e}"))?;
        let mut command = process::tied(QEMU);
        command.current_dir(dir.path()).args(MACHINE.split_whitespace());
        command.arg("-kernel").arg(self.dir.join("vmlinuz")).arg("-initrd").arg(self.dir.join("initrd"));
        command.args(["-append", "console=ttyS0 quiet panic=0"]);
        if let Some(state) = state {
            command.arg("-incoming").arg(format!("exec:cat {}", quoted(state)));
        }
        command.stdin(Stdio::piped()).stdout(file("console")?).stderr(file("qemu.log")?);
        let mut qemu = process::spawn(command).map_err(|e| format!("setpriv {QEMU}: {e}"))?;
        let keyboard = Mutex::new(qemu.stdin.take().expect("stdin is piped"));
        match greet(&mut qemu, dir.path()) {
            Ok(qmp) => {
                let (qemu, qmp) = (Mutex::new(qemu), Mutex::new(qmp));
                let mut vm = Vm { port: 0, qemu, keyboard, qmp, commands: AtomicUsize::new(0), dir };
                vm.port = ssh_port(&vm)?;
                Ok(vm)
            }
            Err(e) => {
                qemu.kill().ok();
                qemu.wait().ok();
                let log = fs::read_to_string(dir.path().join("qemu.log")).unwrap_or_default();
                Err(format!("{e}; {}", log.trim()))
            }
        }
    }
}

/// Opens QEMU's command socket.
fn greet(qemu: &mut Child, dir: &Path) -> Result<BufReader<UnixStream>, String> {
    let connected = until(patience(), || match UnixStream::connect(dir.join("qmp")) {
        Ok(stream) => Some(Ok(stream)),
        Err(_) => qemu.try_wait().expect("a child").map(|status| Err(format!("QEMU ended ({status})"))),
    });
    let stream = connected.map_err(|e| format!("QEMU opens no command socket: {e}"))??;
    stream.set_read_timeout(Some(patience())).map_err(|e| e.to_string())?;
    let mut stream = BufReader::new(stream);
    read_qmp(&mut stream)?;
    writeln!(stream.get_mut(), "{}", json!({ "execute": "qmp_capabilities" })).map_err(|e| e.to_string())?;
    read_qmp(&mut stream)?;
    Ok(stream)
}

/// Which port QEMU has taken: choosing one beforehand would race with everybody else.
fn ssh_port(vm: &Vm) -> Result<u16, String> {
    let shown = vm.qmp_with("human-monitor-command", &json!({ "command-line": "info usernet" }))?;
    let shown = shown.as_str().unwrap_or_default();
    let line = shown.lines().find(|l| l.contains("HOST_FORWARD"));
    let port = line.and_then(|l| l.split_whitespace().nth(3)).and_then(|p| p.parse().ok());
    port.ok_or_else(|| format!("no forwarded port in {shown:?}"))
}

/// For the shell that QEMU passes it to.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn note(text: &str) {
    std::io::stderr().write_all(format!("mini guest: {text}\n").as_bytes()).expect("stderr takes a line");
}
