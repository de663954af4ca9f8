//! Options that say what is run: which sequence, what of it, how often, and in which order.

use super::shortcuts::ShortcutArgs;
use crate::cli::Io;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Result;
use crate::run::{Plan, Rounds, Selection, select, settle};
use crate::script::Catalog;
use crate::sequence::{Asked, Filter, Library, Mode, Sequence, load};
use crate::time::Timestamp;
use crate::vars::{Layer, Variables};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[derive(Clone, Debug, Default, clap::Args)]
pub struct SelectionArgs {
    #[command(flatten)]
    pub sequence: SequenceArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub order: OrderArgs,
    #[command(flatten)]
    pub shortcuts: ShortcutArgs,
}

/// Which sequence, and which parts of it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Sequence")]
pub struct SequenceArgs {
    /// The sequence: a file, or the name of one that is found in ./sequences, in --sequence-path or inside the program
    #[arg(short = 's', long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub sequence: Option<String>,

    /// Look for sequences here too. May be repeated
    #[arg(long, value_name = "DIR", env = "XRT_SEQUENCES", value_delimiter = ':', value_hint = clap::ValueHint::DirPath)]
    pub sequence_path: Vec<PathBuf>,

    /// Take what is wrong with the sequence as warnings; a testcase that does not exist is then an errored one
    #[arg(long)]
    pub lenient: bool,

    /// Take the machines as they are: nothing of the sequence's prepare and preprepare is done
    #[arg(long, alias = "no-prepare")]
    pub noprepare: bool,

    /// Prepare VMs, but take hosts, networks, storage and pools as they are
    #[arg(long, alias = "no-host-prepare", conflicts_with = "noprepare")]
    pub nohostprepare: bool,

    /// Tell testcases that install something to take it as it is (the variable CLIOPTIONS/NOINSTALL)
    #[arg(long, alias = "no-install")]
    pub noinstall: bool,

    /// Leave out the clean-ups (finally)
    #[arg(long, alias = "nofinally")]
    pub no_finally: bool,

    /// Leave out post_run of every testcase
    #[arg(long, alias = "nopostrun")]
    pub no_postrun: bool,

    /// Remove in the end what was prepared, and only that; without it, it stays
    #[arg(long)]
    pub clean_up: bool,

    /// Whether nothing but the preparation is run.
    #[arg(skip)]
    pub only_prepare: bool,

    /// Limit of each serial and parallel, instead of the one in the sequence
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    pub group_timeout: Option<Duration>,
}

/// Which testcases. Clean-ups are exempt.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Selection (xrt help filters)")]
pub struct FilterArgs {
    /// Run only these: 'tag:smoke & !group:net*'. May be repeated
    #[arg(long, value_name = "EXPRESSION")]
    pub only: Vec<String>,

    /// Run only these: a name, group/name, or a ticket such as TC1234. May be repeated
    #[arg(long, value_name = "NAME")]
    pub run: Vec<String>,

    /// Run only this group. May be repeated
    #[arg(long, value_name = "GROUP", alias = "run-group")]
    pub rungroup: Vec<String>,

    /// Run only this SKU. May be repeated
    #[arg(long, value_name = "SKU", alias = "run-sku")]
    pub runsku: Vec<String>,

    /// Leave these out: a name, group/name, or a ticket such as TC1234. May be repeated
    #[arg(long, value_name = "NAME")]
    pub skip: Vec<String>,

    /// Leave this group out. May be repeated
    #[arg(long, value_name = "GROUP", alias = "skip-group")]
    pub skipgroup: Vec<String>,

    /// Leave this SKU out. May be repeated
    #[arg(long, value_name = "SKU", alias = "skip-sku")]
    pub skipsku: Vec<String>,

    /// Leave this type out. May be repeated
    #[arg(long, value_name = "TYPE", alias = "skip-type")]
    pub skiptype: Vec<String>,

    /// Leave out what has a priority beyond this one; 1 is the highest
    #[arg(long, value_name = "N")]
    pub priority: Option<u32>,
}

/// How often, and in which order.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Order")]
pub struct OrderArgs {
    /// Run in a random order; the same SEED gives the same order. Blockers and what depends on something keep their place
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "random")]
    pub shuffle: Option<Seed>,

    /// Run everything so many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: Option<u32>,
}

/// What an order is shuffled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    Random,
    Number(u64),
}

impl FromStr for Seed {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Seed, &'static str> {
        match text {
            "random" => Ok(Seed::Random),
            number => number.parse().map(Seed::Number).map_err(|_| "expected a whole number, such as the one that a run has told"),
        }
    }
}

/// What is run.
pub struct Chosen {
    /// The sequence that it comes from, if any.
    pub sequence: Option<Sequence>,
    /// The variables, with those of the sequence.
    pub variables: Variables,
    /// Its rounds.
    pub rounds: Rounds,
}

impl SequenceArgs {
    /// Where sequences are looked for.
    pub fn library(&self) -> Library {
        Library { paths: self.sequence_path.clone() }
    }

    pub fn mode(&self) -> Mode {
        if self.lenient { Mode::Lenient } else { Mode::Strict }
    }
}

