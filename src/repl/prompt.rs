//! The prompt on a terminal: the line editor, told what a session knows.

use super::complete::Candidate;
use super::highlight::{Paint, Stretch};
use super::interrupts::Interrupts;
use super::screen::{Screen, Tone};
use super::session::{Answer, Session};
use super::terminal::Kept;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, Completer, CompletionResult, DefaultHinter, EditCommand, Emacs, ExternalPrinter, FileBackedHistory, Highlighter,
    KeyCode, KeyModifiers, MenuBuilder, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, Span, StyledText, Suggestion, ValidationResult, Validator, default_emacs_keybindings,
};
use std::borrow::Cow;
use std::fs::{DirBuilder, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Inputs kept in the history.
const HISTORY: usize = 5000;

/// Lines that may wait for being shown above the prompt.
const WAITING: usize = 1000;

const MENU: &str = "completion";

/// What a prompt talks to: a session here, or one at the other end of a connection.
pub trait Talker: Send + Sync {
    /// Whether an input needs more lines.
    fn is_incomplete(&self, text: &str) -> bool;
    fn highlight(&self, text: &str) -> Vec<Stretch>;
    /// What may stand at byte `at` of an input.
    fn complete(&self, text: &str, at: usize) -> Vec<Candidate>;
    /// Evaluates an input, until its end or until `cancel` is raised.
    fn evaluate(&self, text: &str, cancel: &Cancel) -> Answer;
    /// What stands before the input.
    fn name(&self) -> String;
}

impl Talker for Session {
    fn is_incomplete(&self, text: &str) -> bool {
        Session::is_incomplete(self, text)
    }

    fn highlight(&self, text: &str) -> Vec<Stretch> {
        Session::highlight(self, text)
    }

    fn complete(&self, text: &str, at: usize) -> Vec<Candidate> {
        Session::complete(self, 0, text, at)
    }

    fn evaluate(&self, text: &str, cancel: &Cancel) -> Answer {
        Session::evaluate(self, text, cancel)
    }

    fn name(&self) -> String {
        "xrt".into()
    }
}

/// Reads inputs from the terminal and evaluates them, until the person leaves.
///
/// # Errors
/// The terminal cannot be read.
pub fn talk(
    talker: &Arc<dyn Talker>,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
    terminal: OwnedFd,
    history: &Path,
) -> Result<()> {
    let _kept = Kept::new(terminal);
    let printer = ExternalPrinter::new(WAITING);
    let above = printer.sender();
    let mut editor = editor(talker, screen, interrupts).with_external_printer(printer);
    match remembered(history) {
        Ok(history) => editor = editor.with_history(Box::new(history)),
        Err(error) => screen.aside(Tone::Warning, &format!("warning: no history: {}", error.what)),
    }
    loop {
        match read(&mut editor, &**talker, screen, interrupts, &above)? {
            Signal::Success(text) => {
                // Now, not at the end: what was typed outlives a killed prompt.
                if let Err(error) = editor.sync_history() {
                    tracing::debug!("the history is not written: {error}");
                }
                let cancel = Cancel::new();
                let answer = interrupts.running(&cancel, || talker.evaluate(&text, &cancel));
                screen.answer(&answer);
                if matches!(answer, Answer::Quit | Answer::Release(_)) {
                    return Ok(());
                }
            }
            Signal::CtrlC => {}
            _ => return Ok(()),
        }
    }
}

fn read(
    editor: &mut Reedline,
    talker: &dyn Talker,
    screen: &Screen,
    interrupts: &Interrupts,
    above: &SyncSender<String>,
) -> Result<Signal> {
    screen.open(above.clone());
    let signal = interrupts.waiting(|| editor.read_line(&Left(talker.name())));
    screen.close();
    signal.map_err(|e| Error::new(Kind::Refused, "cannot read from the terminal").blame(Blame::User).because(e))
}

fn editor(talker: &Arc<dyn Talker>, screen: &Screen, interrupts: &Interrupts) -> Reedline {
    let menu = ColumnarMenu::default().with_name(MENU).with_columns(1).with_marker("> ");
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(MENU.into()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, ReedlineEvent::Edit(vec![EditCommand::InsertNewline]));
    let has_colour = screen.has_colour();
    let hint = if has_colour { Style::new().fg(Color::DarkGray) } else { Style::new() };
    Reedline::create()
        .with_validator(Box::new(Ours(talker.clone())))
        .with_highlighter(Box::new(Ours(talker.clone())))
        .with_completer(Box::new(Ours(talker.clone())))
        .with_hinter(Box::new(DefaultHinter::default().with_style(hint)))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_history_exclusion_prefix(Some(" ".into()))
        .with_ansi_colors(has_colour)
        .with_break_signal(interrupts.leave())
        .use_bracketed_paste(true)
}

/// The history of earlier prompts: for its owner's eyes only, since people type passwords.
fn remembered(path: &Path) -> Result<FileBackedHistory> {
    let doing = || format!("keep the history in `{}`", path.display());
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).at(doing())?;
    }
    let file = File::options().create(true).append(true).mode(0o600).open(path).at(doing())?;
    file.set_permissions(Permissions::from_mode(0o600)).at(doing())?;
    FileBackedHistory::with_file(HISTORY, path.to_path_buf()).map_err(std::io::Error::from).at(doing())
}

/// A session as the line editor asks it.
struct Ours(Arc<dyn Talker>);

impl Validator for Ours {
    fn validate(&self, text: &str) -> ValidationResult {
        if self.0.is_incomplete(text) { ValidationResult::Incomplete } else { ValidationResult::Complete }
    }
}

impl Highlighter for Ours {
    fn highlight(&self, text: &str, _: usize) -> StyledText {
        let mut styled = StyledText::new();
        for stretch in self.0.highlight(text) {
            styled.push((style(stretch.paint), text[stretch.range].to_string()));
        }
        styled
    }
}

fn style(paint: Paint) -> Style {
    match paint {
        Paint::Plain => Style::new(),
        Paint::Keyword => Color::Purple.bold(),
        Paint::Text => Color::Green.normal(),
        Paint::Number => Color::LightBlue.normal(),
        Paint::Comment => Color::DarkGray.normal(),
        Paint::Variable => Color::Cyan.normal(),
        Paint::Function => Color::Blue.bold(),
    }
}

impl Completer for Ours {
    fn complete(&mut self, text: &str, at: usize) -> CompletionResult {
        let suggestion = |candidate: super::Candidate| Suggestion {
            value: candidate.text,
            description: Some(candidate.about).filter(|about| !about.is_empty()),
            span: Span::new(candidate.range.start, candidate.range.end),
            ..Suggestion::default()
        };
        CompletionResult::fresh(self.0.complete(text, at).into_iter().map(suggestion).collect::<Vec<_>>())
    }
}

/// What stands before the input.
struct Left(String);

impl reedline::Prompt for Left {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        self.0.as_str().into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "...> ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = if matches!(search.status, PromptHistorySearchStatus::Failing) { "nothing for: " } else { "" };
        format!(" history ({failing}{}) ", search.term).into()
    }
}
