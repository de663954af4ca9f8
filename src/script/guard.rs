//! Guards: every statement of a testcase is wrapped in the syntax tree, so that an error is seen while the local variables live.
//!
//! Stock Rhai unwinds before anybody can look. After compiling, each statement becomes a custom expression whose handler evaluates
//! the statement, and on an error writes down where it stands and what the variables hold ([`Capture`]). That is what failure cards
//! show. Function bodies cannot be replaced directly (their type is not exported), so each function gets a one-statement body that
//! evaluates the guarded block it carries.
//!
//! Here also two traps of the language are taken away. A loop variable that a closure captures is one variable for all rounds in
//! stock Rhai, so that all closures saw the last value: each round gets its own ([`FRESH`]). And a captured variable is locked
//! while a method of it runs: a closure gets its own copies of handles ([`Own`]).

use super::hold::{self, Expected, Go};
use super::own::{Changes, Own};
use super::{show, trail};
use crate::event::Local;
use rhai::{
    AST, ASTFlags, ASTNode, CustomExpr, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, FlowControl, FnCallExpr,
    ImmutableString, Module, Position, Shared, Stmt, StmtBlock,
};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

const GUARD: &str = "__guard";
const TRY: &str = "__try";
const BODY: &str = "__body";
const FRESH: &str = "__fresh";

/// How the names of closures begin, which Rhai makes up.
pub const CLOSURE: &str = "anon$";

/// Functions that do nothing but throw.
const THROWING: [&str; 3] = ["error", "fail", "skip"];

/// How many locals of one frame are written down.
const LOCALS_KEPT: usize = 24;

/// How many frames are written down: more than the engine's limit of call levels.
const FRAMES_KEPT: usize = 200;

/// One level of the call chain as an error passed through it.
#[derive(Clone, Debug)]
pub struct Capture {
    level: usize,
    /// Name of the function as Rhai has it; empty at file level.
    pub function: String,
    pub source: String,
    pub position: Position,
    pub locals: Vec<Local>,
}

impl Capture {
    /// A frame of which only the place is known.
    pub fn bare(function: &str, source: &str, position: Position) -> Capture {
        Capture { level: 0, function: function.to_string(), source: source.to_string(), position, locals: Vec::new() }
    }
}

type RhaiResult = Result<Dynamic, Box<EvalAltResult>>;

thread_local! {
    /// The frames of the error that is unwinding on this thread, innermost first.
    static CAPTURES: RefCell<Vec<Capture>> = const { RefCell::new(Vec::new()) };
    /// How deep the function is whose statement is to be evaluated again, while everything above it unwinds.
    static AGAIN: Cell<Option<usize>> = const { Cell::new(None) };
    /// The body that the next stub being parsed is to carry.
    static NEXT_BODY: RefCell<Option<Body>> = const { RefCell::new(None) };
}

/// A function's guarded block, carried by the stub that stands in for it.
#[derive(Clone)]
struct Body {
    block: Arc<Expr>,
    function: ImmutableString,
    source: ImmutableString,
    own: Own,
}

/// Takes what was written down about the last error on this thread. Whoever catches an error calls this, or the next card lies.
pub fn take_captures() -> Vec<Capture> {
    CAPTURES.with_borrow_mut(std::mem::take)
}

/// What was written down about the error that is on its way on this thread.
pub fn captures() -> Vec<Capture> {
    CAPTURES.with_borrow(Clone::clone)
}

/// Puts back what another thread wrote down, when its error goes on here.
pub fn put_captures(captures: Vec<Capture>) {
    CAPTURES.set(captures);
}

/// Teaches an engine the guards. An engine without this cannot run a guarded tree.
pub fn install(engine: &mut Engine) -> &mut Engine {
    let block_then_end = |symbols: &[ImmutableString], _: &str, _: &mut Dynamic| Ok((symbols.len() == 1).then(|| "$block$".into()));
    engine.register_custom_syntax_with_state_raw(GUARD, block_then_end, true, guard);
    engine.register_custom_syntax_with_state_raw(TRY, block_then_end, true, attempt);
    engine.register_custom_syntax_with_state_raw(FRESH, block_then_end, true, round);
    engine.register_custom_syntax_with_state_raw(
        BODY,
        |symbols, _, state| {
            if symbols.len() == 1 {
                return Ok(Some("$int$".into()));
            }
            if let Some(body) = NEXT_BODY.take() {
                *state = Dynamic::from(body);
            }
            Ok(None)
        },
        true,
        body,
    )
}

