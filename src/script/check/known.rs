//! The names that every script may use, with what they take and give: made once, from the registration of the functions.

use super::super::engine::Scripts;
use super::super::manual;
use crate::name;
use rhai::Engine;
use rhai::packages::{Package, StandardPackage};
use std::collections::{HashMap, HashSet};

/// Names that the language treats in its own way, with any number of arguments.
const SPECIAL: [&str; 12] =
    ["Fn", "call", "curry", "debug", "eval", "is_def_fn", "is_def_var", "is_shared", "print", "to_debug", "to_string", "type_of"];

/// What every script may name.
pub struct Known {
    functions: HashMap<String, Vec<Form>>,
    properties: HashMap<String, Vec<Property>>,
    /// Names of our own free functions: those of the library's chapters.
    own: HashSet<String>,
    /// Types that something can be called on.
    types: HashSet<String>,
}

/// One way to call a function: all its parameters, the receiver of a method first.
pub struct Form {
    pub params: Vec<(String, String)>,
    /// The type that it gives; nothing when that is not known.
    pub returns: Option<String>,
    /// Written as a script, it may also be called on anything, which is then `this`.
    pub is_script: bool,
    /// Made to be called on a thing: `vm.reboot()`.
    pub is_method: bool,
    /// The options that its docs list ("- `timeout`: …"); empty when they list none.
    pub options: Vec<String>,
    /// One of the language's own, which are called in both ways.
    is_language: bool,
}

struct Property {
    receiver: String,
    value: Option<String>,
    is_writable: bool,
}

/// What asking for a property of a type gave.
pub enum Found<'k> {
    /// Its type, if known.
    Readable(Option<&'k str>),
    ReadOnly,
    Missing,
}

impl Form {
    /// `sleep(seconds: number)`, or `guest.exec(command: text)`.
    pub fn shown(&self, name: &str) -> String {
        let list = |params: &[(String, String)]| {
            let shown = params.iter().map(|(name, kind)| if kind == "any" { name.clone() } else { format!("{name}: {kind}") });
            shown.collect::<Vec<_>>().join(", ")
        };
        match self.params.split_first() {
            Some(((_, receiver), rest)) if self.is_method => format!("{}.{name}({})", receiver.to_lowercase(), list(rest)),
            _ => format!("{name}({})", list(&self.params)),
        }
    }

    /// Whether it can be called with arguments of these types; a type that is not known fits everywhere.
    pub fn takes(&self, given: &[Option<&str>]) -> bool {
        self.params.len() == given.len() && self.params.iter().zip(given).all(|((_, kind), given)| fits(kind, *given))
    }
}

fn fits(wanted: &str, given: Option<&str>) -> bool {
    wanted == "any" || given.is_none_or(|given| given == wanted)
}

impl Known {
    pub fn of(scripts: &Scripts) -> Known {
        let mut known = Known { functions: HashMap::new(), properties: HashMap::new(), own: HashSet::new(), types: HashSet::new() };
        let ours = forms(&scripts.bare_engine(), false);
        known.own = ours.iter().filter(|(_, form)| !form.is_method).map(|(name, _)| name.clone()).collect();
        let mut language = Engine::new_raw();
        language.register_global_module(StandardPackage::new().as_shared_module());
        for (name, form) in ours.into_iter().chain(forms(&language, true)) {
            known.add(name, form);
        }
        known
    }

    fn add(&mut self, name: String, form: Form) {
        if let Some((_, kind)) = form.params.first().filter(|_| form.is_method || form.is_language) {
            self.types.insert(kind.clone());
        }
        let receiver = |form: &Form| form.params.first().map_or("any".to_string(), |(_, kind)| kind.clone());
        if let Some(property) = name.strip_prefix("get$") {
            let found = Property { receiver: receiver(&form), value: form.returns, is_writable: false };
            self.properties.entry(property.to_string()).or_default().push(found);
        } else if let Some(property) = name.strip_prefix("set$") {
            let found = Property { receiver: receiver(&form), value: None, is_writable: true };
            self.properties.entry(property.to_string()).or_default().push(found);
        } else {
            self.functions.entry(name).or_default().push(form);
        }
    }

    pub fn is_special(name: &str) -> bool {
        SPECIAL.contains(&name)
    }

