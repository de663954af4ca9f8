//! Measured values, judgements and subcases.

use super::option;
use crate::error::Blame;
use crate::event::{Better, Outcome, Spread};
use crate::metric::Measurement;
use crate::script::case::Case;
use crate::script::failure::{Ended, Raised, judge, judged, misuse, skip as skipping};
use crate::script::hold::is_unwinding;
use rhai::plugin::*;
use rhai::{Array, Dynamic, FnPtr, Map};
use serde::Deserialize;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(result);

#[export_module(manifest)]
mod result {
    /// Ends the testcase as failed: the product is at fault.
    ///
    /// ```rhai
    /// if 1 + 1 != 2 { fail("arithmetic is broken"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fail(reason: &str) -> Raised<Dynamic> {
        Err(judged(Blame::Product, reason, &Dynamic::UNIT))
    }

    /// Ends the testcase as failed, with more to show: an output, a list.
    ///
    /// ```rhai
    /// if 1 + 1 != 2 { fail("arithmetic is broken", "1 + 1 gave something else"); }
    /// ```
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail_with(reason: &str, data: Dynamic) -> Raised<Dynamic> {
        Err(judged(Blame::Product, reason, &data))
    }

    /// Ends the testcase as errored: it cannot be judged, because something around it is wrong.
    ///
    /// ```rhai
    /// if guests().len() == 0 { error("no machine to test"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn error(reason: &str) -> Raised<Dynamic> {
        Err(judged(Blame::Lab, reason, &Dynamic::UNIT))
    }

    /// Ends the testcase as errored, with more to show.
    ///
    /// ```rhai
    /// if guests().len() == 0 { error("no machine to test", "the command line has no --guest"); }
    /// ```
    #[rhai_fn(name = "error", return_raw)]
    pub fn error_with(reason: &str, data: Dynamic) -> Raised<Dynamic> {
        Err(judged(Blame::Lab, reason, &data))
    }

    /// Ends the testcase (or the subcase) as skipped: it does not apply here.
    ///
    /// ```rhai
    /// if guests().len() > 1000 { skip("needs a small lab"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn skip(reason: &str) -> Raised<Dynamic> {
        Err(skipping(reason))
    }

    /// Says that the result is at best partial: it ran, but something secondary went wrong. The testcase goes on.
    ///
    /// ```rhai
    /// partial("only an estimate: the tool could not warm up");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn partial(call: NativeCallContext, reason: &str) -> Raised<()> {
        Case::of(&call)?.set_partial(reason);
        Ok(())
    }

    /// Fails the testcase unless a condition holds.
    ///
    /// ```rhai
    /// check(2 > 1, "numbers are ordered");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn check(holds: bool, what: &str) -> Raised<()> {
        if holds { Ok(()) } else { Err(judged(Blame::Product, &format!("does not hold: {what}"), &Dynamic::UNIT)) }
    }

    /// Tells whether the testcase has passed, or would if it ended now. For `post_run` and clean-ups.
    ///
    /// ```rhai
    /// if !passed() { log("keeping the guest as it is"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn passed(call: NativeCallContext) -> Raised<bool> {
        Ok(Case::of(&call)?.is_passing())
    }

    /// Records a measured value with its unit. Beside earlier values, less is better of a time and more of anything else.
    ///
    /// ```rhai
    /// value("throughput", 812.5, "MiB/s");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn value(call: NativeCallContext, name: &str, number: Dynamic, unit: &str) -> Raised<()> {
        measured(&call, name, &number, unit, &ValueOptions::default())
    }

    /// Records a measured value with its unit, and which way it is better.
    ///
    /// - `better`: "higher" or "lower" (default: "lower" for a time, "higher" for anything else)
    ///
    /// ```rhai
    /// value("retransmits", 12, "1/s", #{ better: "lower" });
    /// ```
    #[rhai_fn(name = "value", return_raw)]
    pub fn value_with(call: NativeCallContext, name: &str, number: Dynamic, unit: &str, options: Map) -> Raised<()> {
        measured(&call, name, &number, unit, &option::read("value", options)?)
    }

    /// Records a measured value without a unit.
    ///
    /// ```rhai
    /// value("retries", 3);
    /// ```
    #[rhai_fn(name = "value", return_raw)]
    pub fn value_bare(call: NativeCallContext, name: &str, number: Dynamic) -> Raised<()> {
        measured(&call, name, &number, "", &ValueOptions::default())
    }

    /// Records a list of measurements as `_MIN`, `_MAX`, `_AVG` and `_DEV` (standard deviation). An empty list is an error.
    ///
    /// ```rhai
    /// values("REBOOT", [31.2, 30.8, 33.0], "s");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn values(call: NativeCallContext, prefix: &str, numbers: Array, unit: &str) -> Raised<()> {
        many_measured(&call, prefix, numbers, unit, &ValueOptions::default())
    }

    /// Records a list of measurements, and which way they are better.
    ///
    /// - `better`: as in `value`
    ///
    /// ```rhai
    /// values("QUEUE", [4, 6, 5], "", #{ better: "lower" });
    /// ```
    #[rhai_fn(name = "values", return_raw)]
    pub fn values_with(call: NativeCallContext, prefix: &str, numbers: Array, unit: &str, options: Map) -> Raised<()> {
        many_measured(&call, prefix, numbers, unit, &option::read("values", options)?)
    }

    /// Gives `#{ count, min, max, avg, dev, median }` of a list of numbers.
    ///
    /// ```rhai
    /// let s = stats([1, 2, 3, 4]);
    /// check(s.median == 2.5, "the median is in the middle");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn stats(numbers: Array) -> Raised<Map> {
        let mut all = numbers.iter().map(|n| number_of("stats", n)).collect::<Raised<Vec<f64>>>()?;
        if all.is_empty() {
            return Err(misuse("no numbers to take statistics of", None));
        }
        all.sort_by(f64::total_cmp);
        let count = all.len() as f64;
        let avg = all.iter().sum::<f64>() / count;
        let dev = (all.iter().map(|n| (n - avg).powi(2)).sum::<f64>() / count).sqrt();
        let median = f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2]);
        let pairs = [("min", all[0]), ("max", all[all.len() - 1]), ("avg", avg), ("dev", dev), ("median", median)];
        let mut map: Map = pairs.into_iter().map(|(key, n)| (key.into(), n.into())).collect();
        map.insert("count".into(), (all.len() as i64).into());
        Ok(map)
    }

    /// Runs a part of the testcase that has a result of its own, and gives the name of its outcome. An error inside ends the
    /// subcase, not the testcase.
    ///
    /// ```rhai
    /// let outcome = subtest("disk", "is writable", || { log("writing"); });
    /// check(outcome == "passed", "the disk is writable");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn subtest(call: NativeCallContext, group: &str, name: &str, body: FnPtr) -> Raised<String> {
        run_subcase(&call, group, name, &body)
    }

    /// Runs a subcase without a group.
    ///
    /// ```rhai
    /// subtest("answers", || { check(target().name != "", "it has a name"); });
    /// ```
    #[rhai_fn(name = "subtest", return_raw)]
    pub fn subtest_ungrouped(call: NativeCallContext, name: &str, body: FnPtr) -> Raised<String> {
        run_subcase(&call, "", name, &body)
    }

    /// Announces a subcase, so that an early end shows that it never ran.
    ///
    /// ```rhai
    /// declare("disk", "survives a reboot");
    /// set_subtest("disk", "survives a reboot", "passed");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn declare(call: NativeCallContext, group: &str, name: &str) -> Raised<()> {
        let case = Case::of(&call)?;
        case.count()?;
        case.declare(group, name);
        Ok(())
    }

    /// Sets the result of a subcase that a tool judged: `passed`, `partial`, `failed`, `errored` or `skipped`.
    ///
    /// ```rhai
    /// set_subtest("ltp", "fork01", "passed");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn set_subtest(call: NativeCallContext, group: &str, name: &str, outcome: &str) -> Raised<()> {
        record(&call, group, name, outcome, "")
    }

    /// Sets the result of a subcase, with the reason.
    ///
    /// ```rhai
    /// set_subtest("ltp", "fork02", "skipped", "needs two CPUs");
    /// ```
    #[rhai_fn(name = "set_subtest", return_raw)]
    pub fn set_subtest_with(call: NativeCallContext, group: &str, name: &str, outcome: &str, reason: &str) -> Raised<()> {
        record(&call, group, name, outcome, reason)
    }
}

