//! A machine that starts from the network: it asks for its script and its answers as a real one would, from its own address, does what they
//! say, and has a system then. What it is not told it waits for, and so for ever.
//!
//! Only what is on this machine is really asked; a mirror elsewhere is part of what is simulated, and has everything.

use super::boot::Boot;
use super::shared::Shared;
use super::skeleton;
use super::spec::Spec;
use super::unattended::{self, Answers, Form};
use crate::sim::clock::pace;
use crate::sim::inside::{Machine, Netboot};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// How long a page may take, and how large it may be.
const PAGE: Duration = Duration::from_secs(20);
const LARGEST: u64 = 8 << 20;
/// How a password is kept on a disk that was installed.
const MARK: &str = "$sim$";

/// Installs a system on a machine, if what it is led to says how.
pub(super) async fn run(shared: Arc<Shared>, machine: Machine, from: Netboot) {
    if let Err(why) = install(&shared, &machine, from).await {
        tracing::info!("{}: its installer waits: {why}", machine.name);
    }
}

async fn install(shared: &Shared, machine: &Machine, from: Netboot) -> Result<(), String> {
    let (arguments, origin) = match from {
        Netboot::Script(url) => script(&get(machine.address, &url).await?, machine.address).await?,
        Netboot::Kernel { arguments, repository } => (arguments, repository),
    };
    let (form, url) = led(&arguments).ok_or_else(|| format!("nothing in `{arguments}` says where its answers are"))?;
    let text = match form {
        Form::Autoinstall => {
            // Without the one the other is not looked at.
            get(machine.address, &format!("{url}meta-data")).await?;
            get(machine.address, &format!("{url}user-data")).await?
        }
        _ => get(machine.address, &url).await?,
    };
    let answers = unattended::read(form, &text).map_err(|why| format!("{url}: {why}"))?;
    let mut spec = Spec::of(machine);
    let disk = spec.system_disk().map(|disk| disk.vdi.clone()).ok_or("it has no disk")?;
    let outside = shared.outside().ok_or("the pool is gone")?;
    tokio::time::sleep(outside.real(pace::INSTALL)).await;
    spec.name.clone_from(&answers.hostname);
    spec.distro = system(form, &format!("{origin} {arguments} {text}"));
    write(shared, &disk, &spec, &answers).map_err(|error| error.to_string())?;
    for page in answers.pages() {
        get(machine.address, &page).await?;
    }
    outside.system_installed(&disk, &spec.distro);
    outside.machine_did(&machine.uuid, answers.end);
    Ok(())
}

/// What a script for iPXE leads to: what the kernel is told, and where it is from.
async fn script(text: &str, by: Ipv4Addr) -> Result<(String, String), String> {
    if !text.starts_with("#!ipxe\n") {
        return Err("what it is led to is no script for iPXE".into());
    }
    let mut found = None;
    for line in text.lines().map(str::trim) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("kernel", rest) => {
                let (url, arguments) = rest.trim().split_once(' ').unwrap_or((rest, ""));
                get(by, url).await?;
                found = Some((arguments.to_string(), url.to_string()));
            }
            ("initrd", url) => drop(get(by, url.trim()).await?),
            ("boot", _) => return found.ok_or_else(|| "the script has no kernel".into()),
            _ => {}
        }
    }
    Err("the script boots nothing".into())
}

/// Where the answers are, by what the kernel is told.
fn led(arguments: &str) -> Option<(Form, String)> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).map(str::to_string);
    if let Some(url) = value("inst.ks=").or_else(|| value("ks=")) {
        return Some((Form::Kickstart, url));
    }
    let seed = value("ds=nocloud-net;s=").or_else(|| value("ds=nocloud;s="));
    if let Some(url) = seed.filter(|_| words.contains(&"autoinstall")) {
        return Some((Form::Autoinstall, url));
    }
    let is_auto = words.contains(&"auto=true") || words.contains(&"auto");
    value("preseed/url=").or_else(|| value("url=").filter(|_| is_auto)).map(|url| (Form::Preseed, url))
}

/// Names of releases, as they stand in the paths of mirrors.
const RELEASES: &[(&str, &str)] =
    &[("bookworm", "debian12"), ("bullseye", "debian11"), ("jammy", "ubuntu2204"), ("noble", "ubuntu2404"), ("trixie", "debian13")];

/// Which system it is that was installed, as far as where it is from tells that.
fn system(form: Form, from: &str) -> String {
    let from = from.to_lowercase();
    if let Some((_, system)) = RELEASES.iter().find(|(name, _)| from.contains(&format!("/{name}/"))) {
        return (*system).to_string();
    }
    let number = |after: &str| -> String {
        let rest = from.split_once(after).map_or("", |(_, rest)| rest).trim_start_matches(['/', '-']);
        rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').filter(|c| *c != '.').collect()
    };
    let families: &[&str] = match form {
        Form::Kickstart => &["rocky", "almalinux", "centos", "rhel"],
        Form::Autoinstall => &["ubuntu"],
        Form::Preseed => &["debian", "ubuntu"],
    };
    let found = families.iter().map(|family| (family, number(family))).find(|(_, number)| !number.is_empty());
    found.map_or_else(
        || families[families.len() - 1].to_string(),
        |(family, number)| {
            let digits = if *family == "ubuntu" { 4 } else { 2 };
            format!("{family}{}", &number[..number.len().min(digits)])
        },
    )
}

