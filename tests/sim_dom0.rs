//! The control domains of a simulated pool: `xe` and the other tools there, over real SSH.

use crate::support::poll;
use std::time::Duration;
use xenrt::secret::Secret;
use xenrt::sim::Simulator;
use xenrt::time::Cancel;
use xenrt::toolstack::xapi::{Login as XapiLogin, Xapi};
use xenrt::toolstack::{Toolstack, Watch};
use xenrt::wire::ssh::{HostKeys, Login, Ssh, Target};
use xenrt::wire::tls::Trust;
use xenrt::wire::{Command, Output, Transport};

/// A pool with the way into its machines.
struct Pool {
    simulator: Simulator,
    xapi: Xapi,
}

impl Pool {
    fn start(options: &str) -> Pool {
        let simulator = Simulator::start(options.parse().unwrap()).unwrap();
        let address = simulator.url().replace("http://", "xapi+http://").parse().unwrap();
        let login = XapiLogin {
            address,
            passwords: vec![simulator.password().clone()],
            trust: Trust { policy: HostKeys::Ignore, record: None },
            connect_timeout: Duration::from_secs(20),
        };
        Pool { xapi: Xapi::new(login).unwrap(), simulator }
    }

    fn host(&self, name: &str) -> Ssh {
        let cancel = Cancel::new();
        let hosts = self.xapi.hosts(Watch::silent(&cancel, Duration::from_secs(30))).unwrap();
        self.ssh(&hosts.iter().find(|h| h.name == name).unwrap().address)
    }

    fn guest(&self, name: &str) -> Ssh {
        let host = self.host("host1");
        let address = say(&host, &format!("xe vm-list name-label={name} params=networks --minimal"));
        let address = address.split("; ").find_map(|pair| pair.strip_prefix("0/ip: ")).unwrap().to_string();
        self.ssh(&address)
    }

    fn ssh(&self, address: &str) -> Ssh {
        Ssh::new(Target {
            host: address.to_string(),
            port: self.simulator.ssh_port(),
            user: "root".into(),
            logins: vec![Login::Password(Secret::new(self.simulator.ssh_password().reveal()))],
            host_keys: HostKeys::Ignore,
            known_hosts: None,
            connect_timeout: Duration::from_secs(20),
        })
    }
}

fn run(ssh: &Ssh, text: &str) -> Output {
    ssh.exec(&Command::new(text, Duration::from_secs(60)), &Cancel::new()).unwrap()
}

fn say(ssh: &Ssh, text: &str) -> String {
    let output = run(ssh, text);
    assert!(output.is_success(), "{text}: {:?} {}", output.status, output.stderr.text());
    output.stdout.text().trim_end().to_string()
}

#[test]
fn xe_lists_reads_and_writes() {
    let pool = Pool::start("");
    let dom0 = pool.host("host1");
    assert_eq!(say(&dom0, "xe host-list params=name-label --minimal"), "host1,host2");
    let listed = say(&dom0, "xe vm-list name-label=guest1");
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("uuid ( RO)           : "), "{listed}");
    assert_eq!(lines[1..3], ["     name-label ( RW): guest1", "    power-state ( RO): Running"]);
    let uuid = say(&dom0, "xe vm-list name-label=guest1 --minimal");
    let script = format!(
        "xe vm-param-set uuid={uuid} other-config:colour=blue name-description='a guest' && \
         xe vm-param-get uuid={uuid} param-name=other-config param-key=colour && xe vm-param-get uuid={uuid} param-name=name-description"
    );
    assert_eq!(say(&dom0, &script), "blue\na guest");
    say(&dom0, &format!("xe vm-param-remove uuid={uuid} param-name=other-config param-key=colour"));
    assert_eq!(
        run(&dom0, &format!("xe vm-param-get uuid={uuid} param-name=other-config param-key=colour")).status,
        xenrt::wire::Status::Exited(1)
    );
    assert_eq!(
        say(&dom0, "xe template-list --minimal | tr , '\\n' | wc -l"),
        say(&dom0, "xe template-list params=uuid | grep -c '^uuid'")
    );
    let wrong = run(&dom0, "xe vm-start uuid=00000000-0000-0000-0000-000000000000");
    assert!(wrong.stderr.text().starts_with("Error code: UUID_INVALID\n"), "{}", wrong.stderr.text());
    assert!(run(&dom0, "xe vm-dance").stderr.text().starts_with("Unknown command: vm-dance"));
}

#[test]
fn xe_runs_guests_and_makes_disks() {
    let pool = Pool::start("");
    let (dom0, guest) = (pool.host("host1"), pool.guest("guest1"));
    say(&guest, "echo kept >/root/f");
    let wrong = run(&dom0, "xe vm-start vm=guest1");
    assert!(wrong.stderr.text().contains("VM_BAD_POWER_STATE"), "{}", wrong.stderr.text());
    say(&dom0, "xe vm-shutdown vm=guest1");
    assert_eq!(say(&dom0, "xe vm-list name-label=guest1 params=power-state --minimal"), "Halted");
    assert!(guest.exec(&Command::new("true", Duration::from_secs(2)), &Cancel::new()).is_err());
    let clone = say(&dom0, "xe vm-clone vm=guest1 new-name-label=copy");
    let sr = say(&dom0, "xe sr-list type=nfs --minimal");
    let sr = sr.split(',').next().unwrap();
    let disk = say(&dom0, &format!("xe vdi-create sr-uuid={sr} name-label=data virtual-size=1GiB"));
    let vbd = say(&dom0, &format!("xe vbd-create vm-uuid={clone} vdi-uuid={disk} device=1"));
    say(&dom0, "xe vm-start vm=copy on=host2");
    let copy = pool.guest("copy");
    poll::until(poll::patience(), || copy.exec(&Command::new("true", Duration::from_secs(5)), &Cancel::new()).ok()).unwrap();
    assert_eq!(say(&copy, "cat /root/f; cat /sys/block/xvdb/size"), "kept\n2097152");
    say(&dom0, &format!("xe vbd-unplug uuid={vbd}"));
    assert_eq!(say(&copy, "ls /dev/xvd[ab]"), "/dev/xvda");
    assert_eq!(say(&dom0, "xe vm-uninstall vm=copy --force"), "All objects destroyed");
    assert_eq!(say(&dom0, "xe vm-list name-label=copy --minimal"), "");
}

