//! How long testcases took in earlier runs.

use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::event::log::LogReader;
use crate::event::{Event, Fact};
use crate::name::CaseId;
use crate::report::{self, Took};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file with the events of a run.
const LOG: &str = "events.jsonl";
/// How many runs of a directory are read, the newest.
const RUNS: usize = 100;
/// How many times of one testcase are kept.
const TIMES: usize = 200;

/// The arguments of a testcase, as the stream has them.
pub type ShownArgs = BTreeMap<String, serde_json::Value>;

/// What earlier runs say.
#[derive(Debug, Default)]
pub struct History {
    /// How many runs were read.
    pub runs: usize,
    /// What could not be read.
    pub unread: Vec<Error>,
    by_id: HashMap<(CaseId, String), Times>,
    by_work: HashMap<(String, String), Times>,
}

/// How long one testcase took, each time that it ran.
#[derive(Debug, Default)]
struct Times {
    passed: Vec<f64>,
    other: Vec<f64>,
}

impl Times {
    fn add(&mut self, took: f64, passed: bool) {
        let times = if passed { &mut self.passed } else { &mut self.other };
        if times.len() < TIMES && took.is_finite() && took >= 0.0 {
            times.push(took);
        }
    }

    /// The median; how long a failure took counts only where nothing passed.
    fn usual(&self) -> Option<Duration> {
        let mut times = if self.passed.is_empty() { self.other.clone() } else { self.passed.clone() };
        times.sort_by(f64::total_cmp);
        Duration::try_from_secs_f64(*times.get(times.len() / 2)?).ok()
    }
}

impl History {
    /// Reads a past run by its results directory or event log, or all runs of a directory with results or of a database of runs.
    ///
    /// # Errors
    /// There is no run.
    pub fn read(path: &Path) -> Result<History> {
        let mut history = History::default();
        if report::is_database(path) {
            history.runs = report::times(path, RUNS, |took| {
                let Took { id, testcase, args, outcome, seconds } = took;
                history.add(CaseId::new(id), testcase, args, seconds, outcome.is_pass());
            })?;
            return Ok(history);
        }
        let logs = logs(path)?;
        for log in logs.iter().rev() {
            match LogReader::open(log) {
                Ok(reader) => history.run(reader),
                Err(error) => history.unread.push(error),
            }
        }
        Ok(history)
    }

    /// How long a testcase is to be expected to take: as long as the same case of a plan did, or else as the same testcase with the
    /// same arguments. Nothing when no earlier run says it.
    pub fn expected(&self, id: &CaseId, testcase: &str, args: Option<&ShownArgs>) -> Option<Duration> {
        let same = self.by_id.get(&(id.clone(), testcase.to_string())).and_then(Times::usual);
        same.or_else(|| self.by_work.get(&(testcase.to_string(), serde_json::to_string(args?).ok()?)).and_then(Times::usual))
    }

    /// Takes in a run. What cannot be understood of it says nothing about how long something took.
    fn run(&mut self, events: impl Iterator<Item = Result<Event>>) {
        let mut planned: HashMap<CaseId, Arc<str>> = HashMap::new();
        let mut args: HashMap<CaseId, String> = HashMap::new();
        self.runs += 1;
        for event in events.map_while(Result::ok) {
            match (event.fact, event.case) {
                (Fact::RunStarted(beginning), _) => planned.extend(beginning.plan.into_iter().map(|p| (p.id, p.testcase))),
                (Fact::PlanExtended { plan, .. }, _) => planned.extend(plan.into_iter().map(|p| (p.id, p.testcase))),
                (Fact::CaseStarted { args: given, .. }, Some(id)) => {
                    args.insert(id, serde_json::to_string(&given).unwrap_or_default());
                }
                (Fact::CaseFinished { outcome, took, .. }, Some(id)) => {
                    // What never began took no time, which is not how long it takes.
                    let (Some(testcase), Some(args)) = (planned.get(&id), args.remove(&id)) else { continue };
                    self.add(id, testcase.to_string(), args, took, outcome.is_pass());
                }
                _ => {}
            }
        }
    }
}

