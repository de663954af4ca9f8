//! Sequence files of any content are read in bounded time and memory, without a panic, and what is told of them makes sense. The same
//! as `fuzz/fuzz_targets/sequence.rs`, from seeds that a person can read.

use proptest::prelude::*;
use xenrt::diagnostic::Severity;
use xenrt::event::Place;
use xenrt::sequence::{Action, Group, Library, Loaded, Mode, Node};
use xenrt::vars::Variables;

/// What is changed: the sequences that come with the program.
const SEEDS: [&str; 5] = [
    include_str!("../sequences/constructs.seq"),
    include_str!("../sequences/provision.seq"),
    include_str!("../sequences/benchmarks.seq"),
    include_str!("../sequences/guestops.seq"),
    include_str!("../sequences/smoke.seq"),
];

/// What is put in.
const WORDS: [&str; 32] = [
    "<",
    ">",
    "/>",
    "</",
    "\"",
    "'",
    "&",
    "&#0;",
    "&lt;",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<?",
    "<!DOCTYPE x [",
    "${",
    "}",
    "${PAUSE}",
    "%",
    "%%",
    "%SIZES:SMALL%",
    "-",
    ",",
    "(",
    "((a),",
    "0",
    "99999999999999999999",
    "\u{0}",
    "\u{e9}",
    "<for iter=\"A\" values=\"1,2,3\">",
    "<include collection=\"look\"/>",
    "<finally>",
];

/// What an attribute's value becomes, so that the file is still XML.
const VALUES: [&str; 18] = [
    "",
    "-",
    "0",
    "1",
    "-1",
    "yes",
    "maybe",
    "18446744073709551616",
    "1e999",
    "${",
    "${NAME}",
    "%DISTROS%",
    "(a,b),(c",
    ",,",
    "look",
    "shared",
    "a:b,",
    "${PAIRS}${PAIRS}",
];

/// A change of a text: where, as a part of its length, and what.
#[derive(Clone, Debug)]
enum Change {
    Insert(f64, usize),
    Remove(f64, usize),
    /// A piece of it again somewhere else.
    Repeat(f64, f64, usize),
    Cut(f64),
    /// Another value of the next attribute.
    Value(f64, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0.0..1.0, 0..WORDS.len()).prop_map(|(at, word)| Change::Insert(at, word)),
        4 => (0.0..1.0, 1..40_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        3 => (0.0..1.0, 0.0..1.0, 1..400_usize).prop_map(|(from, to, length)| Change::Repeat(from, to, length)),
        1 => (0.3..1.0).prop_map(Change::Cut),
        12 => (0.0..1.0, 0..VALUES.len()).prop_map(|(at, value)| Change::Value(at, value)),
    ]
}

fn apply(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for change in changes {
        let place = |at: f64| (at * chars.len() as f64) as usize;
        match *change {
            Change::Insert(at, word) => {
                let at = place(at);
                chars.splice(at..at, WORDS[word].chars());
            }
            Change::Remove(at, length) => {
                let at = place(at);
                chars.drain(at..(at + length).min(chars.len()));
            }
            Change::Repeat(from, to, length) => {
                let (from, to) = (place(from), place(to));
                let piece: Vec<char> = chars[from..(from + length).min(chars.len())].to_vec();
                chars.splice(to..to, piece);
            }
            Change::Cut(at) => chars.truncate(place(at)),
            Change::Value(at, value) => {
                let at = place(at);
                let Some(open) = chars[at..].windows(2).position(|pair| pair == ['=', '"']).map(|from| at + from + 2) else {
                    continue;
                };
                let Some(length) = chars[open..].iter().position(|c| *c == '"') else { continue };
                chars.splice(open..open + length, VALUES[value].chars());
            }
        }
    }
    chars.into_iter().collect()
}

/// What holds of every text.
fn check(text: &str) -> Result<(), TestCaseError> {
    let read = |mode| Library::default().load_text("sequences/any.seq", text, Variables::default(), mode);
    let (strict, lenient) = (read(Mode::Strict), read(Mode::Lenient));
    for loaded in [&strict, &lenient] {
        prop_assert!(loaded.diagnostics.len() < 600);
        for diagnostic in &loaded.diagnostics {
            prop_assert!(is_in(text, &diagnostic.place), "{}", diagnostic.headline());
        }
        let mut places = Vec::new();
        if let Some(root) = &loaded.sequence.root {
            of_group(root, &mut places);
        }
        for place in places {
            prop_assert!(is_in(text, place), "{}", place);
        }
    }
    // Both read the same, and judge it otherwise.
    let said = |loaded: &Loaded| loaded.diagnostics.iter().map(|d| (d.rule, d.message.clone())).collect::<Vec<_>>();
    prop_assert_eq!(said(&strict), said(&lenient));
    prop_assert_eq!(format!("{:?}", strict.sequence.root), format!("{:?}", lenient.sequence.root));
    let errors = |loaded: &Loaded| loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    prop_assert!(errors(&strict) >= errors(&lenient));
    Ok(())
}

/// Whether a place is one of the text, or of a file that it includes.
fn is_in(text: &str, place: &Place) -> bool {
    if place.file != "sequences/any.seq" || place.line == 0 {
        return !place.file.is_empty();
    }
    let line = text.split('\n').nth(place.line - 1);
    line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&place.column))
}

fn of_group<'s>(group: &'s Group, places: &mut Vec<&'s Place>) {
    places.push(&group.place);
    of_nodes(&group.nodes, places);
    of_nodes(&group.finally, places);
}

fn of_nodes<'s>(nodes: &'s [Node], places: &mut Vec<&'s Place>) {
    for node in nodes {
        match node {
            Node::Group(group) => of_group(group, places),
            Node::Case(case) => {
                places.push(&case.place);
                places.extend(case.args.iter().map(|arg| &arg.place));
                places.extend(case.depends.iter().map(|depends| &depends.place));
            }
            Node::Action(Action::Prepare { place } | Action::Sleep { place, .. }) => places.push(place),
            Node::Settled(settled) => {
                places.push(&settled.place);
                of_nodes(&settled.nodes, places);
            }
        }
    }
}

#[test]
fn what_is_changed_at_random_is_really_changed() {
    for seed in SEEDS {
        assert_eq!(apply(seed, &[]), seed);
        check(seed).unwrap();
    }
    let changes = [Change::Insert(0.0, 0), Change::Remove(0.5, 2), Change::Repeat(0.0, 0.0, 1), Change::Cut(0.9)];
    assert_eq!(apply("abcdefghi", &changes), "<<abcdgh");
    assert_eq!(apply(r#"<a b="c" d="e"/>"#, &[Change::Value(0.4, 5)]), r#"<a b="c" d="yes"/>"#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sequences_that_were_changed_are_read(seed in 0..SEEDS.len(), changes in prop::collection::vec(change(), 1..8)) {
        check(&apply(SEEDS[seed], &changes))?;
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,80}|(<|/|>|xenrt|testsequence|for|[ ='\"a-z&;%$(){}-]){0,60}") {
        check(&text)?;
    }
}
