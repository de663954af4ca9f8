//! Preparing: what a sequence asks for is made on a simulated pool, by the program itself, once and not twice, and removed again.

use crate::support::poll;
use crate::support::xrt::{Ran, Xrt};
use serde_json::Value;
use std::collections::BTreeSet;
use xenrt::event::{Fact, Outcome};
use xenrt::sim::{Options, Simulator};
use xenrt::toolstack::{Toolstack, Watch};

/// A pool of two, a host that is to join, storage, a VLAN and VMs.
const POOL: &str = r#"<xenrt>
  <prepare>
    <pool id="0" name="lab">
      <host id="0"/><host id="1"/><host id="2" alias="third"/>
      <NETWORK>
        <PHYSICAL network="NPRI" name="Management"><NIC/><MANAGEMENT/></PHYSICAL>
        <PHYSICAL network="NSEC" name="Fast"><NIC/><STORAGE/><VLAN network="VR01" name="Tagged"><VMS/></VLAN></PHYSICAL>
      </NETWORK>
      <storage type="nfs" name="Shared" default="true"/>
      <storage type="lvmoiscsi" name="Blocks"/>
      <bridge name="private"/>
      <vm name="web">
        <distro>debian12</distro><vcpus>2</vcpus><memory>512</memory><storage>Shared</storage>
        <network device="0"/><network device="1" bridge="private"/><network device="2" bridge="Tagged"/>
        <disk device="1" size="2"/>
        <postinstall action="snapshot(name='clean')"/>
      </vm>
      <vm name="db"><distro>debian12</distro><network device="0"/><postinstall action="shutdown"/></vm>
      <template name="golden"><distro>debian12</distro></template>
    </pool>
  </prepare>
  <testsequence><parallel>
    <testcase id="on.rhai" name="web" guest="web"/>
    <testcase id="on.rhai" name="db" guest="db"/>
    <testcase id="all.rhai" name="all"/>
  </parallel></testsequence>
</xenrt>"#;

const ON: &str = "fn meta() { #{ target: \"guest\" } }\nfn run(args) { print(`on ${target().name}`); }";
const ALL: &str = "fn meta() { #{ target: \"none\" } }\nfn run(args) { print(`pool of ${pool(\"lab\").hosts().len()}`); print(`is ${host(\"third\").name}`); }";

/// A simulated pool that outlives the runs on it.
fn simulator(options: &str) -> Simulator {
    Simulator::start(options.parse::<Options>().unwrap()).unwrap()
}

/// Where the pool is, and what its site says.
fn site(simulator: &Simulator, hosts: &[String]) -> String {
    let site = "-D EXTERNAL_NFS_SERVERS/a/ADDRESS=nfs1 -D EXTERNAL_NFS_SERVERS/a/BASE=/x -D ISCSI_LUNS/a/ADDRESS=t1 \
        -D ISCSI_LUNS/a/LUN_ID=2 -D NICS/NIC1/NETWORK=NSEC -D NETWORK_CONFIG/VLANS/VR01/ID=42";
    let hosts = hosts.iter().fold(simulator.url(), |all, spare| format!("{all},{spare}"));
    format!("--existing {hosts} --host-keys ignore {site}")
}

/// The sequence in a directory of its own, with the passwords of the pool.
fn lab(simulator: &Simulator, sequence: &str) -> Xrt {
    let xrt = Xrt::new().file("pool.seq", sequence).file("on.rhai", ON).file("all.rhai", ALL);
    xrt.env("XRT_HOST_PASSWORD", simulator.password().reveal()).env("XRT_PASSWORD", simulator.ssh_password().reveal())
}

