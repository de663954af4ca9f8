//! A testcase while it runs, as its script sees it: what the free functions act on.

use super::deferred::Deferred;
use super::failure::{Ended, Raised, misuse};
use super::hold::Watch;
use super::meta::Target;
use super::trail::Trails;
use crate::context::Context;
use crate::error::Result;
use crate::event::{Fact, Outcome};
use crate::lab::{Guest, Host, Lab, Pool};
use crate::metric::Measurement;
use crate::vars::Live;
use rhai::{Dynamic, Map, NativeCallContext};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More subcases or measured values than this are a mistake of the script's, and would fill every report.
const MOST: usize = 100_000;

/// A testcase while it runs.
pub struct Case {
    pub context: Context,
    pub lab: Arc<Lab>,
    pub args: Map,
    /// Name of the machine that it is to run on, instead of the first.
    pub place: Option<Arc<str>>,
    /// What sort of thing it is to run on.
    pub aim: Target,
    /// What `config(NAME)` sees; it may change meanwhile.
    pub variables: Live,
    /// Where scripts come from: imports and excerpts.
    pub scripts: Arc<super::Scripts>,
    /// Who is asked whether a failure is to be held.
    pub watch: Option<Arc<dyn Watch>>,
    /// Where its threads stand.
    pub trails: Trails,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deferred: Vec<Deferred>,
    subcases: Vec<Subcase>,
    /// Where each subcase is, by group and name: a program may report a hundred thousand.
    places: HashMap<(String, String), usize>,
    /// How many results of subcases and values the script has recorded.
    recorded: usize,
    /// What was measured, for the comparison at the end.
    measured: Vec<Measurement>,
    partial: Option<String>,
    /// Nothing until `prepare` and `run` are over.
    judged: Option<Outcome>,
}

/// A part of the testcase with a result of its own.
#[derive(Clone, Debug)]
pub struct Subcase {
    pub group: String,
    pub name: String,
    /// Nothing while it is only declared.
    pub outcome: Option<Outcome>,
    pub reason: String,
}

impl State {
    /// The subcase of this name, made when there is none.
    fn subcase(&mut self, group: &str, name: &str) -> &mut Subcase {
        let end = self.subcases.len();
        let place = *self.places.entry((group.into(), name.into())).or_insert(end);
        if place == end {
            self.subcases.push(Subcase { group: group.into(), name: name.into(), outcome: None, reason: String::new() });
        }
        &mut self.subcases[place]
    }
}

/// What a testcase runs on.
pub enum Aimed {
    Guest(Guest),
    Host(Host),
    Pool(Pool),
}

/// How an engine carries the testcase it works for.
#[derive(Clone)]
pub struct CaseRef(pub Arc<Case>);

impl Case {
    pub fn new(context: Context, lab: Arc<Lab>, args: Map, variables: Live, scripts: Arc<super::Scripts>) -> Case {
        Case {
            context,
            lab,
            args,
            place: None,
            aim: Target::None,
            variables,
            scripts,
            watch: None,
            trails: Trails::default(),
            state: Mutex::default(),
        }
    }

    /// The same, to run on such a thing, of this name.
    #[must_use]
    pub fn at(self, aim: Target, place: Option<Arc<str>>) -> Case {
        Case { aim, place, ..self }
    }

