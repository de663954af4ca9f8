//! Which testcases are run: by name, group, SKU, type, priority, or an expression over all of these.
//!
//! Clean-ups and actions are exempt; whoever asks about them has already gone wrong.
//!
//! # Source
//! The original's filters, exactly: any filter that runs something leaves out everything else, and then what skips is not looked at; a
//! priority leaves out only testcases that have one.

use super::only::Only;
use crate::error::{Blame, Error, Kind, Result};
use crate::name::did_you_mean;
use crate::vars::{Layer, Variables};
use std::fmt;

/// What a command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub only: Vec<String>,
    pub skip: Vec<String>,
    pub run: Vec<String>,
    pub skip_group: Vec<String>,
    pub run_group: Vec<String>,
    pub skip_sku: Vec<String>,
    pub run_sku: Vec<String>,
    pub skip_type: Vec<String>,
    pub priority: Option<u32>,
}

/// What a testcase can be chosen by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// Unique in the run.
    pub id: &'a str,
    pub group: &'a str,
    /// Its name in its group; several may have the same.
    pub name: &'a str,
    /// The testcase that it is ("benchmarks/iometer").
    pub testcase: &'a str,
    pub tags: &'a [String],
    pub tc: Option<&'a str>,
    pub sku: Option<&'a str>,
    pub ttype: Option<&'a str>,
    pub priority: Option<u32>,
}

/// Which testcases are run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    only: Vec<Only>,
    rules: Vec<Rule>,
    priority: Option<Limit>,
    /// Whether everything is left out that no rule runs.
    is_run_only: bool,
}

/// Skips or runs what has a name.
#[derive(Clone, Debug)]
struct Rule {
    runs: bool,
    what: What,
    value: String,
    asked: How,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Test,
    Group,
    Sku,
    Type,
}

/// Where something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By this option.
    Option(&'static str),
    /// By a variable with this at its beginning.
    Variable(&'static str),
}

#[derive(Clone, Debug)]
struct Limit {
    highest: u32,
    asked: How,
}

/// The variables that filter, by their beginning: whether it runs, and what it looks at.
///
/// # Source
/// The original's command line and its job variables; elsewhere a variable of such a name is only a variable.
const VARIABLES: &[(&str, bool, What)] = &[
    ("RUNGROUP_", true, What::Group),
    ("RUNG_", true, What::Group),
    ("RUNSKU_", true, What::Sku),
    ("RUN_", true, What::Test),
    ("SKIPGROUP_", false, What::Group),
    ("SKIPG_", false, What::Group),
    ("SKIPSKU_", false, What::Sku),
    ("SKIPTYPE_", false, What::Type),
    ("SKIPT_", false, What::Type),
    ("SKIP_", false, What::Test),
];

/// A filter that does nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Whether it must be a mistake: it stands on this command line. A variable may be meant for another sequence of the same job.
    pub is_error: bool,
    pub what: String,
    pub help: Option<String>,
}

impl Filter {
    /// The filter of options and of the variables that a command line or a job set.
    ///
    /// # Errors
    /// `Malformed`: an expression or a number that cannot be read.
    pub fn new(asked: &Asked, variables: &Variables) -> Result<Filter> {
        let mut rules = Vec::new();
        for (runs, what, option, values) in [
            (true, What::Test, "--run", &asked.run),
            (true, What::Group, "--rungroup", &asked.run_group),
            (true, What::Sku, "--runsku", &asked.run_sku),
            (false, What::Test, "--skip", &asked.skip),
            (false, What::Group, "--skipgroup", &asked.skip_group),
            (false, What::Sku, "--skipsku", &asked.skip_sku),
            (false, What::Type, "--skiptype", &asked.skip_type),
        ] {
            rules.extend(values.iter().map(|value| Rule { runs, what, value: value.clone(), asked: How::Option(option) }));
        }
        rules.extend(variables.names().filter_map(|name| by_variable(name, given(variables, name)?)));
        let priority = match asked.priority {
            Some(highest) => Some(Limit { highest, asked: How::Option("--priority") }),
            None => threshold(variables)?,
        };
        let is_run_only = variables.boolean("SKIPALL")?.unwrap_or_else(|| rules.iter().any(|rule| rule.runs));
        let only = asked.only.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        Ok(Filter { only, rules, priority, is_run_only })
    }

