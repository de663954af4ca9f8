//! Steps, loops, waits, clean-ups and work side by side. These take closures, so they are free functions.

use super::option;
use crate::error::{Blame, Error, Kind};
use crate::event::Level;
use crate::lab::wait::{Look, Patience, until};
use crate::script::Deferred;
use crate::script::case::Case;
use crate::script::failure::{self, Raised, misuse, raise, stopped};
use crate::script::hold::Expected;
use crate::script::{engine, guard, show, trail};
use crate::time::Cancel;
use crate::unit;
use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map};
use std::time::{Duration, Instant};

/// How long `eventually` waits, and how often it looks, when nobody says otherwise.
const EVENTUALLY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What `eventually` takes.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WaitOptions {
    #[serde(deserialize_with = "unit::deserialize_duration")]
    timeout: Option<Duration>,
    #[serde(deserialize_with = "unit::deserialize_duration")]
    every: Option<Duration>,
    desc: Option<String>,
}

/// How many branches `parallel` runs at once at most.
const MOST_BRANCHES: usize = 256;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(flow);

#[export_module(manifest)]
mod flow {
    /// Marks a step in the log, runs it, and gives its value.
    ///
    /// ```rhai
    /// let sum = step("add", || 1 + 1);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn step(call: NativeCallContext, name: &str, body: FnPtr) -> Raised<Dynamic> {
        Case::of(&call)?.context.log(Level::Step, name);
        body.call_within_context(&call, ())
    }

    /// Runs a closure so many times, each marked in the log, and says how many went well. The closure gets the number, from 0.
    ///
    /// ```rhai
    /// repeat(3, |i| { log(`iteration ${i}`); });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn repeat(call: NativeCallContext, count: i64, body: FnPtr) -> Raised<()> {
        let case = Case::of(&call)?;
        let mut done = 0;
        let mut result = Ok(());
        while done < count && result.is_ok() {
            let part = Some(done as f64 / count as f64);
            case.context.progress(None, format!("{done}/{count}"), part);
            case.context.log(Level::Delimiter, format!("iteration {} of {count}", done + 1));
            result = case.context.cancel().check().map_err(|_| stopped(&case.context));
            if result.is_ok() {
                result = call_with_one(&call, &body, done.into()).map(|_| ());
            }
            done += i64::from(result.is_ok());
        }
        case.context.log(Level::Comment, format!("{done}/{count} iterations successful"));
        result
    }

    /// Looks again and again until a closure gives true, at most for a minute.
    ///
    /// ```rhai
    /// let n = 0;
    /// eventually(|| { n += 1; n == 2 });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn eventually(call: NativeCallContext, holds: FnPtr) -> Raised<f64> {
        wait_for(&call, WaitOptions::default(), &holds)
    }

    /// Looks again and again until a closure gives true; gives the seconds it took. An error in the closure means "not yet". When the
    /// time is over the testcase fails, and the message says what was seen last.
    ///
    /// - `timeout`: seconds or a text such as "10m" (default a minute)
    /// - `every`: seconds between two looks (default 0.5)
    /// - `desc`: what is waited for
    ///
    /// ```rhai
    /// let n = 0;
    /// let took = eventually(#{ timeout: "10s", every: 0.01, desc: "n is 3" }, || { n += 1; n == 3 });
    /// ```
    #[rhai_fn(name = "eventually", return_raw)]
    pub fn eventually_with(call: NativeCallContext, options: Map, holds: FnPtr) -> Raised<f64> {
        wait_for(&call, option::read("eventually", options)?, &holds)
    }

    /// Runs a closure and gives the seconds it took.
    ///
    /// ```rhai
    /// let seconds = timed(|| sleep(0.01));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn timed(call: NativeCallContext, body: FnPtr) -> Raised<f64> {
        let clock = Instant::now();
        let _ = body.call_within_context::<Dynamic>(&call, ())?;
        Ok(clock.elapsed().as_secs_f64())
    }

    /// Registers a clean-up. It runs when the testcase ends, also after a failure, a timeout or Ctrl-C; the last registered first.
    ///
    /// ```rhai
    /// defer(|| log("cleaned up"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn defer(call: NativeCallContext, body: FnPtr) -> Raised<()> {
        Case::of(&call)?.defer(Deferred::new(&call, body));
        Ok(())
    }

    /// Runs closures side by side and gives their values in order. All are waited for; then the first error goes on.
    ///
    /// They share the variables around them. Any number of them can use one guest, or the guests of one list or map, at the same time,
    /// as long as none of them changes that list or map. What one of them does change is nobody else's while a method of it runs:
    /// another that needs it for longer than a moment ends with an error.
    ///
    /// ```rhai
    /// let both = parallel([|| 1 + 1, || 2 + 2]);
    /// check(both == [2, 4], "in order");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parallel(call: NativeCallContext, branches: Array) -> Raised<Array> {
        side_by_side(&call, &branches)
    }

    /// Waits until a person lets the testcase go on (`xenrt interact`), or a day is over. No time limit of the testcase runs meanwhile.
    /// At a prompt it does nothing.
    ///
    /// ```rhai
    /// if false { pause_for_human("look at the console of the guest"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn pause_for_human(call: NativeCallContext, reason: &str) -> Raised<()> {
        let case = Case::of(&call)?;
        if let Some(watch) = case.watch.clone() {
            watch.pause(&case, reason);
        }
        case.context.cancel().check().map_err(|_| stopped(&case.context))
    }

    /// Waits for so many seconds. A testcase that is told to stop does not wait on.
    ///
    /// ```rhai
    /// sleep(0.01);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn sleep(call: NativeCallContext, seconds: f64) -> Raised<()> {
        pause(&call, seconds)
    }

    /// Waits for so many whole seconds.
    ///
    /// ```rhai
    /// sleep(0);
    /// ```
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_whole(call: NativeCallContext, seconds: i64) -> Raised<()> {
        pause(&call, seconds as f64)
    }

    /// Gives the controller's time in seconds since 1970.
    ///
    /// ```rhai
    /// let began = now();
    /// ```
    pub fn now() -> f64 {
        crate::time::Timestamp::now().unix()
    }
}

