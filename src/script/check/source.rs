//! The text of a script: where its functions stand, and reading on behind a syntax error.

use super::super::engine::Scripts;
use crate::diagnostic::Diagnostic;
use rhai::{AST, Engine, ParseError, ParseErrorType, Position};

/// After so many syntax errors in one file the rest is not worth telling.
const MOST_ERRORS: usize = 20;

/// The head of a function as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub name: String,
    pub this_type: Option<String>,
    pub params: Vec<String>,
    pub is_private: bool,
    /// Of the name.
    pub position: Position,
}

/// A script as far as it could be read.
pub struct Source {
    pub ast: AST,
    pub heads: Vec<Head>,
    /// Syntax errors, one for each function that has one.
    pub errors: Vec<Diagnostic>,
    /// Functions that could not be read: their names count, their bodies do not.
    pub lost: Vec<String>,
    /// Something was wrong that the engine would refuse: names have to be looked at one by one.
    pub is_lenient: bool,
}

/// Reads a script; what the engine refuses is told and left out.
pub fn read(scripts: &Scripts, engine: &Engine, name: &str, text: &str) -> Source {
    let heads = heads(text);
    let mut source = Source { ast: AST::empty(), heads, errors: Vec::new(), lost: Vec::new(), is_lenient: false };
    match engine.compile(text) {
        Ok(ast) => source.ast = ast,
        Err(_) => {
            source.is_lenient = true;
            let mut lenient = scripts.bare_engine();
            lenient.set_strict_variables(false);
            source.recover(&lenient, name, text);
        }
    }
    source.ast.set_source(name);
    source
}

impl Source {
    /// Reads without looking at names; a function with a syntax error is taken out, and the rest is read again.
    fn recover(&mut self, engine: &Engine, name: &str, text: &str) {
        let mut rest = text.to_string();
        loop {
            let error = match engine.compile(&rest) {
                Ok(ast) => {
                    self.ast = ast;
                    return;
                }
                Err(error) => error,
            };
            let (error, culprit) = self.placed(name, text, &error);
            self.errors.push(error);
            let Some(culprit) = culprit.filter(|_| self.errors.len() < MOST_ERRORS) else { return };
            let from = self.heads[culprit].position.line().unwrap_or(1);
            let to = self.heads[culprit..].iter().filter_map(|next| next.position.line()).find(|line| *line > from);
            let Some(shorter) = without(&rest, from, to) else { return };
            let is_out = |head: &&Head| head.position.line().is_some_and(|l| l >= from && to.is_none_or(|to| l < to));
            self.lost.extend(self.heads.iter().filter(is_out).map(|head| head.name.clone()));
            rest = shorter;
        }
    }

    /// The error in its place, and the function to go on without.
    fn placed(&self, name: &str, text: &str, error: &ParseError) -> (Diagnostic, Option<usize>) {
        let mut found = crate::script::syntax::syntax(name, text, error);
        let line = found.place.line;
        let before = |line: usize| self.heads.iter().rposition(|h| h.position.line().is_some_and(|l| l <= line));
        let mut culprit = before(line);
        // A function that begins inside another: the other was not ended.
        let is_open = matches!(&*error.0, ParseErrorType::WrongFnDefinition) && line > 1;
        if is_open && let Some(open) = before(line - 1) {
            culprit = Some(open);
            let head = &self.heads[open];
            found.message = format!("the function `{}` is not ended before the next one begins", head.name);
            let begun = head.position.line().unwrap_or(0);
            found.help = Some(format!("a `}}` is missing in the function that begins on line {begun}"));
        }
        (found, culprit)
    }
}

/// The text with the lines `from` to before `to` emptied, so that all positions stay; nothing when they were empty before.
fn without(text: &str, from: usize, to: Option<usize>) -> Option<String> {
    // Its doc comment goes with it: one that belongs to nothing is an error of its own.
    let lines: Vec<&str> = text.lines().collect();
    let docs = lines[..from - 1].iter().rev().take_while(|line| line.trim_start().starts_with("///")).count();
    let from = from - docs;
    let is_out = |number: usize| number >= from && to.is_none_or(|to| number < to);
    let mut removed = false;
    let mut rest = String::with_capacity(text.len());
    for (index, line) in lines.into_iter().enumerate() {
        if is_out(index + 1) {
            removed |= !line.trim().is_empty();
        } else {
            rest.push_str(line);
        }
        rest.push('\n');
    }
    removed.then_some(rest)
}

