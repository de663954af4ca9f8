//! The judgement over the values of one case: better, same or worse, in or out of a window.

use super::{Baselines, Earlier, Measurement, Metric, Samples, convert, gather, is_time};
use crate::error::{Blame, Error, Kind};
use crate::event::{Better, Change, Comparison};
use crate::name::CaseId;
use crate::sequence::Window;
use crate::unit::show_number;
use std::collections::HashSet;

/// The part by which a value has to differ to be called another.
const CHANGED: f64 = 0.05;
/// The part by which it has to be worse to fail, where that is asked for.
const FAILED: f64 = 0.10;
/// How likely a difference may be chance to be called a change all the same.
const CHANCE: f64 = 0.01;
/// From how many runs on their means are compared, and not their single values: runs differ more from each other than values within one.
const RUNS: usize = 3;

/// What is to be said of the values of a case.
#[derive(Debug, Default, PartialEq)]
pub struct Findings {
    pub comparisons: Vec<Comparison>,
    /// What could not be compared, a line each.
    pub warnings: Vec<String>,
    /// What fails the case where that is asked for.
    pub too_bad: Vec<String>,
}

impl Findings {
    /// What the case fails with under `PERF_STRICT`.
    pub fn failure(&self) -> Option<Error> {
        let first = self.too_bad.first()?;
        let more = self.too_bad.len() - 1;
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let error = Error::new(Kind::Assertion, format!("{first}{more}")).blame(Blame::Product);
        Some(error.help("it fails because of PERF_STRICT; without that it is a warning"))
    }

    fn add(&mut self, comparison: Comparison, is_too_bad: bool) {
        if is_too_bad {
            self.too_bad.push(format!("{}: {}", comparison.name, comparison.text));
        }
        self.comparisons.push(comparison);
    }
}

impl Baselines {
    /// Compares what a case that passed has measured with everything there is. `testcase` are the names of what it runs, `args` its
    /// arguments as JSON.
    pub fn judge(&self, case: &CaseId, testcase: &[String], args: &str, measured: &[Measurement]) -> Findings {
        let mut findings = Findings::default();
        if self.is_empty() {
            return findings;
        }
        let metrics = gather(measured);
        for window in self.windows(case, testcase) {
            let mut found = metrics.iter().filter(|m| m.name == window.metric).peekable();
            if found.peek().is_none() {
                findings.warnings.push(format!("{}: nothing was measured that could be within {}", window.metric, limits(window)));
            }
            found.for_each(|metric| in_window(metric, window, &mut findings));
        }
        let means: HashSet<&str> =
            metrics.iter().filter(|m| m.samples.count > 1).filter_map(|m| m.name.strip_suffix("_AVG")).collect();
        let mut has_others = false;
        for metric in &metrics {
            let all = self.earlier(case, &metric.name);
            let same: Vec<&Earlier> = all.iter().filter(|e| e.args.as_deref().is_none_or(|a| a == args)).collect();
            has_others |= same.is_empty() && !all.is_empty();
            let is_beside = ["_MIN", "_MAX", "_DEV"].iter().any(|s| metric.name.strip_suffix(s).is_some_and(|n| means.contains(n)));
            // The extremes and the deviation of a list vary by far more than its mean, and nothing tells by how much.
            if !is_beside || same.len() >= RUNS {
                self.compare(metric, &same, &mut findings);
            }
        }
        if has_others {
            let from = self.from();
            findings.warnings.push(format!("not compared with {from}: the values there are of other arguments of this testcase"));
        }
        findings
    }

