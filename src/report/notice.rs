//! What people who are elsewhere are told of a run: that it needs one of them, and how it ended. As text for a mail, and as JSON for
//! another program.
//!
//! # Source
//! The content: `reference/harness.md` 9.2 and 11.4, `reference/jobserver.md` 13.

use super::entry::{Entry, paused};
use super::lines::Lines;
use super::outbox::Outbox;
use super::text::{clean, printable, shell_line, verdict_word};
use super::{Case, Notes, Report, Steered, Summary};
use crate::error::Result;
use crate::event::{Event, Fact, Outcome, Pause, Steering};
use crate::unit::{seconds_to_duration, show_duration};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// How many lines of a testcase's log are shown.
const LINES: usize = 100;
/// The longest of them, in columns: a line of a log may be a whole file.
const WIDEST: usize = 500;
/// How many of what did not pass another program is told.
const NAMED: usize = 200;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Paused,
    /// A pause is about to end by itself.
    PauseEnding,
    Finished,
}

impl Happening {
    fn word(self) -> &'static str {
        match self {
            Happening::Paused => "paused",
            Happening::PauseEnding => "pause_ending",
            Happening::Finished => "finished",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug)]
pub struct Notice {
    pub happening: Happening,
    /// On one line.
    pub subject: String,
    pub text: String,
    /// The same for another program.
    pub facts: Value,
}

/// What a notice says of the run that is not in its events.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What the whole is called: "nightly of trunk", "job 1234".
    pub job: Option<String>,
    /// The machine that the run is on.
    pub machine: String,
}

/// Makes notices of the events and puts them into the outboxes.
pub struct Notices {
    about: About,
    outboxes: Vec<Outbox>,
}

impl Notices {
    pub fn new(about: About, outboxes: Vec<Outbox>) -> Notices {
        Notices { about, outboxes }
    }
}

impl Report for Notices {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        if let Some(notice) = self.about.notice(event, summary).map(Arc::new) {
            self.outboxes.iter().for_each(|outbox| outbox.push(&notice));
        }
        Ok(())
    }

    fn recall(&mut self, _: &Event, _: &Summary) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary, _: &[PathBuf]) -> Result<()> {
        Ok(())
    }

    fn name(&self) -> String {
        "notices".into()
    }
}

impl About {
    /// What an event that the summary has taken in gives to tell.
    fn notice(&self, event: &Event, summary: &Summary) -> Option<Notice> {
        let case = event.case.as_ref().and_then(|id| summary.case(id));
        match &event.fact {
            Fact::Paused(pause) => self.paused(Happening::Paused, case?, pause, None, summary),
            Fact::PauseEnding { left, .. } => {
                let case = case?;
                let (_, pause) = case.notes().paused.as_ref()?;
                self.paused(Happening::PauseEnding, case, pause, Some(*left), summary)
            }
            Fact::RunFinished { .. } => Some(self.finished(summary)),
            _ => None,
        }
    }

    fn paused(&self, happening: Happening, case: &Case, pause: &Pause, left: Option<f64>, summary: &Summary) -> Option<Notice> {
        let tag = case.id.as_str();
        let run = summary.run();
        let job = self.job.as_deref().unwrap_or("a job");
        let commands = run.address.as_deref().map(|address| commands(address, tag)).unwrap_or_default();
        let mut text = format!("{}: {}\n", clean(tag), printable(&paused(pause)));
        if let Some(left) = left {
            let left = show_duration(seconds_to_duration(left).unwrap_or_default());
            let _ = write!(
                text,
                "\nNobody has come so far: the pause ends by itself in {left}, and what it holds is then gone on with.\n"
            );
        }
        self.where_it_is(summary, &mut text);
        if let Some(address) = &run.address {
            let _ = write!(
                text,
                "\nIt listens at {}. To list what there is, to continue it, to end it as failed, to look into it:\n\n",
                clean(address)
            );
            for (_, command) in &commands {
                let _ = writeln!(text, "    {}", clean(command));
            }
            let _ = writeln!(text, "\nThe commands work as they stand on {}, for whoever started the run.", clean(&self.machine));
        }
        let log = log(case);
        if !log.is_empty() {
            let rule = "-".repeat(72);
            let _ = write!(text, "\n{rule}\nThe end of the log of {}:\n\n", clean(tag));
            for line in &log {
                let _ = writeln!(text, "{line}");
            }
        }
        let facts = json!({
            "testcase": tag,
            "reason": pause.reason,
            "place": pause.place.as_ref().map(ToString::to_string),
            "until": pause.until,
            "left": left,
            "address": run.address,
            "commands": commands.into_iter().map(|(what, command)| (what.to_string(), Value::String(command))).collect::<serde_json::Map<_, _>>(),
            "log": log,
        });
        let subject = format!("assistance required for {}", clean(job));
        Some(self.told(happening, subject, text, facts, summary))
    }

