//! The live reader for a terminal: lines scroll above, and below them stands a block that says what runs now.
//!
//! The block is one rule with the counts and a row for each running testcase. It is drawn at most ten times a second, is never
//! wider or higher than the screen, and is taken away at the end and when this is dropped. The cursor is never hidden, so there is
//! nothing to restore when the process is killed. Who else uses the terminal meanwhile does it through the [`Stage`].

use super::lines::{Lines, Options};
use super::text::{ascii, bar, clean, cut_end, cut_middle, file_name, pad, width};
use super::{Case, Opening, Report, RunningAction, Summary};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Phase};
use crate::time::Timestamp;
use crate::unit::show_duration;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The highest that the block gets.
const ROWS: usize = 12;
/// The widest column of names and of machines.
const NAMES: usize = 36;
const MACHINES: usize = 14;

/// Columns and rows of the screen, asked for each time it is drawn: people resize.
pub type ScreenSize = Box<dyn Fn() -> (usize, usize) + Send>;

/// The terminal of a live reader, for others beside it. Clones are the same.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    block: Option<ProgressBar>,
    /// The last line of the block.
    hint: String,
    /// What somebody else has said.
    text: String,
    /// Whether somebody else has the whole terminal now.
    is_lent: bool,
}

impl Stage {
    /// Shows this in the last line of the block from now on.
    pub fn set_hint(&self, hint: &str) {
        self.lock().hint = hint.into();
    }

    /// Has lines scroll above the block, with its next drawing.
    pub fn say(&self, lines: &str) {
        let mut shared = self.lock();
        shared.text.push_str(lines.trim_end_matches('\n'));
        shared.text.push('\n');
    }

    /// Does work that has the terminal for itself: the block is taken away, and what scrolls waits.
    pub fn lend<T>(&self, work: impl FnOnce() -> T) -> T {
        let block = {
            let mut shared = self.lock();
            shared.is_lent = true;
            shared.block.clone()
        };
        let _back = Back(self);
        match block {
            Some(block) => block.suspend(work),
            None => work(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the terminal back to the live reader, after a panic too.
struct Back<'a>(&'a Stage);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.lock().is_lent = false;
    }
}

/// Draws on a terminal.
pub struct Live {
    lines: Lines,
    block: ProgressBar,
    /// The same terminal, for what scrolls. The block's own way of printing fills lines up with blanks instead of ending them,
    /// and a card copied from the screen would be one long line.
    out: Box<dyn Write + Send>,
    size: ScreenSize,
    /// What is to scroll, collected until the next drawing.
    text: String,
    stage: Stage,
}

/// The live reader where the standard output is a terminal, the plain one elsewhere.
pub(super) fn open(path: &Path, opening: &Opening) -> Result<Box<dyn Report>> {
    let screen = opening.screen;
    if screen().is_none() {
        return super::console::open(path, opening);
    }
    Ok(Box::new(Live::shared(opening, &Stage::default())))
}

impl Live {
    /// Draws on the standard output, which is a terminal that others use too.
    pub fn shared(opening: &Opening, stage: &Stage) -> Live {
        let screen = opening.screen;
        let size = Box::new(move || screen().unwrap_or((80, 24)));
        let live = Live::on(ProgressDrawTarget::stdout_with_hz(10), (opening.stream)(), opening.options, size);
        stage.lock().block = Some(live.block.clone());
        Live { stage: stage.clone(), ..live }
    }

    /// Draws on the terminal that `target` and `out` both are.
    pub fn on(target: ProgressDrawTarget, out: Box<dyn Write + Send>, options: Options, size: ScreenSize) -> Live {
        let options = Options { width: Some(size().0), ..options };
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let block = ProgressBar::with_draw_target(None, target).with_style(style).with_finish(ProgressFinish::AndClear);
        Live { lines: Lines::new(options), block, out, size, text: String::new(), stage: Stage::default() }
    }

    /// Draws what there is to show at this time: what scrolls, and the block.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, now: Timestamp, summary: &Summary) -> Result<()> {
        let (columns, rows) = (self.size)();
        self.lines.options.width = Some(columns);
        self.lines.settle(summary, &mut self.text);
        // Held until all is drawn, so that nobody is lent a terminal that is being drawn on.
        let stage = self.stage.clone();
        let mut shared = stage.lock();
        if shared.is_lent {
            return Ok(());
        }
        self.text.push_str(&std::mem::take(&mut shared.text));
        if summary.run().started.is_some() && !summary.is_over() {
            self.block.set_message(self.block_text(now, summary, (columns, rows), &shared.hint));
        }
        self.scroll()?;
        self.block.tick();
        Ok(())
    }

