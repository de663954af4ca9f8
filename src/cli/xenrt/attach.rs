//! `xenrt interact RUN --attach TESTCASE`: a prompt in a paused testcase, at the other end of a connection.

use crate::cli::{Io, signals, table};
use crate::error::{Result, Whereabouts};
use crate::event::{Event, Frame, Release, Sink};
use crate::interact::{Client, Frames, Value};
use crate::repl::{
    Answer, Candidate, Happenings, Interrupts, Order, Screen, Stretch, Talker, Tone, feed, highlight, is_incomplete, talk,
};
use crate::report::{Verbosity, printable};
use crate::script::{ScriptEngine, Scripts};
use crate::time::{Cancel, Timestamp};
use crate::unit::show_duration;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the events of the testcase are asked for while an input is evaluated.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// How long anything but an evaluation may take.
const LONGEST: Duration = Duration::from_secs(30);

const HELP: &str = "\
Any statement is evaluated in the chosen frame, with its variables and the live objects; what is assigned stays assigned.
  where, locals         the call chain; the variables of the frame
  frame N, up, down     choose a frame; 0 is the innermost
  retry                 evaluate the failing statement again
  skip [EXPRESSION]     pass over it, with this for its value
  fail, continue        let the error go on as it would have
  reload                read the edited script again, and begin its hook anew on the same machines
  quit, Ctrl-D          leave; the testcase stays paused
  help(\"guest.exec\")    explains what there is in the library
";

/// Opens a prompt in a paused testcase.
///
/// # Errors
/// Nobody answers; it is not paused; the terminal cannot be read.
pub fn attach(io: &Io, client: &Client, tag: &str) -> Result<()> {
    let is_prompt = io.is_terminal() && std::io::stdin().is_terminal();
    let screen = screen(io, is_prompt);
    let interrupts = Interrupts::default();
    let (ringing, on_screen) = (interrupts.clone(), is_prompt.then(|| screen.clone()));
    signals::hear(move || {
        if let Some(screen) = &on_screen {
            screen.aside(Tone::Plain, "");
        }
        ringing.ring();
    });
    sit(io, client, tag, is_prompt, &screen, &interrupts)
}

/// Where the prompt shows things; without a terminal, what is no result goes to the standard error.
pub fn screen(io: &Io, is_prompt: bool) -> Arc<Screen> {
    let aside: Box<dyn std::io::Write + Send> = if is_prompt { Box::new(std::io::stdout()) } else { Box::new(std::io::stderr()) };
    Arc::new(Screen::new(io.look(Verbosity::Calls), table::plain, Box::new(std::io::stdout()), aside))
}

/// As [`attach`], for who hears the signals.
///
/// # Errors
/// As [`attach`].
pub fn sit(io: &Io, client: &Client, tag: &str, is_prompt: bool, screen: &Arc<Screen>, interrupts: &Interrupts) -> Result<()> {
    let frames: Frames = client.ask("getFrames", vec![text(tag)], &limit())?;
    let scripts = Scripts::new(Vec::new(), None)?;
    let mut engine = scripts.bare_engine();
    engine.set_strict_variables(false);
    let remote = Arc::new(Remote {
        client: client.share(),
        tag: frames.tag.clone(),
        engine,
        screen: screen.clone(),
        frames: Mutex::new(frames),
        frame: AtomicUsize::new(0),
        next_ticket: AtomicU64::new(1),
        is_over: AtomicBool::new(false),
    });
    remote.greet();
    let talker: Arc<dyn Talker> = remote.clone();
    match is_prompt {
        true => {
            let terminal = std::io::stdin().as_fd().try_clone_to_owned().at("use the terminal")?;
            talk(&talker, screen, interrupts, terminal, &io.state_dir().join("history"))?;
        }
        false => drop(feed(&*talker, screen, interrupts, std::io::BufReader::new(std::io::stdin()))?),
    }
    if !remote.is_over.load(Ordering::SeqCst) {
        screen.aside(Tone::Dim, &format!("{} stays paused", remote.tag));
    }
    Ok(())
}

fn text(text: &str) -> Value {
    Value::String(text.to_string())
}

fn limit() -> Cancel {
    Cancel::new().child_with_limit("call", LONGEST)
}

/// A paused testcase at the other end.
struct Remote {
    client: Client,
    tag: String,
    engine: ScriptEngine,
    screen: Arc<Screen>,
    frames: Mutex<Frames>,
    /// The chosen one; 0 is the innermost.
    frame: AtomicUsize,
    next_ticket: AtomicU64,
    is_over: AtomicBool,
}

impl Remote {
    fn frames(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frame(&self) -> usize {
        self.frame.load(Ordering::SeqCst)
    }

    /// Why it is paused, until when, and the lines around the statement.
    fn greet(&self) {
        let frames = self.frames();
        let left = frames
            .pause
            .until
            .map_or_else(|| "no limit".into(), |until| format!("{} left", show_duration(until.since(Timestamp::now()))));
        let at = frames.pause.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        self.screen.line(Tone::Strong, &format!("paused in {}{at}, {left}", frames.tag));
        self.screen.line(Tone::Warning, &frames.pause.reason);
        if let Some(frame) = frames.frames.first() {
            self.source(frame);
            self.locals(frame);
        }
        let how = if frames.frames.is_empty() { "continue goes on" } else { "retry, skip, fail or reload goes on" };
        self.screen.line(Tone::Dim, &format!("{how}; help says what else there is; Ctrl-D leaves it paused."));
    }

    fn source(&self, frame: &Frame) {
        for line in &frame.lines {
            let is_it = line.number == frame.place.line;
            let shown = format!("{} {:>4} │ {}", if is_it { ">" } else { " " }, line.number, line.text);
            self.screen.line(if is_it { Tone::Strong } else { Tone::Plain }, &shown);
        }
    }

    fn locals(&self, frame: &Frame) {
        for local in &frame.locals {
            self.screen.line(Tone::Plain, &format!("  {} = {}", local.name, local.value));
        }
    }

    fn renew(&self) -> Result<()> {
        let frames: Frames = self.client.ask("getFrames", vec![text(&self.tag)], &limit())?;
        *self.frames() = frames;
        Ok(())
    }

    /// What the prompt itself understands; nothing when it is for the testcase.
    fn own(&self, input: &str) -> Option<Result<Answer>> {
        let bare = input.trim().trim_end_matches(';').trim();
        let bare = bare.strip_prefix(':').unwrap_or(bare);
        let (word, rest) = bare.split_once(char::is_whitespace).unwrap_or((bare, ""));
        Some(match (word, rest.trim()) {
            ("help" | "?", "") => Ok(Answer::Help(HELP.into())),
            ("where" | "bt", "") => self.renewed(|| self.chain()),
            ("locals", "") => self.renewed(|| self.chosen(|frame| self.locals(frame))),
            ("up", "") => self.renewed(|| self.choose(self.frame() + 1)),
            ("down", "") => self.renewed(|| self.choose(self.frame().saturating_sub(1))),
            ("frame", number) => match number.parse() {
                Ok(number) => self.renewed(|| self.choose(number)),
                Err(_) => Ok(Answer::Help("frame N: where shows the numbers\n".into())),
            },
            _ => return None,
        })
    }

    fn renewed(&self, show: impl FnOnce()) -> Result<Answer> {
        self.renew()?;
        show();
        Ok(Answer::Nothing)
    }

    fn chain(&self) {
        for (number, frame) in self.frames().frames.iter().enumerate() {
            let mark = if number == self.frame() { ">" } else { " " };
            let function = if frame.function.is_empty() { "file" } else { &frame.function };
            self.screen.line(Tone::Plain, &format!("{mark} {number}  {function}  {}", frame.place));
        }
    }

    fn chosen(&self, show: impl FnOnce(&Frame)) {
        if let Some(frame) = self.frames().frames.get(self.frame()) {
            show(frame);
        }
    }

    fn choose(&self, number: usize) {
        let count = self.frames().frames.len();
        if number >= count {
            return self.screen.line(Tone::Warning, &format!("no frame {number}: there are {count}, from 0"));
        }
        self.frame.store(number, Ordering::SeqCst);
        self.chosen(|frame| {
            self.screen.line(Tone::Strong, &format!("frame {number}, {} {}", frame.function, frame.place));
            self.source(frame);
        });
    }

    /// Evaluates an input, and shows what happens meanwhile as it comes.
    fn evaluated(&self, input: &str, cancel: &Cancel) -> Result<Answer> {
        let ticket = format!("{}-{}", std::process::id(), self.next_ticket.fetch_add(1, Ordering::SeqCst));
        let params = vec![text(&self.tag), number(self.frame()), text(input), text(&ticket)];
        let over = AtomicBool::new(false);
        let last = self.last_event();
        std::thread::scope(|scope| {
            scope.spawn(|| self.follow(last, &over));
            let client = self.client.share();
            let stop = cancel.on_raise(move || {
                let _ = client.call("interrupt", vec![text(&ticket)], &limit());
            });
            // The run itself ends it when it is told to: its answer says what came of it.
            let answer = self.client.ask("evaluate", params, &Cancel::new());
            drop(stop);
            over.store(true, Ordering::SeqCst);
            answer
        })
    }

    fn last_event(&self) -> u64 {
        self.client.call("getLastEvent", vec![], &limit()).map_or(u64::MAX, |value| match value {
            Value::Long(last) => last.unsigned_abs(),
            Value::Integer(last) => u64::from(last.unsigned_abs()),
            _ => u64::MAX,
        })
    }

    /// Shows the events of the testcase until the evaluation is over.
    fn follow(&self, mut last: u64, over: &AtomicBool) {
        let mut happenings = Happenings::new(self.screen.clone(), true);
        let pause = Cancel::new();
        loop {
            let is_last = over.load(Ordering::SeqCst);
            let after = i64::try_from(last).unwrap_or(i64::MAX - 1);
            let Ok(events): Result<Vec<Event>> = self.client.ask("getEvents", vec![Value::Long(after)], &limit()) else { return };
            for event in events {
                last = last.max(event.seq);
                if event.case.as_ref().is_some_and(|id| id.as_str() == self.tag) {
                    let _ = happenings.on_event(&event);
                }
            }
            let _ = happenings.on_tick();
            if is_last {
                return;
            }
            let _ = pause.sleep(LOOK_EVERY);
        }
    }

    /// What came of it, and whether this was the end of the pause.
    fn said(&self, answer: Answer) -> Answer {
        if let Answer::Release(order) = &answer {
            self.is_over.store(true, Ordering::SeqCst);
            let how = match order {
                Order::Retry => Release::Retry,
                Order::Skip(_) => Release::Skip,
                Order::Fail => Release::Continue,
                Order::Reload => Release::Reload,
            };
            self.screen.line(Tone::Dim, &format!("{}: {}", self.tag, how.word()));
        }
        answer
    }
}

fn number(number: usize) -> Value {
    Value::Integer(i32::try_from(number).unwrap_or(i32::MAX))
}

impl Talker for Remote {
    fn is_incomplete(&self, text: &str) -> bool {
        is_incomplete(&self.engine, text)
    }

    fn highlight(&self, text: &str) -> Vec<Stretch> {
        let frames = self.frames();
        let frame = frames.frames.get(self.frame());
        highlight(text, |name| frame.is_some_and(|frame| frame.locals.iter().any(|local| local.name == name)), |_| false)
    }

    fn complete(&self, input: &str, at: usize) -> Vec<Candidate> {
        let params = vec![text(&self.tag), number(self.frame()), text(input), number(at)];
        self.client.ask("complete", params, &limit()).unwrap_or_default()
    }

    fn evaluate(&self, input: &str, cancel: &Cancel) -> Answer {
        let answer = self.own(input).unwrap_or_else(|| self.evaluated(input, cancel));
        match answer {
            Ok(answer) => self.said(answer),
            Err(error) => {
                let text = error.help.as_ref().map(|help| format!("{} ({help})", error.what)).unwrap_or(error.what);
                let text = printable(&text);
                // It may have gone on without us: then there is nothing to talk to.
                if self.renew().is_ok() {
                    return Answer::Help(text);
                }
                self.is_over.store(true, Ordering::SeqCst);
                self.screen.line(Tone::Warning, &text);
                Answer::Quit
            }
        }
    }

    fn name(&self) -> String {
        match self.frame() {
            0 => self.tag.clone(),
            number => format!("{} {number}", self.tag),
        }
    }
}
