//! The house rules, as tests: who may name whom, where the outside is named, and how files look.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms from the ground up. A room may use itself and the rooms above its row, never one below: so there are no cycles.
const ROOMS: &[&str] = &[
    // words: values only
    "error",
    "name",
    "secret",
    "unit",
    "time",
    "vars",
    "event",
    "diagnostic",
    "sequence",
    "config",
    "metric",
    "context", // reports see only events
    "report",  // reaching out
    "wire",
    "toolstack", // what a script holds
    "lab",
    "script",
    "repl", // running
    "run",
    "interact", // known to the edge only
    "sim",      // the edge
    "cli",
];

/// What a room may not use although it stands above: (room, not this one, why).
const APART: &[(&str, &str, &str)] = &[
    ("report", "context", "reports see only events"),
    ("wire", "context::Context", "a transport publishes nothing"),
    ("wire", "report", "a transport does not know reports"),
    ("script", "wire", "scripts reach machines only through lab objects"),
    ("lab", "report", "a library object does not know reports"),
];

/// Outside things and the only files (or rooms, ending in `/`) that may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("annotate_snippets", &["report/card.rs"]),
    ("axum", &["interact/server.rs", "sim/", "wire/serve.rs"]),
    ("base64", &["interact/server.rs", "wire/", "toolstack/xapi/", "sim/", "lab/"]),
    ("bytes", &["sim/", "wire/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/xrt/completions.rs"]),
    ("comfy_table", &["cli/table.rs"]),
    ("csv", &["script/api/data.rs"]),
    ("ctrlc", &["cli/signals.rs"]),
    ("dxr", &["interact/"]),
    ("futures_util", &["interact/server.rs", "sim/", "wire/"]),
    ("globset", &["sequence/only.rs"]),
    ("humantime", &["unit.rs", "time.rs"]),
    ("hyper", &["interact/server.rs"]),
    ("hyper_util", &["interact/server.rs"]),
    ("include_dir", &["script/", "sequence/load.rs"]),
    ("indicatif", &["report/live.rs"]),
    ("jiff", &["time.rs"]),
    ("junit_parser", &["run/junit.rs"]),
    ("lettre", &["wire/mail.rs"]),
    ("maud", &["report/html.rs", "report/html/"]),
    ("nu_ansi_term", &["repl/", "report/"]),
    ("oorandom", &["run/rounds.rs", "sim/"]),
    ("parse_size", &["unit.rs"]),
    ("quick_junit", &["report/junit.rs"]),
    ("quick_xml", &["sequence/xml.rs", "report/results.rs", "wire/xmlrpc.rs", "sim/"]),
    ("rcgen", &["sim/"]),
    ("reedline", &["repl/"]),
    ("reqwest", &["wire/http.rs"]),
    ("rhai", &["script/", "repl/"]),
    ("rpassword", &["cli/"]),
    ("rusqlite", &["report/sqlite/", "run/baseline.rs"]),
    ("russh", &["sim/"]),
    ("russh_sftp", &["sim/"]),
    ("rustix", &["repl/terminal.rs", "wire/", "run/program.rs", "run/leftover.rs", "cli/mod.rs", "sim/machine/"]),
    ("rustls", &["wire/http.rs", "wire/tls.rs", "sim/"]),
    ("saphyr_parser", &["sequence/yaml.rs"]),
    ("sha2", &["wire/", "sim/"]),
    ("shlex", &["lab/", "script/", "wire/", "cli/", "sim/machine/"]),
    ("ssh2", &["wire/ssh.rs", "wire/ssh/"]),
    ("statrs", &["metric/samples.rs"]),
    ("strsim", &["name.rs"]),
    ("tar", &["sim/"]),
    ("tokio", &["interact/server.rs", "wire/http.rs", "wire/runtime.rs", "sim/", "wire/serve.rs"]),
    ("tokio_rustls", &["sim/"]),
    ("tracing_subscriber", &["cli/mod.rs"]),
    ("unicode_width", &["report/text.rs"]),
    ("uuid", &["interact/server.rs", "sim/"]),
    ("walkdir", &["lab/", "script/", "sequence/load.rs"]),
    ("std::env", &["cli/mod.rs", "time.rs"]),
    ("process::exit", &["cli/signals.rs"]),
    ("println!", &["cli/mod.rs"]),
    ("eprintln!", &["cli/mod.rs"]),
    ("print!", &["cli/mod.rs"]),
    ("eprint!", &["cli/mod.rs"]),
    ("thread::sleep", &[]),
    (
        "Instant::now",
        &[
            "time.rs",
            "context.rs",
            "event/bus.rs",
            "wire/",
            "toolstack/xapi/",
            "lab/",
            "script/",
            "run/",
            "report/",
            "repl/",
            "sim/",
        ],
    ),
];

const LONGEST_FILE: usize = 500;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without its tests at the end and without comments.
    fn code(&self) -> String {
        let body = self.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        body.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect::<Vec<_>>().join("\n")
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.expect("a readable tree");
        if entry.file_type().is_file() && entry.path().to_string_lossy().ends_with(ending) {
            let path = entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text: std::fs::read_to_string(entry.path()).expect("UTF-8") });
        }
    }
    assert!(!found.is_empty(), "no {ending} under {}", dir.display());
    found
}

