//! The command line of a past run, with what is given beside it put over it.

use crate::error::{Blame, Error, Kind, Result};
use crate::secret::MASK;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::{BTreeMap, BTreeSet};

/// What a past run was told: its command line, and what the environment set.
pub struct Told<'a> {
    pub words: &'a [String],
    pub environment: &'a BTreeMap<String, String>,
    /// Options that are forgotten, unless they are given now.
    pub forgotten: &'a [&'a str],
}

/// The command line of a past run with the options `given` now: they win. An option that may be repeated takes the place of all that
/// were recorded, but for `-D`, where each name has its own place, and `--report`, where each kind has. `-C` says only where the other
/// words of today begin.
///
/// What the environment set for options is on the command line too, so that the environment of today does not count.
///
/// # Errors
/// `Malformed`: the recorded command line is none; secrets, which were not written down, are not among what is given.
pub fn merged(command: &Command, told: &Told, given: &ArgMatches, not: &[&str]) -> Result<Vec<String>> {
    let plain = deaf(command);
    let recorded = plain.clone().try_get_matches_from(told.words).map_err(|e| {
        let text = e.to_string();
        let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string();
        let what = format!("this xrt does not understand the command line of that run: {why}");
        Error::new(Kind::Malformed, what).blame(Blame::User)
    })?;
    let is_given = |arg: &Arg| given.value_source(name_of(arg)) == Some(ValueSource::CommandLine) && name_of(arg) != "changedir";
    let (all_given, others): (Vec<&Arg>, Vec<&Arg>) = plain.get_arguments().partition(|arg| is_given(arg));
    let conflict = |one: &Arg, other: &Arg| plain.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id());
    let is_in_the_way = |other: &&&Arg| all_given.iter().any(|one| conflict(one, other) || conflict(other, one));
    let in_the_way: BTreeSet<&str> = others.iter().filter(is_in_the_way).map(|arg| name_of(arg)).collect();
    let mut words = vec![told.words.first().cloned().unwrap_or_else(|| "xrt".into())];
    let (mut last, mut secrets) = (Vec::new(), Vec::new());
    for arg in command.get_arguments().filter(|arg| takes_part(arg) && !not.contains(&name_of(arg))) {
        let now = if is_given(arg) { said(arg, given) } else { Vec::new() };
        let before = match () {
            () if in_the_way.contains(name_of(arg)) || told.forgotten.contains(&name_of(arg)) => Vec::new(),
            () if recorded.value_source(name_of(arg)) == Some(ValueSource::CommandLine) => said(arg, &recorded),
            () => arg.get_env().and_then(|env| told.environment.get(env.to_str()?)).cloned().into_iter().collect(),
        };
        let kept = kept(arg, before, &now);
        secrets.extend(kept.iter().filter(|value| value.contains(MASK)).map(|value| shown(arg, value)));
        let values = kept.into_iter().chain(now);
        if arg.is_positional() {
            last.extend(values);
        } else {
            words.extend(values.map(|value| written(arg, &value)));
        }
    }
    if !secrets.is_empty() {
        return Err(unwritten(&secrets));
    }
    if !last.is_empty() {
        words.push("--".into());
        words.append(&mut last);
    }
    Ok(words)
}

/// The command without its ties to the environment.
pub fn deaf(command: &Command) -> Command {
    let mut command = command.clone().mut_args(|arg| arg.env(None::<&'static str>));
    command.build();
    command
}

fn name_of(arg: &Arg) -> &str {
    arg.get_id().as_str()
}

/// Help and version do not.
fn takes_part(arg: &Arg) -> bool {
    is_flag(arg) || matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count)
}

/// The values of an argument as they were said; for a flag an empty one for each time.
fn said(arg: &Arg, matches: &ArgMatches) -> Vec<String> {
    let id = name_of(arg);
    match arg.get_action() {
        ArgAction::Count => vec![String::new(); usize::from(matches.get_count(id))],
        ArgAction::SetTrue | ArgAction::SetFalse => vec![String::new()],
        _ => matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect(),
    }
}

/// What of the recorded values stands beside those given now.
fn kept(arg: &Arg, before: Vec<String>, now: &[String]) -> Vec<String> {
    let name = |value: &str, sign: char| value.split_once(sign).map_or(value, |(name, _)| name).to_string();
    let sign = match name_of(arg) {
        "define" => '=',
        "report" => ':',
        _ if now.is_empty() => return before,
        _ => return Vec::new(),
    };
    let again: BTreeSet<String> = now.iter().map(|value| name(value, sign)).collect();
    before.into_iter().filter(|value| !again.contains(&name(value, sign))).collect()
}

/// One word for an option and its value.
fn written(arg: &Arg, value: &str) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) if is_flag(arg) => format!("--{long}"),
        (Some(long), _) => format!("--{long}={value}"),
        (None, short) => format!("-{}{value}", short.unwrap_or_default()),
    }
}

