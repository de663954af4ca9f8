//! Sequences before they run: what is shown of them, what is written from templates, and what the program ships.

use crate::support::story::Story;
use crate::support::xrt::Xrt;
use std::collections::BTreeSet;
use std::path::Path;
use xenrt::event::log::LogWriter;
use xenrt::event::{Beginning, Outcome, Planned, Verdict};
use xenrt::name::CaseId;

/// A small sequence of every kind of step.
const SMALL: &str = r#"<xenrt>
  <default name="WHO" value="anna,bert"/>
  <semaphores><TCThread count="1"/></semaphores>
  <testsequence group="Top">
    <testcase id="dummy.TCSleep" name="First" blocker="yes" prio="1"><arg>seconds=0.1</arg></testcase>
    <parallel group="Side" workers="2" timeout="1h">
      <for iter="NAME" values="${WHO}">
        <serial group="Of-${NAME}" guest="${NAME}">
          <testcase id="dummy.TCThread" prio="2" tc="TC-7" retries="1"/>
          <ifeq x="${NAME}" y="anna"><testcase id="dummy.TCSkip" depends="Top:First" prio="3"/></ifeq>
        </serial>
      </for>
    </parallel>
    <action action="sleep"><arg>2</arg></action>
    <finally><testcase id="dummy.TCSleep" name="Tidy"/></finally>
  </testsequence>
</xenrt>
"#;

/// What `xrt plan -s small.seq` and these words print.
fn small(words: &str) -> String {
    Xrt::new().file("small.seq", SMALL).args("plan -s small.seq").args(words).run().ends(0).stdout
}

