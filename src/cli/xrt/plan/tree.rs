//! A plan as text for people: the tree, and what there is to say of all of it.

use crate::event::{Order, Role};
use crate::lab::prepare::Graph;
use crate::report::{Options, Paint, ascii, clean, count, cut_end, pad, width};
use crate::run::{Branch, Leaf, Outline, Part, Times};
use crate::unit::{show_duration, show_number};
use std::fmt::Write;
use std::time::Duration;

/// The widest column of the tree, and of the testcases beside it.
const TREE: usize = 64;
const TESTCASES: usize = 48;
/// How many ids of the longest way are named.
const WAY: usize = 12;

/// The signs of a tree, in this order: a child, the last child, what goes on beside them, and nothing.
type Lines = [&'static str; 4];
const DRAWN: Lines = ["├─ ", "└─ ", "│  ", "   "];
const TYPED: Lines = ["|- ", "`- ", "|  ", "   "];

/// What begins a line, by what it is of: Unicode and ASCII.
struct Signs {
    serial: &'static str,
    parallel: &'static str,
    finally: &'static str,
    note: &'static str,
    case: &'static str,
    skipped: &'static str,
    unusable: &'static str,
    action: &'static str,
}

const SIGNS: Signs =
    Signs {
        serial: "↓", parallel: "⇉", finally: "↺", note: "◇", case: "●", skipped: "○", unusable: "✗", action: "▶"
    };
const ASCII_SIGNS: Signs =
    Signs { serial: "v", parallel: "=", finally: "@", note: "?", case: "*", skipped: "o", unusable: "x", action: ">" };

/// How a line is coloured.
#[derive(Clone, Copy, PartialEq)]
enum Tone {
    Plain,
    Head,
    Dim,
    Warning,
    Bad,
}

/// A line before it is put into columns.
struct Row {
    /// The lines of the tree.
    prefix: String,
    /// With its sign.
    text: String,
    tone: Tone,
    /// What is run; nothing for a group or a note, whose marks follow the text.
    work: Option<String>,
    marks: String,
    marks_tone: Tone,
}

/// The whole plan.
pub fn text(outline: &Outline, options: &Options) -> String {
    let mut page = Page {
        rows: Vec::new(),
        lines: if options.ascii { TYPED } else { DRAWN },
        signs: if options.ascii { ASCII_SIGNS } else { SIGNS },
    };
    page.branch(&outline.tree, "", "");
    let paint = Paint { colour: options.colour };
    let mut out = String::new();
    let name = outline.sequence.as_deref().unwrap_or("testcases");
    let file = outline.file.as_deref().unwrap_or_default();
    let file = if file.is_empty() { String::new() } else { format!("  {}", paint.dim(&clean(file))) };
    let _ = writeln!(out, "{}{file}", paint.bold(&clean(name)));
    for (what, topology) in [("preprepare", &outline.preprepare), ("prepare", &outline.prepare)] {
        let Some(topology) = topology else { continue };
        let _ = writeln!(out, "\n{}", paint.bold(what));
        for line in topology.lines() {
            let _ = writeln!(out, "  {}", cut(&clean(&line), options));
        }
    }
    out.push('\n');
    page.print(&mut out, options, paint);
    out.push('\n');
    foot(outline, &mut out, options, paint);
    if options.ascii { ascii(&out) } else { out }
}

struct Page {
    rows: Vec<Row>,
    lines: Lines,
    signs: Signs,
}

impl Page {
    /// `prefix` stands before its own line, `below` before those of its children.
    fn branch(&mut self, branch: &Branch, prefix: &str, below: &str) {
        let (sign, order) = match branch.order {
            Order::Serial => (self.signs.serial, "serial"),
            Order::Parallel => (self.signs.parallel, "parallel"),
        };
        let text = format!("{sign} {order} {}", clean(&branch.label));
        self.head(prefix, text.trim_end(), Tone::Head, branch_marks(branch));
        self.parts(&branch.steps, below, branch.finally.is_empty());
        // Where it was left out, that is all there is to say.
        if branch.finally.iter().all(|part| matches!(part, Part::Note(note) if note.what == "finally")) {
            self.parts(&branch.finally, below, true);
        } else {
            let [_, last, _, nothing] = self.lines;
            let text = format!("{} finally", self.signs.finally);
            self.head(&format!("{below}{last}"), &text, Tone::Head, String::new());
            self.parts(&branch.finally, &format!("{below}{nothing}"), true);
        }
    }

    /// The children of something; when they are not the `last` ones, its line goes on below them.
    fn parts(&mut self, parts: &[Part], below: &str, last: bool) {
        let [child, last_child, beside, nothing] = self.lines;
        for (at, part) in parts.iter().enumerate() {
            let is_last = last && at + 1 == parts.len();
            let prefix = format!("{below}{}", if is_last { last_child } else { child });
            let below = format!("{below}{}", if is_last { nothing } else { beside });
            match part {
                Part::Group(branch) => self.branch(branch, &prefix, &below),
                Part::Case(leaf) => {
                    self.leaf(leaf, prefix);
                    if let Some(graph) = &leaf.preparation {
                        self.preparation(graph, None, &below);
                    }
                }
                Part::Note(remark) => {
                    let text = format!("{} {}", self.signs.note, clean(&remark.what));
                    self.head(&prefix, &text, Tone::Dim, clean(&remark.did).into_owned());
                    self.parts(&remark.steps, &below, true);
                }
            }
        }
    }

    /// The steps of a preparation, each below what it waits for.
    fn preparation(&mut self, graph: &Graph, of: Option<usize>, below: &str) {
        let [child, last_child, beside, nothing] = self.lines;
        let steps = graph.below(of);
        for (number, at) in steps.iter().enumerate() {
            let is_last = number + 1 == steps.len();
            // What stands above or before it here is told by the tree.
            let is_told = |need: &usize| Some(*need) == of || of.is_some() && graph.above(*need) == of;
            let others = graph.steps[*at].needs.iter().filter(|need| !is_told(need)).chain(&graph.steps[*at].after);
            let others: Vec<&str> = others.map(|need| graph.steps[*need].id.as_str()).collect();
            let marks = if others.is_empty() { String::new() } else { format!("after {}", clean(&others.join(" and "))) };
            let prefix = format!("{below}{}", if is_last { last_child } else { child });
            self.head(&prefix, &clean(&graph.steps[*at].what), Tone::Plain, marks);
            self.preparation(graph, Some(*at), &format!("{below}{}", if is_last { nothing } else { beside }));
        }
    }

    fn head(&mut self, prefix: &str, text: &str, tone: Tone, marks: String) {
        let (prefix, text) = (prefix.to_string(), text.to_string());
        self.rows.push(Row { prefix, text, tone, work: None, marks, marks_tone: Tone::Dim });
    }

    fn leaf(&mut self, leaf: &Leaf, prefix: String) {
        let (sign, tone) = match leaf {
            Leaf { skip: Some(_), .. } => (self.signs.skipped, Tone::Dim),
            Leaf { unusable: Some(_), .. } => (self.signs.unusable, Tone::Bad),
            Leaf { role: Role::Action, .. } => (self.signs.action, Tone::Plain),
            _ => (self.signs.case, Tone::Plain),
        };
        let marks_tone = match leaf {
            Leaf { skip: Some(_), .. } => Tone::Warning,
            Leaf { unusable: Some(_), .. } => Tone::Bad,
            _ => Tone::Dim,
        };
        self.rows.push(Row {
            prefix,
            text: format!("{sign} {}", clean(&leaf.id)),
            tone,
            work: Some(clean(&leaf.work()).into_owned()),
            marks: leaf_marks(leaf).iter().map(|m| clean(m)).collect::<Vec<_>>().join(", "),
            marks_tone,
        });
    }

    /// Puts the rows into columns; a line that is too long is cut at its end.
    fn print(&self, out: &mut String, options: &Options, paint: Paint) {
        let cases = || self.rows.iter().filter(|row| row.work.is_some());
        let tree = cases().map(|row| width(&row.prefix) + width(&row.text)).max().unwrap_or(0).min(TREE);
        let works = cases().map(|row| width(row.work.as_deref().unwrap_or_default())).max().unwrap_or(0).min(TESTCASES);
        for row in &self.rows {
            let mut left = options.width.unwrap_or(usize::MAX);
            let mut put = |text: &str, tone: Tone| {
                let shown = cut_end(text, left);
                left = left.saturating_sub(width(&shown));
                out.push_str(&painted(paint, tone, &shown));
            };
            put(&row.prefix, Tone::Dim);
            match &row.work {
                Some(work) => {
                    put(&pad(&row.text, tree.saturating_sub(width(&row.prefix))), row.tone);
                    put("  ", Tone::Plain);
                    put(&if row.marks.is_empty() { work.clone() } else { pad(work, works) }, Tone::Dim);
                }
                None => put(&row.text, row.tone),
            }
            if !row.marks.is_empty() {
                put("  ", Tone::Plain);
                put(&row.marks, row.marks_tone);
            }
            out.push('\n');
        }
    }
}

fn painted(paint: Paint, tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => text.to_string(),
        Tone::Head => paint.bold(text),
        Tone::Dim => paint.dim(text),
        Tone::Warning => paint.warning(text),
        Tone::Bad => paint.bad(text),
    }
}

