//! `xenrt interact`: looks at a run that goes on, and steers it.

use super::{attach, target};
use crate::cli::xrt::Common;
use crate::cli::{Io, table};
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::event::Place;
use crate::interact::{Client, Listed, Stack, Value};
use crate::report::{Verbosity, printable};
use crate::time::{Cancel, Timestamp};
use crate::unit::show_duration;
use clap::ArgMatches;
use std::io::Write;
use std::time::Duration;

pub const EXAMPLES: &str = "\
Examples:
  xenrt interact 127.0.0.1:40123 -l                 what runs, what is paused, and until when
  xenrt interact results/latest -c TCReboot         lets a paused testcase go on; -C all of them
  xenrt interact 127.0.0.1:40123 --attach TCReboot  a prompt in the statement that failed
  xenrt interact 127.0.0.1:40123 -x TCReboot        takes the limit of 24 hours off the pause
  xenrt interact 127.0.0.1:40123 -D CLIOPTIONS/PAUSE_ON_FAIL/TCReboot=yes
  xenrt interact 127.0.0.1:40123 -R TCReboot=PASS -c TCReboot
  xenrt interact http://jane:TOKEN@lab1:40123/ -l   a run on another machine, with the URL in interact.url of its results

Options are done in the order in which they are given. xrt prints the address when a run begins.";

/// How long a call may take that is no evaluation.
const LONGEST: Duration = Duration::from_mins(2);

/// Look at a run that goes on, and steer it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct InteractArgs {
    /// The run: HOST:PORT, the directory of its results, or the URL with its token
    #[arg(value_name = "RUN")]
    pub run: String,

    /// List what runs, and where it stands
    #[arg(short = 'l', long, num_args = 0, default_missing_value = "true")]
    pub list: Vec<bool>,

    /// Let a paused testcase go on
    #[arg(short = 'c', long = "continue", value_name = "TESTCASE")]
    pub go_on: Vec<String>,

    /// Let every paused testcase go on
    #[arg(short = 'C', long, num_args = 0, default_missing_value = "true")]
    pub continue_all: Vec<bool>,

    /// Hold a pause: it no longer ends by itself
    #[arg(short = 'x', long, value_name = "TESTCASE")]
    pub hold: Vec<String>,

    /// Set a variable: PATH/TO/VAR=VALUE
    #[arg(short = 'D', long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,

    /// Let a paused testcase go on, and have it block nothing
    #[arg(short = 'u', long, value_name = "TESTCASE")]
    pub unblock: Vec<String>,

    /// End a paused testcase as failed
    #[arg(short = 'n', long, value_name = "TESTCASE")]
    pub not_continue: Vec<String>,

    /// End every paused testcase as failed
    #[arg(short = 'N', long, num_args = 0, default_missing_value = "true")]
    pub not_continue_all: Vec<bool>,

    /// Set a result: TESTCASE=PASS, FAIL, PARTIAL, ERROR or SKIPPED
    #[arg(short = 'R', long, value_name = "TESTCASE=RESULT")]
    pub result: Vec<String>,

    /// Begin nothing more once what runs now has ended
    #[arg(short = 'A', long, num_args = 0, default_missing_value = "true")]
    pub abort: Vec<bool>,

    /// Stop a running testcase; its clean-ups are run
    #[arg(long, value_name = "TESTCASE")]
    pub kill: Vec<String>,

    /// Have the next testcase that ends wait for a person
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub pause_next: Vec<bool>,

    /// Print all variables
    #[arg(short = 'd', long, num_args = 0, default_missing_value = "true")]
    pub dump: Vec<bool>,

    /// Have everything written that was told so far
    #[arg(short = 'f', long, num_args = 0, default_missing_value = "true")]
    pub flush: Vec<bool>,

    /// List the hosts and guests that the run knows
    #[arg(short = 'I', long, num_args = 0, default_missing_value = "true")]
    pub inventory: Vec<bool>,

    /// Print a file of a guest
    #[arg(short = 'r', long, value_name = "GUEST:FILE")]
    pub read: Vec<String>,

    /// Print the last 1,000 lines of the log
    #[arg(short = 'L', long, num_args = 0, default_missing_value = "true")]
    pub log: Vec<bool>,

    /// Show where every script stands
    #[arg(short = 'S', long, num_args = 0, default_missing_value = "true")]
    pub stacks: Vec<bool>,

    /// Open a prompt in a paused testcase
    #[arg(short = 'a', long, value_name = "TESTCASE")]
    pub attach: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub common: Common,
}

