//! For tests: a server that answers calls by a function, over plain HTTP, on connections that are kept.

use super::session::{Login, Xapi};
use crate::secret::Secret;
use crate::wire::ssh::HostKeys;
use crate::wire::tls::Trust;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is answered to a call.
pub(super) enum Say {
    Result(Value),
    /// An error word with its parameters.
    Error(&'static str, Vec<String>),
    /// This status, with a page.
    Status(u16),
    /// The connection is closed instead.
    Close,
    /// Nothing, until the other side leaves.
    Silence,
}

type Script = Box<dyn FnMut(&str, &[Value]) -> Say + Send>;

pub(super) struct Double {
    pub at: SocketAddr,
    calls: Arc<Mutex<Vec<String>>>,
    pub open: Arc<AtomicUsize>,
}

impl Double {
    /// `script` gets the method and its arguments, the session included.
    pub fn start(script: impl FnMut(&str, &[Value]) -> Say + Send + 'static) -> Double {
        Double::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn start_on(listener: TcpListener, script: impl FnMut(&str, &[Value]) -> Say + Send + 'static) -> Double {
        let double = Double { at: listener.local_addr().unwrap(), calls: Arc::default(), open: Arc::default() };
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (calls, open) = (double.calls.clone(), double.open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, calls, open) = (script.clone(), calls.clone(), open.clone());
                std::thread::spawn(move || {
                    open.fetch_add(1, Ordering::SeqCst);
                    let _ = serve(&stream, &script, &calls);
                    drop(stream);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        double
    }

    pub fn xapi(&self) -> Xapi {
        login(&self.at.to_string())
    }

    /// The methods that were called, in order.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str) -> usize {
        self.calls().iter().filter(|called| *called == method).count()
    }
}

pub(super) fn login(at: &str) -> Xapi {
    Xapi::new(Login {
        address: format!("xapi+http://{at}").parse().unwrap(),
        passwords: vec![Secret::new("wrong-one"), Secret::new("the-password")],
        trust: Trust { policy: HostKeys::Ignore, record: None },
        connect_timeout: Duration::from_secs(2),
    })
    .unwrap()
}

/// What every pool can: the login, whose session is `OpaqueRef:session-1`; other calls are the script's.
pub(super) fn pool(
    mut script: impl FnMut(&str, &[Value]) -> Say + Send + 'static,
) -> impl FnMut(&str, &[Value]) -> Say + Send + 'static {
    move |method, arguments| match method {
        "session.login_with_password" if arguments[1] == "the-password" => Say::Result(json!("OpaqueRef:session-1")),
        "session.login_with_password" => Say::Error("SESSION_AUTHENTICATION_FAILED", vec!["root".into()]),
        "session.logout" => Say::Result(json!("")),
        _ => script(method, arguments),
    }
}

fn serve(stream: &TcpStream, script: &Mutex<Script>, calls: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let call: Value = serde_json::from_slice(&body)?;
        let method = call["method"].as_str().unwrap().to_string();
        calls.lock().unwrap().push(method.clone());
        let said = script.lock().unwrap()(&method, call["params"].as_array().unwrap());
        let (status, answer) = match said {
            Say::Result(result) => (200, json!({"jsonrpc": "2.0", "result": result, "id": 1}).to_string()),
            Say::Error(code, data) => {
                (200, json!({"jsonrpc": "2.0", "error": {"code": 1, "message": code, "data": data}, "id": 1}).to_string())
            }
            Say::Status(status) => (status, "<html>no</html>".to_string()),
            Say::Close => return Ok(()),
            Say::Silence => {
                reader.read_line(&mut String::new())?;
                return Ok(());
            }
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
        let mut stream = stream;
        stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat())?;
    }
}
