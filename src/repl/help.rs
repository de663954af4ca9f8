//! `help()` and `help("guest.exec")`: the manual at the prompt.

use crate::script::{Entry, Manual, Sort};

/// What stands at the end of every list of topics.
const KEYS: &str = "\
Keys: Tab completes, Ctrl-R searches the history, Alt-Enter begins a new line, Ctrl-C clears the line or stops what runs,
Ctrl-D (or `quit`) runs the clean-ups and leaves. An input that begins with a blank is not kept in the history.
The value of the last input is `last`.
";

/// The text for a topic, ended by a newline; an empty one means everything.
pub fn text(manual: &Manual, topic: &str) -> String {
    if topic.is_empty() {
        return topics(manual);
    }
    let found = manual.find(topic);
    if !found.is_empty() {
        return entries(&found);
    }
    // A chapter, or a type such as `guest` or `text`.
    let belongs =
        |e: &&Entry| e.chapter.eq_ignore_ascii_case(topic) || e.receiver.as_deref().is_some_and(|r| r.eq_ignore_ascii_case(topic));
    let listed: Vec<&Entry> = manual.entries().iter().filter(belongs).collect();
    if listed.is_empty() {
        let near = manual.did_you_mean(topic).unwrap_or_else(|| "help() lists what there is".into());
        return format!("no help on `{topic}`: {near}\n");
    }
    let about = manual.chapters().iter().find(|c| c.name.eq_ignore_ascii_case(topic)).map(|c| format!("{}\n\n", c.about));
    format!("{}{}\nhelp(\"{}\") says more.\n", about.unwrap_or_default(), list(&listed), listed[0].title())
}

fn topics(manual: &Manual) -> String {
    let width = manual.chapters().iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut text = String::from("help(\"TOPIC\") shows one of:\n\n");
    for chapter in manual.chapters() {
        text.push_str(&format!("  {:<width$}  {}\n", chapter.name, chapter.about));
    }
    text.push_str("\nor anything in them: help(\"eventually\"), help(\"guest.exec\"), help(vm.exec).\n\n");
    text.push_str(KEYS);
    text
}

/// One line for each name.
fn list(entries: &[&Entry]) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let name = entry.title();
        // Forms of one name stand one after the other.
        if rows.last().is_none_or(|(last, _)| *last != name) {
            rows.push((name, entry.summary()));
        }
    }
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, summary)| format!("  {name:<width$}  {summary}").trim_end().to_string() + "\n").collect()
}

fn entries(found: &[&Entry]) -> String {
    let mut text = String::new();
    for entry in found {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}\n", entry.signature()));
        for line in entry.docs.lines() {
            text.push_str(format!("    {line}").trim_end());
            text.push('\n');
        }
        for line in entry.examples.iter().flat_map(|e| e.lines()) {
            text.push_str(format!("      {line}").trim_end());
            text.push('\n');
        }
        if entry.sort == Sort::Constant && entry.docs.is_empty() {
            text.push_str(&format!("    A constant of the chapter {}.\n", entry.chapter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Scripts;

    #[test]
    fn help_is_found_by_every_name_of_a_thing() {
        let manual = Manual::of(&Scripts::new(Vec::new(), None).unwrap()).unwrap();
        for (topic, expected) in [
            ("", "  flow"),
            ("", "Ctrl-D"),
            ("flow", "  eventually"),
            ("flow", "help(\"defer\") says more."),
            ("eventually", "eventually(holds: closure) -> number\n    Looks again"),
            ("eventually", "\n      let n = 0;"),
            ("step()", "step(name: text, body: closure)"),
            ("text.to_upper", "text.to_upper() -> text"),
            ("text", "  text.to_upper"),
            ("GIB", "GIB = 1073741824"),
            ("eventualy", "no help on `eventualy`: did you mean `eventually`?"),
        ] {
            let shown = text(&manual, topic);
            assert!(shown.contains(expected), "{topic}: {shown}");
        }
    }
}
