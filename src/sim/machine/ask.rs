//! Commands in a machine that its hypervisor answers: a small script in front of the usual path leaves the question in a directory, says
//! so in a FIFO, and waits for the answer in another. The kernel's magic keys come by a FIFO too.

use super::answer::{self, Answer};
use super::boot::Boot;
use super::spec::Spec;
use crate::sim::inside::Act;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Child;

/// How long the script that asked may take to read the answer.
const LONGEST_READING: Duration = Duration::from_secs(1);

/// How long the status of a command that takes its machine down may take to leave the machine.
const GOODBYE: Duration = Duration::from_millis(20);

/// How long the first process of a machine may take to end when it was told to.
const LONGEST_END: Duration = Duration::from_secs(2);

/// What a command is that the hypervisor answers.
const SCRIPT: &str = r#"#!/bin/sh
d=%SIM%/ask/$$
[ ! -e "$d" ] || rm -rf "$d"
mkdir "$d" && mkfifo "$d/done" || exit 70
printf '%s\0' "${0##*/}" "$PWD" "$@" >"$d/question"
echo $$ >%SIM%/asks
read -r code <"$d/done"
[ ! -s "$d/out" ] || cat "$d/out"
[ ! -s "$d/err" ] || cat "$d/err" >&2
rm -rf "$d"
exit "$code"
"#;

/// The clock of the day, where it is wrong.
const DATE: &str = r#"#!/bin/sh
date() { for p in /bin/date /usr/bin/date; do [ -x $p ] && exec $p "$@"; done; exit 127; }
read -r s <%SIM%/skew 2>/dev/null || s=0
case "$1" in
-s|--set)
    now=$(date +%s.%N) && then=$(date -d "$2" +%s.%N) || exit 1
    awk "BEGIN { printf \"%f\n\", $then - $now }" >%SIM%/skew
    date -d "$2" ;;
*)
    [ "$s" = 0 ] && date "$@"
    case " $*" in *" -d"*|*" --date"*|*" -r"*|*" -f"*) date "$@" ;; esac
    date -d "$s seconds" "$@" ;;
esac
"#;

/// A plain file has an end that a device has not: what `dd` writes to a device leaves the rest as it was.
const DD: &str = r#"#!/bin/sh
for a; do case "$a" in
    of=/dev/xvd*|of=*/dev/xvd*) device=1 ;;
    conv=*) shift_conv=$a ;;
esac; done
for p in /bin/dd /usr/bin/dd; do [ -x $p ] && break; done
[ -z "$device" ] && exec $p "$@"
exec $p "$@" "${shift_conv:-conv}$([ -n "$shift_conv" ] && echo , || echo =)notrunc"
"#;

