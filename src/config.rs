//! Configuration files: XML, YAML or JSON, whose names are those of variables.
//!
//! ```text
//! <xenrt>                               {"SITE": "cambridge",
//!   <SITE>cambridge</SITE>               "CLIOPTIONS": {"PAUSE_ON_FAIL": {"ALL": true}},
//!   <CLIOPTIONS><PAUSE_ON_FAIL>          "DISTROS": ["debian12", "rocky9"]}
//!     <ALL>yes</ALL>
//!   </PAUSE_ON_FAIL></CLIOPTIONS>
//!   <DISTROS>debian12,rocky9</DISTROS>
//! </xenrt>
//! ```
//!
//! What is in an element (a map) has a path as its name. An element without text sets nothing. A list is a text with commas.

use crate::diagnostic::{At, Diagnostic};
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::sequence::{Mode, Scope, Source, xml, yaml};
use crate::vars::{Layer, Variables};
use std::path::Path;

/// Reads a file into a layer, and tells what is wrong with it. What could be read is set.
///
/// # Errors
/// It cannot be read, is far too large, or is not text.
pub fn read(path: &Path, layer: Layer, variables: &mut Variables) -> Result<Vec<Diagnostic>> {
    let name = path.display().to_string();
    Ok(read_text(&name, &text(path)?, layer, variables))
}

fn text(path: &Path) -> Result<String> {
    let shown = path.display();
    let doing = || format!("read the configuration file `{shown}`");
    let wrong = |what: String| Error::new(Kind::Malformed, what).blame(Blame::User);
    let size = std::fs::metadata(path).at(doing())?.len();
    if size > xml::MOST_BYTES as u64 {
        return Err(wrong(format!("the configuration file `{shown}` has {} MB; {} are taken", size >> 20, xml::MOST_BYTES >> 20)));
    }
    let bytes = std::fs::read(path).at(doing())?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        wrong(format!("the configuration file `{shown}` is not UTF-8 text (byte {at})"))
    })
}

/// Reads the text of a file; what it begins with says what it is. An empty one sets nothing.
pub fn read_text(name: &str, text: &str, layer: Layer, variables: &mut Variables) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    let mut scope = Scope::new(Mode::Strict, Source::new(name, text), variables, &mut found);
    if begin.starts_with('<') {
        match xml::read(name, text) {
            Ok(root) if root.name == "xenrt" => scope.set_variables(&root, layer),
            Ok(root) => {
                let help = Some("configuration is one `<xenrt>…</xenrt>` element".to_string());
                scope.wrong("not-a-configuration", root.at, format!("the top element is `<{}>`", root.name), help);
            }
            Err(diagnostic) => scope.tell(*diagnostic),
        }
        return found;
    }
    match yaml::read(text) {
        Ok(node) => put(&node, None, layer, &mut scope),
        Err(wrong) => {
            let help = Some("a configuration file is XML (`<xenrt>…</xenrt>`), YAML or JSON".to_string());
            scope.wrong("bad-yaml", wrong.at, wrong.what, help);
        }
    }
    found
}