impl History {
    fn add(&mut self, id: CaseId, testcase: String, args: String, took: f64, passed: bool) {
        self.by_work.entry((testcase.clone(), args)).or_default().add(took, passed);
        self.by_id.entry((id, testcase)).or_default().add(took, passed);
    }
}

/// The event logs that a path names, the newest last.
pub(super) fn logs(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if path.join(LOG).is_file() {
        return Ok(vec![path.join(LOG)]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).at(format_args!("read the directory `{}`", path.display()))? {
        let entry = entry.at(format_args!("read the directory `{}`", path.display()))?;
        // `latest` is one of the others.
        let is_link = entry.file_type().is_ok_and(|t| t.is_symlink());
        let log = entry.path().join(LOG);
        if !is_link && log.is_file() {
            found.push(log);
        }
    }
    if found.is_empty() {
        let error = Error::new(Kind::NotFound, format!("no earlier run in `{}`", path.display())).blame(Blame::User);
        return Err(error.help(
            "name the results directory of a run, a directory with such, an `events.jsonl`, or a file of --report sqlite:FILE",
        ));
    }
    found.sort();
    Ok(found.split_off(found.len().saturating_sub(RUNS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Beginning, Outcome, Planned};
    use crate::time::Timestamp;

    fn run(cases: &[(&str, &str, u32, Outcome, f64)]) -> Vec<Result<Event>> {
        let plan = cases.iter().map(|(id, testcase, ..)| Planned::new(CaseId::new(*id), *testcase)).collect();
        let mut facts = vec![(None, Fact::RunStarted(Box::new(Beginning { plan, ..Beginning::default() })))];
        for (id, _, seconds, outcome, took) in cases {
            let id = Some(CaseId::new(*id));
            if *outcome != Outcome::Blocked {
                let args = [("seconds".to_string(), (*seconds).into())].into();
                let (timeout, dir, attempt, lane) = (None, PathBuf::new(), 1, 0);
                facts.push((id.clone(), Fact::CaseStarted { args, timeout, dir, attempt, lane }));
            }
            facts.push((id, Fact::CaseFinished { outcome: *outcome, reason: None, took: *took, failure: None, block: None }));
        }
        facts.into_iter().map(|(case, fact)| Ok(Event { seq: 1, at: Timestamp::now(), case, fact })).collect()
    }

    #[test]
    fn the_same_case_says_most_and_then_the_same_work() {
        use Outcome::{Blocked, Failed, Passed};
        let mut history = History::default();
        history.run(run(&[("g/a", "t", 1, Passed, 1.0), ("g/b", "t", 1, Passed, 3.0), ("g/c", "u", 1, Failed, 9.0)]).into_iter());
        history.run(run(&[("g/a", "t", 1, Passed, 5.0), ("g/a#2", "t", 2, Blocked, 0.0)]).into_iter());
        history.run(run(&[("g/a", "t", 1, Passed, 2.0), ("g/b", "t", 1, Failed, 700.0)]).into_iter());
        let expected = |id: &str, testcase: &str, seconds: u32| {
            let args = [("seconds".to_string(), seconds.into())].into();
            history.expected(&CaseId::new(id), testcase, Some(&args)).map(|d| d.as_secs_f64())
        };
        assert_eq!(expected("g/a", "t", 7), Some(2.0), "the median of the same case");
        assert_eq!(expected("g/b", "t", 1), Some(3.0), "a failure tells nothing beside a pass");
        assert_eq!(expected("g/c", "u", 1), Some(9.0), "and something where there is none");
        assert_eq!(expected("new/x", "t", 1), Some(3.0), "the same testcase with the same arguments");
        assert_eq!(expected("new/x", "t", 2), None, "a blocked one tells nothing");
        assert_eq!(expected("g/a", "other", 1), None, "the name is another testcase's now");
        assert_eq!(history.runs, 3);
    }

    #[test]
    fn a_path_that_holds_no_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(History::read(dir.path()).unwrap_err().kind, Kind::NotFound);
        assert_eq!(History::read(&dir.path().join("none")).unwrap_err().kind, Kind::NotFound);
        std::fs::write(dir.path().join(LOG), "no log").unwrap();
        let history = History::read(dir.path()).unwrap();
        assert_eq!((history.runs, history.unread.len()), (0, 1));
    }
}