/// The options that do something, with their values, in the order in which they were given.
pub fn in_order(matches: &ArgMatches) -> Vec<(String, Option<String>)> {
    let flags = ["list", "continue_all", "not_continue_all", "abort", "pause_next", "dump", "flush", "inventory", "log", "stacks"];
    let valued = ["go_on", "hold", "set", "unblock", "not_continue", "result", "kill", "read", "attach"];
    let mut all: Vec<(usize, String, Option<String>)> = Vec::new();
    for name in flags {
        all.extend(matches.indices_of(name).into_iter().flatten().map(|at| (at, name.to_string(), None)));
    }
    for name in valued {
        let values = matches.get_many::<String>(name).into_iter().flatten();
        let places = matches.indices_of(name).into_iter().flatten();
        all.extend(places.zip(values).map(|(at, value)| (at, name.to_string(), Some(value.clone()))));
    }
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(_, name, value)| (name, value)).collect()
}

/// # Errors
/// Usage; nobody answers; what the run says is wrong.
pub fn run(io: &Io, args: &InteractArgs, order: &[(String, Option<String>)]) -> Result<Exit> {
    let mut address = target::find(io, &args.run)?;
    if let Some(user) = io.env("USER").or_else(|| io.env("LOGNAME")).filter(|_| address.user == "xrt") {
        address.user = user;
    }
    let desk = Desk { io, args, client: Client::new(&address)? };
    if order.is_empty() {
        let error = Error::new(Kind::Malformed, "nothing to do").blame(Blame::User);
        return Err(error.help("xenrt interact RUN -l lists what runs; --help says what else there is"));
    }
    for (option, value) in order {
        desk.act(option, value.as_deref().unwrap_or_default())?;
    }
    Ok(Exit::Passed)
}

struct Desk<'a> {
    io: &'a Io,
    args: &'a InteractArgs,
    client: Client,
}

fn text(text: &str) -> Value {
    Value::String(text.to_string())
}

