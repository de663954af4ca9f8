//! The end of a run as a person reads it: cards, totals, verdicts, what to look at, and what to type next.

use super::bunch::{Alike, NAMED};
use super::entry::seconds;
use super::lines::{Lines, NAMES, Verbosity, change_word, compared, story_of};
use super::text::{self, clean, count, cut_middle, pad, width};
use super::{Case, Summary, rerun};
use crate::event::{Change, Outcome, Rate, Role};
use crate::unit::show_number;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

/// How many failure cards stand at the end of a run of many testcases.
const CARDS_AT_END: usize = 10;
/// How many testcases are named again at the end, of those that did not pass and of those that passed only just.
const NAMED_AT_END: usize = 50;
/// How many values that became worse are told again.
const WORSE_AT_END: usize = 20;

impl Lines {
    pub fn end(&mut self, summary: &Summary, files: &[PathBuf], out: &mut String) {
        self.settle(summary, out);
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
            self.comparisons(summary, out);
            self.judgement(summary, out);
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
        let front = format!("{rule} {}{time} {rule} ", count(summary.tests(), "testcase"));
        let (plain, painted) = self.tally(summary, true);
        let fill = self.options.width.unwrap_or(80).saturating_sub(width(&front) + width(&plain) + 1);
        let rest: String = rule.chars().take(1).cycle().take(fill).collect();
        let _ = writeln!(out, "\n{}", format!("{front}{painted} {rest}").trim_end());
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
        for role in [Role::Action, Role::Cleanup] {
            let counts = summary.counts(role);
            for outcome in [Outcome::Failed, Outcome::Errored] {
                let number = counts[outcome as usize];
                if number > 0 {
                    let text = format!("{} {}", count(number, role.word()), outcome.word());
                    painted.push(self.paint.outcome(outcome, &text));
                    plain.push(text);
                }
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

    /// What did not pass, with its reason; then what passed and is to be known all the same. Many that were not run for one reason
    /// are one line.
    fn name_again(&self, summary: &Summary, out: &mut String) {
        self.list(&summary.not_passed().collect::<Vec<_>>(), out);
        self.list(&summary.cases().iter().filter(|case| case.is_notable()).collect::<Vec<_>>(), out);
    }

    fn list(&self, all: &[&Case], out: &mut String) {
        let mut alike: HashMap<Alike, Vec<&Case>> = HashMap::new();
        for case in all.iter().filter(|c| !c.has_begun()) {
            alike.entry(Alike::of(case)).or_default().push(case);
        }
        alike.retain(|_, cases| cases.len() > NAMED);
        let mut lines = 0;
        let mut left = 0;
        for case in all {
            let bunch = if case.has_begun() { None } else { alike.get(&Alike::of(case)) };
            if bunch.is_some_and(|bunch| bunch[0].id != case.id) {
                continue;
            }
            lines += 1;
            match bunch {
                _ if lines > NAMED_AT_END => left += bunch.map_or(1, Vec::len),
                Some(bunch) => {
                    let why = format!("{}  ({} … {})", story_of(case), case.id, bunch[bunch.len() - 1].id);
                    self.named(case, &count(bunch.len(), case.role.word()), &why, out);
                }
                None => self.named(case, case.id.as_str(), &story_of(case), out),
            }
        }
        if left > 0 {
            let _ = writeln!(out, "         and {left} more");
        }
    }

    fn named(&self, case: &Case, name: &str, why: &str, out: &mut String) {
        let word = match case.outcome {
            Some(outcome) => self.outcome_word(outcome),
            None => self.paint.outcome(Outcome::Errored, &format!("{:>7}", text::unfinished_word(case.has_begun()))),
        };
        let line = format!("{word}  {}  {}", pad(&cut_middle(&clean(name), NAMES), self.names), clean(why));
        let _ = writeln!(out, "{}", line.trim_end());
    }

    /// What became better or worse, in numbers, and the worse ones by name.
    fn comparisons(&self, summary: &Summary, out: &mut String) {
        let of = |change| {
            let all = summary.cases().iter().flat_map(move |c| c.notes().comparisons.iter().map(move |k| (c, k)));
            all.filter(move |(_, comparison)| comparison.change == change)
        };
        let counts = [Change::Better, Change::Same, Change::Worse].map(|change| (change, of(change).count()));
        if counts.iter().all(|(_, number)| *number == 0) {
            return;
        }
        for (case, comparison) in of(Change::Worse).take(WORSE_AT_END) {
            let word = self.paint.outcome(Outcome::Failed, &format!("{:>7}", change_word(Change::Worse)));
            let name = pad(&cut_middle(&clean(case.id.as_str()), NAMES), self.names);
            let _ = writeln!(out, "{word}  {name}  {}", clean(&compared(comparison)));
        }
        let counts: Vec<String> =
            counts.iter().filter(|(_, number)| *number > 0).map(|(change, number)| format!("{number} {}", change.word())).collect();
        let _ = writeln!(out, "Compared values: {}", counts.join(", "));
    }

    /// The two verdicts of a sequence, and the rates where they say more than the totals.
    fn judgement(&self, summary: &Summary, out: &mut String) {
        let run = summary.run();
        let judged = summary.judgement();
        let word = |passed| {
            let (outcome, word) = if passed { (Outcome::Passed, "PASS") } else { (Outcome::Failed, "FAIL") };
            self.paint.outcome(outcome, word)
        };
        if run.sequence.is_some() {
            let _ = writeln!(out, "Sequence: {}", word(judged.sequence));
        }
        if judged.rates.len() > 1 || judged.rates.keys().any(|p| *p != 1) || !run.criteria.rates.is_empty() {
            let rates: Vec<String> = judged.rates.iter().map(|(p, rate)| rate_text(*p, *rate, run.criteria.wanted(*p))).collect();
            let _ = writeln!(out, "Pass rates: {}", rates.join("  "));
        }
        if run.sequence.is_some() {
            let _ = writeln!(out, "Regression: {}", word(judged.regression));
        }
        if let Some(seed) = run.seed {
            let _ = writeln!(out, "Shuffled with {seed}: --shuffle={seed} gives this order again");
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
        let mut hint = |label: &str, command: Option<Vec<String>>| {
            if let Some(command) = command {
                let _ = writeln!(out, "   {label:<6} {}", clean(&text::shell_line(&command)));
            }
        };
        hint("again:", rerun::of_the_run(summary));
        hint("rest:", rerun::of_the_rest(summary));
        if !results.is_empty() && !files.iter().any(|file| is_page(&file)) {
            let replay = ["xrt", "replay", results.as_str(), "--report", "html"].map(String::from);
            let _ = writeln!(out, "   page:  {}", clean(&text::shell_line(&replay)));
        }
    }
}

/// "P2: 50% (1 of 2)", with the rate that was wanted where it is not all of them.
fn rate_text(priority: u32, rate: Rate, wanted: f64) -> String {
    let wanted = if wanted < 100.0 { format!(", {} wanted", percentage(wanted)) } else { String::new() };
    format!("P{priority}: {} ({} of {}{wanted})", percentage(rate.percent()), rate.passed, rate.tests)
}

/// "66.6%". Never rounded up: 1,999 of 2,000 are not all.
pub(super) fn percentage(percent: f64) -> String {
    let percent = (percent * 10.0).floor() / 10.0;
    if percent.fract() == 0.0 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}
