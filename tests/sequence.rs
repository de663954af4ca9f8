//! What sequence files say: the tree that each construct makes, what is wrong with a file, and files that mean harm.

use std::fmt::Write as _;
use xenrt::event::Order;
use xenrt::sequence::{Action, Case, Group, Labels, Library, Loaded, Mode, Node, load, sequences_below};
use xenrt::vars::{Layer, Variables};

/// Reads a text in strict mode with these variables from the command line.
fn read(text: &str, flags: &[(&str, &str)], mode: Mode) -> Loaded {
    let mut variables = Variables::default();
    for (name, value) in flags {
        variables.set(Layer::Flag, name, *value).unwrap();
    }
    Library::default().load_text("t.seq", text, variables, mode)
}

/// What was told: `line:column: severity: message [rule]` with its help.
fn told(loaded: &Loaded) -> Vec<String> {
    let line = |d: &xenrt::diagnostic::Diagnostic| {
        let help = d.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
        format!("{}{help}", d.headline().strip_prefix("t.seq:").unwrap_or(&d.headline()))
    };
    loaded.diagnostics.iter().map(line).collect()
}

/// The tree as text, a line a node.
fn tree(loaded: &Loaded) -> String {
    let mut out = String::new();
    if let Some(root) = &loaded.sequence.root {
        group(&mut out, "", root);
    }
    out
}

fn nodes(out: &mut String, indent: &str, all: &[Node]) {
    for node in all {
        match node {
            Node::Group(inner) => group(out, indent, inner),
            Node::Case(inner) => case(out, indent, inner),
            Node::Action(Action::Prepare { .. }) => writeln!(out, "{indent}prepare").unwrap(),
            Node::Action(Action::Sleep { duration, .. }) => writeln!(out, "{indent}sleep {duration:?}").unwrap(),
            Node::Settled(settled) => {
                writeln!(out, "{indent}({}: {})", settled.what, settled.did).unwrap();
                nodes(out, &format!("{indent}  "), &settled.nodes);
            }
        }
    }
}

fn group(out: &mut String, indent: &str, group: &Group) {
    let order = if group.order == Order::Serial { "serial" } else { "parallel" };
    let mut line = format!("{order}{}", labels(&group.labels));
    line += &group.workers.map_or(String::new(), |workers| format!(" workers={workers}"));
    line += if group.blocker { " blocker" } else { "" };
    line += &group.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    writeln!(out, "{indent}{line}").unwrap();
    nodes(out, &format!("{indent}  "), &group.nodes);
    if !group.finally.is_empty() {
        writeln!(out, "{indent}  finally").unwrap();
        nodes(out, &format!("{indent}    "), &group.finally);
    }
}

fn case(out: &mut String, indent: &str, case: &Case) {
    let mut line = case.id.clone();
    line += &case.name.as_ref().map_or(String::new(), |name| format!(" name={name}"));
    line += &labels(&case.labels);
    line += &case.blocker.map_or(String::new(), |blocker| format!(" blocker={blocker}"));
    line += &case.timeout.map_or(String::new(), |timeout| format!(" timeout={timeout:?}"));
    line += &case.retries.map_or(String::new(), |retries| format!(" retries={retries}"));
    for depends in &case.depends {
        line += &format!(" after={}:{}", depends.group, depends.name);
    }
    if let Some(marvin) = &case.marvin {
        line += &format!(" marvin={} {} {}", marvin.path, marvin.class, marvin.tags);
    }
    if !case.args.is_empty() {
        line += &format!(" [{}]", case.args.iter().map(|arg| arg.text.as_str()).collect::<Vec<_>>().join(", "));
    }
    writeln!(out, "{indent}{line}").unwrap();
}

fn labels(labels: &Labels) -> String {
    let priority = labels.priority.map(|priority| priority.to_string());
    let all = [
        ("group", &labels.group),
        ("host", &labels.host),
        ("guest", &labels.guest),
        ("prio", &priority),
        ("ttype", &labels.ttype),
        ("tc", &labels.tc),
        ("sku", &labels.sku),
    ];
    all.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!(" {name}={value}"))).collect()
}

#[test]
fn the_sequences_that_come_with_the_program_load() {
    let all = sequences_below(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sequences"))).unwrap();
    assert!(all.len() >= 5, "{all:?}");
    for path in all {
        let loaded = load(&Library::default(), path.to_str().unwrap(), Variables::default(), Mode::Strict).unwrap();
        assert_eq!(loaded.diagnostics, [], "{}", path.display());
        let name = format!("builtin:{}", path.file_name().unwrap().to_str().unwrap());
        let built_in = load(&Library::default(), &name, Variables::default(), Mode::Strict).unwrap();
        assert_eq!(tree(&built_in), tree(&loaded), "{name}");
    }
}

#[test]
fn a_group_says_what_its_tests_inherit() {
    let text = r#"<xenrt><testsequence group="g" prio="2"><testcase id="a.B"/></testsequence></xenrt>"#;
    let loaded = read(text, &[], Mode::Strict);
    assert_eq!(tree(&loaded), "serial group=g prio=2\n  a.B group=g prio=2\n");
    assert_eq!(told(&loaded), [""; 0]);
}
