//! Whole stories of runs, any story at all, and what reports make of them.

use super::story::{Story, failure};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use xenrt::event::{Event, Fact, Level, Outcome, Phase, Role, Sink, Verdict};
use xenrt::report::{Opening, Options, Reports, Summary, open};

pub fn opening(results: &Path) -> Opening {
    Opening { results: results.into(), options: Options::default(), stream: || Box::new(std::io::sink()), screen: || None }
}

pub fn told(reports: &mut Reports, events: &[Event]) {
    events.iter().for_each(|event| reports.on_event(event).unwrap());
}

/// What a report makes of a story, and the summary of it.
pub fn made(word: &str, story: &Story) -> (String, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report");
    let spec = format!("{word}:{}", path.display());
    let mut reports = Reports::new(vec![open(&spec, &opening(dir.path())).unwrap()]);
    told(&mut reports, &story.events);
    let errors = reports.close();
    assert!(errors.is_empty(), "{errors:?}");
    let summary = std::mem::take(&mut *reports.summary().lock().unwrap());
    (fs::read_to_string(path).unwrap(), summary)
}

/// One testcase of each sort: with subcases, blamed, blocked, cut off, skipped, and a clean-up that went wrong.
pub fn unhappy() -> Story {
    let mut story = Story::plan(&["storage/matrix", "storage/alone", "lone", "net/ping", "tidy", "storage/late"]);
    if let Fact::RunStarted(beginning) = &mut story.events[0].fact {
        beginning.plan[4].role = Role::Cleanup;
    }
    story.start("storage/matrix");
    let value =
        |name: &str, value, unit: &str| Fact::Measured { name: name.into(), value, unit: unit.into(), better: None, spread: None };
    story.tell("storage/matrix", value("IOPS", 1250.0, "1/s"));
    story.tell("storage/matrix", Fact::Logged { level: Level::Warning, text: "slow: ]]> | `x`\n  ...\nnot ok".into() });
    story.subcase("storage/matrix", "nfs", "create # SKIP \\", Outcome::Passed, None);
    story.subcase("storage/matrix", "nfs", "resize", Outcome::Failed, Some("SR_BACKEND <\x01&> \"40\"\n  ...\n---"));
    story.subcase("storage/matrix", "", "bare", Outcome::Skipped, Some("no disk"));
    story.after(5.0).end("storage/matrix", Outcome::Failed, Some("1 subcase failed"));
    story.start("storage/alone").after(1.0).fail("storage/alone", failure());
    story.end("lone", Outcome::Blocked, Some("blocked by storage/alone, failed"));
    story.end("net/ping", Outcome::Skipped, Some("needs two guests # really"));
    story.start("tidy").after(0.5).end("tidy", Outcome::Errored, Some("no machine"));
    story.start("storage/late").tell("storage/late", Fact::PhaseStarted { phase: Phase::Run });
    story.after(2.0).tell("storage/late", Fact::Logged { level: Level::Step, text: "still at it".into() });
    story
}

pub fn happy() -> Story {
    let mut story = Story::plan(&["a", "g/b"]);
    story.start("a").after(0.25).end("a", Outcome::Passed, None);
    story.start("g/b").subcase("g/b", "", "one", Outcome::Passed, None).end("g/b", Outcome::Partial, Some("only an estimate"));
    story.over(Verdict::Passed)
}

/// What some format would trip over, a part between each two marks.
const NASTY: &str = "]]>¦|¦\n¦\r\n¦\x1b[2J¦`¦```¦<script>¦<!-- ¦ # SKIP¦# TODO x¦\\¦\"¦'¦::error::¦%0A¦...¦---¦\0¦\u{85}¦\u{2028}¦\u{202e}¦\u{ffff}\
    ¦\n    not ok 3 - x¦\nBail out!¦\n1..0¦##[error]¦@user¦&amp;¦$x$¦* ¦_¦[a](b)¦日本¦é¦ ¦a¦Z¦/¦0¦:¦,¦~~~¦\t¦# ¦> ¦1. ¦');DROP TABLE runs;--¦\
    TAP version 14";

pub fn nasty() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(NASTY.split('¦').collect::<Vec<_>>()), 0..6).prop_map(|parts| parts.concat())
}

pub fn any_fact() -> impl Strategy<Value = Fact> {
    let outcome = || prop::sample::select(Outcome::ALL.to_vec());
    let number = || prop::sample::select(vec![0.0, 1.5, -3.0, 1e300, f64::NAN, f64::INFINITY, 0.1 + 0.2]);
    let ended = (outcome(), prop::option::of(nasty()), number(), prop::bool::weighted(0.2), nasty());
    let ended = ended.prop_map(|(outcome, reason, took, has_failure, text)| {
        let mut blamed = failure();
        blamed.frames[0].place.file.clone_from(&text);
        (blamed.message, blamed.data) = (text.clone(), Some(text));
        Fact::CaseFinished { outcome, reason, took, failure: has_failure.then(|| Box::new(blamed)), block: None }
    });
    let verdicts =
        vec![Verdict::Passed, Verdict::Failed, Verdict::Errored, Verdict::NothingRan, Verdict::Stopped, Verdict::Incomplete];
    prop_oneof![
        8 => ended,
        3 => nasty().prop_map(|text| Fact::CaseStarted {
            args: [(text.clone(), text.into())].into(), timeout: None, dir: PathBuf::from("d"), attempt: 1, lane: 0
        }),
        1 => (1..4u32, outcome(), nasty()).prop_map(|(attempt, outcome, text)| Fact::AttemptFinished {
            attempt, outcome, reason: Some(text), took: 1.0, failure: None
        }),
        3 => (nasty(), nasty(), outcome(), prop::option::of(nasty()), number()).prop_map(|(group, name, outcome, reason, took)| {
            Fact::Subcase { group, name, outcome, reason, took, failure: None }
        }),
        2 => (nasty(), number(), nasty()).prop_map(|(name, value, unit)| {
            Fact::Measured { name, value, unit, better: None, spread: None }
        }),
        2 => (prop::sample::select(vec![Level::Warning, Level::Comment, Level::Reason]), nasty())
            .prop_map(|(level, text)| Fact::Logged { level, text }),
        1 => prop::sample::select(verdicts).prop_map(|verdict| Fact::RunFinished { verdict, took: 1.0 }),
    ]
}

prop_compose! {
    /// Any order of any facts, about testcases with any names.
    pub fn any_story()(
        ids in prop::collection::vec(nasty(), 0..4),
        cleanup in any::<bool>(),
        facts in prop::collection::vec((0..5usize, any_fact()), 0..25),
        verdict in prop::option::of(prop::sample::select(vec![Verdict::Passed, Verdict::Failed])),
    ) -> Story {
        let mut story = Story::plan(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        if let (Fact::RunStarted(beginning), true) = (&mut story.events[0].fact, cleanup)
            && let Some(last) = beginning.plan.last_mut()
        {
            last.role = Role::Cleanup;
        }
        for (whose, fact) in facts {
            story.tell(ids.get(whose).map_or("", String::as_str), fact);
        }
        match verdict {
            Some(verdict) => story.over(verdict),
            None => story,
        }
    }
}