#[test]
fn aliases_are_listed_by_name_with_what_they_stand_for() {
    let ran = Xrt::new()
        .file("scripts/a.rhai", "fn meta() { #{ title: \"One\", aliases: [\"old.TCOne\", \"TCBoth\"] } }\nfn run(args) {}")
        .file("scripts/b.rhai", "fn meta() { #{ title: \"Two\", aliases: [\"TCBoth\"] } }\nfn run(args) {}")
        .args("list --aliases TCBoth")
        .run()
        .ends(0);
    insta::assert_snapshot!(ran.stdout, @r"
    ALIAS   TESTCASE  TITLE
    TCBoth  a         One
    TCBoth  b         Two
    ");
    let json: serde_json::Value = serde_json::from_str(&ran.then("list --aliases --json old.").stdout).unwrap();
    let expected = serde_json::json!([
        { "alias": "old.TCOne", "testcase": "a", "file": "scripts/a.rhai", "title": "One" },
    ]);
    assert_eq!(json, expected);
}

#[test]
fn a_new_sequence_goes_where_it_was_asked_for_and_over_nothing() {
    let ran = Xrt::new().args("new sequence nightly --title Every----night").run().ends(0);
    let text = |name: &str| std::fs::read_to_string(ran.dir().join(name)).unwrap();
    assert!(text("nightly.seq").starts_with("<!-- Every- - - -night\n"), "no two hyphens in a comment: {}", text("nightly.seq"));
    assert!(ran.stderr.contains("xrt --guest local -s nightly.seq"), "{}", ran.transcript());
    ran.then("new sequences/mine.seq").ends(0);
    assert!(text("sequences/mine.seq").starts_with("<!-- Mine\n"));
    assert!(ran.then("new sequence nightly").ends(2).stderr.contains("nightly.seq"));
    assert!(ran.then("new sequence nightly.rhai").ends(2).stderr.contains("does not end in .seq"));
    assert!(ran.then("new mine").ends(0).dir().join("mine.rhai").is_file());
}

#[test]
fn a_plan_is_shown_as_a_tree() {
    insta::assert_snapshot!(small(""), @"
    small  small.seq

    ↓ serial Top
    ├─ ● Top/First                   dummy/sleep seconds=0.1  P1, blocker
    ├─ ⇉ parallel Side  2 at a time, limit 1h00m
    │  └─ ◇ for NAME  2 rounds: anna, bert
    │     ├─ ↓ serial Of-anna
    │     │  ├─ ● Of-anna/TCThread   dummy/parallel           P2, on anna, semaphore tcthread, 1 retry, TC-7
    │     │  └─ ◇ ifeq  yes: `anna` is `anna`
    │     │     └─ ● Of-anna/TCSkip  dummy/skip               P3, after Top/First, on anna
    │     └─ ↓ serial Of-bert
    │        ├─ ● Of-bert/TCThread   dummy/parallel           P2, on bert, semaphore tcthread, 1 retry, TC-7
    │        └─ ◇ ifeq  no: `bert` is not `anna`
    ├─ ▶ sleep                       Wait 2 s
    └─ ↺ finally
       └─ ● Top/Tidy                 dummy/sleep

    4 testcases, 1 clean-up, 1 action
    to pass: 100 % of the testcases
    at a time: tcthread 1
    ");
}

#[test]
fn a_plan_says_what_a_filter_left_out() {
    insta::assert_snapshot!(small("--skip TCThread --priority 2"), @"
    small  small.seq

    ↓ serial Top
    ├─ ● Top/First                   dummy/sleep seconds=0.1  P1, blocker
    ├─ ⇉ parallel Side  2 at a time, limit 1h00m
    │  └─ ◇ for NAME  2 rounds: anna, bert
    │     ├─ ↓ serial Of-anna
    │     │  ├─ ○ Of-anna/TCThread   dummy/parallel           skipped: left out by --skip TCThread
    │     │  └─ ◇ ifeq  yes: `anna` is `anna`
    │     │     └─ ○ Of-anna/TCSkip  dummy/skip               skipped: priority 3 is left out by --priority 2
    │     └─ ↓ serial Of-bert
    │        ├─ ○ Of-bert/TCThread   dummy/parallel           skipped: left out by --skip TCThread
    │        └─ ◇ ifeq  no: `bert` is not `anna`
    ├─ ▶ sleep                       Wait 2 s
    └─ ↺ finally
       └─ ● Top/Tidy                 dummy/sleep

    4 testcases, 3 of them skipped, 1 clean-up, 1 action
    to pass: 100 % of the testcases
    at a time: tcthread 1
    ");
    insta::assert_snapshot!(small("--only name:TCT* -D WHO=carl --no-finally"), @"
    small  small.seq

    ↓ serial Top
    ├─ ○ Top/First                  dummy/sleep seconds=0.1  skipped: not selected by --only 'name:TCT*'
    ├─ ⇉ parallel Side  2 at a time, limit 1h00m
    │  └─ ◇ for NAME  1 round: carl
    │     └─ ↓ serial Of-carl
    │        ├─ ● Of-carl/TCThread  dummy/parallel           P2, on carl, semaphore tcthread, 1 retry, TC-7
    │        └─ ◇ ifeq  no: `carl` is not `anna`
    ├─ ▶ sleep                      Wait 2 s
    └─ ◇ finally  left out (--no-finally)

    2 testcases, 1 of them skipped, 1 action
    to pass: 100 % of the testcases
    at a time: tcthread 1
    ");
}

#[test]
fn a_plan_of_another_order_says_its_seed() {
    let shuffled = small("--shuffle=7");
    assert!(shuffled.contains("order: shuffled with 7 (--shuffle=7 gives it again)"), "{shuffled}");
    assert_eq!(shuffled, small("--shuffle=7"));
    let twice = small("--repeat 2");
    assert!(twice.contains("Of-anna/TCThread#2") && twice.contains("round 2"), "{twice}");
}

#[test]
fn a_plan_fits_where_it_is_shown() {
    let coloured = small("--color always");
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert_eq!(regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(&coloured, ""), small(""));
    let ascii = Xrt::new().file("small.seq", SMALL).args("plan -s small.seq").env("LC_ALL", "C").run().ends(0).stdout;
    assert!(ascii.is_ascii() && ascii.contains("|- = parallel Side"), "{ascii}");
}

#[test]
fn a_plan_of_what_is_wrong_is_shown_only_leniently() {
    let text = r#"<xenrt><testsequence><serial group="G">
      <testcase id="dummy.TCNone"/><testcase id="dummy.TCSkip"><arg>loops=1</arg></testcase>
      <marvintests path="suites/smoke" class="TestDeploy"/>
    </serial></testsequence></xenrt>"#;
    let xrt = Xrt::new().file("old.seq", text);
    let strict = xrt.clone().args("plan -s old.seq").run().ends(2);
    assert_eq!(strict.stdout, "");
    for told in ["no testcase `dummy.TCNone`", "no argument `loops`", "Marvin", "--lenient"] {
        assert!(strict.stderr.contains(told), "{told}\n{}", strict.stderr);
    }
    insta::assert_snapshot!(xrt.args("plan -s old.seq --lenient").run().ends(0).stdout, @"
    old  old.seq

    ↓ serial
    └─ ↓ serial G
       ├─ ✗ G/TCNone                 dummy.TCNone  cannot be run: no testcase `dummy.TCNone`
       ├─ ● G/TCSkip                 dummy/skip
       └─ ✗ suites/smoke/TestDeploy  TestDeploy    cannot be run: `TestDeploy` is a test of the Marvin runner, which is not supported

    3 testcases, 2 that cannot be run
    to pass: 100 % of the testcases
    ");
}

#[test]
fn a_plan_of_nothing_says_so_by_its_exit_status() {
    let xrt = Xrt::new().file("small.seq", SMALL);
    let ran = xrt.clone().args("plan -s small.seq --run First --run TCSkip --skip First").run().ends(0);
    assert!(ran.stdout.contains("4 testcases, 2 of them skipped"), "{}", ran.stdout);
    xrt.clone().args("plan -s small.seq -D SKIPALL=yes").run().ends(4);
    xrt.clone().args("plan -s small.seq --only name:nothing").run().ends(2);
    xrt.clone().args("plan").run().ends(2);
    let ran = xrt.args("plan -s smal.seq").run().ends(2);
    assert!(ran.stderr.contains("did you mean `small.seq`?"), "{}", ran.stderr);
}

#[test]
fn programs_get_all_of_a_plan() {
    let json: serde_json::Value = serde_json::from_str(&small("--json --skip First")).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let named = |names: &str| names.split_whitespace().map(String::from).collect::<BTreeSet<_>>();
    assert_eq!(keys(&json), named("sequence file preprepare prepare tree counts criteria semaphores seed expected"));
    assert_eq!(json["counts"], serde_json::json!({ "testcases": 4, "skipped": 1, "unusable": 0, "cleanups": 1, "actions": 1 }));
    assert_eq!(json["semaphores"], serde_json::json!({ "tcthread": 1 }));
    let tree = &json["tree"];
    assert_eq!(keys(tree), named("step order label workers blocker timeout written steps finally"));
    let first = &tree["steps"][0];
    let expected = serde_json::json!({
        "kind": "case", "id": "Top/First", "role": "testcase", "testcase": "dummy/sleep", "title": "Sleep for some seconds",
        "file": "builtin:dummy/sleep.rhai", "words": ["seconds=0.1"], "args": { "seconds": 0.1, "fail": false }, "priority": 1,
        "tc": null, "sku": null, "blocker": true, "depends": [], "timeout": null, "retries": 0, "class": null, "machine": null,
        "skip": "left out by --skip First", "unusable": null, "expected": null,
        "written": { "file": "small.seq", "line": 5, "column": 5 },
    });
    assert_eq!(*first, expected);
    let parallel = &tree["steps"][1];
    assert_eq!((&parallel["kind"], &parallel["order"], &parallel["workers"]), (&"group".into(), &"parallel".into(), &2.into()));
    assert_eq!(parallel["timeout"], 3600.0);
    let note = &parallel["steps"][0];
    assert_eq!(keys(note), named("kind what did written steps"));
    assert_eq!((&note["what"], &note["did"]), (&"for NAME".into(), &"2 rounds: anna, bert".into()));
    let last = &note["steps"][0]["steps"][1]["steps"][0];
    assert_eq!((&last["depends"], &last["machine"]), (&serde_json::json!(["Top/First"]), &"anna".into()));
    assert_eq!(tree["finally"][0]["role"], "cleanup");
}

/// All elements of an XML document, with a check that it is one.
fn elements(xml: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut names, mut depth) = (Vec::new(), 0);
    loop {
        use quick_xml::events::Event;
        match reader.read_event().unwrap_or_else(|e| panic!("{e} at {}\n{xml}", reader.buffer_position())) {
            Event::Start(start) => {
                depth += 1;
                start.attributes().for_each(|a| drop(a.unwrap()));
                names.push(start.name().as_ref().to_string());
            }
            Event::Empty(start) => start.attributes().for_each(|a| drop(a.unwrap())),
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{xml}");
    names
}

/// Names and labels that a picture could trip over.
const HOSTILE: &str = r#"<xenrt><testsequence><serial group="a &lt;b&gt; &quot;c&quot; \ &amp; &#9;d">
  <testcase id="dummy.TCSkip" name="&lt;/text&gt;&quot;]; }"/><parallel/>
</serial></testsequence></xenrt>"#;

#[test]
fn a_plan_is_drawn() {
    for text in [SMALL, HOSTILE] {
        let ran = Xrt::new().file("x.seq", text).args("plan -s x.seq --lenient --graph x.svg").run().ends(0);
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().last()), ("", Some("wrote x.svg")));
        let svg = std::fs::read_to_string(ran.dir().join("x.svg")).unwrap();
        let names = elements(&svg);
        let cases = ran.then("plan -s x.seq --lenient --json").stdout.matches("\"kind\": \"case\"").count();
        assert!(cases > 0 && names.iter().filter(|name| *name == "title").count() > cases, "{svg}");
    }
    let ran = Xrt::new().file("x.seq", SMALL).args("plan -s x.seq --graph x.png").run().ends(2);
    assert!(ran.stderr.contains("ends in .svg or .dot"), "{}", ran.stderr);
}

#[test]
fn a_plan_is_a_graph() {
    insta::assert_snapshot!(small("--graph -"), @r#"
    digraph "small" {
      rankdir=TB; compound=true; fontname="monospace"; fontsize=11;
      node [shape=box, style="rounded,filled", fillcolor=white, fontname="monospace", fontsize=10];
      subgraph cluster_1 {
        label="serial Top"; labeljust=l; style="rounded"; 
        n1 [label="Top/First\ndummy/sleep seconds=0.1\nP1, blocker", penwidth=2, color=orangered];
        subgraph cluster_2 {
          label="parallel Side (2 at a time, limit 1h00m)"; labeljust=l; style="rounded"; 
          subgraph cluster_3 {
            label="for NAME: 2 rounds: anna, bert"; labeljust=l; style="dotted"; 
            n2 [shape=point, width=0.06, label=""];
            n3 [shape=point, width=0.06, label=""];
            subgraph cluster_4 {
              label="serial Of-anna"; labeljust=l; style="rounded"; 
              n4 [label="Of-anna/TCThread\ndummy/parallel\nP2, on anna, semaphore tcthread, 1 retry, TC-7"];
              subgraph cluster_5 {
                label="ifeq: yes: `anna` is `anna`"; labeljust=l; style="dotted"; 
                n5 [label="Of-anna/TCSkip\ndummy/skip\nP3, after Top/First, on anna"];
              }
              n4 -> n5;
            }
            n2 -> n4;
            n5 -> n3;
            subgraph cluster_6 {
              label="serial Of-bert"; labeljust=l; style="rounded"; 
              n6 [label="Of-bert/TCThread\ndummy/parallel\nP2, on bert, semaphore tcthread, 1 retry, TC-7"];
              subgraph cluster_7 {
                label="ifeq: no: `bert` is not `anna`"; labeljust=l; style="dotted"; 
                n7 [shape=point, width=0.06, label=""];
              }
              n6 -> n7;
            }
            n2 -> n6;
            n7 -> n3;
          }
        }
        n8 [label="sleep\nWait 2 s", fillcolor=lightyellow];
        n1 -> n2;
        n3 -> n8;
        subgraph cluster_8 {
          label="finally"; labeljust=l; style="rounded,dashed"; 
          n9 [label="Top/Tidy\ndummy/sleep", color=darkgreen];
        }
        n8 -> n9;
      }
    }
    "#);
    let hostile = Xrt::new().file("x.seq", HOSTILE).args("plan -s x.seq --lenient --graph -").run().ends(0).stdout;
    // Outside of its quoted texts nothing is left of what could end a text or a cluster.
    let (mut outside, mut is_quoted, mut is_escaped) = (String::new(), false, false);
    for c in hostile.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if !is_quoted => outside.push(c),
            _ => {}
        }
    }
    assert!(!is_quoted && outside.matches('{').count() == outside.matches('}').count(), "{hostile}");
    assert!(!outside.contains("text") && !outside.contains("]; }"), "{outside}");
}

/// The log of a run in which the cases took so long.
fn log(dir: &Path, cases: &[(&str, &str, Outcome, f64)]) {
    let plan = cases.iter().map(|(id, testcase, ..)| Planned::new(CaseId::new(*id), *testcase)).collect();
    let mut story = Story::of(Beginning { plan, ..Beginning::default() });
    for (id, _, outcome, took) in cases {
        story.start(id).after(*took).end(id, *outcome, None);
    }
    let story = story.over(Verdict::Passed);
    std::fs::create_dir_all(dir).unwrap();
    let mut log = LogWriter::new(std::fs::File::create(dir.join("events.jsonl")).unwrap()).unwrap();
    for event in &story.events {
        log.write(event).unwrap();
    }
}

#[test]
fn earlier_runs_say_how_long_it_will_take() {
    use Outcome::{Failed, Passed};
    let xrt = Xrt::new().file("small.seq", SMALL);
    let results = xrt.dir().join("results");
    let threads = |anna: f64, bert: f64| {
        [
            ("Top/First", "dummy/sleep", Passed, 60.0),
            ("Of-anna/TCThread", "dummy/parallel", Passed, anna),
            ("Of-bert/TCThread", "dummy/parallel", Passed, bert),
        ]
    };
    log(&results.join("1"), &threads(10.0, 30.0));
    log(&results.join("2"), &threads(20.0, 30.0));
    log(&results.join("3"), &threads(30.0, 20.0));
    log(&results.join("4"), &[("Top/First", "dummy/sleep", Failed, 3600.0)]);
    std::os::unix::fs::symlink("4", results.join("latest")).unwrap();
    std::fs::create_dir(results.join("not-a-run")).unwrap();
    let ran = xrt.args("plan -s small.seq --history").run().ends(0);
    // Anna 20 s, then bert 30 s, as they share a semaphore; then the action.
    let end: Vec<&str> = ran.stdout.lines().rev().take(2).collect();
    assert_eq!(
        end,
        [
            "the end waits for: Top/First, Of-anna/TCThread, Of-bert/TCThread, sleep",
            "expected: 1m52 by 4 earlier runs, and 2 of which none says how long they take"
        ]
    );
    assert!(ran.stdout.contains("about 20.0s"), "{}", ran.stdout);
    assert!(ran.then("plan -s small.seq -j 2").ends(2).stderr.contains("--history"));
    let json: serde_json::Value = serde_json::from_str(&ran.then("plan -s small.seq --history results/3 --json").stdout).unwrap();
    let path = ["Top/First", "Of-anna/TCThread", "Of-bert/TCThread", "sleep"];
    assert_eq!(json["expected"], serde_json::json!({ "runs": 1, "seconds": 112.0, "unknown": 2, "path": path }));
    // The same from a file of many runs.
    for run in ["1", "2", "3"] {
        ran.then(&format!("replay results/{run} --quiet --report sqlite:all.db")).ends(0);
    }
    let ran = ran.then("plan -s small.seq --history all.db");
    assert!(ran.stdout.contains("expected: 1m52 by 1 earlier run,"), "one name is one run: {}", ran.transcript());
    let ran = ran.then("plan -s small.seq --history small.seq").ends(0);
    assert!(ran.stderr.contains("is not an event log") && ran.stdout.contains("by 0 earlier runs"), "{}", ran.transcript());
    assert!(ran.then("plan -s small.seq --history nowhere").ends(2).stderr.contains("nowhere"));
}

#[test]
fn fewer_workers_take_longer() {
    let three = ["a", "b", "c"].map(|name| format!("<testcase id=\"dummy.TCSleep\" name=\"{name}\"/>")).concat();
    let xrt = Xrt::new().file("p.seq", format!("<xenrt><testsequence><parallel>{three}</parallel></testsequence></xenrt>"));
    log(&xrt.dir().join("results/1"), &["a", "b", "c"].map(|name| (name, "dummy/sleep", Outcome::Passed, 10.0)));
    let ran = xrt.args("plan -s p.seq --history").run().ends(0);
    assert!(ran.stdout.contains("expected: 10.0s by 1 earlier run"), "{}", ran.stdout);
    for (workers, expected) in [(1, "30.0s"), (2, "20.0s"), (3, "10.0s")] {
        let ran = ran.then(&format!("plan -s p.seq -j {workers} --history")).ends(0);
        assert!(ran.stdout.contains(&format!("expected: {expected} by")), "{workers}: {}", ran.stdout);
    }
}