fn pause(call: &NativeCallContext, seconds: f64) -> Raised<()> {
    let case = Case::of(call)?;
    let duration = unit::seconds_to_duration(seconds).map_err(|e| raise(&case.context, &e))?;
    // Short waits are not worth a line in the log.
    let result = if duration < Duration::from_secs(1) {
        case.context.cancel().sleep(duration)
    } else {
        case.context.action(None, &format!("sleep {}", unit::show_duration(duration)), |action| action.sleep(duration))
    };
    result.map_err(|_| stopped(&case.context))
}

/// Calls a closure with an argument, or without when it takes none.
fn call_with_one(call: &NativeCallContext, body: &FnPtr, argument: Dynamic) -> Raised<Dynamic> {
    body.call_raw_with_extra_args(call.fn_name(), call, None, [], [argument], None)
}

fn wait_for(call: &NativeCallContext, options: WaitOptions, holds: &FnPtr) -> Raised<f64> {
    let case = Case::of(call)?;
    let every = options.every.unwrap_or(LOOK_EVERY).max(Duration::from_millis(1));
    let patience = Patience { limit: options.timeout.unwrap_or(EVENTUALLY), first: every, longest: every };
    let what = options.desc.unwrap_or_else(|| "it holds".into());
    let clock = Instant::now();
    let mut skipped = None;
    let mut is_author = false;
    // An error means "not yet", and is nothing to stop at.
    let _expected = Expected::here();
    let look = |_: &Cancel| match holds.call_within_context::<Dynamic>(call, ()) {
        Ok(value) => match value.as_bool() {
            Ok(true) => Ok(Look::Done(())),
            Ok(false) => {
                is_author = false;
                Ok(Look::NotYet("it does not hold".into()))
            }
            Err(_) => {
                let shown = show::value(&value, 100);
                Err(Error::new(Kind::Malformed, format!("the closure of `eventually` gave {shown}, expected true or false")))
            }
        },
        // What does not apply here never will.
        Err(error) if failure::is_skip(&error) => {
            skipped = Some(error);
            Err(Error::new(Kind::Cancelled, "skipped"))
        }
        Err(error) => {
            guard::take_captures();
            is_author = failure::is_mistake(&error);
            Ok(Look::NotYet(text_of(&error)))
        }
    };
    let wait = case
        .context
        .action(None, &format!("wait until {what}"), |action| until(&case.context, action, &format!("`{what}`"), &patience, look));
    if let Some(error) = skipped {
        return Err(error);
    }
    wait.map_err(|e| raise(&case.context, &if is_author { e.blame(Blame::Author) } else { e }))?;
    Ok(clock.elapsed().as_secs_f64())
}

