//! A line of a testcase's log: which facts give one, and how it is written.

use super::text::clean;
use crate::event::{ActionEnd, Change, Event, Fact, Level, Pause};
use crate::time::Timestamp;
use crate::unit::{seconds_to_duration, show_duration, show_number};

/// One entry of a log. Its text may have several lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Timestamp,
    /// "VERBOSE", "WARNING", …: what stands in front of every line.
    pub prefix: &'static str,
    pub text: Box<str>,
}

impl Entry {
    /// The entry that an event gives, if it gives one. The ends of a testcase are told by whoever writes the log.
    pub fn of(event: &Event) -> Option<Entry> {
        let (prefix, text) = match &event.fact {
            Fact::Logged { level, text } => (prefix(*level), text.clone()),
            Fact::PhaseStarted { phase } => ("DELIMIT", phase.word().to_string()),
            Fact::ActionStarted { machine, what, .. } => ("VERBOSE", format!("{}{what} …", on(machine.as_deref()))),
            Fact::ActionFinished { took, end, .. } => action_ended(*took, end),
            Fact::Measured { name, value, unit, .. } => {
                ("RESULT", format!("value {name} = {}", format!("{} {unit}", show_number(*value)).trim_end()))
            }
            Fact::Subcase { group, name, outcome, reason, took, .. } => {
                let reason = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                let text = format!("subcase {} {} after {}{reason}", subcase_name(group, name), outcome.word(), seconds(*took));
                (if outcome.is_bad() { "REASON" } else { "RESULT" }, text)
            }
            Fact::Compared(comparison) => {
                let prefix = if comparison.change == Change::Worse { "WARNING" } else { "RESULT" };
                (prefix, format!("{} is {}: {}", comparison.name, comparison.change.word(), comparison.text))
            }
            Fact::AttemptFinished { attempt, outcome, reason, took, .. } => {
                let reason = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                ("REASON", format!("attempt {attempt} {} after {}{reason}; another is made", outcome.word(), seconds(*took)))
            }
            Fact::RunResumed { version, .. } => ("WARNING", format!("the run goes on, by xrt {version}")),
            Fact::PlanExtended { plan, .. } => ("VERBOSE", format!("{} more in the plan", plan.len())),
            Fact::Paused(pause) => ("WARNING", paused(pause)),
            Fact::PauseEnding { left, .. } => ("WARNING", pause_ending(*left)),
            Fact::Resumed { how, by, took, .. } => {
                let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                ("COMMENT", format!("{}{by} after {}", how.word(), seconds(*took)))
            }
            Fact::Steered { by, what } => ("COMMENT", format!("{by} {what}")),
            Fact::Listening { address } => ("VERBOSE", format!("listens at {address}")),
            Fact::Attached { name, path, bytes } => ("VERBOSE", format!("saved {name} as {} ({bytes} bytes)", path.display())),
            _ => return None,
        };
        Some(Entry { at: event.at, prefix, text: text.into() })
    }

    /// The lines of the entry as `xenrt.log` has them: `[PREFIX] [2026-11-22 09:03:11 UTC] text`.
    pub fn write(&self, out: &mut String) {
        self.write_at(&self.at.log_form(), out);
    }

    /// As `write`, for a caller that knows the written form of the time already: forming it is the dear part.
    pub fn write_at(&self, time: &str, out: &mut String) {
        let mut line = |text: &str| {
            out.push('[');
            out.push_str(self.prefix);
            out.push_str("] [");
            out.push_str(time);
            out.push_str("] ");
            out.push_str(text);
            out.push('\n');
        };
        if self.prefix == "DELIMIT" {
            let rule = "=".repeat(72);
            for text in [rule.as_str(), "", &clean(&self.text), "", &rule] {
                line(text);
            }
            return;
        }
        for text in self.text.split('\n') {
            line(&clean(text.strip_suffix('\r').unwrap_or(text)));
        }
    }
}

/// What is said of a pause: why, where, and until when.
pub fn paused(pause: &Pause) -> String {
    let at = pause.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
    let until = pause.until.map_or_else(|| "until somebody continues it".to_string(), |until| format!("until {}", until.date()));
    format!("paused{at} {until}: {}", pause.reason)
}

/// What is said when a pause is about to end.
pub fn pause_ending(left: f64) -> String {
    format!("the pause ends by itself in {}", seconds(left))
}

fn prefix(level: Level) -> &'static str {
    match level {
        Level::Verbose => "VERBOSE",
        Level::Comment => "COMMENT",
        Level::Warning => "WARNING",
        Level::Reason => "REASON",
        Level::Step => "STEP",
        Level::Delimiter => "DELIMIT",
        Level::Result => "RESULT",
    }
}

fn action_ended(took: f64, end: &ActionEnd) -> (&'static str, String) {
    match end {
        ActionEnd::Ok(said) if said.is_empty() => ("VERBOSE", format!("… ended after {}", seconds(took))),
        ActionEnd::Ok(said) => ("VERBOSE", format!("… ended after {}: {said}", seconds(took))),
        ActionEnd::Failed(why) => ("VERBOSE", format!("… failed after {}: {why}", seconds(took))),
    }
}

fn on(machine: Option<&str>) -> String {
    machine.map(|m| format!("{m}: ")).unwrap_or_default()
}

/// A subcase as people name it.
pub fn subcase_name(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_string() } else { format!("{group}/{name}") }
}

/// Seconds from an event, for people. A log can hold any number; what is no duration is shown as nothing.
pub fn seconds(took: f64) -> String {
    show_duration(seconds_to_duration(took).unwrap_or_default())
}
