//! Where a host's toolstack answers: XML-RPC at `/` and `/RPC2`, JSON-RPC at `/jsonrpc`, over HTTP or HTTPS.

use super::encode::Format;
use super::engine::Engine;
use crate::wire::xmlrpc::{self, Value};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::IncomingStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The largest request, as XAPI has it.
const LARGEST: usize = 300 << 10;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How deep JSON may nest; serde_json stops at 128 by itself.
const DEEPEST: usize = 64;

/// The toolstack of one host.
#[derive(Clone)]
pub struct Door {
    pub engine: Arc<Engine>,
    /// The host's UUID.
    pub host: Arc<str>,
}

/// All that a host answers over HTTP.
pub fn router(door: Door) -> Router {
    Router::new()
        .route("/", post(xml_rpc).get(greeting))
        .route("/RPC2", post(xml_rpc))
        .route("/jsonrpc", post(json_rpc))
        .layer(DefaultBodyLimit::max(LARGEST))
        .merge(super::transfer::router())
        .with_state(door)
}

async fn greeting() -> Response {
    (StatusCode::OK, "A simulated XenServer. XML-RPC: POST /; JSON-RPC: POST /jsonrpc\n").into_response()
}

async fn xml_rpc(State(door): State<Door>, ConnectInfo(line): ConnectInfo<Line>, body: Bytes) -> Response {
    let call = std::str::from_utf8(&body).map_err(|e| e.to_string()).and_then(|text| xmlrpc::parse_call(text).map_err(|e| e.what));
    match call {
        Ok(call) => reply(&door, &line, &call.method, call.params, Format::XmlRpc).await,
        Err(what) => (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response(),
    }
}

async fn json_rpc(State(door): State<Door>, ConnectInfo(line): ConnectInfo<Line>, body: Bytes) -> Response {
    let bad = |what: &str| (StatusCode::BAD_REQUEST, format!("not JSON-RPC: {what}\n")).into_response();
    let request: serde_json::Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return bad(&error.to_string()),
    };
    let Some(method) = request.get("method").and_then(serde_json::Value::as_str) else { return bad("no method") };
    let id = match request.get("id") {
        None | Some(serde_json::Value::Null) => return bad("the id must not be null"),
        Some(id) => id.to_string(),
    };
    let params = match request.get("params") {
        Some(serde_json::Value::Array(params)) => params.iter().cloned().map(from_json).collect(),
        None => Vec::new(),
        Some(_) => return bad("params must be a list"),
    };
    let format = match request.get("jsonrpc").map(|version| version.as_str()) {
        None => Format::Json1(id),
        Some(Some("2.0")) => Format::Json2(id),
        Some(_) => return bad("an unknown version"),
    };
    reply(&door, &line, method, params, format).await
}

async fn reply(door: &Door, line: &Line, method: &str, params: Vec<Value>, format: Format) -> Response {
    let kind = format.content_type();
    let reply = door.engine.call(&door.host, method, params, format).await;
    if reply.is_cut {
        line.cut.store(true, Ordering::SeqCst);
    }
    ([(header::CONTENT_TYPE, kind)], Body::from(reply.body)).into_response()
}

/// A JSON value as XML-RPC has it.
pub fn from_json(value: serde_json::Value) -> Value {
    convert(value, 0)
}

fn convert(value: serde_json::Value, depth: usize) -> Value {
    use serde_json::Value as Json;
    match value {
        _ if depth > DEEPEST => Value::Nil,
        Json::Null => Value::Nil,
        Json::Bool(is) => Value::Bool(is),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::Array(items.into_iter().map(|item| convert(item, depth + 1)).collect()),
        Json::Object(members) => Value::Struct(members.into_iter().map(|(key, item)| (key, convert(item, depth + 1))).collect()),
    }
}

/// A connection, as a handler can end it.
#[derive(Clone, Default)]
pub struct Line {
    cut: Arc<AtomicBool>,
}

impl Connected<IncomingStream<'_, Port>> for Line {
    fn connect_info(stream: IncomingStream<'_, Port>) -> Line {
        stream.io().line.clone()
    }
}

/// Where connections come in.
pub struct Port {
    pub listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
}

/// One connection, plain or encrypted.
pub struct Wire {
    line: Line,
    socket: Socket,
}

enum Socket {
    Plain(TcpStream),
    /// The handshake is still to come: it must not hold up others who connect.
    Shaking(Pin<Box<tokio::time::Timeout<tokio_rustls::Accept<TcpStream>>>>),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl axum::serve::Listener for Port {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => {
                    drop(socket.set_nodelay(true));
                    let socket = match &self.tls {
                        None => Socket::Plain(socket),
                        Some(tls) => Socket::Shaking(Box::pin(tokio::time::timeout(HANDSHAKE, tls.accept(socket)))),
                    };
                    return (Wire { line: Line::default(), socket }, address);
                }
                // Out of file descriptors, or a connection that was gone at once: others may work.
                Err(error) => {
                    tracing::debug!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Wire {
    /// The socket once it can be used.
    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Socket>> {
        if self.line.cut.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Socket::Shaking(accept) = &mut self.socket {
            let stream = match std::task::ready!(accept.as_mut().poll(cx)) {
                Ok(stream) => stream?,
                Err(_) => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            };
            self.socket = Socket::Encrypted(Box::new(stream));
        }
        Poll::Ready(Ok(&mut self.socket))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match std::task::ready!(self.ready(cx))? {
            Socket::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Encrypted(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Shaking(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match std::task::ready!(self.ready(cx))? {
            Socket::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Encrypted(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Shaking(_) => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match std::task::ready!(self.ready(cx))? {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Encrypted(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Shaking(_) => Poll::Pending,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Encrypted(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Shaking(_) => Poll::Ready(Ok(())),
        }
    }
}
