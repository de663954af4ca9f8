//! `xrt sim`: a simulated pool for other tools, until it is interrupted.

use super::Common;
use crate::cli::{Io, signals};
use crate::error::{Error, Exit, Kind, Result};
use crate::sim::{Options, Simulator};
use crate::time::Cancel;
use serde_json::json;
use std::net::{SocketAddr, ToSocketAddrs};

const EXAMPLES: &str = "\
Examples:
  xrt sim                                       a pool of two hosts with two guests, on a port that is free
  xrt sim hosts=3,guests=10,speed=60            larger, and a minute takes a second
  xrt sim --listen 127.0.0.1:8080 --json        where other tools expect it; its address and passwords as JSON
  xrt sim trouble='fail:VM.start=SR_FULL;power-off:host2'
  xrt sim trouble='on:VM.start=kill:guest1'     the guest dies as soon as its start has begun

It answers XAPI over XML-RPC (/) and JSON-RPC (/jsonrpc), and SSH on the addresses of its hosts and guests. Ctrl-C ends it.
See also: xrt run --host sim";

/// Simulate a XenServer pool that any XAPI client can use
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SimArgs {
    /// What it is made of, as after `sim:` in an address: hosts=N,guests=N,spare=N,seed=N,speed=N,memory=SIZE,disk=SIZE,tls=yes,trouble=…
    #[arg(default_value = "", value_name = "OPTIONS")]
    pub options: String,

    /// Where the toolstack of its first host listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &SimArgs) -> Result<Exit> {
    let mut options: Options = args.options.parse()?;
    options.listen = address(&args.listen)?;
    let cancel = Cancel::new();
    signals::listen(cancel.clone(), || false, |_| (), || "the simulated pool is gone".to_string());
    let simulator = Simulator::start(options)?;
    let text = if args.json { described(&simulator) } else { shown(&simulator) };
    io.print(&text)?;
    // Nothing else ends it.
    while cancel.reason().is_none() {
        // Interrupted, which is what is waited for.
        let _ = cancel.sleep(std::time::Duration::from_secs(3600));
    }
    drop(simulator);
    Ok(Exit::Passed)
}

fn address(text: &str) -> Result<SocketAddr> {
    let wrong = || Error::new(Kind::Malformed, format!("`{text}` is no address to listen on")).help("as in 127.0.0.1:8080");
    text.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)
}

/// The passwords are new each time and open nothing but the simulator: whoever starts it needs them.
fn shown(simulator: &Simulator) -> String {
    format!(
        "A simulated pool answers at {}\n  user          {}\n  password      {}\n  SSH password  {} (root, port {})\n",
        simulator.url(),
        simulator.user(),
        simulator.password().reveal(),
        simulator.ssh_password().reveal(),
        simulator.ssh_port(),
    )
}

fn described(simulator: &Simulator) -> String {
    let facts = json!({
        "url": simulator.url(),
        "user": simulator.user(),
        "password": simulator.password().reveal(),
        "ssh_port": simulator.ssh_port(),
        "ssh_password": simulator.ssh_password().reveal(),
    });
    format!("{facts}\n")
}
