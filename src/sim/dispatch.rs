//! From a method's name and what came over the wire to the function that does it: one way for both protocols.

use super::datamodel::{Message, Type, datamodel};
use super::failure::{Failure, Outcome};
use super::trouble::Mishap;
use super::value::{Ref, Value, accept};
use super::world::{Answer, Args, Cx, World, answer};
use super::{generic, journal, xapi};
use crate::wire::xmlrpc;
use std::sync::Arc;

/// Methods that a member of a pool answers itself.
const OF_MEMBERS: &[&str] = &[
    "host.emergency_ha_disable",
    "host.list_methods",
    "host.local_management_reconfigure",
    "pool.emergency_reset_master",
    "pool.emergency_transition_to_master",
    "session.local_logout",
    "session.slave_local_login_with_password",
];

/// What is said of a call before it is begun.
const AT_THE_DOOR: &[&str] = &[
    "HOST_IS_SLAVE",
    "HOST_STILL_BOOTING",
    "MESSAGE_METHOD_UNKNOWN",
    "MESSAGE_PARAMETER_COUNT_MISMATCH",
    "MESSAGE_REMOVED",
    "RBAC_PERMISSION_DENIED",
    "SESSION_INVALID",
];

/// A call whose function has been asked; it may not be over yet.
pub struct Begun {
    pub pool: usize,
    pub session: Ref,
    pub door: Arc<str>,
    /// Of an asynchronous call.
    pub task: Ref,
    pub method: String,
    pub mishap: Mishap,
    pub step: Step,
    /// Which of all calls it is.
    pub number: u64,
}

/// Where a call stands.
pub enum Step {
    /// Nothing has been done yet: the answer waits for a trouble that delays it.
    Ready(Args),
    Going(Answer),
    Over(Outcome<Value>),
}

/// Checks a call as XAPI does, and begins it.
///
/// # Errors
/// What XAPI says of a call that it does not begin: `MESSAGE_METHOD_UNKNOWN`, `MESSAGE_PARAMETER_COUNT_MISMATCH`, `SESSION_INVALID`,
/// `HOST_IS_SLAVE`, `FIELD_TYPE_ERROR`, `HANDLE_INVALID`.
pub fn begin(world: &mut World, door: &Arc<str>, full: &str, params: Vec<xmlrpc::Value>) -> Outcome<Begun> {
    let pool = world.site.hosts.get(&**door).map(|host| host.pool).ok_or_else(|| Failure::bare("HOST_STILL_BOOTING"))?;
    let (name, is_async) = strip(full);
    let over = |value| {
        let (method, mishap) = (name.to_string(), Mishap::default());
        Begun {
            pool,
            session: Ref::NULL,
            door: door.clone(),
            task: Ref::NULL,
            method,
            mishap,
            step: Step::Over(Ok(value)),
            number: 0,
        }
    };
    if full == "system.listMethods" {
        return Ok(over(Value::from(datamodel().methods().collect::<Vec<_>>())));
    }
    let unknown = || Failure::new("MESSAGE_METHOD_UNKNOWN", [full]);
    let (class, message_name) = name.split_once('.').ok_or_else(unknown)?;
    let class = datamodel().class(class).ok_or_else(unknown)?;
    let message = class.messages.get(message_name).ok_or_else(unknown)?;
    // What is quick has no asynchronous form.
    if is_async && (message_name.starts_with("get_") || matches!(class.name, "session" | "event")) {
        return Err(unknown());
    }
    count(full, message, params.len())?;
    let mut params = params.into_iter();
    let needs_session = message.params.first().is_some_and(|param| param.name == "session_id");
    let session = if needs_session { session(world, pool, door, name, params.next())? } else { Ref::NULL };
    let args = arguments(world, pool, message, params, needs_session)?;
    let mishap = world.site.troubles.strike(name);
    // What the front door says, a task never says: there is none yet.
    if let Some(words) =
        mishap.failure.as_ref().filter(|words| words.first().is_some_and(|word| AT_THE_DOOR.contains(&word.as_str())))
    {
        return Err(Failure { code: words.first().cloned().unwrap_or_default(), params: words.iter().skip(1).cloned().collect() });
    }
    let (method, door) = (name.to_string(), door.clone());
    world.site.calls += 1;
    let (number, object) = (world.site.calls, args.link(0));
    let mut begun = Begun { pool, session, door, task: Ref::NULL, method, mishap, step: Step::Ready(args), number };
    if is_async && let Some(mut cx) = begun.cx(world) {
        begun.task = xapi::task::begin(&mut cx, full, "");
    }
    journal::begun(world, &begun, object);
    Ok(begun)
}

/// The name without `Async.`, and whether it had that.
fn strip(full: &str) -> (&str, bool) {
    match full.strip_prefix("Async.").or_else(|| full.strip_prefix("InternalAsync.")) {
        Some(name) => (name, true),
        None => (full, false),
    }
}

fn count(method: &str, message: &Message, given: usize) -> Outcome<()> {
    let most = message.params.len();
    let least = message.params.iter().filter(|param| !param.is_optional).count();
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Failure::new("MESSAGE_PARAMETER_COUNT_MISMATCH", [method.to_string(), most.to_string(), given.to_string()]))
}

