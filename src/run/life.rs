//! One attempt at a case, from its first phase to its last clean-up.
//!
//! # Source
//! The original's life of a testcase, with its known faults mended: a skip or a partial result is an outcome like any other, clean-ups
//! run after failure, timeout and Ctrl-C alike, and whatever happens the testcase has an outcome in the stream.

use super::alarm::Ring;
use super::needs::{self, Lack};
use super::pause::{Names, Pausing};
use super::step::{Standing, Walk, half_over, panicked};
use super::{PlannedCase, Preparation, Runner, Work, program, provision};
use crate::context::Context;
use crate::error::Error;
use crate::event::{Block, Counts, Fact, Failure, Level, Outcome, Phase, Role};
use crate::script::{
    Case, Catalog, Ended, Hook, Origin, Script, ScriptEngine, Scripts, Target, Testcase, This, judge, severity, shown_args,
};
use crate::time::{Cancel, Stop, WakeGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One attempt at a case.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    pub standing: Standing<'a>,
    /// From 1.
    pub attempt: u32,
    pub lane: u32,
}

/// What an attempt came to.
pub struct Told {
    /// What it came to itself.
    pub outcome: Outcome,
    /// What somebody has set instead.
    pub set: Option<Outcome>,
    pub reason: String,
    pub took: f64,
    pub failure: Option<Box<Failure>>,
    /// Why it did not even begin, when it is blocked.
    pub block: Option<Block>,
    /// Whether it was found wrong before anything of it ran, so that it would be wrong again.
    pub is_unfit: bool,
    pub subcases: Counts,
}

/// Runs a case once. Whatever happens, there is an end to tell.
pub fn run(walk: &Walk<'_>, planned: &PlannedCase, turn: Turn<'_>) -> Told {
    let clock = Instant::now();
    let runner = walk.shared.runner;
    let limit = limit(runner, planned, turn.standing);
    let dir = directory(planned, turn.attempt);
    let cancel = turn.standing.cancel.child();
    let _hurry = turn.standing.is_cleanup.then(|| Hurry::when_stopped(walk, &cancel));
    let context = Context::new(runner.bus.clone(), Some(planned.id.clone()), runner.settings.results.join(&dir), cancel.clone());
    let (args, timeout) = (shown_args(&planned.args), limit.map(|l| l.as_secs_f64()));
    context.publish(Fact::CaseStarted { args, timeout, dir, attempt: turn.attempt, lane: turn.lane });
    let variables = runner.settings.variables.clone();
    let case = Case::new(context.clone(), runner.lab.clone(), planned.args.clone(), variables, runner.scripts.clone());
    let aim = if let Work::Testcase(testcase) = &planned.work { testcase.meta.target } else { Target::None };
    let names = names(planned, runner.scripts.clone());
    let pausing = Arc::new(Pausing::new(&runner.control, &planned.id, names, &cancel));
    let case = Arc::new(case.at(aim, planned.place.clone()).watched(pausing.clone()));
    let _place = runner.control.begin(&planned.id, &cancel, &case.trails, &context);
    let mut life = Life { walk, planned, turn, limit, case: &case, pausing: &pausing, script: None };
    let End { ended, block, is_unfit } =
        catch_unwind(AssertUnwindSafe(|| life.live())).unwrap_or_else(|panic| End::of(plain(&context, &panicked(&*panic))));
    let mut subcases = Counts::default();
    case.subcases().iter().filter_map(|subcase| subcase.outcome).for_each(|outcome| subcases[outcome as usize] += 1);
    let Ended { outcome, reason, failure } = ended;
    let took = clock.elapsed().as_secs_f64();
    let set = runner.control.result(&planned.id);
    Told { outcome, set, reason, took, failure, block, is_unfit, subcases }
}

