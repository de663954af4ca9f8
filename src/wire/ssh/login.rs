//! Getting in: the socket, the handshake, the host's key, and the logins one after the other.

use super::fault::{Fault, ending, is_broken};
use super::link::{Notes, Refusal, Standing};
use super::{Login, Target, hostkey};
use crate::error::Kind;
use crate::secret::Secret;
use crate::time::Cancel;
use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt, Session};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Handshakes that are tried: a busy sshd closes new connections at random (`MaxStartups`), a booting one in the middle.
const TRIES: u32 = 3;

/// How long what was sent may stay without a sign of receipt before the machine counts as gone.
const UNHEARD_MS: u32 = 120_000;

/// How long the ssh2 crate may block while the owner puts something away.
const FAREWELL_MS: u32 = 5_000;

/// Connects and logs in. Blocks, with a limit on each step; shutting the socket from outside ends it early.
pub(super) fn connect(target: &Target, standing: &Standing, notes: &Notes) -> Result<(Session, Arc<TcpStream>), Fault> {
    let mut logins = Logins::new(target);
    loop {
        let (session, socket) = shake_hands(target, standing, notes)?;
        match logins.go_on(&session, standing) {
            Ending::In => {
                session.set_timeout(FAREWELL_MS);
                session.set_keepalive(false, 15);
                session.set_blocking(false);
                return Ok((session, socket));
            }
            // The server has had enough of us on this connection (`MaxAuthTries`). The rest is tried on another.
            Ending::Closed if logins.are_left() && !standing.is_hung_up() => {}
            Ending::Closed | Ending::Over => return Err(Fault::Connect(logins.refusal())),
        }
    }
}

fn shake_hands(target: &Target, standing: &Standing, notes: &Notes) -> Result<(Session, Arc<TcpStream>), Fault> {
    let end = Instant::now() + target.connect_timeout;
    let mut tries = 0;
    loop {
        tries += 1;
        let socket = Arc::new(reach(target, end)?);
        standing.uses(&socket);
        match try_handshake(target, &socket, end, notes) {
            Ok(session) => return Ok((session, socket)),
            Err(Shake::Final(fault)) => return Err(fault),
            Err(Shake::Again(error)) if tries == TRIES || Instant::now() >= end || standing.is_hung_up() => {
                return Err(Fault::Connect(no_handshake(target, &error)));
            }
            Err(Shake::Again(_)) => {
                // Nobody can raise this one: it only waits.
                let _ = Cancel::new().sleep(Duration::from_millis(100) * tries);
            }
        }
    }
}

/// Opens the socket to the first address that takes it.
fn reach(target: &Target, end: Instant) -> Result<TcpStream, Fault> {
    let host = target.host.as_str();
    let fail = |why: String, help: String| Fault::Connect(Refusal { kind: Kind::Unreachable, why, help: Some(help) });
    let addresses: Vec<_> = match (host, target.port).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(e) => return Err(fail(format!("`{host}` has no address: {e}"), "check the name, or give the address itself".into())),
    };
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                let prepared = socket.set_nodelay(true);
                // Where the system does not know this one, a dead machine is noticed later.
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, UNHEARD_MS);
                return prepared
                    .map(|()| socket)
                    .map_err(|e| fail(format!("the socket to {host} cannot be set up: {e}"), String::new()));
            }
            Err(e) => last = e,
        }
    }
    let (why, help) = match last.kind() {
        ErrorKind::ConnectionRefused => (
            "connection refused".to_string(),
            "nothing listens there: is sshd running (`systemctl status ssh`), is the port right?",
        ),
        ErrorKind::TimedOut => (
            format!("no answer within {}", crate::unit::show_duration(target.connect_timeout)),
            "is the machine up, the address right, a firewall in between?",
        ),
        _ => (last.to_string(), "is the machine up and its network reachable from here (`ip route get`)?"),
    };
    Err(fail(format!("cannot reach {host} port {}: {why}", target.port), help.to_string()))
}

enum Shake {
    Again(ssh2::Error),
    Final(Fault),
}

fn try_handshake(target: &Target, socket: &Arc<TcpStream>, end: Instant, notes: &Notes) -> Result<Session, Shake> {
    let mut session = Session::new().map_err(Shake::Again)?;
    hostkey::prefer_recorded(&session, target);
    session.set_tcp_stream(socket.clone());
    session.set_timeout(millis(end.saturating_duration_since(Instant::now())));
    session.handshake().map_err(Shake::Again)?;
    notes.set_server(session.banner().unwrap_or_default());
    hostkey::check(&session, target, notes).map_err(|refusal| Shake::Final(Fault::Connect(refusal)))?;
    Ok(session)
}

