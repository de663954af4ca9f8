//! Errors on their way into a script and out of it.
//!
//! Inside, an error is a map that a script can catch and look into: `#{ kind, message, blame, machine, command, code, … }`. Outside it
//! is an [`Error`] for the harness and a [`Failure`] for the reports, with source lines, call chain and local values.

use super::guard::{self, Capture};
use super::show;
use crate::context::Context;
use crate::diagnostic::{At, around};
use crate::error::{Blame, Details, Error, Kind};
use crate::event::{Failure, Frame, Outcome, Place};
use rhai::{Dynamic, EvalAltResult, Map, Position};

/// What a function that a script can call returns.
pub type Raised<T> = Result<T, Box<EvalAltResult>>;

/// How much of a failure's data, and of its message, goes into reports; all of it is in the testcase's log.
const DATA_KEPT: usize = 4096;

/// The `kind` of a thrown map that means "not applicable here".
const SKIPPED: &str = "skipped";

/// Turns an error into what a script catches. A stopped testcase cannot catch: it ends.
pub fn raise(context: &Context, error: &Error) -> Box<EvalAltResult> {
    if context.cancel().is_raised() {
        return stopped(context);
    }
    EvalAltResult::ErrorRuntime(map_of(error).into(), Position::NONE).into()
}

/// The end of a script that was told to stop. No script can catch it.
pub fn stopped(context: &Context) -> Box<EvalAltResult> {
    let why = context.cancel().check().err().map_or_else(|| "stopped".to_string(), |e| e.what);
    EvalAltResult::ErrorTerminated(why.into(), Position::NONE).into()
}

/// What `skip(reason)` throws.
pub fn skip(reason: &str) -> Box<EvalAltResult> {
    let mut map = Map::new();
    map.insert("kind".into(), SKIPPED.into());
    map.insert("message".into(), reason.into());
    EvalAltResult::ErrorRuntime(map.into(), Position::NONE).into()
}

/// What `fail(reason, data)` and `error(reason, data)` throw.
pub fn judged(blame: Blame, reason: &str, data: &Dynamic) -> Box<EvalAltResult> {
    let mut map = map_of(&Error::new(Kind::Assertion, reason).blame(blame));
    if !data.is_unit() {
        map.insert("data".into(), data.clone());
    }
    EvalAltResult::ErrorRuntime(map.into(), Position::NONE).into()
}

/// An error of an author: a wrong argument, an unknown option.
pub fn misuse(what: impl Into<String>, help: Option<String>) -> Box<EvalAltResult> {
    let mut error = Error::new(Kind::Malformed, what);
    error.help = help;
    EvalAltResult::ErrorRuntime(map_of(&error).into(), Position::NONE).into()
}

/// Whether an error is what `skip(reason)` throws.
pub fn is_skip(error: &EvalAltResult) -> bool {
    let EvalAltResult::ErrorRuntime(value, _) = innermost(error) else { return false };
    value.read_lock::<Map>().is_some_and(|map| text(&map, "kind").as_deref() == Some(SKIPPED))
}

/// Whether an error can only be a slip of the script's author, whatever the machines do: a name that does not exist, a wrong type.
pub fn is_mistake(error: &EvalAltResult) -> bool {
    matches!(
        innermost(error),
        EvalAltResult::ErrorVariableNotFound(..)
            | EvalAltResult::ErrorFunctionNotFound(..)
            | EvalAltResult::ErrorModuleNotFound(..)
            | EvalAltResult::ErrorMismatchDataType(..)
            | EvalAltResult::ErrorMismatchOutputType(..)
            | EvalAltResult::ErrorDotExpr(..)
            | EvalAltResult::ErrorDataRace(..)
            | EvalAltResult::ErrorStackOverflow(..)
    )
}

fn map_of(error: &Error) -> Map {
    let mut map = Map::new();
    let mut put = |key: &str, value: Dynamic| map.insert(key.into(), value);
    put("kind", error.kind.word().into());
    put("blame", error.blame.word().into());
    put("message", error.what.clone().into());
    put("help", error.help.clone().map_or(Dynamic::UNIT, Dynamic::from));
    put("causes", error.causes().into_iter().map(Dynamic::from).collect::<Vec<_>>().into());
    if let Some(details) = &error.details {
        put("machine", details.machine.clone().into());
        put("command", details.command.clone().into());
        put("code", details.code.map_or(Dynamic::UNIT, Dynamic::from));
        put("signal", details.signal.clone().map_or(Dynamic::UNIT, Dynamic::from));
        put("stdout", details.stdout.clone().into());
        put("stderr", details.stderr.clone().into());
    }
    map
}