/// What a pool has, by name: everything that a preparation makes or changes.
fn there(simulator: &Simulator) -> BTreeSet<String> {
    use xenrt::time::Cancel;
    use xenrt::toolstack::xapi::{Login, Xapi};
    use xenrt::wire::ssh::HostKeys;
    use xenrt::wire::tls::Trust;
    let login = Login {
        address: simulator.url().parse().unwrap(),
        passwords: vec![simulator.password().clone()],
        trust: Trust { policy: HostKeys::Ignore, record: None },
        connect_timeout: std::time::Duration::from_secs(20),
    };
    let (xapi, cancel) = (Xapi::new(login).unwrap(), Cancel::new());
    let watch = Watch::silent(&cancel, std::time::Duration::from_secs(60));
    let mut all = BTreeSet::new();
    all.extend(
        xapi.hosts(watch).unwrap().iter().flat_map(|host| [format!("host {}", host.name), format!("address {}", host.address)]),
    );
    all.extend(xapi.guests(watch).unwrap().iter().map(|guest| format!("VM {}", guest.name)));
    all.extend(xapi.templates(watch).unwrap().iter().map(|guest| format!("template {}", guest.name)));
    all.extend(xapi.networks(watch).unwrap().iter().map(|network| format!("network {} {}", network.name, network.mtu)));
    let srs = xapi.srs(watch).unwrap();
    all.extend(srs.iter().filter(|sr| sr.is_shared).map(|sr| format!("SR {} of {}", sr.name, sr.plugs.len())));
    for sr in srs.iter().filter(|sr| sr.content == "user") {
        all.extend(xapi.volumes(&sr.reference, watch).unwrap().iter().map(|volume| format!("VDI {} {}", volume.name, volume.uuid)));
    }
    let default = xapi.pool(watch).unwrap().default_sr;
    all.extend(srs.iter().filter(|sr| Some(&sr.reference) == default.as_ref()).map(|sr| format!("default {}", sr.name)));
    let nics = xapi.nics(None, watch).unwrap();
    let host = |of: &xenrt::toolstack::Ref| {
        xapi.hosts(watch).unwrap().into_iter().find(|host| host.reference == *of).map_or(String::new(), |host| host.address)
    };
    all.extend(nics.iter().filter(|nic| nic.is_management).map(|nic| format!("{} managed by {}", host(&nic.host), nic.device)));
    all.extend(nics.iter().map(|nic| format!("NIC {} {} {:?} {:?}", nic.uuid, nic.device, nic.vlan, nic.addressing)));
    all
}

/// What a run did on machines, by what it said of it.
fn actions(ran: &Ran) -> Vec<String> {
    let what = |fact| if let Fact::ActionStarted { what, .. } = fact { Some(what) } else { None };
    ran.facts("prepare").into_iter().filter_map(what).collect()
}

#[test]
fn a_pool_is_prepared_once_and_removed_again() {
    let simulator = simulator("hosts=2,guests=1,spare=1");
    let before = there(&simulator);
    let first = site(&simulator, &simulator.spares());
    let ran = lab(&simulator, POOL).args(&format!("-s pool.seq {first}")).run().ends(0);
    assert_eq!(ran.outcome("prepare"), Outcome::Passed);
    assert_eq!((ran.said("web"), ran.said("db")), (vec!["on web".to_string()], vec!["on db".to_string()]));
    assert_eq!(ran.said("all")[0], "pool of 3");
    let after = there(&simulator);
    for made in [
        "host host3",
        "VM web",
        "VM db",
        "template golden",
        "network private 1500",
        "network Tagged 1500",
        "network Fast 1500",
        "SR Shared of 3",
        "SR Blocks of 3",
        "default Shared",
    ] {
        assert!(after.contains(made), "{made}: {after:?}");
    }
    assert!(ran.stderr.contains("xrt prepare --clean"), "{}", ran.stderr);

    let later = site(&simulator, &[]);
    let diff = ran.then(&format!("prepare -s pool.seq --diff {later}")).ends(0);
    assert!(diff.stdout.contains(" steps: ") && !diff.stdout.contains("missing"), "{}", diff.stdout);
    let twice = ran.then(&format!("prepare -s pool.seq {later}")).ends(0);
    assert_eq!(actions(&twice), [""; 0], "nothing is to be done");
    assert_eq!(there(&simulator), after, "the second time nothing changes");

    let results = ran.results.display();
    ran.then(&format!("prepare --clean {results} {later}")).ends(0);
    assert_eq!(there(&simulator), before);
}

