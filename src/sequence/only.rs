//! The expressions of `--only`: `tag:smoke & !group:net*`.
//!
//! A term is a pattern with `*`, `?`, `[a-z]` and `{this,that}`, over the id, the name or the testcase, or over what its key says. Terms
//! are put together with `&`, `|`, `!` and parentheses; `&` binds before `|`. A text in double quotes may hold any of these characters.

use super::filter::Named;
use crate::error::{Blame, Error, Kind, Result};
use crate::name::did_you_mean;
use globset::{Glob, GlobMatcher};
use std::fmt;
use std::str::FromStr;

/// The keys and what they look at, for the help.
pub const KEYS: &[(&str, &str)] = &[
    ("group", "the group"),
    ("id", "the whole id: group/name, with #2 on the second of a name"),
    ("name", "the name without the group"),
    ("prio", "the priority: prio:1, prio:<=2, prio:>2"),
    ("sku", "the SKU"),
    ("tag", "a tag in the meta() of the testcase"),
    ("tc", "the ticket of its definition"),
    ("testcase", "the testcase: benchmarks/iometer"),
    ("type", "the type that --skiptype looks at"),
];

/// How deep parentheses and `!` may be nested.
const DEEPEST: usize = 64;

/// An expression over testcases.
#[derive(Clone, Debug)]
pub struct Only {
    text: String,
    root: Term,
}

#[derive(Clone, Debug)]
enum Term {
    Any(Vec<Term>),
    All(Vec<Term>),
    Not(Box<Term>),
    /// As written, the key (or nothing), and the pattern.
    Pattern(String, Option<&'static str>, GlobMatcher),
    Priority(Comparison, u32),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Less,
    LessOrSame,
    Same,
    MoreOrSame,
    More,
}

impl Only {
    /// Whether a testcase is selected.
    pub fn takes(&self, case: &Named<'_>) -> bool {
        self.root.takes(case)
    }

