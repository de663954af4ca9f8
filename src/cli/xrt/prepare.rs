//! `xrt prepare`: what a sequence asks for, without its tests: made, compared with what there is, or removed again.

use super::resume::Earlier;
use super::run::{RunArgs, go};
use super::selection::SelectionArgs;
use super::{Common, ScriptArgs};
use crate::cli::access::AccessArgs;
use crate::cli::hosts::Attached;
use crate::cli::variables::VariableArgs;
use crate::cli::{Io, signals, table};
use crate::context::Context;
use crate::error::{Blame, Error, Exit, Kind, Result};
use crate::event::{Bus, Event, Fact, Level, Sink};
use crate::lab::prepare::{Graph, State, clean, record};
use crate::report::{Verbosity, clean as clean_line, printable};
use crate::run::{Preparation, survey};
use crate::secret::Mask;
use crate::time::Cancel;
use crate::vars::Variables;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  xrt prepare -s lab.seq --host h1,h2            make what <prepare> asks for, where it is not there already
  xrt prepare -s lab.seq --host h1,h2 --diff     say what exists, what differs and what would be made; change nothing
  xrt prepare -s lab.seq --host sim --diff       the same on a simulated pool
  xrt prepare --clean results/latest --host h1   remove what that run has prepared, and nothing else

A second preparation changes nothing. What was made stays, unless it is told to go with --clean-up; each run writes it down in
prepared.jsonl in its results as it is made, so that --clean finds it after anything that may have happened to the run.

Exit status: 0, 2 when something is wrong with the sequence, 3 when something could not be prepared or removed. With --diff: 0 when nothing
is to be done, 1 when something is, 3 when something cannot be done.";

/// Make what a sequence asks for, without running its tests
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PrepareArgs {
    /// Say what exists, what differs and what would be made, and change nothing
    #[arg(long)]
    pub diff: bool,

    /// Print JSON (with --diff)
    #[arg(long, requires = "diff")]
    pub json: bool,

    /// Remove what the run with these results has prepared, and only that
    #[arg(long, value_name = "RESULTS", conflicts_with_all = ["diff", "sequence"], value_hint = clap::ValueHint::DirPath)]
    pub clean: Option<PathBuf>,

    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub access: AccessArgs,
    #[command(flatten)]
    pub variables: VariableArgs,
    #[command(flatten)]
    pub scripts: ScriptArgs,

    /// Put the results into a new directory below this one
    #[arg(long, value_name = "DIR", default_value = "results", env = "XRT_RESULTS", help_heading = "Output")]
    pub results: PathBuf,

    /// Say more: what is done; twice: every call to a machine
    #[arg(short = 'v', long, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    #[command(flatten)]
    pub common: Common,
}

pub fn run(io: &Io, args: &PrepareArgs) -> Result<Exit> {
    if let Some(results) = &args.clean {
        return remove(io, args, results);
    }
    if args.selection.sequence.sequence.is_none() {
        let error = Error::new(Kind::Malformed, "nothing to prepare: there is no --sequence").blame(Blame::User);
        return Err(error.help("xrt prepare -s FILE --host HOST"));
    }
    if args.diff { compare(io, args) } else { go(io, &args.as_run()?, Earlier::None) }
}

impl PrepareArgs {
    /// A run of nothing but the preparation.
    fn as_run(&self) -> Result<RunArgs> {
        let mut run = RunArgs {
            selection: self.selection.clone(),
            access: self.access.clone(),
            variables: self.variables.clone(),
            scripts: self.scripts.clone(),
            results: self.results.clone(),
            verbose: self.verbose,
            common: self.common.clone(),
            ..RunArgs::default()
        };
        run.selection.sequence.only_prepare = true;
        run.pace.cleanup_timeout = super::duration(super::run::CLEANUP).map_err(|e| Error::new(Kind::Internal, e))?;
        Ok(run)
    }
}

/// Does something with the lab of the command line outside a run; only warnings are told.
fn with_lab<T>(
    io: &Io,
    args: &PrepareArgs,
    mut variables: Variables,
    work: impl FnOnce(&Attached, &Context, &Variables) -> Result<T>,
) -> Result<T> {
    let (mask, cancel) = (Mask::default(), Cancel::new());
    let attached = args.access.attach_all(io, &mut variables, &mask, &args.selection.shortcuts.hosts)?;
    signals::listen(
        cancel.clone(),
        || false,
        |text| drop(writeln!(std::io::stderr(), "\n{text}")),
        || "what was not removed is still written down".into(),
    );
    let (bus, stream) = Bus::start(Box::new(Warnings), Vec::new(), mask, |_| ())?;
    let context = Context::new(bus, None, args.results.clone(), cancel);
    let result = work(&attached, &context, &variables);
    attached.lab.give_back(&context);
    drop(context);
    stream.close();
    result
}

