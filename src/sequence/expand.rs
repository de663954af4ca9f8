//! The tree of a sequence: serials, parallels and what settles them: loops, conditions, includes.

use super::case;
use super::reader::{Collection, Reader};
use super::rounds;
use super::scope::{Form, short};
use super::tree::{Group, Labels, Node, Settled};
use super::xml::Element;
use crate::event::{Order, Place};
use crate::name::did_you_mean;
use std::sync::Arc;

/// Groups, loops, conditions and includes in each other.
const DEEPEST: usize = 64;
/// How many rounds of a loop are named in what it did.
const ROUNDS_SHOWN: usize = 8;

/// Everything that can stand in a serial.
pub const NODES: &[&str] =
    &["testcase", "serial", "parallel", "finally", "for", "include", "action", "ifin", "ifnotin", "ifeq", "ifnoteq", "marvintests"];

const SEQUENCE: Form = Form {
    attributes: &["group", "host", "guest", "prio", "ttype", "tc", "sku", "blocker", "timeout"],
    children: Some(NODES),
    text: false,
};
const SERIAL: Form =
    Form { attributes: &["group", "host", "guest", "prio", "ttype", "tc", "sku", "blocker", "timeout", "filter"], ..SEQUENCE };
const PARALLEL: Form = Form {
    attributes: &["workers", "group", "host", "guest", "prio", "ttype", "tc", "sku", "blocker", "timeout", "filter"],
    ..SEQUENCE
};
const FINALLY: Form = Form { attributes: &["group", "host", "guest", "prio", "ttype", "sku", "filter"], ..SEQUENCE };
const FOR: Form = Form { attributes: &["iter", "values", "offset", "limit", "defaults", "filter"], ..SEQUENCE };
const IN_LIST: Form = Form { attributes: &["item", "list", "filter"], ..SEQUENCE };
const EQUAL: Form = Form { attributes: &["x", "y", "filter"], ..SEQUENCE };
const INCLUDE: Form = Form { attributes: &["collection", "exclude", "filter"], children: Some(&["param"]), text: false };
const PARAM: Form = Form { attributes: &["name", "value"], children: Some(&[]), text: false };

/// What a node is inside of.
#[derive(Clone, Default)]
pub struct Around {
    pub labels: Labels,
    depth: usize,
    is_cleanup: bool,
}

/// What a node makes. A finally block belongs to the group around, also from inside a loop.
#[derive(Default)]
pub struct Children {
    pub nodes: Vec<Node>,
    pub finally: Vec<Node>,
}

impl Around {
    pub fn new(labels: Labels) -> Around {
        Around { labels, ..Around::default() }
    }

    /// In a group of its own, which can have a finally block wherever it stands.
    fn within(&self, labels: Labels) -> Around {
        Around { labels, depth: self.depth + 1, is_cleanup: false }
    }

    /// In what is settled here, as if it were not there.
    fn deeper(&self) -> Around {
        Around { depth: self.depth + 1, ..self.clone() }
    }
}