impl Desk<'_> {
    fn call(&self, method: &str, params: Vec<Value>) -> Result<Value> {
        self.client.call(method, params, &Cancel::new().child_with_limit(method, LONGEST))
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, method: &str, params: Vec<Value>) -> Result<T> {
        self.client.ask(method, params, &Cancel::new().child_with_limit(method, LONGEST))
    }

    fn act(&self, option: &str, value: &str) -> Result<()> {
        match option {
            "list" => self.list(),
            "go_on" => self.status(value, "Continue", "goes on"),
            "continue_all" => self.all("Continue", "goes on"),
            "hold" => self.status(value, "Indefinite", "is held until somebody continues it"),
            "set" => self.set(value),
            "unblock" => {
                self.call("setBlockingStatus", vec![text(value), Value::Boolean(false)])?;
                self.status(value, "Continue", "goes on, and blocks nothing")
            }
            "not_continue" => self.status(value, "NotContinue", "ends as failed"),
            "not_continue_all" => self.all("NotContinue", "ends as failed"),
            "result" => self.result(value),
            "abort" => self.done("abortRun", vec![], "nothing more begins; what runs now goes on to its end"),
            "kill" => match self.call("killTest", vec![text(value)])? {
                Value::Boolean(true) => self.say(&format!("{value} is stopped; its clean-ups are run")),
                _ => Err(Error::new(Kind::Refused, format!("`{value}` does not run")).blame(Blame::User)),
            },
            "pause_next" => self.done("pauseNext", vec![], "the next testcase that ends waits for a person"),
            "dump" => self.dump(),
            "flush" => self.done("flushLogs", vec![], "everything told so far is written"),
            "inventory" => self.inventory(),
            "read" => self.read(value),
            "log" => self.log(),
            "stacks" => self.stacks(),
            "attach" => attach::attach(self.io, &self.client, value),
            other => Err(Error::new(Kind::Internal, format!("the option `{other}` does nothing"))),
        }
    }

    /// What was done, for people; other programs see the status.
    fn say(&self, text: &str) -> Result<()> {
        if self.args.json { Ok(()) } else { self.io.print(&format!("{}\n", printable(text))) }
    }

    fn done(&self, method: &str, params: Vec<Value>, told: &str) -> Result<()> {
        self.call(method, params)?;
        self.say(told)
    }

    fn status(&self, tag: &str, status: &str, told: &str) -> Result<()> {
        self.done("setRunningStatus", vec![text(tag), text(status)], &format!("{tag} {told}"))
    }

    fn all(&self, status: &str, told: &str) -> Result<()> {
        let tags = texts(self.call("releaseTests", vec![text(status)])?);
        if tags.is_empty() {
            return self.say("nothing is paused");
        }
        tags.iter().try_for_each(|tag| self.say(&format!("{tag} {told}")))
    }

    fn set(&self, words: &str) -> Result<()> {
        let Some((name, value)) = words.split_once('=') else {
            return Err(Error::new(Kind::Malformed, format!("`{words}`: expected NAME=VALUE")).blame(Blame::User));
        };
        self.done("setConfigVariable", vec![text(name), text(value)], &format!("{name} is set"))
    }

    fn result(&self, words: &str) -> Result<()> {
        let wrong = || {
            let error = Error::new(Kind::Malformed, format!("`{words}`: expected TESTCASE=RESULT")).blame(Blame::User);
            error.help("results are PASS, FAIL, PARTIAL, ERROR and SKIPPED")
        };
        let (tag, word) = words.rsplit_once('=').ok_or_else(wrong)?;
        let code = match word.to_ascii_uppercase().as_str() {
            "PASS" | "PASSED" => 1,
            "FAIL" | "FAILED" => 2,
            "PARTIAL" => 3,
            "ERROR" | "ERRORED" => 4,
            "SKIP" | "SKIPPED" => 5,
            _ => return Err(wrong()),
        };
        self.done("setTestResult", vec![text(tag), Value::Integer(code)], &format!("{tag} counts as {word}"))
    }

    fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::new(Kind::Internal, "no JSON").because(e))?;
        self.io.print(&format!("{text}\n"))
    }

    fn list(&self) -> Result<()> {
        let all: Vec<Listed> = self.ask("listTests", vec![])?;
        if self.args.json {
            return self.json(&all);
        }
        self.io.print(&listing(&all, self.io.look(Verbosity::Normal).width))
    }

    fn dump(&self) -> Result<()> {
        let Value::String(all) = self.call("dumpConfig", vec![])? else { return Ok(()) };
        self.io.print(&all)
    }

    fn log(&self) -> Result<()> {
        let lines = texts(self.call("xmlrpcLogger", vec![])?);
        if self.args.json {
            return self.json(&lines);
        }
        self.io.print(&lines.iter().map(|line| format!("{}\n", printable(line))).collect::<String>())
    }

    fn inventory(&self) -> Result<()> {
        let mut rows = Vec::new();
        for (sort, list, info) in [("host", "getHostList", "getHostInfo"), ("guest", "getGuestList", "getGuestInfo")] {
            for name in texts(self.call(list, vec![])?) {
                let Value::Array(parts) = self.call(info, vec![text(&name)])? else { continue };
                let mut parts = parts.into_iter().map(shown);
                let mut next = || parts.next().unwrap_or_default();
                rows.push(vec![sort.to_string(), next(), next(), next(), next(), next(), next()]);
            }
        }
        let header = ["KIND", "NAME", "ADDRESS", "VCPUS", "MEMORY (MiB)", "DISTRO", "UUID"];
        if self.args.json {
            let named = |row: &Vec<String>| {
                header.iter().map(|h| h.to_lowercase()).zip(row.clone()).collect::<std::collections::BTreeMap<_, _>>()
            };
            return self.json(&rows.iter().map(named).collect::<Vec<_>>());
        }
        if rows.is_empty() {
            return self.say("the run knows no hosts and no guests");
        }
        self.io.print(&table::plain(&header, rows, self.io.look(Verbosity::Normal).width))
    }

    fn read(&self, words: &str) -> Result<()> {
        let Some((guest, file)) = words.split_once(':') else {
            return Err(Error::new(Kind::Malformed, format!("`{words}`: expected GUEST:FILE")).blame(Blame::User));
        };
        let Value::Base64(bytes) = self.call("getGuestFile", vec![text(guest), text(file)])? else { return Ok(()) };
        // As it is: a person may put it into a file.
        let wrote = std::io::stdout().lock().write_all(&bytes);
        wrote.map_err(|e| Error::new(Kind::Refused, "cannot write to the standard output").blame(Blame::User).because(e))
    }

    fn stacks(&self) -> Result<()> {
        let all: Vec<Stack> = self.ask("getStacks", vec![])?;
        if self.args.json {
            return self.json(&all);
        }
        if all.is_empty() {
            return self.say("no script runs");
        }
        let mut out = String::new();
        for stack in &all {
            let thread = if stack.thread.is_empty() { String::new() } else { format!(", {}", stack.thread) };
            let doing = stack.doing.as_ref().map(|doing| format!("  waits for {doing}")).unwrap_or_default();
            out.push_str(&format!("{}{thread}{doing}\n", stack.tag));
            let frame = |(function, place): &(String, Place)| format!("    {place}  {function}\n");
            out.extend(stack.frames.iter().map(frame));
        }
        self.io.print(&printable_lines(&out))
    }
}