fn no_handshake(target: &Target, error: &ssh2::Error) -> Refusal {
    let port = target.port;
    let (why, help) = match error.code() {
        ErrorCode::Session(-9 | -30) => (
            format!("port {port} takes connections but says nothing within {}", crate::unit::show_duration(target.connect_timeout)),
            "is it sshd that listens there, or is the machine hanging?".to_string(),
        ),
        ErrorCode::Session(-5 | -8) => (
            format!("no agreement with the server on how to encrypt: {}", error.message()),
            format!("compare `ssh -vv -p {port} {}`; SHA-1 key exchanges and host keys are not spoken here", target.host),
        ),
        _ => (
            format!("port {port} takes connections but ends them before the login: {}", ending(error)),
            "is it sshd that listens there? Is it starting, or busy with many logins (`MaxStartups`)?".to_string(),
        ),
    };
    Refusal { kind: Kind::Unreachable, why, help: Some(help) }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(1)
}

enum Ending {
    In,
    /// The server closed the connection.
    Closed,
    /// Nothing is left to try.
    Over,
}

/// One login tried: refused with these words, or the connection is closed.
enum No {
    Refused(String),
    /// It was not even sent: the server does not take this sort.
    Unasked(String),
    Closed(String),
}

/// The logins of a target and how far they were tried, over several connections if need be.
struct Logins<'a> {
    target: &'a Target,
    /// Next to try, and the next of the agent's keys if that is the agent.
    at: usize,
    agent_at: usize,
    passwords: usize,
    /// What was tried, in words, without secrets.
    tried: Vec<String>,
    /// The sorts of login that the server takes. Asking costs as long as a refused login, so the first one is tried without.
    taken: Option<String>,
    asks_first: bool,
}

