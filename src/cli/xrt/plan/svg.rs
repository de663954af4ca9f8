//! A plan as a picture: boxes in boxes, what is done one after another from the top to the bottom, and side by side what is done at the
//! same time. Drawn by ourselves, because a plan is a tree of serials and parallels: no layout of a general graph is as easy to read.

use super::tree::{branch_head, leaf_marks, summary};
use crate::event::{Order, Role};
use crate::lab::prepare::Graph;
use crate::report::{clean, cut_end, width};
use crate::run::{Branch, Leaf, Outline, Part};
use std::fmt::Write;

/// A column of text in points: the type is of one width.
const COLUMN: f64 = 6.63;
const FONT: f64 = 11.0;
const LINE: f64 = 15.0;
const PAD: f64 = 10.0;
/// Between two boxes one above the other, with room for an arrow, and side by side.
const GAP: f64 = 18.0;
const SIDE: f64 = 12.0;
/// The widest text of a box.
const TEXT: usize = 46;
/// How wide what is side by side may get before it goes on in another row.
const ROW: f64 = 1500.0;
/// Height of the line at the top of a box with others in it.
const HEAD: f64 = 22.0;

/// What is drawn: where it is comes from what it is in.
struct Drawn {
    width: f64,
    height: f64,
    sort: Sort,
    lines: Vec<String>,
    /// What is shown when the pointer rests on it.
    title: String,
    children: Vec<(f64, f64, Drawn)>,
    /// Whether the children come one after another.
    is_chain: bool,
}

/// The look of a box, a class of the style.
type Sort = &'static str;

/// The only one without a frame.
const LEGEND: Sort = "legend";

const STYLE: &str = "\
text{font:11px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#1c2733}\
.h{font-weight:bold}.d{fill:#5b6875}\
rect{stroke-width:1}\
.serial>rect{fill:#f6f8fa;stroke:#9aa7b4}\
.parallel>rect{fill:#eef4fc;stroke:#5b8fc9}\
.finally>rect{fill:#f3f7f0;stroke:#84a86b;stroke-dasharray:6 3}\
.note>rect{fill:none;stroke:#a8a29a;stroke-dasharray:2 3}\
.case>rect{fill:#fff;stroke:#44546a}\
.cleanup>rect{fill:#fff;stroke:#84a86b}\
.action>rect{fill:#fdf6e3;stroke:#b58900}\
.skipped>rect{fill:#f4f4f4;stroke:#b9b9b9;stroke-dasharray:4 3}.skipped>text{fill:#8a8a8a}\
.unusable>rect{fill:#fdecea;stroke:#c0392b}\
.blocker>rect{stroke:#c2410c;stroke-width:2.2}\
path{fill:none;stroke:#7b8794;stroke-width:1.2}";

/// The picture as SVG.
pub fn svg(outline: &Outline) -> String {
    let tree = branch(&outline.tree);
    let mut head = vec![outline.sequence.clone().unwrap_or_else(|| "testcases".into())];
    head.extend(summary(outline));
    let text_width = head.iter().map(|line| columns(line)).fold(0.0, f64::max);
    let top = PAD + head.len() as f64 * LINE + PAD;
    let legend = legend();
    let page_width = (tree.width.max(text_width).max(legend.width) + 2.0 * PAD).ceil();
    let page_height = (top + tree.height + PAD + legend.height + PAD).ceil();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{page_width}\" height=\"{page_height}\" \
         viewBox=\"0 0 {page_width} {page_height}\">\n<style>{STYLE}</style>\n\
         <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M1 1 L7 4 L1 7\"/></marker></defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (number, line) in head.iter().enumerate() {
        let class = if number == 0 { "h" } else { "d" };
        let y = PAD + (number as f64 + 0.8) * LINE;
        let _ = writeln!(out, "<text class=\"{class}\" x=\"{PAD}\" y=\"{y:.1}\">{}</text>", escaped(line));
    }
    tree.draw(PAD, top, &mut out);
    legend.draw(PAD, top + tree.height + PAD, &mut out);
    out.push_str("</svg>\n");
    out
}

