//! The top of a sequence file: read once from its beginning to its end, so what is used stands before its user.

use super::expand::NODES;
use super::load::{File, Library};
use super::scope::{Form, Mode, Scope, short};
use super::source::Source;
use super::topology;
use super::tree::{Scheduler, ScriptText, Sequence, Window};
use super::xml::{self, Element};
use crate::diagnostic::{At, Diagnostic};
use crate::vars::{Layer, Variables};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Elements, arguments and rounds that are looked at, all loops and includes together. The largest real sequence has some thousand.
const MOST_STEPS: usize = 200_000;
/// Files that include each other.
const DEEPEST_FILE: usize = 16;
/// Bytes of all files together.
const MOST_BYTES: usize = 2 * xml::MOST_BYTES;

const TOP: &[&str] = &[
    "variables",
    "default",
    "semaphores",
    "preprepare",
    "prepare",
    "collection",
    "testsequence",
    "include",
    "script",
    "perfcheck",
    "scheduler",
];
/// What of an included file counts.
const INCLUDED: &[&str] = &["variables", "default", "semaphores", "collection", "include"];

const ROOT: Form = Form { attributes: &[], children: None, text: false };
const DEFAULT: Form = Form { attributes: &["name", "value"], children: Some(&[]), text: false };
const SEMAPHORES: Form = Form { attributes: &[], children: None, text: false };
const SEMAPHORE: Form = Form { attributes: &["count"], children: Some(&[]), text: false };
const COLLECTION: Form = Form { attributes: &["name"], children: Some(NODES), text: false };
const FILE: Form = Form { attributes: &["filename"], children: Some(&[]), text: false };
const SCRIPT: Form = Form { attributes: &["filename", "type"], children: Some(&[]), text: false };
const PERFCHECK: Form = Form { attributes: &[], children: Some(&["limits"]), text: false };
const LIMITS: Form = Form { attributes: &[], children: Some(&["testcase"]), text: false };
const LIMITED: Form = Form { attributes: &["name"], children: Some(&["metric"]), text: false };
const METRIC: Form = Form { attributes: &["name", "min", "max"], children: Some(&[]), text: false };
const SCHEDULER: Form = Form { attributes: &[], children: None, text: false };
const SCHEDULED: Form = Form { attributes: &[], children: Some(&[]), text: true };

/// Nodes that can be included, and the file that they stand in.
pub struct Collection {
    pub element: Element,
    pub source: Source,
}

pub struct Known {
    pub collection: Arc<Collection>,
    pub is_used: bool,
    /// Not from an included file, of which nobody has to use everything.
    is_own: bool,
}

/// A sequence that is being read.
pub struct Reader<'a> {
    pub scope: Scope<'a>,
    pub sequence: Sequence,
    pub collections: BTreeMap<String, Known>,
    /// Names of the collections that are being included, the outermost first.
    pub including: Vec<String>,
    /// What includes around leave out.
    pub excluded: Vec<String>,
    library: &'a Library,
    /// The files that are being read, the sequence first.
    files: Vec<File>,
    bytes: usize,
    steps: usize,
    is_stopped: bool,
}

/// Reads the text of a sequence file.
pub fn read(
    library: &Library,
    file: File,
    text: &str,
    mode: Mode,
    variables: &mut Variables,
    found: &mut Vec<Diagnostic>,
) -> Sequence {
    let name = file.to_string();
    let source = Source::new(name.clone(), text);
    let mut sequence = Sequence { name: file.stem(), file: name.clone(), ..Sequence::default() };
    sequence.texts.insert(name.clone(), source.text().clone());
    let root = match xml::read(&name, text) {
        Ok(root) => root,
        Err(diagnostic) => {
            found.push(*diagnostic);
            return sequence;
        }
    };
    let mut reader = Reader {
        scope: Scope::new(mode, source, variables, found),
        sequence,
        collections: BTreeMap::new(),
        including: Vec::new(),
        excluded: Vec::new(),
        library,
        files: vec![file],
        bytes: text.len(),
        steps: 0,
        is_stopped: false,
    };
    reader.top(root);
    reader.sequence
}

