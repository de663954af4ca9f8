//! Where reading stands: the variables that are known there, and what was found wrong.

use super::reference::{self, Piece};
use super::source::Source;
use super::xml::{Attribute, Element};
use crate::diagnostic::{At, Diagnostic, Severity};
use crate::name::{did_you_mean, nearest};
use crate::unit::{parse_boolean, parse_duration};
use crate::vars::{Layer, Variables};
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// How what is wrong with a file is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything wrong is an error, and nothing runs.
    #[default]
    Strict,
    /// For old files: what can be passed over is a warning.
    Lenient,
}

/// More wrong things than anyone reads are not told.
const MOST_TOLD: usize = 500;
/// One text with everything put in, and all of them together. Loops in loops could double a text each time.
const LONGEST_TEXT: usize = 1 << 20;
const MOST_TEXT: usize = 64 << 20;

/// What an element may have. All else is told.
pub struct Form {
    pub attributes: &'static [&'static str],
    /// Nothing when the names of the children are free.
    pub children: Option<&'static [&'static str]>,
    pub text: bool,
}

/// What `${NAME}` means.
#[derive(Clone, Debug)]
struct Param {
    value: String,
    /// It was expanded when it was set; a percent sign that is still in it is text.
    is_settled: bool,
}

/// Parameters as they were before others were put over them.
#[must_use]
pub struct Overlaid(Vec<(String, Option<Param>)>);

/// Where reading stands.
pub struct Scope<'a> {
    pub mode: Mode,
    source: Source,
    params: BTreeMap<String, Param>,
    /// What `%NAME%` means.
    pub variables: &'a mut Variables,
    pub found: &'a mut Vec<Diagnostic>,
    /// Bytes of text that were made.
    made: usize,
}

/// A text with its references put in.
pub struct Expanded {
    pub text: String,
    /// Whether everything that it refers to is known.
    pub is_known: bool,
}

