//! A testcase that waits for a person: who sits there, what is asked of it meanwhile, and how it goes on.
//!
//! It waits on its own thread, so that what a person evaluates runs where the testcase would have gone on, with everything it holds.
//! No limit of the testcase runs meanwhile; that of the run, and what it is a part of, does.

use super::control::Control;
use crate::event::{Fact, Frame, Outcome, Pause, Release, Steering};
use crate::name::CaseId;
use crate::repl::{Answer, Limits, Order, Session};
use crate::script::{Case, Ended, Go, Held, Scripted, Watch};
use crate::time::{Cancel, Timestamp};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Columns of a value that a person is shown, and lines.
const SHOWN: Limits = Limits { width: 100, lines: Some(200) };

/// How long before a pause ends by itself a person is reminded.
const REMINDERS: [Duration; 2] = [Duration::from_hours(1), Duration::from_mins(10)];

/// The longest wait between two looks at the time limits of what the testcase is a part of.
const LOOK_EVERY: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether this thread does what a person tries in a paused testcase.
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// What is asked of a paused testcase.
pub enum Ask {
    Release {
        how: Release,
        by: String,
    },
    Hold,
    Evaluate {
        frame: usize,
        text: String,
        by: String,
        cancel: Cancel,
        answer: Sender<Answer>,
    },
    /// The time, or what stops it, is to be looked at.
    Look,
}

/// Where a person sits at a paused testcase.
pub struct Seat {
    pause: Mutex<Pause>,
    since: Timestamp,
    asks: Mutex<Sender<Ask>>,
    session: Session,
    /// The call chain of the statement that is held, innermost first; none where no statement is.
    frames: Mutex<Vec<Frame>>,
}

impl Seat {
    /// Why it waits, where, and until when.
    pub fn pause(&self) -> Pause {
        locked(&self.pause).clone()
    }

    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The call chain with its variables, innermost first.
    pub fn frames(&self) -> Vec<Frame> {
        locked(&self.frames).clone()
    }

    /// Completes and paints inputs.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Evaluates an input in a frame, on the testcase's thread; nothing when it waits no longer. What is typed is told to the stream,
    /// with who typed it.
    pub fn evaluate(&self, frame: usize, text: &str, by: &str, cancel: &Cancel) -> Option<Answer> {
        let (answer, wait) = channel();
        let ask = Ask::Evaluate { frame, text: text.into(), by: by.into(), cancel: cancel.clone(), answer };
        if !self.ask(ask) {
            return None;
        }
        wait.recv().ok()
    }

    /// False when it waits no longer.
    pub(super) fn ask(&self, ask: Ask) -> bool {
        locked(&self.asks).send(ask).is_ok()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a pause ended.
pub struct Released {
    pub how: Release,
    pub by: Option<String>,
    /// What stands for the value of a statement that was passed over.
    pub value: Scripted,
    /// The frame whose statement is evaluated again.
    pub frame: usize,
}

/// Gives further names of a testcase.
pub type Names = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Lets the testcases of a run wait for people.
pub struct Pausing {
    control: Control,
    id: CaseId,
    /// What it is called besides: its testcase's name, its aliases. Asked for only where a pause may come.
    names: Names,
    /// What stops it, but for its own limit: that of what it is a part of runs on while it waits.
    whole: Cancel,
    /// One statement at a time is held, whichever branch it is in.
    turn: Mutex<()>,
    /// Whether its failure was held already, so that it does not wait a second time for it.
    held: AtomicBool,
    /// Whether the script is to be read again.
    anew: AtomicBool,
}

impl Pausing {
    pub fn new(control: &Control, id: &CaseId, names: Names, whole: &Cancel) -> Pausing {
        let (control, id, whole) = (control.clone(), id.clone(), whole.clone());
        Pausing { control, id, names, whole, turn: Mutex::default(), held: AtomicBool::default(), anew: AtomicBool::default() }
    }

    /// Whether it is to wait after such an end.
    fn is_asked_for(&self, on_pass: bool) -> bool {
        if !self.control.may_pause(on_pass) {
            return false;
        }
        let names = (self.names)();
        let own = [self.id.as_str(), self.id.name(), self.id.first_of_its_name().rsplit('/').next().unwrap_or_default()];
        let all: Vec<&str> = own.into_iter().chain(names.iter().map(String::as_str)).collect();
        self.control.pauses(on_pass, &all)
    }

    /// Whether the script is to be read again, once.
    pub fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::SeqCst)
    }

