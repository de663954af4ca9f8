//! What keeps a guest busy while something else is done to it.
//!
//! To add one: a row in `TABLE`. A script brings its own as a command with a name.
//!
//! # Source
//! `reference/library.md` 11.4.

use super::guest::{Guest, last_line};
use super::job::Job;
use super::option::{JobOptions, OnError};
use crate::context::clip;
use crate::error::{Blame, Error, Kind, Result};
use crate::name::did_you_mean;
use serde::Deserialize;
use std::time::Duration;

/// After so long a workload that cannot run has said so.
const SETTLED: Duration = Duration::from_secs(1);

/// What is to run: commands of the shell that end only when something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    pub command: String,
    /// A command that it takes, which is installed if need be.
    #[serde(default)]
    pub tool: Option<String>,
}

/// A workload that did not run as long as it should have, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    pub name: String,
    pub why: String,
}

struct Row {
    name: &'static str,
    /// What the original calls it.
    old: &'static [&'static str],
    tool: Option<&'static str>,
    /// Whether it is one of those that run when none is named: those that need nothing but a shell.
    is_usual: bool,
    command: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        name: "find",
        old: &["w_find", "DiskFind"],
        tool: None,
        is_usual: true,
        command: "while :; do find / -xdev -type f -size -64k -exec cat {} + >/dev/null 2>&1; sleep 1; done",
    },
    Row {
        name: "fio",
        old: &["FIOLinux", "LinuxFIO"],
        tool: Some("fio"),
        is_usual: false,
        command: "d=$(mktemp -d /var/tmp/xenrt-fio.XXXXXX) && cd \"$d\" || exit 1; trap 'cd /; rm -rf \"$d\"' EXIT; trap 'exit 1' TERM\n\
                  while fio --name=xenrt --rw=randrw --size=512m --numjobs=4 --time_based --runtime=600 --group_reporting; do :; done",
    },
    Row {
        name: "fork",
        old: &["w_forktest2"],
        tool: None,
        is_usual: true,
        command: "while :; do for n in 1 2 3 4 5 6 7 8; do (exit \"$n\") & done; wait; done",
    },
    Row {
        name: "memory",
        old: &["w_memtest"],
        tool: None,
        is_usual: true,
        command: "fill() { head -c 4000000 /dev/zero | tr '\\0' \"$1\"; }\n\
                  while :; do for c in x y; do a=$(fill $c); b=$(fill $c); [ \"$a\" = \"$b\" ] || { echo 'memory does not hold what was written'; exit 1; }; done; done",
    },
    Row {
        name: "sysbench",
        old: &["LinuxSysbench"],
        tool: Some("sysbench"),
        is_usual: false,
        command: "while sysbench cpu --time=600 --threads=\"$(nproc)\" run; do :; done",
    },
    Row {
        name: "time",
        old: &["LinuxTimeCheck"],
        tool: None,
        is_usual: true,
        command: "last=$(date +%s); while sleep 1; do now=$(date +%s)\n\
                  [ \"$now\" -ge \"$last\" ] || { echo \"the clock went back from $last to $now\"; exit 1; }; last=$now; done",
    },
];

impl From<&Row> for Workload {
    fn from(row: &Row) -> Workload {
        Workload { name: row.name.into(), command: row.command.into(), tool: row.tool.map(str::to_string) }
    }
}

impl Workload {
    /// Those that run when none is named.
    pub fn usual() -> Vec<Workload> {
        TABLE.iter().filter(|row| row.is_usual).map(Workload::from).collect()
    }

    /// The one of a name, ours or the original's.
    ///
    /// # Errors
    /// `Malformed`: there is none.
    pub fn named(name: &str) -> Result<Workload> {
        let is_it = |row: &&Row| row.name == name || row.old.iter().any(|old| old.eq_ignore_ascii_case(name));
        TABLE.iter().find(is_it).map(Workload::from).ok_or_else(|| {
            let all: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
            let near = did_you_mean(name, all.iter().copied());
            let help = format!("there are {}; another is given as #{{ name: \"…\", command: \"…\" }}", all.join(", "));
            Error::new(Kind::Malformed, format!("there is no workload `{name}`"))
                .blame(Blame::Author)
                .help(near.map_or(help.clone(), |near| format!("{near} Else {help}")))
        })
    }
}

