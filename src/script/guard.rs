//! Guards: every statement of a testcase is wrapped in the syntax tree, so that an error is seen while the local variables live.
//!
//! Stock Rhai unwinds before anybody can look. After compiling, each statement becomes a custom expression whose handler evaluates
//! the statement, and on an error writes down where it stands and what the variables hold ([`Capture`]). That is what failure cards
//! show. Function bodies cannot be replaced directly (their type is not exported), so each function gets a one-statement body that
//! evaluates the guarded block it carries.

use super::show;
use crate::event::Local;
use rhai::{
    AST, ASTFlags, ASTNode, CustomExpr, Dynamic, Engine, EvalAltResult, EvalContext, Expr, Expression, FlowControl,
    ImmutableString, Module, Position, Shared, Stmt, StmtBlock,
};
use std::cell::RefCell;
use std::sync::Arc;

const GUARD: &str = "__guard";
const TRY: &str = "__try";
const BODY: &str = "__body";

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
    /// The body that the next stub being parsed is to carry.
    static NEXT_BODY: RefCell<Option<Body>> = const { RefCell::new(None) };
}

/// A function's guarded block, carried by the stub that stands in for it.
#[derive(Clone)]
struct Body {
    block: Arc<Expr>,
    function: ImmutableString,
    source: ImmutableString,
}

/// Takes what was written down about the last error on this thread. Whoever catches an error calls this, or the next card lies.
pub fn take_captures() -> Vec<Capture> {
    CAPTURES.with_borrow_mut(std::mem::take)
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
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&inputs[0], false);
    if let Err(error) = &result
        && !error.is_pseudo_error()
    {
        capture(context, inputs[0].position(), error);
    }
    result
}

/// The body of a `try`: what was written down about an error that is caught is forgotten.
fn attempt(context: &mut EvalContext, inputs: &[Expression], _: &Dynamic) -> RhaiResult {
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&inputs[0], true);
    if result.as_ref().is_err_and(|e| e.is_catchable()) {
        take_captures();
    }
    result
}

fn body(context: &mut EvalContext, _: &[Expression], state: &Dynamic) -> RhaiResult {
    let Some(body) = state.read_lock::<Body>().map(|b| b.clone()) else {
        return Err("a function lost its body".into());
    };
    #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
    let result = context.eval_expression_tree_raw(&(&*body.block).into(), false);
    if result.as_ref().is_err_and(|e| !e.is_pseudo_error()) {
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

/// Writes down where an error is, once a level of the call chain: the innermost statement of the level comes first.
fn capture(context: &EvalContext, statement: Position, error: &EvalAltResult) {
    let level = context.call_level();
    CAPTURES.with_borrow_mut(|captures| {
        match captures.last() {
            Some(inner) if inner.level == level => return,
            // Left over from an error that somebody caught.
            Some(inner) if inner.level < level => captures.clear(),
            _ => {}
        }
        if captures.len() == FRAMES_KEPT {
            return;
        }
        let inside = error.position();
        let position = if inside.is_none() || inside.line() < statement.line() { statement } else { inside };
        let source = context.source().unwrap_or_default().to_string();
        captures.push(Capture { level, function: String::new(), source, position, locals: locals(context) });
    });
}

fn locals(context: &EvalContext) -> Vec<Local> {
    let mut seen = std::collections::HashSet::new();
    let all: Vec<(&str, bool, Dynamic)> = context.scope().iter().collect();
    let mut found: Vec<Local> = all
        .into_iter()
        .rev()
        .filter(|(name, _, value)| seen.insert(*name) && !value.is_fnptr())
        .take(LOCALS_KEPT)
        .map(|(name, _, value)| Local { name: name.to_string(), value: show::value(&value, show::SHORT) })
        .collect();
    found.reverse();
    found
}

/// The tree with every statement guarded, functions and closures included.
pub fn guarded(engine: &Engine, ast: &AST) -> Result<AST, Box<EvalAltResult>> {
    let source = ImmutableString::from(ast.source().unwrap_or_default());
    let mut functions = Module::new();
    functions.set_id(source.clone());
    for function in ast.iter_fn_def() {
        let block = statements_of(function);
        NEXT_BODY.set(Some(Body { block: Arc::new(block), function: function.name.clone(), source: source.clone() }));
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

fn custom(keyword: &str, block: StmtBlock, position: Position) -> Stmt {
    let expression = CustomExpr {
        inputs: [Expr::Stmt(Box::new(block))].into_iter().collect(),
        tokens: [ImmutableString::from(keyword)].into_iter().collect(),
        state: Dynamic::UNIT,
        scope_may_be_changed: true,
        self_terminated: true,
    };
    Stmt::Expr(Box::new(Expr::Custom(Box::new(expression), position)))
}

fn wrapped(inner: Stmt) -> Stmt {
    let position = inner.position();
    custom(GUARD, StmtBlock::new([inner], position, position), position)
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
        Stmt::For(f, at) => wrapped(Stmt::For(Box::new((f.0.clone(), f.1.clone(), flow(&f.2))), *at)),
        Stmt::Block(b) => Stmt::Block(Box::new(block(b))),
        Stmt::TryCatch(f, at) => {
            let body = StmtBlock::new([custom(TRY, block(&f.body), *at)], *at, *at);
            Stmt::TryCatch(Box::new(FlowControl { expr: f.expr.clone(), body, branch: block(&f.branch) }), *at)
        }
        Stmt::Var(..) | Stmt::Assignment(..) | Stmt::FnCall(..) | Stmt::Expr(..) | Stmt::Switch(..) => wrapped(of.clone()),
        Stmt::Return(_, flags, _) if flags.contains(ASTFlags::BREAK) => wrapped(of.clone()),
        Stmt::Return(..) => wrapped(of.clone()),
        other => other.clone(),
    }
}

/// Whether a name is one of ours, for everything that lists names.
pub fn is_ours(name: &str) -> bool {
    [GUARD, TRY, BODY].contains(&name)
}
