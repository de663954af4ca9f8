//! Plans in the making, from a text that shows their shape, run inside this process.
//!
//! ```text
//! s(…)   a serial        s!(…)  one that passes a block on      s(a b | c)  c is in its finally
//! p(…)   a parallel      p2(…)  two at a time                   s/disk(…)   its reporting group
//! a      a testcase that passes; a:f fails, a:e errs, a:k skips itself, a:~ is partial, a:w waits until it is stopped
//! a:y    takes a moment; a:h longer than that; a:v waits until the variable GO is
//! yes, a:g does so in its post_run; a:t tells its target
//! a:fp   fails, is tried again and passes      a!  a blocker      a?  is not selected      a<b  depends on b
//! a@x    is of class x                         *a  an action      #a  a preparation, and one that does not end in time: #a:f
//! ```
//!
//! Names of cases begin neither with `s` nor with `p`.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use xenrt::event::{Block, Bus, Collector, Event, Fact, Order, Outcome, Role, Sink, Verdict};
use xenrt::lab::Lab;
use xenrt::name::{CaseId, CaseIds};
use xenrt::report::Summary;
use xenrt::run::{Control, Group, Plan, PlannedCase, Preparation, Runner, Settings, Step, Work};
use xenrt::script::{Args, Catalog, Scripts, Testcase, typed_args};
use xenrt::secret::Mask;
use xenrt::time::{Cancel, Clock, Stop};
use xenrt::vars::Variables;

/// What every testcase of a shape does: its outcomes by attempt are in its argument.
const SCRIPT: &str = r#"
    fn meta() { #{ args: #{ does: "p" } } }
    fn run(args) {
        defer(|| log("cleaned up"));
        log("began");
        switch args.does {
            "f" => fail("broken"),
            "e" => error("unknown"),
            "k" => skip("not here"),
            "~" => partial("nearly"),
            "w" => sleep(600),
            "y" => sleep(0.005),
            "h" => sleep(0.6),
            "v" => eventually(#{ every: 0.01 }, || config("GO", false)),
            "t" => log(target().name),
            _ => {}
        }
        log("ended");
    }
    fn pre_logs(args) { log("pre_logs"); }
    fn post_run(args) {
        log("post_run");
        if args.does == "g" { eventually(#{ every: 0.01 }, || config("GO", false)); }
    }
"#;

/// The same for what is tried again: the attempt is in the name of its directory.
const PROGRAM: &str = r#"#!/bin/sh
case "$XRT_RESULTS_DIR" in *@*) attempt="${XRT_RESULTS_DIR##*@}";; *) attempt=1;; esac
case "$(echo "$1" | cut -c"$attempt")" in
    f) exit 1;;
    k) exit 77;;
    g) echo "$XRT_GUEST";;
    e) echo "Test: error"; exit 1;;
    *) exit 0;;
esac
"#;

struct Testcases {
    scripts: Arc<Scripts>,
    script: Arc<Testcase>,
    program: Arc<Testcase>,
    /// What the two are in.
    _dir: tempfile::TempDir,
}

/// Made once for all tests.
fn testcases() -> &'static Testcases {
    static MADE: OnceLock<Testcases> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let [script, program] = ["does.rhai", "does"].map(|name| dir.path().join(name));
        std::fs::write(&script, SCRIPT).unwrap();
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let scripts = Scripts::new(Vec::new(), None).unwrap();
        let find = |path: &std::path::Path| {
            let found = Catalog::new(scripts.clone()).find(path.to_str().unwrap()).unwrap().unwrap();
            found.into_iter().next().unwrap()
        };
        Testcases { script: find(&script), program: find(&program), scripts: scripts.clone(), _dir: dir }
    })
}

/// The plan of a shape.
#[track_caller]
pub fn plan(shape: &str) -> Plan {
    let mut reader = Reader { rest: shape, plan: Plan::default(), ids: CaseIds::default(), by_name: HashMap::new(), groups: 0 };
    let Step::Group(root) = reader.node(0, Role::Testcase) else { panic!("`{shape}` is no serial or parallel") };
    assert_eq!(reader.rest.trim(), "", "after the end of `{shape}`");
    Plan { root, ..reader.plan }
}