impl<'a> Scope<'a> {
    /// The beginning of a file.
    pub fn new(mode: Mode, source: Source, variables: &'a mut Variables, found: &'a mut Vec<Diagnostic>) -> Scope<'a> {
        Scope { mode, source, params: BTreeMap::new(), variables, found, made: 0 }
    }

    /// The file that is read.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Goes on with another file. Gives the one before.
    pub fn set_source(&mut self, source: Source) -> Source {
        std::mem::replace(&mut self.source, source)
    }

    /// `<default>` at the top of a sequence: what is already known by that name goes before the value given.
    pub fn set_default(&mut self, name: &str, value: &str, at: At) {
        let origin = format!("{}:{}", self.source.file(), at.line);
        if let Err(error) = self.variables.set_from(Layer::Default, name, value, origin) {
            self.wrong("bad-variable", at, error.what, error.help);
        }
        // A value from elsewhere may refer to other variables; what is written here is taken as it stands.
        let value = match self.variables.origin(name) {
            Some((layer, _)) if layer > Layer::Default => self.variables.lookup(name).unwrap_or_else(|error| {
                self.wrong("bad-variable", at, error.what, error.help);
                None
            }),
            _ => None,
        }
        .unwrap_or_else(|| value.to_string());
        self.params.insert(name.to_string(), Param { value, is_settled: false });
    }

    /// Sets a parameter for the rest of what is read.
    pub fn set_param(&mut self, name: &str, value: String) {
        self.params.insert(name.to_string(), Param { value, is_settled: true });
    }

    /// Puts these parameters over those that are set. Gives what they were before, for [`Scope::restore`].
    pub fn set_params(&mut self, params: Vec<(String, String)>) -> Overlaid {
        let set = |(name, value): (String, String)| {
            let before = self.params.insert(name.clone(), Param { value, is_settled: true });
            (name, before)
        };
        Overlaid(params.into_iter().map(set).collect())
    }

    /// Takes parameters away again.
    pub fn restore(&mut self, before: Overlaid) {
        // Backwards, as one name may be there twice.
        for (name, before) in before.0.into_iter().rev() {
            match before {
                Some(before) => self.params.insert(name, before),
                None => self.params.remove(&name),
            };
        }
    }

    /// A text with its `${X}` and `%X%` put in. What is unknown is told and left as it is.
    pub fn expand(&mut self, text: &str, at: At) -> String {
        self.expanded(text, at).text
    }

    /// The same, and whether everything in it was known.
    pub fn expanded(&mut self, text: &str, at: At) -> Expanded {
        let mut is_known = true;
        if !text.contains(['$', '%']) {
            return Expanded { text: self.bounded(text.to_string(), at), is_known };
        }
        let (text, literal) = self.put_params(text, at, &mut is_known);
        let text = self.put_variables(&text, &literal, at, &mut is_known);
        Expanded { text: self.bounded(text, at), is_known }
    }

    /// The text with its parameters, and where in it nothing more is to be put in.
    fn put_params(&mut self, text: &str, at: At, is_known: &mut bool) -> (String, Vec<Range<usize>>) {
        let (mut out, mut literal) = (String::with_capacity(text.len()), Vec::new());
        for piece in reference::parameters(text) {
            if out.len() > LONGEST_TEXT {
                break;
            }
            match piece {
                Piece::Text(text) | Piece::Variable(text) => out.push_str(text),
                Piece::Unclosed(text) => {
                    *is_known = false;
                    let help = Some("write `$${` for a `${` that is text".to_string());
                    self.wrong("unknown-parameter", at, format!("`{}` has no `}}`", short(text)), help);
                    out.push_str(text);
                }
                Piece::Parameter(name) => match self.params.get(name) {
                    Some(param) => {
                        if param.is_settled {
                            literal.push(out.len()..out.len() + param.value.len());
                        }
                        out.push_str(&param.value);
                    }
                    None => {
                        *is_known = false;
                        self.unknown_param(name, at);
                        let begin = out.len();
                        out.push_str(&format!("${{{name}}}"));
                        literal.push(begin..out.len());
                    }
                },
            }
        }
        (out, literal)
    }

    fn put_variables(&mut self, text: &str, literal: &[Range<usize>], at: At, is_known: &mut bool) -> String {
        let mut out = String::with_capacity(text.len());
        for piece in reference::variables(text, literal) {
            match piece {
                _ if out.len() > LONGEST_TEXT => break,
                Piece::Variable(name) => match self.variables.lookup(name) {
                    Ok(Some(value)) => out.push_str(&value),
                    missing => {
                        *is_known = false;
                        match missing {
                            Err(error) => self.wrong("bad-variable", at, error.what, error.help),
                            Ok(_) => self.unknown_variable(name, at),
                        }
                        out.push_str(&format!("%{name}%"));
                    }
                },
                Piece::Text(text) | Piece::Parameter(text) | Piece::Unclosed(text) => out.push_str(text),
            }
        }
        out
    }

    fn unknown_param(&mut self, name: &str, at: At) {
        self.wrong_with("unknown-parameter", at, format!("nothing gives `${{{}}}` a value here", short(name)), |scope| {
            if scope.variables.get(name).is_some() {
                return Some(format!("it is a variable: write `%{name}%`, or give it a `<default>`"));
            }
            did_you_mean(name, scope.params.keys().map(String::as_str))
                .or_else(|| Some("give it a `<default>`; `${` that is text is written `$${`".to_string()))
        });
    }

    fn unknown_variable(&mut self, name: &str, at: At) {
        self.wrong_with("unknown-variable", at, format!("there is no variable `{}`", short(name)), |scope| {
            let path = name.replace(':', "/");
            if scope.params.contains_key(name) {
                return Some(format!("it is a parameter: write `${{{name}}}`"));
            }
            nearest(&path, scope.variables.names()).map(|near| format!("did you mean `%{}%`?", near.replace('/', ":"))).or_else(
                || Some(format!("set it in `<variables>` or with -D {path}=…; a percent sign that is text is written `%%`")),
            )
        });
    }

    /// Keeps texts within bounds: what is behind them is an error in both modes.
    fn bounded(&mut self, mut text: String, at: At) -> String {
        self.made = self.made.saturating_add(text.len());
        if text.len() > LONGEST_TEXT {
            self.fatal("too-large", at, format!("with everything put in, this text has more than {} MB", LONGEST_TEXT >> 20), None);
            text.clear();
        }
        if self.made > MOST_TEXT {
            let help = Some("make fewer rounds, or shorter texts".to_string());
            self.fatal("too-large", at, format!("the texts of the sequence come to more than {} MB", MOST_TEXT >> 20), help);
            text.clear();
        }
        text
    }

    /// Whether a limit was passed, so that reading on makes no sense.
    pub fn is_exhausted(&self) -> bool {
        self.made > MOST_TEXT
    }
}

