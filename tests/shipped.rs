//! What the program brings for sequences: the sequences themselves, each run; the first example; the template; the manual, whose every
//! example and word is held against the grammar.

use crate::support::vm::Vm;
use crate::support::xrt::{Ran, Xrt};
use std::collections::BTreeSet;
use std::path::Path;
use xenrt::diagnostic::Severity;
use xenrt::event::{Outcome, Verdict};
use xenrt::sequence::{Asked, Filter, Library, Mode};
use xenrt::vars::Variables;

const MANUAL: &str = include_str!("../src/cli/xrt/help/sequences.txt");
const PREPARE: &str = include_str!("../src/cli/xrt/help/prepare.txt");
const CONSTRUCTS: &str = include_str!("../sequences/constructs.seq");

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a sequence that is inside the program.
fn run(name: &str, words: &str) -> Ran {
    // The rest of the machine's tools stand where a plain user does not look.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Xrt::new().args("-s").arg(name).args(words).args("--no-logs --plain").env("PATH", path).run()
}

/// The testcases and clean-ups with how they ended.
fn outcomes(ran: &Ran) -> Vec<(String, Option<Outcome>)> {
    ran.summary().cases().iter().map(|case| (case.id.to_string(), case.outcome)).collect()
}

#[track_caller]
fn all_passed(ran: &Ran, count: usize) {
    let outcomes = outcomes(ran);
    let is_fine = |(_, outcome): &&(String, Option<Outcome>)| outcome.is_some_and(|o| o.is_pass());
    assert_eq!(outcomes.iter().filter(is_fine).count(), count, "{outcomes:?}\n{}", ran.transcript());
    assert_eq!(outcomes.len(), count, "{}", ran.transcript());
}

#[test]
fn the_smoke_sequence_passes_on_this_machine() {
    let ran = run("smoke", "--guest local").ends(0);
    all_passed(&ran, 9);
    assert_eq!(ran.summary().verdict(), Verdict::Passed);
}

#[test]
fn the_benchmark_sequence_measures_with_what_every_guest_has() {
    let ran = run("benchmarks.seq", "--guest local -D SECONDS=1 -D SIZE=1MiB -D TOOLS=builtin").ends(0);
    all_passed(&ran, 5);
    let metrics: usize = ran.summary().cases().iter().map(|case| case.notes().metrics.len()).sum();
    assert!(metrics > 15, "{metrics} values\n{}", ran.transcript());
    let planned = ran.then("plan -s benchmarks.seq").ends(0).stdout;
    assert!(planned.contains("12 testcases") && planned.contains("benchmarks/stress duration=5m"), "{planned}");
}

#[test]
fn the_guest_sequence_reboots_a_guest_and_puts_it_away() {
    let Some(vm) = Vm::start() else { return };
    let ran = run("guestops", &format!("--guest {} -D LOOPS=1 -D SECONDS=1", vm.guest())).ends(0);
    all_passed(&ran, 5);
    assert_eq!(ran.outcome("Guest/TCShutdown"), Outcome::Passed);
    let planned = ran.then("plan -s guestops -D KEEP=yes").ends(0).stdout;
    assert!(planned.contains("no: `yes` is not `no`") && !planned.contains("TCShutdown"), "{planned}");
}

