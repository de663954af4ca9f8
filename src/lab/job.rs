//! A command that runs on a machine in the background: it goes on when the connection is lost, and its files tell how it went.

use super::command::{Surroundings, quote};
use super::facts::BOOT_ID;
use super::guest::{Guest, last_line};
use super::option::{JobOptions, OnError, WaitOptions};
use super::wait::{Look, Patience, until};
use super::windows::batch_around;
use crate::context::clip;
use crate::error::{Blame, Details, Error, Kind, Result};
use crate::wire::windows::{Background, Windows};
use crate::wire::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};

/// A command in the background. Clones are the same job.
#[derive(Clone)]
pub struct Job(Arc<Inner>);

struct Inner {
    guest: Guest,
    command: String,
    on_error: OnError,
    /// Its directory there, with the files `run in out err rc pid`.
    dir: String,
    how: How,
    boot_id: String,
    /// How it ended, once that is known.
    end: Mutex<Option<End>>,
}

/// What its processes are known by.
enum How {
    /// The number of their group.
    Posix(u32),
    Windows(Arc<dyn Windows>, Background),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exited(i64),
    /// By [`Job::kill`].
    Killed,
}

/// What a look at a job shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Ended(i64),
    /// Its processes are gone and it left no status.
    Vanished,
    /// The machine was started anew since.
    Rebooted,
}

