//! The certificates by which servers prove who they are: recorded, compared, and told when they change.
//!
//! A hypervisor signs its certificate itself, so there is nobody to ask whether it is the right one. It is treated as SSH treats host
//! keys: recorded at first sight, compared from then on. The record is a file of lines `host:port SHA256:AB:CD:…`; the fingerprint is
//! the one that `openssl x509 -noout -fingerprint -sha256` prints.

use super::record;
use super::ssh::HostKeys;
use crate::error::{Blame, Error, Kind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What to think of certificates, and where they are recorded.
#[derive(Clone, Debug)]
pub struct Trust {
    pub policy: HostKeys,
    /// Without it nothing is recorded.
    pub record: Option<PathBuf>,
}

/// Takes what a warning says.
pub type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// Looks at the certificates of one server.
pub(super) struct Inspector {
    trust: Trust,
    /// The server as it stands in the record: `host:port`.
    name: String,
    provider: Arc<CryptoProvider>,
    warn: Warn,
    /// What was accepted: looked up once, not at each new connection.
    accepted: Mutex<Option<String>>,
    /// Why it was refused: what comes out of the handshake says it less well.
    refusal: Mutex<Option<Error>>,
}

impl Inspector {
    pub fn new(trust: Trust, name: String, warn: Warn) -> Arc<Inspector> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Inspector { trust, name, provider, warn, accepted: Mutex::default(), refusal: Mutex::default() })
    }

    /// The settings of a client whose connections this looks at.
    ///
    /// # Errors
    /// `Internal`.
    pub fn config(self: &Arc<Inspector>) -> Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::new(Kind::Internal, "TLS cannot be set up").because(e))?;
        Ok(builder.dangerous().with_custom_certificate_verifier(self.clone()).with_no_client_auth())
    }

    /// Why the last handshake was refused, if it was refused here.
    pub fn take_refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn inspect(&self, fingerprint: &str) -> Result<()> {
        if self.trust.policy == HostKeys::Ignore {
            return Ok(());
        }
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.as_deref() != Some(fingerprint) {
            self.compare(fingerprint)?;
            *accepted = Some(fingerprint.to_string());
        }
        Ok(())
    }

    /// Compares a fingerprint with the record.
    fn compare(&self, fingerprint: &str) -> Result<()> {
        let (name, is_strict) = (&self.name, self.trust.policy == HostKeys::Strict);
        let Some(path) = self.trust.record.as_deref() else {
            let what = "certificates are to be checked, but no record of them was named";
            return if is_strict { Err(refused(what.into())) } else { Ok(()) };
        };
        let place = path.display();
        let text = match record::read(path) {
            Ok(text) => text,
            Err(e) if is_strict => return Err(refused(format!("the record of certificates `{place}` cannot be read: {e}"))),
            Err(e) => {
                (self.warn)(format!("the record of certificates `{place}` cannot be read: {e}"));
                return Ok(());
            }
        };
        let recorded: Vec<&str> = text.lines().filter_map(|line| pin(line, name)).collect();
        if recorded.contains(&fingerprint) {
            return Ok(());
        }
        let line = format!("{name} {fingerprint}");
        match recorded.first() {
            None if is_strict => {
                let what = format!("the certificate of {name} is not known: {fingerprint}");
                let help = format!(
                    "compare it with the machine's own, then record it: `echo '{line}' >> {place}`; or use `--host-keys warn`"
                );
                return Err(refused(what).help(help));
            }
            Some(old) if is_strict => {
                let what = format!("the certificate of {name} has changed: recorded {old}, now {fingerprint}");
                let help = format!("if it was installed anew, take its old line out of `{place}`; or use `--host-keys warn`");
                return Err(refused(what).help(help));
            }
            None => {}
            Some(old) => (self.warn)(format!(
                "the certificate of {name} has changed: it was {old}, now it is {fingerprint}; was it installed anew? \
                 The record in `{place}` is replaced"
            )),
        }
        let written = record::rewrite(path, |old| {
            let others = old.lines().filter(|line| pin(line, name).is_none());
            Ok(others.map(|line| format!("{line}\n")).collect::<String>() + line.as_str() + "\n")
        });
        if let Err(e) = written {
            (self.warn)(format!("the certificate of {name} is not recorded: {}", e.what));
        }
        Ok(())
    }
}

