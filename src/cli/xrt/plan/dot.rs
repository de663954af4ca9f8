//! A plan as a graph for Graphviz and its like: a cluster for each serial and parallel, an edge from what is done to what is done next.

use super::tree::{branch_head, leaf_marks};
use crate::event::{Order, Role};
use crate::report::clean;
use crate::run::{Branch, Leaf, Outline, Part};
use std::fmt::Write;

/// The graph as DOT.
pub fn dot(outline: &Outline) -> String {
    let name = outline.sequence.as_deref().unwrap_or("testcases");
    let mut graph = Graph { out: String::new(), nodes: 0, clusters: 0 };
    let _ = writeln!(graph.out, "digraph {} {{", quoted(name));
    graph.out.push_str("  rankdir=TB; compound=true; fontname=\"monospace\"; fontsize=11;\n");
    graph.out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"monospace\", fontsize=10];\n");
    graph.branch(&outline.tree, 1);
    graph.out.push_str("}\n");
    graph.out
}

struct Graph {
    out: String,
    nodes: usize,
    clusters: usize,
}

/// The node where a part begins and the one where it ends.
type Ends = (usize, usize);

impl Graph {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.out, "{}{text}", "  ".repeat(depth));
    }

    fn node(&mut self, depth: usize, attributes: &str) -> usize {
        self.nodes += 1;
        self.line(depth, &format!("n{} [{attributes}];", self.nodes));
        self.nodes
    }

    /// A point where branches come apart and together; so that there is no edge from each of them to each of the next.
    fn point(&mut self, depth: usize) -> usize {
        self.node(depth, "shape=point, width=0.06, label=\"\"")
    }

    fn edge(&mut self, depth: usize, from: usize, to: usize) {
        self.line(depth, &format!("n{from} -> n{to};"));
    }

    fn cluster(&mut self, depth: usize, label: &str, style: &str, inside: impl FnOnce(&mut Graph) -> Ends) -> Ends {
        self.clusters += 1;
        self.line(depth, &format!("subgraph cluster_{} {{", self.clusters));
        self.line(depth + 1, &format!("label={}; labeljust=l; style={}; ", quoted(label), quoted(style)));
        let ends = inside(self);
        self.line(depth, "}");
        ends
    }

    fn branch(&mut self, branch: &Branch, depth: usize) -> Ends {
        let label = branch_head(branch);
        let style = if branch.blocker { "rounded,bold" } else { "rounded" };
        self.cluster(depth, &label, style, |graph| {
            let ends = graph.parts(&branch.steps, branch.order, depth + 1);
            if branch.finally.is_empty() {
                return ends;
            }
            let inside = |graph: &mut Graph| graph.parts(&branch.finally, Order::Serial, depth + 2);
            let finally = graph.cluster(depth + 1, "finally", "rounded,dashed", inside);
            graph.edge(depth + 1, ends.1, finally.0);
            (ends.0, finally.1)
        })
    }

    /// The steps of a preparation, each after what it needs; what it only waits for is dashed.
    fn preparation(&mut self, leaf: &Leaf, depth: usize) -> Ends {
        let steps = leaf.preparation.iter().flat_map(|graph| &graph.steps).collect::<Vec<_>>();
        self.cluster(depth, &leaf.id, "rounded", |graph| {
            let (first, last) = (graph.point(depth + 1), graph.point(depth + 1));
            let label = |text: &str| format!("label={}, fillcolor=\"#fdf6e3\"", quoted(text));
            let nodes: Vec<usize> = steps.iter().map(|step| graph.node(depth + 1, &label(&step.what))).collect();
            for (at, step) in steps.iter().enumerate() {
                step.needs.iter().for_each(|need| graph.edge(depth + 1, nodes[*need], nodes[at]));
                for before in &step.after {
                    graph.line(depth + 1, &format!("n{} -> n{} [style=dashed];", nodes[*before], nodes[at]));
                }
                if step.needs.is_empty() {
                    graph.edge(depth + 1, first, nodes[at]);
                }
                if steps.iter().all(|other| !other.needs.contains(&at)) {
                    graph.edge(depth + 1, nodes[at], last);
                }
            }
            if steps.is_empty() {
                graph.edge(depth + 1, first, last);
            }
            (first, last)
        })
    }

    fn parts(&mut self, parts: &[Part], order: Order, depth: usize) -> Ends {
        let each = |graph: &mut Graph, part: &Part| match part {
            Part::Group(inner) => graph.branch(inner, depth),
            Part::Case(leaf) if leaf.preparation.is_some() => graph.preparation(leaf, depth),
            Part::Case(leaf) => {
                let node = graph.leaf(leaf, depth);
                (node, node)
            }
            Part::Note(note) => {
                let label = format!("{}: {}", note.what, note.did);
                graph.cluster(depth, &label, "dotted", |graph| graph.parts(&note.steps, order, depth + 1))
            }
        };
        if parts.is_empty() {
            let point = self.point(depth);
            return (point, point);
        }
        if order == Order::Serial || parts.len() == 1 {
            let all: Vec<Ends> = parts.iter().map(|part| each(self, part)).collect();
            all.windows(2).for_each(|pair| self.edge(depth, pair[0].1, pair[1].0));
            return (all[0].0, all[all.len() - 1].1);
        }
        let (first, last) = (self.point(depth), self.point(depth));
        for part in parts {
            let (from, to) = each(self, part);
            self.edge(depth, first, from);
            self.edge(depth, to, last);
        }
        (first, last)
    }

    fn leaf(&mut self, leaf: &Leaf, depth: usize) -> usize {
        let look = match leaf {
            Leaf { skip: Some(_), .. } => ", style=\"rounded,dashed\", fontcolor=gray50",
            Leaf { unusable: Some(_), .. } => ", color=red, fontcolor=red",
            Leaf { role: Role::Action, .. } => ", fillcolor=lightyellow",
            Leaf { role: Role::Cleanup, .. } => ", color=darkgreen",
            Leaf { blocker: true, .. } => ", penwidth=2, color=orangered",
            _ => "",
        };
        let lines = [leaf.id.clone(), leaf.work(), leaf_marks(leaf).join(", ")];
        let label = lines.iter().filter(|line| !line.is_empty()).map(|line| escaped(line)).collect::<Vec<_>>().join("\\n");
        self.node(depth, &format!("label=\"{label}\"{look}"))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}