    fn compare(&self, metric: &Metric, earlier: &[&Earlier], findings: &mut Findings) {
        let converted = |e: &&Earlier| convert(1.0, &e.unit, &metric.unit).map(|factor| e.samples.times(factor));
        let runs: Vec<Samples> = earlier.iter().filter_map(converted).collect();
        if let Some(other) = earlier.iter().find(|e| converted(e).is_none()) {
            let (name, now, then) = (&metric.name, shown_unit(&metric.unit), shown_unit(&other.unit));
            findings.warnings.push(format!("{name}: {now} cannot be compared with {then} of {}", self.from()));
        }
        if runs.is_empty() {
            return;
        }
        let said = earlier.iter().find_map(|e| e.better);
        let better = metric.better.or(said).unwrap_or(if is_time(&metric.unit) { Better::Lower } else { Better::Higher });
        let sides = Sides::of(metric.samples, &runs);
        let (change, worse_by) = sides.judged(better);
        let Sides { now, before, .. } = sides;
        let comparison = Comparison {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            better,
            change,
            now: now.mean,
            samples: metric.samples.count,
            before: before.mean,
            samples_before: before.count,
            against: self.from(),
            text: sides.text(metric, runs.len(), change, worse_by),
        };
        findings.add(comparison, change == Change::Worse && worse_by > FAILED);
    }
}

/// What is compared.
struct Sides {
    now: Samples,
    before: Samples,
    /// How likely it is that the difference is chance, where that can be told.
    chance: Option<f64>,
}

impl Sides {
    fn of(now: Samples, runs: &[Samples]) -> Sides {
        if runs.len() < RUNS {
            let before = Samples::merged(runs.iter().copied());
            return Sides { now, before, chance: now.chance(before) };
        }
        let before = Samples::merged(runs.iter().map(|run| Samples::one(run.mean)));
        Sides { now, before, chance: Samples::one(now.mean).chance(before) }
    }

    /// What became of it, and by which part it is worse; below 0 when it is better.
    fn judged(&self, better: Better) -> (Change, f64) {
        let apart = self.now.mean - self.before.mean;
        let part = if apart == 0.0 { 0.0 } else { apart / self.before.mean.abs() };
        let worse_by = if better == Better::Higher { -part } else { part };
        let is_other = worse_by.abs() >= CHANGED && self.chance.is_none_or(|chance| chance < CHANCE);
        let change = match is_other {
            false => Change::Same,
            true if worse_by > 0.0 => Change::Worse,
            true => Change::Better,
        };
        (change, worse_by)
    }

    fn text(&self, metric: &Metric, runs: usize, change: Change, worse_by: f64) -> String {
        let unit = if metric.unit.is_empty() { String::new() } else { format!(" {}", metric.unit) };
        let values = |count: usize| if count > 1 { format!(" ({count} values)") } else { String::new() };
        let before = if runs > 1 { format!(" ({runs} runs)") } else { values(self.before.count) };
        let numbers = format!("{}{unit}{}, was {}{before}", self.now, values(self.now.count), self.before);
        let way = if worse_by > 0.0 { "worse" } else { "better" };
        let by = if worse_by.is_finite() { format!(" by {}", percent(worse_by)) } else { String::new() };
        match change {
            Change::Same if worse_by.abs() >= CHANGED => format!("{numbers}: {way}{by}, which is within the spread"),
            Change::Same => format!("{numbers}: the same"),
            Change::Better | Change::Worse => format!("{numbers}: {way}{by}"),
        }
    }
}

fn percent(part: f64) -> String {
    let percent = part.abs() * 100.0;
    if percent < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

fn shown_unit(unit: &str) -> &str {
    if unit.trim().is_empty() { "a bare number" } else { unit }
}

fn in_window(metric: &Metric, window: &Window, findings: &mut Findings) {
    let too_small = window.least.filter(|least| metric.least < *least);
    let too_large = window.most.filter(|most| metric.most > *most);
    let (border, value) = match (too_small, too_large) {
        (Some(least), _) => (least, Some(metric.least)),
        (None, Some(most)) => (most, Some(metric.most)),
        (None, None) => (nearer(window, metric.samples.mean), None),
    };
    let unit = if metric.unit.is_empty() { String::new() } else { format!(" {}", metric.unit) };
    let text = match value {
        Some(value) => format!("{}{unit} is not within {}", show_number(value), limits(window)),
        None => format!("{}{unit} is within {}", metric.samples, limits(window)),
    };
    let better = metric.better.unwrap_or(if is_time(&metric.unit) { Better::Lower } else { Better::Higher });
    let change = if value.is_some() { Change::Worse } else { Change::Same };
    let comparison = Comparison {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        better,
        change,
        now: metric.samples.mean,
        samples: metric.samples.count,
        before: border,
        samples_before: 0,
        against: limits(window),
        text,
    };
    findings.add(comparison, value.is_some());
}

fn nearer(window: &Window, value: f64) -> f64 {
    let borders = [window.least, window.most].into_iter().flatten();
    borders.min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs())).unwrap_or_default()
}

