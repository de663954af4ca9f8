//! Walking a script with what is known of its variables, statement by statement.

use super::Subject;
use super::facts::is_closure;
use crate::diagnostic::Diagnostic;
use crate::name;
use crate::script::api;
use rhai::{AST, ASTFlags, ASTNode, Expr, FlowControl, FnPtr, ImmutableString, Module, Position, ScriptFuncDef, Shared, Stmt};

/// Functions of the library that never return.
const ENDING: [&str; 4] = ["error", "exit", "fail", "skip"];

/// What is known of a value's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type<'k> {
    Unknown,
    /// As scripts know it: "Guest", "text".
    Known(&'k str),
    /// The arguments of the testcase.
    Args,
}

impl<'k> Type<'k> {
    pub fn of(name: Option<&'k str>) -> Type<'k> {
        name.map_or(Type::Unknown, Type::Known)
    }

    pub fn name(self) -> Option<&'k str> {
        match self {
            Type::Unknown => None,
            Type::Known(name) => Some(name),
            Type::Args => Some("map"),
        }
    }
}

/// What `this` is at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum This<'k> {
    Bound(Type<'k>),
    /// Nothing, for a reason that the author is told.
    Unbound(&'static str),
}

/// A walk through one script.
pub struct Walk<'k> {
    pub subject: &'k Subject<'k>,
    pub found: Vec<Diagnostic>,
    variables: Vec<(ImmutableString, Type<'k>)>,
    this: This<'k>,
    /// Closures being walked, innermost last: one that calls itself by another's name is walked once.
    inside: Vec<String>,
}

impl<'k> Walk<'k> {
    /// Looks at everything in the script.
    pub fn whole(subject: &'k Subject<'k>) -> Vec<Diagnostic> {
        let mut walk =
            Walk { subject, found: Vec::new(), variables: Vec::new(), this: This::Bound(Type::Unknown), inside: Vec::new() };
        walk.statements(subject.source.ast.statements().iter());
        for function in &subject.facts.functions {
            walk.function(function);
        }
        walk.found
    }

    pub fn report(&mut self, rule: &'static str, at: Position, what: impl Into<String>, help: Option<String>) {
        let Subject { name, text, .. } = self.subject;
        self.found.push(Diagnostic::error(rule, name, text, at, what).help(help));
    }

    fn function(&mut self, function: &'k Shared<ScriptFuncDef>) {
        self.variables.clear();
        let facts = &self.subject.facts;
        let is_hook = self.subject.is_testcase && function.this_type.is_none() && super::shape::is_hook(&function.name);
        let takes_args = is_hook && function.params.len() == 1;
        for parameter in &function.params {
            let kind = if takes_args && !facts.assigned.contains(parameter.as_str()) { Type::Args } else { Type::Unknown };
            self.variables.push((parameter.clone(), kind));
        }
        let is_method = !self.subject.is_testcase || facts.called_on.contains(function.name.as_str());
        self.this = match &function.this_type {
            Some(of) => This::Bound(Type::Known(of.as_str())),
            None if is_hook && function.name != "meta" => This::Bound(Type::Known("map")),
            None if is_method => This::Bound(Type::Unknown),
            None if function.name == "meta" => This::Unbound("in meta()"),
            None => This::Unbound("in a function that is called without an object"),
        };
        self.body(function);
    }

    /// The body of a function: its type has no name outside of the engine, so a tree is made of it.
    fn body(&mut self, function: &Shared<ScriptFuncDef>) {
        let mut only = Module::new();
        only.set_script_fn(function.clone());
        let mut ended = None;
        AST::new([], only).walk(&mut |path: &[ASTNode]| {
            if let [ASTNode::Stmt(statement)] = path {
                self.next(statement, &mut ended);
            }
            true
        });
    }

    fn statements<'s>(&mut self, statements: impl Iterator<Item = &'s Stmt>) {
        let mut ended = None;
        for statement in statements {
            self.next(statement, &mut ended);
        }
    }

    /// One statement, and whether it can be reached: `ended` is by what it cannot.
    fn next(&mut self, statement: &Stmt, ended: &mut Option<String>) {
        if let Some(by) = ended
            && !by.is_empty()
            && !matches!(statement, Stmt::Noop(_))
        {
            let what = format!("this is never reached: `{by}` comes before it");
            let Subject { name, text, .. } = self.subject;
            self.found.push(Diagnostic::error("unreachable-code", name, text, place_of(statement), what).warning());
            // Once is enough.
            *by = String::new();
        }
        self.statement(statement);
        if ended.is_none() {
            *ended = self.ending(statement);
        }
    }

    /// By what a statement never goes on to the next.
    fn ending(&self, statement: &Stmt) -> Option<String> {
        match statement {
            Stmt::Return(_, flags, _) => Some(if flags.contains(ASTFlags::BREAK) { "throw" } else { "return" }.into()),
            Stmt::BreakLoop(_, flags, _) => Some(if flags.contains(ASTFlags::BREAK) { "break" } else { "continue" }.into()),
            Stmt::FnCall(call, _) => {
                let own = self.subject.facts.free(&call.name).next().is_some();
                (ENDING.contains(&call.name.as_str()) && !call.is_qualified() && !own).then(|| call.name.to_string())
            }
            Stmt::Expr(expression) => match &**expression {
                Expr::FnCall(call, at) => self.ending(&Stmt::FnCall(call.clone(), *at)),
                _ => None,
            },
            _ => None,
        }
    }

    fn block<'s>(&mut self, statements: impl Iterator<Item = &'s Stmt>) {
        let before = self.variables.len();
        self.statements(statements);
        self.variables.truncate(before);
    }

    fn flow(&mut self, flow: &FlowControl) {
        self.expression(&flow.expr);
        self.block(flow.body.statements().iter());
        self.block(flow.branch.statements().iter());
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..) => self.flow(flow),
            Stmt::For(parts, _) => {
                self.expression(&parts.2.expr);
                let before = self.variables.len();
                self.declare(&parts.0.name, Type::Unknown);
                if let Some(counter) = &parts.1 {
                    self.declare(&counter.name, Type::Known("integer"));
                }
                self.statements(parts.2.body.statements().iter());
                self.variables.truncate(before);
            }
            Stmt::Switch(parts, _) => {
                self.expression(&parts.0);
                for case in &parts.1.expressions {
                    self.expression(&case.lhs);
                    self.expression(&case.rhs);
                }
            }
            Stmt::Var(parts, ..) => {
                let kind = self.expression(&parts.1);
                self.declare(&parts.0.name, kind);
            }
            Stmt::Assignment(parts) => {
                self.expression(&parts.1.rhs);
                self.assignment(&parts.1.lhs);
            }
            Stmt::FnCall(call, at) => {
                self.call(call, *at);
            }
            Stmt::Block(block) => self.block(block.statements().iter()),
            Stmt::TryCatch(flow, _) => {
                self.block(flow.body.statements().iter());
                let before = self.variables.len();
                if let Expr::Variable(variable, ..) = &flow.expr {
                    self.declare(&variable.1, Type::Unknown);
                }
                self.statements(flow.branch.statements().iter());
                self.variables.truncate(before);
            }
            Stmt::Expr(expression) => {
                self.expression(expression);
            }
            Stmt::BreakLoop(value, ..) | Stmt::Return(value, ..) => {
                if let Some(value) = value {
                    self.expression(value);
                }
            }
            Stmt::Import(import, _) => {
                self.expression(&import.0);
            }
            _ => {}
        }
    }

    fn declare(&mut self, name: &ImmutableString, kind: Type<'k>) {
        let kind = if self.subject.facts.assigned.contains(name.as_str()) { Type::Unknown } else { kind };
        self.variables.push((name.clone(), kind));
    }

    fn assignment(&mut self, to: &Expr) {
        match to {
            Expr::Dot(..) | Expr::Index(..) => {
                self.chain(to, true);
            }
            other => {
                self.expression(other);
            }
        }
    }

    /// Looks at an expression and tells the type of its value.
    pub fn expression(&mut self, expression: &Expr) -> Type<'k> {
        match expression {
            Expr::BoolConstant(..) => Type::Known("bool"),
            Expr::IntegerConstant(..) => Type::Known("integer"),
            Expr::FloatConstant(..) => Type::Known("number"),
            Expr::CharConstant(..) => Type::Known("char"),
            Expr::StringConstant(..) => Type::Known("text"),
            Expr::DynamicConstant(value, _) => {
                if let Some(pointer) = value.read_lock::<FnPtr>() {
                    self.closure(pointer.fn_name(), 0);
                    return Type::Known("closure");
                }
                Type::Unknown
            }
            Expr::InterpolatedString(parts, _) => {
                parts.iter().for_each(|part| {
                    self.expression(part);
                });
                Type::Known("text")
            }
            Expr::Array(items, _) => {
                items.iter().for_each(|item| {
                    self.expression(item);
                });
                Type::Known("list")
            }
            Expr::Map(map, _) => {
                map.0.iter().for_each(|(_, value)| {
                    self.expression(value);
                });
                Type::Known("map")
            }
            Expr::Variable(variable, _, at) => match variable.2.path.first() {
                Some(module) => self.qualified_variable(&module.name, &variable.1, *at),
                None => self.variable(&variable.1, *at),
            },
            Expr::ThisPtr(at) => self.this(*at),
            Expr::Stmt(block) => {
                if let Some((pointer, captured)) = captures(expression) {
                    for variable in captured {
                        self.expression(variable);
                    }
                    self.closure(&pointer, captured.len());
                    return Type::Known("closure");
                }
                self.block(block.statements().iter());
                Type::Unknown
            }
            Expr::FnCall(call, at) => self.call(call, *at),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expression, false),
            Expr::And(all, _) | Expr::Or(all, _) => {
                all.iter().for_each(|one| {
                    self.expression(one);
                });
                Type::Known("bool")
            }
            Expr::Coalesce(all, _) => {
                all.iter().for_each(|one| {
                    self.expression(one);
                });
                Type::Unknown
            }
            _ => Type::Unknown,
        }
    }

    /// The body of a closure, among the variables that are there where it stands. `captured` of its parameters are such variables.
    fn closure(&mut self, pointer: &str, captured: usize) {
        let Some(function) = self.subject.facts.closures.get(pointer).filter(|_| is_closure(pointer)) else { return };
        if self.inside.iter().any(|name| name == pointer) {
            return;
        }
        self.inside.push(pointer.to_string());
        let before = self.variables.len();
        for parameter in function.params.iter().skip(captured) {
            self.declare(parameter, Type::Unknown);
        }
        let outside = self.this;
        // What it is called on is its `this`: each item of `list.for_each(|| …)`.
        if !matches!(outside, This::Unbound("in a closure" | "in meta()")) {
            self.this = This::Bound(Type::Unknown);
        }
        self.body(function);
        self.this = outside;
        self.variables.truncate(before);
        self.inside.pop();
    }

    /// An argument of a free function: closures in it have no `this`.
    pub fn argument(&mut self, argument: &Expr) -> Type<'k> {
        let holds_closure = match argument {
            Expr::Array(items, _) => items.iter().any(is_closure_expression),
            other => is_closure_expression(other),
        };
        if !holds_closure {
            return self.expression(argument);
        }
        let outside = std::mem::replace(&mut self.this, This::Unbound("in a closure"));
        let kind = self.expression(argument);
        self.this = outside;
        kind
    }

    fn this(&mut self, at: Position) -> Type<'k> {
        match self.this {
            This::Bound(kind) => kind,
            This::Unbound(place) => {
                let help = match place {
                    "in a closure" => "copy what you need before the closure: let dir = this.dir;",
                    "in meta()" => "meta() is asked before the testcase begins; write plain values there",
                    _ => "give the function what it needs as an argument",
                };
                self.report("unbound-this", at, format!("`this` is nothing {place}"), Some(help.into()));
                Type::Unknown
            }
        }
    }

    fn variable(&mut self, name: &ImmutableString, at: Position) -> Type<'k> {
        if let Some((_, kind)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return *kind;
        }
        if self.subject.source.is_lenient {
            let globals = &self.subject.facts.globals;
            let help = match globals.iter().find(|(global, _)| global == name.as_str()) {
                Some((_, true)) => Some(format!("a constant of the file is `global::{name}` in a function")),
                Some((_, false)) => Some(format!(
                    "functions do not see the file's variables: give it as an argument, or make it `const {name}` and write `global::{name}`"
                )),
                None => {
                    let local = self.variables.iter().map(|(known, _)| known.as_str());
                    name::nearest(name, local.chain(api::constants().keys().map(String::as_str)))
                        .map(|near| format!("did you mean `{near}`?"))
                }
            };
            self.report("unknown-variable", at, format!("no variable `{name}`"), help);
        }
        Type::Unknown
    }

    pub fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
    }
}

/// The made-up name of a closure that captures variables, and the variables.
pub fn captures(expression: &Expr) -> Option<(String, &[Expr])> {
    let Expr::Stmt(block) = expression else { return None };
    let [Stmt::Share(_), Stmt::Expr(call)] = block.statements() else { return None };
    let Expr::FnCall(call, _) = &**call else { return None };
    let (Expr::DynamicConstant(value, _), captured) = call.args.split_first()? else { return None };
    let name = value.read_lock::<FnPtr>()?.fn_name().to_string();
    (call.name == "curry" && is_closure(&name)).then_some((name, captured))
}

fn is_closure_expression(expression: &Expr) -> bool {
    match expression {
        Expr::DynamicConstant(value, _) => value.is_fnptr(),
        other => captures(other).is_some(),
    }
}

/// Where a statement begins, as good as the tree knows.
fn place_of(statement: &Stmt) -> Position {
    match statement {
        Stmt::Assignment(parts) => parts.1.lhs.start_position(),
        Stmt::Expr(expression) => expression.start_position(),
        other => other.position(),
    }
}