    pub fn forms(&self, name: &str) -> &[Form] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a closure given to this function runs without a `this`.
    pub fn is_free(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// The forms that are methods of a type, or of any when it is not known.
    pub fn methods(&self, name: &str, of: Option<&str>) -> impl Iterator<Item = &Form> {
        self.forms(name).iter().filter(move |form| form.params.first().is_some_and(|(_, kind)| fits(kind, of)))
    }

    /// The options that a function with so many arguments takes as this one; none when that is not known, or a map there is none of
    /// options.
    pub fn options(&self, name: &str, count: usize, at: usize) -> Vec<&str> {
        let mut known = Vec::new();
        for form in self.forms(name) {
            let receiver = usize::from(form.is_method);
            if form.params.len() == count + receiver {
                match form.params.get(at + receiver) {
                    Some((param, _)) if param == "options" => known.extend(form.options.iter().map(String::as_str)),
                    Some((_, kind)) if kind != "map" && kind != "any" => {}
                    _ => return Vec::new(),
                }
            }
        }
        known
    }

    pub fn property(&self, name: &str, of: &str, to_write: bool) -> Found<'_> {
        let all = self.properties.get(name).map_or(&[][..], Vec::as_slice);
        let mut mine = all.iter().filter(|p| fits(&p.receiver, Some(of)));
        if to_write {
            return match (mine.clone().any(|p| p.is_writable), mine.next()) {
                (true, _) => Found::Readable(None),
                (false, Some(_)) => Found::ReadOnly,
                (false, None) => Found::Missing,
            };
        }
        mine.find(|p| !p.is_writable).map_or(Found::Missing, |p| Found::Readable(p.value.as_deref()))
    }

    /// Whether anything is known of a type's functions and properties.
    pub fn has_type(&self, kind: &str) -> bool {
        self.types.contains(kind)
    }

    /// Whether any type has such a property.
    pub fn has_property(&self, name: &str) -> bool {
        self.properties.contains_key(name)
    }

    /// The nearest free function.
    pub fn near_function<'a>(&'a self, name: &str, more: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let all = self
            .functions
            .iter()
            .filter(|(_, forms)| forms.iter().any(|f| !f.is_method || f.is_language))
            .map(|(name, _)| name.as_str());
        name::nearest(name, sorted(all.filter(|n| is_word(n)).chain(more)))
    }

    /// The nearest method or property of a type, or of any; with whether it is a property.
    pub fn near_member(&self, name: &str, of: Option<&str>) -> Option<(&str, bool)> {
        let methods = self.functions.iter().filter(|(_, forms)| {
            forms.iter().any(|f| {
                (f.is_method || f.is_language) && f.params.first().is_some_and(|(_, kind)| kind != "any" && fits(kind, of))
            })
        });
        let properties = self.properties.iter().filter(|(_, all)| all.iter().any(|p| p.receiver != "any" && fits(&p.receiver, of)));
        let methods: Vec<&str> = methods.map(|(name, _)| name.as_str()).filter(|n| is_word(n)).collect();
        let properties: Vec<&str> = properties.map(|(name, _)| name.as_str()).collect();
        let near = name::nearest(name, sorted(methods.iter().chain(&properties).copied()))?;
        Some((near, !methods.contains(&near)))
    }
}

/// In an order that does not change from run to run, so that equally near names give one answer.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = names.collect();
    all.sort_unstable();
    all
}

/// What a function's docs list as its options, a line each.
fn options<T: AsRef<str>>(comments: &[T]) -> Vec<String> {
    let lines = comments.iter().flat_map(|c| c.as_ref().lines());
    let listed = lines.filter_map(|line| line.trim_start().trim_start_matches('/').trim_start().strip_prefix("- `"));
    let names = listed.filter_map(|rest| rest.split_once("`:")).flat_map(|(names, _)| names.split("`, `"));
    names.map(str::to_string).collect()
}

/// All functions of an engine: of the standard packages, or of the others.
fn forms(engine: &Engine, is_language: bool) -> Vec<(String, Form)> {
    engine.collect_fn_metadata(
        None,
        |info| {
            let m = info.metadata;
            let mut params: Vec<(String, String)> = m.params_info.iter().map(|p| param(p)).collect();
            // Some of the language's own are registered without a word on their parameters.
            params.resize(m.num_params, ("value".into(), "any".into()));
            let this_type = info.script.as_ref().and_then(|s| s.this_type);
            if let Some(this) = this_type {
                params.insert(0, ("this".into(), manual::script_type(this)));
            }
            let is_method = this_type.is_some() || m.params_info.first().is_some_and(|p| p.contains(": &mut "));
            let is_script = info.script.is_some() && this_type.is_none();
            let returns = if info.script.is_some() { None } else { kind_given(&m.return_type) };
            Some((m.name.to_string(), Form { params, returns, is_script, is_method, options: options(&m.comments), is_language }))
        },
        is_language,
    )
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic()) && !name.contains('$')
}

fn param(info: &str) -> (String, String) {
    let (name, kind) = info.split_once(':').unwrap_or((info, ""));
    (name.trim().trim_start_matches('_').to_string(), manual::script_type(kind))
}

/// The type that a function gives, when it is always the same and says something.
fn kind_given(rust: &str) -> Option<String> {
    let given = manual::given(rust);
    (given != "any" && !given.is_empty()).then_some(given)
}
