//! The serials and parallels of a run, and the tree that they and the testcases make, in the order of the plan.

use super::Case;
use crate::event::{Block, Order, PlannedStep};
use crate::time::Timestamp;
use std::collections::HashMap;

/// The deepest that a tree is shown; what is nested deeper is shown at this depth. A log can say anything.
const DEEPEST: usize = 50;

/// A serial or parallel.
#[derive(Debug)]
pub struct Step {
    /// Its number in the plan.
    pub step: u32,
    pub order: Order,
    /// Its group, or empty.
    pub label: String,
    /// How many children of a parallel run at a time; nothing for all.
    pub workers: Option<usize>,
    pub blocker: bool,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// Seconds, once it has ended.
    pub took: f64,
    /// Why what follows it was not run.
    pub block: Option<Block>,
    place: usize,
    parent: Option<usize>,
    depth: usize,
}

impl Step {
    /// As people name it: "serial Install", "parallel, 3 at a time".
    pub fn name(&self) -> String {
        let order = match self.order {
            Order::Serial => "serial",
            Order::Parallel => "parallel",
        };
        let label = if self.label.is_empty() { String::new() } else { format!(" {}", self.label) };
        let workers = self.workers.filter(|_| self.order == Order::Parallel);
        format!("{order}{label}{}", workers.map(|n| format!(", {n} at a time")).unwrap_or_default())
    }

    /// Whether it stands in no other.
    pub fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    pub(super) fn finish(&mut self, at: Timestamp, took: f64, block: Option<&Block>) {
        self.ended = Some(at);
        self.took = if took.is_finite() { took.max(0.0) } else { 0.0 };
        self.block = block.cloned();
    }
}

/// All serials and parallels of a run.
#[derive(Debug, Default)]
pub(super) struct Steps {
    all: Vec<Step>,
    index: HashMap<u32, usize>,
}

impl Steps {
    /// Adds a step of the plan. False when one of that number is there.
    pub fn add(&mut self, planned: &PlannedStep) -> bool {
        let place = self.all.len();
        if self.index.contains_key(&planned.step) {
            return false;
        }
        // Only one that is there already can be a parent: so there is no circle.
        let mut parent = planned.parent.and_then(|number| self.index.get(&number).copied());
        if let Some(above) = parent.filter(|above| self.all[*above].depth >= DEEPEST) {
            parent = self.all[above].parent;
        }
        let depth = parent.map_or(0, |above| self.all[above].depth + 1);
        self.index.insert(planned.step, place);
        self.all.push(Step {
            step: planned.step,
            order: planned.order,
            label: planned.label.clone(),
            workers: planned.workers,
            blocker: planned.blocker,
            started: None,
            ended: None,
            took: 0.0,
            block: None,
            place,
            parent,
            depth,
        });
        true
    }

    pub fn all(&self) -> &[Step] {
        &self.all
    }

    pub fn get_mut(&mut self, step: u32) -> Option<&mut Step> {
        self.all.get_mut(*self.index.get(&step)?)
    }
}

/// What a step holds.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    Step(&'a Step),
    Case(&'a Case),
}