struct Reader<'a> {
    rest: &'a str,
    plan: Plan,
    ids: CaseIds,
    by_name: HashMap<String, usize>,
    groups: u32,
}

impl Reader<'_> {
    fn peek(&mut self) -> char {
        self.rest.chars().next().unwrap_or('\0')
    }

    fn eat(&mut self, wanted: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        true
    }

    fn word(&mut self) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '~';
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_string()
    }

    fn node(&mut self, parent: u32, role: Role) -> Step {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with(['s', 'p']) { Step::Group(self.group(role)) } else { Step::Case(self.case(parent, role)) }
    }

    fn group(&mut self, role: Role) -> Group {
        let mut group = Group { number: self.groups, ..Group::default() };
        self.groups += 1;
        let head = self.word();
        group.order = if head.starts_with('s') { Order::Serial } else { Order::Parallel };
        group.workers = head[1..].parse().ok();
        group.blocker = self.eat('!');
        if self.eat('/') {
            group.label = self.word();
        }
        assert!(self.eat('('), "expected `(` before `{}`", self.rest);
        let mut is_finally = false;
        loop {
            self.rest = self.rest.trim_start();
            match self.peek() {
                ')' => break,
                '|' => is_finally = self.eat('|'),
                _ if is_finally => {
                    let step = self.node(group.number, Role::Cleanup);
                    group.finally.push(step);
                }
                _ => {
                    let step = self.node(group.number, role);
                    group.steps.push(step);
                }
            }
        }
        self.eat(')');
        group
    }

    fn case(&mut self, parent: u32, role: Role) -> usize {
        let is_action = self.eat('*');
        let prepares = !is_action && self.eat('#');
        let name = self.word();
        assert!(!name.is_empty(), "expected a name before `{}`", self.rest);
        let does = if self.eat(':') { self.word() } else { "p".into() };
        let mut case = PlannedCase { parent, role, ..made(self.ids.next("", &name), &does, prepares) };
        if is_action || prepares {
            (case.role, case.blocker) = (if role == Role::Cleanup { role } else { Role::Action }, true);
        }
        loop {
            match self.peek() {
                '!' => case.blocker = self.eat('!'),
                '?' => case.skip = self.eat('?').then(|| "not asked for".into()),
                '<' if self.eat('<') => {
                    let needed = self.word();
                    case.depends.push(self.by_name[&needed]);
                }
                '@' if self.eat('@') => case.class = Some(self.word().into()),
                _ => break,
            }
        }
        self.by_name.insert(name, self.plan.cases.len());
        self.plan.cases.push(case);
        self.plan.cases.len() - 1
    }
}

fn made(id: CaseId, does: &str, prepares: bool) -> PlannedCase {
    if prepares {
        let nothing = Preparation { hosts: true, ..Preparation::default() };
        let case = PlannedCase::new(id, Work::Prepare(Arc::new(nothing)), Args::new(), &[]);
        return PlannedCase { timeout: (does == "f").then_some(Duration::ZERO), ..case };
    }
    let words = [format!("does={does}")];
    if does.len() > 1 {
        let case = PlannedCase::new(id, Work::Testcase(testcases().program.clone()), Args::new(), &[does.to_string()]);
        return PlannedCase { retries: u32::try_from(does.len() - 1).unwrap(), ..case };
    }
    let script = &testcases().script;
    PlannedCase::new(id, Work::Testcase(script.clone()), typed_args("does", &script.meta.args, &words).unwrap(), &[])
}

/// What somebody does to a run that goes on.
type Person = Box<dyn FnOnce(&Control, &Clock) + Send>;

/// A run in the making.
pub struct Bench {
    pub plan: Plan,
    pub settings: Settings,
    pub cancel: Cancel,
    pub lab: Lab,
    /// Rounds that may follow the first.
    pub further: Vec<Plan>,
    /// Readers besides the one that keeps everything.
    pub sinks: Vec<Box<dyn Sink>>,
    /// What people do meanwhile, each on a thread of their own.
    people: Vec<Person>,
    pub clock: Clock,
    scripts: Arc<Scripts>,
    dir: tempfile::TempDir,
}

