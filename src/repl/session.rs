//! The engine's side of a prompt: what was defined so far, and evaluating, completing and painting an input against it.
//!
//! It knows no terminal and no line editor: inputs come as text, answers go as values made of text.

use super::complete::{Candidate, Names, Thing, complete, kind_of};
use super::help;
use super::highlight::{Stretch, highlight};
use super::input::{self, Input, Order};
use super::scan::{Sort as Word, tokens};
use super::value::{Limits, Value};
use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Kind, Result};
use crate::event::{Fact, Failure, Level, Outcome, Phase};
use crate::lab::{Guest, Lab};
use crate::name::did_you_mean;
use crate::script::{Aimed, Args, Case, Deferred, Ground, Manual, STACK, ScriptEngine, Scripts, Sort, judge};
use crate::time::{Cancel, Stop, Timestamp};
use crate::toolstack::Class;
use crate::vars::Live;
use rhai::{AST, Array, Dynamic, EvalAltResult, FnPtr, Module, Scope, Stmt};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Name of the variable that holds what was evaluated last.
pub const LAST: &str = "last";

/// Name of the variable that holds all guests. A pool may have others by now: it is read anew for each input that names it.
const GUESTS: &str = "guests";

/// How long the names in the lab are taken to be what they were.
const FRESH: Duration = Duration::from_secs(5);

/// How long somebody who presses Tab waits for them.
const TAB: Duration = Duration::from_secs(1);

/// How an input is named as a source: "input 3".
const SOURCE: &str = "input ";

/// What came of an input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was evaluated, and there is nothing to show.
    Nothing,
    Value(Value),
    Help(String),
    /// It threw, or could not be read.
    Failed {
        input: String,
        outcome: Outcome,
        failure: Box<Failure>,
        is_syntax: bool,
    },
    /// `skip(reason)`.
    Skipped(String),
    /// It was told to stop.
    Stopped {
        took: Duration,
    },
    /// The person wants to leave.
    Quit,
    /// The person says how a failing statement is to go on.
    Release(Order),
}

/// What was defined at a prompt, and the machines it can reach.
pub struct Session {
    case: Arc<Case>,
    engine: ScriptEngine,
    limits: Limits,
    /// By frame, the innermost first, where a statement is held; else one.
    frames: Vec<Mutex<Defined>>,
    /// The inputs so far: they are the sources of what was defined in them.
    inputs: Mutex<Vec<String>>,
    /// The names of what is in the lab, with when they were asked for.
    names: Mutex<HashMap<Thing, (Instant, Vec<String>)>>,
}

struct Defined {
    scope: Scope<'static>,
    /// All functions, and the imports, which Rhai forgets after each evaluation.
    kept: AST,
    functions: Vec<(String, Vec<String>)>,
    modules: Vec<String>,
}

impl Session {
    /// A session with the lab's first machine as `vm` and all of them as `guests`, if there is any.
    ///
    /// # Errors
    /// The standard library cannot be read.
    pub fn new(context: Context, lab: Arc<Lab>, variables: Live, scripts: Arc<Scripts>, limits: Limits) -> Result<Session> {
        scripts.manual()?;
        let mut scope = Scope::new();
        if let Ok(first) = lab.first(&context) {
            scope.push("vm", first);
        }
        if !lab.estates().is_empty() {
            scope.push("host", lab.host(None, &context)?).push("pool", lab.pool(None, &context)?);
        }
        if !lab.is_empty() {
            let all: Vec<Dynamic> = lab.guests(&context)?.into_iter().map(Dynamic::from).collect();
            scope.push(GUESTS, all);
        }
        let case = Arc::new(Case::new(context, lab, Args::new(), variables, scripts));
        Ok(Session::with(case, vec![scope], limits))
    }

    /// A session in a testcase that goes on. `scopes` are the variables of its call chain, the innermost function's first; where there
    /// are none, it has the machine that the testcase runs on as `vm`, `host` or `pool`.
    pub fn of(case: &Arc<Case>, mut scopes: Vec<Scope<'static>>, limits: Limits) -> Session {
        if scopes.is_empty() {
            let mut scope = Scope::new();
            // A testcase without a machine has a prompt all the same.
            match case.target() {
                Ok(Aimed::Guest(guest)) => drop(scope.push("vm", guest)),
                Ok(Aimed::Host(host)) => drop(scope.push("host", host)),
                Ok(Aimed::Pool(pool)) => drop(scope.push("pool", pool)),
                Err(_) => {}
            }
            scopes.push(scope.push("args", case.args.clone()).clone());
        }
        Session::with(case.clone(), scopes, limits)
    }

