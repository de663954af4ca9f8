//! What can be asked of a run: a row a method.
//!
//! # Source
//! Those up to `xmlrpcLogger` are the original's, with its arguments and results (`reference/harness.md` 10). Where it took anything and
//! did nothing with it, a fault says what is wrong.

use super::desk::{Desk, Listed};
use super::params::Params;
use super::tail;
use crate::context::clip;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Outcome, Release};
use crate::lab::Guest;
use crate::name::did_you_mean;
use crate::report::printable;
use crate::run::Status;
use dxr::Value;
use std::sync::Arc;

/// Lines of the log that one call gives.
const LOG_LINES: usize = 1000;

/// Events that one call gives.
const EVENTS: usize = 1000;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    Look,
    Steer,
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As shown to people: "jane@10.0.0.7".
    pub name: String,
    pub right: Right,
}

type Call = fn(&Arc<Desk>, &Caller, &mut Params) -> Result<Value>;

/// A method of the server.
pub struct Method {
    pub name: &'static str,
    pub right: Right,
    /// Arguments and result, as help shows them.
    pub form: &'static str,
    pub about: &'static str,
    pub call: Call,
}

const fn looks(name: &'static str, form: &'static str, about: &'static str, call: Call) -> Method {
    Method { name, right: Right::Look, form, about, call }
}

const fn steers(name: &'static str, form: &'static str, about: &'static str, call: Call) -> Method {
    Method { name, right: Right::Steer, form, about, call }
}

/// All methods, those of the original first.
pub const METHODS: &[Method] = &[
    looks("getRunningTests", "() → [[tag, status], …]", "everything that has begun, and where it stands", running_tests),
    steers("setRunningStatus", "(tag, status) → true", "Continue, NotContinue or Indefinite ends a pause, or holds it", set_status),
    steers("setBlockingStatus", "(tag, blocks) → true", "whether a testcase blocks what follows it", set_blocking),
    steers("setTestResult", "(tag, code) → true", "the result: 1 pass, 2 fail, 3 partial, 4 error, 5 skipped", set_result),
    steers("setConfigVariable", "(path, value) → true", "a variable; the path is a list, or a text with slashes", set_variable),
    looks("dumpConfig", "() → text", "all variables, NAME='value' a line, without secrets", dump_config),
    steers("abortRun", "() → true", "begins nothing more once what runs now has ended", abort_run),
    steers("flushLogs", "() → true", "has everything written that was told so far", flush_logs),
    looks("getGuestList", "() → [name, …]", "the guests known to the run", guest_list),
    looks("getHostList", "() → [name, …]", "its hosts", host_list),
    looks("getGuestInfo", "(name) → [name, ip, vcpus, memory, distro, uuid]", "what is known of a guest", guest_info),
    looks("getHostInfo", "(name) → [name, ip]", "what is known of a host", host_info),
    steers("getGuestFile", "(guest, path) → bytes", "a file of a guest", guest_file),
    looks("xmlrpcEcho", "(x) → x", "gives back what it was given", |_, _, params| params.any()),
    looks("xmlrpcNop", "() → true", "does nothing", |_, _, _| Ok(Value::Boolean(true))),
    looks("xmlrpcLogger", "() → [line, …]", "the last 1,000 lines of the log", log_lines),
    looks("listTests", "() → JSON", "as getRunningTests, with since when, why paused and until when", list_tests),
    looks("getStacks", "() → JSON", "where every script stands, and what it waits for", stacks),
    looks("getEvents", "(after) → JSON", "the events after this number, 1,000 at most", events),
    looks("getLastEvent", "() → number", "the number of the last event", last_event),
    looks("getFrames", "(tag) → JSON", "a paused testcase: its call chain with sources and variables", frames),
    looks("complete", "(tag, frame, text, at) → JSON", "what may stand at a byte of an input", complete),
    steers("evaluate", "(tag, frame, text, ticket) → JSON", "evaluates an input in a paused testcase", evaluate),
    steers("interrupt", "(ticket) → bool", "stops what is evaluated under a ticket", interrupt),
    steers("releaseTests", "(how) → [tag, …]", "ends every pause: Continue or NotContinue", release_all),
    steers("killTest", "(tag) → bool", "stops a running testcase; its clean-ups are run", kill),
    steers("pauseNext", "() → true", "the next testcase that ends waits for a person", pause_next),
];

/// The method of this name.
///
/// # Errors
/// `NotFound`, with the near ones.
pub fn find(name: &str) -> Result<&'static Method> {
    METHODS.iter().find(|method| method.name == name).ok_or_else(|| {
        let error = Error::new(Kind::NotFound, format!("no method `{}`", clip(name, 100))).blame(Blame::User);
        match name {
            "xmlrpcShell" => {
                error.help("there is no shell in the harness: `xenrt interact HOST:PORT --attach TAG` is a prompt in a test")
            }
            _ => match did_you_mean(name, METHODS.iter().map(|method| method.name)) {
                Some(near) => error.help(near),
                None => error.help("system.listMethods lists them"),
            },
        }
    })
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    let text = serde_json::to_string(value).map_err(|e| Error::new(Kind::Internal, "cannot be told as JSON").because(e))?;
    Ok(Value::String(text))
}