/// Sets a value of a YAML file, and what is in it. The name is nothing at the top.
fn put(node: &yaml::Node, name: Option<(&str, At)>, layer: Layer, scope: &mut Scope<'_>) {
    let text = match (&node.kind, name) {
        (yaml::Kind::Nothing, _) => return,
        (yaml::Kind::Map(entries), _) => {
            for entry in entries {
                let path = name.map_or_else(|| entry.key.clone(), |(above, _)| format!("{above}/{}", entry.key));
                put(&entry.value, Some((&path, entry.at)), layer, scope);
            }
            return;
        }
        (_, None) => {
            let help = Some("write it as {\"NAME\": \"value\"}".to_string());
            scope.wrong("not-a-configuration", node.at, format!("configuration is a map, not {}", node.word()), help);
            return;
        }
        (yaml::Kind::Scalar { text, .. }, _) => Some(text.clone()),
        (yaml::Kind::List(all), _) => all.iter().map(yaml::Node::scalar).collect::<Option<Vec<_>>>().map(|all| all.join(",")),
    };
    let Some((name, at)) = name else { return };
    match text {
        None => scope.wrong("bad-list", node.at, format!("`{name}`: a list is one of plain values"), None),
        Some(text) if text.is_empty() => {}
        Some(text) => scope.set_variable(name, &text, layer, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut variables = Variables::default();
        variables.set(Layer::Flag, "TREE/LEAF", "x").unwrap();
        let found = read_text("c", text, Layer::Site, &mut variables);
        let shown = |name: &str| {
            let all = variables.history(name).filter(|(layer, _)| *layer == Layer::Site);
            all.map(|(_, setting)| format!("{name}={} ({})", setting.value, setting.origin)).collect::<Vec<_>>()
        };
        (variables.names().flat_map(shown).collect(), found.iter().map(Diagnostic::headline).collect())
    }

    #[test]
    fn xml_yaml_and_json_say_the_same() {
        let xml = "<xenrt>\n <A> 1 </A>\n <B><C>x y</C><D/><E>yes</E></B>\n <L>a,b</L>\n</xenrt>";
        let yaml = "\nA: 1\nB: {C: x y, D: ,\n E: yes}\nL: [a, b]\n";
        let json = "{\n\"A\": 1,\n\"B\": {\"C\": \"x y\", \"D\": null, \"E\": \"yes\"},\n\"L\": [\"a\", \"b\"]}";
        let expected = ["A=1 (c:2)", "B/C=x y (c:3)", "B/E=yes (c:3)", "L=a,b (c:4)"];
        assert_eq!(read(xml), (expected.map(String::from).to_vec(), vec![]));
        assert_eq!(read(json), (expected.map(String::from).to_vec(), vec![]));
        let without_lines = |(values, told): (Vec<String>, Vec<String>)| {
            (values.iter().map(|v| v.split(" (").next().unwrap().to_string()).collect::<Vec<_>>(), told)
        };
        assert_eq!(without_lines(read(yaml)), without_lines(read(json)));
        for empty in ["", " \n", "<xenrt/>", "{}", "# nothing\n"] {
            assert_eq!(read(empty), (vec![], vec![]), "{empty}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("<config/>", "c:1:1: error: the top element is `<config>` [not-a-configuration]"),
            ("<xenrt>\n<A b='1'>x</A></xenrt>", "c:2:4: error: `<A>` has no attribute `b` [unknown-attribute]"),
            ("<xenrt>text</xenrt>", "c:1:8: error: text in `<xenrt>` means nothing: \"text\" [stray-text]"),
            ("<xenrt><A>text<B>x</B></A></xenrt>", "c:1:11: error: text in `<A>` means nothing: \"text\" [stray-text]"),
            (
                "<xenrt><A>1</A><A><B>2</B></A></xenrt>",
                "c:1:19: error: cannot set `A/B`: `A` has a value of its own, from c:1 [bad-variable]",
            ),
            (
                "<xenrt>\n<TREE>1</TREE></xenrt>",
                "c:2:1: error: `TREE` is not a value: `TREE/LEAF` is below it, from command line [bad-variable]",
            ),
            ("<xenrt><A></xenrt>", "c:1:11: error: expected `</A>`, but `</xenrt>` was found [malformed]"),
            (
                "<xenrt><PREPARE_WORKER>4</PREPARE_WORKER></xenrt>",
                "c:1:8: warning: nothing reads `PREPARE_WORKER` [unknown-variable]",
            ),
            ("[1]", "c:1:1: error: configuration is a map, not a list [not-a-configuration]"),
            ("text", "c:1:1: error: configuration is a map, not a value [not-a-configuration]"),
            ("A: [[1]]", "c:1:4: error: `A`: a list is one of plain values [bad-list]"),
            ("{\"A b\": 1}", "c:1:2: error: `A b` is no name of a variable: a blank cannot be in it [bad-variable]"),
            ("A: 1\nA: 2", "c:2:1: error: there is a second `A` in this map; the first is in line 1 [bad-yaml]"),
        ] {
            assert_eq!(read(text).1.first().map(String::as_str), Some(expected), "{text}");
        }
    }
}
