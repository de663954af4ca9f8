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
        let call = call.into_task();
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

#[cfg(test)]
mod tests {
    use super::super::double::{Double, Say, pool};
    use super::*;
    use crate::time::Stop;
    use crate::toolstack::{Duplicate, Toolstack, Verb};
    use serde_json::{Value, json};
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(20);

    fn guest() -> Ref {
        Ref::new(Class::Guest, "OpaqueRef:vm")
    }

    fn task(status: &str, progress: f64, result: &str, error: &[&str]) -> Value {
        json!({"status": status, "progress": progress, "result": result, "error_info": error})
    }

    /// A pool in which each look at the task gives the next of these.
    fn with_task(mut looks: Vec<Value>) -> Double {
        looks.reverse();
        Double::start(pool(move |method, arguments| match method {
            "event.from" => {
                assert_eq!(arguments[1], json!(["task/OpaqueRef:task"]));
                let events: Vec<Value> = looks
                    .pop()
                    .into_iter()
                    .map(|look| json!({"operation": "mod", "ref": "OpaqueRef:task", "snapshot": look}))
                    .collect();
                Say::Result(json!({"events": events, "valid_ref_counts": {}, "token": "t"}))
            }
            "task.get_record" => Say::Result(looks.pop().unwrap()),
            method if method.starts_with("Async.") => Say::Result(json!("OpaqueRef:task")),
            _ => Say::Result(json!("")),
        }))
    }

    #[test]
    fn an_operation_is_a_task_that_is_followed_and_removed() {
        let double = with_task(vec![
            task("pending", 0.0, "", &[]),
            task("pending", 0.4, "", &[]),
            task("pending", 0.4, "", &[]),
            task("success", 1.0, "<value>OpaqueRef:copy</value>", &[]),
        ]);
        let xapi = double.xapi();
        let told = Mutex::new(Vec::new());
        let progress = |part| told.lock().unwrap().push(part);
        let cancel = Cancel::new();
        let watch = Watch { cancel: &cancel, limit: LONG, progress: &progress };
        assert_eq!(xapi.duplicate(&guest(), "copy", &Duplicate::Clone, watch).unwrap(), Ref::new(Class::Guest, "OpaqueRef:copy"));
        assert_eq!(*told.lock().unwrap(), [0.4]);
        assert_eq!(double.calls()[2..], ["Async.VM.clone", "event.from", "event.from", "event.from", "event.from", "task.destroy"]);
    }

    #[test]
    fn a_task_that_failed_says_why_in_the_pools_words() {
        let double = with_task(vec![task("failure", 1.0, "", &["SR_FULL", "8", "OpaqueRef:session-1"])]);
        let error = double.xapi().act(&Verb::CleanReboot(guest()), Watch::silent(&Cancel::new(), LONG)).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Lab));
        assert!(error.what.contains("SR_FULL: 8") && error.what.contains("`VM.clean_reboot`"), "{error}");
        assert!(!format!("{:?}", error.details).contains("session-1"), "{error}");
        assert_eq!(double.count("task.destroy"), 1);
    }

    #[test]
    fn a_task_that_somebody_else_cancelled_is_no_wish_of_ours() {
        let double = with_task(vec![task("cancelled", 0.5, "", &["TASK_CANCELLED", "OpaqueRef:task"])]);
        let error = double.xapi().act(&Verb::Suspend(guest()), Watch::silent(&Cancel::new(), LONG)).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Refused, Blame::Product), "{error}");
    }

    #[test]
    fn without_events_the_task_is_looked_at() {
        let mut looks = vec![task("success", 1.0, "", &[]), task("pending", 0.5, "", &[])];
        let double = Double::start(pool(move |method, _| match method {
            "event.from" => Say::Error("MESSAGE_METHOD_UNKNOWN", vec!["event.from".into()]),
            "task.get_record" => Say::Result(looks.pop().unwrap()),
            _ => Say::Result(json!("OpaqueRef:task")),
        }));
        double.xapi().act(&Verb::Pause(guest()), Watch::silent(&Cancel::new(), LONG)).unwrap();
        assert_eq!((double.count("event.from"), double.count("task.get_record")), (1, 2));
    }

    #[test]
    fn events_that_were_lost_are_asked_for_anew() {
        let mut lost = true;
        let double = Double::start(pool(move |method, arguments| match method {
            "event.from" if std::mem::take(&mut lost) => Say::Error("EVENTS_LOST", vec![]),
            "event.from" => {
                assert_eq!(arguments[2], "");
                Say::Result(json!({"events": [{"operation": "add", "snapshot": task("success", 1.0, "", &[])}], "token": "t"}))
            }
            _ => Say::Result(json!("OpaqueRef:task")),
        }));
        double.xapi().act(&Verb::Pause(guest()), Watch::silent(&Cancel::new(), LONG)).unwrap();
        assert_eq!(double.count("event.from"), 2);
    }

    /// A pool whose task never ends by itself; `refuses` to cancel it.
    fn stuck(refuses: bool) -> Double {
        let mut is_cancelled = false;
        let mut looks = 0;
        Double::start(pool(move |method, _| match method {
            "event.from" => {
                looks += 1;
                match (is_cancelled, looks) {
                    (true, _) => Say::Result(
                        json!({"events": [{"operation": "mod", "snapshot": task("cancelled", 0.3, "", &[])}], "token": "t"}),
                    ),
                    (false, 1) => Say::Result(
                        json!({"events": [{"operation": "add", "snapshot": task("pending", 0.3, "", &[])}], "token": "t"}),
                    ),
                    (false, _) => Say::Silence,
                }
            }
            "task.cancel" if refuses => Say::Error("OPERATION_NOT_ALLOWED", vec!["no".into()]),
            "task.cancel" => {
                is_cancelled = true;
                Say::Result(json!(""))
            }
            _ => Say::Result(json!("OpaqueRef:task")),
        }))
    }

    #[test]
    fn a_task_is_cancelled_at_the_limit_and_its_progress_told() {
        let double = stuck(false);
        let error =
            double.xapi().act(&Verb::CleanShutdown(guest()), Watch::silent(&Cancel::new(), Duration::from_millis(60))).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert_eq!(error.what, "the `VM.clean_shutdown` did not end within 60ms; it was at 30 % and was cancelled");
        assert_eq!((double.count("task.cancel"), double.count("task.destroy")), (1, 1));
    }

    #[test]
    fn a_task_is_cancelled_with_its_caller_and_what_cannot_be_is_told() {
        for (refuses, expected) in [(false, "was cancelled"), (true, "goes on: ")] {
            let double = stuck(refuses);
            let xapi = double.xapi();
            let cancel = Cancel::new();
            let error = std::thread::scope(|scope| {
                let work = scope.spawn(|| xapi.act(&Verb::CleanShutdown(guest()), Watch::silent(&cancel, LONG)));
                let patience = Cancel::new().child_with_limit("test", LONG);
                while double.count("event.from") < 2 {
                    patience.sleep(Duration::from_millis(1)).unwrap();
                }
                cancel.raise(Stop::User);
                work.join().unwrap().unwrap_err()
            });
            assert_eq!(error.kind, Kind::Cancelled);
            assert!(error.what.contains("30 %") && error.what.contains(expected), "{error}");
            assert_eq!(double.count("task.cancel"), 1);
        }
    }
}
