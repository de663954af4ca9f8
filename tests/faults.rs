//! Fault runs: every testcase shipped for guests, pools, storage and networks, under every kind of trouble that a simulated pool can make,
//! must end with the right outcome and the right blame within its patience, and leave nothing behind that it does not tell of.
//!
//! What is right follows from a rule for each kind of trouble; what does not stands in a table, with its reason. The usual run takes for
//! each testcase the operations that it is about, refused ([`AIMED`]), and one more trouble that a seed chooses. With `XRT_FAULTS=all` it
//! takes the whole product: every call that a testcase makes, in every kind of trouble; with `XRT_FAULTS=7` another choice. Of either,
//! `XRT_FAULTS_ONLY` keeps those whose testcase, arguments and trouble match a regular expression (`storage/.* drop:`). What came of each
//! trial is written into the directory `XRT_FAULTS_REPORT`. The same variable gives more or other runs to the [`sweep`].

mod sweep;
mod trial;

use trial::{LOST, ON_PURPOSE, Script, Trial, all, judge, scripts};
use xenrt::error::Blame;
use xenrt::event::{Outcome, Phase};

/// What each testcase is about: the calls that it would be worth nothing without. A testcase that is not here has all of its calls tried.
const AIMED: &[(&str, &[&str])] = &[
    ("guestops/balloon", &["VM.set_memory_dynamic_range"]),
    ("guestops/cd", &["VBD.insert", "VBD.eject"]),
    ("guestops/checkpoint", &["VM.checkpoint", "VM.revert"]),
    ("guestops/clone", &["VM.clone"]),
    ("guestops/copy", &["VM.copy"]),
    ("guestops/cpu_walk", &["VM.set_VCPUs_at_startup", "VM.set_VCPUs_number_live"]),
    ("guestops/drivers", &["VM.get_record"]),
    ("guestops/drivers_current", &["VM.get_record"]),
    ("guestops/force_off", &["VM.hard_shutdown", "VM.hard_reboot"]),
    ("guestops/import_export", &["VM.start"]),
    ("guestops/install", &["VM.provision", "VM.start_on"]),
    ("guestops/instantiate", &["VM.snapshot", "VM.provision"]),
    ("guestops/memory_walk", &["VM.set_memory_limits"]),
    ("guestops/migrate", &["VM.pool_migrate"]),
    ("guestops/migrate_pool", &["host.migrate_receive", "VM.migrate_send"]),
    ("guestops/mixops", &["VM.pause"]),
    ("guestops/pause", &["VM.pause", "VM.unpause"]),
    ("guestops/reboot", &["VM.clean_reboot"]),
    ("guestops/reboot_multi", &["VM.clean_reboot"]),
    ("guestops/shutdown", &["VM.clean_shutdown"]),
    ("guestops/snapshot", &["VM.snapshot", "VM.revert"]),
    ("guestops/start", &["VM.start"]),
    ("guestops/start_stop", &["VM.start", "VM.clean_shutdown"]),
    ("guestops/start_stop_multi", &["VM.clone", "VM.start"]),
    ("guestops/suspend_resume", &["VM.suspend", "VM.resume"]),
    ("guestops/template", &["VM.set_is_a_template", "VM.provision"]),
    ("guestops/uninstall", &["VM.destroy"]),
    ("network/bond", &["Bond.create", "Bond.destroy"]),
    ("network/internal", &["network.create", "network.destroy"]),
    ("network/vif_hotplug", &["VIF.plug", "VIF.unplug"]),
    ("network/vif_move", &["VIF.move"]),
    ("network/vlan", &["VLAN.create", "VLAN.destroy"]),
    ("pool/change_master", &["pool.designate_new_master"]),
    ("pool/check", &["SR.get_record"]),
    ("pool/evacuate", &["host.evacuate"]),
    ("pool/full_host", &["VM.start_on"]),
    ("pool/host_loss", &["host.power_on"]),
    ("pool/host_reboot", &["host.reboot"]),
    ("pool/join_eject", &["pool.join", "pool.eject"]),
    ("pool/restart_toolstack", &["host.restart_agent"]),
    ("pool/start_everywhere", &["VM.start_on"]),
    ("storage/disk_hotplug", &["VBD.plug", "VBD.unplug"]),
    ("storage/disk_resize", &["VDI.resize"]),
    ("storage/move_disk", &["VDI.pool_migrate"]),
    ("storage/nfs_sr_vm", &["SR.create"]),
    ("storage/sr_full", &["VDI.create"]),
    ("storage/sr_lifecycle", &["SR.create", "PBD.plug"]),
    ("storage/vdi_lifecycle", &["VDI.create", "VDI.snapshot"]),
];

