//! The SQLite report, asked as a person would ask it.

use crate::support::stories::{any_story, happy, opening, told, unhappy};
use crate::support::story::Story;
use crate::support::{poll, xrt::Xrt};
use proptest::prelude::*;
use rusqlite::Connection;
use rustix::process::Signal;
use std::path::Path;
use xenrt::event::{Beginning, Better, Change, Comparison, Fact, Outcome, Sink, Spread, Verdict};
use xenrt::name::CaseId;
use xenrt::report::{Reports, open};

fn reports(path: &Path) -> Reports {
    let dir = path.parent().unwrap();
    Reports::new(vec![open(&format!("sqlite:{}", path.display()), &opening(dir)).unwrap()])
}

/// Tells a whole story, as the run of this name.
fn record(path: &Path, name: &str, story: Story) {
    let mut reports = reports(path);
    told(&mut reports, &named(name, story).events);
    let errors = reports.close();
    assert!(errors.is_empty(), "{errors:?}");
}

fn named(name: &str, mut story: Story) -> Story {
    beginning(&mut story).run = name.into();
    story
}

fn beginning(story: &mut Story) -> &mut Beginning {
    let Fact::RunStarted(beginning) = &mut story.events[0].fact else { panic!("it begins otherwise") };
    beginning
}

/// The rows of a question, a text each: the columns with bars between.
fn ask(path: &Path, question: &str) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(question).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map((), |row| {
        let shown = |column| {
            use rusqlite::types::ValueRef;
            Ok(match row.get_ref(column)? {
                ValueRef::Null => "-".to_string(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => format!("{number:.3}"),
                ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
            })
        };
        (0..columns).map(shown).collect::<rusqlite::Result<Vec<_>>>().map(|columns| columns.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn everything_of_a_run_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    let mut story = unhappy();
    let comparison = Comparison {
        name: "IOPS".into(),
        unit: "1/s".into(),
        better: Better::Higher,
        change: Change::Worse,
        now: 1250.0,
        samples: 1,
        before: 1500.0,
        samples_before: 8,
        against: "baseline x".into(),
        text: "worse".into(),
    };
    let mean = Fact::Measured {
        name: "T_AVG".into(),
        value: 2.5,
        unit: "s".into(),
        better: Some(Better::Lower),
        spread: Some(Spread { samples: 4, deviation: 0.5 }),
    };
    story.tell("storage/late", mean).tell("storage/late", Fact::Compared(Box::new(comparison)));
    let again =
        Fact::AttemptFinished { attempt: 1, outcome: Outcome::Failed, reason: Some("first try".into()), took: 1.5, failure: None };
    story.tell("storage/late", again).start("storage/late").end("storage/late", Outcome::Flaky, None);
    record(&path, "r1", story.over(Verdict::Failed));

    let question = "SELECT name, verdict, sequence_passed, regression_passed, took, targets, workers, command FROM runs";
    assert_eq!(ask(&path, question), [r#"r1|failed|0|0|8.500|["h1"]|2|["xrt","--guest","h1","--testcase","scripts","loops=3"]"#]);
    insta::assert_snapshot!(
        ask(&path, "SELECT position, name, group_name, role, outcome, reason, blame, place, took, attempt FROM cases ORDER BY position").join("\n"),
        @r#"
    0|storage/matrix|storage|testcase|failed|1 subcase failed|-|-|5.000|1
    1|storage/alone|storage|testcase|failed|the guest did not really reboot|product|scripts/lib/boot.rhai:13:9|1.000|1
    2|lone||testcase|blocked|blocked by storage/alone, failed|-|-|0.000|1
    3|net/ping|net|testcase|skipped|needs two guests # really|-|-|0.000|1
    4|tidy||cleanup|errored|no machine|-|-|0.500|1
    5|storage/late|storage|testcase|flaky|-|-|-|0.000|1
    "#
    );
    let question = "SELECT c.name, a.attempt, a.outcome, a.reason, a.took FROM attempts a JOIN cases c USING (case_id)";
    assert_eq!(ask(&path, question), ["storage/late|1|failed|first try|1.500"]);
    assert_eq!(
        ask(&path, "SELECT group_name, name, outcome, reason FROM subcases"),
        ["nfs|create # SKIP \\|passed|-", "nfs|resize|failed|SR_BACKEND <\u{1}&> \"40\"\n  ...\n---", "|bare|skipped|no disk"]
    );
    assert_eq!(
        ask(&path, "SELECT name, value, unit, better, samples, deviation, attempt FROM metrics ORDER BY name"),
        ["IOPS|1250.000|1/s|-|-|-|1", "T_AVG|2.500|s|lower|4|0.500|1"]
    );
    assert_eq!(ask(&path, "SELECT name, change, now, before, samples_before FROM comparisons"), ["IOPS|worse|1250.000|1500.000|8"]);
    assert_eq!(ask(&path, "SELECT level, text FROM messages WHERE level = 'warning'").len(), 1);
    assert_eq!(
        ask(&path, "SELECT datetime(started), json_extract(args, '$.loops') FROM cases WHERE position = 0"),
        ["2026-11-22 09:00:00|3"]
    );
}

/// A run on a day, with these results of one testcase.
fn day(day: u32, outcome: Outcome, rate: f64) -> Story {
    let mut story = Story::plan(&["disk/iometer"]);
    story.start("disk/iometer");
    let value = Fact::Measured { name: "rate".into(), value: rate, unit: "MB/s".into(), better: None, spread: None };
    story.tell("disk/iometer", value).end("disk/iometer", outcome, None);
    for event in &mut story.events {
        event.at = event.at.plus(std::time::Duration::from_hours(24 * u64::from(day)));
    }
    story.over(if outcome.is_pass() { Verdict::Passed } else { Verdict::Failed })
}

#[test]
fn many_runs_in_one_file_show_trends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    for (number, outcome) in [Outcome::Passed, Outcome::Failed, Outcome::Flaky, Outcome::Skipped].into_iter().enumerate() {
        record(&path, &format!("r{number}"), day(number as u32, outcome, 100.0 + number as f64));
    }
    assert_eq!(
        ask(&path, "SELECT testcase, run, tests, passed, percent, percent_of_ten_runs FROM trend"),
        ["disk/iometer|r0|1|1|100.000|100.000", "disk/iometer|r1|1|0|0.000|50.000", "disk/iometer|r2|1|1|100.000|66.667"]
    );
    assert_eq!(ask(&path, "SELECT name, runs, passed, flaky, changes FROM flaky"), ["disk/iometer|3|2|1|2"]);
    assert_eq!(
        ask(&path, "SELECT name, metric, unit, run, samples, mean FROM metric_trend"),
        ["disk/iometer|rate|MB/s|r0|1|100.000", "disk/iometer|rate|MB/s|r2|1|102.000"]
    );
}

#[test]
fn a_run_that_is_told_again_takes_its_own_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    record(&path, "other", happy());
    let counts = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM cases), (SELECT count(*) FROM subcases)";
    let mut cut = unhappy();
    cut.events.truncate(cut.events.len() - 4);
    record(&path, "r", cut);
    record(&path, "r", unhappy());
    record(&path, "r", unhappy());
    assert_eq!(ask(&path, counts), ["2|8|4"]);

    let mut resumed = Story::plan(&["a", "b"]);
    resumed.start("a").subcase("a", "", "part", Outcome::Failed, None).end("a", Outcome::Failed, Some("no")).start("b");
    let mut live = reports(&path);
    let first = named("resumed", resumed);
    told(&mut live, &first.events);
    live.on_tick().unwrap();
    // As a program that was killed: nothing more is told.
    std::mem::forget(live);
    let question = "SELECT r.verdict, c.name, c.outcome, c.started IS NOT NULL FROM cases c JOIN runs r USING (run_id) WHERE r.name = 'resumed'";
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(ask(&path, question), ["unfinished|a|failed|1", "unfinished|b|-|1"])).join().unwrap();
    });

    let mut rest = first;
    let again = vec![CaseId::new("a")];
    rest.tell("", Fact::RunResumed { version: "0.1.0".into(), command: vec![], again });
    rest.start("a").end("a", Outcome::Passed, None).start("b").end("b", Outcome::Passed, None);
    record(&path, "resumed", rest.over(Verdict::Passed));
    assert_eq!(ask(&path, question), ["passed|a|passed|1", "passed|b|passed|1"]);
    assert_eq!(ask(&path, "SELECT attempt, outcome, reason FROM attempts"), ["1|-|no", "1|-|-"]);
}