#[test]
fn what_is_not_there_blocks_only_what_stands_on_it() {
    let simulator = simulator("hosts=2,spare=1,trouble=fail:VM.snapshot=SR_FULL");
    let site = site(&simulator, &simulator.spares());
    let ran = lab(&simulator, POOL).args(&format!("-s pool.seq --clean-up {site} -D PREPARE_WORKERS=1")).run().ends(3);
    assert_eq!(ran.outcome("prepare"), Outcome::Errored);
    assert!(ran.reason("prepare").starts_with("vm web/then 1: the SR is full (SR_FULL)"), "{}", ran.reason("prepare"));
    assert_eq!([ran.outcome("web"), ran.outcome("db"), ran.outcome("all")], [Outcome::Blocked, Outcome::Passed, Outcome::Blocked]);
    assert!(ran.reason("web").starts_with("blocked by prepare: vm web/then 1: the SR is full (SR_FULL)"), "{}", ran.reason("web"));
    let left = there(&simulator);
    assert!(!left.contains("VM web") && !left.contains("SR Shared of 3"), "--clean-up: {left:?}");
}

#[test]
fn what_was_made_before_ctrl_c_can_be_removed() {
    let simulator = simulator("hosts=2,guests=0,spare=1,trouble=delay:VM.start=60s");
    let before = there(&simulator);
    let site_of = site(&simulator, &simulator.spares());
    let mut running = lab(&simulator, POOL).args(&format!("prepare -s pool.seq {site_of}")).start();
    running.until("a VM to be started", |fact| matches!(fact, Fact::ActionStarted { what, .. } if what == "start"));
    running.signal(rustix::process::Signal::INT);
    let ran = running.wait().ends(5);
    assert_ne!(there(&simulator), before);
    let results = ran.results.display();
    ran.then(&format!("prepare --clean {results} {}", site(&simulator, &[]))).ends(0);
    assert_eq!(there(&simulator), before);
    assert!(!ran.results.join("prepared.jsonl").exists());
}

#[test]
fn a_difference_is_told_and_nothing_changed() {
    let simulator = simulator("hosts=2,spare=1");
    let before = there(&simulator);
    let site = site(&simulator, &simulator.spares());
    let ran = lab(&simulator, POOL).args(&format!("prepare -s pool.seq --diff {site}")).run().ends(1);
    for line in ["missing  vm web ", "differs  default storage lab", "there    host RESOURCE_HOST_0"] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let json: Value = serde_json::from_str(&ran.then(&format!("prepare -s pool.seq --diff --json {site}")).ends(1).stdout).unwrap();
    let steps = json["prepare"]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["id"] == "vm web" && step["state"] == "missing"), "{json}");
    assert_eq!(there(&simulator), before);
    let refused = ran.then(&format!("prepare -s pool.seq --diff {}", self::site(&simulator, &[]))).ends(3);
    assert!(refused.stdout.contains("impossible  host third"), "{}", refused.stdout);
}