#[test]
fn the_provisioning_sequence_is_prepared_on_a_simulated_pool_and_needs_hosts() {
    let ran = run("provision", "--host sim").ends(0);
    assert_eq!(ran.outcome("prepare"), Outcome::Passed);
    let ran = run("provision", "").ends(3);
    assert_eq!(ran.outcome("prepare"), Outcome::Errored);
    assert!(ran.reason("prepare").starts_with("host RESOURCE_HOST_0: this run has no machine"), "{}", ran.reason("prepare"));
    insta::assert_snapshot!(ran.then("plan -s provision -D DISTRO=rocky9").ends(0).stdout, @r#"
    provision  builtin:provision.seq

    prepare
      pool lab: master RESOURCE_HOST_0
        host RESOURCE_HOST_0: master, xenserver
        host second: on RESOURCE_HOST_1, xenserver
        internal network private
        storage Shared: nfs, default, over NPRI
        storage Blocks: lvmoiscsi
        storage Files: extoiscsi, jumbo frames
        VM web: rocky9, x86-64, 2 vCPUs, 2048 MB, on Blocks
          interface 0: primary network
          interface 1: private
          disk 1: 10 GB
          then: installDrivers, snapshot(name="clean")
        VM worker-0: rocky9, 512 MB
          interface 0: primary network
        VM worker-1: rocky9, 512 MB
          interface 0: primary network
        template golden: rocky9
          interface 0: primary network

    ↓ serial
    └─ ▶ prepare  Provision what the sequence asks for
       ├─ attach RESOURCE_HOST_0
       │  ├─ make the internal network private  after join lab/second
       │  ├─ make the SR Shared (nfs)  after join lab/second
       │  │  └─ Shared is the default SR
       │  │     ├─ install rocky9 as worker-0  after host RESOURCE_HOST_0 and join lab/second
       │  │     │  ├─ interface 0 of worker-0 on the primary network
       │  │     │  └─ boot worker-0
       │  │     ├─ install rocky9 as worker-1  after host RESOURCE_HOST_0 and join lab/second
       │  │     │  ├─ interface 0 of worker-1 on the primary network
       │  │     │  └─ boot worker-1
       │  │     └─ install rocky9 as golden  after host RESOURCE_HOST_0 and join lab/second
       │  │        ├─ interface 0 of golden on the primary network
       │  │        ├─ boot golden
       │  │        └─ golden becomes a template
       │  ├─ make the SR Blocks (lvmoiscsi)  after join lab/second
       │  │  └─ install rocky9 as web  after host RESOURCE_HOST_0 and join lab/second
       │  │     ├─ disk 1 of web, 10 GB
       │  │     ├─ interface 0 of web on the primary network
       │  │     ├─ interface 1 of web on private  after network lab/private
       │  │     ├─ boot web
       │  │     ├─ installDrivers on web
       │  │     └─ snapshot(name="clean") on web
       │  └─ make the SR Files (extoiscsi)  after join lab/second
       └─ attach RESOURCE_HOST_1
          └─ second joins the pool of RESOURCE_HOST_0  after host RESOURCE_HOST_0
             └─ the pool lab of 2 hosts  after host RESOURCE_HOST_0

    0 testcases, 1 action
    to pass: the preparation; there are no tests
    "#);
    // It has nothing but its preparation.
    ran.then("-s provision --noprepare").ends(4);
    ran.then("plan -s provision --noprepare").ends(4);
}

#[test]
fn the_sequence_of_all_constructs_runs_without_its_preparation() {
    let ran = run("constructs", "-D CLIOPTIONS/NOPREPARE=yes").ends(0);
    let bad: Vec<_> = outcomes(&ran).into_iter().filter(|(_, outcome)| outcome.is_none_or(|o| o.is_bad())).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(ran.outcome("Guest-mail/NotForServers"), Outcome::Skipped);
    // The tests of the cloud test runner, which the usual values leave out.
    let ran = ran.then("-s constructs --noprepare --lenient -D CLOUD=yes --run TestDeploy").ends(3);
    assert_eq!(ran.outcome("suites/smoke/TestDeploy"), Outcome::Errored);
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are what is expected")]
fn the_plan_of_all_constructs() {
    insta::assert_snapshot!(Xrt::new().args("plan -s constructs").run().ends(0).stdout, @r#"
    constructs  builtin:constructs.seq

    preprepare
      host RESOURCE_HOST_3: xenserver, no ISO storage

    prepare
      private network isolated
      pool lab: master first, SSL
        host first: master, on RESOURCE_HOST_0, xenserver, licensed, no ISO storage
        host RESOURCE_HOST_1: xenserver Tampa, local storage lvm, 2 disks, governor performance, static address, IOMMU, supplemental packs drivers, no firewall
        network: switch controller web
          Management: on NPRI, 1 NIC (0), 1G, management by DHCP
          Fast: on NSEC, 2 NICs, bond active-backup, jumbo frames, storage at a static address
            VLAN Tagged: on VR01, VMs
        internal network private
        storage Shared: nfs, default, jumbo frames, over NSEC
        storage Blocks: lvmoiscsi, LUN from a VM, 100 GB, from a VM on first
        storage Files: extoiscsi
        VM web: debian12, x86-64, 2 vCPUs, 1 a socket, 2048 MB, on Blocks, booted with console=ttyS0
          interface 0: primary network
          interface 1: private, static 10.0.0.8
          interface passed through: Fast
          disk 0: 20 GB
          disk 1: 10 GB, formatted
          disk 2: 10 GB, formatted
          platform: viridian=false, nx=true
          then: installDrivers, snapshot(name="clean")
          packages: fio, iperf3
        VM desktop: win10-x64, 4096 MB
          interface 0: primary network
          then: installDrivers, script provision.cmd
        VM appliance: from http://images.example.org/appliance.xva
        VM clone-0: debian12
          interface 0: primary network
        VM clone-1: debian12
          interface 0: primary network
        VM clone-2: debian12
          interface 0: primary network
        VM clone-3: debian12
          interface 0: primary network
        template golden: rocky9
      every machine of the run from 4 to 6: none is known: give them with --host
      host nested: as vhost-nested, nested on RESOURCE_HOST_3 with 4 vCPUs, 8192 MB and a disk of 100 GB, xenserver, IPv6 dhcp, no IPv4
      host RESOURCE_HOST_2: kvm rhel63-x64, local storage no, no ISO storage
      shared host
        VM helper: debian12
      cloud: 1 zone
      cloud template debian12: zone zone1, KVM
      cloud instance in-the-cloud: debian12, zone zone1, 1 vCPU, 1024 MB, disk of 10 GB, no tools
      blueprint shop: version 2

    ↓ serial Everything
    ├─ ▶ preprepare                            Provision what the sequence asks for
    │  └─ attach RESOURCE_HOST_3
    ├─ ▶ prepare                               Provision what the sequence asks for
    │  ├─ attach RESOURCE_HOST_0
    │  │  ├─ make the internal network private  after join lab/RESOURCE_HOST_1
    │  │  ├─ the NIC of RESOURCE_HOST_0 on NPRI is the network Management
    │  │  │  ├─ RESOURCE_HOST_0 has an address by DHCP on Management, and is managed there
    │  │  │  └─ a bond of 2 NICs of RESOURCE_HOST_0 is the network Fast  after host first
    │  │  │     ├─ a VLAN of RESOURCE_HOST_0 is the network Tagged
    │  │  │     └─ RESOURCE_HOST_0 has a static address on Fast
    │  │  │        └─ RESOURCE_HOST_0 has no address elsewhere  after network lab/Fast on RESOURCE_HOST_0 and address RESOURCE_HOST_0/Management
    │  │  ├─ make the private network isolated
    │  │  ├─ make the SR Blocks (lvmoiscsi)  after join lab/RESOURCE_HOST_1
    │  │  │  └─ install debian12 as web  after host first and join lab/RESOURCE_HOST_1
    │  │  │     ├─ disk 0 of web, 20 GB
    │  │  │     ├─ disk 1 of web, 10 GB
    │  │  │     ├─ disk 2 of web, 10 GB
    │  │  │     ├─ interface 0 of web on the primary network
    │  │  │     ├─ interface 1 of web on private  after network lab/private
    │  │  │     ├─ a NIC that is passed through: not possible
    │  │  │     ├─ boot web
    │  │  │     ├─ a file system on disk 1 of web
    │  │  │     ├─ a file system on disk 2 of web
    │  │  │     ├─ installDrivers on web
    │  │  │     ├─ snapshot(name="clean") on web
    │  │  │     ├─ install fio, iperf3 on web
    │  │  │     └─ web with the static address 10.0.0.8: not possible
    │  │  └─ make the SR Files (extoiscsi)  after join lab/RESOURCE_HOST_1
    │  ├─ attach RESOURCE_HOST_1
    │  │  └─ RESOURCE_HOST_1 joins the pool of first  after host first
    │  │     ├─ the pool lab of 2 hosts  after host first
    │  │     ├─ the NIC of RESOURCE_HOST_1 on NPRI is the network Management
    │  │     │  ├─ RESOURCE_HOST_1 has an address by DHCP on Management, and is managed there
    │  │     │  └─ a bond of 2 NICs of RESOURCE_HOST_1 is the network Fast  after join lab/RESOURCE_HOST_1
    │  │     │     ├─ a VLAN of RESOURCE_HOST_1 is the network Tagged
    │  │     │     ├─ RESOURCE_HOST_1 has a static address on Fast
    │  │     │     │  └─ RESOURCE_HOST_1 has no address elsewhere  after network lab/Fast on RESOURCE_HOST_1 and address RESOURCE_HOST_1/Management
    │  │     │     └─ make the SR Shared (nfs)  after host first and network lab/Fast on RESOURCE_HOST_0 and join lab/RESOURCE_HOST_1
    │  │     │        └─ Shared is the default SR
    │  │     │           ├─ install win10-x64 as desktop  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of desktop on the primary network
    │  │     │           │  ├─ boot desktop
    │  │     │           │  ├─ installDrivers on desktop
    │  │     │           │  └─ script provision.cmd on desktop
    │  │     │           ├─ import http://images.example.org/appliance.xva as appliance  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  └─ boot appliance
    │  │     │           ├─ install debian12 as clone-0  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-0 on the primary network
    │  │     │           │  └─ boot clone-0
    │  │     │           ├─ install debian12 as clone-1  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-1 on the primary network
    │  │     │           │  └─ boot clone-1
    │  │     │           ├─ install debian12 as clone-2  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-2 on the primary network
    │  │     │           │  └─ boot clone-2
    │  │     │           ├─ install debian12 as clone-3  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-3 on the primary network
    │  │     │           │  └─ boot clone-3
    │  │     │           └─ install rocky9 as golden  after host first and join lab/RESOURCE_HOST_1
    │  │     │              ├─ boot golden
    │  │     │              └─ golden becomes a template
    │  │     └─ make the private network isolated
    │  ├─ the VM web as the switch controller: not possible
    │  ├─ the VM web as the switch controller: not possible
    │  ├─ a VM on RESOURCE_HOST_3 that plays the host nested: not possible
    │  │  └─ make the private network isolated
    │  ├─ a host of the product kvm: not possible
    │  │  └─ make the private network isolated
    │  ├─ attach SHARED_HOST
    │  │  └─ install debian12 as helper
    │  │     └─ boot helper
    │  ├─ cloud: not possible
    │  ├─ templates of a cloud: not possible
    │  ├─ instances of a cloud: not possible
    │  └─ blueprints of a cloud: not possible
    ├─ ↓ serial Basics  blocker
    │  ├─ ● Basics/TCDummySleep                dummy/blocker seconds=0.01            P1, blocker, TC-100
    │  ├─ ● Special/Breathe                    dummy/sleep seconds=0.01              P3, after Basics/TCDummySleep, limit 5m00, 2 retries, TC-101, sku Enterprise
    │  └─ ● Basics/TCDummyPerf                 dummy/perf                            P2, TC-100
    ├─ ▶ sleep                                 Wait 0.01 s
    ├─ ▶ preprepare#2                          Provision what the sequence asks for
    │  └─ attach RESOURCE_HOST_3
    ├─ ▶ prepare#2                             Provision what the sequence asks for
    │  ├─ attach RESOURCE_HOST_0
    │  │  ├─ make the internal network private  after join lab/RESOURCE_HOST_1
    │  │  ├─ the NIC of RESOURCE_HOST_0 on NPRI is the network Management
    │  │  │  ├─ RESOURCE_HOST_0 has an address by DHCP on Management, and is managed there
    │  │  │  └─ a bond of 2 NICs of RESOURCE_HOST_0 is the network Fast  after host first
    │  │  │     ├─ a VLAN of RESOURCE_HOST_0 is the network Tagged
    │  │  │     └─ RESOURCE_HOST_0 has a static address on Fast
    │  │  │        └─ RESOURCE_HOST_0 has no address elsewhere  after network lab/Fast on RESOURCE_HOST_0 and address RESOURCE_HOST_0/Management
    │  │  ├─ make the private network isolated
    │  │  ├─ make the SR Blocks (lvmoiscsi)  after join lab/RESOURCE_HOST_1
    │  │  │  └─ install debian12 as web  after host first and join lab/RESOURCE_HOST_1
    │  │  │     ├─ disk 0 of web, 20 GB
    │  │  │     ├─ disk 1 of web, 10 GB
    │  │  │     ├─ disk 2 of web, 10 GB
    │  │  │     ├─ interface 0 of web on the primary network
    │  │  │     ├─ interface 1 of web on private  after network lab/private
    │  │  │     ├─ a NIC that is passed through: not possible
    │  │  │     ├─ boot web
    │  │  │     ├─ a file system on disk 1 of web
    │  │  │     ├─ a file system on disk 2 of web
    │  │  │     ├─ installDrivers on web
    │  │  │     ├─ snapshot(name="clean") on web
    │  │  │     ├─ install fio, iperf3 on web
    │  │  │     └─ web with the static address 10.0.0.8: not possible
    │  │  └─ make the SR Files (extoiscsi)  after join lab/RESOURCE_HOST_1
    │  ├─ attach RESOURCE_HOST_1
    │  │  └─ RESOURCE_HOST_1 joins the pool of first  after host first
    │  │     ├─ the pool lab of 2 hosts  after host first
    │  │     ├─ the NIC of RESOURCE_HOST_1 on NPRI is the network Management
    │  │     │  ├─ RESOURCE_HOST_1 has an address by DHCP on Management, and is managed there
    │  │     │  └─ a bond of 2 NICs of RESOURCE_HOST_1 is the network Fast  after join lab/RESOURCE_HOST_1
    │  │     │     ├─ a VLAN of RESOURCE_HOST_1 is the network Tagged
    │  │     │     ├─ RESOURCE_HOST_1 has a static address on Fast
    │  │     │     │  └─ RESOURCE_HOST_1 has no address elsewhere  after network lab/Fast on RESOURCE_HOST_1 and address RESOURCE_HOST_1/Management
    │  │     │     └─ make the SR Shared (nfs)  after host first and network lab/Fast on RESOURCE_HOST_0 and join lab/RESOURCE_HOST_1
    │  │     │        └─ Shared is the default SR
    │  │     │           ├─ install win10-x64 as desktop  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of desktop on the primary network
    │  │     │           │  ├─ boot desktop
    │  │     │           │  ├─ installDrivers on desktop
    │  │     │           │  └─ script provision.cmd on desktop
    │  │     │           ├─ import http://images.example.org/appliance.xva as appliance  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  └─ boot appliance
    │  │     │           ├─ install debian12 as clone-0  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-0 on the primary network
    │  │     │           │  └─ boot clone-0
    │  │     │           ├─ install debian12 as clone-1  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-1 on the primary network
    │  │     │           │  └─ boot clone-1
    │  │     │           ├─ install debian12 as clone-2  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-2 on the primary network
    │  │     │           │  └─ boot clone-2
    │  │     │           ├─ install debian12 as clone-3  after host first and join lab/RESOURCE_HOST_1
    │  │     │           │  ├─ interface 0 of clone-3 on the primary network
    │  │     │           │  └─ boot clone-3
    │  │     │           └─ install rocky9 as golden  after host first and join lab/RESOURCE_HOST_1
    │  │     │              ├─ boot golden
    │  │     │              └─ golden becomes a template
    │  │     └─ make the private network isolated
    │  ├─ the VM web as the switch controller: not possible
    │  ├─ the VM web as the switch controller: not possible
    │  ├─ a VM on RESOURCE_HOST_3 that plays the host nested: not possible
    │  │  └─ make the private network isolated
    │  ├─ a host of the product kvm: not possible
    │  │  └─ make the private network isolated
    │  ├─ attach SHARED_HOST
    │  │  └─ install debian12 as helper
    │  │     └─ boot helper
    │  ├─ cloud: not possible
    │  ├─ templates of a cloud: not possible
    │  ├─ instances of a cloud: not possible
    │  └─ blueprints of a cloud: not possible
    ├─ ⇉ parallel Guests  2 at a time
    │  └─ ◇ for NAME,DISTRO  3 rounds: (web, debian12), (db, rocky9), (mail, debian12)
    │     ├─ ↓ serial Guest-web
    │     │  ├─ ● Guest-web/Install            dummy/sleep seconds=0.01              P2, blocker, on web, sku debian12
    │     │  ├─ ◇ ifin  yes: `debian12` is in `debian12,rocky9`
    │     │  │  └─ ● Guest-web/TCThread        dummy/parallel seconds=0.01           P2, on web, semaphore tcthread, sku debian12
    │     │  ├─ ◇ ifnotin  no: `web` is in `web,db`
    │     │  ├─ ◇ ifeq  yes: `web` is `web`
    │     │  │  └─ ● Guest-web/Serve           dummy/sleep seconds=0.01              P2, on web, sku debian12
    │     │  ├─ ◇ ifnoteq  no: `web` is `web`
    │     │  └─ ↺ finally
    │     │     └─ ● Guest-web/Shutdown        dummy/sleep seconds=0.01              P2, on web, sku debian12
    │     ├─ ↓ serial Guest-db
    │     │  ├─ ● Guest-db/Install             dummy/sleep seconds=0.01              P2, blocker, on db, sku rocky9
    │     │  ├─ ◇ ifin  yes: `rocky9` is in `debian12,rocky9`
    │     │  │  └─ ● Guest-db/TCThread         dummy/parallel seconds=0.01           P2, on db, semaphore tcthread, sku rocky9
    │     │  ├─ ◇ ifnotin  no: `db` is in `web,db`
    │     │  ├─ ◇ ifeq  no: `db` is not `web`
    │     │  ├─ ◇ ifnoteq  yes: `db` is not `web`
    │     │  │  └─ ● Guest-db/Rest             dummy/sleep seconds=0.01              P2, on db, sku rocky9
    │     │  └─ ↺ finally
    │     │     └─ ● Guest-db/Shutdown         dummy/sleep seconds=0.01              P2, on db, sku rocky9
    │     └─ ↓ serial Guest-mail
    │        ├─ ● Guest-mail/Install           dummy/sleep seconds=0.01              P2, blocker, on mail, sku debian12
    │        ├─ ◇ ifin  yes: `debian12` is in `debian12,rocky9`
    │        │  └─ ● Guest-mail/TCThread       dummy/parallel seconds=0.01           P2, on mail, semaphore tcthread, sku debian12
    │        ├─ ◇ ifnotin  yes: `mail` is not in `web,db`
    │        │  └─ ● Guest-mail/NotForServers  dummy/skip                            P2, on mail, sku debian12
    │        ├─ ◇ ifeq  no: `mail` is not `web`
    │        ├─ ◇ ifnoteq  yes: `mail` is not `web`
    │        │  └─ ● Guest-mail/Rest           dummy/sleep seconds=0.01              P2, on mail, sku debian12
    │        └─ ↺ finally
    │           └─ ● Guest-mail/Shutdown       dummy/sleep seconds=0.01              P2, on mail, sku debian12
    ├─ ◇ for NAME  2 of 4 rounds: beta, gamma
    │  ├─ ↓ serial Letters-beta
    │  │  └─ ◇ include look  with WHAT=beta
    │  │     ├─ ● Letters-beta/Look-beta       dummy/sleep seconds=0.01              P2
    │  │     └─ ● Letters-beta/TCThread        dummy/parallel seconds=0.01           P2, semaphore tcthread
    │  └─ ↓ serial Letters-gamma
    │     └─ ◇ include look  with WHAT=gamma
    │        ├─ ● Letters-gamma/Look-gamma     dummy/sleep seconds=0.01              P2
    │        └─ ● Letters-gamma/TCThread       dummy/parallel seconds=0.01           P2, semaphore tcthread
    ├─ ↓ serial Quick
    │  ├─ ◇ include look  with WHAT=quickly
    │  │  ├─ ● Quick/Look-quickly              dummy/sleep seconds=0.01              P2
    │  │  └─ ◇ testcase with filter slow  left out by the include's exclude
    │  └─ ◇ include shared  as it is
    │     └─ ● Quick/Shared-included           dummy/sleep seconds=0.01              P2
    ├─ ● Everything/Half                       dummy/sleep seconds=0.01              P2, on RESOURCE_HOST_0, limit 1m00
    └─ ◇ ifeq  no: `no` is not `yes`

    20 testcases, 3 clean-ups, 5 actions
    to pass: P1 100 %, P2 80 %, others 100 % of the testcases
    at a time: tcthread 1
    "#);
}

#[test]
fn the_first_example_runs_as_it_says() {
    let text = std::fs::read_to_string(project().join("examples/first.seq")).unwrap();
    let xrt = Xrt::new().file("mine.seq", &text);
    let ran = xrt.args("-G local -s mine.seq -D ROUNDS=2 --no-logs").run().ends(0);
    all_passed(&ran, 6);
    // Every command that its head names can be given.
    for words in ["check mine.seq", "plan -s mine.seq", "-G local -s mine.seq -D RUN_Look=yes --no-logs"] {
        assert!(text.contains(&format!("xrt {}", words.trim_end_matches(" --no-logs"))), "{words}");
        ran.then(words).ends(0);
    }
}

#[test]
fn a_new_sequence_is_right_and_runs() {
    let ran = Xrt::new().args("new sequence nightly").run().ends(0);
    assert!(ran.then("check nightly.seq").ends(0).stderr.contains("1 file checked, nothing found"));
    let ran = ran.then("--guest local -s nightly.seq --no-logs").ends(0);
    all_passed(&ran, 3);
}

#[test]
fn the_life_of_guests_hosts_and_a_pool_on_a_simulated_one() {
    let ran = run("lifecycle", "--host sim").ends(0);
    all_passed(&ran, 35);
    assert_eq!(ran.summary().verdict(), Verdict::Passed);
}

#[test]
fn storage_of_every_kind_on_a_simulated_pool() {
    let ran = run("storage", "--host sim").ends(0);
    all_passed(&ran, 11);
    assert_eq!(ran.summary().verdict(), Verdict::Passed);
}

#[test]
fn every_sequence_has_a_title_and_nothing_wrong() {
    let shipped = project().join("sequences");
    let ran = Xrt::new().arg("check").arg(&shipped).arg(project().join("examples")).run().ends(0);
    assert!(ran.stderr.ends_with("checked, nothing found\n"), "{}", ran.transcript());
    let there: BTreeSet<String> = std::fs::read_dir(&shipped)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".seq"))
        .collect();
    let listed: serde_json::Value = serde_json::from_str(&ran.then("list --sequences --json").ends(0).stdout).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.iter().map(|s| s["name"].as_str().unwrap().to_string()).collect::<BTreeSet<_>>(), there);
    for sequence in listed {
        let name = sequence["name"].as_str().unwrap();
        assert!(!sequence["title"].as_str().unwrap().is_empty(), "{sequence}");
        assert_eq!(sequence["file"], format!("builtin:{name}"));
        let tested = include_str!("shipped.rs").contains(&format!("\"{}", name.trim_end_matches(".seq")));
        assert!(tested, "{name} is run by no test here");
    }
    assert!(ran.then("list --sequences smoke").ends(0).stdout.contains("Does everything work here?"));
}