fn session(world: &World, pool: usize, door: &Arc<str>, method: &str, token: Option<xmlrpc::Value>) -> Outcome<Ref> {
    let Some(xmlrpc::Value::Text(token)) = token else { return Err(Failure::new("FIELD_TYPE_ERROR", ["session_id"])) };
    let session = world.site.sessions.find(&token);
    let local = session.and_then(|session| session.local.as_ref());
    if local.is_some_and(|host| host == door) && OF_MEMBERS.contains(&method) {
        return Ok(session.map(|session| session.record).unwrap_or_default());
    }
    let db = &world.pools[pool];
    let master = db.all("pool").first().map(|record| db.link(*record, "master")).unwrap_or_default();
    if db.text(master, "uuid") != &**door && !OF_MEMBERS.contains(&method) {
        return Err(Failure::new("HOST_IS_SLAVE", [db.text(master, "address")]));
    }
    let good = session.filter(|session| session.pool == pool && (session.local.is_none() || local == Some(door)));
    good.map(|session| session.record).ok_or_else(|| Failure::new("SESSION_INVALID", [token]))
}

fn arguments(
    world: &World,
    pool: usize,
    message: &Message,
    params: impl Iterator<Item = xmlrpc::Value>,
    needs_session: bool,
) -> Outcome<Args> {
    let mut values = Vec::new();
    for (param, raw) in message.params.iter().skip(usize::from(needs_session)).zip(params) {
        let value = match (&param.kind, raw) {
            (Type::Ref("session"), xmlrpc::Value::Text(token)) => {
                let found = world.site.sessions.find(&token).filter(|session| session.pool == pool);
                Value::Ref(found.map(|session| session.record).ok_or_else(|| Failure::new("HANDLE_INVALID", ["session", &token]))?)
            }
            (kind, raw) => accept(kind, raw, param.name)?,
        };
        check(world, pool, &param.kind, &value, param.name == "self" || values.is_empty() && !param.is_optional)?;
        values.push(value);
    }
    Ok(Args(values))
}

/// That a reference means a record of its class; the null reference means none only where none is allowed.
fn check(world: &World, pool: usize, kind: &Type, value: &Value, must_be: bool) -> Outcome<()> {
    match (kind, value) {
        (Type::Ref(class), Value::Ref(reference)) => {
            let db = &world.pools[pool];
            let is_null = reference.is_null() && !must_be;
            let is_known = db.exists(*reference) && db.class(*reference).is_some_and(|of| of.name == *class);
            if is_null || is_known {
                Ok(())
            } else {
                Err(Failure::new("HANDLE_INVALID", [class.to_string(), reference.to_string()]))
            }
        }
        (Type::Set(kind), Value::Set(items)) => items.iter().try_for_each(|item| check(world, pool, kind, item, true)),
        _ => Ok(()),
    }
}

impl Begun {
    pub fn cx<'a>(&self, world: &'a mut World) -> Option<Cx<'a>> {
        let mut cx = world.cx(self.pool)?;
        (cx.session, cx.door, cx.task) = (self.session, self.door.clone(), self.task);
        Some(cx)
    }

    /// Goes on as far as it can without waiting.
    pub fn advance(&mut self, world: &mut World) {
        loop {
            let step = std::mem::replace(&mut self.step, Step::Over(Ok(Value::Void)));
            self.step = match step {
                Step::Ready(args) => match self.start(world, &args) {
                    Ok(next) => Step::Going(next),
                    Err(failure) => Step::Over(Err(failure)),
                },
                Step::Going(Answer::Done(value)) => Step::Over(Ok(value)),
                Step::Going(Answer::Wide(then)) => match then(world, self.pool) {
                    Ok(next) => Step::Going(next),
                    Err(failure) => Step::Over(Err(failure)),
                },
                Step::Going(Answer::Later(later)) if world.site.clock.real(later.takes).is_zero() => self.go_on(world, later.then),
                Step::Going(Answer::Wait(mut wait)) => match self.look(world, &mut wait, false) {
                    Some(outcome) => Step::Over(outcome),
                    None => {
                        self.step = Step::Going(Answer::Wait(wait));
                        return;
                    }
                },
                waiting => {
                    self.step = waiting;
                    return;
                }
            };
            world.settle();
        }
    }

    fn start(&self, world: &mut World, args: &Args) -> Outcome<Answer> {
        if let Some(words) = &self.mishap.failure {
            let (code, params) = words.split_first().ok_or_else(|| Failure::internal("an empty trouble"))?;
            return Err(Failure::new(code, params));
        }
        let (class_name, message) = self.method.split_once('.').unwrap_or_default();
        let class = datamodel().class(class_name).ok_or_else(|| Failure::new("MESSAGE_METHOD_UNKNOWN", [&self.method]))?;
        let mut cx = self.cx(world).ok_or_else(|| Failure::bare("HOST_STILL_BOOTING"))?;
        match xapi::method(class_name, message) {
            Some(method) => method(&mut cx, args),
            None => generic::call(&mut cx, class, message, args)
                .unwrap_or_else(|| Err(Failure::new("NOT_IMPLEMENTED", [format!("{class_name}.{message}")]))),
        }
    }

    /// What comes after a wait.
    pub fn go_on(&self, world: &mut World, then: impl FnOnce(&mut Cx<'_>) -> Outcome<Answer>) -> Step {
        let outcome = self.cx(world).map_or_else(|| answer(Value::Void), |mut cx| then(&mut cx));
        match outcome {
            Ok(next) => Step::Going(next),
            Err(failure) => Step::Over(Err(failure)),
        }
    }

    /// Whether what was waited for is there.
    pub fn look(&self, world: &mut World, wait: &mut super::world::Wait, is_over: bool) -> Option<Outcome<Value>> {
        let mut cx = self.cx(world)?;
        (wait.look)(&mut cx, is_over).transpose()
    }
}