/// Steps with their children, in the order of the plan.
#[derive(Debug)]
pub struct Tree<'a> {
    roots: Vec<Node<'a>>,
    children: Vec<Vec<Node<'a>>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(steps: &'a Steps, cases: &'a [Case]) -> Tree<'a> {
        let parent_of = |case: &Case| case.parent.and_then(|number| steps.index.get(&number).copied());
        // A step stands where the first of its testcases does, an empty one before the step that follows it.
        let mut places = vec![usize::MAX; steps.all.len()];
        for (place, case) in cases.iter().enumerate().rev() {
            let mut above = parent_of(case);
            while let Some(step) = above {
                places[step] = place;
                above = steps.all[step].parent;
            }
        }
        for step in (0..places.len().saturating_sub(1)).rev() {
            if places[step] == usize::MAX {
                places[step] = places[step + 1];
            }
        }
        let mut placed: Vec<Vec<(usize, Node<'a>)>> = (0..=steps.all.len()).map(|_| Vec::new()).collect();
        let outside = steps.all.len();
        for step in &steps.all {
            placed[step.parent.unwrap_or(outside)].push((places[step.place], Node::Step(step)));
        }
        for (place, case) in cases.iter().enumerate() {
            placed[parent_of(case).unwrap_or(outside)].push((place, Node::Case(case)));
        }
        let mut children: Vec<Vec<Node<'a>>> = placed
            .into_iter()
            .map(|mut nodes| {
                nodes.sort_by_key(|(place, _)| *place);
                nodes.into_iter().map(|(_, node)| node).collect()
            })
            .collect();
        Tree { roots: children.pop().unwrap_or_default(), children }
    }

    /// What stands in no step.
    pub fn roots(&self) -> &[Node<'a>] {
        &self.roots
    }

    pub fn children(&self, step: &Step) -> &[Node<'a>] {
        self.children.get(step.place).map_or(&[], Vec::as_slice)
    }

    /// All testcases below a step, in the order of the plan.
    pub fn cases(&self, step: &Step) -> Vec<&'a Case> {
        let mut found = Vec::new();
        for node in self.children(step) {
            match node {
                Node::Case(case) => found.push(*case),
                Node::Step(inner) => found.extend(self.cases(inner)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Planned;
    use crate::name::CaseId;

    fn step(step: u32, parent: Option<u32>) -> PlannedStep {
        PlannedStep { step, parent, order: Order::Serial, label: String::new(), workers: None, blocker: false }
    }

    fn shown(steps: &[(u32, Option<u32>)], cases: &[(&str, Option<u32>)]) -> String {
        fn show(tree: &Tree, nodes: &[Node]) -> String {
            let one = |node: &Node| match node {
                Node::Case(case) => case.id.to_string(),
                Node::Step(step) => format!("{}({})", step.step, show(tree, tree.children(step))),
            };
            nodes.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        let mut known = Steps::default();
        for (number, parent) in steps {
            known.add(&step(*number, *parent));
        }
        let planned = |(id, parent): &(&str, Option<u32>)| Planned { parent: *parent, ..Planned::new(CaseId::new(*id), *id) };
        let cases: Vec<Case> = cases.iter().map(|c| Case::planned(&planned(c))).collect();
        let tree = Tree::new(&known, &cases);
        show(&tree, tree.roots())
    }

    #[test]
    fn children_stand_in_the_order_of_the_plan() {
        for (steps, cases, expected) in [
            (&[][..], &[("a", None), ("b", None)][..], "a b"),
            (&[(0, None)], &[("a", Some(0)), ("b", Some(0))], "0(a b)"),
            (&[(0, None), (1, Some(0))], &[("a", Some(0)), ("b", Some(1)), ("c", Some(0))], "0(a 1(b) c)"),
            (&[(0, None), (1, Some(0)), (2, Some(0))], &[("a", Some(2)), ("b", Some(1))], "0(2(a) 1(b))"),
            (&[(0, None), (1, Some(0)), (2, Some(0))], &[("a", Some(0)), ("b", Some(2))], "0(a 1() 2(b))"),
            // What a broken log may say: a parent that is not there, a circle, a number twice.
            (&[(1, Some(9)), (1, None), (2, Some(2))], &[("a", Some(7)), ("b", Some(1))], "a 1(b) 2()"),
        ] {
            assert_eq!(shown(steps, cases), expected);
        }
    }

    #[test]
    fn a_tree_of_any_depth_is_shown_no_deeper_than_a_page_can() {
        let steps: Vec<(u32, Option<u32>)> = (0..100_000_u32).map(|n| (n, n.checked_sub(1))).collect();
        let text = shown(&steps, &[("a", Some(99_999))]);
        assert_eq!(text.matches('(').count(), 100_000);
        let depth = text
            .chars()
            .scan(0_i32, |d, c| {
                *d += i32::from(c == '(') - i32::from(c == ')');
                Some(*d)
            })
            .max();
        assert_eq!(depth, Some(DEEPEST as i32 + 1));
    }
}