impl Reader<'_> {
    /// `<testsequence>`: one more part of the root. What it says of itself replaces what earlier ones said.
    pub fn testsequence(&mut self, element: &Element) {
        self.scope.check(element, &SEQUENCE);
        let mut root = self.sequence.root.take().unwrap_or_else(|| {
            let labels = Labels { tc: self.variable("TESTRUN_TC"), sku: self.variable("TESTRUN_TCSKU"), ..Labels::default() };
            self.empty_group(element, Order::Serial, labels)
        });
        let tc = root.labels.tc.take();
        root.labels = self.labels(element, &root.labels);
        root.labels.tc = root.labels.tc.or(tc);
        root.blocker = self.scope.blocker(element).unwrap_or(root.blocker);
        root.timeout = self.limit(element).or(root.timeout);
        let made = self.children(element, &Around::new(root.labels.clone()));
        root.nodes.extend(made.nodes);
        root.finally.extend(made.finally);
        self.sequence.root = Some(root);
    }

    fn children(&mut self, element: &Element, around: &Around) -> Children {
        let mut made = Children::default();
        self.nodes(&element.children, around, &mut made);
        made
    }

    fn nodes(&mut self, elements: &[Element], around: &Around, made: &mut Children) {
        for element in elements {
            if !self.spend(1, element.at) {
                return;
            }
            if !self.is_filtered(element, made) {
                self.node(element, around, made);
            }
        }
    }

    /// An element in a tree. What has no meaning here was told by the form of the element around.
    fn node(&mut self, element: &Element, around: &Around, made: &mut Children) {
        if around.depth > DEEPEST {
            let help = Some("take some of the groups, loops and includes away".to_string());
            let message = format!("groups, loops, conditions and includes are more than {DEEPEST} deep in each other");
            return self.stop("too-large", element.at, message, help);
        }
        match element.name.as_str() {
            "testcase" => {
                let case = self.testcase(element, around);
                made.nodes.push(Node::Case(case));
            }
            "marvintests" => {
                let case = self.marvin(element, around);
                made.nodes.push(Node::Case(case));
            }
            "action" => made.nodes.extend(self.action(element).map(Node::Action)),
            "serial" => {
                self.scope.check(element, &SERIAL);
                self.group(element, Order::Serial, around, made);
            }
            "parallel" => {
                self.scope.check(element, &PARALLEL);
                self.group(element, Order::Parallel, around, made);
            }
            "finally" => self.finally(element, around, made),
            "for" => self.for_loop(element, around, made),
            "include" => self.include(element, around, made),
            "ifin" => self.if_in(element, true, around, made),
            "ifnotin" => self.if_in(element, false, around, made),
            "ifeq" => self.if_equal(element, true, around, made),
            "ifnoteq" => self.if_equal(element, false, around, made),
            _ => {}
        }
    }

    /// Whether the include around leaves this one out.
    fn is_filtered(&mut self, element: &Element, made: &mut Children) -> bool {
        if element.attribute("filter").is_none() {
            return false;
        }
        let Some(filter) = self.scope.attribute(element, "filter") else { return false };
        let is_out = self.excluded.contains(&filter);
        if is_out {
            let what = format!("{} with filter {filter}", element.name);
            made.nodes.push(self.settled(element, what, "left out by the include's exclude".into(), Vec::new()));
        }
        is_out
    }

    fn group(&mut self, element: &Element, order: Order, around: &Around, made: &mut Children) {
        let labels = self.labels(element, &around.labels);
        let mut group = self.empty_group(element, order, labels);
        group.blocker = self.scope.blocker(element).unwrap_or(false);
        group.timeout = self.limit(element);
        group.workers = self.scope.number(element, "workers");
        if group.workers == Some(0) {
            let at = element.place_of("workers");
            self.scope.wrong("no-workers", at, "with no workers nothing in it would ever run", Some("write 1 or more".into()));
            group.workers = Some(1);
        }
        let inside = self.children(element, &around.within(group.labels.clone()));
        (group.nodes, group.finally) = (inside.nodes, inside.finally);
        made.nodes.push(Node::Group(group));
    }

    fn empty_group(&self, element: &Element, order: Order, labels: Labels) -> Group {
        let place = self.place(element);
        let (workers, blocker, timeout, nodes, finally) = (None, false, None, Vec::new(), Vec::new());
        Group { place, order, labels, workers, blocker, timeout, nodes, finally }
    }

    fn finally(&mut self, element: &Element, around: &Around, made: &mut Children) {
        self.scope.check(element, &FINALLY);
        if around.is_cleanup {
            let help = Some("put its steps into the finally block around".to_string());
            self.scope.wrong("finally", element.at, "a finally block in a finally block has nothing to come after", help);
        }
        let labels = self.labels(element, &around.labels);
        let inside = self.children(element, &Around { is_cleanup: true, ..around.within(labels) });
        made.finally.extend(inside.nodes);
        made.finally.extend(inside.finally);
    }

    /// What an element says of itself, over what is inherited. A `tc` is that of the tests directly in it, so it is not inherited.
    pub fn labels(&mut self, element: &Element, around: &Labels) -> Labels {
        let scope = &mut self.scope;
        let mut own = |name: &str| scope.attribute(element, name);
        let (host, guest, group, ttype) = (own("host"), own("guest"), own("group"), own("ttype"));
        let (tc, sku) = (own("tc"), own("sku"));
        let priority = self.scope.number(element, "prio");
        if priority == Some(0) {
            self.scope.wrong("not-a-number", element.place_of("prio"), "`prio`: 1 is the highest priority", None);
        }
        Labels {
            host: host.or_else(|| around.host.clone()),
            guest: guest.or_else(|| around.guest.clone()),
            group: group.or_else(|| around.group.clone()),
            priority: priority.or(around.priority),
            ttype: ttype.or_else(|| around.ttype.clone()),
            tc,
            sku: sku.or_else(|| around.sku.clone()),
        }
    }

    fn settled(&self, element: &Element, what: String, did: String, nodes: Vec<Node>) -> Node {
        Node::Settled(Settled { place: self.place(element), what, did, nodes })
    }

    pub fn place(&self, element: &Element) -> Place {
        element.at.in_file(self.scope.source().file())
    }
}