fn text_of(error: &EvalAltResult) -> String {
    match failure::innermost(error) {
        EvalAltResult::ErrorRuntime(value, _) => {
            value.read_lock::<Map>().and_then(|map| map.get("message").map(show::plain)).unwrap_or_else(|| show::value(value, 200))
        }
        other => failure::message(other),
    }
}

/// What a branch left: its value or error, and what the guards wrote down on its thread.
type Branch = (Raised<Dynamic>, Vec<guard::Capture>);

fn side_by_side(call: &NativeCallContext, branches: &Array) -> Raised<Array> {
    let case = Case::of(call)?;
    if branches.len() > MOST_BRANCHES {
        return Err(misuse(format!("`parallel` got {} closures, at most {MOST_BRANCHES} can run at once", branches.len()), None));
    }
    let mut bodies = Vec::new();
    for branch in branches {
        let Some(body) = branch.clone().try_cast::<FnPtr>() else {
            return Err(misuse(
                format!("`parallel` takes a list of closures, got {}", show::value(branch, 60)),
                Some("parallel([|| a(), || b()])".into()),
            ));
        };
        bodies.push(body);
    }
    let (above, is_expected, cancel) = (trail::here(), Expected::is_any(), case.context.cancel());
    let run = &|number: usize, body: &FnPtr| -> Branch {
        let _expected = is_expected.then(Expected::here);
        let work = || case.context.stopped_by(&cancel, || body.call_within_context::<Dynamic>(call, ()));
        let result = case.trails.along(&format!("branch {}", number + 1), above.clone(), "", work);
        (result, guard::take_captures())
    };
    let done: Vec<Branch> = std::thread::scope(|scope| {
        let threads: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(i, body)| {
                std::thread::Builder::new()
                    .name(format!("branch {i}"))
                    .stack_size(engine::STACK)
                    .spawn_scoped(scope, move || run(i, body))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(branch)) => branch,
                Ok(Err(_)) => (Err(raise(&case.context, &Error::new(Kind::Internal, "a branch panicked"))), Vec::new()),
                Err(e) => {
                    (Err(raise(&case.context, &Error::new(Kind::Internal, format!("no thread for a branch: {e}")))), Vec::new())
                }
            })
            .collect()
    });
    let mut values = Array::new();
    let mut first: Option<(Box<EvalAltResult>, Vec<guard::Capture>)> = None;
    for (number, (result, captures)) in done.into_iter().enumerate() {
        match result {
            Ok(value) => values.push(value),
            Err(error) if first.is_none() => first = Some((error, captures)),
            // What does not apply in one branch hides no failure of another.
            Err(error) if first.as_ref().is_some_and(|(e, _)| failure::is_skip(e)) && !failure::is_skip(&error) => {
                first = Some((error, captures));
            }
            Err(error) => case.context.log(Level::Reason, format!("branch {} failed too: {}", number + 1, text_of(&error))),
        }
    }
    match first {
        None => Ok(values),
        Some((error, captures)) => {
            guard::put_captures(captures);
            Err(error)
        }
    }
}