    fn with(case: Arc<Case>, scopes: Vec<Scope<'static>>, limits: Limits) -> Session {
        let mut engine = case.scripts.engine(&case);
        // An input sees the variables and imports of those before it, which the parser does not know.
        engine.set_strict_variables(false);
        let defined = |scope| Mutex::new(Defined { scope, kept: AST::empty(), functions: Vec::new(), modules: Vec::new() });
        let frames = scopes.into_iter().map(defined).collect();
        Session { case, engine, limits, frames, inputs: Mutex::default(), names: Mutex::default() }
    }

    /// What there is to look up; nothing where the standard library cannot be read any more.
    fn manual(&self) -> Arc<Manual> {
        self.case.scripts.manual().unwrap_or_default()
    }

    /// The frame of this number, or the innermost.
    fn frame(&self, frame: usize) -> &Mutex<Defined> {
        self.frames.get(frame).unwrap_or(&self.frames[0])
    }

    /// Looks at the variables of a frame.
    pub fn scope<T>(&self, frame: usize, look: impl FnOnce(&Scope<'static>) -> T) -> T {
        look(&self.frame(frame).lock().unwrap_or_else(PoisonError::into_inner).scope)
    }

    /// The names of what is in the lab.
    fn names(&self, thing: Thing) -> Vec<String> {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, names)) = known.get(&thing).filter(|(asked, _)| asked.elapsed() < FRESH) {
            return names.clone();
        }
        let lab = &self.case.lab;
        let names = match thing {
            Thing::Guest => lab.known_names(Class::Guest, TAB),
            Thing::Host => lab.known_names(Class::Host, TAB),
            Thing::Network => lab.known_names(Class::Network, TAB),
            Thing::Sr => lab.known_names(Class::Sr, TAB),
            Thing::Template => lab.known_templates(TAB),
        };
        known.insert(thing, (Instant::now(), names.clone()));
        names
    }

    /// Has `guests` be what there is now, if the input names it and it is still ours.
    fn refresh(&self, code: &str, defined: &mut Defined) {
        let is_named = tokens(code).iter().any(|t| t.sort == Word::Word && &code[t.range.clone()] == GUESTS);
        let is_ours = |value: &Dynamic| value.read_lock::<Array>().is_some_and(|all| all.iter().all(Dynamic::is::<Guest>));
        if is_named && !self.case.lab.estates().is_empty() && defined.scope.get(GUESTS).is_some_and(is_ours) {
            // What it was is better than nothing where the pool does not answer.
            if let Ok(all) = self.case.lab.guests(&self.case.context) {
                defined.scope.set_or_push(GUESTS, all.into_iter().map(Dynamic::from).collect::<Array>());
            }
        }
    }

    pub fn is_incomplete(&self, text: &str) -> bool {
        input::is_incomplete(&self.engine, text)
    }

    /// What may stand at byte `at` of an input; nothing while an input is being evaluated.
    pub fn complete(&self, frame: usize, text: &str, at: usize) -> Vec<Candidate> {
        let Ok(defined) = self.frame(frame).try_lock() else { return Vec::new() };
        let Defined { scope, functions, modules, .. } = &*defined;
        complete(text, at, &Names { manual: &self.manual(), variables: scope, functions, modules, lab: &|thing| self.names(thing) })
    }

    pub fn highlight(&self, text: &str) -> Vec<Stretch> {
        let Ok(defined) = self.frame(0).try_lock() else { return highlight(text, |_| false, |_| false) };
        let is_ours = |name: &str| defined.functions.iter().any(|(n, _)| n == name);
        let manual = self.manual();
        let is_known = |name: &str| manual.entries().iter().any(|e| e.name == name && e.sort != Sort::Key);
        highlight(text, |name| defined.scope.contains(name), |name| is_ours(name) || is_known(name))
    }

    /// Evaluates an input, until its end or until `cancel` is raised.
    pub fn evaluate(&self, text: &str, cancel: &Cancel) -> Answer {
        match Input::of(text) {
            Input::Nothing => Answer::Nothing,
            Input::Quit => Answer::Quit,
            Input::Help(topic) => Answer::Help(help::text(&self.manual(), &self.meant(0, topic))),
            Input::Code(code) => {
                self.case.context.go_on_with(cancel.clone());
                let work = || on_its_own_stack(|| self.run(0, code, &mut &self.engine)).unwrap_or_else(|error| failed("", &error));
                told(&self.case.context, cancel, work)
            }
        }
    }

    /// Evaluates an input in a frame of a paused testcase, on the calling thread, which is the testcase's own: with the functions and
    /// imports of the statement that is held, or else (`ground` is nothing) those of the library alone.
    pub fn evaluate_in(&self, frame: usize, text: &str, cancel: &Cancel, ground: Option<&mut dyn Ground>) -> Answer {
        match Input::of(text) {
            Input::Nothing => Answer::Nothing,
            Input::Quit => Answer::Quit,
            Input::Help(topic) => Answer::Help(help::text(&self.manual(), &self.meant(frame, topic))),
            Input::Code(code) => match Order::of(code) {
                Some(order) => Answer::Release(order),
                None => told(&self.case.context, cancel, || {
                    self.case.context.stopped_by(cancel, || match ground {
                        Some(ground) => self.run(frame, code, ground),
                        None => self.run(frame, code, &mut &self.engine),
                    })
                }),
            },
        }
    }

    /// The value of an expression in a frame of a paused testcase, as [`Session::evaluate_in`].
    ///
    /// # Errors
    /// The answer that says why there is none.
    pub fn value_in(&self, frame: usize, text: &str, cancel: &Cancel, ground: &mut dyn Ground) -> Result<Dynamic, Answer> {
        self.case.context.stopped_by(cancel, || self.raw(frame, text, ground).map(|(value, _)| value))
    }

    /// Runs the clean-ups that were registered with `defer`, the last first, and gives the machines back.
    pub fn leave(&self, cancel: &Cancel) {
        self.case.context.go_on_with(cancel.clone());
        let cleaned = on_its_own_stack(|| {
            let mut announced = false;
            while let Some(deferred) = self.case.next_deferred() {
                if !announced {
                    self.case.context.publish(Fact::PhaseStarted { phase: Phase::Cleanup });
                    announced = true;
                }
                self.clean_up(&deferred);
            }
            self.case.lab.give_back(&self.case.context);
        });
        if let Err(error) = cleaned {
            self.case.context.log(Level::Warning, format!("clean-up: {}", error.what));
        }
        self.case.context.bus().flush();
    }

    fn clean_up(&self, deferred: &Deferred) {
        let context = &self.case.context;
        let place = deferred.place();
        let line = self.text(&place.file).and_then(|text| text.lines().nth(place.line.saturating_sub(1)).map(str::to_string));
        context.log(Level::Step, format!("{place}: {}", line.unwrap_or_default().trim()));
        if let Err(error) = deferred.call(&self.engine) {
            let ended = judge(context, &error, &|source| self.text(source));
            context.log(Level::Warning, format!("clean-up: {}", ended.reason));
        }
    }

    fn run(&self, frame: usize, code: &str, ground: &mut dyn Ground) -> Answer {
        match self.raw(frame, code, ground) {
            Ok((value, mut defined)) => self.shown(value, &mut defined),
            Err(answer) => answer,
        }
    }

    fn raw(&self, frame: usize, code: &str, ground: &mut dyn Ground) -> Result<(Dynamic, MutexGuard<'_, Defined>), Answer> {
        let began = Timestamp::now();
        let source = self.remember(code);
        let parsed = self.case.scripts.parse(&self.engine, &source, code).map_err(|diagnostic| unreadable(&source, &diagnostic))?;
        let mut defined = self.frame(frame).lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(code, &mut defined);
        let mut whole = defined.kept.merge(&parsed);
        whole.set_source(&source);
        // A function is defined even if a statement beside it fails.
        defined.keep(&parsed, false);
        let error = match ground.evaluate(&mut defined.scope, &whole) {
            Ok(value) => {
                defined.keep(&parsed, true);
                return Ok((value, defined));
            }
            Err(error) => error,
        };
        let ended = judge(&self.case.context, &error, &|source| self.text(source));
        let Some(mut failure) = ended.failure else { return Err(Answer::Skipped(ended.reason)) };
        if let EvalAltResult::ErrorVariableNotFound(name, _) = error.unwrap_inner() {
            failure.help = Some(defined.near(name));
        }
        Err(Answer::Failed { input: source, outcome: ended.outcome, failure: tidied(failure, began), is_syntax: false })
    }

    /// The value as text. It stays at hand as `last`.
    fn shown(&self, value: Dynamic, defined: &mut MutexGuard<'_, Defined>) -> Answer {
        let text = match value.type_name() {
            // A library object says itself what it is.
            name if name.contains("::") => {
                let said = FnPtr::new("to_string").and_then(|f| f.call::<Dynamic>(&self.engine, &AST::empty(), (value.clone(),)));
                let said = said.map_or_else(|_| kind_of(&value), |said| crate::script::plain_text(&said));
                Some(Value::Line(said))
            }
            _ => Value::of(&value, self.limits),
        };
        let Some(text) = text else { return Answer::Nothing };
        if defined.scope.is_constant(LAST) != Some(true) {
            defined.scope.set_or_push(LAST, value);
        }
        Answer::Value(text)
    }

    /// A topic as the manual has it: `vm.exec` is `guest.exec`.
    fn meant(&self, frame: usize, topic: &str) -> String {
        let Some((of, name)) = topic.split_once('.') else { return topic.to_string() };
        let defined = self.frame(frame).lock().unwrap_or_else(PoisonError::into_inner);
        match defined.scope.get(of) {
            Some(value) => format!("{}.{name}", kind_of(value)),
            None => topic.to_string(),
        }
    }

    fn remember(&self, code: &str) -> String {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.push(code.to_string());
        format!("{SOURCE}{}", inputs.len())
    }

    fn text(&self, source: &str) -> Option<String> {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let number = source.strip_prefix(SOURCE).and_then(|n| n.parse::<usize>().ok());
        match number.and_then(|n| inputs.get(n.checked_sub(1)?)) {
            Some(text) => Some(text.clone()),
            None => self.case.scripts.text(source),
        }
    }
}

