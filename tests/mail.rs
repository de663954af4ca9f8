//! Mails and web hooks: that a run waits for a person, and how it ended, told to real servers; and servers that take nothing.

use crate::support::xrt::{Ran, Xrt};
use crate::support::{poll, process, skip::skip};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use xenrt::event::{Fact, Level};

const PASSWORD: &str = "mail-pass-9347";

const FAILS: &str = r#"
fn run(args) {
    for n in 0..150 { log(`line ${n}`); }
    log("grün \u001b[31mrot\u0007 日本");
    log("the password is " + "mail-pass" + "-9347");
    let long = "x";
    long.pad(3000, "x");
    log(long);
    fail("broken");
}
"#;
const PASSES: &str = r#"fn run(args) { log("passes"); }"#;

/// What was told, in order.
type Told = Arc<Mutex<Vec<Value>>>;

/// A server that takes mail; ends with the test.
struct Sink {
    child: Child,
    port: u16,
    mails: Told,
}

impl Sink {
    /// Nothing when this machine has no server.
    fn start(args: &[&str]) -> Option<Sink> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python");
        if !python.join("aiosmtpd").is_dir() {
            skip("XRT_REQUIRE_CLIENTS", "aiosmtpd of PyPI is not in target/clients/python (tests/run gets it)");
            return None;
        }
        let mut command = process::tied("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail/sink.py")).args(args);
        command.env("PYTHONPATH", python).env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::piped());
        let mut child = process::spawn(command).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().expect("the sink says its port").unwrap().parse().unwrap();
        let mails = Told::default();
        let kept = mails.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        });
        Some(Sink { child, port, mails })
    }

    /// The mails, once there are so many.
    fn mails(&self, number: usize) -> Vec<Value> {
        told(&self.mails, number)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn told(told: &Told, number: usize) -> Vec<Value> {
    let all = poll::until(poll::patience(), || Some(told.lock().unwrap().clone()).filter(|all| all.len() >= number));
    let all = all.unwrap_or_else(|why| panic!("{number} notices: {why}: {:?}", told.lock().unwrap()));
    assert_eq!(all.len(), number, "{all:?}");
    all
}

/// Serves each connection by this.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    at
}

/// Takes what is sent, and never says a word.
fn silent() -> SocketAddr {
    listen(|mut stream| drop(std::io::copy(&mut stream, &mut std::io::sink())))
}

/// A web hook that keeps the paths it is called at, with what is posted.
fn hook(status: &'static str) -> (SocketAddr, Told) {
    let calls = Told::default();
    let kept = calls.clone();
    let at = listen(move |stream| {
        let mut reader = BufReader::new(&stream);
        let mut head = Vec::new();
        while let Some(Ok(line)) = reader.by_ref().lines().next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty())) {
            head.push(line);
        }
        let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse().unwrap()));
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let mut call: Value = serde_json::from_slice(&body).unwrap();
        call["request"] = head[0].clone().into();
        call["login"] = head.iter().any(|line| line.to_lowercase().starts_with("authorization: basic ")).into();
        kept.lock().unwrap().push(call);
        write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    });
    (at, calls)
}

/// A certificate for `localhost` that nobody has signed but itself, and its key, as files.
fn certificate(dir: &Path) -> [String; 2] {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    [("cert.pem", own.cert.pem()), ("key.pem", own.signing_key.serialize_pem())].map(|(name, pem)| {
        std::fs::write(dir.join(name), pem).unwrap();
        dir.join(name).display().to_string()
    })
}

/// The warnings of the run itself.
fn warnings(ran: &Ran) -> Vec<String> {
    let of_the_run = ran.events().into_iter().filter(|event| event.case.is_none());
    let text = |fact| if let Fact::Logged { level: Level::Warning, text } = fact { Some(text) } else { None };
    of_the_run.filter_map(|event| text(event.fact)).collect()
}

/// The line of a text that has this in it.
fn line<'a>(text: &'a str, with: &str) -> &'a str {
    text.lines().find(|line| line.contains(with)).unwrap_or_else(|| panic!("no `{with}` in\n{text}")).trim()
}

