//! Tasks: what is under way, and what became of it.

use super::super::encode;
use super::super::failure::{Failure, Outcome};
use super::super::store::Store;
use super::super::value::{Ref, Value};
use super::super::world::{Answer, Args, Cx, Method, answer, done};

pub fn method(name: &str) -> Option<Method> {
    Some(match name {
        "create" => |cx, args| {
            let (label, description) = (args.text(0).to_string(), args.text(1).to_string());
            answer(begin(cx, &label, &description))
        },
        "cancel" => cancel,
        "destroy" => destroy,
        "set_progress" => set_progress,
        _ => return None,
    })
}

pub fn allowed(db: &Store, task: Ref) -> Vec<&'static str> {
    if db.text(task, "status") == "pending" { vec!["cancel", "destroy"] } else { vec!["destroy"] }
}

/// Makes a pending task.
pub fn begin(cx: &mut Cx<'_>, label: &str, description: &str) -> Ref {
    let (now, host) = (cx.now(), cx.door_host());
    cx.db.create_with(
        "task",
        vec![
            ("name_label", Value::from(label)),
            ("name_description", Value::from(description)),
            ("created", Value::Date(now)),
            ("status", Value::from("pending")),
            ("resident_on", Value::Ref(host)),
            ("type", Value::from("<none/>")),
        ],
    )
}

/// Writes down how a task has ended.
pub fn end(cx: &mut Cx<'_>, task: Ref, outcome: &Outcome<Value>) {
    if !cx.db.exists(task) {
        return;
    }
    cx.site.cancelled.remove(&task);
    let now = cx.now();
    match outcome {
        Ok(value) => {
            let mut result = String::new();
            if *value != Value::Void {
                encode::xml(&mut result, cx.db, value);
            }
            cx.db.set(task, "result", result);
            cx.db.set(task, "progress", 1.0);
            cx.db.set(task, "finished", Value::Date(now));
            cx.db.set(task, "status", "success");
        }
        Err(failure) => {
            let words: Vec<&str> = failure.words().collect();
            cx.db.set(task, "error_info", words);
            cx.db.set(task, "progress", 1.0);
            cx.db.set(task, "finished", Value::Date(now));
            cx.db.set(task, "status", if failure.code == "TASK_CANCELLED" { "cancelled" } else { "failure" });
        }
    }
}

fn cancel(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    let task = args.link(0);
    if cx.db.text(task, "status") != "pending" {
        let state = cx.db.text(task, "status").to_string();
        return Err(Failure::new("OPERATION_NOT_ALLOWED", [format!("the task is no longer pending: {state}")]));
    }
    cx.site.cancelled.insert(task);
    cx.db.set(task, "status", "cancelling");
    done()
}

fn destroy(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    // A task that still runs is cancelled, and what it does ends without a record.
    if matches!(cx.db.text(args.link(0), "status"), "pending" | "cancelling") {
        cx.site.cancelled.insert(args.link(0));
    }
    cx.db.destroy(args.link(0));
    done()
}

fn set_progress(cx: &mut Cx<'_>, args: &Args) -> Outcome<Answer> {
    cx.db.set(args.link(0), "progress", args.get(1).clone());
    done()
}
