//! The session with a pool: begun when it is first needed, begun again when the pool has forgotten it, moved to where the pool's
//! coordinator is, ended at the end.

use super::address::Address;
use super::calls::{self, Call};
use super::fault::Failure;
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::{Mask, Secret};
use crate::time::Cancel;
use crate::unit::show_duration;
use crate::wire::http::{Answer, Fault, Http, Way};
use crate::wire::tls::{Trust, Warn};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// By whom sessions are counted there: a pool allows so many of each.
const ORIGINATOR: &str = "xenrt";

/// The version of the API that the login asks for.
const VERSION: &str = "1.1";

/// How often a call is repeated that the pool refused because of its session or its place.
const REPEATS: u32 = 3;

/// How long saying good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// The first wait before a read is tried again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest answer: five thousand guests are about 50 MiB.
const MOST: usize = 512 << 20;

/// How to get into a pool.
#[derive(Clone, Debug)]
pub struct Login {
    pub address: Address,
    /// Tried in this order; the address's own password, if it has one, is the only one.
    pub passwords: Vec<Secret>,
    pub trust: Trust,
    pub connect_timeout: Duration,
}

/// A pool of XenServer or XCP-ng hosts. Shared by threads.
pub struct Xapi {
    pub(super) name: String,
    login: Login,
    state: Mutex<State>,
    gate: Arc<Gate>,
    notes: Arc<Mutex<Vec<String>>>,
    /// What no error may show: passwords and the references of sessions.
    pub(super) mask: Mask,
}

struct State {
    server: Arc<Http>,
    session: Option<Arc<str>>,
}

/// Where to send a call, and as whom.
#[derive(Clone)]
pub(super) struct Standing {
    pub server: Arc<Http>,
    pub session: Arc<str>,
}

/// Why there is no result.
enum Trouble {
    /// The pool says no.
    Failure(Failure),
    /// It answered something else than a result: it is not up yet, or not a pool.
    Page(Error, bool),
    Wire(Fault),
}

impl Trouble {
    /// Whether it may be otherwise in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Trouble::Failure(failure) => failure.code == "HOST_STILL_BOOTING",
            Trouble::Page(_, is_passing) => *is_passing,
            Trouble::Wire(Fault::Unconnected(e) | Fault::Broken(e)) => e.kind == Kind::Unreachable,
            Trouble::Wire(Fault::Stopped(_)) => false,
        }
    }

    fn error(self, machine: &str, call: &Call) -> Error {
        match self {
            Trouble::Failure(failure) => failure.error(machine, call),
            Trouble::Page(error, _) => error,
            Trouble::Wire(Fault::Broken(mut error)) if !call.is_read => {
                error.what = format!("{} (`{}` may have happened)", error.what, call.verb());
                error.help("look before it is asked again")
            }
            Trouble::Wire(Fault::Stopped(error)) => error,
            Trouble::Wire(fault) => {
                let mut error = fault.error();
                error.what = format!("{} (`{}`)", error.what, call.verb());
                error
            }
        }
    }
}

impl Xapi {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// `Malformed`: the address.
    pub fn new(login: Login) -> Result<Xapi> {
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = Arc::new(server(&login, login.address.origin(), &notes)?);
        let mask = Mask::default();
        login.passwords.iter().chain(login.address.password()).for_each(|secret| mask.learn(secret));
        let name = format!("xapi on {}", login.address.machine());
        Ok(Xapi { name, login, state: Mutex::new(State { server, session: None }), gate: Arc::default(), notes, mask })
    }

    /// A pool at another address, which is logged in to in the same way but for what is said here.
    ///
    /// # Errors
    /// `Malformed`: the address.
    pub(super) fn beside(&self, address: &str, user: Option<&str>, password: Option<Secret>) -> Result<Xapi> {
        let address = self.login.address.like(address, user)?;
        let own = password.into_iter().collect::<Vec<_>>();
        let passwords = if own.is_empty() { self.login.passwords.clone() } else { own };
        Xapi::new(Login { address, passwords, ..self.login.clone() })
    }

    /// Where the pool is reached now: its coordinator, once that is known.
    pub fn machine(&self) -> String {
        self.lock().server.machine().to_string()
    }