/// Lists the processes of the job: of its session or its group, as `$g` names both; the dead ones that nobody buried left out.
/// Built-in commands of the shell only.
const PIDS: &str = "\
pids() { for s in /proc/[0-9]*/stat; do read -r l <\"$s\" || continue; p=${l%% *}; set -- ${l##*) }; [ \"$1\" = Z ] && continue
if [ \"$4\" = \"$g\" ] || [ \"$3\" = \"$g\" ] || [ \"$p\" = \"$g\" ]; then echo \"$p\"; fi; done 2>/dev/null; }";

/// Ends the job `$g`: SIGTERM, after about five seconds SIGKILL. A small busybox sleeps whole seconds only.
const KILL: &str = "\
i=0; while [ $i -lt 40 ]; do p=$(pids); [ -z \"$p\" ] && exit 0
case $i in 0) kill -TERM $p; kill -CONT $p;; 2[5-9]|3?) kill -KILL $p;; esac 2>/dev/null
sleep 0.2 2>/dev/null && i=$((i+1)) || { sleep 1; i=$((i+5)); }; done; [ -z \"$(pids)\" ]";

impl Guest {
    /// Starts a command in the background. It survives a lost connection; it is ended at the testcase's end if it still runs.
    ///
    /// # Errors
    /// `Malformed` options, `Refused` (no room for its files), `Unreachable`, `Timeout`, `Cancelled`.
    pub fn run_job(&self, command: &str, options: &JobOptions) -> Result<Job> {
        let surroundings = Surroundings { cwd: options.cwd.as_deref(), env: &options.env, user: options.user.as_deref() };
        let job = self.told(&format!("start job: {command}"), |action| {
            let make = |how, dir: String, boot_id| {
                let (guest, command, on_error) = (self.clone(), command.to_string(), options.on_error);
                Job(Arc::new(Inner { guest, command, on_error, dir, how, boot_id, end: Mutex::default() }))
            };
            if let Some(windows) = self.windows()? {
                let text = batch_around(&surroundings, command)?;
                let (background, dir, boot_id) = self.windows_start(&*windows, &text, &options.input)?;
                action.says(format!("process {} in {dir}", background.pid));
                return Ok(make(How::Windows(windows, background), dir, boot_id));
            }
            let text = surroundings.around(command)?;
            let mut start = Command::new(start_script(&text)?, self.patience(Patience::QUESTION).limit);
            start.stdin = options.input.clone().into_bytes();
            let output = self.run(&start)?;
            let said = output.stdout.text();
            let (group, dir, boot_id) = parse_start(&said).filter(|_| output.is_success()).ok_or_else(|| {
                let mut error = self.refused(command, &output);
                error.what = format!("cannot start the job `{}` on {}: {}", clip(command, 200), self.name(), complaint(&output));
                error.blame(Blame::Lab)
            })?;
            action.says(format!("process group {group} in {dir}"));
            Ok(make(How::Posix(group), dir, boot_id))
        })?;
        // The machine holds files of it from now on.
        self.held().jobs.push(job.clone());
        Ok(job)
    }
}

impl Job {
    /// The guest that it runs on.
    pub fn guest(&self) -> &Guest {
        &self.0.guest
    }

    pub fn command(&self) -> &str {
        &self.0.command
    }

    /// The directory of its files on the machine.
    pub fn dir(&self) -> &str {
        &self.0.dir
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`; `Refused` when the machine was rebooted under it.
    pub fn done(&self) -> Result<bool> {
        self.told("is the job done?", || match self.look()? {
            State::Running => Ok(false),
            State::Ended(_) | State::Vanished => Ok(true),
            State::Rebooted => Err(self.rebooted()),
        })
    }

    /// Its exit status (128 and the signal's number when one ended it); nothing while it runs.
    ///
    /// # Errors
    /// As [`Job::done`]; `Refused` when it vanished without a status.
    pub fn rc(&self) -> Result<Option<i64>> {
        self.told("status of the job", || match self.look()? {
            State::Running => Ok(None),
            State::Ended(code) => Ok(Some(code)),
            State::Vanished => Err(self.vanished()),
            State::Rebooted => Err(self.rebooted()),
        })
    }

    /// Waits for its end and returns its status. A lost connection in between does not matter.
    ///
    /// # Errors
    /// `Timeout` (it goes on running); `Refused` when its status is not 0 (judged by the job's `on_error`), when it vanished or the
    /// machine was rebooted; `Cancelled`.
    pub fn wait(&self, options: &WaitOptions) -> Result<i64> {
        let guest = &self.0.guest;
        let shown = clip(&self.0.command, 200);
        guest.told(&format!("wait for job: {shown}"), |action| {
            let patience = guest.patience(Patience::JOB).or(options.timeout);
            let what = format!("the job `{shown}` on {} to end", guest.name());
            let code = until(guest.context(), action, &what, &patience, |_| match self.look() {
                Ok(State::Running) => Ok(Look::NotYet("it runs".into())),
                Ok(State::Ended(code)) => Ok(Look::Done(code)),
                Ok(State::Vanished) => Err(self.vanished()),
                Ok(State::Rebooted) => Err(self.rebooted()),
                Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) => Ok(Look::NotYet(error.what)),
                Err(error) => Err(error),
            })
            .map_err(|e| self.0.on_error.judge(e))?;
            action.says(format!("exit {code}"));
            if code != 0 && self.0.on_error != OnError::Return {
                return Err(self.0.on_error.judge(self.failed(code)?));
            }
            Ok(code)
        })
    }

    /// What it has written to its standard output so far.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`; `Refused` when its files are gone.
    pub fn output(&self) -> Result<String> {
        self.told("output of the job", || Ok(self.streams()?.stdout.text()))
    }

    /// What it has written to its standard error so far.
    ///
    /// # Errors
    /// As [`Job::output`].
    pub fn errors(&self) -> Result<String> {
        self.told("errors of the job", || Ok(self.streams()?.stderr.text()))
    }

    /// Ends it with all the processes it started: asked first, after a few seconds forced. No error when it has ended.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout` (a process that even SIGKILL does not end), `Cancelled`.
    pub fn kill(&self) -> Result<()> {
        self.told("kill the job", || {
            if self.look()? != State::Running {
                return Ok(());
            }
            match &self.0.how {
                How::Windows(windows, background) => self.0.guest.windows_end(&**windows, background)?,
                How::Posix(group) => {
                    let output = self.0.guest.ask(&format!("g={group}\n{PIDS}\n{KILL}"))?;
                    if !output.is_success() {
                        let what = format!("the job `{}` outlived SIGKILL", clip(&self.0.command, 200));
                        return Err(Error::new(Kind::Timeout, what));
                    }
                }
            }
            self.0.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(End::Killed);
            Ok(())
        })
    }

    /// Ends it if it runs, and removes its files.
    pub(super) fn discard(&self) -> Result<()> {
        let killed = self.kill();
        if let How::Windows(windows, background) = &self.0.how {
            self.0.guest.windows_end(&**windows, background)?;
        }
        self.0.guest.remove_tree(&self.0.dir)?;
        killed
    }

    fn told<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.guest.told(&format!("{what}: {}", clip(&self.0.command, 100)), |_| work())
    }

    fn look(&self) -> Result<State> {
        let known = *self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some(End::Exited(code)) => return Ok(State::Ended(code)),
            Some(End::Killed) => return Ok(State::Ended(137)),
            None => {}
        }
        let state = match &self.0.how {
            How::Windows(windows, background) => self.0.guest.windows_look(&**windows, background, &self.0.dir, &self.0.boot_id)?,
            How::Posix(group) => self.look_posix(*group)?,
        };
        if let State::Ended(code) = state {
            *self.0.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(End::Exited(code));
        }
        Ok(state)
    }

    fn look_posix(&self, group: u32) -> Result<State> {
        let dir = quote(&self.0.dir)?;
        // Its status is looked for again after its processes: it may have ended in between.
        let script = format!(
            "{{ {BOOT_ID}; }}; cd {dir} 2>/dev/null || {{ echo gone; exit 0; }}\ncat rc 2>/dev/null && exit 0\ng={group}\n{PIDS}\n\
             if [ -n \"$(pids)\" ]; then echo runs; else cat rc 2>/dev/null || echo gone; fi"
        );
        Ok(parse_state(&self.0.guest.answer(&script)?, &self.0.boot_id))
    }

    fn streams(&self) -> Result<Output> {
        let guest = &self.0.guest;
        if let How::Windows(windows, _) = &self.0.how {
            return guest.windows_streams(&**windows, &self.0.dir);
        }
        let script = format!("cd {} && cat out && cat err >&2", quote(&self.0.dir)?);
        let output = guest.run(&Command::new(&script, guest.patience(Patience::COPY).limit))?;
        if output.is_success() { Ok(output) } else { Err(guest.refused(&script, &output)) }
    }

    /// The error for a status other than 0, with the ends of its output.
    fn failed(&self, code: i64) -> Result<Error> {
        let guest = &self.0.guest;
        let (details, said) = match self.streams() {
            Ok(output) => (output.details(guest.name(), &self.0.command), complaint(&output)),
            // That it failed is known, even if what it said is lost.
            Err(error) => {
                guest.context().cancel().check()?;
                let details = Details { machine: guest.name().into(), command: self.0.command.clone(), ..Details::default() };
                (details, format!("its output cannot be had: {}", error.what))
            }
        };
        let details = Details { code: Some(code), ..details };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Ok(Error::new(
            Kind::Refused,
            format!("the job `{}` on {} ended with status {code}{said}", clip(&self.0.command, 200), guest.name()),
        )
        .details(details)
        .help("if any status is fine, start it with `#{ on_error: \"return\" }`"))
    }

    fn vanished(&self) -> Error {
        let name = self.0.guest.name();
        let what = format!("the job `{}` on {name} vanished without a status", clip(&self.0.command, 200));
        Error::new(Kind::Refused, what).help("something killed it: see `dmesg` there for \"Out of memory\"")
    }

    fn rebooted(&self) -> Error {
        let name = self.0.guest.name();
        Error::new(Kind::Refused, format!("{name} was rebooted under the job `{}`", clip(&self.0.command, 200)))
    }
}

