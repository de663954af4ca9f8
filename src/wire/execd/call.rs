//! One call of the daemon, and what may come of it.

use super::{Execd, odd};
use crate::error::{Blame, Details, Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::Transport;
use crate::wire::http::{self, Http, Way};
use crate::wire::ssh::HostKeys;
use crate::wire::tls::Trust;
use crate::wire::xmlrpc::{self, Answer, Call, Value};
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take that nobody else limits.
const LIMIT: Duration = Duration::from_secs(600);

/// How long an answer may be that is no file: 64 MiB of output of a command, and what XML adds to it.
const LONGEST: usize = 96 << 20;

/// Why a call gave nothing.
pub(super) enum Trouble {
    /// The daemon answered that it cannot: `<type 'exceptions.X'>:message`.
    Fault(String),
    /// There was no connection: nothing was asked.
    Unconnected(Error),
    /// It may have happened.
    Broken(Error),
    /// The flag was raised, or the limit is over.
    Stopped(Error),
}

impl Execd {
    /// Calls a method and reads its answer.
    ///
    /// # Errors
    /// Those of [`Trouble::error`].
    pub(super) fn ask(&self, method: &str, params: Vec<Value>, cancel: &Cancel) -> Result<Value> {
        self.call(method, params, LONGEST, cancel).map_err(|trouble| trouble.error(self, method))
    }

    /// As [`Execd::ask`], with the trouble told apart; the answer may be so long.
    pub(super) fn call(&self, method: &str, params: Vec<Value>, longest: usize, cancel: &Cancel) -> Result<Value, Trouble> {
        cancel.check().map_err(Trouble::Stopped)?;
        let http = self.http().map_err(Trouble::Stopped)?;
        let limit = cancel.child_with_limit(&format!("call of `{method}` on {}", self.machine()), LIMIT);
        let body = xmlrpc::write_call(&Call { method: method.to_string(), params }).into_bytes();
        let answer = http.post("/RPC2", "text/xml", body, longest, &limit).map_err(|fault| match fault {
            http::Fault::Unconnected(error) => Trouble::Unconnected(self.unreachable(error)),
            http::Fault::Broken(error) => Trouble::Broken(self.unreachable(error)),
            http::Fault::Stopped(error) => Trouble::Stopped(error),
        })?;
        if answer.status != 200 {
            return Err(Trouble::Broken(self.other_server(&format!("HTTP status {}", answer.status))));
        }
        let text = xmlrpc::mend(&answer.body);
        match xmlrpc::parse_answer(&text) {
            Ok(Answer::Value(value)) => Ok(value),
            Ok(Answer::Fault { text, .. }) => Err(Trouble::Fault(text)),
            Err(error) => Err(Trouble::Broken(self.other_server(&error.what))),
        }
    }

    fn http(&self) -> Result<&Http> {
        let inner = &self.0;
        let made = inner.http.get_or_init(|| {
            let host = if inner.host.contains(':') { format!("[{}]", inner.host) } else { inner.host.clone() };
            Http::new(Way {
                origin: format!("http://{host}:{}", inner.port),
                trust: Trust { policy: HostKeys::Ignore, record: None },
                connect_timeout: inner.connect_timeout,
                warn: Arc::new(|_| ()),
            })
        });
        made.as_ref().map_err(Clone::clone)
    }

    fn unreachable(&self, error: Error) -> Error {
        let help = "is the machine up, and logged in so that `c:\\execdaemon.cmd` runs? Does its firewall let port 8936 in?";
        let what = format!("{} (the execution daemon, port {})", error.what, self.0.port);
        Error { what, ..error }.help(help)
    }

    fn other_server(&self, said: &str) -> Error {
        let what = format!("port {} of {} does not answer as the execution daemon does: {said}", self.0.port, self.0.host);
        Error::new(Kind::Unreachable, what).help("is it the execution daemon that listens there?")
    }

    pub(super) fn texts(&self, method: &str, value: Value) -> Result<Vec<String>> {
        let Value::Array(items) = value else { return Err(odd(self, method, &value)) };
        items.into_iter().map(|item| self.text(method, item)).collect()
    }

    pub(super) fn text(&self, method: &str, value: Value) -> Result<String> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Int(number) => Ok(number.to_string()),
            other => Err(odd(self, method, &other)),
        }
    }

    pub(super) fn number(&self, method: &str, value: &Value) -> Result<f64> {
        match value {
            Value::Double(number) => Ok(*number),
            Value::Int(number) => Ok(*number as f64),
            other => Err(odd(self, method, other)),
        }
    }

    pub(super) fn truth(&self, method: &str, value: &Value) -> Result<bool> {
        match value {
            Value::Bool(truth) => Ok(*truth),
            Value::Int(number) => Ok(*number != 0),
            other => Err(odd(self, method, other)),
        }
    }
}

