//! What may come next at a place of an input: variables, functions, and what the value before a dot has.

use super::highlight::KEYWORDS;
use super::scan::{Sort as Word, Token, tokens};
use crate::script::{Entry, Manual, Sort, shown_value};
use rhai::{Dynamic, Map, Scope};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Characters of a value beside its name.
const VALUE_SHOWN: usize = 60;

/// Something that may stand in place of a part of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub range: Range<usize>,
    pub text: String,
    /// A signature or a value, and what it does.
    pub about: String,
}

/// The names that exist at a prompt.
pub struct Names<'a> {
    pub manual: &'a Manual,
    pub variables: &'a Scope<'static>,
    /// Functions defined at the prompt: name and parameters.
    pub functions: &'a [(String, Vec<String>)],
    /// Names that imports were given.
    pub modules: &'a [String],
    /// The names of what there is in the lab.
    pub lab: &'a dyn Fn(Thing) -> Vec<String>,
}

/// What in a lab has a name that somebody may type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    Guest,
    Host,
    Network,
    Sr,
    Template,
}

/// Functions whose first argument is a name, and options whose value is one.
const NAMED: &[(&str, Thing)] = &[
    ("guest", Thing::Guest),
    ("host", Thing::Host),
    ("network", Thing::Network),
    ("networks", Thing::Network),
    ("on", Thing::Host),
    ("sr", Thing::Sr),
    ("srs", Thing::Sr),
    ("template", Thing::Template),
];

/// What is known of a value before it exists: itself, or only its type in the manual's words.
enum Known {
    Value(Dynamic),
    Type(String),
}

/// What may stand at byte `at` of the input, sorted by name.
pub fn complete(text: &str, at: usize, names: &Names) -> Vec<Candidate> {
    let Some(head) = text.get(..at) else { return Vec::new() };
    let tokens = tokens(head);
    let (word, before) = match tokens.split_last() {
        Some((last, before)) if last.sort == Word::Word => (last.range.clone(), before),
        Some((Token { sort: Word::Text { closed: false, .. }, range }, before)) => {
            let found = topics(head, range, before, names);
            return if found.is_empty() { inside(head, range, before, names) } else { found };
        }
        Some((Token { sort: Word::Comment { .. } | Word::Number, .. }, _)) => return Vec::new(),
        _ => (at..at, &tokens[..]),
    };
    let prefix = &head[word.clone()];
    let is_called = text[at..].starts_with('(');
    let mut found: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut add = |name: &str, insert: String, about: String| {
        if name.starts_with(prefix) {
            found.entry(name.to_string()).or_insert((insert, about));
        }
    };
    match before_dot(head, before) {
        Some(receiver) => members(type_of(head, receiver, names), names, is_called, &mut add),
        None if ends_with(head, before, &["::"]) => {}
        None => free(names, is_called, prefix.is_empty(), &mut add),
    }
    found.into_values().map(|(text, about)| Candidate { range: word.clone(), text, about }).collect()
}

/// The tokens before a dot, if there is one that reaches into a value.
fn before_dot<'a>(text: &str, tokens: &'a [Token]) -> Option<&'a [Token]> {
    let (dot, before) = tokens.split_last().filter(|(last, _)| &text[last.range.clone()] == ".")?;
    let previous = before.last().map(|t| &text[t.range.clone()]);
    match previous {
        // A range.
        Some(".") => None,
        // `?.`, which is patient with `()`.
        Some("?") if before.last().is_some_and(|t| t.range.end == dot.range.start) => Some(&before[..before.len() - 1]),
        _ => Some(before),
    }
}

fn ends_with(text: &str, tokens: &[Token], ends: &[&str]) -> bool {
    let end = tokens.last().map_or(0, |t| t.range.end);
    ends.iter().any(|e| text[..end].ends_with(e))
}

type Add<'a> = &'a mut dyn FnMut(&str, String, String);

/// Variables, functions that stand alone, and words of the language.
fn free(names: &Names, is_called: bool, is_all: bool, add: Add) {
    for (name, _, value) in names.variables.iter_raw() {
        add(name, name.to_string(), shown_value(value, VALUE_SHOWN));
    }
    for (name, params) in names.functions {
        let insert = call(name, params.is_empty(), is_called);
        add(name, insert, format!("{name}({})", params.join(", ")));
    }
    for module in names.modules {
        add(module, format!("{module}::"), "an imported module".into());
    }
    add("help", call("help", false, is_called), "help(topic)  Shows the manual".into());
    let stands_alone = |e: &&Entry| matches!(e.sort, Sort::Function | Sort::Constant);
    offer(names.manual.entries().iter().filter(stands_alone), is_called, add);
    // Nobody who has typed nothing is looking for `while`.
    for word in KEYWORDS.iter().filter(|_| !is_all) {
        add(word, (*word).to_string(), String::new());
    }
}

