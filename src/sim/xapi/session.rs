//! Sessions: who is logged in, on which host.

use super::super::failure::{Failure, Outcome};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, World, answer, done};
use std::collections::HashMap;
use std::sync::Arc;

/// How many sessions there may be at a time, as XAPI allows for one name.
const MOST: usize = 500;

/// Who is logged in. Their tokens are the only references that nobody can guess.
#[derive(Default)]
pub struct Sessions(HashMap<Arc<str>, Session>);

#[derive(Clone, Debug)]
pub struct Session {
    pub pool: usize,
    /// The record in the pool's database.
    pub record: Ref,
    /// The UUID of the host, of one that is good for that host only.
    pub local: Option<Arc<str>>,
    /// What `event.register` has asked for, and up to where it was told.
    pub classes: Vec<String>,
    pub told: u64,
    /// Of what works in dom0.
    is_of_dom0: bool,
}

impl Sessions {
    pub fn find(&self, token: &str) -> Option<&Session> {
        self.0.get(token)
    }

    pub fn find_mut(&mut self, record: Ref) -> Option<&mut Session> {
        self.0.values_mut().find(|session| session.record == record)
    }

    /// Ends all sessions of a pool, as a change of its database does.
    pub fn end_pool(&mut self, pool: usize) {
        self.0.retain(|_, session| session.pool != pool);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "login_with_password" => login,
        "slave_local_login_with_password" => local_login,
        "logout" | "local_logout" => logout,
        "change_password" => change_password,
        "get_all_subject_identifiers" => |_, _| Ok(Answer::Done(Value::Set(Vec::new()))),
        _ => return None,
    })
}

fn login(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let host = cx.door_host();
    if host != cx.master() {
        let address = cx.db.text(cx.master(), "address").to_string();
        return Err(Failure::new("HOST_IS_SLAVE", [address]));
    }
    check(cx, args.text(0), args.text(1))?;
    open(cx, None, args.text(0), args.text(3))
}

fn local_login(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    check(cx, args.text(0), args.text(1))?;
    let door = cx.door.clone();
    open(cx, Some(door), args.text(0), "")
}

fn check(cx: &Cx<'_>, user: &str, password: &str) -> Outcome<()> {
    let is_right = user == cx.site.user && same(password.as_bytes(), cx.site.password.as_bytes());
    if is_right { Ok(()) } else { Err(Failure::new("SESSION_AUTHENTICATION_FAILED", [user, "Authentication failure"])) }
}

/// Compares without saying by its time where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// Opens a session of root in the pool, for another pool that sends a VM.
///
/// # Errors
/// None: a session is there at once.
pub fn of_sender(cx: &mut Cx<'_>) -> Outcome<Arc<str>> {
    match open(cx, None, "root", "migration")? {
        Answer::Done(token) => Ok(token.as_str().into()),
        _ => Err(Failure::internal("a login that takes time")),
    }
}

fn open(cx: &mut Cx<'_>, local: Option<Arc<str>>, user: &str, originator: &str) -> Outcome<Answer> {
    let (host, now) = (cx.door_host(), cx.now());
    if cx.site.sessions.count() >= MOST {
        // The one that was not used for longest goes, as in XAPI.
        let db = &*cx.db;
        let sessions = &cx.site.sessions.0;
        let oldest = sessions.iter().min_by_key(|(_, s)| (date(db, s.record), s.record)).map(|(token, _)| token.clone());
        if let Some(token) = oldest {
            close(cx, &token);
        }
    }
    let fields = vec![
        ("this_host", Value::Ref(host)),
        ("last_active", Value::Date(now)),
        ("pool", Value::Bool(false)),
        ("is_local_superuser", Value::Bool(true)),
        ("auth_user_name", Value::from(user)),
        ("originator", Value::from(originator)),
    ];
    let record = cx.db.create_with("session", fields);
    let token: Arc<str> = format!("OpaqueRef:{}", uuid::Uuid::new_v4()).into();
    let session = Session { pool: cx.pool, record, local, classes: Vec::new(), told: 0, is_of_dom0: false };
    cx.site.sessions.0.insert(token.clone(), session);
    answer(token)
}

fn date(db: &super::super::store::Store, record: Ref) -> i64 {
    match db.get(record, "last_active") {
        Value::Date(seconds) => *seconds,
        _ => 0,
    }
}

fn close(cx: &mut Cx<'_>, token: &str) {
    if let Some(session) = cx.site.sessions.0.remove(token)
        && session.pool == cx.pool
    {
        cx.db.destroy(session.record);
    }
}

fn logout(cx: &mut Cx<'_>, _args: &Args) -> Outcome<Answer> {
    let token = cx.site.sessions.0.iter().find(|(_, session)| session.record == cx.session).map(|(token, _)| token.clone());
    if let Some(token) = token {
        close(cx, &token);
    }
    done()
}

fn change_password(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let user = cx.site.user.clone();
    check(cx, &user, args.text(0))?;
    cx.site.password = args.text(1).to_string();
    done()
}

/// The UUID of the master of a host's pool.
pub fn master_of(world: &World, door: &Arc<str>) -> Arc<str> {
    let pool = world.site.hosts.get(&**door).map_or(0, |place| place.pool);
    let Some(db) = world.pools.get(pool) else { return door.clone() };
    let master = db.all("pool").first().map(|record| db.link(*record, "master")).unwrap_or_default();
    db.text(master, "uuid").into()
}

/// A session of root in a host's pool: what works in dom0 has one without a password.
///
/// # Errors
/// `HOST_STILL_BOOTING` for a host that is not up.
pub fn of_root(world: &mut World, door: &Arc<str>) -> Outcome<String> {
    let is_up = world.site.hosts.get(&**door).is_some_and(|place| place.is_up);
    let pool = world.site.hosts.get(&**door).filter(|_| is_up).map(|place| place.pool);
    let pool = pool.ok_or_else(|| Failure::bare("HOST_STILL_BOOTING"))?;
    let known =
        world.site.sessions.0.iter().find(|(_, session)| session.pool == pool && session.local.is_none() && session.is_of_dom0);
    if let Some((token, _)) = known {
        return Ok(token.to_string());
    }
    let mut cx = world.cx(pool).ok_or_else(|| Failure::bare("HOST_STILL_BOOTING"))?;
    cx.door = door.clone();
    match open(&mut cx, None, "root", "dom0")? {
        Answer::Done(token) => {
            if let Some(session) = cx.site.sessions.0.get_mut(token.as_str()) {
                session.is_of_dom0 = true;
            }
            Ok(token.as_str().to_string())
        }
        _ => Err(Failure::internal("a login that takes time")),
    }
}