impl<'a> Logins<'a> {
    fn new(target: &'a Target) -> Logins<'a> {
        Logins { target, at: 0, agent_at: 0, passwords: 0, tried: Vec::new(), taken: None, asks_first: false }
    }

    fn are_left(&self) -> bool {
        self.at < self.target.logins.len()
    }

    /// Tries one after the other on this connection.
    fn go_on(&mut self, session: &Session, standing: &Standing) -> Ending {
        let target = self.target;
        session.set_timeout(millis(target.connect_timeout.max(Duration::from_secs(10))));
        if self.asks_first || target.logins.is_empty() {
            self.ask(session);
        }
        let mut is_first = true;
        while let Some(login) = target.logins.get(self.at) {
            if session.authenticated() {
                return Ending::In;
            }
            standing.step();
            let no = match self.attempt(session, login) {
                Ok(()) => return Ending::In,
                Err(no) => no,
            };
            match no {
                No::Refused(how) => {
                    let is_asked_wrong = self.taken.is_none() && {
                        self.ask(session);
                        matches!(login, Login::Password(_)) && !self.takes("password")
                    };
                    if !is_asked_wrong {
                        self.note(login, &how);
                    }
                    is_first = false;
                }
                No::Unasked(how) => self.note(login, &how),
                // Not in the way that the server wants, perhaps: it is asked before this one is tried again.
                No::Closed(_) if self.taken.is_none() && !self.asks_first => {
                    self.asks_first = true;
                    return Ending::Closed;
                }
                No::Closed(_) if !is_first => return Ending::Closed,
                // Closed on the first one of a fresh connection: this login itself is to blame.
                No::Closed(how) => {
                    self.note(login, &how);
                    return Ending::Closed;
                }
            }
        }
        if session.authenticated() { Ending::In } else { Ending::Over }
    }

    /// Asks what the server takes. Without an answer it stays unknown, and the next login finds out why.
    fn ask(&mut self, session: &Session) {
        if let Ok(taken) = session.auth_methods(&self.target.user) {
            self.taken = Some(taken.to_string());
        }
    }

    /// Notes a login that did not work and goes on to the next.
    fn note(&mut self, login: &Login, how: &str) {
        self.at += 1;
        self.agent_at = 0;
        let what = match login {
            Login::Password(_) => {
                self.passwords += 1;
                format!("password {}", self.passwords)
            }
            Login::KeyFile { path, .. } => format!("key {}", path.display()),
            Login::Agent => "agent".to_string(),
        };
        self.tried.push(format!("{what} ({how})"));
    }

    fn attempt(&mut self, session: &Session, login: &Login) -> Result<(), No> {
        match login {
            Login::Password(password) => self.password(session, password),
            Login::KeyFile { path, passphrase } => self.key_file(session, path, passphrase.as_ref()),
            Login::Agent => self.agent(session),
        }
    }

    fn takes(&self, method: &str) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.split(',').any(|m| m == method))
    }

    fn password(&self, session: &Session, password: &Secret) -> Result<(), No> {
        let user = &self.target.user;
        if self.takes("password") {
            return judge(session, session.userauth_password(user, password.reveal()));
        }
        if self.takes("keyboard-interactive") {
            let mut answers = Answers(password);
            return judge(session, session.userauth_keyboard_interactive(user, &mut answers));
        }
        Err(No::Unasked("not taken by the server".into()))
    }

    fn key_file(&self, session: &Session, path: &Path, passphrase: Option<&Secret>) -> Result<(), No> {
        if !self.takes("publickey") {
            return Err(No::Unasked("keys are not taken by the server".into()));
        }
        if let Err(e) = std::fs::File::open(path) {
            return Err(No::Unasked(format!("cannot be read: {e}")));
        }
        let result = session.userauth_pubkey_file(&self.target.user, None, path, passphrase.map(Secret::reveal));
        match result {
            // libssh2 says the same of a file that is no key and of a wrong passphrase.
            Err(e) if e.code() == ErrorCode::Session(-16) => Err(No::Unasked(match passphrase {
                Some(_) => "wrong passphrase, or not a private key".into(),
                None => "not a private key, or it needs a passphrase".into(),
            })),
            other => judge(session, other),
        }
    }

    fn agent(&mut self, session: &Session) -> Result<(), No> {
        if !self.takes("publickey") {
            return Err(No::Unasked("keys are not taken by the server".into()));
        }
        let no_agent = |e: ssh2::Error| No::Unasked(format!("no agent answers: {}", e.message()));
        let mut agent = session.agent().map_err(no_agent)?;
        agent.connect().map_err(no_agent)?;
        agent.list_identities().map_err(no_agent)?;
        let keys = agent.identities().map_err(no_agent)?;
        while let Some(key) = keys.get(self.agent_at) {
            match judge(session, agent.userauth(&self.target.user, key)) {
                Ok(()) => return Ok(()),
                Err(No::Closed(how)) => {
                    // Go on with the next key; with the last one, the agent has been tried.
                    self.agent_at += 1;
                    return Err(if self.agent_at < keys.len() {
                        No::Closed(how)
                    } else {
                        No::Refused(format!("its {} keys", keys.len()))
                    });
                }
                Err(_) => self.agent_at += 1,
            }
        }
        Err(match keys.len() {
            0 => No::Unasked("it holds no key".into()),
            1 => No::Refused("its key refused".into()),
            n => No::Refused(format!("its {n} keys refused")),
        })
    }

    fn refusal(&self) -> Refusal {
        let user = &self.target.user;
        if self.tried.is_empty() {
            let why = format!("no login for `{user}` was given");
            return Refusal {
                kind: Kind::Refused,
                why,
                help: Some("give a password (`user:password@host`), a key file or an agent".into()),
            };
        }
        let takes = self.taken.as_deref().filter(|taken| !taken.is_empty()).unwrap_or("nothing that it would name");
        let why = format!("login as `{user}` refused; tried: {}; the server takes: {takes}", self.tried.join(", "));
        let help = if self.takes("password") || self.takes("keyboard-interactive") {
            "give the right user and password (`user:password@host`) or a key; root may be allowed in by key only (`PermitRootLogin`)"
        } else {
            "the server takes keys only: give a key file, load one into ssh-agent, or set `PasswordAuthentication yes` in sshd_config there"
        };
        Refusal { kind: Kind::Refused, why, help: Some(help.into()) }
    }
}

fn judge(session: &Session, result: Result<(), ssh2::Error>) -> Result<(), No> {
    match result {
        Ok(()) if session.authenticated() => Ok(()),
        Ok(()) => Err(No::Refused("the server wants more than that".into())),
        Err(e) => Err(match e.code() {
            ErrorCode::Session(-9 | -30) => No::Closed("no answer".into()),
            // libssh2 has the code of a refusal for a connection that ended instead of an answer; only its words differ.
            _ if e.message().starts_with("Waiting for") => No::Closed("the server closed the connection".into()),
            ErrorCode::Session(-15) => No::Refused("the password has expired".into()),
            ErrorCode::Session(-18 | -19 | -48) => No::Refused("refused".into()),
            _ if is_gone(&e) => No::Closed("the server closed the connection".into()),
            _ => No::Refused(e.message().to_string()),
        }),
    }
}

/// Whether the connection ended, rather than the login failed.
fn is_gone(error: &ssh2::Error) -> bool {
    is_broken(error) && matches!(error.code(), ErrorCode::Session(-7 | -13 | -14 | -43 | -45))
}

/// Answers each hidden question with the password: that is how most servers ask for it.
struct Answers<'a>(&'a Secret);

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt<'p>(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'p>]) -> Vec<String> {
        prompts.iter().map(|p| if p.echo { String::new() } else { self.0.reveal().to_string() }).collect()
    }
}
