//! The one loop in which everything waits: it sees cancel and deadline, tells how far it is, and when it gives up it says what
//! it waited for, how long, and what it saw last.

use crate::context::{Action, Context};
use crate::error::{Error, Kind, Result};
use crate::time::Cancel;
use crate::unit::show_duration;
use std::time::{Duration, Instant};

/// How long we wait for something, and how often we look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    pub limit: Duration,
    /// The pause after the first look; it grows from look to look.
    pub first: Duration,
    /// The longest pause between two looks.
    pub longest: Duration,
}

impl Patience {
    /// For a machine to answer after a start or a reboot.
    pub const READY: Patience = Patience::seconds(900);
    /// For a machine to go down when asked.
    pub const SHUTDOWN: Patience = Patience::seconds(600);
    /// For a machine to fall silent after it was made to crash.
    pub const CRASH: Patience = Patience::seconds(120);
    /// For the answer to "are you there?".
    pub const REACHABLE: Patience = Patience::seconds(60);
    /// For a command in a guest.
    pub const EXEC: Patience = Patience::seconds(1200);
    /// For a question of ours that a machine answers at once.
    pub const QUESTION: Patience = Patience::seconds(60);
    /// For a file or a tree to be copied.
    pub const COPY: Patience = Patience::seconds(3600);
    /// For a package to be installed, a locked package manager included.
    pub const INSTALL: Patience = Patience::seconds(1800);
    /// For a job in the background.
    pub const JOB: Patience = Patience::seconds(1200);
    /// For a process to end after it was told to.
    pub const PROCESS_END: Patience = Patience::seconds(10);
    /// For the logs of one machine.
    pub const LOGS: Patience = Patience::seconds(120);
    /// For something that a pool does at once, as a rule, and may have to wait its turn for.
    pub const TASK: Patience = Patience::seconds(1200);
    /// For a command of `xe`.
    pub const XE: Patience = Patience::seconds(2700);
    /// For a host to be up after a start or a reboot, its firmware's tests included.
    pub const HOST_BOOT: Patience = Patience::seconds(1800);
    /// For a host that is up to take guests.
    pub const ENABLED: Patience = Patience::seconds(900);
    /// For all guests of a host to move elsewhere.
    pub const EVACUATE: Patience = Patience::seconds(7200);
    /// For something about an SR or a volume.
    pub const STORAGE: Patience = Patience::seconds(1800);
    /// For an SR to have merged what was snapshots.
    pub const COALESCE: Patience = Patience::seconds(600);
    /// For something about a network or an interface of a host.
    pub const NETWORK: Patience = Patience::seconds(300);
    /// For a host to join a pool or to leave it.
    pub const POOL: Patience = Patience::seconds(1800);
    /// For a hypervisor to say that a guest was started.
    pub const START: Patience = Patience::seconds(3600);
    /// For a hypervisor to say that a guest was shut down, rebooted, suspended, resumed or migrated, clean or not.
    pub const ORDER: Patience = Patience::seconds(1800);
    /// For a guest to answer again after it was resumed or migrated.
    pub const AGAIN: Patience = Patience::seconds(360);
    /// For a guest to come into a state that it was told to take, and for its old domain to go.
    pub const STATE: Patience = Patience::seconds(600);
    /// For the agent in a guest to say something after a start.
    pub const AGENT: Patience = Patience::seconds(300);
    /// For a guest's disk or interface to come, go, or change.
    pub const DEVICE: Patience = Patience::seconds(300);
    /// For disks to be copied, written or read as a whole.
    pub const TRANSFER: Patience = Patience::seconds(4 * 3600);
    /// For a guest to shrink or grow to the memory that it is to have.
    pub const BALLOON: Patience = Patience::seconds(600);

    /// Looks after 0.2 s, then less and less often, at least every 2 s.
    pub const fn seconds(limit: u64) -> Patience {
        Patience { limit: Duration::from_secs(limit), first: Duration::from_millis(200), longest: Duration::from_secs(2) }
    }

    /// The same, looking anew after 10 ms first: for what may be quick, and for looks that cost little.
    #[must_use]
    pub const fn eager(self) -> Patience {
        Patience { first: Duration::from_millis(10), ..self }
    }

    /// The same with a limit that a script gave, if it gave one; that is taken as it is.
    #[must_use]
    pub fn or(self, limit: Option<Duration>) -> Patience {
        Patience { limit: limit.unwrap_or(self.limit), ..self }
    }

    /// More patience for slow labs: every built-in limit is multiplied.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Patience {
        Patience { limit: Duration::try_from_secs_f64(self.limit.as_secs_f64() * factor).unwrap_or(self.limit), ..self }
    }
}

/// What a look at the thing waited for gave.
#[derive(Debug)]
pub enum Look<T> {
    Done(T),
    /// Not yet, and what was seen instead ("connection refused").
    NotYet(String),
}

/// How long a text of progress stands before it is said again with a new time.
const SAY_AGAIN: Duration = Duration::from_secs(5);

