//! A small web server of the controller's own: pages for machines that install themselves, and what was asked for.
//!
//! Pages are known by paths that cannot be guessed, or by a path and a query; nothing else is served, and nothing is taken in.

use crate::error::{Error, Kind, Result, Whereabouts};
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, Uri};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// So many requests are remembered.
const MOST_ASKED: usize = 1000;
/// How long its end may take: then its port is free again.
const END: Duration = Duration::from_secs(2);

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
    asked: VecDeque<Asked>,
}

/// A page that somebody has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// With its query, if it has one.
    pub path: String,
    /// Whether there was such a page.
    pub was_there: bool,
    /// Who has asked.
    pub by: IpAddr,
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
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, service).await;
            }
        });
        Ok(Server { address, pages, runtime: Some(runtime) })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves a text under a path such as `/a/b`, or `/a?mac=…`: then only with just this query, in which case does not matter.
    pub fn put(&self, path: &str, text: &str) {
        self.pages.lock().pages.insert(usual(path), text.to_string());
    }

    /// The last time that a page was asked for, if it was, and it was there.
    pub fn asked(&self, path: &str) -> Option<Asked> {
        let (path, content) = (usual(path), self.pages.lock());
        content.asked.iter().rev().find(|asked| asked.path == path && asked.was_there).cloned()
    }

    /// What was asked for last of all that begins with one of these.
    pub fn last_asked(&self, starts: &[&str]) -> Option<Asked> {
        let content = self.pages.lock();
        let is_it = |asked: &&Asked| starts.iter().any(|start| asked.path.starts_with(&usual(start)));
        content.asked.iter().rev().find(is_it).cloned()
    }

    /// Serves these no longer.
    pub fn remove(&self, start: &str) {
        let mut content = self.pages.lock();
        let start = usual(start);
        content.pages.retain(|path, _| !path.starts_with(&start));
        content.asked.retain(|asked| !asked.path.starts_with(&start));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END);
        }
    }
}

/// A path as it is kept: a query says the same in capitals and small letters, and with its colons written otherwise.
fn usual(path: &str) -> String {
    match path.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query.to_lowercase().replace("%3a", ":")),
        None => path.to_string(),
    }
}

async fn page(State(pages): State<Pages>, ConnectInfo(by): ConnectInfo<SocketAddr>, uri: Uri) -> (StatusCode, String) {
    let (path, with_query) = (uri.path().to_string(), usual(uri.path_and_query().map_or("", |path| path.as_str())));
    let mut content = pages.lock();
    let known = [with_query.clone(), path].into_iter().find(|path| content.pages.contains_key(path));
    let text = known.as_ref().and_then(|path| content.pages.get(path).cloned());
    if content.asked.len() == MOST_ASKED {
        content.asked.pop_front();
    }
    let asked = Asked { path: known.unwrap_or(with_query), was_there: text.is_some(), by: by.ip() };
    content.asked.push_back(asked);
    text.map_or((StatusCode::NOT_FOUND, String::new()), |text| (StatusCode::OK, text))
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
        assert_eq!(server.asked("/t/preseed.cfg"), None);
        let answer = get(&server, "/t/preseed.cfg?x=1");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("d-i answers\n"), "{answer}");
        assert_eq!(server.asked("/t/preseed.cfg").unwrap().by.to_string(), "127.0.0.1");
        for path in ["/", "/t", "/t/../t/preseed.cfg", "/etc/passwd"] {
            assert!(get(&server, path).starts_with("HTTP/1.1 404"), "{path}");
            assert_eq!(server.asked(path), None);
        }
        server.put("/ipxe?mac=aa:0b", "#!ipxe\n");
        for (path, is_there) in [("/ipxe?mac=AA%3A0b", true), ("/ipxe?mac=aa:0c", false), ("/ipxe", false)] {
            assert_eq!(get(&server, path).starts_with("HTTP/1.1 200"), is_there, "{path}");
        }
        let last = |starts: &[&str]| server.last_asked(starts).map(|asked| (asked.path, asked.was_there));
        assert_eq!(last(&["/ipxe?mac=aa:0b", "/t/"]), Some(("/ipxe?mac=aa:0b".into(), true)));
        assert_eq!(last(&["/t/"]), Some(("/t/../t/preseed.cfg".into(), false)));
        server.remove("/t/");
        assert_eq!(server.last_asked(&["/t/"]), None);
        assert!(get(&server, "/t/preseed.cfg").starts_with("HTTP/1.1 404"));
        // Its port is free as soon as it has ended.
        let port = server.port();
        drop(server);
        Server::start(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    }
}
