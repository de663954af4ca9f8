//! `xrt help`: topics that belong to no single subcommand.

use super::command_line;
use crate::cli::{Io, table};
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::report::Verbosity;
use crate::script::META_KEYS;
use crate::vars::{KNOWN, Known};

const EXAMPLES: &str = "\
Examples:
  xrt help exit-codes        what the exit status means
  xrt help reports           what --report can make
  xrt help meta              what a testcase can say of itself
  xrt help metrics           what measured values are compared with
  xrt help addresses         how a machine is named
  xrt help sequences         what can stand in a sequence, and how it is run
  xrt help prepare           what a sequence can ask to be provisioned
  xrt help filters           which testcases are run
  xrt help variables         who sets variables, and what they mean
  xrt help repl              the options of a subcommand";

/// Show help on a topic or a subcommand
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct HelpArgs {
    /// exit-codes, reports, meta, metrics, addresses, sequences, prepare, filters, variables, or a subcommand
    pub topic: Option<String>,
}

/// A topic and what makes its text.
type Topic = (&'static str, fn(&Io) -> String);

/// The topics, sorted.
const TOPICS: &[Topic] = &[
    ("addresses", addresses),
    ("exit-codes", exit_codes),
    ("filters", filters),
    ("interact", interact),
    ("meta", meta),
    ("metrics", metrics),
    ("prepare", prepare),
    ("reports", reports),
    ("sequences", sequences),
    ("variables", variables),
];

pub fn run(io: &Io, args: &HelpArgs) -> Result<Exit> {
    let mut line = command_line();
    let Some(topic) = &args.topic else {
        io.print(&line.render_long_help().to_string())?;
        return Ok(Exit::Passed);
    };
    if let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == topic) {
        io.print(&text(io))?;
        return Ok(Exit::Passed);
    }
    // Built, so that a subcommand's help has its whole name in the usage line.
    line.build();
    if let Some(command) = line.find_subcommand_mut(topic) {
        io.print(&command.render_long_help().to_string())?;
        return Ok(Exit::Passed);
    }
    let names = TOPICS.iter().map(|(name, _)| *name).chain(line.get_subcommands().map(clap::Command::get_name));
    let mut error = Error::new(Kind::NotFound, format!("no help on `{topic}`")).blame(Blame::User);
    error.help = crate::name::did_you_mean(topic, names).or_else(|| Some("xrt help lists the subcommands".into()));
    Err(error)
}

fn rows<'a>(io: &Io, header: &[&str], rows: impl IntoIterator<Item = (String, &'a str)>) -> String {
    table::plain(header, rows.into_iter().map(|(a, b)| vec![a, b.to_string()]), io.look(Verbosity::Normal).width)
}

fn filters(io: &Io) -> String {
    let keys = rows(io, &["KEY", "WHAT"], crate::sequence::ONLY_KEYS.iter().map(|(key, what)| (format!("{key}:"), *what)));
    let keys: String = keys.lines().map(|line| format!("  {line}\n")).collect();
    include_str!("filters.txt").replace("KEYS\n", &keys)
}

fn interact(_: &Io) -> String {
    include_str!("interact.txt").to_string()
}

fn exit_codes(io: &Io) -> String {
    let table = rows(io, &["STATUS", "MEANING"], Exit::TABLE.iter().map(|(exit, meaning)| (exit.code().to_string(), *meaning)));
    format!("{table}\nIt is never 0 when anything planned did not run. A stopped run is 5 whatever had happened before.\n")
}

