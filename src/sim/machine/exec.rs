//! A command on a channel: its three streams, its signals, and its end.

use super::answer::{self, Answer};
use super::boot::Boot;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use rustix::process::{Pid, Signal};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

/// Bytes read of a stream at a time.
const BLOCK: usize = 32 << 10;

/// How long a command whose channel was closed may take to end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// What stderr is called on a channel.
const STDERR: u32 = 1;

/// What a channel is for.
pub(super) enum What {
    Command(String),
    Shell,
    Files,
}

/// The command that is a login shell.
pub(super) fn login_shell(has_terminal: bool) -> String {
    match has_terminal {
        // A terminal is made by a program, as we have none to give.
        true => "for s in /bin/bash /bin/sh; do [ -x $s ] && break; done; exec script -qfc \"$s -l\" /dev/null".into(),
        false => "exec /bin/sh -l".into(),
    }
}

/// Runs a command to its end, or to that of its channel or machine.
pub(super) async fn run(boot: Arc<Boot>, channel: Channel<Msg>, session: Handle, text: &str, environment: Vec<(String, String)>) {
    let id = channel.id();
    let (reader, writer) = channel.split();
    if let Some(answer) = answer::directly(&boot, text).await {
        let Answer { code, out, err, act } = answer;
        let told = tell(&writer, code, out, err).await;
        if told.is_ok() && act.is_some() {
            // What was told has to leave before the machine goes down.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        answer::afterwards(&boot, act);
        return;
    }
    let started = start(&boot, text, environment).await;
    let told = match started {
        Ok(child) => pump(&boot, child, id, reader, &writer, &session).await,
        Err(error) => {
            let what = format!("the simulated machine cannot run a command: {error}\n");
            tell(&writer, 255, Vec::new(), what.into_bytes()).await
        }
    };
    if told.is_err() {
        // The connection is gone, and nobody listens.
        tracing::trace!("a channel ended before its command");
    }
}

async fn tell(writer: &ChannelWriteHalf<Msg>, code: i32, out: Vec<u8>, err: Vec<u8>) -> Result<(), russh::Error> {
    if !out.is_empty() {
        writer.data_bytes(out).await?;
    }
    if !err.is_empty() {
        writer.extended_data_bytes(STDERR, err).await?;
    }
    writer.exit_status(code.cast_unsigned()).await?;
    writer.eof().await?;
    writer.close().await
}

async fn start(boot: &Arc<Boot>, text: &str, environment: Vec<(String, String)>) -> io::Result<Child> {
    let mut command = boot.command(text).await?;
    command
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn()
}

/// What the other side of a channel wants of the command.
enum Wish {
    Signal(Signal),
    Closed,
}

async fn pump(
    boot: &Boot,
    mut child: Child,
    id: ChannelId,
    reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
    session: &Handle,
) -> Result<(), russh::Error> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (wish, mut wishes) = mpsc::unbounded_channel();
    // Its own task: input that the command does not read must not hold up its output.
    let feeder = tokio::spawn(feed(reader, input, wish));
    let mut over = boot.over();
    let streams = async { tokio::try_join!(forward(output, writer, None), forward(errors, writer, Some(STDERR))).map(drop) };
    tokio::pin!(streams);
    let mut status = None;
    let mut has_output = true;
    let result = loop {
        tokio::select! {
            ended = child.wait(), if status.is_none() => status = Some(ended),
            told = &mut streams, if has_output => match told {
                Ok(()) => has_output = false,
                Err(error) => break Err(error),
            },
            wish = wishes.recv() => match wish {
                Some(Wish::Signal(signal)) => send(group, signal),
                Some(Wish::Closed) | None => break Err(russh::Error::Disconnect),
            },
            _ = over.wait_for(|over| *over) => break Err(russh::Error::Disconnect),
        }
        if let (Some(ended), false) = (&status, has_output) {
            break finish(ended, id, writer, session).await;
        }
    };
    feeder.abort();
    if status.is_none() {
        hang_up(child, group).await;
    }
    result
}

