//! A server over HTTP or HTTPS: calls that block, on connections that are kept.
//!
//! The connections are driven by `wire/runtime.rs`; what is given up is closed, so that nothing of it comes back later.
//!
//! Never true here: that a request is sent twice (a connection that is gone before anything was sent on it does not count), that a
//! redirect is followed, that a proxy of the environment is used, that an address with its query gets into an error.

use super::runtime;
use super::tls::{Inspector, Trust, Warn};
use crate::error::{Blame, Error, Kind, Result};
use crate::secret::Secret;
use crate::time::Cancel;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client, Response};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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

impl Way {
    /// A server without TLS, which answers soon or not at all.
    pub fn plain(origin: String) -> Way {
        Way {
            origin,
            trust: Trust { policy: super::ssh::HostKeys::Strict, record: None },
            connect_timeout: Duration::from_secs(10),
            warn: Arc::new(|_| ()),
        }
    }
}

/// One server. Shared by threads; calls run side by side.
pub struct Http {
    client: Client,
    origin: String,
    /// A name and a password that go with each request.
    login: Option<(String, Secret)>,
    peer: Peer,
}

/// Who is at the other end.
#[derive(Clone)]
struct Peer {
    /// The origin without its scheme, as shown to people.
    machine: Arc<str>,
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
        let machine = origin.split_once("://").map_or(origin.as_str(), |(_, rest)| rest).into();
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
        Ok(Http { client, origin, login: None, peer: Peer { machine, inspector } })
    }

    /// The same, which says who it is with each POST (RFC 7617).
    #[must_use]
    pub fn with_login(self, user: &str, password: Secret) -> Http {
        Http { login: Some((user.to_string(), password)), ..self }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The server as shown to people: host, and port if it is not the usual one.
    pub fn machine(&self) -> &str {
        &self.peer.machine
    }

    /// Sends something and reads the answer, up to so many bytes of it.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn post(&self, path: &str, content: &str, body: Vec<u8>, most: usize, cancel: &Cancel) -> Result<Answer, Fault> {
        let runtime = runtime()?;
        let mut request = self.client.post(self.url(path)).header(CONTENT_TYPE, content).body(body);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.reveal()));
        }
        let peer = self.peer.clone();
        // All of it on the runtime's thread: the connection is free again before the caller goes on.
        let mut sending = Sending(runtime.spawn(async move {
            let response = peer.judge(request.send().await)?;
            peer.answer(response, most).await
        }));
        runtime.block_on(self.within(cancel, sending.end()))
    }

    /// Asks whether something is there, without what it is.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn head(&self, path: &str, cancel: &Cancel) -> Result<Answer, Fault> {
        let request = self.client.head(self.url(path));
        let asked = async { self.peer.answer(self.peer.judge(request.send().await)?, PAGE).await };
        runtime()?.block_on(self.within(cancel, asked))
    }

    /// Reads what is there and writes it out; of any status but 200 the page is in the answer. `told` hears how many bytes have come.
    ///
    /// # Errors
    /// See [`Fault`]; what the writer says is `Stopped`.
    pub fn get(&self, path: &str, to: &mut dyn Write, told: &dyn Fn(u64), cancel: &Cancel) -> Result<Answer, Fault> {
        let runtime = runtime()?;
        let request = self.client.get(self.url(path));
        let mut response = runtime.block_on(self.within(cancel, async { self.peer.judge(request.send().await) }))?;
        if response.status() != 200 {
            return runtime.block_on(self.within(cancel, self.peer.answer(response, PAGE)));
        }
        let mut count = 0;
        while let Some(chunk) = runtime.block_on(self.within(cancel, async { self.peer.judge(response.chunk().await) }))? {
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
        let peer = self.peer.clone();
        let mut sending = Sending(runtime.spawn(async move {
            let response = peer.judge(request.send().await)?;
            peer.answer(response, PAGE).await
        }));
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
        runtime.block_on(self.within(cancel, sending.end()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// As [`runtime::within`].
    async fn within<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        runtime::within(&self.peer.machine, cancel, work).await.unwrap_or_else(|error| Err(Fault::Stopped(error)))
    }
}

impl Peer {
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
            if error.is_dns() {
                let what = format!("no machine is called `{machine}`: {}", root_of(&error));
                return Fault::Unconnected(Error::new(Kind::NotFound, what).blame(Blame::User));
            }
            if error.is_connect() {
                let unreachable = || Error::new(Kind::Unreachable, format!("cannot reach {machine}: {}", root_of(&error)));
                return Fault::Unconnected(self.inspector.take_refusal().unwrap_or_else(unreachable));
            }
            Fault::Broken(Error::new(Kind::Unreachable, format!("the connection to {machine} broke: {}", root_of(&error))))
        })
    }
}

