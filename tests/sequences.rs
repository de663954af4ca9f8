//! Sequences run by the real program, as a person runs them: how it ends, what was run and what not, and in which order.

use crate::support::xrt::{Ran, Xrt};
use xenrt::event::{Fact, Outcome};

/// The testcases that these sequences name. Each says that it ran.
fn scripts() -> Xrt {
    Xrt::new()
        .file("scripts/pass.rhai", "fn meta() { #{ args: #{ say: \"ran\" }, tags: [\"quick\"] } }\nfn run(args) { log(args.say); }")
        .file("scripts/fail.rhai", "fn run(args) { fail(\"no\"); }")
        .file("scripts/skip.rhai", "fn run(args) { skip(\"not here\"); }")
        .file("scripts/config.rhai", "fn meta() { #{ args: #{ name: \"\" } } }\nfn run(args) { log(config(args.name)); }")
        .file("scripts/post.rhai", "fn run(args) {}\nfn post_run(args) { log(\"post\"); }")
}

/// With a file `t.seq`, in whose `testsequence` this stands.
fn tests(inside: &str) -> Xrt {
    file(&format!("<xenrt><testsequence>{inside}</testsequence></xenrt>"))
}

fn file(text: &str) -> Xrt {
    scripts().file("t.seq", text).args("-s t.seq")
}

/// Every case in the order of the plan, with its outcome.
fn outcomes(ran: &Ran) -> Vec<String> {
    let summary = ran.summary();
    summary.cases().iter().map(|case| format!("{} {}", case.id, case.outcome.map_or("nothing", Outcome::word))).collect()
}

/// The cases that began, in the order in which they did.
fn began(ran: &Ran) -> Vec<String> {
    let begins = ran.events().into_iter().filter(|e| matches!(e.fact, Fact::CaseStarted { .. }));
    begins.filter_map(|e| e.case).map(|id| id.to_string()).collect()
}

#[test]
fn the_exit_status_says_how_a_sequence_ended() {
    let pass = r#"<testcase id="pass"/>"#;
    let fail = r#"<testcase id="fail"/>"#;
    let skip = r#"<testcase id="skip"/>"#;
    for (inside, words, exit) in [
        (pass.to_string(), "", 0),
        (format!("{pass}{fail}"), "", 1),
        (format!("{pass}{skip}"), "", 0),
        (skip.to_string(), "", 4),
        (String::new(), "", 2),
        (String::new(), "--lenient", 4),
        (format!("{pass}{fail}"), "--skip fail", 0),
        (pass.to_string(), "--skip pass", 4),
        (pass.to_string(), "--skip pas", 2),
        ("<testcase id=\"pas\"/>".to_string(), "", 2),
        (format!("{pass}<testcase id=\"pas\"/>"), "--lenient", 3),
        (format!("{pass}<what/>"), "", 2),
        (format!("{pass}<what/>"), "--lenient", 0),
        (format!("<serial>{pass}<finally>{fail}</finally></serial>"), "", 0),
        (format!("<serial>{fail}<finally>{pass}</finally></serial>"), "", 1),
    ] {
        let ran = tests(&inside).args(words).run();
        assert_eq!(ran.exit, exit, "{inside} {words}\n{}", ran.transcript());
        assert_eq!(exit == 2, ran.results.as_os_str().is_empty(), "nothing is left where nothing ran: {}", ran.transcript());
    }
}

#[test]
fn a_failed_blocker_blocks_the_rest_of_its_serial_and_its_clean_up_runs() {
    let ran = tests(
        r#"<serial group="one"><testcase id="fail" blocker="yes"/><testcase id="pass"/><finally><testcase id="pass" name="end"/></finally></serial>
           <serial group="two"><testcase id="pass" name="after"/></serial>"#,
    )
    .run()
    .ends(1);
    assert_eq!(outcomes(&ran), ["one/fail failed", "one/pass blocked", "one/end passed", "two/after passed"]);
    assert_eq!(ran.reason("one/pass"), "blocked by one/fail, failed");
    assert!(ran.stdout.contains("Sequence: FAIL"), "{}", ran.transcript());
}