/// What a value has: the keys of a map, and what the manual knows of its type.
fn members(of: Option<Known>, names: &Names, is_called: bool, add: Add) {
    let Some(known) = of else { return };
    let kind = match known {
        Known::Type(kind) => kind,
        Known::Value(value) => {
            if let Some(map) = value.read_lock::<Map>() {
                for (key, item) in map.iter().filter(|(key, _)| is_name(key)) {
                    add(key, key.to_string(), shown_value(item, VALUE_SHOWN));
                }
            }
            kind_of(&value)
        }
    };
    let has = |e: &&Entry| matches!(e.sort, Sort::Method | Sort::Property) && e.receiver.as_deref() == Some(kind.as_str());
    offer(names.manual.entries().iter().filter(has), is_called, add);
}

fn offer<'a>(entries: impl Iterator<Item = &'a Entry>, is_called: bool, add: Add) {
    let mut forms: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        forms.entry(&entry.name).or_default().push(entry);
    }
    for (name, forms) in forms {
        let insert = match forms[0].sort {
            Sort::Property | Sort::Constant => name.to_string(),
            _ => call(name, forms.iter().all(|e| e.params.is_empty()), is_called),
        };
        // The form with most parameters tells most.
        let Some(fullest) = forms.iter().max_by_key(|e| e.params.len()) else { continue };
        add(name, insert, format!("{}  {}", fullest.signature(), fullest.summary()));
    }
}

fn call(name: &str, takes_nothing: bool, is_called: bool) -> String {
    match (is_called, takes_nothing) {
        (true, _) => name.to_string(),
        (_, true) => format!("{name}()"),
        (_, false) => format!("{name}("),
    }
}

fn is_name(key: &str) -> bool {
    !key.starts_with(|c: char| c.is_ascii_digit()) && key.chars().all(super::scan::is_word)
}

/// The manual's name for the type of a value.
pub fn kind_of(value: &Dynamic) -> String {
    crate::script::script_type(value.type_name())
}

/// What the expression that these tokens end with is, without evaluating anything: asking a machine is not for a Tab key.
fn type_of(text: &str, tokens: &[Token], names: &Names) -> Option<Known> {
    let (last, before) = tokens.split_last()?;
    let word = &text[last.range.clone()];
    match last.sort {
        Word::Text { closed: true, .. } => Some(Known::Type("text".into())),
        Word::Number => Some(Known::Type(if word.contains('.') { "number" } else { "integer" }.into())),
        Word::Word => match before_dot(text, before) {
            None => Some(Known::Value(names.variables.get(word)?.clone())),
            Some(receiver) => match type_of(text, receiver, names)? {
                Known::Value(value) if value.is_map() => {
                    let inside = value.read_lock::<Map>()?.get(word).cloned();
                    inside.map(Known::Value)
                }
                Known::Value(value) => given(names, Some(&kind_of(&value)), word),
                Known::Type(kind) => given(names, Some(&kind), word),
            },
        },
        Word::Sign if word == ")" => {
            let (name, before) = tokens[..opening(text, tokens)?].split_last()?;
            let name = Some(&text[name.range.clone()]).filter(|_| name.sort == Word::Word)?;
            match before_dot(text, before) {
                None => given(names, None, name),
                Some(receiver) => {
                    let kind = match type_of(text, receiver, names)? {
                        Known::Value(value) => kind_of(&value),
                        Known::Type(kind) => kind,
                    };
                    given(names, Some(&kind), name)
                }
            }
        }
        _ => None,
    }
}

/// What a function, method or property gives, as the manual has it.
fn given(names: &Names, receiver: Option<&str>, name: &str) -> Option<Known> {
    let entry = names.manual.entries().iter().find(|e| e.name == name && e.receiver.as_deref() == receiver)?;
    Some(Known::Type(entry.returns.clone()))
}