#[test]
fn a_mail_arrives_while_a_testcase_waits_and_its_commands_work() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = certificate(dir.path());
    let login = format!("me:{PASSWORD}");
    let Some(sink) = Sink::start(&["--cert", &cert, "--key", &key, "--starttls", "--login", &login]) else { return };
    let (at, calls) = hook("204 No Content");
    let xrt = Xrt::new().script("fails.rhai", FAILS).script("other.rhai", PASSES);
    let xrt = xrt.args("--guest local --no-logs --pause-on-fail fails --email jane@x.example,joe@x.example -D SMTP_USER=me");
    let xrt = xrt.arg("-D").arg(format!("SMTP_SERVER=localhost:{}", sink.port)).arg("-D").arg(format!("SMTP_PASSWORD={PASSWORD}"));
    let xrt = xrt.arg("-D").arg(format!("SMTP_CA={cert}")).arg("-D").arg("JOBDESC=nightly of trünk");
    let run = xrt.arg("-D").arg(format!("NOTIFY_URL=http://u:hook-pass-1@{at}/hooks/T0K3N-88")).start();

    let mails = sink.mails(2);
    let [mail, other] = [&mails[0], &mails[1]];
    assert_eq!((&mail["to"], &other["to"]), (&serde_json::json!(["jane@x.example"]), &serde_json::json!(["joe@x.example"])));
    assert_eq!((&mail["encrypted"], &mail["login"]), (&true.into(), &"me".into()));
    assert_eq!(mail["headers"]["subject"], "assistance required for nightly of trünk");
    assert_eq!(mail["headers"]["auto-submitted"], "auto-generated");
    assert!(mail["longest"].as_u64().unwrap() <= 998, "{}", mail["longest"]);
    let text = mail["text"].as_str().unwrap();
    assert!(text.starts_with("fails: paused at ") && line(text, "fails: paused").ends_with(": failed: broken"), "{text}");
    assert!(line(text, "fails: paused").contains("fails.rhai:9"), "{text}");
    // The last hundred lines of the log: those before are not there.
    let log: Vec<&str> = text.split_once("The end of the log of fails:").unwrap().1.trim().lines().collect();
    assert_eq!(log.len(), 100, "{text}");
    assert!(log.iter().any(|line| line.ends_with("line 149")) && !log.iter().any(|line| line.ends_with("line 10")), "{text}");
    assert!(text.contains("grün ␛[31mrot␇ 日本") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("the password is ••••••"), "{text}");
    let results = std::fs::canonicalize(run.dir().join("results/latest")).unwrap();
    let url = std::fs::read_to_string(results.join("interact.url")).unwrap();
    let token = url.split_once("://xrt:").unwrap().1.split_once('@').unwrap().0.to_string();
    for secret in [PASSWORD, token.as_str(), "T0K3N-88", "hook-pass-1"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }

    // The same for a program.
    let call = told(&calls, 1).remove(0);
    assert_eq!((&call["request"], &call["login"]), (&"POST /hooks/T0K3N-88 HTTP/1.1".into(), &true.into()));
    assert_eq!((&call["event"], &call["testcase"], &call["reason"]), (&"paused".into(), &"fails".into(), &"failed: broken".into()));
    assert_eq!((&call["text"], &call["job"]), (&mail["text"], &"nightly of trünk".into()));

    // As a person pastes them.
    let paste = |option: &str| {
        let command = line(text, &format!(" {option}"));
        let bin = Path::new(env!("CARGO_BIN_EXE_xenrt")).parent().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(run.dir()).env_clear();
        shell.env("PATH", bin).env("HOME", run.dir().join("home")).env("XDG_STATE_HOME", run.dir().join("home/state"));
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(paste("-l").contains("Paused"));
    assert!(line(text, "--attach").ends_with("--attach fails") && line(text, " -n").ends_with(" -n fails"), "{text}");
    paste("-c");

    let ran = run.wait().ends(1);
    let end = &sink.mails(4)[2];
    assert_eq!(end["headers"]["subject"], "[xenrt] nightly of trünk local: FAILED");
    let text = end["text"].as_str().unwrap();
    assert!(text.starts_with("FAILED\n") && line(text, "results ").contains(&ran.results.display().to_string()), "{text}");
    assert!(line(text, "1 passed").contains("1 failed") && line(text, "FAIL  fails").contains("broken"), "{text}");
    let call = told(&calls, 2).remove(1);
    assert_eq!((&call["event"], &call["verdict"], &call["counts"]["passed"]), (&"finished".into(), &"failed".into(), &1.into()));
    assert_eq!(call["not_passed"][0]["reason"], "broken");
    assert_eq!(warnings(&ran), Vec::<String>::new());
    assert!(
        !ran.stdout.contains("T0K3N-88")
            && !std::fs::read_to_string(ran.results.join("events.jsonl")).unwrap().contains("T0K3N-88")
    );
}

