//! Notices on their way to people who are elsewhere: a queue with an end, and a thread that waits for whoever takes them, so that
//! nobody else does.

use super::notice::{Happening, Notice};
use crate::error::Result;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many notices wait at most.
const MOST: usize = 100;

/// A way to get a notice to somebody: a mail, a web hook.
pub trait Messenger: Send + Sync {
    /// What to call it in a message ("mail").
    fn name(&self) -> &'static str;

    /// Whether anybody wants to hear of this now.
    fn takes(&self, happening: Happening) -> bool;

    /// Sends it, within a limit of its own.
    ///
    /// # Errors
    /// What came between.
    fn send(&self, notice: &Notice) -> Result<()>;
}

/// Told what could not be sent, and why.
pub type Complain = Arc<dyn Fn(&str) + Send + Sync>;

/// What waits for one messenger. Clones are the same.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    messenger: Box<dyn Messenger>,
    complain: Complain,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Notice>>,
    is_sending: bool,
    /// Whether there is a thread: a run of which nobody is told has none.
    is_served: bool,
}

impl Outbox {
    pub fn new(messenger: Box<dyn Messenger>, complain: Complain) -> Outbox {
        Outbox(Arc::new(Shared { messenger, complain, queue: Mutex::default(), changed: Condvar::new() }))
    }

    /// Takes a notice, if anybody wants it. Never waits.
    pub(super) fn push(&self, notice: &Arc<Notice>) {
        let shared = &self.0;
        if !shared.messenger.takes(notice.happening) {
            return;
        }
        let mut queue = shared.queue();
        // What still waits at the end is of pauses that are over; the end is what people want to know.
        let is_end = notice.happening == Happening::Finished;
        let over = if is_end { std::mem::take(&mut queue.waiting).len() } else { 0 };
        let is_full = queue.waiting.len() >= MOST;
        if !is_full {
            queue.waiting.push_back(notice.clone());
        }
        let is_first = !std::mem::replace(&mut queue.is_served, true);
        drop(queue);
        shared.changed.notify_all();
        if over > 0 {
            shared.complain(&format!("not sent before the end of the run: {}", super::count(over, "notice")));
        }
        if is_full {
            shared.complain(&format!("not sent, as {MOST} wait already: {}", notice.subject));
        }
        if is_first {
            let serving = shared.clone();
            let thread = std::thread::Builder::new().name(shared.messenger.name().into()).spawn(move || serving.serve());
            if let Err(error) = thread {
                shared.queue().waiting.clear();
                shared.complain(&format!("not sent, there is no thread: {error}"));
            }
        }
    }

    /// Waits until everything is sent, or given up, but no longer than this. Says whether it is.
    pub fn wait(&self, limit: Duration) -> bool {
        let queue = self.0.queue();
        let waited = self.0.changed.wait_timeout_while(queue, limit, |queue| queue.is_sending || !queue.waiting.is_empty());
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !queue.is_sending && queue.waiting.is_empty()
    }

    /// Waits until everything of all is sent, for so long, and gives up the rest. `slow` is called when it takes longer than this.
    pub fn close(all: &[Outbox], limit: Duration, (silent, slow): (Duration, impl FnOnce())) {
        let until = Instant::now() + limit;
        if !all.iter().all(|outbox| outbox.wait(silent)) {
            slow();
        }
        for outbox in all {
            if !outbox.wait(until.saturating_duration_since(Instant::now())) {
                outbox.0.queue().waiting.clear();
                outbox.0.complain("given up: what was to be sent at the end of the run is not gone yet");
            }
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, what: &str) {
        (self.complain)(&format!("{}: {what}", self.messenger.name()));
    }

    /// The thread lives as long as the process.
    fn serve(&self) {
        loop {
            let mut queue =
                self.changed.wait_while(self.queue(), |queue| queue.waiting.is_empty()).unwrap_or_else(PoisonError::into_inner);
            let Some(notice) = queue.waiting.pop_front() else { continue };
            queue.is_sending = true;
            drop(queue);
            if let Err(error) = self.messenger.send(&notice) {
                self.complain(&format!("\"{}\" was not sent: {}", notice.subject, error.report()));
            }
            self.queue().is_sending = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use std::sync::mpsc::{Receiver, Sender, channel};

    type Said = Arc<Mutex<Vec<String>>>;

    /// Tells the subject of a notice, and has sent it when it is let.
    struct Slow {
        let_go: Mutex<Receiver<Result<()>>>,
        begun: Sender<String>,
    }
    impl Messenger for Slow {
        fn name(&self) -> &'static str {
            "pigeon"
        }
        fn takes(&self, happening: Happening) -> bool {
            happening != Happening::PauseEnding
        }
        fn send(&self, notice: &Notice) -> Result<()> {
            self.begun.send(notice.subject.clone()).unwrap();
            self.let_go.lock().unwrap().recv().unwrap()
        }
    }

    fn notice(happening: Happening, subject: &str) -> Arc<Notice> {
        Arc::new(Notice { happening, subject: subject.into(), text: String::new(), facts: serde_json::Value::Null })
    }

    /// An outbox that is served when it is let, what it begins with, and what it complains of.
    fn slow() -> (Outbox, Sender<Result<()>>, Receiver<String>, Said) {
        let ((letting, let_go), (begun, begins)) = (channel(), channel());
        let said = Said::default();
        let told = said.clone();
        let complain: Complain = Arc::new(move |text| told.lock().unwrap().push(text.to_string()));
        (Outbox::new(Box::new(Slow { let_go: Mutex::new(let_go), begun }), complain), letting, begins, said)
    }

    #[test]
    fn who_hands_over_never_waits_and_the_end_is_sent_first() {
        let (outbox, letting, begins, said) = slow();
        assert!(outbox.wait(Duration::ZERO), "nothing is to be sent");
        outbox.push(&notice(Happening::PauseEnding, "unwanted"));
        assert!(outbox.wait(Duration::ZERO));
        outbox.push(&notice(Happening::Paused, "pause"));
        assert_eq!(begins.recv().unwrap(), "pause");
        (0..=MOST).for_each(|n| outbox.push(&notice(Happening::Paused, &format!("pause {n}"))));
        assert!(!outbox.wait(Duration::ZERO), "the first is on its way");
        outbox.push(&notice(Happening::Finished, "the end"));
        letting.send(Ok(())).unwrap();
        letting.send(Err(Error::new(Kind::Unreachable, "a hawk"))).unwrap();
        assert_eq!(begins.recv().unwrap(), "the end");
        assert!(outbox.wait(Duration::from_secs(20)));
        let said = said.lock().unwrap();
        let expected = [
            "pigeon: not sent, as 100 wait already: pause 100",
            "pigeon: not sent before the end of the run: 100 notices",
            "pigeon: \"the end\" was not sent: a hawk",
        ];
        assert_eq!(*said, expected);
    }

    #[test]
    fn the_end_of_a_run_waits_for_so_long_and_no_longer() {
        let (outbox, _letting, _begins, said) = slow();
        outbox.push(&notice(Happening::Finished, "the end"));
        let mut is_slow = false;
        let moment = Duration::from_millis(20);
        Outbox::close(&[outbox], moment * 2, (moment, || is_slow = true));
        assert!(is_slow);
        assert_eq!(said.lock().unwrap().len(), 1);
    }
}