/// As failure cards and scripts show it.
impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "job({:?} on {})", clip(&self.0.command, 60), self.0.guest.name())
    }
}

/// Makes its directory, takes its input from standard input, starts it in a session of its own, and says group, directory, boot id.
fn start_script(text: &str) -> Result<String> {
    Ok(format!(
        "d=$(mktemp -d \"${{TMPDIR:-/tmp}}/xenrt-job.XXXXXX\") && printf '%s\\n' {} >\"$d/run\" && cat >\"$d/in\" || exit 1\n\
         command -v setsid >/dev/null && s=setsid || s=\n\
         (trap '' HUP; exec $s sh -c 'sh \"$0/run\" >\"$0/out\" 2>\"$0/err\" <\"$0/in\"; echo $? >\"$0/rc.new\"; \
         mv \"$0/rc.new\" \"$0/rc\"' \"$d\") >/dev/null 2>&1 </dev/null &\n\
         echo $! >\"$d/pid\"; echo $!; echo \"$d\"; {BOOT_ID}",
        quote(text)?
    ))
}

fn complaint(output: &Output) -> String {
    let error = last_line(&output.stderr.tail(4096));
    if error.is_empty() { last_line(&output.stdout.tail(4096)) } else { error }
}

fn parse_start(said: &str) -> Option<(u32, String, String)> {
    let mut lines = said.lines();
    let group = lines.next()?.trim().parse().ok()?;
    let dir = lines.next()?.to_string();
    let boot_id = lines.next()?.trim().to_string();
    (group > 1 && dir.contains("/xenrt-job.") && !boot_id.is_empty()).then_some((group, dir, boot_id))
}

fn parse_state(said: &str, boot_id: &str) -> State {
    let mut lines = said.lines();
    if lines.next().map(str::trim) != Some(boot_id) {
        return State::Rebooted;
    }
    match lines.next().map(str::trim) {
        Some("runs") => State::Running,
        Some(code) => code.parse().map_or(State::Vanished, State::Ended),
        None => State::Vanished,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_read() {
        for (said, state) in [
            ("b\n0\n", State::Ended(0)),
            ("b\n143", State::Ended(143)),
            ("b\nruns\n", State::Running),
            ("b\ngone\n", State::Vanished),
            ("b\n", State::Vanished),
            ("c\n0\n", State::Rebooted),
            ("", State::Rebooted),
        ] {
            assert_eq!(parse_state(said, "b"), state, "{said:?}");
        }
        assert_eq!(parse_start("12\n/tmp/xenrt-job.abc\nb\n"), Some((12, "/tmp/xenrt-job.abc".into(), "b".into())));
        for odd in ["", "x\n/tmp/xenrt-job.a\nb", "0\n/tmp/xenrt-job.a\nb", "12\n/tmp\nb", "12\n/tmp/xenrt-job.a\n"] {
            assert_eq!(parse_start(odd), None, "{odd}");
        }
    }
}