    /// The patterns that none of these testcases has: what is wrong, and help.
    pub fn idle(&self, cases: &[Named<'_>]) -> Vec<(String, Option<String>)> {
        let mut idle = Vec::new();
        self.root.each_pattern(&mut |written, key, pattern| {
            if cases.iter().any(|case| is_matched(key, pattern, case)) {
                return;
            }
            let mut all: Vec<&str> = cases.iter().flat_map(|case| values(key, case)).collect();
            all.sort_unstable();
            all.dedup();
            let wanted = pattern.glob().glob();
            let help = did_you_mean(wanted, all.iter().copied()).filter(|_| !wanted.contains(['*', '?', '[', '{']));
            let whole = if written == self.text { String::new() } else { format!(" of `--only '{}'`", self.text) };
            let written = if whole.is_empty() { format!("--only '{written}'") } else { written.to_string() };
            idle.push((format!("`{written}`{whole} matches no testcase here"), help));
        });
        idle
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Only {
    type Err = Error;

    fn from_str(text: &str) -> Result<Only> {
        let mut reader = Reader { text, rest: text, depth: 0 };
        let root = reader.any()?;
        match reader.peek() {
            None => Ok(Only { text: text.trim().to_string(), root }),
            Some(')') => Err(reader.wrong("this closes no parenthesis")),
            Some(_) => Err(reader.wrong("expected `&` (and) or `|` (or) before this")),
        }
    }
}

impl Term {
    fn takes(&self, case: &Named<'_>) -> bool {
        match self {
            Term::Any(terms) => terms.iter().any(|term| term.takes(case)),
            Term::All(terms) => terms.iter().all(|term| term.takes(case)),
            Term::Not(term) => !term.takes(case),
            Term::Pattern(_, key, pattern) => is_matched(*key, pattern, case),
            Term::Priority(comparison, wanted) => case.priority.is_some_and(|own| match comparison {
                Comparison::Less => own < *wanted,
                Comparison::LessOrSame => own <= *wanted,
                Comparison::Same => own == *wanted,
                Comparison::MoreOrSame => own >= *wanted,
                Comparison::More => own > *wanted,
            }),
        }
    }

    fn each_pattern<'a>(&'a self, visit: &mut dyn FnMut(&'a str, Option<&'static str>, &'a GlobMatcher)) {
        match self {
            Term::Any(terms) | Term::All(terms) => terms.iter().for_each(|term| term.each_pattern(visit)),
            Term::Not(term) => term.each_pattern(visit),
            Term::Pattern(written, key, pattern) => visit(written, *key, pattern),
            Term::Priority(..) => {}
        }
    }
}

fn is_matched(key: Option<&str>, pattern: &GlobMatcher, case: &Named<'_>) -> bool {
    values(key, case).into_iter().any(|value| pattern.is_match(value))
}

/// What a key looks at; nothing looks at all that names the testcase.
fn values<'a>(key: Option<&str>, case: &Named<'a>) -> Vec<&'a str> {
    match key {
        None => vec![case.id, case.name, case.testcase],
        Some("id") => vec![case.id],
        Some("name") => vec![case.name],
        Some("testcase") => vec![case.testcase],
        Some("group") => Some(case.group).filter(|group| !group.is_empty()).into_iter().collect(),
        Some("tag") => case.tags.iter().map(String::as_str).collect(),
        Some("tc") => case.tc.into_iter().collect(),
        Some("sku") => case.sku.into_iter().collect(),
        Some("type") => case.ttype.into_iter().collect(),
        Some(_) => Vec::new(),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        is_there
    }

    fn any(&mut self) -> Result<Term> {
        let mut terms = vec![self.all()?];
        while self.take('|') {
            terms.push(self.all()?);
        }
        Ok(Term::Any(terms))
    }

    fn all(&mut self) -> Result<Term> {
        let mut terms = vec![self.one()?];
        while self.take('&') {
            terms.push(self.one()?);
        }
        Ok(Term::All(terms))
    }

    fn one(&mut self) -> Result<Term> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("nested too deep here"));
        }
        let term = if self.take('!') {
            Term::Not(Box::new(self.one()?))
        } else if self.take('(') {
            let term = self.any()?;
            if !self.take(')') {
                return Err(self.wrong("expected `)` here"));
            }
            term
        } else {
            self.pattern()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn pattern(&mut self) -> Result<Term> {
        if self.peek().is_none_or(|c| "&|)".contains(c)) {
            return Err(self.wrong("expected a pattern here"));
        }
        let begin = self.rest;
        let (word, has_key) = self.word()?;
        let written = begin[..begin.len() - self.rest.len()].trim().to_string();
        let Some(colon) = has_key else { return Ok(Term::Pattern(written, None, self.glob(&word)?)) };
        let (key, value) = (&word[..colon], &word[colon + 1..]);
        let Some((key, _)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let help = did_you_mean(key, KEYS.iter().map(|(key, _)| *key));
            let error = Error::new(Kind::Malformed, format!("`{key}:` in `--only '{}'` is no key", self.text)).blame(Blame::User);
            return Err(Error { help, ..error });
        };
        if *key == "prio" {
            return self.priority(value);
        }
        Ok(Term::Pattern(written, Some(key), self.glob(value)?))
    }

    /// A pattern's characters, and where the colon after its key is.
    fn word(&mut self) -> Result<(String, Option<usize>)> {
        let (mut word, mut colon, mut is_quoted) = (String::new(), None, false);
        let mut used = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            match c {
                '"' => is_quoted = !is_quoted,
                _ if is_quoted => word.push(c),
                c if "&|()".contains(c) || c.is_whitespace() => {
                    used = at;
                    break;
                }
                ':' if colon.is_none() => {
                    colon = Some(word.len());
                    word.push(c);
                }
                c => word.push(c),
            }
        }
        if is_quoted {
            return Err(self.wrong("the quotes that begin here do not end"));
        }
        self.rest = &self.rest[used..];
        Ok((word, colon))
    }

