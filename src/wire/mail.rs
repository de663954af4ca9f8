//! Mail: one message handed to one SMTP server (RFC 5321), in the clear, by STARTTLS or by TLS from the first byte.
//!
//! Never true here: that a password or a message goes out in the clear where TLS was asked for, that a message is sent twice, that a
//! server which hangs holds the caller longer than its limit.

use super::runtime;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::secret::Secret;
use crate::time::Cancel;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::PathBuf;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// How a connection to a server is kept from other eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    /// It begins in the clear and is encrypted before anything is said.
    StartTls,
    Tls,
}

/// A server that takes mail.
#[derive(Clone, Debug)]
pub struct Relay {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// A file in PEM form with certificates that the server's may be signed by, besides those that this machine trusts.
    pub certificates: Option<PathBuf>,
    pub login: Option<(String, Secret)>,
}

/// Who writes to whom.
#[derive(Clone, Debug)]
pub struct Parties {
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Parties {
    /// Reads an address, and one or more with commas between them; each may have a name: `Jane <jane@example.com>`.
    ///
    /// # Errors
    /// `Malformed`, blamed on the user.
    pub fn new(from: &str, to: &str) -> Result<Parties> {
        let to: Vec<Mailbox> = to.split(',').map(str::trim).filter(|one| !one.is_empty()).map(address).collect::<Result<_>>()?;
        if to.is_empty() {
            return Err(Error::new(Kind::Malformed, "there is no address to write to").blame(Blame::User));
        }
        Ok(Parties { from: address(from.trim())?, to })
    }
}

fn address(text: &str) -> Result<Mailbox> {
    text.parse().map_err(|e| Error::new(Kind::Malformed, format!("`{text}` is no mail address: {e}")).blame(Blame::User))
}

impl Relay {
    /// The server as shown to people.
    pub fn machine(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Hands a message to the server, for one recipient after the other: that one is refused keeps nothing from the others.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `Cancelled`; `Refused`: the server said no, to some recipients or to all. `Malformed`: the certificates.
    pub fn send(&self, parties: &Parties, subject: &str, text: &str, cancel: &Cancel) -> Result<()> {
        let message = written(parties, subject, text)?.formatted();
        let (transport, machine) = (self.transport()?, self.machine());
        let runtime = runtime::runtime()?;
        let mut refused = Vec::new();
        for one in &parties.to {
            let envelope = Envelope::new(Some(parties.from.email.clone()), vec![one.email.clone()])
                .map_err(|e| Error::new(Kind::Internal, "a mail without a recipient").because(e))?;
            let sent = runtime.block_on(runtime::within(&machine, cancel, transport.send_raw(&envelope, &message)))?;
            match sent {
                Ok(_) => {}
                Err(error) if error.status().is_some() => refused.push(format!("for {}: {error}", one.email)),
                Err(error) => return Err(Error::new(Kind::Unreachable, format!("{machine} took no mail: {error}"))),
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Refused, format!("{machine} refused the mail {}", refused.join("; "))).blame(Blame::Lab))
    }

    fn transport(&self) -> Result<Transport> {
        let mut builder = Transport::builder_dangerous(&self.host).port(self.port).tls(match self.security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(self.tls()?),
            Security::Tls => Tls::Wrapper(self.tls()?),
        });
        // Its own limit is of each step; ours is of all of them.
        builder = builder.timeout(None);
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_string()));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters> {
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(path) = &self.certificates {
            let place = path.display();
            let pem = std::fs::read(path).at(format_args!("read the certificates `{place}`"))?;
            let wrong = |e| Error::new(Kind::Malformed, format!("`{place}` has no certificates: {e}")).blame(Blame::User);
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(wrong)?);
        }
        builder.build().map_err(|e| Error::new(Kind::Malformed, format!("TLS with {} cannot be set up: {e}", self.host)))
    }
}

/// The message: plain text in UTF-8, in a form that every server can pass on.
fn written(parties: &Parties, subject: &str, text: &str) -> Result<Message> {
    let to = |builder: MessageBuilder, one: &Mailbox| builder.to(one.clone());
    let builder = parties.to.iter().fold(Message::builder().from(parties.from.clone()), to);
    let made = builder.subject(subject).message_id(None).singlepart(SinglePart::plain(text.to_string()));
    let mut message = made.map_err(|e| Error::new(Kind::Internal, "a mail cannot be written").because(e))?;
    // Whoever is on holiday does not answer a program (RFC 3834).
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
    message.headers_mut().insert_raw(automatic);
    Ok(message)
}

/// What this machine is called in its network, or `localhost`.
pub fn this_machine() -> String {
    let named = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if named.is_empty() { "localhost".into() } else { named }
}
