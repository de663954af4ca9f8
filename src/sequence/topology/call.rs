//! What is done with a VM once it is installed: the name of a method and its arguments, read and never evaluated.
//!
//! # Source
//! The original evaluates the text as a part of a program. All that files really write are literal arguments:
//! `snapshot(name='clean')`.

use serde::Serialize;
use serde_json::Value;

/// A method of a VM, with literal arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Call {
    pub method: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<CallArgument>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallArgument {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub value: Value,
}

/// Lists in lists are this deep at most.
const DEEPEST: usize = 16;

impl Call {
    /// A method without arguments.
    pub fn plain(method: &str) -> Call {
        Call { method: method.to_string(), arguments: Vec::new() }
    }

    /// Reads `method`, `method()` or `method(1, 'two', three=[3, 4])`.
    ///
    /// # Errors
    /// What is wrong, and at which character of the text, counted from 0.
    pub fn parse(text: &str) -> Result<Call, (String, usize)> {
        let mut reader = Reader { text, at: 0 };
        reader.blanks();
        let method = reader.word().ok_or_else(|| reader.wrong("expected the name of a method"))?;
        let mut call = Call { method, arguments: Vec::new() };
        reader.blanks();
        if reader.take('(') {
            call.arguments = reader.arguments()?;
            reader.blanks();
        }
        match reader.rest() {
            "" => Ok(call),
            _ => Err(reader.wrong("expected nothing more")),
        }
    }

    /// As a person writes it.
    pub fn shown(&self) -> String {
        let argument = |a: &CallArgument| match &a.name {
            Some(name) => format!("{name}={}", a.value),
            None => a.value.to_string(),
        };
        match self.arguments.as_slice() {
            [] => self.method.clone(),
            all => format!("{}({})", self.method, all.iter().map(argument).collect::<Vec<_>>().join(", ")),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

type Read<T> = Result<T, (String, usize)>;

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn wrong(&self, what: &str) -> (String, usize) {
        (what.to_string(), self.text[..self.at].chars().count())
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len_utf8();
        }
        is_there
    }

    fn word(&mut self) -> Option<String> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let end = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_string();
        if word.is_empty() || word.starts_with(|c: char| c.is_numeric()) {
            return None;
        }
        self.at += end;
        Some(word)
    }

    /// Everything up to the closing parenthesis.
    fn arguments(&mut self) -> Read<Vec<CallArgument>> {
        let mut all: Vec<CallArgument> = Vec::new();
        loop {
            self.blanks();
            if self.take(')') {
                return Ok(all);
            }
            let start = self.at;
            let name = self.name();
            if name.is_none() && all.iter().any(|a| a.name.is_some()) {
                return Err(self.wrong("an argument without a name cannot follow one that has a name"));
            }
            if name.is_some() && all.iter().any(|a| a.name == name) {
                self.at = start;
                return Err(self.wrong("this argument was there before"));
            }
            all.push(CallArgument { name, value: self.value(0)? });
            self.between(')')?;
        }
    }

    /// `name=` before a value.
    fn name(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.word();
        self.blanks();
        if name.is_some() && self.take('=') {
            return name;
        }
        self.at = start;
        None
    }

    /// A comma, unless the end follows.
    fn between(&mut self, end: char) -> Read<()> {
        self.blanks();
        if self.take(',') || self.rest().starts_with(end) {
            return Ok(());
        }
        Err(self.wrong(&format!("expected `,` or `{end}`")))
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.blanks();
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            Some('[') => self.list('[', ']', depth),
            Some('(') => self.list('(', ')', depth),
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            _ => {
                let start = self.at;
                let value = match self.word().as_deref() {
                    Some("True" | "true") => Value::Bool(true),
                    Some("False" | "false") => Value::Bool(false),
                    Some("None" | "null") => Value::Null,
                    _ => {
                        self.at = start;
                        return Err(self.wrong("expected a text in quotes, a number, True, False, None or a list"));
                    }
                };
                Ok(value)
            }
        }
    }

    fn list(&mut self, begin: char, end: char, depth: usize) -> Read<Value> {
        if depth >= DEEPEST {
            return Err(self.wrong("lists are too deep in each other"));
        }
        self.take(begin);
        let mut all = Vec::new();
        loop {
            self.blanks();
            if self.take(end) {
                return Ok(Value::Array(all));
            }
            all.push(self.value(depth + 1)?);
            self.between(end)?;
        }
    }

    fn number(&mut self) -> Read<Value> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let end = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        let text = &self.rest()[..end];
        let whole = text.parse::<i64>().ok().map(Value::from);
        // Words such as `inf` are no numbers for a person.
        let is_plain = text.chars().all(|c| !c.is_alphabetic() || c == 'e' || c == 'E');
        let number = whole.or_else(|| text.parse::<f64>().ok().filter(|n| is_plain && n.is_finite()).map(Value::from));
        let number = number.ok_or_else(|| self.wrong("this is not a number"))?;
        self.at += end;
        Ok(number)
    }

    fn quoted(&mut self, quote: char) -> Read<Value> {
        let start = self.at;
        self.take(quote);
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                _ if c == quote => {
                    self.at += at + c.len_utf8();
                    return Ok(Value::String(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => break,
                },
                _ => text.push(c),
            }
        }
        self.at = start;
        Err(self.wrong("this quote is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_literal_arguments() {
        for (text, shown) in [
            ("installDrivers", "installDrivers"),
            (" shutdown ( ) ", "shutdown"),
            ("snapshot(name='clean')", "snapshot(name=\"clean\")"),
            ("f(1, -2.5, 'a', \"b\", True, None)", "f(1, -2.5, \"a\", \"b\", true, null)"),
            ("f(['a', (1, 2),], x=[ ] , y = 'it\\'s')", "f([\"a\",[1,2]], x=[], y=\"it's\")"),
            (r"f('C:\\tmp\new\x')", r#"f("C:\\tmp\new\\x")"#),
        ] {
            assert_eq!(Call::parse(text).unwrap().shown(), shown);
        }
    }

    #[test]
    fn what_is_no_literal_is_refused_at_its_place() {
        let deep = format!("f({}", "[".repeat(50));
        for (text, what, at) in [
            ("", "expected the name of a method", 0),
            ("1f()", "expected the name of a method", 0),
            ("f(", "expected a text in quotes, a number, True, False, None or a list", 2),
            ("f(x)", "expected a text in quotes, a number, True, False, None or a list", 2),
            ("f(x=os.system('rm'))", "expected a text in quotes, a number, True, False, None or a list", 4),
            ("f('é' 2)", "expected `,` or `)`", 6),
            ("f('a)", "this quote is never closed", 2),
            ("f(1e999)", "this is not a number", 2),
            ("f(inf)", "expected a text in quotes, a number, True, False, None or a list", 2),
            ("f(a=1, 2)", "an argument without a name cannot follow one that has a name", 7),
            ("f(a=1, a=2)", "this argument was there before", 7),
            ("f().g()", "expected nothing more", 3),
            ("f(); g()", "expected nothing more", 3),
            (&deep, "lists are too deep in each other", 18),
        ] {
            assert_eq!(Call::parse(text), Err((what.to_string(), at)), "{text}");
        }
    }
}
