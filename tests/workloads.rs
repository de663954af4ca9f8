//! What keeps a guest busy while something else is done to it.

use crate::support::xrt::Xrt;
use xenrt::event::Outcome;

fn testcase(statements: &str) -> Xrt {
    let script = format!("fn meta() {{ #{{ target: \"guest\" }} }}\nfn run(args) {{\nlet vm = target();\n{statements}\n}}");
    Xrt::new().script("t.rhai", &script).args("--guest local --no-logs")
}

#[test]
fn workloads_run_until_they_are_stopped() {
    testcase(
        r#"
        let names = vm.start_workloads();
        check(names == ["find", "fork", "memory", "time"], `${names}`);
        let twice = "taken";
        try { vm.start_workloads("w_find"); } catch (e) { twice = e.message; }
        check(twice.contains("runs on local already"), twice);
        let mine = vm.path(vm.temp_dir(), "mine");
        vm.start_workloads([#{ name: "mine", command: `while sleep 0.05; do echo x >>${quote(mine)}; done` }]);
        eventually(#{ timeout: "20s", desc: "it works" }, || vm.file_exists(mine));
        check(vm.stop_workloads() == [] && vm.stop_workloads() == [], "all ran to the end");
        let size = vm.exec(`wc -c <${quote(mine)}`);
        sleep(0.3);
        check(vm.exec(`wc -c <${quote(mine)}`) == size, "it runs no more");
        check(vm.start_workloads(()) == [] && vm.start_workloads(false) == [], "none");
        "#,
    )
    .run()
    .ends(0);
}

#[test]
fn a_workload_that_dies_is_told() {
    let dies = |rest: &str| {
        testcase(&format!(
            "let names = vm.start_workloads([\"time\", #{{ name: \"weak\", command: \"echo too weak; exit 4\" }}]);\n\
             check(names == [\"time\"], `${{names}}`);\n{rest}\ncheck(vm.stop_workloads() == [], \"the other one ran\");"
        ))
    };
    let ran = dies("").run().ends(0);
    let warned = "the workload `weak` on local runs no more: it ended with status 4: too weak";
    assert!(ran.transcript().contains(warned), "{}", ran.transcript());
    let strict = dies("").args("-D SRM_STRICT=yes").run().ends(3);
    assert!(strict.reason("t").contains(warned), "{}", strict.transcript());
}

#[test]
fn a_guest_is_busy_while_it_moves() {
    let ran =
        Xrt::new().testcase("guestops/migrate").args("loops=1 workloads=time,w_forktest2 --host sim:speed=max --no-logs").run();
    let ran = ran.ends(0);
    let told = format!("{:?}", ran.events());
    assert!(told.contains("start workloads: time, fork") && told.contains("2 ran, 0 had ended before"), "{}", ran.transcript());
}

#[test]
fn a_restart_kills_workloads() {
    let script = "fn meta() { #{ target: \"guest\" } }\nfn run(args) {\nlet vm = target();\nvm.ensure_up();\n\
        vm.start_workloads([\"time\"]);\nvm.reboot();\ncheck(vm.stop_workloads() == [\"time\"], \"it is gone\");\n}";
    let ran = Xrt::new().script("t.rhai", script).args("--host sim:speed=max --no-logs").run();
    assert_eq!(ran.outcome("t"), Outcome::Partial, "{}", ran.transcript());
    assert!(
        ran.transcript().contains("the workload `time` on guest0 runs no more")
            || ran.transcript().contains("the workload `time` on guest1 runs no more"),
        "{}",
        ran.transcript()
    );
}