/// The heads of the functions, in order.
pub fn heads(text: &str) -> Vec<Head> {
    let code = code_of(text);
    let mut found = Vec::new();
    let mut before = "";
    let mut line = 1;
    let mut line_start = 0;
    let mut at = 0;
    while let Some(skip) = code[at..].find(|c: char| is_word(c) || c == '\n') {
        at += skip;
        if code[at..].starts_with('\n') {
            at += 1;
            line += 1;
            line_start = at;
            continue;
        }
        let end = code[at..].find(|c| !is_word(c)).map_or(code.len(), |length| at + length);
        let word = &code[at..end];
        if word == "fn"
            && let Some(mut head) = head(&code[end..], before == "private")
        {
            // The position of the name, which stands on the same line as `fn` in all but the oddest texts.
            let from = end + code[end..].find(head.name.as_str()).unwrap_or(0);
            let column = code.get(line_start..from).map_or(1, |before| before.chars().count() + 1);
            head.position = Position::new(small(line), small(column));
            found.push(head);
        }
        before = word;
        at = end;
    }
    found
}

/// What follows the word `fn`: `Guest.name(a, b)`.
fn head(rest: &str, is_private: bool) -> Option<Head> {
    let (title, rest) = rest.split_once('(')?;
    let title = title.trim();
    let (this_type, name) = title.rsplit_once('.').map_or((None, title), |(of, name)| (Some(of.trim()), name.trim()));
    if name.is_empty() || !name.chars().all(is_word) {
        return None;
    }
    let params = rest.split(')').next().unwrap_or_default();
    let params = params.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_string).collect();
    let this_type = this_type.map(str::to_string);
    Some(Head { name: name.into(), this_type, params, is_private, position: Position::NONE })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// What a reader of code is in the middle of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    /// Code, in so many open braces.
    Code(usize),
    /// A text in back-quotes, which may hold code in `${}`.
    Template,
}

/// The text with its comments and texts made blank: every character that is left stands where it stood.
fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = vec![Inside::Code(0)];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_text = inside.len() > 1;
        let taken = match inside.last_mut() {
            Some(Inside::Template) => match first {
                '`' if rest.starts_with("``") => 2,
                '`' => {
                    inside.pop();
                    1
                }
                '$' if rest.starts_with("${") => {
                    inside.push(Inside::Code(0));
                    2
                }
                other => other.len_utf8(),
            },
            Some(Inside::Code(braces)) => match first {
                '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => comment(rest),
                '"' | '\'' => quoted(rest, first),
                '`' => {
                    inside.push(Inside::Template);
                    1
                }
                '}' if *braces == 0 && is_text => {
                    inside.pop();
                    1
                }
                other => {
                    match other {
                        '{' => *braces += 1,
                        '}' => *braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    // Only code that is not inside a text is kept: no function begins in `${}`.
                    out.push(if is_text && other != '\n' { ' ' } else { other });
                    rest = &rest[other.len_utf8()..];
                    continue;
                }
            },
            None => return out,
        };
        let (blank, after) = rest.split_at(taken);
        out.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = after;
    }
    out
}

/// The length of a block comment; they nest.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a text in quotes, which ends with its line at the latest: what follows an open one is not to be lost.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' if !escaped => return at,
            c if c == quote && !escaped => return at + 1,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_code_only() {
        for (text, expected) in [
            ("fn run(args) { }", "run(args)@1:4"),
            ("fn a() { } private fn b( x,y ) { }", "a()@1:4 private b(x,y)@1:23"),
            ("fn Guest.boot(how) { }", "Guest.boot(how)@1:10"),
            ("// fn a() { }\n/* fn b() { /* fn c() */ fn d() */ fn e(\n  one,\n  two\n) { }", "e(one,two)@2:39"),
            ("let x = \"fn a()\"; let y = `fn b() ${\"`}\" + fn_of(`fn c()`)} fn d()`;\nfn e() { }", "e()@2:4"),
            ("let x = 'x'; let q = \"\\\" fn a()\"; fn b() { }", "b()@1:38"),
            ("let open = \"fn a() {\nfn b() { }", "b()@2:4"),
            ("let é = \"ü\"; fn b() { }", "b()@1:17"),
            ("let fnord = 1; fn", ""),
        ] {
            let shown = heads(text).into_iter().map(|h| {
                let of = h.this_type.map(|t| format!("{t}.")).unwrap_or_default();
                let private = if h.is_private { "private " } else { "" };
                format!("{private}{of}{}({})@{:?}", h.name, h.params.join(","), h.position)
            });
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }
}
