//! A server over HTTP or HTTPS: calls that block, on connections that are kept.
//!
//! The connections are driven by a small runtime of this file, one thread for the whole process; a caller waits for its answer, its
//! flag or its limit, whichever is first. What is given up is closed, so that nothing of it comes back later.
//!
//! Never true here: that a request is sent twice (a connection that is gone before anything was sent on it does not count), that a
//! redirect is followed, that a proxy of the environment is used, that an address with its query gets into an error.

use super::tls::{Inspector, Trust, Warn};
use crate::error::{Blame, Error, Kind, Result};
use crate::time::Cancel;
use bytes::Bytes;
use futures_util::future::{Either, select};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client, RequestBuilder, Response};
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long a call may take whose flag has no limit of its own.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long a connection is kept for the next call: shorter than servers keep theirs.
const KEPT: Duration = Duration::from_secs(20);

/// How much is read at a time of what is sent.
const CHUNK: usize = 256 << 10;

/// How much is kept of a page that says what is wrong.
const PAGE: usize = 16 << 10;

/// How a server is reached.
#[derive(Clone)]
pub struct Way {
    /// Scheme, host and port: `https://10.0.0.5`, `http://127.0.0.1:8080`.
    pub origin: String,
    pub trust: Trust,
    pub connect_timeout: Duration,
    /// Told what is odd about the server's certificate.
    pub warn: Warn,
}

/// One server. Shared by threads; calls run side by side.
pub struct Http {
    client: Client,
    origin: String,
    /// The origin without its scheme, as shown to people.
    machine: String,
    inspector: Arc<Inspector>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Where it says that it is rather to be asked.
    pub location: Option<String>,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// There is no connection: nothing was asked.
    Unconnected(Error),
    /// The connection broke, or what came made no sense: what was asked may have happened.
    Broken(Error),
    /// The flag was raised, or the limit is over.
    Stopped(Error),
}

impl Fault {
    pub fn error(self) -> Error {
        match self {
            Fault::Unconnected(error) | Fault::Broken(error) | Fault::Stopped(error) => error,
        }
    }
}