fn guard(context: &mut EvalContext, inputs: &[Expression], _: &Dynamic) -> RhaiResult {
    let variables = context.scope().len();
    loop {
        trail::at(context, inputs[0].position());
        #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
        let result = context.eval_expression_tree_raw(&inputs[0], false);
        match result {
            // An error below a statement that ended well was caught by somebody.
            Ok(value) => {
                CAPTURES.with_borrow_mut(Vec::clear);
                return Ok(value);
            }
            Err(error) if error.is_pseudo_error() => return Err(error),
            Err(error) => {
                if let Some(value) = failed(context, &inputs[0], error)? {
                    return Ok(instead(context, &inputs[0], variables, value));
                }
                // It is evaluated again: what it had declared before it failed is declared again.
                let variables = variables.min(context.scope().len());
                context.scope_mut().rewind(variables);
            }
        }
    }
}

/// What a statement gives that is passed over: of a declaration, the value is the variable's. What follows finds its variables by
/// their places, so that it would take another's for one that is not there.
fn instead(context: &mut EvalContext, statement: &Expr, variables: usize, value: Dynamic) -> Dynamic {
    let Expr::Stmt(block) = statement else { return value };
    let [Stmt::Var(declared, flags, _)] = block.statements() else { return value };
    let variables = variables.min(context.scope().len());
    let scope = context.scope_mut().rewind(variables);
    match flags.contains(ASTFlags::CONSTANT) {
        true => scope.push_constant_dynamic(declared.0.name.clone(), value),
        false => scope.push_dynamic(declared.0.name.clone(), value),
    };
    Dynamic::UNIT
}

/// What becomes of a statement that has failed: a value in its place, nothing when it is to be evaluated again, or its error.
fn failed(
    context: &mut EvalContext,
    statement: &Expression,
    error: Box<EvalAltResult>,
) -> Result<Option<Dynamic>, Box<EvalAltResult>> {
    if AGAIN.get().is_some() {
        return arrived(trail::depth()).then_some(None).ok_or(error);
    }
    if !capture(context, statement.position(), &error) {
        return Err(error);
    }
    let go = hold::hold(context, &error);
    if !matches!(go, Go::On) {
        take_captures();
    }
    match go {
        Go::On => Err(error),
        Go::Over(value) => Ok(Some(value)),
        Go::Anew => Err(hold::unwinding(false)),
        // What only throws never does anything else: what led there is looked at again.
        Go::Again(0) if !throws(statement) => Ok(None),
        Go::Again(frame) => {
            AGAIN.set(Some(trail::depth().saturating_sub(frame)));
            Err(hold::unwinding(true))
        }
    }
}

/// Whether a statement can do nothing but throw.
fn throws(statement: &Expr) -> bool {
    let Expr::Stmt(block) = statement else { return false };
    let is_thrower = |call: &FnCallExpr| call.namespace.is_empty() && THROWING.contains(&call.name.as_str());
    match block.statements() {
        [Stmt::FnCall(call, _)] => is_thrower(call),
        [Stmt::Expr(only)] => matches!(&**only, Expr::FnCall(call, _) if is_thrower(call)),
        [Stmt::Return(_, flags, _)] => flags.contains(ASTFlags::BREAK),
        _ => false,
    }
}

/// Whether this is where something is evaluated again; from then on nothing unwinds.
fn arrived(depth: usize) -> bool {
    let is_here = AGAIN.get().is_some_and(|target| depth <= target);
    if is_here {
        AGAIN.set(None);
        take_captures();
    }
    is_here
}

/// The body of a `try`: what was written down about an error that is caught is forgotten.
fn attempt(context: &mut EvalContext, inputs: &[Expression], _: &Dynamic) -> RhaiResult {
    let _expected = Expected::here();
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&inputs[0], true);
    if result.as_ref().is_err_and(|e| e.is_catchable()) {
        take_captures();
    }
    result
}

/// The body of a `for`, once: afterwards the loop's variables are no longer those that a closure of this round captured.
fn round(context: &mut EvalContext, inputs: &[Expression], state: &Dynamic) -> RhaiResult {
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&inputs[0], true);
    for name in state.read_lock::<Vec<ImmutableString>>().iter().flat_map(|names| names.iter()) {
        if let Some(variable) = context.scope_mut().get_mut(name).filter(|v| v.is_shared()) {
            *variable = variable.flatten_clone();
        }
    }
    result
}

fn body(context: &mut EvalContext, _: &[Expression], state: &Dynamic) -> RhaiResult {
    let Some(body) = state.read_lock::<Body>().map(|b| b.clone()) else {
        return Err("a function lost its body".into());
    };
    let _inside = trail::into(&body.function, &body.source);
    body.own.give(context);
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&(&*body.block).into(), false);
    if let Err(error) = &result
        && !error.is_pseudo_error()
    {
        // For a statement that cannot be guarded, such as an import: its names would end with the guard.
        capture(context, Position::NONE, error);
        let level = context.call_level();
        CAPTURES.with_borrow_mut(|captures| {
            if let Some(own) = captures.last_mut().filter(|c| c.level == level) {
                own.function = body.function.to_string();
                own.source = body.source.to_string();
            }
        });
    }
    result
}