    /// Why a testcase is left out, if it is.
    pub fn leaves_out(&self, case: &Named<'_>) -> Option<String> {
        if !self.only.is_empty() && !self.only.iter().any(|only| only.takes(case)) {
            let all: Vec<String> = self.only.iter().map(|only| format!("--only '{only}'")).collect();
            return Some(format!("not selected by {}", listed(&all)));
        }
        let by = |runs: bool| self.rules.iter().find(|rule| rule.runs == runs && rule.names(case));
        let is_run = by(true).is_some();
        if self.is_run_only && !is_run {
            let all: Vec<String> = self.rules.iter().filter(|rule| rule.runs).map(Rule::to_string).collect();
            return Some(if all.is_empty() { "SKIPALL is set".into() } else { format!("not selected by {}", listed(&all)) });
        }
        if let Some(rule) = by(false).filter(|_| !self.is_run_only) {
            return Some(format!("left out by {rule}"));
        }
        match (&self.priority, case.priority) {
            (Some(limit), Some(own)) if own > limit.highest && !is_run => Some(format!("priority {own} is left out by {limit}")),
            _ => None,
        }
    }

    /// The filters that touch none of these testcases, or are not looked at. `exempt` names what filters never touch.
    pub fn idle(&self, cases: &[Named<'_>], exempt: &[Named<'_>]) -> Vec<Idle> {
        let mut idle = Vec::new();
        for rule in &self.rules {
            if !cases.iter().any(|case| rule.names(case)) {
                let help = if exempt.iter().any(|case| rule.names(case)) {
                    Some("it names a clean-up, and no filter leaves those out but --no-finally".to_string())
                } else {
                    rule.nearest(cases)
                };
                let is_error = matches!(rule.asked, How::Option(_));
                idle.push(Idle { is_error, what: format!("`{rule}` names {} here", rule.what.nothing()), help });
            } else if self.is_run_only && !rule.runs {
                let what = format!("`{rule}` is not looked at, because only what something else names is run");
                idle.push(Idle { is_error: false, what, help: None });
            }
        }
        for only in &self.only {
            idle.extend(only.idle(cases).into_iter().map(|(what, help)| Idle { is_error: true, what, help }));
        }
        idle
    }
}

impl Rule {
    fn names(&self, case: &Named<'_>) -> bool {
        let value = self.value.as_str();
        match self.what {
            What::Test => is_called(case, value),
            What::Group => case.group == value && !value.is_empty(),
            What::Sku => case.sku == Some(value),
            What::Type => case.ttype == Some(value),
        }
    }

