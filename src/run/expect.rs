//! How long a plan is to be expected to take: it is gone through as it would be run, with the times of earlier runs.

use super::plan::{Group, Plan, Step};
use crate::event::Order;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

/// What is to be expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// From the first testcase to the last clean-up, when what is unknown takes no time.
    pub total: Duration,
    /// What the end waits for, from the beginning: any of these being faster ends the run earlier. By place in [`Plan::cases`].
    pub path: Vec<usize>,
}

/// Goes through a plan of which each case takes its time. `workers`: how many children of a parallel run at a time at most.
pub fn expected(plan: &Plan, times: &[Duration], workers: Option<usize>) -> Expected {
    let mut run = DryRun::new(plan, times, workers);
    if run.begin(0) {
        return Expected { total: Duration::ZERO, path: Vec::new() };
    }
    while let Some(Reverse((now, _, case))) = run.ends.pop() {
        run.now = now;
        run.ended(case);
    }
    let mut path = Vec::new();
    let mut last = run.last;
    while let Some(case) = last {
        if times[case] > Duration::ZERO {
            path.push(case);
        }
        last = run.after[case];
    }
    path.reverse();
    Expected { total: run.now, path }
}

/// A serial or parallel while it is gone through.
struct Going<'a> {
    group: &'a Group,
    parent: Option<usize>,
    /// Counted through the steps and then on through the finally steps.
    next: usize,
    running: usize,
}

struct DryRun<'a> {
    plan: &'a Plan,
    times: &'a [Duration],
    workers: Option<usize>,
    groups: Vec<Going<'a>>,
    by_number: HashMap<u32, usize>,
    free: BTreeMap<&'a str, usize>,
    waiting: BTreeMap<&'a str, VecDeque<usize>>,
    /// The running cases by their end; among equal ones the first that began.
    ends: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    begun: u64,
    now: Duration,
    /// The case whose end has led to what happens now.
    last: Option<usize>,
    /// The case whose end each case waited for.
    after: Vec<Option<usize>>,
}

