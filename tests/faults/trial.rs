//! One trial: a testcase on a simulated pool of its own that gets into trouble, and what came of it.

use crate::support::xrt::{Ran, Xrt};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use xenrt::error::Blame;
use xenrt::event::{ActionEnd, Fact, Failure, Level, Outcome, Phase};
use xenrt::sim::trouble;
use xenrt::sim::{Options, Simulator};

/// What the pool is made of is the same in each trial.
const SEED: u64 = 7;

/// What an error says that trouble has put there.
pub const ON_PURPOSE: &str = "on purpose";

/// What an error says when an answer was lost.
pub const LOST: &str = "may have happened";

/// Classes of what a testcase can leave behind.
const CLASSES: &[&str] = &["VM", "VDI", "VBD", "VIF", "SR", "PBD", "network", "Bond", "VLAN", "PIF", "task"];

/// A testcase with arguments that make it short, and the options of the pool that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    pub id: &'static str,
    pub words: &'static str,
    pub options: &'static str,
}

/// All testcases that run on a simulated pool: a new one is among them as soon as `tests/scripts.rs` has its row.
pub fn scripts() -> Vec<Script> {
    let script = |(path, words, options): (&'static str, _, _)| {
        let id = path.trim_start_matches("scripts/").trim_end_matches(".rhai");
        Script { id, words, options }
    };
    crate::scripts::simulated().map(script).collect()
}

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.words)
    }
}

/// What came of a trial.
pub struct Trial {
    pub script: Script,
    pub trouble: String,
    pub outcome: Outcome,
    pub failure: Option<Failure>,
    /// Everything that says why: its reason, its failure, those of its subcases.
    pub why: String,
    pub warnings: Vec<String>,
    /// The methods that were called, with how often.
    pub calls: BTreeMap<String, usize>,
    /// The phase in which an action failed first, and what it said.
    pub failed_in: Option<(Phase, String)>,
    /// Whether all of the trouble has struck.
    pub is_struck: bool,
    pub took: f64,
    /// What is wrong with it, whatever was to come of it.
    pub wrong: Vec<String>,
    transcript: String,
}

impl Trial {
    /// Runs a testcase on a pool of its own with this trouble, and with this part of every built-in wait.
    pub fn of(script: Script, trouble: &str, patience: f64) -> Trial {
        let options = format!("seed={SEED},{}", script.options);
        let simulator = Simulator::start(options.parse::<Options>().unwrap()).unwrap();
        let before = there(&simulator);
        let begun = Instant::now();
        simulator.engine().trouble(trouble::parse(trouble).unwrap()).unwrap();
        let hosts = simulator.spares().iter().fold(simulator.url(), |all, spare| format!("{all},{spare}"));
        let xrt = Xrt::new().testcase(script.id).args(script.words).args("--no-logs --host-keys ignore --connect-timeout 5s");
        let xrt = xrt.args(&format!("--existing {hosts} --patience {patience} -D ROOT_PASSWORD={}", simulator.password().reveal()));
        let xrt = xrt.env("XRT_PASSWORD", simulator.ssh_password().reveal()).env("XRT_LOG", "xenrt::toolstack::xapi=debug");
        let ran = xrt.run();
        let took = begun.elapsed().as_secs_f64();
        let is_struck = simulator.engine().with(|world| world.site.troubles.list().next().is_none());
        let after = there(&simulator);
        let mut trial = Trial::read(script, trouble, &ran);
        (trial.took, trial.is_struck) = (took, is_struck);
        let made = after.into_iter().filter(|(key, _)| !before.contains_key(key));
        trial.is_sound(&ran, &made.map(|(_, thing)| thing).collect::<Vec<_>>());
        trial
    }