impl Drawn {
    fn leaf(sort: Sort, lines: Vec<String>, title: String) -> Drawn {
        let lines: Vec<String> = lines.iter().map(|line| cut_end(&clean(line), TEXT).into_owned()).collect();
        let width = lines.iter().map(|line| columns(line)).fold(0.0, f64::max) + 2.0 * PAD;
        let height = lines.len() as f64 * LINE + PAD;
        Drawn { width, height, sort, lines, title, children: Vec::new(), is_chain: false }
    }

    /// A box around others, one above the other or in rows.
    fn around(sort: Sort, head: &str, title: String, children: Vec<Drawn>, is_chain: bool) -> Drawn {
        let head = cut_end(&clean(head), TEXT * 3).into_owned();
        let least = columns(&head) + 2.0 * PAD;
        let (placed, inner_width, inner_height) = if is_chain { stacked(children) } else { in_rows(children) };
        let width = (inner_width + 2.0 * PAD).max(least);
        let height = HEAD + inner_height + if placed.is_empty() { 0.0 } else { PAD };
        Drawn { width, height, sort, lines: vec![head], title, children: placed, is_chain }
    }

    fn draw(&self, x: f64, y: f64, out: &mut String) {
        let _ = writeln!(out, "<g class=\"{}\"><title>{}</title>", self.sort, escaped(&self.title));
        let (width, height) = (self.width, self.height);
        if self.sort != LEGEND {
            let _ = writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"4\"/>");
        }
        for (number, line) in self.lines.iter().enumerate() {
            let class = if number == 0 && self.sort != "note" { "h" } else { "d" };
            let baseline = y + PAD / 2.0 + number as f64 * LINE + FONT;
            let _ = writeln!(out, "<text class=\"{class}\" x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>", x + PAD, escaped(line));
        }
        let mut above: Option<f64> = None;
        for (dx, dy, child) in &self.children {
            let (left, top) = (x + PAD + dx, y + HEAD + dy);
            if let Some(from) = above.filter(|_| self.is_chain) {
                let middle = x + PAD + 24.0;
                let _ = writeln!(out, "<path marker-end=\"url(#end)\" d=\"M{middle:.1} {from:.1} V{:.1}\"/>", top - 1.0);
            }
            child.draw(left, top, out);
            above = Some(top + child.height);
        }
        out.push_str("</g>\n");
    }
}

/// Puts boxes one above the other. Gives them with their places, and the room they take.
fn stacked(children: Vec<Drawn>) -> (Vec<(f64, f64, Drawn)>, f64, f64) {
    let (mut width, mut height): (f64, f64) = (0.0, 0.0);
    let mut placed = Vec::new();
    for child in children {
        if !placed.is_empty() {
            height += GAP;
        }
        width = width.max(child.width);
        let top = height;
        height += child.height;
        placed.push((0.0, top, child));
    }
    (placed, width, height)
}

/// Puts boxes side by side, in as many rows as it takes.
fn in_rows(children: Vec<Drawn>) -> (Vec<(f64, f64, Drawn)>, f64, f64) {
    let (mut x, mut top, mut bottom, mut width): (f64, f64, f64, f64) = (0.0, 0.0, 0.0, 0.0);
    let mut placed = Vec::new();
    for child in children {
        if x > 0.0 && x + child.width > ROW {
            (x, top) = (0.0, bottom + SIDE);
        }
        let left = x;
        x += child.width + SIDE;
        bottom = bottom.max(top + child.height);
        width = width.max(left + child.width);
        placed.push((left, top, child));
    }
    (placed, width, bottom)
}