#[test]
fn what_is_selected_is_run_with_its_clean_ups() {
    let inside = r#"
        <serial group="one"><testcase id="pass" tc="TC-12"/><testcase id="fail"/><finally><testcase id="pass" name="end"/></finally></serial>
        <serial group="two"><testcase id="pass"/><finally><testcase id="pass" name="end"/></finally></serial>"#;
    for words in ["--run TC12", "--run one/pass", "-D RUN_one/pass=yes", "--only testcase:pass&group:one"] {
        let ran = tests(inside).args(words).run().ends(0);
        assert_eq!(began(&ran), ["one/pass", "one/end"], "{words}");
        let all = ["one/pass passed", "one/fail skipped", "one/end passed", "two/pass skipped", "two/end skipped"];
        assert_eq!(outcomes(&ran), all, "{words}");
    }
    let without = tests(inside).args("--no-finally --skip fail").run().ends(0);
    assert_eq!(outcomes(&without), ["one/pass passed", "one/fail skipped", "two/pass passed"]);
}

#[test]
fn a_mistyped_filter_runs_nothing_and_says_what_was_meant() {
    let ran = tests(r#"<serial group="disk"><testcase id="pass"/></serial>"#).args("--rungroup dsk --skip pss").run().ends(2);
    assert!(ran.stderr.contains("`--rungroup dsk` names no group of testcases here"), "{}", ran.transcript());
    assert!(ran.stderr.contains("did you mean `disk`?") && ran.stderr.contains("did you mean `pass`?"), "{}", ran.transcript());
    let by_job = tests(r#"<testcase id="pass"/>"#).args("-D SKIP_TCElsewhere=yes").run().ends(0);
    assert!(by_job.stderr.contains("warning"), "{}", by_job.transcript());
    assert_eq!(outcomes(&by_job), ["pass passed"]);
    let variables = "<variables><SKIPALL>no</SKIPALL></variables>";
    let all =
        file(&format!("<xenrt>{variables}<testsequence><testcase id=\"pass\"/><testcase id=\"post\"/></testsequence></xenrt>"));
    assert_eq!(outcomes(&all.args("--run pass").run().ends(0)), ["pass passed", "post passed"]);
    let help = by_job.then("help filters").ends(0).stdout;
    assert!(help.contains("  prio:      the priority") && help.lines().all(|line| line.len() <= 100), "{help}");
}

#[test]
fn filters_work_without_a_sequence_too() {
    let ran = scripts().testcase("scripts").args("--only tag:quick").run().ends(0);
    assert_eq!(began(&ran), ["pass"]);
    assert_eq!(ran.reason("fail"), "not selected by --only 'tag:quick'");
    let ran = scripts().testcase("pass").args("--repeat 3 --shuffle=1").run().ends(0);
    assert_eq!(began(&ran), ["pass", "pass#2", "pass#3"]);
}

#[test]
fn a_seed_gives_the_same_order_again() {
    let inside: String = (0..12).map(|n| format!(r#"<testcase id="pass" name="t{n}"/>"#)).collect();
    let first = tests(&inside).args("--shuffle").run().ends(0);
    let seed = first.stdout.split("--shuffle=").nth(1).unwrap().split(' ').next().unwrap().to_string();
    let again = tests(&inside).args(&format!("--shuffle={seed}")).run().ends(0);
    assert_eq!(began(&first), began(&again), "{}", first.transcript());
    let by_variable = file(&format!(
        "<xenrt><variables><RANDOMISE_TEST_ORDER>yes</RANDOMISE_TEST_ORDER></variables><testsequence>{inside}</testsequence></xenrt>"
    ));
    assert!(by_variable.run().ends(0).stdout.contains("--shuffle="));
    assert!(!tests(&inside).run().ends(0).stdout.contains("--shuffle="));
    assert!(tests(&inside).args("--shuffle=often").run().ends(2).stderr.contains("expected a whole number"));
}

#[test]
fn rounds_go_on_until_something_does_not_pass() {
    // Fails in the third round: a file for each that there was.
    let counting = "#!/bin/sh\nls count.* 2>/dev/null | wc -l | grep -q 2 && exit 1\ntouch count.$$\n";
    let xrt = Xrt::new().program("count", counting);
    let ran = xrt.clone().args("--until-fail").run().ends(1);
    assert_eq!(outcomes(&ran), ["count passed", "count#2 passed", "count#3 failed"]);
    let at_most = Xrt::new().program("count", counting).args("--until-fail --repeat 2").run().ends(0);
    assert_eq!(outcomes(&at_most), ["count passed", "count#2 passed"]);
}

#[test]
fn a_test_that_failed_ends_the_rounds_also_where_the_criteria_let_it_pass() {
    // `count` fails in the second round; a clean-up that fails in each round does not count.
    let counting = "#!/bin/sh\nls count.* 2>/dev/null | grep -q . && exit 1\ntouch count.$$\n";
    let text = r#"<xenrt><testsequence><testcase id="pass"/><testcase id="./count" name="count"/>
        <finally><testcase id="fail" name="tidy"/></finally></testsequence></xenrt>"#;
    let xrt = || file(text).executable("count", counting).args("--until-fail --repeat 4 -D PASS_CRITERIA=50");
    let ran = xrt().run().ends(0);
    let rounds = ["pass passed", "count passed", "tidy failed", "pass#2 passed", "count#2 failed", "tidy#2 failed"];
    assert_eq!(outcomes(&ran), rounds, "{}", ran.transcript());
    let errs = xrt().executable("count", counting.replace("exit 1", "{ echo 'Test: error'; exit 1; }")).run().ends(0);
    assert_eq!(errs.outcome("count#2"), Outcome::Errored, "{}", errs.transcript());
    assert_eq!(outcomes(&errs).len(), 6);
}

#[test]
fn a_preparation_that_cannot_be_made_blocks_everything() {
    let text = r#"<xenrt><prepare><host id="0"/></prepare><testsequence>
        <testcase id="pass"/><finally><testcase id="pass" name="end"/></finally></testsequence></xenrt>"#;
    let ran = file(text).run().ends(3);
    assert_eq!(outcomes(&ran), ["prepare errored", "pass blocked", "end blocked"]);
    assert!(ran.stdout.contains("--noprepare"), "{}", ran.transcript());
    let without = file(text).args("--noprepare").run().ends(0);
    assert_eq!(outcomes(&without), ["pass passed", "end passed"]);
    let by_variable = file(text).args("-D CLIOPTIONS/NOPREPARE=yes").run().ends(0);
    assert_eq!(outcomes(&by_variable), ["pass passed", "end passed"]);
    let only = file("<xenrt><prepare><host id=\"0\"/></prepare></xenrt>");
    assert_eq!(outcomes(&only.clone().run().ends(3)), ["prepare errored"]);
    only.args("--noprepare").run().ends(4);
    file("<xenrt><prepare/></xenrt>").run().ends(4);
}

#[test]
fn options_set_the_variables_that_they_are_short_for() {
    let names = [
        ("--noprepare", "CLIOPTIONS/NOPREPARE", "yes"),
        ("--nohostprepare", "CLIOPTIONS/NOHOSTPREPARE", "yes"),
        ("--noinstall", "CLIOPTIONS/NOINSTALL", "yes"),
        ("--no-finally", "CLIOPTIONS/NOFINALLY", "yes"),
        ("--no-postrun", "CLIOPTIONS/NOPOSTRUN", "yes"),
        ("--host h1,h2", "RESOURCE_HOST_1", "h2"),
        ("-H h1", "RESOURCE_HOST_0", "h1"),
        ("--inputs /in", "INPUTDIR", "/in"),
        ("--distro debian", "DEFAULT_GUEST_DISTRO", "debian"),
        ("--email a@b", "EMAIL", "a@b"),
    ];
    for (words, name, value) in names {
        let ran = tests(&format!(r#"<testcase id="config"><arg>name={name}</arg></testcase>"#)).args(words).run().ends(0);
        assert_eq!(ran.said("config"), [value], "{words}");
    }
    let ran = tests(r#"<testcase id="post"/>"#).args("--no-postrun").run().ends(0);
    assert_eq!(ran.said("post"), [""; 0]);
    assert_eq!(tests(r#"<testcase id="post"/>"#).run().ends(0).said("post"), ["post"]);
}

#[test]
fn a_line_of_the_user_guide_is_understood_as_it_is_printed() {
    let sequence = r#"<xenrt><default name="VERSIONS" value="g"/><prepare><host id="0"/></prepare><testsequence>
        <for iter="G" values="${VERSIONS}"><serial group="${G}">
          <testcase id="pass" name="TCWindowsInstall"/><testcase id="pass" name="TCDriverInstall"/><testcase id="pass" name="TCReboot"/>
          <finally><testcase id="fail" name="TCUninstall"/></finally>
        </serial></for></testsequence></xenrt>"#;
    let ran = scripts()
        .file("riowindows.seq", sequence)
        .args("-V --host myhost.testdev.hq.xensource.com -s riowindows.seq --noprepare --no-finally")
        .args("-D VERSIONS=winguest --skip TCWindowsInstall --skip TCDriverInstall")
        .run()
        .ends(0);
    let all = ["winguest/TCWindowsInstall skipped", "winguest/TCDriverInstall skipped", "winguest/TCReboot passed"];
    assert_eq!(outcomes(&ran), all);
}

#[test]
fn limits_retries_and_the_first_failure() {
    let inside = r#"<testcase id="pass"/><testcase id="fail"/><testcase id="pass" name="later"/>"#;
    let ran = tests(inside).args("--fail-fast").run().ends(1);
    assert_eq!(outcomes(&ran), ["pass passed", "fail failed", "later blocked"]);
    let ran = tests(inside).args("--retries 2").run().ends(1);
    let attempts = ran.facts("fail").into_iter().filter(|f| matches!(f, Fact::CaseStarted { .. })).count();
    assert_eq!(attempts, 3);
    let slow = r#"<testcase id="dummy.TCSleep"><arg>seconds=600</arg></testcase><testcase id="pass"/>"#;
    let ran = tests(slow).args("--run-timeout 0.2").run();
    assert_eq!((ran.outcome("TCSleep"), ran.outcome("pass")), (Outcome::Failed, Outcome::Blocked), "{}", ran.transcript());
    let ran = tests(&format!("<serial group=\"g\">{slow}</serial>")).args("--group-timeout 0.2").run();
    assert_eq!((ran.outcome("g/TCSleep"), ran.outcome("g/pass")), (Outcome::Failed, Outcome::Blocked), "{}", ran.transcript());
}

#[test]
fn what_cannot_be_together_is_refused_with_a_way_on() {
    let inside = r#"<testcase id="pass"/>"#;
    for (words, expected) in [
        ("seconds=3", "`seconds=3`: a sequence takes no arguments"),
        ("--testcase pass", "cannot be used with"),
        ("--existing virsh://h1", "there is no toolstack `virsh`"),
        ("-P sim:hots=3", "the simulated pool has no option `hots`"),
        ("--only a&", "`--only 'a&'`, at its end: expected a pattern here"),
        ("-D SKIPALL=perhaps", "`SKIPALL`"),
        ("-D PRIORITY=high", "`PRIORITY` is `high`"),
        ("--repeat 0", "--repeat"),
        ("-C nowhere", "go into the directory `nowhere`"),
    ] {
        let ran = tests(inside).args(words).run().ends(2);
        assert!(ran.stderr.contains(expected), "{words}\n{}", ran.transcript());
    }
    let none = Xrt::new().run().ends(2);
    assert!(none.stderr.contains("neither a --testcase nor a --sequence"), "{}", none.transcript());
    assert!(none.then("x.seq").ends(2).stderr.contains("to run `x.seq`: xrt -s x.seq"));
}

#[test]
fn another_directory_and_the_plan_alone() {
    let text = r#"<xenrt><testsequence><testcase id="pass"/></testsequence></xenrt>"#;
    let there = scripts().file("there/scripts/pass.rhai", "fn run(args) { log(\"there\"); }").file("there/t.seq", text);
    let ran = there.args("-s t.seq -C there --results ../results").run().ends(0);
    assert_eq!(ran.said("pass"), ["there"]);
    let shown = file(text).args("--dump-sequence --skip pass").run().ends(4);
    assert!(shown.stdout.contains("left out by --skip pass") && !shown.dir().join("results").exists(), "{}", shown.transcript());
    assert_eq!(shown.then("plan -s t.seq --skip pass").stdout, shown.stdout);
    let elsewhere = scripts().file("more/u.seq", text);
    elsewhere.clone().args("-s u.seq").run().ends(2);
    elsewhere.clone().args("-s u --sequence-path more").run().ends(0);
    elsewhere.env("XRT_SEQUENCES", "none:more").args("-s u.seq").run().ends(0);
}