impl<'a> DryRun<'a> {
    fn new(plan: &'a Plan, times: &'a [Duration], workers: Option<usize>) -> DryRun<'a> {
        let mut run = DryRun {
            plan,
            times,
            workers,
            groups: Vec::new(),
            by_number: HashMap::new(),
            free: plan.semaphores.iter().map(|(class, count)| (class.as_str(), *count)).collect(),
            waiting: BTreeMap::new(),
            ends: BinaryHeap::new(),
            begun: 0,
            now: Duration::ZERO,
            last: None,
            after: vec![None; plan.cases.len()],
        };
        run.add(&plan.root, None);
        run
    }

    fn add(&mut self, group: &'a Group, parent: Option<usize>) {
        let place = self.groups.len();
        self.by_number.insert(group.number, place);
        self.groups.push(Going { group, parent, next: 0, running: 0 });
        for step in group.steps.iter().chain(&group.finally) {
            if let Step::Group(inner) = step {
                self.add(inner, Some(place));
            }
        }
    }

    /// Begins what can begin in a group now. True when there is nothing left in it.
    fn begin(&mut self, place: usize) -> bool {
        loop {
            let Going { group, next, running, .. } = self.groups[place];
            let steps = group.steps.len();
            let is_finally = next >= steps;
            let at_once = match group.order {
                Order::Parallel if !is_finally => group.width(self.workers),
                _ => 1,
            };
            // The finally steps wait for all the others.
            if running >= at_once || is_finally && running > 0 {
                return false;
            }
            let step = if is_finally { group.finally.get(next - steps) } else { group.steps.get(next) };
            let Some(step) = step else { return true };
            self.groups[place].next += 1;
            self.groups[place].running += 1;
            let is_over = match step {
                Step::Case(case) => {
                    self.admit(*case);
                    false
                }
                Step::Group(inner) => self.by_number.get(&inner.number).copied().is_none_or(|inner| self.begin(inner)),
            };
            if is_over {
                self.groups[place].running -= 1;
            }
        }
    }

    /// The class that a case must wait its turn in.
    fn class(&self, case: usize) -> Option<&'a str> {
        let case = &self.plan.cases[case];
        case.class.as_deref().filter(|class| case.skip.is_none() && self.free.contains_key(class))
    }

    fn admit(&mut self, case: usize) {
        if let Some(class) = self.class(case) {
            match self.free.get_mut(class) {
                Some(free) if *free > 0 => *free -= 1,
                _ => {
                    self.waiting.entry(class).or_default().push_back(case);
                    return;
                }
            }
        }
        self.run(case);
    }

    fn run(&mut self, case: usize) {
        self.after[case] = self.last;
        self.begun += 1;
        self.ends.push(Reverse((self.now + self.times[case], self.begun, case)));
    }

    fn ended(&mut self, case: usize) {
        self.last = Some(case);
        if let Some(class) = self.class(case) {
            match self.waiting.get_mut(class).and_then(VecDeque::pop_front) {
                Some(next) => self.run(next),
                None => *self.free.entry(class).or_default() += 1,
            }
        }
        let mut above = self.by_number.get(&self.plan.cases[case].parent).copied();
        while let Some(place) = above {
            self.groups[place].running -= 1;
            if !self.begin(place) {
                return;
            }
            above = self.groups[place].parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::name::CaseId;
    use crate::run::{PlannedCase, Unusable, Work};
    use crate::script::Args;

    /// Reads "s(a1 p2(b3 c4:class) f(d1))": serials and parallels with their workers, cases with their seconds, and finally steps.
    struct Reader<'a> {
        words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
        plan: Plan,
        times: Vec<Duration>,
        groups: u32,
    }

    impl Reader<'_> {
        fn group(&mut self, head: &str) -> Group {
            let number = self.groups;
            self.groups += 1;
            let order = if head.starts_with('p') { Order::Parallel } else { Order::Serial };
            let mut group = Group { number, order, workers: head[1..].parse().ok(), ..Group::default() };
            while let Some(word) = self.words.next().filter(|w| *w != ")") {
                if self.words.next_if_eq(&"(").is_none() {
                    group.steps.push(self.case(word, number));
                } else if word == "f" {
                    while let Some(word) = self.words.next().filter(|w| *w != ")") {
                        group.finally.push(self.case(word, number));
                    }
                } else {
                    group.steps.push(Step::Group(self.group(word)));
                }
            }
            group
        }

        fn case(&mut self, word: &str, parent: u32) -> Step {
            let (name, class) = word.split_once(':').map_or((word, None), |(name, class)| (name, Some(class.into())));
            let unusable = Unusable { testcase: name.into(), error: Error::new(Kind::NotFound, "") };
            let work = Work::Unusable(Box::new(unusable));
            let case = PlannedCase { parent, class, ..PlannedCase::new(CaseId::new(name), work, Args::new(), &[]) };
            self.plan.cases.push(case);
            self.times.push(Duration::from_secs(name[1..].parse().unwrap()));
            Step::Case(self.times.len() - 1)
        }
    }

    fn shown(text: &str, workers: Option<usize>) -> String {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let words = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
        let plan = Plan { semaphores: [("one".to_string(), 1)].into(), ..Plan::default() };
        let mut reader = Reader { words, plan, times: Vec::new(), groups: 0 };
        let head = reader.words.next().unwrap();
        reader.words.next();
        reader.plan.root = reader.group(head);
        let expected = expected(&reader.plan, &reader.times, workers);
        let path: Vec<&str> = expected.path.iter().map(|case| reader.plan.cases[*case].id.as_str()).collect();
        format!("{} {}", expected.total.as_secs(), path.join(" "))
    }

    #[test]
    fn the_end_waits_for_the_longest_way() {
        for (plan, expected) in [
            ("s()", "0 "),
            ("s(p() s(s()))", "0 "),
            ("s(a1 b2)", "3 a1 b2"),
            ("p(a1 b2)", "2 b2"),
            ("s(a1 p(b1 s(c1 d3)) e1)", "6 a1 c1 d3 e1"),
            // Two at a time: the third takes the place of the first.
            ("p2(a1 b3 c4)", "5 a1 c4"),
            // What takes no time is on no way.
            ("s(a0 p(b0 c2) d0)", "2 c2"),
            // One of a class at a time, wherever it stands.
            ("p(a2:one s(b1 c3:one) d1:other)", "5 a2 c3"),
            ("p(s(a2:one b9) s(c1:one))", "11 a2 b9"),
            // Finally comes after everything else, one by one, of a parallel too.
            ("s(a1 p(b1 c4 f(d1 e1)) g1 f(h1))", "9 a1 c4 d1 e1 g1 h1"),
            ("s(s(f(a1)) f(b1))", "2 a1 b1"),
        ] {
            assert_eq!(shown(plan, None), expected, "{plan}");
        }
    }

    #[test]
    fn a_parallel_has_no_more_workers_than_the_run() {
        for (plan, workers, expected) in [
            ("p(a1 b3 c4)", 1, "8 a1 b3 c4"),
            ("p(a1 b3 c4)", 2, "5 a1 c4"),
            ("p(a1 b3 c4)", 3, "4 c4"),
            ("p2(a1 b3 c4)", 3, "5 a1 c4"),
            // Each parallel by itself, as they are run.
            ("p(s(a1 b1) p(c2 d2))", 2, "2 a1 b1"),
            ("p(s(a1 b1) p(c2 d2))", 1, "6 a1 b1 c2 d2"),
        ] {
            assert_eq!(shown(plan, Some(workers)), expected, "{plan} {workers}");
        }
    }

    #[test]
    fn a_plan_of_any_length_is_gone_through() {
        let many = (0..20_000).map(|n| if n % 2 == 0 { "s() " } else { "a1 " }).collect::<String>();
        assert!(shown(&format!("s({many})"), None).starts_with("10000 a1"));
        assert!(shown(&format!("p3({many})"), None).starts_with("3334 a1"));
    }
}