/// Writes down where an error is, once a level of the call chain: the innermost statement of the level comes first. Whether this is the
/// first that is written down of it.
fn capture(context: &EvalContext, statement: Position, error: &EvalAltResult) -> bool {
    let level = context.call_level();
    CAPTURES.with_borrow_mut(|captures| {
        match captures.last() {
            Some(inner) if inner.level == level => return false,
            // Left over from an error that somebody caught.
            Some(inner) if inner.level < level => captures.clear(),
            _ => {}
        }
        if captures.len() == FRAMES_KEPT {
            return false;
        }
        let inside = error.position();
        let position = if inside.is_none() || inside.line() < statement.line() { statement } else { inside };
        let source = context.source().unwrap_or_default().to_string();
        captures.push(Capture { level, function: String::new(), source, position, locals: locals(context) });
        captures.len() == 1
    })
}

fn locals(context: &EvalContext) -> Vec<Local> {
    let mut seen = HashSet::new();
    // The innermost come first. Nothing is copied: a script may catch an error a round, beside a list of a million entries.
    let mut found: Vec<Local> = context
        .scope()
        .iter_raw()
        .filter(|(name, _, value)| seen.insert(*name) && !value.is_fnptr())
        .take(LOCALS_KEPT)
        .map(|(name, _, value)| Local { name: name.to_string(), value: show::value(value, show::SHORT) })
        .collect();
    found.reverse();
    found
}

/// The tree with every statement guarded, functions and closures included.
pub fn guarded(engine: &Engine, ast: &AST) -> Result<AST, Box<EvalAltResult>> {
    let source = ImmutableString::from(ast.source().unwrap_or_default());
    let mut functions = Module::new();
    functions.set_id(source.clone());
    let changes = Changes::of(ast);
    for function in ast.iter_fn_def() {
        let block = statements_of(function);
        let own = Own::of(function, &changes);
        NEXT_BODY.set(Some(Body { block: Arc::new(block), function: function.name.clone(), source: source.clone(), own }));
        let stub = engine.compile(format!("fn stub() {{ {BODY} 0 }}"))?;
        let mut guarded = (**function).clone();
        if let Some(stub) = stub.iter_fn_def().next() {
            guarded.body = stub.body.clone();
        }
        functions.set_script_fn(guarded);
    }
    let mut out = AST::new(ast.statements().iter().map(statement), functions);
    out.set_source(source);
    Ok(out)
}

/// The variables that a closure in this statement captures.
fn captured_names(of: &Stmt) -> HashSet<String> {
    let mut names = HashSet::new();
    of.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Share(captured))) = path.last() {
            names.extend(captured.iter().map(|(variable, _)| variable.name.to_string()));
        }
        true
    });
    names
}

fn statements_of(function: &Shared<rhai::ScriptFuncDef>) -> Expr {
    let mut only = Module::new();
    only.set_script_fn(function.clone());
    let mut statements = Vec::new();
    AST::new([], only).walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(found)] = path {
            statements.push(statement(found));
        }
        true
    });
    Expr::Stmt(Box::new(StmtBlock::new(statements, Position::NONE, Position::NONE)))
}

fn custom(keyword: &str, block: StmtBlock, state: Dynamic, position: Position) -> Stmt {
    let expression = CustomExpr {
        inputs: [Expr::Stmt(Box::new(block))].into_iter().collect(),
        tokens: [ImmutableString::from(keyword)].into_iter().collect(),
        state,
        scope_may_be_changed: true,
        self_terminated: true,
    };
    Stmt::Expr(Box::new(Expr::Custom(Box::new(expression), position)))
}

fn wrapped(inner: Stmt) -> Stmt {
    let position = inner.position();
    custom(GUARD, StmtBlock::new([inner], position, position), Dynamic::UNIT, position)
}

fn block(of: &StmtBlock) -> StmtBlock {
    StmtBlock::new_with_span(of.statements().iter().map(statement), of.span())
}

fn flow(of: &FlowControl) -> FlowControl {
    FlowControl { expr: of.expr.clone(), body: block(&of.body), branch: block(&of.branch) }
}