/// What else it is called, found out when somebody asks.
fn names(planned: &PlannedCase, scripts: Arc<Scripts>) -> Names {
    let Work::Testcase(testcase) = &planned.work else { return Box::new(Vec::new) };
    let testcase = testcase.clone();
    Box::new(move || {
        let reference = Catalog::new(scripts.clone()).reference(&testcase);
        [reference].into_iter().chain(testcase.meta.aliases.iter().cloned()).collect()
    })
}

/// How long it may take. The limits of the command line are for testcases; a clean-up without its own has that of all clean-ups.
fn limit(runner: &Runner, planned: &PlannedCase, standing: Standing<'_>) -> Option<Duration> {
    let settings = &runner.settings;
    if !standing.is_cleanup {
        return settings.timeout.filter(|_| planned.role == Role::Testcase).or(planned.timeout);
    }
    let own = planned.timeout.unwrap_or(settings.cleanup);
    Some(if runner.cancel.is_raised() { own.min(settings.cleanup) } else { own })
}

/// Its directory below the results; each further attempt has its own, with a sign that no id's directory has.
fn directory(planned: &PlannedCase, attempt: u32) -> PathBuf {
    let dir = planned.id.directory();
    if attempt == 1 { dir.into() } else { format!("{dir}@{attempt}").into() }
}

/// A clean-up goes on when the run is stopped, but from then on it has only the time that clean-ups have.
struct Hurry {
    _woken: WakeGuard,
    /// The limit that has begun to run.
    _ring: Arc<Mutex<Option<Ring>>>,
}

impl Hurry {
    fn when_stopped(walk: &Walk<'_>, cancel: &Cancel) -> Hurry {
        let runner = walk.shared.runner;
        let (limit, alarm, cancel) = (runner.settings.cleanup, walk.shared.alarm.clone(), cancel.clone());
        let ring = Arc::new(Mutex::new(None));
        let slot = ring.clone();
        let woken = runner.cancel.on_raise(move || {
            let cancel = cancel.clone();
            let over = move || cancel.raise(Stop::Deadline { whose: "clean-up".into(), limit });
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(alarm.after(limit, over));
        });
        Hurry { _woken: woken, _ring: ring }
    }
}

/// What `work` gives, or the end that a panic in it means.
fn unpanicked(context: &Context, work: impl FnOnce() -> Ended) -> Ended {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| plain(context, &panicked(&*panic)))
}

/// An end that no script explains.
fn plain(context: &Context, error: &Error) -> Ended {
    Ended::by(Failure { calls: context.calls(), ..Failure::of(error) })
}

/// The worse of how the script ended and what its subcases say: a failed subcase cannot be hidden by a pass or a skip.
fn combined(ended: Ended, case: &Case) -> Ended {
    let (standing, reason) = case.standing();
    if ended.outcome == Outcome::Passed {
        return Ended { outcome: standing, reason, failure: ended.failure };
    }
    if standing.is_bad() && severity(standing) > severity(ended.outcome) {
        return Ended { outcome: standing, reason: format!("{reason}; then: {}", ended.reason), failure: ended.failure };
    }
    ended
}

/// A testcase of a run that was stopped cannot be judged, unless it had ended by itself before.
fn cut_short(standing: Standing<'_>, context: &Context, ended: Ended) -> Ended {
    let is_cut = ended.outcome == Outcome::Errored && standing.is_stopped();
    let Some(reason) = standing.cancel.reason().filter(|_| is_cut) else { return ended };
    let stop = plain(context, &reason.error());
    let failure = match (stop.failure, ended.failure) {
        (Some(stop), Some(cut)) => Some(Box::new(because_of(*stop, *cut))),
        (stop, cut) => cut.or(stop),
    };
    Ended { outcome: Outcome::Errored, reason: stop.reason, failure }
}

/// The stop with what it cut short as its cause: who takes the run up again runs what was only stopped.
fn because_of(stop: Failure, cut: Failure) -> Failure {
    let (kind, blame, help) = (stop.kind, stop.blame, stop.help);
    let mut causes = vec![cut.message];
    causes.retain(|cause| *cause != stop.message);
    causes.extend(cut.causes);
    Failure { kind, blame, message: stop.message, causes, help, ..cut }
}

