//! One testcase from its first phase to its outcome.
//!
//! # Source
//! The original's life of a testcase, with its known faults mended: a skip or a partial result is an outcome like any other, clean-ups
//! run after failure, timeout and Ctrl-C alike, and whatever happens the testcase has an outcome in the stream.

use super::{PlannedCase, Runner, Work, program};
use crate::context::Context;
use crate::error::{Blame, Error, Kind};
use crate::event::{Fact, Failure, Level, Outcome, Phase};
use crate::script::{
    Case, Catalog, Ended, Hook, Origin, Script, ScriptEngine, Target, Testcase, This, judge, severity, shown_args,
};
use crate::time::Cancel;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Runs a testcase. Whatever happens, it has an outcome and the stream has its end.
pub fn run(runner: &Runner, planned: &PlannedCase) -> Outcome {
    let clock = Instant::now();
    let limit = runner.settings.timeout.or(planned.timeout);
    let cancel = match limit {
        Some(limit) => runner.cancel.child_with_limit("testcase", limit),
        None => runner.cancel.child(),
    };
    let dir = planned.id.directory();
    let context = Context::new(runner.bus.clone(), Some(planned.id.clone()), runner.settings.results.join(&dir), cancel);
    let timeout = limit.map(|l| l.as_secs_f64());
    context.publish(Fact::CaseStarted { args: shown_args(&planned.args), timeout, dir: dir.into(), attempt: 1, lane: 0 });
    let ended = unpanicked(&context, || live(runner, planned, &context));
    let reason = (!ended.reason.is_empty()).then_some(ended.reason);
    let took = clock.elapsed().as_secs_f64();
    context.publish(Fact::CaseFinished { outcome: ended.outcome, reason, took, failure: ended.failure, block: None });
    ended.outcome
}

/// What `work` gives, or the end that a panic in it means.
fn unpanicked(context: &Context, work: impl FnOnce() -> Ended) -> Ended {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
        let what = format!("the harness panicked: {}", text.unwrap_or_default());
        plain(context, &Error::new(Kind::Internal, what).help("this is a fault of xrt; please report it with the event log"))
    })
}

/// An end that no script explains.
fn plain(context: &Context, error: &Error) -> Ended {
    Ended::by(Failure { calls: context.calls(), ..Failure::of(error) })
}

fn live(runner: &Runner, planned: &PlannedCase, context: &Context) -> Ended {
    let variables = runner.settings.variables.clone();
    let case = Arc::new(Case::new(context.clone(), runner.lab.clone(), planned.args.clone(), variables, runner.scripts.clone()));
    let mut life = Life { runner, case: &case, script: None };
    let testcase = match &planned.work {
        Work::Testcase(testcase) => testcase,
        Work::Unusable { error, .. } => return plain(context, error),
        Work::Prepare(_) => {
            let error = Error::new(Kind::Unsupported, "cannot provision what the sequence asks for");
            return plain(context, &error.blame(Blame::Us).help("prepare it by hand and give --noprepare"));
        }
        Work::Sleep(duration) => {
            let slept = context.action(None, "sleep", |action| action.sleep(*duration));
            return match slept {
                Ok(()) => Ended { outcome: Outcome::Passed, reason: String::new(), failure: None },
                Err(error) => plain(context, &error),
            };
        }
    };
    let ended = match (unfit(runner, testcase), &testcase.origin) {
        (Some(error), _) => plain(context, &error),
        (None, Origin::Program(path)) => {
            context.publish(Fact::PhaseStarted { phase: Phase::Run });
            program::run(&case, path, &planned.words).unwrap_or_else(|error| plain(context, &error))
        }
        (None, origin) => match Body::compile(runner, origin, &case) {
            Ok(body) => {
                life.script = Some(body);
                // After a panic too, everything is cleaned up.
                unpanicked(context, || life.judged())
            }
            Err(ended) => *ended,
        },
    };
    let ended = cut_short(runner, context, combined(ended, &case));
    life.aftermath(&ended);
    ended
}

