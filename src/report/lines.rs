//! What a person reads while a run goes on, line by line: shared by the plain console and the live one.

use super::bunch::Bunch;
use super::card::{Card, failure_card};
use super::entry::{pause_ending, paused, seconds, subcase_name};
use super::text::{self, Paint, clean, count, cut_end, cut_middle, file_name, pad, width};
use super::{Case, Summary};
use crate::event::{ActionEnd, Change, Comparison, Event, Fact, Failure, Level, Outcome, Role};
use crate::time::Timestamp;
use crate::unit::{show_duration, show_number};
use std::fmt::Write;

/// The widest column of names.
pub(super) const NAMES: usize = 48;
/// The narrowest: subcases are named in it too.
const NAMES_AT_LEAST: usize = 16;
/// How many of the running testcases a heartbeat names.
const NAMED_IN_HEARTBEAT: usize = 5;

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// What is not a pass, and the last word.
    Quiet,
    #[default]
    Normal,
    /// Also what begins, and every step.
    Verbose,
    /// Also every call to a machine.
    Calls,
}

impl Verbosity {
    /// What `-q` and so many `-v` ask for.
    pub fn from_flags(quiet: bool, verbose: u8) -> Verbosity {
        match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (_, 0) => Verbosity::Normal,
            (_, 1) => Verbosity::Verbose,
            _ => Verbosity::Calls,
        }
    }
}

/// How things are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub verbosity: Verbosity,
    pub colour: bool,
    /// Columns; nothing for a stream that has none, where no line is cut.
    pub width: Option<usize>,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
}

/// Makes lines of events.
pub struct Lines {
    pub(super) options: Options,
    pub(super) paint: Paint,
    /// Whether there is only one testcase, which needs no name and no counter.
    pub(super) single: bool,
    /// The column of names.
    pub(super) names: usize,
    /// What was not run for one reason, and is not shown yet.
    bunch: Bunch,
}

/// The parts of a line.
struct Row<'a> {
    at: Timestamp,
    /// Already padded and coloured.
    word: String,
    name: &'a str,
    took: Option<f64>,
    text: &'a str,
}

impl Lines {
    pub fn new(options: Options) -> Lines {
        let paint = Paint { colour: options.colour };
        Lines { options, paint, single: false, names: 0, bunch: Bunch::default() }
    }

    /// For the end of a run alone: nothing was shown of it before.
    pub(super) fn of_the_end(summary: &Summary) -> Lines {
        let mut lines = Lines::new(Options::default());
        lines.measure(summary);
        lines.single = false;
        lines
    }

    /// The lines for an event that the summary has taken in, if it is one that matters.
    pub fn event(&mut self, event: &Event, summary: &Summary, out: &mut String) {
        if let (Fact::CaseFinished { .. }, Some(case)) = (&event.fact, event.case.as_ref().and_then(|id| summary.case(id)))
            && self.is_for_a_bunch(case)
        {
            if !self.bunch.takes(case) {
                self.settle(summary, out);
            }
            self.bunch.add(event.at, case, summary.finished());
            return;
        }
        let from = out.len();
        let mut text = String::new();
        self.lines_of(event, summary, &mut text);
        if !text.is_empty() {
            self.settle(summary, out);
            out.push_str(&text);
        }
        self.fit(out, from);
    }

    /// Shows what was held back, as more of its sort might have followed.
    pub fn settle(&mut self, summary: &Summary, out: &mut String) {
        let from = out.len();
        let bunch = std::mem::take(&mut self.bunch);
        for (at, id, finished) in bunch.named() {
            if let Some(case) = summary.case(id) {
                self.finished(*at, case, *finished, summary, out);
            }
        }
        if let Some(line) = bunch.line() {
            let outcome = line.alike.outcome.unwrap_or(Outcome::Skipped);
            let (word, name) = (self.outcome_word(outcome), count(line.number, line.alike.role.word()));
            let why = said_of(outcome, line.alike.why.lines().next().unwrap_or_default());
            let text = format!("{why}  ({} … {})", line.first, line.last);
            self.row(&Row { at: line.at, word, name: &name, took: None, text: &text }, line.finished, summary, out);
        }
        self.fit(out, from);
    }

