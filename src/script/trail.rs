//! Where the threads of a testcase stand: the call chain of each, for others to look at, and its variables while a pause may come.
//!
//! A guard says which statement it is at; the body of a function, that one was called. While failures are to be held, the variables
//! of each function are shared with the trail as a closure would capture them, so that a person in a deeper call sees and changes
//! them where they are.

use super::failure::place;
use super::guard;
use crate::event::Place;
use rhai::{Dynamic, EvalContext, ImmutableString, Position, Scope};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A function that was called and has not returned.
#[derive(Clone)]
pub struct Level {
    /// As Rhai has it; empty at file level.
    pub function: ImmutableString,
    pub source: ImmutableString,
    /// The statement that it is at.
    pub position: Position,
    /// Those it had at that statement. Empty as long as no failure is to be held.
    pub variables: Vec<Variable>,
}

/// A variable where it is: writing to the value is seen by the script.
#[derive(Clone)]
pub struct Variable {
    pub name: ImmutableString,
    pub value: Dynamic,
    pub is_constant: bool,
}

impl Level {
    /// "agent_up" or "closure", and where it stands.
    pub fn place(&self) -> Place {
        place(&self.source, self.position)
    }

    pub fn function(&self) -> String {
        if self.function.starts_with(guard::CLOSURE) { "closure".into() } else { self.function.to_string() }
    }
}

/// The call chain of one thread.
pub struct Trail {
    /// What the thread is: empty for the testcase's own, "branch 2" in a `parallel`.
    pub name: String,
    /// The chain of the thread that waits for this one.
    above: Option<Arc<Trail>>,
    levels: Mutex<Vec<Level>>,
    trails: Trails,
}

/// The trails of one testcase. Clones are the same.
#[derive(Clone, Default)]
pub struct Trails(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Whether variables are to be kept in sight.
    is_armed: AtomicBool,
    all: Mutex<Vec<Weak<Trail>>>,
}

thread_local! {
    static HERE: RefCell<Option<Arc<Trail>>> = const { RefCell::new(None) };
}

impl Trails {
    /// Says whether variables are to be kept in sight from the next statement on.
    pub fn arm(&self, is_armed: bool) {
        self.0.is_armed.store(is_armed, Ordering::Relaxed);
    }

    /// Does work whose statements are a trail of this testcase's. `above` is the trail that this is a branch of.
    pub fn along<T>(&self, name: &str, above: Option<Arc<Trail>>, source: &str, work: impl FnOnce() -> T) -> T {
        let base =
            Level { function: ImmutableString::new(), source: source.into(), position: Position::NONE, variables: Vec::new() };
        // A branch begins with the closure that it calls.
        let levels = Mutex::new(if above.is_some() { Vec::new() } else { vec![base] });
        let trail = Arc::new(Trail { name: name.into(), above, levels, trails: self.clone() });
        {
            let mut all = self.all();
            all.retain(|trail| trail.strong_count() > 0);
            all.push(Arc::downgrade(&trail));
        }
        let before = Kept(HERE.replace(Some(trail)));
        let result = work();
        drop(before);
        result
    }

    /// Every thread of the testcase with its levels, the outermost first.
    pub fn standing(&self) -> Vec<(String, Vec<Level>)> {
        let all: Vec<Arc<Trail>> = self.all().iter().filter_map(Weak::upgrade).collect();
        all.iter().map(|trail| (trail.name.clone(), trail.lock().clone())).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Trail>>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was there before, put back after a panic too.
struct Kept(Option<Arc<Trail>>);

impl Drop for Kept {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

impl Trail {
    /// The whole call chain, innermost first, those above the branch too.
    pub fn chain(&self) -> Vec<Level> {
        let mut levels: Vec<Level> = self.lock().iter().rev().cloned().collect();
        if let Some(above) = &self.above {
            levels.extend(above.chain());
        }
        levels.retain(|level| !level.position.is_none());
        levels
    }

    /// How many levels of the chain are this thread's own.
    pub fn own(&self) -> usize {
        self.lock().iter().filter(|level| !level.position.is_none()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Level>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trail of this thread, if it runs a testcase.
pub fn here() -> Option<Arc<Trail>> {
    HERE.with_borrow(Clone::clone)
}

/// How deep this thread is in functions of scripts.
pub fn depth() -> usize {
    HERE.with_borrow(|here| here.as_ref().map_or(0, |trail| trail.own()))
}

/// This thread is at a statement.
pub fn at(context: &mut EvalContext, position: Position) {
    HERE.with_borrow(|here| {
        let Some(trail) = here else { return };
        let is_armed = trail.trails.0.is_armed.load(Ordering::Relaxed);
        let variables = is_armed.then(|| shared(context.scope_mut()));
        if let Some(level) = trail.lock().last_mut() {
            level.position = position;
            level.variables = variables.unwrap_or_default();
        }
    });
}

/// Looks at the variables of the statement that this thread is at, whether they are kept in sight or not.
pub fn look(context: &mut EvalContext) {
    HERE.with_borrow(|here| {
        let Some(trail) = here else { return };
        let variables = shared(context.scope_mut());
        if let Some(level) = trail.lock().last_mut() {
            level.variables = variables;
        }
    });
}

/// This thread is in a function until what is returned is dropped.
pub fn into(function: &ImmutableString, source: &ImmutableString) -> Inside {
    HERE.with_borrow(|here| {
        if let Some(trail) = here {
            let level =
                Level { function: function.clone(), source: source.clone(), position: Position::NONE, variables: Vec::new() };
            trail.lock().push(level);
        }
        Inside(here.clone())
    })
}

/// A function that has not returned.
pub struct Inside(Option<Arc<Trail>>);

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(trail) = &self.0 {
            trail.lock().pop();
        }
    }
}

/// Shares the variables of a scope, the innermost of each name.
fn shared(scope: &mut Scope) -> Vec<Variable> {
    let mut names: Vec<ImmutableString> = Vec::new();
    for (name, ..) in scope.iter_raw() {
        if !names.iter().any(|known| known == name) {
            names.push(name.into());
        }
    }
    // The innermost come first; people read them as they were declared.
    names.reverse();
    let variable = |name: ImmutableString| {
        let is_constant = scope.is_constant(&name) == Some(true);
        if let Some(value) = scope.get_mut(&name).filter(|value| !value.is_shared() && !value.is_fnptr()) {
            *value = std::mem::take(value).into_shared();
        }
        let value = scope.get(&name)?.clone();
        Some(Variable { name, value, is_constant })
    };
    names.into_iter().filter_map(variable).collect()
}
