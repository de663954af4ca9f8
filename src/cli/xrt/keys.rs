//! The keys of a person at the terminal of a run: what runs, what it says, a prompt in what is paused.
//!
//! They are heard on a thread of their own while the live block is shown, which waits for them and does nothing else. Nothing here
//! makes the run wait.

use crate::cli::Io;
use crate::cli::xenrt::{attach, interact};
use crate::error::{Error, Kind, Result};
use crate::event::Release;
use crate::interact::{Address, Client, Listed};
use crate::name::CaseId;
use crate::repl::{Interrupts, Keyboard};
use crate::report::{Stage, Verbosity, printable};
use crate::run::{Control, Status};
use crate::time::Cancel;
use std::io::{PipeReader, PipeWriter, pipe};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The last line of the live block.
const HINT: &str = "t status  l log  a attach  p pause next  c continue  ? keys";

const HELP: &str = "keys:
  t  what runs, and where it stands
  l  the last lines of the log of what runs
  a  a prompt in a paused testcase; Ctrl-D leaves it paused
  p  have the next testcase that ends wait for a person
  c  let everything that is paused go on
  Ctrl-C ends the run, with its clean-ups; once more, at once
";

/// Lines of the log that one key shows.
const LINES: usize = 20;

/// Whoever sits at a prompt on this terminal, whom its signals are for. Clones are the same.
#[derive(Clone, Default)]
pub struct Sitting(Arc<Mutex<Option<Interrupts>>>);

impl Sitting {
    /// Hands a signal on. False when nobody sits there, or it was for more than a statement.
    pub fn ring(&self) -> bool {
        self.now().is_some_and(|interrupts| interrupts.ring())
    }

    fn now(&self) -> Option<Interrupts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, now: Option<Interrupts>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// Keys are heard until this is dropped.
pub struct Keys {
    over: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    sitting: Sitting,
}

impl Keys {
    /// Hears keys. `by` is who presses them, `address` where the run can be steered.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn hear(
        keyboard: Keyboard,
        io: Io,
        stage: Stage,
        (control, address): (Control, &Address),
        by: String,
        sitting: &Sitting,
    ) -> Result<Keys> {
        let none = |e: std::io::Error| Error::new(Kind::Internal, "no thread for the keys").because(e);
        let (ended, over) = pipe().map_err(none)?;
        stage.set_hint(HINT);
        let client = Client::new(&Address { user: by.clone(), ..address.clone() })?;
        let mut hands = Hands { keyboard, io, stage, control, client, by, sitting: sitting.clone(), offered: Vec::new() };
        let thread = std::thread::Builder::new().name("keys".into()).spawn(move || hands.work(&ended)).map_err(none)?;
        Ok(Keys { over: Some(over), thread: Some(thread), sitting: sitting.clone() })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.over = None;
        // The run is over: who still sits at a prompt has nothing to talk to.
        if let Some(interrupts) = self.sitting.now() {
            interrupts.end();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the keys reach.
struct Hands {
    keyboard: Keyboard,
    io: Io,
    stage: Stage,
    control: Control,
    client: Client,
    by: String,
    sitting: Sitting,
    /// What is paused, where several are and one was asked for: a digit chooses.
    offered: Vec<CaseId>,
}

impl Hands {
    fn work(&mut self, ended: &PipeReader) {
        while let Some(key) = self.keyboard.next(ended) {
            self.press(key);
        }
    }

    fn press(&mut self, key: u8) {
        let offered = std::mem::take(&mut self.offered);
        match key {
            b't' => self.status(),
            b'l' => self.log(),
            b'a' => self.attach(),
            b'p' => {
                self.control.pause_next(&self.by);
                self.stage.say("the next testcase that ends waits for a person");
            }
            b'c' if self.control.release_all(Release::Continue, &self.by).is_empty() => self.stage.say("nothing is paused"),
            b'?' | b'h' => self.stage.say(HELP),
            b'1'..=b'9' => {
                if let Some(id) = offered.get(usize::from(key - b'1')) {
                    self.sit(id);
                }
            }
            _ => {}
        }
    }

    fn status(&self) {
        let all: Vec<Listed> = self.control.standing().into_iter().map(Listed::from).collect();
        self.stage.say(&interact::listing(&all, self.io.look(Verbosity::Normal).width));
    }

    fn log(&self) {
        let running: Vec<String> =
            self.control.standing().iter().filter(|s| s.status != Status::Finished).map(|s| format!("{}: ", s.id)).collect();
        match self.client.call("xmlrpcLogger", vec![], &Cancel::new()) {
            Err(error) => self.stage.say(&printable(&error.what)),
            Ok(lines) => {
                let all = interact::texts(lines);
                let is_ours = |line: &&String| running.iter().any(|tag| line.starts_with(tag)) && !line.contains(": [DELIMIT] ");
                let ours: Vec<&String> = all.iter().filter(is_ours).collect();
                let last = ours.iter().skip(ours.len().saturating_sub(LINES));
                let text: String = last.map(|line| format!("{}\n", printable(line))).collect();
                self.stage.say(if text.is_empty() { "what runs has said nothing lately" } else { &text });
            }
        }
    }

    fn attach(&mut self) {
        let paused: Vec<CaseId> = self.control.standing().into_iter().filter(|s| s.pause.is_some()).map(|s| s.id).collect();
        match paused.as_slice() {
            [] => self.stage.say("nothing is paused; p has the next testcase that ends wait"),
            [only] => self.sit(only),
            several => {
                let rows = several.iter().take(9).enumerate().map(|(n, id)| format!("  {}  {}\n", n + 1, printable(id.as_str())));
                self.stage.say(&format!("{} are paused; the digit chooses:\n{}", several.len(), rows.collect::<String>()));
                self.offered = paused;
            }
        }
    }

    fn sit(&self, id: &CaseId) {
        let interrupts = Interrupts::default();
        self.sitting.set(Some(interrupts.clone()));
        let screen = attach::screen(&self.io, true);
        let talk = || attach::sit(&self.io, &self.client, id.as_str(), true, &screen, &interrupts);
        let said = self.stage.lend(|| self.keyboard.lend(talk));
        self.sitting.set(None);
        if let Err(error) = said {
            self.stage.say(&printable(&format!("no prompt in {id}: {}", error.what)));
        }
    }
}