    /// What was not even begun: of many such, one line is enough.
    fn is_for_a_bunch(&self, case: &Case) -> bool {
        let is_told = match case.outcome {
            Some(Outcome::Skipped) => self.options.verbosity == Verbosity::Normal,
            Some(Outcome::Blocked) => self.options.verbosity <= Verbosity::Normal,
            _ => false,
        };
        is_told && !case.has_begun() && !self.single
    }

    fn lines_of(&mut self, event: &Event, summary: &Summary, out: &mut String) {
        match &event.fact {
            Fact::RunStarted(_) => self.begin(summary, out),
            Fact::RunResumed { .. } => self.resumed(summary, out),
            Fact::PlanExtended { plan, .. } => {
                self.measure(summary);
                self.note(event, ("PLAN", Verbosity::Verbose), &format!("{} more in the plan", plan.len()), summary, out);
            }
            Fact::StepStarted { .. } | Fact::StepFinished { .. } => {
                let text = step_text(&event.fact, summary);
                if !text.is_empty() {
                    self.note(event, ("GROUP", Verbosity::Verbose), &text, summary, out);
                }
            }
            Fact::Subcase { .. } | Fact::AttemptFinished { .. } | Fact::CaseFinished { .. } => self.result(event, summary, out),
            _ => self.work(event, summary, out),
        }
    }

    /// A line about something that is no result, with its word, if so much is said.
    fn note(&self, event: &Event, (word, from): (&str, Verbosity), text: &str, summary: &Summary, out: &mut String) {
        if !self.says(from) {
            return;
        }
        let name = if self.single { "" } else { event.case.as_ref().map_or("", |id| id.as_str()) };
        for text in text.split('\n') {
            let word = self.note_word(word);
            self.row(&Row { at: event.at, word, name, took: None, text }, summary.finished(), summary, out);
        }
    }

    /// What a testcase does.
    fn work(&self, event: &Event, summary: &Summary, out: &mut String) {
        let mut note = |word, from, text: &str| self.note(event, (word, from), text, summary, out);
        match &event.fact {
            Fact::CaseStarted { attempt: 1, .. } => {
                let title = event.case.as_ref().and_then(|id| summary.case(id)).map_or("", |c| &c.title);
                note("START", Verbosity::Verbose, title);
            }
            Fact::CaseStarted { attempt, .. } => note("START", Verbosity::Verbose, &format!("attempt {attempt}")),
            Fact::PhaseStarted { phase } => note("PHASE", Verbosity::Calls, phase.word()),
            Fact::Logged { level, text } => match level {
                // Of the run itself: that it is being stopped.
                Level::Warning if event.case.is_none() => note("WARN", Verbosity::Quiet, text),
                Level::Warning => note("WARN", Verbosity::Normal, text),
                Level::Step => note("STEP", Verbosity::Verbose, text),
                Level::Comment | Level::Result => note("NOTE", Verbosity::Verbose, text),
                Level::Verbose | Level::Reason | Level::Delimiter => note("LOG", Verbosity::Calls, text),
            },
            Fact::ActionStarted { machine, what, .. } => {
                let on = machine.as_ref().map(|m| format!("{m}: ")).unwrap_or_default();
                note("CALL", Verbosity::Calls, &format!("{on}{what}"));
            }
            Fact::ActionFinished { took, end, .. } => {
                let (ActionEnd::Ok(said) | ActionEnd::Failed(said)) = end;
                let mark = if matches!(end, ActionEnd::Ok(_)) { "ok" } else { "failed" };
                note("", Verbosity::Calls, &format!("{mark} after {}  {said}", seconds(*took)));
            }
            Fact::Measured { name, value, unit, .. } => {
                note("VALUE", Verbosity::Verbose, &format!("{name} = {} {unit}", show_number(*value)));
            }
            Fact::Listening { address } => {
                note("LISTEN", Verbosity::Normal, &format!("xrt can be steered at {address}; see xrt help interact"));
            }
            Fact::Paused(pause) => note("PAUSED", Verbosity::Quiet, &paused(pause)),
            Fact::PauseEnding { left, .. } => note("PAUSED", Verbosity::Quiet, &pause_ending(*left)),
            Fact::Resumed { how, by, took, .. } => {
                let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                note("RESUMED", Verbosity::Normal, &format!("{}{by} after {}", how.word(), seconds(*took)));
            }
            Fact::Steered { by, what } => note("STEERED", Verbosity::Normal, &format!("{by} {what}")),
            Fact::Compared(comparison) => {
                let from = if comparison.change == Change::Same { Verbosity::Verbose } else { Verbosity::Normal };
                note(change_word(comparison.change), from, &compared(comparison));
            }
            _ => {}
        }
    }