    /// After `prepare` and `run`: waits for a person if somebody wants that of what ended so. A person may say that it failed.
    pub fn after(&self, case: &Arc<Case>, ended: Ended) -> Ended {
        let was_held = self.held.swap(false, Ordering::SeqCst);
        let is_wanted = match ended.outcome {
            Outcome::Skipped => false,
            outcome if outcome.is_pass() => self.is_asked_for(true),
            _ => !was_held && self.is_asked_for(false),
        };
        let asked = (ended.outcome != Outcome::Skipped).then(|| self.control.take_pause_next()).flatten();
        if !is_wanted && asked.is_none() || self.whole.is_raised() {
            return ended;
        }
        let why = Some(&ended.reason).filter(|why| !why.is_empty()).map(|why| format!(": {why}")).unwrap_or_default();
        let asked = asked.map(|by| format!("; {by} asked for it")).unwrap_or_default();
        let reason = format!("{}{why}{asked}", ended.outcome.word());
        let released = self.wait(case, &reason, None);
        match released.how {
            Release::NotContinue if ended.outcome.is_pass() => {
                let reason = format!("ended as failed by {}", released.by.as_deref().unwrap_or("somebody"));
                Ended { outcome: Outcome::Failed, reason, failure: None }
            }
            _ => ended,
        }
    }

    /// At a point of a preparation: waits if the variable of this name says so.
    pub fn at_point(&self, case: &Arc<Case>, variable: &str, reason: &str) {
        if self.control.variables().boolean(variable).ok().flatten() == Some(true) {
            self.wait(case, reason, None);
        }
    }

    /// Waits until somebody says how it goes on, the time for that is over, or it is stopped.
    fn wait(&self, case: &Arc<Case>, reason: &str, mut held: Option<&mut Held<'_>>) -> Released {
        let _turn = locked(&self.turn);
        let context = &case.context;
        let _clocks = context.cancel().stop_clocks(&self.whole);
        let (asks, asked) = channel();
        let clock = self.control.clock().clone();
        let (began, patience) = (clock.now(), self.control.patience());
        let pause = Pause {
            pause: self.control.next_pause(),
            reason: reason.to_string(),
            place: held.as_ref().and_then(|held| held.place()),
            until: Some(Timestamp::now().plus(patience)),
        };
        let scopes = held.as_ref().map(|held| held.scopes()).unwrap_or_default();
        let session = Session::of(case, scopes, SHOWN);
        let frames = held.as_ref().map(|held| held.frames(&|source| case.scripts.text(source))).unwrap_or_default();
        let since = Timestamp::now();
        let number = pause.pause;
        let (pause_told, pause) = (Box::new(pause.clone()), Mutex::new(pause));
        let seat = Arc::new(Seat { pause, since, asks: Mutex::new(asks.clone()), session, frames: Mutex::new(frames) });
        let look: Arc<dyn Fn() + Send + Sync> = Arc::new(move || drop(asks.send(Ask::Look)));
        clock.on_advance(&look);
        let waker = look.clone();
        let _woken = self.whole.on_raise(move || waker());
        self.control.seat(&self.id, &seat);
        context.publish(Fact::Paused(pause_told));
        let mut waiting = Waiting { pausing: self, case, seat: &seat, asked, until: Some(began + patience), reminded: 0 };
        let released = waiting.serve(&self.whole, &mut held);
        self.control.leave(&self.id, released.how);
        let took = clock.now().saturating_duration_since(began).as_secs_f64();
        context.publish(Fact::Resumed { pause: number, how: released.how, by: released.by.clone(), took });
        released
    }
}

struct Waiting<'a> {
    pausing: &'a Pausing,
    case: &'a Arc<Case>,
    seat: &'a Arc<Seat>,
    asked: Receiver<Ask>,
    /// When it goes on by itself.
    until: Option<Instant>,
    /// How many of the reminders were given.
    reminded: usize,
}