/// What an element says.
impl Scope<'_> {
    /// The value of an attribute, variables put in. An empty one is none.
    pub fn attribute(&mut self, element: &Element, name: &str) -> Option<String> {
        let Attribute { value, at, .. } = element.attribute(name)?;
        Some(self.expand(value, *at)).filter(|value| !value.is_empty())
    }

    /// The same, of an attribute without which the element makes no sense.
    pub fn required(&mut self, element: &Element, name: &str) -> Option<String> {
        let value = self.attribute(element, name);
        if value.is_none() {
            let at = element.place_of(name);
            self.wrong("missing-attribute", at, format!("`<{}>` needs an attribute `{name}`", element.name), None);
        }
        value
    }

    /// The text in an element, variables put in.
    pub fn text(&mut self, element: &Element) -> String {
        self.expand(&element.text, element.text_at)
    }

    /// A yes or no; see [`parse_boolean`] for the words. In lenient mode the first letter is enough, as it was for the original.
    pub fn boolean(&mut self, element: &Element, name: &str) -> Option<bool> {
        let text = self.attribute(element, name)?;
        match parse_boolean(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong("not-a-boolean", element.place_of(name), format!("`{name}`: {}", error.what), error.help);
                match text.trim().chars().next().map(|c| c.to_ascii_lowercase()) {
                    Some('y' | 't' | 'e' | '1') => Some(true),
                    Some('n' | 'f' | 'd' | '0') => Some(false),
                    _ => None,
                }
            }
        }
    }

    /// Whether what follows is not to run when this does not pass.
    ///
    /// # Source
    /// The original reads the digits the other way round: 0 is yes, and 1 is no. They are refused, and in lenient mode read as it does.
    pub fn blocker(&mut self, element: &Element) -> Option<bool> {
        let text = self.attribute(element, "blocker")?;
        let digit = match text.trim() {
            "0" => true,
            "1" => false,
            _ => return self.boolean(element, "blocker"),
        };
        let word = if digit { "yes" } else { "no" };
        let message = format!("`blocker`: the digit {} means {word} in old files", text.trim());
        self.wrong(
            "blocker-digit",
            element.place_of("blocker"),
            message,
            Some(format!("write blocker=\"{word}\", or the other if you meant it")),
        );
        Some(digit)
    }

    /// A number, in the range of its type.
    pub fn number<T: FromStr>(&mut self, element: &Element, name: &str) -> Option<T> {
        let text = self.attribute(element, name)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            let help = Some("write a whole number from 0 up".to_string());
            self.wrong("not-a-number", element.place_of(name), format!("`{name}`: `{}` is not a number", short(&text)), help);
        }
        number
    }

    /// A number that need not be whole.
    pub fn decimal(&mut self, element: &Element, name: &str) -> Option<f64> {
        let text = self.attribute(element, name)?;
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.wrong("not-a-number", element.place_of(name), format!("`{name}`: `{}` is not a number", short(&text)), None);
        }
        number
    }

    /// A length of time, in seconds or with units.
    pub fn duration(&mut self, element: &Element, name: &str) -> Option<Duration> {
        let text = self.attribute(element, name)?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.wrong("not-a-duration", element.place_of(name), format!("`{name}`: {}", error.what), error.help);
                None
            }
        }
    }

    /// Tells every attribute, child and text that the form does not have.
    pub fn check(&mut self, element: &Element, form: &Form) {
        for Attribute { name, name_at, .. } in &element.attributes {
            if !form.attributes.contains(&name.as_str()) {
                let message = format!("`<{}>` has no attribute `{}`", element.name, short(name));
                self.wrong_with("unknown-attribute", *name_at, message, |_| match form.attributes {
                    [] => Some("it has no attributes".to_string()),
                    attributes => did_you_mean(name, attributes.iter().copied()),
                });
            }
        }
        if let Some(children) = form.children {
            for child in element.children.iter().filter(|c| !children.contains(&c.name.as_str())) {
                let message = format!("there is no `<{}>` in `<{}>`", short(&child.name), element.name);
                self.wrong_with("unknown-element", child.at, message, |_| match children {
                    [] => Some("nothing can be in it".to_string()),
                    children => did_you_mean(&child.name, children.iter().copied()),
                });
            }
        }
        if !form.text && !element.text.is_empty() {
            let message = format!("text in `<{}>` means nothing: {:?}", element.name, short(&element.text));
            self.wrong("stray-text", element.text_at, message, None);
        }
    }
}

