//! Inputs without a prompt: from a pipe, or from the command line.

use super::interrupts::Interrupts;
use super::prompt::Talker;
use super::screen::Screen;
use super::session::Answer;
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::event::{Criteria, Judgement, Tested};
use crate::time::Cancel;
use std::io::BufRead;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often a wait for input looks whether a signal came.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Evaluates inputs line by line as they come, each as soon as it is complete, until the end or the first that fails.
///
/// # Errors
/// The lines cannot be read.
pub fn feed(talker: &dyn Talker, screen: &Screen, interrupts: &Interrupts, lines: impl BufRead + Send + 'static) -> Result<Exit> {
    let lines = reader(lines)?;
    let leave = interrupts.leave();
    let mut text = String::new();
    loop {
        let line = interrupts.waiting(|| {
            loop {
                match lines.recv_timeout(LOOK_EVERY) {
                    Ok(line) => return line.map(Some),
                    Err(RecvTimeoutError::Timeout) if !leave.load(Ordering::SeqCst) => {}
                    Err(_) => return Ok(None),
                }
            }
        })?;
        if leave.load(Ordering::SeqCst) {
            return Ok(Exit::Stopped);
        }
        let is_over = line.is_none();
        if let Some(line) = line {
            text.push_str(&line);
            text.push('\n');
            if talker.is_incomplete(text.trim_end_matches('\n')) {
                continue;
            }
        }
        let input = std::mem::take(&mut text);
        match once(talker, screen, interrupts, input.trim_end_matches('\n')) {
            Some(exit) => return Ok(exit),
            None if is_over => return Ok(Exit::Passed),
            None => {}
        }
    }
}

/// Evaluates an input and shows what came of it; how the process ends with it, if it does.
pub fn once(talker: &dyn Talker, screen: &Screen, interrupts: &Interrupts, text: &str) -> Option<Exit> {
    let cancel = Cancel::new();
    let answer = interrupts.running(&cancel, || talker.evaluate(text, &cancel));
    screen.answer(&answer);
    match answer {
        Answer::Nothing | Answer::Value(_) | Answer::Help(_) => None,
        Answer::Quit | Answer::Release(_) => Some(Exit::Passed),
        Answer::Stopped { .. } => Some(Exit::Stopped),
        Answer::Skipped(_) => Some(Exit::NothingRan),
        Answer::Failed { is_syntax: true, .. } => Some(Exit::Usage),
        Answer::Failed { outcome, .. } => {
            let tested = Tested { outcome: Some(outcome), ..Tested::default() };
            Some(Judgement::over(&Criteria::default(), [tested], false).verdict.exit())
        }
    }
}

/// The lines, read by a thread of their own: a read cannot be interrupted, and the process may end while it waits in one.
fn reader(lines: impl BufRead + Send + 'static) -> Result<Receiver<Result<String>>> {
    let (sender, receiver) = channel();
    let read = move || {
        for line in lines.lines() {
            let line = line.map_err(|e| Error::new(Kind::Malformed, "cannot read the input").blame(Blame::User).because(e));
            let is_over = line.is_err();
            if sender.send(line).is_err() || is_over {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("input".into()).spawn(read);
    thread.map_err(|e| Error::new(Kind::Internal, "no thread for the input").because(e))?;
    Ok(receiver)
}