/// The fingerprint in a line of the record, if it is about this server.
fn pin<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut words = line.split_whitespace();
    (words.next()?.eq_ignore_ascii_case(name)).then(|| words.next()).flatten().filter(|pin| pin.starts_with("SHA256:"))
}

fn refused(what: String) -> Error {
    Error::new(Kind::Refused, what).blame(Blame::Lab)
}

/// The fingerprint of a certificate, as `openssl` prints it.
fn fingerprint(certificate: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    format!("SHA256:{}", bytes.join(":"))
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").field("name", &self.name).field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Inspector {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inspect(&fingerprint(end_entity)).map(|()| ServerCertVerified::assertion()).map_err(|error| {
            let what = error.what.clone();
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            rustls::Error::General(what)
        })
    }

    // That the server has the key of its certificate is proved by these, whatever the policy says.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Server {
        dir: tempfile::TempDir,
        told: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        fn new() -> Server {
            Server { dir: tempfile::tempdir().unwrap(), told: Arc::default() }
        }

        fn record(&self) -> PathBuf {
            self.dir.path().join("state/known_certificates")
        }

        fn look(&self, policy: HostKeys, name: &str, certificate: &[u8]) -> Result<()> {
            let told = self.told.clone();
            let warn: Warn = Arc::new(move |text| told.lock().unwrap().push(text));
            let trust = Trust { policy, record: Some(self.record()) };
            Inspector::new(trust, name.into(), warn).inspect(&fingerprint(certificate))
        }

        fn told(&self) -> Vec<String> {
            std::mem::take(&mut self.told.lock().unwrap())
        }
    }

    #[test]
    fn a_certificate_is_recorded_at_first_sight_and_a_change_is_told() {
        let server = Server::new();
        server.look(HostKeys::Warn, "h1:443", b"one").unwrap();
        server.look(HostKeys::Warn, "h2:443", b"two").unwrap();
        server.look(HostKeys::Warn, "H1:443", b"one").unwrap();
        assert_eq!(server.told(), Vec::<String>::new());
        server.look(HostKeys::Warn, "h1:443", b"new").unwrap();
        let told = server.told();
        assert!(told.len() == 1 && told[0].contains(&fingerprint(b"one")) && told[0].contains(&fingerprint(b"new")), "{told:?}");
        let lines: Vec<String> = std::fs::read_to_string(server.record()).unwrap().lines().map(str::to_string).collect();
        assert_eq!(lines, [format!("h2:443 {}", fingerprint(b"two")), format!("h1:443 {}", fingerprint(b"new"))]);
    }

    #[test]
    fn a_strict_policy_takes_recorded_certificates_only_and_says_how_to_record_one() {
        let server = Server::new();
        let unknown = server.look(HostKeys::Strict, "h1:443", b"one").unwrap_err();
        assert!(unknown.help.unwrap().contains(&format!("h1:443 {}", fingerprint(b"one"))), "{}", unknown.what);
        assert!(!server.record().exists());
        server.look(HostKeys::Warn, "h1:443", b"one").unwrap();
        server.look(HostKeys::Strict, "h1:443", b"one").unwrap();
        let changed = server.look(HostKeys::Strict, "h1:443", b"two").unwrap_err();
        assert_eq!((changed.kind, changed.blame), (Kind::Refused, Blame::Lab));
        assert!(changed.what.contains("has changed"), "{}", changed.what);
        server.look(HostKeys::Ignore, "h1:443", b"two").unwrap();
        assert_eq!(server.told(), Vec::<String>::new());
    }

    #[test]
    fn a_fingerprint_is_the_one_of_openssl() {
        assert!(fingerprint(b"").starts_with("SHA256:E3:B0:C4:42:98:FC:1C:14"), "{}", fingerprint(b""));
    }
}