    /// How something ended.
    fn result(&self, event: &Event, summary: &Summary, out: &mut String) {
        let Some(case) = event.case.as_ref().and_then(|id| summary.case(id)) else { return };
        let (at, done) = (event.at, summary.finished());
        match &event.fact {
            Fact::Subcase { group, name, outcome, reason, took, .. } if self.says(Verbosity::Normal) || outcome.is_bad() => {
                let name = subcase_name(group, name);
                let name = if self.single { format!("  {name}") } else { format!("  {} {name}", case.id) };
                let (word, text) = (self.outcome_word(*outcome), reason.as_deref().unwrap_or_default());
                self.row(&Row { at, word, name: &name, took: Some(*took), text }, done, summary, out);
            }
            Fact::AttemptFinished { attempt, outcome, reason, took, failure } if self.says(Verbosity::Normal) => {
                let why = reason.as_deref().or(failure.as_ref().map(|f| f.message.as_str())).unwrap_or_default();
                let text = format!("attempt {attempt}: {}", with_place(why, failure.as_deref()));
                let (word, name) = (self.outcome_word(*outcome), case.id.as_str());
                self.row(&Row { at, word, name, took: Some(*took), text: &text }, done, summary, out);
            }
            Fact::CaseFinished { .. } => self.finished(at, case, done, summary, out),
            _ => {}
        }
    }

    /// What runs and for how long.
    pub fn heartbeat(&self, now: Timestamp, summary: &Summary, out: &mut String) {
        let running = summary.running();
        let mut parts: Vec<String> =
            running.iter().take(NAMED_IN_HEARTBEAT).map(|c| format!("{} {}", clean(c.id.as_str()), self.age(c, now))).collect();
        if running.len() > parts.len() {
            parts.push(format!("{} more", running.len() - parts.len()));
        }
        let text = if parts.is_empty() { "nothing runs".to_string() } else { format!("running: {}", parts.join(", ")) };
        let from = out.len();
        let _ = writeln!(out, "{} {}{:>7}  {text}", now.clock(), self.counter(summary.finished(), summary), ".....");
        self.fit(out, from);
    }

    /// How long a testcase has been running, and what it is doing when that is known.
    fn age(&self, case: &Case, now: Timestamp) -> String {
        let age = case.started.map(|s| show_duration(now.since(s))).unwrap_or_default();
        match case.notes().actions.last() {
            Some(action) => format!("{age} ({})", cut_end(&clean(&action.what), 60)),
            None => age,
        }
    }

    /// Makes what was written from there on fit for a stream that takes only ASCII, if it is one.
    pub(super) fn fit(&self, out: &mut String, from: usize) {
        if self.options.ascii
            && let Some(tail) = out.get(from..).filter(|t| !t.is_ascii()).map(text::ascii)
        {
            out.truncate(from);
            out.push_str(&tail);
        }
    }

    pub(super) fn says(&self, from: Verbosity) -> bool {
        self.options.verbosity >= from
    }

    /// Takes in an event whose lines have been shown before.
    pub fn recall(&mut self, event: &Event, summary: &Summary) {
        if matches!(event.fact, Fact::RunStarted(_) | Fact::PlanExtended { .. }) {
            self.measure(summary);
        }
    }

    fn measure(&mut self, summary: &Summary) {
        self.single = summary.cases().len() == 1;
        self.names = summary.cases().iter().map(|c| width(c.id.as_str())).max().unwrap_or(0).clamp(NAMES_AT_LEAST, NAMES);
    }

