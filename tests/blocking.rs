//! What a result does to what follows it: blocks, finally steps, dependencies; as a table, and for any tree.

use crate::support::plan::{Bench, Ran, plan};
use proptest::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use xenrt::event::{Fact, Outcome, Role, Verdict};
use xenrt::run::{Plan, Step};

#[track_caller]
fn check(shape: &str, outcomes: &str) {
    let ran = Bench::new(shape).run();
    assert_eq!(ran.outcomes(), outcomes, "{shape}");
    assert_eq!(ran.summary().oddities(), [""; 0], "{shape}");
    assert_eq!(ran.summary().verdict(), ran.verdict, "{shape}");
}

#[test]
fn a_block_in_a_serial_goes_as_far_as_the_rule_says() {
    check("s(a b)", "a passed, b passed");
    check("s(a:f b)", "a failed, b passed");
    check("s(a:f! b c)", "a failed, b blocked by a, c blocked by a");
    check("s(a:e! b)", "a errored, b blocked by a");
    check("s(a:~! b)", "a partial, b passed");
    check("s(a:fp! b)", "a flaky, b passed");
    check("s(a:ff! b)", "a failed, b blocked by a");
    check("s(a:k! b)", "a skipped, b passed");
    check("s(a! b)", "a passed, b passed");
    // A serial inside passes it on only if it is a blocker itself.
    check("s(s(a:f! b) c)", "a failed, b blocked by a, c passed");
    check("s(s!(a:f! b) c)", "a failed, b blocked by a, c blocked by a");
    check("s(s!(a:f b) c)", "a failed, b passed, c passed");
    check("s(s!(s(a:f! b) c) d)", "a failed, b blocked by a, c passed, d passed");
    check("s(s!(s!(a:f! b) c) d)", "a failed, b blocked by a, c blocked by a, d blocked by a");
    // What is blocked raises no block of its own, and blocks are recursive.
    check("s(a:f! b! s(c! p(d e)))", "a failed, b blocked by a, c blocked by a, d blocked by a, e blocked by a");
}

#[test]
fn a_block_in_a_parallel_leaves_the_others_alone() {
    check("p(a:f! b)", "a failed, b passed");
    check("p1(a:f! b)", "a failed, b passed");
    check("p1(s!(a:f! b) c d)", "a failed, b blocked by a, c passed, d passed");
    check("s(p(a:f! b) c)", "a failed, b passed, c passed");
    check("s(p!(a:f! b) c)", "a failed, b passed, c blocked by a");
    // The serial inside is no blocker, so the parallel sees no block.
    check("s(p!(s(a:f! b) c) d)", "a failed, b blocked by a, c passed, d passed");
    check("s(p!(s!(a:f! b) c) d)", "a failed, b blocked by a, c passed, d blocked by a");
    check("s(a:f! p(b s(c d)))", "a failed, b blocked by a, c blocked by a, d blocked by a");
    // Of two blocks that of the first child counts, whichever came first.
    check("s(p!(a:f! b:f!) c)", "a failed, b failed, c blocked by a");
    check("s(p1!(s(b) a:e!) c)", "b passed, a errored, c blocked by a");
}

#[test]
fn an_action_always_blocks() {
    check("s(*a:f b)", "a failed, b blocked by a");
    check("s(*a b)", "a passed, b passed");
    check("s(s(*a:e b) c)", "a errored, b blocked by a, c passed");
    check("s(a #b:f c | d)", "a passed, b failed, c blocked by b, d passed");
}

#[test]
fn a_failed_preparation_blocks_everything_even_what_would_clean_up() {
    check("s(#a:f b s(c | d) | e)", "a failed, b blocked by a, c blocked by a, d blocked by a, e blocked by a");
    check("s(#a #b:f c | d)", "a passed, b failed, c blocked by b, d blocked by b");
    check("s(#a b:f | c)", "a passed, b failed, c passed");
    check("s(s(#a:f b | c) d)", "a failed, b blocked by a, c blocked by a, d blocked by a");
    // A preparation in the middle is an action like others: there is something to clean up.
    check("s(a s(#b:f c | d) e)", "a passed, b failed, c blocked by b, d passed, e passed");
    let ran = Bench::new("s(#a:f b)").run();
    assert_eq!((ran.verdict, ran.reason("b")), (Verdict::Errored, "blocked by a, failed"));
}

