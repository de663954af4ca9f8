//! The server: who may ask, how much and how fast.
//!
//! One thread drives the connections; what a call does is done by another, so that a call which takes long makes nobody wait. A request
//! has limits in size and time, and what a caller left that has gone is stopped.

use super::address::{Address, NOBODY};
use super::desk::Desk;
use super::methods::{self, Caller, Right};
use super::params::Params;
use crate::error::{Blame, Error, Kind, Result, Whereabouts};
use crate::secret::Secret;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use dxr::{Fault, FaultResponse, MethodCall, MethodResponse, Value};
use futures_util::future::{Either, select};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

/// The largest request: a script that somebody pastes fits.
const LARGEST: usize = 1 << 20;

/// How long a caller may take to say what it wants.
const TO_ASK: Duration = Duration::from_secs(15);

/// How many calls are done at a time, and how many connections there are.
const CALLS: usize = 64;
const CONNECTIONS: u32 = 512;

/// How long the end of the run waits for answers that are on their way.
const TO_ANSWER: Duration = Duration::from_secs(1);

/// The number of each sort of fault.
const FAULT: i32 = 1;
const NO_METHOD: i32 = -32601;
const WRONG: i32 = -32602;
const UNREADABLE: i32 = -32700;
const MAY_NOT: i32 = 403;

/// A server beside a run; it ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    steer: Secret,
    look: Secret,
    runtime: Option<Runtime>,
    over: watch::Sender<bool>,
    connections: Arc<Semaphore>,
}

#[derive(Clone)]
struct Door {
    desk: Arc<Desk>,
    steer: Secret,
    look: Secret,
    calls: Arc<Semaphore>,
}

impl Server {
    /// Starts at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(listen: SocketAddr, desk: Desk) -> Result<Server> {
        let listener = TcpListener::bind(listen).at(format_args!("listen at {listen} for xenrt interact"))?;
        let address = listener.local_addr().at("listen for xenrt interact")?;
        listener.set_nonblocking(true).at("listen for xenrt interact")?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(CALLS).thread_name("interact").enable_all().build();
        let runtime = runtime.map_err(|e| Error::new(Kind::Internal, "no thread for xenrt interact").because(e))?;
        let (steer, look) = (token(), token());
        let door = Door { desk: Arc::new(desk), steer: steer.clone(), look: look.clone(), calls: Arc::new(Semaphore::new(CALLS)) };
        let router =
            Router::new().route("/", post(call)).route("/RPC2", post(call)).layer(DefaultBodyLimit::max(LARGEST)).with_state(door);
        let (over, is_over) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(CONNECTIONS as usize));
        let places = connections.clone();
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let over = is_over.clone();
                until(serve(listener, router, places, is_over), over).await;
            }
        });
        Ok(Server { address, steer, look, runtime: Some(runtime), over, connections })
    }

    /// Where it can be asked, by others than this machine too if it listens for them.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address with the token that may do everything, or only look.
    pub fn url(&self, right: Right) -> Address {
        let token = if right == Right::Steer { &self.steer } else { &self.look };
        Address::new(self.address, token.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // Who has let the run end is told so.
        self.over.send_replace(true);
        let all_gone = self.connections.acquire_many(CONNECTIONS);
        let _ = runtime.block_on(async { tokio::time::timeout(TO_ANSWER, all_gone).await });
        runtime.shutdown_background();
    }
}

/// What cannot be guessed: 244 random bits.
fn token() -> Secret {
    Secret::new(format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()))
}

/// Takes connections for ever. One that says nothing for long is closed; while there are very many, further ones wait.
async fn serve(listener: tokio::net::TcpListener, router: Router, connections: Arc<Semaphore>, over: watch::Receiver<bool>) {
    loop {
        let Ok(place) = connections.clone().acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of files, most likely: somebody closes one.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone().layer(axum::Extension(ConnectInfo(peer)));
        let service = hyper_util::service::TowerToHyperService::new(router);
        let over = over.clone();
        tokio::spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(TO_ASK);
            let mut connection = pin!(builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
            if !until(connection.as_mut(), over).await {
                // Nothing more is heard from it; what was asked is answered.
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            drop(place);
        });
    }
}

/// Does work until the run is over; whether it has come to its end before.
async fn until(work: impl Future, mut over: watch::Receiver<bool>) -> bool {
    let ended = pin!(over.wait_for(|is_over| *is_over));
    matches!(select(pin!(work), ended).await, Either::Left(_))
}

