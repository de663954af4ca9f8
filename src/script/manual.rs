//! Everything that a script can name, with its docs: what `xrt manual`, the prompt and editors show.
//!
//! Made from the one registration of each function, so it cannot say what is not there.

use super::engine::Scripts;
use super::{Hook, api, meta, show};
use crate::error::{Error, Kind, Result};
use crate::name;
use rhai::packages::{Package, StandardPackage};
use rhai::{Engine, Module, Shared};
use serde::Serialize;
use std::collections::BTreeSet;

/// Chapter of what the language itself brings.
pub const LANGUAGE: &str = "language";
/// Chapter of the map that a testcase's `meta()` returns.
const META: &str = "meta";
/// Chapter of the functions that a testcase may have.
const HOOKS: &str = "hooks";

/// Everything that a script can name.
#[derive(Default)]
pub struct Manual {
    chapters: Vec<Chapter>,
    entries: Vec<Entry>,
}

/// A part of the manual.
#[derive(Clone, Debug, Serialize)]
pub struct Chapter {
    pub name: String,
    pub about: String,
}

/// One thing that a script can name, in one of its forms: a function that may be called in two ways has two entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    pub name: String,
    pub chapter: String,
    pub sort: Sort,
    /// The type that it belongs to, as scripts know it ("Guest", "list"); nothing for what stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    pub params: Vec<Param>,
    /// The type that it gives ("text"); empty when it gives nothing.
    pub returns: String,
    /// What it does, without the examples.
    pub docs: String,
    pub examples: Vec<String>,
    /// Where it is written, when that is a script: "stdlib:guest.rhai:12".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What sort of thing an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    #[default]
    Function,
    Method,
    Property,
    Constant,
    /// A key of the map that `meta()` returns.
    Key,
    /// A function that the testcase writes.
    Hook,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Param {
    pub name: String,
    /// As scripts know it ("text"); "any" takes all.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Manual {
    /// # Errors
    /// The standard library cannot be read.
    pub fn of(scripts: &Scripts) -> Result<Manual> {
        let mut chapters: Vec<Chapter> = Vec::new();
        let mut entries = Vec::new();
        for (name, about, functions) in api::TABLE {
            chapters.push(Chapter { name: (*name).into(), about: (*about).into() });
            entries.extend(native(name, Module::from_manifest(functions).into()));
        }
        for (file, text) in scripts.stdlib_files()? {
            let chapter = file.rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches(".rhai").to_string();
            let (about, found) = scripted(&scripts.bare_engine(), &chapter, &file, &text)?;
            if !chapters.iter().any(|c| c.name == chapter) {
                chapters.push(Chapter { name: chapter, about });
            }
            entries.extend(found);
        }
        let more = [
            (HOOKS, "the functions that a testcase may have", hooks()),
            (META, "what a testcase says of itself: the map that its meta() returns", keys()),
            (LANGUAGE, "texts, lists, maps and numbers, as the language has them", language()),
        ];
        for (name, about, found) in more {
            chapters.push(Chapter { name: name.into(), about: about.into() });
            entries.extend(found);
        }
        let rank = |name: &str| chapters.iter().position(|c| c.name == name);
        entries.sort_by_cached_key(|e| {
            let among = matches!(e.sort, Sort::Method | Sort::Property);
            (rank(&e.chapter), e.receiver.clone(), among, e.name.clone(), e.params.len(), e.signature())
        });
        entries.dedup_by(|a, b| a.signature() == b.signature() && a.chapter == b.chapter);
        Ok(Manual { chapters, entries })
    }

    /// All entries: by chapter, then by name.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn chapters(&self) -> &[Chapter] {
        &self.chapters
    }

    /// The entries of a chapter; none when there is no such chapter.
    pub fn chapter(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| e.chapter.eq_ignore_ascii_case(name))
    }

    /// The entries of a chapter, and those of a type, whichever chapter they stand in: "guest", "list".
    pub fn about(&self, name: &str) -> impl Iterator<Item = &Entry> {
        let is_of = move |e: &Entry| e.receiver.as_deref().is_some_and(|r| r.eq_ignore_ascii_case(name));
        self.entries.iter().filter(move |e| e.chapter.eq_ignore_ascii_case(name) || is_of(e))
    }

    /// All forms of what a name means: "exec", "guest.exec", "Guest.exec", "flow.step", "exec()".
    pub fn find(&self, name: &str) -> Vec<&Entry> {
        let name = name.trim().trim_end_matches("()");
        let (of, name) = name.rsplit_once('.').map_or((None, name), |(of, name)| (Some(of), name));
        let belongs = |entry: &Entry| {
            of.is_none_or(|of| {
                entry.receiver.as_deref().is_some_and(|r| r.eq_ignore_ascii_case(of)) || entry.chapter.eq_ignore_ascii_case(of)
            })
        };
        self.entries.iter().filter(|entry| entry.name == name && belongs(entry)).collect()
    }

    /// Files that tell editors what there is: name and text, one for each chapter with functions.
    pub fn definitions(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for chapter in &self.chapters {
            let declared: Vec<String> = self.chapter(&chapter.name).filter_map(Entry::definition).collect();
            if !declared.is_empty() {
                let text = format!("//! {}\n\nmodule static;\n\n{}", chapter.about, declared.join("\n"));
                files.push((format!("{}.d.rhai", chapter.name), text));
            }
        }
        files
    }

    /// What may have been meant by a name that is not in the manual.
    pub fn did_you_mean(&self, name: &str) -> Option<String> {
        let (of, bare) = name.rsplit_once('.').map_or((None, name), |(of, bare)| (Some(of.to_lowercase()), bare));
        let receivers: BTreeSet<String> = self.entries.iter().filter_map(|e| Some(e.receiver.as_ref()?.to_lowercase())).collect();
        let of = of.map(|of| match receivers.contains(&of) {
            true => of,
            false => name::nearest(&of, receivers.iter().map(String::as_str)).map_or(of.clone(), str::to_string),
        });
        let fits = |e: &&Entry| of.as_ref().is_none_or(|of| e.receiver.as_ref().is_some_and(|r| r.to_lowercase() == *of));
        let exact = self.entries.iter().find(|e| of.is_some() && fits(e) && e.name == bare);
        let near = || name::nearest(bare, self.entries.iter().filter(fits).map(|e| e.name.as_str()));
        let near = exact.or_else(|| near().and_then(|near| self.entries.iter().filter(fits).find(|e| e.name == near)));
        let near = near.map(Entry::title);
        let near = near.or_else(|| name::nearest(name, self.chapters.iter().map(|c| c.name.as_str())).map(str::to_string));
        near.map(|near| format!("did you mean `{near}`?"))
    }
}