    fn begin(&mut self, summary: &Summary, out: &mut String) {
        self.measure(summary);
        if !self.says(Verbosity::Normal) {
            return;
        }
        let run = summary.run();
        let of = run.sequence.as_ref().map(|name| format!("{}  ", clean(name))).unwrap_or_default();
        let workers = if run.workers > 1 { format!(", {} at a time", run.workers) } else { String::new() };
        let on = if run.targets.is_empty() { String::new() } else { format!("  on {}", clean(&run.targets.join(", "))) };
        let head = self.paint.bold(&format!("xrt {}", clean(&run.version)));
        let _ = writeln!(out, "{head}  run {}  {of}{}{workers}{on}", clean(&run.id), planned(summary));
    }

    /// "xrt 0.1.0  run 20261122-…  resumed: 12 of 40 have a result, 3 were running, 25 had not started".
    fn resumed(&self, summary: &Summary, out: &mut String) {
        if !self.says(Verbosity::Normal) {
            return;
        }
        let run = summary.run();
        let all: Vec<&Case> = summary.cases().iter().filter(|case| case.role == Role::Testcase).collect();
        let running = all.iter().filter(|case| case.outcome.is_none() && case.has_begun()).count();
        let finished = all.iter().filter(|case| case.outcome.is_some()).count();
        let waiting = all.len() - finished - running;
        let (have, was) = (if finished == 1 { "has" } else { "have" }, if running == 1 { "was" } else { "were" });
        let head = self.paint.bold(&format!("xrt {}", clean(&run.version)));
        let _ = writeln!(
            out,
            "{head}  run {}  resumed: {finished} of {} {have} a result, {running} {was} running, {waiting} had not started",
            clean(&run.id),
            all.len()
        );
    }

    /// The word of a line about something that is no result.
    fn note_word(&self, word: &str) -> String {
        let padded = format!("{word:>7}");
        match word {
            "WARN" | "PAUSED" | "STEERED" => self.paint.warning(&padded),
            "WORSE" => self.paint.outcome(Outcome::Failed, &padded),
            "BETTER" => self.paint.outcome(Outcome::Passed, &padded),
            _ => self.paint.dim(&padded),
        }
    }

    fn finished(&self, at: Timestamp, case: &Case, done: usize, summary: &Summary, out: &mut String) {
        let Some(outcome) = case.outcome else { return };
        // A single one is not named again at the end.
        let is_notable = self.single && matches!(outcome, Outcome::Flaky | Outcome::Partial);
        if !self.says(Verbosity::Normal) && !outcome.is_bad() && !is_notable {
            return;
        }
        let word = self.outcome_word(outcome);
        let took = case.started.map(|_| case.took);
        self.row(&Row { at, word, name: case.id.as_str(), took, text: &story_of(case) }, done, summary, out);
        if self.single {
            self.cards(case, summary, out);
        }
    }

    /// The failure cards of a testcase and of its subcases.
    pub(super) fn cards(&self, case: &Case, summary: &Summary, out: &mut String) {
        let log = summary.run().results.join(&case.dir).join("xenrt.log").display().to_string();
        let hints: Vec<(&str, String)> = if case.started.is_some() { vec![("log", log)] } else { Vec::new() };
        let own = case.failure.iter().zip(case.outcome).map(|(f, o)| (case.id.to_string(), o, f));
        let subcases = &case.notes().subcases;
        let of_subcases =
            subcases.iter().filter_map(|s| Some((format!("{} {}", case.id, s.full_name()), s.outcome, s.failure.as_ref()?)));
        for (title, outcome, failure) in of_subcases.chain(own) {
            out.push('\n');
            out.push_str(&failure_card(&Card { title: &title, outcome, failure, hints: &hints }, &self.options));
        }
    }

