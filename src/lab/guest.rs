//! A guest in the hands of one testcase: running commands in it, and what it leaves to be cleaned up.

use super::command::Surroundings;
use super::estate::Estate;
use super::job::Job;
use super::option::{ExecOptions, OnError};
use super::place::Place;
use super::wait::Patience;
use super::windows::batch_around;
use crate::context::{Action, Context, clip};
use crate::error::{Blame, Error, Kind, Result};
use crate::event::Level;
use crate::toolstack::{self, PowerState, Ref};
use crate::unit::show_size;
use crate::wire::{Command, Output, Status};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most output of one command that the testcase's log repeats.
const LOGGED_OUTPUT: usize = 4096;

/// For a hypervisor to say whether a guest runs that does not answer.
const ALIVE: Patience = Patience::seconds(10);

/// A machine as one testcase holds it. Clones are the same guest.
#[derive(Clone)]
pub struct Guest {
    place: Arc<Place>,
    /// What it is to its hypervisor, which is another after it went to another pool; nothing for a machine known by its address only.
    vm: Option<Arc<Mutex<Arc<Vm>>>>,
    context: Context,
    held: Arc<Mutex<Held>>,
}

/// A guest as its hypervisor knows it.
pub(super) struct Vm {
    pub estate: Arc<Estate>,
    pub reference: Ref,
    pub uuid: String,
}

/// What one testcase has on one machine.
pub(super) struct Held {
    pub temp_dirs: Vec<String>,
    pub jobs: Vec<Job>,
    /// Patterns of further log files.
    pub log_files: Vec<String>,
    /// What keeps it busy, by name.
    pub workloads: Vec<(String, Job)>,
}

/// How a command ended, with all that it said.
#[derive(Clone, Debug)]
pub struct Ended {
    pub stdout: String,
    pub stderr: String,
    /// Exit status; 128 and the number of the signal when one ended it, as shells say it.
    pub code: i64,
    /// Name of the signal that ended it, without SIG.
    pub signal: Option<String>,
    pub took: Duration,
}

impl Guest {
    /// A machine of which nothing is known but the way inside.
    pub fn new(place: Arc<Place>, context: Context) -> Guest {
        Guest::known_as(None, place, context)
    }

    /// A guest of a hypervisor.
    pub(super) fn of(estate: Arc<Estate>, record: &toolstack::Guest, place: Arc<Place>, context: Context) -> Guest {
        let vm = Vm { estate, reference: record.reference.clone(), uuid: record.uuid.clone() };
        Guest::known_as(Some(vm), place, context)
    }

    fn known_as(vm: Option<Vm>, place: Arc<Place>, context: Context) -> Guest {
        let held = Held { temp_dirs: Vec::new(), jobs: Vec::new(), log_files: Vec::new(), workloads: Vec::new() };
        let vm = vm.map(|vm| Arc::new(Mutex::new(Arc::new(vm))));
        Guest { place, vm, context, held: Arc::new(Mutex::new(held)) }
    }

