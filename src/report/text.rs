//! Text for people: made safe to print, measured and cut in columns, coloured, and the words and signs of outcomes.

use crate::event::{Outcome, Verdict};
use nu_ansi_term::{Color, Style};
use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text on one line, without anything that could move a cursor or hide: control characters become visible signs.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(visible).collect())
}

/// The text with its lines, each made safe as by [`clean`].
pub fn printable(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

fn is_unsafe(c: char) -> bool {
    // Controls, the marks that reorder or hide what follows (bidirectional overrides, byte order mark), and what XML cannot hold.
    let hides = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    c.is_control() || hides || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn visible(c: char) -> char {
    match c {
        '\t' | '\n' => ' ',
        '\u{7f}' => '␡',
        c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('·'),
        c if is_unsafe(c) => '·',
        c => c,
    }
}

/// The text in ASCII, each character that is not replaced by one that stands for it.
pub fn ascii(text: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii() => c,
        '…' => '~',
        '─' | '━' => '-',
        '│' => '|',
        '·' | '•' => '.',
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// Columns on a screen.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text cut at its end to at most so many columns, with a sign that it was.
pub fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut cut = head(text, columns.saturating_sub(1)).to_string();
    if columns > 0 {
        cut.push('…');
    }
    Cow::Owned(cut)
}

/// The text cut in its middle: the beginning and the end of a name say most.
pub fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns < 3 {
        return cut_end(text, columns);
    }
    let tail_columns = (columns - 1) / 2;
    let mut tail = text.len();
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > tail_columns {
            break;
        }
        tail = at;
    }
    let front = head(text, columns - 1 - width(&text[tail..]));
    Cow::Owned(format!("{front}…{}", &text[tail..]))
}

/// The longest beginning of the text that fits.
fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// The text followed by blanks up to so many columns.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A bar for a part from 0 to 1, with its percentage: "████████░░░░░░░░  50%".
pub fn bar(part: f64, columns: usize, is_ascii: bool) -> String {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    let full = (part * columns as f64).round() as usize;
    let (on, off) = if is_ascii { ("#", "-") } else { ("█", "░") };
    format!("{}{} {:>3.0}%", on.repeat(full), off.repeat(columns - full), part * 100.0)
}

/// The last part of a path: what people call a file.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A line of a shell that gives these words again.
pub fn shell_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// "1 warning", "3 warnings".
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What an outcome is called in a column of results, at most seven columns wide.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASS",
        Outcome::Partial => "PARTIAL",
        Outcome::Flaky => "FLAKY",
        Outcome::Failed => "FAIL",
        Outcome::Errored => "ERROR",
        Outcome::Skipped => "SKIP",
        Outcome::Blocked => "BLOCKED",
    }
}

/// What stands for a testcase without an outcome: started and not finished, or never started.
pub fn unfinished_word(started: bool) -> &'static str {
    if started { "CUT OFF" } else { "NOT RUN" }
}

/// The judgement as the last word of a run.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "PASSED",
        Verdict::Failed => "FAILED",
        Verdict::Errored => "ERRORED",
        Verdict::NothingRan => "NOTHING RAN",
        Verdict::Stopped => "STOPPED",
        Verdict::Incomplete => "INCOMPLETE",
    }
}

/// Why nothing but the run itself can be blamed for its verdict.
pub fn run_reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Stopped => "the run was stopped",
        Verdict::Incomplete => "the run did not come to its end, or its log is damaged",
        Verdict::NothingRan => "nothing ran",
        Verdict::Passed | Verdict::Failed | Verdict::Errored => "the run as a whole did not pass",
    }
}

/// Puts colour on text, or does not.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    pub colour: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.colour { style.paint(text).to_string() } else { text.to_string() }
    }

    pub fn outcome(self, outcome: Outcome, text: &str) -> String {
        let colour = match outcome {
            Outcome::Passed => Color::Green,
            Outcome::Partial | Outcome::Flaky | Outcome::Skipped => Color::Yellow,
            Outcome::Failed => Color::Red,
            Outcome::Errored => Color::Purple,
            Outcome::Blocked => Color::Blue,
        };
        self.with(colour.bold(), text)
    }

    pub fn verdict(self, verdict: Verdict, text: &str) -> String {
        match verdict {
            Verdict::Passed => self.outcome(Outcome::Passed, text),
            Verdict::Failed => self.outcome(Outcome::Failed, text),
            Verdict::NothingRan => self.outcome(Outcome::Skipped, text),
            Verdict::Errored | Verdict::Stopped | Verdict::Incomplete => self.outcome(Outcome::Errored, text),
        }
    }

    pub fn warning(self, text: &str) -> String {
        self.with(Color::Yellow.normal(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with(Color::Red.normal(), text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    pub fn bold(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        for (text, expected) in [
            ("plain, ünïcode 日本", "plain, ünïcode 日本"),
            ("a\x1b[2Jb\x07\x00", "a␛[2Jb␇␀"),
            ("two\nlines\tand tab\r", "two lines and tab␍"),
            ("\u{202e}txt.exe\u{9b}", "·txt.exe·"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn cuts_are_measured_in_columns() {
        for (text, columns, expected) in [
            ("guest/TCSuspend", 15, "guest/TCSuspend"),
            ("guest/TCSuspend[web1]", 11, "guest…web1]"),
            ("日本語日本語", 7, "日本…語"),
            ("abcdef", 2, "a…"),
            ("abcdef", 1, "…"),
            ("abcdef", 0, ""),
        ] {
            let cut = cut_middle(text, columns);
            assert!(width(&cut) <= columns, "{cut}");
            assert_eq!(cut, expected);
        }
        assert_eq!(cut_end("日本語", 5), "日本…");
        assert_eq!(pad("日", 4), "日  ");
    }

    #[test]
    fn a_command_can_be_pasted_again() {
        let words = ["xrt", "--guest", "root@[::1]:22", "note=it's me", ""].map(String::from);
        assert_eq!(shell_line(&words), r"xrt --guest 'root@[::1]:22' 'note=it'\''s me' ''");
    }
}