impl Reader<'_> {
    fn top(&mut self, root: Element) {
        if !self.is_root(&root) {
            return;
        }
        let name = self.sequence.name.clone();
        self.scope.set_variable("SEQUENCE_NAME", &name, Layer::Sequence, root.at);
        for element in root.children {
            if self.is_stopped {
                return;
            }
            self.element(element);
        }
        self.finish(root.at);
    }

    fn is_root(&mut self, root: &Element) -> bool {
        let is_root = root.name == "xenrt";
        if is_root {
            self.scope.check(root, &ROOT);
        } else {
            let help = Some("a sequence is one `<xenrt>…</xenrt>` element".to_string());
            self.scope.fatal("not-a-sequence", root.at, format!("the top element is `<{}>`", short(&root.name)), help);
        }
        is_root
    }

    fn element(&mut self, element: Element) {
        match element.name.as_str() {
            "preprepare" => {
                let topology = topology::read(&element, &self.sequence.scripts, &mut self.scope);
                self.once(&element, self.sequence.preprepare.is_some());
                self.sequence.preprepare = Some(topology);
            }
            "prepare" => {
                let topology = topology::read(&element, &self.sequence.scripts, &mut self.scope);
                self.once(&element, self.sequence.prepare.is_some());
                self.sequence.prepare = Some(topology);
            }
            "testsequence" => self.testsequence(&element),
            "script" => self.script(&element),
            "perfcheck" => self.perfcheck(&element),
            "scheduler" => self.scheduler(&element),
            name if NODES.contains(&name) && name != "include" => {
                let message = format!("`<{name}>` directly in `<xenrt>` never runs");
                self.scope.wrong("never-runs", element.at, message, Some("put it into `<testsequence>`".into()));
            }
            name if !TOP.contains(&name) => {
                let help = crate::name::did_you_mean(name, TOP.iter().copied());
                self.scope.wrong("unknown-element", element.at, format!("there is no `<{}>` in `<xenrt>`", short(name)), help);
            }
            _ => self.shared(element),
        }
    }

    /// What counts in an included file too.
    fn shared(&mut self, element: Element) {
        match element.name.as_str() {
            "variables" => self.scope.set_variables(&element, Layer::Sequence),
            "default" => self.default(&element),
            "semaphores" => self.semaphores(&element),
            "collection" => self.define(element),
            "include" => self.include_file(&element),
            _ => {}
        }
    }

    /// Tells a second one of what there can be only one of.
    fn once(&mut self, element: &Element, is_second: bool) {
        if is_second {
            let message = format!("this `<{}>` replaces the one before", element.name);
            self.scope.wrong("duplicate-element", element.at, message, Some("put both into one".into()));
        }
    }

    /// What can only be said of a sequence as a whole.
    fn finish(&mut self, at: At) {
        if self.sequence.preprepare.is_none() {
            let containers = self.sequence.prepare.as_ref().and_then(|prepare| prepare.containers(self.scope.variables));
            self.sequence.preprepare = containers;
        }
        for (name, known) in &self.collections {
            if known.is_own && !known.is_used {
                let at = known.collection.element.at;
                self.scope.warn("unused-collection", at, format!("nothing includes the collection `{}`", short(name)), None);
            }
        }
        let is_without_tests = match &self.sequence.root {
            Some(root) => !has_step(&root.nodes),
            None => self.sequence.prepare.is_none() && self.sequence.preprepare.is_none(),
        };
        if is_without_tests && !self.is_stopped {
            let at = self.sequence.root.as_ref().map_or(at, |root| At { line: root.place.line, column: root.place.column });
            self.scope.wrong("no-tests", at, "there is nothing to run in it", None);
        }
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        self.scope.variables.lookup(name).ok().flatten().filter(|value| !value.is_empty())
    }

    /// Counts what is looked at. Behind the limit nothing more is.
    pub fn spend(&mut self, steps: usize, at: At) -> bool {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS {
            let help = Some("make fewer rounds, or split the sequence".to_string());
            self.stop("too-large", at, format!("its loops and includes come to more than {MOST_STEPS} steps"), help);
        }
        !self.is_stopped && !self.scope.is_exhausted()
    }

    /// Tells what makes reading on senseless. Told once: what follows from it would only hide it.
    pub fn stop(&mut self, rule: &'static str, at: At, message: String, help: Option<String>) {
        if !self.is_stopped {
            self.scope.fatal(rule, at, message, help);
        }
        self.is_stopped = true;
    }
}

