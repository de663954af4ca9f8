//! Whether a machine answers, and taking it down and up again from inside.

use super::facts::BOOT_ID;
use super::guest::{Guest, last_line};
use super::option::{PowerOptions, WaitOptions};
use super::vm::EVENT;
use super::wait::{Look, Patience, until, until_told};
use super::windows;
use crate::context::Action;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::Command;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long one look at a machine may take.
const LOOK: Duration = Duration::from_secs(20);

/// How long a login may be refused by a machine that comes up: until its login service lets people in.
const LOGIN_GRACE: Duration = Duration::from_secs(60);

/// How long one look at a machine that should go silent may take.
const SILENT_LOOK: Duration = Duration::from_secs(10);

/// How much silence counts as down: a refused connection is quick and may be a moment's, so it counts half of a look that got no
/// answer in all its time.
const SILENT: u32 = 4;

/// Finds `$sudo` for who is not root, and the commands that a plain user's path leaves out.
const AS_ROOT: &str = "PATH=\"$PATH:/usr/sbin:/sbin\"; sudo=; [ \"$(id -u)\" = 0 ] || sudo='sudo -n'";

/// What its hypervisor says of a guest that is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    /// It may still be down, or go down and come back.
    Anything,
    /// It has been started: should it go down again, that is an error at once.
    Started,
}

/// What one look at a machine shows.
enum Sight {
    /// The boot id is empty when it answered without one, as a machine does that ends its processes to go down.
    Up { boot_id: String },
    /// It does not answer.
    Silent(Error),
    /// It answers, and lets nobody in.
    Locked(Error),
}

impl Guest {
    /// Whether it answers within the limit (a minute when none is given).
    ///
    /// # Errors
    /// `Refused` when it answers but the login fails; `Cancelled`.
    pub fn is_reachable(&self, options: &WaitOptions) -> Result<bool> {
        self.told("is it reachable?", |action| {
            let limit = self.patience(Patience::REACHABLE).or(options.timeout).limit;
            let (answers, why) = match self.look(limit, &self.context().cancel())? {
                Sight::Up { .. } => (true, String::new()),
                Sight::Silent(error) => (false, format!(": {}", error.what)),
                Sight::Locked(error) => return Err(error),
            };
            action.says(format!("{}{why}", if answers { "yes" } else { "no" }));
            Ok(answers)
        })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// `Timeout` with what was seen last (the lab's fault if it has never answered in this run); `Refused` when the login goes on
    /// failing; `Cancelled`.
    pub fn wait_ready(&self, options: &WaitOptions) -> Result<()> {
        self.told("wait until it answers", |action| {
            let patience = self.patience(Patience::READY).or(options.timeout);
            let known = self.place().was_reached();
            let result = self.wait_up(action, &patience, "to answer", Now::Anything, |_| None);
            result.map(drop).map_err(|e| if e.kind == Kind::Timeout && !known { e.blame(Blame::Lab) } else { e })
        })
    }

    /// Waits until it no longer answers.
    ///
    /// # Errors
    /// `Timeout`, `Cancelled`.
    pub fn wait_unreachable(&self, options: &WaitOptions) -> Result<()> {
        self.told("wait until it no longer answers", |action| {
            let patience = self.patience(Patience::SHUTDOWN).or(options.timeout);
            self.wait_silent(action, &patience, None)
        })
    }

    /// Reboots it from inside and waits until it answers with a new boot id.
    pub(super) fn reboot_inside(&self, action: &Action<'_>, options: &PowerOptions) -> Result<()> {
        self.not_here("reboot")?;
        if let Some(windows) = self.windows()? {
            return self.windows_reboot(&*windows, action, options);
        }
        let started = Instant::now();
        let before = self.known_boot_id()?;
        action.progress("asking it to reboot", None);
        if options.force { self.ask_hard('b', "reboot -f") } else { self.ask_softly("systemctl reboot", "reboot") }?;
        self.gone();
        let patience = self.patience(Patience::READY).or(options.timeout);
        self.wait_started(action, &patience, &before)?;
        action.says(format!("back after {}", crate::unit::show_duration(started.elapsed())));
        Ok(())
    }

    /// Asks it from inside to shut down.
    pub(super) fn shutdown_inside(&self, action: &Action<'_>, options: &PowerOptions) -> Result<()> {
        self.not_here("shut down")?;
        if let Some(windows) = self.windows()? {
            return self.windows_shutdown(&*windows, action, options);
        }
        let before = self.known_boot_id()?;
        action.progress("asking it to shut down", None);
        if options.force { self.ask_hard('o', "poweroff -f") } else { self.ask_softly("systemctl poweroff", "poweroff") }?;
        self.gone();
        self.wait_silent(action, &self.patience(Patience::SHUTDOWN).or(options.timeout), Some(&before))
    }

    /// Makes its kernel panic, and waits until it no longer answers (or has been started anew by what watches it).
    ///
    /// # Errors
    /// As [`Guest::reboot`].
    pub fn crash(&self, options: &WaitOptions) -> Result<()> {
        self.not_here("crash")?;
        self.told("crash", |action| {
            let before = self.known_boot_id()?;
            self.ask_hard('c', "")?;
            self.gone();
            let patience = self.patience(Patience::CRASH).or(options.timeout);
            match self.wait_silent(action, &patience, Some(&before)) {
                Err(error) if error.kind == Kind::Refused => {
                    action.says("it panicked and came back");
                    Ok(())
                }
                other => other,
            }
        })
    }

    /// Why it cannot be asked anything right now, if that is so: seen within one look.
    pub(super) fn silence(&self) -> Result<Option<String>> {
        Ok(match self.look(LOOK, &self.context().cancel())? {
            Sight::Up { .. } => None,
            Sight::Silent(error) | Sight::Locked(error) => Some(error.what),
        })
    }

    fn not_here(&self, what: &str) -> Result<()> {
        if !self.place().is_here() {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("`{}` is the machine that runs this testcase: it cannot {what}", self.name()))
            .blame(Blame::Author)
            .help("run it against another machine: `--guest user@host`"))
    }