    /// Whether both are the same machine.
    pub fn is_same(&self, other: &Guest) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }

    /// What its hypervisor knows it as.
    ///
    /// # Errors
    /// `Unsupported` for a machine known by its address only.
    pub(super) fn vm(&self) -> Result<Arc<Vm>> {
        let known = self.vm.as_ref().map(|vm| vm.lock().unwrap_or_else(PoisonError::into_inner).clone());
        known.ok_or_else(|| {
            let what = format!("no host is known for `{}`: it can be reached inside, and nothing else", self.name());
            Error::new(Kind::Unsupported, what)
                .blame(Blame::User)
                .help("attach to its pool: `--host ADDRESS`, or `--host sim` for a simulated one")
        })
    }

    /// From now on it is a guest of another pool: of all that hold it.
    pub(super) fn lives_as(&self, vm: Vm) {
        vm.estate.houses(&self.place, &vm);
        if let Some(known) = &self.vm {
            *known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(vm);
        }
    }

    pub fn name(&self) -> &str {
        self.place.name()
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The same, to be kept.
    pub(super) fn shared_place(&self) -> Arc<Place> {
        self.place.clone()
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs a command and returns what it wrote to its standard output, without the newlines at its end.
    ///
    /// # Errors
    /// `Refused` when it ends with a status other than 0 (judged by `on_error`), `Timeout`, `Unreachable`, `Cancelled`;
    /// `Malformed` for options that cannot be.
    pub fn exec(&self, command: &str, options: &ExecOptions) -> Result<String> {
        Ok(self.exec_full(command, options)?.stdout)
    }

    /// Runs a command and returns its exit status, whatever it is.
    ///
    /// # Errors
    /// As [`Guest::exec`], but for the status.
    pub fn exec_rc(&self, command: &str, options: &ExecOptions) -> Result<i64> {
        let options = ExecOptions { on_error: OnError::Return, ..options.clone() };
        Ok(self.exec_full(command, &options)?.code)
    }

    /// Runs a command and returns everything about its end.
    ///
    /// # Errors
    /// As [`Guest::exec`].
    pub fn exec_full(&self, command: &str, options: &ExecOptions) -> Result<Ended> {
        let surroundings = Surroundings { cwd: options.cwd.as_deref(), env: &options.env, user: options.user.as_deref() };
        let text = || if self.is_windows()? { batch_around(&surroundings, command) } else { surroundings.around(command) };
        self.carry_out(command, options, text, |whole| self.run_any(whole))
    }

    /// Runs something as the options say, told under the name of `command`: `text` is what is run, `run` runs it.
    pub(super) fn carry_out(
        &self,
        command: &str,
        options: &ExecOptions,
        text: impl Fn() -> Result<String>,
        run: impl Fn(&Command) -> Result<Output>,
    ) -> Result<Ended> {
        let mut whole = Command::new("", self.patience(Patience::EXEC).or(options.timeout).limit);
        whole.stdin = options.input.clone().into_bytes();
        if let Some(name) = &options.save_as {
            whole.stdout_file = Some(self.local_file(name)?);
        }
        let file = whole.stdout_file.clone();
        let attempt = || run(&Command { text: text()?, ..whole.clone() });
        let work = |action: Option<&Action<'_>>| {
            let mut output = attempt();
            if options.idempotent && output.as_ref().is_err_and(|e| e.kind == Kind::Unreachable) {
                output = attempt();
            }
            let output = output.map_err(|e| options.on_error.judge(e))?;
            if let Some(action) = action {
                action.says(summary(&output));
                self.log_output(&output, options.save_as.is_some());
            }
            if options.on_error != OnError::Return && !output.is_success() {
                return Err(options.on_error.judge(self.refused(command, &output)));
            }
            Ok(output)
        };
        let output = if options.quiet { work(None) } else { self.told(command, |action| work(Some(action))) };
        if let Some(path) = file.as_ref().filter(|p| p.exists()) {
            self.context.attach(path);
        }
        Ok(Ended::new(output?, options.keep_newline))
    }

    /// Runs something with the machine, told to the stream.
    pub(super) fn told<T>(&self, what: &str, work: impl FnOnce(&Action<'_>) -> Result<T>) -> Result<T> {
        self.context.action(Some(self.name()), what, work)
    }

    /// Runs a command of ours, which is one of a POSIX shell.
    pub(super) fn run(&self, command: &Command) -> Result<Output> {
        self.needs_posix()?;
        self.run_any(command)
    }

    /// The one way to a command there: passes warnings on, and learns from the end whether the machine is there.
    pub(super) fn run_any(&self, command: &Command) -> Result<Output> {
        let result = self.place.transport().exec(command, &self.context.cancel());
        self.heard(result)
    }

    /// What every call of the transport is passed through.
    pub(super) fn heard<T>(&self, result: Result<T>) -> Result<T> {
        for warning in self.place.transport().warnings() {
            self.context.log(Level::Warning, warning);
        }
        match &result {
            Ok(_) => self.place.answered(),
            // It may have been started anew, as another system even.
            Err(error) if error.kind == Kind::Unreachable => self.place.forget_facts(),
            Err(_) => {}
        }
        result.map_err(|error| if error.kind == Kind::Unreachable { self.explained(error) } else { error })
    }

    /// A guest that cannot be reached because it went down by itself: its hypervisor knows, and that is the product's.
    fn explained(&self, error: Error) -> Error {
        if self.vm().is_err() || !self.place.is_to_answer() {
            return error;
        }
        let own = self.context.cancel().child_with_limit("question whether it runs", self.patience(ALIVE).limit);
        match self.record_under(&own) {
            Ok(record) if record.state == PowerState::Down => {
                let what = format!("`{}` went DOWN by itself: {}", self.name(), error.what);
                Error { what, ..error }.blame(Blame::Product)
            }
            _ => error,
        }
    }

    /// A small question of ours, not told: whoever asks it tells.
    pub(super) fn ask(&self, script: &str) -> Result<Output> {
        self.run(&Command::new(script, self.patience(Patience::QUESTION).limit))
    }

    /// As `ask`, for what must end well; the answer without its last newline.
    pub(super) fn answer(&self, script: &str) -> Result<String> {
        let output = self.ask(script)?;
        if !output.is_success() {
            return Err(self.refused(script, &output));
        }
        Ok(Ended::new(output, false).stdout)
    }

    /// The patience with this lab's factor.
    pub(super) fn patience(&self, usual: Patience) -> Patience {
        usual.scaled(self.place.scale())
    }

    /// The error for a command that did not end with 0.
    pub(super) fn refused(&self, command: &str, output: &Output) -> Error {
        let ended = match &output.status {
            Status::Exited(code) => format!("ended with status {code}"),
            Status::Signalled(name) => format!("was ended by the signal {name}"),
        };
        let said = [&output.stderr, &output.stdout].map(|s| last_line(&s.tail(4096)));
        let said = said.iter().find(|s| !s.is_empty()).map(|s| format!(": {s}")).unwrap_or_default();
        let help = match output.status {
            Status::Exited(127) => "the command is not there; `install_tool(name)` installs it where a package has it",
            Status::Exited(126) => "the command cannot be run: its permissions, or the directory in `cwd`",
            Status::Signalled(ref name) if name == "KILL" => "SIGKILL often is the kernel's: see `dmesg` for \"Out of memory\"",
            _ => "if any status is fine, use `exec_rc`, or `#{ on_error: \"return\" }`",
        };
        Error::new(Kind::Refused, format!("`{}` on {} {ended}{said}", clip(command, 200), self.name()))
            .details(output.details(self.name(), command))
            .help(help)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the testcase left on the machine: temporary directories, and jobs that still have files there.
    pub fn leftovers(&self) -> Vec<String> {
        let held = self.held();
        held.temp_dirs.iter().cloned().chain(held.jobs.iter().map(|j| j.dir().to_string())).collect()
    }

    /// Ends the jobs that still run and removes what [`Guest::leftovers`] names. Each thing is tried, as long as the machine
    /// answers; the first error is returned.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, `Timeout`, `Cancelled`.
    pub fn clean_up(&self) -> Result<()> {
        let (jobs, dirs) = {
            let mut held = self.held();
            (std::mem::take(&mut held.jobs), std::mem::take(&mut held.temp_dirs))
        };
        let jobs = jobs.iter().map(Job::discard);
        let dirs = dirs.iter().map(|dir| self.remove_tree(dir));
        let mut first = Ok(());
        for result in jobs.chain(dirs) {
            let is_gone = result.as_ref().is_err_and(|e| e.kind == Kind::Unreachable);
            first = first.and(result);
            // Each further attempt would take as long to fail.
            if is_gone {
                break;
            }
        }
        first
    }

    fn log_output(&self, output: &Output, is_saved: bool) {
        let streams = [("", &output.stdout), ("stderr: ", &output.stderr)];
        for (mark, stream) in streams.iter().filter(|(mark, s)| s.total() > 0 && !(is_saved && mark.is_empty())) {
            let cut = if stream.total() > LOGGED_OUTPUT as u64 { "[…] " } else { "" };
            self.context.log(Level::Verbose, format!("{mark}{cut}{}", stream.tail(LOGGED_OUTPUT).trim_end()));
        }
    }
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "guest({:?})", self.name())
    }
}

