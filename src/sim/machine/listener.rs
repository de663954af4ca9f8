//! Where a machine answers: open while it is on, gone when it is off, deaf while it stands still.

use super::boot::Boot;
use super::line::Lines;
use super::session::{self, Door};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The open port of a machine, with the connections that came in by it.
pub(super) struct Listener {
    socket: TcpListener,
    lines: Arc<Lines>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    /// Another program has the address.
    pub fn open(boot: &Arc<Boot>) -> io::Result<Listener> {
        let shared = &boot.shared;
        let socket = TcpListener::bind(SocketAddr::from((boot.spec().address, shared.port)))?;
        socket.set_nonblocking(true)?;
        let lines = Arc::<Lines>::default();
        let _runtime = shared.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
        let task = shared.runtime.spawn(accept(listener, Arc::clone(boot), Arc::clone(&lines)));
        Ok(Listener { socket, lines, task })
    }

    pub fn set_dead(&self, dead: bool) {
        self.lines.set_dead(dead);
    }
}

impl Drop for Listener {
    /// Refuses from now on, and cuts what is open.
    fn drop(&mut self) {
        // At once, and not only when the task has been ended.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        self.lines.cut();
        self.task.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, boot: Arc<Boot>, lines: Arc<Lines>) {
    let config = session::config(&boot);
    while let Ok((socket, peer)) = listener.accept().await {
        if socket.set_nodelay(true).is_err() {
            continue;
        }
        let line = lines.line(socket);
        let (config, boot) = (Arc::clone(&config), Arc::clone(&boot));
        tokio::spawn(async move {
            // How a connection ends is its client's affair.
            if let Ok(running) = russh::server::run_stream(config, line, Door::new(boot, peer)).await {
                let _ = running.await;
            }
        });
    }
}
