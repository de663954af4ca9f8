//! Commands: one job runs one, and two small ones look after the rest (ending what was given up, timing the shell).

use super::desk::{Desk, Slot};
use super::fault::Fault;
use super::link::{Done, Notes, Refusal, Ticket};
use crate::error::Kind;
use crate::wire::Status;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A shell that takes longer to start than this is worth a warning.
const SLOW: Duration = Duration::from_millis(250);

/// Bytes read from a channel at a time.
const BLOCK: usize = 64 << 10;

/// Reads and writes in a row before other jobs get their turn.
const ROW: usize = 16;

/// Runs a command to its end, or until its caller leaves.
pub(super) async fn run(desk: Rc<Desk>, ticket: Arc<Ticket>, text: String, stdin: Arc<Vec<u8>>) -> Result<Done, Fault> {
    let mut slot = desk.open(&ticket).await?;
    if ticket.is_abandoned() {
        slot.close().await?;
        return Err(Fault::Abandoned);
    }
    ticket.begin();
    let started = Instant::now();
    if let Err(fault) = desk.finish(|| slot.channel.exec(&text)).await {
        return Err(refused_exec(slot, fault).await);
    }
    let ended = pump(&desk, &mut slot, &ticket, &stdin).await;
    match ended {
        Ok(true) => {
            let took = started.elapsed();
            let status = status(&desk, &slot)?;
            slot.close().await?;
            Ok(Done::Ended { status, took })
        }
        Ok(false) => {
            slot.give_up().await?;
            Err(Fault::Abandoned)
        }
        Err(Fault::Lost(why)) => Err(Fault::Lost(why)),
        Err(other) => {
            slot.give_up().await?;
            Err(other)
        }
    }
}

async fn refused_exec(slot: Slot, fault: Fault) -> Fault {
    let Fault::Refused(refusal) = fault else { return fault };
    if let Err(lost) = slot.close().await {
        return lost;
    }
    Fault::Refused(Refusal {
        kind: Kind::Refused,
        why: format!("the server runs no commands for this login: {}", refusal.why),
        help: Some("see `ForceCommand`, `PermitTTY` and the key's options in authorized_keys there".into()),
    })
}

/// Moves all three streams until the channel is closed from there (true), or the caller has left (false).
async fn pump(desk: &Rc<Desk>, slot: &mut Slot, ticket: &Ticket, stdin: &[u8]) -> Result<bool, Fault> {
    let mut sent = 0;
    let mut end_sent = false;
    let mut row = 0;
    loop {
        if ticket.is_abandoned() {
            return Ok(false);
        }
        let mut moved = false;
        if sent < stdin.len() {
            let channel = &mut slot.channel;
            if let Some(n) = desk.attempt(|| desk.own(channel.write(&stdin[sent..]))).await? {
                sent += n;
                moved = true;
            }
        } else if !end_sent && desk.is_writable() {
            desk.finish(|| slot.channel.send_eof()).await?;
            end_sent = true;
        }
        for stderr in [false, true] {
            moved |= drain(desk, slot, ticket, stderr).await?;
        }
        if !moved && slot.channel.eof() {
            // It has closed its streams; it has ended only when it has closed the channel.
            let channel = &mut slot.channel;
            if desk.attempt(|| channel.wait_close()).await?.is_some() {
                return Ok(true);
            }
        }
        row = if moved { row + 1 } else { ROW };
        if row >= ROW {
            row = 0;
            desk.pause(moved).await;
        }
    }
}

/// Reads once from one of the streams; whether anything came.
async fn drain(desk: &Rc<Desk>, slot: &mut Slot, ticket: &Ticket, stderr: bool) -> Result<bool, Fault> {
    let mut problem = Ok(());
    let channel = &slot.channel;
    let moved = desk
        .attempt(|| {
            desk.with_buffer(BLOCK, |buffer| {
                let read = desk.own(channel.stream(i32::from(stderr)).read(buffer))?;
                if read > 0 && !ticket.is_abandoned() {
                    let mut streams = ticket.streams();
                    let stream = if stderr { &mut streams.stderr } else { &mut streams.stdout };
                    problem = stream.push(&buffer[..read]);
                }
                Ok(read > 0)
            })
        })
        .await?;
    problem.map_err(Fault::Here)?;
    Ok(moved.unwrap_or(false))
}

