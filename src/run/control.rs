//! Steering a run that goes on: what people and programs may ask of it, whoever they are and wherever they sit.
//!
//! Commands go one way only: through [`Control`]. What they change is told to the stream with who did it, and a testcase reads it when
//! it gets there. Nothing here waits for a testcase.
//!
//! # Source
//! `reference/harness.md` 9 and 10. The original let anybody set the status of anything, silently; here a name that is not there is
//! an error, and so is what cannot be.

use super::pause::{Ask, Seat};
use crate::context::Context;
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Bus, Fact, Outcome, Pause, Release, Steering};
use crate::name::{CaseId, did_you_mean};
use crate::script::{Level, Trails};
use crate::time::{Cancel, Clock, Stop, Timestamp};
use crate::unit::show_duration;
use crate::vars::{Live, is_secret};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The usual length of a pause.
const HOURS: f64 = 24.0;

/// The only handle that steers a run. Clones are the same.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    bus: Bus,
    variables: Live,
    clock: Clock,
    state: Mutex<State>,
    pauses: AtomicU64,
}

#[derive(Default)]
struct State {
    running: BTreeMap<CaseId, Running>,
    /// Everything planned, once there is somebody who may ask.
    planned: Vec<CaseId>,
    finished: Vec<CaseId>,
    results: HashMap<CaseId, Outcome>,
    blockers: HashMap<CaseId, bool>,
    ended_by: Option<String>,
    pause_next: Option<String>,
}

/// What has begun and not ended.
struct Running {
    since: Timestamp,
    status: Status,
    cancel: Cancel,
    trails: Trails,
    context: Context,
    seat: Option<Arc<Seat>>,
}

/// Where something stands, by the words of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Started,
    Paused,
    Continue,
    NotContinue,
    /// Paused, without an end of its own.
    Indefinite,
    Finished,
}

impl Status {
    pub const ALL: [Status; 6] =
        [Status::Started, Status::Paused, Status::Continue, Status::NotContinue, Status::Indefinite, Status::Finished];

    pub fn word(self) -> &'static str {
        match self {
            Status::Started => "Started",
            Status::Paused => "Paused",
            Status::Continue => "Continue",
            Status::NotContinue => "NotContinue",
            Status::Indefinite => "Indefinite",
            Status::Finished => "Finished",
        }
    }

    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }

    fn is_paused(self) -> bool {
        matches!(self, Status::Paused | Status::Indefinite)
    }
}

/// What is told of something that runs.
#[derive(Clone, Debug)]
pub struct Standing {
    pub id: CaseId,
    pub status: Status,
    pub since: Option<Timestamp>,
    /// What it waits for, since when, and until when.
    pub pause: Option<(Pause, Timestamp)>,
}

/// A thread of a testcase: where it stands, and what the testcase waits for.
pub struct ThreadStanding {
    pub id: CaseId,
    /// Empty for the testcase's own.
    pub thread: String,
    /// The outermost function first.
    pub levels: Vec<Level>,
    pub doing: Option<String>,
}

/// A testcase's place in the control, given back when it is dropped.
pub struct Place {
    control: Control,
    id: CaseId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.control.lock();
        state.running.remove(&self.id);
        state.finished.push(self.id.clone());
    }
}

/// For a run.
impl Control {
    pub fn new(bus: Bus, variables: Live, clock: Clock) -> Control {
        Control(Arc::new(Inner { bus, variables, clock, state: Mutex::default(), pauses: AtomicU64::new(0) }))
    }

    /// Says what there is, so that what has not begun can be named too.
    pub fn plan(&self, ids: impl IntoIterator<Item = CaseId>) {
        self.lock().planned.extend(ids);
    }

    /// Something begins. `cancel` stops it; `trails` say where it stands, `context` what it waits for.
    pub fn begin(&self, id: &CaseId, cancel: &Cancel, trails: &Trails, context: &Context) -> Place {
        trails.arm(self.is_armed());
        let running = Running {
            since: Timestamp::now(),
            status: Status::Started,
            cancel: cancel.clone(),
            trails: trails.clone(),
            context: context.clone(),
            seat: None,
        };
        self.lock().running.insert(id.clone(), running);
        Place { control: self.clone(), id: id.clone() }
    }