impl Entry {
    /// The name with what it belongs to: "guest.exec", "log".
    pub fn title(&self) -> String {
        match &self.receiver {
            Some(receiver) => format!("{}.{}", receiver.to_lowercase(), self.name),
            None => self.name.clone(),
        }
    }

    /// How it is written in a script: `guest.exec(command: text, options: map) -> text`.
    pub fn signature(&self) -> String {
        let title = self.title();
        let returns = if self.returns.is_empty() { String::new() } else { format!(" -> {}", self.returns) };
        match self.sort {
            Sort::Property | Sort::Key => format!("{title}: {}", self.returns),
            Sort::Constant => format!("{title} = {}", self.returns),
            Sort::Hook => format!("fn {title}({})", self.names().join(", ")),
            Sort::Function | Sort::Method => {
                let params = self.params.iter().map(|p| format!("{}: {}", p.name, p.kind)).collect::<Vec<_>>();
                format!("{title}({}){returns}", params.join(", "))
            }
        }
    }

    /// How it is declared in a definition file; nothing for what is no part of the language.
    fn definition(&self) -> Option<String> {
        let rust = |kind: &str| match kind {
            "any" => "?".to_string(),
            "text" => "String".into(),
            "integer" => "int".into(),
            "number" => "float".into(),
            "list" => "Array".into(),
            "map" => "Map".into(),
            "blob" => "Blob".into(),
            "closure" => "FnPtr".into(),
            "timestamp" => "Instant".into(),
            other => other.into(),
        };
        let returns = if self.returns.is_empty() { "()".into() } else { rust(&self.returns) };
        let receiver = self.receiver.iter().map(|kind| format!("{}: {}", kind.to_lowercase(), rust(kind)));
        let params: Vec<String> = receiver.chain(self.params.iter().map(|p| format!("{}: {}", p.name, rust(&p.kind)))).collect();
        let params = params.join(", ");
        let declared = match self.sort {
            Sort::Function | Sort::Method => format!("fn {}({params}) -> {returns};", self.name),
            Sort::Property => format!("fn get {}({params}) -> {returns};", self.name),
            Sort::Constant => format!("const {};", self.name),
            Sort::Key | Sort::Hook => return None,
        };
        let examples = self.examples.iter().flat_map(|code| ["", "```rhai"].into_iter().chain(code.lines()).chain(["```"]));
        let docs = self.docs.lines().chain(examples).map(|line| format!("/// {line}").trim_end().to_string() + "\n");
        Some(format!("{}{declared}\n", docs.collect::<String>()))
    }

