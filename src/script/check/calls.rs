//! Calls and properties: whether what is named exists, and takes what it is given.

use super::known::{Found, Known};
use super::walk::{Type, Walk, captures};
use crate::name;
use rhai::{ASTFlags, Expr, FnCallExpr, Position};
use std::ops::Deref;

/// How a chain goes on: `a.b` or `a[b]`.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    Dot,
    Index,
}

/// What holds for a whole chain.
struct Chain<'c> {
    /// The variable that it begins with.
    root: Option<&'c str>,
    /// Whether its last link is set.
    to_write: bool,
}

impl<'k> Walk<'k> {
    /// A call without an object before it.
    pub fn call(&mut self, call: &FnCallExpr, at: Position) -> Type<'k> {
        let known = self.subject.known;
        let is_free = known.is_free(&call.name);
        let given: Vec<Type> =
            call.args.iter().map(|arg| if is_free { self.argument(arg) } else { self.expression(arg) }).collect();
        if let Some(operator) = &call.op_token {
            let is_claim = ["==", "!=", "<", ">", "<=", ">=", "!", "in", "!in"].contains(&operator.literal_syntax());
            return if is_claim { Type::Known("bool") } else { Type::Unknown };
        }
        if let Some(module) = call.namespace.path.first() {
            let is_deep = call.namespace.path.len() > 1;
            self.qualified_call(&module.name, is_deep, call, at);
            return Type::Unknown;
        }
        if Known::is_special(&call.name) {
            self.named_function(call);
            return Type::Unknown;
        }
        self.options(call);
        let facts = &self.subject.facts;
        let own: Vec<usize> = facts.free(&call.name).map(|f| f.params.len()).collect();
        if own.contains(&given.len()) || self.subject.source.lost.iter().any(|lost| *lost == *call.name) {
            return Type::Unknown;
        }
        let forms = known.forms(&call.name);
        let names: Vec<Option<&str>> = given.iter().map(|kind| kind.name()).collect();
        let mut fitting = forms.iter().filter(|form| form.takes(&names)).peekable();
        if fitting.peek().is_some() {
            if call.name == "target" {
                return self.subject.target.map_or(Type::Unknown, Type::Known);
            }
            return common(fitting.map(|form| form.returns.as_deref()));
        }
        if own.is_empty() && forms.is_empty() {
            self.unknown_function(&call.name, at);
        } else if forms.iter().any(|form| form.params.len() == given.len()) {
            self.wrong_types(&call.name, &names, forms.iter().map(|form| form.shown(&call.name)), at);
        } else {
            let counts = own.iter().copied().chain(forms.iter().map(|form| form.params.len()));
            let own = facts.free(&call.name).map(|f| format!("{}({})", f.name, f.params.join(", ")));
            let shown = own.chain(forms.iter().map(|form| form.shown(&call.name))).collect();
            self.wrong_count(&call.name, given.len(), counts.collect(), shown, at);
        }
        Type::Unknown
    }

    fn unknown_function(&mut self, name: &str, at: Position) {
        let facts = &self.subject.facts;
        let help = if self.is_variable(name) {
            Some(format!("`{name}` is a variable: a closure is called with `{name}.call(…)`"))
        } else if facts.functions.iter().any(|f| f.name == name) {
            Some(format!("it belongs to a type: call it on an object, `x.{name}(…)`"))
        } else {
            let own = facts.functions.iter().filter(|f| f.this_type.is_none()).map(|f| f.name.as_str());
            let near = self.subject.known.near_function(name, own).map(|near| format!("did you mean `{near}`?"));
            near.or_else(|| {
                let (near, is_property) = self.subject.known.near_member(name, None)?;
                let shown = if is_property { near.to_string() } else { format!("{near}(…)") };
                Some(format!("did you mean `.{shown}` of an object?"))
            })
        };
        self.report("unknown-function", at, format!("no function `{name}`"), help);
    }

    fn wrong_count(&mut self, name: &str, given: usize, mut counts: Vec<usize>, mut shown: Vec<String>, at: Position) {
        counts.sort_unstable();
        counts.dedup();
        shown.sort();
        shown.dedup();
        let all: Vec<String> = counts.iter().map(usize::to_string).collect();
        let takes = match all.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => all.join(""),
        };
        let plural = if takes == "1" { "" } else { "s" };
        let takes = if takes == "0" { "no".to_string() } else { takes };
        let what = format!("`{name}` takes {takes} argument{plural}, {given} given");
        self.report("wrong-arguments", at, what, Some(format!("it is {}", few(&shown))));
    }

    fn wrong_types(&mut self, name: &str, given: &[Option<&str>], shown: impl Iterator<Item = String>, at: Position) {
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown.dedup();
        let given: Vec<&str> = given.iter().map(|kind| kind.unwrap_or("any")).collect();
        let what = format!("`{name}` does not take ({})", given.join(", "));
        self.report("wrong-arguments", at, what, Some(format!("it is {}", few(&shown))));
    }

    /// `Fn("name")` names a function of the script.
    fn named_function(&mut self, call: &FnCallExpr) {
        if call.name == "Fn"
            && let [Expr::StringConstant(name, at)] = &call.args[..]
            && self.subject.facts.free(name).next().is_none()
            && self.subject.known.forms(name).is_empty()
            && !self.subject.source.lost.iter().any(|lost| *lost == **name)
        {
            self.unknown_function(name, *at);
        }
    }

    /// `module::function(…)`.
    fn qualified_call(&mut self, module: &str, is_deep: bool, call: &FnCallExpr, at: Position) {
        if is_deep || module == "global" {
            return;
        }
        let Some(import) = self.import(module, at) else { return };
        let counts: Vec<usize> = import.functions.iter().filter(|(name, _)| *name == *call.name).map(|(_, p)| p.len()).collect();
        if counts.contains(&call.args.len()) {
            return;
        }
        if counts.is_empty() {
            let near = name::did_you_mean(&call.name, import.functions.iter().map(|(name, _)| name.as_str()));
            self.report("unknown-function", at, format!("`{module}` has no function `{}`", call.name), near);
        } else {
            let of = import.functions.iter().filter(|(name, _)| *name == *call.name);
            let shown = of.map(|(name, params)| format!("{module}::{name}({})", params.join(", "))).collect();
            self.wrong_count(&format!("{module}::{}", call.name), call.args.len(), counts, shown, at);
        }
    }

    /// `module::NAME`.
    pub fn qualified_variable(&mut self, module: &str, name: &str, at: Position) -> Type<'k> {
        if module == "global" {
            let globals = &self.subject.facts.globals;
            if !globals.iter().any(|(global, is_constant)| *is_constant && global == name) {
                let help = match globals.iter().any(|(global, _)| global == name) {
                    true => Some(format!("only a constant is seen everywhere: write `const {name} = …;` at the file's level")),
                    false => name::did_you_mean(name, globals.iter().filter(|(_, c)| *c).map(|(n, _)| n.as_str())),
                };
                self.report("unknown-variable", at, format!("the file has no constant `{name}`"), help);
            }
            return Type::Unknown;
        }
        if let Some(import) = self.import(module, at)
            && !import.exports.contains(name)
        {
            let near = name::did_you_mean(name, import.exports.iter().map(String::as_str));
            let help = near.or_else(|| Some(format!("a module gives away what it exports: export const {name} = …;")));
            self.report("unknown-variable", at, format!("`{module}` exports no `{name}`"), help);
        }
        Type::Unknown
    }

    /// What an alias stands for; nothing when that cannot be known, or is told already.
    fn import(&mut self, alias: &str, at: Position) -> Option<&'k super::import::Imported> {
        let imports = &self.subject.facts.imports;
        if !imports.iter().any(|(known, ..)| known == alias) {
            let near = name::did_you_mean(alias, imports.iter().map(|(known, ..)| known.as_str()));
            let help = near.or_else(|| Some(format!("import \"path/of/{alias}\" as {alias};")));
            self.report("unknown-module", at, format!("no module `{alias}`"), help);
            return None;
        }
        self.subject.imports.get(alias).map(|found| &**found)
    }

    /// `a.b(c)[d].e`, from left to right.
    pub fn chain(&mut self, chain: &Expr, to_write: bool) -> Type<'k> {
        let (link, pair, flags) = match chain {
            Expr::Dot(pair, flags, _) => (Link::Dot, pair, flags),
            Expr::Index(pair, flags, _) => (Link::Index, pair, flags),
            _ => return Type::Unknown,
        };
        let root = match &pair.lhs {
            Expr::Variable(variable, ..) if variable.2.is_empty() => Some(variable.1.as_str()),
            _ => None,
        };
        let first = self.expression(&pair.lhs);
        self.link(&Chain { root, to_write }, first, link, &pair.rhs, *flags)
    }

    fn link(&mut self, chain: &Chain, on: Type<'k>, link: Link, rest: &Expr, flags: ASTFlags) -> Type<'k> {
        let (element, next) = match rest {
            Expr::Dot(pair, more, _) if !flags.contains(ASTFlags::BREAK) => (&pair.lhs, Some((Link::Dot, &pair.rhs, *more))),
            Expr::Index(pair, more, _) if !flags.contains(ASTFlags::BREAK) => (&pair.lhs, Some((Link::Index, &pair.rhs, *more))),
            other => (other, None),
        };
        // Of a type without any functions nothing is known.
        let on = if on.name().is_none_or(|kind| self.subject.known.has_type(kind)) { on } else { Type::Unknown };
        let given = match (link, element) {
            (Link::Dot, Expr::Property(property, at)) => self.property(on, &property.2, *at, chain.to_write && next.is_none()),
            (Link::Dot, Expr::MethodCall(call, at)) => self.method(on, chain.root, call, *at),
            (Link::Index, Expr::StringConstant(key, at)) if on == Type::Args => {
                self.argument_named(key, *at);
                Type::Unknown
            }
            (_, other) => {
                self.expression(other);
                Type::Unknown
            }
        };
        match next {
            Some((link, rest, flags)) => self.link(chain, given, link, rest, flags),
            None => given,
        }
    }

    fn property(&mut self, on: Type<'k>, name: &str, at: Position, to_write: bool) -> Type<'k> {
        let known = self.subject.known;
        let kind = match on {
            Type::Args => {
                if !to_write {
                    self.argument_named(name, at);
                }
                return Type::Unknown;
            }
            Type::Known("map") | Type::Unknown => return Type::Unknown,
            Type::Known(kind) => kind,
        };
        match known.property(name, kind, to_write) {
            Found::Readable(value) => return Type::of(value),
            Found::ReadOnly => {
                self.report("read-only-property", at, format!("`{name}` of {} cannot be set", shown_type(kind)), None);
            }
            Found::Missing => {
                let help = if known.methods(name, Some(kind)).next().is_some() {
                    Some(format!("it is a function: write `.{name}()`"))
                } else {
                    known.near_member(name, Some(kind)).map(|(near, is_property)| {
                        let shown = if is_property { near.to_string() } else { format!("{near}()") };
                        format!("did you mean `.{shown}`?")
                    })
                };
                self.report("unknown-property", at, format!("{} has no property `{name}`", shown_type(kind)), help);
            }
        }
        Type::Unknown
    }

    /// `args.name` and `arg("name")`.
    fn argument_named(&mut self, name: &str, at: Position) {
        let Some(args) = self.subject.args else { return };
        if args.contains_key(name) || self.subject.facts.set.contains(name) {
            return;
        }
        let near = name::did_you_mean(name, args.keys().map(Deref::deref));
        let help = near.or_else(|| Some(format!("add it to `args` in meta(): args: #{{ {name}: … }}")));
        self.report("unknown-argument", at, format!("the testcase has no argument `{name}`"), help);
    }

    fn method(&mut self, on: Type<'k>, root: Option<&str>, call: &FnCallExpr, at: Position) -> Type<'k> {
        let known = self.subject.known;
        let given: Vec<Type> = call.args.iter().map(|arg| self.expression(arg)).collect();
        self.race(root, call);
        if Known::is_special(&call.name) {
            return Type::Unknown;
        }
        self.options(call);
        let of = on.name();
        let subject = self.subject;
        let count = given.len();
        let own: Vec<&_> = subject
            .facts
            .functions
            .iter()
            .filter(|f| f.name == *call.name && f.this_type.as_deref().is_none_or(|t| of.is_none_or(|of| of == t)))
            .collect();
        let fits_own = own.iter().any(|f| f.params.len() == count || f.this_type.is_none() && f.params.len() == count + 1);
        let is_lost = subject.source.lost.iter().any(|lost| *lost == *call.name);
        // A map may hold a closure of that name.
        let is_key = of.is_none_or(|of| of == "map") && subject.may_hold(&call.name);
        let scripted = known.forms(&call.name).iter().any(|form| form.is_script && form.params.len() == count);
        if fits_own || is_lost || is_key || scripted {
            return Type::Unknown;
        }
        let mut names: Vec<Option<&str>> = vec![of];
        names.extend(given.iter().map(|kind| kind.name()));
        let mut fitting = known.forms(&call.name).iter().filter(|form| form.takes(&names)).peekable();
        if fitting.peek().is_some() {
            return common(fitting.map(|form| form.returns.as_deref()));
        }
        let mine: Vec<_> = known.methods(&call.name, of).collect();
        if own.is_empty() && mine.is_empty() {
            self.unknown_method(of, &call.name, at);
        } else if mine.iter().any(|form| form.params.len() == count + 1) {
            self.wrong_types(&call.name, &names[1..], mine.iter().map(|form| form.shown(&call.name)), at);
        } else {
            let counts = mine.iter().map(|form| form.params.len() - 1).chain(own.iter().map(|f| f.params.len())).collect();
            let mut shown: Vec<String> = mine.iter().map(|form| form.shown(&call.name)).collect();
            shown.extend(own.iter().map(|f| format!("{}({})", f.name, f.params.join(", "))));
            self.wrong_count(&call.name, count, counts, shown, at);
        }
        Type::Unknown
    }

    fn unknown_method(&mut self, of: Option<&str>, name: &str, at: Position) {
        let known = self.subject.known;
        let is_property =
            of.map_or_else(|| known.has_property(name), |of| !matches!(known.property(name, of, false), Found::Missing));
        let help = if is_property {
            Some(format!("it is a property: write `.{name}`"))
        } else {
            let own = self.subject.facts.functions.iter().map(|f| f.name.as_str());
            let near = known.near_member(name, of).map(|(near, is_property)| {
                let shown = if is_property { near.to_string() } else { format!("{near}(…)") };
                format!("did you mean `.{shown}`?")
            });
            near.or_else(|| name::nearest(name, own).map(|near| format!("did you mean `.{near}(…)`?")))
        };
        let what = match of {
            Some(of) => format!("{} has no function `{name}`", shown_type(of)),
            None => format!("nothing has a function `{name}`"),
        };
        self.report("unknown-method", at, what, help);
    }

    /// A closure may not mention the object whose method it is passed to: the engine has it locked.
    fn race(&mut self, root: Option<&str>, call: &FnCallExpr) {
        let Some(root) = root else { return };
        for captured in call.args.iter().filter_map(captures).flat_map(|(_, captured)| captured) {
            if let Expr::Variable(variable, _, at) = captured
                && variable.1 == root
            {
                let what = format!("the closure mentions `{root}`, which is in use while its `{}` runs", call.name);
                let help = format!("take what it needs as an argument, or copy it to another variable before: let copy = {root};");
                self.report("data-race", *at, what, Some(help));
            }
        }
    }

    /// Options that a call does not know, where they are written out.
    fn options(&mut self, call: &FnCallExpr) {
        let args = &call.args[..];
        if call.name == "arg"
            && let [Expr::StringConstant(name, at)] = args
        {
            self.argument_named(name, *at);
        }
        if self.subject.facts.functions.iter().any(|f| f.name == call.name) {
            return;
        }
        let maps = args.iter().enumerate().filter_map(|(at, arg)| if let Expr::Map(map, _) = arg { Some((at, map)) } else { None });
        for (at, map) in maps {
            let known = self.subject.known.options(&call.name, args.len(), at);
            for (key, _) in map.0.iter().filter(|_| !known.is_empty()) {
                if !known.contains(&key.name.as_str()) {
                    let help = name::did_you_mean(&key.name, known.iter().copied());
                    self.report("unknown-option", key.pos, format!("`{}` has no option `{}`", call.name, key.name), help);
                }
            }
        }
    }
}

/// The type that all give.
fn common<'k>(mut all: impl Iterator<Item = Option<&'k str>>) -> Type<'k> {
    let first = all.next().flatten();
    if all.all(|other| other == first) { Type::of(first) } else { Type::Unknown }
}

/// Some ways to call something, not a page of them.
fn few(shown: &[String]) -> String {
    const MOST: usize = 4;
    let more = if shown.len() > MOST { format!(", … ({} forms)", shown.len()) } else { String::new() };
    format!("{}{more}", shown.iter().take(MOST).cloned().collect::<Vec<_>>().join(", "))
}

/// "a text", "a Guest".
fn shown_type(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}