    /// The result that somebody has set.
    pub fn result(&self, id: &CaseId) -> Option<Outcome> {
        self.lock().results.get(id).copied()
    }

    /// Whether it blocks what follows it, if somebody has said so.
    pub fn blocker(&self, id: &CaseId) -> Option<bool> {
        self.lock().blockers.get(id).copied()
    }

    /// Who wants nothing more to begin.
    pub fn ended_by(&self) -> Option<String> {
        self.lock().ended_by.clone()
    }

    /// Whether a failure may have to be held, so that variables are to be kept in sight.
    fn is_armed(&self) -> bool {
        self.lock().pause_next.is_some() || self.may_pause(false)
    }

    /// Whether anything at all is to pause when it fails (or passes).
    pub fn may_pause(&self, on_pass: bool) -> bool {
        let (tree, flat) = directives(on_pass);
        self.0.variables.read(|all| {
            let mut names = all.prefix(tree).chain(all.prefix(flat));
            names.any(|name| all.boolean(name).ok().flatten() == Some(true))
        })
    }

    /// Whether one of the names is to pause when it fails (or passes), now.
    pub fn pauses(&self, on_pass: bool, names: &[&str]) -> bool {
        let (tree, flat) = directives(on_pass);
        let says = |name: String| self.0.variables.boolean(&name).ok().flatten() == Some(true);
        ["ALL"].iter().chain(names).any(|name| says(format!("{tree}{name}")) || says(format!("{flat}{name}")))
    }

    /// Takes up the wish that the next one pauses.
    pub fn take_pause_next(&self) -> Option<String> {
        let by = self.lock().pause_next.take();
        if by.is_some() {
            self.arm();
        }
        by
    }