    /// Sends a call and reads its result.
    ///
    /// A read is sent again, until the limit, when the pool cannot be reached or is still booting; nothing else is, but for what the
    /// pool refused before it began because of its session or its place.
    pub(super) fn ask<T: DeserializeOwned>(&self, call: &Call, cancel: &Cancel) -> Result<T> {
        let begun = Instant::now();
        let (mut repeats, mut pause) = (0, FIRST_PAUSE);
        loop {
            let trouble = match self.attempt(call, cancel) {
                Ok(result) => return Ok(result),
                Err((Some(standing), Trouble::Failure(failure))) if repeats < REPEATS && failure.code == "SESSION_INVALID" => {
                    self.forget(&standing);
                    repeats += 1;
                    continue;
                }
                Err((Some(standing), Trouble::Failure(failure))) if repeats < REPEATS && failure.code == "HOST_IS_SLAVE" => {
                    self.forget(&standing);
                    self.move_to_coordinator(&failure)?;
                    repeats += 1;
                    continue;
                }
                Err((_, trouble)) => trouble,
            };
            self.retry(trouble, call, begun, &mut pause, cancel)?;
        }
    }

    /// Sends a call once; with the trouble comes the session in which it arose, if there was one.
    fn attempt<T: DeserializeOwned>(&self, call: &Call, cancel: &Cancel) -> Result<T, (Option<Standing>, Trouble)> {
        let standing = self.standing(cancel).map_err(|trouble| (None, trouble))?;
        self.send(&standing, call, cancel).map_err(|trouble| (Some(standing), trouble))
    }

    /// Waits before a read is tried again.
    ///
    /// # Errors
    /// The trouble, where it is no passing one or nothing may be tried again.
    fn retry(&self, trouble: Trouble, call: &Call, begun: Instant, pause: &mut Duration, cancel: &Cancel) -> Result<()> {
        if !call.is_read || !trouble.is_passing() {
            return Err(trouble.error(&self.machine(), call));
        }
        if matches!(trouble, Trouble::Wire(Fault::Unconnected(_))) {
            self.return_home()?;
        }
        tracing::debug!(call = call.method, machine = self.machine(), "tried again");
        if cancel.sleep(*pause).is_err() && matches!(cancel.reason(), Some(crate::time::Stop::Deadline { .. })) {
            let mut error = trouble.error(&self.machine(), call);
            error.what = format!("{} (tried for {})", error.what, show_duration(begun.elapsed()));
            return Err(error);
        }
        cancel.check()?;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// Sends a call in a session.
    fn send<T: DeserializeOwned>(&self, standing: &Standing, call: &Call, cancel: &Cancel) -> Result<T, Trouble> {
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        arguments.push(Value::from(&*standing.session));
        arguments.extend(call.arguments.iter().cloned());
        self.exchange(&standing.server, call, &arguments, cancel)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        server: &Http,
        call: &Call,
        arguments: &[Value],
        cancel: &Cancel,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        let request = serde_json::json!({"jsonrpc": "2.0", "method": call.method, "params": arguments, "id": 1});
        let answer =
            server.post("/jsonrpc", "application/json", request.to_string().into_bytes(), MOST, cancel).map_err(Trouble::Wire)?;
        tracing::debug!(call = call.method, machine = server.machine(), took = ?begun.elapsed(), bytes = answer.body.len());
        self.read(server, call, &answer)
    }

    fn read<T: DeserializeOwned>(&self, server: &Http, call: &Call, answer: &Answer) -> Result<T, Trouble> {
        #[derive(serde::Deserialize)]
        struct Reply<'a> {
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            error: Option<Value>,
        }
        let machine = server.machine();
        if answer.status != 200 {
            let what = format!("{machine} answered with HTTP status {} to `{}`", answer.status, call.verb());
            let is_passing = answer.status >= 500;
            let error = Error::new(if is_passing { Kind::Unreachable } else { Kind::Malformed }, what).blame(Blame::Lab);
            return Err(Trouble::Page(error.help("is that a XenServer or XCP-ng host, and is its toolstack up?"), is_passing));
        }
        let odd = |what: String| Trouble::Page(Error::new(Kind::Malformed, what).blame(Blame::Product), false);
        let reply: Reply<'_> = serde_json::from_slice(&answer.body)
            .map_err(|e| odd(format!("{machine} answered `{}` with what is not JSON-RPC: {e}", call.verb())))?;
        if let Some(error) = reply.error {
            let Some(failure) = Failure::read(&error) else {
                return Err(odd(format!("{machine} answered `{}` with an error of no known form", call.verb())));
            };
            return Err(Trouble::Failure(self.masked(failure)));
        }
        let result = reply.result.map_or("null", RawValue::get);
        serde_json::from_str(result).map_err(|e| odd(format!("{machine} answered `{}` with what cannot be read: {e}", call.verb())))
    }

