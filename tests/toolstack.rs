//! Toolstacks: what the library sends is what XAPI's datamodel has, and each toolstack keeps the contract.

use std::collections::BTreeMap;
use xenrt::toolstack::xapi::calls::METHODS;

/// A message of the datamodel: result, and parameters with their names.
struct Message<'a> {
    result: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

fn datamodel() -> BTreeMap<String, Message<'static>> {
    let mut messages = BTreeMap::new();
    for line in include_str!("../src/sim/datamodel.tsv").lines() {
        let mut columns = line.split('\t');
        if columns.next() != Some("M") {
            continue;
        }
        let (Some(class), Some(name), Some(result)) = (columns.next(), columns.next(), columns.next()) else {
            panic!("a message without its columns: {line}");
        };
        let parameters = columns.next().unwrap_or_default().split_whitespace().map(|p| p.split_once(':').unwrap()).collect();
        messages.insert(format!("{class}.{name}"), Message { result, parameters });
    }
    assert!(messages.len() > 500, "{}", messages.len());
    messages
}

#[test]
fn every_method_that_is_sent_is_in_the_datamodel_with_these_types() {
    let datamodel = datamodel();
    let mut complaints = Vec::new();
    for method in METHODS {
        // Every class has this one, but XAPI's own documents leave it out.
        if let Some(class) = method.name.strip_suffix(".get_all_records_where") {
            let same = &datamodel[&format!("{class}.get_all_records")];
            if (method.parameters, method.result) != (&["string"], same.result) {
                complaints.push(format!("{}: {:?} -> {}", method.name, method.parameters, method.result));
            }
            continue;
        }
        let Some(message) = datamodel.get(method.name) else {
            complaints.push(format!("{}: there is no such method", method.name));
            continue;
        };
        let parameters = &message.parameters[message.parameters.iter().take_while(|p| p.0 == "session_id").count()..];
        let expected: Vec<&str> = parameters.iter().map(|p| p.1).collect();
        let fits =
            expected.starts_with(method.parameters) && parameters[method.parameters.len()..].iter().all(|p| p.0.ends_with('?'));
        if !fits {
            complaints.push(format!("{}: sent {:?}, takes {:?}", method.name, method.parameters, parameters));
        }
        if method.result != message.result {
            complaints.push(format!("{}: expected {}, gives {}", method.name, method.result, message.result));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