/// Loops.
impl Reader<'_> {
    fn for_loop(&mut self, element: &Element, around: &Around, made: &mut Children) {
        self.scope.check(element, &FOR);
        let names = self.names(element);
        let what = format!("for {}", names.join(","));
        let (rounds, all) = self.rounds(element, &names);
        let did = shown(&rounds, all);
        let mut nodes = Vec::new();
        for round in rounds {
            if !self.spend(1, element.at) {
                break;
            }
            let params = names.iter().cloned().zip(round).collect();
            let outer = self.scope.set_params(params);
            let mut inside = Children { nodes, finally: std::mem::take(&mut made.finally) };
            self.nodes(&element.children, &around.deeper(), &mut inside);
            (nodes, made.finally) = (inside.nodes, inside.finally);
            self.scope.restore(outer);
        }
        made.nodes.push(self.settled(element, what, did, nodes));
    }

    fn names(&mut self, element: &Element) -> Vec<String> {
        let text = self.scope.required(element, "iter").unwrap_or_default();
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        if let Some((_, name)) = twice {
            self.scope.wrong("iter", element.place_of("iter"), format!("`iter` names `{}` twice", short(name)), None);
        }
        names
    }

    /// The values of each round, and how many rounds there would be without `offset` and `limit`.
    fn rounds(&mut self, element: &Element, names: &[String]) -> (Vec<Vec<String>>, usize) {
        let Some(values) = element.attribute("values") else {
            self.scope.required(element, "values");
            return (Vec::new(), 0);
        };
        let at = values.at;
        let values = self.scope.expanded(&values.value, at);
        let defaults = self.scope.attribute(element, "defaults").unwrap_or_default();
        let defaults: Vec<String> = defaults.split(',').map(|value| value.trim().to_string()).collect();
        // A list that is not known has been told, and is none: its name is no value.
        if names.is_empty() || !values.is_known {
            return (Vec::new(), 0);
        }
        // Before they are made: a list of half a million values is bounded like everything else.
        if !self.spend(values.text.matches(',').count(), at) {
            return (Vec::new(), 0);
        }
        let read = rounds::read(&values.text, names, &defaults);
        for complaint in read.complaints {
            self.scope.wrong(complaint.rule, at, complaint.message, complaint.help);
        }
        let all = read.rounds.len();
        let offset = self.bound(element, "offset").unwrap_or(0);
        let limit = self.bound(element, "limit").unwrap_or(usize::MAX);
        let rounds: Vec<_> = read.rounds.into_iter().skip(offset).take(limit).collect();
        if rounds.is_empty() {
            let message = match all {
                0 => "the list of values is empty, so the loop makes no rounds".to_string(),
                all => format!("`offset` and `limit` leave none of the {all} rounds"),
            };
            self.scope.wrong("empty-loop", at, message, Some("take the loop away, or put it into a condition".into()));
        }
        (rounds, all)
    }

    /// `offset` or `limit`: a number, or `-` for none.
    fn bound(&mut self, element: &Element, name: &str) -> Option<usize> {
        let text = self.scope.attribute(element, name)?;
        if text.trim() == "-" {
            return None;
        }
        self.scope.number(element, name)
    }
}

/// "3 rounds: a, b, c".
fn shown(rounds: &[Vec<String>], all: usize) -> String {
    let count = match (rounds.len(), all) {
        (0, 0) => return "no rounds".to_string(),
        (1, 1) => "1 round".to_string(),
        (some, all) if some == all => format!("{all} rounds"),
        (some, all) => format!("{some} of {all} rounds"),
    };
    let one = |round: &Vec<String>| match round.as_slice() {
        [value] => short(value),
        values => format!("({})", values.iter().map(|v| short(v)).collect::<Vec<_>>().join(", ")),
    };
    let list: Vec<String> = rounds.iter().take(ROUNDS_SHOWN).map(one).collect();
    match rounds.len().saturating_sub(ROUNDS_SHOWN) {
        0 if list.is_empty() => count,
        0 => format!("{count}: {}", list.join(", ")),
        more => format!("{count}: {}, and {more} more", list.join(", ")),
    }
}