/// What a script may say of a value.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ValueOptions {
    better: Option<Better>,
}

fn measured(call: &NativeCallContext, name: &str, number: &Dynamic, unit: &str, options: &ValueOptions) -> Raised<()> {
    let value = number_of(name, number)?;
    record_value(call, Measurement { name: name.into(), value, unit: unit.into(), better: options.better, spread: None })
}

fn many_measured(call: &NativeCallContext, prefix: &str, numbers: Array, unit: &str, options: &ValueOptions) -> Raised<()> {
    let samples = numbers.len();
    let stats = result::stats(numbers)?;
    let number = |key: &str| number_of(prefix, stats.get(key).unwrap_or(&Dynamic::UNIT));
    // Of the samples, where `_DEV` is the deviation of just these.
    let deviation = number("dev")? * (samples as f64 / (samples.max(2) - 1) as f64).sqrt();
    for (suffix, key) in [("_MIN", "min"), ("_MAX", "max"), ("_AVG", "avg"), ("_DEV", "dev")] {
        // Whatever is measured: to be steady is better.
        let better = if key == "dev" { Some(Better::Lower) } else { options.better };
        let spread = (key == "avg" && samples > 1).then_some(Spread { samples, deviation });
        let name = format!("{prefix}{suffix}");
        record_value(call, Measurement { name, value: number(key)?, unit: unit.into(), better, spread })?;
    }
    Ok(())
}

