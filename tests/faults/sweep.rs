//! Whole runs by the real command line, on a simulated pool of their own with trouble from the beginning: which testcases, and which
//! trouble with what they call, is chosen by a seed. What comes of a single testcase is not asked here, but what has to be so of any run.

use super::trial::{Script, all, scripts};
use super::{AIMED, Job, with_call, with_machine};
use crate::support::poll;
use crate::support::xrt::Xrt;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use xenrt::error::Blame;
use xenrt::event::Outcome;

/// How many runs have all testcases among them.
const SHARES: usize = 8;

/// How many runs there are in the usual test, and when all is to be tried.
const FEW: usize = 3;
const MANY: usize = 8 * SHARES;

/// How many troubles a run gets into.
const TROUBLES: usize = 4;

/// What came of a run: the outcomes of its testcases, and what is wrong with it.
struct Swept {
    outcomes: Vec<Outcome>,
    wrong: Vec<String>,
    report: String,
}

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// The testcases of a run, in an order of its own.
fn share(seed: usize, dice: &mut Dice) -> Vec<Script> {
    let mut left: Vec<Script> = scripts().into_iter().skip(seed % SHARES).step_by(SHARES).collect();
    let mut taken = Vec::new();
    while !left.is_empty() {
        taken.push(left.swap_remove(dice.below(left.len())));
    }
    taken
}

/// Trouble with what they are about.
fn troubles(scripts: &[Script], dice: &mut Dice, with_slow: bool) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for script in scripts {
        let methods = AIMED.iter().filter(|(id, _)| *id == script.id).flat_map(|(_, methods)| *methods);
        jobs.extend(methods.flat_map(|method| with_call(*script, method).into_iter().chain(with_machine(*script, method))));
    }
    jobs.retain(|job| with_slow || !job.is_slow());
    (0..TROUBLES.min(jobs.len())).map(|_| jobs.swap_remove(dice.below(jobs.len()))).collect()
}

fn sequence(scripts: &[Script]) -> String {
    let mut text = "<xenrt><testsequence>".to_string();
    for Script { id, words, .. } in scripts {
        write!(text, "<testcase id=\"{}\">", id.replace('/', ".")).unwrap();
        for word in words.split_whitespace() {
            write!(text, "<arg>{word}</arg>").unwrap();
        }
        text += "</testcase>";
    }
    text + "</testsequence></xenrt>"
}

/// The processes whose environment names this directory, with their command lines.
fn running_in(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let found = processes.filter_map(|process| {
        let environment = std::fs::read(process.path().join("environ")).ok()?;
        let command = std::fs::read(process.path().join("cmdline")).ok()?;
        let is_it = String::from_utf8_lossy(&environment).contains(dir);
        is_it.then(|| format!("{} {}", process.path().display(), String::from_utf8_lossy(&command).replace('\0', " ")))
    });
    found.collect()
}

fn run(seed: usize, with_slow: bool) -> Swept {
    let mut dice = Dice(seed as u64);
    let scripts = share(seed, &mut dice);
    let jobs = troubles(&scripts, &mut dice, with_slow);
    let trouble = jobs.iter().map(|job| job.trouble.as_str()).collect::<Vec<_>>().join(";");
    let patience = jobs.iter().map(|job| job.patience).fold(1.0, f64::min);
    let xrt = Xrt::new().file("sweep.seq", sequence(&scripts)).file("tmp/.keep", "");
    let tmp = xrt.dir().join("tmp");
    let xrt = xrt.env("TMPDIR", &tmp).args("-s sweep.seq --no-logs --timeout 60s").args(&format!("--patience {patience}"));
    let begun = Instant::now();
    // That it ends at all is seen to by whoever waits for it.
    let ran = xrt.arg("--host").arg(format!("sim:seed={seed},spare=1,trouble={trouble}")).run();
    let took = begun.elapsed().as_secs_f64();
    let summary = ran.summary();
    let mut wrong = Vec::new();
    let mut expect = |is_so: bool, otherwise: String| {
        if !is_so {
            wrong.push(otherwise);
        }
    };
    let outcomes: Vec<Outcome> = summary.cases().iter().filter_map(|case| case.outcome).collect();
    expect(outcomes.len() == scripts.len(), format!("{} testcases have {} outcomes", scripts.len(), outcomes.len()));
    let any = |wanted: &[Outcome]| outcomes.iter().any(|outcome| wanted.contains(outcome));
    let exit = if any(&[Outcome::Failed]) {
        1
    } else if any(&[Outcome::Errored, Outcome::Blocked]) {
        3
    } else if any(&[Outcome::Passed, Outcome::Partial, Outcome::Flaky]) {
        0
    } else {
        4
    };
    expect(ran.exit == exit, format!("it exits with {}, and {exit} is right", ran.exit));
    expect(!ran.stderr.contains("panicked"), "something panicked".to_string());
    let mut lines = String::new();
    for case in summary.cases() {
        let failure = case.failure.as_deref();
        let word = case.outcome.map_or("nothing", Outcome::word);
        let blame = failure.map_or("nobody", |failure| failure.blame.word());
        let why = failure.map_or("", |failure| failure.message.as_str());
        let subcases = || case.notes().subcases.iter().filter_map(|subcase| subcase.failure.as_deref());
        writeln!(lines, "  {}: {word} (blame: {blame}) {why}", case.id.as_str()).unwrap();
        let is_ours = failure.into_iter().chain(subcases()).any(|failure| failure.blame == Blame::Us);
        expect(!is_ours, format!("{} blames itself: {why}", case.id.as_str()));
    }
    let left: Vec<String> =
        std::fs::read_dir(&tmp).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let left: Vec<&String> = left.iter().filter(|name| name.starts_with("xrt-sim-")).collect();
    expect(left.is_empty(), format!("left in TMPDIR: {left:?}"));
    // What was killed may take a moment to be gone.
    let is_over = poll::until(poll::patience(), || running_in(&tmp).is_empty().then_some(()));
    expect(is_over.is_ok(), format!("still running: {:#?}", running_in(&tmp)));
    let found = wrong.join("\n  ");
    let report = format!("seed {seed} with `{trouble}` in {took:.1} s:\n  {found}\n{lines}\n{}", ran.transcript());
    Swept { outcomes, wrong, report }
}

#[test]
fn runs_in_trouble_end_say_so_and_leave_nothing() {
    let choice = super::choice();
    let seeds: Vec<usize> = match choice {
        None => (0..MANY).collect(),
        Some(choice) => (choice * FEW..choice * FEW + FEW).collect(),
    };
    let runs = all(&seeds, |seed| run(*seed, choice.is_none()));
    let mut seen = Vec::new();
    let mut bad = Vec::new();
    for (seed, swept) in seeds.iter().zip(runs) {
        match swept {
            Ok(swept) => {
                if let Some(dir) = std::env::var_os("XRT_FAULTS_REPORT") {
                    std::fs::write(Path::new(&dir).join(format!("sweep-{seed:04}")), &swept.report).unwrap();
                }
                bad.extend((!swept.wrong.is_empty()).then_some(swept.report));
                seen.extend(swept.outcomes);
            }
            Err(panic) => bad.push(format!("seed {seed}: {panic}")),
        }
    }
    assert!(bad.is_empty(), "{} of {} runs went wrong:\n\n{}", bad.len(), seeds.len(), bad.join("\n"));
    // Trouble that nothing gets into, or that nothing survives, would say nothing.
    assert!(seen.contains(&Outcome::Passed), "{seen:?}");
    assert!(seen.iter().any(|outcome| matches!(outcome, Outcome::Failed | Outcome::Errored)), "{seen:?}");
}