/// What runs, a row each, and how many have ended.
pub fn listing(all: &[Listed], width: Option<usize>) -> String {
    let running: Vec<&Listed> = all.iter().filter(|listed| listed.status != "Finished").collect();
    let finished = all.len() - running.len();
    let mut out = String::new();
    if !running.is_empty() {
        let rows = running.iter().map(|listed| row(listed, Timestamp::now()));
        out.push_str(&table::plain(&["TESTCASE", "STATUS", "FOR", "ENDS BY ITSELF", "WHY"], rows, width));
    }
    out.push_str(&match (running.len(), finished) {
        (0, _) => format!("nothing runs; {finished} have ended\n"),
        (_, 0) => String::new(),
        _ => format!("{finished} have ended\n"),
    });
    out
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}

fn row(listed: &Listed, now: Timestamp) -> Vec<String> {
    let since = listed.paused_since.or(listed.since);
    let (until, why) = match &listed.pause {
        None => (String::new(), String::new()),
        Some(pause) => {
            let until = pause.until.map_or_else(|| "never".into(), |until| format!("in {}", show_duration(until.since(now))));
            let at = pause.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            (until, printable(&format!("{at}{}", pause.reason)))
        }
    };
    let age = since.map(|since| show_duration(now.since(since))).unwrap_or_default();
    vec![printable(&listed.tag), listed.status.clone(), age, until, why]
}

/// The texts of a list.
pub fn texts(value: Value) -> Vec<String> {
    let Value::Array(all) = value else { return Vec::new() };
    all.into_iter().filter_map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect()
}

fn shown(value: Value) -> String {
    match value {
        Value::String(text) => printable(&text),
        Value::Integer(number) => number.to_string(),
        _ => String::new(),
    }
}