fn reports(io: &Io) -> String {
    let sinks = crate::report::SINKS.iter().map(|sink| (sink.word.to_string(), sink.about));
    let table = rows(io, &["KIND", "WHAT"], sinks);
    format!("{table}\nWrite --report KIND or --report KIND:FILE, on a run or on xrt replay. The file `-` is the standard output; people are then told on the
standard error: xrt --testcase … --report jsonl:- | jq .fact

--email ADDRESS[,ADDRESS] (EMAIL) writes a mail at each pause, before a pause ends by itself, and at the end of the run; not at the end
with -D COMPLETION_EMAIL=no. The server is SMTP_SERVER (HOST or HOST:PORT, else localhost), the sender SMTP_SENDER. With SMTP_USER and
SMTP_PASSWORD it is logged in to; SMTP_TLS is no, starttls or yes, and SMTP_CA a PEM file for a server that signs its certificate itself.
NOTIFY_URL is a web hook, which gets the same as JSON by POST. A mail may take 20 seconds and a web hook 10; the end of the run waits 30
at most. What cannot be sent is a warning, and changes no result.\n")
}

fn meta(io: &Io) -> String {
    let table = rows(io, &["KEY", "TAKES"], META_KEYS.iter().map(|(key, takes)| ((*key).to_string(), *takes)));
    format!("The map that a testcase's meta() returns:\n\n{table}")
}

fn addresses(_: &Io) -> String {
    "\
A machine is named by --guest:

  10.0.0.5                          as root, port 22
  web1.example.org                  a name
  admin@10.0.0.5                    another user
  root:secret@127.0.0.1:2222        with password and port; the last @ separates, so a password may hold @ and :
  [fe80::1%eth0]:2222               IPv6
  execd://10.0.0.5                  the execution daemon of Windows, port 8936
  local                             this machine, without SSH

An address without user, password and port may be a Windows machine: the SSH server and the execution daemon there are both asked, and
what answers decides. Windows is driven by the daemon, or by PowerShell over SSH where only that answers; either way `exec` takes batch
text, and `vm.is_windows` says so.

Passwords also come from --password-file, --ask-password or the environment variable XRT_PASSWORD. Without one, these are tried in
turn: the private keys of --key, the password that every XenRT guest has, those of the variable ROOT_PASSWORDS
(-D ROOT_PASSWORDS=one,two), the usual private keys in ~/.ssh, and the SSH agent.

Host keys are recorded in ~/.local/state/xenrt/known_hosts. A changed key is a warning, because lab machines are reinstalled;
--host-keys strict refuses it.

A hypervisor is named by --host, by --pool (the master: its members are hosts of the run, too) or by --existing:

  h1                                XenServer or XCP-ng by XAPI over HTTPS, as root
  admin:secret@h1                   another user, with password
  xapi://h1:8443                    another port
  xapi+http://127.0.0.1:8080        without encryption: xrt sim, for one
  sim                               a simulated pool, which ends with the run; sim:hosts=3,guests=10,seed=7,speed=60

A plain --host is logged in to when something needs it; --pool and --existing are asked at once what they are. Root's password comes
from the address, --password-file, --ask-password or the environment variable XRT_HOST_PASSWORD; without one, the variable
ROOT_PASSWORD, the environment's XRT_PASSWORD, ROOT_PASSWORDS and the password that every XenRT host has are tried in turn. The same
password opens the hosts' control domains by SSH. Where SSH there has another port or user, other_config of the host or guest says so:
`xrt:ssh-port`, `xrt:ssh-user`.

Certificates are recorded in ~/.local/state/xenrt/known_certificates, and treated as --host-keys says.
"
    .to_string()
}

/// The manual of sequences. Its examples are checked and its words compared with the grammar in `tests/shipped.rs`.
fn metrics(_: &Io) -> String {
    include_str!("metrics.txt").into()
}

fn sequences(_: &Io) -> String {
    include_str!("sequences.txt").to_string()
}

fn variables(io: &Io) -> String {
    let default = |known: &Known| known.default.map_or(String::new(), |value| format!(" [{value}]"));
    let known = KNOWN
        .iter()
        .map(|known| vec![known.name.to_string(), known.reader.word().into(), format!("{}{}", known.meaning, default(known))]);
    let table = table::plain(&["NAME", "READ BY", "MEANING [DEFAULT]"], known, io.look(Verbosity::Normal).width);
    format!("{}{table}", include_str!("variables.txt"))
}

/// What a sequence can ask to be provisioned. Checked as the manual of sequences is.
fn prepare(_: &Io) -> String {
    include_str!("prepare.txt").to_string()
}