    fn read(script: Script, trouble: &str, ran: &Ran) -> Trial {
        let outcome = ran.outcome(script.id);
        let summary = ran.summary();
        let case = summary.cases().iter().find(|case| case.id.as_str() == script.id);
        let failure = case.and_then(|case| case.failure.as_deref().cloned());
        let facts = ran.facts(script.id);
        let mut why = format!("{}\n", ran.reason(script.id));
        let (mut phase, mut failed_in, mut warnings) = (Phase::Prepare, None, Vec::new());
        let (mut is_found, mut is_meant) = (false, false);
        for fact in &facts {
            match fact {
                Fact::PhaseStarted { phase: next } => phase = *next,
                // Some failures are what a testcase waits for: the one on purpose is the one that counts.
                Fact::ActionFinished { end: ActionEnd::Failed(said), .. } if !is_found || is_on_purpose(said) && !is_meant => {
                    (is_found, is_meant) = (true, is_on_purpose(said));
                    failed_in = Some((phase, said.clone()));
                }
                Fact::Logged { level: Level::Warning, text } => warnings.push(text.clone()),
                Fact::Subcase { failure: Some(failure), .. } => why += &said(failure),
                _ => {}
            }
        }
        why += &failure.as_ref().map(said).unwrap_or_default();
        let mut calls = BTreeMap::new();
        let called = ran.stderr.lines().filter_map(|line| line.split_once("call=\"")?.1.split_once('"'));
        for (method, _) in called {
            *calls.entry(method.trim_start_matches("Async.").to_string()).or_default() += 1;
        }
        let (trouble, transcript) = (trouble.to_string(), ran.transcript());
        let (is_struck, took, wrong) = (false, 0.0, Vec::new());
        Trial { script, trouble, outcome, failure, why, warnings, calls, failed_in, is_struck, took, wrong, transcript }
    }

    /// What has to be so whatever happens.
    fn is_sound(&mut self, ran: &Ran, made: &[Thing]) {
        let exit = match self.outcome {
            Outcome::Passed | Outcome::Partial | Outcome::Flaky => 0,
            Outcome::Failed => 1,
            Outcome::Skipped => 4,
            Outcome::Errored | Outcome::Blocked => 3,
        };
        self.expect(ran.exit == exit, || format!("it exits with {}", ran.exit));
        self.expect(!ran.stderr.contains("panicked"), || "something panicked".to_string());
        let blame = self.failure.as_ref().map(|failure| failure.blame);
        self.expect(blame != Some(Blame::Us), || "it blames itself".to_string());
        let told: Vec<&str> = self.warnings.iter().filter(|text| text.contains("xe ")).map(String::as_str).collect();
        let is_told = |thing: &Thing| thing.names.iter().any(|uuid| told.iter().any(|text| text.contains(uuid)));
        // A task whose name was lost is the pool's to remove.
        let is_lost = |thing: &Thing| thing.what.starts_with("task") && self.trouble.contains("drop:");
        let untold: Vec<&str> =
            made.iter().filter(|thing| !is_told(thing) && !is_lost(thing)).map(|thing| thing.what.as_str()).collect();
        self.expect(untold.is_empty(), || format!("left behind, and not told: {}", untold.join(", ")));
    }

    pub fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.wrong.push(otherwise());
        }
    }

    /// All that a person needs who mends it.
    pub fn report(&self) -> String {
        let blame = self.failure.as_ref().map_or("nobody", |failure| failure.blame.word());
        format!(
            "{} with `{}` in {:.1} s: {} (blame: {blame})\n  {}\n  why: {}\n  warnings: {:#?}\n  failed first: {:?}\n",
            self.script,
            self.trouble,
            self.took,
            self.outcome.word(),
            self.wrong.join("\n  "),
            self.why.trim().replace('\n', "\n       "),
            self.warnings,
            self.failed_in,
        )
    }
}

fn is_on_purpose(said: &str) -> bool {
    said.contains(ON_PURPOSE) || said.contains(LOST)
}

fn said(failure: &Failure) -> String {
    let parts = [Some(failure.message.clone()), failure.data.clone(), Some(failure.causes.join("\n")), failure.help.clone()];
    parts.into_iter().flatten().fold(String::new(), |all, part| format!("{all}{part}\n"))
}

/// Something in the pool.
struct Thing {
    what: String,
    /// Its own uuid and those of what it belongs to: who names one of them has told of it.
    names: Vec<String>,
}

