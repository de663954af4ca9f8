//! What measured values are compared with: the options, and the windows of a sequence.

use crate::error::{Blame, Error, Kind, Result};
use crate::metric::Baselines;
use crate::name::{CaseId, did_you_mean};
use crate::run::{BaselineReader, Plan};
use crate::script::Catalog;
use crate::sequence::Window;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Measured values")]
pub struct PerfArgs {
    /// Compare measured values with those of earlier runs: a results directory or a directory of many, an events.jsonl, a results.db, or a
    /// JSON file; see xrt help metrics. May be repeated
    #[arg(long, value_name = "PATH")]
    pub perf_data: Vec<PathBuf>,

    /// Warn of a value that is not from MIN to MAX, of which one may be empty; with -D PERF_STRICT=yes the testcase fails. May be repeated
    #[arg(long, value_name = "TC,METRIC,MIN,MAX", value_parser = window)]
    pub perf_check: Vec<Window>,
}

/// Reads a window as the option has it.
fn window(text: &str) -> Result<Window, String> {
    let wrong = |what: &str| format!("{what}; write TESTCASE,METRIC,MIN,MAX, such as iometer,read_rate,400, or boot,TIME_AVG,,30");
    let (rest, most) = text.rsplit_once(',').ok_or_else(|| wrong("no comma in it"))?;
    let (rest, least) = rest.rsplit_once(',').ok_or_else(|| wrong("one comma in it"))?;
    let (testcase, metric) = rest.split_once(',').ok_or_else(|| wrong("two commas in it"))?;
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        text => text.parse().ok().filter(|n: &f64| n.is_finite()).map(Some).ok_or_else(|| wrong(&format!("`{text}` is no number"))),
    };
    let (testcase, metric) = (testcase.trim().to_string(), metric.trim().to_string());
    let (least, most) = (number(least)?, number(most)?);
    match (least, most) {
        _ if testcase.is_empty() || metric.is_empty() => Err(wrong("a name is empty")),
        (None, None) => Err(wrong("neither MIN nor MAX")),
        (Some(least), Some(most)) if least > most => Err(wrong("MIN is larger than MAX")),
        _ => Ok(Window { testcase, metric, least, most }),
    }
}

impl PerfArgs {
    /// Reads what the values of a plan are compared with, and gives what is to be told of it. `windows` are those of its sequence; what a
    /// run that goes on has measured `itself` is nothing to compare it with.
    ///
    /// # Errors
    /// Earlier runs that cannot be read; a window for a testcase that is not in the plan.
    pub fn load(
        &self,
        plan: &Plan,
        windows: &[Window],
        catalog: &Catalog,
        itself: Option<(&str, &Path)>,
    ) -> Result<(Baselines, Vec<String>)> {
        let mut baselines = Baselines::default();
        let mut reader = BaselineReader::new(&mut baselines, plan.cases.iter().map(|case| &case.id), itself);
        for path in &self.perf_data {
            reader.read(path)?;
        }
        let mut notices: Vec<String> = reader.unread.iter().map(|e| format!("not compared with: {}", e.what)).collect();
        if baselines.is_empty() && !self.perf_data.is_empty() {
            let from: Vec<String> = self.perf_data.iter().map(|p| p.display().to_string()).collect();
            notices.push(format!("no values of these testcases in {}: nothing is compared", from.join(", ")));
        }
        if self.perf_check.is_empty() && windows.is_empty() {
            return Ok((baselines, notices));
        }
        self.perf_check.iter().chain(windows).for_each(|window| baselines.add_window(window.clone()));
        let cases: Vec<(CaseId, Vec<String>)> = plan.cases.iter().map(|case| (case.id.clone(), case.names(catalog))).collect();
        for window in baselines.idle_windows(&cases) {
            let what = format!("there is no testcase `{}` whose `{}` could be in its window", window.testcase, window.metric);
            if self.perf_check.contains(window) {
                let mut error = Error::new(Kind::NotFound, format!("--perf-check: {what}")).blame(Blame::User);
                error.help = did_you_mean(&window.testcase, cases.iter().map(|(id, _)| id.as_str()));
                return Err(error);
            }
            notices.push(what);
        }
        Ok((baselines, notices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_four_words() {
        let read = |text: &str| window(text).map(|w| (w.testcase, w.metric, w.least, w.most));
        let of = |t: &str, m: &str, least, most| Ok((t.to_string(), m.to_string(), least, most));
        assert_eq!(read("tc,rate,3.5,4.5"), of("tc", "rate", Some(3.5), Some(4.5)));
        assert_eq!(read(" g/tc , rate, with comma,,-1e3"), of("g/tc", "rate, with comma", None, Some(-1000.0)));
        for (text, expected) in [
            ("", "no comma"),
            ("tc,4", "one comma"),
            ("tc,3,4", "two commas"),
            ("tc,rate,,", "neither MIN nor MAX"),
            ("tc,rate,5,4", "MIN is larger"),
            ("tc,rate,a,4", "`a` is no number"),
            ("tc,rate,nan,4", "`nan` is no number"),
            (",rate,3,4", "a name is empty"),
        ] {
            assert!(read(text).unwrap_err().contains(expected), "{text}");
        }
    }
}