/// What an error that left a hook or a subcase means.
#[derive(Clone, Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub reason: String,
    /// Everything for the card; a skip has none.
    pub failure: Option<Box<Failure>>,
}

impl Ended {
    pub fn by(failure: Failure) -> Ended {
        Ended { outcome: failure.outcome(), reason: failure.message.clone(), failure: Some(Box::new(failure)) }
    }
}

/// Judges an error that left a script, and takes what was written down about it.
///
/// `excerpt` gives the text of a source by its name.
pub fn judge(context: &Context, error: &EvalAltResult, excerpt: &dyn Fn(&str) -> Option<String>) -> Ended {
    let captures = guard::take_captures();
    let inner = innermost(error);
    if is_skip(inner)
        && let EvalAltResult::ErrorRuntime(value, _) = inner
        && let Some(map) = value.read_lock::<Map>()
    {
        let reason = bounded(&text(&map, "message").unwrap_or_default());
        return Ended { outcome: Outcome::Skipped, reason, failure: None };
    }
    let (mut known, data) = read(context, inner);
    // What the lab that was chosen does not have is nobody's fault.
    if known.kind == Kind::Unsupported && known.blame == Blame::User {
        return Ended { outcome: Outcome::Skipped, reason: bounded(&known.what), failure: None };
    }
    // A script may hand on the whole output of a tool as its reason.
    known.what = bounded(&known.what);
    let frames = frames(error, captures, excerpt);
    Ended::by(Failure { data, frames, calls: context.calls(), ..Failure::of(&known) })
}

/// The harness's error for what a script threw.
pub fn error_of(context: &Context, error: &EvalAltResult) -> Error {
    read(context, innermost(error)).0
}

/// The harness's error for what a script threw, and more of it to show.
fn read(context: &Context, error: &EvalAltResult) -> (Error, Option<String>) {
    match error {
        EvalAltResult::ErrorTerminated(..) => (termination(context, error), None),
        EvalAltResult::ErrorRuntime(value, _) => match value.read_lock::<Map>() {
            Some(map) => thrown(&map),
            None => {
                let what = format!("the script threw {}", show::value(value, 500));
                let help =
                    "throw with `fail(reason)` when the product is at fault, with `error(reason)` when the test cannot be judged";
                (Error::new(Kind::Assertion, what).blame(Blame::Author).help(help), None)
            }
        },
        other => (Error::new(kind_of(other), message(other)).blame(Blame::Author), None),
    }
}

/// A time limit is the product's fault only if something on a machine was being waited for.
fn termination(context: &Context, error: &EvalAltResult) -> Error {
    let Err(stop) = context.cancel().check() else {
        return Error::new(Kind::Internal, message(error));
    };
    if stop.kind != Kind::Timeout {
        return stop;
    }
    match context.doing() {
        Some(doing) => Error { what: format!("{}; it was waiting for {doing}", stop.what), ..stop },
        None => Error { what: format!("{}; it was running script statements", stop.what), ..stop }
            .blame(Blame::Author)
            .help("raise `timeout` in meta() or with --timeout, or look for an endless loop"),
    }
}

fn thrown(map: &Map) -> (Error, Option<String>) {
    let kind = text(map, "kind").and_then(|k| Kind::from_word(&k));
    let what = text(map, "message").or_else(|| text(map, "reason")).unwrap_or_else(|| show::value(&map.clone().into(), 500));
    let mut error = Error::new(kind.unwrap_or(Kind::Assertion), what);
    error.blame = match text(map, "blame").and_then(|b| Blame::from_word(&b)) {
        Some(blame) => blame,
        // A map of the script's own making is no judgement on the product.
        None => Blame::Author,
    };
    error.help = text(map, "help");
    let mut data = map.get("data").filter(|d| !d.is_unit()).map(show::plain).unwrap_or_default();
    for stream in ["stdout", "stderr"] {
        if let Some(output) = text(map, stream).filter(|t| !t.trim().is_empty()) {
            data.push_str(&format!("{}{stream}:\n{}", if data.is_empty() { "" } else { "\n" }, output.trim_end()));
        }
    }
    if let Some(causes) = map.get("causes").and_then(|c| c.read_lock::<rhai::Array>()) {
        error.source = chain(&causes.iter().map(show::plain).collect::<Vec<_>>());
    }
    error.details = text(map, "command").map(|command| {
        let code = map.get("code").and_then(|c| c.as_int().ok());
        Box::new(Details { machine: text(map, "machine").unwrap_or_default(), command, code, ..Details::default() })
    });
    (error, (!data.is_empty()).then(|| bounded(&data)))
}