#[test]
fn all_hosts_are_those_that_are_there() {
    const ALL_HOSTS: &str = r#"<xenrt><prepare><pool><allhosts/><vm name="web"><distro>debian12</distro></vm></pool></prepare>
        <testsequence><testcase id="all.rhai" name="all"/></testsequence></xenrt>"#;
    const HOSTS: &str = "fn meta() { #{ target: \"none\" } }\nfn run(args) { print(`pool of ${pool().hosts().len()}`); }";
    let xrt = || Xrt::new().file("all.seq", ALL_HOSTS).file("all.rhai", HOSTS);
    let hosts = |ran: &Ran| {
        let ids = ran.stdout.lines().filter_map(|line| line.split_whitespace().skip_while(|word| *word != "host").nth(1));
        ids.collect::<Vec<_>>().join(" ")
    };
    // How many a simulated pool will have is known before there is one.
    let shown = xrt().args("plan -s all.seq --host sim:hosts=2,spare=1").run().ends(0);
    assert_eq!(shown.stdout.matches("─ attach RESOURCE_HOST_").count(), 3, "{}", shown.stdout);
    let drawn = shown.then("plan -s all.seq --graph x.dot --host sim:hosts=2,spare=1").ends(0);
    let graph = std::fs::read_to_string(drawn.dir().join("x.dot")).unwrap();
    for edge in ["attach RESOURCE_HOST_2", "RESOURCE_HOST_2 joins the pool of RESOURCE_HOST_0", "boot web"] {
        assert_eq!(graph.matches(&format!("[label=\"{edge}\"")).count(), 1, "{edge}: {graph}");
    }
    let json: Value =
        serde_json::from_str(&shown.then("plan -s all.seq --json --host sim:hosts=2,spare=1").ends(0).stdout).unwrap();
    let steps = json["tree"]["steps"][0]["preparation"]["steps"].as_array().unwrap();
    let of = |id: &str| steps.iter().position(|step| step["id"] == id).unwrap_or_else(|| panic!("{id}: {json}"));
    assert_eq!(steps[of("vm web/boot")]["needs"], serde_json::json!([of("vm web")]), "{json}");
    let diff = xrt().args("prepare -s all.seq --diff --host sim:hosts=2,spare=1").run().ends(1);
    assert_eq!(hosts(&diff), "RESOURCE_HOST_0 RESOURCE_HOST_1 RESOURCE_HOST_2", "{}", diff.stdout);
    let ran = xrt().args("-s all.seq --host sim:hosts=2,spare=1").run().ends(0);
    assert_eq!(ran.said("all"), ["pool of 3"]);
    // Of a real one it is known once it was asked.
    let simulator = simulator("hosts=3,spare=1");
    let secret = |xrt: Xrt| {
        xrt.env("XRT_HOST_PASSWORD", simulator.password().reveal()).env("XRT_PASSWORD", simulator.ssh_password().reveal())
    };
    let at = |option: &str| format!("{option} {} --host-keys ignore", simulator.url());
    let diff = secret(xrt()).args(&format!("prepare -s all.seq --diff {}", at("--pool"))).run().ends(1);
    assert_eq!(hosts(&diff), "RESOURCE_HOST_0 RESOURCE_HOST_1 RESOURCE_HOST_2", "{}", diff.stdout);
    // Hosts that are named one by one are just those.
    let two = format!("{},{} --host-keys ignore", at("--host").trim_end_matches(" --host-keys ignore"), simulator.spares()[0]);
    let diff = secret(xrt()).args(&format!("prepare -s all.seq --diff {two}")).run().ends(1);
    assert_eq!(hosts(&diff), "RESOURCE_HOST_0 RESOURCE_HOST_1", "{}", diff.stdout);
    let ran = secret(xrt()).args(&format!("-s all.seq {two}")).run().ends(0);
    assert_eq!(ran.said("all"), ["pool of 4"], "the pool of the one, and the other");
}

/// Everything of which it is known only afterwards that it is there is found by what was written down before it was made.
#[test]
fn what_was_being_made_when_the_run_was_killed_is_removed() {
    let bonded = POOL.replace("name=\"Management\"><NIC/>", "name=\"Management\"><NIC/><NIC/>");
    // The call after something was made that never comes back, and what is then there. Until it is finished it is named after the run.
    let (vm, passing) = (["VM ", "template "], " (20");
    let windows = [
        ("VM.get_uuid", vm, passing),
        ("VM.set_name_label", vm, passing),
        ("VDI.get_uuid", ["VDI web 1"; 2], passing),
        ("SR.get_uuid", ["SR "; 2], passing),
        ("network.get_uuid", ["network "; 2], "Management 1500"),
        ("Bond.get_uuid", ["NIC "; 2], "bond0"),
        ("VLAN.get_uuid", ["NIC "; 2], "Some(42)"),
        ("host.get_uuid", ["host "; 2], "host3"),
    ];
    std::thread::scope(|scope| {
        for (call, starts, sign) in windows {
            let bonded = &bonded;
            scope.spawn(move || {
                let simulator = simulator(&format!("hosts=2,guests=0,spare=1,trouble=delay:{call}=600s"));
                let before = there(&simulator);
                let nics = "-D NICS/NIC1/NETWORK=NPRI -D NICS/NIC2/NETWORK=NSEC";
                let site_of = site(&simulator, &simulator.spares()).replace("-D NICS/NIC1/NETWORK=NSEC", nics);
                let mut running = lab(&simulator, bonded).args(&format!("prepare -s pool.seq {site_of}")).start();
                running.until("the preparation", |fact| matches!(fact, Fact::ActionStarted { .. }));
                let is_it = |line: &String| starts.iter().any(|start| line.starts_with(start)) && line.contains(sign);
                let made = poll::until(poll::patience(), || there(&simulator).iter().any(is_it).then_some(()));
                made.unwrap_or_else(|why| panic!("{call}: {why}"));
                running.signal(rustix::process::Signal::KILL);
                let ran = running.wait();
                let results = ran.results.display();
                let cleaned = ran.then(&format!("prepare --clean {results} {}", site(&simulator, &[])));
                assert_eq!(there(&simulator), before, "{call}: {}{}", cleaned.stdout, cleaned.stderr);
                cleaned.ends(0);
            });
        }
    });
}

