//! The other end: a run that is steered from here.

use super::address::Address;
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use crate::wire::http::{Http, Way};
use dxr::{FaultResponse, MethodCall, MethodResponse, Value};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::sync::Arc;

/// The largest answer.
const LARGEST: usize = 64 << 20;

/// A run that can be steered.
pub struct Client {
    http: Arc<Http>,
}

impl Client {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// `Malformed`: the address.
    pub fn new(address: &Address) -> Result<Client> {
        let way = Way::plain(format!("http://{}", address.authority));
        Ok(Client { http: Arc::new(Http::new(way)?.with_login(&address.user, address.token.clone())) })
    }

    /// The same run, for another thread.
    #[must_use]
    pub fn share(&self) -> Client {
        Client { http: self.http.clone() }
    }

    /// Host and port.
    pub fn machine(&self) -> &str {
        self.http.machine()
    }

    /// Asks something, and waits for the answer as long as `cancel` lets it.
    ///
    /// # Errors
    /// `Unreachable`: nobody is there; `Refused`: the token is not of this run; what the run says is wrong.
    pub fn call(&self, method: &str, params: Vec<Value>, cancel: &Cancel) -> Result<Value> {
        let machine = self.machine();
        let call = MethodCall { name: Cow::Borrowed(method), params };
        let xml = call.to_xml().map_err(|e| Error::new(Kind::Internal, format!("`{method}` cannot be asked")).because(e))?;
        let answer = self.http.post("/", "text/xml", xml.into_bytes(), LARGEST, cancel).map_err(|fault| {
            let error = fault.error();
            match error.kind {
                Kind::Unreachable => {
                    error.blame(Blame::User).help("is the run over? its address is in interact.url of its results")
                }
                _ => error,
            }
        })?;
        if answer.status == 401 {
            let error = Error::new(Kind::Refused, format!("the run at {machine} does not know this token")).blame(Blame::User);
            return Err(error.help("give the URL of interact.url in the results of the run, or the directory of its results"));
        }
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 {
            let what = format!("{machine} answers with status {}: {}", answer.status, crate::context::clip(text.trim(), 200));
            return Err(Error::new(Kind::Malformed, what).blame(Blame::User));
        }
        match (MethodResponse::from_xml(&text), FaultResponse::from_xml(&text)) {
            (Ok(response), _) => Ok(response.value),
            (_, Ok(response)) => {
                Err(Error::new(Kind::Refused, crate::report::printable(response.fault.string())).blame(Blame::User))
            }
            _ => Err(Error::new(Kind::Malformed, format!("{machine} is no run: its answer is no XML-RPC")).blame(Blame::User)),
        }
    }

    /// Asks something whose answer is JSON.
    ///
    /// # Errors
    /// As [`Client::call`]; `Malformed`: it is something else.
    pub fn ask<T: DeserializeOwned>(&self, method: &str, params: Vec<Value>, cancel: &Cancel) -> Result<T> {
        let unknown = || Error::new(Kind::Malformed, format!("{}: the answer to `{method}` is of another version", self.machine()));
        let Value::String(text) = self.call(method, params, cancel)? else { return Err(unknown()) };
        serde_json::from_str(&text).map_err(|e| unknown().because(e))
    }
}
