//! What testcases fetch: files of the site for the controller, tools for guests.

use crate::support::execd::Execd;
use crate::support::web::Web;
use crate::support::xrt::Xrt;
use std::process::Command;

/// A tarball with one directory and a program in it.
fn tarball() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tool")).unwrap();
    std::fs::write(dir.path().join("tool/version"), "7\n").unwrap();
    let output = Command::new("tar").args(["-cz", "-C"]).arg(dir.path()).arg("tool").output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn a_tool_of_the_site_gets_into_a_guest() {
    let web = Web::start([("/tools/kit.tgz", tarball()), ("/tools/torn.tgz", b"no tarball".to_vec())]);
    let script = r#"
        fn meta() { #{ target: "guest" } }
        fn run(args) {
            let vm = target();
            let dir = vm.path(vm.temp_dir(), "with it's blank");
            check(tarball_exists("kit") && !tarball_exists("none"), "one of two");
            vm.fetch_tarball("kit", dir);
            check(vm.read_file(vm.path(dir, "tool", "version")) == "7\n", "unpacked");
            for name in ["none", "torn"] {
                let kind = "fetched";
                try { vm.fetch_tarball(name, dir); } catch (e) { kind = e.kind; }
                check(kind == "refused", `${name}: ${kind}`);
            }
            check(vm.exec(`ls -A ${quote(dir)}`) == "tool", "nothing else is left");
        }"#;
    let base = format!("TEST_TARBALL_BASE={}/tools/", web.url());
    let ran = Xrt::new().script("t.rhai", script).args("--guest local --no-logs -D").arg(&base).run().ends(0);
    assert!(web.asked().contains(&"HEAD /tools/kit.tgz".to_string()), "{:?}", web.asked());
    assert!(web.asked().contains(&"GET /tools/kit.tgz".to_string()), "{}", ran.transcript());

    let daemon = Execd::start();
    let script = "fn meta() { #{ target: \"guest\" } }\nfn run(args) {\nlet vm = target();\n\
        let dir = vm.path(vm.temp_dir(), \"kit\");\nvm.fetch_tarball(\"kit\", dir);\n\
        check(vm.read_file(vm.path(dir, \"tool\", \"version\")) == \"7\\n\", \"unpacked\");\n\
        vm.fetch_tarball(\"none\", dir);\n}";
    let windows = Xrt::new().script("t.rhai", script).args("--no-logs --guest").arg(daemon.guest()).arg("-D").arg(&base).run();
    let windows = windows.ends(3);
    assert!(windows.reason("t").contains("404"), "it fetched the first, and not the second: {}", windows.transcript());
}

#[test]
fn without_a_site_there_are_no_tools() {
    let script = "fn meta() { #{ target: \"guest\" } }\nfn run(args) {\n\
        check(!tarball_exists(\"kit\"), \"nowhere\");\ntarget().fetch_tarball(\"kit\", \"/tmp/none\");\n}";
    let ran = Xrt::new().script("t.rhai", script).args("--guest local --no-logs").run().ends(3);
    assert!(ran.reason("t").contains("`TEST_TARBALL_BASE` is not set"), "{}", ran.transcript());
    let script = "fn run(args) { tarball_exists(\"../kit\"); }";
    Xrt::new().script("t.rhai", script).args("--no-logs").run().ends(3);
    // A server that does not answer has not said no.
    let script = "fn run(args) { tarball_exists(\"kit\"); }";
    let ran = Xrt::new().script("t.rhai", script).args("--no-logs -D TEST_TARBALL_BASE=http://127.0.0.1:1").run().ends(3);
    assert!(ran.reason("t").contains("127.0.0.1:1"), "{}", ran.transcript());
}

#[test]
fn a_file_of_the_site_gets_to_the_controller() {
    let web = Web::start([("/in/disk.img", b"bytes of a disk".to_vec())]);
    let script = format!(
        "fn run(args) {{\n\
         let path = get_file(\"disk.img\");\ncheck(read_local(path) == \"bytes of a disk\", path);\n\
         check(get_file(\"{0}/in/disk.img\") == path && get_file(path) == path, \"the same\");\n\
         for odd in [\"{0}/in/none\", \"none\", \"/nowhere/none\"] {{\n\
         let kind = \"there\"; try {{ get_file(odd); }} catch (e) {{ kind = e.kind; }}\ncheck(kind == \"not_found\", `${{odd}}: ${{kind}}`); }}\n}}",
        web.url()
    );
    let inputs = format!("INPUTDIR={}/in", web.url());
    Xrt::new().script("t.rhai", &script).args("--no-logs -D").arg(&inputs).run().ends(0);
    assert_eq!(web.asked().iter().filter(|line| *line == "GET /in/disk.img").count(), 1, "once: {:?}", web.asked());

    let script = "fn run(args) { check(read_local(get_file(\"disk.img\")) == \"here\", \"by INPUTDIR\"); }";
    let xrt = Xrt::new().file("inputs/disk.img", "here").script("t.rhai", script);
    let inputs = format!("INPUTDIR={}", xrt.dir().join("inputs").display());
    xrt.args("--no-logs -D").arg(inputs).run().ends(0);
}