impl Trouble {
    /// As callers see it. `Unsupported` for a method that this daemon does not have, `NotFound` for a file that is not there, `Refused`
    /// for other faults; `Unreachable`, `Timeout`, `Cancelled`.
    pub fn error(self, daemon: &Execd, method: &str) -> Error {
        let text = match self {
            Trouble::Fault(text) => text,
            Trouble::Unconnected(error) | Trouble::Broken(error) | Trouble::Stopped(error) => return error,
        };
        let machine = daemon.machine();
        let (class, message) = split_fault(&text);
        let shown = crate::context::clip(if message.is_empty() { class } else { message }, 200);
        let what = format!("`{method}` on {machine}: {shown}");
        let details =
            Details { machine: machine.to_string(), command: method.to_string(), stderr: text.clone(), ..Details::default() };
        let error = if message.starts_with("method \"") && message.ends_with("is not supported") {
            Error::new(Kind::Unsupported, what).blame(Blame::Lab).help("the execution daemon there is an older one")
        } else if is_missing(message) {
            Error::new(Kind::NotFound, what)
        } else {
            Error::new(Kind::Refused, what)
        };
        error.details(details)
    }
}

/// Class and message of a fault; all is message where it names no class.
fn split_fault(text: &str) -> (&str, &str) {
    let class = text.strip_prefix("<class '").or_else(|| text.strip_prefix("<type '"));
    match class.and_then(|rest| rest.split_once("'>:")) {
        Some((class, message)) => (class.rsplit('.').next().unwrap_or(class), message.trim()),
        None => ("", text.trim()),
    }
}

/// Whether a message of Python says that there is no such file, key or value.
fn is_missing(message: &str) -> bool {
    ["[Errno 2]", "[Error 2]", "[Error 3]", "[WinError 2]", "[WinError 3]"].iter().any(|mark| message.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        let daemon = Execd::new("10.0.0.5", 8936, LIMIT);
        for (fault, kind, said) in [
            (
                "<type 'exceptions.IOError'>:[Errno 2] No such file or directory: 'c:\\\\x'",
                Kind::NotFound,
                "[Errno 2] No such file",
            ),
            ("<class 'WindowsError'>:[Error 2] The system cannot find the file specified", Kind::NotFound, "[Error 2]"),
            ("<class 'WindowsError'>:[Error 5] Access is denied", Kind::Refused, "Access is denied"),
            ("<type 'exceptions.Exception'>:method \"frob\" is not supported", Kind::Unsupported, "is not supported"),
            ("<type 'exceptions.KeyError'>:", Kind::Refused, "KeyError"),
            ("something else", Kind::Refused, "something else"),
        ] {
            let error = Trouble::Fault(fault.into()).error(&daemon, "m");
            assert_eq!(error.kind, kind, "{fault}");
            assert!(error.what.starts_with("`m` on 10.0.0.5: ") && error.what.contains(said), "{}", error.what);
            assert_eq!(error.details.unwrap().stderr, fault);
        }
    }
}