fn passed() -> Ended {
    Ended { outcome: Outcome::Passed, reason: String::new(), failure: None }
}

/// How an attempt ended, and why it did not begin if so.
struct End {
    ended: Ended,
    block: Option<Block>,
    is_unfit: bool,
}

impl End {
    fn of(ended: Ended) -> End {
        End { ended, block: None, is_unfit: false }
    }
}

/// A script with its engine and what it keeps between its hooks.
struct Body {
    origin: Origin,
    source: Arc<str>,
    script: Script,
    engine: ScriptEngine,
    this: This,
}

impl Body {
    fn compile(runner: &Runner, origin: &Origin, case: &Arc<Case>) -> Result<Body, Box<Ended>> {
        let engine = runner.scripts.engine(case);
        let text = Catalog::new(runner.scripts.clone()).text(origin).map_err(|e| Box::new(plain(&case.context, &e)))?;
        let source: Arc<str> = origin.source().into();
        match Script::compile(&runner.scripts, &engine, &source, &text) {
            Ok(script) => Ok(Body { origin: origin.clone(), source, script, engine, this: crate::script::new_this() }),
            Err(diagnostic) => Err(Box::new(Ended::by(diagnostic.failure()))),
        }
    }
}

struct Life<'a> {
    walk: &'a Walk<'a>,
    planned: &'a PlannedCase,
    turn: Turn<'a>,
    limit: Option<Duration>,
    case: &'a Arc<Case>,
    pausing: &'a Arc<Pausing>,
    script: Option<Body>,
}