/// Looks again and again until it is done. `what` goes into "waited 15m00 for …".
///
/// `look` gets the flag that also ends when the patience does; what it does must see that flag.
///
/// # Errors
/// `Timeout` when the patience is over, with what was seen last; those of the context's flag; those of `look`, at once.
pub fn until<T>(
    context: &Context,
    action: &Action<'_>,
    what: &str,
    patience: &Patience,
    look: impl FnMut(&Cancel) -> Result<Look<T>>,
) -> Result<T> {
    until_told(context, action, what, patience, &mut |own, longest| own.sleep(longest), look)
}

/// What fills the time between two looks: it returns at once when there may be something new to see, and after so long in any case.
pub type Pause<'a> = dyn FnMut(&Cancel, Duration) -> Result<()> + 'a;

/// As [`until`], for something that tells when there is something to see.
///
/// # Errors
/// As [`until`].
pub fn until_told<T>(
    context: &Context,
    action: &Action<'_>,
    what: &str,
    patience: &Patience,
    rest: &mut Pause<'_>,
    mut look: impl FnMut(&Cancel) -> Result<Look<T>>,
) -> Result<T> {
    let started = Instant::now();
    let own = context.cancel().child_with_limit(what, patience.limit);
    let mut pause = patience.first;
    let mut seen: Option<String> = None;
    let mut said = (String::new(), started);
    loop {
        match look(&own) {
            Ok(Look::Done(value)) => return Ok(value),
            Ok(Look::NotYet(text)) => seen = Some(text),
            // A look that our own limit cut short is no news.
            Err(error) if !own.is_raised() => return Err(error),
            Err(_) => {}
        }
        context.cancel().check()?;
        if own.is_raised() {
            return Err(gave_up(what, patience.limit, started.elapsed(), seen.as_deref()));
        }
        let text = seen.as_deref().unwrap_or("nothing seen");
        if text != said.0 || said.1.elapsed() >= SAY_AGAIN {
            action.progress(format!("not yet: {text} ({:.0} s)", started.elapsed().as_secs_f64()), None);
            said = (text.to_string(), Instant::now());
        }
        // Its own limit ends the pause early; whether that was it is seen above after one last look.
        let _ = rest(&own, pause);
        context.cancel().check()?;
        pause = pause.mul_f64(1.3).min(patience.longest).max(patience.first);
    }
}

fn gave_up(what: &str, limit: Duration, waited: Duration, seen: Option<&str>) -> Error {
    let last = seen.unwrap_or("no answer at all");
    let waited = show_duration(waited.max(limit));
    Error::new(Kind::Timeout, format!("waited {waited} for {what}; last seen: {last}"))
        .help(format!("if this is slow but right, give it more time: `#{{ timeout: \"{}m\" }}`", limit.as_secs() / 30 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::context;
    use crate::time::Stop;

    const QUICK: Patience =
        Patience { limit: Duration::from_millis(30), first: Duration::from_millis(1), longest: Duration::from_millis(2) };

    #[test]
    fn it_looks_until_it_is_done() {
        let context = context();
        let mut looks = 0;
        let value = context.action(None, "wait", |action| {
            until(&context, action, "three", &Patience { limit: Duration::from_secs(60), ..QUICK }, |_| {
                looks += 1;
                Ok(if looks == 3 { Look::Done("here") } else { Look::NotYet(format!("look {looks}")) })
            })
        });
        assert_eq!((value.unwrap(), looks), ("here", 3));
    }

    #[test]
    fn it_gives_up_and_says_what_it_saw() {
        let context = context();
        let error = context
            .action(None, "wait", |action| {
                until::<()>(&context, action, "`vm1` to answer", &QUICK, |_| Ok(Look::NotYet("connection refused".into())))
            })
            .unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert!(error.what.ends_with("for `vm1` to answer; last seen: connection refused"), "{}", error.what);
    }

    #[test]
    fn a_look_that_sleeps_for_ever_is_ended_by_the_patience() {
        let context = context();
        let error = context
            .action(None, "wait", |action| {
                until::<()>(&context, action, "it", &QUICK, |own| {
                    own.sleep(Duration::from_secs(3600))?;
                    Ok(Look::NotYet("never reached".into()))
                })
            })
            .unwrap_err();
        assert!(error.what.ends_with("last seen: no answer at all"), "{}", error.what);
    }

    #[test]
    fn a_person_and_an_error_end_it_at_once() {
        let context = context();
        let stop = context.cancel();
        let patience = Patience::READY;
        let stopped = context.action(None, "wait", |action| {
            until::<()>(&context, action, "it", &patience, |_| {
                stop.raise(Stop::User);
                Ok(Look::NotYet("x".into()))
            })
        });
        assert_eq!(stopped.unwrap_err().kind, Kind::Cancelled);
        let context = super::tests::context();
        let refused = context.action(None, "wait", |action| {
            until::<()>(&context, action, "it", &patience, |_| Err(Error::new(Kind::Refused, "no")))
        });
        assert_eq!(refused.unwrap_err().what, "no");
    }

    #[test]
    fn patience_scales_but_an_authors_limit_does_not() {
        let scaled = Patience::READY.scaled(2.0);
        assert_eq!(scaled.limit, Duration::from_secs(1800));
        assert_eq!(scaled.or(Some(Duration::from_secs(5))).limit, Duration::from_secs(5));
    }
}