fn record_value(call: &NativeCallContext, measurement: Measurement) -> Raised<()> {
    let case = Case::of(call)?;
    case.count()?;
    case.measured(measurement);
    Ok(())
}

/// A number that is to be recorded: one that is not finite would hide that a measurement failed.
fn number_of(name: &str, value: &Dynamic) -> Raised<f64> {
    let number = value.as_float().ok().or_else(|| value.as_int().ok().map(|n| n as f64));
    number.filter(|n| n.is_finite()).ok_or_else(|| {
        let shown = crate::script::show::value(value, 60);
        misuse(format!("`{name}` is {shown}, expected a finite number"), Some("to_number(text) makes a number of a text".into()))
    })
}

fn run_subcase(call: &NativeCallContext, group: &str, name: &str, body: &FnPtr) -> Raised<String> {
    let case = Case::of(call)?;
    case.count()?;
    case.context.log(crate::event::Level::Step, if group.is_empty() { name.to_string() } else { format!("{group}: {name}") });
    let clock = std::time::Instant::now();
    let result = body.call_within_context::<Dynamic>(call, ());
    let took = clock.elapsed().as_secs_f64();
    let ended = match result {
        Ok(_) => Ended { outcome: Outcome::Passed, reason: String::new(), failure: None },
        // Told to stop, or begun anew: the subcase is cut short with its testcase, and so has no result that is its own.
        Err(error) if case.context.cancel().is_raised() || is_unwinding(&error) => {
            case.declare(group, name);
            return Err(error);
        }
        Err(error) => judge(&case.context, &error, &|source| case.scripts.text(source)),
    };
    let word = ended.outcome.word();
    case.finish_subcase(group, name, took, ended);
    Ok(word.into())
}

fn record(call: &NativeCallContext, group: &str, name: &str, outcome: &str, reason: &str) -> Raised<()> {
    let words = [Outcome::Passed, Outcome::Partial, Outcome::Failed, Outcome::Errored, Outcome::Skipped].map(Outcome::word);
    let Some(outcome) = Outcome::from_word(outcome).filter(|_| words.contains(&outcome)) else {
        return Err(misuse(format!("`{outcome}` is no result of a subcase"), crate::name::did_you_mean(outcome, words)));
    };
    let case = Case::of(call)?;
    case.count()?;
    case.finish_subcase(group, name, 0.0, Ended { outcome, reason: reason.into(), failure: None });
    Ok(())
}