fn limits(window: &Window) -> String {
    match (window.least, window.most) {
        (Some(least), Some(most)) => format!("the limits {} to {}", show_number(least), show_number(most)),
        (Some(least), None) => format!("the limit of at least {}", show_number(least)),
        (None, Some(most)) => format!("the limit of at most {}", show_number(most)),
        (None, None) => "no limits".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Spread;
    use proptest::prelude::*;

    fn value(name: &str, value: f64, unit: &str) -> Measurement {
        Measurement { name: name.into(), value, unit: unit.into(), better: None, spread: None }
    }

    /// Baselines with runs of the case `disk/iometer`, each with these values of `rate`.
    fn runs(unit: &str, runs: &[&[f64]]) -> Baselines {
        let mut baselines = Baselines::default();
        baselines.add_source("results/old");
        for values in runs {
            let samples = Samples::merged(values.iter().map(|v| Samples::one(*v)));
            baselines.add("disk/iometer", "rate", Earlier { args: None, unit: unit.into(), better: None, samples });
        }
        baselines
    }

    fn judged(baselines: &Baselines, measured: &[Measurement]) -> Findings {
        baselines.judge(&CaseId::new("disk/iometer"), &["benchmarks/iometer".to_string()], "{}", measured)
    }

    /// What is made of these values, and whether they fail.
    fn said(baselines: &Baselines, values: &[f64], unit: &str) -> String {
        let measured: Vec<Measurement> = values.iter().map(|v| value("rate", *v, unit)).collect();
        let findings = judged(baselines, &measured);
        let [comparison] = &findings.comparisons[..] else { panic!("{findings:?}") };
        assert!(findings.warnings.is_empty(), "{findings:?}");
        format!("{:?}{} {}", comparison.change, if findings.failure().is_some() { "!" } else { "" }, comparison.text)
    }

    #[test]
    fn single_values_are_compared_by_five_percent() {
        let one = runs("MB/s", &[&[450.0]]);
        for (now, unit, expected) in [
            (428.0, "MB/s", "Same 428 MB/s, was 450: the same"),
            (412.0, "MB/s", "Worse 412 MB/s, was 450: worse by 8.4 %"),
            (400.0, "MB/s", "Worse! 400 MB/s, was 450: worse by 11 %"),
            (600.0, "MB/s", "Better 600 MB/s, was 450: better by 33 %"),
            (0.25, "GB/s", "Worse! 0.2500 GB/s, was 0.4395: worse by 43 %"),
            (450.0, "MiB/s", "Same 450 MiB/s, was 450: the same"),
        ] {
            assert_eq!(said(&one, &[now], unit), expected);
        }
        let time = runs("ms", &[&[100.0]]);
        assert_eq!(said(&time, &[0.12], "s"), "Worse! 0.1200 s, was 0.1000: worse by 20 %", "less is better of a time");
        assert_eq!(said(&time, &[0.08], "s"), "Better 0.0800 s, was 0.1000: better by 20 %");
        let zero = runs("", &[&[0.0]]);
        assert_eq!(said(&zero, &[0.0], ""), "Same 0, was 0: the same");
        assert_eq!(said(&zero, &[3.0], ""), "Better 3, was 0: better");
        assert_eq!(said(&zero, &[-3.0], ""), "Worse! -3, was 0: worse");
    }

    #[test]
    fn many_runs_tell_how_far_values_lie_apart_by_themselves() {
        let steady = runs("MB/s", &[&[445.0], &[455.0], &[450.0], &[458.0], &[442.0], &[450.0], &[449.0], &[451.0]]);
        assert_eq!(said(&steady, &[412.0], "MB/s"), "Worse 412 MB/s, was 450 ± 5.07 (8 runs): worse by 8.4 %");
        assert_eq!(said(&steady, &[430.0], "MB/s"), "Same 430 MB/s, was 450 ± 5.07 (8 runs): the same", "sure, and too little");
        let noisy = runs("MB/s", &[&[350.0], &[550.0], &[450.0], &[400.0], &[500.0]]);
        assert_eq!(
            said(&noisy, &[380.0], "MB/s"),
            "Same 380 MB/s, was 450 ± 79.06 (5 runs): worse by 16 %, which is within the spread"
        );
        assert_eq!(said(&noisy, &[20.0], "MB/s"), "Worse! 20 MB/s, was 450 ± 79.06 (5 runs): worse by 96 %");
        // Within a run values lie close together, and the runs lie apart: it is the runs that count.
        let apart = runs("MB/s", &[&[350.0, 351.0, 352.0], &[550.0, 551.0, 552.0], &[450.0, 451.0, 452.0]]);
        assert!(said(&apart, &[380.0, 381.0, 382.0], "MB/s").contains("within the spread"));
        let two = runs("s", &[&[10.0, 11.0, 9.0, 10.5, 9.5], &[10.2, 9.8]]);
        assert_eq!(
            said(&two, &[10.9, 10.1, 11.5, 10.6], "s"),
            "Same 10.78 ± 0.5852 s (4 values), was 10 ± 0.6557 (2 runs): worse by 7.8 %, which is within the spread"
        );
        assert!(said(&two, &[12.9, 13.1, 13.5, 12.6], "s").starts_with("Worse! "));
    }

    #[test]
    fn the_mean_of_a_list_brings_its_spread_along() {
        let list = |mean: f64, deviation: f64| {
            let spread = Some(Spread { samples: 20, deviation });
            let beside = |suffix: &str, v: f64| value(&format!("T{suffix}"), v, "s");
            [
                beside("_MIN", mean / 2.0),
                beside("_MAX", mean * 3.0),
                Measurement { spread, ..value("T_AVG", mean, "s") },
                beside("_DEV", deviation),
            ]
        };
        let mut baselines = Baselines::default();
        for metric in gather(&list(10.0, 1.0)) {
            let Metric { name, unit, better, samples, .. } = metric;
            baselines.add("disk/iometer", &name, Earlier { args: None, unit, better, samples });
        }
        let names = |f: &Findings| f.comparisons.iter().map(|c| (c.name.clone(), c.change)).collect::<Vec<_>>();
        assert_eq!(
            names(&judged(&baselines, &list(10.8, 3.0))),
            [("T_AVG".to_string(), Change::Same)],
            "{:?}",
            judged(&baselines, &list(10.8, 3.0))
        );
        assert_eq!(names(&judged(&baselines, &list(12.0, 1.0))), [("T_AVG".to_string(), Change::Worse)]);
    }

    #[test]
    fn a_script_says_which_way_is_better_and_otherwise_the_earlier_run() {
        let mut baselines = Baselines::default();
        let earlier = Earlier { args: None, unit: String::new(), better: Some(Better::Lower), samples: Samples::one(10.0) };
        baselines.add("disk/iometer", "errors", earlier);
        let change = |better| {
            let findings = judged(&baselines, &[Measurement { better, ..value("errors", 20.0, "") }]);
            findings.comparisons[0].change
        };
        assert_eq!([change(None), change(Some(Better::Higher))], [Change::Worse, Change::Better]);
    }

    #[test]
    fn what_cannot_be_compared_is_told_and_never_judged() {
        let findings = judged(&runs("s", &[&[450.0]]), &[value("rate", 412.0, "MB/s"), value("new", 1.0, "")]);
        assert!(findings.comparisons.is_empty() && findings.failure().is_none());
        assert_eq!(findings.warnings, ["rate: MB/s cannot be compared with s of results/old"]);

        let mut baselines = Baselines::default();
        baselines.add_source("results/old");
        let of = |args: &str| Earlier { args: Some(args.into()), unit: "s".into(), better: None, samples: Samples::one(1.0) };
        baselines.add("disk/iometer", "rate", of(r#"{"size":"1G"}"#));
        let findings = judged(&baselines, &[value("rate", 2.0, "s")]);
        assert_eq!(findings.comparisons, []);
        assert!(findings.warnings[0].contains("the values there are of other arguments"), "{findings:?}");
        baselines.add("disk/iometer", "rate", of("{}"));
        assert_eq!(judged(&baselines, &[value("rate", 2.0, "s")]).comparisons[0].change, Change::Worse);
        assert_eq!(judged(&Baselines::default(), &[value("rate", 2.0, "s")]), Findings::default());
    }

    #[test]
    fn values_have_to_be_in_their_windows() {
        let window = |testcase: &str, least, most| Window { testcase: testcase.into(), metric: "rate".into(), least, most };
        let check = |window: Window, values: &[f64]| {
            let mut baselines = Baselines::default();
            baselines.add_window(window);
            let measured: Vec<Measurement> = values.iter().map(|v| value("rate", *v, "MB/s")).collect();
            let findings = judged(&baselines, &measured);
            let fails = if findings.failure().is_some() { "!" } else { "" };
            let texts = findings.comparisons.iter().map(|c| format!("{:?}{fails} {} ({})", c.change, c.text, c.before));
            texts
                .chain(findings.warnings.iter().filter(|_| findings.comparisons.is_empty()).cloned())
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (window, values, expected) in [
            (window("iometer", Some(3.5), Some(4.5)), &[4.0][..], "Same 4 MB/s is within the limits 3.50 to 4.50 (3.5)"),
            (
                window("disk/iometer", Some(3.5), Some(4.5)),
                &[4.0, 9.0],
                "Worse! 9 MB/s is not within the limits 3.50 to 4.50 (4.5)",
            ),
            (window("benchmarks/iometer", Some(3.5), None), &[3.0], "Worse! 3 MB/s is not within the limit of at least 3.50 (3.5)"),
            (window("iometer", None, Some(2.0)), &[2.0], "Same 2 MB/s is within the limit of at most 2 (2)"),
            (window("iometer", None, Some(2.0)), &[], "rate: nothing was measured that could be within the limit of at most 2"),
            (window("fio", None, Some(2.0)), &[3.0], ""),
        ] {
            assert_eq!(check(window, values), expected);
        }
        let mut baselines = Baselines::default();
        baselines.add_window(window("fio", None, Some(2.0)));
        baselines.add_window(window("iometer", None, Some(2.0)));
        let cases = [(CaseId::new("disk/iometer#2"), vec!["benchmarks.micro.iometer".to_string()])];
        assert_eq!(baselines.idle_windows(&cases).map(|w| w.testcase.as_str()).collect::<Vec<_>>(), ["fio"]);
    }

    #[test]
    fn a_further_case_of_a_name_is_compared_with_the_first() {
        let findings = runs("s", &[&[1.0]]).judge(&CaseId::new("disk/iometer#3"), &[], "{}", &[value("rate", 1.0, "s")]);
        assert_eq!(findings.comparisons.len(), 1);
        assert_eq!(
            runs("s", &[&[1.0]]).judge(&CaseId::new("disk/iometer#x"), &[], "{}", &[value("rate", 1.0, "s")]).comparisons,
            []
        );
    }

    proptest! {
        #[test]
        fn any_numbers_are_judged_soundly(
            before in prop::collection::vec(prop::collection::vec(-1e6..1e6f64, 1..4), 1..6),
            now in prop::collection::vec(-1e6..1e6f64, 1..4),
        ) {
            let slices: Vec<&[f64]> = before.iter().map(Vec::as_slice).collect();
            let text = said(&runs("x", &slices), &now, "x");
            prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            // The same values again are never a change.
            let again: Vec<f64> = before[0].clone();
            prop_assert!(said(&runs("x", &[&again]), &again, "x").starts_with("Same"), "{again:?}");
        }
    }
}
