//! The expressions of `get_all_records_where`: `field "name__label" = "a" and not (field "is_a_template" = "true")`.

use super::datamodel::Class;
use super::failure::{Failure, Outcome};
use super::store::Store;
use super::value::{Ref, Value};
use super::{date, rules};

/// The namespaces of the database: a field in one is written with two underscores, and is not found otherwise.
const NAMESPACES: &[&str] = &["API_version_", "HVM_", "PV_", "VCPUs_", "actions_", "io_", "memory_", "name_", "qos_"];

/// Fields that look as if they were in a namespace.
const NOT_IN_ONE: &[&str] = &["PV_drivers_detected", "PV_drivers_up_to_date", "PV_drivers_version"];

/// How deep an expression may nest.
const DEEPEST: usize = 64;

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    True,
    False,
    Equal(Operand, Operand),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// Its name in the record.
    Field(String),
    Literal(String),
}

/// The records of a class for which the expression holds.
///
/// # Errors
/// `INTERNAL_ERROR` with what is wrong with the expression, as XAPI says it.
pub fn find(db: &Store, class: &Class, expression: &str) -> Outcome<Vec<Ref>> {
    let wrong = |what: String| Failure::internal(format!("Db_filter.Expression_error({expression:?}, {what})"));
    let tokens = tokens(expression).map_err(wrong)?;
    let mut parser = Parser { tokens: &tokens, class, depth: 0 };
    let tree = parser.or().map_err(wrong)?;
    if !parser.tokens.is_empty() {
        return Err(wrong("the end was expected".to_string()));
    }
    Ok(db.all(class.name).into_iter().filter(|record| holds(db, *record, &tree)).collect())
}

fn holds(db: &Store, record: Ref, tree: &Expression) -> bool {
    match tree {
        Expression::True => true,
        Expression::False => false,
        Expression::Equal(a, b) => operand(db, record, a) == operand(db, record, b),
        Expression::Not(inner) => !holds(db, record, inner),
        Expression::And(a, b) => holds(db, record, a) && holds(db, record, b),
        Expression::Or(a, b) => holds(db, record, a) || holds(db, record, b),
    }
}

fn operand(db: &Store, record: Ref, operand: &Operand) -> String {
    match operand {
        Operand::Literal(text) => text.clone(),
        Operand::Field(name) => marshalled(&rules::read(db, record, name)),
    }
}

/// A value as the database keeps it.
fn marshalled(value: &Value) -> String {
    match value {
        Value::Bool(is) => is.to_string(),
        Value::Int(number) | Value::Number(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Date(seconds) => date::format(*seconds),
        Value::Text(text) => text.to_string(),
        Value::Ref(reference) | Value::Record(reference) => reference.to_string(),
        Value::Set(items) => format!("({})", items.iter().map(|item| quoted(&marshalled(item))).collect::<Vec<_>>().join(" ")),
        Value::Map(map) => {
            let pairs = map.iter().map(|(key, value)| format!("({} {})", quoted(key), quoted(&marshalled(value))));
            format!("({})", pairs.collect::<Vec<_>>().join(" "))
        }
        Value::Void | Value::Records(_) => String::new(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Literal(String),
    Sign(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '(' | ')' | '=' => tokens.push(Token::Sign(c)),
            '"' | '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        Some('\\') => literal.push(chars.next().ok_or("an open string")?),
                        Some(end) if end == c => break,
                        Some(other) => literal.push(other),
                        None => return Err("an open string".to_string()),
                    }
                }
                tokens.push(Token::Literal(literal));
            }
            c if c.is_ascii_alphabetic() => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(format!("an unexpected {other:?}")),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    class: &'a Class,
    depth: usize,
}

impl Parser<'_> {
    fn take_word(&mut self, word: &str) -> bool {
        let is_it = matches!(self.tokens.first(), Some(Token::Word(found)) if found == word);
        if is_it {
            self.tokens = &self.tokens[1..];
        }
        is_it
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let is_it = self.tokens.first() == Some(&Token::Sign(sign));
        if is_it {
            self.tokens = &self.tokens[1..];
        }
        is_it
    }

    fn or(&mut self) -> Result<Expression, String> {
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut left = self.single()?;
        while self.take_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many parentheses".to_string());
        }
        let found = self.any();
        self.depth -= 1;
        found
    }

    fn any(&mut self) -> Result<Expression, String> {
        if self.take_word("true") {
            return Ok(Expression::True);
        }
        if self.take_word("false") {
            return Ok(Expression::False);
        }
        if self.take_word("not") {
            return Ok(Expression::Not(Box::new(self.single()?)));
        }
        if self.take_sign('(') {
            let inner = self.or()?;
            return if self.take_sign(')') { Ok(inner) } else { Err("a `)` is missing".to_string()) };
        }
        let left = self.operand()?;
        if !self.take_sign('=') {
            return Err("a `=` was expected".to_string());
        }
        Ok(Expression::Equal(left, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let is_field = self.take_word("field");
        let Some(Token::Literal(text)) = self.tokens.first() else { return Err("a string was expected".to_string()) };
        self.tokens = &self.tokens[1..];
        if !is_field {
            return Ok(Operand::Literal(text.clone()));
        }
        let known = self.class.fields.iter().find(|field| column(field.name) == *text);
        known.map(|field| Operand::Field(field.name.to_string())).ok_or_else(|| format!("missing column {text:?}"))
    }
}

/// What the database calls a field.
fn column(field: &str) -> String {
    match NAMESPACES.iter().find(|namespace| field.starts_with(**namespace) && !NOT_IN_ONE.contains(&field)) {
        Some(namespace) => format!("{}_{}", namespace, &field[namespace.len()..]),
        None => field.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::datamodel::datamodel;
    use super::*;

    #[test]
    fn expressions_pick_records() {
        let mut db = Store::new(1, 1);
        let a = db.create("VM", [("name_label", "a")]);
        let b = db.create("VM", [("name_label", "it's \"b\"")]);
        db.set(b, "is_a_template", true);
        db.set(b, "VCPUs_max", 4_i64);
        let vm = datamodel().class("VM").unwrap();
        for (expression, expected) in [
            ("true", vec![a, b]),
            ("false", vec![]),
            ("field \"name__label\" = \"a\"", vec![a]),
            ("field \"name__label\"=\"it's \\\"b\\\"\"", vec![b]),
            ("field 'is_a_template' = 'true' and field \"VCPUs__max\" = \"4\"", vec![b]),
            ("not (field \"is_a_template\" = \"true\")", vec![a]),
            ("(field \"name__label\" = \"x\") or (field \"power_state\" = \"Halted\")", vec![a, b]),
            ("true or false and false", vec![a, b]),
        ] {
            assert_eq!(find(&db, vm, expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        let db = Store::new(1, 1);
        let vm = datamodel().class("VM").unwrap();
        let deep = format!("{}true{}", "(".repeat(100), ")".repeat(100));
        for expression in
            ["", "true true", "field \"name_label\" = \"a\"", "field \"x\" = \"a\"", "\"a", "(true", "a = b", "not", "é", &deep]
        {
            assert_eq!(find(&db, vm, expression).unwrap_err().code, "INTERNAL_ERROR", "{expression}");
        }
    }
}
