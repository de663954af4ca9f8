//! Runs of `xrt` as a person makes them: outcomes, exit statuses, limits, Ctrl-C, what is left behind.

use crate::support::xrt::{Ran, Xrt};
use xenrt::event::{Fact, Level, Outcome};

use Outcome::{Errored, Failed, Partial, Passed, Skipped};

/// A body of `run`, how the testcase ends, and what the reason says.
#[track_caller]
fn check(body: &str, outcome: Outcome, reason: &str) -> Ran {
    check_script(&format!("fn run(args) {{ {body} }}"), outcome, reason)
}

#[track_caller]
fn check_script(script: &str, outcome: Outcome, reason: &str) -> Ran {
    let exit = match outcome {
        Passed | Partial => 0,
        Failed => 1,
        Errored => 3,
        _ => 4,
    };
    // Mistakes that `xrt check` would find are to be seen when they run.
    let ran = Xrt::new().script("a.rhai", script).arg("--no-check").run().ends(exit);
    let told = ran.reason("a");
    assert_eq!(ran.outcome("a"), outcome, "{}", ran.transcript());
    assert!(
        told.contains(reason) && reason.is_empty() == told.is_empty(),
        "`{told}` is not about `{reason}`\n{}",
        ran.transcript()
    );
    let Some(Fact::RunFinished { verdict, .. }) = ran.events().pop().map(|e| e.fact) else { panic!("{}", ran.transcript()) };
    assert_eq!(i32::from(verdict.exit().code()), exit);
    ran
}

