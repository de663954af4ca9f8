//! What happens while an input is evaluated, line by line: what scripts log, warnings, and the calls to machines with their times.

use super::screen::{Screen, Tone};
use crate::error::Result;
use crate::event::{ActionEnd, Event, Fact, Level, Phase, Sink};
use crate::time::Timestamp;
use crate::unit::{seconds_to_duration, show_duration, show_number};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take before it is told that it runs.
const QUIET: Duration = Duration::from_secs(1);

/// Reads the events of a prompt and shows them.
pub struct Happenings {
    screen: Arc<Screen>,
    /// Whether calls to machines are shown, as people like it and programs do not.
    shows_calls: bool,
    running: BTreeMap<u64, Running>,
    /// What was logged while a machine was called. When the call's end follows at once it is the command's output, which the
    /// statement's value repeats.
    held: Vec<String>,
}

struct Running {
    machine: Option<String>,
    what: String,
    since: Timestamp,
    /// When it was last told that it runs, or how far it is.
    told: Option<Timestamp>,
}

impl Happenings {
    pub fn new(screen: Arc<Screen>, shows_calls: bool) -> Happenings {
        Happenings { screen, shows_calls, running: BTreeMap::new(), held: Vec::new() }
    }

    fn calls(&self, text: &str) {
        if self.shows_calls {
            self.screen.aside(Tone::Dim, text);
        }
    }

    fn release(&mut self) {
        for text in std::mem::take(&mut self.held) {
            self.screen.line(Tone::Plain, &text);
        }
    }

    fn logged(&mut self, level: Level, text: &str) {
        match level {
            Level::Verbose if self.running.values().any(|r| r.machine.is_some()) => self.held.push(text.to_string()),
            Level::Verbose => self.screen.line(Tone::Plain, text),
            Level::Comment => self.screen.line(Tone::Plain, &format!("comment: {text}")),
            Level::Result => self.screen.line(Tone::Plain, &format!("result: {text}")),
            Level::Reason => self.screen.aside(Tone::Warning, &format!("reason: {text}")),
            Level::Warning => self.screen.aside(Tone::Warning, &format!("warning: {text}")),
            Level::Step => self.screen.aside(Tone::Strong, &format!("▸ {text}")),
            Level::Delimiter => self.screen.aside(Tone::Dim, &format!("── {text} ──")),
        }
    }

    fn finished(&mut self, number: u64, took: f64, end: &ActionEnd) {
        let Some(running) = self.running.remove(&number) else { return };
        if running.machine.is_some() {
            for text in std::mem::take(&mut self.held).iter().filter(|t| t.starts_with("stderr: ")) {
                self.screen.aside(Tone::Dim, text);
            }
        }
        let took = seconds_to_duration(took).map(show_duration).unwrap_or_default();
        let end = match end {
            ActionEnd::Ok(said) => said.clone(),
            ActionEnd::Failed(why) => format!("failed: {why}"),
        };
        self.calls(format!("  {}  {took}  {end}", running.title()).trim_end());
    }

    fn progressed(&mut self, at: Timestamp, action: Option<u64>, text: &str) {
        match action.map(|number| self.running.get_mut(&number)) {
            None => self.calls(&format!("  {text}")),
            Some(Some(running)) if at.since(running.told.unwrap_or(running.since)) >= QUIET => {
                running.told = Some(at);
                let line = format!("  {}  {text}", running.title());
                self.calls(&line);
            }
            Some(_) => {}
        }
    }
}

impl Running {
    fn title(&self) -> String {
        match &self.machine {
            Some(machine) => format!("{machine}: {}", self.what),
            None => self.what.clone(),
        }
    }
}

impl Sink for Happenings {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        let ends_call = matches!(&event.fact, Fact::ActionFinished { action, .. }
            if self.running.get(action).is_some_and(|r| r.machine.is_some()));
        let goes_on = matches!(&event.fact, Fact::Logged { level: Level::Verbose, .. });
        if !ends_call && !goes_on {
            self.release();
        }
        match &event.fact {
            Fact::Logged { level, text } => self.logged(*level, text),
            Fact::ActionStarted { action, machine, what } => {
                let running = Running { machine: machine.clone(), what: what.clone(), since: event.at, told: None };
                self.running.insert(*action, running);
            }
            Fact::ActionFinished { action, took, end } => self.finished(*action, *took, end),
            Fact::Progressed { action, text, .. } => self.progressed(event.at, *action, text),
            Fact::Measured { name, value, unit, .. } => {
                self.screen.line(Tone::Plain, format!("{name} = {} {unit}", show_number(*value)).trim_end());
            }
            Fact::Subcase { group, name, outcome, reason, .. } => {
                let name = if group.is_empty() { name.clone() } else { format!("{group}/{name}") };
                let reason = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                self.screen.line(Tone::Plain, &format!("{name} {}{reason}", outcome.word()));
            }
            Fact::Attached { path, .. } => self.calls(&format!("  saved {}", path.display())),
            Fact::PhaseStarted { phase: Phase::Cleanup } => self.screen.aside(Tone::Dim, "clean-ups, the last registered first:"),
            _ => {}
        }
        Ok(())
    }

    fn on_tick(&mut self) -> Result<()> {
        self.release();
        let now = Timestamp::now();
        let mut lines = Vec::new();
        for running in self.running.values_mut().filter(|r| r.told.is_none() && now.since(r.since) >= QUIET) {
            running.told = Some(now);
            lines.push(format!("  {} …", running.title()));
        }
        lines.iter().for_each(|line| self.calls(line));
        Ok(())
    }

    fn name(&self) -> String {
        "prompt".into()
    }
}