    fn scroll(&mut self) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let (text, out) = (std::mem::take(&mut self.text), &mut self.out);
        let written = self.block.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        written.at("write to the terminal")
    }

    fn block_text(&self, now: Timestamp, summary: &Summary, (columns, rows): (usize, usize), hint: &str) -> String {
        let room = ROWS.min(rows.saturating_sub(2)).max(2) - 1 - usize::from(!hint.is_empty());
        let running = summary.running();
        let shown = if running.len() > room { room - 1 } else { running.len() };
        let names = running.iter().map(|c| width(c.id.as_str())).max().unwrap_or(0).min(NAMES).min(columns / 3);
        let mut lines = vec![self.rule(now, summary, columns)];
        lines.extend(running.iter().take(shown).map(|case| self.row(case, now, names, columns)));
        if running.len() > shown {
            lines.push(cut_end(&format!(" … and {} more", running.len() - shown), columns).into_owned());
        }
        if !hint.is_empty() {
            lines.push(cut_end(&format!(" {hint}"), columns).into_owned());
        }
        let text = lines.join("\n");
        if self.lines.options.ascii { ascii(&text) } else { text }
    }

    /// "── 7/19 ── 1 failed  3 passed ── 9m12 elapsed ──────".
    fn rule(&self, now: Timestamp, summary: &Summary, columns: usize) -> String {
        let elapsed = show_duration(summary.run().ran_until(now));
        let (plain, painted) = self.lines.tally(summary, false);
        let front = format!("── {}/{} ── ", summary.finished(), summary.tests());
        let back = format!(" ── {elapsed} elapsed ──");
        let used = width(&front) + width(&plain) + width(&back);
        if used > columns {
            return cut_end(&format!("{front}{plain}{back}"), columns).into_owned();
        }
        format!("{front}{painted}{back}{}", "─".repeat(columns - used))
    }

    /// " ▸ sr/TCCoalesce   2m11  h1  wait until the leaf is coalesced  64s".
    fn row(&self, case: &Case, now: Timestamp, names: usize, columns: usize) -> String {
        let mark = if case.phase == Some(Phase::Run) || case.phase.is_none() { '▸' } else { '·' };
        let mark = if case.notes().paused.is_some() { '‖' } else { mark };
        let mark = match (self.lines.options.ascii, mark) {
            (true, '‖') => '=',
            (true, _) => '>',
            (false, mark) => mark,
        };
        let age = case.started.map(|s| show_duration(now.since(s))).unwrap_or_default();
        let name = clean(case.id.as_str());
        let mut line = format!(" {mark} {}  {age:>6}", pad(&cut_middle(&name, names), names));
        if case.attempt > 1 {
            line.push_str(&format!("  attempt {}", case.attempt));
        }
        let notes = case.notes();
        if let Some((_, pause)) = &notes.paused {
            let at = pause.place.as_ref().map(|place| format!(" at {}:{}", file_name(&place.file), place.line)).unwrap_or_default();
            let until = match pause.until {
                Some(until) => format!("goes on by itself in {}", show_duration(until.since(now))),
                None => "held until somebody continues it".to_string(),
            };
            line.push_str(&clean(&format!("  paused{at}, {until}: {}", pause.reason)));
            return cut_end(line.trim_end(), columns).into_owned();
        }
        match notes.actions.last() {
            Some(action) => self.action(action, now, columns, &mut line),
            None => {
                let said = notes.progress.as_ref().map(|p| &*p.text);
                let step = || notes.said_as(crate::event::Level::Step).last().map(|s| &*s.text);
                let phase = || case.phase.filter(|p| *p != Phase::Run).map(Phase::word);
                let text = phase().or(said).or_else(step).unwrap_or_default();
                line.push_str("  ");
                line.push_str(&clean(text));
                if let Some(part) = notes.progress.as_ref().and_then(|p| p.part) {
                    self.bar(part, &mut line);
                }
            }
        }
        cut_end(line.trim_end(), columns).into_owned()
    }

    /// Where, what, for how long, and how far.
    fn action(&self, action: &RunningAction, now: Timestamp, columns: usize, line: &mut String) {
        if let Some(machine) = &action.machine {
            line.push_str("  ");
            line.push_str(&cut_middle(&clean(machine), MACHINES));
        }
        let mut end = format!("  {}", show_duration(now.since(action.since)));
        if let Some(part) = action.progress.as_ref().and_then(|p| p.part) {
            self.bar(part, &mut end);
        }
        let room = columns.saturating_sub(width(line) + width(&end) + 2);
        let what = clean(&action.what);
        let text = match action.progress.as_ref().map(|p| clean(&p.text)) {
            None => what.into_owned(),
            // Where there is no room for both, how far it is says more than what it is.
            Some(said) if width(&what) + 2 + width(&said) > room => said.into_owned(),
            Some(said) => format!("{what}: {said}"),
        };
        line.push_str("  ");
        line.push_str(&cut_end(&text, room));
        line.push_str(&end);
    }

    fn bar(&self, part: f64, line: &mut String) {
        line.push_str("  ");
        line.push_str(&bar(part, 12, self.lines.options.ascii));
    }
}

impl Report for Live {
    fn on_event(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        self.lines.event(event, summary, &mut self.text);
        Ok(())
    }

    fn recall(&mut self, event: &Event, summary: &Summary) -> Result<()> {
        self.lines.recall(event, summary);
        Ok(())
    }

    fn on_tick(&mut self, summary: &Summary) -> Result<()> {
        self.draw(Timestamp::now(), summary)
    }

    fn finish(&mut self, summary: &Summary, files: &[PathBuf]) -> Result<()> {
        self.lines.options.width = Some((self.size)().0);
        self.text.push_str(&std::mem::take(&mut self.stage.lock().text));
        self.lines.end(summary, files, &mut self.text);
        self.block.finish_and_clear();
        self.scroll()
    }

    fn name(&self) -> String {
        "live console".into()
    }
}