#[test]
fn the_end_of_run_is_the_outcome() {
    for (body, outcome, reason) in [
        ("", Passed, ""),
        ("return 7;", Passed, ""),
        (r#"partial("only a guess");"#, Partial, "only a guess"),
        (r#"skip("wrong machine");"#, Skipped, "wrong machine"),
        (r#"fail("it is broken");"#, Failed, "it is broken"),
        (r#"fail("it is broken", #{ how: "very" });"#, Failed, "it is broken"),
        (r#"error("no lab");"#, Errored, "no lab"),
        ("check(1 > 2, \"numbers are ordered\");", Failed, "numbers are ordered"),
        (r#"partial("so"); fail("broken");"#, Failed, "broken"),
        (r#"partial("so"); skip("not here");"#, Skipped, "not here"),
        (r#"throw "a text";"#, Errored, "a text"),
        (r#"throw #{ message: "a map" };"#, Errored, "a map"),
        (r#"throw #{ kind: "assertion", blame: "product", message: "a failure" };"#, Failed, "a failure"),
        (r#"throw #{ kind: "skipped", message: "by hand" };"#, Skipped, "by hand"),
        ("throw 42;", Errored, "42"),
        ("nonsense();", Errored, "no function `nonsense"),
        ("let x = 1; x.nonsense", Errored, "nonsense"),
        ("let a = []; a[3]", Errored, "3"),
        ("1 / 0", Errored, "zero"),
        (r#"try { fail("caught") } catch(e) { log(e.message) }"#, Passed, ""),
        (r#"try { fail("again") } catch(e) { throw e }"#, Failed, "again"),
        (r#"[1].for_each(|| fail("in a closure"));"#, Failed, "in a closure"),
        (r#"[2, 1].sort(|a, b| fail("in a comparison"));"#, Failed, "in a comparison"),
        (r#"[2, 1].sort(|a, b| "less");"#, Errored, "the closure of `sort` gave \"less\""),
        ("exit();", Errored, "cannot `exit`"),
        (r#"parallel([|| exit(1), || fail("a branch")]);"#, Errored, "cannot `exit`"),
        (r#"parallel([|| skip("one"), || fail("another")]);"#, Failed, "another"),
        (r#"eventually(|| skip("not here"));"#, Skipped, "not here"),
        ("eventually(#{ timeout: 0.05, every: 0.01 }, || nonsense());", Errored, "last seen: no function `nonsense"),
        (r#"eventually(#{ timeout: 0.05, every: 0.01 }, || fail("no"));"#, Failed, "last seen: no"),
        ("for i in 0..100001 { value(\"x\", i); }", Errored, "more than 100000 subcases and values"),
        (r#"step("s", || skip("in a step"));"#, Skipped, "in a step"),
        (r#"repeat(3, |i| { if i == 1 { fail(`number ${i}`) } });"#, Failed, "number 1"),
        (r#"parallel([|| 1, || fail("a branch")]);"#, Failed, "a branch"),
        (r#"parallel([|| skip("a branch")]);"#, Skipped, "a branch"),
    ] {
        check(body, outcome, reason);
    }
    check_script("fn f(n) { f(n + 1) } fn run(args) { f(0) }", Errored, "recursion");
}

#[test]
fn subcases_weigh_in() {
    for (body, outcome, reason) in [
        (r#"subtest("s", || {});"#, Passed, ""),
        (r#"subtest("g", "s", || fail("why")); subtest("t", || {});"#, Failed, "1 of 2 subcases failed, first s: why"),
        (r#"subtest("s", || fail("f")); subtest("t", || error("e"));"#, Errored, "1 of 2 subcases errored, first t: e"),
        (r#"subtest("s", || nonsense());"#, Errored, "no function `nonsense"),
        (r#"subtest("s", || skip("n")); subtest("t", || {});"#, Passed, ""),
        (r#"subtest("s", || skip("n")); subtest("t", || skip("n"));"#, Skipped, "all 2 subcases were skipped"),
        (r#"set_subtest("g", "s", "partial", "half"); subtest("t", || {});"#, Partial, "s: half"),
        (r#"set_subtest("g", "s", "failed", "tool said so");"#, Failed, "tool said so"),
        (r#"set_subtest("g", "s", "sort of");"#, Errored, "no result of a subcase"),
        (r#"partial("p"); subtest("s", || fail("f"));"#, Failed, "first s: f"),
        (r#"subtest("s", || partial("inside"));"#, Partial, "inside"),
        (r#"declare("g", "never");"#, Errored, "1 of 1 declared subcases never ran, first never"),
        (r#"declare("g", "s"); subtest("g", "s", || {});"#, Passed, ""),
        (r#"declare("g", "s"); skip("not here");"#, Errored, "never ran"),
        (r#"declare("g", "s"); fail("early");"#, Errored, "never ran, first s; then: early"),
        (r#"subtest("s", || fail("f")); fail("later");"#, Failed, "later"),
        (r#"subtest("s", || fail("f")); skip("later");"#, Failed, "first s: f; then: later"),
        (r#"subtest("s", || error("e")); fail("later");"#, Errored, "first s: e; then: later"),
        (r#"subtest("s", || fail("f")); error("later");"#, Errored, "later"),
        (r#"subtest("s", || fail("1st")); subtest("s", || {});"#, Failed, "1st"),
        (r#"subtest("s", || { subtest("inner", || fail("deep")); });"#, Failed, "inner: deep"),
        (r#"if subtest("s", || fail("x")) != "failed" { error("the word is wrong") }"#, Failed, "x"),
        (r#"parallel([|| subtest("a", || fail("in a branch")), || subtest("b", || {})]);"#, Failed, "in a branch"),
    ] {
        check(body, outcome, reason);
    }
    let ran = check(r#"subtest("g", "s", || fail("why")); subtest("t", || skip("no"));"#, Failed, "why");
    assert_eq!(ran.subcases("a"), [("g/s".into(), Failed, "why".into()), ("t".into(), Skipped, "no".into())]);
}

#[test]
fn prepare_cannot_fail_the_product() {
    for (prepare, outcome, reason) in [
        (r#"fail("no disk")"#, Errored, "prepare: no disk"),
        (r#"error("no lab")"#, Errored, "no lab"),
        (r#"skip("not here")"#, Skipped, "not here"),
        (r#"partial("half")"#, Partial, "half"),
        ("nonsense()", Errored, "nonsense"),
        (r#"subtest("s", || fail("f"))"#, Failed, "first s: f"),
    ] {
        let ran = check_script(&format!("fn prepare(args) {{ {prepare} }} fn run(args) {{ log(\"ran\"); }}"), outcome, reason);
        let is_run = matches!(outcome, Partial | Failed);
        assert_eq!(ran.said("a").contains(&"ran".to_string()), is_run, "{}", ran.transcript());
    }
}

#[test]
fn an_outcome_crosses_imported_modules() {
    let module = r#"
        fn judge(what) { if what == "skip" { skip("from far") } else { fail("from far") } }
        fn through(f) { f.call() }
    "#;
    for (body, outcome) in [
        (r#"import "lib/far" as far; far::judge("skip");"#, Skipped),
        (r#"import "lib/far" as far; far::judge("fail");"#, Failed),
        (r#"import "lib/far" as far; far::through(|| skip("from far"));"#, Skipped),
        (r#"import "lib/far" as far; subtest("s", || far::judge("fail"));"#, Failed),
    ] {
        let script = format!("fn run(args) {{ {body} }}");
        let ran = Xrt::new().file("scripts/lib/far.rhai", module).file("scripts/a.rhai", script).testcase("a").run();
        assert_eq!(ran.outcome("a"), outcome, "{body}\n{}", ran.transcript());
        assert!(ran.reason("a").contains("from far"), "{}", ran.reason("a"));
    }
}

#[test]
fn what_comes_after_the_judgement_changes_nothing() {
    let script = r#"
        fn prepare(args) { this.seen = ["prepare"]; defer(|| log("deferred in prepare")); }
        fn run(args) {
            this.seen += "run";
            defer(|| log("deferred first"));
            defer(|| fail("a clean-up that fails"));
            defer(|| log("deferred last"));
            if args.bad { fail("bad") }
        }
        fn pre_logs(args) { this.seen += "pre_logs"; fail("pre_logs is broken"); }
        fn post_run(args) { log(`${this.seen} ${passed()}`); throw "post_run is broken"; }
        fn meta() { #{ args: #{ bad: false } } }
    "#;
    for (word, exit, outcome, seen) in [
        ("bad=no", 0, Passed, r#"["prepare", "run", "pre_logs"] true"#),
        ("bad", 1, Failed, r#"["prepare", "run", "pre_logs"] false"#),
    ] {
        let ran = Xrt::new().script("a.rhai", script).arg(word).run().ends(exit);
        assert_eq!(ran.outcome("a"), outcome);
        let said = ran.said("a");
        let position = |wanted: &str| {
            said.iter().position(|line| line.contains(wanted)).unwrap_or_else(|| panic!("no `{wanted}` in {said:#?}"))
        };
        let order = [
            "pre_logs is broken",
            seen,
            "post_run is broken",
            "deferred last",
            "a clean-up that fails",
            "deferred first",
            "deferred in prepare",
        ];
        assert!(order.map(position).is_sorted(), "{said:#?}");
        let warnings = ran.facts("a").into_iter().filter(|f| matches!(f, Fact::Logged { level: Level::Warning, .. })).count();
        assert_eq!(warnings, 3, "{said:#?}");
    }
}

#[test]
fn a_skipped_testcase_runs_its_clean_ups_only() {
    let ran = check_script(
        r#"fn run(args) { defer(|| log("cleaned")); skip("no") } fn post_run(args) { log("post_run") }"#,
        Skipped,
        "no",
    );
    assert_eq!(ran.said("a"), ["cleaned"]);
}

#[test]
fn a_clean_up_registered_deep_down_runs() {
    let script = r#"
        fn deep(n) { if n == 0 { defer(|| log("cleaned")); } else { deep(n - 1); } }
        fn run(args) { deep(97); }
    "#;
    assert_eq!(check_script(script, Passed, "").said("a"), ["cleaned"]);
}

#[test]
fn a_reason_and_a_line_of_any_length_are_bounded() {
    let ran = check(r#"let s = ""; s.pad(3000000, "x"); log(s); fail(s);"#, Failed, "characters left out");
    assert!(ran.reason("a").len() < 5000);
    assert!(ran.said("a")[0].ends_with("bytes left out …]"));
}

#[test]
fn branches_import_one_module_side_by_side() {
    let script = r#"fn run(args) {
        let branches = [];
        for i in 0..40 { branches.push(|| { import "lib/far" as far; far::answer() }); }
        check(parallel(branches) == parallel(branches), "alike");
    }"#;
    let xrt = Xrt::new().file("scripts/lib/far.rhai", "fn answer() { 42 }").file("scripts/a.rhai", script);
    xrt.testcase("a").run().ends(0);
}

#[test]
fn an_import_that_comes_back_by_another_path_is_a_circle() {
    let module = r#"import "../lib/far" as far; fn answer() { 42 }"#;
    let script = r#"import "lib/far" as far; fn run(args) {}"#;
    for (word, exit) in [("--check", 2), ("--no-check", 3)] {
        let mut xrt = Xrt::new().file("scripts/lib/far.rhai", module).file("scripts/a.rhai", script).testcase("a");
        if word == "--no-check" {
            let body = r#"fn run(args) { import "lib/far" as far; }"#;
            xrt = xrt.file("scripts/a.rhai", body).arg(word);
        }
        let ran = xrt.run().ends(exit);
        let said = ran.transcript();
        assert!(said.contains("imports go in a circle: ") && !said.contains("lib/../"), "{said}");
    }
}