#[test]
fn a_guest_survives_its_image() {
    let pool = Pool::start("");
    let (dom0, guest) = (pool.host("host1"), pool.guest("guest1"));
    let cancel = Cancel::new();
    let watch = || Watch::silent(&cancel, Duration::from_secs(60));
    say(&guest, "echo kept >/root/f; ln -s f /root/link");
    let mut image = Vec::new();
    let vm = pool.xapi.guests(watch()).unwrap().into_iter().find(|g| g.name == "guest1").unwrap();
    let error = pool.xapi.export_guest(&vm.reference, &mut image, watch()).unwrap_err();
    assert!(error.what.contains("VM_BAD_POWER_STATE"), "{}", error.what);
    assert!(pool.xapi.screenshot(&vm.reference, watch()).unwrap().0.starts_with(b"\x89PNG"));
    say(&dom0, "xe vm-shutdown vm=guest1");
    let bytes = pool.xapi.export_guest(&vm.reference, &mut image, watch()).unwrap();
    assert_eq!(bytes, image.len() as u64);
    assert!(image.starts_with(b"ova.xml\0") && bytes < 4 << 20, "{bytes}");
    say(&dom0, "xe vm-uninstall vm=guest1 --force");
    let made = pool.xapi.import_guest(&mut &image[..], Some(bytes), None, watch()).unwrap();
    assert_eq!(pool.xapi.guest(&made, watch()).unwrap().name, "guest1");
    say(&dom0, "xe vm-start vm=guest1");
    let guest = pool.guest("guest1");
    assert_eq!(say(&guest, "cat /root/link"), "kept");
    let count = |class| say(&dom0, &format!("xe {class}-list --minimal"));
    let (vms, vdis) = (count("vm"), count("vdi"));
    image[700] ^= 0x55;
    image.truncate(2048);
    assert!(pool.xapi.import_guest(&mut &image[..], Some(2048), None, watch()).is_err());
    assert_eq!((count("vm"), count("vdi")), (vms, vdis), "nothing is left of an import that failed");
}

#[test]
fn a_control_domain_knows_its_host() {
    let pool = Pool::start("");
    let (dom0, guest) = (pool.host("host1"), pool.guest("guest1"));
    let script = ". /etc/xensource-inventory; xe host-list uuid=$INSTALLATION_UUID params=name-label --minimal; \
                  xe vm-list uuid=$CONTROL_DOMAIN_UUID params=is-control-domain --minimal; echo $MANAGEMENT_INTERFACE";
    assert_eq!(say(&dom0, script), "host1\ntrue\nxenbr0");
    let domid = say(&dom0, "xe vm-list name-label=guest1 params=dom-id --minimal");
    assert_eq!(say(&dom0, &format!("xenstore-read /local/domain/{domid}/name")), "guest1");
    assert_eq!(say(&guest, "xenstore-read domid"), domid);
    assert_eq!(run(&guest, "xenstore-read /local/domain/0/name").status, xenrt::wire::Status::Exited(1));
    let uuid = say(&dom0, "xe vm-list name-label=guest1 --minimal");
    assert!(say(&dom0, "list_domains").lines().any(|line| line.contains(&uuid) && line.trim_start().starts_with(&domid)));
    let mounted = say(&dom0, "ls /var/run/sr-mount | wc -l");
    assert_ne!(mounted, "0");
}

#[test]
fn a_guest_that_reboots_itself_comes_back_as_a_new_domain() {
    let pool = Pool::start("");
    let (dom0, guest) = (pool.host("host1"), pool.guest("guest1"));
    let domid = say(&dom0, "xe vm-list name-label=guest1 params=dom-id --minimal");
    let before = say(&guest, "cat /proc/sys/kernel/random/boot_id");
    say(&guest, "if [ -d /run/systemd/system ]; then systemctl reboot; else reboot; fi");
    guest.hang_up();
    let ask = || guest.exec(&Command::new("cat /proc/sys/kernel/random/boot_id", Duration::from_secs(5)), &Cancel::new()).ok();
    poll::until(poll::patience(), || ask().filter(|output| output.stdout.text().trim() != before)).unwrap();
    assert_ne!(say(&dom0, "xe vm-list name-label=guest1 params=dom-id --minimal"), domid);
    say(&guest, "poweroff; true");
    let state = || say(&dom0, "xe vm-list name-label=guest1 params=power-state --minimal");
    poll::until(poll::patience(), || (state() == "Halted").then_some(())).unwrap();
}