impl Bench {
    #[track_caller]
    pub fn new(shape: &str) -> Bench {
        Bench::of(plan(shape))
    }

    pub fn of(plan: Plan) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            run: "r".into(),
            command: Vec::new(),
            cwd: dir.path().into(),
            environment: BTreeMap::new(),
            workers: None,
            timeout: None,
            run_timeout: None,
            retries: None,
            fail_fast: false,
            no_post_run: false,
            clean_up: false,
            cleanup: Duration::from_secs(60),
            collect_logs: false,
            results: dir.path().into(),
            variables: Variables::default().into(),
            baselines: xenrt::metric::Baselines::default(),
            notices: Vec::new(),
            listening: None,
            resumed: None,
        };
        let (lab, further, sinks) = (Lab::default(), Vec::new(), Vec::new());
        Bench {
            plan,
            settings,
            cancel: Cancel::new(),
            lab,
            further,
            sinks,
            people: Vec::new(),
            clock: Clock::fake(),
            scripts: testcases().scripts.clone(),
            dir,
        }
    }

    /// One testcase, `t`, from files: the first is it, and the others may be imported.
    #[track_caller]
    pub fn files(files: &[(&str, &str)]) -> Bench {
        let mut bench = Bench::of(Plan::default());
        for (name, text) in files {
            std::fs::write(bench.dir.path().join(name), text).unwrap();
        }
        bench.scripts = Scripts::new(vec![bench.dir.path().into()], None).unwrap();
        let path = bench.dir.path().join(files[0].0);
        let found = Catalog::new(bench.scripts.clone()).find(path.to_str().unwrap()).unwrap().unwrap();
        let work = Work::Testcase(found.into_iter().next().unwrap());
        bench.plan = plan("s(t)");
        bench.plan.cases[0].work = work;
        bench.plan.cases[0].args = Args::new();
        bench
    }

    /// Where its files are.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Bench {
        change(&mut self.settings);
        self
    }

    #[must_use]
    pub fn planned(mut self, change: impl FnOnce(&mut Plan)) -> Bench {
        change(&mut self.plan);
        self
    }

    #[must_use]
    pub fn variable(self, name: &str, value: &str) -> Bench {
        self.settings.variables.set(name, value, "the test").unwrap();
        self
    }

    /// Ctrl-C as soon as such a fact is told.
    #[must_use]
    pub fn stopped_at(self, mut is: impl FnMut(&Event) -> bool + Send + 'static) -> Bench {
        let cancel = self.cancel.clone();
        self.watched(move |event| {
            if is(event) {
                cancel.raise(Stop::User);
            }
        })
    }

    /// Ctrl-C as soon as a case has said that it began.
    #[must_use]
    pub fn stopped_when_begun(self, id: &'static str) -> Bench {
        self.stopped_at(move |event| says(event, id, "began"))
    }

    #[must_use]
    pub fn watched(mut self, watch: impl FnMut(&Event) + Send + 'static) -> Bench {
        self.sinks.push(Box::new(Watcher(Box::new(watch))));
        self
    }

    /// Somebody steers the run, with its control and its clock.
    #[must_use]
    pub fn steered(mut self, person: impl FnOnce(&Control, &Clock) + Send + 'static) -> Bench {
        self.people.push(Box::new(person));
        self
    }

    pub fn run(self) -> Ran {
        let (ran, verdict) = self.tried();
        Ran { verdict: verdict.unwrap(), ..ran }
    }

    /// The same, where it may not even begin.
    pub fn tried(self) -> (Ran, xenrt::error::Result<Verdict>) {
        let Bench { plan, settings, cancel, lab, further, sinks, people, clock, scripts, dir } = self;
        let told = Collector::default();
        let (bus, stream) = Bus::start(Box::new(told.clone()), sinks, Mask::default(), |_| ()).unwrap();
        let control = Control::new(bus.clone(), settings.variables.clone(), clock.clone());
        let people: Vec<_> = people
            .into_iter()
            .map(|person| {
                let (control, clock, cancel) = (control.clone(), clock.clone(), cancel.clone());
                // One who finds something wrong leaves nobody waiting.
                std::thread::spawn(move || {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| person(&control, &clock)));
                    done.inspect_err(|_| cancel.raise(Stop::User)).unwrap();
                })
            })
            .collect();
        let runner = Runner { settings, lab: Arc::new(lab), scripts, bus, cancel, control };
        let ids = plan.cases.iter().chain(further.iter().flat_map(|plan| &plan.cases)).map(|case| case.id.clone()).collect();
        let verdict = runner.run_until_failure(&plan, &mut further.into_iter());
        people.into_iter().for_each(|person| person.join().unwrap());
        assert!(stream.close().is_empty());
        (Ran { ids, events: told.events(), verdict: Verdict::Incomplete, dir }, verdict)
    }
}

