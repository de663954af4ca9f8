//! Which of the variables that a closure captured it may have to itself.
//!
//! Stock Rhai shares a captured variable, and locks it while a method of it runs, or of something in it: two branches of `parallel`
//! could not use one guest, nor two guests of one list. So a closure begins with its own copy of a handle, which is the same guest, and
//! of a list or map of nothing but handles. It gets none of what a closure of the source could change, so that nobody can tell. What
//! others change does not matter: they do not run while a closure does.

use super::api;
use super::guard::CLOSURE;
use rhai::{AST, ASTNode, Dynamic, EvalContext, Expr, FnCallExpr, ImmutableString, Map, Module, ScriptFuncDef, Shared, Stmt};
use std::collections::HashSet;

/// What can be called on a list or map and never changes it.
const READERS: [&str; 16] = [
    "all", "contains", "debug", "filter", "find", "index_of", "is_empty", "keys", "len", "log", "map", "print", "reduce", "some",
    "type_of", "values",
];

/// The names of what the closures of a source may change.
#[derive(Debug, Default)]
pub struct Changes {
    /// Themselves: something is assigned to them.
    assigned: HashSet<String>,
    /// Inside: something in them is assigned to, or a function may do it.
    inside: HashSet<String>,
}

impl Changes {
    pub fn of(ast: &AST) -> Changes {
        let mut changes = Changes::default();
        for closure in ast.iter_fn_def().filter(|function| function.name.starts_with(CLOSURE)) {
            let mut only = Module::new();
            only.set_script_fn(closure.clone());
            AST::new([], only).walk(&mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Stmt(statement)) => changes.statement(statement),
                    Some(ASTNode::Expr(expression)) => changes.expression(expression),
                    _ => {}
                }
                true
            });
        }
        changes
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FnCall(call, _) => self.function(call),
            Stmt::Assignment(assignment) => match &assignment.1.lhs {
                Expr::Variable(variable, ..) => drop(self.assigned.insert(variable.1.to_string())),
                part => self.inside.extend(begin(part).map(str::to_string)),
            },
            _ => {}
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Dot(parts, ..) => {
                if let Expr::MethodCall(call, _) = first_step(&parts.rhs) {
                    self.call(&parts.lhs, call);
                }
            }
            Expr::FnCall(call, _) => self.function(call),
            _ => {}
        }
    }

    /// The first argument of a function of Rhai's own may be changed by it.
    fn function(&mut self, call: &FnCallExpr) {
        if let Some(first) = call.args.first().filter(|_| call.op_token.is_none()) {
            self.call(first, call);
        }
    }

    fn call(&mut self, of: &Expr, call: &FnCallExpr) {
        if let Expr::Variable(variable, ..) = of
            && !READERS.contains(&call.name.as_str())
        {
            self.inside.insert(variable.1.to_string());
        }
    }
}

/// The variable that a chain begins with.
fn begin(chain: &Expr) -> Option<&str> {
    match chain {
        Expr::Variable(variable, ..) => Some(&variable.1),
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => begin(&parts.lhs),
        _ => None,
    }
}

/// What a chain does first, after its begin.
fn first_step(rest: &Expr) -> &Expr {
    match rest {
        Expr::Dot(parts, ..) | Expr::Index(parts, ..) => &parts.lhs,
        only => only,
    }
}

/// The variables of which a closure may have copies.
#[derive(Clone, Default)]
pub struct Own(Vec<Name>);

#[derive(Clone)]
struct Name {
    name: ImmutableString,
    /// Whether that is so too if it is a list or a map.
    is_fixed: bool,
}

impl Own {
    /// Nothing for a function that is no closure.
    pub fn of(function: &Shared<ScriptFuncDef>, changes: &Changes) -> Own {
        if !function.name.starts_with(CLOSURE) {
            return Own::default();
        }
        let own = function.params.iter().filter(|name| !changes.assigned.contains(name.as_str()));
        Own(own.map(|name| Name { name: name.clone(), is_fixed: !changes.inside.contains(name.as_str()) }).collect())
    }

    /// Gives a closure that begins its copies.
    pub fn give(&self, context: &mut EvalContext) {
        for Name { name, is_fixed } in &self.0 {
            let Some(variable) = context.scope_mut().get_mut(name).filter(|variable| variable.is_shared()) else { continue };
            let copy = variable
                .read_lock::<Dynamic>()
                .filter(|value| api::is_handle(value) || (*is_fixed && is_of_handles(value)))
                .map(|value| value.clone());
            if let Some(copy) = copy {
                *variable = copy;
            }
        }
    }
}

fn is_of_handles(value: &Dynamic) -> bool {
    let list = || value.read_lock::<rhai::Array>().map(|items| items.iter().all(api::is_handle));
    let map = || value.read_lock::<Map>().map(|items| items.values().all(api::is_handle));
    list().or_else(map).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::Engine;

    #[test]
    fn what_closures_change_is_known() {
        for (closure, assigned, inside) in [
            ("all[0].exec(); all.a.exec(); all.len(); len(all); for x in all {} f(1, all); all == 1", &[][..], &[][..]),
            ("all = []", &["all"], &[]),
            ("all += 1", &["all"], &[]),
            ("all[0] = 1", &[], &["all"]),
            ("all.a.b = 1", &[], &["all"]),
            ("all.push(1)", &[], &["all"]),
            ("all.pop().exec()", &[], &["all"]),
            ("push(all, 1)", &[], &["all"]),
            ("if true { (|| other = 1).call() }", &["other"], &[]),
        ] {
            let text = format!("let all = []; let other = 0; let f = || {{ {closure} }}; all = 5; all.push(5);");
            let changes = Changes::of(&Engine::new().compile(&text).unwrap());
            let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<HashSet<_>>();
            assert_eq!((changes.assigned, changes.inside), (names(assigned), names(inside)), "{closure}");
        }
    }
}