/// Causes that crossed a script as texts, as causes again.
fn chain(causes: &[String]) -> Option<std::sync::Arc<dyn std::error::Error + Send + Sync>> {
    let (first, rest) = causes.split_first()?;
    let mut error = Error::new(Kind::Internal, first.clone());
    error.source = chain(rest);
    Some(std::sync::Arc::new(error))
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key).filter(|v| v.is_string()).map(show::plain)
}

fn bounded(data: &str) -> String {
    if data.len() <= DATA_KEPT {
        return data.to_string();
    }
    let count = data.chars().count();
    if count <= DATA_KEPT {
        return data.to_string();
    }
    let tail: String = data.chars().skip(count - DATA_KEPT / 2).collect();
    let head: String = data.chars().take(DATA_KEPT / 2).collect();
    format!("{head}\n[… {} characters left out …]\n{tail}", count - DATA_KEPT)
}

fn kind_of(error: &EvalAltResult) -> Kind {
    match error {
        EvalAltResult::ErrorVariableNotFound(..)
        | EvalAltResult::ErrorPropertyNotFound(..)
        | EvalAltResult::ErrorIndexNotFound(..)
        | EvalAltResult::ErrorFunctionNotFound(..)
        | EvalAltResult::ErrorModuleNotFound(..) => Kind::NotFound,
        _ => Kind::Malformed,
    }
}

/// What an engine error says, without its position, in our words where Rhai's are about its insides.
pub fn message(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorDataRace(..) => {
            "a captured variable is used while a method of it still runs, in this closure's caller or in another \
             branch; copy what the closure needs into a variable of its own first: `let vm = vms[0];`"
                .into()
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => format!("no function `{signature}`"),
        EvalAltResult::ErrorPropertyNotFound(name, _) => format!("no property `{name}`"),
        EvalAltResult::ErrorVariableNotFound(name, _) => format!("no variable `{name}`"),
        EvalAltResult::ErrorStackOverflow(_) => "functions call each other too deeply (endless recursion?)".into(),
        other => {
            let mut bare = other.to_string();
            if let Some(at) = bare.rfind(" (line ") {
                bare.truncate(at);
            }
            bare
        }
    }
}

/// The error below all calls and imports.
pub fn innermost(mut error: &EvalAltResult) -> &EvalAltResult {
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) = error {
        error = inner;
    }
    error
}

/// The call chain, innermost first: what the guards wrote down, or else what Rhai's own chain of errors tells.
fn frames(error: &EvalAltResult, captures: Vec<Capture>, excerpt: &dyn Fn(&str) -> Option<String>) -> Vec<Frame> {
    let captures = if captures.is_empty() { chain_positions(error) } else { captures };
    recursion_cut(captures)
        .into_iter()
        .map(|c| {
            let place = place(&c.source, c.position);
            let lines = excerpt(&c.source).map(|text| around(&text, place.line)).unwrap_or_default();
            Frame { function: function_name(&c.function), place, lines, locals: c.locals }
        })
        .collect()
}

/// The frames without the middle of a recursion: of a run of calls from one place, the two innermost and the outermost stay.
fn recursion_cut(captures: Vec<Capture>) -> Vec<Capture> {
    let same = |a: &Capture, b: &Capture| a.source == b.source && a.position == b.position;
    let keep: Vec<bool> = (0..captures.len())
        .map(|i| {
            i < 2 || i + 1 == captures.len() || !(same(&captures[i], &captures[i - 2]) && same(&captures[i], &captures[i + 1]))
        })
        .collect();
    captures.into_iter().zip(keep).filter_map(|(capture, keep)| keep.then_some(capture)).collect()
}

/// Closures have a made-up name in Rhai.
fn function_name(name: &str) -> String {
    if name.starts_with(guard::CLOSURE) { "closure".into() } else { name.to_string() }
}

fn chain_positions(error: &EvalAltResult) -> Vec<Capture> {
    let mut found = Vec::new();
    let mut source = String::new();
    let mut function = String::new();
    let mut current = error;
    loop {
        let position = current.position();
        match current {
            EvalAltResult::ErrorInFunctionCall(name, callee_source, inner, _) => {
                if !position.is_none() {
                    found.push(Capture::bare(&function, &source, position));
                }
                function.clone_from(name);
                if !callee_source.is_empty() {
                    source.clone_from(callee_source);
                }
                current = inner;
            }
            EvalAltResult::ErrorInModule(path, inner, _) => {
                if !position.is_none() {
                    found.push(Capture::bare(&function, &source, position));
                }
                source.clone_from(path);
                current = inner;
            }
            _ => {
                if !position.is_none() {
                    found.push(Capture::bare(&function, &source, position));
                }
                break;
            }
        }
    }
    found.reverse();
    found
}

pub fn place(source: &str, position: Position) -> Place {
    At::from(position).in_file(source)
}