#[test]
fn what_people_changed_is_in_the_last_mail() {
    let Some(sink) = Sink::start(&[]) else { return };
    let xrt = Xrt::new().script("fails.rhai", "fn run(args) { fail(\"broken\"); }").script("other.rhai", PASSES);
    let xrt = xrt.args("--guest local --no-logs --pause-on-fail ALL --email jane@x.example");
    let run = xrt.arg("-D").arg(format!("SMTP_SERVER=127.0.0.1:{}", sink.port)).start();
    let mail = sink.mails(1).remove(0);
    let command = line(mail["text"].as_str().unwrap(), " -c").replace("-c fails", "-R fails=PASS -c fails");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let mut steer = Command::new(env!("CARGO_BIN_EXE_xenrt"));
    steer
        .args(words)
        .current_dir(run.dir())
        .env("HOME", run.dir().join("home"))
        .env("XDG_STATE_HOME", run.dir().join("home/state"));
    assert!(steer.output().unwrap().status.success());
    run.wait();
    let mails = sink.mails(2);
    let text = mails[1]["text"].as_str().unwrap();
    let changed = line(text, "fails: ");
    assert!(changed.contains("set the result to passed at ") && text.contains("Changed by people:"), "{text}");
}

#[test]
fn a_server_that_takes_no_mail_is_a_warning_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = certificate(dir.path());
    let Some(locked) = Sink::start(&["--cert", &cert, "--key", &key, "--tls", "--login", "me:right"]) else { return };
    let Some(picky) = Sink::start(&["--refuse", "nobody@x.example"]) else { return };
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closing = listen(|mut stream| {
        let _ = stream.write_all(b"220 here\r\n");
        let _ = stream.read(&mut [0; 20]);
    });
    let (failing, _) = hook("500 No");
    let locked = locked.port;
    let rows = [
        (format!("-D SMTP_SERVER={refusing}"), "mail: \"[xenrt] a job local: PASSED\" was not sent: 127.0.0.1:"),
        (format!("-D SMTP_SERVER={closing}"), "took no mail"),
        (
            format!("-D SMTP_SERVER=127.0.0.1:{} --email nobody@x.example,jane@x.example", picky.port),
            "refused the mail for nobody@x.example: permanent error (550)",
        ),
        (format!("-D SMTP_SERVER=localhost:{locked} -D SMTP_TLS=yes"), "took no mail"),
        (
            format!(
                "-D SMTP_SERVER=localhost:{locked} -D SMTP_TLS=yes -D SMTP_CA={cert} -D SMTP_USER=me -D SMTP_PASSWORD=wrong-77"
            ),
            "(535)",
        ),
        (format!("-D SMTP_SERVER=127.0.0.1:{} -D SMTP_TLS=starttls", picky.port), "took no mail"),
        ("-D SMTP_TLS=maybe".into(), "SMTP_TLS is `maybe`"),
        ("-D SMTP_TLS=yes -D SMTP_CA=/nowhere".into(), "read the certificates `/nowhere`"),
        (format!("-D COMPLETION_EMAIL=no -D NOTIFY_URL=http://{failing}/T0K3N-88"), "answered 500"),
    ];
    for (args, expected) in rows {
        let xrt = Xrt::new().script("passes.rhai", PASSES).args("--guest local --no-logs");
        let xrt = if args.contains("--email") { xrt } else { xrt.args("--email jane@x.example") };
        let ran = xrt.args(&args).run().ends(0);
        let told = warnings(&ran).join("\n");
        assert!(told.contains(expected), "{args}: {told}");
        assert!(ran.stdout.contains(expected) && !ran.stdout.contains("odd: "), "{args}: {}", ran.transcript());
        assert!(!told.contains("wrong-77") && !told.contains("T0K3N-88"), "{told}");
    }
    // One that is refused keeps nothing from the other.
    assert_eq!(picky.mails(1)[0]["to"], serde_json::json!(["jane@x.example"]));
}

#[test]
fn servers_that_never_answer_hold_neither_the_run_nor_its_end_for_long() {
    let (mail, hook) = (silent(), silent());
    let xrt = Xrt::new().script("fails.rhai", "fn run(args) { fail(\"broken\"); }").script("other.rhai", PASSES);
    let xrt = xrt.args("--guest local --no-logs -j 2 --pause-on-fail ALL -D PAUSE_HOURS=0.0001 --email jane@x.example");
    let xrt = xrt.arg("-D").arg(format!("SMTP_SERVER={mail}")).arg("-D").arg(format!("NOTIFY_URL=http://{hook}/T0K3N-88"));
    let began = Instant::now();
    let ran = xrt.run().ends(1);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let events = ran.events();
    let ended = events.iter().find(|event| matches!(event.fact, Fact::RunFinished { .. })).unwrap().at;
    assert!(ended.since(events[0].at) < Duration::from_secs(15), "the run itself waited for nobody");
    let told = warnings(&ran).join("\n");
    for expected in ["the end of the run waits", "mail: ", "web hook: ", "was not sent: "] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("T0K3N-88"), "{told}");
}
