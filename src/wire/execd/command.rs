//! A command's life: started once, looked at less and less often, its output and status taken, its traces removed.
//!
//! The daemon counts its commands from 0 after each start, so that after a restart a reference may mean another's command. Each of ours
//! first says a mark of its own: output without the mark is not ours.

use super::call::Trouble;
use super::{Execd, odd, uu};
use crate::error::{Details, Error, Kind, Result, Whereabouts};
use crate::time::Cancel;
use crate::wire::windows::batch_file;
use crate::wire::xmlrpc::Value;
use crate::wire::{Captured, Command, Output, Status, Transport, error};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pause after the first look; each is longer than the one before, up to the longest.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(5);

/// How long one look may take, and how many in a row may go wrong.
const LOOK: Duration = Duration::from_secs(30);
const MISSES: u32 = 3;

/// How long is spent on ending a command that was given up.
const RESCUE: Duration = Duration::from_secs(20);

/// The longest output that is taken.
const MOST: usize = 256 << 20;

/// A command under way.
struct Started<'a> {
    daemon: &'a Execd,
    text: &'a str,
    reference: String,
    mark: String,
    began: Instant,
}

pub(super) fn run(daemon: &Execd, command: &Command, cancel: &Cancel) -> Result<Output> {
    if command.text.contains('\0') {
        return Err(Error::new(Kind::Malformed, "a command cannot contain a NUL byte").help("write it to a file and name that"));
    }
    let began = Instant::now();
    let own = cancel.child_with_limit(&format!("command on {}", daemon.machine()), command.timeout);
    if command.stdin.is_empty() {
        return run_batch(daemon, &command.text, command, began, cancel, &own);
    }
    // The daemon's commands have no input of their own: it comes from a file, for the whole of the batch text.
    let stdin = TempFile::holding(daemon, ".in", &command.stdin, &own)?;
    let text = TempFile::holding(daemon, ".cmd", &batch_file(&command.text), &own)?;
    let call = format!("call \"{}\" <\"{}\"", text.path, stdin.path);
    run_batch(daemon, &call, command, began, cancel, &own)
}

fn run_batch(daemon: &Execd, text: &str, command: &Command, began: Instant, cancel: &Cancel, own: &Cancel) -> Result<Output> {
    let mark = mark();
    // Under UTF-8 the batch file's own letters are what they were meant to be.
    let page = if text.is_ascii() { "" } else { "chcp 65001 >nul\n" };
    let batch = format!("@echo off\necho {mark}\n{page}{text}\n");
    let started = match daemon.call("runbatch", vec![Value::text(uu::encode(&batch))], MOST, own) {
        Ok(Value::Text(reference)) => Started { daemon, text: &command.text, reference, mark, began },
        Ok(other) => return Err(odd(daemon, "runbatch", &other)),
        Err(Trouble::Broken(trouble)) => {
            let what = format!("{}; the command may have been started", trouble.what);
            return Err(error(Kind::Unreachable, daemon.machine(), &command.text, began.elapsed(), &what));
        }
        Err(trouble) => return Err(trouble.error(daemon, "runbatch")),
    };
    match started.finish(own) {
        Ok((said, code)) => output(command, &said, code, began.elapsed()),
        Err(error) if own.is_raised() => Err(started.give_up(command, cancel, error)),
        Err(error) => Err(error),
    }
}