/// Tells warnings on the standard error, and what is done.
struct Warnings;

impl Sink for Warnings {
    fn on_event(&mut self, event: &Event) -> Result<()> {
        let text = match &event.fact {
            Fact::Logged { level: Level::Warning, text } => format!("warning: {}", printable(text)),
            Fact::ActionStarted { machine: None, what, .. } => printable(what),
            _ => return Ok(()),
        };
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr(), "{text}");
        Ok(())
    }

    fn name(&self) -> String {
        "warnings".into()
    }
}

/// `--diff`.
fn compare(io: &Io, args: &PrepareArgs) -> Result<Exit> {
    let (_, catalog) = args.scripts.catalog()?;
    let file = args.selection.sequence.sequence.clone().unwrap_or_default();
    let settle = |attached: Option<&Attached>| {
        let mut variables = args.variables.load(io)?;
        args.selection.set(&mut variables)?;
        attached.map(|attached| attached.set(&mut variables)).transpose()?;
        args.selection.settle(io, &catalog, &file, variables, None)
    };
    let Some(mut chosen) = settle(None)? else { return Ok(Exit::Usage) };
    let preparations = chosen.rounds.rest().preparations();
    if preparations.is_empty() {
        io.say("the sequence prepares nothing");
        return Ok(Exit::Passed);
    }
    let graphs = with_lab(io, args, chosen.variables, |attached, context, variables| {
        let survey = |preparations: &[(String, Arc<Preparation>)], variables: &Variables| {
            let graph = |(name, preparation): &(String, Arc<Preparation>)| {
                Ok((name.clone(), survey(&attached.lab, variables, context, preparation)?))
            };
            preparations.iter().map(graph).collect::<Result<Vec<_>>>().map(Some)
        };
        if !attached.has_more() {
            return survey(&preparations, variables);
        }
        let Some(mut again) = settle(Some(attached))? else { return Ok(None) };
        survey(&again.rounds.rest().preparations(), &again.variables)
    })?;
    let Some(graphs) = graphs else { return Ok(Exit::Usage) };
    if args.json {
        let all: serde_json::Map<String, serde_json::Value> =
            graphs.iter().map(|(name, graph)| (name.clone(), serde_json::to_value(graph).unwrap_or_default())).collect();
        io.print(&format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default()))?;
    } else {
        for (name, graph) in &graphs {
            io.print(&shown(io, name, graph))?;
        }
    }
    let is = |sort: fn(&State) -> bool| graphs.iter().flat_map(|(_, graph)| &graph.steps).any(|step| sort(&step.state));
    Ok(match () {
        () if is(|state| matches!(state, State::Impossible(..))) => Exit::Errored,
        () if is(State::is_open) => Exit::Failed,
        () => Exit::Passed,
    })
}

/// Each step with what there is of it, and how many there are of what.
fn shown(io: &Io, name: &str, graph: &Graph) -> String {
    let look = io.look(Verbosity::Normal);
    let row = |step: &crate::lab::prepare::Step| {
        let why = match &step.state {
            State::Missing => step.what.clone(),
            State::Impossible(why, help) if !help.is_empty() => format!("{why}: {help}"),
            state => state.why().unwrap_or_default().to_string(),
        };
        vec![step.state.word().to_string(), clean_text(&step.id), clean_text(&why)]
    };
    let counted = ["there", "missing", "differs", "left as it is", "impossible"].iter().filter_map(|word| {
        let count = graph.steps.iter().filter(|step| step.state.word() == *word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let counts = counted.collect::<Vec<_>>().join(", ");
    let notes: String = graph.notes.iter().map(|note| format!("note: {}\n", clean_text(note))).collect();
    format!("{name}\n{}{notes}{} steps: {counts}\n", table::rows(graph.steps.iter().map(row), look.width), graph.steps.len())
}

fn clean_text(text: &str) -> String {
    clean_line(text).into_owned()
}

/// `--clean`.
fn remove(io: &Io, args: &PrepareArgs, results: &Path) -> Result<Exit> {
    let made = record::read(results)?;
    let mut variables = args.variables.load(io)?;
    args.selection.set(&mut variables)?;
    let cleaned = with_lab(io, args, variables, |attached, context, _| Ok(clean(&attached.lab, &made, context)))?;
    let left: Vec<_> = cleaned.left.iter().map(|left| left.made.clone()).collect();
    record::keep(results, &left)?;
    io.print(&format!("{} of {} undone\n", cleaned.undone, made.len()))?;
    for left in &cleaned.left {
        io.say(&format!("left: {}: {}", clean_text(&left.made.what), clean_text(&left.why)));
    }
    Ok(if cleaned.left.is_empty() { Exit::Passed } else { Exit::Errored })
}
