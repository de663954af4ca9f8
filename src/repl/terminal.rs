//! The terminal as it was before the prompt or the keys took it, put back whatever happens; and single keys.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread::ThreadId;

/// Ends what the line editor switches on beyond the terminal's settings: pasting in brackets, a hidden cursor.
const USUAL: &[u8] = b"\x1b[?2004l\x1b[?25h";

struct Saved {
    terminal: File,
    settings: Termios,
    thread: ThreadId,
}

impl Saved {
    fn restore(&self) {
        // Who is not in the foreground would be stopped for it, and a shell has set what it needs.
        if tcgetpgrp(&self.terminal).is_ok_and(|group| group != getpgrp()) {
            return;
        }
        // Nobody can be told that a terminal which has gone away keeps its settings.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.settings);
        let _ = (&self.terminal).write_all(USUAL);
    }
}

/// Whether what is typed on the terminal is for this process.
fn is_foreground(terminal: &impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// Puts the terminal back when it is dropped, and before the message of a panic on this thread is printed.
pub struct Kept(Option<Arc<Saved>>);

impl Kept {
    /// Remembers the settings of the terminal.
    pub fn new(terminal: OwnedFd) -> Kept {
        let Ok(settings) = tcgetattr(&terminal) else { return Kept(None) };
        let saved = Arc::new(Saved { terminal: terminal.into(), settings, thread: std::thread::current().id() });
        let in_panic = Arc::downgrade(&saved);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A panic of another thread is not the end of the prompt.
            if let Some(saved) = in_panic.upgrade().filter(|s| s.thread == std::thread::current().id()) {
                saved.restore();
            }
            before(panic);
        }));
        Kept(Some(saved))
    }
}

impl Kept {
    fn restore(&self) {
        self.0.iter().for_each(|saved| saved.restore());
    }

    /// Puts it back from elsewhere, as long as it is kept: for who ends the process without dropping anything.
    pub fn restorer(&self) -> impl Fn() + Send + Sync + 'static {
        let saved = self.0.as_ref().map(Arc::downgrade);
        move || saved.iter().filter_map(Weak::upgrade).for_each(|saved| saved.restore())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.restore();
    }
}

/// How often is looked whether somebody else has had the terminal meanwhile.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Single keys of a terminal, which are not shown, as long as this lives. The keys that send signals go on sending them.
pub struct Keyboard {
    terminal: File,
    quiet: Termios,
    kept: Kept,
}

impl Keyboard {
    /// Nothing where there is no terminal, or another process has it: who asks it for keys then is stopped.
    pub fn new(terminal: OwnedFd) -> Option<Keyboard> {
        let mut quiet = tcgetattr(&terminal).ok().filter(|_| is_foreground(&terminal))?;
        let kept = Kept::new(terminal.try_clone().ok()?);
        quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        let keyboard = Keyboard { terminal: terminal.into(), quiet, kept };
        keyboard.hush();
        Some(keyboard)
    }

    /// As [`Kept::restorer`].
    pub fn restorer(&self) -> impl Fn() + Send + Sync + 'static {
        self.kept.restorer()
    }

    fn hush(&self) {
        let is_hushed = |now: Termios| !now.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO);
        if !tcgetattr(&self.terminal).is_ok_and(is_hushed) {
            // A terminal that has gone away gives no keys.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.quiet);
        }
    }

    /// The next key; nothing when there will be none, or as soon as `over` has an end.
    pub fn next(&self, over: &impl AsFd) -> Option<u8> {
        loop {
            // While it is in the background, what is typed is for others. When it comes back, a shell has set the terminal anew.
            let is_ours = is_foreground(&self.terminal);
            if is_ours {
                self.hush();
            }
            let wanted = if is_ours { PollFlags::IN } else { PollFlags::empty() };
            let mut waiting = [PollFd::new(over, PollFlags::IN), PollFd::new(&self.terminal, wanted)];
            if poll(&mut waiting, Some(&LOOK_EVERY)).is_err() {
                // A signal came between.
                continue;
            }
            let [ended, typed] = waiting.map(|fd| fd.revents());
            if !ended.is_empty() || typed.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                return None;
            }
            if typed.contains(PollFlags::IN) && is_foreground(&self.terminal) {
                let mut key = [0];
                return (&self.terminal).read(&mut key).ok().filter(|count| *count == 1).map(|_| key[0]);
            }
        }
    }

    /// Does work with the terminal as it was.
    pub fn lend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.kept.restore();
        let result = work();
        self.hush();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portable_pty::{PtySize, native_pty_system};
    use rustix::termios::LocalModes;

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let pty = native_pty_system().openpty(PtySize::default()).unwrap();
        let path = pty.master.tty_name().unwrap();
        let open = || std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let echoes = || tcgetattr(open()).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON);
        assert!(echoes());
        let panicked = std::panic::catch_unwind(|| {
            let _kept = Kept::new(open().into());
            let mut raw = tcgetattr(open()).unwrap();
            raw.make_raw();
            tcsetattr(open(), OptionalActions::Now, &raw).unwrap();
            assert!(!echoes());
            panic!("in the middle of a line");
        });
        assert!(panicked.is_err());
        assert!(echoes());
    }

    #[test]
    fn a_terminal_that_is_not_ours_gives_no_keys() {
        let pty = native_pty_system().openpty(PtySize::default()).unwrap();
        let terminal = std::fs::File::options().read(true).write(true).open(pty.master.tty_name().unwrap()).unwrap();
        assert!(Keyboard::new(terminal.try_clone().unwrap().into()).is_none());
        assert!(tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        assert!(Keyboard::new(std::fs::File::open("/dev/null").unwrap().into()).is_none());
    }
}
