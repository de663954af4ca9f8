//! What scripts can do with guests and jobs: the functions of the manual, in scripts that the real program runs.

use crate::support::xrt::{Ran, Xrt};
use xenrt::event::Outcome;
use xenrt::script::api::TABLE;
use xenrt::script::{Manual, Scripts, Sort};

/// Runs the statements as a testcase on this machine, twice at hand.
fn local(statements: &str) -> Ran {
    testcase(statements).run()
}

/// As [`local`], with mistakes that `xrt check` would find: what is said when they run.
fn unchecked(statements: &str) -> Ran {
    testcase(statements).arg("--no-check").run()
}

fn testcase(statements: &str) -> Xrt {
    let script = format!("fn meta() {{ #{{ target: \"guest\" }} }}\nfn run(args) {{\nlet vm = target();\n{statements}\n}}");
    Xrt::new().script("t.rhai", &script).args("--guest local --guest local --no-logs")
}

#[track_caller]
fn passes(statements: &str) -> Ran {
    local(statements).ends(0)
}

/// What an example of the manual runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Here,
    Pool,
    Windows,
}

impl Stage {
    fn of(chapter: &str, example: &str) -> Stage {
        let objects = ["guest(\"guest", "host(", "hosts()", "pool(", "pools()", "sim()"];
        match chapter {
            "windows" => Stage::Windows,
            _ if objects.iter().any(|object| example.contains(object)) => Stage::Pool,
            _ => Stage::Here,
        }
    }
}

/// The examples of the manual that run on this, the standard library's too. Each is a testcase of its own.
fn examples(stage: Stage) -> (Xrt, usize) {
    let manual = Manual::of(&Scripts::new(Vec::new(), None).unwrap()).unwrap();
    let mut xrt = Xrt::new();
    let mut count = 0;
    for entry in manual.entries() {
        // The language's own functions have no examples; ours all do.
        let is_ours = entry.source.is_some() || TABLE.iter().any(|(chapter, ..)| *chapter == entry.chapter);
        if is_ours && matches!(entry.sort, Sort::Function | Sort::Method | Sort::Property) {
            assert!(!entry.examples.is_empty(), "`{}` has no example", entry.title());
            assert!(!entry.docs.is_empty(), "`{}` has no docs", entry.title());
            for example in entry.examples.iter().filter(|example| Stage::of(&entry.chapter, example) == stage) {
                count += 1;
                let name: String = entry.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
                let receiver = entry.receiver.as_deref().unwrap_or_default();
                xrt = xrt.file(&format!("manual/{count:03}{receiver}-{name}.rhai"), format!("fn run(args) {{\n{example}\n}}\n"));
            }
        }
    }
    (xrt, count)
}

#[test]
fn every_example_of_the_manual_runs() {
    let (xrt, count) = examples(Stage::Here);
    assert!(count > 100, "only {count} examples");
    xrt.testcase("manual").args("--guest local --no-logs").run().ends(0);
}

#[test]
fn every_example_for_windows_runs() {
    let (xrt, count) = examples(Stage::Windows);
    assert!(count > 8, "only {count} examples");
    let daemon = crate::support::execd::Execd::start();
    xrt.testcase("manual").arg("--no-logs").arg("--guest").arg(daemon.guest()).run().ends(0);
}

#[test]
fn every_example_of_the_manual_runs_on_a_pool() {
    let (xrt, count) = examples(Stage::Pool);
    assert!(count > 20, "only {count} examples");
    xrt.testcase("manual").args("--host sim --no-logs").run().ends(0);
}

#[test]
fn objects_are_known_by_their_names() {
    passes(
        r#"
        check(type_of(vm) == "Guest" && type_of(vm.run_job("true")) == "Job", "types");
        check(`${vm}` == "guest(\"local\")" && `${[vm]}` == "[guest(\"local\")]", `${vm} ${[vm]}`);
        check(vm == guest("local") && vm != guests()[1] && guests() == [vm, guest("local#2")], "equality");
        check(vm in guests(), "a guest in a list");
        check([vm.name, guests()[1].name] == ["local", "local#2"], "names");
        check(vm.cpus > 0 && vm.memory > mib(1) && !vm.is_windows && vm.boot_id.len() > 10, "facts");
        "#,
    );
    for (wrong, said) in [
        ("vm.exec(5);", "exec (Guest, i64)"),
        ("vm.exce(\"true\");", "exce (Guest, "),
        ("vm.nmae;", "nmae"),
        ("vm.name = \"x\";", "name"),
        ("guest(\"lokal\");", "no guest `lokal` in this lab"),
    ] {
        let ran = unchecked(wrong).ends(3);
        assert!(ran.reason("t").contains(said), "{wrong}: {}", ran.transcript());
    }
}

