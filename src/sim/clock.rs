//! The simulator's time, which may run fast, and what is to happen later.

use super::world::Cx;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

/// How fast the simulated time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// What takes time takes none.
    #[default]
    Max,
    /// So many times as fast as here.
    Times(f64),
}

impl FromStr for Speed {
    type Err = Error;
    fn from_str(text: &str) -> Result<Speed> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        let times = text.parse().ok().filter(|times: &f64| (0.01..=1e6).contains(times));
        let error = || Error::new(Kind::Malformed, format!("`{text}` is no speed")).help("say `max`, or a number such as 60");
        times.map(Speed::Times).ok_or_else(error)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speed::Max => f.write_str("max"),
            Speed::Times(times) => write!(f, "{times}"),
        }
    }
}

/// What happens later; whoever made it looks first whether it still makes sense.
type Deed = Box<dyn FnOnce(&mut Cx<'_>) + Send>;

/// The time, and the agenda: what happens when, in which pool.
pub struct Clock {
    /// When the time began to pass at this speed, and what it was then.
    started: Instant,
    base: Duration,
    epoch: f64,
    speed: Speed,
    next: u64,
    agenda: BTreeMap<(Duration, u64), (usize, Deed)>,
}

impl Clock {
    pub fn new(speed: Speed) -> Clock {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Clock { started: Instant::now(), base: Duration::ZERO, epoch, speed, next: 0, agenda: BTreeMap::new() }
    }

    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// From now on the time passes at another speed.
    pub fn set_speed(&mut self, speed: Speed) {
        (self.base, self.started, self.speed) = (self.now(), Instant::now(), speed);
    }

    /// Simulated time since the start.
    pub fn now(&self) -> Duration {
        let real = self.started.elapsed();
        self.base
            + match self.speed {
                Speed::Max => real,
                Speed::Times(times) => real.mul_f64(times),
            }
    }

    /// Simulated seconds since 1970.
    pub fn unix(&self) -> i64 {
        (self.epoch + self.now().as_secs_f64()) as i64
    }

    /// How long a simulated duration takes here.
    pub fn real(&self, simulated: Duration) -> Duration {
        match self.speed {
            Speed::Max => Duration::ZERO,
            Speed::Times(times) => simulated.div_f64(times),
        }
    }

    /// Does something after a simulated duration.
    pub fn after(&mut self, delay: Duration, pool: usize, deed: impl FnOnce(&mut Cx<'_>) + Send + 'static) {
        let delay = if self.speed == Speed::Max { Duration::ZERO } else { delay };
        self.next += 1;
        self.agenda.insert((self.now() + delay, self.next), (pool, Box::new(deed)));
    }

    /// What is due by now, the earliest.
    pub fn due(&mut self) -> Option<(usize, Deed)> {
        let now = self.now();
        let first = self.agenda.first_entry().filter(|entry| self.speed == Speed::Max || entry.key().0 <= now)?;
        Some(first.remove())
    }

    /// How long, here, until something is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.agenda.keys().next().map(|(when, _)| self.real(when.saturating_sub(self.now())))
    }
}

/// What things take on a real pool, in simulated seconds.
pub mod pace {
    use std::time::Duration;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Until a domain is built and unpaused.
    pub const START: Duration = seconds(3);
    /// From there until the guest answers.
    pub const GUEST_BOOT: Duration = seconds(25);
    /// From an installer's answers to the end of what it does.
    pub const INSTALL: Duration = seconds(600);
    pub const GUEST_SHUTDOWN: Duration = seconds(8);
    pub const GUEST_KILL: Duration = seconds(1);
    pub const SUSPEND: Duration = seconds(8);
    pub const RESUME: Duration = seconds(6);
    pub const MIGRATE: Duration = seconds(12);
    pub const SNAPSHOT: Duration = seconds(2);
    pub const CHECKPOINT: Duration = seconds(10);
    pub const REVERT: Duration = seconds(3);
    pub const CLONE: Duration = seconds(2);
    /// For each GiB that is copied.
    pub const COPY_GIB: Duration = seconds(4);
    pub const DISK: Duration = seconds(1);
    pub const PLUG: Duration = seconds(1);
    pub const SR_CREATE: Duration = seconds(8);
    pub const SR_PLUG: Duration = seconds(3);
    pub const SR_SCAN: Duration = seconds(1);
    pub const NETWORK: Duration = seconds(2);
    pub const HOST_BOOT: Duration = seconds(150);
    pub const HOST_SHUTDOWN: Duration = seconds(20);
    pub const AGENT_STOP: Duration = seconds(1);
    pub const AGENT_RESTART: Duration = seconds(15);
    pub const JOIN: Duration = seconds(20);
    pub const NEW_MASTER: Duration = seconds(15);
    pub const HA_SWITCH: Duration = seconds(10);
    /// Until the others believe that a host is gone, without and with high availability.
    pub const HOST_GONE: Duration = seconds(60);
    pub const HA_TIMEOUT: Duration = seconds(60);
    pub const BALLOON: Duration = seconds(3);
}