async fn call(
    State(door): State<Door>,
    axum::Extension(ConnectInfo(peer)): axum::Extension<ConnectInfo<SocketAddr>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(caller) = caller(&door, &headers, peer.ip()) else {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"xrt\""), (header::CONTENT_TYPE, "text/plain")];
        let help = "a token is needed: see interact.url in the results of the run\n";
        return (StatusCode::UNAUTHORIZED, ask, help).into_response();
    };
    let body = match tokio::time::timeout(TO_ASK, axum::body::to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    };
    // The first of all: what waits for its turn has been read.
    let Ok(_turn) = door.calls.clone().acquire_owned().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let left = Left(crate::time::Cancel::new());
    let (desk, gone) = (door.desk.clone(), left.0.clone());
    let done = tokio::task::spawn_blocking(move || answer(&desk, &caller, &body, &gone)).await;
    drop(left);
    match done {
        Ok(xml) => ([(header::CONTENT_TYPE, "text/xml")], xml).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the harness panicked; please report it\n").into_response(),
    }
}

/// Raised when the caller has gone before its answer.
struct Left(crate::time::Cancel);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.raise(crate::time::Stop::User);
    }
}

/// Who calls, if the token is one of ours.
fn caller(door: &Door, headers: &HeaderMap, from: IpAddr) -> Option<Caller> {
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let plain = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(basic.trim()).ok()?).ok()?;
    let (user, token) = plain.split_once(':')?;
    let right = match (is_same(token, door.steer.reveal()), is_same(token, door.look.reveal())) {
        (true, _) => Right::Steer,
        (_, true) => Right::Look,
        _ => return None,
    };
    let user: String = user.chars().filter(|c| c.is_alphanumeric() || "-_.@".contains(*c)).take(64).collect();
    let name = if user.is_empty() || user == NOBODY { from.to_string() } else { format!("{user}@{from}") };
    Some(Caller { name, right })
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
fn is_same(given: &str, ours: &str) -> bool {
    let differing = given.bytes().zip(ours.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == ours.len() && std::hint::black_box(differing) == 0
}

fn answer(desk: &Arc<Desk>, caller: &Caller, body: &Bytes, gone: &crate::time::Cancel) -> String {
    let answered = read(body).and_then(|(name, values)| {
        if name == "system.multicall" {
            return multicall(desk, caller, values, gone);
        }
        done(desk, caller, &name, values, gone)
    });
    let xml = match answered {
        Ok(value) => MethodResponse { value }.to_xml(),
        Err(fault) => FaultResponse { fault }.to_xml(),
    };
    xml.unwrap_or_else(|_| String::new())
}

fn read(body: &Bytes) -> std::result::Result<(String, Vec<Value>), Fault> {
    // The parser's own words repeat the whole document.
    let unreadable = || Fault::new(UNREADABLE, "this is no call of XML-RPC".into());
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let call = MethodCall::from_xml(text).map_err(|_| unreadable())?;
    Ok((call.name.into_owned(), call.params))
}

fn multicall(
    desk: &Arc<Desk>,
    caller: &Caller,
    values: Vec<Value>,
    gone: &crate::time::Cancel,
) -> std::result::Result<Value, Fault> {
    let calls = dxr::multicall::from_multicall_params(values)
        .map_err(|_| Fault::new(WRONG, "system.multicall: expected a list of calls".into()))?;
    let one = |call: std::result::Result<(String, Vec<Value>), dxr::Error>| match call {
        Ok((name, _)) if name == "system.multicall" => Err(Fault::new(WRONG, "system.multicall within itself".into())),
        Ok((name, values)) => done(desk, caller, &name, values, gone),
        Err(_) => Err(Fault::new(WRONG, "system.multicall: a call is a struct of methodName and params".into())),
    };
    Ok(dxr::multicall::into_multicall_response(calls.into_iter().map(one).collect()))
}

fn done(
    desk: &Arc<Desk>,
    caller: &Caller,
    name: &str,
    values: Vec<Value>,
    gone: &crate::time::Cancel,
) -> std::result::Result<Value, Fault> {
    if let Some(answer) = methods::system(name, &values) {
        return answer.map_err(|error| fault(WRONG, &error));
    }
    let method = methods::find(name).map_err(|error| fault(NO_METHOD, &error))?;
    if method.right > caller.right {
        return Err(Fault::new(MAY_NOT, format!("{}: this token may only look; the other is in interact.url", method.name)));
    }
    let mut params = Params::new(method.name, values);
    // Whose caller has gone is stopped where it waits.
    let value = desk.context.stopped_by(gone, || (method.call)(desk, caller, &mut params)).map_err(|error| {
        let code = if error.kind == Kind::Malformed && error.blame == Blame::User { WRONG } else { FAULT };
        fault(code, &error)
    })?;
    params.end().map_err(|error| fault(WRONG, &error))?;
    Ok(value)
}

fn fault(code: i32, error: &Error) -> Fault {
    let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    Fault::new(code, crate::report::printable(&format!("{}{help}", error.what)))
}