fn write(shared: &Shared, disk: &str, spec: &Spec, answers: &Answers) -> io::Result<()> {
    shared.store.forget(disk)?;
    let tree = shared.store.tree(disk);
    skeleton::make_system(&tree, spec)?;
    let permit = if answers.lets_root_in() { "yes" } else { "prohibit-password" };
    fs::create_dir_all(tree.join("etc/ssh"))?;
    fs::write(tree.join("etc/ssh/sshd_config"), format!("PermitRootLogin {permit}\n"))?;
    let salt = uuid::Uuid::new_v4().simple().to_string();
    fs::write(tree.join("etc/shadow"), format!("root:{MARK}{salt}${}:19000:0:99999:7:::\n", digest(&salt, &answers.password)))
}

fn digest(salt: &str, password: &str) -> String {
    Sha256::digest(format!("{salt}${password}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether root of a system that was installed may log in with a password; nothing for a system that was not.
pub(super) fn lets_in(boot: &Boot, password: &str) -> Option<bool> {
    let (tree, _) = boot.places();
    let kept = kept(tree)?;
    let (salt, known) = kept.split_once('$')?;
    let config = fs::read_to_string(tree.join("etc/ssh/sshd_config")).unwrap_or_default();
    Some(known == digest(salt, password) && config.lines().any(|line| line.trim() == "PermitRootLogin yes"))
}

/// Whether the system of a machine was installed by its answers.
pub(super) fn is_installed(boot: &Boot) -> bool {
    kept(boot.places().0).is_some()
}

fn kept(tree: &Path) -> Option<String> {
    let text = fs::read_to_string(tree.join("etc/shadow")).ok()?;
    let entry = text.lines().find_map(|line| line.strip_prefix("root:"))?.split(':').next()?;
    entry.strip_prefix(MARK).map(str::to_string)
}

/// Asks for a page, from the machine's address.
async fn get(by: Ipv4Addr, url: &str) -> Result<String, String> {
    let (host, path) = parts(url).ok_or_else(|| format!("`{url}` is no address"))?;
    let server = match host.parse::<SocketAddr>().or_else(|_| host.parse::<IpAddr>().map(|ip| SocketAddr::from((ip, 80)))) {
        Ok(server) if server.ip().is_loopback() => server,
        _ => return Ok(String::new()),
    };
    let talk = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((by, 0)))?;
        let mut stream = socket.connect(server).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: installer\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(PAGE, talk).await.map_err(|_| format!("{url} does not answer"))?;
    let answer = answer.map_err(|error| format!("{url}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{url}: what answers speaks no HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_string()) } else { Err(format!("{url}: {status}")) }
}

/// Host with port, and path.
fn parts(url: &str) -> Option<(&str, String)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (!host.is_empty()).then(|| (host, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_where_its_answers_are() {
        for (arguments, expected) in [
            ("auto=true priority=critical preseed/url=http://c/p", Some((Form::Preseed, "http://c/p"))),
            ("auto=true url=http://c/p", Some((Form::Preseed, "http://c/p"))),
            ("url=http://m/live.iso autoinstall ds=nocloud-net;s=http://c/t/", Some((Form::Autoinstall, "http://c/t/"))),
            ("url=http://m/live.iso ds=nocloud-net;s=http://c/t/", None),
            ("inst.repo=http://m inst.ks=http://c/k inst.text", Some((Form::Kickstart, "http://c/k"))),
            ("ks=http://c/k", Some((Form::Kickstart, "http://c/k"))),
            ("graphical utf8", None),
        ] {
            assert_eq!(led(arguments), expected.map(|(form, url)| (form, url.to_string())), "{arguments}");
        }
    }

    #[test]
    fn where_a_system_is_from_says_which_it_is() {
        for (form, from, expected) in [
            (Form::Preseed, "http://m/debian/dists/bookworm/main/x/linux", "debian12"),
            (Form::Preseed, "http://m/x", "ubuntu"),
            (Form::Kickstart, "http://m/rocky/9/BaseOS/vmlinuz", "rocky9"),
            (Form::Kickstart, "http://m/rhel6.10/x", "rhel61"),
            (Form::Autoinstall, "http://m/releases/22.04/netboot ubuntu-22.04.5-live.iso", "ubuntu2204"),
        ] {
            assert_eq!(system(form, from), expected, "{from}");
        }
    }
}