impl SelectionArgs {
    /// Sets the variables that options are short for, which testcases may read.
    ///
    /// # Errors
    /// One of them was set to something that it cannot be together with.
    pub fn set(&self, variables: &mut Variables) -> Result<()> {
        let SequenceArgs { noprepare, nohostprepare, noinstall, no_finally, no_postrun, .. } = self.sequence;
        for (is_given, option, name) in [
            (noprepare, "--noprepare", "CLIOPTIONS/NOPREPARE"),
            (nohostprepare, "--nohostprepare", "CLIOPTIONS/NOHOSTPREPARE"),
            (noinstall, "--noinstall", "CLIOPTIONS/NOINSTALL"),
            (no_finally, "--no-finally", "CLIOPTIONS/NOFINALLY"),
            (no_postrun, "--no-postrun", "CLIOPTIONS/NOPOSTRUN"),
        ] {
            if is_given {
                variables.set_from(Layer::Flag, name, "yes", option)?;
            }
        }
        self.shortcuts.set(variables)
    }

    /// Reads and settles the sequence with this name. What is wrong with it is shown; with errors among that there is nothing to run. A
    /// run that is taken up again has the order that was `recorded`.
    ///
    /// # Errors
    /// It is not found, or a filter cannot be read.
    pub fn settle(
        &self,
        io: &Io,
        catalog: &Catalog,
        file: &str,
        variables: Variables,
        recorded: Option<Option<u64>>,
    ) -> Result<Option<Chosen>> {
        let mode = self.sequence.mode();
        let library = self.sequence.library();
        let loaded = load(&library, file, variables, mode)?;
        let variables = loaded.variables;
        let filter = self.filter(&variables)?;
        let is_set = |name| variables.boolean(name).map(Option::unwrap_or_default);
        let selection = Selection {
            mode,
            filter,
            no_prepare: is_set("CLIOPTIONS/NOPREPARE")?,
            no_host_prepare: is_set("CLIOPTIONS/NOHOSTPREPARE")?,
            no_finally: is_set("CLIOPTIONS/NOFINALLY")?,
            group_limit: self.sequence.group_timeout,
        };
        let (mut plan, found) = settle(&loaded.sequence, &variables, catalog, &selection)?;
        if self.sequence.only_prepare {
            plan = plan.only_preparation();
        }
        let diagnostics: Vec<Diagnostic> = loaded.diagnostics.into_iter().chain(found).collect();
        if !shown(io, &diagnostics) {
            let is_all = diagnostics.iter().all(|d| d.place.file == "command line");
            let way = if is_all { "" } else { "; --lenient takes what is wrong with the sequence as warnings" };
            io.say(&format!("nothing was run{way}"));
            return Ok(None);
        }
        let rounds = self.rounds(plan, &variables, recorded)?;
        Ok(Some(Chosen { sequence: Some(loaded.sequence), variables, rounds }))
    }

    /// The same for testcases without a sequence.
    ///
    /// # Errors
    /// A filter cannot be read.
    pub fn choose(&self, io: &Io, mut plan: Plan, variables: Variables, recorded: Option<Option<u64>>) -> Result<Option<Chosen>> {
        let diagnostics = select(&mut plan, &self.filter(&variables)?);
        if !shown(io, &diagnostics) {
            return Ok(None);
        }
        let rounds = self.rounds(plan, &variables, recorded)?;
        Ok(Some(Chosen { sequence: None, variables, rounds }))
    }

    fn filter(&self, variables: &Variables) -> Result<Filter> {
        let FilterArgs { only, run, rungroup, runsku, skip, skipgroup, skipsku, skiptype, priority } = self.filter.clone();
        let asked = Asked {
            only,
            run,
            run_group: rungroup,
            run_sku: runsku,
            skip,
            skip_group: skipgroup,
            skip_sku: skipsku,
            skip_type: skiptype,
            priority,
        };
        Filter::new(&asked, variables)
    }

    /// The rounds of a plan, in the order that is asked for.
    fn rounds(&self, plan: Plan, variables: &Variables, recorded: Option<Option<u64>>) -> Result<Rounds> {
        let is_random = variables.boolean("RANDOMISE_TEST_ORDER")?.unwrap_or(false);
        let seed = match (recorded, self.order.shuffle) {
            (Some(recorded), _) => recorded,
            (None, Some(Seed::Number(seed))) => Some(seed),
            (None, Some(Seed::Random)) => Some(new_seed()),
            (None, None) => is_random.then(new_seed),
        };
        Ok(Rounds::new(plan, seed, self.order.repeat))
    }
}

/// Shows what was found; says whether it can be run all the same.
fn shown(io: &Io, diagnostics: &[Diagnostic]) -> bool {
    super::check::show(io, diagnostics);
    diagnostics.iter().all(|d| d.severity != Severity::Error)
}

/// A seed that is short enough to be typed.
fn new_seed() -> u64 {
    let unique = format!("{}-{}", std::process::id(), Timestamp::now());
    u64::from(crate::name::fingerprint(&unique) % 1_000_000)
}