    /// The same, whose failures may be held.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Case {
        Case { watch: Some(watch), ..self }
    }

    /// What it is to run on.
    ///
    /// # Errors
    /// `NotFound`; those of the toolstack.
    pub fn target(&self) -> Result<Aimed> {
        let (place, lab, context) = (self.place.as_deref(), &self.lab, &self.context);
        Ok(match self.aim {
            Target::None | Target::Guest => Aimed::Guest(match place {
                Some(place) => lab.guest(place, context)?,
                None => lab.first(context)?,
            }),
            Target::Host => {
                let (estate, host) = lab.find_host(place, context)?;
                Aimed::Host(Host::new(estate, &host, context.clone()))
            }
            Target::Pool => {
                let (estate, pool) = lab.find_pool(place, context)?;
                Aimed::Pool(Pool::new(estate, &pool, context.clone()))
            }
        })
    }

    /// The testcase that the calling script belongs to.
    ///
    /// # Errors
    /// In `meta()`, which is evaluated without one.
    pub fn of(call: &NativeCallContext) -> Raised<Arc<Case>> {
        call.tag().and_then(|tag| tag.read_lock::<CaseRef>().map(|c| c.0.clone())).ok_or_else(|| {
            misuse(
                format!("`{}` cannot be used here: meta() is evaluated without a lab", call.fn_name()),
                Some("move the call into prepare() or run()".into()),
            )
        })
    }

    pub fn defer(&self, deferred: Deferred) {
        self.lock().deferred.push(deferred);
    }

    /// The clean-up registered last and not yet taken.
    pub fn next_deferred(&self) -> Option<Deferred> {
        self.lock().deferred.pop()
    }

    /// Says that the result is at best partial.
    pub fn set_partial(&self, reason: &str) {
        self.lock().partial.get_or_insert_with(|| reason.to_string());
    }

    pub fn partial(&self) -> Option<String> {
        self.lock().partial.clone()
    }

    /// Counts something that a script records for the reports.
    ///
    /// # Errors
    /// It has recorded too much already.
    pub fn count(&self) -> Raised<()> {
        let mut state = self.lock();
        state.recorded += 1;
        match state.recorded > MOST {
            true => Err(misuse(format!("more than {MOST} subcases and values in one testcase"), Some("an endless loop?".into()))),
            false => Ok(()),
        }
    }

    /// Tells a measured value, and keeps it for the comparison with earlier ones.
    pub fn measured(&self, measurement: Measurement) {
        self.context.publish(measurement.clone().into());
        self.lock().measured.push(measurement);
    }

    /// Everything that was measured so far.
    pub fn measurements(&self) -> Vec<Measurement> {
        self.lock().measured.clone()
    }

    pub fn subcases(&self) -> Vec<Subcase> {
        self.lock().subcases.clone()
    }

    /// Announces a subcase, so that an early end cannot hide that it never ran.
    pub fn declare(&self, group: &str, name: &str) {
        self.lock().subcase(group, name);
    }

    /// Records the result of a subcase; of two results for one name the worse counts.
    pub fn finish_subcase(&self, group: &str, name: &str, took: f64, ended: Ended) {
        let Ended { outcome, reason, failure } = ended;
        let told = (!reason.is_empty()).then(|| reason.clone());
        self.context.publish(Fact::Subcase { group: group.into(), name: name.into(), outcome, reason: told, took, failure });
        let mut state = self.lock();
        let subcase = state.subcase(group, name);
        if subcase.outcome.is_none_or(|known| severity(known) < severity(outcome)) {
            subcase.outcome = Some(outcome);
            subcase.reason = reason;
        }
    }

    /// What the testcase would be if it ended now without an error: the subcases' results and what the script has set.
    pub fn standing(&self) -> (Outcome, String) {
        let state = self.lock();
        let with = |wanted: Outcome| state.subcases.iter().filter(move |s| s.outcome == Some(wanted));
        let unrun: Vec<&Subcase> = state.subcases.iter().filter(|s| s.outcome.is_none()).collect();
        let count = state.subcases.len();
        if let Some(first) = with(Outcome::Errored).next() {
            let errored = with(Outcome::Errored).count();
            return (Outcome::Errored, format!("{errored} of {count} subcases errored, first {}: {}", first.name, first.reason));
        }
        if let Some(first) = unrun.first() {
            return (Outcome::Errored, format!("{} of {count} declared subcases never ran, first {}", unrun.len(), first.name));
        }
        if let Some(first) = with(Outcome::Failed).next() {
            let failed = with(Outcome::Failed).count();
            return (Outcome::Failed, format!("{failed} of {count} subcases failed, first {}: {}", first.name, first.reason));
        }
        if count > 0 && with(Outcome::Skipped).count() == count {
            return (Outcome::Skipped, format!("all {count} subcases were skipped"));
        }
        if let Some(reason) = &state.partial {
            return (Outcome::Partial, reason.clone());
        }
        match with(Outcome::Partial).next() {
            Some(first) => (Outcome::Partial, format!("{}: {}", first.name, first.reason)),
            None => (Outcome::Passed, String::new()),
        }
    }

    /// Settles the outcome: what follows is only clean-up.
    pub fn judge(&self, outcome: Outcome) {
        self.lock().judged = Some(outcome);
    }

    /// Whether `prepare` and `run` are over.
    pub fn is_judged(&self) -> bool {
        self.lock().judged.is_some()
    }

    /// Whether it has passed, or would if it ended now.
    pub fn is_passing(&self) -> bool {
        let judged = self.lock().judged;
        matches!(judged.unwrap_or_else(|| self.standing().0), Outcome::Passed | Outcome::Partial)
    }

    /// The named argument.
    pub fn arg(&self, name: &str) -> Option<Dynamic> {
        self.args.get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of two outcomes hides the other.
pub fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Skipped => 0,
        Outcome::Passed => 1,
        Outcome::Partial => 2,
        Outcome::Flaky => 3,
        Outcome::Blocked => 4,
        Outcome::Failed => 5,
        Outcome::Errored => 6,
    }
}