/// Puts the scripts in place and listens to what they ask.
///
/// # Errors
/// No room, or the like.
pub(super) fn start(boot: &Arc<Boot>, volatile: &Path, spec: &Spec) -> io::Result<()> {
    let bin = volatile.join("run/sim/bin");
    // In a plain directory the scripts have to know it.
    let inner = match boot.shared.is_plain() {
        true => volatile.join("run/sim").to_string_lossy().into_owned(),
        false => "/run/sim".into(),
    };
    for (name, text) in [(".ask", SCRIPT), ("date", DATE), ("dd", DD)] {
        let path = bin.join(name);
        std::fs::write(&path, text.replace("%SIM%", &inner))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    for name in answer::commands(spec.role) {
        symlink(".ask", bin.join(name))?;
    }
    let open = |path: &Path| {
        let _runtime = boot.shared.runtime.enter();
        pipe::OpenOptions::new().read_write(true).open_receiver(path)
    };
    let (asks, keys) = (open(&volatile.join("run/sim/asks"))?, open(&volatile.join("proc/sysrq-trigger"))?);
    boot.shared.runtime.spawn(listen(Arc::downgrade(boot), asks, keys));
    Ok(())
}

async fn listen(boot: Weak<Boot>, asks: pipe::Receiver, keys: pipe::Receiver) {
    let Some(mut over) = boot.upgrade().map(|boot| boot.over()) else { return };
    let (mut asks, mut keys) = (BufReader::new(asks).lines(), BufReader::new(keys).lines());
    loop {
        let line = tokio::select! {
            _ = over.wait_for(|over| *over) => return,
            line = asks.next_line() => line.map(|line| (line, false)),
            line = keys.next_line() => line.map(|line| (line, true)),
        };
        let (Ok((Some(line), is_key)), Some(boot)) = (line, boot.upgrade()) else { return };
        if is_key {
            press(&boot, &line);
        } else if line.bytes().all(|byte| byte.is_ascii_digit()) && !line.is_empty() {
            let runtime = boot.shared.runtime.clone();
            runtime.spawn(async move {
                if let Err(error) = serve(&boot, &line).await {
                    tracing::debug!("{}: question {line}: {error}", boot.spec().name);
                }
            });
        }
    }
}

/// Reads a question, and leaves the answer.
async fn serve(boot: &Arc<Boot>, number: &str) -> io::Result<()> {
    let dir = boot.places().1.join("run/sim/ask").join(number);
    let question = tokio::fs::read(dir.join("question")).await?;
    let mut words = question.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let (name, _directory) = (words.next().unwrap_or_default(), words.next());
    let mut words: Vec<String> = words.collect();
    // Each word ends with a NUL, the last one too.
    words.pop();
    let Answer { code, out, err, act } = answer::answer(boot, &name, &words).await;
    for (file, bytes) in [("out", out), ("err", err)] {
        tokio::fs::write(dir.join(file), bytes).await?;
    }
    // A writer that waits for nobody: if the one who asked is gone, nobody is to be told.
    let mut done = pipe::OpenOptions::new().read_write(true).open_sender(dir.join("done"))?;
    tokio::io::AsyncWriteExt::write_all(&mut done, format!("{code}\n").as_bytes()).await?;
    // Held until the other side has read it, which then removes the directory.
    let end = tokio::time::Instant::now() + LONGEST_READING;
    while tokio::fs::try_exists(&dir).await.unwrap_or(false) && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(done);
    if let Some(act) = act {
        tokio::time::sleep(GOODBYE).await;
        happen(boot, act);
    }
    Ok(())
}

/// One of the kernel's magic keys.
fn press(boot: &Arc<Boot>, line: &str) {
    for key in line.chars() {
        match key {
            'b' => happen(boot, Act::Reboot),
            'o' => happen(boot, Act::PowerOff),
            'c' => {
                let _ = super::kernel::log(boot, "Kernel panic - not syncing: sysrq triggered crash");
                happen(boot, Act::Panic);
            }
            other => {
                let _ = super::kernel::log(boot, &format!("sysrq: {other}"));
            }
        }
    }
}

/// Tells the pool what a machine has done to itself. A machine that is over can do nothing any more.
pub(super) fn happen(boot: &Arc<Boot>, act: Act) {
    if *boot.over().borrow() {
        return;
    }
    if let Some(outside) = boot.shared.outside() {
        outside.machine_did(&boot.spec().id, act);
    }
}

/// Watches the first process of a machine. A machine may end it: `reboot(2)` does, and the kernel says by the signal which way.
pub(super) fn watch_end(boot: &Arc<Boot>, first: Option<Child>) {
    use std::os::unix::process::ExitStatusExt;
    let Some(mut first) = first else { return };
    let (runtime, boot, mut over) = (boot.shared.runtime.clone(), Arc::downgrade(boot), boot.over());
    runtime.spawn(async move {
        let ended = tokio::select! {
            status = first.wait() => Some(status),
            () = async { drop(over.wait_for(|over| *over).await) } => None,
        };
        let Some(status) = ended else {
            // Its input is closed. What does not end by that is ended.
            let _ = tokio::time::timeout(LONGEST_END, first.wait()).await;
            let _ = first.start_kill();
            return;
        };
        let signal = status.ok().and_then(|status| status.signal());
        let act = match signal.and_then(rustix::process::Signal::from_named_raw) {
            Some(rustix::process::Signal::HUP) => Act::Reboot,
            Some(rustix::process::Signal::INT) => Act::PowerOff,
            _ => Act::Panic,
        };
        if let Some(boot) = boot.upgrade() {
            happen(&boot, act);
        }
    });
}