/// The signal first: the status is 0 for a command that was killed.
fn status(desk: &Desk, slot: &Slot) -> Result<Status, Fault> {
    let signal = slot.channel.exit_signal().map_err(|e| desk.fault(&e))?.exit_signal;
    match signal {
        Some(name) => Ok(Status::Signalled(name.split('@').next().unwrap_or("unknown").to_string())),
        None => slot.channel.exit_status().map(Status::Exited).map_err(|e| desk.fault(&e)),
    }
}

/// Ends what runs there for channels that were closed early: the commands of this connection whose output nobody holds any more.
///
/// sshd starts each command as leader of a group of its own and reads its output as long as the channel is open. So a command is
/// ended when one of its two output streams is a pipe that nobody on the whole machine reads, and neither is one that somebody
/// reads. One that has sent all its output elsewhere cannot be told from one that is waited for, and is left alone. The commands are
/// listed before the readers, so one that has only just begun is never taken for one without. It needs /proc, and the right to look
/// into sshd's: root. Whoever is not the child of an SSH server (any more) has no commands beside it, but perhaps all of the system.
const REAP: &str = r#"read -r server </proc/$PPID/comm 2>/dev/null || exit 0
case $server in sshd*|dropbear*) ;; *) exit 0 ;; esac
[ -r /proc/$PPID/fd ] || exit 0
ours=$(grep -l "^PPid:[[:space:]]*$PPID\$" /proc/[0-9]*/status 2>/dev/null)
case " $ours " in *"/proc/$$/status"*) ;; *) exit 0 ;; esac
read=" $(ls -l /proc/[0-9]*/fd 2>/dev/null | sed -n 's/^lr.* -> pipe:/pipe:/p' | tr '\n' ' ') "
[ "$read" = "  " ] && exit 0
doomed=
for f in $ours; do
  p=${f#/proc/}; p=${p%/status}; [ "$p" = $$ ] && continue
  left=no
  for n in 1 2; do
    t=$(readlink /proc/$p/fd/$n) || continue
    case $t in pipe:*) case "$read" in *" $t "*) left=no; break ;; *) left=yes ;; esac ;; esac
  done
  [ $left = yes ] && kill -TERM -- -$p && doomed="$doomed -$p"
done 2>/dev/null
[ -z "$doomed" ] || (sleep 2; kill -KILL -- $doomed) </dev/null >/dev/null 2>&1 &
"#;

/// Runs [`REAP`]; how it went is nobody's concern, the caller has left.
pub(super) async fn reap(desk: Rc<Desk>, ticket: Arc<Ticket>) -> Result<Done, Fault> {
    run(desk, ticket, REAP.to_string(), Arc::default()).await
}

/// Reads what the server sent while nobody was reading, and lets libssh2 answer it: no command, only a channel opened and closed.
pub(super) async fn listen(desk: Rc<Desk>, ticket: Arc<Ticket>) -> Result<Done, Fault> {
    match desk.open(&ticket).await {
        Ok(slot) => slot.close().await?,
        Err(Fault::Lost(why)) => return Err(Fault::Lost(why)),
        Err(_) => {}
    }
    Ok(Done::Made)
}

/// Looks at how long the shell takes to start, when a command was slow enough to wonder.
///
/// The better of two, less the round trip: one could have been slowed by something else.
pub(super) async fn time_shell(desk: Rc<Desk>, ticket: Arc<Ticket>, notes: Arc<Notes>, whose: String) -> Result<Done, Fault> {
    let mut best = Duration::MAX;
    for _ in 0..2 {
        let before = Instant::now();
        let slot = desk.open(&ticket).await?;
        let trip = before.elapsed();
        slot.close().await?;
        let before = Instant::now();
        match run(desk.clone(), ticket.clone(), ":".into(), Arc::default()).await {
            // Out of time: what was seen the first time must do.
            Err(Fault::Abandoned) if best < Duration::MAX => break,
            other => drop(other?),
        }
        best = best.min(before.elapsed().saturating_sub(trip));
        if best < SLOW {
            break;
        }
    }
    notes.set_shell_start(best.as_secs_f64());
    if best >= SLOW {
        notes.warn(format!(
            "each command on {whose} costs {}: the shell's start-up files there are slow; see ~/.bashrc, ~/.profile and /etc/profile.d there",
            crate::unit::show_duration(best)
        ));
    }
    Ok(Done::Made)
}

/// Whether a command that took so long makes one wonder about the shell.
pub(super) fn is_suspicious(took: Duration) -> bool {
    took >= SLOW
}