fn has_step(nodes: &[super::tree::Node]) -> bool {
    use super::tree::Node;
    nodes.iter().any(|node| match node {
        Node::Case(_) | Node::Action(_) => true,
        Node::Group(group) => has_step(&group.nodes),
        Node::Settled(settled) => has_step(&settled.nodes),
    })
}

/// Values and collections.
impl Reader<'_> {
    /// `<default>`. One that a sequence writes is also a variable; one of an included file is only a parameter, and gives way to what the
    /// sequence says.
    fn default(&mut self, element: &Element) {
        self.scope.check(element, &DEFAULT);
        let Some(name) = element.attribute("name").filter(|name| !name.value.is_empty()) else {
            self.scope.required(element, "name");
            return;
        };
        let Some(value) = element.attribute("value") else {
            self.scope.required(element, "value");
            return;
        };
        if self.files.len() > 1 {
            let text = self.scope.expand(&value.value, value.at);
            let known = self.variable(&name.value);
            self.scope.set_param(&name.value, known.unwrap_or(text));
            return;
        }
        if self.scope.variables.history(&name.value).any(|(layer, _)| layer == Layer::Default) {
            let message = format!("`{}` has a default already, which stands", short(&name.value));
            self.scope.wrong("duplicate-default", name.at, message, None);
            return;
        }
        self.scope.set_default(&name.value, &value.value, name.at);
    }

    fn semaphores(&mut self, element: &Element) {
        self.scope.check(element, &SEMAPHORES);
        for child in &element.children {
            self.scope.check(child, &SEMAPHORE);
            let mut count = self.scope.number(child, "count").unwrap_or(1);
            if count == 0 {
                let message = format!("with a count of 0 no `{}` would ever run", short(&child.name));
                self.scope.wrong("no-workers", child.place_of("count"), message, Some("write 1 or more".into()));
                count = 1;
            }
            self.sequence.semaphores.insert(child.name.to_lowercase(), count);
        }
    }

    fn define(&mut self, element: Element) {
        self.scope.check(&element, &COLLECTION);
        let Some(name) = self.scope.required(&element, "name") else { return };
        let at = element.place_of("name");
        let collection = Arc::new(Collection { element, source: self.scope.source().clone() });
        let known = Known { collection, is_used: false, is_own: self.files.len() == 1 };
        if self.collections.insert(name.clone(), known).is_some() {
            let message = format!("this collection `{}` replaces the one before", short(&name));
            self.scope.wrong("duplicate-element", at, message, Some("give it another name".into()));
        }
    }
}

/// Other files.
impl Reader<'_> {
    fn include_file(&mut self, element: &Element) {
        self.scope.check(element, &FILE);
        let Some((file, text)) = self.other_file(element) else { return };
        let name = file.to_string();
        let at = element.place_of("filename");
        if self.files.contains(&file) {
            let chain: Vec<String> = self.files.iter().chain([&file]).map(File::to_string).collect();
            return self.stop("include-cycle", at, format!("files include each other without an end: {}", chain.join(", ")), None);
        }
        if self.files.len() >= DEEPEST_FILE {
            return self.stop("include-depth", at, format!("files include each other more than {DEEPEST_FILE} deep"), None);
        }
        let source = Source::new(name.clone(), text);
        let root = match xml::read(&name, source.text()) {
            Ok(root) => root,
            Err(diagnostic) => return self.scope.tell(*diagnostic),
        };
        self.sequence.texts.insert(name, source.text().clone());
        self.files.push(file);
        let outer = self.scope.set_source(source);
        if self.is_root(&root) {
            for child in root.children {
                if !INCLUDED.contains(&child.name.as_str()) {
                    let help = Some(format!("of an included file count: {}", INCLUDED.join(", ")));
                    let message = format!("`<{}>` in an included file means nothing", short(&child.name));
                    self.scope.wrong("not-included", child.at, message, help);
                }
                self.shared(child);
            }
        }
        self.scope.set_source(outer);
        self.files.pop();
    }

    fn script(&mut self, element: &Element) {
        self.scope.check(element, &SCRIPT);
        let language = self.scope.attribute(element, "type").unwrap_or_else(|| "cmd".into());
        if !["cmd", "vbs"].contains(&language.as_str()) {
            let help = Some("there is: cmd, vbs".to_string());
            let message = format!("`{}` is no type of script", short(&language));
            self.scope.wrong("script-type", element.place_of("type"), message, help);
        }
        let name = self.scope.attribute(element, "filename").unwrap_or_default();
        if let Some((_, text)) = self.other_file(element) {
            self.sequence.scripts.insert(name, ScriptText { language, text });
        }
    }

    /// The file that `filename` names, and its text.
    fn other_file(&mut self, element: &Element) -> Option<(File, String)> {
        let name = self.scope.required(element, "filename")?;
        let at = element.place_of("filename");
        let from = self.files.last()?;
        let read = self.library.find_beside(from, &name).and_then(|file| {
            let text = file.read(MOST_BYTES.saturating_sub(self.bytes))?;
            Ok((file, text))
        });
        match read {
            Ok((file, text)) => {
                self.bytes += text.len();
                Some((file, text))
            }
            Err(error) => {
                // In both modes: what would be missing is not known.
                self.scope.fatal("unreadable-file", at, error.what, error.help);
                None
            }
        }
    }
}