impl Started<'_> {
    /// Waits for its end; gives what it said, and its status.
    fn finish(&self, own: &Cancel) -> Result<(String, i64)> {
        let mut pause = FIRST;
        loop {
            match self.ask("poll", own)? {
                Value::Text(state) if state == "DONE" => break,
                Value::Text(state) if state == "RUNNING" => {}
                other => return Err(odd(self.daemon, "poll", &other)),
            }
            own.sleep(pause)?;
            pause = pause.mul_f64(1.5).min(LONGEST);
        }
        let said = self.daemon.text("log", self.ask("log", own)?)?;
        let code = match self.ask("returncode", own)? {
            Value::Int(code) => code,
            other => return Err(odd(self.daemon, "returncode", &other)),
        };
        match self.own_part(&said) {
            Some(own) => {
                self.clean_up();
                Ok((own.to_string(), code))
            }
            // The shell itself could not start: what it says about that is all there is.
            None if code != 0 && !said.starts_with("xrt-") => Ok((said, code)),
            None => Err(self.lost("its output is another command's")),
        }
    }

    /// Lets the daemon forget it. What stays behind otherwise is a temporary file.
    fn clean_up(&self) {
        let limit = Cancel::new().child_with_limit("removal of a temporary file", LOOK);
        if let Err(trouble) = self.daemon.call("cleanup", vec![Value::text(&self.reference)], MOST, &limit) {
            let error = trouble.error(self.daemon, "cleanup");
            self.daemon.warn(format!("a temporary file is left: {}", error.what));
        }
    }

    /// A question about the command. One that gets no answer is asked again.
    fn ask(&self, method: &str, cancel: &Cancel) -> Result<Value> {
        let mut misses = 0;
        loop {
            let look = cancel.child_with_limit(&format!("answer of {}", self.daemon.machine()), LOOK);
            match self.daemon.call(method, vec![Value::text(&self.reference)], MOST, &look) {
                Ok(value) => return Ok(value),
                Err(Trouble::Fault(fault)) => return Err(self.lost(&crate::context::clip(&fault, 100))),
                Err(trouble) => {
                    cancel.check()?;
                    misses += 1;
                    if misses == MISSES {
                        let what = format!("{}; the command may still run", trouble.error(self.daemon, method).what);
                        return Err(self.error(Kind::Unreachable, &what));
                    }
                    cancel.sleep(Duration::from_millis(200) * misses)?;
                }
            }
        }
    }

    /// What it said after its mark, if the mark is there.
    fn own_part<'a>(&self, said: &'a str) -> Option<&'a str> {
        let rest = said.strip_prefix(&self.mark)?.trim_start_matches([' ', '\r']);
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('\n') }
    }

    fn lost(&self, why: &str) -> Error {
        let what = format!("the execution daemon no longer knows the command: it, or the machine, was started anew ({why})");
        self.error(Kind::Unreachable, &what)
    }

    fn error(&self, kind: Kind, what: &str) -> Error {
        error(kind, self.daemon.machine(), self.text, self.began.elapsed(), what)
    }

    /// Ends its processes, and makes the error of why it was given up, with what it had said.
    fn give_up(&self, command: &Command, cancel: &Cancel, why: Error) -> Error {
        let rescue = Cancel::new().child_with_limit("end of the command", RESCUE);
        let said = self.end(&rescue);
        let (kind, what) = match cancel.check() {
            Err(error) => (error.kind, error.what),
            Ok(()) if why.kind == Kind::Timeout => {
                (Kind::Timeout, format!("it did not end within {}", crate::unit::show_duration(command.timeout)))
            }
            Ok(()) => (why.kind, why.what),
        };
        let (what, stdout) = match said {
            Ok(said) => (format!("{what}; its processes were ended"), said),
            Err(error) => (format!("{what}; it may still run: {}", error.what), String::new()),
        };
        let mut captured = Captured::new(4096);
        captured.push(stdout.as_bytes());
        let machine = self.daemon.machine().to_string();
        let details = Details { machine, command: self.text.to_string(), stdout: captured.tail(4096), ..Details::default() };
        Error { blame: why.blame, ..self.error(kind, &what) }.details(details)
    }

    /// Ends its processes; gives what it had said.
    fn end(&self, rescue: &Cancel) -> Result<String> {
        let said = self.daemon.text("log", self.ask("log", rescue)?)?;
        // Without its mark it may be another's command.
        let Some(said) = self.own_part(&said) else { return Err(self.lost("its output does not begin with its mark")) };
        let pid = self.ask("getPID", rescue)?;
        self.daemon.ask("kill", vec![pid], rescue)?;
        let mut pause = FIRST;
        while self.ask("poll", rescue)? != Value::text("DONE") {
            rescue.sleep(pause)?;
            pause = pause.mul_f64(1.5).min(LONGEST);
        }
        self.clean_up();
        Ok(said.to_string())
    }
}

/// A file there that goes when it is dropped.
struct TempFile<'a> {
    daemon: &'a Execd,
    path: String,
}

impl<'a> TempFile<'a> {
    fn holding(daemon: &'a Execd, suffix: &str, data: &[u8], cancel: &Cancel) -> Result<TempFile<'a>> {
        let path = daemon.text("tempFile", daemon.ask("tempFile", vec![Value::text(suffix)], cancel)?)?;
        let file = TempFile { daemon, path };
        daemon.ask("createFile", vec![Value::text(&file.path), Value::Bytes(data.to_vec())], cancel)?;
        Ok(file)
    }
}

impl Drop for TempFile<'_> {
    fn drop(&mut self) {
        let limit = Cancel::new().child_with_limit("removal of a temporary file", LOOK);
        if let Err(error) = self.daemon.ask("removeFile", vec![Value::text(&self.path)], &limit) {
            self.daemon.warn(format!("`{}` is left on {}: {}", self.path, self.daemon.machine(), error.what));
        }
    }
}

fn output(command: &Command, said: &str, code: i64, took: Duration) -> Result<Output> {
    let said = said.replace("\r\n", "\n");
    let mut stdout = Captured::new(command.keep);
    stdout.push(said.as_bytes());
    for (path, text) in [(&command.stdout_file, said.as_str()), (&command.stderr_file, "")] {
        if let Some(path) = path {
            std::fs::write(path, text).at(format_args!("write the output to `{}`", path.display()))?;
        }
    }
    Ok(Output { stdout, stderr: Captured::new(command.keep), status: Status::Exited(exit_code(code)), took })
}

/// Windows counts its codes from 0 to 2³²; those above 2³¹ are the negative ones (`0xC0000005`).
fn exit_code(code: i64) -> i32 {
    i32::try_from(code).unwrap_or_else(|_| u32::try_from(code).map_or(i32::MAX, u32::cast_signed))
}

fn mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = crate::time::Timestamp::now();
    format!("xrt-{:08x}-{number}", crate::name::fingerprint(&format!("{now} {number} {}", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_keep_their_bits() {
        for (code, kept) in [(0, 0), (3, 3), (-1, -1), (0xC000_0005, -1_073_741_819), (1 << 40, i32::MAX)] {
            assert_eq!(exit_code(code), kept);
        }
    }

    #[test]
    fn output_without_the_mark_is_not_ours() {
        let daemon = Execd::new("h", 8936, LOOK);
        let started = Started { daemon: &daemon, text: "x", reference: "0".into(), mark: "xrt-1-1".into(), began: Instant::now() };
        assert_eq!(started.own_part("xrt-1-1\nhello\n"), Some("hello\n"));
        assert_eq!(started.own_part("xrt-1-1 \r\n\n"), Some("\n"));
        assert_eq!(started.own_part("xrt-1-1"), Some(""));
        for other in ["xrt-2-1\nhello\n", "xrt-1-10\nhello\n", "", "hello\n"] {
            assert_eq!(started.own_part(other), None, "{other:?}");
        }
    }
}
