//! What each word of an input is, for colours.

use super::scan::{Sort, Token, tokens};
use std::ops::Range;

/// What a stretch of an input is, as far as a reader cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Keyword,
    Text,
    Number,
    Comment,
    /// A variable that exists.
    Variable,
    /// A function or method that exists.
    Function,
}

/// A stretch of an input. The stretches of an input cover it without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub range: Range<usize>,
    pub paint: Paint,
}

/// The words of the language that can stand in an input.
pub const KEYWORDS: &[&str] = &[
    "as",
    "break",
    "catch",
    "const",
    "continue",
    "do",
    "else",
    "export",
    "false",
    "fn",
    "for",
    "if",
    "import",
    "in",
    "is_def_var",
    "let",
    "loop",
    "private",
    "return",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "until",
    "while",
];

/// Paints an input. `is_variable` and `is_function` know the names that exist.
pub fn highlight(text: &str, is_variable: impl Fn(&str) -> bool, is_function: impl Fn(&str) -> bool) -> Vec<Stretch> {
    let tokens = tokens(text);
    let paint = |(index, token): (usize, &Token)| {
        let word = &text[token.range.clone()];
        let paint = match token.sort {
            Sort::Text { .. } => Paint::Text,
            Sort::Number => Paint::Number,
            Sort::Comment { .. } => Paint::Comment,
            Sort::Blank | Sort::Sign => Paint::Plain,
            Sort::Word if is_member(text, &tokens[..index]) => {
                if is_function(word) {
                    Paint::Function
                } else {
                    Paint::Plain
                }
            }
            Sort::Word if KEYWORDS.contains(&word) => Paint::Keyword,
            Sort::Word if is_variable(word) => Paint::Variable,
            Sort::Word if is_function(word) && is_called(text, &tokens[index + 1..]) => Paint::Function,
            Sort::Word => Paint::Plain,
        };
        Stretch { range: token.range.clone(), paint }
    };
    tokens.iter().enumerate().map(paint).collect()
}

/// Whether what comes before ends with a dot that reaches into a value.
fn is_member(text: &str, before: &[Token]) -> bool {
    let mut signs = before.iter().rev().map(|t| &text[t.range.clone()]);
    signs.next() == Some(".") && signs.next() != Some(".")
}

fn is_called(text: &str, after: &[Token]) -> bool {
    after.iter().find(|t| t.sort != Sort::Blank).is_some_and(|t| &text[t.range.clone()] == "(")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_painted_for_what_they_are() {
        let cases: &[(&str, &[(&str, Paint)])] = &[
            ("let x = 1;", &[("let", Paint::Keyword), ("1", Paint::Number)]),
            ("vm.exec(\"a\")", &[("vm", Paint::Variable), ("exec", Paint::Function), ("\"a\"", Paint::Text)]),
            ("vm.exec_all()", &[("vm", Paint::Variable)]),
            ("vm.vm", &[("vm", Paint::Variable)]),
            ("exec + 1", &[("1", Paint::Number)]),
            (
                "if exec (1) // if",
                &[("if", Paint::Keyword), ("exec", Paint::Function), ("1", Paint::Number), ("// if", Paint::Comment)],
            ),
            ("0..vm", &[("0", Paint::Number), ("vm", Paint::Variable)]),
        ];
        for (text, expected) in cases {
            let all = highlight(text, |name| name == "vm", |name| name == "exec");
            let painted: Vec<(&str, Paint)> =
                all.iter().filter(|s| s.paint != Paint::Plain).map(|s| (&text[s.range.clone()], s.paint)).collect();
            assert_eq!(painted, *expected, "{text}");
            assert_eq!(all.iter().map(|s| &text[s.range.clone()]).collect::<String>(), *text);
        }
    }
}