#[test]
fn a_run_that_was_killed_leaves_what_had_finished() {
    let endless = "fn run(args) { log(\"here\"); loop { sleep(60); } }";
    let xrt = Xrt::new().script("a.rhai", "fn run(args) { value(\"rate\", 3, \"MB/s\"); }").script("b.rhai", endless);
    let mut running = xrt.args("--report sqlite:r.db --no-check").start();
    let path = running.dir().join("r.db");
    running.until_said("here");
    let question = "SELECT verdict, c.name, outcome, c.started IS NOT NULL, value FROM runs JOIN cases c USING (run_id) LEFT JOIN metrics \
        USING (case_id) ORDER BY position";
    let expected = ["unfinished|a|passed|1|3.000", "unfinished|b|-|1|-"];
    // It is written a moment after it is told.
    let written = poll::until(poll::patience(), || (ask(&path, question) == expected).then_some(()));
    running.signal(Signal::KILL);
    let ran = running.wait().ends(-9);
    assert_eq!(ask(&path, question), expected, "{written:?}");
    ran.then("replay results/latest --report sqlite:r.db").ends(3);
    assert_eq!(ask(&path, question), expected.map(|row| row.replace("unfinished", "incomplete")));
}

#[test]
fn runs_that_write_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    let ids: Vec<String> = (0..200).map(|n| format!("g/{n}")).collect();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (path, ids) = (&path, &ids);
            scope.spawn(move || {
                let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
                for id in ids {
                    story.start(id).subcase(id, "", "s", Outcome::Passed, None).end(id, Outcome::Passed, None);
                }
                let story = named(&format!("run {writer}"), story.over(Verdict::Passed));
                let mut reports = reports(path);
                for event in &story.events {
                    reports.on_event(event).unwrap();
                    // A batch each time, as if time had passed.
                    if event.seq % 50 == 0 {
                        reports.on_tick().unwrap();
                    }
                }
                let errors = reports.close();
                assert!(errors.is_empty(), "{errors:?}");
            });
        }
    });
    let question = "SELECT r.name, r.verdict, count(*), sum(outcome = 'passed') FROM cases JOIN runs r USING (run_id) GROUP BY run_id ORDER BY 1";
    let expected: Vec<String> = (0..4).map(|writer| format!("run {writer}|passed|200|200")).collect();
    assert_eq!(ask(&path, question), expected);
    assert_eq!(ask(&path, "SELECT count(*) FROM subcases"), ["800"]);
    assert_eq!(ask(&path, "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn a_file_that_another_keeps_locked_is_written_when_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    let mut reports = reports(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    told(&mut reports, &happy().events);
    reports.on_tick().unwrap();
    assert_eq!(ask(&path, "SELECT count(*) FROM cases"), ["0"]);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(reports.close().is_empty());
    assert_eq!(ask(&path, "SELECT count(*) FROM cases"), ["2"]);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| open(&format!("sqlite:{}", path.display()), &opening(dir.path())).err().unwrap().what;
    let text = dir.path().join("diary.txt");
    std::fs::write(&text, "Dear diary, today I have been a long text that is no database at all, although I may be read as one.")
        .unwrap();
    assert!(refused(&text).contains("not a database"), "{}", refused(&text));
    let other = dir.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(refused(&other).contains("is a database of something else"));
    assert_eq!(ask(&other, "SELECT name FROM sqlite_schema"), ["mine"]);
    let newer = dir.path().join("newer.db");
    record(&newer, "r", happy());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(refused(&newer).contains("has schema version 99, this program writes 1"));
    assert!(refused(Path::new("-")).contains("standard output"));
    assert!(refused(&dir.path().join("diary.txt/x.db")).contains("diary.txt"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_is_in_the_database(story in any_story()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.db");
        let mut reports = reports(&path);
        for event in &story.events {
            reports.on_event(event).unwrap();
            if event.seq % 7 == 0 {
                reports.on_tick().unwrap();
            }
        }
        prop_assert!(reports.close().is_empty());
        let summary = reports.summary();
        let summary = summary.lock().unwrap();
        let outcome = |o: Option<Outcome>| o.map_or("-", Outcome::word).to_string();
        let expected: Vec<String> = summary.cases().iter().map(|c| format!("{}|{}", c.id, outcome(c.outcome))).collect();
        prop_assert_eq!(ask(&path, "SELECT name, outcome FROM cases ORDER BY position"), expected);
        let subcases: usize = summary.cases().iter().filter(|c| c.outcome.is_some()).flat_map(|c| c.all_notes()).map(|n| n.subcases.len()).sum();
        prop_assert_eq!(ask(&path, "SELECT count(*) FROM subcases"), [subcases.to_string()]);
        prop_assert_eq!(ask(&path, "SELECT verdict FROM runs"), [summary.verdict().word()]);
        for view in ["trend", "flaky", "metric_trend"] {
            ask(&path, &format!("SELECT * FROM {view}"));
        }
    }
}