    /// How long a pause lasts when nobody ends it.
    pub fn patience(&self) -> Duration {
        let said = self.0.variables.lookup("PAUSE_HOURS").ok().flatten().and_then(|text| text.trim().parse::<f64>().ok());
        let hours = said.filter(|hours| hours.is_finite() && *hours > 0.0).unwrap_or(HOURS);
        Duration::try_from_secs_f64(hours * 3600.0).unwrap_or(Duration::from_secs_f64(HOURS * 3600.0))
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(super) fn next_pause(&self) -> u64 {
        self.0.pauses.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// It waits for a person, who sits here.
    pub(super) fn seat(&self, id: &CaseId, seat: &Arc<Seat>) {
        if let Some(running) = self.lock().running.get_mut(id) {
            running.status = Status::Paused;
            running.seat = Some(seat.clone());
        }
    }

    /// It waits no longer. What somebody has said stays readable.
    pub(super) fn leave(&self, id: &CaseId, how: Release) {
        if let Some(running) = self.lock().running.get_mut(id) {
            running.seat = None;
            if running.status.is_paused() {
                running.status = if how == Release::NotContinue { Status::NotContinue } else { Status::Continue };
            }
        }
    }
}

/// Where it is said what is to pause: the variables' beginnings.
fn directives(on_pass: bool) -> (&'static str, &'static str) {
    if on_pass { ("CLIOPTIONS/PAUSE_ON_PASS/", "POP_") } else { ("CLIOPTIONS/PAUSE_ON_FAIL/", "POF_") }
}

/// For people and programs. `by` is who asks, as shown to people.
impl Control {
    /// Everything that runs, oldest first, and what has ended before it.
    pub fn standing(&self) -> Vec<Standing> {
        let state = self.lock();
        let ended = |id: &CaseId| Standing { id: id.clone(), status: Status::Finished, since: None, pause: None };
        let mut all: Vec<Standing> = state.finished.iter().map(ended).collect();
        let mut running: Vec<(&CaseId, &Running)> = state.running.iter().collect();
        running.sort_by_key(|(_, running)| running.since);
        all.extend(running.into_iter().map(|(id, running)| Standing {
            id: id.clone(),
            status: running.status,
            since: Some(running.since),
            pause: running.seat.as_ref().map(|seat| (seat.pause(), seat.since())),
        }));
        all
    }

    /// The tag that a name means: itself, or the only one that runs (or else, is planned) of that name.
    ///
    /// # Errors
    /// `NotFound`, with the near ones; `Malformed`: several have that name.
    pub fn find(&self, name: &str) -> Result<CaseId> {
        let state = self.lock();
        let paused = || state.running.iter().filter(|(_, running)| running.status.is_paused()).map(|(id, _)| id);
        let groups: [Vec<&CaseId>; 3] =
            [paused().collect(), state.running.keys().collect(), state.finished.iter().chain(&state.planned).collect()];
        for ids in &groups {
            if let Some(id) = ids.iter().find(|id| id.as_str() == name) {
                return Ok((*id).clone());
            }
        }
        for ids in &groups {
            let mut found: Vec<&CaseId> = ids.iter().copied().filter(|id| id.name() == name).collect();
            found.sort();
            found.dedup();
            match found.as_slice() {
                [] => {}
                [only] => return Ok((*only).clone()),
                [first, second, ..] => {
                    let what = format!("`{name}` may be `{first}` or `{second}`, {} in all", found.len());
                    return Err(Error::new(Kind::Malformed, what).blame(Blame::User).help("give the whole tag"));
                }
            }
        }
        let names = || groups.iter().flatten().flat_map(|id| [id.as_str(), id.name()]);
        let error = Error::new(Kind::NotFound, format!("no testcase `{name}` in this run")).blame(Blame::User);
        let running = || {
            let tags: Vec<&str> = state.running.keys().map(CaseId::as_str).take(10).collect();
            if tags.is_empty() { "nothing runs now".to_string() } else { format!("running: {}", tags.join(", ")) }
        };
        Err(error.help(did_you_mean(name, names()).unwrap_or_else(running)))
    }

    /// Lets a pause end. False when it does not wait, or somebody else was first.
    ///
    /// # Errors
    /// As [`Control::find`].
    pub fn release(&self, name: &str, how: Release, by: &str) -> Result<bool> {
        let id = self.find(name)?;
        Ok(self.let_go(&id, how, by))
    }

    fn let_go(&self, id: &CaseId, how: Release, by: &str) -> bool {
        let mut state = self.lock();
        let Some(running) = state.running.get_mut(id).filter(|running| running.status.is_paused()) else { return false };
        running.status = if how == Release::NotContinue { Status::NotContinue } else { Status::Continue };
        running.seat.as_ref().is_some_and(|seat| seat.ask(Ask::Release { how, by: by.to_string() }))
    }

    /// Lets every pause end; the tags.
    pub fn release_all(&self, how: Release, by: &str) -> Vec<CaseId> {
        let paused: Vec<CaseId> = self.standing().into_iter().filter(|s| s.status.is_paused()).map(|s| s.id).collect();
        paused.into_iter().filter(|id| self.let_go(id, how, by)).collect()
    }

    /// Takes the limit off a pause. False when it does not wait.
    ///
    /// # Errors
    /// As [`Control::find`].
    pub fn hold(&self, name: &str, by: &str) -> Result<bool> {
        let id = self.find(name)?;
        let held = {
            let mut state = self.lock();
            let running = state.running.get_mut(&id).filter(|running| running.status.is_paused());
            running.is_some_and(|running| {
                running.status = Status::Indefinite;
                running.seat.as_ref().is_some_and(|seat| seat.ask(Ask::Hold))
            })
        };
        if held {
            self.tell(Some(&id), by, Steering::Held);
        }
        Ok(held)
    }

    /// Says whether a testcase blocks what follows it.
    ///
    /// # Errors
    /// As [`Control::find`].
    pub fn set_blocker(&self, name: &str, blocker: bool, by: &str) -> Result<()> {
        let id = self.find(name)?;
        self.lock().blockers.insert(id.clone(), blocker);
        self.tell(Some(&id), by, Steering::BlockerSet { blocker });
        Ok(())
    }

    /// Sets the result of a testcase, whatever it comes to itself. What it has blocked already stays so.
    ///
    /// # Errors
    /// As [`Control::find`].
    pub fn set_result(&self, name: &str, outcome: Outcome, by: &str) -> Result<()> {
        let id = self.find(name)?;
        self.lock().results.insert(id.clone(), outcome);
        self.tell(Some(&id), by, Steering::ResultSet { outcome });
        Ok(())
    }

    /// Sets a variable for what is read from now on.
    ///
    /// # Errors
    /// As [`Live::set`].
    pub fn set_variable(&self, name: &str, value: &str, by: &str) -> Result<()> {
        self.0.variables.set(name, value, by)?;
        let told = if is_secret(name) { "••••••".to_string() } else { value.to_string() };
        self.tell(None, by, Steering::VariableSet { name: name.to_string(), value: told });
        self.arm();
        Ok(())
    }

    /// The variables as they are now.
    pub fn variables(&self) -> &Live {
        &self.0.variables
    }

    /// Nothing more begins once what runs now has ended.
    pub fn end_run(&self, by: &str) {
        self.lock().ended_by.get_or_insert_with(|| by.to_string());
        self.tell(None, by, Steering::RunEnded);
    }

    /// Stops one testcase; its clean-ups are run. False when it does not run.
    ///
    /// # Errors
    /// As [`Control::find`].
    pub fn kill(&self, name: &str, by: &str) -> Result<bool> {
        let id = self.find(name)?;
        let Some(cancel) = self.lock().running.get(&id).map(|running| running.cancel.clone()) else { return Ok(false) };
        self.tell(Some(&id), by, Steering::Killed);
        cancel.raise(Stop::Killed { by: by.to_string() });
        Ok(true)
    }

    /// The next testcase that ends waits for a person.
    pub fn pause_next(&self, by: &str) {
        self.lock().pause_next = Some(by.to_string());
        self.tell(None, by, Steering::PauseAsked);
        self.arm();
    }

    /// Where a person sits at a paused testcase.
    ///
    /// # Errors
    /// As [`Control::find`]; `Refused`: it does not wait.
    pub fn paused(&self, name: &str) -> Result<Arc<Seat>> {
        let id = self.find(name)?;
        let seat = self.lock().running.get(&id).and_then(|running| running.seat.clone());
        seat.ok_or_else(|| {
            let error = Error::new(Kind::Refused, format!("`{id}` is not paused")).blame(Blame::User);
            error.help(format!("xenrt interact HOST:PORT -D CLIOPTIONS/PAUSE_ON_FAIL/{}=yes has it wait when it fails", id.name()))
        })
    }

    /// Where each thread of everything that runs stands, the outermost function first.
    pub fn stacks(&self) -> Vec<ThreadStanding> {
        let state = self.lock();
        let running: Vec<(CaseId, Trails, Context)> =
            state.running.iter().map(|(id, running)| (id.clone(), running.trails.clone(), running.context.clone())).collect();
        drop(state);
        let each = |(id, trails, context): (CaseId, Trails, Context)| {
            let doing = context.doing_since().map(|(what, since)| format!("{what}, for {}", show_duration(since)));
            let thread = move |(thread, levels)| ThreadStanding { id: id.clone(), thread, levels, doing: doing.clone() };
            trails.standing().into_iter().map(thread).collect::<Vec<_>>()
        };
        running.into_iter().flat_map(each).collect()
    }

    /// Tells the stream who did what.
    pub(super) fn tell(&self, id: Option<&CaseId>, by: &str, what: Steering) {
        // A point of the run itself is no testcase.
        let id = id.filter(|id| self.lock().planned.contains(id));
        self.0.bus.publish(id, Fact::Steered { by: by.to_string(), what: Box::new(what) });
    }

    fn arm(&self) {
        let is_armed = self.is_armed();
        self.lock().running.values().for_each(|running| running.trails.arm(is_armed));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