/// Elements and attributes of the grammar, by the tables of the code that reads it.
fn grammar(below: &str, attributes: bool) -> BTreeSet<String> {
    let list = if attributes {
        r"attributes: &\[([^\]]*)\]|const ATTRIBUTES\w*: &\[&str\] = &\[([^\]]*)\]"
    } else {
        r"children: Some\(&\[([^\]]*)\]\)|const (?:CHILDREN|NODES|TOP): &\[&str\]\s*=\s*&\[([^\]]*)\]"
    };
    let (list, word) = (regex::Regex::new(list).unwrap(), regex::Regex::new(r#""([^"]+)""#).unwrap());
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(project().join("src/sequence").join(below)) {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|e| e != "rs")
            || below.is_empty() && entry.path().to_string_lossy().contains("topology")
        {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for lists in list.captures_iter(code) {
            let words = lists.iter().skip(1).flatten().flat_map(|list| word.captures_iter(list.as_str()));
            found.extend(words.map(|word| word[1].to_string()));
        }
    }
    found
}

#[test]
fn the_sequence_of_all_constructs_has_all() {
    for below in ["", "topology"] {
        let (elements, attributes) = (grammar(below, false), grammar(below, true));
        assert!(elements.len() > 15 && attributes.len() > 25, "{elements:?} {attributes:?}");
        let is_element = |name: &String| ["<", "</"].iter().any(|open| CONSTRUCTS.contains(&format!("{open}{name}")));
        let missing: Vec<_> = elements.iter().filter(|name| !is_element(name)).collect();
        assert!(missing.is_empty(), "elements that sequences/constructs.seq does not show: {missing:?}");
        let missing: Vec<_> = attributes.iter().filter(|name| !CONSTRUCTS.contains(&format!(" {name}=\""))).collect();
        assert!(missing.is_empty(), "attributes that sequences/constructs.seq does not show: {missing:?}");
    }
}

#[test]
fn the_manuals_name_all_of_the_grammar() {
    for (manual, below) in [(MANUAL, ""), (PREPARE, "topology")] {
        let words: BTreeSet<&str> = manual.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').collect();
        let all = grammar(below, false).into_iter().chain(grammar(below, true));
        let missing: Vec<String> = all.filter(|name| !words.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "the manual of {below} sequences says nothing of {missing:?}");
    }
}

/// The indented parts of a text, each without its indentation.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(line) => *blocks.last_mut().unwrap() += &format!("{line}\n"),
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

#[test]
fn the_examples_of_the_manual_are_right() {
    let examples: Vec<String> = blocks(MANUAL).into_iter().filter(|block| block.starts_with("<xenrt>")).collect();
    assert_eq!(examples.len(), 1, "{MANUAL}");
    for example in &examples {
        let loaded = Library::default().load_text("manual.seq", example, Variables::default(), Mode::Strict);
        assert_eq!(loaded.diagnostics, [], "{example}");
        let ran = Xrt::new().file("manual.seq", example).args("check manual.seq").run().ends(0);
        ran.then("plan -s manual.seq").ends(0);
    }
    let examples: Vec<String> = blocks(PREPARE).into_iter().filter(|block| block.starts_with("<prepare>")).collect();
    assert_eq!(examples.len(), 2, "{PREPARE}");
    for example in &examples {
        let text = format!("<xenrt>{example}</xenrt>");
        let loaded = Library::default().load_text("manual.seq", &text, Variables::default(), Mode::Strict);
        assert_eq!(loaded.diagnostics, [], "{example}");
    }
    let only: Vec<&str> = MANUAL.lines().filter_map(|l| l.trim().strip_prefix("--only '")?.strip_suffix('\'')).collect();
    assert!(only.len() >= 3, "{MANUAL}");
    for text in only {
        let asked = Asked { only: vec![text.into()], ..Asked::default() };
        Filter::new(&asked, &Variables::default()).unwrap_or_else(|e| panic!("{text}: {}", e.report()));
    }
}

#[test]
fn the_options_and_commands_of_the_manual_exist() {
    let ran = Xrt::new().args("help sequences").run().ends(0);
    assert_eq!((ran.stdout.as_str(), ran.then("help prepare").stdout.as_str()), (MANUAL, PREPARE));
    assert!(MANUAL.lines().chain(PREPARE.lines()).all(|line| line.chars().count() <= 100), "they are read in terminals");
    let commands = ["--help", "plan --help", "prepare --help", "check --help", "list --help", "new --help", "vars --help"];
    let helps: String = commands.iter().map(|words| ran.then(words).ends(0).stdout).collect();
    let option = regex::Regex::new(r"--[a-z][a-z-]+").unwrap();
    let missing: BTreeSet<&str> =
        option.find_iter(MANUAL).map(|found| found.as_str()).filter(|option| !helps.contains(option)).collect();
    assert!(missing.is_empty(), "the manual speaks of options that are not there: {missing:?}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are what is expected")]
fn everything_wrong_with_a_sequence_is_told_at_once() {
    let text = r#"<xenrt>
  <default name="TIMES" value="2"/>
  <variabels><A>1</A></variabels>
  <testsequence>
    <serial grup="Install">
      <testcase id="guestops.basic.TCRebot"><arg>loops=many</arg></testcase>
      <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
      <testcase id="dummy.TCSleep"><arg>secnds=%PACE%</arg></testcase>
      <for iter="A,B" values=""><testcase id="dummy.TCSkip"/></for>
    </serial>
    <paralel/>
  </testsequence>
  <serial><testcase id="dummy.TCSkip"/></serial>
</xenrt>
"#;
    let xrt = Xrt::new().file("sequences/bad.seq", text).file("sequences/good.seq", include_str!("../sequences/smoke.seq"));
    let ran = xrt.file("scripts/mine.rhai", "fn run(args) { lgo(1); }").args("check").run().ends(2);
    insta::assert_snapshot!(ran.stderr, @r#"
    error[unknown-function]: no function `lgo`
      ╭▸ scripts/mine.rhai:1:16
      │
    1 │ fn run(args) { lgo(1); }
      ╰╴               ━━━
      help:    did you mean `log`?

    error[unknown-element]: there is no `<variabels>` in `<xenrt>`
      ╭▸ sequences/bad.seq:3:3
      │
    2 │   <default name="TIMES" value="2"/>
    3 │   <variabels><A>1</A></variabels>
      ╰╴  ━
      help:    did you mean `variables`?

    error[unknown-attribute]: `<serial>` has no attribute `grup`
      ╭▸ sequences/bad.seq:5:13
      │
    4 │   <testsequence>
    5 │     <serial grup="Install">
      ╰╴            ━━━━
      help:    did you mean `group`?

    error[unknown-testcase]: no testcase `guestops.basic.TCRebot`
      ╭▸ sequences/bad.seq:6:7
      │
    5 │     <serial grup="Install">
    6 │       <testcase id="guestops.basic.TCRebot"><arg>loops=many</arg></testcase>
      ╰╴      ━
      help:    did you mean `guestops.basic.TCReboot`?

    error[not-a-boolean]: `blocker`: `maybe` is neither yes nor no
      ╭▸ sequences/bad.seq:7:45
      │
    6 │       <testcase id="guestops.basic.TCRebot"><arg>loops=many</arg></testcase>
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
      ╰╴                                            ━━━━━
      help:    write yes or no

    error[bad-argument]: `seconds=${TIME}` for `dummy/sleep`: expected a number
      ╭▸ sequences/bad.seq:7:57
      │
    6 │       <testcase id="guestops.basic.TCRebot"><arg>loops=many</arg></testcase>
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
      ╰╴                                                        ━━━━━━━
      help:    the default is seconds=5.0

    error[unknown-parameter]: nothing gives `${TIME}` a value here
      ╭▸ sequences/bad.seq:7:57
      │
    6 │       <testcase id="guestops.basic.TCRebot"><arg>loops=many</arg></testcase>
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
      ╰╴                                                        ━━━━━━━
      help:    did you mean `TIMES`?

    error[duplicate-name]: `TCSleep` is planned a second time; the first is at sequences/bad.seq:7:7
      ╭▸ sequences/bad.seq:8:7
      │
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
    8 │       <testcase id="dummy.TCSleep"><arg>secnds=%PACE%</arg></testcase>
      ╰╴      ━
      help:    give one of them a `name`

    error[bad-argument]: `dummy/sleep` has no argument `secnds`
      ╭▸ sequences/bad.seq:8:41
      │
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
    8 │       <testcase id="dummy.TCSleep"><arg>secnds=%PACE%</arg></testcase>
      ╰╴                                        ━━━━━━
      help:    did you mean `seconds`?

    error[unknown-variable]: there is no variable `PACE`
      ╭▸ sequences/bad.seq:8:41
      │
    7 │       <testcase id="dummy.TCSleep" blocker="maybe"><arg>seconds=${TIME}</arg></testcase>
    8 │       <testcase id="dummy.TCSleep"><arg>secnds=%PACE%</arg></testcase>
      ╰╴                                        ━━━━━━
      help:    set it in `<variables>` or with -D PACE=…; a percent sign that is text is written `%%`

    error[empty-loop]: the list of values is empty, so the loop makes no rounds
      ╭▸ sequences/bad.seq:9:31
      │
    8 │       <testcase id="dummy.TCSleep"><arg>secnds=%PACE%</arg></testcase>
    9 │       <for iter="A,B" values=""><testcase id="dummy.TCSkip"/></for>
      ╰╴                              ━
      help:    take the loop away, or put it into a condition

    error[unknown-element]: there is no `<paralel>` in `<testsequence>`
       ╭▸ sequences/bad.seq:11:5
       │
    10 │     </serial>
    11 │     <paralel/>
       ╰╴    ━
      help:    did you mean `parallel`?

    error[never-runs]: `<serial>` directly in `<xenrt>` never runs
       ╭▸ sequences/bad.seq:13:3
       │
    12 │   </testsequence>
    13 │   <serial><testcase id="dummy.TCSkip"/></serial>
       ╰╴  ━
      help:    put it into `<testsequence>`

    13 errors in 2 of 3 files
    "#);
    let strict: serde_json::Value = serde_json::from_str(&ran.then("check sequences --json").ends(2).stdout).unwrap();
    assert!(strict.as_array().unwrap().iter().all(|d| d["severity"] == serde_json::to_value(Severity::Error).unwrap()));
    let lenient = ran.then("check sequences --lenient").ends(0);
    assert!(lenient.stderr.contains("warnings in 1 of 2 files"), "{}", lenient.stderr);
    let malformed = ran.then("check sequences/good.seq").ends(0);
    std::fs::write(malformed.dir().join("sequences/worse.seq"), "<xenrt><testsequence></xenrt>").unwrap();
    assert!(ran.then("check sequences --lenient").ends(2).stderr.contains("1 error, "), "malformed XML is an error either way");
}

#[test]
fn many_sequences_are_checked_side_by_side_and_a_bad_testcase_is_told_once() {
    let sequence = |n: usize| {
        format!(
            "<xenrt><testsequence><serial group='G{n}'><testcase id='bad'/><testcase id='none'/></serial></testsequence></xenrt>"
        )
    };
    let xrt = (0..200).fold(Xrt::new(), |xrt, n| xrt.file(&format!("old/{n:03}.seq"), sequence(n)));
    let ran = xrt.file("scripts/bad.rhai", "fn run(args) { lgo(1); }").args("check old").run().ends(2);
    assert_eq!(ran.stderr.matches("no function `lgo`").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("no testcase `none`").count(), 200, "{}", ran.stderr);
    let places: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("old/")).collect();
    assert!(places.is_sorted() && places.len() == 200, "{places:?}");
}