/// Everything that there is of the classes, in the pool. What a guest has is known by its place there: a revert makes it anew.
fn there(simulator: &Simulator) -> BTreeMap<String, Thing> {
    let mut all = BTreeMap::new();
    simulator.engine().with(|world| {
        for db in world.pools.iter().take(1) {
            let uuid = |reference| db.text(reference, "uuid").to_string();
            let suspended: BTreeSet<String> = db.all("VM").into_iter().map(|vm| uuid(db.link(vm, "suspend_VDI"))).collect();
            for class in CLASSES {
                for thing in db.all(class) {
                    // What trouble or high availability has made, and where a guest sleeps, is no testcase's to remove.
                    let name = if *class == "VBD" || *class == "VIF" { "device" } else { "name_label" };
                    let name = if matches!(*class, "PBD" | "Bond" | "VLAN" | "PIF") { "uuid" } else { name };
                    let name = db.text(thing, name).to_string();
                    if matches!(name.as_str(), "filler" | "Statefile for HA") || suspended.contains(&uuid(thing)) {
                        continue;
                    }
                    let owners: &[&str] = match *class {
                        "VBD" | "VIF" => &["VM"],
                        "VDI" => &["SR"],
                        "PBD" => &["SR", "host"],
                        "PIF" => &["network", "VLAN_master_of", "bond_master_of", "host"],
                        "VLAN" => &["untagged_PIF"],
                        "VM" => &["snapshot_of", "resident_on"],
                        _ => &[],
                    };
                    let place = |device| format!("{} {class} {}", uuid(db.link(device, "VM")), db.text(device, "userdevice"));
                    let key = match *class {
                        "VBD" => place(thing),
                        "VIF" => format!("{} VIF {}", uuid(db.link(thing, "VM")), db.text(thing, "device")),
                        "VDI" => db.links(thing, "VBDs").first().map_or_else(|| uuid(thing), |vbd| place(*vbd)),
                        _ => uuid(thing),
                    };
                    let mut names = vec![uuid(thing)];
                    names.extend(owners.iter().map(|field| uuid(db.link(thing, field))));
                    if *class == "VDI" {
                        names.extend(db.links(thing, "VBDs").into_iter().map(|vbd| uuid(db.link(vbd, "VM"))));
                    }
                    if *class == "SR" {
                        names.extend(db.links(thing, "PBDs").into_iter().map(|pbd| uuid(db.link(pbd, "host"))));
                    }
                    names.retain(|name| !name.is_empty());
                    all.insert(key, Thing { what: format!("{class} `{name}` {}", uuid(thing)), names });
                }
            }
        }
    });
    all
}

/// Does all of these, a few at a time, and gives what came of them in order.
pub fn all<T: Sync, R: Send>(jobs: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<Result<R, String>> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((number, job)) = {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    jobs.get(at).map(|job| (at, job))
                } {
                    let trial = catch_unwind(AssertUnwindSafe(|| work(job)));
                    let trial = trial.map_err(|panic| {
                        let text = panic.downcast_ref::<String>().cloned();
                        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
                    });
                    done.lock().unwrap().push((number, trial));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, trial)| trial).collect()
}

/// Panics with everything that is wrong.
#[track_caller]
pub fn judge(trials: Vec<Result<Trial, String>>) -> Vec<Trial> {
    let count = trials.len();
    let (good, bad): (Vec<_>, Vec<_>) = trials.into_iter().partition(|trial| trial.as_ref().is_ok_and(|t| t.wrong.is_empty()));
    if let Some(dir) = std::env::var_os("XRT_FAULTS_REPORT") {
        for (number, trial) in good.iter().chain(&bad).filter_map(|trial| trial.as_ref().ok()).enumerate() {
            std::fs::write(Path::new(&dir).join(format!("{number:04}")), format!("{}\n{}", trial.report(), trial.transcript))
                .unwrap();
        }
    }
    let reports: Vec<String> = bad.iter().map(|trial| trial.as_ref().map_or_else(Clone::clone, Trial::report)).collect();
    assert!(reports.is_empty(), "{} of {count} trials went wrong:\n\n{}", reports.len(), reports.join("\n"));
    good.into_iter().filter_map(Result::ok).collect()
}
