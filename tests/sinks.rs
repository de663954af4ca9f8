//! The reports that programs read: each well formed whatever happened, read back where there is a reader.

use crate::support::skip::skip;
use crate::support::stories::{any_story, happy, made, opening, told, unhappy};
use crate::support::story::{Story, failure};
use proptest::prelude::*;
use std::fs;
use std::process::Command;
use xenrt::event::{Fact, Outcome, Role, Sink, Verdict};
use xenrt::report::{Opening, Reports, Summary, open};
use xenrt::run::tap;

fn read_tap(text: &str) -> tap::Tap {
    tap::read(text.lines().map(|l| Ok::<_, ()>(l.to_string()))).unwrap().expect("TAP")
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are what is expected")]
fn tap_has_a_point_for_everything_planned() {
    insta::assert_snapshot!(made("tap", &unhappy()).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    # Subtest: storage/matrix
        1..3
        ok 1 - nfs/create \# SKIP \\
          ---
          duration_ms: 1500.000
          ...
        not ok 2 - nfs/resize
          ---
          outcome: "failed"
          message: "SR_BACKEND <␁&> \"40\"\n  ...\n---"
          duration_ms: 1500.000
          ...
        ok 3 - bare # SKIP no disk
          ---
          outcome: "skipped"
          message: "no disk"
          duration_ms: 1500.000
          ...
    not ok 1 - storage/matrix
      ---
      outcome: "failed"
      message: "1 subcase failed"
      duration_ms: 5000.000
      values:
        - "IOPS = 1250 1/s"
      warnings:
        - "slow\x3a ]]> | `x`\n  ...\nnot ok"
      ...
    not ok 2 - storage/alone
      ---
      outcome: "failed"
      message: "the guest did not really reboot"
      duration_ms: 1000.000
      kind: "assertion"
      blame: "product"
      file: "scripts/lib/boot.rhai"
      line: 13
      causes:
        - "boot id is the same"
      data: |
        before: 4f1c9a
        after:  4f1c9a
      help: "look at the guest's console"
      ...
    not ok 3 - lone
      ---
      outcome: "blocked"
      message: "blocked by storage/alone, failed"
      duration_ms: 0.000
      ...
    ok 4 - net/ping # SKIP needs two guests # really
      ---
      outcome: "skipped"
      message: "needs two guests # really"
      duration_ms: 0.000
      ...
    not ok 5 - tidy # TODO a clean-up does not count
      ---
      outcome: "errored"
      message: "no machine"
      duration_ms: 500.000
      ...
    not ok 6 - storage/late
      ---
      outcome: "unfinished"
      message: "never finished: the run did not come to its end, or its log is damaged"
      duration_ms: 2000.000
      ...
    1..6
    # verdict: incomplete
    Bail out! the run did not come to its end, or its log is damaged
    "#);
}

#[test]
fn tap_of_a_run_that_passed_or_had_nothing_to_do() {
    insta::assert_snapshot!(made("tap", &happy()).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    ok 1 - a
      ---
      duration_ms: 250.000
      ...
    # Subtest: g/b
        1..1
        ok 1 - one
          ---
          duration_ms: 1500.000
          ...
    ok 2 - g/b
      ---
      outcome: "partial"
      message: "only an estimate"
      duration_ms: 0.000
      ...
    1..2
    # verdict: passed
    "#);
    insta::assert_snapshot!(made("tap", &Story::plan(&[]).over(Verdict::NothingRan)).0, @r#"
    TAP version 14
    # run 20261122-090000-7f3a by xrt 0.1.0 on h1
    1..0 # SKIP nothing was planned
    # verdict: nothing_ran
    "#);
}

#[test]
fn tap_is_read_back_by_our_own_reader() {
    let read = read_tap(&made("tap", &unhappy()).0);
    let all: Vec<String> =
        read.tests.iter().map(|t| format!("{} {}/{}: {}", t.outcome.word(), t.group, t.name, t.reason)).collect();
    assert_eq!(
        all,
        [
            r"passed storage/matrix/nfs/create # SKIP \: ",
            "failed storage/matrix/nfs/resize: not ok",
            "skipped storage/matrix/bare: no disk",
            "failed /storage/matrix: not ok",
            "failed /storage/alone: not ok",
            "failed /lone: not ok",
            "skipped /net/ping: needs two guests # really",
            "passed /tidy: not ok, as expected a clean-up does not count",
            "failed /storage/late: not ok",
        ]
    );
    let problems: Vec<&str> = read.problems.iter().map(|p| p.reason.as_str()).collect();
    assert_eq!(problems, ["the program bailed out: the run did not come to its end, or its log is damaged"]);
    assert_eq!(read.tests[4].took, 1.0);
}

/// What Perl's own reader says of a text: a line a test, then what it makes of the whole.
const PERL: &str = r#"
use TAP::Parser;
my $text = do { local $/; <STDIN> };
my $probe = TAP::Parser->new({ tap => "TAP version 14\n1..1\nok 1\n" });
$probe->run;
# An older reader knows no version 14, which differs only in what it passes over.
$text =~ s/^TAP version 14/TAP version 13/ if $probe->parse_errors;
my $parser = TAP::Parser->new({ tap => $text });
while (my $r = $parser->next) {
    if ($r->is_test) { printf "%s %d %s%s%s\n", $r->is_actual_ok ? "ok" : "not ok", $r->number, $r->description,
        $r->has_skip ? " SKIP " . $r->explanation : "", $r->has_todo ? " TODO " . $r->explanation : "" }
    elsif ($r->is_yaml) { my $d = $r->data; print "  $_=", (ref $d->{$_} ? join("|", @{ $d->{$_} }) : $d->{$_}) =~ s/\n/~/gr, "\n" for grep { /message|data/ } sort keys %$d }
    elsif ($r->is_bailout) { print "bail out: ", $r->explanation, "\n" }
}
printf "planned %s, ran %d, failed %s, errors %s\n", $parser->tests_planned // "none", $parser->tests_run, join(",", $parser->failed), join("; ", $parser->parse_errors);
"#;

/// What Perl makes of TAP; nothing where there is no Perl that reads it.
fn perl_reads(text: &str) -> Option<String> {
    use std::io::Write;
    let mut perl = Command::new("perl");
    perl.args(["-CSD", "-e", PERL]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = perl.spawn().ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tap_is_read_by_perl() {
    let Some(read) = perl_reads(&made("tap", &unhappy()).0) else { return skip("XRT_REQUIRE_PERL", "no perl with TAP::Parser") };
    insta::assert_snapshot!(read, @r#"
      message=SR_BACKEND <␁&> "40"~  ...~---
      message=no disk
    not ok 1 - storage/matrix
      message=1 subcase failed
    not ok 2 - storage/alone
      data=before: 4f1c9a~after:  4f1c9a~
      message=the guest did not really reboot
    not ok 3 - lone
      message=blocked by storage/alone, failed
    ok 4 - net/ping SKIP needs two guests # really
      message=needs two guests # really
    not ok 5 - tidy TODO a clean-up does not count
      message=no machine
    not ok 6 - storage/late
      message=never finished: the run did not come to its end, or its log is damaged
    bail out: the run did not come to its end, or its log is damaged
    planned 6, ran 6, failed 1,2,3,6, errors
    "#);
    insta::assert_snapshot!(perl_reads(&made("tap", &happy()).0).unwrap(), @r#"
    ok 1 - a
    ok 2 - g/b
      message=only an estimate
    planned 2, ran 2, failed , errors
    "#);
    let mut cut = made("tap", &happy()).0;
    cut.truncate(cut.find("# Subtest").unwrap());
    insta::assert_snapshot!(perl_reads(&cut).unwrap(), @r#"
    ok 1 - a
    planned none, ran 1, failed , errors No plan found in TAP output
    "#);
}

#[test]
fn tap_is_written_as_testcases_finish_and_over_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tap");
    let spec = format!("tap:{}", path.display());
    for _ in 0..2 {
        let mut reports = Reports::new(vec![open(&spec, &opening(dir.path())).unwrap()]);
        let story = happy();
        let first = story.events.iter().position(|e| matches!(e.fact, Fact::CaseFinished { .. })).unwrap();
        told(&mut reports, &story.events[..=first]);
        reports.on_tick().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("ok 1 - a\n") && !text.contains("1..") && !text.contains("g/b"), "{text}");
        told(&mut reports, &story.events[first + 1..]);
        assert!(reports.close().is_empty());
        assert!(fs::read_to_string(&path).unwrap().ends_with("1..2\n# verdict: passed\n"));
    }
    fs::write(&path, "a diary").unwrap();
    assert!(open(&spec, &opening(dir.path())).err().unwrap().what.contains("t.tap"), "what is no TAP is not overwritten");
}

#[test]
fn tap_of_a_resumed_run_has_the_last_result_of_each() {
    let mut story = Story::plan(&["a", "b"]);
    story.start("a").end("a", Outcome::Failed, Some("no")).start("b");
    let again = vec![xenrt::name::CaseId::new("a")];
    story.after(60.0).tell("", Fact::RunResumed { version: "0.1.0".into(), command: vec![], again });
    story.start("b").end("b", Outcome::Passed, None).start("a").end("a", Outcome::Passed, None);
    let read = read_tap(&made("tap", &story.over(Verdict::Passed)).0);
    let all: Vec<(&str, Outcome)> = read.tests.iter().map(|t| (t.name.as_str(), t.outcome)).collect();
    assert_eq!((all, read.problems.len()), (vec![("b", Outcome::Passed), ("a", Outcome::Passed)], 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_gives_whole_tap(story in any_story()) {
        let (text, summary) = made("tap", &story);
        let read = read_tap(&text);
        let problems: Vec<&str> = read.problems.iter().map(|p| p.reason.as_str()).collect();
        prop_assert!(problems.iter().all(|p| p.starts_with("the program bailed out")), "{problems:?}\n{text}");
        prop_assert!(read.tests.len() >= summary.cases().len(), "{text}");
        let is_green = problems.is_empty() && read.tests.iter().all(|t| !t.outcome.is_bad());
        prop_assert!(!is_green || matches!(summary.verdict(), Verdict::Passed | Verdict::NothingRan), "{:?}\n{text}", summary.verdict());
        prop_assert!(is_green || summary.verdict() != Verdict::Passed, "{text}");
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_gives_tap_that_perl_reads(stories in prop::collection::vec(any_story(), 12)) {
        for story in stories {
            let (text, summary) = made("tap", &story);
            // That it is there at all is told where a fixed story is read.
            let Some(read) = perl_reads(&text) else { return Ok(()) };
            let end = format!("planned {0}, ran {0}, ", summary.cases().len());
            let last = read.lines().last().unwrap_or_default();
            prop_assert!(last.starts_with(&end) && last.ends_with("errors "), "{read}\n{text}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are what is expected")]
fn results_have_the_original_s_form() {
    let mut story = unhappy();
    if let Fact::RunStarted(beginning) = &mut story.events[0].fact {
        beginning.sequence = Some("smoke".into());
    }
    insta::assert_snapshot!(made("results", &story).0, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <sequenceresults>
      <name>smoke</name>
      <jobdetails>
        <host>h1</host>
      </jobdetails>
      <sequence>FAIL</sequence>
      <regression>FAIL</regression>
      <testgroup>
        <name>storage</name>
        <test>
          <name>matrix</name>
          <state>fail</state>
          <reason>1 subcase failed</reason>
          <value param="IOPS" units="1/s">1250</value>
          <group>
            <name>nfs</name>
            <test>
              <name>create # SKIP \</name>
              <state>pass</state>
            </test>
            <test>
              <name>resize</name>
              <state>fail</state>
              <reason>SR_BACKEND &lt;␁&amp;&gt; &quot;40&quot;
      ...
    ---</reason>
            </test>
          </group>
          <group>
            <name>DEFAULT</name>
            <test>
              <name>bare</name>
              <state>skipped</state>
              <reason>no disk</reason>
            </test>
          </group>
        </test>
        <test>
          <name>alone</name>
          <state>fail</state>
          <reason>the guest did not really reboot</reason>
        </test>
        <test>
          <name>late</name>
          <state>notrun</state>
        </test>
      </testgroup>
      <testgroup>
        <name></name>
        <test>
          <name>lone</name>
          <state>notrun</state>
          <reason>blocked by storage/alone, failed</reason>
        </test>
        <test>
          <name>tidy</name>
          <state>error</state>
          <reason>no machine</reason>
        </test>
      </testgroup>
      <testgroup>
        <name>net</name>
        <test>
          <name>ping</name>
          <state>skipped</state>
          <reason>needs two guests # really</reason>
        </test>
      </testgroup>
    </sequenceresults>
    "#);
    let passed = made("results", &happy()).0;
    assert!(passed.contains("<sequence>PASS</sequence>\n  <regression>PASS</regression>"), "{passed}");
}

/// Each element with the path of those around it, its attributes, and its text.
fn read_xml(text: &str) -> Vec<(String, String)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut path, mut all): (Vec<String>, Vec<(String, String)>) = (Vec::new(), Vec::new());
    let mut open: Vec<usize> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(start.name().as_ref().to_string());
                start.attributes().for_each(|a| drop(a.unwrap()));
                open.push(all.len());
                all.push((path.join("/"), String::new()));
            }
            Event::Empty(start) => {
                let name = start.name().as_ref().to_string();
                all.push((format!("{}/{name}", path.join("/")), String::new()));
            }
            Event::End(_) => {
                path.pop();
                open.pop();
            }
            Event::Text(text) => open.last().into_iter().for_each(|&last| all[last].1.push_str(&text)),
            Event::GeneralRef(reference) => {
                let text = match &*reference {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    other => panic!("&{other};"),
                };
                all[*open.last().unwrap()].1.push(text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "{path:?}");
    all
}

thread_local! {
    static SAID: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A standard output that can be read afterwards.
struct Said;

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.with_borrow_mut(|said| said.extend_from_slice(bytes));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn annotations(story: &Story) -> (String, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let opening = Opening { stream: || Box::new(Said), ..opening(dir.path()) };
    let mut reports = Reports::new(vec![open("github", &opening).unwrap()]);
    told(&mut reports, &story.events);
    assert!(reports.close().is_empty());
    let summary = std::mem::take(&mut *reports.summary().lock().unwrap());
    (String::from_utf8(SAID.take()).unwrap(), summary)
}

#[test]
fn github_gets_annotations() {
    insta::assert_snapshot!(annotations(&unhappy()).0, @r#"
    ::group::xrt: 4 testcases did not pass
    FAIL storage/matrix  1 subcase failed
    FAIL storage/alone  the guest did not really reboot
    CUT OFF storage/late
    BLOCKED lone  blocked by storage/alone, failed
    ::endgroup::
    ::error file=scripts/storage/matrix.rhai,title=FAIL storage/matrix::1 subcase failed
    ::error file=scripts/lib/boot.rhai,line=13,col=9,title=FAIL storage/alone::the guest did not really reboot%0Abecause: boot id is the same%0Ahelp: look at the guest's console
    ::error file=scripts/storage/late.rhai,title=CUT OFF storage/late::the run did not come to its end, or its log is damaged
    ::error file=scripts/lone.rhai,title=BLOCKED lone::blocked by storage/alone, failed
    ::warning title=ERROR tidy::no machine
    ::notice title=xrt::incomplete: 0 of 5 testcases passed
    "#);
    insta::assert_snapshot!(annotations(&happy()).0, @r#"
    ::warning title=PARTIAL g/b::only an estimate
    ::notice title=xrt::passed: 2 of 2 testcases passed
    "#);
    let ids: Vec<String> = (0..5000).map(|n| format!("g/{n}")).collect();
    let mut many = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for id in &ids {
        many.end(id, Outcome::Failed, Some("no"));
    }
    let (text, _) = annotations(&many.over(Verdict::Failed));
    assert_eq!((text.lines().count(), text.matches("::error ").count()), (1 + 1000 + 1 + 1 + 10 + 1, 10));
}

#[test]
fn markdown_is_a_page_to_read() {
    insta::assert_snapshot!(made("markdown", &unhappy()).0, @r#"
    ## ⚠️ INCOMPLETE – 5 testcases

    | failed | skipped | blocked | without a result |
    | ---: | ---: | ---: | ---: |
    | 2 | 1 | 1 | 1 |

    Run `20261122-090000-7f3a` by xrt 0.1.0 on `h1`. Results: `results/20261122-090000-7f3a`

    **Note: the run did not come to its end, or its log is damaged.**

    ### Not passed

    |  | what | why | where |
    | --- | --- | --- | --- |
    | FAIL | `storage/matrix` | 1 subcase failed |  |
    | FAIL | `storage/alone` | the guest did not really reboot | `scripts/lib/boot.rhai:13:9` |
    | BLOCKED | `lone` | blocked by storage/alone, failed |  |
    | ERROR | `tidy` (clean-up) | no machine |  |
    | CUT OFF | `storage/late` | the run did not come to its end, or its log is damaged |  |

    ### Measured

    | what | metric | value | better |
    | --- | --- | --- | --- |
    | `storage/matrix` | `IOPS` | 1250 1/s |  |

    <details><summary>FAIL storage/alone</summary>

    ```text
    FAIL storage/alone  assertion, blamed on the product
      the guest did not really reboot

       ╭▸ scripts/lib/boot.rhai:13:9
       │
    12 │ fn check_boot(vm, before) {
    13 │         fail("the guest did not really reboot");
       │         ━━━━ here in check_boot
    14 │ }
       ╰╴
        vm = guest("web1", 10.0.0.5)    before = "4f1c9a"

       ╭▸ scripts/guestops/reboot.rhai:21:5
       │
    20 │     vm.reboot();
    21 │     boot::check_boot(vm, before);
       │     ━━━━ called from here in run
    22 │ }
       ╰╴
        times = [12.1, 11.8]

        │ before: 4f1c9a
        │ after:  4f1c9a

      last calls to machines
      09:01:10.100  h1  systemctl reboot                       0.2s  exit 0
      09:01:12.500  h1  cat /proc/sys/kernel/random/boot_id     2ms  connection lost

      because: boot id is the same
      help:    look at the guest's console
    ```

    </details>
    "#);
    insta::assert_snapshot!(made("markdown", &happy()).0, @r#"
    ## ✅ PASSED – 2 testcases in 0.2s

    | passed | partial |
    | ---: | ---: |
    | 1 | 1 |

    Run `20261122-090000-7f3a` by xrt 0.1.0 on `h1`. Results: `results/20261122-090000-7f3a`

    ### Passed, but

    |  | what | why |
    | --- | --- | --- |
    | PARTIAL | `g/b` | only an estimate |
    "#);
    let ids: Vec<String> = (0..5000).map(|n| format!("g/{n}")).collect();
    let mut many = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    for id in &ids {
        many.start(id).fail(id, failure());
    }
    let (text, _) = made("markdown", &many.over(Verdict::Failed));
    assert!(text.contains("… and 4800 more") && text.len() < 200_000, "{} bytes", text.len());
}

/// The cells of each table's rows as text, and whatever else there is that we do not write ourselves.
fn read_markdown(text: &str) -> (Vec<Vec<String>>, Vec<String>) {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
    let (mut rows, mut strange): (Vec<Vec<String>>, Vec<String>) = (Vec::new(), Vec::new());
    let mut in_cell = false;
    for event in
        Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_GFM | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH)
    {
        match event {
            Event::Start(Tag::TableRow | Tag::TableHead) => rows.push(Vec::new()),
            Event::End(TagEnd::TableHead) => drop(rows.pop()),
            Event::Start(Tag::TableCell) => {
                in_cell = true;
                rows.last_mut().into_iter().for_each(|row| row.push(String::new()));
            }
            Event::End(TagEnd::TableCell) => in_cell = false,
            Event::Text(text) | Event::Code(text) if in_cell => {
                rows.last_mut().and_then(|row| row.last_mut()).into_iter().for_each(|cell| cell.push_str(&text));
            }
            Event::InlineHtml(html) if ["<!-- -->", "<code>", "</code>"].contains(&&*html) => {}
            Event::Html(html) if html.starts_with("<details><summary>") || html.starts_with("</details>") => {}
            Event::Start(
                Tag::CodeBlock(_) | Tag::Paragraph | Tag::Heading { .. } | Tag::Table(_) | Tag::HtmlBlock | Tag::Strong,
            )
            | Event::End(_)
            | Event::Text(_)
            | Event::Code(_) => {}
            other => strange.push(format!("{other:?}")),
        }
    }
    (rows, strange)
}

/// As people see a text.
fn shown(text: &str) -> String {
    xenrt::report::printable(&text.replace(['\n', '\t'], " ")).trim().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_gives_whole_results(story in any_story()) {
        let (text, summary) = made("results", &story);
        let all = read_xml(&text);
        let of = |path: &str| all.iter().filter(|(p, _)| p == path).map(|(_, text)| text.clone()).collect::<Vec<_>>();
        let mut names = of("sequenceresults/testgroup/test/name");
        let mut expected: Vec<String> = summary.cases().iter().map(|c| xenrt::report::printable(c.id.name())).collect();
        names.sort();
        expected.sort();
        prop_assert_eq!(names, expected);
        let subcases: usize = summary.cases().iter().map(|c| c.notes().subcases.len()).sum();
        prop_assert_eq!(of("sequenceresults/testgroup/test/group/test/state").len(), subcases);
        let passed = of("sequenceresults/sequence") == ["PASS"];
        prop_assert!(passed == summary.judgement().sequence);
    }

    #[test]
    fn any_story_gives_whole_annotations(story in any_story()) {
        let (text, summary) = annotations(&story);
        let mut in_group = false;
        let mut errors = Vec::new();
        for line in text.lines() {
            prop_assert!(!line.contains("##[") && !line.chars().any(char::is_control), "{line:?}");
            match line.strip_prefix("::").and_then(|rest| rest.split_once("::")) {
                Some(("endgroup", "")) => in_group = false,
                Some((command, message)) => {
                    let (command, properties) = command.split_once(' ').unwrap_or((command, ""));
                    prop_assert!(["error", "warning", "notice", "group"].contains(&command), "{line}");
                    prop_assert!(!message.is_empty(), "{line}");
                    in_group |= command == "group";
                    for property in properties.split(',').filter(|p| !p.is_empty()) {
                        let (name, value) = property.split_once('=').unwrap();
                        prop_assert!(["file", "line", "col", "title"].contains(&name) && !value.contains(':'), "{line}");
                        if (command, name) == ("error", "title") {
                            errors.push(value.to_string());
                        }
                    }
                }
                None => prop_assert!(in_group && line.starts_with(|c: char| c.is_ascii_alphabetic()), "{line:?}\n{text}"),
            }
        }
        prop_assert!(!in_group);
        let is_green = matches!(summary.verdict(), Verdict::Passed | Verdict::NothingRan);
        prop_assert!(is_green || !errors.is_empty(), "{text}");
    }

    #[test]
    fn any_story_gives_whole_markdown(story in any_story()) {
        let (text, summary) = made("markdown", &story);
        let (rows, strange) = read_markdown(&text);
        prop_assert!(strange.is_empty(), "{strange:?}\n{text}");
        let ids: Vec<&str> = rows.iter().filter(|row| row.len() == 4 && ["FAIL", "ERROR", "BLOCKED", "NOT RUN", "CUT OFF"].contains(&&*row[0])).map(|row| row[1].as_str()).collect();
        let role = |c: &xenrt::report::Case| if c.role == Role::Cleanup { " (clean-up)" } else { "" };
        let expected: Vec<String> = summary.not_passed().map(|c| format!("{}{}", shown(c.id.as_str()), role(c))).collect();
        prop_assert_eq!(ids.into_iter().map(str::trim).collect::<Vec<_>>(), expected.iter().map(|e| e.trim()).collect::<Vec<_>>(), "{}", text);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
