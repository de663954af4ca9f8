//! What a person reads while a run goes on, line by line: shared by the plain console and the live one.

use super::card::{Card, failure_card};
use super::entry::{seconds, subcase_name};
use super::text::{self, Paint, clean, count, cut_end, cut_middle, file_name, pad, width};
use super::{Case, Run, Summary};
use crate::event::{ActionEnd, Event, Fact, Level, Outcome};
use crate::time::Timestamp;
use crate::unit::{show_duration, show_number};
use std::fmt::Write;
use std::path::PathBuf;

/// The widest column of names.
const NAMES: usize = 48;
/// The narrowest: subcases are named in it too.
const NAMES_AT_LEAST: usize = 16;
/// How many failure cards stand at the end of a run of many testcases.
const CARDS_AT_END: usize = 10;
/// How many testcases are named again at the end.
const NAMED_AT_END: usize = 50;
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
    paint: Paint,
    single: bool,
    names: usize,
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
        Lines { options, paint, single: false, names: 0 }
    }

    /// The lines for an event that the summary has taken in, if it is one that matters.
    pub fn event(&mut self, event: &Event, summary: &Summary, out: &mut String) {
        let from = out.len();
        self.lines_of(event, summary, out);
        self.fit(out, from);
    }

    fn lines_of(&mut self, event: &Event, summary: &Summary, out: &mut String) {
        let case = event.case.as_ref().and_then(|id| summary.case(id));
        let name = case.map_or("", |c| c.id.as_str());
        let mut note = |word, text: &str| {
            let name = if self.single { "" } else { name };
            for text in text.split('\n') {
                self.row(&Row { at: event.at, word: self.note_word(word), name, took: None, text }, summary, out);
            }
        };
        match &event.fact {
            Fact::RunStarted { .. } => self.begin(summary, out),
            Fact::RunResumed { .. } => self.resumed(summary, out),
            Fact::CaseStarted { .. } if self.says(Verbosity::Verbose) => note("START", case.map_or("", |c| &c.title)),
            Fact::PhaseStarted { phase } if self.says(Verbosity::Calls) => note("PHASE", phase.word()),
            Fact::Logged { level, text } => {
                let (word, from) = match level {
                    // Of the run itself: that it is being stopped.
                    Level::Warning if event.case.is_none() => ("WARN", Verbosity::Quiet),
                    Level::Warning => ("WARN", Verbosity::Normal),
                    Level::Step => ("STEP", Verbosity::Verbose),
                    Level::Comment | Level::Result => ("NOTE", Verbosity::Verbose),
                    Level::Verbose | Level::Reason | Level::Delimiter => ("LOG", Verbosity::Calls),
                };
                if self.says(from) {
                    note(word, text);
                }
            }
            Fact::ActionStarted { machine, what, .. } if self.says(Verbosity::Calls) => {
                let on = machine.as_ref().map(|m| format!("{m}: ")).unwrap_or_default();
                note("CALL", &format!("{on}{what}"));
            }
            Fact::ActionFinished { took, end, .. } if self.says(Verbosity::Calls) => {
                let (ActionEnd::Ok(said) | ActionEnd::Failed(said)) = end;
                let mark = if matches!(end, ActionEnd::Ok(_)) { "ok" } else { "failed" };
                note("", &format!("{mark} after {}  {said}", seconds(*took)));
            }
            Fact::Measured { name: metric, value, unit, .. } if self.says(Verbosity::Verbose) => {
                note("VALUE", &format!("{metric} = {} {unit}", show_number(*value)));
            }
            Fact::Subcase { group, name: sub, outcome, reason, took, .. } if self.says(Verbosity::Normal) || outcome.is_bad() => {
                let sub = subcase_name(group, sub);
                let name = if self.single { sub } else { format!("{name} {sub}") };
                let word = self.outcome_word(*outcome);
                let text = reason.as_deref().unwrap_or_default();
                self.row(&Row { at: event.at, word, name: &format!("  {name}"), took: Some(*took), text }, summary, out);
            }
            Fact::CaseFinished { .. } => {
                if let Some(case) = case {
                    self.finished(event.at, case, summary, out);
                }
            }
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
        let _ = writeln!(out, "{} {}{:>7}  {text}", now.clock(), self.counter(summary), ".....");
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
    fn fit(&self, out: &mut String, from: usize) {
        if self.options.ascii
            && let Some(tail) = out.get(from..).filter(|t| !t.is_ascii()).map(text::ascii)
        {
            out.truncate(from);
            out.push_str(&tail);
        }
    }

    fn says(&self, from: Verbosity) -> bool {
        self.options.verbosity >= from
    }

    /// Takes in an event whose lines have been shown before.
    pub fn recall(&mut self, event: &Event, summary: &Summary) {
        if matches!(event.fact, Fact::RunStarted { .. }) {
            self.measure(summary);
        }
    }

    fn measure(&mut self, summary: &Summary) {
        self.single = summary.cases().len() == 1;
        self.names = summary.cases().iter().map(|c| width(c.id.as_str())).max().unwrap_or(0).clamp(NAMES_AT_LEAST, NAMES);
    }

    fn begin(&mut self, summary: &Summary, out: &mut String) {
        self.measure(summary);
        let run = summary.run();
        if !self.says(Verbosity::Normal) {
            return;
        }
        let workers = if run.workers > 1 { format!(", {} at a time", run.workers) } else { String::new() };
        let on = if run.targets.is_empty() { String::new() } else { format!("  on {}", clean(&run.targets.join(", "))) };
        let head = self.paint.bold(&format!("xrt {}", clean(&run.version)));
        let _ = writeln!(out, "{head}  run {}  {}{workers}{on}", clean(&run.id), count(summary.cases().len(), "testcase"));
    }

    /// "xrt 0.1.0  run 20261122-…  resumed: 12 of 40 have a result, 3 were running, 25 had not started".
    fn resumed(&self, summary: &Summary, out: &mut String) {
        if !self.says(Verbosity::Normal) {
            return;
        }
        let run = summary.run();
        let (running, waiting): (Vec<&Case>, Vec<&Case>) =
            summary.cases().iter().filter(|case| case.outcome.is_none()).partition(|case| case.has_begun());
        let finished = summary.cases().len() - running.len() - waiting.len();
        let (running, waiting) = (running.len(), waiting.len());
        let was = if running == 1 { "was" } else { "were" };
        let head = self.paint.bold(&format!("xrt {}", clean(&run.version)));
        let _ = writeln!(
            out,
            "{head}  run {}  resumed: {finished} of {} have a result, {running} {was} running, {waiting} had not started",
            clean(&run.id),
            summary.cases().len()
        );
    }

    /// The word of a line about something that is no result.
    fn note_word(&self, word: &str) -> String {
        let padded = format!("{word:>7}");
        if word == "WARN" { self.paint.warning(&padded) } else { self.paint.dim(&padded) }
    }

    fn finished(&self, at: Timestamp, case: &Case, summary: &Summary, out: &mut String) {
        let Some(outcome) = case.outcome else { return };
        if !self.says(Verbosity::Normal) && !outcome.is_bad() {
            return;
        }
        let text = if outcome == Outcome::Passed { String::new() } else { reason_and_place(case) };
        let word = self.outcome_word(outcome);
        let took = case.started.map(|_| case.took);
        self.row(&Row { at, word, name: case.id.as_str(), took, text: &text }, summary, out);
        if self.single {
            self.cards(case, summary, out);
        }
    }

    /// The failure cards of a testcase and of its subcases.
    fn cards(&self, case: &Case, summary: &Summary, out: &mut String) {
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

    fn row(&self, row: &Row, summary: &Summary, out: &mut String) {
        let name = clean(row.name);
        let mut line = format!("{} {}{}", row.at.clock(), self.counter(summary), row.word);
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
    fn counter(&self, summary: &Summary) -> String {
        if self.single {
            return String::new();
        }
        let total = summary.cases().len().to_string();
        format!("[{:>width$}/{total}] ", summary.finished(), width = total.len())
    }

    fn outcome_word(&self, outcome: Outcome) -> String {
        self.paint.outcome(outcome, &format!("{:>7}", text::word(outcome)))
    }
}

/// The end of a run.
impl Lines {
    pub fn end(&self, summary: &Summary, files: &[PathBuf], out: &mut String) {
        let from = out.len();
        let has_cards = !self.single && self.cards_at_end(summary, out);
        if self.says(Verbosity::Normal) {
            self.metrics(summary, out);
            self.totals(summary, out);
        } else if has_cards {
            out.push('\n');
        }
        if !self.single || summary.unfinished() > 0 {
            self.name_again(summary, out);
        }
        if self.says(Verbosity::Normal) {
            for oddity in summary.oddities() {
                let _ = writeln!(out, "{}", self.paint.warning(&format!("odd: {}", clean(&oddity))));
            }
        }
        self.last_words(summary, files, out);
        self.fit(out, from);
    }

    /// Whether there are any.
    fn cards_at_end(&self, summary: &Summary, out: &mut String) -> bool {
        let with_card = |c: &&Case| c.failure.is_some() || c.notes().subcases.iter().any(|s| s.failure.is_some());
        let all: Vec<&Case> = summary.not_passed().filter(with_card).collect();
        for case in all.iter().take(CARDS_AT_END) {
            self.cards(case, summary, out);
        }
        if all.len() > CARDS_AT_END {
            let _ = writeln!(out, "\n{} more failure cards are in the reports and logs", all.len() - CARDS_AT_END);
        }
        !all.is_empty()
    }

    /// The measurements of the one testcase.
    fn metrics(&self, summary: &Summary, out: &mut String) {
        let [case] = summary.cases() else { return };
        let metrics = &case.notes().metrics;
        let names = metrics.iter().map(|m| width(&m.name)).max().unwrap_or(0).min(NAMES);
        let values: Vec<String> = metrics.iter().map(|m| show_number(m.value)).collect();
        let digits = values.iter().map(String::len).max().unwrap_or(0);
        if !metrics.is_empty() {
            out.push('\n');
        }
        for (metric, value) in metrics.iter().zip(values) {
            let name = clean(&metric.name);
            let _ = writeln!(out, "  {}  {value:>digits$} {}", pad(&cut_middle(&name, names), names), clean(&metric.unit));
        }
    }

    /// "── 19 tests in 17m04 ── 15 passed  2 failed ──".
    fn totals(&self, summary: &Summary, out: &mut String) {
        let rule = if self.options.ascii { "--" } else { "──" };
        let time = summary.run().took.map(|t| format!(" in {}", seconds(t))).unwrap_or_default();
        let front = format!("{rule} {}{time} {rule} ", count(summary.cases().len(), "testcase"));
        let (plain, painted) = self.tally(summary, true);
        let fill = self.options.width.unwrap_or(80).saturating_sub(width(&front) + width(&plain) + 1);
        let rest: String = rule.chars().take(1).cycle().take(fill).collect();
        let _ = writeln!(out, "\n{front}{painted} {rest}");
    }

    /// How many ended how, plain and painted: "15 passed  2 failed".
    pub(super) fn tally(&self, summary: &Summary, is_end: bool) -> (String, String) {
        let mut plain = Vec::new();
        let mut painted = Vec::new();
        for outcome in Outcome::ALL {
            let number = summary.count(outcome);
            if number > 0 {
                let text = format!("{number} {}", outcome.word());
                painted.push(self.paint.outcome(outcome, &text));
                plain.push(text);
            }
        }
        let warnings = summary.warnings();
        let without = if is_end { summary.unfinished() } else { 0 };
        let further = [(without, "without a result"), (warnings, if warnings == 1 { "warning" } else { "warnings" })];
        for (number, what) in further.into_iter().filter(|(n, _)| *n > 0) {
            let text = format!("{number} {what}");
            painted.push(self.paint.warning(&text));
            plain.push(text);
        }
        if plain.is_empty() {
            let text = if is_end { "no results" } else { "none finished" };
            plain.push(text.into());
            painted.push(text.into());
        }
        (plain.join("  "), painted.join("  "))
    }

    /// The testcases that did not pass, with their reasons.
    fn name_again(&self, summary: &Summary, out: &mut String) {
        let all: Vec<&Case> = summary.not_passed().collect();
        for case in all.iter().take(NAMED_AT_END) {
            let word = match case.outcome {
                Some(outcome) => self.outcome_word(outcome),
                None => self.paint.outcome(Outcome::Errored, &format!("{:>7}", text::unfinished_word(case.started.is_some()))),
            };
            let why = reason_and_place(case);
            let name = clean(case.id.as_str());
            let line = format!("{word}  {}  {}", pad(&cut_middle(&name, NAMES), self.names), clean(&why));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        if all.len() > NAMED_AT_END {
            let _ = writeln!(out, "        and {} more", all.len() - NAMED_AT_END);
        }
    }

    fn last_words(&self, summary: &Summary, files: &[PathBuf], out: &mut String) {
        let verdict = summary.verdict();
        let exit = summary.exit();
        let word = self.paint.verdict(verdict, text::verdict_word(verdict));
        let mut line = format!("{word} (exit {})", exit.code());
        if !self.says(Verbosity::Normal) {
            let _ = writeln!(out, "{line}");
            return;
        }
        let results = summary.run().results.display().to_string();
        if !results.is_empty() {
            let _ = write!(line, "   results: {}", clean(&results));
        }
        let _ = writeln!(out, "{line}");
        let is_page = |file: &&PathBuf| file.extension().is_some_and(|e| e == "html");
        for file in files.iter().filter(|file| is_page(file) || !file.starts_with(&summary.run().results)) {
            let label = if is_page(&file) { "page: " } else { "wrote:" };
            let _ = writeln!(out, "   {label} {}", clean(&file.display().to_string()));
        }
        if summary.not_passed().next().is_some() {
            let _ = writeln!(
                out,
                "   again: {}",
                clean(&text::shell_line(&rerun(summary.run(), summary.not_passed().map(Case::reference))))
            );
        }
        if !results.is_empty() && !files.iter().any(|file| is_page(&file)) {
            let replay = ["xrt", "replay", results.as_str(), "--report", "html"].map(String::from);
            let _ = writeln!(out, "   page:  {}", clean(&text::shell_line(&replay)));
        }
    }
}

/// "agent did not answer  suspend.rhai:14".
fn reason_and_place(case: &Case) -> String {
    let why = match (case.outcome, case.why()) {
        (_, Some(why)) => why.split('\n').next().unwrap_or_default().to_string(),
        (None, None) => match (case.started, case.phase) {
            (Some(_), Some(phase)) => format!("never finished, it was in {}", phase.word()),
            (Some(_), None) => "never finished".into(),
            (None, _) => "never started".into(),
        },
        (Some(_), None) => String::new(),
    };
    match case.failure.as_ref().and_then(|f| f.frames.first()) {
        Some(frame) => format!("{why}  {}:{}", file_name(&frame.place.file), frame.place.line),
        None => why,
    }
}

/// The command that runs these testcases again: the same one, with only these where it names any.
pub(super) fn rerun<'a>(run: &Run, testcases: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    const FEW: usize = 5;
    let command = &run.command;
    let mut wanted: Vec<&str> = testcases.into_iter().take(FEW + 1).collect();
    wanted.dedup();
    let names_testcases = |word: &str| ["--testcase", "-T"].contains(&word) || word.starts_with("--testcase=");
    if wanted.len() > FEW || wanted.contains(&"") || !command.iter().any(|w| names_testcases(w)) {
        return command.clone();
    }
    let mut again = Vec::new();
    let mut words = command.iter();
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
    again
}