/// What is told.
impl Scope<'_> {
    /// Tells something that is wrong: an error in strict mode, a warning in lenient mode.
    pub fn wrong(&mut self, rule: &'static str, at: At, message: impl Into<String>, help: Option<String>) {
        self.say(self.usual(), rule, at, message.into(), |_| help);
    }

    /// The same, with a help that is only worked out where it is told: a loop comes by very often.
    fn wrong_with(&mut self, rule: &'static str, at: At, message: String, help: impl FnOnce(&Self) -> Option<String>) {
        self.say(self.usual(), rule, at, message, help);
    }

    /// Tells something that is an error in both modes.
    pub fn fatal(&mut self, rule: &'static str, at: At, message: impl Into<String>, help: Option<String>) {
        self.say(Severity::Error, rule, at, message.into(), |_| help);
    }

    /// Tells something that is a warning in both modes.
    pub fn warn(&mut self, rule: &'static str, at: At, message: impl Into<String>, help: Option<String>) {
        self.say(Severity::Warning, rule, at, message.into(), |_| help);
    }

    fn say(&mut self, severity: Severity, rule: &'static str, at: At, message: String, help: impl FnOnce(&Self) -> Option<String>) {
        let is_same = |d: &Diagnostic| {
            (d.rule, d.place.line, d.place.column) == (rule, at.line, at.column)
                && d.message == message
                && d.place.file == self.source.file()
        };
        if self.has_room(severity) && !self.found.iter().any(is_same) {
            let help = help(self);
            self.tell(Diagnostic { severity, ..self.source.error(rule, at, message).help(help) });
        }
    }

    /// Tells what was found elsewhere. Not without end: behind the limit there is one more, which says so.
    pub fn tell(&mut self, diagnostic: Diagnostic) {
        if self.found.len() != MOST_TOLD {
            if self.has_room(diagnostic.severity) && !self.found.contains(&diagnostic) {
                self.found.push(diagnostic);
            }
            return;
        }
        let message = format!("more than {MOST_TOLD} things are wrong; the rest is not told");
        let more = Diagnostic { severity: self.usual(), ..self.source.error("more", At::default(), message) };
        self.found.push(more);
        self.tell(diagnostic);
    }

    /// An error is never left out when there is none yet: without it the sequence would run.
    fn has_room(&self, severity: Severity) -> bool {
        let is_first = || severity == Severity::Error && self.found.iter().all(|d| d.severity == Severity::Warning);
        self.found.len() <= MOST_TOLD || is_first()
    }

    fn usual(&self) -> Severity {
        if self.mode == Mode::Lenient { Severity::Warning } else { Severity::Error }
    }
}

