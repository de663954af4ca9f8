//! Any executable as a testcase: its exit status, and the TAP or JUnit that it prints, become the outcome and the subcases.
//!
//! It runs here, on the controller, in a process group of its own, with the words of the command line as its arguments. It finds:
//!
//! | variable | what it holds |
//! |---|---|
//! | `XRT_GUEST` | the address of the machine that its sequence names, or of the first, without a password |
//! | `XRT_GUESTS` | the addresses of all machines, a space between |
//! | `XRT_RESULTS_DIR` | the testcase's own directory, for its files |
//! | `XRT_CASE` | the testcase's id in this run |
//! | `XRT_ARG_<NAME>` | each argument `name=value`; `true` for a bare word |
//!
//! No other `XRT_` variable is there, and no secret: a program that logs in somewhere brings its own key.

use super::output::{Heard, Listener};
use super::part::Part;
use super::report::{self, Report};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Failure, Outcome};
use crate::script::{Case, Ended};
use crate::vars::Layer;
use crate::wire::{self, Output, Status, local};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The exit status that says "does not apply here", as automake and many others have it.
const SKIPPED: i32 = 77;

/// How long a program may take over its own clean-up when it was told to end, before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The variables by which a program, and what it starts, is known: see [`super::leftover`].
pub(super) const RESULTS_DIR: &str = "XRT_RESULTS_DIR";
pub(super) const CASE: &str = "XRT_CASE";

/// Bytes of each stream that are kept for the failure card.
const KEPT: usize = 8192;

/// Runs a program and judges it. Its subcases are told to the testcase; how the process ended is in what this returns.
///
/// # Errors
/// `Malformed` or `NotFound`, blamed on the author: it cannot be started. `Timeout`, `Cancelled`: it was stopped.
pub fn run(case: &Case, path: &Path, words: &[String]) -> Result<Ended> {
    let stdout = case.context.file("stdout.txt")?;
    let stderr = case.context.file("stderr.txt")?;
    let shown = std::iter::once(path.display().to_string()).chain(words.iter().cloned()).collect::<Vec<_>>().join(" ");
    let mut listener = Listener::new(case);
    let result = case.context.action(None, &shown, |action| {
        let mut command = wire::Command::new(shown.as_str(), Duration::MAX);
        (command.stdout_file, command.stderr_file, command.keep) = (Some(stdout.clone()), Some(stderr.clone()), KEPT);
        let program = command_for(case, path, words);
        let start = |program: &mut Command| program.spawn().map_err(|e| unstartable(Path::new(program.get_program()), &e));
        let mut hear = |stream, bytes: &[u8]| listener.hear(stream, bytes);
        let output = local::run(program, start, &command, GRACE, &case.context.cancel(), &mut hear)?;
        action.says(shown_status(&output.status));
        Ok(output)
    });
    let heard = listener.finish();
    for file in [&stdout, &stderr].into_iter().filter(|file| file.exists()) {
        case.context.attach(file);
    }
    let report = report::read(&stdout);
    let was_cut = !matches!(&result, Ok(Output { status: Status::Exited(_), .. }));
    tell(case, &report, was_cut);
    Ok(judged(case, &result?, &heard, &report))
}

fn shown_status(status: &Status) -> String {
    match status {
        Status::Exited(code) => format!("exit status {code}"),
        Status::Signalled(name) => format!("killed by SIG{name}"),
    }
}

fn command_for(case: &Case, path: &Path, words: &[String]) -> Command {
    // A bare name would be looked for in PATH.
    let is_bare = path.components().count() == 1 && path.is_relative();
    let program = if is_bare { Path::new(".").join(path) } else { path.to_path_buf() };
    let mut command = Command::new(program);
    command.args(words);
    let ours: Vec<String> = case.variables.read(|variables| {
        let is_ours = |name: &&str| variables.history(name).any(|(layer, _)| layer == Layer::Environment);
        variables.names().filter(is_ours).map(str::to_string).collect()
    });
    for name in ours.iter().map(String::as_str).chain(["PASSWORD", "KEY_PASSPHRASE"]) {
        command.env_remove(format!("XRT_{name}"));
    }
    // A program that wants machines says itself that there are none.
    let addresses = case.lab.addresses(&case.context).unwrap_or_default();
    let named = case.place.as_deref().and_then(|place| case.lab.guest(place, &case.context).ok());
    let address = named.and_then(|machine| machine.place().address());
    let target = address.map(|address| address.without_password().to_string()).or_else(|| addresses.first().cloned());
    if let Some(target) = target {
        command.env("XRT_GUEST", target).env("XRT_GUESTS", addresses.join(" "));
    }
    let dir = case.context.dir();
    command.env(RESULTS_DIR, std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir)));
    command.env(CASE, case.context.case().map(ToString::to_string).unwrap_or_default());
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, "true"));
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        command.env(format!("XRT_ARG_{name}"), value);
    }
    command
}