fn cut(text: &str, options: &Options) -> String {
    options.width.map_or_else(|| text.to_string(), |columns| cut_end(text, columns.saturating_sub(2)).into_owned())
}

/// What is to be said of a serial or parallel beside its name.
fn branch_marks(branch: &Branch) -> String {
    let mut marks = Vec::new();
    if let (Order::Parallel, Some(workers)) = (branch.order, branch.workers) {
        marks.push(format!("{workers} at a time"));
    }
    if branch.blocker {
        marks.push("blocker".into());
    }
    marks.extend(branch.timeout.map(|seconds| format!("limit {}", shown(seconds))));
    if branch.steps.is_empty() {
        marks.push("nothing in it".into());
    }
    marks.join(", ")
}

/// A serial or parallel in one line: "parallel Guests (2 at a time)".
pub fn branch_head(branch: &Branch) -> String {
    let order = if branch.order == Order::Serial { "serial" } else { "parallel" };
    let marks = branch_marks(branch);
    let marks = if marks.is_empty() { String::new() } else { format!("({marks})") };
    [order, &branch.label, &marks].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What is to be said of a testcase beside what it runs.
pub fn leaf_marks(leaf: &Leaf) -> Vec<String> {
    // Of what is not run nothing more is of interest.
    if let Some(why) = &leaf.skip {
        return vec![format!("skipped: {why}")];
    }
    let mut marks = Vec::new();
    marks.extend(leaf.unusable.as_ref().map(|why| format!("cannot be run: {why}")));
    marks.extend(leaf.priority.map(|priority| format!("P{priority}")));
    // That an action is one goes without saying.
    if leaf.blocker && leaf.role != Role::Action {
        marks.push("blocker".into());
    }
    if !leaf.depends.is_empty() {
        marks.push(format!("after {}", leaf.depends.join(" and ")));
    }
    marks.extend(leaf.machine.as_ref().map(|machine| format!("on {machine}")));
    marks.extend(leaf.class.as_ref().map(|class| format!("semaphore {class}")));
    marks.extend(leaf.timeout.filter(|_| leaf.is_timeout_set).map(|seconds| format!("limit {}", shown(seconds))));
    if leaf.retries > 0 {
        marks.push(if leaf.retries == 1 { "1 retry".into() } else { format!("{} retries", leaf.retries) });
    }
    marks.extend(leaf.tc.as_ref().map(ToString::to_string));
    marks.extend(leaf.sku.as_ref().map(|sku| format!("sku {sku}")));
    marks.extend(leaf.expected.map(|seconds| format!("about {}", shown(seconds))));
    marks
}

fn shown(seconds: f64) -> String {
    show_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// What there is to say of all of it.
fn foot(outline: &Outline, out: &mut String, options: &Options, paint: Paint) {
    for (number, line) in summary(outline).into_iter().enumerate() {
        let line = options.width.map_or_else(|| line.clone(), |columns| cut_end(&line, columns).into_owned());
        let _ = writeln!(out, "{}", if number == 0 { paint.bold(&line) } else { line });
    }
}

/// The same as lines: how much there is, what it takes to pass, the order, the time.
pub fn summary(outline: &Outline) -> Vec<String> {
    let counts = outline.counts;
    let mut parts = vec![count(counts.testcases, "testcase")];
    if counts.skipped > 0 {
        parts.push(format!("{} of them skipped", counts.skipped));
    }
    if counts.unusable > 0 {
        parts.push(format!("{} that cannot be run", counts.unusable));
    }
    for (number, word) in [(counts.cleanups, "clean-up"), (counts.actions, "action")] {
        if number > 0 {
            parts.push(count(number, word));
        }
    }
    let mut lines = vec![parts.join(", ")];
    lines.push(format!("to pass: {}", criteria(outline)));
    if !outline.semaphores.is_empty() {
        let all: Vec<String> = outline.semaphores.iter().map(|(class, count)| format!("{class} {count}")).collect();
        lines.push(format!("at a time: {}", clean(&all.join(", "))));
    }
    lines.extend(outline.seed.map(|seed| format!("order: shuffled with {seed} (--shuffle={seed} gives it again)")));
    if let Some(times) = &outline.expected {
        lines.extend(time(times));
    }
    lines
}

fn criteria(outline: &Outline) -> String {
    let criteria = &outline.criteria;
    if !criteria.expects_tests && outline.counts.testcases == 0 {
        return "the preparation; there are no tests".into();
    }
    if outline.counts.testcases == outline.counts.skipped {
        return "nothing can: no testcase would be run".into();
    }
    let rates: Vec<String> =
        criteria.rates.iter().enumerate().map(|(at, rate)| format!("P{} {} %", at + 1, show_number(*rate))).collect();
    let rates = if rates.is_empty() { "100 %".into() } else { format!("{}, others 100 %", rates.join(", ")) };
    let strict = if criteria.strict { "" } else { ", without those that errored" };
    format!("{rates} of the testcases{strict}")
}

fn time(times: &Times) -> Vec<String> {
    let runs = count(times.runs, "earlier run");
    let unknown = match times.unknown {
        0 => String::new(),
        1 => ", and 1 of which none says how long it takes".into(),
        unknown => format!(", and {unknown} of which none says how long they take"),
    };
    let mut lines = vec![format!("expected: {} by {runs}{unknown}", shown(times.seconds))];
    if times.path.len() > 1 {
        let more = times.path.len().saturating_sub(WAY);
        let mut way: Vec<String> = times.path.iter().take(WAY).map(|id| clean(id).into_owned()).collect();
        if more > 0 {
            way.push(format!("{more} more"));
        }
        lines.push(format!("the end waits for: {}", way.join(", ")));
    }
    lines
}