    /// What there is of the sort that it looks at.
    fn nearest(&self, cases: &[Named<'_>]) -> Option<String> {
        let mut all: Vec<String> = match self.what {
            What::Test if self.value.contains('/') => cases.iter().map(full_name).collect(),
            What::Test => {
                cases.iter().flat_map(|case| [case.name.to_string()].into_iter().chain(case.tc.map(without_dash))).collect()
            }
            What::Group => cases.iter().map(|case| case.group.to_string()).collect(),
            What::Sku => cases.iter().filter_map(|case| case.sku.map(str::to_string)).collect(),
            What::Type => cases.iter().filter_map(|case| case.ttype.map(str::to_string)).collect(),
        };
        all.retain(|name| !name.is_empty());
        all.sort();
        all.dedup();
        did_you_mean(&self.value, all.iter().map(String::as_str))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked {
            How::Option(option) => write!(f, "{option} {}", self.value),
            How::Variable(name) => write!(f, "-D {name}{}=yes", self.value),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked {
            How::Option(option) => write!(f, "{option} {}", self.highest),
            How::Variable(name) => write!(f, "-D {name}={}", self.highest),
        }
    }
}

impl What {
    fn nothing(self) -> &'static str {
        match self {
            What::Test => "no testcase",
            What::Group => "no group of testcases",
            What::Sku => "no SKU of a testcase",
            What::Type => "no type of a testcase",
        }
    }
}

/// Whether a testcase is meant by a name: `group/name`, the name alone, its unique id, or its ticket with or without the dash.
fn is_called(case: &Named<'_>, name: &str) -> bool {
    let full = full_name(case);
    let bare = full.rsplit('/').next();
    let tickets = || case.tc.is_some_and(|tc| tc == name || without_dash(tc) == name);
    [case.id, case.name, full.as_str()].contains(&name) || bare == Some(name) || tickets()
}

fn full_name(case: &Named<'_>) -> String {
    if case.group.is_empty() { case.name.to_string() } else { format!("{}/{}", case.group, case.name) }
}

fn without_dash(tc: &str) -> String {
    tc.replace('-', "")
}

/// Some of many, for one line.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 3;
    match all.len() {
        0..=SHOWN => all.join(", "),
        more => format!("{}, and {} more", all[..SHOWN].join(", "), more - SHOWN),
    }
}

/// The value that a command line or a job gave a variable.
fn given<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    let given = variables.history(name).filter(|(layer, _)| matches!(layer, Layer::Job | Layer::Flag));
    given.last().map(|(_, setting)| setting.value.as_str())
}

fn by_variable(name: &str, value: &str) -> Option<Rule> {
    let (prefix, runs, what) = *VARIABLES.iter().find(|(prefix, ..)| name.starts_with(prefix)).filter(|_| value == "yes")?;
    let value = name[prefix.len()..].to_string();
    (!value.is_empty()).then_some(Rule { runs, what, value, asked: How::Variable(prefix) })
}

