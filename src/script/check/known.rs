//! The names that every script may use, with what they take and give: made once, from the registration of the functions.

use super::super::engine::Scripts;
use super::super::{api, manual};
use crate::name;
use rhai::{Engine, Module, Shared};
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// Names that the language treats in its own way, with any number of arguments.
const SPECIAL: [&str; 12] =
    ["Fn", "call", "curry", "debug", "eval", "is_def_fn", "is_def_var", "is_shared", "print", "to_debug", "to_string", "type_of"];

/// What every script may name. What a name takes and gives is read when a script first has it: most have a few of many hundreds.
pub struct Known {
    /// The functions of the language, and those that are written in scripts or mend the language's.
    language: Engine,
    more: Engine,
    /// Under every name, its forms: of a property "get$name" and "set$name".
    names: HashMap<String, OnceLock<Vec<Form>>>,
    /// Types that something can be called on.
    types: OnceLock<HashSet<String>>,
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

    /// The type that it is called on, if on any.
    fn receiver(&self) -> Option<&str> {
        self.params.first().filter(|_| self.is_method || self.is_language).map(|(_, kind)| kind.as_str())
    }

    fn is_on(&self, kind: Option<&str>) -> bool {
        self.params.first().is_some_and(|(_, receiver)| fits(receiver, kind))
    }
}

fn fits(wanted: &str, given: Option<&str>) -> bool {
    wanted == "any" || given.is_none_or(|given| given == wanted)
}

impl Known {
    pub fn of(scripts: &Scripts) -> Known {
        let engine = |modules: &[Shared<Module>]| {
            let mut engine = Engine::new_raw();
            modules.iter().for_each(|module| _ = engine.register_global_module(module.clone()));
            engine
        };
        let language = engine(std::slice::from_ref(&scripts.language));
        let more = engine(&scripts.more);
        let named = |engine: &Engine| engine.collect_fn_metadata(None, |info| Some(info.metadata.name.to_string()), true);
        let names = api::names().map(str::to_string).chain(named(&language)).chain(named(&more));
        let names = names.map(|name| (name, OnceLock::new())).collect();
        Known { language, more, names, types: OnceLock::new() }
    }

    /// The forms of the names that are wanted, each with its name.
    fn read(&self, is_wanted: impl Fn(&str) -> bool + Copy) -> Vec<(String, Form)> {
        let mut ours = Engine::new_raw();
        ours.register_global_module(api::documented(is_wanted).into());
        let mut found = forms(&ours, false, is_wanted);
        found.extend(forms(&self.more, false, is_wanted));
        found.extend(forms(&self.language, true, is_wanted));
        found
    }

    pub fn is_special(name: &str) -> bool {
        SPECIAL.contains(&name)
    }

    pub fn forms(&self, name: &str) -> &[Form] {
        let read = || self.read(|other| other == name).into_iter().map(|(_, form)| form).collect();
        self.names.get(name).map_or(&[], |forms| forms.get_or_init(read))
    }

    /// Whether a closure given to this function runs without a `this`: one of the library's free functions.
    pub fn is_free(&self, name: &str) -> bool {
        self.forms(name).iter().any(|form| !form.is_language && !form.is_method)
    }

    /// The forms that are methods of a type, or of any when it is not known.
    pub fn methods(&self, name: &str, of: Option<&str>) -> impl Iterator<Item = &Form> {
        self.forms(name).iter().filter(move |form| form.is_on(of))
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
        let mine = |prefix: &str| self.forms(&format!("{prefix}{name}")).iter().find(|form| form.is_on(Some(of)));
        match (mine("get$"), mine("set$")) {
            (_, Some(_)) if to_write => Found::Readable(None),
            (Some(_), None) if to_write => Found::ReadOnly,
            (Some(form), _) => Found::Readable(form.returns.as_deref()),
            (None, _) => Found::Missing,
        }
    }

    /// Whether anything is known of a type's functions and properties.
    pub fn has_type(&self, kind: &str) -> bool {
        let receivers = || self.read(|_| true).iter().filter_map(|(_, form)| form.receiver().map(str::to_string)).collect();
        self.types.get_or_init(receivers).contains(kind)
    }

    /// Whether any type has such a property.
    pub fn has_property(&self, name: &str) -> bool {
        ["get$", "set$"].iter().any(|prefix| self.names.contains_key(&format!("{prefix}{name}")))
    }

    /// The nearest free function.
    pub fn near_function<'a>(&'a self, name: &str, more: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let is_free = |name: &str| is_word(name) && self.forms(name).iter().any(|form| !form.is_method || form.is_language);
        let all = self.names.keys().map(String::as_str).filter(|name| is_free(name));
        name::nearest(name, sorted(all.chain(more)))
    }

    /// The nearest method or property of a type, or of any; with whether it is a property.
    pub fn near_member(&self, name: &str, of: Option<&str>) -> Option<(&str, bool)> {
        let is_on = |form: &Form| form.receiver().is_some_and(|kind| kind != "any" && fits(kind, of));
        let all = || self.names.iter().filter(|(name, _)| self.forms(name).iter().any(is_on)).map(|(name, _)| name.as_str());
        let methods: Vec<&str> = all().filter(|name| is_word(name)).collect();
        let properties = all().filter_map(|name| name.strip_prefix("get$").or_else(|| name.strip_prefix("set$")));
        let near = name::nearest(name, sorted(methods.iter().copied().chain(properties)))?;
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

/// The functions of an engine that are wanted: of the standard packages, or of the others.
fn forms(engine: &Engine, is_language: bool, is_wanted: impl Fn(&str) -> bool + Copy) -> Vec<(String, Form)> {
    engine.collect_fn_metadata(
        None,
        |info| {
            let m = info.metadata;
            if !is_wanted(&m.name) {
                return None;
            }
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