/// A request on its way, given up when it is dropped.
struct Sending(JoinHandle<Result<Answer, Fault>>);

impl Sending {
    async fn end(&mut self) -> Result<Answer, Fault> {
        let lost = |e| Fault::Broken(Error::new(Kind::Internal, "a request was lost").because(e));
        (&mut self.0).await.map_err(lost)?
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn runtime() -> Result<&'static tokio::runtime::Runtime, Fault> {
    runtime::runtime().map_err(Fault::Unconnected)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stop;
    use crate::wire::ssh::HostKeys;
    use rustls::pki_types::PrivateKeyDer;
    use std::io::{BufRead, BufReader};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::path::Path;
    use std::sync::Mutex;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(20);

    trait Wire: Read + Write {}
    impl<T: Read + Write> Wire for T {}

    type Say = dyn Fn(&str, &[u8]) -> Option<Vec<u8>>;

    /// Answers each request with what `say` makes of its head and body, until it makes nothing.
    fn serve(stream: &mut dyn Wire, say: &Say) -> std::io::Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte)? == 0 {
                    return Ok(());
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().to_string()));
            let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
            stream.read_exact(&mut body)?;
            let Some(answer) = say(&head, &body) else { return Ok(()) };
            stream.write_all(&answer)?;
            stream.flush()?;
        }
    }

    fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        at
    }

    fn plain(say: impl Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Http {
        let at = listen(move |mut stream| drop(serve(&mut stream, &say)));
        door(format!("http://{at}"), HostKeys::Ignore, None).0
    }

    fn door(origin: String, policy: HostKeys, record: Option<&Path>) -> (Http, Arc<Mutex<Vec<String>>>) {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = told.clone();
        let way = Way {
            origin,
            trust: Trust { policy, record: record.map(Path::to_path_buf) },
            connect_timeout: Duration::from_secs(5),
            warn: Arc::new(move |text| notes.lock().unwrap().push(text)),
        };
        (Http::new(way).unwrap(), told)
    }

    fn page(status: u16, body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    fn long() -> Cancel {
        Cancel::new().child_with_limit("call", LONG)
    }

    #[test]
    fn what_is_sent_comes_back_on_one_connection() {
        let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = connections.clone();
        let at = listen(move |mut stream| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ =
                serve(&mut stream, &|head, body| Some(page(200, &[head.lines().next().unwrap().as_bytes(), b"|", body].concat())));
        });
        let (http, _) = door(format!("http://{at}"), HostKeys::Ignore, None);
        for _ in 0..5 {
            let answer = http.post("/jsonrpc", "application/json", b"{}".to_vec(), 1000, &long()).unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"POST /jsonrpc HTTP/1.1|{}"[..]));
        }
        assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_kept() {
        let http = plain(|_, _| Some(page(200, &[b'x'; 2000])));
        let fault = http.post("/", "text/plain", Vec::new(), 1000, &long()).unwrap_err();
        assert!(matches!(&fault, Fault::Broken(e) if e.kind == Kind::Malformed && e.what.contains("longer")), "{fault:?}");
    }

    #[test]
    fn images_go_both_ways_and_their_progress_is_told() {
        let image: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        let expected = image.clone();
        let served = image.clone();
        let http = plain(move |head, body| {
            Some(match head.split(' ').next() {
                Some("PUT") => page(if body == served { 200 } else { 500 }, b"taken"),
                _ => page(200, &served),
            })
        });
        let told = std::cell::Cell::new(0);
        let mut from: &[u8] = &image;
        let answer = http.put("/import", &mut from, image.len() as u64, &|n| told.set(n), &long()).unwrap();
        assert_eq!((answer.status, told.get(), answer.body.as_slice()), (200, image.len() as u64, &b"taken"[..]));
        let mut to = Vec::new();
        let answer = http.get("/export", &mut to, &|n| told.set(n), &long()).unwrap();
        assert_eq!((answer.status, told.get()), (200, image.len() as u64));
        assert!(to == expected);
    }

    #[test]
    fn a_source_that_ends_early_is_no_whole_image() {
        let http = plain(|_, _| Some(page(200, b"")));
        let fault = http.put("/import", &mut &b"short"[..], 100, &|_| (), &long()).unwrap_err();
        assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
    }

    #[test]
    fn a_redirect_is_told_and_not_followed() {
        let http =
            plain(|_, _| Some(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n".to_vec()));
        let mut to = Vec::new();
        let answer = http.get("/export", &mut to, &|_| (), &long()).unwrap();
        assert_eq!((answer.status, answer.location.as_deref(), to.len()), (302, Some("http://127.0.0.1:1/x"), 0));
    }

    #[test]
    fn what_is_wrong_says_whether_it_may_have_happened_and_not_the_query() {
        let http = plain(|_, _| None);
        let fault = http.post("/x?session_id=secret", "text/plain", Vec::new(), 10, &long()).unwrap_err();
        assert!(matches!(&fault, Fault::Broken(e) if !format!("{e:?}").contains("secret")), "{fault:?}");
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (gone, _) = door(format!("http://{at}"), HostKeys::Ignore, None);
        let fault = gone.post("/x?session_id=secret", "text/plain", Vec::new(), 10, &long()).unwrap_err();
        assert!(
            matches!(&fault, Fault::Unconnected(e) if e.what.contains("refused") && !format!("{e:?}").contains("secret")),
            "{fault:?}"
        );
        let (unknown, _) = door("http://no-such-machine.invalid".into(), HostKeys::Ignore, None);
        let fault = unknown.post("/", "text/plain", Vec::new(), 10, &long()).unwrap_err();
        assert!(
            matches!(&fault, Fault::Unconnected(e) if e.kind == Kind::NotFound && e.what.contains("no-such-machine")),
            "{fault:?}"
        );
        for origin in ["ftp://h", "h1", "http://"] {
            let way = Way {
                origin: origin.into(),
                trust: Trust { policy: HostKeys::Ignore, record: None },
                connect_timeout: LONG,
                warn: Arc::new(|_| ()),
            };
            assert!(Http::new(way).is_err(), "{origin}");
        }
    }

    #[test]
    fn an_upload_stops_with_its_flag() {
        let cancel = Arc::new(Cancel::new());
        let raise = cancel.clone();
        // It reads the head, and then no more.
        let at = listen(move |stream| {
            let mut reader = BufReader::with_capacity(64, &stream);
            reader.read_line(&mut String::new()).unwrap();
            raise.raise(Stop::User);
            Cancel::new().child_with_limit("test", LONG).sleep(LONG).unwrap_err();
        });
        let (http, _) = door(format!("http://{at}"), HostKeys::Ignore, None);
        let begun = Instant::now();
        let fault = http.put("/import", &mut std::io::repeat(1), 1 << 40, &|_| (), &cancel).unwrap_err();
        assert!(matches!(&fault, Fault::Stopped(e) if e.kind == Kind::Cancelled), "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    /// A server with a certificate of its own.
    fn encrypted() -> SocketAddr {
        let own = rcgen::generate_simple_self_signed(vec!["host1".into()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        listen(move |stream| {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            let _ = serve(&mut stream, &|_, _| Some(page(200, b"hello")));
        })
    }

    fn hello(http: &Http) -> Result<Answer, Fault> {
        http.post("/", "text/plain", Vec::new(), 100, &long())
    }

    #[test]
    fn a_certificate_is_looked_at_on_the_wire() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("known_certificates");
        let at = encrypted();
        let (strict, _) = door(format!("https://{at}"), HostKeys::Strict, Some(&record));
        let fault = hello(&strict).unwrap_err();
        assert!(
            matches!(&fault, Fault::Unconnected(e) if e.kind == Kind::Refused && e.what.contains("is not known: SHA256:")),
            "{fault:?}"
        );
        let (warn, told) = door(format!("https://{at}"), HostKeys::Warn, Some(&record));
        assert_eq!(hello(&warn).unwrap().body, b"hello");
        assert_eq!(hello(&strict).unwrap().body, b"hello");
        assert!(told.lock().unwrap().is_empty());

        // The same place, installed anew.
        let line = std::fs::read_to_string(&record).unwrap();
        let other = encrypted();
        std::fs::write(&record, line.replace(&at.to_string(), &other.to_string())).unwrap();
        let (strict, _) = door(format!("https://{other}"), HostKeys::Strict, Some(&record));
        assert!(matches!(hello(&strict).unwrap_err(), Fault::Unconnected(e) if e.what.contains("has changed")));
        let (warn, told) = door(format!("https://{other}"), HostKeys::Warn, Some(&record));
        assert_eq!(hello(&warn).unwrap().body, b"hello");
        assert_eq!(told.lock().unwrap().len(), 1);
    }
}