/// The beginning of a text, for a message.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    /// What reading with a scope gives, and the headlines of what it told.
    fn told<T>(mode: Mode, text: &str, read: impl FnOnce(&mut Scope<'_>, &Element) -> T) -> (T, Vec<String>) {
        let (mut variables, mut found) = (Variables::default(), Vec::new());
        variables.set(Layer::Flag, "FLAG", "from -D").unwrap();
        variables.set(Layer::Sequence, "FLAG", "from the sequence").unwrap();
        variables.set(Layer::Site, "LISTS/odd", "1,3,5").unwrap();
        let root = xml::read("x", text).unwrap();
        let mut scope = Scope::new(mode, Source::new("x", text), &mut variables, &mut found);
        scope.set_default("DEFAULT", "a %FLAG% b", At::default());
        scope.set_default("FLAG", "from <default>", At::default());
        scope.set_param("LOOP", "50%FLAG%".into());
        let value = read(&mut scope, &root);
        (value, found.iter().map(|d| d.headline() + d.help.as_ref().map_or("", |h| h)).collect())
    }

    #[test]
    fn references_are_put_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${FLAG} %FLAG%", "from -D from -D"),
            ("${DEFAULT}", "a from -D b"),
            ("${LOOP}", "50%FLAG%"),
            ("%LISTS:odd%", "1,3,5"),
            ("between 50% and 60% of %LISTS/odd%", "between 50% and 60% of 1,3,5"),
            ("$${HOME} %%TEMP%%", "${HOME} %TEMP%"),
        ] {
            let (value, found) = told(Mode::Strict, "<a/>", |scope, _| scope.expand(text, At::default()));
            assert_eq!((value.as_str(), found), (expected, vec![]), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_is_told_and_left() {
        for (text, expected) in [
            ("${LOP}", "x:1:2: error: nothing gives `${LOP}` a value here [unknown-parameter]did you mean `LOOP`?"),
            (
                "${LISTS:odd}",
                "x:1:2: error: nothing gives `${LISTS:odd}` a value here [unknown-parameter]it is a variable: write `%LISTS:odd%`, or give it \
                 a `<default>`",
            ),
            ("${LOOP", "x:1:2: error: `${LOOP` has no `}` [unknown-parameter]write `$${` for a `${` that is text"),
            ("%FLAGS%", "x:1:2: error: there is no variable `FLAGS` [unknown-variable]did you mean `%FLAG%`?"),
            ("%LISTS:od%", "x:1:2: error: there is no variable `LISTS:od` [unknown-variable]did you mean `%LISTS:odd%`?"),
            ("%LOOP%", "x:1:2: error: there is no variable `LOOP` [unknown-variable]it is a parameter: write `${LOOP}`"),
        ] {
            let at = At { line: 1, column: 2 };
            let (value, found) = told(Mode::Strict, "<a/>", |scope, _| {
                scope.expand(text, at);
                scope.expand(text, at)
            });
            assert_eq!((value.as_str(), found), (text, vec![expected.to_string()]), "told once");
        }
        let (_, found) = told(Mode::Lenient, "<a/>", |scope, _| scope.expand("${X}", At::default()));
        assert!(found[0].starts_with("x: warning: "), "{found:?}");
    }

    #[test]
    fn parameters_end_with_what_they_were_given_for() {
        let (values, _) = told(Mode::Strict, "<a/>", |scope, _| {
            let twice = vec![("LOOP".to_string(), "1".to_string()), ("LOOP".to_string(), "2".to_string())];
            let outer = scope.set_params(twice);
            let inner = scope.expand("${LOOP}", At::default());
            scope.restore(outer);
            (inner, scope.expand("${LOOP}", At::default()))
        });
        assert_eq!(values, ("2".into(), "50%FLAG%".into()));
    }

    #[test]
    fn values_have_types() {
        let text = "<a yes='Yes' odd='yep' n='7' minus='-1' limit='10m' never='soon' empty=''/>";
        let (values, found) = told(Mode::Lenient, text, |scope, root| {
            let booleans = ["yes", "odd", "empty", "absent"].map(|name| scope.boolean(root, name));
            let numbers = ["n", "minus", "empty"].map(|name| scope.number::<u32>(root, name));
            let limits = ["limit", "never", "empty"].map(|name| scope.duration(root, name));
            let needed = ["n", "empty", "absent"].map(|name| scope.required(root, name).is_some());
            (booleans, numbers, limits, needed)
        });
        assert_eq!(values.0, [Some(true), Some(true), None, None]);
        assert_eq!(values.1, [Some(7), None, None]);
        assert_eq!(values.2, [Some(Duration::from_secs(600)), None, None]);
        assert_eq!(values.3, [true, false, false]);
        assert_eq!(
            found,
            [
                "x:1:19: warning: `odd`: `yep` is neither yes nor no [not-a-boolean]write yes or no",
                "x:1:37: warning: `minus`: `-1` is not a number [not-a-number]write a whole number from 0 up",
                "x:1:60: warning: `never`: `soon` is not a duration: expected number at 0 [not-a-duration]write it as 90, 10m, 4h or 1h30m",
                "x:1:73: warning: `<a>` needs an attribute `empty` [missing-attribute]",
                "x:1:1: warning: `<a>` needs an attribute `absent` [missing-attribute]",
            ]
        );
    }

    #[test]
    fn what_a_form_does_not_have_is_told() {
        const FORM: Form = Form { attributes: &["name", "value"], children: Some(&["arg"]), text: false };
        let (_, found) = told(Mode::Strict, "<a name='1' valu='2'>hello<arg/><args/></a>", |scope, root| scope.check(root, &FORM));
        assert_eq!(
            found,
            [
                "x:1:13: error: `<a>` has no attribute `valu` [unknown-attribute]did you mean `value`?",
                "x:1:33: error: there is no `<args>` in `<a>` [unknown-element]did you mean `arg`?",
                "x:1:22: error: text in `<a>` means nothing: \"hello\" [stray-text]",
            ]
        );
    }

    #[test]
    fn what_is_told_and_what_is_made_have_an_end() {
        let (_, found) = told(Mode::Lenient, "<a/>", |scope, _| {
            for line in 0..2000 {
                scope.wrong("r", At { line, column: 1 }, "wrong", None);
            }
            scope.fatal("f", At::default(), "an error", None);
        });
        assert_eq!(found.len(), MOST_TOLD + 2, "what is told, that there is more, and the error");
        assert_eq!(found.last().map(String::as_str), Some("x: error: an error [f]"));

        let (text, found) = told(Mode::Lenient, "<a/>", |scope, _| {
            let mut text = "x".repeat(1000);
            for _ in 0..20 {
                scope.set_param("A", text);
                text = scope.expand("${A}${A}", At::default());
            }
            text
        });
        assert_eq!(
            (text.as_str(), found),
            ("", vec!["x: error: with everything put in, this text has more than 1 MB [too-large]".into()])
        );

        let (exhausted, found) = told(Mode::Lenient, "<a/>", |scope, _| {
            let rounds =
                (0..).take_while(|_| !scope.is_exhausted() && !scope.expand(&"x".repeat(1 << 19), At::default()).is_empty());
            rounds.count()
        });
        assert_eq!((exhausted, found.len()), (128, 1));
    }
}