    fn finished(&self, summary: &Summary) -> Notice {
        let run = summary.run();
        let verdict = summary.verdict();
        let job = self.job.as_deref().or(run.sequence.as_deref()).unwrap_or("a job");
        let machines = if run.targets.is_empty() { String::new() } else { format!(" {}", run.targets.join(" ")) };
        let subject = format!("[xenrt] {}: {}", clean(&format!("{job}{machines}")), verdict_word(verdict));
        let mut text = format!("{}\n", verdict_word(verdict));
        self.where_it_is(summary, &mut text);
        let steered = steered(summary);
        if !steered.is_empty() {
            text.push_str("\nChanged by people:\n");
            for line in steered.iter().take(NAMED) {
                let _ = writeln!(text, "    {}", clean(line));
            }
        }
        Lines::of_the_end(summary).end(summary, &[], &mut text);
        let counts: serde_json::Map<String, Value> =
            Outcome::ALL.into_iter().map(|outcome| (outcome.word().to_string(), summary.count(outcome).into())).collect();
        let not_passed: Vec<Value> = summary.not_passed().take(NAMED).map(outcome_of).collect();
        let facts = json!({
            "verdict": verdict.word(),
            "exit": summary.exit().code(),
            "took": run.took,
            "counts": counts,
            "not_passed": not_passed,
            "changed_by_people": steered.into_iter().take(NAMED).collect::<Vec<_>>(),
        });
        self.told(Happening::Finished, subject, text, facts, summary)
    }

    fn where_it_is(&self, summary: &Summary, text: &mut String) {
        let run = summary.run();
        let rows = [
            ("run", run.id.clone()),
            ("job", self.job.clone().unwrap_or_default()),
            ("sequence", run.sequence.clone().unwrap_or_default()),
            ("on", run.targets.join(", ")),
            ("results", format!("{} on {}", results_of(summary).display(), self.machine)),
        ];
        text.push('\n');
        for (what, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(text, "{what:<9} {}", clean(value));
        }
    }

    fn told(&self, happening: Happening, subject: String, text: String, mut facts: Value, summary: &Summary) -> Notice {
        let run = summary.run();
        if let Some(facts) = facts.as_object_mut() {
            facts.insert("event".into(), happening.word().into());
            facts.insert("subject".into(), subject.clone().into());
            facts.insert("text".into(), text.clone().into());
            facts.insert("run".into(), run.id.clone().into());
            facts.insert("job".into(), self.job.clone().into());
            facts.insert("machine".into(), self.machine.clone().into());
            facts.insert("targets".into(), run.targets.clone().into());
            facts.insert("results".into(), results_of(summary).display().to_string().into());
        }
        Notice { happening, subject, text, facts }
    }
}

/// Where the results are, wherever one reads it.
fn results_of(summary: &Summary) -> PathBuf {
    summary.run().cwd.join(&summary.run().results)
}