    /// How a call looks, for messages: `exec(command, options)`.
    pub fn call(&self) -> String {
        format!("{}({})", self.name, self.names().join(", "))
    }

    fn names(&self) -> Vec<&str> {
        self.params.iter().map(|p| p.name.as_str()).collect()
    }

    /// The first sentence of the docs, on one line.
    pub fn summary(&self) -> String {
        let first = self.docs.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        match first.find(". ") {
            Some(end) => first[..=end].to_string(),
            None => first,
        }
    }
}

/// What a module of functions in Rust holds.
fn native(chapter: &str, module: Shared<Module>) -> Vec<Entry> {
    let constants: Vec<Entry> = module
        .iter_var()
        .map(|(name, value)| Entry {
            name: name.into(),
            chapter: chapter.into(),
            sort: Sort::Constant,
            returns: show::value(value, 60),
            ..Entry::default()
        })
        .collect();
    let mut engine = Engine::new_raw();
    engine.register_global_module(module);
    let mut found: Vec<Entry> = engine.collect_fn_metadata(None, |info| entry(chapter, info.metadata), true);
    found.extend(constants);
    found
}

fn entry(chapter: &str, metadata: &rhai::FuncMetadata) -> Option<Entry> {
    let mut params: Vec<Param> = metadata.params_info.iter().map(|p| param(p)).collect();
    // Some of the language's own are registered without a word on their parameters.
    params.resize(metadata.num_params, Param { name: "value".into(), kind: "any".into() });
    let (docs, examples) = docs(&metadata.comments.join("\n"));
    let mut entry = Entry {
        name: metadata.name.to_string(),
        chapter: chapter.into(),
        returns: given(&metadata.return_type),
        docs,
        examples,
        ..Entry::default()
    };
    let is_method = metadata.params_info.first().is_some_and(|p| p.contains(": &mut ") || chapter == LANGUAGE);
    if let Some(property) = entry.name.strip_prefix("get$") {
        entry.sort = Sort::Property;
        entry.name = property.to_string();
    } else if is_method {
        entry.sort = Sort::Method;
    }
    // Setters, indexers and operators have no name that could be looked up.
    if entry.name.contains('$') || !entry.name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    if entry.sort != Sort::Function {
        entry.receiver = Some(params.remove(0).kind);
    }
    entry.params = params;
    Some(entry)
}

fn param(info: &str) -> Param {
    let (name, kind) = info.split_once(':').unwrap_or((info, ""));
    Param { name: name.trim().trim_start_matches('_').into(), kind: script_type(kind) }
}