impl Defined {
    /// What may have been meant by a variable that does not exist.
    fn near(&self, name: &str) -> String {
        match name {
            "vm" | "guests" => return "no machine was given: leave, and name one with --guest, or a pool with --host".into(),
            "host" | "pool" => return "no host was given: leave, and name one with --host, or --host sim".into(),
            _ => {}
        }
        did_you_mean(name, self.scope.iter_raw().map(|(name, ..)| name)).unwrap_or_else(|| format!("make one: let {name} = …"))
    }

    /// Keeps the functions of an input, or its imports, for those that follow.
    fn keep(&mut self, parsed: &AST, imports: bool) {
        if !imports {
            for function in parsed.iter_functions().filter(|f| !f.name.starts_with("anon$")) {
                let params: Vec<String> = function.params.iter().map(ToString::to_string).collect();
                self.functions.retain(|(name, p)| name != function.name || p.len() != params.len());
                self.functions.push((function.name.to_string(), params));
            }
            self.kept.combine(parsed.clone_functions_only());
            return;
        }
        for statement in parsed.statements() {
            let Stmt::Import(import, _) = statement else { continue };
            self.kept.combine(AST::new([statement.clone()], Module::new()));
            if !self.modules.contains(&import.1.name.to_string()) {
                self.modules.push(import.1.name.to_string());
            }
        }
    }
}