/// What is typed to see and end a pause, ready for a shell.
fn commands(address: &str, tag: &str) -> Vec<(&'static str, String)> {
    let line = |words: &[&str]| {
        let words = ["xenrt", "interact", address].into_iter().chain(words.iter().copied()).map(String::from);
        shell_line(&words.collect::<Vec<_>>())
    };
    vec![
        ("list", line(&["-l"])),
        ("continue", line(&["-c", tag])),
        ("abort", line(&["-n", tag])),
        ("attach", line(&["--attach", tag])),
    ]
}

/// The last lines of a testcase's log.
fn log(case: &Case) -> Vec<String> {
    let mut text = String::new();
    case.notes().tail.iter().for_each(|entry: &Entry| entry.write(&mut text));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|line| super::cut_end(line, WIDEST).into_owned()).collect()
}

fn outcome_of(case: &Case) -> Value {
    let place = case.places().next().map(ToString::to_string);
    json!({ "testcase": case.id.as_str(), "outcome": case.outcome.map(Outcome::word), "reason": case.why(), "place": place })
}

/// What people changed in the run: "a: jane set the result to passed". That they looked at something is none.
fn steered(summary: &Summary) -> Vec<String> {
    let of_cases = summary.cases().iter().flat_map(|case| case.all_notes().map(move |notes| (format!("{}: ", case.id), notes)));
    let all = of_cases.chain([(String::new(), summary.notes())]);
    let is_change = |s: &&Steered| !matches!(s.what, Steering::Evaluated { .. } | Steering::Held | Steering::PauseAsked);
    let told = |(whose, notes): (String, &Notes)| {
        let changes = notes.steered.iter().filter(is_change);
        changes.map(|s| format!("{whose}{} {} at {}", s.by, s.what, s.at.date())).collect::<Vec<_>>()
    };
    all.flat_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Beginning, Planned};
    use crate::name::CaseId;
    use crate::time::Timestamp;

    /// What the last of these facts gives to tell.
    fn told(facts: Vec<(Option<&str>, Fact)>) -> Option<Notice> {
        let mut summary = Summary::default();
        let about = About { job: None, machine: "vm".into() };
        let mut last = None;
        for (seq, (case, fact)) in (1..).zip(facts) {
            let event = Event { seq, at: Timestamp::now(), case: case.map(CaseId::new), fact };
            summary.apply(&event);
            last = about.notice(&event, &summary);
        }
        last
    }

    fn begins(id: &str) -> (Option<&str>, Fact) {
        let plan = vec![Planned::new(CaseId::new(id), id)];
        (None, Fact::RunStarted(Box::new(Beginning { run: "r".into(), plan, ..Beginning::default() })))
    }

    fn pauses(reason: &str) -> Fact {
        Fact::Paused(Box::new(Pause { pause: 1, reason: reason.into(), place: None, until: None }))
    }

    #[test]
    fn commands_can_be_pasted_whatever_a_testcase_is_called() {
        let id = "it's[a b]";
        let listens = (None, Fact::Listening { address: "127.0.0.1:99".into() });
        let notice = told(vec![begins(id), listens, (Some(id), pauses("failed: no\nmore of it"))]).unwrap();
        assert_eq!(notice.subject, "assistance required for a job");
        assert_eq!(notice.facts["commands"]["continue"], r"xenrt interact 127.0.0.1:99 -c 'it'\''s[a b]'");
        assert!(notice.text.contains("until somebody continues it: failed: no\nmore of it\n"), "{}", notice.text);
    }

    #[test]
    fn who_is_reminded_is_told_how_long_is_left() {
        let left = Fact::PauseEnding { pause: 1, left: 600.0 };
        let notice = told(vec![begins("a"), (Some("a"), pauses("failed")), (Some("a"), left.clone())]).unwrap();
        assert!(notice.text.contains("the pause ends by itself in 10m"), "{}", notice.text);
        assert_eq!((notice.happening, &notice.facts["left"]), (Happening::PauseEnding, &600.0.into()));
        assert!(told(vec![begins("a"), (Some("a"), left)]).is_none(), "nothing waits");
    }
}