#[test]
fn finally_steps_run_whatever_happened() {
    check("s(a | b c)", "a passed, b passed, c passed");
    check("s(a:f! b | c)", "a failed, b blocked by a, c passed");
    check("s(s(a:f! b | c) d | e)", "a failed, b blocked by a, c passed, d passed, e passed");
    check("p(a:f! b:e | c)", "a failed, b errored, c passed");
    check("s(a | b:f! c)", "a passed, b failed, c blocked by b");
    check("s(a | b:f c)", "a passed, b failed, c passed");
    // A block in a finally goes no further.
    check("s(s!(a | b:f! c) d)", "a passed, b failed, c blocked by b, d passed");
    check("s(a | s(b:f! c) d)", "a passed, b failed, c blocked by b, d passed");
    check("s(a | s!(b:f! c) d)", "a passed, b failed, c blocked by b, d blocked by b");
    // What never began has nothing to clean up.
    check("s(a:f! s(b | c) | d)", "a failed, b blocked by a, c blocked by a, d passed");
    let ran = Bench::new("s(a | b:f)").run();
    assert_eq!(ran.verdict, Verdict::Passed, "a clean-up counts for nothing");
}

#[test]
fn what_is_not_selected_is_skipped_and_its_finally_with_it() {
    check("s(a? b)", "a skipped, b passed");
    check("s(a:f! b? c)", "a failed, b skipped, c blocked by a");
    check("s(a! b?)", "a passed, b skipped");
    check("s(s(a? b? | c) d | e)", "a skipped, b skipped, c skipped, d passed, e passed");
    check("s(s(a? s(b? | c) | d) e)", "a skipped, b skipped, c skipped, d skipped, e passed");
    check("s(a? b | c)", "a skipped, b passed, c passed");
    check("s(a:f! s(b? | c))", "a failed, b skipped, c skipped");
    check("s(s(| a) b)", "a skipped, b passed");
    check("s(a:f! s(b | s(| c) d))", "a failed, b blocked by a, c skipped, d blocked by a");
    let ran = Bench::new("s(s/disk(a? | b) c)").run();
    assert_eq!((ran.reason("a"), ran.reason("b")), ("not asked for", "nothing of the group `disk` was selected"));
    assert_eq!(ran.begun(), ["c"]);
    assert_eq!(Bench::new("s(a? b? | c)").run().verdict, Verdict::NothingRan);
}

#[test]
fn a_skipped_blocker_blocks_only_where_that_was_asked_for() {
    for (value, expected) in [("yes", "a skipped, b blocked by a"), ("no", "a skipped, b passed")] {
        for shape in ["s(a:k! b)", "s(a?! b)"] {
            let ran = Bench::new(shape).variable("OPTION_BLOCK_ON_SKIP", value).run();
            assert_eq!(ran.outcomes(), expected, "{shape}");
        }
        let ran = Bench::new("s(a:k b)").variable("OPTION_BLOCK_ON_SKIP", value).run();
        assert_eq!(ran.outcomes(), "a skipped, b passed");
        let ran = Bench::new("s(#a? b)").variable("OPTION_BLOCK_ON_SKIP", value).run();
        assert_eq!(ran.outcomes(), "a skipped, b passed", "--noprepare blocks nothing");
    }
}

#[test]
fn what_it_depends_on_must_have_passed() {
    check("s(a b<a)", "a passed, b passed");
    check("s(a:~ b:fp c<a<b)", "a partial, b flaky, c passed");
    check("s(a:f b<a)", "a failed, b skipped");
    check("s(a? b<a)", "a skipped, b skipped");
    check("s(a:f! b c<b)", "a failed, b blocked by a, c blocked by a");
    check("s(s(a:f! b) c<b)", "a failed, b blocked by a, c skipped");
    let ran = Bench::new("s(a b:e c:f d<a<b<c)").run();
    assert_eq!(ran.reason("d"), "depends on b, errored");
    let ran = Bench::new("s(a:w b<a)").stopped_when_begun("a").run();
    assert_eq!(ran.outcomes(), "a errored, b -");
}