impl Life<'_> {
    fn context(&self) -> &Context {
        &self.case.context
    }

    fn runner(&self) -> &Runner {
        self.walk.shared.runner
    }

    fn live(&mut self) -> End {
        let context = self.context();
        let done = match &self.planned.work {
            Work::Testcase(testcase) => return self.testcase(testcase),
            Work::Unusable(unusable) => Err(unusable.error.clone()),
            Work::Prepare(preparation) => {
                let _half = self.start_clock();
                context.publish(Fact::PhaseStarted { phase: Phase::Prepare });
                self.prepare(preparation)
            }
            Work::Sleep(duration) => {
                let _half = self.start_clock();
                context.action(None, "sleep", |action| action.sleep(*duration))
            }
        };
        End::of(match done {
            Ok(()) => passed(),
            Err(error) => cut_short(self.turn.standing, context, plain(context, &error)),
        })
    }

    /// Prepares; what was left undone stands in the way of what needs it.
    fn prepare(&self, preparation: &Preparation) -> Result<(), Error> {
        let prepared = provision::provision(self.runner(), preparation, self.context());
        let failure = prepared.as_ref().map_or_else(|error| Some(error.clone()), provision::failure);
        match &failure {
            None if self.planned.id.name() == "preprepare" => {
                self.pausing.at_point(self.case, "PAUSE_AFTER_PREPREPARE", "what comes before the preparation is there");
            }
            None => self.pausing.at_point(self.case, "PAUSE_AFTER_PREPARE", "everything is prepared"),
            Some(error) => self.pausing.at_point(self.case, "PAUSE_ON_PREPARE_FAIL", &format!("not prepared: {}", error.what)),
        }
        let prepared = prepared?;
        self.walk.lacks.tell(&self.planned.id, prepared);
        failure.map_or(Ok(()), Err)
    }

    /// From now on the limit of the case runs; what is returned tells when half of it is over.
    fn start_clock(&self) -> Option<Ring> {
        let (context, limit, whose) = (self.context(), self.limit?, self.planned.role.word());
        // Below the flag that it has now, which more than the limit may raise.
        context.go_on_with(context.cancel().child_with_limit(whose, limit));
        let context = context.clone();
        Some(self.walk.shared.alarm.after(limit / 2, move || {
            let doing = context.doing().map(|doing| format!("; it is waiting for {doing}")).unwrap_or_default();
            context.log(Level::Warning, half_over(whose, limit) + doing.as_str());
        }))
    }

    fn testcase(&mut self, testcase: &Testcase) -> End {
        let ready = self.ready(testcase);
        let is_unfit = ready.is_err();
        let ended = match ready {
            Err(ended) => *ended,
            Ok(()) => match self.in_turn(testcase) {
                Ok(ended) => ended,
                Err(stop) => return self.never_begun(&stop),
            },
        };
        let ended = cut_short(self.turn.standing, self.context(), ended);
        let ended = self.compared(ended);
        // Never in a finally: a clean-up that waits keeps the machines from everybody.
        let ended = if self.turn.standing.is_cleanup { ended } else { self.pausing.after(self.case, ended) };
        self.aftermath(&ended);
        End { is_unfit, ..End::of(ended) }
    }

    /// Everything that can be found wrong before anything of the testcase runs.
    fn ready(&mut self, testcase: &Testcase) -> Result<(), Box<Ended>> {
        if let Some(lack) = needs::lacks(&self.runner().lab, testcase, self.planned.place.as_deref(), self.context()) {
            return Err(Box::new(match lack {
                Lack::Skip(reason) => Ended { outcome: Outcome::Skipped, reason, failure: None },
                Lack::Error(error) => plain(self.context(), &error),
            }));
        }
        if !matches!(testcase.origin, Origin::Program(_)) {
            self.script = Some(Body::compile(self.runner(), &testcase.origin, self.case)?);
        }
        Ok(())
    }

    /// What the testcase itself does, and how that ended; while another one of its class runs, it waits.
    ///
    /// # Errors
    /// What stopped it while it waited.
    fn in_turn(&mut self, testcase: &Testcase) -> Result<Ended, Error> {
        let class = self.planned.class.as_deref();
        let semaphore = class.and_then(|class| Some((class, self.walk.semaphores.of(class)?)));
        let context = self.context().clone();
        let waits = |class| context.progress(None, format!("waits for the semaphore `{class}`"), None);
        let _permit = semaphore.map(|(class, it)| it.take(&context.cancel(), || waits(class))).transpose()?;
        let _half = self.start_clock();
        // After a panic too, everything is cleaned up.
        let ended = unpanicked(&context, || match &testcase.origin {
            Origin::Program(path) => {
                context.publish(Fact::PhaseStarted { phase: Phase::Run });
                program::run(self.case, path, &self.planned.words).unwrap_or_else(|error| plain(&context, &error))
            }
            _ => self.hooks(),
        });
        Ok(combined(ended, self.case))
    }

    /// It was stopped while it waited: what a time limit stops there is blocked, for nothing of it has run.
    fn never_begun(&self, stop: &Error) -> End {
        match self.turn.standing.limit() {
            Some(block) => {
                let ended = Ended { outcome: Outcome::Blocked, reason: block.to_string(), failure: None };
                End { ended, block: Some(block), is_unfit: false }
            }
            None => End::of(plain(self.context(), stop)),
        }
    }

    /// `prepare` and `run`.
    fn hooks(&mut self) -> Ended {
        for (hook, phase) in [(Hook::Prepare, Phase::Prepare), (Hook::Run, Phase::Run)] {
            if let Some(Err(mut ended)) = self.hook(hook, phase) {
                if hook == Hook::Prepare && ended.outcome == Outcome::Failed {
                    ended.outcome = Outcome::Errored;
                    ended.reason = format!("prepare: {}", ended.reason);
                }
                return ended;
            }
        }
        passed()
    }

    /// Calls a hook if the script has it.
    fn hook(&mut self, hook: Hook, phase: Phase) -> Option<Result<(), Ended>> {
        let body = self.script.as_mut()?;
        if !body.script.has(hook.name(), 1) {
            return None;
        }
        let case = self.case;
        case.context.publish(Fact::PhaseStarted { phase });
        let call = |body: &mut Body| body.script.call(&body.engine, hook, &mut body.this, case.args.clone());
        let mut result = case.trails.along("", None, &body.source.clone(), || call(body));
        while self.pausing.take_anew() {
            match Body::compile(self.walk.shared.runner, &body.origin, case) {
                // What the hook has put into `this` stays, as the machines do.
                Ok(anew) => *body = Body { this: std::mem::replace(&mut body.this, crate::script::new_this()), ..anew },
                Err(ended) => return Some(Err(*ended)),
            }
            result = case.trails.along("", None, &body.source.clone(), || call(body));
        }
        Some(result.map_err(|error| judge(&case.context, &error, &|source| case.scripts.text(source))))
    }

    /// What a testcase that passed has measured, beside earlier runs and limits; with `PERF_STRICT` it fails where that is too bad.
    fn compared(&self, ended: Ended) -> Ended {
        let baselines = &self.runner().settings.baselines;
        if baselines.is_empty() || !ended.outcome.is_pass() {
            return ended;
        }
        let args = serde_json::to_string(&shown_args(&self.planned.args)).unwrap_or_default();
        let names = self.planned.names(&Catalog::new(self.runner().scripts.clone()));
        let findings = baselines.judge(&self.planned.id, &names, &args, &self.case.measurements());
        let failure = findings.failure().filter(|_| self.walk.shared.habits.perf_strict);
        for comparison in findings.comparisons {
            self.context().publish(Fact::Compared(Box::new(comparison)));
        }
        for warning in findings.warnings {
            self.context().log(Level::Warning, warning);
        }
        failure.map_or(ended, |error| plain(self.context(), &error))
    }

    /// Everything after the judgement: it cannot change the outcome, and it outlives what stopped the testcase.
    fn aftermath(&mut self, ended: &Ended) {
        self.case.judge(ended.outcome);
        let (settings, habits) = (&self.walk.shared.runner.settings, self.walk.shared.habits);
        self.context().go_on_with(Cancel::new().child_with_limit("clean-up", settings.cleanup));
        if ended.outcome != Outcome::Skipped {
            if !habits.no_pre_logs {
                self.after_hook(Hook::PreLogs, Phase::PreLogs);
            }
            if ended.outcome.is_bad() && settings.collect_logs && !habits.no_logs {
                self.context().publish(Fact::PhaseStarted { phase: Phase::Logs });
                self.runner().lab.collect_logs(self.context());
            }
            if !settings.no_post_run && !habits.no_post_run {
                self.after_hook(Hook::PostRun, Phase::PostRun);
            }
        }
        self.deferred();
        self.runner().lab.give_back(self.context());
    }

    fn after_hook(&mut self, hook: Hook, phase: Phase) {
        if let Some(Err(ended)) = self.hook(hook, phase) {
            self.context().log(Level::Warning, format!("{}: {}", phase.word(), with_place(&ended)));
        }
    }

    fn deferred(&self) {
        let Some(body) = &self.script else { return };
        let mut announced = false;
        while let Some(deferred) = self.case.next_deferred() {
            if !announced {
                self.context().publish(Fact::PhaseStarted { phase: Phase::Cleanup });
                announced = true;
            }
            if let Err(error) = deferred.call(&body.engine) {
                let ended = judge(self.context(), &error, &|source| self.case.scripts.text(source));
                self.context().log(Level::Warning, format!("clean-up: {}", with_place(&ended)));
            }
        }
    }
}

fn with_place(ended: &Ended) -> String {
    match ended.failure.as_ref().and_then(|f| f.frames.first()) {
        Some(frame) => format!("{} ({})", ended.reason, frame.place),
        None => ended.reason.clone(),
    }
}
