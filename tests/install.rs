//! Systems that install themselves over the network, on simulated VMs that really ask the controller for their scripts and answers.

use crate::support::process;
use crate::support::skip::skip;
use crate::support::xrt::Xrt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use xenrt::event::Outcome;
use xenrt::sim::machine::Machines;
use xenrt::sim::{Options, Simulator};

/// One of each installer: that of Debian, Ubuntu's, that of Red Hat's family, and its old one, whose kernel the host starts itself.
const FAMILIES: &str = r#"<xenrt>
  <prepare><host id="0">
    <vm name="deb"><distro>debian11</distro><arch>x86-64</arch><network device="0"/><disk device="1" size="2"/></vm>
    <vm name="ubu"><distro>ubuntu2204</distro><arch>x86-64</arch><network device="0"/></vm>
    <vm name="rock"><distro>rocky9</distro><arch>x86-64</arch><network device="0"/></vm>
    <vm name="old"><distro>rhel6</distro><network device="0"/></vm>
  </host></prepare>
  <testsequence>
    <testcase id="who.rhai" name="deb" guest="deb"/><testcase id="who.rhai" name="ubu" guest="ubu"/>
    <testcase id="who.rhai" name="rock" guest="rock"/><testcase id="who.rhai" name="old" guest="old"/>
  </testsequence>
</xenrt>"#;

const WHO: &str = r#"fn meta() { #{ target: "guest" } }
fn run(args) { print(target().exec(". /etc/os-release; echo $(hostname) is $ID $VERSION_ID")); }"#;

#[test]
fn each_family_installs_itself() {
    let xrt = || Xrt::new().file("all.seq", FAMILIES).file("who.rhai", WHO);
    let ran = xrt().args("-s all.seq --host sim").run().ends(0);
    for (name, said) in
        [("deb", "deb is debian 11"), ("ubu", "ubu is ubuntu 22.04"), ("rock", "rock is rocky 9"), ("old", "old is rhel 6")]
    {
        assert_eq!(ran.said(name).last().unwrap(), said);
    }
    // It takes its time: ten simulated minutes are no less than a second at this speed.
    let slow = xrt().args("prepare -s all.seq --host sim:speed=600").run().ends(0);
    let events = slow.events();
    let took = events.last().unwrap().at.since(events[0].at);
    assert!(took > std::time::Duration::from_secs(1), "{took:?}");
}

/// A controller and a simulated site whose DHCP leads to it, or to whoever stands in between.
struct Lab {
    simulator: Simulator,
    port: u16,
}

impl Lab {
    fn new(led_to: impl FnOnce(u16) -> String) -> Lab {
        let port = Machines::free_port().unwrap();
        let options: Options = format!("guests=0{}", led_to(port)).parse().unwrap();
        Lab { simulator: Simulator::start(options).unwrap(), port }
    }

    fn xrt(&self, distro: &str, password: &str, more: &str) -> Xrt {
        let sequence = format!(
            r#"<xenrt><prepare><host id="0"><vm name="web"><distro>{distro}</distro><arch>x86-64</arch><network device="0"/></vm></host></prepare>
               <testsequence><testcase id="who.rhai" name="who" guest="web"/></testsequence></xenrt>"#
        );
        let site = format!(
            "-D XENRT_SERVER_ADDRESS=127.0.0.1 -D XENRT_SERVER_PORT={} -D RPM_SOURCE/{distro}/x86-64/HTTP=http://mirror.sim/{distro}",
            self.port
        );
        let xrt = Xrt::new().file("web.seq", sequence).file("who.rhai", WHO);
        let xrt = xrt.env("XRT_HOST_PASSWORD", self.simulator.password().reveal()).env("XRT_PASSWORD", password);
        xrt.args(&format!("{more} -s web.seq --existing {} --host-keys ignore {site}", self.simulator.url()))
    }
}

/// What the DHCP says that leads to the controller itself.
fn straight(port: u16) -> String {
    format!(",netboot=http://127.0.0.1:{port}/ipxe")
}

#[test]
fn root_has_the_password_of_the_run_and_is_installed_once() {
    let lab = Lab::new(straight);
    let ran = lab.xrt("rocky9", "it's a \"pass\" word", "").run().ends(0);
    assert_eq!(ran.said("who").last().unwrap(), "web is rocky 9");
    // The password of the simulated site does not open it.
    let site = lab.simulator.ssh_password().reveal().to_string();
    let other = lab.xrt("rocky9", &site, "").run().ends(1);
    assert_eq!(other.outcome("prepare"), Outcome::Passed, "{}", other.transcript());
    assert!(other.reason("who").starts_with("login as `root` refused"), "{}", other.reason("who"));
    let diff = lab.xrt("rocky9", "x", "prepare --diff").run().ends(0);
    assert!(!diff.stdout.contains("missing"), "{}", diff.stdout);
}

