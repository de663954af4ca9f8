//! Logs after a failure: of the guests that a testcase touched and of the hosts that they run on, and nothing of what passed.

use crate::support::xrt::Xrt;

#[test]
fn a_failed_testcase_has_the_logs_of_its_guests_and_their_hosts() {
    let script = r#"
        fn meta() { #{ title: "Fails after a look at a guest" } }
        fn run(args) {
            let vm = guest("guest1");
            vm.exec("mkdir -p /var/log; echo 'Nov 23 01:02:03 guest1 app: told once' >/var/log/messages");
            fail("on purpose");
        }
    "#;
    let ran = Xrt::new().script("t.rhai", script).args("--host sim:hosts=2,guests=2").run().ends(1);
    let there = |name: &str| ran.read(&format!("t/{name}"));
    assert!(there("guest1/uptime.txt").contains('.'));
    assert!(there("guest1/var/log/messages").contains("told once"));
    assert!(there("host2/uptime.txt").contains('.'), "the other members too");
    assert!(there("host1/storage.txt").contains("name-label"), "{}", there("host1/storage.txt"));
}

#[test]
fn what_a_toolstack_and_its_storage_write_down_is_fetched_and_read() {
    let script = r#"
        fn run(args) {
            let vm = guest("guest1");
            vm.shutdown();
            let sr = pool().default_sr;
            sim().trouble(`fill:${sr.name}`);
            try { sr.create_vdi(#{ size: "1GiB" }); } catch (e) { log(e.message); }
            fail("on purpose");
        }
    "#;
    let ran = Xrt::new().script("t.rhai", script).args("--host sim").run().ends(1);
    let toolstack = ran.read("t/host1/var/log/xensource.log");
    assert!(toolstack.contains("Async.VM.clean_shutdown R:"), "{toolstack}");
    assert!(toolstack.contains("VDI.create failed with exception Server_error(SR_BACKEND_FAILURE_44"), "{toolstack}");
    let storage = ran.read("t/host1/var/log/SMlog");
    assert!(storage.contains("vdi_create {'sr_uuid': '") && storage.contains("***** vdi_create: EXCEPTION"), "{storage}");
    assert!(ran.transcript().contains("exception in the storage back end"), "{}", ran.transcript());
}

#[test]
fn a_testcase_that_passed_has_no_logs_of_machines() {
    let script = r#"
        fn meta() { #{ title: "Passes after a look at a guest" } }
        fn run(args) { guest("guest1").exec("true"); }
    "#;
    let ran = Xrt::new().script("t.rhai", script).args("--host sim:hosts=1,guests=1").run().ends(0);
    for name in ["guest1", "host1"] {
        assert!(!ran.results.join("t").join(name).exists(), "{name}");
    }
}