/// Conditions.
impl Reader<'_> {
    fn if_in(&mut self, element: &Element, wanted: bool, around: &Around, made: &mut Children) {
        self.scope.check(element, &IN_LIST);
        let Some([item, list]) = self.both(element, ["item", "list"]) else { return };
        let is_in = list.split(',').any(|value| value.trim() == item.trim());
        let did = format!("`{}` is {}in `{}`", short(&item), if is_in { "" } else { "not " }, short(&list));
        self.condition(element, is_in == wanted, &did, around, made);
    }

    fn if_equal(&mut self, element: &Element, wanted: bool, around: &Around, made: &mut Children) {
        self.scope.check(element, &EQUAL);
        let Some([x, y]) = self.both(element, ["x", "y"]) else { return };
        let is_equal = x.trim() == y.trim();
        let did = format!("`{}` is {}`{}`", short(&x), if is_equal { "" } else { "not " }, short(&y));
        self.condition(element, is_equal == wanted, &did, around, made);
    }

    /// Both sides of a condition. They may be empty, but not missing.
    fn both(&mut self, element: &Element, names: [&str; 2]) -> Option<[String; 2]> {
        let [one, other] = names.map(|name| match element.attribute(name) {
            Some(attribute) => Some(self.scope.expand(&attribute.value, attribute.at)),
            None => self.scope.required(element, name),
        });
        Some([one?, other?])
    }

    fn condition(&mut self, element: &Element, holds: bool, did: &str, around: &Around, made: &mut Children) {
        let (what, did) = (element.name.clone(), format!("{}: {did}", if holds { "yes" } else { "no" }));
        let mut inside = Children::default();
        if holds {
            self.nodes(&element.children, &around.deeper(), &mut inside);
        }
        made.finally.extend(inside.finally);
        made.nodes.push(self.settled(element, what, did, inside.nodes));
    }
}

/// Collections.
impl Reader<'_> {
    fn include(&mut self, element: &Element, around: &Around, made: &mut Children) {
        self.scope.check(element, &INCLUDE);
        let Some(name) = self.scope.required(element, "collection") else { return };
        let Some(collection) = self.collection(&name, element) else { return };
        let params = self.params(element);
        let exclude = self.scope.attribute(element, "exclude").unwrap_or_default();
        let exclude: Vec<String> = exclude.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect();
        let with: Vec<String> = params.iter().map(|(name, value)| format!("{}={}", short(name), short(value))).collect();
        let did = if with.is_empty() { "as it is".to_string() } else { format!("with {}", with.join(", ")) };

        let outer = self.scope.set_params(params);
        let before = self.excluded.len();
        self.excluded.extend(exclude);
        self.including.push(name.clone());
        let file = self.scope.set_source(collection.source.clone());
        let inside = self.children(&collection.element, &around.deeper());
        self.scope.set_source(file);
        self.including.pop();
        self.excluded.truncate(before);
        self.scope.restore(outer);

        made.finally.extend(inside.finally);
        made.nodes.push(self.settled(element, format!("include {name}"), did, inside.nodes));
    }

    /// The collection that an include names, unless it would include itself.
    fn collection(&mut self, name: &str, element: &Element) -> Option<Arc<Collection>> {
        let at = element.place_of("collection");
        if self.including.iter().any(|outer| outer == name) {
            let chain = [self.including.join("`, `"), name.to_string()].join("`, `");
            self.stop("include-cycle", at, format!("collections include each other without an end: `{chain}`"), None);
            return None;
        }
        let Some(collection) = self.collections.get_mut(name) else {
            let help = did_you_mean(name, self.collections.keys().map(String::as_str))
                .unwrap_or_else(|| "a collection stands before what includes it".into());
            // In both modes: what would be missing is not known.
            self.scope.fatal("unknown-collection", at, format!("there is no collection `{}`", short(name)), Some(help));
            return None;
        };
        collection.is_used = true;
        Some(collection.collection.clone())
    }

    fn params(&mut self, element: &Element) -> Vec<(String, String)> {
        let mut params = Vec::new();
        for param in element.children.iter().filter(|child| child.name == "param") {
            if !self.spend(1, param.at) {
                break;
            }
            self.scope.check(param, &PARAM);
            let Some(name) = self.scope.required(param, "name") else { continue };
            let Some(value) = self.scope.attribute(param, "value") else {
                let message = format!("the parameter `{}` has no value, and is not set", short(&name));
                self.scope.wrong("empty-value", param.place_of("value"), message, None);
                continue;
            };
            params.push((name, value));
        }
        params
    }
}

impl Reader<'_> {
    fn testcase(&mut self, element: &Element, around: &Around) -> super::tree::Case {
        self.scope.check(element, &case::TESTCASE);
        self.case(element, &around.labels)
    }

    fn marvin(&mut self, element: &Element, around: &Around) -> super::tree::Case {
        self.scope.check(element, &case::MARVIN);
        self.cloud_case(element, &around.labels)
    }
}
