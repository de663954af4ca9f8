//! Programs that a run has left behind: when it is killed, what it had started goes on, and must not run beside its own next attempt.
//!
//! A process is known by its environment, in which [`super::program`] put the directory and the id of its testcase; so there is no moment
//! in which a program runs and nobody could find it. What changed its environment is found by the process group that it shares. What a
//! testcase with a result left on purpose, such as a service that later ones use, is left alone.

use super::program::{CASE, GRACE, RESULTS_DIR};
use crate::error::{Blame, Error, Kind, Result};
use crate::name::CaseId;
use crate::time::Cancel;
use rustix::process::{Pid, Signal, getpid, kill_process};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::time::{Duration, Instant};

/// How long a process may take to end that was killed.
const DEATH: Duration = Duration::from_secs(10);

/// How long between two looks at the processes.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A process of this machine.
struct Process {
    pid: Pid,
    group: i32,
    /// The testcase that it belongs to; nothing when it does not say.
    case: Option<CaseId>,
}

/// A process that a testcase has left.
struct Left {
    pid: Pid,
    case: CaseId,
}

/// Ends what still runs of these testcases of a run whose controller has died: asks, and later does not ask. What is to be told of it.
///
/// # Errors
/// `Refused`: a process cannot be ended. `Cancelled`.
pub fn end(run: &str, cases: &HashSet<&CaseId>, cancel: &Cancel) -> Result<Vec<String>> {
    end_within(GRACE, run, cases, cancel)
}

fn end_within(grace: Duration, run: &str, cases: &HashSet<&CaseId>, cancel: &Cancel) -> Result<Vec<String>> {
    let begun = Instant::now();
    let (mut groups, mut asked) = (BTreeMap::new(), BTreeSet::new());
    let mut ended: BTreeMap<CaseId, BTreeSet<i32>> = BTreeMap::new();
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    loop {
        let left = left(run, cases, &mut groups);
        if left.is_empty() {
            return Ok(ended.iter().map(told).collect());
        }
        if begun.elapsed() > grace + DEATH {
            return Err(immortal(&left));
        }
        for Left { pid, case } in &left {
            let number = pid.as_raw_nonzero().get();
            if begun.elapsed() > grace {
                // It fails when the process has ended, or is another user's; the next look tells which.
                let _ = kill_process(*pid, Signal::KILL);
            } else if asked.insert(number) {
                let _ = kill_process(*pid, Signal::TERM);
            }
            ended.entry(case.clone()).or_default().insert(number);
        }
        cancel.sleep(BETWEEN_LOOKS)?;
    }
}

fn told((case, processes): (&CaseId, &BTreeSet<i32>)) -> String {
    let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
    let word = if numbers.len() == 1 { "process" } else { "processes" };
    format!("`{case}` was still running when its run had died; it was ended ({word} {})", numbers.join(", "))
}

fn immortal(left: &[Left]) -> Error {
    let numbers: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
    let cases: BTreeSet<String> = left.iter().map(|process| format!("`{}`", process.case)).collect();
    let cases = cases.into_iter().collect::<Vec<_>>().join(", ");
    let what = format!("{cases} still runs, although its run has died, and cannot be ended");
    Error::new(Kind::Refused, what).blame(Blame::User).help(format!("end it, then try again: kill -9 {}", numbers.join(" ")))
}

/// What runs now of these testcases. `groups` are the process groups in which any of it was seen, and of which testcase.
fn left(run: &str, cases: &HashSet<&CaseId>, groups: &mut BTreeMap<i32, CaseId>) -> Vec<Left> {
    let own = getpid();
    let all: Vec<Process> = pids().filter(|pid| *pid != own).filter_map(|pid| Process::read(pid, run, cases)).collect();
    let own = group(own).unwrap_or_default();
    for Process { group, case, .. } in &all {
        if let Some(case) = case.as_ref().filter(|_| *group != own) {
            groups.entry(*group).or_insert_with(|| case.clone());
        }
    }
    let left = all.into_iter().filter_map(|Process { pid, group, case }| {
        let case = case.or_else(|| groups.get(&group).cloned())?;
        Some(Left { pid, case })
    });
    left.collect()
}