    /// A failure without the secrets that may be in what it repeats.
    pub(super) fn masked(&self, mut failure: Failure) -> Failure {
        for text in std::iter::once(&mut failure.code).chain(&mut failure.parameters) {
            if let Some(masked) = self.mask.apply(text) {
                *text = masked;
            }
        }
        failure
    }

    /// The session; begun now if there is none. One thread begins it, the others wait for that.
    fn standing(&self, cancel: &Cancel) -> Result<Standing, Trouble> {
        if let Some(standing) = self.lock().standing() {
            return Ok(standing);
        }
        let _turn = self.gate.enter(cancel).map_err(|e| Trouble::Wire(Fault::Stopped(e)))?;
        if let Some(standing) = self.lock().standing() {
            return Ok(standing);
        }
        self.log_in(cancel)
    }

    /// As [`Xapi::standing`], for what goes another way than a call.
    pub(super) fn enter(&self, cancel: &Cancel) -> Result<Standing> {
        // A cheap call makes sure that the session is one.
        let call = calls::pool_get_all_records();
        let _: serde::de::IgnoredAny = self.ask(&call, cancel)?;
        self.standing(cancel).map_err(|trouble| trouble.error(&self.machine(), &call))
    }

    fn log_in(&self, cancel: &Cancel) -> Result<Standing, Trouble> {
        let candidates: Vec<&Secret> = match self.login.address.password() {
            Some(own) => vec![own],
            None => self.login.passwords.iter().collect(),
        };
        let (mut hops, mut next) = (0, 0);
        let mut refused = Trouble::Failure(Failure { code: "SESSION_AUTHENTICATION_FAILED".into(), parameters: Vec::new() });
        while let Some(password) = candidates.get(next) {
            let server = self.lock().server.clone();
            let call = calls::session_login(self.login.address.user(), password.reveal(), VERSION, ORIGINATOR);
            match self.exchange::<String>(&server, &call, &call.arguments, cancel) {
                Ok(session) => {
                    self.mask.learn(&Secret::new(&*session));
                    let session: Arc<str> = session.into();
                    self.lock().session = Some(session.clone());
                    return Ok(Standing { server, session });
                }
                Err(Trouble::Failure(failure)) if failure.code == "HOST_IS_SLAVE" && hops < REPEATS => {
                    self.move_to_coordinator(&failure).map_err(|e| Trouble::Page(e, false))?;
                    hops += 1;
                }
                Err(Trouble::Failure(failure)) if failure.code == "SESSION_AUTHENTICATION_FAILED" => {
                    refused = Trouble::Failure(failure);
                    next += 1;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(refused)
    }

    /// Goes to the host that a member of the pool named.
    fn move_to_coordinator(&self, failure: &Failure) -> Result<()> {
        let old = self.lock().server.machine().to_string();
        let Some(address) = failure.parameters.first().filter(|a| !a.is_empty()) else {
            let what = format!("{old} is a member of a pool, and does not say who its coordinator is");
            return Err(Error::new(Kind::Unreachable, what));
        };
        let server = Arc::new(server(&self.login, self.login.address.at(address)?, &self.notes)?);
        let note = format!("{old} is a member of its pool: the coordinator {} is asked instead", server.machine());
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        let mut state = self.lock();
        state.server = server;
        state.session = None;
        Ok(())
    }

    /// Goes back to the address that was given, when the coordinator that it named is gone.
    fn return_home(&self) -> Result<()> {
        let home = self.login.address.origin();
        if self.lock().server.origin() != home {
            let server = Arc::new(server(&self.login, home, &self.notes)?);
            let mut state = self.lock();
            state.server = server;
            state.session = None;
        }
        Ok(())
    }

    /// Forgets a session that the pool no longer knows, unless another thread has a new one already.
    fn forget(&self, standing: &Standing) {
        let mut state = self.lock();
        if state.session.as_ref() == Some(&standing.session) {
            state.session = None;
        }
    }

    /// Another server of the pool, trusted as this one is.
    pub(super) fn elsewhere(&self, origin: String) -> Result<Http> {
        server(&self.login, origin, &self.notes)
    }

    pub(super) fn address(&self) -> &Address {
        &self.login.address
    }

    pub(super) fn say_good_bye(&self) {
        let standing = {
            let mut state = self.lock();
            let standing = state.standing();
            state.session = None;
            standing
        };
        if let Some(standing) = standing {
            let cancel = Cancel::new().child_with_limit("logout", GOOD_BYE);
            // A session that is left behind ends by itself after a day.
            let _ = self.send::<Value>(&standing, &calls::session_logout(), &cancel);
        }
    }

    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Xapi {
    fn drop(&mut self) {
        self.say_good_bye();
    }
}

impl State {
    fn standing(&self) -> Option<Standing> {
        let session = self.session.clone()?;
        Some(Standing { server: self.server.clone(), session })
    }
}

fn server(login: &Login, origin: String, notes: &Arc<Mutex<Vec<String>>>) -> Result<Http> {
    let notes = notes.clone();
    let warn: Warn = Arc::new(move |text| notes.lock().unwrap_or_else(PoisonError::into_inner).push(text));
    Http::new(Way { origin, trust: login.trust.clone(), connect_timeout: login.connect_timeout, warn })
}

/// A door for one thread at a time, in front of which a flag is still seen.
#[derive(Default)]
struct Gate {
    is_taken: Mutex<bool>,
    bell: Condvar,
}

struct Turn<'a>(&'a Gate);

impl Gate {
    fn enter(self: &Arc<Gate>, cancel: &Cancel) -> Result<Turn<'_>> {
        let gate = self.clone();
        let _wake = cancel.on_raise(move || {
            let _order = gate.lock();
            gate.bell.notify_all();
        });
        let mut is_taken = self.lock();
        while *is_taken {
            // Not under the lock: a deadline that is found to be over raises the flag, which rings the bell.
            drop(is_taken);
            cancel.check()?;
            is_taken = self.lock();
            if *is_taken && !cancel.is_flagged() {
                let left = cancel.deadline().map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
                is_taken = self.bell.wait_timeout(is_taken, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        *is_taken = true;
        Ok(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::double::{Double, Say, login, pool};
    use super::*;
    use crate::time::Stop;
    use crate::toolstack::{Toolstack, Watch};
    use serde_json::json;
    use std::sync::atomic::Ordering;

    const LONG: Duration = Duration::from_secs(20);

    fn call(xapi: &Xapi, method: &str, limit: Duration) -> Result<Value> {
        xapi.call(method, &[], Watch::silent(&Cancel::new(), limit))
    }

    #[test]
    fn the_login_waits_for_the_first_call_and_tries_each_password() {
        let double = Double::start(pool(|_, arguments| Say::Result(json!([arguments[0]]))));
        let xapi = double.xapi();
        assert_eq!(double.calls(), Vec::<String>::new());
        assert_eq!(call(&xapi, "VM.get_all", LONG).unwrap(), json!(["OpaqueRef:session-1"]));
        call(&xapi, "VM.get_all", LONG).unwrap();
        drop(xapi);
        let login = "session.login_with_password";
        assert_eq!(double.calls(), [login, login, "VM.get_all", "VM.get_all", "session.logout"]);
    }

    #[test]
    fn a_password_that_is_refused_is_told_without_it() {
        let double = Double::start(|_, arguments| {
            Say::Error("SESSION_AUTHENTICATION_FAILED", arguments.iter().map(|a| a.as_str().unwrap().to_string()).collect())
        });
        let error = call(&double.xapi(), "VM.get_all", LONG).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::User));
        let all = format!("{error:?} {:?}", error.details);
        assert!(!all.contains("the-password") && !all.contains("wrong-one") && all.contains("XRT_PASSWORD"), "{all}");
    }

    #[test]
    fn a_session_that_has_ended_is_begun_again_three_times_and_no_more() {
        for (ends, expected) in [(1, true), (3, true), (4, false)] {
            let mut left = ends;
            let double = Double::start(pool(move |_, arguments| {
                left -= 1;
                match left >= 0 {
                    true => Say::Error("SESSION_INVALID", vec![arguments[0].as_str().unwrap().into()]),
                    false => Say::Result(json!("")),
                }
            }));
            let xapi = double.xapi();
            // A call that changes something too: the pool refused it before it began.
            let result = call(&xapi, "VM.destroy", LONG);
            assert_eq!(result.is_ok(), expected, "{ends}");
            assert_eq!(double.count("VM.destroy"), 4.min(ends as usize + 1));
            if let Err(error) = result {
                assert!(!format!("{error:?} {:?}", error.details).contains("session-1"), "{error:?}");
            }
        }
    }

    #[test]
    fn a_member_sends_to_its_coordinator_at_the_login_and_later() {
        let coordinator = Double::start(pool(|_, _| Say::Result(json!("from the coordinator"))));
        let named = coordinator.at.to_string();
        let member = Double::start(move |_, _| Say::Error("HOST_IS_SLAVE", vec![named.clone()]));
        let xapi = member.xapi();
        assert_eq!(call(&xapi, "VM.get_all", LONG).unwrap(), json!("from the coordinator"));
        let warnings = xapi.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(&coordinator.at.to_string()), "{warnings:?}");

        // The coordinator became a member in the middle of a session.
        let named = coordinator.at.to_string();
        let former = Double::start(pool(move |_, _| Say::Error("HOST_IS_SLAVE", vec![named.clone()])));
        assert_eq!(call(&former.xapi(), "VM.destroy", LONG).unwrap(), json!("from the coordinator"));
    }

    #[test]
    fn hosts_that_name_each_other_do_not_go_on_for_ever() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let named = listener.local_addr().unwrap().to_string();
        let double = Double::start_on(listener, move |_, _| Say::Error("HOST_IS_SLAVE", vec![named.clone()]));
        let error = call(&double.xapi(), "VM.get_all", LONG).unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.what.contains("HOST_IS_SLAVE"), "{error}");
    }

    #[test]
    fn a_read_is_tried_again_while_the_pool_comes_up() {
        let mut answers =
            vec![Say::Result(json!(["it is up"])), Say::Close, Say::Status(503), Say::Error("HOST_STILL_BOOTING", vec![])];
        let double = Double::start(pool(move |_, _| answers.pop().unwrap()));
        assert_eq!(call(&double.xapi(), "VM.get_all", LONG).unwrap(), json!(["it is up"]));
        assert_eq!(double.count("VM.get_all"), 4);
    }

    #[test]
    fn what_may_have_happened_is_not_tried_again() {
        for answer in [|| Say::Close, || Say::Status(503), || Say::Error("HOST_STILL_BOOTING", vec![])] {
            let double = Double::start(pool(move |_, _| answer()));
            let error = call(&double.xapi(), "VM.destroy", LONG).unwrap_err();
            assert_eq!((error.kind, double.count("VM.destroy")), (Kind::Unreachable, 1), "{error}");
        }
    }

    #[test]
    fn a_host_that_refuses_connections_is_tried_until_the_limit() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let error = call(&login(&at.to_string()), "VM.get_all", Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.what.contains("refused") && error.what.contains("tried for"), "{error}");
        let error = call(&login(&at.to_string()), "VM.destroy", LONG).unwrap_err();
        assert_eq!((error.kind, error.what.contains("tried for")), (Kind::Unreachable, false), "{error}");
    }

    #[test]
    fn a_flag_ends_a_silent_call_at_once_and_its_connection() {
        let double = Double::start(pool(|_, _| Say::Silence));
        let xapi = Arc::new(double.xapi());
        let cancel = Cancel::new();
        let waiting = {
            let (xapi, cancel) = (xapi.clone(), cancel.clone());
            std::thread::spawn(move || xapi.call("VM.get_all", &[], Watch::silent(&cancel, LONG)))
        };
        let patience = Cancel::new().child_with_limit("test", LONG);
        while double.count("VM.get_all") == 0 {
            patience.sleep(Duration::from_millis(1)).unwrap();
        }
        let begun = Instant::now();
        cancel.raise(Stop::User);
        assert_eq!(waiting.join().unwrap().unwrap_err().kind, Kind::Cancelled);
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
        while double.open.load(Ordering::SeqCst) > 0 {
            patience.sleep(Duration::from_millis(1)).unwrap();
        }
        let error = call(&xapi, "VM.get_all", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert!(error.what.contains("`VM.get_all`"), "{error}");
    }

    #[test]
    fn what_is_no_pool_is_told_so() {
        let check = |say: fn() -> Say, expected: &str| {
            let double = Double::start(move |_, _| say());
            let error = call(&double.xapi(), "VM.get_all", LONG).unwrap_err();
            assert!(error.kind == Kind::Malformed && error.what.contains(expected), "{error:?}");
        };
        check(|| Say::Status(404), "HTTP status 404");
        check(|| Say::Result(json!({"no": "session"})), "cannot be read");
    }

    #[test]
    fn many_threads_share_one_session() {
        let double = Double::start(pool(|_, _| Say::Result(json!([]))));
        let xapi = double.xapi();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| call(&xapi, "VM.get_all", LONG).unwrap());
            }
        });
        assert_eq!((double.count("session.login_with_password"), double.count("VM.get_all")), (2, 16));
    }
}
