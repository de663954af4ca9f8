//! Everything that was planned, as a tree: serials and parallels with what is in them, or groups where there are none.

use super::super::entry::seconds;
use super::super::text::{count, printable};
use super::row::{self, Rows};
use super::{Budget, HERE, Links, around, chart, outcome_word, put};
use crate::event::{Counts, Order, Outcome};
use crate::report::{Case, Node, Step, Summary, Tree};
use maud::{Markup, html};
use std::collections::HashMap;
use std::io::{Result as Io, Write};

/// With more testcases than this, groups in which all is well are folded.
const UNFOLDED: usize = 200;

pub(super) fn tree(summary: &Summary, links: &Links, budget: &mut Budget, out: &mut dyn Write) -> Io<()> {
    let tree = summary.tree();
    let is_flat = summary.steps().iter().all(Step::is_root) && summary.steps().len() <= 1;
    let is_long = summary.cases().len() > UNFOLDED;
    let mut page = Page { tree, rows: Rows::of(summary, links), budget, is_long };
    put(&html! { h2 #testcases { "Testcases" small { (summary.tests()) } } }, out)?;
    if is_flat {
        page.groups(summary, out)?;
    } else {
        page.whole(out)?;
    }
    put(&of_the_run(summary, links), out)
}

struct Page<'a, 'b> {
    tree: Tree<'a>,
    rows: Rows<'a>,
    budget: &'b mut Budget,
    is_long: bool,
}

impl<'a> Page<'a, '_> {
    /// Testcases by the groups of their ids, in the order of the plan.
    fn groups(&mut self, summary: &'a Summary, out: &mut dyn Write) -> Io<()> {
        let mut groups: Vec<(&str, Vec<&Case>)> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        for case in summary.cases() {
            let position = *index.entry(case.id.group()).or_insert(groups.len());
            if position == groups.len() {
                groups.push((case.id.group(), Vec::new()));
            }
            groups[position].1.push(case);
        }
        for (name, cases) in &groups {
            let standing = Standing::of(cases, self);
            let frame = html! {
                details.group data-name=(printable(name)) open[self.is_open(&standing)] {
                    summary { (head(if name.is_empty() { "Testcases" } else { name }, "", &standing)) }
                    (HERE)
                }
            };
            around(&frame, out, |out| cases.iter().try_for_each(|case| self.case(case, name, out)))?;
        }
        Ok(())
    }

    /// What stands in no step, or in the one that holds all others.
    fn whole(&mut self, out: &mut dyn Write) -> Io<()> {
        let roots = self.tree.roots().to_vec();
        match roots[..] {
            [Node::Step(root)] => {
                let nodes = self.tree.children(root).to_vec();
                self.boxes(&nodes, out)
            }
            _ => self.boxes(&roots, out),
        }
    }

    /// A box for each step, and one for those testcases between them that stand alone.
    fn boxes(&mut self, nodes: &[Node<'a>], out: &mut dyn Write) -> Io<()> {
        let is_case = |node: &Node| matches!(node, Node::Case(_));
        for part in nodes.chunk_by(|a, b| is_case(a) && is_case(b)) {
            match part {
                [Node::Step(step)] => self.step(step, "", out)?,
                alone => {
                    let frame = html! { div.group data-name="" { (HERE) } };
                    around(&frame, out, |out| alone.iter().try_for_each(|node| self.node(*node, "", out)))?;
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: Node<'a>, label: &str, out: &mut dyn Write) -> Io<()> {
        match node {
            Node::Step(step) => self.step(step, label, out),
            Node::Case(case) => self.case(case, label, out),
        }
    }

    fn step(&mut self, step: &'a Step, label: &str, out: &mut dyn Write) -> Io<()> {
        let cases = self.tree.cases(step);
        let standing = Standing::of(&cases, self);
        let nodes = self.tree.children(step).to_vec();
        let inner = if step.label.is_empty() { label } else { &step.label };
        let kind = match (step.order, step.workers) {
            (Order::Serial, _) => "one after another".to_string(),
            (Order::Parallel, None) => "side by side".to_string(),
            (Order::Parallel, Some(workers)) => format!("side by side, {workers} at a time"),
        };
        let word = if step.order == Order::Serial { "serial" } else { "parallel" };
        let name = if step.label.is_empty() { word } else { &step.label };
        let is_open = self.is_open(&standing);
        let frame = html! {
            details.group data-name=(printable(&step.label)) open[is_open] {
                summary {
                    (head(name, &kind, &Standing { took: step.ended.map_or(standing.took, |_| step.took), ..standing }))
                    @if let Some(block) = &step.block { small.soft { "what follows is " (printable(&block.to_string())) } }
                }
                (HERE)
            }
        };
        around(&frame, out, |out| nodes.iter().try_for_each(|node| self.node(*node, inner, out)))
    }

    fn case(&mut self, case: &Case, group: &str, out: &mut dyn Write) -> Io<()> {
        put(&row::case(case, group, &self.rows, self.budget), out)
    }

    fn is_open(&self, standing: &Standing) -> bool {
        // What was not run at all is told by the line of its group.
        (!self.is_long || standing.bad > 0) && standing.begun > 0
    }
}

/// What the testcases of a group come to.
struct Standing {
    counts: Counts,
    unfinished: usize,
    tests: usize,
    /// What somebody should look at, clean-ups and actions too.
    bad: usize,
    begun: usize,
    /// Seconds.
    took: f64,
}

impl Standing {
    fn of(cases: &[&Case], page: &Page) -> Standing {
        let mut standing = Standing { counts: Counts::default(), unfinished: 0, tests: 0, bad: 0, begun: 0, took: 0.0 };
        for case in cases {
            standing.took += page.rows.took(case);
            standing.bad += usize::from(case.is_bad());
            standing.begun += usize::from(case.has_begun());
            match case.outcome {
                _ if case.is_cleanup() => {}
                None => standing.unfinished += 1,
                Some(outcome) => standing.counts[outcome as usize] += 1,
            }
            standing.tests += usize::from(case.is_test());
        }
        standing
    }

    /// The worst of them, as a class and as a word.
    fn worst(&self) -> Option<(&'static str, String)> {
        use Outcome::{Blocked, Errored, Failed, Flaky, Partial, Passed, Skipped};
        let first = [Failed, Errored].into_iter().find(|o| self.counts[*o as usize] > 0);
        if first.is_none() && self.unfinished > 0 {
            return Some(("unfinished", "! unfinished".into()));
        }
        let then = [Blocked, Flaky, Partial, Passed, Skipped].into_iter().find(|o| self.counts[*o as usize] > 0);
        let worst = first.or(then)?;
        Some((worst.word(), outcome_word(worst)))
    }
}

/// The line of a group: how it ended, its name, how many ended how.
fn head(name: &str, kind: &str, standing: &Standing) -> Markup {
    let shares: Vec<(&str, usize)> = Outcome::ALL
        .iter()
        .map(|o| (o.word(), standing.counts[*o as usize]))
        .chain([("unfinished", standing.unfinished)])
        .filter(|(_, number)| *number > 0)
        .collect();
    html! {
        div.row {
            @match standing.worst() {
                Some((tone, word)) => { span class={ "word " (tone) } { (word) } }
                None => { span.word.soft { "empty" } }
            }
            span {
                b.more { (printable(name)) }
                span.soft {
                    @if !kind.is_empty() { (kind) " · " }
                    (count(standing.tests, "testcase"))
                    @if standing.bad > 0 && standing.bad < standing.tests { ", " (standing.bad) " to look at" }
                }
            }
            span.share aria-hidden="true" { @for (tone, number) in &shares { i class=(tone) style={ "flex:" (number) } {} } }
            span.took { @if standing.begun > 0 { (seconds(standing.took)) } }
        }
    }
}

/// What was told outside of any testcase.
fn of_the_run(summary: &Summary, links: &Links) -> Markup {
    let notes = summary.notes();
    html! {
        @if !notes.files.is_empty() || !notes.tail.is_empty() {
            h2 { "Of the run itself" }
            div.chart {
                @if !notes.files.is_empty() { ul.args { (row::attached(notes, links)) } }
                @if !notes.metrics.is_empty() { (chart::of_case(&notes.metrics)) }
                (row::log(notes))
            }
        }
    }
}