    pub(super) fn known_boot_id(&self) -> Result<String> {
        let id = match self.windows()? {
            Some(windows) => self.heard(self.windows_boot_id(&*windows, &self.context().cancel()))?,
            None => last_line(&self.answer(BOOT_ID)?),
        };
        if id.is_empty() {
            return Err(Error::new(Kind::Unsupported, format!("{} has no boot id: not Linux?", self.name())).blame(Blame::Lab));
        }
        Ok(id)
    }

    /// Asks in the usual way. The connection may end before the answer.
    pub(super) fn ask_softly(&self, systemd: &str, other: &str) -> Result<()> {
        let script = format!("{AS_ROOT}; if [ -d /run/systemd/system ]; then $sudo {systemd}; else $sudo {other}; fi");
        match self.run(&Command::new(&script, self.patience(Patience::seconds(30)).limit)) {
            Ok(output) if output.is_success() || matches!(output.status, crate::wire::Status::Signalled(_)) => Ok(()),
            Ok(output) => Err(self.refused(other, &output)),
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) => self.context().cancel().check(),
            Err(error) => Err(error),
        }
    }

    /// Asks the kernel at once by its magic key, and by a command where the key is not there or does nothing. It happens a second
    /// later, when the answer is on its way: no machine says goodbye after it.
    pub(super) fn ask_hard(&self, key: char, other: &str) -> Result<()> {
        let (without, also) = if other.is_empty() { ("exit 3", String::new()) } else { ("key=", format!("; sleep 5; {other}")) };
        let script = format!(
            "{AS_ROOT}; key='echo {key} >/proc/sysrq-trigger'\n\
             $sudo sh -c 'echo 1 >/proc/sys/kernel/sysrq; test -w /proc/sysrq-trigger' 2>/dev/null || {without}\n\
             (trap '' HUP; exec $sudo sh -c \"sleep 1; ${{key:-true}}{also}\") >/dev/null 2>&1 </dev/null &"
        );
        let output = self.ask(&script)?;
        if output.is_success() {
            return Ok(());
        }
        let mut error = self.refused("echo >/proc/sysrq-trigger", &output).blame(Blame::Lab);
        error.help = Some("the kernel there takes no magic keys from us: log in as root".into());
        Err(error)
    }

    /// The machine is about to go: nothing that was known of it holds.
    pub(super) fn gone(&self) {
        self.place().goes();
    }

    /// One look, never longer than `limit`.
    fn look(&self, limit: Duration, cancel: &Cancel) -> Result<Sight> {
        let result = self.boot_id_within(limit, cancel);
        cancel.check()?;
        match self.heard(result) {
            Ok(boot_id) => Ok(Sight::Up { boot_id }),
            Err(error) if matches!(error.kind, Kind::Unreachable | Kind::Timeout) => {
                // A connection that is dead and does not know it would cost each look its whole limit. Others may use it, so a
                // short silence is no reason yet.
                if error.kind == Kind::Timeout && limit >= SILENT_LOOK {
                    self.place().transport().hang_up();
                }
                Ok(Sight::Silent(error))
            }
            Err(error) if error.kind == Kind::Refused => Ok(Sight::Locked(error)),
            Err(error) => Err(error),
        }
    }

    /// The boot id; empty when it answers without one.
    fn boot_id_within(&self, limit: Duration, cancel: &Cancel) -> Result<String> {
        let transport = self.place().transport();
        let own = cancel.child_with_limit(&format!("look at {}", self.name()), limit);
        let known = transport.windows(&own).map_err(|error| {
            if !own.is_raised() || cancel.is_raised() {
                return error;
            }
            Error { what: format!("no answer within {}", crate::unit::show_duration(limit)), ..error }
        });
        if let Some(windows) = known? {
            return windows::look(&*windows, limit, cancel);
        }
        let output = transport.exec(&Command::new(BOOT_ID, limit), cancel)?;
        // The last line: the shell's start-up files may say something first, and something else each time.
        Ok(if output.is_success() { last_line(&output.stdout.text()) } else { String::new() })
    }

    /// Waits until it answers with another boot id than before; with any when there was none.
    pub(super) fn wait_started(&self, action: &Action<'_>, patience: &Patience, before: &str) -> Result<()> {
        self.wait_up(action, patience, "to answer with a new boot id", Now::Anything, |boot_id| {
            (!is_new(boot_id, before)).then(|| "it still runs, with the old boot id".to_string())
        })
        .map(drop)
    }

    /// Waits until it answers, and `not_yet` has nothing against the boot id; returns that.
    pub(super) fn wait_up(
        &self,
        action: &Action<'_>,
        patience: &Patience,
        what: &str,
        now: Now,
        not_yet: impl Fn(&String) -> Option<String>,
    ) -> Result<String> {
        let what = format!("`{}` {what}", self.name());
        let mut locked_since: Option<Instant> = None;
        let grace = self.patience(Patience { limit: LOGIN_GRACE, ..*patience }).limit.min(patience.limit);
        let mut watch = self.watch();
        let patience = if watch.is_some() { patience.eager() } else { *patience };
        // While its hypervisor says that it is not there, that will also say when it is.
        let is_told = Cell::new(false);
        let mut rest = |own: &Cancel, longest: Duration| match &mut watch {
            Some(watch) if is_told.get() => watch.pause(own, longest.max(EVENT)),
            Some(watch) => watch.pause(own, longest),
            None => own.sleep(longest),
        };
        let look = |own: &Cancel| match self.look_there(own, now, &is_told)? {
            Sight::Up { boot_id } => Ok(match not_yet(&boot_id) {
                None => Look::Done(boot_id),
                Some(why) => Look::NotYet(why),
            }),
            Sight::Silent(error) => {
                locked_since = None;
                Ok(Look::NotYet(error.what))
            }
            Sight::Locked(error) if locked_since.get_or_insert_with(Instant::now).elapsed() > grace => Err(error),
            Sight::Locked(error) => Ok(Look::NotYet(error.what)),
        };
        until_told(self.context(), action, &what, &patience, &mut rest, look)
    }

    /// One look at a guest in its lab: its hypervisor knows better than silence does whether it runs, and where it is.
    fn look_there(&self, own: &Cancel, now: Now, is_told: &Cell<bool>) -> Result<Sight> {
        let why = self.why_not_inside(own, now)?;
        is_told.set(why.is_some());
        if let Some(why) = why {
            return Ok(Sight::Silent(why));
        }
        self.look(LOOK, own)
    }

    /// Waits until it does not answer several times in a row. With the boot id from before, an answer with another one is an error.
    pub(super) fn wait_silent(&self, action: &Action<'_>, patience: &Patience, before: Option<&str>) -> Result<()> {
        let what = format!("`{}` to stop answering", self.name());
        let mut silent = 0;
        until(self.context(), action, &what, patience, |own| match self.look(SILENT_LOOK, own)? {
            Sight::Up { boot_id } if before.is_some_and(|before| is_new(&boot_id, before)) => {
                let what = format!("`{}` came back with a new boot id instead of staying down", self.name());
                Err(Error::new(Kind::Refused, what))
            }
            Sight::Up { .. } | Sight::Locked(_) => {
                silent = 0;
                Ok(Look::NotYet("it still answers".into()))
            }
            Sight::Silent(error) => {
                silent += if error.kind == Kind::Timeout { 2 } else { 1 };
                Ok(if silent >= SILENT { Look::Done(()) } else { Look::NotYet(error.what) })
            }
        })
    }
}

/// Whether the machine was started anew. A machine that goes down may answer without a boot id, and that is none.
pub(super) fn is_new(boot_id: &str, before: &str) -> bool {
    !boot_id.is_empty() && !windows::is_same_boot(boot_id, before).unwrap_or(boot_id == before)
}
