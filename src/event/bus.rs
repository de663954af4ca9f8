//! The pipe that facts flow down: many publishers, one thread that numbers them and writes the log, one that calls the other readers
//! in order. A terminal that is held back (Ctrl-S) or a slow disk under a report then keeps nothing from the log: what is in it when
//! the process is killed is all that had happened.

use super::{Event, Fact, Sink};
use crate::error::{Error, Kind, Result};
use crate::name::CaseId;
use crate::secret::Mask;
use crate::time::Timestamp;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often readers are told that time passes.
const TICK: Duration = Duration::from_millis(100);

/// The publishing end. Publishing never blocks and never fails.
#[derive(Clone)]
pub struct Bus {
    messages: Sender<Message>,
    mask: Mask,
}

enum Message {
    Fact(Timestamp, Option<CaseId>, Fact),
    Flush(Sender<()>),
    Close,
}

/// The reading end: the threads that call the readers.
pub struct Stream {
    messages: Sender<Message>,
    thread: Mutex<Option<JoinHandle<Vec<Error>>>>,
}

impl Bus {
    /// Starts the threads. `log` is the one reader that must not fail: when it does, `on_lost` is called and the run is to be
    /// cancelled. Any other reader that fails is dropped and reported by [`Stream::close`].
    ///
    /// # Errors
    /// No thread could be made.
    pub fn start(
        log: Box<dyn Sink>,
        sinks: Vec<Box<dyn Sink>>,
        mask: Mask,
        on_lost: impl Fn(&Error) + Send + 'static,
    ) -> Result<(Bus, Stream)> {
        Bus::start_after(0, log, sinks, mask, on_lost)
    }

    /// Starts the threads for a stream that goes on: the next event follows on the one with this number.
    ///
    /// # Errors
    /// As [`Bus::start`].
    pub fn start_after(
        last: u64,
        log: Box<dyn Sink>,
        sinks: Vec<Box<dyn Sink>>,
        mask: Mask,
        on_lost: impl Fn(&Error) + Send + 'static,
    ) -> Result<(Bus, Stream)> {
        let (sender, receiver) = channel();
        let readers = if sinks.is_empty() { None } else { Some(Readers::start(sinks)?) };
        let scribe = Scribe { seq: last, log: Some(log), errors: Vec::new(), on_lost: Box::new(on_lost), readers };
        let thread = thread("events", move || scribe.serve(&receiver))?;
        let stream = Stream { messages: sender.clone(), thread: Mutex::new(Some(thread)) };
        Ok((Bus { messages: sender, mask }, stream))
    }

    pub fn publish(&self, case: Option<&CaseId>, fact: Fact) {
        let fact = masked(fact, &self.mask);
        // Nobody listens any more only after the run is over.
        let _ = self.messages.send(Message::Fact(Timestamp::now(), case.cloned(), fact));
    }

    /// Waits until everything published before this call has been read.
    pub fn flush(&self) {
        let (done, wait) = channel();
        if self.messages.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// The secrets that are kept out of this stream.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }
}

impl Stream {
    /// Lets the readers finish, and returns what they could not do. A second call returns nothing.
    pub fn close(&self) -> Vec<Error> {
        let _ = self.messages.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        thread.map(joined).unwrap_or_default()
    }
}

fn thread(name: &str, work: impl FnOnce() -> Vec<Error> + Send + 'static) -> Result<JoinHandle<Vec<Error>>> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|e| Error::new(Kind::Internal, "no thread for the events").because(e))
}

/// What a thread of ours returned.
fn joined(thread: JoinHandle<Vec<Error>>) -> Vec<Error> {
    let panicked = |_| vec![Error::new(Kind::Internal, "a reader of the events panicked; reports are incomplete")];
    thread.join().unwrap_or_else(panicked)
}

/// Numbers the events, writes the log, and hands them on.
struct Scribe {
    /// Of the last event.
    seq: u64,
    log: Option<Box<dyn Sink>>,
    errors: Vec<Error>,
    on_lost: Box<dyn Fn(&Error) + Send>,
    readers: Option<(Sender<Told>, JoinHandle<Vec<Error>>)>,
}

impl Scribe {
    fn serve(mut self, messages: &Receiver<Message>) -> Vec<Error> {
        for message in messages {
            match message {
                Message::Fact(at, case, fact) => {
                    self.seq += 1;
                    self.write(Event { seq: self.seq, at, case, fact });
                }
                // A reader that panicked has dropped its end, and with it what waits for it.
                Message::Flush(done) => match &self.readers {
                    Some((readers, _)) => drop(readers.send(Told::Flush(done))),
                    None => drop(done.send(())),
                },
                Message::Close => break,
            }
        }
        if let Some((readers, thread)) = self.readers.take() {
            drop(readers);
            self.errors.extend(joined(thread));
        }
        // The last: as long as the log is open, no other process takes it up.
        if let Some(mut log) = self.log.take()
            && let Err(error) = log.finish()
        {
            self.errors.push(named(&*log, error));
        }
        self.errors
    }

    fn write(&mut self, event: Event) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.on_event(&event)
        {
            let error = named(&**log, error);
            self.log = None;
            (self.on_lost)(&error);
            self.errors.push(error);
        }
        if let Some((readers, _)) = &self.readers {
            // It listens no more only after a panic, which is told at the end.
            let _ = readers.send(Told::Event(event));
        }
    }
}

/// What the readers are told.
enum Told {
    Event(Event),
    Flush(Sender<()>),
}