/// Ends a command whose channel or machine is gone.
async fn hang_up(mut child: Child, group: Option<Pid>) {
    send(group, Signal::HUP);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        send(group, Signal::KILL);
        let _ = child.wait().await;
    }
}

fn send(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It may have ended in between.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Hands the input to the command, and the other wishes to who does them.
async fn feed(mut reader: ChannelReadHalf, input: Option<ChildStdin>, wish: mpsc::UnboundedSender<Wish>) {
    let (bytes, queue) = mpsc::unbounded_channel::<bytes::Bytes>();
    let mut bytes = Some(bytes);
    let writing = write(input, queue);
    tokio::pin!(writing);
    let mut is_writing = true;
    loop {
        let message = tokio::select! {
            () = &mut writing, if is_writing => {
                is_writing = false;
                continue;
            }
            message = reader.wait() => message,
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                if let Some(bytes) = &bytes {
                    // A command that has closed its input does not want it.
                    let _ = bytes.send(data);
                }
            }
            Some(ChannelMsg::Eof) => bytes = None,
            Some(ChannelMsg::Signal { signal }) => {
                if let Some(signal) = number(&signal) {
                    let _ = wish.send(Wish::Signal(signal));
                }
            }
            Some(ChannelMsg::Close) | None => {
                let _ = wish.send(Wish::Closed);
                return;
            }
            Some(_) => {}
        }
    }
}

async fn write(input: Option<ChildStdin>, mut queue: mpsc::UnboundedReceiver<bytes::Bytes>) {
    let Some(mut input) = input else { return };
    while let Some(data) = queue.recv().await {
        if input.write_all(&data).await.is_err() {
            return;
        }
    }
}

async fn forward(
    stream: Option<impl AsyncRead + Unpin>,
    writer: &ChannelWriteHalf<Msg>,
    kind: Option<u32>,
) -> Result<(), russh::Error> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = bytes::BytesMut::with_capacity(BLOCK);
    loop {
        buffer.reserve(BLOCK);
        // A stream that cannot be read has ended.
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return Ok(());
        }
        let data = buffer.split().freeze();
        match kind {
            None => writer.data_bytes(data).await?,
            Some(kind) => writer.extended_data_bytes(kind, data).await?,
        }
    }
}

async fn finish(
    ended: &io::Result<ExitStatus>,
    id: ChannelId,
    writer: &ChannelWriteHalf<Msg>,
    session: &Handle,
) -> Result<(), russh::Error> {
    use std::os::unix::process::ExitStatusExt;
    let (code, signal) = ended.as_ref().map_or((255, None), |status| (status.code().unwrap_or(255), status.signal()));
    match signal {
        None => writer.exit_status(code.cast_unsigned()).await?,
        Some(signal) => {
            let name = signal_word(signal);
            let sent = session.exit_signal_request(id, name, false, String::new(), String::new()).await;
            sent.map_err(|()| russh::Error::SendError)?;
        }
    }
    writer.eof().await?;
    writer.close().await
}

/// The signals that SSH has names for.
const SIGNALS: &[(Sig, Signal)] = &[
    (Sig::ABRT, Signal::ABORT),
    (Sig::ALRM, Signal::ALARM),
    (Sig::FPE, Signal::FPE),
    (Sig::HUP, Signal::HUP),
    (Sig::ILL, Signal::ILL),
    (Sig::INT, Signal::INT),
    (Sig::KILL, Signal::KILL),
    (Sig::PIPE, Signal::PIPE),
    (Sig::QUIT, Signal::QUIT),
    (Sig::SEGV, Signal::SEGV),
    (Sig::TERM, Signal::TERM),
    (Sig::USR1, Signal::USR1),
];

fn number(word: &Sig) -> Option<Signal> {
    SIGNALS.iter().find(|(known, _)| std::mem::discriminant(known) == std::mem::discriminant(word)).map(|(_, signal)| *signal)
}

fn signal_word(number: i32) -> Sig {
    let known = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    known.map_or_else(|| Sig::Custom(crate::wire::local::signal_name(number)), |(word, _)| word.clone())
}