/// What is right against the rules: testcase, start of the trouble, outcome, reason.
const EXCEPTIONS: &[(&str, &str, Outcome, &str)] = &[
    ("storage/sr_full", "fail:VDI.create=SR_FULL", Outcome::Passed, "it wants to hear just that"),
    (
        "pool/change_master",
        "drop:pool.designate_new_master",
        Outcome::Passed,
        "the answer is lost in any case, and what it does is seen",
    ),
    ("pool/host_reboot", "drop:host.reboot", Outcome::Passed, "the answer is lost in any case, and what it does is seen"),
    (
        "pool/restart_toolstack",
        "drop:host.restart_agent",
        Outcome::Passed,
        "the answer is lost in any case, and what it does is seen",
    ),
];

/// Calls of housekeeping: whether they succeed changes nothing.
const HOUSEKEEPING: &[&str] = &["session.login_with_password", "session.logout", "task.cancel", "task.create", "task.destroy"];

/// A testcase with a trouble.
#[derive(Clone, Debug)]
struct Job {
    script: Script,
    trouble: String,
    /// The method that the trouble is about.
    method: String,
    right: Right,
    /// The part of every built-in wait that it waits.
    patience: f64,
}

/// What is right.
#[derive(Clone, Copy, Debug)]
enum Right {
    /// The trouble does not touch it, or is ridden over.
    Passes,
    /// The call was refused, in words by which this is the outcome.
    Refused(Outcome),
    /// The answer never came: nobody knows whether it happened.
    Lost,
    /// A machine is not what it was: it may pass, or not, but not be blamed on its author or on us.
    Survives,
}

impl Job {
    /// Whether it waits long for a machine that does not answer.
    fn is_slow(&self) -> bool {
        // A guest that died is looked at for as long as the testcase itself says.
        let is_stubborn = self.script.id == "guestops/cpu_walk" && self.trouble.contains("=kill:");
        is_stubborn || ["=hang:", "=power-off:"].iter().any(|deed| self.trouble.contains(deed))
    }
}

/// The kinds of trouble with one call, the words for it, and what is right.
fn with_call(script: Script, method: &str) -> Vec<Job> {
    let job = |trouble: String, right| Job { script, trouble, method: method.to_string(), right, patience: 1.0 };
    if is_read(method) {
        // What only asks is asked again.
        return vec![
            job(format!("drop:{method}"), Right::Passes),
            job(format!("fail:{method}=HOST_STILL_BOOTING/{ON_PURPOSE}"), Right::Passes),
        ];
    }
    vec![
        job(format!("fail:{method}=INTERNAL_ERROR/{ON_PURPOSE}"), Right::Refused(Outcome::Failed)),
        job(format!("fail:{method}=SR_FULL/{ON_PURPOSE}"), Right::Refused(Outcome::Errored)),
        job(format!("fail:{method}=SESSION_INVALID/{ON_PURPOSE}"), Right::Passes),
        job(format!("delay:{method}=300ms"), Right::Passes),
        job(format!("drop:{method}"), Right::Lost),
    ]
}

/// What can happen to machines while a call is made.
fn with_machine(script: Script, method: &str) -> Vec<Job> {
    let job = |deed: &str, right| {
        let trouble = format!("on:{method}={deed}");
        // Who waits for a host or a guest that never answers again must not do so for half an hour.
        let patience = if ["hang", "power-off"].iter().any(|word| deed.starts_with(word)) { 0.1 } else { 1.0 };
        Job { script, trouble, method: method.to_string(), right, patience }
    };
    vec![
        job("kill:guest1", Right::Survives),
        job("hang:guest1", Right::Survives),
        job("power-off:host2", Right::Survives),
        job("power-off:host1", Right::Survives),
        job("fill:NFS virtual disk storage", Right::Survives),
        job("skew:guest1=90s", Right::Passes),
    ]
}

fn is_read(method: &str) -> bool {
    let word = method.split_once('.').map_or("", |(_, word)| word);
    word.starts_with("get_") || word.starts_with("compute_") || method == "event.from"
}

/// The methods that a testcase calls.
fn calls(trial: &Trial) -> impl Iterator<Item = &str> {
    trial.calls.keys().map(String::as_str).filter(|method| !HOUSEKEEPING.contains(method))
}

/// Each testcase without trouble.
fn untroubled(scripts: &[Script]) -> Vec<Trial> {
    let run = |script: &Script| {
        let mut trial = Trial::of(*script, "", 1.0);
        let outcome = trial.outcome;
        trial.expect(outcome == Outcome::Passed, || "without trouble it passes".into());
        trial
    };
    judge(all(scripts, run))
}

/// The testcases with the methods to try: those that they are about, or all that they call.
fn methods() -> Vec<(Script, Vec<String>)> {
    let is_aimed = |script: &Script| AIMED.iter().any(|(id, _)| *id == script.id);
    let aimed = |script: Script| {
        let methods = AIMED.iter().find(|(id, _)| *id == script.id).map_or(&[][..], |(_, methods)| methods);
        (script, methods.iter().map(ToString::to_string).collect())
    };
    let (known, unknown): (Vec<Script>, Vec<Script>) =
        scripts().into_iter().partition(|script| choice().is_some() && is_aimed(script));
    let seen = untroubled(&unknown);
    let seen = seen.iter().map(|trial| (trial.script, calls(trial).map(str::to_string).collect()));
    known.into_iter().map(aimed).chain(seen).collect()
}

