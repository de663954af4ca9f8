//! One SSH connection to a machine: who may log in, and what each channel asks for.

use super::boot::Boot;
use super::{exec, installer, sftp};
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty};
use rustix::fs::{Mode, OFlags};
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// More variables than this are no longer taken.
const MOST_VARIABLES: usize = 64;

/// How long an idle connection, or one that does not log in, is kept.
const IDLE: Duration = Duration::from_secs(3600);

/// The ways to log in.
const METHODS: &[MethodKind] = &[MethodKind::PublicKey, MethodKind::Password];

/// Refused, and may be tried again: as with OpenSSH, a wrong password does not end the way by passwords.
fn refused() -> Auth {
    Auth::Reject { proceed_with_methods: Some(MethodSet::from(METHODS)), partial_success: false }
}

/// What the server of a machine is like.
pub(super) fn config(boot: &Boot) -> Arc<Config> {
    Arc::new(Config {
        server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.2p1".into()),
        methods: MethodSet::from(METHODS),
        auth_rejection_time: Duration::from_millis(100),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![boot.shared.host_key(&boot.spec().id)],
        inactivity_timeout: Some(IDLE),
        max_auth_attempts: 20,
        nodelay: true,
        ..Config::default()
    })
}

/// The server's side of a connection.
pub(super) struct Door {
    boot: Arc<Boot>,
    peer: SocketAddr,
    channels: HashMap<ChannelId, Waiting>,
}

/// A channel that has not yet said what it is for.
struct Waiting {
    channel: Channel<Msg>,
    environment: Vec<(String, String)>,
    has_terminal: bool,
}

impl Door {
    pub fn new(boot: Arc<Boot>, peer: SocketAddr) -> Door {
        Door { boot, peer, channels: HashMap::new() }
    }

    fn lets_in(&self, user: &str, key: &PublicKey) -> Auth {
        // A system that was installed lets in whom its answers say, and no others.
        let is_known = || self.boot.shared.lets_in(key) && !installer::is_installed(&self.boot);
        if user == "root" && (is_known() || is_authorised(&self.boot, key)) { Auth::Accept } else { refused() }
    }

    /// Starts what a channel asks for; nothing is started twice.
    fn begin(&mut self, id: ChannelId, what: exec::What, session: &mut Session) -> Result<(), russh::Error> {
        let Some(waiting) = self.channels.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (boot, server) = (Arc::clone(&self.boot), self.boot.spec().address);
        let client = self.peer;
        let mut environment = waiting.environment;
        let connection = format!("{} {} {server} {}", client.ip(), client.port(), boot.shared.port);
        environment.push(("SSH_CONNECTION".into(), connection));
        let handle = session.handle();
        boot.shared.runtime.clone().spawn(async move {
            match what {
                exec::What::Files => sftp::run(boot, waiting.channel).await,
                exec::What::Command(text) => {
                    exec::run(boot, waiting.channel, handle, &text, environment).await;
                }
                exec::What::Shell => {
                    let text = exec::login_shell(waiting.has_terminal);
                    exec::run(boot, waiting.channel, handle, &text, environment).await;
                }
            }
        });
        Ok(())
    }
}

/// Whether root of the machine has this key in `authorized_keys`.
fn is_authorised(boot: &Boot, key: &PublicKey) -> bool {
    let (tree, _) = boot.places();
    let read = || {
        let view = super::view::View::open(tree).ok()?;
        let file = view.open_file(Path::new("/root/.ssh/authorized_keys"), OFlags::RDONLY, Mode::empty()).ok()?;
        let mut text = String::new();
        file.take(1 << 20).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = read().unwrap_or_default();
    text.lines().filter_map(|line| PublicKey::from_openssh(line).ok()).any(|known| known.key_data() == key.key_data())
}

impl Handler for Door {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        let usual = || password == self.boot.shared.password.reveal();
        let is_right = user == "root" && installer::lets_in(&self.boot, password).unwrap_or_else(usual);
        Ok(if is_right { Auth::Accept } else { refused() })
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(self.lets_in(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.lets_in(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), Waiting { channel, environment: Vec::new(), has_terminal: false });
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(waiting) = self.channels.get_mut(&channel) else { return session.channel_failure(channel) };
        waiting.has_terminal = true;
        waiting.environment.push(("TERM".into(), term.into()));
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        // As sshd_config has it on most systems.
        let is_accepted = name == "LANG" || name.starts_with("LC_");
        match self.channels.get_mut(&channel).filter(|w| is_accepted && w.environment.len() < MOST_VARIABLES) {
            Some(waiting) => {
                waiting.environment.push((name.into(), value.into()));
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn exec_request(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let text = String::from_utf8_lossy(data).into_owned();
        self.begin(channel, exec::What::Command(text), session)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.begin(channel, exec::What::Shell, session)
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<(), russh::Error> {
        match name {
            "sftp" => self.begin(channel, exec::What::Files, session),
            _ => session.channel_failure(channel),
        }
    }
}