/// A bond that takes over what a host is managed by, large frames, static and leased addresses, a VLAN, and another NIC for management.
#[test]
fn the_form_of_a_network_is_made_once_and_taken_back() {
    const FORM: &str = r#"<xenrt><prepare><pool><host id="0"/><host id="1"/>
      <NETWORK>
        <PHYSICAL network="NPRI" name="Pair" bond-mode="active-backup"><NIC/><NIC/><VMS/></PHYSICAL>
        <PHYSICAL network="NSEC" name="Fast" jumbo="yes"><NIC/><STORAGE mode="static"/><VLAN network="VR01" name="Tagged"><STORAGE/></VLAN></PHYSICAL>
        <PHYSICAL network="IPRI" name="Apart"><NIC/><MANAGEMENT/></PHYSICAL>
      </NETWORK>
      <vm name="web"><distro>debian12</distro><network device="0" bridge="Pair"/><network device="1" bridge="Tagged"/></vm>
    </pool></prepare><testsequence><testcase id="on.rhai" name="web" guest="web"/></testsequence></xenrt>"#;
    let simulator = simulator("hosts=2,guests=0");
    let before = there(&simulator);
    let hosts: Vec<String> = before.iter().filter_map(|line| line.strip_prefix("address ")).map(Into::into).collect();
    let site = format!(
        "--existing {} --host-keys ignore -D NICS/NIC1/NETWORK=NPRI -D NICS/NIC2/NETWORK=NSEC -D NICS/NIC3/NETWORK=IPRI \
         -D NETWORK_CONFIG/VLANS/VR01/ID=42",
        simulator.url()
    );
    let one = format!("{site} -D ADDRESSES/Fast=10.9.0.5/24");
    // The first is known by the address that it was given with.
    let known = hosts.iter().map(String::as_str).chain(["127.0.0.1"]).zip(1..);
    let own: String = known.map(|(host, n)| format!(" -D HOST_CONFIGS/{host}/ADDRESSES/Fast=10.9.0.{n}/24")).collect();
    let site = format!("{site}{own}");
    // One address is not for two.
    let same = lab(&simulator, FORM).args(&format!("prepare -s pool.seq {one} -D PREPARE_WORKERS=1")).run().ends(3);
    assert!(same.reason("prepare").contains("10.9.0.5 is the address of eth2 of host1 already"), "{}", same.reason("prepare"));
    same.then(&format!("prepare --clean {} {site}", same.results.display())).ends(0);
    assert_eq!(there(&simulator), before);

    let ran = lab(&simulator, FORM).args(&format!("-s pool.seq {site}")).run().ends(0);
    assert_eq!(ran.said("web"), ["on web"]);
    let after = there(&simulator);
    for (made, times) in
        [("bond0 None Dhcp", 0), ("bond0 None", 2), ("eth2 None Static", 2), ("eth2 Some(42) Dhcp", 2), ("managed by eth3", 2)]
    {
        assert_eq!(after.iter().filter(|line| line.contains(made)).count(), times, "{made}: {after:?}");
    }
    assert!(after.contains("network Fast 9000") && after.contains("network Pair 1500"), "{after:?}");
    let twice = ran.then(&format!("prepare -s pool.seq {site}")).ends(0);
    assert_eq!(actions(&twice), [""; 0], "nothing is to be done");
    assert_eq!(there(&simulator), after);
    ran.then(&format!("prepare --clean {} {site}", ran.results.display())).ends(0);
    assert_eq!(there(&simulator), before);
}

