//! The terminal as it was before the prompt took it, put back whatever happens.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
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
        // Nobody can be told that a terminal which has gone away keeps its settings.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.settings);
        let _ = (&self.terminal).write_all(USUAL);
    }
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

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(saved) = &self.0 {
            saved.restore();
        }
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
}