    fn glob(&self, text: &str) -> Result<GlobMatcher> {
        Glob::new(text).map(|glob| glob.compile_matcher()).map_err(|e| {
            let error = Error::new(Kind::Malformed, format!("`{text}` in `--only '{}'` is no pattern: {}", self.text, e.kind()));
            error.blame(Blame::User).help("a pattern has `*`, `?`, `[a-z]` and `{this,that}`; a backslash takes away their meaning")
        })
    }

    fn priority(&self, text: &str) -> Result<Term> {
        let signs = [
            ("<=", Comparison::LessOrSame),
            (">=", Comparison::MoreOrSame),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Same),
            ("", Comparison::Same),
        ];
        let signed = signs.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)));
        let (comparison, number) = signed.unwrap_or((Comparison::Same, text));
        let number = number.trim().parse().map_err(|_| {
            let error = Error::new(Kind::Malformed, format!("`prio:{text}` in `--only '{}'` is no priority", self.text));
            error.blame(Blame::User).help("write prio:1, prio:<=2 or prio:>2")
        })?;
        Ok(Term::Priority(comparison, number))
    }

    fn wrong(&self, what: &str) -> Error {
        let here = if self.rest.is_empty() { "at its end".to_string() } else { format!("at `{}`", self.rest) };
        let error = Error::new(Kind::Malformed, format!("`--only '{}'`, {here}: {what}", self.text)).blame(Blame::User);
        error.help("xrt help filters explains them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_select_what_they_say() {
        let tags = ["smoke".to_string(), "disk".to_string()];
        let case = Named {
            id: "disk/TCa#2",
            group: "disk",
            name: "TCa",
            testcase: "benchmarks/iometer",
            tags: &tags,
            tc: Some("TC-1"),
            sku: None,
            ttype: Some("slow one"),
            priority: Some(2),
        };
        for (text, expected) in [
            ("TCa", true),
            ("TCb", false),
            ("benchmarks/*", true),
            ("disk/TC?#2", true),
            ("*a", true),
            ("{TCb,TCa}", true),
            ("TC[b-z]", false),
            ("name:TCa & group:disk", true),
            ("name:TCa&group:net", false),
            ("group:net | tag:smoke", true),
            ("tag:smoke & !tag:slow", true),
            ("!(tag:smoke | tag:x)", false),
            ("!!tag:smoke", true),
            // `&` binds before `|`.
            ("TCa | TCb & TCb", true),
            ("(TCa | TCb) & TCb", false),
            ("tc:TC-*", true),
            ("sku:*", false),
            ("type:\"slow one\"", true),
            ("id:disk/TCa", false),
            ("testcase:benchmarks/iometer", true),
            ("prio:2", true),
            ("prio:<=2 & prio:>=2 & !prio:<2 & !prio:>2", true),
            ("prio:=1", false),
        ] {
            assert_eq!(text.parse::<Only>().unwrap().takes(&case), expected, "{text}");
        }
        assert!(!"prio:<=9".parse::<Only>().unwrap().takes(&Named::default()), "it has none");
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, expected) in [
            ("", "`--only ''`, at its end: expected a pattern here"),
            ("a b", "`--only 'a b'`, at `b`: expected `&` (and) or `|` (or) before this"),
            ("a &", "`--only 'a &'`, at its end: expected a pattern here"),
            ("(a | b", "`--only '(a | b'`, at its end: expected `)` here"),
            ("a)", "`--only 'a)'`, at `)`: this closes no parenthesis"),
            ("\"a", "`--only '\"a'`, at `\"a`: the quotes that begin here do not end"),
            ("tga:smoke", "`tga:` in `--only 'tga:smoke'` is no key"),
            ("prio:high", "`prio:high` in `--only 'prio:high'` is no priority"),
            ("a[b", "`a[b` in `--only 'a[b'` is no pattern: unclosed character class; missing ']'"),
        ] {
            assert_eq!(text.parse::<Only>().unwrap_err().what, expected);
        }
        assert_eq!("tga:x".parse::<Only>().unwrap_err().help.unwrap(), "did you mean `tag`?");
        assert!("!".repeat(10_000).parse::<Only>().is_err());
        assert!(format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000)).parse::<Only>().is_err());
    }
}
