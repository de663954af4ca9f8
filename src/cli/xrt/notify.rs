//! Telling people who are elsewhere that a run waits for one of them, and how it ended: whom, and by which server, as the variables
//! say (`EMAIL`, `SMTP_…`, `NOTIFY_URL`). They are read when there is something to tell, so that they can be set on the live run.

use crate::error::{Blame, Error, Kind, Result};
use crate::event::{Bus, Fact, Level};
use crate::report::{About, Complain, Happening, Messenger, Notice, Notices, Outbox};
use crate::secret::{Mask, Secret};
use crate::time::Cancel;
use crate::unit::show_duration;
use crate::vars::Live;
use crate::wire::http::{Http, Way};
use crate::wire::mail::{self, Parties, Relay, Security};
use crate::wire::tls::Trust;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long one mail may take.
const MAIL: Duration = Duration::from_secs(20);
/// How long a web hook may take, its connection included.
const HOOK: Duration = Duration::from_secs(10);
/// How long the end of a run waits for its notices to be gone.
const END: Duration = Duration::from_secs(30);
/// After how much of that a person is told.
const SILENT: Duration = Duration::from_secs(2);
/// How much of a web hook's answer is read.
const ANSWER: usize = 64 << 10;

/// Those who tell people of a run.
pub struct Notifier {
    outboxes: Vec<Outbox>,
    about: About,
    /// The stream that hears what could not be sent.
    bus: Arc<OnceLock<Bus>>,
}

impl Notifier {
    pub fn new(variables: &Live, mask: &Mask, trust: Trust) -> Notifier {
        let bus: Arc<OnceLock<Bus>> = Arc::default();
        let told = bus.clone();
        let complain: Complain = Arc::new(move |what| {
            if let Some(bus) = told.get() {
                bus.publish(None, Fact::Logged { level: Level::Warning, text: what.to_string() });
            }
        });
        let post = Post { variables: variables.clone(), mask: mask.clone() };
        let hook = Hook { variables: variables.clone(), mask: mask.clone(), trust, complain: complain.clone() };
        let messengers: [Box<dyn Messenger>; 2] = [Box::new(post), Box::new(hook)];
        let outboxes = messengers.into_iter().map(|messenger| Outbox::new(messenger, complain.clone())).collect();
        let job = value(variables, "JOBDESC").or_else(|| Some(format!("job {}", value(variables, "JOBID")?)));
        let masked = |text: String| mask.apply(&text).unwrap_or(text);
        Notifier { outboxes, about: About { job: job.map(masked), machine: mail::this_machine() }, bus }
    }

    /// What makes notices of the events.
    pub fn reader(&self) -> Notices {
        Notices::new(self.about.clone(), self.outboxes.clone())
    }

    /// Tells this stream what cannot be sent.
    pub fn complain_to(&self, bus: &Bus) {
        // A notifier has one stream.
        let _ = self.bus.set(bus.clone());
    }

    /// At the end of the run: waits until everything is sent, for a bounded time.
    pub fn close(&self) {
        let Some(bus) = self.bus.get() else { return };
        // The end is told once every reader has heard of it.
        bus.flush();
        let slow = || {
            let text = format!("the end of the run waits for those who tell people of it, for {} at most", show_duration(END));
            bus.publish(None, Fact::Logged { level: Level::Warning, text });
        };
        Outbox::close(&self.outboxes, END, (SILENT, slow));
    }
}

/// What is wrong with the variables that say whom to tell, before anything needs them.
pub fn wrong(variables: &Live) -> Option<String> {
    let wrong = [mailing(variables).err(), hook(variables).err()];
    let all: Vec<String> = wrong.into_iter().flatten().map(|error| error.report()).collect();
    (!all.is_empty()).then(|| format!("not everybody will be told of this run: {}", all.join("; ")))
}

fn value(variables: &Live, name: &str) -> Option<String> {
    variables.lookup(name).ok().flatten().filter(|value| !value.is_empty())
}

fn malformed(what: impl Into<String>) -> Error {
    Error::new(Kind::Malformed, what).blame(Blame::User)
}