#[test]
fn options_are_read_and_wrong_ones_explained() {
    passes(
        r#"
        let end = vm.exec_full("echo $A; pwd; cat; echo oops >&2; exit 3",
            #{ on_error: "return", env: #{ A: 5 }, cwd: "/", input: "in", timeout: "10s", keep_newline: true });
        check(end.stdout == "5\n/\nin" && end.stderr == "oops\n" && end.code == 3 && end.signal == (), `${end}`);
        check(end.took > 0.0 && end.took < 10.0, "time");
        check(vm.exec_full("kill -9 $$", #{ on_error: "return" }).signal == "KILL", "signal");
        check(vm.exec_rc("exit 7") == 7, "status");
        let path = vm.path([vm.temp_dir(), "x"]);
        vm.write_file(path, blob(3, 65), #{ mode: 0o600 });
        vm.append_file(path, "B");
        check(vm.read_file(path) == "AAAB" && vm.read_bytes(path).len() == 4, vm.read_file(path));
        check(vm.exec(`stat -c %a ${path}`) == "600", "mode");
        "#,
    );
    for (wrong, said, help) in [
        ("vm.exec(\"true\", #{ timout: 5 });", "`exec` has no option `timout`", "did you mean `timeout`?"),
        ("vm.reboot(#{ timeout: \"soon\" });", "the option `timeout` of `reboot` is \"soon\"", ""),
        ("vm.run_job(\"true\", #{ on_error: \"shrug\" });", "the option `on_error` of `run_job` is \"shrug\"", ""),
        ("vm.write_file(\"/tmp/x\", 5);", "`write_file` writes a text or a blob, got 5", "a value becomes text in backquotes"),
    ] {
        let ran = unchecked(wrong).ends(3);
        assert_eq!(ran.outcome("t"), Outcome::Errored);
        let failure = ran.failure("t");
        assert!(failure.message.starts_with(said), "{wrong}: {}", failure.message);
        assert!(failure.help.unwrap_or_default().starts_with(help), "{wrong}: {}", ran.transcript());
    }
}

#[test]
fn a_script_can_look_into_what_went_wrong() {
    passes(
        r#"
        try {
            vm.exec("echo out; echo err >&2; exit 4");
            fail("not reached");
        } catch (e) {
            check(e.kind == "refused" && e.blame == "product" && e.machine == "local" && e.code == 4, `${e}`);
            check(e.stdout == "out\n" && e.stderr == "err\n" && e.command.contains("exit 4"), `${e}`);
        }
        "#,
    );
    for (statement, outcome, exit) in [
        ("vm.exec(\"exit 4\");", Outcome::Failed, 1),
        ("vm.exec(\"exit 4\", #{ on_error: \"error\" });", Outcome::Errored, 3),
        ("vm.exec(\"sleep 60\", #{ timeout: 0.2 });", Outcome::Failed, 1),
        ("vm.read_file(\"/no/such/file\");", Outcome::Errored, 3),
        ("vm.run_job(\"exit 4\").wait();", Outcome::Failed, 1),
        ("vm.install_tool(\"no such tool\");", Outcome::Errored, 3),
    ] {
        let ran = local(statement).ends(exit);
        assert_eq!(ran.outcome("t"), outcome, "{statement}: {}", ran.transcript());
    }
}

#[test]
fn branches_share_a_guest() {
    let ran = passes(
        r#"
        let both = parallel([|| vm.exec("sleep 0.2; echo 1"), || vm.exec("sleep 0.2; echo 2")]);
        check(both == ["1", "2"], `${both}`);
        let branches = [];
        for (g, i) in guests() { branches.push(|| [g.name, i, g.exec("echo here")]); }
        let all = parallel(branches);
        check(all == [["local", 0, "here"], ["local#2", 1, "here"]], `${all}`);
        let job = vm.run_job("sleep 0.2");
        parallel([|| job.wait(), || eventually(#{ timeout: "20s", every: 0.01 }, || job.done)]);
        let other = vm;
        let swap = || { other = guests()[1]; };
        swap.call();
        check(other.name == "local#2", "what a closure assigns is seen outside");
        "#,
    );
    assert_eq!(ran.outcome("t"), Outcome::Passed);
}

/// Each branch waits for what the other does, so that neither ends unless both run.
#[test]
fn branches_share_a_list_of_guests() {
    for (all, first, second) in [
        ("guests()", "all[0]", "all[1]"),
        ("[]; for vm in guests() { all.push(vm); }", "all[0]", "all[1]"),
        ("#{ a: guests()[0], b: guests()[1] }", "all.a", "all[\"b\"]"),
    ] {
        let ran = passes(&format!(
            r#"
            let all = {all};
            let dir = vm.temp_dir();
            let a = `touch ${{dir}}/a; until [ -e ${{dir}}/b ]; do sleep 0.01; done; echo a`;
            let b = `touch ${{dir}}/b; until [ -e ${{dir}}/a ]; do sleep 0.01; done; echo b`;
            let both = parallel([|| {first}.exec(a, #{{ timeout: "20s" }}), || {second}.exec(b, #{{ timeout: "20s" }})]);
            check(both == ["a", "b"] && all.len() == 2, `${{both}}`);
            "#
        ));
        assert_eq!(ran.outcome("t"), Outcome::Passed, "{all}");
    }
}

#[test]
fn a_list_that_a_branch_changes_is_not_used_by_another_meanwhile() {
    let ran = local(
        r#"
        let all = guests();
        let dir = vm.temp_dir();
        let holds = || { all.push(vm); all[0].exec(`touch ${dir}/a; until [ -e ${dir}/b ]; do sleep 0.01; done`); };
        let comes = || {
            vm.exec(`until [ -e ${dir}/a ]; do sleep 0.01; done`);
            try { all[1].exec("true"); } catch { vm.exec(`touch ${dir}/b`); throw; }
        };
        parallel([holds, comes]);
        "#,
    )
    .ends(3);
    assert!(ran.reason("t").contains("a variable of its own first"), "{}", ran.transcript());
}

#[test]
fn a_stopped_testcase_ends_in_the_middle_of_a_method() {
    let script = "fn meta() { #{ target: \"guest\", timeout: 1 } }\n\
        fn run(args) { try { target().exec(\"sleep 60\"); } catch (e) { log(\"caught\"); } log(\"went on\"); }";
    let ran = Xrt::new().script("t.rhai", script).args("--guest local --no-logs").run().ends(1);
    assert!(ran.reason("t").contains("`sleep 60` on local"), "{}", ran.transcript());
    assert!(!ran.said("t").iter().any(|line| line == "caught" || line == "went on"), "{}", ran.transcript());
}

/// Methods of the standard library are like those of the program: on every guest, guarded, with docs.
#[test]
fn the_standard_library_has_methods() {
    let library = "/// Says its name twice.\n///\n/// ```rhai\n/// target().twice(\"a\");\n/// ```\n\
        fn Guest.twice(between) {\n    let name = this.exec(`echo ${this.name}`);\n    if between == \"\" { fail(\"nothing between\"); }\n    \
        name + between + this.name\n}\n";
    let script = "fn run(args) { log(guests().map(|g| g.twice(\"-\"))); log(target().twice(\"\")); }";
    let ran = Xrt::new()
        .file("lib/guest.rhai", library)
        .script("t.rhai", script)
        .args("--guest local --guest local --no-logs --stdlib lib")
        .run()
        .ends(1);
    assert!(ran.said("t").contains(&"[\"local-local\", \"local#2-local#2\"]".to_string()), "{}", ran.transcript());
    let failure = ran.failure("t");
    assert_eq!((failure.message.as_str(), failure.frames[0].function.as_str()), ("nothing between", "twice"));
    assert!(failure.frames[0].place.file.ends_with("lib/guest.rhai"), "{}", failure.frames[0].place);
    assert_eq!(failure.frames[0].locals[0].value, "\"\"", "{}", ran.transcript());
    assert_eq!(failure.frames[1].place.line, 1);
}