/// As a person writes it.
fn shown(arg: &Arg, value: &str) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long} {value}"),
        (None, Some(short)) => format!("-{short} {value}"),
        (None, None) => value.to_string(),
    }
}

/// The error that secrets are not among what is given.
pub fn unwritten(secrets: &[String]) -> Error {
    let named: Vec<String> = secrets.iter().map(|secret| format!("`{secret}`")).collect();
    let are = if secrets.len() == 1 { "a secret of that run is not in its log" } else { "secrets of that run are not in its log" };
    let error = Error::new(Kind::Malformed, format!("{are}: {}", named.join(", "))).blame(Blame::User);
    error.help(format!("give it again in full beside the directory, with what stands for {MASK}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        Command::new("xrt")
            .arg(option("guest").action(ArgAction::Append))
            .arg(option("report").action(ArgAction::Append))
            .arg(option("changedir").short('C'))
            .arg(Arg::new("define").short('D').action(ArgAction::Append))
            .arg(option("scripts").env("XRT_SCRIPTS").value_delimiter(':').action(ArgAction::Append))
            .arg(option("workers").short('j').default_value("1"))
            .arg(option("shuffle").num_args(0..=1).require_equals(true).default_missing_value("0"))
            .arg(option("no-logs").action(ArgAction::SetTrue))
            .arg(option("verbose").short('v').action(ArgAction::Count))
            .arg(option("quiet").short('q').action(ArgAction::SetTrue).conflicts_with("verbose"))
            .arg(option("resume"))
            .arg(Arg::new("words").num_args(0..))
    }

    fn check(recorded: &str, environment: &[(&str, &str)], given: &str, expected: &str) {
        let split = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        let words = split(&format!("xrt {recorded}"));
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let told = Told { words: &words, environment: &environment, forgotten: &[] };
        let beside = command().get_matches_from(split(&format!("xrt --resume dir {given}")));
        let merged = merged(&command(), &told, &beside, &["resume"]);
        let text = merged.map_or_else(|e| e.what, |words| words[1..].join(" "));
        assert_eq!(text, expected, "{recorded} + {given}");
        if environment.is_empty() && expected.starts_with('-') {
            let words = split(&format!("xrt {expected}"));
            let told = Told { words: &words, environment: &environment, forgotten: &[] };
            let nothing = command().get_matches_from(["xrt", "--resume=dir"]);
            assert_eq!(super::merged(&command(), &told, &nothing, &["resume"]).unwrap()[1..].join(" "), expected, "again");
        }
    }

    #[test]
    fn what_is_given_wins_and_the_rest_stays() {
        check("--guest a -D A=1 -vv -j 4 x=1 y", &[], "", "--guest=a -DA=1 --workers=4 --verbose --verbose -- x=1 y");
        check("--guest a --guest b", &[], "--guest c", "--guest=c");
        check("-D A=1 -DB=2", &[], "-D A=3 -D C=4", "-DB=2 -DA=3 -DC=4");
        check(
            "--report junit:a --report html:b",
            &[],
            "--report html:c --report tap:c",
            "--report=junit:a --report=html:c --report=tap:c",
        );
        check("--no-logs -vv", &[], "-q", "--no-logs --quiet");
        check("-q", &[], "-v", "--verbose");
        check("-j 4 a b", &[], "-j 2 c", "--workers=2 -- c");
        check("--shuffle", &[], "", "--shuffle=0");
        check("--shuffle=7 -- --odd", &[], "", "--shuffle=7 -- --odd");
        check("-C a", &[], "-C b", "--changedir=a");
        check("", &[], "-C b", "");
        check("", &[], "", "");
    }

    #[test]
    fn what_the_environment_set_for_an_option_is_written_out() {
        check("", &[("XRT_SCRIPTS", "a:b"), ("XRT_OTHER", "c")], "", "--scripts=a:b");
        check("--scripts c", &[("XRT_SCRIPTS", "a:b")], "", "--scripts=c");
        check("", &[("XRT_SCRIPTS", "a:b")], "--scripts d", "--scripts=d");
    }

    #[test]
    fn a_secret_that_was_not_written_down_is_asked_for() {
        let masked = format!("--guest r:{MASK}@h -D A={MASK} p={MASK}");
        let all = format!("secrets of that run are not in its log: `--guest r:{MASK}@h`, `-D A={MASK}`, `p={MASK}`");
        check(&masked, &[], "", &all);
        check(&masked, &[], "-D A=new p=q", &format!("a secret of that run is not in its log: `--guest r:{MASK}@h`"));
        check(&masked, &[], "--guest r:x@h -D A=new p=q", "--guest=r:x@h -DA=new -- p=q");
        check(
            "--no-such-option",
            &[],
            "",
            "this xrt does not understand the command line of that run: unexpected argument '--no-such-option' found",
        );
    }
}
