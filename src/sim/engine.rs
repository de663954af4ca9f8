//! What drives calls to their end: it holds the world, waits without holding it, and wakes those who wait for a change.

use super::dispatch::{Begun, Step, begin};
use super::encode::Format;
use super::failure::{Failure, Outcome};
use super::journal;
use super::value::Value;
use super::world::{Answer, Later, Wait, World};
use super::xapi;
use crate::wire::xmlrpc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the progress of a task moves while it waits, here.
const TICK: Duration = Duration::from_millis(100);

/// The world, and those who wait for it.
pub struct Engine {
    world: Mutex<World>,
    /// Something has changed.
    bell: Notify,
    /// The agenda has changed.
    alarm: Notify,
    /// A host has begun or ceased to answer.
    doors: Notify,
}

/// The answer of a call.
#[derive(Debug)]
pub struct Reply {
    pub body: String,
    /// Whether trouble wants the connection cut before the answer.
    pub is_cut: bool,
}

impl Engine {
    pub fn new(world: World) -> Engine {
        Engine { world: Mutex::new(world), bell: Notify::new(), alarm: Notify::new(), doors: Notify::new() }
    }

    /// Works with the world; nobody else does meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, due, moves) = (world.generation(), world.site.clock.next_due(), world.site.moves);
        world.settle();
        let result = work(&mut world);
        world.settle();
        let is_changed = world.generation() != before;
        let is_due_changed = world.site.clock.next_due() != due;
        let is_moved = world.site.moves != moves;
        drop(world);
        if is_changed {
            self.bell.notify_waiters();
        }
        if is_due_changed {
            self.alarm.notify_one();
        }
        if is_moved {
            self.doors.notify_one();
        }
        result
    }

    /// Waits until a host has begun or ceased to answer.
    pub async fn doors_moved(&self) {
        self.doors.notified().await;
    }

    /// Does what is on the agenda when it is due, for ever.
    pub async fn keep_time(self: Arc<Engine>) {
        loop {
            let next = self.with(|world| world.site.clock.next_due());
            let due = async {
                match next {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.alarm.notified() => {}
            }
        }
    }

    /// Answers a call that came to a host.
    pub async fn call(self: &Arc<Engine>, door: &Arc<str>, method: &str, params: Vec<xmlrpc::Value>, format: Format) -> Reply {
        let begun = self.with(|world| {
            if !is_up(world, door) {
                return Err(String::new());
            }
            let mut begun = match begin(world, door, method, params) {
                Ok(begun) => begun,
                Err(failure) => return Err(format.failure(&failure)),
            };
            if begun.mishap.delay.is_none() {
                begun.advance(world);
            }
            for deed in std::mem::take(&mut begun.mishap.deeds) {
                if let Err(failure) = xapi::simulator::trouble(world, deed) {
                    tracing::warn!(%failure, method, "the trouble cannot be");
                }
            }
            let Step::Over(outcome) = &begun.step else { return Ok(begun) };
            let body = finish(world, &begun, outcome, &format);
            begun.step = Step::Over(Ok(Value::from(body)));
            Ok(begun)
        });
        let mut begun = match begun {
            Ok(begun) => begun,
            Err(body) => return Reply { is_cut: body.is_empty(), body },
        };
        let is_cut = begun.mishap.is_cut;
        if let Step::Over(Ok(Value::Text(body))) = &begun.step {
            return Reply { body: body.to_string(), is_cut };
        }
        // From here on it goes on, whether somebody waits for the answer or not.
        let engine = Arc::clone(self);
        if begun.task.is_null() {
            let work = tokio::spawn(async move { engine.drive(&mut begun, &format).await });
            let body = work.await.unwrap_or_else(|_| String::new());
            // A host that has gone meanwhile answers nobody.
            let is_gone = self.with(|world| !is_up(world, door));
            return Reply { is_cut: is_cut || is_gone || body.is_empty(), body };
        }
        let body = self.with(|world| format.success(&world.pools[begun.pool], &Value::Ref(begun.task)));
        tokio::spawn(async move { engine.drive(&mut begun, &format).await });
        Reply { body, is_cut }
    }

    /// Takes a call to its end.
    async fn drive(&self, begun: &mut Begun, format: &Format) -> String {
        if let Some(delay) = begun.mishap.delay {
            let real = self.with(|world| world.site.clock.real(delay));
            tokio::time::sleep(if real.is_zero() { delay } else { real }).await;
        }
        loop {
            let step = std::mem::replace(&mut begun.step, Step::Over(Ok(Value::Void)));
            let next = match step {
                Step::Over(outcome) => return self.with(|world| finish(world, begun, &outcome, format)),
                Step::Going(Answer::Later(later)) => self.sit_out(begun, later).await,
                Step::Going(Answer::Wait(wait)) => self.wait(begun, wait).await,
                other => other,
            };
            begun.step = next;
            self.with(|world| begun.advance(world));
        }
    }

    /// Waits for a simulated duration, unless the task is cancelled.
    async fn sit_out(&self, begun: &mut Begun, later: Later) -> Step {
        let total = self.with(|world| world.site.clock.real(later.takes));
        let started = tokio::time::Instant::now();
        let from = self.with(|world| match world.pools[begun.pool].get(begun.task, "progress") {
            Value::Float(progress) => *progress,
            _ => 0.0,
        });
        loop {
            let spent = started.elapsed();
            let is_cancelled = self.with(|world| {
                if !begun.task.is_null() {
                    let part = spent.as_secs_f64() / total.as_secs_f64().max(1e-9);
                    let progress = from + (later.progress - from) * part.min(0.99);
                    world.pools[begun.pool].set(begun.task, "progress", (progress * 1000.0).round() / 1000.0);
                }
                later.undo.is_some() && world.site.cancelled.contains(&begun.task)
            });
            if is_cancelled {
                return self.with(|world| {
                    if let (Some(undo), Some(mut cx)) = (later.undo, begun.cx(world)) {
                        undo(&mut cx);
                    }
                    Step::Over(Err(Failure::new("TASK_CANCELLED", [begun.task])))
                });
            }
            if spent >= total {
                return self.with(|world| begun.go_on(world, later.then));
            }
            tokio::time::sleep(TICK.min(total - spent)).await;
        }
    }

    /// Waits until something that is looked for has changed, or the limit is over.
    async fn wait(&self, begun: &mut Begun, mut wait: Wait) -> Step {
        let end = tokio::time::Instant::now() + wait.limit;
        loop {
            let bell = self.bell.notified();
            tokio::pin!(bell);
            // From here on no ring is missed.
            bell.as_mut().enable();
            let is_over = tokio::time::Instant::now() >= end;
            let found = self.with(|world| {
                if world.site.cancelled.contains(&begun.task) {
                    return Some(Err(Failure::new("TASK_CANCELLED", [begun.task])));
                }
                if !is_up(world, &begun.door) {
                    return Some(Err(Failure::bare("HOST_STILL_BOOTING")));
                }
                begun.look(world, &mut wait, is_over)
            });
            if let Some(outcome) = found {
                return Step::Over(outcome);
            }
            if is_over {
                return Step::Over(Ok(Value::Void));
            }
            tokio::select! {
                () = &mut bell => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }
}

/// Whether the toolstack of a host answers.
fn is_up(world: &World, door: &Arc<str>) -> bool {
    world.site.hosts.get(&**door).is_some_and(|place| place.is_up)
}

/// Writes down the end of a task, and writes the answer.
fn finish(world: &mut World, begun: &Begun, outcome: &Outcome<Value>, format: &Format) -> String {
    if let Err(failure) = outcome {
        journal::failed(world, begun, failure);
    }
    if !begun.task.is_null() {
        if let Some(mut cx) = begun.cx(world) {
            xapi::task::end(&mut cx, begun.task, outcome);
        }
        return format.success(&world.pools[begun.pool], &Value::Ref(begun.task));
    }
    match outcome {
        Ok(value) => format.success(&world.pools[begun.pool], value),
        Err(failure) => format.failure(failure),
    }
}

impl Engine {
    /// Calls a method as root on a host, without its session parameter: what works in dom0.
    ///
    /// # Errors
    /// XAPI's.
    pub async fn call_as_root(
        self: &Arc<Engine>,
        host: &str,
        method: &str,
        params: Vec<serde_json::Value>,
    ) -> Outcome<serde_json::Value> {
        let door: Arc<str> = host.into();
        let token = self.with(|world| xapi::session::of_root(world, &door))?;
        let master = self.with(|world| xapi::session::master_of(world, &door));
        let mut all = vec![xmlrpc::Value::Text(token)];
        all.extend(params.into_iter().map(super::endpoint::from_json));
        let reply = self.call(&master, method, all, Format::Json1("0".to_string())).await;
        let answer: serde_json::Value = serde_json::from_str(&reply.body).map_err(Failure::internal)?;
        match answer.get("error").and_then(serde_json::Value::as_array) {
            Some(words) => {
                let mut words = words.iter().map(|word| word.as_str().unwrap_or_default().to_string());
                Err(Failure { code: words.next().unwrap_or_default(), params: words.collect() })
            }
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }

    /// What is to go wrong; those that strike at once do so.
    pub fn trouble(&self, troubles: Vec<super::trouble::Trouble>) -> Outcome<()> {
        self.with(|world| troubles.into_iter().try_for_each(|trouble| xapi::simulator::trouble(world, trouble)))
    }
}