#[test]
fn the_end_of_a_group_tells_what_it_passes_on() {
    let ends = |shape: &str| {
        let ran = Bench::new(shape).run();
        let end = |fact: &Fact| match fact {
            Fact::StepStarted { step } => Some(format!("{step}(")),
            Fact::StepFinished { step, block, .. } => {
                Some(format!("){step}{}", block.as_ref().map(|block| format!(" {block}")).unwrap_or_default()))
            }
            Fact::CaseFinished { .. } => Some(".".into()),
            _ => None,
        };
        ran.events.iter().filter_map(|e| end(&e.fact)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ends("s(s!(a:f! b | c) s(d))"), "0( 1( . . . )1 blocked by a, failed . )0");
    assert_eq!(ends("s!(s(a:f! b | c) s(d))"), "0( 1( . . . )1 2( . )2 )0");
    assert_eq!(ends("s!(a:f!)"), "0( . )0 blocked by a, failed");
}

/// A tree of any form, in the words of the reference model.
#[derive(Clone, Debug)]
enum Tree {
    Case { does: char, blocker: bool, selected: bool },
    Group { serial: bool, workers: Option<usize>, blocker: bool, steps: Vec<Tree>, finally: Vec<Tree> },
}

fn any_case() -> impl Strategy<Value = Tree> {
    let does = prop::sample::select(vec!['p', 'p', 'p', 'f', 'e', 'k', '~']);
    (does, any::<bool>(), prop::bool::weighted(0.9)).prop_map(|(does, blocker, selected)| Tree::Case { does, blocker, selected })
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let inner = any_case().prop_recursive(4, 24, 4, |inner| group_of(inner).boxed());
    group_of(inner)
}

fn group_of(inner: impl Strategy<Value = Tree> + Clone) -> impl Strategy<Value = Tree> {
    let steps = prop::collection::vec(inner.clone(), 0..4);
    let finally = prop::collection::vec(inner, 0..3).prop_map(selected);
    (any::<bool>(), prop::option::of(1..4_usize), any::<bool>(), steps, finally)
        .prop_map(|(serial, workers, blocker, steps, finally)| Tree::Group { serial, workers, blocker, steps, finally })
}

/// Clean-ups are never deselected.
fn selected(trees: Vec<Tree>) -> Vec<Tree> {
    let each = |tree| match tree {
        Tree::Case { does, blocker, .. } => Tree::Case { does, blocker, selected: true },
        Tree::Group { serial, workers, blocker, steps, finally } => {
            Tree::Group { serial, workers, blocker, steps: selected(steps), finally: selected(finally) }
        }
    };
    trees.into_iter().map(each).collect()
}

/// A tree with its cases numbered in the order of the plan, its shape as a text, and what the rules say that must come of it.
#[derive(Default)]
struct Model {
    shape: String,
    outcomes: Vec<String>,
    /// For each serial the ranges of its children, and of a group's steps before its finally steps: one is over before the next begins.
    in_order: Vec<(Range<usize>, Range<usize>)>,
}

/// What stands in the way of a case in the model.
#[derive(Clone)]
enum Way {
    Free,
    Blocked(usize),
    Unselected,
}

impl Model {
    fn case(&mut self, tree: &Tree, way: &Way) -> Option<usize> {
        let Tree::Case { does, blocker, selected } = tree else { unreachable!() };
        let number = self.outcomes.len();
        let (mark, question) = (if *blocker { "!" } else { "" }, if *selected { "" } else { "?" });
        self.shape.push_str(&format!("a{number}:{does}{mark}{question} "));
        let outcome = match (way, does) {
            (Way::Unselected, _) => "skipped".into(),
            _ if !selected => "skipped".into(),
            (Way::Blocked(by), _) => format!("blocked by a{by}"),
            (_, 'p') => "passed".into(),
            (_, 'f') => "failed".into(),
            (_, 'e') => "errored".into(),
            (_, '~') => "partial".into(),
            _ => "skipped".to_string(),
        };
        let raises = *blocker && ["failed", "errored"].contains(&outcome.as_str());
        self.outcomes.push(format!("a{number} {outcome}"));
        raises.then_some(number)
    }

    /// The first case whose block gets out of a tree.
    fn walk(&mut self, tree: &Tree, way: &Way) -> Option<usize> {
        let Tree::Group { serial, workers, blocker, steps, finally } = tree else { return self.case(tree, way) };
        let first = self.outcomes.len();
        let width = workers.map(|n| n.to_string()).unwrap_or_default();
        self.shape.push_str(&format!("{}{}{}(", if *serial { "s" } else { "p" }, width, if *blocker { "!" } else { "" }));
        let raised = self.children(steps, *serial, way);
        let tests = first..self.outcomes.len();
        self.shape.push_str("| ");
        let way = match way {
            _ if !steps.iter().any(is_selected) => &Way::Unselected,
            way => way,
        };
        self.children(finally, true, way);
        self.in_order.push((tests.clone(), tests.end..self.outcomes.len()));
        self.shape.push_str(") ");
        raised.filter(|_| *blocker)
    }

    fn children(&mut self, steps: &[Tree], serial: bool, way: &Way) -> Option<usize> {
        let mut raised = None;
        let mut before: Option<Range<usize>> = None;
        for step in steps {
            let first = self.outcomes.len();
            let blocked = raised.filter(|_| serial).map(Way::Blocked);
            let block = self.walk(step, blocked.as_ref().unwrap_or(way));
            raised = raised.or(block);
            let this = first..self.outcomes.len();
            self.in_order.extend(before.replace(this.clone()).filter(|_| serial).map(|before| (before, this)));
        }
        raised
    }
}

fn is_selected(tree: &Tree) -> bool {
    match tree {
        Tree::Case { selected, .. } => *selected,
        Tree::Group { steps, .. } => steps.iter().any(is_selected),
    }
}

/// When each case began and ended, as places among the events; one that never began only ended.
fn spans(ran: &Ran) -> HashMap<&str, (usize, usize)> {
    let mut spans = HashMap::new();
    for (place, event) in ran.events.iter().enumerate() {
        let Some(id) = &event.case else { continue };
        let span = spans.entry(id.as_str()).or_insert((place, place));
        span.1 = place;
    }
    spans
}

fn check_order(ran: &Ran, model: &Model) -> Result<(), TestCaseError> {
    let spans = spans(ran);
    let spans = |range: &Range<usize>| range.clone().filter_map(|n| spans.get(format!("a{n}").as_str())).collect::<Vec<_>>();
    for (before, after) in &model.in_order {
        let last = spans(before).iter().map(|span| span.1).max();
        let first = spans(after).iter().map(|span| span.0).min();
        prop_assert!(last.zip(first).is_none_or(|(last, first)| last < first), "{before:?} is not over before {after:?}");
    }
    Ok(())
}

/// What is never true of any run, stopped or not.
fn check_sound(ran: &Ran) -> Result<(), TestCaseError> {
    for id in &ran.ids {
        let count = |is: fn(&&Fact) -> bool| ran.facts(id.as_str()).filter(is).count();
        let (begun, ended) = (count(|f| matches!(f, Fact::CaseStarted { .. })), count(|f| matches!(f, Fact::CaseFinished { .. })));
        prop_assert!(begun <= 1 && ended <= 1 && begun <= ended, "{id}: begun {begun}, ended {ended}");
        let ran_at_all = !matches!(ran.outcome(id.as_str()), None | Some(Outcome::Blocked | Outcome::Skipped));
        prop_assert!(begun == 1 || !ran_at_all, "{id} has a result and was never begun");
    }
    let summary = ran.summary();
    prop_assert_eq!(summary.oddities(), Vec::<String>::new());
    prop_assert_eq!(summary.verdict(), ran.verdict);
    let tests: Vec<_> = summary.cases().iter().filter(|case| case.role == Role::Testcase).collect();
    if ran.verdict == Verdict::Passed {
        prop_assert!(tests.iter().all(|case| case.outcome.is_some_and(|o| o.is_pass() || o == Outcome::Skipped)));
        prop_assert!(tests.iter().any(|case| case.outcome.is_some_and(Outcome::is_pass)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_tree_comes_to_what_the_rules_say(tree in any_tree()) {
        let mut model = Model::default();
        model.walk(&tree, &Way::Free);
        let ran = Bench::new(&model.shape).run();
        prop_assert_eq!(ran.outcomes(), model.outcomes.join(", "), "{}", model.shape);
        check_order(&ran, &model)?;
        check_sound(&ran)?;
    }

    /// A person may stop it at any moment.
    #[test]
    fn any_tree_that_is_stopped_keeps_what_is_promised(tree in any_tree(), moment in 1..60_usize) {
        let mut model = Model::default();
        model.walk(&tree, &Way::Free);
        let mut left = moment;
        let ran = Bench::new(&model.shape).stopped_at(move |_| { left = left.saturating_sub(1); left == 0 }).run();
        check_order(&ran, &model)?;
        check_sound(&ran)?;
        check_finally(&ran, &plan(&model.shape))?;
        let is_complete = !ran.outcomes().contains(" -");
        prop_assert!(ran.verdict == Verdict::Stopped || is_complete, "{}: {:?}", ran.outcomes(), ran.verdict);
    }
}

/// The clean-ups of each group that has begun have ended, and those of others have not begun.
fn check_finally(ran: &Ran, plan: &Plan) -> Result<(), TestCaseError> {
    let begun = |number: u32| ran.events.iter().any(|e| e.fact == Fact::StepStarted { step: number });
    let mut groups = vec![&plan.root];
    while let Some(group) = groups.pop() {
        for step in &group.finally {
            let mut all = Vec::new();
            step.each_case(&mut |case| all.push(&plan.cases[case].id));
            for id in all {
                prop_assert!(ran.outcome(id.as_str()).is_some() || !begun(group.number), "{id} of {} is lost", group.number);
            }
        }
        groups.extend(group.steps.iter().filter_map(|step| if let Step::Group(group) = step { Some(group) } else { None }));
    }
    Ok(())
}