fn unstartable(program: &Path, e: &std::io::Error) -> Error {
    let shown = program.display();
    let (kind, why, help) = match e.kind() {
        ErrorKind::NotFound => match interpreter(program) {
            Some(interpreter) => (
                Kind::NotFound,
                format!("its interpreter `{interpreter}` is not there"),
                format!("install it, or change the first line of `{shown}`"),
            ),
            None => (Kind::NotFound, "it, or a loader that it needs, is not there".into(), format!("look with: file {shown}")),
        },
        ErrorKind::PermissionDenied => (
            Kind::Malformed,
            "permission denied".to_string(),
            format!("chmod +x {shown}; and see that its file system is not mounted noexec"),
        ),
        _ if e.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => (
            Kind::Malformed,
            "it is neither a program for this machine nor a script that names its interpreter".to_string(),
            "begin a script with a line such as `#!/bin/sh`".to_string(),
        ),
        _ => (Kind::Malformed, e.to_string(), format!("try it by hand: {shown}")),
    };
    Error::new(kind, format!("`{shown}` cannot be started: {why}")).blame(Blame::Author).help(help)
}

/// What the first line of a script names.
fn interpreter(program: &Path) -> Option<String> {
    use std::io::Read;
    let mut first = [0; 256];
    let read = std::fs::File::open(program).ok()?.read(&mut first).ok()?;
    let text = String::from_utf8_lossy(&first[..read]);
    let line = text.strip_prefix("#!")?.split('\n').next()?;
    // A carriage return at the end of the line belongs to the name that the kernel looks for.
    line.split([' ', '\t']).find(|word| !word.is_empty()).map(|word| word.escape_debug().to_string())
}

/// The parts of a program's report as subcases. When the program was cut short, so was its report, and that is no news.
fn tell(case: &Case, report: &Report, was_cut: bool) {
    let problems = report.problems.iter().filter(|_| !was_cut);
    for part in report.parts.iter().chain(problems) {
        let Part { group, name, took, .. } = part;
        case.finish_subcase(group, name, *took, part.ended());
    }
}

/// What the process, its own words and its report say together. The subcases are weighed by whoever calls.
fn judged(case: &Case, output: &Output, heard: &Heard, report: &Report) -> Ended {
    let said = heard.outcome.filter(|_| !report.is_there);
    let reason = |otherwise: &str| heard.reason.clone().unwrap_or_else(|| otherwise.to_string());
    let bad = |outcome, reason: String| Ended { outcome, failure: Some(failure(outcome, &reason, output)), reason };
    let fine = |outcome, reason| Ended { outcome, reason, failure: None };
    let by_status = match &output.status {
        Status::Signalled(_) => Some(shown_status(&output.status)),
        Status::Exited(0 | SKIPPED) => None,
        // The report says more than the status does.
        Status::Exited(_) if report.is_bad() => None,
        Status::Exited(code) if report.is_there => Some(format!("exit status {code}, although every test that it reports is fine")),
        Status::Exited(_) => Some(shown_status(&output.status)),
    };
    match (by_status, said) {
        (Some(_), Some(Outcome::Errored)) | (None, Some(Outcome::Errored)) => {
            bad(Outcome::Errored, reason("it says `Test: error`"))
        }
        (Some(status), Some(Outcome::Failed)) => bad(Outcome::Failed, reason(&status)),
        (Some(status), _) => bad(Outcome::Failed, status),
        (None, Some(Outcome::Failed)) => bad(Outcome::Failed, reason("it says `Test: failed`")),
        (None, _) if output.status == Status::Exited(SKIPPED) => {
            fine(Outcome::Skipped, reason("exit status 77: it does not apply here"))
        }
        (None, Some(Outcome::Skipped)) => fine(Outcome::Skipped, reason("it says `Test: skipped`")),
        (None, Some(Outcome::Partial)) => {
            case.set_partial(&reason("it says `Test: partial`"));
            fine(Outcome::Passed, String::new())
        }
        (None, _) => match &report.skipped {
            Some(why) => fine(Outcome::Skipped, why.clone()),
            None => fine(Outcome::Passed, String::new()),
        },
    }
}

fn failure(outcome: Outcome, reason: &str, output: &Output) -> Box<Failure> {
    let streams = [("stderr", &output.stderr), ("stdout", &output.stdout)];
    let last_words = streams.iter().map(|(name, kept)| (name, kept.tail(2048))).find(|(_, text)| !text.trim().is_empty());
    let (kind, blame) = match outcome {
        Outcome::Failed => (Kind::Refused, Blame::Product),
        _ => (Kind::Assertion, Blame::Lab),
    };
    let error = Error::new(kind, reason).blame(blame).help("all of its output is in stdout.txt and stderr.txt");
    let data = last_words.map(|(name, text)| format!("{name} ends with:\n{}", text.trim_end()));
    Box::new(Failure { data, ..Failure::of(&error) })
}