    fn row(&self, row: &Row, done: usize, summary: &Summary, out: &mut String) {
        let name = clean(row.name);
        let mut line = format!("{} {}{}", row.at.clock(), self.counter(done, summary), row.word);
        let most = self.options.width.map_or(NAMES, |w| NAMES.min(w * 2 / 5));
        let names = self.names.min(most);
        let shown = cut_middle(&name, most);
        if !name.is_empty() {
            let _ = write!(line, "  {}", pad(&shown, names));
        }
        if let Some(took) = row.took {
            let _ = write!(line, "  {:>7}", seconds(took));
        }
        if !row.text.is_empty() {
            let text = clean(row.text);
            let room = self.options.width.map_or(usize::MAX, |w| w.saturating_sub(self.plain_width(&line) + 2));
            let _ = write!(line, "  {}", cut_end(&text, room));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }

    /// The columns of a line, not counting what colours it.
    fn plain_width(&self, line: &str) -> usize {
        if !self.options.colour {
            return width(line);
        }
        let mut columns = 0;
        for (number, part) in line.split('\x1b').enumerate() {
            let text = if number == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) };
            columns += width(text);
        }
        columns
    }

    /// How many testcases are through, "[ 3/19] "; nothing where there is only one.
    fn counter(&self, done: usize, summary: &Summary) -> String {
        if self.single {
            return String::new();
        }
        let total = summary.tests().to_string();
        format!("[{done:>width$}/{total}] ", width = total.len())
    }

    pub(super) fn outcome_word(&self, outcome: Outcome) -> String {
        self.paint.outcome(outcome, &format!("{:>7}", text::word(outcome)))
    }
}

/// "12 testcases, 1 action, 2 clean-ups".
pub(super) fn planned(summary: &Summary) -> String {
    let mut text = count(summary.tests(), Role::Testcase.word());
    for role in [Role::Action, Role::Cleanup] {
        match summary.planned(role) {
            0 => {}
            number => text.push_str(&format!(", {}", count(number, role.word()))),
        }
    }
    text
}

/// "serial Install has begun"; nothing for the whole of the plan.
pub(super) fn step_text(fact: &Fact, summary: &Summary) -> String {
    let (Fact::StepStarted { step: number } | Fact::StepFinished { step: number, .. }) = fact else { return String::new() };
    let known = summary.steps().iter().find(|s| s.step == *number);
    if known.is_some_and(super::Step::is_root) {
        return String::new();
    }
    let what = known.map_or_else(|| format!("step {number}"), super::Step::name);
    match fact {
        Fact::StepFinished { took, block, .. } => {
            let block = block.as_ref().map(|b| format!("; what follows is {b}")).unwrap_or_default();
            format!("{what} ended after {}{block}", seconds(*took))
        }
        _ => format!("{what} has begun"),
    }
}

/// The end of a testcase in a line: what it is if it is no test, why it is no pass, and where.
pub(super) fn story_of(case: &Case) -> String {
    let why = if case.is_plain_pass() { String::new() } else { reason_and_place(case) };
    match (case.role, why.as_str()) {
        (Role::Testcase, _) => why,
        (role, "") => role.word().into(),
        (role, why) => format!("{}: {why}", role.word()),
    }
}

/// "agent did not answer  suspend.rhai:14".
fn reason_and_place(case: &Case) -> String {
    let why = match (case.outcome, case.why()) {
        (Some(outcome), Some(why)) => said_of(outcome, why.split('\n').next().unwrap_or_default()).to_string(),
        (None, Some(why)) => why.split('\n').next().unwrap_or_default().to_string(),
        (None, None) => match (case.has_begun(), case.phase) {
            (true, Some(phase)) => format!("never finished, it was in {}", phase.word()),
            (true, None) => "never finished".into(),
            (false, _) => "never started".into(),
        },
        (Some(Outcome::Flaky), None) => format!("passed in attempt {}", case.attempt),
        (Some(_), None) => String::new(),
    };
    with_place(&why, case.failure.as_deref())
}

fn with_place(why: &str, failure: Option<&Failure>) -> String {
    match failure.and_then(|f| f.frames.first()) {
        Some(frame) => format!("{why}  {}:{}", file_name(&frame.place.file), frame.place.line),
        None => why.to_string(),
    }
}

/// A reason without the word that stands before it.
pub(super) fn said_of(outcome: Outcome, why: &str) -> &str {
    if outcome == Outcome::Blocked { why.strip_prefix("blocked ").unwrap_or(why) } else { why }
}

pub(super) fn change_word(change: Change) -> &'static str {
    match change {
        Change::Better => "BETTER",
        Change::Same => "SAME",
        Change::Worse => "WORSE",
    }
}

pub(super) fn compared(comparison: &Comparison) -> String {
    if comparison.text.contains(&comparison.name) {
        comparison.text.clone()
    } else {
        format!("{}: {}", comparison.name, comparison.text)
    }
}
