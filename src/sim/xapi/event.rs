//! Events: what has changed since, with whole records.

use super::super::datamodel::datamodel;
use super::super::failure::{Failure, Outcome};
use super::super::store::{Change, Store};
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, Wait, answer, done};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Classes that never have events.
const SILENT: &[&str] = &["event", "session", "user"];

/// Longest wait for an event here.
const LONGEST: f64 = 3600.0;

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "from" => from,
        "register" => register,
        "unregister" => unregister,
        "next" => next,
        "get_current_id" => |cx, _| answer(cx.db.generation() as i64),
        "inject" => inject,
        _ => return None,
    })
}

/// What somebody wants to hear of.
#[derive(Clone, Debug)]
struct Interest {
    all: bool,
    classes: Vec<&'static str>,
    records: Vec<Ref>,
}

impl Interest {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Outcome<Interest> {
        let mut interest = Interest { all: false, classes: Vec::new(), records: Vec::new() };
        for word in words {
            match word.split_once('/') {
                _ if word == "*" => interest.all = true,
                // A record that is not there has no events.
                Some((_, reference)) => interest.records.extend(Ref::parse(reference)),
                // Neither has a class that is not there.
                None => interest.classes.extend(datamodel().class_in_any_case(word).map(|class| class.name)),
            }
        }
        Ok(interest)
    }

    fn has(&self, db: &Store, record: Ref) -> bool {
        let Some(class) = db.class(record) else { return false };
        !SILENT.contains(&class.name) && (self.all || self.classes.contains(&class.name) || self.records.contains(&record))
    }
}

fn from(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let interest = Interest::parse(args.get(0).as_set().iter().map(Value::as_str))?;
    let since = match args.text(1) {
        "" => 0,
        token => parse_token(token).ok_or_else(|| Failure::new("EVENT_FROM_TOKEN_PARSE_FAILURE", [token]))?,
    };
    let seconds = match args.get(2) {
        Value::Float(seconds) => seconds.clamp(0.0, LONGEST),
        _ => 0.0,
    };
    // A number from another life of the pool.
    if since > cx.db.generation() {
        return Err(Failure::bare("EVENTS_LOST"));
    }
    let limit = Duration::from_secs_f64(seconds);
    Ok(Answer::Wait(Wait { limit, look: Box::new(move |cx, is_over| look(cx, &interest, since, is_over)) }))
}

fn look(cx: &mut Cx<'_>, interest: &Interest, since: u64, is_over: bool) -> Outcome<Option<Value>> {
    let events = events(cx, interest, since)?;
    if events.is_empty() && !is_over {
        return Ok(None);
    }
    let counts: BTreeMap<Arc<str>, Value> = datamodel()
        .classes
        .iter()
        .map(|class| (class.name.to_lowercase().into(), Value::Number(cx.db.count(class.name) as i64)))
        .collect();
    let token = format!("{},{:013}", cx.db.generation(), cx.now());
    Ok(Some(Value::from([("events", Value::Set(events)), ("valid_ref_counts", Value::Map(counts)), ("token", Value::from(token))])))
}

/// "17,0001795392674": up to which change, and when, as XAPI's own looks.
fn parse_token(token: &str) -> Option<u64> {
    let (number, rest) = token.split_once(',')?;
    rest.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| number.parse().ok()).flatten()
}

fn events(cx: &Cx<'_>, interest: &Interest, since: u64) -> Outcome<Vec<Value>> {
    let changes = cx.db.changes(since).ok_or_else(|| Failure::bare("EVENTS_LOST"))?;
    let now = cx.now().to_string();
    let wanted = changes.into_iter().filter(|(_, record, _)| interest.has(cx.db, *record));
    let event = |(number, record, change): (u64, Ref, Change)| {
        let class = cx.db.class(record).map_or("", |class| class.name).to_lowercase();
        let operation = match change {
            Change::Add => "add",
            Change::Mod => "mod",
            Change::Del => "del",
        };
        let mut event = BTreeMap::from([
            (Arc::from("id"), Value::from(number.to_string())),
            (Arc::from("timestamp"), Value::from(now.as_str())),
            (Arc::from("class"), Value::from(class)),
            (Arc::from("operation"), Value::from(operation)),
            (Arc::from("ref"), Value::Ref(record)),
        ]);
        if change != Change::Del {
            event.insert("snapshot".into(), Value::Record(record));
        }
        Value::Map(event)
    };
    Ok(wanted.map(event).collect())
}

fn register(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let told = cx.db.generation();
    let words = args.get(0).as_set().iter().map(|word| word.as_str().to_string());
    if let Some(session) = cx.site.sessions.find_mut(cx.session) {
        if session.classes.is_empty() {
            session.told = told;
        }
        session.classes.extend(words);
    }
    done()
}

fn unregister(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let words: Vec<&str> = args.get(0).as_set().iter().map(Value::as_str).collect();
    if let Some(session) = cx.site.sessions.find_mut(cx.session) {
        session.classes.retain(|class| !words.contains(&class.as_str()));
    }
    done()
}

fn next(cx: &mut Cx<'_>, _args: &Args) -> Outcome<Answer> {
    let record = cx.session;
    let is_registered = cx.site.sessions.find_mut(record).is_some_and(|session| !session.classes.is_empty());
    if !is_registered {
        return Err(Failure::new("SESSION_NOT_REGISTERED", [record]));
    }
    let look = move |cx: &mut Cx<'_>, is_over: bool| {
        let (classes, told) = match cx.site.sessions.find_mut(record) {
            Some(session) => (session.classes.clone(), session.told),
            None => return Err(Failure::new("SESSION_INVALID", [record])),
        };
        let events = events(cx, &Interest::parse(classes.iter().map(String::as_str))?, told)?;
        if events.is_empty() && !is_over {
            return Ok(None);
        }
        let generation = cx.db.generation();
        if let Some(session) = cx.site.sessions.find_mut(record) {
            session.told = generation;
        }
        Ok(Some(Value::Set(events)))
    };
    Ok(Answer::Wait(Wait { limit: Duration::from_secs_f64(LONGEST), look: Box::new(look) }))
}

fn inject(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let class = datamodel().class_in_any_case(args.text(0)).map_or(args.text(0), |class| class.name);
    let wrong = || Failure::new("HANDLE_INVALID", [class, args.text(1)]);
    let record = Ref::parse(args.text(1)).filter(|record| cx.db.exists(*record)).ok_or_else(wrong)?;
    cx.db.touch(record);
    answer(format!("{},{:013}", cx.db.generation(), cx.now()))
}