/// Sends mails.
struct Post {
    variables: Live,
    mask: Mask,
}

impl Messenger for Post {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn takes(&self, happening: Happening) -> bool {
        let is_unwanted = || self.variables.boolean("COMPLETION_EMAIL").ok().flatten() == Some(false);
        value(&self.variables, "EMAIL").is_some() && !(happening == Happening::Finished && is_unwanted())
    }

    fn send(&self, notice: &Notice) -> Result<()> {
        let Some((relay, parties)) = mailing(&self.variables)? else { return Ok(()) };
        let masked = |text: &str| self.mask.apply(text).unwrap_or_else(|| text.to_string());
        let cancel = Cancel::new().child_with_limit("mail", MAIL);
        relay.send(&parties, &masked(&notice.subject), &masked(&notice.text), &cancel)
    }
}

/// By which server, and to whom; nothing when nobody is to be written to.
fn mailing(variables: &Live) -> Result<Option<(Relay, Parties)>> {
    let Some(to) = value(variables, "EMAIL") else { return Ok(None) };
    let user = value(variables, "SMTP_USER");
    let security = match (value(variables, "SMTP_TLS").map(|word| word.to_ascii_lowercase()).as_deref(), &user) {
        (Some("no" | "false" | "0"), _) | (None, None) => Security::None,
        (Some("starttls"), _) | (None, Some(_)) => Security::StartTls,
        (Some("yes" | "true" | "1"), _) => Security::Tls,
        (Some(other), _) => return Err(malformed(format!("SMTP_TLS is `{other}`: expected no, starttls or yes"))),
    };
    let usual = match security {
        Security::None => 25,
        Security::StartTls => 587,
        Security::Tls => 465,
    };
    let server = value(variables, "SMTP_SERVER").unwrap_or_else(|| "localhost".into());
    let (host, port) = server_of(&server, usual)?;
    let login = user.map(|user| (user, Secret::new(value(variables, "SMTP_PASSWORD").unwrap_or_default())));
    let certificates = value(variables, "SMTP_CA").map(PathBuf::from);
    let from = value(variables, "SMTP_SENDER").unwrap_or_else(|| format!("xrt@{}", mail::this_machine()));
    Ok(Some((Relay { host, port, security, certificates, login }, Parties::new(&from, &to)?)))
}

/// `h1`, `h1:2525`, `[::1]:25`, `::1`.
fn server_of(text: &str, usual: u16) -> Result<(String, u16)> {
    let is_bare = text.matches(':').count() > 1 && !text.starts_with('[');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_bare && !text.ends_with(']') => {
            (host, port.parse().map_err(|_| malformed(format!("SMTP_SERVER is `{text}`: `{port}` is no port")))?)
        }
        _ => (text, usual),
    };
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_string(), port))
}

/// Calls a web hook.
struct Hook {
    variables: Live,
    mask: Mask,
    trust: Trust,
    complain: Complain,
}

impl Messenger for Hook {
    fn name(&self) -> &'static str {
        "web hook"
    }

    fn takes(&self, _: Happening) -> bool {
        value(&self.variables, "NOTIFY_URL").is_some()
    }

    fn send(&self, notice: &Notice) -> Result<()> {
        let Some(Url { origin, login, path }) = hook(&self.variables)? else { return Ok(()) };
        let complain = self.complain.clone();
        let warn = Arc::new(move |text: String| complain(&format!("web hook: {text}")));
        let mut http = Http::new(Way { origin, trust: self.trust.clone(), connect_timeout: HOOK, warn })?;
        if let Some((user, password)) = login {
            http = http.with_login(&user, password);
        }
        let body = notice.facts.to_string();
        let body = self.mask.apply(&body).unwrap_or(body);
        let cancel = Cancel::new().child_with_limit("web hook", HOOK);
        let answer = http.post(&path, "application/json", body.into_bytes(), ANSWER, &cancel).map_err(|fault| fault.error())?;
        if !(200..300).contains(&answer.status) {
            return Err(Error::new(Kind::Refused, format!("{} answered {}", http.machine(), answer.status)).blame(Blame::Lab));
        }
        Ok(())
    }
}

