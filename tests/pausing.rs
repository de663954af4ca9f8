//! Pausing: a testcase that waits for a person, with everything still alive.

use crate::support::plan::Bench;
use crate::support::poll;
use std::sync::Arc;
use std::time::Duration;
use xenrt::event::{Collector, Event, Fact, Outcome, Release};
use xenrt::repl::{Answer, Order, Value};
use xenrt::run::{Control, Seat, Status};
use xenrt::time::{Cancel, Clock};

/// Waits until something of this name is paused.
fn seat(control: &Control, name: &str) -> Arc<Seat> {
    poll::until(poll::patience(), || control.paused(name).ok()).unwrap()
}

/// Where everything stands: "a Paused, b Started".
fn standing(control: &Control) -> String {
    control.standing().iter().map(|s| format!("{} {}", s.id, s.status.word())).collect::<Vec<_>>().join(", ")
}

/// What an input gives, in one line.
fn says(seat: &Seat, frame: usize, text: &str) -> String {
    match seat.evaluate(frame, text, "jane", &Cancel::new()).unwrap() {
        Answer::Value(Value::Line(line)) => line,
        Answer::Failed { failure, .. } => format!("failed: {}", failure.message),
        Answer::Release(order) => format!("{order:?}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_failure_waits_for_a_person_while_others_go_on() {
    let person = |control: &Control, _: &_| {
        let paused = seat(control, "a");
        poll::until(poll::patience(), || standing(control).contains("b Finished").then_some(())).unwrap();
        assert_eq!(standing(control), "b Finished, a Paused");
        assert_eq!(paused.pause().reason, "failed: broken");
        assert!(control.release("a", Release::Continue, "jane").unwrap());
        assert!(!control.release("a", Release::Continue, "joe").unwrap(), "somebody was first");
    };
    let ran = Bench::new("p(a:f b)").variable("CLIOPTIONS/PAUSE_ON_FAIL/a", "yes").steered(person).run();
    assert_eq!(ran.outcomes(), "a failed, b passed");
    let resumed =
        ran.events.iter().find_map(|e| if let Fact::Resumed { how, by, .. } = &e.fact { Some((*how, by.clone())) } else { None });
    assert_eq!(resumed, Some((Release::Continue, Some("jane".into()))));
}

#[test]
fn what_is_decided_during_a_pause_counts_for_what_follows() {
    type Do = fn(&Control);
    let rows: [(&str, Do, &str); 4] = [
        ("s(a:f! b)", |_| (), "a failed, b blocked by a"),
        ("s(a:f! b)", |c| c.set_blocker("a", false, "jane").unwrap(), "a failed, b passed"),
        ("s(a:f! b)", |c| c.set_result("a", Outcome::Passed, "jane").unwrap(), "a failed, b passed"),
        ("s(a:f b)", |c| c.end_run("jane"), "a failed, b not run for jane"),
    ];
    for (shape, decide, expected) in rows {
        let person = move |control: &Control, _: &_| {
            seat(control, "a");
            decide(control);
            assert_eq!(control.release_all(Release::Continue, "jane").len(), 1);
        };
        let ran = Bench::new(shape).variable("POF_ALL", "yes").steered(person).run();
        assert_eq!(ran.outcomes(), expected);
        assert_eq!(ran.summary().verdict(), ran.verdict, "{expected}");
    }
}

#[test]
fn a_pause_ends_by_itself_unless_it_is_held() {
    let hour = Duration::from_hours(1);
    let ran = Bench::new("s(a:f b:f)")
        .variable("POF_ALL", "yes")
        .steered(move |control, clock| {
            seat(control, "a");
            clock.advance(23 * hour);
            assert_eq!(control.standing()[0].status, Status::Paused);
            clock.advance(2 * hour);
            seat(control, "b");
            assert!(control.hold("b", "jane").unwrap());
            clock.advance(1000 * hour);
            assert_eq!(standing(control), "a Finished, b Indefinite");
            assert!(control.release("b", Release::Continue, "jane").unwrap());
        })
        .run();
    assert_eq!(ran.outcomes(), "a failed, b failed");
    let how: Vec<Release> =
        ran.events.iter().filter_map(|e| if let Fact::Resumed { how, .. } = &e.fact { Some(*how) } else { None }).collect();
    assert_eq!(how, [Release::Expired, Release::Continue]);
}

#[test]
fn people_are_reminded_before_a_pause_ends_by_itself() {
    let seen = Collector::default();
    let told = seen.clone();
    let minute = Duration::from_mins(1);
    let person = move |control: &Control, clock: &Clock| {
        seat(control, "a");
        for (minutes, seconds) in [(23 * 60, 3600.0), (50, 600.0)] {
            clock.advance(minutes * minute);
            let is_told = |e: &Event| matches!(e.fact, Fact::PauseEnding { pause: 1, left } if left == seconds);
            poll::until(poll::patience(), || told.events().iter().any(is_told).then_some(())).unwrap();
        }
        clock.advance(10 * minute);
    };
    let mut bench = Bench::new("s(a:f)").variable("POF_ALL", "yes").steered(person);
    bench.sinks.push(Box::new(seen.clone()));
    assert_eq!(bench.run().outcomes(), "a failed");
    let reminded = seen.events().iter().filter(|e| matches!(e.fact, Fact::PauseEnding { .. })).count();
    assert_eq!(reminded, 2, "each once");
}

const TEST: &str = r#"
import "lib" as lib;
fn helper(list, factor) {
    let sum = 0;
    let halves = list.map(|n| {
        let twice = n * factor;
        lib::half(twice)
    });
    for half in halves { sum += half; }
    sum
}
fn run(args) {
    let all = [2, 4, 6];
    let factor = 2;
    let sum = helper(all, factor);
    log(`sum ${sum}`);
}
"#;

const LIB: &str = r#"
fn half(n) {
    let limit = 10;
    let parts = [n / 2];
    if n > limit { fail(`${n} is too much`); }
    parts[0]
}
"#;

#[test]
fn a_failing_statement_is_held_with_every_frame_alive() {
    let person = |control: &Control, _: &_| {
        let held = seat(control, "t");
        let frames = held.frames();
        let named: Vec<String> = frames.iter().map(|f| format!("{}:{}", f.function, f.place.line)).collect();
        assert_eq!(named, ["half:5", "closure:7", "helper:5", "run:15"]);
        let locals: Vec<String> = frames[0].locals.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
        assert_eq!(locals, ["n=12", "limit=10", "parts=[6]"]);
        assert_eq!(says(&held, 0, "n + limit"), "22");
        assert_eq!(says(&held, 1, "twice"), "12");
        assert_eq!(says(&held, 3, "all"), "[2, 4, 6]");
        assert_eq!(says(&held, 3, "let z = factor * 10; z"), "20");
        assert_eq!(says(&held, 3, "z + 1"), "21");
        assert_eq!(says(&held, 0, "nosuch"), "failed: no variable `nosuch`");
        assert_eq!(says(&held, 0, "fail(\"mine\")"), "failed: mine");
        assert_eq!(says(&held, 0, "half(4)"), "2", "a function of the module that is held");
        assert_eq!(says(&held, 0, "limit = 100; limit"), "100");
        assert_eq!(says(&held, 0, "retry"), format!("{:?}", Order::Retry));
    };
    let bench = Bench::files(&[("t.rhai", TEST), ("lib.rhai", LIB)]);
    let ran = bench.variable("CLIOPTIONS/PAUSE_ON_FAIL/ALL", "yes").steered(person).run();
    assert_eq!(ran.outcomes(), "t passed");
    let said = ran.events.iter().any(|e| matches!(&e.fact, Fact::Logged { text, .. } if text == "sum 12"));
    assert!(said, "{:?}", ran.events);
}

/// Runs a script that is paused wherever it fails, with somebody who acts.
#[track_caller]
fn paused(text: &str, person: impl FnOnce(&Control) + Send + 'static) -> crate::support::plan::Ran {
    let bench = Bench::files(&[("t.rhai", text)]).variable("CLIOPTIONS/PAUSE_ON_FAIL/ALL", "yes");
    bench.steered(|control, _| person(control)).run()
}

#[test]
fn a_statement_is_passed_over_with_a_value() {
    let text = "fn five() { error(\"nobody knows\") }\nfn run(args) { let n = five(); check(n == 5, `${n} is not 5`); }";
    let ran = paused(text, |control| {
        let held = seat(control, "t");
        assert_eq!(says(&held, 1, "skip nosuch"), "failed: no variable `nosuch`");
        assert_eq!(says(&held, 1, "skip 2 + 3"), "Skip(\"2 + 3\")");
    });
    assert_eq!(ran.outcomes(), "t partial");
}

#[test]
fn the_statement_of_a_caller_is_evaluated_again() {
    let text = "fn half(n) { if n > 10 { fail(\"too much\"); } n / 2 }\nfn run(args) { let n = 20; let h = half(n); check(h == 4, `${h}`); }";
    let ran = paused(text, |control| {
        let held = seat(control, "t");
        assert_eq!(says(&held, 1, "n = 8"), "Nothing");
        assert_eq!(says(&held, 1, "retry"), "Retry");
    });
    assert_eq!(ran.outcomes(), "t passed");
}

#[test]
fn an_edited_script_begins_anew_and_a_broken_one_does_not() {
    let bench = Bench::files(&[("t.rhai", "fn run(args) { fail(\"old\"); }")]).variable("POF_t", "yes");
    let file = bench.dir().join("t.rhai");
    let ran = bench
        .steered(move |control, _| {
            let held = seat(control, "t");
            std::fs::write(&file, "fn run(args) { nosuch(1); }").unwrap();
            assert!(says(&held, 0, "reload").contains("no function `nosuch`"));
            std::fs::write(&file, "fn run(args) { log(\"new\"); }").unwrap();
            assert_eq!(says(&held, 0, "reload"), "Reload");
        })
        .run();
    assert_eq!(ran.outcomes(), "t passed");
    assert!(ran.events.iter().any(|e| matches!(&e.fact, Fact::Logged { text, .. } if text == "new")));
}

#[test]
fn what_is_expected_is_not_held_and_what_a_script_asks_for_is() {
    let text = r#"fn run(args) {
        try { fail("caught"); } catch (e) { log("caught"); }
        let n = 0;
        eventually(#{ every: 0.001 }, || { n += 1; if n < 3 { fail("not yet"); } true });
        pause_for_human("look");
    }
    fn post_run(args) { fail("too late"); }"#;
    let ran = paused(text, |control| {
        let held = seat(control, "t");
        assert_eq!((held.pause().pause, held.pause().reason.as_str()), (1, "look"));
        assert!(control.release("t", Release::Continue, "jane").unwrap());
    });
    assert_eq!(ran.outcomes(), "t passed");
}

#[test]
fn a_branch_is_held_while_the_others_go_on_and_killing_it_ends_the_pause() {
    let text = r#"fn run(args) { parallel([|| { let a = 1; fail(`${a}`); }, || log("the other")]); }"#;
    let ran = paused(text, |control| {
        let held = seat(control, "t");
        let named: Vec<String> = held.frames().iter().map(|f| f.function.clone()).collect();
        assert_eq!(named, ["closure", "run"]);
        assert!(says(&held, 1, "retry").contains("branch"));
        assert!(control.kill("t", "jane").unwrap());
    });
    assert_eq!(ran.outcomes(), "t failed");
    assert!(ran.events.iter().any(|e| matches!(&e.fact, Fact::Resumed { how: Release::Stopped, .. })));
}
