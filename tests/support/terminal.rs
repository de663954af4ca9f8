//! A terminal of the tests' own: a program in a pseudo-terminal, what it shows as a screen, and keys for it.

use super::poll;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const CTRL_R: &str = "\x12";
pub const TAB: &str = "\t";
pub const ENTER: &str = "\r";
pub const UP: &str = "\x1b[A";

/// High enough that nothing a test looks for scrolls away.
const SIZE: PtySize = PtySize { rows: 120, cols: 110, pixel_width: 0, pixel_height: 0 };

/// What programs ask a terminal to know where the cursor is.
const WHERE: &[u8] = b"\x1b[6n";

/// A program in a terminal.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    // The program's terminal lives as long as this.
    _master: Box<dyn MasterPty + Send>,
}

struct Shown {
    parser: vt100::Parser,
    is_over: bool,
}

impl Terminal {
    /// Starts a program with nothing of the surroundings but `PATH`, its home in `home`.
    pub fn start(program: &str, args: &[&str], home: &Path) -> Terminal {
        let pty = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(home);
        command.env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", path);
        command.env("HOME", home);
        command.env("TERM", "xterm-256color");
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let keys = Arc::new(Mutex::new(pty.master.take_writer().unwrap()));
        let [rows, columns] = [SIZE.rows, SIZE.cols].map(|n| NonZero::new(n).unwrap());
        let parser = vt100::Parser::new(rows, columns, 0);
        let shown = Arc::new((Mutex::new(Shown { parser, is_over: false }), Condvar::new()));
        let (output, answers, screen) = (pty.master.try_clone_reader().unwrap(), keys.clone(), shown.clone());
        std::thread::spawn(move || show(output, &answers, &screen));
        Terminal { child, keys, shown, _master: pty.master }
    }

    /// Starts `xrt repl` with these arguments and waits until it asks.
    #[track_caller]
    pub fn prompt(args: &[&str], home: &Path) -> Terminal {
        let terminal = Terminal::start(env!("CARGO_BIN_EXE_xrt"), &[&["repl"], args].concat(), home);
        terminal.ready();
        terminal
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        let mut writer = self.keys.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Waits until the lines of the screen are as wanted.
    #[track_caller]
    pub fn until(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (shown, bell) = &*self.shown;
        let deadline = Instant::now() + poll::patience();
        let mut guard = shown.lock().unwrap();
        loop {
            let lines = lines(&guard.parser);
            if is(&lines) {
                return lines;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || guard.is_over {
                drop(guard);
                panic!("never came: {what}\n{}", lines.join("\n"));
            }
            guard = bell.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Waits until a line is exactly this.
    #[track_caller]
    pub fn shows(&self, wanted: &str) -> Vec<String> {
        self.until(wanted, |lines| lines.iter().any(|line| line == wanted))
    }

    /// Waits until a text is somewhere on the screen.
    #[track_caller]
    pub fn has(&self, wanted: &str) -> Vec<String> {
        self.until(wanted, |lines| lines.iter().any(|line| line.contains(wanted)))
    }

    /// Waits for an empty prompt of `xrt repl`.
    #[track_caller]
    pub fn ready(&self) {
        self.until("an empty prompt", |lines| lines.last().is_some_and(|line| line == "xrt>"));
    }

    /// Types a line and waits until all of it is there, then enters it.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.press(line);
        self.until(line, |lines| lines.last().is_some_and(|shown| shown.ends_with(line)));
        self.press(ENTER);
    }

    /// Waits for the program's end and gives its exit status.
    #[track_caller]
    pub fn ends(mut self) -> u32 {
        let (shown, bell) = &*self.shown;
        let guard = shown.lock().unwrap();
        let (guard, waited) = bell.wait_timeout_while(guard, poll::patience(), |shown| !shown.is_over).unwrap();
        let lines = lines(&guard.parser);
        drop(guard);
        assert!(!waited.timed_out(), "did not end\n{}", lines.join("\n"));
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already in the usual case.
        self.child.kill().and_then(|()| self.child.wait().map(|_| ())).ok();
    }
}

/// The lines of the screen up to the last that is not empty.
fn lines(parser: &vt100::Parser) -> Vec<String> {
    let mut lines: Vec<String> = parser.screen().rows(0, SIZE.cols).map(|line| line.trim_end().to_string()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Draws what the program writes, and answers as a terminal does.
fn show(mut output: Box<dyn Read + Send>, answers: &Mutex<Box<dyn Write + Send>>, screen: &(Mutex<Shown>, Condvar)) {
    let mut block = [0; 4096];
    let mut rest: Vec<u8> = Vec::new();
    loop {
        // The end of a terminal is an error on Linux.
        let count = output.read(&mut block).unwrap_or(0);
        rest.extend_from_slice(&block[..count]);
        let mut shown = screen.0.lock().unwrap();
        while let Some(at) = rest.windows(WHERE.len()).position(|w| w == WHERE) {
            shown.parser.process(&rest[..at]);
            rest.drain(..at + WHERE.len());
            let (row, column) = shown.parser.screen().cursor_position();
            write!(answers.lock().unwrap(), "\x1b[{};{}R", row + 1, column + 1).ok();
        }
        // A question may be cut in two by the end of the block.
        let whole = if rest.ends_with(b"\x1b") || rest.ends_with(b"\x1b[") || rest.ends_with(b"\x1b[6") {
            rest.iter().rposition(|b| *b == 0x1b).unwrap_or(rest.len())
        } else {
            rest.len()
        };
        shown.parser.process(&rest[..whole]);
        rest.drain(..whole);
        shown.is_over = count == 0;
        screen.1.notify_all();
        if count == 0 {
            return;
        }
    }
}