/// What is said about measured values and about submitting.
impl Reader<'_> {
    fn perfcheck(&mut self, element: &Element) {
        self.scope.check(element, &PERFCHECK);
        for limits in element.children.iter().filter(|child| child.name == "limits") {
            self.scope.check(limits, &LIMITS);
            for limited in limits.children.iter().filter(|child| child.name == "testcase") {
                self.scope.check(limited, &LIMITED);
                let Some(testcase) = self.scope.required(limited, "name") else { continue };
                for metric in limited.children.iter().filter(|child| child.name == "metric") {
                    self.window(metric, &testcase);
                }
            }
        }
    }

    fn window(&mut self, element: &Element, testcase: &str) {
        self.scope.check(element, &METRIC);
        let Some(metric) = self.scope.required(element, "name") else { return };
        let (least, most) = (self.scope.decimal(element, "min"), self.scope.decimal(element, "max"));
        let is_empty = matches!((least, most), (Some(least), Some(most)) if least > most);
        if is_empty || least.is_none() && most.is_none() {
            let message = format!("no value of `{}` can be outside of this window, or none inside", short(&metric));
            self.scope.wrong("window", element.at, message, Some("write min, max or both, the smaller one as min".into()));
        }
        self.sequence.windows.push(Window { testcase: testcase.to_string(), metric, least, most });
    }

    fn scheduler(&mut self, element: &Element) {
        self.scope.check(element, &SCHEDULER);
        let mut scheduler = std::mem::take(&mut self.sequence.scheduler);
        for child in &element.children {
            self.scope.check(child, &SCHEDULED);
            let text = self.scope.text(child);
            self.scheduled(&mut scheduler, child, text);
        }
        self.sequence.scheduler = scheduler;
    }

    fn scheduled(&mut self, scheduler: &mut Scheduler, element: &Element, text: String) {
        match element.name.as_str() {
            "flags" => scheduler.flags.push(text),
            "pool" => scheduler.pools.push(text),
            "delay" => scheduler.delay = Some(text),
            "param" => match text.split_once('=') {
                Some((name, value)) => scheduler.params.push((name.trim().to_string(), value.trim().to_string())),
                None => {
                    let help = Some("write NAME=VALUE".to_string());
                    self.scope.wrong("scheduler", element.text_at, format!("`{}` is no parameter", short(&text)), help);
                }
            },
            // `resources1` is what the second machine needs.
            name if name.strip_prefix("resources").is_some_and(|n| n.chars().all(|c| c.is_ascii_digit())) => {
                scheduler.resources.push(match name {
                    "resources" => text,
                    name => format!("{}: {text}", &name["resources".len()..]),
                });
            }
            name => {
                let help = crate::name::did_you_mean(name, ["resources", "resources1", "flags", "pool", "param", "delay"]);
                self.scope.wrong("unknown-element", element.at, format!("there is no `<{}>` in `<scheduler>`", short(name)), help);
            }
        }
    }
}