/// Why a testcase cannot run here at all.
fn unfit(runner: &Runner, testcase: &Testcase) -> Option<Error> {
    let Testcase { meta, name, .. } = testcase;
    let needed = meta.guests.max(usize::from(meta.target == Target::Guest));
    let there = runner.lab.len();
    if there < needed {
        let wanted = if needed == 1 { "a guest".to_string() } else { format!("{needed} guests") };
        let error = Error::new(Kind::NotFound, format!("`{name}` needs {wanted}, the run has {there}"));
        return Some(error.blame(Blame::User).help("name the machine with --guest ADDRESS, or --guest local for this machine"));
    }
    if matches!(meta.target, Target::Host | Target::Pool) {
        let what = format!("`{name}` needs a {}, and this run has only guests", meta.target.word());
        return Some(Error::new(Kind::Unsupported, what).blame(Blame::User));
    }
    None
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
fn cut_short(runner: &Runner, context: &Context, ended: Ended) -> Ended {
    let Some(reason) = runner.cancel.reason().filter(|_| ended.outcome == Outcome::Errored) else { return ended };
    let stop = plain(context, &reason.error());
    Ended { outcome: Outcome::Errored, reason: stop.reason, failure: ended.failure.or(stop.failure) }
}

/// A script with its engine and what it keeps between its hooks.
struct Body {
    script: Script,
    engine: ScriptEngine,
    this: This,
}

impl Body {
    fn compile(runner: &Runner, origin: &Origin, case: &Arc<Case>) -> Result<Body, Box<Ended>> {
        let engine = runner.scripts.engine(case);
        let text = Catalog::new(runner.scripts.clone()).text(origin).map_err(|e| Box::new(plain(&case.context, &e)))?;
        match Script::compile(&runner.scripts, &engine, &origin.source(), &text) {
            Ok(script) => Ok(Body { script, engine, this: crate::script::new_this() }),
            Err(diagnostic) => Err(Box::new(Ended::by(diagnostic.failure()))),
        }
    }
}

struct Life<'a> {
    runner: &'a Runner,
    case: &'a Arc<Case>,
    script: Option<Body>,
}

impl Life<'_> {
    fn context(&self) -> &Context {
        &self.case.context
    }

    /// `prepare` and `run`.
    fn judged(&mut self) -> Ended {
        for (hook, phase) in [(Hook::Prepare, Phase::Prepare), (Hook::Run, Phase::Run)] {
            if let Some(Err(mut ended)) = self.hook(hook, phase) {
                if hook == Hook::Prepare && ended.outcome == Outcome::Failed {
                    ended.outcome = Outcome::Errored;
                    ended.reason = format!("prepare: {}", ended.reason);
                }
                return ended;
            }
        }
        Ended { outcome: Outcome::Passed, reason: String::new(), failure: None }
    }

    /// Calls a hook if the script has it.
    fn hook(&mut self, hook: Hook, phase: Phase) -> Option<Result<(), Ended>> {
        let body = self.script.as_mut()?;
        if !body.script.has(hook.name(), 1) {
            return None;
        }
        let case = self.case;
        case.context.publish(Fact::PhaseStarted { phase });
        let result = body.script.call(&body.engine, hook, &mut body.this, case.args.clone());
        Some(result.map_err(|error| judge(&case.context, &error, &|source| case.scripts.text(source))))
    }

    /// Everything after the judgement: it cannot change the outcome, and it outlives what stopped the testcase.
    fn aftermath(&mut self, ended: &Ended) {
        self.case.judge(ended.outcome);
        self.context().go_on_with(Cancel::new().child_with_limit("clean-up", self.runner.settings.cleanup));
        if ended.outcome != Outcome::Skipped {
            self.after_hook(Hook::PreLogs, Phase::PreLogs);
            if ended.outcome.is_bad() && self.runner.settings.collect_logs {
                self.context().publish(Fact::PhaseStarted { phase: Phase::Logs });
                self.runner.lab.collect_logs(self.context());
            }
            self.after_hook(Hook::PostRun, Phase::PostRun);
        }
        self.deferred();
        self.runner.lab.give_back(self.context());
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
