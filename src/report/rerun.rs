//! The command that runs again what did not pass.

use super::{Case, Run, Summary};

/// More testcases than these are not named one by one.
const FEW: usize = 5;

/// What to type to run again what did not pass; nothing when all of it did.
pub(super) fn of_the_run(summary: &Summary) -> Option<Vec<String>> {
    let bad: Vec<&Case> = summary.cases().iter().filter(|c| c.is_bad() && !c.is_cleanup()).collect();
    if bad.is_empty() {
        return None;
    }
    let run = summary.run();
    let named = named(run, bad.iter().map(|c| c.reference()));
    let from_results = || Some(["xrt", "--rerun-failed", run.results.to_str()?].map(String::from).to_vec());
    named.or_else(|| from_results().filter(|_| !run.results.as_os_str().is_empty())).or_else(|| Some(run.command.clone()))
}

/// What to type to go on with a run that did not come to its end; nothing when it did.
pub(super) fn of_the_rest(summary: &Summary) -> Option<Vec<String>> {
    let results = summary.run().results.to_str().filter(|results| !results.is_empty())?;
    let is_cut = summary.cases().iter().any(|c| c.outcome.is_none());
    is_cut.then(|| ["xrt", "--resume", results].map(String::from).to_vec())
}

/// What to type to run this one again; nothing for a clean-up, which is run with what it cleans up.
pub(super) fn of_case(case: &Case, run: &Run) -> Vec<String> {
    if case.is_cleanup() {
        return Vec::new();
    }
    if run.sequence.is_none() {
        return named(run, [case.reference()]).unwrap_or_else(|| run.command.clone());
    }
    // A further filter: what the command leaves out already it still does.
    let id = case.id.as_str();
    let is_plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-_./#".contains(c));
    let only = if is_plain { id.to_string() } else { format!("\"{id}\"") };
    let further = ["--only".to_string(), only];
    run.command.iter().cloned().chain(further.into_iter().filter(|_| !run.command.is_empty())).collect()
}

/// The command of the run with only these testcases, where it names any and they are few.
fn named<'a>(run: &Run, testcases: impl IntoIterator<Item = &'a str>) -> Option<Vec<String>> {
    let command = &run.command;
    let mut wanted: Vec<&str> = testcases.into_iter().take(FEW + 1).collect();
    wanted.dedup();
    let names_testcases = |word: &str| ["--testcase", "-T"].contains(&word) || word.starts_with("--testcase=");
    if wanted.len() > FEW || wanted.contains(&"") || !command.iter().any(|w| names_testcases(w)) {
        return None;
    }
    let mut again = Vec::new();
    // They are named now, whatever run they were the rest of.
    let mut words = command.iter().filter(|word| !word.starts_with("--rerun-failed="));
    let mut is_named = false;
    while let Some(word) = words.next() {
        if !names_testcases(word) {
            again.push(word.clone());
            continue;
        }
        if !word.contains('=') {
            words.next();
        }
        if !std::mem::replace(&mut is_named, true) {
            again.extend(wanted.iter().flat_map(|w| ["--testcase".to_string(), (*w).to_string()]));
        }
    }
    Some(again)
}