fn texts(all: impl IntoIterator<Item = String>) -> Value {
    Value::Array(all.into_iter().map(Value::String).collect())
}

fn running_tests(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    let row = |standing: crate::run::Standing| texts([standing.id.to_string(), standing.status.word().to_string()]);
    Ok(Value::Array(desk.control.standing().into_iter().map(row).collect()))
}

fn list_tests(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    json(&desk.control.standing().into_iter().map(Listed::from).collect::<Vec<_>>())
}

fn release_of(word: &str, params: &Params) -> Result<Option<Release>> {
    match Status::from_word(word) {
        Some(Status::Continue) => Ok(Some(Release::Continue)),
        Some(Status::NotContinue) => Ok(Some(Release::NotContinue)),
        Some(Status::Indefinite) => Ok(None),
        _ => Err(params.wrong(&format!("`{}` cannot be set; expected Continue, NotContinue or Indefinite", clip(word, 40)))),
    }
}

fn set_status(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let (tag, word) = (params.text()?, params.text()?);
    let was_paused = match release_of(&word, params)? {
        Some(how) => desk.control.release(&tag, how, &caller.name)?,
        None => desk.control.hold(&tag, &caller.name)?,
    };
    if was_paused {
        return Ok(Value::Boolean(true));
    }
    let id = desk.control.find(&tag)?;
    let status = desk.control.standing().into_iter().find(|standing| standing.id == id).map(|standing| standing.status.word());
    let what = format!("`{id}` is not paused{}", status.map(|word| format!(", but {word}")).unwrap_or_default());
    Err(Error::new(Kind::Refused, what).blame(Blame::User))
}

fn set_blocking(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let (tag, blocks) = (params.text()?, params.flag()?);
    desk.control.set_blocker(&tag, blocks, &caller.name)?;
    Ok(Value::Boolean(true))
}

fn set_result(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let (tag, code) = (params.text()?, params.number()?);
    let outcome = match code {
        1 => Outcome::Passed,
        2 => Outcome::Failed,
        3 => Outcome::Partial,
        4 => Outcome::Errored,
        5 => Outcome::Skipped,
        _ => return Err(params.wrong(&format!("{code} is no result; expected 1 pass, 2 fail, 3 partial, 4 error, 5 skipped"))),
    };
    desk.control.set_result(&tag, outcome, &caller.name)?;
    Ok(Value::Boolean(true))
}

fn set_variable(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let (path, value) = (params.path()?, params.plain()?);
    desk.control.set_variable(&path, &value, &caller.name)?;
    Ok(Value::Boolean(true))
}

fn dump_config(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    let mask = crate::secret::Mask::default();
    let text = desk.control.variables().read(|all| {
        all.secrets().iter().for_each(|secret| mask.learn(secret));
        let line = |name: &str| {
            let value = if crate::vars::is_secret(name) { "••••••" } else { all.get(name).unwrap_or_default() };
            format!("{}='{}'\n", name.replace(['/', ':'], "_"), printable(value))
        };
        all.names().map(line).collect::<String>()
    });
    let text = mask.apply(&text).unwrap_or(text);
    Ok(Value::String(desk.control.bus().mask().apply(&text).unwrap_or(text)))
}

fn abort_run(desk: &Arc<Desk>, caller: &Caller, _: &mut Params) -> Result<Value> {
    desk.control.end_run(&caller.name);
    Ok(Value::Boolean(true))
}

fn flush_logs(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    desk.control.bus().flush();
    Ok(Value::Boolean(true))
}

fn guest_list(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    let guests = if desk.lab.is_empty() { Vec::new() } else { desk.lab.guests(&desk.context)? };
    Ok(texts(guests.iter().map(|guest| guest.name().to_string())))
}

fn host_list(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    let hosts = if desk.lab.estates().is_empty() { Vec::new() } else { desk.lab.hosts(&desk.context)? };
    Ok(texts(hosts.iter().map(|host| host.name().to_string())))
}

/// What is not known of a guest is UNKNOWN, or 0.
fn guest_info(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    let guest = desk.lab.guest(&params.text()?, &desk.context)?;
    let number = |number: Option<u64>| Value::Integer(i32::try_from(number.unwrap_or(0)).unwrap_or(i32::MAX));
    let record = guest.record().ok();
    let distro = record.as_ref().and_then(|r| r.inside.as_ref()).and_then(|inside| inside.os.get("distro").cloned());
    let distro = distro.or_else(|| distro_inside(&guest));
    let text = |text: Option<String>| Value::String(text.filter(|t| !t.is_empty()).unwrap_or_else(|| "UNKNOWN".into()));
    Ok(Value::Array(vec![
        Value::String(guest.name().to_string()),
        text(guest.ip().ok()),
        number(guest.vcpus().ok().map(u64::from)),
        // In MiB, as the original has it.
        number(guest.memory().ok().map(|bytes| bytes >> 20)),
        text(distro),
        text(guest.uuid().ok()),
    ]))
}