/// A file system on a disk that is in the way of the CD drive, packages by their names, and what is called afterwards, in this order.
#[test]
fn what_is_asked_for_inside_of_a_vm_is_done_there() {
    const INSIDE: &str = r#"<xenrt><prepare><host id="0"><vm name="web"><distro>debian12</distro><network device="0"/>
        <disk device="1" size="1"/><disk device="3" size="2" format="yes"/>
        <postinstall action="exec('mkdir -p /usr/local/sbin; echo &quot;echo \$* >>/root/packages&quot; >/usr/local/sbin/apt-get; chmod +x /usr/local/sbin/apt-get')"/>
        <packages>libfoo-dev,bar</packages></vm></host></prepare>
      <testsequence><testcase id="in.rhai" name="in" guest="web"/></testsequence></xenrt>"#;
    const IN: &str = r#"fn meta() { #{ target: "guest" } }
        fn run(args) { print(target().exec("df --output=target /mnt/xvdd | tail -1; cat /root/packages; ls /dev/xvd*")); }"#;
    let xrt = Xrt::new().file("in.seq", INSIDE).file("in.rhai", IN);
    let ran = xrt.args("-s in.seq --host sim").run().ends(0);
    let said = ran.said("in").join("\n");
    assert!(said.starts_with("/mnt/xvdd\n") && said.contains("/dev/xvdb"), "{said}");
    assert!(said.contains("install") && said.contains("libfoo-dev") && said.contains("bar"), "{said}");
}

/// What testcases call things when nothing is made: VMs of the shared host by their names in the sequence, hosts by their aliases.
#[test]
fn names_are_known_whoever_has_made_what_they_mean() {
    const NAMED: &str = r#"<xenrt><prepare>
        <pool id="0" name="lab"><host id="0"/><host id="1" alias="second"/><storage type="nfs" name="Shared"/><bridge name="private"/>
          <vm name="web"><distro>debian12</distro><network device="0"/></vm></pool>
        <sharedhost><vm name="srv"><distro>debian12</distro><network device="0"/></vm></sharedhost>
      </prepare><testsequence>
        <testcase id="on.rhai" name="web" guest="web"/>
        <testcase id="on.rhai" name="srv" guest="srv"/>
        <testcase id="names.rhai" name="names"/>
      </testsequence></xenrt>"#;
    const NAMES: &str = r#"fn meta() { #{ target: "none" } }
        fn run(args) { print(`${pool("lab").hosts().len()} ${host("second").name} ${guest("srv").name} ${guest("web").name}`); }"#;
    let simulator = simulator("hosts=2,guests=0");
    let lab = || lab(&simulator, NAMED).file("names.rhai", NAMES);
    let site = format!("{} -D SHARED_HOST=RESOURCE_HOST_1 -D JOBID=77", site(&simulator, &[]));
    // Without hosts there are VMs, and nothing that they stand on.
    let first = lab().args(&format!("--nohostprepare -s pool.seq {site}")).run().ends(0);
    assert_eq!(first.said("names"), ["2 host2 srv-77 web"]);
    let made = there(&simulator);
    assert!(made.contains("VM web") && made.contains("VM srv-77"), "{made:?}");
    assert!(!made.iter().any(|line| line.contains("Shared") || line.contains("private")), "{made:?}");
    let taken = first.then(&format!("--noprepare -s pool.seq {site}")).ends(0);
    assert_eq!((taken.said("srv"), taken.said("names")), (vec!["on srv-77".to_string()], vec!["2 host2 srv-77 web".to_string()]));
    assert_eq!(there(&simulator), made, "nothing was made or taken away");
    first.then(&format!("prepare --clean {} {site}", first.results.display())).ends(0);
    assert!(!there(&simulator).iter().any(|line| line.starts_with("VM ")));
}
