//! A statement that has failed, held before its error goes on: everything is still alive, and a person may look, change, and say how it
//! goes on.

use super::case::{Case, CaseRef};
use super::failure::{self, Ended, Raised, judge};
use super::trail::{self, Level, Variable};
use super::{guard, show};
use crate::event::{Frame, Local, Place};
use rhai::{AST, Dynamic, EvalAltResult, EvalContext, Expr, Position, Scope, StmtBlock};
use std::cell::Cell;
use std::sync::Arc;

/// How many locals of one frame are shown.
const LOCALS_SHOWN: usize = 100;

/// What ends a script that is read again, and calls whose caller is to be at its statement again: no script can catch it.
const ANEW: &str = "the script is read again";
const AGAIN: &str = "a statement is evaluated again";

/// The error that unwinds to where something begins anew.
pub fn unwinding(is_again: bool) -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(if is_again { AGAIN } else { ANEW }.into(), Position::NONE).into()
}

/// Whether an error is on its way to where something begins anew, and is nobody's fault.
pub fn is_unwinding(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorTerminated(why, _) = failure::innermost(error) else { return false };
    why.read_lock::<rhai::ImmutableString>().is_some_and(|why| *why == ANEW || *why == AGAIN)
}

/// Who decides which failures wait for a person.
pub trait Watch: Send + Sync {
    /// Whether a failure with this end is to be held. Nothing that was told to stop is asked for.
    fn wants(&self, case: &Case, ended: &Ended) -> bool;

    /// Holds it, on the thread of the script, until somebody says how it goes on, or the time for that is over.
    fn hold(&self, case: &Arc<Case>, held: &mut Held<'_>) -> Go;

    /// Waits for a person, because the script says so.
    fn pause(&self, case: &Arc<Case>, reason: &str);
}

/// How it goes on.
pub enum Go {
    /// The error goes on as it would have.
    On,
    /// The statement of a frame is evaluated again, 0 for the one that failed.
    Again(usize),
    /// The statement is passed over, with this for its value.
    Over(Dynamic),
    /// The script is read again, and its hook begins anew.
    Anew,
}

/// Something in which inputs of a person can be evaluated.
pub trait Ground {
    /// Evaluates what was compiled, with these variables.
    ///
    /// # Errors
    /// What it throws.
    fn evaluate(&mut self, scope: &mut Scope<'static>, ast: &AST) -> Raised<Dynamic>;
}

impl Ground for &rhai::Engine {
    fn evaluate(&mut self, scope: &mut Scope<'static>, ast: &AST) -> Raised<Dynamic> {
        self.eval_ast_with_scope(scope, ast)
    }
}

/// Evaluates what was compiled with these variables, and all else as it is where a statement is held.
type Evaluating<'a> = dyn FnMut(&mut Scope<'static>, &AST) -> Raised<Dynamic> + 'a;

/// A failing statement and where it stands.
pub struct Held<'a> {
    /// How the testcase would end.
    pub ended: Ended,
    /// The call chain, innermost first.
    levels: Vec<Level>,
    /// How many of them are of this thread: a branch cannot begin again what waits for it.
    own: usize,
    /// `this` of the innermost function.
    this: Option<Dynamic>,
    ground: &'a mut Evaluating<'a>,
}

impl Held<'_> {
    /// Where it is.
    pub fn place(&self) -> Option<Place> {
        self.levels.first().map(Level::place)
    }

    /// Whether the statement of a frame can be evaluated again.
    pub fn can_retry(&self, frame: usize) -> bool {
        frame < self.own
    }

    /// The frames as they are now, innermost first.
    pub fn frames(&self, excerpt: &dyn Fn(&str) -> Option<String>) -> Vec<Frame> {
        let this = self.this.as_ref().map(|this| local("this", this));
        let frame = |(number, level): (usize, &Level)| {
            let place = level.place();
            let lines = excerpt(&place.file).map(|text| crate::diagnostic::around(&text, place.line)).unwrap_or_default();
            let mut locals: Vec<Local> = level.variables.iter().take(LOCALS_SHOWN).map(|v| local(&v.name, &v.value)).collect();
            locals.extend(this.clone().filter(|_| number == 0));
            Frame { function: level.function(), place, lines, locals }
        };
        self.levels.iter().enumerate().map(frame).collect()
    }

    /// The variables of each frame: what is assigned to them is assigned in the script.
    pub fn scopes(&self) -> Vec<Scope<'static>> {
        self.levels.iter().map(|level| scope_of(&level.variables)).collect()
    }

    /// The sources of the frames: what is defined in one is known to what is evaluated there.
    pub fn sources(&self) -> Vec<String> {
        self.levels.iter().map(|level| level.source.to_string()).collect()
    }

    /// What a `let` of a variable's name put in its place is the variable's value from now on.
    pub fn settle(&self, frame: usize, scope: &Scope) {
        let Some(level) = self.levels.get(frame) else { return };
        for variable in level.variables.iter().filter(|variable| !variable.is_constant) {
            let Some(now) = scope.get(&variable.name).filter(|now| !now.is_shared()) else { continue };
            if let Some(mut value) = variable.value.clone().write_lock::<Dynamic>() {
                *value = now.clone();
            }
        }
    }
}