/// The readers that may be slow, or fail.
struct Readers {
    sinks: Vec<Box<dyn Sink>>,
    errors: Vec<Error>,
}

impl Readers {
    fn start(sinks: Vec<Box<dyn Sink>>) -> Result<(Sender<Told>, JoinHandle<Vec<Error>>)> {
        let (sender, receiver) = channel();
        let readers = Readers { sinks, errors: Vec::new() };
        Ok((sender, thread("reports", move || readers.serve(&receiver))?))
    }

    fn serve(mut self, told: &Receiver<Told>) -> Vec<Error> {
        let mut last_tick = Instant::now();
        loop {
            match told.recv_timeout(TICK) {
                Ok(Told::Event(event)) => self.each(|sink| sink.on_event(&event)),
                Ok(Told::Flush(done)) => drop(done.send(())),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                self.each(|sink| sink.on_tick());
            }
        }
        self.each(|sink| sink.finish());
        self.errors
    }

    fn each(&mut self, mut call: impl FnMut(&mut dyn Sink) -> Result<()>) {
        let errors = &mut self.errors;
        self.sinks.retain_mut(|sink| match call(&mut **sink) {
            Ok(()) => true,
            Err(error) => {
                let error = named(&**sink, error);
                tracing::error!("{}", error.report());
                errors.push(error);
                false
            }
        });
    }
}

fn named(sink: &dyn Sink, error: Error) -> Error {
    let what = format!("{}: {}", sink.name(), error.what);
    Error { what, ..error }
}

/// The fact without the secrets. Facts are checked in their wire form, so no text of them can be forgotten.
fn masked(fact: Fact, mask: &Mask) -> Fact {
    if mask.is_empty() {
        return fact;
    }
    let Ok(wire) = serde_json::to_string(&fact) else { return fact };
    match mask.apply(&wire) {
        None => fact,
        Some(clean) => serde_json::from_str(&clean).unwrap_or_else(|_| Fact::Logged {
            level: super::Level::Warning,
            text: "a fact was left out of the log: a secret is part of its form".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Collector, Level};
    use crate::secret::Secret;
    use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};

    struct Broken;
    impl Sink for Broken {
        fn on_event(&mut self, _: &Event) -> Result<()> {
            Err(Error::new(Kind::Refused, "disk full"))
        }
        fn name(&self) -> String {
            "junit report".into()
        }
    }

    fn line(text: &str) -> Fact {
        Fact::Logged { level: Level::Verbose, text: text.into() }
    }

    #[test]
    fn events_are_numbered_in_order_and_masked() {
        let seen = Collector::default();
        let mask = Mask::default();
        let (bus, stream) = Bus::start(Box::new(seen.clone()), vec![], mask.clone(), |_| ()).unwrap();
        bus.publish(None, line("the password is s3cr\"et-1"));
        mask.learn(&Secret::new("s3cr\"et-1"));
        bus.publish(Some(&CaseId::new("a")), line("the password is s3cr\"et-1 again"));
        bus.flush();
        assert!(stream.close().is_empty());
        let seen = seen.events();
        assert_eq!(seen.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(seen[1].fact, line("the password is •••••• again"));
    }

    /// A reader that takes an event only when it is let.
    struct HeldBack(Receiver<()>);
    impl Sink for HeldBack {
        fn on_event(&mut self, _: &Event) -> Result<()> {
            self.0.recv().map_err(|e| Error::new(Kind::Internal, "never let").because(e))
        }
        fn name(&self) -> String {
            "terminal".into()
        }
    }

    /// Tells of each event that is in the log.
    struct Logged(Sender<u64>);
    impl Sink for Logged {
        fn on_event(&mut self, event: &Event) -> Result<()> {
            self.0.send(event.seq).map_err(|e| Error::new(Kind::Internal, "nobody asks").because(e))
        }
        fn name(&self) -> String {
            "log".into()
        }
    }

    #[test]
    fn a_reader_that_is_held_back_keeps_nothing_from_the_log() {
        let ((logged, log), (letting, held)) = (channel(), channel());
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(HeldBack(held))];
        let (bus, stream) = Bus::start(Box::new(Logged(logged)), sinks, Mask::default(), |_| ()).unwrap();
        (0..100).for_each(|_| bus.publish(None, line("more")));
        assert!(log.iter().take(100).eq(1..=100), "all of it is in the log");
        (0..100).for_each(|_| letting.send(()).unwrap());
        assert!(stream.close().is_empty());
    }

    #[test]
    fn a_stream_that_goes_on_counts_on() {
        let seen = Collector::default();
        let (bus, stream) = Bus::start_after(41, Box::new(seen.clone()), vec![], Mask::default(), |_| ()).unwrap();
        bus.publish(None, line("one more"));
        stream.close();
        assert_eq!(seen.events()[0].seq, 42);
    }

    #[test]
    fn a_broken_reader_is_dropped_once_and_a_broken_log_is_told() {
        let seen = Collector::default();
        let lost = Arc::new(AtomicBool::new(false));
        let flag = lost.clone();
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Broken), Box::new(seen.clone())];
        let (bus, stream) =
            Bus::start(Box::new(Broken), sinks, Mask::default(), move |_| flag.store(true, Ordering::SeqCst)).unwrap();
        bus.publish(None, line("one"));
        bus.publish(None, line("two"));
        let errors = stream.close();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(errors[1].what, "junit report: disk full");
        assert!(lost.load(Ordering::SeqCst));
        assert_eq!(seen.events().len(), 2, "the other reader went on");
    }
}