impl Guest {
    /// Starts what is to keep it busy, in the background; gives those that did not get far.
    ///
    /// # Errors
    /// `Malformed`: one runs already; `Unsupported`: Windows, or a tool that cannot be had; those of [`Guest::run_job`].
    pub fn start_workloads(&self, wanted: &[Workload]) -> Result<Vec<Dead>> {
        if self.is_windows()? {
            let what = format!("workloads are commands of a POSIX shell, and {} runs Windows", self.name());
            return Err(Error::new(Kind::Unsupported, what)
                .blame(Blame::User)
                .help("`run_job` starts batch text in the background"));
        }
        let names: Vec<&str> = wanted.iter().map(|workload| workload.name.as_str()).collect();
        self.told(&format!("start workloads: {}", names.join(", ")), |action| {
            for workload in wanted {
                if self.held().workloads.iter().any(|(name, _)| *name == workload.name) {
                    let what = format!("the workload `{}` runs on {} already", workload.name, self.name());
                    return Err(Error::new(Kind::Malformed, what).blame(Blame::Author).help("end it with `stop_workloads()`"));
                }
                if let Some(tool) = &workload.tool {
                    self.install_tool(tool)?;
                }
                let options = JobOptions { on_error: OnError::Return, ..JobOptions::default() };
                let job = self.run_job(&workload.command, &options)?;
                self.held().workloads.push((workload.name.clone(), job));
            }
            action.sleep(SETTLED)?;
            let running = self.held().workloads.clone();
            let asked = running.iter().filter(|(name, _)| names.contains(&name.as_str()));
            let dead: Vec<Dead> = asked.filter_map(|(name, job)| death(name, job).transpose()).collect::<Result<_>>()?;
            self.held().workloads.retain(|(name, _)| !dead.iter().any(|dead| dead.name == *name));
            action.says(format!("{} of {} run", names.len() - dead.len(), names.len()));
            Ok(dead)
        })
    }

    /// Ends what keeps it busy; gives those that had ended before.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`, of the first that cannot be ended.
    pub fn stop_workloads(&self) -> Result<Vec<Dead>> {
        let running = std::mem::take(&mut self.held().workloads);
        self.told("stop workloads", |action| {
            let mut dead = Vec::new();
            for (name, job) in &running {
                dead.extend(death(name, job)?);
                if !dead.iter().any(|dead| dead.name == *name) {
                    job.kill()?;
                }
            }
            action.says(format!("{} ran, {} had ended before", running.len() - dead.len(), dead.len()));
            Ok(dead)
        })
    }
}

/// Why a workload runs no more, if it does not.
fn death(name: &str, job: &Job) -> Result<Option<Dead>> {
    let why = match job.rc() {
        Ok(None) => return Ok(None),
        Ok(Some(code)) => {
            let said = format!("{}\n{}", job.output()?, job.errors()?);
            let said = clip(&last_line(&said), 200);
            if said.is_empty() { format!("it ended with status {code}") } else { format!("it ended with status {code}: {said}") }
        }
        // Its machine was started anew, or it was killed: it is told apart from a machine that does not answer.
        Err(error) if error.kind == Kind::Refused => error.what,
        Err(error) => return Err(error),
    };
    Ok(Some(Dead { name: name.to_string(), why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_names_of_their_own_and_old_ones() {
        assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(Workload::named("W_FIND").unwrap().name, "find");
        assert!(Workload::usual().iter().all(|workload| workload.tool.is_none()));
        let error = Workload::named("fnid").unwrap_err();
        assert!(error.help.unwrap_or_default().contains("`find`"));
    }
}