fn threshold(variables: &Variables) -> Result<Option<Limit>> {
    let Some(text) = given(variables, "PRIORITY").filter(|text| !text.is_empty()) else { return Ok(None) };
    let highest = text.trim().parse().map_err(|_| {
        let error = Error::new(Kind::Malformed, format!("the variable `PRIORITY` is `{text}`, expected a whole number"));
        error.blame(Blame::User).help("-D PRIORITY=2 runs what has priority 1 or 2, or none")
    })?;
    Ok(Some(Limit { highest, asked: How::Variable("PRIORITY") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The testcases that all of these are about.
    fn cases() -> Vec<Named<'static>> {
        let case = |id: &'static str, group, name| Named { id, group, name, testcase: "dummy/sleep", ..Named::default() };
        vec![
            Named { priority: Some(1), tc: Some("TC-1234"), ..case("disk/TCa", "disk", "TCa") },
            Named { priority: Some(3), sku: Some("pv"), ..case("disk/TCb", "disk", "TCb") },
            Named { ttype: Some("slow"), ..case("TCc", "", "TCc") },
            Named { sku: Some("pv"), ..case("net/TCa", "net", "TCa") },
        ]
    }

    fn filter(words: &str, settings: &[(Layer, &str, &str)]) -> Result<Filter> {
        let mut asked = Asked::default();
        for word in words.split_whitespace() {
            let (option, value) = word.split_once('=').unwrap();
            let list = match option {
                "only" => &mut asked.only,
                "skip" => &mut asked.skip,
                "run" => &mut asked.run,
                "skipgroup" => &mut asked.skip_group,
                "rungroup" => &mut asked.run_group,
                "skipsku" => &mut asked.skip_sku,
                "runsku" => &mut asked.run_sku,
                "skiptype" => &mut asked.skip_type,
                _ => {
                    asked.priority = value.parse().ok();
                    continue;
                }
            };
            list.push(value.into());
        }
        let mut variables = Variables::default();
        for (layer, name, value) in settings {
            variables.set(*layer, name, *value).unwrap();
        }
        Filter::new(&asked, &variables)
    }

    #[track_caller]
    fn check(words: &str, settings: &[(Layer, &str, &str)], expected: &[&str]) {
        let filter = filter(words, settings).unwrap();
        let said: Vec<String> = cases()
            .iter()
            .map(|case| format!("{}: {}", case.id, filter.leaves_out(case).unwrap_or_else(|| "runs".into())))
            .collect();
        assert_eq!(said, expected, "{words} {settings:?}");
    }

    #[test]
    fn skipping_by_every_sort_of_name() {
        let rows: &[(&str, [bool; 4])] = &[
            ("", [true, true, true, true]),
            ("skip=TCa", [false, true, true, false]),
            ("skip=disk/TCa", [false, true, true, true]),
            ("skip=TC1234", [false, true, true, true]),
            ("skip=TC-1234", [false, true, true, true]),
            ("skip=TCc", [true, true, false, true]),
            ("skip=tca", [true, true, true, true]),
            ("skip=disk", [true, true, true, true]),
            ("skipgroup=disk", [false, false, true, true]),
            ("skipsku=pv", [true, false, true, false]),
            ("skiptype=slow", [true, true, false, true]),
            ("skip=TCa skipsku=pv", [false, false, true, false]),
            ("run=TCa", [true, false, false, true]),
            ("run=TC1234 run=TCc", [true, false, true, false]),
            ("rungroup=net", [false, false, false, true]),
            ("runsku=pv run=TCc", [false, true, true, true]),
            // What skips is not looked at when something runs.
            ("run=TCa skip=disk/TCa", [true, false, false, true]),
            // A priority touches only those that have one, and not what is named to be run.
            ("priority=2", [true, false, true, true]),
            ("priority=0", [false, false, true, true]),
            ("priority=2 run=TCb", [false, true, false, false]),
            ("only=disk/*", [true, true, false, false]),
            ("only=TCb only=TCc", [false, true, true, false]),
            ("only=disk/* skip=TCb", [true, false, false, false]),
        ];
        for (words, expected) in rows {
            let filter = filter(words, &[]).unwrap();
            let runs: Vec<bool> = cases().iter().map(|case| filter.leaves_out(case).is_none()).collect();
            assert_eq!(runs, expected, "{words}");
        }
    }

    #[test]
    fn variables_filter_when_a_command_line_or_a_job_sets_them_to_yes() {
        use Layer::{Environment, Flag, Job, Sequence};
        type Row<'a> = (&'a [(Layer, &'a str, &'a str)], [bool; 4]);
        let rows: &[Row<'_>] = &[
            (&[(Flag, "SKIP_TCa", "yes")], [false, true, true, false]),
            (&[(Flag, "SKIP_disk/TCa", "yes")], [false, true, true, true]),
            (&[(Flag, "SKIP_TCa", "no"), (Flag, "SKIP_TCb", "true")], [true, true, true, true]),
            (&[(Job, "SKIPG_disk", "yes"), (Flag, "SKIPTYPE_slow", "yes")], [false, false, false, true]),
            (&[(Flag, "SKIPGROUP_disk", "yes"), (Flag, "SKIPT_slow", "yes")], [false, false, false, true]),
            (&[(Flag, "SKIPSKU_pv", "yes")], [true, false, true, false]),
            (&[(Flag, "RUN_TC1234", "yes"), (Flag, "RUNG_net", "yes")], [true, false, false, true]),
            (&[(Flag, "RUNGROUP_net", "yes"), (Flag, "RUNSKU_pv", "yes")], [false, true, false, true]),
            (&[(Flag, "PRIORITY", "2")], [true, false, true, true]),
            (&[(Flag, "SKIPALL", "yes")], [false, false, false, false]),
            (&[(Sequence, "SKIPALL", "yes"), (Flag, "RUN_TCc", "yes")], [false, false, true, false]),
            // Defined otherwise, it is not set by what runs.
            (&[(Flag, "SKIPALL", "no"), (Flag, "RUN_TCc", "yes"), (Flag, "SKIP_TCb", "yes")], [true, false, true, true]),
            (&[(Sequence, "SKIP_TCa", "yes"), (Environment, "RUN_TCa", "yes"), (Sequence, "PRIORITY", "2")], [true; 4]),
        ];
        for (settings, expected) in rows {
            let filter = filter("", settings).unwrap();
            let runs: Vec<bool> = cases().iter().map(|case| filter.leaves_out(case).is_none()).collect();
            assert_eq!(runs, expected, "{settings:?}");
        }
        assert!(filter("", &[(Flag, "PRIORITY", "high")]).unwrap_err().what.contains("`PRIORITY` is `high`"));
        assert!(filter("", &[(Flag, "SKIPALL", "perhaps")]).is_err());
    }

    #[test]
    fn the_reason_names_the_filter() {
        let none = &[];
        check(
            "skip=TCa priority=2 skiptype=slow",
            none,
            &[
                "disk/TCa: left out by --skip TCa",
                "disk/TCb: priority 3 is left out by --priority 2",
                "TCc: left out by --skiptype slow",
                "net/TCa: left out by --skip TCa",
            ],
        );
        let not = "not selected by --run TCb, --rungroup net, -D RUN_TCc=yes";
        let first = format!("disk/TCa: {not}");
        check(
            "run=TCb rungroup=net",
            &[(Layer::Flag, "RUN_TCc", "yes")],
            &[&first, "disk/TCb: runs", "TCc: runs", "net/TCa: runs"],
        );
        check(
            "only=TCb",
            none,
            &[
                "disk/TCa: not selected by --only 'TCb'",
                "disk/TCb: runs",
                "TCc: not selected by --only 'TCb'",
                "net/TCa: not selected by --only 'TCb'",
            ],
        );
    }

    #[test]
    fn what_names_nothing_is_told_with_the_nearest_name() {
        let idle = |words: &str, settings: &[(Layer, &str, &str)]| -> Vec<String> {
            let exempt = [Named { id: "TCend", name: "TCend", ..Named::default() }];
            let all = filter(words, settings).unwrap().idle(&cases(), &exempt);
            let word = |is_error: bool| if is_error { "error" } else { "warning" };
            all.into_iter().map(|i| format!("{}: {} / {}", word(i.is_error), i.what, i.help.unwrap_or_default())).collect()
        };
        assert_eq!(idle("skip=TCa skipgroup=net run=TCb", &[]).len(), 2, "not looked at");
        assert_eq!(idle("skip=disk/TCx", &[]), ["error: `--skip disk/TCx` names no testcase here / did you mean `disk/TCa`?"]);
        assert_eq!(idle("rungroup=dsk", &[]), ["error: `--rungroup dsk` names no group of testcases here / did you mean `disk`?"]);
        assert_eq!(
            idle("", &[(Layer::Flag, "SKIP_TC1243", "yes")]),
            ["warning: `-D SKIP_TC1243=yes` names no testcase here / did you mean `TC1234`?"]
        );
        let cleanup = "it names a clean-up, and no filter leaves those out but --no-finally";
        assert_eq!(idle("skip=TCend", &[]), [format!("error: `--skip TCend` names no testcase here / {cleanup}")]);
        assert_eq!(
            idle("only=tag:smoke only=!TCaa", &[]),
            [
                "error: `--only 'tag:smoke'` matches no testcase here / ",
                "error: `TCaa` of `--only '!TCaa'` matches no testcase here / did you mean `TCa`?",
            ]
        );
    }
}