/// What chooses among the troubles; nothing when all are to be tried.
fn choice() -> Option<usize> {
    match std::env::var("XRT_FAULTS") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(text.parse().expect("XRT_FAULTS is `all` or a number")),
        Err(_) => Some(0),
    }
}

/// What happens to one call: it is refused, delayed, or the session has gone.
#[test]
fn a_call_in_trouble_has_the_right_outcome_and_blame() {
    let mut jobs = Vec::new();
    for (number, (script, methods)) in methods().into_iter().enumerate() {
        let kinds: Vec<Job> = methods.iter().flat_map(|method| with_call(script, method)).collect();
        match choice() {
            None => {
                jobs.extend(kinds);
                let aims = AIMED.iter().find(|(id, _)| *id == script.id).map(|(_, aims)| *aims);
                let is_aim = |method: &&String| aims.is_none_or(|aims| aims.contains(&method.as_str()));
                jobs.extend(methods.iter().filter(is_aim).flat_map(|method| with_machine(script, method)));
            }
            Some(seed) => {
                let is_refused = |job: &&Job| matches!(job.right, Right::Refused(Outcome::Failed));
                jobs.extend(kinds.iter().filter(is_refused).cloned());
                let quick = methods.iter().flat_map(|method| with_machine(script, method)).filter(|job| !job.is_slow());
                let others: Vec<Job> = kinds.into_iter().filter(|job| !is_refused(&job)).chain(quick).collect();
                jobs.extend(others.get((seed * 5 + number) % others.len().max(1)).cloned());
            }
        }
    }
    if let Ok(only) = std::env::var("XRT_FAULTS_ONLY") {
        let only = regex::Regex::new(&only).expect("XRT_FAULTS_ONLY is a regular expression");
        jobs.retain(|job| only.is_match(&format!("{} {}", job.script, job.trouble)));
    }
    judge(all(&jobs, try_it));
}

fn try_it(job: &Job) -> Trial {
    let mut trial = Trial::of(job.script, &job.trouble, job.patience);
    // What is asked of something that is gone is refused before trouble can strike.
    trial.expect(trial.is_struck || is_read(&job.method), || format!("{} was not called", job.method));
    let outcome = trial.outcome;
    let is_it = |(id, start, ..): &&(&str, &str, Outcome, &str)| *id == job.script.id && job.trouble.starts_with(start);
    if let Some((_, _, right, reason)) = EXCEPTIONS.iter().find(is_it) {
        trial.expect(outcome == *right, || format!("{} is right: {reason}", right.word()));
        return trial;
    }
    match job.right {
        Right::Passes => trial.expect(outcome == Outcome::Passed, || "it passes all the same".into()),
        Right::Refused(outcome) => refused(&mut trial, &job.method, outcome, ON_PURPOSE),
        Right::Lost => refused(&mut trial, &job.method, Outcome::Errored, LOST),
        Right::Survives => {
            let blame = trial.failure.as_ref().map(|failure| failure.blame);
            let is_right = matches!(blame, None | Some(Blame::Product | Blame::Lab));
            trial.expect(is_right, || "neither the testcase nor who runs it is to blame".into());
            let (took, limit) = (trial.took, 400.0);
            trial.expect(took < limit, || format!("it took {took:.0} s"));
        }
    }
    trial
}

/// What is right when an operation was refused: the outcome where the testcase itself asked for it, a warning where it was cleaning up.
fn refused(trial: &mut Trial, method: &str, outcome: Outcome, words: &str) {
    let is_said = |text: &str| text.contains(words) && text.contains(&format!("`{method}`"));
    let (own, why) = (trial.outcome, trial.why.clone());
    // A question is no action, and can only be told by the failure.
    let failed_in = trial.failed_in.as_ref().map(|(phase, _)| *phase).or(is_said(&why).then_some(Phase::Run));
    match failed_in {
        Some(phase @ (Phase::Prepare | Phase::Run)) => {
            // What cannot be prepared cannot be judged.
            let right = if phase == Phase::Prepare { Outcome::Errored } else { outcome };
            trial.expect(own == right, || format!("{} is right", right.word()));
            trial.expect(is_said(&why), || format!("it does not say what {method} said"));
            let blame = trial.failure.as_ref().filter(|failure| failure.message.contains(words)).map(|failure| failure.blame);
            let right = if outcome == Outcome::Failed { Blame::Product } else { Blame::Lab };
            trial.expect(blame.is_none_or(|blame| blame == right), || format!("{} is to blame", right.word()));
        }
        Some(_) => {
            trial.expect(own == Outcome::Passed, || "it had passed when it was cleaned up".into());
            let is_told = trial.warnings.iter().any(|text| is_said(text));
            trial.expect(is_told, || format!("no warning says what {method} said"));
        }
        None => trial.expect(false, || format!("nothing tells that {method} was refused")),
    }
}
