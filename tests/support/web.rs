//! A web server with some files, for those who fetch: it answers GET and HEAD, and counts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Runs until it is dropped.
pub struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Web {
    /// With these files by their paths.
    pub fn start(files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Web {
        let files: BTreeMap<&str, Vec<u8>> = files.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { continue };
                match answer(socket, &files) {
                    Ok(line) if line.starts_with("QUIT") => return,
                    Ok(line) => told.lock().unwrap().push(line),
                    Err(_) => {}
                }
            }
        });
        Web { port, asked, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked so far: "GET /a.tgz".
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = socket.write_all(b"QUIT / HTTP/1.0\r\n\r\n");
        }
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn answer(mut socket: TcpStream, files: &BTreeMap<&str, Vec<u8>>) -> std::io::Result<String> {
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "QUIT" {
        // Who says so does not stay for an answer.
        return Ok(first);
    }
    let (status, body) = files.get(path).map_or(("404 Not Found", &[][..]), |body| ("200 OK", body.as_slice()));
    write!(socket, "HTTP/1.0 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if method == "GET" {
        socket.write_all(body)?;
    }
    Ok(format!("{method} {path}"))
}
