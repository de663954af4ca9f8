//! A small web server of the controller's own: pages for machines that install themselves, and the sign that one was asked for.
//!
//! Pages are known by paths that cannot be guessed; nothing else is served, and nothing is taken in.

use crate::error::{Error, Kind, Result, Whereabouts};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Runtime;

/// A web server; it ends when it is dropped.
pub struct Server {
    address: SocketAddr,
    pages: Pages,
    runtime: Option<Runtime>,
}

#[derive(Clone, Default)]
struct Pages(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    pages: HashMap<String, String>,
    asked: HashSet<String>,
}

impl Pages {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Starts at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// The address cannot be had.
    pub fn start(address: SocketAddr) -> Result<Server> {
        let listener = TcpListener::bind(address).at(format_args!("serve answers at {address}"))?;
        let address = listener.local_addr().at("serve answers")?;
        listener.set_nonblocking(true).at("serve answers")?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("answers").enable_all().build();
        let runtime = runtime.map_err(|e| Error::new(Kind::Internal, "no thread to serve answers").because(e))?;
        let pages = Pages::default();
        let router = Router::new().fallback(page).with_state(pages.clone());
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
        Ok(Server { address, pages, runtime: Some(runtime) })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves a text under a path such as `/a/b`.
    pub fn put(&self, path: &str, text: &str) {
        self.pages.lock().pages.insert(path.to_string(), text.to_string());
    }

    /// Whether somebody has asked for a page.
    pub fn was_asked(&self, path: &str) -> bool {
        self.pages.lock().asked.contains(path)
    }

    /// Serves these no longer.
    pub fn remove(&self, start: &str) {
        let mut content = self.pages.lock();
        content.pages.retain(|path, _| !path.starts_with(start));
        content.asked.retain(|path| !path.starts_with(start));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn page(State(pages): State<Pages>, uri: Uri) -> (StatusCode, String) {
    let mut content = pages.lock();
    match content.pages.get(uri.path()).cloned() {
        Some(text) => {
            content.asked.insert(uri.path().to_string());
            (StatusCode::OK, text)
        }
        None => (StatusCode::NOT_FOUND, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn get(server: &Server, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn pages_are_served_by_their_paths_and_nothing_else() {
        let server = Server::start("127.0.0.1:0".parse().unwrap()).unwrap();
        server.put("/t/preseed.cfg", "d-i answers\n");
        assert!(!server.was_asked("/t/preseed.cfg"));
        let answer = get(&server, "/t/preseed.cfg?x=1");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("d-i answers\n"), "{answer}");
        assert!(server.was_asked("/t/preseed.cfg"));
        for path in ["/", "/t", "/t/../t/preseed.cfg", "/etc/passwd"] {
            assert!(get(&server, path).starts_with("HTTP/1.1 404"), "{path}");
            assert!(!server.was_asked(path));
        }
        server.remove("/t/");
        assert!(get(&server, "/t/preseed.cfg").starts_with("HTTP/1.1 404"));
    }
}
