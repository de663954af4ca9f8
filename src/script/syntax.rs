//! What Rhai's parser says of a script, in our words.

use crate::diagnostic::{At, Diagnostic};
use rhai::{ParseError, ParseErrorType, Position};

impl From<Position> for At {
    fn from(position: Position) -> At {
        At { line: position.line().unwrap_or(0), column: position.position().unwrap_or(0) }
    }
}

/// What the parser says, in its place.
pub fn syntax(file: &str, text: &str, error: &ParseError) -> Diagnostic {
    // At the end of the text there is no position: the last line is where the author has to look.
    let position = if error.1.is_none() { end_of(text) } else { error.1 };
    let mut bare = error.0.to_string();
    if let Some(at) = bare.rfind(" (line ") {
        bare.truncate(at);
    }
    if let Some(first) = bare.get(..1).filter(|_| !bare.starts_with("I'")) {
        bare = first.to_lowercase() + &bare[1..];
    }
    let help = match &*error.0 {
        ParseErrorType::MissingToken(token, _) if token == ";" => Some("a `;` is missing at the end of the line before".into()),
        ParseErrorType::Reserved(word) => Some(format!("`{word}` is a word of the language; in a map write \"{word}\": …")),
        _ => None,
    };
    Diagnostic::error("syntax", file, text, position, bare).help(help)
}

fn end_of(text: &str) -> Position {
    let count = text.lines().count().clamp(1, usize::from(u16::MAX));
    let width = text.lines().last().map_or(0, |l| l.chars().count()).clamp(1, usize::from(u16::MAX));
    Position::new(u16::try_from(count).unwrap_or(u16::MAX), u16::try_from(width).unwrap_or(u16::MAX))
}