fn branch(branch: &Branch) -> Drawn {
    let order = if branch.order == Order::Serial { "serial" } else { "parallel" };
    let head = branch_head(branch);
    let mut drawn = Drawn::around(order, &head, head.clone(), parts(&branch.steps, branch.order), branch.order == Order::Serial);
    if branch.blocker {
        drawn.sort = if branch.order == Order::Serial { "serial blocker" } else { "parallel blocker" };
    }
    if !branch.finally.is_empty() {
        let title = "run whatever happened".to_string();
        let finally = Drawn::around("finally", "finally", title, parts(&branch.finally, Order::Serial), true);
        let top = drawn.height - HEAD - if drawn.children.is_empty() { 0.0 } else { PAD } + GAP;
        drawn.width = drawn.width.max(finally.width + 2.0 * PAD);
        drawn.height = HEAD + top + finally.height + PAD;
        drawn.children.push((0.0, top, finally));
    }
    drawn
}

fn parts(parts: &[Part], order: Order) -> Vec<Drawn> {
    let drawn = |part: &Part| match part {
        Part::Group(inner) => branch(inner),
        Part::Case(leaf) => self::leaf(leaf),
        Part::Note(note) => {
            let head = format!("{}: {}", note.what, note.did);
            Drawn::around("note", &head, head.clone(), self::parts(&note.steps, order), order == Order::Serial)
        }
    };
    parts.iter().map(drawn).collect()
}

/// The steps of a preparation: what is below something waits for it.
fn preparation(graph: &Graph, head: &str) -> Drawn {
    let depths = graph.depths();
    let rows = (0..=depths.iter().copied().max().unwrap_or(0)).map(|depth| {
        let steps = graph.steps.iter().zip(&depths).filter(|(_, of)| **of == depth);
        let boxes = steps.map(|(step, _)| {
            let needs: Vec<&str> = step.needs.iter().chain(&step.after).map(|need| graph.steps[*need].id.as_str()).collect();
            let title = if needs.is_empty() { step.id.clone() } else { format!("{} after {}", step.id, needs.join(", ")) };
            Drawn::leaf("action", vec![step.what.clone()], clean(&title).into_owned())
        });
        Drawn::around("note", "", "at the same time".into(), boxes.collect(), false)
    });
    Drawn::around("action", head, head.to_string(), rows.collect(), true)
}

fn leaf(leaf: &Leaf) -> Drawn {
    if let Some(graph) = leaf.preparation.as_ref().filter(|graph| !graph.steps.is_empty() && leaf.skip.is_none()) {
        return preparation(graph, &leaf.id);
    }
    let sort = match leaf {
        Leaf { skip: Some(_), .. } => "skipped",
        Leaf { unusable: Some(_), .. } => "unusable",
        Leaf { role: Role::Action, .. } => "action",
        Leaf { role: Role::Cleanup, .. } => "cleanup",
        Leaf { blocker: true, .. } => "case blocker",
        _ => "case",
    };
    let work = leaf.work();
    let marks = leaf_marks(leaf).join(", ");
    let place = leaf.written.as_ref().map(ToString::to_string).unwrap_or_default();
    let title = [&*leaf.id, &*leaf.title, &work, &marks, &place].map(|line| clean(line).into_owned());
    let title = title.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let lines = [leaf.id.clone(), work, marks].into_iter().filter(|line| !line.is_empty()).collect();
    Drawn::leaf(sort, lines, title)
}

/// What the looks of the boxes mean.
fn legend() -> Drawn {
    let all = [
        ("case", "testcase"),
        ("case blocker", "blocker"),
        ("skipped", "skipped"),
        ("unusable", "cannot be run"),
        ("cleanup", "clean-up"),
        ("action", "action"),
        ("serial", "one after another"),
        ("parallel", "at the same time"),
        ("note", "made by a loop or condition"),
    ];
    let boxes = all.map(|(sort, word)| Drawn::leaf(sort, vec![word.into()], word.into()));
    let (placed, width, height) = in_rows(boxes.into());
    Drawn {
        width,
        height: height + HEAD,
        sort: LEGEND,
        lines: Vec::new(),
        title: "legend".into(),
        children: placed,
        is_chain: false,
    }
}

fn columns(text: &str) -> f64 {
    width(text) as f64 * COLUMN
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