/// A Rust type as scripts know it.
pub fn script_type(rust: &str) -> String {
    let bare = rust.trim().trim_start_matches("&mut ").trim_start_matches('&');
    let bare = bare.rsplit("::").next().unwrap_or(bare).trim();
    match bare {
        "" | "Dynamic" | "RhaiResult" => "any",
        "str" | "String" | "ImmutableString" | "string" => "text",
        "i64" | "INT" => "integer",
        "f64" | "FLOAT" => "number",
        "Array" | "array" => "list",
        "Map" => "map",
        "Blob" => "blob",
        "FnPtr" | "Fn" => "closure",
        "Instant" => "timestamp",
        "ExclusiveRange" | "InclusiveRange" | "BitRange" | "CharsStream" => "range",
        other if other.starts_with("StepRange") || other.starts_with("Range<") => "range",
        other => other,
    }
    .into()
}

/// The type that a function gives, errors apart; empty for nothing.
pub fn given(rust: &str) -> String {
    let mut bare = rust.trim();
    for wrapper in ["Raised<", "RhaiResultOf<", "Result<"] {
        if let Some(inside) = bare.strip_prefix(wrapper) {
            bare = inside.split_once(", Box").map_or(inside, |(first, _)| first).trim_end_matches('>').trim();
        }
    }
    if bare == "()" || rust.is_empty() { String::new() } else { script_type(bare) }
}

/// Doc comments as prose, and the code blocks in them.
fn docs(comments: &str) -> (String, Vec<String>) {
    let mut prose: Vec<&str> = Vec::new();
    let mut examples = Vec::new();
    let mut code: Option<Vec<&str>> = None;
    for line in comments.lines() {
        let line = line.trim_start().trim_start_matches("///").trim_start_matches("//!");
        let line = line.strip_prefix("/**").unwrap_or(line).trim_end_matches("*/");
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        match (line.trim_start().starts_with("```"), &mut code) {
            (true, Some(lines)) => {
                examples.push(lines.join("\n"));
                code = None;
            }
            (true, None) => code = Some(Vec::new()),
            (false, Some(lines)) => lines.push(line),
            (false, None) if ["# Example", "# Examples"].contains(&line) => {}
            (false, None) => prose.push(line),
        }
    }
    let mut text = prose.join("\n");
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    (text.trim().to_string(), examples)
}

/// What a file of the standard library holds, and what its head says.
fn scripted(engine: &Engine, chapter: &str, file: &str, text: &str) -> Result<(String, Vec<Entry>)> {
    let ast = engine.compile(text).map_err(|e| Error::new(Kind::Malformed, format!("{file}: {e}")))?;
    let (about, _) = docs(ast.doc());
    let found = ast.iter_fn_def().filter(|f| f.access == rhai::FnAccess::Public && !f.name.starts_with("anon$")).map(|f| {
        let (docs, examples) = docs(&f.comments.join("\n"));
        let line = f.body.start_position().line().unwrap_or(0);
        Entry {
            name: f.name.to_string(),
            chapter: chapter.into(),
            sort: if f.this_type.is_some() { Sort::Method } else { Sort::Function },
            receiver: f.this_type.as_ref().map(|t| script_type(t)),
            params: f.params.iter().map(|p| Param { name: p.to_string(), kind: "any".into() }).collect(),
            returns: "any".into(),
            docs,
            examples,
            source: Some(format!("{file}:{line}")),
        }
    });
    Ok((about, found.collect()))
}