#[test]
fn an_installer_that_waits_is_told_of_with_what_it_asked_for_last() {
    type Spoil = fn(&str, &str) -> (u16, String);
    fn preseed(path: &str, page: &str) -> (u16, String) {
        match path.ends_with("/preseed.cfg") {
            true => (200, page.replace("d-i partman-auto/method string regular\n", "")),
            false => (200, page.to_string()),
        }
    }
    fn elsewhere(path: &str, page: &str) -> (u16, String) {
        (200, if path.starts_with("/ipxe") { page.replace("kickstart.cfg", "kickstart.cgf") } else { page.to_string() })
    }
    fn no_script(path: &str, page: &str) -> (u16, String) {
        if path.starts_with("/ipxe") { (404, String::new()) } else { (200, page.to_string()) }
    }
    let rows: [(&str, Spoil, &str); 3] = [
        ("debian11", preseed, "/preseed.cfg last, and not said that it is done"),
        ("rocky9", elsewhere, "/kickstart.cgf last, which there is not"),
        ("rocky9", no_script, "its installer has asked for /ipxe?mac="),
    ];
    for (distro, spoil, last) in rows {
        let lab = Lab::new(|port| format!(",netboot=http://{}/ipxe", between(port, spoil)));
        let ran = lab.xrt(distro, "x", "prepare -D PREPARE_INSTALL_TIMEOUT=2s").run().ends(3);
        let reason = ran.reason("prepare");
        assert!(reason.starts_with("vm web/boot: waited 2.0s for the installer of web to be done; last seen: "), "{reason}");
        assert!(reason.contains(last), "{last}: {reason}");
        assert_eq!(ran.stderr.matches("once more").count(), 0, "{}", ran.stderr);
    }
    let nowhere = Lab::new(|_| String::new());
    let ran = nowhere.xrt("rocky9", "x", "prepare -D PREPARE_INSTALL_TIMEOUT=1s").run().ends(3);
    assert!(ran.reason("prepare").ends_with("its installer has asked the controller for nothing"), "{}", ran.reason("prepare"));
    let help = ran.failure("prepare").help.unwrap_or_default();
    assert!(
        help.contains(&format!("does the site's DHCP lead iPXE to http://127.0.0.1:{}/ipxe?mac=${{net0/mac}}", nowhere.port)),
        "{help}"
    );
}

#[test]
fn what_cannot_be_installed_is_said_before() {
    let lab = Lab::new(straight);
    let xrt = lab.xrt("ubuntu2204", "x", "prepare --diff").run().ends(3);
    assert!(xrt.stdout.contains("the site does not say `RPM_SOURCE/ubuntu2204/x86-64/ISO`"), "{}", xrt.stdout);
    let bare = lab.xrt("rocky9", "x", "prepare --diff");
    let text = std::fs::read_to_string(bare.dir().join("web.seq")).unwrap().replace("<network device=\"0\"/>", "");
    let bare = bare.file("web.seq", text).run().ends(3);
    assert!(bare.stdout.contains("web is to be installed over the network, and has no interface"), "{}", bare.stdout);
}

/// What Debian itself says of the answers for it. (Kickstarts were looked at with pykickstart's `ksvalidator`, for RHEL 7, 8 and 9.)
#[test]
fn a_preseed_is_one_for_debconf() {
    let seen = Arc::new(Mutex::new(String::new()));
    let kept = seen.clone();
    let keep = move |path: &str, page: &str| {
        if path.ends_with("/preseed.cfg") {
            *kept.lock().unwrap() = page.to_string();
        }
        (200, page.to_string())
    };
    let lab = Lab::new(|port| format!(",netboot=http://{}/ipxe", between(port, keep)));
    lab.xrt("debian11", "x", "prepare").run().ends(0);
    let mut command = Command::new("debconf-set-selections");
    command.arg("--checkonly").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = process::spawn(command) else {
        return skip("XRT_REQUIRE_DEBCONF", "no debconf-set-selections is installed: apt-get install debconf");
    };
    child.stdin.take().unwrap().write_all(seen.lock().unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
    assert!(output.status.success() && said.is_empty() && seen.lock().unwrap().contains("d-i passwd/root-password"), "{said}");
}

/// A server that stands between machines and the controller, and changes what it says: where it is.
fn between(port: u16, spoil: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // It ends with the tests.
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let Some(path) = request.split(' ').nth(1) else { continue };
            let mut behind = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(behind, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = String::new();
            behind.read_to_string(&mut answer).unwrap();
            let page = answer.split_once("\r\n\r\n").map_or("", |(_, page)| page);
            // What is asked for next comes by here too.
            let page =
                if path.starts_with("/ipxe") { page.replace(&format!("127.0.0.1:{port}"), &own.to_string()) } else { page.into() };
            let (status, page) = spoil(path, &page);
            let status = if answer.contains(" 200 ") { status } else { 404 };
            write!(stream, "HTTP/1.0 {status} x\r\n\r\n{page}").ok();
        }
    });
    own
}
