//! What a piece of work knows about where it stands: its testcase, whom to tell, when to stop.
//!
//! A library object that a script holds carries one of these; so does everything it does for the script.

use crate::error::Result;
use crate::event::{ActionEnd, Bus, Call, Fact, Level};
use crate::name::CaseId;
use crate::time::{Cancel, Timestamp};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many of the last calls to machines a failure card shows.
const CALLS_KEPT: usize = 8;

/// The longest text of an action or a call; a here-document sent to a shell is still recognised by its beginning.
const LONGEST_WHAT: usize = 300;

/// The most lines of its log that one testcase may write: the stream takes whatever is published, so a loop that logs would fill
/// memory faster than any reader empties it.
const LINES_KEPT: u64 = 100_000;

/// The longest text that one line of a log holds, in bytes; a tool's output that is longer belongs into a file.
const LONGEST_LINE: usize = 1 << 20;

/// How often in a second a testcase may say how far it is; more is for nobody's eyes.
const PROGRESS_A_SECOND: u32 = 20;

thread_local! {
    /// What stops the work of this thread instead of what stops all of its context's.
    static OWN: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    bus: Bus,
    case: Option<CaseId>,
    dir: PathBuf,
    began: Instant,
    now: Mutex<Now>,
    next_action: AtomicU64,
    lines: AtomicU64,
}

/// What changes while the work goes on.
struct Now {
    /// Changes once: the clean-ups of a stopped testcase have a limit of their own.
    cancel: Cancel,
    calls: VecDeque<Call>,
    /// What is being done right now, oldest first: what a time limit cut short.
    running: Vec<(u64, String, Instant)>,
    /// The second that is being counted, and how often progress was told in it.
    progress: (Instant, u32),
}

impl Context {
    /// `dir` is where the work may put files; it is made when first needed.
    pub fn new(bus: Bus, case: Option<CaseId>, dir: PathBuf, cancel: Cancel) -> Context {
        let now = Now { cancel, calls: VecDeque::new(), running: Vec::new(), progress: (Instant::now(), 0) };
        let (now, next_action, lines) = (Mutex::new(now), AtomicU64::new(1), AtomicU64::new(0));
        Context(Arc::new(Inner { bus, case, dir, began: Instant::now(), now, next_action, lines }))
    }

    pub fn case(&self) -> Option<&CaseId> {
        self.0.case.as_ref()
    }

    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// For how long this work has gone on.
    pub fn age(&self) -> Duration {
        self.0.began.elapsed()
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
        // The directory of a testcase lies directly below the results.
        let own = self.0.dir.file_name().filter(|_| self.0.case.is_some()).map(PathBuf::from);
        let path = own.unwrap_or_default().join(below);
        self.publish(Fact::Attached { name, path, bytes });
    }

    /// The flag that stops this work: a person's, the testcase's limit, or a caller's.
    pub fn cancel(&self) -> Cancel {
        OWN.with_borrow(Clone::clone).unwrap_or_else(|| self.lock().cancel.clone())
    }

    /// Does work that another flag stops, on this thread: what a person tries in a paused testcase, beside which others go on.
    pub fn stopped_by<T>(&self, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
        struct Before(Option<Cancel>);
        impl Drop for Before {
            fn drop(&mut self) {
                OWN.set(self.0.take());
            }
        }
        let _before = Before(OWN.replace(Some(cancel.clone())));
        work()
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

    /// Writes a line of the log. Beyond [`LINES_KEPT`] only warnings and reasons are written, and the first line left out is told.
    pub fn log(&self, level: Level, text: impl Into<String>) {
        let line = self.0.lines.fetch_add(1, Ordering::Relaxed);
        if line < LINES_KEPT || matches!(level, Level::Warning | Level::Reason) {
            let mut text = text.into();
            if text.len() > LONGEST_LINE {
                let whole = text.len();
                text.truncate(text.floor_char_boundary(LONGEST_LINE));
                text.push_str(&format!("\n[… {} bytes left out …]", whole - text.len()));
            }
            self.publish(Fact::Logged { level, text });
        } else if line == LINES_KEPT {
            let text = format!("the log has {LINES_KEPT} lines; what follows is left out of it");
            self.publish(Fact::Logged { level: Level::Warning, text });
        }
    }

    /// Says how far the work is (of one action, or all of it). What comes too often is left out.
    pub fn progress(&self, action: Option<u64>, text: impl Into<String>, part: Option<f64>) {
        let mut now = self.lock();
        if now.progress.0.elapsed() >= Duration::from_secs(1) {
            now.progress = (Instant::now(), 0);
        }
        now.progress.1 += 1;
        if now.progress.1 <= PROGRESS_A_SECOND {
            self.publish(Fact::Progressed { action, text: text.into(), part });
        }
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
        let clock = Instant::now();
        self.lock().running.push((
            number,
            match machine {
                Some(machine) => format!("`{what}` on {machine}"),
                None => format!("`{what}`"),
            },
            clock,
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
            now.running.retain(|(n, ..)| *n != number);
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
        self.lock().running.last().map(|(_, what, _)| what.clone())
    }

    /// The same, and for how long.
    pub fn doing_since(&self) -> Option<(String, Duration)> {
        self.lock().running.last().map(|(_, what, since)| (what.clone(), since.elapsed()))
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
        self.context.progress(Some(self.number), text, part);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Collector;
    use crate::secret::Mask;

    /// What is published by a piece of work.
    fn published(work: impl FnOnce(&Context)) -> Vec<Fact> {
        let seen = Collector::default();
        let (bus, stream) = Bus::start(Box::new(seen.clone()), Vec::new(), Mask::default(), |_| ()).unwrap();
        work(&Context::new(bus, None, PathBuf::new(), Cancel::new()));
        assert!(stream.close().is_empty());
        seen.facts()
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_says_so() {
        let facts = published(|context| {
            for _ in 0..LINES_KEPT + 50 {
                context.log(Level::Verbose, "again");
            }
            context.log(Level::Reason, "the end");
        });
        assert_eq!(facts.len() as u64, LINES_KEPT + 2);
        let text = |fact: &Fact| serde_json::to_string(fact).unwrap();
        assert!(text(&facts[facts.len() - 2]).contains("left out"), "{:?}", facts[facts.len() - 2]);
        assert!(text(&facts[facts.len() - 1]).contains("the end"));
    }

    #[test]
    fn progress_that_nobody_could_read_is_left_out() {
        let facts = published(|context| (0..1000).for_each(|i| context.progress(None, format!("{i}/1000"), None)));
        assert!(!facts.is_empty() && facts.len() < 500, "{}", facts.len());
    }

    #[test]
    fn calls_are_remembered_and_what_was_cut_short_too() {
        published(|context| {
            for i in 0..20 {
                let _ = context.action(Some("h1"), &format!("call {i}"), |_| Ok(()));
            }
            let calls: Vec<String> = context.calls().into_iter().map(|c| c.what).collect();
            assert_eq!((calls.len(), calls[0].as_str(), calls[7].as_str()), (CALLS_KEPT, "call 12", "call 19"));
            let cancel = Cancel::new();
            context.go_on_with(cancel.clone());
            let _ = context.action(Some("h1"), "reboot", |_| {
                cancel.raise(crate::time::Stop::User);
                cancel.check()
            });
            assert_eq!(context.doing().as_deref(), Some("`reboot` on h1"));
            context.go_on_with(Cancel::new());
            assert_eq!(context.doing(), None);
        });
    }
}
