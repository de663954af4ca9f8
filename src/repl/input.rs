//! What was typed: whether more is to come, and whether it is meant for the language or for the prompt.

use super::scan::{Sort, tokens};
use rhai::{Engine, LexError, ParseErrorType, Position};
use serde::{Deserialize, Serialize};

/// What an input asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    Nothing,
    Quit,
    /// Help, on a topic or in general.
    Help(&'a str),
    Code(&'a str),
}

/// How a failing statement that is held is to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// `retry`: it is evaluated again.
    Retry,
    /// `skip`, or `skip EXPRESSION`: it is passed over, with this for its value.
    Skip(String),
    /// `fail`: its error goes on as it would have.
    Fail,
    /// `reload`: the script is read again, and its hook begins anew.
    Reload,
}

impl Order {
    /// The words stand alone, or behind a colon, as those of [`Input::of`]; `skip(…)` is the function of scripts.
    pub fn of(text: &str) -> Option<Order> {
        let bare = text.trim().trim_end_matches(';').trim_end();
        let bare = bare.strip_prefix(':').unwrap_or(bare);
        let (word, rest) = bare.split_once(char::is_whitespace).unwrap_or((bare, ""));
        match (word, rest.trim()) {
            ("retry", "") => Some(Order::Retry),
            ("fail" | "continue", "") => Some(Order::Fail),
            ("reload", "") => Some(Order::Reload),
            ("skip", rest) => Some(Order::Skip(rest.to_string())),
            _ => None,
        }
    }
}

impl Input<'_> {
    /// Reads an input. What is for the prompt is written as a word alone (`quit`), with a colon (`:quit`), or as a call (`help("x")`).
    pub fn of(text: &str) -> Input<'_> {
        let bare = text.trim().trim_end_matches(';').trim_end();
        let bare = bare.strip_prefix(':').unwrap_or(bare);
        if bare.is_empty() {
            return Input::Nothing;
        }
        if ["quit", "exit", "q", "quit()", "exit()"].contains(&bare) && (bare != "q" || text.trim().starts_with(':')) {
            return Input::Quit;
        }
        match bare.strip_prefix("help").or_else(|| bare.strip_prefix('?')).map(|rest| (rest, topic(rest))) {
            Some((_, Some(topic))) => Input::Help(topic),
            _ => Input::Code(text),
        }
    }
}

/// What stands after `help`: nothing, a word, or a word or text in brackets.
fn topic(rest: &str) -> Option<&str> {
    let inner = match rest.strip_prefix('(') {
        Some(inside) => inside.strip_suffix(')')?,
        None if rest.is_empty() || rest.starts_with(' ') => rest,
        None => return None,
    };
    let inner = inner.trim().trim_matches(['"', '\'', '`']);
    let inner = inner.strip_suffix("()").unwrap_or(inner);
    inner.chars().all(|c| c.is_alphanumeric() || "_.:-".contains(c)).then_some(inner)
}

/// Whether an input needs more lines before it can be evaluated.
pub fn is_incomplete(engine: &Engine, text: &str) -> bool {
    if !matches!(Input::of(text), Input::Code(_)) {
        return false;
    }
    // A text in quotation marks cannot go on in the next line; one in back-ticks can.
    match tokens(text).last().map(|t| t.sort) {
        Some(Sort::Comment { closed: false }) => return true,
        Some(Sort::Text { quote, closed: false }) => return quote == '`' || quote == '#' || text.ends_with('\\'),
        _ => {}
    }
    let Err(error) = engine.compile(text) else { return false };
    match &*error.0 {
        ParseErrorType::UnexpectedEOF => true,
        ParseErrorType::BadInput(LexError::UnterminatedString) => true,
        // Rhai says "missing `;`" at the end of the text when a block is open.
        ParseErrorType::MissingToken(..) | ParseErrorType::ExprExpected(..) => is_at_end(text, error.1),
        _ => false,
    }
}

fn is_at_end(text: &str, position: Position) -> bool {
    let Some(line) = position.line() else { return true };
    let count = text.lines().count();
    let width = text.lines().last().map_or(0, |l| l.trim_end().chars().count());
    line > count || (line == count && position.position().unwrap_or(0) > width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_unfinished_when_more_can_make_it_whole() {
        let engine = Engine::new();
        for (text, expected) in [
            ("", false),
            ("1 + 1", false),
            ("let x = 1", false),
            ("1 +", true),
            ("fn add(a, b) {", true),
            ("fn add(a, b) {\n  a + b", true),
            ("fn add(a, b) {\n  a + b\n}", false),
            ("if x", true),
            ("if x {\n  1\n}", false),
            ("#{ a: 1,", true),
            ("[1,", true),
            ("vm.exec(", true),
            ("vm.exec(\"uname\"", true),
            ("vm.exec(\"uname", false),
            ("vm.exec(\"uname \\", true),
            ("let t = `a", true),
            ("let t = `a\nb`", false),
            ("/* a", true),
            ("/* a */ 1", false),
            ("repeat(3, |i| {", true),
            ("foo bar", false),
            (") bad", false),
            ("let = 3", false),
            ("help(", true),
            ("help(\"exec\")", false),
            (":quit", false),
        ] {
            assert_eq!(is_incomplete(&engine, text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_for_the_prompt_is_told_from_code() {
        for (text, expected) in [
            ("  ", Input::Nothing),
            (";", Input::Nothing),
            ("quit", Input::Quit),
            ("exit;", Input::Quit),
            (":q", Input::Quit),
            ("quit()", Input::Quit),
            ("q", Input::Code("q")),
            ("help", Input::Help("")),
            ("help()", Input::Help("")),
            (":help", Input::Help("")),
            ("help(\"guest.exec\")", Input::Help("guest.exec")),
            ("help(exec);", Input::Help("exec")),
            ("help(vm.exec())", Input::Help("vm.exec")),
            ("help exec", Input::Help("exec")),
            ("?exec", Input::Code("?exec")),
            ("? exec", Input::Help("exec")),
            ("helper(1)", Input::Code("helper(1)")),
            ("help + 1", Input::Code("help + 1")),
            ("quit + 1", Input::Code("quit + 1")),
        ] {
            assert_eq!(Input::of(text), expected, "{text:?}");
        }
    }
}