fn sources() -> Vec<Source> {
    files(&root().join("src"), ".rs")
}

/// Whether `name` stands in the text as a whole path, not as a part of a longer word.
fn names(text: &str, name: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn rooms_use_only_the_rooms_above_them() {
    let rank: BTreeMap<&str, usize> = ROOMS.iter().enumerate().map(|(i, r)| (*r, i)).collect();
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.path.starts_with("bin/") && s.path != "lib.rs") {
        let Some(own) = rank.get(source.room()) else {
            complaints.push(format!("src/{}: room `{}` has no row in ROOMS", source.path, source.room()));
            continue;
        };
        let code = source.code();
        for (room, other) in &rank {
            if let Some(at) = names(&code, &format!("crate::{room}")).filter(|_| other > own) {
                complaints.push(format!("src/{}:{}: names `{room}`, which stands below it", source.path, line_of(&code, at)));
            }
        }
        for (room, not, why) in APART {
            if let Some(at) = names(&code, &format!("crate::{not}")).filter(|_| source.room() == *room) {
                complaints.push(format!("src/{}:{}: names `{not}`: {why}", source.path, line_of(&code, at)));
            }
        }
    }
    report(&complaints);
}

#[test]
fn outside_things_are_named_at_their_door_only() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.path.starts_with("bin/")) {
        let code = source.code();
        for (thing, doors) in DOORS {
            let open = doors.iter().any(|d| source.path == *d || d.ends_with('/') && source.path.starts_with(d));
            let is_crate = !thing.contains("::") && !thing.ends_with('!');
            let at = if is_crate { names_path(&code, thing) } else { names(&code, thing) };
            if let Some(at) = at.filter(|_| !open) {
                complaints.push(format!("src/{}:{}: names `{thing}`, whose door is {doors:?}", source.path, line_of(&code, at)));
            }
        }
    }
    report(&complaints);
}

/// Where a path begins with this crate's name.
fn names_path(text: &str, name: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.match_indices(&format!("{name}::")).map(|(at, _)| at).find(|&at| !text[..at].chars().next_back().is_some_and(is_part))
}

#[test]
fn the_doors_are_those_of_the_manifest() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let everywhere = ["regex", "serde", "serde_json", "tempfile", "tracing"];
    let names: Vec<String> = section
        .lines()
        .filter_map(|line| line.split(['=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(|name| name.replace('-', "_"))
        .collect();
    let code: String = sources().iter().map(Source::code).collect();
    let mut complaints = Vec::new();
    for name in &names {
        if !everywhere.contains(&name.as_str()) && !DOORS.iter().any(|(thing, _)| thing == name) {
            complaints.push(format!("Cargo.toml: `{name}` has no door in DOORS"));
        }
        if names_path(&code, name).is_none() {
            complaints.push(format!("Cargo.toml: nothing uses `{name}`"));
        }
    }
    report(&complaints);
}

#[test]
fn files_open_with_their_purpose_and_stay_small() {
    let mut complaints = Vec::new();
    for source in sources() {
        let opens = source.text.starts_with("//!") || source.text.starts_with("#![doc");
        if !opens {
            complaints.push(format!("src/{}:1: does not open with `//!`", source.path));
        }
        let lines = source.text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        if lines > LONGEST_FILE {
            complaints.push(format!("src/{}: {lines} lines without its tests; split it by its nouns", source.path));
        }
    }
    for source in files(&root().join("tests"), ".rs") {
        if !source.text.starts_with("//!") {
            complaints.push(format!("tests/{}:1: does not open with `//!`", source.path));
        }
    }
    report(&complaints);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo", "fixme", "dbg!", "unimplemented!", "xxx"];
    let mut complaints = Vec::new();
    for (dir, ending) in [("src", ".rs"), ("scripts", ".rhai"), ("stdlib", ".rhai"), ("examples", ".rhai")] {
        for source in files(&root().join(dir), ending) {
            for (number, line) in source.text.to_lowercase().lines().enumerate() {
                // A directive of the TAP protocol has the same name, and so has what the original fills tuples up with.
                let is_theirs = |word: &str| match word {
                    "todo" => source.path.ends_with("/tap.rs"),
                    "xxx" => source.path == "sequence/rounds.rs",
                    _ => false,
                };
                for word in words.iter().filter(|w| names(line, w).is_some() && !is_theirs(w)) {
                    complaints.push(format!("{dir}/{}:{}: `{word}`", source.path, number + 1));
                }
            }
        }
    }
    report(&complaints);
}

#[test]
fn every_test_file_is_a_module_of_the_one_binary() {
    let main = std::fs::read_to_string(root().join("tests/main.rs")).unwrap();
    let complaints: Vec<String> = files(&root().join("tests"), ".rs")
        .iter()
        .filter(|s| !s.path.contains('/') && s.path != "main.rs")
        .map(|s| s.path.trim_end_matches(".rs").to_string())
        .filter(|name| !main.contains(&format!("mod {name};")))
        .map(|name| format!("tests/{name}.rs is not a module of tests/main.rs"))
        .collect();
    report(&complaints);
}

#[test]
fn the_tables_are_sorted() {
    let crates: Vec<&str> = DOORS.iter().map(|d| d.0).take_while(|d| !d.starts_with("std::")).collect();
    assert!(crates.is_sorted(), "DOORS: {crates:?}");
}