/// What the language brings, without the number types that scripts here never meet.
fn language() -> Vec<Entry> {
    let foreign =
        |kind: &str| matches!(kind, "f32" | "i8" | "i16" | "i32" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128" | "range");
    let ours = |entry: &Entry| {
        !entry.receiver.as_deref().is_some_and(foreign)
            && !entry.params.iter().any(|p| foreign(&p.kind))
            && !foreign(&entry.returns)
            // Ours replaces it: Rhai's own cannot be stopped.
            && entry.name != "sleep"
    };
    native(LANGUAGE, StandardPackage::new().as_shared_module()).into_iter().filter(ours).collect()
}

fn keys() -> Vec<Entry> {
    let key = |(name, takes): &(&str, &str)| Entry {
        name: (*name).into(),
        chapter: META.into(),
        sort: Sort::Key,
        receiver: Some(META.into()),
        returns: (*takes).into(),
        ..Entry::default()
    };
    meta::KEYS.iter().map(key).collect()
}

fn hooks() -> Vec<Entry> {
    let own = Hook::ALL.map(|hook| (hook.name(), vec!["args"], about(hook)));
    let said = (
        "meta",
        vec![],
        "Says what the testcase is and takes, as a map. It is asked before anything runs, with no machine at hand.",
    );
    let all = own.into_iter().chain([said]);
    all.map(|(name, params, docs)| Entry {
        name: name.into(),
        chapter: HOOKS.into(),
        sort: Sort::Hook,
        params: params.into_iter().map(|p| Param { name: p.into(), kind: "map".into() }).collect(),
        docs: docs.into(),
        ..Entry::default()
    })
    .collect()
}

fn about(hook: Hook) -> &'static str {
    match hook {
        Hook::Prepare => {
            "Makes what the test needs. A failure here is an error of the lab, never a failure of the product. `this` is a map that \
             lives as long as the testcase."
        }
        Hook::Run => "The test itself. Without it a script is no testcase.",
        Hook::PreLogs => "Runs before the logs are fetched, whatever the outcome.",
        Hook::PostRun => "Runs at the end, whatever the outcome; `passed()` tells how it stands.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manual() -> Manual {
        Manual::of(&Scripts::new(Vec::new(), None).unwrap()).unwrap()
    }

    #[test]
    fn signatures_are_in_the_terms_of_scripts() {
        let manual = manual();
        for (name, expected) in [
            ("eventually", "eventually(holds: closure) -> number|eventually(options: map, holds: closure) -> number"),
            ("result.fail", "fail(reason: text) -> any|fail(reason: text, data: any) -> any"),
            ("target", "target() -> any|meta.target: none, guest, host or pool"),
            ("data.gib", "gib(n: any) -> integer"),
            ("GIB", "GIB = 1073741824"),
            ("list.push", "list.push(item: any)"),
            ("text.to_upper()", "text.to_upper() -> text"),
            ("meta.target", "meta.target: none, guest, host or pool"),
            ("run", "fn run(args)"),
            ("no.such", ""),
        ] {
            let found: Vec<String> = manual.find(name).iter().map(|e| e.signature()).collect();
            assert_eq!(found.join("|"), expected, "{name}");
        }
    }

    #[test]
    fn docs_are_prose_and_examples() {
        let step = manual().find("step")[0].clone();
        assert_eq!(step.summary(), "Marks a step in the log, runs it, and gives its value.");
        assert_eq!(step.examples, ["let sum = step(\"add\", || 1 + 1);"]);
        assert_eq!(
            docs("/// a\n/// b.\n///\n/// ```rhai\n/// x;\n///   y\n/// ```\n/// c"),
            ("a\nb.\n\nc".into(), vec!["x;\n  y".into()])
        );
    }

    #[test]
    fn the_standard_library_says_where_it_comes_from() {
        let text =
            "//! Power.\n\n/// Starts it.\n///\n/// ```rhai\n/// target().boot();\n/// ```\nfn Guest.boot(how) { this.start(); }\n";
        let (about, found) = scripted(&Engine::new(), "guest", "stdlib:guest.rhai", text).unwrap();
        assert_eq!(about, "Power.");
        assert_eq!(found[0].signature(), "guest.boot(how: any) -> any");
        assert_eq!((found[0].docs.as_str(), found[0].source.as_deref()), ("Starts it.", Some("stdlib:guest.rhai:8")));
        assert_eq!(found[0].examples, ["target().boot();"]);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        for (wrong, expected) in [
            ("evnetually", "did you mean `eventually`?"),
            ("list.psh", "did you mean `list.push`?"),
            ("lst.push", "did you mean `list.push`?"),
        ] {
            assert_eq!(manual().did_you_mean(wrong).as_deref(), Some(expected));
        }
        assert_eq!(manual().did_you_mean("qqqqqqqq"), None);
    }
}
