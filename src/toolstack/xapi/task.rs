//! Operations that take long, as tasks of the pool: begun, followed, cancelled when nobody waits any more, and removed afterwards.

use super::calls::{self, Call, Task};
use super::event::Batch;
use super::fault::Failure;
use super::session::Xapi;
use super::value::texts;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::toolstack::{Class, Ref, Watch};
use serde::Deserialize;
use std::time::Duration;

/// How long the pool may hold one question for news.
const NEWS: f64 = 20.0;

/// How long giving up a task may take.
const GIVING_UP: Duration = Duration::from_secs(3);

/// How long a task that was cancelled may take to end before it is left to itself.
const ENDING: f64 = 0.05;

/// Between two looks, where the pool has no events.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TaskRecord {
    status: String,
    progress: f64,
    result: String,
    error_info: Vec<String>,
}

impl TaskRecord {
    fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "cancelling" | "")
    }
}

/// Whose end an error names when the limit of a watch is over.
pub(super) fn bound(watch: Watch<'_>, call: &Call) -> Cancel {
    watch.cancel.child_with_limit(&format!("`{}`", call.verb()), watch.limit)
}

impl Xapi {
    /// Does what may take long; returns the texts in its result.
    pub(super) fn perform(&self, call: Call, watch: Watch<'_>) -> Result<Vec<String>> {
        let cancel = bound(watch, &call);
        let call = call.as_task();
        let task: String = self.ask(&call, &cancel)?;
        let ended = self.follow(&task, &call, &cancel, watch.progress);
        self.sweep(&task);
        ended
    }

    /// As [`Xapi::perform`], for what makes one object.
    pub(super) fn make(&self, class: Class, call: Call, watch: Watch<'_>) -> Result<Ref> {
        let verb = call.verb().to_string();
        let made = self.perform(call, watch)?;
        let made = made.into_iter().next().ok_or_else(|| {
            let what = format!("`{verb}` on {} succeeded, but did not say what it made", self.machine());
            Error::new(Kind::Malformed, what).blame(Blame::Product)
        })?;
        Ok(Ref::new(class, made))
    }

    /// Waits for the end of a task. When the flag is raised or the limit is over, the task is cancelled.
    pub(super) fn follow(&self, task: &str, call: &Call, cancel: &Cancel, progress: &dyn Fn(f64)) -> Result<Vec<String>> {
        let mut sight = Sight { token: String::new(), pause: None, last: 0.0 };
        loop {
            match self.look(task, &mut sight, NEWS, cancel) {
                Ok(None) => {}
                Ok(Some(record)) if record.is_over() => return self.result(record, call, cancel),
                Ok(Some(record)) => {
                    if record.progress > sight.last {
                        sight.last = record.progress;
                        progress(record.progress.clamp(0.0, 1.0));
                    }
                }
                Err(error) if cancel.is_raised() => return Err(self.give_up(task, &mut sight, error)),
                Err(error) if error.kind == Kind::NotFound => {
                    let what = format!("the task of `{}` on {} is gone: how it ended is not known", call.verb(), self.machine());
                    return Err(Error::new(Kind::Unreachable, what).blame(Blame::Product).because(error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// News of a task, if there are any within so many seconds.
    fn look(&self, task: &str, sight: &mut Sight, seconds: f64, cancel: &Cancel) -> Result<Option<TaskRecord>> {
        let Some(pause) = sight.pause else {
            let call = calls::event_from(vec![format!("task/{task}")], &sight.token, seconds);
            return match self.ask::<Batch<TaskRecord>>(&call, cancel) {
                Ok(batch) => {
                    sight.token.clone_from(&batch.token);
                    let is_gone = batch.events.iter().any(|event| event.operation == "del");
                    match batch.events.into_iter().rev().find_map(|event| event.snapshot) {
                        // Whoever removed it knew more: the record may still be there for us.
                        None if is_gone => self.ask(&calls::task_get_record(Task(task)), cancel).map(Some),
                        record => Ok(record),
                    }
                }
                Err(error) if error.kind == Kind::Unsupported => {
                    sight.pause = Some(FIRST_PAUSE);
                    self.ask(&calls::task_get_record(Task(task)), cancel).map(Some)
                }
                Err(error) if Batch::<TaskRecord>::is_lost(&error) => {
                    sight.token.clear();
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        };
        cancel.sleep(pause)?;
        sight.pause = Some((pause * 2).min(LONGEST_PAUSE));
        self.ask(&calls::task_get_record(Task(task)), cancel).map(Some)
    }

    fn result(&self, record: TaskRecord, call: &Call, cancel: &Cancel) -> Result<Vec<String>> {
        match record.status.as_str() {
            "success" => Ok(texts(&record.result)),
            "cancelled" => {
                cancel.check()?;
                let words = ["TASK_CANCELLED".to_string()];
                // Nobody here wished it.
                Err(Failure::of_words(&words).error(&self.machine(), call).with_kind(Kind::Refused).blame(Blame::Product))
            }
            _ => Err(self.masked(Failure::of_words(&record.error_info)).error(&self.machine(), call)),
        }
    }

    /// Cancels a task that nobody waits for any more; the error gets to say how far it was.
    fn give_up(&self, task: &str, sight: &mut Sight, mut error: Error) -> Error {
        let cancel = Cancel::new().child_with_limit("cancelling of a task", GIVING_UP);
        let percent = (sight.last * 100.0).round();
        match self.ask::<serde::de::IgnoredAny>(&calls::task_cancel(Task(task)), &cancel) {
            Ok(_) => {
                error.what = format!("{}; it was at {percent} % and was cancelled", error.what);
                // Mostly it ends at once, and then nothing of it is left when the caller goes on.
                let _ = self.look(task, sight, ENDING, &cancel);
            }
            Err(refused) => error.what = format!("{}; it was at {percent} % and goes on: {}", error.what, refused.what),
        }
        error
    }

    /// Removes a task that is over.
    pub(super) fn sweep(&self, task: &str) {
        let cancel = Cancel::new().child_with_limit("removal of a task", GIVING_UP);
        // One that is left behind is removed by the pool after a day.
        let _ = self.ask::<serde::de::IgnoredAny>(&calls::task_destroy(Task(task)), &cancel);
    }
}

/// How a task is watched, and what was seen of it last.
struct Sight {
    token: String,
    /// Between two looks, where there are no events.
    pause: Option<Duration>,
    last: f64,
}
