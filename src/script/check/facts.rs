//! What a script says anywhere in it: gathered in one walk before the names are looked at one by one.

use rhai::{AST, ASTFlags, ASTNode, Expr, FnAccess, Position, ScriptFuncDef, Shared, Stmt};
use std::collections::{HashMap, HashSet};

/// What a script says anywhere in it.
#[derive(Default)]
pub struct Facts {
    /// Its functions, without its closures.
    pub functions: Vec<Shared<ScriptFuncDef>>,
    /// Its closures by their made-up names.
    pub closures: HashMap<String, Shared<ScriptFuncDef>>,
    /// Variables that are given another value somewhere, so that their type is not known.
    pub assigned: HashSet<String>,
    /// Keys of its maps and properties it sets: what a map may hold.
    pub keys: HashSet<String>,
    /// Properties that are set on anything.
    pub set: HashSet<String>,
    /// Functions that are called, by name.
    pub called: HashSet<String>,
    /// Functions that are called as methods.
    pub called_on: HashSet<String>,
    /// What it imports: alias, path where that is a plain text, and place.
    pub imports: Vec<(String, Option<String>, Position)>,
    /// What stands at file level: name, and whether it is a constant.
    pub globals: Vec<(String, bool)>,
    /// Names that importing scripts see, besides functions.
    pub exports: HashSet<String>,
}

impl Facts {
    pub fn of(ast: &AST) -> Facts {
        let mut facts = Facts::default();
        for function in ast.iter_fn_def() {
            if is_closure(&function.name) {
                facts.closures.insert(function.name.to_string(), function.clone());
            } else {
                facts.functions.push(function.clone());
            }
        }
        for statement in ast.statements() {
            if let Stmt::Var(var, flags, _) = statement {
                facts.globals.push((var.0.name.to_string(), flags.contains(ASTFlags::CONSTANT)));
                if flags.contains(ASTFlags::EXPORTED) {
                    facts.exports.insert(var.0.name.to_string());
                }
            }
            if let Stmt::Export(names, _) = statement {
                let name = if names.1.name.is_empty() { &names.0.name } else { &names.1.name };
                facts.exports.insert(name.to_string());
            }
        }
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Stmt(statement)) => facts.statement(statement),
                Some(ASTNode::Expr(expression)) => facts.expression(expression),
                _ => {}
            }
            true
        });
        facts
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Assignment(assignment) => self.assignment(&assignment.1.lhs),
            Stmt::FnCall(call, _) => {
                self.called.insert(call.name.to_string());
            }
            Stmt::Import(import, at) => {
                let (path, at) = match &import.0 {
                    Expr::StringConstant(path, at) => (Some(path.to_string()), *at),
                    _ => (None, *at),
                };
                self.imports.push((import.1.name.to_string(), path, at));
            }
            _ => {}
        }
    }

    fn assignment(&mut self, to: &Expr) {
        match to {
            Expr::Variable(variable, ..) => {
                self.assigned.insert(variable.1.to_string());
            }
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) => {
                let key = match &pair.rhs {
                    Expr::Property(property, _) => Some(property.2.to_string()),
                    Expr::StringConstant(key, _) => Some(key.to_string()),
                    _ => None,
                };
                if let Some(key) = key {
                    self.set.insert(key.clone());
                    self.keys.insert(key);
                }
                self.assignment(&pair.rhs);
            }
            _ => {}
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::FnCall(call, _) => {
                self.called.insert(call.name.to_string());
                // Fn("name") calls it later.
                if call.name == "Fn"
                    && let [Expr::StringConstant(name, _)] = &call.args[..]
                {
                    self.called.insert(name.to_string());
                }
            }
            Expr::MethodCall(call, _) => {
                self.called_on.insert(call.name.to_string());
            }
            Expr::Map(map, _) => self.keys.extend(map.0.iter().map(|(key, _)| key.name.to_string())),
            _ => {}
        }
    }

    /// The parameter counts of its functions of a name that may be called without a receiver.
    pub fn free(&self, name: &str) -> impl Iterator<Item = &Shared<ScriptFuncDef>> {
        self.functions.iter().filter(move |f| f.name == name && f.this_type.is_none())
    }

    /// What an importing script may call.
    pub fn public(&self) -> impl Iterator<Item = &Shared<ScriptFuncDef>> {
        self.functions.iter().filter(|f| f.access == FnAccess::Public && f.this_type.is_none())
    }
}

pub fn is_closure(name: &str) -> bool {
    name.starts_with("anon$")
}
