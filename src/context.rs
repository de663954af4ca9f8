//! What a piece of work knows about where it stands: its testcase, whom to tell, when to stop.
//!
//! A library object that a script holds carries one of these; so does everything it does for the script.

use crate::error::Result;
use crate::event::{ActionEnd, Bus, Call, Fact, Level};
use crate::name::CaseId;
use crate::time::{Cancel, Timestamp};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many of the last calls to machines a failure card shows.
const CALLS_KEPT: usize = 8;

/// The longest text of an action or a call; a here-document sent to a shell is still recognised by its beginning.
const LONGEST_WHAT: usize = 300;

#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    bus: Bus,
    case: Option<CaseId>,
    dir: PathBuf,
    now: Mutex<Now>,
    next_action: AtomicU64,
}

/// What changes while the work goes on.
struct Now {
    /// Changes once: the clean-ups of a stopped testcase have a limit of their own.
    cancel: Cancel,
    calls: VecDeque<Call>,
    /// What is being done right now, oldest first: what a time limit cut short.
    running: Vec<(u64, String)>,
}

impl Context {
    /// `dir` is where the work may put files; it is made when first needed.
    pub fn new(bus: Bus, case: Option<CaseId>, dir: PathBuf, cancel: Cancel) -> Context {
        let now = Now { cancel, calls: VecDeque::new(), running: Vec::new() };
        Context(Arc::new(Inner { bus, case, dir, now: Mutex::new(now), next_action: AtomicU64::new(1) }))
    }

    pub fn case(&self) -> Option<&CaseId> {
        self.0.case.as_ref()
    }

    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// The directory for files of this work. It may not exist yet: see [`Context::file`].
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The path for a new file of this work, its directory made.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        use crate::error::Whereabouts;
        let path = self.0.dir.join(name);
        let parent = path.parent().unwrap_or(&self.0.dir);
        std::fs::create_dir_all(parent).at(format_args!("make the directory `{}`", parent.display()))?;
        Ok(path)
    }

    /// Tells the stream that a file (or a directory with files) belongs to this work, if it lies in its directory.
    pub fn attach(&self, path: &Path) {
        let Ok(below) = path.strip_prefix(&self.0.dir) else { return };
        let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        let name = below.to_string_lossy().into_owned();
        let path = self.0.case.as_ref().map(|id| PathBuf::from(id.directory())).unwrap_or_default().join(below);
        self.publish(Fact::Attached { name, path, bytes });
    }

    /// The flag that stops this work: a person's, the testcase's limit, or a caller's.
    pub fn cancel(&self) -> Cancel {
        self.lock().cancel.clone()
    }

    /// From now on this work is stopped by another flag: its clean-ups outlive what stopped it.
    pub fn go_on_with(&self, cancel: Cancel) {
        let mut now = self.lock();
        now.cancel = cancel;
        now.running.clear();
    }

    pub fn publish(&self, fact: Fact) {
        self.0.bus.publish(self.0.case.as_ref(), fact);
    }

    pub fn log(&self, level: Level, text: impl Into<String>) {
        self.publish(Fact::Logged { level, text: text.into() });
    }

    /// Does something to a machine (or waits), told to the stream with its time, and remembered for a failure card.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn action<T>(&self, machine: Option<&str>, what: &str, work: impl FnOnce(&Action) -> Result<T>) -> Result<T> {
        let what = clip(what, LONGEST_WHAT);
        let number = self.0.next_action.fetch_add(1, Ordering::Relaxed);
        let action = Action { context: self, number, said: Mutex::default() };
        let started = Timestamp::now();
        let clock = std::time::Instant::now();
        self.lock().running.push((
            number,
            match machine {
                Some(machine) => format!("`{what}` on {machine}"),
                None => format!("`{what}`"),
            },
        ));
        self.publish(Fact::ActionStarted { action: number, machine: machine.map(str::to_string), what: what.clone() });
        let result = work(&action);
        let took = clock.elapsed().as_secs_f64();
        let end = match &result {
            Ok(_) => ActionEnd::Ok(std::mem::take(&mut *action.said.lock().unwrap_or_else(PoisonError::into_inner))),
            Err(error) => ActionEnd::Failed(clip(&error.what, LONGEST_WHAT)),
        };
        self.publish(Fact::ActionFinished { action: number, took, end: end.clone() });
        let mut now = self.lock();
        // What a limit cut short stays, so that whoever judges can say what was waited for.
        if result.is_ok() || !now.cancel.is_raised() {
            now.running.retain(|(n, _)| *n != number);
        }
        if let Some(machine) = machine {
            if now.calls.len() == CALLS_KEPT {
                now.calls.pop_front();
            }
            now.calls.push_back(Call { at: started, machine: machine.to_string(), what, took, end });
        }
        result
    }

    /// The last calls to machines, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    /// What was being done on a machine (or waited for) when the limit struck, if anything: the innermost.
    pub fn doing(&self) -> Option<String> {
        self.lock().running.last().map(|(_, what)| what.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something being done; tells how far it is.
pub struct Action<'a> {
    context: &'a Context,
    number: u64,
    said: Mutex<String>,
}

impl Action<'_> {
    pub fn progress(&self, text: impl Into<String>, part: Option<f64>) {
        self.context.publish(Fact::Progressed { action: Some(self.number), text: text.into(), part });
    }

    /// What there is to say of it when it ends well ("exit 0, 12 lines").
    pub fn says(&self, text: impl Into<String>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// Waits, seeing the flag that stops this work.
    ///
    /// # Errors
    /// As [`Cancel::check`].
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        self.context.cancel().sleep(duration)
    }
}

/// A text cut to at most so many characters, with a sign that it was, on one line.
pub fn clip(text: &str, longest: usize) -> String {
    let mut cut: String = text.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