/// The parts of a web hook's address.
struct Url {
    origin: String,
    login: Option<(String, Secret)>,
    /// With its query.
    path: String,
}

/// The web hook, if there is one. Its address has secrets in it: no error tells it.
fn hook(variables: &Live) -> Result<Option<Url>> {
    let Some(url) = value(variables, "NOTIFY_URL") else { return Ok(None) };
    let wrong = || malformed("NOTIFY_URL is not the address of a server, as http://HOST:PORT/PATH is");
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme)).ok_or_else(wrong)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (Some((user.to_string(), Secret::new(password))), host)
        }
        None => (None, authority),
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok(Some(Url { origin: format!("{scheme}://{host}"), login, path }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::{Layer, Variables};

    fn set(all: &[(&str, &str)]) -> Live {
        let mut variables = Variables::default();
        all.iter().for_each(|(name, value)| variables.set(Layer::Flag, name, *value).unwrap());
        variables.into()
    }

    #[test]
    fn the_server_and_how_it_is_talked_to_follow_from_few_variables() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Result<(&'a str, u16, Security), &'a str>);
        let rows: [Row; 9] = [
            (&[], Ok(("localhost", 25, Security::None))),
            (&[("SMTP_USER", "me")], Ok(("localhost", 587, Security::StartTls))),
            (&[("SMTP_USER", "me"), ("SMTP_TLS", "no"), ("SMTP_SERVER", "m1")], Ok(("m1", 25, Security::None))),
            (&[("SMTP_TLS", "yes"), ("SMTP_SERVER", "m1")], Ok(("m1", 465, Security::Tls))),
            (&[("SMTP_SERVER", "m1:2525"), ("SMTP_TLS", "STARTTLS")], Ok(("m1", 2525, Security::StartTls))),
            (&[("SMTP_SERVER", "[::1]:2525")], Ok(("::1", 2525, Security::None))),
            (&[("SMTP_SERVER", "::1")], Ok(("::1", 25, Security::None))),
            (&[("SMTP_TLS", "maybe")], Err("SMTP_TLS is `maybe`: expected no, starttls or yes")),
            (&[("SMTP_SERVER", "m1:x")], Err("SMTP_SERVER is `m1:x`: `x` is no port")),
        ];
        for (variables, expected) in rows {
            let all = [&[("EMAIL", "a@b.example, Jane <jane@c.example>")], variables].concat();
            let found = mailing(&set(&all)).map(|found| found.map(|(relay, _)| (relay.host, relay.port, relay.security)).unwrap());
            let found = found.as_ref().map(|(host, port, security)| (host.as_str(), *port, *security)).map_err(|e| e.what.as_str());
            assert_eq!(found, expected, "{variables:?}");
        }
        assert!(mailing(&set(&[("SMTP_TLS", "maybe")])).unwrap().is_none(), "nobody is written to");
        assert!(wrong(&set(&[("EMAIL", "nobody")])).unwrap().contains("`nobody` is no mail address"));
        assert!(wrong(&set(&[])).is_none());
    }

    #[test]
    fn the_address_of_a_web_hook_is_taken_apart_and_never_told() {
        let found = hook(&set(&[("NOTIFY_URL", "https://me:s3cret@h1:8443/hooks/T0K3N?x=1#part")])).unwrap().unwrap();
        assert_eq!((found.origin.as_str(), found.path.as_str()), ("https://h1:8443", "/hooks/T0K3N?x=1"));
        assert_eq!(found.login, Some(("me".into(), Secret::new("s3cret"))));
        assert_eq!(hook(&set(&[("NOTIFY_URL", "http://h1")])).unwrap().unwrap().path, "/");
        for url in ["ftp://h1/T0K3N", "h1/T0K3N", "http:///T0K3N", "http://me:T0K3N@/"] {
            let error = hook(&set(&[("NOTIFY_URL", url)])).map(drop).unwrap_err();
            assert!(!error.report().contains("T0K3N"), "{}", error.report());
        }
    }
}