/// Whether a case says just this.
pub fn says(event: &Event, id: &str, wanted: &str) -> bool {
    let is_its = event.case.as_ref().is_some_and(|case| case.as_str() == id);
    is_its && matches!(&event.fact, Fact::Logged { text, .. } if text == wanted)
}

struct Watcher(Box<dyn FnMut(&Event) + Send>);

impl Sink for Watcher {
    fn on_event(&mut self, event: &Event) -> xenrt::error::Result<()> {
        (self.0)(event);
        Ok(())
    }

    fn name(&self) -> String {
        "watcher".into()
    }
}

/// How a run went.
pub struct Ran {
    pub ids: Vec<CaseId>,
    pub events: Vec<Event>,
    pub verdict: Verdict,
    /// The results.
    pub dir: tempfile::TempDir,
}

impl Ran {
    /// What became of each case, in the order of the plan: "a failed, b blocked by a, c -".
    pub fn outcomes(&self) -> String {
        let told = |id: &CaseId| {
            let end = self.end(id.as_str());
            let Some(Fact::CaseFinished { outcome, block, .. }) = end else { return format!("{id} -") };
            match block {
                Some(Block::Case { id: by, .. }) => format!("{id} blocked by {by}"),
                Some(Block::Prepare { id: by, step, .. }) => format!("{id} blocked by {by}: {step}"),
                Some(Block::Limit { whose, .. }) => format!("{id} blocked by {whose}"),
                Some(Block::FailFast { id: by, .. }) => format!("{id} not run after {by}"),
                Some(Block::Ended { who }) => format!("{id} not run for {who}"),
                None => format!("{id} {}", outcome.word()),
            }
        };
        self.ids.iter().map(told).collect::<Vec<_>>().join(", ")
    }

    pub fn facts(&self, id: &str) -> impl Iterator<Item = &Fact> {
        self.events.iter().filter(move |e| e.case.as_ref().is_some_and(|case| case.as_str() == id)).map(|e| &e.fact)
    }

    fn end(&self, id: &str) -> Option<&Fact> {
        self.facts(id).find(|fact| matches!(fact, Fact::CaseFinished { .. }))
    }

    pub fn outcome(&self, id: &str) -> Option<Outcome> {
        if let Some(Fact::CaseFinished { outcome, .. }) = self.end(id) { Some(*outcome) } else { None }
    }

    pub fn reason(&self, id: &str) -> &str {
        if let Some(Fact::CaseFinished { reason: Some(reason), .. }) = self.end(id) { reason } else { "" }
    }

    /// What was begun, in the order in which it was.
    pub fn begun(&self) -> Vec<&str> {
        let began = |e: &&Event| matches!(e.fact, Fact::CaseStarted { .. });
        self.events.iter().filter(began).filter_map(|e| e.case.as_ref()).map(CaseId::as_str).collect()
    }

    /// All texts that were logged or told as progress, each after its case.
    pub fn said(&self) -> Vec<String> {
        let text = |event: &Event| match &event.fact {
            Fact::Logged { text, .. } | Fact::Progressed { text, .. } => {
                Some(event.case.as_ref().map_or_else(|| text.clone(), |id| format!("{id}: {text}")))
            }
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.events.iter().for_each(|event| summary.apply(event));
        summary
    }
}
