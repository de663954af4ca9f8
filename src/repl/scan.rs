//! The words of a piece of script, for highlighting, completion and "is it finished": good enough for a half-typed line, which the
//! real parser refuses.

use std::ops::Range;

/// What a stretch of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A name or a word of the language.
    Word,
    /// A literal text; whether its end is there.
    Text {
        quote: char,
        closed: bool,
    },
    Number,
    Comment {
        closed: bool,
    },
    Blank,
    /// Operators and brackets, one character each.
    Sign,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub sort: Sort,
    pub range: Range<usize>,
}

/// Cuts a text into tokens that cover it without gaps.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let (sort, length) = token(&text[at..], first);
        // A quote mark at the very end has no more to it than itself.
        let end = (at + length).clamp(at + first.len_utf8(), text.len());
        found.push(Token { sort, range: at..end });
        at = end;
    }
    found
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn while_true(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !holds(c)).unwrap_or(text.len())
}

fn token(rest: &str, first: char) -> (Sort, usize) {
    match first {
        c if c.is_whitespace() => (Sort::Blank, while_true(rest, char::is_whitespace)),
        c if c.is_ascii_digit() => (Sort::Number, number(rest)),
        c if is_word(c) => (Sort::Word, while_true(rest, is_word)),
        '"' | '`' => quoted(rest, first),
        '\'' => quoted(rest, first),
        '#' if rest[1..].trim_start_matches('#').starts_with('"') => raw(rest),
        '/' if rest.starts_with("//") => (Sort::Comment { closed: true }, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => block_comment(rest),
        c => (Sort::Sign, c.len_utf8()),
    }
}

/// A number; a dot belongs to it when a digit follows, so that `1.abs()` and `0..9` are not eaten.
fn number(rest: &str) -> usize {
    let whole = while_true(rest, |c| c.is_ascii_alphanumeric() || c == '_');
    match rest[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            whole + 1 + while_true(fraction, |c| c.is_ascii_alphanumeric() || c == '_')
        }
        _ => whole,
    }
}

fn quoted(rest: &str, quote: char) -> (Sort, usize) {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote != '`' => is_escaped = true,
            // Only text in back-ticks goes over lines.
            '\n' if quote != '`' => return (Sort::Text { quote, closed: false }, at),
            c if c == quote => return (Sort::Text { quote, closed: true }, at + 1),
            _ => {}
        }
    }
    (Sort::Text { quote, closed: false }, rest.len())
}

/// `#"…"#`, with any number of `#`.
fn raw(rest: &str) -> (Sort, usize) {
    let hashes = while_true(rest, |c| c == '#');
    let end = format!("\"{}", "#".repeat(hashes));
    match rest[hashes + 1..].find(&end) {
        Some(at) => (Sort::Text { quote: '#', closed: true }, hashes + 1 + at + end.len()),
        None => (Sort::Text { quote: '#', closed: false }, rest.len()),
    }
}

/// `/* … */`, which nest.
fn block_comment(rest: &str) -> (Sort, usize) {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (Sort::Comment { closed: true }, at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    (Sort::Comment { closed: false }, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        let word = |t: &Token| match t.sort {
            Sort::Word => "word",
            Sort::Text { closed: true, .. } => "text",
            Sort::Text { closed: false, .. } => "open text",
            Sort::Number => "number",
            Sort::Comment { closed: true } => "comment",
            Sort::Comment { closed: false } => "open comment",
            Sort::Blank => "blank",
            Sort::Sign => "sign",
        };
        let kept = tokens(text).into_iter().filter(|t| t.sort != Sort::Blank);
        kept.map(|t| format!("{} {}", word(&t), &text[t.range.clone()])).collect()
    }

    #[test]
    fn a_line_is_cut_into_words() {
        let cases: &[(&str, &[&str])] = &[
            ("let x = 1;", &["word let", "word x", "sign =", "number 1", "sign ;"]),
            (r#"vm.exec("a\"b")"#, &["word vm", "sign .", "word exec", "sign (", r#"text "a\"b""#, "sign )"]),
            (
                "1.5 1.abs() 0..9",
                &["number 1.5", "number 1", "sign .", "word abs", "sign (", "sign )", "number 0", "sign .", "sign .", "number 9"],
            ),
            ("0xff_i64", &["number 0xff_i64"]),
            ("`a\nb", &["open text `a\nb"]),
            ("\"a\nb", &["open text \"a", "word b"]),
            ("'x'", &["text 'x'"]),
            (r##"#"a"b"# x"##, &[r##"text #"a"b"#"##, "word x"]),
            ("#{ a: 1 }", &["sign #", "sign {", "word a", "sign :", "number 1", "sign }"]),
            ("x // y \"z\nw", &["word x", "comment // y \"z", "word w"]),
            ("/* a /* b */ c */ d", &["comment /* a /* b */ c */", "word d"]),
            ("/* a /* b */", &["open comment /* a /* b */"]),
            ("größe = \"ä", &["word größe", "sign =", "open text \"ä"]),
            ("\"", &["open text \""]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn tokens_cover_any_text_without_gaps(text in r#"[a-z0-9ä"'`#/*\\.{} \n]{0,40}"#) {
            let mut at = 0;
            for token in tokens(&text) {
                prop_assert_eq!(token.range.start, at);
                prop_assert!(token.range.end > at);
                at = token.range.end;
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