fn statement(of: &Stmt) -> Stmt {
    match of {
        Stmt::If(f, at) => wrapped(Stmt::If(Box::new(flow(f)), *at)),
        Stmt::While(f, at) => wrapped(Stmt::While(Box::new(flow(f)), *at)),
        Stmt::Do(f, flags, at) => wrapped(Stmt::Do(Box::new(flow(f)), *flags, *at)),
        Stmt::For(f, at) => {
            let captured = captured_names(of);
            let variables = [Some(&f.0), f.1.as_ref()].into_iter().flatten();
            let names: Vec<ImmutableString> = variables.map(|i| i.name.clone()).filter(|n| captured.contains(n.as_str())).collect();
            let FlowControl { expr, body, branch } = flow(&f.2);
            let body = match names.is_empty() {
                true => body,
                false => StmtBlock::new([custom(FRESH, body, Dynamic::from(names), *at)], *at, *at),
            };
            wrapped(Stmt::For(Box::new((f.0.clone(), f.1.clone(), FlowControl { expr, body, branch })), *at))
        }
        Stmt::Block(b) => Stmt::Block(Box::new(block(b))),
        Stmt::TryCatch(f, at) => {
            let body = StmtBlock::new([custom(TRY, block(&f.body), Dynamic::UNIT, *at)], *at, *at);
            Stmt::TryCatch(Box::new(FlowControl { expr: f.expr.clone(), body, branch: block(&f.branch) }), *at)
        }
        Stmt::Var(..) | Stmt::Assignment(..) | Stmt::FnCall(..) | Stmt::Expr(..) | Stmt::Switch(..) => wrapped(of.clone()),
        Stmt::Return(_, flags, _) if flags.contains(ASTFlags::BREAK) => wrapped(of.clone()),
        Stmt::Return(..) => wrapped(of.clone()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::{CallFnOptions, Scope};

    /// What `run()` of a guarded source gives.
    fn run(body: &str) -> String {
        let mut engine = Engine::new();
        install(&mut engine);
        let ast = guarded(&engine, &engine.compile(format!("fn run() {{ {body} }}")).unwrap()).unwrap();
        let value: Dynamic = engine.call_fn_with_options(CallFnOptions::new(), &mut Scope::new(), &ast, "run", ()).unwrap();
        show::value(&value, 200)
    }

    #[test]
    fn each_round_of_a_loop_has_its_own_variables() {
        for (body, expected) in [
            ("let all = []; for (x, i) in [7, 8, 9] { all.push(|| [x, i]); } all.map(|f| f.call())", "[[7, 0], [8, 1], [9, 2]]"),
            ("let all = []; for x in 0..3 { all.push(|| x); continue; } all.map(|f| f.call())", "[0, 1, 2]"),
            ("let sum = 0; for x in 0..3 { let add = || sum += x; add.call(); } sum", "3"),
            ("let sum = 0; for x in 0..3 { x += 10; sum += x; } sum", "33"),
            ("for x in 0..9 { if x == 2 { break x * 10; } }", "20"),
            ("for x in 0..3 {} 5", "5"),
            ("for x in 0..3 { for y in 0..3 { if x == 1 && y == 2 { return [x, y]; } } }", "[1, 2]"),
            ("let last = (); try { for x in 0..3 { last = x; if x == 1 { throw x; } } } catch (e) { last += e; } last", "2"),
        ] {
            assert_eq!(run(body), expected, "{body}");
        }
    }

    #[test]
    fn a_statement_that_only_throws_is_known() {
        for (text, expected) in
            [("fail(1);", true), ("fail(`${n}`)", true), ("throw 5;", true), ("check(n, 1);", false), ("if n { fail(1); }", false)]
        {
            let ast = Engine::new().compile(format!("fn run(n) {{ {text} }}")).unwrap();
            let Expr::Stmt(block) = statements_of(ast.iter_fn_def().next().unwrap()) else { panic!("{text}") };
            let [Stmt::Expr(guarded)] = block.statements() else { panic!("{text}: {block:?}") };
            let Expr::Custom(guarded, _) = &**guarded else { panic!("{text}: {guarded:?}") };
            assert_eq!(throws(&guarded.inputs[0]), expected, "{text}: {:?}", guarded.inputs[0]);
        }
    }

    #[test]
    fn what_was_written_down_of_an_error_that_a_function_dropped_is_forgotten() {
        let mut engine = Engine::new();
        install(&mut engine);
        engine.register_fn("dropped", |call: rhai::NativeCallContext, f: rhai::FnPtr| {
            drop(f.call_within_context::<Dynamic>(&call, ()));
        });
        let text = "fn run() { dropped(|| { let old = 1; throw old }); let later = 2; throw later }";
        let ast = guarded(&engine, &engine.compile(text).unwrap()).unwrap();
        let thrown = engine.call_fn_with_options::<Dynamic>(CallFnOptions::new(), &mut Scope::new(), &ast, "run", ());
        assert!(thrown.is_err());
        let captures = take_captures();
        let names: Vec<&str> = captures.iter().flat_map(|c| &c.locals).map(|l| l.name.as_str()).collect();
        assert_eq!((captures.len(), names), (1, vec!["later"]));
    }
}
