//! References in texts: `${NAME}` to a parameter, `%NAME%` and `%A:B%` to a variable.
//!
//! A variable is meant only by a name between two percent signs: letters, digits, `_`, `.` and `-`, the first a letter or `_`; more of
//! a path after `:` or `/`. So "between 50% and 60% of" is text. `%%` is a percent sign, and `$${` is `${`.
//!
//! # Source
//! The original takes anything between two percent signs as a name, and leaves a `${NAME}` that it does not know as it is, without a
//! word.

use std::ops::Range;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`.
    Parameter(&'t str),
    /// `${` that is never closed, and the rest.
    Unclosed(&'t str),
    /// What stands between two percent signs.
    Variable(&'t str),
}

/// A text as its parameters and what is between them.
pub fn parameters(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find("${") {
        if rest[..dollar].ends_with('$') {
            pieces.push(Piece::Text(&rest[..dollar - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[dollar + 2..];
            continue;
        }
        pieces.push(Piece::Text(&rest[..dollar]));
        let inside = &rest[dollar + 2..];
        match inside.find('}') {
            Some(end) => {
                pieces.push(Piece::Parameter(&inside[..end]));
                rest = &inside[end + 1..];
            }
            None => {
                pieces.push(Piece::Unclosed(&rest[dollar..]));
                rest = "";
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// A text as its variables and what is between them. A percent sign in one of the `literal` ranges, which are in order, is text.
pub fn variables<'t>(text: &'t str, literal: &[Range<usize>]) -> Vec<Piece<'t>> {
    let is_sign =
        |at: &usize| !literal.get(literal.partition_point(|range| range.end <= *at)).is_some_and(|range| range.contains(at));
    let mut signs = text.match_indices('%').map(|(at, _)| at).filter(is_sign).peekable();
    let mut pieces = Vec::new();
    let mut done = 0;
    while let Some(sign) = signs.next() {
        let Some(&next) = signs.peek() else { break };
        let name = &text[sign + 1..next];
        if !name.is_empty() && !is_path(name) {
            continue;
        }
        pieces.push(Piece::Text(&text[done..sign]));
        pieces.push(if name.is_empty() { Piece::Text("%") } else { Piece::Variable(name) });
        done = next + 1;
        signs.next();
    }
    pieces.push(Piece::Text(&text[done..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// Whether a text is the name of a variable, or a path of names.
pub fn is_path(text: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.split([':', '/']).all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Parameter, Text, Unclosed, Variable};

    #[test]
    fn parameters_are_what_stands_in_braces() {
        for (text, expected) in [
            ("", vec![]),
            ("a $b {c} $", vec![Text("a $b {c} $")]),
            ("a${B}c", vec![Text("a"), Parameter("B"), Text("c")]),
            ("${A}${ B }", vec![Parameter("A"), Parameter(" B ")]),
            ("$${A} ${B}", vec![Text("${"), Text("A} "), Parameter("B")]),
            ("é${A", vec![Text("é"), Unclosed("${A")]),
        ] {
            assert_eq!(parameters(text), expected, "{text}");
        }
    }

    #[test]
    fn variables_are_names_between_percent_signs() {
        for (text, expected) in [
            ("%A%", vec![Variable("A")]),
            ("x %A:B% y", vec![Text("x "), Variable("A:B"), Text(" y")]),
            ("%GUEST_TESTS:Rel.1-2:64Bit%", vec![Variable("GUEST_TESTS:Rel.1-2:64Bit")]),
            ("%A/B%%C%", vec![Variable("A/B"), Variable("C")]),
            ("between 50% and 60% of", vec![Text("between 50% and 60% of")]),
            ("50%-60%", vec![Text("50%-60%")]),
            ("100%", vec![Text("100%")]),
            ("5% of %A%", vec![Text("5% of "), Variable("A")]),
            ("100%% of %%TEMP%%", vec![Text("100"), Text("%"), Text(" of "), Text("%"), Text("TEMP"), Text("%")]),
            ("%A:%", vec![Text("%A:%")]),
            ("%é%", vec![Text("%é%")]),
        ] {
            assert_eq!(variables(text, &[]), expected, "{text}");
        }
        assert_eq!(variables("%A%", &[Range { start: 0, end: 1 }]), [Text("%A%")]);
        assert_eq!(variables("%A:%B%", &[Range { start: 3, end: 4 }]), [Text("%A:%B%")], "a literal sign is no name");
    }
}