fn distro_inside(guest: &Guest) -> Option<String> {
    guest.record().is_err().then(|| guest.facts().ok().map(|facts| facts.distro.clone())).flatten()
}

fn host_info(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    let name = params.text()?;
    let host = desk.lab.host(Some(&name), &desk.context)?;
    let address = host.record().ok().map(|record| record.address).filter(|address| !address.is_empty());
    Ok(texts([host.name().to_string(), address.unwrap_or_else(|| "UNKNOWN".into())]))
}

fn guest_file(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    let (guest, path) = (params.text()?, params.text()?);
    let bytes = desk.lab.guest(&guest, &desk.context)?.read_bytes(&path)?;
    Ok(Value::Base64(bytes))
}

fn log_lines(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    Ok(texts(tail::lines(&desk.log, LOG_LINES)?.iter().map(|line| printable(line))))
}

fn events(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    json(&tail::after(&desk.log, params.number()?, EVENTS)?)
}

fn last_event(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    Ok(Value::Long(i64::try_from(tail::last(&desk.log)?).unwrap_or(i64::MAX)))
}

/// A thread of a testcase: its functions, the innermost first.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Stack {
    pub tag: String,
    /// Empty for the testcase's own thread.
    pub thread: String,
    /// What the testcase waits for, on a machine mostly.
    pub doing: Option<String>,
    pub frames: Vec<(String, crate::event::Place)>,
}

fn stacks(desk: &Arc<Desk>, _: &Caller, _: &mut Params) -> Result<Value> {
    let stack = |standing: crate::run::ThreadStanding| {
        let frames = standing.levels.iter().rev().map(|level| (level.function(), level.place()));
        let frames = frames.filter(|(_, place)| place.line > 0).collect();
        Stack { tag: standing.id.to_string(), thread: standing.thread, doing: standing.doing, frames }
    };
    json(&desk.control.stacks().into_iter().map(stack).collect::<Vec<_>>())
}

fn frames(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    json(&desk.frames(&params.text()?)?)
}

fn frame_of(params: &mut Params) -> Result<usize> {
    usize::try_from(params.number()?).map_err(|_| params.wrong("no frame has such a number"))
}

fn complete(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    let (tag, frame, text) = (params.text()?, frame_of(params)?, params.text()?);
    let at = usize::try_from(params.number()?).unwrap_or(usize::MAX).min(text.len());
    if !text.is_char_boundary(at) {
        return Err(params.wrong("that byte is in the middle of a character"));
    }
    json(&desk.seat(&tag)?.session().complete(frame, &text, at))
}

fn evaluate(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let (tag, frame, text, ticket) = (params.text()?, frame_of(params)?, params.text()?, params.text()?);
    let seat = desk.seat(&tag)?;
    let (cancel, _ticket) = desk.ticket(&ticket)?;
    match seat.evaluate(frame, &text, &caller.name, &cancel) {
        Some(answer) => json(&answer),
        None => Err(Error::new(Kind::Refused, format!("`{tag}` is not paused any more")).blame(Blame::User)),
    }
}

fn interrupt(desk: &Arc<Desk>, _: &Caller, params: &mut Params) -> Result<Value> {
    Ok(Value::Boolean(desk.interrupt(&params.text()?)))
}

fn release_all(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    let word = params.text()?;
    let how = release_of(&word, params)?.ok_or_else(|| params.wrong("expected Continue or NotContinue"))?;
    Ok(texts(desk.control.release_all(how, &caller.name).iter().map(ToString::to_string)))
}

fn kill(desk: &Arc<Desk>, caller: &Caller, params: &mut Params) -> Result<Value> {
    Ok(Value::Boolean(desk.control.kill(&params.text()?, &caller.name)?))
}

fn pause_next(desk: &Arc<Desk>, caller: &Caller, _: &mut Params) -> Result<Value> {
    desk.control.pause_next(&caller.name);
    Ok(Value::Boolean(true))
}

/// The methods that every XML-RPC server of today has.
pub fn system(name: &str, values: &[Value]) -> Option<Result<Value>> {
    let method = || match values {
        [Value::String(name)] => find(name),
        _ => Err(Error::new(Kind::Malformed, "expected the name of a method").blame(Blame::User)),
    };
    Some(match name {
        "system.listMethods" => Ok(texts(METHODS.iter().map(|method| method.name.to_string()))),
        "system.methodHelp" => method().map(|method| Value::String(format!("{}{}\n{}", method.name, method.form, method.about))),
        "system.methodSignature" => method().map(|_| Value::String("signatures not supported".into())),
        _ => return None,
    })
}