impl Waiting<'_> {
    fn serve(&mut self, cancel: &Cancel, held: &mut Option<&mut Held<'_>>) -> Released {
        let by_itself = |how| Released { how, by: None, value: Scripted::UNIT, frame: 0 };
        loop {
            if cancel.is_raised() {
                return by_itself(Release::Stopped);
            }
            let now = self.pausing.control.clock().now();
            if self.until.is_some_and(|until| now >= until) {
                return by_itself(Release::Expired);
            }
            self.remind(now);
            let wait = self.until.map_or(LOOK_EVERY, |until| until.saturating_duration_since(now).min(LOOK_EVERY));
            match self.asked.recv_timeout(wait) {
                Ok(Ask::Release { how, by }) => return Released { how, by: Some(by), value: Scripted::UNIT, frame: 0 },
                Ok(Ask::Hold) => {
                    self.until = None;
                    locked(&self.seat.pause).until = None;
                }
                Ok(Ask::Evaluate { frame, text, by, cancel: stop, answer }) => {
                    let said = self.evaluate(frame, &text, &by, &stop, held);
                    let order = if let Answer::Release(order) = &said { Some(order.clone()) } else { None };
                    match order.map(|order| self.ordered(order, frame, &by, &stop, held)) {
                        None => drop(answer.send(said)),
                        Some(Err(refused)) => drop(answer.send(refused)),
                        Some(Ok(released)) => {
                            drop(answer.send(said));
                            return released;
                        }
                    }
                }
                Ok(Ask::Look) | Err(RecvTimeoutError::Timeout) => {}
                // The seat keeps a sender as long as it is waited here.
                Err(RecvTimeoutError::Disconnected) => return by_itself(Release::Stopped),
            }
        }
    }

    fn evaluate(&self, frame: usize, text: &str, by: &str, cancel: &Cancel, held: &mut Option<&mut Held<'_>>) -> Answer {
        if Order::of(text).is_none() {
            let told = Steering::Evaluated { frame, text: text.to_string() };
            self.pausing.control.tell(Some(&self.pausing.id), by, told);
        }
        TRYING.set(true);
        let answer = self.answer(frame, text, cancel, held);
        TRYING.set(false);
        answer
    }

    fn answer(&self, frame: usize, text: &str, cancel: &Cancel, held: &mut Option<&mut Held<'_>>) -> Answer {
        match held {
            Some(held) => {
                let answer = self.seat.session.evaluate_in(frame, text, cancel, Some(&mut **held));
                self.seat.session.scope(frame, |scope| held.settle(frame, scope));
                *locked(&self.seat.frames) = held.frames(&|source| self.case.scripts.text(source));
                answer
            }
            None => self.seat.session.evaluate_in(frame, text, cancel, None),
        }
    }

    /// What a person typed to let it go on; or what stands in the way.
    fn ordered(
        &self,
        order: Order,
        frame: usize,
        by: &str,
        cancel: &Cancel,
        held: &mut Option<&mut Held<'_>>,
    ) -> Result<Released, Answer> {
        let released = |how, value| Ok(Released { how, by: Some(by.to_string()), value, frame });
        let place = held.as_ref().and_then(|held| held.place());
        match (order, place) {
            (Order::Fail, _) => released(Release::Continue, Scripted::UNIT),
            (_, None) => Err(Answer::Help("no statement is held here: `continue` goes on".into())),
            (Order::Retry, Some(_)) if !held.as_ref().is_some_and(|held| held.can_retry(frame)) => {
                Err(Answer::Help("this frame waits for a branch of `parallel`: only what is in the branch can be retried".into()))
            }
            (Order::Retry, Some(_)) => released(Release::Retry, Scripted::UNIT),
            (Order::Reload, Some(_)) => match self.readable() {
                Ok(()) => released(Release::Reload, Scripted::UNIT),
                Err(wrong) => Err(Answer::Help(wrong)),
            },
            (Order::Skip(text), Some(place)) => {
                let value = match text.as_str() {
                    "" => Scripted::UNIT,
                    text => self.value_of(frame, text, cancel, held)?,
                };
                let shown = crate::script::shown_value(&value, 60);
                let told = Steering::StatementSkipped { place: place.clone(), value: shown };
                self.pausing.control.tell(Some(&self.pausing.id), by, told);
                // It did not do everything that it was to do.
                self.case.set_partial(&format!("{by} had the statement at {place} passed over"));
                released(Release::Skip, value)
            }
        }
    }

    fn value_of(&self, frame: usize, text: &str, cancel: &Cancel, held: &mut Option<&mut Held<'_>>) -> Result<Scripted, Answer> {
        let Some(held) = held else { return Ok(Scripted::UNIT) };
        self.seat.session.value_in(frame, text, cancel, &mut **held)
    }

    /// Whether everything that the testcase is made of can be read again; what is wrong if not.
    fn readable(&self) -> Result<(), String> {
        let scripts = &self.case.scripts;
        let mut seen: Vec<String> = locked(&self.seat.frames).iter().map(|frame| frame.place.file.clone()).collect();
        seen.sort();
        seen.dedup();
        scripts.check_again(&seen)
    }

    /// Tells that the pause is about to end.
    fn remind(&mut self, now: Instant) {
        let Some(left) = self.until.map(|until| until.saturating_duration_since(now)) else { return };
        let due = REMINDERS.iter().filter(|before| left <= **before).count();
        let whole = self.pausing.control.patience();
        if due > self.reminded {
            self.reminded = due;
            // A pause that is shorter than the warning needs none.
            if REMINDERS[due - 1] < whole {
                let pause = locked(&self.seat.pause).pause;
                self.case.context.publish(Fact::PauseEnding { pause, left: left.as_secs_f64() });
            }
        }
    }
}

impl Watch for Pausing {
    fn wants(&self, _: &Case, ended: &Ended) -> bool {
        ended.outcome.is_bad() && self.is_asked_for(false)
    }

    fn hold(&self, case: &Arc<Case>, held: &mut Held<'_>) -> Go {
        let reason = format!("{}: {}", held.ended.outcome.word(), held.ended.reason);
        let released = self.wait(case, &reason, Some(held));
        let go = match released.how {
            Release::Retry => Go::Again(released.frame),
            Release::Skip => Go::Over(released.value),
            Release::Reload => Go::Anew,
            _ => Go::On,
        };
        self.held.store(matches!(go, Go::On), Ordering::SeqCst);
        // What one branch asked for, another does not take back.
        self.anew.fetch_or(matches!(go, Go::Anew), Ordering::SeqCst);
        go
    }

    fn pause(&self, case: &Arc<Case>, reason: &str) {
        // Never in a finally, and not after the judgement: the machines would wait for somebody who is not asked for. What a person
        // tries in a pause has one already.
        if !case.is_judged() && !TRYING.get() {
            self.wait(case, reason, None);
        }
    }
}