impl Ground for Held<'_> {
    fn evaluate(&mut self, scope: &mut Scope<'static>, ast: &AST) -> Raised<Dynamic> {
        (self.ground)(scope, ast)
    }
}

fn local(name: &str, value: &Dynamic) -> Local {
    // One that a method runs on right now cannot be read.
    let is_free = !value.is_shared() || value.read_lock::<Dynamic>().is_some();
    let value = if is_free { show::value(value, show::SHORT) } else { "(in use)".into() };
    Local { name: name.into(), value }
}

fn scope_of(variables: &[Variable]) -> Scope<'static> {
    let mut scope = Scope::new();
    for Variable { name, value, is_constant } in variables {
        match is_constant {
            true => scope.push_constant_dynamic(name.as_str(), value.clone()),
            false => scope.push_dynamic(name.as_str(), value.clone()),
        };
    }
    scope
}

/// How many functions around this statement expect that errors come out of it.
pub struct Expected(());

thread_local! {
    static EXPECTED: Cell<usize> = const { Cell::new(0) };
}

impl Expected {
    /// From now on, until this is dropped, an error on this thread is somebody's business.
    pub fn here() -> Expected {
        EXPECTED.set(EXPECTED.get() + 1);
        Expected(())
    }

    /// Whether somebody on this thread expects errors.
    pub fn is_any() -> bool {
        EXPECTED.get() > 0
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        EXPECTED.set(EXPECTED.get() - 1);
    }
}

/// Holds a statement that has failed, if somebody wants that. This is the innermost guard that its error passes.
pub fn hold(context: &mut EvalContext, error: &EvalAltResult) -> Go {
    if Expected::is_any() || matches!(failure::innermost(error), EvalAltResult::ErrorTerminated(..)) {
        return Go::On;
    }
    let Some(case) = context.tag().read_lock::<CaseRef>().map(|case| case.0.clone()) else { return Go::On };
    let (Some(watch), Some(trail)) = (case.watch.clone(), trail::here()) else { return Go::On };
    if case.is_judged() || case.context.cancel().is_raised() {
        return Go::On;
    }
    let captures = guard::captures();
    let ended = judge(&case.context, error, &|source| case.scripts.text(source));
    guard::put_captures(captures.clone());
    if !ended.outcome.is_bad() || !watch.wants(&case, &ended) {
        return Go::On;
    }
    // What it is at now, whatever was known when it began.
    trail::look(context);
    let (levels, own) = (trail.chain(), trail.own());
    let this = context.this_ptr().cloned();
    // What a person tries is no failure of the testcase.
    let _expected = Expected::here();
    let mut ground = |scope: &mut Scope<'static>, ast: &AST| evaluate(context, scope, ast);
    let go = watch.hold(&case, &mut Held { ended, levels, own, this, ground: &mut ground });
    guard::put_captures(captures);
    go
}

/// Evaluates an input with other variables than those of the statement, and everything else as it is there: functions, imports, `this`.
fn evaluate(context: &mut EvalContext, scope: &mut Scope<'static>, ast: &AST) -> Raised<Dynamic> {
    let block = StmtBlock::new(ast.statements().iter().cloned(), Position::NONE, Position::NONE);
    let block = Expr::Stmt(Box::new(block));
    let imports = context.global_runtime_state().num_imports();
    // Its statements are not where the testcase stands.
    let _inside = trail::into(&rhai::ImmutableString::new(), &ast.source().unwrap_or_default().into());
    let theirs = std::mem::take(scope);
    let own = std::mem::replace(context.scope_mut(), theirs);
    let result = {
        let frame = context.new_frame().with_new_caching_layer().with_namespace(ast.shared_lib().clone());
        let mut frame = frame.with_source(ast.source().unwrap_or_default()).up_call_level();
        #[expect(deprecated, reason = "volatile, not deprecated; the version of rhai is pinned")]
        frame.eval_expression_tree_raw(&(&block).into(), false)
    };
    context.global_runtime_state_mut().truncate_imports(imports);
    let theirs = std::mem::replace(context.scope_mut(), own);
    for (name, is_constant, value) in theirs.iter_raw() {
        match is_constant {
            true => scope.push_constant_dynamic(name, value.clone()),
            false => scope.push_dynamic(name, value.clone()),
        };
    }
    result
}