/// All processes of this machine that can be seen.
fn pids() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// The process group of a process; nothing of one that has ended.
fn group(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, brackets too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

impl Process {
    fn read(pid: Pid, run: &str, cases: &HashSet<&CaseId>) -> Option<Process> {
        let group = group(pid)?;
        // Of another user's process it cannot be read.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        Some(Process { pid, group, case: case_of(&environment, run).filter(|id| cases.contains(id)) })
    }
}

/// The testcase of this run that an environment tells of.
fn case_of(environment: &[u8], run: &str) -> Option<CaseId> {
    let value = |name: &str| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let dir = Path::new(OsStr::from_bytes(value(RESULTS_DIR)?));
    let is_ours = dir.components().any(|part| part == Component::Normal(OsStr::new(run)));
    is_ours.then(|| Some(CaseId::new(std::str::from_utf8(value(CASE)?).ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Stdio;

    #[test]
    fn a_process_is_known_by_its_run_and_its_testcase() {
        let check = |environment: &str, expected: Option<&str>| {
            let found = case_of(environment.replace(' ', "\0").as_bytes(), "r-1");
            assert_eq!(found, expected.map(CaseId::new), "{environment}");
        };
        check("A=1 XRT_RESULTS_DIR=/x/r-1/g.a XRT_CASE=g/a B=2", Some("g/a"));
        check("XRT_CASE=g/a XRT_RESULTS_DIR=/x/r-1/g.a", Some("g/a"));
        check("XRT_RESULTS_DIR=/x/r-10/g.a XRT_CASE=g/a", None);
        check("XRT_RESULTS_DIR_OLD=/x/r-1/g.a XRT_CASE=g/a", None);
        check("XRT_RESULTS_DIR=/x/r-1/g.a", None);
        check("", None);
    }

    /// A shell in a group of its own that says when it is there, as a program of this testcase.
    fn started(run: &str, case: &str, text: &str) -> std::process::Child {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", text]).env(RESULTS_DIR, format!("/x/{run}/dir")).env(CASE, case);
        let mut child = shell.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"there\n");
        child
    }

    #[test]
    fn what_does_not_end_when_asked_is_killed_and_others_are_left_alone() {
        let run = format!("run-{}", std::process::id());
        let (stubborn, other) = (CaseId::new("g/stubborn"), "g/other");
        let mut one = started(&run, stubborn.as_str(), "trap '' TERM; echo there; while :; do sleep 1; done");
        // It has no environment any more, but it is in a group with one that has.
        let mut two = started(&run, stubborn.as_str(), "env -i sleep 60 & echo there; wait");
        let mut neighbour = started(&run, other, "echo there; exec sleep 60");
        let told = end_within(Duration::from_millis(200), &run, &HashSet::from([&stubborn]), &Cancel::new()).unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("`g/stubborn` was still running") && told[0].contains(&one.id().to_string()), "{told:?}");
        assert_eq!(one.wait().unwrap().signal(), Some(9));
        assert_eq!(two.wait().unwrap().signal(), Some(15));
        let members = pids().filter_map(group).filter(|group| *group == two.id() as i32);
        assert_eq!(members.count(), 0, "all of its group has ended");
        assert!(neighbour.try_wait().unwrap().is_none(), "another testcase goes on");
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
        assert!(end(&run, &HashSet::from([&stubborn]), &Cancel::new()).unwrap().is_empty());
    }

    #[test]
    fn this_process_is_seen_with_its_group() {
        let own = getpid();
        assert!(pids().any(|pid| pid == own));
        assert_eq!(group(own), Some(rustix::process::getpgrp().as_raw_nonzero().get()));
    }
}