impl Http {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// `Malformed`: the origin; `Internal`.
    pub fn new(way: Way) -> Result<Http> {
        let Way { origin, trust, connect_timeout, warn } = way;
        let url = reqwest::Url::parse(&origin)
            .ok()
            .filter(|url| url.has_host() && ["http", "https"].contains(&url.scheme()))
            .ok_or_else(|| Error::new(Kind::Malformed, format!("`{origin}` is not the address of a server")).blame(Blame::User))?;
        let machine = origin.split_once("://").map_or(origin.as_str(), |(_, rest)| rest).to_string();
        let port = url.port_or_known_default().unwrap_or_default();
        let inspector = Inspector::new(trust, format!("{}:{port}", url.host_str().unwrap_or_default()), warn);
        let client = Client::builder()
            .tls_backend_preconfigured(inspector.config()?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .tcp_keepalive(KEPT)
            .pool_idle_timeout(KEPT)
            .connect_timeout(connect_timeout)
            .user_agent(concat!("xenrt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::new(Kind::Internal, "HTTP cannot be set up").because(e))?;
        Ok(Http { client, origin, machine, inspector })
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The server as shown to people: host, and port if it is not the usual one.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// Sends something and reads the answer, up to so many bytes of it.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn post(&self, path: &str, content: &str, body: Vec<u8>, most: usize, cancel: &Cancel) -> Result<Answer, Fault> {
        let request = self.client.post(self.url(path)).header(CONTENT_TYPE, content).body(body);
        runtime()?.block_on(self.within(cancel, async {
            let response = self.begin(request).await?;
            self.answer(response, most).await
        }))
    }

    /// Reads what is there and writes it out; of any status but 200 the page is in the answer. `told` hears how many bytes have come.
    ///
    /// # Errors
    /// See [`Fault`]; what the writer says is `Stopped`.
    pub fn get(&self, path: &str, to: &mut dyn Write, told: &dyn Fn(u64), cancel: &Cancel) -> Result<Answer, Fault> {
        let runtime = runtime()?;
        let request = self.client.get(self.url(path));
        let mut response = runtime.block_on(self.within(cancel, self.begin(request)))?;
        if response.status() != 200 {
            return runtime.block_on(self.within(cancel, self.answer(response, PAGE)));
        }
        let mut count = 0;
        while let Some(chunk) = runtime.block_on(self.within(cancel, async { self.judge(response.chunk().await) }))? {
            to.write_all(&chunk).map_err(|e| Fault::Stopped(unwritable(&e)))?;
            count += chunk.len() as u64;
            told(count);
        }
        Ok(Answer { status: 200, location: None, body: Vec::new() })
    }

    /// Sends so many bytes of what is read. `told` hears how many have gone.
    ///
    /// # Errors
    /// See [`Fault`]; what the reader says is `Stopped`.
    pub fn put(&self, path: &str, from: &mut dyn Read, bytes: u64, told: &dyn Fn(u64), cancel: &Cancel) -> Result<Answer, Fault> {
        let runtime = runtime()?;
        // The reader belongs to this thread, the request to the runtime: between them stands a short queue.
        let (queue, receiver) = mpsc::channel::<Bytes>(2);
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|chunk| (Ok::<_, std::convert::Infallible>(chunk), receiver))
        });
        let request = self.client.put(self.url(path)).header(CONTENT_LENGTH, bytes).body(Body::wrap_stream(stream));
        let mut sending = Sending(runtime.spawn(request.send()));
        let mut from = from.take(bytes);
        let mut buffer = vec![0; CHUNK];
        let mut count = 0;
        while !sending.0.is_finished() {
            let read = from.read(&mut buffer).map_err(|e| Fault::Stopped(unreadable(&e)))?;
            if read == 0 {
                break;
            }
            let chunk = Bytes::copy_from_slice(&buffer[..read]);
            let sent = runtime.block_on(self.within(cancel, async { Ok(queue.send(chunk).await.is_ok()) }))?;
            if !sent {
                break;
            }
            count += read as u64;
            told(count);
        }
        drop(queue);
        runtime.block_on(self.within(cancel, async {
            let ended =
                (&mut sending.0).await.map_err(|e| Fault::Broken(Error::new(Kind::Internal, "a request was lost").because(e)))?;
            self.answer(self.judge(ended)?, PAGE).await
        }))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    async fn begin(&self, request: RequestBuilder) -> Result<Response, Fault> {
        self.judge(request.send().await)
    }

    async fn answer(&self, mut response: Response, most: usize) -> Result<Answer, Fault> {
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).and_then(|text| text.to_str().ok()).map(str::to_string);
        let expected = response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        let mut body = Vec::with_capacity(expected.min(most));
        while let Some(chunk) = self.judge(response.chunk().await)? {
            if body.len() + chunk.len() > most {
                let what = format!("the answer of {} is longer than {}", self.machine, crate::unit::show_size(most as u64));
                return Err(Fault::Broken(Error::new(Kind::Malformed, what).blame(Blame::Product)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, location, body })
    }

    fn judge<T>(&self, result: reqwest::Result<T>) -> Result<T, Fault> {
        result.map_err(|error| {
            // The query of an address has secrets in it.
            let error = error.without_url();
            let machine = &self.machine;
            if error.is_connect() {
                let unreachable = || Error::new(Kind::Unreachable, format!("cannot reach {machine}: {}", root_of(&error)));
                return Fault::Unconnected(self.inspector.take_refusal().unwrap_or_else(unreachable));
            }
            Fault::Broken(Error::new(Kind::Unreachable, format!("the connection to {machine} broke: {}", root_of(&error))))
        })
    }

    /// Waits for the end of something, the flag or the limit. What has not ended then is dropped, and its connection closed.
    async fn within<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let begun = Instant::now();
        let end = cancel.deadline().unwrap_or(begun + LONGEST);
        let (work, raised) = (pin!(work), pin!(cancel.raised()));
        match tokio::time::timeout_at(end.into(), select(work, raised)).await {
            Ok(Either::Left((ended, _))) => ended,
            Ok(Either::Right(_)) | Err(_) => {
                let silent = || Error::new(Kind::Timeout, format!("{} did not answer", self.machine));
                Err(Fault::Stopped(cancel.check().err().unwrap_or_else(silent)))
            }
        }
    }
}

/// A request on its way, given up when it is dropped.
struct Sending(JoinHandle<reqwest::Result<Response>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Drives all connections of the process.
fn runtime() -> Result<&'static Runtime, Fault> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME
        .get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build());
    made.as_ref().map_err(|e| Fault::Unconnected(Error::new(Kind::Internal, format!("HTTP cannot be set up: {e}"))))
}

/// The innermost cause, which says most: "Connection refused (os error 111)".
fn root_of(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn unwritable(error: &std::io::Error) -> Error {
    Error::new(Kind::Refused, format!("what comes cannot be written: {error}")).blame(Blame::User)
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(Kind::Refused, format!("what is to be sent cannot be read: {error}")).blame(Blame::User)
}