impl Ended {
    fn new(output: Output, keep_newline: bool) -> Ended {
        let mut stdout = output.stdout.text();
        if !keep_newline {
            stdout.truncate(stdout.trim_end_matches(['\n', '\r']).len());
        }
        let (code, signal) = match output.status {
            Status::Exited(code) => (i64::from(code), None),
            Status::Signalled(name) => (signal_code(&name), Some(name)),
        };
        Ended { stdout, stderr: output.stderr.text(), code, signal, took: output.took }
    }
}

/// "exit 0, 12 lines".
fn summary(output: &Output) -> String {
    let end = match &output.status {
        Status::Exited(code) => format!("exit {code}"),
        Status::Signalled(name) => format!("killed by SIG{name}"),
    };
    let bytes = output.stdout.total();
    if bytes == 0 {
        return end;
    }
    if output.stdout.is_cut() {
        return format!("{end}, {}", show_size(bytes));
    }
    match output.stdout.text().lines().count() {
        1 => format!("{end}, 1 line"),
        lines => format!("{end}, {lines} lines"),
    }
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> String {
    clip(text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default(), 200)
}

/// What shells say of a command that a signal ended. 128 stands for a signal that Linux has no number for.
fn signal_code(name: &str) -> i64 {
    const NUMBERS: &[(&str, i64)] = &[
        ("ABRT", 6),
        ("ALRM", 14),
        ("BUS", 7),
        ("CONT", 18),
        ("FPE", 8),
        ("HUP", 1),
        ("ILL", 4),
        ("INT", 2),
        ("IO", 29),
        ("KILL", 9),
        ("PIPE", 13),
        ("PROF", 27),
        ("PWR", 30),
        ("QUIT", 3),
        ("SEGV", 11),
        ("STKFLT", 16),
        ("STOP", 19),
        ("SYS", 31),
        ("TERM", 15),
        ("TRAP", 5),
        ("TSTP", 20),
        ("TTIN", 21),
        ("TTOU", 22),
        ("URG", 23),
        ("USR1", 10),
        ("USR2", 12),
        ("VTALRM", 26),
        ("WINCH", 28),
        ("XCPU", 24),
        ("XFSZ", 25),
    ];
    let name = name.strip_prefix("SIG").unwrap_or(name);
    128 + NUMBERS.iter().find(|(n, _)| *n == name).map_or_else(|| name.parse().unwrap_or(0), |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_status_as_shells_have_it() {
        for (name, code) in [("KILL", 137), ("SIGTERM", 143), ("SEGV", 139), ("34", 162), ("ODD", 128)] {
            assert_eq!(signal_code(name), code, "{name}");
        }
    }

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        assert_eq!(last_line("one\ntwo \n \n\n"), "two");
        assert_eq!(last_line("\n"), "");
    }
}