/// The index of the bracket that the last token closes.
fn opening(text: &str, tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().rev().filter(|(_, t)| t.sort == Word::Sign) {
        match &text[token.range.clone()] {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// Names of the manual inside `help("…`.
fn topics(text: &str, open: &Range<usize>, before: &[Token], names: &Names) -> Vec<Candidate> {
    let asked: Vec<&str> = before.iter().filter(|t| t.sort != Word::Blank).map(|t| &text[t.range.clone()]).collect();
    if asked != ["help", "("] {
        return Vec::new();
    }
    let range = open.start + 1..open.end;
    let prefix = &text[range.clone()];
    let mut found: BTreeMap<String, String> = names.manual.chapters().iter().map(|c| (c.name.clone(), c.about.clone())).collect();
    for entry in names.manual.entries() {
        found.entry(entry.title()).or_insert_with(|| entry.summary());
    }
    let fits = found.into_iter().filter(|(name, _)| name.starts_with(prefix));
    fits.map(|(text, about)| Candidate { range: range.clone(), text, about }).collect()
}

/// Names of the lab inside `guest("…`, `sr: "…` and the like.
fn inside(text: &str, open: &Range<usize>, before: &[Token], names: &Names) -> Vec<Candidate> {
    let mut words = before.iter().filter(|t| t.sort != Word::Blank).map(|t| &text[t.range.clone()]).rev();
    let mut next = || words.next().unwrap_or_default();
    let word = match next() {
        "(" | ":" => next(),
        "[" if next() == ":" => next(),
        _ => return Vec::new(),
    };
    let Some((_, thing)) = NAMED.iter().find(|(name, _)| *name == word) else { return Vec::new() };
    let range = open.start + 1..open.end;
    let prefix = &text[range.clone()];
    let fits = (names.lab)(*thing).into_iter().filter(|name| name.starts_with(prefix));
    fits.map(|text| Candidate { range: range.clone(), text, about: String::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Scripts;

    fn lab(thing: Thing) -> Vec<String> {
        let names: &[&str] = match thing {
            Thing::Guest => &["guest1", "guest2", "web"],
            Thing::Host => &["host1"],
            Thing::Sr => &["Local storage"],
            _ => &[],
        };
        names.iter().map(|name| (*name).to_string()).collect()
    }

    fn offered(line: &str) -> Vec<String> {
        let manual = Manual::of(&Scripts::new(Vec::new(), None).unwrap()).unwrap();
        let mut variables = Scope::new();
        let map = rhai::Engine::new().eval::<Dynamic>(r#"#{ alpha: 1, also: #{ text: "x" }, "odd key": 2 }"#).unwrap();
        variables.push_dynamic("m", map);
        variables.push("zword", "some text");
        variables.push("list", vec![Dynamic::from(1_i64)]);
        let functions = [("add".to_string(), vec!["a".to_string(), "b".to_string()])];
        let modules = ["disk".to_string()];
        let names = Names { manual: &manual, variables: &variables, functions: &functions, modules: &modules, lab: &lab };
        let at = line.find('|').unwrap();
        let text = line.replacen('|', "", 1);
        complete(&text, at, &names).into_iter().map(|c| format!("{}{}", &text[..c.range.start], c.text)).collect()
    }

    #[test]
    fn what_fits_is_offered() {
        for (line, expected) in [
            ("eventu|", "eventually("),
            ("ad|", "add("),
            ("ad|(1", "add"),
            ("zwor|", "zword"),
            ("let x = zwor|", "let x = zword"),
            ("dis|", "disk::"),
            ("whi|", "while"),
            ("m.al|", "m.alpha m.also"),
            ("m.also.te|", "m.also.text"),
            ("m.also.text.to_upp|", "m.also.text.to_upper()"),
            ("m?.alp|", "m?.alpha"),
            ("zword.to_upp|", "zword.to_upper()"),
            ("\"a\".to_upp|", "\"a\".to_upper()"),
            ("zword.to_upper().to_low|", "zword.to_upper().to_lower()"),
            ("print(zword.to_upp|", "print(zword.to_upper()"),
            ("now().to_in|", "now().to_int()"),
            ("list.pus|", "list.push("),
            ("help(\"result.f|", ""),
            ("help(\"eventu|", "help(\"eventually"),
            ("\"eventu|", ""),
            ("guest(\"gu|", "guest(\"guest1 guest(\"guest2"),
            ("host().guest( \"w|", "host().guest( \"web"),
            ("guest(\"nobody|", ""),
            ("vm.start(#{ on: \"h|", "vm.start(#{ on: \"host1"),
            ("enable_ha(#{ srs: [\"L|", "enable_ha(#{ srs: [\"Local storage"),
            ("log(\"gu|", ""),
            ("// eventu|", ""),
            ("nothing.to_upp|", ""),
            ("0..zwor|", "0..zword"),
            ("größe.to|", ""),
            ("12|", ""),
            ("disk::|", ""),
        ] {
            assert_eq!(offered(line).join(" "), expected, "{line}");
        }
        assert!(offered("|").len() > 20);
        assert!(!offered("|").contains(&"while".to_string()));
        assert!(offered("m.|").contains(&"m.keys()".to_string()), "{:?}", offered("m.|"));
    }

    #[test]
    fn what_is_offered_says_what_it_is() {
        let manual = Manual::of(&Scripts::new(Vec::new(), None).unwrap()).unwrap();
        let names = Names { manual: &manual, variables: &Scope::new(), functions: &[], modules: &[], lab: &lab };
        let about = |text: &str| complete(text, text.len(), &names)[0].about.clone();
        assert_eq!(
            about("eventu"),
            "eventually(options: map, holds: closure) -> number  Looks again and again until a closure gives true; gives the seconds it took."
        );
    }
}