/// Does work for an input that `cancel` stops.
fn told(context: &Context, cancel: &Cancel, work: impl FnOnce() -> Answer) -> Answer {
    let clock = Instant::now();
    let answer = work();
    // Readers have told all of it before the answer is shown.
    context.bus().flush();
    match answer {
        Answer::Failed { .. } if cancel.reason() == Some(Stop::User) => Answer::Stopped { took: clock.elapsed() },
        answer => answer,
    }
}

/// Runs a script's part on a thread with the stack that scripts need.
fn on_its_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("prompt".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| Error::new(Kind::Internal, "no thread for the input").because(e))?;
        thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
            Error::new(Kind::Internal, format!("the harness panicked: {}", text.unwrap_or_default()))
                .help("this is a fault of xrt; please report it with what you typed")
        })
    })
}

/// What concerns this input only: the variables of a prompt are no news, nor are the calls of earlier inputs.
fn tidied(mut failure: Box<Failure>, began: Timestamp) -> Box<Failure> {
    failure.calls.retain(|call| call.at >= began);
    for frame in &mut failure.frames {
        if frame.function.is_empty() && frame.place.file.starts_with(SOURCE) {
            frame.locals.clear();
        }
    }
    failure
}

fn failed(input: &str, error: &Error) -> Answer {
    let failure = Failure::of(error);
    Answer::Failed { input: input.to_string(), outcome: failure.outcome(), failure: Box::new(failure), is_syntax: false }
}

fn unreadable(input: &str, diagnostic: &Diagnostic) -> Answer {
    let failure = diagnostic.failure();
    Answer::Failed { input: input.to_string(), outcome: failure.outcome(), failure: Box::new(failure), is_syntax: true }
}
